//! `verify --repair`: damage is named and repaired, from the export or from other data on the host. At no moment may
//! visitors see less than before.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use regex_lite::Regex;
use syntax_publish::host::Op;
use syntax_publish::store::repair::{Repair, Repaired};
use syntax_publish::store::session::Session;
use syntax_publish::store::signing::Signing;
use syntax_publish::store::verify::{Depth, Verified};

use crate::offline::verify::{Damage, FILES, Place, STORE, lines, noise, session};
use crate::support::command::{Project, Ran, small_export};

fn repair(session: &Session) -> Repair<'_> {
    static SIGNING: LazyLock<Signing> = LazyLock::new(Signing::default);
    Repair {
        session,
        wait: None,
        tool: "syntax-publish test",
        signing: &SIGNING,
    }
}

async fn repair_from_host(place: &Place, verified: &Verified) -> Repaired {
    let repaired = repair(&place.session()).from_host(verified).await;
    repaired.unwrap_or_else(|error| panic!("{error}"))
}

/// Damage that can't be repaired without the export, because nothing else on the host contains the data.
const EXPORT_ALONE: [&str; 5] = [
    "given encoding gone everywhere",
    "manifest gone",
    "manifest damaged",
    "every manifest gone",
    "folder level gone with its manifest and all below",
];

async fn check(healthy: &Place, damages: &[Damage]) -> u32 {
    let release = healthy.publish().await.release;
    let mut repaired_all = 0;
    for damage in damages {
        let place = healthy.copy();
        let what = damage.what;
        (damage.harm)(&place);
        fs::remove_dir_all(place.export()).unwrap();
        let verified = place.verify(&release, Depth::Deep).await;
        assert!(
            lines(&verified.faults).iter().any(|line| line.contains(damage.named)),
            "{what}: {:#?}",
            lines(&verified.faults)
        );
        let repaired = repair_from_host(&place, &verified).await;
        let left = lines(&repaired.left.faults);
        if EXPORT_ALONE.contains(&what) {
            assert!(!left.is_empty(), "{what}: is repaired after all");
            continue;
        }
        assert_eq!(left, Vec::<String>::new(), "{what}");
        place.assert_whole(&release).await;
        repaired_all += 1;
    }
    repaired_all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_still_has_somewhere_is_repaired_without_the_export() {
    let healthy = Place::with_site();
    healthy.write("large.bin", noise(5 << 20));
    let files = check(&healthy, FILES).await;
    let store = check(&Place::with_site(), STORE).await;
    let all = FILES.len() + STORE.len();
    println!("{} of {all} damages were repaired from the host alone", files + store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_in_all_its_copies_is_made_of_an_encoding() {
    let place = Place::with_site();
    let release = place.publish().await.release;
    // One file on the disk, damaged under all its names.
    fs::write(place.live("docs/a.html"), "cut off").unwrap();
    fs::remove_file(place.live("docs/a.html.gz")).unwrap();
    fs::remove_dir_all(place.export()).unwrap();
    let verified = place.verify(&release, Depth::Deep).await;
    assert!(verified.faults.len() >= 2);
    let repaired = repair_from_host(&place, &verified).await;
    assert_eq!(lines(&repaired.left.faults), Vec::<String>::new());
    assert!(repaired.count >= 3, "{repaired:?}");
    place.assert_whole(&release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_copy_has_any_more_is_left_and_named_and_the_rest_is_repaired() {
    let place = Place::with_site();
    place.write("only.bin", noise(3000));
    let release = place.publish().await.release;
    fs::write(place.live("only.bin"), noise(2999)).unwrap();
    fs::remove_file(place.live("docs/a.html")).unwrap();
    fs::remove_dir_all(place.export()).unwrap();
    let verified = place.verify(&release, Depth::Deep).await;
    let repaired = repair_from_host(&place, &verified).await;
    let left = lines(&repaired.left.faults);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left.iter()
            .any(|line| line.starts_with("only.bin: the file has 2999 bytes")),
        "{left:?}"
    );
    assert!(place.live("docs/a.html").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_release_lends_what_the_live_one_has_lost() {
    let place = Place::with_site();
    place.write("only.bin", noise(3000));
    place.publish().await;
    // The previous release has its own copy.
    let page = place.live("only.bin");
    let own = page.with_file_name(".own");
    fs::copy(&page, &own).unwrap();
    fs::rename(&own, &page).unwrap();
    place.write("docs/a.html", "changed");
    place.write("robots.txt", "changed");
    let second = place.publish().await.release;
    let live = place.live("only.bin");
    fs::remove_file(&live).unwrap();
    fs::write(place.object("only.bin"), "gone").unwrap();
    fs::remove_dir_all(place.export()).unwrap();
    let verified = place.verify(&second, Depth::Deep).await;
    let repaired = repair_from_host(&place, &verified).await;
    assert_eq!(lines(&repaired.left.faults), Vec::<String>::new());
    place.assert_whole(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_see_no_less_at_any_operation_of_a_repair() {
    let healthy = Place::with_site();
    healthy.write("large.bin", noise(5 << 20));
    let release = healthy.publish().await.release;
    let mut looked = 0;
    for damage in FILES.iter().chain(STORE) {
        let place = Arc::new(healthy.copy());
        (damage.harm)(&place);
        let verified = place.verify(&release, Depth::Deep).await;
        // What can be read before the repair. Names that were never published may disappear.
        let readable = |place: &Place| -> Vec<String> {
            let current = place.docroot().join("current");
            if !current.exists() {
                return Vec::new();
            }
            let wanted = healthy.served();
            let reads = |path: &&String| {
                let path = current.join(Path::new(path.as_str()));
                path.is_dir() && path.read_dir().is_ok() || fs::read(&path).is_ok()
            };
            wanted.keys().filter(reads).cloned().collect()
        };
        let before = readable(&place);
        let (seen, what) = (Arc::clone(&place), damage.what);
        let current = seen.docroot().join("current");
        let watched = place.watched().watch(move |ops| {
            for op in ops.iter().filter(|op| matches!(op, Op::Rename { .. })) {
                for path in &before {
                    assert!(current.join(path).exists(), "{what}: {path} is gone before {op}");
                }
            }
        });
        let to = session(watched);
        let repair = repair(&to);
        repair
            .from_export(&verified, &place.site(), &place.source())
            .await
            .unwrap();
        repair.from_host(&verified).await.unwrap();
        looked += 1;
    }
    assert_eq!(looked, FILES.len() + STORE.len());
}

// --- The command.

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[site]\nname = \"demo\"\n[encode]\nbrotli = 1\ngzip = 1\n");
    project.run(&["publish"]).expect_code(0);
    project
}

fn damage(project: &Project) {
    let current = fs::canonicalize(project.dir.join("target/docroot/current")).unwrap();
    fs::write(current.join("robots.txt"), "User-Agent: *\nDisallow: /\n").unwrap();
    fs::remove_file(current.join("index.html.br")).unwrap();
    fs::write(current.join("planted.html"), "x").unwrap();
}

fn shown(project: &Project, ran: &Ran) -> String {
    let digest = Regex::new("[0-9a-f]{64}").unwrap();
    let text = project.redact(&ran.to_string());
    digest.replace_all(&text, "[digest]").into_owned()
}

#[test]
fn a_repair_says_what_it_repaired() {
    let project = project();
    damage(&project);
    insta::assert_snapshot!(shown(&project, &project.run(&["verify", "--repair"])), @r"
    exit 0
    --- stdout
    repaired: robots.txt: the file has 26 bytes instead of 23
    repaired: planted.html: was never published and is served
    repaired: objects/26/[digest]: the object has 26 bytes instead of 23
    repaired: index.html.br: the br encoding is missing
    [release] is intact (12 files checked)

    --- stderr
    ");
    insta::assert_snapshot!(shown(&project, &project.run(&["verify", "--repair"])), @r"
    exit 0
    --- stdout
    [release] is intact (12 files checked)

    --- stderr
    ");
}

#[test]
fn a_repair_without_the_export_says_so_and_names_what_is_left() {
    let project = project();
    damage(&project);
    fs::remove_dir_all(project.dir.join("out")).unwrap();
    insta::assert_snapshot!(shown(&project, &project.run(&["verify", "--repair"])), @r"
    exit 1
    --- stdout
    repaired: planted.html: was never published and is served
    repaired: index.html.br: the br encoding is missing
    robots.txt: the file has 26 bytes instead of 23
    objects/26/[digest]: the object has 26 bytes instead of 23
    [release] is damaged: 2 problems (12 files checked)

    --- stderr
    note: the export can't be used for repair: there is no folder [project]/out; using other copies on the target
    ");
    let ran = project.run(&["verify", "--repair", "--json"]).expect_code(1);
    let value = ran.json();
    assert_eq!(
        (&value["ok"], &value["mended"]),
        (&false.into(), &serde_json::json!([])),
        "{ran}"
    );
}

#[test]
fn a_repair_of_an_earlier_release_repairs_that_one() {
    let project = project();
    let first = project.run(&["status", "--json"]).json()["release"]
        .as_str()
        .unwrap()
        .to_owned();
    project.write("out/docs/a.html", "<!DOCTYPE html><p>new");
    project.run(&["publish"]).expect_code(0);
    let tree = fs::canonicalize(project.dir.join("target/docroot/releases").join(&first)).unwrap();
    fs::remove_file(tree.join("robots.txt")).unwrap();
    project.run(&["verify", &first]).expect_code(1);
    let ran = project.run(&["verify", &first, "--repair", "--json"]).expect_code(0);
    assert_eq!(ran.json()["mended"][0]["path"], "robots.txt", "{ran}");
    project.run(&["verify", &first, "--deep"]).expect_code(0);
}

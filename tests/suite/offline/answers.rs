//! The folders that spell the answers of redirects: prune takes them away, verify looks at them, and a repair makes them
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use syntax_publish::host::Op;

use crate::support::bench::{Command, Content, How, content, faults_of_live, redirects, run};
use crate::support::command::{Project, small_export};
use crate::support::faulty::{Fault, Faulty, Point};
use crate::support::intercept::Intercept;
use crate::support::memory::{Disk, Memory};

// --- Prune.

/// A site whose page shows `text`, with redirects.
fn site<'a>(text: &'a str, moved: impl IntoIterator<Item = (&'a str, &'a str)>) -> Content {
    let mut site = content([("index.html", text)]);
    site.extend(redirects(moved));
    site
}

async fn publish_all(memory: &Memory, sites: impl IntoIterator<Item = Content>) {
    for site in sites {
        let publish = Command::Publish(site);
        run(Box::new(memory.clone()), &publish, How::default()).await.unwrap();
    }
}

/// Everything below the folder of answers with status 308 on this site.
fn answers(memory: &Memory) -> Vec<String> {
    let told = memory.disk().told(|_| "a file".to_owned());
    let below = told
        .iter()
        .filter_map(|(path, what)| Some((path.strip_prefix("moved/308/same/")?, what)));
    below
        .map(|(path, what)| {
            assert_eq!(what, "folder", "{path}");
            path.to_owned()
        })
        .collect()
}

#[tokio::test]
async fn prune_takes_away_the_answers_of_no_release_children_before_parents() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    let kept = [("/b", "/new=/x"), ("/c", "/outer"), ("/d", "/stays/here")];
    let gone = [
        ("/a", "/new"),
        ("/a/b", "/outer=/inner"),
        ("/e", "/goes/deep/down"),
        ("/e/f", "/goes=/a=/b"),
        ("/g", "/stays/other"),
    ];
    publish_all(
        &memory,
        [
            site("one ", kept.into_iter().chain(gone)),
            site("two ", kept),
            site("three ", kept),
        ],
    )
    .await;
    assert!(answers(&memory).contains(&"goes=/a=/b=".to_owned()));
    let watched = Intercept::new(memory.clone());
    let prune = Command::Prune(1);
    run(Box::new(watched.clone()), &prune, How::default()).await.unwrap();
    // A folder in which the answer of a kept release is stays; a folder inside an answer does not.
    assert_eq!(answers(&memory), ["new=", "new=/x=", "outer=", "stays", "stays/here="]);
    let taken: Vec<String> = watched
        .ops()
        .into_iter()
        .filter_map(|op| match op {
            Op::Rename { from, .. } if from.starts_with("moved/") => Some(from),
            _ => None,
        })
        .collect();
    assert_eq!(taken.len(), 8, "{taken:?}");
    for (at, path) in taken.iter().enumerate() {
        let below = format!("{path}/");
        assert!(!taken[at..].iter().any(|later| later.starts_with(&below)), "{taken:?}");
    }
    assert_eq!(faults_of_live(Box::new(memory.clone())).await, []);
    // What was taken away is made again when a release needs it.
    publish_all(&memory, [site("four ", kept.into_iter().chain(gone))]).await;
    assert_eq!(faults_of_live(Box::new(memory.clone())).await, []);
    assert!(answers(&memory).contains(&"goes=/a=/b=".to_owned()));
    publish_all(&memory, [site("five ", []), site("six ", [])]).await;
    run(Box::new(memory.clone()), &prune, How::default()).await.unwrap();
    let told = memory.disk().told(|_| String::new());
    assert!(!told.keys().any(|path| path.starts_with("moved/")), "{told:?}");
}

#[tokio::test]
async fn answers_that_a_dead_prune_left_are_taken_away_by_the_next() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    let moved = [("/a", "/docs/a"), ("/b", "/docs/b"), ("/b/c", "/docs/b=/c")];
    publish_all(
        &memory,
        [
            site("one ", moved),
            site("two ", moved[..1].to_vec()),
            site("three ", []),
        ],
    )
    .await;
    let before = memory.snapshot();
    let prune = Command::Prune(1);
    let rehearsal = Faulty::new(Arc::new(memory.clone()), None);
    run(Box::new(rehearsal.clone()), &prune, How::default()).await.unwrap();
    assert_eq!(answers(&memory), ["docs", "docs/a="]);
    let is_answer = |op: &Op| matches!(op, Op::Rename { from, .. } if from.starts_with("moved/"));
    let flights = rehearsal.record();
    let flight = flights.iter().position(|ops| ops.iter().any(is_answer)).unwrap();
    let first = flights[flight].iter().position(is_answer).unwrap();
    let all = flights[flight].iter().filter(|op| is_answer(op)).count();
    assert_eq!(all, 2);
    for taken in 0..=all {
        memory.replace(before.clone());
        let point = Point {
            flight,
            done: first + taken,
        };
        let dies = Faulty::new(Arc::new(memory.clone()), Some((point, Fault::Dead)));
        run(Box::new(dies.clone()), &prune, How::default()).await.unwrap_err();
        assert!(dies.happened());
        assert_eq!(memory.disk().list("trees").len(), 3, "the trees are gone");
        assert_eq!(answers(&memory).len(), 4 - taken);
        assert_eq!(faults_of_live(Box::new(memory.clone())).await, []);
        for folder in ["work", "lock"] {
            memory.disk().age(folder);
        }
        run(Box::new(memory.clone()), &prune, How::default()).await.unwrap();
        assert_eq!(answers(&memory), ["docs", "docs/a="]);
        let told = memory.disk().told(|_| String::new());
        assert!(!told.keys().any(|path| path.starts_with("stale/")), "{told:?}");
    }
}

// --- Verify and repair, with the command.

const MANIFEST: &str = "[site]\nname = \"demo\"\n[encode]\nbrotli = 1\ngzip = 1\n[check]\nallow = [\"**\"]\n";

const REDIRECTS: &str =
    "/old/page /docs/a 308\n/old/part /docs/a=/part 308\n/old /docs/a#top 302\n/shop https://shop.example/start\n";

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write("out/_redirects", REDIRECTS);
    project.write_manifest(MANIFEST);
    project.run(&["publish"]).expect_code(0);
    project
}

/// The redirects of the live release, by path, with what the web server resolves each of them to.
fn resolved(docroot: &Path) -> BTreeMap<String, String> {
    let folder = docroot.join("current/.moved");
    let entries = walkdir::WalkDir::new(&folder).follow_links(true);
    let paths = entries.into_iter().filter_map(|entry| {
        let entry = entry.ok()?;
        let path = entry.path().strip_prefix(&folder).ok()?.to_str()?.to_owned();
        path.ends_with('=').then(|| (path, entry.into_path()))
    });
    let moved = fs::canonicalize(docroot).unwrap().join("moved");
    let inside = |path: &Path| path.strip_prefix(&moved).unwrap().to_str().unwrap().to_owned();
    paths
        .map(|(path, at)| (path, fs::canonicalize(at).unwrap()))
        // An answer that contains another is walked into.
        .filter(|(path, _)| !path.contains("=/"))
        .map(|(path, to)| (path, inside(&to)))
        .collect()
}

/// One way to damage the redirects of a release.
struct Damage {
    what: &'static str,
    /// A part of the line that reports it.
    named: &'static str,
    harm: fn(&Path),
}

const fn damage(what: &'static str, named: &'static str, harm: fn(&Path)) -> Damage {
    Damage { what, named, harm }
}

const LINK: &str = "current/.moved/old/page=";
const ANSWER: &str = "moved/308/same/docs/a=";
const INNER: &str = "moved/308/same/docs/a=/part=";

const DAMAGES: &[Damage] = &[
    damage(
        "redirect gone",
        "/old/page: the symlink of the redirect is missing",
        |docroot| {
            fs::remove_file(docroot.join(LINK)).unwrap();
        },
    ),
    damage(
        "file for a redirect",
        "/old/page: the symlink of the redirect is a file instead of a symlink",
        |docroot| {
            fs::remove_file(docroot.join(LINK)).unwrap();
            fs::write(docroot.join(LINK), "x").unwrap();
        },
    ),
    damage(
        "folder for a redirect",
        "/old/page: the symlink of the redirect is a folder instead of a symlink",
        |docroot| {
            fs::remove_file(docroot.join(LINK)).unwrap();
            fs::create_dir(docroot.join(LINK)).unwrap();
        },
    ),
    damage(
        "redirect elsewhere",
        "/old/page: the symlink of the redirect leads to \"../../moved/301/https/evil.example/=\"",
        |docroot| {
            fs::create_dir_all(docroot.join("moved/301/https/evil.example/=")).unwrap();
            fs::remove_file(docroot.join(LINK)).unwrap();
            symlink("../../moved/301/https/evil.example/=", docroot.join(LINK)).unwrap();
        },
    ),
    damage(
        "answer gone",
        "/old/part: the folder that spells the redirect's answer is missing",
        |docroot| fs::remove_dir(docroot.join(INNER)).unwrap(),
    ),
    damage(
        "answer gone with the one inside it",
        "/old/page: the folder that spells the redirect's answer is missing",
        |docroot| fs::remove_dir_all(docroot.join(ANSWER)).unwrap(),
    ),
    damage(
        "all answers gone",
        "/shop: the folder that spells the redirect's answer is missing",
        |docroot| fs::remove_dir_all(docroot.join("moved")).unwrap(),
    ),
    damage(
        "file for an answer",
        "/old/page: the folder that spells the redirect's answer is a file",
        |docroot| {
            fs::remove_dir_all(docroot.join(ANSWER)).unwrap();
            fs::write(docroot.join(ANSWER), "x").unwrap();
        },
    ),
    damage(
        "symlink for an answer",
        "/old/part: the folder that spells the redirect's answer is a symlink",
        |docroot| {
            fs::remove_dir(docroot.join(INNER)).unwrap();
            symlink("../../../../301", docroot.join(INNER)).unwrap();
        },
    ),
    damage(
        "answer closed to the web server",
        "/old/page: the folder that spells the redirect's answer can't be read by the web server (mode 0700)",
        |docroot| fs::set_permissions(docroot.join(ANSWER), fs::Permissions::from_mode(0o700)).unwrap(),
    ),
    damage(
        "symlink for a folder of answers",
        "moved/308: the folder is a symlink",
        |docroot| {
            let elsewhere = docroot.parent().unwrap().join("elsewhere");
            let _ = fs::remove_dir_all(&elsewhere);
            fs::rename(docroot.join("moved/308"), &elsewhere).unwrap();
            symlink(&elsewhere, docroot.join("moved/308")).unwrap();
        },
    ),
    damage(
        "file for a folder of answers",
        "moved/301/https: the folder is a file",
        |docroot| {
            fs::remove_dir_all(docroot.join("moved/301/https")).unwrap();
            fs::write(docroot.join("moved/301/https"), "x").unwrap();
        },
    ),
    damage(
        "folder of answers closed to the web server",
        "moved/308/same: the folder can't be read by the web server (mode 0700)",
        |docroot| fs::set_permissions(docroot.join("moved/308/same"), fs::Permissions::from_mode(0o700)).unwrap(),
    ),
    damage(
        "file that was never published",
        ".moved/planted=: was never published and is served",
        |docroot| fs::write(docroot.join("current/.moved/planted="), "x").unwrap(),
    ),
    damage(
        "redirect that was never published",
        ".moved/old/planted=: was never published and is served",
        |docroot| {
            symlink(
                "../../moved/308/same/docs/a=",
                docroot.join("current/.moved/old/planted="),
            )
            .unwrap();
        },
    ),
    damage(
        "folder level of redirects gone",
        "the folder level of /.moved/old is missing",
        |docroot| {
            let level = fs::canonicalize(docroot.join("current/.moved/old")).unwrap();
            fs::remove_dir_all(level).unwrap();
            fs::remove_dir_all(docroot.join("moved/308")).unwrap();
        },
    ),
];

#[test]
fn damaged_redirects_are_named_and_repaired_with_the_export_and_without() {
    for with_export in [true, false] {
        let project = project();
        let docroot = project.dir.join("target/docroot");
        let healthy = resolved(&docroot);
        let expected = [
            ("old/page=", "308/same/docs/a="),
            ("old/part=", "308/same/docs/a=/part="),
            ("old=", "302/same/docs/a#top="),
            ("shop=", "301/https/shop.example/start="),
        ];
        let expected = expected.map(|(path, to)| (path.to_owned(), to.to_owned()));
        assert_eq!(healthy, BTreeMap::from(expected));
        project.run(&["verify", "--deep"]).expect_code(0);
        if !with_export {
            fs::remove_dir_all(project.dir.join("out")).unwrap();
        }
        for damage in DAMAGES {
            let what = damage.what;
            (damage.harm)(&docroot);
            let found = project.run(&["verify"]);
            assert!(
                found.code == 1 && found.stdout.contains(damage.named),
                "{what}: {found}"
            );
            let repaired = project.run(&["verify", "--repair"]);
            let says = |line: &str| line.starts_with("repaired: ") && line.contains(damage.named);
            assert!(
                repaired.code == 0 && repaired.stdout.lines().any(says),
                "{what}, with the export: {with_export}: {repaired}"
            );
            let after = project.run(&["verify", "--deep"]);
            assert!(after.code == 0, "{what}, with the export: {with_export}: {after}");
            assert_eq!(resolved(&docroot), healthy, "{what}");
            for folder in ["lock", "work", "stale"] {
                let left = fs::read_dir(docroot.join(folder)).unwrap().count();
                assert_eq!(left, 0, "{what}: {folder}");
            }
        }
    }
}

#[test]
fn a_repair_of_a_folder_of_answers_keeps_those_of_other_releases() {
    let project = project();
    let docroot = project.dir.join("target/docroot");
    let before = resolved(&docroot);
    project.write("out/_redirects", "/new /docs/a 308\n/newer /docs/a=/other 308\n");
    project.run(&["publish", "--allow-removals"]).expect_code(0);
    let (all, one) = ("moved", "moved/308/same/docs/a=");
    for folder in [all, one] {
        fs::set_permissions(docroot.join(folder), fs::Permissions::from_mode(0o700)).unwrap();
    }
    project.run(&["verify", "--repair"]).expect_code(0);
    project.run(&["verify", "--deep"]).expect_code(0);
    for folder in [all, one] {
        let mode = fs::metadata(docroot.join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{folder}");
    }
    project.run(&["rollback"]).expect_code(0);
    project.run(&["verify", "--deep"]).expect_code(0);
    assert_eq!(resolved(&docroot), before);
}

#[test]
fn what_is_behind_a_symlink_in_the_place_of_answers_is_left_alone() {
    let project = project();
    let docroot = project.dir.join("target/docroot");
    project.write("elsewhere/same/kept", "x");
    fs::remove_dir_all(docroot.join("moved/308")).unwrap();
    symlink(project.dir.join("elsewhere"), docroot.join("moved/308")).unwrap();
    project.run(&["verify", "--repair"]).expect_code(0);
    assert_eq!(fs::read(project.dir.join("elsewhere/same/kept")).unwrap(), b"x");
    assert!(!docroot.join("moved/308/same/kept").exists());
}

#[test]
fn a_folder_of_answers_that_others_may_write_is_named() {
    let project = project();
    let folder = project.dir.join("target/docroot/moved/308");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let found = project.run(&["verify", "--repair"]).expect_code(1);
    let line = "moved/308: the folder may be written by others (mode 0777)";
    assert!(found.stdout.contains(line), "{found}");
    assert!(!found.stdout.contains("repaired: "), "{found}");
}

#[test]
fn a_store_of_before_redirects_gets_them_and_goes_back() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(MANIFEST);
    project.run(&["publish"]).expect_code(0);
    let docroot = project.dir.join("target/docroot");
    let assert_nothing_left = || {
        for folder in ["lock", "work", "stale"] {
            assert_eq!(fs::read_dir(docroot.join(folder)).unwrap().count(), 0, "{folder}");
        }
    };
    // As versions without redirects made it.
    fs::remove_dir(docroot.join("moved")).unwrap();
    for command in [
        &["verify", "--deep"][..],
        &["verify", "--repair"],
        &["status"],
        &["prune", "--dry-run"],
    ] {
        project.run(command).expect_code(0);
        assert!(!docroot.join("moved").exists(), "{command:?} only reads");
    }
    for command in [&["prune"][..], &["hold", "a reason"], &["resume"]] {
        project.run(command).expect_code(0);
        assert_nothing_left();
        let _ = fs::remove_dir(docroot.join("moved"));
    }
    project.write("out/_redirects", REDIRECTS);
    project.run(&["publish"]).expect_code(0);
    assert_nothing_left();
    project.run(&["verify", "--deep"]).expect_code(0);
    assert_eq!(resolved(&docroot).len(), 4);
    project.run(&["rollback"]).expect_code(0);
    project.run(&["verify", "--deep"]).expect_code(0);
    assert!(!docroot.join("current/.moved").exists());
    project.run(&["rollback", "--to", &newest(&docroot)]).expect_code(0);
    project.run(&["verify", "--deep"]).expect_code(0);
    assert_eq!(resolved(&docroot).len(), 4);
}

/// The newest release.
fn newest(docroot: &Path) -> String {
    let names = fs::read_dir(docroot.join("releases")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.contains('.')).max().unwrap()
}

//! Complete stores as released versions wrote them, kept forever. This version reads, verifies, publishes to, rolls
//! back and prunes each of them, and must not lose anything that it does not recognize.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::command::{Project, visitor_state, write};

/// Stores by the version of their format, with the releases that they contain, oldest first. Entries are only ever
/// added.
const STORES: [(&str, [&str; 2]); 1] = [("store-1", ["20261128-002720-7b569d", "20261128-002722-90f6e0"])];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A project whose local target is that store. The first release is live, after a rollback.
fn project(store: &str) -> Project {
    let project = Project::new();
    let docroot = project.dir.join("target/docroot");
    fs::create_dir_all(&docroot).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--no-same-owner", "-xzpf"])
        .arg(golden(&format!("{store}.tar.gz")));
    assert!(tar.arg("-C").arg(&docroot).status().unwrap().success());
    let signers = golden(&format!("{store}.allowed-signers"));
    project.write_manifest(&format!(
        "[site]\nname = \"golden\"\n[sign]\nallowed-signers = \"{}\"\n[encode]\nbrotli = 1\ngzip = 1\n",
        signers.display()
    ));
    project
}

/// The release documents and signatures of all releases, byte for byte.
fn records(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(project.dir.join("target/docroot/releases")).unwrap();
    let files = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.is_symlink());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_store_of_every_released_version_is_intact_to_this_one() {
    for (store, releases) in STORES {
        let project = project(store);
        let status = project.run(&["status", "--json"]).expect_code(0).json();
        assert_eq!(
            (&status["release"], &status["releases"]),
            (&releases[0].into(), &2.into()),
            "{store}"
        );
        for release in releases {
            project.run(&["verify", release, "--deep"]).expect_code(0);
        }
        let signed = project
            .run(&["verify", releases[1], "--signature", "--json"])
            .expect_code(0)
            .json();
        assert_eq!(signed["signature"]["signer"], "golden@example", "{store}");
        let listed = project.run(&["releases", "--json"]).expect_code(0).json();
        assert_eq!(
            listed[1]["commit"], "0000000000000000000000000000000000000001",
            "{store}"
        );
        let changes = project
            .run(&["diff", releases[0], releases[1], "--json"])
            .expect_code(0)
            .json();
        let paths: Vec<&str> = changes["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["path"].as_str().unwrap())
            .collect();
        assert_eq!(
            paths,
            [
                "_next/static/chunks/a.js",
                "_next/static/chunks/b.js",
                "docs/a.html",
                "index.html"
            ],
            "{store}"
        );
    }
}

#[test]
fn a_store_of_every_released_version_goes_on_under_this_one() {
    for (store, releases) in STORES {
        let project = project(store);
        let before = records(&project);
        let current = project.dir.join("target/docroot/current");
        let former = visitor_state(&current);
        project.run(&["rollback", "--to", releases[1]]).expect_code(0);
        for (path, page) in [
            ("index.html", "Home"),
            ("404.html", "Not found"),
            ("docs/a.html", "Newer"),
        ] {
            write(
                &project.dir.join("out").join(path),
                format!("<!DOCTYPE html><title>{page}</title>"),
            );
        }
        let published = project
            .run(&["publish", "--allow-removals", "--json"])
            .expect_code(0)
            .json();
        assert_eq!(published["previous"], releases[1], "{store}");
        project.run(&["verify", "--deep"]).expect_code(0);
        // The files of the replaced releases may still be open in a browser.
        assert!(
            project
                .dir
                .join("target/docroot/immutable/_next/static/chunks/b.js")
                .is_file(),
            "{store}"
        );
        project.run(&["rollback", "--to", releases[0]]).expect_code(0);
        assert_eq!(visitor_state(&current), former, "{store}");
        for release in releases {
            project.run(&["verify", release, "--deep"]).expect_code(0);
        }
        // Fields that this version does not recognize are kept.
        let after = records(&project);
        for (name, bytes) in &before {
            assert_eq!(after.get(name), Some(bytes), "{store}: {name}");
            assert!(name.ends_with(".sig") || String::from_utf8_lossy(bytes).contains("a-field-of-a-later-version"));
        }
        project.run(&["prune"]).expect_code(0);
        project.run(&["verify", "--deep"]).expect_code(0);
    }
}

#[test]
fn a_repair_of_a_document_keeps_what_this_version_does_not_know() {
    let (store, releases) = STORES[0];
    let project = project(store);
    let document = project
        .dir
        .join(format!("target/docroot/releases/{}.json", releases[0]));
    let text = fs::read_to_string(&document).unwrap();
    let root = text.split("\"root\": \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(&document, text.replace(root, &"ab".repeat(32))).unwrap();
    project.run(&["verify", releases[0], "--repair"]).expect_code(0);
    assert_eq!(fs::read_to_string(&document).unwrap(), text);
}

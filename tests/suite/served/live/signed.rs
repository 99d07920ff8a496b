//! A release that fails at the origin, with signatures required. The rollback goes to a signed release, or does not
//! happen.

use std::fs;
use std::process::Command;

use super::{Site, codes, seen};

/// A site whose server fails on a page that no release has yet, and a key whose signatures are accepted.
fn site() -> Site {
    let site = Site::changed(|vhost| {
        vhost.replace(
            "autoindex off;",
            "autoindex off;\nlocation = /broken { if (-f $document_root/broken.html) { return 500; } return 404; }",
        )
    });
    let key = site.project.dir.join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(site.project.dir.join("key.pub")).unwrap();
    site.project.write(
        "allowed",
        format!("ci@demo namespaces=\"syntax-publish-release\" {public}"),
    );
    site
}

fn require_signatures(site: &mut Site) {
    site.tables += "[sign]\nkey = \"key\"\nallowed-signers = \"allowed\"\nrequire = true\n";
    site.write();
}

fn add_the_page_that_fails(site: &Site) {
    for end in ["html", "txt"] {
        let bytes = fs::read(site.project.dir.join(format!("out/docs/a.{end}"))).unwrap();
        site.project.write(format!("out/broken.{end}"), bytes);
    }
}

#[test]
fn rollback_by_itself_goes_to_a_signed_release() {
    let mut site = site();
    require_signatures(&mut site);
    let first = site.run(&["publish"]).expect_code(0).json();
    add_the_page_that_fails(&site);
    let ran = site.run(&["publish"]).expect_code(6);
    assert_eq!(ran.json()["error"]["live"], first["release"], "{ran}");
}

#[test]
fn rollback_by_itself_goes_to_no_unsigned_release_where_signatures_are_required() {
    let mut site = site();
    let unsigned = site.run(&["publish"]).expect_code(0).json();
    require_signatures(&mut site);
    add_the_page_that_fails(&site);
    site.edit("Signed.");
    let ran = site.run(&["publish"]).expect_code(7);
    let error = &ran.json()["error"];
    assert_eq!(error["code"], "cannot-go-back", "{ran}");
    let message = error["message"].as_str().unwrap();
    let why = format!("{} is not signed", unsigned["release"].as_str().unwrap());
    assert!(message.contains(&why), "{ran}");
    assert!(error["hint"].as_str().unwrap().contains("publish again"), "{ran}");
    assert_eq!(codes(&ran), ["status"]);
    // Visitors keep the release that is signed.
    assert!(seen(site.origin.address()).contains("Signed."));
    let live = site.run(&["status"]).expect_code(0).json()["release"].clone();
    assert_ne!(live, unsigned["release"]);
    // Once the site is repaired, it is published as usual.
    for end in ["html", "txt"] {
        fs::remove_file(site.project.dir.join(format!("out/broken.{end}"))).unwrap();
    }
    site.run(&["publish"]).expect_code(0);
    site.run(&["verify", "--signature"]).expect_code(0);
}

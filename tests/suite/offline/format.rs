//! The store's format against committed examples. Examples are only ever added: what was written once must stay
//! readable.

use std::fs;
use std::path::Path;

use syntax_publish::model::cache::Classes;
use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::{Encodings, Recipe};
use syntax_publish::model::manifest::{Input, Site};
use syntax_publish::model::media::media_type;
use syntax_publish::model::path::SitePath;
use syntax_publish::model::release::ReleaseDocument;
use syntax_publish::model::tree::Tree;

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A site with one of everything that a manifest can contain.
fn example() -> Site {
    let made = Encodings {
        br: Some(Recipe::made(11)),
        gz: Some(Recipe::made(9)),
    };
    let given = Encodings {
        br: None,
        gz: Some(Recipe::given(Digest::of(b"encoded elsewhere"))),
    };
    let file = |path: &str, encodings| Input {
        path: SitePath::new(path).unwrap(),
        digest: Digest::of(path.as_bytes()),
        size: path.len() as u64,
        media_type: media_type(path).into(),
        encodings,
    };
    let files = [
        file("index.html", made),
        file("404.html", made),
        file("favicon.ico", Encodings::default()),
        file("docs/größe.html", made),
        file("docs/größe/__next.docs.$d$market (1).txt", given),
        file("_next/static/chunks/0t0z5u_ughhp5.js", made),
    ];
    Site::new(files, &Classes::new("_assets"))
}

#[test]
fn manifests_are_written_as_they_always_were() {
    let site = example();
    for (path, name) in [
        ("", "tree-1-top.txt"),
        ("docs", "tree-1-docs.txt"),
        ("docs/größe", "tree-1-names.txt"),
    ] {
        let tree = &site.folders[&SitePath::new(path).unwrap()].tree;
        assert_eq!(tree.render(), golden(name), "{path:?}");
    }
    assert_eq!(site.root.to_string(), golden("tree-1-root-digest.txt").trim());
}

#[test]
fn manifests_of_every_version_are_read() {
    for name in ["tree-1-top.txt", "tree-1-docs.txt", "tree-1-names.txt"] {
        let text = golden(name);
        let tree = Tree::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tree.digest(), Digest::of(text.as_bytes()));
    }
}

#[test]
fn release_documents_of_every_version_are_read() {
    let document: ReleaseDocument = serde_json::from_str(&golden("release-1.json")).unwrap();
    assert_eq!(document.id.as_str(), "20261123-184500-0a1b2c");
    assert_eq!(
        document.previous.map(|id| id.to_string()).as_deref(),
        Some("20261123-171200-ffee00")
    );
    assert_eq!((document.files, document.bytes), (147, 1_602_689));
}

#[test]
fn a_later_manifest_is_refused_by_name() {
    let later = golden("tree-1-top.txt").replacen("tree 1", "tree 3", 1);
    let error = Tree::parse(&later).unwrap_err().to_string();
    assert!(error.contains("syntax-publish tree 3"), "{error}");
}

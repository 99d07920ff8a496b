//! Tests of the manifest's guarantees: the same files have the same digest, and a comparison is exact.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::model::cache::CacheClass;
use crate::model::digest::Digest;
use crate::model::encoding::Recipe;

fn input(path: &str, content: &str) -> Input {
    Input {
        path: SitePath::new(path).unwrap(),
        digest: Digest::of(content.as_bytes()),
        size: content.len() as u64,
        media_type: "text/html".into(),
        encodings: Encodings {
            br: Some(Recipe::made(11)),
            gz: Some(Recipe::made(9)),
        },
    }
}

fn site(files: impl IntoIterator<Item = Input>) -> Site {
    Site::new(files, &Classes::new("_assets"))
}

#[test]
fn the_order_of_files_does_not_matter() {
    let files = [
        input("index.html", "a"),
        input("docs/a.html", "b"),
        input("docs/deep/b.html", "c"),
    ];
    let forwards = site(files.clone());
    let backwards = site(files.into_iter().rev());
    assert_eq!(forwards.root, backwards.root);
    assert_eq!(forwards.folders.len(), 3);
    assert_eq!((forwards.files, forwards.bytes), (3, 3));
}

#[test]
fn the_manifest_has_each_files_class_as_the_site_says() {
    let files = [input("files/a.png", "x"), input("_assets/a.png", "x")];
    let class_in = |classes: Classes, path: &str| {
        let site = Site::new(files.clone(), &classes);
        site.file(&SitePath::new(path).unwrap()).unwrap().cache
    };
    assert_eq!(class_in(Classes::new("files"), "files/a.png"), CacheClass::Immutable);
    assert_eq!(class_in(Classes::new("files"), "_assets/a.png"), CacheClass::Revalidate);
    assert_eq!(class_in(Classes::new("_assets"), "files/a.png"), CacheClass::Revalidate);
}

#[test]
fn folders_that_hold_only_folders_are_folders() {
    let site = site([input("a/b/c/d.txt", "x")]);
    let paths: Vec<&str> = site.folders.keys().map(SitePath::as_str).collect();
    assert_eq!(paths, ["", "a", "a/b", "a/b/c"]);
}

#[test]
fn a_file_whose_encodings_name_is_taken_does_without_it() {
    let site = site([
        input("a.html", "x"),
        input("a.html.br/b.txt", "y"),
        input("c.html", "z"),
    ]);
    let a = site.file(&SitePath::new("a.html").unwrap()).unwrap();
    assert_eq!((a.encodings.br.is_some(), a.encodings.gz.is_some()), (false, true));
    let c = site.file(&SitePath::new("c.html").unwrap()).unwrap();
    assert!(c.encodings.br.is_some());
}

#[test]
fn a_file_that_became_a_folder_is_removed_and_its_files_are_added() {
    let from = site([input("a", "x")]);
    let to = site([input("a/b", "x")]);
    let known = |digest| from.tree(digest).or_else(|| to.tree(digest));
    let changes = diff(Some(from.root), Some(to.root), &known).unwrap();
    let listed: Vec<(&str, ChangeKind)> = changes.list.iter().map(|c| (c.path.as_str(), c.change)).collect();
    assert_eq!(listed, [("a", ChangeKind::Removed), ("a/b", ChangeKind::Added)]);
}

#[test]
fn the_encodings_that_an_export_brought_are_public_by_their_own_names() {
    let given = |content: &str| Input {
        encodings: Encodings {
            br: Some(Recipe::made(11)),
            gz: Some(Recipe::given(Digest::of(content.as_bytes()))),
        },
        ..input("files/x.tar", content)
    };
    let known = |from: &Site, to: &Site| {
        let known = |digest| from.tree(digest).or_else(|| to.tree(digest));
        let changes = diff(Some(from.root), Some(to.root), &known).unwrap();
        let paths = changes.list.iter().flat_map(Change::public_paths);
        paths.map(|path| path.to_string()).collect::<Vec<_>>()
    };
    let (one, other, made, none) = (
        site([given("x")]),
        site([given("y")]),
        site([input("files/x.tar", "z")]),
        site([input("a", "x")]),
    );
    let both = ["files/x.tar", "files/x.tar.gz"];
    assert_eq!(known(&one, &other), both);
    assert_eq!(known(&made, &one), both);
    assert_eq!(known(&one, &made), both);
    assert_eq!(known(&made, &site([input("files/x.tar", "a")])), ["files/x.tar"]);
    assert_eq!(known(&one, &none), ["a", "files/x.tar", "files/x.tar.gz"]);
}

#[test]
fn what_is_not_known_is_asked_for() {
    let from = site([input("a/b", "x"), input("c/d", "y")]);
    let to = site([input("a/b", "z"), input("c/d", "y")]);
    let unknown = diff(Some(from.root), Some(to.root), &|digest| to.tree(digest)).unwrap_err();
    assert_eq!(unknown, BTreeSet::from([from.root]));
}

proptest! {
    #[test]
    fn a_manifest_reads_back_as_it_was_written(
        files in prop::collection::btree_map("[a-zäß $()!'\\[\\]-]{1,12}", "[a-z]{0,8}", 0..12)
    ) {
        let site = site(files.iter().map(|(name, content)| input(name, content)));
        for folder in site.folders.values() {
            let text = folder.tree.render();
            prop_assert_eq!(Tree::parse(&text), Ok(Tree::clone(&folder.tree)));
            prop_assert_eq!(Digest::of(text.as_bytes()), folder.digest);
        }
    }

    #[test]
    fn garbage_is_never_a_manifest_and_never_a_panic(text in ".{0,300}") {
        let with_header = format!("{}\n{text}", crate::model::tree::HEADER);
        if let Ok(tree) = Tree::parse(&with_header) {
            prop_assert_eq!(tree.render(), with_header);
        }
        prop_assert!(Tree::parse(&text).is_err() || text.starts_with(crate::model::tree::HEADER));
    }
}

#[test]
fn any_damage_to_a_manifest_is_noticed() {
    let site = site([input("index.html", "a"), input("docs/a.html", "b")]);
    let text = site.folders[&SitePath::root()].tree.render();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(damaged) = String::from_utf8(bytes) else {
            continue;
        };
        // Either it does not parse, or it is another tree, whose digest is not the file's name.
        if let Ok(tree) = Tree::parse(&damaged) {
            assert_ne!(tree.digest(), site.root, "byte {at}");
        }
    }
}

#[test]
fn few_trees_that_claim_to_be_millions_of_files_are_neither_compared_nor_put_together() {
    let mut trees: HashMap<Digest, Tree> = HashMap::new();
    let mut tree = Tree::default();
    for number in 1000..2000 {
        let file = File {
            digest: Digest::of(b"x"),
            size: 1,
            cache: CacheClass::Revalidate,
            encodings: Encodings::default(),
            media_type: "text/plain".into(),
        };
        tree.entries.insert(format!("{number}").into(), Entry::File(file));
    }
    let mut digest = Digest::of(tree.render().as_bytes());
    for _ in 0..16 {
        trees.insert(digest, tree);
        tree = Tree::default();
        for name in ["a", "b"] {
            tree.entries.insert(name.into(), Entry::Folder(digest));
        }
        digest = Digest::of(tree.render().as_bytes());
    }
    trees.insert(digest, tree);
    let known = |digest| trees.get(&digest);
    assert_eq!(diff(None, Some(digest), &known), Err(BTreeSet::new()));
    assert!(Site::of_trees(digest, MOST_FOLDERS, &known).is_none());
}

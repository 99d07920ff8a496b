//! What prune removes, and what it must keep.

use std::fs;

use serde_json::json;

use super::commands::everywhere;
use super::{FAST, Kind, PAGE, World, files_below, store};

/// Makes three releases, of which only the second has a chunk.
fn three_releases(world: &World) -> Vec<String> {
    let mut releases = vec![world.publish()];
    let chunk = world.project.write(
        "export/_next/static/chunks/only-in-two.js",
        "console.log(\"two\");\n".repeat(60),
    );
    world.edit(PAGE, "Two");
    releases.push(world.publish());
    fs::remove_file(chunk).unwrap();
    world.edit(PAGE, "Six");
    releases.push(world.publish());
    releases
}

/// Makes the same releases and a fourth one, so that the second is neither the live nor the previous release.
fn four_releases(world: &World) -> Vec<String> {
    let mut releases = three_releases(world);
    world.edit(PAGE, "Ten");
    releases.push(world.publish());
    releases
}

#[test]
fn what_is_kept_is_intact_and_nothing_else_is_left() {
    everywhere(|world| {
        let releases = four_releases(&world);
        let live = world.live();
        for keep in [3, 2] {
            world.set(&format!("keep = {keep}\nskew = \"0\"\n"), FAST);
            let before = files_below(&world.docroot().join("objects"));
            let dry = world.ask(&["prune", "--dry-run"]);
            assert_eq!(files_below(&world.docroot().join("objects")), before);
            assert_eq!(world.releases().len(), keep + 1);

            let pruned = world.ask(&["prune"]);
            assert_eq!(pruned["releases"], json!(1));
            assert_eq!(pruned, dry, "what the dry run told");
            let after = files_below(&world.docroot().join("objects"));
            let gone: usize =
                before.values().map(Vec::len).sum::<usize>() - after.values().map(Vec::len).sum::<usize>();
            assert_eq!(pruned["objects"], json!(before.len() - after.len()));
            assert_eq!(pruned["bytes"], json!(gone));
            let newest: Vec<&String> = releases.iter().rev().take(keep).collect();
            assert_eq!(world.releases().iter().collect::<Vec<_>>(), newest);
            store::assert_swept(world.docroot());
            for release in newest {
                assert_eq!(world.ask(&["verify", release, "--deep"])["ok"], json!(true));
            }
            assert_eq!(world.live(), live);
        }
        assert_eq!(
            world.ask(&["prune"]),
            json!({"channels": 0, "releases": 0, "trees": 0, "objects": 0, "bytes": 0})
        );
        world.edit(PAGE, "Two");
        world.publish();
        world.assert_live(&files_below(&world.export()));
    });
}

#[test]
fn open_tabs_find_their_chunks_until_the_skew_window_ends() {
    everywhere(|world| {
        four_releases(&world);
        let chunk = world.docroot().join("immutable/_next/static/chunks/only-in-two.js");
        world.set("keep = 1\nskew = \"1h\"\n", FAST);
        assert_eq!(world.ask(&["prune"])["releases"], json!(2));
        assert!(chunk.is_file(), "a chunk that an open tab may ask for");
        world.assert_whole();
        store::assert_idle(world.docroot());
        world.set("keep = 1\nskew = \"0\"\n", FAST);
        world.ask(&["prune"]);
        assert!(!chunk.exists(), "nobody may ask for it any more");
        store::assert_swept(world.docroot());
    });
}

#[test]
fn release_that_was_rolled_back_to_is_kept() {
    everywhere(|world| {
        let releases = three_releases(&world);
        world.ask(&["rollback", "--to", &releases[0]]);
        let live = world.live();
        world.set("keep = 1\nskew = \"0\"\n", FAST);
        world.ask(&["prune"]);
        assert!(world.releases().contains(&releases[0]));
        assert_eq!(world.live(), live);
        store::assert_swept(world.docroot());
        world.assert_whole();
    });
}

#[test]
fn the_way_back_stays_open_however_few_releases_are_kept() {
    everywhere(|world| {
        world.set("keep = 2\nskew = \"0\"\n", FAST);
        let first = world.publish();
        world.edit(PAGE, "Two");
        world.publish();
        world.ask(&["rollback"]);
        world.edit(PAGE, "Six");
        world.publish();
        world.edit(PAGE, "Ten");
        world.set("keep = 1\nskew = \"0\"\n", FAST);
        world.ask(&["prune"]);
        // The release that the live one replaced is older than the one that was rolled back.
        assert_eq!(world.ask(&["rollback"])["release"], json!(first));
        store::assert_swept(world.docroot());
        world.assert_whole();
    });
}

#[test]
fn publish_prunes_by_itself_what_is_beyond_the_retention() {
    everywhere(|world| {
        world.set("keep = 2\nskew = \"0\"\n", FAST);
        let releases = three_releases(&world);
        assert_eq!(world.releases(), [releases[2].clone(), releases[1].clone()]);
        store::assert_swept(world.docroot());
        world.assert_live(&files_below(&world.export()));
    });
}

#[test]
fn a_publish_says_what_it_pruned() {
    let world = World::new(Kind::Local);
    world.set("keep = 1\nskew = \"0\"\n", FAST);
    let said = |word| {
        world.edit(PAGE, word);
        world.project.run(&["publish"]).expect_code(0).stderr
    };
    for word in ["One", "Two"] {
        let said = said(word);
        assert!(!said.contains("pruned"), "{said}");
    }
    let said = said("Six");
    assert!(said.contains("note: pruned 1 old release, "), "{said}");
}

#[test]
fn a_release_that_a_rollback_left_is_kept_for_a_while_and_its_readers_find_their_chunks() {
    let world = World::new(Kind::Local);
    let releases = three_releases(&world);
    // All releases are made to look old.
    for release in &releases {
        let document = world.docroot().join(format!("releases/{release}.json"));
        let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&document).unwrap()).unwrap();
        text["created"] = json!("2020-02-02T02:02:02Z");
        fs::write(&document, serde_json::to_vec(&text).unwrap()).unwrap();
    }
    let chunk = world.docroot().join("immutable/_next/static/chunks/only-in-two.js");
    world.ask(&["rollback", "--to", &releases[1]]);
    world.ask(&["rollback", "--to", &releases[0]]);
    world.set("keep = 1\nskew = \"1h\"", FAST);
    assert_eq!(world.ask(&["prune"])["releases"], json!(0));
    assert!(world.releases().contains(&releases[1]), "undo has named it");
    assert!(chunk.is_file(), "it was live until a moment ago");
    world.set("keep = 1\nskew = \"0\"", FAST);
    assert_eq!(world.ask(&["prune"])["releases"], json!(1));
    assert!(!chunk.exists());
    store::assert_swept(world.docroot());
}

//! A damaged store: the damage is found, named and repaired, and no publish makes it worse.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::World;

fn replace_link(world: &World, name: &str, text: &str) {
    let path = world.docroot.join(name);
    let _ = fs::remove_file(&path);
    symlink(text, path).unwrap();
}

/// The digest of the tree that contains the documentation pages.
fn docs_tree(world: &World) -> String {
    let tree = fs::read_link(world.docroot.join("current/docs")).unwrap();
    tree.file_name().unwrap().to_str().unwrap().to_owned()
}

fn page(world: &World) -> PathBuf {
    world.docroot.join("current/docs/a.html")
}

fn whole(world: &World) {
    world.project.run(&["verify", "--deep"]).expect_code(0);
    assert_eq!(
        fs::read(world.out("docs/a.html")).unwrap(),
        fs::read(page(world)).unwrap()
    );
}

#[test]
fn a_current_that_points_to_no_release_is_named_and_repaired() {
    let world = World::local();
    replace_link(&world, "current", "releases/20200101-000000-abcdef");
    insta::assert_snapshot!(world.fails(1, &["verify"]), @r"
    exit 1
    --- stdout
    releases/[release]: the release's symlink is missing
    releases/[release].json: the release's document is missing
    [release] is damaged: 2 problems (0 files checked)

    --- stderr
    ");
    world.edit("edited");
    world.project.run(&["publish"]).expect_code(0);
    whole(&world);
}

#[test]
fn a_current_that_points_out_of_the_store_says_how_to_set_it_right() {
    let world = World::local();
    let live = fs::read_link(world.docroot.join("current")).unwrap();
    replace_link(&world, "current", "/etc/ssl");
    world.edit("edited");
    insta::assert_snapshot!(world.refuses(5, &["publish", "--force"]), @r#"
    exit 5
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: current on [project]/target/docroot is damaged: it points to "/etc/ssl"
    target: local (target/docroot)
    live: unchanged
    hint: see who changed it; then let it name a release again, on the host, in the docroot: ln -sfn releases/RELEASE current
    "#);
    insta::assert_snapshot!(world.refuses(5, &["verify"]), @r#"
    exit 5
    --- stdout

    --- stderr
    error: current on [project]/target/docroot is damaged: it points to "/etc/ssl"
    target: local (target/docroot)
    live: unchanged
    hint: see who changed it; then let it name a release again, on the host, in the docroot: ln -sfn releases/RELEASE current
    "#);
    world.refuses(5, &["rollback"]);
    world.refuses(5, &["status"]);
    replace_link(&world, "current", live.to_str().unwrap());
    world.project.run(&["publish"]).expect_code(0);
    whole(&world);
}

#[test]
fn a_hold_that_does_not_read_holds_and_can_be_resumed() {
    let world = World::local();
    replace_link(&world, "hold", "because");
    world.edit("edited");
    insta::assert_snapshot!(world.fails(4, &["publish"]), @r"
    exit 4
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: publishing is on hold: because
    target: local (target/docroot)
    live: [release]
    hint: when the reason is gone: `syntax-publish resume`
    ");
    world.project.run(&["status"]).expect_code(0);
    world.project.run(&["plan"]).expect_code(0);
    world.project.run(&["resume"]).expect_code(0);
    world.project.run(&["publish"]).expect_code(0);
    whole(&world);
}

#[test]
fn a_store_that_lost_its_mark_is_not_taken_for_anything_else() {
    let world = World::local();
    let mark = fs::read_link(world.docroot.join("format")).unwrap();
    fs::remove_file(world.docroot.join("format")).unwrap();
    world.edit("edited");
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: format on [project]/target/docroot is damaged: it is missing, and what else is there looks like a release store
    target: local (target/docroot)
    live: unchanged
    hint: if this is the target's own store, mark it again, on the host, in the docroot: ln -s syntax-publish-store-1 format; nothing was touched
    ");
    replace_link(&world, "format", mark.to_str().unwrap());
    world.project.run(&["publish"]).expect_code(0);
    whole(&world);
}

#[test]
fn a_manifest_with_flipped_bytes_is_named_and_the_next_publish_is_intact() {
    let world = World::local();
    let manifest = world.docroot.join("manifests").join(docs_tree(&world));
    let mut bytes = fs::read(&manifest).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    insta::assert_snapshot!(world.fails(1, &["verify"]), @r"
    exit 1
    --- stdout
    manifests/[digest]: the manifest of /docs has other bytes than were published
    [release] is damaged: 1 problem (10 files checked)

    --- stderr
    ");
    world.edit("edited");
    world.project.run(&["publish"]).expect_code(0);
    whole(&world);
}

#[test]
fn an_object_that_was_cut_short_is_named_and_sent_again_by_force() {
    let world = World::local();
    fs::write(page(&world), "cut").unwrap();
    insta::assert_snapshot!(world.fails(1, &["verify"]), @r"
    exit 1
    --- stdout
    docs/a.html: the file has 3 bytes instead of 570
    objects/37/[digest]: the object has 3 bytes instead of 570
    [release] is damaged: 2 problems (12 files checked)

    --- stderr
    ");
    world.project.run(&["publish", "--force"]).expect_code(0);
    whole(&world);
}

#[test]
fn an_object_that_was_cut_short_is_not_trusted_by_an_ordinary_publish() {
    let world = World::local();
    fs::write(page(&world), "cut").unwrap();
    // The same content under another name: the object exists, but has the wrong size.
    for ending in ["html", "txt"] {
        let page = |name: &str| world.out(&format!("docs/{name}.{ending}"));
        fs::copy(page("a"), page("b")).unwrap();
    }
    world.project.run(&["publish"]).expect_code(0);
    let published = fs::read(world.docroot.join("current/docs/b.html")).unwrap();
    assert_eq!(published, fs::read(world.out("docs/b.html")).unwrap());
}

#[test]
fn a_missing_folder_of_the_release_is_named_and_made_again() {
    for args in [&["publish"] as &[&str], &["publish", "--force"]] {
        let world = World::local();
        fs::remove_dir_all(world.docroot.join("trees").join(docs_tree(&world))).unwrap();
        let shown = world.shown(&world.project.run(&["verify"]).expect_code(1));
        if args.len() == 1 {
            insta::assert_snapshot!(shown, @r"
            exit 1
            --- stdout
            trees/[digest]: the folder level of /docs is missing
            [release] is damaged: 1 problem (12 files checked)

            --- stderr
            ");
            world.edit("edited");
        }
        world.project.run(args).expect_code(0);
        whole(&world);
    }
}

#[test]
fn a_missing_object_is_named_and_sent_again_by_force() {
    let world = World::local();
    let digest = blake3::hash(&fs::read(page(&world)).unwrap()).to_hex();
    fs::remove_file(world.docroot.join(format!("objects/{}/{digest}", &digest[..2]))).unwrap();
    insta::assert_snapshot!(world.fails(1, &["verify"]), @r"
    exit 1
    --- stdout
    objects/37/[digest]: the object is missing
    [release] is damaged: 1 problem (12 files checked)

    --- stderr
    ");
    world.project.run(&["publish", "--force"]).expect_code(0);
    whole(&world);
}

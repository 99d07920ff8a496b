//! A damaged store: the damage is found, named and repaired, and no publish makes it worse.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{World, find, unindented};

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

/// Damage to a release, what `verify` says of it, and the command that repairs it. An ordinary publish repairs what it
/// writes, so a page is edited before it.
struct Damage {
    what: &'static str,
    breaks: fn(&World),
    verify: &'static [&'static str],
    /// All of stdout. Nothing is printed on stderr.
    says: &'static str,
    then: &'static [&'static str],
}

const DAMAGE: &[Damage] = &[
    Damage {
        what: "a current that leads to no release",
        breaks: |world| replace_link(world, "current", "releases/20200101-000000-abcdef"),
        verify: &["verify"],
        says: r"
            releases/[release]: the release's symlink is missing
            releases/[release].json: the release's document is missing
            [release] is damaged: 2 problems (0 files checked)",
        then: &["publish"],
    },
    Damage {
        what: "a manifest with a flipped bit",
        breaks: |world| {
            let manifest = world.docroot.join("manifests").join(docs_tree(world));
            let mut bytes = fs::read(&manifest).unwrap();
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            fs::write(&manifest, bytes).unwrap();
        },
        verify: &["verify"],
        says: r"
            manifests/[digest]: the manifest of /docs has other bytes than were published
            [release] is damaged: 1 problem (10 files checked)",
        then: &["publish"],
    },
    Damage {
        what: "a manifest that was cut short",
        breaks: |world| {
            let manifest = find(&world.docroot.join("manifests"), |_| true);
            fs::write(&manifest, "syntax-publish tree 1\nfile").unwrap();
            world.edit("edited");
        },
        verify: &["verify"],
        says: r"
            manifests/[digest]: the manifest of /_next/static/pX3vLm9Qe_TzKc7uR1aYb has other bytes than were published
            [release] is damaged: 1 problem (9 files checked)",
        then: &["publish", "--force"],
    },
    Damage {
        what: "an object that was cut short",
        breaks: |world| fs::write(page(world), "cut").unwrap(),
        verify: &["verify"],
        says: r"
            docs/a.html: the file has 3 bytes instead of 570
            objects/37/[digest]: the object has 3 bytes instead of 570
            [release] is damaged: 2 problems (12 files checked)",
        then: &["publish", "--force"],
    },
    Damage {
        what: "an object that is missing",
        breaks: |world| {
            let digest = blake3::hash(&fs::read(page(world)).unwrap()).to_hex();
            fs::remove_file(world.docroot.join(format!("objects/{}/{digest}", &digest[..2]))).unwrap();
        },
        verify: &["verify"],
        says: r"
            objects/37/[digest]: the object is missing
            [release] is damaged: 1 problem (12 files checked)",
        then: &["publish", "--force"],
    },
    Damage {
        what: "an object with other bytes",
        breaks: |world| {
            let length = fs::read(page(world)).unwrap().len();
            fs::write(page(world), vec![b'x'; length]).unwrap();
            // Only reading it shows that.
            world.project.run(&["verify"]).expect_code(0);
        },
        verify: &["verify", "--deep"],
        says: r"
            docs/a.html: the file has other bytes than were published
            objects/37/[digest]: the object has other bytes than were published
            [release] is damaged: 2 problems (12 files checked)",
        then: &["publish", "--force"],
    },
    Damage {
        what: "a folder level that is missing",
        breaks: |world| fs::remove_dir_all(world.docroot.join("trees").join(docs_tree(world))).unwrap(),
        verify: &["verify"],
        says: r"
            trees/[digest]: the folder level of /docs is missing
            [release] is damaged: 1 problem (12 files checked)",
        then: &["publish"],
    },
    Damage {
        what: "a folder level that is missing, and a forced publish",
        breaks: |world| fs::remove_dir_all(world.docroot.join("trees").join(docs_tree(world))).unwrap(),
        verify: &["verify"],
        says: r"
            trees/[digest]: the folder level of /docs is missing
            [release] is damaged: 1 problem (12 files checked)",
        then: &["publish", "--force"],
    },
];

#[test]
fn damage_is_named_and_repaired() {
    for damage in DAMAGE {
        let world = World::local();
        (damage.breaks)(&world);
        // What visitors get can't be compared here: some of it is missing.
        let before = world.held();
        let shown = world.shown(&world.project.run(damage.verify).expect_code(1));
        world.fails_as_json(1, damage.verify);
        assert_eq!(world.held(), before, "{}", damage.what);
        let expected = format!("exit 1\n--- stdout\n{}\n\n--- stderr", unindented(damage.says));
        assert_eq!(shown.trim_end(), expected, "{}:\n{shown}", damage.what);
        if damage.then.len() == 1 {
            world.edit("edited");
        }
        world.project.run(damage.then).expect_code(0);
        whole(&world);
    }
}

#[test]
fn a_current_that_points_out_of_the_store_is_reported_with_the_repair() {
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

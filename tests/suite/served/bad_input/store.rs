//! Faults of the docroot and of its content.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::{Case, World, check_each};
use crate::support::command::{docroot_state, write};

#[test]
fn a_docroot_with_other_things_in_it_is_left_alone() {
    let world = World::empty();
    write(&world.docroot.join("index.php"), "<?php");
    write(&world.docroot.join("storage/app.key"), "secret");
    let before = docroot_state(&world.docroot);
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: the docroot on [project]/target/docroot is not empty and not a release store; it contains: index.php, storage
    target: local (target/docroot)
    live: unchanged
    hint: give the target a docroot of its own, empty or missing; nothing in this one was touched
    ");
    assert_eq!(docroot_state(&world.docroot), before);
    insta::assert_snapshot!(world.fails(5, &["status"]), @r"
    exit 5
    --- stdout

    --- stderr
    error: the docroot on [project]/target/docroot is not empty and not a release store; it contains: index.php, storage
    target: local (target/docroot)
    live: unchanged
    hint: give the target a docroot of its own, empty or missing; nothing in this one was touched
    ");
}

#[test]
fn a_docroot_that_is_a_file_or_has_no_parent_is_named() {
    let world = World::empty();
    fs::write(&world.docroot, "").unwrap();
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: can't use the folder [project]/target/docroot: it is not a folder
    target: local (target/docroot)
    live: unchanged
    hint: fix `docroot` of the target, or see who may enter it
    ");
    world
        .project
        .write_manifest("[targets.local]\nkind = \"local\"\ndocroot = \"/nowhere/at/all\"\n");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to local (/nowhere/at/all)
    error: the docroot on /nowhere/at/all doesn't exist, and neither does the folder above it
    target: local (/nowhere/at/all)
    live: nothing yet
    hint: make the folder above the docroot, or correct `docroot` of the target
    ");
}

/// Faults of a store.
const STORE: &[Case] = &[
    Case {
        what: "a store of a later format",
        breaks: |world| {
            fs::remove_file(world.docroot.join("format")).unwrap();
            symlink("syntax-publish-store-2", world.docroot.join("format")).unwrap();
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r#"
            publishing demo to local (target/docroot)
            error: the store on [project]/target/docroot is of a format this version does not know: "syntax-publish-store-2"
            target: local (target/docroot)
            live: unchanged
            hint: update syntax-publish to the version that published last"#,
    },
    Case {
        what: "a folder that others may write to",
        breaks: |world| {
            fs::set_permissions(world.docroot.join("trees"), fs::Permissions::from_mode(0o777)).unwrap();
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing demo to local (target/docroot)
            error: trees on [project]/target/docroot may be written by others (mode 777)
            target: local (target/docroot)
            live: unchanged
            hint: remove that permission on the host, in the docroot: chmod go-w trees",
    },
    Case {
        what: "a stray name in the lock",
        breaks: |world| {
            fs::create_dir_all(world.docroot.join("lock/My Backup")).unwrap();
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r#"
            publishing demo to local (target/docroot)
            note: another run holds the lock; waiting
            error: the lock is jammed: its folder lock/ holds "My Backup", which no publish put there
            target: local (target/docroot)
            live: [release]
            hint: see what put My Backup there, and delete it by hand"#,
    },
];

#[test]
fn faults_of_a_store_are_named() {
    check_each(World::local, World::fails, STORE);
}

#[test]
fn a_current_that_points_elsewhere_is_named() {
    let world = World::local();
    fs::remove_file(world.docroot.join("current")).unwrap();
    symlink("/etc", world.docroot.join("current")).unwrap();
    world.edit("edited");
    let ran = world.project.run(&["publish"]).expect_code(5);
    insta::assert_snapshot!(world.shown(&ran), @r#"
    exit 5
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: current on [project]/target/docroot is damaged: it points to "/etc"
    target: local (target/docroot)
    live: unchanged
    hint: see who changed it; then let it name a release again, on the host, in the docroot: ln -sfn releases/RELEASE current
    "#);
}

#[test]
fn a_lock_whose_holder_lives_is_waited_for_no_longer_than_it_takes_to_see_that() {
    let world = World::local();
    let holder = world.docroot.join("lock/0123456789abcdef");
    fs::create_dir_all(&holder).unwrap();
    symlink(
        r#"{"who":"ci@runner","what":"publish","since":1790000000}"#,
        holder.join("owner"),
    )
    .unwrap();
    world.edit("edited");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let beating = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            for beat in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                fs::create_dir(holder.join(format!("beat{beat}"))).unwrap();
                std::thread::park_timeout(Duration::from_millis(300));
            }
        }
    });
    let shown = world.fails(4, &["publish"]);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    beating.join().unwrap();
    insta::assert_snapshot!(shown, @r"
    exit 4
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    note: another run holds the lock; waiting
    error: publish of [who] (since [time]) holds the lock
    target: local (target/docroot)
    live: [release]
    hint: try again when it has ended, or let publish wait for it: --wait 10m
    ");
}

#[test]
fn a_lock_whose_holder_is_dead_is_taken_over() {
    let world = World::local();
    let holder = world.docroot.join("lock/0123456789abcdef");
    fs::create_dir_all(&holder).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    fs::File::open(&holder).unwrap().set_modified(long_ago).unwrap();
    world.edit("edited");
    world.project.run(&["publish"]).expect_code(0);
    assert!(fs::read(world.docroot.join("current/docs/a.html")).unwrap() == b"edited");
    assert_eq!(fs::read_dir(world.docroot.join("lock")).unwrap().count(), 0);
}

#[test]
fn a_store_with_nothing_published_says_so() {
    let world = World::empty();
    insta::assert_snapshot!(world.fails(1, &["rollback"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: nothing has been published to [project]/target/docroot yet
    target: local (target/docroot)
    live: nothing yet
    hint: publish first: `syntax-publish publish`
    ");
    insta::assert_snapshot!(world.fails(1, &["verify"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: nothing has been published to [project]/target/docroot yet
    target: local (target/docroot)
    live: nothing yet
    hint: publish first: `syntax-publish publish`
    ");
    world.project.run(&["status"]).expect_code(0);
    world.project.run(&["releases"]).expect_code(0);
    assert!(!world.docroot.exists(), "asking made something");
}

#[test]
fn publishing_on_hold_gives_the_reason_and_planning_goes_on() {
    let world = World::local();
    world.project.run(&["hold", "the fees page is wrong"]).expect_code(0);
    world.edit("edited");
    insta::assert_snapshot!(world.fails(4, &["publish"]), @r"
    exit 4
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: publishing is on hold since [time], by [who]: the fees page is wrong
    target: local (target/docroot)
    live: [release]
    hint: when the reason is gone: `syntax-publish resume`
    ");
    world.project.run(&["plan"]).expect_code(0);
    world.project.run(&["resume"]).expect_code(0);
    world.project.run(&["publish"]).expect_code(0);
}

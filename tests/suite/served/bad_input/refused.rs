//! Invalid stores over SFTP: they are refused and left unchanged.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{Case, World, check_each, find};
use crate::support::command::{docroot_state, write};
use crate::support::sshd::{Jail, OTHER_USER, USER, give_to, is_root, root_for};

/// Gives what a test made to the user of the server.
fn hand_over(path: &std::path::Path) {
    if is_root() {
        give_to(path, USER);
    }
}

#[test]
fn foreign_files_in_a_docroot_are_named_and_left_alone() {
    let world = World::empty_served(Jail::Plain);
    write(&world.docroot.join("index.php"), "<?php");
    write(&world.docroot.join("objects"), "a file of somebody's");
    hand_over(&world.docroot);
    let before = docroot_state(&world.docroot);
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: the docroot on 127.0.0.1 is not empty and not a release store; it contains: index.php, objects
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: give the target a docroot of its own, empty or missing; nothing in this one was touched
    ");
    world.refuses(5, &["prune"]);
    assert_eq!(docroot_state(&world.docroot), before);
}

#[test]
fn a_docroot_that_is_a_file_is_named() {
    let world = World::empty_served(Jail::Plain);
    write(&world.docroot, "no folder");
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: the docroot on 127.0.0.1 should be a folder and isn't
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: see what it is, and move it away
    ");
}

/// Faults of a store.
const STORE: &[Case] = &[
    Case {
        what: "a folder that others may write to",
        breaks: |world| {
            fs::set_permissions(world.docroot.join("trees"), fs::Permissions::from_mode(0o777)).unwrap();
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: trees on 127.0.0.1 may be written by others (mode 777)
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: remove that permission on the host, in the docroot: chmod go-w trees",
    },
    Case {
        what: "a stray name in the lock",
        breaks: |world| {
            fs::create_dir_all(world.docroot.join("lock/lost+found")).unwrap();
            hand_over(&world.docroot.join("lock"));
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r#"
            publishing site to box (127.0.0.1:[host]/site)
            note: another run holds the lock; waiting
            error: the lock is jammed: its folder lock/ holds "lost+found", which no publish put there
            target: box (127.0.0.1:[host]/site)
            live: [release]
            hint: see what put lost+found there, and delete it by hand"#,
    },
];

/// Parts of a store that belong to another user.
const OTHER_USERS: &[Case] = &[
    Case {
        what: "an object",
        breaks: |world| {
            let object = world.object("edited");
            write(&object, "edited");
            give_to(&object, OTHER_USER);
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: objects/69/[digest] on 127.0.0.1 belongs to uid [uid], and the publishing account is uid [uid]
            target: box (127.0.0.1:[host]/site)
            live: [release]
            hint: publish as the user who owns the store, or give everything to the publishing account",
    },
    Case {
        what: "a folder of objects",
        breaks: |world| {
            give_to(world.object("edited").parent().unwrap(), OTHER_USER);
            world.edit("edited");
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: objects/69 on 127.0.0.1 belongs to uid [uid], and the publishing account is uid [uid]
            target: box (127.0.0.1:[host]/site)
            live: [release]
            hint: publish as the user who owns the store, or give everything to the publishing account",
    },
];

#[test]
fn faults_of_a_store_are_named_over_sftp() {
    check_each(|| World::served(Jail::Plain), World::fails, STORE);
}

#[test]
fn objects_of_another_user_are_named() {
    if !root_for("files of another user") {
        return;
    }
    check_each(|| World::served(Jail::Plain), World::fails, OTHER_USERS);
}

#[test]
fn a_store_of_a_later_format_is_left_alone() {
    let world = World::served(Jail::Plain);
    fs::remove_file(world.docroot.join("format")).unwrap();
    symlink("syntax-publish-store-2", world.docroot.join("format")).unwrap();
    world.edit("edited");
    for args in [
        &["publish"] as &[&str],
        &["publish", "--force"],
        &["prune"],
        &["rollback"],
        &["hold", "why"],
    ] {
        world.refuses(5, args);
    }
    insta::assert_snapshot!(world.refuses(5, &["status"]), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the store on 127.0.0.1 is of a format this version does not know: "syntax-publish-store-2"
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: update syntax-publish to the version that published last
    "#);
}

#[test]
fn a_damaged_object_is_found_and_repaired_over_sftp() {
    let world = World::served(Jail::Plain);
    let tree = fs::canonicalize(world.docroot.join("current/docs")).unwrap();
    let page = find(&tree, |name| name == "a.html");
    fs::write(&page, "cut").unwrap();
    world.fails(1, &["verify"]);
    world.project.run(&["publish", "--force"]).expect_code(0);
    world.project.run(&["verify", "--deep"]).expect_code(0);
}

#[test]
fn a_docroot_that_is_mounted_read_only_is_said_to_be_so() {
    if !root_for("a mount") {
        return;
    }
    let world = World::served(Jail::Plain);
    let at = world.docroot.display().to_string();
    let Some(mount) = super::served::bind_read_only(&at) else {
        return;
    };
    world.edit("edited");
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: not allowed to write on 127.0.0.1: its disk is mounted read-only
    target: box (127.0.0.1:[host]/site)
    live: [release]
    hint: on the host: give the docroot to the publishing account; see that the disk is not mounted read-only, and that sshd's `internal-sftp` denies no requests (-R, -P, -p)
    ");
    drop(mount);
    world.project.run(&["publish"]).expect_code(0);
}

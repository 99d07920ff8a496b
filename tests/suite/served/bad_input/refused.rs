//! Invalid stores over SFTP: they are refused and left unchanged.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{World, find};
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

#[test]
fn a_folder_that_others_may_write_to_is_named_with_the_command_that_repairs_it() {
    let world = World::served(Jail::Plain);
    fs::set_permissions(world.docroot.join("trees"), fs::Permissions::from_mode(0o777)).unwrap();
    world.edit("edited");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: trees on 127.0.0.1 may be written by others (mode 777)
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: remove that permission on the host, in the docroot: chmod go-w trees
    ");
}

#[test]
fn an_object_of_another_user_is_named() {
    if !root_for("files of another user") {
        return;
    }
    let world = World::served(Jail::Plain);
    let digest = blake3::hash(b"edited").to_hex();
    let folder = world.docroot.join("objects").join(&digest[..2]);
    write(&folder.join(digest.as_str()), "edited");
    give_to(&folder.join(digest.as_str()), OTHER_USER);
    world.edit("edited");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: objects/69/[digest] on 127.0.0.1 belongs to uid [uid], and the publishing account is uid [uid]
    target: box (127.0.0.1:[host]/site)
    live: [release]
    hint: publish as the user who owns the store, or give everything to the publishing account
    ");
}

#[test]
fn a_folder_of_objects_that_belongs_to_another_user_is_named() {
    if !root_for("files of another user") {
        return;
    }
    let world = World::served(Jail::Plain);
    let digest = blake3::hash(b"edited").to_hex();
    give_to(&world.docroot.join("objects").join(&digest[..2]), OTHER_USER);
    world.edit("edited");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: objects/69 on 127.0.0.1 belongs to uid [uid], and the publishing account is uid [uid]
    target: box (127.0.0.1:[host]/site)
    live: [release]
    hint: publish as the user who owns the store, or give everything to the publishing account
    ");
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
fn a_stray_name_in_the_lock_is_named_over_sftp() {
    let world = World::served(Jail::Plain);
    fs::create_dir_all(world.docroot.join("lock/lost+found")).unwrap();
    hand_over(&world.docroot.join("lock"));
    world.edit("edited");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r#"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    note: another run holds the lock; waiting
    error: the lock is jammed: its folder lock/ holds "lost+found", which no publish put there
    target: box (127.0.0.1:[host]/site)
    live: [release]
    hint: see what put lost+found there, and delete it by hand
    "#);
}

#[test]
fn a_known_host_with_another_key_is_not_trusted() {
    let world = World::served(Jail::Plain);
    let (_, other) = world.sshd().new_key("other-host");
    let known = format!("[127.0.0.1]:{} {other}\n", world.sshd().port);
    let known = world.project.write("known_hosts", known);
    world.write_served(&[
        ("host-key", String::new()),
        ("known-hosts", known.display().to_string()),
    ]);
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: host key mismatch for 127.0.0.1: it shows [fingerprint]
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: don't go on before you know why: compare with the key on the host itself, then correct `host-key` or the known-hosts file
    ");
}

#[test]
fn a_private_key_that_is_not_there_is_named() {
    let world = World::served(Jail::Plain);
    world.write_served(&[("identity", "/nowhere/id_ed25519".to_owned())]);
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: no key can be used for 127.0.0.1: /nowhere/id_ed25519: the file does not exist
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: on this machine: correct `identity` of the target, or put the private key there
    ");
}

#[test]
fn a_user_whom_the_host_does_not_know_is_refused() {
    let world = World::served(Jail::Plain);
    world.write_served(&[("user", "nobody-at-all".to_owned())]);
    insta::assert_snapshot!(world.refuses(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: 127.0.0.1 refuses the key: [who]: Permission denied (publickey).
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: see `user` and `identity` of the target, and that the host has the public key in authorized_keys
    ");
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

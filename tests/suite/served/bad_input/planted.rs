//! A docroot that others can write to: planted symlinks lead nowhere, neither for writing nor for removal.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::World;
use crate::support::command::{docroot_state, write};
use crate::support::sshd::{Jail, OTHER_USER, USER, is_root, root_for};

/// Gives a folder and everything in it to a user.
fn give_all(path: &Path, user: &str) {
    if is_root() {
        let status = Command::new("chown").args(["-hR", user]).arg(path).status();
        assert!(status.unwrap().success());
    }
}

/// Files next to the docroot that the publishing user owns and could write and remove.
fn victim(world: &World) -> std::path::PathBuf {
    let victim = world.docroot.with_file_name("victim");
    for path in [
        "ab/keep.txt",
        "0123456789abcdef/keep.txt",
        "keep.txt",
        "20260101-000000-000000.json",
    ] {
        write(&victim.join(path), "mine");
    }
    give_all(&victim, USER);
    victim
}

/// Every command that writes to a store or removes from it.
const COMMANDS: [&[&str]; 7] = [
    &["publish"],
    &["publish", "--force"],
    &["prune"],
    &["rollback"],
    &["hold", "because"],
    &["resume"],
    &["verify", "--repair"],
];

const FOLDERS: [&str; 8] = [
    "objects",
    "trees",
    "manifests",
    "releases",
    "immutable",
    "work",
    "stale",
    "lock",
];

#[test]
fn a_folder_of_the_store_that_is_a_symlink_is_never_followed() {
    let world = World::served(Jail::Plain);
    world.edit("one");
    world.project.run(&["publish"]).expect_code(0);
    let victim = victim(&world);
    let before = docroot_state(&victim);
    for (number, folder) in FOLDERS.into_iter().enumerate() {
        let (real, kept) = (world.docroot.join(folder), world.docroot.with_file_name("kept"));
        fs::rename(&real, &kept).unwrap();
        symlink(&victim, &real).unwrap();
        give_all(&real, USER);
        world.edit(&format!("edit {number}"));
        for command in COMMANDS {
            let ran = world.project.run(command);
            assert_eq!(docroot_state(&victim), before, "{folder}, {command:?}: {ran}");
        }
        fs::remove_file(&real).unwrap();
        fs::rename(&kept, &real).unwrap();
    }
    world.project.run(&["publish"]).expect_code(0);
    world.project.run(&["verify", "--deep"]).expect_code(0);
}

#[test]
fn symlinks_inside_the_folders_of_a_store_are_never_followed() {
    let world = World::served(Jail::Plain);
    world.edit("one");
    world.project.run(&["publish"]).expect_code(0);
    let victim = victim(&world);
    let before = docroot_state(&victim);
    for place in [
        "stale/0123456789abcdef",
        "stale/x",
        "work/0123456789abcdef",
        "lock/0123456789abcdef",
        "objects/ab/link",
        "objects/zz",
        "immutable/out",
        "trees/out",
        "releases/20260101-000000-000000",
        "manifests/out",
    ] {
        let at = world.docroot.join(place);
        symlink(&victim, &at).unwrap();
        world.edit(place);
        for command in COMMANDS {
            let ran = world.project.run(command);
            assert_eq!(docroot_state(&victim), before, "{place}, {command:?}: {ran}");
        }
        let _ = fs::remove_file(&at);
    }
}

#[test]
fn a_pool_that_holds_a_symlink_in_place_of_a_folder_is_not_written_through() {
    let world = World::served(Jail::Plain);
    let victim = victim(&world);
    let before = docroot_state(&victim);
    let pool = world.docroot.join("immutable/_next");
    fs::remove_dir_all(&pool).unwrap();
    symlink(&victim, &pool).unwrap();
    write(&world.out("_next/static/chunks/new.js"), "new");
    for command in COMMANDS {
        let ran = world.project.run(command);
        assert_eq!(docroot_state(&victim), before, "{command:?}: {ran}");
    }
}

/// In a docroot that everyone may write to, another user can plant any file.
#[test]
fn a_docroot_that_another_user_may_write_to_is_refused_whatever_is_planted() {
    if !root_for("a second user") {
        return;
    }
    let world = World::served(Jail::Plain);
    let victim = victim(&world);
    let before = docroot_state(&victim);
    fs::set_permissions(&world.docroot, fs::Permissions::from_mode(0o777)).unwrap();
    world.edit("edited");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: the docroot on 127.0.0.1 may be written by others (mode 777)
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: remove that permission on the host: chmod go-w DOCROOT
    ");
    let script = format!(
        "mv {0}/stale {0}/other && ln -s {1} {0}/stale",
        world.docroot.display(),
        victim.display()
    );
    let planted = Command::new("setpriv")
        .args(["--reuid", OTHER_USER, "--clear-groups", "sh", "-c", &script])
        .status();
    assert!(planted.unwrap().success());
    for command in COMMANDS {
        let ran = world.project.run(command);
        // If nothing is damaged, a repair has nothing to write.
        assert!(ran.code != 0 || command[0] == "verify", "{command:?}: {ran}");
        assert_eq!(docroot_state(&victim), before, "{command:?}: {ran}");
    }
}

#[test]
fn a_manifest_and_a_document_that_name_paths_outside_lead_nowhere() {
    let world = World::served(Jail::Plain);
    let victim = victim(&world);
    let before = docroot_state(&victim);
    let digest = "ab".repeat(32);
    let lines = [
        format!("file {digest} 4 revalidate - - text/plain ../../victim/keep.txt\n"),
        format!("file {digest} 4 revalidate - - text/plain ..\n"),
        format!("folder {digest} ../victim\n"),
        "folder ../../victim x\n".to_owned(),
        "file ../../victim/keep.txt 4 revalidate - - text/plain x\n".to_owned(),
    ];
    for line in lines {
        let text = format!("syntax-publish tree 1\n{line}");
        let root = blake3::hash(text.as_bytes()).to_hex().to_string();
        let id = "20260101-000000-000000";
        write(&world.docroot.join("manifests").join(&root), &text);
        fs::create_dir_all(world.docroot.join("trees").join(&root)).unwrap();
        let link = world.docroot.join("releases").join(id);
        let _ = fs::remove_file(&link);
        symlink(format!("../trees/{root}"), &link).unwrap();
        let document = format!(
            r#"{{"format":1,"id":"{id}","root":"{root}","created":"2026-01-01T00:00:00Z","tool":"x","who":"\u001b[2Jx","previous":"{id}","files":18446744073709551615,"bytes":18446744073709551615,"message":"\u001b]0;owned\u0007","commit":"../../x"}}"#
        );
        write(&world.docroot.join(format!("releases/{id}.json")), document);
        give_all(&world.docroot, USER);
        for command in [
            &["releases"][..],
            &["verify", id],
            &["verify", id, "--repair"],
            &["diff", id],
            &["rollback", "--to", id],
            &["status"],
            &["publish", "--force"],
            &["prune"],
        ] {
            let ran = world.project.run(command);
            assert!(
                !ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'),
                "{ran}"
            );
            assert_eq!(docroot_state(&victim), before, "{line:?}, {command:?}: {ran}");
        }
    }
}

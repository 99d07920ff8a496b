//! Faults of the host and of the connection to it.

use std::fs;
use std::io::Write as _;

use super::{Case, World, check};
use crate::support::sshd::{Jail, OTHER_USER, Sshd, give_to, root_for};

/// Faults of the target and of the keys. The export was edited.
const CONNECTION: &[Case] = &[
    Case {
        what: "a host name that does not resolve",
        breaks: |world| world.write_served(&[("host", "no-such-host.invalid".to_owned())]),
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (no-such-host.invalid:[host]/site)
            error: can't reach no-such-host.invalid: ssh: Could not resolve hostname no-such-host.invalid: Name or service not known
            target: box (no-such-host.invalid:[host]/site)
            live: unchanged
            hint: on this machine: correct `host` of the target, and see that the DNS and your network know the name",
    },
    Case {
        what: "a key that is refused",
        breaks: |world| {
            let (other, _) = world.sshd().new_key("other");
            world.write_served(&[("identity", other.display().to_string())]);
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: 127.0.0.1 refuses the key: [who]: Permission denied (publickey).
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: see `user` and `identity` of the target, and that the host has the public key in authorized_keys",
    },
    Case {
        what: "a user that the host does not know",
        breaks: |world| world.write_served(&[("user", "nobody-at-all".to_owned())]),
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: 127.0.0.1 refuses the key: [who]: Permission denied (publickey).
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: see `user` and `identity` of the target, and that the host has the public key in authorized_keys",
    },
    Case {
        what: "a private key that does not exist",
        breaks: |world| world.write_served(&[("identity", "/nowhere/id_ed25519".to_owned())]),
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: no key can be used for 127.0.0.1: /nowhere/id_ed25519: the file does not exist
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: on this machine: correct `identity` of the target, or put the private key there",
    },
    Case {
        what: "a host key that is not known",
        breaks: |world| world.write_known_hosts(""),
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: the key of 127.0.0.1 is not known: No ED25519 host key is known for [127.0.0.1]:[port] and you have requested strict checking.
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: take the key from the host itself (/etc/ssh/ssh_host_ed25519_key.pub) and put it into `host-key` of the target",
    },
    Case {
        what: "another host key than the pinned one",
        breaks: |world| {
            let (_, other) = world.sshd().new_key("pinned");
            let key: Vec<&str> = other.split_whitespace().take(2).collect();
            world.write_served(&[("host-key", key.join(" "))]);
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: host key mismatch for 127.0.0.1: it shows [fingerprint]
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: don't go on before you know why: compare with the key on the host itself, then correct `host-key` or the known-hosts file",
    },
    Case {
        what: "another host key than the known one",
        breaks: |world| {
            let (_, other) = world.sshd().new_key("other-host");
            world.write_known_hosts(&format!("[127.0.0.1]:{} {other}\n", world.sshd().port));
        },
        args: &["publish"],
        code: 5,
        says: r"
            publishing site to box (127.0.0.1:[host]/site)
            error: host key mismatch for 127.0.0.1: it shows [fingerprint]
            target: box (127.0.0.1:[host]/site)
            live: unchanged
            hint: don't go on before you know why: compare with the key on the host itself, then correct `host-key` or the known-hosts file",
    },
];

#[test]
fn faults_of_the_connection_are_named() {
    let world = World::served(Jail::Plain);
    world.edit("edited");
    check(&world, World::refuses, CONNECTION);
}

#[test]
fn a_server_that_is_down_is_named() {
    let mut world = World::served(Jail::Plain);
    if let Some(sshd) = &mut world.sshd {
        sshd.kill();
    }
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    note: can't reach 127.0.0.1: ssh: connect to host 127.0.0.1 port [port]: Connection refused; trying again, up to 3 times
    error: can't reach 127.0.0.1: ssh: connect to host 127.0.0.1 port [port]: Connection refused (tried 4 times)
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: on the host: see that sshd runs; in the target: that `host` and `port` are right
    ");
}

#[test]
fn a_server_without_sftp_is_said_to_be_one() {
    let world = World::on(Sshd::start_without_sftp(Jail::Plain));
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: 127.0.0.1 does not serve SFTP: subsystem request failed on channel 0
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: let sshd serve it: `Subsystem sftp internal-sftp` in sshd_config; and every folder of a chroot, from / on, must be root's and writable by root alone
    ");
}

#[test]
fn a_server_that_lacks_an_extension_names_it() {
    for extension in ["posix-rename", "hardlink", "fsync"] {
        let world = World::on(Sshd::start_denying(Jail::Plain, &[extension]));
        let shown = world.fails(5, &["publish"]);
        assert!(shown.contains(&format!("{extension}(openssh)")), "{shown}");
    }
    let world = World::on(Sshd::start_denying(Jail::Plain, &["hardlink"]));
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: the SFTP server of 127.0.0.1 lacks the extension hardlink(openssh)
    target: box (127.0.0.1:[host]/site)
    live: unchanged
    hint: on the host: let `internal-sftp` serve everything: without `-P` and `-p` in sshd_config (or authorized_keys)
    ");
}

#[test]
fn a_docroot_that_may_not_be_written_is_said_to_be_so() {
    if !root_for("a docroot of another user") {
        return;
    }
    let world = World::empty_served(Jail::Chroot);
    fs::create_dir(&world.docroot).unwrap();
    give_to(&world.docroot, "root");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[docroot])
    error: not allowed to write on 127.0.0.1: mkdir objects: Permission denied
    target: box (127.0.0.1:[docroot])
    live: nothing yet
    hint: on the host: give the docroot to the publishing account; see that the disk is not mounted read-only, and that sshd's `internal-sftp` denies no requests (-R, -P, -p)
    ");
}

#[test]
fn files_of_another_user_are_named() {
    if !root_for("files of another user") {
        return;
    }
    let world = World::served(Jail::Chroot);
    give_to(&world.docroot.join("objects"), OTHER_USER);
    world.edit("edited");
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[docroot])
    error: objects on 127.0.0.1 belongs to uid [uid], and the publishing account is uid [uid]
    target: box (127.0.0.1:[docroot])
    live: [release]
    hint: publish as the user who owns the store, or give everything to the publishing account
    ");
}

#[test]
fn a_docroot_whose_parent_is_missing_is_named() {
    let world = World::empty_served(Jail::Chroot);
    world.write_served(&[("docroot", "/nowhere/site".to_owned())]);
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:/nowhere/site)
    error: the docroot on 127.0.0.1 doesn't exist, and neither does the folder above it
    target: box (127.0.0.1:/nowhere/site)
    live: nothing yet
    hint: make the folder above the docroot, or correct `docroot` of the target
    ");
}

#[test]
fn a_full_disk_says_so_and_a_retry_goes_on() {
    if !root_for("a small file system") {
        return;
    }
    let world = World::empty_served(Jail::Plain);
    fs::create_dir(&world.docroot).unwrap();
    let mount = |args: &[&str]| {
        std::process::Command::new("mount")
            .args(args)
            .status()
            .is_ok_and(|s| s.success())
    };
    let at = world.docroot.display().to_string();
    if !mount(&["-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", &at]) {
        println!("skipped: this machine does not let a file system be mounted");
        return;
    }
    let unmount = Unmount(at.clone());
    give_to(&world.docroot, &world.sshd().user);
    world.project.run(&["publish"]).expect_code(0);
    // Incompressible bytes, more than there is room for.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56).to_le_bytes()[0]
    })
    .take(8 << 20)
    .collect();
    fs::write(world.out("noise.bin"), noise).unwrap();
    insta::assert_snapshot!(world.fails(5, &["publish"]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing site to box (127.0.0.1:[host]/site)
    error: the disk on 127.0.0.1 is full: 0 bytes free
    target: box (127.0.0.1:[host]/site)
    live: [release]
    hint: make room on the host; `syntax-publish prune` deletes old releases
    ");
    assert!(mount(&["-o", "remount,size=64m", &at]));
    world.project.run(&["publish"]).expect_code(0);
    world.project.run(&["verify", "--deep"]).expect_code(0);
    drop(unmount);
}

/// Mounts a folder over itself read-only; `None` if the machine does not allow it.
pub(super) fn bind_read_only(at: &str) -> Option<Unmount> {
    let mount = |args: &[&str]| {
        let status = std::process::Command::new("mount").args(args).status();
        status.is_ok_and(|status| status.success())
    };
    if !mount(&["--bind", at, at]) {
        // Written directly to stderr, because the test runner captures the output of a passing test.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: this machine does not let a file system be mounted"
        );
        return None;
    }
    let mounted = Unmount(at.to_owned());
    mount(&["-o", "remount,ro,bind", at]).then_some(mounted)
}

/// Unmounts a file system when dropped, whatever the result of the test.
pub(super) struct Unmount(pub(super) String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l", &self.0]).status();
    }
}

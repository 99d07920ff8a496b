//! The SSH server of the tests has the properties that the tests rely on. Checked with OpenSSH's own client.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::command::Running;
use crate::support::sshd::{Jail, OTHER_USER, Sshd, give_to, root_for};

/// OpenSSH's client with this server's key and without the user's configuration.
fn client(program: &str, sshd: &Sshd, identity: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
    command.args([
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
    ]);
    command
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", sshd.known_hosts.display()));
    command.arg("-o").arg(format!("Port={}", sshd.port));
    command
        .arg("-i")
        .arg(identity)
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null());
    command
}

/// Runs a batch of `sftp` commands.
fn sftp(sshd: &Sshd, commands: &str) -> Output {
    let batch = sshd.known_hosts.with_file_name("batch");
    fs::write(&batch, commands).expect("a batch file");
    client("sftp", sshd, &sshd.identity)
        .arg("-vv")
        .arg("-b")
        .arg(batch)
        .arg(format!("{}@127.0.0.1", sshd.user))
        .output()
        .expect("sftp to run")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The extensions that the server advertises.
fn advertised(sshd: &Sshd) -> Vec<String> {
    stderr(&sftp(sshd, "pwd\n"))
        .lines()
        .filter_map(|line| line.split_once("Server supports extension \"")?.1.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// A session that stays open until it is ended from outside.
fn open_session(sshd: &Sshd) -> Running {
    let mut command = client("ssh", sshd, &sshd.identity);
    command
        .args(["-v", "-s", &format!("{}@127.0.0.1", sshd.user), "sftp"])
        .stdin(Stdio::piped());
    let mut session = Running::start(command);
    session.wait_for_stderr("Sending subsystem: sftp");
    session
}

#[test]
fn docroot_on_disk_is_what_sftp_sees() {
    for jail in Jail::all_usable() {
        let sshd = Sshd::start(jail);
        assert!(!sshd.docroot.exists());
        let made = sftp(&sshd, &format!("mkdir {0}\nmkdir {0}/inside\n", sshd.remote_docroot));
        assert!(made.status.success(), "{jail:?}: {}", stderr(&made));
        assert!(sshd.docroot.join("inside").is_dir(), "{jail:?}");
        let owner = |path: &Path| fs::metadata(path).expect("metadata").uid();
        assert_eq!(owner(&sshd.docroot), owner(&sshd.root), "{jail:?}");
    }
}

#[test]
fn chroot_hides_the_rest_of_the_disk() {
    if !Jail::Chroot.usable() {
        return;
    }
    let sshd = Sshd::start(Jail::Chroot);
    assert!(sshd.remote_docroot.len() < sshd.docroot.to_string_lossy().len());
    assert!(!sftp(&sshd, "ls /etc\n").status.success());
}

#[test]
fn host_has_no_shell() {
    let sshd = Sshd::start(Jail::Plain);
    let ran = client("ssh", &sshd, &sshd.identity)
        .args([&format!("{}@127.0.0.1", sshd.user), "echo", "a shell"])
        .output()
        .expect("ssh to run");
    assert!(!String::from_utf8_lossy(&ran.stdout).contains("a shell"));
}

#[test]
fn denied_extension_is_not_advertised() {
    let all = ["posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com"];
    let everything = advertised(&Sshd::start(Jail::Plain));
    assert!(
        all.iter().all(|name| everything.iter().any(|has| has == name)),
        "{everything:?}"
    );
    for denied in all {
        let less = advertised(&Sshd::start_denying(Jail::Plain, &[denied]));
        let mut expected = everything.clone();
        expected.retain(|name| name != denied);
        assert_eq!(less, expected, "without {denied}");
    }
}

#[test]
fn denied_request_of_the_protocol_itself_is_refused_on_use() {
    let sshd = Sshd::start_denying(Jail::Plain, &["symlink"]);
    let refused = sftp(&sshd, &format!("symlink elsewhere {}\n", sshd.remote_docroot));
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("Permission denied"), "{}", stderr(&refused));
}

#[test]
fn umask_applies_to_what_sessions_make() {
    let sshd = Sshd::start_with_umask(Jail::Plain, "0077");
    assert!(
        sftp(&sshd, &format!("mkdir {}\n", sshd.remote_docroot))
            .status
            .success()
    );
    assert_eq!(
        fs::metadata(&sshd.docroot).expect("metadata").permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn extra_configuration_comes_before_ours() {
    let sshd = Sshd::start_with(Jail::Plain, "ForceCommand /bin/false");
    assert!(!sftp(&sshd, "pwd\n").status.success());
    assert!(
        sshd.log().contains("forced-command (config) '/bin/false'"),
        "{}",
        sshd.log()
    );
}

#[test]
fn server_without_sftp_refuses_the_subsystem() {
    let sshd = Sshd::start_without_sftp(Jail::Plain);
    let refused = sftp(&sshd, "pwd\n");
    assert!(!refused.status.success());
    assert!(
        stderr(&refused).contains("subsystem request failed"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn only_authorized_keys_open_the_server() {
    let sshd = Sshd::start(Jail::Plain);
    let (key, public) = sshd.new_key("another");
    let opens = || {
        let mut command = client("ssh", &sshd, &key);
        command.args(["-s", &format!("{}@127.0.0.1", sshd.user), "sftp"]);
        command.output().expect("ssh to run").status.success()
    };
    assert!(!opens());
    sshd.authorize(&public);
    assert!(opens());
}

#[test]
fn killed_sessions_break_and_the_server_still_listens() {
    let sshd = Sshd::start(Jail::Plain);
    let session = open_session(&sshd);
    sshd.kill_sessions();
    assert_eq!(session.wait().code, 255);
    assert!(sftp(&sshd, "pwd\n").status.success());
}

#[test]
fn killed_server_takes_its_sessions_along_and_can_come_back() {
    let mut sshd = Sshd::start(Jail::Plain);
    let session = open_session(&sshd);
    sshd.kill();
    assert_eq!(session.wait().code, 255);
    assert!(!sftp(&sshd, "pwd\n").status.success());
    sshd.restart();
    assert!(sftp(&sshd, "pwd\n").status.success());
}

#[test]
fn another_users_file_is_out_of_reach() {
    if !root_for("another user's file") {
        return;
    }
    let sshd = Sshd::start(Jail::Plain);
    let file = sshd.root.join("theirs");
    fs::write(&file, "theirs").expect("a file");
    give_to(&file, OTHER_USER);
    assert!(!sftp(&sshd, &format!("chmod 600 {}\n", file.display())).status.success());
}

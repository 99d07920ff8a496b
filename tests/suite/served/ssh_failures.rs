//! Error messages for SSH connections that do not lead to SFTP: the cause, and what to do on which side. Uses a real
//! server.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::command::{Project, Ran, Running, small_export};
use crate::support::sshd::{Jail, Offer, SHELL_USER, Sshd, root_for};

/// A project with a target on that server.
fn project(sshd: &Sshd, target: &str) -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(&format!(
        "[publish]\ntarget = \"box\"\n[encode]\nbrotli = 1\ngzip = 1\n[targets.box]\nkind = \"sftp\"\nport = {}\nuser = {:?}\nhost-key = {:?}\ndocroot = {:?}\n{target}",
        sshd.port, sshd.user, sshd.host_key, sshd.remote_docroot
    ));
    project
}

fn with_key(sshd: &Sshd, identity: &Path) -> Project {
    project(
        sshd,
        &format!(
            "host = \"127.0.0.1\"\nidentity = {:?}\n",
            identity.display().to_string()
        ),
    )
}

/// Asserts that the failure names the cause and the fix, and no internals of this program.
#[track_caller]
fn tells(ran: &Ran, cause: &str, fix: &str) {
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stderr.contains(cause), "{cause:?} is not named\n{ran}");
    assert!(ran.stderr.contains(fix), "{fix:?} is not named\n{ran}");
    for inside in [
        "IO Error",
        "Custom {",
        "Os {",
        "kind:",
        "Background task",
        "awaitable",
        "panicked",
    ] {
        assert!(!ran.stderr.contains(inside), "{ran}");
    }
}

/// A project with a key that opens the server, after a change to the key file on this machine.
fn key(sshd: &Sshd, name: &str, change: impl FnOnce(&Path)) -> Project {
    let (path, public) = sshd.new_key(name);
    sshd.authorize(&public);
    change(&path);
    with_key(sshd, &path)
}

fn rewrite(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).expect("a key");
    fs::write(path, change(text)).expect("to write a key");
}

#[test]
fn a_key_that_can_not_be_used_is_named_with_the_reason() {
    let sshd = Sshd::start(Jail::Plain);
    let status = |project: &Project| project.run(&["status"]);
    let locked = key(&sshd, "passphrase", |path| {
        let mut change = Command::new("ssh-keygen");
        change.args(["-q", "-p", "-P", "", "-N", "a secret", "-f"]).arg(path);
        assert!(change.status().expect("ssh-keygen").success());
    });
    tells(
        &status(&locked),
        "it has a passphrase, and no agent holds it",
        "ssh-add",
    );
    let windows = key(&sshd, "crlf", |path| rewrite(path, |text| text.replace('\n', "\r\n")));
    tells(&status(&windows), "its lines end with carriage returns", "sed -i");
    let cut = key(&sshd, "cut", |path| rewrite(path, |text| text.trim_end().to_owned()));
    tells(
        &status(&cut),
        "the newline at the end of its last line is missing",
        "echo >>",
    );
    let open = key(&sshd, "open", |path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("chmod of a key");
    });
    tells(&status(&open), "other users may read it", "chmod 600");
    let (path, public) = sshd.new_key("public");
    sshd.authorize(&public);
    let half = path.with_extension("pub");
    fs::set_permissions(&half, fs::Permissions::from_mode(0o600)).expect("chmod of a key");
    fs::remove_file(&path).expect("the private half");
    tells(
        &status(&with_key(&sshd, &half)),
        "it is the public half",
        "without `.pub`",
    );
    let missing = with_key(&sshd, Path::new("/nowhere/key"));
    tells(
        &status(&missing),
        "/nowhere/key: the file does not exist",
        "correct `identity`",
    );
    let garbage = key(&sshd, "garbage", |path| rewrite(path, |_| "no key\n".to_owned()));
    tells(
        &status(&garbage),
        "it is not a private key that ssh can read",
        "ssh-keygen -y",
    );
    // A valid key that the server does not know has to be accepted on the server.
    let (stranger, _) = sshd.new_key("stranger");
    let ran = status(&with_key(&sshd, &stranger));
    tells(&ran, "refuses the key", "authorized_keys");
    // A good key works.
    status(&with_key(&sshd, &sshd.identity)).expect_code(0);
}

#[test]
fn a_key_that_was_never_offered_is_distinguished_from_one_that_was_refused() {
    let home = std::env::var("HOME").unwrap_or_default();
    let has_keys = fs::read_dir(format!("{home}/.ssh")).is_ok_and(|names| {
        names
            .flatten()
            .any(|name| name.file_name().to_string_lossy().starts_with("id_"))
    });
    if has_keys {
        return;
    }
    let sshd = Sshd::start(Jail::Plain);
    let ran = project(&sshd, "host = \"127.0.0.1\"\n").run(&["status"]);
    tells(&ran, "ssh found none to offer", "name the private key in `identity`");
}

#[test]
fn a_user_without_an_entry_is_explained() {
    if !root_for("another user id") {
        return;
    }
    let sshd = Sshd::start(Jail::Plain);
    let project = with_key(&sshd, &sshd.identity);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "54321", "--regid", "54321", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_syntax-publish"))
        .arg("status")
        .current_dir(&project.dir)
        .env("HOME", &project.home);
    tells(
        &Running::start(command).wait(),
        "No user exists for uid 54321",
        "/etc/passwd",
    );
}

#[test]
fn what_runs_in_place_of_sftp_is_named() {
    // The user's shell runs a forced command.
    let ran = |extra_config: &str| {
        let offer = Offer {
            extra_config,
            user: Some(SHELL_USER),
            ..Offer::default()
        };
        let sshd = Sshd::offering(Jail::Plain, offer);
        with_key(&sshd, &sshd.identity).run(&["status"])
    };
    let greets = ran("ForceCommand /bin/sh -c 'echo hello from .bashrc; exec /usr/lib/openssh/sftp-server'");
    tells(
        &greets,
        "text comes before SFTP begins: \"hello from .bashrc\"",
        "~/.bashrc",
    );
    tells(&ran("ForceCommand /bin/true"), "ended with exit code 0", "ForceCommand");
    tells(
        &ran("ForceCommand /bin/sh -c 'exit 3'"),
        "ended with exit code 3",
        "command=",
    );
    tells(
        &ran("ForceCommand internal-sftp -R"),
        "lacks the extension",
        "take `-R` away",
    );
    let sshd = Sshd::start_denying(Jail::Plain, &["hardlink@openssh.com"]);
    let ran = with_key(&sshd, &sshd.identity).run(&["status"]);
    tells(&ran, "hardlink@openssh.com", "without `-P` and `-p`");
    let sshd = Sshd::start_denying(Jail::Plain, &["mkdir"]);
    let ran = with_key(&sshd, &sshd.identity).run(&["publish"]);
    tells(&ran, "not allowed to write", "denies no requests");
}

#[test]
fn a_host_that_can_not_be_reached_is_named_with_the_side_to_look_at() {
    let mut sshd = Sshd::start(Jail::Plain);
    let identity = sshd.identity.display().to_string();
    let nowhere = project(
        &sshd,
        &format!("host = \"no-such-host.invalid\"\nidentity = {identity:?}\n"),
    );
    tells(
        &nowhere.run(&["status"]),
        "Could not resolve hostname",
        "correct `host`",
    );
    // A jump host that nothing listens on, which is set in the configuration of `ssh`.
    let here = with_key(&sshd, &sshd.identity);
    let path = std::env::var("PATH").unwrap_or_default();
    let ssh = here.write(
        "bin/ssh",
        "#!/bin/sh\nexec /usr/bin/ssh -o ProxyJump=jump@127.0.0.1:1 \"$@\"\n",
    );
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("chmod of a script");
    let path = format!("{}:{path}", ssh.parent().expect("a folder").display());
    let ran = here.run_env(&["status"], &[("PATH", &path)]);
    tells(
        &ran,
        "its jump host or proxy gave no way to it: ssh: connect to host 127.0.0.1 port 1",
        "ProxyJump",
    );
    sshd.kill();
    tells(
        &here.run(&["status"]),
        "Connection refused (tried 4 times)",
        "see that sshd runs",
    );
}

#[test]
fn a_server_that_is_full_is_tried_again_and_then_named() {
    let sshd = Sshd::start_with(Jail::Plain, "MaxStartups 1:100:1\nLoginGraceTime 120");
    let project = with_key(&sshd, &sshd.identity);
    project.run(&["publish"]).expect_code(0);
    let holds = TcpStream::connect(("127.0.0.1", sshd.port)).expect("a connection that never authenticates");
    thread::sleep(Duration::from_millis(200));
    let ran = project.run(&["status"]);
    tells(&ran, "(tried 4 times)", "MaxStartups");
    assert_eq!(ran.stderr.matches("trying again, up to 3 times").count(), 1, "{ran}");
    let running = project.spawn(&["status"]);
    thread::sleep(Duration::from_millis(700));
    drop(holds);
    let ran = running.wait().expect_code(0);
    assert!(ran.stderr.contains("trying again, up to 3 times"), "{ran}");
}

#[test]
fn a_server_that_is_started_again_is_waited_for() {
    let mut sshd = Sshd::start(Jail::Plain);
    let project = with_key(&sshd, &sshd.identity);
    project.run(&["publish"]).expect_code(0);
    sshd.kill();
    let began = Instant::now();
    let running = project.spawn(&["status"]);
    thread::sleep(Duration::from_secs(1));
    sshd.restart();
    running.wait().expect_code(0);
    assert!(began.elapsed() < Duration::from_secs(30));
}

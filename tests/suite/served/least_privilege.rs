//! Least privilege, as docs/host-setup.md describes it: the account can only use SFTP in its folder, the web server's
//! user can only read, and a key that opens a shell is reported.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::command::{Project, Ran, docroot_state, small_export};
use crate::support::sshd::{Jail, OTHER_USER, Offer, SHELL_USER, Sshd, is_root, root_for};

/// The lines that the page says to put into `sshd_config.d`.
fn printed() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/host-setup.md");
    let text = fs::read_to_string(page).unwrap();
    let begin = "sshd_config.d/syntax-publish.conf <<'END'\n";
    let from = text.find(begin).expect("the recipe") + begin.len();
    let lines = &text[from..from + text[from..].find("\nEND\n").expect("its end")];
    assert!(lines.starts_with("Match User syntax-publish\n"), "{lines}");
    lines.to_owned()
}

fn project(sshd: &Sshd) -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(&format!(
        "[encode]\nbrotli = 1\ngzip = 1\n[publish]\ntarget = \"web\"\n[targets.web]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\n\
         user = \"{}\"\nport = {}\nidentity = \"{}\"\nhost-key = \"{}\"\ndocroot = \"{}\"\n",
        sshd.user,
        sshd.port,
        sshd.identity.display(),
        sshd.host_key,
        sshd.remote_docroot,
    ));
    project
}

/// Runs OpenSSH's client with the key, as an attacker with the key would.
fn ssh(sshd: &Sshd, args: &[&str]) -> Output {
    let known = format!("UserKnownHostsFile={}", sshd.known_hosts.display());
    let (port, user) = (sshd.port.to_string(), format!("{}@127.0.0.1", sshd.user));
    Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            &known,
            "-o",
            "IdentitiesOnly=yes",
            "-p",
            &port,
            "-i",
        ])
        .arg(&sshd.identity)
        .args(args.iter().map(|arg| if *arg == "HOST" { &user } else { *arg }))
        .stdin(Stdio::null())
        .output()
        .expect("ssh")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn the_account_of_the_page_does_sftp_in_its_folder_and_nothing_else() {
    if !root_for("a chroot") {
        return;
    }
    let account = printed();
    let sshd = Sshd::offering(
        Jail::Chroot,
        Offer {
            account: Some(&account),
            ..Offer::default()
        },
    );
    let project = project(&sshd);
    project.run(&["publish"]).expect_code(0);
    project.run(&["verify", "--deep"]).expect_code(0);
    assert!(sshd.docroot.join("current/index.html").is_file());

    // No command runs, whatever shell would have run it.
    for command in ["id", "cat /etc/passwd", "sh -c id", "internal-sftp; id"] {
        let output = ssh(&sshd, &["HOST", command]);
        let text = said(&output);
        assert!(!text.contains("uid=") && !text.contains("root:"), "{command}: {text}");
    }
    // No terminal.
    assert!(!said(&ssh(&sshd, &["-tt", "HOST"])).contains('$'));
    // No forwarding to another port. The server's own port is tried, which would answer with a greeting.
    let through = format!("127.0.0.1:{}", sshd.port);
    let output = ssh(&sshd, &["-W", &through, "HOST"]);
    assert!(!said(&output).contains("SSH-2.0"), "{}", said(&output));
    // Nothing of the host is visible except its folder.
    let batch = sshd.docroot.with_file_name("batch");
    fs::write(&batch, "ls /\nget /etc/passwd /dev/null\n").unwrap();
    let output = Command::new("sftp")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            &format!("UserKnownHostsFile={}", sshd.known_hosts.display()),
        ])
        .args(["-P", &sshd.port.to_string(), "-i"])
        .arg(&sshd.identity)
        .arg("-b")
        .arg(&batch)
        .arg(format!("{}@127.0.0.1", sshd.user))
        .output()
        .expect("sftp");
    let text = said(&output);
    assert!(text.contains("not found") && !output.status.success(), "{text}");
    assert!(!text.contains("/usr") && !text.contains("/etc\n"), "{text}");
}

/// Runs a line of shell as another user of the machine.
fn as_other(line: &str) -> Output {
    Command::new("setpriv")
        .args([
            "--reuid",
            OTHER_USER,
            "--regid",
            OTHER_USER,
            "--clear-groups",
            "sh",
            "-c",
            line,
        ])
        .output()
        .expect("setpriv")
}

#[test]
fn a_user_without_rights_reads_all_of_a_release_and_changes_nothing() {
    if !root_for("a second user") {
        return;
    }
    let sshd = Sshd::start(Jail::Chroot);
    let project = project(&sshd);
    project.run(&["publish"]).expect_code(0);
    let docroot = sshd.docroot.display().to_string();
    let before = docroot_state(&sshd.docroot);
    // Reads what a web server reads: every file below `current`, following symlinks.
    let read = as_other(&format!("find -L {docroot}/current -type f -exec cat {{}} + | wc -c"));
    let bytes: u64 = String::from_utf8_lossy(&read.stdout).trim().parse().expect("a number");
    assert!(bytes > 3000 && read.stderr.is_empty(), "{}", said(&read));
    for line in [
        format!("touch {docroot}/x"),
        format!("ln -sfn releases/x {docroot}/current"),
        format!("rm -f {docroot}/current/index.html"),
        format!("echo x > {docroot}/current/index.html"),
        format!("for folder in {docroot}/*/; do touch $folder/x && exit 0; done; exit 1"),
        format!("mv {docroot} {docroot}-gone"),
        format!("chmod 777 {docroot}"),
    ] {
        assert!(!as_other(&line).status.success(), "{line}");
    }
    assert_eq!(docroot_state(&sshd.docroot), before);
}

// --- A key with too many privileges.

fn warned(ran: &Ran) -> bool {
    ran.stderr.contains("warning: the SSH key opens a shell on 127.0.0.1")
}

/// The user of this machine that has a shell: the current user, or one that tests/run creates.
fn user_with_shell() -> Option<&'static str> {
    if !is_root() {
        return Some("");
    }
    let there = Command::new("id")
        .arg(SHELL_USER)
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        there || std::env::var("CI").as_deref() != Ok("true"),
        "there is no user {SHELL_USER}: tests/run creates it"
    );
    there.then_some(SHELL_USER)
}

#[test]
fn a_key_that_opens_a_shell_is_warned_of_at_each_publish_and_tried_once() {
    let Some(user) = user_with_shell() else {
        eprintln!("skipped: there is no user with a shell; tests/run creates one");
        return;
    };
    let account = "Match User syntax-publish\n    AllowTcpForwarding no";
    let offer = Offer {
        account: Some(account),
        user: Some(user),
        ..Offer::default()
    };
    let sshd = Sshd::offering(Jail::Plain, offer);
    assert!(
        said(&ssh(&sshd, &["HOST", "echo here"])).contains("here"),
        "{}",
        sshd.log()
    );
    let project = project(&sshd);
    let ran = project.run(&["publish"]).expect_code(0);
    assert!(warned(&ran), "{ran}");
    let connections = sshd.log().matches("Accepted publickey").count();
    assert!(warned(&project.run(&["publish"]).expect_code(0)));
    assert_eq!(
        sshd.log().matches("Accepted publickey").count(),
        connections + 1,
        "{}",
        sshd.log()
    );
}

#[test]
fn a_key_that_opens_no_shell_gives_no_warning_and_is_tried_once() {
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd);
    assert!(!warned(&project.run(&["publish"]).expect_code(0)));
    let connections = sshd.log().matches("Accepted publickey").count();
    assert!(!warned(&project.run(&["publish"]).expect_code(0)));
    assert_eq!(
        sshd.log().matches("Accepted publickey").count(),
        connections + 1,
        "{}",
        sshd.log()
    );
}

#[test]
fn what_was_learnt_of_a_key_lies_where_only_its_owner_may_write() {
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd);
    project.run(&["publish"]).expect_code(0);
    let cache = project.home.join(".cache/syntax-publish");
    let mode = fs::metadata(&cache).unwrap().permissions().mode();
    assert_eq!(mode & 0o022, 0, "{mode:o}");
}

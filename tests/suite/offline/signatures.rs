//! Signed releases, checked against OpenSSH's own `ssh-keygen`. Each side must accept the other's signatures, and
//! unsigned releases must be refused if signatures are required.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::command::{Project, Ran, small_export, visitor_state, write};

const NAMESPACE: &str = "syntax-publish-release";

/// A project with a local target and a folder of keys.
struct Signed {
    project: Project,
}

impl Signed {
    /// A project with a signing key whose signatures are accepted.
    fn new() -> Self {
        let signed = Self {
            project: Project::new(),
        };
        small_export(&signed.project.dir.join("out"));
        signed.key("ci", "");
        signed.allow(&[("ci@demo", "ci")]);
        signed.settings("key = \"keys/ci\"\nallowed-signers = \"allowed\"\nrequire = true\n");
        signed
    }

    fn settings(&self, sign: &str) {
        self.project.write_manifest(&format!(
            "[site]\nname = \"demo\"\n[encode]\nbrotli = 1\ngzip = 1\n[sign]\n{sign}"
        ));
    }

    fn key(&self, name: &str, passphrase: &str) -> PathBuf {
        let file = self.project.dir.join("keys").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        ssh_keygen(
            &["-q", "-t", "ed25519", "-C", name, "-N", passphrase, "-f"],
            &[&file],
            b"",
        );
        file
    }

    /// Writes the file of allowed signers: these names with the public halves of these keys.
    fn allow(&self, signers: &[(&str, &str)]) {
        let line = |(who, key): &(&str, &str)| {
            let public = fs::read_to_string(self.project.dir.join(format!("keys/{key}.pub"))).unwrap();
            format!("{who} namespaces=\"{NAMESPACE}\" {public}")
        };
        let lines: String = signers.iter().map(line).collect();
        self.project.write("allowed", lines);
    }

    fn publish(&self) -> String {
        release(&self.project.run(&["publish", "--json"]).expect_code(0))
    }

    fn edit(&self, text: &str) {
        write(
            &self.project.dir.join("out/docs/a.html"),
            format!("<!DOCTYPE html><p>{text}"),
        );
    }

    fn docroot(&self) -> PathBuf {
        self.project.dir.join("target/docroot")
    }

    fn document(&self, release: &str) -> PathBuf {
        self.docroot().join(format!("releases/{release}.json"))
    }

    fn signature(&self, release: &str) -> PathBuf {
        self.docroot().join(format!("releases/{release}.json.sig"))
    }

    /// The exit code and the JSON output of `verify --signature` for a release.
    fn judged(&self, release: &str) -> (i32, Value) {
        let ran = self.project.run(&["verify", release, "--signature", "--json"]);
        (ran.code, ran.json())
    }

    #[track_caller]
    fn assert_good(&self, release: &str) {
        let (code, value) = self.judged(release);
        assert_eq!((code, &value["ok"]), (0, &Value::Bool(true)), "{value}");
        assert_eq!(value["signature"]["signer"], "ci@demo");
    }

    /// The problem with the signature of a release. A rollback to it must be refused with the same message.
    #[track_caller]
    fn refused(&self, release: &str) -> String {
        let (code, value) = self.judged(release);
        assert_eq!((code, value.get("signature")), (1, None), "{value}");
        let problems = value["problems"].as_array().unwrap();
        let path = format!("releases/{release}.json.sig");
        let ours: Vec<&Value> = problems.iter().filter(|problem| problem["path"] == path).collect();
        assert_eq!(ours.len(), 1, "{value}");
        let problem = ours[0]["problem"].as_str().unwrap().to_owned();
        let before = visitor_state(&self.docroot().join("current"));
        let ran = self
            .project
            .run(&["rollback", "--to", release, "--json"])
            .expect_code(1);
        let error = &ran.json()["error"];
        assert_eq!(error["code"], "unsigned", "{ran}");
        let message = error["message"].as_str().unwrap();
        assert_eq!(problem, message.replace(release, "the release"));
        assert_eq!(visitor_state(&self.docroot().join("current")), before);
        problem
    }
}

fn release(ran: &Ran) -> String {
    ran.json()["release"].as_str().expect("a release").to_owned()
}

/// Runs `ssh-keygen`. Returns whether it succeeded, and what it printed.
fn try_ssh_keygen(args: &[&str], files: &[&Path], input: &[u8]) -> (bool, String) {
    let mut command = Command::new("ssh-keygen");
    command.args(args).args(files).env_remove("SSH_AUTH_SOCK");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("ssh-keygen");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[track_caller]
fn ssh_keygen(args: &[&str], files: &[&Path], input: &[u8]) -> String {
    let (good, said) = try_ssh_keygen(args, files, input);
    assert!(good, "ssh-keygen {args:?}: {said}");
    said
}

/// Signs a file by hand, in a namespace. The signature is written next to the file.
fn sign_by_hand(key: &Path, namespace: &str, document: &Path) {
    let signature = PathBuf::from(format!("{}.sig", document.display()));
    let _ = fs::remove_file(&signature);
    ssh_keygen(&["-Y", "sign", "-q", "-n", namespace, "-f"], &[key, document], b"");
}

#[test]
fn a_release_is_signed_as_ssh_keygen_has_it() {
    let signed = Signed::new();
    let release = signed.publish();
    let (allowed, signature) = (signed.project.dir.join("allowed"), signed.signature(&release));
    let verify = ["-Y", "verify", "-n", NAMESPACE, "-I", "ci@demo", "-f"];
    let document = fs::read(signed.document(&release)).unwrap();
    let said = ssh_keygen(&verify, &[&allowed, Path::new("-s"), &signature], &document);
    assert!(
        said.starts_with("Good \"syntax-publish-release\" signature for ci@demo"),
        "{said}"
    );
    // The signature does not match any other document, so the check above is meaningful.
    let other = [&document[..], b" "].concat();
    assert!(!try_ssh_keygen(&verify, &[&allowed, Path::new("-s"), &signature], &other).0);
    signed.assert_good(&release);
}

#[test]
fn a_signature_that_was_made_by_hand_counts() {
    let signed = Signed::new();
    signed.settings("allowed-signers = \"allowed\"\n");
    let release = signed.publish();
    assert!(!signed.signature(&release).exists());
    sign_by_hand(
        &signed.project.dir.join("keys/ci"),
        NAMESPACE,
        &signed.document(&release),
    );
    signed.assert_good(&release);
    for kind in ["rsa", "ecdsa"] {
        let key = signed.project.dir.join("keys").join(kind);
        ssh_keygen(&["-q", "-t", kind, "-N", "", "-C", kind, "-f"], &[&key], b"");
        signed.allow(&[("ci@demo", kind)]);
        sign_by_hand(&key, NAMESPACE, &signed.document(&release));
        signed.assert_good(&release);
    }
}

#[test]
fn who_signed_is_shown() {
    let signed = Signed::new();
    let release = signed.publish();
    let ran = signed.project.run(&["verify", "--signature"]).expect_code(0);
    let line = ran.stdout.replace(&release, "[release]");
    let (line, key) = line.split_once("SHA256:").expect("a fingerprint");
    assert_eq!(
        line,
        "[release] is intact (12 files checked, signed by ci@demo with ED25519 "
    );
    let public = signed.project.dir.join("keys/ci.pub");
    assert!(ssh_keygen(&["-l", "-f"], &[&public], b"").contains(key.trim().trim_end_matches(')')));
}

/// What is done to a release, and the problem that is reported for it afterwards.
type Forgery = (&'static str, fn(&Signed, &str, &str), &'static str);

const FORGERIES: [Forgery; 12] = [
    (
        "no signature",
        |signed, release, _| fs::remove_file(signed.signature(release)).unwrap(),
        "the release is not signed",
    ),
    (
        "another document",
        |signed, release, _| {
            let text = fs::read_to_string(signed.document(release)).unwrap();
            fs::write(
                signed.document(release),
                text.replace("syntax-publish 0", "syntax-publish 9"),
            )
            .unwrap();
        },
        "the release has a signature that is not accepted: it is not over this document",
    ),
    (
        "a byte more",
        |signed, release, _| {
            let text = fs::read_to_string(signed.document(release)).unwrap();
            fs::write(signed.document(release), text + "\n").unwrap();
        },
        "the release has a signature that is not accepted: it is not over this document",
    ),
    (
        "somebody else's key",
        |signed, release, _| {
            sign_by_hand(&signed.key("stranger", ""), NAMESPACE, &signed.document(release));
        },
        "the release has a signature that is not accepted: its key is none of the allowed signers'",
    ),
    (
        "made for something else",
        |signed, release, _| sign_by_hand(&signed.project.dir.join("keys/ci"), "git", &signed.document(release)),
        "the release has a signature that is not accepted: it was made for something else than a release",
    ),
    (
        "no signature at all",
        |signed, release, _| fs::write(signed.signature(release), "\u{1b}[2Jhello").unwrap(),
        "the release has a signature that is not accepted: it is no signature of ssh-keygen's",
    ),
    (
        "an empty signature",
        |signed, release, _| fs::write(signed.signature(release), "").unwrap(),
        "the release has a signature that is not accepted: it is no signature of ssh-keygen's",
    ),
    (
        "a cut signature",
        |signed, release, _| {
            let text = fs::read_to_string(signed.signature(release)).unwrap();
            fs::write(signed.signature(release), &text[..text.len() / 2]).unwrap();
        },
        "the release has a signature that is not accepted: it is no signature of ssh-keygen's",
    ),
    (
        "an endless signature",
        |signed, release, _| fs::write(signed.signature(release), vec![b'-'; 2 << 20]).unwrap(),
        "the release has a signature that is not accepted: it is too long to be one",
    ),
    (
        "the records of another release",
        |signed, release, other| {
            fs::copy(signed.document(other), signed.document(release)).unwrap();
            fs::copy(signed.signature(other), signed.signature(release)).unwrap();
        },
        "the release has a signature that is not accepted: what was signed is the document of another release",
    ),
    (
        "something signed that is no document",
        |signed, release, _| {
            fs::write(signed.document(release), "{}").unwrap();
            sign_by_hand(
                &signed.project.dir.join("keys/ci"),
                NAMESPACE,
                &signed.document(release),
            );
        },
        "the release has a signature that is not accepted: what was signed is no release document",
    ),
    (
        "another site behind the release",
        |signed, release, other| {
            let link = signed.docroot().join("releases").join(release);
            let to = fs::read_link(signed.docroot().join("releases").join(other)).unwrap();
            fs::remove_file(&link).unwrap();
            symlink(to, link).unwrap();
        },
        "the release has a signature that is not accepted: the release leads to another site than was signed",
    ),
];

#[test]
fn content_without_an_allowed_signature_is_refused() {
    let signed = Signed::new();
    let mut former = signed.publish();
    for (index, (what, forge, problem)) in FORGERIES.into_iter().enumerate() {
        signed.edit(&format!("edit {index}"));
        let release = signed.publish();
        signed.edit(&format!("over it {index}"));
        let live = signed.publish();
        signed.assert_good(&live);
        forge(&signed, &release, &former);
        assert_eq!(signed.refused(&release), problem, "{what}");
        former = live;
    }
}

#[test]
fn a_rollback_to_a_signed_release_goes_through() {
    let signed = Signed::new();
    let first = signed.publish();
    signed.edit("more");
    signed.publish();
    let ran = signed.project.run(&["rollback", "--json"]).expect_code(0);
    assert_eq!(release(&ran), first);
    signed.assert_good(&first);
}

#[test]
fn an_encoding_that_does_not_decode_is_found_though_the_signature_is_good() {
    let signed = Signed::new();
    let release = signed.publish();
    let encoded = fs::canonicalize(signed.docroot().join("current"))
        .unwrap()
        .join("index.html.br");
    let length = fs::metadata(&encoded).unwrap().len();
    fs::write(&encoded, vec![7; usize::try_from(length).unwrap()]).unwrap();
    let (code, value) = signed.judged(&release);
    assert_eq!((code, &value["signature"]["signer"]), (1, &"ci@demo".into()));
    let said = value["problems"].to_string();
    assert!(
        said.contains("index.html.br") && said.contains("does not decode to its file"),
        "{said}"
    );
}

#[test]
fn a_publish_that_changes_nothing_makes_a_signed_release_of_an_unsigned_one() {
    let signed = Signed::new();
    signed.settings("allowed-signers = \"allowed\"\n");
    let unsigned = signed.publish();
    signed.settings("key = \"keys/ci\"\nallowed-signers = \"allowed\"\nrequire = true\n");
    let release = signed.publish();
    assert_ne!(release, unsigned);
    signed.assert_good(&release);
    let again = signed.project.run(&["publish", "--json"]).expect_code(0);
    assert_eq!(
        (release, again.json()["swapped"].as_bool()),
        (self::release(&again), Some(false))
    );
}

#[test]
fn prune_takes_signatures_with_their_documents_and_no_others() {
    let signed = Signed::new();
    let mut releases = Vec::new();
    for number in 0..4 {
        signed.edit(&number.to_string());
        releases.push(signed.publish());
    }
    let text = fs::read_to_string(signed.project.dir.join("site-manifest.toml")).unwrap();
    signed
        .project
        .write_manifest(&format!("{text}[publish]\nkeep = 1\nskew = \"0\"\n"));
    signed.project.run(&["prune"]).expect_code(0);
    let there: Vec<bool> = releases
        .iter()
        .map(|release| signed.signature(release).exists())
        .collect();
    let documents: Vec<bool> = releases
        .iter()
        .map(|release| signed.document(release).exists())
        .collect();
    // The live release, and the one that a rollback would return to.
    assert_eq!(there, [false, false, true, true]);
    assert_eq!(there, documents);
    signed.assert_good(&releases[3]);
}

#[test]
fn a_document_that_was_repaired_is_signed_again() {
    let signed = Signed::new();
    let release = signed.publish();
    fs::write(signed.document(&release), "{").unwrap();
    let ran = signed.project.run(&["publish", "--force", "--json"]).expect_code(0);
    signed.assert_good(&self::release(&ran));
}

// --- What can't be signed.

fn refusal(signed: &Signed, env: &[(&str, &str)]) -> (i32, String) {
    let ran = signed.project.run_env(&["publish", "--json"], env);
    assert!(!signed.docroot().join("current").exists(), "something went live: {ran}");
    let error = ran.json()["error"].clone();
    let text = |key: &str| signed.project.redact(error[key].as_str().unwrap());
    (
        ran.code,
        format!("{}: {}\nhint: {}", text("code"), text("message"), text("hint")),
    )
}

#[test]
fn a_key_with_a_passphrase_is_named_without_a_prompt() {
    let signed = Signed::new();
    signed.key("locked", "open sesame");
    signed.settings("key = \"keys/locked\"\n");
    let (code, said) = refusal(
        &signed,
        &[("SSH_ASKPASS", "/bin/false"), ("SSH_ASKPASS_REQUIRE", "force")],
    );
    assert_eq!(code, 1);
    insta::assert_snapshot!(said, @r"
    sign-key: the key [project]/keys/locked has a passphrase, and there is no prompt for it
    hint: put it into an agent (ssh-add), or sign with a key of its own that has none and signs releases alone
    ");
}

#[test]
fn required_signatures_without_a_key_stop_a_publish() {
    let signed = Signed::new();
    signed.settings("allowed-signers = \"allowed\"\nrequire = true\n");
    let (code, said) = refusal(&signed, &[]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @r#"
    sign-settings: releases must be signed (`require` in [sign]), and there's no `key` to sign with
    hint: name a key in [sign] of the site manifest: key = "~/.ssh/release-key"
    "#);
}

#[test]
fn a_missing_key_is_named() {
    let signed = Signed::new();
    signed.settings("key = \"keys/none\"\n");
    let (code, said) = refusal(&signed, &[]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(said, @r"
    sign-key: can't sign with the key [project]/keys/none: No such file or directory (os error 2)
    hint: `key` is a private key that only you may read, or a public key whose private one is in your agent (ssh-add -l)
    ");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let signed = Signed::new();
    fs::set_permissions(signed.project.dir.join("keys/ci"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = refusal(&signed, &[]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(said, @r"
    sign-key: can't sign with the key [project]/keys/ci: Permissions 0644 for '[project]/keys/ci' are too open.
    hint: `key` is a private key that only you may read, or a public key whose private one is in your agent (ssh-add -l)
    ");
}

#[test]
fn a_key_whose_signatures_do_not_count_is_found_before_anything_goes_live() {
    let signed = Signed::new();
    signed.key("other", "");
    signed.allow(&[("somebody", "other")]);
    let (code, said) = refusal(&signed, &[]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(said, @r"
    sign-key: a signature of the key [project]/keys/ci is not accepted by [project]/allowed: its key is none of the allowed signers'
    hint: add the public key to that file, or sign with another
    ");
}

#[test]
fn missing_allowed_signers_are_named() {
    let signed = Signed::new();
    fs::remove_file(signed.project.dir.join("allowed")).unwrap();
    let (code, said) = refusal(&signed, &[]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @r"
    allowed-signers: can't read the allowed signers in [project]/allowed: No such file or directory (os error 2)
    hint: see `allowed-signers` in [sign] of the site manifest
    ");
}

#[test]
fn a_signature_can_be_asked_for_only_where_some_count() {
    let signed = Signed::new();
    signed.settings("key = \"keys/ci\"\n");
    signed.publish();
    let ran = signed.project.run(&["verify", "--signature", "--json"]).expect_code(2);
    assert_eq!(ran.json()["error"]["code"], "sign-settings", "{ran}");
}

// --- Keys of an agent.

/// A real `ssh-agent`. It ends when dropped.
struct Agent {
    child: std::process::Child,
    socket: String,
}

impl Agent {
    fn start(signed: &Signed) -> Self {
        let socket = signed.project.dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        command
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("ssh-agent");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // The socket is there before the agent listens on it.
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(std::time::Instant::now() < deadline, "the agent does not listen");
            std::thread::yield_now();
        }
        let socket = socket.to_str().unwrap().to_owned();
        Self { child, socket }
    }

    fn add(&self, key: &Path) {
        let status = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_signs_for_a_public_key() {
    let signed = Signed::new();
    let agent = Agent::start(&signed);
    let key = signed.project.dir.join("keys/ci");
    agent.add(&key);
    fs::remove_file(&key).unwrap();
    signed.settings("key = \"keys/ci.pub\"\nallowed-signers = \"allowed\"\nrequire = true\n");
    let ran = signed
        .project
        .run_env(&["publish", "--json"], &[("SSH_AUTH_SOCK", &agent.socket)]);
    signed.assert_good(&release(&ran.expect_code(0)));
}

#[test]
fn a_public_key_that_no_agent_has_is_named() {
    let signed = Signed::new();
    let agent = Agent::start(&signed);
    fs::remove_file(signed.project.dir.join("keys/ci")).unwrap();
    signed.settings("key = \"keys/ci.pub\"\n");
    let (code, said) = refusal(&signed, &[("SSH_AUTH_SOCK", &agent.socket)]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(said, @r#"
    sign-key: can't sign with the key [project]/keys/ci.pub: No private key found for public key "[project]/keys/ci.pub"
    hint: `key` is a private key that only you may read, or a public key whose private one is in your agent (ssh-add -l)
    "#);
}

//! A machine of its own for the commands of a document: namespaces in which `/etc`, `/srv`, the home and the network are
//! private, so that a reader's commands run as they are written, root's too, and change nothing outside. It has a real
//! sshd and nginx on their usual ports. What needs the world outside is replaced (`bin/`): packages, certificates, and
//! the manager of services.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::report::say;
use super::sshd::{keygen, root_for};

/// The names that lead to the machine itself.
const NAMES: [&str; 5] = [
    "docs.example.com",
    "blog.example.com",
    "box.example.com",
    "pr-12.preview.docs.example.com",
    "pr-13.preview.docs.example.com",
];

/// What the machine does not share, for `unshare`. Its processes end with the first one.
const NAMESPACES: [&str; 5] = ["--mount", "--net", "--pid", "--fork", "--kill-child"];

/// The machine. Its folders are removed when dropped; its processes end with each run.
pub struct Sandbox {
    folder: TempDir,
    /// The public key of `~/.ssh/id_ed25519`.
    pub key: String,
    /// The public key of the host.
    pub host_key: String,
}

/// What a step printed, on stdout and stderr, and its exit code.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub printed: String,
}

impl Sandbox {
    /// Whether this machine supports it. If not, a message is printed; on GitHub, whose workflow allows it, this is a failure.
    pub fn is_usable() -> bool {
        if !root_for("a machine in namespaces") {
            return false;
        }
        let tried = Command::new("unshare").args(NAMESPACES).arg("true").output();
        let is_allowed = tried.is_ok_and(|output| output.status.success());
        if !is_allowed {
            let skipped = "namespaces are not allowed here (in a container: --privileged): a test is left out";
            assert!(
                std::env::var("GITHUB_ACTIONS").as_deref() != Ok("true"),
                "{skipped}, and CI must not"
            );
            say(&format!("skipped: {skipped}"));
        }
        is_allowed
    }

    /// A machine with an empty home and an empty working directory.
    pub fn new() -> Sandbox {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["bin", "home/.ssh", "keys", "modules", "steps", "work"] {
            fs::create_dir_all(at(path)).expect("a folder of the sandbox");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod of a new folder");
        let program = Path::new(env!("CARGO_BIN_EXE_syntax-publish"));
        fs::copy(program, at("bin/syntax-publish")).expect("the program");
        for entry in fs::read_dir(scripts().join("bin")).expect("the stand-ins") {
            let entry = entry.expect("a stand-in");
            fs::copy(entry.path(), at("bin").join(entry.file_name())).expect("a copy");
        }
        fs::write(at("names"), format!("{}\n", NAMES.join("\n"))).expect("a file of the sandbox");
        let (key, host_key) = (keygen(&at("home/.ssh/id_ed25519")), keygen(&at("keys/host")));
        Sandbox { folder, key, host_key }
    }

    /// The working directory of the first step.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Gives the site builds: each `npm run build` puts the next one at `out`.
    pub fn give_builds(&self, builds: &[&Path]) {
        for (number, build) in builds.iter().enumerate() {
            super::export::copy(build, &self.folder.path().join(format!("builds/{number}")));
        }
    }

    /// Runs scripts in bash, each in the folder that the one before ended in, up to the first that fails.
    pub fn run(&self, steps: &[String]) -> Vec<Outcome> {
        let file = |number: usize, kind: &str| self.folder.path().join(format!("steps/{number:03}.{kind}"));
        for (number, step) in steps.iter().enumerate() {
            // bash takes a command after `!` for a success whatever it did.
            let fails = "fails() { if \"$@\"; then return 1; fi; }";
            let step = format!("set -e\ntrap 'pwd >/mnt/cwd' EXIT\n{fails}\n{step}\n");
            fs::write(file(number, "sh"), step).expect("a step");
        }
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/site/node_modules");
        assert!(
            modules.is_dir(),
            "{} is missing: tests/run installs it",
            modules.display()
        );
        let output = Command::new("unshare")
            .args(NAMESPACES)
            .arg("bash")
            .arg(scripts().join("machine.sh"))
            .args([self.folder.path(), &modules])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .expect("unshare");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the sandbox: {}\n{said}", output.status);
        (0..steps.len())
            .map_while(|number| {
                let code = fs::read_to_string(file(number, "code")).ok()?;
                let printed = fs::read(file(number, "out")).expect("what a step printed");
                Some(Outcome {
                    code: code.trim().parse().expect("an exit code"),
                    printed: String::from_utf8_lossy(&printed).into_owned(),
                })
            })
            .collect()
    }

    /// The logs of sshd and nginx.
    pub fn logs(&self) -> String {
        let log = fs::read(self.folder.path().join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/sandbox")
}

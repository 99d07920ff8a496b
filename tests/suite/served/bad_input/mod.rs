//! Bad input gets a clear error, and nothing is lost. For each fault the tests check the complete message, its exit
//! code, and that the live site is unchanged, byte for byte.

mod changing;
mod damage;
mod disks;
mod export;
mod manifest;
mod planted;
mod refused;
mod served;
mod store;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

use crate::support::command::{Project, Ran, docroot_state, redact, small_export, visitor_state};
use crate::support::sshd::{Jail, Sshd};

/// One fault, and everything that a command prints because of it.
struct Case {
    what: &'static str,
    breaks: fn(&World),
    args: &'static [&'static str],
    code: i32,
    /// All of stderr. Nothing is printed on stdout.
    says: &'static str,
}

/// [`World::fails`] or [`World::refuses`].
type Run = fn(&World, i32, &[&str]) -> String;

/// Checks each case in the same world, in order.
fn check(world: &World, run: Run, cases: &[Case]) {
    for case in cases {
        (case.breaks)(world);
        let shown = run(world, case.code, case.args);
        let says = unindented(case.says);
        let expected = format!("exit {}\n--- stdout\n\n--- stderr\n{says}", case.code);
        assert_eq!(shown.trim_end(), expected, "{}:\n{shown}", case.what);
    }
}

/// Checks each case in a world of its own.
fn check_each(new: impl Fn() -> World, run: Run, cases: &[Case]) {
    for case in cases {
        check(&new(), run, std::slice::from_ref(case));
    }
}

/// Checks command lines that fail with one code, and what they print.
fn check_words(world: &World, run: Run, code: i32, cases: &[(&'static [&'static str], &'static str)]) {
    for (args, says) in cases {
        let (what, breaks) = ("the command line", |_: &World| {});
        let case = Case {
            what,
            breaks,
            args,
            code,
            says,
        };
        check(world, run, &[case]);
    }
}

/// A text of the source, without its indentation.
fn unindented(text: &str) -> String {
    let text = text.trim_matches('\n').trim_end();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    let least = filled.map(indent).min().unwrap_or(0);
    let lines = text.lines().map(|line| line.get(least..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// A project with an intact release live on one target.
struct World {
    project: Project,
    /// The docroot on disk.
    docroot: PathBuf,
    sshd: Option<Sshd>,
}

/// Settings that turn off encoding effort and changes to the export, which are not under test here.
const QUICK: &str = "[encode]\nbrotli = 1\ngzip = 1\n[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n";

impl World {
    /// A local target with nothing published yet.
    fn empty() -> Self {
        let project = Project::new();
        small_export(&project.dir.join("out"));
        fs::create_dir(project.dir.join("target")).expect("a new folder");
        project.write_manifest(&format!("[site]\nname = \"demo\"\n{QUICK}"));
        let docroot = project.dir.join("target/docroot");
        Self {
            project,
            docroot,
            sshd: None,
        }
    }

    /// A local target with a live release.
    fn local() -> Self {
        let world = Self::empty();
        world.project.run(&["publish"]).expect_code(0);
        world
    }

    /// A real SSH server with nothing published yet.
    fn empty_served(jail: Jail) -> Self {
        Self::on(Sshd::start(jail))
    }

    fn on(sshd: Sshd) -> Self {
        let project = Project::new();
        small_export(&project.dir.join("out"));
        let docroot = sshd.docroot.clone();
        let world = Self {
            project,
            docroot,
            sshd: Some(sshd),
        };
        world.write_served(&[]);
        world
    }

    /// A real SSH server with a live release.
    fn served(jail: Jail) -> Self {
        let world = Self::empty_served(jail);
        world.project.run(&["publish"]).expect_code(0);
        world
    }

    fn sshd(&self) -> &Sshd {
        self.sshd.as_ref().expect("a served world")
    }

    /// Writes the site manifest of the served target, with some keys replaced.
    fn write_served(&self, other: &[(&str, String)]) {
        let sshd = self.sshd();
        let mut keys = vec![
            ("kind", "sftp".to_owned()),
            ("host", "127.0.0.1".to_owned()),
            ("user", sshd.user.clone()),
            ("identity", sshd.identity.display().to_string()),
            ("host-key", sshd.host_key.clone()),
            ("docroot", sshd.remote_docroot.clone()),
        ];
        for (key, value) in other {
            keys.retain(|(known, _)| known != key);
            if !value.is_empty() {
                keys.push((key, value.clone()));
            }
        }
        let lines: Vec<String> = keys.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
        let lines = lines.join("\n");
        let port = sshd.port;
        self.project.write_manifest(&format!(
            "[publish]\ntarget = \"box\"\n{QUICK}[targets.box]\nport = {port}\n{lines}\n"
        ));
    }

    /// Writes the site manifest of the served target, with a file of known hosts in place of the host key.
    fn write_known_hosts(&self, known: &str) {
        let known = self.project.write("known_hosts", known).display().to_string();
        self.write_served(&[("host-key", String::new()), ("known-hosts", known)]);
    }

    /// Runs a command that must fail with this code and leave the site unchanged for visitors. Returns what it printed.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let before = self.visible();
        let ran = self.project.run(args).expect_code(code);
        assert_eq!(self.visible(), before, "the live site changed");
        let shown = self.shown(&ran);
        self.fails_as_json(code, args);
        assert_eq!(self.visible(), before, "the live site changed");
        shown
    }

    /// Does the same as [`Self::fails`], and also checks that the store neither gains nor loses anything.
    fn refuses(&self, code: i32, args: &[&str]) -> String {
        let before = self.held();
        let shown = self.fails(code, args);
        let after = self.held();
        for (path, was) in &before {
            assert_eq!(after.get(path), Some(was), "{path} changed");
        }
        assert_eq!(after.len(), before.len(), "something was left in the store");
        shown
    }

    /// The state of the docroot. Folders are compared without times, because a run's staging directory comes and goes
    /// and changes the times of the folders above it.
    fn held(&self) -> BTreeMap<String, String> {
        let mut state = docroot_state(&self.docroot);
        for what in state.values_mut().filter(|what| what.starts_with("dir ")) {
            what.truncate("dir 0755".len());
        }
        state
    }

    /// Checks the same failure as JSON: a single value with the fields that scripts need.
    fn fails_as_json(&self, code: i32, args: &[&str]) {
        let json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let value = self.project.run(&json).expect_code(code).json();
        if args[0] == "verify" && value["error"].is_null() {
            assert_eq!(value["ok"], false, "{value}");
            return;
        }
        let error = value["error"].clone();
        for key in ["code", "message", "hint"] {
            assert!(
                error[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key}: {error}"
            );
        }
        assert!(error.get("live").is_some(), "{error}");
    }

    fn visible(&self) -> BTreeMap<String, String> {
        let current = self.docroot.join("current");
        if current.exists() {
            visitor_state(&current)
        } else {
            BTreeMap::default()
        }
    }

    fn shown(&self, ran: &Ran) -> String {
        // The names of SFTP extensions look like `user@host`, which is redacted.
        let text = self
            .project
            .redact(&ran.to_string())
            .replace("@openssh.com", "(openssh)");
        let mut text = match &self.sshd {
            Some(sshd) => text
                .replace(&sshd.root.display().to_string(), "[host]")
                .replace(&sshd.remote_docroot, "[docroot]"),
            None => text,
        };
        for (pattern, name) in [
            (r"[0-9A-Za-z._-]+@[0-9A-Za-z.-]+", "[who]"),
            (r"[0-9a-f]{64}", "[digest]"),
            (r"\buid [0-9]+", "uid [uid]"),
            (r"SHA256:[A-Za-z0-9+/]+", "[fingerprint]"),
            (r"port [0-9]+", "port [port]"),
            (r"\[127\.0\.0\.1\]:[0-9]+", "[127.0.0.1]:[port]"),
            (r"20[0-9-]+T[0-9:]+Z", "[time]"),
        ] {
            text = Regex::new(pattern)
                .expect("a pattern")
                .replace_all(&text, name)
                .into_owned();
        }
        redact(&text)
    }

    fn edit(&self, text: &str) {
        fs::write(self.project.dir.join("out/docs/a.html"), text).expect("a page");
    }

    /// Where the object with this content is, or would be.
    fn object(&self, content: &str) -> PathBuf {
        let digest = blake3::hash(content.as_bytes()).to_hex();
        self.docroot.join("objects").join(&digest[..2]).join(digest.as_str())
    }

    fn out(&self, path: &str) -> PathBuf {
        self.project.dir.join("out").join(path)
    }
}

/// The one file of a folder whose name passes.
fn find(folder: &Path, passes: impl Fn(&str) -> bool) -> PathBuf {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| passes(path.file_name().and_then(|name| name.to_str()).unwrap_or_default()));
    found.sort();
    found.into_iter().next().expect("such a file")
}

//! What `--version` says, and how `build.rs` finds it out in each place that sources are built in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::command::{Project, Ran, Running};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// 2026-11-30 23:59:59 UTC, which is another day in the time zone of the commit.
const TIME: &str = "1796083199 +0100";

fn git(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-C"])
        .arg(folder)
        .args(args)
        .env("GIT_COMMITTER_DATE", TIME);
    Running::start(command).wait()
}

/// The script of the build, compiled, and a folder to run it in.
struct Script {
    base: TempDir,
    program: PathBuf,
}

impl Script {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let program = base.path().join("script");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        rustc.args(["--edition", "2024", "-o"]).arg(&program).arg(source);
        Running::start(rustc).wait().expect_code(0);
        Self { base, program }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.base.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A checkout with one commit, and the commit.
    fn checkout(&self, name: &str) -> (PathBuf, String) {
        let folder = self.folder(name);
        git(&folder, &["init", "-q", "-b", "main"]).expect_code(0);
        git(&folder, &["commit", "-q", "--allow-empty", "-m", "x"]).expect_code(0);
        let commit = git(&folder, &["rev-parse", "HEAD"]).expect_code(0);
        (folder, commit.stdout.trim().to_owned())
    }

    fn run(&self, folder: &Path, variables: &[(&str, &str)]) -> String {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).env("CARGO_PKG_VERSION", "1.2.3");
        command
            .env_remove("SYNTAX_PUBLISH_COMMIT")
            .env_remove("SOURCE_DATE_EPOCH");
        command.envs(variables.iter().copied());
        Running::start(command).wait().expect_code(0).stdout
    }

    fn version(&self, folder: &Path, variables: &[(&str, &str)]) -> String {
        let printed = self.run(folder, variables);
        let mut lines = printed.lines();
        let found = lines.find_map(|line| line.strip_prefix("cargo::rustc-env=SYNTAX_PUBLISH_VERSION="));
        found.expect("a version").to_owned()
    }
}

#[test]
fn version_is_one_line_that_begins_with_the_name_and_the_number() {
    let ran = Project::new().run(&["--version"]).expect_code(0);
    let line = ran.stdout.strip_suffix('\n').expect("a line");
    let rest = line.strip_prefix(&format!("syntax-publish {VERSION}")).expect(line);
    let known = regex_lite::Regex::new(r"^( \([0-9a-f]{7}( [0-9]{4}-[0-9]{2}-[0-9]{2})?\))?$").unwrap();
    assert!(known.is_match(rest), "{line}");
    let is_checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
    assert_eq!(rest.is_empty(), !is_checkout, "{line}");
}

#[test]
fn a_checkout_says_its_commit_and_the_day_of_it() {
    let script = Script::new();
    let (folder, commit) = script.checkout("checkout");
    let expected = format!("1.2.3 ({} 2026-11-30)", &commit[..7]);
    assert_eq!(script.version(&folder, &[]), expected);

    // A second worktree, whose `.git` is a file, and a branch that has no file of its own.
    let other = script.base.path().join("other");
    git(&folder, &["worktree", "add", "-q", other.to_str().unwrap()]).expect_code(0);
    git(&folder, &["pack-refs", "--all"]).expect_code(0);
    assert_eq!(script.version(&other, &[]), expected);
}

#[test]
fn the_build_runs_again_after_a_commit_and_not_otherwise() {
    let script = Script::new();
    let (folder, _) = script.checkout("checkout");
    for pack in [false, true] {
        if pack {
            git(&folder, &["pack-refs", "--all"]).expect_code(0);
        }
        let printed = script.run(&folder, &[]);
        let watched = printed
            .lines()
            .filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="))
            .filter(|name| *name != "build.rs");
        let watched: Vec<PathBuf> = watched.map(|name| folder.join(name)).collect();
        // Cargo runs the script each time if one of them is missing.
        assert!(watched.iter().all(|path| path.is_file()), "{watched:?}");
        let content = || watched.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
        let before = content();
        git(&folder, &["commit", "-q", "--allow-empty", "-m", "y"]).expect_code(0);
        assert_ne!(content(), before, "packed: {pack}");
    }
}

#[test]
fn a_package_says_the_commit_that_cargo_noted() {
    let script = Script::new();
    let folder = script.folder("package");
    let info =
        "{\n  \"git\": {\n    \"sha1\": \"89abcdef0123456789abcdef0123456789abcdef\"\n  },\n  \"path_in_vcs\": \"\"\n}";
    fs::write(folder.join(".cargo_vcs_info.json"), info).unwrap();
    assert_eq!(script.version(&folder, &[]), "1.2.3 (89abcde)");
}

#[test]
fn a_release_says_what_its_build_was_told() {
    let script = Script::new();
    let (folder, _) = script.checkout("checkout");
    let commit = ("SYNTAX_PUBLISH_COMMIT", "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(script.version(&folder, &[commit]), "1.2.3 (0123456)");
    for (seconds, date) in [
        ("0", "1970-01-01"),
        ("951782400", "2000-02-29"),
        ("1796083199", "2026-11-30"),
        ("1796083200", "2026-12-01"),
        ("4107542400", "2100-03-01"),
    ] {
        let version = script.version(&folder, &[commit, ("SOURCE_DATE_EPOCH", seconds)]);
        assert_eq!(version, format!("1.2.3 (0123456 {date})"));
    }
}

#[test]
fn sources_of_no_known_commit_say_the_number_alone() {
    let script = Script::new();
    // Unpacked in the checkout of another project, whose commit says nothing about them.
    let (folder, _) = script.checkout("project");
    let vendored = folder.join("vendor");
    fs::create_dir(&vendored).unwrap();
    assert_eq!(script.version(&vendored, &[]), "1.2.3");
}

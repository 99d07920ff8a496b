//! The npm packages: packed with the binary of this build, installed from the tarballs without a registry, and used as a
//! site's project uses them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::command::{Project, Ran, Running, Signal, small_export};

const MANIFEST: &str = "[site]\nexport = \"out\"\n[publish]\ntarget = \"here\"\n[encode]\nbrotli = 5\n\
                        [targets.here]\nkind = \"local\"\ndocroot = \"docroot\"\n";

/// Another program than ours in the clean environment of a project.
fn program(project: &Project, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(&project.dir).env_clear();
    for (name, value) in project.command().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

fn run(project: &Project, name: &str, args: &[&str]) -> Ran {
    Running::start(program(project, name, args)).wait()
}

/// As npm names this platform.
fn platform() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let cpu = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("{os}-{cpu}")
}

/// Packs a binary for each of these platforms. Returns the tarballs, the launcher last.
fn pack(project: &Project, binaries: &[(&str, &Path)]) -> Vec<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/npm/pack.mjs");
    let mut words = vec![script.display().to_string(), "tarballs".to_owned()];
    words.extend(binaries.iter().map(|(name, path)| format!("{name}={}", path.display())));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let packed = run(project, "node", &words).expect_code(0);
    packed.stdout.lines().map(|line| project.dir.join(line)).collect()
}

/// Installs tarballs as a site's project would. There is no registry, and what a package brings can't run.
fn install(project: &Project, tarballs: &[PathBuf]) {
    project.write("package.json", "{ \"name\": \"site\", \"private\": true }");
    let mut npm = program(project, "npm", &["install", "--offline", "--no-audit", "--no-fund"]);
    npm.args(tarballs);
    Running::start(npm).wait().expect_code(0);
}

/// A project with a site, into which the binary of this build was installed.
fn site() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(MANIFEST);
    let tarballs = pack(
        &project,
        &[(&platform(), Path::new(env!("CARGO_BIN_EXE_syntax-publish")))],
    );
    install(&project, &tarballs);
    project
}

fn package(project: &Project, name: &str) -> Value {
    let file = project.dir.join("node_modules").join(name).join("package.json");
    serde_json::from_slice(&fs::read(file).expect("a package")).expect("JSON")
}

/// Starts the launcher itself, without `npx` in between.
fn launcher(project: &Project, args: &[&str]) -> Command {
    program(project, "node_modules/.bin/syntax-publish", args)
}

#[test]
fn a_project_installs_it_from_the_tarballs_and_publishes_with_it() {
    let project = site();
    let npx = |args: &[&str]| run(&project, "npx", &[&["--no-install", "syntax-publish"], args].concat());
    let version = npx(&["--version"]).expect_code(0).stdout;
    assert_eq!(version, project.run(&["--version"]).stdout);

    let published = npx(&["publish", "--json"]).expect_code(0).json();
    assert_eq!(published["swapped"], true);
    assert!(project.dir.join("docroot/current/docs/a.html").is_file());
    npx(&["--no-such-option"]).expect_code(2);
    fs::remove_file(project.dir.join("out/docs/a.html")).expect("a page to remove");
    let refused = npx(&["check"]).expect_code(3);
    assert!(refused.stdout.contains("/docs/a"), "{refused}");

    // The schema is that of the binary, and `init` names it.
    let schema = fs::read_to_string(project.dir.join("node_modules/syntax-publish/schema.json")).expect("a schema");
    assert_eq!(schema, npx(&["schema"]).expect_code(0).stdout);
    fs::remove_file(project.dir.join("site-manifest.toml")).expect("a site manifest to remove");
    npx(&["init", "--yes"]).expect_code(0);
    let written = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("a site manifest");
    assert_eq!(
        written.lines().next(),
        Some("#:schema ./node_modules/syntax-publish/schema.json")
    );

    for name in ["syntax-publish", &format!("@syntax-publish/{}", platform())] {
        let package = package(&project, name);
        assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(package.get("scripts"), None, "{package}");
        assert_eq!(package.get("dependencies"), None, "{package}");
    }
}

#[test]
fn signals_reach_the_binary_and_its_end_is_that_of_the_launcher() {
    let project = site();
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut running = Running::start(launcher(&project, &["watch"]));
        running.wait_for_stdout("ready: ");
        let pid = running.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the children");
        let child: i32 = children.trim().parse().expect("one child");
        let child = rustix::process::Pid::from_raw(child).expect("a process");
        if signal == Signal::KILL {
            // Nothing can pass that one on; here it is the binary that gets it.
            rustix::process::kill_process(child, signal).expect("a process to kill");
        } else {
            running.signal(signal);
        }
        while running.is_running() {
            std::thread::sleep(Duration::from_millis(2));
        }
        // A child that is left would keep the pipes open for which the test waits.
        let left = rustix::process::kill_process(child, Signal::KILL).is_ok();
        let ran = running.wait().expect_code(128 + signal.as_raw());
        assert!(!left, "the launcher ended without its child: {ran}");
        let expected = (signal == Signal::KILL).then_some(signal.as_raw());
        assert_eq!(ran.signal, expected, "{ran}");
    }
}

#[test]
fn without_a_binary_for_this_machine_it_says_what_to_do() {
    let project = Project::new();
    // It prints a schema while the packages are made.
    let nothing = project.write("binary", "#!/bin/sh\necho '{}'\n");
    let tarballs = pack(&project, &[("linux-x64", &nothing), ("darwin-arm64", &nothing)]);
    // npm takes a package of another platform for an optional dependency that is left out.
    install(&project, &tarballs[2..]);
    let as_platform = |platform: &str, arch: &str| {
        let script = format!(
            "for (const [name, value] of [['platform', '{platform}'], ['arch', '{arch}']]) \
             Object.defineProperty(process, name, {{ value }}); require('syntax-publish/syntax-publish.js')"
        );
        run(&project, "node", &["-e", &script]).expect_code(1)
    };
    let left_out = as_platform("linux", "x64").stderr;
    assert!(
        left_out.contains("@syntax-publish/linux-x64 is not installed"),
        "{left_out}"
    );
    assert!(left_out.contains("--omit=optional"), "{left_out}");
    let unknown = as_platform("win32", "arm64").stderr;
    assert!(
        unknown.contains("no binary for win32-arm64, only for linux-x64, darwin-arm64"),
        "{unknown}"
    );
    assert!(unknown.contains("from source"), "{unknown}");
    assert_eq!(package(&project, "syntax-publish").get("os"), None);
}

#[test]
fn a_package_of_a_platform_is_for_it_alone() {
    let project = Project::new();
    let nothing = project.write("binary", "");
    let tarballs = pack(&project, &[("darwin-arm64", &nothing)]);
    let mut tar = program(&project, "tar", &["xf"]);
    tar.arg(&tarballs[0]);
    Running::start(tar).wait().expect_code(0);
    let read = fs::read(project.dir.join("package/package.json")).expect("a package");
    let package: Value = serde_json::from_slice(&read).expect("JSON");
    assert_eq!(package["os"], serde_json::json!(["darwin"]));
    assert_eq!(package["cpu"], serde_json::json!(["arm64"]));
}

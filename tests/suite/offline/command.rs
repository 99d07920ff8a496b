//! The environment in which the tests run the command: a clean environment, and states that show any change.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::command::{
    Project, Running, SMALL_EXPORT_BUILD_ID, Signal, docroot_state, open_tempdir, redact, small_export, visitor_state,
    write,
};

fn shell(script: &str) -> Running {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Running::start(command)
}

#[test]
fn command_sees_none_of_the_callers_environment() {
    let project = Project::new();
    let command = project.command();
    let names: Vec<String> = command
        .get_envs()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name != "TMPDIR")
        .collect();
    assert_eq!(
        names,
        [
            "GIT_CEILING_DIRECTORIES",
            "HOME",
            "PATH",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME"
        ]
    );
    assert_eq!(command.get_current_dir(), Some(&*project.dir));
}

#[test]
fn project_can_be_entered_by_other_users() {
    let project = Project::new();
    let base = project.dir.parent().expect("a parent");
    assert_eq!(
        fs::metadata(base).expect("metadata").permissions().mode() & 0o777,
        0o755
    );
}

#[test]
fn ran_shows_output_and_exit_code() {
    let ran = shell("echo '{\"files\": 3}'; echo told >&2; exit 5").wait();
    assert_eq!((ran.code, ran.signal), (5, None));
    assert_eq!(ran.json()["files"], 3);
    assert_eq!(ran.stderr, "told\n");
}

#[test]
fn signalled_run_has_the_code_that_a_shell_gives_it() {
    let mut running = shell("echo ready; exec tail -f /dev/null");
    running.wait_for_stdout("ready");
    assert!(running.is_running());
    running.signal(Signal::TERM);
    let ran = running.wait();
    assert_eq!((ran.code, ran.signal), (143, Some(15)));
}

#[test]
fn redaction_leaves_what_stays_the_same() {
    let project = Project::new();
    let text = format!(
        "published 20261123-181502-7k3f from {}/out to 127.0.0.1:40213 in 1.23 s (12ms a flight), \
         live since 2026-11-23T18:15:02Z, 12 files, 3.4 KiB; port 40213",
        project.dir.display()
    );
    assert_eq!(
        project.redact(&text),
        "published [release] from [project]/out to 127.0.0.1:[port] in [time] ([time] a flight), \
         live since [time], 12 files, 3.4 KiB; port [port]"
    );
    assert_eq!(
        redact("{\"seconds\": 0.25, \"files\": 10}"),
        "{\"seconds\": [time], \"files\": 10}"
    );
}

/// Makes a change to a small site and returns whether the state shows it.
fn shows(change: impl Fn(&Path)) -> bool {
    let folder = open_tempdir();
    write(&folder.path().join("a/page.html"), "page");
    symlink("a", folder.path().join("current")).expect("a link");
    let before = docroot_state(folder.path());
    assert_eq!(before, docroot_state(folder.path()));
    change(folder.path());
    before != docroot_state(folder.path())
}

#[test]
fn docroot_state_shows_every_change() {
    assert!(
        shows(|dir| write(&dir.join("a/page.html"), "egap")),
        "other bytes of the same size"
    );
    assert!(shows(|dir| write(&dir.join("a/new.html"), "")), "a new file");
    assert!(
        shows(|dir| fs::remove_file(dir.join("a/page.html")).expect("removed")),
        "a file less"
    );
    assert!(
        shows(|dir| {
            fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o700)).expect("chmod");
        }),
        "another mode"
    );
    assert!(
        shows(|dir| {
            fs::remove_file(dir.join("current")).expect("removed");
            symlink("b", dir.join("current")).expect("a link");
        }),
        "another target of a link"
    );
    assert!(!shows(|_| {}));
}

#[test]
fn state_of_a_missing_folder_is_empty() {
    let folder = open_tempdir();
    assert!(docroot_state(&folder.path().join("missing")).is_empty());
}

#[test]
fn visitor_state_sees_through_the_links_of_the_store() {
    let folder = open_tempdir();
    let dir = folder.path();
    write(&dir.join("trees/1/page.html"), "page");
    fs::create_dir(dir.join("trees/2")).expect("a folder");
    symlink("../1", dir.join("trees/2/docs")).expect("a link");
    symlink("trees/2", dir.join("current")).expect("a link");
    let seen: Vec<String> = visitor_state(&dir.join("current")).into_keys().collect();
    assert_eq!(seen, [".", "docs", "docs/page.html"]);
}

#[test]
fn small_export_carries_its_build_id_where_next_does() {
    let folder = open_tempdir();
    small_export(folder.path());
    for file in ["index.html", "404.html", "docs/a.html", "docs/a.txt"] {
        let text = fs::read_to_string(folder.path().join(file)).expect(file);
        assert!(text.contains(SMALL_EXPORT_BUILD_ID), "{file}");
    }
    let build = format!("_next/static/{SMALL_EXPORT_BUILD_ID}/_buildManifest.js");
    for file in ["_next/static/chunks/x.js", "robots.txt", "images/dot.png", &build] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

#[test]
fn built_command_starts() {
    let project = Project::new();
    assert_eq!(project.run(&["--help"]).code, 0);
}

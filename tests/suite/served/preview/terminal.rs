//! The output of the preview on a terminal, and its keys, in a real pseudo-terminal.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use super::changes::{lives, number, wait_until};
use crate::support::command::{Project, Running, Signal, small_export, write};
use crate::support::terminal::Terminal;

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[publish]\ntarget = \"local\"\n[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n");
    project
}

/// Starts the preview in a terminal.
fn start_with(project: &Project, args: &[&str], env: &[(&str, &str)]) -> Terminal {
    let mut command = project.command();
    command
        .args(["watch", "--port", "0"])
        .args(args)
        .envs(env.iter().copied());
    Terminal::start(&command)
}

/// Starts the preview in a terminal, and waits until it shows a site.
fn start(project: &Project, args: &[&str]) -> Terminal {
    let terminal = start_with(project, args, &[]);
    terminal.until_last("12 files | rebuilt");
    terminal
}

fn server(terminal: &Terminal) -> SocketAddr {
    let screen = terminal.screen();
    let url = screen.split_whitespace().find(|word| word.starts_with("http://"));
    let address = url.expect("an address on the screen").trim_start_matches("http://");
    address.trim_end_matches('/').parse().expect("an address")
}

/// Quits, and checks that the status line is gone and the terminal is restored.
#[track_caller]
fn quit(mut terminal: Terminal) {
    terminal.type_keys("q");
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.is_in_order());
    terminal.until("the line gone", |screen| !screen.contains(" | "));
}

#[test]
fn a_line_stays_below_the_events_and_shows_the_state() {
    let project = project();
    let out = project.dir.join("out");
    let terminal = start(&project, &[]);
    terminal.until_last("0 clients | no findings | ? for keys");
    assert!(!terminal.is_in_order(), "its keys are taken one by one");
    write(&out.join("docs/b.html"), "<h1>New</h1>");
    terminal.until_shown("rebuilt: docs/b.html");
    terminal.until_last("13 files | rebuilt");
    write(&out.join("docs/b.html"), "<a href=\"/gone\">gone</a>");
    terminal.until_shown("error: docs/b.html:1: broken link: /gone does not exist");
    terminal.until_last("| 1 error |");
    // A finding that was reported is not reported again with every save.
    write(&out.join("docs/a.html"), "<h1>Another</h1>");
    terminal.until_shown("rebuilt: docs/a.html");
    assert_eq!(
        terminal.screen().matches("broken link: /gone does not exist").count(),
        1
    );
    write(&out.join("docs/b.html"), "<h1>New</h1>");
    terminal.until_shown("fixed: 1 finding");
    terminal.until_last("| no findings |");
    let lines = terminal.screen();
    assert_eq!(lines.matches(" clients").count(), 1, "there is one such line:\n{lines}");

    let mut open = TcpStream::connect(server(&terminal)).unwrap();
    open.write_all(b"GET /__syntax/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    open.read_exact(&mut [0; 1]).unwrap();
    terminal.until_last("| 1 client |");
    drop(open);
    // The preview notices the closed connection only when it sends an event.
    write(&out.join("docs/b.html"), "<h1>Newer</h1>");
    write(&out.join("docs/c.html"), "<a href=\"/gone\">gone</a>");
    terminal.until_last("| 0 clients |");
    quit(terminal);
}

#[test]
fn each_key_does_what_the_help_says() {
    let project = project();
    let browser = project.write(
        "bin/xdg-open",
        "#!/bin/sh\nprintf '%s' \"$1\" > \"$HOME/part\"; mv \"$HOME/part\" \"$HOME/opened\"\n",
    );
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        browser.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut terminal = start_with(&project, &[], &[("PATH", &path)]);
    terminal.until_last("12 files | rebuilt");

    terminal.type_keys("?");
    terminal.until_shown("p  plan: what a publish would change");
    terminal.until_last("12 files | rebuilt");

    terminal.type_keys("r");
    terminal.until_shown("nothing changed");

    terminal.type_keys("o");
    let opened = project.home.join("opened");
    wait_until("a browser", || opened.exists());
    let url = format!("http://{}/", server(&terminal));
    assert_eq!(fs::read_to_string(opened).unwrap(), url);

    terminal.type_keys("p");
    terminal.until_shown("plan: 3 pages added, 2 other files added");
    terminal.until_shown("plan: to upload to local: at most ");
    assert!(!project.dir.join("docroot/current").exists(), "it is a plan alone");

    // Letters inside the byte sequences of other keys are not commands.
    terminal.type_keys("\u{1b}[A");
    terminal.type_keys("\u{1b}OQ");
    terminal.until_last("12 files | rebuilt");
    quit(terminal);
}

#[test]
fn a_plan_that_can_not_be_made_is_reported_with_its_fix_and_ends_nothing() {
    let project = project();
    write(&project.dir.join("docroot/precious"), "not ours");
    let mut terminal = start(&project, &[]);
    terminal.type_keys("p");
    terminal.until_shown("failed: ");
    terminal.until_shown("hint: ");
    terminal.until_last("12 files | rebuilt");
    quit(terminal);
}

/// A build that logs each run and its process IDs, and then runs the shell command `then`.
fn building(then: &str) -> String {
    format!("echo begun >> ../log; echo $$ > own; sleep 1000 & echo $! > child; {then}")
}

fn runs(project: &Project) -> usize {
    let log = fs::read_to_string(project.dir.join("../log")).unwrap_or_default();
    log.matches("begun").count()
}

#[test]
fn the_rebuild_key_runs_the_build_of_the_site() {
    let project = project();
    let mut terminal = start(&project, &["--", "sh", "-c", "echo begun >> ../log; echo it says so"]);
    terminal.until_shown("build: it says so");
    terminal.until_shown("built in");
    assert_eq!(runs(&project), 1);
    terminal.type_keys("r");
    wait_until("a second run", || runs(&project) == 2);
    terminal.until("the end of both", |screen| screen.matches("built in").count() == 2);
    quit(terminal);
}

#[test]
fn a_build_that_fails_is_reported_in_the_line_until_one_succeeds() {
    let project = project();
    project.write("src/word", "bad");
    let args = ["--", "sh", "-c", "grep -q good src/word"];
    let terminal = start_with(&project, &args, &[]);
    terminal.until_last("the build failed | 12 files");
    terminal.until_shown("failed: the build ended with exit status: 1");
    project.write("src/word", "good");
    terminal.until("the failure gone from the line", |screen| {
        screen.lines().last().is_some_and(|last| last.starts_with("12 files"))
    });
    quit(terminal);
}

/// The process IDs of a build, once both processes exist.
fn processes(project: &Project) -> [u32; 2] {
    let number = |name: &str| number(&project.dir.join(name));
    wait_until("both processes", || {
        number("child").is_some() && number("own").is_some()
    });
    [number("child").unwrap(), number("own").unwrap()]
}

#[test]
fn quitting_ends_a_build_that_runs_and_leaves_the_terminal_in_order() {
    for (keys, code) in [("q", 0), ("\u{3}", 130)] {
        let project = project();
        let mut terminal = start_with(&project, &["--", "sh", "-c", &building("wait")], &[]);
        terminal.until_last("building, ");
        let processes = processes(&project);
        terminal.type_keys(keys);
        assert_eq!(terminal.wait(), code);
        assert!(terminal.is_in_order());
        wait_until("their end", || !processes.iter().any(|pid| lives(*pid)));
        terminal.until("the line gone", |screen| !screen.contains(" | "));
    }
}

#[test]
fn a_signal_leaves_the_terminal_in_order() {
    let project = project();
    let mut terminal = start(&project, &[]);
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait(), 143);
    assert!(terminal.is_in_order());
    terminal.until("the line gone", |screen| !screen.contains(" | "));
}

#[test]
fn a_terminal_that_is_closed_ends_the_preview_and_its_build() {
    let project = project();
    let mut terminal = start_with(&project, &["--", "sh", "-c", &building("wait")], &[]);
    terminal.until_last("building, ");
    let processes = processes(&project);
    // The signal that the system sends to processes whose terminal is closed.
    terminal.signal(Signal::HUP);
    assert_eq!(terminal.wait(), 129);
    wait_until("their end", || !processes.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_preview_that_was_started_to_outlive_its_terminal_does() {
    let project = project();
    let mut command = std::process::Command::new("sh");
    let inside = project.command();
    command
        .args(["-c", "trap '' HUP; exec \"$0\" watch --json --port 0"])
        .arg(inside.get_program())
        .current_dir(&project.dir)
        .envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut watch = Running::start(command);
    watch.wait_for_stdout("\"ready\"");
    watch.signal(Signal::HUP);
    write(&project.dir.join("out/docs/b.html"), "<h1>New</h1>");
    watch.wait_for_stdout("\"files\":13");
    assert!(watch.is_running());
}

#[test]
fn while_it_is_stopped_the_terminal_is_the_shells_and_afterwards_it_goes_on() {
    let project = project();
    let mut terminal = start(&project, &[]);
    terminal.type_keys("\u{1a}");
    wait_until("a stopped process", || terminal.is_stopped());
    assert!(terminal.is_in_order());
    terminal.until("no line", |screen| !screen.contains(" | "));
    write(&project.dir.join("out/docs/b.html"), "<h1>New</h1>");
    terminal.signal(Signal::CONT);
    terminal.until_shown("rebuilt: docs/b.html");
    terminal.until_last("13 files | rebuilt");
    wait_until("its keys", || !terminal.is_in_order());
    quit(terminal);
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let project = project();
    write(&project.dir.join("out/docs/a.html"), "<a href=\"/gone\">gone</a>");
    let red = "\u{1b}[31m";
    let terminal = start_with(&project, &[], &[]);
    terminal.until_last("| 1 error |");
    assert!(terminal.raw().contains(red));
    quit(terminal);
    let terminal = start_with(&project, &[], &[("NO_COLOR", "1")]);
    terminal.until_last("| 1 error |");
    let raw = terminal.raw();
    assert!(
        !raw.contains(red) && !raw.contains("\u{1b}[1m"),
        "{}",
        raw.escape_debug()
    );
    quit(terminal);
}

#[test]
fn as_json_it_streams_events_and_has_neither_line_nor_keys() {
    let project = project();
    let mut terminal = start_with(&project, &["--json"], &[]);
    terminal.until_sent("\"event\":\"ready\"");
    assert!(terminal.is_in_order());
    write(&project.dir.join("out/docs/b.html"), "<h1>New</h1>");
    terminal.until_sent("\"files\":13,\"changed\":1");
    terminal.signal(Signal::INT);
    assert_eq!(terminal.wait(), 130);
    let raw = terminal.raw();
    let lines = raw.lines().filter(|line| !line.is_empty());
    for line in lines {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line:?}");
    }
}

#[test]
fn what_can_not_be_watched_is_named_with_the_setting_and_the_terminal_is_in_order() {
    let project = project();
    let inside = project.command();
    let limited = |setting: &str, limit: u32| {
        // A user namespace has its own limits.
        let script = format!("echo {limit} > /proc/sys/user/{setting} && exec \"$0\" watch --port 0");
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "sh", "-c", &script])
            .arg(inside.get_program())
            .current_dir(&project.dir)
            .envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    for (setting, limit, fix) in [
        ("max_inotify_watches", 1, "fs.inotify.max_user_watches=524288"),
        ("max_inotify_instances", 0, "fs.inotify.max_user_instances=1024"),
    ] {
        let mut terminal = Terminal::start(&limited(setting, limit));
        let code = terminal.wait();
        let screen = terminal.screen();
        if screen.contains("unshare") || screen.contains("cannot create") {
            println!("skipped: this machine makes no user namespace: {screen}");
            return;
        }
        terminal.until_shown("error: the system watches no more folders for this user");
        terminal.until_shown(&format!(
            "hint: raise it, `sudo sysctl {fix}`, or look for changes with --poll"
        ));
        assert_eq!(code, 1, "{screen}");
        assert!(terminal.is_in_order());
        terminal.until("no line", |screen| !screen.contains(" | "));
    }
}

#[test]
fn an_export_that_is_missing_is_waited_for_in_the_line_too() {
    let project = project();
    let out = project.dir.join("out");
    fs::rename(&out, project.dir.join("later")).unwrap();
    let terminal = start_with(&project, &[], &[]);
    terminal.until_shown("waiting for an export in out");
    terminal.until_last("waiting for an export | no site yet | 0 clients");
    fs::rename(project.dir.join("later"), &out).unwrap();
    terminal.until_last("12 files | rebuilt");
    quit(terminal);
}

#[test]
fn a_browser_that_does_not_open_is_reported() {
    let project = project();
    let bin = project.dir.join("bin");
    write(&bin.join("xdg-open"), "#!/bin/sh\nexit 3\n");
    fs::set_permissions(bin.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut terminal = start_with(&project, &["--open"], &[("PATH", &path)]);
    let failed = "note: can't open a browser: xdg-open ended with exit status: 3";
    terminal.until_shown(failed);
    terminal.type_keys("o");
    terminal.until("a second note, for the key", |screen| {
        screen.matches(failed).count() == 2
    });
    quit(terminal);
}

#[test]
fn what_a_build_says_and_what_it_complains_of_stay_in_order() {
    let project = project();
    let script = "for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; done";
    let terminal = start_with(&project, &["--", "sh", "-c", script], &[]);
    terminal.until_shown("built in");
    let screen = terminal.screen();
    let lines = screen
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("build: "));
    let wanted = (1..10).flat_map(|n| [format!("out {n}"), format!("err {n}")]);
    assert_eq!(lines.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    quit(terminal);
}

//! Changes are shown, incomplete exports are not, and the site's own build is run and ended.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{address, get, preview, start};
use crate::support::command::{Project, Running, Signal, small_export, write};

/// The longest time to wait for something.
const PATIENCE: Duration = Duration::from_secs(60);

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("");
    project
}

#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(5));
    }
}

fn text(server: SocketAddr, target: &str) -> String {
    String::from_utf8_lossy(&get(server, target).body).into_owned()
}

/// Replaces text in a page of the small export.
fn edit(export: &Path, page: &str, from: &str, to: &str) {
    let page = export.join(page);
    let before = fs::read_to_string(&page).unwrap();
    assert!(before.contains(from), "{before}");
    fs::write(&page, before.replace(from, to)).unwrap();
}

fn events(watch: &Running, name: &str) -> usize {
    watch.stdout().matches(&format!("\"event\":\"{name}\"")).count()
}

fn seen(watch: &Running, name: &str) -> bool {
    events(watch, name) > 0
}

#[test]
fn an_edit_is_shown_and_nothing_else_becomes_another() {
    let project = project();
    let out = project.dir.join("out");
    let (_watch, server) = preview(&project, &[]);
    let (home, page) = (get(server, "/"), get(server, "/docs/a"));
    edit(&out, "docs/a.html", "A page about a.", "Edited in place.");
    wait_until("the edit", || text(server, "/docs/a").contains("Edited in place."));
    assert_ne!(get(server, "/docs/a").header("etag"), page.header("etag"));
    assert_eq!(get(server, "/").header("etag"), home.header("etag"));
    assert_eq!(get(server, "/").header("last-modified"), home.header("last-modified"));

    // As editors save: to a file next to it, which is then renamed over it.
    let saved = fs::read_to_string(out.join("docs/a.html")).unwrap();
    fs::write(
        out.join("docs/.a.html.swp"),
        saved.replace("Edited in place.", "Renamed over."),
    )
    .unwrap();
    fs::rename(out.join("docs/.a.html.swp"), out.join("docs/a.html")).unwrap();
    wait_until("the renamed one", || text(server, "/docs/a").contains("Renamed over."));

    write(&out.join("new/page.html"), "<h1>New</h1>");
    wait_until("a page in a new folder", || get(server, "/new/page").status == 200);
    edit(&out, "new/page.html", "New", "Newer");
    wait_until("an edit in a new folder", || {
        text(server, "/new/page").contains("Newer")
    });
    fs::remove_dir_all(out.join("new")).unwrap();
    wait_until("its end", || get(server, "/new/page").status == 404);
}

#[test]
fn a_thousand_saves_end_with_the_last_one() {
    let project = project();
    let page = project.dir.join("out/docs/a.html");
    let (watch, server) = preview(&project, &[]);
    for number in 0..1000 {
        fs::write(&page, format!("<p>save {number}.</p>")).unwrap();
    }
    wait_until("the last save", || text(server, "/docs/a").contains("save 999."));
    assert!(events(&watch, "ready") < 100, "not one for each");
}

#[test]
fn an_export_that_is_removed_stays_up_until_a_complete_one_is_there() {
    let project = project();
    let out = project.dir.join("out");
    let (watch, server) = preview(&project, &[]);
    let chunk = get(server, "/_next/static/chunks/x.js").body;
    for round in 1..4 {
        // Several rounds, because a folder that was created again must be watched like the first one.
        fs::remove_dir_all(&out).unwrap();
        let marker = format!("Round {round}.");
        wait_until("word of it", || events(&watch, "waiting") == round);
        assert_eq!(get(server, "/").status, 200);
        assert_eq!(get(server, "/docs/a").status, 200, "a page that nobody had asked for");
        assert_eq!(get(server, "/_next/static/chunks/x.js").body, chunk);
        small_export(&out);
        edit(&out, "docs/a.html", "A page about a.", &marker);
        wait_until("the new one", || text(server, "/docs/a").contains(&marker));
        let after = format!("After {round}.");
        edit(&out, "docs/a.html", &marker, &after);
        wait_until("an edit of it", || text(server, "/docs/a").contains(&after));
    }
}

#[test]
fn an_export_whose_pages_name_what_is_not_there_yet_is_waited_for() {
    let project = project();
    let out = project.dir.join("out");
    let (mut watch, server) = preview(&project, &[]);
    let chunk = out.join("_next/static/chunks/y.js");
    edit(
        &out,
        "index.html",
        "/_next/static/chunks/x.js",
        "/_next/static/chunks/y.js",
    );
    edit(&out, "docs/a.html", "A page about a.", "Half written.");
    // The build may pause here. The event comes after a second, and the preview waits for longer than that.
    watch.wait_for_stdout("\"event\":\"unsettled\"");
    assert!(
        watch
            .stdout()
            .contains("pages name /_next/static/chunks/y.js, which is not there")
    );
    assert!(
        text(server, "/docs/a").contains("A page about a."),
        "the site before stays up"
    );
    assert!(text(server, "/").contains("/chunks/x.js"));
    write(&chunk, "another();");
    wait_until("the whole of it", || text(server, "/docs/a").contains("Half written."));
    assert_eq!(get(server, "/_next/static/chunks/y.js").body, b"another();");
}

#[test]
fn what_never_becomes_complete_is_shown_in_the_end() {
    let project = project();
    let out = project.dir.join("out");
    let (mut watch, server) = preview(&project, &[]);
    fs::remove_file(out.join("404.html")).unwrap();
    edit(&out, "docs/a.html", "A page about a.", "Without an error page.");
    watch.wait_for_stdout("there is no 404.html");
    wait_until("what there is", || {
        text(server, "/docs/a").contains("Without an error page.")
    });
}

#[test]
fn a_build_that_has_ended_well_has_made_all_there_is() {
    let project = buildable();
    project.write(
        "build.sh",
        "rm -rf out; mkdir -p out; cp src/text out/index.html; grep -q first src/text && cp src/text out/404.html; true\n",
    );
    let watch = start(&project, &[]);
    let server = address(&watch);
    wait_until("the first", || text(server, "/").contains("first"));
    project.write("src/text", "second");
    wait_until("the second", || text(server, "/").contains("second"));
    assert!(!seen(&watch, "unsettled"));
}

#[test]
fn a_folder_that_is_watched_by_looking_is_shown_too() {
    let project = project();
    let (_watch, server) = preview(&project, &["--poll"]);
    edit(
        &project.dir.join("out"),
        "docs/a.html",
        "A page about a.",
        "Seen by looking.",
    );
    wait_until("the edit", || text(server, "/docs/a").contains("Seen by looking."));
}

/// A build that slowly makes the export from `src/text`, and prints a line about it.
const BUILD: &str = "
echo begun >> ../log
text=$(cat src/text)
echo \"building $text\"
case $text in
bad*)
    rm -rf out
    echo 'it does not build' >&2
    exit 3
    ;;
esac
rm -rf out
mkdir -p out
printf '<title>x</title><p>%s</p>' \"$text\" > out/index.html
sleep 0.3
printf '<title>gone</title>' > out/404.html
echo ended >> ../log
";

/// A project with that build and its first text.
fn buildable() -> Project {
    let project = Project::new();
    project.write("src/text", "first");
    project.write("build.sh", BUILD);
    project.write_manifest("[check]\nallow = [\"**\"]\n[watch]\ncommand = [\"sh\", \"build.sh\"]\npaths = [\"src\"]\n");
    project
}

fn runs(project: &Project) -> usize {
    let log = fs::read_to_string(project.dir.join("../log")).unwrap_or_default();
    log.matches("begun").count()
}

#[test]
fn sources_are_built_when_they_change_and_a_build_that_fails_changes_nothing() {
    let project = buildable();
    let mut watch = start(&project, &[]);
    let server = address(&watch);
    watch.wait_for_stdout("\"line\":\"building first\"");
    wait_until("the first", || text(server, "/").contains("first"));
    assert_eq!(runs(&project), 1);

    project.write("src/text", "bad");
    wait_until("word of the failure", || seen(&watch, "failed"));
    assert!(watch.stdout().contains("\"line\":\"it does not build\""));
    assert!(watch.stdout().contains("exit status: 3"), "{}", watch.stdout());
    // The failed build has removed the export. The preview still serves the site.
    wait_until("the export gone", || !project.dir.join("out").exists());
    assert!(text(server, "/").contains("first"));

    project.write("src/text", "second");
    wait_until("the second", || text(server, "/").contains("second"));
    let before = runs(&project);

    // Both changes are made while the build runs. One more build follows, with the last content.
    project.write("src/text", "third");
    wait_until("a build under way", || runs(&project) > before);
    project.write("src/text", "fourth");
    project.write("src/text", "fifth");
    wait_until("the fifth", || text(server, "/").contains("fifth"));
    assert_eq!(runs(&project), before + 2);
    let pages = watch.stdout();
    assert!(!pages.contains("\"code\":\"scan"), "{pages}");
}

#[test]
fn a_command_given_behind_dashes_is_the_build() {
    let project = buildable();
    project.write_manifest("[check]\nallow = [\"**\"]\n[watch]\ncommand = [\"false\"]\n");
    let watch = start(&project, &["--", "sh", "build.sh"]);
    let server = address(&watch);
    wait_until("the first", || text(server, "/").contains("first"));
    project.write("src/text", "second");
    wait_until("the second", || text(server, "/").contains("second"));
    assert!(!seen(&watch, "failed"));
}

#[test]
fn a_build_that_can_not_be_run_is_named_and_the_site_is_shown() {
    let project = project();
    let (watch, server) = preview(&project, &["--", "/no/such/program"]);
    wait_until("word of it", || watch.stdout().contains("can't run the build"));
    assert_eq!(get(server, "/").status, 200);
}

/// A build that ignores SIGTERM, as does its child. It writes the process IDs of both to files.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $! > child; echo $$ > own; while :; do wait; sleep 0.1; done";

/// Starts the preview with such a build. Returns the process IDs of both.
fn stubborn(project: &Project) -> (Running, [u32; 2]) {
    let (watch, _) = preview(project, &["--", "sh", "-c", STUBBORN]);
    let number = |name: &str| number(&project.dir.join(name));
    wait_until("both processes", || {
        number("child").is_some() && number("own").is_some()
    });
    (watch, [number("child").unwrap(), number("own").unwrap()])
}

#[test]
fn nothing_that_the_build_started_is_left_behind() {
    let project = project();
    let (watch, processes) = stubborn(&project);
    let began = Instant::now();
    watch.signal(Signal::INT);
    assert_eq!(watch.wait().code, 130);
    println!("ended in {:?}", began.elapsed());
    wait_until("their end", || !processes.iter().any(|pid| lives(*pid)));
}

#[test]
fn nothing_is_left_behind_when_the_preview_is_killed() {
    let project = project();
    let (watch, processes) = stubborn(&project);
    assert_eq!(watch.kill().signal, Some(9));
    wait_until("their end", || !processes.iter().any(|pid| lives(*pid)));
}

/// The number in a file, or `None` while there is no such file.
pub fn number(file: &Path) -> Option<u32> {
    fs::read_to_string(file).unwrap_or_default().trim().parse().ok()
}

/// Whether a process is running. A zombie is not.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

#[test]
fn the_site_manifest_and_the_files_of_rules_next_to_it_are_read_again() {
    for args in [&[][..], &["--poll"]] {
        let project = project();
        let (watch, server) = preview(&project, args);
        assert_eq!(get(server, "/old").status, 404);
        project.write("_redirects", "/old /docs/a\n");
        wait_until("a redirect", || {
            get(server, "/old").header("location") == Some("/docs/a")
        });
        // As editors save.
        project.write("_redirects.swp", "/old /docs/b\n");
        fs::rename(project.dir.join("_redirects.swp"), project.dir.join("_redirects")).unwrap();
        wait_until("another target", || {
            get(server, "/old").header("location") == Some("/docs/b")
        });
        project.write("_headers", "/docs/*\n  X-Robots-Tag: noindex\n");
        wait_until("a header", || get(server, "/docs/a").header("x-robots-tag").is_some());

        // One that can't be used changes nothing, whatever else changes, until it can be used again.
        project.write_manifest("[[redirects]]\nfrom = \"/older\"\n");
        wait_until("word of it", || seen(&watch, "failed"));
        edit(&project.dir.join("out"), "docs/a.html", "A page about a.", "Edited.");
        wait_until("word of it again", || events(&watch, "failed") > 1);
        assert_eq!(get(server, "/old").header("location"), Some("/docs/b"));
        project.write_manifest("[[redirects]]\nfrom = \"/older\"\nto = \"/docs/a\"\n");
        wait_until("a redirect of the site manifest", || {
            get(server, "/older").status == 301
        });
        assert!(text(server, "/docs/a").contains("Edited."));

        fs::remove_file(project.dir.join("_redirects")).unwrap();
        wait_until("no redirect", || get(server, "/old").status == 404);
        watch.kill();
    }
}

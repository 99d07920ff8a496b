//! Pages that would become 404s: the findings of `plan` and `publish`, and what `redirects suggest` prints and writes.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::command::{Project, Ran};

/// A text that no other name has.
fn text(name: &str, words: std::ops::Range<u32>) -> String {
    let words = words.map(|at| format!("{name}{}", at * 7919 % 1013));
    words.collect::<Vec<_>>().join(" ")
}

/// Writes a page with its payload.
fn page(project: &Project, path: &str, title: &str, body: &str) {
    let html = format!(
        "<!DOCTYPE html><html><head><title>{title} | Docs</title></head><body><nav>Home Docs</nav><main>\
         <h1>{title}</h1>{body}<p>Was this page of any help to you? Edit it on GitHub.</p></main></body></html>"
    );
    project.write(format!("out/{path}.html"), html);
    project.write(format!("out/{path}.txt"), format!("1:\"{title}\"\n"));
}

fn remove(project: &Project, path: &str) {
    for end in ["html", "txt"] {
        fs::remove_file(project.dir.join(format!("out/{path}.{end}"))).expect("a page");
    }
}

fn old(at: u32) -> String {
    format!("docs/topic-{at:02}")
}

const INSTALL: &str = "<h2 id=\"install\">Install</h2>";
const RUN: &str = "<h2 id=\"run\">Run</h2>";

/// A project whose first release has twenty pages that move, one that is split, three that are removed and some that
/// stay. The export has the next build.
fn project(check: &str) -> Project {
    let project = Project::new();
    project.write_manifest(&format!(
        "[publish]\nmax-removed = \"100%\"\n[check]\nnext = \"off\"\n{check}\n[encode]\nbrotli = false\ngzip = 1\n"
    ));
    for name in ["index", "404", "a", "b", "c"] {
        page(&project, name, name, &text(name, 0..60));
    }
    for at in 0..20 {
        let name = format!("topic{at}x");
        page(&project, &old(at), &name, &text(&name, 0..90));
    }
    let (install, run) = (text("install", 0..150), text("run", 0..80));
    page(
        &project,
        "docs/guide",
        "Guide",
        &format!("{INSTALL}{install}{RUN}{run}"),
    );
    for name in ["gone-a", "gone-b", "gone-c"] {
        page(&project, &format!("docs/{name}"), name, &text(name, 0..90));
    }
    project.run(&["publish"]).expect_code(0);
    for at in 0..20 {
        let name = format!("topic{at}x");
        remove(&project, &old(at));
        // Every second page is edited, too.
        let edit = if at % 2 == 0 {
            ""
        } else {
            " and a word about what is new in this version"
        };
        let body = text(&name, 0..90) + edit;
        page(&project, &format!("learn/{at:02}-{name}"), &name, &body);
    }
    remove(&project, "docs/guide");
    page(
        &project,
        "learn/installing",
        "Installing",
        &format!("{INSTALL}{install}"),
    );
    page(&project, "learn/running", "Running", &format!("{RUN}{run}"));
    for name in ["gone-a", "gone-b", "gone-c"] {
        remove(&project, &format!("docs/{name}"));
    }
    page(&project, "learn/news", "News", &text("news", 0..90));
    project
}

/// Where the pages of [`project`] moved.
fn moved() -> BTreeMap<String, String> {
    let topics = (0..20).map(|at| (format!("/{}", old(at)), format!("/learn/{at:02}-topic{at}x")));
    let split = ("/docs/guide".to_owned(), "/learn/installing".to_owned());
    topics.chain([split]).collect()
}

/// The addresses that the check `moved` found.
fn found(problems: &Value) -> Vec<String> {
    let problems = problems.as_array().into_iter().flatten();
    let moved = problems.filter(|problem| problem["check"] == "moved");
    let address = |problem: &Value| {
        let message = problem["message"].as_str().expect("a message");
        message.split(' ').next().expect("an address").to_owned()
    };
    moved.map(address).collect()
}

fn suggest(project: &Project, options: &[&str]) -> Ran {
    project
        .run(&[&["redirects", "suggest"], options].concat())
        .expect_code(0)
}

#[test]
fn every_page_that_would_be_a_404_is_found_and_those_that_moved_are_suggested() {
    let project = project("");
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    let mut expected: Vec<String> = moved().into_keys().collect();
    expected.extend(["a", "b", "c"].map(|name| format!("/docs/gone-{name}")));
    expected.sort();
    assert_eq!(found(&planned["problems"]), expected);
    let hints = planned["problems"].to_string();
    assert!(hints.contains("`/docs/topic-00 /learn/00-topic0x 301`"), "{hints}");

    let suggested = suggest(&project, &["--json"]);
    assert!(
        suggested.stderr.contains("3 addresses") && suggested.stderr.contains("/docs/gone-a, /docs/gone-b"),
        "{suggested}"
    );
    let suggested = suggested.json();
    let pairs = suggested.as_array().expect("a list").iter().map(|one| {
        assert_eq!(one["status"], 301);
        let score = one["score"].as_u64().expect("a score");
        assert!((50..=100).contains(&score), "{one}");
        let text = |name: &str| one[name].as_str().expect("an address").to_owned();
        (text("from"), text("to"))
    });
    assert_eq!(pairs.collect::<BTreeMap<_, _>>(), moved());
    let text = suggest(&project, &[]).stdout;
    assert_eq!(text.lines().count(), 21, "{text}");
    assert!(
        text.contains("/docs/topic-00 /learn/00-topic0x 301  # 100% alike\n"),
        "{text}"
    );
    assert!(!project.dir.join("_redirects").exists());
}

#[test]
fn lines_that_were_written_are_followed_and_never_written_twice() {
    let project = project("");
    project.write("_redirects", "# by hand\n/elsewhere /a");
    suggest(&project, &["--write", "--quiet"]);
    let written = fs::read_to_string(project.dir.join("_redirects")).expect("the file");
    assert!(
        written.starts_with("# by hand\n/elsewhere /a\n/docs/guide /learn/installing 301  # "),
        "{written}"
    );
    assert_eq!(written.lines().count(), 23, "{written}");
    assert_eq!(suggest(&project, &["--write", "--quiet"]).stdout, "");
    assert_eq!(
        fs::read_to_string(project.dir.join("_redirects")).expect("the file"),
        written
    );

    let gone = ["/docs/gone-a", "/docs/gone-b", "/docs/gone-c"];
    let published = project.run(&["publish", "--json"]).expect_code(0).json();
    assert_eq!(found(&published["problems"]), gone);
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    assert_eq!(found(&planned["problems"]), gone);

    // A redirect that visitors follow counts like a page.
    fs::remove_file(project.dir.join("_redirects")).expect("the file");
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    let mut expected: Vec<String> = moved().into_keys().chain(["/elsewhere".to_owned()]).collect();
    expected.extend(gone.map(str::to_owned));
    expected.sort();
    assert_eq!(found(&planned["problems"]), expected);
    let again = suggest(&project, &["--json"]).json();
    assert_eq!(
        again[21],
        json!({"from": "/elsewhere", "to": "/a", "score": 100, "status": 301})
    );
}

#[test]
fn the_level_of_the_check_decides_and_a_page_may_be_allowed_to_go() {
    let project = project("moved = \"error\"");
    for command in ["plan", "publish"] {
        let refused = project.run(&[command, "--json"]).expect_code(3).json();
        assert_eq!(found(&refused["error"]["problems"]).len(), 24, "{refused}");
    }
    let annotated = project.run_env(&["plan"], &[("GITHUB_ACTIONS", "true")]).expect_code(3);
    assert!(
        annotated
            .stderr
            .contains("title=moved::docs/gone-a.html: /docs/gone-a can be opened now"),
        "{annotated}"
    );
    let manifest = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("the site manifest");
    let with = |check: &str| {
        project.write_manifest(&manifest.replace("moved = \"error\"", check));
        let planned = project.run(&["plan", "--json"]).expect_code(0).json();
        found(&planned["problems"])
    };
    assert_eq!(with("moved = \"off\""), [""; 0]);
    assert_eq!(
        with("allow = [\"docs/topic-*\", \"docs/guide.html\"]"),
        ["/docs/gone-a", "/docs/gone-b", "/docs/gone-c"]
    );
}

#[test]
fn a_first_publish_has_nothing_to_lose() {
    let project = Project::new();
    project.write_manifest("[check]\nnext = \"off\"\n");
    page(&project, "index", "Home", "text");
    let ran = suggest(&project, &["--json"]);
    assert_eq!(ran.json(), json!([]));
}

#[test]
fn headings_that_are_gone_from_a_page_are_listed_with_the_nearest_one() {
    let project = Project::new();
    project.write_manifest("[check]\nnext = \"off\"\n");
    page(&project, "index", "Home", "text");
    let body = "<h2 id=\"install\">Install</h2><p>a</p><h2 id=\"faq\">Questions</h2><h3 id=\"stays\">Stays</h3>";
    page(&project, "usage", "Usage", body);
    project.run(&["publish"]).expect_code(0);
    let body = "<h2 id=\"installation\">Installation</h2><p>a</p><p id=\"stays\">text</p>";
    page(&project, "usage", "Usage", body);
    let ran = suggest(&project, &["--anchors"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("/usage#install /usage#installation  # 7"), "{ran}");
    assert_eq!(lines[1..], ["/usage#faq"]);
    let gone = suggest(&project, &["--anchors", "--json"]).json();
    assert_eq!(gone[1], json!({"from": "/usage#faq", "to": null, "score": 0}));
    project
        .run(&["redirects", "suggest", "--anchors", "--write"])
        .expect_code(2);
}

/// The findings of `moved` of a plan: the message, the severity and since which release each is known.
fn known(planned: &Value) -> Vec<(String, String, String)> {
    let problems = planned["problems"].as_array().into_iter().flatten();
    let moved = problems.filter(|problem| problem["check"] == "moved");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    moved
        .map(|found| (text(&found["message"]), text(&found["severity"]), text(&found["since"])))
        .collect()
}

#[test]
fn what_an_earlier_publish_took_away_is_found_and_suggested_as_long_as_visitors_may_remember_it() {
    let project = project("moved = \"error\"");
    let manifest = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("the site manifest");
    let first = project.run(&["status", "--json"]).expect_code(0).json();
    let expected = suggest(&project, &["--json"]).json();
    assert_eq!(expected.as_array().map(Vec::len), Some(21));
    project.write_manifest(&manifest.replace("moved = \"error\"", "moved = \"off\""));
    let moved_in = project.run(&["publish", "--json"]).expect_code(0).json();
    project.write_manifest(&manifest);

    // The live release is the export, and then another one is between them.
    page(&project, "a", "a", &text("a", 0..61));
    for publishes in [false, true] {
        if publishes {
            // A publish does not look for what it does not make worse.
            let published = project.run(&["publish", "--json"]).expect_code(0).json();
            assert_eq!(known(&published), []);
        }
        assert_eq!(suggest(&project, &["--json"]).json(), expected);
        let planned = project.run(&["plan", "--json"]).expect_code(0).json();
        let found = known(&planned);
        assert_eq!(found.len(), 24, "{planned}");
        // A machine that has seen the releases asks for none of their manifests.
        let elsewhere = project.home.join("elsewhere");
        let fresh = project.run_env(
            &["plan", "--json"],
            &[("XDG_CACHE_HOME", elsewhere.to_str().expect("a path"))],
        );
        let fresh = fresh.expect_code(0).json();
        assert_eq!(known(&fresh), found);
        let [seen, unseen] = [&planned, &fresh].map(|planned| planned["round_trips"].as_u64().expect("a number"));
        assert!(seen + 4 <= unseen, "{seen} round trips and {unseen}");
        let since = moved_in["release"].as_str().expect("a release");
        for (message, severity, release) in found {
            assert!(
                message.ends_with(&format!("could be opened before release {since}, and is a 404 now")),
                "{message}"
            );
            assert_eq!((severity.as_str(), release.as_str()), ("warning", since));
        }
    }
    let planned = project.run(&["plan"]).expect_code(0);
    assert!(
        planned.stderr.contains("/docs/gone-a could be opened before release") && !planned.stderr.contains("known"),
        "{planned}"
    );

    let unchanged = project.run(&["publish", "--json"]).expect_code(0).json();
    assert_eq!(unchanged["round_trips"], 1);

    // The next page that goes is an error, and the others still are none.
    remove(&project, "b");
    let refused = project.run(&["plan", "--json"]).expect_code(3).json();
    let errors = known(&refused)
        .into_iter()
        .filter(|(_, severity, _)| severity == "error");
    let errors: Vec<String> = errors.map(|(message, ..)| message).collect();
    assert_eq!(errors, ["/b can be opened now, and would be a 404"]);
    page(&project, "b", "b", &text("b", 0..60));

    let with = |skew: &str| {
        let text = manifest.replace("[publish]\n", &format!("[publish]\nskew = \"{skew}\"\n"));
        project.write_manifest(&text);
        known(&project.run(&["plan", "--json"]).expect_code(0).json()).len()
    };
    assert_eq!((with("0"), with("1d")), (0, 24));
    project.write_manifest(&manifest);

    // The same is suggested if the old pages are live again.
    let first = first["release"].as_str().expect("a release");
    project.run(&["rollback", "--to", first]).expect_code(0);
    assert_eq!(suggest(&project, &["--json"]).json(), expected);
    suggest(&project, &["--write", "--quiet"]);
    project.write_manifest(&manifest.replace("moved = \"error\"", "allow = [\"docs/gone-*\"]"));
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    assert_eq!(known(&planned), []);
}

#[test]
fn a_page_whose_release_was_pruned_is_named_without_a_suggestion() {
    let project = Project::new();
    let manifest = "[publish]\nkeep = 1\n[check]\nnext = \"off\"\n[encode]\nbrotli = false\ngzip = 1\n";
    project.write_manifest(manifest);
    for name in ["index", "404", "old"] {
        page(&project, name, name, &text(name, 0..60));
    }
    project.run(&["publish"]).expect_code(0);
    remove(&project, "old");
    page(&project, "new", "old", &text("old", 0..61));
    let since = project.run(&["publish", "--json"]).expect_code(0).json()["release"].clone();
    assert_eq!(suggest(&project, &["--json"]).json()[0]["to"], "/new");
    page(&project, "index", "index", "another text");
    project.run(&["publish"]).expect_code(0);
    project.run(&["prune"]).expect_code(0);
    let listed = project.run(&["releases", "--json"]).expect_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    let releases: Vec<String> = known(&planned).into_iter().map(|(.., since)| since).collect();
    assert_eq!(releases, [since.as_str().expect("a release")]);
    let suggested = suggest(&project, &["--json"]);
    assert!(
        suggested.stderr.contains("for 1 address without an answer: /old"),
        "{suggested}"
    );
    assert_eq!(suggested.json(), json!([]));
}

#[test]
fn a_page_of_a_release_that_was_rolled_back_counts_too() {
    let project = Project::new();
    project.write_manifest("[check]\nnext = \"off\"\n[encode]\nbrotli = false\ngzip = 1\n");
    for name in ["index", "404"] {
        page(&project, name, name, &text(name, 0..60));
    }
    project.run(&["publish"]).expect_code(0);
    page(&project, "new", "New", &text("new", 0..60));
    project.write("_redirects", "/x /new 302\n");
    project.run(&["publish"]).expect_code(0);
    project.run(&["rollback"]).expect_code(0);
    remove(&project, "new");
    page(&project, "docs/new", "New", &text("new", 0..60));
    fs::remove_file(project.dir.join("_redirects")).expect("the file");
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    let messages: Vec<String> = known(&planned).into_iter().map(|(message, ..)| message).collect();
    assert_eq!(
        messages,
        [
            "/new could be opened before a rollback, and is a 404 now",
            "/x led to /new before a rollback, and is a 404 now"
        ]
    );
    assert_eq!(
        suggest(&project, &["--json"]).json(),
        json!([
            {"from": "/new", "to": "/docs/new", "score": 100, "status": 301},
            {"from": "/x", "to": "/docs/new", "score": 100, "status": 302}
        ])
    );
}

#[test]
fn findings_tell_the_file_of_the_export_from_the_one_next_to_the_site_manifest() {
    let project = Project::new();
    project.write_manifest("[check]\nnext = \"off\"\n");
    page(&project, "index", "Home", "text");
    project.write("out/_redirects", "/a /b 200\n");
    project.write("_redirects", "# moved\n/a /b 200\n");
    project.write("_headers", "/*\n  ETag: a\n");
    let checked = project.run(&["check", "--json"]).expect_code(3).json();
    let problems = checked["problems"].as_array().expect("a list").iter();
    let rules = problems.filter(|problem| problem["check"] != "not-found");
    let places: Vec<String> = rules
        .map(|problem| format!("{}:{}", problem["path"], problem["line"]))
        .collect();
    assert_eq!(places, ["\"./_headers\":2", "\"./_redirects\":2", "\"_redirects\":1"]);
    let lines = project.run(&["check"]).expect_code(3).stdout;
    assert!(
        lines.contains("\n./_redirects\n") && lines.contains("\n_redirects\n"),
        "{lines}"
    );

    // An annotation is at the file and its line, also where the site manifest lies elsewhere.
    project.write("public/_redirects", "/a /b 200\n");
    let workspace = project.dir.display().to_string();
    let env = [("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", workspace.as_str())];
    let annotated = project.run_env(&["check"], &env).expect_code(3).stderr;
    for place in [
        "file=_redirects,line=2,title=redirects::./_redirects:2: ",
        "file=_headers,line=2,title=headers::./_headers:2: ",
        "file=public/_redirects,line=1,title=redirects::_redirects:1: ",
    ] {
        assert!(annotated.contains(place), "{place}: {annotated}");
    }
}

#[test]
fn lines_without_a_status_are_noted_once_and_stop_nothing() {
    let project = Project::new();
    project.write_manifest("[check]\nnext = \"off\"\n[[redirects]]\nfrom = \"/c\"\nto = \"/a\"\n");
    for name in ["index", "404", "a"] {
        page(&project, name, name, "text");
    }
    project.write("out/_redirects", "/b /a 302\n/d/* /a\n");
    project.write("_redirects", "# here\n/e /a # moved\n/f /a 301\n");
    let checked = project.run(&["check"]).expect_code(0);
    assert_eq!(checked.stdout, "no problems found\n");
    let note = "note: 2 redirects without a status, first _redirects:2: taken as 301 (permanent)";
    assert_eq!(checked.stderr.matches("without a status").count(), 1, "{checked}");
    assert!(checked.stderr.contains(note), "{checked}");
    assert_eq!(
        project.run(&["check", "--json"]).expect_code(0).json()["problems"],
        json!([])
    );

    project.write("out/_redirects", "/b /a 302\n/d/* /a 302\n");
    project.write("_redirects", "/e /a 301\n");
    let checked = project.run(&["check"]).expect_code(0);
    assert!(!checked.stderr.contains("without a status"), "{checked}");
}

#[test]
fn a_link_to_a_moved_page_is_not_broken_as_long_as_the_redirect_is_there() {
    let project = Project::new();
    project.write_manifest("[site]\nurl = \"https://docs.example.com\"\n");
    project.write("out/404.html", "<!doctype html><title>Missing</title>");
    project.write("out/new/b.html", "<!doctype html><title>B</title>");
    let links = "<a href=/a>A</a> <a href=/old/b?x=1#y>B</a> <a href='/%C3%A4'>C</a> <a href=/none>D</a>";
    project.write("out/index.html", format!("<!doctype html><title>Home</title>{links}"));
    let broken = || {
        let checked = project.run(&["check", "--json"]).json();
        let problems = checked["problems"].as_array().unwrap();
        let links = problems.iter().filter(|problem| problem["check"] == "links");
        links
            .map(|problem| problem["message"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    project.write("out/_redirects", "/a /new/b\n/old/* /new/:splat\n/ä /new/b\n");
    let found = broken();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("/none"), "{found:?}");
    // What was found in the page before is not believed once the rules are others.
    project.write("out/_redirects", "/a /new/b\n");
    assert_eq!(broken().len(), 3);
}

//! Channels on nginx and in a browser: each under a host name of its own, listed by no search engine.

use std::fs;

use crate::offline::faithful::version;
use crate::support::browser::Browser;
use crate::support::command::Project;
use crate::support::http::{Request, Response};
use crate::support::nginx::{Nginx, complaints};

const MANIFEST: &str = r#"
[site]
name = "docs"
url = "http://docs.localhost"
export = "out"

[channels]
domain = "preview.localhost"
"#;

fn project(more: &str) -> Project {
    let project = Project::new();
    project.write_manifest(&format!("{MANIFEST}{more}"));
    project.write(
        "out/index.html",
        "<!doctype html><title>Home</title><a href=/guide>Guide</a>",
    );
    project.write(
        "out/404.html",
        "<!doctype html><title>Missing</title>the page for missing files",
    );
    project.write("out/robots.txt", "User-agent: *\nAllow: /\n");
    project.write("out/_redirects", "/old /guide 301\n");
    write_guide(&project, "live");
    project
}

fn write_guide(project: &Project, text: &str) {
    project.write(
        "out/guide.html",
        format!("<!doctype html><title>Guide</title><p id=text>{text}</p>"),
    );
}

fn publish(project: &Project, channel: &str, text: &str) {
    write_guide(project, text);
    project.run(&["publish", "--channel", channel]).expect_code(0);
}

fn get(nginx: &Nginx, host: &str, path: &str) -> Response {
    Request::get(path).header("Host", host).send(nginx.address())
}

fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

#[test]
fn each_channel_answers_under_its_own_name_and_no_request_leaves_the_channels() {
    let project = project("");
    project.run(&["publish"]).expect_code(0);
    publish(&project, "pr-12", "twelve");
    publish(&project, "pr-13", "thirteen");
    let nginx = Nginx::of(&project, &[]);
    for (host, shown) in [
        ("docs.localhost", "live"),
        ("pr-12.preview.localhost", "twelve"),
        ("PR-13.preview.localhost", "thirteen"),
    ] {
        let answer = get(&nginx, host, "/guide");
        assert_eq!(answer.status, 200, "{host}");
        assert!(text(&answer).contains(shown), "{host}: {}", text(&answer));
        let robots = text(&get(&nginx, host, "/robots.txt"));
        let is_preview = host != "docs.localhost";
        assert_eq!(robots.contains("Disallow: /\n"), is_preview, "{host}: {robots}");
        assert_eq!(
            answer.header("x-robots-tag") == Some("noindex"),
            is_preview,
            "{host}: {answer:?}"
        );
        let missing = get(&nginx, host, "/nothing");
        assert_eq!(
            (missing.status, text(&missing).contains("missing files")),
            (404, true),
            "{host}"
        );
        let moved = get(&nginx, host, "/old");
        assert_eq!(
            (moved.status, moved.header("location")),
            (301, Some("/guide")),
            "{host}"
        );
    }
    // No channel, and names that are none. The server of the site answers names that fit nothing.
    for host in ["pr-1.preview.localhost", "pr-1200.preview.localhost"] {
        assert_eq!(get(&nginx, host, "/guide").status, 404, "{host}");
    }
    fs::write(project.dir.join("target/docroot/channels/.x"), "secret").unwrap();
    for host in [
        "..preview.localhost",
        ".x.preview.localhost",
        "a.b.preview.localhost",
        "-.preview.localhost",
        "%2e.preview.localhost",
    ] {
        let answer = get(&nginx, host, "/guide");
        assert!(
            answer.status == 400 || text(&answer).contains("live") || answer.status == 404,
            "{host}: {answer:?}"
        );
    }
    // A channel that is removed is gone at once.
    project.run(&["channels", "remove", "pr-12"]).expect_code(0);
    assert_eq!(get(&nginx, "pr-12.preview.localhost", "/guide").status, 404);
}

#[test]
fn previews_can_be_kept_from_strangers() {
    let open = project("");
    open.run(&["publish"]).expect_code(0);
    publish(&open, "pr-12", "twelve");
    let docroot = open.dir.join("target/docroot");
    let passwords = open.write("passwords", "ann:{PLAIN}secret\n");
    let guarded = |more: &str| {
        open.write_manifest(&format!("{MANIFEST}{more}"));
        Nginx::of(&open, &["--docroot", docroot.to_str().unwrap()])
    };
    let nginx = guarded(&format!("basic-auth = {passwords:?}\n"));
    let host = "pr-12.preview.localhost";
    assert_eq!(get(&nginx, host, "/guide").status, 401);
    assert_eq!(get(&nginx, "docs.localhost", "/guide").status, 200);
    let request = Request::get("/guide").header("Host", host);
    let request = request.header("Authorization", "Basic YW5uOnNlY3JldA==");
    assert_eq!(request.send(nginx.address()).status, 200);
    let nginx = guarded("allow = [\"192.0.2.0/24\"]\n");
    assert_eq!(get(&nginx, host, "/guide").status, 403);
    assert_eq!(get(&nginx, "docs.localhost", "/guide").status, 200);
    let nginx = guarded("allow = [\"192.0.2.0/24\", \"127.0.0.0/8\"]\n");
    assert_eq!(get(&nginx, host, "/guide").status, 200);
}

#[test]
fn the_vhost_with_channels_and_a_certificate_is_one_that_nginx_accepts() {
    let project = project("");
    project.write_manifest(&MANIFEST.replace("http:", "https:"));
    let printed = project.run(&["nginx", "--nginx-version", "1.22"]).expect_code(0).stdout;
    assert!(
        printed.contains("certbot certonly --manual --preferred-challenges dns -d '*.preview.localhost'"),
        "{printed}"
    );
    assert!(
        printed.contains("/etc/letsencrypt/live/preview.localhost/fullchain.pem"),
        "{printed}"
    );
    assert!(printed.contains(".preview.localhost$request_uri;"), "{printed}");
    // Without the certificates, which no test has, nginx says nothing else.
    let complaints = complaints(
        &project
            .run(&["nginx", "--without-tls", "--nginx-version", "1.22"])
            .expect_code(0)
            .stdout,
    );
    assert_eq!(complaints, "");
}

#[test]
fn a_preview_is_seen_in_a_browser_and_promoted_by_one_swap() {
    const CLICKS: [&str; 3] = ["a[href='/guide']", "a[href='/about']", "a[href='/']"];
    let version = version("16.3-app");
    let project = Project::new();
    let publish = |what: &str, more: &[&str]| {
        let export = version.build(what);
        project.write_manifest(&MANIFEST.replace("\"out\"", &format!("{:?}", export.to_str().unwrap())));
        project.run(&[&["publish"], more].concat()).expect_code(0);
    };
    publish("first", &[]);
    publish("edited", &["--channel", "pr-12"]);
    let nginx = Nginx::of(&project, &[]);
    let mut browser = Browser::start("channels");
    let mut tour = |name: &str| {
        let url = format!("http://{name}.localhost:{}", nginx.address().port());
        let tour = browser.tour(&url, &CLICKS);
        let problems: Vec<&String> = tour.stops.iter().flat_map(|stop| &stop.problems).collect();
        assert!(problems.is_empty(), "{name}: {problems:?}");
        // No click loads a document.
        assert_eq!(tour.documents, 1, "{name}");
        tour.stops.into_iter().map(|stop| stop.text).collect::<Vec<String>>()
    };
    let (preview, live) = (tour("pr-12.preview"), tour("docs"));
    assert_ne!(preview, live);
    project.run(&["promote", "pr-12"]).expect_code(0);
    assert_eq!(tour("docs"), preview);
    project.run(&["rollback"]).expect_code(0);
    assert_eq!((tour("docs"), tour("pr-12.preview")), (live, preview));
}

#[test]
fn a_preview_that_the_vhost_does_not_show_is_a_warning() {
    let project = project("");
    project.run(&["publish"]).expect_code(0);
    publish(&project, "pr-12", "twelve");
    let with_channels = Nginx::of(&project, &[]);
    project.write_manifest(&MANIFEST.replace("[channels]\ndomain = \"preview.localhost\"\n", ""));
    let without = Nginx::of(&project, &[]);
    for (nginx, is_shown) in [(&with_channels, true), (&without, false)] {
        project.write_manifest(&format!(
            "{MANIFEST}[verify]\norigin = \"http://{}\"\n",
            nginx.address()
        ));
        let published = project.run(&["publish", "--channel", "pr-12", "--json"]).expect_code(0);
        assert_eq!(published.json()["shown"], is_shown, "{published}");
        let is_told = published
            .stderr
            .contains("its address does not show it: another release answers there");
        assert_eq!(is_told, !is_shown, "{published}");
    }
}

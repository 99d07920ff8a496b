//! What the preview adds to a page, and its own addresses, without a browser.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};
use walkdir::WalkDir;

use super::{fixture, get, preview, world};
use crate::support::command::{Project, small_export};
use crate::support::http::{Request, Response};

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n");
    project
}

/// A request from a browser that opens a page.
fn open(target: &str) -> Request {
    Request::get(target).header("Sec-Fetch-Dest", "document")
}

/// The preview's script element in a page, or `None` if there is none.
fn element(page: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(page);
    let from = page.find("<script src=\"/__syntax/client.js\"")?;
    let to = from + page[from..].find("</script>")? + "</script>".len();
    Some(page[from..to].to_owned())
}

fn decoded(answer: &Response) -> Vec<u8> {
    let mut out = Vec::new();
    match answer.header("content-encoding") {
        Some("br") => brotli::BrotliDecompress(&mut &answer.body[..], &mut out).unwrap(),
        Some("gzip") => {
            use std::io::Read as _;
            flate2::read::GzDecoder::new(&answer.body[..])
                .read_to_end(&mut out)
                .unwrap();
        }
        _ => out.clone_from(&answer.body),
    }
    out
}

#[test]
fn a_page_that_a_browser_opens_is_the_page_of_nginx_and_one_element_more() {
    for (export, base) in [("export", ""), ("based/export", "/handbook")] {
        let world = world(&fixture(export), "");
        let pages = world.paths().into_iter().filter(|path| path.ends_with(".html"));
        let mut count = 0;
        for path in pages.filter(|path| path.is_ascii()) {
            count += 1;
            let target = format!("{base}/{path}");
            for coding in ["", "br", "gzip"] {
                let theirs = get_with(world.nginx(), &target, coding);
                let ours = open(&target).header("Accept-Encoding", coding).send(world.preview);
                assert_eq!(ours.status, theirs.status, "{target}");
                for header in [
                    "content-type",
                    "content-encoding",
                    "cache-control",
                    "vary",
                    "content-security-policy",
                ] {
                    assert_eq!(ours.header(header), theirs.header(header), "{target}: {header}");
                }
                assert_eq!(ours.header("content-length").unwrap(), ours.body.len().to_string());
                let page = decoded(&ours);
                let element = element(&page).unwrap_or_else(|| panic!("{target} has no element"));
                assert!(element.contains(&format!("data-file=\"{path}\"")), "{element}");
                let without = String::from_utf8(page).unwrap().replace(&element, "");
                assert!(without.as_bytes() == decoded(&theirs), "{target} differs in more");
            }
        }
        assert!(count > 5, "{count}");
        assert_eq!(element(&get(world.preview, &format!("{base}/index.html")).body), None);
    }
}

fn get_with(server: SocketAddr, target: &str, coding: &str) -> Response {
    Request::get(target).header("Accept-Encoding", coding).send(server)
}

#[test]
fn an_opened_page_can_be_requested_completely_in_parts_and_again_unchanged() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    let whole = open("/docs/a").send(server);
    let etag = whole.header("etag").unwrap().to_owned();
    let plain = get(server, "/docs/a");
    assert_ne!(plain.header("etag").unwrap(), etag, "other bytes, another tag");
    assert_eq!(plain.header("last-modified"), whole.header("last-modified"));

    let again = open("/docs/a").header("If-None-Match", &etag).send(server);
    assert_eq!(
        (again.status, again.header("etag"), again.body.len()),
        (304, Some(&*etag), 0)
    );
    let other = open("/docs/a")
        .header("If-None-Match", plain.header("etag").unwrap())
        .send(server);
    assert_eq!(other.status, 200);

    let head = Request::new("HEAD", "/docs/a")
        .header("Sec-Fetch-Dest", "document")
        .send(server);
    assert_eq!((head.status, head.header("etag")), (200, Some(&*etag)));
    assert_eq!(head.header("content-length").unwrap(), whole.body.len().to_string());

    let part = open("/docs/a")
        .header("Range", "bytes=-20")
        .header("If-Range", &etag)
        .send(server);
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range").unwrap(), {
        let length = whole.body.len();
        format!("bytes {}-{}/{length}", length - 20, length - 1)
    });
    assert!(part.body == whole.body[whole.body.len() - 20..]);
    let parts = open("/docs/a").header("Range", "bytes=0-4,10-14").send(server);
    assert_eq!(parts.header("content-length").unwrap(), parts.body.len().to_string());

    for destination in ["empty", "script", "image"] {
        let fetched = Request::get("/docs/a")
            .header("Sec-Fetch-Dest", destination)
            .send(server);
        assert!(fetched.body == plain.body, "{destination}");
    }
    let missing = open("/none").send(server);
    assert_eq!(missing.status, 404);
    assert!(element(&missing.body).unwrap().contains("data-file=\"404.html\""));
    let from_a_network = Request::get("/docs/a")
        .header("Accept", "text/html,*/*;q=0.8")
        .send(server);
    assert!(element(&from_a_network.body).is_some());
}

#[test]
fn nothing_of_the_preview_is_published_or_built() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    assert!(element(&open("/docs/a").send(server).body).is_some());
    project.run(&["publish"]).expect_code(0);
    project.run(&["build", "--out", "built"]).expect_code(0);
    let mut count = 0;
    for folder in ["docroot/current/", "docroot/objects", "built", "out"] {
        for entry in WalkDir::new(project.dir.join(folder)).follow_links(true) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                count += 1;
                let bytes = fs::read(entry.path()).unwrap();
                let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
                assert!(
                    !has(b"__syntax") && !has(b"syntax-preview"),
                    "{}",
                    entry.path().display()
                );
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn a_page_whose_policy_forbids_the_script_and_every_page_without_reload_stay_as_they_are() {
    let project = project();
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src 'sha256-x'\"><p>closed";
    project.write("out/closed.html", policy);
    let (_watch, server) = preview(&project, &[]);
    assert!(open("/closed").send(server).body == policy.as_bytes());
    let (_watch, server) = preview(&project, &["--no-reload"]);
    assert_eq!(element(&open("/docs/a").send(server).body), None);
}

/// Sends a question as the dashboard does.
fn ask(server: SocketAddr, what: &str, question: &Value) -> Response {
    question_with(
        server,
        what,
        question,
        &[("Sec-Fetch-Site", "same-origin"), ("Content-Type", "application/json")],
    )
}

fn question_with(server: SocketAddr, what: &str, question: &Value, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::new("POST", format!("/__syntax/api/{what}")).body(question.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send(server)
}

fn value(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn only_a_page_of_this_server_can_ask_for_what_is_expensive() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    let json = ("Content-Type", "application/json");
    for what in ["plan", "releases", "sizes", "page", "affected"] {
        for headers in [
            &[json][..],
            &[json, ("Sec-Fetch-Site", "none")],
            &[json, ("Sec-Fetch-Site", "cross-site"), ("Origin", "http://evil.com")],
            &[json, ("Origin", "http://evil.com")],
            &[json, ("Origin", "null")],
        ] {
            let answer = question_with(server, what, &json!({}), headers);
            assert_eq!(answer.status, 403, "{what} {headers:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        let plain = question_with(
            server,
            what,
            &json!({}),
            &[("Sec-Fetch-Site", "same-origin"), ("Content-Type", "text/plain")],
        );
        assert_eq!(plain.status, 400, "a form of another site could send that");
        let read = get(server, &format!("/__syntax/api/{what}"));
        assert_eq!((read.status, read.header("allow")), (405, Some("POST")), "{what}");
    }
    assert!(!project.dir.join("docroot").exists(), "nobody has asked the target");
    for path in [
        "",
        "client.js",
        "dashboard.js",
        "dashboard.css",
        "events",
        "status",
        "api/site",
        "api/findings",
        "api/times",
    ] {
        let own = || Request::get(format!("/__syntax/{path}"));
        assert_eq!(
            own().header("Sec-Fetch-Site", "cross-site").send(server).status,
            403,
            "{path}"
        );
        let posted = Request::new("POST", format!("/__syntax/{path}")).send(server);
        assert_eq!(
            (posted.status, posted.header("allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
    }
    let bare = get(server, "/__syntax");
    assert_eq!((bare.status, bare.header("location")), (308, Some("/__syntax/")));
    assert_eq!(get(server, "/__syntax/none").status, 404);
    let page = get(server, "/__syntax/");
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
}

#[test]
fn the_plan_and_the_releases_are_those_of_the_commands() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    let first = value(&ask(server, "plan", &json!({})));
    let said = project.run(&["plan", "--json"]).expect_code(0).json();
    assert!(first["asked"].as_u64().unwrap() > 1_600_000_000_000, "{first}");
    assert_eq!(first["ok"]["target"], "local");
    for field in [
        "added",
        "changed",
        "removed",
        "unchanged",
        "objects_sent",
        "bytes_sent",
        "changes",
    ] {
        assert_eq!(first["ok"]["plan"][field], said[field], "{field}");
    }
    assert_eq!(value(&ask(server, "releases", &json!({})))["ok"]["releases"], json!([]));
    project.run(&["publish"]).expect_code(0);
    assert_eq!(
        value(&ask(server, "plan", &json!({})))["ok"]["plan"]["changes"],
        json!([])
    );
    let releases = value(&ask(server, "releases", &json!({})));
    let release = &releases["ok"]["releases"][0];
    let id = release["id"].as_str().unwrap();
    assert_eq!(
        (&release["current"], &release["rollback"]),
        (&true.into(), &format!("syntax-publish rollback --to {id}").into())
    );
    // A change that a publish would refuse is refused here too, with its fix.
    project.write("out/bad.html", "<a href=\"/gone\">gone</a>");
    let refused = value(&ask(server, "plan", &json!({})));
    assert!(
        refused["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("`syntax-publish check` lists them, and so does the dashboard under Findings"),
        "{refused}"
    );
}

#[test]
fn sizes_are_those_of_the_answers_and_a_page_names_what_it_loads() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    let site: Value = serde_json::from_slice(&get(server, "/__syntax/api/site").body).unwrap();
    let files = site["files"].as_array().unwrap();
    assert_eq!((&site["levels"]["br"], &site["levels"]["gzip"]), (&4.into(), &6.into()));
    let paths: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    let sizes = value(&ask(server, "sizes", &json!({ "paths": paths })));
    assert_eq!(sizes["files"].as_array().unwrap().len(), files.len());
    let mut encoded = 0;
    for (file, size) in files.iter().zip(sizes["files"].as_array().unwrap()) {
        let path = file["path"].as_str().unwrap();
        assert_eq!(file["path"], size["path"]);
        let target = format!("/{path}");
        assert_eq!(get(server, &target).body.len() as u64, file["bytes"], "{path}");
        for coding in ["br", "gzip"] {
            let answer = get_with(server, &target, coding);
            match answer.header("content-encoding") {
                Some(_) => assert_eq!(size[coding], answer.body.len(), "{path} {coding}"),
                None => assert_eq!(size[coding], Value::Null, "{path} {coding}"),
            }
            encoded += usize::from(answer.header("content-encoding").is_some());
        }
        let class = if answer_is_kept(server, &target) {
            "immutable"
        } else {
            "revalidate"
        };
        assert_eq!(file["class"], class, "{path}");
    }
    assert!(encoded > 2, "{encoded}");
    let gone = value(&ask(server, "sizes", &json!({ "paths": ["../etc/passwd", "none"] })));
    assert_eq!(gone["files"], json!([]));
}

fn answer_is_kept(server: SocketAddr, target: &str) -> bool {
    get(server, target)
        .header("cache-control")
        .unwrap()
        .contains("immutable")
}

//! The preview gives the same answers as nginx: status, headers and body.
//!
//! These differences are intended:
//!
//! - `Date`, `Server`, the connection's own headers, and the case of header names say nothing about the site.
//! - `ETag` and `Last-Modified` have other values, because nginx derives them from the times of the store. Both must be
//!   present, and repeating them in a request must have the same effect.
//! - The bodies of answers without a file (redirects, refusals) are nginx's own text.
//! - nginx writes the headers of a 416 twice. The second ones count, and [`Answer::of`] takes those.
//! - The preview handles requests for another host's name, and addresses below `/__syntax/`, in its own way.
//! - Bytes that a URL may not contain (`<`, a backtick, raw bytes that are not UTF-8) and versions of HTTP that no
//!   browser speaks never reach the rules, because the HTTP library refuses such requests.
//! - nginx refuses a request with both `Content-Length` and `Transfer-Encoding`. The preview has no server behind it to
//!   smuggle a request to, so it reads the request by the standard and ends the connection.
//! - nginx accepts a date with the wrong day of the week.
//! - Files that only previous releases had are in nginx's pool.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use syntax_publish::rules::fingerprint;

use super::{World, copy, fixture, get, world};
use crate::support::http::{Request, Response};

/// Statuses whose body the server makes itself.
const WITHOUT_A_FILE: [u16; 5] = [308, 400, 405, 412, 416];

/// The parts of an answer that are compared.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: Vec<u8>,
}

impl Answer {
    fn of(response: Response) -> Self {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in response.headers {
            headers.entry(name.to_ascii_lowercase()).or_default().push(value);
        }
        for meaningless in ["date", "server", "connection", "keep-alive"] {
            headers.remove(meaningless);
        }
        for valueless in ["etag", "last-modified"] {
            if let Some(values) = headers.get_mut(valueless) {
                values.fill("some".into());
            }
        }
        let mut body = response.body;
        if WITHOUT_A_FILE.contains(&response.status) {
            headers.remove("content-length");
            body.clear();
        }
        if response.status == 416 {
            for values in headers.values_mut() {
                values.drain(..values.len() - 1);
            }
        }
        // A boundary may be anything. nginx uses a number.
        if let Some(values) = headers.get_mut("content-type")
            && let Some(boundary) = values[0]
                .strip_prefix("multipart/byteranges; boundary=")
                .map(str::to_owned)
        {
            values[0] = format!("multipart/byteranges; boundary of {}", boundary.len());
            let text = String::from_utf8_lossy(&body).replace(&boundary, "[boundary]");
            body = text.into_bytes();
        }
        Self {
            status: response.status,
            headers,
            body,
        }
    }
}

/// A request to both servers. `{etag}` and `{modified}` in a header stand for the server's own values for the target.
struct Question {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
}

fn question(method: &'static str, target: impl Into<String>, headers: &[(&'static str, &str)]) -> Question {
    Question {
        method,
        target: target.into(),
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
    }
}

impl Question {
    fn ask(&self, server: SocketAddr) -> Answer {
        let mut request = Request::new(self.method, &self.target);
        let accepted = self.headers.iter().find(|(name, _)| *name == "Accept-Encoding");
        let is_dependent = self.headers.iter().any(|(_, value)| value.contains('{'));
        let known = is_dependent.then(|| {
            let mut first = Request::get(&self.target);
            if let Some((name, value)) = accepted {
                first = first.header(name, value);
            }
            first.send(server)
        });
        for (name, value) in &self.headers {
            let said = |name: &str| known.as_ref().and_then(|known| known.header(name)).unwrap_or("none");
            let value = value
                .replace("{etag}", said("etag"))
                .replace("{modified}", said("last-modified"));
            request = request.header(name, &value);
        }
        Answer::of(request.send(server))
    }
}

/// Fails unless both servers give the same answers. Returns the number of questions.
fn assert_same(world: &World, questions: impl IntoIterator<Item = Question>) -> usize {
    let mut count = 0;
    let mut differ = Vec::new();
    for question in questions {
        count += 1;
        let (nginx, preview) = (question.ask(world.nginx()), question.ask(world.preview));
        if nginx != preview {
            let Question {
                method,
                target,
                headers,
            } = &question;
            let told = |answer: &Answer| format!("{} {:?} {} bytes", answer.status, answer.headers, answer.body.len());
            differ.push(format!(
                "{method} {target:?} with {headers:?}\n    nginx:   {}\n    preview: {}",
                told(&nginx),
                told(&preview)
            ));
        }
    }
    let shown: Vec<_> = differ.iter().take(20).map(String::as_str).collect();
    assert!(
        differ.is_empty(),
        "{} of {count} differ:\n{}",
        differ.len(),
        shown.join("\n")
    );
    count
}

/// A path of the site as a URL path.
fn encoded(path: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~/!$&'()*+,;=:@".contains(byte);
    let byte = |byte: u8| {
        if plain(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02x}")
        }
    };
    path.bytes().map(byte).collect()
}

/// Every file in every form, and each page at every address that it may have.
fn every_file(world: &World, base: &str) -> Vec<Question> {
    let mut questions = Vec::new();
    for path in world.paths() {
        let target = format!("{base}/{}", encoded(&path));
        questions.push(question("GET", &target, &[]));
        questions.push(question(
            "HEAD",
            &target,
            &[("Accept-Encoding", "gzip, deflate, br, zstd")],
        ));
        questions.push(question("GET", &target, &[("Accept-Encoding", "br")]));
        questions.push(question("GET", &target, &[("Accept-Encoding", "gzip")]));
        questions.push(question("GET", &target, &[("If-None-Match", "{etag}")]));
        questions.push(question("GET", &target, &[("Range", "bytes=0-99")]));
        // The address that leads to a copy, and addresses that resemble it.
        let copy = path.strip_prefix("_assets/").and_then(fingerprint::original_of);
        if let Some((original, hash)) = copy {
            let original = format!("{base}/{}", encoded(&original));
            for query in [format!("v={hash}"), format!("w=640&V={hash}"), format!("v={hash}x")] {
                questions.push(question(
                    "GET",
                    format!("{original}?{query}"),
                    &[("Accept-Encoding", "br")],
                ));
            }
        }
        questions.push(question("GET", format!("{target}?v=0123456789abcdef"), &[]));
        if let Some(page) = target.strip_suffix(".html") {
            let bare = page
                .strip_suffix("/index")
                .filter(|bare| !bare.is_empty())
                .unwrap_or(page);
            questions.push(question("GET", bare, &[]));
            questions.push(question("GET", format!("{bare}/"), &[]));
            questions.push(question("GET", format!("{bare}?a=b&c=%2f"), &[]));
            questions.push(question("GET", format!("{bare}/?a=b&c=%2f"), &[]));
        }
    }
    questions
}

/// Values of `Accept-Encoding`.
const ACCEPTED: &[&str] = &[
    "br",
    "gzip",
    "gzip, deflate, br, zstd",
    "gzip,br",
    "GZIP",
    "BR",
    "br;q=0",
    "br;q=0, gzip",
    "br;q=0., gzip",
    "br;q=0.0, gzip;q=0.0",
    "br;q=0.000, gzip;q=0.000",
    "br;q=0.0000, gzip;q=0.0000",
    "br;q=0.001",
    "gzip;q=0.001",
    "gzip;q=1.000",
    "gzip;q=1.001",
    "gzip;q=1.0000",
    "gzip;q=2",
    "gzip;q=1",
    "gzip;q=",
    "gzip;q",
    "gzip;",
    "gzip ; q=0",
    "gzip; Q=0.5",
    "gzip;x=1",
    "gzip;q=0.5;x=1",
    "gzipx",
    "x-gzip",
    "x gzip",
    "xgzip, gzip",
    "br ; q = 0",
    "br;Q=0",
    "br;q=1",
    "br;x=0",
    "brotli",
    "xbr",
    "x,br",
    "identity",
    "identity;q=0",
    "*;q=0",
    "*",
    "deflate",
    "gzip,identity;q=0",
    "",
    " ",
    ",",
    ";",
];

/// Values of `Range`.
const RANGES: &[&str] = &[
    "bytes=0-0",
    "bytes=0-",
    "bytes=5-9",
    "bytes=-1",
    "bytes=-0",
    "bytes=-999999999",
    "bytes=999999999-",
    "bytes=0-999999999",
    "bytes=9-5",
    "bytes=0-0,2-2",
    "bytes=0-0, 2-3 ,-1",
    "bytes=2-2,0-0",
    "bytes=0-9,5-14",
    "bytes=0-,0-",
    "bytes=9-5,0-0",
    "bytes=0-0,",
    "bytes=,0-0",
    "bytes=",
    "bytes=x",
    "bytes=1",
    "bytes= 0 - 1 ",
    "bytes=- 1",
    "bytes=--1",
    "bytes=0--1",
    "bytes=99999999999999999999-",
    "bytes=0-99999999999999999999",
    "BYTES=0-0",
    "lines=0-0",
    "bytes 0-0",
    "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14",
];

/// Valid and invalid times.
const TIMES: &[&str] = &[
    "{modified}",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Thu, 31 Dec 2099 23:59:59 GMT",
    "Thursday, 01-Jan-70 00:00:00 GMT",
    "Thu Jan  1 00:00:00 1970",
    "yesterday",
    "",
];

/// Paths that servers interpret differently.
const HOSTILE: &[&str] = &[
    "",
    "/",
    "//",
    "/.",
    "/..",
    "/./",
    "/../",
    "/../..",
    "/..%2f",
    "/%2e%2e/",
    "/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/x/..",
    "/x/../",
    "/x/../docs",
    "/x/..%2fdocs",
    "/x/../docs/",
    "/docs/../../..",
    "//docs",
    "//docs/",
    "/docs//",
    "/docs/./",
    "/docs/.",
    "/docs/..",
    "/./docs/",
    "/.//evil.com/",
    "//evil.com",
    "//evil.com/",
    "///evil.com/",
    "/%2fevil.com/",
    "/%2Fevil.com/",
    "/%5cevil.com/",
    "/\\evil.com/",
    "/%64ocs",
    "/%64ocs/",
    "/docs%2f",
    "/docs%2F?x",
    "/docs%20",
    "/docs%0a",
    "/docs%0d%0aX:1/",
    "/docs%00",
    "/docs%00/",
    "/docs%",
    "/docs%4",
    "/docs%zz",
    "/%zz",
    "/docs%23",
    "/docs%3f",
    "/docs%3fx/",
    "/docs?",
    "/docs/?",
    "/docs/??",
    "/docs/?//evil.com",
    "/docs/?%0d%0aX:1",
    "/docs+",
    "/docs;x",
    "/docs=x/",
    "/DOCS",
    "/docs.HTML",
    "/docs.html/",
    "/docs.html/x",
    "/docs.html.br",
    "/docs.html.gz",
    "/docs.html.br.br",
    "/docs.br",
    "/index",
    "/index/",
    "/index.html",
    "/index.html?x",
    "/404",
    "/404/",
    "/404.html",
    "/.hidden",
    "/%2ehidden",
    "/.git/config",
    "/docs/.hidden.txt",
    "/docs/%2ehidden.txt",
    "/.well-known",
    "/.well-known/",
    "/.well-known/none",
    "/.well-known/.secret",
    "/.well-known/../docs",
    "/_next",
    "/_next/",
    "/_next/static",
    "/_next/static/",
    "/_next/static/chunks",
    "/_next/static/chunks/",
    "/_next/static/chunks/none.js",
    "/_next/static/chunks/../../../docs",
    "/_next/static/chunks/..%2f..%2f..%2fdocs",
    "/%5fnext/static/chunks/none.js",
    "/_assets",
    "/_assets/",
    "/_assets/none.png",
    "/_assets/icon",
    "/_assets/docs.0123456789abcdef.html",
    "/_assets/docs/guides.0123456789abcdef.x",
    "/_assets/.0123456789abcdef.html",
    "/docs.html?v=0123456789abcdef",
    "/docs/?v=0123456789abcdef",
    "/none.png?v=0123456789abcdef",
    "/.git/config.png?v=0123456789abcdef",
    "/current/index.html",
    "/releases",
    "/immutable/",
    "/trees/",
    "/none",
    "/none/",
    "/none.html",
    "/none?x",
    "/a{b}\"c|d^e",
    "/[x]/",
    "/$(x)[y]!.txt",
    "/~x/",
    "/größe",
    "/gr%C3%B6%C3%9Fe/",
    "/%ff",
    "/%ff/",
    "/%c3%28",
];

/// Requests of every kind for one target.
fn every_kind(target: &str) -> Vec<Question> {
    let mut questions = Vec::new();
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO", "get", "F.O", "PROPFIND",
    ] {
        questions.push(question(method, target, &[]));
        questions.push(question(method, target, &[("Accept-Encoding", "br")]));
    }
    for accepted in ACCEPTED {
        questions.push(question("GET", target, &[("Accept-Encoding", accepted)]));
    }
    for range in RANGES {
        questions.push(question("GET", target, &[("Range", range)]));
        questions.push(question("HEAD", target, &[("Range", range)]));
        questions.push(question("GET", target, &[("Range", range), ("Accept-Encoding", "br")]));
    }
    for if_range in [
        "{etag}",
        "W/{etag}",
        "\"x\"",
        "x",
        "{modified}",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "",
        "\"",
    ] {
        questions.push(question(
            "GET",
            target,
            &[("Range", "bytes=0-1"), ("If-Range", if_range)],
        ));
    }
    for coding in ["", "br", "gzip"] {
        for list in [
            "{etag}",
            "W/{etag}",
            "\"x\"",
            "\"x\", {etag}",
            "\"x\",W/{etag} ,\"y\"",
            "{etag}x",
            "x{etag}",
            "*",
            "*, {etag}",
            "",
            ",",
            ", ,{etag}",
            "W/",
        ] {
            for name in ["If-None-Match", "If-Match"] {
                questions.push(question("GET", target, &[("Accept-Encoding", coding), (name, list)]));
            }
        }
    }
    for time in TIMES {
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            questions.push(question("GET", target, &[(name, time)]));
            questions.push(question("HEAD", target, &[(name, time), ("If-None-Match", "{etag}")]));
            questions.push(question("GET", target, &[(name, time), ("If-None-Match", "\"x\"")]));
            questions.push(question("GET", target, &[(name, time), ("If-Match", "{etag}")]));
            questions.push(question("GET", target, &[(name, time), ("Range", "bytes=0-1")]));
        }
    }
    questions
}

/// Addresses that would lead elsewhere, nowhere, or out of the site if a server were careless.
fn hostile(base: &str) -> Vec<Question> {
    let mut questions: Vec<Question> = HOSTILE
        .iter()
        .map(|path| question("GET", format!("{base}{path}"), &[]))
        .filter(|question| !question.target.is_empty())
        .collect();
    questions.extend(
        ["/".repeat(300), format!("/{}", "x".repeat(300)), "/x/..".repeat(50)].map(|path| {
            let target = format!("{base}{path}");
            question("GET", target, &[])
        }),
    );
    questions.push(question("HEAD", format!("{base}/none"), &[("Accept-Encoding", "br")]));
    questions.push(question("POST", format!("{base}/none"), &[]));
    questions.push(question("POST", format!("{base}/_next/static/chunks/none.js"), &[]));
    questions.push(question("GET", "*", &[]));
    questions.push(question("OPTIONS", "*", &[]));
    questions.push(question("GET", "http://localhost/docs/", &[]));
    questions.push(question("GET", "http://localhost", &[]));
    // Repeated headers: some repeats are accepted, and some are refused.
    questions.push(question(
        "GET",
        format!("{base}/docs"),
        &[("Host", "localhost"), ("Host", "localhost")],
    ));
    questions.push(question(
        "GET",
        format!("{base}/docs"),
        &[("Accept-Encoding", "identity"), ("Accept-Encoding", "br")],
    ));
    questions.push(question(
        "GET",
        format!("{base}/docs"),
        &[("Range", "bytes=0-1"), ("Range", "bytes=2-3")],
    ));
    questions
}

/// Addresses around a base path.
fn around(base: &str) -> Vec<Question> {
    let targets = [
        "/".to_owned(),
        "/?x".to_owned(),
        "/index.html".to_owned(),
        "/404.html".to_owned(),
        "/robots.txt".to_owned(),
        "/robots.txt/".to_owned(),
        "/favicon.ico".to_owned(),
        "/sitemap.xml".to_owned(),
        "/.well-known/security.txt".to_owned(),
        "/.well-known/".to_owned(),
        "/_next/static/".to_owned(),
        base.to_owned(),
        format!("{base}?x=y"),
        format!("{base}/?x=y"),
        format!("{base}.txt"),
        format!("{base}.txt?_rsc=1"),
        format!("{base}.html"),
        format!("{base}s"),
        format!("/{base}"),
        format!("/{base}/"),
        format!("/x/..{base}"),
        format!("{base}/..{base}"),
        format!("{base}/.."),
        format!("{base}{base}"),
        format!("{base}{base}/"),
        base.to_uppercase(),
    ];
    targets.map(|target| question("GET", target, &[])).into()
}

/// Content types for some of the files that [`add_odd_files`] adds.
const TYPES: &str = "[types]\n\"**/*.neverheardof\" = \"text/x-talk\"\n\"feeds/*.xml\" = \"application/x-feed\"\n\
                     \"/data/**\" = \"application/json\"\n";

/// Adds files of every kind that the fixtures lack.
fn add_odd_files(export: &Path) {
    let page = "<!doctype html><title>x</title><p>some words that repeat</p>\n".repeat(40);
    let files: [(&str, &[u8]); 23] = [
        ("feeds/a.xml", page.as_bytes()),
        ("feeds/a.xml.html", page.as_bytes()),
        ("feeds/b.xml.html", page.as_bytes()),
        ("data/1", page.as_bytes()),
        ("data/2.html", page.as_bytes()),
        ("data/3.png", b"typed by its extension"),
        ("größe.html", page.as_bytes()),
        ("100%.html", page.as_bytes()),
        ("a?b.html", page.as_bytes()),
        ("a b+c&d.html", page.as_bytes()),
        ("evil.com.html", page.as_bytes()),
        ("\\evil.com.html", page.as_bytes()),
        ("$(x)[y]!.txt", b"short"),
        ("empty.txt", b""),
        ("LICENSE", b"no extension"),
        ("talk.odp", b"no type of the vhost's"),
        ("talk.NEVERHEARDOF", b"no type at all"),
        ("LOGO.PNG", b"not one"),
        ("docs/icon", b"by name"),
        ("docs/opengraph-image-1ow20b", b"by name and mark"),
        ("dot.", b"ends with a dot"),
        (".well-known/security.txt", b"Contact: mailto:x@example.com\n"),
        ("brought/index.html", page.as_bytes()),
    ];
    for (path, bytes) in files {
        crate::support::command::write(&export.join(path), bytes);
    }
    // Larger than what is kept in memory.
    let mut large = Vec::new();
    for number in 0..1_500_000_u32 {
        large.extend_from_slice(&number.to_le_bytes());
    }
    fs::write(export.join("large.bin"), large).unwrap();
}

#[test]
fn every_file_of_a_flat_export_is_answered_as_nginx_answers_it() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("export"), folder.path());
    add_odd_files(folder.path());
    let world = world(folder.path(), TYPES);
    for (target, wanted) in [
        ("/talk.NEVERHEARDOF", "text/x-talk; charset=utf-8"),
        ("/feeds/a.xml", "application/x-feed"),
        ("/feeds/b.xml", "text/html; charset=utf-8"),
        ("/data/1", "application/json"),
    ] {
        assert_eq!(
            get(world.preview, target).header("content-type"),
            Some(wanted),
            "{target}"
        );
    }
    let count = assert_same(&world, every_file(&world, ""));
    assert!(count > 1000, "{count}");
}

#[test]
fn every_file_of_an_export_below_a_path_is_answered_as_nginx_answers_it() {
    let world = world(&fixture("based/export"), "");
    let base = "/handbook";
    assert!(get(world.preview, &format!("{base}/")).status == 200);
    let count = assert_same(&world, every_file(&world, base));
    assert!(count > 200, "{count}");
    assert_same(&world, around(base));
    assert_same(&world, hostile(base));
    assert_same(&world, hostile(""));
}

#[test]
fn files_behind_an_asset_prefix_are_answered_as_nginx_answers_them() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::command::small_export(folder.path());
    for page in ["index.html", "404.html", "docs/a.html"] {
        let page = folder.path().join(page);
        let text = fs::read_to_string(&page).unwrap();
        fs::write(&page, text.replace("/_next/", "/blog-static/_next/")).unwrap();
    }
    let chunk = "_next/static/chunks/x.js";
    for base in ["", "/v1"] {
        let world = world(folder.path(), &format!("[next]\nbase-path = \"{base}\"\n"));
        let address = format!("/blog-static/{chunk}");
        assert_eq!(get(world.preview, &address).status, 200);
        assert_same(&world, every_kind(&address));
        assert_same(&world, every_kind(&format!("{base}/{chunk}")));
        assert_same(&world, hostile("/blog-static"));
        assert_same(&world, hostile("/blog-static/_next"));
        assert_same(&world, every_file(&world, "/blog-static"));
    }
}

#[test]
fn every_kind_of_request_is_answered_as_nginx_answers_it() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("export"), folder.path());
    add_odd_files(folder.path());
    let world = world(folder.path(), "");
    let chunk = world
        .paths()
        .into_iter()
        .find(|path| path.starts_with("_next/static/chunks/") && path.ends_with(".js"))
        .unwrap();
    let targets = [
        "/docs".to_owned(),
        format!("/{chunk}"),
        format!("/{chunk}.br"),
        "/empty.txt".to_owned(),
        "/large.bin".to_owned(),
        "/docs/".to_owned(),
        "/none".to_owned(),
    ];
    let count = assert_same(&world, targets.iter().flat_map(|target| every_kind(target)));
    assert!(count > 1000, "{count}");
    assert_same(&world, hostile(""));
    let nginx = world.nginx.as_ref().unwrap();
    assert_eq!(nginx.log().matches("[error]").count(), 0, "{}", nginx.log());
}

#[test]
fn pages_in_files_below_a_path_are_answered_as_nginx_answers_them() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::command::small_export(folder.path());
    add_odd_files(folder.path());
    fs::remove_file(folder.path().join("large.bin")).unwrap();
    crate::support::command::write(&folder.path().join("v1.html"), "a page named like the path");
    crate::support::command::write(&folder.path().join("favicon.ico"), "an icon");
    for base in ["/v1", "/docs/v1.2"] {
        let world = world(folder.path(), &format!("[next]\nbase-path = \"{base}\"\n"));
        assert_same(&world, every_file(&world, base));
        assert_same(&world, around(base));
        assert_same(&world, hostile(base));
    }
}

#[test]
fn pages_in_folders_are_answered_as_nginx_answers_them_and_so_is_a_site_without_an_error_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<!doctype html><title>x</title>".repeat(30);
    for path in [
        "index.html",
        "docs/index.html",
        "deep/er/index.html",
        "größe/index.html",
        "loose.html",
    ] {
        crate::support::command::write(&folder.path().join(path), &page);
    }
    let world = world(folder.path(), "[next]\nbase-path = \"\"\n");
    assert_same(&world, every_file(&world, ""));
    for question in hostile("") {
        let (nginx, preview) = (question.ask(world.nginx()), question.ask(world.preview));
        assert_eq!(preview.status, nginx.status, "{}", question.target);
        assert_eq!(
            preview.headers.get("location"),
            nginx.headers.get("location"),
            "{}",
            question.target
        );
        assert_eq!(preview.headers.get("cache-control"), nginx.headers.get("cache-control"));
    }
}

#[test]
fn both_say_which_tree_they_serve() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::command::small_export(folder.path());
    for (base, more) in [("", ""), ("/v1", "[next]\nbase-path = \"/v1\"\n")] {
        let world = world(folder.path(), more);
        let address = format!("{base}/.well-known/syntax-publish");
        let kinds = [
            question("GET", &address, &[]),
            question("GET", format!("{address}?a=b"), &[]),
            question("HEAD", &address, &[]),
            question("POST", &address, &[]),
            question("GET", &address, &[("Accept-Encoding", "gzip, br")]),
            question("GET", &address, &[("Range", "bytes=0-3")]),
            question("GET", &address, &[("If-None-Match", "\"x\"")]),
            question("GET", format!("{address}/"), &[]),
            question("GET", "/.well-known/syntax-publish", &[]),
        ];
        assert_same(&world, kinds);
        let said = Request::get(&address).send(world.preview);
        let text = String::from_utf8(said.body).unwrap();
        assert!(
            text.starts_with("rules ") && text.contains("\ntree ") && text.len() > 70,
            "{text}"
        );
    }
}

//! The printed vhost, served by a real nginx over a docroot laid out as the store lays it out.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use syntax_publish::nginx::{PageForm, Version, Vhost, render};
use tempfile::TempDir;

use crate::support::http::{Request, Response};
use crate::support::nginx::{LISTEN, Nginx, complaints};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A docroot with one live release and a pool.
struct Docroot {
    folder: TempDir,
    trees: BTreeMap<String, PathBuf>,
}

impl Docroot {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("releases")).unwrap();
        let mut docroot = Self {
            folder,
            trees: BTreeMap::new(),
        };
        docroot.tree("");
        symlink("../trees/0", docroot.path().join("releases/r1")).unwrap();
        symlink("releases/r1", docroot.path().join("current")).unwrap();
        docroot
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The tree of a folder of the export, linked into its parent's.
    fn tree(&mut self, folder: &str) -> PathBuf {
        if let Some(tree) = self.trees.get(folder) {
            return tree.clone();
        }
        let digest = self.trees.len().to_string();
        let tree = self.path().join("trees").join(&digest);
        fs::create_dir_all(&tree).unwrap();
        self.trees.insert(folder.to_owned(), tree.clone());
        if !folder.is_empty() {
            let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            symlink(format!("../{digest}"), self.tree(parent).join(name)).unwrap();
        }
        tree
    }

    /// Adds files whose bytes are their own paths.
    fn with(mut self, paths: &[&str]) -> Self {
        for path in paths {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            fs::write(self.tree(folder).join(name), path).unwrap();
        }
        self
    }

    /// Adds a file to the pool.
    fn pooled(self, path: &str, bytes: &[u8]) -> Self {
        let file = self.path().join("immutable").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        self
    }

    fn vhost(&self, form: PageForm) -> Vhost {
        Vhost {
            server_name: "localhost".into(),
            docroot: self.path().to_str().unwrap().into(),
            listen: Some(LISTEN.into()),
            tls: false,
            brotli: true,
            version: Version::new(1, 22, 0),
            form,
            extra_types: BTreeMap::from([("odp".into(), "application/x-slides".into())]),
        }
    }

    fn serve(&self, form: PageForm) -> Nginx {
        Nginx::start(&render(&self.vhost(form)).unwrap())
    }
}

const PAGES: &[&str] = &[
    "index.html",
    "404.html",
    "usage.html",
    "usage.txt",
    "usage/__next._tree.txt",
    "docs/usage.html",
    "docs/größe.html",
    "größe.html",
    "a?b.html",
    "evil.com.html",
    "\\evil.com.html",
    "\r\nX:1.html",
    "brought/index.html",
    "brought/data.txt",
    "both.html",
    "both/index.html",
    "docs/$(x)[y]!.txt",
    "docs/.hidden.txt",
    ".hidden",
    ".html",
    "usage/.html",
    ".well-known/security.txt",
    ".well-known/.secret",
];

fn get(nginx: &Nginx, target: &str) -> Response {
    Request::get(target).send(nginx.address())
}

/// What an answer is, in a word: the file it carries, where it leads, or its status.
fn outcome(response: &Response) -> String {
    match response.status {
        200 => String::from_utf8_lossy(&response.body).into_owned(),
        308 => format!("308 {}", response.header("location").unwrap()),
        404 => {
            assert_eq!(response.body, b"404.html");
            assert_eq!(response.header("cache-control"), Some("no-store"));
            "404".into()
        }
        status => status.to_string(),
    }
}

fn assert_outcomes(nginx: &Nginx, table: &[(&str, &str)]) {
    for (target, wanted) in table {
        assert_eq!(outcome(&get(nginx, target)), *wanted, "GET {target}");
    }
}

#[test]
fn flat_pages_have_one_address_each() {
    let docroot = Docroot::new().with(PAGES);
    let nginx = docroot.serve(PageForm::Flat);
    assert_outcomes(
        &nginx,
        &[
            ("/", "index.html"),
            ("/?a=b", "index.html"),
            ("/index.html", "index.html"),
            ("/usage", "usage.html"),
            ("/usage?_rsc=1", "usage.html"),
            ("/usage.html", "usage.html"),
            ("/usage.txt", "usage.txt"),
            ("/usage/", "308 /usage"),
            ("/usage/?a=b&c=%2f", "308 /usage?a=b&c=%2f"),
            ("/usage/__next._tree.txt", "usage/__next._tree.txt"),
            ("/docs/usage/", "308 /docs/usage"),
            ("/docs", "404"),
            ("/docs/", "404"),
            ("/brought", "308 /brought/"),
            ("/brought?a=b", "308 /brought/?a=b"),
            ("/brought/", "brought/index.html"),
            ("/brought/index.html", "brought/index.html"),
            ("/both", "both.html"),
            ("/both/", "308 /both"),
            ("/gr%C3%B6%C3%9Fe", "größe.html"),
            ("/gr%C3%B6%C3%9Fe/", "308 /gr%C3%B6%C3%9Fe"),
            ("/docs/gr%c3%b6%c3%9fe/", "308 /docs/gr%c3%b6%c3%9fe"),
            ("/docs/%24%28x%29%5By%5D%21.txt", "docs/$(x)[y]!.txt"),
            ("/docs/$(x)[y]!.txt", "docs/$(x)[y]!.txt"),
            ("/nothing", "404"),
            ("/nothing/", "404"),
            ("/usage.html/", "404"),
            ("/usage/nothing/", "404"),
        ],
    );
}

#[test]
fn folder_pages_have_one_address_each() {
    let docroot = Docroot::new().with(&[
        "index.html",
        "404.html",
        "usage/index.html",
        "usage/index.txt",
        "größe/index.html",
        "loose.html",
        "a?b/index.html",
        "evil.com/index.html",
        "\r\nX:1/index.html",
    ]);
    let nginx = docroot.serve(PageForm::Folder);
    assert_outcomes(
        &nginx,
        &[
            ("/", "index.html"),
            ("/usage/", "usage/index.html"),
            ("/usage", "308 /usage/"),
            ("/usage?a=b", "308 /usage/?a=b"),
            ("/usage/index.html", "usage/index.html"),
            ("/usage/index.txt", "usage/index.txt"),
            ("/gr%C3%B6%C3%9Fe", "308 /gr%C3%B6%C3%9Fe/"),
            ("/gr%C3%B6%C3%9Fe/", "größe/index.html"),
            ("/loose", "loose.html"),
            ("/loose/", "308 /loose"),
            ("/a%3fb", "308 /a%3fb/"),
            ("/evil.com", "308 /evil.com/"),
            ("//evil.com", "404"),
            ("/%2fevil.com", "404"),
            ("/%0d%0aX:1", "308 /%0d%0aX:1/"),
            ("/nothing", "404"),
            ("/nothing/", "404"),
        ],
    );
}

#[test]
fn no_spelling_of_a_target_leads_off_the_site() {
    let docroot = Docroot::new().with(PAGES);
    let nginx = docroot.serve(PageForm::Flat);
    assert_outcomes(
        &nginx,
        &[
            ("/evil.com/", "308 /evil.com"),
            ("//evil.com/", "404"),
            ("///evil.com/", "404"),
            ("/%2fevil.com/", "404"),
            ("/%2Fevil.com/", "404"),
            ("/./%2fevil.com/", "404"),
            ("/.//evil.com/", "404"),
            ("/x/..//evil.com/", "404"),
            ("/\\evil.com/", "404"),
            ("/%5cevil.com/", "404"),
            ("/%5Cevil.com/", "404"),
            ("/%5cevil.com", "\\evil.com.html"),
            ("/a%3fb/", "308 /a%3fb"),
            ("/a%3fb", "a?b.html"),
            ("/a?b/", "404"),
            ("/%0d%0aX:1/", "308 /%0d%0aX:1"),
            ("/%0d%0aX:1", "\r\nX:1.html"),
            ("/%0d%0aY:1/", "404"),
            ("/./usage/", "308 /./usage"),
            ("/docs//usage/", "404"),
            ("/docs/../usage/", "308 /docs/../usage"),
            ("/usage/%0a", "404"),
            ("/usage%00/", "400"),
            ("/..%2f", "400"),
            ("/..%2f..%2fetc/passwd", "400"),
            ("/größe/", "404"),
            ("http://evil.com/usage/", "308 /usage"),
            ("http://evil.com//evil.com/", "404"),
            ("http://evil.com?/usage/", "index.html"),
            ("usage/", "400"),
        ],
    );
    let answer = Request::get("/usage/")
        .header("Host", "evil.com")
        .send(nginx.address());
    assert_eq!(outcome(&answer), "308 /usage");
}

#[test]
fn nothing_beside_the_release_is_reachable() {
    let docroot = Docroot::new()
        .with(PAGES)
        .pooled("_next/static/chunks/old.js", b"old")
        .pooled("elsewhere/old.js", b"old");
    fs::write(docroot.path().join("trees/stray.html"), "stray").unwrap();
    let nginx = docroot.serve(PageForm::Flat);
    for target in [
        "/.hidden",
        "/.html",
        "/%2ehidden",
        "/docs/.hidden.txt",
        "/usage/.html",
        "/.well-known/",
        "/.well-known",
        "/.well-known/.secret",
        "/.git/config",
        "/current/index.html",
        "/releases/r1/index.html",
        "/trees/0/index.html",
        "/trees/stray",
        "/immutable/_next/static/chunks/old.js",
        "/elsewhere/old.js",
        "/_next/",
        "/_next/static/",
        "/_next/static/chunks/",
        "/_next/static/chunks",
    ] {
        assert_eq!(outcome(&get(&nginx, target)), "404", "GET {target}");
    }
    assert_eq!(
        outcome(&get(&nginx, "/.well-known/security.txt")),
        ".well-known/security.txt"
    );
}

#[test]
fn every_answer_has_each_header_once() {
    let docroot = Docroot::new().with(PAGES);
    let nginx = docroot.serve(PageForm::Flat);
    let etag = get(&nginx, "/usage").header("etag").unwrap().to_owned();
    let requests = [
        (200, Request::get("/usage")),
        (200, Request::new("HEAD", "/usage")),
        (206, Request::get("/usage").header("Range", "bytes=0-3")),
        (304, Request::get("/usage").header("If-None-Match", &etag)),
        (308, Request::get("/usage/")),
        (404, Request::get("/nothing")),
        (404, Request::new("HEAD", "/nothing")),
        (404, Request::get("/.git/config")),
        (405, Request::new("POST", "/usage")),
        (400, Request::get("/..%2f")),
    ];
    for (status, request) in requests {
        let answer = request.send(nginx.address());
        assert_eq!(answer.status, status);
        let cached = if status < 400 { "no-cache" } else { "no-store" };
        for (name, value) in [
            ("cache-control", cached),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("content-security-policy", "frame-ancestors 'self'"),
            ("x-frame-options", "SAMEORIGIN"),
            ("server", "nginx"),
        ] {
            assert_eq!(answer.all(name), [value], "{name} of {status}");
        }
        for name in [
            "strict-transport-security",
            "expires",
            "x-from-the-http-level",
        ] {
            assert!(answer.all(name).is_empty(), "{name} of {status}");
        }
    }
}

#[test]
fn only_the_file_itself_is_immutable() {
    let docroot = Docroot::new().with(PAGES).with(&[
        "_next/static/chunks/a.js",
        "_next/static/id/_buildManifest.js",
        "_pagefind/index/en_1.pf_index",
        "_assets/logo.0123456789abcdef.png",
    ]);
    let nginx = docroot.serve(PageForm::Flat);
    for (target, wanted) in [
        ("/_next/static/chunks/a.js", IMMUTABLE),
        ("/_next/static/chunks/a.js?dpl=1", IMMUTABLE),
        ("/%5fnext/static/chunks/a.js", IMMUTABLE),
        ("/_pagefind/index/en_1.pf_index", IMMUTABLE),
        ("/_assets/logo.0123456789abcdef.png", IMMUTABLE),
        ("/_next/static/id/_buildManifest.js", "no-cache"),
        ("/_next/static/chunks/../../../usage", "no-cache"),
        ("/usage", "no-cache"),
        ("/usage/", "no-cache"),
        ("/_next/static/chunks/gone.js", "no-store"),
        ("/_assets/gone.png", "no-store"),
    ] {
        let answer = get(&nginx, target);
        assert_eq!(answer.header("cache-control"), Some(wanted), "GET {target}");
    }
    let chunk = "/_next/static/chunks/a.js";
    let etag = get(&nginx, chunk).header("etag").unwrap().to_owned();
    for (status, wanted, request) in [
        (
            304,
            IMMUTABLE,
            Request::get(chunk).header("If-None-Match", &etag),
        ),
        (
            206,
            IMMUTABLE,
            Request::get(chunk).header("Range", "bytes=0-0"),
        ),
        (405, "no-store", Request::new("POST", chunk)),
    ] {
        let answer = request.send(nginx.address());
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("cache-control"), Some(wanted), "{status}");
    }
    // nginx runs its header filter twice here: with the file's status, then with the answer's.
    // Of the two values the stricter one counts.
    let answer = Request::get(chunk)
        .header("Range", "bytes=9999-")
        .send(nginx.address());
    assert_eq!(answer.status, 416);
    assert!(answer.all("cache-control").contains(&"no-store"));
}

#[test]
fn pool_serves_what_the_live_release_lacks() {
    let old = "_next/static/chunks/old.js";
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&["_next/static/chunks/a.js"])
        .pooled("_next/static/chunks/a.js", b"another a.js")
        .pooled("_next/static/id/_buildManifest.js", b"manifest")
        .pooled(old, b"old")
        .pooled(&format!("{old}.gz"), &gzip(b"old"))
        .pooled(&format!("{old}.br"), &brotli(b"old"))
        .pooled("_assets/a b.0123456789abcdef.svg", b"<svg/>");
    let nginx = docroot.serve(PageForm::Flat);
    assert_outcomes(
        &nginx,
        &[
            ("/_next/static/chunks/a.js", "_next/static/chunks/a.js"),
            ("/_next/static/chunks/old.js", "old"),
            ("/_assets/a%20b.0123456789abcdef.svg", "<svg/>"),
            ("/_next/static/chunks/never.js", "404"),
            ("/_next/static/chunks/old", "404"),
        ],
    );
    let answer = Request::get(format!("/{old}"))
        .header("Accept-Encoding", "br, gzip")
        .send(nginx.address());
    assert_eq!(unbrotli(&answer.body), b"old");
    assert_eq!(
        answer.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some(IMMUTABLE));
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    let answer = get(&nginx, "/_next/static/id/_buildManifest.js");
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
}

#[test]
fn encoding_is_the_best_that_the_visitor_takes() {
    let mut docroot = Docroot::new().with(PAGES);
    let root = docroot.tree("");
    for (name, bytes) in [
        ("usage.html.br", brotli(b"usage")),
        ("usage.html.gz", gzip(b"usage")),
    ] {
        fs::write(root.join(name), bytes).unwrap();
    }
    let nginx = docroot.serve(PageForm::Flat);
    for (accepted, wanted) in [
        ("br", Some("br")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0, gzip", Some("gzip")),
        ("br;q=0", None),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
    ] {
        let answer = Request::get("/usage")
            .header("Accept-Encoding", accepted)
            .header("Via", "1.1 proxy")
            .send(nginx.address());
        assert_eq!(answer.header("content-encoding"), wanted, "{accepted}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{accepted}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let body = match wanted {
            Some("br") => unbrotli(&answer.body),
            Some(_) => ungzip(&answer.body),
            None => answer.body,
        };
        assert_eq!(
            body,
            if wanted.is_some() {
                &b"usage"[..]
            } else {
                b"usage.html"
            }
        );
    }
    let etag = get(&nginx, "/usage").header("etag").unwrap().to_owned();
    let answer = Request::get("/usage")
        .header("If-None-Match", &etag)
        .send(nginx.address());
    assert_eq!(
        (answer.status, answer.header("vary")),
        (304, Some("Accept-Encoding"))
    );
    assert_eq!(get(&nginx, "/both").header("vary"), None, "nothing to vary");
}

#[test]
fn type_follows_the_file_that_is_served() {
    let docroot = Docroot::new().with(PAGES).with(&[
        "site.webmanifest",
        "a.wasm",
        "font.woff2",
        "LOGO.PNG",
        "slides.odp",
        "en_1.pf_fragment",
        "docs/opengraph-image-1ow20b",
        "docs/icon.html",
        "docs/map.js.map",
        "LICENSE",
    ]);
    let nginx = docroot.serve(PageForm::Flat);
    for (target, wanted) in [
        ("/", "text/html; charset=utf-8"),
        ("/usage", "text/html; charset=utf-8"),
        ("/nothing.png", "text/html; charset=utf-8"),
        ("/usage.txt", "text/plain; charset=utf-8"),
        ("/site.webmanifest", "application/manifest+json"),
        ("/a.wasm", "application/wasm"),
        ("/font.woff2", "font/woff2"),
        ("/LOGO.PNG", "image/png"),
        ("/slides.odp", "application/x-slides"),
        ("/en_1.pf_fragment", "application/octet-stream"),
        ("/docs/opengraph-image-1ow20b", "image/png"),
        ("/docs/icon", "text/html; charset=utf-8"),
        ("/docs/icon/", "text/html; charset=utf-8"),
        ("/docs/map.js.map", "application/json"),
        ("/LICENSE", "application/octet-stream"),
    ] {
        assert_eq!(
            get(&nginx, target).header("content-type"),
            Some(wanted),
            "GET {target}"
        );
    }
}

#[test]
fn swap_is_seen_by_the_next_request() {
    let docroot = Docroot::new().with(PAGES);
    let nginx = docroot.serve(PageForm::Flat);
    assert_eq!(outcome(&get(&nginx, "/usage")), "usage.html");
    let next = docroot.path().join("trees/next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("usage.html"), "the next one").unwrap();
    symlink("../trees/next", docroot.path().join("releases/r2")).unwrap();
    symlink("releases/r2", docroot.path().join("swap")).unwrap();
    fs::rename(docroot.path().join("swap"), docroot.path().join("current")).unwrap();
    assert_eq!(outcome(&get(&nginx, "/usage")), "the next one");
    assert_eq!(nginx.log().matches("[error]").count(), 0, "{}", nginx.log());
}

#[test]
fn nginx_accepts_every_form_without_a_complaint() {
    let keys = certificate();
    let docroot = Docroot::new();
    for form in [PageForm::Flat, PageForm::Folder] {
        for (tls, brotli, listen, minor) in [
            (false, true, Some(LISTEN), 22),
            (false, false, None, 22),
            (true, true, None, 22),
            (true, false, Some("8443"), 22),
            (true, true, None, 28),
        ] {
            let mut vhost = docroot.vhost(form);
            vhost.tls = tls;
            vhost.brotli = brotli;
            vhost.listen = listen.map(str::to_owned);
            vhost.version = Version::new(1, minor, 0);
            // As long as a label may be, and another vhost whose variables must not meet its own.
            vhost.server_name = format!("{}.example.com", "d".repeat(63));
            let mut text = render(&vhost).unwrap();
            vhost.server_name = "a-b.example.com".into();
            text += &render(&vhost).unwrap();
            vhost.server_name = "a.b.example.com".into();
            text += &render(&vhost).unwrap();
            assert_eq!(text.contains("brotli"), brotli);
            assert_eq!(
                text.matches("    http2 on;\n").count(),
                if minor == 28 { 3 } else { 0 }
            );
            // The nginx at hand is older than that directive, and the test has neither
            // IPv6 for sure nor the certificate's place.
            let text: String = text
                .replace("    http2 on;\n", "")
                .lines()
                .filter(|line| !line.contains("listen [::]"))
                .map(|line| match line.split_once("/etc/letsencrypt/live/") {
                    Some((directive, path)) => {
                        let file = path.rsplit('/').next().unwrap();
                        format!("{directive}{}/{file}\n", keys.path().display())
                    }
                    None => format!("{line}\n"),
                })
                .collect();
            let text = format!("server_names_hash_bucket_size 128;\n{text}");
            assert_eq!(
                complaints(&text),
                "",
                "{form:?} {tls} {brotli} {listen:?} {minor}"
            );
        }
    }
}

fn certificate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-subj", "/CN=localhost", "-days", "2"])
        .args(["-keyout", "privkey.pem", "-out", "fullchain.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn ungzip(bytes: &[u8]) -> Vec<u8> {
    std::io::read_to_string(flate2::read::GzDecoder::new(bytes))
        .unwrap()
        .into_bytes()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut encoded, 4096, 5, 22);
    writer.write_all(bytes).unwrap();
    drop(writer);
    encoded
}

fn unbrotli(bytes: &[u8]) -> Vec<u8> {
    std::io::read_to_string(brotli::Decompressor::new(bytes, 4096))
        .unwrap()
        .into_bytes()
}

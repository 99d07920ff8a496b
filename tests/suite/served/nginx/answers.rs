//! The headers that describe the body of an answer: cache class, encoding and type.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use flate2::{Compression, write::GzEncoder};
use syntax_publish::model::cache::Classes;
use syntax_publish::model::generator::Generator;
use syntax_publish::model::glob::PathGlob;
use syntax_publish::rules::nginx::{PageForm, render};

use super::{BASES, Docroot, PAGES, Served};
use crate::support::nginx::Nginx;

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

#[test]
fn every_answer_has_each_header_once() {
    let docroot = Docroot::new().with(PAGES);
    for site in docroot.serve_everywhere(PageForm::Flat) {
        let none = ["strict-transport-security", "expires", "x-from-the-http-level"];
        assert_headers(&site, &[], &[&none[..], &["x-nextjs-deployment-id"]].concat());
    }
}

#[test]
fn what_browsers_keep_for_good_is_what_the_classes_say_of_every_generator() {
    const FOLDERS: [&str; 10] = [
        "",
        "assets/",
        "assets/js/",
        "assets/css/",
        "assets/files/",
        "assets/x.WhHwY8A0/",
        "_astro/",
        "_astro/fonts/",
        "docs/assets/js/",
        "static/a/",
    ];
    const NAMES: [&str; 22] = [
        "main.814c51b4.js",
        "main.814c51b4.js.map",
        "main.814C51B4.js",
        "main.20240131.js",
        "main.19991231.css",
        "main.0a1b2c3d.css",
        "814c51b4.js",
        "a.b.c.814c51b4.js",
        "rules-d7999ad41d5f82df0830342cbbd386de.pdf",
        "rules-d7999ad41d5f82df0830342cbbd386d.pdf",
        "rules-d7999ad41d5f82df0830342cbbd386de",
        "guide.md.D-XzGMMc.lean.js",
        "guide.md.D_vXi9p6.js",
        "style.DIeN2YxI.css",
        "chart.BWyCJ3JJ_1xmnGW.webp",
        "photo.2x_1xmnG.webp",
        "logo.original.png",
        "hero.1280x720.png",
        "report.2024-1-1.pdf",
        "lamp.DarkMode.svg",
        "größe.DarkMode.svg",
        "plain.js",
    ];
    let paths: Vec<String> = FOLDERS
        .iter()
        .flat_map(|folder| NAMES.map(|name| format!("{folder}{name}")))
        .collect();
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let docroot = Docroot::new()
        .with(&names)
        .pooled("assets/js/old.814c51b4.js", b"old")
        .pooled("assets/old.DIeN2YxI.css", b"old")
        .pooled("_astro/old.DIeN2YxI.css", b"old")
        .pooled("static/old.v1.js", b"old");
    let own = [
        PathGlob::new("static/**/*-?[0-9a-f]*.pdf").unwrap(),
        PathGlob::new("static/*.v?.js").unwrap(),
    ];
    for (name, generator) in Generator::ALL {
        for base in BASES {
            let mut vhost = docroot.vhost(PageForm::Flat);
            vhost.rules.base_path = base.into();
            vhost.rules.classes = Classes::new("_assets").with(generator, &own);
            let classes = vhost.rules.classes.clone();
            let site = Served {
                nginx: Nginx::start(&render(&vhost).unwrap()),
                base,
                form: PageForm::Flat,
            };
            let mut kept = 0;
            for path in &names {
                let answer = site.get(&format!("/{}", path.replace("ö", "%C3%B6").replace("ß", "%C3%9F")));
                assert_eq!(answer.status, 200, "{name}: {path}");
                let wanted = classes.classify(path).cache_control();
                assert_eq!(answer.header("cache-control"), Some(wanted), "{name}: {path}");
                kept += usize::from(wanted == IMMUTABLE);
            }
            assert!(kept > 0 && kept < names.len(), "{name}: {kept}");
            for path in [
                "assets/js/old.814c51b4.js",
                "assets/old.DIeN2YxI.css",
                "_astro/old.DIeN2YxI.css",
                "static/old.v1.js",
            ] {
                let wanted = if classes.is_pooled(path.as_bytes()) { 200 } else { 404 };
                assert_eq!(site.get(&format!("/{path}")).status, wanted, "{name}: {path}");
            }
        }
    }
}

#[test]
fn deployment_is_named_to_its_own_clients_as_long_as_it_is_live() {
    const HEADER: &str = "x-nextjs-deployment-id";
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&["_deployment/dpl_1.txt"])
        .pooled("_assets/old.png", b"old");
    let mut vhost = docroot.vhost(PageForm::Flat);
    vhost.rules.deployment_id = Some("dpl_0".into());
    vhost.rules.base_path = "/handbook".into();
    let site = Served {
        nginx: Nginx::start(&render(&vhost).unwrap()),
        base: "/handbook",
        form: PageForm::Flat,
    };
    assert_headers(&site, &[], &[HEADER]);
    for target in ["/usage", "/usage.txt", "/nothing", "/_assets/old.png"] {
        let named = |id: &str| {
            let request = site.request("GET", target).header("X-Deployment-Id", id);
            request.send(site.address()).all(HEADER).join(", ")
        };
        assert_eq!(named("dpl_1"), "dpl_1", "{target}");
        for other in ["dpl_0", "dpl_2", "../_deployment/dpl_1", "../../usage", ".", ""] {
            assert_eq!(named(other), "", "{target}: {other}");
        }
    }
}

/// Asserts that every kind of answer has the headers in `beside` and the usual ones, each once, and none of `none`.
fn assert_headers(site: &Served, beside: &[(&str, &str)], none: &[&str]) {
    let etag = site.get("/usage").header("etag").unwrap().to_owned();
    let get = |target| site.request("GET", target);
    let requests = [
        (200, get("/usage")),
        (200, site.request("HEAD", "/usage")),
        (206, get("/usage").header("Range", "bytes=0-3")),
        (304, get("/usage").header("If-None-Match", &etag)),
        (308, get("/usage/")),
        (404, get("/nothing")),
        (404, site.request("HEAD", "/nothing")),
        (404, get("/.git/config")),
        (405, site.request("POST", "/usage")),
        (400, get("/usage%00")),
    ];
    for (status, request) in requests {
        let answer = request.send(site.address());
        assert_eq!(answer.status, status);
        let cached = if status < 400 { "no-cache" } else { "no-store" };
        let usual = [
            ("cache-control", cached),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("content-security-policy", "frame-ancestors 'self'"),
            ("x-frame-options", "SAMEORIGIN"),
            ("server", "nginx"),
        ];
        for (name, value) in usual.iter().chain(beside) {
            assert_eq!(answer.all(name), [*value], "{name} of {status}");
        }
        for name in none {
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
    for site in docroot.serve_everywhere(PageForm::Flat) {
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
            let answer = site.get(target);
            assert_eq!(answer.header("cache-control"), Some(wanted), "GET {target}");
        }
        let chunk = "/_next/static/chunks/a.js";
        let etag = site.get(chunk).header("etag").unwrap().to_owned();
        for (status, wanted, request) in [
            (
                304,
                IMMUTABLE,
                site.request("GET", chunk).header("If-None-Match", &etag),
            ),
            (206, IMMUTABLE, site.request("GET", chunk).header("Range", "bytes=0-0")),
            (405, "no-store", site.request("POST", chunk)),
        ] {
            let answer = request.send(site.address());
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("cache-control"), Some(wanted), "{status}");
        }
        // nginx runs its header filter twice here: with the status of the file, then with the status of the answer. Of
        // the two values, the stricter one applies.
        let answer = site
            .request("GET", chunk)
            .header("Range", "bytes=9999-")
            .send(site.address());
        assert_eq!(answer.status, 416);
        assert!(answer.all("cache-control").contains(&"no-store"));
    }
}

#[test]
fn fingerprint_in_the_query_leads_to_a_copy_or_counts_for_nothing() {
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&[
            "img/logo.png",
            "img/logo-dark.png",
            "img/a b?.svg",
            "v1.2.html",
            "_assets/img/logo.1111111111111111.png",
            "_assets/img/a b?.3333333333333333.svg",
        ])
        .pooled("_assets/img/logo.2222222222222222.png", b"previous logo")
        .pooled("_assets/img/logo.2222222222222222.png.br", &brotli(b"previous logo"));
    let live = "_assets/img/logo.1111111111111111.png";
    for form in [PageForm::Flat, PageForm::Folder] {
        for site in docroot.serve_everywhere(form) {
            for (target, wanted, cache) in [
                ("/img/logo.png", "img/logo.png", "no-cache"),
                ("/img/logo.png?v=1111111111111111", live, IMMUTABLE),
                ("/img/logo.png?w=640&v=1111111111111111&q=75", live, IMMUTABLE),
                ("/img/logo.png?v=2222222222222222", "previous logo", IMMUTABLE),
                (
                    "/img/a%20b%3f.svg?v=3333333333333333",
                    "_assets/img/a b?.3333333333333333.svg",
                    IMMUTABLE,
                ),
                // Derived by a site's own code from an address with the fingerprint of another file.
                ("/img/logo-dark.png?v=1111111111111111", "img/logo-dark.png", "no-cache"),
                ("/img/logo.png?v=4444444444444444", "img/logo.png", "no-cache"),
                ("/img/logo.png?v=zzz", "img/logo.png", "no-cache"),
                ("/img/logo.png?v=../../../x", "img/logo.png", "no-cache"),
                ("/img/logo.png?v=1111111111111111.png", "img/logo.png", "no-cache"),
                ("/v1.2?v=1111111111111111", "v1.2.html", "no-cache"),
                // From a page that an older version of this tool wrote. The pool no longer contains the copy.
                ("/_assets/img/logo.5555555555555555.png", "img/logo.png", "no-cache"),
            ] {
                let answer = site.get(target);
                assert_eq!(
                    (answer.status, String::from_utf8_lossy(&answer.body).as_ref()),
                    (200, wanted),
                    "{target}"
                );
                assert_eq!(answer.header("cache-control"), Some(cache), "{target}");
            }
            for target in [
                "/img/none.png?v=1111111111111111",
                "/img/.logo.png?v=1111111111111111",
                "/_assets/_assets/img/logo.1111111111111111.2222222222222222.png/",
            ] {
                let answer = site.get(target);
                assert_eq!(
                    (answer.status, answer.header("cache-control")),
                    (404, Some("no-store")),
                    "{target}"
                );
            }
            let answer = site
                .request("GET", "/img/logo.png?v=2222222222222222")
                .header("Accept-Encoding", "br")
                .send(site.address());
            assert_eq!(unbrotli(&answer.body), b"previous logo");
            assert_eq!(answer.header("content-type"), Some("image/png"));
        }
    }
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
    for site in docroot.serve_everywhere(PageForm::Flat) {
        site.assert_outcomes(&[
            ("/_next/static/chunks/a.js", "_next/static/chunks/a.js"),
            ("/_next/static/chunks/old.js", "old"),
            ("/_assets/a%20b.0123456789abcdef.svg", "<svg/>"),
            ("/_next/static/chunks/never.js", "404"),
            ("/_next/static/chunks/old", "404"),
        ]);
        let answer = site
            .request("GET", &format!("/{old}"))
            .header("Accept-Encoding", "br, gzip")
            .send(site.address());
        assert_eq!(unbrotli(&answer.body), b"old");
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some(IMMUTABLE));
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        let answer = site.get("/_next/static/id/_buildManifest.js");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
}

#[test]
fn files_under_fixed_names_beside_chunks_revalidate_and_hashed_search_files_do_not() {
    let fixed = [
        "_next/static/chunks/nextra-data-en-US.json",
        "_next/static/chunks/a.js.map",
        "pagefind/pagefind-entry.json",
    ];
    let (filter, meta) = (
        "pagefind/filter/en_1.pf_filter",
        "pagefind/pagefind.en_39eb99c436.pf_meta",
    );
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&fixed)
        .with(&[meta, "pagefind/guide.html"])
        .pooled(filter, b"filter of before");
    for site in docroot.serve_everywhere(PageForm::Flat) {
        for path in fixed {
            let answer = site.get(&format!("/{path}"));
            assert_eq!(
                (answer.status, answer.header("cache-control")),
                (200, Some("no-cache")),
                "{path}"
            );
        }
        for path in [filter, meta] {
            let answer = site.get(&format!("/{path}"));
            assert_eq!(
                (answer.status, answer.header("cache-control")),
                (200, Some(IMMUTABLE)),
                "{path}"
            );
        }
        site.assert_outcomes(&[
            (&format!("/{filter}"), "filter of before"),
            ("/pagefind/guide", "pagefind/guide.html"),
        ]);
    }
}

/// nginx checks that a file exists and then opens it, and `current` may move in between. A pipe simulates a file that
/// exists when nginx checks and is gone when nginx opens it: nginx finds the pipe but does not serve it.
#[test]
fn chunk_that_goes_away_between_look_and_open_is_served_from_the_pool() {
    let (lost, gone) = ("_next/static/chunks/lost.js", "_assets/gone.css");
    let mut docroot = Docroot::new()
        .with(PAGES)
        .pooled(lost, b"pooled")
        .pooled(&format!("{lost}.br"), &brotli(b"pooled"));
    for path in [lost, gone] {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let pipe = docroot.tree(folder).join(name);
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    for form in [PageForm::Flat, PageForm::Folder] {
        for site in docroot.serve_everywhere(form) {
            site.assert_outcomes(&[(&format!("/{lost}"), "pooled"), (&format!("/{gone}"), "404")]);
            let plain = site.get(&format!("/{lost}"));
            assert_eq!(plain.all("cache-control"), [IMMUTABLE]);
            assert_eq!(plain.header("content-type"), Some("text/javascript; charset=utf-8"));
            let encoded = site.request("GET", &format!("/{lost}")).header("Accept-Encoding", "br");
            assert_eq!(unbrotli(&encoded.send(site.address()).body), b"pooled");
            // The page for missing files, which is never cached.
            let missing = site.get(&format!("/{gone}"));
            assert_eq!((missing.status, missing.body.as_slice()), (404, &b"404.html"[..]));
            assert_eq!(missing.all("cache-control"), ["no-store"]);
            assert_eq!(missing.header("content-type"), Some("text/html; charset=utf-8"));
        }
    }
}

#[test]
fn encoding_is_the_best_that_the_visitor_takes() {
    let mut docroot = Docroot::new().with(PAGES);
    let root = docroot.tree("");
    for (name, bytes) in [("usage.html.br", brotli(b"usage")), ("usage.html.gz", gzip(b"usage"))] {
        fs::write(root.join(name), bytes).unwrap();
    }
    for site in docroot.serve_everywhere(PageForm::Flat) {
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
            let answer = site
                .request("GET", "/usage")
                .header("Accept-Encoding", accepted)
                .header("Via", "1.1 proxy")
                .send(site.address());
            assert_eq!(answer.header("content-encoding"), wanted, "{accepted}");
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{accepted}");
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            let body = match wanted {
                Some("br") => unbrotli(&answer.body),
                Some(_) => ungzip(&answer.body),
                None => answer.body,
            };
            assert_eq!(body, if wanted.is_some() { &b"usage"[..] } else { b"usage.html" });
        }
        let etag = site.get("/usage").header("etag").unwrap().to_owned();
        let answer = site
            .request("GET", "/usage")
            .header("If-None-Match", &etag)
            .send(site.address());
        assert_eq!((answer.status, answer.header("vary")), (304, Some("Accept-Encoding")));
        assert_eq!(site.get("/both").header("vary"), None, "nothing to vary");
    }
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
        "docs/apple-icon-9/small",
        "docs/apple-icon-9/usage.html",
        ".well-known/webauthn",
        ".well-known/matrix/client",
        "api/search",
        "blog/feed",
        "docs/icon.html",
        "docs/map.js.map",
        "LICENSE",
        "feeds/a.xml",
        "feeds/b.xml.html",
        "feeds/größe.xml",
        "feeds/deep/c.xml",
        "data/users/1",
        "data/users/2.html",
        "data/users/3.png",
        "data/text/a/b",
    ]);
    for site in docroot.serve_everywhere(PageForm::Flat) {
        for (target, wanted) in [
            ("/feeds/a.xml", "application/x-feed"),
            ("/feeds/a.xml?v=0123456789abcdef", "application/x-feed"),
            ("/feeds/b.xml", "text/html; charset=utf-8"),
            ("/feeds/gr%C3%B6%C3%9Fe.xml", "application/x-feed"),
            ("/feeds/deep/c.xml", "application/xml"),
            ("/data/users/1", "application/json"),
            ("/data/users/2", "text/html; charset=utf-8"),
            ("/data/users/3.png", "image/png"),
            ("/data/text/a/b", "text/x-some; charset=utf-8"),
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
            ("/docs/apple-icon-9/small", "image/png"),
            ("/docs/apple-icon-9/usage", "text/html; charset=utf-8"),
            ("/.well-known/webauthn", "application/json"),
            ("/.well-known/matrix/client", "application/json"),
            ("/api/search", "application/json"),
            ("/blog/feed", "application/xml"),
            ("/docs/icon", "text/html; charset=utf-8"),
            ("/docs/icon/", "text/html; charset=utf-8"),
            ("/docs/map.js.map", "application/json"),
            ("/LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(site.get(target).header("content-type"), Some(wanted), "GET {target}");
        }
    }
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

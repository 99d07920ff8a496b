//! What an answer says of its body: headers, cache class, encoding and type.

use std::fs;
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use syntax_publish::nginx::PageForm;

use super::{Docroot, PAGES, assert_outcomes, get};
use crate::support::http::Request;

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

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
        for name in ["strict-transport-security", "expires", "x-from-the-http-level"] {
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
        (304, IMMUTABLE, Request::get(chunk).header("If-None-Match", &etag)),
        (206, IMMUTABLE, Request::get(chunk).header("Range", "bytes=0-0")),
        (405, "no-store", Request::new("POST", chunk)),
    ] {
        let answer = request.send(nginx.address());
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("cache-control"), Some(wanted), "{status}");
    }
    // nginx runs its header filter twice here: with the file's status, then with the answer's.
    // Of the two values the stricter one counts.
    let answer = Request::get(chunk).header("Range", "bytes=9999-").send(nginx.address());
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
    assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some(IMMUTABLE));
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    let answer = get(&nginx, "/_next/static/id/_buildManifest.js");
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
}

#[test]
fn encoding_is_the_best_that_the_visitor_takes() {
    let mut docroot = Docroot::new().with(PAGES);
    let root = docroot.tree("");
    for (name, bytes) in [("usage.html.br", brotli(b"usage")), ("usage.html.gz", gzip(b"usage"))] {
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
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        let body = match wanted {
            Some("br") => unbrotli(&answer.body),
            Some(_) => ungzip(&answer.body),
            None => answer.body,
        };
        assert_eq!(body, if wanted.is_some() { &b"usage"[..] } else { b"usage.html" });
    }
    let etag = get(&nginx, "/usage").header("etag").unwrap().to_owned();
    let answer = Request::get("/usage")
        .header("If-None-Match", &etag)
        .send(nginx.address());
    assert_eq!((answer.status, answer.header("vary")), (304, Some("Accept-Encoding")));
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
        assert_eq!(get(&nginx, target).header("content-type"), Some(wanted), "GET {target}");
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

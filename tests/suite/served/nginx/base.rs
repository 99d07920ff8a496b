//! A site below a base path, as set by Next.js's `basePath`: what is outside it, and where it begins and ends.

use syntax_publish::rules::nginx::PageForm;

use super::{Docroot, PAGES};
use crate::support::http::Request;

#[test]
fn flat_front_page_is_the_base_path_without_a_slash() {
    let docroot = Docroot::new().with(PAGES).with(&["index.txt", "__next._tree.txt"]);
    docroot
        .serve_below("/handbook", PageForm::Flat)
        .assert_outcomes_of_the_host(&[
            ("/handbook", "index.html"),
            ("/handbook?a=b", "index.html"),
            ("/%68andbook", "index.html"),
            ("/handbook/", "308 /handbook"),
            ("/handbook/?a=b&c=%2f", "308 /handbook?a=b&c=%2f"),
            ("//handbook/", "308 /handbook"),
            ("/%2fhandbook/", "308 /handbook"),
            ("/handbook/.", "308 /handbook"),
            ("http://evil.com/handbook/", "308 /handbook"),
            ("/handbook/index.html", "index.html"),
            ("/handbook/index.txt", "index.txt"),
            // The router requests the front page's address plus `.txt`, and its parts below that address.
            ("/handbook.txt?_rsc=1", "index.txt"),
            ("/handbook/__next._tree.txt?_rsc=1", "__next._tree.txt"),
        ]);
}

#[test]
fn folder_front_page_is_the_base_path_with_a_slash() {
    let docroot = Docroot::new().with(&["index.html", "index.txt", "404.html", "usage/index.html"]);
    docroot
        .serve_below("/handbook", PageForm::Folder)
        .assert_outcomes_of_the_host(&[
            ("/handbook/", "index.html"),
            ("/handbook/?a=b", "index.html"),
            ("/handbook", "308 /handbook/"),
            ("/handbook?a=b", "308 /handbook/?a=b"),
            ("//handbook", "308 /handbook/"),
            ("/handbook/index.txt", "index.txt"),
            ("/handbook.txt", "404"),
            ("/handbook/usage", "308 /handbook/usage/"),
        ]);
}

#[test]
fn files_of_the_client_are_also_served_behind_the_asset_prefix() {
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&["_next/static/chunks/a.js"])
        .pooled("_next/static/chunks/old.js", b"old");
    for form in [PageForm::Flat, PageForm::Folder] {
        for base in ["", "/handbook"] {
            let site = docroot.serve_behind(base, "/blog-static", form);
            let behind = |path: &str| Request::get(format!("/blog-static{path}")).send(site.address());
            for (path, body) in [("a.js", "_next/static/chunks/a.js"), ("old.js", "old")] {
                let answer = behind(&format!("/_next/static/chunks/{path}"));
                assert_eq!((answer.status, &*answer.body), (200, body.as_bytes()), "{path}");
                let cache = answer.header("cache-control").unwrap_or_default();
                assert!(cache.contains("immutable"), "{path}: {cache}");
                assert_eq!(site.get(&format!("/_next/static/chunks/{path}")).status, 200, "{path}");
            }
            for none in [
                "",
                "/",
                "/usage",
                "/usage/",
                "/_next",
                "/_next/static/chunks/none.js",
                "/_next/../usage",
            ] {
                assert_eq!(behind(none).status, 404, "{none}");
            }
        }
    }
}

#[test]
fn nothing_of_the_site_lies_outside_its_base_path() {
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&["_next/static/chunks/a.js", "sitemap.xml"])
        .pooled("_next/static/chunks/old.js", b"old");
    for form in [PageForm::Flat, PageForm::Folder] {
        for base in ["/handbook", "/docs/v1.2"] {
            let site = docroot.serve_below(base, form);
            for target in [
                "/",
                "/?a=b",
                "http://evil.com?/usage/",
                "/usage",
                "/usage/",
                "/usage.html",
                "/index.html",
                "/404.html",
                "/brought",
                "/_next/static/chunks/a.js",
                "/_next/static/chunks/old.js",
                "/sitemap.xml",
                "/evil.com/",
                "//evil.com/",
                "/%5cevil.com/",
                "/a%3fb/",
                "/%0d%0aX:1/",
                "/.hidden",
                "/.git/config",
                "/HANDBOOK",
                "/Handbook/usage",
                "/handbooks",
                "/handbook-usage",
                "/handbook.html",
                "/handbook%0a",
                "/handbook%0a/usage",
                "/handbook%20/usage",
                "/handbook/../usage",
                "/handbook/..%2fusage",
                "/usage/handbook/usage",
                "/docs",
                "/docs/",
                "/docs/usage",
                "/docs/v1",
                "/docs/v1x2",
                "/docs/v1x2/usage",
                "/v1.2/usage",
            ] {
                site.assert_outcomes_of_the_host(&[(target, "404")]);
            }
        }
    }
}

#[test]
fn the_base_path_is_taken_off_once() {
    let docroot = Docroot::new()
        .with(&["index.html", "index.txt", "404.html", "handbook.html", "handbook.txt"])
        .with(&["handbook/intro.html", "handbook/handbook/index.html"])
        .with(&["_next/static/chunks/a.js"])
        .pooled("handbook/_next/static/chunks/a.js", b"no");
    docroot
        .serve_below("/handbook", PageForm::Flat)
        .assert_outcomes_of_the_host(&[
            ("/handbook", "index.html"),
            ("/handbook.txt", "index.txt"),
            ("/handbook/handbook", "handbook.html"),
            ("/handbook/handbook.txt", "handbook.txt"),
            ("/handbook/handbook/", "308 /handbook/handbook"),
            ("/handbook/handbook/intro", "handbook/intro.html"),
            ("/handbook/handbook/intro/", "308 /handbook/handbook/intro"),
            ("/handbook/handbook/handbook", "308 /handbook/handbook/handbook/"),
            ("/handbook/handbook/handbook/", "handbook/handbook/index.html"),
            ("/handbook/handbook/handbook/intro", "404"),
            ("/handbook/intro", "404"),
            ("/handbook/_next/static/chunks/a.js", "_next/static/chunks/a.js"),
            ("/handbook/handbook/_next/static/chunks/a.js", "404"),
            ("/handbook/handbook/index.html", "404"),
            ("/handbook/404.html", "404.html"),
            ("/handbook/handbook/404.html", "404"),
        ]);
    let docroot = Docroot::new().with(&[
        "index.html",
        "404.html",
        "handbook/index.html",
        "handbook/intro/index.html",
    ]);
    docroot
        .serve_below("/handbook", PageForm::Folder)
        .assert_outcomes_of_the_host(&[
            ("/handbook/", "index.html"),
            ("/handbook/handbook/", "handbook/index.html"),
            ("/handbook/handbook", "308 /handbook/handbook/"),
            ("/handbook/handbook/intro/", "handbook/intro/index.html"),
            ("/handbook/handbook/intro", "308 /handbook/handbook/intro/"),
            ("/handbook/intro", "404"),
            ("/handbook/intro/", "404"),
        ]);
}

#[test]
fn what_is_asked_of_a_host_is_answered_at_its_root() {
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&["robots.txt", "favicon.ico", ".well-known/change-password.html"]);
    let site = docroot.serve_below("/handbook", PageForm::Flat);
    site.assert_outcomes_of_the_host(&[
        ("/robots.txt", "robots.txt"),
        ("/handbook/robots.txt", "robots.txt"),
        ("/favicon.ico?a=b", "favicon.ico"),
        ("/.well-known/security.txt", ".well-known/security.txt"),
        ("/.well-known/change-password", ".well-known/change-password.html"),
        ("/.well-known/change-password/", "308 /.well-known/change-password"),
        ("/.well-known", "404"),
        ("/.well-known/", "404"),
        ("/.well-known/.secret", "404"),
        ("/.well-known/../usage", "404"),
        ("/robots.txt/", "404"),
        ("/robots.txt%0a", "404"),
        ("/docs/robots.txt", "404"),
    ]);
    let answer = Request::get("/robots.txt").send(site.address());
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.all("x-content-type-options"), ["nosniff"]);
}

#[test]
fn answers_outside_the_base_path_have_every_header() {
    let docroot = Docroot::new().with(PAGES);
    for (form, front) in [(PageForm::Flat, "/handbook/"), (PageForm::Folder, "/handbook")] {
        let site = docroot.serve_below("/handbook", form);
        for (target, status, cached) in [("/", 404, "no-store"), (front, 308, "no-cache")] {
            let answer = Request::get(target).send(site.address());
            assert_eq!(answer.status, status, "GET {target}");
            assert_eq!(answer.header("cache-control"), Some(cached), "GET {target}");
            assert_eq!(answer.all("x-frame-options"), ["SAMEORIGIN"], "GET {target}");
        }
    }
}

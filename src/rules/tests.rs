use super::*;
use crate::rules::address::Address;
use crate::rules::conditions::{ConditionResult, Conditions, Validators, evaluate};
use crate::rules::ranges::Parts;

pub(super) fn rules(form: PageForm, base_path: &str) -> Rules {
    Rules {
        form,
        base_path: base_path.into(),
        classes: Classes::new("_assets"),
        asset_prefix: String::new(),
        deployment_id: None,
        types: own_types(),
        redirects: crate::rules::Redirects::default(),
        headers: crate::rules::CustomHeaders::default(),
        one_address: false,
        languages: Vec::new(),
    }
}

fn own_types() -> OwnTypes {
    let mut types = OwnTypes::default();
    for (glob, media_type) in [
        ("**/*.ODP", "Application/x-slides"),
        ("/data/**", "application/x-some"),
        ("data/talks/*", "application/x-talk"),
        ("data/*.xml", "application/x-feed"),
    ] {
        types.add(glob, media_type).unwrap();
    }
    types
}

/// What a target gets, given these files: the file, `-> ` and the new address, `marker`, `404` or `400`.
fn outcome(rules: &Rules, files: &[&str], target: &str) -> String {
    let Ok(address) = Address::parse(target.as_bytes()) else {
        return "400".into();
    };
    match rules.resolve(&address, &|path| files.contains(&path)) {
        Outcome::File { path, .. } => path,
        Outcome::Moved(to) => format!("-> {}", String::from_utf8(to).unwrap()),
        Outcome::Entry(path) => format!("entry {path}"),
        Outcome::Pattern(redirect) => format!("pattern {} {}", redirect.status(), redirect.location()),
        Outcome::Language => "language".into(),
        Outcome::Marker => "marker".into(),
        Outcome::NotFound => "404".into(),
    }
}

fn assert_outcomes(rules: &Rules, files: &[&str], table: &[(&str, &str)]) {
    for (target, wanted) in table {
        assert_eq!(outcome(rules, files, target), *wanted, "{target}");
    }
}

const FILES: [&str; 9] = [
    "index.html",
    "404.html",
    "usage.html",
    "größe.html",
    "both.html",
    "both/index.html",
    "brought/index.html",
    ".well-known/security.txt",
    "_assets/a.png",
];

#[test]
fn a_page_has_one_address() {
    assert_outcomes(
        &rules(PageForm::Flat, ""),
        &FILES,
        &[
            ("/", "index.html"),
            ("/usage", "usage.html"),
            ("/usage/?a=b", "-> /usage?a=b"),
            ("/usage/?", "-> /usage"),
            ("/gr%C3%B6%c3%9fe/", "-> /gr%C3%B6%c3%9fe"),
            ("/both/", "-> /both"),
            ("/brought", "-> /brought/"),
            ("/brought/", "brought/index.html"),
            ("/none", "404"),
            ("/_assets/a", "404"),
            ("/_assets/", "404"),
        ],
    );
    assert_outcomes(
        &rules(PageForm::Folder, ""),
        &FILES,
        &[
            ("/both", "-> /both/"),
            ("/both/", "both/index.html"),
            ("/usage", "usage.html"),
            ("/usage/", "-> /usage"),
        ],
    );
}

#[test]
fn an_address_in_disguise_is_looked_up_and_never_repeated() {
    assert_outcomes(
        &rules(PageForm::Flat, ""),
        &FILES,
        &[
            ("/%75sage", "usage.html"),
            ("//usage", "usage.html"),
            ("//usage/", "404"),
            ("/%2fusage/", "404"),
            ("/./usage/", "-> /./usage"),
            ("/x/../usage", "usage.html"),
            ("/x/..%2fusage", "usage.html"),
            ("/x/..", "index.html"),
            ("/..", "400"),
            ("/x/../..", "400"),
            ("/%", "400"),
            ("/%4", "400"),
            ("/%zz", "400"),
            ("/%00", "400"),
            ("usage", "400"),
            ("*", "400"),
            ("/usage#x", "usage.html"),
            ("/usage/#x", "404"),
            ("/.git/config", "404"),
            ("/%2egit/config", "404"),
            ("/x/.y", "404"),
            ("/.well-known/security.txt", ".well-known/security.txt"),
            ("/.well-known/.x", "404"),
            ("/.well-known", "404"),
        ],
    );
}

#[test]
fn a_base_path_is_taken_off_once() {
    let files = ["index.html", "index.txt", "404.html", "robots.txt", "handbook.html"];
    assert_outcomes(
        &rules(PageForm::Flat, "/handbook"),
        &files,
        &[
            ("/handbook", "index.html"),
            ("/handbook/?a", "-> /handbook?a"),
            ("/handbook.txt", "index.txt"),
            ("/handbook/handbook", "handbook.html"),
            ("/handbook/handbook/", "-> /handbook/handbook"),
            ("/robots.txt", "robots.txt"),
            ("/", "404"),
            ("/index.html", "404"),
            ("/handbooks", "404"),
        ],
    );
    assert_outcomes(
        &rules(PageForm::Folder, "/handbook"),
        &files,
        &[
            ("/handbook", "-> /handbook/"),
            ("/handbook/", "index.html"),
            ("/handbook.txt", "404"),
        ],
    );
}

#[test]
fn files_of_the_client_are_also_behind_the_asset_prefix_and_nothing_else_is() {
    let files = ["index.html", "usage.html", "_next/static/a.js", "blog-static/own.html"];
    for (base, others) in [("", "/"), ("/handbook", "/handbook/")] {
        let rules = Rules {
            asset_prefix: "/blog-static".to_owned(),
            ..rules(PageForm::Flat, base)
        };
        let own = format!("{others}_next/static/a.js");
        let usage = format!("{others}usage");
        let page = format!("{others}blog-static/own");
        assert_outcomes(
            &rules,
            &files,
            &[
                ("/blog-static/_next/static/a.js", "_next/static/a.js"),
                ("/blog-static/_next/static/none.js", "404"),
                ("/blog-static/usage", "404"),
                ("/blog-static/_next", "404"),
                ("/blog-static", "404"),
                (&own, "_next/static/a.js"),
                (&usage, "usage.html"),
                (&page, "blog-static/own.html"),
            ],
        );
    }
}

#[test]
fn only_an_answer_that_carries_the_file_is_immutable() {
    let rules = rules(PageForm::Flat, "");
    let forever = "public, max-age=31536000, immutable";
    for status in headers::CARRYING {
        assert_eq!(rules.cache_control(status, Some("_assets/a.png")), forever, "{status}");
        assert_eq!(rules.cache_control(status, Some("a.png")), "no-cache", "{status}");
    }
    for status in [404, 405, 412, 416, 503] {
        assert_eq!(
            rules.cache_control(status, Some("_assets/a.png")),
            "no-store",
            "{status}"
        );
    }
    assert_eq!(rules.cache_control(308, Some("_assets/a.png")), "no-cache");
}

#[test]
fn a_type_of_ones_own_that_nginx_could_misread_or_next_could_miss_is_refused() {
    let mut types = OwnTypes::default();
    for (glob, media_type, said) in [
        ("a[", "a/b", "is not a glob: unclosed character class; missing ']'"),
        ("a\"b", "a/b", "has a character that nginx could misread: '\"'"),
        ("a\\b", "a/b", "has a character that nginx could misread: '\\\\'"),
        ("a\nb", "a/b", "has a character that nginx could misread: '\\n'"),
        (
            "x/*.{a,b}",
            "a/b",
            "ends with a pattern behind a dot: give each extension a line of its own",
        ),
        (
            "x/*.",
            "a/b",
            "ends with a pattern behind a dot: give each extension a line of its own",
        ),
        ("**/*.txt", "text/x", "is for .txt files, whose type Next.js depends on"),
        (
            "a/*.HTML",
            "text/x",
            "is for .html files, whose type Next.js depends on",
        ),
        ("a/*", "text", "is not a media type"),
        ("a/*", "text/plain; charset=x", "is not a media type"),
        ("a/*", "a/b;", "is not a media type"),
    ] {
        assert_eq!(types.add(glob, media_type).unwrap_err().to_string(), said, "{glob}");
    }
    assert_eq!(types, OwnTypes::default());
}

#[test]
fn a_type_follows_the_extension_and_else_the_place() {
    let rules = rules(PageForm::Flat, "");
    let of = |path: &str| rules.type_of(path, "application/octet-stream").to_owned();
    assert_eq!(of("a.HTML"), "text/html");
    assert_eq!(of("talk.odp"), "application/x-slides");
    // The manifest has a type for this extension, but the vhost does not list it.
    assert_eq!(of("talk.docx"), "application/octet-stream");
    assert_eq!(of("docs/.txt"), "application/octet-stream");
    // Types of the site manifest: the longest glob counts, and a glob without an extension does not change other types.
    assert_eq!(of("data/a"), "application/x-some");
    assert_eq!(of("data/talks/a"), "application/x-talk");
    assert_eq!(of("data/talks/a.png"), "image/png");
    assert_eq!(of("data/talks/a.html"), "text/html");
    assert_eq!(of("data/a.xml"), "application/x-feed");
    assert_eq!(of("data/talks/a.xml"), "application/xml");
    assert_eq!(of("elsewhere/data/a.xml"), "application/xml");
    assert_eq!(types::content_type("text/css"), "text/css; charset=utf-8");
    assert_eq!(types::content_type("application/json"), "application/json");
    let named = |path: &str| {
        let address = Address::parse(path.as_bytes()).unwrap();
        match rules.resolve(&address, &|_| true) {
            Outcome::File { default_type, .. } => default_type,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(named("/docs/icon-1ow20b"), "image/png");
    assert_eq!(named("/_assets/icon"), "application/octet-stream", "as nginx has it");
    // Every printed type is the type that the rules return.
    for (extension, media_type) in rules.types() {
        assert_eq!(of(&format!("a.{extension}")), media_type, "{extension}");
    }
}

#[test]
fn an_encoding_is_sent_to_who_takes_it() {
    for (accepted, brotli, gzip) in [
        ("gzip, deflate, br, zstd", true, true),
        ("gzip,br", true, true),
        ("BR, GZIP", true, true),
        ("br;q=0, gzip;q=0", false, false),
        ("br;q=0.0, gzip;q=0.000", false, false),
        ("br;q=0.001, gzip;q=0.001", true, true),
        ("br ; q=0, gzip ; q=0", false, false),
        ("br;q=2, gzip;q=2", true, false),
        ("gzip;q=1.001", false, false),
        ("gzip;q=0.0001", false, false),
        ("gzip;x=1", false, false),
        ("gzip;", false, true),
        ("x-gzip, x-br", false, false),
        ("brotli", false, false),
        ("*", false, false),
        ("identity;q=0", false, false),
        ("", false, false),
    ] {
        let takes = |coding| accepts(coding, accepted.as_bytes(), false);
        assert_eq!(takes(Coding::Brotli), brotli, "br of {accepted:?}");
        assert_eq!(takes(Coding::Gzip), gzip, "gzip of {accepted:?}");
    }
    assert!(accepts(Coding::Brotli, b"br, gzip", true) && !accepts(Coding::Gzip, b"br, gzip", true));
}

#[test]
fn parts_are_what_was_requested_or_everything_or_none() {
    let whole = || Parts::Whole;
    let part = |part: std::ops::Range<u64>| Parts::Some([part].into());
    for (value, wanted) in [
        ("bytes=0-9", part(0..10)),
        ("BYTES=0-", part(0..100)),
        ("bytes=-5", part(95..100)),
        ("bytes=-500", part(0..100)),
        ("bytes=90-500", part(90..100)),
        ("bytes= 1 - 2 , 5-6", Parts::Some(vec![1..3, 5..7])),
        ("bytes=5-3,0-1", part(0..2)),
        ("bytes=-0,0-1", part(0..2)),
        ("bytes=0-59,50-99", whole()),
        ("bytes=", whole()),
        ("lines=1-2", whole()),
        ("bytes=100-", Parts::None),
        ("bytes=-0", Parts::None),
        ("bytes=5-3", Parts::None),
        ("bytes=0-1,", Parts::None),
        ("bytes=x", Parts::None),
        ("bytes=1", Parts::None),
        ("bytes=- 5", Parts::None),
        ("bytes=99999999999999999999-", Parts::None),
        ("bytes=--1", Parts::None),
    ] {
        assert_eq!(ranges::parse(value.as_bytes(), 100), wanted, "{value}");
    }
    assert_eq!(ranges::parse(b"bytes=0-1", 0), Parts::Whole);
    assert_eq!(ranges::parse(b"bytes=5-", 0), Parts::None);
}

#[test]
fn if_range_takes_the_very_etag_or_the_very_time() {
    assert!(ranges::counts(b"\"a\"", "\"a\"", 7, None));
    assert!(!ranges::counts(b"W/\"a\"", "\"a\"", 7, None));
    assert!(ranges::counts(b"date", "\"a\"", 7, Some(7)));
    assert!(!ranges::counts(b"date", "\"a\"", 7, Some(8)));
    assert!(!ranges::counts(b"x", "\"a\"", 7, None));
}

#[test]
fn conditions_are_judged_in_the_order_of_the_standard() {
    let file = Validators {
        etag: "\"a\"",
        modified: 100,
    };
    let none = Conditions::default();
    let tags = |list: &'static str| Conditions {
        none_matches: Some(list.as_bytes()),
        ..none
    };
    for (conditions, wanted) in [
        (none, ConditionResult::Send),
        (tags("\"a\""), ConditionResult::NotModified),
        (tags("\"b\" , W/\"a\""), ConditionResult::NotModified),
        (tags("*"), ConditionResult::NotModified),
        (tags("*, \"b\""), ConditionResult::Send),
        (tags("\"ab\""), ConditionResult::Send),
        (tags("a"), ConditionResult::Send),
        (
            Conditions {
                modified_since: Some(Some(100)),
                ..none
            },
            ConditionResult::NotModified,
        ),
        (
            Conditions {
                modified_since: Some(Some(101)),
                ..none
            },
            ConditionResult::Send,
        ),
        (
            Conditions {
                modified_since: Some(None),
                ..tags("\"a\"")
            },
            ConditionResult::Send,
        ),
        (
            Conditions {
                matches: Some(b"W/\"a\""),
                ..none
            },
            ConditionResult::Failed,
        ),
        (
            Conditions {
                matches: Some(b"\"b\", \"a\""),
                ..tags("\"a\"")
            },
            ConditionResult::NotModified,
        ),
        (
            Conditions {
                unmodified_since: Some(Some(99)),
                ..none
            },
            ConditionResult::Failed,
        ),
        (
            Conditions {
                unmodified_since: Some(Some(101)),
                ..none
            },
            ConditionResult::Send,
        ),
        (
            Conditions {
                unmodified_since: Some(None),
                ..none
            },
            ConditionResult::Failed,
        ),
    ] {
        assert_eq!(evaluate(conditions, file), wanted, "{conditions:?}");
    }
}

#[test]
fn the_form_of_the_pages_is_read_off_their_names() {
    let form = |paths: &[&str]| PageForm::of(paths.iter().copied());
    assert_eq!(
        form(&["index.html", "docs.html", "docs/a.html", "404.html"]),
        PageForm::Flat
    );
    assert_eq!(form(&["index.html", "docs/index.html", "404.html"]), PageForm::Folder);
    assert_eq!(
        form(&["index.html", "404.html", "404/index.html", "_not-found/index.html"]),
        PageForm::Folder
    );
    assert_eq!(form(&[]), PageForm::Flat);
}

#[test]
fn page_has_one_address_if_the_site_wants_it_so() {
    let files = [
        "index.html",
        "404.html",
        "_not-found.html",
        "usage.html",
        "api/index.html",
        "both.html",
        "both/index.html",
        "raw",
        "raw.html",
    ];
    let mut flat = rules(PageForm::Flat, "");
    flat.one_address = true;
    assert_outcomes(
        &flat,
        &files,
        &[
            ("/", "index.html"),
            ("/usage", "usage.html"),
            ("/usage.html", "-> /usage"),
            ("/usage.html?q=1", "-> /usage?q=1"),
            ("/index.html", "-> /"),
            ("/api/", "api/index.html"),
            ("/api/index.html", "-> /api/"),
            // The own address is that of another file.
            ("/raw.html", "raw.html"),
            ("/both/index.html", "both/index.html"),
            ("/both.html", "-> /both"),
            ("/none.html", "404"),
            ("/404.html", "404"),
            ("/404", "404"),
            ("/_not-found", "404"),
            ("/_not-found.html", "404"),
        ],
    );
    let mut folder = rules(PageForm::Folder, "/handbook");
    folder.one_address = true;
    assert_outcomes(
        &folder,
        &files,
        &[
            ("/handbook/usage.html", "-> /handbook/usage"),
            ("/handbook/both.html", "both.html"),
            ("/handbook/both/index.html", "-> /handbook/both/"),
            ("/handbook/index.html", "-> /handbook/"),
        ],
    );
    assert_outcomes(
        &rules(PageForm::Flat, ""),
        &files,
        &[("/usage.html", "usage.html"), ("/404", "404.html")],
    );
}

#[test]
fn redirects_come_after_everything_that_the_site_has() {
    let (redirects, bad) = super::redirects::parse("_redirects", "/old/* https://old.example/:splat 302\n");
    assert_eq!(bad, []);
    let mut rules = rules(PageForm::Flat, "");
    rules.redirects = Redirects::new(redirects);
    let files = [
        "usage.html",
        "a/index.html",
        ".moved/moved=",
        ".moved/old/here=",
        ".moved/a=",
        ".moved/=",
        "old/file",
    ];
    assert_outcomes(
        &rules,
        &files,
        &[
            ("/moved", "entry .moved/moved="),
            ("/moved/", "entry .moved/moved="),
            ("/old/here", "entry .moved/old/here="),
            ("/old/other/", "pattern 302 https://old.example/other"),
            ("/old", "pattern 302 https://old.example/"),
            ("/old/file", "old/file"),
            ("/a", "-> /a/"),
            ("/", "entry .moved/="),
            ("/.moved/moved=", "404"),
            ("/old/%2fevil.example", "404"),
            ("/none", "404"),
        ],
    );
}

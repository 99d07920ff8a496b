//! The headers of a site's own rules, as a real nginx sends them.

use std::fs;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use syntax_publish::rules::custom_headers::{FILE, HeaderRule, parse};
use syntax_publish::rules::headers::SECURITY;
use syntax_publish::rules::lines::{BadLine, Place};
use syntax_publish::rules::nginx::{Access, PageForm, Vhost, render};
use syntax_publish::rules::{Address, CustomHeaders};

use super::{BASES, Docroot, PAGES};
use crate::support::http::{Request, Response};
use crate::support::nginx::{Nginx, complaints};

/// The line of nginx.conf that ends the only warning there may be, as the vhost says.
const HASH: &str = "variables_hash_bucket_size 128;";

/// Serves a site with these header rules.
fn serve(docroot: &Docroot, base: &str, rules: Vec<HeaderRule>) -> (Nginx, CustomHeaders) {
    let mut vhost = docroot.vhost(PageForm::Flat);
    vhost.rules.base_path = base.into();
    vhost.rules.headers = CustomHeaders::new(rules);
    let text = render(&vhost).unwrap();
    let complaints = complaints(&text);
    let is_announced = |line: &str| line.contains("could not build optimal variables_hash") && text.contains(HASH);
    assert!(complaints.lines().all(is_announced), "{complaints}");
    (Nginx::start(&text), vhost.rules.headers)
}

fn parsed(text: &str) -> Vec<HeaderRule> {
    let (rules, bad) = parse(FILE, text);
    assert_eq!(bad, []);
    rules
}

/// The values that the rules give a header at an address; the default if no rule mentions it.
fn wanted<'a>(rules: &'a CustomHeaders, target: &str, name: &str) -> Vec<&'a str> {
    let asked = Address::parse(target.as_bytes()).map_or_else(|_| Vec::new(), |address| address.path);
    let mut changed = rules.at(&asked).into_iter();
    let default = || {
        SECURITY
            .into_iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .collect()
    };
    changed
        .find(|changed| changed.name.eq_ignore_ascii_case(name))
        .map_or_else(default, |changed| changed.values)
}

/// Every header of the rules that differs from what they say.
fn differing(rules: &CustomHeaders, target: &str, answer: &Response, names: &[&str]) -> Vec<String> {
    let pairs = names
        .iter()
        .map(|name| (name, answer.all(name), wanted(rules, target, name)));
    pairs
        .filter(|(_, sent, wanted)| sent != wanted)
        .map(|(name, sent, wanted)| format!("{target} {name}: {sent:?} instead of {wanted:?}"))
        .collect()
}

#[test]
fn rules_go_by_the_address_that_was_asked_for() {
    let docroot = Docroot::new()
        .with(PAGES)
        .with(&["_assets/a.0123456789abcdef.png", "a.png"])
        .pooled("_next/static/chunks/old.js", b"old");
    for base in BASES {
        let text = format!(
            "/*\n  X-All: yes\n  X-Two: all\n{base}/usage\n  X-Usage: yes\n  X-Two: usage\n{base}/docs/*\n  X-Docs: yes\n  ! X-All\n\
             {base}/:page/none\n  X-None: \"a\" \\ $uri;\n  X-Frame-Options: DENY\n{base}/404.html\n  X-Error: page\n\
             {base}/*.png\n  X-Picture: yes\n  ! Referrer-Policy\n{base}/gr%C3%B6%C3%9Fe\n  X-Size: yes\n\
             {base}/_next/*\n  X-Chunk: yes\n/.well-known/*\n  X-Known: yes\n{base}/\n  X-Front: yes\n"
        );
        let (nginx, rules) = serve(&docroot, base, parsed(&text));
        let names = [
            "X-All",
            "X-Two",
            "X-Usage",
            "X-Docs",
            "X-None",
            "X-Frame-Options",
            "X-Error",
            "X-Picture",
            "Referrer-Policy",
            "X-Size",
            "X-Chunk",
            "X-Known",
            "X-Front",
            "X-Content-Type-Options",
        ];
        let mut differ = Vec::new();
        for (target, status) in [
            ("", if base.is_empty() { 400 } else { 200 }),
            ("/", if base.is_empty() { 200 } else { 308 }),
            ("/usage", 200),
            ("/usage?a=/docs/b", 200),
            ("/usage/", 308),
            ("/./usage", 200),
            ("/docs/../usage", 200),
            ("/u%73age", 200),
            ("/usage.html", 200),
            ("/docs", 404),
            ("/docs/usage", 200),
            ("/docs/usage/", 308),
            ("/docs/nothing", 404),
            ("/usage/none", 404),
            ("/404.html", 200),
            ("/404", 200),
            ("/a.png", 200),
            ("/a.png?v=0123456789abcdef", 200),
            ("/_assets/a.0123456789abcdef.png", 200),
            ("/gr%C3%B6%C3%9Fe", 200),
            ("/gr%c3%b6%c3%9fe/", 308),
            ("/_next/static/chunks/old.js", 200),
            ("/_next/static/chunks/gone.js", 404),
            ("/%0d%0aX-Injected:1", 404),
            ("/%00", 400),
        ] {
            let target = format!("{base}{target}");
            let answer = Request::get(&target).send(nginx.address());
            assert_eq!(answer.status, status, "{target}");
            differ.extend(differing(&rules, &target, &answer, &names));
        }
        for (method, target, status) in [
            ("HEAD", format!("{base}/usage"), 200),
            ("POST", format!("{base}/docs/usage"), 405),
            ("GET", "/.well-known/syntax-publish".to_owned(), 200),
            ("GET", "/elsewhere".to_owned(), 404),
        ] {
            let answer = Request::new(method, &target).send(nginx.address());
            assert_eq!(answer.status, status, "{method} {target}");
            differ.extend(differing(&rules, &target, &answer, &names));
        }
        let part = Request::get(format!("{base}/usage"))
            .header("Range", "bytes=0-1")
            .send(nginx.address());
        assert_eq!(part.status, 206);
        differ.extend(differing(&rules, &format!("{base}/usage"), &part, &names));
        assert_eq!(differ, Vec::<String>::new());
        assert!(!nginx.log().contains("[warn]"), "{}", nginx.log());
    }
}

#[test]
fn every_name_and_value_comes_out_as_it_was_written() {
    let mut runner = TestRunner::deterministic();
    let name = "[A-Za-z0-9][A-Za-z0-9_.-]{0,12}";
    let value = prop_oneof![
        "[!-~]([ -~]{0,30}[!-~])?",
        "[\"'\\\\${};#~ ]{1,8}",
        "[$]\\{?[a-z_]{0,8}\\}?"
    ];
    // One header line for each name, so not as many names as values.
    let names: Vec<String> = (0..60).map(|_| name.new_tree(&mut runner).unwrap().current()).collect();
    let pairs = (0..600).map(|number| {
        let value = value.new_tree(&mut runner).unwrap().current();
        (names[number % names.len()].clone(), value)
    });
    let pairs: Vec<(String, String)> = pairs.collect();
    let mut rules = Vec::new();
    let mut written = Vec::new();
    for (number, (name, value)) in pairs.iter().enumerate() {
        let place = Place {
            file: FILE.to_owned(),
            line: 1,
        };
        let mut rule = HeaderRule::new(place, &format!("/n{number}")).unwrap();
        // nginx drops no name, but a client could take these for the end of the answer.
        let name = format!("X-{name}");
        if rule.set(&name, value.trim()).is_ok() {
            written.push((number, name, value.trim()));
            rules.push(rule);
        }
    }
    assert!(written.len() > 550, "{}", written.len());
    let docroot = Docroot::new().with(PAGES);
    let (nginx, _) = serve(&docroot, "", rules);
    let plain = Request::get("/none").send(nginx.address()).headers.len();
    for (number, name, value) in written {
        let answer = Request::get(format!("/n{number}")).send(nginx.address());
        assert_eq!(answer.all(&name), [value], "{name}");
        assert_eq!(answer.headers.len(), plain + 1, "{name}: {value}");
    }
}

/// An address that a pattern matches.
fn example(written: &str) -> String {
    let plain = written.replace('*', "x");
    let segment = |segment: &str| match segment.strip_prefix(':') {
        Some(name) => name.to_owned(),
        None => segment.to_owned(),
    };
    plain.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[test]
fn each_line_of_a_real_file_works_or_is_refused_with_a_reason() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/headers/_headers");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.lines().count() >= 200);
    let (rules, bad) = parse(FILE, &text);
    let reason = |bad: &BadLine| format!("{} {}", bad.place.line, bad.reason);
    insta::assert_snapshot!(bad.iter().map(reason).collect::<Vec<_>>().join("\n"), @r"
    17 sets Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    18 sets Server, which belongs to the connection and not to a page
    56 puts `:lang`, a part of the visitor's address, into a header; a value here is the same for every address
    86 sets Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    90 sets Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    101 sets Content-Type, but the type of a file is set in [types] of the site manifest
    106 has more than one `*` in its address
    115 sets Content-Type, but the type of a file is set in [types] of the site manifest
    119 sets Vary, which follows from the file that is sent
    120 sets ETag, which follows from the file that is sent
    123 sets Content-Type, but the type of a file is set in [types] of the site manifest
    131 sets Content-Type, but the type of a file is set in [types] of the site manifest
    135 sets Content-Type, but the type of a file is set in [types] of the site manifest
    139 sets Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    140 sets Expires, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    181 names a host, and a vhost answers for one: write the path alone
    184 names a host, and a vhost answers for one: write the path alone
    188 sets Basic-Auth, which protects nothing here and would show the password to everyone: `basic-auth` of a target asks for one
    191 has no headers below it; each address needs its own
    201 has a `?` or `#` in its address, and headers here depend on the path alone
    206 gives X-Author a value with 'ü', but the value of a header has only printable ASCII
    207 sets Connection, which belongs to the connection and not to a page
    ");

    let docroot = Docroot::new().with(PAGES);
    let (nginx, headers) = serve(&docroot, "", rules.clone());
    let is_bad = |line: u32| bad.iter().any(|bad| bad.place.line == line);
    let mut worked = 0;
    let mut current: Option<(String, Response)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            let known = rules.iter().any(|rule| rule.place.line == number);
            current = known.then(|| {
                let target = example(line);
                let answer = Request::get(&target).send(nginx.address());
                (target, answer)
            });
            continue;
        }
        // The headers of an address that was refused are not in force.
        let Some((target, answer)) = current.as_ref().filter(|_| !is_bad(number)) else {
            continue;
        };
        let (name, value) = if let Some(name) = line.trim().strip_prefix('!') {
            (name.trim(), None)
        } else {
            let (name, value) = line.trim().split_once(':').unwrap();
            (name.trim(), Some(value.trim()))
        };
        assert_eq!(answer.all(name), wanted(&headers, target, name), "line {number}");
        if let Some(value) = value {
            assert!(
                answer.all(name).contains(&value),
                "line {number}: {:?}",
                answer.all(name)
            );
        }
        worked += 1;
    }
    assert!(worked > 60, "{worked}");
}

#[test]
fn a_staging_site_asks_for_a_password_and_is_left_out_by_search_engines() {
    let docroot = Docroot::new().with(PAGES);
    let passwords = docroot.path().join("passwords");
    fs::write(&passwords, "reader:{PLAIN}let-me-in\n").unwrap();
    let vhost = Vhost {
        access: Access {
            noindex: true,
            basic_auth: Some(passwords.to_str().unwrap().to_owned()),
        },
        ..docroot.vhost(PageForm::Flat)
    };
    let nginx = Nginx::start(&render(&vhost).unwrap());
    let asked = |target: &str, password: Option<&str>| {
        let request = Request::get(target);
        let request = match password {
            Some(base64) => request.header("Authorization", &format!("Basic {base64}")),
            None => request,
        };
        let answer = request.send(nginx.address());
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{target}");
        (answer.status, answer.header("cache-control").unwrap().to_owned())
    };
    let no_store = "no-store".to_owned();
    let page = "no-cache".to_owned();
    assert_eq!(asked("/usage", None), (401, no_store.clone()));
    assert_eq!(asked("/nothing", None).0, 401);
    // `reader:let-me-in`, and another password.
    assert_eq!(asked("/usage", Some("cmVhZGVyOmxldC1tZS1pbg==")), (200, page));
    assert_eq!(asked("/usage", Some("cmVhZGVyOndyb25n")), (401, no_store));
    assert_eq!(asked("/nothing", Some("cmVhZGVyOmxldC1tZS1pbg==")).0, 404);
    assert_eq!(asked("/.well-known/syntax-publish", None).0, 200);
}

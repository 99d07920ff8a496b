use proptest::prelude::*;

use super::*;
use crate::rules::headers::SECURITY;

fn rules(text: &str) -> CustomHeaders {
    let (rules, bad) = parse(FILE, text);
    assert_eq!(bad, [], "{text}");
    CustomHeaders::new(rules)
}

/// The reasons of the lines that can't be followed, behind their numbers.
fn refused(text: &str) -> String {
    let (_, bad) = parse(FILE, text);
    let lines = bad.iter().map(|bad| format!("{} {}", bad.place.line, bad.reason));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the rules change at an address.
fn at(rules: &CustomHeaders, address: &str) -> String {
    let changed = rules.at(address.as_bytes());
    let lines = changed
        .iter()
        .map(|one| format!("{}: {}", one.name, one.values.join(" | ")));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn rules_apply_in_their_order() {
    let rules = rules(
        "\u{feff}# all pages\n/*\n  X-Robots-Tag: noindex\n  Link: </a.css>; rel=preload\n\n\
         /docs/*\r\n\t! X-Robots-Tag\r\n\tlink : </b.css>; rel=preload\n\
         /docs/a\nX-Robots-Tag: none\n  LINK: </a.css>; rel=preload\n  ! Referrer-Policy\n",
    );
    for (address, expected) in [
        ("/", "X-Robots-Tag: noindex\nLink: </a.css>; rel=preload"),
        (
            "/docs",
            "X-Robots-Tag: \nLink: </a.css>; rel=preload | </b.css>; rel=preload",
        ),
        (
            "/docs/a",
            "X-Robots-Tag: none\nLink: </a.css>; rel=preload | </b.css>; rel=preload\nReferrer-Policy: ",
        ),
        ("", ""),
    ] {
        assert_eq!(at(&rules, address), expected, "{address}");
    }
    let places: Vec<u32> = rules.rules().iter().map(|rule| rule.place.line).collect();
    assert_eq!(places, [2, 6, 9]);
}

#[test]
fn a_rule_replaces_what_it_removes() {
    let rules = rules("/*\n  X-A: one\n/b\n  X-A: two\n  ! X-A\n");
    assert_eq!(at(&rules, "/a"), "X-A: one");
    assert_eq!(at(&rules, "/b"), "X-A: two");
}

#[test]
fn lines_that_cannot_be_followed_are_named() {
    insta::assert_snapshot!(
        refused(
            "X-A: b\n/a\n/b\n  X-A\n  X A: b\n  X-A:\n  X-A: größe\n  X-A: a\tb\n  ! \n  ! Cache-Control\n\
             /c/:page\n  X-Page: of :page!\n  X-Page: of :pages\n  Server: mine\nhttps://a.example/*\n  X-A: b\n/d /e\n  X-A: b\n/f\n"
        ),
        @r"
    1 has no address above it
    2 has no headers below it; each address needs its own
    4 is neither an address, which starts with `/`, nor a header, as in `Name: value`
    5 sets `X A`, but the name of a header has only letters, digits, `-`, `_` and `.`, 100 at most
    6 gives X-A no value; `! X-A` removes a header
    7 gives X-A a value with 'ö', but the value of a header has only printable ASCII
    8 gives X-A a value with '\t', but the value of a header has only printable ASCII
    9 removes ``, but the name of a header has only letters, digits, `-`, `_` and `.`, 100 at most
    10 removes Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    12 puts `:page`, a part of the visitor's address, into a header; a value here is the same for every address
    14 sets Server, which belongs to the connection and not to a page
    15 names a host, and a vhost answers for one: write the path alone
    17 has a space in its address: write it as %20
    19 has no headers below it; each address needs its own
    "
    );
}

#[test]
fn what_the_tool_decides_is_refused_by_its_name() {
    insta::assert_snapshot!(
        refused(
            "/*\n  cache-control: no-cache\n  CDN-Cache-Control: max-age=60\n  Content-Type: text/plain\n  ETag: a\n  Vary: Origin\n  \
             Location: /\n  Connection: close\n  x-nextjs-deployment-id: a\n  Basic-Auth: a:b\n  WWW-Authenticate: Basic\n"
        ),
        @r"
    2 sets cache-control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    3 sets CDN-Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content
    4 sets Content-Type, but the type of a file is set in [types] of the site manifest
    5 sets ETag, which follows from the file that is sent
    6 sets Vary, which follows from the file that is sent
    7 sets Location, but redirects are written in `_redirects`
    8 sets Connection, which belongs to the connection and not to a page
    9 sets x-nextjs-deployment-id, by which Next.js's client recognizes its release, and which follows the live release
    10 sets Basic-Auth, which protects nothing here and would show the password to everyone: `basic-auth` of a target asks for one
    11 sets WWW-Authenticate, which protects nothing without a server that checks passwords
    "
    );
}

#[test]
fn everything_that_a_visitor_could_be_tricked_with_is_refused() {
    let rule = || {
        let place = Place {
            file: FILE.to_owned(),
            line: 1,
        };
        HeaderRule::new(place, "/*").unwrap()
    };
    for name in [
        "",
        "X A",
        "X:A",
        "X\r\nSet-Cookie",
        "X;",
        "X\"",
        "X$a",
        "X{",
        "größe",
        "X\0",
        &"a".repeat(101),
    ] {
        assert!(rule().set(name, "a").is_err(), "{name:?}");
        assert!(rule().remove(name).is_err(), "{name:?}");
    }
    for value in [
        "",
        " a",
        "a ",
        "a\r\nSet-Cookie: b",
        "a\nb",
        "a\0b",
        "a\tb",
        "a\u{7f}",
        "ä",
        &"a".repeat(4001),
        &"\"".repeat(2001),
    ] {
        assert!(rule().set("X-A", value).is_err(), "{value:?}");
    }
    for value in ["a", "\"a\" 'b' \\", "a;b{c}#d", "$uri ${uri}", "~", &"a".repeat(4000)] {
        assert!(rule().set("X-A", value).is_ok(), "{value:?}");
    }
}

#[test]
fn the_rules_of_a_file_are_limited() {
    let rules: Vec<String> = (0..1002).map(|number| format!("/{number}\n  X-A: b\n")).collect();
    let text = rules.concat();
    let (rules, bad) = parse(FILE, &text);
    assert_eq!((rules.len(), bad.len()), (1000, 2));
    assert_eq!(bad[0].place.line, 2001);
}

/// The value of a header line for an address; empty for none.
fn value_of<'r>(line: &HeaderLine<'r>, asked: &[u8]) -> &'r str {
    let applies = |choice: &&Choice<'_>| {
        let is_not = |(path, except): &(&AddressPattern, Vec<&AddressPattern>)| {
            path.matches(asked) && !except.iter().any(|path| path.matches(asked))
        };
        choice.path.matches(asked) && !choice.unless.iter().any(is_not)
    };
    line.choices
        .iter()
        .find(applies)
        .map_or(line.default, |choice| choice.value)
}

/// The header lines that an address gets, and the same by [`CustomHeaders::at`].
fn both(rules: &CustomHeaders, asked: &str) -> [Vec<(String, String)>; 2] {
    let asked = asked.as_bytes();
    let pair = |name: &str, value: &str| (name.to_ascii_lowercase(), value.to_owned());
    let lines = rules.lines(&SECURITY);
    let is_of_lines = |name: &str| lines.iter().any(|line| line.name.eq_ignore_ascii_case(name));
    let kept = SECURITY.into_iter().filter(|(name, _)| !is_of_lines(name));
    let of_lines = lines
        .iter()
        .map(|line| (line.name, value_of(line, asked)))
        .filter(|(_, value)| !value.is_empty());
    let mut printed: Vec<_> = kept.chain(of_lines).map(|(name, value)| pair(name, value)).collect();

    let changed = rules.at(asked);
    let is_changed = |name: &str| changed.iter().any(|changed| changed.name.eq_ignore_ascii_case(name));
    let kept = SECURITY.into_iter().filter(|(name, _)| !is_changed(name));
    let sent = changed
        .iter()
        .flat_map(|changed| changed.values.iter().map(|value| (changed.name, *value)));
    let mut meant: Vec<_> = kept.chain(sent).map(|(name, value)| pair(name, value)).collect();
    // The order of two headers of one name counts, and the order of names does not.
    printed.sort_by(|(a, _), (b, _)| a.cmp(b));
    meant.sort_by(|(a, _), (b, _)| a.cmp(b));
    [printed, meant]
}

#[test]
fn a_header_of_the_vhost_is_replaced_where_a_rule_says_so() {
    let rules = rules(
        "/embed/*\n  ! X-Frame-Options\n  Content-Security-Policy: frame-ancestors *\n/docs\n  X-Frame-Options: DENY\n",
    );
    let frames = |address: &str| {
        let [printed, meant] = both(&rules, address);
        assert_eq!(printed, meant);
        let mut found = printed.into_iter();
        found
            .find(|(name, _)| name == "x-frame-options")
            .map(|(_, value)| value)
    };
    assert_eq!(frames("/embed/a"), None);
    assert_eq!(frames("/docs").as_deref(), Some("DENY"));
    assert_eq!(frames("/").as_deref(), Some("SAMEORIGIN"));
}

#[test]
fn one_line_is_enough_where_no_address_has_two_values() {
    let parts: Vec<String> = (0..50)
        .map(|number| format!("/{number}/*\n  X-A: {number}\n"))
        .collect();
    let text = parts.concat();
    assert_eq!(rules(&text).lines(&[]).len(), 1);
    assert_eq!(rules(&(text + "/:a/b\n  X-A: both\n")).lines(&[]).len(), 2);
}

fn any_rule() -> impl Strategy<Value = String> {
    let path = prop_oneof!["/", "/[*]", "/a", "/a/[*]", "/:x", "/:x/b", "/[*]b", "/a/b/[*]"];
    let name = prop_oneof!["X-A", "x-b", "X-Frame-Options"];
    let header = prop_oneof![
        3 => (name.clone(), "[12]").prop_map(|(name, value)| format!("  {name}: {value}\n")),
        1 => name.prop_map(|name| format!("  ! {name}\n")),
    ];
    (path, proptest::collection::vec(header, 1..3)).prop_map(|(path, headers)| format!("{path}\n{}", headers.concat()))
}

proptest! {
    #[test]
    fn the_lines_mean_what_the_rules_mean(
        text in proptest::collection::vec(any_rule(), 1..7),
        asked in "(/[abc]){0,3}/?",
    ) {
        let rules = rules(&text.concat());
        let [printed, meant] = both(&rules, &asked);
        prop_assert_eq!(printed, meant, "{}", text.concat());
    }

    #[test]
    fn no_text_makes_a_header_that_could_end_one(text in "(/[a-z*:]{0,3}\n)?(\\PC{0,12}[:!\r\n$\"\\\\]{0,3}\\PC{0,12}\n?){0,6}") {
        let (rules, _) = parse(FILE, &text);
        for (name, value) in rules.iter().flat_map(|rule| &rule.set) {
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            prop_assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
    }
}

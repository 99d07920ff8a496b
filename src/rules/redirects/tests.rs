//! Tests of redirect rules.

use proptest::prelude::*;

use super::*;

fn redirects(text: &str) -> Redirects {
    let (rules, bad) = parse(FILE, text);
    assert_eq!(bad, []);
    Redirects::new(rules)
}

fn reasons(text: &str) -> Vec<(u32, String)> {
    let (_, bad) = parse(FILE, text);
    bad.into_iter().map(|line| (line.place.line, line.reason)).collect()
}

fn entries(redirects: &Redirects, addresses: &[&str]) -> Vec<(String, String)> {
    let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    let table = redirects.table("", &addresses, &|address| {
        addresses.iter().any(|known| known == address)
    });
    let entries = table.entries.into_iter();
    entries
        .map(|(from, to)| (from, format!("{} {}", to.status(), to.location())))
        .collect()
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

#[test]
fn lines_of_both_services_are_read() {
    let redirects = redirects(
        "# moved in May\n\
         /a /b\n\
         \n\
         /c/   https://other.example/c  302  # for now\n\
         /d /e#part 307\n\
         /\u{e4} /\u{f6}?x=\u{fc} 308\n",
    );
    assert_eq!(
        entries(&redirects, &["/b", "/e"]),
        [
            pair("/a", "301 /b"),
            pair("/c", "302 https://other.example/c"),
            pair("/d", "307 /e#part"),
            pair("/\u{e4}", "308 /%C3%B6?x=%C3%BC"),
        ]
    );
}

#[test]
fn unsupported_lines_are_refused_with_their_reason() {
    for (line, reason) in [
        ("/a", "has no target"),
        ("a /b", "has an address that does not start with `/`"),
        (
            "/a b",
            "has `b` where the target is expected: a path or an http or https URL",
        ),
        (
            "/a /b 200",
            "is a rewrite (200), which needs a server that does more than serve files",
        ),
        (
            "/a /b 301!",
            "is forced (`!`), and a file always comes before a redirect here: remove the file instead",
        ),
        (
            "/a /b 404",
            "has the status `404`, which is not one of 301, 302, 307 and 308",
        ),
        (
            "/a /b 302 Country=de",
            "has the condition `Country`, and redirects here are the same for every visitor",
        ),
        (
            "/a /b Language=de",
            "has the condition `Language`, and redirects here are the same for every visitor",
        ),
        (
            "/a id=:id /b/:id",
            "depends on the query, and redirects here depend on the path alone",
        ),
        (
            "/a?b /c",
            "depends on the query, and redirects here depend on the path alone",
        ),
        (
            "/a#b /c",
            "has a `#` in its address, and browsers don't send what follows one",
        ),
        (
            "https://old.example/* /c",
            "is for another host; a vhost answers for one",
        ),
        ("/a*/b /c", "has a `*` that is not the last segment"),
        ("/*/b /c", "has a `*` that is not the last segment"),
        ("/a/../b /c", "has an empty, `.` or `..` segment in its address"),
        ("/a/%2e%2e/b /c", "has an empty, `.` or `..` segment in its address"),
        (
            "/a%2fb /c",
            "has an encoded slash, backslash or control character in its address",
        ),
        (
            "/a%0d%0ab /c",
            "has an encoded slash, backslash or control character in its address",
        ),
        ("/a%ff /c", "has an address that is not UTF-8"),
        ("/:a/:a /c", "uses a placeholder twice"),
        ("/:a.html /c", "has a placeholder that is not a whole segment"),
        (
            "/a/* https://:splat",
            "lets the visitor choose the host that it leads to",
        ),
        (
            "/a/:b https://example.com:b/",
            "lets the visitor choose the host that it leads to",
        ),
        (
            "/a/:b https://:b.example.com/",
            "lets the visitor choose the host that it leads to",
        ),
        ("/a/:b https://me@example.com/:b", "has a user name before its host"),
        (
            "/a //evil.example",
            "leads to an address that has an empty, `.` or `..` segment",
        ),
        (
            "/a/* /:splat//x",
            "leads to an address that has an empty, `.` or `..` segment",
        ),
        (
            "/a javascript://x/%0aalert(1)",
            "leads to an address that is neither a path that starts with one `/` nor an http or https URL",
        ),
    ] {
        assert_eq!(
            reasons(&format!("/ok /fine\n{line}\n")),
            [(2, reason.to_owned())],
            "{line}"
        );
    }
}

#[test]
fn splats_and_placeholders_are_expanded_over_what_the_site_has() {
    let redirects = redirects(
        "/old/* /new/:splat\n\
         /blog/:year/:slug /posts/:slug/:year 308\n\
         /docs/* /\n\
         /shop/* https://shop.example/:splat\n",
    );
    assert_eq!(
        entries(
            &redirects,
            &[
                "/",
                "/new/a",
                "/new/b/c.png",
                "/new/",
                "/posts/x/2024",
                "/posts/x",
                "/other"
            ]
        ),
        [
            pair("/blog/2024/x", "308 /posts/x/2024"),
            pair("/old", "301 /new/"),
            pair("/old/a", "301 /new/a"),
            pair("/old/b/c.png", "301 /new/b/c.png"),
        ]
    );
    let in_advance: Vec<bool> = redirects
        .rules()
        .iter()
        .map(RedirectRule::is_known_in_advance)
        .collect();
    assert_eq!(in_advance, [true, true, false, false]);
    for (address, location) in [
        ("/docs", "/"),
        ("/docs/a/b", "/"),
        ("/shop/a", "https://shop.example/a"),
        ("/old/x", "/new/x"),
        ("/blog/1/2", "/posts/2/1"),
    ] {
        assert_eq!(redirects.by_pattern(address).unwrap().location(), location);
    }
    for address in ["/", "/blog/1", "/blog/1/2/3", "/shopping"] {
        assert_eq!(redirects.by_pattern(address), None, "{address}");
    }
}

#[test]
fn pages_in_the_folder_form_keep_their_slash() {
    let redirects = redirects("/old/* /new/:splat\n/a/:b /c/:b/\n");
    assert_eq!(
        entries(&redirects, &["/new/x/", "/c/d/"]),
        [pair("/a/d", "301 /c/d/"), pair("/old/x", "301 /new/x/")]
    );
}

#[test]
fn the_first_rule_decides_and_a_file_comes_before_all() {
    let redirects = redirects("/a /b\n/old/* /new/:splat\n/a /c\n/old/x /y\n/y /new/x\n/new/x /z\n");
    let addresses = ["/b", "/c", "/y", "/new/x"].map(str::to_owned);
    let table = redirects.table("", &addresses, &|address| {
        addresses.iter().any(|known| known == address)
    });
    let found: Vec<(&str, &str)> = table
        .entries
        .iter()
        .map(|(from, to)| (&**from, to.location()))
        .collect();
    assert_eq!(found, [("/a", "/b"), ("/old/x", "/new/x")]);
    let place = |line| Place {
        file: FILE.to_owned(),
        line,
    };
    assert_eq!(
        table.remarks,
        [
            (place(3), Remark::Later(place(1))),
            (place(4), Remark::Later(place(2))),
            (place(5), Remark::File),
            (place(6), Remark::File),
        ]
    );
}

#[test]
fn chains_become_one_redirect_and_loops_none() {
    let redirects = redirects("/a /b 302\n/b /c\n/c /d#end\n/x /y\n/y /x\n/gone /nowhere\n/z /z\n");
    let addresses = ["/d".to_owned()];
    let table = redirects.table("", &addresses, &|address| address == "/d");
    let found: Vec<(&str, String)> = table
        .entries
        .iter()
        .map(|(from, to)| (&**from, format!("{} {}", to.status(), to.location())))
        .collect();
    assert_eq!(
        found,
        [
            ("/a", "302 /d#end".to_owned()),
            ("/b", "301 /d#end".to_owned()),
            ("/c", "301 /d#end".to_owned()),
            ("/gone", "301 /nowhere".to_owned()),
        ]
    );
    let remarks: Vec<(u32, &Remark)> = table
        .remarks
        .iter()
        .map(|(place, remark)| (place.line, remark))
        .collect();
    assert_eq!(
        remarks,
        [
            (1, &Remark::Flattened("/c".to_owned())),
            (2, &Remark::Flattened("/c".to_owned())),
            (4, &Remark::Loop),
            (5, &Remark::Loop),
            (6, &Remark::Missing("/nowhere".to_owned())),
            (7, &Remark::Loop),
        ]
    );
}

#[test]
fn an_address_that_is_no_file_name_is_remarked() {
    let long = "a".repeat(252);
    let redirects = redirects(&format!("/{long} /b\n/a= /b\n/a=/c /b\n"));
    let table = redirects.table("", &["/b".to_owned()], &|address| address == "/b");
    assert_eq!(table.entries.len(), 0);
    assert_eq!(
        table
            .remarks
            .iter()
            .filter(|(_, remark)| *remark == Remark::Name)
            .count(),
        3
    );
}

#[test]
fn nginx_gets_the_same_pattern_and_target() {
    let redirects = redirects("/a.b/:x/* https://h.example/$:x/:splat?q=:x#\u{e4}\n/s/\u{e4}(1)/* /t\n");
    let [first, second] = redirects.rules() else { panic!() };
    assert_eq!(first.regex(), r"^/a\.b/([^/]+)(?:/(.*))?\z");
    assert_eq!(
        first.target_of_groups(),
        (
            "https://h.example/%24$1/$2".to_owned(),
            "?q=$1".to_owned(),
            "#%C3%A4".to_owned()
        )
    );
    assert_eq!(second.regex(), r"^/s/%[Cc]3%[Aa]4\(1\)(?:/(.*))?\z");
    assert!(second.answer("/s/%c3%A4(1)/x").is_some());
    assert!(second.answer("/s/%C3%A4(2)/x").is_none());
}

proptest! {
    #[test]
    fn what_is_expanded_is_what_the_pattern_answers(
        from in "/[ab]{0,2}(/:x)?(/:y)?(/\\*)?",
        to in "/[cd](/:x)?(/:y)?(/:splat)?/?",
        addresses in proptest::collection::vec("/[cd](/[ab]){0,3}/?", 1..6),
    ) {
        let (rules, _) = parse(FILE, &format!("{from} {to}"));
        let redirects = Redirects::new(rules);
        let table = redirects.table("", &addresses, &|address| addresses.iter().any(|known| known == address));
        for (source, redirect) in &table.entries {
            let rule = &redirects.rules()[0];
            if rule.is_pattern() {
                let answer = rule.answer(source).unwrap();
                let bare = |redirect: &Redirect| redirect.location().trim_end_matches('/').to_owned();
                prop_assert_eq!(bare(redirect), bare(&answer));
            }
        }
    }

    #[test]
    fn no_visitor_can_be_led_to_a_host_of_his_choice(
        to in "(/|https://h\\.example/?|https:|:x|:splat|[/.:@]){1,5}",
        address in "/[a-z.@:/%]{0,8}",
    ) {
        let (rules, _) = parse(FILE, &format!("/:x/* {to}"));
        for rule in rules {
            let spelled = crate::rules::Address::parse(address.as_bytes());
            let spelled = spelled.ok().and_then(|address| address.spelled().map(<[u8]>::to_vec));
            let Some(spelled) = spelled.and_then(|spelled| String::from_utf8(spelled).ok()) else { continue };
            if let Some(redirect) = rule.answer(&spelled) {
                let location = redirect.location();
                let host = |url: &str| url.split('/').take(3).collect::<Vec<_>>().join("/");
                let stays = location.starts_with('/') && !location.starts_with("//");
                prop_assert!(stays || host(location) == host(&to), "{location}");
            }
        }
    }
}

#[test]
fn a_base_path_is_part_of_every_address_and_of_no_entry() {
    let redirects = redirects("/handbook/a /handbook/b\n/handbook /handbook/b\n/a /handbook/b\n/handbooks/a /x\n");
    let table = redirects.table("/handbook", &["/handbook/b".to_owned()], &|address| {
        address == "/handbook/b"
    });
    let found: Vec<(&str, &str)> = table
        .entries
        .iter()
        .map(|(from, to)| (&**from, to.location()))
        .collect();
    assert_eq!(found, [("/", "/handbook/b"), ("/a", "/handbook/b")]);
    let outside = table.remarks.iter().filter(|(_, remark)| *remark == Remark::Outside);
    assert_eq!(outside.map(|(place, _)| place.line).collect::<Vec<_>>(), [3, 4]);
}

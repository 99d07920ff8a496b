use std::collections::HashMap;

use super::judge::flaws;
use super::question::{Questions, questions};
use super::verdict::{Baseline, may_pass, regressions};
use super::visitor::Visit;
use super::*;
use crate::live::http::{Endpoint, Response};
use crate::model::cache::Classes;
use crate::model::digest::Digest;
use crate::model::encoding::{Encodings, Recipe};
use crate::model::manifest::{Change, ChangeKind, Changes, RedirectChange};
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::rules::{PageForm, Rules, file_address};

fn rules(base_path: &str, form: PageForm) -> Rules {
    Rules {
        form,
        base_path: base_path.to_owned(),
        classes: Classes::new("_assets"),
        asset_prefix: String::new(),
        deployment_id: None,
        types: crate::rules::OwnTypes::default(),
        redirects: crate::rules::Redirects::default(),
        one_address: false,
        languages: Vec::new(),
        headers: crate::rules::CustomHeaders::default(),
    }
}

fn file(bytes: &str) -> File {
    File {
        digest: Digest::of(bytes.as_bytes()),
        size: bytes.len() as u64,
        cache: crate::model::cache::CacheClass::Revalidate,
        encodings: Encodings {
            br: Some(Recipe::made(11)),
            gz: None,
        },
        media_type: "text/html".into(),
    }
}

fn path(text: &str) -> SitePath {
    SitePath::new(text).unwrap()
}

impl<S: std::hash::BuildHasher + Send + Sync> Files for HashMap<SitePath, File, S> {
    fn file(&self, path: &str) -> Option<&File> {
        self.get(path)
    }
}

fn files(paths: &[&str]) -> HashMap<SitePath, File> {
    let with_bytes = paths.iter().map(|text| (path(text), file(text)));
    with_bytes.collect()
}

fn asked(files: &HashMap<SitePath, File>, changes: &[Change]) -> Questions {
    let rules = rules("", PageForm::Flat);
    let all = files.iter().map(|(path, file)| (path.clone(), file));
    let changes = Changes {
        list: changes.to_vec(),
        ..Changes::default()
    };
    questions(&rules, files, all, &changes, "x")
}

fn change(text: &str, change: ChangeKind) -> Change {
    Change {
        path: path(text),
        change,
        bytes: 1,
        brought: Vec::new(),
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

const GOOD: [(&str, &str); 3] = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("etag", "\"1\""),
];

fn judged(side: Side, files: &HashMap<SitePath, File>, question: &Question, answer: &Response) -> Vec<&'static str> {
    let expected = expect::expected(&rules("", PageForm::Flat), files, question);
    let found = flaws(side, question, &expected, answer, None);
    found.iter().map(Flaw::code).collect()
}

fn page(target: &str, of: &str) -> Question {
    Question {
        target: target.to_owned(),
        subject: Subject::File(path(of)),
        accept: Accept::Plain,
        head: false,
    }
}

fn finding(side: Side, question: Option<&Question>, flaw: Flaw) -> Finding {
    let visit = Visit {
        side,
        place: Endpoint {
            name: "docs.example.com".to_owned(),
            port: 443,
            tls: true,
            at: Some(("192.0.2.7".to_owned(), 443)),
        },
        insecure: false,
    };
    visit.finding(question, flaw, None)
}

#[test]
fn removed_page_that_moved_is_not_expected_to_be_missing() {
    let files = files(&["index.html", "new.html"]);
    let gone = |rules: &Rules, redirects: &[&str]| {
        let all = files.iter().map(|(path, file)| (path.clone(), file));
        let moved = redirects.iter().map(|address| RedirectChange {
            address: (*address).to_owned(),
            change: ChangeKind::Added,
            former: None,
        });
        let changes = Changes {
            list: ["old.html", "lost.html", "by/rule.html"]
                .map(|path| change(path, ChangeKind::Removed))
                .to_vec(),
            redirects: moved.collect(),
        };
        let asked = questions(rules, &files, all, &changes, "x").list.into_iter();
        let removed = asked.filter(|question| matches!(question.subject, Subject::Removed(_)));
        removed.map(|question| question.target).collect::<Vec<_>>()
    };
    let plain = rules("", PageForm::Flat);
    assert_eq!(gone(&plain, &[]), ["/old", "/lost", "/by/rule"]);
    assert_eq!(gone(&plain, &["/old"]), ["/lost", "/by/rule"]);
    let (redirects, _) = crate::rules::redirects::parse("_redirects", "/by/* /new\n/lost /new\n");
    let with_rules = Rules {
        redirects: crate::rules::Redirects::new(redirects),
        ..plain
    };
    assert_eq!(gone(&with_rules, &[]), ["/old"]);
}

#[test]
fn changed_page_is_asked_for_in_each_of_its_encodings_and_a_sample_of_the_rest() {
    let files = files(&["index.html", "docs/a.html", "docs/deep/b.html", "404.html"]);
    let asked = asked(&files, &[change("docs/a.html", ChangeKind::Changed)]);
    let list: Vec<(&str, Accept)> = asked
        .list
        .iter()
        .map(|question| (question.target.as_str(), question.accept))
        .collect();
    assert_eq!(
        list,
        [
            ("/docs/a", Accept::Brotli),
            ("/docs/a", Accept::Plain),
            ("/", Accept::Brotli),
            ("/", Accept::Plain),
            ("/docs/deep/b", Accept::Brotli),
            ("/docs/deep/b", Accept::Plain),
            ("/no-such-page-x", Accept::Browser),
            ("/_next/static/chunks/no-such-chunk-x.js", Accept::Browser),
        ]
    );
    assert_eq!((asked.changed, asked.left_out), (1, 0));
}

#[test]
fn removed_page_is_asked_for_and_a_removed_chunk_is_not() {
    let files = files(&["index.html"]);
    let asked = asked(
        &files,
        &[
            change("old.html", ChangeKind::Removed),
            change("_next/static/chunks/a.js", ChangeKind::Removed),
        ],
    );
    let removed: Vec<&str> = asked
        .list
        .iter()
        .filter(|question| matches!(question.subject, Subject::Removed(_)))
        .map(|question| question.target.as_str())
        .collect();
    assert_eq!(removed, ["/old"]);
}

#[test]
fn more_changes_than_can_be_asked_for_are_counted() {
    let names: Vec<String> = (0..3000).map(|number| format!("p{number:04}.html")).collect();
    let files = files(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let changes: Vec<Change> = names.iter().map(|name| change(name, ChangeKind::Added)).collect();
    let asked = asked(&files, &changes);
    assert_eq!((asked.changed, asked.left_out), (2000, 1000));
    let last = |list: &[Question]| list.iter().map(|question| question.target.clone()).max();
    assert!(
        last(&asked.list).unwrap().as_str() > "/p2900",
        "they come from all over the site"
    );
}

#[test]
fn every_form_under_which_a_page_is_reachable_is_known() {
    let all = |base: &str, form, of: &str| file_address::all(&rules(base, form), of);
    assert_eq!(
        all("", PageForm::Flat, "docs/a.html"),
        ["/docs/a", "/docs/a/", "/docs/a.html"]
    );
    assert_eq!(all("", PageForm::Flat, "index.html"), ["/", "/index.html"]);
    assert_eq!(
        all("", PageForm::Folder, "docs/a/index.html"),
        ["/docs/a/", "/docs/a", "/docs/a/index.html"]
    );
    assert_eq!(all("/b", PageForm::Flat, "index.html"), ["/b", "/b/", "/b/index.html"]);
    assert_eq!(all("/b", PageForm::Flat, "index.txt"), ["/b/index.txt", "/b.txt"]);
    assert_eq!(
        all("/b", PageForm::Flat, "robots.txt"),
        ["/b/robots.txt", "/robots.txt"]
    );
    assert_eq!(
        all("", PageForm::Flat, "docs/gr\u{f6}\u{df}e.txt"),
        ["/docs/gr%C3%B6%C3%9Fe.txt"]
    );
}

#[test]
fn answer_as_published_has_no_flaw() {
    let files = files(&["a.html"]);
    let body = answer(200, &GOOD, "a.html");
    assert!(judged(Side::Origin, &files, &page("/a", "a.html"), &body).is_empty());
}

#[test]
fn each_flaw_of_an_answer_is_named() {
    let files = files(&["a.html"]);
    let question = page("/a", "a.html");
    let judge =
        |headers: &[(&str, &str)], body: &str| judged(Side::Origin, &files, &question, &answer(200, headers, body));
    assert_eq!(judge(&GOOD, "other"), ["bytes"]);
    assert_eq!(judge(&[GOOD[1], GOOD[2]], "a.html"), ["type"]);
    assert_eq!(
        judge(&[("content-type", "text/plain"), GOOD[1], GOOD[2]], "a.html"),
        ["type"]
    );
    assert_eq!(judge(&[GOOD[0], GOOD[2]], "a.html"), ["cache"]);
    assert_eq!(judge(&[GOOD[0], GOOD[1]], "a.html"), ["etag"]);
    assert_eq!(
        judge(&[GOOD[0], GOOD[1], GOOD[2], ("content-encoding", "zstd")], "a.html"),
        ["bytes"]
    );
    let brotli = Question {
        accept: Accept::Brotli,
        ..question.clone()
    };
    assert_eq!(
        judged(Side::Origin, &files, &brotli, &answer(200, &GOOD, "a.html")),
        ["encoding"]
    );
    assert_eq!(
        judged(Side::Origin, &files, &question, &answer(404, &GOOD, "")),
        ["status"]
    );
}

#[test]
fn missing_file_must_not_be_answered_by_a_page_nor_kept() {
    let files = files(&["index.html"]);
    let missing = Question {
        target: "/_next/static/chunks/x.js".to_owned(),
        subject: Subject::NoAsset,
        accept: Accept::Browser,
        head: false,
    };
    let judge = |answer: &Response| judged(Side::Origin, &files, &missing, answer);
    assert_eq!(judge(&answer(200, &GOOD, "index.html")), ["page-for-missing"]);
    assert_eq!(
        judge(&answer(404, &[("cache-control", "max-age=600")], "")),
        ["kept-error"]
    );
    assert!(judge(&answer(404, &[("cache-control", "no-store")], "")).is_empty());
}

#[test]
fn what_a_cdn_does_is_named_with_its_setting() {
    let files = files(&["a.html"]);
    let question = page("/a", "a.html");
    let through = |headers: &[(&str, &str)], body: &str, status: u16| {
        let all = [headers, &[("server", "cloudflare"), ("cf-ray", "1-FRA")]].concat();
        let answer = answer(status, &all, body);
        let expected = expect::expected(&rules("", PageForm::Flat), &files, &question);
        let found = flaws(Side::Public, &question, &expected, &answer, None);
        let visit = finding(Side::Public, None, Flaw::NoEtag);
        let told = found.into_iter().map(|flaw| Finding {
            flaw,
            by_cdn: true,
            ..visit.clone()
        });
        told.map(|finding| format!("{} | {} | {}", finding.flaw.code(), finding.message(), finding.fix()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let hours = through(&[GOOD[0], ("cache-control", "max-age=14400")], "a.html", 200);
    assert!(
        hours.starts_with("cache") && hours.contains("Browser Cache TTL"),
        "{hours}"
    );
    for (body, setting) in [
        (
            "<script src=\"/cdn-cgi/scripts/7d0fa10a/cloudflare-static/rocket-loader.min.js\">",
            "Rocket Loader",
        ),
        (
            "<a href=\"/cdn-cgi/l/email-protection#a1\">",
            "Email Address Obfuscation",
        ),
        ("a", "Auto Minify"),
    ] {
        let found = through(&GOOD, body, 200);
        assert!(found.starts_with("rewritten") && found.contains(setting), "{found}");
    }
    let gone = through(&[], "", 522);
    assert!(
        gone.starts_with("edge-error") && gone.contains("DNS record's address"),
        "{gone}"
    );
    let wall = through(&[("cf-mitigated", "challenge")], "", 403);
    assert!(wall.starts_with("challenged") && wall.contains("WAF"), "{wall}");
    assert_eq!(through(&GOOD, "a.html", 200), "");
}

#[test]
fn bytes_of_the_release_before_are_distinguished_from_others() {
    let files = files(&["a.html"]);
    let before: HashMap<SitePath, Option<File>> = HashMap::from([(path("a.html"), Some(file("before")))]);
    let former = Former {
        site: &files,
        changed: &before,
    };
    let question = page("/a", "a.html");
    let expected = expect::expected(&rules("", PageForm::Flat), &files, &question);
    let found = flaws(
        Side::Public,
        &question,
        &expected,
        &answer(200, &GOOD, "before"),
        Some(&former),
    );
    assert_eq!(found, [Flaw::Bytes(Difference::Former)]);
    assert!(may_pass(&finding(
        Side::Public,
        Some(&question),
        Flaw::Bytes(Difference::Former)
    )));
}

fn status(side: Side, target: &str) -> Finding {
    finding(
        side,
        Some(&page(target, "a.html")),
        Flaw::Status { want: 200, got: 404 },
    )
}

#[test]
fn what_failed_before_in_the_same_way_is_not_the_release_s_fault() {
    let before = Baseline {
        findings: vec![status(Side::Origin, "/a")],
        added: vec![page("/new", "a.html")],
    };
    let after = [
        status(Side::Origin, "/a"),
        // The file is new, but the same kind of failure occurred before.
        status(Side::Origin, "/new"),
        // Findings of the public side never count.
        status(Side::Public, "/b"),
        // A certificate is not part of a release.
        finding(Side::Origin, None, Flaw::Certificate("it has expired".to_owned())),
        // Only a warning.
        finding(Side::Origin, Some(&page("/c", "a.html")), Flaw::NoEtag),
    ];
    assert_eq!(regressions(&after, &before), Vec::<&Finding>::new());
    assert!(!is_fine(&after));
}

#[test]
fn what_passed_before_and_fails_now_is_the_release_s_fault() {
    let before = Baseline {
        findings: vec![status(Side::Origin, "/a")],
        added: Vec::new(),
    };
    let after = [status(Side::Origin, "/a"), status(Side::Origin, "/b")];
    assert_eq!(regressions(&after, &before), [&after[1]]);
}

#[test]
fn without_an_earlier_answer_it_is_unknown_what_was_right() {
    let before = Baseline {
        findings: vec![finding(Side::Origin, None, Flaw::NoAnswer("refused".to_owned()))],
        added: Vec::new(),
    };
    assert!(regressions(&[status(Side::Origin, "/a")], &before).is_empty());
}

#[test]
fn warnings_leave_a_release_fine() {
    let found = [finding(Side::Origin, None, Flaw::NoHttp2)];
    assert!(is_fine(&found));
}

#[test]
fn finding_can_be_repeated_by_curl_at_the_same_address_under_the_same_name() {
    let question = Question {
        accept: Accept::Brotli,
        ..page("/docs/it's", "a.html")
    };
    assert_eq!(
        finding(Side::Origin, Some(&question), Flaw::NoEtag).repeat,
        "curl -sS -o /dev/null -D - -H 'Accept-Encoding: br' --connect-to docs.example.com:443:192.0.2.7:443 \
         'https://docs.example.com/docs/it%27s'"
    );
}

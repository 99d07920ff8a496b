//! Sites of Docusaurus, Astro and `VitePress`: what has a hash in its name is kept for good, and a tab that was open
//! before a publish goes on afterwards.

use std::collections::BTreeMap;

use super::site::{Features, Site};
use crate::offline::faithful::generator;
use crate::support::browser::{Browser, Tab};
use crate::support::export::files_below;
use crate::support::http::{Request, Response};

/// The site of a generator, as `fixtures/generators` has it.
struct Generated {
    name: &'static str,
    /// The link that an open tab follows after the publish.
    link: &'static str,
    /// What the page then says. A client that renders pages from scripts shows the page of its own build.
    says: &'static str,
    /// What its buttons show if they ask for code.
    button: Option<&'static str>,
    /// The files of the second build that browsers must revalidate.
    revalidated: &'static [&'static str],
    /// How many files get a copy with a fingerprint in its name.
    copies: usize,
}

#[test]
fn docusaurus() {
    assert_goes_on(&Generated {
        name: "docusaurus",
        link: "/guide",
        says: "In calm weather",
        button: None,
        revalidated: &[
            "404.html",
            "assets/js/17896441.75cc7f4e.js.LICENSE.txt",
            "assets/js/main.814c51b4.js.LICENSE.txt",
            "charts/index.html",
            "guide/index.html",
            "img/knot.svg",
            "index.html",
            "sitemap.xml",
        ],
        copies: 0,
    });
}

#[test]
fn astro() {
    assert_goes_on(&Generated {
        name: "astro",
        link: "/guide/",
        says: "In rough weather",
        button: Some("In calm weather"),
        revalidated: &[
            "404.html",
            "_astro/chart.BWyCJ3JJ_1xmnGW.webp",
            "charts/index.html",
            "guide/index.html",
            "img/knot.svg",
            "index.html",
        ],
        // The picture that Astro made, and the one of `public/`.
        copies: 2,
    });
}

#[test]
fn vitepress() {
    assert_goes_on(&Generated {
        name: "vitepress",
        link: "/guide",
        says: "In calm weather",
        // The search.
        button: Some(""),
        revalidated: &[
            "404.html",
            "assets/card.png",
            "charts.html",
            "guide.html",
            "hashmap.json",
            "img/knot.svg",
            "index.html",
            "sitemap.xml",
            "vp-icons.css",
        ],
        copies: 0,
    });
}

fn assert_goes_on(generated: &Generated) {
    let name = generated.name;
    let builds = generator(name);
    let (first, edited) = (
        files_below(&builds.build("first")),
        files_below(&builds.build("edited")),
    );
    let mut browser = Browser::start(name);
    let mut site = Site::new(name, Features::Default);
    site.publish(&builds.build("first"));
    let fresh = |browser: &mut Browser, site: &Site, when: &str| {
        for path in ["/", "/guide/", "/charts/", "/nowhere"] {
            let tab = browser.open("fresh", &format!("{}{path}", site.base()));
            let status = if path == "/nowhere" { 404 } else { 200 };
            assert_eq!(tab.status, Some(status), "{name}: {path} {when}");
            assert_fine(&tab, &format!("{name}: {path} {when}"));
            browser.close("fresh");
        }
    };
    fresh(&mut browser, &site, "of the first build");
    for tab in ["links", "button"] {
        browser.open(tab, &format!("{}/", site.base()));
    }

    site.publish(&builds.build("edited"));
    let tab = browser.wander("links", &[generated.link.to_owned()], 1, 0);
    assert_fine(&tab, &format!("{name}: the open tab"));
    let [went] = &tab.went[..] else {
        panic!("{name}: no page after the click")
    };
    assert!(went.soft && went.is_new, "{name}: {went:?}");
    assert!(went.seen.text.contains(generated.says), "{name}: {}", went.seen.text);
    let tab = browser.press("button");
    assert_fine(&tab, &format!("{name}: the button of the open tab"));
    let asks = tab.presses.iter().any(|press| !press.asked.is_empty());
    assert_eq!(asks, generated.button.is_some(), "{name}");
    let text = tab.seen.unwrap().text;
    assert!(text.contains(generated.button.unwrap_or_default()), "{name}: {text}");
    fresh(&mut browser, &site, "of the second build");

    let get = |path: &str| Request::get(format!("/{path}")).send(site.base()["http://".len()..].parse().unwrap());
    let is_kept = |answer: &Response| {
        answer
            .header("cache-control")
            .is_some_and(|value| value.contains("immutable"))
    };
    let revalidated: Vec<&str> = edited
        .keys()
        .map(String::as_str)
        .filter(|path| !is_kept(&get(path)))
        .collect();
    assert_eq!(revalidated, generated.revalidated, "{name}");
    let gone: BTreeMap<_, _> = first.iter().filter(|(path, _)| !edited.contains_key(*path)).collect();
    assert!(!gone.is_empty(), "{name}");
    for (path, bytes) in gone {
        let answer = get(path);
        assert!(
            answer.status == 200 && is_kept(&answer) && answer.body == *bytes,
            "{name}: {path}"
        );
    }
    assert_eq!(
        site.live().len(),
        edited.len() + generated.copies,
        "{name}: {:?}",
        site.live().keys()
    );
}

#[track_caller]
fn assert_fine(tab: &Tab, what: &str) {
    // A browser logs the 404 of a page that is missing.
    let is_expected = |problem: &&String| tab.status == Some(404) && problem.contains("404");
    let problems: Vec<&String> = tab.problems.iter().filter(|problem| !is_expected(problem)).collect();
    assert!(problems.is_empty(), "{what}: {problems:#?} {:?}", tab.picture);
}

//! Every page of an export, published and untouched.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use super::site::{Features, Page, Site, differences, pages};
use super::{Fixture, assert_none};
use crate::support::browser::{self, Browser, Request, Survey, artifacts};
use crate::support::export::files_below;

/// Kinds of requests that a page makes itself, however much Next.js prefetches.
const KINDS: [&str; 4] = ["Font", "Image", "Script", "Stylesheet"];

/// Publishes an export with the defaults and once untouched, and compares every page.
pub fn assert_as_good(browser: &mut Browser, fixture: &Fixture) {
    let begun = Instant::now();
    let export = fixture.folder();
    let pages = pages(fixture, &export);
    assert!(!pages.is_empty(), "{} has pages", fixture.export);
    let mut published = Site::new("published", Features::Default);
    let mut untouched = Site::new("untouched", Features::Off);
    let seconds = published.publish(&export).1 + untouched.publish(&export).1;
    assert!(
        untouched.live() == files_below(&export),
        "the untouched site is the export"
    );

    let after = browser.survey(order(&published, fixture, &pages, "thorough", &BTreeMap::new()));
    // If a click loads another document, did it also do so before?
    let hard: BTreeMap<&str, Vec<&str>> = after
        .pages
        .iter()
        .map(|page| {
            (
                page.file.as_str(),
                page.links
                    .iter()
                    .filter(|link| !link.soft)
                    .map(|link| link.to.as_str())
                    .collect(),
            )
        })
        .collect();
    let before = browser.survey(order(&untouched, fixture, &pages, "glance", &hard));

    let figures = figures(&before, &after, seconds, begun.elapsed().as_secs_f64());
    fs::write(artifacts(&fixture.name()).join("figures.txt"), figures).unwrap();
    let mut problems = problems("published", &after);
    problems.extend(self::problems("untouched", &before));
    problems.extend(worse(&before, &after));
    problems.extend(unexpected(fixture, &after));
    assert_none(fixture, &problems);
}

pub fn order(site: &Site, fixture: &Fixture, pages: &[Page], depth: &str, follow: &BTreeMap<&str, Vec<&str>>) -> Value {
    let pages: Vec<Value> = pages
        .iter()
        .map(|page| json!({ "file": page.file, "path": page.path, "follow": follow.get(page.file.as_str()) }))
        .collect();
    json!({
        "name": site.name,
        "base": site.base(),
        "pages": pages,
        "missing": format!("{}/no/such/page", fixture.base),
        "search": fixture.search,
        "depth": depth,
    })
}

/// The problems that the browser found, one per line.
pub fn problems(site: &str, survey: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |page: &str, problems: &[String], picture: Option<&std::path::PathBuf>| {
        let picture = picture.map_or(String::new(), |file| format!(" (see {})", file.display()));
        lines.extend(
            problems
                .iter()
                .map(|problem| format!("{site} {page}: {problem}{picture}")),
        );
    };
    for page in &survey.pages {
        add(&page.file, &page.problems, page.picture.as_ref());
        if page.status != Some(200) {
            add(&page.file, &[format!("status {:?}", page.status)], None);
        }
    }
    let missing = &survey.missing;
    add("an address without a page", &missing.problems, missing.picture.as_ref());
    if missing.status != Some(404) {
        add(
            "an address without a page",
            &[format!("status {:?}", missing.status)],
            None,
        );
    }
    if let Some(search) = &survey.search {
        add("the search", &search.problems, search.picture.as_ref());
    }
    lines
}

/// The differences of the published site from the untouched one.
fn worse(before: &Survey, after: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    assert_eq!(before.pages.len(), after.pages.len());
    for (was, is) in before.pages.iter().zip(&after.pages) {
        let mut add = |what: String| lines.push(format!("{}: {what}", is.file));
        if let (Some(was), Some(is)) = (&was.seen, &is.seen) {
            differences(was, is).into_iter().for_each(&mut add);
            if was.fonts != is.fonts {
                add(format!("its fonts are {:?}, untouched {:?}", is.fonts, was.fonts));
            }
        }
        for kind in KINDS {
            let (was, is) = (count(&was.requests, kind), count(&is.requests, kind));
            if was != is {
                add(format!("{is} requests of the kind {kind}, untouched {was}"));
            }
        }
        for link in was.links.iter().filter(|link| link.soft) {
            add(format!(
                "the link to {} loads another document, untouched it does not",
                link.to
            ));
        }
        let asked = |page: &browser::Page| -> Vec<_> {
            page.presses
                .iter()
                .map(|press| (press.button.clone(), press.asked.len()))
                .collect()
        };
        if asked(was) != asked(is) {
            add(format!(
                "its buttons ask for {:?}, untouched for {:?}",
                asked(is),
                asked(was)
            ));
        }
    }
    if let (Some(was), Some(is)) = (&before.missing.seen, &after.missing.seen) {
        let found = differences(was, is).into_iter();
        lines.extend(found.map(|what| format!("an address without a page: {what}")));
    }
    if let (Some(was), Some(is)) = (&before.search, &after.search)
        && (&was.texts, &was.first) != (&is.texts, &is.first)
    {
        lines.push(format!("the search finds {is:?}, untouched {was:?}"));
    }
    lines
}

fn count(requests: &[Request], kind: &str) -> usize {
    requests.iter().filter(|request| request.kind == kind).count()
}

/// Features of the fixture that the survey did not meet.
fn unexpected(fixture: &Fixture, survey: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    if !survey.pages.iter().flat_map(|page| &page.links).any(|link| link.soft) {
        lines.push("no link keeps the document".to_owned());
    }
    let lazy = |page: &&browser::Page| page.presses.iter().any(|press| !press.asked.is_empty());
    let lazy: Vec<&str> = survey
        .pages
        .iter()
        .filter(lazy)
        .map(|page| page.file.as_str())
        .collect();
    if let Some(page) = fixture.lazy
        && !lazy.contains(&page)
    {
        lines.push(format!("{page}: no button asks for code"));
    }
    lines
}

/// Time and bytes, for information.
fn figures(before: &Survey, after: &Survey, published: f64, all: f64) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "publish both: {published:.1} s");
    for (name, survey) in [("published", after), ("untouched", before)] {
        let _ = write!(
            text,
            "{name}: {:.1} s for {} pages; summed:",
            survey.seconds,
            survey.pages.len()
        );
        let mut parts: BTreeMap<&str, f64> = BTreeMap::new();
        for (part, seconds) in survey.pages.iter().flat_map(|page| &page.seconds) {
            *parts.entry(part).or_default() += seconds;
        }
        for (part, seconds) in parts {
            let _ = write!(text, " {part} {seconds:.1} s");
        }
        let links = survey.pages.iter().flat_map(|page| &page.links);
        let soft = links.clone().filter(|link| link.soft).count();
        let _ = writeln!(text, "; {soft} of {} links soft", links.count());
    }
    let _ = writeln!(text, "all: {all:.1} s\n\nbytes of each page's first load, published:");
    for page in &after.pages {
        let bytes: f64 = page.requests.iter().map(|request| request.bytes).sum();
        let _ = writeln!(
            text,
            "{bytes:>10.0} in {:>3} requests  {}",
            page.requests.len(),
            page.file
        );
    }
    let _ = writeln!(text, "\nrequests:");
    for page in &after.pages {
        let _ = writeln!(text, "{}", page.file);
        for Request {
            path,
            method,
            kind,
            status,
            bytes,
            from,
        } in &page.requests
        {
            let _ = writeln!(text, "  {status} {method} {path} {kind} {bytes:.0} {from:?}");
        }
    }
    text
}

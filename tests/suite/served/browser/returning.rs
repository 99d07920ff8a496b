//! A visitor who comes back after a publish, with a filled browser cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::site::{Features, Page, Site, pages};
use super::variants::Copy;
use super::{Fixture, STABLE_BUILD_ID, assert_none};
use crate::support::browser::{Browser, Request, Source, Visit, artifacts};
use crate::support::export::files_below;

/// Pages that are visited in addition to the edited one.
const OTHERS: usize = 5;

/// A build to come back to, and how it is published.
struct Case {
    name: &'static str,
    features: Features,
    build: Build,
    /// Whether only the edited page's files may be downloaded, or every file that differs between the builds.
    only_the_edit: bool,
}

/// How the second export was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    /// One page edited, with the same build ID.
    Edited,
    /// One page edited, with another build ID.
    Rebuilt,
}

const CASES: &[Case] = &[
    Case {
        name: "edited",
        features: Features::Default,
        build: Build::Edited,
        only_the_edit: true,
    },
    Case {
        name: "rebuilt",
        features: Features::Default,
        build: Build::Rebuilt,
        only_the_edit: STABLE_BUILD_ID,
    },
    Case {
        name: "rebuilt, features off",
        features: Features::Off,
        build: Build::Rebuilt,
        only_the_edit: false,
    },
];

/// The cost of two visits with a publish between them.
pub struct Returned {
    pub before: Visit,
    pub after: Visit,
    /// The files that the second visit downloaded completely, and the bytes received.
    pub downloaded: BTreeMap<String, f64>,
    /// Those files that the first visit had requested by the same URL. The browser caches a payload once for each
    /// `_rsc` value that Next.js appends to its path, and that value depends on the page that the visitor is on.
    pub again: BTreeSet<String>,
}

/// Lets one visitor see pages of `a`, publishes `b`, and lets the visitor come back.
pub fn come_back(
    browser: &mut Browser,
    fixture: &Fixture,
    features: Features,
    (a, b): (&Path, &Path),
    paths: &[String],
) -> Returned {
    let profile = tempfile::tempdir().unwrap();
    let mut site = Site::new("returning", features);
    site.publish(a);
    let before = browser.visit(profile.path(), &site.base(), paths);
    site.publish(b);
    let after = browser.visit(profile.path(), &site.base(), paths);
    let file_of = |request: &Request| {
        let file = site.file_of(fixture, &request.path);
        file.unwrap_or_else(|| request.path.clone())
    };
    let mut downloaded = BTreeMap::new();
    for request in requests(&after).filter(|request| request.is_full()) {
        *downloaded.entry(file_of(request)).or_default() += request.bytes;
    }
    let known: BTreeSet<&str> = requests(&before).map(|request| request.path.as_str()).collect();
    let again = requests(&after).filter(|request| request.is_full() && known.contains(request.path.as_str()));
    let again = again.map(file_of).collect();
    Returned {
        before,
        after,
        downloaded,
        again,
    }
}

/// Removes the build ID from a path, because the export has another one.
fn without_id(path: &str) -> String {
    let of_build = path.strip_prefix("_next/data/").and_then(|rest| rest.split_once('/'));
    of_build.map_or_else(|| path.to_owned(), |(_, page)| format!("_next/data//{page}"))
}

pub fn assert_only_changes_are_downloaded(browser: &mut Browser, fixture: &Fixture) {
    let export = fixture.folder();
    let mut edited = Copy::of(&export);
    let edit = edited.edit();
    let mut rebuilt = Copy::of(&edited.path);
    rebuilt.rebuild(1);
    let pages = pages(fixture, &export);
    let (edited_page, others): (Vec<Page>, Vec<Page>) = pages.into_iter().partition(|page| page.file == edit.page);
    let [edited_page] = &edited_page[..] else {
        panic!("{} is a page", edit.page)
    };
    let others = others.iter().take(OTHERS).map(|page| page.path.clone());
    let paths: Vec<String> = others.chain([edited_page.path.clone()]).collect();

    let mut problems = Vec::new();
    let mut figures = String::new();
    for case in CASES {
        let build = match case.build {
            Build::Edited => &edited.path,
            Build::Rebuilt => &rebuilt.path,
        };
        let allowed = if case.only_the_edit {
            edit.files.clone()
        } else {
            changed(&export, build)
        };
        let returned = come_back(browser, fixture, case.features, (&export, build), &paths);
        report(&mut figures, case, &returned);
        let mut add = |what: String| problems.push(format!("{}: {what}", case.name));
        for page in returned.before.pages.iter().chain(&returned.after.pages) {
            page.problems
                .iter()
                .for_each(|problem| add(format!("{}: {problem}", page.path)));
        }
        let allowed: BTreeSet<String> = allowed.iter().map(|file| without_id(file)).collect();
        for file in returned
            .again
            .iter()
            .filter(|file| !allowed.contains(&without_id(file)))
        {
            add(format!("{file} was downloaded again"));
        }
        if !returned.downloaded.contains_key(&edit.page) {
            add(format!("{} was not downloaded", edit.page));
        }
        if !returned
            .after
            .pages
            .iter()
            .any(|page| page.seen.text.contains(&edit.to))
        {
            add(format!("{:?} is not to be read", edit.to));
        }
        if !requests(&returned.after).any(|request| request.from == Source::Validated) {
            add("nothing was confirmed from the cache".to_owned());
        }
    }
    fs::write(
        artifacts(&format!("{}-returning", fixture.name())).join("figures.txt"),
        figures,
    )
    .unwrap();
    assert_none(fixture, &problems);
}

/// The files of `b` that are missing from `a` or have different content there.
fn changed(a: &Path, b: &Path) -> BTreeSet<String> {
    let a = files_below(a);
    let b = files_below(b).into_iter();
    b.filter(|(path, bytes)| a.get(path) != Some(bytes))
        .map(|(path, _)| path)
        .collect()
}

fn requests(visit: &Visit) -> impl Iterator<Item = &Request> {
    visit.pages.iter().flat_map(|page| &page.requests)
}

fn report(figures: &mut String, case: &Case, returned: &Returned) {
    let _ = writeln!(figures, "{}", case.name);
    for (name, visit) in [("first visit", &returned.before), ("coming back", &returned.after)] {
        let bytes: f64 = requests(visit).map(|request| request.bytes).sum();
        let full: f64 = requests(visit)
            .filter(|request| request.is_full())
            .map(|request| request.bytes)
            .sum();
        let from = |source| requests(visit).filter(|request| request.from == source).count();
        let _ = writeln!(
            figures,
            "  {name}: {bytes:.0} bytes, {full:.0} of them whole files; {} requests: {} by the server, {} confirmed, {} from disk, {} from memory",
            requests(visit).count(),
            from(Source::Network),
            from(Source::Validated),
            from(Source::Disk),
            from(Source::Memory),
        );
    }
    for (file, bytes) in &returned.downloaded {
        let _ = writeln!(figures, "    {bytes:.0} {file}");
    }
}

//! Tabs that stay open while releases come and go.

use std::fmt::Write as _;
use std::fs;

use super::site::{Features, Page, Site, differences, pages};
use super::variants::Copy;
use super::{Fixture, assert_none};
use crate::support::browser::{Browser, Tab, artifacts};

/// Numbers of publishes after which the tabs of the first release are tried.
const PUBLISHES: [usize; 3] = [1, 2, 10];

/// Links that are followed in one tab. More than one, because the page after the first link comes from the new release.
const CLICKS: usize = 3;

/// The tabs of one release, opened before it is replaced.
struct Tabs<'a> {
    fixture: &'a Fixture,
    base: String,
    paths: Vec<String>,
    lazy: Option<String>,
    problems: Vec<String>,
    /// What the tabs did, for information.
    figures: String,
}

pub fn assert_tabs_go_on(browser: &mut Browser, fixture: &Fixture) {
    let export = fixture.folder();
    let pages = pages(fixture, &export);
    let mut site = Site::new("tabs", Features::Default);
    site.publish(&export);
    let mut tabs = Tabs::new(fixture, &site, &pages);
    for publishes in PUBLISHES {
        tabs.open(browser, &format!("after-{publishes}"));
    }
    let mut releases = Vec::new();
    for release in 1..=PUBLISHES[PUBLISHES.len() - 1] {
        let mut next = Copy::of(&export);
        next.rename_chunks(release);
        // With the same build ID a tab continues with the new code; with another one, Next.js loads the page again.
        if release > 1 {
            next.rebuild(release);
        }
        releases.push(site.publish(&next.path).0);
        if PUBLISHES.contains(&release) {
            tabs.go_on(browser, &format!("after-{release}"), release);
        }
    }
    tabs.open(browser, "rolled-back");
    // The very first release is pruned by now, but its tabs still work.
    site.roll_back_to(&releases[0]);
    tabs.go_on(browser, "rolled-back", 0);
    fs::write(
        artifacts(&format!("{}-tabs", fixture.name())).join("figures.txt"),
        &tabs.figures,
    )
    .unwrap();
    assert_none(fixture, &tabs.problems);
}

impl<'a> Tabs<'a> {
    fn new(fixture: &'a Fixture, site: &Site, pages: &[Page]) -> Self {
        let lazy = fixture.lazy.map(|file| {
            let page = pages.iter().find(|page| page.file == file);
            page.unwrap_or_else(|| panic!("{file} is a page")).path.clone()
        });
        Tabs {
            fixture,
            base: site.base(),
            paths: pages.iter().map(|page| page.path.clone()).collect(),
            lazy,
            problems: Vec::new(),
            figures: String::new(),
        }
    }

    /// Opens a tab for each later action.
    fn open(&mut self, browser: &mut Browser, when: &str) {
        let mut open = |what: &str, path: &str| {
            let name = format!("{when}-{what}");
            let tab = browser.open(&name, &format!("{}{path}", self.base));
            note(&mut self.problems, &name, &tab);
        };
        open("links", &self.paths[0]);
        if let Some(path) = &self.lazy {
            open("button", path);
        }
        if self.fixture.search.is_some() {
            open("search", &self.paths[0]);
        }
    }

    /// Performs the visitors' actions in the tabs, and closes them.
    fn go_on(&mut self, browser: &mut Browser, when: &str, turn: usize) {
        let name = format!("{when}-links");
        let tab = browser.wander(&name, &self.paths, CLICKS, turn);
        note(&mut self.problems, &name, &tab);
        browser.close(&name);
        for went in tab.went {
            let how = if went.soft { "in the same document" } else { "by a load" };
            let new = if went.is_new { "" } else { ", prefetched before" };
            let _ = writeln!(self.figures, "{name}: to {} {how}{new}", went.to);
            let fresh = browser.open("fresh", &format!("{}{}", self.base, went.to));
            note(&mut self.problems, &went.to, &fresh);
            browser.close("fresh");
            let fresh = fresh.seen.map_or(vec!["can't be loaded".to_owned()], |seen| {
                differences(&seen, &went.seen)
            });
            self.problems
                .extend(fresh.iter().map(|what| format!("{name} at {}: {what}", went.to)));
        }
        if self.lazy.is_some() {
            let name = format!("{when}-button");
            let tab = browser.press(&name);
            note(&mut self.problems, &name, &tab);
            if !tab.presses.iter().any(|press| !press.asked.is_empty()) {
                self.problems.push(format!("{name}: no button asks for code"));
            }
            for press in tab.presses {
                let _ = writeln!(self.figures, "{name}: {:?} asked for {:?}", press.button, press.asked);
            }
            browser.close(&name);
        }
        if let Some(word) = self.fixture.search {
            let name = format!("{when}-search");
            note(&mut self.problems, &name, &browser.find(&name, word));
            browser.close(&name);
        }
    }
}

/// Records the problems of a tab.
fn note(problems: &mut Vec<String>, name: &str, tab: &Tab) {
    let picture = tab
        .picture
        .as_ref()
        .map_or(String::new(), |file| format!(" (see {})", file.display()));
    // The Pages Router requests page data by its own build ID. If another build is live it gets a 404, concludes that
    // the code has changed, too, and loads the page. The browser logs the 404, which is not a problem.
    let is_word = |problem: &&String| problem.contains("404") && problem.contains("/_next/data/");
    let problems_of_tab = tab.problems.iter().filter(|problem| !is_word(problem));
    problems.extend(problems_of_tab.map(|problem| format!("{name}: {problem}{picture}")));
    if !matches!(tab.status, None | Some(200)) {
        problems.push(format!("{name}: status {:?}", tab.status));
    }
}

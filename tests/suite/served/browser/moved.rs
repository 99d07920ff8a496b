//! Clicks on links to pages that moved, in tabs of the release in which they had not. Next.js's client asks for the
//! payload of the old address, which the live release does not have, and must end on the page that the redirect leads to.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::site::{Features, Site};
use crate::offline::faithful::version;
use crate::served::preview;
use crate::support::browser::Browser;
use crate::support::command::{Project, open_tempdir, write};
use crate::support::export;
use crate::support::http::Request;

/// Of each router the oldest and the newest version, and those that prefetch in another way.
const VERSIONS: [&str; 7] = [
    "13.5-app",
    "13.5-pages",
    "15.3-segments",
    "16.0-app",
    "16.4-app",
    "16.4-pages",
    "16.4-deployment",
];

/// Links to the page that moved stay in the site.
const CHECK: &str = "[check]\nmoved = \"off\"\nallow = [\"**\"]\n";

/// Removes a page of an export with everything of it.
fn remove_page(export: &Path, page: &str) {
    for end in [".html", ".txt"] {
        let _ = fs::remove_file(export.join(format!("{page}{end}")));
    }
    let _ = fs::remove_dir_all(export.join(page));
    for entry in walkdir::WalkDir::new(export.join("_next/data")) {
        let data = entry
            .ok()
            .filter(|entry| entry.path().ends_with(format!("{page}.json")));
        data.map_or(Ok(()), |data| fs::remove_file(data.path())).unwrap();
    }
    assert!(!export.join(format!("{page}.html")).exists());
}

/// Moves `/about` to `/guide`.
fn move_about(export: &Path) {
    remove_page(export, "about");
    write(&export.join("_redirects"), "/about /guide 308\n");
}

/// What a reader takes the page for.
const HEADING: &str = "(document.querySelector('h1')?.textContent ?? document.title)";

/// Whether a tab is at this address, with the page that is there now.
fn is_at(browser: &mut Browser, base: &str, address: &str) -> String {
    browser.load("fresh", &format!("{base}{address}"));
    let heading = browser.evaluate("fresh", HEADING);
    browser.leave("fresh");
    format!("(location.pathname + location.search === {address:?} && {HEADING} === {heading})")
}

#[test]
fn clicks_in_tabs_of_the_former_release_end_where_the_redirect_leads() {
    let mut browser = Browser::start("moved");
    for name in VERSIONS {
        let build = version(name);
        let before = build.build("first");
        let folder = open_tempdir();
        let after = folder.path().join("after");
        export::copy(&before, &after);
        move_about(&after);
        let mut site = Site::new("moved", Features::Default);
        site.more = CHECK;
        site.publish(&before);
        let base = site.base();
        for tab in ["clicks", "prefetches", "prefetched"] {
            browser.load(tab, &base);
        }
        let (old, new) = (
            is_at(&mut browser, &base, "/about"),
            is_at(&mut browser, &base, "/guide"),
        );
        browser.prefetch("prefetched");
        site.publish(&after);
        browser.prefetch("prefetches");
        for tab in ["clicks", "prefetches"] {
            browser.click(tab, "a[href='/about']");
            browser.until(tab, &new);
        }
        // What a tab has got already is the page of its own release.
        browser.click("prefetched", "a[href='/about']");
        browser.until("prefetched", &format!("{old} || {new}"));
        for tab in ["clicks", "prefetches", "prefetched"] {
            browser.leave(tab);
        }
    }
}

#[test]
fn clicks_in_a_tab_of_the_preview_end_where_the_redirect_leads() {
    let mut browser = Browser::start("moved-preview");
    for name in ["16.4-app", "16.4-pages"] {
        let project = Project::new();
        let out = project.dir.join("out");
        export::copy(&version(name).build("first"), &out);
        project.write_manifest(CHECK);
        let (_watch, server) = preview::preview(&project, &[]);
        let base = format!("http://{server}");
        let new = is_at(&mut browser, &base, "/guide");
        browser.load("tab", &base);
        move_about(&out);
        let began = Instant::now();
        while Request::get("/about").send(server).status != 308 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the preview never shows the change"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        browser.click("tab", "a[href='/about']");
        browser.until("tab", &new);
        browser.leave("tab");
    }
}

#[test]
fn a_pattern_leads_clicks_by_the_address_of_the_page() {
    let mut browser = Browser::start("moved-patterns");
    let folder = open_tempdir();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    for export in [&before, &after] {
        export::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/export"), export);
        write(&export.join("_redirects"), "/docs/guides/* /fees?from=:splat 308\n");
    }
    remove_page(&after, "docs/guides/market-data");
    let mut site = Site::new("moved", Features::Default);
    site.more = CHECK;
    site.publish(&before);
    let base = site.base();
    for tab in ["clicks", "prefetches"] {
        browser.load(tab, &format!("{base}/docs/guides"));
    }
    site.publish(&after);
    browser.prefetch("prefetches");
    let new = is_at(&mut browser, &base, "/fees?from=market-data");
    for tab in ["clicks", "prefetches"] {
        browser.click(tab, "a[href='/docs/guides/market-data']");
        browser.until(tab, &new);
        browser.leave(tab);
    }
}

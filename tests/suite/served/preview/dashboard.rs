//! The dashboard, in Chromium.

use std::path::Path;

use serde_json::Value;

use super::{copy, fixture, preview};
use crate::support::browser::Browser;
use crate::support::command::{Project, Running};

const READY: &str = "document.documentElement.dataset.ready === 'yes'";

/// A preview of the fixture, with a release on the target and an unpublished change.
fn start() -> (Project, Running, String) {
    let project = Project::new();
    copy(&fixture("export"), &project.dir.join("out"));
    project.write_manifest("[publish]\ntarget = \"box\"\n[targets.box]\nkind = \"local\"\ndocroot = \"docroot\"\n");
    project.run(&["publish"]).expect_code(0);
    project.write(
        "out/new.html",
        "<!doctype html><title>new</title><a href=\"/docs#nowhere\">new</a>",
    );
    project.run(&["publish"]).expect_code(0);
    project.write("out/newer.html", "<!doctype html><title>newer</title>");
    let (watch, address) = preview(&project, &[]);
    let url = format!("http://127.0.0.1:{}/__syntax/", address.port());
    (project, watch, url)
}

fn text_of(browser: &mut Browser, selector: &str) -> String {
    let text = browser.evaluate("tab", &format!("document.querySelector('{selector}').textContent"));
    text.as_str().unwrap().to_owned()
}

#[test]
fn the_dashboard_shows_the_site_and_asks_the_target_on_request() {
    let (project, _watch, url) = start();
    let mut browser = Browser::start("dashboard");
    browser.watch("tab", &url);
    browser.until("tab", READY);
    assert_eq!(browser.evaluate("tab", "document.title"), "site – preview");
    let sections = "[...document.querySelectorAll('main h2')].map((heading) => heading.textContent)";
    assert_eq!(
        browser.evaluate("tab", sections),
        serde_json::json!(["Findings", "What a publish would change", "Sizes", "Releases", "Builds"]),
        "findings come first where there are any"
    );
    // Every file is compressed on its own, and the totals include all of them.
    browser.until("tab", "!document.querySelector('#totals').textContent.includes('…')");
    assert!(text_of(&mut browser, "#sizes-note").contains("brotli 4, gzip 6"));
    assert!(text_of(&mut browser, "#sizes-note").contains("A publish uses brotli 11 and gzip 9"));
    assert!(text_of(&mut browser, "#findings-list").contains("anchors"));
    assert!(text_of(&mut browser, "#times-list").contains("preparing the preview"));
    let tiles = browser.evaluate("tab", "document.querySelectorAll('#treemap button').length");
    assert!(tiles.as_u64().unwrap() > 20, "{tiles}");

    assert_eq!(text_of(&mut browser, "#plan-asked"), "Not compared yet.");
    browser.click("tab", "#ask-plan");
    browser.until(
        "tab",
        "document.querySelector('#plan-answer').textContent.includes('/newer')",
    );
    assert!(text_of(&mut browser, "#plan-answer").contains("On box: 1 page added. To upload: at most "));
    assert!(text_of(&mut browser, "#plan-asked").starts_with("As of "));
    browser.click("tab", "#ask-releases");
    browser.until(
        "tab",
        "document.querySelectorAll('#releases-answer tbody tr').length === 2",
    );
    let rollback = text_of(&mut browser, "#releases-answer tbody tr:nth-child(2)");
    assert!(rollback.contains("syntax-publish rollback --to "), "{rollback}");
    browser.click("tab", "#releases-answer button");
    browser.until(
        "tab",
        "document.querySelector('#releases-answer').textContent.includes('copied')",
    );
    let copied = browser.evaluate("tab", "navigator.clipboard.readText()");
    let former = copied
        .as_str()
        .unwrap()
        .strip_prefix("syntax-publish rollback --to ")
        .unwrap()
        .to_owned();
    project.run(&["rollback", "--to", &former]).expect_code(0);

    // The dashboard follows the site, and says which answers are outdated.
    project.write("out/newest.html", "<!doctype html><title>newest</title>");
    browser.until(
        "tab",
        "document.querySelector('#plan-asked').textContent.includes('The site has changed since then')",
    );
    let told = browser.told("tab");
    assert_eq!(told.problems, Vec::<String>::new());
    assert_eq!(
        told.origins,
        [url.trim_end_matches("/__syntax/")],
        "it asked nobody else"
    );
}

#[test]
fn the_treemap_is_used_with_the_keyboard_and_has_a_table() {
    let (_project, _watch, url) = start();
    let mut browser = Browser::start("dashboard-keys");
    browser.watch("tab", &url);
    browser.until("tab", READY);
    browser.until("tab", "!document.querySelector('#totals').textContent.includes('…')");
    let stops = browser.evaluate(
        "tab",
        "document.querySelectorAll('#treemap button[tabindex=\"0\"]').length",
    );
    assert_eq!(stops, 1, "one stop for the Tab key");
    browser.evaluate(
        "tab",
        "document.querySelector('#treemap button[tabindex=\"0\"]').focus()",
    );
    browser.key("tab", "ArrowRight");
    browser.key("tab", "ArrowRight");
    let name = browser.evaluate("tab", "document.activeElement.dataset.name");
    browser.key("tab", "Enter");
    let named = format!(
        "document.querySelector('#detail h3')?.textContent === '{}'",
        name.as_str().unwrap()
    );
    browser.until("tab", &named);
    assert!(text_of(&mut browser, "#detail").contains("This page makes a browser fetch"));
    let rows = browser.evaluate("tab", "document.querySelectorAll('#files tbody tr').length");
    let tiles = browser.evaluate("tab", "document.querySelectorAll('#treemap button').length");
    assert_eq!(rows, tiles);
    browser.evaluate(
        "tab",
        "void (document.querySelector('#view').value = 'assets', document.querySelector('#view').dispatchEvent(new Event('change')))",
    );
    assert!(text_of(&mut browser, "#files").contains(".woff2"));
}

#[test]
fn axe_finds_nothing_in_either_colour_scheme() {
    let (_project, _watch, url) = start();
    let mut browser = Browser::start("dashboard-axe");
    browser.watch("tab", &url);
    browser.until("tab", READY);
    browser.until("tab", "!document.querySelector('#totals').textContent.includes('…')");
    browser.evaluate("tab", "void (document.querySelector('#table-of-sizes').open = true)");
    browser.click("tab", "#ask-plan");
    browser.until("tab", "document.querySelector('#plan-answer').textContent !== ''");
    browser.click("tab", "#ask-releases");
    browser.until("tab", "document.querySelector('#releases-answer').textContent !== ''");
    for scheme in ["light", "dark"] {
        let found = browser.axe("tab", scheme, &Value::Null);
        assert_eq!(found.violations, Vec::<String>::new(), "{scheme}");
        assert!(found.passes > 20, "{found:?}");
    }
}

#[test]
fn the_dashboard_fits_a_phone_and_its_anchors_lead_there() {
    let (project, _watch, url) = start();
    // Far enough down that a page that does not scroll can't show it by chance.
    for page in 0..30 {
        project.write(
            format!("out/p{page}.html"),
            "<!doctype html><title>p</title><a href=\"/docs#nowhere\">x</a>",
        );
    }
    let mut browser = Browser::start("dashboard-phone");
    browser.watch("tab", &format!("{url}#releases"));
    browser.until("tab", READY);
    browser.until(
        "tab",
        "document.querySelector('#findings-list').textContent.includes('#nowhere')",
    );
    let rows = "[...document.querySelectorAll('#findings-list tbody tr')].filter((row) => row.textContent.includes('#nowhere')).length";
    assert_eq!(browser.evaluate("tab", rows), 1, "one fix, one row");
    browser.until(
        "tab",
        "Math.abs(document.querySelector('#releases').getBoundingClientRect().top) < innerHeight",
    );
    browser.evaluate("tab", "void (document.documentElement.style.width = '320px')");
    let wide = "[...document.querySelectorAll('main *')].filter((element) => !element.closest('.scroll, #treemap') && element.getBoundingClientRect().right > 321).map((element) => element.outerHTML.slice(0, 80))";
    assert_eq!(browser.evaluate("tab", wide), serde_json::json!([]));
}

#[test]
#[ignore = "writes docs/dashboard.png: just screenshot"]
fn screenshot() {
    let (_project, _watch, url) = start();
    let mut browser = Browser::start("screenshot");
    browser.watch("tab", &url);
    browser.until("tab", READY);
    browser.until("tab", "!document.querySelector('#totals').textContent.includes('…')");
    browser.click("tab", "#ask-plan");
    browser.until("tab", "document.querySelector('#plan-answer').textContent !== ''");
    browser.evaluate("tab", "document.activeElement.blur()");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dashboard.png");
    browser.picture("tab", "light", &file);
}

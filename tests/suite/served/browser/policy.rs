//! Pages under a content security policy that is enforced: nothing of theirs is blocked, and nothing else runs.

use std::collections::BTreeMap;
use std::fs;

use super::site::{Features, Site, pages};
use super::{Fixture, assert_none, survey};
use crate::offline::faithful::version;
use crate::support::browser::Browser;
use crate::support::command::{open_tempdir, write};
use crate::support::nginx::{LISTEN, Nginx};

const ENFORCED: &str = "[csp]\nmode = \"enforce\"\n";

/// Publishes an export with a policy. Every page works, and the browser complains of nothing.
pub fn assert_nothing_is_blocked(browser: &mut Browser, fixture: &Fixture) {
    let export = fixture.folder();
    let pages = pages(fixture, &export);
    let mut site = Site::new("policy", Features::Default);
    site.more = ENFORCED;
    site.publish(&export);
    let policies = site.live().into_iter().filter(|(file, _)| file.ends_with(".html"));
    for (file, page) in policies {
        let page = String::from_utf8(page).unwrap();
        let is_part = !page.contains("<head");
        assert!(
            is_part || page.contains("<meta http-equiv=\"Content-Security-Policy\""),
            "{file}"
        );
    }
    let found = browser.survey(survey::order(&site, fixture, &pages, "glance", &BTreeMap::new()));
    assert_none(fixture, &survey::problems("with a policy", &found));
}

/// Reports what the browser blocks, and tries to run code.
const ATTACK: &str = "window.blocked = [];
    document.addEventListener('securitypolicyviolation', (event) => window.blocked.push(event.violatedDirective));
    const script = document.createElement('script');
    script.textContent = 'window.planted = true';
    document.body.append(script);
    const holder = document.createElement('div');
    holder.innerHTML = '<img src=\"data:,\" onerror=\"window.planted = true\">';
    document.body.append(holder);
    true";

#[test]
fn code_that_was_planted_does_not_run() {
    let mut browser = Browser::start("planted");
    let mut site = Site::new("planted", Features::Default);
    site.more = ENFORCED;
    let build = version("16.4-app");
    site.publish(&build.build("first"));
    browser.load("tab", &site.base());
    browser.evaluate("tab", ATTACK);
    browser.until("tab", "window.blocked.includes('script-src-attr')");
    assert_eq!(
        browser.evaluate("tab", "[window.planted ?? null, window.blocked.sort()]"),
        serde_json::json!([null, ["script-src-attr", "script-src-elem"]])
    );
    browser.leave("tab");
    // The same in the file, as a server that was broken into would send it.
    let folder = open_tempdir();
    for (path, bytes) in site.live() {
        write(&folder.path().join(path), bytes);
    }
    let index = folder.path().join("index.html");
    let page = fs::read_to_string(&index).unwrap();
    let planted = page.replace("</body>", "<script>window.planted = true</script></body>");
    assert_ne!(page, planted);
    fs::write(&index, planted).unwrap();
    let vhost = format!(
        "server {{ listen {LISTEN}; root {}; types {{ text/html html; text/javascript js; text/css css; }} }}",
        folder.path().display()
    );
    let nginx = Nginx::start(&vhost);
    browser.load("file", &format!("http://{}/", nginx.address()));
    assert_eq!(
        browser.evaluate("file", "window.planted ?? null"),
        serde_json::Value::Null
    );
    browser.leave("file");
}

/// The scripts of `next/script` and `next/head` run, on the first page and after a click, under the policy of either.
#[test]
fn scripts_of_pages_run_as_they_do_without_a_policy() {
    let mut browser = Browser::start("scripts");
    for name in ["14.2-scripts", "16.4-scripts", "16.4-pages-scripts"] {
        let build = version(name);
        let mut seen = Vec::new();
        for more in ["", ENFORCED] {
            let mut site = Site::new("scripts", Features::Default);
            site.more = more;
            site.publish(&build.build("first"));
            let flags = |browser: &mut Browser, tab: &str| {
                let last = if name.contains("pages") { "head" } else { "lazy" };
                browser.until(tab, &format!("window.flags?.includes('{last}')"));
                browser.evaluate(tab, "[document.documentElement.dataset.tide, window.flags.sort()]")
            };
            browser.load("first", &format!("{}/scripts", site.base()));
            let first = flags(&mut browser, "first");
            browser.load("clicked", &site.base());
            let go = if name.contains("pages") {
                "window.next.router.push('/scripts')"
            } else {
                "document.querySelector('a[href=\"/scripts\"]').click()"
            };
            browser.evaluate("clicked", &format!("window.here = true; {go}; true"));
            let clicked = flags(&mut browser, "clicked");
            assert_eq!(
                browser.evaluate("clicked", "window.here"),
                true,
                "{name}: another document"
            );
            for tab in ["first", "clicked"] {
                browser.leave(tab);
            }
            seen.push((first, clicked));
        }
        assert_eq!(seen[0], seen[1], "{name}");
    }
}

//! How open pages react when the site changes, in Chromium, without any input from the user.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{copy, fixture, preview};
use crate::support::browser::Browser;
use crate::support::command::{Project, Running};

/// A site of two tall pages and two style sheets: one that gets a copy, and one that keeps its name.
fn site(manifest: &str) -> Project {
    let project = Project::new();
    let page = |name: &str, text: &str| write_page(&project, name, text);
    page("index.html", "front");
    page("404.html", "nothing here");
    page("a.html", "this is a");
    page("b.html", "this is b");
    project.write("out/sheet.css", "h1 { color: rgb(1, 1, 1) }");
    project.write("out/plain.css", "p { color: rgb(1, 1, 1) }");
    project.write_manifest(&format!(
        "[fingerprint]\nexclude = [\"plain.css\"]\n[check]\nnext = \"off\"\n{manifest}"
    ));
    project
}

fn write_page(project: &Project, name: &str, text: &str) {
    let filler = "<p>and so on</p>".repeat(200);
    project.write(
        Path::new("out").join(name),
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title>\
             <link rel=\"icon\" href=\"data:,\">\
             <link rel=\"stylesheet\" href=\"/sheet.css\"><link rel=\"stylesheet\" href=\"/plain.css\"></head>\
             <body><h1>{text}</h1>{filler}</body></html>"
        ),
    );
}

/// Starts the preview. Returns its URL.
fn start(project: &Project, args: &[&str]) -> (Running, String) {
    let (watch, address) = preview(project, args);
    (watch, format!("http://127.0.0.1:{}", address.port()))
}

const MARK: &str = "void (window.marked = true)";
const IS_MARKED: &str = "window.marked === true";
const HAS_ASKED: &str = "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/api/affected'))";
const PANEL: &str = "document.querySelector('syntax-preview')?.shadowRoot.querySelector('.panel')";

fn heading_is(text: &str) -> String {
    format!("document.querySelector('h1').textContent === '{text}'")
}

fn color_is(element: &str, color: &str) -> String {
    format!("getComputedStyle(document.querySelector('{element}')).color === '{color}'")
}

#[test]
fn an_edit_is_on_screen_by_itself_where_the_reader_was_and_on_no_other_page() {
    let project = site("");
    let (_watch, url) = start(&project, &[]);
    let mut browser = Browser::start("live");
    browser.watch("a", &format!("{url}/a"));
    browser.watch("b", &format!("{url}/b"));
    for tab in ["a", "b"] {
        browser.evaluate(tab, MARK);
    }
    browser.evaluate("a", "scrollTo(0, 1234)");
    write_page(&project, "a.html", "this is new");
    browser.until("a", &heading_is("this is new"));
    assert_eq!(browser.evaluate("a", IS_MARKED), false, "it was loaded anew");
    browser.until("a", "scrollY === 1234");
    browser.until("b", HAS_ASKED);
    assert_eq!(browser.evaluate("b", IS_MARKED), true, "it was not");

    // The scroll position is restored even if the page forbids the browser to restore it.
    browser.evaluate("a", "void (history.scrollRestoration = 'manual')");
    browser.evaluate("a", "scrollTo(0, 777)");
    write_page(&project, "a.html", "this is newer");
    browser.until("a", &heading_is("this is newer"));
    browser.until("a", "scrollY === 777");
    // Once the page is removed, its address shows the page for missing files.
    fs::remove_file(project.dir.join("out/a.html")).unwrap();
    browser.until("a", &heading_is("nothing here"));
    write_page(&project, "a.html", "it is back");
    browser.until("a", &heading_is("it is back"));
    assert_eq!(browser.evaluate("b", IS_MARKED), true);
}

#[test]
fn a_style_sheet_is_swapped_and_the_page_is_not_loaded_again() {
    let project = site("");
    let (_watch, url) = start(&project, &[]);
    let mut browser = Browser::start("live-styles");
    browser.watch("a", &format!("{url}/a"));
    browser.evaluate("a", MARK);
    let linked = "[...document.querySelectorAll('link[rel=stylesheet]')].map((link) => link.getAttribute('href'))";
    let before = browser.evaluate("a", linked);
    assert!(before[0].as_str().unwrap().starts_with("/sheet.css?v="), "{before}");
    // The address of the style sheet gets another fingerprint, so the file of the page changes, too.
    for color in ["rgb(2, 2, 2)", "rgb(3, 3, 3)"] {
        project.write("out/sheet.css", format!("h1 {{ color: {color} }}"));
        browser.until("a", &color_is("h1", color));
    }
    for color in ["rgb(4, 4, 4)", "rgb(5, 5, 5)"] {
        project.write("out/plain.css", format!("p {{ color: {color} }}"));
        browser.until("a", &color_is("p", color));
    }
    browser.until("a", "document.querySelectorAll('link[rel=stylesheet]').length === 2");
    assert_eq!(browser.evaluate("a", IS_MARKED), true);
    assert_ne!(browser.evaluate("a", linked)[0], before[0]);
    assert_eq!(browser.told("a").problems, Vec::<String>::new());
    // A swapped style sheet stays swapped when the page is loaded again for another reason.
    write_page(&project, "a.html", "with a word more");
    browser.until("a", &heading_is("with a word more"));
    browser.until("a", &color_is("h1", "rgb(3, 3, 3)"));
    browser.until("a", &color_is("p", "rgb(5, 5, 5)"));
}

#[test]
fn pages_of_next_go_on_with_their_router_and_get_a_new_style_sheet_without_a_load() {
    let project = Project::new();
    let out = project.dir.join("out");
    copy(&fixture("export"), &out);
    project.write_manifest("[check]\nallow = [\"**\"]\n");
    let (_watch, url) = start(&project, &[]);
    let mut browser = Browser::start("live-next");
    browser.watch("tab", &format!("{url}/docs"));
    browser.evaluate("tab", MARK);
    let hydrated = "Object.keys(document.querySelector('a')).some((key) => key.startsWith('__reactFiber$'))";
    browser.until("tab", hydrated);

    // As a build does it: another name for the style sheet, in every file that refers to it.
    let chunks = out.join("_next/static/chunks");
    let sheets = fs::read_dir(&chunks).unwrap().map(|entry| entry.unwrap().path());
    let sheet = sheets.filter(|path| path.extension().is_some_and(|is| is == "css"));
    let html = fs::read_to_string(out.join("docs.html")).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let sheet = sheet.into_iter().find(|path| html.contains(&name(path))).unwrap();
    let (old, new) = (name(&sheet), "another0name00.css");
    let mut css = fs::read_to_string(&sheet).unwrap();
    css.push_str("\nh1 { color: rgb(9, 8, 7) !important }\n");
    fs::write(chunks.join(new), css).unwrap();
    edit(&out, &|text| text.replace(&old, new));
    fs::remove_file(&sheet).unwrap();
    browser.until("tab", &color_is("h1", "rgb(9, 8, 7)"));
    assert_eq!(browser.evaluate("tab", IS_MARKED), true);

    // After a click, the page on screen is not the one of the document any more.
    browser.watch("soft", &format!("{url}/docs"));
    browser.until("soft", hydrated);
    browser.evaluate("soft", MARK);
    browser.evaluate("soft", "void document.querySelector('a[href=\"/fees\"]').click()");
    browser.until(
        "soft",
        "location.pathname === '/fees' && document.title.startsWith('Fees')",
    );
    assert_eq!(browser.evaluate("soft", IS_MARKED), true, "the router took it there");
    let before = fs::read_to_string(out.join("docs.html")).unwrap();
    fs::write(
        out.join("docs.html"),
        before.replace("</body>", "<!-- other --></body>"),
    )
    .unwrap();
    browser.until("soft", HAS_ASKED);
    assert_eq!(
        browser.evaluate("soft", IS_MARKED),
        true,
        "its document is not on screen any more"
    );
    for place in ["fees.html", "fees.txt", "fees"] {
        edit(&out.join(place), &|text| {
            text.replace("Who is the maker", "Who was the maker")
        });
    }
    browser.until("soft", "document.body.innerText.includes('Who was the maker')");
    assert_eq!(browser.evaluate("soft", IS_MARKED), false);
    for tab in ["tab", "soft"] {
        assert_eq!(browser.told(tab).problems, Vec::<String>::new(), "{tab}");
    }
}

/// Changes every text file below a path of the export.
fn edit(place: &Path, change: &dyn Fn(&str) -> String) {
    for entry in walkdir::WalkDir::new(place) {
        let path = entry.unwrap().into_path();
        let is_text = path.extension().is_some_and(|is| is == "html" || is == "txt");
        if is_text && path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            let changed = change(&text);
            if changed != text {
                fs::write(&path, changed).unwrap();
            }
        }
    }
}

#[test]
fn what_is_wrong_is_shown_over_the_page_until_it_is_fixed() {
    let project = site("");
    let (_watch, url) = start(&project, &[]);
    let mut browser = Browser::start("live-overlay");
    browser.watch("a", &format!("{url}/a"));
    write_page(&project, "b.html", "<a href=\"/gone\">gone</a>");
    browser.until("a", &format!("{PANEL}?.textContent.includes('/gone')"));
    let said = browser.evaluate("a", &format!("{PANEL}.textContent"));
    let said = said.as_str().unwrap();
    assert!(
        said.contains("1 error") && said.contains("b.html:1") && said.contains("(links)"),
        "{said}"
    );
    assert_eq!(
        browser.evaluate("a", "document.activeElement === document.body"),
        true,
        "it takes nothing away"
    );
    for scheme in ["light", "dark"] {
        let found = browser.axe("a", scheme, &json!({ "include": [["syntax-preview"]] }));
        assert_eq!(found.violations, Vec::<String>::new(), "{scheme}");
        assert!(found.passes > 3, "{found:?}");
    }
    // A screen reader announces the number of errors, and not all of their text.
    let status = "document.querySelector('syntax-preview').shadowRoot.querySelectorAll('[role=status], [aria-live]')";
    browser.until("a", &format!("{status}[0].textContent === '1 error'"));
    assert_eq!(browser.evaluate("a", &format!("{status}.length")), 1);
    // The key works wherever the focus is, unless the page handles the key itself.
    let own = "event => event.preventDefault()";
    browser.evaluate(
        "a",
        &format!("void document.body.addEventListener('keydown', {own}, {{ once: true }})"),
    );
    browser.key("a", "Escape");
    assert_eq!(browser.evaluate("a", &format!("Boolean({PANEL})")), true);
    browser.key("a", "Escape");
    browser.until("a", &format!("!{PANEL}"));
    let badge = "document.querySelector('syntax-preview').shadowRoot.querySelector('.badge')";
    browser.until("a", &format!("{badge}.textContent === '1 error'"));
    // With the keyboard only: the panel is opened again, and is the last tab stop of a page that was just loaded.
    browser.key("a", "Enter");
    browser.until("a", &format!("Boolean({PANEL})"));
    browser.watch("b", &format!("{url}/b"));
    browser.until("b", &format!("Boolean({PANEL})"));
    browser.key("b", "Shift+Tab");
    browser.until("b", "document.activeElement.localName === 'syntax-preview'");
    browser.click("a", "syntax-preview .close");
    write_page(&project, "b.html", "mended");
    browser.until("a", "!document.querySelector('syntax-preview')");
    // A warning is shown as a badge only.
    write_page(&project, "b.html", "<a href=\"/a#nowhere\">nowhere</a>");
    browser.until("a", &format!("{badge}.textContent === '1 warning'"));
    assert_eq!(browser.evaluate("a", &format!("Boolean({PANEL})")), false);
    assert_eq!(browser.told("a").problems, Vec::<String>::new());
}

#[test]
fn a_build_that_fails_is_shown_with_its_output_and_the_old_site_stays() {
    let project = site("[watch]\ncommand = [\"sh\", \"build.sh\"]\npaths = [\"word\"]\n");
    // The file is replaced atomically. Otherwise a build could see half of it and run twice.
    let say = |word: &str| {
        let whole = project.write("word.new", word);
        fs::rename(whole, project.dir.join("word")).unwrap();
    };
    say("first");
    project.write(
        "build.sh",
        "if grep -q broken word; then echo 'word:1: this is broken' >&2; exit 3; fi\n\
         sed \"s/this is a/this is $(cat word)/\" template > made && mv made out/a.html\n",
    );
    fs::copy(project.dir.join("out/a.html"), project.dir.join("template")).unwrap();
    let (_watch, url) = start(&project, &[]);
    let mut browser = Browser::start("live-build");
    browser.watch("a", &format!("{url}/a"));
    browser.until("a", &heading_is("this is first"));
    browser.evaluate("a", MARK);
    say("broken");
    browser.until("a", &format!("{PANEL}?.textContent.includes('word:1: this is broken')"));
    let said = browser.evaluate("a", &format!("{PANEL}.textContent"));
    assert!(said.as_str().unwrap().contains("The build failed"), "{said}");
    assert_eq!(browser.evaluate("a", &heading_is("this is first")), true);
    assert_eq!(browser.evaluate("a", IS_MARKED), true);
    say("mended");
    browser.until("a", &heading_is("this is mended"));
    browser.until("a", "!document.querySelector('syntax-preview')");
}

#[test]
fn a_page_whose_file_is_gone_for_a_moment_comes_back_by_itself() {
    let project = site("");
    // The page may be still served, gone, or back when it is requested. The reader never has to do anything.
    let (_watch, url) = start(&project, &["--poll"]);
    let file = project.dir.join("out/b.html");
    let mut browser = Browser::start("live-gone");
    let text = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    browser.watch("b", &format!("{url}/b"));
    fs::write(&file, text).unwrap();
    browser.until("b", &heading_is("this is b"));
}

#[test]
fn a_page_that_was_opened_too_early_shows_the_site_when_there_is_one() {
    let project = site("");
    let out = project.dir.join("out");
    fs::rename(&out, project.dir.join("later")).unwrap();
    let watch = super::start(&project, &[]);
    let url = format!("http://127.0.0.1:{}", super::address(&watch).port());
    let mut browser = Browser::start("live-early");
    browser.watch("a", &format!("{url}/a"));
    browser.until("a", &heading_is("No site yet"));
    fs::rename(project.dir.join("later"), &out).unwrap();
    browser.until("a", &heading_is("this is a"));
}

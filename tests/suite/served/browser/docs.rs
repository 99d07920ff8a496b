//! The documentation's own site, as `tests/run` built it: one more real site, by a generator for Next.js.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::command::Project;
use crate::support::export::{copy, files_below, replaced};
use crate::support::http::Request;
use crate::support::nginx::Nginx;

/// A text of one page, and another.
const TEXT: (&str, &str) = ("Change one page, and build again", "Change a page, and build again");

/// A project with the site, as its own site manifest publishes it, but quickly. `None` if it is not built.
fn built() -> Option<Project> {
    let Some(export) = std::env::var_os("SYNTAX_PUBLISH_BUILT_DOCS").map(PathBuf::from) else {
        let skipped = "SYNTAX_PUBLISH_BUILT_DOCS is not set, tests/run sets it: a test is left out\n";
        std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
        return None;
    };
    let project = Project::new();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/site/site-manifest.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    project.write_manifest(&format!("{manifest}\n[encode]\nbrotli = 4\ngzip = 4\n"));
    copy(&export, &project.dir.join("out"));
    Some(project)
}

/// The addresses of the site's pages.
fn addresses(export: &Path) -> Vec<String> {
    let files = files_below(export).into_keys();
    let pages = files.filter_map(|file| file.strip_suffix(".html").map(str::to_owned));
    pages
        .filter(|page| !["404", "_not-found"].contains(&page.as_str()))
        .map(|page| {
            if page == "index" {
                "/".to_owned()
            } else {
                format!("/{page}")
            }
        })
        .collect()
}

/// Edits a text of the export wherever a build would have written it. Returns the files.
fn edit(export: &Path) -> BTreeSet<String> {
    let mut edited = BTreeSet::new();
    for (file, bytes) in files_below(export) {
        let new = replaced(&bytes, TEXT.0.as_bytes(), TEXT.1.as_bytes());
        if new != bytes {
            fs::write(export.join(&file), new).unwrap();
            edited.insert(file);
        }
    }
    edited
}

#[test]
fn the_documentation_is_published_read_searched_edited_and_rolled_back() {
    let Some(project) = built() else { return };
    let export = project.dir.join("out");
    let ask = |args: &[&str]| project.run(&[args, &["--json"]].concat()).expect_code(0).json();
    let checked = ask(&["check"]);
    assert_eq!(checked["problems"], json!([]), "{checked}");

    assert_eq!(ask(&["publish"])["swapped"], true);
    let docroot = project.dir.join("docroot");
    let nginx = Nginx::of(&project, &["--docroot", docroot.to_str().unwrap()]);
    let base = format!("http://{}", nginx.address());
    let pages = addresses(&export);
    assert!(pages.len() > 20, "{pages:?}");
    let mut browser = Browser::start("documentation");
    for page in &pages {
        let tab = browser.open("page", &format!("{base}{page}"));
        assert_eq!(tab.status, Some(200), "{page}");
        assert!(tab.problems.is_empty(), "{page}: {:?}", tab.problems);
        assert!(tab.seen.is_some_and(|seen| seen.heading.is_some()), "{page}");
        browser.close("page");
    }
    browser.open("search", &base);
    let tab = browser.find("search", "rollback");
    assert!(tab.problems.is_empty(), "{:?}", tab.problems);
    let found = tab.found.expect("a search");
    assert!(found.problems.is_empty() && found.first.is_some(), "{found:?}");
    browser.close("search");

    let edited = edit(&export);
    assert!(edited.contains("tutorial.html"), "{edited:?}");
    let published = ask(&["publish"]);
    let numbers = ["added", "changed", "removed"].map(|name| published[name].as_u64().unwrap());
    assert_eq!(numbers, [0, edited.len() as u64, 0], "{published}");
    let difference = ask(&["diff"]);
    let changes = difference["changes"].as_array().unwrap();
    let changed: BTreeSet<String> = changes
        .iter()
        .map(|change| change["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(changed, edited);
    // Each file, and its two encodings.
    assert!(
        published["objects_sent"].as_u64().unwrap() <= 3 * numbers[1],
        "{published}"
    );
    let shown = || {
        let page = Request::get("/tutorial").send(nginx.address()).body;
        String::from_utf8(page).unwrap().contains(TEXT.1)
    };
    assert!(shown());
    let rolled_back: Value = ask(&["rollback"]);
    assert_eq!(rolled_back["previous"], published["release"]);
    assert!(!shown());
}

//! What readers get, in a real browser: Chromium, over a real nginx with the vhost that the command
//! prints, over what the command published.
//!
//! Every page of every fixture is compared with the same page of the untouched export. A fixture is
//! one row of [`FIXTURES`]; what its pages are is read off the export. Figures and pictures of what
//! went wrong are left in `target/tmp/browser`.

mod returning;
mod site;
mod survey;
mod tabs;
mod variants;

use std::path::{Path, PathBuf};

use crate::support::browser::Browser;

/// Whether the command gives every build of the same code the same build id. Until it does, a rebuild
/// changes every page, and that is what the tests expect.
const STABLE_BUILD_ID: bool = true;

/// An export that is kept in the repository.
pub struct Fixture {
    /// The folder, below the repository's.
    pub export: &'static str,
    /// `basePath` of its configuration, or nothing.
    pub base: &'static str,
    /// How its pages are asked for.
    pub form: Form,
    /// A word that its search finds, if it has one.
    pub search: Option<&'static str>,
    /// A page with a button that asks for code, if it has one.
    pub lazy: Option<&'static str>,
}

/// How pages are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/docs/page`.
    Files,
    /// `/docs/page/`: `trailingSlash` of the configuration.
    #[expect(dead_code, reason = "no fixture of the table has it yet")]
    Folders,
}

const FIXTURES: &[Fixture] = &[Fixture {
    export: "fixtures/export",
    base: "",
    form: Form::Files,
    search: None,
    lazy: Some("playground.html"),
}];

impl Fixture {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.export)
    }

    /// A name for files.
    fn name(&self) -> String {
        self.export.replace('/', "-")
    }
}

#[test]
fn every_page_is_as_good_as_the_untouched_one() {
    for fixture in FIXTURES {
        let mut browser = Browser::start(&fixture.name());
        survey::assert_as_good(&mut browser, fixture);
    }
}

#[test]
fn reader_who_comes_back_downloads_only_what_changed() {
    for fixture in FIXTURES {
        let mut browser = Browser::start(&format!("{}-returning", fixture.name()));
        returning::assert_only_changes_are_downloaded(&mut browser, fixture);
    }
}

#[test]
#[ignore = "a dozen publishes and as many tabs take minutes: `just soak` runs it"]
fn open_tabs_go_on_after_publishes_and_a_rollback() {
    for fixture in FIXTURES {
        let mut browser = Browser::start(&format!("{}-tabs", fixture.name()));
        tabs::assert_tabs_go_on(&mut browser, fixture);
    }
}

/// Fails with every problem that was found.
#[track_caller]
fn assert_none(fixture: &Fixture, problems: &[String]) {
    let count = problems.len();
    assert!(
        count == 0,
        "{}: {count} problems\n{}",
        fixture.export,
        problems.join("\n")
    );
}

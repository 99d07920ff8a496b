//! What visitors get in a real browser: Chromium, over a real nginx with the vhost that the command prints, over a
//! release that the command published.
//!
//! Every page of every fixture is compared with the same page of the untouched export. A fixture is one row of
//! `fixtures!`; its pages are found in the export. Figures, and screenshots of failures, are left in
//! `target/tmp/browser`.

mod deployments;
mod docs;
mod generators;
mod moved;
mod pictures;
mod policy;
mod returning;
mod site;
mod survey;
mod tabs;
mod variants;

use std::path::{Path, PathBuf};

use crate::support::browser::Browser;

/// Whether the command gives every build of the same code the same build ID. If not, a rebuild changes every page, and
/// the tests expect that.
const STABLE_BUILD_ID: bool = true;

/// An export that is kept in the repository.
pub struct Fixture {
    /// The folder, relative to the repository.
    pub export: &'static str,
    /// `basePath` of its configuration; empty if there is none.
    pub base: &'static str,
    /// The form of its page URLs.
    pub form: Form,
    /// A word that its search finds, if it has one.
    pub search: Option<&'static str>,
    /// A page with a button that loads code, if it has one.
    pub lazy: Option<&'static str>,
}

/// The form of page URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/docs/page`.
    Files,
    /// `/docs/page/`: `trailingSlash` of the configuration.
    Folders,
}

impl Fixture {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.export)
    }

    /// A name that is usable in file names.
    fn name(&self) -> String {
        self.export.replace('/', "-")
    }
}

/// Generates one test of each kind for each row.
macro_rules! fixtures {
    ($($name:ident: $fixture:expr,)*) => {$(
        mod $name {
            use super::*;

            const FIXTURE: &Fixture = &$fixture;

            #[test]
            fn every_page_is_as_good_as_the_untouched_one() {
                survey::assert_as_good(&mut Browser::start(&FIXTURE.name()), FIXTURE);
            }

            #[test]
            fn reader_who_comes_back_downloads_only_what_changed() {
                returning::assert_only_changes_are_downloaded(&mut Browser::start(&FIXTURE.name()), FIXTURE);
            }

            #[test]
            fn a_policy_blocks_nothing_of_its_own() {
                policy::assert_nothing_is_blocked(&mut Browser::start(&FIXTURE.name()), FIXTURE);
            }

            #[test]
            fn open_tabs_go_on_after_publishes_and_a_rollback() {
                tabs::assert_tabs_go_on(&mut Browser::start(&FIXTURE.name()), FIXTURE);
            }
        }
    )*};
}

fixtures! {
    app: Fixture {
        export: "fixtures/export",
        base: "",
        form: Form::Files,
        search: None,
        lazy: Some("playground.html"),
    },
    pages: Fixture {
        export: "fixtures/pages/export",
        base: "",
        form: Form::Files,
        search: None,
        lazy: Some("tools.html"),
    },
    based: Fixture {
        export: "fixtures/based/export",
        base: "/handbook",
        form: Form::Folders,
        search: None,
        lazy: Some("tools/index.html"),
    },
    nextra: Fixture {
        export: "fixtures/nextra/export",
        base: "",
        form: Form::Files,
        search: Some("stream"),
        lazy: None,
    },
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

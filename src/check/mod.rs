//! Checks of an export that need no host, one file each.
//!
//! Pure: they look at paths and sizes that the scan found. A check only ever reports; what a finding leads to is the
//! caller's decision, by its severity. Where a check is in doubt it keeps quiet: a false alarm teaches people to turn
//! checks off.

mod case;
mod clash;
mod depth;
pub mod immutable;
mod index;
mod next;
mod not_found;
pub mod removal;
mod shadowed;

use std::collections::BTreeMap;

use crate::model::asset::Asset;
use crate::model::path::SitePath;

/// What a finding does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is published.
    Error,
    /// It is said, and nothing else.
    Warning,
}

/// Something that is wrong with the export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file or folder; the top folder where it is about the whole.
    pub path: SitePath,
    /// How serious it is.
    pub severity: Severity,
    /// The check's name in the site manifest.
    pub check: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// How serious the findings of a check are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Errors.
    Error,
    /// Warnings.
    Warn,
    /// It does not run.
    Off,
}

/// The levels of all checks: those that were set, and the defaults of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    set: BTreeMap<String, Level>,
}

impl Levels {
    /// Sets the level of a check. A name that no check has is kept and does nothing.
    #[must_use]
    pub fn with(mut self, check: &str, level: Level) -> Self {
        self.set.insert(check.to_owned(), level);
        self
    }

    fn of(&self, check: &Check) -> Level {
        self.set.get(check.name).copied().unwrap_or(check.default)
    }
}

/// What a check found, before its level is known.
struct Finding {
    path: SitePath,
    message: String,
    hint: String,
}

struct Check {
    name: &'static str,
    default: Level,
    find: fn(&[Asset]) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "case",
        default: Level::Error,
        find: case::find,
    },
    Check {
        name: "clash",
        default: Level::Error,
        find: clash::find,
    },
    Check {
        name: "depth",
        default: Level::Error,
        find: depth::find,
    },
    Check {
        name: "index",
        default: Level::Error,
        find: index::find,
    },
    Check {
        name: "next",
        default: Level::Warn,
        find: next::find,
    },
    Check {
        name: "not-found",
        default: Level::Error,
        find: not_found::find,
    },
    Check {
        name: "shadowed",
        default: Level::Warn,
        find: shadowed::find,
    },
];

/// The names of all checks, with their default levels, sorted.
pub fn names() -> impl Iterator<Item = (&'static str, Level)> {
    CHECKS.iter().map(|check| (check.name, check.default))
}

/// Runs every check that is not off. The problems are sorted by path, then severity, then check.
///
/// `assets` must be sorted by path and without repeats, as the scan gives them.
#[must_use]
pub fn check(assets: &[Asset], levels: &Levels) -> Vec<Problem> {
    let mut problems = Vec::new();
    for check in CHECKS {
        let severity = match levels.of(check) {
            Level::Error => Severity::Error,
            Level::Warn => Severity::Warning,
            Level::Off => continue,
        };
        problems.extend((check.find)(assets).into_iter().map(|finding| Problem {
            path: finding.path,
            severity,
            check: check.name,
            message: finding.message,
            hint: finding.hint,
        }));
    }
    problems.sort();
    problems
}

/// Whether there is a file of this path.
fn holds(assets: &[Asset], path: &str) -> bool {
    assets.binary_search_by(|asset| asset.path.as_str().cmp(path)).is_ok()
}

/// The first file below a folder, which is named with its closing slash.
fn first_below<'a>(assets: &'a [Asset], folder: &str) -> Option<&'a Asset> {
    let start = assets.partition_point(|asset| asset.path.as_str() < folder);
    assets
        .get(start)
        .filter(|asset| asset.path.as_str().starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::asset::GivenEncodings;
    use crate::model::digest::Digest;

    /// Files of these paths, as a scan would give them.
    pub(super) fn assets(paths: &[&str]) -> Vec<Asset> {
        let asset = |path: &&str| Asset {
            path: path
                .split('/')
                .fold(SitePath::root(), |folder, name| folder.child(name)),
            digest: Digest::of(path.as_bytes()),
            size: 1,
            given: GivenEncodings::default(),
        };
        let mut assets: Vec<_> = paths.iter().map(asset).collect();
        assets.sort_by(|a, b| a.path.cmp(&b.path));
        assets
    }

    /// The paths that a check complains about.
    pub(super) fn found(find: fn(&[Asset]) -> Vec<Finding>, paths: &[&str]) -> Vec<String> {
        let findings = find(&assets(paths));
        for finding in &findings {
            assert!(!finding.message.is_empty() && !finding.hint.is_empty());
        }
        findings.iter().map(|finding| finding.path.to_string()).collect()
    }

    const EXPORT: &[&str] = &[
        "404.html",
        "_next/static/chunks/0t0z5u_ughhp5.js",
        "docs.html",
        "docs.txt",
        "docs/__next._tree.txt",
        "docs/a.html",
        "index.html",
        "index.txt",
    ];

    #[test]
    fn an_export_as_next_writes_it_has_no_problems() {
        assert_eq!(check(&assets(EXPORT), &Levels::default()), []);
    }

    #[test]
    fn levels_decide_whether_a_finding_stops_a_publish() {
        let export = assets(&["404.html", "_next/static/a.js"]);
        let severities = |levels: &Levels| -> Vec<_> { check(&export, levels).iter().map(|p| p.severity).collect() };
        assert_eq!(severities(&Levels::default()), [Severity::Error]);
        let warn = Levels::default().with("index", Level::Warn);
        assert_eq!(severities(&warn), [Severity::Warning]);
        let off = Levels::default()
            .with("index", Level::Off)
            .with("unheard-of", Level::Error);
        assert_eq!(severities(&off), []);
    }

    #[test]
    fn problems_are_sorted_by_path() {
        let problems = check(&assets(&["Z/a", "b/a", "B/a", "z/a"]), &Levels::default());
        let paths: Vec<_> = problems.iter().map(|p| p.path.to_string()).collect();
        assert!(paths.is_sorted(), "{paths:?}");
        assert!(paths.len() >= 4, "{paths:?}");
    }

    #[test]
    fn names_are_sorted_and_single() {
        let names: Vec<_> = names().map(|(name, _)| name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn files_and_folders_are_found_by_path() {
        let assets = assets(&["a.html", "a/b", "ab"]);
        assert!(holds(&assets, "a/b") && !holds(&assets, "a"));
        assert!(first_below(&assets, "a/").is_some());
        assert!(first_below(&assets, "ab/").is_none());
    }
}

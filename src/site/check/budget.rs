//! `budget`: the site and its pages are no larger than `[budget]` of the site manifest allows. Pure.
//!
//! The caller measures, because that needs the files as they are sent; see `crate::site::budget`.

use std::fmt::Write as _;

use super::finding::{Problem, RawFinding};
use super::known::steady;
use crate::config::Level;
use crate::model::path::SitePath;

/// The name of this check in findings.
const NAME: &str = "budget";

/// Up to this many pages each get a finding of their own.
const NAMED: usize = 3;

/// How many parts a hint names.
const PARTS: usize = 3;

/// What one limit of the budget is compared with. `--json` prints it, so fields may be added but must never be renamed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Spending {
    /// The key of the limit in the site manifest.
    pub key: &'static str,
    /// The page or file that has most; `None` for the complete site, or if there is no page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<SitePath>,
    /// The bytes that it has.
    pub bytes: u64,
    /// The limit, in bytes.
    pub limit: u64,
    /// What exceeds the limit, the largest first.
    #[serde(skip)]
    pub excesses: Vec<Excess>,
}

impl Spending {
    /// Returns the path of what has most, or what stands for the complete site.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.as_ref().map_or("the site", SitePath::as_str)
    }
}

/// A page or a file that exceeds a limit, or the complete site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Its path; `None` for the complete site.
    pub path: Option<SitePath>,
    /// The bytes that it has.
    pub bytes: u64,
    /// The files that it consists of, the largest first.
    pub parts: Vec<(SitePath, u64)>,
}

/// Reports what exceeds its limit.
#[must_use]
pub fn problems(spent: &[Spending], level: Level) -> Vec<Problem> {
    let found = spent.iter().flat_map(|spending| {
        let excesses = &spending.excesses;
        let shown = if excesses.len() > NAMED { 1 } else { excesses.len() };
        let others = excesses.len() - shown;
        excesses
            .iter()
            .take(shown)
            .map(move |excess| finding(spending, excess, others))
    });
    found.filter_map(|finding| finding.problem(NAME, level)).collect()
}

fn finding(spending: &Spending, excess: &Excess, others: usize) -> RawFinding {
    let what = match spending.key {
        "first-load" => "the first load of this page has",
        "scripts" => "the scripts of this page have",
        "file" => "this file has",
        _ => "the site has",
    };
    let (bytes, limit) = (excess.bytes, spending.limit);
    let mut message = format!(
        "{what} {}, {} more than `{}` in [budget] allows",
        size(bytes),
        size(bytes.saturating_sub(limit)),
        spending.key
    );
    if others > 0 {
        let what = if spending.key == "file" { "files" } else { "pages" };
        let _ = write!(message, "; {others} other {what} exceed it, too");
    }
    let parts = excess.parts.iter().take(PARTS);
    let parts: Vec<String> = parts
        .map(|(path, bytes)| format!("{path} ({})", size(*bytes)))
        .collect();
    let hint = if parts.is_empty() {
        "make it smaller, or raise the limit".to_owned()
    } else {
        format!(
            "the largest parts are {}; make them smaller, or raise the limit",
            parts.join(", ")
        )
    };
    let path = excess.path.as_ref().map_or("", SitePath::as_str);
    // Every build has other sizes, and with many pages another may be the largest.
    let place = if others > 0 { "several".to_owned() } else { steady(path) };
    RawFinding::new(path, message, hint).of_many(format!("{place}: more than `{}`", spending.key))
}

/// How a site has grown since the live release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growing {
    /// The bytes of the live release.
    pub before: u64,
    /// The bytes of the site.
    pub now: u64,
    /// By how many bytes it may grow.
    pub limit: u64,
    /// The files that have grown most, the first one most of all.
    pub largest: Vec<GrownFile>,
}

/// A file that was added or has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrownFile {
    /// Its path.
    pub path: SitePath,
    /// The bytes that it had; `None` if it was added.
    pub before: Option<u64>,
    /// By how many bytes it has grown.
    pub grown: u64,
}

/// Reports a site that has grown by more than it may.
#[must_use]
pub fn growth_problem(growing: &Growing, level: Level) -> Option<Problem> {
    let (before, now) = (growing.before, growing.now);
    let grown = now.saturating_sub(before);
    let more = grown.checked_sub(growing.limit).filter(|more| *more > 0)?;
    let message = format!(
        "the site has grown by {}, from {} to {}: {} more than `growth` in [budget] allows",
        size(grown),
        size(before),
        size(now),
        size(more)
    );
    let files = growing.largest.iter().map(|file| {
        let (path, grown) = (&file.path, size(file.grown));
        match file.before {
            None => format!("{path} (added, {grown})"),
            Some(before) => format!("{path} ({grown} more than the {} before)", size(before)),
        }
    });
    let files: Vec<String> = files.collect();
    let hint = format!(
        "most of it: {}; make them smaller, or raise the limit",
        files.join(", ")
    );
    // Always: the next publish is compared with another release.
    RawFinding::new("", message, hint).always().problem(NAME, level)
}

/// Formats a size in the units that the site manifest has.
#[must_use]
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1000 => return format!("{bytes} B"),
        1000..1_000_000 => (1000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    // Rounded down, so that what is shown never reaches a unit or a limit that the size does not.
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess(name: &str, bytes: u64) -> Excess {
        let path = |name: &str| SitePath::root().child(name);
        Excess {
            path: Some(path(name)),
            bytes,
            parts: ["a.js", "b.js", "c.css", "d.js"]
                .map(|part| (path(part), bytes / 4))
                .to_vec(),
        }
    }

    fn told(excesses: Vec<Excess>) -> Vec<(String, String, String)> {
        let spending = Spending {
            key: "first-load",
            path: None,
            bytes: 0,
            limit: 200_000,
            excesses,
        };
        let problems = problems(&[spending], Level::Warn).into_iter();
        problems
            .map(|problem| (problem.path, problem.message, problem.fault.unwrap()))
            .collect()
    }

    #[test]
    fn few_pages_are_named_and_many_are_counted() {
        let few = told(vec![excess("b.html", 212_345), excess("a.html", 200_001)]);
        let message = "the first load of this page has 212.3 kB, 12.3 kB more than `first-load` in [budget] allows";
        assert_eq!(
            few[0],
            (
                "b.html".to_owned(),
                message.to_owned(),
                "b.html: more than `first-load`".to_owned()
            )
        );
        assert_eq!(few.len(), 2);
        let many = told((0..5).map(|page| excess(&format!("{page}.html"), 212_345)).collect());
        let (path, fault) = ("0.html".to_owned(), "several: more than `first-load`".to_owned());
        assert_eq!(
            many,
            [(path, format!("{message}; 4 other pages exceed it, too"), fault)]
        );
    }

    #[test]
    fn file_that_a_build_renames_keeps_its_fault() {
        let spending = |name: &str| Spending {
            key: "file",
            path: None,
            bytes: 0,
            limit: 1,
            excesses: vec![Excess {
                path: SitePath::new(&format!("_next/static/{name}")).ok(),
                bytes: 2,
                parts: Vec::new(),
            }],
        };
        let fault = |name| problems(&[spending(name)], Level::Warn)[0].fault.clone();
        assert_eq!(fault("chunks/0123.js"), fault("chunks/4567.js"));
        assert_ne!(fault("chunks/0123.js"), fault("chunks/0123.css"));
    }

    #[test]
    fn hint_names_the_largest_parts() {
        let spending = Spending {
            key: "scripts",
            path: None,
            bytes: 0,
            limit: 1,
            excesses: vec![excess("a.html", 4000)],
        };
        let problems = problems(&[spending], Level::Error);
        assert_eq!(
            problems[0].hint,
            "the largest parts are a.js (1.0 kB), b.js (1.0 kB), c.css (1.0 kB); make them smaller, or raise the limit"
        );
    }

    #[test]
    fn sizes_have_the_units_of_the_site_manifest() {
        let sizes = [999, 1000, 199_999, 999_999, 1_000_000, 1_500_000_000].map(size);
        assert_eq!(sizes, ["999 B", "1.0 kB", "199.9 kB", "999.9 kB", "1.0 MB", "1.5 GB"]);
    }
}

//! Checks of an export that need no host, one file each.
//!
//! Pure: they use the paths and sizes that the scan found, and the facts that the survey recorded for each text. They
//! depend only on the survey's values: a check never reads a file. A check only reports; the caller decides by the
//! severity of a finding what it leads to. In doubt a check reports nothing, because false alarms make people turn
//! checks off.
//!
//! A finding that the live release has too is known and does not stop a publish: see [`known`].

mod anchors;
pub mod budget;
mod builds;
mod canonical;
mod case;
mod clash;
mod csp;
mod depth;
mod empty;
mod finding;
mod forbid;
pub mod headers;
mod hreflang;
pub mod immutable;
mod index;
pub mod indexing;
pub mod known;
mod links;
mod local;
mod metadata;
pub mod moved;
mod next;
mod not_found;
mod payloads;
mod pictures;
pub mod redirects;
pub mod removal;
mod repeats;
mod search;
mod secrets;
mod shadowed;
mod size;
mod source_maps;
mod stray;
#[cfg(test)]
mod tests;
mod utf8;
pub mod well_known;

use rayon::prelude::*;

use self::finding::RawFinding;
pub(crate) use self::finding::is_reached_by_links;
pub use self::finding::{Known, Material, Problem};
pub use self::search::Searches;
use crate::config::{Level, Levels};

/// Finds mistakes of one kind.
type Find = fn(Material<'_>) -> Vec<RawFinding>;

/// The checks by their names in the site manifest, sorted.
const CHECKS: &[(&str, Find)] = &[
    ("anchors", anchors::find),
    ("builds", builds::find),
    ("canonical", canonical::find),
    ("case", case::find),
    ("clash", clash::find),
    ("csp", csp::find),
    ("depth", depth::find),
    (empty::NAME, empty::find),
    ("forbid", forbid::find),
    ("hreflang", hreflang::find),
    ("index", index::find),
    ("indexing", indexing::find),
    ("links", links::find),
    ("local", local::find),
    ("metadata", metadata::find),
    ("next", next::find),
    ("not-found", not_found::find),
    ("pictures", pictures::find),
    ("secrets", secrets::find),
    ("shadowed", shadowed::find),
    ("size", size::find),
    (source_maps::NAME, source_maps::find),
    ("stray", stray::find),
    ("utf8", utf8::find),
];

/// Returns the names of these checks that have a level in the site manifest, sorted. The level of `forbid` can't be
/// set, because `forbid` finds nothing without a pattern.
pub fn names() -> impl Iterator<Item = &'static str> {
    let names = CHECKS.iter().map(|(name, _)| *name);
    names.filter(|name| *name != forbid::NAME)
}

/// Runs every check that is not off. The problems are sorted by path, then line.
#[must_use]
pub fn check(material: Material<'_>, levels: &Levels) -> Vec<Problem> {
    let found = CHECKS.par_iter().flat_map_iter(|(check, find)| {
        let level = levels.of(check);
        let findings = if level == Level::Off {
            Vec::new()
        } else {
            find(material)
        };
        let problems = findings
            .into_iter()
            .filter_map(move |finding| finding.problem(check, level));
        problems.filter(|problem| !material.allowed.is_match(&problem.path))
    });
    let mut problems: Vec<Problem> = found.collect();
    for problem in &mut problems {
        problem.always |= known::ALWAYS.contains(&problem.check);
    }
    problems.sort();
    problems
}

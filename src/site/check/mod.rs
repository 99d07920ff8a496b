//! Checks of an export that need no host, one file each.
//!
//! Pure: they look at the paths and sizes that the scan found, and at the facts that the survey noted of each text. Of
//! the survey they know its values alone: a check never reads a file. It only ever reports; what a finding leads to is
//! the caller's decision, by its severity. Where a check is in doubt it keeps quiet: a false alarm teaches people to turn
//! checks off.
//!
//! A finding that the live release has too is known, and no reason not to publish: see [`known`].

mod anchors;
mod builds;
mod case;
mod clash;
mod depth;
mod empty;
mod forbid;
pub mod immutable;
mod index;
pub mod known;
mod links;
mod local;
mod next;
mod not_found;
mod payloads;
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

use std::collections::HashSet;

use globset::GlobSet;
use rayon::prelude::*;

pub use self::search::Searches;
use crate::config::{Level, Levels};
use crate::model::asset::Asset;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::site::survey::{Facts, Hit, Kind, Survey};

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
    /// The line it is in, from 1, where it is about one.
    pub line: Option<u32>,
    /// How serious it is.
    pub severity: Severity,
    /// The check's name in the site manifest.
    pub check: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The message without the number of files, where it stands for several.
    pub fault: Option<String>,
    /// Whether it stops every publish, whatever is live.
    pub always: bool,
    /// Whether the live release has it too.
    pub known: Option<Known>,
}

/// A finding that is no news.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// The live release has it, and the first that had it is this one.
    Since(ReleaseId),
    /// It is known, and from when on is not told: nothing was published before, or a file in the repository says so.
    Accepted,
}

/// What checks look at.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The files, sorted by path and without repeats, as the scan gives them.
    pub assets: &'a [Asset],
    /// What is known of their texts.
    pub survey: &'a Survey,
    /// Files whose findings don't count.
    pub allowed: &'a GlobSet,
    /// The folder of the copies.
    pub copies: &'a str,
}

/// One file, and what is known of it.
#[derive(Clone, Copy)]
struct File<'a> {
    asset: &'a Asset,
    kind: Kind,
    facts: &'a Facts,
}

impl<'a> Material<'a> {
    /// The files whose findings count. What a check puts together of many files it takes from these, so that one file
    /// that is allowed does not silence others.
    fn files(self) -> impl Iterator<Item = File<'a>> {
        let all = self.assets.iter().zip(&self.survey.kinds).zip(&self.survey.facts);
        let files = all.map(|((asset, kind), facts)| File {
            asset,
            kind: *kind,
            facts,
        });
        // Mostly there is no glob, and asking for each file and check takes time.
        let all_count = self.allowed.is_empty();
        files.filter(move |file| all_count || !self.allowed.is_match(file.asset.path.as_str()))
    }

    /// What the search for a check found in a file. What a payload repeats of its page is not told again.
    fn hits(self, file: File<'a>, check: &'static str) -> impl Iterator<Item = &'a Hit> {
        let page = match file.kind {
            Kind::Payload(page) | Kind::Data(page) => self.survey.facts.get(page),
            _ => None,
        };
        let what = |hit: &'a Hit| (hit.rule.as_str(), hit.shown.as_str());
        let of_check = move |hit: &&Hit| hit.check == check;
        let of_page = page.iter().flat_map(|page| &page.hits);
        let told: HashSet<(&str, &str)> = of_page.filter(of_check).map(what).collect();
        let hits = file.facts.hits.iter().filter(of_check);
        hits.filter(move |hit| !told.contains(&what(hit)))
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// An error, unless the check is off.
    Heavy,
    /// As much as the level of its check says.
    Full,
    /// It stops nothing: it may well be meant so.
    Light,
}

/// What a check found, before its level is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: SitePath,
    line: Option<u32>,
    weight: Weight,
    message: String,
    hint: String,
    fault: Option<String>,
    always: bool,
}

impl Finding {
    /// About a file or folder as a whole.
    fn new(path: SitePath, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            path,
            line: None,
            weight: Weight::Full,
            message: message.into(),
            hint: hint.into(),
            fault: None,
            always: false,
        }
    }

    /// About one line.
    fn at(mut self, line: impl Into<Option<u32>>) -> Self {
        self.line = line.into();
        self
    }

    /// Not known by what is live: it stops every publish.
    fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// An error, unless the check is off.
    fn heavy(mut self) -> Self {
        self.weight = Weight::Heavy;
        self
    }

    /// A warning at most.
    fn light(mut self) -> Self {
        self.weight = Weight::Light;
        self
    }
}

/// Looks for one kind of mistake.
type Find = fn(Material<'_>) -> Vec<Finding>;

/// The checks by their names in the site manifest, sorted.
const CHECKS: &[(&str, Find)] = &[
    ("anchors", anchors::find),
    ("builds", builds::find),
    ("case", case::find),
    ("clash", clash::find),
    ("depth", depth::find),
    (empty::NAME, empty::find),
    ("forbid", forbid::find),
    ("index", index::find),
    ("links", links::find),
    ("local", local::find),
    ("next", next::find),
    ("not-found", not_found::find),
    ("secrets", secrets::find),
    ("shadowed", shadowed::find),
    ("size", size::find),
    (source_maps::NAME, source_maps::find),
    ("stray", stray::find),
    ("utf8", utf8::find),
];

/// The names of all checks that have a level in the site manifest, sorted. That of `forbid` can't be set: without a
/// pattern it finds nothing.
pub fn names() -> impl Iterator<Item = &'static str> {
    let names = CHECKS.iter().map(|(name, _)| *name);
    names.filter(|name| *name != forbid::NAME)
}

/// Runs every check that is not off. The problems are sorted by path, then line.
#[must_use]
pub fn check(material: Material<'_>, levels: &Levels) -> Vec<Problem> {
    let found = CHECKS.par_iter().flat_map_iter(|(check, find)| {
        let severity = match levels.of(check) {
            Level::Error => Some(Severity::Error),
            Level::Warn => Some(Severity::Warning),
            Level::Off => None,
        };
        let findings = severity.map(|severity| (severity, find(material)));
        let each = findings
            .into_iter()
            .flat_map(|(severity, findings)| findings.into_iter().map(move |finding| (severity, finding)));
        each.map(|(severity, finding)| Problem {
            path: finding.path,
            line: finding.line,
            severity: match finding.weight {
                Weight::Heavy => Severity::Error,
                Weight::Full => severity,
                Weight::Light => Severity::Warning,
            },
            check,
            message: finding.message,
            hint: finding.hint,
            fault: finding.fault,
            always: finding.always || known::ALWAYS.contains(check),
            known: None,
        })
    });
    let mut problems: Vec<Problem> = found.collect();
    problems.retain(|problem| !material.allowed.is_match(problem.path.as_str()));
    problems.sort();
    problems
}

/// A text of the site as a message shows it: short enough to be read.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether links lead to a page: not to the error pages, nor to Next.js's own.
fn is_reached_by_links(page: &str) -> bool {
    let page = page.strip_suffix(".html").unwrap_or(page);
    let page = page.strip_suffix("/index").unwrap_or(page);
    !matches!(page, "404" | "500") && !page.starts_with('_')
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

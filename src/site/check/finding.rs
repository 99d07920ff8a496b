//! The input and the results of the checks: types that all checks share. Pure.

use std::collections::HashSet;

use globset::GlobSet;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::config::{Csp, Level};
use crate::model::asset::Asset;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::severity::Severity;
use crate::rules::lines::Place;
use crate::site::survey::{Facts, FileKind, Hit, Survey};

/// A problem of the export. `--json` prints it, so fields may be added but must never be renamed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// The file or folder of the export; empty if the problem is about the complete export. A file next to the site
    /// manifest begins with `./`, which no path of the export does.
    pub path: String,
    /// The line of the problem, from 1, if it is about one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The severity of the problem.
    pub severity: Severity,
    /// The check's name in the site manifest.
    pub check: &'static str,
    /// The description of the problem.
    pub message: String,
    /// The suggested fix.
    pub hint: String,
    /// The message without the number of files, if the problem covers several files.
    #[serde(skip)]
    pub fault: Option<String>,
    /// Whether the problem is never known, whatever is live. Such an error stops every publish.
    #[serde(skip)]
    pub always: bool,
    /// Set if the problem is known: the live release has it too, or it was accepted.
    #[serde(flatten, serialize_with = "known_since")]
    pub known: Option<Known>,
}

/// Why a finding is not new.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// The live release has the finding; this is the first release that had it.
    Since(ReleaseId),
    /// The finding is known, but its first release is not: nothing was published before, a baseline file in the
    /// repository lists it, or the live release keeps only the number of such findings.
    Accepted,
}

/// Writes whether a finding is known and, if that is known too, the first release that had it.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn known_since<S: Serializer>(known: &Option<Known>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Known", 2)?;
    fields.serialize_field("known", &known.is_some())?;
    if let Some(Known::Since(release)) = known {
        fields.serialize_field("since", release)?;
    }
    fields.end()
}

/// The input of the checks.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The files, sorted by path and without repeats, as the scan returns them.
    pub assets: &'a [Asset],
    /// The facts about their texts.
    pub survey: &'a Survey,
    /// Files whose findings are ignored.
    pub allowed: &'a GlobSet,
    /// The folder of the copies.
    pub copies: &'a str,
    /// The host of the site's address, if that is known.
    pub host: Option<&'a str>,
    /// Whether the site manifest names the generator.
    pub is_named: bool,
    /// The content security policy.
    pub csp: &'a Csp,
}

/// One file and the facts about it.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    /// Its index among the assets.
    pub(super) index: usize,
    pub(super) asset: &'a Asset,
    pub(super) kind: FileKind,
    pub(super) facts: &'a Facts,
}

impl<'a> Material<'a> {
    /// Returns the files whose findings are not ignored. A check that combines many files into one finding must use
    /// these, so that one allowed file does not hide a finding in the others.
    pub(super) fn files(self) -> impl Iterator<Item = File<'a>> {
        let all = self.assets.iter().zip(&self.survey.kinds).zip(&self.survey.facts);
        let files = all.enumerate().map(|(index, ((asset, kind), facts))| File {
            index,
            asset,
            kind: *kind,
            facts,
        });
        // Usually there are no globs, and matching for each file and check takes time.
        let all_count = self.allowed.is_empty();
        files.filter(move |file| all_count || !self.allowed.is_match(file.asset.path.as_str()))
    }

    /// Returns the hits of a check in a file. A hit in a payload that its page has too is left out.
    pub(super) fn hits(self, file: File<'a>, check: &'static str) -> impl Iterator<Item = &'a Hit> {
        let page = match file.kind {
            FileKind::Payload(page) | FileKind::Data(page) => self.survey.facts.get(page),
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

/// A finding of a check, before the level of the check is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RawFinding {
    pub(super) path: String,
    pub(super) line: Option<u32>,
    /// Its severity, if that does not follow from the level of the check.
    pub(super) severity: Option<Severity>,
    pub(super) message: String,
    pub(super) hint: String,
    pub(super) fault: Option<String>,
    pub(super) always: bool,
}

impl RawFinding {
    /// Creates a finding about a complete file or folder.
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            hint: hint.into(),
            ..Self::default()
        }
    }

    /// Creates a finding about a line of a file of rules.
    pub(super) fn of_line(place: &Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(&place.file, message, hint).at(place.line)
    }

    /// Makes the finding an error that is never known, if the check reports errors: a line that is not followed was
    /// never followed, whatever is live.
    pub(super) fn never_followed(mut self, level: Level) -> Self {
        self.always = level == Level::Error;
        self
    }

    /// Sets the line of the finding.
    pub(super) fn at(mut self, line: impl Into<Option<u32>>) -> Self {
        self.line = line.into();
        self
    }

    /// Makes the finding one about several files: `fault` is the message without what differs between builds.
    pub(super) fn of_many(mut self, fault: impl Into<String>) -> Self {
        self.fault = Some(fault.into());
        self
    }

    /// Marks the finding as never known, whatever is live. An error then stops every publish.
    pub(super) fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Makes the finding an error, unless the check is off.
    pub(super) fn heavy(mut self) -> Self {
        self.severity = Some(Severity::Error);
        self
    }

    /// Makes the finding a warning at most, because it may be intended.
    pub(super) fn light(mut self) -> Self {
        self.severity = Some(Severity::Warning);
        self
    }

    /// Returns the problem that this finding of a check is. `None` if the check is off.
    pub(super) fn problem(self, check: &'static str, level: Level) -> Option<Problem> {
        let severity = match level {
            Level::Error => Severity::Error,
            Level::Warn => Severity::Warning,
            Level::Off => return None,
        };
        Some(Problem {
            path: self.path,
            line: self.line,
            severity: self.severity.unwrap_or(severity),
            check,
            message: self.message,
            hint: self.hint,
            fault: self.fault,
            always: self.always,
            known: None,
        })
    }
}

/// Shortens a text of the site for display in a message.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Names the first files of many, and how many more there are.
pub(super) fn first_names(paths: &[&SitePath], most: usize) -> String {
    let first: Vec<&str> = paths.iter().take(most).map(|path| path.as_str()).collect();
    let more = match paths.len().saturating_sub(most) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    first.join(", ") + &more
}

/// Whether links lead to a page. They don't lead to the error pages or to Next.js's own pages.
pub(crate) fn is_reached_by_links(page: &str) -> bool {
    let page = page.strip_suffix(".html").unwrap_or(page);
    let page = page.strip_suffix("/index").unwrap_or(page);
    !matches!(page, "404" | "500") && !page.starts_with('_')
}

/// Whether there is a file with this path.
pub(super) fn holds(assets: &[Asset], path: &str) -> bool {
    assets.binary_search_by(|asset| asset.path.as_str().cmp(path)).is_ok()
}

/// Calls `take` with the path of each file and folder of the site, mostly once, and whether it is a folder.
pub(super) fn each_path<'a>(assets: &'a [Asset], mut take: impl FnMut(&'a str, bool)) {
    let mut last = "";
    for asset in assets {
        let path = asset.path.as_str();
        // The part that this path shares with the previous one was visited before.
        let shared = path.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.filter(|end| *end >= shared) {
            take(&path[..end], end < path.len());
        }
        last = path;
    }
}

/// Returns the first file below a folder. `folder` ends with a slash.
pub(super) fn first_below<'a>(assets: &'a [Asset], folder: &str) -> Option<&'a Asset> {
    let start = assets.partition_point(|asset| asset.path.as_str() < folder);
    assets
        .get(start)
        .filter(|asset| asset.path.as_str().starts_with(folder))
}

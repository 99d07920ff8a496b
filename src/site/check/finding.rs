//! What the checks look at and what they report: the values that all of them share. Pure.

use std::collections::HashSet;

use globset::GlobSet;

use crate::model::asset::Asset;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::severity::Severity;
use crate::site::survey::{Facts, FileKind, Hit, Survey};

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
pub(super) struct File<'a> {
    pub(super) asset: &'a Asset,
    pub(super) kind: FileKind,
    pub(super) facts: &'a Facts,
}

impl<'a> Material<'a> {
    /// The files whose findings count. What a check puts together of many files it takes from these, so that one file
    /// that is allowed does not silence others.
    pub(super) fn files(self) -> impl Iterator<Item = File<'a>> {
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

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// An error, unless the check is off.
    Heavy,
    /// As much as the level of its check says.
    Full,
    /// It stops nothing: it may well be meant so.
    Light,
}

/// What a check found, before its level is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawFinding {
    pub(super) path: SitePath,
    pub(super) line: Option<u32>,
    pub(super) weight: Weight,
    pub(super) message: String,
    pub(super) hint: String,
    pub(super) fault: Option<String>,
    pub(super) always: bool,
}

impl RawFinding {
    /// About a file or folder as a whole.
    pub(super) fn new(path: SitePath, message: impl Into<String>, hint: impl Into<String>) -> Self {
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
    pub(super) fn at(mut self, line: impl Into<Option<u32>>) -> Self {
        self.line = line.into();
        self
    }

    /// Not known by what is live: it stops every publish.
    pub(super) fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// An error, unless the check is off.
    pub(super) fn heavy(mut self) -> Self {
        self.weight = Weight::Heavy;
        self
    }

    /// A warning at most.
    pub(super) fn light(mut self) -> Self {
        self.weight = Weight::Light;
        self
    }
}

/// A text of the site as a message shows it: short enough to be read.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether links lead to a page: not to the error pages, nor to Next.js's own.
pub(super) fn is_reached_by_links(page: &str) -> bool {
    let page = page.strip_suffix(".html").unwrap_or(page);
    let page = page.strip_suffix("/index").unwrap_or(page);
    !matches!(page, "404" | "500") && !page.starts_with('_')
}

/// Whether there is a file of this path.
pub(super) fn holds(assets: &[Asset], path: &str) -> bool {
    assets.binary_search_by(|asset| asset.path.as_str().cmp(path)).is_ok()
}

/// The first file below a folder, which is named with its closing slash.
pub(super) fn first_below<'a>(assets: &'a [Asset], folder: &str) -> Option<&'a Asset> {
    let start = assets.partition_point(|asset| asset.path.as_str() < folder);
    assets
        .get(start)
        .filter(|asset| asset.path.as_str().starts_with(folder))
}

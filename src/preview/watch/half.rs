//! Detects an export that a build still seems to be writing or removing. Pure.
//!
//! A folder does not show whether it is complete. The signs are things that a finished Next.js build always leaves in
//! order: the pages that every export has, the chunks that its pages name, a single build ID. A defect that the
//! previous site already had is not a sign.

use crate::model::path::SitePath;
use crate::preview::Snapshot;
use crate::rules::NOT_FOUND_PAGE;

/// The reason why an export seems incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Half {
    /// This page, which every export has, is missing.
    Without(&'static str),
    /// Most of the files are gone.
    Fewer {
        /// The number of files in the previous site.
        before: u64,
        /// The number of files now.
        now: u64,
    },
    /// The export has files of two builds.
    Mixed,
    /// Pages name scripts or style sheets of the build that do not exist.
    Names {
        /// The first of their URLs.
        url: String,
        /// The number of their URLs.
        count: usize,
    },
}

const FRONT_PAGE: &str = "index.html";

/// Returns the reason why a site seems incomplete, compared with the site that is served, or `None` if it does not.
pub fn looks_half(shown: Option<&Snapshot>, site: &Snapshot) -> Option<Half> {
    let lost = |page: &str| !has(site, page) && shown.is_none_or(|shown| has(shown, page));
    if let Some(page) = [FRONT_PAGE, NOT_FOUND_PAGE].into_iter().find(|page| lost(page)) {
        return Some(Half::Without(page));
    }
    let before = shown.map_or(0, |shown| shown.site.files);
    if site.site.files < before / 2 {
        let now = site.site.files;
        return Some(Half::Fewer { before, now });
    }
    let is_mixed = |site: &Snapshot| site.problems.iter().any(|problem| problem.check == "builds");
    if is_mixed(site) && shown.is_none_or(|shown| !is_mixed(shown)) {
        return Some(Half::Mixed);
    }
    let is_new = |url: &&String| shown.is_none_or(|shown| !shown.missing_chunks.contains(*url));
    let mut missing = site.missing_chunks.iter().filter(is_new);
    let url = missing.next()?.clone();
    let count = 1 + missing.count();
    Some(Half::Names { url, count })
}

fn has(site: &Snapshot, path: &str) -> bool {
    SitePath::new(path).is_ok_and(|path| site.site.file(&path).is_some())
}

//! Whether an export looks as if a build were still writing it, or taking it away. Pure.
//!
//! A folder does not show whether it is complete. What shows it is what a build of Next.js never leaves undone: the pages that every
//! export has, the chunks that its pages name, one build id. What was like that in the site before says nothing.

use crate::model::path::SitePath;
use crate::preview::Snapshot;
use crate::rules::NOT_FOUND_PAGE;

/// What speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Half {
    /// A page that every export has is not there.
    Without {
        /// The page.
        page: &'static str,
    },
    /// Most of the files are gone.
    Fewer {
        /// How many there were.
        before: u64,
        /// How many there are.
        now: u64,
    },
    /// Files of two builds lie in it.
    Mixed,
    /// Pages name scripts or style sheets of the build that are not there.
    Names {
        /// The first of them.
        url: String,
        /// How many there are.
        count: usize,
    },
}

const FRONT_PAGE: &str = "index.html";

/// What speaks for it that a site is only half there, given the one that is shown.
pub fn looks_half(shown: Option<&Snapshot>, site: &Snapshot) -> Option<Half> {
    let lost = |page: &str| !has(site, page) && shown.is_none_or(|shown| has(shown, page));
    if let Some(page) = [FRONT_PAGE, NOT_FOUND_PAGE].into_iter().find(|page| lost(page)) {
        return Some(Half::Without { page });
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

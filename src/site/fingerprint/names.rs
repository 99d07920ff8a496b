//! Selection of the files that get a fingerprint, and the paths of their copies.
//!
//! A copy has the bytes of its file under a name that is derived from them. Pages keep the file's own address and add
//! the fingerprint as a query; the vhost maps that address to the copy.

use std::collections::{BTreeSet, HashSet};

use super::Options;
use super::rewrite::Rewriter;
use crate::model::asset::Asset;
use crate::model::cache::pooled;
use crate::model::path::SitePath;
use crate::next::build_id::Mention;
use crate::rules::fingerprint;
use crate::site::survey::{FileKind, Survey};

/// Names of files that are requested by exactly these names from anywhere, and so never get another name.
pub const NEVER: &[&str] = &[
    "favicon.ico",
    "robots.txt",
    "humans.txt",
    "ads.txt",
    "llms.txt",
    "browserconfig.xml",
    "sw.js",
    "service-worker.js",
    "workbox-sw.js",
    "firebase-messaging-sw.js",
    "OneSignalSDKWorker.js",
];

/// Whether a file may get a fingerprint at all.
fn may_be_named(path: &str, kind: FileKind) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_fixed = NEVER.contains(&name)
        || path.split('/').any(|segment| segment.starts_with('.'))
        || name.ends_with(".webmanifest")
        || name == "manifest.json"
        || name.starts_with("sitemap") && name.ends_with(".xml")
        || matches!(name, "rss.xml" | "atom.xml" | "feed.xml" | "feed.json" | "index.xml");
    !is_fixed && !matches!(kind, FileKind::Page | FileKind::Payload(_) | FileKind::Data(_))
}

/// A file under a second name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The index of the file among the assets.
    pub of: usize,
    /// Its second name.
    pub path: SitePath,
}

/// Selects the copies, and adds them to the rewriter.
pub fn name(assets: &[Asset], survey: &Survey, options: &Options<'_>, rewriter: &mut Rewriter) -> Vec<Copy> {
    if options.include.is_some_and(globset::GlobSet::is_empty) {
        return Vec::new();
    }
    let classes = options.classes;
    let folder = classes.copies().trim_end_matches('/');
    let used: BTreeSet<usize> = survey
        .facts
        .iter()
        .flat_map(|facts| facts.used.iter().copied())
        .collect();
    // If one place fetches a file by its own address and another with a fingerprint, the browser fetches it twice, and
    // a service worker does not find the second.
    let kept: HashSet<usize> = survey
        .facts
        .iter()
        .flat_map(|facts| facts.kept.iter().copied())
        .collect();
    let mut copies = Vec::new();
    for index in used.into_iter().filter(|index| !kept.contains(index)) {
        let (Some(asset), Some(kind), Some(facts)) =
            (assets.get(index), survey.kinds.get(index), survey.facts.get(index))
        else {
            continue;
        };
        let path = asset.path.as_str();
        let is_chosen = options
            .include
            .map_or_else(|| fingerprint::is_picked(path), |globs| globs.is_match(path));
        let is_fit = !options.exclude.is_match(path)
            && may_be_named(path, *kind)
            && !pooled(path, classes.classify(path))
            && facts.mention == Mention::None;
        if !is_chosen || !is_fit {
            continue;
        }
        let hash = asset.digest.short(fingerprint::LENGTH);
        if let Some(path) = copy_path(path, &hash, folder) {
            rewriter.add_copy(index, asset.path.as_str(), &hash);
            copies.push(Copy { of: index, path });
        }
    }
    copies
}

fn copy_path(path: &str, hash: &str, folder: &str) -> Option<SitePath> {
    let copy = fingerprint::copy_of(folder, path, hash)?;
    SitePath::new(&copy).ok()
}

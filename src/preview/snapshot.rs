//! A finished site as one value: what the preview serves until it is given another.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::encoding::{Coding, Recipe};
use crate::model::manifest::{self, ChangeKind, Site};
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::rules::Rules;
use crate::site::check::Problem;
use crate::site::pipeline::Prepared;
use crate::site::source::Source;

/// A finished site, and what requests to it get.
pub struct Snapshot {
    /// What requests get.
    pub rules: Rules,
    /// The manifest.
    pub site: Site,
    /// Where the bytes come from.
    pub source: Arc<dyn Source>,
    /// What the checks found, errors too: the preview shows what can't be published yet.
    pub problems: Vec<Problem>,
    /// URLs of chunks that pages name and that are not there.
    pub missing_chunks: BTreeSet<String>,
    /// Since when paths have had the bytes that they have, in seconds since 1970, where that is not the time of the first.
    since: HashMap<SitePath, u64>,
    /// When the first snapshot was made.
    first: u64,
}

/// What stands at a path of the docroot: a file, or an encoding of one beside it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The file.
    pub path: SitePath,
    /// What the manifest says of it.
    pub file: File,
    /// The encoding, where the path is one's.
    pub encoding: Option<(Coding, Recipe)>,
    /// Since when the file has had these bytes, in seconds since 1970.
    pub since: u64,
}

impl Snapshot {
    /// The site that was prepared `now`, in seconds since 1970. What is as it was in the snapshot before keeps its time.
    #[must_use]
    pub fn new(prepared: Prepared, now: u64, before: Option<&Self>) -> Self {
        let (mut since, first) = before.map_or_else(Default::default, |before| (before.since.clone(), before.first));
        let first = before.map_or(now, |_| first);
        if let Some(before) = before {
            let known = |digest| before.site.tree(digest).or_else(|| prepared.site.tree(digest));
            // Every tree of both is known, so there is nothing to ask for.
            let changes = manifest::diff(Some(before.site.root), Some(prepared.site.root), &known).unwrap_or_default();
            for change in changes.list {
                match change.change {
                    ChangeKind::Removed => since.remove(&change.path),
                    ChangeKind::Added | ChangeKind::Changed => since.insert(change.path, now),
                };
            }
        }
        Self {
            since,
            first,
            rules: prepared.rules,
            site: prepared.site,
            source: prepared.source,
            problems: prepared.problems,
            missing_chunks: prepared.missing_chunks,
        }
    }

    /// Whether the other site is this one, and all that is said of it too.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.site.root == other.site.root && self.rules == other.rules && self.problems == other.problems
    }

    /// What stands at a path of the docroot.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Resource> {
        let found = |path: &str, encoding| {
            let path = SitePath::new(path).ok()?;
            let file = self.site.file(&path)?.clone();
            let since = self.since.get(&path).copied().unwrap_or(self.first);
            Some(Resource {
                path,
                file,
                encoding,
                since,
            })
        };
        found(path, None).or_else(|| {
            Coding::ALL.into_iter().find_map(|coding| {
                let of = coding.original(path)?;
                let mut found = found(of, None)?;
                found.encoding = Some((coding, found.file.encodings.get(coding)?));
                Some(found)
            })
        })
    }
}

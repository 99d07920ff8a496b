//! A finished site as one value: what the preview serves until it is given another.

use std::collections::HashMap;
use std::sync::Arc;

use crate::check::Problem;
use crate::manifest::Site;
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::pipeline::Prepared;
use crate::serving::Rules;
use crate::source::Source;

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
    /// Since when each path has had the bytes that it has, in seconds since 1970.
    since: HashMap<SitePath, (Digest, u64)>,
}

/// What stands at a path of the docroot: a file, or an encoding of one beside it.
#[derive(Debug, Clone)]
pub struct Found {
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
        let since = prepared.site.all_files().map(|(path, file)| {
            let known = before.and_then(|before| before.since.get(&path));
            let kept = known.filter(|(digest, _)| *digest == file.digest).copied();
            let since = kept.unwrap_or((file.digest, now));
            (path, since)
        });
        Self {
            since: since.collect(),
            rules: prepared.rules,
            site: prepared.site,
            source: prepared.source,
            problems: prepared.problems,
        }
    }

    /// Whether the other site is this one, and all that is said of it too.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.site.root == other.site.root && self.rules == other.rules && self.problems == other.problems
    }

    /// What stands at a path of the docroot.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Found> {
        let found = |path: &str, encoding| {
            let path = SitePath::new(path).ok()?;
            let file = self.site.file(&path)?.clone();
            let since = self.since.get(&path).map_or(0, |(_, since)| *since);
            Some(Found {
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

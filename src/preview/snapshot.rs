//! A prepared site as one value. The preview serves it until it gets another one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::encoding::{Coding, Recipe};
use crate::model::manifest::{self, ChangeKind, Site};
use crate::model::path::SitePath;
use crate::model::redirect::Redirect;
use crate::model::tree::File;
use crate::rules::Rules;
use crate::site::check::Problem;
use crate::site::pipeline::Prepared;
use crate::site::source::Source;

/// A prepared site, with the rules it is served by.
pub struct Snapshot {
    /// The rules that decide what a request gets.
    pub rules: Rules,
    /// The manifest.
    pub site: Site,
    /// The source of the content of files.
    pub source: Arc<dyn Source>,
    /// All findings of the checks, including errors: the preview also serves a site that cannot be published yet.
    pub problems: Vec<Problem>,
    /// URLs of chunks that pages name but that do not exist.
    pub missing_chunks: BTreeSet<String>,
    /// When the content of a path last changed, in seconds since 1970. Paths that have not changed since the first
    /// snapshot are missing.
    since: HashMap<SitePath, u64>,
    /// When the first snapshot was made, in seconds since 1970.
    first: u64,
}

/// What a path of the docroot leads to: a file, or an encoding of one.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The file.
    pub path: SitePath,
    /// The file's entry in the manifest.
    pub file: File,
    /// The encoding, if the path is that of an encoding.
    pub encoding: Option<(Coding, Recipe)>,
    /// Since when the file has had this content, in seconds since 1970.
    pub since: u64,
}

impl Snapshot {
    /// Creates a snapshot of a site that was prepared at `now`, in seconds since 1970. Files that are unchanged since
    /// the previous snapshot keep their time.
    #[must_use]
    pub fn new(prepared: Prepared, now: u64, before: Option<&Self>) -> Self {
        let (mut since, first) = before.map_or_else(Default::default, |before| (before.since.clone(), before.first));
        let first = before.map_or(now, |_| first);
        if let Some(before) = before {
            let known = |digest| before.site.tree(digest).or_else(|| prepared.site.tree(digest));
            // All trees of both sites are available, so nothing has to be fetched.
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

    /// Whether the other snapshot has the same site, rules and findings.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.site.root == other.site.root && self.rules == other.rules && self.problems == other.problems
    }

    /// Whether a file, an encoding or a redirect is at a path of the docroot.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.resource(path).is_some() || self.redirect(path).is_some()
    }

    /// Returns the redirect at a path of the docroot.
    #[must_use]
    pub fn redirect(&self, path: &str) -> Option<&Redirect> {
        self.site.redirect(&SitePath::new(path).ok()?)
    }

    /// Returns the file or encoding at a path of the docroot.
    #[must_use]
    pub fn resource(&self, path: &str) -> Option<Resource> {
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

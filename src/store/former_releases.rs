//! Reads what visitors could open before the live release: the releases that were live within the window of `skew`.
//!
//! Each is compared with the live release, so only manifests of folders that differ are read. Must only read.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::host::Time;
use crate::model::digest::Digest;
use crate::model::manifest::{self, ChangeKind, Site, is_page};
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::tree::{Entry, File, Tree};
use crate::site::check::Known;
use crate::site::moved::FormerRelease;
use crate::store::plan::{HostFacts, HostQuestion, Recall};
use crate::store::records::Records;
use crate::store::session::Session;
use crate::store::{Error, open};

/// How many releases are looked at, newest first.
const MOST: usize = 64;

/// If more manifests than this would be read together, only the newer half of the releases is looked at.
const MOST_MANIFESTS: usize = 1024;

/// When a release counts as one that visitors may still remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The time now.
    pub now: Time,
    /// For how long before now.
    pub skew: Duration,
}

/// Releases that were live before, and their pages.
#[derive(Debug, Clone, Default)]
pub struct FormerReleases {
    /// The releases, newest first.
    pub releases: Vec<FormerRelease>,
    /// Their pages that the live release does not have, each of the newest release that had it.
    pub pages: HashMap<SitePath, Option<File>>,
}

impl FormerReleases {
    /// Reads the releases. `facts` has what a plan of `site` asked, and gets the manifests that are read. Those that this
    /// machine has seen are not requested: their digests determine their content.
    ///
    /// A release whose document or manifests can't be read is left out.
    ///
    /// # Errors
    /// [`Error`] if the connection is lost, or if the host refuses a request.
    pub async fn read(
        session: &Session,
        facts: &mut HostFacts,
        site: &Site,
        window: Window,
        seen: Option<&(dyn Recall + Sync)>,
    ) -> Result<Self, Error> {
        let root = facts.live.get(&SitePath::root()).copied().flatten();
        let (Some(current), Some(live)) = (facts.current.clone(), root) else {
            return Ok(Self::default());
        };
        let mut before = before(&Records::read(session, 4 * MOST).await?, current, window);
        loop {
            let known = |digest| site.tree(digest).or_else(|| facts.manifest(digest));
            let compared = before.iter().map(|(known_since, root)| {
                let changes = manifest::diff(Some(*root), Some(live), &known);
                changes.map(|changes| (known_since, *root, changes))
            });
            let (found, unknown): (Vec<_>, Vec<_>) = compared.partition(Result::is_ok);
            let unknown = unknown.into_iter().filter_map(Result::err).flatten();
            let unknown = unknown.filter(|digest| !facts.manifests.contains_key(digest));
            let unknown: BTreeSet<Digest> = unknown.collect();
            let recalled = unknown
                .iter()
                .filter_map(|digest| Some((*digest, seen?.tree(*digest)?)));
            let recalled: Vec<(Digest, Tree)> = recalled.collect();
            if !recalled.is_empty() {
                let recalled = recalled.into_iter().map(|(digest, tree)| (digest, Some(tree)));
                facts.manifests.extend(recalled);
                continue;
            }
            let questions: BTreeSet<_> = unknown.into_iter().map(HostQuestion::Manifest).collect();
            if questions.is_empty() {
                let mut former = Self::default();
                for (known_since, root, changes) in found.into_iter().flatten() {
                    for change in &changes.list {
                        if change.change == ChangeKind::Removed && is_page(&change.path) {
                            let page = former.pages.entry(change.path.clone());
                            page.or_insert_with(|| file(root, &change.path, &known).cloned());
                        }
                    }
                    let known = known_since.clone();
                    former.releases.push(FormerRelease { known, changes });
                }
                return Ok(former);
            }
            if questions.len() > MOST_MANIFESTS && before.len() > 1 {
                before.truncate(before.len() / 2);
            } else {
                open::ask(session, facts, &questions).await?;
            }
        }
    }
}

/// The releases that were live before, newest first: since when each is replaced, and its root.
fn before(records: &Records, current: ReleaseId, window: Window) -> Vec<(Known, Digest)> {
    let document = |id: &ReleaseId| records.documents.get(id);
    let mut within = records.within(window.now, window.skew, &[]);
    within.remove(&current);
    let mut before = Vec::new();
    let mut at = current;
    while let Some(former) = document(&at).and_then(|document| document.previous.as_ref())
        && within.remove(former)
        && let Some(former) = document(former)
    {
        before.push((Known::Since(at), former.root));
        at = former.id.clone();
    }
    // Those that a rollback left were replaced by no release of their own.
    let left: BTreeSet<ReleaseId> = within.into_iter().collect();
    let left = left.iter().rev().filter_map(document);
    before.extend(left.map(|former| (Known::Accepted, former.root)));
    before
}

/// The file at a path below a tree.
fn file<'t>(root: Digest, path: &SitePath, known: &dyn Fn(Digest) -> Option<&'t Tree>) -> Option<&'t File> {
    let mut at = root;
    for name in path.as_str().split('/') {
        match known(at)?.entries.get(name)? {
            Entry::Folder(below) => at = *below,
            Entry::File(file) => return Some(file),
            Entry::Redirect(_) => return None,
        }
    }
    None
}

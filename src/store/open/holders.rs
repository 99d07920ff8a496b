//! Finds out which releases have which file at a path. Only reads.

use std::collections::{BTreeMap, BTreeSet};

use super::questions::ask;
use super::{documents, list};
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::path::SitePath;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::model::tree::{Entry, File};
use crate::store::StoreError;
use crate::store::plan::{HostFacts, HostQuestion};
use crate::store::session::Session;

/// How many releases are searched, newest first.
const MOST: usize = 64;

/// A release and the file that it has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The release.
    pub release: ReleaseId,
    /// The commit that it was built from, if known.
    pub commit: Option<String>,
    /// The file.
    pub file: File,
}

/// Returns what each release has at some paths, newest release first.
///
/// A release that prune deleted is included as long as its document and manifests are there, which prune keeps until
/// the visitors of that release are gone.
///
/// # Errors
/// [`StoreError`].
pub async fn holders(
    session: &Session,
    paths: &BTreeSet<SitePath>,
) -> Result<BTreeMap<SitePath, Vec<Holder>>, StoreError> {
    let mut found: BTreeMap<SitePath, Vec<Holder>> = BTreeMap::new();
    let documents = newest_documents(session).await?;
    let mut facts = HostFacts::default();
    // Each walk leads from the top folder of a release to a path. An entry has the tree that the walk reached and the
    // length of the path up to there.
    let mut walks: Vec<(&ReleaseDocument, &SitePath, Digest, usize)> = documents
        .iter()
        .flat_map(|document| paths.iter().map(move |path| (document, path, document.root, 0)))
        .collect();
    while !walks.is_empty() {
        let trees = walks.iter().map(|(_, _, tree, _)| *tree);
        let unknown: BTreeSet<HostQuestion> = trees
            .filter(|tree| !facts.manifests.contains_key(tree))
            .map(HostQuestion::Manifest)
            .collect();
        ask(session, &mut facts, &unknown).await?;
        let mut next = Vec::new();
        for (document, path, tree, behind) in walks {
            let Some(Some(tree)) = facts.manifests.get(&tree) else {
                continue;
            };
            let rest = path.as_str().get(behind..).unwrap_or_default();
            let name = rest.split('/').next().unwrap_or_default();
            match tree.entries.get(name) {
                Some(Entry::Folder(below)) if name.len() < rest.len() => {
                    next.push((document, path, *below, behind + name.len() + 1));
                }
                Some(Entry::File(file)) if name.len() == rest.len() => {
                    found.entry(path.clone()).or_default().push(Holder {
                        release: document.id.clone(),
                        commit: document.commit.clone(),
                        file: file.clone(),
                    });
                }
                _ => {}
            }
        }
        walks = next;
    }
    Ok(found)
}

async fn newest_documents(session: &Session) -> Result<Vec<ReleaseDocument>, StoreError> {
    let names = list(session, layout::RELEASES).await?;
    let ids = names.iter().filter_map(|(name, _)| name.strip_suffix(".json"));
    let mut ids: Vec<ReleaseId> = ids.filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.reverse();
    let mut newest = Vec::new();
    for some in ids.chunks(MOST) {
        let found = documents(session, some).await?.into_iter().flatten();
        // What a channel has was never given to visitors of the live site.
        newest.extend(found.filter(|document| document.channel.is_none()));
        if newest.len() >= MOST {
            break;
        }
    }
    newest.truncate(MOST);
    Ok(newest)
}

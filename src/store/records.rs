//! Reads what a store has about its releases in addition to their trees: documents, and when they were left. Only
//! reads.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::host::Time;
use crate::model::layout;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::store::refusal::explain;
use crate::store::releases::list_folders;
use crate::store::session::Session;
use crate::store::{Error, open};

/// What is known about releases in addition to their trees.
pub(super) struct Records {
    pub(super) documents: HashMap<ReleaseId, ReleaseDocument>,
    /// When a rollback left a release.
    left: HashMap<ReleaseId, Time>,
    /// Every record by path, with its release.
    paths: Vec<(String, ReleaseId)>,
}

impl Records {
    /// Reads the records, and of the documents the newest.
    pub(super) async fn read(session: &Session, most: usize) -> Result<Self, Error> {
        let found = list_folders(session, vec![layout::RELEASES.to_owned()]).await?;
        let mut paths = Vec::new();
        let (mut ids, mut left) = (Vec::new(), HashMap::new());
        for (path, attr) in found {
            let name = path.rsplit('/').next().unwrap_or_default();
            let document = name.strip_suffix(".json").and_then(|id| id.parse::<ReleaseId>().ok());
            let former = name.strip_suffix(".left").and_then(|id| id.parse::<ReleaseId>().ok());
            ids.extend(document.clone());
            left.extend(former.clone().map(|id| (id, attr.mtime)));
            let signature = name.strip_suffix(layout::SIGNATURE).and_then(|id| id.parse().ok());
            let findings = name.split_once(layout::FINDINGS).and_then(|(id, _)| id.parse().ok());
            if let Some(id) = document.or(former).or(signature).or(findings) {
                paths.push((path, id));
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(most);
        let documents = open::documents(session, &ids).await?;
        let mut documents: HashMap<ReleaseId, ReleaseDocument> = ids
            .iter()
            .cloned()
            .zip(documents)
            .filter_map(|(id, document)| Some((id, document?)))
            .collect();
        // A damaged document has no effect. One that the host refuses to read may have, so that is an error.
        let unread: Vec<ReleaseId> = ids.into_iter().filter(|id| !documents.contains_key(id)).collect();
        for id in unread {
            if let Some(refusal) = open::why_unread(session, &layout::release_document(&id)).await? {
                return Err(explain(session, &refusal).await.into());
            }
            let again = open::document(session, &id).await?;
            documents.extend(again.map(|document| (id, document)));
        }
        Ok(Self { documents, left, paths })
    }

    /// Whether a release was published to a channel. If its document can't be read, it counts as one that was live.
    pub(super) fn is_of_channel(&self, id: &ReleaseId) -> bool {
        self.documents
            .get(id)
            .is_some_and(|document| document.channel.is_some())
    }

    /// Returns the releases that were live less than `skew` ago, according to the documents. If in doubt, a release is
    /// included.
    pub(super) fn within(&self, now: Time, skew: Duration, there: &[ReleaseId]) -> HashSet<ReleaseId> {
        let since = before(now, skew);
        let made = |document: &ReleaseDocument| {
            document
                .created
                .parse::<jiff::Timestamp>()
                .map_or(now, jiff::Timestamp::as_second)
        };
        let mut within: HashSet<ReleaseId> = HashSet::new();
        for document in self.documents.values().filter(|document| document.channel.is_none()) {
            if made(document) > since {
                within.insert(document.id.clone());
                // The release that it replaced was live until then.
                within.extend(document.previous.clone());
            }
        }
        within.extend(self.left_after(since));
        within.extend(there.iter().filter(|id| !self.documents.contains_key(id)).cloned());
        within
    }

    /// Returns the releases that an `undo:` line may have promised: the live one, the one that a rollback would make
    /// live, and those that a rollback left less than `skew` ago.
    pub(super) fn promised(
        &self,
        live: Option<&ReleaseId>,
        now: Time,
        skew: Duration,
        there: &[ReleaseId],
    ) -> HashSet<ReleaseId> {
        let mut promised: HashSet<ReleaseId> = self.left_after(before(now, skew)).collect();
        promised.extend(live.cloned());
        let mut seen = HashSet::new();
        let mut at = live;
        while let Some(id) = at.filter(|id| seen.insert(*id)) {
            let previous = self.documents.get(id).and_then(|document| document.previous.as_ref());
            if let Some(previous) = previous.filter(|previous| there.contains(previous)) {
                promised.insert(previous.clone());
                break;
            }
            at = previous;
        }
        promised
    }

    /// Releases that a rollback left after a time.
    fn left_after(&self, since: Time) -> impl Iterator<Item = ReleaseId> {
        let left = self.left.iter().filter(move |(_, left)| **left > since);
        left.map(|(id, _)| id.clone())
    }

    pub(super) fn beyond(&self, kept: &[ReleaseId], within: &HashSet<ReleaseId>) -> Vec<String> {
        let needed = |id: &ReleaseId| kept.contains(id) || within.contains(id);
        self.paths
            .iter()
            .filter(|(_, id)| !needed(id))
            .map(|(path, _)| path.clone())
            .collect()
    }
}

/// The time that was so long before `now`.
fn before(now: Time, skew: Duration) -> Time {
    now.saturating_sub(Time::try_from(skew.as_secs()).unwrap_or(Time::MAX))
}

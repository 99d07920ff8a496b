//! Sends additional copies of content that a publish links so often that one file can't carry all the names.
//!
//! A file system limits the hard links of a file, and a release consists of hard links. If many pages of a site contain
//! an identical file, that content needs several files on the host. Which of these files carries which name must not
//! mean anything.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Resting, StagedObjects, SyncError, Work, send_in_batches};
use crate::model::digest::Digest;
use crate::model::encoding::Encodings;
use crate::model::layout;
use crate::model::tree::Entry;
use crate::store::plan::{Plan, Wanted};
use crate::store::staging::StagingDir;
use crate::store::sync::Times;

/// The number of names of one publish that are links of one file. ext4 allows 65,000 links and ext3 32,000, and later
/// publishes need some, too.
const LINKS_A_COPY: usize = 30_000;

/// Additional copies of one object, in temporary files of the staging directory, and the number of names linked so far.
#[derive(Default)]
pub(super) struct Copies {
    temps: Vec<String>,
    linked: usize,
}

impl Copies {
    /// Returns the temporary file that the next name is a link of; `None` if that is the object itself.
    pub(super) fn next(&mut self) -> Option<&str> {
        let turn = self.linked / LINKS_A_COPY;
        self.linked += 1;
        self.temps.get(turn.checked_sub(1)?).map(String::as_str)
    }
}

/// Sends wanted content that will be linked too often again, as many times as needed.
///
/// # Errors
/// [`SyncError`].
pub(super) async fn send_copies(
    work: &Work<'_>,
    plan: &Plan,
    staging_dir: &mut StagingDir,
    times: &mut Times,
    staged_objects: &mut StagedObjects,
) -> Result<(), SyncError> {
    let lacking = lacking(plan);
    for round in 0..lacking.values().copied().max().unwrap_or(0) {
        let again = plan.wanted.iter();
        let again = once_each(again.filter(|wanted| lacking.get(&wanted.digest).is_some_and(|copies| *copies > round)));
        let mut sent = StagedObjects::default();
        send_in_batches(work, again, Resting::Workshop, staging_dir, times, &mut sent).await?;
        staged_objects.sent.add(sent.sent);
        for (name, temp) in sent.temps {
            staged_objects.copies.entry(name).or_default().temps.push(temp);
        }
    }
    Ok(())
}

/// Returns the digests of content that one file can't carry all names of, and the number of additional copies for each.
fn lacking(plan: &Plan) -> BTreeMap<Digest, usize> {
    let of_trees = plan.trees.iter().flat_map(|tree| {
        let unchanged = |name| tree.former.is_some() && tree.unchanged.contains(name);
        let new = tree.tree.entries.iter().filter(move |(name, _)| !unchanged(*name));
        new.filter_map(|(_, entry)| match entry {
            Entry::File(file) => Some(&file.digest),
            Entry::Folder(_) | Entry::Redirect(_) => None,
        })
    });
    // Few sites have any. Sorted references are the cheapest test.
    let mut links: Vec<&Digest> = of_trees.chain(plan.pool.iter().map(|file| &file.digest)).collect();
    if links.len() <= LINKS_A_COPY {
        return BTreeMap::new();
    }
    links.sort_unstable();
    let crowds = links.chunk_by(|a, b| a == b).filter(|links| links.len() > LINKS_A_COPY);
    crowds
        .filter_map(|links| Some((**links.first()?, links.len().div_ceil(LINKS_A_COPY) - 1)))
        .collect()
}

/// Returns each object once, even if several paths have the same encodings.
fn once_each<'w>(wanted: impl Iterator<Item = &'w Wanted>) -> Vec<Wanted> {
    let mut named = HashSet::new();
    let fresh = wanted.map(|wanted| {
        let mut encodings = Encodings::default();
        for (coding, recipe) in wanted.encodings.iter() {
            if named.insert(layout::encoded_object(wanted.digest, coding, recipe)) {
                encodings.set(coding, Some(recipe));
            }
        }
        Wanted {
            encodings,
            ..wanted.clone()
        }
    });
    fresh
        .filter(|wanted| wanted.identity || wanted.encodings != Encodings::default())
        .collect()
}

/// Additional copies, by the object's name.
pub(super) type AllCopies = HashMap<String, Copies>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_link_of_a_copy_that_still_has_room() {
        let mut copies = Copies {
            temps: vec!["f/1".to_owned(), "f/2".to_owned()],
            linked: 0,
        };
        let taken: Vec<Option<String>> = (0..3 * LINKS_A_COPY)
            .map(|_| copies.next().map(str::to_owned))
            .collect();
        let of = |temp: Option<&str>| taken.iter().filter(|taken| taken.as_deref() == temp).count();
        assert_eq!([of(None), of(Some("f/1")), of(Some("f/2"))], [LINKS_A_COPY; 3]);
    }
}

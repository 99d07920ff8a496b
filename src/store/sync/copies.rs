//! Sends additional copies of content that a publish links so often that one file can't carry all the names.
//!
//! A file system limits the hard links of a file, and a release consists of hard links. If many pages of a site contain
//! an identical file, that content needs several files on the host. Which of these files carries which name must not
//! mean anything.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Sender;
use crate::model::digest::Digest;
use crate::store::attempt_error::AttemptError;
use crate::store::plan::{Plan, Wanted};

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

impl Sender<'_> {
    /// Sends wanted content that will be linked too often again, as many times as needed.
    pub(super) async fn send_copies(&mut self, plan: &Plan) -> Result<(), AttemptError> {
        let lacking = lacking(plan);
        for round in 0..lacking.values().copied().max().unwrap_or(0) {
            let again = plan.wanted.iter();
            let again = again.filter(|wanted| lacking.get(&wanted.digest).is_some_and(|copies| *copies > round));
            let first = std::mem::take(&mut self.staged_objects);
            self.send_to_workshop(once_each(again)).await?;
            let sent = std::mem::replace(&mut self.staged_objects, first);
            self.staged_objects.sent.add(sent.sent);
            for (name, temp) in sent.temps {
                self.staged_objects.copies.entry(name).or_default().temps.push(temp);
            }
        }
        Ok(())
    }
}

/// Returns the digests of content that one file can't carry all names of, and the number of additional copies for each.
fn lacking(plan: &Plan) -> BTreeMap<Digest, usize> {
    let of_trees = plan.trees.iter().flat_map(|tree| {
        let unchanged = |name| tree.former.is_some() && tree.unchanged.contains(name);
        let new = tree.tree.entries.iter().filter(move |(name, _)| !unchanged(*name));
        new.filter_map(|(_, entry)| Some(&entry.file()?.digest))
    });
    // Few sites have any. Sorted references are the cheapest test.
    let mut links: Vec<&Digest> = of_trees.chain(plan.pool.iter().map(|file| &file.file.digest)).collect();
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
        let mut fresh = wanted.clone();
        let known = wanted
            .encodings
            .iter()
            .filter(|encoded| !named.insert((wanted.digest, *encoded)));
        for (coding, _) in known {
            fresh.encodings.set(coding, None);
        }
        fresh
    });
    fresh.filter(|wanted| wanted.contents().next().is_some()).collect()
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

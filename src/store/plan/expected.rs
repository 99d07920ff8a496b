//! What a publish is expected to ask and to send, if what was last seen on the host is still so.
//!
//! Pure. It is a guess: it saves round trips and waiting, and decides nothing.

use std::collections::{BTreeSet, HashMap};

use super::{HostFacts, HostQuestion, Plan, Wanted, questions};
use crate::model::digest::Digest;
use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::tree::Tree;

/// If a publish is expected to ask more questions than this, it uses the ordinary questions, which are fewer.
const MOST_EXPECTED: usize = 4096;

/// What was last seen on a host: which tree was live, and manifests.
pub trait Recall {
    /// The release that was live, and the digest of its root.
    fn live(&self) -> Option<(&ReleaseId, Digest)>;
    /// The manifest of a tree; `None` if it was not seen.
    fn tree(&self, digest: Digest) -> Option<Tree>;
}

/// Returns the questions to ask first if the host was seen before: all that there is to ask if the live release is the
/// one in `facts`. If `facts` has none, the release that was seen last is assumed, and one question asks what is live.
///
/// The manifests that this takes are put into `facts`. Their digests determine their content, whatever is live.
///
/// `None` if not enough was seen, or if there are more questions than a guess is worth.
pub fn expected_questions(site: &Site, seen: &dyn Recall, facts: &mut HostFacts) -> Option<BTreeSet<HostQuestion>> {
    let mut expected = HostFacts {
        current: facts.current.clone(),
        live: facts.live.clone(),
        ..HostFacts::default()
    };
    if expected.current.is_none() {
        let (release, root) = seen.live()?;
        expected.current = Some(release.clone());
        expected.live = HashMap::from([(SitePath::root(), Some(root))]);
    }
    loop {
        let mut asked = questions(site, &expected);
        let unknown: Vec<Digest> = asked
            .iter()
            .filter_map(|question| match question {
                HostQuestion::Manifest(digest) => Some(*digest),
                _ => None,
            })
            .collect();
        if asked.len() > MOST_EXPECTED {
            return None;
        }
        if unknown.is_empty() {
            if facts.current.is_none() {
                asked.insert(HostQuestion::Live(SitePath::root()));
            }
            facts.manifests = expected.manifests;
            return Some(asked);
        }
        for digest in unknown {
            expected.manifests.insert(digest, Some(seen.tree(digest)?));
        }
    }
}

/// How often questions may lead to others.
const MOST_ROUNDS: usize = 8;

/// The files that are expected to be sent if the release that was seen last is still live, and the host has nothing else
/// of this site. `None` if not enough was seen.
pub fn expected_content(site: &Site, seen: &dyn Recall) -> Option<Vec<Wanted>> {
    let (release, root) = seen.live()?;
    let mut guess = HostFacts {
        current: Some(release.clone()),
        live: HashMap::from([(SitePath::root(), Some(root))]),
        ..HostFacts::default()
    };
    let mut asked = expected_questions(site, seen, &mut guess)?;
    for _ in 0..MOST_ROUNDS {
        for question in asked {
            match question {
                HostQuestion::Tree(digest) => drop(guess.trees.insert(digest, false)),
                HostQuestion::Object(name) => drop(guess.objects.insert(name, None)),
                HostQuestion::Pool(path) => drop(guess.pool.insert(path, None)),
                HostQuestion::PoolBytes(path) => drop(guess.pool_bytes.insert(path, None)),
                HostQuestion::Manifest(digest) => drop(guess.manifests.insert(digest, Some(seen.tree(digest)?))),
                HostQuestion::Live(_) | HostQuestion::Findings(..) => return None,
            }
        }
        match Plan::new(site, &guess) {
            Ok(plan) => return Some(plan.wanted),
            Err(open) => asked = open,
        }
    }
    None
}

//! Why an operation on a store failed. What a host or a store refuses is told apart in [`StoreError`].

use crate::host::HostError;
use crate::model::path::printable;
use crate::model::release::{Hold, ReleaseId, timestamp};
use crate::site::SiteError;
use crate::site::source::SourceError;
use crate::store::open::StoreError;
use crate::store::signing::SignError;
use crate::store::staging::Taken;

/// An operation on a store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The site can't be published as it is.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// More pages would vanish than the site manifest allows.
    #[error("this would remove {removed} of {live} live pages, more than {limit} %")]
    RemovesTooMuch {
        /// Pages that would be removed.
        removed: u64,
        /// Pages that are live.
        live: u64,
        /// The limit, in percent.
        limit: u8,
    },
    /// The store, or the way to it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another run holds the lock.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// Another publish went live while this one was prepared.
    #[error("another publish went live while this one was being prepared{}", by.as_ref().map(|id| format!(": {id}")).unwrap_or_default())]
    Overtaken {
        /// The release that is live now.
        by: Option<ReleaseId>,
    },
    /// Publishing to this target was stopped.
    #[error("publishing is on hold{}: {}", since(hold), printable(&hold.reason))]
    OnHold {
        /// Why, by whom, since when.
        hold: Hold,
    },
    /// The store changed again and again.
    #[error("gave up after {attempts} attempts, because the store changed each time: {reason}")]
    NoPeace {
        /// How often it was tried.
        attempts: u32,
        /// What was found last.
        reason: String,
    },
    /// Other runs were quicker again and again.
    #[error("gave up after {attempts} attempts: other runs changed the store each time: {reason}")]
    Contended {
        /// How often it was tried.
        attempts: u32,
        /// What was found last.
        reason: String,
    },
    /// The connection went at the swap and the host can't be asked what became of it.
    #[error("the connection was lost at the swap, and the host can't be asked whether it was done: {lost}")]
    Uncertain {
        /// What is known of the loss.
        lost: String,
    },
    /// No release of that name.
    #[error("there's no release {wanted:?}")]
    NoSuchRelease {
        /// What was asked for.
        wanted: String,
        /// The releases there are, newest first.
        there: Vec<ReleaseId>,
    },
    /// Several releases begin so.
    #[error("{wanted:?} is ambiguous; it matches:{}", a_line_each(candidates))]
    AmbiguousRelease {
        /// What was asked for.
        wanted: String,
        /// What it may mean.
        candidates: Vec<ReleaseId>,
    },
    /// Nothing was ever published.
    #[error("nothing has been published to {host} yet")]
    NothingPublished {
        /// The host.
        host: String,
    },
    /// There are not so many releases before one.
    #[error("{}", too_few(from, *wanted, *there))]
    NoFormerRelease {
        /// The one to count from.
        from: ReleaseId,
        /// How many were to be gone back.
        wanted: u32,
        /// How many there are.
        there: u32,
    },
    /// The release to roll back to is live.
    #[error("{release} is already live")]
    AlreadyLive {
        /// The release.
        release: ReleaseId,
    },
    /// A release is not whole.
    #[error("{release} is damaged: {} problems", problems.len())]
    NotWhole {
        /// The release.
        release: ReleaseId,
        /// What is wrong, by path.
        problems: Vec<(String, String)>,
    },
    /// A release that must be signed isn't, or not by anybody whose signature counts.
    #[error("{release} {problem}")]
    Unsigned {
        /// The release.
        release: ReleaseId,
        /// What is wrong.
        problem: String,
    },
    /// Nothing can be signed, or no signature can be judged.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A file of this machine can't be read or written.
    #[error("can't {what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

fn a_line_each(releases: &[ReleaseId]) -> String {
    releases
        .iter()
        .fold(String::new(), |text, id| text + "\n  " + id.as_str())
}

fn too_few(from: &ReleaseId, wanted: u32, there: u32) -> String {
    match there {
        0 => format!("there is no release before {from}"),
        1 => format!("there is only 1 release before {from}, not {wanted}"),
        there => format!("there are only {there} releases before {from}, not {wanted}"),
    }
}

/// Since when and by whom, where that is known.
fn since(hold: &Hold) -> String {
    if hold.since == 0 {
        return String::new();
    }
    format!(" since {}, by {}", timestamp(hold.since), printable(&hold.who))
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        Self::Store(StoreError::Host(error))
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        Self::Site(SiteError::Source(error))
    }
}

//! Why something failed in a store: [`Error`] for an operation as a whole, and what it is made of: [`StoreError`] for
//! access to the store, [`LockError`] for its lock, [`SignError`] for signatures. Pure.

use std::path::PathBuf;

use crate::host::HostError;
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::path::printable;
use crate::model::release::{Hold, Owner, ReleaseId, timestamp};
use crate::site::SiteError;
use crate::site::source::SourceError;

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
    Taken(#[from] LockError),
    /// Another publish went live while this one was prepared.
    #[error("another publish went live while this one was being prepared{}", by.as_ref().map(|id| format!(": {id}")).unwrap_or_default())]
    ConcurrentPublish {
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
    KeptChanging {
        /// How often it was tried.
        attempts: u32,
        /// What was found last.
        reason: String,
    },
    /// Other runs were quicker again and again.
    #[error("gave up after {attempts} attempts: other runs changed the store each time: {reason}")]
    Contention {
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

/// The store can't be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The connection.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The folder above the docroot is missing, so the docroot can't be made.
    #[error("the docroot on {host} doesn't exist, and neither does the folder above it")]
    NoParent {
        /// The host.
        host: String,
    },
    /// There are other things in the docroot.
    #[error("the docroot on {host} holds things that are not a release store: {}", list(names))]
    NotAStore {
        /// The host.
        host: String,
        /// Some of them.
        names: Vec<String>,
    },
    /// The store was made by a later version of this tool.
    #[error("the store on {host} is of a format this version does not know: {found:?}")]
    NewerFormat {
        /// The host.
        host: String,
        /// What its mark says.
        found: String,
    },
    /// Something in the store belongs to another user than the one who publishes.
    #[error("{path} on {host} belongs to uid {uid}, and the publishing account is uid {ours}")]
    ForeignOwner {
        /// The host.
        host: String,
        /// Below the docroot.
        path: String,
        /// Whose it is.
        uid: u32,
        /// Who publishes.
        ours: u32,
    },
    /// Others could plant links in a folder of the store.
    #[error("{path} on {host} may be written by others (mode {mode:o})")]
    WritableByOthers {
        /// The host.
        host: String,
        /// Which folder or file.
        path: StorePath,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder of the store is something else.
    #[error("{path} on {host} should be a folder and isn't")]
    NotAFolder {
        /// The host.
        host: String,
        /// What should be one.
        path: StorePath,
    },
    /// The user may not write.
    #[error("not allowed to write on {host}: {what}")]
    NotWritable {
        /// The host.
        host: String,
        /// The operation and what the host said.
        what: String,
    },
    /// No room.
    #[error("the disk on {host} is full: {bytes} bytes free{}", if *files == Some(0) { ", no room for another file" } else { "" })]
    DiskFull {
        /// The host.
        host: String,
        /// Bytes that are left.
        bytes: u64,
        /// Files that may still be made.
        files: Option<u64>,
    },
    /// The host refused something for a reason that it doesn't tell.
    #[error("{host} refused: {what}")]
    Refused {
        /// The host.
        host: String,
        /// The operation and what the host said.
        what: String,
    },
    /// A document or link of the store does not read.
    #[error("{path} on {host} is damaged: {detail}")]
    Damaged {
        /// The host.
        host: String,
        /// Below the docroot.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// The docroot itself, or a path below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePath {
    /// The docroot.
    Docroot,
    /// A path below the docroot.
    Below(String),
}

impl StorePath {
    /// A path below the docroot.
    pub fn below(path: impl Into<String>) -> Self {
        Self::Below(path.into())
    }
}

impl std::fmt::Display for StorePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Docroot => f.write_str("the docroot"),
            Self::Below(path) => f.write_str(path),
        }
    }
}

impl StoreError {
    /// Few trees were made to look like endless folders or files.
    pub(crate) fn endless(host: String, root: Digest) -> Self {
        Self::Damaged {
            host,
            path: layout::manifest(root),
            detail: "it leads to more folders or files than any web server could serve".to_owned(),
        }
    }
}

fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = names.len().saturating_sub(shown.len());
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{tail}", shown.join(", "))
}

/// The lock is another's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Its holder is alive.
    #[error("{} holds the lock", describe(owner.as_ref()))]
    Busy {
        /// Who it is, where that can be read.
        owner: Option<Owner>,
    },
    /// Something that no run put there lies in the lock's folder and blocks it forever.
    #[error("the lock is jammed: its folder lock/ holds {name:?}, which no publish put there")]
    Jammed {
        /// The stray name.
        name: String,
    },
    /// Its holder is dead, and the host does not let its workshop be put away.
    #[error("the workshop of {}, which is dead, can't be moved out of the lock: {what}", describe(owner.as_ref()))]
    Stuck {
        /// Whose it is, where that can be read.
        owner: Option<Owner>,
        /// The operation and what the host said.
        what: String,
    },
    /// Another run took the workshop for a dead one's and put it away.
    #[error("the workshop of this run was taken away while it was being prepared")]
    Fenced,
}

fn describe(owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) => {
            format!(
                "{} of {} (since {})",
                printable(&owner.what),
                printable(&owner.who),
                timestamp(owner.since)
            )
        }
        None => "another run".to_owned(),
    }
}

/// Nothing can be signed, or no signature can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Releases must be signed, and no key is given.
    #[error("releases must be signed (`require` in [sign]), and there's no `key` to sign with")]
    NoKey,
    /// Signatures are to be judged, and nothing says whose count.
    #[error("there's no `allowed-signers` in [sign], so no signature can be accepted")]
    NoAllowedSigners,
    /// The key has a passphrase, which no one is asked for.
    #[error("the key {} has a passphrase, and there is no prompt for it", .key.display())]
    Passphrase {
        /// Its file.
        key: PathBuf,
    },
    /// The key can't be used.
    #[error("can't sign with the key {}: {detail}", .key.display())]
    Key {
        /// Its file.
        key: PathBuf,
        /// What `ssh-keygen` said.
        detail: String,
    },
    /// The key signs, but its signatures don't count.
    #[error("a signature of the key {} is not accepted by {}: {detail}", .key.display(), .allowed.display())]
    NotAllowed {
        /// Its file.
        key: PathBuf,
        /// The file of allowed signers.
        allowed: PathBuf,
        /// Why not.
        detail: String,
    },
    /// The file of allowed signers can't be read.
    #[error("can't read the allowed signers in {}: {detail}", .file.display())]
    AllowedSigners {
        /// The file.
        file: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// `ssh-keygen` can't be run.
    #[error("can't run ssh-keygen: {detail}")]
    Program {
        /// What the system said.
        detail: String,
    },
}

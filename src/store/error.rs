//! Errors of the store: [`Error`] for an operation that failed, and its parts: [`StoreError`] for access to the store,
//! [`LockError`] for its lock, [`SignError`] for signatures. Pure.

use std::path::PathBuf;

use crate::host::HostError;
use crate::model::channel::ChannelName;
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::path::printable;
use crate::model::release::{Hold, Owner, ReleaseId, timestamp};
use crate::site::SiteError;
use crate::site::source::SourceError;

/// Why an operation on a store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The site can't be published as it is.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// More pages would be removed than the site manifest allows.
    #[error("this would remove {removed} of {live} live pages, more than {limit} %")]
    RemovesTooMuch {
        /// Pages that would be removed.
        removed: u64,
        /// Pages that are live.
        live: u64,
        /// The limit, in percent.
        limit: u8,
    },
    /// The store or the connection to it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock can't be acquired.
    #[error(transparent)]
    Taken(#[from] LockError),
    /// Another publish went live while this one was prepared.
    #[error("another publish went live while this one was being prepared{}", by.as_ref().map(|id| format!(": {id}")).unwrap_or_default())]
    ConcurrentPublish {
        /// The release that is live now.
        by: Option<ReleaseId>,
    },
    /// Publishing to this target is on hold.
    #[error("publishing is on hold{}: {}", since(hold), printable(&hold.reason))]
    OnHold {
        /// Why, by whom, since when.
        hold: Hold,
    },
    /// The store changed during every attempt.
    #[error("gave up after {attempts} attempts, because the store changed each time: {reason}")]
    KeptChanging {
        /// The number of attempts.
        attempts: u32,
        /// What the last attempt found.
        reason: String,
    },
    /// Other runs changed the store first during every attempt.
    #[error("gave up after {attempts} attempts: other runs changed the store each time: {reason}")]
    Contention {
        /// The number of attempts.
        attempts: u32,
        /// What the last attempt found.
        reason: String,
    },
    /// The connection was lost at the swap, and the host can't be reached to find out whether the swap was done.
    #[error("the connection was lost at the swap, and the host can't be asked whether it was done: {lost}")]
    Uncertain {
        /// What is known about the loss.
        lost: String,
    },
    /// No release matches.
    #[error("there's no release {wanted:?}")]
    NoSuchRelease {
        /// What was requested.
        wanted: String,
        /// The releases in the store, newest first; empty if they were not listed.
        there: Vec<ReleaseId>,
    },
    /// Several releases begin with this prefix.
    #[error("{wanted:?} is ambiguous; it matches:{}", a_line_each(candidates))]
    AmbiguousRelease {
        /// The prefix.
        wanted: String,
        /// The releases that match it.
        candidates: Vec<ReleaseId>,
    },
    /// Nothing has been published yet.
    #[error("nothing has been published to {host} yet")]
    NothingPublished {
        /// The host.
        host: String,
    },
    /// There are not enough releases before this one.
    #[error("{}", too_few(from, *wanted, *there))]
    NoFormerRelease {
        /// The release to count back from.
        from: ReleaseId,
        /// How many steps back were requested.
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
    /// The release to roll back to was never live.
    #[error("{release} is the preview of channel {channel}, and was never live")]
    OfChannel {
        /// The release.
        release: ReleaseId,
        /// The channel that it was published to.
        channel: String,
    },
    /// There is no channel of this name.
    #[error("there's no channel {wanted}")]
    NoSuchChannel {
        /// What was requested.
        wanted: ChannelName,
        /// The channels of the store.
        there: Vec<ChannelName>,
    },
    /// A channel shows another release than the one that is to be promoted.
    #[error("channel {channel} shows {shows}, and not {wanted}")]
    ChannelMoved {
        /// The channel.
        channel: ChannelName,
        /// The release that it shows.
        shows: ReleaseId,
        /// The release that it should show, or the start of its ID.
        wanted: String,
    },
    /// Another release went live since a channel was published.
    #[error("{} went live since channel {channel} was published, so promoting it would undo that", live.as_ref().map_or("something", ReleaseId::as_str))]
    LiveMoved {
        /// The channel.
        channel: ChannelName,
        /// The release that was live when the channel was published, if it is still there.
        base: Option<ReleaseId>,
        /// The release that is live now.
        live: Option<ReleaseId>,
    },
    /// A release is damaged.
    #[error("{release} is damaged: {} problems", problems.len())]
    NotWhole {
        /// The release.
        release: ReleaseId,
        /// What is wrong, by path.
        problems: Vec<(String, String)>,
    },
    /// A release that must be signed has no signature that is accepted.
    #[error("{release} {problem}")]
    Unsigned {
        /// The release.
        release: ReleaseId,
        /// What is wrong.
        problem: String,
    },
    /// A release can't be signed, or signatures can't be verified.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A local file can't be read or written.
    #[error("can't {what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// What the system reported.
        source: std::io::Error,
    },
}

impl Error {
    /// There is no such release. The others were not listed.
    pub fn no_release(wanted: &ReleaseId) -> Self {
        Self::NoSuchRelease {
            wanted: wanted.to_string(),
            there: Vec::new(),
        }
    }
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

/// Since when and by whom, if that is known.
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
    /// The connection failed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The folder above the docroot is missing, so the docroot can't be made.
    #[error("the docroot on {host} doesn't exist, and neither does the folder above it")]
    NoParent {
        /// The host.
        host: String,
    },
    /// The docroot contains things that are not a release store.
    #[error(
        "the docroot on {host} is not empty and not a release store; it contains: {}",
        list(names)
    )]
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
        /// The format that its mark names.
        found: String,
    },
    /// Something in the store belongs to another user than the publishing account.
    #[error("{path} on {host} belongs to uid {uid}, and the publishing account is uid {ours}")]
    ForeignOwner {
        /// The host.
        host: String,
        /// Path below the docroot.
        path: String,
        /// The uid of its owner.
        uid: u32,
        /// The uid of the publishing account.
        ours: u32,
    },
    /// Other users may write to a part of the store, and could plant links there.
    #[error("{path} on {host} may be written by others (mode {mode:o})")]
    WritableByOthers {
        /// The host.
        host: String,
        /// The folder or file.
        path: StorePath,
        /// Its permission bits.
        mode: u32,
    },
    /// Something that should be a folder of the store is not a folder.
    #[error("{path} on {host} should be a folder and isn't")]
    NotAFolder {
        /// The host.
        host: String,
        /// The path that should be a folder.
        path: StorePath,
    },
    /// The publishing account may not write, or the disk is read-only.
    #[error("not allowed to write on {host}: {what}")]
    NotWritable {
        /// The host.
        host: String,
        /// The operation, and what the host reported.
        what: String,
    },
    /// The disk is full.
    #[error("the disk on {host} is full: {bytes} bytes free{}", if *files == Some(0) { ", no room for another file" } else { "" })]
    DiskFull {
        /// The host.
        host: String,
        /// The number of free bytes.
        bytes: u64,
        /// How many more files can be created, if the host reports it.
        files: Option<u64>,
    },
    /// The host refused an operation without a reason.
    #[error("{host} refused: {what}")]
    Refused {
        /// The host.
        host: String,
        /// The operation, and what the host reported.
        what: String,
        /// Whether a file was to be opened: the server may have too many open files.
        opening: bool,
    },
    /// A document or link of the store can't be parsed.
    #[error("{path} on {host} is damaged: {detail}")]
    Damaged {
        /// The host.
        host: String,
        /// Path below the docroot.
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
    /// Something in the store that can't be parsed, or that is missing.
    pub(crate) fn damaged(host: String, path: impl Into<String>, detail: impl Into<String>) -> Self {
        let (path, detail) = (path.into(), detail.into());
        Self::Damaged { host, path, detail }
    }

    /// The error for a few trees that were arranged to look like endless folders or files.
    pub(crate) fn endless(host: String, root: Digest) -> Self {
        let detail = "it leads to more folders or files than any web server could serve";
        Self::damaged(host, layout::manifest(root), detail)
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

/// Why the lock can't be acquired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Its holder is alive.
    #[error("{} holds the lock", describe(owner.as_ref()))]
    Busy {
        /// The holder, if it can be read.
        owner: Option<Owner>,
    },
    /// The lock's folder contains something that no run put there, which blocks the lock forever.
    #[error("the lock is jammed: its folder lock/ holds {name:?}, which no publish put there")]
    Jammed {
        /// The stray name.
        name: String,
    },
    /// Its holder is dead, and the host refuses to move the holder's staging directory out of the lock.
    #[error("cannot clear the stale lock of {}: {what}", describe(owner.as_ref()))]
    Stuck {
        /// The holder, if it can be read.
        owner: Option<Owner>,
        /// The operation, and what the host reported.
        what: String,
    },
    /// Another run took this run for a dead one and fenced it.
    #[error("the staging directory of this run was taken away while it was being prepared")]
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

/// A release can't be signed, or signatures can't be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Releases must be signed, and no key is configured.
    #[error("releases must be signed (`require` in [sign]), and there's no `key` to sign with")]
    NoKey,
    /// Signatures must be verified, and no allowed signers are configured.
    #[error("there's no `allowed-signers` in [sign], so no signature can be accepted")]
    NoAllowedSigners,
    /// The key has a passphrase, and this tool never prompts for one.
    #[error("the key {} has a passphrase, and there is no prompt for it", .key.display())]
    Passphrase {
        /// The key's file.
        key: PathBuf,
    },
    /// The key can't be used.
    #[error("can't sign with the key {}: {detail}", .key.display())]
    Key {
        /// The key's file.
        key: PathBuf,
        /// What `ssh-keygen` reported.
        detail: String,
    },
    /// The key can sign, but its signatures are not accepted.
    #[error("a signature of the key {} is not accepted by {}: {detail}", .key.display(), .allowed.display())]
    NotAllowed {
        /// The key's file.
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
        /// What the system reported.
        detail: String,
    },
    /// `ssh-keygen` can't be run.
    #[error("can't run ssh-keygen: {detail}")]
    Program {
        /// What the system reported.
        detail: String,
    },
}

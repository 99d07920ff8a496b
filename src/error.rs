//! Every way in which a command can fail, each with its exit code and what to do next.
//!
//! Pure. Says what happened and to what; what is live now is the session's knowledge, and how it is shown is the
//! command line's.

use crate::build::BuildError;
use crate::check::{Problem, Severity};
use crate::host::HostError;
use crate::live::Finding;
use crate::model::path::printable;
use crate::model::release::{Hold, ReleaseId, timestamp};
use crate::scan::ScanError;
use crate::sign::SignError;
use crate::source::SourceError;
use crate::store::StoreError;
use crate::workshop::Taken;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The export could not be read, or holds what can't be published.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A check found something that must not go live.
    #[error("the checks found {} in the export", errors(problems))]
    Check {
        /// What was found.
        problems: Vec<Problem>,
    },
    /// A file of the export changed or can't be encoded.
    #[error(transparent)]
    Source(#[from] SourceError),
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
    /// A release failed at the origin where the one before did not, and that one is live again.
    #[error(
        "{release} failed at the origin and was rolled back, so {live} is live again: {}",
        failed(findings)
    )]
    TakenBack {
        /// The release that failed.
        release: ReleaseId,
        /// The one that is live again.
        live: ReleaseId,
        /// What failed.
        findings: Vec<Finding>,
    },
    /// A release failed at the origin, and the one before could not be made live again.
    #[error(
        "{release} is live and fails at the origin, and the rollback to {previous} failed: {source}: {}",
        failed(findings)
    )]
    CannotGoBack {
        /// The release that fails.
        release: ReleaseId,
        /// The one that should be live again.
        previous: ReleaseId,
        /// What failed.
        findings: Vec<Finding>,
        /// Why there is no way back.
        source: Box<Error>,
    },
    /// A build can't be written.
    #[error(transparent)]
    Build(BuildError),
    /// A file of this machine can't be read or written.
    #[error("can't {what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Ended by a signal.
    #[error("{}", signalled(*number))]
    Signal {
        /// Its number.
        number: i32,
    },
}

/// Which requests failed.
fn failed(findings: &[Finding]) -> String {
    crate::live::failures(findings.iter(), None, &|_| None)
}

/// How a signal ends a run: Ctrl-C is the one that people send.
fn signalled(number: i32) -> String {
    match number {
        2 => "interrupted".to_owned(),
        15 => "terminated".to_owned(),
        number => format!("ended by signal {number}"),
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

/// Since when and by whom, where that is known.
fn since(hold: &Hold) -> String {
    if hold.since == 0 {
        return String::new();
    }
    format!(" since {}, by {}", timestamp(hold.since), printable(&hold.who))
}

fn errors(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    match errors.count() {
        1 => "an error".to_owned(),
        count => format!("{count} errors"),
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        Self::Store(StoreError::Host(error))
    }
}

impl Error {
    /// The process's exit code; `docs/reference.md` lists them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Scan(
                ScanError::Missing { .. }
                | ScanError::NotAFolder { .. }
                | ScanError::Closed { .. }
                | ScanError::Empty { .. }
                | ScanError::Unfit { .. },
            )
            | Self::Check { .. }
            | Self::RemovesTooMuch { .. } => 3,
            Self::Sign(SignError::NoKey | SignError::NoAllowedSigners | SignError::AllowedSigners { .. }) => 2,
            Self::Taken(Taken::Busy { .. } | Taken::Buried)
            | Self::Overtaken { .. }
            | Self::Contended { .. }
            | Self::OnHold { .. } => 4,
            Self::Store(StoreError::Host(HostError::Panicked { .. }))
            | Self::Scan(ScanError::Changed { .. } | ScanError::Vanished { .. })
            | Self::Source(_)
            | Self::NoPeace { .. }
            | Self::NoSuchRelease { .. }
            | Self::AmbiguousRelease { .. }
            | Self::NothingPublished { .. }
            | Self::NoFormerRelease { .. }
            | Self::AlreadyLive { .. }
            | Self::NotWhole { .. }
            | Self::Unsigned { .. }
            | Self::Sign(_)
            | Self::Build(_)
            | Self::Io { .. } => 1,
            Self::Store(_) | Self::Taken(Taken::Jammed { .. } | Taken::Stuck { .. }) => 5,
            Self::TakenBack { .. } => 6,
            Self::CannotGoBack { .. } => 7,
            Self::Uncertain { .. } => 8,
            Self::Signal { number } => u8::try_from(128 + number).unwrap_or(1),
        }
    }

    /// A short name of the kind, for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(SourceError::Worker { .. }) => "panic",
            Self::Scan(ScanError::Changed { .. } | ScanError::Vanished { .. }) | Self::Source(_) => "export-changed",
            Self::Scan(_) => "export",
            Self::Check { .. } => "check",
            Self::RemovesTooMuch { .. } => "removes-too-much",
            Self::Store(error) => store_code(error),
            Self::Taken(Taken::Busy { .. }) => "locked",
            Self::Taken(Taken::Jammed { .. }) => "lock-jammed",
            Self::Taken(Taken::Stuck { .. }) => "lock-stuck",
            Self::Taken(Taken::Buried) => "workshop-buried",
            Self::Overtaken { .. } => "overtaken",
            Self::OnHold { .. } => "on-hold",
            Self::NoPeace { .. } => "no-peace",
            Self::Contended { .. } => "contended",
            Self::Uncertain { .. } => "uncertain",
            Self::NoSuchRelease { .. } => "no-such-release",
            Self::AmbiguousRelease { .. } => "ambiguous-release",
            Self::NothingPublished { .. } => "nothing-published",
            Self::NoFormerRelease { .. } => "no-former-release",
            Self::AlreadyLive { .. } => "already-live",
            Self::NotWhole { .. } => "not-whole",
            Self::Unsigned { .. } => "unsigned",
            Self::Sign(error) => match error {
                SignError::NoKey | SignError::NoAllowedSigners => "sign-settings",
                SignError::Passphrase { .. } | SignError::Key { .. } | SignError::NotAllowed { .. } => "sign-key",
                SignError::AllowedSigners { .. } => "allowed-signers",
                SignError::Program { .. } => "no-ssh-keygen",
            },
            Self::TakenBack { .. } => "taken-back",
            Self::CannotGoBack { .. } => "cannot-go-back",
            Self::Build(error) => match error {
                BuildError::Foreign { .. } => "foreign-files",
                BuildError::NotAFolder { .. } => "not-a-folder",
                BuildError::NoName { .. } => "no-name",
                BuildError::Io { .. } => "io",
                BuildError::Source(_) => "export-changed",
            },
            Self::Io { .. } => "io",
            Self::Signal { .. } => "signal",
        }
    }
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Host(error) => match error {
            HostError::Unreachable { .. } => "unreachable",
            HostError::KeyRefused { .. } => "key-refused",
            HostError::HostKey { .. } => "host-key",
            HostError::NoSftp { .. } => "no-sftp",
            HostError::MissingExtension { .. } => "missing-extension",
            HostError::Folder { .. } => "folder",
            HostError::Lost { .. } => "connection-lost",
            HostError::Panicked { .. } => "panic",
        },
        StoreError::NoParent { .. } => "no-parent",
        StoreError::NotAStore { .. } => "not-a-store",
        StoreError::NewerFormat { .. } => "newer-format",
        StoreError::ForeignOwner { .. } => "foreign-owner",
        StoreError::WritableByOthers { .. } => "writable-by-others",
        StoreError::NotAFolder { .. } => "not-a-folder",
        StoreError::NotWritable { .. } => "not-writable",
        StoreError::DiskFull { .. } => "disk-full",
        StoreError::Refused { .. } => "refused",
        StoreError::Damaged { .. } => "damaged",
    }
}

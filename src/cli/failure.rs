//! Every failure of the command: the errors of the library, and those that only a command line has.

use std::path::PathBuf;

use syntax_publish::config::ConfigError;
use syntax_publish::host::HostError;
use syntax_publish::live::deliver::DeliverError;
use syntax_publish::preview::port::PortError;
use syntax_publish::preview::watch::WatchError;
use syntax_publish::rules::nginx::VhostError;
use syntax_publish::site::SiteError;
use syntax_publish::site::plain_folder::BuildError;
use syntax_publish::site::scan::ScanError;
use syntax_publish::site::source::SourceError;
use syntax_publish::store;
use syntax_publish::store::LockError;
use syntax_publish::store::SignError;
use syntax_publish::store::StoreError;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The site can't be prepared from the export.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// An operation on the store failed.
    #[error(transparent)]
    Store(store::Error),
    /// A release failed at the origin.
    #[error(transparent)]
    Delivery(DeliverError),
    /// A build can't be written.
    #[error(transparent)]
    Build(BuildError),
    /// A local file can't be read or written.
    #[error("can't {what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The run was ended by a signal.
    #[error("{}", signalled(*number))]
    Signal {
        /// The number of the signal.
        number: i32,
    },
    /// There is no site manifest in the folder or above it.
    #[error("there is no site-manifest.toml in {} or a folder above it", .folder.display())]
    NoSiteManifest {
        /// The folder where the search started.
        folder: PathBuf,
    },
    /// The nearest site manifest belongs to another user.
    #[error("{} belongs to another user (uid {uid}), or its folder does: nothing of it was used", super::format::shown(.file))]
    ForeignSiteManifest {
        /// The file.
        file: PathBuf,
        /// The user that the file or its folder belongs to.
        uid: u32,
    },
    /// The site manifest can't be read.
    #[error("can't read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A site manifest already exists.
    #[error("{} is there already", super::format::shown(.file))]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The site manifest contains mistakes.
    #[error("{} can't be used:\n  {}", super::format::shown(.file), .mistakes.to_string().replace('\n', "\n  "))]
    Config {
        /// The file.
        file: PathBuf,
        /// All mistakes. They are not a cause of this error, because its text already names them.
        mistakes: ConfigError,
    },
    /// There is no such command.
    #[error("there is no command {name:?}")]
    NoSuchCommand {
        /// The name that was given.
        name: String,
    },
    /// The site manifest has no target of this name.
    #[error("the site manifest has no target {name:?}")]
    NoSuchTarget {
        /// The name that was given.
        name: String,
        /// The names of the targets that exist.
        known: Vec<String>,
    },
    /// A path begins with `~/`, and the home folder is unknown.
    #[error("{path} begins with `~/`, and HOME is not set")]
    NoHome {
        /// The path.
        path: String,
    },
    /// One folder is inside another, so what is written to one would be read or removed as part of the other.
    #[error("{} {} lies within {} {}", .inner.0, super::format::shown(&.inner.1), .outer.0, super::format::shown(&.outer.1))]
    Nested {
        /// What the inner folder is, and its path.
        inner: (&'static str, PathBuf),
        /// What the outer folder is, and its path.
        outer: (&'static str, PathBuf),
    },
    /// The address of an SFTP target can't be passed to ssh.
    #[error("{detail}")]
    Address {
        /// What is wrong.
        detail: String,
    },
    /// The vhost can't be printed.
    #[error(transparent)]
    Vhost(#[from] VhostError),
    /// There is no port for the preview.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Changes can't be noticed.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// There is no side to check, neither the origin nor the public URL.
    #[error("{}", if *.has_url { "the site manifest turns off the check of both the origin and the public URL" } else { "the site has no `url`, so it is not known where visitors find it" })]
    NobodyToAsk {
        /// Whether the site has a URL.
        has_url: bool,
    },
    /// The command's own output can't be written.
    #[error("can't write the output: {source}")]
    Output {
        /// The error of the system.
        source: std::io::Error,
    },
}

/// Unwraps errors that only pass on an error of another module, so that a failure is the same wherever it was noticed.
impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Site(error) => Self::Site(error),
            store::Error::Io { what, source } => Self::Io { what, source },
            error => Self::Store(error),
        }
    }
}

impl From<DeliverError> for Failure {
    fn from(error: DeliverError) -> Self {
        match error {
            DeliverError::Store(error) => error.into(),
            error => Self::Delivery(error),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Source(error) => Self::Site(error.into()),
            error => Self::Build(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        store::Error::from(error).into()
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        store::Error::from(error).into()
    }
}

/// Describes how a signal ended the run. SIGINT is usually Ctrl-C.
fn signalled(number: i32) -> String {
    match number {
        2 => "interrupted".to_owned(),
        15 => "terminated".to_owned(),
        number => format!("ended by signal {number}"),
    }
}

impl Failure {
    /// Returns the exit code. `docs/reference.md` lists all of them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Site(error) => site_exit_code(error),
            Self::Store(error) => store_exit_code(error),
            Self::Delivery(error) => match error {
                DeliverError::Store(error) => store_exit_code(error),
                DeliverError::RolledBack { .. } => 6,
                DeliverError::CannotGoBack { .. } => 7,
            },
            Self::Signal { number } => u8::try_from(128 + number).unwrap_or(1),
            Self::NoSiteManifest { .. }
            | Self::ForeignSiteManifest { .. }
            | Self::Unreadable { .. }
            | Self::Exists { .. }
            | Self::Config { .. }
            | Self::NoSuchTarget { .. }
            | Self::NoSuchCommand { .. }
            | Self::NoHome { .. }
            | Self::Nested { .. }
            | Self::Address { .. }
            | Self::NobodyToAsk { .. }
            | Self::Vhost(_) => 2,
            Self::Build(_) | Self::Io { .. } | Self::Port(_) | Self::Watch(_) | Self::Output { .. } => 1,
        }
    }

    /// Returns a short name of the kind of failure, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Site(error) => site_code(error),
            Self::Store(error) => store_code(error),
            Self::Delivery(error) => match error {
                DeliverError::Store(error) => store_code(error),
                DeliverError::RolledBack { .. } => "taken-back",
                DeliverError::CannotGoBack { .. } => "cannot-go-back",
            },
            Self::Build(error) => match error {
                BuildError::Foreign { .. } => "foreign-files",
                BuildError::NotAFolder { .. } => "not-a-folder",
                BuildError::NoName { .. } => "no-name",
                BuildError::Io { .. } => "io",
                BuildError::Source(_) => "export-changed",
            },
            Self::Io { .. } => "io",
            Self::Signal { .. } => "signal",
            Self::NoSiteManifest { .. } => "no-site-manifest",
            Self::ForeignSiteManifest { .. } => "foreign-site-manifest",
            Self::Unreadable { .. } | Self::Config { .. } => "site-manifest",
            Self::Exists { .. } => "exists",
            Self::NoSuchTarget { .. } => "no-such-target",
            Self::NoSuchCommand { .. } => "no-such-command",
            Self::NoHome { .. } => "no-home",
            Self::Nested { .. } => "nested",
            Self::Address { .. } => "address",
            Self::NobodyToAsk { .. } => "nobody-to-ask",
            Self::Vhost(_) => "vhost",
            Self::Port(PortError::Taken { .. }) => "port-taken",
            Self::Port(PortError::Refused { .. }) => "listen",
            Self::Watch(WatchError::Limit { .. }) => "watch-limit",
            Self::Watch(WatchError::Failed { .. }) => "watch",
            Self::Output { .. } => "output",
        }
    }

    /// Whether the output could not be written because its reader has exited, which is not a mistake.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn site_exit_code(error: &SiteError) -> u8 {
    match error {
        SiteError::Scan(ScanError::Changed { .. } | ScanError::Vanished { .. })
        | SiteError::Source(_)
        | SiteError::Patterns { .. } => 1,
        SiteError::Scan(_) | SiteError::Check { .. } => 3,
    }
}

fn store_exit_code(error: &store::Error) -> u8 {
    use store::Error;
    match error {
        Error::Site(error) => site_exit_code(error),
        Error::RemovesTooMuch { .. } => 3,
        Error::Sign(SignError::NoKey | SignError::NoAllowedSigners | SignError::AllowedSigners { .. }) => 2,
        Error::Taken(LockError::Busy { .. } | LockError::Fenced)
        | Error::ConcurrentPublish { .. }
        | Error::Contention { .. }
        | Error::OnHold { .. } => 4,
        Error::Store(StoreError::Host(HostError::Panicked { .. }))
        | Error::KeptChanging { .. }
        | Error::NoSuchRelease { .. }
        | Error::AmbiguousRelease { .. }
        | Error::NothingPublished { .. }
        | Error::NoFormerRelease { .. }
        | Error::AlreadyLive { .. }
        | Error::NotWhole { .. }
        | Error::Unsigned { .. }
        | Error::Sign(_)
        | Error::Io { .. } => 1,
        Error::Store(_) | Error::Taken(LockError::Jammed { .. } | LockError::Stuck { .. }) => 5,
        Error::Uncertain { .. } => 8,
    }
}

fn site_code(error: &SiteError) -> &'static str {
    match error {
        SiteError::Source(SourceError::Worker { .. }) => "panic",
        SiteError::Scan(ScanError::Changed { .. } | ScanError::Vanished { .. }) | SiteError::Source(_) => {
            "export-changed"
        }
        SiteError::Scan(_) => "export",
        SiteError::Check { .. } => "check",
        SiteError::Patterns { .. } => "io",
    }
}

fn store_code(error: &store::Error) -> &'static str {
    use store::Error;
    match error {
        Error::Site(error) => site_code(error),
        Error::RemovesTooMuch { .. } => "removes-too-much",
        Error::Store(error) => access_code(error),
        Error::Taken(LockError::Busy { .. }) => "locked",
        Error::Taken(LockError::Jammed { .. }) => "lock-jammed",
        Error::Taken(LockError::Stuck { .. }) => "lock-stuck",
        Error::Taken(LockError::Fenced) => "workshop-buried",
        Error::ConcurrentPublish { .. } => "overtaken",
        Error::OnHold { .. } => "on-hold",
        Error::KeptChanging { .. } => "no-peace",
        Error::Contention { .. } => "contended",
        Error::Uncertain { .. } => "uncertain",
        Error::NoSuchRelease { .. } => "no-such-release",
        Error::AmbiguousRelease { .. } => "ambiguous-release",
        Error::NothingPublished { .. } => "nothing-published",
        Error::NoFormerRelease { .. } => "no-former-release",
        Error::AlreadyLive { .. } => "already-live",
        Error::NotWhole { .. } => "not-whole",
        Error::Unsigned { .. } => "unsigned",
        Error::Sign(error) => match error {
            SignError::NoKey | SignError::NoAllowedSigners => "sign-settings",
            SignError::Passphrase { .. } | SignError::Key { .. } | SignError::NotAllowed { .. } => "sign-key",
            SignError::AllowedSigners { .. } => "allowed-signers",
            SignError::Program { .. } => "no-ssh-keygen",
        },
        Error::Io { .. } => "io",
    }
}

fn access_code(error: &StoreError) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_same_wherever_it_was_noticed() {
        let panicked = || SourceError::Worker { detail: "x".to_owned() };
        let everywhere = [
            Failure::from(SiteError::from(panicked())),
            Failure::from(store::Error::from(panicked())),
            Failure::from(DeliverError::from(store::Error::from(panicked()))),
            Failure::from(BuildError::from(panicked())),
        ];
        for failure in everywhere {
            assert_eq!((failure.exit_code(), failure.code()), (1, "panic"), "{failure:?}");
        }
    }
}

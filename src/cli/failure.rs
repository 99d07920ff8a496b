//! Every failure of the command: the errors of the library, and those that only a command line has.

use std::path::{Path, PathBuf};

use syntax_publish::config::ConfigError;
use syntax_publish::host::{BadSshAddress, HostErrorKind};
use syntax_publish::live::deliver::DeliverError;
use syntax_publish::preview::port::PortError;
use syntax_publish::preview::watch::WatchError;
use syntax_publish::rules::nginx::VhostError;
use syntax_publish::site::SiteError;
use syntax_publish::site::plain_folder::BuildError;
use syntax_publish::site::scan::ScanError;
use syntax_publish::site::source::SourceError;
use syntax_publish::store::{self, LockError, SignError, StoreError};

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
    /// A thread panicked.
    #[error("syntax-publish panicked: {message}")]
    Bug {
        /// The message of the panic, and where it was.
        message: String,
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
    #[error(transparent)]
    Address(#[from] BadSshAddress),
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

/// Describes how a signal ended the run. SIGINT is usually Ctrl-C.
fn signalled(number: i32) -> String {
    match number {
        2 => "interrupted".to_owned(),
        15 => "terminated".to_owned(),
        number => format!("ended by signal {number}"),
    }
}

impl Failure {
    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        self.codes().0
    }

    /// Returns a short name of the kind of failure, for scripts.
    pub fn code(&self) -> &'static str {
        self.codes().1
    }

    /// Returns the exit code and the name of the kind of failure. `docs/reference.md` lists all of them.
    fn codes(&self) -> (u8, &'static str) {
        match self {
            Self::Site(error) => site_codes(error),
            Self::Store(error) | Self::Delivery(DeliverError::Store(error)) => store_codes(error),
            Self::Delivery(DeliverError::RolledBack { .. }) => (6, "taken-back"),
            Self::Delivery(DeliverError::CannotGoBack { .. }) => (7, "cannot-go-back"),
            Self::Build(BuildError::Foreign { .. }) => (1, "foreign-files"),
            Self::Build(BuildError::NotAFolder(_)) => (1, "not-a-folder"),
            Self::Build(BuildError::NoName(_)) => (1, "no-name"),
            Self::Build(BuildError::Io { .. }) | Self::Io { .. } => (1, "io"),
            Self::Build(BuildError::Source(_)) => (1, "export-changed"),
            Self::Bug { .. } => (1, "panic"),
            Self::Signal { number } => (u8::try_from(128 + number).unwrap_or(1), "signal"),
            Self::NoSiteManifest { .. } => (2, "no-site-manifest"),
            Self::ForeignSiteManifest { .. } => (2, "foreign-site-manifest"),
            Self::Unreadable { .. } | Self::Config { .. } => (2, "site-manifest"),
            Self::Exists { .. } => (2, "exists"),
            Self::NoSuchTarget { .. } => (2, "no-such-target"),
            Self::NoSuchCommand { .. } => (2, "no-such-command"),
            Self::NoHome { .. } => (2, "no-home"),
            Self::Nested { .. } => (2, "nested"),
            Self::Address(_) => (2, "address"),
            Self::NobodyToAsk { .. } => (2, "nobody-to-ask"),
            Self::Vhost(_) => (2, "vhost"),
            Self::Port(PortError::Taken { .. }) => (1, "port-taken"),
            Self::Port(PortError::Refused { .. }) => (1, "listen"),
            Self::Watch(WatchError::Limit(_)) => (1, "watch-limit"),
            Self::Watch(WatchError::Failed { .. }) => (1, "watch"),
            Self::Output { .. } => (1, "output"),
        }
    }

    /// The failure to read a file that a command was given.
    pub fn unreadable(file: &Path, source: impl Into<std::io::Error>) -> Self {
        let (file, source) = (file.to_owned(), source.into());
        Self::Unreadable { file, source }
    }

    /// The failure to write a file.
    pub fn cannot_write(file: &Path, source: std::io::Error) -> Self {
        let what = format!("write {}", super::format::shown(file));
        Self::Io { what, source }
    }

    /// Whether the output could not be written because its reader has exited, which is not a mistake.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn site_codes(error: &SiteError) -> (u8, &'static str) {
    match error {
        SiteError::Source(SourceError::Worker(_)) => (1, "panic"),
        SiteError::Scan(ScanError::Changed(_) | ScanError::Vanished(_)) | SiteError::Source(_) => (1, "export-changed"),
        SiteError::Scan(_) => (3, "export"),
        SiteError::Check(_) => (3, "check"),
        SiteError::Patterns(_) => (1, "io"),
    }
}

fn store_codes(error: &store::Error) -> (u8, &'static str) {
    use store::Error;
    match error {
        Error::Site(error) => site_codes(error),
        Error::RemovesTooMuch { .. } => (3, "removes-too-much"),
        Error::Store(error) => access_codes(error),
        Error::Taken(LockError::Busy { .. }) => (4, "locked"),
        Error::Taken(LockError::Jammed { .. }) => (5, "lock-jammed"),
        Error::Taken(LockError::Stuck { .. }) => (5, "lock-stuck"),
        Error::Taken(LockError::Fenced) => (4, "workshop-buried"),
        Error::ConcurrentPublish { .. } => (4, "overtaken"),
        Error::OnHold { .. } => (4, "on-hold"),
        Error::KeptChanging { .. } => (1, "no-peace"),
        Error::Contention { .. } => (4, "contended"),
        Error::Uncertain { .. } => (8, "uncertain"),
        Error::NoSuchRelease { .. } => (1, "no-such-release"),
        Error::AmbiguousRelease { .. } => (1, "ambiguous-release"),
        Error::NothingPublished { .. } => (1, "nothing-published"),
        Error::NoFormerRelease { .. } => (1, "no-former-release"),
        Error::AlreadyLive { .. } => (1, "already-live"),
        Error::OfChannel { .. } => (1, "of-channel"),
        Error::NoSuchChannel { .. } => (1, "no-such-channel"),
        Error::ChannelMoved { .. } => (4, "channel-moved"),
        Error::LiveMoved { .. } => (4, "live-moved"),
        Error::NotWhole { .. } => (1, "not-whole"),
        Error::Unsigned { .. } => (1, "unsigned"),
        Error::Sign(SignError::NoKey | SignError::NoAllowedSigners) => (2, "sign-settings"),
        Error::Sign(SignError::Passphrase { .. } | SignError::Key { .. } | SignError::NotAllowed { .. }) => {
            (1, "sign-key")
        }
        Error::Sign(SignError::AllowedSigners { .. }) => (2, "allowed-signers"),
        Error::Sign(SignError::Program { .. }) => (1, "no-ssh-keygen"),
        Error::Io { .. } => (1, "io"),
    }
}

fn access_codes(error: &StoreError) -> (u8, &'static str) {
    match error {
        StoreError::Host(error) => host_codes(error.kind),
        StoreError::NoParent { .. } => (5, "no-parent"),
        StoreError::NotAStore { .. } => (5, "not-a-store"),
        StoreError::NewerFormat { .. } => (5, "newer-format"),
        StoreError::ForeignOwner { .. } => (5, "foreign-owner"),
        StoreError::WritableByOthers { .. } => (5, "writable-by-others"),
        StoreError::NotAFolder { .. } => (5, "not-a-folder"),
        StoreError::NotWritable { .. } => (5, "not-writable"),
        StoreError::DiskFull { .. } => (5, "disk-full"),
        StoreError::Refused { .. } => (5, "refused"),
        StoreError::Damaged { .. } => (5, "damaged"),
    }
}

fn host_codes(kind: HostErrorKind) -> (u8, &'static str) {
    match kind {
        HostErrorKind::Unreachable => (5, "unreachable"),
        HostErrorKind::KeyRefused => (5, "key-refused"),
        HostErrorKind::UnknownHostKey | HostErrorKind::OtherHostKey => (5, "host-key"),
        HostErrorKind::NoSftp => (5, "no-sftp"),
        HostErrorKind::MissingExtension => (5, "missing-extension"),
        HostErrorKind::Folder => (5, "folder"),
        HostErrorKind::Lost => (5, "connection-lost"),
        HostErrorKind::Panicked => (1, "panic"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_same_wherever_it_was_noticed() {
        let panicked = || SourceError::Worker("x".to_owned());
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

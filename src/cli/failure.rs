//! Every way in which the command can end badly: the library's errors, and those that only a command line has.

use std::path::PathBuf;

use syntax_publish::config::ConfigError;
use syntax_publish::error::Error;
use syntax_publish::nginx::VhostError;
use syntax_publish::preview::port::PortError;
use syntax_publish::watch::WatchError;

/// The command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The library's.
    #[error(transparent)]
    Library(#[from] Error),
    /// No site manifest, here or above.
    #[error("there is no site-manifest.toml in {} or a folder above it", .folder.display())]
    NoSiteManifest {
        /// Where the search began.
        folder: PathBuf,
    },
    /// The nearest site manifest belongs to another user.
    #[error("{} belongs to another user (uid {uid}), or its folder does: nothing of it was used", super::site::shown(.file))]
    ForeignSiteManifest {
        /// The file.
        file: PathBuf,
        /// Whom it belongs to.
        uid: u32,
    },
    /// The site manifest can't be read.
    #[error("can't read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is a site manifest already.
    #[error("{} is there already", super::site::shown(.file))]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The site manifest has mistakes.
    #[error("{} can't be used:\n  {}", super::site::shown(.file), .mistakes.to_string().replace('\n', "\n  "))]
    Config {
        /// The file.
        file: PathBuf,
        /// All of them. Not a cause: the text names them.
        mistakes: ConfigError,
    },
    /// There is no such command.
    #[error("there is no command {name:?}")]
    NoSuchCommand {
        /// Its name.
        name: String,
    },
    /// The site manifest has no such target.
    #[error("the site manifest has no target {name:?}")]
    NoSuchTarget {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A path that begins with `~/`, and no one knows whose home is meant.
    #[error("{path} begins with `~/`, and HOME is not set")]
    NoHome {
        /// The path.
        path: String,
    },
    /// One folder lies in another, where what is written to the one would be read, or removed, as part of the other.
    #[error("{} {} lies within {} {}", .inner.0, super::site::shown(&.inner.1), .outer.0, super::site::shown(&.outer.1))]
    Nested {
        /// What the inner folder is, and where.
        inner: (&'static str, PathBuf),
        /// What the outer folder is, and where.
        outer: (&'static str, PathBuf),
    },
    /// An sftp target that can't be given to ssh.
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
    /// There is no one to ask whether visitors get the site.
    #[error("{}", if *.has_url { "the site manifest turns off the check of both the origin and the public URL" } else { "the site has no `url`, so it is not known where visitors find it" })]
    NobodyToAsk {
        /// Whether the site has a URL.
        has_url: bool,
    },
    /// The command's own output can't be written.
    #[error("can't write the output: {source}")]
    Output {
        /// What the system said.
        source: std::io::Error,
    },
}

macro_rules! by_way_of_error {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Failure {
            fn from(error: $kind) -> Self {
                Self::Library(error.into())
            }
        }
    )*};
}

by_way_of_error!(
    syntax_publish::store::StoreError,
    syntax_publish::host::HostError,
    syntax_publish::build::BuildError
);

impl Failure {
    /// The exit code; `docs/reference.md` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Library(error) => error.exit_code(),
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
            Self::Port(_) | Self::Watch(_) | Self::Output { .. } => 1,
        }
    }

    /// A short name of the kind, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Library(error) => error.code(),
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

    /// Whether the reader of the output went away, which is no mistake of anybody's.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

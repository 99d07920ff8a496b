//! A host: the place that contains a store, reached locally or over SFTP.
//!
//! The trait mainly consists of one method: it executes a *flight*, operations that are sent together and answered
//! together. So any work takes as many round trips as it has flights. A host contains no policy: no retries, no
//! recursion, no reordering, no output. It must never execute an operation that was not in a flight, and never report
//! an operation as done without knowing that it is done.

mod counts;
mod key;
mod local;
mod op;
pub mod panics;
mod sftp;
mod ssh;
mod why;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};

pub use counts::Counts;
pub use local::{Local, LocalConnector};
pub(crate) use op::refuse_impossible_names;
pub use op::{Answer, Attr, Handle, Kind, MAX_READ, Op, Refusal, RefusalKind, Reply, Space, Time};
pub use sftp::{Sftp, SftpConnector};
pub use ssh::{BadSshAddress, SftpAddress, Sharing, command_line, opens_shell, real_name};
pub use why::Why;

/// The answers of a flight, one per operation, in the order of the operations.
pub type Answers = Vec<Reply>;

/// A place that executes operations on one docroot.
///
/// # Contract
/// - The operations of a flight are executed in order, each one regardless of whether those before it succeeded. They
///   are executed after all operations of flights whose answers have been awaited. Two flights that are sent
///   concurrently may interleave.
/// - Paths are relative to the docroot and reach the file system unchanged: the file system resolves `..`, after
///   symlinks. The empty path is the docroot itself.
/// - `Rename` replaces a file or an empty folder and fails if the destination is a non-empty folder. `Link`, `Symlink`,
///   `Create` and `MakeFolder` fail if something exists, even a dangling symlink. `Link` of a symlink links the
///   symlink.
/// - `Finish` answers after everything written is on the disk. `Close` does not guarantee that.
/// - `Err` means that the connection is gone. Any operation of the flight may already have been executed, or may still
///   be.
pub trait Host: Send + Sync {
    /// Sends the operations together and waits for all answers.
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>>;

    /// Whether the host supports [`Op::Copy`]. Not every host does.
    fn copies(&self) -> bool {
        false
    }
}

/// The answers of a flight that was sent while connecting.
pub type EarlyAnswers = BoxFuture<'static, Result<Answers, HostError>>;

/// A new connection. `None` if the flight was not sent yet.
pub type Connected = (Box<dyn Host>, Option<EarlyAnswers>);

/// Opens connections to one host: the first one, and another one after a connection is lost.
pub trait Connect: Send + Sync {
    /// Connects.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>>;

    /// Connects to ask something that only reads ([`Op::only_reads`]). The operations may be on their way before it is
    /// known whether the host can be used at all, which saves round trips. They may have been executed even if
    /// connecting fails. By default, nothing is sent early.
    fn connect_asking(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Connected, HostError>> {
        drop(ops);
        Box::pin(async { Ok((self.connect().await?, None)) })
    }

    /// Opens more connections, as many as are worth their price to send so many small files, one after another. Ends
    /// at the first that can't be opened. By default there are none.
    fn connect_more(&self, files: usize) -> BoxStream<'_, Box<dyn Host>> {
        let _ = files;
        stream::empty().boxed()
    }

    /// The host's name in messages: a host name or a folder.
    fn name(&self) -> String;
}

/// The host can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No connection was established: an unknown name, a network problem, or nothing listens.
    #[error("can't reach {host}: {detail}")]
    Unreachable {
        /// The host.
        host: String,
        /// The message of ssh.
        detail: String,
        /// The specific cause, if known.
        why: Why,
    },
    /// The host does not accept the key, or this machine can't use the key.
    #[error("{}", if why.is_local_key() { format!("no key can be used for {host}: {detail}") } else { format!("{host} refuses the key: {detail}") })]
    KeyRefused {
        /// The host.
        host: String,
        /// The message of ssh.
        detail: String,
        /// The specific cause, if known.
        why: Why,
    },
    /// The host presents a key that is not known, or not the pinned one.
    #[error("{}: {detail}", if *changed { format!("host key mismatch for {host}") } else { format!("the key of {host} is not known") })]
    HostKey {
        /// The host.
        host: String,
        /// Whether the key differs from the known one; otherwise no key is known.
        changed: bool,
        /// The message of ssh.
        detail: String,
    },
    /// The connection works, but the host does not serve SFTP over it.
    #[error("{host} does not serve SFTP: {detail}")]
    NoSftp {
        /// The host.
        host: String,
        /// The message of ssh or of the protocol.
        detail: String,
        /// The specific cause, if known.
        why: Why,
    },
    /// The SFTP server lacks an extension that the store needs.
    #[error("the SFTP server of {host} lacks the extension {extension}")]
    MissingExtension {
        /// The host.
        host: String,
        /// The extension's name in the protocol.
        extension: String,
        /// The specific cause, if known.
        why: Why,
    },
    /// The docroot can't be used at all.
    #[error("can't use the folder {folder}: {detail}")]
    Folder {
        /// The folder.
        folder: String,
        /// The message of the system.
        detail: String,
    },
    /// An established connection was lost.
    #[error("the connection to {host} was lost: {detail}")]
    Lost {
        /// The host.
        host: String,
        /// The known details.
        detail: String,
    },
    /// A task panicked. This is a bug of this program, whatever the host did.
    #[error("a task of syntax-publish that works with {host} panicked: {detail}")]
    Panicked {
        /// The host.
        host: String,
        /// The panic message.
        detail: String,
    },
}

impl HostError {
    /// Adds the number of tries to the message of an unreachable host, if it was retried.
    #[must_use]
    pub(crate) fn after(mut self, tries: u32) -> Self {
        if let (Self::Unreachable { detail, .. }, 1..) = (&mut self, tries) {
            *detail = format!("{detail} (tried {} times)", tries + 1);
        }
        self
    }

    /// The specific cause, if it is known better than the kind of the error.
    #[must_use]
    pub const fn why(&self) -> &Why {
        match self {
            Self::Unreachable { why, .. }
            | Self::KeyRefused { why, .. }
            | Self::NoSftp { why, .. }
            | Self::MissingExtension { why, .. } => why,
            Self::HostKey { .. } | Self::Folder { .. } | Self::Lost { .. } | Self::Panicked { .. } => &Why::Unknown,
        }
    }
}

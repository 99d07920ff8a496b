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

use std::fmt;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// What is wrong.
    pub kind: HostErrorKind,
    /// The host; its folder if that can't be used.
    pub host: String,
    /// The message of ssh, of the protocol or of the system; the name of an extension that is missing.
    pub detail: String,
    /// The specific cause, if it is known better than the kind of the error.
    pub why: Why,
}

/// What is wrong with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostErrorKind {
    /// No connection was established: an unknown name, a network problem, or nothing listens.
    Unreachable,
    /// The host does not accept the key, or this machine can't use the key.
    KeyRefused,
    /// The host presents a key, and none is known.
    UnknownHostKey,
    /// The host presents another key than the one that is known or pinned.
    OtherHostKey,
    /// The connection works, but the host does not serve SFTP over it.
    NoSftp,
    /// The SFTP server lacks an extension that the store needs.
    MissingExtension,
    /// The docroot can't be used at all.
    Folder,
    /// An established connection was lost.
    Lost,
    /// A task panicked. This is a bug of this program, whatever the host did.
    Panicked,
}

impl HostError {
    /// An error without a more specific cause.
    pub fn new(kind: HostErrorKind, host: impl Into<String>, detail: impl Into<String>) -> Self {
        let (host, detail, why) = (host.into(), detail.into(), Why::Unknown);
        Self {
            kind,
            host,
            detail,
            why,
        }
    }

    /// Adds the number of tries to the message of an unreachable host, if it was retried.
    #[must_use]
    pub(crate) fn after(mut self, tries: u32) -> Self {
        if self.kind == HostErrorKind::Unreachable && tries > 0 {
            self.detail = format!("{} (tried {} times)", self.detail, tries + 1);
        }
        self
    }

    /// Whether an established connection was lost.
    pub fn is_loss(&self) -> bool {
        self.kind == HostErrorKind::Lost
    }
}

impl std::error::Error for HostError {}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, detail, .. } = self;
        match self.kind {
            HostErrorKind::Unreachable => write!(f, "can't reach {host}: {detail}"),
            HostErrorKind::KeyRefused if self.why.is_local_key() => {
                write!(f, "no key can be used for {host}: {detail}")
            }
            HostErrorKind::KeyRefused => write!(f, "{host} refuses the key: {detail}"),
            HostErrorKind::UnknownHostKey => write!(f, "the key of {host} is not known: {detail}"),
            HostErrorKind::OtherHostKey => write!(f, "host key mismatch for {host}: {detail}"),
            HostErrorKind::NoSftp => write!(f, "{host} does not serve SFTP: {detail}"),
            HostErrorKind::MissingExtension => write!(f, "the SFTP server of {host} lacks the extension {detail}"),
            HostErrorKind::Folder => write!(f, "can't use the folder {host}: {detail}"),
            HostErrorKind::Lost => write!(f, "the connection to {host} was lost: {detail}"),
            HostErrorKind::Panicked => {
                write!(f, "a task of syntax-publish that works with {host} panicked: {detail}")
            }
        }
    }
}

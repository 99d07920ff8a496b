//! A host: the place that holds a store, reached locally or over SFTP.
//!
//! The trait is one method in the main: a *flight* of operations, sent together and answered together, so that the number of round
//! trips of any work is the number of its flights. A host holds no policy: no retry, no recursion, no order of its own,
//! no output. It must never do an operation that was not in a flight, and never report one as done that it does not
//! know to be done.

mod counted;
mod key;
mod local;
mod op;
pub mod panics;
mod sftp;
mod ssh;
mod why;

use futures_util::future::BoxFuture;

pub use counted::{Counted, Counts};
pub use local::{Local, LocalConnector};
pub(crate) use op::refuse_impossible_names;
pub use op::{Answer, Attr, Handle, Kind, MAX_READ, Op, Refusal, RefusalKind, Space, Time};
pub use sftp::{Sftp, SftpConnector};
pub use ssh::{BadSshAddress, SftpAddress, command_line, opens_shell, real_name};
pub use why::Why;

/// Answers of a flight, one for each operation, in the order of the operations.
pub type Answers = Vec<Result<Answer, Refusal>>;

/// A place that executes operations on one docroot.
///
/// # Contract
/// - Operations of a flight are executed in their order, each whether or not those before it succeeded, and none before
///   all operations of flights whose answers have been awaited. Two flights sent at once may interleave.
/// - Paths are relative to the docroot and reach the file system as they are: `..` is resolved by it, after symlinks. The
///   empty path is the docroot itself.
/// - `Rename` replaces a file or an empty folder and fails onto a full folder; `Link`, `Symlink`, `Create` and `MakeFolder`
///   fail where something exists, even a dangling symlink. `Link` of a symlink links the symlink.
/// - `Finish` answers after everything written is on the disk. `Close` promises nothing of the kind.
/// - `Err` means that the connection is gone and that any operation of the flight may have been executed or may be yet.
pub trait Host: Send + Sync {
    /// Sends the operations together and waits for all answers.
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>>;

    /// What the host is called in messages: a name or a folder.
    fn name(&self) -> String;

    /// Whether it knows [`Op::Copy`], which not every host does.
    fn copies(&self) -> bool {
        false
    }
}

/// Makes connections to one host: the first, and another when one is lost.
pub trait Connect: Send + Sync {
    /// Connects.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>>;

    /// What the host is called in messages.
    fn name(&self) -> String;
}

/// The host can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No connection came about: name, network, or no one listens.
    #[error("can't reach {host}: {detail}")]
    Unreachable {
        /// The host.
        host: String,
        /// What ssh said.
        detail: String,
        /// The cause, where it is known more exactly.
        why: Why,
    },
    /// The host does not take the key, or it can't be used on this machine.
    #[error("{}", if why.is_local_key() { format!("no key can be used for {host}: {detail}") } else { format!("{host} refuses the key: {detail}") })]
    KeyRefused {
        /// The host.
        host: String,
        /// What ssh said.
        detail: String,
        /// The cause, where it is known more exactly.
        why: Why,
    },
    /// The host shows a key that isn't known or isn't the one that was pinned.
    #[error("{}: {detail}", if *changed { format!("host key mismatch for {host}") } else { format!("the key of {host} is not known") })]
    HostKey {
        /// The host.
        host: String,
        /// Another key than the known one, rather than an unknown one.
        changed: bool,
        /// What ssh said.
        detail: String,
    },
    /// The connection stands but there's no SFTP behind it.
    #[error("{host} does not serve SFTP: {detail}")]
    NoSftp {
        /// The host.
        host: String,
        /// What ssh or the protocol said.
        detail: String,
        /// The cause, where it is known more exactly.
        why: Why,
    },
    /// The SFTP server can't do what the store needs.
    #[error("the SFTP server of {host} lacks the extension {extension}")]
    MissingExtension {
        /// The host.
        host: String,
        /// Its name on the wire.
        extension: String,
        /// The cause, where it is known more exactly.
        why: Why,
    },
    /// The docroot can't be used at all.
    #[error("can't use the folder {folder}: {detail}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system said.
        detail: String,
    },
    /// The connection was there and is gone.
    #[error("the connection to {host} was lost: {detail}")]
    Lost {
        /// The host.
        host: String,
        /// What is known of it.
        detail: String,
    },
    /// A task panicked: a bug of this program, whatever the host did.
    #[error("a task of syntax-publish that works with {host} panicked: {detail}")]
    Panicked {
        /// The host.
        host: String,
        /// What it said.
        detail: String,
    },
}

impl HostError {
    /// The same after it was tried again so often, which it then says.
    #[must_use]
    pub(crate) fn after(mut self, tries: u32) -> Self {
        if let (Self::Unreachable { detail, .. }, 1..) = (&mut self, tries) {
            *detail = format!("{detail} (tried {} times)", tries + 1);
        }
        self
    }

    /// The cause, where it is known more exactly than by the kind.
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

//! The operations that a host can execute, and its answers.
//!
//! Pure values. Each operation is one request of SFTP version 3 or of an OpenSSH extension, with a few exceptions: for
//! example, [`Op::List`] takes several requests, and [`Op::Finish`] sets mode and time and waits for the disk.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An open file on the host. A handle is invalid after its connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

/// Why an operation fails whose handle is not open.
pub(super) const NOT_OPEN: &str = "no such open file";

/// The open files of a connection.
#[derive(Debug)]
pub(super) struct OpenFiles<F>(Mutex<(u64, HashMap<Handle, F>)>);

impl<F> Default for OpenFiles<F> {
    fn default() -> Self {
        Self(Mutex::new((0, HashMap::new())))
    }
}

impl<F: Clone> OpenFiles<F> {
    fn files(&self) -> MutexGuard<'_, (u64, HashMap<Handle, F>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a file, and returns its handle.
    pub(super) fn keep(&self, file: F) -> Handle {
        let (last, files) = &mut *self.files();
        *last += 1;
        files.insert(Handle(*last), file);
        Handle(*last)
    }

    /// Returns another view of an open file.
    pub(super) fn get(&self, handle: Handle) -> Option<F> {
        self.files().1.get(&handle).cloned()
    }

    /// Takes a file that is to be closed.
    pub(super) fn take(&self, handle: Handle) -> Option<F> {
        self.files().1.remove(&handle)
    }
}

/// Seconds since 1970 by the host's clock. SFTP has no finer resolution.
pub type Time = i64;

/// One operation. Paths are relative to the docroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Describes the file at a path, without following a symlink in the last segment. Answers [`Answer::Attr`].
    Lstat(String),
    /// Describes the file at a path, following symlinks. Answers [`Answer::Attr`].
    Stat(String),
    /// Reads the text of a symlink. Answers [`Answer::Text`].
    ReadLink(String),
    /// Resolves all symlinks of a path to an absolute path as the host sees it. Answers [`Answer::Text`].
    Resolve(String),
    /// Lists the entries of a folder, without `.` and `..`, in any order. Answers [`Answer::Names`].
    List(String),
    /// Reports the free space on the file system of a path. Answers [`Answer::Space`].
    Space(String),
    /// Creates a folder with mode 0755.
    MakeFolder(String),
    /// Creates a symlink.
    Symlink {
        /// Its text.
        text: String,
        /// Its path.
        at: String,
    },
    /// Creates a hard link. For a symlink, links the symlink itself and not its target.
    Link {
        /// The existing path.
        from: String,
        /// The additional path.
        to: String,
    },
    /// Renames atomically (POSIX `rename`).
    Rename {
        /// The existing path.
        from: String,
        /// The new path.
        to: String,
    },
    /// Removes a file or symlink.
    RemoveFile(String),
    /// Removes an empty folder.
    RemoveFolder(String),
    /// Creates a file with mode 0644, for writing and for reading back. Answers [`Answer::Opened`].
    Create(String),
    /// Opens a file for reading. Answers [`Answer::Opened`].
    Open(String),
    /// Reads up to `length` bytes from `offset`; returns fewer only at the end of the file. Answers [`Answer::Bytes`].
    Read {
        /// The open file.
        handle: Handle,
        /// In bytes.
        offset: u64,
        /// In bytes; at most [`MAX_READ`].
        length: u32,
    },
    /// Writes all bytes at an offset.
    Write {
        /// The open file.
        handle: Handle,
        /// In bytes.
        offset: u64,
        /// The bytes to write.
        bytes: Vec<u8>,
    },
    /// Copies bytes of one open file to the end of another, on the host. Fails if the source has fewer bytes than
    /// requested. If bytes are copied into the middle of a file, a host may not notice a failure.
    Copy {
        /// The source, open for reading.
        from: Handle,
        /// The offset in the source, in bytes.
        offset: u64,
        /// The number of bytes; not zero.
        length: u64,
        /// The destination, a different file.
        to: Handle,
        /// The offset in the destination, in bytes.
        at: u64,
    },
    /// Sets mode and time, waits until everything is on the disk, and closes the file.
    Finish {
        /// The open file.
        handle: Handle,
        /// Its modification time.
        mtime: Time,
    },
    /// Closes a file that was only read, or that will not be used.
    Close(Handle),
}

/// The maximum length of one [`Op::Read`], in bytes.
pub const MAX_READ: u32 = 128 * 1024;

/// The base weight of every operation, in addition to its content: a disk may be busy.
const EACH: u64 = 100;

impl Op {
    /// A symlink with this text.
    pub fn symlink(text: impl Into<String>, at: impl Into<String>) -> Self {
        let (text, at) = (text.into(), at.into());
        Self::Symlink { text, at }
    }

    /// A hard link from a path to an additional one.
    pub fn link(from: impl Into<String>, to: impl Into<String>) -> Self {
        let (from, to) = (from.into(), to.into());
        Self::Link { from, to }
    }

    /// A rename from a path to another.
    pub fn rename(from: impl Into<String>, to: impl Into<String>) -> Self {
        let (from, to) = (from.into(), to.into());
        Self::Rename { from, to }
    }

    /// The number of content bytes that the operation sends to the host.
    pub fn payload(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// The longest time that the operation may take, expressed as bytes on the line: its content, and the work of the
    /// host's disk.
    pub fn weight(&self) -> u64 {
        EACH + match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            // Most files end long before `length`.
            Self::Read { length, .. } => u64::from(*length) / 8,
            Self::List(_) => 16 << 10,
            // The host copies a thousand bytes in the time that one byte takes on the line.
            Self::Copy { length, .. } => *length >> 10,
            _ => 0,
        }
    }

    /// Whether the operation changes nothing, opens nothing and needs no extension of the protocol.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Lstat(_) | Self::Stat(_) | Self::ReadLink(_) | Self::Resolve(_)
        )
    }

    /// The number of round trips that the operation takes if nothing else is in flight.
    pub fn round_trips(&self) -> u32 {
        match self {
            // Open, read, read the end. A folder with more than some hundred names needs more reads.
            Self::List(_) => 3,
            _ => 1,
        }
    }
}

/// One line per operation, for logs. Content is represented by its length.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lstat(path) => write!(f, "lstat {path}"),
            Self::Stat(path) => write!(f, "stat {path}"),
            Self::ReadLink(path) => write!(f, "readlink {path}"),
            Self::Resolve(path) => write!(f, "resolve {path}"),
            Self::List(path) => write!(f, "list {path}"),
            Self::Space(path) => write!(f, "space {path}"),
            Self::MakeFolder(path) if path.is_empty() => f.write_str("mkdir of the docroot"),
            Self::MakeFolder(path) => write!(f, "mkdir {path}"),
            Self::Symlink { text, at } => write!(f, "symlink {at} -> {text}"),
            Self::Link { from, to } => write!(f, "link {from} {to}"),
            Self::Rename { from, to } => write!(f, "rename {from} {to}"),
            Self::RemoveFile(path) => write!(f, "remove {path}"),
            Self::RemoveFolder(path) => write!(f, "rmdir {path}"),
            Self::Create(path) => write!(f, "create {path}"),
            Self::Open(path) => write!(f, "open {path}"),
            Self::Read { length, .. } => write!(f, "read {length}"),
            Self::Write { bytes, .. } => write!(f, "write {}", bytes.len()),
            Self::Copy { length, .. } => write!(f, "copy {length}"),
            Self::Finish { .. } => write!(f, "finish"),
            Self::Close(_) => write!(f, "close"),
        }
    }
}

/// The answer to an operation that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The operation is done.
    Done,
    /// The attributes of a path.
    Attr(Attr),
    /// The text of a symlink, or a resolved path.
    Text(String),
    /// The entries of a folder with their attributes; symlinks are not followed.
    Names(Vec<(String, Attr)>),
    /// An open file.
    Opened(Handle),
    /// The bytes read.
    Bytes(Vec<u8>),
    /// Free space on a file system.
    Space(Space),
}

/// What a host replies to one operation.
pub type Reply = Result<Answer, Refusal>;

/// Refuses a listing that contains an impossible name. Names become parts of paths, so a name must be a single segment,
/// whatever the host sends.
pub fn refuse_impossible_names(answer: &mut Reply) {
    let impossible = |name: &str| matches!(name, "" | "." | "..") || name.contains(['/', '\0']);
    if let Ok(Answer::Names(names)) = answer
        && names.iter().any(|(name, _)| impossible(name))
    {
        *answer = Err(Refusal {
            kind: RefusalKind::Failed,
            op: "list".to_owned(),
            message: "the host lists an impossible name".to_owned(),
        });
    }
}

/// The kind of file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symlink.
    Symlink,
    /// A device, a socket, a pipe.
    Other,
}

/// The attributes that a host reports for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// The kind of file.
    pub kind: Kind,
    /// The size in bytes.
    pub size: u64,
    /// When the content changed.
    pub mtime: Time,
    /// The permission bits, the lower twelve.
    pub mode: u32,
    /// The user ID of the owner.
    pub uid: u32,
}

/// Free space on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The number of bytes that can still be written.
    pub bytes: u64,
    /// The number of files that can still be created; `None` if the file system does not count them.
    pub files: Option<u64>,
    /// Whether the file system is read-only, regardless of its free space.
    pub read_only: bool,
}

/// An operation that the host refused. SFTP reports no more about the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {message}")]
pub struct Refusal {
    /// The kind of reason.
    pub kind: RefusalKind,
    /// The operation, as its log line.
    pub op: String,
    /// The message of the host.
    pub message: String,
}

impl Refusal {
    /// Whether the operation was to open a file, by its record line.
    pub fn is_of_opening(&self) -> bool {
        ["create ", "open "].iter().any(|name| self.op.starts_with(name))
    }
}

/// Why an operation was refused, as far as SFTP distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The path does not exist, or a parent is missing or is not a folder.
    NotFound,
    /// The account lacks the permission.
    Denied,
    /// Anything else: the path already exists, a folder is not empty, the disk is full, there are too many links …
    Failed,
}

//! The operations that a host can do, and its answers.
//!
//! Pure values. Each is one request of SFTP version 3 or an extension of OpenSSH, except [`Op::List`], which is a few,
//! and [`Op::Finish`], which sets mode and time and waits for the disk.

use std::fmt;

/// An open file of the host. Handles of lost connections mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

/// Seconds since 1970 by the host's clock: SFTP knows nothing finer.
pub type Time = i64;

/// One operation. Paths are relative to the docroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// What is at a path, not following a symlink at its end. Answers [`Answer::Attr`].
    Lstat(String),
    /// What is at the end of a path, following symlinks. Answers [`Answer::Attr`].
    Stat(String),
    /// A symlink's text. Answers [`Answer::Text`].
    ReadLink(String),
    /// Where a path leads once all symlinks are followed: an absolute path as the host sees it. Answers [`Answer::Text`].
    Resolve(String),
    /// A folder's names, without `.` and `..`, in any order. Answers [`Answer::Names`].
    List(String),
    /// Room on the file system of a path. Answers [`Answer::Space`].
    Space(String),
    /// Makes a folder, mode 0755.
    MakeFolder(String),
    /// Makes a symlink.
    Symlink {
        /// The text it holds.
        text: String,
        /// Where it stands.
        at: String,
    },
    /// Makes a hard link; of a symlink, not of what it points to.
    Link {
        /// What there is.
        from: String,
        /// Its further name.
        to: String,
    },
    /// Renames atomically (POSIX `rename`).
    Rename {
        /// What there is.
        from: String,
        /// Its new name.
        to: String,
    },
    /// Removes a file or symlink.
    RemoveFile(String),
    /// Removes an empty folder.
    RemoveFolder(String),
    /// Makes a new file, mode 0644, for writing and for reading back. Answers [`Answer::Opened`].
    Create(String),
    /// Opens a file for reading. Answers [`Answer::Opened`].
    Open(String),
    /// Reads up to `length` bytes from `offset`; fewer only at the file's end. Answers [`Answer::Bytes`].
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
        /// What to write.
        bytes: Vec<u8>,
    },
    /// Copies bytes of one open file to the end of another, on the host. Fails where there are not so many. Of a copy into
    /// the middle a host may not notice that it failed.
    Copy {
        /// The file that is read, open for reading.
        from: Handle,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes; not none.
        length: u64,
        /// The file that is written, another one.
        to: Handle,
        /// Where, in bytes.
        at: u64,
    },
    /// Sets mode and time, waits until everything is on the disk, closes.
    Finish {
        /// The open file.
        handle: Handle,
        /// Its modification time.
        mtime: Time,
    },
    /// Closes a file that was read, or that will not be used.
    Close(Handle),
}

/// The most bytes that one [`Op::Read`] may ask for.
pub const MAX_READ: u32 = 128 * 1024;

/// What any operation takes beside what it carries: a disk may be busy.
const EACH: u64 = 100;

impl Op {
    /// The bytes of content that it carries to the host.
    #[must_use]
    pub fn payload(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// How long it may take at the most, as a number of bytes on a line: what it carries, and what the host's disk does
    /// meanwhile.
    #[must_use]
    pub fn weight(&self) -> u64 {
        EACH + match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            // Most files end long before.
            Self::Read { length, .. } => u64::from(*length) / 8,
            Self::List(_) => 16 << 10,
            // On the host a thousand bytes are copied while one crosses a line.
            Self::Copy { length, .. } => *length >> 10,
            _ => 0,
        }
    }

    /// How many round trips it takes if nothing else is in flight.
    #[must_use]
    pub fn round_trips(&self) -> u32 {
        match self {
            // Opened, read, read to the end; a folder of more than some hundred names is read in more.
            Self::List(_) => 3,
            _ => 1,
        }
    }
}

/// One line an operation, for records of what was done. Content is given by its length.
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

/// What a host answers to an operation that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// What is there.
    Attr(Attr),
    /// A symlink's text.
    Text(String),
    /// A folder's names with what they are; symlinks are not followed.
    Names(Vec<(String, Attr)>),
    /// An open file.
    Opened(Handle),
    /// What was read.
    Bytes(Vec<u8>),
    /// Room on a file system.
    Space(Space),
}

/// Refuses a listing that holds names which are none. A name becomes part of a path, so it is one segment, whatever a host
/// says.
pub fn refuse_impossible_names(answer: &mut Result<Answer, Refusal>) {
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

/// What kind of thing a path names.
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

/// What a host says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// What it is.
    pub kind: Kind,
    /// In bytes.
    pub size: u64,
    /// When its content changed.
    pub mtime: Time,
    /// Permission bits, the lower twelve.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub bytes: u64,
    /// Files that may still be made; none where the file system does not count them.
    pub files: Option<u64>,
    /// Whether nothing may be written, however much room there is.
    pub read_only: bool,
}

/// An operation that the host refused. SFTP says no more than this of the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {message}")]
pub struct Refusal {
    /// The kind of reason.
    pub kind: RefusalKind,
    /// The operation, as its record line.
    pub op: String,
    /// What the host said.
    pub message: String,
}

/// Why an operation was refused, as far as SFTP tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Nothing is there, or a folder of the path is missing or is no folder.
    NotFound,
    /// The permission is missing.
    Denied,
    /// Anything else: something exists, a folder is full, so is the disk, too many links …
    Failed,
}

//! Reads one file of the export: all of it in one state, or not at all.
//!
//! Reads in buffers of bounded size. It must never map a file into memory, because truncation of the file would then
//! kill the process. It must never follow a symlink or wait for the other end of a pipe: what was a file during the
//! walk may be something else by now.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::model::digest::{Digest, Hasher};

/// Files of at least this size, in bytes, are hashed on all cores.
pub(super) const LARGE: u64 = 32 << 20;

/// Size limit of a file: 64 GiB. No site has larger files.
pub(super) const LARGEST: u64 = 64 << 30;

/// Buffer sizes: for files that are hashed in parallel, and for one that is hashed on all cores.
const BUFFER: usize = 128 << 10;
const WIDE_BUFFER: usize = 8 << 20;

/// The coarsest clock of a file system in use (FAT). A file that is written after it was read may show the same times
/// until this much time has passed.
const GRANULE: Duration = Duration::from_secs(2);

/// A time of a file, or the current time: seconds and nanoseconds since 1970.
pub(super) type Time = (i64, i64);

/// Metadata that distinguishes one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileStamp {
    pub size: u64,
    pub modified: Time,
    pub changed: Time,
    pub inode: u64,
    pub device: u64,
}

impl FileStamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
        }
    }

    /// Whether any later write must show in the file's times. `time` is a moment before the file was read. The file's
    /// times must be so far before it that the clock of any file system has ticked since.
    pub(super) fn settled_before(&self, time: Time) -> bool {
        let granule = i64::try_from(GRANULE.as_secs()).unwrap_or(i64::MAX);
        let newest = self.modified.max(self.changed);
        (newest.0.saturating_add(granule), newest.1) < time
    }
}

/// Converts a time to the form of file times. A time before 1970 becomes 1970, at which no file counts as settled.
pub(super) fn time_of(moment: SystemTime) -> Time {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(0), since.subsec_nanos().into())
}

/// Why a file could not be read completely.
#[derive(Debug)]
pub(super) enum Broken {
    /// It is not what it was before, or changed while it was read.
    Changed,
    /// It no longer exists.
    Vanished,
    /// Larger than [`LARGEST`]: its size in bytes.
    TooLarge(u64),
    /// The system refused access, or the disk failed.
    Unreadable(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        // A symlink or a socket replaced the file, or a file replaced a folder.
        let swapped = [Errno::LOOP, Errno::NXIO].map(|errno| Some(errno.raw_os_error()));
        match error.kind() {
            io::ErrorKind::NotFound => Self::Vanished,
            io::ErrorKind::NotADirectory => Self::Changed,
            _ if swapped.contains(&error.raw_os_error()) => Self::Changed,
            _ => Self::Unreadable(error),
        }
    }
}

/// Returns the state of a file that the walk found.
pub(super) fn stamp(path: &Path) -> Result<FileStamp, Broken> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() {
        return Err(Broken::Changed);
    }
    // Don't read it at all: a sparse file of a terabyte takes a second to make and an hour to read.
    if meta.len() > LARGEST {
        return Err(Broken::TooLarge(meta.len()));
    }
    Ok(FileStamp::of(&meta))
}

/// A file that was opened in the state that its stamp describes.
pub(super) struct Opened {
    file: File,
    stamp: FileStamp,
}

impl Opened {
    /// Opens a file if it still matches the stamp.
    pub(super) fn open(path: &Path, stamp: &FileStamp) -> Result<Self, Broken> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let opened = Self { file, stamp: *stamp };
        opened.unchanged()?;
        Ok(opened)
    }

    /// Fails unless the file still matches its stamp.
    pub(super) fn unchanged(&self) -> Result<(), Broken> {
        let meta = self.file.metadata()?;
        if meta.is_file() && FileStamp::of(&meta) == self.stamp {
            Ok(())
        } else {
            Err(Broken::Changed)
        }
    }
}

impl Read for &Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }
}

/// Returns the digest of a file.
pub(super) fn digest(path: &Path, stamp: &FileStamp) -> Result<Digest, Broken> {
    // Room for one byte more than expected: two calls are then enough to read a file that fits and to detect its end.
    let length = usize::try_from(stamp.size).unwrap_or(usize::MAX).saturating_add(1);
    let mut buffer = vec![0; length.min(BUFFER)];
    hash(path, stamp, &mut buffer, Hasher::update, &|_| {})
}

/// Returns the digest of a large file, computed on all cores. `progressed` is notified of the number of bytes done.
pub(super) fn digest_wide(path: &Path, stamp: &FileStamp, progressed: &dyn Fn(u64)) -> Result<Digest, Broken> {
    let mut buffer = vec![0; WIDE_BUFFER];
    hash(path, stamp, &mut buffer, Hasher::update_wide, progressed)
}

fn hash(
    path: &Path,
    stamp: &FileStamp,
    buffer: &mut [u8],
    update: fn(&mut Hasher, &[u8]),
    progressed: &dyn Fn(u64),
) -> Result<Digest, Broken> {
    let opened = Opened::open(path, stamp)?;
    let mut hasher = Hasher::new();
    loop {
        let filled = fill(&opened, buffer)?;
        update(&mut hasher, &buffer[..filled]);
        progressed(filled as u64);
        // A file that grows as fast as it is read has no end: stop once it has more bytes than expected.
        if filled < buffer.len() || hasher.length() > stamp.size {
            break;
        }
    }
    if hasher.length() != stamp.size {
        return Err(Broken::Changed);
    }
    opened.unchanged()?;
    Ok(hasher.finish())
}

/// Reads until the buffer is full or the file ends.
fn fill(mut file: &Opened, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

//! The cache of digests: files that have not changed since an earlier scan need not be read again.
//!
//! There is one cache file per export, in a folder that the caller names. It is safe to delete at any time. A file that
//! is damaged, of another version or from the future is not an error; it is ignored. The cache must never return a
//! digest that reading the file would not give. A digest is kept, and trusted, only if the file's times are well before
//! the scan that read it: a file written within one tick of the file system's clock looks the same before and after,
//! which git calls "racily clean".
//!
//! The body of the sealed file, little-endian: the time of the scan, the number of entries, and the entries, sorted by
//! path. An entry is the path's length and bytes, then size, both times, inode, device and digest. In memory the
//! entries stay as they are in the file: callers look them up in path order, so there is no need for an index.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::HashedFile;
use super::read::{FileStamp, Time, time_of};
use crate::model::digest::Digest;
use crate::model::path::SitePath;
use crate::site::cache_file::{self, CacheFileWriter};

/// First line of the file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish digests 2\n";

/// Offset of the body.
const BODY: usize = HEADER.len();

/// Size of an entry without its path: length of the path, size, two times, inode, device, digest.
const ENTRY: usize = 4 + 8 + 2 * 16 + 8 + 8 + 32;

/// Size of the time and the number of entries, which precede the entries.
const START: usize = 24;

/// Size of the digest at the end of the file.
const SEAL: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CachedFile {
    stamp: FileStamp,
    digest: Digest,
}

/// Content of a cache file: all its bytes, and the number of entries in them.
#[derive(Default)]
struct CacheEntries {
    bytes: Vec<u8>,
    count: usize,
}

impl CacheEntries {
    fn iter(&self) -> impl Iterator<Item = (&[u8], CachedFile)> {
        let end = self.bytes.len().saturating_sub(SEAL);
        let mut cursor = Cursor(self.bytes.get(BODY + START..end).unwrap_or_default());
        std::iter::from_fn(move || cursor.entry())
    }
}

/// The digests from an earlier scan.
pub(super) struct DigestCache {
    file: PathBuf,
    now: Time,
    written: Time,
    entries: CacheEntries,
}

impl DigestCache {
    /// Loads the cache of an export, given its resolved path. The cache is empty if there is no usable file.
    pub(super) fn load(folder: &Path, export: &Path, now: SystemTime) -> Self {
        let file = cache_file::file_of(folder, export, "digests");
        let now = time_of(now);
        let loaded = cache_file::read(&file).ok().and_then(parse);
        let usable = loaded.filter(|(written, _)| *written <= now);
        let (written, entries) = usable.unwrap_or_default();
        Self {
            file,
            now,
            written,
            entries,
        }
    }

    /// The path of the cache file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns a cursor for looking up files in path order.
    pub(super) fn look_up(&self) -> LookUp<'_> {
        let mut entries: Box<dyn Iterator<Item = (&[u8], CachedFile)>> = Box::new(self.entries.iter());
        LookUp {
            written: self.written,
            next: entries.next(),
            entries,
        }
    }

    /// Keeps the digests of these files, sorted by path, and drops all others. Writes the file only if that makes a
    /// difference. `remembered` is how many of the digests came from the cache.
    pub(super) fn keep(&self, files: &[HashedFile], remembered: u64) -> io::Result<()> {
        // The usual case: all digests came from the cache, and all its entries were used.
        if files.len() as u64 == remembered && files.len() == self.entries.count {
            return Ok(());
        }
        let settled = files.iter().filter(|file| file.stamp.settled_before(self.now));
        let entries: Vec<_> = settled
            .map(|file| {
                let (stamp, digest) = (file.stamp, file.digest);
                (file.found.path.as_str(), CachedFile { stamp, digest })
            })
            .collect();
        let new = entries.iter().map(|(path, known)| (path.as_bytes(), *known));
        if new.eq(self.entries.iter()) {
            return Ok(());
        }
        cache_file::write(&self.file, &render(self.now, &entries))
    }
}

/// Cursor over the cached entries, in path order.
pub(super) struct LookUp<'a> {
    written: Time,
    next: Option<(&'a [u8], CachedFile)>,
    entries: Box<dyn Iterator<Item = (&'a [u8], CachedFile)> + 'a>,
}

impl LookUp<'_> {
    /// Returns the digest of a file if it is known to be unchanged. Paths must be passed in order.
    pub(super) fn get(&mut self, path: &SitePath, stamp: &FileStamp) -> Option<Digest> {
        let path = path.as_str().as_bytes();
        while self.next.is_some_and(|(known, _)| known < path) {
            self.next = self.entries.next();
        }
        let (_, known) = self.next.filter(|(known, _)| *known == path)?;
        (known.stamp == *stamp && stamp.settled_before(self.written)).then_some(known.digest)
    }
}

fn render(written: Time, entries: &[(&str, CachedFile)]) -> Vec<u8> {
    let paths: usize = entries.iter().map(|(path, _)| path.len()).sum();
    let mut unsealed = CacheFileWriter::new(HEADER, 24 + entries.len() * ENTRY + paths);
    let bytes = unsealed.body();
    render_time(bytes, written);
    bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for (path, CachedFile { stamp, digest }) in entries {
        // A `u32` is always large enough: a path of the site has at most 37 names.
        bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(path.as_bytes());
        bytes.extend_from_slice(&stamp.size.to_le_bytes());
        render_time(bytes, stamp.modified);
        render_time(bytes, stamp.changed);
        bytes.extend_from_slice(&stamp.inode.to_le_bytes());
        bytes.extend_from_slice(&stamp.device.to_le_bytes());
        bytes.extend_from_slice(digest.as_bytes());
    }
    unsealed.seal()
}

fn render_time(bytes: &mut Vec<u8>, (seconds, nanoseconds): Time) {
    bytes.extend_from_slice(&seconds.to_le_bytes());
    bytes.extend_from_slice(&nanoseconds.to_le_bytes());
}

fn parse(bytes: Vec<u8>) -> Option<(Time, CacheEntries)> {
    let (written, count) = parse_body(cache_file::open(&bytes, HEADER)?)?;
    Some((written, CacheEntries { bytes, count }))
}

/// Returns the time and the number of entries in the body between header and seal. `None` if any of it is malformed.
fn parse_body(bytes: &[u8]) -> Option<(Time, usize)> {
    let mut cursor = Cursor(bytes);
    let written = cursor.time()?;
    let count = usize::try_from(cursor.number()?).ok()?;
    let mut last: Option<&[u8]> = None;
    for _ in 0..count {
        let (path, _) = cursor.entry()?;
        if last.replace(path).is_some_and(|last| last >= path) {
            return None;
        }
    }
    cursor.0.is_empty().then_some((written, count))
}

/// The bytes that are still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn entry(&mut self) -> Option<(&'a [u8], CachedFile)> {
        let length = u32::from_le_bytes(self.array()?);
        let path = self.slice(usize::try_from(length).ok()?)?;
        let stamp = FileStamp {
            size: self.number()?,
            modified: self.time()?,
            changed: self.time()?,
            inode: self.number()?,
            device: self.number()?,
        };
        let digest = Digest::from_bytes(self.array()?);
        Some((path, CachedFile { stamp, digest }))
    }

    fn time(&mut self) -> Option<Time> {
        Some((i64::from_le_bytes(self.array()?), i64::from_le_bytes(self.array()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(number: u64) -> CachedFile {
        CachedFile {
            stamp: FileStamp {
                size: number,
                modified: (-1, 7),
                changed: (number.cast_signed(), 999_999_999),
                inode: u64::MAX,
                device: 5,
            },
            digest: Digest::of(&number.to_le_bytes()),
        }
    }

    #[test]
    fn entries_read_back() {
        let entries = [("", known(0)), ("docs/größe.html", known(1)), ("z", known(2))];
        let (written, read) = parse(render((12, 34), &entries)).unwrap();
        assert_eq!(written, (12, 34));
        assert_eq!(read.count, 3);
        assert!(read.iter().eq(entries.map(|(path, known)| (path.as_bytes(), known))));
    }

    #[test]
    fn entries_out_of_order_are_not_read() {
        assert!(parse(render((0, 0), &[("b", known(0)), ("a", known(1))])).is_none());
        assert!(parse(render((0, 0), &[("a", known(0)), ("a", known(1))])).is_none());
    }

    proptest! {
        #[test]
        fn garbage_never_panics_nor_takes_more_memory_than_it_is_worth(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            count in any::<u64>(),
        ) {
            let _ = parse_body(&bytes);
            let _ = parse(bytes.clone());
            // A claim of many entries, then garbage. It is sealed, so only the bounds checks can reject it.
            let mut claim = CacheFileWriter::new(HEADER, 0);
            render_time(claim.body(), (1, 1));
            claim.body().extend_from_slice(&count.to_le_bytes());
            claim.body().extend_from_slice(&bytes);
            let _ = parse(claim.seal());
        }

        #[test]
        fn any_entries_read_back(paths in proptest::collection::btree_set(".{0,30}", 0..20)) {
            let entries: Vec<_> = paths.iter().zip(0..).map(|(path, n)| (path.as_str(), known(n))).collect();
            let (_, read) = parse(render((0, 0), &entries)).unwrap();
            prop_assert_eq!(read.count, entries.len());
            prop_assert!(read.iter().eq(entries.iter().map(|(path, known)| (path.as_bytes(), *known))));
        }
    }
}

//! The cache of digests: files that have not changed since an earlier scan need not be read again.
//!
//! There is one cache file per export, in a folder that the caller names. It is safe to delete at any time. A file that
//! is damaged, of another version or from the future is not an error; it is ignored. The cache must never return a
//! digest that reading the file would not give. A digest is kept, and trusted, only if the file's times are well before
//! the scan that read it: a file written within one tick of the file system's clock looks the same before and after,
//! which git calls "racily clean".
//!
//! The body of the file, in postcard's format: the time of the scan, the number of entries, and the entries, sorted by
//! path. In memory the entries stay as they are in the file: callers look them up in path order, so there is no need
//! for an index.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::HashedFile;
use super::read::{FileStamp, Time, time_of};
use crate::model::digest::Digest;
use crate::model::path::SitePath;
use crate::site::cache_file;

/// First line of the file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish digests 3\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry<'a> {
    path: &'a str,
    stamp: FileStamp,
    digest: Digest,
}

/// The digests from an earlier scan.
pub(super) struct DigestCache {
    file: PathBuf,
    now: Time,
    written: Time,
    count: usize,
    entries: Vec<u8>,
}

impl DigestCache {
    /// Loads the cache of an export, given its resolved path. The cache is empty if there is no usable file.
    pub(super) fn load(folder: &Path, export: &Path, now: SystemTime) -> Self {
        let file = cache_file::file_of(folder, export, "digests");
        let now = time_of(now);
        let loaded = cache_file::load(&file, HEADER).and_then(parse);
        let usable = loaded.filter(|(written, ..)| *written <= now);
        let (written, count, entries) = usable.unwrap_or_default();
        Self {
            file,
            now,
            written,
            count,
            entries,
        }
    }

    /// The path of the cache file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns a function that looks up the digest of a file, and returns it if the file is known to be unchanged. Paths
    /// must be passed in order.
    pub(super) fn look_up(&self) -> impl FnMut(&SitePath, &FileStamp) -> Option<Digest> {
        let mut entries = iter(&self.entries).peekable();
        move |path, stamp| {
            let path = path.as_str();
            while entries.next_if(|known| known.path < path).is_some() {}
            let known = entries.peek().filter(|known| known.path == path)?;
            (known.stamp == *stamp && stamp.settled_before(self.written)).then_some(known.digest)
        }
    }

    /// Keeps the digests of these files, sorted by path, and drops all others. Writes the file only if that makes a
    /// difference. `remembered` is how many of the digests came from the cache.
    pub(super) fn keep(&self, files: &[HashedFile], remembered: u64) -> io::Result<()> {
        // The usual case: all digests came from the cache, and all its entries were used.
        if files.len() as u64 == remembered && files.len() == self.count {
            return Ok(());
        }
        let settled = files.iter().filter(|file| file.stamp.settled_before(self.now));
        let entries = settled.map(|file| Entry {
            path: file.found.path.as_str(),
            stamp: file.stamp,
            digest: file.digest,
        });
        if entries.clone().eq(iter(&self.entries)) {
            return Ok(());
        }
        cache_file::save(&self.file, HEADER, &render(self.now, &entries.collect::<Vec<_>>())?)
    }
}

fn render(written: Time, entries: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(&(written, entries)).map_err(io::Error::other)
}

/// Returns the time of the scan, the number of entries, and their bytes.
fn parse(mut body: Vec<u8>) -> Option<(Time, usize, Vec<u8>)> {
    let ((written, count), entries): (_, &[u8]) = postcard::take_from_bytes(&body).ok()?;
    body.drain(..body.len() - entries.len());
    Some((written, count, body))
}

fn iter(mut bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    std::iter::from_fn(move || {
        let entry;
        (entry, bytes) = postcard::take_from_bytes(bytes).ok()?;
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(path: &str, number: u64) -> Entry<'_> {
        Entry {
            path,
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
        let entries = [known("", 0), known("docs/größe.html", 1), known("z", 2)];
        let (written, count, read) = parse(render((12, 34), &entries).unwrap()).unwrap();
        assert_eq!((written, count), ((12, 34), 3));
        assert!(iter(&read).eq(entries));
    }

    proptest! {
        #[test]
        fn garbage_never_panics_nor_takes_more_memory_than_it_is_worth(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            count in any::<u64>(),
        ) {
            if let Some((.., entries)) = parse(bytes.clone()) {
                iter(&entries).count();
            }
            // A claim of many entries, then garbage.
            let mut claim = postcard::to_stdvec(&((1, 1), count)).unwrap();
            claim.extend_from_slice(&bytes);
            if let Some((.., entries)) = parse(claim) {
                iter(&entries).count();
            }
        }

        #[test]
        fn any_entries_read_back(paths in proptest::collection::btree_set(".{0,30}", 0..20)) {
            let entries: Vec<_> = paths.iter().zip(0..).map(|(path, n)| known(path, n)).collect();
            let (_, count, read) = parse(render((0, 0), &entries).unwrap()).unwrap();
            prop_assert_eq!(count, entries.len());
            prop_assert!(iter(&read).eq(entries));
        }
    }
}

//! A cache of the export's content as of the last time it was served. It keeps the site up while a build removes files
//! and writes them again.
//!
//! The content is concatenated in an unnamed temporary file, which disappears with the process, however that ends.
//! Content that is not cached yet is read from the export, which reports an error if the file has changed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::asset::Asset;
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::path::SitePath;
use crate::site::source::{Export, Source, SourceError, pieces_of, unchanged, unchanged_pieces_of};

/// Bytes of obsolete content that the file may have, in addition to as many bytes as are needed.
const SLACK: u64 = 64 << 20;

/// The cache.
#[derive(Default)]
pub struct ByteCache {
    store: Mutex<Store>,
    /// The latest turn, and a lock that is held while a turn is working.
    last: AtomicU64,
    working: Mutex<()>,
}

#[derive(Default)]
struct Store {
    file: Option<Arc<File>>,
    end: u64,
    places: HashMap<Digest, Range<u64>>,
}

impl ByteCache {
    /// Returns the export in a folder as a source that prefers cached content.
    pub fn source(self: &Arc<Self>, folder: &Path) -> Arc<dyn Source> {
        Arc::new(CachedSource {
            kept: Arc::clone(self),
            export: Export::new(folder),
        })
    }

    /// Starts a turn of caching and returns its number. Starting the next turn cancels this one.
    pub fn turn(&self) -> u64 {
        self.last.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Caches the content of these files and drops everything else. Files that cannot be read are not cached. If the
    /// cache cannot be written, because the disk is full, the remaining files are not cached.
    pub fn keep(&self, turn: u64, assets: &[Asset], folder: &Path) {
        let _working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = || self.last.load(Ordering::SeqCst) != turn;
        if is_over() {
            return;
        }
        let export = Export::new(folder);
        let wanted: HashSet<Digest> = assets.iter().map(|asset| asset.digest).collect();
        self.tidy(&wanted);
        for asset in assets {
            if is_over() {
                return;
            }
            if self.store().places.contains_key(&asset.digest) {
                continue;
            }
            let read = |take: &mut dyn FnMut(Vec<u8>) -> bool| {
                let read = export.read_pieces(&asset.path, asset.digest, asset.size, take);
                read.is_ok()
            };
            if self.add(asset.digest, read).is_err() {
                return;
            }
        }
    }

    /// Appends the pieces that `read` passes on. They are cached under the digest if it returns `true`.
    fn add(&self, digest: Digest, read: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> bool) -> bool) -> io::Result<()> {
        let (file, start) = self.store().file_and_end()?;
        let (mut end, mut written) = (start, Ok(()));
        let is_whole = read(&mut |piece| {
            written = file.write_all_at(&piece, end);
            end += piece.len() as u64;
            written.is_ok()
        });
        written?;
        if is_whole {
            let mut store = self.store();
            store.places.insert(digest, start..end);
            store.end = end;
        }
        Ok(())
    }

    /// Drops unwanted content. Starts a new file if most of the current one is obsolete.
    fn tidy(&self, wanted: &HashSet<Digest>) {
        let mut store = self.store();
        store.places.retain(|digest, _| wanted.contains(digest));
        let needed: u64 = store.places.values().map(|place| place.end - place.start).sum();
        if store.end <= needed.saturating_mul(2).saturating_add(SLACK) {
            return;
        }
        let former = std::mem::take(&mut *store);
        drop(store);
        let Some(file) = former.file else { return };
        for (digest, place) in former.places {
            let part = Part::new(&file, &place);
            if self.add(digest, |take| pieces_of(part, take).unwrap_or(false)).is_err() {
                return;
            }
        }
    }

    fn get(&self, digest: Digest) -> Option<Part> {
        let store = self.store();
        Some(Part::new(store.file.as_ref()?, store.places.get(&digest)?))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// The file, and where the next content begins in it.
    fn file_and_end(&mut self) -> io::Result<(Arc<File>, u64)> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(tempfile::tempfile()?)),
        };
        Ok((Arc::clone(file), self.end))
    }
}

/// A part of the file.
struct Part {
    file: Arc<File>,
    rest: Range<u64>,
}

impl Part {
    fn new(file: &Arc<File>, place: &Range<u64>) -> Self {
        Self {
            file: Arc::clone(file),
            rest: place.clone(),
        }
    }
}

impl Read for Part {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let room = bytes.len().min(rest);
        let read = self.file.read_at(&mut bytes[..room], self.rest.start)?;
        self.rest.start += read as u64;
        Ok(read)
    }
}

/// The export, with the cache in front of it.
struct CachedSource {
    kept: Arc<ByteCache>,
    export: Export,
}

impl Source for CachedSource {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let cached = self.kept.get(digest).and_then(|mut part| {
            let mut bytes = Vec::new();
            part.read_to_end(&mut bytes).ok()?;
            unchanged(bytes, path, digest, size).ok()
        });
        match cached {
            Some(bytes) => Ok(bytes),
            None => self.export.read(path, digest, size),
        }
    }

    fn read_pieces(
        &self,
        path: &SitePath,
        digest: Digest,
        size: u64,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        match self.kept.get(digest) {
            Some(part) => unchanged_pieces_of(part, path, digest, size, take),
            None => self.export.read_pieces(path, digest, size, take),
        }
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        self.export.read_given(path, coding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::asset::GivenEncodings;
    use crate::site::source::PIECE;

    fn asset(path: &str, bytes: &[u8]) -> Asset {
        Asset {
            path: SitePath::new(path).unwrap(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            given: GivenEncodings::default(),
        }
    }

    #[test]
    fn what_was_kept_outlives_its_file_and_what_is_not_wanted_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Arc::new(ByteCache::default());
        let source = kept.source(folder.path());
        let second = vec![b'2'; PIECE + 2];
        let (a, b) = (asset("a", b"first"), asset("b", &second));
        std::fs::write(folder.path().join("a"), "first").unwrap();
        kept.keep(kept.turn(), &[a.clone(), b.clone()], folder.path());
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert_eq!(source.read(&a.path, a.digest, a.size).unwrap(), b"first");
        assert!(source.read(&b.path, b.digest, b.size).is_err(), "it was never there");
        std::fs::write(folder.path().join("b"), &second).unwrap();
        kept.keep(kept.turn(), std::slice::from_ref(&b), folder.path());
        assert!(source.read(&a.path, a.digest, a.size).is_err());
        std::fs::remove_file(folder.path().join("b")).unwrap();
        let mut pieces = Vec::new();
        let mut take = |piece: Vec<u8>| {
            pieces.push(piece);
            true
        };
        source.read_pieces(&b.path, b.digest, b.size, &mut take).unwrap();
        assert_eq!(pieces, [second[..PIECE].to_vec(), second[PIECE..].to_vec()]);
    }

    #[test]
    fn a_file_full_of_what_no_one_needs_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Arc::new(ByteCache::default());
        let small = asset("small", b"small");
        std::fs::write(folder.path().join("small"), "small").unwrap();
        for number in 0..10_u8 {
            let bytes = vec![number; 10 << 20];
            std::fs::write(folder.path().join("large"), &bytes).unwrap();
            kept.keep(kept.turn(), &[small.clone(), asset("large", &bytes)], folder.path());
        }
        kept.keep(kept.turn(), std::slice::from_ref(&small), folder.path());
        assert!(kept.store().end < 100 << 20);
        std::fs::remove_file(folder.path().join("small")).unwrap();
        let source = kept.source(folder.path());
        assert_eq!(source.read(&small.path, small.digest, small.size).unwrap(), b"small");
    }
}

//! A cache of the export's content as of the last time it was served. It keeps the site up while a build removes files
//! and writes them again.
//!
//! The content is concatenated in an unnamed temporary file, which disappears with the process, however that ends.
//! Content that is not cached yet is read from the export, which reports an error if the file has changed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::asset::Asset;
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::path::SitePath;
use crate::site::source::{Export, Source, SourceError, in_pieces};

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
    places: HashMap<Digest, (u64, usize)>,
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
            let read = export.read(&asset.path, asset.digest, asset.size);
            if let Ok(bytes) = read
                && self.add(asset.digest, &bytes).is_err()
            {
                return;
            }
        }
    }

    fn add(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        let mut store = self.store();
        let file = match &store.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(store.file.insert(Arc::new(tempfile::tempfile()?))),
        };
        let at = store.end;
        file.write_all_at(bytes, at)?;
        store.places.insert(digest, (at, bytes.len()));
        store.end = at + bytes.len() as u64;
        Ok(())
    }

    /// Drops unwanted content. Starts a new file if most of the current one is obsolete.
    fn tidy(&self, wanted: &HashSet<Digest>) {
        let mut store = self.store();
        store.places.retain(|digest, _| wanted.contains(digest));
        let needed: u64 = store.places.values().map(|(_, length)| *length as u64).sum();
        if store.end <= needed.saturating_mul(2).saturating_add(SLACK) {
            return;
        }
        let former = std::mem::take(&mut *store);
        drop(store);
        let Some(file) = former.file else { return };
        for (digest, (at, length)) in former.places {
            let mut bytes = vec![0; length];
            if file.read_exact_at(&mut bytes, at).is_ok() && self.add(digest, &bytes).is_err() {
                return;
            }
        }
    }

    fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        let store = self.store();
        let (at, length) = *store.places.get(&digest)?;
        let file = Arc::clone(store.file.as_ref()?);
        drop(store);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The export, with the cache in front of it.
struct CachedSource {
    kept: Arc<ByteCache>,
    export: Export,
}

impl Source for CachedSource {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        match self.kept.get(digest) {
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
        let Some(bytes) = self.kept.get(digest) else {
            return self.export.read_pieces(path, digest, size, take);
        };
        in_pieces(&bytes, take);
        Ok(())
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
        assert_eq!(kept.get(small.digest).unwrap(), b"small");
    }
}

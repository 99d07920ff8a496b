//! The scan: from the export's folder to its files, with their digests.
//!
//! Reads the export and, if the caller names a folder for it, a cache of digests. It is the only module that uses
//! `walkdir`. It must never write to the export, read a file outside of it, or wait for something that only looks like
//! a file, such as a pipe. It reports one state of each file: a file that changes during the scan is an error. The
//! checks, not the scan, decide whether the files make a good site.

mod again;
mod cache;
mod fault;
mod given;
mod read;
#[cfg(test)]
mod tests;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use globset::GlobSet;
use rayon::prelude::*;

pub use self::again::again;
use self::cache::DigestCache;
pub use self::fault::{FaultKind, Faults, ScanError, ScanFault};
use self::read::{Broken, FileStamp};
use self::walk::WalkedFile;
pub use self::walk::top_folders;
pub use crate::model::asset::{Asset, Given, GivenEncodings};
use crate::model::digest::Digest;
use crate::model::event::{Event, Note, Observer, Running, Stage};
use crate::model::path::SitePath;

/// Options of a scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanOptions<'a> {
    /// Paths of the export to leave out. A folder that matches is left out with everything in it.
    pub exclude: &'a GlobSet,
    /// The folder that keeps digests from scan to scan; safe to delete at any time. If `None`, every file is read.
    pub cache: Option<&'a Path>,
    /// The current time. Files modified just before it are read again by the next scan.
    pub now: SystemTime,
}

/// Result of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The files of the export, sorted by path.
    pub assets: Vec<Asset>,
    /// How many files were left out.
    pub left_out: LeftOut,
    /// The symlinks that were followed, sorted, with their targets relative to the export.
    pub followed: Vec<(SitePath, PathBuf)>,
    /// How many files were not read because their digests were in the cache.
    pub remembered: u64,
}

/// How many files were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Files with a name that starts with a dot, or in such a folder. `.well-known` at the top does not count.
    pub dot_files: u64,
    /// Files that the site manifest excludes.
    pub excluded: u64,
}

/// A file with its digest, and the state in which it was read.
struct HashedFile {
    found: WalkedFile,
    stamp: FileStamp,
    digest: Digest,
}

/// Scans an export.
///
/// # Errors
/// [`ScanError`]. Faults of single files are collected into [`ScanError::Unfit`].
pub fn scan(export: &Path, options: &ScanOptions<'_>, observer: &dyn Observer) -> Result<Scan, ScanError> {
    let _running = Running::begin(observer, Stage::Scan);
    let root = walk::root(export)?;
    let (mut walked, stamped, cache) = look_around(&root, options)?;
    tell_of(&walked, observer);
    let faults = &mut walked.faults;

    let stamped = keep_good(stamped, |found| &found.path, faults)?;
    observer.measured(
        Stage::Scan,
        stamped.len() as u64,
        stamped.iter().map(|(_, stamp)| stamp.size).sum(),
    );
    let (files, remembered) = digests(&root, stamped, cache.as_ref(), faults, observer)?;
    if let Some(cache) = cache
        && let Err(error) = cache.keep(&files, remembered)
    {
        observer.notice(Event::Noted(Note::CacheNotWritten {
            file: cache.file().to_owned(),
            reason: error.to_string(),
        }));
    }

    let assets = given::pair(&root, files, faults)?;
    if !walked.faults.list.is_empty() {
        return Err(ScanError::Unfit(walked.faults));
    }
    if assets.is_empty() {
        return Err(ScanError::Empty {
            export: export.to_owned(),
            left_out: walked.left_out,
        });
    }
    Ok(Scan {
        assets,
        left_out: walked.left_out,
        followed: walked.followed,
        remembered,
    })
}

/// A file that the walk found, and its state.
type Stamped = (WalkedFile, Result<FileStamp, Broken>);

/// Walks the export. At the same time, stamps each file that was found, and loads the cache.
fn look_around(
    root: &Path,
    options: &ScanOptions<'_>,
) -> Result<(walk::Walked, Vec<Stamped>, Option<DigestCache>), ScanError> {
    let batches: Mutex<Vec<(usize, Vec<Stamped>)>> = Mutex::default();
    let mut cache = None;
    let walked = rayon::in_place_scope(|scope| {
        if let Some(folder) = options.cache {
            let cache = &mut cache;
            scope.spawn(move |_| *cache = Some(DigestCache::load(folder, root, options.now)));
        }
        let mut number = 0;
        walk::walk(root, options.exclude, |batch| {
            let (batches, place) = (&batches, number);
            number += 1;
            scope.spawn(move |_| {
                let stamp = |found: WalkedFile| {
                    let stamp = read::stamp(&found.file(root));
                    (found, stamp)
                };
                let stamped = batch.into_iter().map(stamp).collect();
                let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
                batches.push((place, stamped));
            });
        })
    })?;
    let mut batches = batches.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Restore the order of the walk, because batches finish in any order.
    batches.sort_unstable_by_key(|(place, _)| *place);
    let mut stamped = Vec::with_capacity(batches.iter().map(|(_, batch)| batch.len()).sum());
    stamped.extend(batches.into_iter().flat_map(|(_, batch)| batch));
    Ok((walked, stamped, cache))
}

fn tell_of(walked: &walk::Walked, observer: &dyn Observer) {
    for (path, target) in &walked.followed {
        observer.notice(Event::Noted(Note::SymlinkFollowed {
            path: path.clone(),
            target: target.clone(),
        }));
    }
    if walked.left_out.dot_files > 0 {
        observer.notice(Event::Noted(Note::DotFilesLeftOut(walked.left_out.dot_files)));
    }
}

/// Returns the digest of each file, sorted by path, and how many of them came from the cache.
fn digests(
    root: &Path,
    mut stamped: Vec<(WalkedFile, FileStamp)>,
    cache: Option<&DigestCache>,
    faults: &mut Faults,
    observer: &dyn Observer,
) -> Result<(Vec<HashedFile>, u64), ScanError> {
    let progressed = |items, bytes| observer.progressed(Stage::Scan, items, bytes);
    // The cache has its entries in the same order, so one pass over it is enough.
    stamped.par_sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let mut known = cache.map(DigestCache::look_up);
    let mut files = Vec::with_capacity(stamped.len());
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for (found, stamp) in stamped {
        match known.as_mut().and_then(|known| known(&found.path, &stamp)) {
            Some(digest) => files.push(HashedFile { found, stamp, digest }),
            None if stamp.size < read::LARGE => small.push((found, stamp)),
            None => large.push((found, stamp)),
        }
    }
    let remembered = files.len() as u64;
    progressed(remembered, files.iter().map(|read| read.stamp.size).sum());

    let hash = |(found, stamp): &(WalkedFile, FileStamp)| {
        let digest = read::digest(&found.file(root), stamp)?;
        progressed(1, stamp.size);
        Ok(digest)
    };
    let mut hashed = keep_good(on_all_cores(small, hash), |(found, _)| &found.path, faults)?;
    // One file after another, each on all cores. One buffer is enough, however many gigabytes there are.
    for (found, stamp) in large {
        match read::digest_wide(&found.file(root), &stamp, &|bytes| progressed(0, bytes)) {
            Ok(digest) => hashed.push(((found, stamp), digest)),
            Err(broken) => faults.take(&found.path, broken)?,
        }
        progressed(1, 0);
    }
    if !hashed.is_empty() {
        let hashed = hashed.into_iter();
        files.extend(hashed.map(|((found, stamp), digest)| HashedFile { found, stamp, digest }));
        // Merge two or three runs, each of which is already sorted.
        files.sort_by(|a, b| a.found.path.cmp(&b.found.path));
    }
    Ok((files, remembered))
}

/// Does the work for all items, on all cores.
fn on_all_cores<T: Send, R: Send>(items: Vec<T>, work: impl Fn(&T) -> R + Sync) -> Vec<(T, R)> {
    let items = items.into_par_iter();
    let done = items.map(|item| {
        let result = work(&item);
        (item, result)
    });
    done.collect()
}

/// Turns items that can't be read into faults. An item that changed ends the scan.
fn keep_good<T, R>(
    done: Vec<(T, Result<R, Broken>)>,
    path_of: impl Fn(&T) -> &SitePath,
    faults: &mut Faults,
) -> Result<Vec<(T, R)>, ScanError> {
    let mut good = Vec::with_capacity(done.len());
    for (item, result) in done {
        match result {
            Ok(result) => good.push((item, result)),
            Err(broken) => faults.take(path_of(&item), broken)?,
        }
    }
    Ok(good)
}

//! Notifications about changes on disk: that something changed, on which side, and where, as far as that is known.
//!
//! Wraps the `notify` crate. The kind of change that an event reports is not relied on: folders are replaced as a
//! whole, editors save by renaming, and queues overflow. The receiver has to look at the files itself; a path is only a
//! hint where to look first.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// The interval of polling, if the system does not report changes.
const POLL: Duration = Duration::from_millis(500);

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// The system reports them.
    Told,
    /// By polling, for network folders.
    Polled,
}

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system does not allow this user more watched folders, by this setting.
    #[error("the system watches no more folders for this user ({0})")]
    Limit(&'static str),
    /// Any other error.
    #[error("can't watch {}: {reason}", .path.display())]
    Failed {
        /// The folder.
        path: PathBuf,
        /// The error from the system.
        reason: String,
    },
}

/// Maximum number of paths that are kept. With more than that it is simpler to look everywhere.
const KEPT: usize = 256;

/// Where something changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Where {
    /// Nowhere.
    #[default]
    Nowhere,
    /// At these paths, and nowhere else as far as the system reports.
    At(BTreeSet<PathBuf>),
    /// At unknown paths.
    Anywhere,
}

impl Where {
    /// Adds the places of another change.
    pub fn and(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::Nowhere) | (Self::Anywhere, _) => {}
            (Self::At(paths), Self::At(more)) if paths.len() + more.len() <= KEPT => paths.extend(more),
            (Self::Nowhere, other) => *self = other,
            (Self::At(_), _) => *self = Self::Anywhere,
        }
    }
}

/// Receives a message when something on one side has changed, however often.
pub type Changed = mpsc::Receiver<()>;

/// Watches folders that may be removed and created at any time.
pub struct Changes {
    /// `None` if the folders are polled.
    watcher: Option<RecommendedWatcher>,
    /// The folders and files to watch, with everything below them.
    roots: Vec<PathBuf>,
    watched: Vec<PathBuf>,
    /// Whether a root, or a folder above it, was removed or created since it was watched.
    is_lost: Arc<AtomicBool>,
    /// Where something changed since the last call of `places`.
    places: Arc<Mutex<Where>>,
}

impl Changes {
    /// Watches files and folders with everything below them, except what `ignored` accepts. They do not have to exist
    /// yet.
    pub fn of(
        roots: Vec<PathBuf>,
        ignored: impl Fn(&Path) -> bool + Send + 'static,
        manner: Manner,
    ) -> Result<(Self, Changed), WatchError> {
        let (sender, changed) = mpsc::channel(1);
        let mut changes = Self {
            watcher: None,
            roots: roots.clone(),
            watched: Vec::new(),
            is_lost: Arc::default(),
            places: Arc::default(),
        };
        if manner == Manner::Polled {
            thread::spawn(move || look_again_and_again(&roots, &ignored, &sender));
            return Ok((changes, changed));
        }
        let first = roots.first().cloned().unwrap_or_default();
        let (lost, noted) = (Arc::clone(&changes.is_lost), Arc::clone(&changes.places));
        let tell = move |event: notify::Result<Event>| {
            let is_above = |path: &PathBuf| roots.iter().any(|root| root.starts_with(path));
            let is_below = |path: &PathBuf| roots.iter().any(|root| path.starts_with(root));
            let place = match event {
                Ok(event) if !event.need_rescan() => {
                    // Reading is not a change.
                    if matches!(event.kind, EventKind::Access(_)) {
                        return;
                    }
                    let moves = !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
                    if moves && event.paths.iter().any(is_above) {
                        lost.store(true, Ordering::SeqCst);
                    }
                    // A folder is modified whenever an entry in it is, and that entry has an event as well.
                    let is_echo =
                        matches!(event.kind, EventKind::Modify(ref what) if !matches!(what, ModifyKind::Name(_)));
                    let counts = |path: &PathBuf| {
                        (is_below(path) || is_above(path)) && !ignored(path) && !(is_echo && path.is_dir())
                    };
                    if !event.paths.iter().any(counts) {
                        return;
                    }
                    if event.paths.len() <= KEPT {
                        Where::At(event.paths.into_iter().collect())
                    } else {
                        Where::Anywhere
                    }
                }
                // A full queue may hide a change.
                _ => Where::Anywhere,
            };
            noted.lock().unwrap_or_else(PoisonError::into_inner).and(place);
            // If the channel is full, the receiver already has a notification that it has not handled yet.
            let _ = sender.try_send(());
        };
        let watcher = notify::recommended_watcher(tell).map_err(|error| failed(&first, &error))?;
        changes.watcher = Some(watcher);
        changes.follow()?;
        Ok((changes, changed))
    }

    /// Returns where something changed since the last call.
    pub fn places(&self) -> Where {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.watcher {
            Some(_) if !self.is_lost.load(Ordering::SeqCst) => std::mem::take(&mut places),
            _ => Where::Anywhere,
        }
    }

    /// Watches folders that have been created since the last call. A folder that was removed and created again is a new
    /// folder.
    pub fn follow(&mut self) -> Result<(), WatchError> {
        let Some(watcher) = &mut self.watcher else {
            return Ok(());
        };
        // A folder that was created again is a new folder, even if it has the same inode number.
        if self.is_lost.swap(false, Ordering::SeqCst) {
            for path in std::mem::take(&mut self.watched) {
                let _ = watcher.unwatch(&path);
            }
        }
        let mut wanted: Vec<(PathBuf, RecursiveMode)> = Vec::new();
        for root in &self.roots {
            if root.exists() {
                wanted.push((root.clone(), RecursiveMode::Recursive));
            }
            // The folder above a root shows when the root is removed or created.
            let above = root.ancestors().skip(1).find(|above| above.is_dir());
            wanted.extend(above.map(|above| (above.to_owned(), RecursiveMode::NonRecursive)));
        }
        for (path, mode) in wanted {
            if self.watched.contains(&path) {
                continue;
            }
            match watcher.watch(&path, mode) {
                // The folder is gone again; the folder above it will show when it is back.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(failed(&path, &error)),
                Ok(()) => self.watched.push(path),
            }
        }
        Ok(())
    }
}

/// Polls until the receiver is closed. If a pass takes long, the next one starts later.
fn look_again_and_again(roots: &[PathBuf], ignored: &impl Fn(&Path) -> bool, sender: &mpsc::Sender<()>) {
    let mut before = None;
    while !sender.is_closed() {
        let began = Instant::now();
        let mut seen = DefaultHasher::new();
        for root in roots {
            hash_folder(root, ignored, &mut seen);
        }
        let seen = Some(seen.finish());
        // Always report the first pass: the files may have changed between the receiver's first look and this pass.
        if before != seen {
            before = seen;
            let _ = sender.try_send(());
        }
        thread::sleep(POLL.max(began.elapsed() * 5));
    }
}

/// Hashes the metadata of a path and of everything below it, in a fixed order.
fn hash_folder(root: &Path, ignored: &impl Fn(&Path) -> bool, seen: &mut DefaultHasher) {
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        if path != root && ignored(&path) {
            continue;
        }
        let Ok(meta) = fs::metadata(&path) else { continue };
        if meta.is_dir() && (path == root || !path.is_symlink()) {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            below.sort_unstable();
            todo.extend(below);
        } else {
            (&path, meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()).hash(seen);
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn failed(path: &Path, error: &notify::Error) -> WatchError {
    /// "Too many open files": the system also reports this if the limit of inotify instances is reached.
    const EMFILE: i32 = 24;
    match &error.kind {
        ErrorKind::MaxFilesWatch => WatchError::Limit("fs.inotify.max_user_watches"),
        ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => {
            WatchError::Limit("fs.inotify.max_user_instances")
        }
        _ => WatchError::Failed {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(paths: &[&str]) -> Where {
        Where::At(paths.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn places_add_up_until_they_are_too_many() {
        let mut places = Where::Nowhere;
        places.and(Where::Nowhere);
        places.and(at(&["a"]));
        places.and(at(&["b", "a"]));
        assert_eq!(places, at(&["a", "b"]));
        let many: Vec<String> = (0..KEPT).map(|number| number.to_string()).collect();
        places.and(at(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(places, Where::Anywhere);
        places.and(at(&["a"]));
        assert_eq!(places, Where::Anywhere);
        let mut places = Where::Nowhere;
        places.and(Where::Anywhere);
        assert_eq!(places, Where::Anywhere);
    }
}

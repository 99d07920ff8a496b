//! What changed on the disk, as the system tells it: only that something did, and on which side.
//!
//! The home of the `notify` crate. What an event says is not relied on: folders are replaced as a whole, editors save by
//! renaming, and queues run over. Whoever is told looks for himself.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// How often is looked where the system does not tell.
const POLL: Duration = Duration::from_millis(500);

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// The system tells.
    Told,
    /// By looking again and again, for folders of a network.
    Polled,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system watches no more folders for this user.
    #[error("the system watches no more folders for this user ({what})")]
    Limit {
        /// The setting that limits it.
        what: &'static str,
    },
    /// Anything else.
    #[error("can't watch {}: {reason}", .path.display())]
    Failed {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Something on one side changed, once or a thousand times.
pub type Changed = mpsc::Receiver<()>;

/// Watches folders that come and go.
pub struct Changes {
    /// None: they are looked at instead.
    watcher: Option<RecommendedWatcher>,
    /// What is to be watched, with all below it.
    roots: Vec<PathBuf>,
    watched: Vec<PathBuf>,
    /// Whether one of the roots, or what it lies in, went away or came since it was watched.
    is_lost: Arc<AtomicBool>,
}

impl Changes {
    /// Watches files and folders with all below them, but for what `ignored` has. They need not be there yet.
    pub fn of(
        roots: Vec<PathBuf>,
        ignored: impl Fn(&Path) -> bool + Send + 'static,
        manner: Manner,
    ) -> Result<(Self, Changed), WatchError> {
        let (sender, changed) = mpsc::channel(1);
        if manner == Manner::Polled {
            let watched = roots.clone();
            thread::spawn(move || look_again_and_again(&watched, &ignored, &sender));
            let changes = Self {
                watcher: None,
                roots,
                watched: Vec::new(),
                is_lost: Arc::default(),
            };
            return Ok((changes, changed));
        }
        let of_interest = roots.clone();
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&is_lost);
        let tell = move |event: notify::Result<Event>| {
            let counts = match event {
                // Reading is no change; and a full queue may hide one.
                Ok(event) => {
                    let moves = !matches!(
                        event.kind,
                        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_))
                    );
                    if moves
                        && event
                            .paths
                            .iter()
                            .any(|path| of_interest.iter().any(|root| root.starts_with(path)))
                    {
                        lost.store(true, Ordering::SeqCst);
                    }
                    // A folder changes whenever something in it does, which is told, too.
                    let is_echo =
                        matches!(event.kind, EventKind::Modify(ref what) if !matches!(what, ModifyKind::Name(_)));
                    event.need_rescan()
                        || !matches!(event.kind, EventKind::Access(_))
                            && event.paths.iter().any(|path| {
                                of_interest
                                    .iter()
                                    .any(|root| path.starts_with(root) || root.starts_with(path))
                                    && !ignored(path)
                                    && !(is_echo && path.is_dir())
                            })
                }
                Err(_) => true,
            };
            if counts {
                // If it is full, somebody has been told and has not looked yet.
                let _ = sender.try_send(());
            }
        };
        let first = roots.first().cloned().unwrap_or_default();
        let watcher = notify::recommended_watcher(tell).map_err(|error| failed(&first, &error))?;
        let mut changes = Self {
            watcher: Some(watcher),
            roots,
            watched: Vec::new(),
            is_lost,
        };
        changes.follow()?;
        Ok((changes, changed))
    }

    /// Watches what has come, or has come back, since: a folder that is made anew is another one.
    pub fn follow(&mut self) -> Result<(), WatchError> {
        let Some(watcher) = &mut self.watcher else {
            return Ok(());
        };
        // A folder that was made anew is another one, whatever its number.
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
            // From above is seen when it goes and comes.
            let above = root.ancestors().skip(1).find(|above| above.is_dir());
            wanted.extend(above.map(|above| (above.to_owned(), RecursiveMode::NonRecursive)));
        }
        for (path, mode) in wanted {
            if self.watched.contains(&path) {
                continue;
            }
            match watcher.watch(&path, mode) {
                // It is gone again already: seen from above.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(failed(&path, &error)),
                Ok(()) => self.watched.push(path),
            }
        }
        Ok(())
    }
}

/// Looks until nobody wants to know any more. Where that takes long it is done less often.
fn look_again_and_again(roots: &[PathBuf], ignored: &impl Fn(&Path) -> bool, sender: &mpsc::Sender<()>) {
    let mut before = None;
    while !sender.is_closed() {
        let began = Instant::now();
        let mut seen = DefaultHasher::new();
        for root in roots {
            look(root, ignored, &mut seen);
        }
        let seen = Some(seen.finish());
        // The first look may be later than what was read first.
        if before != seen {
            before = seen;
            let _ = sender.try_send(());
        }
        thread::sleep(POLL.max(began.elapsed() * 5));
    }
}

/// Notes the state of what stands at a path, and of all below it, in an order of its own.
fn look(root: &Path, ignored: &impl Fn(&Path) -> bool, seen: &mut DefaultHasher) {
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
    /// "Too many open files": inotify instances are counted as such.
    const EMFILE: i32 = 24;
    match &error.kind {
        ErrorKind::MaxFilesWatch => WatchError::Limit {
            what: "fs.inotify.max_user_watches",
        },
        ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => WatchError::Limit {
            what: "fs.inotify.max_user_instances",
        },
        _ => WatchError::Failed {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

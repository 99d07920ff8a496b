//! What changed on the disk, as the system tells it: only that something did, and on which side.
//!
//! The home of the `notify` crate. What an event says is not relied on: folders are replaced as a whole, editors save by
//! renaming, and queues run over. Whoever is told looks for himself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Config, ErrorKind, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
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
    watcher: Box<dyn Watcher + Send>,
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
        let of_interest = roots.clone();
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&is_lost);
        let tell = move |event: notify::Result<Event>| {
            let counts = match event {
                // Reading is no change; and a full queue may hide one.
                Ok(event) => {
                    let moves = !matches!(event.kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)));
                    if moves && event.paths.iter().any(|path| of_interest.iter().any(|root| root.starts_with(path))) {
                        lost.store(true, Ordering::SeqCst);
                    }
                    event.need_rescan()
                        || !matches!(event.kind, EventKind::Access(_))
                            && event.paths.iter().any(|path| {
                                of_interest.iter().any(|root| path.starts_with(root) || root.starts_with(path))
                                    && !ignored(path)
                            })
                }
                Err(_) => true,
            };
            if counts {
                // If it is full, somebody has been told and has not looked yet.
                let _ = sender.try_send(());
            }
        };
        let config = Config::default().with_poll_interval(POLL);
        let watcher: Result<Box<dyn Watcher + Send>, notify::Error> = match manner {
            Manner::Told => RecommendedWatcher::new(tell, config).map(|watcher| Box::new(watcher) as _),
            Manner::Polled => PollWatcher::new(tell, config).map(|watcher| Box::new(watcher) as _),
        };
        let first = roots.first().cloned().unwrap_or_default();
        let mut changes = Self {
            watcher: watcher.map_err(|error| failed(&first, &error))?,
            roots,
            watched: Vec::new(),
            is_lost,
        };
        changes.follow()?;
        Ok((changes, changed))
    }

    /// Watches what has come, or has come back, since: a folder that is made anew is another one.
    pub fn follow(&mut self) -> Result<(), WatchError> {
        // A folder that was made anew is another one, whatever its number.
        if self.is_lost.swap(false, Ordering::SeqCst) {
            for path in std::mem::take(&mut self.watched) {
                let _ = self.watcher.unwatch(&path);
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
            match self.watcher.watch(&path, mode) {
                // It is gone again already: seen from above.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(failed(&path, &error)),
                Ok(()) => self.watched.push(path),
            }
        }
        Ok(())
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

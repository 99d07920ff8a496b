//! Places for a store that is broken again and again: in memory, or in a folder of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use syntax_publish::host::{Answers, Connect, Host, HostError, LocalConnector, Op};
use tempfile::TempDir;
use walkdir::WalkDir;

use crate::support::memory::{Disk, Memory};

/// A place for one store, which can be saved and restored.
pub trait Ground: Sync {
    type Saved: Send + Sync;

    /// A new connection.
    fn connector(&self) -> Box<dyn Connect>;
    /// Saves the complete content of the docroot.
    fn save(&self) -> Self::Saved;
    /// Restores a saved docroot; with `None` there is no docroot at all.
    fn restore(&self, saved: Option<&Self::Saved>);
    /// Makes the staging directories of all runs so old, by the host's clock, that their runs must be dead.
    fn age(&self);
}

pub struct InMemoryGround(pub Memory);

const NOW: i64 = 1_750_000_000;

impl InMemoryGround {
    pub fn new() -> InMemoryGround {
        InMemoryGround(Memory::new(Disk::new(NOW)))
    }
}

impl Ground for InMemoryGround {
    type Saved = Disk;

    fn connector(&self) -> Box<dyn Connect> {
        Box::new(self.0.clone())
    }

    fn save(&self) -> Disk {
        self.0.snapshot()
    }

    fn restore(&self, saved: Option<&Disk>) {
        self.0.replace(saved.cloned().unwrap_or_else(|| Disk::new(NOW)));
    }

    fn age(&self) {
        for folder in ["work", "lock"] {
            self.0.disk().age(folder);
        }
    }
}

/// A folder on an in-memory file system if there is one. `fsync` costs nothing there, and no test here is about power
/// loss.
pub struct Folder {
    base: TempDir,
}

pub struct SavedFolder(Arc<TempDir>);

impl Folder {
    pub fn new() -> Folder {
        let quick = Path::new("/dev/shm");
        let base = if quick.is_dir() {
            tempfile::tempdir_in(quick)
        } else {
            tempfile::tempdir()
        };
        Folder {
            base: base.expect("a temporary folder"),
        }
    }

    pub fn docroot(&self) -> PathBuf {
        self.base.path().join("docroot")
    }
}

impl Ground for Folder {
    type Saved = SavedFolder;

    fn connector(&self) -> Box<dyn Connect> {
        let docroot = self.docroot();
        Box::new(Patient {
            inner: LocalConnector {
                docroot: docroot.clone(),
            },
            docroot,
        })
    }

    fn save(&self) -> SavedFolder {
        let kept = tempfile::tempdir_in(self.base.path().parent().expect("a folder above")).expect("a folder");
        copy(&self.docroot(), &kept.path().join("docroot"));
        SavedFolder(Arc::new(kept))
    }

    fn restore(&self, saved: Option<&SavedFolder>) {
        if self.docroot().exists() {
            fs::remove_dir_all(self.docroot()).expect("to remove a docroot");
        }
        if let Some(saved) = saved {
            copy(&saved.0.path().join("docroot"), &self.docroot());
        }
    }

    fn age(&self) {
        for folder in ["work", "lock"] {
            make_old(&self.docroot().join(folder));
        }
    }
}

/// A folder whose lock becomes old once a run has looked at it a few times in vain. This replaces the seconds that a
/// run waits for a dead holder.
struct Patient {
    inner: LocalConnector,
    docroot: PathBuf,
}

struct PatientHost {
    inner: Box<dyn Host>,
    docroot: PathBuf,
    looks: AtomicUsize,
}

impl Connect for Patient {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async {
            Ok(Box::new(PatientHost {
                inner: self.inner.connect().await?,
                docroot: self.docroot.clone(),
                looks: AtomicUsize::new(0),
            }) as Box<dyn Host>)
        })
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

impl Host for PatientHost {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        let looks = matches!(ops.first(), Some(Op::List(path)) if path == "lock");
        if looks && self.looks.fetch_add(1, Ordering::SeqCst) > 2 {
            make_old(&self.docroot.join("lock"));
        }
        self.inner.flight(ops)
    }

    fn copies(&self) -> bool {
        self.inner.copies()
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

/// Copies a folder with its hard links, symlinks, times and owners.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success(), "cp -a {} {}", from.display(), to.display());
}

/// Sets the times of all folders and symlinks below a folder to the epoch. Files are left out, because those of a
/// staging directory are hard links to objects.
pub fn make_old(folder: &Path) {
    let old = Timespec { tv_sec: 0, tv_nsec: 0 };
    let times = Timestamps {
        last_access: old,
        last_modification: old,
    };
    for entry in WalkDir::new(folder).into_iter().flatten() {
        if !entry.file_type().is_file() {
            utimensat(CWD, entry.path(), &times, AtFlags::SYMLINK_NOFOLLOW).expect("the times of a folder");
        }
    }
}

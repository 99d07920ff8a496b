//! Places for a store that is broken again and again: in memory, or in a folder of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syntax_publish::host::Connect;
use tempfile::TempDir;

use crate::support::files::{copy, make_old};
use crate::support::intercept::{Impatience, Intercept};
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
        let (docroot, impatience) = (self.docroot(), Impatience::default());
        Box::new(Intercept::folder(&docroot).watch(move |ops| impatience.note(ops, &docroot)))
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

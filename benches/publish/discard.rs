//! Folders that are not needed any more, kept until everything has been measured.
//!
//! For some minutes after a file was deleted, ext4 does not use its inode again, and it passes over each such inode
//! whenever it creates a file nearby. That makes the creation of thousands of files many times slower. So nothing large
//! must be deleted between two measurements.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::support::command::open_tempdir;

static DISCARDED: Mutex<Vec<TempDir>> = Mutex::new(Vec::new());

/// Moves a folder away. It is deleted when [`Discarded`] is dropped; at once if the move would leave the file system.
pub fn discard(folder: &Path) {
    let aside = open_tempdir();
    if fs::rename(folder, aside.path().join("folder")).is_err() {
        fs::remove_dir_all(folder).expect("a folder to remove");
    }
    DISCARDED.lock().expect("no thread panicked").push(aside);
}

/// Deletes all discarded folders when it is dropped.
pub struct Discarded;

impl Drop for Discarded {
    fn drop(&mut self) {
        if let Ok(mut discarded) = DISCARDED.lock() {
            discarded.clear();
        }
    }
}

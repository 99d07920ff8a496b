//! Copies of folders, and their age.

use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use walkdir::WalkDir;

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

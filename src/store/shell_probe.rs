//! Finds out whether the publishing key can do more than publish: open a shell on its host.
//!
//! docs/host-setup.md describes a key for SFTP alone. That a key can open more goes unnoticed until it is stolen. So
//! the host is asked during a publish, without getting in its way, and the answer is kept in the cache folder for a
//! month. What can't be determined is not reported. This module must never run any command on a host except `echo`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{SftpAddress, opens_shell};
use crate::site::cache_file;

/// First line of the file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish shell 1\n";

/// How long a cached answer is used.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Returns whether the key opens a shell, or `None` if that is neither cached nor can be determined now. `target`
/// distinguishes this key and host from all others.
pub async fn has_shell(address: SftpAddress, folder: Option<PathBuf>, target: String) -> Option<bool> {
    let file = folder.map(|folder| cache_file::file_of(&folder, Path::new(&target), "shell"));
    if let Some(known) = file.as_deref().and_then(remembered) {
        return Some(known);
    }
    let opens = opens_shell(&address).await?;
    if let Some(file) = file {
        // If the answer can't be cached, the next run asks again.
        let _ = cache_file::save(&file, HEADER, if opens { b"yes" } else { b"no" });
    }
    Some(opens)
}

fn remembered(file: &Path) -> Option<bool> {
    let age = std::fs::metadata(file).ok()?.modified().ok()?.elapsed().ok()?;
    match cache_file::load(file, HEADER)?.as_slice() {
        _ if age > KEPT => None,
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

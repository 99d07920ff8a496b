//! Whether the key that publishes could do more than publish: open a shell on its host.
//!
//! A key for SFTP alone is what docs/host-setup.md describes, and no one notices that one opens more until it is stolen. So
//! the host is asked, beside a publish and never in its way, and the answer is kept in the folder of the caches for a month.
//! What can't be found out is not reported. It must never run anything on a host but `echo`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{SftpAddress, opens_shell};
use crate::site::cache_file;

/// How long an answer is believed.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Whether the key opens a shell, as far as it is known or can be found out now. `target` tells this key and host from all
/// others.
pub async fn has_shell(address: SftpAddress, folder: Option<PathBuf>, target: String) -> Option<bool> {
    let file = folder.map(|folder| cache_file::file_of(&folder, Path::new(&target), "shell"));
    if let Some(known) = file.as_deref().and_then(remembered) {
        return Some(known);
    }
    let opens = opens_shell(&address).await?;
    if let Some(file) = file {
        // Where it can't be kept, it is asked again.
        let _ = cache_file::write(&file, if opens { b"yes" } else { b"no" });
    }
    Some(opens)
}

fn remembered(file: &Path) -> Option<bool> {
    let age = std::fs::metadata(file).ok()?.modified().ok()?.elapsed().ok()?;
    match cache_file::read(file).ok()?.as_slice() {
        _ if age > KEPT => None,
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

//! A cache file, which is written completely or not at all, and ignored if damaged.
//!
//! The file is a header line that names its format, a body, and the digest of both. A file that is cut off, altered,
//! too large or of another format counts as absent, so a cache reports no errors when it is read. A cache that appends
//! to its file can't seal it, and uses only [`open_file`] and [`write_by`]. This module must not depend on the meaning
//! of the body.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::digest::{Digest, Hasher};

/// The size limit of a cache file. No cache of this tool gets this large, so a larger file is not read into memory.
const MOST_BYTES: u64 = 2 << 30;

/// Returns the path of the cache file for one export, given the export's path, in the cache folder.
#[must_use]
pub fn file_of(folder: &Path, export: &Path, extension: &str) -> PathBuf {
    let export = Digest::of(export.as_os_str().as_encoded_bytes());
    folder.join(format!("{}.{extension}", export.short(32)))
}

/// Returns the body of a cache file. `None` if there is no such file, or if it is incomplete or of another format.
#[must_use]
pub fn load(file: &Path, header: &[u8]) -> Option<Vec<u8>> {
    let file = open_file(file).ok()?;
    let length = file.metadata().ok()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let (sealed, seal) = bytes.split_last_chunk::<32>()?;
    if !sealed.starts_with(header) || Digest::of(sealed).as_bytes() != seal {
        return None;
    }
    bytes.truncate(sealed.len());
    bytes.drain(..header.len());
    Some(bytes)
}

/// Replaces a cache file with one that has this body. Creates its parent folder if necessary.
///
/// # Errors
/// I/O errors of the system; the previous file is then still there.
pub fn save(file: &Path, header: &[u8], body: &[u8]) -> io::Result<()> {
    let mut seal = Hasher::new();
    seal.update(header);
    seal.update(body);
    write_by(file, |new| {
        new.write_all(header)?;
        new.write_all(body)?;
        new.write_all(seal.finish().as_bytes())
    })
}

/// Opens a cache file for reading.
///
/// # Errors
/// I/O errors of the system; `InvalidData` if the path is not a regular file, or the file is far too large.
pub fn open_file(file: &Path) -> io::Result<File> {
    // Opening a FIFO at this path must not block.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).unwrap_or_default())
        .open(file)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MOST_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(file)
}

/// Replaces a file with the bytes that `content` writes to it. Creates its parent folder if necessary.
///
/// # Errors
/// As for [`save`].
pub fn write_by(file: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Two runs may write at the same time. Each has its own file until that file is complete; the last rename wins.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let partial = file.with_file_name(format!("{name}.{}.tmp", std::process::id()));
    let renamed = write_new(&partial, content).and_then(|()| fs::rename(&partial, file));
    if renamed.is_err() {
        // The caller needs the error above. A partial file that can't be removed does no harm.
        let _ = fs::remove_file(&partial);
    }
    renamed
}

fn write_new(file: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // A process with the same ID may have died here before.
    let _ = fs::remove_file(file);
    content(&mut OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_or_foreign_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache.facts");
        save(&file, b"form 1\n", b"body").unwrap();
        assert_eq!(load(&file, b"form 1\n").unwrap(), b"body");
        assert_eq!(load(&file, b"form 2\n"), None);
        let whole = fs::read(&file).unwrap();
        let load_of = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            load(&file, b"form 1\n")
        };
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(load_of(&damaged).is_none(), "byte {at}");
            assert!(load_of(&whole[..at]).is_none(), "cut at {at}");
        }
        assert!(load_of(&[&whole[..], b"x"].concat()).is_none());
        assert!(load_of(&whole).is_some());
    }

    #[test]
    fn a_file_takes_the_place_of_the_previous_one_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/cache.facts");
        save(&file, b"", b"one").unwrap();
        save(&file, b"", b"two").unwrap();
        assert_eq!(load(&file, b"").unwrap(), b"two");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open_file(folder.path()).is_err());
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open_file(&pipe).is_err());
    }
}

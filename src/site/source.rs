//! The files of a site, read again when they are sent.
//!
//! Reads the export and nothing else. Each file is compared with what the scan saw: one that changed in between is an
//! error, and must never become part of a page. Given encodings are not compared here; the caller verifies them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::model::digest::{Digest, Hasher};
use crate::model::encoding::Coding;
use crate::model::path::SitePath;

/// Why a file of the export can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It can't be read.
    #[error("can't read {path:?} of the export")]
    Unreadable {
        /// The file.
        path: SitePath,
        /// What the system reported.
        source: io::Error,
    },
    /// Its content is not what the scan saw.
    #[error("{0:?} of the export changed while it was being published")]
    Changed(SitePath),
    /// An encoder failed, or made something that does not decode to the file.
    #[error("can't encode {path:?} as {coding}: {detail}")]
    Encoder {
        /// The file.
        path: SitePath,
        /// The encoding.
        coding: Coding,
        /// What went wrong.
        detail: String,
    },
    /// A task panicked, which is a bug of this program.
    #[error("a task of syntax-publish panicked: {0}")]
    Worker(String),
}

impl SourceError {
    /// Returns a function from the error that the system reported for a file.
    pub(crate) fn unreadable(path: &SitePath) -> impl Fn(io::Error) -> Self {
        |source| Self::Unreadable {
            path: path.clone(),
            source,
        }
    }
}

/// The length of the pieces in which a file is read, in bytes.
pub const PIECE: usize = 256 * 1024;

/// Where the content of a site comes from.
pub trait Source: Send + Sync {
    /// Reads a complete file.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`], and [`SourceError::Changed`] if the content does not have this digest and size.
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError>;

    /// Reads a file in pieces of [`PIECE`], for as long as `take` returns `true`. The default implementation reads the
    /// complete file into memory. Implementations that do not need to, override it.
    ///
    /// # Errors
    /// As for [`Self::read`]. A change may be detected only after the last piece, and not at all if `take` ends the
    /// read early.
    fn read_pieces(
        &self,
        path: &SitePath,
        digest: Digest,
        size: u64,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        in_pieces(&self.read(path, digest, size)?, take);
        Ok(())
    }

    /// Reads an encoding of a file from the export. It is not compared with the scan.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`].
    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError>;
}

/// Reads to the end, in pieces of [`PIECE`], for as long as `take` returns `true`. Returns whether it took everything.
///
/// # Errors
/// Those of the reader.
pub fn pieces_of(mut from: impl Read, take: &mut dyn FnMut(Vec<u8>) -> bool) -> io::Result<bool> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut from).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(true);
        }
        if !take(piece) {
            return Ok(false);
        }
    }
}

/// Like [`pieces_of`], and compares everything with what the scan saw of the file at this path.
///
/// # Errors
/// As for [`Source::read_pieces`].
pub fn unchanged_pieces_of(
    from: impl Read,
    path: &SitePath,
    digest: Digest,
    size: u64,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), SourceError> {
    let mut hasher = Hasher::new();
    let mut goes_on = true;
    let mut hashed = |piece: Vec<u8>| {
        hasher.update(&piece);
        if hasher.length() > size {
            return false;
        }
        goes_on = take(piece);
        goes_on
    };
    let is_whole = pieces_of(from, &mut hashed).map_err(SourceError::unreadable(path))?;
    if !goes_on || (is_whole && hasher.length() == size && hasher.finish() == digest) {
        Ok(())
    } else {
        Err(SourceError::Changed(path.clone()))
    }
}

/// Passes bytes in memory to `take` in pieces, for as long as it returns `true`.
pub fn in_pieces(bytes: &[u8], take: &mut dyn FnMut(Vec<u8>) -> bool) {
    bytes.chunks(PIECE).all(|piece| take(piece.to_vec()));
}

/// Returns the bytes if they are those that the scan saw.
///
/// # Errors
/// [`SourceError::Changed`].
pub fn unchanged(bytes: Vec<u8>, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
    if bytes.len() as u64 == size && Digest::of(&bytes) == digest {
        Ok(bytes)
    } else {
        Err(SourceError::Changed(path.clone()))
    }
}

/// The files in the export's folder.
#[derive(Debug, Clone)]
pub struct Export {
    folder: PathBuf,
}

impl Export {
    /// Returns a source that reads the export in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn open(&self, path: &SitePath, name: &str) -> Result<File, SourceError> {
        File::open(self.folder.join(name)).map_err(SourceError::unreadable(path))
    }
}

impl Source for Export {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // One byte more than expected is enough to detect that the file grew.
        self.open(path, path.as_str())?
            .take(size + 1)
            .read_to_end(&mut bytes)
            .map_err(SourceError::unreadable(path))?;
        unchanged(bytes, path, digest, size)
    }

    fn read_pieces(
        &self,
        path: &SitePath,
        digest: Digest,
        size: u64,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        let file = self.open(path, path.as_str())?;
        unchanged_pieces_of(file, path, digest, size, take)
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        self.open(path, &coding.beside(path.as_str()))?
            .read_to_end(&mut bytes)
            .map_err(SourceError::unreadable(path))?;
        Ok(bytes)
    }
}

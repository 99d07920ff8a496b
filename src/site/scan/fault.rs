//! What can be wrong with an export, and what to do about it.
//!
//! Faults of single files are collected, so that one run reports them together. Text from the file system must never
//! reach a message unless its control characters are escaped.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::LeftOut;
use super::read::Broken;
use crate::model::path::{BadPath, SitePath, printable};

/// How many faults are kept; further ones are only counted.
const KEPT: usize = 100;

/// Why a scan failed.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Nothing exists at the path of the export.
    #[error("there is no folder {}", shown(.0))]
    Missing(PathBuf),
    /// The path of the export is not a folder.
    #[error("{} is not a folder", shown(.0))]
    NotAFolder(PathBuf),
    /// The folder of the export can't be read.
    #[error("the folder {} can't be read", shown(.export))]
    Closed {
        /// The export.
        export: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The export contains no files, or only files that are left out.
    #[error("the folder {} holds no files to publish ({} dot files and {} excluded files were left out)",
        shown(.export), .left_out.dot_files, .left_out.excluded)]
    Empty {
        /// The export.
        export: PathBuf,
        /// How many files were left out.
        left_out: LeftOut,
    },
    /// A file was written to during the scan.
    #[error("{0} changed while it was read")]
    Changed(SitePath),
    /// A file or folder was deleted during the scan.
    #[error("{0} was deleted while the export was read")]
    Vanished(SitePath),
    /// Files of the export can't be published as they are. Their faults, in path order.
    #[error("{0}")]
    Unfit(Faults),
}

impl ScanError {
    /// Returns a hint on what to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => "build the site first, or correct `export` in the site manifest",
            Self::NotAFolder(_) => "let `export` name the folder that the build wrote (mostly `out`)",
            Self::Closed { .. } => "give the publishing account permission to read and enter it",
            Self::Empty { .. } => "see whether the build ended well, and what `exclude` leaves out",
            Self::Changed(_) | Self::Vanished(_) => "let the build end before publishing, and try again",
            Self::Unfit(_) => "correct the files named above, or leave them out with `exclude`",
        }
    }
}

/// Something in the export that can't be published as it is.
#[derive(Debug)]
pub struct ScanFault {
    /// Its path in the export, in printable form.
    pub path: String,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with something in the export.
#[derive(Debug, thiserror::Error)]
pub enum FaultKind {
    /// A symlink that leads out of the export, to this target in printable form.
    #[error("it is a symlink out of the export, to {0}")]
    LeavesExport(String),
    /// A symlink to nothing; its target, in printable form.
    #[error("it is a symlink to {0}, which is not there")]
    Dangling(String),
    /// A symlink to itself or to a folder that contains it.
    #[error("it is a symlink to itself or to a folder around it")]
    Loop,
    /// Not a file, folder or symlink. What it is, with an article.
    #[error("it is {0}, not a file")]
    Special(&'static str),
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Larger than any file of a site; its size in bytes.
    #[error("it has {0} bytes; at most {most} can be published", most = super::read::LARGEST)]
    TooLarge(u64),
    /// A name that is not UTF-8.
    #[error("its name is not UTF-8")]
    NotUtf8,
    /// A name or path that a site can't have.
    #[error("{0}")]
    Name(BadPath),
    /// A `.br` or `.gz` file that is not an encoding of the file next to it.
    #[error("the web server would send it as {of}, but {why}")]
    WrongEncoding {
        /// The file next to it.
        of: SitePath,
        /// What is wrong with it.
        why: String,
    },
    /// There are too many files or symlinks, so the walk was aborted.
    #[error("there are more than {limit} {what}; the walk ended here")]
    TooMany {
        /// What there are too many of, in the plural.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl FaultKind {
    /// Returns a hint on what to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::LeavesExport(_) => "copy what it leads to into the export",
            Self::Dangling(_) => "delete the link, or build what it leads to",
            Self::Loop => "delete the link",
            Self::Special(_) => "delete it; only files can be published",
            Self::Unreadable(_) => "give the publishing account permission to read it",
            Self::TooLarge(_) => "delete it, or leave it out with `exclude`",
            Self::NotUtf8 => "rename it; addresses on the web are UTF-8",
            Self::Name(BadPath::TooDeep(_)) => "move it up",
            Self::Name(_) => "rename it",
            Self::WrongEncoding { .. } => "delete it or compress the file again; the publish makes its own encodings",
            Self::TooMany { .. } => "see whether symlinks repeat one folder over and over",
        }
    }
}

impl fmt::Display for ScanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.kind, self.kind.hint())
    }
}

/// All faults of a scan: the first ones in path order, and the number of the others.
#[derive(Debug, Default)]
pub struct Faults {
    /// The faults that were kept.
    pub list: Vec<ScanFault>,
    /// How many were not kept.
    pub more: u64,
}

impl Faults {
    pub(super) fn add(&mut self, path: &Path, kind: FaultKind) {
        let path = shown(path);
        let at = self.list.partition_point(|fault| fault.path <= path);
        self.list.insert(at, ScanFault { path, kind });
        if self.list.len() > KEPT {
            self.list.pop();
            self.more += 1;
        }
    }

    /// Adds the reason why a file could not be read. Returns an error if it ends the scan.
    pub(super) fn take(&mut self, path: &SitePath, broken: Broken) -> Result<(), ScanError> {
        let path = path.clone();
        let kind = match broken {
            Broken::Changed => return Err(ScanError::Changed(path)),
            Broken::Vanished => return Err(ScanError::Vanished(path)),
            Broken::TooLarge(size) => FaultKind::TooLarge(size),
            Broken::Unreadable(source) => FaultKind::Unreadable(source),
        };
        self.add(Path::new(path.as_str()), kind);
        Ok(())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the export can't be published as it is:")?;
        for fault in &self.list {
            write!(f, "\n  {fault}")?;
        }
        if self.more > 0 {
            write!(f, "\n  and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Returns a file system path in printable form.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_sorted_and_those_beyond_the_limit_are_counted() {
        let mut faults = Faults::default();
        for number in (0..KEPT + 7).rev() {
            faults.add(Path::new(&format!("f{number:04}")), FaultKind::NotUtf8);
        }
        let paths: Vec<_> = faults.list.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths.len(), KEPT);
        assert!(paths.is_sorted());
        assert_eq!((paths[0], faults.more), ("f0000", 7));
        assert!(faults.to_string().ends_with("and 7 more"));
    }

    #[test]
    fn a_fault_names_the_thing_in_printable_text_and_says_what_to_do() {
        let mut faults = Faults::default();
        faults.add(Path::new("a\u{1b}[2J"), FaultKind::Name(BadPath::Control));
        let text = faults.to_string();
        assert!(text.contains("a\\u{1b}[2J") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("(rename it)"), "{text}");
    }
}

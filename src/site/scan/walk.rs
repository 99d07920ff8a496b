//! Walks the export: which files it contains, which are left out, which symlinks may be followed.
//!
//! Reads folders and links, and must never read the content of a file. A link is followed only if its target, with
//! every link in the path resolved, is inside the export. Nothing outside may ever be listed.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use globset::GlobSet;
use walkdir::{DirEntry, WalkDir};

use super::LeftOut;
use super::fault::{FaultKind, Faults, ScanError, shown};
use crate::model::path::SitePath;

/// More files and folders than any site has, including those that are left out.
const MOST_ENTRIES: usize = 4_000_000;

/// More symlinks to folders than any site has. Symlinks can multiply what a walk sees without ever forming a loop: two
/// in each folder of a chain of twenty make a million paths to its end.
const MOST_LINKS: usize = 5_000;

/// A file that only GitHub Pages needs.
const NO_JEKYLL: &str = ".nojekyll";

/// The only name with a leading dot that is part of a site: RFC 8615.
const WELL_KNOWN: &str = ".well-known";

/// A file of the export.
#[derive(Debug)]
pub(super) struct WalkedFile {
    /// Its path in the site.
    pub path: SitePath,
    /// The resolved target, if it is a symlink.
    pub link: Option<PathBuf>,
}

impl WalkedFile {
    /// Returns the path of its content, given the export's resolved root.
    pub(super) fn file(&self, root: &Path) -> Cow<'_, Path> {
        match &self.link {
            Some(target) => Cow::Borrowed(target),
            None => Cow::Owned(root.join(self.path.as_str())),
        }
    }
}

/// Result of a walk, except for the files.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub left_out: LeftOut,
    pub followed: Vec<(SitePath, PathBuf)>,
    pub faults: Faults,
}

/// Returns the path of the export, with every link resolved.
pub(super) fn root(export: &Path) -> Result<PathBuf, ScanError> {
    let refused = |source: io::Error| {
        let export = export.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => ScanError::Missing(export),
            io::ErrorKind::NotADirectory => ScanError::NotAFolder(export),
            _ => ScanError::Closed { export, source },
        }
    };
    let root = fs::canonicalize(export).map_err(refused)?;
    fs::read_dir(&root).map_err(refused)?;
    Ok(root)
}

/// How many files are passed on together.
const BATCH: usize = 512;

/// Walks the export from its resolved root, and passes the files to `take` in batches as it finds them.
pub(super) fn walk(root: &Path, exclude: &GlobSet, mut take: impl FnMut(Vec<WalkedFile>)) -> Result<Walked, ScanError> {
    let mut walk = Walk {
        root,
        exclude,
        batch: Vec::with_capacity(BATCH),
        walked: Walked::default(),
        entries: 0,
        links: 0,
    };
    let mut entries = WalkDir::new(root).follow_links(true).min_depth(1).into_iter();
    while let Some(entry) = entries.next() {
        let is_folder = entry.as_ref().is_ok_and(|entry| entry.file_type().is_dir());
        walk.entries += 1;
        if let Some(fault) = walk.is_endless() {
            let at = entry.as_ref().map_or(root, DirEntry::path);
            let relative = walk.relative(at);
            walk.fault(&relative, fault);
            break;
        }
        let enter = match entry {
            Ok(entry) => walk.entry(&entry)?,
            Err(error) => walk.failure(&error)?,
        };
        if is_folder && enter == Enter::No {
            entries.skip_current_dir();
        }
        if walk.batch.len() == BATCH {
            take(std::mem::replace(&mut walk.batch, Vec::with_capacity(BATCH)));
        }
    }
    take(walk.batch);
    walk.walked.followed.sort();
    Ok(walk.walked)
}

/// Returns up to `most` folders near the top of an export, level by level, without the top itself. This is an estimate
/// of what the scan will find: folders that can't be read are skipped, and links are not followed.
#[must_use]
pub fn top_folders(export: &Path, most: usize) -> Vec<SitePath> {
    let mut found: Vec<SitePath> = Vec::new();
    let mut level = vec![SitePath::root()];
    while !level.is_empty() && found.len() < most {
        let mut below = Vec::new();
        for folder in &level {
            let entries = fs::read_dir(export.join(folder.as_str()))
                .into_iter()
                .flatten()
                .flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
            let paths = names.map(|name| folder.child(&name));
            // As in the manifest, names that a site can't have are skipped.
            below.extend(paths.filter(|path| !path.name().starts_with('.') && SitePath::new(path.as_str()).is_ok()));
        }
        below.sort_unstable();
        found.extend(below.iter().take(most - found.len()).cloned());
        level = below;
    }
    found
}

#[derive(PartialEq, Eq)]
enum Enter {
    Yes,
    No,
}

/// Why something in the export is not part of the site.
enum Left {
    Dot,
    Excluded,
    /// Left out without being counted, because it is not worth reporting.
    Unsaid,
}

struct Walk<'a> {
    root: &'a Path,
    exclude: &'a GlobSet,
    /// Files that have not been passed on yet.
    batch: Vec<WalkedFile>,
    walked: Walked,
    /// How many files and folders were visited, and how many symlinks to folders.
    entries: usize,
    links: usize,
}

impl Walk<'_> {
    /// Returns why the walk must be aborted, if it must.
    fn is_endless(&self) -> Option<FaultKind> {
        let (what, limit) = if self.links > MOST_LINKS {
            ("symlinks to folders", MOST_LINKS)
        } else if self.entries > MOST_ENTRIES {
            ("files and folders", MOST_ENTRIES)
        } else {
            return None;
        };
        Some(FaultKind::TooMany { what, limit })
    }

    fn entry(&mut self, entry: &DirEntry) -> Result<Enter, ScanError> {
        let relative = entry.path().strip_prefix(self.root).unwrap_or(entry.path());
        let kind = entry.file_type();
        if let Some(left) = self.leaves_out(relative) {
            let files = if kind.is_dir() && !entry.path_is_symlink() {
                self.count_files(entry.path())
            } else {
                1
            };
            self.count(&left, files);
            return Ok(Enter::No);
        }
        let path = match relative.to_str().map(SitePath::new) {
            Some(Ok(path)) => path,
            Some(Err(bad)) => return Ok(self.fault(relative, FaultKind::Name(bad))),
            None => return Ok(self.fault(relative, FaultKind::NotUtf8)),
        };
        let mut link = None;
        if entry.path_is_symlink() {
            let Ok(target) = fs::canonicalize(entry.path()) else {
                return Err(ScanError::Changed(path));
            };
            let Ok(inside) = target.strip_prefix(self.root) else {
                let target = link_target(entry.path());
                return Ok(self.fault(relative, FaultKind::LeavesExport(target)));
            };
            self.walked.followed.push((path.clone(), inside.to_owned()));
            link = Some(target);
        }
        if kind.is_dir() {
            self.links += usize::from(entry.path_is_symlink());
            return Ok(Enter::Yes);
        }
        let what = if kind.is_file() {
            self.batch.push(WalkedFile { path, link });
            return Ok(Enter::No);
        } else if kind.is_fifo() {
            "a named pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        Ok(self.fault(relative, FaultKind::Special(what)))
    }

    /// Handles an entry that could not be read.
    fn failure(&mut self, error: &walkdir::Error) -> Result<Enter, ScanError> {
        let relative = self.relative(error.path().unwrap_or(self.root));
        if let Some(left) = self.leaves_out(&relative) {
            self.count(&left, 1);
            return Ok(Enter::No);
        }
        if error.loop_ancestor().is_some() {
            return Ok(self.fault(&relative, FaultKind::Loop));
        }
        let file = self.root.join(&relative);
        // Check first whether the path is a symlink: if it is, the error is about its target.
        let is_link = fs::symlink_metadata(&file).is_ok_and(|meta| meta.file_type().is_symlink());
        let source = match error.io_error() {
            Some(error) => error
                .raw_os_error()
                .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
            None => io::ErrorKind::Other.into(),
        };
        let kind = match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if is_link => {
                FaultKind::Dangling(link_target(&file))
            }
            _ if is_link && source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => FaultKind::Loop,
            io::ErrorKind::NotFound => {
                let path = relative.to_str().and_then(|text| SitePath::new(text).ok());
                return Err(ScanError::Vanished(path.unwrap_or_default()));
            }
            _ => FaultKind::Unreadable(source),
        };
        Ok(self.fault(&relative, kind))
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_owned()
    }

    /// Returns why the last name of a path is left out, if it is. The folders above it have already been accepted.
    fn leaves_out(&self, relative: &Path) -> Option<Left> {
        let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
        if relative == Path::new(NO_JEKYLL) {
            // Many exports have it, for GitHub Pages, so it is not worth reporting.
            Some(Left::Unsaid)
        } else if relative.file_name().is_some_and(hidden) && relative != Path::new(WELL_KNOWN) {
            Some(Left::Dot)
        } else if self.exclude.is_match(relative) {
            Some(Left::Excluded)
        } else {
            None
        }
    }

    /// Counts the files in a folder that is left out. Entries in it that can't be read do not matter.
    fn count_files(&mut self, folder: &Path) -> u64 {
        let mut files = 0;
        for entry in WalkDir::new(folder).into_iter().filter_map(Result::ok) {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                break;
            }
            files += u64::from(!entry.file_type().is_dir());
        }
        files
    }

    fn count(&mut self, left: &Left, files: u64) {
        match left {
            Left::Dot => self.walked.left_out.dot_files += files,
            Left::Excluded => self.walked.left_out.excluded += files,
            Left::Unsaid => {}
        }
    }

    fn fault(&mut self, relative: &Path, kind: FaultKind) -> Enter {
        self.walked.faults.add(relative, kind);
        Enter::No
    }
}

fn link_target(link: &Path) -> String {
    fs::read_link(link).map_or_else(|_| "an unknown place".to_owned(), |target| shown(&target))
}

//! Updates a scan by reading a few files, if it is known that no others have changed.
//!
//! Handles only files that were there before and still are, because only for those is it certain what a full scan would
//! report. It must never guess: anything else takes a full scan.

use std::path::{Path, PathBuf};

use super::read::{self, Broken};
use super::{Scan, ScanError};
use crate::model::asset::GivenEncodings;
use crate::model::encoding::Coding;
use crate::model::event::{Observer, Stage};
use crate::model::path::SitePath;

/// Updates a scan of `export`. `changed` must contain every path below it at which something may have changed. Returns
/// `None` if that takes a full scan.
///
/// # Errors
/// [`ScanError`] if a file changes while it is read.
pub fn again(
    export: &Path,
    before: &Scan,
    changed: &[PathBuf],
    observer: &dyn Observer,
) -> Result<Option<Scan>, ScanError> {
    let mut files = Vec::new();
    // A followed symlink exposes changes at other paths.
    if !before.followed.is_empty() {
        return Ok(None);
    }
    for path in changed {
        match place(export, before, path) {
            ScannedPath::Nowhere => {}
            ScannedPath::Asset(index) => files.push((index, path)),
            ScannedPath::Unknown => return Ok(None),
        }
    }
    files.sort_unstable();
    files.dedup();
    let mut scan = before.clone();
    for (index, path) in files {
        let Some(asset) = scan.assets.get_mut(index) else {
            return Ok(None);
        };
        let digest = read::stamp(path).and_then(|stamp| Ok((read::digest(path, &stamp)?, stamp.size)));
        (asset.digest, asset.size) = match digest {
            Ok(digest) => digest,
            Err(Broken::Changed) => {
                let path = asset.path.clone();
                return Err(ScanError::Changed(path));
            }
            Err(Broken::Vanished | Broken::TooLarge(_) | Broken::Unreadable(_)) => return Ok(None),
        };
        observer.progressed(Stage::Scan, 1, asset.size);
    }
    Ok(Some(scan))
}

/// What a file system path means for a scan.
enum ScannedPath {
    /// Not part of the site, neither before nor now.
    Nowhere,
    /// A file of the site that still exists.
    Asset(usize),
    /// Something that appeared, disappeared, or takes more than reading one file.
    Unknown,
}

fn place(export: &Path, scan: &Scan, path: &Path) -> ScannedPath {
    let Ok(relative) = path.strip_prefix(export) else {
        return ScannedPath::Unknown;
    };
    let Some(site) = relative.to_str().and_then(|text| SitePath::new(text).ok()) else {
        return ScannedPath::Unknown;
    };
    let meta = path.symlink_metadata();
    let found = scan.assets.binary_search_by(|asset| asset.path.cmp(&site));
    match (found, meta) {
        (Ok(index), Ok(meta)) if meta.is_file() && is_plain(scan, index) => ScannedPath::Asset(index),
        // Editors create short-lived files next to the one that they save.
        (Err(_), Err(error)) if error.kind() == std::io::ErrorKind::NotFound => ScannedPath::Nowhere,
        _ => ScannedPath::Unknown,
    }
}

/// Whether a file has no encodings in the export, can't be an encoding itself, and is too small to be hashed on all
/// cores.
fn is_plain(scan: &Scan, index: usize) -> bool {
    scan.assets.get(index).is_some_and(|asset| {
        let is_encoding = Coding::ALL
            .into_iter()
            .any(|coding| coding.original(asset.path.as_str()).is_some());
        !is_encoding && asset.given == GivenEncodings::default() && asset.size < read::LARGE
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::event::Silent;
    use crate::site::scan::{ScanOptions, scan};

    fn whole(export: &Path) -> Scan {
        let options = ScanOptions {
            exclude: &globset::GlobSet::empty(),
            cache: None,
            now: std::time::SystemTime::now(),
        };
        scan(export, &options, &Silent).unwrap()
    }

    /// An export of two pages and a style sheet with a given encoding, and its scan.
    fn export() -> (tempfile::TempDir, Scan) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("docs")).unwrap();
        for name in ["index.html", "docs/a.html", "plain.css"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let css = "p { color: red }".repeat(100);
        let encoded = crate::site::encode::encode(Coding::Gzip, 6, css.as_bytes())
            .unwrap()
            .unwrap();
        fs::write(folder.path().join("plain.css"), css).unwrap();
        fs::write(folder.path().join("plain.css.gz"), &encoded).unwrap();
        let known = whole(folder.path());
        assert_eq!(known.assets.len(), 3);
        (folder, known)
    }

    fn after(folder: &Path, known: &Scan, changed: &[&str]) -> Option<Scan> {
        let changed: Vec<PathBuf> = changed.iter().map(|name| folder.join(name)).collect();
        again(folder, known, &changed, &Silent).unwrap()
    }

    #[test]
    fn files_that_changed_are_as_a_full_scan_would_have_them() {
        let (folder, known) = export();
        let folder = folder.path();
        fs::write(folder.join("docs/a.html"), "another text").unwrap();
        fs::write(folder.join("new"), "renamed over").unwrap();
        fs::rename(folder.join("new"), folder.join("index.html")).unwrap();
        let again = after(folder, &known, &["index.html", "new", "docs/a.html", "docs/a.html"]).unwrap();
        assert_eq!(again.assets, whole(folder).assets);
        assert_eq!(after(folder, &again, &[]).unwrap(), again);
    }

    #[test]
    fn whatever_is_more_than_that_takes_a_full_scan() {
        let (folder, known) = export();
        let folder = folder.path();
        fs::write(folder.join("new.html"), "x").unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        fs::remove_file(folder.join("docs/a.html")).unwrap();
        std::os::unix::fs::symlink("index.html", folder.join("link.html")).unwrap();
        let all = [
            "new.html",
            "folder",
            "docs/a.html",
            "link.html",
            "plain.css",
            "plain.css.gz",
            "docs",
            "",
        ];
        for changed in all {
            assert!(after(folder, &known, &[changed]).is_none(), "{changed}");
        }
        assert!(after(folder, &known, &["/elsewhere"]).is_none());
        // The target of a symlink may be anywhere.
        fs::write(folder.join("docs/a.html"), "x").unwrap();
        assert!(after(folder, &whole(folder), &["index.html"]).is_none());
    }
}

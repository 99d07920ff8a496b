//! Exports as folders: copied, read, and given another build ID without a build.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syntax_publish::next::build_id::in_comment;
use walkdir::WalkDir;

/// Copies a folder as it is.
pub fn copy(from: &Path, to: &Path) {
    for entry in WalkDir::new(from) {
        let entry = entry.unwrap();
        let at = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(at).unwrap();
        } else {
            fs::copy(entry.path(), at).unwrap();
        }
    }
}

/// Every file below a folder, following links, by path.
pub fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    WalkDir::new(folder)
        .follow_links(true)
        .into_iter()
        .map(|entry| entry.unwrap_or_else(|error| panic!("{error}")))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap();
            (path.to_owned(), fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The build ID of a Next.js export.
pub fn build_id(export: &Path) -> String {
    let ids: Vec<String> = fs::read_dir(export.join("_next/static"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("_buildManifest.js").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids[0].clone()
}

/// Changes an export as another build of the same source does: replaces the build ID everywhere.
pub fn rebuild(export: &Path, id: &str) -> usize {
    let old = build_id(export);
    assert_eq!(old.len(), id.len(), "as long as Next.js makes them");
    for folder in ["_next/static", "_next/data"] {
        let folder = export.join(folder);
        if folder.join(&old).exists() {
            fs::rename(folder.join(&old), folder.join(id)).unwrap();
        }
    }
    let mut touched = 0;
    for (path, bytes) in files_below(export) {
        let new = replaced(&bytes, old.as_bytes(), id.as_bytes());
        let new = replaced(&new, in_comment(&old).as_bytes(), in_comment(id).as_bytes());
        if new != bytes {
            fs::write(export.join(path), new).unwrap();
            touched += 1;
        }
    }
    touched
}

pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(old.len()).position(|window| window == old) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    out.extend_from_slice(rest);
    out
}

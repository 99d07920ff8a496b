//! `empty`: images, fonts, videos and scripts have the content that their names promise. Pure.
//!
//! A checkout without Git LFS has a pointer of three lines in place of each large file, and a failed copy leaves an
//! empty file. Both would be published as they are, and readers would see a broken image. A script may be empty on
//! purpose, so an empty script is a warning.

use super::finding::{Material, RawFinding};
use crate::model::media::media_type;
use crate::site::survey::Hit;

/// The check's name in the site manifest.
pub(super) const NAME: &str = "empty";

/// The first line of a Git LFS pointer.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// The size limit of a pointer, in bytes. Every pointer is shorter.
const LONGEST: u64 = 1024;

/// Whether a file is short enough to be a pointer, whatever its name.
pub(super) const fn may_be_pointer(size: u64) -> bool {
    size > POINTER.len() as u64 && size < LONGEST
}

/// Adds a hit if the bytes are a pointer.
pub(super) fn search(bytes: &[u8], hits: &mut Vec<Hit>) {
    if bytes.starts_with(POINTER) && may_be_pointer(bytes.len() as u64) {
        hits.push(Hit::of_file(NAME, ""));
    }
}

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let found = material.files().filter_map(|file| {
        let path = file.asset.path.clone();
        if material.hits(file, NAME).next().is_some() {
            return Some(RawFinding::new(
                path,
                "this is a pointer of Git LFS and not the file: the build was made from a checkout without it",
                "run `git lfs pull` before the build (GitHub Actions: `lfs: true` for actions/checkout)",
            ));
        }
        if file.asset.size > 0 {
            return None;
        }
        let media = media_type(path.as_str());
        let is_seen = ["image/", "font/", "audio/", "video/"]
            .iter()
            .any(|kind| media.starts_with(kind));
        if is_seen || matches!(media, "application/pdf" | "application/wasm") {
            let message = "there is nothing in this file: readers see it broken";
            let hint = "build again, and see whether the source of this file is empty too";
            return Some(RawFinding::new(path, message, hint));
        }
        let hint = "if it is meant to be empty, name it in `allow` of [check]";
        (media == "text/javascript").then(|| RawFinding::new(path, "there is nothing in this script", hint).light())
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::severity::Severity;
    use crate::site::check::tests::Export;

    #[test]
    fn files_with_nothing_in_them_and_pointers_are_found() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 51200\n";
        let export = Export::new(&[
            ("a.png", ""),
            ("b.png", pointer),
            ("c.js", pointer),
            ("d.js", ""),
            ("e.woff2", ""),
            ("f.css", ""),
            ("g.txt", ""),
            ("h.png", "picture"),
            ("i.html", "<pre>version https://git-lfs.github.com/spec/v1"),
        ]);
        let found: Vec<_> = find(export.material())
            .into_iter()
            .map(|finding| (finding.path.clone(), finding.severity))
            .collect();
        let expected = [
            ("a.png", None),
            ("b.png", None),
            ("c.js", None),
            ("d.js", Some(Severity::Warning)),
            ("e.woff2", None),
        ];
        assert_eq!(found, expected.map(|(path, weight)| (path.to_owned(), weight)));
    }
}

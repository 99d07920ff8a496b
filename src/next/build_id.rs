//! The build id: where it stands in the names of files, and which one takes its place. Pure.
//!
//! Next.js's client compares the id of the page that is open with that of a payload, and loads the page anew where they
//! differ, since its code may not fit. So the id must change when the client's code does, and there is no need for it
//! to change when only a text does. A digest of the client's code is such an id.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::digest::{Digest, Hasher};

/// The folder of the client's files.
const STATIC: &str = "_next/static/";
/// The folder of the Pages Router's data.
const DATA: &str = "_next/data/";
/// Files of this folder are named in payloads and style sheets, never in code without changing it.
const MEDIA: &str = "_next/static/media/";
/// The file that names a folder as that of a build.
const MANIFEST: &str = "/_buildManifest.js";

/// Changes when the way of making the id does.
const VERSION: &[u8] = b"syntax-publish build id 1\n";

/// The ids of the builds whose files are there, by the names of folders.
#[must_use]
pub fn in_paths<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths.filter_map(in_path).collect()
}

/// The build id that a path has.
#[must_use]
pub fn in_path(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix(STATIC) {
        return rest.strip_suffix(MANIFEST).filter(|id| !id.contains('/'));
    }
    let (id, page) = path.strip_prefix(DATA)?.split_once('/')?;
    page.ends_with(".json").then_some(id)
}

/// The path with one id in place of another, where the path has it as the folder of a build.
#[must_use]
pub fn renamed(path: &str, from: &str, to: &str) -> Option<String> {
    [STATIC, DATA].iter().find_map(|folder| {
        let rest = path.strip_prefix(folder)?.strip_prefix(from)?;
        rest.starts_with('/').then(|| format!("{folder}{to}{rest}"))
    })
}

/// An id as it stands in the comment of a page: without hyphens, two of which would end it, and cut short.
#[must_use]
pub fn in_comment(id: &str) -> String {
    id.chars()
        .take(IN_COMMENT)
        .map(|c| if c == '-' { '_' } else { c })
        .collect()
}

/// So much of an id stands in a comment.
const IN_COMMENT: usize = 24;

/// The id that follows from the client's code: names and bytes below `_next/static`, with the old id taken out of them.
/// Pictures and fonts don't count, since whatever uses them names them.
#[must_use]
pub fn stable<'a>(assets: impl Iterator<Item = (&'a str, Digest)>, old: &str) -> String {
    let code: BTreeMap<String, Digest> = assets
        .filter(|(path, _)| path.starts_with(STATIC) && !path.starts_with(MEDIA))
        .map(|(path, digest)| (renamed(path, old, "").unwrap_or_else(|| path.to_owned()), digest))
        .collect();
    let mut hasher = Hasher::new();
    hasher.update(VERSION);
    for (path, digest) in code {
        hasher.update(format!("{digest} {path}\n").as_bytes());
    }
    let mut id = hasher.finish().to_string();
    id.truncate(LENGTH);
    id
}

/// Hex digits: 80 bits, in about as many characters as Next.js's own ids have.
const LENGTH: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_off_the_folders_of_a_build() {
        let ids = in_paths(
            [
                "_next/static/abc/_buildManifest.js",
                "_next/static/chunks/a.js",
                "_next/static/chunks/app/_buildManifest.js",
                "_next/data/def/usage.json",
                "_next/data/x.json",
            ]
            .into_iter(),
        );
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["abc", "def"]);
    }

    #[test]
    fn only_the_folder_of_the_build_is_renamed() {
        assert_eq!(
            renamed("_next/static/abc/x.js", "abc", "new").as_deref(),
            Some("_next/static/new/x.js")
        );
        assert_eq!(
            renamed("_next/data/abc/x.json", "abc", "new").as_deref(),
            Some("_next/data/new/x.json")
        );
        for other in [
            "_next/static/abcd/x.js",
            "docs/abc/x.html",
            "_next/static/chunks/abc/x.js",
            "_next/static/abc",
        ] {
            assert_eq!(renamed(other, "abc", "new"), None, "{other}");
        }
    }

    #[test]
    fn comment_has_the_start_of_an_id_without_hyphens() {
        assert_eq!(in_comment("a-b"), "a_b");
        assert_eq!(in_comment("release-2026-11-23-and-more"), "release_2026_11_23_and_m");
    }

    #[test]
    fn id_follows_the_code_and_nothing_else() {
        let one = Digest::of(b"1");
        let two = Digest::of(b"2");
        let id = |assets: &[(&str, Digest)], old: &str| stable(assets.iter().copied(), old);
        let first = id(
            &[
                ("_next/static/chunks/a.js", one),
                ("_next/static/abc/_buildManifest.js", two),
            ],
            "abc",
        );
        assert_eq!(first.len(), 20);
        let rebuilt = [
            ("_next/static/xyz/_buildManifest.js", two),
            ("_next/static/chunks/a.js", one),
            ("usage.html", two),
            ("_next/static/media/a.png", two),
        ];
        assert_eq!(id(&rebuilt, "xyz"), first);
        assert_ne!(
            id(
                &[
                    ("_next/static/chunks/a.js", two),
                    ("_next/static/abc/_buildManifest.js", two)
                ],
                "abc"
            ),
            first
        );
        assert_ne!(
            id(
                &[
                    ("_next/static/chunks/b.js", one),
                    ("_next/static/abc/_buildManifest.js", two)
                ],
                "abc"
            ),
            first
        );
    }
}

//! The cache class of a file: whether a reader may keep it for good or must ask again. Pure.
//!
//! The folder lists below are the only rules there are. The manifest, the pool and the printed
//! vhost all read them, so what the store calls immutable is exactly what nginx announces as
//! immutable.
//!
//! A class never depends on the shape of a file's name: bundlers change how their hashes look,
//! but not where they put the files. And when in doubt the answer is [`CacheClass::Revalidate`],
//! which costs a request; a wrong `Immutable` costs a reader a year of a stale file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Folders whose files never change under one name.
///
/// Relative to the root of the export, each with its closing slash.
pub const IMMUTABLE_FOLDERS: &[&str] = &[
    "_next/static/chunks/",
    "_next/static/css/",
    "_next/static/media/",
    "pagefind/fragment/",
    "pagefind/index/",
    "_pagefind/fragment/",
    "_pagefind/index/",
    "_assets/",
];

/// Folders that an open tab still reads from after a publish although their files may change.
///
/// Beside the immutable folders, `_next/static/` holds a folder named after the build, with the
/// manifests that the Pages Router loads late.
pub const LATE_FOLDERS: &[&str] = &["_next/static/"];

/// How long a reader may use a file without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheClass {
    /// For good: other bytes would have another name.
    Immutable,
    /// Never without asking: the bytes under this name may be others after the next publish.
    Revalidate,
}

impl CacheClass {
    /// The value of `Cache-Control` for an answer that carries a file of this class.
    #[must_use]
    pub const fn cache_control(self) -> &'static str {
        match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Revalidate => "no-cache",
        }
    }
}

impl fmt::Display for CacheClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Immutable => "immutable",
            Self::Revalidate => "revalidate",
        })
    }
}

/// The cache class of a file by its path in the export, with or without the leading slash.
#[must_use]
pub fn classify(path: &str) -> CacheClass {
    if lies_in(path, IMMUTABLE_FOLDERS) {
        CacheClass::Immutable
    } else {
        CacheClass::Revalidate
    }
}

/// Whether a file stays reachable through the pool after it left the live release.
#[must_use]
pub fn pooled(path: &str) -> bool {
    lies_in(path, LATE_FOLDERS) || lies_in(path, IMMUTABLE_FOLDERS)
}

/// The folders of the pool, none of them inside another.
pub fn pooled_folders() -> impl Iterator<Item = &'static str> {
    let outermost = IMMUTABLE_FOLDERS.iter().filter(|folder| !lies_in(folder, LATE_FOLDERS));
    LATE_FOLDERS.iter().chain(outermost).copied()
}

fn lies_in(path: &str, folders: &[&str]) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    folders.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_immutable_by_folder_alone() {
        for path in [
            "_next/static/chunks/0t0z5u_ughhp5.js",
            "/_next/static/chunks/app/page.js",
            "_next/static/css/a.css",
            "_next/static/media/font.woff2",
            "pagefind/fragment/en_1.pf_fragment",
            "_pagefind/index/en_1.pf_index",
            "_assets/images/logo.0123456789abcdef.png",
        ] {
            assert_eq!(classify(path), CacheClass::Immutable, "{path}");
            assert!(pooled(path), "{path}");
        }
        for path in [
            "index.html",
            "main.0123456789abcdef.js",
            "docs/_next/static/chunks/a.js",
            "_next/static.html",
            "_next/data/id/usage.json",
            "pagefind/pagefind.js",
            "_assets.txt",
            "//_assets/a.png",
            "",
        ] {
            assert_eq!(classify(path), CacheClass::Revalidate, "{path}");
            assert!(!pooled(path), "{path}");
        }
    }

    #[test]
    fn build_manifests_revalidate_and_are_pooled() {
        for path in ["_next/static/3fa0/_buildManifest.js", "_next/static/chunks.js"] {
            assert_eq!(classify(path), CacheClass::Revalidate);
            assert!(pooled(path));
        }
    }

    #[test]
    fn pooled_folders_cover_every_immutable_folder_once() {
        let folders: Vec<_> = pooled_folders().collect();
        for immutable in IMMUTABLE_FOLDERS {
            let covering = folders.iter().filter(|f| immutable.starts_with(**f));
            assert_eq!(covering.count(), 1, "{immutable}");
        }
    }

    #[test]
    fn class_has_one_name_on_the_screen_and_in_json() {
        for class in [CacheClass::Immutable, CacheClass::Revalidate] {
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(json, format!("\"{class}\""));
        }
    }
}

//! The cache class of a file: whether a reader may keep it for good or must ask again. Pure.
//!
//! The folders that [`Classes`] knows are the only rules there are. The manifest and the printed
//! vhost both read them, so what the store calls immutable is exactly what nginx announces as
//! immutable. The manifest writes each file's class down: whoever looks at a host reads it there
//! and needs no site manifest.
//!
//! A class never depends on the shape of a file's name: bundlers change how their hashes look,
//! but not where they put the files. And when in doubt the answer is [`CacheClass::Revalidate`],
//! which costs a request; a wrong `Immutable` costs a reader a year of a stale file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Folders of Next.js and Pagefind whose files never change under one name.
///
/// Relative to the root of the export, each with its closing slash. The folder of the
/// fingerprinted copies comes beside them: its name is the site manifest's.
const IMMUTABLE_FOLDERS: &[&str] = &[
    "_next/static/chunks/",
    "_next/static/css/",
    "_next/static/media/",
    "pagefind/fragment/",
    "pagefind/index/",
    "_pagefind/fragment/",
    "_pagefind/index/",
];

/// Folders that an open tab still reads from after a publish although their files may change.
///
/// Beside the immutable folders, `_next/static/` holds a folder named after the build, with the
/// manifests that the Pages Router loads late.
const LATE_FOLDERS: &[&str] = &["_next/static/"];

/// The folders that decide the cache classes of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// The folder of the fingerprinted copies, with its closing slash.
    copies: String,
}

impl Classes {
    /// The classes of a site whose fingerprinted copies lie in the folder `prefix` at its root.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            copies: format!("{prefix}/"),
        }
    }

    /// The cache class of a file by its path in the export, with or without the leading slash.
    #[must_use]
    pub fn classify(&self, path: &str) -> CacheClass {
        if lies_in(path, self.immutable_folders()) {
            CacheClass::Immutable
        } else {
            CacheClass::Revalidate
        }
    }

    /// The folders whose files never change under one name, each with its closing slash.
    pub fn immutable_folders(&self) -> impl Iterator<Item = &str> {
        IMMUTABLE_FOLDERS.iter().copied().chain([self.copies.as_str()])
    }

    /// The folders of the pool, none of them inside another.
    pub fn pooled_folders(&self) -> impl Iterator<Item = &str> {
        let all = || LATE_FOLDERS.iter().copied().chain(self.immutable_folders());
        all().filter(move |folder| !all().any(|other| other != *folder && folder.starts_with(other)))
    }
}

/// Whether a file of this path and class stays reachable through the pool after it left the live
/// release.
#[must_use]
pub fn pooled(path: &str, class: CacheClass) -> bool {
    class == CacheClass::Immutable || lies_in(path, LATE_FOLDERS.iter().copied())
}

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

fn lies_in<'a>(path: &str, mut folders: impl Iterator<Item = &'a str>) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    folders.any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_pooled(classes: &Classes, path: &str) -> bool {
        pooled(path, classes.classify(path))
    }

    #[test]
    fn files_are_immutable_by_folder_alone() {
        let classes = Classes::new("_assets");
        for path in [
            "_next/static/chunks/0t0z5u_ughhp5.js",
            "/_next/static/chunks/app/page.js",
            "_next/static/css/a.css",
            "_next/static/media/font.woff2",
            "pagefind/fragment/en_1.pf_fragment",
            "_pagefind/index/en_1.pf_index",
            "_assets/images/logo.0123456789abcdef.png",
        ] {
            assert_eq!(classes.classify(path), CacheClass::Immutable, "{path}");
            assert!(is_pooled(&classes, path), "{path}");
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
            assert_eq!(classes.classify(path), CacheClass::Revalidate, "{path}");
            assert!(!is_pooled(&classes, path), "{path}");
        }
    }

    #[test]
    fn copies_lie_where_the_site_says_and_nowhere_else() {
        let classes = Classes::new("files.v2");
        let class = |path| classes.classify(path);
        assert_eq!(class("files.v2/logo.0123456789abcdef.png"), CacheClass::Immutable);
        assert_eq!(class("_assets/logo.0123456789abcdef.png"), CacheClass::Revalidate);
        assert_eq!(class("files-v2/logo.png"), CacheClass::Revalidate);
        assert_eq!(class("_next/static/chunks/a.js"), CacheClass::Immutable);
    }

    #[test]
    fn what_a_manifest_calls_immutable_is_pooled_wherever_it_lies() {
        assert!(pooled("elsewhere/a.png", CacheClass::Immutable));
        assert!(!pooled("elsewhere/a.png", CacheClass::Revalidate));
        assert!(!pooled("_assets/a.png", CacheClass::Revalidate));
    }

    #[test]
    fn build_manifests_revalidate_and_are_pooled() {
        let classes = Classes::new("_assets");
        for path in ["_next/static/3fa0/_buildManifest.js", "_next/static/chunks.js"] {
            assert_eq!(classes.classify(path), CacheClass::Revalidate);
            assert!(is_pooled(&classes, path));
        }
    }

    #[test]
    fn pooled_folders_cover_every_immutable_folder_once() {
        for prefix in ["_assets", "pagefind", "_next"] {
            let classes = Classes::new(prefix);
            let folders: Vec<_> = classes.pooled_folders().collect();
            for immutable in classes.immutable_folders().chain(LATE_FOLDERS.iter().copied()) {
                let covering = folders.iter().filter(|f| immutable.starts_with(**f));
                assert_eq!(covering.count(), 1, "{immutable} of {prefix}");
            }
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

//! The cache class of a file: whether a browser may keep it forever or must revalidate it. Pure.
//!
//! A file is immutable if its name contains a hash of its content, so that different content has a different name. The
//! patterns in [`Classes`] define which files those are, and there are no other rules. The manifest and the printed
//! vhost both use these patterns, so the store and nginx agree on which files are immutable. The manifest records each
//! file's class, so code that examines a host reads the class there and needs no site manifest.
//!
//! A pattern is a folder and, if the folder also contains other files, the file name endings that count. A pattern
//! never matches the shape of a hash: bundlers change what their hashes look like, but not where they put the files.
//! When in doubt the class is [`CacheClass::Revalidate`], which costs a request. A wrong `Immutable` leaves a visitor
//! with a stale file for a year.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A pattern that matches files below one folder by the ending of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPattern<'a> {
    /// The folder, relative to the root of the export, with its trailing slash.
    pub folder: &'a str,
    /// The endings that count, each with its dot. Empty if every file counts.
    pub endings: &'a [&'a str],
}

impl<'a> PathPattern<'a> {
    const fn all(folder: &'a str) -> Self {
        Self { folder, endings: &[] }
    }

    const fn some(folder: &'a str, endings: &'a [&'a str]) -> Self {
        Self { folder, endings }
    }

    /// Whether a file's path, without a leading slash, matches.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        let ends = |ending: &&str| path.ends_with(ending.as_bytes());
        path.starts_with(self.folder.as_bytes()) && (self.endings.is_empty() || self.endings.iter().any(ends))
    }

    /// Whether every file that matches `other` also matches this pattern. A pattern with endings covers nothing.
    fn covers(&self, other: &PathPattern<'_>) -> bool {
        self.endings.is_empty() && other.folder.starts_with(self.folder)
    }
}

/// Files of Next.js and Pagefind that are named after their content.
///
/// The folder of the chunks may also contain files that are not. A source map has the hash of its script, which stays
/// the same if only the map changes. Nextra 2 and 3 put their search index there under a fixed name. Pagefind's scripts
/// and `pagefind-entry.json` have fixed names too.
const HASHED: &[PathPattern<'static>] = &[
    PathPattern::some("_next/static/chunks/", &[".css", ".js", ".mjs", ".wasm"]),
    PathPattern::some("_next/static/css/", &[".css"]),
    PathPattern::all("_next/static/media/"),
    PathPattern::some("pagefind/", PAGEFIND),
    PathPattern::some("_pagefind/", PAGEFIND),
];

/// Files that Pagefind loads one by one as the visitor types or filters.
const PAGEFIND: &[&str] = &[".pf_filter", ".pf_fragment", ".pf_index", ".pf_meta"];

/// Files that an open tab still reads after a publish although they may change.
///
/// In addition to immutable files, `_next/static/` contains a folder named after the build, with the manifests that the
/// Pages Router loads late.
const LATE: PathPattern<'static> = PathPattern::all("_next/static/");

/// The patterns that decide the cache classes of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// The folder of the fingerprinted copies, with its trailing slash.
    copies: String,
}

impl Classes {
    /// Returns the classes of a site whose fingerprinted copies are in the folder `prefix` at its root.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            copies: format!("{prefix}/"),
        }
    }

    /// The folder of the fingerprinted copies, with its trailing slash.
    #[must_use]
    pub fn copies(&self) -> &str {
        &self.copies
    }

    /// The cache class of a file by its path in the export, with or without a leading slash.
    #[must_use]
    pub fn classify(&self, path: &str) -> CacheClass {
        let path = without_slash(path);
        if self.immutable().any(|pattern| pattern.has(path)) {
            CacheClass::Immutable
        } else {
            CacheClass::Revalidate
        }
    }

    /// The patterns of files that never change under one name. The site manifest sets the folder of the fingerprinted
    /// copies.
    pub fn immutable(&self) -> impl Iterator<Item = PathPattern<'_>> {
        HASHED.iter().copied().chain([PathPattern::all(&self.copies)])
    }

    /// The patterns of the pool's files, as few as possible.
    pub fn pooled(&self) -> impl Iterator<Item = PathPattern<'_>> {
        let all = || [LATE].into_iter().chain(self.immutable());
        all().filter(move |pattern| !all().any(|other| other != *pattern && other.covers(pattern)))
    }
}

/// Whether a file of this path and class stays reachable through the pool after it leaves the live release.
#[must_use]
pub fn pooled(path: &str, class: CacheClass) -> bool {
    class == CacheClass::Immutable || LATE.has(without_slash(path))
}

/// How long a browser may use a file without revalidating it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheClass {
    /// Forever, because different content would have a different name.
    Immutable,
    /// Never without revalidating, because the next publish may put different content under this name.
    Revalidate,
}

impl CacheClass {
    /// The value of `Cache-Control` for a response with a file of this class.
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

fn without_slash(path: &str) -> &[u8] {
    path.strip_prefix('/').unwrap_or(path).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_pooled(classes: &Classes, path: &str) -> bool {
        pooled(path, classes.classify(path))
    }

    #[test]
    fn files_whose_names_hold_a_hash_are_immutable_and_pooled() {
        let classes = Classes::new("_assets");
        for path in [
            "_next/static/chunks/0t0z5u_ughhp5.js",
            "/_next/static/chunks/app/page.js",
            "_next/static/css/a.css",
            "_next/static/media/font.woff2",
            "pagefind/fragment/en_1.pf_fragment",
            "_pagefind/index/en_1.pf_index",
            "pagefind/filter/en_1.pf_filter",
            "pagefind/pagefind.en_39eb99c436.pf_meta",
            "_next/static/media/data.0123abcd.json",
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
            "pagefind/pagefind-entry.json",
            "pagefind/wasm.en.pagefind",
            "docs/pagefind/index/en_1.pf_index",
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
    fn files_beside_chunks_that_have_fixed_names_revalidate_and_are_pooled() {
        let classes = Classes::new("_assets");
        for path in [
            "_next/static/3fa0/_buildManifest.js",
            "_next/static/chunks.js",
            "_next/static/chunks/nextra-data-en-US.json",
            "_next/static/chunks/a6dad97d9634a72d.js.map",
            "_next/static/css/0123abcd.css.map",
        ] {
            assert_eq!(classes.classify(path), CacheClass::Revalidate);
            assert!(is_pooled(&classes, path));
        }
    }

    #[test]
    fn the_patterns_of_the_pool_cover_every_immutable_file_once() {
        for prefix in ["_assets", "_next"] {
            let classes = Classes::new(prefix);
            let pooled: Vec<_> = classes.pooled().collect();
            for immutable in classes.immutable().chain([LATE]) {
                let covering = pooled.iter().filter(|p| p.covers(&immutable) || **p == immutable);
                assert_eq!(covering.count(), 1, "{immutable:?} of {prefix}");
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

//! The cache class of a file: whether a browser may keep it forever or must revalidate it. Pure.
//!
//! A file is immutable if its name contains a hash of its content, so that different content has a different name. The
//! patterns in [`Classes`] define which files those are, and there are no other rules. The manifest and the printed
//! vhost both use these patterns, so the store and nginx agree on which files are immutable. The manifest records each
//! file's class, so code that examines a host reads the class there and needs no site manifest.
//!
//! A pattern is a folder and, if the folder also contains other files, the file name endings that count. In a folder
//! that may also contain files of the site's own, as `assets/` of Docusaurus and `VitePress` does, the name must have the
//! [`enum@Hash`] of that bundler, too. In folders of Next.js the shape of a hash is not a rule: bundlers change what their
//! hashes look like, but not where they put the files. When in doubt the class is [`CacheClass::Revalidate`], which
//! costs a request. A wrong `Immutable` leaves a visitor with a stale file for a year.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::generator::Generator;
use super::glob::PathGlob;

/// A pattern of paths, relative to the root of the export. A folder has its trailing slash, an ending its dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPattern<'a> {
    /// Files below a folder whose names end so. No endings: every file.
    Below {
        /// The folder.
        folder: &'a str,
        /// The endings.
        endings: &'a [&'a str],
    },
    /// Files below a folder that have a hash before the ending. No endings: any extension.
    Hashed {
        /// The folder.
        folder: &'a str,
        /// The form of the hash.
        hash: Hash,
        /// The endings.
        endings: &'a [&'a str],
    },
    /// Files that a glob of the site manifest matches.
    Matching(&'a PathGlob),
}

/// The form in which a bundler writes a hash of the content into a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// webpack's `[contenthash:8]`: a dot and 8 hex digits that are no date, such as 20240131.
    Webpack,
    /// webpack's `file-loader`: a hyphen and 32 hex digits.
    FileLoader,
    /// Vite's: a dot and 8 characters of base64url. One is an upper-case letter or a digit, so it is no word, and one a
    /// letter other than `x`, so it is neither a date nor a size such as 1280x720. Of the hashes that Vite makes, two in
    /// a thousand are not like that.
    Vite,
    /// The same without `_`: the names of pictures that Astro has made end with `_` and a hash of the settings.
    ViteNotMade,
}

impl Hash {
    /// Whether a name, without its ending, ends with such a hash.
    fn ends(self, stem: &[u8]) -> bool {
        let mark = match self {
            Self::FileLoader => b'-',
            Self::Webpack | Self::Vite | Self::ViteNotMade => b'.',
        };
        let Some(at) = stem.iter().rposition(|byte| *byte == mark) else {
            return false;
        };
        let hash = &stem[at + 1..];
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_date = || hash.iter().all(u8::is_ascii_digit) && (hash.starts_with(b"19") || hash.starts_with(b"20"));
        match self {
            Self::FileLoader => hash.len() == 32 && hash.iter().all(is_hex),
            Self::Webpack => hash.len() == 8 && hash.iter().all(is_hex) && !is_date(),
            Self::Vite | Self::ViteNotMade => {
                let is_part =
                    |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || (*byte == b'_' && self == Self::Vite);
                hash.len() == 8
                    && hash.iter().all(is_part)
                    && hash
                        .iter()
                        .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
                    && hash.iter().any(|byte| byte.is_ascii_alphabetic() && *byte != b'x')
            }
        }
    }

    /// The same as a regular expression, for nginx.
    #[must_use]
    pub const fn regex(self) -> &'static str {
        match self {
            Self::Webpack => "[.](?!(?:19|20)[0-9]{6}[.])[0-9a-f]{8}",
            Self::FileLoader => "-[0-9a-f]{32}",
            Self::Vite => "[.](?=[^.]*[0-9A-Z])(?=[^.]*[A-Za-wyz])[0-9A-Za-z_-]{8}",
            Self::ViteNotMade => "[.](?=[^.]*[0-9A-Z])(?=[^.]*[A-Za-wyz])[0-9A-Za-z-]{8}",
        }
    }
}

impl<'a> PathPattern<'a> {
    const fn all(folder: &'a str) -> Self {
        Self::Below { folder, endings: &[] }
    }

    const fn some(folder: &'a str, endings: &'a [&'a str]) -> Self {
        Self::Below { folder, endings }
    }

    const fn hashed(folder: &'a str, hash: Hash, endings: &'a [&'a str]) -> Self {
        Self::Hashed { folder, hash, endings }
    }

    /// Whether a file's path, without a leading slash, matches.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        match *self {
            Self::Below { folder, endings } => {
                let ends = |ending: &&str| path.ends_with(ending.as_bytes());
                path.starts_with(folder.as_bytes()) && (endings.is_empty() || endings.iter().any(ends))
            }
            Self::Hashed { folder, hash, endings } => {
                let Some(name) = path.strip_prefix(folder.as_bytes()) else {
                    return false;
                };
                let stems = endings.iter().filter_map(|ending| name.strip_suffix(ending.as_bytes()));
                let stem = if endings.is_empty() {
                    without_extension(name)
                } else {
                    None
                };
                stems.chain(stem).any(|stem| hash.ends(stem))
            }
            Self::Matching(glob) => glob.is_match(path),
        }
    }

    /// Whether every file that matches `other` also matches this pattern. Only a folder without endings covers others.
    fn covers(&self, other: &PathPattern<'a>) -> bool {
        match (*self, *other) {
            (
                Self::Below { folder, endings: [] },
                Self::Below { folder: below, .. } | Self::Hashed { folder: below, .. },
            ) => below.starts_with(folder),
            _ => false,
        }
    }
}

/// The name without its extension; `None` if it has none.
fn without_extension(name: &[u8]) -> Option<&[u8]> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let extension = &name[dot + 1..];
    (!extension.is_empty() && !extension.contains(&b'/')).then(|| &name[..dot])
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

/// Files of Docusaurus 2 and 3. `static/assets/` of the site may be among them, and the names of `assets/ideal-img/` have
/// the hash of the original only.
const DOCUSAURUS: &[PathPattern<'static>] = &[
    PathPattern::hashed("assets/js/", Hash::Webpack, &[".js"]),
    PathPattern::hashed("assets/css/", Hash::Webpack, &[".css"]),
    PathPattern::hashed("assets/files/", Hash::FileLoader, &[]),
    PathPattern::hashed("assets/fonts/", Hash::FileLoader, &[]),
    PathPattern::hashed("assets/images/", Hash::FileLoader, &[]),
    PathPattern::hashed("assets/medias/", Hash::FileLoader, &[]),
];

/// Files of Astro 3 and later. The hash of a picture that Astro has made, `name.<hash>_<settings>.webp`, leaves out the
/// encoder and how it is configured; that of a picture from elsewhere is one of its address. Neither is one of the bytes.
const ASTRO: &[PathPattern<'static>] = &[
    PathPattern::hashed("_astro/", Hash::Vite, &[".css", ".js"]),
    PathPattern::hashed("_astro/", Hash::ViteNotMade, &[]),
];

/// Files of `VitePress` 1 and 2. `public/assets/` of the site may be among them.
const VITEPRESS: &[PathPattern<'static>] = &[
    PathPattern::hashed("assets/", Hash::Vite, &[".lean.js"]),
    PathPattern::hashed("assets/", Hash::Vite, &[]),
];

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
    generator: Generator,
    /// The globs of the site manifest.
    own: Vec<PathGlob>,
}

impl Classes {
    /// Returns the classes of a site whose fingerprinted copies are in the folder `prefix` at its root.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            copies: format!("{prefix}/"),
            generator: Generator::default(),
            own: Vec::new(),
        }
    }

    /// Adds the files with a hash in their names that a generator writes, and those that the site manifest lists.
    #[must_use]
    pub fn with(self, generator: Generator, own: &[PathGlob]) -> Self {
        Self {
            generator,
            own: own.to_vec(),
            ..self
        }
    }

    /// The patterns of the generator, other than Next.js's and Pagefind's, which every site has.
    const fn of_generator(&self) -> &'static [PathPattern<'static>] {
        match self.generator {
            Generator::Next | Generator::Static => &[],
            Generator::Docusaurus => DOCUSAURUS,
            Generator::Astro => ASTRO,
            Generator::VitePress => VITEPRESS,
        }
    }

    /// The generator.
    #[must_use]
    pub const fn made_by(&self) -> Generator {
        self.generator
    }

    /// The generator, if its files have patterns that not every site has.
    #[must_use]
    pub fn generator(&self) -> Option<Generator> {
        (!self.of_generator().is_empty()).then_some(self.generator)
    }

    /// The globs of the site manifest.
    #[must_use]
    pub fn own(&self) -> &[PathGlob] {
        &self.own
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
        let fixed = HASHED.iter().chain(self.of_generator()).copied();
        fixed
            .chain([PathPattern::all(&self.copies)])
            .chain(self.own.iter().map(PathPattern::Matching))
    }

    /// Whether a path, without a leading slash, is one of the pool.
    #[must_use]
    pub fn is_pooled(&self, path: &[u8]) -> bool {
        LATE.has(path) || self.immutable().any(|pattern| pattern.has(path))
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
        self.serialize(f)
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

    /// The classes of a generator, and paths of each class. The vhost's test has the same paths.
    pub(crate) const GENERATED: [(Generator, &[&str], &[&str]); 3] = [
        (
            Generator::Docusaurus,
            &[
                "assets/js/main.814c51b4.js",
                "assets/js/runtime~main.a0a5f7e0.js",
                "assets/js/a.b.20240a31.js",
                "assets/css/styles.92fa8b10.css",
                "assets/images/chart-1bda9386f4a80514412f5869722e1a25.png",
                "assets/files/rules-2.0-d7999ad41d5f82df0830342cbbd386de.pdf",
                "assets/fonts/x-d7999ad41d5f82df0830342cbbd386de.woff2",
                "assets/medias/x-d7999ad41d5f82df0830342cbbd386de.mp4",
            ],
            &[
                "assets/js/main.814c51b4.js.LICENSE.txt",
                "assets/js/main.814c51b4.js.map",
                "assets/js/main.js",
                "assets/js/814c51b4.js",
                "assets/js/jquery.min.js",
                "assets/js/news.20240131.js",
                "assets/js/main.814c51b.js",
                "assets/js/main.814C51B4.js",
                "assets/css/old.19991231.css",
                "assets/images/chart.png",
                "assets/images/1bda9386f4a80514412f5869722e1a25.png",
                "assets/images/chart-1bda9386f4a80514412f5869722e1a2.png",
                "assets/images/chart-1bda9386f4a80514412f5869722e1a25",
                "assets/ideal-img/chart.9a8b7c6.640.png",
                "assets/x-1bda9386f4a80514412f5869722e1a25.png",
                "docs/assets/js/main.814c51b4.js",
                "_astro/page.AwmUygJZ.js",
            ],
        ),
        (
            Generator::Astro,
            &[
                "_astro/page.AwmUygJZ.js",
                "_astro/page.astro_astro_type_script_index_0_lang.8aNBh2S6.js",
                "_astro/index.c8f1b2a0.css",
                "_astro/a_b.D_vXi9p6.css",
                "_astro/chart.BWyCJ3JJ.png",
                "_astro/inter.B-jCNI1q.woff2",
            ],
            &[
                "_astro/chart.BWyCJ3JJ_1xmnGW.webp",
                "_astro/photo.2x_1xmnG.webp",
                "_astro/photo_Z1xmnGW.jpg",
                "_astro/fonts/3c1f2a9b8d7e6f50.woff2",
                "_astro/page.js",
                "_astro/page.AwmUygJZ.js.map",
                "docs/_astro/page.AwmUygJZ.js",
                "assets/app.WhHwY8A0.js",
            ],
        ),
        (
            Generator::VitePress,
            &[
                "assets/app.WhHwY8A0.js",
                "assets/guide.md.D-XzGMMc.js",
                "assets/guide.md.D-XzGMMc.lean.js",
                "assets/chunks/@localSearchIndexroot.B1VbC0cF.js",
                "assets/chunks/theme.D_vXi9p6.js",
                "assets/chunks/metadata.9f0c1d2e.js",
                "assets/style.DIeN2YxI.css",
                "assets/chart.BWyCJ3JJ.png",
                "assets/inter-roman-latin.Di8DUHzh.woff2",
            ],
            &[
                "assets/card.png",
                "assets/logo.original.png",
                "assets/logo.download.svg",
                "assets/report.20240131.pdf",
                "assets/report.2024-1-1.pdf",
                "assets/hero.1280x720.png",
                "assets/app.WhHwY8A0.js.map",
                "assets/app.WhHwY8A0",
                "assets/app.WhHwY8A.js",
                "assets/x.WhHwY8A0/card.png",
                "assets/WhHwY8A0.js",
                "hashmap.json",
                "guide.md.D-XzGMMc.js",
            ],
        ),
    ];

    #[test]
    fn files_of_a_generator_are_immutable_if_their_names_have_its_hash() {
        for (generator, immutable, other) in GENERATED {
            let classes = Classes::new("_assets").with(generator, &[]);
            for path in immutable {
                assert_eq!(classes.classify(path), CacheClass::Immutable, "{generator}: {path}");
                assert!(
                    is_pooled(&classes, path) && classes.is_pooled(path.as_bytes()),
                    "{path}"
                );
            }
            for path in other {
                assert_eq!(classes.classify(path), CacheClass::Revalidate, "{generator}: {path}");
                assert!(
                    !is_pooled(&classes, path) && !classes.is_pooled(path.as_bytes()),
                    "{path}"
                );
            }
            let static_site = Classes::new("_assets").with(Generator::Static, &[]);
            assert!(
                immutable
                    .iter()
                    .all(|path| static_site.classify(path) == CacheClass::Revalidate)
            );
        }
    }

    #[test]
    fn globs_of_the_site_manifest_are_immutable_in_addition() {
        let globs = [
            PathGlob::new("/static/**/*.js").unwrap(),
            PathGlob::new("img/*-v?.png").unwrap(),
        ];
        let classes = Classes::new("_assets").with(Generator::VitePress, &globs);
        for path in [
            "static/a.js",
            "static/b/c.js",
            "img/a-v2.png",
            "assets/app.WhHwY8A0.js",
            "_assets/a.png",
        ] {
            assert_eq!(classes.classify(path), CacheClass::Immutable, "{path}");
            assert!(classes.is_pooled(path.as_bytes()), "{path}");
        }
        for path in ["static/a.css", "x/static/a.js", "img/b/a-v2.png", "img/a-v10.png"] {
            assert_eq!(classes.classify(path), CacheClass::Revalidate, "{path}");
        }
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
        let glob = PathGlob::new("static/*.js").unwrap();
        for (prefix, generator) in [
            ("_assets", Generator::Next),
            ("_next", Generator::Astro),
            ("assets", Generator::VitePress),
        ] {
            let classes = Classes::new(prefix).with(generator, std::slice::from_ref(&glob));
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

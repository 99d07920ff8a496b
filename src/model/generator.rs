//! The program that wrote an export. Pure.
//!
//! It decides which files have a hash in their names, and whether the export has what only Next.js writes. Detected by
//! paths alone: each generator always writes certain files, while the `<meta name="generator">` of pages can be removed.

use std::fmt;

/// The program that wrote an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generator {
    /// Next.js.
    Next,
    /// Docusaurus.
    Docusaurus,
    /// Astro, also with Starlight.
    Astro,
    /// `VitePress`.
    VitePress,
    /// Something else.
    #[default]
    Static,
}

impl Generator {
    /// Every generator, by its name in the site manifest.
    pub const ALL: [(&'static str, Self); 5] = [
        ("next", Self::Next),
        ("docusaurus", Self::Docusaurus),
        ("astro", Self::Astro),
        ("vitepress", Self::VitePress),
        ("static", Self::Static),
    ];

    /// Detects the generator by the paths of an export.
    pub fn of_paths<'a>(paths: &(impl Iterator<Item = &'a str> + Clone)) -> Self {
        let has = |folder: &str, begin: &str, end: &str| {
            let fits = |name: &str| name.starts_with(begin) && name.ends_with(end);
            paths.clone().any(|path| path.strip_prefix(folder).is_some_and(fits))
        };
        if has("_next/static/", "", "") {
            Self::Next
        } else if has("assets/js/", "runtime~main.", ".js") && has("assets/js/", "main.", ".js") {
            Self::Docusaurus
        } else if has("_astro/", "", "") {
            Self::Astro
        } else if paths.clone().any(|path| path == "hashmap.json") && has("assets/", "", ".lean.js") {
            Self::VitePress
        } else {
            Self::Static
        }
    }

    /// Whether its client renders the pages again from its scripts, so that what a page names is in scripts, too.
    #[must_use]
    pub const fn renders_from_scripts(self) -> bool {
        matches!(self, Self::Docusaurus | Self::VitePress)
    }

    /// Whether the export may have what only Next.js writes, such as payloads next to pages. An export that nothing
    /// identifies may be one of Next.js with other pages.
    #[must_use]
    pub const fn may_be_next(self) -> bool {
        matches!(self, Self::Next | Self::Static)
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Next => "Next.js",
            Self::Docusaurus => "Docusaurus",
            Self::Astro => "Astro",
            Self::VitePress => "VitePress",
            Self::Static => "another generator",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generator_is_known_by_the_files_that_it_always_writes() {
        for (expected, paths) in [
            (Generator::Next, vec!["index.html", "_next/static/chunks/a.js"]),
            (
                Generator::Docusaurus,
                vec!["assets/js/main.dd155aec.js", "assets/js/runtime~main.9192b614.js"],
            ),
            (Generator::Astro, vec!["_astro/hoisted.CQZnUmK6.js", "index.html"]),
            (
                Generator::VitePress,
                vec!["assets/index.md.DcffHB41.lean.js", "hashmap.json"],
            ),
            // Files of other generators in `public/` of a Next.js site.
            (
                Generator::Next,
                vec!["_astro/a.js", "_next/static/a.js", "assets/a.lean.js", "hashmap.json"],
            ),
            (
                Generator::Static,
                vec!["assets/js/main.js", "assets/app.js", "index.html"],
            ),
            (Generator::Static, vec!["assets/js/main.dd155aec.js"]),
            (Generator::Static, vec!["docs/_next/static/a.js", "docs/_astro/a.js"]),
            (
                Generator::Static,
                vec!["docs/hashmap.json", "hashmap.json", "assets/a.js"],
            ),
            (Generator::Static, vec![]),
        ] {
            assert_eq!(Generator::of_paths(&paths.iter().copied()), expected, "{paths:?}");
        }
    }
}

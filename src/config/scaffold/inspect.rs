//! Inspects a folder: which site it contains, how the site is built, where its export is.
//!
//! It reads the folder, and the ssh configuration in the given home. It must never run a program or ask the user. What
//! can't be read is treated as missing: the result contains what was found, not what was tried.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::{Glob, GlobMatcher};
use serde_json::Value;

use super::generator_config::{ENDINGS, FORMS, GeneratorConfig};
use super::ssh_config::{Alias, aliases, includes};
use super::{Project, Sourced, name_of, site_of};
use crate::model::generator::Generator;
use crate::next::document;

/// Information from outside the folder.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The URL of the git remote.
    pub remote: Option<String>,
}

/// Files of this many bytes or more are ignored: a configuration or a package file is about a page of text.
const LONGEST: u64 = 1 << 20;

/// How deep to look for an export or a site.
const DEPTH: usize = 5;

/// The search stops after this many folders.
const MOST_FOLDERS: usize = 2_000;

/// How many pages of an export are searched for the site's own URL.
const MOST_PAGES: usize = 50;

/// Lock files and their package managers.
const LOCKS: [(&str, &str); 5] = [
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
    ("package-lock.json", "npm"),
];

/// Typical sources of a site.
const SOURCES: [&str; 11] = [
    "app",
    "pages",
    "src",
    "content",
    "docs",
    "blog",
    "static",
    "components",
    "lib",
    "public",
    "mdx-components.js",
];

/// Inspects a folder.
#[must_use]
pub fn inspect(folder: &Path, surroundings: &Surroundings) -> Project {
    let places = places(folder);
    let configs = places.iter().filter_map(|place| Some((place, config(folder, place)?)));
    let configs: Vec<(&String, Sourced<GeneratorConfig>)> = configs.collect();
    // Next.js's counts before others. Of the nearest, prefer one that produces an export, then the one with the newest export.
    let of_next = || {
        configs
            .iter()
            .filter(|(_, config)| config.value.form.generator == Generator::Next)
    };
    let nearest = of_next().next().map(|(place, _)| depth(place));
    let found = of_next()
        .filter(|(place, _)| Some(depth(place)) == nearest)
        .max_by_key(|(place, config)| {
            let makes_export = config.value.output.plain() == Some("export");
            (
                makes_export,
                destination(place, config).and_then(|export| age(&folder.join(export))),
            )
        })
        .or(configs.first());
    let site = found.map_or("", |(place, _)| place.as_str());
    let destination = found.and_then(|(place, config)| destination(place, config));
    let config = found.map(|(_, config)| config);
    let mut exports: Vec<String> = places
        .iter()
        .filter(|place| is_export(&folder.join(place)))
        .cloned()
        .collect();
    // The destination of the build first, then the newest; if two are equally new, the one with more pages.
    exports.sort_by_cached_key(|place| {
        let is_other = Some(place) != destination.as_ref();
        (is_other, Reverse(age(&folder.join(place))), place.clone())
    });
    for place in &mut exports {
        if place.is_empty() {
            ".".clone_into(place);
        }
    }
    let export = exports.first().cloned();
    let package = read(&folder.join(site).join("package.json"));
    let found = SiteFolder {
        folder,
        site,
        config,
        package: package
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        remote: surroundings.remote.as_deref(),
    };
    Project {
        name: found.name(),
        url: found.url(export.as_deref()),
        build: if site.is_empty() { found.build() } else { None },
        sources: match config {
            // Its pages may lie beside its packages.
            Some(config) if site.is_empty() && config.value.form.generator != Generator::VitePress => {
                sources(folder, &config.from)
            }
            _ => Vec::new(),
        },
        config: config.cloned(),
        destination,
        exports,
        aliases: surroundings.home.as_deref().map(of_ssh).unwrap_or_default(),
        schema: schema(folder),
    }
}

/// The schema in the npm package of this tool: where the package is installed, in this folder or one above it, or else where
/// it will be if the folder's package file asks for it.
///
/// Without the package there is none. A copy beside the site manifest would not follow updates of the tool, and an editor
/// that shows a valid new key as an error is worse than one that shows nothing.
fn schema(folder: &Path) -> Option<String> {
    const FILE: &str = "node_modules/syntax-publish/schema.json";
    let absolute = std::path::absolute(folder).ok()?;
    let above = absolute.ancestors().position(|folder| folder.join(FILE).is_file());
    if let Some(above) = above.filter(|above| *above > 0) {
        return Some(format!("{}{FILE}", "../".repeat(above)));
    }
    let is_asked_for = || {
        let package: Value = serde_json::from_str(&read(&folder.join("package.json"))?).ok()?;
        let mut kinds = ["dependencies", "devDependencies", "optionalDependencies"].into_iter();
        Some(kinds.any(|kind| package[kind].get("syntax-publish").is_some()))
    };
    (above.is_some() || is_asked_for() == Some(true)).then(|| format!("./{FILE}"))
}

fn read(file: &Path) -> Option<String> {
    // Reading a pipe would block.
    if !fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = fs::File::open(file)
        .ok()?
        .take(LONGEST)
        .read_to_string(&mut text)
        .ok()?;
    (u64::try_from(read).is_ok_and(|read| read < LONGEST)).then_some(text)
}

fn joined(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}/{name}")
    }
}

fn depth(place: &str) -> usize {
    if place.is_empty() { 0 } else { place.split('/').count() }
}

/// The folder and its subfolders, nearest first, except those that never contain the user's own site.
fn places(folder: &Path) -> Vec<String> {
    let mut places = vec![String::new()];
    let mut next = 0;
    while let Some(place) = places.get(next).cloned() {
        next += 1;
        let full = folder.join(&place);
        if depth(&place) == DEPTH || is_export(&full) {
            continue;
        }
        let Ok(entries) = fs::read_dir(&full) else {
            continue;
        };
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') || name == ".vitepress")
            .filter(|name| !matches!(&**name, "node_modules" | "target"))
            .collect();
        names.sort();
        places.extend(names.iter().map(|name| joined(&place, name)));
        if places.len() > MOST_FOLDERS {
            break;
        }
    }
    places
}

/// Whether a folder is an export.
fn is_export(folder: &Path) -> bool {
    let is_page = |name: &str| folder.join(name).is_file();
    if !(is_page("index.html") || is_page("404.html")) {
        return false;
    }
    // Where the files are by which a generator is known.
    let places = ["", "_next/static", "_astro", "assets", "assets/js"].into_iter();
    let paths = places.flat_map(|place| {
        let entries = fs::read_dir(folder.join(place)).into_iter().flatten();
        entries.filter_map(move |entry| Some(joined(place, entry.ok()?.file_name().to_str()?)))
    });
    let paths: Vec<String> = paths.collect();
    Generator::of_paths(&paths.iter().map(String::as_str)) != Generator::Static
}

/// When an export was built, and how many pages it has in its top two levels; `None` if there is no export.
fn age(folder: &Path) -> Option<(SystemTime, usize)> {
    let built = ["index.html", "404.html"]
        .into_iter()
        .find_map(|page| fs::metadata(folder.join(page)).ok()?.modified().ok())?;
    Some((built, pages(folder).len()))
}

/// The pages of an export in its root and one level below.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths
    };
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries(folder).into_iter().partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| entries(folder));
    files
        .into_iter()
        .chain(below)
        .filter(|file| file.extension().is_some_and(|extension| extension == "html"))
        .collect()
}

/// Where the build of a site writes the export.
fn destination(place: &str, config: &Sourced<GeneratorConfig>) -> Option<String> {
    Some(joined(place, config.value.destination()?))
}

/// The configuration of a generator in a folder.
fn config(folder: &Path, place: &str) -> Option<Sourced<GeneratorConfig>> {
    FORMS.iter().find_map(|form| {
        ENDINGS.into_iter().find_map(|ending| {
            let file = joined(place, &format!("{}.{ending}", form.file));
            let config = GeneratorConfig::read(form, &read(&folder.join(&file))?);
            Some(Sourced::new(config, file))
        })
    })
}

/// The folder of a site, and what is known about it.
struct SiteFolder<'a> {
    folder: &'a Path,
    /// The path of the site in the folder.
    site: &'a str,
    /// Its configuration.
    config: Option<&'a Sourced<GeneratorConfig>>,
    /// Its package file; null if there is none.
    package: Value,
    remote: Option<&'a str>,
}

impl SiteFolder<'_> {
    fn name(&self) -> Option<Sourced<String>> {
        let of_package = self.package["name"].as_str().and_then(name_of);
        let of_remote = || {
            let path = self.remote?.trim_end_matches('/');
            name_of(path.strip_suffix(".git").unwrap_or(path).rsplit([':', '/']).next()?)
        };
        let of_folder = || name_of(&self.folder.file_name()?.to_string_lossy());
        of_package
            .map(|name| Sourced::new(name, joined(self.site, "package.json")))
            .or_else(|| Some(Sourced::new(of_remote()?, "git's remote")))
            .or_else(|| Some(Sourced::new(of_folder()?, "the folder's name")))
    }

    fn url(&self, export: Option<&str>) -> Option<Sourced<String>> {
        let folder = self.folder;
        let code_host = self.remote.and_then(host_of_remote);
        let site_of = |address: &str| site_of(address, code_host);
        let own = ["public", "static"].map(|name| joined(self.site, name));
        let folders = [Some(own[0].as_str()), Some(own[1].as_str()), export];
        let in_files = |name: &str, find: &dyn Fn(&str) -> Option<String>| {
            folders.into_iter().flatten().find_map(|place| {
                let file = if place == "." {
                    name.to_owned()
                } else {
                    joined(place, name)
                };
                let found = find(&read(&folder.join(&file))?)?;
                Some(Sourced::new(found, file))
            })
        };
        // In this order: GitHub Pages' file, the generator's configuration, npm's key, and the files and links for search engines.
        in_files("CNAME", &|text| site_of(&format!("https://{}", text.trim())))
            .or_else(|| {
                let config = self.config?;
                Some(Sourced::new(site_of(config.value.address.plain()?)?, &*config.from))
            })
            .or_else(|| {
                let found = site_of(self.package["homepage"].as_str()?)?;
                Some(Sourced::new(found, joined(self.site, "package.json")))
            })
            .or_else(|| {
                in_files("robots.txt", &|text| {
                    let sitemap = text.lines().find_map(|line| {
                        let (key, value) = line.split_once(':')?;
                        key.trim().eq_ignore_ascii_case("sitemap").then(|| value.trim())
                    });
                    site_of(sitemap?)
                })
            })
            .or_else(|| {
                in_files("sitemap.xml", &|text| {
                    let (_, rest) = text.split_once("<loc>")?;
                    site_of(rest.split_once("</loc>")?.0)
                })
            })
            .or_else(|| {
                let pages = pages(&folder.join(export?));
                let pages: Vec<String> = pages.iter().take(MOST_PAGES).filter_map(|page| read(page)).collect();
                let own: BTreeSet<String> = pages
                    .iter()
                    .flat_map(|page| document::read(page).own_addresses)
                    .filter_map(|address| site_of(&address))
                    .collect();
                let mut own = own.into_iter();
                // If the pages name several sites, it is unknown which one is this site.
                let (Some(site), None) = (own.next(), own.next()) else {
                    return None;
                };
                Some(Sourced::new(site, "canonical links and og:url of the pages"))
            })
    }

    fn build(&self) -> Option<Sourced<Vec<String>>> {
        let package = &self.package;
        package["scripts"]["build"].as_str()?;
        let by_lock = LOCKS.iter().find(|(file, _)| self.folder.join(file).is_file());
        let by_key = package["packageManager"]
            .as_str()
            .and_then(|manager| manager.split('@').next());
        let known = by_key.filter(|manager| LOCKS.iter().any(|(_, known)| known == manager));
        let manager = known.or(by_lock.map(|(_, manager)| *manager)).unwrap_or("npm");
        let words = [manager, "run", "build"].map(str::to_owned).to_vec();
        Some(Sourced::new(words, "package.json"))
    }
}

/// The host in a repository's URL: `git@host:path`, or a URL with a scheme.
fn host_of_remote(remote: &str) -> Option<&str> {
    let rest = remote.split_once("://").map_or(remote, |(_, rest)| rest);
    let authority = rest.split(['/', ':']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then_some(host)
}

fn sources(folder: &Path, config: &str) -> Vec<String> {
    let there = SOURCES
        .into_iter()
        .chain([config])
        .filter(|name| folder.join(name).exists());
    // An export in one of these folders is not a source.
    there
        .filter(|name| !is_export(&folder.join(name)))
        .map(str::to_owned)
        .collect()
}

/// The aliases of the user's ssh configuration, including those in included files.
fn of_ssh(home: &Path) -> Vec<Alias> {
    let folder = home.join(".ssh");
    let mut found: Vec<Alias> = Vec::new();
    let mut files = vec![folder.join("config")];
    let mut next = 0;
    while let Some(text) = files.get(next).map(|file| read(file)) {
        next += 1;
        let Some(text) = text else {
            continue;
        };
        for alias in aliases(&text) {
            if !found.iter().any(|known| known.name == alias.name) {
                found.push(alias);
            }
        }
        for include in includes(&text) {
            let pattern = match include.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => folder.join(&include),
            };
            for file in matching(&pattern) {
                // ssh allows 16 levels of includes. This check also ends cycles.
                if !files.contains(&file) && files.len() < 100 {
                    files.push(file);
                }
            }
        }
    }
    found
}

/// The files that match a path pattern; only its last segment may contain wildcards.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str());
    let glob: Option<GlobMatcher> = name.and_then(|name| Some(Glob::new(name).ok()?.compile_matcher()));
    let (Some(glob), Some(folder)) = (glob, pattern.parent()) else {
        return Vec::new();
    };
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| glob.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    const EXPORT: &str = "next.config.mjs";
    const OUTPUT: &str = "export default { output: 'export', distDir: 'dist' }";

    #[test]
    fn a_site_is_known_by_its_configuration_and_its_package() {
        let folder = folder(&[
            (EXPORT, OUTPUT),
            (
                "package.json",
                r#"{"name":"@acme/docs","homepage":"https://docs.acme.com/start","scripts":{"build":"next build"}}"#,
            ),
            ("pnpm-lock.yaml", ""),
            ("app/page.jsx", ""),
            ("dist/_next/static/x.js", ""),
            ("dist/404.html", ""),
        ]);
        let found = inspect(folder.path(), &Surroundings::default());
        assert_eq!(found.name, Some(Sourced::new("docs".to_owned(), "package.json")));
        assert_eq!(
            found.url,
            Some(Sourced::new("https://docs.acme.com".to_owned(), "package.json"))
        );
        assert_eq!(
            (found.destination.as_deref(), found.export()),
            (Some("dist"), Some("dist"))
        );
        assert_eq!(found.build.unwrap().value, ["pnpm", "run", "build"]);
        assert_eq!(found.sources, ["app", EXPORT]);
    }

    #[test]
    fn sites_of_other_generators_are_known_by_their_configurations_and_exports() {
        let docusaurus = [
            ("build/assets/js/main.1.js", ""),
            ("build/assets/js/runtime~main.1.js", ""),
        ];
        let astro = [("dist/_astro/a.js", "")];
        let vitepress = [
            ("docs/.vitepress/dist/hashmap.json", ""),
            ("docs/.vitepress/dist/assets/a.lean.js", ""),
        ];
        let url = "{ url: 'https://docs.acme.com', baseUrl: '/x/' }";
        let site = "{ site: 'https://docs.acme.com', base: '/x' }";
        let hostname = "{ sitemap: { hostname: 'https://docs.acme.com' }, base: '/x/' }";
        for (config, text, export, files, command) in [
            (
                "docusaurus.config.ts",
                url,
                "build",
                &docusaurus[..],
                "docusaurus build",
            ),
            ("astro.config.mjs", site, "dist", &astro, "astro build"),
            (
                "docs/.vitepress/config.mts",
                hostname,
                "docs/.vitepress/dist",
                &vitepress,
                "vitepress build",
            ),
        ] {
            let text = format!("export default {text}");
            let page = format!("{export}/404.html");
            let folder = folder(&[files, &[(config, &*text), (&*page, "")]].concat());
            let found = inspect(folder.path(), &Surroundings::default());
            assert_eq!(
                (found.export(), found.destination.as_deref()),
                (Some(export), Some(export))
            );
            assert_eq!(
                found.url,
                Some(Sourced::new("https://docs.acme.com".to_owned(), config))
            );
            assert_eq!(found.command(), command);
            let manifest = super::super::manifest(&found, &found.suggested()).unwrap();
            assert!(manifest.contains(&format!("# what `{command}` writes")), "{manifest}");
            assert!(manifest.contains("\n[next]\nbase-path = \"/x\""), "{manifest}");
        }
        // A template's address, and one that is computed.
        for url in ["'https://your-docusaurus-site.example.com'", "process.env.URL"] {
            let text = format!("export default {{ url: {url} }}");
            let folder = folder(&[("docusaurus.config.js", &*text)]);
            let found = inspect(folder.path(), &Surroundings::default());
            assert_eq!((found.url, found.destination.as_deref()), (None, Some("build")));
        }
    }

    #[test]
    fn an_export_elsewhere_is_found_and_other_folders_are_not() {
        let folder = folder(&[
            ("node_modules/x/_next/static/x.js", ""),
            ("node_modules/x/index.html", ""),
            (".next/_next/static/x.js", ""),
            (".next/index.html", ""),
            ("apps/docs/export/_next/static/x.js", ""),
            ("apps/docs/export/index.html", ""),
            ("apps/docs/next.config.js", "module.exports = { output: 'export' }"),
            ("apps/web/next.config.js", "module.exports = { }"),
        ]);
        let found = inspect(folder.path(), &Surroundings::default());
        assert_eq!(found.export(), Some("apps/docs/export"));
        assert_eq!(found.destination.as_deref(), Some("apps/docs/out"));
        assert_eq!(found.config.as_ref().unwrap().from, "apps/docs/next.config.js");
        assert_eq!(found.build, None);
        let note = &found.notes(&found.suggested())[0];
        assert!(
            note.contains("apps/docs/out, which is not there; apps/docs/export holds an export"),
            "{note}"
        );
    }

    #[test]
    fn the_address_of_the_site_is_where_pages_and_search_engines_are_told() {
        let of = |files: &[(&str, &str)]| {
            inspect(folder(files).path(), &Surroundings::default())
                .url
                .map(|url| (url.value, url.from))
        };
        let is = |from: &str| Some(("https://docs.acme.com".to_owned(), from.to_owned()));
        assert_eq!(
            of(&[
                ("public/CNAME", "docs.acme.com\n"),
                ("public/robots.txt", "Sitemap: https://x.org/")
            ]),
            is("public/CNAME")
        );
        let robots = "User-agent: *\nSitemap: https://docs.acme.com/sitemap.xml\n";
        let export = [("out/_next/static/x", ""), ("out/index.html", "")];
        assert_eq!(
            of(&[&export[..], &[("out/robots.txt", robots)]].concat()),
            is("out/robots.txt")
        );
        let sitemap = "<urlset><url><loc>https://docs.acme.com/a</loc></url></urlset>";
        assert_eq!(of(&[("public/sitemap.xml", sitemap)]), is("public/sitemap.xml"));
        assert_eq!(
            of(&[("package.json", r#"{"homepage":"https://github.com/a/b"}"#)]),
            None
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_address_of_the_site_is_what_all_its_pages_call_their_own() {
        let of = |pages: &[(&str, &str)]| {
            let export = [("out/_next/static/x", ""), ("out/404.html", "")];
            let folder = folder(&[&export[..], pages].concat());
            inspect(folder.path(), &Surroundings::default())
                .url
                .map(|url| url.value)
        };
        let canonical = "<head><link rel=\"canonical\" href=\"https://docs.acme.com/a/\"></head>";
        let graph = "<head><meta property=\"og:url\" content=\"https://docs.acme.com/b\"></head>";
        let alternate = "<head><link rel=\"alternate\" hreflang=\"de\" href=\"https://docs.acme.com/de\"></head>";
        let other = "<head><link rel=canonical href=https://www.acme.com></head>";
        let reserved = "<head><link rel=canonical href=https://example.com/x></head>";
        let in_body = "<body><link rel=canonical href=https://docs.acme.com>";
        let acme = Some("https://docs.acme.com".to_owned());
        for (pages, url) in [
            (&[("out/index.html", canonical)][..], &acme),
            (&[("out/index.html", graph)], &acme),
            (&[("out/de/index.html", alternate)], &acme),
            (&[("out/index.html", canonical), ("out/x.html", reserved)], &acme),
            (&[("out/index.html", canonical), ("out/x.html", other)], &None),
            (&[("out/index.html", reserved)], &None),
            (&[("out/index.html", in_body)], &None),
        ] {
            assert_eq!(&of(pages), url, "{pages:?}");
        }
    }

    #[test]
    fn of_several_exports_all_are_named_and_the_newest_is_proposed() {
        let folder = folder(&[
            ("a/out/_next/static/x", ""),
            ("a/out/index.html", ""),
            ("b/c/d/e/out/_next/static/x", ""),
            ("b/c/d/e/out/index.html", ""),
            ("f/out/_next/static/x", ""),
            ("f/out/index.html", ""),
            ("f/out/more.html", ""),
        ]);
        let aged = |page: &str, days: u64| {
            let file = fs::File::options().write(true).open(folder.path().join(page)).unwrap();
            let age = std::time::Duration::from_secs(days * 86_400);
            file.set_modified(SystemTime::UNIX_EPOCH + age).unwrap();
        };
        aged("a/out/index.html", 10_000);
        aged("b/c/d/e/out/index.html", 10_001);
        aged("f/out/index.html", 10_000);
        let found = inspect(folder.path(), &Surroundings::default());
        // The newest is five folders deep; of two equally new exports, the larger one comes first.
        assert_eq!(found.exports, ["b/c/d/e/out", "f/out", "a/out"]);
        assert_eq!(
            found.notes(&found.suggested()),
            ["there are 3 exports: b/c/d/e/out, f/out, a/out; `export` names the newest, b/c/d/e/out"]
        );

        // The destination of `next build` comes first, even if it is older.
        fs::write(
            folder.path().join("a/next.config.js"),
            "module.exports = { output: 'export' }",
        )
        .unwrap();
        let found = inspect(folder.path(), &Surroundings::default());
        assert_eq!(found.exports, ["a/out", "b/c/d/e/out", "f/out"]);
        assert_eq!(
            found.notes(&found.suggested()),
            ["there are 3 exports: a/out, b/c/d/e/out, f/out; `export` names the one that `next build` writes, a/out"]
        );
    }

    #[test]
    fn the_repository_names_a_site_without_a_package_and_is_not_its_address() {
        let folder = folder(&[("package.json", r#"{"homepage":"https://git.acme.com/team/guide"}"#)]);
        let surroundings = Surroundings {
            home: None,
            remote: Some("git@git.acme.com:team/guide.git".to_owned()),
        };
        let found = inspect(folder.path(), &surroundings);
        assert_eq!(found.name, Some(Sourced::new("guide".to_owned(), "git's remote")));
        assert_eq!(found.url, None);
    }

    #[test]
    fn aliases_of_included_files_are_known() {
        let home = folder(&[
            (
                ".ssh/config",
                "Include config.d/*.conf\nInclude ~/more\nHost box\n HostName 192.0.2.7\n",
            ),
            (".ssh/config.d/a.conf", "Host a\nInclude ../config\n"),
            (".ssh/config.d/b.txt", "Host b\n"),
            ("more", "Host more\n"),
        ]);
        let names: Vec<String> = of_ssh(home.path()).into_iter().map(|alias| alias.name).collect();
        assert_eq!(names, ["box", "a", "more"]);
    }

    #[test]
    fn a_folder_that_is_an_export_is_one() {
        let folder = folder(&[("_next/static/x", ""), ("index.html", "")]);
        let found = inspect(folder.path(), &Surroundings::default());
        assert_eq!(found.export(), Some("."));
    }
}

//! Measures the site for `[budget]`: how many bytes browsers load with each page, and how many the site has.
//!
//! Sizes are those that browsers which take brotli are sent, so files are encoded as for a publish. That takes long for
//! a large site, so sizes are kept in a cache file, by digest: an edit costs the files that changed. This module must
//! not judge, and nothing here runs without a limit in the site manifest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;

use super::cache_file;
use super::check::budget::{Excess, Spending};
use super::encode::encode_file;
use super::source::{Source, SourceError};
use super::survey::{FileKind, Survey};
use crate::config::SiteConfig;
use crate::model::asset::Asset;
use crate::model::digest::Digest;
use crate::model::encoding::Recipe;
use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::tree::File;

/// First line of the cache file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish sizes 1\n";

/// The length of an entry in the cache file: a key and a size.
const ENTRY: usize = 32 + 8;

/// The files that a page makes a browser load at first, by their public paths.
pub struct FirstLoad {
    page: SitePath,
    /// Its scripts and style sheets.
    files: Vec<SitePath>,
}

/// Returns what each page of an export loads at first. `public` returns the public path of a file, if that differs.
pub fn first_loads(assets: &[Asset], survey: &Survey, public: &dyn Fn(&str) -> Option<String>) -> Vec<FirstLoad> {
    // All pages share most of their scripts.
    let mut paths: HashMap<usize, SitePath> = HashMap::new();
    let mut path_of = |index: usize| {
        let asset = assets.get(index)?;
        let path = paths.entry(index).or_insert_with(|| {
            let public = public(asset.path.as_str()).and_then(|path| SitePath::new(&path).ok());
            public.unwrap_or_else(|| asset.path.clone())
        });
        Some(path.clone())
    };
    let pages = assets.iter().zip(&survey.kinds).zip(&survey.facts);
    let pages = pages.filter(|((_, kind), _)| **kind == FileKind::Page);
    let loads = pages.map(|((asset, _), facts)| FirstLoad {
        page: asset.path.clone(),
        files: facts.loads.iter().filter_map(|index| path_of(*index)).collect(),
    });
    loads.collect()
}

/// Compares a site with its budget. `export` and `cache` are the folders of the export and of the caches.
///
/// # Errors
/// [`SourceError`] if a file can't be read or encoded.
pub fn measure(
    site: &Site,
    loads: &[FirstLoad],
    source: &dyn Source,
    config: &SiteConfig,
    cache: Option<(&Path, &Path)>,
) -> Result<Vec<Spending>, SourceError> {
    let budget = &config.budget;
    let mut spent = Vec::new();
    let limits = [("first-load", budget.first_load), ("scripts", budget.scripts)];
    let limits: Vec<(&str, u64)> = limits
        .into_iter()
        .filter_map(|(key, limit)| Some((key, limit?)))
        .collect();
    if !limits.is_empty() {
        let has_all = budget.first_load.is_some();
        let counts = |path: &&SitePath| has_all || is_script(path);
        let needed: HashSet<&SitePath> = loads.iter().flat_map(parts).filter(counts).collect();
        let sizes = sent_sizes(site, needed, source, cache)?;
        for (key, limit) in limits {
            spent.push(of_pages(key, limit, loads, &sizes));
        }
    }
    let files = || {
        // A copy is the same file under another name.
        let files = site
            .all_files()
            .filter(|(path, _)| !path.is_below(&config.fingerprint.prefix));
        largest_first(files.map(|(path, file)| (path, file.size)).collect())
    };
    if let Some(limit) = budget.total {
        let parts = files();
        let bytes = parts.iter().map(|(_, bytes)| bytes).sum();
        let path = None;
        spent.push(spending("total", limit, [Excess { path, bytes, parts }].into_iter()));
    }
    if let Some(limit) = budget.file {
        let files = files().into_iter().map(|(path, bytes)| Excess {
            path: Some(path),
            bytes,
            parts: Vec::new(),
        });
        spent.push(spending("file", limit, files));
    }
    Ok(spent)
}

/// Compares all that was measured, the largest first, with the limit `key`.
fn spending(key: &'static str, limit: u64, measured: impl Iterator<Item = Excess>) -> Spending {
    let mut measured = measured.peekable();
    let most = measured.peek();
    Spending {
        key,
        path: most.and_then(|most| most.path.clone()),
        bytes: most.map_or(0, |most| most.bytes),
        limit,
        excesses: measured.take_while(|one| one.bytes > limit).collect(),
    }
}

/// A page and the files that it loads.
fn parts(load: &FirstLoad) -> impl Iterator<Item = &SitePath> {
    std::iter::once(&load.page).chain(&load.files)
}

fn is_script(path: &SitePath) -> bool {
    !path.as_str().ends_with(".html") && !path.as_str().ends_with(".css")
}

fn largest_first(mut files: Vec<(SitePath, u64)>) -> Vec<(SitePath, u64)> {
    files.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    files
}

/// Compares pages with the limit `key`.
fn of_pages(key: &'static str, limit: u64, loads: &[FirstLoad], sizes: &HashMap<&SitePath, u64>) -> Spending {
    let counted = |load| {
        let parts = parts(load).filter(|path| key == "first-load" || is_script(path));
        parts.filter_map(|path| Some((path, *sizes.get(path)?)))
    };
    let pages = loads
        .iter()
        .map(|load| (load, counted(load).map(|(_, bytes)| bytes).sum()));
    let mut pages: Vec<(&FirstLoad, u64)> = pages.collect();
    pages.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.page.cmp(&b.0.page)));
    let measured = pages.into_iter().map(|(load, bytes)| Excess {
        path: Some(load.page.clone()),
        bytes,
        parts: largest_first(counted(load).map(|(path, bytes)| (path.clone(), bytes)).collect()),
    });
    spending(key, limit, measured)
}

/// Returns how many bytes a browser is sent of each of these files.
fn sent_sizes<'a>(
    site: &Site,
    paths: HashSet<&'a SitePath>,
    source: &dyn Source,
    cache: Option<(&Path, &Path)>,
) -> Result<HashMap<&'a SitePath, u64>, SourceError> {
    let file = cache.map(|(export, folder)| {
        let export = std::path::absolute(export).unwrap_or_else(|_| export.to_owned());
        cache_file::file_of(folder, &export, "sizes")
    });
    let known = file.as_ref().map(|file| load(file)).unwrap_or_default();
    let found = paths.into_par_iter().filter_map(|path| {
        let sent = sent_size(path, site.file(path)?, source, &known);
        Some(sent.map(|(key, size)| (path, key, size)))
    });
    let found: Vec<(&SitePath, Option<Digest>, u64)> = found.collect::<Result<_, _>>()?;
    let now: BTreeMap<Digest, u64> = found
        .iter()
        .filter_map(|(_, key, size)| Some(((*key)?, *size)))
        .collect();
    if let Some(file) = file.filter(|_| now != known) {
        let entries = now
            .iter()
            .flat_map(|(key, size)| key.as_bytes().iter().copied().chain(size.to_le_bytes()));
        // Without the file the sizes are measured again, and nothing else is lost.
        let _ = cache_file::save(&file, HEADER, &entries.collect::<Vec<u8>>());
    }
    Ok(found.into_iter().map(|(path, _, size)| (path, size)).collect())
}

fn load(file: &Path) -> BTreeMap<Digest, u64> {
    let body = cache_file::load(file, HEADER).unwrap_or_default();
    let entries = body.chunks_exact(ENTRY).filter_map(|entry| {
        let (key, size) = entry.split_first_chunk::<32>()?;
        Some((Digest::from_bytes(*key), u64::from_le_bytes(size.try_into().ok()?)))
    });
    entries.collect()
}

/// Returns how many bytes a browser that takes brotli is sent of a file, and the key of that size in the cache, if
/// finding it out takes time.
fn sent_size(
    path: &SitePath,
    file: &File,
    source: &dyn Source,
    known: &BTreeMap<Digest, u64>,
) -> Result<(Option<Digest>, u64), SourceError> {
    let Some((coding, recipe)) = file.encodings.iter().next() else {
        return Ok((None, file.size));
    };
    let Recipe::Made { level, .. } = recipe else {
        return Ok((None, source.read_given(path, coding)?.len() as u64));
    };
    let key = Digest::of(format!("{} {coding} {recipe}", file.digest).as_bytes());
    if let Some(size) = known.get(&key) {
        return Ok((Some(key), *size));
    }
    let bytes = source.read(path, file.digest, file.size)?;
    let encoded = encode_file(path, coding, level, &bytes)?;
    let size = encoded.map_or(file.size, |encoded| encoded.len() as u64);
    Ok((Some(key), size))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config;
    use crate::model::event::Silent;
    use crate::site::pipeline::{LocalSite, Prepared};

    /// Bytes that no encoder makes smaller.
    fn noise(length: usize) -> Vec<u8> {
        let blocks = (0_u64..).flat_map(|n| *Digest::of(&n.to_le_bytes()).as_bytes());
        blocks.take(length).collect()
    }

    fn export() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let head =
            "<link rel=stylesheet href=/a.css><link rel=preload as=script href=/a.js><script src=/a.js></script>";
        let later =
            "<link rel=prefetch as=script href=/later.js><script src=/old.js nomodule></script><img src=/p.png>";
        put("index.html", format!("<!DOCTYPE html>{head}{later}").as_bytes());
        put(
            "b.html",
            format!("<!DOCTYPE html>{head}<script src=/b.js></script>").as_bytes(),
        );
        put("404.html", b"<!DOCTYPE html>");
        put("a.css", &b"p{margin:0}".repeat(1000));
        put("a.js", &noise(5000));
        put("b.js", &noise(7000));
        put("later.js", &noise(90_000));
        put("old.js", &noise(80_000));
        put("p.png", &noise(100_000));
        folder
    }

    fn config(budget: &str) -> SiteConfig {
        config::parse(&format!("[check]\nnext = \"off\"\n[budget]\n{budget}"))
            .unwrap()
            .config
    }

    fn prepared(export: &Path, cache: Option<&Path>, budget: &str) -> Prepared {
        LocalSite::new(&config(budget), export, cache, &Silent)
            .prepare()
            .unwrap()
    }

    /// The encoded size of a file.
    fn encoded(export: &Path, name: &str) -> u64 {
        let bytes = fs::read(export.join(name)).unwrap();
        let encoded = crate::site::encode::encode(crate::model::encoding::Coding::Brotli, 11, &bytes).unwrap();
        encoded.map_or(bytes.len(), |encoded| encoded.len()) as u64
    }

    #[test]
    fn first_load_is_the_page_its_scripts_and_its_style_sheets_each_once() {
        let export = export();
        let export = export.path();
        let prepared = prepared(export, None, "first-load = 1\nscripts = 12_000");
        let spent = &prepared.spent;
        // The pages are too small for an encoding.
        let page = |name: &str| prepared.site.file(&SitePath::root().child(name)).unwrap().size;
        assert_eq!(spent[0].key, "first-load");
        assert_eq!(spent[0].path.as_ref().unwrap().as_str(), "b.html");
        assert!(encoded(export, "a.css") < 100);
        assert_eq!(spent[0].bytes, page("b.html") + encoded(export, "a.css") + 12_000);
        assert_eq!(spent[0].excesses.len(), 3, "every page");
        assert_eq!(spent[0].excesses[0].parts[0].0.as_str(), "b.js");
        let index = page("index.html") + encoded(export, "a.css") + 5000;
        assert_eq!(spent[0].excesses[1].bytes, index, "nothing that is fetched later");
        assert_eq!(
            (spent[1].bytes, spent[1].excesses.len()),
            (12_000, 0),
            "a limit that is just reached"
        );
    }

    #[test]
    fn total_and_file_count_every_file_as_it_is() {
        let export = export();
        let prepared = prepared(export.path(), None, "total = \"200 kB\"\nfile = \"90 kB\"");
        let [total, file] = &prepared.spent[..] else {
            panic!("{:?}", prepared.spent);
        };
        // Of the picture and of the style sheet.
        let copies = 100_000 + 11_000;
        assert_eq!((total.bytes, &total.path), (prepared.site.bytes - copies, &None));
        assert_eq!(total.excesses[0].parts[0].1, 100_000);
        assert_eq!((file.bytes, file.excesses.len()), (100_000, 1));
        let found = prepared.problems.iter().filter(|problem| problem.check == "budget");
        let found: Vec<&str> = found.map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, ["", "p.png"]);
    }

    #[test]
    fn without_a_limit_nothing_is_measured() {
        let (export, cache) = (export(), tempfile::tempdir().unwrap());
        for budget in ["", "level = \"error\"", "level = \"off\"\nfirst-load = 1"] {
            let prepared = prepared(export.path(), Some(cache.path()), budget);
            assert_eq!(
                (&prepared.spent[..], &prepared.problems[..]),
                (&[][..], &[][..]),
                "{budget}"
            );
        }
        let sizes = |cache: &Path| {
            let names = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
            names
                .filter(|path| path.extension().is_some_and(|ending| ending == "sizes"))
                .collect::<Vec<_>>()
        };
        assert!(sizes(cache.path()).is_empty());
        prepared(export.path(), Some(cache.path()), "first-load = 1");
        assert_eq!(sizes(cache.path()).len(), 1);
    }

    #[test]
    fn sizes_are_remembered_by_content() {
        let (export, cache) = (export(), tempfile::tempdir().unwrap());
        let first_load = || {
            let spent = prepared(export.path(), Some(cache.path()), "first-load = 1").spent;
            spent[0]
                .excesses
                .iter()
                .map(|excess| excess.bytes)
                .collect::<Vec<u64>>()
        };
        let first = first_load();
        let file = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
        let file = file
            .into_iter()
            .find(|path| path.extension().is_some_and(|ending| ending == "sizes"))
            .unwrap();
        // With other sizes in the file it is seen where the sizes come from.
        let changed: BTreeMap<Digest, u64> = load(&file).into_iter().map(|(key, size)| (key, size + 1)).collect();
        assert_eq!(
            changed.len(),
            3,
            "the scripts and the style sheet; the pages are too small"
        );
        let entries = changed
            .iter()
            .flat_map(|(key, size)| key.as_bytes().iter().copied().chain(size.to_le_bytes()));
        cache_file::save(&file, HEADER, &entries.collect::<Vec<u8>>()).unwrap();
        let remembered = first_load();
        assert_eq!(remembered[0], first[0] + 3);
        fs::write(export.path().join("a.js"), noise(5001)).unwrap();
        assert_eq!(
            first_load()[0],
            first[0] + 3,
            "one byte more of a script, and its true size"
        );
        fs::write(&file, "damaged").unwrap();
        assert_eq!(first_load()[0], first[0] + 1);
    }
}

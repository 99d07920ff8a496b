//! The local half of every command that needs the site: from the export's folder to the manifest, without a host.
//!
//! Reads the export and, if the caller names a folder for them, the caches of digests and of facts. `plan`, `check` and
//! `build` share this code with `publish`, so they see exactly the site that `publish` would send. This module must
//! never write to the export, and must not depend on a target: the site is the same whatever a host already has.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use globset::GlobSet;

use crate::config::{self, Forbidden, KnownFindings, SiteConfig, WebUrl};
use crate::model::asset::Asset;
use crate::model::cache::Classes;
use crate::model::encoding::{Coding, Encodings, Recipe};
use crate::model::event::{Event, Note, Observer, Running, Stage};
use crate::model::manifest::{Input, Site};
use crate::model::media;
use crate::model::path::SitePath;
use crate::model::redirect::Redirect;
use crate::model::severity::Severity;
use crate::next::client::Client;
use crate::rules::{CustomHeaders, PageForm, Redirects, Rules, languages};
use crate::site::SiteError;
use crate::site::check::{self, Material, Problem, Searches};
use crate::site::encode::{EncodeOptions, encodings_for};
use crate::site::fingerprint;
use crate::site::scan::{self, LeftOut, Scan, ScanOptions};
use crate::site::source::{Export, Source};
use crate::site::survey::{self, Elsewhere, Rewritten, Survey};
use crate::site::{headers, redirects, settings};

/// A site that is ready to be compared with a host, sent, or written to a folder.
pub struct Prepared {
    /// The manifest.
    pub site: Site,
    /// Where the files' content comes from.
    pub source: Arc<dyn Source>,
    /// What the checks found.
    pub problems: Vec<Problem>,
    /// Files of the export that are not part of the site.
    pub left_out: LeftOut,
    /// How requests to the site are answered.
    pub rules: Rules,
    /// URLs of chunks that pages reference but the export lacks.
    pub missing_chunks: BTreeSet<String>,
}

/// Prepares the site in the folder `export`: scan, check, fingerprint, manifest.
///
/// # Errors
/// [`SiteError::Scan`], and [`SiteError::Check`] if a finding is an error.
pub fn prepare(
    config: &SiteConfig,
    export: &Path,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Prepared, SiteError> {
    let prepared = prepare_to_judge(config, export, cache, observer)?;
    if prepared
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        return Err(SiteError::Check {
            problems: prepared.problems,
        });
    }
    Ok(prepared)
}

/// Prepares the site as [`prepare`] does, but returns it whatever the checks find. The caller decides what a finding
/// leads to, because that depends on the live release.
///
/// # Errors
/// [`SiteError::Scan`].
pub fn prepare_to_judge(
    config: &SiteConfig,
    export: &Path,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Prepared, SiteError> {
    let (scan, cache) = scan_and_recall(config, export, cache, observer)?;
    let source: Arc<dyn Source> = Arc::new(Export::new(export));
    let (survey, problems) = find_problems(config, &scan.assets, &*source, cache.as_ref(), observer)?;
    // Drop the cache before the site is compared and sent: with many pages it takes a lot of memory.
    let learn = |survey: Survey, rewritten: &[Option<Rewritten>]| {
        if let Some(mut cache) = cache
            && cache.learn(&scan.assets, survey, rewritten)
        {
            write(&cache, observer);
        }
    };
    finish(config, &scan, source, survey, problems, learn, observer)
}

/// State kept from one preview of an export to the next, so that only changed files are read again.
#[derive(Default)]
pub struct Memory {
    facts: Option<survey::Cache>,
    scan: Option<Arc<Scan>>,
}

/// The files of an export to scan.
#[derive(Debug, Clone, Copy)]
pub enum ScanScope<'a> {
    /// All files.
    Whole,
    /// Only these paths: absolute and below the export. Nothing else has changed since the last scan.
    Changed(&'a [PathBuf]),
}

/// Prepares the site for a preview, not for a publish, whatever the checks find. Also returns the scan of the export.
///
/// `source` reads the export. `memory` must come from earlier calls with the same site manifest and export.
///
/// # Errors
/// [`SiteError::Scan`] if the export can't be read.
pub fn preview(
    config: &SiteConfig,
    export: &Path,
    extent: ScanScope<'_>,
    cache: Option<&Path>,
    source: Arc<dyn Source>,
    memory: &mut Memory,
    observer: &dyn Observer,
) -> Result<(Prepared, Arc<Scan>), SiteError> {
    let again = match (extent, &memory.scan) {
        (ScanScope::Changed(changed), Some(before)) => scan::again(export, before, changed, observer)?,
        _ => None,
    };
    let scan = match again {
        Some(scan) => scan,
        None => self::scan(config, export, cache, observer)?,
    };
    let scan = Arc::new(scan);
    memory.scan = Some(Arc::clone(&scan));
    let is_first = memory.facts.is_none();
    let facts = memory
        .facts
        .get_or_insert_with(|| cache.map_or_else(survey::Cache::default, |folder| survey::Cache::load(folder, export)));
    let (survey, problems) = find_problems(config, &scan.assets, &*source, Some(facts), observer)?;
    let learn = |survey: Survey, rewritten: &[Option<Rewritten>]| {
        // Write the cache only once, for the next start. Files edited afterwards are quick to read again.
        if facts.learn(&scan.assets, survey, rewritten) && is_first {
            write(facts, observer);
        }
    };
    let prepared = finish(config, &scan, source, survey, problems, learn, observer)?;
    Ok((prepared, scan))
}

/// Makes the site of a surveyed export. `learn` gets the survey, and the result of the fingerprint stage for each file.
fn finish(
    config: &SiteConfig,
    scan: &Scan,
    source: Arc<dyn Source>,
    survey: Survey,
    mut problems: Vec<Problem>,
    learn: impl FnOnce(Survey, &[Option<Rewritten>]) + Send,
    observer: &dyn Observer,
) -> Result<Prepared, SiteError> {
    let paths: Vec<&str> = published(&scan.assets).map(|asset| asset.path.as_str()).collect();
    let mut rules = rules(config, survey.client.clone(), paths.iter().copied());
    let moved = redirects::read(config, &scan.assets, &*source)?;
    rules.redirects = moved.redirects;
    let own = headers::read(config, &scan.assets, &*source)?;
    rules.headers = own.headers;
    let level = config.check.levels.of(check::headers::NAME);
    problems.extend(check::headers::problems(&own.bad, level));
    let (table, addresses) = redirects::table(&rules, &paths);
    let level = config.check.levels.of(check::redirects::NAME);
    problems.extend(check::redirects::problems(&moved.bad, &table, &addresses, level));
    let fingerprint::Site {
        assets,
        source,
        rewritten,
    } = fingerprint(config, &scan.assets, &survey, source, observer)?;
    let missing_chunks = survey.missing_chunks();
    let texts: HashSet<SitePath> = scan
        .assets
        .iter()
        .zip(&survey.facts)
        .filter(|(_, facts)| facts.is_text)
        .map(|(asset, _)| asset.path.clone())
        .collect();
    let (site, ()) = rayon::join(
        || manifest(config, assets, &texts, &rules, &table.entries, observer),
        || learn(survey, &rewritten),
    );
    Ok(Prepared {
        rules,
        missing_chunks,
        site,
        source,
        problems,
        left_out: scan.left_out,
    })
}

/// Result of inspecting an export, which need not be publishable.
pub struct Inspected {
    /// All problems, whatever their severity.
    pub problems: Vec<Problem>,
    /// Files whose URLs stay as they are, all or some, because the files can't be read exactly, and why. If a file
    /// keeps the build ID from being replaced, that file and the reason are included.
    pub unread: Vec<(SitePath, String)>,
    /// How many strings in payloads name a file of the site although their use is unknown.
    pub unclassified: u64,
}

/// Inspects the export, whatever the checks find.
///
/// # Errors
/// [`SiteError::Scan`] if the export can't be read.
pub fn inspect(
    config: &SiteConfig,
    export: &Path,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Inspected, SiteError> {
    let (scan, cache) = scan_and_recall(config, export, cache, observer)?;
    let (survey, problems) = find_problems(config, &scan.assets, &Export::new(export), cache.as_ref(), observer)?;
    let unread = scan.assets.iter().zip(&survey.facts).flat_map(|(asset, facts)| {
        let reasons = facts.unclear.iter().chain(&facts.odd);
        reasons.map(|reason| (asset.path.clone(), reason.to_string()))
    });
    let mut unread: Vec<(SitePath, String)> = unread.collect();
    if config.next.stable_build_id
        && let Some((path, reason)) = fingerprint::obstacle(&scan.assets, &survey)
    {
        unread.push((path.clone(), format!("the build id stays in every file: {reason}")));
    }
    let inspected = Inspected {
        problems,
        unread,
        unclassified: survey.facts.iter().map(|facts| u64::from(facts.unclassified)).sum(),
    };
    if let Some(mut cache) = cache
        && cache.learn(&scan.assets, survey, &[])
    {
        write(&cache, observer);
    }
    Ok(inspected)
}

/// Scans the export.
///
/// # Errors
/// [`SiteError::Scan`] if the export can't be read.
pub fn scan(
    config: &SiteConfig,
    export: &Path,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Scan, SiteError> {
    let options = ScanOptions {
        exclude: &globs(&config.publish.exclude)?,
        cache,
        now: SystemTime::now(),
    };
    Ok(scan::scan(export, &options, observer)?)
}

/// Scans the export, and loads the cache of facts at the same time.
fn scan_and_recall(
    config: &SiteConfig,
    export: &Path,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<(Scan, Option<survey::Cache>), SiteError> {
    let Some(folder) = cache else {
        return Ok((scan(config, export, None, observer)?, None));
    };
    let mut recalled = None;
    let scanned = rayon::in_place_scope(|scope| {
        scope.spawn(|_| recalled = Some(survey::Cache::load(folder, export)));
        scan(config, export, cache, observer)
    });
    Ok((scanned?, recalled))
}

/// Returns the rules that requests to the site follow, as far as the export determines them.
///
/// # Errors
/// [`SiteError::Scan`] if the export can't be read.
pub fn served(
    config: &SiteConfig,
    export: &Path,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Rules, SiteError> {
    let scan = scan(config, export, cache, observer)?;
    let client = survey::find_client(&scan.assets, &Export::new(export))?;
    let mut rules = rules(config, client, published(&scan.assets).map(|asset| asset.path.as_str()));
    rules.redirects = redirects::read(config, &scan.assets, &Export::new(export))?.redirects;
    rules.headers = headers::read(config, &scan.assets, &Export::new(export))?.headers;
    Ok(rules)
}

/// Returns the rules that requests to a site follow, given the paths of its export and what its pages reveal about the
/// client.
#[must_use]
pub fn rules<'a>(config: &SiteConfig, client: Client, paths: impl Iterator<Item = &'a str> + Clone) -> Rules {
    let form = PageForm::of(paths.clone());
    let base_path = config.next.base_path.as_ref().unwrap_or(&client.base_path);
    Rules {
        form,
        base_path: base_path.clone(),
        asset_prefix: client.asset_prefix(base_path).to_owned(),
        classes: Classes::new(&config.fingerprint.prefix),
        deployment_id: client.deployment_id,
        types: config.types.clone(),
        languages: languages::of_site(form, paths.clone()),
        one_address: config.nginx.one_address,
        redirects: Redirects::default(),
        headers: CustomHeaders::new(config.headers.rules.clone()),
    }
}

/// The files of an export that are part of the site.
fn published(assets: &[Asset]) -> impl Iterator<Item = &Asset> + Clone {
    assets.iter().filter(|asset| !settings::is_setting(&asset.path))
}

/// Surveys the text files of the export, and runs all checks.
fn find_problems(
    config: &SiteConfig,
    assets: &[Asset],
    source: &dyn Source,
    cache: Option<&survey::Cache>,
    observer: &dyn Observer,
) -> Result<(Survey, Vec<Problem>), SiteError> {
    // The patterns of a parsed site manifest are valid. A configuration that was made in another way may have invalid
    // ones.
    let forbidden = Forbidden::new(&config.check.forbid).map_err(SiteError::patterns)?;
    let allowed = globs(&config.check.allow)?;
    let bytes = assets.iter().map(|asset| asset.size).sum();
    let items = Some(assets.len() as u64);
    let _running = Running::begin_measured(observer, Stage::Check, items, Some(bytes));
    let options = survey::Options {
        origin: config.site.url.as_ref().map(WebUrl::as_str),
        base_path: config.next.base_path.as_deref(),
        search: Some(&Searches::new(&config.check.levels, &forbidden)),
        cache,
        elsewhere: Some(&Elsewhere::new(&config.check.elsewhere).map_err(SiteError::patterns)?),
    };
    let surveyed = survey::survey(assets, source, &options, observer);
    let checked = surveyed.map(|survey| {
        let material = Material {
            assets,
            survey: &survey,
            allowed: &allowed,
            copies: &config.fingerprint.prefix,
        };
        let problems = check::check(material, &config.check.levels);
        (survey, problems)
    });
    Ok(checked?)
}

/// Writes to the cache what was learned about the files, for the next run.
fn write(cache: &survey::Cache, observer: &dyn Observer) {
    if let Some(file) = cache.file()
        && let Err(error) = cache.write()
    {
        observer.notice(Event::Noted(Note::CacheNotWritten {
            file: file.to_owned(),
            reason: error.to_string(),
        }));
    }
}

/// Whether a problem stops every publish, whatever release is live, so that there is no need to query the host.
#[must_use]
pub fn stops_always(config: &SiteConfig, problem: &Problem) -> bool {
    problem.severity == Severity::Error && (problem.always || config.check.known == KnownFindings::Error)
}

fn fingerprint(
    config: &SiteConfig,
    assets: &[Asset],
    survey: &Survey,
    source: Arc<dyn Source>,
    observer: &dyn Observer,
) -> Result<fingerprint::Site, SiteError> {
    let running = Running::begin(observer, Stage::Fingerprint);
    let include = config.fingerprint.include.as_deref().map(globs).transpose()?;
    // The type of a copy follows from its extension alone, so files that have a type by path get no fingerprint.
    let typed = config.types.by_path().iter().map(|own| own.glob().glob().to_owned());
    let exclude: Vec<String> = config.fingerprint.exclude.iter().cloned().chain(typed).collect();
    let options = fingerprint::Options {
        stable_build_id: config.next.stable_build_id,
        include: include.as_ref(),
        exclude: &globs(&exclude)?,
        prefix: &config.fingerprint.prefix,
        origin: config.site.url.as_ref().map(WebUrl::as_str),
    };
    let site = fingerprint::fingerprint(assets, survey, source, &options, observer);
    running.end();
    Ok(site?)
}

/// Makes the manifest. `texts` are the files that contain text although their names do not reveal it.
fn manifest(
    config: &SiteConfig,
    assets: Vec<Asset>,
    texts: &HashSet<SitePath>,
    rules: &Rules,
    entries: &BTreeMap<String, Redirect>,
    observer: &dyn Observer,
) -> Site {
    let running = Running::begin(observer, Stage::Manifest);
    let options = EncodeOptions {
        brotli: config.encode.brotli,
        gzip: config.encode.gzip,
    };
    let assets = assets.into_iter().filter(|asset| !settings::is_setting(&asset.path));
    let files = assets.map(|asset| {
        let media_type = rules.type_in_manifest(asset.path.as_str());
        let is_text = media_type == media::UNKNOWN && texts.contains(&asset.path);
        let compressed_as = if is_text { "text/plain" } else { &media_type };
        Input {
            encodings: encodings(&asset, compressed_as, options),
            path: asset.path,
            digest: asset.digest,
            size: asset.size,
            media_type,
        }
    });
    let site = Site::with_redirects(files, entries, &rules.classes);
    running.end();
    site
}

/// Returns the encodings of a file. Those that the export contains are used as they are; the others will be made.
fn encodings(asset: &Asset, media_type: &str, options: EncodeOptions) -> Encodings {
    let mut encodings = encodings_for(media_type, asset.size, &options);
    for coding in Coding::ALL {
        if let Some(given) = asset.given.get(coding) {
            encodings.set(coding, Some(Recipe::given(given.digest)));
        }
    }
    encodings
}

/// The globs of a parsed site manifest compile. A configuration that was made in another way may have invalid ones.
fn globs(globs: &[String]) -> Result<GlobSet, SiteError> {
    config::compile_globs(globs).map_err(SiteError::patterns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::model::event::Silent;

    fn export(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn config(text: &str) -> SiteConfig {
        config::parse(text).unwrap().config
    }

    #[test]
    fn a_given_encoding_is_taken_and_the_other_is_made() {
        let mut asset = Asset {
            path: SitePath::new("a.js").unwrap(),
            digest: Digest::of(b"x"),
            size: 4096,
            given: crate::model::asset::GivenEncodings::default(),
        };
        let digest = Digest::of(b"encoded");
        asset
            .given
            .set(Coding::Brotli, crate::model::asset::Given { digest, size: 9 });
        let encodings = encodings(&asset, "text/javascript", EncodeOptions::default());
        assert_eq!(encodings.br, Some(Recipe::given(digest)));
        assert_eq!(encodings.gz, Some(Recipe::made(9)));
    }

    #[test]
    fn text_without_a_known_type_is_compressed_and_so_is_what_the_site_manifest_calls_text() {
        let words = "words that repeat, ".repeat(200);
        let binary = format!("{words}\0{words}");
        let folder = export(&[
            ("index.html", &words),
            ("404.html", "x"),
            ("LICENSE", &words),
            ("notes/a.neverheardof", &words),
            ("blob", &binary),
            ("a.bin", &words),
            ("shown/a.bin", &words),
        ]);
        let config = config("[types]\n\"shown/*.bin\" = \"text/x-shown\"\n");
        let site = prepare(&config, folder.path(), None, &Silent).unwrap().site;
        let of = |path: &str| {
            let (_, file) = site.all_files().find(|(known, _)| known.as_str() == path).unwrap();
            (file.encodings.br.is_some(), file.media_type.to_string())
        };
        let unknown = media::UNKNOWN.to_owned();
        assert_eq!(of("LICENSE"), (true, unknown.clone()));
        assert_eq!(of("notes/a.neverheardof"), (true, unknown.clone()));
        assert_eq!(of("blob"), (false, unknown.clone()));
        assert_eq!(of("a.bin"), (false, unknown), "the name says that it is none");
        assert_eq!(of("shown/a.bin"), (true, "text/x-shown".to_owned()));
    }

    #[test]
    fn an_allowed_path_has_no_problems_and_an_error_elsewhere_stops() {
        let folder = export(&[
            ("index.html", "x"),
            ("404.html", "x"),
            ("_next/static/chunks/a.js", "x"),
            ("a/B.txt", "x"),
            ("a/b.txt", "x"),
        ]);
        let prepared = |text: &str| prepare(&config(text), folder.path(), None, &Silent);
        assert!(matches!(prepared(""), Err(SiteError::Check { .. })));
        assert!(prepared("[check]\nallow = [\"a/**\"]").is_ok());
        assert!(prepared("[check]\ncase = \"warn\"").is_ok_and(|site| !site.problems.is_empty()));
        assert!(prepared("[check]\ncase = \"off\"").is_ok_and(|site| site.problems.is_empty()));
    }

    /// An export that records the paths of the files that are read.
    struct CountingExport {
        export: Export,
        read: std::sync::Mutex<Vec<String>>,
    }

    impl Source for CountingExport {
        fn read(
            &self,
            path: &SitePath,
            digest: Digest,
            size: u64,
        ) -> Result<Vec<u8>, crate::site::source::SourceError> {
            self.read.lock().unwrap().push(path.to_string());
            self.export.read(path, digest, size)
        }

        fn read_pieces(
            &self,
            path: &SitePath,
            digest: Digest,
            size: u64,
            piece: usize,
            take: &mut dyn FnMut(Vec<u8>) -> bool,
        ) -> Result<(), crate::site::source::SourceError> {
            self.export.read_pieces(path, digest, size, piece, take)
        }

        fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, crate::site::source::SourceError> {
            self.export.read_given(path, coding)
        }
    }

    #[test]
    fn what_is_known_is_not_read_again_and_the_site_is_the_same() {
        let folder = export(&[
            (
                "index.html",
                "<script src=\"/_next/static/c.js\"></script><a href=\"/a\">a</a>",
            ),
            ("_next/static/c.js", "1"),
            ("404.html", "<script src=\"/_next/static/c.js\"></script>"),
            ("a.html", "<img src=\"/logo.png\">"),
            ("b.html", "<a href=\"/none\">b</a>"),
            ("logo.png", "not one"),
        ]);
        let config = config("");
        let source = Arc::new(CountingExport {
            export: Export::new(folder.path()),
            read: std::sync::Mutex::default(),
        });
        let mut memory = Memory::default();
        let mut prepared = || {
            source.read.lock().unwrap().clear();
            let reader: Arc<dyn Source> = Arc::<CountingExport>::clone(&source);
            let (prepared, _) = preview(
                &config,
                folder.path(),
                ScanScope::Whole,
                None,
                reader,
                &mut memory,
                &Silent,
            )
            .unwrap();
            let (anew, _) = preview(
                &config,
                folder.path(),
                ScanScope::Whole,
                None,
                Arc::new(Export::new(folder.path())),
                &mut Memory::default(),
                &Silent,
            )
            .unwrap();
            assert_eq!(
                (prepared.site.root, &prepared.problems),
                (anew.site.root, &anew.problems)
            );
            let mut read = source.read.lock().unwrap().clone();
            // `find_client` reads the first page on every run.
            read.retain(|path| &**path != "404.html");
            read.sort();
            read.dedup();
            read
        };
        assert_eq!(prepared(), ["_next/static/c.js", "a.html", "b.html", "index.html"]);
        assert_eq!(prepared(), Vec::<String>::new(), "nothing changed");
        std::fs::write(folder.path().join("b.html"), "<a href=\"/a\">b</a>").unwrap();
        assert_eq!(prepared(), ["b.html"], "one that changed");
        std::fs::write(folder.path().join("logo.png"), "another").unwrap();
        assert_eq!(prepared(), ["a.html"], "one that names what changed is written anew");
        std::fs::write(folder.path().join("b.html"), "<a href=\"/none\">b</a>").unwrap();
        assert_eq!(prepared(), ["b.html"], "back again");
        std::fs::write(folder.path().join("none.html"), "x").unwrap();
        assert_eq!(
            prepared(),
            ["b.html", "none.html"],
            "one whose link leads somewhere now"
        );
        std::fs::write(folder.path().join("other.html"), "x").unwrap();
        assert_eq!(prepared(), ["other.html"], "what nobody asked for is nobody's business");
    }

    #[test]
    fn what_is_excluded_is_not_in_the_site() {
        let folder = export(&[("index.html", "x"), ("404.html", "x"), ("draft.html", "x")]);
        let config = config("[publish]\nexclude = [\"draft.html\"]");
        let prepared = prepare(&config, folder.path(), None, &Silent).unwrap();
        assert_eq!((prepared.site.files, prepared.left_out.excluded), (2, 1));
    }
}

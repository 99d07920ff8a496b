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

use crate::config::{self, CspMode, Forbidden, KnownFindings, SiteConfig, WebUrl};
use crate::model::asset::Asset;
use crate::model::cache::Classes;
use crate::model::encoding::{Coding, Encodings, Recipe};
use crate::model::event::{Event, Note, Observer, Running, Stage};
use crate::model::generator::Generator;
use crate::model::manifest::{Input, Site};
use crate::model::media;
use crate::model::path::SitePath;
use crate::model::redirect::Redirect;
use crate::model::severity::Severity;
use crate::next::client::Client;
use crate::rules::{CustomHeaders, PageForm, Redirects, Rules, languages};
use crate::site::SiteError;
use crate::site::budget::{self, FirstLoad};
use crate::site::check::budget::Spending;
use crate::site::check::{self, Material, Problem, Searches};
use crate::site::encode::encodings_for;
use crate::site::fingerprint;
use crate::site::scan::{self, Scan, ScanOptions};
use crate::site::source::{Export, Source};
use crate::site::survey::{self, Elsewhere, Rewritten, Survey};
use crate::site::{redirects, settings};

/// A site that is ready to be compared with a host, sent, or written to a folder.
pub struct Prepared {
    /// The manifest.
    pub site: Site,
    /// Where the files' content comes from.
    pub source: Arc<dyn Source>,
    /// What the checks found.
    pub problems: Vec<Problem>,
    /// How requests to the site are answered.
    pub rules: Rules,
    /// URLs of chunks that pages reference but the export lacks.
    pub missing_chunks: BTreeSet<String>,
    /// The titles of pages by their paths. A page without one is left out.
    pub titles: BTreeMap<SitePath, String>,
    /// What each page loads at first; empty without a budget.
    first_loads: Vec<FirstLoad>,
    /// What the limits of the budget are compared with; empty without a budget.
    pub spent: Vec<Spending>,
}

impl Prepared {
    /// A site that was published already, and that no check looks at again.
    #[must_use]
    pub fn published(site: Site, source: Arc<dyn Source>, rules: Rules) -> Self {
        Self {
            site,
            source,
            problems: Vec::new(),
            rules,
            missing_chunks: BTreeSet::new(),
            titles: BTreeMap::new(),
            first_loads: Vec::new(),
            spent: Vec::new(),
        }
    }
}

/// State kept from one preview of an export to the next, so that only changed files are read again.
#[derive(Default)]
pub struct Memory {
    facts: Option<survey::Cache>,
    scan: Option<Arc<Scan>>,
}

/// Result of inspecting an export, which need not be publishable. `--json` prints it, so fields may be added but must
/// never be renamed.
#[derive(serde::Serialize)]
pub struct Inspected {
    /// All problems, whatever their severity.
    pub problems: Vec<Problem>,
    /// Files whose URLs stay as they are, all or some, because the files can't be read exactly, and why. If a file
    /// keeps the build ID from being replaced, that file and the reason are included.
    pub unread: Vec<Unread>,
    /// How many strings in payloads name a file of the site although their use is unknown.
    pub unclassified: u64,
    /// What the limits of the budget are compared with; absent without a budget.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<Spending>,
    /// How requests to the site are answered.
    #[serde(skip)]
    pub rules: Rules,
    /// The manifest, if it had to be made.
    #[serde(skip)]
    pub site: Option<Site>,
}

/// A file of the export that stays unchanged, at least in part, as in [`Inspected`].
#[derive(serde::Serialize)]
pub struct Unread {
    /// The file.
    pub path: SitePath,
    /// Why it can't be read exactly.
    pub reason: String,
}

/// The facts about an export, the problems that the checks found in them, and what follows from both.
struct Checked {
    survey: Survey,
    problems: Vec<Problem>,
    rules: Rules,
    /// The redirects of the release, by address.
    redirects: BTreeMap<String, Redirect>,
}

/// An export on this machine, and how it is turned into a site.
#[derive(Clone, Copy)]
pub struct LocalSite<'a> {
    config: &'a SiteConfig,
    export: &'a Path,
    cache: Option<&'a Path>,
    observer: &'a dyn Observer,
}

impl<'a> LocalSite<'a> {
    /// The site in the folder `export`. `cache` is the folder of the caches; without it every file is read.
    #[must_use]
    pub fn new(config: &'a SiteConfig, export: &'a Path, cache: Option<&'a Path>, observer: &'a dyn Observer) -> Self {
        Self {
            config,
            export,
            cache,
            observer,
        }
    }

    /// Prepares the site: scan, check, fingerprint, manifest.
    ///
    /// # Errors
    /// [`SiteError::Scan`], and [`SiteError::Check`] if a finding is an error.
    pub fn prepare(self) -> Result<Prepared, SiteError> {
        let prepared = self.prepare_to_judge()?;
        let mut severities = prepared.problems.iter().map(|problem| problem.severity);
        if severities.any(|severity| severity == Severity::Error) {
            return Err(SiteError::Check(prepared.problems));
        }
        Ok(prepared)
    }

    /// Prepares the site as [`Self::prepare`] does, but returns it whatever the checks find. The caller decides what a
    /// finding leads to, because that depends on the live release.
    ///
    /// # Errors
    /// [`SiteError::Scan`].
    pub fn prepare_to_judge(self) -> Result<Prepared, SiteError> {
        let (scan, cache) = self.scan_and_recall()?;
        let source: Arc<dyn Source> = Arc::new(Export::new(self.export));
        let checked = self.find_problems(&scan.assets, &*source, cache.as_ref())?;
        // Drop the cache before the site is compared and sent: with many pages it takes a lot of memory.
        let learn = |survey, rewritten: &[_]| self.learn(&scan, cache, survey, rewritten);
        let prepared = self.finish(&scan, source, checked, learn)?;
        self.measured(prepared)
    }

    /// Compares a site with its budget, if it has one.
    fn measured(self, mut prepared: Prepared) -> Result<Prepared, SiteError> {
        let budget = &self.config.budget;
        if budget.is_set() {
            let _running = Running::begin(self.observer, Stage::Check);
            let allowed = globs(&self.config.check.allow)?;
            let cache = self.cache.map(|folder| (self.export, folder));
            let (loads, source) = (std::mem::take(&mut prepared.first_loads), &*prepared.source);
            prepared.spent = budget::measure(&prepared.site, &loads, source, self.config, cache)?;
            let problems = check::budget::problems(&prepared.spent, budget.level);
            let counted = problems.into_iter().filter(|problem| !allowed.is_match(&problem.path));
            prepared.problems.extend(counted);
            prepared.problems.sort();
        }
        Ok(prepared)
    }

    /// Whether a problem stops every publish, whatever release is live, so that there is no need to query the host.
    #[must_use]
    pub fn stops_always(self, problem: &Problem) -> bool {
        problem.severity == Severity::Error && (problem.always || self.config.check.known == KnownFindings::Error)
    }

    /// Prepares the site for a preview, not for a publish, whatever the checks find. Also returns the scan of the
    /// export.
    ///
    /// `changed` are the only paths at which something may have changed since the last scan: absolute and below the
    /// export. `None` if that is not known. `source` reads the export. `memory` must come from earlier calls with the
    /// same site manifest and export.
    ///
    /// # Errors
    /// [`SiteError::Scan`] if the export can't be read.
    pub fn preview(
        self,
        changed: Option<&[PathBuf]>,
        source: Arc<dyn Source>,
        memory: &mut Memory,
    ) -> Result<(Prepared, Arc<Scan>), SiteError> {
        let again = match (changed, &memory.scan) {
            (Some(changed), Some(before)) => scan::again(self.export, before, changed, self.observer)?,
            _ => None,
        };
        let scan = Arc::new(again.map_or_else(|| self.scan(), Ok)?);
        memory.scan = Some(Arc::clone(&scan));
        let is_first = memory.facts.is_none();
        let load = |folder| survey::Cache::load(folder, self.export);
        let facts = memory
            .facts
            .get_or_insert_with(|| self.cache.map(load).unwrap_or_default());
        let checked = self.find_problems(&scan.assets, &*source, Some(facts))?;
        let learn = |survey, rewritten: &[_]| {
            // Write the cache only once, for the next start. Files edited afterwards are quick to read again.
            if facts.learn(&scan.assets, survey, rewritten) && is_first {
                self.write(facts);
            }
        };
        let prepared = self.finish(&scan, source, checked, learn)?;
        Ok((prepared, scan))
    }

    /// Inspects the export, whatever the checks find.
    ///
    /// # Errors
    /// [`SiteError::Scan`] if the export can't be read.
    pub fn inspect(self, compares: bool) -> Result<Inspected, SiteError> {
        let (scan, cache) = self.scan_and_recall()?;
        let source: Arc<dyn Source> = Arc::new(Export::new(self.export));
        let checked = self.find_problems(&scan.assets, &*source, cache.as_ref())?;
        let survey = &checked.survey;
        let unread = scan.assets.iter().zip(&survey.facts).flat_map(|(asset, facts)| {
            let reasons = facts.unclear.iter().chain(&facts.odd);
            reasons.map(|reason| Unread {
                path: asset.path.clone(),
                reason: reason.to_string(),
            })
        });
        let mut unread: Vec<Unread> = unread.collect();
        if self.config.next.stable_build_id
            && let Some((path, reason)) = fingerprint::obstacle(&scan.assets, survey)
        {
            unread.push(Unread {
                path: path.clone(),
                reason: format!("the build id stays in every file: {reason}"),
            });
        }
        let unclassified = survey.facts.iter().map(|facts| u64::from(facts.unclassified)).sum();
        let learn = |survey, rewritten: &[_]| self.learn(&scan, cache, survey, rewritten);
        let (problems, rules, budget, site) = if self.config.budget.is_set() || compares {
            // What is sent to visitors is known only of the finished site.
            let prepared = self.measured(self.finish(&scan, source, checked, learn)?)?;
            (prepared.problems, prepared.rules, prepared.spent, Some(prepared.site))
        } else {
            learn(checked.survey, &[]);
            (checked.problems, checked.rules, Vec::new(), None)
        };
        Ok(Inspected {
            problems,
            unread,
            unclassified,
            budget,
            rules,
            site,
        })
    }

    /// Returns the rules that requests to the site follow, as far as the export determines them.
    ///
    /// # Errors
    /// [`SiteError::Scan`] if the export can't be read.
    pub fn served(self) -> Result<Rules, SiteError> {
        let scan = self.scan()?;
        let source = Export::new(self.export);
        let client = survey::find_client(&scan.assets, &source)?;
        let paths = published(&scan.assets).map(|asset| asset.path.as_str());
        let (moved, own) = settings::read(self.config, &scan.assets, &source)?;
        Ok(Rules {
            redirects: Redirects::new(moved.rules),
            headers: CustomHeaders::new(own.rules),
            ..rules(self.config, client, paths)
        })
    }

    fn scan(self) -> Result<Scan, SiteError> {
        let options = ScanOptions {
            exclude: &globs(&self.config.publish.exclude)?,
            cache: self.cache,
            now: SystemTime::now(),
        };
        Ok(scan::scan(self.export, &options, self.observer)?)
    }

    /// Scans the export, and loads the cache of facts at the same time.
    fn scan_and_recall(self) -> Result<(Scan, Option<survey::Cache>), SiteError> {
        let mut recalled = None;
        let scanned = rayon::in_place_scope(|scope| {
            if let Some(folder) = self.cache {
                let recalled = &mut recalled;
                scope.spawn(move |_| *recalled = Some(survey::Cache::load(folder, self.export)));
            }
            self.scan()
        });
        Ok((scanned?, recalled))
    }

    /// Surveys the text files of the export, and runs all checks.
    fn find_problems(
        self,
        assets: &[Asset],
        source: &dyn Source,
        cache: Option<&survey::Cache>,
    ) -> Result<Checked, SiteError> {
        let config = self.config;
        // The patterns of a parsed site manifest are valid. A configuration that was made in another way may have
        // invalid ones.
        let forbidden = Forbidden::new(&config.check.forbid).map_err(SiteError::patterns)?;
        let allowed = globs(&config.check.allow)?;
        let bytes = assets.iter().map(|asset| asset.size).sum();
        let items = Some(assets.len() as u64);
        let _running = Running::begin_measured(self.observer, Stage::Check, items, Some(bytes));
        let (moved, own) = settings::read(config, assets, source)?;
        let moved_addresses = Redirects::new(moved.rules);
        let options = survey::Options {
            origin: config.site.url.as_ref().map(WebUrl::as_str),
            base_path: config.next.base_path.as_deref(),
            search: Some(&Searches::new(&config.check.levels, &forbidden)),
            cache,
            elsewhere: Some(&Elsewhere::new(&config.check.elsewhere).map_err(SiteError::patterns)?),
            redirects: Some(&moved_addresses),
            generator: config.site.generator,
            for_policy: config.csp.mode != CspMode::Off,
        };
        let survey = survey::survey(assets, source, &options, self.observer)?;
        let material = Material {
            assets,
            survey: &survey,
            allowed: &allowed,
            copies: &config.fingerprint.prefix,
            host: config.site.url.as_ref().map(WebUrl::host),
            is_named: config.site.generator.is_some(),
            csp: &config.csp,
        };
        let mut problems = check::check(material, &config.check.levels);
        let paths: Vec<&str> = published(assets).map(|asset| asset.path.as_str()).collect();
        let rules = Rules {
            redirects: moved_addresses,
            headers: CustomHeaders::new(own.rules),
            ..rules(config, survey.client.clone(), paths.iter().copied())
        };
        let (table, addresses) = redirects::table(&rules, &paths);
        let level = config.check.levels.of(check::redirects::NAME);
        problems.extend(check::redirects::problems(&moved.bad, &table, &addresses, level));
        let level = config.check.levels.of(check::headers::NAME);
        problems.extend(check::headers::problems(&own.bad, level));
        let level = config.check.levels.of(check::indexing::NAME);
        problems.extend(check::indexing::by_headers(&rules, &paths, level));
        problems.retain(|problem| !allowed.is_match(&problem.path));
        problems.sort();
        Ok(Checked {
            survey,
            problems,
            rules,
            redirects: table.entries,
        })
    }

    /// Makes the site of a checked export. `learn` gets the survey, and the result of the fingerprint stage for each
    /// file.
    fn finish(
        self,
        scan: &Scan,
        source: Arc<dyn Source>,
        checked: Checked,
        learn: impl FnOnce(Survey, &[Option<Rewritten>]) + Send,
    ) -> Result<Prepared, SiteError> {
        let Checked {
            survey,
            problems,
            rules,
            redirects,
        } = checked;
        let finished = self.fingerprint(&scan.assets, &survey, source, &rules.classes)?;
        let missing_chunks = survey.missing_chunks();
        let public = |path: &str| finished.renaming.as_ref()?.path(path);
        let first_loads = if self.config.budget.is_set() {
            budget::first_loads(&scan.assets, &survey, &public)
        } else {
            Vec::new()
        };
        let all = scan.assets.iter().zip(&survey.facts);
        let texts = all.filter(|(_, facts)| facts.is_text);
        let texts: HashSet<SitePath> = texts.map(|(asset, _)| asset.path.clone()).collect();
        let titles = scan.assets.iter().zip(&survey.facts).filter_map(|(asset, facts)| {
            let head = facts.head.as_ref().filter(|head| !head.title.is_empty())?;
            Some((asset.path.clone(), head.title.clone()))
        });
        let titles = titles.collect();
        let (site, ()) = rayon::join(
            || self.manifest(finished.assets, &texts, &rules, &redirects),
            || learn(survey, &finished.rewritten),
        );
        Ok(Prepared {
            rules,
            missing_chunks,
            titles,
            site,
            source: finished.source,
            problems,
            first_loads,
            spent: Vec::new(),
        })
    }

    fn fingerprint(
        self,
        assets: &[Asset],
        survey: &Survey,
        source: Arc<dyn Source>,
        classes: &Classes,
    ) -> Result<fingerprint::Site, SiteError> {
        let _running = Running::begin(self.observer, Stage::Fingerprint);
        let config = self.config;
        // Scripts may put together the address of a picture that they render, so the default is no fingerprint.
        let default = survey.generator.renders_from_scripts().then_some(&[][..]);
        let include = config.fingerprint.include.as_deref().or(default);
        let include = include.map(globs).transpose()?;
        // The type of a copy follows from its extension alone, so files that have a type by path get no fingerprint.
        let typed = config.types.by_path().iter().map(|own| own.glob.text().to_owned());
        let exclude: Vec<String> = config.fingerprint.exclude.iter().cloned().chain(typed).collect();
        let options = fingerprint::Options {
            stable_build_id: config.next.stable_build_id,
            include: include.as_ref(),
            exclude: &globs(&exclude)?,
            classes,
            origin: config.site.url.as_ref().map(WebUrl::as_str),
            csp: (config.csp.mode == CspMode::Enforce).then_some(&config.csp),
        };
        Ok(fingerprint::fingerprint(
            assets,
            survey,
            source,
            &options,
            self.observer,
        )?)
    }

    /// Makes the manifest. `texts` are the files that contain text although their names do not reveal it.
    fn manifest(
        self,
        assets: Vec<Asset>,
        texts: &HashSet<SitePath>,
        rules: &Rules,
        entries: &BTreeMap<String, Redirect>,
    ) -> Site {
        let _running = Running::begin(self.observer, Stage::Manifest);
        let assets = assets.into_iter().filter(|asset| !settings::is_setting(&asset.path));
        let files = assets.map(|asset| {
            let media_type = rules.type_in_manifest(asset.path.as_str());
            let is_text = media_type == media::UNKNOWN && texts.contains(&asset.path);
            let compressed_as = if is_text { "text/plain" } else { &media_type };
            Input {
                encodings: encodings(&asset, compressed_as, self.config.encode),
                path: asset.path,
                digest: asset.digest,
                size: asset.size,
                media_type,
            }
        });
        Site::with_redirects(files, entries, &rules.classes)
    }

    /// Keeps what was learned about the files for the next run.
    fn learn(self, scan: &Scan, cache: Option<survey::Cache>, survey: Survey, rewritten: &[Option<Rewritten>]) {
        if let Some(mut cache) = cache
            && cache.learn(&scan.assets, survey, rewritten)
        {
            self.write(&cache);
        }
    }

    fn write(self, cache: &survey::Cache) {
        if let Some(file) = cache.file()
            && let Err(error) = cache.write()
        {
            self.observer.notice(Event::Noted(Note::CacheNotWritten {
                file: file.to_owned(),
                reason: error.to_string(),
            }));
        }
    }
}

/// Returns the rules that requests to a site follow, given the paths of its export and what its pages reveal about the
/// client.
#[must_use]
pub fn rules<'a>(config: &SiteConfig, client: Client, paths: impl Iterator<Item = &'a str> + Clone) -> Rules {
    let form = PageForm::of(paths.clone());
    let generator = config.site.generator.unwrap_or_else(|| Generator::of_paths(&paths));
    let base_path = config.next.base_path.as_ref().unwrap_or(&client.base_path);
    Rules {
        form,
        base_path: base_path.clone(),
        asset_prefix: client.asset_prefix(base_path).to_owned(),
        classes: Classes::new(&config.fingerprint.prefix).with(generator, &config.assets.immutable),
        deployment_id: client.deployment_id,
        types: config.types.clone(),
        languages: languages::of_site(form, paths),
        one_address: config.nginx.one_address.unwrap_or(false),
        redirects: Redirects::default(),
        headers: CustomHeaders::new(config.headers.rules.clone()),
    }
}

/// The files of an export that are part of the site.
fn published(assets: &[Asset]) -> impl Iterator<Item = &Asset> + Clone {
    assets.iter().filter(|asset| !settings::is_setting(&asset.path))
}

/// Returns the encodings of a file. Those that the export contains are used as they are; the others will be made.
fn encodings(asset: &Asset, media_type: &str, levels: config::Encode) -> Encodings {
    let mut encodings = encodings_for(media_type, asset.size, levels);
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
        let encodings = encodings(&asset, "text/javascript", config("").encode);
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
        let site = LocalSite::new(&config, folder.path(), None, &Silent)
            .prepare()
            .unwrap()
            .site;
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

    /// The files by which an export is one of `VitePress`.
    const VITEPRESS: [(&str, &str); 2] = [("hashmap.json", "{}"), ("assets/a.md.D-XzGMMc.lean.js", "1")];

    #[test]
    fn a_text_next_to_a_page_is_a_payload_only_if_the_site_may_be_one_of_next() {
        let files = [("a.html", "x"), ("a.txt", "0:{\n"), ("404.html", "x")];
        let unread = |files: &[(&str, &str)], text: &str| {
            let (config, folder) = (config(text), export(files));
            let inspected = LocalSite::new(&config, folder.path(), None, &Silent)
                .inspect(false)
                .unwrap();
            inspected.unread.len()
        };
        let of_vitepress = [&files[..], &VITEPRESS].concat();
        assert_eq!(unread(&files, ""), 1);
        assert_eq!(unread(&of_vitepress, ""), 0);
        assert_eq!(unread(&files, "[site]\ngenerator = \"astro\""), 0);
        assert_eq!(unread(&of_vitepress, "[site]\ngenerator = \"static\""), 1);
    }

    #[test]
    fn base_path_of_another_generator_is_detected() {
        let files = [
            ("index.html", "<link rel=stylesheet href=/docs/assets/s.css>"),
            ("assets/s.css", "x"),
        ];
        let base = |files: &[(&str, &str)]| {
            let (config, folder) = (config(""), export(files));
            let site = LocalSite::new(&config, folder.path(), None, &Silent);
            site.served().unwrap().base_path
        };
        assert_eq!(base(&[&files[..], &VITEPRESS].concat()), "/docs");
        assert_eq!(base(&files), "", "an export that nothing identifies");
    }

    #[test]
    fn pictures_of_a_client_that_renders_pages_get_no_fingerprint_unless_it_is_wanted() {
        let files = [("a.html", "<img src=\"/a.png\">"), ("404.html", "x"), ("a.png", "x")];
        let copies = |files: &[(&str, &str)], text: &str| {
            let (config, folder) = (config(text), export(files));
            let site = LocalSite::new(&config, folder.path(), None, &Silent)
                .prepare()
                .unwrap()
                .site;
            let copies = site
                .all_files()
                .filter(|(path, _)| path.as_str().starts_with("_assets/"));
            copies.count()
        };
        let of_vitepress = [&files[..], &VITEPRESS].concat();
        assert_eq!(copies(&files, ""), 1);
        assert_eq!(copies(&of_vitepress, ""), 0);
        assert_eq!(copies(&files, "[site]\ngenerator = \"docusaurus\""), 0);
        assert_eq!(copies(&of_vitepress, "[fingerprint]\ninclude = [\"*.png\"]"), 1);
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
        let prepared = |text: &str| LocalSite::new(&config(text), folder.path(), None, &Silent).prepare();
        assert!(matches!(prepared(""), Err(SiteError::Check(_))));
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
            take: &mut dyn FnMut(Vec<u8>) -> bool,
        ) -> Result<(), crate::site::source::SourceError> {
            self.export.read_pieces(path, digest, size, take)
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
            let site = LocalSite::new(&config, folder.path(), None, &Silent);
            let (prepared, _) = site.preview(None, reader, &mut memory).unwrap();
            let export = Arc::new(Export::new(folder.path()));
            let (again, _) = site.preview(None, export, &mut Memory::default()).unwrap();
            assert_eq!(
                (prepared.site.root, &prepared.problems),
                (again.site.root, &again.problems)
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
        let prepared = LocalSite::new(&config, folder.path(), None, &Silent).prepare().unwrap();
        assert_eq!(prepared.site.files, 2);
    }
}

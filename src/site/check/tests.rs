//! Tests of all checks together, and small exports for the tests of each check.

use globset::GlobSet;

use super::finding::{first_below, holds};
use super::*;
use crate::model::asset::Asset;
use crate::model::asset::GivenEncodings;
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::event::Silent;
use crate::model::path::SitePath;
use crate::model::severity::Severity;
use crate::site::source::{Source, SourceError};
use crate::site::survey;
use crate::site::survey::Survey;

/// A source of files in memory.
struct Files(Vec<(String, Vec<u8>)>);

impl Source for Files {
    fn read(&self, path: &SitePath, _: Digest, _: u64) -> Result<Vec<u8>, SourceError> {
        let file = self.0.iter().find(|(name, _)| name == path.as_str());
        file.map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| SourceError::Changed(path.clone()))
    }

    fn read_given(&self, path: &SitePath, _: Coding) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Changed(path.clone()))
    }
}

/// A small export, as the scan and the survey return it.
pub(super) struct Export {
    pub assets: Vec<Asset>,
    pub survey: Survey,
    pub allowed: GlobSet,
    pub csp: crate::config::Csp,
}

impl Export {
    /// Creates an export of these paths and texts.
    pub fn new<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        Self::searched(
            files,
            &Searches::new(&Levels::default(), &crate::config::Forbidden::default()),
        )
    }

    /// Creates an export of these paths and texts, with a site manifest whose `[csp]` counts.
    pub fn with_policy<B: AsRef<[u8]>>(files: &[(&str, B)], manifest: &str) -> Self {
        let mut export = Self::new(files);
        export.csp = crate::config::parse(manifest).unwrap().config.csp;
        export
    }

    /// Creates an export of these paths and texts, with another search.
    pub fn searched<B: AsRef<[u8]>>(files: &[(&str, B)], search: &Searches<'_>) -> Self {
        let mut files: Vec<(String, Vec<u8>)> = files
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), bytes.as_ref().to_vec()))
            .collect();
        files.sort();
        let assets: Vec<Asset> = files
            .iter()
            .map(|(path, bytes)| Asset {
                path: path
                    .split('/')
                    .fold(SitePath::root(), |folder, name| folder.child(name)),
                digest: Digest::of(bytes),
                size: bytes.len() as u64,
                given: GivenEncodings::default(),
            })
            .collect();
        let options = survey::Options {
            origin: Some("https://docs.example.com"),
            base_path: None,
            search: Some(search),
            cache: None,
            elsewhere: Some(&survey::Elsewhere::new(&["/blog/**".to_owned()]).unwrap()),
            redirects: None,
            generator: None,
            for_policy: true,
        };
        let survey = survey::survey(&assets, &Files(files), &options, &Silent).unwrap();
        Self {
            assets,
            survey,
            allowed: GlobSet::empty(),
            csp: crate::config::Csp::default(),
        }
    }

    /// Creates an export of files with these paths, all with the same content.
    pub fn of_paths(paths: &[&str]) -> Self {
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (*path, "x")).collect();
        Self::new(&files)
    }

    /// Ignores findings in these files.
    pub fn allowing(mut self, globs: &[&str]) -> Self {
        self.allowed = crate::config::compile_globs(globs).unwrap();
        self
    }

    pub fn material(&self) -> Material<'_> {
        Material {
            assets: &self.assets,
            survey: &self.survey,
            allowed: &self.allowed,
            copies: "_assets",
            host: Some("docs.example.com"),
            is_named: false,
            csp: &self.csp,
        }
    }

    /// Returns the findings of a check, each as `path:line: message`.
    pub fn finds(&self, find: fn(Material<'_>) -> Vec<RawFinding>) -> Vec<String> {
        let findings = find(self.material()).into_iter().map(|finding| {
            assert!(!finding.message.is_empty() && !finding.hint.is_empty());
            let line = finding.line.map_or_else(String::new, |line| format!(":{line}"));
            format!("{}{line}: {}", finding.path, finding.message)
        });
        findings.collect()
    }
}

/// Returns the paths of the findings of a check.
pub(super) fn found(find: fn(Material<'_>) -> Vec<RawFinding>, paths: &[&str]) -> Vec<String> {
    let export = Export::of_paths(paths);
    let findings = find(export.material());
    for finding in &findings {
        assert!(!finding.message.is_empty() && !finding.hint.is_empty());
    }
    findings.iter().map(|finding| finding.path.clone()).collect()
}

const EXPORT: &[&str] = &[
    "404.html",
    "_next/static/chunks/0t0z5u_ughhp5.js",
    "docs.html",
    "docs.txt",
    "docs/__next._tree.txt",
    "docs/a.html",
    "index.html",
    "index.txt",
];

#[test]
fn an_export_as_next_writes_it_has_no_problems() {
    assert_eq!(check(Export::of_paths(EXPORT).material(), &Levels::default()), []);
}

#[test]
fn levels_decide_whether_a_finding_stops_a_publish() {
    let export = Export::of_paths(&["404.html", "_next/static/a.js"]);
    let severities = |levels: &Levels| -> Vec<_> {
        let problems = check(export.material(), levels);
        problems.iter().map(|problem| problem.severity).collect()
    };
    assert_eq!(severities(&Levels::default()), [Severity::Warning]);
    let error = Levels::default().with("index", Level::Error);
    assert_eq!(severities(&error), [Severity::Error]);
    let off = Levels::default().with("index", Level::Off);
    assert_eq!(severities(&off), []);
}

#[test]
fn problems_are_sorted_by_path() {
    let export = Export::of_paths(&["Z/a", "b/a", "B/a", "z/a"]);
    let problems = check(export.material(), &Levels::default());
    let paths: Vec<_> = problems.iter().map(|p| p.path.clone()).collect();
    assert!(paths.is_sorted(), "{paths:?}");
    assert!(paths.len() >= 4, "{paths:?}");
}

#[test]
fn findings_in_allowed_files_do_not_count() {
    let export = Export::of_paths(&["404.html", "_next/static/a.js", "a/B", "a/b", "index.html"]);
    assert_eq!(check(export.material(), &Levels::default()).len(), 1);
    let export = export.allowing(&["a/**"]);
    assert_eq!(check(export.material(), &Levels::default()), []);
}

#[test]
fn addresses_that_something_else_answers_are_not_missing() {
    let page = "<a href='/blog'><a href='/blog/a/b?c'><script src='/cdn-cgi/x.js'></script><a href='/blogs'>";
    let export = Export::new(&[("index.html", page), ("404.html", ""), ("_next/static/a.js", "1")]);
    let problems = check(export.material(), &Levels::default());
    let told: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("/blogs"));
}

#[test]
fn names_are_sorted_and_single() {
    let names: Vec<_> = names().collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn files_and_folders_are_found_by_path() {
    let assets = Export::of_paths(&["a.html", "a/b", "ab"]).assets;
    assert!(holds(&assets, "a/b") && !holds(&assets, "a"));
    assert!(first_below(&assets, "a/").is_some());
    assert!(first_below(&assets, "ab/").is_none());
}

#[test]
fn every_check_can_be_set_in_the_site_manifest() {
    for name in super::names() {
        assert!(crate::config::CHECKS.iter().any(|(known, _)| *known == name), "{name}");
        assert!(
            !crate::config::NOT_YET.contains(&format!("check.{name}").as_str()),
            "{name}"
        );
    }
}

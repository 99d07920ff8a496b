//! Which files get a second name, and what it is.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Options;
use super::rewrite::{Change, Language, Rewriter};
use crate::model::asset::Asset;
use crate::model::cache::{CacheClass, Classes};
use crate::model::digest::Digest;
use crate::model::path::SitePath;
use crate::source::{Source, SourceError};
use crate::survey::{Facts, Kind, Survey};

/// Extensions of what pages show: pictures, fonts, sound, film, and the sheets that name them.
///
/// No scripts: one may load others from beside itself, and would look for them beside its copy.
const PICKED: &[&str] = &[
    "apng", "avif", "bmp", "css", "eot", "flac", "gif", "ico", "jpeg", "jpg", "jxl", "m4a", "m4v", "mov", "mp3", "mp4",
    "oga", "ogg", "ogv", "opus", "otf", "png", "svg", "ttf", "vtt", "wav", "webm", "webp", "woff", "woff2",
];

/// Names of files that are asked for by these very names, from anywhere, and so never get another.
pub const NEVER: &[&str] = &[
    "favicon.ico",
    "robots.txt",
    "humans.txt",
    "ads.txt",
    "llms.txt",
    "browserconfig.xml",
    "sw.js",
    "service-worker.js",
    "workbox-sw.js",
    "firebase-messaging-sw.js",
    "OneSignalSDKWorker.js",
];

/// Whether a file is one of those that get a fingerprint where the site manifest names none.
#[must_use]
pub fn is_picked(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    PICKED.contains(&extension)
}

/// Whether a file may get a fingerprint at all.
fn may_be_named(path: &str, kind: Kind) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_fixed = NEVER.contains(&name)
        || path.starts_with(".well-known/")
        || name.ends_with(".webmanifest")
        || name == "manifest.json"
        || name.starts_with("sitemap") && name.ends_with(".xml")
        || matches!(name, "rss.xml" | "atom.xml" | "feed.xml" | "feed.json" | "index.xml");
    !is_fixed && !matches!(kind, Kind::Page | Kind::Payload(_) | Kind::Data(_))
}

/// A file under a second name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The file, by its place among the assets.
    pub of: usize,
    /// Its second name.
    pub path: SitePath,
    /// What is done with its bytes; none: nothing.
    pub change: Option<Change>,
    /// The digest of the copy's bytes.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
}

/// Names the copies, and tells the rewriter of them.
///
/// # Errors
/// [`SourceError`] where a style sheet can't be read.
pub fn name(
    assets: &[Asset],
    survey: &Survey,
    export: &dyn Source,
    options: &Options<'_>,
    rewriter: &mut Rewriter,
) -> Result<Vec<Copy>, SourceError> {
    if options.include.is_some_and(globset::GlobSet::is_empty) {
        return Ok(Vec::new());
    }
    let mut naming = Naming {
        assets,
        survey,
        export,
        options,
        rewriter,
        copies: Vec::new(),
        state: HashMap::new(),
        classes: Classes::new(options.prefix),
        torn: torn(survey),
    };
    let pages = survey
        .kinds
        .iter()
        .zip(&survey.facts)
        .filter(|(kind, _)| **kind == Kind::Page);
    let used: BTreeSet<usize> = pages.flat_map(|(_, facts)| facts.used.iter().copied()).collect();
    for index in used {
        naming.visit(index)?;
    }
    Ok(naming.copies)
}

/// Files that a style sheet names, and that a page names where its URL must stay. The sheet is the same for all pages, so
/// a reader would fetch such a file under both names: it gets no second one.
fn torn(survey: &Survey) -> HashSet<usize> {
    let of = |kind: Kind, files: fn(&Facts) -> &[usize]| -> HashSet<usize> {
        let such = survey
            .kinds
            .iter()
            .zip(&survey.facts)
            .filter(move |(other, _)| **other == kind);
        such.flat_map(|(_, facts)| files(facts).iter().copied()).collect()
    };
    let in_sheets = of(Kind::Style, |facts| &facts.used);
    let kept = of(Kind::Page, |facts| &facts.kept);
    in_sheets.intersection(&kept).copied().collect()
}

/// How far the naming of a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// What it uses is being named.
    Open,
    Done,
}

struct Naming<'a, 'o> {
    assets: &'a [Asset],
    survey: &'a Survey,
    export: &'a dyn Source,
    options: &'a Options<'o>,
    rewriter: &'a mut Rewriter,
    copies: Vec<Copy>,
    state: HashMap<usize, State>,
    classes: Classes,
    torn: HashSet<usize>,
}

impl Naming<'_, '_> {
    /// Names a file, after those that it uses.
    fn visit(&mut self, first: usize) -> Result<(), SourceError> {
        // A chain of imports may be as long as someone likes, so it is not followed by calls.
        let mut stack = vec![first];
        while let Some(&index) = stack.last() {
            let (Some(asset), Some(facts), Some(kind)) = (
                self.assets.get(index),
                self.survey.facts.get(index),
                self.survey.kinds.get(index),
            ) else {
                stack.pop();
                continue;
            };
            match self.state.get(&index) {
                Some(State::Done) => {
                    stack.pop();
                }
                None if *kind == Kind::Style => {
                    self.state.insert(index, State::Open);
                    // One that is open already imports this one: the circle is broken there.
                    let used = facts.used.iter().copied().filter(|used| !self.state.contains_key(used));
                    stack.extend(used.collect::<Vec<_>>());
                }
                _ => {
                    self.state.insert(index, State::Done);
                    stack.pop();
                    if let Some(copy) = self.copy(index, asset, *kind)? {
                        self.rewriter.add_copy(index, asset.path.as_str(), copy.path.as_str());
                        self.copies.push(copy);
                    }
                }
            }
        }
        Ok(())
    }

    fn copy(&self, index: usize, asset: &Asset, kind: Kind) -> Result<Option<Copy>, SourceError> {
        let path = asset.path.as_str();
        let facts = &self.survey.facts[index];
        let is_chosen = self
            .options
            .include
            .map_or_else(|| is_picked(path), |globs| globs.is_match(path));
        let is_chosen = is_chosen
            && !self.torn.contains(&index)
            && !self.options.exclude.is_match(path)
            && may_be_named(path, kind);
        let is_readable = facts.unclear.is_none() && facts.not_utf8.is_none();
        // A drawing that names others by where it stands must stand there.
        let stays = kind == Kind::Drawing && facts.relative;
        if !is_chosen || !is_readable || stays {
            return Ok(None);
        }
        let is_immutable = self.classes.classify(path) == CacheClass::Immutable;
        if kind == Kind::Style {
            return self.copy_of_style(index, asset, is_immutable);
        }
        if is_immutable {
            return Ok(None);
        }
        let copy = |path| Copy {
            of: index,
            path,
            change: None,
            digest: asset.digest,
            size: asset.size,
        };
        Ok(self.copy_path(path, asset.digest).map(copy))
    }

    /// A style sheet names others, so its copy may have other bytes. One whose name follows its bytes already is
    /// copied only then.
    fn copy_of_style(&self, index: usize, asset: &Asset, is_immutable: bool) -> Result<Option<Copy>, SourceError> {
        let path = asset.path.as_str();
        let allowed = self.rewriter.allowed(&self.survey.facts[index].used);
        if is_immutable && allowed.is_empty() {
            return Ok(None);
        }
        let change = Change {
            language: Language::Style,
            base: asset.path.clone(),
            allowed,
        };
        let bytes = self.export.read(&asset.path, asset.digest, asset.size)?;
        let new = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| self.rewriter.rewrite(text, &change));
        let (change, digest, size) = match &new {
            Some(new) => (Some(change), Digest::of(new.as_bytes()), new.len() as u64),
            None if is_immutable => return Ok(None),
            None => (None, asset.digest, asset.size),
        };
        let copy = |path| Copy {
            of: index,
            path,
            change,
            digest,
            size,
        };
        Ok(self.copy_path(path, digest).map(copy))
    }

    /// `images/logo.png` is `_assets/images/logo.<16 hex digits>.png`.
    fn copy_path(&self, path: &str, digest: Digest) -> Option<SitePath> {
        let (folder, name) = path
            .rsplit_once('/')
            .map_or(("", path), |(folder, name)| (folder, name));
        let (stem, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
        let slash = if folder.is_empty() { "" } else { "/" };
        let digest = digest.to_string();
        let fingerprint = digest.get(..FINGERPRINT)?;
        let prefix = self.options.prefix;
        SitePath::new(&format!("{prefix}/{folder}{slash}{stem}.{fingerprint}.{extension}")).ok()
    }
}

/// Hex digits of a fingerprint.
const FINGERPRINT: usize = 16;

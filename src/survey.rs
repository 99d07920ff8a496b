//! The survey: every text of the export read once, and noted what checks and fingerprints need to know of it.
//!
//! Reads the export through a [`Source`] and nothing else; it changes nothing. It notes facts and judges none: which of
//! them is a fault is for the checks to say. What it keeps of a page is little, so that the largest site fits into
//! memory: a URL that is right leaves no trace but what it is used for.

mod css;
mod found;
mod page;
mod text;

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

pub use self::found::Paths;
use crate::event::{Event, Observer, Stage};
use crate::model::asset::Asset;
use crate::model::digest::Digest;
use crate::model::path::SitePath;
use crate::next::client::{self, Client};
use crate::next::page::{self as next_page, Router};
use crate::next::url::Resolver;
use crate::next::{Position, Unclear, build_id, data};
use crate::source::{Source, SourceError};

/// No page is larger; a file that is, is taken as it is.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// What a file is to the survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page.
    Page,
    /// A payload of the page with this place among the assets.
    Payload(usize),
    /// A data file of the page with this place among the assets.
    Data(usize),
    /// A style sheet.
    Style,
    /// A drawing, which may refer to others.
    Drawing,
    /// Anything else.
    Other,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UrlFault {
    /// The site has nothing there.
    Missing,
    /// The site has it, spelled otherwise.
    Spelled {
        /// As it is.
        right: String,
    },
    /// It leaves out the base path of a file that the site has. What else lies outside of the base path is another
    /// site's.
    OutsideBasePath {
        /// As it is.
        right: String,
    },
    /// It leads to the reader's own machine.
    Local {
        /// The host it names.
        host: String,
    },
    /// It is no URL.
    Malformed,
}

/// A URL that is not right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultyUrl {
    /// The line it stands in, from 1.
    pub line: u32,
    /// As it stands there.
    pub url: String,
    /// What it is for.
    pub position: Position,
    /// What is wrong.
    pub fault: UrlFault,
}

/// A link to a place in a page of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The line it stands in, from 1.
    pub line: u32,
    /// The page's place among the assets.
    pub page: usize,
    /// What stands behind `#`, decoded.
    pub name: String,
}

/// Text that a rule does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The check that the rule belongs to.
    pub check: &'static str,
    /// The line it stands in, from 1; none where it is the file as a whole.
    pub line: Option<u32>,
    /// The rule's name.
    pub rule: String,
    /// What was found, with all that is secret taken out.
    pub shown: String,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Which router made the page; none for what is no page.
    pub router: Option<Router>,
    /// Where it stops being UTF-8: the line, from 1.
    pub not_utf8: Option<u32>,
    /// Why it can't be rewritten; it stays as it is.
    pub unclear: Option<Unclear>,
    /// Parts of it that stay as they are.
    pub odd: Vec<Unclear>,
    /// The build ids that Next.js's client reads in it.
    pub ids: BTreeSet<String>,
    /// URLs that are not right, in order.
    pub faulty: Vec<FaultyUrl>,
    /// Links into pages.
    pub fragments: Vec<Fragment>,
    /// The places that links into this page can lead to, sorted.
    pub anchors: Vec<String>,
    /// Files whose URL may be replaced in this file, by their places among the assets, sorted.
    pub used: Vec<usize>,
    /// Whether it names something relative to its own place.
    pub relative: bool,
    /// Strings that name a file of the site where it can't be told what they are for.
    pub unclassified: u32,
    /// What rules do not allow.
    pub hits: Vec<Hit>,
}

/// What is known of an export.
pub struct Survey {
    /// The base path: empty, or with a slash at its front.
    pub base_path: String,
    /// The kind of each asset.
    pub kinds: Vec<Kind>,
    /// What is known of each asset.
    pub facts: Vec<Facts>,
}

/// Finds what is forbidden in a text.
pub trait Search: Sync {
    /// Whether a file is searched although its name does not say that it is a text.
    fn wants(&self, path: &str) -> bool;

    /// All that is found in a file's bytes.
    fn hits(&self, path: &str, bytes: &[u8]) -> Vec<Hit>;
}

/// What is to be looked for.
pub struct Options<'a> {
    /// The address of the site.
    pub origin: Option<&'a str>,
    /// The base path; none: read off the export.
    pub base_path: Option<&'a str>,
    /// What is searched for in texts; none: nothing.
    pub search: Option<&'a dyn Search>,
}

/// What is known of an export from an earlier survey with the same options.
#[derive(Default)]
pub struct Known {
    files: Vec<(SitePath, Digest)>,
    base_path: String,
    facts: Vec<Facts>,
}

impl Known {
    /// What a survey of these files found.
    #[must_use]
    pub fn new(assets: &[Asset], survey: Survey) -> Self {
        let files = assets.iter().map(|asset| (asset.path.clone(), asset.digest));
        Self {
            files: files.collect(),
            base_path: survey.base_path,
            facts: survey.facts,
        }
    }

    /// What is known of each file that has not changed. Nothing is if there are other files: what is noted of one depends
    /// on which there are, and names them by their places.
    fn of(self, assets: &[Asset], base_path: &str) -> Vec<Option<Facts>> {
        let same_names = self
            .files
            .iter()
            .map(|(path, _)| path)
            .eq(assets.iter().map(|asset| &asset.path));
        if !same_names || self.base_path != base_path {
            return Vec::new();
        }
        let known = self.files.into_iter().zip(self.facts).zip(assets);
        known
            .map(|(((_, digest), facts), asset)| (digest == asset.digest).then_some(facts))
            .collect()
    }
}

/// Surveys an export.
///
/// # Errors
/// [`SourceError`] where a file can't be read, or changed since the scan.
pub fn survey(
    assets: &[Asset],
    source: &dyn Source,
    options: &Options<'_>,
    observer: &dyn Observer,
) -> Result<Survey, SourceError> {
    survey_again(assets, source, options, Known::default(), observer)
}

/// Surveys an export of which something is known, and reads only what changed since.
///
/// # Errors
/// As [`survey`].
pub fn survey_again(
    assets: &[Asset],
    source: &dyn Source,
    options: &Options<'_>,
    known: Known,
    observer: &dyn Observer,
) -> Result<Survey, SourceError> {
    let paths = Paths::new(assets);
    let base_path = match options.base_path {
        Some(base_path) => base_path.to_owned(),
        None => find_client(assets, source)?.base_path,
    };
    let resolver = Resolver::new(options.origin, &base_path);
    let kinds: Vec<Kind> = assets
        .iter()
        .map(|asset| kind_of(asset.path.as_str(), &paths))
        .collect();
    let context = Context {
        paths: &paths,
        resolver: &resolver,
        beside: &Resolver::new(options.origin, ""),
        source,
        search: options.search,
    };
    let twins = twins(assets, &kinds);
    let mut known = known.of(assets, &base_path);
    known.resize_with(assets.len(), || None);
    let mut facts = assets
        .par_iter()
        .zip(&kinds)
        .zip(known)
        .enumerate()
        .map(|(index, ((asset, kind), known))| {
            let facts = match (twins.get(&index), known) {
                (Some(_), _) => Ok(Facts::default()),
                (None, Some(known)) => Ok(known),
                (None, None) => look(asset, *kind, &context),
            };
            observer.notice(Event::Progressed {
                stage: Stage::Check,
                items: 1,
                bytes: asset.size,
            });
            facts
        })
        .collect::<Result<Vec<Facts>, SourceError>>()?;
    for (index, twin) in twins {
        facts[index] = facts[twin].clone();
    }
    Ok(Survey {
        base_path,
        kinds,
        facts,
    })
}

/// Payload files with the bytes of another, by their places, and those of the others. What is noted of a payload does
/// not depend on where it lies, and each page's is there twice.
fn twins(assets: &[Asset], kinds: &[Kind]) -> HashMap<usize, usize> {
    let mut seen: HashMap<Digest, usize> = HashMap::new();
    let mut twins = HashMap::new();
    for (index, asset) in assets.iter().enumerate() {
        if matches!(kinds[index], Kind::Payload(_)) {
            let first = *seen.entry(asset.digest).or_insert(index);
            if first != index {
                twins.insert(index, first);
            }
        }
    }
    twins
}

/// What every file is looked at with.
pub(crate) struct Context<'a> {
    pub paths: &'a Paths<'a>,
    pub resolver: &'a Resolver,
    /// Resolves as if there were no base path: what a URL that lies outside of it may have meant.
    pub beside: &'a Resolver,
    source: &'a dyn Source,
    search: Option<&'a dyn Search>,
}

/// Where the client's files lie, by an export's own pages; at the top, in one that says nothing of it.
///
/// # Errors
/// [`SourceError`] where a page can't be read, or changed since the scan.
pub fn find_client(assets: &[Asset], source: &dyn Source) -> Result<Client, SourceError> {
    let page = |asset: &&Asset| asset.path.as_str().ends_with(".html") && asset.size <= MAX_TEXT;
    let is_first = |asset: &&Asset| matches!(asset.path.as_str(), "index.html" | "404.html");
    let pages = || assets.iter().filter(page);
    // Any page will do, but one that someone put beside those of Next.js says nothing.
    for asset in pages().filter(is_first).chain(pages().take(8)) {
        let bytes = source.read(&asset.path, asset.digest, asset.size)?;
        if let Some(client) = std::str::from_utf8(&bytes).ok().and_then(client::of_page) {
            return Ok(client);
        }
    }
    Ok(Client::default())
}

/// What a file is, by its name and its neighbours.
fn kind_of(path: &str, paths: &Paths<'_>) -> Kind {
    let owner = || next_page::owners(path).iter().find_map(|page| paths.file(page));
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html" | "htm") => Kind::Page,
        Some("css") => Kind::Style,
        Some("svg") => Kind::Drawing,
        Some("txt") => owner().map_or(Kind::Other, Kind::Payload),
        Some("json") => owner().map_or(Kind::Other, Kind::Data),
        _ => Kind::Other,
    }
}

fn look(asset: &Asset, kind: Kind, context: &Context<'_>) -> Result<Facts, SourceError> {
    let path = asset.path.as_str();
    let searched = context
        .search
        .filter(|search| text::is_likely(asset.path.name()) || search.wants(path));
    if asset.size > MAX_TEXT || (kind == Kind::Other && searched.is_none()) {
        return Ok(Facts::default());
    }
    let bytes = context.source.read(&asset.path, asset.digest, asset.size)?;
    let mut facts = match (kind, std::str::from_utf8(&bytes)) {
        (Kind::Other, _) => Facts::default(),
        (_, Err(error)) => Facts {
            not_utf8: Some(line_at(&bytes, error.valid_up_to())),
            ..Facts::default()
        },
        (Kind::Page, Ok(text)) => page::look(path, text, context),
        (Kind::Payload(_), Ok(text)) => page::look_at_ids(text, &mut next_page::rewrite_payload),
        (Kind::Data(_), Ok(text)) => page::look_at_ids(text, &mut data::rewrite_file),
        (Kind::Style, Ok(text)) => css::look(path, text, context),
        (Kind::Drawing, Ok(text)) => css::look_at_drawing(path, text, context),
    };
    if let Some(search) = searched {
        facts.hits = search.hits(path, &bytes);
    }
    Ok(facts)
}

/// The line of a byte, from 1.
#[must_use]
pub fn line_at(bytes: &[u8], at: usize) -> u32 {
    let before = &bytes[..at.min(bytes.len())];
    let lines = before.split(|byte| *byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

impl Survey {
    /// The build ids of the export: those of payloads and pages, and those of folders.
    #[must_use]
    pub fn build_ids(&self, assets: &[Asset]) -> BTreeSet<String> {
        let in_paths = build_id::in_paths(assets.iter().map(|asset| asset.path.as_str()));
        let in_files = self.facts.iter().flat_map(|facts| facts.ids.iter().cloned());
        in_files.chain(in_paths.into_iter().map(str::to_owned)).collect()
    }
}

//! The survey: reads every text file of the export once, and notes what checks and fingerprints need to know of it.
//!
//! Reads the export through a [`Source`] and nothing else. It must not change anything, and must not judge: the checks
//! decide which facts are faults. It keeps little of a page, so that even the largest site fits into memory: of a
//! correct URL it keeps only what the URL is used for. Facts of a file that did not change are recalled from the cache
//! of facts, if the caller provides one.

mod address;
mod cache;
mod code;
mod crawl;
mod css;
mod head;
mod page;
mod paths;
mod picture;
mod policy;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use globset::GlobSet;
use memchr::memmem;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::address::{LeadsTo, Named};
pub use self::cache::{AllLearned, Cache, Rewritten};
use self::cache::{Learned, Recall};
pub use self::crawl::Crawl;
pub use self::head::{Alternate, Head, ShownPicture};
pub use self::paths::Paths;
use self::paths::{AskedPaths, Lookup, MovedAddresses};
pub use self::policy::{PolicyFacts, RestrictedUrl};
use crate::config::compile_globs;
use crate::model::asset::Asset;
use crate::model::digest::{Digest, Hasher};
use crate::model::event::{Observer, Stage};
use crate::model::generator::Generator;
use crate::next::build_id::{self, Mention};
use crate::next::client::{self, Client, Leads};
use crate::next::page::{self as next_page, Router};
use crate::next::policy as next_policy;
use crate::next::url::Resolver;
use crate::next::{Position, Unclear, data};
use crate::rules::Redirects;
use crate::site::source::{Source, SourceError};

/// Largest file that is read as text, in bytes. No page is larger; a larger file is published as it is.
pub const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// So many scripts of other pages are allowed in each page: each takes 54 bytes.
pub const MOST_SHARED: usize = 64;

/// How the survey treats a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A page.
    Page,
    /// A payload of the page with this index among the assets.
    Payload(usize),
    /// A data file of the page with this index among the assets.
    Data(usize),
    /// A style sheet.
    Style,
    /// A drawing, which may refer to other files.
    Drawing,
    /// A script, or data that scripts may read.
    Code,
    /// A picture made of pixels.
    Picture,
    /// `robots.txt`.
    Robots,
    /// An XML file, which may be a sitemap.
    Xml,
    /// Anything else.
    Other,
}

impl FileKind {
    /// Whether browsers read a text of this kind, so that it may have to change with the files that it names.
    #[must_use]
    pub fn is_of_browsers(self) -> bool {
        !matches!(self, Self::Picture | Self::Robots | Self::Xml | Self::Other)
    }
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UrlFault {
    /// The site has nothing at this URL.
    Missing,
    /// The site has it with a different spelling.
    Spelled {
        /// The correct URL.
        right: String,
    },
    /// It lacks the base path, and names a file that the site has. Other URLs outside of the base path belong to
    /// another site.
    OutsideBasePath {
        /// The correct URL.
        right: String,
    },
    /// It leads to the reader's own machine.
    Local {
        /// The host in it.
        host: String,
    },
    /// It is not a valid URL.
    Malformed,
}

/// A URL with a fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultyUrl {
    /// The line that contains it, from 1.
    pub line: u32,
    /// The URL as it is in the file.
    pub url: String,
    /// What it is for.
    pub position: Position,
    /// What is wrong with it.
    pub fault: UrlFault,
}

/// A link to a place in a page of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// The line that contains it, from 1.
    pub line: u32,
    /// The page's index among the assets.
    pub page: usize,
    /// The text after `#`, decoded.
    pub name: String,
}

/// Text that a rule does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// The check that the rule belongs to.
    pub check: Cow<'static, str>,
    /// The line that contains it, from 1. `None` if the hit is the file as a whole.
    pub line: Option<u32>,
    /// The rule's name.
    pub rule: String,
    /// What was found, with all secrets removed.
    pub shown: String,
}

impl Hit {
    /// A hit that is the file as a whole.
    pub(super) fn of_file(check: &'static str, rule: &str) -> Self {
        Self {
            check: check.into(),
            line: None,
            rule: rule.to_owned(),
            shown: String::new(),
        }
    }
}

/// The facts of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The router that made the page. `None` if the file is not a page, or can't be read exactly.
    pub router: Option<Router>,
    /// The line where it stops being UTF-8, from 1.
    pub not_utf8: Option<u32>,
    /// Whether it is UTF-8 text. Only determined for a file whose name does not reveal its type.
    pub is_text: bool,
    /// Why it can't be read exactly. Its URLs then stay as they are.
    pub unclear: Option<Unclear>,
    /// Why parts of it can't be read exactly. The URLs in them then stay as they are.
    pub odd: Vec<Unclear>,
    /// The build IDs that Next.js's client reads in it, sorted, without duplicates.
    pub ids: Vec<String>,
    /// How it mentions the build ID of the export.
    pub mention: Mention,
    /// URLs with faults, in order.
    pub faulty: Vec<FaultyUrl>,
    /// Links into pages.
    pub fragments: Vec<Fragment>,
    /// The places in this page that links can lead to, sorted.
    pub anchors: Vec<String>,
    /// For a page: files whose URLs may get a fingerprint in it, as sorted indices among the assets.
    pub used: Vec<usize>,
    /// Files that it names where a URL gets no fingerprint, and that are fetched from there by their own addresses, as
    /// sorted indices.
    pub kept: Vec<usize>,
    /// How many strings name a file of the site although their use is unknown.
    pub unclassified: u32,
    /// Text that rules do not allow.
    pub hits: Vec<Hit>,
    /// For a page: scripts and style sheets that a browser loads with it, as sorted indices among the assets.
    pub loads: Vec<usize>,
    /// For a page: what it says about itself.
    pub head: Option<Box<Head>>,
    /// For a page: pictures that its markup refers to.
    pub pictures: Vec<ShownPicture>,
    /// For a file that is only for crawlers: what it says.
    pub crawl: Option<Box<Crawl>>,
    /// For a large picture: its width and height.
    pub pixels: Option<(u32, u32)>,
    /// For a page or a style sheet of a site with a content security policy: what a policy may forbid.
    pub policy: Option<Box<PolicyFacts>>,
}

/// The facts of an export.
pub struct Survey {
    /// The generator of the export.
    pub generator: Generator,
    /// What the export reveals about the client.
    pub client: Client,
    /// The base path: empty, or with a leading slash.
    pub base_path: String,
    /// The prefix of `/_next/` if it is not the base path: empty, or with a leading slash.
    pub asset_prefix: String,
    /// The build ID, by the folders of the export. `None` if there is none or several, or if it is too short to be
    /// distinguished from a part of a word.
    pub build_id: Option<String>,
    /// The kind of each asset.
    pub kinds: Vec<FileKind>,
    /// The facts of each asset. Assets with the same facts share them, with one another and with the cache of facts.
    pub facts: Vec<Arc<Facts>>,
    /// What the cache of facts is to keep. `None` if there is no cache.
    pub learned: Option<AllLearned>,
    /// How many files were not surveyed because the cache had their facts.
    pub remembered: u64,
}

/// Finds forbidden text.
pub trait TextSearch: Sync {
    /// Whether a file is searched although its name does not mark it as text.
    fn wants(&self, path: &str, size: u64) -> bool;

    /// Returns everything that is found in a file's bytes.
    fn hits(&self, path: &str, bytes: &[u8]) -> Vec<Hit>;

    /// Returns an identifier of the search: a different search has a different one.
    fn name(&self) -> String;
}

/// Options of a survey.
pub struct Options<'a> {
    /// The address of the site.
    pub origin: Option<&'a str>,
    /// The base path. If `None`, it is read from the export.
    pub base_path: Option<&'a str>,
    /// The search for forbidden text. If `None`, nothing is searched for.
    pub search: Option<&'a dyn TextSearch>,
    /// The facts from earlier surveys. If `None`, every text file is read.
    pub cache: Option<&'a Cache>,
    /// Addresses of the host that something else serves. If `None`, there are none.
    pub elsewhere: Option<&'a Elsewhere>,
    /// The redirects of the site. If `None`, there are none.
    pub redirects: Option<&'a Redirects>,
    /// The generator. If `None`, it is detected.
    pub generator: Option<Generator>,
    /// Whether to note what a content security policy may forbid.
    pub for_policy: bool,
}

/// Addresses of the host that something else serves, so that no file of the site is missing there.
pub struct Elsewhere {
    globs: GlobSet,
    patterns: Vec<String>,
}

/// Every site that is served through Cloudflare has this.
const BUILT_IN: &str = "/cdn-cgi/**";

impl Elsewhere {
    /// Collects the addresses that match the globs, and those that are built in. The globs are matched against the
    /// paths of URLs; `/blog/**` includes `/blog`.
    ///
    /// # Errors
    /// The error of a glob that is not valid.
    pub fn new(globs: &[String]) -> Result<Self, globset::Error> {
        let mut patterns = vec![BUILT_IN.to_owned()];
        patterns.extend_from_slice(globs);
        let folders = patterns.iter().filter_map(|glob| glob.strip_suffix("/**"));
        let folders = folders.filter(|folder| !folder.is_empty()).map(str::to_owned);
        let folders: Vec<String> = folders.collect();
        patterns.extend(folders);
        Ok(Self {
            globs: compile_globs(&patterns)?,
            patterns,
        })
    }

    /// Whether a path, given without its leading slash, is one of these addresses.
    fn is_match(&self, path: &str) -> bool {
        self.globs.is_match(path)
    }
}

/// Surveys an export.
///
/// # Errors
/// [`SourceError`] if a file can't be read, or changed since the scan.
pub fn survey(
    assets: &[Asset],
    source: &dyn Source,
    options: &Options<'_>,
    observer: &dyn Observer,
) -> Result<Survey, SourceError> {
    let client = find_client(assets, source)?;
    let base_path = options.base_path.unwrap_or(&client.base_path).to_owned();
    let moved = options.redirects.map(|redirects| MovedAddresses {
        redirects,
        base_path: &base_path,
    });
    let paths = Paths::new(assets).with_moved(moved);
    let asset_prefix = client.asset_prefix(&base_path).to_owned();
    let resolver = Resolver::new(options.origin, &base_path).with_asset_prefix(&asset_prefix);
    let all = assets.iter().map(|asset| asset.path.as_str());
    let generator = options.generator.unwrap_or_else(|| Generator::of_paths(&all));
    let kinds: Vec<FileKind> = all.map(|path| kind_of(path, &paths, generator)).collect();
    let recall = options
        .cache
        .map(|cache| cache.recall(settings(options, &base_path, &asset_prefix), assets, &paths));
    let build_id = build_id::of_paths(assets.iter().map(|asset| asset.path.as_str()));
    let reading = SurveyContext {
        build_id: build_id.as_deref(),
        paths: &paths,
        resolver: &resolver,
        beside: &Resolver::new(options.origin, ""),
        source,
        options,
        recall: recall.as_ref(),
        nothing: Arc::default(),
    };
    let twins = twins(assets, &kinds);
    let looked = assets
        .par_iter()
        .zip(&kinds)
        .enumerate()
        .map(|(index, (asset, kind))| {
            let kind = *kind;
            let looked = match twins.get(&index) {
                Some(_) => Ok(reading.nothing()),
                None => reading.survey(ExportFile { index, asset, kind }),
            };
            observer.progressed(Stage::Check, 1, asset.size);
            looked
        })
        .collect::<Result<Vec<FileReport>, SourceError>>()?;
    let remembered = looked.iter().map(|looked| u64::from(looked.remembered)).sum();
    let (mut facts, mut learned): (Vec<_>, Vec<_>) =
        looked.into_iter().map(|looked| (looked.facts, looked.learned)).unzip();
    for (index, twin) in twins {
        facts[index] = Arc::clone(&facts[twin]);
        let (asset, kind) = (&assets[index], kinds[index]);
        learned[index] = reading.of_twin(ExportFile { index, asset, kind }, learned[twin].clone());
    }
    let learned = recall.map(|recall| recall.finish(learned, &paths));
    Ok(Survey {
        generator,
        client,
        base_path,
        asset_prefix,
        build_id,
        kinds,
        facts,
        learned,
        remembered,
    })
}

/// Digest of everything that determines the facts, except for the files themselves.
fn settings(options: &Options<'_>, base_path: &str, asset_prefix: &str) -> Digest {
    let mut hasher = Hasher::new();
    let search = options.search.map(TextSearch::name);
    let elsewhere = options.elsewhere.map(|elsewhere| format!("{:?}", elsewhere.patterns));
    let parts = [
        env!("CARGO_PKG_VERSION"),
        &cache::VERSION.to_string(),
        options.origin.unwrap_or_default(),
        base_path,
        asset_prefix,
        search.as_deref().unwrap_or_default(),
        elsewhere.as_deref().unwrap_or_default(),
        if options.for_policy { "policy" } else { "" },
    ];
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

/// Finds payload files with the same bytes as an earlier one. Maps their indices to the index of the first. The facts
/// of a payload do not depend on its path, and the payload of each page is there twice.
fn twins(assets: &[Asset], kinds: &[FileKind]) -> HashMap<usize, usize> {
    let mut seen: HashMap<Digest, usize> = HashMap::new();
    let mut twins = HashMap::new();
    for (index, asset) in assets.iter().enumerate() {
        if matches!(kinds[index], FileKind::Payload(_)) {
            let first = *seen.entry(asset.digest).or_insert(index);
            if first != index {
                twins.insert(index, first);
            }
        }
    }
    twins
}

/// The context in which one file is surveyed.
pub(crate) struct Context<'a> {
    paths: AskedPaths<'a>,
    resolver: &'a Resolver,
    /// Resolves as if there were no base path, to find what a URL outside of it may have meant.
    beside: &'a Resolver,
    elsewhere: Option<&'a Elsewhere>,
    build_id: Option<&'a str>,
}

/// Finds where the client's files are, by the export's own pages. If they do not reveal it, the files are at the top.
///
/// # Errors
/// [`SourceError`] if a page can't be read, or changed since the scan.
pub fn find_client(assets: &[Asset], source: &dyn Source) -> Result<Client, SourceError> {
    let page = |asset: &&Asset| asset.path.as_str().ends_with(".html") && asset.size <= MAX_TEXT;
    let is_first = |asset: &&Asset| matches!(asset.path.as_str(), "index.html" | "404.html");
    let pages = || assets.iter().filter(page);
    let text = |asset: &Asset| {
        source
            .read(&asset.path, asset.digest, asset.size)
            .map(String::from_utf8)
    };
    let some_pages = || {
        let some = pages().filter(is_first).chain(pages().take(8));
        some.filter_map(|asset| text(asset).map(Result::ok).transpose())
    };
    let paths = Paths::new(assets);
    let is_there = |path: &str| matches!(paths.look_up(path), Lookup::File(_));
    let mut found: Option<(Client, bool)> = None;
    // Any page of Next.js will do. A page from another source reveals nothing, so several pages are tried.
    for page in some_pages() {
        let page = page?;
        let Some(client) = client::of_page(&page) else {
            continue;
        };
        let leads = client::beside_prefix(&page, &client.prefix, &is_there);
        if client.prefix.is_empty() || leads == Some(Leads::Below) {
            return Ok(client);
        }
        let (_, is_beside) = found.get_or_insert((client, false));
        *is_beside |= leads == Some(Leads::Beside);
    }
    if let Some((client, is_beside)) = found {
        let base_path = if is_beside { String::new() } else { client.base_path };
        return Ok(Client { base_path, ..client });
    }
    let generator = Generator::of_paths(&assets.iter().map(|asset| asset.path.as_str()));
    let of_other_pages = if generator.may_be_next() {
        client::behind_prefix
    } else {
        client::before_files
    };
    for page in some_pages() {
        if let Some(client) = of_other_pages(&page?, &is_there) {
            return Ok(client);
        }
    }
    Ok(Client::default())
}

/// Classifies a file by its name and by the files next to it.
fn kind_of(path: &str, paths: &Paths<'_>, generator: Generator) -> FileKind {
    let owner = || {
        let owners = generator.may_be_next().then(|| next_page::owners(path));
        owners?.iter().find_map(|page| paths.file(page))
    };
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html" | "htm") => FileKind::Page,
        Some("css") => FileKind::Style,
        Some("svg") => FileKind::Drawing,
        Some("txt") if path == crawl::ROBOTS => FileKind::Robots,
        Some("txt") => owner().map_or(FileKind::Other, FileKind::Payload),
        Some("json") => owner().map_or(FileKind::Code, FileKind::Data),
        Some("js" | "mjs" | "cjs") => FileKind::Code,
        Some("xml") => FileKind::Xml,
        Some(_) if picture::is_picture(path) => FileKind::Picture,
        _ => FileKind::Other,
    }
}

/// One file of the export.
#[derive(Clone, Copy)]
struct ExportFile<'a> {
    /// Its index among the assets.
    index: usize,
    asset: &'a Asset,
    kind: FileKind,
}

/// Result of surveying one file.
struct FileReport {
    facts: Arc<Facts>,
    learned: Option<Learned>,
    remembered: bool,
}

impl FileReport {
    fn new(facts: Arc<Facts>, learned: Option<Learned>) -> Self {
        let remembered = false;
        Self {
            facts,
            learned,
            remembered,
        }
    }

    /// The report of a file whose facts the cache has.
    fn recalled((facts, learned): (Arc<Facts>, Learned)) -> Self {
        Self {
            remembered: true,
            ..Self::new(facts, Some(learned))
        }
    }
}

/// The context in which all files are surveyed.
struct SurveyContext<'a> {
    build_id: Option<&'a str>,
    paths: &'a Paths<'a>,
    resolver: &'a Resolver,
    beside: &'a Resolver,
    source: &'a dyn Source,
    options: &'a Options<'a>,
    recall: Option<&'a Recall<'a>>,
    /// The facts of a file that is not surveyed.
    nothing: Arc<Facts>,
}

impl SurveyContext<'_> {
    fn nothing(&self) -> FileReport {
        FileReport::new(Arc::clone(&self.nothing), None)
    }

    fn survey(&self, file: ExportFile<'_>) -> Result<FileReport, SourceError> {
        let ExportFile { asset, kind, .. } = file;
        let path = asset.path.as_str();
        let searched = self
            .options
            .search
            .filter(|search| text::is_likely(asset.path.name()) || search.wants(path, asset.size));
        let is_named_in = self.build_id.is_some() && !text::is_packed(asset.path.name());
        if kind == FileKind::Picture && searched.is_none() {
            return self.survey_picture(file);
        }
        if asset.size > MAX_TEXT {
            return Ok(if is_named_in {
                self.search_large(asset)?
            } else {
                self.nothing()
            });
        }
        let may_be_text = text::is_unknown(asset.path.name());
        if matches!(kind, FileKind::Other | FileKind::Picture) && searched.is_none() && !is_named_in && !may_be_text {
            return Ok(self.nothing());
        }
        if let Some(known) = self.recall.and_then(|recall| recall.exact(file)) {
            return Ok(FileReport::recalled(known));
        }
        let bytes = self.source.read(&asset.path, asset.digest, asset.size)?;
        let neutral = self.recall.map(|recall| (recall, recall.neutral_digest(&bytes)));
        if let Some(known) = neutral.and_then(|(recall, neutral)| recall.neutral(file, neutral)) {
            return Ok(FileReport::recalled(known));
        }
        let context = Context {
            paths: AskedPaths::new(self.paths, self.recall.is_some()),
            resolver: self.resolver,
            beside: self.beside,
            elsewhere: self.options.elsewhere,
            build_id: self.build_id,
        };
        let mut facts = facts(path, kind, &bytes, &context);
        if self.options.for_policy {
            facts.policy = policy_facts(path, kind, &bytes, &context).map(Box::new);
        }
        if let Some(search) = searched {
            facts.hits = search.hits(path, &bytes);
        }
        if let Some(id) = self.build_id {
            facts.mention = build_id::mention(&bytes, id);
        }
        facts.is_text = may_be_text && !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok();
        let facts = Arc::new(facts);
        let learned = neutral.map(|(recall, neutral)| recall.learn(file, neutral, &facts, context.paths.questions()));
        Ok(FileReport::new(facts, learned))
    }

    /// Reads how many pixels a large picture has. Only its start is read.
    fn survey_picture(&self, file: ExportFile<'_>) -> Result<FileReport, SourceError> {
        let asset = file.asset;
        if asset.size < picture::LARGE {
            return Ok(self.nothing());
        }
        if let Some(known) = self.recall.and_then(|recall| recall.exact(file)) {
            return Ok(FileReport::recalled(known));
        }
        let mut pixels = None;
        let mut take = |start: Vec<u8>| {
            pixels = picture::pixels(&start);
            false
        };
        self.source
            .read_pieces(&asset.path, asset.digest, asset.size, &mut take)?;
        let facts = Arc::new(Facts {
            pixels,
            ..Facts::default()
        });
        let learned = self
            .recall
            .map(|recall| recall.learn(file, asset.digest, &facts, Vec::new()));
        Ok(FileReport::new(facts, learned))
    }

    /// Searches for the build ID in a file that is too large to be read as text. Such a file is not rewritten either,
    /// so it does not matter where the ID is.
    fn search_large(&self, asset: &Asset) -> Result<FileReport, SourceError> {
        let mut looked = self.nothing();
        let Some(id) = self.build_id.map(str::as_bytes) else {
            return Ok(looked);
        };
        let (mut end, mut is_found) = (Vec::new(), false);
        let mut take = |piece: Vec<u8>| {
            // An ID may extend across the end of a piece.
            let mut seam = std::mem::take(&mut end);
            seam.extend(piece);
            is_found = memmem::find(&seam, id).is_some();
            end = seam.split_off(seam.len().saturating_sub(id.len() - 1));
            !is_found
        };
        self.source
            .read_pieces(&asset.path, asset.digest, asset.size, &mut take)?;
        if is_found {
            looked.facts = Arc::new(Facts {
                mention: Mention::Elsewhere,
                ..Facts::default()
            });
        }
        Ok(looked)
    }

    /// Returns what to keep of a file with the same bytes as another. Its rewrite result may be different, because it
    /// may belong to another page.
    fn of_twin(&self, file: ExportFile<'_>, twin: Option<Learned>) -> Option<Learned> {
        let twin = twin?;
        let known = self.recall?.neutral(file, twin.neutral());
        Some(twin.of_other(known.map(|(_, learned)| learned).as_ref()))
    }
}

fn facts(path: &str, kind: FileKind, bytes: &[u8], context: &Context<'_>) -> Facts {
    match (kind, std::str::from_utf8(bytes)) {
        (FileKind::Code, _) => code::survey_code(bytes, context),
        (FileKind::Other | FileKind::Picture, _) | (FileKind::Robots | FileKind::Xml, Err(_)) => Facts::default(),
        (_, Err(error)) => Facts {
            not_utf8: Some(line_at(bytes, error.valid_up_to())),
            ..Facts::default()
        },
        (FileKind::Page, Ok(text)) => page::survey_page(path, text, context),
        (FileKind::Payload(_), Ok(text)) => page::survey_ids(text, &mut next_page::rewrite_payload),
        (FileKind::Data(_), Ok(text)) => page::survey_ids(text, &mut data::rewrite_file),
        (FileKind::Style, Ok(text)) => css::survey_css(path, text, context),
        (FileKind::Robots, Ok(text)) => crawl::survey_robots(text, context),
        (FileKind::Xml, Ok(text)) => crawl::survey_xml(text, context),
        (FileKind::Drawing, Ok(text)) => css::survey_drawing(path, text, context),
    }
}

fn policy_facts(path: &str, kind: FileKind, bytes: &[u8], context: &Context<'_>) -> Option<PolicyFacts> {
    let text = std::str::from_utf8(bytes).ok()?;
    match kind {
        FileKind::Page => Some(policy::survey_page(path, text, context)),
        FileKind::Style => Some(policy::survey_css(path, text, context)),
        _ => None,
    }
}

/// Returns the line of a byte, from 1.
#[must_use]
pub fn line_at(bytes: &[u8], at: usize) -> u32 {
    let before = &bytes[..at.min(bytes.len())];
    let lines = before.split(|byte| *byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

/// Finds the lines of byte offsets. Counting continues from the last offset, so a text with many faults, which come in
/// order, is read only once.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    counted: (usize, u32),
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, counted: (0, 1) }
    }

    /// Returns the line of a byte, from 1.
    pub(crate) fn at(&mut self, at: usize) -> u32 {
        let (from, line) = self.counted;
        let lines = |from: usize, to: usize| {
            let between = self.text.get(from..to).unwrap_or_default();
            line_at(between, between.len()) - 1
        };
        let line = if at < from {
            line.saturating_sub(lines(at, from))
        } else {
            line.saturating_add(lines(from, at))
        };
        self.counted = (at, line);
        line
    }
}

impl Survey {
    /// Returns the URLs of files of the build that pages name but the export lacks. A build writes all of them before
    /// it ends.
    #[must_use]
    pub fn missing_chunks(&self) -> BTreeSet<String> {
        let faulty = self.facts.iter().flat_map(|facts| &facts.faulty);
        let missing =
            faulty.filter(|faulty| faulty.fault == UrlFault::Missing && faulty.url.contains(client::CLIENT_ASSETS));
        missing.map(|faulty| faulty.url.clone()).collect()
    }

    /// Returns the hashes of the scripts that the client makes on any page: a policy is that of the first page that a
    /// tab opened. Texts that may be scripts are among them if they are few. `None` if there are too many scripts to be in
    /// each page. `build_id` is that of the site.
    #[must_use]
    pub fn shared_scripts(&self, build_id: &str) -> Option<Vec<String>> {
        let facts = || self.facts.iter().filter_map(|facts| facts.policy.as_ref());
        let with_id: BTreeSet<&String> = facts().flat_map(|facts| &facts.with_build_id).collect();
        let with_id = with_id.into_iter().map(|text| text.replace(policy::BUILD_ID, build_id));
        let mut shared: BTreeSet<String> = with_id.map(|text| next_policy::hash(&text)).collect();
        shared.extend(facts().flat_map(|facts| facts.scripts.iter().cloned()));
        if shared.len() > MOST_SHARED {
            return None;
        }
        let possible: BTreeSet<&String> = facts().flat_map(|facts| &facts.possible).collect();
        if shared.len() + possible.len() <= MOST_SHARED {
            shared.extend(possible.into_iter().cloned());
        }
        Some(shared.into_iter().collect())
    }

    /// Returns the build IDs of the export: those in payloads and pages, and those of folders.
    #[must_use]
    pub fn build_ids(&self, assets: &[Asset]) -> BTreeSet<String> {
        let in_paths = build_id::in_paths(assets.iter().map(|asset| asset.path.as_str()));
        let in_files = self.facts.iter().flat_map(|facts| facts.ids.iter().cloned());
        in_files.chain(in_paths.into_iter().map(str::to_owned)).collect()
    }
}

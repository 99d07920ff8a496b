//! What the survey notes of a page and of a style sheet for a content security policy. Pure: it must not read files, and
//! must not judge.
//!
//! Only used if the site has a policy, because it reads each page once more.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use url::Url;

use super::page::base_of;
use super::{Context, Lines};
use crate::next::inline_scripts::{self, Unhashable};
use crate::next::url::Target;
use crate::next::{Position, Reference, Tag, TextVisitor, css, html, policy};

/// What a page or a style sheet does that a policy may forbid.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicyFacts {
    /// The hashes of scripts that the client makes when it shows the page, sorted.
    pub scripts: Vec<String>,
    /// The texts of those that contain the build ID, with `\0` in its place, sorted.
    pub with_build_id: Vec<String>,
    /// The hashes of texts that may be such scripts, sorted.
    pub possible: Vec<String>,
    /// Code that no hash allows, with its lines.
    pub unhashable: Vec<(u32, Unhashable)>,
    /// URLs that a policy restricts, each once.
    pub restricted: Vec<RestrictedUrl>,
}

/// Stands for the build ID in a text. No script of a page contains this character.
pub const BUILD_ID: &str = "\0";

/// A URL that a policy restricts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RestrictedUrl {
    /// The directive that restricts it.
    pub directive: Cow<'static, str>,
    /// The URL, absolute and without query and fragment. `None` if it is one of the site.
    pub url: Option<String>,
    /// The first line that contains it, from 1.
    pub line: u32,
}

/// Surveys a page.
pub(super) fn survey_page(path: &str, text: &str, context: &Context<'_>) -> PolicyFacts {
    let mut urls = Urls::new(path, text, context);
    if let Some(base) = base_of(text, &urls.address) {
        urls.address = base;
    }
    let walked = html::walk(text, 0, &mut urls);
    let read = inline_scripts::read(text);
    for (at, directive, url) in &read.restricted {
        urls.note(directive, url, *at);
    }
    let mut lines = Lines::new(text.as_bytes());
    let made = inline_scripts::made_by_client(text, &walked.scripts, &read);
    let has_id = |text: &&String| context.build_id.is_some_and(|id| text.contains(id));
    let hashes = |texts: &[String]| {
        let without = texts.iter().filter(|text| !has_id(text));
        let hashes: BTreeSet<String> = without.map(|text| policy::hash(text)).collect();
        hashes.into_iter().collect()
    };
    let with_id = made.certain.iter().chain(&made.possible).filter(has_id);
    let with_id: BTreeSet<String> = with_id
        .map(|text| text.replace(context.build_id.unwrap_or_default(), BUILD_ID))
        .collect();
    PolicyFacts {
        scripts: hashes(&made.certain),
        with_build_id: with_id.into_iter().collect(),
        possible: hashes(&made.possible),
        unhashable: read
            .unhashable
            .into_iter()
            .map(|(at, what)| (lines.at(at), what))
            .collect(),
        restricted: urls.finish(),
    }
}

/// Surveys a style sheet. The policy of the page decides what it may load.
pub(super) fn survey_css(path: &str, text: &str, context: &Context<'_>) -> PolicyFacts {
    let mut urls = Urls::new(path, text, context);
    // What can't be read is the survey's to report.
    let _ = css::rewrite(text, 0, &mut urls);
    PolicyFacts {
        restricted: urls.finish(),
        ..PolicyFacts::default()
    }
}

struct Urls<'a> {
    address: String,
    context: &'a Context<'a>,
    lines: Lines<'a>,
    /// Whether the URLs of the current tag have directives of their own.
    is_plugin: bool,
    found: BTreeMap<(Cow<'static, str>, Option<String>), u32>,
}

impl<'a> Urls<'a> {
    fn new(path: &str, text: &'a str, context: &'a Context<'a>) -> Self {
        Self {
            address: context.resolver.page_address(path),
            context,
            lines: Lines::new(text.as_bytes()),
            is_plugin: false,
            found: BTreeMap::new(),
        }
    }

    fn note(&mut self, directive: &'static str, url: &str, at: usize) {
        let url = match self.context.resolver.resolve(&self.address, url) {
            Target::Site(_) | Target::Outside => None,
            Target::Malformed => return,
            Target::Host(_) | Target::Nothing => match self.absolute(url) {
                Some(url) if url.has_host() => Some(url[..url::Position::AfterPath].to_owned()),
                // Only the scheme counts.
                Some(url) if matches!(url.scheme(), "data" | "blob") => Some(format!("{}:", url.scheme())),
                _ => return,
            },
        };
        let line = self.lines.at(at);
        self.found.entry((directive.into(), url)).or_insert(line);
    }

    fn absolute(&self, url: &str) -> Option<Url> {
        let page = Url::parse("https://site.invalid/").and_then(|site| site.join(&self.address));
        page.and_then(|page| page.join(url)).ok()
    }

    fn finish(self) -> Vec<RestrictedUrl> {
        let found = self.found.into_iter();
        found
            .map(|((directive, url), line)| RestrictedUrl { directive, url, line })
            .collect()
    }
}

impl TextVisitor for Urls<'_> {
    fn tag(&mut self, tag: &Tag<'_>) {
        self.is_plugin = matches!(tag.name, "object" | "embed");
    }

    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let directive = match reference.position {
            Position::Script => "script-src",
            Position::Style | Position::CssImport => "style-src",
            Position::Media => "media-src",
            Position::Frame if !self.is_plugin => "frame-src",
            Position::WebManifest => "manifest-src",
            // The rule around it is not known.
            Position::CssUrl if is_font(reference.url) => "font-src",
            Position::CssUrl if !is_image(reference.url) => return None,
            Position::Image | Position::Icon | Position::CssUrl => "img-src",
            Position::Frame | Position::Link | Position::Preload | Position::Card | Position::Unknown => return None,
        };
        self.note(directive, reference.url, reference.at);
        None
    }
}

fn is_font(url: &str) -> bool {
    let endings = [".woff2", ".woff", ".ttf", ".otf", ".eot"];
    let types = ["data:font/", "data:application/font", "data:application/x-font"];
    is_of(url, &endings, &types)
}

fn is_image(url: &str) -> bool {
    let endings = [".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".ico"];
    is_of(url, &endings, &["data:image/"])
}

fn is_of(url: &str, endings: &[&str], types: &[&str]) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    endings.iter().any(|end| path.ends_with(end)) || types.iter().any(|start| path.starts_with(start))
}

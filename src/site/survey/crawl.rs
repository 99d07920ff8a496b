//! What the survey notes of the files that are only for crawlers: `robots.txt` and sitemaps. Pure: it must not read
//! files, and must not judge.

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};
use serde::{Deserialize, Serialize};

use super::address::{LeadsTo, Named, lead};
use super::{Context, Facts, Lines};
use crate::next::url::is_relative;

/// The path of the file that crawlers ask for first.
pub(super) const ROBOTS: &str = "robots.txt";

/// What a file for crawlers says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Crawl {
    /// Whether the file is a sitemap, or a list of sitemaps.
    pub is_sitemap: bool,
    /// The line and the reason, if the file is not valid XML. Nothing else is then known.
    pub broken: Option<(u32, String)>,
    /// The line of `robots.txt` that forbids every page to every search engine, from 1.
    pub closed: Option<u32>,
    /// How many addresses a sitemap has.
    pub entries: u64,
    /// Whether a sitemap names pages in other languages.
    pub has_alternates: bool,
    /// The files that it names, as sorted indices among the assets.
    pub files: Vec<usize>,
    /// The addresses that lead to no file of the site.
    pub others: Vec<Named>,
}

impl Crawl {
    fn add(&mut self, url: &str, line: u32, context: &Context<'_>) {
        let leads = if is_relative(url) || url.starts_with('/') {
            LeadsTo::Incomplete
        } else {
            lead("/", url, context)
        };
        match leads {
            LeadsTo::File(file) => self.files.push(file),
            LeadsTo::Elsewhere => {}
            leads => self.others.push(Named::new(url, line, leads)),
        }
    }

    fn into_facts(mut self) -> Facts {
        self.files.sort_unstable();
        self.files.dedup();
        Facts {
            crawl: Some(Box::new(self)),
            ..Facts::default()
        }
    }
}

/// Surveys an XML file. It may be a sitemap; nothing is noted of any other.
pub(super) fn survey_xml(text: &str, context: &Context<'_>) -> Facts {
    let mut crawl = Crawl {
        is_sitemap: true,
        ..Crawl::default()
    };
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    match Document::parse_with_options(text, options) {
        Ok(document) => {
            let mut lines = Lines::new(text.as_bytes());
            let root = document.root_element();
            if !matches!(root.tag_name().name(), "urlset" | "sitemapindex") {
                return Facts::default();
            }
            for entry in root
                .children()
                .filter(|node| matches!(node.tag_name().name(), "url" | "sitemap"))
            {
                crawl.entries += 1;
                let child = |name: &str| entry.children().find(|node| node.tag_name().name() == name);
                if let Some(place) = child("loc") {
                    let url = all_text(place);
                    crawl.add(url.trim(), lines.at(place.range().start), context);
                }
                crawl.has_alternates |= child("link").is_some();
            }
        }
        Err(_) if !["<urlset", "<sitemapindex"].iter().any(|root| text.contains(root)) => return Facts::default(),
        Err(error) => crawl.broken = Some((error.pos().row, error.to_string())),
    }
    crawl.into_facts()
}

/// Returns the text in an element, which comments may split.
fn all_text<'a>(element: Node<'a, '_>) -> Cow<'a, str> {
    let mut texts = element
        .children()
        .filter_map(|child| child.text().filter(|_| child.is_text()));
    let first = texts.next().unwrap_or_default();
    texts.fold(first.into(), |all, more| all + more)
}

/// Surveys `robots.txt`, as RFC 9309 says.
pub(super) fn survey_robots(text: &str, context: &Context<'_>) -> Facts {
    let mut crawl = Crawl::default();
    // Whether the rules that follow are for every crawler; several names in a row begin one group.
    let (mut is_for_all, mut in_names) = (false, false);
    let mut closed = None;
    let mut has_exception = false;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
            continue;
        };
        match key.to_ascii_lowercase().as_str() {
            "user-agent" => {
                is_for_all = value == "*" || in_names && is_for_all;
                in_names = true;
                continue;
            }
            "sitemap" if !value.is_empty() => {
                crawl.add(value, number, context);
                // It belongs to no group, and ends none.
                continue;
            }
            "disallow" if is_for_all && matches!(value, "/" | "/*") => closed = closed.or(Some(number)),
            "allow" => has_exception |= is_for_all && !value.is_empty(),
            _ => {}
        }
        in_names = false;
    }
    crawl.closed = closed.filter(|_| !has_exception);
    crawl.into_facts()
}

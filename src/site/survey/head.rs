//! What the survey notes of what a page says about itself: to search engines, and about the pictures that it shows.
//! Pure: it must not read files, and must not judge.

use serde::{Deserialize, Serialize};

use super::address::{LeadsTo, Named, lead};
use super::{Context, Lines};
use crate::next::Tag;

/// A page in another language: `<link rel="alternate" hreflang>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternate {
    /// The line that contains it, from 1.
    pub line: u32,
    /// The language, as it is in the file.
    pub language: String,
    /// The page's index among the assets. `None` if it is not a page of the site.
    pub page: Option<usize>,
}

/// What a page says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// The language of the page, as its `<html>` states it.
    pub language: String,
    /// The title; empty if there is none.
    pub title: String,
    /// The description; empty if there is none.
    pub description: String,
    /// The line that asks search engines to leave the page out, from 1.
    pub noindex: Option<u32>,
    /// Whether the page only leads to another one.
    pub is_redirect: bool,
    /// The canonical link.
    pub canonical: Option<Named>,
    /// `og:url`.
    pub shared_as: Option<Named>,
    /// The same page in other languages.
    pub alternates: Vec<Alternate>,
}

/// A picture that a page refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPicture {
    /// Its index among the assets.
    pub file: usize,
    /// The width and height of the `<img>`, in CSS pixels. `None` if the page does not tell how large it is shown.
    pub size: Option<(u32, u32)>,
}

impl Head {
    /// Notes what a tag says.
    pub(super) fn note(&mut self, tag: &Tag<'_>, address: &str, lines: &mut Lines<'_>, context: &Context<'_>) {
        match tag.name {
            "html" if self.language.is_empty() => {
                (tag.get)("lang").unwrap_or_default().clone_into(&mut self.language);
            }
            "meta" => self.note_meta(tag, address, lines, context),
            "link" => self.note_link(tag, address, lines, context),
            _ => {}
        }
    }

    fn note_meta(&mut self, tag: &Tag<'_>, address: &str, lines: &mut Lines<'_>, context: &Context<'_>) {
        let content = (tag.get)("content").unwrap_or_default().trim();
        if (tag.get)("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh")) {
            self.is_redirect |= content.to_ascii_lowercase().contains("url=");
        }
        let Some(name) = (tag.get)("name").or_else(|| (tag.get)("property")) else {
            return;
        };
        match name.to_ascii_lowercase().as_str() {
            "description" if self.description.is_empty() => content.clone_into(&mut self.description),
            "robots" | "googlebot" => {
                let mut words = content.split(',').map(str::trim);
                if words.any(|word| ["noindex", "none"].iter().any(|no| word.eq_ignore_ascii_case(no))) {
                    self.noindex.get_or_insert_with(|| lines.at(tag.at));
                }
            }
            "og:url" if self.shared_as.is_none() && !content.is_empty() => {
                self.shared_as = Some(Named::new(content, lines.at(tag.at), lead(address, content, context)));
            }
            _ => {}
        }
    }

    fn note_link(&mut self, tag: &Tag<'_>, address: &str, lines: &mut Lines<'_>, context: &Context<'_>) {
        let (Some(rel), Some(url)) = ((tag.get)("rel"), (tag.get)("href").map(str::trim)) else {
            return;
        };
        let is = |wanted: &str| {
            let mut words = rel.split_ascii_whitespace();
            words.any(|word| word.eq_ignore_ascii_case(wanted))
        };
        if is("canonical") && self.canonical.is_none() && !url.is_empty() {
            self.canonical = Some(Named::new(url, lines.at(tag.at), lead(address, url, context)));
        } else if is("alternate")
            && let Some(language) = (tag.get)("hreflang")
        {
            self.alternates.push(Alternate {
                line: lines.at(tag.at),
                language: language.to_owned(),
                page: match lead(address, url, context) {
                    LeadsTo::File(page) => Some(page),
                    _ => None,
                },
            });
        }
    }

    /// Returns every index of a file that this refers to.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        let named = self.canonical.iter().chain(&self.shared_as);
        let named = named.filter_map(Named::place);
        named.chain(self.alternates.iter().filter_map(|alternate| alternate.page))
    }

    /// Replaces every index of a file. `None` if a file has no new index.
    pub(super) fn put_places(&mut self, place: &mut dyn FnMut(usize) -> Option<usize>) -> Option<()> {
        for named in self.canonical.iter_mut().chain(&mut self.shared_as) {
            named.put(place)?;
        }
        for page in self
            .alternates
            .iter_mut()
            .filter_map(|alternate| alternate.page.as_mut())
        {
            *page = place(*page)?;
        }
        Some(())
    }

    /// Returns every text that is as the page has it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let named = self.canonical.iter().chain(&self.shared_as);
        let texts = [&self.language, &self.title, &self.description].into_iter();
        let languages = self.alternates.iter().map(|alternate| &alternate.language);
        texts
            .chain(languages)
            .map(String::as_str)
            .chain(named.map(|named| named.url.as_str()))
    }
}

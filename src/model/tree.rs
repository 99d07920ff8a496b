//! Trees: one folder level of a release, in the canonical form whose digest is its name.
//!
//! Pure. The text follows the format in `docs/store-format.md`. The same folder gives the same bytes on any machine,
//! and [`Tree::parse`] rejects anything that [`Tree::render`] would not write. A tree contains nothing about an
//! encoding but its recipe, so the contents of the host can be compared before anything is compressed.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::cache::CacheClass;
use super::digest::Digest;
use super::encoding::{Encodings, Recipe};
use super::entries::Entries;
pub use super::entries::{Entry, File};
use super::media;
use super::path::check_name;
use super::redirect::{Redirect, Status};

/// The first line of every manifest of a tree.
pub const HEADER: &str = "syntax-publish tree 1";

/// The first line if the folder contains redirects, which earlier versions of this tool can't read.
pub const HEADER_WITH_REDIRECTS: &str = "syntax-publish tree 2";

/// One folder level: names in byte order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// The entries of the folder.
    pub entries: Entries,
}

/// A manifest that is not in canonical form: this tool did not write it, or it was damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTree {
    /// A format version that this tool doesn't support.
    #[error("the manifest is of another format ({0:?}); this tool reads {HEADER:?}")]
    Version(String),
    /// The line with this number, from 1, does not parse.
    #[error("line {0} of the manifest is damaged")]
    Line(usize),
    /// All lines parse, but the text as a whole is not canonical (order, repeated names).
    #[error("the manifest is not in canonical form")]
    NotCanonical,
}

impl Tree {
    fn header(&self) -> &'static str {
        let has_redirects = self.redirects().next().is_some();
        if has_redirects { HEADER_WITH_REDIRECTS } else { HEADER }
    }

    /// The canonical text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(32 + self.entries.len() * 140);
        text.push_str(self.header());
        text.push('\n');
        let spell = |recipe: Option<Recipe>| recipe.map_or_else(|| "-".to_owned(), |r| r.to_string());
        for (name, entry) in &self.entries {
            let written = match entry {
                Entry::Folder(digest) => writeln!(text, "folder {digest} {name}"),
                Entry::Redirect(to) => writeln!(text, "moved {} {} {name}", to.status(), to.location()),
                Entry::File(file) => writeln!(
                    text,
                    "file {} {} {} {} {} {} {name}",
                    file.digest,
                    file.size,
                    file.cache,
                    spell(file.encodings.br),
                    spell(file.encodings.gz),
                    file.media_type,
                ),
            };
            debug_assert!(written.is_ok(), "writing to a String can't fail");
        }
        text
    }

    /// The digest of the canonical text: the tree's name in the store.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.render().as_bytes())
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`BadTree`] if the text is not the canonical form of a tree.
    pub fn parse(text: &str) -> Result<Self, BadTree> {
        let mut lines = text.split('\n');
        let header = lines.next().unwrap_or_default();
        if header != HEADER && header != HEADER_WITH_REDIRECTS {
            return Err(BadTree::Version(header.chars().take(60).collect()));
        }
        let mut entries = Vec::new();
        for (number, line) in lines.enumerate() {
            if line.is_empty() {
                continue; // only the last line may be empty; the comparison below checks that
            }
            let (name, entry) = parse_line(line).ok_or(BadTree::Line(number + 2))?;
            entries.push((name.into(), entry));
        }
        let entries = entries.into_iter().collect();
        let tree = Self { entries };
        if tree.render() == text {
            Ok(tree)
        } else {
            Err(BadTree::NotCanonical)
        }
    }

    /// The files, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((&**name, entry.file()?)))
    }

    /// The redirects, by name.
    pub fn redirects(&self) -> impl Iterator<Item = (&str, &Redirect)> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((&**name, entry.redirect()?)))
    }

    /// The folders, by name, with the digests of their trees.
    pub fn folders(&self) -> impl Iterator<Item = (&str, Digest)> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((&**name, entry.folder()?)))
    }
}

fn parse_line(line: &str) -> Option<(&str, Entry)> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "folder" => {
            let (digest, name) = rest.split_once(' ')?;
            check_name(name).ok()?;
            Some((name, Entry::Folder(digest.parse().ok()?)))
        }
        "moved" => {
            let (status, rest) = rest.split_once(' ')?;
            let (location, name) = rest.split_once(' ')?;
            check_name(name).ok()?;
            let redirect = Redirect::new(Status::from_code(status)?, location).ok()?;
            Some((name, Entry::Redirect(redirect)))
        }
        "file" => {
            let mut fields = rest.splitn(7, ' ');
            let mut next = || fields.next();
            let digest = next()?.parse().ok()?;
            let size = next()?.parse().ok()?;
            let cache = parse_cache(next()?)?;
            let encodings = Encodings {
                br: parse_recipe(next()?)?,
                gz: parse_recipe(next()?)?,
            };
            let media_type = next()?;
            let name = next()?;
            check_name(name).ok()?;
            let file = File {
                digest,
                size,
                cache,
                encodings,
                media_type: media::known(media_type).map_or_else(|| Cow::Owned(media_type.to_owned()), Cow::Borrowed),
            };
            Some((name, Entry::File(file)))
        }
        _ => None,
    }
}

fn parse_cache(text: &str) -> Option<CacheClass> {
    [CacheClass::Immutable, CacheClass::Revalidate]
        .into_iter()
        .find(|class| class.to_string() == text)
}

fn parse_recipe(text: &str) -> Option<Option<Recipe>> {
    if text == "-" {
        Some(None)
    } else {
        text.parse().ok().map(Some)
    }
}

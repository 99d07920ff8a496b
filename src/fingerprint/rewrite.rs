//! The visitor that changes: what stands in a file of the site, where the export has something else. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::next::url::{Resolver, SiteUrl, Target, encoded, is_relative};
use crate::next::{Reference, Visit, build_id, css, data, page};

/// In which language a file is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// HTML.
    Page,
    /// The payload.
    Payload,
    /// The data of the Pages Router.
    Data,
    /// A style sheet that gets another folder.
    Style,
}

/// How a file is rewritten: all that is needed to do it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its language.
    pub language: Language,
    /// The address that its relative URLs start from.
    pub address: String,
    /// The files whose copies it may name, by their places among the assets, sorted.
    pub allowed: Arc<[usize]>,
}

/// The old build id and the new one, and the copies: path, place among the assets, URL of the copy.
pub type Tables = (Option<(String, String)>, HashMap<String, (usize, String)>);

/// What all files are rewritten with.
pub struct Rewriter {
    resolver: Resolver,
    rename: Option<(String, String)>,
    /// The files that have a copy: path, place among the assets, URL of the copy.
    copies: HashMap<String, (usize, String)>,
    /// Those files, by their places.
    copied: HashSet<usize>,
}

impl Rewriter {
    /// Without any copies yet; `rename` is the old build id and the new one.
    pub fn new(resolver: Resolver, rename: Option<(String, String)>) -> Self {
        Self {
            resolver,
            rename,
            copies: HashMap::new(),
            copied: HashSet::new(),
        }
    }

    /// The old build id and the new one.
    pub fn rename(&self) -> Option<&(String, String)> {
        self.rename.as_ref()
    }

    /// What a rewriting depends on beside its file.
    pub fn tables(&self) -> Tables {
        (self.rename.clone(), self.copies.clone())
    }

    /// The address of a file of the export, for its relative URLs.
    pub fn address(&self, path: &str) -> String {
        self.resolver.page_address(path)
    }

    /// Notes the copy of a file.
    pub fn add_copy(&mut self, index: usize, path: &str, copy: &str) {
        self.copied.insert(index);
        self.copies.insert(path.to_owned(), (index, self.resolver.url_of(copy)));
    }

    /// Those of some files that have a copy. Sorted, if the files are.
    pub fn allowed(&self, used: &[usize]) -> Arc<[usize]> {
        used.iter()
            .copied()
            .filter(|index| self.copied.contains(index))
            .collect()
    }

    /// The path of a file with the new build id; `None` where it has none.
    pub fn renamed(&self, path: &str) -> Option<String> {
        let (old, new) = self.rename.as_ref()?;
        build_id::renamed(path, old, new)
    }

    /// The new text of a file; `None` where nothing in it changes, or where it can't be read exactly.
    pub fn rewrite(&self, text: &str, change: &Change) -> Option<String> {
        let visit = || Replace { rewriter: self, change };
        let edits = match change.language {
            Language::Page => page::rewrite(text, &mut visit(), &mut visit()).ok()?.edits,
            Language::Payload => page::rewrite_payload(text, &mut visit()).ok()?,
            Language::Data => data::rewrite_file(text, &mut visit()).ok()?,
            Language::Style => css::rewrite(text, 0, &mut visit()).ok()?,
        };
        (!edits.is_empty()).then(|| edits.apply(text))
    }
}

struct Replace<'a> {
    rewriter: &'a Rewriter,
    change: &'a Change,
}

impl Visit for Replace<'_> {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let Target::Site(url) = self.rewriter.resolver.resolve(&self.change.address, reference.url) else {
            return None;
        };
        if let Some(path) = self.rewriter.renamed(&url.path) {
            return Some(format!("{}{}", self.rewriter.resolver.url_of(&path), tail(&url)));
        }
        if reference.position.is_fetched()
            && url.query.is_none()
            && let Some((index, copy)) = self.rewriter.copies.get(&url.path)
            && self.change.allowed.binary_search(index).is_ok()
        {
            return Some(format!("{copy}{}", tail(&url)));
        }
        // A style sheet stands in another folder now.
        let moves = self.change.language == Language::Style && is_relative(reference.url);
        moves.then(|| format!("{}{}", self.rewriter.resolver.url_of(&url.path), tail(&url)))
    }

    fn build_id(&mut self, id: &str) -> Option<String> {
        let (old, new) = self.rewriter.rename.as_ref()?;
        (id == old).then(|| new.clone())
    }

    fn build_comment(&mut self, text: &str) -> Option<String> {
        let (old, new) = self.rewriter.rename.as_ref()?;
        (text == build_id::in_comment(old)).then(|| build_id::in_comment(new))
    }
}

/// What stands behind the path of a URL.
fn tail(url: &SiteUrl) -> String {
    let mut tail = String::new();
    if let Some(query) = &url.query {
        tail.push('?');
        tail.push_str(query);
    }
    if let Some(fragment) = &url.fragment {
        tail.push('#');
        tail.push_str(&encoded(fragment));
    }
    tail
}

//! The visitor that changes: what stands in a file of the site, where the export has something else. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::digest::{Digest, Hasher};
use crate::model::path::SitePath;
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
    /// The file of the export from whose address its relative URLs start.
    pub base: SitePath,
    /// The files whose copies it may name, by their places among the assets, sorted.
    pub allowed: Arc<[usize]>,
}

/// What all files are rewritten with.
pub struct Rewriter {
    resolver: Resolver,
    rename: Option<(String, String)>,
    /// The files that have a copy: path, place among the assets, URL of the copy.
    copies: HashMap<String, (usize, String)>,
    /// The paths of those files, by their places.
    copied: HashMap<usize, String>,
}

impl Rewriter {
    /// Without any copies yet; `rename` is the old build id and the new one.
    pub fn new(resolver: Resolver, rename: Option<(String, String)>) -> Self {
        Self {
            resolver,
            rename,
            copies: HashMap::new(),
            copied: HashMap::new(),
        }
    }

    /// The old build id and the new one.
    pub fn rename(&self) -> Option<&(String, String)> {
        self.rename.as_ref()
    }

    /// Notes the copy of a file.
    pub fn add_copy(&mut self, index: usize, path: &str, copy: &str) {
        self.copied.insert(index, path.to_owned());
        self.copies.insert(path.to_owned(), (index, self.resolver.url_of(copy)));
    }

    /// Those of some files that have a copy. Sorted, if the files are.
    pub fn allowed(&self, used: &[usize]) -> Arc<[usize]> {
        used.iter()
            .copied()
            .filter(|index| self.copied.contains_key(index))
            .collect()
    }

    /// Digest of all that decides how a file is rewritten, besides its bytes, the site's address and its base path. The
    /// old build id is left out: what is made of a file from which it is gone does not depend on it.
    pub fn key(&self, change: &Change) -> Digest {
        let new_id = self.rename.as_ref().map(|(_, new)| new.as_str());
        let mut hasher = Hasher::new();
        let mut add = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        };
        add(match change.language {
            Language::Page => "page",
            Language::Payload => "payload",
            Language::Data => "data",
            Language::Style => "style",
        });
        add(&self.resolver.page_address(change.base.as_str()));
        add(new_id.unwrap_or_default());
        for path in change.allowed.iter().filter_map(|index| self.copied.get(index)) {
            add(path);
            add(self.copies.get(path).map_or("", |(_, copy)| copy));
        }
        hasher.finish()
    }

    /// The path of a file with the new build id; `None` where it has none.
    pub fn renamed(&self, path: &str) -> Option<String> {
        let (old, new) = self.rename.as_ref()?;
        build_id::renamed(path, old, new)
    }

    /// The new text of a file; `None` where nothing in it changes, or where it can't be read exactly.
    pub fn rewrite(&self, text: &str, change: &Change) -> Option<String> {
        let address = self.resolver.page_address(change.base.as_str());
        let visit = || Replace {
            rewriter: self,
            change,
            address: &address,
        };
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
    address: &'a str,
}

impl Visit for Replace<'_> {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let Target::Site(url) = self.rewriter.resolver.resolve(self.address, reference.url) else {
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

//! Rewrites of the export's files for the site. Pure.
//!
//! A rewrite makes four changes, in this order: the new build ID, the random keys that Next.js 15.0 to 15.3 writes in
//! each page, the hashes of scripts that changed with the ID, and the fingerprints of pictures and similar files. The
//! first three replace bytes with the same number of bytes, whatever the format; only the last parses the file. After
//! these changes, a page's own content security policy is updated to allow the changed scripts. Last, a page gets the
//! policy of the site, if it has one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::digest::{Digest, Hasher};
use crate::model::path::SitePath;
use crate::next::build_id::{Renaming, overwrite};
use crate::next::url::{Resolver, Target};
use crate::next::{Reference, inline_scripts, page, policy, render_key};
use crate::rules::csp::Policy;
use crate::rules::fingerprint;

/// How a file is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// HTML.
    Page,
    /// A payload of the App Router.
    Payload,
    /// The file is not parsed.
    Unread,
}

/// How a file is rewritten: all that is needed to repeat the rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewritePlan {
    /// How the file is parsed.
    pub language: Language,
    /// The page that relative URLs in the file are relative to.
    pub base: SitePath,
    /// The files whose fingerprints the file may contain, as indices among the assets, sorted.
    pub allowed: Arc<[usize]>,
    /// Whether the file gets the policy of the site.
    pub has_policy: bool,
}

/// The content security policy that pages state.
pub struct PagePolicy {
    /// The policy.
    pub policy: Policy,
    /// The hashes of scripts that the client makes on any page.
    pub shared: Vec<String>,
}

impl PagePolicy {
    /// Puts the policy of a page into its head, before anything that it decides about. `None` if the text is only a
    /// part of a page.
    ///
    /// Browsers look for the encoding of a page in its first 1,024 bytes. If it is there, it is stated once more before
    /// the policy, which may be longer.
    fn stated(&self, page: &str) -> Option<String> {
        let read = inline_scripts::read(page);
        let (before, after) = page.split_at_checked(read.head?)?;
        let made = inline_scripts::made_by_client(page, &policy::scripts(page), &read);
        let own = read.texts.iter().chain(&made.certain).chain(&made.possible);
        let own: Vec<String> = own.map(|text| policy::hash(text)).collect();
        let all: BTreeSet<&str> = own.iter().chain(&self.shared).map(String::as_str).collect();
        let policy = self.policy.of_page(all.into_iter());
        let start = page
            .get(..page.floor_char_boundary(1024))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let says_utf8 = ["charset=\"utf-8\"", "charset=utf-8", "charset='utf-8'"]
            .iter()
            .any(|said| start.contains(said));
        let charset = if says_utf8 { "<meta charset=\"utf-8\">" } else { "" };
        Some(format!(
            "{before}{charset}<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">{after}"
        ))
    }
}

/// The data that all rewrites share.
pub struct Rewriter {
    resolver: Resolver,
    /// The change of the build ID.
    pub renaming: Option<Renaming>,
    /// The hashes of changed files as `integrity` contains them: before and after the change. Any text may contain one.
    pub proofs: Vec<(String, String)>,
    /// The files that have a fingerprint: path, index among the assets, fingerprint.
    copies: HashMap<String, (usize, String)>,
    /// The paths of those files, by index.
    copied: HashMap<usize, String>,
    /// The policy that pages state.
    policy: Option<PagePolicy>,
}

impl Rewriter {
    /// Creates a rewriter without fingerprints.
    pub fn new(resolver: Resolver, renaming: Option<Renaming>, policy: Option<PagePolicy>) -> Self {
        Self {
            resolver,
            renaming,
            policy,
            proofs: Vec::new(),
            copies: HashMap::new(),
            copied: HashMap::new(),
        }
    }

    /// Adds the fingerprint of a file.
    pub fn add_copy(&mut self, index: usize, path: &str, fingerprint: &str) {
        self.copied.insert(index, path.to_owned());
        self.copies.insert(path.to_owned(), (index, fingerprint.to_owned()));
    }

    /// Returns those of the `used` files that have a fingerprint. Sorted if `used` is.
    pub fn allowed(&self, used: &[usize]) -> Arc<[usize]> {
        used.iter()
            .copied()
            .filter(|index| self.copied.contains_key(index))
            .collect()
    }

    /// Returns the digest of all inputs of a rewrite except the file's bytes, the site's address and its base path. The
    /// old build ID is left out, because the result does not depend on an ID that is no longer in it.
    pub fn key(&self, change: &RewritePlan) -> Digest {
        let mut hasher = Hasher::new();
        let mut add = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        };
        add(match change.language {
            Language::Page => "page",
            Language::Payload => "payload",
            Language::Unread => "unread",
        });
        add(&self.resolver.page_address(change.base.as_str()));
        add(self.renaming.as_ref().map_or("", Renaming::to));
        for (from, to) in &self.proofs {
            add(from);
            add(to);
        }
        add("");
        for path in change.allowed.iter().filter_map(|index| self.copied.get(index)) {
            add(path);
            add(self.copies.get(path).map_or("", |(_, fingerprint)| fingerprint));
        }
        if let Some(policy) = self.policy.as_ref().filter(|_| change.has_policy) {
            add(&policy.policy.of_page(policy.shared.iter().map(String::as_str)));
        }
        hasher.finish()
    }

    /// Returns the path of a file with the new build ID; `None` if it does not contain the old one.
    pub fn renamed(&self, path: &str) -> Option<String> {
        self.renaming.as_ref()?.path(path)
    }

    /// Returns the new bytes of a file; `None` if nothing in it changes.
    pub fn rewrite(&self, bytes: &[u8], change: &RewritePlan) -> Option<Vec<u8>> {
        let mut new = self.renaming.as_ref().and_then(|renaming| renaming.apply(bytes));
        if self.renaming.is_some()
            && let Some(settled) = render_key::settled(change.base.as_str(), new.as_deref().unwrap_or(bytes))
        {
            new = Some(settled);
        }
        for (from, to) in &self.proofs {
            overwrite(bytes, &mut new, from.as_bytes(), to.as_bytes());
        }
        let mut step = |change: &dyn Fn(&str) -> Option<String>| {
            let text = std::str::from_utf8(new.as_deref().unwrap_or(bytes)).ok();
            if let Some(changed) = text.and_then(change) {
                new = Some(changed.into_bytes());
            }
        };
        step(&|text| self.fingerprinted(text, change));
        if change.language == Language::Page {
            step(&|page| policy::unescaped(page, &self.proofs));
            step(&|page| policy::renewed(std::str::from_utf8(bytes).ok()?, page));
        }
        if let Some(policy) = self.policy.as_ref().filter(|_| change.has_policy) {
            step(&|page| policy.stated(page));
        }
        new
    }

    /// Returns the text with fingerprints; `None` if none are added, or if it can't be parsed exactly.
    fn fingerprinted(&self, text: &str, change: &RewritePlan) -> Option<String> {
        if change.allowed.is_empty() {
            return None;
        }
        let address = self.resolver.page_address(change.base.as_str());
        let visit = |reference: Reference<'_>| {
            if !reference.position.takes_fingerprint() || reference.url.contains('?') {
                return None;
            }
            let Target::Site(url) = self.resolver.resolve(&address, reference.url) else {
                return None;
            };
            let (index, hash) = self.copies.get(&url.path)?;
            change.allowed.binary_search(index).ok()?;
            Some(fingerprint::added(reference.url, hash))
        };
        let edits = match change.language {
            Language::Page => page::rewrite(text, &mut &visit, &mut &visit).ok()?.edits,
            Language::Payload => page::rewrite_payload(text, &mut &visit).ok()?,
            Language::Unread => return None,
        };
        (!edits.is_empty()).then(|| edits.apply(text))
    }
}

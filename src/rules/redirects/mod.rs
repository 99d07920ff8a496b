//! Redirects of moved pages, in the syntax that Netlify and Cloudflare Pages share. Pure.
//!
//! A rule is an address, where it leads, and a status. A rule for one address becomes an entry of the release; so does
//! a rule with a splat or placeholders, for each address whose target the site has ([`Redirects::table`]). What can't be
//! known in advance is answered by a pattern, which the vhost contains and the preview follows
//! ([`Redirects::patterns`]).
//!
//! The first rule that matches an address decides, and a file always comes before a redirect. This module must never
//! accept a line that would do something else here than where it was written for: what is not supported is a
//! [`BadLine`](super::lines::BadLine) with a reason.

mod parse;
mod pattern;
mod print;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub use self::parse::{DEFAULT_STATUS, parse};
use self::pattern::{Pattern, Target};
pub use self::print::{as_file, as_map};
use super::lines::Place;
use crate::model::redirect::{self, BadLocation, Redirect, Status};
use crate::next::url;

/// The query parameter that Next.js's client adds where it asks for the payload of a page.
pub const OF_PAYLOADS: &str = "_rsc";

/// The file with redirects, in the export or next to the site manifest.
pub const FILE: &str = "_redirects";

/// The most addresses that all rules together may have in a release.
pub const MOST: usize = 100_000;

/// Longer chains of redirects count as loops.
pub const LONGEST_CHAIN: usize = 20;

/// One redirect rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRule {
    /// Where it is written.
    pub place: Place,
    /// The address as it is written.
    pub written: String,
    /// Whether its line says which status it has.
    pub has_status: bool,
    from: Pattern,
    to: Target,
    status: Status,
}

impl RedirectRule {
    /// Reads a rule. One without a status has [`DEFAULT_STATUS`].
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without a subject.
    pub fn new(place: Place, from: &str, to: &str, status: Option<Status>) -> Result<Self, String> {
        let pattern = Pattern::parse(from)?;
        let rule = Self {
            place,
            written: from.to_owned(),
            to: Target::parse(to, &pattern.names())?,
            from: pattern,
            has_status: status.is_some(),
            status: status.unwrap_or(DEFAULT_STATUS),
        };
        // Whatever a visitor can send is as harmless as this text.
        rule.redirect(&|_| "x")
            .map_err(|error| format!("leads to an address that {error}"))?;
        Ok(rule)
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The address, if the rule is for one alone.
    #[must_use]
    pub fn fixed(&self) -> Option<String> {
        self.from.fixed()
    }

    /// Whether the rule is for more than one address.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        !self.from.names().is_empty()
    }

    /// Whether [`Redirects::table`] has every address of this rule that leads to a file of the site.
    #[must_use]
    pub fn is_known_in_advance(&self) -> bool {
        !self.is_pattern() || self.to.is_reversible(&self.from.names())
    }

    /// The addresses that the rule matches, as a regular expression over an address as the visitor spelled it, without
    /// the slash at its end. Its groups are the names of the rule in their order.
    #[must_use]
    pub fn regex(&self) -> String {
        self.from.regex()
    }

    /// The target in three parts: up to the query, the query with its `?`, the fragment with its `#`. A name is `$1` and
    /// so on, as the groups of [`Self::regex`] are numbered.
    #[must_use]
    pub fn target_of_groups(&self) -> (String, String, String) {
        self.to.of_groups(&self.from.names())
    }

    /// The redirect of an address, as the visitor spelled it.
    #[must_use]
    pub fn answer(&self, spelled: &str) -> Option<Redirect> {
        let named = self.from.matched(spelled)?;
        self.redirect(&|name| named.get(name).copied().unwrap_or_default()).ok()
    }

    fn redirect<'t>(&self, named: &dyn Fn(&str) -> &'t str) -> Result<Redirect, BadLocation> {
        Redirect::new(self.status, &self.to.filled(named))
    }
}

/// The redirects of a site, in the order in which they apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    rules: Vec<RedirectRule>,
    /// The positions of the rules for more than one address. A site has thousands of rules and few of these.
    patterns: Vec<usize>,
}

/// The redirects that a release contains, and what is odd about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// By decoded address, which has no slash at its end.
    pub entries: BTreeMap<String, Redirect>,
    /// What is worth saying, in the order of the rules.
    pub remarks: Vec<(Place, Remark)>,
}

/// What is odd about a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// The rule never applies, because an earlier one matches its address.
    Later(Place),
    /// The rule never applies, because the site has a file at its address.
    File,
    /// The rule never applies, because no redirect is looked for at the addresses of the build's own files.
    Build,
    /// The address leads to itself through other redirects, so the release has no redirect for it.
    Loop,
    /// The address led to another redirect, and now leads to where that one leads.
    Flattened(String),
    /// The target is an address of the site at which nothing is.
    Missing(String),
    /// No file system can have the address under one name.
    Name,
    /// The address is outside the site's base path, where the vhost answers nothing.
    Outside,
    /// The rule adds addresses beyond [`MOST`].
    TooMany,
}

impl Redirects {
    /// Redirects that apply in this order.
    #[must_use]
    pub fn new(rules: Vec<RedirectRule>) -> Self {
        let patterns = rules.iter().enumerate().filter(|(_, rule)| rule.is_pattern());
        Self {
            patterns: patterns.map(|(at, _)| at).collect(),
            rules,
        }
    }

    /// All rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[RedirectRule] {
        &self.rules
    }

    /// The rules for more than one address, in their order.
    pub fn patterns(&self) -> impl Iterator<Item = &RedirectRule> {
        self.patterns.iter().map(|at| &self.rules[*at])
    }

    /// The redirect of the first pattern that matches an address, as the visitor spelled it.
    #[must_use]
    pub fn by_pattern(&self, spelled: &str) -> Option<Redirect> {
        self.patterns().find_map(|rule| rule.answer(spelled))
    }

    /// Whether a rule is for an address, as the visitor spelled it.
    #[must_use]
    pub fn is_moved(&self, spelled: &str) -> bool {
        self.rules.iter().any(|rule| rule.from.matched(spelled).is_some())
    }

    /// The redirects that a release contains. `addresses` are those of the site's files, percent-encoded; a page has its
    /// own address alone. `is_answered` says whether a file or a page answers at a percent-encoded address. `base` is the
    /// base path of the site, which the entries don't have.
    #[must_use]
    pub fn table(&self, base: &str, addresses: &[String], is_answered: &dyn Fn(&str) -> bool) -> Table {
        let mut table = Table::default();
        let mut fixed: HashMap<String, usize> = HashMap::new();
        let mut sources: Vec<(String, usize)> = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if let Some(address) = rule.from.fixed() {
                fixed.entry(address.clone()).or_insert(index);
                sources.push((address, index));
            } else if rule.is_known_in_advance() {
                let found = addresses.iter().filter_map(|address| rule.source_of(address));
                sources.extend(found.map(|source| (source, index)));
            }
        }
        let first = |address: &str| {
            let matches = |index: &&usize| self.rules[**index].from.matched(address).is_some();
            let pattern = self.patterns.iter().find(matches);
            pattern.into_iter().chain(fixed.get(address)).min().copied()
        };
        for (source, index) in sources {
            let rule = &self.rules[index];
            let place = || rule.place.clone();
            let decides = first(&source).unwrap_or(index);
            let is_there = is_answered(&source) || other_form(&source).is_some_and(|other| is_answered(&other));
            if is_there {
                // That a pattern covers what is still there is what it is written for.
                if !rule.is_pattern() {
                    table.remarks.push((place(), Remark::File));
                }
                continue;
            }
            if decides != index {
                if !rule.is_pattern() {
                    table
                        .remarks
                        .push((place(), Remark::Later(self.rules[decides].place.clone())));
                }
                continue;
            }
            let Some(inner) = below(base, &source) else {
                table.remarks.push((place(), Remark::Outside));
                continue;
            };
            let Some(name) = decoded(inner).filter(|address| redirect::path_of(address).is_some()) else {
                table.remarks.push((place(), Remark::Name));
                continue;
            };
            if table.entries.len() >= MOST {
                table.remarks.push((place(), Remark::TooMany));
                break;
            }
            match self.end_of(&source, &first, is_answered) {
                Ok((redirect, remark)) => {
                    table.remarks.extend(remark.map(|remark| (place(), remark)));
                    table.entries.insert(name, redirect);
                }
                Err(remark) => table.remarks.push((place(), remark)),
            }
        }
        table.remarks.sort_by(|(a, _), (b, _)| a.cmp(b));
        table
    }

    /// Follows the redirects from an address to the last one. The status stays that of the first.
    fn end_of(
        &self,
        source: &str,
        first: &dyn Fn(&str) -> Option<usize>,
        is_answered: &dyn Fn(&str) -> bool,
    ) -> Result<(Redirect, Option<Remark>), Remark> {
        let answer = |address: &str| first(address).and_then(|index| self.rules[index].answer(address));
        let start = answer(source).ok_or(Remark::Name)?;
        let (mut last, mut between) = (start.clone(), None);
        for _ in 0..LONGEST_CHAIN {
            let Some(address) = address_on_this_host(last.location()) else {
                return Ok((last, between));
            };
            if is_answered(&address) {
                return Ok((last, between));
            }
            if let Some(other) = other_form(&address).filter(|other| is_answered(other)) {
                let location = format!("{other}{}", &last.location()[address.len()..]);
                let last = Redirect::new(start.status(), &location).map_err(|_| Remark::Name)?;
                return Ok((last, between));
            }
            let key = if address == "/" {
                &address
            } else {
                address.trim_end_matches('/')
            };
            let Some(next) = answer(key) else {
                return Ok((last, Some(between.unwrap_or(Remark::Missing(address)))));
            };
            // A query or fragment of the middle would get lost.
            if last.location() != address {
                return Ok((last, between));
            }
            between = Some(Remark::Flattened(key.to_owned()));
            last = Redirect::new(start.status(), next.location()).map_err(|_| Remark::Name)?;
        }
        Err(Remark::Loop)
    }
}

impl RedirectRule {
    /// The address that leads to this one by this rule, if there is exactly one.
    fn source_of(&self, address: &str) -> Option<String> {
        let named = self.to.reversed(address)?;
        let source = self.from.filled(&named)?;
        (source != address.trim_end_matches('/')).then_some(source)
    }
}

/// The part of an address after the base path of the site. `None` if the address is outside.
#[must_use]
pub fn below<'a>(base: &str, address: &'a str) -> Option<&'a str> {
    match address.strip_prefix(base)? {
        "" => Some("/"),
        rest if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

/// The path of a `Location` on this host, without query and fragment.
fn address_on_this_host(location: &str) -> Option<String> {
    let path = &location[..location.find(['?', '#']).unwrap_or(location.len())];
    path.starts_with('/').then(|| path.to_owned())
}

/// The address with a slash at its end instead of without, or the other way round: a page has one of the two.
fn other_form(address: &str) -> Option<String> {
    match address.strip_suffix('/') {
        Some("") => None,
        Some(bare) => Some(bare.to_owned()),
        None => Some(format!("{address}/")),
    }
}

/// A percent-encoded address, decoded; `None` if it is not UTF-8 or has an encoded slash or NUL.
fn decoded(address: &str) -> Option<String> {
    let text = url::decoded(address)?;
    let is_same = text.matches('/').count() == address.matches('/').count() && !text.contains('\0');
    is_same.then_some(text)
}

//! Headers of the site's own for some of its addresses, in the syntax that Netlify and Cloudflare Pages share. Pure.
//!
//! All rules that match the address that the visitor asked for apply, in their order. What one sets replaces the
//! vhost's own header of that name; what a second one sets is sent in addition, as a header line of its own, unless it
//! is the same value. What one removes, no earlier rule and no default sets.
//!
//! [`CustomHeaders::at`] is what this means for one address. The vhost prints [`CustomHeaders::lines`], which must mean
//! the same for every address. This module must never accept a line that would do something else here than where it was
//! written for: what is not supported is a [`BadLine`] with a reason.
//!
//! [`BadLine`]: super::lines::BadLine

mod field;
mod lines;
mod parse;
mod path;
#[cfg(test)]
mod tests;

pub use self::lines::{Choice, HeaderLine};
pub use self::parse::parse;
pub use self::path::AddressPattern;
use super::lines::Place;

/// The file with headers, in the export or next to the site manifest.
pub const FILE: &str = "_headers";

/// A rule: the headers of some addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// Where its address is written.
    pub place: Place,
    /// The address as it is written.
    pub written: String,
    path: AddressPattern,
    /// Names that it removes, before it sets any.
    removed: Vec<String>,
    /// Names and values that it sets.
    set: Vec<(String, String)>,
}

impl HeaderRule {
    /// A rule without headers.
    ///
    /// # Errors
    /// What is wrong with the address, as a sentence without a subject.
    pub fn new(place: Place, address: &str) -> Result<Self, String> {
        Ok(Self {
            place,
            written: address.to_owned(),
            path: AddressPattern::parse(address)?,
            removed: Vec::new(),
            set: Vec::new(),
        })
    }

    /// Sets a header.
    ///
    /// # Errors
    /// Why it can't be set, as a sentence without a subject.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        field::check_name(name, "sets")?;
        field::check_value(name, value, self.path.names())?;
        self.set.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Removes a header that an earlier rule sets, or that every answer has.
    ///
    /// # Errors
    /// Why it can't be removed, as a sentence without a subject.
    pub fn remove(&mut self, name: &str) -> Result<(), String> {
        field::check_name(name, "removes")?;
        self.removed.push(name.to_owned());
        Ok(())
    }

    /// Whether the rule changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.set.is_empty()
    }

    /// The rule as a file would have it.
    #[must_use]
    pub fn text(&self) -> String {
        let removed = self.removed.iter().map(|name| format!("  ! {name}\n"));
        let set = self.set.iter().map(|(name, value)| format!("  {name}: {value}\n"));
        format!("{}\n{}", self.written, removed.chain(set).collect::<String>())
    }

    /// Whether it removes a header of this name.
    fn removes(&self, name: &str) -> bool {
        self.removed.iter().any(|removed| removed.eq_ignore_ascii_case(name))
    }

    /// The values that it sets a header of this name to.
    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.set.iter().filter(move |(set, _)| set.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| &**value)
    }

    /// The names that it changes.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.removed
            .iter()
            .chain(self.set.iter().map(|(name, _)| name))
            .map(|name| &**name)
    }
}

/// What the rules change at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<'r> {
    /// The name of the header, as it was written first.
    pub name: &'r str,
    /// The values that are sent, one header line each, in place of the default. Empty if there is no such header.
    pub values: Vec<&'r str>,
}

/// The header rules of a site, in the order in which they apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomHeaders {
    rules: Vec<HeaderRule>,
}

impl CustomHeaders {
    /// Rules that apply in this order.
    #[must_use]
    pub const fn new(rules: Vec<HeaderRule>) -> Self {
        Self { rules }
    }

    /// All rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[HeaderRule] {
        &self.rules
    }

    /// What the rules change in an answer. `asked` is the decoded address of the request, with the base path; empty if
    /// it could not be read. What no rule mentions keeps its default.
    #[must_use]
    pub fn at(&self, asked: &[u8]) -> Vec<Changed<'_>> {
        let mut changed: Vec<Changed<'_>> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.path.matches(asked)) {
            for name in rule.names() {
                if !changed.iter().any(|changed| changed.name.eq_ignore_ascii_case(name)) {
                    let values = Vec::new();
                    changed.push(Changed { name, values });
                }
            }
            for changed in &mut changed {
                if rule.removes(changed.name) {
                    changed.values.clear();
                }
                for value in rule.values(changed.name) {
                    if !changed.values.contains(&value) {
                        changed.values.push(value);
                    }
                }
            }
        }
        changed
    }
}

//! What is known of a release's way to its visitors: the text of the symlink `delivery`. Pure.
//!
//! It stands on the host, so that whoever publishes next knows what a CDN was not told, and `status` what the last look at
//! the live site found. It must stay short: a symlink holds four thousand bytes.

use serde::{Deserialize, Serialize};

use super::release::ReleaseId;

/// More releases than these are owed as one: everything.
const MOST_OWED: usize = 16;
/// The longest text of a problem that is kept.
const LONGEST: usize = 300;

/// What is known of a release's way to its visitors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// The release that was looked at; none where a release went live and nobody has looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// When, by the host's clock, in seconds since 1970.
    #[serde(default)]
    pub at: i64,
    /// Whether all was well at the origin; none where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<bool>,
    /// Whether all was well at the public address; none where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// How many problems there were.
    #[serde(default)]
    pub problems: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Releases that a CDN may still have something of: what differs between each and the live one is to be purged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<ReleaseId>,
    /// Whether all URLs of the live release are to be purged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owed_all: bool,
}

impl Delivery {
    /// Reads the text; what does not read says nothing.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// What is to be known from the moment at which another release replaces `left`: nobody has looked, and a CDN may
    /// have what was there before.
    #[must_use]
    pub fn owing(&self, left: Option<&ReleaseId>) -> Self {
        let mut owed = self.owed.clone();
        if let Some(left) = left.filter(|left| !owed.contains(left)) {
            owed.push(left.clone());
        }
        let owed_all = self.owed_all || left.is_none() || owed.len() > MOST_OWED;
        Self {
            owed: if owed_all { Vec::new() } else { owed },
            owed_all,
            ..Self::default()
        }
    }

    /// Whether anything is owed.
    #[must_use]
    pub fn is_owing(&self) -> bool {
        self.owed_all || !self.owed.is_empty()
    }

    /// Keeps a problem, cut to a length that fits.
    #[must_use]
    pub fn with_first(mut self, first: Option<String>) -> Self {
        self.first = first.map(|text| text.chars().take(LONGEST).collect());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_owed_grows_with_each_release_that_nobody_purged() {
        let first = Delivery::default().owing(Some(&id("a")));
        let second = first.owing(Some(&id("b"))).owing(Some(&id("a")));
        assert_eq!(second.owed, [id("a"), id("b")]);
        assert!(second.release.is_none());
        assert_eq!(Delivery::read(&second.text()), second);
    }

    #[test]
    fn beginning_and_too_much_are_owed_as_everything() {
        assert!(Delivery::default().owing(None).owed_all);
        let many = (0..20).fold(Delivery::default(), |known, number| {
            known.owing(Some(&id(&format!("release-{number}"))))
        });
        assert!(many.owed_all && many.owed.is_empty());
        assert!(many.text().len() < 4000);
    }

    #[test]
    fn foreign_text_says_nothing() {
        assert_eq!(Delivery::read("what?"), Delivery::default());
    }
}

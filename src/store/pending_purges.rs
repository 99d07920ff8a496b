//! What is known of a release's way to its visitors: the text of the symlink `delivery`. Pure.
//!
//! It stands on the host, so that anyone who publishes next knows what a CDN was not told, and `status` what the last look at
//! the live site found. It must stay short: a symlink holds four thousand bytes.

use serde::{Deserialize, Serialize};

use crate::model::release::{ReleaseId, RunId};

/// More releases than these are owed as one: everything.
const MOST_OWED: usize = 16;
/// The longest text of a problem that is kept.
const LONGEST: usize = 300;

/// What is known of a release's way to its visitors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// The release that was looked at; none where a release went live and no one has looked yet.
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
    /// Whether all URLs of the live release are to be purged, too: an edge may have something of a release that is not named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owed_all: bool,
    /// The run whose swap was noted last. What was purged before another swap pays for nothing: the edge may have fetched
    /// again what it had forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<String>,
}

/// What a purge paid of what was owed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paid {
    /// Releases of which an edge has nothing any more that differs from what is live.
    pub owed: Vec<ReleaseId>,
    /// Whether all URLs of the live release were purged.
    pub all: bool,
    /// [`Delivery::swap`] of the debt that it was paid from.
    pub swap: Option<String>,
}

impl Paid {
    /// Whether it pays for nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.owed.is_empty() && !self.all
    }
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

    /// What is to be known from the moment at which a swap of this run replaces `left`: no one has looked, and a CDN may
    /// have what was there before.
    #[must_use]
    pub fn owing(&self, left: Option<&ReleaseId>, run: &RunId) -> Self {
        let mut owed = self.owed.clone();
        if let Some(left) = left.filter(|left| !owed.contains(left)) {
            owed.push(left.clone());
        }
        let owed_all = self.owed_all || left.is_none() || owed.len() > MOST_OWED;
        // Those that are still named tell of pages that are gone.
        owed.drain(..owed.len().saturating_sub(MOST_OWED));
        Self {
            owed,
            owed_all,
            swap: Some(run.to_string()),
            ..Self::default()
        }
    }

    /// What is still owed once some of it was paid. Nothing is, where another swap came in between.
    #[must_use]
    pub fn without(&self, paid: &Paid) -> Self {
        let mut left = self.clone();
        if self.swap == paid.swap {
            left.owed.retain(|owed| !paid.owed.contains(owed));
            left.owed_all &= !paid.all;
        }
        left
    }

    /// Whether both owe the same, by the same swap.
    #[must_use]
    pub fn owes_as(&self, other: &Self) -> bool {
        (&self.owed, self.owed_all, &self.swap) == (&other.owed, other.owed_all, &other.swap)
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

    fn run(digit: char) -> RunId {
        digit.to_string().repeat(16).parse().unwrap()
    }

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_owed_grows_with_each_release_that_no_one_purged() {
        let first = Delivery::default().owing(Some(&id("a")), &run('1'));
        let second = first.owing(Some(&id("b")), &run('2')).owing(Some(&id("a")), &run('3'));
        assert_eq!(second.owed, [id("a"), id("b")]);
        assert!(second.release.is_none());
        assert_eq!(Delivery::read(&second.text()), second);
    }

    #[test]
    fn what_was_purged_is_subtracted_unless_another_swap_came_in_between() {
        let owing = Delivery::default().owing(Some(&id("a")), &run('1'));
        let owing = owing.owing(Some(&id("b")), &run('2'));
        let paid = |swap: char| Paid {
            owed: vec![id("a")],
            all: false,
            swap: Some(run(swap).to_string()),
        };
        assert_eq!(owing.without(&paid('2')).owed, [id("b")]);
        assert_eq!(owing.without(&paid('1')), owing);
        assert_eq!(owing.without(&Paid::default()), owing);
        // As versions before wrote it, which named no swap.
        let older = Delivery::read(r#"{"release":"b","at":7,"problems":0,"owed":["a"],"owed_all":true}"#);
        let paid = Paid {
            owed: older.owed.clone(),
            all: true,
            swap: older.swap.clone(),
        };
        assert!(older.is_owing() && !older.without(&paid).is_owing());
    }

    #[test]
    fn beginning_and_too_much_are_owed_as_everything() {
        assert!(Delivery::default().owing(None, &run('1')).owed_all);
        let many = (0..20).fold(Delivery::default(), |known, number| {
            known.owing(Some(&id(&format!("release-{number}"))), &run('1'))
        });
        assert!(many.owed_all && many.owed.len() == MOST_OWED);
        assert!(many.text().len() < 4000);
    }

    #[test]
    fn foreign_text_says_nothing() {
        assert_eq!(Delivery::read("what?"), Delivery::default());
    }
}

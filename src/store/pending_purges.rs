//! What is known about the delivery of releases to visitors: the text of the symlink `delivery`. Pure.
//!
//! It is on the host, so that the next run can purge what a CDN has not purged yet, and `status` can show what the last
//! probe of the live site found. It must stay short, because the text of a symlink has at most four thousand bytes.

use serde::{Deserialize, Serialize};

use crate::model::release::{ReleaseId, RunId};

/// If purges are pending for more releases than this, everything is to be purged.
const MOST_OWED: usize = 16;
/// The maximum length of the text of a problem, in characters.
const LONGEST: usize = 300;

/// What is known about the delivery of a release to its visitors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// The release that was probed; `None` if a release went live and was not probed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// When it was probed, by the host's clock, in seconds since 1970.
    #[serde(default)]
    pub at: i64,
    /// Whether all was well at the origin; `None` if it was not probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<bool>,
    /// Whether all was well at the public address; `None` if it was not probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// How many problems there were.
    #[serde(default)]
    pub problems: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// What a CDN still has to purge.
    #[serde(flatten)]
    pub pending: Pending,
}

/// Purges of a CDN: all that are pending, or those of them that a run has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pending {
    /// Releases of which a CDN may still have something. What differs between each of them and the live one is to be
    /// purged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<ReleaseId>,
    /// Whether all URLs of the live release are to be purged, too, because an edge may have something of a release that
    /// is not listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owed_all: bool,
    /// The run whose swap was noted last. What was purged before another swap is not subtracted, because the edge may
    /// have fetched again what it had dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<String>,
}

impl Pending {
    /// Whether there is no purge.
    pub fn is_nothing(&self) -> bool {
        self.owed.is_empty() && !self.owed_all
    }

    /// What is still pending after some of it was purged. Nothing is subtracted if there was another swap in between.
    #[must_use]
    pub fn without(&self, paid: &Self) -> Self {
        let mut left = self.clone();
        if self.swap == paid.swap {
            left.owed.retain(|owed| !paid.owed.contains(owed));
            left.owed_all &= !paid.owed_all;
        }
        left
    }
}

impl Delivery {
    /// Parses the text. None, and one that can't be parsed, count as the default.
    pub fn read(text: Option<String>) -> Self {
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// The text of the symlink.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// What to note when a swap of this run replaces `left`: the new release was not probed yet, and a CDN may have
    /// what was live before.
    #[must_use]
    pub fn owing(&self, left: Option<&ReleaseId>, run: &RunId) -> Self {
        let mut owed = self.pending.owed.clone();
        if let Some(left) = left.filter(|left| !owed.contains(left)) {
            owed.push(left.clone());
        }
        let owed_all = self.pending.owed_all || left.is_none() || owed.len() > MOST_OWED;
        // Those that stay listed cover pages that the live release no longer has.
        owed.drain(..owed.len().saturating_sub(MOST_OWED));
        let swap = Some(run.to_string());
        Self {
            pending: Pending { owed, owed_all, swap },
            ..Self::default()
        }
    }

    /// Whether any purge is pending.
    pub fn is_owing(&self) -> bool {
        !self.pending.is_nothing()
    }

    /// Sets the first problem, truncated to the maximum length.
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
        assert_eq!(second.pending.owed, [id("a"), id("b")]);
        assert!(second.release.is_none());
        assert_eq!(Delivery::read(Some(second.text())), second);
    }

    #[test]
    fn what_was_purged_is_subtracted_unless_another_swap_came_in_between() {
        let owing = Delivery::default().owing(Some(&id("a")), &run('1'));
        let owing = owing.owing(Some(&id("b")), &run('2'));
        let paid = |swap: char| Pending {
            owed: vec![id("a")],
            owed_all: false,
            swap: Some(run(swap).to_string()),
        };
        assert_eq!(owing.pending.without(&paid('2')).owed, [id("b")]);
        assert_eq!(owing.pending.without(&paid('1')), owing.pending);
        assert_eq!(owing.pending.without(&Pending::default()), owing.pending);
        // As earlier versions wrote it, without a swap.
        let older = Delivery::read(Some(
            r#"{"release":"b","at":7,"problems":0,"owed":["a"],"owed_all":true}"#.to_owned(),
        ));
        let paid = older.pending.clone();
        assert!(older.is_owing() && older.pending.without(&paid).is_nothing());
    }

    #[test]
    fn beginning_and_too_much_are_owed_as_everything() {
        assert!(Delivery::default().owing(None, &run('1')).pending.owed_all);
        let many = (0..20).fold(Delivery::default(), |known, number| {
            known.owing(Some(&id(&format!("release-{number}"))), &run('1'))
        });
        assert!(many.pending.owed_all && many.pending.owed.len() == MOST_OWED);
        assert!(many.text().len() < 4000);
    }

    #[test]
    fn foreign_text_says_nothing() {
        assert_eq!(Delivery::read(Some("what?".to_owned())), Delivery::default());
    }
}

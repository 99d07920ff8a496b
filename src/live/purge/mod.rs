//! Telling a CDN what to forget.
//!
//! What changed is a list of URLs, which is pure; telling is behind one small trait, with Cloudflare's API and a plain
//! webhook for any other. It must never make a release fail: what could not be purged is owed, and anyone who publishes next
//! purges it. A secret is sent in a header to the API alone, and is in no message.

pub mod cloudflare;
pub mod webhook;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::live::address;
use crate::live::http::HttpError;
use crate::model::path::SitePath;
use crate::rules::Rules;

/// What a CDN is to forget.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PurgeRequest {
    /// URLs, each form under which what changed is reachable, in order.
    pub urls: Vec<String>,
    /// The host and base path of the site: `docs.example.com/handbook`.
    pub prefix: String,
    /// What the site is called.
    pub site: String,
    /// The release that is live now.
    pub release: String,
}

/// What a CDN was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purged {
    /// What was purged, in words: "12 URLs", "everything".
    pub what: String,
    /// How many URLs that were; none where it went by something else.
    pub urls: Option<usize>,
    /// How many requests it took.
    pub requests: u32,
}

/// Somebody who makes a CDN forget.
pub trait Purge: Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Tells it, within `patience`. Doing so twice does no harm.
    fn purge<'a>(&'a self, wanted: &'a PurgeRequest, patience: Duration) -> BoxFuture<'a, Result<Purged, PurgeError>>;
}

/// A CDN could not be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// No answer.
    #[error("{name} can't be reached: {source}")]
    Http {
        /// Whom.
        name: String,
        /// Why.
        source: HttpError,
    },
    /// It refused.
    #[error("{name} refuses: {detail}")]
    Refused {
        /// Who.
        name: String,
        /// Its status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// It was busy for as long as there was time.
    #[error("{name} had no time for it within {patience:?}: {detail}")]
    Busy {
        /// Who.
        name: String,
        /// How long it was asked.
        patience: Duration,
        /// What it said last.
        detail: String,
    },
    /// The secret is not there.
    #[error("the environment variable {variable}, which holds the token for {name}, is not set")]
    NoToken {
        /// For whom.
        name: String,
        /// The variable.
        variable: String,
    },
}

impl PurgeError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Http { .. } | Self::Busy { .. } => "the next publish purges it, too; or purge it by hand",
            Self::Refused { status: 401 | 403, .. } => {
                "give the token the permission Zone > Cache Purge > Purge for this zone, and write the zone's id, which its overview shows: a name can be looked up only by a token with the permission Zone > Zone > Read"
            }
            Self::Refused { status: 404, .. } => "see `zone` in [cloudflare], or `url` in [purge]",
            Self::Refused { .. } => "see what it says; the next publish tries again",
            Self::NoToken { .. } => "set it, in CI from a secret; the next publish purges what is owed",
        }
    }
}

/// The URLs of what changed: every form under which each path is reachable, by all names of the site.
#[must_use]
pub fn urls<'a>(rules: &Rules, origin: &str, paths: impl Iterator<Item = &'a SitePath>) -> Vec<String> {
    let mut urls = BTreeSet::new();
    for path in paths {
        let all = address::all(rules, path.as_str());
        urls.extend(all.into_iter().map(|target| format!("{origin}{target}")));
    }
    urls.into_iter().collect()
}

/// The longest wait that a server may name: a larger number means this one.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How long to wait before asking again: what the server says, else longer each time. A server that says 0 is not asked
/// without a pause.
fn pause(retry_after: Option<&str>, attempt: u32) -> Duration {
    let own = Duration::from_millis(500).saturating_mul(1 << attempt.min(5));
    let said = retry_after.map(str::trim).filter(|text| is_number(text));
    match said.map(|text| text.parse::<u64>().unwrap_or(u64::MAX)) {
        None | Some(0) => own,
        Some(seconds) => Duration::from_secs(seconds).min(LONGEST_WAIT),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A secret: sent, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes it.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The value of `Authorization`.
    fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_says_how_long_to_wait_and_without_it_waits_grow() {
        assert_eq!(pause(Some("7"), 3), Duration::from_secs(7));
        assert_eq!(pause(None, 0), Duration::from_millis(500));
        assert_eq!(pause(Some("soon"), 2), Duration::from_secs(2));
        assert_eq!(pause(None, 40), Duration::from_secs(16));
        assert_eq!(pause(Some("0"), 1), Duration::from_secs(1));
    }

    #[test]
    fn no_number_of_a_server_is_too_large_to_wait_for() {
        let hour = Duration::from_hours(1);
        for text in ["3601", "18446744073709551615", "18446744073709551616", &"9".repeat(400)] {
            assert_eq!(pause(Some(text), 0), hour, "{text}");
            assert!(std::time::Instant::now().checked_add(pause(Some(text), 0)).is_some());
        }
        assert_eq!(pause(Some("-1"), 0), Duration::from_millis(500));
        assert_eq!(pause(Some(""), 0), Duration::from_millis(500));
    }

    #[test]
    fn token_is_never_shown() {
        assert_eq!(format!("{:?}", Token::new("s3cret".to_owned())), "(secret)");
    }
}

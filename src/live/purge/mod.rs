//! Purges a CDN's cache after a publish.
//!
//! Computing the list of URLs that changed is pure. Sending it is behind one small trait, implemented for Cloudflare's
//! API and, for any other CDN, as a plain webhook. A failed purge must never fail a release: URLs that could not be
//! purged stay pending, and the next publish by any user purges them. A secret is sent to the API in a header. It must
//! never go anywhere else or appear in a message.

pub mod cloudflare;
pub mod webhook;

use std::collections::BTreeSet;
use std::fmt;
use std::num::IntErrorKind;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::live::http::{self, Endpoint, HttpError, Request, Response};
use crate::model::path::SitePath;
use crate::rules::{Rules, file_address};

/// What a CDN should purge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PurgeRequest {
    /// The URLs of everything that changed, in each form under which it is reachable, in order.
    pub urls: Vec<String>,
    /// The same URLs under each other name of the site, by that name. A CDN may have copies from before the name led to
    /// the site.
    pub aliases: Vec<(String, Vec<String>)>,
    /// The host and base path of the site: `docs.example.com/handbook`.
    pub prefix: String,
    /// The name of the site.
    pub site: String,
    /// The release that is live now.
    pub release: String,
}

/// What was purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purged {
    /// A description of what was purged: "12 URLs", "everything".
    pub what: String,
    /// Number of URLs that were purged. `None` if the purge was not by URL.
    pub urls: Option<usize>,
    /// Number of requests that the purge took.
    pub requests: u32,
}

impl Purged {
    fn of_urls(urls: usize, requests: u32) -> Self {
        Self {
            what: format!("{urls} URL{}", if urls == 1 { "" } else { "s" }),
            urls: Some(urls),
            requests,
        }
    }
}

/// A CDN, or a webhook that represents one, that can purge its cache.
pub trait Purge: Send + Sync {
    /// The name to use in messages.
    fn name(&self) -> String;

    /// Sends the purge and waits for it, for at most `patience`. Repeating a purge is harmless.
    fn purge<'a>(&'a self, wanted: &'a PurgeRequest, patience: Duration) -> BoxFuture<'a, Result<Purged, PurgeError>>;
}

/// Why a purge failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// The CDN did not answer.
    #[error("{name} can't be reached: {source}")]
    Http {
        /// The CDN's name.
        name: String,
        /// The cause.
        source: HttpError,
    },
    /// The CDN refused.
    #[error("{name} refuses: {detail}")]
    Refused {
        /// The CDN's name.
        name: String,
        /// The status of the response.
        status: u16,
        /// The error that the CDN reported.
        detail: String,
    },
    /// The CDN was still busy when time was up.
    #[error("{name} had no time for it within {patience:?}: {detail}")]
    Busy {
        /// The CDN's name.
        name: String,
        /// The time limit.
        patience: Duration,
        /// The last error that the CDN reported.
        detail: String,
    },
    /// The environment variable with the token is not set.
    #[error("the environment variable {variable}, which holds the token for {name}, is not set")]
    NoToken {
        /// The name of the CDN that needs the token.
        name: String,
        /// The environment variable.
        variable: String,
    },
}

impl PurgeError {
    /// What the user can do about it.
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

/// Returns the URLs of everything that changed: every form under which each path is reachable, below `origin`.
pub fn urls<'a>(rules: &Rules, origin: &str, paths: impl Iterator<Item = &'a SitePath>) -> Vec<String> {
    let mut urls = BTreeSet::new();
    for path in paths {
        let all = file_address::all(rules, path.as_str());
        urls.extend(all.into_iter().map(|target| format!("{origin}{target}")));
    }
    urls.into_iter().collect()
}

/// A purge under way: requests to one server, with a common deadline.
struct PurgeCall<'a> {
    name: String,
    place: &'a Endpoint,
    /// Whether a connection that breaks, or can't be made, is tried again.
    reconnects: bool,
    /// Describes a response that refuses the request.
    detail: fn(&Response) -> String,
    patience: Duration,
    until: Instant,
    requests: u32,
}

impl PurgeCall<'_> {
    /// Sends a request. Retries until the server is not too busy for an answer, or time is up.
    async fn send(&mut self, request: &Request) -> Result<Response, PurgeError> {
        let mut attempt = 0;
        loop {
            self.requests += 1;
            let left = self.until.saturating_duration_since(Instant::now());
            let answer = http::send_once(self.place, request, left).await;
            let failed = |source| PurgeError::Http {
                name: self.name.clone(),
                source,
            };
            let asked = match &answer {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => answer.header("retry-after"),
                Err(HttpError::Broken { .. } | HttpError::NoConnection { .. }) if self.reconnects => None,
                _ => return answer.map_err(failed),
            };
            let wait = pause(asked, attempt);
            if Instant::now() + wait >= self.until {
                let answer = answer.map_err(failed)?;
                return Err(PurgeError::Busy {
                    name: self.name.clone(),
                    patience: self.patience,
                    detail: (self.detail)(&answer),
                });
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    fn refused(&self, answer: &Response) -> PurgeError {
        PurgeError::Refused {
            name: self.name.clone(),
            status: answer.status,
            detail: (self.detail)(answer),
        }
    }
}

/// Upper bound for the wait that a server requests. Larger values are clamped to it.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How long to wait before retrying: as long as the server requests, or with exponential backoff if it names no time. A
/// requested wait of 0 also gets the backoff, so that the server is never retried without a pause.
fn pause(retry_after: Option<&str>, attempt: u32) -> Duration {
    let own = Duration::from_millis(500).saturating_mul(1 << attempt.min(5));
    match retry_after.map(|text| text.trim().parse::<u64>()) {
        Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds).min(LONGEST_WAIT),
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => LONGEST_WAIT,
        _ => own,
    }
}

/// A secret from an environment variable. It is sent, but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    variable: String,
    text: Option<String>,
}

impl Token {
    /// The token in an environment variable. `text` is `None` if the variable is not set.
    pub fn new(variable: String, text: Option<String>) -> Self {
        Self { variable, text }
    }

    /// The header that carries the token to the CDN with this name.
    fn header(&self, cdn: &str) -> Result<(&'static str, String), PurgeError> {
        match &self.text {
            Some(text) => Ok(("authorization", format!("Bearer {text}"))),
            None => Err(PurgeError::NoToken {
                name: cdn.to_owned(),
                variable: self.variable.clone(),
            }),
        }
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
        assert_eq!(
            format!("{:?}", Token::new("TOKEN".to_owned(), Some("s3cret".to_owned()))),
            "(secret)"
        );
    }
}

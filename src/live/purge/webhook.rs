//! Purges any other CDN: POSTs what changed to a webhook, which does the purge.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;

use super::{Purge, PurgeError, PurgeRequest, Purged, Token, pause};
use crate::live::http::{self, Endpoint, Request};

/// A webhook that receives the list of what changed.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The server.
    pub place: Endpoint,
    /// Path and query.
    pub target: String,
    /// The environment variable of the token, with the token. The outer `Option` is `None` if no token is configured,
    /// the inner one if the variable is not set.
    pub token: Option<(String, Option<Token>)>,
}

impl Purge for Webhook {
    fn name(&self) -> String {
        format!("the purge hook at {}", self.place.authority())
    }

    fn purge<'a>(&'a self, wanted: &'a PurgeRequest, patience: Duration) -> BoxFuture<'a, Result<Purged, PurgeError>> {
        Box::pin(self.purge_within(wanted, patience))
    }
}

impl Webhook {
    async fn purge_within(&self, wanted: &PurgeRequest, patience: Duration) -> Result<Purged, PurgeError> {
        let body = json!({
            "site": wanted.site,
            "release": wanted.release,
            "prefix": wanted.prefix,
            "urls": wanted.urls,
        });
        let mut headers = vec![("content-type", "application/json".to_owned())];
        match &self.token {
            None => {}
            Some((_, Some(token))) => headers.push(("authorization", token.bearer())),
            Some((variable, None)) => {
                return Err(PurgeError::NoToken {
                    name: self.name(),
                    variable: variable.clone(),
                });
            }
        }
        let request = Request {
            method: "POST",
            target: self.target.clone(),
            headers,
            body: body.to_string().into_bytes(),
        };
        let until = Instant::now() + patience;
        let mut attempt = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = http::send_once(&self.place, &request, left).await;
            let answer = answer.map_err(|source| PurgeError::Http {
                name: self.name(),
                source,
            })?;
            let detail = format!("status {}", answer.status);
            match answer.status {
                200..300 => {
                    let urls = wanted.urls.len();
                    return Ok(Purged {
                        what: format!("{urls} URL{}", if urls == 1 { "" } else { "s" }),
                        urls: Some(urls),
                        requests: attempt + 1,
                    });
                }
                429 | 500.. => {
                    let wait = pause(answer.header("retry-after"), attempt);
                    if Instant::now() + wait >= until {
                        return Err(PurgeError::Busy {
                            name: self.name(),
                            patience,
                            detail,
                        });
                    }
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                status => {
                    return Err(PurgeError::Refused {
                        name: self.name(),
                        status,
                        detail,
                    });
                }
            }
        }
    }
}

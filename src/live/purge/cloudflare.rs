//! Purges through Cloudflare's API: `POST zones/ID/purge_cache`.
//!
//! As documented in 2026, every kind of purge is available on every plan. One operation takes 100 URLs, but only 30 if
//! the account is older or an intermediary is stricter, so a batch that is refused because of its size is retried with
//! 30. Too many requests are answered with 429 and `Retry-After`. A response is an envelope with `success`, `errors`
//! and `result`.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Purge, PurgeError, PurgeRequest, Purged, Token, pause};
use crate::config::Scope;
use crate::live::http::{self, Endpoint, HttpError, Request, Response};
use crate::model::path::printable;

/// The URL of Cloudflare's API.
pub const API: &str = "https://api.cloudflare.com/client/v4";

/// Number of URLs per request, and the number to fall back to after a request was refused for having too many.
const BATCH: usize = 100;
const SMALL_BATCH: usize = 30;

/// A Cloudflare zone.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    /// The ID or the name of the zone.
    pub zone: String,
    /// The server of the API.
    pub api: Endpoint,
    /// The path of the API, without a trailing slash.
    pub path: String,
    /// What to purge.
    pub scope: Scope,
    /// The token. `None` if the environment variable is not set.
    pub token: Option<Token>,
    /// The environment variable that contains the token.
    pub variable: String,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<Complaint>,
    #[serde(default)]
    result: Value,
}

#[derive(Deserialize)]
struct Complaint {
    code: i64,
    message: String,
}

const NAME: &str = "Cloudflare";

impl Purge for Cloudflare {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn purge<'a>(&'a self, wanted: &'a PurgeRequest, patience: Duration) -> BoxFuture<'a, Result<Purged, PurgeError>> {
        Box::pin(self.purge_within(wanted, patience))
    }
}

impl Cloudflare {
    async fn purge_within(&self, wanted: &PurgeRequest, patience: Duration) -> Result<Purged, PurgeError> {
        let Some(token) = &self.token else {
            return Err(PurgeError::NoToken {
                name: NAME.to_owned(),
                variable: self.variable.clone(),
            });
        };
        let until = Instant::now() + patience;
        let mut asking = PurgeCall {
            cloudflare: self,
            token,
            patience,
            until,
            requests: 0,
        };
        let zone = asking.zone_id().await?;
        let path = format!("{}/zones/{zone}/purge_cache", self.path);
        let (what, urls) = match self.scope {
            Scope::Changed => {
                asking.files(&path, &wanted.urls).await?;
                let urls = wanted.urls.len();
                (format!("{urls} URL{}", if urls == 1 { "" } else { "s" }), Some(urls))
            }
            Scope::Everything => {
                asking.post(&path, &json!({"purge_everything": true})).await?;
                ("everything".to_owned(), None)
            }
            Scope::Prefix => {
                asking.post(&path, &json!({"prefixes": [wanted.prefix]})).await?;
                (format!("everything below {}", wanted.prefix), None)
            }
            Scope::Host => {
                let host = wanted.prefix.split('/').next().unwrap_or_default();
                asking.post(&path, &json!({"hosts": [host]})).await?;
                (format!("everything of {host}"), None)
            }
            Scope::Tag => {
                asking.post(&path, &json!({"tags": [wanted.site]})).await?;
                (format!("everything tagged {}", wanted.site), None)
            }
        };
        Ok(Purged {
            what,
            urls,
            requests: asking.requests,
        })
    }
}

/// One purge, with its deadline.
struct PurgeCall<'a> {
    cloudflare: &'a Cloudflare,
    token: &'a Token,
    patience: Duration,
    until: Instant,
    requests: u32,
}

impl PurgeCall<'_> {
    /// Returns the ID of the zone. If the zone is configured by name, the ID is looked up.
    async fn zone_id(&mut self) -> Result<String, PurgeError> {
        let zone = &self.cloudflare.zone;
        if zone.len() == 32 && zone.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(zone.clone());
        }
        let target = format!("{}/zones?name={zone}", self.cloudflare.path);
        let result = self.ask("GET", &target, Vec::new()).await?;
        let id = result.get(0).and_then(|first| first.get("id")).and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| PurgeError::Refused {
            name: NAME.to_owned(),
            status: 403,
            detail: format!("it shows this token no zone {zone}"),
        })
    }

    /// Purges URLs in as few requests as Cloudflare allows.
    async fn files(&mut self, path: &str, urls: &[String]) -> Result<(), PurgeError> {
        let mut rest = urls;
        let mut batch = BATCH;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(batch));
            match self.post(path, &json!({"files": now})).await {
                Ok(_) => rest = later,
                Err(PurgeError::Refused {
                    status: 400 | 413 | 422,
                    ..
                }) if now.len() > SMALL_BATCH => batch = SMALL_BATCH,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Value, PurgeError> {
        self.ask("POST", path, body.to_string().into_bytes()).await
    }

    /// Sends a request. Retries until Cloudflare gives a final answer or time is up.
    async fn ask(&mut self, method: &'static str, target: &str, body: Vec<u8>) -> Result<Value, PurgeError> {
        let request = Request {
            method,
            target: target.to_owned(),
            headers: vec![
                ("authorization", self.token.bearer()),
                ("content-type", "application/json".to_owned()),
            ],
            body,
        };
        let mut attempt = 0;
        loop {
            self.requests += 1;
            let left = self.until.saturating_duration_since(Instant::now());
            let answer = http::send_once(&self.cloudflare.api, &request, left).await;
            let (said, wait) = match answer {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => {
                    let wait = pause(answer.header("retry-after"), attempt);
                    (Ok(answer), wait)
                }
                Ok(answer) => return read(&answer),
                Err(error @ (HttpError::Broken { .. } | HttpError::NoConnection { .. })) => {
                    (Err(error), pause(None, attempt))
                }
                Err(source) => return Err(http_error(source)),
            };
            if Instant::now() + wait >= self.until {
                return Err(match said {
                    Ok(answer) => PurgeError::Busy {
                        name: NAME.to_owned(),
                        patience: self.patience,
                        detail: complaints(&answer),
                    },
                    Err(source) => http_error(source),
                });
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }
}

fn http_error(source: HttpError) -> PurgeError {
    PurgeError::Http {
        name: NAME.to_owned(),
        source,
    }
}

/// Extracts the result from the envelope of a response.
fn read(answer: &Response) -> Result<Value, PurgeError> {
    match serde_json::from_slice::<Envelope>(&answer.body) {
        Ok(envelope) if envelope.success && answer.status < 300 => Ok(envelope.result),
        _ => Err(PurgeError::Refused {
            name: NAME.to_owned(),
            status: answer.status,
            detail: complaints(answer),
        }),
    }
}

/// The error messages in a response, or its status if there are none.
fn complaints(answer: &Response) -> String {
    let errors = serde_json::from_slice::<Envelope>(&answer.body).map(|envelope| envelope.errors);
    let said: Vec<String> = errors
        .unwrap_or_default()
        .iter()
        .map(|error| format!("{} (code {})", printable(&error.message), error.code))
        .collect();
    if said.is_empty() {
        format!("status {}", answer.status)
    } else {
        said.join("; ")
    }
}

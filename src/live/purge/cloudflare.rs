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

use super::{Purge, PurgeCall, PurgeError, PurgeRequest, Purged, Token};
use crate::config::Scope;
use crate::live::http::{Endpoint, Request, Response};
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
    /// The token.
    pub token: Token,
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
        let call = &mut PurgeCall {
            name: NAME.to_owned(),
            place: &self.api,
            reconnects: true,
            detail: complaints,
            patience,
            until: Instant::now() + patience,
            requests: 0,
        };
        let zone = self.zone_id(call).await?;
        let path = format!("{}/zones/{zone}/purge_cache", self.path);
        let (what, body) = match self.scope {
            Scope::Changed => {
                self.files(call, &path, &wanted.urls).await?;
                return self.files_of_aliases(call, &path, wanted).await;
            }
            Scope::Everything => ("everything".to_owned(), json!({"purge_everything": true})),
            Scope::Prefix => (
                format!("everything below {}", wanted.prefix),
                json!({"prefixes": [wanted.prefix]}),
            ),
            Scope::Host => {
                let host = wanted.prefix.split('/').next().unwrap_or_default();
                (format!("everything of {host}"), json!({"hosts": [host]}))
            }
            Scope::Tag => (
                format!("everything tagged {}", wanted.site),
                json!({"tags": [wanted.site]}),
            ),
        };
        self.post(call, &path, &body).await?;
        Ok(Purged {
            what,
            urls: None,
            requests: call.requests,
        })
    }

    /// Returns the ID of the zone. If the zone is configured by name, the ID is looked up.
    async fn zone_id(&self, call: &mut PurgeCall<'_>) -> Result<String, PurgeError> {
        let zone = &self.zone;
        if zone.len() == 32 && zone.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(zone.clone());
        }
        let target = format!("{}/zones?name={zone}", self.path);
        let result = self.ask(call, Request::get(target, &[])).await?;
        let id = result.get(0).and_then(|first| first.get("id")).and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| PurgeError::Refused {
            name: NAME.to_owned(),
            status: 403,
            detail: format!("it shows this token no zone {zone}"),
        })
    }

    /// Purges URLs in as few requests as Cloudflare allows.
    async fn files(&self, call: &mut PurgeCall<'_>, path: &str, urls: &[String]) -> Result<(), PurgeError> {
        let mut rest = urls;
        let mut batch = BATCH;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(batch));
            match self.post(call, path, &json!({"files": now})).await {
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

    /// Purges the URLs under the other names of the site, once those of the site are purged. Cloudflare refuses a request
    /// with a URL of another zone, so each name has its own, and a refusal is only said: it would come each time.
    async fn files_of_aliases(
        &self,
        call: &mut PurgeCall<'_>,
        path: &str,
        wanted: &PurgeRequest,
    ) -> Result<Purged, PurgeError> {
        let (mut purged, mut refused) = (wanted.urls.len(), Vec::new());
        for (name, urls) in &wanted.aliases {
            match self.files(call, path, urls).await {
                Ok(()) => purged += urls.len(),
                Err(PurgeError::Refused { .. }) => refused.push(name.as_str()),
                Err(error) => return Err(error),
            }
        }
        let mut purged = Purged::of_urls(purged, call.requests);
        if !refused.is_empty() {
            let names = refused.join(", ");
            purged.what = format!(
                "{}; it refuses those of {names}, which may be of another zone",
                purged.what
            );
        }
        Ok(purged)
    }

    async fn post(&self, call: &mut PurgeCall<'_>, path: &str, body: &Value) -> Result<Value, PurgeError> {
        self.ask(call, Request::post(path.to_owned(), body.to_string())).await
    }

    /// Sends a request, and extracts the result from the envelope of the response.
    async fn ask(&self, call: &mut PurgeCall<'_>, mut request: Request) -> Result<Value, PurgeError> {
        request.headers.push(self.token.header(NAME)?);
        let answer = call.send(&request).await?;
        match serde_json::from_slice::<Envelope>(&answer.body) {
            Ok(envelope) if envelope.success && answer.status < 300 => Ok(envelope.result),
            _ => Err(call.refused(&answer)),
        }
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

//! Purges any other CDN: POSTs what changed to a webhook, which does the purge.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;

use super::{Purge, PurgeCall, PurgeError, PurgeRequest, Purged, Token};
use crate::live::http::{Endpoint, Request};

/// A webhook that receives the list of what changed.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The server.
    pub place: Endpoint,
    /// Path and query.
    pub target: String,
    /// The token, if one is configured.
    pub token: Option<Token>,
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
        let mut request = Request::post(self.target.clone(), body.to_string());
        if let Some(token) = &self.token {
            request.headers.push(token.header(&self.name())?);
        }
        let mut call = PurgeCall {
            name: self.name(),
            place: &self.place,
            reconnects: false,
            detail: |answer| format!("status {}", answer.status),
            patience,
            until: Instant::now() + patience,
            requests: 0,
        };
        let answer = call.send(&request).await?;
        if (200..300).contains(&answer.status) {
            Ok(Purged::of_urls(wanted.urls.len(), call.requests))
        } else {
            Err(call.refused(&answer))
        }
    }
}

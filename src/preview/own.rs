//! The preview's own addresses: the script that pages get, the events that it waits for, and the dashboard with its
//! API. Also the answers to requests that come too early or for another host.
//!
//! Nothing here is part of the site. Pages of other origins may not read any of it. Requests that make the preview
//! work, or that query a target, are POST requests, and only pages of this server can send them.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts as Head;
use hyper::{HeaderMap, Method, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::body::{self, Body};
use super::guard::{is_foreign, is_of_this_server};
use super::{LiveReload, OWN, Preview, snippet};
use crate::model::digest::Digest;

/// Forbids other origins to embed an answer.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The content security policy of the dashboard: it may load its own files and send requests to this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The static files, by their address below [`OWN`].
const FILES: [(&str, &str, &str); 4] = [
    ("", HTML, include_str!("dashboard/index.html")),
    ("dashboard.css", CSS, include_str!("dashboard/dashboard.css")),
    ("dashboard.js", SCRIPT, include_str!("dashboard/dashboard.js")),
    ("client.js", SCRIPT, include_str!("dashboard/client.js")),
];

/// The longest request body in bytes, and how long it may take to arrive.
const LONGEST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

impl Preview {
    /// Answers a request for one of the preview's own addresses.
    pub(super) async fn own(&self, head: &Head, body: Incoming) -> Response<Body> {
        if is_foreign(&head.headers) {
            return says(StatusCode::FORBIDDEN, TEXT, "pages of other sites may not read this\n");
        }
        let Some(path) = head.uri.path().strip_prefix(OWN) else {
            let mut answer = says(StatusCode::PERMANENT_REDIRECT, TEXT, OWN);
            answer.headers_mut().insert(LOCATION, HeaderValue::from_static(OWN));
            return answer;
        };
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        if !is_read && head.method != Method::POST {
            return not_allowed("GET, HEAD, POST");
        }
        let answer = if is_read { self.read(path) } else { None };
        match answer {
            Some(answer) => answer,
            None if head.method == Method::POST && is_question(path) => {
                if !is_of_this_server(&head.headers) {
                    return says(StatusCode::FORBIDDEN, TEXT, "only a page of this server may ask this\n");
                }
                let value = self.asked(path, &head.headers, body).await;
                let unreadable = || says(StatusCode::BAD_REQUEST, TEXT, "this takes JSON of the right form\n");
                value.map_or_else(unreadable, |value| json(&value))
            }
            None if is_read && is_question(path) => not_allowed("POST"),
            None if !is_read && self.read(path).is_some() => not_allowed("GET, HEAD"),
            None => says(StatusCode::NOT_FOUND, TEXT, format!("nothing here; there is {OWN}\n")),
        }
    }

    /// Answers a GET request that needs no further work.
    fn read(&self, path: &str) -> Option<Response<Body>> {
        if let Some((_, media_type, text)) = FILES.iter().find(|(name, ..)| *name == path) {
            let mut answer = says(StatusCode::OK, media_type, *text);
            answer
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            return Some(answer);
        }
        let value = match path {
            "events" => {
                let mut answer = says(StatusCode::OK, "text/event-stream", "");
                answer.headers_mut().remove(CONTENT_LENGTH);
                *answer.body_mut() = self.hub.events();
                return Some(answer);
            }
            "status" => self.status(),
            "api/site" => self.files(),
            "api/findings" => self.findings(),
            "api/times" => serde_json::json!(self.hub.times()),
            _ => return None,
        };
        Some(json(&value))
    }

    /// Answers a POST request of a page of this server. `None` if its body can't be read.
    async fn asked(&self, path: &str, headers: &HeaderMap, body: Incoming) -> Option<serde_json::Value> {
        let is_json = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(JSON.as_bytes()));
        let read = tokio::time::timeout(PATIENCE, body::read(body, LONGEST)).await;
        let question = read.ok().flatten().filter(|_| is_json)?;
        Some(match path {
            "api/affected" => self.affected(parsed(&question)?).await,
            "api/sizes" => self.sizes(parsed(&question)?).await,
            "api/page" => self.loads(parsed(&question)?).await,
            "api/plan" => self.plan().await,
            _ => self.releases().await,
        })
    }

    /// Returns a summary of what is served.
    fn status(&self) -> serde_json::Value {
        let site = self.site();
        serde_json::json!({
            "ready": site.is_some(),
            "files": site.as_ref().map(|site| site.site.files),
            "root": site.as_ref().map(|site| site.site.root.to_string()),
            "clients": self.clients(),
        })
    }

    /// Answers that there is no site yet. A browser that opened a page reloads it as soon as there is one.
    pub(super) fn waiting(&self, headers: &HeaderMap) -> Response<Body> {
        let text = "there is no site to show yet: the export is missing, or is being read";
        self.not_yet(headers, "No site yet", text, None)
    }

    /// Answers that the file has changed since the site was prepared and its old content is gone. The next site will be
    /// ready soon.
    pub(super) fn changing(&self, headers: &HeaderMap, site: Digest) -> Response<Body> {
        let text = "this file has changed since the site was read: it is shown as soon as it is read again";
        self.not_yet(headers, "Being read", text, Some(site))
    }

    /// Answers with 503. A browser that opened a page tries again by itself.
    fn not_yet(&self, headers: &HeaderMap, title: &str, text: &str, site: Option<Digest>) -> Response<Body> {
        let mut answer = if self.live == LiveReload::Yes && snippet::is_opened(headers) {
            let script = snippet::element("", site);
            // If the next site is identical to this one, no event is sent, so the page has to refresh itself.
            let refresh = site.map_or("", |_| "<meta http-equiv=\"refresh\" content=\"1\">");
            let page = format!(
                "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">{refresh}<title>{title}</title>\n\
                 <h1>{title}</h1>\n<p>{text}.\n{script}\n"
            );
            says(StatusCode::SERVICE_UNAVAILABLE, HTML, page)
        } else {
            says(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{text}\n"))
        };
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }
}

/// Whether an address takes POST requests.
fn is_question(path: &str) -> bool {
    matches!(
        path,
        "api/affected" | "api/sizes" | "api/page" | "api/plan" | "api/releases"
    )
}

fn parsed<T: DeserializeOwned>(question: &Bytes) -> Option<T> {
    serde_json::from_slice(question).ok()
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut answer = says(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {allowed}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn json(value: &serde_json::Value) -> Response<Body> {
    says(StatusCode::OK, JSON, format!("{value}\n"))
}

/// Answers a request for a different host.
pub(super) fn misdirected() -> Response<Body> {
    let text = "this is the preview of a site, for this machine: ask for it as localhost or 127.0.0.1, or under the \
                name that --host gave it\n";
    says(StatusCode::MISDIRECTED_REQUEST, TEXT, text)
}

fn says(status: StatusCode, media_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let text: Bytes = text.into();
    let length = HeaderValue::from(text.len());
    let mut answer = Response::new(body::whole(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

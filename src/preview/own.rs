//! What the preview says of itself: its own addresses, and answers to who asks too early or for somebody else.
//!
//! Nothing here is part of the site. Pages of other sites may not read any of it.

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts as Head;
use hyper::{Method, Response, StatusCode};

use super::body::{self, Body};
use super::guard::is_foreign;
use super::{OWN, Preview};

/// Who else may embed an answer: nobody.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const TEXT: &str = "text/plain; charset=utf-8";

impl Preview {
    /// Answers a request for one of the preview's own addresses.
    pub(super) fn own(&self, head: &Head) -> Response<Body> {
        if is_foreign(&head.headers) {
            return says(
                StatusCode::FORBIDDEN,
                TEXT,
                "pages of other sites may not read this\n".into(),
            );
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut answer = says(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into());
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match head.uri.path().strip_prefix(OWN) {
            Some("status") => says(StatusCode::OK, "application/json", self.status()),
            _ => says(
                StatusCode::NOT_FOUND,
                TEXT,
                format!("nothing here; there is {OWN}status\n"),
            ),
        }
    }

    /// What is served now, as JSON.
    fn status(&self) -> String {
        let site = self.site();
        let status = serde_json::json!({
            "ready": site.is_some(),
            "files": site.as_ref().map(|site| site.site.files),
            "root": site.as_ref().map(|site| site.site.root.to_string()),
        });
        format!("{status}\n")
    }
}

/// There is no site yet.
pub(super) fn waiting() -> Response<Body> {
    let text = "there is no site to show yet: the export is missing, or is being read\n";
    let mut answer = says(StatusCode::SERVICE_UNAVAILABLE, TEXT, text.into());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// The request is for another host.
pub(super) fn misdirected() -> Response<Body> {
    let text = "this is the preview of a site, for this machine: ask for it as localhost or 127.0.0.1, or under the \
                name that --host gave it\n";
    says(StatusCode::MISDIRECTED_REQUEST, TEXT, text.into())
}

fn says(status: StatusCode, media_type: &'static str, text: String) -> Response<Body> {
    let length = HeaderValue::from(text.len());
    let mut answer = Response::new(body::of(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

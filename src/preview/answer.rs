//! Answers requests for the site.
//!
//! [`crate::rules`] decides what an address gets. This module follows nginx's order of checks: whether the request is
//! valid, where its address leads, whether the method is allowed, which encoding, whether the client's copy is current,
//! which range.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, RANGE, VARY,
};
use hyper::http::request::Parts as Head;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::body::{self, Body};
use super::bytes::{BodyPart, joined};
use super::guard::{BadHost, check_host};
use super::snapshot::{Resource, Snapshot};
use super::{LiveReload, OWN, Preview, normalized_page, snippet};
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::media;
use crate::model::redirect::Redirect;
use crate::next::page::owners;
use crate::rules::conditions::{ConditionResult, Conditions, Time, Validators, evaluate};
use crate::rules::custom_headers::Changed;
use crate::rules::ranges::{self, Parts};
use crate::rules::types::content_type;
use crate::rules::{Address, BadAddress, CODINGS, MAX_BODY, NOT_FOUND_PAGE, Outcome, Rules, accepts, headers, marker};
use crate::site::source::SourceError;

/// A longer page is sent unchanged: it is not loaded into memory to add a script.
const LONGEST_PAGE: u64 = 4 << 20;

/// A file, as it is served to one client.
struct Served<'a> {
    found: Resource,
    /// Its path in the site.
    path: &'a str,
    /// The content, if it differs from the file: a page with the script of the preview, or an encoding.
    content: Option<Bytes>,
    /// The content coding of the answer. A request for the path of an encoding gets it as an ordinary file, without one.
    coding: Option<Coding>,
    /// Whether another client may get a different encoding.
    varies: bool,
    content_type: String,
    etag: String,
    length: u64,
}

impl Served<'_> {
    /// Sets the content to an encoding of it.
    fn encode(&mut self, coding: Coding, bytes: Bytes) {
        self.etag = format!("{}-{coding}\"", self.etag.trim_end_matches('"'));
        self.length = bytes.len() as u64;
        self.content = Some(bytes);
    }
}

impl Preview {
    /// Answers a request.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let site = self.site();
        let is_old = head.version < Version::HTTP_11;
        let authority = head.uri.authority().map(hyper::http::uri::Authority::as_str);
        let rules = site.as_ref().map(|site| &site.rules);
        let refused = |status| with_own_headers(rules, &head, refusal(rules, status));
        let answer = match check_host(&self.names, &head.headers, authority, is_old) {
            Err(BadHost::Malformed) => refused(StatusCode::BAD_REQUEST),
            Err(BadHost::Foreign) => super::own::misdirected(),
            Ok(()) if !is_method(&head.method) => refused(StatusCode::BAD_REQUEST),
            Ok(()) if matches!(head.method, Method::TRACE | Method::CONNECT) => refused(StatusCode::METHOD_NOT_ALLOWED),
            Ok(()) if is_own(head.uri.path()) => self.own(&head, body).await,
            Ok(()) => match &site {
                None => self.waiting(&head.headers),
                Some(site) => match self.of_site(&head, site).await {
                    Ok(answer) => with_own_headers(rules, &head, answer),
                    Err(_) => self.changing(&head.headers, site.site.root),
                },
            },
        };
        Ok(for_method(&head.method, answer))
    }

    async fn of_site(&self, head: &Head, site: &Arc<Snapshot>) -> Result<Response<Body>, SourceError> {
        let rules = &site.rules;
        let Ok(address) = address(head) else {
            return Ok(refusal(Some(rules), StatusCode::BAD_REQUEST));
        };
        if length_of(&head.headers).is_some_and(|length| length > MAX_BODY) {
            let mut answer = refusal(Some(rules), StatusCode::PAYLOAD_TOO_LARGE);
            set(&mut answer, CONNECTION, "close");
            return Ok(answer);
        }
        let outcome = rules.resolve(&address, &|path| site.has(path));
        match outcome {
            Outcome::NotFound => self.not_found(head, site).await,
            Outcome::Language => Ok(language(rules, head, &address)),
            Outcome::Moved(to) => Ok(moved(rules, StatusCode::PERMANENT_REDIRECT, &to)),
            Outcome::Entry(path) => match site.redirect(&path) {
                Some(redirect) => Ok(redirected(rules, &address, redirect)),
                None => self.not_found(head, site).await,
            },
            Outcome::Pattern(redirect) => Ok(redirected(rules, &address, &redirect)),
            Outcome::Marker => Ok(marked(site)),
            Outcome::File { path, default_type } => self.file(head, site, &path, default_type).await,
        }
    }

    async fn file(
        &self,
        head: &Head,
        site: &Arc<Snapshot>,
        path: &str,
        default_type: &str,
    ) -> Result<Response<Body>, SourceError> {
        let rules = &site.rules;
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Ok(refusal(Some(rules), StatusCode::METHOD_NOT_ALLOWED));
        }
        let Some(served) = self.served(head, site, path, default_type).await? else {
            return self.not_found(head, site).await;
        };
        let file = Validators {
            etag: &served.etag,
            modified: served.found.since,
        };
        match evaluate(conditions(&head.headers), file) {
            ConditionResult::Failed => {
                let mut answer = refusal(Some(rules), StatusCode::PRECONDITION_FAILED);
                vary(&mut answer, served.varies);
                return Ok(answer);
            }
            ConditionResult::NotModified => {
                let mut answer = blank(Some(rules), StatusCode::NOT_MODIFIED, Some(served.path), body::empty());
                validate(&mut answer, &served);
                return Ok(answer);
            }
            ConditionResult::Send => {}
        }
        match parts(&head.headers, &served) {
            Parts::None => {
                let mut answer = refusal(Some(rules), StatusCode::RANGE_NOT_SATISFIABLE);
                vary(&mut answer, served.varies);
                set(&mut answer, CONTENT_RANGE, &format!("bytes */{}", served.length));
                Ok(answer)
            }
            Parts::Whole => {
                let mut answer = self.whole(site, &served, StatusCode::OK).await?;
                if served.coding.is_none() {
                    set(&mut answer, ACCEPT_RANGES, "bytes");
                }
                Ok(answer)
            }
            Parts::Some(parts) => self.partial(site, &served, &parts).await,
        }
    }

    /// Answers with the 404 page. Conditions, ranges and the method are ignored.
    async fn not_found(&self, head: &Head, site: &Arc<Snapshot>) -> Result<Response<Body>, SourceError> {
        let page = address(head).map_or_else(
            |_| NOT_FOUND_PAGE.to_owned(),
            |address| {
                site.rules
                    .not_found_page(&address, &|path| site.resource(path).is_some())
            },
        );
        let status = StatusCode::NOT_FOUND;
        let Some(served) = self.served(head, site, &page, media::UNKNOWN).await? else {
            return Ok(refusal(Some(&site.rules), status));
        };
        let mut answer = self.whole(site, &served, status).await?;
        answer.headers_mut().remove(LAST_MODIFIED);
        Ok(answer)
    }

    /// Selects the content and the encoding of a file for this client. `default_type` is its media type if the path
    /// does not determine it. `None` if there is no such file, or if the path is that of an encoding which does not exist.
    async fn served<'a>(
        &self,
        head: &Head,
        site: &Arc<Snapshot>,
        path: &'a str,
        default_type: &str,
    ) -> Result<Option<Served<'a>>, SourceError> {
        let Some(found) = site.resource(path) else {
            return Ok(None);
        };
        let accepted = head.headers.get(ACCEPT_ENCODING).map(HeaderValue::as_bytes);
        let is_old = head.version < Version::HTTP_11;
        let media_type = site.rules.type_of(path, default_type);
        let page = self.page(head, site, &found, media_type).await?;
        let file = (found.file.digest, found.file.size);
        let (digest, length) = page.as_ref().map_or(file, |page| (Digest::of(page), page.len() as u64));
        let mut served = Served {
            path,
            content: page,
            content_type: content_type(media_type),
            etag: format!("\"{}\"", digest.short(32)),
            length,
            coding: None,
            varies: false,
            found,
        };
        if let Some((coding, recipe)) = served.found.encoding {
            let encoding = self.encoding(site, &served.found, coding, recipe).await?;
            return Ok(encoding.map(|bytes| {
                served.encode(coding, bytes);
                served
            }));
        }
        for coding in CODINGS {
            let Some(recipe) = served.found.file.encodings.get(coding) else {
                continue;
            };
            if !accepted.is_some_and(|accepted| accepts(coding, accepted, is_old)) {
                served.varies = true;
                continue;
            }
            let encoding = match &served.content {
                Some(page) => self.encoding_of(page, &served.found.path, coding).await?,
                None => self.encoding(site, &served.found, coding, recipe).await?,
            };
            if let Some(bytes) = encoding {
                served.varies = true;
                served.encode(coding, bytes);
                served.coding = Some(coding);
                break;
            }
        }
        Ok(Some(served))
    }

    /// Returns the page with the script of the preview if a browser opens it, or `None` if the file has to be sent
    /// unchanged.
    async fn page(
        &self,
        head: &Head,
        site: &Arc<Snapshot>,
        found: &Resource,
        media_type: &str,
    ) -> Result<Option<Bytes>, SourceError> {
        let is_page = media_type == "text/html" && found.encoding.is_none() && found.file.size <= LONGEST_PAGE;
        let is_opened = is_page && snippet::is_opened(&head.headers) && may_run_script(&site.rules, head);
        if self.live == LiveReload::No || !is_opened {
            if self.live == LiveReload::Yes && self.clients() > 0 && !owners(found.path.as_str()).is_empty() {
                self.normalize_aside(site, found);
            }
            return Ok(None);
        }
        let (site, found) = (Arc::clone(site), found.clone());
        let is_new = !self.hub.has_seen(found.file.digest);
        let (digest, root) = (found.file.digest, site.site.root);
        let read = move || {
            let bytes = site.source.read(&found.path, found.file.digest, found.file.size)?;
            let path = found.path.as_str();
            let Ok(text) = String::from_utf8(bytes) else {
                return Ok((None, None));
            };
            let blind = is_new.then(|| normalized_page::normalize(path, &text));
            Ok((snippet::inject(&text, path, root), blind))
        };
        let (page, blind) = self.aside(read).await?;
        if let Some(blind) = blind {
            self.hub.saw(digest, blind);
        }
        Ok(page.map(Bytes::from))
    }

    async fn whole(
        &self,
        site: &Arc<Snapshot>,
        served: &Served<'_>,
        status: StatusCode,
    ) -> Result<Response<Body>, SourceError> {
        let all = vec![BodyPart::Part(0..served.length)];
        self.sent(site, served, status, all).await
    }

    async fn partial(
        &self,
        site: &Arc<Snapshot>,
        served: &Served<'_>,
        parts: &[Range<u64>],
    ) -> Result<Response<Body>, SourceError> {
        let status = StatusCode::PARTIAL_CONTENT;
        if let [part] = parts {
            let sections = vec![BodyPart::Part(part.clone())];
            let mut answer = self.sent(site, served, status, sections).await?;
            set(&mut answer, CONTENT_RANGE, &ranges::content_range(part, served.length));
            return Ok(answer);
        }
        let mut sections = Vec::new();
        for part in parts {
            let header = ranges::part_header(&served.content_type, part, served.length);
            sections.extend([BodyPart::Text(header), BodyPart::Part(part.clone())]);
        }
        sections.push(BodyPart::Text(ranges::closing()));
        let mut answer = self.sent(site, served, status, sections).await?;
        let several = format!("multipart/byteranges; boundary={}", ranges::BOUNDARY);
        set(&mut answer, CONTENT_TYPE, &several);
        Ok(answer)
    }

    /// Sends sections of what is served, with the headers that describe it.
    async fn sent(
        &self,
        site: &Arc<Snapshot>,
        served: &Served<'_>,
        status: StatusCode,
        sections: Vec<BodyPart>,
    ) -> Result<Response<Body>, SourceError> {
        let lengths = sections.iter().map(|section| match section {
            BodyPart::Text(text) => text.len() as u64,
            BodyPart::Part(part) => part.end - part.start,
        });
        let length: u64 = lengths.sum();
        let body = match &served.content {
            Some(bytes) => body::whole(joined(bytes, &sections)),
            None => self.sections(site, &served.found, sections).await?,
        };
        let mut answer = blank(Some(&site.rules), status, Some(served.path), body);
        set(&mut answer, CONTENT_TYPE, &served.content_type);
        set(&mut answer, CONTENT_LENGTH, &length.to_string());
        if let Some(coding) = served.coding {
            set(&mut answer, CONTENT_ENCODING, &coding.to_string());
        }
        validate(&mut answer, served);
        Ok(answer)
    }
}

/// Whether an address is one of the preview's own.
fn is_own(path: &str) -> bool {
    path.starts_with(OWN) || path == OWN.trim_end_matches('/')
}

/// Whether nginx accepts the method as well-formed.
fn is_method(method: &Method) -> bool {
    let known = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-');
    method.as_str().bytes().all(known)
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn parts(headers: &HeaderMap, served: &Served<'_>) -> Parts {
    let Some(range) = headers.get(RANGE).filter(|_| served.coding.is_none()) else {
        return Parts::Whole;
    };
    let counts = headers.get(IF_RANGE).is_none_or(|value| {
        let value = value.as_bytes();
        ranges::counts(value, &served.etag, served.found.since, seconds(value))
    });
    if counts {
        ranges::parse(range.as_bytes(), served.length)
    } else {
        Parts::Whole
    }
}

fn conditions(headers: &HeaderMap) -> Conditions<'_> {
    let list = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let time = |name: HeaderName| -> Time { headers.get(name).map(|value| seconds(value.as_bytes())) };
    Conditions {
        matches: list(IF_MATCH),
        none_matches: list(IF_NONE_MATCH),
        modified_since: time(IF_MODIFIED_SINCE),
        unmodified_since: time(IF_UNMODIFIED_SINCE),
    }
}

/// Parses an HTTP date into seconds since 1970.
fn seconds(value: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Builds an answer with the headers that every answer has. `path` is the path of the file that it carries.
fn blank(rules: Option<&Rules>, status: StatusCode, path: Option<&str>, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    if let Some(rules) = rules {
        set(&mut answer, CACHE_CONTROL, rules.cache_control(status.as_u16(), path));
        let deployment = rules.deployment_id.as_deref().map(|id| (headers::DEPLOYMENT, id));
        for (name, value) in headers::SECURITY.into_iter().chain(deployment) {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                set(&mut answer, name, value);
            }
        }
    }
    answer
}

/// The address of a request.
fn address(head: &Head) -> Result<Address, BadAddress> {
    Address::parse(
        head.uri
            .path_and_query()
            .map_or("", |target| target.as_str())
            .as_bytes(),
    )
}

/// What the site's own rules change at the address of a request.
fn changed<'r>(rules: &'r Rules, head: &Head) -> Vec<Changed<'r>> {
    let asked = address(head).map(|address| address.path);
    rules.headers.at(&asked.unwrap_or_default())
}

/// Replaces and removes headers as the site's own rules say.
fn with_own_headers(rules: Option<&Rules>, head: &Head, mut answer: Response<Body>) -> Response<Body> {
    for changed in rules.map(|rules| changed(rules, head)).unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(changed.name.as_bytes()) else {
            continue;
        };
        answer.headers_mut().remove(&name);
        for value in changed.values {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.headers_mut().append(&name, value);
            }
        }
    }
    answer
}

/// Whether the site's own headers let a page run the script of the preview.
fn may_run_script(rules: &Rules, head: &Head) -> bool {
    let changed = changed(rules, head);
    let policies = changed
        .iter()
        .filter(|changed| CONTENT_SECURITY_POLICY == *changed.name);
    policies
        .flat_map(|changed| &changed.values)
        .all(|policy| snippet::allows(policy))
}

/// Builds an answer with a text that is not a file.
fn without_file(rules: Option<&Rules>, status: StatusCode, media_type: &str, text: String) -> Response<Body> {
    let length = text.len();
    let mut answer = blank(rules, status, None, body::whole(text));
    set(&mut answer, CONTENT_TYPE, &content_type(media_type));
    set(&mut answer, CONTENT_LENGTH, &length.to_string());
    answer
}

/// Builds a short page that states the status.
fn refusal(rules: Option<&Rules>, status: StatusCode) -> Response<Body> {
    let title = format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default());
    let page = format!("<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>syntax-publish watch\n");
    without_file(rules, status, "text/html", page)
}

fn language(rules: &Rules, head: &Head, address: &Address) -> Response<Body> {
    let accepted = head.headers.get(ACCEPT_LANGUAGE).map(HeaderValue::to_str);
    let to = rules.front_of(accepted.and_then(Result::ok).unwrap_or_default());
    moved(
        rules,
        StatusCode::FOUND,
        &address.with_query(to.unwrap_or_default().as_bytes()),
    )
}

fn redirected(rules: &Rules, address: &Address, redirect: &Redirect) -> Response<Body> {
    let status = StatusCode::from_u16(redirect.status().code()).unwrap_or(StatusCode::PERMANENT_REDIRECT);
    moved(rules, status, &redirect.location_with_query(address.query()))
}

fn moved(rules: &Rules, status: StatusCode, to: &[u8]) -> Response<Body> {
    let mut answer = refusal(Some(rules), status);
    if let Ok(to) = HeaderValue::from_bytes(to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

/// Answers with the marker, as the vhost does. The marker is not a file: it has no validators and no ranges, and every
/// method gets it.
fn marked(site: &Snapshot) -> Response<Body> {
    let text = marker::text(&site.site.root.to_string(), &marker::settings(&site.rules));
    without_file(Some(&site.rules), StatusCode::OK, "text/plain", text)
}

/// Sets the headers with which a client can revalidate its copy.
fn validate(answer: &mut Response<Body>, served: &Served<'_>) {
    set(answer, ETAG, &served.etag);
    let modified: SystemTime = UNIX_EPOCH + Duration::from_secs(served.found.since);
    set(answer, LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    vary(answer, served.varies);
}

fn vary(answer: &mut Response<Body>, varies: bool) {
    if varies {
        set(answer, VARY, "Accept-Encoding");
    }
}

/// Sets a header. A value that is not a valid header value is left out.
fn set(answer: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Removes the body if only the head was requested.
fn for_method(method: &Method, mut answer: Response<Body>) -> Response<Body> {
    if method == Method::HEAD {
        *answer.body_mut() = body::empty();
    }
    answer
}

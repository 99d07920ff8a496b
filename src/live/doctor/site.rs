//! Checks the origin's responses: whether they come from this site's vhost, by the current rules, and from this store.
//! Pure.

use super::finding::{CheckResult, Outcome, fine, none_asked, not_asked, wrong};
use crate::live::http::Response;
use crate::model::cache::CacheClass;
use crate::model::path::printable;
use crate::rules::headers;
use crate::rules::marker::{self, Marker, RULES};

/// One response, or why there is none. `None` if the request was not sent.
pub type Reply = Option<Result<Response, String>>;

/// The origin's responses.
#[derive(Debug, Default)]
pub struct Replies {
    /// The marker's address.
    pub marker: Reply,
    /// The front page, requested without conditions.
    pub page: Reply,
    /// The front page, requested with Brotli accepted.
    pub brotli: Reply,
    /// The front page, requested with gzip accepted.
    pub gzip: Reply,
    /// The front page, requested with its current `ETag`.
    pub kept: Reply,
    /// A file that never changes.
    pub asset: Reply,
    /// A page that does not exist.
    pub missing: Reply,
    /// A file below `_next/static/` that does not exist.
    pub missing_asset: Reply,
    /// A file whose name begins with a dot.
    pub dot: Reply,
    /// The front page over HTTP, if the site's URL is https.
    pub plain: Reply,
}

/// The front page in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrontPage {
    /// Size of the page in bytes.
    pub size: u64,
    /// Modification time of the page, in seconds since 1970.
    pub mtime: i64,
    /// Size of its Brotli encoding in bytes, if there is one.
    pub brotli: Option<u64>,
    /// Size of its gzip encoding in bytes, if there is one.
    pub gzip: Option<u64>,
}

/// What is known in addition to the responses.
#[derive(Debug, Clone, Copy)]
pub struct SiteFacts<'a> {
    /// The site's URL, without a trailing slash.
    pub url: &'a str,
    /// Whether requests to the origin use TLS.
    pub tls: bool,
    /// For how many seconds the origin should tell browsers to use only HTTPS. `None` if it should not.
    pub hsts: Option<u64>,
    /// The digest of the live tree. `None` if it could not be read from the store.
    pub tree: Option<&'a str>,
    /// The front page in the store. `None` if it could not be read.
    pub front: Option<FrontPage>,
    /// The time in the page's `Last-Modified` header, in seconds since 1970.
    pub modified: Option<i64>,
}

/// Checks everything from `vhost` to `redirect`.
pub(super) fn site_checks(replies: &Replies, known: SiteFacts<'_>) -> [Outcome; 9] {
    let page = match &replies.page {
        Some(Ok(page)) => page,
        Some(Err(why)) => return none_asked(&format!("the origin does not answer: {why}")),
        None => return none_asked("the origin can't be reached"),
    };
    let vhost = vhost(replies, page, known);
    let why = match vhost.state {
        CheckResult::Wrong => "another site or store answers",
        CheckResult::NotAsked if marker_of(replies).is_none() => "it can't be seen whether this site's vhost answers",
        _ => {
            return [
                vhost,
                rules(replies),
                encoding("br", &replies.brotli, known.front.map(|front| front.brotli)),
                encoding("gzip", &replies.gzip, known.front.map(|front| front.gzip)),
                every_header(replies, known),
                cache(replies),
                missing(replies),
                dot_files(replies),
                redirect(replies, known),
            ];
        }
    };
    let mut all = none_asked(why);
    all[0] = vhost;
    all
}

fn ok(reply: &Reply) -> Option<&Response> {
    reply.as_ref().and_then(|reply| reply.as_ref().ok())
}

fn marker_of(replies: &Replies) -> Option<Marker> {
    let answer = ok(&replies.marker).filter(|answer| answer.status == 200)?;
    Marker::parse(std::str::from_utf8(&answer.body).ok()?)
}

const PRINT: &str = "set `nginx-root` and `nginx-version` of the target, print the vhost with `syntax-publish nginx`, put it in sites-enabled, and reload nginx";

/// Checks whether this site's vhost answers and serves this store.
fn vhost(replies: &Replies, page: &Response, known: SiteFacts<'_>) -> Outcome {
    let (Some(tree), Some(front)) = (known.tree, known.front) else {
        return not_asked("the store can't be read to see what should be served");
    };
    // Whether the page has the same time and length as the one in the store.
    let is_stores = known.modified == Some(front.mtime) && page.body.len() as u64 == front.size;
    let detail = match marker_of(replies) {
        Some(marker) if marker.tree.is_empty() => {
            "the vhost is this tool's, but `current` of its docroot leads to no release: it is another folder, or nginx may not enter it".to_owned()
        }
        Some(marker) if marker.tree != tree => format!(
            "the vhost serves tree {}, and the live one of this store is {}: its docroot is that of another store",
            short(&marker.tree),
            short(tree)
        ),
        Some(_) if page.status == 200 && !is_stores => {
            "the vhost serves the same site from another store: the times of its files are not those of this one".to_owned()
        }
        Some(_) => return fine(format!("serves `current` of this store (tree {})", short(tree))),
        None if page.status == 200 && is_stores => {
            return fine("serves `current` of this store, by the time and length of its front page");
        }
        None => {
            let by = page.header("server").map_or_else(String::new, |server| format!(" ({server})"));
            format!(
                "another vhost answers for this name{by}: its front page ({}, {} bytes) is not this store's",
                page.status,
                page.body.len()
            )
        }
    };
    wrong(detail, PRINT)
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn rules(replies: &Replies) -> Outcome {
    let number = marker_of(replies).map_or(1, |marker| marker.rules);
    match number {
        RULES => fine(format!("printed by the rules of this version ({RULES})")),
        newer if newer > RULES => fine(format!("printed by a later version ({newer}; this one has {RULES})")),
        older => wrong(
            format!(
                "the vhost was printed by an older version ({older}; now {RULES}): {}",
                marker::missing(older).join("; ")
            ),
            PRINT,
        ),
    }
}

fn encoding(coding: &str, reply: &Reply, stored: Option<Option<u64>>) -> Outcome {
    let stored = match stored {
        Some(Some(stored)) => stored,
        Some(None) => return not_asked("the front page of the live release has no such encoding"),
        None => return not_asked("the store can't be read to see which encodings there are"),
    };
    let Some(answer) = ok(reply) else {
        return not_asked("the origin did not answer that request");
    };
    let module = match coding {
        "br" => {
            "install the module (Debian: libnginx-mod-http-brotli-static), and print the vhost without --without-brotli"
        }
        _ => "print the vhost again: it has `gzip_static on`",
    };
    match answer.header("content-encoding") {
        Some(sent) if sent == coding && answer.body.len() as u64 == stored => {
            fine(format!("served from the file beside the page ({stored} bytes)"))
        }
        Some(sent) if sent == coding => wrong(
            format!(
                "compressed for each request ({} bytes), instead of the file of the release ({stored} bytes)",
                answer.body.len()
            ),
            module,
        ),
        _ => wrong(
            format!(
                "a browser that accepts {coding} gets the page uncompressed ({} bytes)",
                answer.body.len()
            ),
            module,
        ),
    }
}

/// The responses that all header checks apply to, each with the name of its kind.
fn kinds(replies: &Replies) -> impl Iterator<Item = (&'static str, &Response)> {
    [
        ("a page", &replies.page),
        ("an unchanged page (304)", &replies.kept),
        ("a file of the build", &replies.asset),
        ("a missing page", &replies.missing),
        ("a missing file of the build", &replies.missing_asset),
    ]
    .into_iter()
    .filter_map(|(kind, reply)| Some((kind, ok(reply)?)))
}

fn every_header(replies: &Replies, known: SiteFacts<'_>) -> Outcome {
    let mut number = 0;
    let hsts = known.hsts.map(|seconds| (headers::HSTS, format!("max-age={seconds}")));
    for (kind, answer) in kinds(replies) {
        number += 1;
        let hsts = hsts.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in headers::SECURITY.into_iter().chain(hsts) {
            let sent = answer.header(&name.to_ascii_lowercase());
            if sent != Some(value) {
                let sent = sent.map_or_else(|| "no".to_owned(), |sent| format!("another ({})", printable(sent)));
                return wrong(
                    format!("{kind} has {sent} {name}"),
                    "print the vhost again instead of editing it: one `add_header` in a location drops all others there",
                );
            }
        }
    }
    fine(format!("as printed, on {number} kinds of answers"))
}

fn cache(replies: &Replies) -> Outcome {
    let (page, forever) = (
        CacheClass::Revalidate.cache_control(),
        CacheClass::Immutable.cache_control(),
    );
    for (kind, answer) in kinds(replies) {
        let wanted = match (kind, answer.status) {
            (_, 400..) => headers::NO_STORE,
            ("a file of the build", 200) => forever,
            _ => page,
        };
        let all: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "cache-control")
            .map(|(_, value)| value.as_str())
            .collect();
        if all != [wanted] {
            let sent = if all.is_empty() {
                "nothing".to_owned()
            } else {
                all.join(" and ")
            };
            let readers = match wanted {
                headers::NO_STORE => "browsers and the CDN may cache an error",
                wanted if wanted == forever => "browsers download again what never changes",
                _ => "browsers may show an old page after a publish",
            };
            return wrong(
                format!(
                    "{kind} says {} in Cache-Control instead of {wanted}: {readers}",
                    printable(&sent)
                ),
                "print the vhost again, and see whether `expires` or `add_header` was added to it",
            );
        }
    }
    fine("pages revalidate, build assets are immutable, errors are not cached")
}

fn missing(replies: &Replies) -> Outcome {
    for (what, reply) in [
        ("a page", &replies.missing),
        ("a file below _next/static/", &replies.missing_asset),
    ] {
        let Some(answer) = ok(reply) else {
            return not_asked("the origin did not answer that request");
        };
        if answer.status != 404 {
            return wrong(
                format!(
                    "{what} that does not exist answers {}: search engines and open tabs take it for one that does",
                    answer.status
                ),
                "print the vhost again: no `try_files` of it ends with a page",
            );
        }
    }
    fine("answers 404")
}

fn dot_files(replies: &Replies) -> Outcome {
    let Some(answer) = ok(&replies.dot) else {
        return not_asked("the origin did not answer that request");
    };
    match answer.status {
        403 | 404 => fine(format!("refused ({})", answer.status)),
        status => wrong(
            format!("a name that begins with a dot answers {status}"),
            "print the vhost again: it has a location that hides them",
        ),
    }
}

fn redirect(replies: &Replies, known: SiteFacts<'_>) -> Outcome {
    if !known.tls {
        return not_asked("the site's URL is http");
    }
    match &replies.plain {
        None => not_asked("the site's port is not the default, so there is none for HTTP"),
        Some(Err(why)) => not_asked(&format!("nothing answers over HTTP: {why}")),
        Some(Ok(answer)) => {
            let to = answer.header("location").unwrap_or_default();
            let permanent = matches!(answer.status, 301 | 308);
            if permanent && to == format!("{}/", known.url) {
                fine(format!("HTTP leads to {to} ({})", answer.status))
            } else {
                let to = if to.is_empty() {
                    String::new()
                } else {
                    format!(", to {}", printable(to))
                };
                wrong(
                    format!(
                        "HTTP answers {}{to}: visitors who type the name get no TLS, or another site",
                        answer.status
                    ),
                    "print the vhost again: its first server block redirects HTTP to HTTPS; another one for this name on port 80 may come first",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_may_be_anybodys_is_not_judged_by_this_sites_rules() {
        let known = SiteFacts {
            url: "https://docs.example.com",
            tls: true,
            hsts: None,
            tree: None,
            front: None,
            modified: None,
        };
        let answer = Response {
            status: 404,
            headers: Vec::new(),
            body: Vec::new(),
        };
        let replies = Replies {
            marker: Some(Ok(answer.clone())),
            page: Some(Ok(answer)),
            ..Replies::default()
        };
        let found = site_checks(&replies, known);
        assert!(
            found.iter().all(|finding| finding.state == CheckResult::NotAsked),
            "{found:?}"
        );
    }
}

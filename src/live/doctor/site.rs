//! Checks the origin's responses: whether they come from this site's vhost, by the current rules, and from this store.
//! Pure.

use super::finding::{CheckResult, Outcome, fine, none_asked, not_asked, wrong};
use crate::live::http::Response;
use crate::model::cache::CacheClass;
use crate::model::path::printable;
use crate::rules::marker::{self, Marker, RULES};
use crate::rules::{Address, CustomHeaders, headers};

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
    /// The addresses of the requests.
    pub asked: Asked,
}

/// Paths of requests, as they were sent.
#[derive(Debug, Default)]
pub struct Asked {
    /// The front page.
    pub front: String,
    /// The file that never changes; empty if it was not requested.
    pub asset: String,
    /// The page that does not exist.
    pub missing: String,
    /// The file below `_next/static/` that does not exist.
    pub missing_asset: String,
}

/// What the vhost of the site and the target is printed with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Printed {
    /// For how many seconds browsers should use only HTTPS. `None` if the vhost does not send that header.
    pub hsts: Option<u64>,
    /// The headers of the site's own. `None` if its export can't be read.
    pub headers: Option<CustomHeaders>,
    /// The digest of everything that it is printed from, see [`marker::settings`]. `None` if the export can't be read.
    pub settings: Option<String>,
    /// Whether search engines are asked to leave the whole site out.
    pub noindex: bool,
    /// Whether visitors need a password.
    pub has_password: bool,
    /// Whether the site manifest leaves open whether each page has one address alone.
    pub says_no_address: bool,
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
    /// What the vhost should have been printed with.
    pub printed: &'a Printed,
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
            let is_locked = known.printed.has_password && page.status == 401;
            let behind_password = |outcome| {
                if is_locked {
                    not_asked("visitors need a password, and none is known here")
                } else {
                    outcome
                }
            };
            let brotli = encoding("br", &replies.brotli, known.front.map(|front| front.brotli));
            let gzip = encoding("gzip", &replies.gzip, known.front.map(|front| front.gzip));
            let rules = if known.printed.has_password && page.status == 200 {
                wrong("the target has `basic-auth`, and the vhost asks for no password", PRINT)
            } else {
                rules(replies, known.printed)
            };
            return [
                vhost,
                rules,
                behind_password(brotli),
                behind_password(gzip),
                every_header(replies, known),
                cache(replies),
                behind_password(missing(replies)),
                behind_password(dot_files(replies)),
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

/// Advice for a site whose site manifest was written before there was the key.
const ADDRESSES: &str = "; pages answer at the paths of their files, too (`/usage.html`): `one-address = true` in [nginx] \
                         leads those to the page, and `false` leaves out this advice";

fn rules(replies: &Replies, printed: &Printed) -> Outcome {
    let marker = marker_of(replies);
    let number = marker.as_ref().map_or(1, |marker| marker.rules);
    let settings = marker.and_then(|marker| marker.settings);
    match number {
        RULES if settings.is_some() && printed.settings.is_some() && settings != printed.settings => wrong(
            "the vhost was printed before the export or the site manifest changed what it contains: patterns of redirects, \
             headers, types, languages, the form of the pages",
            PRINT,
        ),
        RULES => {
            let advice = if printed.says_no_address { ADDRESSES } else { "" };
            fine(format!("printed by the rules of this version ({RULES}){advice}"))
        }
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

/// A response that all header checks apply to.
struct Sent<'a> {
    /// What was requested, in words.
    kind: &'static str,
    asked: &'a str,
    answer: &'a Response,
}

/// The responses that all header checks apply to.
fn kinds(replies: &Replies) -> impl Iterator<Item = Sent<'_>> {
    let asked = &replies.asked;
    [
        ("a page", &asked.front, &replies.page),
        ("an unchanged page (304)", &asked.front, &replies.kept),
        ("a file of the build", &asked.asset, &replies.asset),
        ("a missing page", &asked.missing, &replies.missing),
        (
            "a missing file of the build",
            &asked.missing_asset,
            &replies.missing_asset,
        ),
    ]
    .into_iter()
    .filter_map(|(kind, asked, reply)| {
        let answer = ok(reply)?;
        Some(Sent { kind, asked, answer })
    })
}

/// The headers that an answer at this address should have, with their values; empty for a header that it should not have.
fn expected_headers(known: SiteFacts<'_>, asked: &str) -> Vec<(String, Vec<String>)> {
    let printed = known.printed;
    let hsts = printed.hsts.filter(|_| known.tls);
    let hsts = hsts.map(|seconds| (headers::HSTS, format!("max-age={seconds}")));
    let fixed = headers::SECURITY.map(|(name, value)| (name, value.to_owned()));
    let fixed = fixed.into_iter().chain(hsts);
    let mut all: Vec<(String, Vec<String>)> = fixed.map(|(name, value)| (name.to_owned(), vec![value])).collect();
    let address = Address::parse(asked.as_bytes()).map(|address| address.path);
    let own = printed.headers.as_ref().zip(address.ok());
    for changed in own.map(|(own, address)| own.at(&address)).unwrap_or_default() {
        let values = changed.values.into_iter().map(str::to_owned).collect();
        all.retain(|(name, _)| !name.eq_ignore_ascii_case(changed.name));
        all.push((changed.name.to_owned(), values));
    }
    if printed.noindex {
        let (name, value) = headers::NOINDEX;
        match all.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(value.to_owned()),
            None => all.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    all
}

/// The values of one header without those that came before. A CDN may join several lines.
fn distinct<'v>(lines: impl Iterator<Item = &'v str>) -> Vec<&'v str> {
    let mut values = Vec::new();
    for value in lines.flat_map(|line| line.split(',')).map(str::trim) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn every_header(replies: &Replies, known: SiteFacts<'_>) -> Outcome {
    let mut number = 0;
    for Sent { kind, asked, answer } in kinds(replies) {
        number += 1;
        for (name, wanted) in expected_headers(known, asked) {
            let sent = distinct(answer.all(&name));
            if sent == distinct(wanted.iter().map(String::as_str)) {
                continue;
            }
            if known.printed.headers.is_none() {
                return not_asked("the export can't be read to see which headers the site has of its own");
            }
            let sent = match sent.join(", ") {
                none if none.is_empty() => "no".to_owned(),
                sent => format!("another ({})", printable(&sent)),
            };
            return wrong(
                format!("{kind} has {sent} {name}"),
                "print the vhost again, after each change of `_headers` too, and reload nginx; don't edit it: one `add_header` in a location drops all others there",
            );
        }
    }
    fine(format!("as printed, on {number} kinds of answers"))
}

fn cache(replies: &Replies) -> Outcome {
    let (page, forever) = (
        CacheClass::Revalidate.cache_control(),
        CacheClass::Immutable.cache_control(),
    );
    for Sent { kind, answer, .. } in kinds(replies) {
        let wanted = match (kind, answer.status) {
            (_, 400..) => headers::NO_STORE,
            ("a file of the build", 200) => forever,
            _ => page,
        };
        let all: Vec<&str> = answer.all("cache-control").collect();
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
    use crate::rules::custom_headers::{FILE, parse};

    fn facts(printed: &Printed) -> SiteFacts<'_> {
        SiteFacts {
            url: "https://docs.example.com",
            tls: true,
            printed,
            tree: None,
            front: None,
            modified: None,
        }
    }

    /// The check of the headers for a page that answers with the vhost's own headers and these in addition.
    fn of_page(printed: &Printed, more: &[(&str, &str)]) -> Outcome {
        let fixed = headers::SECURITY
            .into_iter()
            .filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        let sent = fixed.chain(more.iter().copied());
        let page = Response {
            status: 200,
            headers: sent
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let replies = Replies {
            page: Some(Ok(page)),
            asked: Asked {
                front: "/docs/".to_owned(),
                ..Asked::default()
            },
            ..Replies::default()
        };
        every_header(&replies, facts(printed))
    }

    #[test]
    fn a_vhost_that_was_printed_from_other_settings_is_wrong() {
        let answer = Response {
            status: 200,
            headers: Vec::new(),
            body: marker::text("ab12", "cd34").into_bytes(),
        };
        let replies = Replies {
            marker: Some(Ok(answer)),
            ..Replies::default()
        };
        let state = |settings: Option<&str>| {
            let printed = Printed {
                settings: settings.map(str::to_owned),
                ..Printed::default()
            };
            rules(&replies, &printed).state
        };
        assert_eq!(state(Some("cd34")), CheckResult::Fine);
        assert_eq!(state(Some("ef56")), CheckResult::Wrong);
        // Without an export nothing is known of what it should be.
        assert_eq!(state(None), CheckResult::Fine);
    }

    #[test]
    fn the_headers_of_the_sites_own_are_expected_where_its_rules_say() {
        let rules = |text: &str| Printed {
            headers: Some(CustomHeaders::new(parse(FILE, text).0)),
            ..Printed::default()
        };
        let none = Printed::default();
        assert_eq!(of_page(&none, &[]).state, CheckResult::Fine);
        assert_eq!(
            of_page(&none, &[("X-Frame-Options", "DENY")]).state,
            CheckResult::NotAsked
        );
        let own = rules(
            "/docs/*\n  X-Frame-Options: DENY\n  X-Robots-Tag: noindex\n  X-Robots-Tag: nofollow\n/other\n  X-A: b\n",
        );
        let sent = [
            ("X-Frame-Options", "DENY"),
            ("X-Robots-Tag", "noindex"),
            ("X-Robots-Tag", "nofollow"),
        ];
        assert_eq!(of_page(&own, &sent).state, CheckResult::Fine);
        let joined = [("X-Frame-Options", "DENY"), ("X-Robots-Tag", "noindex, nofollow")];
        assert_eq!(of_page(&own, &joined).state, CheckResult::Fine);
        let older = of_page(&own, &[]);
        assert_eq!(older.state, CheckResult::Wrong);
        assert!(
            older
                .detail
                .starts_with("a page has another (SAMEORIGIN) X-Frame-Options"),
            "{older:?}"
        );
        let hidden = Printed {
            noindex: true,
            ..rules("/docs/*\n  X-Robots-Tag: noindex\n")
        };
        assert_eq!(
            of_page(&hidden, &[("X-Robots-Tag", "noindex")]).state,
            CheckResult::Fine
        );
        assert_eq!(of_page(&hidden, &[]).state, CheckResult::Wrong);
    }

    #[test]
    fn a_page_behind_a_password_is_no_fault_and_one_without_is() {
        let locked = Printed {
            has_password: true,
            headers: Some(CustomHeaders::default()),
            ..Printed::default()
        };
        let answer = |status, body: &str| {
            let sent = headers::SECURITY
                .into_iter()
                .chain([("Cache-Control", headers::NO_STORE)]);
            let headers = sent
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let body = body.as_bytes().to_vec();
            Some(Ok(Response { status, headers, body }))
        };
        let found = |status| {
            let replies = Replies {
                marker: answer(200, &marker::text("ab12", "cd34")),
                page: answer(status, ""),
                brotli: answer(status, ""),
                gzip: answer(status, ""),
                missing: answer(status, ""),
                missing_asset: answer(status, ""),
                dot: answer(status, ""),
                ..Replies::default()
            };
            let known = SiteFacts {
                tree: Some("ab12"),
                front: Some(FrontPage::default()),
                modified: Some(0),
                ..facts(&locked)
            };
            site_checks(&replies, known).map(|outcome| outcome.state)
        };
        assert!(!found(401).contains(&CheckResult::Wrong), "{:?}", found(401));
        assert_eq!(found(401)[0], CheckResult::Fine);
        assert_eq!(found(200)[1], CheckResult::Wrong);
    }

    #[test]
    fn a_server_that_may_be_anybodys_is_not_judged_by_this_sites_rules() {
        let printed = Printed::default();
        let known = facts(&printed);
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

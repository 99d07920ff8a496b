//! Compares a response with the expected one and returns what is wrong with it. Pure.

use std::borrow::Cow;

use super::cdn;
use super::expect::Expected;
use super::files::Files;
use super::finding::{Difference, Flaw, Side};
use super::question::{LONGEST, Question, Subject};
use crate::live::http::Response;
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::rules::headers::DEPLOYMENT;
use crate::site::decode::decode;

/// Returns what is wrong with a response. `former` is the previous release, if there is one.
pub(super) fn flaws(
    side: Side,
    question: &Question,
    expected: &Expected,
    answer: &Response,
    former: Option<&dyn Files>,
) -> Vec<Flaw> {
    if cdn::is_challenge(answer) {
        return vec![Flaw::Challenged];
    }
    if side == Side::Public && cdn::is_edge_error(answer.status) {
        return vec![Flaw::EdgeError(answer.status)];
    }
    if answer.status != expected.status {
        let is_html = answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"));
        let page = question.subject == Subject::NoAsset && answer.status == 200 && is_html;
        return vec![if page {
            Flaw::PageForMissing
        } else {
            Flaw::Status {
                want: expected.status,
                got: answer.status,
            }
        }];
    }
    let mut flaws = Vec::new();
    if let Some((digest, size)) = expected.body
        && !question.head
        && size <= LONGEST
    {
        flaws.extend(difference(question, (digest, size), answer, former).map(Flaw::Bytes));
    }
    let got = answer.header("content-type");
    if let Some(want) = &expected.content_type
        && !got.is_some_and(|got| is_same(got, want))
    {
        flaws.push(Flaw::Type {
            want: want.clone(),
            got: got.map(short),
        });
    }
    flaws.extend(cache_flaw(expected, answer));
    if let Some(want) = question.deployment()
        && answer.header(DEPLOYMENT) != Some(want)
    {
        flaws.push(Flaw::Deployment {
            want: want.to_owned(),
            got: answer.header(DEPLOYMENT).map(short),
        });
    }
    if side == Side::Origin && !cdn::answered(answer) {
        let coding = answer.header("content-encoding");
        if let Some(want) = expected.coding
            && coding != Some(want.to_string().as_str())
        {
            flaws.push(Flaw::NoEncoding(want));
        }
        if expected.status == 200 && answer.header("etag").is_none() {
            flaws.push(Flaw::NoEtag);
        }
    }
    flaws
}

/// Returns what is wrong with how long the response may be cached.
fn cache_flaw(expected: &Expected, answer: &Response) -> Option<Flaw> {
    let got = answer.header("cache-control");
    if got.is_some_and(|got| is_same(got, expected.cache)) {
        let hit = answer.header("cf-cache-status") == Some("HIT");
        let said = (expected.status >= 400 && hit).then(|| cdn::cached(answer)).flatten();
        return said.map(Flaw::KeptError);
    }
    if expected.status >= 400
        && let Some(got) = got
    {
        return Some(Flaw::KeptError(format!("Cache-Control is \"{}\"", short(got))));
    }
    Some(Flaw::Cache {
        want: expected.cache,
        got: got.map(short),
    })
}

/// Maximum length, in characters, of a header value that is kept for a message.
const MOST_SHOWN: usize = 200;

fn short(value: &str) -> String {
    value.chars().take(MOST_SHOWN).collect()
}

/// Number of bytes by which a response may exceed the file before the rest is not read. A CDN may have rewritten the
/// response and made it longer.
const SLACK: u64 = 64 << 10;

/// Number of bytes of the response that are worth reading.
pub(super) fn most_bytes(question: &Question, expected: &Expected) -> u64 {
    let size = expected.body.map_or(0, |(_, size)| size);
    if question.head { 0 } else { size.min(LONGEST) + SLACK }
}

/// Whether two header values are equivalent, ignoring case and whitespace.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| -> String {
        let text = text.chars().filter(|c| !c.is_whitespace());
        text.flat_map(char::to_lowercase).collect()
    };
    plain(one) == plain(other)
}

/// Returns how the body differs from what was published. `None` if it does not differ.
fn difference(
    question: &Question,
    (digest, size): (Digest, u64),
    answer: &Response,
    former: Option<&dyn Files>,
) -> Option<Difference> {
    if answer.body.len() as u64 > size + SLACK {
        return Some(Difference::Other);
    }
    // A rewritten page may be a little longer than the original.
    let limit = size.saturating_mul(2).saturating_add(1 << 20);
    let coding = match answer.header("content-encoding") {
        None | Some("identity") => None,
        Some("gzip") => Some(Coding::Gzip),
        Some("br") => Some(Coding::Brotli),
        Some(other) => {
            return Some(Difference::Undecodable(format!(
                "it comes as {}, which was not requested",
                short(other)
            )));
        }
    };
    let body = match coding.map(|coding| decode(coding, answer.body.as_slice(), limit)) {
        None => Cow::Borrowed(&answer.body),
        Some(Ok(bytes)) => Cow::Owned(bytes),
        Some(Err(error)) => return Some(Difference::Undecodable(error.to_string())),
    };
    let got = Digest::of(&body);
    if got == digest {
        return None;
    }
    let path = match &question.subject {
        Subject::File(path) | Subject::Removed(path) => Some(path.as_str()),
        Subject::NoPage | Subject::NoAsset | Subject::Deployment(_) => None,
    };
    let before = former.zip(path).and_then(|(former, path)| former.file(path));
    if before.is_some_and(|before| before.digest == got) {
        return Some(Difference::Former);
    }
    if !cdn::answered(answer) {
        return Some(Difference::Other);
    }
    if let Some(rewriter) = cdn::rewriter(answer, &body) {
        return Some(Difference::Rewritten(rewriter));
    }
    let shorter = size.checked_sub(body.len() as u64).filter(|by| *by > 0);
    let is_text = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/"));
    Some(
        shorter
            .filter(|_| is_text)
            .map_or(Difference::Other, Difference::Shortened),
    )
}

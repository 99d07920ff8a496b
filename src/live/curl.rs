//! Formats a request as a curl command line. Pure.

use super::question::Question;
use crate::live::http::Endpoint;
use crate::rules::headers::CLIENT_DEPLOYMENT;

/// The command that repeats a question. Without a question, the command requests the front page.
pub(super) fn line(place: &Endpoint, question: Option<&Question>, insecure: bool) -> String {
    let target = question.map_or("/", |question| question.target.as_str());
    let mut line = "curl -sS -o /dev/null -D -".to_owned();
    if question.is_some_and(|question| question.head) {
        "curl -sS -I".clone_into(&mut line);
    }
    // Findings about the certificate itself are reproduced without -k.
    if insecure && question.is_some() {
        line.push_str(" -k");
    }
    if let Some(question) = question {
        line = format!("{line} -H 'Accept-Encoding: {}'", question.accept.header());
    }
    if let Some(id) = question.and_then(Question::deployment) {
        line = format!("{line} -H '{CLIENT_DEPLOYMENT}: {}'", id.replace('\'', ""));
    }
    if place.at.is_some() {
        let (host, port) = place.address();
        let name = crate::live::http::bracketed(&place.name);
        line = format!(
            "{line} --connect-to {name}:{}:{}:{port}",
            place.port,
            crate::live::http::bracketed(host)
        );
    }
    format!("{line} '{}'", place.url(target).replace('\'', "%27"))
}

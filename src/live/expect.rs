//! Derives the expected response to a question from the rules of the vhost and the digests of the site. Pure.

use super::files::Files;
use super::question::Question;
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::media;
use crate::rules::types::content_type;
use crate::rules::{Address, CODINGS, NOT_FOUND_PAGE, Outcome, Rules, accepts};

/// The expected response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The status.
    pub status: u16,
    /// Digest and length of the decoded body. `None` if any body is right.
    pub body: Option<(Digest, u64)>,
    /// The value of `Content-Type`. `None` if any value is right.
    pub content_type: Option<String>,
    /// The value of `Cache-Control`.
    pub cache: &'static str,
    /// The encoding of the body.
    pub coding: Option<Coding>,
}

/// Returns the expected response to a question, for a release that consists of these files.
#[must_use]
pub fn expected(rules: &Rules, files: &dyn Files, question: &Question) -> Expected {
    let is_file = |path: &str| files.file(path).is_some();
    let (outcome, not_found) = match Address::parse(question.target.as_bytes()) {
        Ok(address) => (
            rules.resolve(&address, &is_file),
            rules.not_found_page(&address, &is_file),
        ),
        Err(_) => (Outcome::NotFound, NOT_FOUND_PAGE.to_owned()),
    };
    match outcome {
        Outcome::File { path, default_type } => of_file(rules, files, question, 200, &path, default_type),
        Outcome::Moved(_) => moved(rules, 308),
        Outcome::Language => moved(rules, 302),
        Outcome::Pattern(redirect) => moved(rules, redirect.status().code()),
        // The live check never requests the marker, `doctor` does; and it asks for files and not for entries.
        Outcome::Entry(_) | Outcome::Marker | Outcome::NotFound => {
            of_file(rules, files, question, 404, &not_found, media::UNKNOWN)
        }
    }
}

fn moved(rules: &Rules, status: u16) -> Expected {
    Expected {
        status,
        body: None,
        content_type: None,
        cache: rules.cache_control(status, None),
        coding: None,
    }
}

fn of_file(
    rules: &Rules,
    files: &dyn Files,
    question: &Question,
    status: u16,
    path: &str,
    default_type: &str,
) -> Expected {
    let cache = rules.cache_control(status, Some(path));
    let Some(file) = files.file(path) else {
        // If the site has no page for missing files, nginx sends its own.
        return Expected {
            status,
            body: None,
            content_type: None,
            cache,
            coding: None,
        };
    };
    let accepted = question.accept.header().as_bytes();
    let coding = CODINGS
        .into_iter()
        .find(|coding| file.encodings.get(*coding).is_some() && accepts(*coding, accepted, false));
    Expected {
        status,
        body: Some((file.digest, file.size)),
        content_type: Some(content_type(rules.type_of(path, default_type))),
        cache,
        coding,
    }
}

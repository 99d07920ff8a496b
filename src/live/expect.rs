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
pub fn expected(rules: &Rules, files: &dyn Files, question: &Question) -> Expected {
    let is_file = |path: &str| files.file(path).is_some();
    let (outcome, not_found) = match Address::parse(question.target.as_bytes()) {
        Ok(address) => (
            rules.resolve(&address, &is_file),
            rules.not_found_page(&address, &is_file),
        ),
        Err(_) => (Outcome::NotFound, NOT_FOUND_PAGE.to_owned()),
    };
    let (status, path, default_type) = match outcome {
        Outcome::File { path, default_type } => (200, Some(path), default_type),
        Outcome::Moved(_) => (308, None, media::UNKNOWN),
        Outcome::Language => (302, None, media::UNKNOWN),
        Outcome::Pattern(redirect) => (redirect.status().code(), None, media::UNKNOWN),
        // The live check never requests the marker, `doctor` does; and it asks for files and not for entries.
        Outcome::Entry(_) | Outcome::Marker | Outcome::NotFound => (404, Some(not_found), media::UNKNOWN),
    };
    let path = path.as_deref();
    // If the site has no page for missing files, nginx sends its own.
    let file = path.and_then(|path| Some((path, files.file(path)?)));
    let accepted = question.accept.header().as_bytes();
    Expected {
        status,
        body: file.map(|(_, file)| (file.digest, file.size)),
        content_type: file.map(|(path, _)| content_type(rules.type_of(path, default_type))),
        cache: rules.cache_control(status, path),
        coding: file.and_then(|(_, file)| {
            CODINGS
                .into_iter()
                .find(|coding| file.encodings.get(*coding).is_some() && accepts(*coding, accepted, false))
        }),
    }
}

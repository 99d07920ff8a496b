//! What an answer should be, by the rules of the vhost and the digests of the site. Pure.

use super::files::Files;
use super::question::Question;
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::media;
use crate::rules::types::content_type;
use crate::rules::{Address, CODINGS, NOT_FOUND_PAGE, Outcome, Rules, accepts};

/// What an answer should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The status.
    pub status: u16,
    /// Digest and length of the bytes, decoded; none where nothing is said of them.
    pub body: Option<(Digest, u64)>,
    /// The value of `Content-Type`; none where nothing is said of it.
    pub content_type: Option<String>,
    /// The value of `Cache-Control`.
    pub cache: &'static str,
    /// The encoding it comes in.
    pub coding: Option<Coding>,
}

/// What the answer to a question should be, of a release that has these files.
#[must_use]
pub fn expected(rules: &Rules, files: &dyn Files, question: &Question) -> Expected {
    let outcome = match Address::parse(question.target.as_bytes()) {
        Ok(address) => rules.resolve(&address, &|path| files.file(path).is_some()),
        Err(_) => Outcome::NotFound,
    };
    match outcome {
        Outcome::File { path, default_type } => of_file(rules, files, question, 200, &path, default_type),
        Outcome::Moved(_) => Expected {
            status: 308,
            body: None,
            content_type: None,
            cache: rules.cache_control(308, None),
            coding: None,
        },
        // Never asked for here: what it says is for `doctor`.
        Outcome::Marker | Outcome::NotFound => of_file(rules, files, question, 404, NOT_FOUND_PAGE, media::UNKNOWN),
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
        // A site without a page for what it does not have gets nginx's own.
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

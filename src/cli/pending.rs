//! What is written elsewhere and not merged yet. At the merge the body becomes the line beside it, and the value that
//! of `syntax_publish::verify`.

use syntax_publish::event::Observer;
use syntax_publish::model::release::ReleaseId;
use syntax_publish::session::Session;

use super::failure::Failure;

/// What a verification found.
#[derive(Debug)]
pub struct Verified {
    pub release: ReleaseId,
    pub checked: u64,
    pub problems: Vec<(String, String)>,
}

/// `verify::verify(session, release, depth, observer).await`
#[allow(clippy::unused_async, reason = "what takes its place waits for the host")]
pub async fn verify(_: &Session, _: Option<&str>, _deep: bool, _: &dyn Observer) -> Result<Verified, Failure> {
    Err(Failure::NotMerged { what: "verify" })
}

//! What is written elsewhere and not merged yet. At the merge each body becomes the one line beside it, and the values
//! become those of `syntax_publish::verify` and `syntax_publish::prune`.

use std::time::Duration;

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

/// What a prune deleted, or would.
#[derive(Debug)]
pub struct Pruned {
    pub releases: u64,
    pub trees: u64,
    pub objects: u64,
    pub bytes: u64,
}

/// What to keep.
#[derive(Debug)]
pub struct Retention {
    pub keep: usize,
    pub skew: Duration,
    pub dry_run: bool,
}

/// `verify::verify(session, release, depth, observer).await`
#[allow(clippy::unused_async, reason = "what takes its place waits for the host")]
pub async fn verify(_: &Session, _: Option<&str>, _deep: bool, _: &dyn Observer) -> Result<Verified, Failure> {
    Err(Failure::NotMerged { what: "verify" })
}

/// `prune::prune(session, &options, observer).await`
#[allow(clippy::unused_async, reason = "what takes its place waits for the host")]
pub async fn prune(_: &Session, _: &Retention, _: &dyn Observer) -> Result<Pruned, Failure> {
    Err(Failure::NotMerged { what: "prune" })
}

/// `prune(session, retention, observer).await.map(drop)`
#[allow(clippy::unused_async, reason = "what takes its place waits for the host")]
pub async fn prune_after_publish(_: &Session, _: &Retention, _: &dyn Observer) -> Result<(), Failure> {
    Ok(())
}

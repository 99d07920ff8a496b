//! Why a release could not be delivered to the site's visitors.

use crate::live::Finding;
use crate::model::release::ReleaseId;
use crate::store;

/// Why a delivery failed.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The release could not be published, or the store can't be queried.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The release failed at the origin and the previous one did not. The previous one is live again.
    #[error(
        "{release} failed at the origin and was rolled back, so {live} is live again: {}",
        failed(findings)
    )]
    RolledBack {
        /// The release that failed.
        release: ReleaseId,
        /// The release that is live again.
        live: ReleaseId,
        /// What failed.
        findings: Vec<Finding>,
    },
    /// The release fails at the origin, and the rollback to the previous one failed.
    #[error(
        "{release} is live and fails at the origin, and the rollback to {previous} failed: {source}: {}",
        failed(findings)
    )]
    CannotGoBack {
        /// The release that fails.
        release: ReleaseId,
        /// The release that should be live again.
        previous: ReleaseId,
        /// What failed.
        findings: Vec<Finding>,
        /// Why the rollback failed.
        source: Box<store::Error>,
    },
}

/// Returns a summary of the requests that failed.
fn failed(findings: &[Finding]) -> String {
    crate::live::failures(findings.iter(), None, &|_| None)
}

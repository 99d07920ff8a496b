//! Why a release could not be delivered to the site's visitors.

use crate::live::Finding;
use crate::model::release::ReleaseId;
use crate::store;

/// A release was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// It could not be published, or the store can't be asked.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A release failed at the origin where the one before did not, and that one is live again.
    #[error(
        "{release} failed at the origin and was rolled back, so {live} is live again: {}",
        failed(findings)
    )]
    RolledBack {
        /// The release that failed.
        release: ReleaseId,
        /// The one that is live again.
        live: ReleaseId,
        /// What failed.
        findings: Vec<Finding>,
    },
    /// A release failed at the origin, and the one before could not be made live again.
    #[error(
        "{release} is live and fails at the origin, and the rollback to {previous} failed: {source}: {}",
        failed(findings)
    )]
    CannotGoBack {
        /// The release that fails.
        release: ReleaseId,
        /// The one that should be live again.
        previous: ReleaseId,
        /// What failed.
        findings: Vec<Finding>,
        /// Why there is no way back.
        source: Box<store::Error>,
    },
}

/// Which requests failed.
fn failed(findings: &[Finding]) -> String {
    crate::live::failures(findings.iter(), None, &|_| None)
}

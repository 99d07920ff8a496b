//! Why one attempt to change a store did not end in that change, and what to do next: try again, connect again, or give
//! up. Pure.

use crate::host::HostError;
use crate::store::{Error, LockError, StoreError};

/// Why one attempt did not end in a release.
#[derive(Debug)]
pub enum AttemptError {
    /// The run has failed for good.
    Failed(Error),
    /// What the plan was made from has changed on the host: plan again.
    Replan(String),
    /// Other runs were faster: plan again, for as long as this run may wait for others.
    Contention(String),
    /// The connection is lost.
    Lost(HostError),
}

impl<E: Into<Error>> From<E> for AttemptError {
    fn from(error: E) -> Self {
        match error.into() {
            Error::Store(StoreError::Host(lost)) if lost.is_loss() => Self::Lost(lost),
            // Only time is lost, because what was sent is on the host.
            Error::Taken(fenced @ LockError::Fenced) => Self::Contention(fenced.to_string()),
            error => Self::Failed(error),
        }
    }
}

//! Why one attempt to change a store did not end in that change, and what to do next: try again, connect again, or give
//! up. Pure.

use crate::host::HostError;
use crate::site::source::SourceError;
use crate::store::Error;
use crate::store::LockError;
use crate::store::StoreError;

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

impl From<StoreError> for AttemptError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Host(lost @ HostError::Lost { .. }) => Self::Lost(lost),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<SourceError> for AttemptError {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Taken(error) => error.into(),
            error => Self::Failed(error),
        }
    }
}

impl From<LockError> for AttemptError {
    fn from(taken: LockError) -> Self {
        match taken {
            // Only time is lost, because what was sent is on the host.
            LockError::Fenced => Self::Contention(taken.to_string()),
            LockError::Busy { .. } | LockError::Jammed { .. } | LockError::Stuck { .. } => Self::Failed(taken.into()),
        }
    }
}

impl From<HostError> for AttemptError {
    fn from(error: HostError) -> Self {
        StoreError::from(error).into()
    }
}

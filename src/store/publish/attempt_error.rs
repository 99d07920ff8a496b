//! Why one attempt to publish did not end in a release, and what to do next: try again, connect again, or give up.
//! Pure.

use crate::host::HostError;
use crate::store::Error;
use crate::store::LockError;
use crate::store::StoreError;
use crate::store::sync::SyncError;

/// Why one attempt did not end in a release.
pub(super) enum AttemptError {
    /// The publish has failed for good.
    Failed(Error),
    /// The store changed: plan again.
    Replan(String),
    /// Other runs were faster: plan again, for as long as this run may wait for others.
    Contention(String),
    /// The connection is lost.
    Lost(HostError),
}

impl From<SyncError> for AttemptError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(StoreError::Host(error @ HostError::Lost { .. })) => Self::Lost(error),
            SyncError::Store(error) => Self::Failed(error.into()),
            SyncError::Source(error) => Self::Failed(error.into()),
            SyncError::Replan(reason) => Self::Replan(reason),
        }
    }
}

impl From<StoreError> for AttemptError {
    fn from(error: StoreError) -> Self {
        SyncError::from(error).into()
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

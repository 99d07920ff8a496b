//! Why one attempt to publish did not end in a release, and what follows from it: try again, connect again, or give up. Pure.

use crate::host::HostError;
use crate::store::Error;
use crate::store::StoreError;
use crate::store::Taken;
use crate::store::sync::SyncError;

/// Why one attempt did not end in a release.
pub(super) enum Stop {
    /// For good.
    Failed(Error),
    /// The store changed: plan again.
    Replan(String),
    /// Other runs were quicker: plan again, for as long as others may be waited for.
    Contended(String),
    /// The connection is gone.
    Lost(HostError),
}

impl From<SyncError> for Stop {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(StoreError::Host(error @ HostError::Lost { .. })) => Self::Lost(error),
            SyncError::Store(error) => Self::Failed(error.into()),
            SyncError::Source(error) => Self::Failed(error.into()),
            SyncError::Replan(reason) => Self::Replan(reason),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        SyncError::from(error).into()
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            error => Self::Failed(error),
        }
    }
}

impl From<Taken> for Stop {
    fn from(taken: Taken) -> Self {
        match taken {
            // Nothing is lost but the time: what was sent is on the host.
            Taken::Buried => Self::Contended(taken.to_string()),
            Taken::Busy { .. } | Taken::Jammed { .. } | Taken::Stuck { .. } => Self::Failed(taken.into()),
        }
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        StoreError::from(error).into()
    }
}

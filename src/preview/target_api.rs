//! The interface through which the preview queries the target. The preview itself must not depend on the target.

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::hub::Trouble;

/// What the dashboard requests from a target, as JSON. Both queries may take as long as a connection does.
pub trait TargetApi: Send + Sync {
    /// Returns the name of the site, if it is known.
    fn site(&self) -> Option<String>;

    /// Returns what a publish would change, as of now.
    fn plan(&self) -> BoxFuture<'_, Result<Value, Trouble>>;

    /// Returns the releases of the target, newest first, each with the command that rolls back to it.
    fn releases(&self) -> BoxFuture<'_, Result<Value, Trouble>>;
}

//! Who knows the target: the preview itself must not.

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::hub::Trouble;

/// What the dashboard asks of somebody who knows a target, as JSON. Both may take as long as a connection does.
pub trait TargetApi: Send + Sync {
    /// What the site is called, where that is known.
    fn site(&self) -> Option<String>;

    /// What a publish would change, asked of the target now.
    fn plan(&self) -> BoxFuture<'_, Result<Value, Trouble>>;

    /// The releases of the target, newest first, each with the command that goes back to it.
    fn releases(&self) -> BoxFuture<'_, Result<Value, Trouble>>;
}

//! Messages of tasks that panicked. A panic is a bug of this program and is reported as one, whatever the task was
//! doing.
//!
//! That is for programs that unwind and call this library. In the command, no panic gets this far: its panic hook ends
//! the run.

use tokio::task::JoinError;

/// The message of the panic, or that the task was cancelled.
pub fn said(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "it was cancelled".to_owned();
    };
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    crate::model::path::printable(text.unwrap_or("it gave no message"))
}

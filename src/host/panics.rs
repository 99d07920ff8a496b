//! Messages of tasks that panicked. A panic is a bug of this program and is reported as one, whatever the task was
//! doing.
//!
//! That is for programs that unwind and call this library. In the command, no panic gets this far: its panic hook ends
//! the run.

use std::any::Any;

use tokio::task::JoinError;

use crate::model::path::printable;

/// The message of the panic, or that the task was cancelled.
pub fn said(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => text(&*panic),
        Err(_) => "it was cancelled".to_owned(),
    }
}

/// The message that a panic was given.
pub fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    printable(text.unwrap_or("it gave no message"))
}

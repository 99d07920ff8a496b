//! Ctrl-C and SIGTERM: the run ends within a second, and says what is live.

use std::time::Duration;

use syntax_publish::error::Error;
use syntax_publish::publish::abandon;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::commands::Run;
use super::failure::Failure;

/// How long the last words over the connection may take.
const LAST_WORDS: Duration = Duration::from_millis(800);

/// Waits until somebody asks the run to end: the number of the signal.
pub async fn asked() -> i32 {
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    let (Ok(mut interrupted), Ok(mut terminated)) = (signal(interrupt), signal(terminate)) else {
        // Without handlers the signals do what they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupted.recv() => interrupt.as_raw_value(),
        _ = terminated.recv() => terminate.as_raw_value(),
    }
}

/// The exit code of a run that a signal ended as it was meant to.
pub fn code(number: i32) -> u8 {
    Failure::from(Error::Signal { number }).exit_code()
}

/// Puts out of reach what the run began on the host, and looks what is live. The run's future must be gone.
pub async fn end(run: &Run, number: i32) -> Failure {
    if let Some(session) = run.session() {
        let abandoned = timeout(LAST_WORDS, abandon(session)).await;
        if !matches!(abandoned, Ok(Ok(()))) {
            session.note_live_unknown();
        }
    }
    Failure::from(Error::Signal { number })
}

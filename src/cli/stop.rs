//! Ends a run on Ctrl-C, on SIGTERM and, for a command that does not end by itself, on the end of its terminal. The run
//! ends within a second and reports which release is live.

use std::time::Duration;

use syntax_publish::store::publish::abandon;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::commands::Run;
use super::failure::Failure;
use super::screen::say;

/// Maximum time for the last operations over the connection.
const LAST_WORDS: Duration = Duration::from_millis(800);

/// Handles the signals that end the run from now on. Returns what waits for one, and returns its number. An endless command also ends with its terminal, because
/// it started processes that have to be cleaned up, unless it was started to outlive the terminal, as with `nohup`.
pub fn asked(is_endless: bool) -> impl Future<Output = i32> {
    let (interrupt, terminate, hangup) = (SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup());
    // Not when the future is first polled: the run may have printed by then that it can be ended.
    let handlers = (signal(interrupt), signal(terminate));
    let mut hung_up = (is_endless && !ignores_hangups()).then(|| signal(hangup));
    async move {
        let (Ok(mut interrupted), Ok(mut terminated)) = handlers else {
            // Without handlers, the signals have their default effect.
            return std::future::pending().await;
        };
        let hung_up = async {
            match &mut hung_up {
                Some(Ok(hung_up)) => hung_up.recv().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupted.recv() => interrupt.as_raw_value(),
            _ = terminated.recv() => terminate.as_raw_value(),
            _ = hung_up => hangup.as_raw_value(),
        }
    }
}

/// Whether SIGHUP is ignored. True if that can't be determined.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 != 0)
}

/// Ends a run that got a signal: fences off what it began on the host, and determines which release is live. The run's
/// future must have been dropped. For an endless command the signal is the normal end.
pub async fn end(run: &Run, number: i32, is_endless: bool) -> Result<u8, Failure> {
    let failure = Failure::Signal { number };
    if is_endless {
        return Ok(failure.exit_code());
    }
    leave(run).await;
    if !run.has_reported() {
        return Err(failure);
    }
    run.finish();
    let text = "interrupted after the release went live; old releases are left to the next prune";
    say("note", text);
    Ok(failure.exit_code())
}

/// Fences off what a run began on the host, and determines which release is live. The run's future must have been
/// dropped.
pub async fn leave(run: &Run) {
    if let Some(session) = run.session() {
        let abandoned = timeout(LAST_WORDS, abandon(session)).await;
        if !matches!(abandoned, Ok(Ok(()))) {
            session.note_live_unknown();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_counts_as_soon_as_it_is_listened_for() {
        let asked = asked(false);
        // Without a handler this ends the test.
        let sent = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
        assert!(sent.is_ok());
        assert_eq!(asked.await, SignalKind::terminate().as_raw_value());
    }
}

//! Reports a panic, which is a bug of this program, as any other failure: with what is live, and what to do.
//!
//! A released binary is built without unwinding, so it would end where it panics and say nothing of the site. The panic
//! hook gives the message to the run instead, and must never return: the run ends the process once it has reported.

use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use syntax_publish::host::panics;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::report;
use super::screen::Screen;

/// How long the run may take to release the lock, to notify and to report. What panicked may have been needed for that.
const PATIENCE: Duration = Duration::from_secs(20);

/// Handles panics of all threads from now on. Returns what waits for the first one, and returns its message. A panic of
/// the calling thread, which does the waiting, is reported at once.
pub fn caught(screen: &Screen) -> impl Future<Output = String> + use<> {
    let (sender, receiver) = oneshot::channel();
    let (sender, screen) = (Mutex::new(Some(sender)), screen.clone());
    let (default, waiting) = (take_hook(), thread::current().id());
    set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default(panic);
        }
        let message = message(panic);
        if thread::current().id() != waiting {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
            sender.map(|sender| sender.send(message.clone()));
            thread::sleep(PATIENCE);
        }
        end(&screen, message);
    }));
    async {
        match receiver.await {
            Ok(message) => message,
            Err(_) => std::future::pending().await,
        }
    }
}

fn message(panic: &PanicHookInfo<'_>) -> String {
    let text = panics::text(panic.payload());
    match panic.location() {
        Some(location) => format!("{text} ({}:{})", location.file(), location.line()),
        None => text,
    }
}

#[allow(
    clippy::exit,
    reason = "the thread that panicked can't go on, and the run can't end the process"
)]
fn end(screen: &Screen, message: String) -> ! {
    std::process::exit(report::failure(screen, &Failure::Bug { message }, None).into())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const THREAD: &str = "SYNTAX_PUBLISH_TEST_PANICS";

    /// Not a test by itself: what [`said_by`] runs in a process of its own.
    #[test]
    fn panicking() {
        let Ok(thread) = std::env::var(THREAD) else { return };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let screen = Screen::default();
        runtime.block_on(async {
            let caught = caught(&screen);
            match &*thread {
                "own" => panic!("of this thread"),
                "task" => drop(tokio::spawn(async { panic!("of a task") })),
                "blocking" => drop(tokio::task::spawn_blocking(|| panic!("of a blocking thread"))),
                _ => rayon::spawn(|| panic!("of a worker")),
            }
            end(&screen, format!("told: {}", caught.await));
        });
    }

    fn said_by(thread: &str) -> (Option<i32>, String) {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "cli::bug::tests::panicking", "--nocapture"]);
        let output = test.env(THREAD, thread).env_remove("RUST_BACKTRACE").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    #[test]
    fn a_panic_of_any_thread_is_reported_as_a_failure() {
        for (thread, message) in [
            ("own", "error: syntax-publish panicked: of this thread (src/cli/bug.rs:"),
            (
                "task",
                "error: syntax-publish panicked: told: of a task (src/cli/bug.rs:",
            ),
            (
                "blocking",
                "error: syntax-publish panicked: told: of a blocking thread (src/cli/bug.rs:",
            ),
            (
                "worker",
                "error: syntax-publish panicked: told: of a worker (src/cli/bug.rs:",
            ),
        ] {
            let (code, said) = said_by(thread);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(message), "{said}");
            assert!(said.contains("report it"), "{said}");
        }
    }
}

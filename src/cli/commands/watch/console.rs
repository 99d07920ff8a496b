//! The terminal of a preview: the status line and the keys.
//!
//! If stderr is not a terminal, there is neither. The terminal must be restored however the preview ends, and also
//! while the job is stopped or in the background.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use syntax_publish::preview::{Preview, Trouble};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::target_client::TargetClient;
use super::output::WatchOutput;
use crate::cli::keys::{self, Key, Keys};
use crate::cli::progress::Progress;

/// Maximum number of changes of a plan that are shown.
const SHOWN_CHANGES: usize = 30;

/// What the keys do.
const HELP: [&str; 5] = [
    "  r  build the site again, or read its export again",
    "  o  open the site in the browser",
    "  p  plan: what a publish would change on the target now",
    "  q  quit (as Ctrl-C does)",
    "  ?  this help",
];

/// The parts of a preview that the terminal shows or controls.
pub struct Console {
    pub progress: Arc<Progress>,
    pub preview: Arc<Preview>,
    pub output: Arc<WatchOutput>,
    pub target: Arc<TargetClient>,
    /// Notified when the site is to be prepared again.
    pub again: Arc<Notify>,
}

type Planned = Result<Vec<(&'static str, String)>, Trouble>;

impl Console {
    /// Serves the terminal until the user quits.
    pub async fn attend(self) {
        if !self.output.has_status() {
            return std::future::pending().await;
        }
        let stop = SignalKind::from_raw(Signal::TSTP.as_raw());
        let (Ok(mut stopped), Ok(mut resized)) = (signal(stop), signal(SignalKind::window_change())) else {
            return std::future::pending().await;
        };
        let mut keys = Keys::of_stdin();
        self.output.status(|status| status.has_keys = keys.is_some());
        let mut clients = self.preview.clients_told();
        let mut clock = interval(Duration::from_secs(1));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut plans: JoinSet<Planned> = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                key = next(&mut keys) => match key {
                    Key::Rebuild => {
                        self.say("building the site again");
                        self.again.notify_one();
                    }
                    Key::Open => self.output.open(),
                    Key::Plan if plans.is_empty() => {
                        self.say("comparing with the target");
                        let target = Arc::clone(&self.target);
                        plans.spawn(async move { target.plan_in_words(SHOWN_CHANGES).await });
                    }
                    Key::Plan => self.say("a comparison is running already"),
                    Key::Help => self.say(&HELP.join("\n")),
                    Key::Line => self.say(""),
                    Key::Quit => return,
                },
                Some(planned) = plans.join_next() => {
                    if let Ok(planned) = planned {
                        self.planned(planned);
                    }
                }
                _ = stopped.recv() => self.stop(keys.as_mut()),
                _ = resized.recv() => self.output.status(|_| {}),
                Ok(()) = clients.changed() => {
                    clients.mark_unchanged();
                    self.output.status(|_| {});
                }
                _ = clock.tick() => self.look_around(keys.as_mut()),
            }
        }
    }

    /// Prints a line without a kind.
    fn say(&self, text: &str) {
        self.progress.plainly(text);
    }

    fn planned(&self, planned: Planned) {
        match planned {
            Ok(lines) => {
                for (kind, line) in lines {
                    self.output.say(kind, &line);
                }
            }
            Err(trouble) => {
                self.output.say("failed", &trouble.message);
                self.output.say("hint", &trouble.hint);
            }
        }
    }

    /// Handles Ctrl-Z: gives the terminal back and stops, as without a handler for the signal. Returns when the job is
    /// continued.
    fn stop(&self, mut keys: Option<&mut Keys>) {
        self.progress.hide();
        if let Some(keys) = &mut keys {
            keys.give_back();
        }
        let _ = kill_process(getpid(), Signal::STOP);
        self.look_around(keys);
    }

    /// Updates the status line. Takes the terminal if this job is in the foreground again, which no signal reports.
    fn look_around(&self, keys: Option<&mut Keys>) {
        match keys {
            Some(_) if !keys::is_ours() => self.progress.hide(),
            keys => {
                keys.into_iter().for_each(Keys::take);
                self.progress.unhide();
            }
        }
        self.output.status(|_| {});
    }
}

/// Waits for the next key. Never returns if there are no keys.
async fn next(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

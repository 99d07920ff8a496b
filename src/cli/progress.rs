//! How far the work is: bars on a terminal, a line every few seconds anywhere else.
//!
//! Listens to the stages and prints to stderr. A command that stays may have a line that stays below all others. It must
//! never slow them down: what can't be shown soon is not shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use syntax_publish::event::{Event, Note, Observer, Stage};
use syntax_publish::model::path::printable;

use super::report::{bytes, count, seconds};
use super::screen::{self, Screen};
use super::site::shown;
use super::timings::Timings;

/// How often a line is printed where there are no bars.
const EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of one run.
pub struct Progress {
    /// What each stage took.
    pub timings: Timings,
    verbose: bool,
    manner: Manner,
    state: Mutex<State>,
}

enum Manner {
    Silent,
    Lines,
    Bars(MultiProgress),
}

#[derive(Default)]
struct State {
    stages: BTreeMap<Stage, Running>,
    spoke: Option<Instant>,
    /// The line that stays.
    pinned: Option<ProgressBar>,
    /// Whether it was taken away for good. Who works on yet, at the end of a command, must not bring it back.
    is_unpinned: bool,
}

/// One stage that is under way.
struct Running {
    began: Instant,
    items: u64,
    bytes: u64,
    of_items: Option<u64>,
    of_bytes: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// As the options and the terminal want it.
    pub fn new(screen: &Screen) -> Self {
        let manner = if screen.quiet {
            Manner::Silent
        } else if screen::shows_bars() {
            Manner::Bars(MultiProgress::new())
        } else {
            Manner::Lines
        };
        Self {
            timings: Timings::new(),
            verbose: screen.verbose,
            manner,
            state: Mutex::default(),
        }
    }

    /// Takes every bar away: what is printed next stands alone.
    pub fn finish(&self) {
        let mut state = self.state();
        for running in std::mem::take(&mut state.stages).into_values() {
            if let Some(bar) = running.bar {
                bar.finish_and_clear();
            }
        }
    }

    /// Whether there are bars, so that a line can stay below what is printed.
    pub fn has_bars(&self) -> bool {
        matches!(self.manner, Manner::Bars(_))
    }

    /// Puts a text into the line that stays, which is there from then on until it is taken away.
    pub fn pin(&self, text: String) {
        let Manner::Bars(bars) = &self.manner else { return };
        let pinned = {
            let mut state = self.state();
            if state.is_unpinned {
                return;
            }
            let pinned = state.pinned.get_or_insert_with(|| {
                let style = ProgressStyle::with_template("{wide_msg}");
                let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
                bars.add(ProgressBar::new_spinner().with_style(style))
            });
            pinned.clone()
        };
        if pinned.message() == text {
            // What was too soon to be drawn is drawn now.
            pinned.tick();
        } else {
            pinned.set_message(text);
        }
    }

    /// Takes the line away that stays, for good.
    pub fn unpin(&self) {
        let mut state = self.state();
        state.is_unpinned = true;
        if let Some(pinned) = state.pinned.take() {
            pinned.finish_and_clear();
        }
    }

    /// Draws nothing more, and leaves an empty line behind: the terminal is another's for a while.
    pub fn hide(&self) {
        if let Manner::Bars(bars) = &self.manner {
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Draws again.
    pub fn unhide(&self) {
        if let Manner::Bars(bars) = &self.manner
            && bars.is_hidden()
        {
            bars.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Says something beside the bars, as it is.
    pub fn plainly(&self, text: &str) {
        match &self.manner {
            Manner::Silent => {}
            Manner::Lines | Manner::Bars(_) => self.aside(|| screen::plainly(text)),
        }
    }

    /// Prints something beside the bars.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.manner {
            Manner::Silent | Manner::Lines => print(),
            Manner::Bars(bars) => bars.suspend(print),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something beside the bars.
    pub fn say(&self, kind: &str, text: &str) {
        match &self.manner {
            Manner::Silent => {}
            Manner::Lines | Manner::Bars(_) => self.aside(|| screen::say(kind, text)),
        }
    }

    fn began(&self, stage: Stage, items: Option<u64>, bytes: Option<u64>) {
        let bar = match &self.manner {
            // A line that stays stands alone: it tells the stage itself.
            Manner::Bars(bars) => (self.state().pinned.is_none()).then(|| bars.add(new_bar(stage, bytes))),
            Manner::Silent | Manner::Lines => None,
        };
        let running = Running {
            began: Instant::now(),
            items: 0,
            bytes: 0,
            of_items: items,
            of_bytes: bytes,
            bar,
        };
        let former = self.state().stages.insert(stage, running);
        // A stage that begins again, since the whole is done again.
        if let Some(bar) = former.and_then(|former| former.bar) {
            bar.finish_and_clear();
        }
    }

    fn went_on(&self, stage: Stage, items: u64, bytes: u64) {
        let mut known = self.state();
        let spoke = *known.spoke.get_or_insert_with(Instant::now);
        let Some(running) = known.stages.get_mut(&stage) else {
            return;
        };
        running.items += items;
        running.bytes += bytes;
        if let Some(bar) = &running.bar {
            bar.set_position(running.bytes);
            bar.set_message(running.files());
        } else if matches!(self.manner, Manner::Lines) && spoke.elapsed() >= EVERY {
            let line = running.line(stage);
            known.spoke = Some(Instant::now());
            drop(known);
            self.say("progress", &line);
        }
    }

    fn ended(&self, stage: Stage) {
        let Some(running) = self.state().stages.remove(&stage) else {
            return;
        };
        if let Some(bar) = &running.bar {
            bar.finish_and_clear();
        }
        if self.verbose {
            let took = seconds(running.began.elapsed());
            let done = if running.items + running.bytes > 0 {
                format!(" {}, {},", count(running.items, "file"), bytes(running.bytes))
            } else {
                String::new()
            };
            self.say("stage", &format!("{}{done} in {took}", name(stage)));
        }
    }
}

impl Running {
    fn files(&self) -> String {
        match self.of_items {
            Some(all) => format!("{} of {}", self.items.min(all), count(all, "file")),
            None => count(self.items, "file"),
        }
    }

    /// The progress in words: files, bytes, rate, and the time that is left where it can be guessed.
    fn line(&self, stage: Stage) -> String {
        let took = self.began.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.bytes as f64 / took;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
        let per_second = rate as u64;
        let done = match self.of_bytes {
            Some(all) => format!("{} of {}", bytes(self.bytes.min(all)), bytes(all)),
            None => bytes(self.bytes),
        };
        let mut line = format!("{}: {}, {done}, {}/s", name(stage), self.files(), bytes(per_second));
        if let Some(all) = self.of_bytes.filter(|all| *all > self.bytes && per_second > 0) {
            let left = Duration::from_secs((all - self.bytes) / per_second);
            line = format!("{line}, {} left", seconds(left));
        }
        line
    }
}

impl Observer for Progress {
    fn notice(&self, event: Event) {
        self.timings.notice(&event);
        if matches!(self.manner, Manner::Silent) {
            return;
        }
        match event {
            Event::StageBegan { stage, items, bytes } => self.began(stage, items, bytes),
            Event::StageMeasured { stage, items, bytes } => {
                if let Some(running) = self.state().stages.get_mut(&stage) {
                    (running.of_items, running.of_bytes) = (Some(items), Some(bytes));
                    if let Some(bar) = &running.bar {
                        bar.set_length(bytes);
                        bar.set_style(style(true));
                    }
                }
            }
            Event::Progressed { stage, items, bytes } => self.went_on(stage, items, bytes),
            Event::StageEnded { stage } => self.ended(stage),
            Event::Swapped { release } => {
                if self.verbose {
                    self.say("stage", &format!("{release} is live"));
                }
            }
            Event::Noted(note) => self.say("note", &sentence(&note)),
        }
    }
}

fn new_bar(stage: Stage, bytes: Option<u64>) -> ProgressBar {
    let bar = bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.set_style(style(bytes.is_some()));
    bar.set_prefix(name(stage));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style(measured: bool) -> ProgressStyle {
    let template = match (measured, screen::shows_colors()) {
        (true, true) => {
            "{prefix:>10.bold} [{bar:28.cyan}] {bytes} of {total_bytes}, {msg}, {bytes_per_sec}, {eta} left"
        }
        (true, false) => "{prefix:>10} [{bar:28}] {bytes} of {total_bytes}, {msg}, {bytes_per_sec}, {eta} left",
        (false, true) => "{prefix:>10.bold} {spinner} {msg}",
        (false, false) => "{prefix:>10} {spinner} {msg}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// What a stage does, as the word before its figures.
pub fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "connecting",
        Stage::Scan => "scanning",
        Stage::Check => "checking",
        Stage::Fingerprint => "naming",
        Stage::Manifest => "listing",
        Stage::Plan => "comparing",
        Stage::Encode => "encoding",
        Stage::Sync => "sending",
        Stage::Swap => "swapping",
        Stage::Verify => "verifying",
        Stage::Prune => "pruning",
    }
}

fn sentence(note: &Note) -> String {
    match note {
        Note::SymlinkFollowed { path, target } => {
            format!(
                "the symlink {path} was followed, to {}",
                printable(&target.to_string_lossy())
            )
        }
        Note::DotFilesLeftOut { count: files } => {
            format!(
                "{} left out: names that begin with a dot are not published",
                count(*files, "file")
            )
        }
        Note::CacheNotWritten { file, reason } => {
            format!(
                "the next run reads every file again: can't write {}: {}",
                shown(file),
                printable(reason)
            )
        }
        Note::BuildIdKept { path, reason } => {
            format!("the build id stays in every file, so each build changes every page: {path}: {reason}")
        }
        Note::ImmutableReplaced { path } => {
            format!("{path} has other bytes now, and readers who have the old ones keep them for up to a year")
        }
        Note::LockAwaited => "another run holds the lock; waiting for it".to_owned(),
        Note::Replanned { reason } => {
            format!(
                "the store changed meanwhile, so this is planned again: {}",
                printable(reason)
            )
        }
        Note::Reconnected => "the connection was lost and is up again".to_owned(),
        Note::ConnectingAgain { reason, times } => {
            format!("{}; trying again, up to {times} times", printable(reason))
        }
        Note::OriginNotAsked { reason } => format!(
            "the origin is not asked, since it can't be reached from here: {}; `origin` in [verify] says where it is, or false",
            printable(reason)
        ),
        Note::NotPurged { reason, hint } => format!(
            "the release is live, and the CDN may serve the old one for a while: {}; {hint}",
            printable(reason)
        ),
        Note::OutcomeNotKept { reason } => format!(
            "what was found at the live site is not kept for `status`: {}",
            printable(reason)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_taken_away_is_not_brought_back() {
        let progress = Progress {
            timings: Timings::new(),
            verbose: false,
            manner: Manner::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::hidden())),
            state: Mutex::default(),
        };
        progress.pin("scanning".to_owned());
        assert!(progress.state().pinned.is_some());
        progress.unpin();
        progress.pin("scanning".to_owned());
        assert!(progress.state().pinned.is_none());
    }
}

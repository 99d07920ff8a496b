//! The progress of a command: bars on a terminal, or a line every few seconds anywhere else.
//!
//! Observes the stages and prints to stderr. A command that keeps running may pin a line below all others. Progress
//! must never slow the stages down: what cannot be shown soon is not shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use syntax_publish::model::event::{Event, Note, Observer, Stage};
use syntax_publish::model::path::printable;

use super::format::{bytes, count, seconds, shown};
use super::screen::{self, Screen};
use super::timings::Timings;

/// How often a line is printed if there are no bars.
const EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of one run.
pub struct Progress {
    /// The time that each stage took.
    pub timings: Timings,
    verbose: bool,
    manner: Manner,
    state: Mutex<ProgressState>,
}

enum Manner {
    Silent,
    Lines,
    Bars(MultiProgress),
}

#[derive(Default)]
struct ProgressState {
    stages: BTreeMap<Stage, Running>,
    spoke: Option<Instant>,
    /// The pinned line.
    pinned: Option<ProgressBar>,
    /// Whether the command has ended. After that, work in the background must not draw anything.
    is_over: bool,
}

/// A stage in progress.
struct Running {
    began: Instant,
    items: u64,
    bytes: u64,
    of_items: Option<u64>,
    of_bytes: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Chooses the kind of output from the options and the terminal.
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

    /// Removes all bars and the pinned line for good: the command has ended, and only its result stays.
    pub fn end(&self) {
        self.state().is_over = true;
        self.finish();
        if let Some(pinned) = self.state().pinned.take() {
            pinned.finish_and_clear();
        }
    }

    /// Removes all bars, so that the next output is not mixed with them.
    pub fn finish(&self) {
        let stages = std::mem::take(&mut self.state().stages).into_values();
        stages
            .filter_map(|running| running.bar)
            .for_each(|bar| bar.finish_and_clear());
    }

    /// Whether there are bars, so that a line can be pinned below other output.
    pub fn has_bars(&self) -> bool {
        matches!(self.manner, Manner::Bars(_))
    }

    /// Sets the text of the pinned line, and adds the line if there is none yet.
    pub fn pin(&self, text: String) {
        let Manner::Bars(bars) = &self.manner else { return };
        let mut state = self.state();
        if state.is_over {
            return;
        }
        let pinned = state.pinned.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{wide_msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::new_spinner().with_style(style))
        });
        let pinned = pinned.clone();
        drop(state);
        if pinned.message() == text {
            // An earlier change may have been too soon after another to be drawn. Draw it now.
            pinned.tick();
        } else {
            pinned.set_message(text);
        }
    }

    /// Stops drawing and leaves an empty line, because the terminal belongs to another job for a while.
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

    /// Prints text without a prefix while the bars are out of the way.
    pub fn plainly(&self, text: &str) {
        if !matches!(self.manner, Manner::Silent) {
            self.aside(|| screen::plainly(text));
        }
    }

    /// Runs `print` while the bars are out of the way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.manner {
            Manner::Silent | Manner::Lines => print(),
            Manner::Bars(bars) => bars.suspend(print),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line of a certain kind while the bars are out of the way.
    pub fn say(&self, kind: &str, text: &str) {
        if !matches!(self.manner, Manner::Silent) {
            self.aside(|| screen::say(kind, text));
        }
    }

    fn began(&self, stage: Stage, items: Option<u64>, bytes: Option<u64>) {
        let mut running = Running {
            began: Instant::now(),
            items: 0,
            bytes: 0,
            of_items: items,
            of_bytes: bytes,
            bar: None,
        };
        let mut state = self.state();
        // A stage begins again if its work has to be repeated.
        if let Some(bar) = state.stages.remove(&stage).and_then(|earlier| earlier.bar) {
            bar.finish_and_clear();
        }
        // The pinned line names the stage itself.
        if let (Manner::Bars(bars), None, false) = (&self.manner, &state.pinned, state.is_over) {
            running.bar = Some(running.new_bar(stage, bars));
        }
        state.stages.insert(stage, running);
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
            bar.set_message(running.short());
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
            let done = match running.items + running.bytes {
                0 => String::new(),
                _ => format!(" {}, {},", count(running.items, "file"), bytes(running.bytes)),
            };
            let took = seconds(running.began.elapsed());
            self.say("stage", &format!("{}{done} in {took}", name(stage)));
        }
    }
}

impl Running {
    /// Creates a bar for the stage. The bar is set up before it is added, and moves only after that: what a bar draws
    /// before it is added is never removed from the terminal.
    fn new_bar(&self, stage: Stage, bars: &MultiProgress) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(self.of_bytes, ProgressDrawTarget::hidden())
            .with_style(style(self.of_bytes.is_some()))
            .with_prefix(name(stage))
            .with_message(self.short());
        let bar = bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn files(&self) -> String {
        match self.of_items {
            Some(all) => format!("{} of {}", self.items.min(all), count(all, "file")),
            None => count(self.items, "file"),
        }
    }

    /// The text after a bar, short enough for 80 columns: files, bytes, and the remaining time.
    fn short(&self) -> String {
        match (self.items + self.bytes, self.of_bytes) {
            (0, None) => String::new(),
            (_, None) => self.files(),
            (_, Some(_)) => format!("{}, {}{}", self.files(), self.done(), self.left()),
        }
    }

    /// The progress in words: files, bytes, rate, and the remaining time if it can be estimated.
    fn line(&self, stage: Stage) -> String {
        let (files, done, rate) = (self.files(), self.done(), bytes(self.per_second()));
        format!("{}: {files}, {done}, {rate}/s{}", name(stage), self.left())
    }

    fn done(&self) -> String {
        match self.of_bytes {
            Some(all) => format!("{} of {}", bytes(self.bytes.min(all)), bytes(all)),
            None => bytes(self.bytes),
        }
    }

    fn per_second(&self) -> u64 {
        let millis = self.began.elapsed().as_millis().max(1);
        u64::try_from(u128::from(self.bytes) * 1000 / millis).unwrap_or(u64::MAX)
    }

    fn left(&self) -> String {
        let per_second = self.per_second();
        let left = self
            .of_bytes
            .filter(|_| per_second > 0)
            .map_or(0, |all| all.saturating_sub(self.bytes));
        if left == 0 {
            return String::new();
        }
        format!(", {} left", seconds(Duration::from_secs(left / per_second)))
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
                        bar.set_message(running.short());
                    }
                }
            }
            Event::Progressed { stage, items, bytes } => self.went_on(stage, items, bytes),
            Event::StageEnded(stage) => self.ended(stage),
            Event::Swapped(release) if self.verbose => self.say("stage", &format!("{release} is live")),
            Event::Swapped(_) => {}
            Event::Noted(note) => self.say("note", &printable(&sentence(&note))),
        }
    }
}

fn style(measured: bool) -> ProgressStyle {
    let template = match (measured, screen::shows_colors()) {
        (true, true) => "{prefix:>10.bold} [{wide_bar:.cyan}] {msg}",
        (true, false) => "{prefix:>10} [{wide_bar}] {msg}",
        (false, true) => "{prefix:>10.bold} {spinner} {msg}",
        (false, false) => "{prefix:>10} {spinner} {msg}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// The name of a stage that is printed before its numbers.
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
        Note::SymlinkFollowed { path, target } => format!("the symlink {path} was followed, to {}", target.display()),
        Note::DotFilesLeftOut(files) => {
            let files = count(*files, "file");
            format!("{files} left out: names that begin with a dot are not published")
        }
        Note::CacheNotWritten { file, reason } => {
            format!(
                "the next run reads every file again: can't write {}: {reason}",
                shown(file)
            )
        }
        Note::BuildIdKept { path, reason } => {
            format!("the build id stays in every file, so each build changes every page: {path}: {reason}")
        }
        Note::LockAwaited => "another run holds the lock; waiting".to_owned(),
        Note::Replanned(reason) => format!("the store changed in the meantime; planning again: {reason}"),
        Note::Reconnected => "the connection was lost and is up again".to_owned(),
        Note::ConnectingAgain { reason, times } => format!("{reason}; trying again, up to {times} times"),
        Note::OriginNotAsked(reason) => format!(
            "the origin is not checked, because it can't be reached from here: {reason}; set `origin` in [verify] to its URL, or to false"
        ),
        Note::NotPurged { reason, hint } => {
            format!("the release is live, and the CDN may serve the old one for a while: {reason}; {hint}")
        }
        Note::OutcomeNotKept(reason) => {
            format!("the result of the live check could not be stored for `status`: {reason}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_terminal() -> Progress {
        Progress {
            timings: Timings::new(),
            verbose: false,
            manner: Manner::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::hidden())),
            state: Mutex::default(),
        }
    }

    #[test]
    fn what_is_still_at_work_at_the_end_brings_no_line_back() {
        let progress = on_a_terminal();
        progress.pin("scanning".to_owned());
        assert!(progress.state().pinned.is_some());
        progress.end();
        progress.pin("scanning".to_owned());
        progress.began(Stage::Scan, None, Some(9));
        let state = progress.state();
        assert!(state.pinned.is_none() && state.stages[&Stage::Scan].bar.is_none());
    }

    #[test]
    fn a_bar_and_its_words_fit_80_columns() {
        let running = Running {
            began: Instant::now().checked_sub(Duration::from_secs(3000)).unwrap(),
            items: 99_999,
            bytes: 900 << 20,
            of_items: Some(100_000),
            of_bytes: Some(1023 << 20),
            bar: None,
        };
        let words = running.short();
        assert_eq!(words, "99999 of 100000 files, 900.0 MiB of 1023.0 MiB, 6 min 50 s left");
        assert!("connecting [] ".len() + words.len() < 80);
        let measured = Running {
            items: 0,
            bytes: 0,
            ..running
        };
        assert_eq!(measured.short(), "0 of 100000 files, 0 B of 1023.0 MiB");
    }
}

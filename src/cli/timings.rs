//! Timings of a publish, for `--timings`: the time that each stage took, and the requests that it sent to the host.
//!
//! Stages overlap, so each has its own start time, and their sum is not the total. Requests to the host are counted
//! only for stages that send any.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use syntax_publish::host::Counts;
use syntax_publish::model::event::{Event, Stage};

use super::format::{bytes, seconds, table};

/// Records when stages begin and end.
pub struct Timings {
    began: Instant,
    counts: OnceLock<Counts>,
    state: Mutex<TimingsState>,
}

#[derive(Default)]
struct TimingsState {
    running: BTreeMap<Stage, ClockReading>,
    ended: Vec<Timing>,
}

/// The clocks and counters at one moment.
#[derive(Clone, Copy)]
struct ClockReading {
    at: Duration,
    processor: Duration,
    operations: u64,
    round_trips: u64,
    bytes: u64,
}

/// The measurements of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    pub stage: Stage,
    /// Seconds from the start of the command.
    pub from: f64,
    pub seconds: f64,
    /// Processor time that the process used during the stage, on all cores.
    pub cpu_seconds: f64,
    pub operations: u64,
    pub round_trips: u64,
    /// Bytes of content sent.
    pub bytes: u64,
}

impl Timings {
    /// Starts the clock.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            counts: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    /// Sets the counters to read.
    pub fn count(&self, counts: &Counts) {
        // There is only one session per run. For a second one, the counters of the first would stay in use.
        let _ = self.counts.set(counts.clone());
    }

    /// Records the beginning or the end of a stage.
    pub fn notice(&self, event: &Event) {
        match event {
            Event::StageBegan { stage, .. } => {
                let now = self.read();
                self.state().running.insert(*stage, now);
            }
            Event::StageEnded(stage) => {
                let now = self.read();
                let mut state = self.state();
                if let Some(then) = state.running.remove(stage) {
                    state.ended.push(now.since(&then, *stage));
                }
            }
            _ => {}
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, TimingsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> ClockReading {
        let counted = |read: fn(&Counts) -> u64| self.counts.get().map_or(0, read);
        ClockReading {
            at: self.began.elapsed(),
            processor: processor_time(),
            operations: counted(Counts::operations),
            round_trips: counted(Counts::round_trips),
            bytes: counted(Counts::payload),
        }
    }

    /// Returns the measurements of the finished stages, in the order in which the stages began.
    pub fn stages(&self) -> Vec<Timing> {
        let mut stages = self.state().ended.clone();
        stages.sort_by(|a, b| a.from.total_cmp(&b.from));
        stages
    }
}

impl ClockReading {
    fn since(&self, then: &Self, stage: Stage) -> Timing {
        let asked = |now: u64, then: u64| if stage.asks_the_host() { now - then } else { 0 };
        Timing {
            stage,
            from: then.at.as_secs_f64(),
            seconds: self.at.saturating_sub(then.at).as_secs_f64(),
            cpu_seconds: self.processor.saturating_sub(then.processor).as_secs_f64(),
            operations: asked(self.operations, then.operations),
            round_trips: asked(self.round_trips, then.round_trips),
            bytes: asked(self.bytes, then.bytes),
        }
    }
}

/// Returns the processor time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

/// Formats the stages as a table.
pub fn shown(stages: &[Timing]) -> String {
    let time = |value: f64| seconds(Duration::try_from_secs_f64(value).unwrap_or_default());
    let heads = ["stage", "from", "took", "cpu", "operations", "round trips", "sent"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(stages.iter().map(|timing| {
        vec![
            timing.stage.to_string(),
            time(timing.from),
            time(timing.seconds),
            time(timing.cpu_seconds),
            timing.operations.to_string(),
            timing.round_trips.to_string(),
            bytes(timing.bytes),
        ]
    }));
    table(&rows, &[1, 2, 3, 4, 5, 6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_overlap_each_have_their_own_beginning_and_end() {
        let timings = Timings::new();
        let began = |stage| Event::StageBegan {
            stage,
            items: None,
            bytes: None,
        };
        timings.notice(&began(Stage::Connect));
        timings.notice(&began(Stage::Scan));
        timings.notice(&Event::StageEnded(Stage::Scan));
        timings.notice(&Event::StageEnded(Stage::Plan));
        timings.notice(&Event::StageEnded(Stage::Connect));
        let stages = timings.stages();
        let names: Vec<Stage> = stages.iter().map(|timing| timing.stage).collect();
        assert_eq!(names, [Stage::Connect, Stage::Scan]);
        assert!(stages[0].seconds >= stages[1].seconds && stages[1].from >= stages[0].from);
        assert!(shown(&stages).lines().count() == 3);
    }
}

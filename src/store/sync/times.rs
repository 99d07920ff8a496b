//! Assigns modification times to files, instead of taking them from a clock.
//!
//! Pure.

use std::collections::HashMap;

use crate::host::Time;
use crate::model::release::Generation;

/// One hour in seconds: one publish has room for this many files of one size.
const AN_HOUR: Time = 60 * 60;

/// Assigns modification times so that no two files of one size ever have the same one.
///
/// A web server's `ETag` consists of the time, in seconds, and the size. If a file replaced another with the same time
/// and size, the web server would tell browsers that nothing changed. New times are later than all that the store has
/// ever given.
#[derive(Debug)]
pub struct Times {
    base: Time,
    given: HashMap<u64, Time>,
    latest: Time,
}

impl Times {
    /// Creates the times of a run at `now` (the host's clock) after `generation`.
    pub fn new(now: Time, generation: Option<&Generation>) -> Self {
        let after = generation.map_or(0, |generation| generation.clock + 1);
        // An hour back, so that files of the same size need not get times in the future, which a web server should
        // never send.
        let base = after.max(now.saturating_sub(AN_HOUR)).max(0);
        Self {
            base,
            given: HashMap::new(),
            latest: base,
        }
    }

    /// Returns a time for a file of `size` bytes.
    pub fn next(&mut self, size: u64) -> Time {
        let given = self.given.entry(size).or_insert(0);
        let time = self.base + *given;
        *given += 1;
        self.latest = self.latest.max(time);
        time
    }

    /// Returns the latest time given.
    pub fn latest(&self) -> Time {
        self.latest
    }
}

//! Modification times, given rather than taken.
//!
//! Pure.

use std::collections::HashMap;

use crate::host::Time;
use crate::model::release::Generation;

/// In seconds: room for so many files of one size in one publish.
const AN_HOUR: Time = 60 * 60;

/// Hands out modification times so that no two files of one size ever share one.
///
/// A web server's `ETag` is made of time, in seconds, and size. Were two files alike in both and one took the other's
/// place, readers would be told that nothing changed. New times lie after all that the store has ever given.
#[derive(Debug)]
pub struct Times {
    base: Time,
    given: HashMap<u64, Time>,
    latest: Time,
}

impl Times {
    /// Times for a run at `now` (the host's clock) after `generation`.
    #[must_use]
    pub fn new(now: Time, generation: Option<&Generation>) -> Self {
        let after = generation.map_or(0, |generation| generation.clock + 1);
        // Some way back, so that files alike in size need not lie in the future, which no web server should claim.
        let base = after.max(now.saturating_sub(AN_HOUR)).max(0);
        Self {
            base,
            given: HashMap::new(),
            latest: base,
        }
    }

    /// A time for a file of `size` bytes.
    pub fn next(&mut self, size: u64) -> Time {
        let given = self.given.entry(size).or_insert(0);
        let time = self.base + *given;
        *given += 1;
        self.latest = self.latest.max(time);
        time
    }

    /// The latest time given.
    #[must_use]
    pub fn latest(&self) -> Time {
        self.latest
    }
}

//! Limits how much content is on its way to the host without a name, because that is lost if the connection breaks.
//!
//! Pure.

use std::time::Duration;

/// This much may always be on its way over each connection, in bytes.
const LEAST: u64 = 512 * 1024;
/// The most that may be on its way, in bytes. It limits memory use, and a line of any length is full by then.
const MOST: u64 = 8 * 1024 * 1024;
/// The window in round trips: the three that a file takes to its name, and one to spare.
const ROUND_TRIPS: u64 = 4;
/// A longer round trip counts as this, so that a window larger than the least takes the line no more than a second.
const LONGEST: Duration = Duration::from_millis(250);
/// How long the rate is measured before the window changes.
const MEASURED: Duration = Duration::from_millis(200);

/// Limits the bytes that may be on their way without a name.
#[derive(Debug)]
pub(super) struct Window {
    limit: u64,
    in_air: u64,
    /// The shortest time in which the host has answered.
    latency: Duration,
    named: u64,
    since: Duration,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self {
            limit: LEAST,
            in_air: 0,
            latency: LONGEST,
            named: 0,
            since: Duration::ZERO,
        }
    }

    /// Whether this many more bytes may be sent over so many connections. If nothing is on its way, any number may.
    pub(super) fn fits(&self, bytes: u64, connections: usize) -> bool {
        let limit = self.limit.max(LEAST * connections as u64);
        self.in_air == 0 || self.in_air + bytes <= limit
    }

    pub(super) const fn left(&mut self, bytes: u64) {
        self.in_air += bytes;
    }

    /// Notes that this many bytes have their names, at `now` since the beginning. The host had answered a small request
    /// within `latency`.
    pub(super) fn named(&mut self, bytes: u64, latency: Duration, now: Duration) {
        self.in_air = self.in_air.saturating_sub(bytes);
        self.named += bytes;
        self.latency = self.latency.min(latency);
        let measured = now.saturating_sub(self.since);
        if measured < MEASURED {
            return;
        }
        // The rate shows whether a long line had to wait for the window. If it had, the window grows until the line is
        // full.
        let rate = self.named * 1000 / millis(measured).max(1);
        let full = rate * millis(self.latency.min(LONGEST)) * ROUND_TRIPS / 1000;
        self.limit = full.clamp(LEAST, MOST);
        (self.named, self.since) = (0, now);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends for some seconds over a line of this many bytes a second and this latency. Returns the largest window.
    fn over(line: u64, latency: Duration) -> u64 {
        let (mut window, mut largest) = (Window::new(), 0);
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(20) {
            let sent = window.limit;
            window.left(sent);
            now += 3 * latency + Duration::from_millis(sent * 1000 / line);
            window.named(sent, latency, now);
            largest = largest.max(window.limit);
        }
        largest
    }

    #[test]
    fn only_a_long_line_with_much_room_gets_a_larger_window() {
        let ms = Duration::from_millis;
        // A fast host nearby, a slow line, and a mobile phone's connection.
        for (line, latency) in [(100_000_000, ms(1)), (1_000_000, ms(50)), (50_000, ms(300))] {
            assert_eq!(over(line, latency), LEAST, "{line} bytes a second, {latency:?}");
        }
        let long = over(50_000_000, ms(50));
        assert!(long > 4 * LEAST && long < 50_000_000, "{long}");
        assert!(over(1_000_000_000, ms(200)) <= MOST);
    }

    #[test]
    fn something_may_always_be_on_its_way() {
        let mut window = Window::new();
        assert!(window.fits(MOST, 1));
        window.left(LEAST / 2);
        assert!(window.fits(LEAST / 2, 1) && !window.fits(LEAST, 1));
        assert!(window.fits(LEAST, 2) && !window.fits(2 * LEAST, 2));
    }
}

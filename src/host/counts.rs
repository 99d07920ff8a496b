//! Counts the traffic with a host: round trips, operations, bytes of content.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Op;

/// Running totals of one or more connections. Clones are cheap and share the totals.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    round_trips: AtomicU64,
    operations: AtomicU64,
    payload: AtomicU64,
}

impl Counts {
    /// Number of times that the client waited for the host.
    pub fn round_trips(&self) -> u64 {
        self.inner.round_trips.load(Ordering::Relaxed)
    }

    /// Number of operations sent.
    pub fn operations(&self) -> u64 {
        self.inner.operations.load(Ordering::Relaxed)
    }

    /// Number of content bytes sent.
    pub fn payload(&self) -> u64 {
        self.inner.payload.load(Ordering::Relaxed)
    }

    /// Counts a flight. `waits` is whether the client waits for it.
    pub(crate) fn count(&self, ops: &[Op], waits: bool) {
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        let trips = ops.iter().map(Op::round_trips).max().filter(|_| waits);
        add(&self.inner.round_trips, trips.unwrap_or(0).into());
        add(&self.inner.operations, ops.len() as u64);
        add(&self.inner.payload, ops.iter().map(|op| op.payload() as u64).sum());
    }
}

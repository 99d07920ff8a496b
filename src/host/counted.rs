//! Counts the traffic of a host: round trips, operations, bytes of content.
//!
//! It wraps any host, and must never change what passes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;

use super::{Answers, Host, HostError, Op};

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
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.inner.round_trips.load(Ordering::Relaxed)
    }

    /// Number of operations sent.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.inner.operations.load(Ordering::Relaxed)
    }

    /// Number of content bytes sent.
    #[must_use]
    pub fn payload(&self) -> u64 {
        self.inner.payload.load(Ordering::Relaxed)
    }
}

/// A host that counts its traffic.
pub struct Counted {
    host: Box<dyn Host>,
    counts: Counts,
}

impl Counted {
    /// Wraps a host; `counts` continues from its current totals.
    #[must_use]
    pub fn new(host: Box<dyn Host>, counts: Counts) -> Self {
        Self { host, counts }
    }
}

impl Host for Counted {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        let trips = ops.iter().map(Op::round_trips).max().unwrap_or(0);
        add(&self.counts.inner.round_trips, u64::from(trips));
        add(&self.counts.inner.operations, ops.len() as u64);
        add(
            &self.counts.inner.payload,
            ops.iter().map(|op| op.payload() as u64).sum(),
        );
        self.host.flight(ops)
    }

    fn name(&self) -> String {
        self.host.name()
    }

    fn copies(&self) -> bool {
        self.host.copies()
    }
}

//! Counts what goes through a host: flights, operations, bytes of content.
//!
//! A wrapper around any host. It changes nothing that passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;

use super::{Answers, Host, HostError, Op};

/// Running totals of one or more connections; cheap to clone, shared by its clones.
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
    /// Times that the client waited for the host.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.inner.round_trips.load(Ordering::Relaxed)
    }

    /// Operations sent.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.inner.operations.load(Ordering::Relaxed)
    }

    /// Bytes of content sent.
    #[must_use]
    pub fn payload(&self) -> u64 {
        self.inner.payload.load(Ordering::Relaxed)
    }
}

/// A host that counts.
pub struct Counted {
    host: Box<dyn Host>,
    counts: Counts,
}

impl Counted {
    /// Wraps a host; the totals go on from where they are.
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

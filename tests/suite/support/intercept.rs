//! A wrapper around any host that records what is sent, and lets a test watch operations, answer them itself, or change
//! the answers.
//!
//! Faults at a planned point of a run are `faulty`'s.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use syntax_publish::host::{Answer, Answers, Connect, Host, HostError, LocalConnector, Op, Refusal, RefusalKind};

use super::files::make_old;

type Watch = dyn Fn(&[Op]) + Send + Sync;
type Reply = dyn Fn(&Op) -> Option<Result<Answer, Refusal>> + Send + Sync;
type Change = dyn Fn(&Op, Result<Answer, Refusal>) -> Result<Answer, Refusal> + Send + Sync;

/// A connector, and what happens to the operations of its connections. Clones share the record.
#[derive(Clone)]
pub struct Intercept {
    inner: Arc<dyn Connect>,
    record: Arc<Mutex<Vec<Vec<Op>>>>,
    watch: Option<Arc<Watch>>,
    reply: Option<Arc<Reply>>,
    change: Option<Arc<Change>>,
}

impl Intercept {
    pub fn new(inner: impl Connect + 'static) -> Intercept {
        Intercept {
            inner: Arc::new(inner),
            record: Arc::default(),
            watch: None,
            reply: None,
            change: None,
        }
    }

    /// A folder of this machine.
    pub fn folder(docroot: impl AsRef<Path>) -> Intercept {
        Intercept::new(LocalConnector {
            docroot: docroot.as_ref().to_owned(),
        })
    }

    /// Shows each flight to a function before it is sent.
    pub fn watch(mut self, watch: impl Fn(&[Op]) + Send + Sync + 'static) -> Intercept {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Lets a function answer in place of the host. It is called right before an operation is executed, and after all
    /// operations before it; on `None` the host executes the operation.
    pub fn reply(
        mut self,
        reply: impl Fn(&Op) -> Option<Result<Answer, Refusal>> + Send + Sync + 'static,
    ) -> Intercept {
        self.reply = Some(Arc::new(reply));
        self
    }

    /// Refuses the operations for which a function returns true.
    pub fn refuse(self, kind: RefusalKind, refuses: impl Fn(&Op) -> bool + Send + Sync + 'static) -> Intercept {
        self.reply(move |op| refuses(op).then(|| Err(refusal(kind, op))))
    }

    /// Lets a function change what the host answered.
    pub fn change(
        mut self,
        change: impl Fn(&Op, Result<Answer, Refusal>) -> Result<Answer, Refusal> + Send + Sync + 'static,
    ) -> Intercept {
        self.change = Some(Arc::new(change));
        self
    }

    /// The recorded operations, flight by flight, over all connections.
    pub fn flights(&self) -> Vec<Vec<Op>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The recorded operations.
    pub fn ops(&self) -> Vec<Op> {
        self.flights().concat()
    }
}

/// A refusal of one operation.
pub fn refusal(kind: RefusalKind, op: &Op) -> Refusal {
    Refusal {
        kind,
        op: op.to_string(),
        message: "the test refuses it".to_owned(),
    }
}

/// Whether a flight is a look at the lock, to find out whether its holder lives.
pub fn looks_at_lock(ops: &[Op]) -> bool {
    matches!(ops.first(), Some(Op::List(path)) if path == "lock")
}

/// Makes a lock old once it was looked at a few times in vain. This replaces the seconds that a run waits for a dead
/// holder.
#[derive(Default)]
pub struct Impatience {
    looks: AtomicUsize,
}

impl Impatience {
    pub fn note(&self, ops: &[Op], docroot: &Path) {
        if looks_at_lock(ops) && self.looks.fetch_add(1, Ordering::SeqCst) > 2 {
            make_old(&docroot.join("lock"));
        }
    }
}

struct InterceptedHost {
    inner: Box<dyn Host>,
    intercept: Intercept,
}

impl Connect for Intercept {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async {
            Ok(Box::new(InterceptedHost {
                inner: self.inner.connect().await?,
                intercept: self.clone(),
            }) as Box<dyn Host>)
        })
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

impl InterceptedHost {
    async fn fly(&self, ops: Vec<Op>) -> Result<Answers, HostError> {
        let Some(reply) = &self.intercept.reply else {
            return self.inner.flight(ops).await;
        };
        let mut answers = Answers::new();
        for op in ops {
            match reply(&op) {
                Some(answer) => answers.push(answer),
                None => answers.extend(self.inner.flight(vec![op]).await?),
            }
        }
        Ok(answers)
    }
}

impl Host for InterceptedHost {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        if let Some(watch) = &self.intercept.watch {
            watch(&ops);
        }
        let mut record = self.intercept.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push(ops.clone());
        drop(record);
        Box::pin(async move {
            let Some(change) = &self.intercept.change else {
                return self.fly(ops).await;
            };
            let answers = self.fly(ops.clone()).await?;
            Ok(ops.iter().zip(answers).map(|(op, answer)| change(op, answer)).collect())
        })
    }

    fn copies(&self) -> bool {
        self.inner.copies()
    }
}

//! A wrapper around the real hosts that makes a host fail at one point, in one way.
//!
//! A point is a flight, by its number over all connections of a run, and how many of its operations take effect. The
//! points of a run are therefore: before its first operation, and after each operation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use syntax_publish::host::{Answers, Connect, Host, HostError, HostErrorKind, Op, RefusalKind};

use super::intercept::refusal;
use super::memory::half;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The client dies: nothing more is sent, and nothing that is still in flight is executed.
    Dead,
    /// The client dies in the middle of a write: half of its bytes arrive.
    HalfWritten,
    /// The client freezes, and what it had sent is executed after another client has done its work.
    Woken,
    /// The connection is lost. A new connection can be made.
    Cut,
    /// The connection is lost. The rest of the flight is executed after the first flight of the next connection was
    /// answered, or at the end if there is no next connection.
    Late,
    /// The connection stays open and no answer comes. A new connection can be made.
    Hung,
    /// One operation is refused without a reason. The operations after it are executed.
    Refused,
}

pub const FAULTS: [Fault; 7] = [
    Fault::Dead,
    Fault::HalfWritten,
    Fault::Woken,
    Fault::Cut,
    Fault::Late,
    Fault::Hung,
    Fault::Refused,
];

/// The faults after which the client sends nothing more.
pub const DEATHS: [Fault; 2] = [Fault::Dead, Fault::HalfWritten];

/// Where it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The number of the flight, from 0.
    pub flight: usize,
    /// How many of its operations take effect.
    pub done: usize,
}

/// Whether an operation may change the content of the host.
pub fn changes(op: &Op) -> bool {
    match op {
        Op::MakeFolder(_)
        | Op::Symlink { .. }
        | Op::Link { .. }
        | Op::Rename { .. }
        | Op::RemoveFile(_)
        | Op::RemoveFolder(_)
        | Op::Create(_)
        | Op::Write { .. }
        | Op::Copy { .. }
        | Op::Finish { .. } => true,
        Op::Lstat(_)
        | Op::Stat(_)
        | Op::ReadLink(_)
        | Op::Resolve(_)
        | Op::List(_)
        | Op::Space(_)
        | Op::Open(_)
        | Op::Read { .. }
        | Op::Close(_) => false,
    }
}

/// Every point of a run at which a fault has a different effect than elsewhere.
///
/// An operation that changes nothing makes no difference to what is left behind, so only one of the points before and
/// after it is needed. No other points are left out.
pub fn points(flights: &[Vec<Op>], fault: Fault) -> Vec<Point> {
    let mut points = Vec::new();
    for (flight, ops) in flights.iter().enumerate() {
        for done in 0..=ops.len() {
            let next = ops.get(done);
            let differs = match fault {
                // For a dead client, the end of a flight is the beginning of the next one.
                Fault::Dead => done > 0 && changes(&ops[done - 1]) || flight == 0 && done == 0,
                Fault::HalfWritten => next.is_some_and(|op| half(op).is_some()),
                Fault::Woken | Fault::Late => {
                    next.is_some() && ops[done..].iter().any(changes) && (done == 0 || changes(&ops[done - 1]))
                }
                Fault::Cut | Fault::Hung => done == 0 || changes(&ops[done - 1]),
                Fault::Refused => next.is_some_and(|op| !matches!(op, Op::Close(_))),
            };
            if differs {
                points.push(Point { flight, done });
            }
        }
    }
    points
}

/// Connects to a host that fails as planned, and records its operations.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Connect>,
    plan: Option<(Point, Fault)>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    record: Vec<Vec<Op>>,
    happened: bool,
    dead: bool,
    /// Operations to execute later, over the connection that they were sent on.
    late: Option<(Arc<dyn Host>, Vec<Op>)>,
}

struct FaultyHost {
    inner: Arc<dyn Host>,
    faulty: Faulty,
    /// Whether this connection is unusable.
    broken: AtomicBool,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Connect>, plan: Option<(Point, Fault)>) -> Faulty {
        Faulty {
            inner,
            plan,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorded operations, flight by flight.
    pub fn record(&self) -> Vec<Vec<Op>> {
        self.state().record.clone()
    }

    /// Whether the fault has happened.
    pub fn happened(&self) -> bool {
        self.state().happened
    }

    /// Executes what was sent and is not executed yet.
    pub async fn settle(&self) {
        let late = self.state().late.take();
        if let Some((host, ops)) = late {
            let _ = host.flight(ops).await;
        }
    }

    fn host(&self, inner: Box<dyn Host>) -> Box<dyn Host> {
        Box::new(FaultyHost {
            inner: Arc::from(inner),
            faulty: self.clone(),
            broken: AtomicBool::new(false),
        })
    }

    fn lost(&self) -> HostError {
        HostError::new(HostErrorKind::Lost, self.inner.name(), "the test broke it")
    }
}

impl Connect for Faulty {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async {
            if self.state().dead {
                return Err(self.lost());
            }
            Ok(self.host(self.inner.connect().await?))
        })
    }

    fn connect_more(&self, files: usize) -> BoxStream<'_, Box<dyn Host>> {
        self.inner.connect_more(files).map(|host| self.host(host)).boxed()
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

impl FaultyHost {
    async fn fly(&self, ops: Vec<Op>) -> Result<Answers, HostError> {
        let hung = self.faulty.plan.is_some_and(|(_, fault)| fault == Fault::Hung);
        if self.broken.load(Ordering::SeqCst) {
            if hung {
                std::future::pending::<()>().await;
            }
            return Err(self.faulty.lost());
        }
        let number = {
            let mut state = self.faulty.state();
            state.record.push(ops.clone());
            state.record.len() - 1
        };
        match self.faulty.plan {
            Some((point, fault)) if point.flight == number => {
                self.faulty.state().happened = point.done <= ops.len();
                self.fail(ops, point.done, fault).await
            }
            _ => {
                let answers = self.inner.flight(ops).await;
                if self.faulty.plan.is_some_and(|(_, fault)| fault == Fault::Late) {
                    self.faulty.settle().await;
                }
                answers
            }
        }
    }

    async fn fail(&self, mut ops: Vec<Op>, done: usize, fault: Fault) -> Result<Answers, HostError> {
        let mut rest = ops.split_off(done.min(ops.len()));
        if fault == Fault::Refused {
            let behind = rest.split_off(1);
            let mut answers = self.inner.flight(ops).await?;
            answers.push(Err(refusal(RefusalKind::Failed, &rest[0])));
            answers.extend(self.inner.flight(behind).await?);
            return Ok(answers);
        }
        if fault == Fault::HalfWritten {
            ops.extend(rest.first().and_then(half));
        }
        self.inner.flight(ops).await?;
        self.broken.store(true, Ordering::SeqCst);
        match fault {
            Fault::Dead | Fault::HalfWritten => self.faulty.state().dead = true,
            Fault::Woken => {
                let mut state = self.faulty.state();
                state.dead = true;
                state.late = Some((Arc::clone(&self.inner), rest));
            }
            Fault::Late => self.faulty.state().late = Some((Arc::clone(&self.inner), rest)),
            Fault::Hung => std::future::pending::<()>().await,
            Fault::Cut | Fault::Refused => {}
        }
        Err(self.faulty.lost())
    }
}

impl Host for FaultyHost {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        Box::pin(self.fly(ops))
    }

    fn copies(&self) -> bool {
        self.inner.copies()
    }
}

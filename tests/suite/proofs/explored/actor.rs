//! One run under the scheduler: its connections queue the requested operations, and wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use syntax_publish::host::{Answer, Answers, Connect, Host, HostError, HostErrorKind, Op, Refusal};
use tokio::sync::{Notify, oneshot};

use crate::support::intercept::looks_at_lock;

/// A flight whose operations have not all been executed yet.
pub struct Flight {
    pub ops: VecDeque<Op>,
    pub answers: Answers,
    /// Whether it looks at the lock to find out whether its holder lives.
    pub looks: bool,
    reply: Option<oneshot::Sender<Result<Answers, HostError>>>,
}

/// The state that a run and the scheduler share.
#[derive(Default)]
pub struct Desk {
    pub flights: VecDeque<Flight>,
    /// Operations that were sent over lost connections and may still be executed.
    pub ghost: VecDeque<Op>,
    /// The result of the run.
    pub ended: Option<Result<(), String>>,
    /// Whether it ended without knowing which release is live.
    pub uncertain: bool,
    /// The run's random IDs and their replacements, which are the same in each execution.
    ids: Vec<(String, String)>,
}

#[derive(Clone)]
pub struct Actor {
    number: usize,
    desk: Arc<Mutex<Desk>>,
    news: Arc<Notify>,
}

impl Actor {
    pub fn new(number: usize, news: Arc<Notify>) -> Actor {
        Actor {
            number,
            desk: Arc::default(),
            news,
        }
    }

    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn end(&self, result: Result<(), String>, uncertain: bool) {
        let mut desk = self.desk();
        desk.ended = Some(result);
        desk.uncertain = uncertain;
        drop(desk);
        self.news.notify_one();
    }

    /// Whether the run waits for an answer or has ended, so that the scheduler is next.
    pub fn is_still(&self) -> bool {
        let desk = self.desk();
        desk.ended.is_some() || !desk.flights.is_empty()
    }

    /// Delivers the answers of an executed flight.
    pub fn answer(&self) {
        let mut desk = self.desk();
        let ids = desk.ids.clone();
        if desk.flights.front().is_some_and(|flight| flight.ops.is_empty())
            && let Some(mut flight) = desk.flights.pop_front()
            && let Some(reply) = flight.reply.take()
        {
            let answers = flight
                .answers
                .into_iter()
                .map(|answer| told_back(answer, &ids))
                .collect();
            let _ = reply.send(Ok(answers));
        }
    }

    /// Breaks the connection: operations that were sent but not executed become ghosts.
    pub fn lose(&self) {
        let mut desk = self.desk();
        while let Some(mut flight) = desk.flights.pop_front() {
            let rest = std::mem::take(&mut flight.ops);
            desk.ghost.extend(rest);
            if let Some(reply) = flight.reply.take() {
                let _ = reply.send(Err(lost()));
            }
        }
    }
}

fn lost() -> HostError {
    HostError::new(HostErrorKind::Lost, "memory".to_owned(), "the scheduler broke it")
}

impl Desk {
    /// Recognizes a new run by the folder that it makes.
    fn meet(&mut self, number: usize, op: &Op) {
        if let Op::MakeFolder(path) = op
            && let Some(id) = path.strip_prefix("work/").filter(|id| id.len() == 16)
            && !self.ids.iter().any(|(known, _)| known == id)
        {
            let stand_in = format!("{number:x}{:x}bbbbaaaaaaaaaa", self.ids.len() / 2);
            // The ID of the run, and that of its release, which is named after the beginning of the run's ID.
            self.ids.push((id.to_owned(), stand_in.clone()));
            self.ids
                .push((format!("-{}", &id[..6]), format!("-{}", &stand_in[..6])));
        }
    }
}

fn swapped(text: &str, ids: &[(String, String)], back: bool) -> String {
    ids.iter().fold(text.to_owned(), |text, (real, stand_in)| {
        if back {
            text.replace(stand_in.as_str(), real)
        } else {
            text.replace(real.as_str(), stand_in)
        }
    })
}

fn swapped_bytes(bytes: &[u8], ids: &[(String, String)], back: bool) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => swapped(text, ids, back).into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}

fn told(op: Op, ids: &[(String, String)]) -> Op {
    let swap = |text: String| swapped(&text, ids, false);
    match op {
        Op::Lstat(path) => Op::Lstat(swap(path)),
        Op::Stat(path) => Op::Stat(swap(path)),
        Op::ReadLink(path) => Op::ReadLink(swap(path)),
        Op::Resolve(path) => Op::Resolve(swap(path)),
        Op::List(path) => Op::List(swap(path)),
        Op::Space(path) => Op::Space(swap(path)),
        Op::MakeFolder(path) => Op::MakeFolder(swap(path)),
        Op::Symlink { text, at } => Op::Symlink {
            text: swap(text),
            at: swap(at),
        },
        Op::Link { from, to } => Op::Link {
            from: swap(from),
            to: swap(to),
        },
        Op::Rename { from, to } => Op::Rename {
            from: swap(from),
            to: swap(to),
        },
        Op::RemoveFile(path) => Op::RemoveFile(swap(path)),
        Op::RemoveFolder(path) => Op::RemoveFolder(swap(path)),
        Op::Create(path) => Op::Create(swap(path)),
        Op::Open(path) => Op::Open(swap(path)),
        Op::Write { handle, offset, bytes } => Op::Write {
            handle,
            offset,
            bytes: swapped_bytes(&bytes, ids, false),
        },
        op @ (Op::Read { .. } | Op::Copy { .. } | Op::Finish { .. } | Op::Close(_)) => op,
    }
}

fn told_back(answer: Result<Answer, Refusal>, ids: &[(String, String)]) -> Result<Answer, Refusal> {
    let swap = |text: String| swapped(&text, ids, true);
    Ok(match answer? {
        Answer::Text(text) => Answer::Text(swap(text)),
        Answer::Names(names) => Answer::Names(names.into_iter().map(|(name, attr)| (swap(name), attr)).collect()),
        Answer::Bytes(bytes) => Answer::Bytes(swapped_bytes(&bytes, ids, true)),
        other => other,
    })
}

impl Host for Actor {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        let (reply, answered) = oneshot::channel();
        {
            let mut desk = self.desk();
            for op in &ops {
                desk.meet(self.number, op);
            }
            let ids = desk.ids.clone();
            let looks = looks_at_lock(&ops);
            desk.flights.push_back(Flight {
                ops: ops.into_iter().map(|op| told(op, &ids)).collect(),
                answers: Vec::new(),
                looks,
                reply: Some(reply),
            });
        }
        self.news.notify_one();
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(lost())) })
    }
}

impl Connect for Actor {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Host>) })
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

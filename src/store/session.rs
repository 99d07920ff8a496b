//! One run's way to its host: the connection, what has been counted on it, and what is known to be live.
//!
//! Touches the host only through [`Host`]. It connects when first needed and again when asked to; it never repeats an
//! operation by itself, for after a lost connection no one knows what was done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::host::{Answers, Connect, Counted, Counts, Host, HostError, Op, refuse_impossible_names};
use crate::model::event::{Event, Note, Observer, Silent};
use crate::model::release::{Owner, ReleaseId, RunId};
use crate::store::flight::{Flight, Landed};

/// What is known of the live release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Live {
    /// Nothing was asked yet, or the host could not be asked.
    #[default]
    Unknown,
    /// Nothing has ever been published here.
    Nothing,
    /// This release.
    Release(ReleaseId),
}

/// How long a run waits, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A flight that is not answered after so long is given up, and the connection taken for lost; with what its own
    /// operations and those on their way before it may take ([`Op::weight`]).
    pub answer: Duration,
    /// How often a taken lock is looked at.
    pub look: Duration,
    /// How long to wait before connecting is tried again, where the server dropped the connection before authentication; twice
    /// as long each time after.
    pub again: Duration,
    /// After a robbery, how long to wait before the first change: a system call of the robbed run may already be under
    /// way.
    pub after_robbery: Duration,
}

impl Pace {
    /// How long a flight may take that has to wait for operations of this weight: a line of 2 kB/s is still one.
    fn for_weight(&self, weight: u64) -> Duration {
        let times = u32::try_from(weight / WORTH_AN_ANSWER).unwrap_or(u32::MAX);
        self.answer.saturating_mul(times.saturating_add(1))
    }
}

/// What a line of 2 kB/s carries in two minutes.
const WORTH_AN_ANSWER: u64 = 240_000;

impl Default for Pace {
    fn default() -> Self {
        Self {
            answer: Duration::from_mins(2),
            look: Duration::from_millis(400),
            again: Duration::from_millis(500),
            after_robbery: Duration::from_secs(2),
        }
    }
}

/// How often connecting is tried again.
const TRIES_AGAIN: u32 = 3;

/// A run's connection and memory.
pub struct Session {
    connector: Box<dyn Connect>,
    owner: Owner,
    pace: Pace,
    observer: Arc<dyn Observer>,
    counts: Counts,
    /// The weight of the operations on their way.
    under_way: AtomicU64,
    /// Bytes of manifests and documents that the host sent, over all connections.
    held: AtomicU64,
    state: Mutex<SessionState>,
}

/// The most that a host may send of manifests and documents, all of which is kept: seven million files.
const MOST_HELD: u64 = 1 << 30;

#[derive(Default)]
struct SessionState {
    host: Option<Arc<dyn Host>>,
    live: Live,
    runs: Vec<RunId>,
    later: Vec<Op>,
    /// Whether the host was seen to refuse what it says that it can copy.
    forgoes_copies: bool,
}

impl Session {
    /// A session that connects by `connector` when it first needs to.
    #[must_use]
    pub fn new(connector: Box<dyn Connect>, owner: Owner) -> Self {
        Self {
            connector,
            owner,
            pace: Pace::default(),
            observer: Arc::new(Silent),
            counts: Counts::default(),
            under_way: AtomicU64::new(0),
            held: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// The same, with other waits.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The same, with somebody who is told where connecting takes more than one try.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// How long it waits, and for what.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who runs, and what.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What the host is called in messages.
    #[must_use]
    pub fn host_name(&self) -> String {
        self.connector.name()
    }

    /// What went through so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is known to be live.
    #[must_use]
    pub fn live(&self) -> Live {
        self.state().live.clone()
    }

    /// Notes what is live; `None` for an empty store.
    pub fn note_live(&self, release: Option<ReleaseId>) {
        self.state().live = release.map_or(Live::Nothing, Live::Release);
    }

    /// Notes that what is live can't be known any more.
    pub fn note_live_unknown(&self) {
        self.state().live = Live::Unknown;
    }

    /// Notes a run whose workshop is on the host.
    pub(crate) fn note_run(&self, run: &RunId) {
        self.state().runs.push(run.clone());
    }

    /// Notes that a run's workshop is gone.
    pub(crate) fn forget_run(&self, run: &RunId) {
        self.state().runs.retain(|known| known != run);
    }

    /// Runs whose workshops may still be on the host.
    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.state().runs.clone()
    }

    /// The connection, if one was made.
    pub(crate) fn connected(&self) -> Option<Arc<dyn Host>> {
        self.state().host.clone()
    }

    /// The connection, made now if there's none.
    ///
    /// # Errors
    /// [`HostError`] where none comes about.
    pub async fn host(&self) -> Result<Arc<dyn Host>, HostError> {
        let there = self.state().host.clone();
        match there {
            Some(host) => Ok(host),
            None => self.connect_again().await,
        }
    }

    /// A new connection in place of the one there was. A server that drops it before authentication may only be full, or be
    /// starting: that is tried again, a few times.
    ///
    /// # Errors
    /// [`HostError`] where none comes about.
    pub async fn connect_again(&self) -> Result<Arc<dyn Host>, HostError> {
        // Handles of the connection before mean nothing on the next.
        self.forget_host();
        let mut pause = self.pace.again;
        let mut tries = 0;
        let host = loop {
            match self.connector.connect().await {
                Ok(host) => break host,
                Err(error) if error.why().may_pass() && tries < TRIES_AGAIN => {
                    if tries == 0 {
                        let reason = error.to_string();
                        let times = TRIES_AGAIN;
                        self.observer
                            .notice(Event::Noted(Note::ConnectingAgain { reason, times }));
                    }
                    tries += 1;
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error.after(tries)),
            }
        };
        let host: Arc<dyn Host> = Arc::new(Counted::new(host, self.counts.clone()));
        self.state().host = Some(Arc::clone(&host));
        Ok(host)
    }

    fn forget_host(&self) {
        let mut state = self.state();
        (state.host, state.later) = (None, Vec::new());
    }

    /// Whether the host there is a connection to can copy between its files.
    #[must_use]
    pub fn copies(&self) -> bool {
        let state = self.state();
        !state.forgoes_copies && state.host.as_ref().is_some_and(|host| host.copies())
    }

    /// From here on the host is not asked to copy.
    pub(crate) fn forgo_copies(&self) {
        self.state().forgoes_copies = true;
    }

    /// Operations whose answers no one waits for, such as closing what was read: they go with the next flight.
    pub(crate) fn send_later(&self, ops: impl IntoIterator<Item = Op>) {
        self.state().later.extend(ops);
    }

    fn lost(&self, detail: String) -> HostError {
        HostError::Lost {
            host: self.host_name(),
            detail,
        }
    }

    /// Notes that so many bytes of what the host says of its store are kept.
    ///
    /// # Errors
    /// [`HostError`] where that is more than any store has.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), HostError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MOST_HELD {
            return Err(self.lost("it sends more manifests and documents than any store has".to_owned()));
        }
        Ok(())
    }

    /// Sends a flight whose answers are read by tickets. See [`Session::flight`].
    ///
    /// # Errors
    /// [`HostError`] if the connection can't be made or is lost.
    pub async fn send(&self, flight: Flight) -> Result<Landed, HostError> {
        Ok(Landed::new(self.flight(flight.into_ops()).await?))
    }

    /// Sends operations over the connection there is.
    ///
    /// Each flight has a time, after which a host that does not answer, though the line stands, is given up: what was sent
    /// may be executed all the same, at any later moment, as after any lost connection.
    ///
    /// # Errors
    /// [`HostError`] where the connection can't be made or is lost.
    pub async fn flight(&self, mut ops: Vec<Op>) -> Result<Answers, HostError> {
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let host = self.host().await?;
        let asked = ops.len();
        ops.extend(std::mem::take(&mut self.state().later));
        let own = ops.iter().map(Op::weight).fold(0, u64::saturating_add);
        let before = self.under_way.fetch_add(own, Ordering::Relaxed);
        let _sent = UnderWay { session: self, own };
        let patience = self.pace.for_weight(before.saturating_add(own));
        let Ok(answers) = timeout(patience, host.flight(ops)).await else {
            return Err(self.lost(format!("no answer within {patience:.0?}")));
        };
        let mut answers = answers?;
        answers.truncate(asked);
        answers.iter_mut().for_each(refuse_impossible_names);
        Ok(answers)
    }
}

/// A flight that is on its way, until it is answered or given up.
struct UnderWay<'a> {
    session: &'a Session,
    own: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.session.under_way.fetch_sub(self.own, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;

    struct Nowhere;

    impl Connect for Nowhere {
        fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
            Box::pin(std::future::pending())
        }

        fn name(&self) -> String {
            "nowhere".to_owned()
        }
    }

    #[test]
    fn host_may_send_so_much_of_manifests_and_no_more() {
        let owner = Owner {
            who: String::new(),
            what: String::new(),
            since: 0,
        };
        let session = Session::new(Box::new(Nowhere), owner);
        let half = usize::try_from(MOST_HELD / 2).unwrap();
        assert_eq!(session.hold(half), Ok(()));
        assert_eq!(session.hold(half), Ok(()));
        assert!(session.hold(1).is_err());
    }

    #[test]
    fn flight_has_the_time_that_a_slow_line_and_disk_take() {
        let pace = Pace::default();
        let minutes = |weight| pace.for_weight(weight).as_secs() / 60;
        assert_eq!(minutes(0), 2);
        let write = |length| Op::Write {
            handle: crate::host::Handle(1),
            offset: 0,
            bytes: vec![0; length],
        };
        assert!((8..16).contains(&minutes(write(1 << 20).weight())), "a MiB at 2 kB/s");
        assert_eq!(pace.for_weight(u64::MAX), pace.answer.saturating_mul(u32::MAX));
    }
}

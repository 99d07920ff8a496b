//! One run's session with its host: the connection, the counters of what was transferred, and what is known to be live.
//!
//! A session reaches the host only through [`Host`]. It connects when a connection is first needed, and again when the
//! caller requests it. It must never repeat an operation by itself, because after a lost connection it is unknown which
//! operations were executed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::timeout;

use crate::host::{
    Answers, Connect, Counts, EarlyAnswers, Host, HostError, HostErrorKind, Op, Reply, refuse_impossible_names,
};
use crate::model::event::{Note, Observer, Silent};
use crate::model::release::{Owner, ReleaseId, RunId};
use crate::store::flight::{Flight, Landed};

/// What is known of the live release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Live {
    /// The host was not asked yet, or could not be asked.
    #[default]
    Unknown,
    /// Nothing has ever been published here.
    Nothing,
    /// This release.
    Release(ReleaseId),
}

/// Timeouts and pauses of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long a flight may be unanswered before it is given up and the connection counts as lost. The time that its
    /// own operations may take is added, and the time of those that are on their way before it ([`Op::weight`]).
    pub answer: Duration,
    /// The pause between two looks at a lock that another run holds.
    pub look: Duration,
    /// The pause before connecting is tried again, if the server dropped the connection before authentication or
    /// nothing listened. The pause doubles each time.
    pub again: Duration,
    /// The pause between stealing a lock and the first change, because a system call of the former holder may already
    /// be under way.
    pub after_robbery: Duration,
}

impl Pace {
    /// Returns how long a flight may take that has to wait for operations of this weight. A line of 2 kB/s still counts
    /// as working.
    fn for_weight(&self, weight: u64) -> Duration {
        let times = u32::try_from(weight / WORTH_AN_ANSWER).unwrap_or(u32::MAX);
        self.answer.saturating_mul(times.saturating_add(1))
    }
}

/// The number of bytes that a line of 2 kB/s carries in two minutes.
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

/// How many times connecting is tried again.
const TRIES_AGAIN: u32 = 3;

/// A run's connection, and what the run knows of its host.
pub struct Session {
    connector: Box<dyn Connect>,
    owner: Owner,
    pace: Pace,
    observer: Arc<dyn Observer>,
    counts: Counts,
    /// The weight of the operations that are on their way.
    under_way: AtomicU64,
    /// Bytes of manifests and documents that the host sent, over all connections.
    held: AtomicU64,
    state: Mutex<SessionState>,
}

/// The most bytes of manifests and documents that a host may send, because all of them are kept. Enough for seven
/// million files.
const MOST_HELD: u64 = 1 << 30;

#[derive(Default)]
struct SessionState {
    host: Option<Arc<dyn Host>>,
    live: Live,
    runs: Vec<RunId>,
    later: Vec<Op>,
    fastest: Option<Duration>,
    /// Whether the host refused a copy although it reports that it can copy.
    forgoes_copies: bool,
    /// Whether an additional connection was lost, so that no more of them are made.
    forgoes_connections: bool,
}

impl Session {
    /// Creates a session that connects through `connector` when a connection is first needed.
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

    /// Replaces the timeouts and pauses.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sets the observer that is notified of everything that the run does with its host.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Returns the observer.
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Returns the timeouts and pauses.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the owner of the run: who runs it, and what it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Returns the host's name for messages.
    pub fn host_name(&self) -> String {
        self.connector.name()
    }

    /// Returns the counters of what was transferred so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the shortest time in which the host answered a flight of one round trip. `None` if there was no such
    /// flight.
    pub fn fastest_round_trip(&self) -> Option<Duration> {
        self.state().fastest
    }

    /// Returns what is known to be live.
    pub fn live(&self) -> Live {
        self.state().live.clone()
    }

    /// Notes what is live; `None` for an empty store.
    pub fn note_live(&self, release: Option<ReleaseId>) {
        self.state().live = release.map_or(Live::Nothing, Live::Release);
    }

    /// Notes that it is no longer known what is live.
    pub fn note_live_unknown(&self) {
        self.state().live = Live::Unknown;
    }

    /// Notes a run whose staging directory is on the host.
    pub(crate) fn note_run(&self, run: &RunId) {
        self.state().runs.push(run.clone());
    }

    /// Notes that a run's staging directory is gone.
    pub(crate) fn forget_run(&self, run: &RunId) {
        self.state().runs.retain(|known| known != run);
    }

    /// Returns the runs whose staging directories may still be on the host.
    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.state().runs.clone()
    }

    /// Returns the connection, if one was made.
    pub(crate) fn connected(&self) -> Option<Arc<dyn Host>> {
        self.state().host.clone()
    }

    /// Returns the connection. Connects if there is none.
    ///
    /// # Errors
    /// [`HostError`] if the connection can't be made.
    pub async fn host(&self) -> Result<Arc<dyn Host>, HostError> {
        let there = self.state().host.clone();
        match there {
            Some(host) => Ok(host),
            None => self.connect_again().await,
        }
    }

    /// Replaces the connection with a new one. A server that drops the connection before authentication, or does not
    /// listen, may only be overloaded or starting. So connecting is tried again a few times.
    ///
    /// # Errors
    /// [`HostError`] if the connection can't be made.
    pub async fn connect_again(&self) -> Result<Arc<dyn Host>, HostError> {
        Ok(self.connect_asking(&[]).await?.0)
    }

    /// Does the same, and sends operations that only read while it connects, if the host supports that.
    async fn connect_asking(&self, ops: &[Op]) -> Result<(Arc<dyn Host>, Option<EarlyAnswers>), HostError> {
        // Handles of the previous connection mean nothing on the new one.
        self.forget_host();
        let mut pause = self.pace.again;
        let mut tries = 0;
        let (host, early) = loop {
            match self.connector.connect_asking(ops.to_vec()).await {
                Ok(connected) => break connected,
                Err(error) if error.why.may_pass() && tries < TRIES_AGAIN => {
                    if tries == 0 {
                        let reason = error.to_string();
                        let times = TRIES_AGAIN;
                        self.observer.note(Note::ConnectingAgain { reason, times });
                    }
                    tries += 1;
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error.after(tries)),
            }
        };
        let host: Arc<dyn Host> = Arc::from(host);
        self.state().host = Some(Arc::clone(&host));
        Ok((host, early))
    }

    /// Opens more connections to send so many small files, as many as are worth it. They end when they are dropped.
    pub(crate) fn connect_more(&self, files: usize) -> BoxStream<'_, Box<dyn Host>> {
        if self.state().forgoes_connections {
            return stream::empty().boxed();
        }
        self.connector.connect_more(files)
    }

    fn forget_host(&self) {
        let mut state = self.state();
        (state.host, state.later) = (None, Vec::new());
    }

    /// Whether the connected host can copy between its files.
    pub fn copies(&self) -> bool {
        let state = self.state();
        !state.forgoes_copies && state.host.as_ref().is_some_and(|host| host.copies())
    }

    /// Stops requesting copies from the host.
    pub(crate) fn forgo_copies(&self) {
        self.state().forgoes_copies = true;
    }

    /// Queues operations whose answers are not needed, such as closing a file that was read. They go with the next
    /// flight.
    pub(crate) fn send_later(&self, ops: impl IntoIterator<Item = Op>) {
        self.state().later.extend(ops);
    }

    fn lost(&self, detail: String) -> HostError {
        HostError::new(HostErrorKind::Lost, self.host_name(), detail)
    }

    /// Counts bytes that are kept of what the host reports about its store.
    ///
    /// # Errors
    /// [`HostError`] if the total is more than any store has.
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

    /// Sends one operation. See [`Session::flight`].
    ///
    /// # Errors
    /// [`HostError`] if the connection can't be made or is lost.
    pub async fn ask(&self, op: Op) -> Result<Reply, HostError> {
        let reply = self.flight(vec![op]).await?.pop();
        reply.ok_or_else(|| self.lost("it did not answer".to_owned()))
    }

    /// Sends operations over the connection. Connects if there is none.
    ///
    /// Each flight has a time limit. A host that does not answer within it counts as lost, even if the connection is
    /// still open. What was sent may still be executed at any later moment, as after any lost connection.
    ///
    /// # Errors
    /// [`HostError`] if the connection can't be made or is lost.
    pub async fn flight(&self, ops: Vec<Op>) -> Result<Answers, HostError> {
        self.counted_flight(ops, true).await
    }

    /// Sends operations whose answers are not waited for before anything else. They are no round trip.
    ///
    /// # Errors
    /// [`HostError`] if the connection can't be made or is lost.
    pub(crate) async fn flight_aside(&self, ops: Vec<Op>) -> Result<Answers, HostError> {
        self.counted_flight(ops, false).await
    }

    async fn counted_flight(&self, mut ops: Vec<Op>, waits: bool) -> Result<Answers, HostError> {
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let there = self.connected();
        let (host, early) = match there {
            Some(host) => (host, None),
            None if ops.iter().all(Op::only_reads) => self.connect_asking(&ops).await?,
            None => (self.connect_again().await?, None),
        };
        let asked = ops.len();
        if early.is_none() {
            ops.extend(std::mem::take(&mut self.state().later));
        }
        // An early flight waits for the connection as well, or was answered in part before it is awaited.
        let is_one_trip = early.is_none() && ops.iter().all(|op| op.round_trips() == 1);
        let under_way = self.begin(&ops, waits);
        let sent = is_one_trip.then(Instant::now);
        let mut answers = match early {
            Some(early) => under_way.answers(early).await?,
            None => under_way.answers(host.flight(ops)).await?,
        };
        if let Some(took) = sent.map(|sent| sent.elapsed()) {
            let fastest = &mut self.state().fastest;
            *fastest = Some(fastest.map_or(took, |known| known.min(took)));
        }
        answers.truncate(asked);
        Ok(answers)
    }

    /// Sends operations over an additional connection. If that is lost, no more are made.
    ///
    /// # Errors
    /// [`HostError`] if the connection is lost.
    pub(crate) async fn flight_over(&self, host: &dyn Host, ops: Vec<Op>) -> Result<Answers, HostError> {
        let answers = self.begin(&ops, true).answers(host.flight(ops)).await;
        self.state().forgoes_connections |= answers.is_err();
        answers
    }

    /// Counts a flight that is about to be sent.
    fn begin(&self, ops: &[Op], waits: bool) -> UnderWay<'_> {
        self.counts.count(ops, waits);
        let own = ops.iter().map(Op::weight).fold(0, u64::saturating_add);
        let before = self.under_way.fetch_add(own, Ordering::Relaxed);
        UnderWay {
            session: self,
            own,
            patience: self.pace.for_weight(before.saturating_add(own)),
        }
    }
}

/// A flight that is on its way, until it is answered or given up.
struct UnderWay<'a> {
    session: &'a Session,
    own: u64,
    patience: Duration,
}

impl UnderWay<'_> {
    /// Waits for the answers, but not for ever.
    async fn answers(self, answers: impl Future<Output = Result<Answers, HostError>>) -> Result<Answers, HostError> {
        let Ok(answers) = timeout(self.patience, answers).await else {
            let patience = self.patience;
            return Err(self.session.lost(format!("no answer within {patience:.0?}")));
        };
        let mut answers = answers?;
        answers.iter_mut().for_each(refuse_impossible_names);
        Ok(answers)
    }
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
    use crate::host::Connected;

    struct Nowhere;

    impl Connect for Nowhere {
        fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
            Box::pin(std::future::pending())
        }

        fn name(&self) -> String {
            "nowhere".to_owned()
        }
    }

    /// A host that answers at once, also while the connection is made.
    struct Prompt;

    impl Host for Prompt {
        fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
            Box::pin(async move { Ok(ops.iter().map(|_| Ok(crate::host::Answer::Done)).collect()) })
        }
    }

    impl Connect for Prompt {
        fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
            Box::pin(async { Ok(Box::new(Self) as Box<dyn Host>) })
        }

        fn connect_asking(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Connected, HostError>> {
            let early: EarlyAnswers = Box::pin(async move { Prompt.flight(ops).await });
            Box::pin(async { Ok((Box::new(Self) as Box<dyn Host>, Some(early))) })
        }

        fn name(&self) -> String {
            "prompt".to_owned()
        }
    }

    #[tokio::test]
    async fn only_flights_of_one_round_trip_are_measured() {
        let session = Session::new(Box::new(Prompt), owner());
        let measured = async |ops: Vec<Op>| {
            session.flight(ops).await.unwrap();
            session.fastest_round_trip()
        };
        let (look, list) = (Op::Lstat(String::new()), Op::List(String::new()));
        assert_eq!(measured(vec![look.clone()]).await, None, "sent while connecting");
        assert_eq!(measured(vec![look.clone(), list]).await, None, "three round trips");
        let first = measured(vec![look.clone()]).await;
        assert!(first.is_some());
        for _ in 0..100 {
            assert!(measured(vec![look.clone()]).await <= first);
        }
    }

    fn owner() -> Owner {
        Owner {
            who: String::new(),
            what: String::new(),
            since: 0,
            yields: false,
        }
    }

    #[test]
    fn host_may_send_so_much_of_manifests_and_no_more() {
        let session = Session::new(Box::new(Nowhere), owner());
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

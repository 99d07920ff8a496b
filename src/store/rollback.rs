//! Making another release live, and stopping or resuming publishing: small changes under the lock.
//!
//! A rollback moves one symlink, whatever the size of the site. Nothing here is ever removed.

use std::time::Duration;

use crate::host::{Answer, HostError, Op, Refusal, RefusalKind};
use crate::model::event::{Event, Observer};
use crate::model::layout;
use crate::model::release::{Generation, Hold, ReleaseId, RunId};
use crate::store::Error;
use crate::store::StoreError;
use crate::store::flight::{Attributes, Done, Flight, Landed, Read, Text, Ticket};
use crate::store::open::{self, LockOps, OpenOptions, StoreState};
use crate::store::pending_purges::{Delivery, Paid};
use crate::store::plan::HostFacts;
use crate::store::recovery::find_after_loss;
use crate::store::refusal::explain;
use crate::store::releases;
use crate::store::session::Session;
use crate::store::signing::AllowedSigners;
use crate::store::staging::{self, StagingDir, Waiting, leave};
use crate::store::swap::swap;

/// Which release to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// So many releases back, along what each replaced; releases that were pruned are skipped.
    Steps(u32),
    /// This one, by a unique beginning of its id.
    Release(String),
}

/// How to go back.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Why to stop publishing, too.
    pub hold: Option<String>,
    /// Whose signatures count: only a release with one of them is gone back to. None: any release.
    pub signers: Option<AllowedSigners>,
    /// How long to wait for the lock.
    pub wait: Option<Duration>,
    /// Whether a CDN is purged afterwards; see [`crate::store::publish::Options::purges`].
    pub purges: bool,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The release that is live now.
    pub release: ReleaseId,
    /// The release that was live before.
    pub previous: ReleaseId,
}

/// Makes a previous release live again.
///
/// # Errors
/// [`Error`]; what was live before is live still, unless it is [`Error::Uncertain`].
pub async fn rollback(
    session: &Session,
    destination: &Destination,
    options: &Options,
    observer: &dyn Observer,
) -> Result<RolledBack, Error> {
    let store_state = open::inspect(session, []).await?.store_state;
    let Some(live) = store_state.current.clone() else {
        return Err(Error::NothingPublished {
            host: session.host_name(),
        });
    };
    let known = match destination {
        Destination::Steps(1) => store_state.former.clone(),
        _ => None,
    };
    let way_back = WayBack {
        session,
        options,
        store_state: &store_state,
        live: &live,
        observer,
    };
    let taken = match known {
        Some(former) => match way_back.take(&former).await {
            Ok(()) => Some(former),
            // It was pruned; there may be one further back.
            Err(Error::NoSuchRelease { .. }) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let release = if let Some(release) = taken {
        release
    } else {
        let release = match destination {
            Destination::Release(wanted) => releases::resolve(session, wanted).await?,
            Destination::Steps(steps) => releases::steps_back(session, &live, *steps).await?,
        };
        if release == live {
            return Err(Error::AlreadyLive { release });
        }
        way_back.take(&release).await?;
        release
    };
    session.note_live(Some(release.clone()));
    observer.notice(Event::Swapped {
        release: release.clone(),
    });
    Ok(RolledBack {
        release,
        previous: live,
    })
}

/// From the live release to a previous one.
struct WayBack<'a> {
    session: &'a Session,
    options: &'a Options,
    store_state: &'a StoreState,
    live: &'a ReleaseId,
    observer: &'a dyn Observer,
}

impl WayBack<'_> {
    async fn take(&self, to: &ReleaseId) -> Result<(), Error> {
        if let Some(signers) = &self.options.signers {
            signers.insist(self.session, to).await?;
        }
        let change = LockedChange::Swap {
            to: to.clone(),
            from: self.live.clone(),
            hold: self.options.hold.clone(),
            owes: self.options.purges,
        };
        let waiting = Waiting {
            patience: self.options.wait,
            observer: self.observer,
        };
        change_under_lock(self.session, &change, self.store_state, waiting).await
    }
}

/// Stops publishing to this target, for a reason that every publish then shows.
///
/// # Errors
/// [`Error`].
pub async fn hold(session: &Session, reason: &str, observer: &dyn Observer) -> Result<(), Error> {
    let store_snapshot = open::inspect(session, []).await?;
    let change = LockedChange::Hold {
        reason: reason.to_owned(),
    };
    change_under_lock(
        session,
        &change,
        &store_snapshot.store_state,
        Waiting::no_longer(observer),
    )
    .await
}

/// Keeps what is known of the live release's way to its visitors, and subtracts what was paid from what is owed. Where
/// another went live meanwhile, nothing is kept: that is for the run that made it live.
///
/// # Errors
/// [`Error`].
pub async fn note_delivery(
    session: &Session,
    release: &ReleaseId,
    note: &Delivery,
    paid: &Paid,
    waiting: Waiting<'_>,
) -> Result<(), Error> {
    let change = LockedChange::Note {
        of: release.clone(),
        note: note.clone(),
        paid: paid.clone(),
    };
    change_under_lock(session, &change, &StoreState::default(), waiting).await
}

/// Lets publishing go on. Returns what it was held for, if it was.
///
/// # Errors
/// [`Error`].
pub async fn resume(session: &Session, observer: &dyn Observer) -> Result<Option<Hold>, Error> {
    let store_state = open::inspect(session, []).await?.store_state;
    if store_state.hold.is_some() {
        change_under_lock(
            session,
            &LockedChange::Resume,
            &store_state,
            Waiting::no_longer(observer),
        )
        .await?;
    }
    Ok(store_state.hold)
}

/// A change of a few names under the lock.
enum LockedChange {
    Swap {
        to: ReleaseId,
        from: ReleaseId,
        hold: Option<String>,
        /// Whether it is noted that a CDN may have what is replaced.
        owes: bool,
    },
    Note {
        of: ReleaseId,
        note: Delivery,
        paid: Paid,
    },
    Hold {
        reason: String,
    },
    Resume,
}

/// `known` is what the store said of itself before.
async fn change_under_lock(
    session: &Session,
    change: &LockedChange,
    known: &StoreState,
    waiting: Waiting<'_>,
) -> Result<(), Error> {
    let mut staging_dir = StagingDir::new(crate::store::run_id::run_id());
    let run = staging_dir.run().clone();
    match attempt(session, &mut staging_dir, change, known, waiting).await {
        Ok(()) => {
            session.forget_run(&run);
            Ok(())
        }
        Err(Error::Store(StoreError::Host(lost @ HostError::Lost { .. }))) => {
            recover(session, &run, change, lost).await
        }
        Err(error) => {
            leave(session, &mut staging_dir).await;
            Err(error)
        }
    }
}

/// Over a new connection: the old run is put out of reach, then `current` says what became of it.
async fn recover(session: &Session, run: &RunId, change: &LockedChange, lost: HostError) -> Result<(), Error> {
    let (release, before) = match change {
        LockedChange::Swap { to, from, .. } => (Some(to), Some(from)),
        LockedChange::Note { .. } | LockedChange::Hold { .. } | LockedChange::Resume => (None, None),
    };
    match find_after_loss(session, run, release, before).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(lost.into()),
        Err(_) if release.is_some() => {
            session.note_live_unknown();
            Err(Error::Uncertain { lost: lost.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

async fn attempt(
    session: &Session,
    staging_dir: &mut StagingDir,
    change: &LockedChange,
    known: &StoreState,
    waiting: Waiting<'_>,
) -> Result<(), Error> {
    let mut facts = HostFacts::default();
    let who = session.owner().who.as_str();
    let lock = |staging_dir: &mut StagingDir| change.locking(staging_dir, known, who);
    let along = OpenOptions {
        lock: (!change.tells_time()).then_some(&lock),
        ..OpenOptions::default()
    };
    let entered = open::open_store(session, staging_dir, &along, &mut facts).await?;
    let (before, answers) = if change.tells_time() {
        let LockOps { staged, held } = change.locking(staging_dir, &entered.store_state, who);
        let count = staged.len();
        let mut ops = staged;
        ops.push(staging_dir.acquire());
        ops.extend(held);
        let mut answers = session.flight(ops).await?;
        let locking = answers.split_off(count.min(answers.len()));
        staging_dir.took_lock(locking.first());
        all_done(session, &answers).await?;
        (&entered.store_state, locking)
    } else {
        (known, entered.locking)
    };
    let held = change.held(staging_dir);
    let answers = staging::take_lock(session, staging_dir, answers, held.flight.ops(), waiting).await?;
    let answers = Landed::new(answers);
    staging_dir.keep_last(answers.answer(held.last));
    let ours = next_generation(before, staging_dir.run());
    let (found, entered) = (answers.answer(held.generation), before.generation.as_ref());
    staging::keep_clock(session, staging_dir, found, entered, &ours).await?;
    let text = answers.text(held.current);
    let current = text.and_then(|text| open::read_current(&text));
    let found = UnderLock {
        current,
        there: held.release.is_some_and(|release| answers.is_done(release)),
        delivery: delivery_of(session, answers.answer(held.delivery)).await?,
        now: before.now,
    };
    let mut ops = change.ops(staging_dir, &found)?;
    for written in std::iter::once(held.moved).chain(held.left) {
        all_done(session, answers.answer(written).map_or(&[], std::slice::from_ref)).await?;
    }
    // The swap can't be guarded by symlinks that lead nowhere: a hold that must be there before it is awaited.
    if let (LockedChange::Swap { hold: Some(_), .. }, true) = (change, ops.len() > 1) {
        let last = ops.split_off(1);
        all_done(session, &session.flight(ops).await?).await?;
        ops = last;
    }
    let mut flight = Flight::default();
    let last = ops.pop();
    flight.extend(ops);
    let last = flight.extend(last);
    flight.extend(staging_dir.leave_synced());
    let answers = session.send(flight).await?;
    all_done(session, answers.all(&last)).await
}

/// What the holder of the lock does and reads first.
struct Held {
    flight: Flight,
    /// The generation before this run.
    generation: Ticket<Text>,
    /// That it moves on.
    moved: Ticket<Done>,
    current: Ticket<Text>,
    delivery: Ticket<Text>,
    /// The release that is to be live.
    release: Option<Ticket<Attributes>>,
    /// The note that the live release was left.
    left: Option<Ticket<Done>>,
    /// The file that is synced last.
    last: Ticket<Done>,
}

/// What was found under the lock.
struct UnderLock {
    current: Option<ReleaseId>,
    /// Whether the release is there that is to be live.
    there: bool,
    delivery: Delivery,
    /// The host's clock, where a record needs it.
    now: crate::host::Time,
}

/// What is known of the way to the visitors. What can't be read is not what isn't there: it would be forgotten.
async fn delivery_of(session: &Session, answer: Option<&Result<Answer, Refusal>>) -> Result<Delivery, Error> {
    if let Some(refusal) = answer.and_then(Read::refusal)
        && refusal.kind != RefusalKind::NotFound
    {
        return Err(explain(session, refusal).await.into());
    }
    let text = answer.and_then(Read::text);
    Ok(text.map(|text| Delivery::read(&text)).unwrap_or_default())
}

async fn all_done(session: &Session, answers: &[Result<Answer, Refusal>]) -> Result<(), Error> {
    let refusal = answers.iter().find_map(Read::refusal);
    match refusal {
        Some(refusal) => Err(explain(session, refusal).await.into()),
        None => Ok(()),
    }
}

/// The store's mark that this run changed something; its clock never goes back.
pub(crate) fn next_generation(store_state: &StoreState, run: &RunId) -> Generation {
    let last = store_state.generation.as_ref();
    Generation {
        clock: last.map_or(0, |generation| generation.clock),
        made: last.map_or(0, |generation| generation.made),
        run: run.to_string(),
    }
}

impl LockedChange {
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Swap { hold, .. } => hold.as_deref(),
            Self::Hold { reason } => Some(reason),
            Self::Note { .. } | Self::Resume => None,
        }
    }

    /// Whether a record of it says when it was, so that the host's clock must be known first.
    fn tells_time(&self) -> bool {
        self.reason().is_some() || matches!(self, Self::Note { .. })
    }

    /// What is to be known from then on of the way to the visitors.
    fn note(&self, found: &UnderLock, run: &RunId) -> Option<Delivery> {
        match self {
            Self::Swap { from, owes, .. } => owes.then(|| found.delivery.owing(Some(from), run)),
            Self::Note { note, paid, .. } => {
                let left = found.delivery.without(paid);
                Some(Delivery {
                    at: found.now,
                    owed: left.owed,
                    owed_all: left.owed_all,
                    swap: left.swap,
                    ..note.clone()
                })
            }
            Self::Hold { .. } | Self::Resume => None,
        }
    }

    /// What is made in the workshop, and what is done and asked first by the holder of the lock.
    fn locking(&self, staging_dir: &mut StagingDir, known: &StoreState, who: &str) -> LockOps {
        let generation = next_generation(known, staging_dir.run());
        let mut staged = vec![staging_dir.symlink("gen", generation.to_string())];
        if let Self::Swap { to, from, .. } = self {
            staged.push(staging_dir.symlink("cur", layout::release(to)));
            staged.push(staging_dir.symlink("left", layout::release(from)));
        }
        if let Some(reason) = self.reason() {
            let held = Hold {
                reason: reason.to_owned(),
                who: who.to_owned(),
                since: known.now,
            };
            let text = serde_json::to_string(&held).unwrap_or_default();
            staged.push(staging_dir.symlink("hold", text));
        }
        LockOps {
            staged,
            held: self.held(staging_dir).flight.into_ops(),
        }
    }

    /// What the holder of the lock does and asks first.
    fn held(&self, staging_dir: &StagingDir) -> Held {
        let mut flight = Flight::default();
        let generation = flight.read_link(layout::GENERATION);
        let moved = flight.rename(staging_dir.path_holding("gen"), layout::GENERATION);
        let current = flight.read_link(layout::CURRENT);
        let delivery = flight.read_link(layout::DELIVERY);
        let (mut release, mut left) = (None, None);
        if let Self::Swap { to, from, .. } = self {
            release = Some(flight.stat(layout::release(to)));
            // Readers may still have it open, for as long as the skew window lasts from now. If the swap fails after all,
            // its chunks are kept longer than necessary.
            left = Some(flight.rename(staging_dir.path_holding("left"), layout::release_left(from)));
        }
        let last = flight.add(staging_dir.open_last());
        Held {
            flight,
            generation,
            moved,
            current,
            delivery,
            release,
            left,
            last,
        }
    }

    /// The renames that make the change, once the lock is held.
    fn ops(&self, staging_dir: &mut StagingDir, found: &UnderLock) -> Result<Vec<Op>, Error> {
        let mut ops = Vec::new();
        if self.reason().is_some() {
            ops.push(Op::Rename {
                from: staging_dir.path_holding("hold"),
                to: layout::HOLD.to_owned(),
            });
        }
        let note = self.note(found, &staging_dir.run().clone());
        let current = found.current.as_ref();
        let noting = |staging_dir: &mut StagingDir, note: Delivery| {
            let made = staging_dir.symlink("delivery", note.text());
            let rename = Op::Rename {
                from: staging_dir.path_holding("delivery"),
                to: layout::DELIVERY.to_owned(),
            };
            staging_dir.moved_out("delivery");
            [made, rename]
        };
        match self {
            Self::Hold { .. } => {}
            Self::Note { of, .. } if current != Some(of) => {}
            Self::Note { .. } => ops.extend(note.into_iter().flat_map(|note| noting(staging_dir, note))),
            Self::Resume => {
                ops.push(Op::Rename {
                    from: layout::HOLD.to_owned(),
                    to: staging_dir.path_holding("trash/hold"),
                });
                ops.push(Op::RemoveFile(staging_dir.path_holding("trash/hold")));
            }
            Self::Swap { to, from, .. } => {
                if current != Some(from) {
                    return Err(Error::ConcurrentPublish { by: current.cloned() });
                }
                if !found.there {
                    return Err(Error::NoSuchRelease {
                        wanted: to.to_string(),
                        there: Vec::new(),
                    });
                }
                ops.extend(note.into_iter().flat_map(|note| noting(staging_dir, note)));
                ops.push(swap(to, staging_dir));
            }
        }
        Ok(ops)
    }
}

//! Small changes under the lock: making another release live, and stopping or resuming publishing.
//!
//! A rollback makes a release live by moving one symlink, whatever the size of the site. This module must never remove
//! a release or any of its content.

use std::time::Duration;

use crate::host::{Attr, Handle, HostError, Op};
use crate::model::channel::{ChannelName, Slot};
use crate::model::event::Event;
use crate::model::layout;
use crate::model::release::{Generation, Hold, ReleaseId, RunId};
use crate::store::flight::{Flight, Read as _, ReplyTo, Ticket};
use crate::store::open::{self, LockOps, OpenOptions, StoreState};
use crate::store::pending_purges::{Delivery, Pending};
use crate::store::plan::HostFacts;
use crate::store::recovery::find_after_loss;
use crate::store::refusal::{all_done, done_or_gone};
use crate::store::session::Session;
use crate::store::signing::AllowedSigners;
use crate::store::staging::{self, StagingDir, leave};
use crate::store::swap::swap;
use crate::store::{Error, StoreError, channels, releases};

/// The release to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// This many releases back, along the chain of the releases that each one replaced. Releases that were pruned are
    /// skipped.
    Steps(u32),
    /// The release whose ID starts with this text, which must be unambiguous.
    Release(String),
}

/// Options of a rollback.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// If set, publishing is stopped, too, for this reason.
    pub hold: Option<String>,
    /// If set, only a release with a valid signature of one of these signers is accepted. `None`: any release.
    pub signers: Option<AllowedSigners>,
    /// How long to wait for the lock.
    pub wait: Option<Duration>,
    /// Whether a CDN is purged afterwards; see [`crate::store::publish::Options::purges`].
    pub purges: bool,
}

/// Result of a rollback.
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
/// [`Error`]. The release that was live before is still live, unless the error is [`Error::Uncertain`].
pub async fn rollback(session: &Session, destination: &Destination, options: &Options) -> Result<RolledBack, Error> {
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
    let take = async |to: &ReleaseId| {
        if let Some(signers) = &options.signers {
            signers.insist(session, to).await?;
        }
        let change = LockedChange::Swap {
            to: to.clone(),
            from: live.clone(),
            hold: options.hold.clone(),
            owes: options.purges,
        };
        change_under_lock(session, &change, &store_state, options.wait).await
    };
    let taken = match known {
        Some(former) => match take(&former).await {
            Ok(()) => Some(former),
            // That release was pruned. One further back may still exist.
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
        // The pool has no files of a channel's release, which open tabs would request after the next swap.
        let document = open::document(session, &release).await?;
        let mut links = channels::links(session).await?.into_iter();
        let shown = links.find(|link| link.release == release);
        let channel = document.and_then(|document| document.channel);
        if let Some(channel) = channel.or(shown.map(|link| link.name.to_string())) {
            return Err(Error::OfChannel { release, channel });
        }
        take(&release).await?;
        release
    };
    session.note_live(Some(release.clone()));
    session.observer().notice(Event::Swapped(release.clone()));
    Ok(RolledBack {
        release,
        previous: live,
    })
}

/// Stops publishing to this target. Every publish then reports the reason.
///
/// # Errors
/// [`Error`].
pub async fn hold(session: &Session, reason: &str) -> Result<(), Error> {
    let store_snapshot = open::inspect(session, []).await?;
    let change = LockedChange::Hold {
        reason: reason.to_owned(),
    };
    change_under_lock(session, &change, &store_snapshot.store_state, None).await
}

/// Records what is known of the live release's delivery to its visitors, and subtracts what was purged from what a CDN
/// still has to purge. If another release went live in the meantime, nothing is recorded: the run that made it live
/// does that.
///
/// # Errors
/// [`Error`].
pub async fn note_delivery(
    session: &Session,
    release: &ReleaseId,
    note: &Delivery,
    paid: &Pending,
    patience: Option<Duration>,
) -> Result<(), Error> {
    let change = LockedChange::Note {
        of: release.clone(),
        note: note.clone(),
        paid: paid.clone(),
    };
    change_under_lock(session, &change, &StoreState::default(), patience).await
}

/// Resumes publishing. Returns the hold that was lifted, or `None` if there was none.
///
/// # Errors
/// [`Error`].
pub async fn resume(session: &Session) -> Result<Option<Hold>, Error> {
    let store_state = open::inspect(session, []).await?.store_state;
    if store_state.hold.is_some() {
        change_under_lock(session, &LockedChange::Resume, &store_state, None).await?;
    }
    Ok(store_state.hold)
}

/// Removes a channel. The next prune deletes what only its release needs.
///
/// # Errors
/// [`Error`]; [`Error::NoSuchChannel`] if there is none of this name.
pub async fn remove_channel(session: &Session, name: &ChannelName) -> Result<(), Error> {
    channels::shown(session, name).await?;
    let change = LockedChange::RemoveChannel { name: name.clone() };
    let known = open::inspect(session, []).await?.store_state;
    change_under_lock(session, &change, &known, None).await
}

/// A change of a few names under the lock.
enum LockedChange {
    Swap {
        to: ReleaseId,
        from: ReleaseId,
        hold: Option<String>,
        /// Whether to note that a CDN may still have content of the replaced release.
        owes: bool,
    },
    Note {
        of: ReleaseId,
        note: Delivery,
        paid: Pending,
    },
    Hold {
        reason: String,
    },
    Resume,
    RemoveChannel {
        name: ChannelName,
    },
}

/// Makes a change under the lock. `known` is the state that the store reported before.
async fn change_under_lock(
    session: &Session,
    change: &LockedChange,
    known: &StoreState,
    patience: Option<Duration>,
) -> Result<(), Error> {
    let mut staging_dir = StagingDir::new(crate::store::run_id::run_id());
    let run = staging_dir.run().clone();
    match attempt(session, &mut staging_dir, change, known, patience).await {
        Ok(()) => {
            session.forget_run(&run);
            Ok(())
        }
        Err(Error::Store(StoreError::Host(lost))) if lost.is_loss() => recover(session, &run, change, lost).await,
        Err(error) => {
            leave(session, &mut staging_dir).await;
            Err(error)
        }
    }
}

/// Recovers over a new connection: fences the old run, then reads `current` to find out whether the change took effect.
async fn recover(session: &Session, run: &RunId, change: &LockedChange, lost: HostError) -> Result<(), Error> {
    let (release, before) = match change {
        LockedChange::Swap { to, from, .. } => (Some(to), Some(from)),
        LockedChange::Note { .. }
        | LockedChange::Hold { .. }
        | LockedChange::Resume
        | LockedChange::RemoveChannel { .. } => (None, None),
    };
    match find_after_loss(session, run, &Slot::Live, release, before).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => match change {
            LockedChange::RemoveChannel { name } if is_gone(session, name).await? => Ok(()),
            _ => Err(lost.into()),
        },
        Err(_) if release.is_some() => {
            session.note_live_unknown();
            Err(Error::Uncertain { lost: lost.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a channel's symlink does not exist.
async fn is_gone(session: &Session, name: &ChannelName) -> Result<bool, StoreError> {
    let link = session.ask(Op::Lstat(layout::channel(name))).await?;
    Ok(link.is_gone())
}

async fn attempt(
    session: &Session,
    staging_dir: &mut StagingDir,
    change: &LockedChange,
    known: &StoreState,
    patience: Option<Duration>,
) -> Result<(), Error> {
    let mut facts = HostFacts::default();
    let who = session.owner().who.as_str();
    let lock = |staging_dir: &mut StagingDir| change.locking(staging_dir, known, who);
    let along = OpenOptions {
        lock: (!change.tells_time()).then_some(&lock),
        ..OpenOptions::default()
    };
    let entered = open::open_store(session, staging_dir, &along, &mut facts).await?;
    let held = change.held(staging_dir);
    let ops = held.flight.ops();
    let (before, answers) = if change.tells_time() {
        let staged = change.locking(staging_dir, &entered.store_state, who).staged;
        let answers = staging::stage_and_lock(session, staging_dir, staged, ops, patience).await?;
        (&entered.store_state, answers)
    } else {
        let answers = staging::take_lock(session, staging_dir, entered.locking, ops, patience).await?;
        (known, answers)
    };
    staging_dir.keep_last(answers.to(held.last));
    let ours = next_generation(before, staging_dir.run());
    let (found, entered) = (answers.to(held.generation), before.generation.as_ref());
    staging::keep_clock(session, staging_dir, found, entered, &ours).await?;
    let text = answers.to(held.current).text();
    let current = text.and_then(|text| open::read_current(&text));
    let found = UnderLock {
        current,
        there: held.release.is_some_and(|release| answers.to(release).reply().done()),
        delivery: delivery_of(session, answers.to(held.delivery)).await?,
        now: before.now,
    };
    let mut ops = change.ops(staging_dir, &found)?;
    for written in std::iter::once(held.moved).chain(held.left) {
        all_done(session, answers.to(written).reply()).await?;
    }
    // The swap can't be guarded by a symlink that leads nowhere, such as `hold`. So a hold, which must exist before the
    // swap, is awaited.
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
    Ok(all_done(session, answers.all(&last)).await?)
}

/// The first operations of the holder of the lock, with the tickets for their answers.
struct Held {
    flight: Flight,
    /// The generation before this run's.
    generation: Ticket<String>,
    /// The rename that puts this run's generation in place.
    moved: Ticket,
    current: Ticket<String>,
    delivery: Ticket<String>,
    /// The release that is to go live.
    release: Option<Ticket<Attr>>,
    /// The record that the live release was left.
    left: Option<Ticket>,
    /// The opening of the file that is synced last.
    last: Ticket<Handle>,
}

/// State that was read under the lock.
struct UnderLock {
    current: Option<ReleaseId>,
    /// Whether the release that is to go live exists.
    there: bool,
    delivery: Delivery,
    /// The host's clock, if a record needs it.
    now: crate::host::Time,
}

/// Returns what is known of the delivery to visitors. A record that can't be read is an error: if it counted as absent,
/// its content would be lost.
async fn delivery_of(session: &Session, answer: ReplyTo<'_, String>) -> Result<Delivery, Error> {
    done_or_gone(session, answer.reply()).await?;
    Ok(Delivery::read(answer.text()))
}

/// Returns the generation that names this run as the last one that changed anything. It keeps the store's clock, which
/// must never go back.
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
            Self::Note { .. } | Self::Resume | Self::RemoveChannel { .. } => None,
        }
    }

    /// Whether the change writes a record that contains the time, so that the host's clock must be read first.
    fn tells_time(&self) -> bool {
        self.reason().is_some() || matches!(self, Self::Note { .. })
    }

    /// Returns the new delivery record, or `None` if this change writes none.
    fn note(&self, found: &UnderLock, run: &RunId) -> Option<Delivery> {
        match self {
            Self::Swap { from, owes, .. } => owes.then(|| found.delivery.owing(Some(from), run)),
            // If another release is live, the run that made it live notes what is known of that.
            Self::Note { of, note, paid } => (found.current.as_ref() == Some(of)).then(|| Delivery {
                at: found.now,
                pending: found.delivery.pending.without(paid),
                ..note.clone()
            }),
            Self::Hold { .. } | Self::Resume | Self::RemoveChannel { .. } => None,
        }
    }

    /// Returns what is made in the staging directory, and the first operations of the holder of the lock.
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

    /// Returns the first operations of the holder of the lock.
    fn held(&self, staging_dir: &StagingDir) -> Held {
        let mut flight = Flight::default();
        let (generation, moved) = staging_dir.replace_generation(&mut flight);
        let current = flight.read_link(layout::CURRENT);
        let delivery = flight.read_link(layout::DELIVERY);
        let (mut release, mut left) = (None, None);
        if let Self::Swap { to, from, .. } = self {
            release = Some(flight.stat(layout::release(to)));
            // Visitors may still have the live release open, for as long as the skew window lasts from now. If the swap
            // fails after all, the chunks of that release are kept longer than necessary.
            left = Some(flight.rename(staging_dir.path_holding("left"), layout::release_left(from)));
        }
        let last = staging_dir.open_last(&mut flight);
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

    /// Returns the operations that make the change, once the lock is held.
    fn ops(&self, staging_dir: &mut StagingDir, found: &UnderLock) -> Result<Vec<Op>, Error> {
        let mut ops = Vec::new();
        if self.reason().is_some() {
            ops.push(Op::rename(staging_dir.path_holding("hold"), layout::HOLD));
        }
        if let Self::Swap { to, from, .. } = self {
            if found.current.as_ref() != Some(from) {
                let by = found.current.clone();
                return Err(Error::ConcurrentPublish { by });
            }
            if !found.there {
                return Err(Error::no_release(to));
            }
        }
        if let Some(note) = self.note(found, staging_dir.run()) {
            ops.push(staging_dir.symlink("delivery", note.text()));
            ops.push(Op::rename(staging_dir.path_holding("delivery"), layout::DELIVERY));
            staging_dir.moved_out("delivery");
        }
        match self {
            Self::Hold { .. } | Self::Note { .. } => {}
            Self::Resume => ops.push(staging_dir.move_away(layout::HOLD)),
            Self::RemoveChannel { name } => ops.push(staging_dir.move_away(layout::channel(name))),
            Self::Swap { to, .. } => ops.push(swap(to, &Slot::Live, staging_dir)),
        }
        Ok(ops)
    }
}

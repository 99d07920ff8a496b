//! Making another release live, and stopping or resuming publishing: small changes under the lock.
//!
//! A rollback moves one symlink, whatever the size of the site. Nothing here is ever removed.

use std::time::Duration;

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::host::{Answer, HostError, Op, Refusal};
use crate::leaving::{find_after_loss, leave};
use crate::model::delivery::Delivery;
use crate::model::layout;
use crate::model::release::{Generation, Hold, ReleaseId, RunId};
use crate::plan::Facts;
use crate::releases;
use crate::session::{Read, Session};
use crate::sign::AllowedSigners;
use crate::store::{self, Entrance, StoreError};
use crate::swap::swap;
use crate::workshop::{self, Workshop};

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
    /// Whether a CDN is purged afterwards; see [`crate::publish::Options::purges`].
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

/// Makes a former release live again.
///
/// # Errors
/// [`Error`]; what was live before is live still, unless it is [`Error::Uncertain`].
pub async fn rollback(
    session: &Session,
    destination: &Destination,
    options: &Options,
    observer: &dyn Observer,
) -> Result<RolledBack, Error> {
    let entrance = store::look(session).await?;
    let Some(live) = entrance.current.clone() else {
        return Err(Error::NothingPublished {
            host: session.host_name(),
        });
    };
    let release = match destination {
        Destination::Release(wanted) => releases::resolve(session, wanted).await?,
        Destination::Steps(steps) => releases::steps_back(session, &live, *steps).await?,
    };
    if let Some(signers) = &options.signers {
        signers.insist(session, &release).await?;
    }
    let change = Change::Swap {
        to: release.clone(),
        from: live.clone(),
        hold: options.hold.clone(),
        note: options.purges.then(|| entrance.delivery.owing(Some(&live))),
    };
    change_under_lock(session, &change, options.wait, observer).await?;
    session.note_live(Some(release.clone()));
    observer.notice(Event::Swapped {
        release: release.clone(),
    });
    Ok(RolledBack {
        release,
        previous: live,
    })
}

/// Stops publishing to this target, for a reason that every publish then shows.
///
/// # Errors
/// [`Error`].
pub async fn hold(session: &Session, reason: &str, observer: &dyn Observer) -> Result<(), Error> {
    change_under_lock(
        session,
        &Change::Hold {
            reason: reason.to_owned(),
        },
        None,
        observer,
    )
    .await
}

/// Keeps what is known of the live release's way to its visitors. Where another went live meanwhile, nothing is kept: that
/// is for whoever made it live.
///
/// # Errors
/// [`Error`].
pub async fn note_delivery(
    session: &Session,
    release: &ReleaseId,
    note: &Delivery,
    wait: Option<Duration>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let change = Change::Note {
        of: release.clone(),
        note: note.clone(),
    };
    change_under_lock(session, &change, wait, observer).await
}

/// Lets publishing go on. Returns what it was held for, if it was.
///
/// # Errors
/// [`Error`].
pub async fn resume(session: &Session, observer: &dyn Observer) -> Result<Option<Hold>, Error> {
    let held = store::look(session).await?.hold;
    if held.is_some() {
        change_under_lock(session, &Change::Resume, None, observer).await?;
    }
    Ok(held)
}

/// A change of a few names under the lock.
enum Change {
    Swap {
        to: ReleaseId,
        from: ReleaseId,
        hold: Option<String>,
        note: Option<Delivery>,
    },
    Note {
        of: ReleaseId,
        note: Delivery,
    },
    Hold {
        reason: String,
    },
    Resume,
}

async fn change_under_lock(
    session: &Session,
    change: &Change,
    wait: Option<Duration>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let mut workshop = Workshop::new(crate::random::run_id());
    let run = workshop.run().clone();
    match attempt(session, &mut workshop, change, wait, observer).await {
        Ok(()) => {
            session.forget_run(&run);
            Ok(())
        }
        Err(Error::Store(StoreError::Host(lost @ HostError::Lost { .. }))) => {
            recover(session, &run, change, lost).await
        }
        Err(error) => {
            leave(session, &mut workshop).await;
            Err(error)
        }
    }
}

/// Over a new connection: the old run is put out of reach, then `current` says what became of it.
async fn recover(session: &Session, run: &RunId, change: &Change, lost: HostError) -> Result<(), Error> {
    let (release, before) = match change {
        Change::Swap { to, from, .. } => (Some(to), Some(from)),
        Change::Note { .. } | Change::Hold { .. } | Change::Resume => (None, None),
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
    workshop: &mut Workshop,
    change: &Change,
    wait: Option<Duration>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let entrance = store::enter(
        session,
        workshop,
        &std::collections::BTreeSet::new(),
        &mut Facts::default(),
        0,
    )
    .await?;
    let generation = next_generation(&entrance, workshop.run());
    let mut ops = vec![workshop.symlink("gen", generation.to_string())];
    if let Change::Swap { to, .. } = change {
        ops.push(workshop.symlink("cur", layout::release(to)));
        ops.push(workshop.symlink("left", entrance.now.to_string()));
    }
    if let Some(reason) = change.reason() {
        let held = Hold {
            reason: reason.to_owned(),
            who: session.owner().who.clone(),
            since: entrance.now,
        };
        let text = serde_json::to_string(&held).unwrap_or_default();
        ops.push(workshop.symlink("hold", text));
    }
    if let Some(note) = change.note(entrance.now) {
        ops.push(workshop.symlink("delivery", note.text()));
    }
    let staged = ops.len();
    let mut held = vec![
        Op::ReadLink(layout::GENERATION.to_owned()),
        Op::Rename {
            from: workshop.path_holding("gen"),
            to: layout::GENERATION.to_owned(),
        },
        Op::ReadLink(layout::CURRENT.to_owned()),
    ];
    if let Change::Swap { to, .. } = change {
        held.push(Op::Stat(layout::release(to)));
    }
    ops.push(workshop.acquire());
    ops.extend(held.iter().cloned());
    let answers = session.flight(ops).await?;
    workshop.took_lock(answers.get(staged));
    if let Some(refusal) = answers[..staged].iter().find_map(Read::refusal) {
        return Err(store::explain(session, refusal).await.into());
    }
    let answers = workshop::take_lock(session, workshop, answers[staged..].to_vec(), &held, wait, observer).await??;
    workshop::keep_clock(
        session,
        workshop,
        answers.first(),
        entrance.generation.as_ref(),
        &generation,
    )
    .await?;
    if let Some(refusal) = answers.get(1).and_then(Read::refusal) {
        return Err(store::explain(session, refusal).await.into());
    }
    let current = answers
        .get(2)
        .and_then(Read::text)
        .and_then(|text| store::read_current(&text));
    let mut ops = change.ops(workshop, current.as_ref(), answers.get(3).is_some_and(Read::done))?;
    // The swap can't be guarded by symlinks that lead nowhere: what must be there before it is awaited.
    if matches!(change, Change::Swap { .. }) {
        let swap = ops.split_off(ops.len().saturating_sub(1));
        all_done(session, &session.flight(ops).await?).await?;
        ops = swap;
    }
    let count = ops.len();
    ops.extend(workshop.leave());
    let answers = session.flight(ops).await?;
    all_done(session, &answers[..count]).await
}

async fn all_done(session: &Session, answers: &[Result<Answer, Refusal>]) -> Result<(), Error> {
    match answers.iter().find_map(Read::refusal) {
        Some(refusal) => Err(store::explain(session, refusal).await.into()),
        None => Ok(()),
    }
}

/// The store's mark that this run changed something; its clock never goes back.
pub(crate) fn next_generation(entrance: &Entrance, run: &RunId) -> Generation {
    let last = entrance.generation.as_ref();
    Generation {
        clock: last.map_or(0, |generation| generation.clock),
        made: last.map_or(0, |generation| generation.made),
        run: run.to_string(),
    }
}

impl Change {
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Swap { hold, .. } => hold.as_deref(),
            Self::Hold { reason } => Some(reason),
            Self::Note { .. } | Self::Resume => None,
        }
    }

    /// What is to be known from then on, at this time of the host's clock.
    fn note(&self, now: crate::host::Time) -> Option<Delivery> {
        match self {
            Self::Swap { note, .. } => note.clone(),
            Self::Note { note, .. } => Some(Delivery {
                at: now,
                ..note.clone()
            }),
            Self::Hold { .. } | Self::Resume => None,
        }
    }

    /// The renames that make the change, once the lock is held.
    fn ops(&self, workshop: &Workshop, current: Option<&ReleaseId>, there: bool) -> Result<Vec<Op>, Error> {
        let mut ops = Vec::new();
        if self.reason().is_some() {
            ops.push(Op::Rename {
                from: workshop.path_holding("hold"),
                to: layout::HOLD.to_owned(),
            });
        }
        let noting = Op::Rename {
            from: workshop.path_holding("delivery"),
            to: layout::DELIVERY.to_owned(),
        };
        match self {
            Self::Hold { .. } => {}
            Self::Note { of, .. } => ops.extend((current == Some(of)).then_some(noting)),
            Self::Resume => {
                ops.push(Op::Rename {
                    from: layout::HOLD.to_owned(),
                    to: workshop.path_holding("trash/hold"),
                });
                ops.push(Op::RemoveFile(workshop.path_holding("trash/hold")));
            }
            Self::Swap { to, from, note, .. } => {
                if current != Some(from) {
                    return Err(Error::Overtaken { by: current.cloned() });
                }
                if !there {
                    return Err(Error::NoSuchRelease {
                        wanted: to.to_string(),
                        there: Vec::new(),
                    });
                }
                // Its readers may have it open still, for as long as the skew window lasts from now.
                ops.push(Op::Rename {
                    from: workshop.path_holding("left"),
                    to: layout::release_left(from),
                });
                ops.extend(note.is_some().then_some(noting));
                ops.push(swap(to, workshop));
            }
        }
        Ok(ops)
    }
}

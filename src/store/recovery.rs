//! Leaves a store: fences runs that were not finished, and finds out what became of a run whose connection was lost.
//!
//! It must not change what is live. After a loss, the old run is fenced before anything is read, because what was sent
//! over the old connection could still take effect.

use crate::host::{HostError, Op};
use crate::model::channel::Slot;
use crate::model::layout;
use crate::model::release::{ReleaseId, RunId};
use crate::store::flight::{Flight, Read};
use crate::store::session::Session;
use crate::store::{StoreError, open, staging};

/// Fences a run over a new connection. Returns its release if that went into its slot, for the live site in place of
/// `before`.
///
/// # Errors
/// [`StoreError`] if the host can't be reached.
pub(crate) async fn find_after_loss(
    session: &Session,
    run: &RunId,
    slot: &Slot,
    release: Option<&ReleaseId>,
    before: Option<&ReleaseId>,
) -> Result<Option<ReleaseId>, StoreError> {
    session.connect_again().await?;
    let mut flight = Flight::default();
    flight.extend(staging::fence(run));
    let (link, current) = (flight.read_link(layout::slot(slot)), flight.read_link(layout::CURRENT));
    let answers = session.send(flight).await?;
    session.forget_run(run);
    let current = answers.to(current).text().and_then(|text| open::read_current(&text));
    session.note_live(current.clone());
    let Some(release) = release else { return Ok(None) };
    if !slot.is_live() {
        let there = answers.to(link).text().and_then(|text| layout::read_slot(slot, &text));
        return Ok(there.filter(|there| there == release));
    }
    // Another run may have published after this one. Then this run's release is among the previous ones.
    let mut next = current;
    for _ in 0..64 {
        let Some(id) = next else { return Ok(None) };
        if id == *release {
            return Ok(Some(id));
        }
        // A release that a rollback was to leave names the one that the rollback was to make live. Finding it there
        // does not show that the rollback succeeded.
        if Some(&id) == before {
            return Ok(None);
        }
        let document = open::document(session, &id).await?;
        next = document.and_then(|document| document.previous);
    }
    Ok(None)
}

/// What a run does last when it is stopped: fences what it began and reads what is live.
///
/// Uses only the connection that exists, and one flight, so that it ends soon. The future that did the work must have
/// been dropped. Afterwards [`Session::live`] shows what is live; after an error that is unknown.
///
/// # Errors
/// [`HostError`] if the connection is lost.
pub async fn abandon(session: &Session) -> Result<(), HostError> {
    let Some(host) = session.connected() else {
        return Ok(());
    };
    let runs = session.runs();
    if !runs.is_empty() {
        session.note_live_unknown();
    }
    let mut ops: Vec<Op> = runs.iter().flat_map(staging::fence).collect();
    ops.push(Op::ReadLink(layout::CURRENT.to_owned()));
    let answers = host.flight(ops).await?;
    for run in &runs {
        session.forget_run(run);
    }
    let text = answers.last().text();
    session.note_live(text.and_then(|text| open::read_current(&text)));
    Ok(())
}

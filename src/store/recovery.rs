//! Leaving a store: letting go of the lock, and finding out what became of a run whose connection was lost.
//!
//! Nothing here changes what is live. After a loss the old workshop is put out of reach before anything is looked at,
//! since what was sent over the old connection could still take effect.

use crate::host::{HostError, Op};
use crate::model::layout;
use crate::model::release::{ReleaseId, RunId};
use crate::store::StoreError;
use crate::store::flight::Read;
use crate::store::open;
use crate::store::session::Session;
use crate::store::staging;

/// Buries a run over a new connection and says whether its release went live in place of the one `before`.
///
/// # Errors
/// [`StoreError`] where the host can't be asked.
pub(crate) async fn find_after_loss(
    session: &Session,
    run: &RunId,
    release: Option<&ReleaseId>,
    before: Option<&ReleaseId>,
) -> Result<Option<ReleaseId>, StoreError> {
    session.connect_again().await?;
    let mut ops = staging::fence(run);
    ops.push(Op::ReadLink(layout::CURRENT.to_owned()));
    let answers = session.flight(ops).await?;
    session.forget_run(run);
    let current = answers
        .last()
        .and_then(Read::text)
        .and_then(|text| open::read_current(&text));
    session.note_live(current.clone());
    let Some(release) = release else { return Ok(None) };
    // Another run may have come after ours: then ours is among those before it.
    let mut next = current;
    for _ in 0..64 {
        let Some(id) = next else { return Ok(None) };
        if id == *release {
            return Ok(Some(id));
        }
        // A release that was to be left leads to the one a rollback was to bring back: it is no trace of its success.
        if Some(&id) == before {
            return Ok(None);
        }
        let documents = open::documents(session, &[id]).await?;
        next = documents
            .into_iter()
            .flatten()
            .next()
            .and_then(|document| document.previous);
    }
    Ok(None)
}

/// What a run does last when it is told to end: puts what it began out of reach and looks what is live.
///
/// Only over the connection there is, and in one flight, so that it ends soon. The future that did the work must have
/// been dropped. Afterwards [`Session::live`] shows what is live; after an error no one knows.
///
/// # Errors
/// [`HostError`] where the connection is lost.
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
    let text = answers.last().and_then(Read::text);
    session.note_live(text.and_then(|text| open::read_current(&text)));
    Ok(())
}

//! Sends large files piece by piece, and reuses what an earlier run left of them.
//!
//! A large file grows in the staging directory under the name of its object. If a run is cut off, the part that arrived
//! stays there. The next run that wants the same object has the host copy that part into a file of its own, and reads
//! the copy back. Pieces that are right are not sent again. Neither the length nor the name of a file proves anything.
//! A file of another run must never be renamed, linked or written to, because that run's connection may still be alive.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::connections::Connection;
use super::make::{Made, pieces_of_bytes, pieces_of_file};
use super::{NOT_OPENED, PIECES_AT_ONCE, Resting, Sender, Work, put_in_place};
use crate::host::{Answer, Handle, Kind, MAX_READ, Op, Time};
use crate::model::event::Stage;
use crate::model::layout;
use crate::model::release::RunId;
use crate::store::StoreError;
use crate::store::attempt_error::AttemptError;
use crate::store::flight::{Flight, Read};
use crate::store::plan::Wanted;
use crate::store::refusal::all_done;
use crate::store::session::Session;

/// The number of large files under way at the same time: one fills the line while the other is opened or waits for the
/// disk.
const AT_ONCE: usize = 2;

/// The staging directories of at most this many other runs are searched, the newest first.
const MOST_RUNS: usize = 64;

/// Where the bytes of a large object come from.
pub(super) enum LargeSource {
    /// A file of the export.
    Export(Wanted),
    /// An encoding that was made.
    Memory(Vec<u8>),
}

/// A large object: its name, and where its bytes come from.
pub(super) type LargeObject = (String, LargeSource);

/// One large object on its way.
struct Large {
    object: String,
    /// Its path while it grows, relative to the docroot.
    path: String,
    size: u64,
    mtime: Time,
    bytes: LargeSource,
    /// The temporary file, if the object stays in it.
    stays_in: Option<String>,
    leftover: Option<Leftover>,
}

/// What an earlier run left of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leftover {
    path: String,
    size: u64,
    /// Whether it is in `stale/`, so that no run needs it any more.
    is_buried: bool,
}

impl Sender<'_> {
    /// Sends large objects. Those that go to `objects/` get their names there as soon as they are on the disk.
    pub(super) async fn send_large(&mut self, objects: Vec<LargeObject>, resting: Resting) -> Result<(), AttemptError> {
        if objects.is_empty() {
            return Ok(());
        }
        let work = self.work;
        let mut leftovers = match resting {
            Resting::Objects => find_leftovers(work.session, self.staging_dir.run()).await?,
            Resting::Workshop => HashMap::new(),
        };
        let larges = objects.into_iter().map(|(object, bytes)| {
            let name = object.rsplit('/').next().unwrap_or_default().to_owned();
            let size = match &bytes {
                LargeSource::Export(wanted) => wanted.size,
                LargeSource::Memory(bytes) => bytes.len() as u64,
            };
            let temp = match resting {
                Resting::Objects => self.staging_dir.new_named_temp(&name),
                // The same object may be sent more than once.
                Resting::Workshop => self.staging_dir.new_temps(1).remove(0),
            };
            Large {
                path: self.staging_dir.path_preparing(&temp),
                stays_in: (resting == Resting::Workshop).then_some(temp),
                mtime: self.times.next(size),
                leftover: leftovers.remove(&name),
                object,
                size,
                bytes,
            }
        });
        let larges: Vec<Large> = larges.collect();
        let mut sending = stream::iter(larges)
            .map(|large| large.send(work))
            .buffer_unordered(AT_ONCE);
        while let Some((bytes, rests)) = sending.try_next().await? {
            self.staged_objects.sent.objects += 1;
            self.staged_objects.sent.bytes += bytes;
            self.staged_objects.temps.extend(rests);
        }
        Ok(())
    }
}

impl Large {
    /// Returns how many bytes were sent, and if the object stays in its temporary file, the names of both.
    async fn send(self, work: Work<'_>) -> Result<(u64, Option<(String, String)>), AttemptError> {
        let session = work.session;
        let (handle, there) = self.open(session).await?;
        let pieces = match self.bytes {
            LargeSource::Export(wanted) => pieces_of_file(work.source, wanted),
            LargeSource::Memory(bytes) => pieces_of_bytes(bytes),
        };
        let pieces = stream::unfold(pieces, |mut pieces| async {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        let sent: Vec<u64> = pieces
            .map(|piece| async move {
                let (offset, bytes) = piece?;
                let length = bytes.len() as u64;
                let is_there = offset + length <= there && is_same(session, handle, offset, &bytes).await?;
                if !is_there {
                    let write = Op::Write { handle, offset, bytes };
                    all_done(session, [&session.ask(write).await?]).await?;
                }
                session.observer().progressed(Stage::Sync, 0, length);
                Ok::<u64, AttemptError>(if is_there { 0 } else { length })
            })
            .buffer_unordered(PIECES_AT_ONCE)
            .try_collect()
            .await?;
        let mtime = self.mtime;
        let finish = Op::Finish { handle, mtime };
        all_done(session, [&session.ask(finish).await?]).await?;
        let sent = sent.iter().sum();
        if let Some(temp) = self.stays_in {
            return Ok((sent, Some((self.object, temp))));
        }
        put_in_place(&Connection::own(session), &[(self.object, self.path)]).await?;
        if let Some(leftover) = self.leftover.filter(|leftover| leftover.is_buried) {
            session.send_later([Op::RemoveFile(leftover.path)]);
        }
        Ok((sent, None))
    }

    /// Creates the file and has the host copy into it what an earlier run left. Returns the handle, and how much may be
    /// there.
    async fn open(&self, session: &Session) -> Result<(Handle, u64), AttemptError> {
        let mut ops = vec![Op::Create(self.path.clone())];
        let leftover = self.leftover.as_ref().filter(|_| session.copies());
        ops.extend(leftover.map(|leftover| Op::Open(leftover.path.clone())));
        let answers = session.flight(ops).await?;
        all_done(session, answers.first()).await?;
        let handle = answers.first().opened();
        let handle = handle.ok_or_else(|| AttemptError::Replan(NOT_OPENED.to_owned()))?;
        let (Some(leftover), Some(from)) = (leftover, answers.get(1).opened()) else {
            return Ok((handle, 0));
        };
        let length = leftover.size.min(self.size);
        let copy = Op::Copy {
            from,
            offset: 0,
            length,
            to: handle,
            at: 0,
        };
        let answers = session.flight(vec![copy, Op::Close(from)]).await?;
        // If a copy is refused, the part that it copied is overwritten.
        let is_copied = answers.first().done();
        Ok((handle, if is_copied { length } else { 0 }))
    }
}

/// Whether an open file contains these bytes. Reads them back to find out.
async fn is_same(session: &Session, handle: Handle, offset: u64, bytes: &[u8]) -> Result<bool, AttemptError> {
    let parts = || {
        (offset..)
            .step_by(MAX_READ as usize)
            .zip(bytes.chunks(MAX_READ as usize))
    };
    let reads = parts().map(|(offset, part)| Op::Read {
        handle,
        offset,
        length: u32::try_from(part.len()).unwrap_or(MAX_READ),
    });
    let answers = session.flight(reads.collect()).await?;
    let same = |(answer, (_, part)): (&Result<Answer, _>, (u64, &[u8]))| matches!(answer, Ok(Answer::Bytes(read)) if read == part);
    Ok(answers.len() == parts().count() && answers.iter().zip(parts()).all(same))
}

/// Finds what runs that were cut off left of large objects: for each object the longest file, by the last part of the
/// object's name.
async fn find_leftovers(session: &Session, own: &RunId) -> Result<HashMap<String, Leftover>, StoreError> {
    let mut found = HashMap::new();
    // If the host can't copy, nothing can be reused: only a copy of this run's own can be proved.
    if !session.copies() {
        return Ok(found);
    }
    let mut flight = Flight::default();
    let (work, stale) = (flight.list(layout::WORK), flight.list(layout::STALE));
    let answers = session.send(flight).await?;
    let mut workshops: Vec<(Time, String, bool)> = Vec::new();
    for (name, attr) in answers.to(work).names().unwrap_or_default() {
        if let Ok(run) = name.parse::<RunId>()
            && run != *own
        {
            workshops.push((attr.mtime, layout::workshop_preparing(&run), false));
        }
    }
    for (name, attr) in answers.to(stale).names().unwrap_or_default() {
        let (id, prepared) = name.strip_suffix(".w").map_or((name.as_str(), false), |id| (id, true));
        if let Ok(run) = id.parse::<RunId>() {
            let at = if prepared {
                format!("{}/{run}", layout::preparing_stale(&run))
            } else {
                layout::workshop_stale(&run)
            };
            workshops.push((attr.mtime, at, true));
        }
    }
    workshops.sort_unstable_by(|a, b| b.cmp(a));
    workshops.truncate(MOST_RUNS);
    let folders: Vec<String> = workshops.iter().map(|(_, at, _)| format!("{at}/f")).collect();
    let answers = session.flight(folders.iter().cloned().map(Op::List).collect()).await?;
    for ((folder, (_, _, is_buried)), answer) in folders.iter().zip(&workshops).zip(answers) {
        for (name, attr) in answer.names().unwrap_or_default() {
            let longest = found.get(name).map_or(0, |known: &Leftover| known.size);
            if attr.kind == Kind::File && attr.size > longest {
                let leftover = Leftover {
                    path: format!("{folder}/{name}"),
                    size: attr.size,
                    is_buried: *is_buried,
                };
                found.insert(name.clone(), leftover);
            }
        }
    }
    Ok(found)
}

/// Returns the object of an exported file's own bytes, or `None` if they are not wanted.
pub(super) fn exported(wanted: &Wanted) -> Option<LargeObject> {
    wanted
        .identity
        .then(|| (layout::object(wanted.digest), LargeSource::Export(wanted.clone())))
}

/// Separates the objects that are sent piece by piece from the small ones.
pub(super) fn split(made: Vec<Made>) -> (Vec<LargeObject>, Vec<Made>) {
    let (large, small): (Vec<Made>, Vec<Made>) = made.into_iter().partition(Made::is_large);
    let large = large
        .into_iter()
        .map(|made| (made.name, LargeSource::Memory(made.bytes)));
    (large.collect(), small)
}

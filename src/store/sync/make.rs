//! Makes what is sent: reads files again and checks them, and makes their encodings, on separate threads.
//!
//! This module reads the export. It must have no access to the host.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::mpsc::{Receiver, Sender};

use super::PIECEWISE;
use crate::host::panics;
use crate::model::encoding::{Coding, Recipe};
use crate::model::layout;
use crate::site::source::{Source, SourceError, in_pieces};
use crate::site::{decode, encode};
use crate::store::attempt_error::AttemptError;
use crate::store::plan::Wanted;

/// One object ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Made {
    /// Whether the object is sent piece by piece.
    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() as u64 > PIECEWISE
    }
}

/// The objects that were made of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct MadeFile {
    pub(super) made: Vec<Made>,
    pub(super) dropped: Vec<String>,
    pub(super) encoded: u64,
    pub(super) read: u64,
}

/// Reads and encodes small files on all cores.
pub(super) async fn make_all(source: &Arc<dyn Source>, wanted: Vec<Wanted>) -> Result<Vec<MadeFile>, AttemptError> {
    use rayon::prelude::*;
    let source = Arc::clone(source);
    let made = tokio::task::spawn_blocking(move || {
        wanted
            .par_iter()
            .map(|wanted| make(&*source, wanted))
            .collect::<Result<Vec<_>, SourceError>>()
    });
    match made.await {
        Ok(made) => Ok(made?),
        Err(error) => Err(SourceError::Worker(panics::said(error)).into()),
    }
}

/// Files that were read and encoded before it was known that the host lacks them, while it was not heard from. Clones
/// share them.
#[derive(Clone)]
pub struct MadeAhead(Shared<BoxFuture<'static, MadeFiles>>);

/// What was made of each file.
type MadeFiles = Arc<Vec<(Wanted, MadeFile)>>;

impl MadeAhead {
    /// Begins to make the files, if they are so few that they would ride.
    pub fn begin(source: &Arc<dyn Source>, wanted: Vec<Wanted>) -> Option<Self> {
        if wanted.is_empty() || !super::may_ride(&wanted) {
            return None;
        }
        let source = Arc::clone(source);
        let making = tokio::spawn(async move {
            // What can't be made is tried again when it is needed, and reported then.
            let made = make_all(&source, wanted.clone()).await.unwrap_or_default();
            Arc::new(wanted.into_iter().zip(made).collect())
        });
        Some(Self(making.map(Result::unwrap_or_default).boxed().shared()))
    }

    /// What was made of a file.
    pub(super) async fn made(&self, wanted: &Wanted) -> Option<MadeFile> {
        let all = self.0.clone().await;
        all.iter()
            .find(|(made_for, _)| made_for == wanted)
            .map(|(_, made)| made.clone())
    }
}

impl fmt::Debug for MadeAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeAhead")
    }
}

/// Reads one file, checks that it still is what the manifest says, and makes the wanted encodings.
fn make(source: &dyn Source, wanted: &Wanted) -> Result<MadeFile, SourceError> {
    let bytes = source.read(&wanted.path, wanted.digest, wanted.size)?;
    let mut outcome = make_encodings(source, wanted, &bytes)?;
    if wanted.identity {
        outcome.made.push(Made {
            name: layout::object(wanted.digest),
            bytes,
        });
    }
    Ok(outcome)
}

fn make_encodings(source: &dyn Source, wanted: &Wanted, bytes: &[u8]) -> Result<MadeFile, SourceError> {
    let mut outcome = MadeFile {
        read: wanted.size,
        ..MadeFile::default()
    };
    for (coding, recipe) in wanted.encodings.iter() {
        let name = layout::encoded_object(wanted.digest, coding, recipe);
        let encoded = match recipe {
            Recipe::Made { level, .. } => encode::encode_file(&wanted.path, coding, level, bytes)?,
            Recipe::Given { .. } => Some(given(source, wanted, coding)?),
        };
        match encoded {
            Some(bytes) => {
                outcome.encoded += 1;
                outcome.made.push(Made { name, bytes });
            }
            None => outcome.dropped.push(name),
        }
    }
    Ok(outcome)
}

/// Returns the encoded bytes that came with the export, after decoding them again as a check.
fn given(source: &dyn Source, wanted: &Wanted, coding: Coding) -> Result<Vec<u8>, SourceError> {
    let bytes = source.read_given(&wanted.path, coding)?;
    match decode::decodes_to(coding, &bytes[..], wanted.size) {
        Ok((digest, size)) if digest == wanted.digest && size == wanted.size => Ok(bytes),
        _ => Err(SourceError::Changed(wanted.path.clone())),
    }
}

/// What a task in the background produces.
pub(super) type Produced<T> = Receiver<Result<T, SourceError>>;

/// Encodes on all cores while what is ready is being sent. The channel is bounded, which limits memory use.
pub(super) fn encode_in_background(source: &Arc<dyn Source>, wanted: Vec<Wanted>) -> Produced<MadeFile> {
    use rayon::prelude::*;
    let source = Arc::clone(source);
    in_background(4 * rayon::current_num_threads(), move |sender| {
        // A closed channel means that sending has failed, so the rest is not needed.
        let _ = wanted
            .par_iter()
            .try_for_each(|wanted| sender.blocking_send(make(&*source, wanted)));
    })
}

/// Reads a file of the export piece by piece. If it is not what the manifest says, the last message is an error.
pub(super) fn pieces_of_file(source: &Arc<dyn Source>, wanted: Wanted) -> Produced<(u64, Vec<u8>)> {
    let source = Arc::clone(source);
    pieces_in_background(move |take| source.read_pieces(&wanted.path, wanted.digest, wanted.size, take))
}

/// Returns bytes that are in memory as pieces.
pub(super) fn pieces_of_bytes(bytes: Vec<u8>) -> Produced<(u64, Vec<u8>)> {
    pieces_in_background(move |take| {
        in_pieces(&bytes, take);
        Ok(())
    })
}

/// Sends the pieces that `read` passes on, each with its offset, and its error if it fails.
fn pieces_in_background(
    read: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), SourceError> + Send + 'static,
) -> Produced<(u64, Vec<u8>)> {
    in_background(2, move |sender| {
        let mut offset = 0;
        let read = read(&mut |piece| {
            let at = offset;
            offset += piece.len() as u64;
            sender.blocking_send(Ok((at, piece))).is_ok()
        });
        if let Err(error) = read {
            // The receiver is gone only if sending has failed already.
            let _ = sender.blocking_send(Err(error));
        }
    })
}

/// Does work on a separate thread, with a channel that has this much room. A panic is reported to the receiver. Without
/// this, a task that panicked would look like one that is done.
fn in_background<T: Send + 'static>(
    room: usize,
    work: impl FnOnce(&Sender<Result<T, SourceError>>) + Send + 'static,
) -> Produced<T> {
    let (sender, receiver) = tokio::sync::mpsc::channel(room);
    let own = sender.clone();
    let work = tokio::task::spawn_blocking(move || work(&own));
    tokio::spawn(async move {
        if let Err(error) = work.await {
            let detail = panics::said(error);
            let _ = sender.send(Err(SourceError::Worker(detail))).await;
        }
    });
    receiver
}

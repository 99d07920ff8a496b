//! Makes what is sent: reads files again and checks them, and makes their encodings, on separate threads.
//!
//! This module reads the export. It must have no access to the host.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::{PIECEWISE, SyncError};
use crate::host::panics;
use crate::model::encoding::{Coding, Recipe};
use crate::model::layout;
use crate::site::decode;
use crate::site::encode;
use crate::site::source::{Source, SourceError};
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
pub(super) struct MadeFile {
    pub(super) made: Vec<Made>,
    pub(super) dropped: Vec<String>,
    pub(super) encoded: u64,
    pub(super) read: u64,
}

/// Reads and encodes small files on all cores.
pub(super) async fn make_all(source: &Arc<dyn Source>, wanted: Vec<Wanted>) -> Result<Vec<MadeFile>, SyncError> {
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
        Err(error) => Err(SourceError::Worker {
            detail: panics::said(error),
        }
        .into()),
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
        made: Vec::new(),
        dropped: Vec::new(),
        encoded: 0,
        read: wanted.size,
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
        _ => Err(SourceError::Changed {
            path: wanted.path.clone(),
        }),
    }
}

/// Encodes on all cores while what is ready is being sent. The channel is bounded, which limits memory use.
pub(super) fn encode_in_background(
    source: &Arc<dyn Source>,
    wanted: Vec<Wanted>,
) -> tokio::sync::mpsc::Receiver<Result<MadeFile, SourceError>> {
    use rayon::prelude::*;
    let (sender, receiver) = tokio::sync::mpsc::channel(4 * rayon::current_num_threads());
    let source = Arc::clone(source);
    let made = sender.clone();
    let work = tokio::task::spawn_blocking(move || {
        // A closed channel means that sending has failed, so the rest is not needed.
        let _ = wanted
            .par_iter()
            .try_for_each(|wanted| made.blocking_send(make(&*source, wanted)));
    });
    tell_of_panic(work, sender);
    receiver
}

/// Reports a panic to the receiver. Without this, a task that panicked would look like one that is done.
fn tell_of_panic<T: Send + 'static>(work: JoinHandle<()>, sender: Sender<Result<T, SourceError>>) {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            let detail = panics::said(error);
            let _ = sender.send(Err(SourceError::Worker { detail })).await;
        }
    });
}

/// Reads a file piece by piece on a separate thread. If the file is not what the manifest says, the last message is an
/// error.
pub(super) fn pieces_in_background(
    source: &Arc<dyn Source>,
    wanted: &Wanted,
) -> tokio::sync::mpsc::Receiver<Result<(u64, Vec<u8>), SourceError>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let (source, path, digest, size) = (Arc::clone(source), wanted.path.clone(), wanted.digest, wanted.size);
    let read = sender.clone();
    let work = tokio::task::spawn_blocking(move || {
        let sender = read;
        let mut offset = 0;
        let read = source.read_pieces(&path, digest, size, &mut |piece| {
            let at = offset;
            offset += piece.len() as u64;
            sender.blocking_send(Ok((at, piece))).is_ok()
        });
        if let Err(error) = read {
            // The receiver is gone only if sending has failed already.
            let _ = sender.blocking_send(Err(error));
        }
    });
    tell_of_panic(work, sender);
    receiver
}

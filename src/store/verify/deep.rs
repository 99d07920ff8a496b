//! Reads back what is on the host: every byte is hashed, every encoding decoded.
//!
//! This module must only read. Memory is bounded by what is on its way: small files are read in batches, and large ones
//! piece by piece into a decoder or a hash that keeps nothing of them.

use std::io;

use futures_util::{StreamExt, stream};

use super::fault::{CopyPlace, StoreFault, StoreFlaw};
use crate::host::{Answer, Handle, HostError, HostErrorKind, MAX_READ, Op, panics};
use crate::model::digest::{Digest, Hasher};
use crate::model::encoding::Recipe;
use crate::model::event::{Observer, Stage};
use crate::site::decode;
use crate::store::content::Content;
use crate::store::session::Session;

/// A file whose metadata is right and which is to be read.
#[derive(Debug, Clone)]
pub(super) struct FileToRead {
    /// Where it is.
    pub place: CopyPlace,
    /// What it should contain.
    pub content: Content,
    /// Its length on the host.
    pub size: u64,
}

/// A batch ends at this many files or this many bytes, and this many batches are on their way. Together they keep half
/// of the files open that `sftp-server` allows, and 16 MiB in memory.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 2 * 1024 * 1024;
const BATCHES_AT_ONCE: usize = 8;

/// Files larger than this are read piece by piece: this many at a time, with this many reads ahead.
const LARGE: u64 = BATCH_BYTES;
const LARGE_AT_ONCE: usize = 4;
const READS_AHEAD: usize = 16;

/// Reads everything back and returns a fault for each file that is not what it should be.
///
/// # Errors
/// [`HostError`] if the connection is lost.
pub(super) async fn read_back(
    session: &Session,
    readings: Vec<FileToRead>,
    observer: &dyn Observer,
) -> Result<Vec<StoreFault>, HostError> {
    let (large, small): (Vec<FileToRead>, Vec<FileToRead>) =
        readings.into_iter().partition(|reading| reading.size > LARGE);
    let mut faults = Vec::new();
    let done = |count: usize, bytes: u64| observer.progressed(Stage::Verify, count as u64, bytes);
    let mut batches = stream::iter(batches(small))
        .map(|batch| read_batch(session, batch))
        .buffer_unordered(BATCHES_AT_ONCE);
    while let Some(read) = batches.next().await {
        let (count, bytes, found) = read?;
        done(count, bytes);
        faults.extend(found);
    }
    let mut pieces = stream::iter(large)
        .map(|reading| read_large(session, reading))
        .buffer_unordered(LARGE_AT_ONCE);
    while let Some(read) = pieces.next().await {
        let (bytes, found) = read?;
        done(1, bytes);
        faults.extend(found);
    }
    Ok(faults)
}

fn batches(readings: Vec<FileToRead>) -> Vec<Vec<FileToRead>> {
    let mut batches: Vec<Vec<FileToRead>> = Vec::new();
    let mut bytes = 0;
    for reading in readings {
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_FILES && bytes + reading.size <= BATCH_BYTES => {
                bytes += reading.size;
                batch.push(reading);
            }
            _ => {
                bytes = reading.size;
                batches.push(vec![reading]);
            }
        }
    }
    batches
}

fn fault(reading: FileToRead, flaw: StoreFlaw) -> StoreFault {
    StoreFault::File {
        place: reading.place,
        content: reading.content,
        flaw,
    }
}

/// Returns the number of reads that reach the end of a file and show that nothing follows.
fn reads(size: u64) -> u64 {
    size / u64::from(MAX_READ) + 1
}

fn read_op(handle: Handle, number: u64) -> Op {
    Op::Read {
        handle,
        offset: number * u64::from(MAX_READ),
        length: MAX_READ,
    }
}

/// Sends two flights: one opens all files, the other reads and closes them.
async fn read_batch(session: &Session, batch: Vec<FileToRead>) -> Result<(usize, u64, Vec<StoreFault>), HostError> {
    let (count, bytes) = (batch.len(), batch.iter().map(|reading| reading.size).sum());
    let open = batch.iter().map(|r| Op::Open(r.place.store_path(&r.content))).collect();
    let mut faults = Vec::new();
    let mut opened = Vec::new();
    for (reading, answer) in batch.into_iter().zip(session.flight(open).await?) {
        match answer {
            Ok(Answer::Opened(handle)) => opened.push((reading, handle)),
            _ => faults.push(fault(reading, StoreFlaw::Unreadable)),
        }
    }
    let mut ops = Vec::new();
    for (reading, handle) in &opened {
        ops.extend((0..reads(reading.size)).map(|number| read_op(*handle, number)));
        ops.push(Op::Close(*handle));
    }
    let mut answers = session.flight(ops).await?.into_iter();
    let mut contents = Vec::new();
    for (reading, _) in opened {
        let mut bytes = Some(Vec::new());
        for answer in answers.by_ref().take(usize::try_from(reads(reading.size)).unwrap_or(0)) {
            match (answer, &mut bytes) {
                (Ok(Answer::Bytes(piece)), Some(bytes)) => bytes.extend_from_slice(&piece),
                _ => bytes = None,
            }
        }
        answers.next(); // the answer to the close
        contents.push((reading, bytes));
    }
    let judged = tokio::task::spawn_blocking(move || {
        contents
            .into_iter()
            .filter_map(|(reading, bytes)| {
                let flaw = match bytes {
                    Some(bytes) => check_content(&reading.content, reading.size, &bytes[..]),
                    None => Some(StoreFlaw::Unreadable),
                };
                flaw.map(|flaw| fault(reading, flaw))
            })
            .collect::<Vec<StoreFault>>()
    });
    faults.extend(finished(session, judged).await?);
    Ok((count, bytes, faults))
}

/// Reads a file piece by piece into a thread that hashes or decodes it.
async fn read_large(session: &Session, reading: FileToRead) -> Result<(u64, Option<StoreFault>), HostError> {
    let open = Op::Open(reading.place.store_path(&reading.content));
    let Some(Ok(Answer::Opened(handle))) = session.flight(vec![open]).await?.into_iter().next() else {
        return Ok((reading.size, Some(fault(reading, StoreFlaw::Unreadable))));
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(READS_AHEAD);
    let (content, size) = (reading.content, reading.size);
    let judging = tokio::task::spawn_blocking(move || check_content(&content, size, Pieces::new(receiver)));
    let mut pieces = stream::iter(0..reads(size))
        .map(|number| session.flight(vec![read_op(handle, number)]))
        .buffered(READS_AHEAD);
    let mut unreadable = false;
    while let Some(answers) = pieces.next().await {
        let Some(Ok(Answer::Bytes(piece))) = answers?.into_iter().next() else {
            unreadable = true;
            break;
        };
        // A short piece is the end, whatever length the host listed.
        let ended = piece.len() < MAX_READ as usize;
        // The receiver is gone once a flaw was found.
        if sender.send(piece).await.is_err() || ended {
            break;
        }
    }
    drop((pieces, sender));
    session.flight(vec![Op::Close(handle)]).await?;
    let flaw = finished(session, judging).await?;
    let flaw = if unreadable { Some(StoreFlaw::Unreadable) } else { flaw };
    Ok((size, flaw.map(|flaw| fault(reading, flaw))))
}

async fn finished<T>(session: &Session, task: tokio::task::JoinHandle<T>) -> Result<T, HostError> {
    let panicked = |error| HostError::new(HostErrorKind::Panicked, session.host_name(), panics::said(error));
    task.await.map_err(panicked)
}

/// Returns the flaw of these bytes, or `None` if they are the content. `size` is the length that the host listed.
fn check_content(content: &Content, size: u64, reader: impl io::Read) -> Option<StoreFlaw> {
    let mut reader = Hashing {
        reader,
        hasher: Hasher::new(),
    };
    let decoded = match content.encoded {
        Some((coding, _)) => match decode::decodes_to(coding, &mut reader, content.size) {
            Ok(decoded) => decoded,
            Err(decode::DecodeError::Read(_)) => return Some(StoreFlaw::Unreadable),
            Err(_) => return Some(StoreFlaw::Bytes),
        },
        None => (content.digest, content.size),
    };
    if io::copy(&mut reader, &mut io::sink()).is_err() {
        return Some(StoreFlaw::Unreadable);
    }
    let (raw, length) = (reader.hasher.finish(), reader.hasher.length());
    if length != size {
        return Some(StoreFlaw::Size {
            found: length,
            wanted: size,
        });
    }
    let right = decoded == (content.digest, content.size) && is_recipe(content, raw);
    (!right).then_some(StoreFlaw::Bytes)
}

/// Whether undecoded bytes with this digest can be the content.
fn is_recipe(content: &Content, raw: Digest) -> bool {
    match content.encoded {
        None => raw == content.digest,
        Some((_, given @ Recipe::Given { .. })) => Recipe::given(raw) == given,
        // The output of encoders may differ from version to version, so all that can be checked is that it decodes.
        Some((_, Recipe::Made { .. })) => true,
    }
}

/// A reader that hashes everything that is read through it.
struct Hashing<R> {
    reader: R,
    hasher: Hasher,
}

impl<R: io::Read> io::Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Pieces of a file as they arrive from the host.
struct Pieces {
    receiver: tokio::sync::mpsc::Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Pieces {
    fn new(receiver: tokio::sync::mpsc::Receiver<Vec<u8>>) -> Self {
        Self {
            receiver,
            piece: io::Cursor::default(),
        }
    }
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}

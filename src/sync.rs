//! Sending what the host lacks, and building the new folders out of it, all inside the run's workshop.
//!
//! Encodes last: only what must be sent is read and compressed. Nothing that visitors can reach changes here. Every
//! file is read again, hashed again and checked against the manifest before a name is given to it, so that an export
//! which changes under our hands is noticed and never published half.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::encode;
use crate::event::{Event, Observer, Stage};
use crate::host::{Answer, Handle, Op, Refusal, RefusalKind, Time};
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::layout;
use crate::model::path::SitePath;
use crate::model::release::{Generation, ReleaseId};
use crate::model::tree::Entry;
use crate::plan::{NewTree, Plan, PoolFile, Wanted};
use crate::session::{Read, Session};
use crate::source::{Source, SourceError};
use crate::store::{StoreError, explain};
use crate::workshop::Workshop;

/// Up to so much content rides in the flight that builds the folders; more is sent before, in batches.
const RIDING_BYTES: u64 = 1024 * 1024;
/// Up to so many files ride.
const RIDING_FILES: usize = 96;
/// Files larger than this are sent piece by piece and never held whole.
const PIECEWISE: u64 = 4 * 1024 * 1024;
/// One piece of a large file.
const PIECE: usize = 1024 * 1024;
/// Pieces of a large file in the air at once.
const PIECES_AT_ONCE: usize = 16;
/// A batch of small files is closed at so much content or so many files.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_FILES: usize = 64;
/// Batches in the air at once.
const BATCHES_AT_ONCE: usize = 8;

/// Sending failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The store or the connection.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The export.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What the plan was made from has changed on the host; making it again will do.
    #[error("the store changed while this was prepared: {0}")]
    Replan(String),
}

impl From<crate::host::HostError> for SyncError {
    fn from(error: crate::host::HostError) -> Self {
        Self::Store(StoreError::Host(error))
    }
}

/// Hands out modification times so that no two files of one size ever share one.
///
/// A web server's `ETag` is made of time, in seconds, and size. Were two files alike in both and one took the other's
/// place, readers would be told that nothing changed. New times lie after all that the store has ever given.
#[derive(Debug)]
pub struct Times {
    base: Time,
    given: HashMap<u64, Time>,
    latest: Time,
}

impl Times {
    /// Times for a run at `now` (the host's clock) after `generation`.
    #[must_use]
    pub fn new(now: Time, generation: Option<&Generation>) -> Self {
        let after = generation.map_or(0, |generation| generation.clock + 1);
        // A minute back, so that files alike in size need not lie in the future.
        let base = after.max(now - 60);
        Self {
            base,
            given: HashMap::new(),
            latest: base,
        }
    }

    /// A time for a file of `size` bytes.
    pub fn next(&mut self, size: u64) -> Time {
        let given = self.given.entry(size).or_insert(0);
        let time = self.base + *given;
        *given += 1;
        self.latest = self.latest.max(time);
        time
    }

    /// The latest time given.
    #[must_use]
    pub fn latest(&self) -> Time {
        self.latest
    }
}

/// One object ready to be sent.
#[derive(Debug, Clone)]
struct Made {
    name: String,
    bytes: Vec<u8>,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Objects: files and encodings.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Encodings made.
    pub encoded: u64,
}

impl Sent {
    /// Adds what else was sent.
    pub fn add(&mut self, more: Self) {
        self.objects += more.objects;
        self.bytes += more.bytes;
        self.encoded += more.encoded;
    }
}

/// Where the new objects are, and what has to travel with the next flight.
#[derive(Default)]
pub struct Stock {
    /// Objects that lie in a temporary file of the workshop, by the object's name.
    temps: HashMap<String, String>,
    /// Encodings that turned out not to pay, so don't exist.
    dropped: HashSet<String>,
    /// Writes that ride in the flight that builds the folders.
    riding: Vec<Op>,
    /// What was sent.
    pub sent: Sent,
}

/// Everything that sending needs to know.
pub struct Work<'a> {
    /// The way to the host.
    pub session: &'a Session,
    /// The export.
    pub source: &'a Arc<dyn Source>,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
}

/// Reads, encodes and sends every object that the plan wants. Few of them are kept to ride with the next flight.
///
/// # Errors
/// [`SyncError`].
pub async fn send_objects(
    work: &Work<'_>,
    plan: &Plan,
    workshop: &mut Workshop,
    times: &mut Times,
) -> Result<Stock, SyncError> {
    let mut stock = Stock::default();
    let bytes: u64 = plan.wanted.iter().map(|wanted| wanted.size).sum();
    let files = plan.wanted_names().count();
    work.observer.notice(Event::StageBegan {
        stage: Stage::Encode,
        items: Some(plan.wanted.len() as u64),
        bytes: Some(bytes),
    });
    if bytes <= RIDING_BYTES && files <= RIDING_FILES {
        ride(work, plan.wanted.clone(), workshop, times, &mut stock).await?;
    } else {
        // Worn objects stay in the workshop until the lock is held: they replace what is there.
        let (again, new): (Vec<Wanted>, Vec<Wanted>) =
            plan.wanted.iter().cloned().partition(|wanted| is_worn(plan, wanted));
        send_in_batches(work, new, Resting::Objects, workshop, times, &mut stock).await?;
        send_in_batches(work, again, Resting::Workshop, workshop, times, &mut stock).await?;
    }
    work.observer.notice(Event::StageEnded { stage: Stage::Encode });
    Ok(stock)
}

/// Sends every object that is wanted into temporary files of the workshop and leaves them there, on the disk and closed.
///
/// # Errors
/// [`SyncError`].
pub(crate) async fn send_to_workshop(
    work: &Work<'_>,
    wanted: Vec<Wanted>,
    workshop: &mut Workshop,
    times: &mut Times,
) -> Result<Stock, SyncError> {
    let mut stock = Stock::default();
    send_in_batches(work, wanted, Resting::Workshop, workshop, times, &mut stock).await?;
    Ok(stock)
}

fn is_worn(plan: &Plan, wanted: &Wanted) -> bool {
    let identity = layout::object(wanted.digest);
    let mut encoded = wanted.encodings.iter();
    plan.worn.contains(&identity)
        || encoded.any(|(coding, recipe)| {
            plan.worn
                .contains(&layout::encoded_object(wanted.digest, coding, recipe))
        })
}

/// Where files rest that are sent ahead of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resting {
    /// Under their names among the objects, so that a retry finds them.
    Objects,
    /// In temporary files of the workshop.
    Workshop,
}

/// Makes everything now and lets the writes ride with the flight that builds the folders.
async fn ride(
    work: &Work<'_>,
    wanted: Vec<Wanted>,
    workshop: &mut Workshop,
    times: &mut Times,
    stock: &mut Stock,
) -> Result<(), SyncError> {
    let (large, small): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|wanted| wanted.size > PIECEWISE);
    let mut made = Vec::new();
    for one in make_all(work.source, small).await? {
        made.extend(stock.take(work.observer, one));
    }
    for wanted in large {
        let (temp, encodings) = send_piecewise(work, &wanted, workshop, times).await?;
        if let Some(temp) = temp {
            stock.count(wanted.size);
            stock.temps.insert(layout::object(wanted.digest), temp);
        }
        made.extend(stock.take(work.observer, encodings));
    }
    open_temps(work.session, workshop, made.len()).await?;
    for one in made {
        let Some((temp, handle)) = workshop.take_temp() else {
            break;
        };
        stock.count(one.bytes.len() as u64);
        let mtime = times.next(one.bytes.len() as u64);
        stock.riding.extend(write_ops(handle, one.bytes, mtime));
        stock.temps.insert(one.name, temp);
    }
    Ok(())
}

/// Makes sure that so many temporary files are open.
///
/// # Errors
/// [`SyncError`] where they can't be.
pub async fn open_temps(session: &Session, workshop: &mut Workshop, count: usize) -> Result<(), SyncError> {
    let lacking = count.saturating_sub(workshop.free_temps());
    if lacking == 0 {
        return Ok(());
    }
    let ops = workshop.open_temps(lacking);
    let answers = session.flight(ops).await?;
    if let Some(refusal) = answers.iter().find_map(Read::refusal) {
        return Err(explain(session, refusal).await.into());
    }
    workshop.keep_opened(&answers);
    Ok(())
}

fn write_ops(handle: Handle, bytes: Vec<u8>, mtime: Time) -> Vec<Op> {
    let mut ops = Vec::with_capacity(2);
    if !bytes.is_empty() {
        ops.push(Op::Write {
            handle,
            offset: 0,
            bytes,
        });
    }
    ops.push(Op::Finish { handle, mtime });
    ops
}

/// A small document in a temporary file that is open already; its writes ride too.
pub fn write_document(stock: &mut Stock, workshop: &mut Workshop, times: &mut Times, text: String) -> Option<String> {
    let (temp, handle) = workshop.take_temp()?;
    let mtime = times.next(text.len() as u64);
    stock.riding.extend(write_ops(handle, text.into_bytes(), mtime));
    Some(temp)
}

/// Documents in temporary files, in the order given. A few ride with the next flight; many are written now, in batches,
/// for a server keeps only so many files open.
///
/// # Errors
/// [`SyncError`].
pub(crate) async fn write_documents(
    work: &Work<'_>,
    texts: Vec<String>,
    stock: &mut Stock,
    workshop: &mut Workshop,
    times: &mut Times,
) -> Result<Vec<String>, SyncError> {
    if texts.len() <= RIDING_FILES {
        open_temps(work.session, workshop, texts.len()).await?;
        let ride = |text| write_document(stock, workshop, times, text);
        return Ok(texts.into_iter().filter_map(ride).collect());
    }
    let documents = texts.into_iter().map(|text| Made {
        name: String::new(),
        bytes: text.into_bytes(),
    });
    let documents: Vec<Made> = documents.collect();
    let batches: Vec<BatchOps> = documents
        .chunks(BATCH_FILES)
        .map(|batch| BatchOps::new(batch.to_vec(), workshop, times))
        .collect();
    let written: Vec<Vec<(String, String)>> = stream::iter(batches)
        .map(|batch| batch.send(work, Resting::Workshop))
        .buffered(BATCHES_AT_ONCE)
        .try_collect()
        .await?;
    Ok(written.into_iter().flatten().map(|(_, temp)| temp).collect())
}

impl Stock {
    /// Takes what was made of one file; notes what did not pay.
    fn take(&mut self, observer: &dyn Observer, made: Outcome) -> Vec<Made> {
        self.sent.encoded += made.encoded;
        self.dropped.extend(made.dropped);
        observer.notice(Event::Progressed {
            stage: Stage::Encode,
            items: 1,
            bytes: made.read,
        });
        made.made
    }

    fn count(&mut self, bytes: u64) {
        self.sent.objects += 1;
        self.sent.bytes += bytes;
    }

    fn count_all(&mut self, made: Vec<Made>) -> Vec<Made> {
        for one in &made {
            self.count(one.bytes.len() as u64);
        }
        made
    }

    /// Notes where files rest that have been written: name of the object, temporary file.
    fn rest(&mut self, written: Vec<(String, String)>, resting: Resting) {
        if resting == Resting::Workshop {
            self.temps.extend(written);
        }
    }

    /// The temporary file that holds an object.
    pub(crate) fn temp(&self, name: &str) -> Option<&str> {
        self.temps.get(name).map(String::as_str)
    }

    /// Where to link an object from; `None` for an encoding that doesn't exist.
    fn place(&self, workshop: &Workshop, name: &str) -> Option<String> {
        if self.dropped.contains(name) {
            return None;
        }
        Some(match self.temps.get(name) {
            Some(temp) => workshop.path_preparing(temp),
            None => name.to_owned(),
        })
    }

    /// Puts the objects that are still in the workshop in their places, under the lock.
    pub fn put_objects(&self, plan: &Plan, workshop: &Workshop) -> Vec<Op> {
        let mut names: Vec<(&String, &String)> = self.temps.iter().collect();
        names.sort_unstable();
        names
            .into_iter()
            .map(|(name, temp)| {
                let (from, to) = (workshop.path_holding(temp), name.clone());
                if plan.worn.contains(name) {
                    Op::Rename { from, to }
                } else {
                    Op::Link { from, to }
                }
            })
            .collect()
    }

    /// The writes that ride.
    pub fn take_riding(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.riding)
    }
}

/// What was made of one file.
struct Outcome {
    made: Vec<Made>,
    dropped: Vec<String>,
    encoded: u64,
    read: u64,
}

/// Reads and encodes small files on all cores.
async fn make_all(source: &Arc<dyn Source>, wanted: Vec<Wanted>) -> Result<Vec<Outcome>, SyncError> {
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
            detail: error.to_string(),
        }
        .into()),
    }
}

/// Reads one file, checks that it still is what the manifest says, and makes the encodings that are wanted.
fn make(source: &dyn Source, wanted: &Wanted) -> Result<Outcome, SourceError> {
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

fn make_encodings(source: &dyn Source, wanted: &Wanted, bytes: &[u8]) -> Result<Outcome, SourceError> {
    let mut outcome = Outcome {
        made: Vec::new(),
        dropped: Vec::new(),
        encoded: 0,
        read: wanted.size,
    };
    for (coding, recipe) in wanted.encodings.iter() {
        let name = layout::encoded_object(wanted.digest, coding, recipe);
        let encoded = match recipe {
            Recipe::Made { level, .. } => encode::encode(coding, level, bytes)
                .map_err(|error| SourceError::Encoder {
                    path: wanted.path.clone(),
                    coding,
                    detail: error.to_string(),
                })?
                .map(encode::Verified::into_bytes),
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

/// The encoded bytes that the export brought, decoded once more to be sure.
fn given(source: &dyn Source, wanted: &Wanted, coding: Coding) -> Result<Vec<u8>, SourceError> {
    let bytes = source.read_given(&wanted.path, coding)?;
    match encode::decodes_to(coding, &bytes[..], wanted.size) {
        Ok((digest, size)) if digest == wanted.digest && size == wanted.size => Ok(bytes),
        _ => Err(SourceError::Changed {
            path: wanted.path.clone(),
        }),
    }
}

/// Sends files outside the lock, a bounded number of them open at a time.
async fn send_in_batches(
    work: &Work<'_>,
    wanted: Vec<Wanted>,
    resting: Resting,
    workshop: &mut Workshop,
    times: &mut Times,
    stock: &mut Stock,
) -> Result<(), SyncError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let began = Event::StageBegan {
        stage: Stage::Sync,
        items: None,
        bytes: None,
    };
    work.observer.notice(began);
    let (large, small): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|wanted| wanted.size > PIECEWISE);
    let mut outcomes = encode_in_background(work.source, small);
    let mut sending = stream::FuturesUnordered::new();
    let mut batch: Vec<Made> = Vec::new();
    let mut ended = false;
    // What is on its way goes on while the next file is being encoded.
    while !ended || !sending.is_empty() {
        tokio::select! {
            outcome = outcomes.recv(), if !ended && sending.len() < BATCHES_AT_ONCE => {
                ended = outcome.is_none();
                if let Some(outcome) = outcome {
                    batch.extend(stock.take(work.observer, outcome?));
                }
                let bytes: usize = batch.iter().map(|made| made.bytes.len()).sum();
                if batch.len() >= BATCH_FILES || bytes >= BATCH_BYTES || ended && !batch.is_empty() {
                    let ready = BatchOps::new(stock.count_all(std::mem::take(&mut batch)), workshop, times);
                    sending.push(ready.send(work, resting));
                }
            }
            Some(written) = sending.next(), if !sending.is_empty() => stock.rest(written?, resting),
        }
    }
    drop(sending);
    for wanted in large {
        let (temp, encodings) = send_piecewise(work, &wanted, workshop, times).await?;
        let made = stock.take(work.observer, encodings);
        let ready = BatchOps::new(stock.count_all(made), workshop, times);
        stock.rest(ready.send(work, resting).await?, resting);
        if let Some(temp) = temp {
            stock.count(wanted.size);
            let written = vec![(layout::object(wanted.digest), temp)];
            if resting == Resting::Objects {
                put_in_place(work.session, &in_workshop(workshop, &written)).await?;
            }
            stock.rest(written, resting);
        }
    }
    work.observer.notice(Event::StageEnded { stage: Stage::Sync });
    Ok(())
}

/// Names of objects, with the full paths of the temporary files that hold them.
fn in_workshop(workshop: &Workshop, written: &[(String, String)]) -> Vec<(String, String)> {
    let full = |(name, temp): &(String, String)| (name.clone(), workshop.path_preparing(temp));
    written.iter().map(full).collect()
}

/// Encodes on all cores while what is ready is being sent. The channel's bound keeps memory flat.
fn encode_in_background(
    source: &Arc<dyn Source>,
    wanted: Vec<Wanted>,
) -> tokio::sync::mpsc::Receiver<Result<Outcome, SourceError>> {
    use rayon::prelude::*;
    let (sender, receiver) = tokio::sync::mpsc::channel(4 * rayon::current_num_threads());
    let source = Arc::clone(source);
    tokio::task::spawn_blocking(move || {
        // A closed channel means that sending has failed: the rest need not be made.
        let _ = wanted
            .par_iter()
            .try_for_each(|wanted| sender.blocking_send(make(&*source, wanted)));
    });
    receiver
}

/// A batch of small files, each with its object's name and its temporary file.
struct BatchOps {
    files: Vec<BatchFile>,
}

struct BatchFile {
    made: Made,
    temp: String,
    /// Where the temporary file lies below the docroot.
    path: String,
    mtime: Time,
}

impl BatchOps {
    fn new(made: Vec<Made>, workshop: &mut Workshop, times: &mut Times) -> Self {
        let temps = workshop.new_temps(made.len());
        let files = made.into_iter().zip(temps).map(|(made, temp)| BatchFile {
            path: workshop.path_preparing(&temp),
            mtime: times.next(made.bytes.len() as u64),
            made,
            temp,
        });
        Self { files: files.collect() }
    }

    /// Two flights: open; write and wait for the disk. A third gives names among the objects, where they go there.
    async fn send(self, work: &Work<'_>, resting: Resting) -> Result<Vec<(String, String)>, SyncError> {
        let session = work.session;
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let create = self.files.iter().map(|file| Op::Create(file.path.clone())).collect();
        let opened = session.flight(create).await?;
        let mut ops = Vec::new();
        let (mut written, mut named) = (Vec::new(), Vec::new());
        let mut bytes_sent = 0;
        for (answer, file) in opened.into_iter().zip(self.files) {
            let handle = match answer {
                Ok(Answer::Opened(handle)) => handle,
                Err(refusal) => return Err(explain(session, &refusal).await.into()),
                Ok(_) => continue,
            };
            bytes_sent += file.made.bytes.len() as u64;
            ops.extend(write_ops(handle, file.made.bytes, file.mtime));
            named.push((file.made.name.clone(), file.path));
            written.push((file.made.name, file.temp));
        }
        check(session, &session.flight(ops).await?).await?;
        if resting == Resting::Objects {
            put_in_place(session, &named).await?;
        }
        work.observer.notice(Event::Progressed {
            stage: Stage::Sync,
            items: written.len() as u64,
            bytes: bytes_sent,
        });
        Ok(written)
    }
}

async fn check(session: &Session, answers: &[Result<Answer, Refusal>]) -> Result<(), SyncError> {
    match answers.iter().find_map(Read::refusal) {
        Some(refusal) => Err(explain(session, refusal).await.into()),
        None => Ok(()),
    }
}

/// Gives finished files their names among the objects. That a name is taken is fine: the same bytes are there.
async fn put_in_place(session: &Session, named: &[(String, String)]) -> Result<(), SyncError> {
    let links = named.iter().map(|(name, path)| Op::Link {
        from: path.clone(),
        to: name.clone(),
    });
    let removals = named.iter().map(|(_, path)| Op::RemoveFile(path.clone()));
    let ops: Vec<Op> = links.chain(removals).collect();
    let answers = session.flight(ops).await?;
    let refused = answers.iter().take(named.len()).filter_map(Read::refusal);
    for refusal in refused {
        if refusal.kind != RefusalKind::Failed {
            return Err(explain(session, refusal).await.into());
        }
    }
    Ok(())
}

/// Sends one large file in pieces, hashing it once more on the way. Memory is a few pieces, whatever its size.
///
/// Returns the temporary file that holds it, if its own bytes were wanted, and the encodings that were.
async fn send_piecewise(
    work: &Work<'_>,
    wanted: &Wanted,
    workshop: &mut Workshop,
    times: &mut Times,
) -> Result<(Option<String>, Outcome), SyncError> {
    let mut temp = None;
    if wanted.identity {
        open_temps(work.session, workshop, 1).await?;
        let Some((name, handle)) = workshop.take_temp() else {
            return Err(SyncError::Replan("no temporary file could be opened".to_owned()));
        };
        let pieces = pieces_in_background(work.source, wanted);
        let writes = stream::unfold(pieces, |mut pieces| async {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        writes
            .map(|piece| async move {
                let (offset, bytes) = piece?;
                let length = bytes.len() as u64;
                let answers = work.session.flight(vec![Op::Write { handle, offset, bytes }]).await?;
                check(work.session, &answers).await?;
                work.observer.notice(Event::Progressed {
                    stage: Stage::Sync,
                    items: 0,
                    bytes: length,
                });
                Ok::<(), SyncError>(())
            })
            .buffer_unordered(PIECES_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let finish = Op::Finish {
            handle,
            mtime: times.next(wanted.size),
        };
        check(work.session, &work.session.flight(vec![finish]).await?).await?;
        temp = Some(name);
    }
    let outcome = if wanted.encodings.iter().next().is_some() {
        let only_encodings = Wanted {
            identity: false,
            ..wanted.clone()
        };
        let mut outcomes = make_all(work.source, vec![only_encodings]).await?;
        outcomes.pop()
    } else {
        None
    };
    let nothing = Outcome {
        made: Vec::new(),
        dropped: Vec::new(),
        encoded: 0,
        read: wanted.size,
    };
    Ok((temp, outcome.unwrap_or(nothing)))
}

/// Reads a file piece by piece on a thread of its own. The last message is an error if it is not what was promised.
fn pieces_in_background(
    source: &Arc<dyn Source>,
    wanted: &Wanted,
) -> tokio::sync::mpsc::Receiver<Result<(u64, Vec<u8>), SourceError>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let (source, path, digest, size) = (Arc::clone(source), wanted.path.clone(), wanted.digest, wanted.size);
    tokio::task::spawn_blocking(move || {
        let mut offset = 0;
        let read = source.read_pieces(&path, digest, size, PIECE, &mut |piece| {
            let at = offset;
            offset += piece.len() as u64;
            sender.blocking_send(Ok((at, piece))).is_ok()
        });
        if let Err(error) = read {
            // Nobody listens any more only if sending has failed already.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// How a refused operation of the building flight is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Weight {
    /// It must succeed.
    Must,
    /// An encoding of an unchanged file, which may not exist.
    MayBeMissing,
    /// A link from an object: when refused though the object is there, it has as many links as can be.
    FromObject(String),
}

/// The flight that builds the new folders in the workshop, and what its refusals mean.
pub struct Building {
    ops: Vec<Op>,
    weights: Vec<Weight>,
}

/// Where a new tree stands in the workshop.
#[must_use]
pub fn tree_name(index: usize) -> String {
    format!("t/{index}")
}

/// Where an addition to the pool stands in the workshop.
#[must_use]
pub fn pool_name(index: usize) -> String {
    format!("p/{index}")
}

impl Building {
    /// Everything that a plan needs built: trees, additions to the pool, and the writes that ride ahead.
    #[must_use]
    pub fn new(plan: &Plan, stock: &mut Stock, workshop: &mut Workshop) -> Self {
        let mut building = Self {
            ops: Vec::new(),
            weights: Vec::new(),
        };
        for op in stock.take_riding() {
            building.push(op, Weight::Must);
        }
        for (index, tree) in plan.trees.iter().enumerate() {
            building.tree(index, tree, stock, workshop);
        }
        for (index, file) in plan.pool.iter().enumerate() {
            building.pool(index, file, stock, workshop);
        }
        building
    }

    fn push(&mut self, op: Op, weight: Weight) {
        self.ops.push(op);
        self.weights.push(weight);
    }

    fn tree(&mut self, index: usize, tree: &NewTree, stock: &Stock, workshop: &mut Workshop) {
        let at = workshop.path_preparing(&tree_name(index));
        let make = workshop.folder(&tree_name(index));
        self.push(make, Weight::Must);
        for (name, entry) in &tree.tree.entries {
            let to = format!("{at}/{name}");
            let former = tree.former.filter(|_| tree.unchanged.contains(name));
            match (entry, former) {
                (Entry::Folder(_), Some(former)) => {
                    self.push(
                        Op::Link {
                            from: format!("{}/{name}", layout::tree(former)),
                            to,
                        },
                        Weight::Must,
                    );
                }
                (Entry::Folder(digest), None) => {
                    self.push(
                        Op::Symlink {
                            text: layout::tree_link(*digest),
                            at: to,
                        },
                        Weight::Must,
                    );
                }
                (Entry::File(file), Some(former)) => {
                    let from = format!("{}/{name}", layout::tree(former));
                    self.push(
                        Op::Link {
                            from: from.clone(),
                            to: to.clone(),
                        },
                        Weight::Must,
                    );
                    for (coding, _) in file.encodings.iter() {
                        let link = Op::Link {
                            from: coding.beside(&from),
                            to: coding.beside(&to),
                        };
                        self.push(link, Weight::MayBeMissing);
                    }
                }
                (Entry::File(file), None) => self.file(file.digest, file.encodings, &to, stock, workshop),
            }
        }
    }

    fn pool(&mut self, index: usize, file: &PoolFile, stock: &Stock, workshop: &mut Workshop) {
        let to = workshop.path_preparing(&pool_name(index));
        if file.replaces {
            // A rename onto another link of the same bytes leaves the one in the workshop where it is.
            workshop.litter_file(&pool_name(index));
            for coding in Coding::ALL {
                workshop.litter_file(&coding.beside(&pool_name(index)));
                workshop.litter_file(&coding.beside(&format!("trash/{index}")));
            }
        }
        self.file(file.digest, file.encodings, &to, stock, workshop);
    }

    fn file(
        &mut self,
        digest: Digest,
        encodings: crate::model::encoding::Encodings,
        to: &str,
        stock: &Stock,
        workshop: &Workshop,
    ) {
        let identity = (layout::object(digest), to.to_owned());
        let encoded = encodings
            .iter()
            .map(|(coding, recipe)| (layout::encoded_object(digest, coding, recipe), coding.beside(to)));
        for (name, to) in std::iter::once(identity).chain(encoded) {
            if let Some(from) = stock.place(workshop, &name) {
                self.push(Op::Link { from, to }, Weight::FromObject(name));
            }
        }
    }

    /// The operations.
    pub fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether nothing is to be built.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Reads the answers. Objects that can't be linked any more are noted in `worn`.
    ///
    /// # Errors
    /// [`SyncError::Replan`] where the plan must be made again, [`SyncError::Store`] for anything else.
    pub async fn read(
        &self,
        session: &Session,
        answers: &[Result<Answer, Refusal>],
        worn: &mut HashSet<String>,
    ) -> Result<(), SyncError> {
        let mut replan = None;
        for (weight, answer) in self.weights.iter().zip(answers) {
            let Some(refusal) = answer.refusal() else { continue };
            match (weight, refusal.kind) {
                (Weight::MayBeMissing, RefusalKind::NotFound) => {}
                (Weight::FromObject(name), RefusalKind::Failed) => {
                    // Too many links, or the disk is full: only the former is mended by another copy.
                    if let full @ StoreError::DiskFull { .. } = explain(session, refusal).await {
                        return Err(full.into());
                    }
                    worn.insert(name.clone());
                    replan = Some(refusal.to_string());
                }
                (_, RefusalKind::NotFound) => replan = Some(refusal.to_string()),
                _ => return Err(explain(session, refusal).await.into()),
            }
        }
        replan.map_or(Ok(()), |what| Err(SyncError::Replan(what)))
    }
}

/// Additions to the pool, by rename under the lock: first the folders, then the files with their encodings.
#[must_use]
pub fn pool_ops(plan: &Plan, workshop: &Workshop) -> Vec<Op> {
    let mut ops = pool_folders(plan.pool.iter().map(|file| &file.path), workshop);
    for (index, file) in plan.pool.iter().enumerate() {
        let (from, to) = (
            workshop.path_holding(&pool_name(index)),
            layout::pool(file.path.as_str()),
        );
        if file.replaces {
            // Encodings of the former bytes must not stay beside the new ones, which may have none.
            for coding in Coding::ALL {
                ops.push(Op::Rename {
                    from: coding.beside(&to),
                    to: workshop.path_holding(&coding.beside(&format!("trash/{index}"))),
                });
            }
        }
        // Encodings first: a file that is there has all of its own.
        for (coding, _) in file.encodings.iter() {
            ops.push(Op::Rename {
                from: coding.beside(&from),
                to: coding.beside(&to),
            });
        }
        ops.push(Op::Rename { from, to });
    }
    ops
}

/// Makes the folders of the pool in which some public paths lie. That they exist already is fine.
pub(crate) fn pool_folders<'p>(paths: impl Iterator<Item = &'p SitePath>, workshop: &Workshop) -> Vec<Op> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| !folder.is_root()) {
            above = folder.parent();
            folders.insert(folder);
        }
    }
    // The way through the workshop makes even this depend on the lock.
    let through = workshop.path_holding("../..");
    folders
        .iter()
        .map(|folder| Op::MakeFolder(format!("{through}/{}", layout::pool(folder.as_str()))))
        .collect()
}

/// The renames that make a release live, each resolving only through the one before, so that they can go together.
#[must_use]
pub fn commit_ops(plan: &Plan, release: &ReleaseId, workshop: &mut Workshop) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut before: Option<Digest> = None;
    let guard = |before: Option<Digest>, path: String| match before {
        Some(tree) => layout::guarded_by_tree(tree, &path),
        None => path,
    };
    for (index, tree) in plan.trees.iter().enumerate() {
        let from = guard(before, workshop.path_holding(&tree_name(index)));
        ops.push(Op::Rename {
            from,
            to: layout::tree(tree.digest),
        });
        workshop.moved_out(&tree_name(index));
        before = Some(tree.digest);
        // A long flight shows that the holder lives.
        if index % 1000 == 999 {
            ops.push(workshop.beat());
        }
    }
    let root = Some(plan.root);
    ops.push(Op::Rename {
        from: guard(root, workshop.path_holding("rel")),
        to: layout::release(release),
    });
    let swap = layout::guarded_by_release(release, &workshop.path_holding("cur"));
    ops.push(Op::Rename {
        from: swap,
        to: layout::CURRENT.to_owned(),
    });
    ops
}

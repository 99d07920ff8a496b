//! Sends what the host lacks, and builds the new trees out of it in the run's staging directory.
//!
//! Encoding comes last: only what must be sent is read and compressed. This module must never send a change of anything
//! that visitors can reach. Every file is read again, hashed again and checked against the manifest before it gets a
//! name. So an export that changes during the run is noticed, and is never published in part.

mod build;
mod copies;
mod large;
mod make;
mod manifests;
mod times;
mod window;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

pub use self::build::{Building, pool_name, pool_ops, tree_name};
pub(crate) use self::build::{folders_of_pool, pool_folders};
use self::copies::{AllCopies, send_copies};
use self::make::{Made, MadeFile, encode_in_background, make_all};
pub use self::manifests::write_manifests;
pub use self::times::Times;
use self::window::Window;
use crate::host::{Answer, Handle, Op, Refusal, RefusalKind, Time};
use crate::model::event::{Event, Observer, Running, Stage};
use crate::model::layout;
use crate::site::source::{PIECE, Source, SourceError};
use crate::store::StoreError;
use crate::store::flight::Read;
use crate::store::plan::{Plan, Wanted};
use crate::store::refusal::explain;
use crate::store::session::Session;
use crate::store::staging::StagingDir;

/// Up to this much content rides in the flight that builds the trees. More is sent before, in batches.
const RIDING_BYTES: u64 = 1024 * 1024;
/// Up to this many files ride.
const RIDING_FILES: usize = 96;
/// Files larger than this are sent piece by piece, and continued where an earlier run stopped. Such a file of the
/// export is in memory completely only while its encodings are made.
const PIECEWISE: u64 = 1024 * 1024;
/// Pieces of a large file that are on their way at the same time: 4 MiB, twice the most that OpenSSH allows to be on
/// its way over one channel.
const PIECES_AT_ONCE: usize = 16;
/// A batch of small files is closed at this much content or this many files.
const BATCH_BYTES: usize = 128 * 1024;
const BATCH_FILES: usize = 64;
/// Batches that are on their way at the same time.
const BATCHES_AT_ONCE: usize = 8;

/// Why sending failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The store or the connection failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The export could not be read or encoded, or has changed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What the plan was made from has changed on the host. It is enough to make the plan again.
    #[error("the store changed while this was prepared: {0}")]
    Replan(String),
}

impl From<crate::host::HostError> for SyncError {
    fn from(error: crate::host::HostError) -> Self {
        Self::Store(StoreError::Host(error))
    }
}

/// Counts of what was sent.
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
    /// Adds the counts of something else that was sent.
    pub fn add(&mut self, more: Self) {
        self.objects += more.objects;
        self.bytes += more.bytes;
        self.encoded += more.encoded;
    }
}

/// Where the new objects are, and the writes that go with the next flight.
#[derive(Default)]
pub struct StagedObjects {
    /// Objects that are in a temporary file of the staging directory, by the object's name.
    temps: HashMap<String, String>,
    /// Additional copies of objects that have too many names.
    copies: AllCopies,
    /// Encodings that would not be smaller than their file, and so do not exist.
    dropped: HashSet<String>,
    /// Writes that ride in the flight that builds the trees.
    riding: Vec<Op>,
    /// What was sent.
    pub sent: Sent,
}

/// What sending needs.
pub struct Work<'a> {
    /// The session with the host.
    pub session: &'a Session,
    /// The export.
    pub source: &'a Arc<dyn Source>,
    /// The observer that is notified of progress.
    pub observer: &'a dyn Observer,
}

/// Reads, encodes and sends every object that the plan wants. If there are few, their writes ride with the next flight.
///
/// # Errors
/// [`SyncError`].
pub async fn send_objects(
    work: &Work<'_>,
    plan: &Plan,
    staging_dir: &mut StagingDir,
    times: &mut Times,
) -> Result<StagedObjects, SyncError> {
    let mut staged_objects = StagedObjects::default();
    let bytes: u64 = plan.wanted.iter().map(|wanted| wanted.size).sum();
    let files = plan.wanted_names().count();
    let items = Some(plan.wanted.len() as u64);
    let _running = Running::begin_measured(work.observer, Stage::Encode, items, Some(bytes));
    if bytes <= RIDING_BYTES && files <= RIDING_FILES {
        ride(work, plan.wanted.clone(), staging_dir, times, &mut staged_objects).await?;
    } else {
        // Unlinkable objects stay in the staging directory until the lock is held, because they replace existing
        // objects.
        let (again, new): (Vec<Wanted>, Vec<Wanted>) =
            plan.wanted.iter().cloned().partition(|wanted| is_worn(plan, wanted));
        send_in_batches(work, new, Resting::Objects, staging_dir, times, &mut staged_objects).await?;
        send_in_batches(work, again, Resting::Workshop, staging_dir, times, &mut staged_objects).await?;
    }
    send_copies(work, plan, staging_dir, times, &mut staged_objects).await?;
    Ok(staged_objects)
}

/// Sends every wanted object into temporary files of the staging directory and leaves them there, on the disk and
/// closed.
///
/// # Errors
/// [`SyncError`].
pub(crate) async fn send_to_workshop(
    work: &Work<'_>,
    wanted: Vec<Wanted>,
    staging_dir: &mut StagingDir,
    times: &mut Times,
) -> Result<StagedObjects, SyncError> {
    let mut staged_objects = StagedObjects::default();
    send_in_batches(work, wanted, Resting::Workshop, staging_dir, times, &mut staged_objects).await?;
    Ok(staged_objects)
}

fn is_worn(plan: &Plan, wanted: &Wanted) -> bool {
    let identity = layout::object(wanted.digest);
    let mut encoded = wanted.encodings.iter();
    plan.unlinkable.contains(&identity)
        || encoded.any(|(coding, recipe)| {
            plan.unlinkable
                .contains(&layout::encoded_object(wanted.digest, coding, recipe))
        })
}

/// Where files are kept that are sent before the lock is acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resting {
    /// Under their names in `objects/`, so that a retry finds them.
    Objects,
    /// In temporary files of the staging directory.
    Workshop,
}

/// Makes everything now and lets the writes ride with the flight that builds the trees.
async fn ride(
    work: &Work<'_>,
    wanted: Vec<Wanted>,
    staging_dir: &mut StagingDir,
    times: &mut Times,
    staged_objects: &mut StagedObjects,
) -> Result<(), SyncError> {
    let mut made = Vec::new();
    for one in make_all(work.source, wanted).await? {
        made.extend(staged_objects.take(work.observer, one));
    }
    open_temps(work.session, staging_dir, made.len()).await?;
    for one in made {
        let Some((temp, handle)) = staging_dir.take_temp() else {
            break;
        };
        staged_objects.count(one.bytes.len() as u64);
        let mtime = times.next(one.bytes.len() as u64);
        staged_objects.riding.extend(write_ops(handle, one.bytes, mtime));
        staged_objects.temps.insert(one.name, temp);
    }
    Ok(())
}

/// Makes sure that at least this many temporary files are open and unused.
///
/// # Errors
/// [`SyncError`] if they can't be opened.
pub async fn open_temps(session: &Session, staging_dir: &mut StagingDir, count: usize) -> Result<(), SyncError> {
    let lacking = count.saturating_sub(staging_dir.free_temps());
    if lacking == 0 {
        return Ok(());
    }
    let ops = staging_dir.open_temps(lacking);
    let answers = session.flight(ops).await?;
    if let Some(refusal) = answers.iter().find_map(Read::refusal) {
        return Err(explain(session, refusal).await.into());
    }
    staging_dir.keep_opened(&answers);
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

/// Writes a small document into a temporary file that is already open. The writes ride, too.
pub fn write_document(
    staged_objects: &mut StagedObjects,
    staging_dir: &mut StagingDir,
    times: &mut Times,
    text: String,
) -> Option<String> {
    let (temp, handle) = staging_dir.take_temp()?;
    let mtime = times.next(text.len() as u64);
    staged_objects
        .riding
        .extend(write_ops(handle, text.into_bytes(), mtime));
    Some(temp)
}

/// Writes documents into temporary files, in the given order. A few ride with the next flight. Many are written now, in
/// batches, because a server keeps only a limited number of files open.
///
/// # Errors
/// [`SyncError`].
pub(crate) async fn write_documents(
    work: &Work<'_>,
    texts: impl ExactSizeIterator<Item = String>,
    staged_objects: &mut StagedObjects,
    staging_dir: &mut StagingDir,
    times: &mut Times,
) -> Result<Vec<String>, SyncError> {
    if texts.len() <= RIDING_FILES {
        open_temps(work.session, staging_dir, texts.len()).await?;
        let ride = |text| write_document(staged_objects, staging_dir, times, text);
        return Ok(texts.filter_map(ride).collect());
    }
    let documents = texts.map(|text| Made {
        name: String::new(),
        bytes: text.into_bytes(),
    });
    let mut documents = documents.fuse();
    let mut sending = stream::FuturesOrdered::new();
    let mut temps = Vec::new();
    loop {
        // Each batch is made only when there is room to send it.
        while sending.len() < BATCHES_AT_ONCE {
            let batch: Vec<Made> = documents.by_ref().take(BATCH_FILES).collect();
            if batch.is_empty() {
                break;
            }
            sending.push_back(BatchOps::new(batch, staging_dir, times).send(work, Resting::Workshop));
        }
        let Some(written) = sending.next().await else {
            return Ok(temps);
        };
        temps.extend(written?.written.into_iter().map(|(_, temp)| temp));
    }
}

impl StagedObjects {
    /// Takes what was made of one file, and notes the encodings that were dropped.
    fn take(&mut self, observer: &dyn Observer, made: MadeFile) -> Vec<Made> {
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

    /// Notes where written files are kept: pairs of the object's name and the temporary file.
    fn rest(&mut self, written: Vec<(String, String)>, resting: Resting) {
        if resting == Resting::Workshop {
            self.temps.extend(written);
        }
    }

    /// Returns the temporary file that contains an object.
    pub(crate) fn temp(&self, name: &str) -> Option<&str> {
        self.temps.get(name).map(String::as_str)
    }

    /// Returns the path to link an object from; `None` for an encoding that does not exist.
    fn place(&mut self, staging_dir: &StagingDir, name: &str) -> Option<String> {
        if self.dropped.contains(name) {
            return None;
        }
        if let Some(copy) = self.copies.get_mut(name).and_then(|copies| copies.next()) {
            return Some(staging_dir.path_preparing(copy));
        }
        Some(match self.temps.get(name) {
            Some(temp) => staging_dir.path_preparing(temp),
            None => name.to_owned(),
        })
    }

    /// Returns the operations that give the objects in the staging directory their names, under the lock.
    pub fn put_objects(&self, plan: &Plan, staging_dir: &StagingDir) -> Vec<Op> {
        let mut names: Vec<(&String, &String)> = self.temps.iter().collect();
        names.sort_unstable();
        names
            .into_iter()
            .map(|(name, temp)| {
                let (from, to) = (staging_dir.path_holding(temp), name.clone());
                if plan.unlinkable.contains(name) {
                    Op::Rename { from, to }
                } else {
                    Op::Link { from, to }
                }
            })
            .collect()
    }

    /// Takes the writes that ride.
    pub fn take_riding(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.riding)
    }
}

/// Sends files without the lock, a bounded number of them open at a time.
async fn send_in_batches(
    work: &Work<'_>,
    wanted: Vec<Wanted>,
    resting: Resting,
    staging_dir: &mut StagingDir,
    times: &mut Times,
    staged_objects: &mut StagedObjects,
) -> Result<(), SyncError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let _running = Running::begin(work.observer, Stage::Sync);
    let (large, small): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|wanted| wanted.size > PIECEWISE);
    let mut outcomes = encode_in_background(work.source, small);
    let mut sending = stream::FuturesUnordered::new();
    let mut window = Window::new();
    let began = Instant::now();
    // Objects that were made and are not on their way yet.
    let mut made: VecDeque<Made> = VecDeque::new();
    let mut pieces = Vec::new();
    let mut ended = false;
    // Sending continues while the next file is being encoded.
    while !ended || !made.is_empty() || !sending.is_empty() {
        while sending.len() < BATCHES_AT_ONCE
            && let Some(batch) = next_batch(&mut made, ended, |bytes| window.fits(bytes))
        {
            let batch = BatchOps::new(staged_objects.count_all(batch), staging_dir, times);
            window.left(batch.bytes());
            sending.push(batch.send(work, resting));
        }
        tokio::select! {
            outcome = outcomes.recv(), if !ended && !is_batch(&made) => {
                ended = outcome.is_none();
                if let Some(outcome) = outcome {
                    let (large, small): (Vec<Made>, Vec<Made>) =
                        staged_objects.take(work.observer, outcome?).into_iter().partition(Made::is_large);
                    pieces.extend(large.into_iter().map(large::of_made));
                    made.extend(small);
                }
            }
            Some(sent) = sending.next(), if !sending.is_empty() => {
                let sent = sent?;
                window.named(sent.bytes, sent.latency, began.elapsed());
                staged_objects.rest(sent.written, resting);
            }
        }
        // Large encodings are sent as soon as they are made, so that few are in memory at a time.
        if !pieces.is_empty() {
            large::send_large(
                work,
                std::mem::take(&mut pieces),
                resting,
                staging_dir,
                times,
                staged_objects,
            )
            .await?;
        }
    }
    drop(sending);
    let files = large.iter().filter_map(large::of_file).collect();
    large::send_large(work, files, resting, staging_dir, times, staged_objects).await?;
    for wanted in large {
        let made = staged_objects.take(work.observer, encodings_of_large(work, wanted).await?);
        let (large, small): (Vec<Made>, Vec<Made>) = made.into_iter().partition(Made::is_large);
        let large = large.into_iter().map(large::of_made).collect();
        large::send_large(work, large, resting, staging_dir, times, staged_objects).await?;
        let ready = BatchOps::new(staged_objects.count_all(small), staging_dir, times);
        staged_objects.rest(ready.send(work, resting).await?.written, resting);
    }
    Ok(())
}

/// Whether enough was made for a batch.
fn is_batch(made: &VecDeque<Made>) -> bool {
    made.len() >= BATCH_FILES || made.iter().map(|made| made.bytes.len()).sum::<usize>() >= BATCH_BYTES
}

/// Returns the next batch if there is enough for one, or no more will come, and if it fits.
fn next_batch(made: &mut VecDeque<Made>, ended: bool, fits: impl Fn(u64) -> bool) -> Option<Vec<Made>> {
    if made.is_empty() || !(ended || is_batch(made)) {
        return None;
    }
    let (mut files, mut bytes) = (0, 0);
    for one in made.iter().take(BATCH_FILES) {
        if files > 0 && bytes + one.bytes.len() > BATCH_BYTES {
            break;
        }
        files += 1;
        bytes += one.bytes.len();
    }
    fits(bytes as u64).then(|| made.drain(..files).collect())
}

/// Makes the encodings of a large file.
async fn encodings_of_large(work: &Work<'_>, wanted: Wanted) -> Result<MadeFile, SyncError> {
    let mut nothing = MadeFile {
        made: Vec::new(),
        dropped: Vec::new(),
        encoded: 0,
        read: wanted.size,
    };
    if wanted.encodings.iter().next().is_some() {
        let only_encodings = Wanted {
            identity: false,
            ..wanted
        };
        if let Some(outcome) = make_all(work.source, vec![only_encodings]).await?.pop() {
            nothing = outcome;
        }
    }
    Ok(nothing)
}

/// A batch of small files, each with its object's name and its temporary file.
struct BatchOps {
    files: Vec<BatchFile>,
}

struct BatchFile {
    made: Made,
    temp: String,
    /// Path of the temporary file, relative to the docroot.
    path: String,
    mtime: Time,
}

impl BatchOps {
    fn new(made: Vec<Made>, staging_dir: &mut StagingDir, times: &mut Times) -> Self {
        let temps = staging_dir.new_temps(made.len());
        let files = made.into_iter().zip(temps).map(|(made, temp)| BatchFile {
            path: staging_dir.path_preparing(&temp),
            mtime: times.next(made.bytes.len() as u64),
            made,
            temp,
        });
        Self { files: files.collect() }
    }

    /// Sends all flights of the batch: three, or two if the files stay in the staging directory.
    async fn send(self, work: &Work<'_>, resting: Resting) -> Result<WrittenBatch, SyncError> {
        self.write(work).await?.rest(work, resting).await
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.made.bytes.len() as u64).sum()
    }

    /// Sends two flights: one opens the files, the other writes them and waits for the disk.
    async fn write(self, work: &Work<'_>) -> Result<WrittenBatch, SyncError> {
        let session = work.session;
        let mut batch = WrittenBatch::default();
        if self.files.is_empty() {
            return Ok(batch);
        }
        let create = self.files.iter().map(|file| Op::Create(file.path.clone())).collect();
        let began = Instant::now();
        let opened = session.flight(create).await?;
        batch.latency = began.elapsed();
        let mut ops = Vec::new();
        for (answer, file) in opened.into_iter().zip(self.files) {
            let handle = match answer {
                Ok(Answer::Opened(handle)) => handle,
                Err(refusal) => return Err(explain(session, &refusal).await.into()),
                Ok(_) => continue,
            };
            batch.bytes += file.made.bytes.len() as u64;
            ops.extend(write_ops(handle, file.made.bytes, file.mtime));
            batch.named.push((file.made.name.clone(), file.path));
            batch.written.push((file.made.name, file.temp));
        }
        check(session, &session.flight(ops).await?).await?;
        Ok(batch)
    }
}

/// A batch whose files are closed and on the disk.
#[derive(Default)]
struct WrittenBatch {
    /// Names of objects, with the temporary files that contain them.
    written: Vec<(String, String)>,
    /// The same with complete paths.
    named: Vec<(String, String)>,
    bytes: u64,
    /// How long the host took to open the files.
    latency: Duration,
}

impl WrittenBatch {
    /// Gives the files their names in `objects/`, if they go there, in a third flight.
    async fn rest(self, work: &Work<'_>, resting: Resting) -> Result<Self, SyncError> {
        if resting == Resting::Objects && !self.named.is_empty() {
            put_in_place(work.session, &self.named).await?;
        }
        work.observer.notice(Event::Progressed {
            stage: Stage::Sync,
            items: self.written.len() as u64,
            bytes: self.bytes,
        });
        Ok(self)
    }
}

async fn check(session: &Session, answers: &[Result<Answer, Refusal>]) -> Result<(), SyncError> {
    match answers.iter().find_map(Read::refusal) {
        Some(refusal) => Err(explain(session, refusal).await.into()),
        None => Ok(()),
    }
}

/// Gives finished files their names in `objects/`. A name that exists already is fine: it has the same content.
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

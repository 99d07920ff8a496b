//! Sends what the host lacks, and builds the new trees out of it in the run's staging directory.
//!
//! Encoding comes last: only what must be sent is read and compressed. This module must never send a change of anything
//! that visitors can reach. Every file is read again, hashed again and checked against the manifest before it gets a
//! name. So an export that changes during the run is noticed, and is never published in part.

mod build;
mod connections;
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

pub use self::build::{Building, pool_name, pool_ops, refused_answer, tree_name};
pub(crate) use self::build::{make_answer_folders, make_pool_folders};
use self::connections::{Connection, Connections};
use self::copies::AllCopies;
pub use self::make::MadeAhead;
use self::make::{Made, MadeFile, encode_in_background, make_all};
pub use self::times::Times;
use self::window::Window;
use crate::host::{Handle, Op, RefusalKind, Time};
use crate::model::event::{Observer, Running, Stage};
use crate::site::source::Source;
use crate::store::attempt_error::AttemptError;
use crate::store::flight::Read;
use crate::store::plan::{Plan, Wanted};
use crate::store::refusal::{all_done, explain};
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
/// Batches of documents that are on their way at the same time.
const BATCHES_AT_ONCE: usize = 8;

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
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The session with the host.
    pub session: &'a Session,
    /// The export.
    pub source: &'a Arc<dyn Source>,
    /// What was made already.
    pub ahead: Option<&'a MadeAhead>,
}

/// Where files are kept that are sent before the lock is acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resting {
    /// Under their names in `objects/`, so that a retry finds them.
    Objects,
    /// In temporary files of the staging directory.
    Workshop,
}

/// Sends the files of one run, and keeps account of where they are.
pub struct Sender<'a> {
    work: Work<'a>,
    staging_dir: &'a mut StagingDir,
    times: Times,
    staged_objects: StagedObjects,
}

impl<'a> Sender<'a> {
    /// Sends into this staging directory, and gives files these times.
    pub fn new(work: Work<'a>, staging_dir: &'a mut StagingDir, times: Times) -> Self {
        Self {
            work,
            staging_dir,
            times,
            staged_objects: StagedObjects::default(),
        }
    }

    /// Returns where everything is, and the latest time that a file was given.
    pub fn finish(self) -> (StagedObjects, Time) {
        (self.staged_objects, self.times.latest())
    }

    /// Reads, encodes and sends every object that the plan wants. If there are few, their writes ride with the next
    /// flight.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub async fn send_objects(&mut self, plan: &Plan) -> Result<(), AttemptError> {
        let bytes: u64 = plan.wanted.iter().map(|wanted| wanted.size).sum();
        let items = Some(plan.wanted.len() as u64);
        let _running = Running::begin_measured(self.work.session.observer(), Stage::Encode, items, Some(bytes));
        if may_ride(&plan.wanted) {
            self.ride(plan.wanted.clone()).await?;
        } else {
            // Unlinkable objects stay in the staging directory until the lock is held, because they replace existing
            // objects.
            let is_worn = |wanted: &Wanted| {
                wanted
                    .contents()
                    .any(|content| plan.unlinkable.contains(&content.object()))
            };
            let (again, new): (Vec<Wanted>, Vec<Wanted>) = plan.wanted.iter().cloned().partition(is_worn);
            self.send_in_batches(new, Resting::Objects).await?;
            self.send_to_workshop(again).await?;
        }
        self.send_copies(plan).await
    }

    /// Sends every wanted object into temporary files of the staging directory and leaves them there, on the disk and
    /// closed.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub(crate) async fn send_to_workshop(&mut self, wanted: Vec<Wanted>) -> Result<(), AttemptError> {
        self.send_in_batches(wanted, Resting::Workshop).await
    }

    /// Makes everything now and lets the writes ride with the flight that builds the trees.
    async fn ride(&mut self, wanted: Vec<Wanted>) -> Result<(), AttemptError> {
        let mut ahead = HashMap::new();
        if let Some(made) = self.work.ahead {
            for wanted in &wanted {
                ahead.extend(made.made(wanted).await.map(|made| (wanted.digest, made)));
            }
        }
        let (there, rest): (Vec<Wanted>, Vec<Wanted>) = wanted
            .into_iter()
            .partition(|wanted| ahead.contains_key(&wanted.digest));
        let mut made = Vec::new();
        let there = there.iter().filter_map(|wanted| ahead.remove(&wanted.digest));
        for one in there.chain(make_all(self.work.source, rest).await?) {
            made.extend(self.staged_objects.take(self.work.session.observer(), one));
        }
        self.open_temps(made.len()).await?;
        self.staged_objects.count(&made);
        for one in made {
            let temp = self.write_riding(one.bytes)?;
            self.staged_objects.temps.insert(one.name, temp);
        }
        Ok(())
    }

    /// Makes sure that at least this many temporary files are open and unused.
    async fn open_temps(&mut self, count: usize) -> Result<(), AttemptError> {
        let lacking = count.saturating_sub(self.staging_dir.free_temps());
        let ops = self.staging_dir.open_temps(lacking);
        let answers = self.work.session.flight(ops).await?;
        all_done(self.work.session, &answers).await?;
        self.staging_dir.keep_opened(&answers);
        Ok(())
    }

    /// Takes a temporary file that is open and unused.
    fn take_temp(&mut self) -> Result<(String, Handle), AttemptError> {
        let temp = self.staging_dir.take_temp();
        temp.ok_or_else(|| AttemptError::Replan(NOT_OPENED.to_owned()))
    }

    /// Writes a small file into a temporary file that is already open. The writes ride with the next flight.
    fn write_riding(&mut self, bytes: Vec<u8>) -> Result<String, AttemptError> {
        let (temp, handle) = self.take_temp()?;
        let mtime = self.times.next(bytes.len() as u64);
        self.staged_objects.riding.extend(write_ops(handle, bytes, mtime));
        Ok(temp)
    }

    /// Writes documents into temporary files, in the given order. A few ride with the next flight. Many are written
    /// now, in batches, because a server keeps only a limited number of files open.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub(crate) async fn write_documents(
        &mut self,
        mut texts: impl ExactSizeIterator<Item = String>,
    ) -> Result<Vec<String>, AttemptError> {
        if texts.len() <= RIDING_FILES {
            self.open_temps(texts.len()).await?;
            return texts.map(|text| self.write_riding(text.into_bytes())).collect();
        }
        let mut sending = stream::FuturesOrdered::new();
        let mut temps = Vec::new();
        loop {
            // Each batch is made only when there is room to send it.
            while sending.len() < BATCHES_AT_ONCE && texts.len() > 0 {
                let batch = texts.by_ref().take(BATCH_FILES).map(|text| Made {
                    name: String::new(),
                    bytes: text.into_bytes(),
                });
                let connection = Arc::new(Connection::own(self.work.session));
                let batch = self.batch(batch.collect());
                sending.push_back(batch.send(connection, Resting::Workshop));
            }
            let Some(sent) = sending.next().await else {
                return Ok(temps);
            };
            temps.extend(sent?.temps.into_iter().map(|(_, temp)| temp));
        }
    }

    /// Sends files without the lock, a bounded number of them open at a time.
    async fn send_in_batches(&mut self, wanted: Vec<Wanted>, resting: Resting) -> Result<(), AttemptError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let work = self.work;
        let _running = Running::begin(work.session.observer(), Stage::Sync);
        let (large, small): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|wanted| wanted.size > PIECEWISE);
        let files = small.iter().map(|wanted| wanted.contents().count()).sum();
        let mut connections = Connections::new(work.session, files);
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
            while let Some(connection) = connections.free()
                && let Some(batch) = next_batch(&mut made, ended, |bytes| window.fits(bytes, connections.count()))
            {
                self.staged_objects.count(&batch);
                let batch = self.batch(batch);
                window.left(batch.bytes());
                sending.push(batch.send(connection, resting));
            }
            tokio::select! {
                outcome = outcomes.recv(), if !ended && !is_batch(&made) => {
                    ended = outcome.is_none();
                    if let Some(outcome) = outcome {
                        let (large, small) = large::split(self.staged_objects.take(work.session.observer(), outcome?));
                        pieces.extend(large);
                        made.extend(small);
                    }
                }
                () = connections.grow(), if connections.may_grow() => {}
                Some(sent) = sending.next(), if !sending.is_empty() => {
                    let sent = sent?;
                    window.named(sent.bytes, sent.latency, began.elapsed());
                    self.staged_objects.temps.extend(sent.temps);
                }
            }
            // Large encodings are sent as soon as they are made, so that few are in memory at a time.
            self.send_large(std::mem::take(&mut pieces), resting).await?;
        }
        drop(sending);
        self.send_large(large.iter().filter_map(large::exported).collect(), resting)
            .await?;
        for wanted in large {
            let made = encodings_of_large(work, wanted).await?;
            let (large, small) = large::split(self.staged_objects.take(work.session.observer(), made));
            self.send_large(large, resting).await?;
            self.staged_objects.count(&small);
            let connection = Arc::new(Connection::own(work.session));
            let sent = self.batch(small).send(connection, resting).await?;
            self.staged_objects.temps.extend(sent.temps);
        }
        Ok(())
    }

    fn batch(&mut self, made: Vec<Made>) -> Batch {
        let temps = self.staging_dir.new_temps(made.len());
        let files = made.into_iter().zip(temps).map(|(made, temp)| BatchFile {
            path: self.staging_dir.path_preparing(&temp),
            mtime: self.times.next(made.bytes.len() as u64),
            made,
            temp,
        });
        Batch { files: files.collect() }
    }
}

/// Whether files are so few that their writes ride with the next flight.
fn may_ride(wanted: &[Wanted]) -> bool {
    let bytes: u64 = wanted.iter().map(|wanted| wanted.size).sum();
    bytes <= RIDING_BYTES && wanted.iter().map(|wanted| wanted.contents().count()).sum::<usize>() <= RIDING_FILES
}

/// Why there is no handle of a temporary file, if the host did not say so.
const NOT_OPENED: &str = "a temporary file could not be opened";

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

impl StagedObjects {
    /// Takes what was made of one file, and notes the encodings that were dropped.
    fn take(&mut self, observer: &dyn Observer, made: MadeFile) -> Vec<Made> {
        self.sent.encoded += made.encoded;
        self.dropped.extend(made.dropped);
        observer.progressed(Stage::Encode, 1, made.read);
        made.made
    }

    fn count(&mut self, made: &[Made]) {
        self.sent.objects += made.len() as u64;
        self.sent.bytes += made.iter().map(|one| one.bytes.len() as u64).sum::<u64>();
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
        let copy = self.copies.get_mut(name).and_then(|copies| copies.next());
        Some(match copy.or(self.temps.get(name).map(String::as_str)) {
            Some(temp) => staging_dir.path_preparing(temp),
            None => name.to_owned(),
        })
    }

    /// Returns the operations that give the objects in the staging directory their names, under the lock.
    pub fn put_objects(&self, plan: &Plan, staging_dir: &StagingDir) -> Vec<Op> {
        let mut names: Vec<(&String, &String)> = self.temps.iter().collect();
        names.sort_unstable();
        let ops = names.into_iter().map(|(name, temp)| {
            let from = staging_dir.path_holding(temp);
            if plan.unlinkable.contains(name) {
                Op::rename(from, name)
            } else {
                Op::link(from, name)
            }
        });
        ops.collect()
    }

    /// Takes the writes that ride.
    pub fn take_riding(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.riding)
    }
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
async fn encodings_of_large(work: Work<'_>, mut wanted: Wanted) -> Result<MadeFile, AttemptError> {
    wanted.identity = false;
    let nothing = MadeFile {
        read: wanted.size,
        ..MadeFile::default()
    };
    if wanted.contents().next().is_none() {
        return Ok(nothing);
    }
    Ok(make_all(work.source, vec![wanted]).await?.pop().unwrap_or(nothing))
}

/// A batch of small files.
struct Batch {
    files: Vec<BatchFile>,
}

struct BatchFile {
    made: Made,
    /// The name of its temporary file in the staging directory.
    temp: String,
    /// Path of the temporary file, relative to the docroot.
    path: String,
    mtime: Time,
}

/// A batch whose files are closed and on the disk.
struct SentBatch {
    /// Names of objects, with the temporary files that they stay in.
    temps: Vec<(String, String)>,
    bytes: u64,
    /// How long the host took to open the files.
    latency: Duration,
}

impl Batch {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.made.bytes.len() as u64).sum()
    }

    /// Sends all flights of the batch. The first opens the files, the second writes them and waits for the disk, and if
    /// they go to `objects/`, a third gives them their names there.
    async fn send(self, connection: Arc<Connection<'_>>, resting: Resting) -> Result<SentBatch, AttemptError> {
        let session = connection.session();
        let (items, bytes) = (self.files.len() as u64, self.bytes());
        let create = self.files.iter().map(|file| Op::Create(file.path.clone())).collect();
        let began = Instant::now();
        let opened = connection.flight(create).await?;
        let latency = began.elapsed();
        all_done(session, &opened).await?;
        let mut ops = Vec::new();
        let (mut named, mut temps) = (Vec::new(), Vec::new());
        for (reply, file) in opened.iter().zip(self.files) {
            let Some(handle) = reply.opened() else {
                return Err(AttemptError::Replan(NOT_OPENED.to_owned()));
            };
            ops.extend(write_ops(handle, file.made.bytes, file.mtime));
            match resting {
                Resting::Objects => named.push((file.made.name, file.path)),
                Resting::Workshop => temps.push((file.made.name, file.temp)),
            }
        }
        all_done(session, &connection.flight(ops).await?).await?;
        put_in_place(&connection, &named).await?;
        session.observer().progressed(Stage::Sync, items, bytes);
        Ok(SentBatch { temps, bytes, latency })
    }
}

/// Gives finished files their names in `objects/`. A name that exists already is fine: it has the same content.
async fn put_in_place(connection: &Connection<'_>, named: &[(String, String)]) -> Result<(), AttemptError> {
    let links = named.iter().map(|(name, path)| Op::link(path, name));
    let removals = named.iter().map(|(_, path)| Op::RemoveFile(path.clone()));
    let answers = connection.flight(links.chain(removals).collect()).await?;
    let mut refused = answers.iter().take(named.len()).filter_map(Read::refusal);
    match refused.find(|refusal| refusal.kind != RefusalKind::Failed) {
        Some(refusal) => Err(explain(connection.session(), refusal).await.into()),
        None => Ok(()),
    }
}

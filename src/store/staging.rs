//! The staging directory: a run's private folder on the host, which is also the lock.
//!
//! A run prepares in `work/<run>/<run>/`. It acquires the lock by renaming `work/<run>` to `lock`, which succeeds for
//! one run at a time. From then on its staging directory is `lock/<run>/`. To steal a stale lock, a run renames that
//! folder away. Every later rename of the former holder then fails, because the path that it names is gone. A run ID is
//! never used again.
//!
//! [`StagingDir`] builds operations and reads answers; only the functions of this module send operations. The module
//! must never change anything outside staging directories except by a rename out of one. It must never judge a holder's
//! age by this machine's clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::host::{Answers, Handle, HostError, Op, Refusal, RefusalKind, Reply, Time};
use crate::model::digest::Digest;
use crate::model::event::Note;
use crate::model::layout;
use crate::model::release::{Generation, Owner, RunId};
use crate::store::flight::{Flight, Landed, Read, ReplyTo, Ticket};
use crate::store::refusal::{all_done, done_or_gone, explain};
use crate::store::session::Session;
use crate::store::{Error, LockError};

/// How many times in a row the lock may be refused and then seen empty before the refusal itself is reported. Under
/// contention another run may have released the lock between the two.
const REFUSED_THOUGH_FREE: u32 = 3;

/// A holder that has shown no sign of life for this long, by the host's clock, counts as dead. In seconds.
pub const LEASE: Time = 10;

/// A run's staging directory.
#[derive(Debug)]
pub struct StagingDir {
    run: RunId,
    /// See [`Owner::yields`].
    yields: bool,
    holding: bool,
    /// Temporary files that are open and unused.
    free: Vec<(u32, Handle)>,
    /// The open file that is synced last.
    last: Option<Handle>,
    /// Manifests that are open to copy from, by the digests of their trees.
    bases: Vec<(Digest, Handle)>,
    temps: u32,
    beats: u32,
    /// Names within it that were made and may still exist; parents before children.
    litter: Vec<Litter>,
    /// Names that were moved out of it, each with the length of `litter` at that time. Later litter of the same name is
    /// not included.
    moved: HashMap<String, usize>,
}

/// A name in the staging directory, and the operation that removes it from there.
type Litter = (fn(String) -> Op, String);

/// The folders of every staging directory: temporary files, trees, additions to the pool, the trash.
const FOLDERS: [&str; 4] = ["f", "t", "p", "trash"];

impl StagingDir {
    /// Returns the staging directory of a new run. [`Self::set_up`] makes it on the host.
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            yields: false,
            holding: false,
            free: Vec::new(),
            last: None,
            bases: Vec::new(),
            temps: 0,
            beats: 0,
            litter: Vec::new(),
            moved: HashMap::new(),
        }
    }

    /// Sets whether runs that change the live site need not wait for this one, see [`Owner::yields`].
    #[must_use]
    pub fn yielding(self, yields: bool) -> Self {
        Self { yields, ..self }
    }

    /// Returns the staging directory of a run that takes the place of this one.
    #[must_use]
    pub fn renewed(&self, run: RunId) -> Self {
        Self::new(run).yielding(self.yields)
    }

    /// Returns the run's ID.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Returns the current path of a name in the staging directory, relative to the docroot.
    pub fn path(&self, name: &str) -> String {
        if self.holding {
            self.path_holding(name)
        } else {
            self.path_preparing(name)
        }
    }

    /// Returns its path while the run prepares.
    pub fn path_preparing(&self, name: &str) -> String {
        format!("{}/{name}", layout::workshop_preparing(&self.run))
    }

    /// Returns its path once the run holds the lock.
    pub fn path_holding(&self, name: &str) -> String {
        format!("{}/{name}", layout::workshop_holding(&self.run))
    }

    /// Makes the staging directory. The record of its owner is the text of a symlink, because that takes one request
    /// and is never half written.
    pub fn set_up(&mut self, owner: &Owner) -> Vec<Op> {
        let owner = Owner {
            yields: self.yields,
            ..owner.clone()
        };
        let mut ops = vec![
            Op::MakeFolder(layout::preparing(&self.run)),
            Op::MakeFolder(layout::workshop_preparing(&self.run)),
            self.symlink(
                "owner",
                serde_json::to_string(&owner).unwrap_or_else(|_| "{}".to_owned()),
            ),
        ];
        ops.extend(FOLDERS.map(|name| self.folder(name)));
        ops
    }

    /// Makes a folder in the staging directory.
    pub fn folder(&mut self, name: &str) -> Op {
        self.litter.push((Op::RemoveFolder, name.to_owned()));
        Op::MakeFolder(self.path(name))
    }

    /// Makes a symlink in the staging directory.
    pub fn symlink(&mut self, name: &str, text: String) -> Op {
        self.litter_file(name);
        Op::symlink(text, self.path(name))
    }

    /// Notes that there may be a file of this name in the staging directory.
    pub(crate) fn litter_file(&mut self, name: &str) {
        self.litter.push((Op::RemoveFile, name.to_owned()));
    }

    /// Notes that a name was moved out and needs no cleaning up.
    pub fn moved_out(&mut self, name: &str) {
        // `litter` is searched only once, at the end: a large publish moves out a hundred thousand names, and `litter`
        // has even more.
        self.moved.insert(name.to_owned(), self.litter.len());
    }

    /// Returns names for temporary files. The caller opens them.
    pub fn new_temps(&mut self, count: usize) -> Vec<String> {
        let names: Vec<String> = (self.temps..).map(temp_name).take(count).collect();
        self.temps += u32::try_from(count).unwrap_or(u32::MAX);
        for name in &names {
            self.litter_file(name);
        }
        names
    }

    /// Returns the name of a temporary file that shows another run which object it is for: the last part of the
    /// object's name.
    pub(crate) fn new_named_temp(&mut self, object: &str) -> String {
        let name = format!("f/{object}");
        self.litter_file(&name);
        name
    }

    /// Opens temporary files; [`Self::keep_opened`] reads the answers.
    pub fn open_temps(&mut self, count: usize) -> Vec<Op> {
        let names = self.new_temps(count);
        names.iter().map(|name| Op::Create(self.path(name))).collect()
    }

    /// Reads the answers to the last `answers.len()` operations of [`Self::open_temps`].
    pub fn keep_opened(&mut self, answers: &[Reply]) {
        let first = self.temps - u32::try_from(answers.len()).unwrap_or(self.temps);
        let opened = (first..).zip(answers.iter().map(Read::opened));
        self.free
            .extend(opened.filter_map(|(number, handle)| Some((number, handle?))));
    }

    /// Returns how many temporary files are open and unused.
    pub fn free_temps(&self) -> usize {
        self.free.len()
    }

    /// Takes an open temporary file. Returns its name in the staging directory and its handle.
    pub fn take_temp(&mut self) -> Option<(String, Handle)> {
        self.free.pop().map(|(number, handle)| (temp_name(number), handle))
    }

    /// Keeps manifests that are open to copy from, until this run leaves.
    pub(crate) fn keep_bases(&mut self, bases: impl IntoIterator<Item = (Digest, Handle)>) {
        self.bases.extend(bases);
    }

    /// Returns the handle of a tree's manifest, if it is open to copy from.
    pub(crate) fn base(&self, tree: Digest) -> Option<Handle> {
        let base = self.bases.iter().find(|(digest, _)| *digest == tree);
        base.map(|(_, handle)| *handle)
    }

    /// Closes the temporary files that were not needed, the file to sync last, and the manifests to copy from.
    pub fn close_unused(&mut self) -> Vec<Op> {
        let unused = self.free.drain(..).map(|(_, handle)| handle);
        let bases = self.bases.drain(..).map(|(_, handle)| handle);
        unused.chain(self.last.take()).chain(bases).map(Op::Close).collect()
    }

    /// Opens an empty file, once the lock is held, for [`Self::leave_synced`].
    #[must_use]
    pub fn open_last(&self, flight: &mut Flight) -> Ticket<Handle> {
        flight.create(self.path_holding("last"))
    }

    /// Reads the generation and replaces it by this run's, which is staged as `gen`. Every change under the lock begins
    /// with this. Returns the tickets of the previous generation and of the rename.
    pub fn replace_generation(&self, flight: &mut Flight) -> (Ticket<String>, Ticket) {
        let previous = flight.read_link(layout::GENERATION);
        let replaced = flight.rename(self.path_holding("gen"), layout::GENERATION);
        (previous, replaced)
    }

    /// Takes the answer to [`Self::open_last`]. If the host refused the file, the run does not wait for the disk.
    pub fn keep_last(&mut self, answer: ReplyTo<'_, Handle>) {
        self.last = answer.opened();
        if self.last.is_some() {
            self.litter_file("last");
        }
    }

    /// Leaves as [`Self::leave`] does, and in between waits until the disk has an empty file that was changed last. A
    /// file system that keeps its changes in order, in one journal, then has all earlier changes on the disk, too.
    pub fn leave_synced(&mut self) -> Vec<Op> {
        let last = self.last.take();
        self.leave_behind(last.map(|handle| Op::Finish { handle, mtime: 0 }))
    }

    /// Takes a file away, once the lock is held. As every change under the lock, it depends on the staging directory.
    pub fn take_away(&self, path: impl Into<String>) -> [Op; 2] {
        let away = self.path_holding("trash/away");
        [Op::rename(path, away.clone()), Op::RemoveFile(away)]
    }

    /// Takes a file away as [`Self::take_away`] does, in one operation. It is removed when the run leaves.
    pub fn move_away(&mut self, path: impl Into<String>) -> Op {
        self.litter_file("trash/away");
        Op::rename(path, self.path_holding("trash/away"))
    }

    /// Acquires the lock: succeeds for one run at a time.
    #[must_use]
    pub fn acquire(&self) -> Op {
        Op::rename(layout::preparing(&self.run), layout::LOCK)
    }

    /// Notes whether the lock was acquired, by the answer to [`Self::acquire`]. The caller must call this before it
    /// looks at any other answer of the flight: a lock that was acquired must be released, whatever else went wrong.
    pub fn took_lock(&mut self, answer: Option<&Reply>) {
        self.holding |= answer.done();
    }

    /// Whether the lock was acquired.
    pub fn is_holding(&self) -> bool {
        self.holding
    }

    /// Shows that the holder is alive: a new name changes the modification time of its folder, by the host's clock.
    pub fn beat(&mut self) -> Op {
        let name = format!("beat{}", self.beats);
        self.beats += 1;
        self.folder(&name)
    }

    /// Releases the lock, or moves the staging directory to `stale/` if the run never held the lock.
    #[must_use]
    pub fn let_go(&self) -> Op {
        if self.holding {
            Op::rename(layout::workshop_holding(&self.run), layout::workshop_stale(&self.run))
        } else {
            Op::rename(layout::preparing(&self.run), layout::preparing_stale(&self.run))
        }
    }

    /// Removes what is known to be left of the staging directory after the run has released it. Names that do not exist
    /// are ignored.
    #[must_use]
    pub fn clean_up(&self) -> Vec<Op> {
        let at = if self.holding {
            layout::workshop_stale(&self.run)
        } else {
            format!("{}/{}", layout::preparing_stale(&self.run), self.run)
        };
        let mut ops: Vec<Op> = self
            .litter
            .iter()
            .enumerate()
            .rev()
            .filter(|(place, (_, name))| self.moved.get(name).is_none_or(|moved| moved <= place))
            .map(|(_, (remove, name))| remove(format!("{at}/{name}")))
            .collect();
        ops.push(Op::RemoveFolder(at));
        if !self.holding {
            ops.push(Op::RemoveFolder(layout::preparing_stale(&self.run)));
        }
        ops
    }

    /// Releases the lock and cleans up, as one flight.
    pub fn leave(&mut self) -> Vec<Op> {
        self.leave_behind(None)
    }

    /// Releases the lock, runs `last`, and cleans up.
    fn leave_behind(&mut self, last: Option<Op>) -> Vec<Op> {
        let mut ops = self.close_unused();
        ops.push(self.let_go());
        ops.extend(last);
        ops.extend(self.clean_up());
        ops
    }
}

fn temp_name(number: u32) -> String {
    format!("f/{number}")
}

/// Fences a run: renames its staging directory away, wherever it is. After this, nothing that the run sent can take
/// effect.
///
/// The order matters: a run that is still preparing must not acquire the lock between the two renames.
#[must_use]
pub fn fence(run: &RunId) -> Vec<Op> {
    vec![
        Op::rename(layout::preparing(run), layout::preparing_stale(run)),
        Op::rename(layout::workshop_holding(run), layout::workshop_stale(run)),
    ]
}

/// Waits until the lock can be acquired. Steals it from a holder that is dead by the host's clock.
///
/// A live holder is waited for until `patience` ends, or without `patience` until it has shown that it is alive. Also
/// steals it from a run that publishes to a channel and still holds it at the second look, unless this is such a run, too.
/// This run must still be preparing.
///
/// # Errors
/// [`Error::Taken`] if the lock can't be acquired, and [`Error::Store`] if the connection is lost or the host refuses
/// something for a reason that has nothing to do with another run.
pub async fn wait_for_lock(
    session: &Session,
    staging_dir: &mut StagingDir,
    patience: Option<Duration>,
) -> Result<(), Error> {
    let began = Instant::now();
    let mut seen: Option<(String, Time)> = None;
    let mut robbed: Option<RunId> = None;
    loop {
        let mut flight = Flight::default();
        let lock = flight.list(layout::LOCK);
        flight.add(staging_dir.beat());
        let own = flight.lstat(layout::workshop_preparing(staging_dir.run()));
        let answers = session.send(flight).await?;
        // A lock that can't be read is not a free lock.
        done_or_gone(session, answers.to(lock).reply()).await?;
        let names = answers.to(lock).names().unwrap_or_default().to_vec();
        let now = answers.to(own).attr().map_or(0, |attr| attr.mtime);
        let Some((name, attr)) = names.into_iter().next() else {
            return Ok(());
        };
        let Ok(holder) = name.parse::<RunId>() else {
            return Err(LockError::Jammed { name }.into());
        };
        let is_known = seen.as_ref().is_some_and(|(known, _)| *known == name);
        let gives_way =
            is_known && !staging_dir.yields && read_owner(session, &holder).await?.is_some_and(|owner| owner.yields);
        if gives_way || now.saturating_sub(attr.mtime) > LEASE {
            let refused = steal_lock(session, &holder).await?;
            // Another run may have stolen the lock first. Then this holder is gone at the next look.
            let again = robbed.as_ref() == Some(&holder);
            match refused {
                Some(refusal) if again || refusal.kind != RefusalKind::NotFound => {
                    let owner = read_owner(session, &holder).await?;
                    let what = crate::model::path::printable(&refusal.to_string());
                    return Err(LockError::Stuck { owner, what }.into());
                }
                Some(_) => {
                    robbed = Some(holder);
                    continue;
                }
                None => return Ok(()),
            }
        }
        let alive = seen
            .as_ref()
            .is_some_and(|(known, mtime)| *known == name && *mtime != attr.mtime);
        let out_of_patience = match patience {
            Some(patience) => began.elapsed() >= patience,
            None => alive,
        };
        if out_of_patience {
            let owner = read_owner(session, &holder).await?;
            return Err(LockError::Busy { owner }.into());
        }
        if !is_known {
            seen = Some((name, attr.mtime));
        }
        tokio::time::sleep(session.pace().look).await;
    }
}

/// Acquires the lock. `held` follows in the same flight: the first operations of a holder.
///
/// `first` contains the answers to [`StagingDir::acquire`] and `held` of a flight that was sent already. Without
/// contention no further flight is needed. Returns the answers to `held`, which must contain the rename of the staging
/// directory's `gen`. `patience` is as in [`wait_for_lock`].
///
/// # Errors
/// [`Error::Taken`] if the lock can't be acquired, and [`Error::Store`] if the connection is lost or the host refuses a
/// lock that no run holds.
pub async fn take_lock(
    session: &Session,
    staging_dir: &mut StagingDir,
    first: Answers,
    held: &[Op],
    patience: Option<Duration>,
) -> Result<Landed, Error> {
    let mut answers = first;
    let began = Instant::now();
    let mut is_told = false;
    let mut refused = 0;
    while !answers.first().done() {
        // The rename fails if the lock is not empty. "Not found" means that the staging directory itself is gone, and
        // waiting would not bring it back.
        if answers.first().is_gone() {
            return Err(LockError::Fenced.into());
        }
        // A missing permission is not contention, nor is a lock that is refused repeatedly although it is seen to be
        // free.
        if let Some(refusal) = answers.first().refusal()
            && (refusal.kind == RefusalKind::Denied || refused >= REFUSED_THOUGH_FREE)
        {
            return Err(explain(session, refusal).await.into());
        }
        if !std::mem::replace(&mut is_told, true) {
            session.observer().note(Note::LockAwaited);
        }
        let left = patience.map(|patience| patience.saturating_sub(began.elapsed()));
        wait_for_lock(session, staging_dir, left).await?;
        if refused > 0 {
            tokio::time::sleep(session.pace().look).await;
        }
        let mut again = Flight::default();
        let acquired = again.extend([staging_dir.acquire()]);
        let lock = again.list(layout::LOCK);
        let held = again.extend(held.iter().cloned());
        let landed = session.send(again).await?;
        let is_free = landed.to(lock).names().is_some_and(<[_]>::is_empty);
        refused = if is_free { refused + 1 } else { 0 };
        answers = [landed.all(&acquired), landed.all(&held)].concat();
    }
    staging_dir.took_lock(answers.first());
    staging_dir.moved_out("gen");
    Ok(Landed::new(answers.split_off(1)))
}

/// Sends `staged`, takes the lock, and sends `held` after it, see [`take_lock`].
///
/// # Errors
/// As [`take_lock`], and [`Error::Store`] if the host refuses an operation of `staged`.
pub async fn stage_and_lock(
    session: &Session,
    staging_dir: &mut StagingDir,
    staged: Vec<Op>,
    held: &[Op],
    patience: Option<Duration>,
) -> Result<Landed, Error> {
    let mut flight = Flight::default();
    let staged = flight.extend(staged);
    let locking = [staging_dir.acquire()].into_iter();
    let locking = flight.extend(locking.chain(held.iter().cloned()));
    let answers = session.send(flight).await?;
    let locking = answers.all(&locking).to_vec();
    staging_dir.took_lock(locking.first());
    all_done(session, answers.all(&staged)).await?;
    take_lock(session, staging_dir, locking, held, patience).await
}

/// Steals the lock of a dead holder. Returns the refusal, if the host refuses.
async fn steal_lock(session: &Session, holder: &RunId) -> Result<Option<Refusal>, HostError> {
    let steal = Op::rename(layout::workshop_holding(holder), layout::workshop_stale(holder));
    let refusal = session.ask(steal).await?.refusal().cloned();
    if refusal.is_none() {
        tokio::time::sleep(session.pace().after_robbery).await;
    }
    Ok(refusal)
}

/// Keeps the store's clock from going back. A run writes a generation that follows from the one that it read on
/// entering, but another run may have moved the clock on before this run acquired the lock.
///
/// `found` is the generation under the lock before this run replaced it, `ours` its replacement, and `entered` the
/// generation that `ours` was made from. Returns whether another run had moved the clock on.
///
/// # Errors
/// [`HostError`] if the connection is lost.
pub async fn keep_clock(
    session: &Session,
    staging_dir: &mut StagingDir,
    found: ReplyTo<'_, String>,
    entered: Option<&Generation>,
    ours: &Generation,
) -> Result<bool, HostError> {
    let found: Option<Generation> = found.text().and_then(|text| text.parse().ok());
    let times = |generation: Option<&Generation>| generation.map(|generation| (generation.clock, generation.made));
    let Some(found) = found.filter(|found| times(Some(found)) != times(entered)) else {
        return Ok(false);
    };
    let both = Generation {
        clock: found.clock.max(ours.clock),
        made: found.made.max(ours.made),
        run: ours.run.clone(),
    };
    let ops = vec![
        staging_dir.symlink("clock", both.to_string()),
        Op::rename(staging_dir.path_holding("clock"), layout::GENERATION),
    ];
    session.flight(ops).await?;
    Ok(true)
}

/// Reads who holds the lock; `None` if the record can't be read.
///
/// # Errors
/// [`HostError`] if the connection is lost.
pub async fn read_owner(session: &Session, holder: &RunId) -> Result<Option<Owner>, HostError> {
    let path = format!("{}/owner", layout::workshop_holding(holder));
    let text = session.ask(Op::ReadLink(path)).await?.text();
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Removes a folder on the host and everything below it, in flights of bounded size. Never follows a symlink. Returns
/// the number of names removed.
///
/// Only for folders that no other run can reach any more: below `stale/` and in a run's own staging directory.
///
/// # Errors
/// [`HostError`] if the connection is lost. What can't be removed is left.
pub async fn remove_below(session: &Session, path: &str) -> Result<u64, HostError> {
    let mut removed = 0;
    let mut folders = vec![path.to_owned()];
    let mut todo = vec![path.to_owned()];
    while !todo.is_empty() {
        let now: Vec<String> = todo.drain(..todo.len().min(64)).collect();
        let answers = session.flight(now.iter().cloned().map(Op::List).collect()).await?;
        let mut files = Vec::new();
        for (folder, answer) in now.iter().zip(answers) {
            for (name, attr) in answer.names().unwrap_or_default() {
                let at = format!("{folder}/{name}");
                if attr.kind == crate::host::Kind::Folder {
                    folders.push(at.clone());
                    todo.push(at);
                } else {
                    files.push(Op::RemoveFile(at));
                }
            }
        }
        removed += count_done(&session.flight(files).await?);
    }
    let last: Vec<Op> = folders.into_iter().rev().map(Op::RemoveFolder).collect();
    removed += count_done(&session.flight(last).await?);
    Ok(removed)
}

fn count_done(answers: &Answers) -> u64 {
    answers.iter().filter(|answer| answer.done()).count() as u64
}

/// Releases the lock and cleans up. What can't be cleaned up now is left to prune.
pub(crate) async fn leave(session: &Session, staging_dir: &mut StagingDir) {
    if session.flight(staging_dir.leave()).await.is_ok() {
        session.forget_run(staging_dir.run());
    }
}

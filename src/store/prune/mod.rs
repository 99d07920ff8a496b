//! Deletes releases beyond the retention, then everything that nothing refers to any more.
//!
//! This is the only module that deletes what was published. What is dead is marked without the lock and taken away
//! under it, and only if nothing was published in between. Each thing is first renamed into the run's staging
//! directory, so that a prune that dies halfway has either left it complete or taken all of it. Parents go before
//! children, so that a tree that exists is always complete. Prune must never follow a symlink when it deletes, and must
//! never delete what it could not read first.

mod listing;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

pub use self::listing::{Listing, ListingAside, list_meanwhile};
use crate::host::{Kind, Op, Time};
use crate::model::cache::pooled;
use crate::model::channel::ChannelName;
use crate::model::digest::Digest;
use crate::model::event::{Running, Stage};
use crate::model::layout;
use crate::model::manifest::{MOST_FILES, MOST_FOLDERS};
use crate::model::path::SitePath;
use crate::model::release::{ReleaseDocument, ReleaseId, RunId};
use crate::store::content::Content;
use crate::store::flight::Flight;
use crate::store::plan::HostFacts;
use crate::store::publish::leave;
use crate::store::records::Records;
use crate::store::refusal::{all_done, done_or_gone};
use crate::store::releases::{files_below, list_folders};
use crate::store::rollback::next_generation;
use crate::store::session::Session;
use crate::store::staging::{self, StagingDir, remove_below};
use crate::store::{Error, StoreError, channels, open};

/// How many renames go in one flight, after a sign of life.
const AT_ONCE: usize = 1000;

/// A staging directory in which nothing happened for this long, by the host's clock, belongs to a dead run. In seconds.
/// If the run is alive after all, losing its staging directory costs it a new attempt and nothing else.
const DEAD_AFTER: Time = 600;

/// How often marking starts again because something was published in the meantime.
const ATTEMPTS: u32 = 4;

/// What to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many releases of the live site to keep, newest first. Channels keep what they show. In addition, prune always
    /// keeps the live one, the one that it replaced, and those that a rollback left within `skew`, because an `undo:` line
    /// may have named them.
    pub keep: usize,
    /// How long immutable files of replaced releases stay in the pool.
    pub skew: Duration,
    /// How long a channel stays after its last publish.
    pub expire: Duration,
    /// Only report what would be deleted.
    pub dry_run: bool,
    /// Whether runs that change the live site need not wait for this one.
    pub yields: bool,
}

impl Options {
    fn staging_dir(&self) -> StagingDir {
        StagingDir::new(crate::store::run_id::run_id()).yielding(self.yields)
    }
}

/// What was deleted, or would be. `--json` prints it, so fields may be added but must never be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Pruned {
    /// Channels that expired.
    pub channels: u64,
    /// Releases.
    pub releases: u64,
    /// Folder levels.
    pub trees: u64,
    /// Objects: files and encodings.
    pub objects: u64,
    /// Bytes of the objects.
    pub bytes: u64,
}

/// Deletes what the retention does not keep.
///
/// # Errors
/// [`Error`]; the live site is never touched.
pub async fn prune(session: &Session, options: &Options) -> Result<Pruned, Error> {
    let _running = Running::begin(session.observer(), Stage::Prune);
    for _ in 0..ATTEMPTS {
        let store_state = open::inspect(session, []).await?.store_state;
        if !store_state.exists {
            return Ok(Pruned::default());
        }
        if options.dry_run {
            // Nothing may be made to read the host's clock from. The last change is a lower bound.
            return Ok(mark(session, options, store_state.changed.unwrap_or(0)).await?.pruned());
        }
        let marker = claim(session, options).await?;
        let dead = mark(session, options, marker.now).await?;
        let staging_dir = options.staging_dir();
        if take_away(session, &marker.run, &dead, staging_dir).await? {
            clear_stale(session, marker.now).await?;
            return Ok(dead.pruned());
        }
    }
    Err(Error::Contention {
        attempts: ATTEMPTS,
        reason: "something was published in the meantime".to_owned(),
    })
}

/// The run whose generation marks the store while prune decides what is dead.
struct SweepMark {
    run: RunId,
    now: Time,
}

/// Moves the generation on, so that any publish after this is noticed.
async fn claim(session: &Session, options: &Options) -> Result<SweepMark, Error> {
    let mut staging_dir = options.staging_dir();
    let claimed = async {
        let store_state = open::enter(session, &mut staging_dir).await?;
        let generation = next_generation(&store_state, staging_dir.run());
        let stage = vec![staging_dir.symlink("gen", generation.to_string())];
        let mut held = Flight::default();
        let (former, moved) = staging_dir.replace_generation(&mut held);
        let answers = staging::stage_and_lock(session, &mut staging_dir, stage, held.ops(), None).await?;
        let (found, entered) = (answers.to(former), store_state.generation.as_ref());
        staging::keep_clock(session, &mut staging_dir, found, entered, &generation).await?;
        all_done(session, answers.to(moved).reply()).await?;
        Ok(SweepMark {
            run: staging_dir.run().clone(),
            now: store_state.now,
        })
    }
    .await;
    leave(session, &mut staging_dir).await;
    claimed
}

/// Everything to delete, by path below the docroot.
#[derive(Debug, Default)]
struct Dead {
    channels: Vec<ChannelName>,
    releases: Vec<ReleaseId>,
    /// Documents and other records of releases that no visitor can have open any more.
    records: Vec<String>,
    /// Parents before children.
    trees: Vec<Digest>,
    manifests: Vec<String>,
    objects: Vec<String>,
    bytes: u64,
    pool: Vec<String>,
    pool_folders: Vec<String>,
    /// Folders that spell answers which no redirect has, children before parents.
    answers: Vec<String>,
}

impl Dead {
    fn pruned(&self) -> Pruned {
        Pruned {
            channels: self.channels.len() as u64,
            releases: self.releases.len() as u64,
            trees: self.trees.len() as u64,
            objects: self.objects.len() as u64,
            bytes: self.bytes,
        }
    }
}

/// Decides what is dead, without the lock.
async fn mark(session: &Session, options: &Options, now: Time) -> Result<Dead, Error> {
    let store_state = open::read_state(session).await?;
    let there = open::releases(session).await?;
    let records = Records::read(session, usize::MAX).await?;
    let (expired, channels): (Vec<_>, Vec<_>) = channels::links(session)
        .await?
        .into_iter()
        .partition(|channel| channels::is_expired(channel.since, now, options.expire));
    let promised = records.promised(store_state.current.as_ref(), now, options.skew, &there);
    let newest = there.iter().filter(|id| !records.is_of_channel(id)).take(options.keep);
    let newest: HashSet<&ReleaseId> = newest.chain(channels.iter().map(|channel| &channel.release)).collect();
    let kept: Vec<ReleaseId> = there
        .iter()
        .filter(|id| newest.contains(id) || promised.contains(id))
        .cloned()
        .collect();
    let within_skew = records.within(now, options.skew, &there);
    let mut facts = HostFacts::default();
    let kept_roots = roots_of(session, &kept).await?;
    open::load_trees(session, &mut facts, &kept_roots).await?;
    let living = reach(&facts, &kept_roots);
    if let Some(unread) = living.unread.first() {
        let detail = "a kept release needs it, and it is missing or does not read; nothing was deleted";
        return Err(StoreError::damaged(session.host_name(), layout::manifest(*unread), detail).into());
    }
    // What visitors of replaced releases may still request, even if the release itself is gone.
    let remembered: Vec<&ReleaseDocument> = records
        .documents
        .values()
        .filter(|document| within_skew.contains(&document.id))
        .collect();
    let remembered_roots: Vec<Digest> = remembered.iter().map(|document| document.root).collect();
    open::load_trees(session, &mut facts, &remembered_roots).await?;
    let remembered = reach(&facts, &remembered_roots);

    let mut dead = Dead {
        channels: expired.into_iter().map(|channel| channel.name).collect(),
        releases: there.iter().filter(|id| !kept.contains(id)).cloned().collect(),
        records: records.beyond(&kept, &within_skew),
        ..Dead::default()
    };
    let trees = names_of(session, layout::TREES).await?;
    let dead_trees: HashSet<Digest> = trees
        .into_iter()
        .filter(|digest| !living.trees.contains(digest))
        .collect();
    let to_order: Vec<Digest> = dead_trees.iter().copied().collect();
    open::load_trees(session, &mut facts, &to_order).await?;
    dead.trees = parents_first(&dead_trees, &facts);
    let manifests = names_of(session, layout::MANIFESTS).await?;
    dead.manifests = manifests
        .into_iter()
        .filter(|digest| !living.trees.contains(digest) && !remembered.trees.contains(digest))
        .map(layout::manifest)
        .collect();
    // Symlinks are not followed, and what is not an object is left, because this tool did not put it here.
    let folders = list_folders(session, vec![layout::OBJECTS.to_owned()]).await?;
    let folders = folders
        .into_iter()
        .filter(|(_, attr)| attr.kind == Kind::Folder)
        .map(|(path, _)| path)
        .collect();
    for (path, attr) in list_folders(session, folders).await? {
        if attr.kind == Kind::File && layout::is_object(&path) && !living.objects.contains(&path) {
            dead.bytes = dead.bytes.saturating_add(attr.size);
            dead.objects.push(path);
        }
    }
    let (_, answers) = files_below(session, layout::MOVED).await?;
    dead.answers = unneeded_folders(&answers, living.answers.iter());
    if !remembered.unread.is_empty() {
        // It is unknown what their visitors may request, so the pool and the manifests stay as they are until their
        // window ends.
        dead.manifests.clear();
        return Ok(dead);
    }
    let (files, folders) = files_below(session, layout::POOL).await?;
    let wanted: HashSet<&String> = living.pool.iter().chain(&remembered.pool).collect();
    dead.pool = files.into_iter().filter(|path| !wanted.contains(path)).collect();
    let gone: HashSet<&String> = dead.pool.iter().collect();
    dead.pool_folders = unneeded_folders(&folders, wanted.into_iter().filter(|path| !gone.contains(path)));
    Ok(dead)
}

async fn roots_of(session: &Session, ids: &[ReleaseId]) -> Result<Vec<Digest>, Error> {
    let detail = "it does not point to a tree; nothing was deleted";
    let damaged = |id| StoreError::damaged(session.host_name(), layout::release(id), detail);
    let roots = ids.iter().zip(open::roots(session, ids).await?);
    let found: Result<_, StoreError> = roots.map(|(id, root)| root.ok_or_else(|| damaged(id))).collect();
    Ok(found?)
}

async fn names_of(session: &Session, folder: &str) -> Result<Vec<Digest>, Error> {
    let names = open::list(session, folder).await?.into_iter();
    Ok(names.filter_map(|(name, _)| name.parse().ok()).collect())
}

/// The folders that are neither one of the wanted paths nor contain one, children before parents.
fn unneeded_folders<'p>(folders: &[String], wanted: impl Iterator<Item = &'p String>) -> Vec<String> {
    let needed: HashSet<&str> = wanted
        .flat_map(|path| {
            path.match_indices('/')
                .map(|(at, _)| &path[..at])
                .chain([path.as_str()])
        })
        .collect();
    folders
        .iter()
        .rev()
        .filter(|folder| !needed.contains(folder.as_str()))
        .cloned()
        .collect()
}

/// Everything that some roots lead to.
#[derive(Default)]
struct Reached {
    trees: HashSet<Digest>,
    objects: HashSet<String>,
    /// Paths below the docroot, encodings included.
    pool: HashSet<String>,
    /// The folders that spell answers of redirects, below the docroot.
    answers: HashSet<String>,
    unread: Vec<Digest>,
}

fn reach(facts: &HostFacts, roots: &[Digest]) -> Reached {
    let mut reached = Reached::default();
    // The pool is organized by path, so a tree counts once for each of its paths.
    let mut seen: HashSet<(SitePath, Digest)> = HashSet::new();
    let mut todo: Vec<(SitePath, Digest)> = roots.iter().map(|root| (SitePath::root(), *root)).collect();
    let mut files = 0;
    while let Some((path, digest)) = todo.pop() {
        if !seen.insert((path.clone(), digest)) {
            continue;
        }
        // A few trees can be arranged to look like endless folders. No release has this many folders or files.
        if seen.len() > MOST_FOLDERS || files > 2 * MOST_FILES {
            reached.unread.push(digest);
            return reached;
        }
        reached.trees.insert(digest);
        let Some(tree) = facts.manifest(digest) else {
            reached.unread.push(digest);
            continue;
        };
        todo.extend(tree.folders().map(|(name, child)| (path.child(name), child)));
        files += tree.entries.len();
        reached
            .answers
            .extend(tree.redirects().map(|(_, redirect)| layout::moved(redirect)));
        for (name, file) in tree.files() {
            let public = path.child(name);
            let in_pool = pooled(public.as_str(), file.cache).then(|| layout::pool(public.as_str()));
            for content in Content::of_file(file) {
                reached.objects.insert(content.object());
                reached.pool.extend(in_pool.as_ref().map(|path| content.beside(path)));
            }
        }
    }
    reached
}

/// Orders dead trees so that each comes before the trees that it contains. What an unreadable one contains is unknown,
/// so unreadable trees come first.
fn parents_first(dead: &HashSet<Digest>, facts: &HostFacts) -> Vec<Digest> {
    let mut parents: BTreeMap<Digest, u64> = dead.iter().map(|digest| (*digest, 0)).collect();
    let children = |digest: &Digest| -> Vec<Digest> {
        let tree = facts.manifest(*digest);
        let held: BTreeSet<Digest> = tree
            .into_iter()
            .flat_map(|tree| tree.folders().map(|(_, child)| child))
            .collect();
        held.into_iter().filter(|child| dead.contains(child)).collect()
    };
    for digest in dead {
        for child in children(digest) {
            *parents.entry(child).or_default() += 1;
        }
    }
    let unread = |digest: &Digest| facts.manifests.get(digest).is_none_or(Option::is_none);
    let mut roots: Vec<Digest> = parents
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(digest, _)| *digest)
        .collect();
    roots.sort_by_key(|digest| std::cmp::Reverse((unread(digest), *digest)));
    let mut ready = VecDeque::from(roots);
    let mut ordered = Vec::with_capacity(dead.len());
    while let Some(digest) = ready.pop_front() {
        ordered.push(digest);
        for child in children(&digest) {
            if let Some(count) = parents.get_mut(&child) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(child);
                }
            }
        }
    }
    ordered
}

/// Takes away what is dead under the lock, unless something was published since it was marked. Returns whether it did.
async fn take_away(session: &Session, marker: &RunId, dead: &Dead, mut staging_dir: StagingDir) -> Result<bool, Error> {
    let result = take_away_under_lock(session, marker, dead, &mut staging_dir).await;
    let run = staging_dir.run().clone();
    let holding = staging_dir.is_holding();
    session.flight(staging_dir.leave()).await?;
    session.forget_run(&run);
    if holding {
        remove_below(session, &layout::workshop_stale(&run)).await?;
    }
    result
}

async fn take_away_under_lock(
    session: &Session,
    marker: &RunId,
    dead: &Dead,
    staging_dir: &mut StagingDir,
) -> Result<bool, Error> {
    open::enter(session, staging_dir).await?;
    let stage = vec![staging_dir.symlink("swept", "by prune".to_owned())];
    let mut held = Flight::default();
    let generation = held.read_link(layout::GENERATION);
    let answers = staging::stage_and_lock(session, staging_dir, stage, held.ops(), None).await?;
    let generation = answers.to(generation).text().unwrap_or_default();
    if !generation.ends_with(&format!("-{marker}")) {
        return Ok(false);
    }
    let mut trash = Trash { staging_dir, count: 0 };
    // A channel must never lead to a release that is gone.
    let channels: Vec<Op> = dead
        .channels
        .iter()
        .map(|name| trash.take(&layout::channel(name)))
        .collect();
    done_or_gone(session, &session.flight(channels).await?).await?;
    let releases: Vec<Op> = dead
        .releases
        .iter()
        .map(|id| trash.take(&layout::release(id)))
        .collect();
    // Releases go first, and all of them, because a release must never be listed without its trees.
    done_or_gone(session, &session.flight(releases).await?).await?;
    let trees = trash.take_trees(&dead.trees);
    send(session, &mut trash, trees).await?;
    let rest = dead
        .objects
        .iter()
        .chain(&dead.manifests)
        .chain(&dead.pool)
        .chain(&dead.records);
    let rest: Vec<Op> = rest.map(|path| trash.take(path)).collect();
    send(session, &mut trash, rest).await?;
    // The answers of redirects after the trees that lead to them.
    let answers: Vec<Op> = dead.answers.iter().map(|folder| trash.take(folder)).collect();
    send(session, &mut trash, answers).await?;
    let mut last: Vec<Op> = dead.pool_folders.iter().map(|folder| trash.take(folder)).collect();
    let swept = staging_dir.path_holding("swept");
    last.push(Op::rename(swept, layout::SWEPT));
    session.flight(last).await?;
    Ok(true)
}

/// The part of the staging directory that things are moved into. Every name in it is new.
struct Trash<'a> {
    staging_dir: &'a mut StagingDir,
    count: u64,
}

impl Trash<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        self.staging_dir.path_holding(&format!("trash/{}", self.count))
    }

    fn take(&mut self, path: &str) -> Op {
        Op::rename(path.to_owned(), self.name())
    }

    /// Each tree goes only if the one before it has gone, because its path leads through that tree's place in the
    /// trash.
    fn take_trees(&mut self, trees: &[Digest]) -> Vec<Op> {
        let mut before: Option<String> = None;
        let mut ops = Vec::with_capacity(trees.len());
        for digest in trees {
            let to = self.name();
            let path = layout::tree(*digest);
            let from = match &before {
                Some(gone) => format!("{gone}/../../../../{path}"),
                None => path,
            };
            ops.push(Op::Rename { from, to: to.clone() });
            before = Some(to);
        }
        ops
    }
}

/// Sends many renames in flights, each after a sign of life.
async fn send(session: &Session, trash: &mut Trash<'_>, ops: Vec<Op>) -> Result<(), Error> {
    let mut ops = ops.into_iter().peekable();
    while ops.peek().is_some() {
        let mut flight = vec![trash.staging_dir.beat()];
        flight.extend(ops.by_ref().take(AT_ONCE));
        let count = flight.len() as u64 - 1;
        let answers = session.flight(flight).await?;
        session.observer().progressed(Stage::Prune, count, 0);
        done_or_gone(session, &answers).await?;
    }
    Ok(())
}

/// Deletes what runs have left in `stale/`. Runs in `work/` without a recent sign of life are fenced first.
async fn clear_stale(session: &Session, now: Time) -> Result<(), Error> {
    for (path, _) in list_folders(session, vec![layout::WORK.to_owned()]).await? {
        let Some(run) = path.rsplit('/').next().and_then(|name| name.parse::<RunId>().ok()) else {
            continue;
        };
        let inside = format!("{path}/{run}");
        let found = list_folders(session, vec![path.clone(), inside]).await?;
        let youngest = found.iter().map(|(_, attr)| attr.mtime).max();
        if youngest.is_none_or(|youngest| now.saturating_sub(youngest) > DEAD_AFTER) {
            session.flight(staging::fence(&run)).await?;
        }
    }
    for (path, attr) in list_folders(session, vec![layout::STALE.to_owned()]).await? {
        if attr.kind == Kind::Folder {
            remove_below(session, &path).await?;
        } else {
            session.flight(vec![Op::RemoveFile(path)]).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tree::{Entry, Tree};

    #[test]
    fn parents_come_first_in_a_store_of_any_size() {
        // A top folder that contains all others, each of which contains two of the next level.
        let digest = |number: u32| Digest::of(&number.to_be_bytes());
        let last = 150_000;
        let mut facts = HostFacts::default();
        for number in 0..last {
            let below = [2 * number + 1, 2 * number + 2]
                .into_iter()
                .filter(|below| *below < last);
            let mut tree = Tree::default();
            tree.entries
                .extend(below.map(|below| (below.to_string().into(), Entry::Folder(digest(below)))));
            facts.manifests.insert(digest(number), Some(tree));
        }
        let dead: HashSet<Digest> = (0..last).map(digest).collect();
        let began = std::time::Instant::now();
        let ordered = parents_first(&dead, &facts);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let place: std::collections::HashMap<Digest, usize> =
            ordered.iter().enumerate().map(|(at, digest)| (*digest, at)).collect();
        assert_eq!(place.len(), dead.len());
        for number in 1..last {
            assert!(place[&digest((number - 1) / 2)] < place[&digest(number)], "{number}");
        }
    }
}

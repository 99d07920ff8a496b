//! Repairs a release: puts good content in place of what is damaged, so that the release is again what was published.
//!
//! Works from the faults that [`verify`] found. Good content comes from the export, or from other copies on the host:
//! another release, the pool, an encoding. Everything is made in the staging directory first, and under the lock there
//! are only renames: a damaged file is replaced in one step, a missing one appears complete, and visitors never see
//! less than before. It must never replace or remove what no fault names, never delete anything that was published, and
//! never move `current`.

mod repairs;
mod salvage;

use std::sync::Arc;
use std::time::Duration;

use self::repairs::{Put, Repairs};
use self::salvage::Salvage;
use crate::host::{HostError, Op};
use crate::model::digest::Digest;
use crate::model::event::Observer;
use crate::model::layout;
use crate::model::manifest::{Coverage, MOST_FOLDERS, Site};
use crate::model::path::SitePath;
use crate::model::release::{Generation, ReleaseDocument, ReleaseId, timestamp};
use crate::site::source::Source;
use crate::store::Error;
use crate::store::StoreError;
use crate::store::flight::{Flight, Landed, Read};
use crate::store::open::{self, OpenOptions, StoreState};
use crate::store::plan::HostFacts;
use crate::store::recovery::find_after_loss;
use crate::store::refusal::explain;
use crate::store::session::Session;
use crate::store::signing::Signing;
use crate::store::staging::{self, StagingDir, Waiting, leave};
use crate::store::sync::{self, Sent, SyncError, Times, Work};
use crate::store::verify::{StoreFault, Verified, verify};

/// How many renames go in one flight, after a sign of life.
const AT_ONCE: usize = 1000;

/// How many rounds of repairs there are at most. A damaged manifest hides what is below it, so there may be more to
/// repair once it is intact again.
const ROUNDS: u32 = 4;

/// How to repair.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long to wait for the lock; `None` means not at all.
    pub wait: Option<Duration>,
    /// Name and version of this tool, for a document that must be written again.
    pub tool: String,
    /// How such a document is signed.
    pub signing: Signing,
}

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Files and encodings that visitors are served: of folders and of the pool.
    pub files: u64,
    /// Objects.
    pub objects: u64,
    /// Folder levels and manifests.
    pub trees: u64,
    /// Symlinks, documents, and names that were never published.
    pub others: u64,
    /// What was sent for the repairs.
    pub sent: Sent,
    /// The release as it is now. The faults that it still has could not be repaired from this site, or not by renames.
    pub left: Verified,
}

impl Mended {
    fn nothing(left: &Verified) -> Self {
        Self {
            files: 0,
            objects: 0,
            trees: 0,
            others: 0,
            sent: Sent::default(),
            left: left.clone(),
        }
    }

    /// How many things were repaired.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.files + self.objects + self.trees + self.others
    }
}

/// Repairs what [`verify`] found, from a local site, and verifies again.
///
/// # Errors
/// [`Error`]; [`Error::ConcurrentPublish`] if another release went live in the meantime. What was repaired until then
/// stays repaired.
pub async fn mend(
    session: &Session,
    site: &Site,
    source: &Arc<dyn Source>,
    verified: &Verified,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Mended, Error> {
    let mut mended = Mended::nothing(verified);
    let work = Work {
        session,
        source,
        observer,
    };
    for _ in 0..ROUNDS {
        let repairs = Repairs::new(site, &mended.left, &|_| true);
        if !round(&work, site, repairs, options, &mut mended).await? {
            break;
        }
    }
    Ok(mended)
}

/// Repairs what [`verify`] found, from other copies of the same content on the host, and verifies again. Those may be
/// in any release, in the pool, or encoded.
///
/// # Errors
/// The same as those of [`mend`].
pub async fn mend_from_host(
    session: &Session,
    verified: &Verified,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Mended, Error> {
    let mut mended = Mended::nothing(verified);
    let Some(root) = verified.root else {
        return Ok(mended);
    };
    for _ in 0..ROUNDS {
        let facts = salvage::trees(session, root).await?;
        let known = |digest| facts.manifests.get(&digest).and_then(Option::as_ref);
        let Some((site, extent)) = Site::of_trees(root, MOST_FOLDERS, &known) else {
            break;
        };
        let mut found = mended.left.clone();
        if extent == Coverage::Part {
            // What a document says about the complete site can't be known.
            found
                .faults
                .retain(|fault| !matches!(fault, StoreFault::Document { .. }));
        }
        let wanted = Repairs::new(&site, &found, &|_| true).wanted(&site);
        let salvage = Arc::new(Salvage::gather(session, &site, &facts, &wanted).await?);
        let repairs = Repairs::new(&site, &found, &|content| salvage.has(content));
        let source: Arc<dyn Source> = salvage;
        let work = Work {
            session,
            source: &source,
            observer,
        };
        if !round(&work, &site, repairs, options, &mut mended).await? {
            break;
        }
    }
    Ok(mended)
}

/// Runs one round of repairs, and verifies again. Returns whether another round may help.
async fn round(
    work: &Work<'_>,
    site: &Site,
    repairs: Repairs,
    options: &Options,
    mended: &mut Mended,
) -> Result<bool, Error> {
    if repairs.is_empty() {
        return Ok(false);
    }
    let (release, depth) = (mended.left.release.clone(), mended.left.depth);
    let faults = mended.left.faults.clone();
    let round = RepairRound { work, site, options };
    let sent = round.run(repairs, mended).await?;
    mended.sent.add(sent);
    mended.left = verify(work.session, &release, depth, work.observer).await?;
    Ok(mended.left.faults != faults)
}

/// What stays the same during one round of repairs.
struct RepairRound<'a> {
    work: &'a Work<'a>,
    site: &'a Site,
    options: &'a Options,
}

impl RepairRound<'_> {
    async fn run(&self, repairs: Repairs, mended: &mut Mended) -> Result<Sent, Error> {
        let session = self.work.session;
        let mut staging_dir = StagingDir::new(crate::store::run_id::run_id());
        match self.attempt(repairs, &mut staging_dir, mended).await {
            Ok(sent) => {
                session.forget_run(staging_dir.run());
                // What was moved aside may be a folder with any content.
                staging::remove_below(session, &layout::workshop_stale(staging_dir.run())).await?;
                Ok(sent)
            }
            Err(Error::Store(StoreError::Host(lost @ HostError::Lost { .. }))) => {
                // Each rename was a complete repair. The next verification shows which of them were done.
                find_after_loss(session, staging_dir.run(), None, None).await?;
                Err(lost.into())
            }
            Err(error) => {
                leave(session, &mut staging_dir).await;
                Err(error)
            }
        }
    }

    async fn attempt(
        &self,
        mut repairs: Repairs,
        staging_dir: &mut StagingDir,
        mended: &mut Mended,
    ) -> Result<Sent, Error> {
        let session = self.work.session;
        let entered =
            open::open_store(session, staging_dir, &OpenOptions::default(), &mut HostFacts::default()).await?;
        let store_state = entered.store_state;
        self.add_trees_below(&mut repairs).await?;
        let mut times = Times::new(store_state.now, store_state.generation.as_ref());
        let wanted = repairs.wanted(self.site);
        let mut staged_objects = sync::send_to_workshop(self.work, wanted, staging_dir, &mut times)
            .await
            .map_err(from_sync)?;
        let mut texts: Vec<String> = repairs.manifests.iter().map(|(_, tree)| tree.render()).collect();
        let document = match &repairs.document {
            Some(release) => Some(self.document(release, &mended.left, &store_state).await?),
            None => None,
        };
        if let Some(text) = document {
            let signature = self.options.signing.sign(&text).await?;
            repairs.signed = signature.is_some();
            texts.push(text);
            texts.extend(signature);
        }
        let temps = sync::write_documents(
            self.work,
            texts.into_iter(),
            &mut staged_objects,
            staging_dir,
            &mut times,
        )
        .await
        .map_err(from_sync)?;

        let generation = Generation {
            clock: times.latest(),
            made: store_state.generation.as_ref().map_or(0, |generation| generation.made),
            run: staging_dir.run().to_string(),
        };
        let mut ops = staged_objects.take_riding();
        ops.push(staging_dir.symlink("gen", generation.to_string()));
        ops.push(staging_dir.folder("m"));
        let (staging, puts) = repairs.stage(&staged_objects, &temps, staging_dir);
        ops.extend(staging);
        for part in ops.chunks(AT_ONCE) {
            let answers = session.flight(part.to_vec()).await?;
            if let Some(refusal) = answers.iter().find_map(Read::refusal) {
                return Err(explain(session, refusal).await.into());
            }
        }
        self.put(staging_dir, &store_state, &generation, puts, &repairs, mended)
            .await?;
        Ok(staged_objects.sent)
    }

    /// Does everything that happens under the lock.
    async fn put(
        &self,
        staging_dir: &mut StagingDir,
        store_state: &StoreState,
        generation: &Generation,
        puts: Vec<Put>,
        repairs: &Repairs,
        mended: &mut Mended,
    ) -> Result<(), Error> {
        let (session, observer) = (self.work.session, self.work.observer);
        let mut held = Flight::default();
        let (former, moved) = staging_dir.replace_generation(&mut held);
        let current = held.read_link(layout::CURRENT);
        let mut first = vec![staging_dir.acquire()];
        first.extend_from_slice(held.ops());
        let answers = session.flight(first).await?;
        let waiting = Waiting {
            patience: self.options.wait,
            observer,
        };
        let answers = staging::take_lock(session, staging_dir, answers, held.ops(), waiting).await?;
        let answers = Landed::new(answers);
        let entered = store_state.generation.as_ref();
        staging::keep_clock(session, staging_dir, answers.answer(former), entered, generation).await?;
        if let Some(refusal) = answers.refusal(moved) {
            return Err(explain(session, refusal).await.into());
        }
        let current = answers.text(current).and_then(|text| open::read_current(&text));
        if current != store_state.current {
            return Err(Error::ConcurrentPublish { by: current });
        }
        let mut folders = sync::pool_folders(repairs.pool_paths(), staging_dir);
        for part in puts.chunks(AT_ONCE) {
            let mut ops = std::mem::take(&mut folders);
            ops.push(staging_dir.beat());
            let before = ops.len();
            ops.extend(part.iter().flat_map(|put| put.ops(staging_dir)));
            let answers = session.flight(ops).await?;
            let mut answers = answers.into_iter().skip(before);
            for put in part {
                // The last is the rename to the final path. If it is refused, the next verification reports that path
                // again.
                let last = answers.by_ref().take(put.ops(staging_dir).len()).last();
                if last.is_some_and(|answer| answer.done()) {
                    put.count(mended);
                }
            }
        }
        let leaving = session.flight(staging_dir.leave()).await?;
        match leaving.first().and_then(Read::refusal) {
            // Another run took this one for dead. What this run renamed was in place by then, or is reported again.
            Some(refusal) => Err(explain(session, refusal).await.into()),
            None => Ok(()),
        }
    }

    /// Adds missing folder levels below those to build, whether or not a fault names them, because a folder level can
    /// be put in place only after everything below it.
    async fn add_trees_below(&self, repairs: &mut Repairs) -> Result<(), Error> {
        let below: Vec<Digest> = repairs.trees_below(self.site);
        for part in below.chunks(AT_ONCE) {
            let ops = part.iter().map(|digest| Op::Lstat(layout::tree(*digest))).collect();
            let answers = self.work.session.flight(ops).await?;
            let missing = part.iter().zip(answers).filter(|(_, answer)| !answer.done());
            repairs.build(missing.map(|(digest, _)| *digest));
        }
        repairs.order_trees(self.site);
        Ok(())
    }

    /// Writes the document of a release again. What the old one still says is kept, unless the document will be signed,
    /// because changes by others must not get a signature. What is lost is taken from the store: the time from the
    /// release's symlink, the previous release from the list of releases.
    async fn document(&self, release: &ReleaseId, found: &Verified, store_state: &StoreState) -> Result<String, Error> {
        let session = self.work.session;
        let known = open::documents(session, std::slice::from_ref(release)).await?;
        let known = known.into_iter().flatten().next();
        let known = known.filter(|known| known.id == *release && self.options.signing.signer.is_none());
        let document = if let Some(known) = known {
            ReleaseDocument {
                root: self.site.root,
                ..known
            }
        } else {
            let link = session.flight(vec![Op::Lstat(layout::release(release))]).await?;
            let made = link
                .first()
                .and_then(Read::attr)
                .map_or(store_state.now, |attr| attr.mtime);
            let former = open::releases(session).await?.into_iter().find(|id| id < release);
            ReleaseDocument {
                format: 1,
                id: release.clone(),
                root: found.root.unwrap_or(self.site.root),
                created: timestamp(made).to_string(),
                tool: self.options.tool.clone(),
                who: session.owner().who.clone(),
                commit: None,
                message: None,
                previous: former,
                files: self.site.files,
                bytes: self.site.bytes,
                channel: None,
                more: serde_json::Map::new(),
            }
        };
        Ok(serde_json::to_string_pretty(&document).unwrap_or_default() + "\n")
    }
}

fn from_sync(error: SyncError) -> Error {
    match error {
        SyncError::Store(error) => error.into(),
        SyncError::Source(error) => error.into(),
        SyncError::Replan(reason) => Error::KeptChanging { attempts: 1, reason },
    }
}

impl Put {
    fn count(&self, mended: &mut Mended) {
        let counter = match self.to.split_once('/') {
            Some((layout::OBJECTS, _)) => &mut mended.objects,
            Some((layout::MANIFESTS, _)) => &mut mended.trees,
            Some((layout::TREES, rest)) if !rest.contains('/') => &mut mended.trees,
            Some((layout::TREES | layout::POOL, _)) if self.file => &mut mended.files,
            _ => &mut mended.others,
        };
        *counter += 1;
    }
}

/// Paths of the site by digest, to read the content from.
fn path_of(site: &Site) -> std::collections::HashMap<Digest, SitePath> {
    site.all_files().map(|(path, file)| (file.digest, path)).collect()
}

//! Repairs a release: puts good content in place of what is damaged, so that the release is again what was published.
//!
//! Works from the faults that [`verify`] found. Good content comes from the export, or from other copies on the host:
//! another release, the pool, an encoding. Everything is made in the staging directory first, and under the lock there
//! are only renames: a damaged file is replaced in one step, a missing one appears complete, and visitors never see
//! less than before. It must never replace or remove what no fault names, never delete anything that was published, and
//! never move `current`.

mod repairs;
mod salvage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::repairs::{LackingTrees, Repairs, lacking_trees};
use self::salvage::Salvage;
use crate::host::Op;
use crate::model::channel::Slot;
use crate::model::layout;
use crate::model::manifest::{Coverage, MOST_FOLDERS, Site};
use crate::model::release::{Generation, ReleaseDocument, ReleaseId, timestamp};
use crate::model::tree::Tree;
use crate::site::source::Source;
use crate::store::attempt_error::AttemptError;
use crate::store::flight::{Flight, Read, Tickets};
use crate::store::open::{self, StoreState};
use crate::store::plan::{HostFacts, HostQuestion};
use crate::store::recovery::find_after_loss;
use crate::store::refusal::all_done;
use crate::store::rollback::next_generation;
use crate::store::session::Session;
use crate::store::signing::Signing;
use crate::store::staging::{self, StagingDir, leave};
use crate::store::sync::{self, Sender, Sent, Times, Work};
use crate::store::verify::{StoreFault, Verified, verify};
use crate::store::{Error, StoreError, channels};

/// How many renames go in one flight, after a sign of life.
const AT_ONCE: usize = 1000;

/// How many rounds of repairs there are at most. A damaged manifest hides what is below it, so there may be more to
/// repair once it is intact again.
const ROUNDS: u32 = 4;

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// How many things were repaired.
    pub count: u64,
    /// What was sent for the repairs.
    pub sent: Sent,
    /// The release as it is now. The faults that it still has could not be repaired from this site, or not by renames.
    pub left: Verified,
}

/// Repairs what [`verify`] found, and verifies again.
pub struct Repair<'a> {
    /// The session with the host.
    pub session: &'a Session,
    /// How long to wait for the lock; `None` means not at all.
    pub wait: Option<Duration>,
    /// Name and version of this tool, for a document that must be written again.
    pub tool: &'a str,
    /// How such a document is signed.
    pub signing: &'a Signing,
}

impl Repair<'_> {
    /// Repairs from a local site.
    ///
    /// # Errors
    /// [`Error`]; [`Error::ConcurrentPublish`] if another release went live in the meantime. What was repaired until
    /// then stays repaired.
    pub async fn from_export(
        &self,
        found: &Verified,
        site: &Site,
        source: &Arc<dyn Source>,
    ) -> Result<Repaired, Error> {
        let mut repaired = Repaired::nothing(found);
        for _ in 0..ROUNDS {
            let lacking = self.lacking_trees(site, &repaired.left).await?;
            let repairs = Repairs::new(site, &repaired.left, &lacking, &|_| true);
            if !self.round(site, source, repairs, &mut repaired).await? {
                break;
            }
        }
        Ok(repaired)
    }

    /// Repairs from other copies of the same content on the host. Those may be in any release, in the pool, or encoded.
    ///
    /// # Errors
    /// The same as those of [`Self::from_export`].
    pub async fn from_host(&self, found: &Verified) -> Result<Repaired, Error> {
        let mut repaired = Repaired::nothing(found);
        let Some(root) = found.root else {
            return Ok(repaired);
        };
        for _ in 0..ROUNDS {
            let facts = salvage::trees(self.session, root).await?;
            let known = |digest| facts.manifest(digest);
            let Some((site, extent)) = Site::of_trees(root, MOST_FOLDERS, &known) else {
                break;
            };
            let mut found = repaired.left.clone();
            if extent == Coverage::Part {
                // What a document says about the complete site can't be known.
                found
                    .faults
                    .retain(|fault| !matches!(fault, StoreFault::Document { .. }));
            }
            let lacking = self.lacking_trees(&site, &found).await?;
            let wanted = Repairs::new(&site, &found, &lacking, &|_| true).wanted(&site);
            let salvage = Arc::new(Salvage::gather(self.session, &site, &facts, &wanted).await?);
            let repairs = Repairs::new(&site, &found, &lacking, &|content| salvage.has(content));
            let source: Arc<dyn Source> = salvage;
            if !self.round(&site, &source, repairs, &mut repaired).await? {
                break;
            }
        }
        Ok(repaired)
    }

    /// Returns the folder levels that are missing: those that a fault names, and those below them that verifying did not
    /// reach. A folder level can be put in place only after everything below it.
    async fn lacking_trees(&self, site: &Site, found: &Verified) -> Result<LackingTrees, Error> {
        let mut lacking = lacking_trees(found);
        let mut below = BTreeSet::new();
        let mut todo: Vec<_> = lacking.keys().copied().collect();
        while let Some(digest) = todo.pop() {
            for (_, child) in site.tree(digest).into_iter().flat_map(Tree::folders) {
                if !lacking.contains_key(&child) && below.insert(HostQuestion::Tree(child)) {
                    todo.push(child);
                }
            }
        }
        let mut facts = HostFacts::default();
        open::ask(self.session, &mut facts, &below).await?;
        let missing = facts.trees.into_iter().filter(|(_, is_there)| !is_there);
        lacking.extend(missing.map(|(digest, _)| (digest, false)));
        Ok(lacking)
    }

    /// Runs one round of repairs, and verifies again. Returns whether another round may help.
    async fn round(
        &self,
        site: &Site,
        source: &Arc<dyn Source>,
        repairs: Repairs,
        repaired: &mut Repaired,
    ) -> Result<bool, Error> {
        if repairs.is_empty() {
            return Ok(false);
        }
        let mut staging_dir = StagingDir::new(crate::store::run_id::run_id());
        let work = Work {
            session: self.session,
            source,
            ahead: None,
        };
        match self.attempt(work, site, repairs, &mut staging_dir).await {
            Ok((count, sent)) => {
                repaired.count += count;
                repaired.sent.add(sent);
                self.session.forget_run(staging_dir.run());
                // What was moved aside may be a folder with any content.
                staging::remove_below(self.session, &layout::workshop_stale(staging_dir.run())).await?;
            }
            Err(Error::Store(StoreError::Host(lost))) if lost.is_loss() => {
                // Each rename was a complete repair. The next verification shows which of them were done.
                find_after_loss(self.session, staging_dir.run(), &Slot::Live, None, None).await?;
                return Err(lost.into());
            }
            Err(error) => {
                leave(self.session, &mut staging_dir).await;
                return Err(error);
            }
        }
        let (release, depth) = (&repaired.left.release, repaired.left.depth);
        let left = verify(self.session, release, depth).await?;
        let has_helped = left.faults != repaired.left.faults;
        repaired.left = left;
        Ok(has_helped)
    }

    /// Makes the repairs in the staging directory and puts them in place. Returns how many were done, and what was sent.
    async fn attempt(
        &self,
        work: Work<'_>,
        site: &Site,
        mut repairs: Repairs,
        staging_dir: &mut StagingDir,
    ) -> Result<(u64, Sent), Error> {
        let store_state = open::enter(self.session, staging_dir).await?;
        if let Some(release) = repairs.document.take() {
            let text = self.document(&release, site, &store_state).await?;
            let signature = self.signing.sign(&text).await?;
            repairs.add_text(layout::release_document(&release), text);
            if let Some(text) = signature {
                repairs.add_text(layout::release_signature(&release), text);
            }
        }
        // What others add to these folders until the lock is taken would be another release.
        for (folder, kept) in repairs.moved_aside() {
            let names = self.session.ask(Op::List(folder.to_owned())).await?;
            kept.extend(names.names().unwrap_or_default().iter().map(|(name, _)| name.clone()));
        }
        let times = Times::new(store_state.now, store_state.generation.as_ref());
        let mut sender = Sender::new(work, staging_dir, times);
        sender.send_to_workshop(repairs.wanted(site)).await.map_err(given_up)?;
        let temps = sender
            .write_documents(repairs.texts().into_iter())
            .await
            .map_err(given_up)?;
        let (mut staged_objects, latest) = sender.finish();
        let generation = Generation {
            clock: latest,
            ..next_generation(&store_state, staging_dir.run())
        };
        let mut ops = staged_objects.take_riding();
        ops.push(staging_dir.symlink("gen", generation.to_string()));
        let (staging, puts) = repairs.stage(site, &staged_objects, temps, staging_dir);
        ops.extend(staging);
        for part in ops.chunks(AT_ONCE) {
            all_done(self.session, &self.session.flight(part.to_vec()).await?).await?;
        }
        self.lock(staging_dir, &store_state, &generation).await?;
        let mut folders = sync::make_pool_folders(&repairs.pool_paths(), staging_dir);
        let mut done = 0;
        for part in puts.chunks(AT_ONCE) {
            let mut flight = Flight::default();
            flight.extend(std::mem::take(&mut folders));
            flight.add(staging_dir.beat());
            let put: Vec<_> = part.iter().map(|ops| flight.extend(ops.iter().cloned())).collect();
            let answers = self.session.send(flight).await?;
            // If the last rename is refused, the next verification reports that path again.
            let is_done = |put: &&Tickets| answers.all(put).last().done();
            done += put.iter().filter(is_done).count() as u64;
        }
        // If another run took this one for dead, what this run renamed was in place by then, or is reported again.
        let leaving = self.session.flight(staging_dir.leave()).await?;
        all_done(self.session, leaving.get(..1).unwrap_or_default()).await?;
        Ok((done, staged_objects.sent))
    }

    /// Takes the lock. The release that was live when this run entered must still be live.
    async fn lock(
        &self,
        staging_dir: &mut StagingDir,
        store_state: &StoreState,
        generation: &Generation,
    ) -> Result<(), Error> {
        let mut held = Flight::default();
        let (former, moved) = staging_dir.replace_generation(&mut held);
        let current = held.read_link(layout::CURRENT);
        let answers = staging::stage_and_lock(self.session, staging_dir, Vec::new(), held.ops(), self.wait).await?;
        let entered = store_state.generation.as_ref();
        staging::keep_clock(self.session, staging_dir, answers.to(former), entered, generation).await?;
        all_done(self.session, answers.to(moved).reply()).await?;
        let current = answers.to(current).text().and_then(|text| open::read_current(&text));
        if current != store_state.current {
            return Err(Error::ConcurrentPublish { by: current });
        }
        Ok(())
    }

    /// Writes the document of a release again. What the old one still says is kept, unless the document will be signed,
    /// because changes by others must not get a signature. What is lost is taken from the store: the time from the
    /// release's symlink, the previous release from the list of releases.
    async fn document(&self, release: &ReleaseId, site: &Site, store_state: &StoreState) -> Result<String, Error> {
        let known = open::document(self.session, release).await?;
        let known = known.filter(|known| known.id == *release && self.signing.key.is_none());
        let document = if let Some(known) = known {
            ReleaseDocument {
                root: site.root,
                ..known
            }
        } else {
            let link = self.session.ask(Op::Lstat(layout::release(release))).await?.attr();
            let made = link.map_or(store_state.now, |attr| attr.mtime);
            let channels = channels::links(self.session).await?;
            let of_channel = |id: &ReleaseId| channels.iter().find(|channel| channel.release == *id);
            let channel = of_channel(release).map(|channel| channel.name.to_string());
            let mut former = open::releases(self.session).await?.into_iter();
            let former = former.find(|id| id < release && of_channel(id).is_none());
            ReleaseDocument {
                format: 1,
                id: release.clone(),
                root: site.root,
                created: timestamp(made).to_string(),
                tool: self.tool.to_owned(),
                who: self.session.owner().who.clone(),
                commit: None,
                message: None,
                previous: former,
                files: site.files,
                bytes: site.bytes,
                channel,
                more: serde_json::Map::new(),
            }
        };
        Ok(serde_json::to_string_pretty(&document).unwrap_or_default() + "\n")
    }
}

impl Repaired {
    fn nothing(left: &Verified) -> Self {
        Self {
            count: 0,
            sent: Sent::default(),
            left: left.clone(),
        }
    }
}

/// A repair is attempted once.
fn given_up(error: AttemptError) -> Error {
    match error {
        AttemptError::Failed(error) => error,
        AttemptError::Lost(lost) => lost.into(),
        AttemptError::Replan(reason) | AttemptError::Contention(reason) => Error::KeptChanging { attempts: 1, reason },
    }
}

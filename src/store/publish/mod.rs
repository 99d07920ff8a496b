//! Publishes a site: the only module that determines the order of the stages that involve the host.
//!
//! The order of operations, and why it is safe whatever fails, is in docs/protocol.md. In short: the run prepares in
//! its staging directory, takes the lock, and asks again for what the plan relies on. Then it sends one flight of
//! renames, each of which resolves only through what the one before put in place. The last of them moves `current`. The
//! publish succeeded if the answer to that rename says it did or, if the answer was lost, if `current` shows it
//! afterwards. Visitors must never get a part of a release.

mod inspection;
mod make_live;
mod refusals;
mod under_lock;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::inspection::{Hints, Inspection};
pub use self::refusals::{Judged, Refusals, ToJudge, check_refusals};
use crate::host::HostError;
use crate::model::channel::Slot;
use crate::model::event::{Event, Note, Running, Stage};
use crate::model::layout;
use crate::model::manifest::{Changes, Site};
use crate::model::path::SitePath;
use crate::model::release::{Generation, ReleaseDocument, ReleaseId, timestamp};
use crate::model::tree::File;
use crate::site::check::Problem;
use crate::site::check::budget::Spending;
use crate::site::check::known::Findings;
use crate::site::source::Source;
use crate::store::Error;
use crate::store::attempt_error::AttemptError;
use crate::store::former_releases::FormerReleases;
use crate::store::open::{self, StoreSnapshot, StoreState};
use crate::store::pending_purges::Delivery;
use crate::store::plan::{self, Plan};
pub use crate::store::recovery::abandon;
use crate::store::recovery::find_after_loss;
use crate::store::releases;
use crate::store::remote_cache::RemoteCache;
use crate::store::repair::Repair;
use crate::store::session::Session;
use crate::store::signing::Signing;
use crate::store::staging::StagingDir;
pub(crate) use crate::store::staging::leave;
use crate::store::sync::{self, MadeAhead, Sender, Times, Work};
use crate::store::verify::{Depth, verify};

/// How often a publish is planned again because the store changed in the meantime.
const ATTEMPTS: u32 = 6;

/// How often a lost connection is made again.
const RECONNECTS: u32 = 2;

/// How to publish, and what to refuse.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What leads to the release afterwards. A channel leaves the live site as it is, byte for byte.
    pub slot: Slot,
    /// What the new release must replace; `None` for anything.
    pub replaces: Option<Replaced>,
    /// The findings to keep with the release, if they are not those of `refusals`.
    pub findings: Option<Findings>,
    /// The commit that the export was built from.
    pub commit: Option<String>,
    /// A message to record with the release.
    pub message: Option<String>,
    /// How long to wait for the lock, and to go on after other runs have published; `None` means not at all.
    pub wait: Option<Duration>,
    /// What the publish is refused for.
    pub refusals: Refusals,
    /// Make a release even if this site is already live, and trust nothing on the host that was not read back: at the
    /// end, the live release is read completely and repaired.
    pub force: bool,
    /// Name and version of this tool.
    pub tool: String,
    /// How releases are signed.
    pub signing: Signing,
    /// What this machine saw live on the target before. It saves round trips.
    pub seen: Option<Arc<RemoteCache>>,
    /// What was encoded before the host was heard from.
    pub ahead: Option<MadeAhead>,
    /// What was found on the host before the site was ready. It saves round trips, and is not trusted for anything
    /// else.
    pub store_snapshot: Option<StoreSnapshot>,
    /// Whether a CDN is purged afterwards. If it is, the swap notes what is to be purged, so that the next run does it
    /// if this run dies before its purge.
    pub purges: bool,
}

impl Options {
    /// The options of a publish that makes a site live and is refused for nothing but the plan. `tool` is the name and
    /// version of this tool.
    pub fn new(tool: impl Into<String>) -> Self {
        Self {
            tool: tool.into(),
            ..Self::default()
        }
    }
}

/// What is to be published, and how.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Where the content comes from.
    pub source: &'a Arc<dyn Source>,
    /// The manifest.
    pub site: &'a Site,
    /// How to publish it.
    pub options: &'a Options,
}

impl<'a> Job<'a> {
    /// Makes a job.
    pub const fn new(source: &'a Arc<dyn Source>, site: &'a Site, options: &'a Options) -> Self {
        Self { source, site, options }
    }
}

/// The files of the live release at the paths that a plan changes; `None` for a path that had none.
pub type FormerFiles = HashMap<SitePath, Option<File>>;

/// What a publish did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The release that is live now.
    pub release: ReleaseId,
    /// The release that was live before.
    pub previous: Option<ReleaseId>,
    /// Whether a new release was made.
    pub swapped: bool,
    /// The number of public paths of the site.
    pub files: u64,
    /// What changed for visitors.
    pub changes: Changes,
    /// What was sent.
    pub sent: sync::Sent,
    /// What is known about the delivery to visitors now, including what a CDN still has to purge.
    pub owed: Delivery,
    /// Whether [`Self::changes`] is exactly what differs between [`Self::previous`] and this release.
    pub changes_known: bool,
    /// What is wrong with the site. Findings that the live release has, too, are marked.
    pub problems: Vec<Problem>,
    /// What the limit of the growth is compared with, if there is one and it was judged.
    pub growth: Option<Spending>,
}

/// Everything that stays the same from attempt to attempt.
struct Publish<'a> {
    began: Instant,
    session: &'a Session,
    source: &'a Arc<dyn Source>,
    site: &'a Site,
    options: &'a Options,
}

/// What is remembered from attempt to attempt.
#[derive(Default)]
struct Attempts {
    /// Objects that the host refused to link.
    unlinkable: HashSet<String>,
    /// The release that the first plan was going to replace.
    replaces: Option<Replaced>,
}

/// The release that a plan replaces, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced(pub Option<ReleaseId>);

/// A release staged for the swap.
struct StagedRelease {
    release: ReleaseId,
    generation: Generation,
    /// The state of the store when this run entered.
    entered: StoreState,
    staged_objects: sync::StagedObjects,
    /// Temporary files of the manifests, in the order of the plan's trees.
    manifests: Vec<String>,
    /// The release document, its signature if there is one, and the findings: the name in the staging directory, and
    /// the final path.
    records: Vec<(String, String)>,
    /// What the swap notes as still to be purged: the symlink in the staging directory, and its text.
    owing: (&'static str, Delivery),
    /// The findings, in pieces that each fit in a symlink.
    findings: Vec<String>,
}

/// One attempt, and what must be known of it after a lost connection.
struct Attempt {
    staging_dir: StagingDir,
    /// The release that the attempt was making.
    release: Option<ReleaseId>,
    /// Whether its swap was sent.
    swap_sent: bool,
    /// Whether it is live and the host refused to give some object or manifest its name.
    unnamed: bool,
}

/// Publishes a site. If this site is already live, no release is made.
///
/// With [`Options::force`], a release is made anyway. At the end, the live release is read back completely, and what is
/// damaged is sent again and repaired. Skipping what is believed to be there would not help if the host is damaged.
/// Sending everything again would cost more than reading it, and prove less.
///
/// # Errors
/// [`Error`]. What was live before is still live, except after [`Error::Uncertain`], when it is unknown what is live,
/// and after an error while the new release is read back or repaired. With [`Error::NotWhole`], the new release is live
/// and some of its faults could not be repaired.
pub async fn publish(session: &Session, job: Job<'_>) -> Result<Published, Error> {
    publish_probing(session, job, async |_, _| {}).await
}

/// Like [`publish`], and calls `probe` with the plan and the files that it replaces before the live site is replaced.
///
/// The probe runs while the site is sent, and the lock is taken only after it. It is called again if the plan is made
/// again.
///
/// # Errors
/// The same as those of [`publish`].
pub async fn publish_probing(
    session: &Session,
    job: Job<'_>,
    probe: impl AsyncFnMut(&Plan, FormerFiles),
) -> Result<Published, Error> {
    let Job { source, site, options } = job;
    options.signing.check()?;
    let publish = Publish {
        began: Instant::now(),
        session,
        source,
        site,
        options,
    };
    let (published, unnamed) = publish.changes(probe).await?;
    if options.force || unnamed {
        return publish.verify_and_repair(published).await;
    }
    Ok(published)
}

/// Begins to encode what a publish is expected to send, judging by what this machine published last. It may all be
/// needless: nothing is known from the host yet.
pub fn make_ahead(source: &Arc<dyn Source>, site: &Site, seen: &RemoteCache) -> Option<MadeAhead> {
    MadeAhead::begin(source, plan::expected_content(site, seen)?)
}

impl Publish<'_> {
    /// Publishes what differs from the live release. Also returns whether the store lacks some object or manifest of
    /// it, see [`Attempt::unnamed`].
    async fn changes(&self, probe: impl AsyncFnMut(&Plan, FormerFiles)) -> Result<(Published, bool), Error> {
        let seen = self.options.seen.as_deref();
        let hints = Hints {
            seen: seen.filter(|_| !self.options.force),
            store_snapshot: self
                .options
                .store_snapshot
                .as_ref()
                .filter(|store_snapshot| store_snapshot.store_state.exists),
        };
        let (published, unnamed) = self.in_attempts(hints, probe).await?;
        if let Some(seen) = seen.filter(|_| self.options.slot.is_live()) {
            let file = seen.file().to_owned();
            if let Err(error) = seen.learn(&published.release, self.site) {
                let reason = error.to_string();
                self.session.observer().note(Note::CacheNotWritten { file, reason });
            }
        }
        Ok((published, unnamed))
    }

    /// Tries until the site is live, or until it is known that it can't be. Also returns [`Attempt::unnamed`].
    async fn in_attempts(
        &self,
        hints: Hints<'_>,
        mut probe: impl AsyncFnMut(&Plan, FormerFiles),
    ) -> Result<(Published, bool), Error> {
        let mut attempts = Attempts {
            replaces: self.options.replaces.clone(),
            ..Attempts::default()
        };
        let (mut reconnects, mut planned, mut contended) = (0, 0, 0);
        let mut guess = Some(hints);
        loop {
            // Cached hints are used only in the first attempt.
            let hints = guess.take().unwrap_or_default();
            let mut attempt = Attempt {
                staging_dir: StagingDir::new(crate::store::run_id::run_id()).yielding(!self.options.slot.is_live()),
                release: None,
                swap_sent: false,
                unnamed: false,
            };
            let ended = self.attempt(&mut attempt, &mut attempts, hints, &mut probe).await;
            if !matches!(ended, Ok(_) | Err(AttemptError::Lost(_))) {
                leave(self.session, &mut attempt.staging_dir).await;
            }
            match ended {
                Ok(published) => return Ok((published, attempt.unnamed)),
                Err(AttemptError::Failed(error)) => return Err(error),
                Err(AttemptError::Replan(reason)) => {
                    planned += 1;
                    if planned >= ATTEMPTS {
                        let attempts = ATTEMPTS;
                        return Err(Error::KeptChanging { attempts, reason });
                    }
                    self.session.observer().note(Note::Replanned(reason));
                }
                Err(AttemptError::Contention(reason)) => {
                    contended += 1;
                    let is_over = match self.patience() {
                        Some(left) => left.is_zero(),
                        None => contended >= ATTEMPTS,
                    };
                    if is_over {
                        let attempts = contended;
                        return Err(Error::Contention { attempts, reason });
                    }
                    self.session.observer().note(Note::Replanned(reason));
                }
                Err(AttemptError::Lost(error)) => {
                    let went_live = self.after_loss(&attempt, &error).await?;
                    if let Some(release) = went_live {
                        return Ok((self.live_after_all(release).await?, false));
                    }
                    reconnects += 1;
                    if reconnects > RECONNECTS {
                        return Err(error.into());
                    }
                    self.session.observer().note(Note::Reconnected);
                }
            }
        }
    }

    /// Reads a release back and repairs it.
    async fn verify_and_repair(&self, mut published: Published) -> Result<Published, Error> {
        let verified = verify(self.session, &published.release, Depth::Deep).await?;
        if verified.faults.is_empty() {
            return Ok(published);
        }
        let repair = Repair {
            session: self.session,
            wait: self.options.wait,
            tool: &self.options.tool,
            signing: &self.options.signing,
        };
        let repaired = repair.from_export(&verified, self.site, self.source).await?;
        published.sent.add(repaired.sent);
        if repaired.left.faults.is_empty() {
            return Ok(published);
        }
        Err(Error::NotWhole {
            release: published.release,
            problems: repaired.left.problems(),
        })
    }

    /// How much longer to wait for other runs; `None` means not at all.
    fn patience(&self) -> Option<Duration> {
        self.options.wait.map(|wait| wait.saturating_sub(self.began.elapsed()))
    }

    async fn attempt(
        &self,
        attempt: &mut Attempt,
        attempts: &mut Attempts,
        hints: Hints<'_>,
        probe: &mut impl AsyncFnMut(&Plan, FormerFiles),
    ) -> Result<Published, AttemptError> {
        let staging_dir = &mut attempt.staging_dir;
        if let Some(published) = self.already_live(hints.store_snapshot).await? {
            return Ok(published);
        }
        let Inspection {
            store_state,
            plan,
            former,
            live,
        } = self.inspect(staging_dir, &attempts.unlinkable, hints).await?;
        if let (true, false, Some(live)) = (plan.live_already, self.options.force, &plan.previous)
            && self.options.slot.is_live()
            && self.options.signing.is_met(self.session, live).await?
        {
            let live = live.clone();
            leave(self.session, staging_dir).await;
            return Ok(self.unchanged(live, plan.changes, plan.changes_known, store_state.delivery));
        }
        self.refuse_to_overtake(&plan, attempts)?;
        let to_judge = ToJudge {
            site: self.site,
            source: self.source,
            plan: &plan,
            former: &former,
            live: &live,
            // `plan` reads them: that costs round trips, and they never stop a publish.
            earlier: &FormerReleases::default(),
        };
        let judged = check_refusals(self.session, to_judge, &self.options.refusals).await?;
        if let Some(refused) = judged.refused {
            return Err(AttemptError::Failed(refused));
        }
        let (problems, growth) = (judged.problems, judged.growth);
        let sending = self.send(&store_state, &plan, &problems, staging_dir);
        let (staged_release, ()) = futures_util::future::join(sending, probe(&plan, former)).await;
        let mut staged_release = staged_release?;
        attempt.release = Some(staged_release.release.clone());
        let _running = Running::begin(self.session.observer(), Stage::Swap);
        self.build_and_lock(&plan, &mut staged_release, staging_dir, &mut attempts.unlinkable)
            .await?;
        self.add_to_pool(&plan, staging_dir).await?;
        attempt.swap_sent = true;
        attempt.unnamed = self.make_live(&plan, &staged_release, staging_dir).await?;
        Ok(Published {
            release: staged_release.release,
            previous: plan.previous,
            swapped: true,
            files: self.site.files,
            changes: plan.changes,
            sent: staged_release.staged_objects.sent,
            owed: staged_release.owing.1,
            changes_known: plan.changes_known,
            problems,
            growth,
        })
    }

    /// Sends what the host lacks, and prepares everything that goes in the flight that builds the release.
    async fn send(
        &self,
        store_state: &StoreState,
        plan: &Plan,
        problems: &[Problem],
        staging_dir: &mut StagingDir,
    ) -> Result<StagedRelease, AttemptError> {
        let work = Work {
            session: self.session,
            source: self.source,
            ahead: self.options.ahead.as_ref(),
        };
        let run = staging_dir.run().clone();
        let times = Times::new(store_state.now, store_state.generation.as_ref());
        let mut sender = Sender::new(work, staging_dir, times);
        let after = store_state
            .generation
            .as_ref()
            .map_or(0, |generation| generation.made + 1);
        let made_at = store_state.now.max(after);
        let release = ReleaseId::new(made_at, run.tail());
        let text = self.document(&release, plan, store_state.now);
        let signing = async { Ok::<_, AttemptError>(self.options.signing.sign(&text).await?) };
        let (signature, ()) = futures_util::future::try_join(signing, sender.send_objects(plan)).await?;
        let manifests = sender.write_manifests(plan).await?;
        let documents = std::iter::once((text, layout::release_document(&release)));
        let documents = documents.chain(signature.map(|text| (text, layout::release_signature(&release))));
        let (texts, places): (Vec<String>, Vec<String>) = documents.unzip();
        let temps = sender.write_documents(texts.into_iter()).await?;
        let (staged_objects, clock) = sender.finish();
        let generation = Generation {
            clock,
            made: made_at,
            run: run.to_string(),
        };
        let findings = self.options.findings.clone();
        let findings = findings.unwrap_or_else(|| Findings::of(problems, &release));
        let findings = findings.pieces(layout::FINDINGS_PIECE);
        Ok(StagedRelease {
            release,
            findings,
            generation,
            entered: store_state.clone(),
            staged_objects,
            manifests,
            records: temps.into_iter().zip(places).collect(),
            owing: ("delivery", store_state.delivery.clone()),
        })
    }

    /// The result if the site is live already.
    fn unchanged(&self, release: ReleaseId, changes: Changes, changes_known: bool, owed: Delivery) -> Published {
        Published {
            release,
            previous: None,
            swapped: false,
            files: self.site.files,
            changes,
            sent: sync::Sent::default(),
            owed,
            changes_known,
            problems: self.options.refusals.of_live(),
            growth: None,
        }
    }

    fn document(&self, release: &ReleaseId, plan: &Plan, now: i64) -> String {
        let document = ReleaseDocument {
            format: 1,
            id: release.clone(),
            root: plan.root,
            created: timestamp(now).to_string(),
            tool: self.options.tool.clone(),
            who: self.session.owner().who.clone(),
            commit: self.options.commit.clone(),
            message: self.options.message.clone(),
            previous: plan.previous.clone(),
            files: self.site.files,
            bytes: self.site.bytes,
            channel: self.options.slot.channel().map(ToString::to_string),
            more: serde_json::Map::new(),
        };
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }

    /// Fences the old run after a lost connection, then finds out what became of it. This order is needed because,
    /// until then, what was sent over the old connection could take effect at any moment.
    async fn after_loss(&self, attempt: &Attempt, lost: &HostError) -> Result<Option<ReleaseId>, Error> {
        let run = attempt.staging_dir.run();
        let slot = &self.options.slot;
        let found = find_after_loss(self.session, run, slot, attempt.release.as_ref(), None).await;
        match found {
            Ok(went_live) => Ok(went_live),
            Err(_) if attempt.swap_sent => {
                self.session.note_live_unknown();
                Err(Error::Uncertain { lost: lost.to_string() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The result of a publish whose swap was done when the connection was lost.
    async fn live_after_all(&self, release: ReleaseId) -> Result<Published, Error> {
        let document = open::document(self.session, &release).await?;
        let previous = document.and_then(|document| document.previous);
        let owed = open::read_state(self.session).await?.delivery;
        let changes = match &previous {
            Some(previous) => releases::diff(self.session, previous, &release).await,
            None => Ok(plan::all_as_changes(self.site)),
        };
        if self.options.slot.is_live() {
            self.session.observer().notice(Event::Swapped(release.clone()));
        }
        let changes_known = changes.is_ok();
        Ok(Published {
            previous,
            swapped: true,
            ..self.unchanged(release, changes.unwrap_or_default(), changes_known, owed)
        })
    }
}

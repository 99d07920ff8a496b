//! Delivers a site to its visitors: publishes it, checks the origin, purges the CDN, checks the public URL, and decides
//! what happens to the release.
//!
//! A release that fails at the origin although the previous one did not is rolled back, through the same code as any
//! other rollback. Findings from a connection that is not trusted, because its certificate is not valid, never lead to
//! a rollback: an attacker may have sent the responses. For all other problems the release stays and the problem is
//! reported, because the release is not at fault for a CDN edge that is not up to date, a certificate, or a fault that
//! existed before.
//!
//! This module must not decide what a response means; the rest of [`crate::live`] does that. A check, a purge or a note
//! that fails must never fail a publish.

mod error;
mod pending;
mod probes;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::Instant as Moment;

pub use self::error::DeliverError;
pub use self::pending::pay_after_rollback;
use self::pending::{LiveRelease, pay};
pub use self::probes::{Need, Probes, SideOutcome, SideResult, Skipped};
use crate::live::purge::{Purge, PurgeError, PurgeRequest, Purged};
use crate::live::question::{Questions, questions};
use crate::live::verdict::{Baseline, regressions, verdict};
use crate::live::visitor::Expectations;
use crate::live::{Files, Finding, Former, Verdict, expect};
use crate::model::event::{Event, Note, Observer, Running, Stage};
use crate::model::manifest::{ChangeKind, Changes, MOST_FOLDERS, Site};
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::severity::Severity;
use crate::model::tree::File;
use crate::rules::Rules;
use crate::store::Error;
use crate::store::open;
use crate::store::pending_purges::{Delivery, Paid};
use crate::store::plan::Plan;
use crate::store::publish::{self, FormerFiles, Published};
use crate::store::releases;
use crate::store::rollback::{self, Destination};
use crate::store::session::Session;
use crate::store::signing::Signing;
use crate::store::staging::Waiting;

/// Maximum time to wait for a lock that another run has, during a rollback or when the outcome is recorded.
const FOR_THE_LOCK: Duration = Duration::from_secs(20);
/// Pause before a request that failed is repeated. A fault at the origin counts only if it occurs twice.
const BETWEEN_LOOKS: Duration = Duration::from_millis(400);
/// Maximum time for the check of the previous release, so that a publish does not wait for a host that is already slow.
const FOR_THE_BASELINE: Duration = Duration::from_secs(10);
/// Maximum time that an edge may take to forget what was purged.
const FOR_THE_EDGE: Duration = Duration::from_secs(10);
/// Maximum time for a purge.
pub const FOR_PURGING: Duration = Duration::from_secs(30);

/// What is needed to check and purge a site.
pub struct PublicSite {
    /// The rules that determine the expected responses.
    pub rules: Rules,
    /// The site's URL without a path: `https://docs.example.com`. `None` if the site has no URL.
    pub base: Option<String>,
    /// The name of the site.
    pub site: String,
    /// Maximum time for the check of each side.
    pub timeout: Duration,
    /// The CDNs to purge.
    pub purges: Vec<Box<dyn Purge>>,
}

/// The result of the checks and the purges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The result for the origin.
    pub origin: SideOutcome,
    /// The result for the public URL.
    pub public: SideOutcome,
    /// The result of the purge for each CDN, by its name.
    pub purged: Vec<(String, Result<Purged, PurgeError>)>,
    /// Number of changed files that were not requested because there are too many.
    pub left_out: usize,
    /// The duration, without the publish.
    pub took: Duration,
}

impl DeliveryReport {
    /// Returns everything that is wrong, the origin first.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.origin.findings().iter().chain(self.public.findings())
    }

    /// Returns what the findings mean for the release.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let all: Vec<Finding> = self.findings().cloned().collect();
        verdict(&all)
    }

    /// Returns the part of the report to record on the host, without what is owed.
    fn note(&self, release: &ReleaseId) -> Delivery {
        let ok = |asked: &SideOutcome| match asked {
            SideOutcome::Not(_) => None,
            SideOutcome::Seen(seen) => Some(verdict(&seen.findings) == Verdict::Fine),
        };
        let errors = || self.findings().filter(|finding| finding.severity() == Severity::Error);
        Delivery {
            release: Some(release.clone()),
            at: 0,
            origin: ok(&self.origin),
            public: ok(&self.public),
            problems: errors().count() as u64,
            ..Delivery::default()
        }
        .with_first(
            errors()
                .next()
                .map(|finding| format!("{} {}: {}", finding.side, finding.path(), finding.message())),
        )
    }
}

/// A publish and the report on its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The publish.
    pub published: Published,
    /// The report.
    pub report: DeliveryReport,
    /// Number of times that the publish waited for the host, up to the swap.
    pub round_trips: u64,
}

/// What is known from before the swap.
#[derive(Default)]
struct PreSwapState {
    baseline: Option<Baseline>,
    former: FormerFiles,
}

/// Sends the live release the requests that the new one gets after the swap.
async fn probe_before(
    public_site: &PublicSite,
    site: &Site,
    plan: &Plan,
    former: FormerFiles,
    probes: &mut Probes,
    mark: &str,
) -> PreSwapState {
    let baseline = match (&plan.previous, probes.origin().await) {
        (Some(_), Ok(visitor)) => {
            let asked = ask_for(public_site, site, &plan.changes, mark);
            let before = Former { site, changed: &former };
            let expected = |question: &crate::live::Question| expect::expected(&public_site.rules, &before, question);
            let expectations = Expectations {
                expected: &expected,
                former: None,
            };
            let until = Moment::now() + public_site.timeout.min(FOR_THE_BASELINE);
            let round = Box::pin(visitor.ask(&asked.list, &expectations, until)).await;
            let added = asked.list.into_iter().filter(|question| match &question.subject {
                crate::live::Subject::File(path) => before.file(path.as_str()).is_none(),
                _ => false,
            });
            Some(Baseline {
                findings: round.findings,
                added: added.collect(),
            })
        }
        _ => None,
    };
    PreSwapState { baseline, former }
}

fn ask_for(public_site: &PublicSite, site: &Site, changes: &Changes, mark: &str) -> Questions {
    questions(&public_site.rules, site, site.all_files(), &changes.list, mark)
}

/// Publishes a site and checks that visitors get it.
///
/// # Errors
/// [`DeliverError`]; [`DeliverError::RolledBack`] if the release failed at the origin and the previous one is live
/// again. It is not an error if visitors don't get the release for another reason; see [`DeliveryReport::verdict`].
pub async fn deliver(
    session: &Session,
    job: publish::Job<'_>,
    public_site: &PublicSite,
    mut probes: Probes,
    observer: &dyn Observer,
) -> Result<Delivered, DeliverError> {
    let (site, options) = (job.site, job.options);
    let mark = crate::store::run_id::run_id().to_string();
    let mut before = PreSwapState::default();
    let probe = async |plan: &Plan, former: FormerFiles| {
        before = probe_before(public_site, site, plan, former, &mut probes, &mark).await;
    };
    let published = Box::pin(publish::publish_probing(session, job, probe, observer)).await?;
    let round_trips = session.counts().round_trips();
    let began = Instant::now();
    let owed = &published.owed;
    if probes.is_nothing() && (public_site.purges.is_empty() || !(published.swapped || owed.is_owing())) {
        let report = DeliveryReport {
            origin: SideOutcome::Not(Skipped::NotWanted),
            public: SideOutcome::Not(Skipped::NotWanted),
            purged: Vec::new(),
            left_out: 0,
            took: began.elapsed(),
        };
        return Ok(Delivered {
            published,
            report,
            round_trips,
        });
    }
    let _running = Running::begin(observer, Stage::Verify);
    let asked = ask_for(public_site, site, &published.changes, &mark);
    let former = Former {
        site,
        changed: &before.former,
    };
    let after = LiveProbe {
        public_site,
        files: site,
        former: Some(&former),
        asked: &asked,
    };
    let mut origin = after.origin(&mut probes, observer).await;
    if let (SideOutcome::Seen(seen), Some(baseline), Some(previous), true) =
        (&mut origin, &before.baseline, &published.previous, published.swapped)
        && seen.is_trusted
        && !regressions(&seen.findings, baseline).is_empty()
    {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        if let SideOutcome::Seen(again) = after.origin(&mut probes, observer).await {
            *seen = again;
        }
        let faults: Vec<Finding> = regressions(&seen.findings, baseline).into_iter().cloned().collect();
        if seen.is_trusted && !faults.is_empty() {
            let failed = FailedRelease {
                published: &published,
                previous,
                findings: faults,
            };
            let error = Box::pin(take_back(session, public_site, failed, &options.signing, observer)).await;
            return Err(error);
        }
    }
    let live = LiveRelease {
        release: &published.release,
        site: Some(site),
        replaced: published
            .previous
            .as_ref()
            .filter(|_| published.changes_known)
            .map(|previous| (previous, &published.changes)),
    };
    let (purged, paid) = Box::pin(pay(session, public_site, &live, &published.owed, observer)).await;
    let public = after.public(&mut probes, !purged.is_empty()).await;
    let report = DeliveryReport {
        origin,
        public,
        purged,
        left_out: asked.left_out,
        took: began.elapsed(),
    };
    let note = report.note(&published.release);
    let waiting = Waiting {
        patience: Some(FOR_THE_LOCK),
        observer,
    };
    keep(session, &report, note, &paid, waiting).await;
    let report = DeliveryReport {
        took: began.elapsed(),
        ..report
    };
    Ok(Delivered {
        published,
        report,
        round_trips,
    })
}

/// A release that fails at the origin.
struct FailedRelease<'a> {
    published: &'a Published,
    previous: &'a ReleaseId,
    findings: Vec<Finding>,
}

/// Rolls back to the previous release. If signatures are required, that release must have a good one, as for any
/// rollback. The fact that it was live a moment ago proves nothing: an attacker who can put an unsigned release there
/// can also make the next one fail.
async fn take_back(
    session: &Session,
    public_site: &PublicSite,
    failed: FailedRelease<'_>,
    signing: &Signing,
    observer: &dyn Observer,
) -> DeliverError {
    let FailedRelease {
        published,
        previous,
        findings,
    } = failed;
    let destination = Destination::Release(previous.to_string());
    let back = async {
        let options = rollback::Options {
            hold: None,
            signers: signing.required()?.cloned(),
            wait: Some(FOR_THE_LOCK),
            purges: !public_site.purges.is_empty(),
        };
        rollback::rollback(session, &destination, &options, observer).await
    };
    match back.await {
        Ok(back) => {
            // Between the two swaps, an edge may have fetched files of the failed release.
            pay_after_rollback(session, public_site, previous, observer).await;
            DeliverError::RolledBack {
                release: published.release.clone(),
                live: back.release,
                findings,
            }
        }
        Err(source) => DeliverError::CannotGoBack {
            release: published.release.clone(),
            previous: previous.clone(),
            findings,
            source: Box::new(source),
        },
    }
}

impl PublicSite {
    fn wanted(&self, urls: Vec<String>, release: &ReleaseId) -> PurgeRequest {
        let host = self.base.as_deref().unwrap_or_default();
        let host = host.split_once("://").map_or(host, |(_, host)| host);
        PurgeRequest {
            urls,
            prefix: format!("{host}{}", self.rules.base_path),
            site: self.site.clone(),
            release: release.to_string(),
        }
    }
}

/// A live probe: the requests and the expected responses.
struct LiveProbe<'a> {
    public_site: &'a PublicSite,
    files: &'a dyn Files,
    former: Option<&'a dyn Files>,
    asked: &'a Questions,
}

impl LiveProbe<'_> {
    async fn ask(
        &self,
        visitor: &mut crate::live::Visitor,
        only: Option<&[crate::live::Question]>,
        until: Moment,
    ) -> SideResult {
        let expected =
            |question: &crate::live::Question| expect::expected(&self.public_site.rules, self.files, question);
        let expectations = Expectations {
            expected: &expected,
            former: self.former,
        };
        let list = only.unwrap_or(&self.asked.list);
        let round = Box::pin(visitor.ask(list, &expectations, until)).await;
        SideResult::new(visitor, round)
    }

    async fn origin(&self, looking: &mut Probes, observer: &dyn Observer) -> SideOutcome {
        let until = Moment::now() + self.public_site.timeout;
        match looking.origin().await {
            Ok(visitor) => {
                let visit = visitor.visit().clone();
                let asking = self.ask(visitor, None, until);
                let (mut seen, moved) =
                    futures_util::future::join(asking, Box::pin(probes::redirect(&visit, until))).await;
                seen.findings.extend(moved);
                SideOutcome::Seen(seen)
            }
            Err(skipped) => {
                if let Some(reason) = skipped.unreachable() {
                    observer.notice(Event::Noted(Note::OriginNotAsked { reason }));
                }
                skipped.told()
            }
        }
    }

    /// Checks the public URL. If a purge was sent, the edge gets some time to apply it.
    async fn public(&self, looking: &mut Probes, was_purged: bool) -> SideOutcome {
        let until = Moment::now() + self.public_site.timeout;
        let visitor = match looking.public().await {
            Ok(visitor) => visitor,
            Err(skipped) => return skipped.told(),
        };
        let visit = visitor.visit().clone();
        let asking = self.ask(visitor, None, until);
        let (mut seen, moved) = futures_util::future::join(asking, Box::pin(probes::redirect(&visit, until))).await;
        let patience = until.min(Moment::now() + FOR_THE_EDGE);
        let mut pause = BETWEEN_LOOKS;
        loop {
            let stale: Vec<crate::live::Question> = seen
                .findings
                .iter()
                .filter(|finding| crate::live::verdict::may_pass(finding))
                .filter_map(|finding| finding.question.clone())
                .collect();
            let is_last = Moment::now() + pause >= patience;
            if stale.is_empty() || is_last {
                break;
            }
            tokio::time::sleep(pause).await;
            let again = self.ask(visitor, Some(&stale), until).await;
            seen.replace(&stale, again);
            if !was_purged {
                break;
            }
            pause *= 2;
        }
        seen.findings.extend(moved);
        SideOutcome::Seen(seen)
    }
}

/// Records on the host what was seen and which purges are no longer owed.
async fn keep(session: &Session, report: &DeliveryReport, note: Delivery, paid: &Paid, waiting: Waiting<'_>) {
    let none_seen = matches!(
        (&report.origin, &report.public),
        (SideOutcome::Not(_), SideOutcome::Not(_))
    );
    if none_seen && report.purged.is_empty() && paid.is_nothing() {
        return;
    }
    note_quietly(session, note, paid, waiting).await;
}

/// A note that can't be kept is only reported.
async fn note_quietly(session: &Session, note: Delivery, paid: &Paid, waiting: Waiting<'_>) {
    let Some(release) = &note.release else { return };
    let noting = Box::pin(rollback::note_delivery(session, release, &note, paid, waiting));
    if let Err(error) = noting.await {
        waiting.observer.notice(Event::Noted(Note::OutcomeNotKept {
            reason: error.to_string(),
        }));
    }
}

/// A release on the host, with what is needed to check it.
pub struct OnHost {
    /// The files of the release.
    pub files: HashMap<SitePath, File>,
    /// The files of the previous release, at the paths that differ.
    pub former: FormerFiles,
    /// The differences from the previous release.
    pub changes: Changes,
}

/// Reads a release's manifests from the host. `before` is the release to compare it with.
///
/// # Errors
/// [`Error`].
pub async fn on_host(session: &Session, release: &ReleaseId, before: Option<&ReleaseId>) -> Result<OnHost, Error> {
    let files = files_of(session, release).await?;
    let changes = match before {
        Some(before) if before != release => releases::diff(session, before, release).await.unwrap_or_default(),
        _ => Changes::default(),
    };
    let mut former = FormerFiles::new();
    if let Some(before) = before.filter(|_| !changes.list.is_empty()) {
        let known = files_of(session, before).await?;
        former.extend(
            changes
                .list
                .iter()
                .map(|change| (change.path.clone(), known.get(&change.path).cloned())),
        );
    }
    Ok(OnHost { files, former, changes })
}

async fn files_of(session: &Session, release: &ReleaseId) -> Result<HashMap<SitePath, File>, Error> {
    let roots = open::roots(session, std::slice::from_ref(release)).await?;
    let Some(root) = roots.into_iter().flatten().next() else {
        return Err(Error::NoSuchRelease {
            wanted: release.to_string(),
            there: Vec::new(),
        });
    };
    let mut facts = crate::store::plan::HostFacts::default();
    open::load_trees(session, &mut facts, &[root]).await?;
    let known = |digest| facts.manifests.get(&digest).and_then(Option::as_ref);
    let Some((site, _)) = Site::of_trees(root, MOST_FOLDERS, &known) else {
        return Err(crate::store::StoreError::endless(session.host_name(), root).into());
    };
    Ok(site.all_files().map(|(path, file)| (path, file.clone())).collect())
}

/// The part of a release to request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleasePart {
    /// Every page, up to the limit of the questions.
    Pages,
    /// The differences from the previous release.
    Changes,
}

/// Checks whether visitors get a release that is already live. Purges what is owed, for example after a rollback,
/// before the public URL is checked.
///
/// # Errors
/// [`Error`] if the host can't be queried about the release.
pub async fn probe_live(
    session: &Session,
    release: &ReleaseId,
    on_host: &OnHost,
    extent: ReleasePart,
    public_site: &PublicSite,
    mut looking: Probes,
    observer: &dyn Observer,
) -> DeliveryReport {
    let began = Instant::now();
    let _running = Running::begin(observer, Stage::Verify);
    let mut changes = on_host.changes.clone();
    if extent == ReleasePart::Pages {
        let pages = on_host
            .files
            .iter()
            .filter(|(path, _)| crate::model::manifest::is_page(path));
        changes.list = pages
            .map(|(path, file)| crate::model::manifest::Change {
                path: path.clone(),
                change: ChangeKind::Changed,
                bytes: file.size,
                brought: Vec::new(),
            })
            .collect();
        changes.list.sort_by(|a, b| a.path.cmp(&b.path));
    }
    let mut all: Vec<(&SitePath, &File)> = on_host.files.iter().collect();
    all.sort_unstable_by_key(|(path, _)| *path);
    let all = all.into_iter().map(|(path, file)| (path.clone(), file));
    let mark = crate::store::run_id::run_id().to_string();
    let asked = questions(&public_site.rules, &on_host.files, all, &changes.list, &mark);
    let former = Former {
        site: &on_host.files,
        changed: &on_host.former,
    };
    let sight = LiveProbe {
        public_site,
        files: &on_host.files,
        former: Some(&former),
        asked: &asked,
    };
    let origin = sight.origin(&mut looking, observer).await;
    let owed = match open::read_state(session).await {
        Ok(store_state) if store_state.current.as_ref() == Some(release) => store_state.delivery,
        // Another release is live. What is owed now is up to the run that made it live.
        Ok(_) | Err(_) => Delivery::default(),
    };
    let live = LiveRelease {
        release,
        site: None,
        replaced: None,
    };
    let (purged, paid) = Box::pin(pay(session, public_site, &live, &owed, observer)).await;
    let public = sight.public(&mut looking, !purged.is_empty()).await;
    let report = DeliveryReport {
        origin,
        public,
        purged,
        left_out: asked.left_out,
        took: began.elapsed(),
    };
    // A check that changes nothing does not wait for other runs.
    let patience = (extent == ReleasePart::Changes).then_some(FOR_THE_LOCK);
    keep(
        session,
        &report,
        report.note(release),
        &paid,
        Waiting { patience, observer },
    )
    .await;
    report
}

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

use std::time::{Duration, Instant};

use tokio::time::Instant as Moment;

pub use self::error::DeliverError;
use self::pending::LiveRelease;
pub use self::probes::{Need, Probes, SideOutcome};
use crate::live::http::Endpoint;
use crate::live::purge::{Purge, PurgeError, PurgeRequest, Purged};
use crate::live::question::{Questions, questions};
use crate::live::verdict::{Baseline, is_fine, may_pass, regressions};
pub use crate::live::visitor::SideResult;
use crate::live::visitor::{self, Expectations, Visitor};
use crate::live::{Files, Finding, Former, Question, Side, Subject};
use crate::model::event::{Note, Running, Stage};
use crate::model::manifest::{Change, ChangeKind, Changes, Site, is_page};
use crate::model::release::ReleaseId;
use crate::model::severity::Severity;
use crate::rules::Rules;
use crate::rules::marker::Fit;
use crate::store::pending_purges::{Delivery, Pending};
use crate::store::plan::Plan;
use crate::store::publish::{self, FormerFiles, Published};
use crate::store::rollback::{self, Destination};
use crate::store::session::Session;
use crate::store::signing::Signing;
use crate::store::{Error, open, releases, remote_source};

/// Maximum time to wait for a lock that another run has, during a rollback or when the outcome is recorded.
const FOR_THE_LOCK: Duration = Duration::from_secs(20);
/// Pause before a request that failed is repeated. A fault at the origin counts only if it occurs twice.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(400);
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
    /// Other names of the site, which lead to it.
    pub aliases: Vec<Endpoint>,
    /// The name of the site.
    pub site: String,
    /// Maximum time for the check of each side.
    pub timeout: Duration,
    /// The CDNs to purge.
    pub purges: Vec<Box<dyn Purge>>,
}

/// The result of the checks and the purges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryReport {
    /// The result for the origin.
    pub origin: SideOutcome,
    /// The result for the public URL.
    pub public: SideOutcome,
    /// How the vhost that answers fits the site. `None` if it was not asked, or did not answer.
    pub vhost: Option<Fit>,
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

    /// Whether visitors get the release.
    pub fn is_fine(&self) -> bool {
        is_fine(self.findings())
    }

    /// Returns the part of the report to record on the host, without pending purges.
    fn note(&self, release: &ReleaseId) -> Delivery {
        let ok = |side: &SideOutcome| side.seen().map(|seen| is_fine(&seen.findings));
        let errors = || self.findings().filter(|finding| finding.severity() == Severity::Error);
        Delivery {
            release: Some(release.clone()),
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

/// A site on its host, and as its visitors see it.
pub struct LiveSite<'a> {
    /// The session of the store.
    pub session: &'a Session,
    /// How to check and purge the site.
    pub public_site: &'a PublicSite,
}

impl LiveSite<'_> {
    /// Publishes a site and checks that visitors get it.
    ///
    /// # Errors
    /// [`DeliverError`]; [`DeliverError::RolledBack`] if the release failed at the origin and the previous one is live
    /// again. It is not an error if visitors don't get the release for another reason; see [`DeliveryReport::is_fine`].
    pub async fn deliver(&self, job: publish::Job<'_>, mut probes: Probes) -> Result<Delivered, DeliverError> {
        let (site, options) = (job.site, job.options);
        let mark = crate::store::run_id::run_id().to_string();
        let mut former = FormerFiles::new();
        let mut baseline = None;
        let probe = async |plan: &Plan, replaced: FormerFiles| {
            former = replaced;
            baseline = None;
            if plan.previous.is_some() && !probes.is_nothing() {
                let asked = self.public_site.questions(site, &plan.changes, &mark).list;
                let before = Former { site, changed: &former };
                baseline = self.baseline(asked, &before, &mut probes).await;
            }
        };
        let publishing = publish::publish_probing(self.session, job, probe);
        let published = Box::pin(publishing).await?;
        let round_trips = self.session.counts().round_trips();
        let began = Instant::now();
        let pending = &published.owed;
        let purges = !self.public_site.purges.is_empty() && (published.swapped || pending.is_owing());
        if probes.is_nothing() && !purges {
            return Ok(Delivered {
                published,
                report: DeliveryReport::default(),
                round_trips,
            });
        }
        let _running = Running::begin(self.session.observer(), Stage::Verify);
        let former = Former { site, changed: &former };
        let replaced = published.previous.as_ref().filter(|_| published.changes_known);
        let probe = LiveProbe {
            live: self,
            files: site,
            former: &former,
            asked: self.public_site.questions(site, &published.changes, &mark),
            release: LiveRelease {
                release: &published.release,
                site: Some(site),
                replaced: replaced.map(|previous| (previous, &published.changes)),
            },
            is_of_export: true,
            began,
        };
        let (mut origin, vhost) = Box::pin(probe.origin(&mut probes)).await;
        if let (SideOutcome::Seen(seen), Some(baseline), Some(previous), true) =
            (&mut origin, &baseline, &published.previous, published.swapped)
            && seen.is_trusted
            && !regressions(&seen.findings, baseline).is_empty()
        {
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            if let (SideOutcome::Seen(again), _) = Box::pin(probe.origin(&mut probes)).await {
                *seen = again;
            }
            let findings: Vec<Finding> = regressions(&seen.findings, baseline).into_iter().cloned().collect();
            if seen.is_trusted && !findings.is_empty() {
                let (release, signing) = (&published.release, &options.signing);
                let error = Box::pin(self.take_back(release, previous, findings, signing)).await;
                return Err(error);
            }
        }
        let report = probe
            .finish((origin, vhost), &mut probes, pending, Some(FOR_THE_LOCK))
            .await;
        Ok(Delivered {
            published,
            report,
            round_trips,
        })
    }

    /// Sends the live release the requests that the new one gets after the swap. `None` if the origin can't be asked.
    async fn baseline(&self, asked: Vec<Question>, before: &Former<'_>, probes: &mut Probes) -> Option<Baseline> {
        let visitor = probes.visitor(Side::Origin).await.ok()?;
        let expectations = Expectations {
            rules: &self.public_site.rules,
            files: before,
            former: None,
        };
        let until = Moment::now() + self.public_site.timeout.min(FOR_THE_BASELINE);
        let seen = Box::pin(visitor.ask(&asked, &expectations, until)).await;
        let added = asked.into_iter().filter(
            |question| matches!(&question.subject, Subject::File(path) if before.file(path.as_str()).is_none()),
        );
        Some(Baseline {
            findings: seen.findings,
            added: added.collect(),
        })
    }

    /// Rolls back from a release that fails at the origin to the previous one. If signatures are required, that release
    /// must have a good one, as for any rollback. The fact that it was live a moment ago proves nothing: an attacker who
    /// can put an unsigned release there can also make the next one fail.
    async fn take_back(
        &self,
        release: &ReleaseId,
        previous: &ReleaseId,
        findings: Vec<Finding>,
        signing: &Signing,
    ) -> DeliverError {
        let release = release.clone();
        let destination = Destination::Release(previous.to_string());
        let back = async {
            let options = rollback::Options {
                hold: None,
                signers: signing.required()?.cloned(),
                wait: Some(FOR_THE_LOCK),
                purges: !self.public_site.purges.is_empty(),
            };
            rollback::rollback(self.session, &destination, &options).await
        };
        match back.await {
            Ok(back) => {
                // Between the two swaps, an edge may have fetched files of the failed release.
                self.purge_after_rollback(previous).await;
                DeliverError::RolledBack {
                    release,
                    live: back.release,
                    findings,
                }
            }
            Err(source) => DeliverError::CannotGoBack {
                release,
                previous: previous.clone(),
                findings,
                source: Box::new(source),
            },
        }
    }

    /// Checks whether visitors get a release that is already live. Purges what is pending, for example after a
    /// rollback, before the public URL is checked.
    pub async fn probe(&self, on_host: &OnHost, part: ReleasePart, mut probes: Probes) -> DeliveryReport {
        let began = Instant::now();
        let _running = Running::begin(self.session.observer(), Stage::Verify);
        let changes = match part {
            ReleasePart::Changes => on_host.changes.clone(),
            ReleasePart::Pages => {
                let pages = on_host.site.all_files().filter(|(path, _)| is_page(path));
                let asked = pages.map(|(path, file)| Change {
                    path,
                    change: ChangeKind::Changed,
                    bytes: file.size,
                    brought: Vec::new(),
                });
                Changes {
                    list: asked.collect(),
                    redirects: Vec::new(),
                }
            }
        };
        let mark = crate::store::run_id::run_id().to_string();
        let probe = LiveProbe {
            live: self,
            files: &on_host.site,
            former: &Former {
                site: &on_host.site,
                changed: &on_host.former,
            },
            asked: self.public_site.questions(&on_host.site, &changes, &mark),
            release: LiveRelease::on_host(&on_host.release),
            is_of_export: false,
            began,
        };
        let origin = Box::pin(probe.origin(&mut probes)).await;
        let pending = match open::read_state(self.session).await {
            Ok(store_state) if store_state.current.as_ref() == Some(&on_host.release) => store_state.delivery,
            // Another release is live. What is pending now is up to the run that made it live.
            Ok(_) | Err(_) => Delivery::default(),
        };
        // A check that changes nothing does not wait for other runs.
        let patience = (part == ReleasePart::Changes).then_some(FOR_THE_LOCK);
        Box::pin(probe.finish(origin, &mut probes, &pending, patience)).await
    }

    /// Records on the host what was seen and which purges are no longer pending. A note that can't be kept is only
    /// reported.
    async fn note(&self, note: Delivery, paid: &Pending, patience: Option<Duration>) {
        let Some(release) = &note.release else { return };
        let noting = Box::pin(rollback::note_delivery(self.session, release, &note, paid, patience));
        if let Err(error) = noting.await {
            self.session.observer().note(Note::OutcomeNotKept(error.to_string()));
        }
    }
}

impl PublicSite {
    fn questions(&self, site: &Site, changes: &Changes, mark: &str) -> Questions {
        questions(&self.rules, site, site.all_files(), changes, mark)
    }

    fn wanted(&self, urls: Vec<String>, release: &ReleaseId) -> PurgeRequest {
        let base = self.base.as_deref().unwrap_or_default();
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        let aliases = self.aliases.iter().map(|other| {
            let targets = urls.iter().filter_map(|url| url.strip_prefix(base));
            (other.name.clone(), targets.map(|target| other.url(target)).collect())
        });
        PurgeRequest {
            aliases: aliases.collect(),
            urls,
            prefix: format!("{host}{}", self.rules.base_path),
            site: self.site.clone(),
            release: release.to_string(),
        }
    }
}

/// A check of a live release: the requests and the expected responses.
struct LiveProbe<'a> {
    live: &'a LiveSite<'a>,
    files: &'a dyn Files,
    former: &'a dyn Files,
    asked: Questions,
    release: LiveRelease<'a>,
    /// Whether the release is that of the export, whose rules the vhost can be compared with.
    is_of_export: bool,
    began: Instant,
}

/// What is asked of a side besides the questions about files.
#[derive(Debug, Clone, Copy)]
struct Besides {
    /// Whether its vhost fits the site.
    vhost: bool,
    /// Whether the other names of the site lead to it.
    aliases: bool,
}

impl LiveProbe<'_> {
    async fn ask(&self, visitor: &mut Visitor, questions: &[Question], until: Moment) -> SideResult {
        let expectations = Expectations {
            rules: &self.live.public_site.rules,
            files: self.files,
            former: Some(self.former),
        };
        Box::pin(visitor.ask(questions, &expectations, until)).await
    }

    /// Sends all questions, and at the same time one over plain HTTP, one about the vhost, and one to each other name
    /// of the site.
    async fn ask_all(&self, visitor: &mut Visitor, until: Moment, besides: Besides) -> (SideResult, Option<Fit>) {
        let (visit, site) = (visitor.visit().clone(), self.live.public_site);
        let aliases = async {
            let question = self.asked.list.first().filter(|_| besides.aliases);
            let (Some(question), Some(base)) = (question, &site.base) else {
                return Vec::new();
            };
            let asking = site
                .aliases
                .iter()
                .map(|other| visit.alias(&other.name, question, base, until));
            futures_util::future::join_all(asking).await
        };
        let vhost = async {
            let asking = visitor::vhost(&visit.place, &site.rules, true);
            if besides.vhost { asking.await.ok() } else { None }
        };
        let asking = self.ask(visitor, &self.asked.list, until);
        let (mut seen, redirect, aliases, vhost) = tokio::join!(
            asking,
            Box::pin(visit.redirect(until)),
            Box::pin(aliases),
            Box::pin(vhost)
        );
        seen.findings.extend(redirect);
        seen.findings.extend(aliases.into_iter().flatten());
        (seen, vhost)
    }

    /// Checks the origin. The other names of the site are asked there if there is no public URL to ask.
    async fn origin(&self, probes: &mut Probes) -> (SideOutcome, Option<Fit>) {
        let until = Moment::now() + self.live.public_site.timeout;
        let besides = Besides {
            vhost: self.is_of_export,
            aliases: !probes.has_public(),
        };
        match probes.visitor(Side::Origin).await {
            Ok(visitor) => {
                let (seen, vhost) = self.ask_all(visitor, until, besides).await;
                (SideOutcome::Seen(seen), vhost)
            }
            Err(outcome) => {
                if let SideOutcome::Unreachable(reason) = &*outcome {
                    let reason = reason.clone();
                    self.live.session.observer().note(Note::OriginNotAsked(reason));
                }
                (*outcome, None)
            }
        }
    }

    /// Checks the public URL. If a purge was sent, the edge gets some time to apply it.
    async fn public(&self, probes: &mut Probes, was_purged: bool, besides: Besides) -> (SideOutcome, Option<Fit>) {
        let until = Moment::now() + self.live.public_site.timeout;
        let visitor = match probes.visitor(Side::Public).await {
            Ok(visitor) => visitor,
            Err(outcome) => return (*outcome, None),
        };
        let (mut seen, vhost) = self.ask_all(visitor, until, besides).await;
        let patience = until.min(Moment::now() + FOR_THE_EDGE);
        let mut pause = BETWEEN_ATTEMPTS;
        loop {
            let stale = seen.findings.iter().filter(|finding| may_pass(finding));
            let stale: Vec<Question> = stale.filter_map(|finding| finding.question.clone()).collect();
            if stale.is_empty() || Moment::now() + pause >= patience {
                break;
            }
            tokio::time::sleep(pause).await;
            let again = self.ask(visitor, &stale, until).await;
            seen.replace(&stale, again);
            if !was_purged {
                break;
            }
            pause *= 2;
        }
        (SideOutcome::Seen(seen), vhost)
    }

    /// Purges what is pending, checks the public URL, and records the result on the host. `patience` is how long to
    /// wait for the lock.
    async fn finish(
        &self,
        (origin, vhost): (SideOutcome, Option<Fit>),
        probes: &mut Probes,
        pending: &Delivery,
        patience: Option<Duration>,
    ) -> DeliveryReport {
        let (purged, paid) = self.live.purge(&self.release, pending).await;
        // An origin that can't be reached from here is asked through the public URL.
        let besides = Besides {
            vhost: self.is_of_export && origin.seen().is_none(),
            aliases: true,
        };
        let (public, seen) = self.public(probes, !purged.is_empty(), besides).await;
        let mut report = DeliveryReport {
            origin,
            public,
            vhost: vhost.or(seen),
            purged,
            left_out: self.asked.left_out,
            took: Duration::ZERO,
        };
        let is_seen = report.origin.seen().is_some() || report.public.seen().is_some();
        if is_seen || !report.purged.is_empty() || !paid.is_nothing() {
            let note = report.note(self.release.release);
            self.live.note(note, &paid, patience).await;
        }
        report.took = self.began.elapsed();
        report
    }
}

/// A release on the host, with what is needed to check it.
pub struct OnHost {
    /// The release.
    pub release: ReleaseId,
    /// The site of the release.
    pub site: Site,
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
    let site = site_of(session, release).await?;
    let changes = match before {
        Some(before) if before != release => releases::diff(session, before, release).await.unwrap_or_default(),
        _ => Changes::default(),
    };
    let mut former = FormerFiles::new();
    if let Some(before) = before.filter(|_| !changes.list.is_empty()) {
        let known = site_of(session, before).await?;
        let paths = changes.list.iter().map(|change| &change.path);
        former.extend(paths.map(|path| (path.clone(), known.file(path).cloned())));
    }
    Ok(OnHost {
        release: release.clone(),
        site,
        former,
        changes,
    })
}

async fn site_of(session: &Session, release: &ReleaseId) -> Result<Site, Error> {
    let root = open::root(session, release).await?;
    let root = root.ok_or_else(|| Error::no_release(release))?;
    Ok(remote_source::readable_part(session, root).await?.0)
}

/// The part of a release to request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleasePart {
    /// Every page, up to the limit of the questions.
    Pages,
    /// The differences from the previous release.
    Changes,
}

//! The commands that change or check what visitors see: `publish`, `rollback` and `verify --live`. Each checks the live
//! site. The first two also purge the CDN and send notifications.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use syntax_publish::config::{TargetKind, WebUrl};
use syntax_publish::live::deliver::{
    self, DeliverError, Delivered, DeliveryReport, LiveSite, Probes, ReleasePart, SideOutcome,
};
use syntax_publish::live::http::Endpoint;
use syntax_publish::live::notify::{self, Notice};
use syntax_publish::live::{Finding, Side};
use syntax_publish::model::manifest::{Changes, Site};
use syntax_publish::model::path::{SitePath, printable};
use syntax_publish::model::release::ReleaseId;
use syntax_publish::model::severity::Severity;
use syntax_publish::next::client::Client;
use syntax_publish::rules::{PageForm, Rules};
use syntax_publish::site::check::budget::Spending;
use syntax_publish::site::pipeline::{self, Prepared};
use syntax_publish::site::source::Source;
use syntax_publish::store::prune::list_meanwhile;
use syntax_publish::store::publish::{self, Published};
use syntax_publish::store::remote_source::RemoteSource;
use syntax_publish::store::rollback::{self, Destination};
use syntax_publish::store::{Error, open, promote};

use tokio::task::JoinHandle;

use super::ask::{chosen, moved_check};
use super::change::{TOOL, shell_behind};
use super::{Judge, Run, seen_on};
use crate::cli::actions::SummaryInput;
use crate::cli::args::{Promote, Publish, Rollback, again};
use crate::cli::failure::Failure;
use crate::cli::format::count;
use crate::cli::screen::say;
use crate::cli::site::{self, Workplace};
use crate::cli::{changes, connect, hints, json, live as looks, pages, report, timings};

/// The exit code if visitors don't get what is live on the host.
const NOT_DELIVERED: u8 = 7;

/// What a publish does in addition.
struct Looking {
    /// What asks the live site.
    probes: Probes,
    /// Whether the key opens a shell, if that is being found out.
    shell: Option<JoinHandle<Option<bool>>>,
    /// Whether to report how long each stage took.
    timings: bool,
    /// What the limits of the budget are compared with.
    budget: Vec<Spending>,
    /// The titles of pages, where they are known.
    titles: BTreeMap<SitePath, String>,
}

impl Run {
    /// Prepares the site while the host is inspected. Returns it, and how to publish it.
    pub(super) async fn prepare_publish(&self, options: &Publish) -> Result<(Prepared, publish::Options), Failure> {
        let (workplace, session) = self.open("publish")?;
        let (prepared, store_snapshot, remembered) =
            self.prepare_and_connect(workplace, session, Judge::AtOnce).await?;
        connect::make_room(workplace)?;
        let moved = moved_check(workplace, &prepared.rules);
        let mut refusals = publish::Refusals::new(&workplace.config, prepared.problems.clone(), moved)?;
        if options.allow_removals {
            refusals.max_removed = None;
        }
        let how = publish::Options {
            refusals,
            commit: workplace.commit(options.commit.as_ref()),
            message: options.message.clone(),
            wait: options.wait,
            force: options.force,
            signing: workplace.signing()?,
            seen: remembered.seen,
            ahead: remembered.ahead,
            purges: !looks::purges(workplace).is_empty(),
            store_snapshot: Some(store_snapshot),
            ..publish::Options::new(TOOL)
        };
        Ok((prepared, how))
    }

    pub(super) async fn publish(&self, options: Publish) -> Result<u8, Failure> {
        let (workplace, _) = self.open("publish")?;
        self.progress.plainly(&changes::begun("publishing", workplace));
        let shell = shell_behind(workplace)?;
        let looking = looks::begin(workplace).await?;
        let (prepared, how) = self.prepare_publish(&options).await?;
        let job = publish::Job::new(&prepared.source, &prepared.site, &how);
        let looking = Looking {
            probes: looking,
            shell,
            timings: options.timings,
            budget: prepared.spent.clone(),
            titles: prepared.titles.clone(),
        };
        self.deliver_and_report(workplace, job, &prepared.rules, looking).await
    }

    /// Makes exactly what a channel shows the live site.
    pub(super) async fn promote(&self, options: Promote) -> Result<u8, Failure> {
        let name = &options.channel;
        let (workplace, session) = self.open("promote")?;
        self.progress
            .plainly(&changes::begun(&format!("promoting {name} of"), workplace));
        let looking = looks::begin(workplace).await?;
        let signing = workplace.signing()?;
        let signers = signing.required().map_err(Error::from)?.cloned();
        let store_snapshot = open::inspect(session, []).await.map_err(Error::from)?;
        let promotion = promote::read(session, name, signers.as_ref()).await?;
        if let Some(wanted) = &options.release {
            promotion.insist_on(name, wanted)?;
        }
        if !options.force {
            promotion.refuse_if_live_moved(session, name, &store_snapshot).await?;
        }
        let rules = self.rules_of(workplace, &promotion.site).await?;
        let mut refusals = publish::Refusals::new(&workplace.config, Vec::new(), moved_check(workplace, &rules))?;
        if options.allow_removals {
            refusals.max_removed = None;
        }
        let how = publish::Options {
            refusals,
            signing,
            seen: seen_on(workplace),
            purges: !looks::purges(workplace).is_empty(),
            ..publish::Options::new(TOOL)
        };
        let how = promotion.publishing(store_snapshot, how);
        let source: Arc<dyn Source> = Arc::new(RemoteSource::new(Arc::clone(session), promotion.site.clone()));
        let job = publish::Job::new(&source, &promotion.site, &how);
        let looking = Looking {
            probes: looking,
            shell: None,
            timings: false,
            budget: Vec::new(),
            titles: BTreeMap::new(),
        };
        self.deliver_and_report(workplace, job, &rules, looking).await
    }

    /// Publishes, checks what visitors get, reports, sends notifications and prunes.
    async fn deliver_and_report(
        &self,
        workplace: &Workplace,
        job: publish::Job<'_>,
        rules: &Rules,
        looking: Looking,
    ) -> Result<u8, Failure> {
        let (_, session) = self.open("publish")?;
        let public_site = looks::public_site(workplace, rules.clone());
        let live_site = LiveSite {
            session,
            public_site: &public_site,
        };
        let (delivered, listing) = list_meanwhile(session, live_site.deliver(job, looking.probes)).await;
        let Delivered {
            published,
            report,
            round_trips,
        } = delivered?;
        let took = self.began.elapsed();
        let timings = looking.timings.then(|| self.progress.timings.stages());
        self.finish();
        self.warn_of_shell(workplace, looking.shell).await;
        let is_file = |path: &str| SitePath::new(path).is_ok_and(|path| job.site.file(&path).is_some());
        let grouped = pages::grouped(&published.changes, rules, &is_file).with_titles(&looking.titles, rules);
        // Usually a first release exists before anything serves it, so that is not a failure.
        let is_unserved = published.previous.is_none() && published.swapped && !looks::is_served(&report);
        let failed = looks::failed(&report, &published.changes);
        let stays = Self::why_it_stays(&report, published.previous.is_some());
        let error = (!is_unserved).then(|| self.not_delivered(&report, &published.release, &failed, &stays));
        self.warn_of(&published.problems);
        let value = json::Publish {
            next: is_unserved.then(|| self.to_be_served()),
            timings,
            delivery: looks::seen(&report),
            vhost: report.vhost.as_ref().map(|fit| self.vhost_of(fit)),
            budget: looking.budget.into_iter().chain(published.growth.clone()).collect(),
            error: error.flatten(),
            ..json::Publish::of(&published, round_trips, took)
        };
        let text = || {
            let timings = value.timings.as_deref().map_or_else(String::new, timings::shown);
            let seen = match &value.next {
                Some(next) if failed.is_empty() => format!("next: {next}\n"),
                Some(next) => format!("nothing serves this site yet: {failed}\nnext: {next}\n"),
                None => looks::line(&report, &published.changes),
            };
            changes::published(&published, &grouped, took, workplace, &self.global) + &seen + &timings
        };
        let told = SummaryInput {
            value: &value,
            grouped: &grouped,
            target: &workplace.target_name,
            url: workplace.config.site.url.as_ref().map(WebUrl::as_str),
            commit: job.options.commit.as_deref(),
            next: &again(&self.global, "rollback"),
        };
        if let Some(actions) = &self.actions {
            actions.published(&told, workplace);
        }
        self.screen.summary(&value, text)?;
        let code = match &value.next {
            Some(_) => 0,
            None => self.say_what_was_found(&report, &published.release, value.error.as_ref()),
        };
        self.tell_of_vhost(&value, rules);
        self.tell_of_publish(&published, &told, &failed).await;
        self.tidy_up(workplace, &job.options.slot, &published, listing).await;
        Ok(code)
    }

    /// Reports what the installed vhost lacks. If it was not asked, nothing is known about it. Then the rules that it has to
    /// have are noted once: after the first publish.
    fn tell_of_vhost(&self, value: &json::Publish, rules: &Rules) {
        let is_first = value.swapped && value.previous.is_none();
        match &value.vhost {
            Some(vhost) if value.next.is_none() => looks::tell_of_vhost(vhost, self.screen.quiet),
            None if is_first || self.screen.verbose => self.note_rules_of_vhost(rules),
            _ => {}
        }
    }

    /// Sends a notification about a publish, or about a new fault of a release that was already live.
    async fn tell_of_publish(&self, published: &Published, told: &SummaryInput<'_>, failed: &str) {
        let (value, release, target) = (told.value, &published.release, told.target);
        let state = match (&value.error, &value.next) {
            (Some(_), _) => format!("; {failed}"),
            (None, Some(_)) => "; nothing serves this site yet".to_owned(),
            (None, None) => String::new(),
        };
        let (event, text) = if published.swapped {
            let what = told.grouped.totals().unwrap_or_else(|| "no changes".to_owned());
            ("published", format!("published {release} to {target}: {what}{state}"))
        } else if value.error.is_some() && !was_at_fault_before(published) {
            let text = format!("nothing to publish: {release} is already live on {target}{state}");
            ("failed", text)
        } else {
            // Nothing happened, or the notification about the fault was sent after the last check, which found it too.
            return;
        };
        let counts = [
            ("added", value.added),
            ("changed", value.changed),
            ("removed", value.removed),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count.into()));
        let mut more: Map<String, Value> = counts.into_iter().collect();
        if let Some(seen) = value.delivery.as_ref().and_then(|seen| serde_json::to_value(seen).ok()) {
            more.insert("delivery".to_owned(), seen);
        }
        let notice = Notice {
            release: Some(release.to_string()),
            previous: published.previous.as_ref().map(ToString::to_string),
            commit: told.commit.map(str::to_owned),
            error: value.error.as_ref().map(|error| error.message.clone()),
            hint: value.error.as_ref().map(|error| error.hint.clone()),
            more,
            ..Notice::default()
        };
        self.tell(event, &text, notice).await;
    }

    pub(super) async fn rollback(&self, options: Rollback) -> Result<u8, Failure> {
        let (workplace, session) = self.open("rollback")?;
        let signers = workplace.signing()?.required().map_err(Error::from)?.cloned();
        let looking = looks::begin(workplace).await?;
        let purges = !looks::purges(workplace).is_empty();
        let destination = match options.to {
            Some(release) => Destination::Release(release),
            None => Destination::Steps(options.steps),
        };
        let how = rollback::Options {
            hold: options.hold.clone(),
            signers,
            wait: None,
            purges,
        };
        let done = rollback::rollback(session, &destination, &how).await?;
        let report = if looking.is_nothing() && !purges {
            DeliveryReport::default()
        } else {
            self.probe(&done.release, Some(&done.previous), ReleasePart::Changes, looking)
                .await
                .unwrap_or_else(|error| {
                    let text = format!("the rollback is live, but could not be verified: {error}");
                    self.progress.say("warning", &text);
                    DeliveryReport::default()
                })
        };
        self.finish();
        // The differences between the two releases are not known here.
        let unknown = Changes::default();
        let failed = looks::failed(&report, &unknown);
        let value = json::RolledBack {
            release: done.release.clone(),
            previous: done.previous.clone(),
            delivery: looks::seen(&report),
            error: self.not_delivered(&report, &done.release, &failed, "nothing was changed back"),
        };
        let undo = again(&self.global, &format!("rollback --to {}", done.previous));
        if let Some(actions) = &self.actions {
            actions.rolled_back(&value, &workplace.target_name, &undo, options.hold.as_deref());
        }
        let text = format!(
            "rolled back {} to {} (was {})",
            workplace.target_name, done.release, done.previous
        );
        self.screen.summary(&value, || {
            let held = options.hold.as_ref().map_or_else(String::new, |_| {
                let resume = again(&self.global, "resume");
                format!("on hold: publishing is blocked until `{resume}`\n")
            });
            let seen = looks::line(&report, &unknown);
            let live = changes::live(workplace);
            format!("{text}\nlive: {live}\n{seen}{held}undo: {undo}\n")
        })?;
        let code = self.say_what_was_found(&report, &done.release, value.error.as_ref());
        let notice = Notice {
            release: Some(done.release.to_string()),
            previous: Some(done.previous.to_string()),
            ..Notice::default()
        };
        self.tell("rolled-back", &text, notice).await;
        Ok(code)
    }

    pub(super) async fn verify_live(&self, release: Option<String>) -> Result<u8, Failure> {
        let (workplace, session) = self.open("verify")?;
        let looking = looks::begin(workplace).await?;
        if looking.is_nothing() {
            return Err(Failure::NobodyToAsk {
                has_url: workplace.config.site.url.is_some(),
            });
        }
        let release = chosen(session, release.as_deref()).await?;
        let before = open::document(session, &release)
            .await?
            .and_then(|document| document.previous);
        let report = self
            .probe(&release, before.as_ref(), ReleasePart::Pages, looking)
            .await?;
        self.finish();
        let delivery = looks::seen(&report);
        let ok = report.is_fine();
        let asked = delivery
            .as_ref()
            .map_or(0, |seen| seen.origin.answered + seen.public.answered);
        let problems = errors(&report).map(|finding| json::Broken {
            path: finding.path(),
            problem: format!("{}: {}", finding.side, finding.message()),
        });
        let value = json::Verify {
            release: release.clone(),
            ok,
            checked: asked as u64,
            problems: problems.collect(),
            mended: None,
            signature: None,
            delivery,
        };
        self.screen.result(&value, || {
            let not = if ok { "" } else { "not " };
            let line = looks::line(&report, &Changes::default());
            format!("{release} is {not}what visitors get\n{line}")
        })?;
        looks::tell(report.findings(), self.screen.quiet);
        Ok(u8::from(!ok))
    }

    /// Checks what visitors get of a release that is live. `before` is the release that was live before it.
    async fn probe(
        &self,
        release: &ReleaseId,
        before: Option<&ReleaseId>,
        part: ReleasePart,
        looking: Probes,
    ) -> Result<DeliveryReport, Failure> {
        let (workplace, session) = self.open("verify")?;
        let on_host = deliver::on_host(session, release, before).await?;
        let mut public_site = looks::public_site(workplace, self.rules_of(workplace, &on_host.site).await?);
        if part == ReleasePart::Pages {
            // A check must not change anything at the edge.
            public_site.purges.clear();
        }
        let live_site = LiveSite {
            session,
            public_site: &public_site,
        };
        Ok(live_site.probe(&on_host, part, looking).await)
    }

    /// Returns the rules for requests to a release. The form of its pages comes from the release itself, the facts
    /// about its client from the export if that still exists.
    pub(super) async fn rules_of(&self, workplace: &Workplace, site: &Site) -> Result<Rules, Failure> {
        let paths: Vec<SitePath> = site.all_files().map(|(path, _)| path).collect();
        let paths = paths.iter().map(SitePath::as_str);
        Ok(match self.rules_of_export(workplace).await? {
            Some(rules) => Rules {
                form: PageForm::of(paths),
                ..rules
            },
            None => pipeline::rules(&workplace.config, Client::default(), paths),
        })
    }

    /// Returns what to do about a first release that nothing serves.
    fn to_be_served(&self) -> String {
        let (nginx, doctor) = (again(&self.global, "nginx"), again(&self.global, "doctor"));
        match self.workplace().map(|workplace| &workplace.target.kind) {
            Ok(TargetKind::Sftp(_)) => {
                format!("set up nginx on the host with the output of `{nginx}`; then `{doctor}` checks it")
            }
            _ => format!("`{nginx}` prints the vhost that serves it"),
        }
    }

    /// Returns why a release that visitors don't get was not rolled back.
    fn why_it_stays(report: &DeliveryReport, has_previous: bool) -> String {
        let at_origin = errors(report).any(|finding| finding.side == Side::Origin);
        let reason = match &report.origin {
            _ if !has_previous => "it is the first release",
            SideOutcome::NotWanted | SideOutcome::Unreachable(_) => {
                "only the public URL could be checked, and a CDN or the DNS may be the cause"
            }
            SideOutcome::Seen(_) if !at_origin => "the origin serves it correctly",
            SideOutcome::Seen(_) if !errors(report).any(|finding| finding.flaw.is_of_the_release()) => {
                "the cause is not in the release"
            }
            SideOutcome::Seen(_) => "the previous release failed in the same way",
        };
        format!("it stays live and was not rolled back: {reason}")
    }

    /// Returns the error for `--json` if visitors don't get what is live.
    fn not_delivered(
        &self,
        report: &DeliveryReport,
        release: &ReleaseId,
        failed: &str,
        stays: &str,
    ) -> Option<json::FailedBody> {
        let first = errors(report).next()?;
        let check = again(&self.global, "verify --live");
        Some(json::FailedBody {
            code: "not-delivered".to_owned(),
            message: format!("{release} is live, but {failed}; {stays}"),
            hint: format!("{}; then check again with `{check}`", first.fix()),
            live: Some(release.clone()),
            ..json::FailedBody::default()
        })
    }

    /// Reports what is wrong. Returns the exit code.
    fn say_what_was_found(&self, report: &DeliveryReport, release: &ReleaseId, error: Option<&json::FailedBody>) -> u8 {
        looks::tell(report.findings(), self.screen.quiet);
        if report.left_out > 0 {
            let left = count(report.left_out as u64, "changed file");
            self.screen.note(&format!("{left} more were not checked"));
        }
        let Some(error) = error else { return 0 };
        say("error", &error.message);
        say("live", release.as_str());
        // Each finding above has its own hint.
        let check = again(&self.global, "verify --live");
        say("hint", &format!("then check again with `{check}`"));
        NOT_DELIVERED
    }

    /// Runs a command, and sends a notification if it fails.
    pub(super) async fn telling_of_failure(
        &self,
        what: &'static str,
        command: impl Future<Output = Result<u8, Failure>>,
    ) -> Result<u8, Failure> {
        let _ = self.telling.set(what);
        let outcome = command.await;
        if let Err(failure) = &outcome {
            self.notify_failure(failure).await;
        }
        outcome
    }

    /// Sends a notification that the command failed, if it is one that notifies.
    pub async fn notify_failure(&self, failure: &Failure) {
        let Some(what) = self.telling.get() else { return };
        let event = match failure {
            Failure::Delivery(DeliverError::RolledBack { .. }) => "taken-back",
            _ => "failed",
        };
        let message = report::message(failure);
        let text = format!("{what} failed: {message}");
        let notice = Notice {
            release: self.told().and_then(|told| told.release().map(ToString::to_string)),
            error: Some(message),
            hint: Some(hints::hint(failure, &self.global)),
            ..Notice::default()
        };
        self.tell(event, &text, notice).await;
    }

    /// Sends a notification to the URL in the site manifest, if there is one. A failure to send it is only a warning.
    ///
    /// `notice` has what is special about the event. What every notification has is added here.
    pub(super) async fn tell(&self, event: &'static str, text: &str, notice: Notice) {
        let Ok(workplace) = self.workplace() else { return };
        let (site, config) = (&workplace.config.site, &workplace.config.notify);
        let (url, is_secret) = match (&config.url_env, &config.url) {
            (Some(name), _) => (std::env::var(name).unwrap_or_default(), true),
            (None, Some(url)) => (url.as_str().to_owned(), false),
            (None, None) => return,
        };
        let wanted = config.events.as_ref();
        if wanted.is_some_and(|events| !events.iter().any(|known| known == event)) {
            return;
        }
        let notice = Notice {
            event,
            text: printable(&format!("{}: {text}", site.name)),
            site: site.name.clone(),
            target: workplace.target_name.clone(),
            url: site.url.as_ref().map(ToString::to_string),
            who: site::owner(event).who,
            ..notice
        };
        let place = url::Url::parse(&url).ok().as_ref().and_then(Endpoint::of);
        let sent = match place {
            Some((place, _)) if is_secret && !place.is_private() => Err(format!(
                "the address in the environment variable is secret and has to be https: everyone on the way to {} \
                 could read it",
                place.authority()
            )),
            Some((place, target)) => {
                let body = notice.body(config.template.as_deref());
                let sent = notify::send(&place, &target, body).await;
                sent.map_err(|error| error.to_string())
            }
            None => Err("`url` in [notify] is not a URL, or its environment variable is not set".to_owned()),
        };
        if let Err(reason) = sent {
            let text = format!("the notification was not sent: {reason}");
            self.progress.say("warning", &text);
        }
    }
}

fn errors(report: &DeliveryReport) -> impl Iterator<Item = &Finding> {
    let findings = report.findings();
    findings.filter(|finding| finding.severity() == Severity::Error)
}

/// Whether the last check of this release already found a fault.
fn was_at_fault_before(published: &Published) -> bool {
    let last = &published.owed;
    let is_bad = last.origin == Some(false) || last.public == Some(false);
    !published.swapped && is_bad && last.release.as_ref() == Some(&published.release)
}

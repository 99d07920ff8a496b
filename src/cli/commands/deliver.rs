//! The commands that change or check what visitors see: `publish`, `rollback` and `verify --live`. Each checks the live
//! site. The first two also purge the CDN and send notifications.

use serde_json::{Map, Value};
use syntax_publish::config::TargetKind;
use syntax_publish::live::deliver::DeliverError;
use syntax_publish::live::deliver::{self, Delivered, DeliveryReport, LiveSite, OnHost, PublicSite, ReleasePart};
use syntax_publish::live::http::Endpoint;
use syntax_publish::live::notify::{self, Notice};
use syntax_publish::live::{Finding, Side};
use syntax_publish::model::manifest::Changes;
use syntax_publish::model::path::{SitePath, printable};
use syntax_publish::model::severity::Severity;
use syntax_publish::model::tree::File;
use syntax_publish::next::client::Client;
use syntax_publish::rules::{PageForm, Rules};
use syntax_publish::site::SiteError;
use syntax_publish::site::pipeline;
use syntax_publish::site::scan::ScanError;
use syntax_publish::store::Error;
use syntax_publish::store::publish;
use syntax_publish::store::publish::Published;
use syntax_publish::store::releases;
use syntax_publish::store::rollback::{self, Destination};
use syntax_publish::store::session::Session;

use super::ask::live;
use super::change::{TOOL, shell_behind};
use super::{Judge, Run};
use crate::cli::args::again;
use crate::cli::args::{Publish, Rollback};
use crate::cli::failure::Failure;
use crate::cli::live as looks;
use crate::cli::site::{self, Workplace};
use crate::cli::{actions, changes, connect, json, pages, report, timings};

/// The exit code if visitors don't get what is live on the host.
const NOT_DELIVERED: u8 = 7;

/// The fields of a notification in addition to its text.
#[derive(Default)]
pub(super) struct NoticeFields {
    release: Option<String>,
    previous: Option<String>,
    commit: Option<String>,
    error: Option<String>,
    hint: Option<String>,
    more: Map<String, Value>,
}

impl Run {
    pub(super) async fn publish(&self, options: Publish) -> Result<u8, Failure> {
        let outcome = self.publish_and_look(options).await;
        if let Err(failure) = &outcome {
            self.tell_of_failure("publish", failure).await;
        }
        outcome
    }

    async fn publish_and_look(&self, options: Publish) -> Result<u8, Failure> {
        let (workplace, session) = self.open("publish")?;
        self.progress.plainly(&changes::begun("publishing", workplace));
        let shell = shell_behind(workplace)?;
        let looking = looks::begin(workplace).await?;
        let (prepared, store_snapshot) = self.prepare_and_connect(workplace, session, Judge::AtOnce).await?;
        connect::make_room(workplace)?;
        let wants_timings = options.timings;
        let mut refusals = publish::Refusals::new(&workplace.config, prepared.problems)?;
        if options.allow_removals {
            refusals.max_removed = None;
        }
        let public_site = looks::public_site(workplace, prepared.rules.clone());
        let options = publish::Options {
            refusals,
            commit: workplace.commit(options.commit.as_ref()),
            message: options.message,
            wait: options.wait,
            force: options.force,
            tool: TOOL.to_owned(),
            signing: workplace.signing()?,
            seen: site::cache().map(|folder| (folder, workplace.identity())),
            purges: !public_site.purges.is_empty(),
            store_snapshot: Some(store_snapshot),
        };
        let job = publish::Job::new(&prepared.source, &prepared.site, &options);
        let delivered = self.live_site(session, &public_site).deliver(job, looking).await?;
        let Delivered {
            published,
            report,
            round_trips,
        } = delivered;
        let took = self.began.elapsed();
        let timings = wants_timings.then(|| self.progress.timings.stages());
        self.finish();
        self.warn_of_shell(workplace, shell).await;
        let is_file = |path: &str| SitePath::new(path).is_ok_and(|path| prepared.site.file(&path).is_some());
        let grouped = pages::grouped(&published.changes, &prepared.rules, &is_file);
        // Usually a first release exists before anything serves it, so that is not a failure.
        let is_unserved = published.previous.is_none() && published.swapped && !looks::is_served(&report);
        let failed = looks::failed(&report, &published.changes);
        let stays = Self::why_it_stays(&report, published.previous.is_some());
        let error = (!is_unserved).then(|| self.not_delivered(&report, published.release.as_str(), &failed, &stays));
        self.warn_of(&published.problems);
        let value = json::Publish {
            next: is_unserved.then(|| self.to_be_served()),
            release: Some(published.release.clone()),
            previous: published.previous.clone(),
            swapped: published.swapped,
            objects_sent: published.sent.objects,
            bytes_sent: published.sent.bytes,
            encoded: published.sent.encoded,
            round_trips,
            seconds: took.as_secs_f64(),
            timings,
            delivery: looks::seen(&report),
            problems: published.problems.clone(),
            error: error.flatten(),
            ..json::Publish::counting(&published.changes, published.files)
        };
        let text = || {
            let timings = value.timings.as_deref().map_or_else(String::new, timings::shown);
            let seen = match &value.next {
                Some(next) if failed.is_empty() => format!("next: {next}\n"),
                Some(next) => format!("nothing serves this site yet: {failed}\nnext: {next}\n"),
                None => looks::line(&report, &published.changes).unwrap_or_default(),
            };
            changes::published(&published, &grouped, took, workplace, &self.global) + &seen + &timings
        };
        if let Some(actions) = &self.actions {
            actions.annotate(&published.problems, workplace);
            actions.published(&actions::SummaryInput {
                value: &value,
                changes: &published.changes,
                grouped: &grouped,
                target: &workplace.target_name,
                commit: options.commit.as_deref(),
                next: &again(&self.global, "rollback"),
                problems: &published.problems,
            });
        }
        self.screen.summary(&value, text)?;
        let code = match &value.next {
            Some(_) => 0,
            None => self.say_what_was_found(&report, published.release.as_str(), value.error.as_ref()),
        };
        let what = grouped.totals().unwrap_or_else(|| "no changes".to_owned());
        let state = match (&value.error, &value.next) {
            (Some(_), _) => format!("; {failed}"),
            (None, Some(_)) => "; nothing serves this site yet".to_owned(),
            (None, None) => String::new(),
        };
        self.tell_of_publish(&published, &value, (&what, &state), options.commit.as_ref(), code)
            .await;
        // Pruning comes last, because all that was reported so far is true whatever happens to it.
        self.note_reported();
        let pruned = self.tidy_up(workplace, session, &published).await;
        if let Some(text) = changes::pruned(pruned) {
            self.screen.note(&text);
        }
        Ok(code)
    }

    /// Sends a notification about a publish, or about a new fault of a release that was already live.
    async fn tell_of_publish(
        &self,
        published: &Published,
        value: &json::Publish,
        (what, state): (&str, &str),
        commit: Option<&String>,
        code: u8,
    ) {
        // If the last check found the fault too, the notification was sent then.
        let is_new_fault = code != 0 && !was_at_fault(published);
        if published.swapped || is_new_fault {
            let counts = [
                ("added", value.added),
                ("changed", value.changed),
                ("removed", value.removed),
            ];
            let mut more: Map<String, Value> = counts
                .map(|(name, count)| (name.to_owned(), count.into()))
                .into_iter()
                .collect();
            if let Some(seen) = value.delivery.as_ref().and_then(|seen| serde_json::to_value(seen).ok()) {
                more.insert("delivery".to_owned(), seen);
            }
            let release = &published.release;
            let target = self.workplace().map_or("", |workplace| &workplace.target_name);
            let (event, text) = if published.swapped {
                ("published", format!("published {release} to {target}: {what}{state}"))
            } else {
                (
                    "failed",
                    format!("nothing to publish: {release} is already live on {target}{state}"),
                )
            };
            let told = NoticeFields {
                release: Some(published.release.to_string()),
                previous: published.previous.as_ref().map(ToString::to_string),
                commit: commit.cloned(),
                error: value.error.as_ref().map(|error| error.message.clone()),
                hint: value.error.as_ref().map(|error| error.hint.clone()),
                more,
            };
            self.tell(event, text, Some(told)).await;
        }
    }

    pub(super) async fn rollback(&self, options: Rollback) -> Result<u8, Failure> {
        let outcome = self.rollback_and_look(options).await;
        if let Err(failure) = &outcome {
            self.tell_of_failure("rollback", failure).await;
        }
        outcome
    }

    async fn rollback_and_look(&self, options: Rollback) -> Result<u8, Failure> {
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
        let done = rollback::rollback(session, &destination, &how, &*self.progress).await?;
        let report = if looking.is_nothing() && !purges {
            None
        } else {
            let looked = async {
                let on_host = deliver::on_host(session, &done.release, Some(&done.previous)).await?;
                let public_site = looks::public_site(workplace, self.rules_of(workplace, &on_host).await?);
                let live = self.live_site(session, &public_site);
                Ok::<DeliveryReport, Failure>(live.probe(&on_host, ReleasePart::Changes, looking).await)
            };
            match looked.await {
                Ok(report) => Some(report),
                Err(error) => {
                    self.progress.say(
                        "warning",
                        &format!("the rollback is live, but could not be verified: {error}"),
                    );
                    None
                }
            }
        };
        self.finish();
        // The differences between the two releases are not known here.
        let unknown = Changes::default();
        let failed = report
            .as_ref()
            .map(|report| looks::failed(report, &unknown))
            .unwrap_or_default();
        let stays = "nothing was changed back".to_owned();
        let error = report
            .as_ref()
            .and_then(|report| self.not_delivered(report, done.release.as_str(), &failed, &stays));
        let value = json::RolledBack {
            release: done.release.clone(),
            previous: done.previous.clone(),
            delivery: report.as_ref().and_then(looks::seen),
            error,
        };
        let undo = again(&self.global, &format!("rollback --to {}", done.previous));
        if let Some(actions) = &self.actions {
            actions.rolled_back(&value, &workplace.target_name, &undo, options.hold.as_deref());
        }
        self.screen.summary(&value, || {
            let held = options.hold.as_ref().map_or_else(String::new, |_| {
                format!(
                    "on hold: publishing is blocked until `{}`\n",
                    again(&self.global, "resume")
                )
            });
            let seen = report
                .as_ref()
                .and_then(|report| looks::line(report, &unknown))
                .unwrap_or_default();
            format!(
                "rolled back {} to {} (was {})\nlive: {}\n{seen}{held}undo: {undo}\n",
                workplace.target_name,
                done.release,
                done.previous,
                changes::live(workplace),
            )
        })?;
        let code = report.as_ref().map_or(0, |report| {
            self.say_what_was_found(report, done.release.as_str(), value.error.as_ref())
        });
        let text = format!(
            "rolled back {} to {} (was {})",
            workplace.target_name, done.release, done.previous
        );
        let told = NoticeFields {
            release: Some(done.release.to_string()),
            previous: Some(done.previous.to_string()),
            ..NoticeFields::default()
        };
        self.tell("rolled-back", text, Some(told)).await;
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
        let release = match release {
            Some(release) => releases::resolve(session, &release).await?,
            None => live(session).await?,
        };
        let documents = syntax_publish::store::open::documents(session, std::slice::from_ref(&release)).await?;
        let before = documents
            .into_iter()
            .flatten()
            .next()
            .and_then(|document| document.previous);
        let on_host = deliver::on_host(session, &release, before.as_ref()).await?;
        let mut public_site: PublicSite = looks::public_site(workplace, self.rules_of(workplace, &on_host).await?);
        // A check must not change anything at the edge.
        public_site.purges.clear();
        let live = self.live_site(session, &public_site);
        let report = live.probe(&on_host, ReleasePart::Pages, looking).await;
        self.finish();
        let findings: Vec<&Finding> = report.findings().collect();
        let delivery = looks::seen(&report);
        let ok = report.is_fine();
        let value = json::Verify {
            release: release.clone(),
            ok,
            checked: answered(&report),
            problems: findings
                .iter()
                .filter(|finding| finding.severity() == Severity::Error)
                .map(|finding| json::Broken {
                    path: finding.path(),
                    problem: format!("{}: {}", finding.side, finding.message()),
                })
                .collect(),
            mended: None,
            signature: None,
            delivery,
        };
        self.screen.result(&value, || {
            let verdict = if ok {
                "is what visitors get"
            } else {
                "is not what visitors get"
            };
            let line = looks::line(&report, &Changes::default()).unwrap_or_default();
            format!("{release} {verdict}\n{line}")
        })?;
        looks::tell(&findings, self.global.quiet);
        Ok(u8::from(!ok))
    }

    fn live_site<'a>(&'a self, session: &'a Session, public_site: &'a PublicSite) -> LiveSite<'a> {
        LiveSite {
            session,
            public_site,
            observer: &*self.progress,
        }
    }

    /// Returns the rules for requests to a release. The form of its pages comes from the release itself, the facts
    /// about its client from the export if that still exists.
    async fn rules_of(&self, workplace: &Workplace, on_host: &OnHost) -> Result<Rules, Failure> {
        let (config, export, cache) = (workplace.config.clone(), workplace.export()?, site::cache());
        let read = self
            .aside(move |progress| pipeline::served(&config, &export, cache.as_deref(), progress))
            .await;
        let files: &std::collections::HashMap<SitePath, File> = &on_host.files;
        let paths = files.keys().map(SitePath::as_str);
        match read {
            Ok(rules) => Ok(Rules {
                form: PageForm::of(paths),
                ..rules
            }),
            Err(Failure::Site(SiteError::Scan(ScanError::Missing { .. }))) => {
                Ok(pipeline::rules(&workplace.config, Client::default(), paths))
            }
            Err(failure) => Err(failure),
        }
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
        let errors: Vec<&Finding> = report
            .findings()
            .filter(|finding| finding.severity() == Severity::Error)
            .collect();
        let at_origin = errors.iter().any(|finding| finding.side == Side::Origin);
        let reason = match &report.origin {
            _ if !has_previous => "it is the first release",
            deliver::SideOutcome::NotWanted | deliver::SideOutcome::Unreachable(_) => {
                "only the public URL could be checked, and a CDN or the DNS may be the cause"
            }
            deliver::SideOutcome::Seen(_) if !at_origin => "the origin serves it correctly",
            deliver::SideOutcome::Seen(_) if !errors.iter().any(|finding| finding.flaw.is_of_the_release()) => {
                "the cause is not in the release"
            }
            deliver::SideOutcome::Seen(_) => "the previous release failed in the same way",
        };
        format!("it stays live and was not rolled back: {reason}")
    }

    /// Returns the error for `--json` if visitors don't get what is live.
    fn not_delivered(
        &self,
        report: &DeliveryReport,
        release: &str,
        failed: &str,
        stays: &str,
    ) -> Option<json::FailedBody> {
        let first = report
            .findings()
            .find(|finding| finding.severity() == Severity::Error)?;
        Some(json::FailedBody {
            code: "not-delivered".to_owned(),
            message: not_delivered(release, failed, stays),
            hint: format!(
                "{}; then check again with `{}`",
                first.fix(),
                again(&self.global, "verify --live")
            ),
            live: release.parse().ok(),
            ..json::FailedBody::default()
        })
    }

    /// Reports what is wrong. Returns the exit code.
    fn say_what_was_found(&self, report: &DeliveryReport, release: &str, error: Option<&json::FailedBody>) -> u8 {
        let findings: Vec<&Finding> = report.findings().collect();
        looks::tell(&findings, self.global.quiet);
        if report.left_out > 0 {
            let left = crate::cli::format::count(report.left_out as u64, "changed file");
            self.screen.note(&format!("{left} more were not checked"));
        }
        match error {
            None => 0,
            Some(error) => {
                crate::cli::screen::say("error", &error.message);
                crate::cli::screen::say("live", release);
                // Each finding above has its own hint.
                let check = again(&self.global, "verify --live");
                crate::cli::screen::say("hint", &format!("then check again with `{check}`"));
                NOT_DELIVERED
            }
        }
    }

    async fn tell_of_failure(&self, what: &str, failure: &Failure) {
        let event = match failure {
            Failure::Delivery(DeliverError::RolledBack { .. }) => "taken-back",
            _ => "failed",
        };
        let message = report::message(failure);
        let told = NoticeFields {
            release: self.told().and_then(|told| told.release().map(ToString::to_string)),
            error: Some(message.clone()),
            hint: Some(crate::cli::hints::hint(failure, &self.global)),
            ..NoticeFields::default()
        };
        self.tell(event, format!("{what} failed: {message}"), Some(told)).await;
    }

    /// Sends a notification to the URL in the site manifest, if there is one. A failure to send it is only a warning.
    pub(super) async fn tell(&self, event: &'static str, text: String, told: Option<NoticeFields>) {
        let Ok(workplace) = self.workplace() else { return };
        let config = &workplace.config.notify;
        let secret = config
            .url_env
            .as_ref()
            .map(|name| std::env::var(name).unwrap_or_default());
        let is_secret = secret.is_some();
        let url = secret.or_else(|| config.url.as_ref().map(|url| url.as_str().to_owned()));
        let Some(url) = url else { return };
        if config
            .events
            .as_ref()
            .is_some_and(|events| !events.iter().any(|known| known == event))
        {
            return;
        }
        let told = told.unwrap_or_default();
        let notice = Notice {
            event,
            text: printable(&format!("{}: {text}", workplace.config.site.name)),
            site: workplace.config.site.name.clone(),
            target: workplace.target_name.clone(),
            release: told.release,
            previous: told.previous,
            url: workplace.config.site.url.as_ref().map(ToString::to_string),
            commit: told.commit,
            who: site::owner(event).who,
            error: told.error,
            hint: told.hint,
            more: told.more,
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
                notify::send(&place, &target, body)
                    .await
                    .map_err(|error| error.to_string())
            }
            None => Err("`url` in [notify] is not a URL, or its environment variable is not set".to_owned()),
        };
        if let Err(reason) = sent {
            self.progress
                .say("warning", &format!("the notification was not sent: {reason}"));
        }
    }
}

/// Whether the last check of this release already found a fault.
fn was_at_fault(published: &Published) -> bool {
    let last = &published.owed;
    let is_bad = last.origin == Some(false) || last.public == Some(false);
    !published.swapped && is_bad && last.release.as_ref() == Some(&published.release)
}

fn not_delivered(release: &str, failed: &str, stays: &str) -> String {
    format!("{release} is live, but {failed}; {stays}")
}

fn answered(report: &DeliveryReport) -> u64 {
    [&report.origin, &report.public]
        .into_iter()
        .filter_map(deliver::SideOutcome::seen)
        .map(|seen| seen.answered as u64)
        .sum()
}

//! The commands that change nothing on a target: they only query it, or work on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syntax_publish::config::{KnownFindings, Level, WebUrl};
use syntax_publish::live::visitor;
use syntax_publish::model::encoding::Recipe;
use syntax_publish::model::manifest::Site;
use syntax_publish::model::path::{SitePath, printable};
use syntax_publish::model::release::ReleaseId;
use syntax_publish::model::severity::Severity;
use syntax_publish::next::client::Client;
use syntax_publish::rules::Rules;
use syntax_publish::rules::marker::Fit;
use syntax_publish::site::check::known::{self, Findings, FindingsBaseline, Reference};
use syntax_publish::site::check::moved;
use syntax_publish::site::growth::{Grown, GrowthCheck};
use syntax_publish::site::moved::MovedCheck;
use syntax_publish::site::pipeline::{self, Prepared};
use syntax_publish::site::plain_folder;
use syntax_publish::store::former_releases::{FormerReleases, Window};
use syntax_publish::store::open::StoreState;
use syntax_publish::store::plan::{self, HostFacts, HostQuestion, Plan, Recall};
use syntax_publish::store::publish::{self, Judged, ToJudge};
use syntax_publish::store::remote_cache::RemoteCache;
use syntax_publish::store::session::Session;
use syntax_publish::store::{Error, StoreError, open, releases};

use super::doctor::above;
use super::{Judge, Run};
use crate::cli::actions::SummaryInput;
use crate::cli::args::{Check, Nginx, Publish, again};
use crate::cli::failure::Failure;
use crate::cli::format::{bytes, count, shown};
use crate::cli::pages::{self, Grouped};
use crate::cli::site::{self, Workplace};
use crate::cli::{changes, connect, generated_text, json, live as looks, problems, report, timings};

/// What a publish would change.
pub(super) struct Planned {
    /// The plan, with the changes and the findings of the checks.
    pub(super) value: json::Publish,
    /// The changes, grouped by page.
    pub(super) grouped: Grouped,
    /// Notes to report in addition to the plan.
    pub(super) notes: Vec<String>,
    /// Why a publish would be refused. `None` if it would not be.
    pub(super) refused: Option<Error>,
}

/// The site of the export, and the target as it is now.
pub(super) struct Compared {
    pub(super) prepared: Prepared,
    store_state: StoreState,
    /// What the target answered.
    pub(super) facts: HostFacts,
    pub(super) plan: Plan,
    /// What this machine has seen there.
    seen: Option<Arc<RemoteCache>>,
}

impl Compared {
    /// Reads the releases that were live before, within the window of `skew`.
    pub(super) async fn former_releases(
        &mut self,
        workplace: &Workplace,
        session: &Session,
    ) -> Result<FormerReleases, Error> {
        // Nothing may be made to read the host's clock from. It is not behind the time when the live release went live.
        let here = jiff::Timestamp::now().as_second();
        let window = Window {
            now: here.max(self.store_state.since.unwrap_or(here)),
            skew: workplace.config.publish.skew,
        };
        let seen = self.seen.as_deref().map(|seen| seen as &(dyn Recall + Sync));
        FormerReleases::read(session, &mut self.facts, &self.prepared.site, window, seen).await
    }
}

impl Planned {
    /// Returns the plan, or the reason why a publish would be refused.
    pub(super) fn granted(mut self) -> Result<Self, Failure> {
        match self.refused.take() {
            Some(error) => Err(error.into()),
            None => Ok(self),
        }
    }
}

/// What a check compares the export with.
enum Against {
    /// A file of findings.
    Baseline(Reference),
    /// A target.
    Target(Box<LiveTarget>),
}

/// A target, and what was read of its live release.
struct LiveTarget {
    session: Session,
    facts: HostFacts,
}

impl LiveTarget {
    /// Compares the size of a site with that of the live release, if there is one.
    async fn grown(&mut self, check: &GrowthCheck, site: &Site) -> Result<Option<Grown>, Failure> {
        if self.facts.current.is_none() {
            return Ok(None);
        }
        let plan = plan_of(&self.session, &mut self.facts, site, |_| BTreeSet::new()).await?;
        let former = plan::former_files(&plan.changes, &self.facts);
        Ok(Some(check.grown(site, &plan.changes, &former)))
    }
}

/// Asks a target what it has of a site, and plans the rest. `also` returns what else to ask.
async fn plan_of(
    session: &Session,
    facts: &mut HostFacts,
    site: &Site,
    also: impl Fn(&HostFacts) -> BTreeSet<HostQuestion>,
) -> Result<Plan, Failure> {
    open::answer(session, facts, Vec::new(), None, |facts| {
        let mut asked = plan::questions(site, facts);
        asked.extend(also(facts));
        asked
    })
    .await?;
    let plan = Plan::new(site, facts).map_err(|open| Error::KeptChanging {
        attempts: 1,
        reason: format!("{} questions were left open", open.len()),
    })?;
    Ok(plan)
}

impl Run {
    pub(super) async fn plan(&self, what: &str, options: &Publish) -> Result<u8, Failure> {
        let planned = self.planned(what, options.allow_removals).await?;
        self.finish();
        let (mut value, grouped) = (planned.value, planned.grouped);
        let refused = planned.refused.map(Failure::from);
        if refused.is_none() {
            self.warn_of(&value.problems);
        }
        let told = self.told();
        value.error = refused.as_ref().map(|failure| report::body(failure, told.as_ref()));
        for note in planned.notes {
            self.screen.note(&note);
        }
        value.timings = options.timings.then(|| self.progress.timings.stages());
        let workplace = self.workplace()?;
        if let Some(actions) = &self.actions {
            let told = SummaryInput {
                value: &value,
                grouped: &grouped,
                target: &workplace.target_name,
                url: workplace.config.site.url.as_ref().map(WebUrl::as_str),
                commit: None,
                next: &again(&self.global, "publish"),
            };
            actions.planned(&told, workplace);
        }
        self.screen.result(&value, || {
            let timings = value.timings.as_deref().map_or_else(String::new, timings::shown);
            changes::plan(&value, &grouped, workplace, self.screen.verbose, usize::MAX) + &timings
        })?;
        Ok(refused.map_or(0, |failure| report::say(&self.screen, &failure, told.as_ref())))
    }

    /// Returns what a publish would change, by comparison with the current state of the target.
    pub(super) async fn planned(&self, what: &str, allow_removals: bool) -> Result<Planned, Failure> {
        let (workplace, session) = self.open(what)?;
        let mut compared = self.compare(workplace, session).await?;
        let moved = moved_check(workplace, &compared.prepared.rules);
        let earlier = match moved.level {
            Level::Off => FormerReleases::default(),
            _ => compared.former_releases(workplace, session).await?,
        };
        let Compared {
            mut prepared,
            store_state,
            facts,
            plan,
            seen: _,
        } = compared;
        let mut notes = Vec::new();
        if let Some(hold) = &store_state.hold {
            let (since, who, reason) = (report::when(hold.since), printable(&hold.who), printable(&hold.reason));
            notes.push(format!("publishing is on hold since {since}, by {who}: {reason}"));
        }
        notes.extend(looks::rules_of_vhost(&prepared.rules, &again(&self.global, "nginx")));
        let found = std::mem::take(&mut prepared.problems);
        let mut refusals = publish::Refusals::new(&workplace.config, found, moved)?;
        if allow_removals {
            refusals.max_removed = None;
        }
        let to_judge = ToJudge {
            site: &prepared.site,
            source: &prepared.source,
            plan: &plan,
            former: &plan::former_files(&plan.changes, &facts),
            live: &facts.live_findings(),
            earlier: &earlier,
        };
        let Judged {
            problems,
            growth,
            refused,
        } = publish::check_refusals(session, to_judge, &refusals).await?;
        let wanted = plan.wanted.iter();
        let value = json::Publish {
            previous: plan.previous.clone(),
            objects_sent: plan.wanted_names().count() as u64,
            bytes_sent: wanted
                .clone()
                .filter(|wanted| wanted.identity)
                .map(|wanted| wanted.size)
                .sum(),
            encoded: wanted
                .flat_map(|wanted| wanted.encodings.iter())
                .filter(|(_, recipe)| matches!(recipe, Recipe::Made { .. }))
                .count() as u64,
            round_trips: session.counts().round_trips(),
            seconds: self.began.elapsed().as_secs_f64(),
            problems,
            budget: std::mem::take(&mut prepared.spent).into_iter().chain(growth).collect(),
            ..json::Publish::counting(&plan.changes, prepared.site.files)
        };
        let site = &prepared.site;
        let is_file = |path: &str| SitePath::new(path).is_ok_and(|path| site.file(&path).is_some());
        Ok(Planned {
            grouped: pages::grouped(&plan.changes, &prepared.rules, &is_file)
                .with_titles(&prepared.titles, &prepared.rules),
            value: json::Publish {
                redirects: plan.changes.redirects,
                changes: Some(plan.changes.list),
                ..value
            },
            notes,
            refused,
        })
    }

    /// Compares the site with the current state of the target.
    pub(super) async fn compare(&self, workplace: &Workplace, session: &Session) -> Result<Compared, Failure> {
        let (prepared, store_snapshot, remembered) =
            self.prepare_and_connect(workplace, session, Judge::WithThePlan).await?;
        let mut facts = store_snapshot.facts;
        let seen = remembered.seen;
        let known = seen.as_deref().filter(|_| facts.current.is_some());
        let expected = known.and_then(|seen| plan::expected_questions(&prepared.site, seen, &mut facts));
        let also = |facts: &HostFacts| {
            if prepared.problems.is_empty() {
                BTreeSet::new()
            } else {
                plan::findings_questions(facts)
            }
        };
        let mut first = expected.unwrap_or_default();
        first.extend(also(&facts));
        open::ask(session, &mut facts, &first).await?;
        let plan = plan_of(session, &mut facts, &prepared.site, also).await?;
        Ok(Compared {
            prepared,
            store_state: store_snapshot.store_state,
            facts,
            plan,
            seen,
        })
    }

    pub(super) async fn check(&self, options: Check) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let live = self.compared_with(&options).await?;
        let growth = GrowthCheck::new(&workplace.config.budget, &workplace.config.fingerprint.prefix);
        let growth = growth.filter(|_| options.against.is_some());
        let compares = growth.is_some();
        let mut found = self.on_export(workplace, move |site| site.inspect(compares)).await?;
        let live = match live {
            Some(Against::Target(mut target)) => {
                if let (Some(check), Some(site)) = (growth, &found.site)
                    && let Some(grown) = target.grown(&check, site).await?
                {
                    found.budget.push(grown.spending);
                    found.problems.extend(grown.problem);
                    found.problems.sort();
                }
                Some(target.facts.live_findings())
            }
            Some(Against::Baseline(reference)) => Some(reference),
            None => None,
        };
        self.finish();
        if let Some(file) = &options.write_baseline {
            let baseline = FindingsBaseline::of(&found.problems);
            write_baseline(file, &baseline)?;
            let known = Reference::Release(Findings::of_baseline(&baseline));
            known::mark(&mut found.problems, &known);
        } else if let Some(live) = live.filter(|_| workplace.config.check.known == KnownFindings::Warn) {
            known::mark(&mut found.problems, &live);
        }
        let ok = found.problems.iter().all(|problem| problem.severity != Severity::Error);
        let value = json::Check { ok, found: &found };
        if let Some(actions) = &self.actions {
            actions.checked(&found, workplace);
        }
        if let Some(text) = problems::without_status(&found.rules.redirects) {
            self.screen.note(&text);
        }
        let text = || problems::inspected(&found, self.screen.verbose);
        self.screen.result(&value, text)?;
        self.note_rules_of_vhost(&found.rules);
        Ok(if ok { 0 } else { 3 })
    }

    /// Returns what to compare the findings of the export with. `None` if there is nothing to compare with.
    async fn compared_with(&self, options: &Check) -> Result<Option<Against>, Failure> {
        if let Some(file) = &options.baseline {
            return read_baseline(file).map(|known| Some(Against::Baseline(known)));
        }
        let Some(target) = &options.against else {
            return Ok(None);
        };
        let mut global = self.global.clone();
        global.target = Some(target.clone());
        let workplace = Workplace::open(&global, &self.screen)?;
        let session = Session::new(connect::connector(&workplace)?, site::owner("check"));
        let mut facts = open::inspect(&session, []).await?.facts;
        let questions = plan::findings_questions(&facts);
        open::ask(&session, &mut facts, &questions).await?;
        Ok(Some(Against::Target(Box::new(LiveTarget { session, facts }))))
    }

    pub(super) async fn build(&self, out: PathBuf) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        workplace.keep_apart(Some(&out))?;
        let prepared = self.prepare(workplace).await?;
        self.warn_of(&prepared.problems);
        let folder = shown(&out);
        let built = self
            .aside(move |progress| {
                let redirects = &prepared.rules.redirects;
                plain_folder::build(&prepared.site, redirects, &*prepared.source, &out, progress)
            })
            .await?;
        self.finish();
        self.screen.summary(&built, || {
            let (files, bytes) = (count(built.files, "file"), bytes(built.bytes));
            format!("built {folder}: {files}, {bytes}\n")
        })?;
        Ok(0)
    }

    pub(super) async fn releases(&self) -> Result<u8, Failure> {
        let listed = self.listed().await?;
        let value: Vec<json::Release> = listed.iter().map(json::Release::from).collect();
        self.screen.result(&value, || report::releases(&listed))?;
        Ok(0)
    }

    /// Returns the releases of the target, newest first.
    pub(super) async fn listed(&self) -> Result<Vec<releases::Listed>, Failure> {
        let (_, session) = self.open("releases")?;
        Ok(releases::list(session).await?)
    }

    pub(super) async fn status(&self) -> Result<u8, Failure> {
        let (workplace, session) = self.open("status")?;
        let (status, vhost) = tokio::join!(releases::status(session), self.vhost(workplace));
        let status = status?;
        let vhost = vhost.unwrap_or_else(|error| Some(looks::Vhost::not_asked(error.to_string())));
        self.finish();
        if let (None, Some(above)) = (&status.release, above(workplace)) {
            // If the docroot can't be created either, the target is configured wrong. It is not just a store without
            // releases.
            let outside = Session::new(connect::connector(&above)?, site::owner("status"));
            if !open::has_folder(session).await? && !open::has_folder(&outside).await? {
                let host = session.host_name();
                return Err(StoreError::NoParent { host }.into());
            }
        }
        let value = json::Status::of(&status, &workplace.target_name, workplace.place(), vhost);
        let text = || report::status(&status, &changes::live(workplace), value.vhost.as_ref());
        self.screen.result(&value, text)?;
        Ok(0)
    }

    /// Asks the origin which vhost answers there, and compares it with what the site needs. `None` if the target has no
    /// origin.
    async fn vhost(&self, workplace: &Workplace) -> Result<Option<looks::Vhost>, Failure> {
        let Some((place, _)) = looks::origin(workplace).await? else {
            return Ok(None);
        };
        let (rules, is_whole) = self.rules_in_time(workplace).await?;
        Ok(Some(match visitor::vhost(&place, &rules, is_whole).await {
            Ok(fit) => self.vhost_of(&fit),
            Err(error) => looks::Vhost::not_asked(error.to_string()),
        }))
    }

    /// Returns how a vhost fits the site.
    pub(super) fn vhost_of(&self, fit: &Fit) -> looks::Vhost {
        looks::Vhost::of(fit, &again(&self.global, "nginx"))
    }

    /// Notes which rules of the site its vhost alone has.
    pub(super) fn note_rules_of_vhost(&self, rules: &Rules) {
        if let Some(note) = looks::rules_of_vhost(rules, &again(&self.global, "nginx")) {
            self.screen.note(&note);
        }
    }

    pub(super) async fn diff(&self, from: Option<String>, to: Option<String>) -> Result<u8, Failure> {
        let (workplace, session) = self.open("diff")?;
        let live = live(session).await?;
        let to = match to {
            Some(to) => releases::resolve(session, &to).await?,
            None => live,
        };
        let from = match from {
            Some(from) => releases::resolve(session, &from).await?,
            None => releases::steps_back(session, &to, 1).await?,
        };
        let changes = releases::diff(session, &from, &to).await?;
        let value = json::Diff {
            from: from.clone(),
            to: to.clone(),
            changes: changes.list.clone(),
            redirects: changes.redirects.clone(),
        };
        let paths = changes.list.iter().map(|change| change.path.as_str());
        let rules = pipeline::rules(&workplace.config, Client::default(), paths);
        let grouped = pages::grouped(&changes, &rules, &|_| false);
        let text = || {
            let listed = changes::listed(&changes.list, &grouped, self.screen.verbose, usize::MAX);
            format!("from {from} to {to}:\n{listed}")
        };
        self.screen.result(&value, text)?;
        Ok(0)
    }

    pub(super) async fn nginx(&self, options: Nginx) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let read = self.rules_of_export(workplace).await;
        self.finish();
        let rules = read?.unwrap_or_else(|| {
            self.screen
                .note("there is no export yet: printed for pages that are files, as Next.js writes them by default");
            pipeline::rules(&workplace.config, Client::default(), std::iter::empty())
        });
        let (vhost, assumed) = generated_text::vhost(workplace, options, rules)?;
        for text in assumed {
            self.screen.warn(&text);
        }
        self.print("nginx", vhost)
    }
}

/// Returns how to find addresses of the live release that would become 404s.
pub(super) fn moved_check(workplace: &Workplace, rules: &Rules) -> MovedCheck {
    MovedCheck {
        level: workplace.config.check.levels.of(moved::NAME),
        rules: rules.clone(),
    }
}

fn read_baseline(file: &Path) -> Result<Reference, Failure> {
    let text = std::fs::read_to_string(file).map_err(|source| Failure::unreadable(file, source))?;
    let baseline: FindingsBaseline = serde_json::from_str(&text).map_err(|source| Failure::unreadable(file, source))?;
    if baseline.format != 1 {
        let text = format!("it has the format {}, and this version knows 1", baseline.format);
        return Err(Failure::unreadable(file, std::io::Error::other(text)));
    }
    Ok(Reference::Release(Findings::of_baseline(&baseline)))
}

fn write_baseline(file: &Path, baseline: &FindingsBaseline) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(baseline).unwrap_or_default() + "\n";
    std::fs::write(file, text).map_err(|source| Failure::cannot_write(file, source))
}

/// Returns the release whose id begins with `named`, or the live release if none is named.
pub(super) async fn chosen(session: &Session, named: Option<&str>) -> Result<ReleaseId, Failure> {
    match named {
        Some(named) => Ok(releases::resolve(session, named).await?),
        None => live(session).await,
    }
}

/// Returns the live release.
async fn live(session: &Session) -> Result<ReleaseId, Failure> {
    let live = open::read_state(session).await?.current;
    let host = session.host_name();
    live.ok_or_else(|| Error::NothingPublished { host }.into())
}

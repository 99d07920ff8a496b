//! The commands that change nothing on a target: they only query it, or work on this machine.

use std::path::{Path, PathBuf};

use syntax_publish::config::KnownFindings;
use syntax_publish::model::encoding::Recipe;
use syntax_publish::model::manifest::Changes;
use syntax_publish::model::path::{SitePath, printable};
use syntax_publish::model::release::ReleaseId;
use syntax_publish::model::severity::Severity;
use syntax_publish::next::client::Client;
use syntax_publish::site::SiteError;
use syntax_publish::site::check::Problem;
use syntax_publish::site::check::known::{self, Findings, FindingsBaseline, Reference};
use syntax_publish::site::pipeline::{self, LocalSite};
use syntax_publish::site::plain_folder;
use syntax_publish::site::scan::ScanError;
use syntax_publish::store::Error;
use syntax_publish::store::StoreError;
use syntax_publish::store::open;
use syntax_publish::store::plan::{self, Plan};
use syntax_publish::store::publish;
use syntax_publish::store::publish::Judged;
use syntax_publish::store::releases;
use syntax_publish::store::session::Session;

use super::doctor::above;
use super::{Judge, Run};
use crate::cli::args::again;
use crate::cli::args::{Check, Nginx};
use crate::cli::failure::Failure;
use crate::cli::format::shown;
use crate::cli::format::{bytes, count};
use crate::cli::pages::Grouped;
use crate::cli::site::{self, Workplace};
use crate::cli::{actions, changes, connect, generated_text, json, pages, problems, report, timings};

/// What a publish would change.
pub(super) struct Planned {
    pub(super) value: json::Publish,
    pub(super) changes: Changes,
    /// The same changes, grouped by page.
    pub(super) grouped: Grouped,
    /// Notes to report in addition to the plan.
    pub(super) notes: Vec<String>,
    /// The findings of the checks.
    pub(super) problems: Vec<Problem>,
    /// Why a publish would be refused. `None` if it would not be.
    pub(super) refused: Option<Error>,
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

/// Whether the number of pages that a publish removes is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removals {
    /// Up to the limit in the site manifest.
    Limited,
    /// Any number.
    Allowed,
}

impl Run {
    pub(super) async fn plan(&self, what: &str, timings: bool, allowance: Removals) -> Result<u8, Failure> {
        let Planned {
            mut value,
            changes,
            grouped,
            notes,
            problems,
            refused,
        } = self.planned(what, allowance).await?;
        self.finish();
        let refused = refused.map(Failure::from);
        if refused.is_none() {
            self.warn_of(&problems);
        }
        let told = self.told();
        value.error = refused.as_ref().map(|failure| report::body(failure, told.as_ref()));
        for note in notes {
            self.screen.note(&note);
        }
        value.timings = timings.then(|| self.progress.timings.stages());
        let workplace = self.workplace()?;
        if let Some(actions) = &self.actions {
            actions.annotate(&problems, workplace);
            actions.planned(&actions::SummaryInput {
                value: &value,
                changes: &changes,
                grouped: &grouped,
                target: &workplace.target_name,
                commit: None,
                next: &again(&self.global, "publish"),
                problems: &problems,
            });
        }
        self.screen.result(&value, || {
            let timings = value.timings.as_deref().map_or_else(String::new, timings::shown);
            changes::plan(&value, &changes, &grouped, workplace, self.screen.verbose) + &timings
        })?;
        Ok(refused.map_or(0, |failure| report::say(&self.screen, &failure, told.as_ref())))
    }

    /// Returns what a publish would change, by comparison with the current state of the target.
    pub(super) async fn planned(&self, what: &str, allowance: Removals) -> Result<Planned, Failure> {
        let (workplace, session) = self.open(what)?;
        let (prepared, store_snapshot) = self.prepare_and_connect(workplace, session, Judge::WithThePlan).await?;
        let store_state = store_snapshot.store_state;
        let mut notes = Vec::new();
        if let Some(hold) = &store_state.hold {
            let (since, who, reason) = (report::when(hold.since), printable(&hold.who), printable(&hold.reason));
            notes.push(format!("publishing is on hold since {since}, by {who}: {reason}"));
        }
        let mut facts = store_snapshot.facts;
        open::answer(session, &mut facts, Vec::new(), None, |facts| {
            let mut asked = plan::questions(&prepared.site, facts);
            if !prepared.problems.is_empty() {
                asked.extend(plan::findings_questions(facts));
            }
            asked
        })
        .await?;
        let plan = Plan::new(&prepared.site, &facts).map_err(|open| Error::KeptChanging {
            attempts: 1,
            reason: format!("{} questions were left open", open.len()),
        })?;
        let mut refusals = publish::Refusals::new(&workplace.config, prepared.problems)?;
        if allowance == Removals::Allowed {
            refusals.max_removed = None;
        }
        let live = facts.live_findings();
        let Judged { problems, refused } =
            publish::check_refusals(session, &prepared.site, &plan, &live, &refusals).await?;
        let made = |recipe: &Recipe| matches!(recipe, Recipe::Made { .. });
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
                .filter(|(_, recipe)| made(recipe))
                .count() as u64,
            round_trips: session.counts().round_trips(),
            seconds: self.began.elapsed().as_secs_f64(),
            changes: Some(plan.changes.list.clone()),
            problems: problems.clone(),
            ..json::Publish::counting(&plan.changes, prepared.site.files)
        };
        let site = &prepared.site;
        let is_file = |path: &str| SitePath::new(path).is_ok_and(|path| site.file(&path).is_some());
        let grouped = pages::grouped(&plan.changes, &prepared.rules, &is_file);
        Ok(Planned {
            value,
            grouped,
            changes: plan.changes,
            notes,
            problems,
            refused,
        })
    }

    pub(super) async fn check(&self, options: Check) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let (config, export, cache) = (workplace.config.clone(), workplace.export()?, site::cache());
        let live = self.compared_with(&options).await?;
        let mut found = self
            .aside(move |progress| LocalSite::new(&config, &export, cache.as_deref(), progress).inspect())
            .await?;
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
        let unread = found.unread.iter().map(|(path, reason)| json::Unread {
            path: path.to_string(),
            reason: reason.clone(),
        });
        let value = json::Check {
            ok,
            problems: found.problems.clone(),
            unread: unread.collect(),
            unclassified: found.unclassified,
        };
        if let Some(actions) = &self.actions {
            actions.checked(&found.problems, workplace);
        }
        let extent = problems::Detail::of(&self.screen);
        self.screen.result(&value, || problems::inspected(&found, extent))?;
        Ok(if ok { 0 } else { 3 })
    }

    /// Returns what to compare the findings of the export with. `None` if there is nothing to compare with.
    async fn compared_with(&self, options: &Check) -> Result<Option<Reference>, Failure> {
        if let Some(file) = &options.baseline {
            return read_baseline(file).map(Some);
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
        Ok(Some(facts.live_findings()))
    }

    pub(super) async fn build(&self, out: PathBuf) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        workplace.keep_apart(Some(&out))?;
        let prepared = self.prepare(workplace).await?;
        self.warn_of(&prepared.problems);
        let folder = shown(&out);
        let built = self
            .aside(move |progress| plain_folder::build(&prepared.site, &*prepared.source, &out, progress))
            .await?;
        self.finish();
        self.screen.summary(&built, || {
            format!(
                "built {folder}: {}, {}\n",
                count(built.files, "file"),
                bytes(built.bytes)
            )
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
        let status = releases::status(session).await?;
        if let (None, Some(above)) = (&status.release, above(workplace)) {
            // If the docroot can't be created either, the target is configured wrong. It is not just a store without
            // releases.
            let outside = Session::new(connect::connector(&above)?, site::owner("status"));
            if !open::has_folder(session).await.map_err(Error::from)?
                && !open::has_folder(&outside).await.map_err(Error::from)?
            {
                let host = session.host_name();
                return Err(Error::from(StoreError::NoParent { host }).into());
            }
        }
        let text = || report::status(&status, &changes::live(workplace));
        let value = json::Status::of(&status, &workplace.target_name, workplace.place());
        self.screen.result(&value, text)?;
        Ok(0)
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
        };
        let paths = changes.list.iter().map(|change| change.path.as_str());
        let rules = pipeline::rules(&workplace.config, Client::default(), paths);
        let grouped = pages::grouped(&changes, &rules, &|_| false);
        let text = || {
            let listed = changes::listed(&changes, &grouped, self.screen.verbose);
            format!("from {from} to {to}:\n{listed}")
        };
        self.screen.result(&value, text)?;
        Ok(0)
    }

    pub(super) async fn nginx(&self, options: Nginx) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let (config, export, cache) = (workplace.config.clone(), workplace.export()?, site::cache());
        let read = self
            .aside(move |progress| LocalSite::new(&config, &export, cache.as_deref(), progress).served())
            .await;
        self.finish();
        let rules = match read {
            Ok(rules) => rules,
            Err(Failure::Site(SiteError::Scan(ScanError::Missing { .. }))) => {
                self.screen.note(
                    "there is no export yet: printed for pages that are files, as Next.js writes them by default",
                );
                pipeline::rules(&workplace.config, Client::default(), std::iter::empty())
            }
            Err(failure) => return Err(failure),
        };
        let (vhost, assumed) = generated_text::vhost(workplace, options, rules)?;
        for text in assumed {
            self.screen.warn(&text);
        }
        self.screen.result(&json::text("nginx", &vhost), || vhost.clone())?;
        Ok(0)
    }
}

fn read_baseline(file: &Path) -> Result<Reference, Failure> {
    let unreadable = |source: std::io::Error| Failure::Unreadable {
        file: file.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let baseline: FindingsBaseline = serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;
    if baseline.format != 1 {
        let text = format!("it has the format {}, and this version knows 1", baseline.format);
        return Err(unreadable(std::io::Error::other(text)));
    }
    Ok(Reference::Release(Findings::of_baseline(&baseline)))
}

fn write_baseline(file: &Path, baseline: &FindingsBaseline) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(baseline).unwrap_or_default() + "\n";
    std::fs::write(file, text).map_err(|source| Failure::Io {
        what: format!("write {}", shown(file)),
        source,
    })
}

/// Returns the live release.
pub(super) async fn live(session: &Session) -> Result<ReleaseId, Failure> {
    let live = open::read_state(session).await?.current;
    live.ok_or_else(|| {
        Failure::from(Error::NothingPublished {
            host: session.host_name(),
        })
    })
}

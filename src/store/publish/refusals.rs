//! Decides what a publish refuses to do, once it is planned. It asks the host only which release wrote content that is
//! in conflict, and reads the pages there that are gone from the new site. It must not change anything.
//!
//! The commands `plan` and `publish` decide by the same function, so that both give the same result.

use std::collections::BTreeSet;
use std::sync::Arc;

use globset::GlobSet;

use super::{Attempts, FormerFiles, Publish, Replaced};
use crate::config::{KnownFindings, Level, SiteConfig, compile_globs};
use crate::model::manifest::{ChangeKind, Site, is_page};
use crate::model::severity::Severity;
use crate::site::SiteError;
use crate::site::check::budget::Spending;
use crate::site::check::immutable::{Conflict, Content, Earlier};
use crate::site::check::known::{self, Reference};
use crate::site::check::{self, Problem};
use crate::site::growth::GrowthCheck;
use crate::site::moved::{Former, MovedCheck};
use crate::site::source::Source;
use crate::store::Error;
use crate::store::attempt_error::AttemptError;
use crate::store::former_pages::{FormerPages, Limits};
use crate::store::former_releases::FormerReleases;
use crate::store::open::{self, StoreState};
use crate::store::plan::{HostFacts, Plan};
use crate::store::session::Session;

/// What a publish is refused for.
#[derive(Debug, Clone)]
pub struct Refusals {
    /// The largest share of live pages that may be removed, in percent; `None` means any.
    pub max_removed: Option<u8>,
    /// What to do if an immutable path would get different content than visitors have.
    pub immutable: Level,
    /// What to do if all of `.well-known/` would be removed. Ignored if any removal is allowed.
    pub well_known: Level,
    /// How much the site may grow; `None` means any.
    pub growth: Option<GrowthCheck>,
    /// How to find addresses that would become 404s; `None` means not at all.
    pub moved: Option<MovedCheck>,
    /// Paths whose findings are ignored.
    pub allowed: GlobSet,
    /// What the checks found in the export.
    pub problems: Vec<Problem>,
    /// How to treat findings that the live release has, too: as errors if they are errors, or as warnings.
    pub known: Level,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            max_removed: None,
            immutable: Level::Error,
            well_known: Level::Error,
            growth: None,
            moved: None,
            allowed: GlobSet::empty(),
            problems: Vec::new(),
            known: Level::Warn,
        }
    }
}

impl Refusals {
    /// The refusals that a site manifest sets, given what the checks found and how the new site answers.
    ///
    /// # Errors
    /// [`SiteError::Patterns`] if a glob does not compile. Those of a parsed site manifest do.
    pub fn new(config: &SiteConfig, problems: Vec<Problem>, moved: MovedCheck) -> Result<Self, SiteError> {
        let allowed = compile_globs(&config.check.allow).map_err(SiteError::patterns)?;
        Ok(Self {
            max_removed: Some(config.publish.max_removed),
            immutable: config.check.levels.of(check::immutable::NAME),
            well_known: config.check.levels.of(check::well_known::NAME),
            growth: GrowthCheck::new(&config.budget, &config.fingerprint.prefix),
            moved: Some(moved),
            allowed,
            problems,
            known: match config.check.known {
                KnownFindings::Warn => Level::Warn,
                KnownFindings::Error => Level::Error,
            },
        })
    }

    /// The refusals of a preview. What visitors of the live site would lose, or have kept, stops its promotion instead.
    #[must_use]
    pub fn of_preview(self) -> Self {
        Self {
            max_removed: None,
            moved: None,
            growth: self.growth.map(GrowthCheck::of_preview),
            immutable: match self.immutable {
                Level::Error => Level::Warn,
                level => level,
            },
            ..self
        }
    }

    /// What the checks found, with the findings that the live release has, too, marked.
    fn marked(&self, live: &Reference) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        if self.known != Level::Error {
            known::mark(&mut problems, live);
        }
        problems
    }

    /// What the checks found, if this site is the live one.
    pub(super) fn of_live(&self) -> Vec<Problem> {
        self.marked(&Reference::Nothing)
    }
}

/// The result of judging a plan.
#[derive(Debug)]
pub struct Judged {
    /// What is wrong. Findings that the live release has, too, are marked.
    pub problems: Vec<Problem>,
    /// What the limit of the growth is compared with, if there is one and a live release.
    pub growth: Option<Spending>,
    /// Why the publish is refused, if it is.
    pub refused: Option<Error>,
}

/// A planned publish.
#[derive(Clone, Copy)]
pub struct ToJudge<'a> {
    /// The manifest of the new site.
    pub site: &'a Site,
    /// Where its content comes from.
    pub source: &'a Arc<dyn Source>,
    /// The plan.
    pub plan: &'a Plan,
    /// The files of the live release that it changes.
    pub former: &'a FormerFiles,
    /// The findings of the live release.
    pub live: &'a Reference,
    /// Releases before the live one, if they were read.
    pub earlier: &'a FormerReleases,
}

/// Judges a plan.
///
/// # Errors
/// [`Error`] if the host can't be reached or refuses a request, or if a file of the export changed.
pub async fn check_refusals(session: &Session, judged: ToJudge<'_>, refusals: &Refusals) -> Result<Judged, Error> {
    let ToJudge { site, plan, .. } = judged;
    let mut problems = refusals.marked(judged.live);
    let conflicts = conflicts(session, site, plan, &refusals.allowed).await?;
    problems.extend(check::immutable::problems(&conflicts, refusals.immutable));
    if refusals.max_removed.is_some() {
        let removed = plan
            .changes
            .list
            .iter()
            .filter(|change| change.change == ChangeKind::Removed);
        let removed = removed.map(|change| &change.path);
        let is_left = site.folders.keys().any(|folder| folder.as_str() == ".well-known");
        let lost = check::well_known::problem(removed, is_left, refusals.well_known);
        problems.extend(lost.filter(|problem| !refusals.allowed.is_match(&problem.path)));
    }
    problems.extend(moved(session, judged, refusals).await?);
    let growth = refusals.growth.as_ref().filter(|_| plan.previous.is_some());
    let growth = growth.map(|check| check.grown(site, &plan.changes, judged.former));
    problems.extend(growth.iter().filter_map(|growth| growth.problem.clone()));
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    let refused = mass_removal(site, plan, refusals.max_removed)
        .or_else(|| is_wrong.then(|| Error::Site(SiteError::Check(problems.clone()))));
    Ok(Judged {
        problems,
        growth: growth.map(|growth| growth.spending),
        refused,
    })
}

/// The problems for addresses that are or would become 404s, each with its likely new address.
async fn moved(session: &Session, judged: ToJudge<'_>, refusals: &Refusals) -> Result<Vec<Problem>, Error> {
    let Some(check) = refusals.moved.as_ref().filter(|check| check.level != Level::Off) else {
        return Ok(Vec::new());
    };
    let (new, changes) = (check.of(judged.site), &judged.plan.changes);
    let mut gone = new.gone(changes, &judged.earlier.releases);
    gone.retain(|gone| match &gone.former {
        Former::Page(path) => !refusals.allowed.is_match(path.as_str()),
        Former::Redirect(_) => true,
    });
    let pages = FormerPages {
        session,
        source: judged.source,
        changes,
        files: judged.former,
        former: judged.earlier,
        limits: Limits::FINDINGS,
    };
    let suggestions = pages.suggestions(new, &gone).await?;
    Ok(check::moved::problems(&gone, &suggestions, check.level))
}

/// The error for a plan that removes more pages than it may.
fn mass_removal(site: &Site, plan: &Plan, limit: Option<u8>) -> Option<Error> {
    let limit = limit?;
    let pages = |kind| {
        let changes = plan.changes.list.iter();
        changes.filter(|c| c.change == kind && is_page(&c.path)).count()
    };
    let (removed, added) = (pages(ChangeKind::Removed), pages(ChangeKind::Added));
    let ours = site.all_files().filter(|(path, _)| is_page(path)).count();
    let live = ours + removed - added.min(ours);
    check::removal::removes_too_much(live as u64, removed as u64, limit).then_some(Error::RemovesTooMuch {
        removed: removed as u64,
        live: live as u64,
        limit,
    })
}

/// For how many conflicts the host is asked which release wrote the other content. There are more only if all names
/// stay the same.
const TRACED: usize = 64;

/// Returns the immutable paths that would get different content than visitors have, without those in `allowed`.
///
/// # Errors
/// [`Error`] if the host can't be reached or refuses a request.
async fn conflicts(session: &Session, site: &Site, plan: &Plan, allowed: &GlobSet) -> Result<Vec<Conflict>, Error> {
    let paths = plan.conflicts.iter();
    let mut conflicts: Vec<Conflict> = paths
        .filter(|path| !allowed.is_match(path.as_str()))
        .filter_map(|path| {
            let file = site.file(path)?;
            Some(Conflict {
                path: path.clone(),
                new: Content {
                    digest: file.digest,
                    size: file.size,
                },
                old: None,
            })
        })
        .collect();
    let traced: BTreeSet<_> = conflicts.iter().take(TRACED).map(|c| c.path.clone()).collect();
    if traced.is_empty() {
        return Ok(conflicts);
    }
    let holders = open::holders(session, &traced).await?;
    for conflict in &mut conflicts {
        let known = holders.get(&conflict.path).into_iter().flatten();
        let mut others = known.filter(|holder| holder.file.digest != conflict.new.digest);
        conflict.old = others.next().map(|holder| Earlier {
            release: holder.release.clone(),
            commit: holder.commit.clone(),
            bytes: Content {
                digest: holder.file.digest,
                size: holder.file.size,
            },
        });
    }
    Ok(conflicts)
}

impl Publish<'_> {
    pub(super) fn check_owners(&self, facts: &HostFacts, store_state: &StoreState) -> Result<(), AttemptError> {
        for (path, attr) in &facts.owners {
            open::check_owner(self.session, path, *attr, store_state.uid)?;
        }
        Ok(())
    }

    /// Refuses to go on without `wait` if the release that this run was to replace is no longer live. A run whose lock
    /// was stolen, or whose connection was lost, may come back after other runs have published, and going on would undo
    /// their work without a request to.
    pub(super) fn refuse_to_overtake(&self, plan: &Plan, attempts: &mut Attempts) -> Result<(), AttemptError> {
        if !self.options.slot.is_live() {
            return Ok(());
        }
        let first = attempts.replaces.get_or_insert_with(|| Replaced(plan.previous.clone()));
        if self.options.wait.is_none() && first.0 != plan.previous {
            let by = plan.previous.clone();
            return Err(AttemptError::Failed(Error::ConcurrentPublish { by }));
        }
        Ok(())
    }
}

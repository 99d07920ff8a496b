//! Finds out what a publish has to do: enters the store, asks, and plans. It must not change anything that others see.

use std::collections::{BTreeSet, HashSet};

use super::{FormerFiles, Publish, Published};
use crate::model::event::{Running, Stage};
use crate::model::path::SitePath;
use crate::site::check::known::Reference;
use crate::store::Error;
use crate::store::attempt_error::AttemptError;
use crate::store::open::{self, OpenOptions, StoreSnapshot, StoreState};
use crate::store::plan::{self, HostFacts, Plan};
use crate::store::remote_cache::RemoteCache;
use crate::store::staging::StagingDir;

/// How many temporary files are opened in the first flight, before it is known how many will be needed.
const TEMPS_AHEAD: usize = 32;

/// How many manifests are kept open to copy from.
const BASES: usize = 64;

/// What is known before the host is asked. It saves round trips, and is not trusted for anything else.
#[derive(Clone, Copy, Default)]
pub(super) struct Hints<'a> {
    pub(super) seen: Option<&'a RemoteCache>,
    pub(super) store_snapshot: Option<&'a StoreSnapshot>,
}

/// What was found out before anything is sent.
pub(super) struct Inspection {
    pub(super) store_state: StoreState,
    pub(super) plan: Plan,
    pub(super) former: FormerFiles,
    /// What the findings of the site are compared with.
    pub(super) live: Reference,
}

impl Publish<'_> {
    /// Returns the result of the publish if the snapshot shows that the site is already live. Makes nothing on the
    /// host.
    pub(super) async fn already_live(
        &self,
        store_snapshot: Option<&StoreSnapshot>,
    ) -> Result<Option<Published>, AttemptError> {
        // A publish to a channel always makes a release, which names the commit and begins the channel's time again.
        let is_needless = !self.options.force && self.options.slot.is_live();
        let Some(store_snapshot) = store_snapshot.filter(|_| is_needless) else {
            return Ok(None);
        };
        if let Some(hold) = &store_snapshot.store_state.hold {
            return Err(AttemptError::Failed(Error::OnHold { hold: hold.clone() }));
        }
        // If anything else is live, a plan made here would not be used.
        let root = store_snapshot.facts.live.get(&SitePath::root()).copied().flatten();
        let Some(live) = store_snapshot
            .facts
            .current
            .as_ref()
            .filter(|_| root == Some(self.site.root))
        else {
            return Ok(None);
        };
        let Ok(plan) = Plan::new(self.site, &store_snapshot.facts) else {
            return Ok(None);
        };
        if !self.options.signing.is_met(self.session, live).await? {
            return Ok(None);
        }
        let owed = store_snapshot.store_state.delivery.clone();
        Ok(Some(self.unchanged(
            live.clone(),
            plan.changes,
            plan.changes_known,
            owed,
        )))
    }

    /// Enters the store, asks everything, and plans.
    pub(super) async fn inspect(
        &self,
        staging_dir: &mut StagingDir,
        unlinkable: &HashSet<String>,
        hints: Hints<'_>,
    ) -> Result<Inspection, AttemptError> {
        let _running = Running::begin(self.session.observer(), Stage::Plan);
        let mut facts = hints
            .store_snapshot
            .map(|store_snapshot| store_snapshot.facts.clone())
            .unwrap_or_default();
        facts.unlinkable.clone_from(unlinkable);
        let known = facts.current.clone();
        let expected = hints
            .seen
            .and_then(|seen| plan::expected_questions(self.site, seen, &mut facts));
        let about_findings = |facts: &HostFacts| {
            if self.options.refusals.problems.is_empty() {
                BTreeSet::new()
            } else {
                plan::findings_questions(facts)
            }
        };
        // Before the session is connected, nothing is known of the live release either.
        let most = if self.session.copies() { BASES } else { 0 };
        let mut questions = expected.unwrap_or_else(|| match hints.store_snapshot {
            Some(_) => plan::questions(self.site, &facts),
            None => plan::opening_questions(self.site),
        });
        questions.extend(about_findings(&facts));
        let along = OpenOptions {
            questions,
            temps: TEMPS_AHEAD,
            bases: plan::bases(self.site, &facts, most),
            ..OpenOptions::default()
        };
        let entered = open::open_store(self.session, staging_dir, &along, &mut facts).await?;
        let store_state = entered.store_state;
        if let Some(hold) = store_state.hold.as_ref().filter(|_| self.options.slot.is_live()) {
            return Err(AttemptError::Failed(Error::OnHold { hold: hold.clone() }));
        }
        if known.is_some() && known != store_state.current {
            // Another release went live in the meantime.
            facts.live.clear();
        }
        let next = |facts: &HostFacts| {
            let mut asked = plan::questions(self.site, facts);
            asked.extend(about_findings(facts));
            asked
        };
        let mut read = Vec::new();
        let kept = self.session.copies().then_some((&mut read, BASES));
        open::answer(self.session, &mut facts, entered.opened, kept, next).await?;
        staging_dir.keep_bases(read);
        self.check_owners(&facts, &store_state)?;
        let mut plan = Plan::new(self.site, &facts)
            .map_err(|open| AttemptError::Replan(format!("{} questions were left open", open.len())))?;
        if !self.options.slot.is_live() {
            plan.leave_pool();
        }
        let former = plan::former_files(&plan.changes, &facts);
        Ok(Inspection {
            store_state,
            plan,
            former,
            live: facts.live_findings(),
        })
    }
}

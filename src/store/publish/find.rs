//! Finding out what a publish has to do: enters the store, asks, and plans. Changes nothing that others see.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Publish, Published, Stop};
use crate::model::event::{Running, Stage};
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::site::check::known::Live;
use crate::store::Error;
use crate::store::open::{self, Along, Entrance, Ground};
use crate::store::plan::{self, Facts, Plan};
use crate::store::remote_cache::Seen;
use crate::store::staging::Workshop;
use crate::store::sync;

/// Temporary files that are opened in the first flight, before it is known how many will be needed.
const TEMPS_AHEAD: usize = 32;

/// So many manifests are kept open to copy from.
const BASES: usize = 64;

/// What is known before the host is asked. It saves round trips, and is trusted no further than that.
#[derive(Clone, Copy, Default)]
pub(super) struct Hints<'a> {
    pub(super) seen: Option<&'a Seen>,
    pub(super) ground: Option<&'a Ground>,
}

/// What was found out before anything is sent.
pub(super) struct Found {
    pub(super) entrance: Entrance,
    pub(super) plan: Plan,
    pub(super) former: HashMap<SitePath, Option<File>>,
    /// What the findings of the site are compared with.
    pub(super) live: Live,
}

impl Publish<'_> {
    /// What is published where the ground shows that it is live already. Nothing is made on the host for it.
    pub(super) async fn already_live(&self, ground: Option<&Ground>) -> Result<Option<Published>, Stop> {
        let Some(ground) = ground.filter(|_| !self.options.force) else {
            return Ok(None);
        };
        if let Some(hold) = &ground.entrance.hold {
            return Err(Stop::Failed(Error::OnHold { hold: hold.clone() }));
        }
        // A plan of anything else would be made for nothing.
        let root = ground.facts.live.get(&SitePath::root()).copied().flatten();
        let Some(live) = ground.facts.current.as_ref().filter(|_| root == Some(self.site.root)) else {
            return Ok(None);
        };
        let Ok(plan) = Plan::new(self.site, &ground.facts) else {
            return Ok(None);
        };
        if !self.options.signing.is_met(self.session, live).await? {
            return Ok(None);
        }
        let owed = ground.entrance.delivery.clone();
        Ok(Some(self.published(
            live.clone(),
            None,
            false,
            &plan,
            sync::Sent::default(),
            owed,
            self.options.refusals.of_live(),
        )))
    }

    /// Enters the store, asks everything, and plans.
    pub(super) async fn find_out(
        &self,
        workshop: &mut Workshop,
        worn: &HashSet<String>,
        hints: Hints<'_>,
    ) -> Result<Found, Stop> {
        let _running = Running::begin(self.observer, Stage::Plan);
        let mut facts = hints.ground.map(|ground| ground.facts.clone()).unwrap_or_default();
        facts.worn.clone_from(worn);
        let known = facts.current.clone();
        let expected = hints
            .seen
            .and_then(|seen| plan::expected_questions(self.site, seen, &mut facts));
        let about_findings = |facts: &Facts| {
            if self.options.refusals.problems.is_empty() {
                BTreeSet::new()
            } else {
                plan::findings_questions(facts)
            }
        };
        // One that is not connected yet has nothing that is known, either.
        let most = if self.session.copies() { BASES } else { 0 };
        let mut questions = expected.unwrap_or_else(|| match hints.ground {
            Some(_) => plan::questions(self.site, &facts),
            None => plan::opening_questions(self.site),
        });
        questions.extend(about_findings(&facts));
        let along = Along {
            questions,
            temps: TEMPS_AHEAD,
            bases: plan::bases(self.site, &facts, most),
            ..Along::default()
        };
        let entered = open::enter(self.session, workshop, &along, &mut facts).await?;
        let entrance = entered.entrance;
        if let Some(hold) = &entrance.hold {
            return Err(Stop::Failed(Error::OnHold { hold: hold.clone() }));
        }
        if known.is_some() && known != entrance.current {
            // Another release went live meanwhile.
            facts.live.clear();
        }
        let next = |facts: &Facts| {
            let mut asked = plan::questions(self.site, facts);
            asked.extend(about_findings(facts));
            asked
        };
        let mut read = Vec::new();
        let kept = self.session.copies().then_some((&mut read, BASES));
        open::find_out(self.session, &mut facts, entered.opened, kept, next).await?;
        workshop.keep_bases(read);
        self.check_owners(&facts, &entrance)?;
        let plan = Plan::new(self.site, &facts)
            .map_err(|open| Stop::Replan(format!("{} questions were left open", open.len())))?;
        let former = plan::former_files(&plan.changes, &facts);
        Ok(Found {
            entrance,
            plan,
            former,
            live: facts.live_findings(),
        })
    }
}

//! What a publish refuses to do, once it is planned. Asks nobody anything.

use super::{Publish, Stop};
use crate::check::{self, Severity};
use crate::error::Error;
use crate::event::{Event, Note};
use crate::manifest::{ChangeKind, is_page};
use crate::model::release::ReleaseId;
use crate::plan::{Facts, Plan};
use crate::store::{self, Entrance};

impl Publish<'_> {
    pub(super) fn check_owners(&self, facts: &Facts, entrance: &Entrance) -> Result<(), Stop> {
        let Some(ours) = entrance.uid else { return Ok(()) };
        for (path, uid, mode) in &facts.owners {
            let attr = crate::host::Attr {
                kind: crate::host::Kind::File,
                size: 0,
                mtime: 0,
                mode: *mode,
                uid: *uid,
            };
            store::check_owner(self.session, path, attr, ours)?;
        }
        Ok(())
    }

    /// A run that was robbed of the lock, or cut off, may come back after others have published: what it was to replace is
    /// no longer live, and going on would undo their work unasked.
    pub(super) fn refuse_to_overtake(&self, plan: &Plan, replaces: &mut Option<Option<ReleaseId>>) -> Result<(), Stop> {
        let first = replaces.get_or_insert_with(|| plan.previous.clone());
        if self.options.wait.is_none() && *first != plan.previous {
            let by = plan.previous.clone();
            return Err(Stop::Failed(Error::Overtaken { by }));
        }
        Ok(())
    }

    pub(super) fn refuse_mass_removal(&self, plan: &Plan) -> Result<(), Stop> {
        let Some(limit) = self.options.max_removed else {
            return Ok(());
        };
        let pages = |kind| {
            plan.changes
                .list
                .iter()
                .filter(|c| c.change == kind && is_page(&c.path))
                .count()
        };
        let (removed, added) = (pages(ChangeKind::Removed), pages(ChangeKind::Added));
        let ours = self.site.all_files().filter(|(path, _)| is_page(path)).count();
        let live = ours + removed - added.min(ours);
        if check::removal::removes_too_much(live as u64, removed as u64, limit) {
            let error = Error::RemovesTooMuch {
                removed: removed as u64,
                live: live as u64,
                limit,
            };
            return Err(Stop::Failed(error));
        }
        Ok(())
    }

    /// Readers keep an immutable file for a year: other bytes under its name would reach some of them, and not others.
    pub(super) fn judge_conflicts(&self, plan: &Plan) -> Result<(), Stop> {
        let conflicts = plan
            .conflicts
            .iter()
            .filter(|path| !self.options.allowed.is_match(path.as_str()));
        let problems = check::immutable::problems(conflicts, self.options.immutable);
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Stop::Failed(Error::Check { problems }));
        }
        for problem in problems {
            self.observer
                .notice(Event::Noted(Note::ImmutableReplaced { path: problem.path }));
        }
        Ok(())
    }
}

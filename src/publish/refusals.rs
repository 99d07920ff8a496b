//! What a publish refuses to do, once it is planned. Asks the host only who wrote what stands in the way.

use std::collections::BTreeSet;

use globset::GlobSet;

use super::{Publish, Stop};
use crate::check::immutable::{Bytes, Conflict, Earlier};
use crate::check::{self, Severity};
use crate::error::Error;
use crate::event::{Event, Note};
use crate::manifest::{ChangeKind, Site, is_page};
use crate::model::release::ReleaseId;
use crate::plan::{Facts, Plan};
use crate::session::Session;
use crate::store::{self, Entrance};

/// Of so many conflicts it is asked which release wrote the other bytes. There are more only where all names stay.
const TRACED: usize = 64;

/// The immutable paths that would get other bytes than readers have of them, without those in `allowed`.
///
/// # Errors
/// [`Error`] where the host can't be asked.
pub async fn conflicts(session: &Session, site: &Site, plan: &Plan, allowed: &GlobSet) -> Result<Vec<Conflict>, Error> {
    let paths = plan.conflicts.iter();
    let mut conflicts: Vec<Conflict> = paths
        .filter(|path| !allowed.is_match(path.as_str()))
        .filter_map(|path| {
            let file = site.file(path)?;
            Some(Conflict {
                path: path.clone(),
                new: Bytes {
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
    let holders = store::holders(session, &traced).await?;
    for conflict in &mut conflicts {
        let known = holders.get(&conflict.path).into_iter().flatten();
        let mut others = known.filter(|holder| holder.file.digest != conflict.new.digest);
        conflict.old = others.next().map(|holder| Earlier {
            release: holder.release.clone(),
            commit: holder.commit.clone(),
            bytes: Bytes {
                digest: holder.file.digest,
                size: holder.file.size,
            },
        });
    }
    Ok(conflicts)
}

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
    pub(super) async fn judge_conflicts(&self, plan: &Plan) -> Result<(), Stop> {
        let conflicts = conflicts(self.session, self.site, plan, &self.options.allowed).await?;
        let problems = check::immutable::problems(&conflicts, self.options.immutable);
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

//! The first operations of a publish that holds the lock, and what their answers mean.
//!
//! Pure, except for the names in the staging directory.

use super::Publish;
use crate::host::{Handle, Kind, Op, RefusalKind};
use crate::model::layout;
use crate::model::release::Hold;
use crate::store::attempt_error::AttemptError;
use crate::store::content::pool_folders;
use crate::store::flight::{Flight, Landed, Read, Ticket, Tickets};
use crate::store::pending_purges::Delivery;
use crate::store::plan::Plan;
use crate::store::staging::StagingDir;
use crate::store::{Error, StoreError, StorePath, open};

/// What a publish does first under the lock: moves the generation on, and reads again what the plan relies on.
pub(super) struct UnderLock {
    pub(super) flight: Flight,
    /// The generation before this run.
    pub(super) generation: Ticket<String>,
    /// That it was replaced.
    moved: Ticket,
    current: Ticket<String>,
    hold: Ticket<String>,
    delivery: Ticket<String>,
    /// Operations that must succeed.
    needed: [Tickets; 2],
    /// Folders of the pool: paths and tickets. A folder may be missing, but must not be a symlink.
    pool_folders: (Vec<String>, Tickets),
    /// The file that is synced last.
    pub(super) last: Ticket<Handle>,
}

impl UnderLock {
    pub(super) fn new(plan: &Plan, staging_dir: &StagingDir, records: &[(String, String)]) -> Self {
        let mut flight = Flight::default();
        let (generation, moved) = staging_dir.replace_generation(&mut flight);
        let records = records
            .iter()
            .map(|(temp, place)| Op::rename(staging_dir.path_holding(temp), place.clone()));
        let renamed = flight.extend(records);
        let current = flight.read_link(layout::CURRENT);
        let hold = flight.read_link(layout::HOLD);
        let delivery = flight.read_link(layout::DELIVERY);
        let trees = plan.relied_trees.iter().map(|digest| layout::tree(*digest));
        let pool = plan.relied_pool.iter().map(|path| layout::pool(path));
        let relied = flight.extend(trees.chain(pool).map(Op::Lstat));
        let folders: Vec<String> = pool_folders(plan.pool.iter().map(|file| &file.path))
            .into_iter()
            .collect();
        let folder_tickets = flight.extend(folders.iter().cloned().map(Op::Lstat));
        let last = staging_dir.open_last(&mut flight);
        Self {
            flight,
            generation,
            current,
            hold,
            delivery,
            moved,
            needed: [renamed, relied],
            pool_folders: (folders, folder_tickets),
            last,
        }
    }

    /// Compares what was found under the lock with what the plan was made from. Returns what the CDN still has to
    /// purge.
    pub(super) fn read(&self, publish: &Publish<'_>, answers: &Landed, plan: &Plan) -> Result<Delivery, AttemptError> {
        for ticket in [self.current, self.hold, self.delivery] {
            if let Some(refusal) = answers.to(ticket).reply().unexpected_refusal() {
                return Err(AttemptError::Replan(refusal.to_string()));
            }
        }
        // A channel replaces nothing that is live, and a hold is about what is live.
        if publish.options.slot.is_live() {
            let current = answers
                .to(self.current)
                .text()
                .and_then(|text| open::read_current(&text));
            if current != plan.previous {
                if publish.options.wait.is_some() {
                    return Err(AttemptError::Contention("another release went live".to_owned()));
                }
                return Err(AttemptError::Failed(Error::ConcurrentPublish { by: current }));
            }
            if let Some(text) = answers.to(self.hold).text() {
                let hold = Hold::read(&text);
                return Err(AttemptError::Failed(Error::OnHold { hold }));
            }
        }
        let (folders, tickets) = &self.pool_folders;
        for (path, answer) in folders.iter().zip(answers.all(tickets)) {
            if answer.attr().is_some_and(|attr| attr.kind != Kind::Folder) {
                let (host, path) = (publish.session.host_name(), StorePath::below(path));
                return Err(AttemptError::Failed(StoreError::NotAFolder { host, path }.into()));
            }
        }
        let needed = self.needed.iter().flat_map(|tickets| answers.all(tickets));
        let mut needed = answers.to(self.moved).reply().into_iter().chain(needed);
        if let Some(refusal) = needed.find_map(Read::refusal) {
            return Err(match refusal.kind {
                // A prune took away what the plan relied on.
                RefusalKind::NotFound => AttemptError::Contention(refusal.to_string()),
                _ => AttemptError::Replan(refusal.to_string()),
            });
        }
        Ok(Delivery::read(answers.to(self.delivery).text()))
    }
}

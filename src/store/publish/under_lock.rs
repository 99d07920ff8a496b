//! The first operations of a publish that holds the lock, and what their answers mean.
//!
//! Pure, but for the names of the workshop.

use super::AttemptError;
use crate::host::{Answer, Kind, Op, Refusal, RefusalKind};
use crate::model::layout;
use crate::model::release::Hold;
use crate::store::Error;
use crate::store::StoreError;
use crate::store::open;
use crate::store::pending_purges::Delivery;
use crate::store::plan::Plan;
use crate::store::session::Read;
use crate::store::staging::StagingDir;
use crate::store::sync;

/// What happens first once the lock is held: the generation moves on, and what the plan relies on is asked again.
pub(super) struct UnderLock {
    pub(super) ops: Vec<Op>,
    /// Where the question for `current` stands, with those for `hold` and `delivery` behind it. All others up to `relied` must
    /// succeed.
    current: usize,
    /// Where folders of the pool are asked for, which may be missing, but not lead elsewhere.
    relied: usize,
}

impl UnderLock {
    pub(super) fn new(plan: &Plan, staging_dir: &StagingDir, records: &[(String, String)]) -> Self {
        let mut ops = vec![
            Op::ReadLink(layout::GENERATION.to_owned()),
            Op::Rename {
                from: staging_dir.path_holding("gen"),
                to: layout::GENERATION.to_owned(),
            },
        ];
        ops.extend(records.iter().map(|(temp, place)| Op::Rename {
            from: staging_dir.path_holding(temp),
            to: place.clone(),
        }));
        let current = ops.len();
        ops.push(Op::ReadLink(layout::CURRENT.to_owned()));
        ops.push(Op::ReadLink(layout::HOLD.to_owned()));
        ops.push(Op::ReadLink(layout::DELIVERY.to_owned()));
        ops.extend(plan.relied_trees.iter().map(|digest| Op::Lstat(layout::tree(*digest))));
        ops.extend(plan.relied_pool.iter().map(|path| Op::Lstat(layout::pool(path))));
        let relied = ops.len();
        let pool = sync::folders_of_pool(plan.pool.iter().map(|file| &file.path));
        ops.extend(pool.iter().map(|folder| Op::Lstat(layout::pool(folder.as_str()))));
        ops.push(staging_dir.open_last());
        Self { ops, current, relied }
    }

    /// What was found under the lock, against what the plan was made from. Returns what is known of the way to visitors.
    pub(super) fn read(
        &self,
        host: &str,
        answers: &[Result<Answer, Refusal>],
        plan: &Plan,
        patient: bool,
    ) -> Result<Delivery, AttemptError> {
        for answer in answers.iter().skip(self.current).take(3) {
            if let Some(refusal) = answer.refusal().filter(|refusal| refusal.kind != RefusalKind::NotFound) {
                return Err(AttemptError::Replan(refusal.to_string()));
            }
        }
        let current = answers
            .get(self.current)
            .and_then(Read::text)
            .and_then(|text| open::read_current(&text));
        if current != plan.previous {
            if patient {
                return Err(AttemptError::Contention("another release went live".to_owned()));
            }
            return Err(AttemptError::Failed(Error::ConcurrentPublish { by: current }));
        }
        if let Some(text) = answers.get(self.current + 1).and_then(Read::text) {
            let hold = serde_json::from_str::<Hold>(&text).unwrap_or(Hold {
                reason: text,
                who: String::new(),
                since: 0,
            });
            return Err(AttemptError::Failed(Error::OnHold { hold }));
        }
        for (op, answer) in self.ops.iter().zip(answers).skip(self.relied) {
            if let (Op::Lstat(path), Some(attr)) = (op, answer.attr())
                && attr.kind != Kind::Folder
            {
                let (host, path) = (host.to_owned(), path.clone());
                return Err(AttemptError::Failed(StoreError::NotAFolder { host, path }.into()));
            }
        }
        let must = answers.get(..self.relied).unwrap_or(answers);
        for answer in must
            .iter()
            .take(self.current)
            .skip(1)
            .chain(must.iter().skip(self.current + 3))
        {
            match answer.refusal() {
                // A prune took away what the plan relied on.
                Some(refusal) if refusal.kind == RefusalKind::NotFound => {
                    return Err(AttemptError::Contention(refusal.to_string()));
                }
                Some(refusal) => return Err(AttemptError::Replan(refusal.to_string())),
                None => {}
            }
        }
        let delivery = answers.get(self.current + 2).and_then(Read::text);
        Ok(delivery.map(|text| Delivery::read(&text)).unwrap_or_default())
    }
}

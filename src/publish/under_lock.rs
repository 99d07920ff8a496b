//! What a publish does first once it holds the lock, and how it reads the answers.
//!
//! Builds operations and judges answers; sends nothing.

use super::Stop;
use crate::error::Error;
use crate::host::{Op, RefusalKind};
use crate::model::layout;
use crate::model::release::{Hold, ReleaseId};
use crate::plan::Plan;
use crate::session::Read;
use crate::store;
use crate::workshop::Workshop;

/// What happens first once the lock is held: the generation moves on, and what the plan relies on is asked again.
pub(super) struct UnderLock {
    pub(super) ops: Vec<Op>,
}

const UNDER_LOCK_FIXED: usize = 5;

impl UnderLock {
    pub(super) fn new(plan: &Plan, workshop: &Workshop, document: &str, release: &ReleaseId) -> Self {
        let mut ops = vec![
            Op::ReadLink(layout::GENERATION.to_owned()),
            Op::Rename {
                from: workshop.path_holding("gen"),
                to: layout::GENERATION.to_owned(),
            },
            Op::Rename {
                from: workshop.path_holding(document),
                to: layout::release_document(release),
            },
            Op::ReadLink(layout::CURRENT.to_owned()),
            Op::ReadLink(layout::HOLD.to_owned()),
        ];
        ops.extend(plan.relied_trees.iter().map(|digest| Op::Lstat(layout::tree(*digest))));
        ops.extend(plan.relied_pool.iter().map(|path| Op::Lstat(layout::pool(path))));
        Self { ops }
    }

    /// What was found under the lock, against what the plan was made from.
    pub(super) fn read(
        answers: &[Result<crate::host::Answer, crate::host::Refusal>],
        plan: &Plan,
        patient: bool,
    ) -> Result<(), Stop> {
        for answer in answers.iter().skip(3).take(2) {
            if let Some(refusal) = answer.refusal().filter(|refusal| refusal.kind != RefusalKind::NotFound) {
                return Err(Stop::Replan(refusal.to_string()));
            }
        }
        let current = answers
            .get(3)
            .and_then(Read::text)
            .and_then(|text| store::read_current(&text));
        if current != plan.previous {
            if patient {
                return Err(Stop::Replan("another release went live".to_owned()));
            }
            return Err(Stop::Failed(Error::Overtaken { by: current }));
        }
        if let Some(text) = answers.get(4).and_then(Read::text) {
            let hold = serde_json::from_str::<Hold>(&text).unwrap_or(Hold {
                reason: text,
                who: String::new(),
                since: 0,
            });
            return Err(Stop::Failed(Error::OnHold { hold }));
        }
        for answer in answers
            .iter()
            .skip(1)
            .take(2)
            .chain(answers.iter().skip(UNDER_LOCK_FIXED))
        {
            if let Some(refusal) = answer.refusal() {
                return Err(Stop::Replan(refusal.to_string()));
            }
        }
        Ok(())
    }
}

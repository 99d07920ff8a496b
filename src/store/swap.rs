//! Makes a release live by a series of renames, the last of which moves `current`, or the symlink of a channel.
//!
//! Only this module may move one of these. Each rename names its source by a path that leads through what the rename
//! before it put in place. So they can be sent together, and none takes effect after one that failed.

use crate::host::Op;
use crate::model::channel::Slot;
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::release::ReleaseId;
use crate::store::plan::Plan;
use crate::store::staging::StagingDir;
use crate::store::sync::tree_name;

/// Returns the renames that put a release into a slot. Each resolves only through the one before it, so they can be sent
/// together.
#[must_use]
pub fn commit_ops(plan: &Plan, release: &ReleaseId, slot: &Slot, staging_dir: &mut StagingDir) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut before: Option<Digest> = None;
    let guard = |before: Option<Digest>, path: String| match before {
        Some(tree) => layout::guarded_by_tree(tree, &path),
        None => path,
    };
    for (index, tree) in plan.trees.iter().enumerate() {
        let from = guard(before, staging_dir.path_holding(&tree_name(index)));
        ops.push(Op::rename(from, layout::tree(tree.digest)));
        staging_dir.moved_out(&tree_name(index));
        before = Some(tree.digest);
        // In a long flight this shows that the holder is alive.
        if index % 1000 == 999 {
            ops.push(staging_dir.beat());
        }
    }
    let root = Some(plan.root);
    let from = guard(root, staging_dir.path_holding("rel"));
    ops.push(Op::rename(from, layout::release(release)));
    ops.push(swap(release, slot, staging_dir));
    ops
}

/// Returns the rename that moves a slot's symlink, which is staged as `cur`, out of the staging directory of a run that holds the lock. It resolves only
/// through the release.
#[must_use]
pub fn swap(release: &ReleaseId, slot: &Slot, staging_dir: &StagingDir) -> Op {
    let from = layout::guarded_by_release(release, &staging_dir.path_holding("cur"));
    Op::rename(from, layout::slot(slot))
}

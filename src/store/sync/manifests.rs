//! Writing the manifests of new trees. What the previous version of a tree has in common is copied on the host, where it can do that.
//!
//! A copy is of what the host has under the digest of the previous one. Were it damaged there, the new manifest would be, too;
//! no visitor is served one, and anyone who reads one compares its digest. It must never copy from anything else.

use super::{RIDING_FILES, StagedObjects, SyncError, Work, open_temps, write_document, write_documents};
use crate::host::{Handle, Op};
use crate::store::plan::{NewTree, Plan, SharedRun};
use crate::store::staging::StagingDir;
use crate::store::sync::Times;

/// Writes the manifest of each new tree into a temporary file, in the order of the plan.
///
/// # Errors
/// [`SyncError`].
pub async fn write_manifests(
    work: &Work<'_>,
    plan: &Plan,
    staged_objects: &mut StagedObjects,
    staging_dir: &mut StagingDir,
    times: &mut Times,
) -> Result<Vec<String>, SyncError> {
    let trees = &plan.trees;
    if trees.len() > RIDING_FILES {
        let texts = trees.iter().map(|tree| tree.tree.render());
        return write_documents(work, texts, staged_objects, staging_dir, times).await;
    }
    open_temps(work.session, staging_dir, trees.len()).await?;
    let mut temps = Vec::with_capacity(trees.len());
    for tree in trees {
        let text = tree.tree.render();
        let temp = match base(tree, staging_dir) {
            Some(base) => composed(base, &tree.shared, &text, staged_objects, staging_dir, times),
            None => write_document(staged_objects, staging_dir, times, text),
        };
        temps.extend(temp);
    }
    Ok(temps)
}

/// The manifest to copy from, where it is open, as it is only where the host can copy.
fn base(tree: &NewTree, staging_dir: &StagingDir) -> Option<Handle> {
    let former = tree.former.filter(|_| !tree.shared.is_empty())?;
    staging_dir.base(former)
}

/// A manifest made of runs of the previous one and of what is new between them.
fn composed(
    base: Handle,
    shared: &[SharedRun],
    text: &str,
    staged_objects: &mut StagedObjects,
    staging_dir: &mut StagingDir,
    times: &mut Times,
) -> Option<String> {
    let (temp, handle) = staging_dir.take_temp()?;
    let new = |from: usize, to: usize| {
        (from < to).then(|| Op::Write {
            handle,
            offset: from as u64,
            bytes: text.as_bytes()[from..to].to_vec(),
        })
    };
    // From the front to the end: that a copy came whole shows by the length of the file.
    let mut end = 0;
    for run in shared {
        staged_objects.riding.extend(new(end, run.at));
        staged_objects.riding.push(Op::Copy {
            from: base,
            offset: run.from as u64,
            length: run.length as u64,
            to: handle,
            at: run.at as u64,
        });
        end = run.at + run.length;
    }
    staged_objects.riding.extend(new(end, text.len()));
    let mtime = times.next(text.len() as u64);
    staged_objects.riding.push(Op::Finish { handle, mtime });
    Some(temp)
}

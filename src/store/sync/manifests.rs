//! Writes the manifests of new trees. The lines that a tree's previous manifest has too are copied on the host, if the
//! host can copy.
//!
//! The host copies what it has under the digest of the previous manifest. If that is damaged, the new manifest is
//! damaged, too. Visitors are served no manifest, and every reader of one compares its digest. This module must never
//! copy from anything else.

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

/// Returns the previous manifest to copy from, if it is open. It is open only if the host can copy.
fn base(tree: &NewTree, staging_dir: &StagingDir) -> Option<Handle> {
    let former = tree.former.filter(|_| !tree.shared.is_empty())?;
    staging_dir.base(former)
}

/// Writes a manifest that consists of runs of lines of the previous one and the new lines between them.
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
    // Written from start to end, so that the length of the file shows that each copy was complete.
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

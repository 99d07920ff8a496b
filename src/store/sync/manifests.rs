//! Writes the manifests of new trees. The lines that a tree's previous manifest has too are copied on the host, if the
//! host can copy.
//!
//! The host copies what it has under the digest of the previous manifest. If that is damaged, the new manifest is
//! damaged, too. Visitors are served no manifest, and every reader of one compares its digest. This module must never
//! copy from anything else.

use super::{RIDING_FILES, Sender};
use crate::host::{Handle, Op};
use crate::store::attempt_error::AttemptError;
use crate::store::plan::{Plan, SharedRun};

impl Sender<'_> {
    /// Writes the manifest of each new tree into a temporary file, in the order of the plan.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub async fn write_manifests(&mut self, plan: &Plan) -> Result<Vec<String>, AttemptError> {
        let trees = &plan.trees;
        if trees.len() > RIDING_FILES {
            return self.write_documents(trees.iter().map(|tree| tree.tree.render())).await;
        }
        self.open_temps(trees.len()).await?;
        let mut temps = Vec::with_capacity(trees.len());
        for tree in trees {
            let text = tree.tree.render();
            // The previous manifest is open only if the host can copy.
            let former = tree.former.filter(|_| !tree.shared.is_empty());
            temps.push(match former.and_then(|former| self.staging_dir.base(former)) {
                Some(base) => self.compose(base, &tree.shared, &text)?,
                None => self.write_riding(text.into_bytes())?,
            });
        }
        Ok(temps)
    }

    /// Writes a manifest that consists of runs of lines of the previous one and the new lines between them.
    fn compose(&mut self, base: Handle, shared: &[SharedRun], text: &str) -> Result<String, AttemptError> {
        let (temp, handle) = self.take_temp()?;
        let new = |from: usize, to: usize| {
            (from < to).then(|| Op::Write {
                handle,
                offset: from as u64,
                bytes: text.as_bytes()[from..to].to_vec(),
            })
        };
        let riding = &mut self.staged_objects.riding;
        // Written from start to end, so that the length of the file shows that each copy was complete.
        let mut end = 0;
        for run in shared {
            riding.extend(new(end, run.at));
            riding.push(Op::Copy {
                from: base,
                offset: run.from as u64,
                length: run.length as u64,
                to: handle,
                at: run.at as u64,
            });
            end = run.at + run.length;
        }
        riding.extend(new(end, text.len()));
        let mtime = self.times.next(text.len() as u64);
        riding.push(Op::Finish { handle, mtime });
        Ok(temp)
    }
}

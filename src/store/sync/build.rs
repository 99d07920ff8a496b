//! Builds new trees, and additions to the pool, in the staging directory.
//!
//! This module decides which operations build them and what a refusal of each means. Building must never change
//! anything that visitors can reach; only the renames of [`pool_ops`] do, under the lock.

use std::collections::{BTreeSet, HashSet};

use super::{StagedObjects, SyncError};
use crate::host::{Answer, Op, Refusal, RefusalKind};
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::layout;
use crate::model::path::SitePath;
use crate::model::tree::Entry;
use crate::store::StoreError;
use crate::store::flight::Read;
use crate::store::plan::{NewTree, Plan, PoolFile};
use crate::store::refusal::explain;
use crate::store::session::Session;
use crate::store::staging::StagingDir;

/// What it means if an operation of a building flight is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RefusalMeaning {
    /// The operation must succeed.
    Must,
    /// A link from the previous version of this tree, by its index in the plan. If it is refused although that version
    /// is there, its file of this name may have as many hard links as the file system allows.
    FromFormer(usize),
    /// The same for an encoding of an unchanged file, which may not exist.
    MayBeMissing(usize),
    /// A copy of content that is on the host. If it is refused, the content is sent instead.
    Copied,
    /// A link from an object. If it is refused although the object is there, the object has as many hard links as the
    /// file system allows.
    FromObject(String),
}

/// A building flight is closed at this number of operations, because each has an answer and two paths, and all of them
/// are kept in memory until the last one is answered.
const FLIGHT: usize = 16 * 1024;

/// The operations that build the new trees in the staging directory, and what their refusals mean. The last flight also
/// acquires the lock; a large plan takes as many flights before it as it needs.
pub struct Building<'p> {
    plan: &'p Plan,
    trees: usize,
    additions: usize,
    ops: Vec<Op>,
    weights: Vec<RefusalMeaning>,
    replan: Option<String>,
}

/// Returns the name of a new tree in the staging directory.
#[must_use]
pub fn tree_name(index: usize) -> String {
    format!("t/{index}")
}

/// Returns the name of an addition to the pool in the staging directory.
#[must_use]
pub fn pool_name(index: usize) -> String {
    format!("p/{index}")
}

impl<'p> Building<'p> {
    /// Prepares to build everything that a plan needs: trees, additions to the pool, and before them the riding writes.
    #[must_use]
    pub fn new(plan: &'p Plan, staged_objects: &mut StagedObjects) -> Self {
        let mut building = Self {
            plan,
            trees: 0,
            additions: 0,
            ops: Vec::new(),
            weights: Vec::new(),
            replan: None,
        };
        for op in staged_objects.take_riding() {
            let weight = match op {
                Op::Copy { .. } => RefusalMeaning::Copied,
                _ => RefusalMeaning::Must,
            };
            building.push(op, weight);
        }
        building
    }

    /// Sends all flights but the last. The operations of the last are collected when this function returns.
    ///
    /// # Errors
    /// As [`Building::read`].
    pub async fn send_ahead(
        &mut self,
        session: &Session,
        staged_objects: &mut StagedObjects,
        staging_dir: &mut StagingDir,
        unlinkable: &mut HashSet<String>,
    ) -> Result<(), SyncError> {
        loop {
            let is_last = self.collect(staged_objects, staging_dir);
            if is_last && self.replan.is_none() {
                return Ok(());
            }
            // If the plan must be made again anyway, the rest is built to find everything that can't be linked any
            // more.
            let answers = session.flight(self.take_ops()).await?;
            self.note(session, &answers, unlinkable).await?;
            if is_last {
                return self.judge();
            }
        }
    }

    /// Collects the operations of the next flight. Returns whether it is the last.
    fn collect(&mut self, staged_objects: &mut StagedObjects, staging_dir: &mut StagingDir) -> bool {
        let plan = self.plan;
        while self.ops.len() < FLIGHT {
            if let Some(tree) = plan.trees.get(self.trees) {
                self.tree(self.trees, tree, staged_objects, staging_dir);
                self.trees += 1;
            } else if let Some(file) = plan.pool.get(self.additions) {
                self.pool(self.additions, file, staged_objects, staging_dir);
                self.additions += 1;
            } else {
                return true;
            }
        }
        false
    }

    fn push(&mut self, op: Op, weight: RefusalMeaning) {
        self.ops.push(op);
        self.weights.push(weight);
    }

    fn tree(&mut self, index: usize, tree: &NewTree, staged_objects: &mut StagedObjects, staging_dir: &mut StagingDir) {
        let at = staging_dir.path_preparing(&tree_name(index));
        let make = staging_dir.folder(&tree_name(index));
        self.push(make, RefusalMeaning::Must);
        for (name, entry) in &tree.tree.entries {
            let to = format!("{at}/{name}");
            let former = tree.former.filter(|_| tree.unchanged.contains(name));
            match (entry, former) {
                (Entry::Folder(_) | Entry::Redirect(_), Some(former)) => {
                    self.push(
                        Op::Link {
                            from: format!("{}/{name}", layout::tree(former)),
                            to,
                        },
                        RefusalMeaning::FromFormer(index),
                    );
                }
                (Entry::Folder(digest), None) => {
                    self.push(
                        Op::Symlink {
                            text: layout::tree_link(*digest),
                            at: to,
                        },
                        RefusalMeaning::Must,
                    );
                }
                (Entry::Redirect(redirect), None) => {
                    self.push(
                        Op::Symlink {
                            text: layout::moved_link(redirect),
                            at: to,
                        },
                        RefusalMeaning::Must,
                    );
                }
                (Entry::File(file), Some(former)) => {
                    let from = format!("{}/{name}", layout::tree(former));
                    self.push(
                        Op::Link {
                            from: from.clone(),
                            to: to.clone(),
                        },
                        RefusalMeaning::FromFormer(index),
                    );
                    for (coding, _) in file.encodings.iter() {
                        let link = Op::Link {
                            from: coding.beside(&from),
                            to: coding.beside(&to),
                        };
                        self.push(link, RefusalMeaning::MayBeMissing(index));
                    }
                }
                (Entry::File(file), None) => self.file(file.digest, file.encodings, &to, staged_objects, staging_dir),
            }
        }
    }

    fn pool(
        &mut self,
        index: usize,
        file: &PoolFile,
        staged_objects: &mut StagedObjects,
        staging_dir: &mut StagingDir,
    ) {
        let to = staging_dir.path_preparing(&pool_name(index));
        if file.replaces {
            // A rename onto another hard link of the same file leaves the source in the staging directory.
            staging_dir.litter_file(&pool_name(index));
            for coding in Coding::ALL {
                staging_dir.litter_file(&coding.beside(&pool_name(index)));
                staging_dir.litter_file(&coding.beside(&format!("trash/{index}")));
            }
        }
        self.file(file.digest, file.encodings, &to, staged_objects, staging_dir);
    }

    fn file(
        &mut self,
        digest: Digest,
        encodings: crate::model::encoding::Encodings,
        to: &str,
        staged_objects: &mut StagedObjects,
        staging_dir: &StagingDir,
    ) {
        let identity = (layout::object(digest), to.to_owned());
        let encoded = encodings
            .iter()
            .map(|(coding, recipe)| (layout::encoded_object(digest, coding, recipe), coding.beside(to)));
        for (name, to) in std::iter::once(identity).chain(encoded) {
            if let Some(from) = staged_objects.place(staging_dir, &name) {
                self.push(Op::Link { from, to }, RefusalMeaning::FromObject(name));
            }
        }
    }

    /// Takes the operations that were collected.
    pub fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    /// Returns the number of answers that the most recently collected flight gets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether nothing was collected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Reads the answers of the last flight. Adds to `unlinkable` the objects that can't be linked any more, and the
    /// trees that contain such files.
    ///
    /// # Errors
    /// [`SyncError::Replan`] if the plan must be made again, [`SyncError::Store`] for anything else.
    pub async fn read(
        &mut self,
        session: &Session,
        answers: &[Result<Answer, Refusal>],
        unlinkable: &mut HashSet<String>,
    ) -> Result<(), SyncError> {
        self.note(session, answers, unlinkable).await?;
        self.judge()
    }

    async fn note(
        &mut self,
        session: &Session,
        answers: &[Result<Answer, Refusal>],
        unlinkable: &mut HashSet<String>,
    ) -> Result<(), SyncError> {
        let mut has_asked = false;
        for (weight, answer) in std::mem::take(&mut self.weights).iter().zip(answers) {
            let Some(refusal) = answer.refusal() else { continue };
            let spent = match (weight, refusal.kind) {
                (RefusalMeaning::MayBeMissing(_), RefusalKind::NotFound) => continue,
                (RefusalMeaning::Copied, _) => {
                    session.forgo_copies();
                    None
                }
                (RefusalMeaning::FromObject(name), RefusalKind::Failed) => Some(name.clone()),
                (RefusalMeaning::FromFormer(tree) | RefusalMeaning::MayBeMissing(tree), RefusalKind::Failed) => {
                    let tree = self.plan.trees.get(*tree);
                    tree.and_then(|tree| tree.former).map(layout::tree)
                }
                (_, RefusalKind::NotFound) => None,
                _ => return Err(explain(session, refusal).await.into()),
            };
            if spent.is_some() && !has_asked {
                has_asked = true;
                // The file has too many links, or the disk is full. Another copy fixes only the former.
                if let full @ StoreError::DiskFull { .. } = explain(session, refusal).await {
                    return Err(full.into());
                }
            }
            unlinkable.extend(spent);
            self.replan = Some(refusal.to_string());
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<(), SyncError> {
        self.replan.take().map_or(Ok(()), |what| Err(SyncError::Replan(what)))
    }
}

/// Returns the operations that add to the pool under the lock: first the folders, then the files with their encodings,
/// by rename.
#[must_use]
pub fn pool_ops(plan: &Plan, staging_dir: &StagingDir) -> Vec<Op> {
    let mut ops = pool_folders(plan.pool.iter().map(|file| &file.path), staging_dir);
    for (index, file) in plan.pool.iter().enumerate() {
        let (from, to) = (
            staging_dir.path_holding(&pool_name(index)),
            layout::pool(file.path.as_str()),
        );
        if file.replaces {
            // Encodings of the previous content must not stay next to the new file, which may have none.
            for coding in Coding::ALL {
                ops.push(Op::Rename {
                    from: coding.beside(&to),
                    to: staging_dir.path_holding(&coding.beside(&format!("trash/{index}"))),
                });
            }
        }
        // Encodings first, so that a file in the pool has all of its encodings.
        for (coding, _) in file.encodings.iter() {
            ops.push(Op::Rename {
                from: coding.beside(&from),
                to: coding.beside(&to),
            });
        }
        ops.push(Op::Rename { from, to });
    }
    ops.extend(answer_folders(plan, staging_dir));
    ops
}

/// Returns the operations that make the folders that spell the answers of new redirects, parents before children. A
/// refusal because a folder exists is not an error. The trees that need them are put in place later.
fn answer_folders(plan: &Plan, staging_dir: &StagingDir) -> Vec<Op> {
    let mut folders = BTreeSet::new();
    for answer in &plan.answers {
        let ends = answer.match_indices('/').map(|(at, _)| at).chain([answer.len()]);
        folders.extend(ends.map(|end| &answer[..end]));
    }
    let through = staging_dir.path_holding("../..");
    let folders = folders.into_iter();
    folders
        .map(|folder| Op::MakeFolder(format!("{through}/{folder}")))
        .collect()
}

/// Returns the pool folders that contain the given public paths, parents before children.
pub(crate) fn folders_of_pool<'p>(paths: impl Iterator<Item = &'p SitePath>) -> BTreeSet<SitePath> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| !folder.is_root()) {
            above = folder.parent();
            folders.insert(folder);
        }
    }
    folders
}

/// Returns the operations that make the pool folders of the given public paths. A refusal because a folder exists is
/// not an error.
pub(crate) fn pool_folders<'p>(paths: impl Iterator<Item = &'p SitePath>, staging_dir: &StagingDir) -> Vec<Op> {
    let folders = folders_of_pool(paths);
    // The path through the staging directory makes this operation depend on the lock, too.
    let through = staging_dir.path_holding("../..");
    folders
        .iter()
        .map(|folder| Op::MakeFolder(format!("{through}/{}", layout::pool(folder.as_str()))))
        .collect()
}

//! Builds new trees, and additions to the pool, in the staging directory.
//!
//! This module decides which operations build them and what a refusal of each means. Building must never change
//! anything that visitors can reach; only the renames of [`pool_ops`] do, under the lock.

use std::collections::BTreeSet;

use std::collections::HashSet;

use super::StagedObjects;
use crate::host::{Kind, Op, Refusal, RefusalKind, Reply};
use crate::model::encoding::Coding;
use crate::model::layout;
use crate::model::path::SitePath;
use crate::model::tree::{Entry, File};
use crate::store::StoreError;
use crate::store::attempt_error::AttemptError;
use crate::store::content::{Content, pool_folders};
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
    session: &'p Session,
    plan: &'p Plan,
    staged_objects: &'p mut StagedObjects,
    /// The objects that can't be linked any more, and the trees that contain such files.
    unlinkable: &'p mut HashSet<String>,
    trees: usize,
    additions: usize,
    ops: Vec<Op>,
    weights: Vec<RefusalMeaning>,
    replan: Option<String>,
}

/// Returns the name of a new tree in the staging directory.
pub fn tree_name(index: usize) -> String {
    format!("t/{index}")
}

/// Returns the name of an addition to the pool in the staging directory.
pub fn pool_name(index: usize) -> String {
    format!("p/{index}")
}

impl<'p> Building<'p> {
    /// Prepares to build everything that a plan needs: trees, additions to the pool, and before them the riding writes.
    pub fn new(
        session: &'p Session,
        plan: &'p Plan,
        staged_objects: &'p mut StagedObjects,
        unlinkable: &'p mut HashSet<String>,
    ) -> Self {
        let riding = staged_objects.take_riding();
        let mut building = Self {
            session,
            plan,
            staged_objects,
            unlinkable,
            trees: 0,
            additions: 0,
            ops: Vec::new(),
            weights: Vec::new(),
            replan: None,
        };
        for op in riding {
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
    pub async fn send_ahead(&mut self, staging_dir: &mut StagingDir) -> Result<(), AttemptError> {
        loop {
            let is_last = self.collect(staging_dir);
            if is_last && self.replan.is_none() {
                return Ok(());
            }
            // If the plan must be made again anyway, the rest is built to find everything that can't be linked any
            // more.
            let ops = self.take_ops();
            let answers = self.session.flight(ops).await?;
            self.note(&answers).await?;
            if is_last {
                return self.outcome();
            }
        }
    }

    /// Collects the operations of the next flight. Returns whether it is the last.
    fn collect(&mut self, staging_dir: &mut StagingDir) -> bool {
        let plan = self.plan;
        while self.ops.len() < FLIGHT {
            if let Some(tree) = plan.trees.get(self.trees) {
                self.tree(self.trees, tree, staging_dir);
                self.trees += 1;
            } else if let Some(file) = plan.pool.get(self.additions) {
                self.pool(self.additions, file, staging_dir);
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

    fn tree(&mut self, index: usize, tree: &NewTree, staging_dir: &mut StagingDir) {
        let at = staging_dir.path_preparing(&tree_name(index));
        let make = staging_dir.folder(&tree_name(index));
        self.push(make, RefusalMeaning::Must);
        for (name, entry) in &tree.tree.entries {
            let to = format!("{at}/{name}");
            let former = tree.former.filter(|_| tree.unchanged.contains(name));
            match (entry, former) {
                (Entry::Folder(_) | Entry::Redirect(_), Some(former)) => {
                    let link = Op::link(format!("{}/{name}", layout::tree(former)), to);
                    self.push(link, RefusalMeaning::FromFormer(index));
                }
                (Entry::Folder(digest), None) => {
                    self.push(Op::symlink(layout::tree_link(*digest), to), RefusalMeaning::Must);
                }
                (Entry::Redirect(redirect), None) => {
                    self.push(Op::symlink(layout::moved_link(redirect), to), RefusalMeaning::Must);
                }
                (Entry::File(file), Some(former)) => {
                    let from = format!("{}/{name}", layout::tree(former));
                    for content in Content::of_file(file) {
                        let meaning = match content.encoded {
                            Some(_) => RefusalMeaning::MayBeMissing(index),
                            None => RefusalMeaning::FromFormer(index),
                        };
                        self.push(Op::link(content.beside(&from), content.beside(&to)), meaning);
                    }
                }
                (Entry::File(file), None) => self.file(file, &to, staging_dir),
            }
        }
    }

    fn pool(&mut self, index: usize, file: &PoolFile, staging_dir: &mut StagingDir) {
        let to = staging_dir.path_preparing(&pool_name(index));
        if file.replaces {
            // A rename onto another hard link of the same file leaves the source in the staging directory.
            staging_dir.litter_file(&pool_name(index));
            for coding in Coding::ALL {
                staging_dir.litter_file(&coding.beside(&pool_name(index)));
                staging_dir.litter_file(&coding.beside(&format!("trash/{index}")));
            }
        }
        self.file(&file.file, &to, staging_dir);
    }

    fn file(&mut self, file: &File, to: &str, staging_dir: &StagingDir) {
        for content in Content::of_file(file) {
            let name = content.object();
            if let Some(from) = self.staged_objects.place(staging_dir, &name) {
                self.push(Op::link(from, content.beside(to)), RefusalMeaning::FromObject(name));
            }
        }
    }

    /// Takes the operations that were collected.
    pub fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    /// Reads the answers of the last flight. Adds to `unlinkable` the objects that can't be linked any more, and the
    /// trees that contain such files.
    ///
    /// # Errors
    /// [`AttemptError`]; [`AttemptError::Replan`] if the plan must be made again.
    pub async fn read(&mut self, answers: &[Reply]) -> Result<(), AttemptError> {
        self.note(answers).await?;
        self.outcome()
    }

    async fn note(&mut self, answers: &[Reply]) -> Result<(), AttemptError> {
        let session = self.session;
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
            self.unlinkable.extend(spent);
            self.replan = Some(refusal.to_string());
        }
        Ok(())
    }

    fn outcome(&mut self) -> Result<(), AttemptError> {
        self.replan
            .take()
            .map_or(Ok(()), |what| Err(AttemptError::Replan(what)))
    }
}

/// Returns the operations that add to the pool under the lock: first the folders, then the files with their encodings,
/// by rename. Then the folders of answers, and a look at each of them for [`refused_answer`].
#[must_use]
pub fn pool_ops(plan: &Plan, staging_dir: &StagingDir) -> Vec<Op> {
    let mut ops = make_pool_folders(plan.pool.iter().map(|file| &file.path), staging_dir);
    for (index, file) in plan.pool.iter().enumerate() {
        let (from, to) = (
            staging_dir.path_holding(&pool_name(index)),
            layout::pool(file.path.as_str()),
        );
        if file.replaces {
            // Encodings of the previous content must not stay next to the new file, which may have none.
            for coding in Coding::ALL {
                ops.push(Op::rename(
                    coding.beside(&to),
                    staging_dir.path_holding(&coding.beside(&format!("trash/{index}"))),
                ));
            }
        }
        // Encodings first, so that a file in the pool has all of its encodings.
        for (coding, _) in file.file.encodings.iter() {
            ops.push(Op::rename(coding.beside(&from), coding.beside(&to)));
        }
        ops.push(Op::rename(from, to));
    }
    ops.extend(make_answer_folders(&plan.answers, staging_dir));
    ops.extend(plan.answers.iter().cloned().map(Op::Lstat));
    ops
}

/// Returns the refusal because of which the folder of an answer was not made, if the answers to [`pool_ops`] show that it
/// is not there. A folder that exists is refused in the same way as one that can't be made, so each is looked at. `None` if
/// all are there, or if nothing could be made because another run took the lock, which the swap finds out.
pub fn refused_answer<'a>(ops: &[Op], answers: &'a [Reply]) -> Option<&'a Refusal> {
    let unmade = ops.iter().zip(answers).find_map(|(op, answer)| match op {
        Op::Lstat(path) if answer.attr().is_none_or(|attr| attr.kind != Kind::Folder) => Some(path),
        _ => None,
    })?;
    let mut tried = ops.iter().zip(answers).rev().filter_map(|(op, answer)| match op {
        Op::MakeFolder(path) => Some((path.rsplit_once("/../")?.1, answer.refusal()?)),
        _ => None,
    });
    let leads = |folder: &str| {
        unmade
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    tried.find_map(|(folder, refusal)| (leads(folder) && refusal.kind != RefusalKind::NotFound).then_some(refusal))
}

/// Returns the operations that make the folders that spell the answers of new redirects, parents before children. A
/// refusal because a folder exists is not an error. The trees that need them are put in place later.
pub(crate) fn make_answer_folders(answers: &BTreeSet<String>, staging_dir: &StagingDir) -> Vec<Op> {
    let folders: BTreeSet<&str> = layout::with_parents(answers).collect();
    let through = staging_dir.path_holding("../..");
    folders
        .into_iter()
        .map(|folder| Op::MakeFolder(format!("{through}/{folder}")))
        .collect()
}

/// Returns the operations that make the pool folders of the given public paths. A refusal because a folder exists is
/// not an error.
pub(crate) fn make_pool_folders<'p>(
    paths: impl IntoIterator<Item = &'p SitePath>,
    staging_dir: &StagingDir,
) -> Vec<Op> {
    // The path through the staging directory makes this operation depend on the lock, too.
    let through = staging_dir.path_holding("../..");
    let folders = pool_folders(paths).into_iter();
    folders
        .map(|folder| Op::MakeFolder(format!("{through}/{folder}")))
        .collect()
}

//! From a staged release to the live one: builds it under the lock, adds to the pool, and swaps.
//!
//! What is sent here, and in which order, decides what visitors get if the run dies: docs/protocol.md has the crash table.
//! It must never let anything take effect in front of what it needs.

use std::collections::HashSet;

use super::under_lock::UnderLock;
use super::{Publish, StagedRelease};
use crate::host::{Op, RefusalKind};
use crate::model::event::Event;
use crate::model::layout;
use crate::store::attempt_error::AttemptError;
use crate::store::flight::{Flight, Read};
use crate::store::pending_purges::Delivery;
use crate::store::plan::Plan;
use crate::store::refusal::{all_done, explain};
use crate::store::staging::{self, StagingDir};
use crate::store::swap;
use crate::store::sync::{self, Building};

impl Publish<'_> {
    /// Builds the release in the staging directory, takes the lock, and asks again for what the plan relies on. This is
    /// one flight, except for large plans, of which most is built in earlier flights.
    pub(super) async fn build_and_lock(
        &self,
        plan: &Plan,
        staged_release: &mut StagedRelease,
        staging_dir: &mut StagingDir,
        unlinkable: &mut HashSet<String>,
    ) -> Result<(), AttemptError> {
        let mut building = Building::new(self.session, plan, &mut staged_release.staged_objects, unlinkable);
        building.send_ahead(staging_dir).await?;
        let mut flight = Flight::default();
        let built = flight.extend(building.take_ops());
        let mut ops = Vec::new();
        ops.push(staging_dir.symlink("rel", layout::release_link(plan.root)));
        let slot = &self.options.slot;
        ops.push(staging_dir.symlink("cur", layout::slot_text(slot, &staged_release.release)));
        ops.push(staging_dir.symlink("gen", staged_release.generation.to_string()));
        if let Some(former) = plan.previous.as_ref().filter(|_| slot.is_live()) {
            ops.push(staging_dir.symlink("former", layout::former_text(&staged_release.release, former)));
        }
        if self.options.purges {
            staged_release.owing.1 = staged_release
                .entered
                .delivery
                .owing(plan.previous.as_ref(), staging_dir.run());
            ops.push(staging_dir.symlink("delivery", staged_release.owing.1.text()));
        }
        for (piece, text) in (0..layout::FINDINGS_PIECES).zip(std::mem::take(&mut staged_release.findings)) {
            let name = format!("finds{piece}");
            ops.push(staging_dir.symlink(&name, text));
            staged_release
                .records
                .push((name, layout::release_findings(&staged_release.release, piece)));
        }
        let staged = flight.extend(ops);
        let under_lock = UnderLock::new(plan, staging_dir, &staged_release.records);
        let locking = [staging_dir.acquire()].into_iter();
        let locking = flight.extend(locking.chain(under_lock.flight.ops().iter().cloned()));
        let answers = self.session.send(flight).await?;
        staging_dir.took_lock(answers.all(&locking).first());
        let built = async {
            building.read(answers.all(&built)).await?;
            Ok(all_done(self.session, answers.all(&staged)).await?)
        };
        if let Err(stop) = built.await {
            return self.take_back_records(staged_release, staging_dir, stop).await;
        }
        let answers = staging::take_lock(
            self.session,
            staging_dir,
            answers.all(&locking).to_vec(),
            under_lock.flight.ops(),
            self.patience(),
        )
        .await?;
        staging_dir.keep_last(answers.to(under_lock.last));
        let (after, ours) = (staged_release.entered.generation.as_ref(), &staged_release.generation);
        let found = answers.to(under_lock.generation);
        let moved = staging::keep_clock(self.session, staging_dir, found, after, ours).await?;
        match under_lock.read(self, &answers, plan) {
            // Files of this release would have the times of files that other runs made in the meantime.
            Ok(_) if moved => {
                let stop = AttemptError::Contention("another run published in the meantime".to_owned());
                self.take_back_records(staged_release, staging_dir, stop).await
            }
            Ok(found) => {
                for (temp, _) in &staged_release.records {
                    staging_dir.moved_out(temp);
                }
                self.note_what_is_pending_now(&found, plan, staged_release, staging_dir)
                    .await
            }
            Err(stop) => self.take_back_records(staged_release, staging_dir, stop).await,
        }
    }

    /// Makes the note of pending purges again if they changed since this run entered. Other runs may have purged or
    /// failed to purge since then, and even have swapped back and forth, so the note must follow from what is pending
    /// under the lock.
    async fn note_what_is_pending_now(
        &self,
        found: &Delivery,
        plan: &Plan,
        staged_release: &mut StagedRelease,
        staging_dir: &mut StagingDir,
    ) -> Result<(), AttemptError> {
        if !self.options.purges || found.pending == staged_release.entered.delivery.pending {
            return Ok(());
        }
        let owing = found.owing(plan.previous.as_ref(), staging_dir.run());
        let note = staging_dir.symlink("owing", owing.text());
        if let Some(refusal) = self.session.ask(note).await?.refusal() {
            return Err(AttemptError::Replan(refusal.to_string()));
        }
        staged_release.owing = ("owing", owing);
        Ok(())
    }

    /// Takes back the records of a release that will not be made, if they were already moved out.
    async fn take_back_records(
        &self,
        staged_release: &StagedRelease,
        staging_dir: &StagingDir,
        stop: AttemptError,
    ) -> Result<(), AttemptError> {
        if staging_dir.is_holding() {
            let places = staged_release.records.iter().map(|(_, place)| place);
            let back = places.flat_map(|place| staging_dir.take_away(place));
            self.session.flight(back.collect()).await?;
        }
        Err(stop)
    }

    /// Adds to the pool before anything that needs it is live. A swap can't be guarded by files, so this flight is
    /// awaited.
    pub(super) async fn add_to_pool(&self, plan: &Plan, staging_dir: &StagingDir) -> Result<(), AttemptError> {
        let pool = sync::pool_ops(plan, staging_dir);
        let answers = self.session.flight(pool.clone()).await?;
        // Folders may already exist, and encodings may not exist, but every file itself must have been added.
        for (op, answer) in pool.iter().zip(&answers) {
            if let (Op::Rename { to, .. }, Some(refusal)) = (op, answer.refusal())
                && (refusal.kind != RefusalKind::NotFound
                    || plan.pool.iter().any(|file| *to == layout::pool(file.path.as_str())))
            {
                self.take_back_pool(plan, staging_dir).await?;
                return Err(explain(self.session, refusal).await.into());
            }
        }
        // A release whose redirects lead nowhere must not go live.
        if let Some(refusal) = sync::refused_answer(&pool, &answers) {
            self.take_back_pool(plan, staging_dir).await?;
            return Err(explain(self.session, refusal).await.into());
        }
        Ok(())
    }

    /// Takes back what was added to the pool. A file that lacks one of its encodings would stay like that, because the
    /// next publish finds the file there.
    async fn take_back_pool(&self, plan: &Plan, staging_dir: &StagingDir) -> Result<(), AttemptError> {
        let added = plan.pool.iter().filter(|file| !file.replaces);
        let back = added.flat_map(|file| staging_dir.take_away(layout::pool(file.path.as_str())));
        self.session.flight(back.collect()).await?;
        Ok(())
    }

    /// Sends the flight that makes the release live, releases the lock and cleans up.
    ///
    /// A swap can't be guarded by objects and manifests either. If the host refuses to name one, visitors miss nothing,
    /// because trees have their own links, but the next publish and prune would. Returns whether there is such an
    /// object or manifest.
    pub(super) async fn make_live(
        &self,
        plan: &Plan,
        staged_release: &StagedRelease,
        staging_dir: &mut StagingDir,
    ) -> Result<bool, AttemptError> {
        let mut ops = staged_release.staged_objects.put_objects(plan, staging_dir);
        let manifests = staged_release.manifests.iter().zip(&plan.trees);
        ops.extend(
            manifests.map(|(temp, tree)| Op::link(staging_dir.path_holding(temp), layout::manifest(tree.digest))),
        );
        let named: Vec<String> = ops
            .iter()
            .filter_map(|op| match op {
                Op::Link { to, .. } | Op::Rename { to, .. } => Some(to.clone()),
                _ => None,
            })
            .collect();
        let slot = &self.options.slot;
        if self.options.purges {
            // Before the swap: a purge that is noted needlessly costs one purge, but what is not noted stays at the
            // edge.
            ops.push(Op::rename(
                staging_dir.path_holding(staged_release.owing.0),
                layout::DELIVERY,
            ));
        }
        if plan.previous.is_some() && slot.is_live() {
            ops.push(Op::rename(staging_dir.path_holding("former"), layout::FORMER));
        }
        let mut commit = swap::commit_ops(plan, &staged_release.release, slot, staging_dir);
        let swap = commit.pop();
        ops.extend(commit);
        let mut flight = Flight::default();
        let put = flight.extend(ops);
        let swap = flight.extend(swap);
        flight.extend(staging_dir.leave_synced());
        let answers = self.session.send(flight).await?;
        match answers.all(&swap).first().refusal() {
            // Another run took this one for dead and stole the lock, or a prune took away what the release is made of.
            Some(refusal) if refusal.kind == RefusalKind::NotFound => {
                return Err(AttemptError::Contention(refusal.to_string()));
            }
            Some(refusal) => return Err(AttemptError::Replan(refusal.to_string())),
            None => {}
        }
        self.session.forget_run(staging_dir.run());
        if slot.is_live() {
            self.session.note_live(Some(staged_release.release.clone()));
            self.session
                .observer()
                .notice(Event::Swapped(staged_release.release.clone()));
        }
        // Usually the name was taken, which means that the same content is there.
        let refused = named.into_iter().zip(answers.all(&put));
        let refused = refused.filter(|(_, answer)| !answer.done());
        let look: Vec<Op> = refused.map(|(name, _)| Op::Lstat(name)).collect();
        let there = self.session.flight(look).await;
        Ok(there.is_ok_and(|there| there.iter().any(Read::is_gone)))
    }
}

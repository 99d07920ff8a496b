//! Power failures on the host: what a disk may contain afterwards, at every moment of every run. Visitors must get one
//! complete release from such a disk, and the next publish must need no help.
//!
//! The real code runs on a host in memory that records the effects of each operation: names in folders, bytes in files,
//! and when a file is on the disk. From this record, every disk is built that a power failure may leave:
//!
//! - **Names** are kept in the order in which they were changed: everything up to some moment, and nothing after it.
//!   File systems with a journal or transactions (ext4, XFS, btrfs, ZFS) behave like this. Each moment is tried. A cut
//!   after any operation leaves the names of one of these moments, because nothing here waits for a folder.
//! - Syncing a file waits for the journal, and so for all names up to then (ext4, XFS, ZFS). A run that reports success
//!   has synced a file after its last change, so what it reported is not lost.
//! - **Bytes** are kept once the file was synced. Of a file that was not synced, nothing, half, or everything is kept.
//!
//! Two tests at the end show that the replay can fail: a disk that does not keep what was synced does tear a site, and
//! so does one that loses only the names of one folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::proofs::crashes::ground::{Folder, Ground, InMemoryGround};
use crate::proofs::crashes::points::{Course, course, host, is_whole, judge, needs_no_help, on_a_thread};
use crate::proofs::crashes::scenario::{self, Scenario};
use crate::support::bench::{How, Seen, run, seen};
use crate::support::memory::{Disk, Effect, Inode};
use crate::support::report::say;

/// The fate of bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsynced {
    Lost,
    Half,
    Kept,
}

/// A run, as the disk saw it.
struct Trace {
    before: Disk,
    /// The effects of the run, operation by operation.
    done: Vec<Vec<Effect>>,
    end: Disk,
    course: Course,
}

/// A disk that a power failure may leave.
struct Left {
    /// The number of operations that were kept.
    kept: usize,
    unsynced: Unsynced,
    disk: Disk,
}

impl Trace {
    fn new(scenario: &Scenario) -> Trace {
        let ground = InMemoryGround::new();
        let (course, saved) = on_a_thread(course(&ground, scenario));
        ground.restore(saved.as_ref());
        ground.0.disk().keep_journal();
        let before = ground.save();
        on_a_thread(run(ground.connector(), &scenario.command, How::default())).expect("the command of the scenario");
        let done = ground.0.disk().take_journal();
        let mut before = before;
        before.take_journal();
        Trace {
            before,
            done,
            end: ground.save(),
            course,
        }
    }

    /// The effects of the first `kept` operations. Bytes of files that are not in `synced` meet the fate `unsynced`.
    fn effects(&self, kept: usize, unsynced: Unsynced, synced: &BTreeSet<Inode>) -> Vec<Effect> {
        let all = self.done[..kept].iter().flatten().cloned();
        all.filter_map(|effect| match effect {
            Effect::Written { inode, offset, bytes } if !synced.contains(&inode) => match unsynced {
                Unsynced::Lost => None,
                Unsynced::Half => Some(Effect::Written {
                    inode,
                    offset,
                    bytes: bytes[..bytes.len() / 2].to_vec(),
                }),
                Unsynced::Kept => Some(Effect::Written { inode, offset, bytes }),
            },
            effect => Some(effect),
        })
        .collect()
    }

    fn synced(&self, kept: usize) -> BTreeSet<Inode> {
        let all = self.done[..kept].iter().flatten();
        all.filter_map(|effect| match effect {
            Effect::Synced { inode, .. } => Some(*inode),
            _ => None,
        })
        .collect()
    }

    /// Every disk that a power failure may leave.
    fn left(&self) -> impl Iterator<Item = Left> + '_ {
        (0..=self.done.len()).flat_map(move |kept| {
            let synced = self.synced(kept);
            let open = self.done[..kept]
                .iter()
                .flatten()
                .any(|effect| matches!(effect, Effect::Written { inode, .. } if !synced.contains(inode)));
            let ways: &[Unsynced] = if open {
                &[Unsynced::Lost, Unsynced::Half, Unsynced::Kept]
            } else {
                &[Unsynced::Kept]
            };
            ways.iter().map(move |unsynced| Left {
                kept,
                unsynced: *unsynced,
                disk: self
                    .before
                    .with_effects(&self.end, &self.effects(kept, *unsynced, &synced)),
            })
        })
    }
}

/// What visitors get from a disk.
async fn seen_on(ground: &InMemoryGround, disk: Disk) -> Seen {
    ground.restore(Some(&disk));
    seen(&*host(ground).await).await
}

/// Checks one disk that a power failure left, on any ground. Returns whether the new release is live.
async fn holds<G: Ground>(ground: &G, scenario: &Scenario, course: &Course) -> Result<bool, String> {
    let is_new = judge(&seen(&*host(ground).await).await, course)?;
    if course.before != Seen::default() || is_new {
        is_whole(ground).await?;
    }
    needs_no_help(ground, scenario, course, async || {}).await?;
    Ok(is_new)
}

fn survives<G: Ground>(place: &str, ground: &G, put: impl Fn(&G, &Disk), scenario: &Scenario) {
    let trace = Trace::new(scenario);
    let (mut old, mut new, mut wrong) = (0, 0, Vec::new());
    for left in trace.left() {
        put(ground, &left.disk);
        match on_a_thread(holds(ground, scenario, &trace.course)) {
            Ok(false) => old += 1,
            Ok(true) => new += 1,
            Err(what) => wrong.push(format!(
                "{}, {} of {} operations kept, unsynced bytes {:?}: {what}",
                scenario.name,
                left.kept,
                trace.done.len(),
                left.unsynced
            )),
        }
    }
    say(&format!(
        "power lost, {place}, {}: {} operations that change something, {} disks; visitors had the old release on {old}, the new one on {new}",
        scenario.name,
        trace.done.len(),
        old + new + wrong.len(),
    ));
    let some: Vec<&str> = wrong.iter().take(6).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} disks are wrong, the first of them:\n{}",
        wrong.len(),
        some.join("\n")
    );
    assert!(old + new > 10, "{} disks", old + new);
}

fn in_memory(scenario: &Scenario) {
    let put = |ground: &InMemoryGround, disk: &Disk| ground.restore(Some(disk));
    survives("in memory", &InMemoryGround::new(), put, scenario);
}

fn in_a_folder(scenario: &Scenario) {
    let put = |ground: &Folder, disk: &Disk| {
        ground.restore(None);
        // A docroot that the run had not created yet does not exist.
        if disk.exists("") {
            disk.make_in(&ground.docroot());
        }
    };
    survives("in a folder", &Folder::new(), put, scenario);
}

macro_rules! each {
    ($($command:ident,)*) => {
        mod no_loss_of_power_tears_the_site_in_memory_during {
            use super::*;

            $(#[test]
            fn $command() {
                in_memory(&scenario::$command());
            })*
        }

        mod no_loss_of_power_tears_the_site_in_a_folder_during {
            use super::*;

            $(#[test]
            #[ignore = "takes minutes"]
            fn $command() {
                in_a_folder(&scenario::$command());
            })*
        }
    };
}

each! {
    first_publish,
    publish_of_an_edit,
    publish_of_an_edit_in_a_wide_folder,
    publish_of_an_edit_before_another,
    publish_that_adds_to_what_was_seen,
    publish_that_adds_to_the_pool,
    publish_sent_in_batches,
    publish_of_a_large_file,
    publish_with_prune,
    rollback,
    hold,
    resume,
    prune,
}

#[test]
fn what_a_power_failure_leaves_in_a_folder_is_published_over_without_help() {
    in_a_folder(&scenario::rollback());
}

#[test]
fn what_a_run_reported_is_not_lost_with_the_power() {
    for scenario in [
        scenario::first_publish(),
        scenario::publish_of_an_edit(),
        scenario::publish_of_an_edit_in_a_wide_folder(),
        scenario::publish_that_adds_to_the_pool(),
        scenario::publish_sent_in_batches(),
        scenario::rollback(),
        scenario::hold(),
        scenario::resume(),
    ] {
        let trace = Trace::new(&scenario);
        let is_sync = |effects: &Vec<Effect>| effects.iter().any(|effect| matches!(effect, Effect::Synced { .. }));
        let synced = trace.done.iter().rposition(is_sync).expect("a file that is synced");
        for kept in synced + 1..=trace.done.len() {
            let effects = trace.effects(kept, Unsynced::Lost, &trace.synced(kept));
            let disk = trace.before.with_effects(&trace.end, &effects);
            for link in ["current", "hold"] {
                assert_eq!(disk.text(link), trace.end.text(link), "{}: {link}", scenario.name);
            }
            let seen = on_a_thread(seen_on(&InMemoryGround::new(), disk));
            assert!(
                seen == trace.course.after,
                "{}: visitors have something else",
                scenario.name
            );
        }
    }
}

#[test]
fn a_disk_that_does_not_keep_what_was_synced_would_tear_the_site() {
    let scenario = scenario::publish_of_an_edit();
    let trace = Trace::new(&scenario);
    let ground = InMemoryGround::new();
    let torn = (0..=trace.done.len()).filter(|kept| {
        let effects = trace.effects(*kept, Unsynced::Lost, &BTreeSet::new());
        let disk = trace.before.with_effects(&trace.end, &effects);
        judge(&on_a_thread(seen_on(&ground, disk)), &trace.course).is_err()
    });
    assert!(torn.count() > 0);
}

#[test]
fn a_disk_that_forgets_one_folder_and_keeps_the_rest_would_tear_the_site() {
    let scenario = scenario::publish_of_an_edit();
    let trace = Trace::new(&scenario);
    let folders: BTreeSet<Inode> = trace
        .done
        .iter()
        .flatten()
        .filter_map(|effect| match effect {
            Effect::Named { folder, .. } => Some(*folder),
            _ => None,
        })
        .collect();
    let mut torn: BTreeMap<String, usize> = BTreeMap::new();
    let kept = trace.done.len();
    let effects = trace.effects(kept, Unsynced::Kept, &trace.synced(kept));
    for folder in folders {
        let others = effects
            .iter()
            .filter(|effect| !matches!(effect, Effect::Named { folder: of, .. } if *of == folder));
        let disk = trace.before.with_effects(&trace.end, others);
        // Checks a single file: requests for a file in a missing folder fail, and reading the complete site would end
        // early.
        if !disk.exists("current/docs/a.html") {
            *torn.entry(trace.end.path_of(folder)).or_default() += 1;
        }
    }
    say(&format!("power lost: without its names the site is torn: {torn:?}"));
    assert!(torn.contains_key("releases") && torn.contains_key("trees"), "{torn:?}");
}

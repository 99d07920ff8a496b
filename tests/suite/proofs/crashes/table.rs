//! The table in docs/protocol.md that lists what a dead run leaves behind, generated from the results of each point.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use syntax_publish::host::Op;

use super::ground::{Ground, InMemoryGround};
use super::points::{course, host, judge};
use super::scenario::{self, Scenario};
use crate::support::bench::{How, names, run, seen};
use crate::support::faulty::{Fault, Faulty, points};

const BEGIN: &str = "<!-- found by crashes::table, point by point: begin -->\n";
const END: &str = "<!-- end -->";

/// How far a run had come, judged by its changes.
pub fn stage(done: &[&Op]) -> &'static str {
    let any = |test: &dyn Fn(&str, &str) -> bool| {
        done.iter().any(|op| match op {
            Op::Rename { from, to } | Op::Link { from, to } => test(from, to),
            _ => false,
        })
    };
    let made = |test: &dyn Fn(&str) -> bool| done.iter().any(|op| matches!(op, Op::MakeFolder(path) if test(path)));
    if any(&|_, to| to == "current") {
        "behind the swap"
    } else if any(&|from, to| from.starts_with("releases/") && to.contains("/trash/")) {
        "taking away"
    } else if any(&|from, to| to.starts_with("trees/") || from.starts_with("lock/") && to.starts_with("objects/")) {
        "in the flight of the swap, before it"
    } else if any(&|_, to| to.starts_with("immutable/"))
        || made(&|path| path.contains("/../immutable/") || path.contains("/../moved"))
    {
        "the pool grows"
    } else if any(&|_, to| to == "lock") {
        "with the lock"
    } else if any(&|_, to| to.starts_with("objects/")) {
        "sending objects ahead"
    } else if made(&|path| path.starts_with("work/")) {
        "preparing"
    } else if made(&|path| path.starts_with("objects/")) {
        "making the store"
    } else {
        "before anything"
    }
}

/// The differences in names from before, in words.
fn left(before: &[String], after: &[String]) -> BTreeSet<&'static str> {
    let kind = |name: &str| -> Option<&'static str> {
        let in_folder = |folder: &str| name.starts_with(&format!("{folder}/"));
        Some(match name {
            _ if in_folder("work") => "a workshop in work/",
            _ if in_folder("lock") => "the lock",
            _ if in_folder("stale") => "a workshop in stale/",
            _ if in_folder("objects") && name.len() > "objects/ab".len() => "objects",
            _ if in_folder("manifests") => "manifests",
            _ if in_folder("trees") => "trees",
            _ if in_folder("immutable") => "pool files",
            _ if in_folder("moved") => "answers of redirects",
            _ if in_folder("releases") && name.ends_with(".json") => "documents",
            _ if in_folder("releases") && name.ends_with(".left") => "a record that a release was left",
            _ if in_folder("releases") => "releases",
            _ => return None,
        })
    };
    let count = |names: &[String]| -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for kind in names.iter().filter_map(|name| kind(name)) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    };
    let (before, after) = (count(before), count(after));
    let kinds: BTreeSet<&'static str> = before.keys().chain(after.keys()).copied().collect();
    kinds
        .into_iter()
        .filter(|kind| before.get(kind) != after.get(kind))
        .collect()
}

#[derive(Default)]
struct Row {
    points: usize,
    always: Option<BTreeSet<&'static str>>,
    ever: BTreeSet<&'static str>,
    live: BTreeSet<&'static str>,
}

async fn rows(scenario: &Scenario) -> Vec<(&'static str, Row)> {
    let ground = InMemoryGround::new();
    let (course, saved) = course(&ground, scenario).await;
    let mut rows: Vec<(&'static str, Row)> = Vec::new();
    for point in points(&course.flights, Fault::Dead) {
        ground.restore(saved.as_ref());
        let before = names(&*host(&ground).await).await;
        let faulty = Faulty::new(Arc::from(ground.connector()), Some((point, Fault::Dead)));
        let _ = run(Box::new(faulty), &scenario.command, How::default()).await;
        let host = host(&ground).await;
        let is_new = judge(&seen(&*host).await, &course).unwrap_or_else(|wrong| panic!("{wrong}"));
        let found = left(&before, &names(&*host).await);
        let flights = course.flights[..point.flight].iter().flatten();
        let done: Vec<&Op> = flights.chain(&course.flights[point.flight][..point.done]).collect();
        let stage = stage(&done);
        if rows.last().is_none_or(|(last, _)| *last != stage) && !rows.iter().any(|(known, _)| *known == stage) {
            rows.push((stage, Row::default()));
        }
        let row = &mut rows.iter_mut().find(|(known, _)| *known == stage).expect("a row").1;
        row.points += 1;
        row.always = Some(match row.always.take() {
            Some(always) => always.intersection(&found).copied().collect(),
            None => found.clone(),
        });
        row.ever.extend(found);
        row.live
            .insert(match (course.before.site == course.after.site, is_new) {
                (true, _) => "the same",
                (false, false) => "old",
                (false, true) => "**new**",
            });
    }
    rows
}

fn words(set: &BTreeSet<&'static str>) -> String {
    if set.is_empty() {
        return "-".to_owned();
    }
    set.iter().copied().collect::<Vec<_>>().join(", ")
}

async fn table() -> String {
    let mut text =
        String::from("| run | dies | more or less than before | perhaps also | live |\n|---|---|---|---|---|\n");
    let scenarios = [
        scenario::first_publish(),
        scenario::publish_that_adds_to_the_pool(),
        scenario::publish_sent_in_batches(),
        scenario::rollback(),
        scenario::hold(),
        scenario::prune(),
    ];
    for scenario in scenarios {
        for (stage, row) in Box::pin(rows(&scenario)).await {
            let always = row.always.unwrap_or_default();
            let perhaps: BTreeSet<&'static str> = row.ever.difference(&always).copied().collect();
            let (name, live) = (scenario.name, words(&row.live));
            let _ = writeln!(
                text,
                "| {name} | {stage} | {} | {} | {live} |",
                words(&always),
                words(&perhaps)
            );
        }
    }
    text
}

#[test]
fn the_crash_table_says_what_is_found() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let found = runtime.block_on(table());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let protocol = fs::read_to_string(&path).expect("docs/protocol.md");
    let (_, rest) = protocol.split_once(BEGIN).expect("the table's beginning");
    let (said, _) = rest.split_once(END).expect("the table's end");
    assert!(
        said == found,
        "docs/protocol.md says something else than what is found, which is:\n{found}"
    );
}

//! One scenario, broken at all its points, and the conditions that must be true afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use syntax_publish::host::{Host, Op};
use syntax_publish::store::Error;

use super::ground::Ground;
use super::scenario::Scenario;
use super::table::stage;
use crate::support::bench::{Command, Content, Encode, How, Seen, faults_of_live, names, run, seen};
use crate::support::faulty::{Fault, Faulty, Point, points};

/// The results of all points.
#[derive(Default)]
pub struct Tally {
    pub points: usize,
    /// At how many points visitors had the old release (`old`), and at how many the new one (`new`).
    pub old: usize,
    pub new: usize,
    /// Descriptions of the failures.
    pub wrong: Vec<String>,
}

/// The course of a scenario without a fault.
pub struct Course {
    pub flights: Vec<Vec<Op>>,
    pub before: Seen,
    pub after: Seen,
    /// The names in a store with only the next release and the release that it replaced. There is one list for each
    /// release that may have been replaced.
    pub clean: Vec<Vec<String>>,
    /// What visitors get once the next release is published.
    pub next: Content,
}

/// How long a run waits for a host that hangs. Everything here takes less than a thousandth of it. On a busy machine an
/// earlier flight than the intended one may time out; the point is then tried again with more patience.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(40),
    Duration::from_millis(400),
    Duration::from_secs(4),
];

/// The error of a point that the run never reached.
const NEVER: &str = "the fault never happened";

pub async fn host<G: Ground>(ground: &G) -> Box<dyn Host> {
    ground.connector().connect().await.expect("a connection")
}

/// Runs the scenario without a fault. Leaves the ground in its state before the command.
pub async fn course<G: Ground>(ground: &G, scenario: &Scenario) -> (Course, Option<G::Saved>) {
    let run = async |command: &Command| {
        let done = run(ground.connector(), command, How::default()).await;
        done.expect("a command of the scenario");
    };
    let mut clean = Vec::new();
    for replaced in [None].into_iter().chain(scenario.contents().map(Some)) {
        ground.restore(None);
        for content in replaced.into_iter().chain([&scenario.next]) {
            run(&Command::Publish(content.clone())).await;
        }
        ground.age();
        run(&Command::Prune(1)).await;
        clean.push(names(&*host(ground).await).await);
    }
    if matches!(scenario.command, Command::Rollback(_)) {
        // The record that a release was left stays as long as that release, which may be the one that is kept.
        let with_record = |names: &Vec<String>| {
            let mut names = names.clone();
            names.push("releases/RELEASE.left".to_owned());
            names.sort_unstable();
            names
        };
        let more: Vec<Vec<String>> = clean.iter().map(with_record).collect();
        clean.extend(more);
    }
    let next = seen(&*host(ground).await).await.site;
    ground.restore(None);
    for command in &scenario.before {
        run(command).await;
    }
    let saved = (!scenario.before.is_empty()).then(|| ground.save());
    let before = seen(&*host(ground).await).await;
    let faulty = Faulty::new(Arc::from(ground.connector()), None);
    let done = crate::support::bench::run(Box::new(faulty.clone()), &scenario.command, How::default()).await;
    done.expect("the command of the scenario");
    let after = seen(&*host(ground).await).await;
    let course = Course {
        flights: faulty.record(),
        before,
        after,
        clean,
        next,
    };
    (course, saved)
}

pub fn on_a_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// The points at which a run is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Every,
    /// The first and the last point of each kind ([`kind`]).
    EachKind,
}

impl Reach {
    fn points(self, flights: &[Vec<Op>], fault: Fault) -> Vec<Point> {
        let points = points(flights, fault);
        if self == Self::Every {
            return points;
        }
        let mut kinds: BTreeMap<_, (Point, Point)> = BTreeMap::new();
        for point in points {
            kinds.entry(kind(flights, point)).or_insert((point, point)).1 = point;
        }
        let mut chosen: Vec<Point> = kinds.into_values().flat_map(|(first, last)| [first, last]).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

/// What makes a point differ from others: how far the run has come, and what the operations before and after it do to
/// which part of the store. Two points between `mkdir objects/ab` and `mkdir objects/ac` are of one kind.
fn kind(flights: &[Vec<Op>], point: Point) -> (&'static str, String, String) {
    let (before, here) = (&flights[..point.flight], &flights[point.flight]);
    let done: Vec<&Op> = before.iter().flatten().chain(&here[..point.done]).collect();
    let doing = |op: Option<&Op>| op.map(|op| op.to_string().split(' ').map(part_of_store).collect::<String>());
    let last = doing(done.last().copied()).unwrap_or_default();
    (stage(&done), last, doing(here.get(point.done)).unwrap_or_default())
}

/// A word of an operation; of a path, the part of the store that it leads to.
fn part_of_store(word: &str) -> String {
    // A path of a run leads through its own folder back to the docroot.
    let mut names = word.rsplit("/../").next().unwrap_or(word).split('/');
    let first = names.next().filter(|name| !name.contains(|c: char| c.is_ascii_digit()));
    format!("{}{} ", first.unwrap_or("*"), "/*".repeat(names.count()))
}

/// Breaks the scenario at points of every fault, each from the same initial state.
pub fn try_all<G: Ground>(ground: &(dyn Fn() -> G + Sync), scenario: &Scenario, faults: &[(Fault, Reach)]) -> Tally {
    let (course, saved) = on_a_thread(course(&ground(), scenario));
    let all: Vec<(Fault, Point)> = faults
        .iter()
        .flat_map(|(fault, reach)| {
            let points = reach.points(&course.flights, *fault);
            points.into_iter().map(|point| (*fault, point))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let ground = ground();
                while let Some((fault, point)) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let mut tried = Err(NEVER.to_owned());
                    for patience in PATIENCE {
                        ground.restore(saved.as_ref());
                        let how = how(*fault, patience);
                        tried = on_a_thread(try_one(&ground, scenario, &course, (*fault, *point), how));
                        // On a busy machine the run may have given up on an earlier flight, which was not meant to
                        // hang.
                        if *fault != Fault::Hung || tried != Err(NEVER.to_owned()) {
                            break;
                        }
                    }
                    let mut tally = tally.lock().expect("a tally");
                    tally.points += 1;
                    match tried {
                        Ok(false) => tally.old += 1,
                        Ok(true) => tally.new += 1,
                        Err(wrong) => tally.wrong.push(format!(
                            "{}, {fault:?} in flight {} after {} operations: {wrong}",
                            scenario.name, point.flight, point.done
                        )),
                    }
                }
            });
        }
    });
    tally.into_inner().expect("a tally")
}

/// The paths that differ.
fn differing(one: &Content, other: &Content) -> Vec<String> {
    let paths = one.keys().chain(other.keys());
    let mut paths: Vec<String> = paths
        .filter(|path| one.get(*path) != other.get(*path))
        .cloned()
        .collect();
    paths.dedup();
    paths
}

/// Fails unless visitors get one complete release; returns whether it is the new one.
pub fn judge(seen: &Seen, course: &Course) -> Result<bool, String> {
    let (before, after) = (&course.before, &course.after);
    let is_as = |then: &Seen| seen.site == then.site && seen.preview == then.preview;
    let is_new = is_as(after);
    if !is_new && !is_as(before) {
        let differing_from = |then: &Seen| {
            let preview = differing(&seen.preview, &then.preview);
            format!(
                "{:?} of the site and {preview:?} of the channel",
                differing(&seen.site, &then.site)
            )
        };
        return Err(format!(
            "visitors get neither: {} differ from the old release, {} from the new one",
            differing_from(before),
            differing_from(after)
        ));
    }
    for (path, bytes) in &seen.pool {
        if before.pool.get(path).or(after.pool.get(path)) != Some(bytes) {
            return Err(format!("the pool has other bytes at {path}"));
        }
    }
    let needed = |path: &&String| before.pool.contains_key(*path) && after.pool.contains_key(*path);
    if let Some(path) = before
        .pool
        .keys()
        .filter(needed)
        .find(|path| !seen.pool.contains_key(*path))
    {
        return Err(format!("the pool lacks {path}"));
    }
    if let Some(path) = after
        .pool
        .keys()
        .find(|path| is_new && seen.site.contains_key(*path) && !seen.pool.contains_key(*path))
    {
        return Err(format!("the pool lacks {path} of the live release"));
    }
    Ok(is_new)
}

pub async fn is_whole<G: Ground>(ground: &G) -> Result<(), String> {
    let faults = faults_of_live(ground.connector()).await;
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("verify finds {faults:?}"))
    }
}

/// The options of a run that is to fail with this fault.
fn how(fault: Fault, patience: Duration) -> How {
    let usual = How::default();
    How {
        encode: Encode::Brotli,
        answer: if fault == Fault::Hung { patience } else { usual.answer },
        ..usual
    }
}

async fn try_one<G: Ground>(
    ground: &G,
    scenario: &Scenario,
    course: &Course,
    (fault, point): (Fault, Point),
    how: How,
) -> Result<bool, String> {
    let faulty = Faulty::new(Arc::from(ground.connector()), Some((point, fault)));
    let done = run(Box::new(faulty.clone()), &scenario.command, how).await;
    if !faulty.happened() {
        return Err(NEVER.to_owned());
    }
    if fault == Fault::Late {
        faulty.settle().await;
    }
    let host = host(ground).await;
    let is_new = judge(&seen(&*host).await, course)?;
    let shown = |seen: &Seen| (seen.site.clone(), seen.preview.clone());
    let changes = shown(&course.before) != shown(&course.after);
    match &done {
        Ok(_) if changes && !is_new => return Err("it reports success, and the old release is live".to_owned()),
        Err(error) if changes && is_new && !may_be_live(scenario, fault, error) => {
            return Err(format!(
                "it reports that it failed, and the new release is live: {error}"
            ));
        }
        _ => {}
    }
    if course.before != Seen::default() || is_new {
        is_whole(ground).await?;
    }
    needs_no_help(ground, scenario, course, async || {
        if fault == Fault::Woken {
            faulty.settle().await;
        }
    })
    .await?;
    Ok(is_new)
}

/// Fails unless the next publish and a prune after it bring everything in order. `meanwhile` runs between the two.
pub async fn needs_no_help<G: Ground>(
    ground: &G,
    scenario: &Scenario,
    course: &Course,
    meanwhile: impl AsyncFnOnce(),
) -> Result<(), String> {
    let host = host(ground).await;
    ground.age();
    let without_fault = async |command: Command| {
        let said = format!("{command:?}").chars().take(12).collect::<String>();
        let done = run(ground.connector(), &command, How::default()).await;
        done.map(drop).map_err(|error| format!("then {said}…: {error}"))
    };
    if scenario.command == Command::Hold || scenario.before.contains(&Command::Hold) {
        without_fault(Command::Resume).await?;
        ground.age();
    }
    without_fault(Command::Publish(scenario.next.clone())).await?;
    meanwhile().await;
    // It may show the new site now, which a fault that came late has published.
    let has_channel = !seen(&*host).await.preview.is_empty();
    let is_next = async |when: &str| {
        let live = seen(&*host).await.site;
        if live == course.next {
            return Ok(());
        }
        let paths = differing(&live, &course.next);
        Err(format!("{when}, visitors get something else: {paths:?}"))
    };
    is_next("after the next publish").await?;
    is_whole(ground).await?;
    ground.age();
    if has_channel {
        without_fault(Command::RemoveChannel).await?;
        ground.age();
    }
    without_fault(Command::Prune(1)).await?;
    is_next("after the prune").await?;
    is_whole(ground).await?;
    let left = names(&*host).await;
    if !course.clean.contains(&left) {
        let nearest = course.clean.iter().min_by_key(|clean| {
            let differs = |name: &&String| !left.contains(name);
            clean.iter().filter(differs).count() + left.iter().filter(|name| !clean.contains(name)).count()
        });
        let clean = nearest.map_or(&[][..], Vec::as_slice);
        let more: Vec<&String> = left.iter().filter(|name| !clean.contains(name)).collect();
        let less: Vec<&String> = clean.iter().filter(|name| !left.contains(name)).collect();
        return Err(format!("after the prune, {more:?} is left and {less:?} is missing"));
    }
    Ok(())
}

/// Whether a run that ended with this error may have made its release live. A dead run reports nothing. A run that
/// publishes and prunes may fail after its publish. All other runs must report that the result is uncertain.
fn may_be_live(scenario: &Scenario, fault: Fault, error: &Error) -> bool {
    let dead = matches!(fault, Fault::Dead | Fault::HalfWritten | Fault::Woken);
    dead || matches!(scenario.command, Command::PublishAndPrune(_)) || matches!(error, Error::Uncertain { .. })
}

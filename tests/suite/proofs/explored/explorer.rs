//! The scheduler: one execution after another, each with different choices.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use syntax_publish::host::{Answer, Op, Refusal, RefusalKind};
use syntax_publish::model::release::Generation;
use syntax_publish::store::Error;
use tokio::sync::Notify;

use super::actor::Actor;
use super::invariants::Known;
use crate::proofs::crashes::scenario::{base, edited, grown};
use crate::support::bench::{Command, Encode, How, run};
use crate::support::faulty::changes;
use crate::support::memory::{Disk, Memory, hash};

#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How often another run may continue although the previous one could have.
    pub switches: usize,
    /// How many operations may fail or connections break, in addition to one lock stolen from a living holder.
    pub faults: usize,
    /// The limit of executions.
    pub schedules: usize,
    /// The time limit.
    pub time: Option<Duration>,
    /// When to try whether one more publish needs no help while all other runs never continue.
    pub further: Further,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Further {
    /// When all runs have ended.
    AtTheEnd,
    /// In every state of the store.
    Everywhere,
}

pub struct Case {
    pub name: &'static str,
    pub before: Vec<Command>,
    pub actors: Vec<Command>,
}

#[derive(Default)]
pub struct Found {
    pub schedules: usize,
    pub states: usize,
    pub stores: usize,
    pub swaps: usize,
    pub complete: bool,
    /// The first violation, with the steps that led to it.
    pub wrong: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Execute,
    /// The operation is refused and does nothing.
    Fail,
    /// The connection breaks before it.
    Lose,
    /// A look at the lock shows a dead holder (`Stale`) or a living one (`Alive`).
    Stale,
    Alive,
    /// Executes an operation that was sent over a broken connection.
    Ghost,
}

const HOW: How = How {
    encode: Encode::Nothing,
    answer: Duration::from_secs(600),
    wait: None,
    skew: Duration::ZERO,
    expire: Duration::from_hours(14 * 24),
};

/// Explores a case until all of it is explored, a limit is reached, or a violation is found.
pub fn explore(case: &Case, bounds: Bounds) -> Found {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let memory = Memory::new(Disk::new(1_750_000_000));
    for command in &case.before {
        let done = runtime.block_on(run(Box::new(memory.clone()), command, HOW));
        done.expect("a command before");
    }
    let began = Instant::now();
    let mut search = Search {
        case,
        bounds,
        base: memory.snapshot(),
        known: Known::new(vec![base(), edited(), grown()]),
        seen: HashSet::new(),
        stores: HashMap::new(),
        found: Found::default(),
        path: Vec::new(),
    };
    loop {
        if let Err(wrong) = runtime.block_on(search.execute()) {
            search.found.wrong = Some(wrong);
            break;
        }
        search.found.schedules += 1;
        while search.path.last().is_some_and(|(chosen, of)| chosen + 1 >= *of) {
            search.path.pop();
        }
        let Some((chosen, _)) = search.path.last_mut() else {
            search.found.complete = true;
            break;
        };
        *chosen += 1;
        let late = bounds.time.is_some_and(|time| began.elapsed() > time);
        if late || search.found.schedules >= bounds.schedules {
            break;
        }
    }
    search.found.states = search.seen.len();
    search.found.stores = search.stores.len();
    search.found
}

struct Search<'a> {
    case: &'a Case,
    bounds: Bounds,
    base: Disk,
    known: Known,
    seen: HashSet<u64>,
    /// The checked states of the store, and whether a further publish was tried on each.
    stores: HashMap<u64, bool>,
    found: Found,
    /// The choices of this execution: the index of each, and the number of alternatives.
    path: Vec<(usize, usize)>,
}

/// One execution.
struct Course {
    memory: Memory,
    actors: Vec<Actor>,
    /// A hash of all answers to each run.
    heard: Vec<u64>,
    swapped: Vec<bool>,
    last: Option<(usize, bool)>,
    switches: usize,
    faults: usize,
    steals: usize,
    looks: i64,
    latest: (i64, i64),
    trace: Vec<String>,
}

impl Search<'_> {
    async fn execute(&mut self) -> Result<(), String> {
        let news = Arc::new(Notify::new());
        let memory = Memory::new(self.base.clone());
        let actors: Vec<Actor> = (0..self.case.actors.len())
            .map(|number| Actor::new(number, Arc::clone(&news)))
            .collect();
        let mut tasks = tokio::task::JoinSet::new();
        for (actor, command) in actors.iter().zip(&self.case.actors) {
            let (actor, command) = (actor.clone(), command.clone());
            tasks.spawn(async move {
                let done = run(Box::new(actor.clone()), &command, HOW).await;
                let uncertain = matches!(done, Err(Error::Uncertain { .. }));
                actor.end(done.map(drop).map_err(|error| error.to_string()), uncertain);
            });
        }
        let count = actors.len();
        let mut course = Course {
            memory,
            actors,
            heard: vec![0; count],
            swapped: vec![false; count],
            last: None,
            switches: 0,
            faults: 0,
            steals: 0,
            looks: 0,
            latest: (0, 0),
            trace: Vec::new(),
        };
        let mut depth = 0;
        loop {
            while !course.actors.iter().all(Actor::is_still) {
                news.notified().await;
            }
            let choices = course.choices(self.bounds);
            if choices.is_empty() {
                break;
            }
            let mut chosen = 0;
            if choices.len() > 1 {
                if depth < self.path.len() {
                    chosen = self.path[depth].0;
                } else {
                    if !self.seen.insert(course.key()) {
                        return Ok(());
                    }
                    self.path.push((0, choices.len()));
                }
                depth += 1;
            }
            let (actor, step) = choices[chosen];
            let wrong = course.take(actor, step);
            let told = |wrong: String| format!("{wrong}\nafter\n  {}", course.trace.join("\n  "));
            if let Some(wrong) = wrong {
                return Err(told(wrong));
            }
            self.check_store(&course.memory, course.faults == 0).map_err(told)?;
            if self.bounds.further == Further::Everywhere {
                self.publish_further(&course).await?;
            }
        }
        self.found.swaps += course.swapped.iter().filter(|swapped| **swapped).count();
        course.judge_ends()?;
        self.publish_further(&course).await
    }

    fn check_store(&mut self, memory: &Memory, strictly: bool) -> Result<(), String> {
        let disk = memory.disk();
        if self.stores.contains_key(&disk.sum()) {
            return Ok(());
        }
        self.stores.insert(disk.sum(), false);
        self.known.check(&disk, strictly)
    }

    /// Checks that one more publish, later, needs no help, whatever was left behind.
    async fn publish_further(&mut self, course: &Course) -> Result<(), String> {
        let disk = course.memory.snapshot();
        if self.stores.insert(disk.sum(), true) == Some(true) {
            return Ok(());
        }
        let told = |wrong: String| format!("{wrong}\nafter\n  {}", course.trace.join("\n  "));
        let memory = Memory::new(disk);
        for folder in ["work", "lock"] {
            memory.disk().age(folder);
        }
        if memory.disk().text("hold").is_some() {
            let done = run(Box::new(memory.clone()), &Command::Resume, HOW).await;
            done.map_err(|error| told(format!("then resume: {error}")))?;
        }
        for site in [edited(), base()] {
            let done = run(Box::new(memory.clone()), &Command::Publish(site), HOW).await;
            done.map_err(|error| told(format!("then a publish: {error}")))?;
        }
        let checked = self.known.check(&memory.disk(), course.faults == 0);
        checked.map_err(|wrong| told(format!("then, after a publish: {wrong}")))
    }
}

impl Course {
    /// The possible next steps. The first one is the step that comes without interference.
    fn choices(&self, bounds: Bounds) -> Vec<(usize, Step)> {
        let mut order: Vec<usize> = (0..self.actors.len()).collect();
        let last = self.last.map(|(actor, _)| actor);
        order.sort_by_key(|actor| Some(*actor) != last);
        let can_go_on = |actor: usize| self.actors[actor].desk().ended.is_none();
        let mut choices = Vec::new();
        for actor in order {
            let desk = self.actors[actor].desk();
            let switches = last.is_some_and(|last| last != actor && can_go_on_but(last, actor, &can_go_on));
            if switches && self.switches >= bounds.switches {
                continue;
            }
            let Some(flight) = desk.flights.front().filter(|_| desk.ended.is_none()) else {
                continue;
            };
            let Some(op) = flight.ops.front() else { continue };
            let private = is_private(op);
            let faults = self.faults < bounds.faults;
            if flight.looks && matches!(op, Op::List(_)) && !self.memory.disk().list("lock").is_empty() {
                choices.push((actor, Step::Alive));
                if self.steals == 0 {
                    choices.push((actor, Step::Stale));
                }
            } else {
                choices.push((actor, Step::Execute));
                if faults && changes(op) && !private {
                    choices.push((actor, Step::Fail));
                }
            }
            if faults && !private {
                choices.push((actor, Step::Lose));
            }
            if private {
                // No other run can notice this operation, so the scheduler can choose between the runs after it.
                return vec![(actor, Step::Execute)];
            }
        }
        for (number, actor) in self.actors.iter().enumerate() {
            if !actor.desk().ghost.is_empty() && (self.last == Some((number, true)) || self.switches < bounds.switches)
            {
                choices.push((number, Step::Ghost));
            }
        }
        choices
    }

    /// A hash of the current state.
    fn key(&self) -> u64 {
        let desks: Vec<u64> = self
            .actors
            .iter()
            .map(|actor| {
                let desk = actor.desk();
                let lines = |ops: &std::collections::VecDeque<Op>| ops.iter().map(Op::to_string).collect::<Vec<_>>();
                let flights: Vec<Vec<String>> = desk.flights.iter().map(|flight| lines(&flight.ops)).collect();
                hash((flights, lines(&desk.ghost), desk.ended.is_some()))
            })
            .collect();
        let spent = (self.switches, self.faults, self.steals, self.last);
        hash((self.memory.disk().sum(), &self.heard, desks, spent))
    }

    /// Takes one step. Returns the violation, if there is one.
    fn take(&mut self, number: usize, step: Step) -> Option<String> {
        let ghost = step == Step::Ghost;
        let front = |actor: &Actor| {
            actor
                .desk()
                .flights
                .front()
                .and_then(|flight| flight.ops.front().cloned())
        };
        let private = !ghost && step == Step::Execute && front(&self.actors[number]).is_some_and(|op| is_private(&op));
        if !private && self.last.is_some_and(|last| last != (number, ghost)) {
            let (last, _) = self.last.unwrap_or_default();
            if ghost || last != number && self.actors[last].desk().ended.is_none() {
                self.switches += 1;
            }
        }
        if !private {
            self.last = Some((number, ghost));
        }
        let actor = self.actors[number].clone();
        if step == Step::Lose {
            self.faults += 1;
            self.trace.push(format!("{number} loses its connection"));
            actor.lose();
            return None;
        }
        let op = {
            let mut desk = actor.desk();
            if ghost {
                desk.ghost.pop_front()?
            } else {
                desk.flights.front_mut()?.ops.pop_front()?
            }
        };
        let before = self.memory.disk().text("current");
        let mut answer = if step == Step::Fail {
            self.faults += 1;
            Err(Refusal {
                kind: RefusalKind::Failed,
                op: op.to_string(),
                message: "the scheduler refuses it".to_owned(),
            })
        } else {
            self.memory.disk().execute(&op)
        };
        if let (Step::Stale | Step::Alive, Ok(Answer::Names(names))) = (step, &mut answer) {
            self.steals += usize::from(step == Step::Stale);
            self.looks += 1;
            let time = if step == Step::Stale {
                0
            } else {
                self.memory.disk().now() + self.looks
            };
            for (_, attr) in names {
                attr.mtime = time;
            }
        }
        let outcome = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => format!("{:?}", refusal.kind),
        };
        self.trace.push(format!("{number} {step:?} {op} = {outcome}"));
        let wrong = self.judge_swap(number, &op, &answer, before);
        self.note_clock();
        if !ghost {
            self.heard[number] = match &answer {
                Ok(Answer::Bytes(bytes)) => hash((self.heard[number], blake3::hash(bytes).as_bytes())),
                answer => hash((self.heard[number], format!("{answer:?}"))),
            };
            if let Some(flight) = actor.desk().flights.front_mut() {
                flight.answers.push(answer);
            }
            actor.answer();
        }
        wrong
    }

    /// Checks that a swap replaces the release that its run believed to be live.
    fn judge_swap(
        &mut self,
        number: usize,
        op: &Op,
        answer: &Result<Answer, Refusal>,
        before: Option<String>,
    ) -> Option<String> {
        let (Op::Rename { to, .. }, Ok(_)) = (op, answer) else {
            return None;
        };
        if to != "current" {
            return None;
        }
        self.swapped[number] = true;
        let disk = self.memory.disk();
        let id = |text: Option<String>| text.unwrap_or_default().trim_start_matches("releases/").to_owned();
        let (from, to) = (id(before), id(disk.text("current")));
        let tail = to.rsplit('-').next().unwrap_or_default();
        let made_here = tail.starts_with(&format!("{number:x}")) && tail.ends_with("bbbb");
        if made_here {
            let document = disk.bytes(&format!("releases/{to}.json")).unwrap_or_default();
            let document = String::from_utf8_lossy(document).into_owned();
            if !document.contains(&format!("\"previous\": \"{from}\"")) {
                return Some(format!("{number} swapped over {from}, which it did not know of"));
            }
        } else if disk.text(&format!("releases/{from}.left")).is_none() {
            return Some(format!("{number} rolled back from {from}, and left no record"));
        }
        let desk = self.actors[number].desk();
        if desk.ended.as_ref().is_some_and(Result::is_err) && !desk.uncertain {
            return Some(format!("{number} reported that it failed, and went live afterwards"));
        }
        None
    }

    fn times(&self) -> Option<(i64, i64)> {
        let generation: Generation = self.memory.disk().text("generation")?.parse().ok()?;
        Some((generation.clock, generation.made))
    }

    fn note_clock(&mut self) {
        if let Some((clock, made)) = self.times() {
            self.latest = (self.latest.0.max(clock), self.latest.1.max(made));
        }
    }

    fn judge_ends(&self) -> Result<(), String> {
        let told = |wrong: String| format!("{wrong}\nafter\n  {}", self.trace.join("\n  "));
        for (number, actor) in self.actors.iter().enumerate() {
            let desk = actor.desk();
            match &desk.ended {
                Some(Err(error)) if self.swapped[number] && !desk.uncertain => {
                    return Err(told(format!("{number} went live and reported that it failed: {error}")));
                }
                None => return Err(told(format!("{number} waits for ever"))),
                _ => {}
            }
        }
        if (self.faults, self.steals) == (0, 0) && self.times() != Some(self.latest) {
            return Err(told(format!(
                "the clock went back: {:?} after {:?}",
                self.times(),
                self.latest
            )));
        }
        Ok(())
    }
}

fn can_go_on_but(last: usize, actor: usize, can_go_on: &dyn Fn(usize) -> bool) -> bool {
    // `can_go_on` locks a desk, so it must not be called for the run whose desk is locked already.
    last != actor && can_go_on(last)
}

/// Whether no other run can notice an operation or change its answer.
fn is_private(op: &Op) -> bool {
    let own = |path: &str| path.starts_with("work/") || path.starts_with("stale/");
    let constant = |path: &str| {
        let folders = [
            "",
            "format",
            "objects",
            "trees",
            "manifests",
            "releases",
            "immutable",
            "work",
            "stale",
            "lock",
        ];
        folders.contains(&path) || own(path) || path.starts_with("objects/") && path.len() == "objects/ab".len()
    };
    match op {
        Op::Lstat(path) | Op::Stat(path) | Op::ReadLink(path) => constant(path),
        Op::MakeFolder(path) | Op::RemoveFile(path) | Op::RemoveFolder(path) | Op::Create(path) => own(path),
        Op::Symlink { at, .. } => own(at),
        Op::Link { from, to } => own(from) && own(to),
        Op::Read { .. } | Op::Write { .. } | Op::Copy { .. } | Op::Finish { .. } | Op::Close(_) | Op::Space(_) => true,
        Op::Rename { .. } | Op::List(_) | Op::Resolve(_) | Op::Open(_) => false,
    }
}

//! Explores every order in which the operations of several runs can reach a host, within the bounds. The real code of
//! publish, rollback and prune runs on a host in memory, and after each operation a scheduler decides which run is
//! next, and which fault occurs when.
//!
//! For each order an execution starts over and follows its choices exactly, which works because the IDs are the same
//! each time. A state that was seen before (the content of the host, the answers to each run, the operations in
//! progress) is not explored further. The order does not matter for operations that no other run can notice. These are
//! executed immediately: what a run does in its own staging directory before it holds the lock, and reads of what never
//! changes.
//!
//! The conditions that every state must meet are in `invariants`.

mod actor;
mod explorer;
mod invariants;

use std::time::Duration;

use self::explorer::{Bounds, Case, Further, explore};
use crate::proofs::crashes::scenario::{base, edited, grown};
use crate::support::bench::Command;
use crate::support::report::say;

fn case(name: &'static str, actors: Vec<Command>) -> Case {
    Case {
        name,
        before: vec![Command::Publish(grown()), Command::Publish(base())],
        actors,
    }
}

/// A case in which a channel shows another site.
fn with_channel(name: &'static str, actors: Vec<Command>) -> Case {
    let mut case = case(name, actors);
    case.before.push(Command::PublishToChannel(grown()));
    case
}

fn pairs() -> Vec<Case> {
    let publish = || Command::Publish(edited());
    let other = || Command::Publish(grown());
    vec![
        case("two publishes", vec![publish(), other()]),
        case("publish and rollback", vec![publish(), Command::Rollback(1)]),
        case("publish and prune", vec![other(), Command::Prune(1)]),
        case("rollback and prune", vec![Command::Rollback(1), Command::Prune(1)]),
        case(
            "two publishes, of which one has seen what is live",
            vec![Command::PublishHavingSeen(edited(), base()), other()],
        ),
        case(
            "a publish that has seen what is live, and prune",
            vec![Command::PublishHavingSeen(grown(), base()), Command::Prune(1)],
        ),
        case("publish and hold", vec![publish(), Command::Hold]),
        case("two prunes", vec![Command::Prune(1), Command::Prune(1)]),
        case(
            "publish, and publish to a channel",
            vec![publish(), Command::PublishToChannel(grown())],
        ),
        case(
            "publish to a channel, and prune",
            vec![Command::PublishToChannel(grown()), Command::Prune(1)],
        ),
        with_channel("promotion and publish", vec![Command::Promote, publish()]),
        with_channel("promotion and removal", vec![Command::Promote, Command::RemoveChannel]),
        with_channel("removal and prune", vec![Command::RemoveChannel, Command::Prune(1)]),
    ]
}

fn run(cases: Vec<Case>, bounds: Bounds) {
    for case in cases {
        let found = explore(&case, bounds);
        say(&format!(
            "explored, {}: {} schedules, {} states, {} states of the store, {} swaps; {} ({bounds:?})",
            case.name,
            found.schedules,
            found.states,
            found.stores,
            found.swaps,
            if found.complete {
                "complete within the bounds"
            } else {
                "stopped at the limit"
            },
        ));
        assert!(found.schedules > 10 && found.stores > 10);
        assert!(
            found.wrong.is_none(),
            "{}: {}",
            case.name,
            found.wrong.unwrap_or_default()
        );
    }
}

#[test]
fn no_order_of_two_runs_tears_the_site() {
    run(
        pairs(),
        Bounds {
            switches: 1,
            faults: 0,
            schedules: 3000,
            time: None,
            further: Further::AtTheEnd,
        },
    );
}

#[test]
fn no_order_of_two_runs_with_a_fault_tears_the_site() {
    run(
        pairs(),
        Bounds {
            switches: 0,
            faults: 1,
            schedules: 3000,
            time: None,
            further: Further::AtTheEnd,
        },
    );
}

#[test]
fn one_more_publish_works_wherever_two_runs_stop() {
    run(
        pairs(),
        Bounds {
            switches: 1,
            faults: 0,
            schedules: 30,
            time: None,
            further: Further::Everywhere,
        },
    );
}

/// The time limit for each case of the long run, from `EXPLORE_SECONDS`; without it there is no limit.
fn a_case() -> Option<Duration> {
    let seconds = std::env::var("EXPLORE_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("EXPLORE_SECONDS")))
}

#[test]
#[ignore = "takes hours"]
fn no_order_of_two_or_three_runs_with_a_fault_tears_the_site_at_large() {
    run(
        pairs(),
        Bounds {
            switches: 3,
            faults: 1,
            schedules: 200_000,
            time: a_case(),
            further: Further::Everywhere,
        },
    );
    let publish = || Command::Publish(edited());
    let three = vec![
        case(
            "two publishes and a prune",
            vec![publish(), Command::Publish(grown()), Command::Prune(1)],
        ),
        case(
            "publish, rollback and prune",
            vec![publish(), Command::Rollback(1), Command::Prune(1)],
        ),
    ];
    run(
        three,
        Bounds {
            switches: 2,
            faults: 1,
            schedules: 200_000,
            time: a_case(),
            further: Further::Everywhere,
        },
    );
}

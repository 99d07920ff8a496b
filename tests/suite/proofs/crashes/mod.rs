//! Every crash point: a run that changes a store fails before and after every single operation, in the middle of every
//! write, and in every way that a host, a client and a line can fail. Afterwards visitors get the old or the new
//! release, complete; the next publish needs no help; and prune leaves nothing behind.
//!
//! All points of all commands are tried on a host in memory, and every death of a client also on a folder; the other
//! kinds of failure on a folder are left to the long run. `crashes_served` does the same over SFTP.

pub mod ground;
pub mod points;
pub mod scenario;
mod table;

use syntax_publish::host::Op;

use self::ground::{Folder, Ground, InMemoryGround};
use self::points::{course, on_a_thread, try_all};
use self::scenario::Scenario;
use crate::support::faulty::{DEATHS, FAULTS, Fault};
use crate::support::report::say;

/// Breaks one command at all its points, prints the number of points, and fails if one is wrong.
pub fn survives<G: Ground>(place: &str, ground: &(dyn Fn() -> G + Sync), scenario: &Scenario, faults: &[Fault]) {
    let tally = try_all(ground, scenario, faults);
    say(&format!(
        "{place}, {}: {} points; visitors had the old release at {}, the new one at {}",
        scenario.name, tally.points, tally.old, tally.new
    ));
    let wrong = tally.wrong.len();
    let some: Vec<&str> = tally.wrong.iter().take(6).map(String::as_str).collect();
    assert!(
        wrong == 0,
        "{wrong} of {} points are wrong, the first of them:\n{}",
        tally.points,
        some.join("\n")
    );
    assert!(tally.points > 0);
}

macro_rules! each {
    ($($command:ident: $faults:expr,)*) => {
        mod no_fault_tears_the_site_in_memory_during {
            use super::*;

            $(#[test]
            fn $command() {
                survives("in memory", &InMemoryGround::new, &scenario::$command(), &$faults);
            })*
        }

        mod no_death_tears_the_site_in_a_folder_during {
            use super::*;

            $(#[test]
            fn $command() {
                survives("in a folder", &Folder::new, &scenario::$command(), &DEATHS);
            })*
        }

        mod no_fault_tears_the_site_in_a_folder_during {
            use super::*;

            $(#[test]
            #[ignore = "takes minutes"]
            fn $command() {
                survives("in a folder", &Folder::new, &scenario::$command(), &FAULTS);
            })*
        }
    };
}

each! {
    first_publish: FAULTS,
    publish_of_an_edit: FAULTS,
    publish_of_an_edit_in_a_wide_folder: FAULTS,
    publish_of_an_edit_before_another: FAULTS,
    publish_of_an_edit_to_what_was_seen: FAULTS,
    publish_that_adds_to_what_was_seen: FAULTS,
    publish_after_something_else_was_seen: FAULTS,
    publish_that_adds_to_the_pool: FAULTS,
    publish_sent_in_batches: FAULTS,
    publish_of_a_large_file: DEATHS,
    publish_of_nothing_new: FAULTS,
    publish_with_prune: FAULTS,
    rollback: FAULTS,
    hold: FAULTS,
    resume: FAULTS,
    prune: FAULTS,
}

#[test]
fn a_publish_that_has_seen_what_is_live_goes_another_way() {
    let flights = |scenario: &Scenario| {
        let (course, _) = on_a_thread(course(&InMemoryGround::new(), scenario));
        course.flights.len()
    };
    for (knowing, not_knowing) in [
        (
            scenario::publish_of_an_edit_to_what_was_seen(),
            scenario::publish_of_an_edit(),
        ),
        (
            scenario::publish_that_adds_to_what_was_seen(),
            scenario::publish_that_adds_to_the_pool(),
        ),
    ] {
        assert!(flights(&knowing) < flights(&not_knowing), "{}", knowing.name);
    }
}

#[test]
fn a_publish_in_a_wide_folder_copies_on_the_host() {
    let wide = scenario::publish_of_an_edit_in_a_wide_folder();
    let (course, _) = on_a_thread(course(&InMemoryGround::new(), &wide));
    assert!(course.flights.iter().flatten().any(|op| matches!(op, Op::Copy { .. })));
}

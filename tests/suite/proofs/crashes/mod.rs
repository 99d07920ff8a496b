//! Every crash point: a run that changes a store fails before and after every single operation, in the middle of every
//! write, and in every way that a host, a client and a line can fail. Afterwards visitors get the old or the new
//! release, complete; the next publish needs no help; and prune leaves nothing behind.
//!
//! On a host in memory each command dies at every point, and fails in the other ways at the first and the last point of
//! each kind: the same operations before and after it, on the same part of the store, equally far into the run. On a
//! folder it dies at these. The long run tries every failure at every point, in memory and on a folder.
//! `crashes_served` does the same over SFTP.

pub mod ground;
pub mod points;
pub mod scenario;
mod table;

use syntax_publish::host::Op;

use self::ground::{Folder, Ground, InMemoryGround};
use self::points::{Reach, course, on_a_thread, try_all};
use self::scenario::Scenario;
use crate::support::faulty::{DEATHS, FAULTS, Fault};
use crate::support::report::say;

/// Every fault at every point.
pub fn all(faults: &[Fault]) -> Vec<(Fault, Reach)> {
    faults.iter().map(|fault| (*fault, Reach::Every)).collect()
}

/// Every fault at the points of each kind.
pub fn each_kind(faults: &[Fault]) -> Vec<(Fault, Reach)> {
    faults.iter().map(|fault| (*fault, Reach::EachKind)).collect()
}

/// Deaths at every point, and the other faults at the points of each kind.
fn all_deaths(faults: &[Fault]) -> Vec<(Fault, Reach)> {
    let reach = |fault| {
        if fault == Fault::Dead {
            Reach::Every
        } else {
            Reach::EachKind
        }
    };
    faults.iter().map(|fault| (*fault, reach(*fault))).collect()
}

/// Breaks one command at its points, prints the number of points, and fails if one is wrong.
pub fn survives<G: Ground>(
    place: &str,
    ground: &(dyn Fn() -> G + Sync),
    scenario: &Scenario,
    faults: &[(Fault, Reach)],
) {
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

        mod no_fault_tears_the_site_in_memory_in_the_long_run_during {
            use super::*;

            $(#[test]
            #[ignore = "takes minutes"]
            fn $command() {
                survives("in memory", &InMemoryGround::new, &scenario::$command(), &all(&FAULTS));
            })*
        }

        mod no_death_tears_the_site_in_a_folder_during {
            use super::*;

            $(#[test]
            fn $command() {
                survives("in a folder", &Folder::new, &scenario::$command(), &each_kind(&DEATHS));
            })*
        }

        mod no_fault_tears_the_site_in_a_folder_during {
            use super::*;

            $(#[test]
            #[ignore = "takes minutes"]
            fn $command() {
                survives("in a folder", &Folder::new, &scenario::$command(), &all(&FAULTS));
            })*
        }
    };
}

each! {
    first_publish: all_deaths(&FAULTS),
    publish_of_an_edit: all_deaths(&FAULTS),
    publish_of_an_edit_in_a_wide_folder: all_deaths(&FAULTS),
    publish_of_an_edit_before_another: all_deaths(&FAULTS),
    publish_of_an_edit_to_what_was_seen: all_deaths(&FAULTS),
    publish_that_adds_to_what_was_seen: all_deaths(&FAULTS),
    publish_after_something_else_was_seen: all_deaths(&FAULTS),
    publish_that_adds_to_the_pool: all_deaths(&FAULTS),
    publish_sent_in_batches: all_deaths(&FAULTS),
    publish_of_a_large_file: each_kind(&DEATHS),
    publish_of_nothing_new: all(&FAULTS),
    publish_with_prune: all_deaths(&FAULTS),
    publish_to_a_channel: all_deaths(&FAULTS),
    publish_to_a_channel_again: each_kind(&FAULTS),
    promote: all_deaths(&FAULTS),
    remove_channel: all(&FAULTS),
    prune_beside_a_channel: all_deaths(&FAULTS),
    rollback: all(&FAULTS),
    hold: all(&FAULTS),
    resume: all(&FAULTS),
    prune: all_deaths(&FAULTS),
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

//! Measures a rollback to the previous release over a line with a delay: one symlink moves, whatever the size of the
//! site.

use syntax_publish::store::rollback::{self, Destination};

use crate::measure::{Row, Table, Watch};
use crate::ours::{Levels, Ours, Way, lossy};
use crate::scenarios::{Extent, say, thousands};
use crate::site::{self, Size};

/// Publishes and rolls back in turns; next to each rollback it measures a connection that makes no request.
pub fn rollback(extent: Extent, table: &mut Table) {
    let (rounds, sizes) = match extent {
        Extent::Quick => (2, vec![100]),
        Extent::Full => (5, vec![1000, 10_000]),
    };
    for pages in sizes {
        say(&format!("{pages} pages: writing them, first publish"));
        let mut ours = Ours::new(Size { pages }, Levels::QUICK);
        let home = ours.new_home();
        ours.publish(Way::Near, &home, Watch::Time);
        let mut back = Row::new("syntax-publish rollback");
        let mut connecting = Row::new("connecting alone (sftp, which asks nothing)");
        let mut beyond = Row::new("rollback without connecting");
        let publish = |round: usize| {
            site::edit(&ours.export, (round * 37 + 11) % pages, round + 1);
            ours.publish(Way::Near, &home, Watch::Time);
        };
        for round in 0..rounds {
            say(&format!("{pages} pages, rolled back: {} of {rounds}", round + 1));
            publish(round);
            let alone = ours.connecting();
            let (mut took, said) = ours.run(Way::Far, &home, &["rollback"], Watch::Time);
            assert!(said["previous"].is_string(), "it went back: {said}");
            connecting.time.push(alone);
            connecting.against.push(alone / took.ran.seconds);
            beyond.time.push(took.ran.seconds - alone);
            // The command does not report its round trips. The library does, and they do not depend on the line.
            publish(rounds + round);
            took.round_trips = round_trips(&ours);
            back.add(&took);
        }
        table.group(&format!("rollback of a site of {} pages, RTT 50 ms", thousands(pages)));
        for row in [&back, &connecting, &beyond] {
            table.push(row);
        }
    }
}

fn round_trips(ours: &Ours) -> f64 {
    let session = ours.session(Way::Near, "rollback");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = rollback::Options::default();
    let going = rollback::rollback(&session, &Destination::Steps(1), &options);
    runtime.block_on(going).expect("a release to go back to");
    lossy(session.counts().round_trips())
}

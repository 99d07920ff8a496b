//! Measures a prune of fifty releases over a line with a delay: dead objects are found level by level, so the round
//! trips depend on the depth of the site and not on the number of its files.

use std::time::Duration;

use syntax_publish::store::prune::{self, Options};

use crate::measure::{Row, Table, Watch, timed};
use crate::ours::{Levels, Ours, Way, lossy};
use crate::scenarios::{Extent, say, thousands};
use crate::site::{self, Size};

/// Edits and publishes one page `releases` times, and then prunes all of these releases but one.
pub fn prune(extent: Extent, table: &mut Table) {
    let (rounds, releases, sizes) = match extent {
        Extent::Quick => (1, 5, vec![100, 200]),
        Extent::Full => (3, 50, vec![1000, 10_000]),
    };
    for pages in sizes {
        say(&format!("{pages} pages: writing them, first publish"));
        let mut ours = Ours::new(Size { pages }, Levels::QUICK);
        let home = ours.new_home();
        ours.publish(Way::Near, &home, Watch::Time);
        let mut pruned = Row::new("prune");
        let mut connecting = Row::new("connecting alone (sftp, which asks nothing)");
        for round in 0..rounds {
            say(&format!(
                "{pages} pages, {releases} edits to prune: {} of {rounds}",
                round + 1
            ));
            for edit in 0..releases {
                let revision = round * releases + edit + 1;
                site::edit(&ours.export, (revision * 37 + 11) % pages, revision);
                ours.publish(Way::Near, &home, Watch::Time);
            }
            let session = ours.session(Way::Far, "prune");
            let options = Options {
                keep: 1,
                // The default of a site manifest that does not set it.
                skew: Duration::from_secs(7 * 24 * 60 * 60),
                expire: Duration::from_hours(14 * 24),
                dry_run: false,
                yields: false,
            };
            let before = (ours.far.bytes_up(), ours.far.bytes_down());
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let (seconds, gone) = timed(|| runtime.block_on(prune::prune(&session, &options)));
            let gone = gone.expect("releases to prune");
            assert_eq!(gone.releases, lossless(releases), "all but the live one went");
            pruned.time.push(seconds);
            pruned.round_trips.push(lossy(session.counts().round_trips()));
            pruned.sent.push(lossy(ours.far.bytes_up() - before.0));
            pruned.received.push(lossy(ours.far.bytes_down() - before.1));
            drop(session);
            let alone = ours.connecting();
            connecting.time.push(alone);
            connecting.against.push(alone / seconds);
        }
        table.group(&format!(
            "{releases} releases of a site of {} pages pruned, RTT 50 ms",
            thousands(pages)
        ));
        table.push(&pruned);
        table.push(&connecting);
    }
}

fn lossless(count: usize) -> u64 {
    u64::try_from(count).expect("a small number")
}

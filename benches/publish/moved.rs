//! Measures publishes of a site with many redirects, compared with the same publishes of the same site without any: each
//! redirect is a symlink in the release and a folder that spells its answer.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::measure::{Row, Table, Watch};
use crate::ours::{Levels, Ours, Publish, Way};
use crate::scenarios::{Extent, say, thousands};
use crate::site::{self, Size};

/// Old addresses in one folder.
const A_FOLDER: usize = 100;

/// A site, its host, and a home with caches.
struct Side {
    ours: Ours,
    home: PathBuf,
}

impl Side {
    fn new(pages: usize) -> Self {
        let mut ours = Ours::new(Size { pages }, Levels::QUICK);
        let home = ours.new_home();
        ours.publish(Way::Near, &home, Watch::Time);
        // Fills the caches of the far line.
        site::edit(&ours.export, 1, 1_000_000);
        ours.publish(Way::Far, &home, Watch::Time);
        Self { ours, home }
    }

    fn publish(&self) -> Publish {
        self.ours.publish(Way::Far, &self.home, Watch::Time)
    }

    fn publish_nothing(&self) -> Publish {
        let (took, said) = self.ours.run(Way::Far, &self.home, &["publish"], Watch::Time);
        assert_eq!(said["swapped"], false, "there was nothing to publish: {said}");
        took
    }
}

/// Writes this many redirects, each with an answer that no other round has. `changed` is one that leads elsewhere.
fn write(export: &Path, count: usize, round: usize, changed: Option<usize>) {
    let mut lines = String::new();
    for number in 0..count {
        let folder = number / A_FOLDER;
        let what = if changed == Some(number) { "changed" } else { "moved" };
        writeln!(lines, "/old/{folder}/{number} /?{what}={round}-{number} 308").expect("a text");
    }
    fs::write(export.join("_redirects"), lines).expect("a file of redirects");
}

/// Publishes with one edited page and with none, in turns with and without redirects. With them, the publish of the
/// edited page adds all of them, and then one more changes one redirect.
pub fn moved(extent: Extent, table: &mut Table) {
    let (rounds, pages, count) = match extent {
        Extent::Quick => (1, 100, 500),
        Extent::Full => (3, 1000, 10_000),
    };
    say(&format!("{pages} pages: writing them, first publishes"));
    let (with, without) = (Side::new(pages), Side::new(pages));
    let many = thousands(count);
    let mut edited = Row::new("one page edited, no redirects");
    let mut added = Row::new(format!("one page edited, {many} redirects added"));
    let mut changed = Row::new(format!("one of {many} redirects changed"));
    let mut idle = Row::new("nothing changed, no redirects");
    let mut same = Row::new(format!("nothing changed, {many} redirects"));
    for round in 1..=rounds {
        say(&format!("{count} redirects: {round} of {rounds}"));
        for side in [&with, &without] {
            site::edit(&side.ours.export, (round * 37 + 11) % pages, round);
        }
        let plain = without.publish();
        write(&with.ours.export, count, round, None);
        let of_all = with.publish();
        write(&with.ours.export, count, round, Some(count / 2));
        let of_one = with.publish();
        let plain_idle = without.publish_nothing();
        let of_none = with.publish_nothing();
        for (row, took, against) in [
            (&mut edited, &plain, &plain),
            (&mut added, &of_all, &plain),
            (&mut changed, &of_one, &plain),
            (&mut idle, &plain_idle, &plain_idle),
            (&mut same, &of_none, &plain_idle),
        ] {
            row.add(took);
            row.against.push(took.ran.seconds / against.ran.seconds);
        }
    }
    table.group(&format!(
        "redirects of a site of {} pages, RTT 50 ms; the time is divided by that without redirects",
        thousands(pages)
    ));
    for row in [&edited, &added, &changed, &idle, &same] {
        table.push(row);
    }
}

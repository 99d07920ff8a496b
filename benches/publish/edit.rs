//! Measures a publish of one edited page over a line with a delay, at several sizes, compared with every installed
//! tool.

use std::collections::BTreeMap;

use crate::measure::{self, Point, Row, Table, Watch};
use crate::ours::{Levels, RTT, Way, lossy};
use crate::peer::{ALL_TOOLS, Peer};
use crate::scenarios::{Bench, Extent, Prepared, say, thousands};
use crate::site::{self, Size};
use crate::tool::{TOOLS, Tool};

/// Rounds for a median. What takes longer than [`ONCE`] is measured once, and what would take longer than [`NEVER`] is
/// not measured.
const ROUNDS: usize = 5;

/// Limit in seconds; see [`ROUNDS`].
const ONCE: f64 = 20.0;

/// Limit in seconds; see [`ROUNDS`].
const NEVER: f64 = 240.0;

/// Docroot suffix for the machine without caches.
const FRESH: &str = "-fresh";

const SYNCHRONISING: &str = "synchronising";
const FROM_EXPORT: &str = "from export to swapped";

pub fn sizes(extent: Extent) -> Vec<usize> {
    match extent {
        Extent::Quick => vec![10, 100, 1000],
        Extent::Full => vec![10, 100, 1000, 10_000],
    }
}

pub fn edit(bench: &mut Bench, sizes: &[usize], table: &mut Table) {
    let mut taken = BTreeMap::new();
    for &pages in sizes {
        let levels = if pages > ALL_TOOLS { Levels::QUICK } else { Levels::BEST };
        one_size(bench.prepared_at(pages, levels), pages, &mut taken, table);
    }
}

/// Seconds and files of each tool at the previous size, by the name of the tool.
type Taken = BTreeMap<&'static str, (f64, usize)>;

fn one_size(site: &mut Prepared, pages: usize, taken: &mut Taken, table: &mut Table) {
    say(&format!("{pages} pages: encoding them for the others"));
    let mut peer = Peer::new(Size { pages }, site.levels);
    let home = site.ours.new_home();
    // Fills the caches that a machine keeps between two publishes; both docroots begin with that release.
    edit_both(site, &mut peer, pages, 1);
    site.ours.publish(Way::Far, &home, Watch::Time);
    site.ours.copy_docroot(FRESH);
    peer.release();
    peer.put_forward();

    let mut warm = Row::new("syntax-publish, a machine that remembers");
    let mut fresh = Row::new("syntax-publish, a fresh machine");
    let mut connect = Row::new("connecting alone (ssh … true)");
    let mut others: Vec<Other> = TOOLS
        .iter()
        .map(|&tool| Other::new(tool, pages, &peer, taken))
        .collect();
    for round in 0..ROUNDS {
        say(&format!("{pages} pages, one edited: {} of {ROUNDS}", round + 1));
        edit_both(site, &mut peer, pages, round + 2);
        warm.add(&site.ours.publish(Way::Far, &home, Watch::Time));
        // This machine has its own docroot; otherwise the machine with caches would find a live release that it
        // did not publish.
        site.ours.write_manifest(site.levels, FRESH);
        let nothing = site.ours.new_home();
        fresh.add(&site.ours.publish(Way::Far, &nothing, Watch::Time));
        site.ours.write_manifest(site.levels, "");
        for other in &mut others {
            other.run(&mut peer);
        }
        peer.put_forward();
        connect.moved(&peer.connect());
    }
    site.ours.discard_docroot(FRESH);
    for other in &others {
        if let Some(seconds) = other.row.time.median() {
            taken.insert(other.tool.name(), (seconds, peer.files));
        }
    }

    let (count, name) = (thousands(pages), site.levels.name());
    table.group(&format!("one page edited of {count}, RTT 50 ms; synchronising alone"));
    table.push(&at(&warm, "syntax-publish", pages, SYNCHRONISING));
    for other in &others {
        let mut row = at(&other.row, other.tool.name(), pages, SYNCHRONISING);
        row.what.push_str(&other.note);
        row.against = row.time.over(&warm.time);
        table.push(&row);
    }
    connect.against = connect.time.over(&warm.time);
    table.push(&connect);

    let encoding = measure::seconds(peer.encoding);
    for (ours, tool) in [(&warm, "syntax-publish"), (&fresh, "syntax-publish, fresh machine")] {
        table.group(&format!(
            "the same, from export to swapped; {name}, which takes the others {encoding}"
        ));
        table.push(&at(ours, tool, pages, FROM_EXPORT));
        for other in others.iter().filter(|other| !other.row.time.values().is_empty()) {
            let mut row = at(&other.row, other.tool.name(), pages, FROM_EXPORT);
            row.what.push_str(&other.note);
            row.time = row.time.plus(peer.encoding);
            row.against = row.time.over(&ours.time);
            // The row is in both groups, but the plot takes it only once.
            row.point = row.point.filter(|_| tool == "syntax-publish");
            table.push(&row);
        }
    }
}

fn edit_both(site: &Prepared, peer: &mut Peer, pages: usize, revision: usize) {
    let page = (revision * 37 + 11) % pages;
    site::edit_in_sections(&site.ours.export, page, revision, Size { pages }.a_section());
    peer.edit(page, revision);
}

/// Returns the row with its place in the plot.
fn at(row: &Row, tool: &'static str, pages: usize, measures: &'static str) -> Row {
    let mut row = row.clone();
    row.point = Some(Point { tool, pages, measures });
    row
}

/// A tool and its measurements.
struct Other {
    tool: Tool,
    row: Row,
    /// Why there are fewer measurements than for the others; empty if there are not.
    note: String,
    over: bool,
}

impl Other {
    fn new(tool: Tool, pages: usize, peer: &Peer, taken: &Taken) -> Other {
        let by_files = taken
            .get(tool.name())
            .map(|(seconds, files)| seconds * lossy(peer.files as u64) / lossy(*files as u64));
        // sftp opens, writes and closes one file after another, so three round trips per file is the least it takes.
        // This gives an estimate even if no smaller size was measured.
        let least = (tool == Tool::Sftp).then(|| lossy(peer.files as u64) * 3.0 * RTT.as_secs_f64());
        let expected = by_files.or(least);
        let left_out = if !tool.installed() {
            Some("not installed".to_owned())
        } else if pages > ALL_TOOLS && tool.grows() {
            Some(format!("left out beyond {} pages", thousands(ALL_TOOLS)))
        } else {
            expected
                .filter(|&seconds| tool.grows() && seconds > NEVER)
                .map(|seconds| {
                    format!(
                        "left out: by the number of files it would take {}",
                        measure::seconds(seconds)
                    )
                })
        };
        if let Some(why) = &left_out {
            say(&format!("{}: {why}", tool.name()));
        }
        Other {
            tool,
            row: Row::new(tool.what()),
            over: left_out.is_some(),
            note: left_out.map(|why| format!("; {why}")).unwrap_or_default(),
        }
    }

    fn run(&mut self, peer: &mut Peer) {
        if self.over {
            return;
        }
        say(self.tool.name());
        let moved = self.tool.run(peer);
        self.row.moved(&moved);
        if moved.seconds > ONCE {
            self.over = true;
            self.note = format!(
                "; measured {} only, for it takes long",
                match self.row.time.values().len() {
                    1 => "once".to_owned(),
                    several => format!("{several} times"),
                }
            );
        }
    }
}

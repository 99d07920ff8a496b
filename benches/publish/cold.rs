//! Measures the first publish of a complete site to an empty host next door, with and without the time that the disk
//! takes, and the encoders alone for comparison.

use std::path::{Path, PathBuf};

use crate::discard::discard;
use crate::measure::{self, Row, Spread, Table, Watch, command};
use crate::ours::{Levels, Ours, Way};
use crate::peer::{self, cores};
use crate::scenarios::{Extent, say, thousands};
use crate::site::{self, Size};
use crate::support::sshd::Offer;

/// Library that makes `fsync` return immediately in the process that loads it. The host's SFTP server waits for
/// `fsync`.
pub const UNFLUSHED: &str = "libeatmydata.so";

/// Takes turns between a publish to a host that waits for its disk, a publish to one that does not, and the encoders
/// alone.
pub fn cold(extent: Extent, table: &mut Table) {
    let (rounds, pages, levels) = match extent {
        Extent::Quick => (1, 100, Levels::BEST),
        Extent::Full => (3, 1000, Levels::BEST),
    };
    let library = library(UNFLUSHED);
    if library.is_none() {
        say("libeatmydata is missing: what the disk takes is not told apart");
    }
    let write = |export: &Path| site::write(export, Size { pages });
    let mut flushed = Ours::with(levels, Offer::default(), write);
    let mut unflushed = library.as_deref().map(|library| {
        let preload = Some(library);
        let offer = Offer {
            preload,
            ..Offer::default()
        };
        Ours::with(levels, offer, write)
    });
    let mut all = Row::new("syntax-publish, from export to live");
    let mut quick = Row::new("the same to a host whose fsync waits for nothing");
    let mut alone = peer::encoders(levels).map(|(program, _)| Row::new(format!("{program} alone, {} cores", cores())));
    let mut both = Row::new("both encoders, one after the other");
    for round in 0..rounds {
        say(&format!("cold publish of {pages} pages, {} of {rounds}", round + 1));
        let publish = to_an_empty_docroot(&mut flushed, levels, round, &mut all);
        let ours = match &mut unflushed {
            Some(unflushed) => {
                let seconds = to_an_empty_docroot(unflushed, levels, round, &mut quick);
                quick.against.push(seconds / publish);
                seconds
            }
            None => publish,
        };
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let copy = copy_of(&flushed.export, scratch.path());
        let mut together = 0.0;
        for (row, (program, mut args)) in alone.iter_mut().zip(peer::encoders(levels)) {
            args.push("-k".to_owned());
            let seconds = peer::encode(&copy, program, &args);
            row.time.push(seconds);
            row.against.push(seconds / ours);
            together += seconds;
        }
        discard(&copy);
        both.time.push(together);
        both.against.push(together / ours);
    }
    let against = if unflushed.is_some() {
        "the encoders are divided by ours without fsyncs"
    } else {
        "fsyncs included"
    };
    table.group(&format!(
        "cold publish of {} pages on loopback; {}; {against}",
        thousands(pages),
        levels.name()
    ));
    table.push(&all);
    if unflushed.is_some() {
        table.push(&quick);
    }
    for row in alone.iter().chain([&both]) {
        table.push(row);
    }
}

/// Publishes from a machine that has never published before; returns seconds.
fn to_an_empty_docroot(ours: &mut Ours, levels: Levels, round: usize, row: &mut Row) -> f64 {
    let suffix = format!("-cold-{round}");
    ours.write_manifest(levels, &suffix);
    let home = ours.new_home();
    let publish = ours.publish(Way::Near, &home, Watch::Memory);
    ours.discard_docroot(&suffix);
    row.add(&publish);
    // Nothing went over the far line.
    (row.sent, row.received) = (Spread::default(), Spread::default());
    publish.ran.seconds
}

/// Links the same files into another folder, where the encoders can put their output next to them.
fn copy_of(export: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("copy");
    measure::run(
        command("cp", ["-al".as_ref(), export.as_os_str(), copy.as_os_str()]),
        Watch::Time,
    );
    copy
}

/// Finds a library on this system; `None` if it is not installed.
pub fn library(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let below = std::fs::read_dir("/usr/lib").ok()?;
    let below = below.filter_map(|entry| Some(entry.ok()?.path()));
    let mut places = folders.into_iter().chain(below).flat_map(|folder| {
        let packaged = folder.join("libeatmydata").join(name);
        [folder.join(name), packaged]
    });
    places.find(|place| place.exists())
}

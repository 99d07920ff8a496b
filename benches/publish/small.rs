//! Measures many small files over a line that is both long and narrow, compared with what the line itself allows.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cold::{UNFLUSHED, library};
use crate::measure::{self, Row, Table, Watch, command};
use crate::ours::{Levels, Ours, Publish, RTT, Way};
use crate::peer;
use crate::scenarios::{Extent, say, thousands};
use crate::site::{self, PAGES_A_SECTION};
use crate::support::sshd::Offer;

/// 100 Mbit/s.
const BYTES_A_SECOND: u64 = 12_500_000;

/// The least number of round trips of a publish: what an edit takes if the host is known.
const LEAST_ROUND_TRIPS: f64 = 4.0;

/// Publishes as many new pages as are live. The pages bring their encodings, so nothing is compressed meanwhile: this
/// measures sending.
pub fn small(extent: Extent, table: &mut Table) {
    let (rounds, pages) = match extent {
        Extent::Quick => (1, 100),
        Extent::Full => (5, 1000),
    };
    let mut took = Row::new("syntax-publish, from export to live");
    let mut least = Row::new("limit: connecting, bytes ÷ bandwidth, four round trips");
    let mut counted = Row::new("limit with the round trips that it made");
    let mut unflushed = Row::new("the same to a host whose fsync waits for nothing");
    let mut unflushed_sending = Row::new("its stage sync");
    // Stages overlap: encodings are decoded while others are sent, and none is made.
    let mut by_stage: BTreeMap<String, Row> = BTreeMap::new();
    let library = library(UNFLUSHED);
    if library.is_none() {
        say("libeatmydata is missing: what the disk takes is not told apart");
    }
    for round in 0..rounds {
        say(&format!(
            "{pages} new pages: writing and encoding them, {} of {rounds}",
            round + 1
        ));
        let (publish, stages, connecting) = of_new_pages(pages, Offer::default());
        if let Some(library) = &library {
            let preload = Some(library.as_path());
            let offer = Offer {
                preload,
                ..Offer::default()
            };
            let (quick, stages, _) = of_new_pages(pages, offer);
            unflushed.against.push(quick.ran.seconds / publish.ran.seconds);
            unflushed.add(&quick);
            unflushed_sending
                .time
                .push(stages.get("sync").copied().unwrap_or_default());
        }
        let rate = f64::from(u32::try_from(BYTES_A_SECOND).expect("a small number"));
        let line = connecting + publish.sent / rate;
        let limits = [LEAST_ROUND_TRIPS, publish.round_trips].map(|trips| line + trips * RTT.as_secs_f64());
        for (row, limit) in [&mut least, &mut counted].into_iter().zip(limits) {
            row.time.push(limit);
            row.against.push(limit / publish.ran.seconds);
        }
        for (stage, seconds) in stages {
            let row = by_stage
                .entry(stage)
                .or_insert_with_key(|stage| Row::new(format!("its stage {stage}")));
            row.time.push(seconds);
        }
        took.add(&publish);
    }
    table.group(&format!(
        "{0} new pages beside {0} that are live, RTT 50 ms, 100 Mbit/s",
        thousands(pages)
    ));
    for row in [&took].into_iter().chain(by_stage.values()).chain([&least, &counted]) {
        table.push(row);
    }
    if library.is_some() {
        table.push(&unflushed);
        table.push(&unflushed_sending);
    }
}

/// Publishes as many new pages as are live, over the narrow line. Also returns the seconds of each stage, and the
/// seconds of connecting.
fn of_new_pages(pages: usize, offer: Offer<'_>) -> (Publish, BTreeMap<String, f64>, f64) {
    let mut ours = Ours::with(Levels::QUICK, offer, |export| {
        site::write_in_sections(export, pages, PAGES_A_SECTION);
        encode(export);
    });
    ours.leave_files_alone();
    let home = ours.new_home();
    ours.publish(Way::Near, &home, Watch::Time);
    // They are encoded elsewhere: gzip would delete the encodings that are there and make them again.
    let scratch = ours.export.with_file_name("scratch");
    for number in pages..2 * pages {
        site::edit(&scratch, number, 0);
    }
    encode(&scratch);
    let mut copy = command("cp", ["-al", "--"]);
    copy.args([scratch.join("."), ours.export.clone()]);
    measure::run(copy, Watch::Time);
    let connecting = ours.connecting();
    ours.far.set_rate(BYTES_A_SECOND);
    let (publish, stages) = ours.publish_timed(Way::Far, &home);
    (publish, stages, connecting)
}

/// Writes encodings next to the files of the export.
fn encode(export: &Path) {
    for (program, mut args) in peer::encoders(Levels::QUICK) {
        args.extend(["-f".to_owned(), "-k".to_owned()]);
        peer::encode(export, program, &args);
    }
}

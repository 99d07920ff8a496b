//! Measures the built `syntax-publish` against the usual alternatives, side by side in one run, and prints tables.
//!
//! Usage: `cargo bench --bench publish -- [quick] [pages=10,100] [json=FILE] [SCENARIO…]`; with no name it runs all of
//! [`SCENARIOS`]. `pages` sets the sizes of `edit`. Every measurement is written to the file of `json`, by default
//! `target/bench/publish.json`. It never fails because something is slow: what counts is the ratio between neighbouring
//! rows of one run, and the reader decides.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement prints its table, and one that can't be made stops"
)]

mod cold;
mod discard;
mod edit;
mod flat;
mod large;
mod look;
mod measure;
mod moved;
mod ours;
mod peer;
mod prune;
mod report;
mod rollback;
mod scenarios;
mod served;
mod site;
mod sizes;
mod small;
#[path = "../../tests/suite/support/mod.rs"]
mod support;
mod tool;

use std::path::PathBuf;
use std::process::Command;

use measure::Table;
use report::Report;
use scenarios::{Bench, Extent};

const SCENARIOS: [&str; 15] = [
    "check", "edit", "look", "verify", "scan", "cold", "memory", "rollback", "flat", "small", "large", "served",
    "prune", "sizes", "moved",
];

/// Programs without which nothing can be measured.
const NEEDED: [&str; 5] = ["brotli", "gzip", "rsync", "ssh", "xargs"];

fn main() {
    // `cargo bench` itself adds arguments, which begin with a dash.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (set, words): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.contains('='));
    let (quick, named): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "quick");
    let (mut pages, mut json) = (None, PathBuf::from("target/bench/publish.json"));
    for word in &set {
        match word.split_once('=') {
            Some(("pages", sizes)) => {
                let sizes = sizes.split(',').map(|size| size.parse().expect("a number of pages"));
                pages = Some(sizes.collect::<Vec<usize>>());
            }
            Some(("json", file)) => json = PathBuf::from(file),
            _ => panic!("{word:?} is neither pages=… nor json=…"),
        }
    }
    if let Some(unknown) = named.iter().find(|word| !SCENARIOS.contains(&word.as_str())) {
        panic!("there is no scenario {unknown:?}: there are {}", SCENARIOS.join(", "));
    }
    for program in NEEDED {
        let there = Command::new(program).arg("--version").output().is_ok();
        assert!(there, "{program} is missing: it is what is compared with");
    }
    let extent = if quick.is_empty() { Extent::Full } else { Extent::Quick };
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| word == name);

    // Dropped after `bench`, which discards its folders then.
    let _discarded = discard::Discarded;
    let sizes = pages.unwrap_or_else(|| edit::sizes(extent));
    let mut bench = Bench::new(extent);
    let mut report = Report::new(json);
    // The order lets scenarios share what they prepare. Each table is printed as its scenario ends, because a complete
    // run takes long.
    for scenario in SCENARIOS.iter().filter(|name| wanted(name)) {
        let mut table = Table::default();
        match *scenario {
            "check" => bench.check(&mut table),
            "edit" => edit::edit(&mut bench, &sizes, &mut table),
            "look" => look::look(1000, if extent == Extent::Quick { 3 } else { 7 }, &mut table),
            "verify" => bench.verify(&mut table),
            "scan" => bench.scan(&mut table),
            "cold" => cold::cold(extent, &mut table),
            "memory" => bench.memory(&mut table),
            "rollback" => rollback::rollback(extent, &mut table),
            "flat" => flat::flat(extent, &mut table),
            "small" => small::small(extent, &mut table),
            "large" => large::large(extent, &mut table),
            "served" => served::served(extent, &mut table),
            "moved" => moved::moved(extent, &mut table),
            "sizes" => sizes::sizes(&mut table),
            _ => prune::prune(extent, &mut table),
        }
        println!("{table}");
        report.add(scenario, &table);
    }
}

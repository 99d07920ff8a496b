//! Measures the built `syntax-publish` against what people use instead, side by side in one run, and prints tables.
//!
//! `cargo bench --bench publish -- [quick] [SCENARIO…]`: all of [`SCENARIOS`] without a name. Nothing here fails for being slow: what counts are the ratios between neighbours of one run, and whoever reads them judges.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement prints its table, and one that can't be made stops"
)]

mod cold;
mod flat;
mod large;
mod look;
mod measure;
mod ours;
mod peer;
mod prune;
mod rollback;
mod scenarios;
mod served;
mod site;
mod small;
#[path = "../../tests/suite/support/mod.rs"]
mod support;

use std::process::Command;

use measure::Table;
use scenarios::{Bench, Extent};

const SCENARIOS: [&str; 13] = [
    "check", "edit", "look", "verify", "scan", "cold", "memory", "rollback", "flat", "small", "large", "served",
    "prune",
];

/// Programs without which nothing can be measured.
const NEEDED: [&str; 5] = ["brotli", "gzip", "rsync", "ssh", "xargs"];

fn main() {
    // What `cargo bench` itself adds begins with a dash.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (quick, named): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "quick");
    if let Some(unknown) = named.iter().find(|word| !SCENARIOS.contains(&word.as_str())) {
        panic!("there is no scenario {unknown:?}: there are {}", SCENARIOS.join(", "));
    }
    for program in NEEDED {
        let there = Command::new(program).arg("--version").output().is_ok();
        assert!(there, "{program} is missing: it is what is compared with");
    }
    let extent = if quick.is_empty() { Extent::Full } else { Extent::Quick };
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| word == name);

    let mut bench = Bench::new(extent);
    // In the order in which they share what they prepare; each is printed as it ends, for the whole takes long.
    for scenario in SCENARIOS.iter().filter(|name| wanted(name)) {
        let mut table = Table::default();
        match *scenario {
            "check" => bench.check(&mut table),
            "edit" => bench.edit(&mut table),
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
            _ => prune::prune(extent, &mut table),
        }
        println!("{table}");
    }
}

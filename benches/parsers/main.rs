//! Measures the parsers of Next.js's formats on their own, in this process and on one core, and prints tables.
//!
//! Usage: `cargo bench --bench parsers -- [quick] [hostile] [ordinary]`; with no name it runs both. It never fails
//! because something is slow.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement prints its table, and one that can't be made stops"
)]

mod parsers;
mod shapes;

use std::path::Path;
use std::time::Instant;

use parsers::{PARSERS, Quiet, Renaming};
use syntax_publish::next::{data, html, page};
use walkdir::WalkDir;

const SCENARIOS: [&str; 2] = ["hostile", "ordinary"];

const MEGABYTE: usize = 1_000_000;

fn main() {
    // `cargo bench` itself adds arguments, which begin with a dash.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (quick, named): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "quick");
    if let Some(unknown) = named.iter().find(|word| !SCENARIOS.contains(&word.as_str())) {
        panic!("there is no scenario {unknown:?}: there are {}", SCENARIOS.join(", "));
    }
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| word == name);
    let rounds = if quick.is_empty() { 5 } else { 2 };
    if wanted("hostile") {
        hostile(rounds);
    }
    if wanted("ordinary") {
        ordinary(rounds * 4);
    }
}

/// Milliseconds of CPU time that this process has used, if the system reports it, or else of elapsed time. With CPU
/// time, other load on the machine does not make a result slower.
fn now(begun: Instant) -> f64 {
    // The kernel updates the counter when the process gives up the core.
    std::thread::yield_now();
    let counted = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanoseconds = counted.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| begun.elapsed().as_secs_f64() * 1e3, |counted| counted / 1e6)
}

/// Milliseconds of the fastest round: a disturbance can only make a round slower.
fn fastest(rounds: usize, mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let times = (0..rounds).map(|_| {
        let before = now(begun);
        run();
        now(begun) - before
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Runs each parser on each of its hostile shapes at 1 MB and at 2 MB: twice the size should take twice the time.
fn hostile(rounds: usize) {
    println!("hostile: milliseconds of a core, fastest of {rounds}\n");
    println!("| parser | shape | 1 MB | 2 MB | ratio |\n|---|---|---|---|---|");
    for parser in PARSERS {
        let mut worst = (0.0, "");
        for shape in parser.shapes {
            let [one, two] = [1, 2].map(|times| {
                let text = (shape.make)(times * MEGABYTE);
                fastest(rounds, || (parser.run)(&text))
            });
            println!(
                "| {} | {} | {one:.1} ms | {two:.1} ms | {:.1} |",
                parser.name,
                shape.name,
                two / one
            );
            if one > worst.0 {
                worst = (one, shape.name);
            }
        }
        println!(
            "| **{}** | worst: {} | **{:.1} ms** | | |",
            parser.name, worst.1, worst.0
        );
    }
    println!();
}

/// Measures what the survey and the fingerprint do with the pages and payloads of the committed exports.
fn ordinary(rounds: usize) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let exports = ["export", "pages/export", "based/export", "nextra/export"];
    let files = exports.iter().flat_map(|export| WalkDir::new(fixtures.join(export)));
    let texts: Vec<(String, String)> = files
        .filter_map(|file| {
            let path = file.expect("a file of a committed export").into_path();
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path.display().to_string(), text))
        })
        .collect();
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<&str> {
        let kind = texts.iter().filter(|(path, _)| wanted(path));
        kind.map(|(_, text)| text.as_str()).collect()
    };
    let pages = of(&|path| path.ends_with(".html"));
    let payloads = of(&|path| path.ends_with(".txt") && path.contains("/__next."));
    let props = of(&|path| path.contains("_next/data/"));

    println!("ordinary: the texts of fixtures/, milliseconds of a core, fastest of {rounds}\n");
    println!("| what | texts | size | time | speed |\n|---|---|---|---|---|");
    let row = |name: &str, texts: &[&str], run: &dyn Fn(&str)| {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let time = fastest(rounds, || texts.iter().for_each(|text| run(text)));
        #[allow(clippy::cast_precision_loss, reason = "megabytes, shown with one digit")]
        let megabytes = bytes as f64 / 1e6;
        println!(
            "| {name} | {} | {megabytes:.2} MB | {time:.2} ms | {:.0} MB/s |",
            texts.len(),
            megabytes / time * 1e3
        );
    };
    row("pages, surveyed", &pages, &|text| {
        let _ = page::rewrite(text, &mut Quiet, &mut Quiet);
    });
    row("pages, rewritten", &pages, &|text| {
        if let Ok(page) = page::rewrite(text, &mut Renaming, &mut Renaming) {
            std::hint::black_box(page.edits.apply(text));
        }
    });
    row("pages, markup alone", &pages, &|text| {
        html::walk(text, 0, &mut Quiet);
    });
    row("payloads, surveyed", &payloads, &|text| {
        let _ = page::rewrite_payload(text, &mut Quiet);
    });
    row("data, surveyed", &props, &|text| {
        let _ = data::rewrite_file(text, &mut Quiet);
    });
    println!();
}

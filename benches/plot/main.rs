//! Draws the measurements of `publish` (time and bytes sent against the number of pages) as docs/bench.svg.
//!
//! Usage: `cargo bench --bench plot -- [FILE.json…] [to=FILE.svg]`. With no file it reads the last runs of `just bench`
//! and, if there is one, of `just bench-large`. It measures nothing and draws only numbers that are in the files.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a plot that can't be drawn stops"
)]

mod panel;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use panel::{Line, Panel, Unit};
use serde_json::Value;

const RUNS: [&str; 2] = ["target/bench/publish.json", "target/bench/publish-large.json"];

/// The tools with line colours that are distinct on white and on black, ours first, and their dash patterns.
const STYLES: [(&str, &str, &str); 8] = [
    ("syntax-publish", "#e8590c", ""),
    ("syntax-publish, fresh machine", "#e8590c", "5 4"),
    ("rsync --link-dest", "#1c7ed6", ""),
    ("rsync in place", "#1c7ed6", "5 4"),
    ("rclone sync", "#2f9e44", ""),
    ("lftp mirror -R", "#9c36b5", ""),
    ("sftp -b", "#868e96", ""),
    ("tar over ssh", "#c2255c", ""),
];

fn main() {
    // `cargo bench` itself adds arguments, which begin with a dash.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (to, files): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.starts_with("to="));
    let to = to
        .first()
        .and_then(|word| word.strip_prefix("to="))
        .unwrap_or("docs/bench.svg");
    let files: Vec<PathBuf> = if files.is_empty() {
        RUNS.map(PathBuf::from)
            .into_iter()
            .filter(|file| file.exists())
            .collect()
    } else {
        files.into_iter().map(PathBuf::from).collect()
    };
    assert!(!files.is_empty(), "there is no {}: run `just bench`", RUNS[0]);
    let rows: Vec<Value> = files.iter().flat_map(|file| rows(file)).collect();
    let panels = [
        Panel {
            title: "One edited page, from export to swapped",
            unit: Unit::Seconds,
            lines: lines(&rows, "from export to swapped", "time_seconds"),
        },
        Panel {
            title: "Bytes sent for it",
            unit: Unit::Bytes,
            lines: lines(&rows, "from export to swapped", "sent_bytes"),
        },
    ];
    fs::write(to, panel::draw(&panels, &machine(&files[0]))).expect("a picture to be written");
    println!("{to}");
}

/// The machine of the run, for the footer of the picture.
fn machine(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a report to be read");
    let run: Value = serde_json::from_str(&text).expect("a report of `publish`");
    let machine = &run["machine"];
    let built = if machine["debug_build"] == true {
        "; a debug build, not to be compared"
    } else {
        ""
    };
    format!(
        "Medians; {} cores, RTT 50 ms, brotli 11 and gzip 9 (5 and 6 beyond 10,000 pages){built}",
        machine["cores"]
    )
}

/// The rows of a run that belong to a plot.
fn rows(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let run: Value = serde_json::from_str(&text).expect("a report of `publish`");
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let scenarios = list(&run, "scenarios").into_iter();
    let groups = scenarios.flat_map(|scenario| list(&scenario, "groups"));
    let rows = groups.flat_map(|group| list(&group, "rows"));
    rows.filter(|row| row["tool"].is_string()).collect()
}

/// The medians of a field by the number of pages, one line per tool.
fn lines(rows: &[Value], measures: &str, field: &str) -> Vec<Line> {
    let line = |&(tool, colour, dashes): &(&'static str, &'static str, &'static str)| {
        let of_tool = rows
            .iter()
            .filter(|row| row["tool"] == tool && row["measures"] == measures);
        let points: BTreeMap<u64, f64> = of_tool
            .filter_map(|row| {
                let values = row[field].as_array()?.iter().filter_map(Value::as_f64).collect();
                Some((row["pages"].as_u64()?, median(values)?))
            })
            .collect();
        Line {
            name: tool,
            colour,
            dashes,
            points: points.into_iter().map(|(pages, value)| (lossy(pages), value)).collect(),
        }
    };
    STYLES.iter().map(line).filter(|line| !line.points.is_empty()).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some(f64::midpoint(values[middle], values[values.len() / 2]))
}

/// Converts a count to `f64`, which is exact for counts of this size.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
fn lossy(count: u64) -> f64 {
    count as f64
}

//! Profiles a publish: writes a synthetic site, publishes it to a folder on this machine, changes a page and records
//! the next publish with a profiler.
//!
//! Usage: `just profile [PAGES]`. It needs one of: `samply`; `flamegraph` of cargo-flamegraph; or `perf`, which draws
//! the graph if `inferno` is installed and otherwise prints the most expensive functions. It never fails because
//! something is slow.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement prints what it found, and one that can't be made stops"
)]

#[allow(dead_code, reason = "shared with the measurements of a publish")]
#[path = "../publish/site.rs"]
mod site;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const TOOL: &str = env!("CARGO_BIN_EXE_syntax-publish");

/// Samples per second.
const FREQUENCY: &str = "1999";

fn main() {
    // `cargo bench` itself adds arguments, which begin with a dash.
    let pages = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let pages = pages.map_or(10_000, |pages| pages.parse().expect("a number of pages"));
    let profiler = ["samply", "flamegraph", "perf"].into_iter().find(|name| is_there(name));
    let profiler = profiler.expect("a profiler: install samply, cargo-flamegraph or perf (linux-perf)");

    let project = tempfile::tempdir().expect("a temporary folder");
    let project = project.path();
    site::write(&project.join("out"), site::Size { pages });
    let manifest = "[site]\nname = \"profile\"\nexport = \"out\"\n\
        [encode]\nbrotli = 1\ngzip = 1\n[targets.here]\nkind = \"local\"\ndocroot = \"host\"\n";
    fs::write(project.join("site-manifest.toml"), manifest).expect("a site manifest to write");
    println!("publishing {pages} pages, so that all caches are warm");
    for revision in 1..=2 {
        run(&mut publish(project, &[]));
        site::edit(&project.join("out"), pages / 2, revision);
    }
    println!("recording the publish of one changed page with {profiler}");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let data = project.join("perf.data");
    let (data, svg, json) = (text(&data), out.join("flamegraph.svg"), out.join("profile.json.gz"));
    let (svg, json) = (text(&svg), text(&json));
    match profiler {
        "samply" => {
            let args = ["samply", "record", "--save-only", "--rate", FREQUENCY, "-o", json, "--"];
            run(&mut publish(project, &args));
            println!("look at it: samply load {json}");
        }
        "flamegraph" => {
            run(&mut publish(project, &["flamegraph", "-F", FREQUENCY, "-o", svg, "--"]));
            println!("wrote {svg}");
        }
        _ => {
            let args = [
                "perf",
                "record",
                "-q",
                "-F",
                FREQUENCY,
                "--call-graph",
                "dwarf,16384",
                "-o",
                data,
                "--",
            ];
            run(&mut publish(project, &args));
            of_perf(data, svg);
        }
    }
}

/// The command that publishes the site in a folder, with its caches in the same folder. `before` is the profiler and
/// its arguments.
fn publish(project: &Path, before: &[&str]) -> Command {
    let mut words = before.iter().copied().chain([TOOL]);
    let mut command = Command::new(words.next().unwrap_or(TOOL));
    command.args(words).args(["publish", "--quiet", "--target", "here"]);
    command
        .current_dir(project)
        .env("XDG_CACHE_HOME", project.join("cache"));
    command
}

/// Draws the graph of perf's recording if inferno is installed; otherwise prints the most expensive functions.
fn of_perf(data: &str, svg: &str) {
    if is_there("inferno-collapse-perf") && is_there("inferno-flamegraph") {
        let script = "perf script -i \"$1\" | inferno-collapse-perf | inferno-flamegraph > \"$2\"";
        run(Command::new("sh").args(["-c", script, "sh", data, svg]));
        println!("wrote {svg}");
        return;
    }
    println!(
        "no flame graph: `cargo install inferno` gives perf one; these functions took most, with what they called:"
    );
    let args = [
        "report",
        "-i",
        data,
        "--children",
        "--percent-limit",
        "2",
        "-g",
        "none",
        "--stdio",
    ];
    run(Command::new("perf").args(args));
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    assert!(status.success(), "{command:?}: {status}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

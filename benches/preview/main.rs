//! Measures the preview: how soon it serves an edit, and how many requests it answers compared with nginx under the
//! printed vhost.
//!
//! Usage: `cargo bench --bench preview -- [quick] [edit] [requests]`; with no name it runs both. It never fails because
//! something is slow: the reader of the tables decides.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement prints its table, and one that can't be made stops"
)]

mod edit;
#[path = "../publish/measure.rs"]
#[allow(dead_code, reason = "what the other measurements need")]
mod measure;
mod requests;
#[path = "../publish/site.rs"]
#[allow(dead_code, reason = "what the other measurements need")]
mod site;
#[path = "../../tests/suite/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;

use support::command::{Project, Running};

const SCENARIOS: [&str; 2] = ["edit", "requests"];

fn main() {
    // `cargo bench` itself adds arguments, which begin with a dash.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (quick, named): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "quick");
    if let Some(unknown) = named.iter().find(|word| !SCENARIOS.contains(&word.as_str())) {
        panic!("there is no scenario {unknown:?}: there are {}", SCENARIOS.join(", "));
    }
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| word == name);
    if wanted("edit") {
        edit::measure(!quick.is_empty());
    }
    if wanted("requests") {
        requests::measure(!quick.is_empty());
    }
}

/// A project with an export to preview.
fn project(make: impl FnOnce(&Path)) -> Project {
    let project = Project::new();
    make(&project.dir.join("out"));
    project.write_manifest(
        "[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n[encode]\nbrotli = 4\ngzip = 6\n\
         [check]\nallow = [\"**\"]\n",
    );
    project
}

/// Starts the preview, waits until it has a site and returns the address it listens on.
fn start(project: &Project) -> (Running, SocketAddr) {
    let mut watch = project.spawn(&["watch", "--json", "--port", "0"]);
    watch.wait_for_stdout("\"ready\"");
    let printed = watch.stdout();
    let first: serde_json::Value = serde_json::from_str(printed.lines().next().expect("a line")).expect("JSON");
    let url = first["url"].as_str().expect("a URL").trim_end_matches('/').to_owned();
    let address = url.trim_start_matches("http://").parse().expect("an address");
    (watch, address)
}

/// Copies a folder recursively.
fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("a readable fixture");
        let place = to.join(entry.path().strip_prefix(from).expect("a path inside"));
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(place).expect("a folder");
        } else {
            std::fs::copy(entry.path(), place).expect("a copy");
        }
    }
}

//! Measures how soon an edit is served: from the end of the last write until the new site is in place, including the
//! quiet period that the preview waits for.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::measure::{Spread, seconds};
use crate::site::{self, Size};
use crate::support::command::Running;
use crate::support::http::Request;
use crate::{copy, project, start};

/// Ticks per second of the processor clock, as `/proc` counts them.
const TICKS: f64 = 100.0;

pub fn measure(quick: bool) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/export");
    println!("| edited | files | served after | processor time of it | first look | memory then |");
    println!("|---|---|---|---|---|---|");
    let html = |text: &str, round: usize| text.replace("</body>", &format!("<!-- {round} --></body>"));
    of(
        "a page of the fixture",
        30,
        |out| copy(&fixture, out),
        |out, round| {
            let page = out.join("fees.html");
            let text = fs::read_to_string(fixture.join("fees.html")).expect("a page of the fixture");
            fs::write(page, html(&text, round)).expect("a page to be written");
            ("/fees".to_owned(), format!("<!-- {round} -->"))
        },
    );
    for pages in if quick { vec![1000] } else { vec![1000, 10_000] } {
        let words = |out: &Path, round: usize| {
            let files = site::edit(out, 7 * round, round);
            let text = fs::read_to_string(out.join(&files[0])).expect("the page that was written");
            let sentence = text.split("<p>").nth(3).expect("the paragraph that changed");
            let sentence = sentence.split("</p>").next().expect("its end").to_owned();
            (format!("/{}", files[0].trim_end_matches(".html")), sentence)
        };
        let name = format!("a page of {pages}: four files");
        of(&name, 15, |out| site::write(out, Size { pages }), words);
    }
}

/// Measures one line of the table. `edit` makes the edit of a round and returns the address that shows it, and a text
/// that is new there.
fn of(name: &str, rounds: usize, make: impl FnOnce(&Path), edit: impl Fn(&Path, usize) -> (String, String)) {
    let project = project(make);
    let out = project.dir.join("out");
    // The digest cache does not trust files that were written a moment ago. After this pause it trusts them, as it
    // would after a build.
    sleep(Duration::from_secs(3));
    let began = Instant::now();
    let (watch, server) = start(&project);
    let first = began.elapsed().as_secs_f64();
    settle(&watch);
    let (mut took, mut worked) = (Spread::default(), Spread::default());
    for round in 1..=rounds {
        let (shown, before) = (ready(&watch), processor(&watch));
        let (address, sentence) = edit(&out, round);
        let began = Instant::now();
        while ready(&watch) == shown {
            assert!(began.elapsed() < Duration::from_secs(60), "the edit is never served");
            sleep(Duration::from_millis(1));
        }
        took.push(began.elapsed().as_secs_f64());
        let answer = Request::get(&address).send(server);
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(body.contains(&sentence), "{address} is not what was written");
        settle(&watch);
        worked.push(processor(&watch) - before);
    }
    let files = walkdir::WalkDir::new(&out).into_iter().filter(|entry| {
        let entry = entry.as_ref().expect("a readable export");
        entry.file_type().is_file()
    });
    println!(
        "| {name} | {} | {} | {} | {} | {} MB |",
        files.count(),
        took.show(seconds),
        worked.show(seconds),
        seconds(first),
        memory(&watch) / 1000
    );
}

fn ready(watch: &Running) -> usize {
    watch.stdout().matches("\"ready\"").count()
}

/// Waits until the process is idle: the work that it does after it has served must not count towards the next round.
fn settle(watch: &Running) {
    let mut quiet = 0;
    let mut before = processor(watch);
    while quiet < 6 {
        sleep(Duration::from_millis(50));
        let now = processor(watch);
        quiet = if now > before { 0 } else { quiet + 1 };
        before = now;
    }
}

/// The CPU time that the process has used so far, in seconds.
fn processor(watch: &Running) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", watch.pid())).expect("a running process");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("its fields").split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS
}

/// The resident memory of the process, in KB.
fn memory(watch: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", watch.pid())).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.expect("a size")
}

//! Measures how time grows with the size of unusual input: links that multiply, many releases' folders to delete, many
//! damaged encodings, many tokens. Each case runs at one size and at twice that size.
//!
//! Usage: `cargo bench --bench growth -- [links] [tokens] [prune] [repair]`; with no name it runs every case. It prints
//! a table and never fails because something is slow: twice the size should take about twice the time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints its table, and one that can't be made stops"
)]

#[path = "../../tests/suite/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use support::command::{Project, small_export};

/// An unusual input that a site or a store can have in large numbers.
struct Case {
    name: &'static str,
    /// The unit that `size` counts.
    unit: &'static str,
    /// The smaller of the two sizes.
    size: usize,
    /// Makes a project of the given size and returns the seconds that the measured command took.
    run: fn(usize) -> f64,
}

const CASES: [Case; 4] = [
    Case {
        name: "links",
        unit: "levels of folders with two symlinks each, refused by check",
        size: 18,
        run: links,
    },
    Case {
        name: "tokens",
        unit: "different tokens in one file, found by check",
        size: 20_000,
        run: tokens,
    },
    Case {
        name: "prune",
        unit: "folders that no release has any more, deleted by prune",
        size: 1_000,
        run: prune,
    },
    Case {
        name: "repair",
        unit: "damaged encodings, repaired by verify",
        size: 500,
        run: repair,
    },
];

fn main() {
    // `cargo bench` itself adds arguments, which begin with a dash.
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = named
        .iter()
        .find(|word| CASES.iter().all(|case| case.name != word.as_str()))
    {
        panic!("there is no case {unknown:?}");
    }
    println!("| what | size | seconds | twice the size | ratio |");
    println!("|---|---|---|---|---|");
    for case in &CASES {
        if named.is_empty() || named.iter().any(|name| name == case.name) {
            let [once, twice] = [1, 2].map(|times| (case.run)(times * case.size));
            println!(
                "| {} | {} | {once:.2} | {twice:.2} | {:.1} |",
                case.unit,
                case.size,
                twice / once
            );
        }
    }
}

/// A project with a small export and a local target.
fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    keep(&project, 10);
    project
}

/// Writes a site manifest that keeps `releases` releases.
fn keep(project: &Project, releases: u32) {
    project.write_manifest(&format!(
        "[site]\nname = \"docs\"\n[publish]\nmax-removed = \"100%\"\nkeep = {releases}\nskew = \"0s\"\n\
         [targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n"
    ));
}

/// Runs a command, checks its exit code and returns the seconds it took.
fn timed(project: &Project, args: &[&str], code: i32) -> f64 {
    let began = Instant::now();
    project.run(args).expect_code(code);
    began.elapsed().as_secs_f64()
}

fn links(levels: usize) -> f64 {
    let project = project();
    let mut folder = project.dir.join("out/deep");
    for level in 0..levels {
        let below = folder.join("level");
        fs::create_dir_all(&below).expect("a folder");
        for name in ["a", "b"] {
            std::os::unix::fs::symlink("level", folder.join(name)).expect("a symlink");
        }
        fs::write(folder.join("index.html"), format!("<p>level {level}</p>")).expect("a page");
        folder = below;
    }
    timed(&project, &["check"], 3)
}

fn tokens(count: usize) -> f64 {
    let project = project();
    let mut text = String::new();
    for number in 0..count {
        let digest = blake3::hash(&number.to_le_bytes()).to_hex();
        writeln!(text, "ghp_{}", &digest[..36]).expect("a line");
    }
    project.write("out/tokens.txt", text);
    timed(&project, &["check"], 3)
}

/// Writes nested folders, each with a page.
fn folders(out: &Path, count: usize, word: &str) {
    for number in 0..count {
        let folder = out.join(format!("docs/{}/{}", number % 40, number / 40));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(
            folder.join("index.html"),
            format!("<!DOCTYPE html><p>{word} {number}</p>"),
        )
        .expect("a page");
    }
}

fn prune(count: usize) -> f64 {
    let project = project();
    for word in ["first", "second", "third"] {
        folders(&project.dir.join("out"), count, word);
        project.run(&["publish"]).expect_code(0);
    }
    keep(&project, 1);
    timed(&project, &["prune"], 0)
}

fn repair(count: usize) -> f64 {
    let project = project();
    for number in 0..count {
        let line = format!("p{number} {{ color: red }}\n");
        project.write(format!("out/styles/{number}.css"), line.repeat(60));
    }
    project.run(&["publish"]).expect_code(0);
    let damaged = walkdir::WalkDir::new(project.dir.join("docroot/current/styles")).follow_root_links(true);
    for entry in damaged {
        let path = entry.expect("an entry").into_path();
        if path.extension().is_some_and(|extension| extension == "br") {
            fs::remove_file(&path).expect("an encoding to damage");
        }
    }
    timed(&project, &["verify", "--repair"], 0)
}

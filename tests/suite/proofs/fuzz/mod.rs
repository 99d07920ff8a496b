//! Fuzzing: runs each parser of `next`, and each parser of what a host returns, on unusual texts, and checks properties
//! that all texts must have.
//!
//! The targets are functions of a text, and a plain loop drives them: texts of the corpus and of the fixtures, changed
//! at random. A change that makes a parser behave differently is kept and changed further. The short run is the same
//! every time. The long one (`just fuzz`) is not, and it prints how to keep a text that fails. No fuzzing library is
//! used: libFuzzer's front end needs a nightly compiler.

mod mutate;
mod records;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;
use targets::{TARGETS, Target};

/// The corpus of a target: excerpts of the fixtures, hostile shapes, and every text that ever broke it.
fn corpus(target: &Target) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        (path, text)
    };
    files.into_iter().map(read).collect()
}

/// The fault of a text, if there is one: a violated property, or a panic.
fn fault(target: &Target, text: &str) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| (target.run)(text))) {
        Ok(Ok(_)) => None,
        Ok(Err(fault)) => Some(fault),
        Err(_) => Some("it panics".to_owned()),
    }
}

/// Shortens a text with a fault: leaves parts out as long as a fault remains.
fn shortened(target: &Target, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut part = chars.len() / 2;
    while part > 0 {
        let mut at = 0;
        while at < chars.len() {
            let end = (at + part).min(chars.len());
            let rest: Vec<char> = [&chars[..at], &chars[end..]].concat();
            if fault(target, &rest.iter().collect::<String>()).is_some() {
                chars = rest;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    chars.into_iter().collect()
}

/// Fails with the shortest text that can be found, and keeps it in a file.
fn fail(target: &Target, text: &str) -> ! {
    let short = shortened(target, text);
    let what = fault(target, &short).unwrap_or_default();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}-{}", target.name, short.len()));
    std::fs::write(&file, &short).unwrap();
    panic!(
        "{}: {what}\n{short:?}\nThe text is in {}; once fixed, keep it in tests/corpus/{}.",
        target.name,
        file.display(),
        target.name
    );
}

/// Drives a target until `more` returns false.
fn search(target: &Target, seed: u64, mut more: impl FnMut(usize) -> bool) -> usize {
    let mut mutator = Mutator::new(seed);
    let mut kept: Vec<String> = corpus(target).into_iter().map(|(_, text)| text).collect();
    let mut known = std::collections::HashSet::new();
    let mut runs = 0;
    while more(runs) {
        let text = mutator.next(&kept);
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&text))) {
            Ok(Ok(what)) => {
                if known.insert(what) && kept.len() < 5000 {
                    kept.push(text);
                }
            }
            _ => fail(target, &text),
        }
        runs += 1;
    }
    runs
}

#[test]
fn texts_of_the_corpus_hold() {
    for target in TARGETS {
        let texts = corpus(target);
        assert!(texts.len() > 2, "{}: the corpus is gone", target.name);
        for (path, text) in texts {
            assert_eq!(fault(target, &text), None, "{}", path.display());
        }
    }
}

#[test]
fn texts_made_at_random_hold() {
    for (seed, target) in (1..).zip(TARGETS) {
        search(target, seed, |runs| runs < 400);
    }
}

/// Fuzzes the target in `FUZZ_TARGET` for `FUZZ_SECONDS`.
#[test]
#[ignore = "runs as long as it is told to: just fuzz"]
fn texts_made_at_random_hold_in_the_long_run() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let wanted = variable("FUZZ_TARGET").filter(|name| name != "all");
    let seconds = variable("FUZZ_SECONDS").map_or(10, |seconds| seconds.parse().expect("FUZZ_SECONDS: a number"));
    let seed = variable("FUZZ_SEED").map_or_else(
        || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |since| since.as_secs())
        },
        |seed| seed.parse().expect("FUZZ_SEED: a number"),
    );
    let targets: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| wanted.as_ref().is_none_or(|name| name == target.name))
        .collect();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert!(!targets.is_empty(), "FUZZ_TARGET: one of {}, or all", names.join(", "));
    for target in targets {
        let end = Instant::now() + Duration::from_secs(seconds);
        let runs = search(target, seed, |_| Instant::now() < end);
        println!("{}: {runs} texts, seed {seed}", target.name);
    }
}

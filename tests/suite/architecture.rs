//! Keeps the import rules of the house by reading the sources: the tables here are the rules, and DESIGN.md points to
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src/`, by path relative to it, without comments and without its tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut todo = vec![root.clone()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.file_stem().unwrap() != "tests"
            {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.insert(name, code_of(&text));
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_below(file: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| file == *place || place.ends_with('/') && file.starts_with(place))
}

/// What holds for files in `inside`: none of `forbidden` is in their code.
fn none_of(inside: &[&str], forbidden: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    for (file, code) in sources() {
        if is_below(&file, inside) {
            broken.extend(
                forbidden
                    .iter()
                    .filter(|word| code.contains(*word))
                    .map(|word| format!("{file}: {word}")),
            );
        }
    }
    broken
}

/// Files that know no I/O, no clock, no environment, no runtime and no host.
const PURE: [&str; 39] = [
    "model/",
    "next/",
    "manifest.rs",
    "plan.rs",
    "event.rs",
    "error.rs",
    "check/",
    "config.rs",
    "config/",
    "serving.rs",
    "serving/",
    "nginx.rs",
    "nginx/",
    "preview/guard.rs",
    "preview/affected.rs",
    "preview/blind.rs",
    "preview/sizes.rs",
    "preview/snippet.rs",
    "watch/half.rs",
    "host/op.rs",
    "host/why.rs",
    "live/address.rs",
    "live/cdn.rs",
    "live/curl.rs",
    "live/expect.rs",
    "live/finding.rs",
    "live/judge.rs",
    "live/question.rs",
    "live/verdict.rs",
    "init/next_config.rs",
    "init/ssh_config.rs",
    "init/text.rs",
    "doctor/access.rs",
    "doctor/edge.rs",
    "doctor/finding.rs",
    "doctor/name.rs",
    "doctor/origin.rs",
    "doctor/site.rs",
    "doctor/store.rs",
];

#[test]
fn pure_files_know_no_world() {
    let world = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant",
        "tokio",
        "rustix",
        "getrandom",
        "Session",
        "std::thread",
    ];
    assert_eq!(none_of(&PURE, &world), Vec::<String>::new());
}

#[test]
fn checks_know_what_the_survey_noted_and_never_read_a_file() {
    // Of the survey they see values alone, and that is why they may see it.
    let reading = ["survey::survey", "crate::source", "dyn Source", "crate::scan"];
    assert_eq!(none_of(&["check/"], &reading), Vec::<String>::new());
}

/// The one home of each foreign crate, and of `ssh-keygen`, that does something for us.
const HOMES: [(&str, &[&str]); 27] = [
    ("postcard", &["survey/cache.rs"]),
    ("html5gum", &["next/html.rs", "next/document.rs", "next/policy.rs"]),
    ("cssparser", &["next/css.rs"]),
    ("percent_encoding", &["next/url.rs"]),
    ("openssh_sftp_client", &["host/sftp.rs", "host/sftp/"]),
    ("walkdir", &["scan.rs", "scan/"]),
    ("clap", &["cli/", "main.rs"]),
    ("indicatif", &["cli/"]),
    ("brotli::", &["decode.rs", "encode.rs"]),
    ("flate2", &["decode.rs", "encode.rs"]),
    ("blake3::", &["model/digest.rs"]),
    ("mime_guess", &["model/media.rs"]),
    ("getrandom", &["random.rs"]),
    ("hyper::", &["preview.rs", "preview/", "http/client.rs"]),
    ("hyper_util", &["preview.rs", "http/client.rs"]),
    ("http_body_util", &["preview/body.rs", "http/client.rs"]),
    ("rustls::", &["http/tls.rs", "http/client.rs"]),
    ("tokio_rustls", &["http/client.rs"]),
    ("rustls_native_certs", &["http/tls.rs"]),
    ("x509_cert", &["http/tls.rs"]),
    ("hickory_resolver", &["doctor/resolve.rs"]),
    ("httpdate", &["preview/answer.rs", "doctor.rs"]),
    ("opener::", &["cli/"]),
    ("rustix::termios", &["cli/keys.rs", "cli/screen.rs"]),
    ("notify::", &["watch/changes.rs"]),
    ("regex::", &["check/"]),
    ("\"ssh-keygen\"", &["sign/keygen.rs", "host/key.rs"]),
];

#[test]
fn each_foreign_crate_has_one_home() {
    let mut broken = Vec::new();
    for (file, code) in sources() {
        for (name, homes) in HOMES {
            if !is_below(&file, homes) && code.contains(name) {
                broken.push(format!("{file}: {name}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// The stages in their order. A stage knows those before it and none after.
const STAGES: [&str; 9] = [
    "scan",
    "survey",
    "check",
    "fingerprint",
    "manifest",
    "plan",
    "encode",
    "sync",
    "publish",
];

#[test]
fn a_stage_knows_no_later_stage() {
    let mut broken = Vec::new();
    for (file, code) in sources() {
        let stage = file
            .trim_end_matches(".rs")
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let Some(at) = STAGES.iter().position(|name| *name == stage) else {
            continue;
        };
        for later in &STAGES[at + 1..] {
            // Encoding is asked for by name when the manifest is made, so its recipes are a value of the model.
            if code.contains(&format!("crate::{later}::")) {
                broken.push(format!("{file}: {later}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn verify_never_sees_what_publish_planned() {
    let plans = ["plan::Plan", "crate::sync", "crate::publish"];
    assert_eq!(none_of(&["verify.rs", "verify/"], &plans), Vec::<String>::new());
}

#[test]
fn nothing_prints_or_asks_the_environment_but_the_command_line() {
    let words = [
        "println!",
        "eprintln!",
        "print!(",
        "std::env::",
        "process::exit",
        "is_terminal",
    ];
    let mut broken = Vec::new();
    for (file, code) in sources() {
        if !is_below(&file, &["cli/", "main.rs"]) {
            broken.extend(
                words
                    .iter()
                    .filter(|word| code.contains(*word))
                    .map(|word| format!("{file}: {word}")),
            );
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn only_one_function_names_the_hosts() {
    let mut naming: Vec<String> = Vec::new();
    for (file, code) in sources() {
        if !is_below(&file, &["host/"])
            && ["LocalConnector", "SftpConnector"]
                .iter()
                .any(|word| code.contains(word))
        {
            naming.push(file);
        }
    }
    assert!(naming.len() <= 1, "{naming:?}");
}

#[test]
fn current_is_moved_and_things_are_removed_in_few_places() {
    let mut swaps = Vec::new();
    let mut removals = Vec::new();
    for (file, code) in sources() {
        if code.contains("to: layout::CURRENT") {
            swaps.push(file.clone());
        }
        if code.contains("Op::RemoveFolder") && !is_below(&file, &["host/"]) {
            removals.push(file);
        }
    }
    assert_eq!(swaps, ["swap.rs"]);
    assert_eq!(removals, ["workshop.rs"]);
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, code)| code.lines().filter(|line| !line.trim().is_empty()).count() > 600)
        .map(|(file, _)| file)
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn the_preview_goes_by_the_rules_and_never_by_the_vhost() {
    // Both read the rules; neither reads the other, so what one does and the other doesn't can't hide in between.
    assert_eq!(
        none_of(&["preview.rs", "preview/", "serving.rs", "serving/"], &["crate::nginx"]),
        Vec::<String>::new()
    );
    assert_eq!(
        none_of(&["nginx.rs", "nginx/", "serving.rs", "serving/"], &["crate::preview"]),
        Vec::<String>::new()
    );
}

//! Enforces the import rules by parsing the sources with `syn`. The tables here are the rules, and DESIGN.md points to
//! them.

mod sources;

use std::collections::BTreeMap;
use std::path::Path;

use sources::{Source, sources};

/// The rooms, bottom to top. A room imports only itself and rooms above it in this list.
const ROOMS: [&str; 10] = [
    "model", "next", "rules", "config", "site", "host", "store", "live", "preview", "cli",
];

/// Rooms that import only some of the rooms above them, with the rooms that they import.
const FEWER: [(&str, &[&str]); 2] = [
    ("host", &["model"]),
    ("store", &["model", "next", "config", "site", "host"]),
];

/// Files and folders without access to I/O, the clock, the environment, a runtime or a host.
const PURE: [&str; 37] = [
    "config/check.rs",
    "config/feature.rs",
    "config/headers.rs",
    "config/host_key.rs",
    "config/mod.rs",
    "config/pattern.rs",
    "config/scaffold/script.rs",
    "config/scaffold/ssh_config.rs",
    "config/scaffold/text.rs",
    "config/section.rs",
    "config/target.rs",
    "config/template.rs",
    "host/op.rs",
    "host/why.rs",
    "live/alias.rs",
    "live/cdn.rs",
    "live/curl.rs",
    "live/doctor/access.rs",
    "live/doctor/edge.rs",
    "live/doctor/finding.rs",
    "live/doctor/name.rs",
    "live/doctor/site.rs",
    "live/doctor/store.rs",
    "live/expect.rs",
    "live/finding.rs",
    "live/judge.rs",
    "live/question.rs",
    "live/verdict.rs",
    "model/",
    "next/",
    "preview/affected.rs",
    "rules/",
    "site/anchors.rs",
    "site/check/",
    "site/moved.rs",
    "site/similar/",
    "store/plan/",
];

/// Paths that a pure file must not name.
const WORLD: [&str; 11] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "tokio",
    "rustix",
    "getrandom",
    "crate::store::session",
];

/// The only places that may use each of these external crates.
const HOMES: [(&str, &[&str]); 29] = [
    ("brotli", &["site/decode.rs", "site/encode.rs"]),
    ("blake3", &["model/digest.rs"]),
    ("clap", &["cli/", "main.rs"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("cssparser", &["next/css.rs"]),
    ("flate2", &["site/decode.rs", "site/encode.rs"]),
    ("getrandom", &["store/run_id.rs"]),
    ("hickory_resolver", &["live/doctor/resolve.rs"]),
    ("html5gum", &["next/tokens.rs"]),
    ("http_body_util", &["preview/body.rs", "live/http/client.rs"]),
    ("httpdate", &["preview/answer.rs", "live/doctor/mod.rs"]),
    ("hyper", &["preview/", "live/http/client.rs"]),
    ("hyper_util", &["preview/mod.rs", "live/http/client.rs"]),
    ("imagesize", &["site/survey/picture.rs"]),
    ("indicatif", &["cli/"]),
    ("mime_guess", &["model/media.rs"]),
    ("notify", &["preview/watch/changes.rs"]),
    ("opener", &["cli/"]),
    ("openssh_sftp_client", &["host/sftp/"]),
    ("percent_encoding", &["next/url.rs"]),
    ("postcard", &["site/scan/cache.rs", "site/survey/cache.rs"]),
    ("regex", &["config/pattern.rs", "site/check/"]),
    ("roxmltree", &["site/survey/crawl.rs"]),
    ("rustls", &["live/http/tls.rs", "live/http/client.rs"]),
    ("rustls_native_certs", &["live/http/tls.rs"]),
    ("tokio_rustls", &["live/http/client.rs"]),
    ("walkdir", &["site/scan/"]),
    ("x509_cert", &["live/http/tls.rs"]),
];

/// The stages in their order. A stage may import earlier stages, but not later ones.
const STAGES: [&str; 9] = [
    "site/scan/",
    "site/survey/",
    "site/check/",
    "site/fingerprint/",
    "model/manifest/",
    "store/plan/",
    "site/encode.rs",
    "store/sync/",
    "store/publish/",
];

fn is_in(file: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| file == *place || place.ends_with('/') && file.starts_with(place))
}

/// Whether a path of segments begins with the segments of `prefix`, written as `a::b`.
fn begins(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    path.len() >= prefix.len() && prefix.iter().zip(path).all(|(wanted, there)| wanted == there)
}

/// Files in `places` that name one of `forbidden`.
fn naming(places: &[&str], forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, source) in sources() {
        if is_in(file, places) {
            for word in forbidden {
                if source.paths.iter().any(|path| begins(path, word)) {
                    found.push(format!("{file}: {word}"));
                }
            }
        }
    }
    found
}

/// Files outside `places` for which `is_so` is true.
fn elsewhere(places: &[&str], is_so: impl Fn(&Source) -> bool) -> Vec<&'static str> {
    let all = sources().iter();
    all.filter(|(file, source)| !is_in(file, places) && is_so(source))
        .map(|(file, _)| file.as_str())
        .collect()
}

fn room(file: &str) -> Option<&str> {
    match file.split_once('/') {
        Some((room, _)) => Some(room),
        // `main.rs` belongs to the command line. `lib.rs` lists the rooms and imports nothing.
        None => (file == "main.rs").then_some("cli"),
    }
}

#[test]
fn src_holds_the_rooms_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut entries: Vec<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    entries.sort();
    let mut expected: Vec<&str> = ROOMS.into_iter().chain(["lib.rs", "main.rs"]).collect();
    expected.sort_unstable();
    assert_eq!(entries, expected);
}

#[test]
fn a_room_imports_only_rooms_above_it() {
    let mut broken = Vec::new();
    for (file, source) in sources() {
        let Some(here) = room(file) else { continue };
        let above = ROOMS.iter().position(|room| *room == here).expect("a room of the list");
        let fewer = FEWER.iter().find(|(room, _)| *room == here);
        let allowed = fewer.map_or(&ROOMS[..above], |(_, rooms)| *rooms);
        for imported in &source.imports {
            let Some(there) = room(imported) else { continue };
            if there != here && !allowed.contains(&there) {
                broken.push(format!("{file} imports {imported}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// The file itself and all files that it imports, directly or through others.
fn reached_from<'a>(file: &'a str, imports: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<&'a str> {
    let mut reached = vec![file];
    let mut next = 0;
    while let Some(file) = reached.get(next) {
        next += 1;
        for imported in &imports[file] {
            if !reached.contains(imported) {
                reached.push(imported);
            }
        }
    }
    reached
}

fn folder(file: &str) -> Option<&Path> {
    Path::new(file).parent()
}

/// Pairs of files that import each other, directly or through others.
fn cycles(counts: impl Fn(&str, &str) -> bool) -> Vec<(&'static str, &'static str)> {
    let imports: BTreeMap<&str, Vec<&str>> = sources()
        .iter()
        .map(|(file, source)| {
            let imports = source.imports.iter().map(String::as_str);
            (
                file.as_str(),
                imports.filter(|imported| counts(file, imported)).collect(),
            )
        })
        .collect();
    let reached: BTreeMap<&str, Vec<&str>> = imports
        .keys()
        .map(|file| (*file, reached_from(file, &imports)))
        .collect();
    let mut pairs = Vec::new();
    for (file, others) in &reached {
        let back = others
            .iter()
            .filter(|other| file < *other && reached[*other].contains(file));
        pairs.extend(back.map(|other| (*file, *other)));
    }
    pairs
}

#[test]
fn files_of_different_folders_import_each_other_in_no_cycle() {
    let mut found = cycles(|_, _| true);
    found.retain(|(file, other)| folder(file) != folder(other));
    assert_eq!(found, []);
}

#[test]
fn files_of_one_folder_import_each_other_in_no_cycle_but_for_its_mod_rs() {
    let is_own_module = |file: &str, imported: &str| imported.ends_with("/mod.rs") && folder(file) == folder(imported);
    assert_eq!(cycles(|file, imported| !is_own_module(file, imported)), []);
}

#[test]
fn pure_files_import_no_outside_world() {
    assert_eq!(naming(&PURE, &WORLD), Vec::<String>::new());
    let missing: Vec<&&str> = PURE
        .iter()
        .filter(|place| !sources().keys().any(|file| is_in(file, &[place])))
        .collect();
    assert!(missing.is_empty(), "no file is in {missing:?}");
}

#[test]
fn checks_read_what_the_survey_noted_and_never_a_file() {
    let readers = [
        "crate::site::scan",
        "crate::site::source",
        "crate::site::survey::survey",
    ];
    assert_eq!(naming(&["site/check/"], &readers), Vec::<String>::new());
}

#[test]
fn each_foreign_crate_has_one_home() {
    for (name, homes) in HOMES {
        let users = elsewhere(&[], |source| {
            source.paths.iter().any(|path| path.len() > 1 && begins(path, name))
        });
        assert!(!users.is_empty(), "no file uses {name}");
        let strangers: Vec<&str> = users.into_iter().filter(|file| !is_in(file, homes)).collect();
        assert_eq!(strangers, Vec::<&str>::new(), "{name}");
    }
    let keygen = elsewhere(&["store/signing/keygen.rs", "host/key.rs"], |source| {
        source.strings.iter().any(|text| text == "ssh-keygen")
    });
    assert_eq!(keygen, Vec::<&str>::new());
}

#[test]
fn a_stage_imports_no_later_stage() {
    let stage = |file: &str| STAGES.iter().position(|place| is_in(file, &[place]));
    let mut broken = Vec::new();
    for (file, source) in sources() {
        for imported in &source.imports {
            if let (Some(here), Some(there)) = (stage(file), stage(imported))
                && here < there
            {
                broken.push(format!("{file} imports {imported}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn verify_never_sees_what_publish_planned() {
    let plans = [
        "crate::store::plan::Plan",
        "crate::store::sync",
        "crate::store::publish",
    ];
    assert_eq!(naming(&["store/verify/"], &plans), Vec::<String>::new());
}

#[test]
fn nothing_prints_exits_or_reads_the_environment_but_the_command_line() {
    let prints = |source: &Source| {
        let printing = ["println", "eprintln", "print", "eprint", "dbg"];
        let asking = ["is_terminal", "exit"];
        source.macros.iter().any(|name| printing.contains(&name.as_str()))
            || source.paths.iter().any(|path| begins(path, "std::env"))
            || source.methods.iter().any(|name| asking.contains(&name.as_str()))
            || source.paths.iter().any(|path| begins(path, "std::process::exit"))
    };
    assert_eq!(elsewhere(&["cli/", "main.rs"], prints), Vec::<&str>::new());
}

#[test]
fn one_file_names_the_hosts() {
    let naming = elsewhere(&["host/"], |source| {
        let mut names = source.paths.iter().filter_map(|path| path.last());
        names.any(|name| name == "LocalConnector" || name == "SftpConnector")
    });
    assert_eq!(naming, ["cli/connect.rs"]);
}

#[test]
fn current_is_moved_and_folders_are_removed_in_one_file_each() {
    let swaps = elsewhere(&[], |source| source.moves_current);
    let removals = elsewhere(&["host/"], |source| {
        source
            .paths
            .iter()
            .any(|path| path.ends_with(&["Op".to_owned(), "RemoveFolder".to_owned()]))
    });
    assert_eq!(swaps, ["store/swap.rs"]);
    assert_eq!(removals, ["store/staging.rs"]);
}

#[test]
fn files_stay_readable() {
    let long = elsewhere(&[], |source| source.lines > 600);
    assert_eq!(long, Vec::<&str>::new());
}

#[test]
fn the_preview_goes_by_the_rules_and_never_by_the_vhost() {
    // Both read the rules and neither reads the other. So one cannot hide a mistake by copying it from the other.
    assert_eq!(naming(&["preview/"], &["crate::rules::nginx"]), Vec::<String>::new());
    let others: Vec<&str> = elsewhere(&["rules/nginx/"], |source| {
        source.imports.iter().any(|file| file.starts_with("rules/nginx/"))
    });
    assert!(!others.iter().any(|file| file.starts_with("rules/")), "{others:?}");
}

//! The structure of the suite itself: every test file is declared as a module, and the quick run needs no server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `support` that need a server or a browser.
const SERVERS: [&str; 5] = ["browser", "chromium", "nginx", "sandbox", "sshd"];

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")
}

/// The modules in `folder`: Rust files, and folders with a `mod.rs`.
fn modules_on_disk(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .expect("the suite's folder")
        .map(|entry| entry.expect("an entry of the suite's folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") || path.join("mod.rs").is_file())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| name != "main" && name != "mod")
        .collect()
}

/// The modules that `file` declares, in order.
fn modules_declared(file: &Path) -> Vec<String> {
    fs::read_to_string(file)
        .expect("the suite's source")
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// Every Rust file in a folder and below it.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the suite") {
            let path = entry.expect("an entry of the suite's folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

const LISTS: [&str; 4] = ["offline", "proofs", "served", "support"];

#[test]
fn every_file_of_the_suite_is_a_module_of_a_sorted_list() {
    for folder in LISTS {
        let list = suite().join(folder).join("mod.rs");
        let declared = modules_declared(&list);
        assert!(declared.is_sorted(), "{}", list.display());
        let declared: BTreeSet<String> = declared.into_iter().collect();
        assert_eq!(modules_on_disk(&suite().join(folder)), declared, "{}", list.display());
    }
    let folders: BTreeSet<String> = LISTS.map(str::to_owned).into();
    assert_eq!(modules_on_disk(&suite()), folders);
}

fn starts_a_server(file: &Path) -> bool {
    let source = fs::read_to_string(file).expect("a source of the suite");
    let mut servers = SERVERS.iter();
    servers.any(|server| source.contains(&format!("support::{server}")))
}

#[test]
fn what_starts_a_server_is_in_served_and_nothing_else_is() {
    for folder in ["offline", "proofs"] {
        let mut serving = files_below(&suite().join(folder));
        // It names them, here.
        serving.retain(|file| starts_a_server(file) && !file.ends_with("layout.rs"));
        assert!(serving.is_empty(), "these start a server: {serving:?}");
    }
    for module in modules_declared(&suite().join("served/mod.rs")) {
        let folder = suite().join("served").join(&module);
        let mut files = if folder.is_dir() {
            files_below(&folder)
        } else {
            vec![folder.with_extension("rs")]
        };
        files.retain(|file| starts_a_server(file));
        assert!(!files.is_empty(), "{module} starts no server: it belongs elsewhere");
    }
}

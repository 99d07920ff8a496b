//! The structure of the suite itself: every test file is declared as a module, and the quick run needs no server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `support` that need a server or a browser.
const SERVERS: [&str; 4] = ["browser", "chromium", "nginx", "sshd"];

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

#[test]
fn every_file_of_the_suite_is_a_module() {
    for (folder, list) in [("", "main.rs"), ("support", "mod.rs")] {
        let folder = suite().join(folder);
        let declared: BTreeSet<String> = modules_declared(&folder.join(list)).into_iter().collect();
        assert_eq!(modules_on_disk(&folder), declared, "{}", folder.join(list).display());
    }
}

#[test]
fn lists_of_modules_are_sorted() {
    for list in ["main.rs", "support/mod.rs"] {
        assert!(modules_declared(&suite().join(list)).is_sorted(), "{list}");
    }
}

#[test]
fn quick_run_leaves_out_exactly_the_modules_that_need_a_server() {
    let run = fs::read_to_string(suite().join("../run")).expect("tests/run");
    let listed: BTreeSet<String> = run
        .lines()
        .find_map(|line| line.strip_prefix("server_modules=(")?.strip_suffix(')'))
        .expect("the line server_modules=(…) in tests/run")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let needing: BTreeSet<String> = modules_on_disk(&suite())
        .into_iter()
        .filter(|name| name != "support" && name != "layout")
        .filter(|name| {
            let source = fs::read_to_string(suite().join(format!("{name}.rs")))
                .or_else(|_| fs::read_to_string(suite().join(name).join("mod.rs")))
                .expect("the module's source");
            SERVERS
                .iter()
                .any(|server| source.contains(&format!("support::{server}")))
        })
        .collect();
    assert_eq!(listed, needing, "server_modules of tests/run");
}

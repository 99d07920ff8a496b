//! Two builds of a site published one after the other, and the measured differences.

use std::collections::BTreeMap;
use std::path::Path;

use super::oracle::{Case, differences};
use super::{finished, publish, set_export};
use crate::support::command::Project;
use crate::support::export::files_below;

/// The builds to compare.
pub struct Builds<'a> {
    pub first: &'a Path,
    /// Another build of the same source, or of the next version.
    pub second: &'a Path,
    pub edited: Option<&'a Path>,
}

/// The measured results.
pub struct Measured {
    pub files: usize,
    /// Files that differ between the two builds as they are.
    pub raw: usize,
    /// Files that differ once their build IDs are made equal.
    pub without_ids: usize,
    /// Files that the second publish changed.
    pub published: u64,
    /// Files that a third publish changed, with one word edited.
    pub edited: Option<u64>,
    /// Errors and warnings of `check`.
    pub findings: (usize, usize),
    /// Differences between each export and its finished site.
    pub differences: Vec<String>,
}

/// Publishes the builds to the local target of a project.
pub fn measure(project: &Project, builds: &Builds<'_>, origin: Option<&str>, base_path: &str) -> Measured {
    let mut found = Vec::new();
    let mut published = Vec::new();
    let mut findings = (0, 0);
    for export in [Some(builds.first), Some(builds.second), builds.edited]
        .into_iter()
        .flatten()
    {
        set_export(project, export);
        let after = finished(project);
        found.extend(differences(&Case {
            before: export,
            after: &after,
            origin,
            base_path,
        }));
        let said = project.run(&["check", "--json"]).json();
        let levels = |level: &str| {
            let list = said["problems"].as_array();
            list.map_or(0, |list| {
                list.iter().filter(|finding| finding["severity"] == level).count()
            })
        };
        findings = (levels("error"), levels("warning"));
        published.push(publish(project));
    }
    let (one, two) = (with_equal_ids(builds.first), with_equal_ids(builds.second));
    Measured {
        files: one.len(),
        raw: differing(&files_below(builds.first), &files_below(builds.second)),
        without_ids: differing(&one, &two),
        published: published[1],
        edited: published.get(2).copied(),
        findings,
        differences: found,
    }
}

/// The number of files that are in only one of the two, or differ in content.
fn differing(one: &BTreeMap<String, Vec<u8>>, two: &BTreeMap<String, Vec<u8>>) -> usize {
    let missing = two.keys().filter(|name| !one.contains_key(*name)).count();
    missing
        + one
            .iter()
            .filter(|(name, bytes)| two.get(*name) != Some(*bytes))
            .count()
}

/// The files of an export, with every build ID of 21 characters made the same, in names and contents.
fn with_equal_ids(export: &Path) -> BTreeMap<String, Vec<u8>> {
    const SAME: &str = "XXXXXXXXXXXXXXXXXXXXX";
    let files = files_below(export);
    let ids: Vec<String> = files
        .keys()
        .filter_map(|name| name.strip_suffix("/_buildManifest.js")?.rsplit('/').next())
        .filter(|id| id.len() == SAME.len())
        .map(str::to_owned)
        .collect();
    files
        .into_iter()
        .map(|(name, mut bytes)| {
            let mut name = name;
            for id in &ids {
                name = name.replace(id, SAME);
                for text in [id.clone(), id.replace('-', "_")] {
                    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, text.as_bytes()).collect();
                    for at in places {
                        bytes[at..at + SAME.len()].copy_from_slice(SAME.as_bytes());
                    }
                }
            }
            (name, bytes)
        })
        .collect()
}

//! `builds`: the export contains the files of one build only. Pure.
//!
//! Two build IDs mean that a build was cut short or was written over an older one. Some pages then load code that does
//! not fit them, and each click between old and new pages is a full page load.

use std::collections::BTreeMap;

use super::finding::{Material, RawFinding, first_names};
use crate::model::path::SitePath;
use crate::next::build_id;

/// How many files of each build a message names.
const NAMED: usize = 2;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    // Files are visited one by one, so comparing with the last entry is enough to list each file once per build.
    let mut builds: BTreeMap<&str, Vec<&SitePath>> = BTreeMap::new();
    for file in material.files() {
        let in_path = build_id::in_path(file.asset.path.as_str());
        for id in in_path.into_iter().chain(file.facts.ids.iter().map(String::as_str)) {
            if !id.is_empty() {
                let files = builds.entry(id).or_default();
                if files.last() != Some(&&file.asset.path) {
                    files.push(&file.asset.path);
                }
            }
        }
    }
    if builds.len() < 2 {
        return Vec::new();
    }
    // The files of the smallest build are most likely leftovers of an older build, or the last files of a new one.
    let mut builds: Vec<(&str, Vec<&SitePath>)> = builds.into_iter().collect();
    builds.sort_by_key(|(_, files)| files.len());
    let named = builds
        .iter()
        .map(|(id, files)| format!("{id} ({})", first_names(files, NAMED)));
    let named: Vec<String> = named.collect();
    let first = builds.first().and_then(|(_, files)| files.first());
    let found = first.map(|path| {
        RawFinding::new(
            (*path).clone(),
            format!("files of {} builds are mixed: {}", builds.len(), named.join("; ")),
            "delete the folder of the export and build again: a build was cut short, or written over an older one",
        )
    });
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    fn payload(id: &str) -> String {
        format!("0:{{\"b\":\"{id}\"}}\n")
    }

    #[test]
    fn two_builds_are_found_wherever_their_ids_stand() {
        let (old, new) = (payload("old"), payload("new"));
        let page = "<script>self.__next_f.push([1,\"0:{\\\"b\\\":\\\"new\\\"}\\n\"])</script>";
        let data = "<script id=__NEXT_DATA__>{\"buildId\":\"old\"}</script>";
        for (files, expected) in [
            (
                vec![
                    ("a.html", ""),
                    ("a.txt", old.as_str()),
                    ("b.html", page),
                    ("c.html", ""),
                    ("c.txt", &new),
                ],
                "a.txt: files of 2 builds are mixed: old (a.txt); new (b.html, c.txt)",
            ),
            (
                vec![("_next/static/old/_buildManifest.js", ""), ("b.html", page)],
                "b.html: files of 2 builds are mixed: new (b.html); old (_next/static/old/_buildManifest.js)",
            ),
            (
                vec![
                    ("_next/data/new/a.json", "{}"),
                    ("a.html", data),
                    ("b.html", data),
                    ("c.html", data),
                ],
                "_next/data/new/a.json: files of 2 builds are mixed: new (_next/data/new/a.json); old (a.html, b.html and \
                 1 more)",
            ),
        ] {
            assert_eq!(Export::new(&files).finds(find), [expected]);
        }
    }

    #[test]
    fn one_build_and_text_that_names_an_id_are_left_in_peace() {
        let page =
            "<script>self.__next_f.push([1,\"0:{\\\"b\\\":\\\"one\\\"}\\n\"])</script><code>\"b\":\"two\"</code>";
        let export = Export::new(&[
            ("a.html", page),
            ("_next/static/one/_buildManifest.js", ""),
            ("_next/static/chunks/app/_buildManifest.js", ""),
            ("notes/two.txt", "two"),
        ]);
        assert_eq!(export.finds(find), [""; 0]);
    }
}

//! `case`: no two names in one folder differ only in case. Pure.
//!
//! Such a site can't be checked out, built or unpacked on macOS or Windows without losing one of the two, and readers
//! confuse the two addresses. Only the names that differ are reported, not the files below two such folders.

use std::borrow::Cow;
use std::collections::HashMap;

use super::finding::{Material, RawFinding, each_path};
use crate::model::path::SitePath;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let assets = material.assets;
    // Folder and folded name -> the paths as they are, each once. The list nearly always has one entry, so a linear
    // search for repeats is cheap. Of two names that clash, at least one is not in folded form. So the first pass keeps
    // only such names, and the second adds the names that they clash with.
    let mut names: HashMap<(&str, Cow<'_, str>), Vec<&str>> = HashMap::new();
    each_path(assets, |whole, _| {
        let (folder, name) = split(whole);
        if let Cow::Owned(folded) = fold(name) {
            let same = names.entry((folder, folded.into())).or_default();
            if !same.contains(&whole) {
                same.push(whole);
            }
        }
    });
    if names.is_empty() {
        return Vec::new();
    }
    each_path(assets, |whole, _| {
        let (folder, name) = split(whole);
        if let Cow::Borrowed(_) = fold(name)
            && let Some(same) = names.get_mut(&(folder, Cow::Borrowed(name)))
            && !same.contains(&whole)
        {
            same.push(whole);
        }
    });
    let clashes = names.into_values().filter(|same| same.len() > 1);
    let findings = clashes.flat_map(|mut same| {
        same.sort_unstable();
        findings(&same)
    });
    findings.collect()
}

fn findings(same: &[&str]) -> Vec<RawFinding> {
    let Some((first, others)) = same.split_first() else {
        return Vec::new();
    };
    let finding = |path: &&str| {
        Some(RawFinding::new(
            SitePath::new(path).ok()?,
            format!("differs from {first} only in case"),
            "rename one of the two: file systems that ignore case keep only one of them",
        ))
    };
    others.iter().filter_map(finding).collect()
}

/// Returns the folder and the name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Lowercases a name one character at a time, because the lowercase form of a sigma must not depend on what follows it.
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return name.into();
    }
    name.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::found;

    #[test]
    fn names_that_differ_only_in_case_are_found() {
        assert_eq!(found(find, &["A.html", "a.html"]), ["a.html"]);
        assert_eq!(found(find, &["x/Größe.html", "x/GRÖßE.html"]), ["x/Größe.html"]);
        assert_eq!(found(find, &["AA", "Aa", "aA"]), ["Aa", "aA"]);
    }

    #[test]
    fn folders_are_named_once_and_not_their_files() {
        let paths = [
            "Docs/a.html",
            "Docs/b.html",
            "Docs/c/d.html",
            "docs/a.html",
            "docs/b.html",
        ];
        assert_eq!(found(find, &paths), ["docs"]);
        assert_eq!(found(find, &["Docs/a.html", "docs"]), ["docs"], "a file and a folder");
    }

    #[test]
    fn other_names_are_left_in_peace() {
        let paths = [
            "a.html",
            "a/x",
            "a/y",
            "ab.html",
            "b/A.html",
            "b/x/y",
            "b/xy",
            "docs/a.html",
            "docs/docs/a.html",
        ];
        assert!(found(find, &paths).is_empty());
    }
}

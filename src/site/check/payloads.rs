//! A part of `links`: every page of the App Router has its payload next to it. Pure.
//!
//! Without `usage.txt` next to `usage.html`, a click on a link to that page is a full page load, and prefetching it is
//! an error in the console of every page that links to it. This happens if a build was cut short, or if an upload from
//! another machine left files out. A page is expected to have the files that most other pages have, so the check works
//! with every version of Next.js.

use std::collections::BTreeSet;

use super::finding::{Material, RawFinding, is_reached_by_links};
use crate::model::path::SitePath;
use crate::next::page::Router;
use crate::site::survey::FileKind;

/// The payload files of a page: one for clicks, and one for prefetches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Click,
    Ahead,
}

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut have: BTreeSet<(Form, usize)> = BTreeSet::new();
    for (asset, kind) in material.assets.iter().zip(&material.survey.kinds) {
        if let FileKind::Payload(page) = *kind {
            let name = asset.path.name();
            if name == "__next._tree.txt" {
                have.insert((Form::Ahead, page));
            } else if !name.starts_with("__next.") {
                have.insert((Form::Click, page));
            }
        }
    }
    let pages: Vec<(usize, &SitePath)> = material
        .survey
        .facts
        .iter()
        .enumerate()
        .filter(|(_, facts)| facts.router == Some(Router::App))
        .filter_map(|(index, _)| Some((index, &material.assets.get(index)?.path)))
        .filter(|(_, path)| is_reached_by_links(path.as_str()))
        .collect();
    let mut findings: Vec<RawFinding> = in_folders(material).into_iter().collect();
    for form in [Form::Click, Form::Ahead] {
        let (with, without): (Vec<_>, Vec<_>) = pages.iter().partition(|(index, _)| have.contains(&(form, *index)));
        if with.len() <= without.len() {
            continue;
        }
        findings.extend(without.into_iter().map(|(_, page)| {
            let missing = payload_of(page.as_str(), form);
            let effect = match form {
                Form::Click => "each click on a link to it reloads the page",
                Form::Ahead => "it can't be fetched ahead",
            };
            RawFinding::new(
                (*page).clone(),
                format!("its payload {missing} is missing, which other pages have: {effect}"),
                "delete the export and build again; if it was copied, copy every file",
            )
        }));
    }
    findings
}

/// Finds parts of payloads that are in folders. Next.js writes the parts of a page's payload as
/// `docs/__next.docs.__PAGE__.txt`, and its client requests them by these names. On Windows some versions write
/// `docs/__next.docs/__PAGE__.txt`.
fn in_folders(material: Material<'_>) -> Option<RawFinding> {
    let is_in_one = |path: &SitePath| {
        let folders = path.as_str().rsplit_once('/').map_or("", |(folders, _)| folders);
        path.name().ends_with(".txt") && folders.split('/').any(|folder| folder.starts_with("__next."))
    };
    let mut found = material
        .files()
        .map(|file| &file.asset.path)
        .filter(|path| is_in_one(path));
    let first = found.next()?;
    let others = match found.count() {
        0 => String::new(),
        others => format!(", like {others} others"),
    };
    Some(RawFinding::new(
        first.clone(),
        format!(
            "this part of a payload lies in a folder{others}, and the client looks for a name with dots: each prefetch is a 404"
        ),
        "build on Linux or macOS, in WSL or in CI: some versions of Next.js write these names wrong on Windows",
    ))
}

fn payload_of(page: &str, form: Form) -> String {
    let stem = page.strip_suffix(".html").unwrap_or(page);
    match form {
        Form::Click => format!("{stem}.txt"),
        Form::Ahead if stem == "index" => "__next._tree.txt".to_owned(),
        Form::Ahead => format!("{}/__next._tree.txt", stem.strip_suffix("/index").unwrap_or(stem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    const PAGE: &str = r#"<script>self.__next_f.push([1,"0:{\"b\":\"abc\"}\n"])</script>"#;

    fn export(without: &str, more: &[(&str, &str)]) -> Export {
        let mut files: Vec<(&str, &str)> = vec![
            ("index.html", PAGE),
            ("index.txt", "0:{}\n"),
            ("__next._tree.txt", "0:{}\n"),
            ("a.html", PAGE),
            ("a.txt", "0:{}\n"),
            ("a/__next._tree.txt", "0:{}\n"),
            ("b/index.html", PAGE),
            ("b/index.txt", "0:{}\n"),
            ("b/__next._tree.txt", "0:{}\n"),
        ];
        files.retain(|(path, _)| *path != without);
        files.extend(more);
        Export::new(&files)
    }

    #[test]
    fn a_page_without_its_payload_is_found() {
        for (without, page) in [
            ("a.txt", "a.html"),
            ("a/__next._tree.txt", "a.html"),
            ("b/index.txt", "b/index.html"),
            ("b/__next._tree.txt", "b/index.html"),
            ("__next._tree.txt", "index.html"),
        ] {
            let found = export(without, &[]).finds(find);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with(&format!("{page}: its payload {without} is missing")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn error_pages_and_pages_without_a_client_are_left_in_peace() {
        let more = [
            ("404.html", PAGE),
            ("404/index.html", PAGE),
            ("_not-found.html", PAGE),
            ("public.html", "<p>"),
        ];
        assert_eq!(export("", &more).finds(find), [""; 0]);
    }

    #[test]
    fn parts_in_folders_are_found_once() {
        let more = [
            ("a/__next.a/__PAGE__.txt", "0:{}\n"),
            ("a/__next.a/b/__PAGE__.txt", "0:{}\n"),
        ];
        let found = export("", &more).finds(find);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("a/__next.a/__PAGE__.txt: this part of a payload lies in a folder, like 1 others")
        );
        let right = [("a/__next.a.__PAGE__.txt", "0:{}\n"), ("a/__next.a.txt", "0:{}\n")];
        assert_eq!(export("", &right).finds(find), [""; 0]);
    }

    #[test]
    fn what_no_page_has_is_not_missed() {
        let export = Export::new(&[("index.html", PAGE), ("a.html", PAGE), ("index.txt", "0:{}\n")]);
        assert_eq!(export.finds(find), [""; 0]);
    }
}

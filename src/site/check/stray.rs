//! `stray`: no file is published that was meant for another host or left behind by an editor. Pure.
//!
//! Every file in `public/` is public, and what configures another host does nothing on this one, so a site that relies on
//! it needs a warning. A backup may show content that was removed from the site. All such files are reported in one
//! finding, because there are usually several.

use super::finding::{Material, RawFinding, first_names};

/// Files that other hosts read.
const OF_HOSTS: &[&str] = &[
    "CNAME",
    "_routes.json",
    "_worker.js",
    "firebase.json",
    "netlify.toml",
    "now.json",
    "staticwebapp.config.json",
    "vercel.json",
    "wrangler.jsonc",
    "wrangler.toml",
];

/// Files that file managers leave in folders.
const OF_FOLDERS: &[&str] = &["Desktop.ini", "Thumbs.db", "desktop.ini"];

/// File name endings of the copies and notes that editors and merges leave behind.
const LEFT_BEHIND: &[&str] = &["~", ".bak", ".orig", ".rej", ".swo", ".swp"];

/// How many files a message names.
const NAMED: usize = 5;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let is_stray = |path: &str, name: &str| {
        let at_top = path == name;
        (at_top && OF_HOSTS.contains(&name))
            || OF_FOLDERS.contains(&name)
            || LEFT_BEHIND
                .iter()
                .any(|ending| name.len() > ending.len() && name.ends_with(ending))
    };
    let paths = material.files().map(|file| &file.asset.path);
    let stray: Vec<_> = paths.filter(|path| is_stray(path.as_str(), path.name())).collect();
    let Some(first) = stray.first() else {
        return Vec::new();
    };
    let named = first_names(&stray, NAMED);
    vec![RawFinding::new(
        (*first).clone(),
        format!("everyone can read what was meant for another host or left by an editor: {named}"),
        "remove them from `public/`, or leave them out with `exclude`",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    #[test]
    fn files_of_other_hosts_and_of_editors_are_named_once() {
        let export = Export::of_paths(&["vercel.json", "CNAME", "a/page.html~", "a/notes.md.bak", "index.html"]);
        assert_eq!(
            export.finds(find),
            [
                "CNAME: everyone can read what was meant for another host or left by an editor: CNAME, \
              a/notes.md.bak, a/page.html~, vercel.json"
            ]
        );
    }

    #[test]
    fn other_files_are_left_in_peace() {
        let export = Export::of_paths(&["docs/_headers", "docs/vercel.json", "~", "bak.html", "a.swp.html"]);
        assert_eq!(export.finds(find), [""; 0]);
    }
}

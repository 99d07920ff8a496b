//! Maps a file of the site to the addresses under which it is reachable. Pure.

use super::base::FRONT_PAYLOAD;
use super::{Address, Outcome, Rules, fingerprint};
use crate::next::url::{CLIENT, encoded};

/// Returns the address of a file: the preferred address of a page, or the path of any other file. `None` if no address
/// leads to the file.
#[must_use]
pub fn preferred(rules: &Rules, path: &str, is_file: &dyn Fn(&str) -> bool) -> Option<String> {
    candidates(rules, path).find(|target| match outcome(rules, target, is_file) {
        Some(Outcome::File { path: found, .. }) => found == path,
        _ => false,
    })
}

/// Returns every address whose response changes when a file changes: the addresses that lead to the file, and those
/// that redirect there. The file may no longer exist.
#[must_use]
pub fn all(rules: &Rules, path: &str) -> Vec<String> {
    let mut all: Vec<String> = candidates(rules, path)
        .filter(|target| match outcome(rules, target, &|other| other == path) {
            Some(Outcome::File { path: found, .. }) => found == path,
            Some(Outcome::Moved(_)) => true,
            _ => false,
        })
        .collect();
    all.dedup();
    all
}

/// Addresses that may lead to a file. The one that pages should have comes first.
fn candidates(rules: &Rules, path: &str) -> impl Iterator<Item = String> {
    let base = &rules.base_path;
    let mut found = Vec::new();
    if let Some(stem) = path.strip_suffix(".html") {
        let folder = match stem {
            "index" => Some(""),
            _ => stem.strip_suffix("/index"),
        };
        match folder {
            Some("") if base.is_empty() => found.push("/".to_owned()),
            Some("") => found.extend([base.clone(), format!("{base}/")]),
            Some(folder) => {
                let bare = format!("{base}/{}", encoded(folder));
                found.extend([format!("{bare}/"), bare]);
            }
            None => {
                let bare = format!("{base}/{}", encoded(stem));
                found.extend([bare.clone(), format!("{bare}/")]);
            }
        }
    }
    if let Some((original, hash)) = path
        .strip_prefix(rules.classes.copies())
        .and_then(fingerprint::original_of)
    {
        found.push(fingerprint::added(&format!("{base}/{}", encoded(&original)), hash));
    }
    let (prefix, own) = (&rules.asset_prefix, format!("/{}", encoded(path)));
    if !prefix.is_empty() && own.starts_with(CLIENT) {
        found.push(format!("{prefix}{own}"));
    }
    found.push(format!("{base}{own}"));
    if !base.is_empty() {
        // With a base path, the payload of the front page has an address of a different form.
        let payload = (own == FRONT_PAYLOAD).then(|| format!("{base}.txt"));
        found.push(own);
        found.extend(payload);
    }
    found.into_iter()
}

fn outcome(rules: &Rules, target: &str, is_file: &dyn Fn(&str) -> bool) -> Option<Outcome> {
    Some(rules.resolve(&Address::parse(target.as_bytes()).ok()?, is_file))
}

//! Maps a file of the site to the addresses under which it is reachable. Pure.

use super::base::FRONT_PAYLOAD;
use super::{Address, Outcome, Rules, fingerprint};
use crate::next::url::{CLIENT, encoded};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To the file itself.
    There,
    /// To another address, by a redirect.
    Elsewhere,
}

/// Returns the address of a file: the preferred address of a page, or the path of any other file. `None` if no address
/// leads to the file.
#[must_use]
pub fn of(rules: &Rules, path: &str, is_file: &dyn Fn(&str) -> bool) -> Option<String> {
    let there = candidates(rules, path).find(|target| leads(rules, target, path, is_file) == Some(Leads::There));
    there.or_else(|| {
        // With a base path, the payload of the front page has an address of a different form.
        let payload = format!("{}.txt", rules.base_path);
        (leads(rules, &payload, path, is_file) == Some(Leads::There)).then_some(payload)
    })
}

/// Returns every address whose response changes when a file changes: the addresses that lead to the file, and those
/// that redirect there. The file may no longer exist.
#[must_use]
pub fn all(rules: &Rules, path: &str) -> Vec<String> {
    let this_one = |other: &str| other == path;
    let mut all: Vec<String> = candidates(rules, path)
        .filter(|target| leads(rules, target, path, &this_one).is_some())
        .collect();
    if format!("/{path}") == FRONT_PAYLOAD && !rules.base_path.is_empty() {
        all.push(format!("{}.txt", rules.base_path));
    }
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
        found.push(own);
    }
    found.into_iter()
}

fn leads(rules: &Rules, target: &str, path: &str, is_file: &dyn Fn(&str) -> bool) -> Option<Leads> {
    let address = Address::parse(target.as_bytes()).ok()?;
    match rules.resolve(&address, is_file) {
        Outcome::File { path: found, .. } => (found == path).then_some(Leads::There),
        Outcome::Moved(_) => Some(Leads::Elsewhere),
        Outcome::Language | Outcome::Entry(_) | Outcome::Pattern(_) | Outcome::Marker | Outcome::NotFound => None,
    }
}

//! The addresses under which a file of the site is reachable. Pure.

use crate::next::url::{CLIENT, encoded};
use crate::rules::base::FRONT_PAYLOAD;
use crate::rules::{Address, Outcome, Rules, fingerprint};

/// What an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To the file.
    There,
    /// To another address of it.
    Elsewhere,
}

/// The address of a file: a page's own, and of any other file its path. None where no address leads to it.
#[must_use]
pub fn of(rules: &Rules, path: &str, is_file: &dyn Fn(&str) -> bool) -> Option<String> {
    let there = candidates(rules, path).find(|target| leads(rules, target, path, is_file) == Some(Leads::There));
    there.or_else(|| {
        // The front page's payload, whose own address is another where there is a base path.
        let payload = format!("{}.txt", rules.base_path);
        (leads(rules, &payload, path, is_file) == Some(Leads::There)).then_some(payload)
    })
}

/// Every address whose answer changes with a file: those that lead to it, and those that lead there by a redirect. The
/// file need not be there any more.
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

/// Addresses that may lead to a file, the one that pages should have first.
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
        Outcome::Marker | Outcome::NotFound => None,
    }
}

//! The address at which a vhost reports which rules it was printed by and which tree it serves. Pure.
//!
//! nginx resolves `current` to a tree of the store, whose name is its digest. So one small answer proves that the vhost
//! serves this store and this release, and no extra file is needed in the store. It must not reveal anything else: no
//! path of the host, no release, no commit. The digest covers only content that visitors can get anyway.

use std::fmt::Write as _;

use super::Rules;
use crate::model::digest::Digest;

/// The address, below the root of the host.
pub const ADDRESS: &str = "/.well-known/syntax-publish";

/// The number of the rules that are printed. Every change of the vhost that a user could notice raises it and adds a
/// line to `CHANGES`. A test of the vhost enforces this.
pub const RULES: u32 = 7;

/// What each number introduced, worded as what a vhost of an older number does not do.
const CHANGES: [(u32, &str); 6] = [
    (
        2,
        "it does not say which release it serves, so it can't be seen whether it serves this store",
    ),
    (
        3,
        "a chunk of the replaced release that is requested at the moment of a swap may be a 404 once",
    ),
    (
        4,
        "browsers keep source maps and search indexes below `_next/static/chunks` for a year although they change, and a \
         filtered search in an open tab may fail after a publish; some files without an extension have no type",
    ),
    (
        5,
        "pictures and other files with a fingerprint in their address (`?v=…`) are revalidated on each visit, and pages of \
         a previous release get the live release's pictures",
    ),
    (
        6,
        "without brotli, a symlink that was planted in the store serves any file that nginx may read; with a `deploymentId`, each \
         click loads the whole page after a publish",
    ),
    (7, "redirects of moved pages are 404s"),
];

/// The parsed answer of a vhost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The number of the rules that the vhost was printed by.
    pub rules: u32,
    /// The digest of the tree that it serves; empty if `current` does not lead to a tree.
    pub tree: String,
    /// What it was printed from, see [`settings`]. Vhosts of rules before 7 don't say.
    pub settings: Option<String>,
}

/// The text that the vhost answers with.
#[must_use]
pub fn text(tree: &str, settings: &str) -> String {
    format!("rules {RULES}\ntree {tree}\nsettings {settings}\n")
}

/// A digest of everything about a site that the vhost is printed from. What differs from release to release without a
/// new vhost, such as the redirects of single addresses, is not part of it.
#[must_use]
pub fn settings(rules: &Rules) -> String {
    let Rules {
        form,
        base_path,
        asset_prefix,
        classes,
        deployment_id,
        types,
        languages,
        one_address,
        redirects,
        headers,
    } = rules;
    let mut text = format!(
        "{form:?} {base_path} {asset_prefix} {} {} {one_address} {}\n",
        classes.copies(),
        deployment_id.is_some(),
        languages.join(","),
    );
    for (extension, media_type) in types.by_extension() {
        let _ = writeln!(text, "type {extension} {media_type}");
    }
    for own in types.by_path() {
        let _ = writeln!(text, "type {} {}", own.glob().glob(), own.media_type);
    }
    for rule in redirects.patterns() {
        let (path, query, fragment) = rule.target_of_groups();
        let _ = writeln!(
            text,
            "redirect {} {} {path}{query}{fragment}",
            rule.regex(),
            rule.status()
        );
    }
    for rule in headers.rules() {
        text += &rule.text();
    }
    Digest::of(text.as_bytes()).short(16)
}

impl Marker {
    /// Parses the answer of a vhost; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rules, rest) = text.strip_prefix("rules ")?.split_once('\n')?;
        let (tree, rest) = rest.strip_prefix("tree ")?.split_once('\n')?;
        let settings = rest
            .strip_prefix("settings ")
            .map(|settings| settings.trim_end_matches('\n').to_owned());
        if !tree.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self {
            rules: rules.parse().ok()?,
            tree: tree.to_owned(),
            settings,
        })
    }
}

/// What a vhost that was printed by rules of this number does not do. 1 means the rules from before they had numbers.
#[must_use]
pub fn missing(rules: u32) -> Vec<&'static str> {
    let newer = CHANGES.iter().filter(|(number, _)| *number > rules);
    newer.map(|(_, what)| *what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_is_read_as_it_is_written_and_nothing_else_is_one() {
        let marker = Marker::parse(&text("9f31", "ab12")).unwrap();
        assert_eq!((marker.rules, marker.tree.as_str()), (RULES, "9f31"));
        assert_eq!(marker.settings.as_deref(), Some("ab12"));
        assert_eq!(Marker::parse(&text("", "ab12")).unwrap().tree, "");
        assert_eq!(Marker::parse("rules 6\ntree 9f31\n").unwrap().settings, None);
        for other in [
            "",
            "<!DOCTYPE html>",
            "rules x\ntree a\n",
            "rules 2\n",
            "rules 2\ntree /srv\n",
        ] {
            assert_eq!(Marker::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn older_rules_lack_something_and_these_nothing() {
        assert!((1..RULES).all(|number| !missing(number).is_empty()));
        assert_eq!(missing(RULES), Vec::<&str>::new());
    }
}

//! `forbid`: no file contains text that the site manifest forbids, such as names of internal hosts or private
//! addresses. Pure.
//!
//! The patterns ([`crate::config::Forbidden`]) are searched for in every text of the export, both in URLs and in prose.

use super::finding::{Material, RawFinding, shortened};
use super::repeats::Repeats;
use crate::config::Forbidden;
use crate::site::survey::{Hit, line_at};

pub(super) const NAME: &str = "forbid";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut repeats = Repeats::new();
    for file in material.files() {
        for hit in material.hits(file, NAME) {
            repeats.add((hit.rule.as_str(), hit.shown.as_str()), &file.asset.path, hit.line);
        }
    }
    repeats.findings(|(rule, shown)| {
        (
            format!("contains {shown:?}, which {rule:?} in `forbid` forbids"),
            "remove it from the page; if this file may contain it, name the file in `allow`".to_owned(),
        )
    })
}

/// How many different findings of one pattern are reported for one file.
const TOLD: usize = 8;

/// Adds a hit for each match of the patterns in a text.
pub(super) fn search(forbidden: &Forbidden, bytes: &[u8], hits: &mut Vec<Hit>) {
    for (rule, found) in forbidden.matches(bytes) {
        let mut told: Vec<&[u8]> = Vec::new();
        for (at, text) in found {
            // Each spelling is reported once per file, up to the limit, because a broad pattern matches a lot.
            if told.len() < TOLD && !told.contains(&text) {
                told.push(text);
                hits.push(Hit {
                    check: NAME.into(),
                    line: Some(line_at(bytes, at)),
                    rule: rule.to_owned(),
                    shown: shortened(&String::from_utf8_lossy(text)),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Levels;
    use crate::site::check::Searches;
    use crate::site::check::tests::Export;

    #[test]
    fn finding_names_the_pattern_what_was_found_and_the_line() {
        let forbidden = Forbidden::new(&["10.0.0.0/8"]).unwrap();
        let files = [
            ("a.html", "<p>\n10.1.2.3 and 10.1.2.3"),
            ("b.js", "x"),
            ("c.json", "\"10.9.9.9\""),
        ];
        let export = Export::searched(&files, &Searches::new(&Levels::default(), &forbidden));
        assert_eq!(
            export.finds(find),
            [
                "a.html:2: contains \"10.1.2.3\", which \"10.0.0.0/8\" in `forbid` forbids",
                "c.json:1: contains \"10.9.9.9\", which \"10.0.0.0/8\" in `forbid` forbids",
            ]
        );
    }
}

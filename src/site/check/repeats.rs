//! Faults that many files share, each reported once. Pure.
//!
//! A wrong link in a menu is in every page of a site. Thousands of findings would hide all others, so a fault in more
//! than a few files becomes one finding, which states the number of files.

use std::collections::BTreeMap;

use super::finding::RawFinding;
use crate::model::path::SitePath;

/// Up to this many files each get a finding of their own.
const NAMED: usize = 3;

/// Faults with the places of each, in the order of the files.
pub(super) struct Repeats<'a, K> {
    places: BTreeMap<K, Vec<(&'a SitePath, Option<u32>)>>,
}

impl<'a, K: Ord> Repeats<'a, K> {
    pub fn new() -> Self {
        let places = BTreeMap::new();
        Self { places }
    }

    /// Adds a fault. Only the first occurrence in each file counts.
    pub fn add(&mut self, fault: K, path: &'a SitePath, line: impl Into<Option<u32>>) {
        let places = self.places.entry(fault).or_default();
        if places.last().is_none_or(|(last, _)| *last != path) {
            places.push((path, line.into()));
        }
    }

    /// Returns one finding per fault and file, or one finding per fault if it is in many files. `found` returns the
    /// message for a fault and the hint.
    pub fn findings(self, found: impl Fn(&K) -> (String, String)) -> Vec<RawFinding> {
        let mut findings = Vec::new();
        for (fault, places) in &self.places {
            let (message, hint) = found(fault);
            if places.len() <= NAMED {
                findings.extend(
                    places.iter().map(|(path, line)| {
                        RawFinding::new((*path).clone(), message.as_str(), hint.as_str()).at(*line)
                    }),
                );
            } else if let Some((path, line)) = places.first() {
                let others = places.len() - 1;
                let told = format!("{message}; the same in {others} other files");
                let finding = RawFinding::new((*path).clone(), told, hint).at(*line);
                findings.push(finding.of_many(message));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_many_files_is_reported_once_with_their_number() {
        let paths: Vec<SitePath> = (0..5)
            .map(|number| SitePath::new(&format!("{number}.html")).unwrap())
            .collect();
        let mut repeats = Repeats::new();
        for path in &paths {
            repeats.add("menu", path, 7);
            repeats.add("menu", path, 9);
        }
        repeats.add("alone", &paths[4], None);
        let findings = repeats.findings(|fault| ((*fault).to_owned(), "fix".to_owned()));
        let told: Vec<_> = findings
            .iter()
            .map(|finding| (finding.path.as_str(), finding.line, finding.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("4.html", None, "alone"),
                ("0.html", Some(7), "menu; the same in 4 other files")
            ]
        );
    }

    #[test]
    fn a_fault_of_few_files_is_reported_for_each() {
        let paths = ["a.html", "b.html"].map(|path| SitePath::new(path).unwrap());
        let mut repeats = Repeats::new();
        for path in &paths {
            repeats.add((), path, 1);
        }
        assert_eq!(repeats.findings(|()| ("x".to_owned(), "y".to_owned())).len(), 2);
    }
}

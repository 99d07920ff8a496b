//! Finds what a manifest has in common with the previous one, so that the host can copy that part instead of receiving
//! it again.
//!
//! Pure. A digest does not compress, and the manifest of a wide folder consists mostly of digests. If one line changed,
//! the rest is already on the host. A run must never contain bytes that differ between the two manifests.

use std::collections::HashMap;

/// A run of bytes that is in both manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedRun {
    /// Where it begins in the previous manifest.
    pub from: usize,
    /// Where it begins in the new manifest.
    pub at: usize,
    /// Its length in bytes.
    pub length: usize,
}

/// For fewer bytes than this, asking for a copy costs nearly as much as sending them.
const SHORTEST: usize = 512;

/// Returns the runs of complete lines that both texts have, in the order of the new one. No line occurs twice in a
/// manifest.
pub fn runs(former: &str, new: &str) -> Vec<SharedRun> {
    let places: HashMap<&str, usize> = lines(former).map(|(at, line)| (line, at)).collect();
    let mut runs: Vec<SharedRun> = Vec::new();
    for (at, line) in lines(new) {
        let Some(from) = places.get(line).copied() else {
            continue;
        };
        match runs.last_mut() {
            Some(run) if run.from + run.length == from && run.at + run.length == at => run.length += line.len(),
            _ => runs.push(SharedRun {
                from,
                at,
                length: line.len(),
            }),
        }
    }
    runs.retain(|run| run.length >= SHORTEST);
    runs
}

/// Each line with its line end, and where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |next, line| {
        let at = *next;
        *next += line.len();
        Some((at, line))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines as long as those of manifests.
    fn text(lines: impl IntoIterator<Item = u8>) -> String {
        let lines: Vec<String> = lines.into_iter().map(|line| format!("{line:0>120}\n")).collect();
        lines.concat()
    }

    #[test]
    fn a_line_that_changed_divides_what_is_alike() {
        let (former, new) = (text(0..20), text((0..10).chain([99]).chain(11..20)));
        let length = 121 * 10;
        let first = SharedRun { from: 0, at: 0, length };
        let (from, length) = (121 * 11, 121 * 9);
        assert_eq!(runs(&former, &new), [first, SharedRun { from, at: from, length }]);
    }

    #[test]
    fn what_moved_is_found_where_it_was() {
        let (former, new) = (text(0..20), text([50, 51].into_iter().chain(0..20)));
        let at = 121 * 2;
        let length = former.len();
        assert_eq!(runs(&former, &new), [SharedRun { from: 0, at, length }]);
    }

    #[test]
    fn a_few_lines_are_not_worth_it() {
        assert_eq!(runs(&text(0..3), &text(0..3)), []);
    }

    proptest! {
        #[test]
        fn runs_are_the_same_bytes_in_order(
            former in proptest::collection::btree_set(0_u8..60, 0..60),
            new in proptest::collection::btree_set(0_u8..60, 0..60),
        ) {
            let (former, new) = (text(former), text(new));
            let mut end = 0;
            for run in runs(&former, &new) {
                prop_assert!(run.at >= end);
                end = run.at + run.length;
                prop_assert_eq!(&former[run.from..run.from + run.length], &new[run.at..end]);
            }
            prop_assert!(end <= new.len());
        }
    }
}

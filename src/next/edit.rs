//! Changes to a text, made all at once: every byte outside of them stays. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

/// Replacements of parts of one text, none overlapping another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// By where the part starts: where it ends, and what stands there instead. A map, for what is nested is told from
    /// the inside out, and a list would be moved for each.
    by_start: BTreeMap<usize, (usize, String)>,
}

impl Edits {
    /// Replaces a part. One that overlaps a part that was replaced already is not taken, nor a second one at its start.
    pub fn replace(&mut self, range: Range<usize>, text: String) {
        let before = self.by_start.range(..=range.start).next_back();
        let free_before = before.is_none_or(|(start, (end, _))| *end <= range.start && *start < range.start);
        let after = self.by_start.range(range.start..).next();
        let free_after = after.is_none_or(|(start, _)| range.end <= *start);
        if free_before && free_after && range.start <= range.end {
            self.by_start.insert(range.start, (range.end, text));
        }
    }

    /// Takes over the edits of a part of the text that starts at `offset`.
    pub fn take_at(&mut self, offset: usize, other: Self) {
        for (start, (end, text)) in other.by_start {
            self.replace(start + offset..end + offset, text);
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// The edits in order.
    pub fn iter(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        self.by_start
            .iter()
            .map(|(start, (end, text))| (*start..*end, text.as_str()))
    }

    /// The text with all of them made.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.by_start.len() * 32);
        let mut from = 0;
        for (start, (end, new)) in &self.by_start {
            out.push_str(text.get(from..*start).unwrap_or_default());
            out.push_str(new);
            from = *end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_change_their_parts_and_nothing_else() {
        let mut edits = Edits::default();
        edits.replace(6..11, "site".to_owned());
        edits.replace(0..5, "a whole new".to_owned());
        assert_eq!(edits.apply("hello world, hello"), "a whole new site, hello");
        assert!(!edits.is_empty() && Edits::default().is_empty());
        assert_eq!(Edits::default().apply("ä"), "ä");
    }

    #[test]
    fn overlapping_edit_is_not_taken() {
        let mut edits = Edits::default();
        edits.replace(2..4, "x".to_owned());
        edits.replace(3..5, "y".to_owned());
        edits.replace(1..3, "z".to_owned());
        edits.replace(4..4, "!".to_owned());
        edits.replace(4..4, "?".to_owned());
        assert_eq!(edits.apply("012345"), "01x!45");
    }
}

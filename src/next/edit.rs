//! Changes to a text, made all at once: every byte outside of them stays. Pure.

use std::ops::Range;

/// Replacements of parts of one text, none overlapping another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<(Range<usize>, String)>,
}

impl Edits {
    /// Replaces a part. One that overlaps a part that was replaced already is not taken.
    pub fn replace(&mut self, range: Range<usize>, text: String) {
        // Parsers go forward, so the right place is nearly always the end.
        let place = self.list.partition_point(|(other, _)| other.start < range.start);
        let free_before = place == 0 || self.list[place - 1].0.end <= range.start;
        let free_after = self.list.get(place).is_none_or(|(next, _)| range.end <= next.start);
        if free_before && free_after && range.start <= range.end {
            self.list.insert(place, (range, text));
        }
    }

    /// Takes over the edits of a part of the text that starts at `offset`.
    pub fn take_at(&mut self, offset: usize, other: Self) {
        for (range, text) in other.list {
            self.replace(range.start + offset..range.end + offset, text);
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The edits in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Range<usize>, &str)> {
        self.list.iter().map(|(range, text)| (range, text.as_str()))
    }

    /// The text with all of them made.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.list.len() * 32);
        let mut from = 0;
        for (range, new) in &self.list {
            out.push_str(text.get(from..range.start).unwrap_or_default());
            out.push_str(new);
            from = range.end;
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
        assert_eq!(edits.apply("012345"), "01x!45");
    }
}

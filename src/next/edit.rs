//! Changes to a text, applied in one pass: every byte outside of them stays the same. Pure.

use std::ops::Range;

/// Replacements of parts of one text, none of which overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Sorted by position.
    list: Vec<(Range<usize>, String)>,
}

impl Edits {
    /// Replaces a part. The edit is ignored if the part overlaps one that is replaced already, or starts where such a
    /// part starts.
    ///
    /// Parsers go forward, so an edit is usually appended. An edit anywhere else moves all later ones; use [`Self::of`]
    /// for many edits in another order.
    pub fn replace(&mut self, range: Range<usize>, text: String) {
        let place = self.list.partition_point(|(other, _)| other.start < range.start);
        let free_before = place == 0 || self.list[place - 1].0.end <= range.start;
        let free_after = self
            .list
            .get(place)
            .is_none_or(|(next, _)| range.end <= next.start && range.start < next.start);
        if free_before && free_after && range.start <= range.end {
            self.list.insert(place, (range, text));
        }
    }

    /// Builds the edits from a list in any order, such as the order in which nested values end. Of two that overlap,
    /// the one that starts first is used. Of two that start at the same byte, the first in the list is used.
    #[must_use]
    pub fn of(mut list: Vec<(Range<usize>, String)>) -> Self {
        list.sort_by_key(|(range, _)| range.start);
        let mut last: Option<Range<usize>> = None;
        list.retain(|(range, _)| {
            let is_free = last
                .as_ref()
                .is_none_or(|last| last.end <= range.start && last.start < range.start);
            let is_taken = is_free && range.start <= range.end;
            if is_taken {
                last = Some(range.clone());
            }
            is_taken
        });
        Self { list }
    }

    /// Adds the edits of a part of the text that starts at `offset`.
    pub fn take_at(&mut self, offset: usize, other: Self) {
        let in_order = match (self.list.last(), other.list.first()) {
            (Some((last, _)), Some((first, _))) => {
                last.end <= first.start + offset && last.start < first.start + offset
            }
            _ => true,
        };
        self.list.extend(other.moved_by(offset));
        if !in_order {
            *self = Self::of(std::mem::take(&mut self.list));
        }
    }

    /// The edits, moved to a text that has `offset` more bytes before this one.
    pub fn moved_by(self, offset: usize) -> impl Iterator<Item = (Range<usize>, String)> {
        let moved = move |(range, text): (Range<usize>, String)| (range.start + offset..range.end + offset, text);
        self.list.into_iter().map(moved)
    }

    /// Whether there are no edits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The edits in order.
    pub fn iter(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        self.list.iter().map(|(range, text)| (range.clone(), text.as_str()))
    }

    /// Returns the text with all edits applied.
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
        edits.replace(4..4, "?".to_owned());
        assert_eq!(edits.apply("012345"), "01x!45");
    }

    #[test]
    fn edits_in_any_order_become_those_in_order() {
        let edit = |range: Range<usize>, text: &str| (range, text.to_owned());
        let edits = Edits::of(vec![
            edit(4..5, "e"),
            edit(0..2, "a"),
            edit(1..3, "b"),
            edit(4..4, "f"),
            edit(2..3, "c"),
        ]);
        assert_eq!(edits.apply("012345"), "ac3e5");
        let mut outer = Edits::default();
        outer.replace(8..9, "z".to_owned());
        outer.take_at(1, edits);
        assert_eq!(outer.apply(" 012345 8 "), " ac3e5 z ");
    }
}

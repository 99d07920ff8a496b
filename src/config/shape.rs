//! What the keys of a table accept, as values: what reading a file notes, and the schema shows.
//!
//! Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// What a key accepts, for the error that refuses something else.
#[derive(Clone, Copy)]
pub(super) struct Expect {
    /// A noun phrase: "a whole number, 1 or more".
    pub(super) allowed: &'static str,
    /// An example value as it would be in the file.
    pub(super) example: &'static str,
}

/// Shorthand for [`Expect`].
pub(super) const fn expect(allowed: &'static str, example: &'static str) -> Expect {
    Expect { allowed, example }
}

/// What a value can be.
#[derive(Clone, Default)]
pub(super) enum Shape {
    /// A string. What it says is not described.
    #[default]
    Text,
    /// One of these strings.
    Words(Vec<&'static str>),
    /// True or false.
    Bool,
    /// False, in place of a value.
    False,
    /// A whole number in this range.
    Whole(RangeInclusive<i128>),
    /// One of these whole numbers.
    Numbers(Vec<u16>),
    /// A list of such values.
    List(Box<Shape>),
    /// Any of these.
    Either(Vec<Shape>),
    /// The table with the same path.
    Table,
    /// A list of tables, each like the one with the same path.
    Tables,
}

impl Shape {
    /// The words of a list that gives each a value.
    pub(super) fn words<T>(words: &[(&'static str, T)]) -> Self {
        Self::Words(words.iter().map(|(word, _)| *word).collect())
    }
}

/// What a key accepts.
#[derive(Clone, Default)]
pub(super) struct Key {
    pub(super) shape: Shape,
    /// Nothing for a table.
    pub(super) expect: Option<Expect>,
    pub(super) is_required: bool,
}

/// The keys of a table.
#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) keys: BTreeMap<&'static str, Key>,
    /// What a key of any name accepts, if there can be such keys.
    pub(super) others: Option<Shape>,
    /// Whether a key that is not described is an error.
    pub(super) is_closed: bool,
}

impl Table {
    pub(super) fn key(&mut self, name: &'static str) -> &mut Key {
        self.keys.entry(name).or_default()
    }
}

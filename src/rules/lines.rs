//! What files of rules have in common: lines, their places, and which of them can't be followed. Pure.
//!
//! `_redirects` and `_headers` are such files. What a line means is decided where its rules are.

/// Where a rule is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl Place {
    /// A line of a file.
    #[must_use]
    pub fn new(file: &str, line: u32) -> Self {
        let file = file.to_owned();
        Self { file, line }
    }
}

/// A line that is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line.
    pub place: Place,
    /// What is wrong with it, as a sentence without a subject.
    pub reason: String,
}

/// The rules of one or more files, and the lines that can't be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLines<R> {
    /// The rules, in the order in which they apply.
    pub rules: Vec<R>,
    /// Lines that can't be followed.
    pub bad: Vec<BadLine>,
}

impl<R> RuleLines<R> {
    /// Puts the result of reading a file before these rules.
    pub fn put_before(&mut self, (rules, bad): (Vec<R>, Vec<BadLine>)) {
        self.rules.splice(0..0, rules);
        self.bad.splice(0..0, bad);
    }
}

/// The lines of a file, each with its place.
pub(super) fn lines<'t>(file: &'t str, text: &'t str) -> impl Iterator<Item = (Place, &'t str)> {
    let lines = text.trim_start_matches('\u{feff}').lines();
    (1..)
        .zip(lines)
        .map(|(line, content)| (Place::new(file, line), content))
}

/// Whether a character may be in the name of a placeholder.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a text can be the name of a placeholder.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_of_name)
}

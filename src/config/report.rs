//! Collects the problems and warnings of a site manifest, with their lines.
//!
//! Pure. Readers have a shared reference and can only add. Nothing is read back before the end, so a problem must never
//! change how the rest of the file is read.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::NOT_YET;
use super::problem::{Problem, Warning};
use super::shape::Table;

/// Collects problems and warnings, and converts offsets of the text to lines and columns.
pub(super) struct ProblemList<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Warning>>,
    tables: RefCell<BTreeMap<String, Table>>,
}

impl<'t> ProblemList<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            tables: RefCell::default(),
        }
    }

    /// Line and column of a byte offset, both from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.text.get(..end).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// Line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.place(offset).0
    }

    pub(super) fn problem(&self, offset: usize, key: String, message: String, hint: String) {
        let (line, column) = self.place(offset);
        self.problems.borrow_mut().push(Problem {
            line,
            column,
            key,
            message,
            hint,
        });
    }

    /// Adds a warning if `path` is in [`NOT_YET`].
    pub(super) fn note_not_yet(&self, offset: usize, path: &str, shown: &str) {
        if !NOT_YET.contains(&path) {
            return;
        }
        self.warnings.borrow_mut().push(Warning {
            line: self.place(offset).0,
            key: path.to_owned(),
            message: format!("{shown} is not supported by this version yet: ignored"),
        });
    }

    /// Notes something about the table at `path`, whether the file has it or not.
    pub(super) fn describe(&self, path: &str, note: impl FnOnce(&mut Table)) {
        note(self.tables.borrow_mut().entry(path.to_owned()).or_default());
    }

    /// All tables that were read or looked for, by path.
    pub(super) fn into_tables(self) -> BTreeMap<String, Table> {
        self.tables.into_inner()
    }

    /// All problems and all warnings, each sorted by line.
    pub(super) fn into_findings(self) -> (Vec<Problem>, Vec<Warning>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort();
        warnings.sort();
        (problems, warnings)
    }
}

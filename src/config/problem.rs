//! What is wrong with a site manifest, as values.
//!
//! Pure. A problem carries its place and its fix apart, so that a caller may print one line, a
//! list, or JSON. Text taken from the file is in messages only escaped and shortened: a
//! manifest can't write to the terminal through its own error.

use std::fmt;

/// One thing wrong with a site manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line it stands on, from 1.
    pub line: usize,
    /// The character of that line it begins at, from 1.
    pub column: usize,
    /// The dotted key it is about (`publish.keep`); empty where the text is not TOML at all.
    pub key: String,
    /// What was found.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, line {}", self.message, self.line)?;
        if self.key.is_empty() {
            write!(out, ", column {}", self.column)?;
        }
        write!(out, ": {}", self.hint)
    }
}

/// Something in a site manifest that is right, but that this version does not act on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The line it stands on, from 1.
    pub line: usize,
    /// The dotted key it is about.
    pub key: String,
    /// What will not happen.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.message)
    }
}

/// A site manifest that can't be used. Its text is one line a problem, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", one_line_each(.problems))]
pub struct ConfigError {
    /// Everything found wrong, by line; never empty.
    pub problems: Vec<Problem>,
}

fn one_line_each(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

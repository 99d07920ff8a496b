//! Problems of a site manifest, as values.
//!
//! Pure. A problem keeps its position and its hint separate, so that the caller can print one line, a list, or JSON.
//! Messages contain text of the file only escaped and shortened: a manifest must never be able to write control
//! sequences to the terminal through its own error.

use std::fmt;

/// One problem of a site manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The dotted key (`publish.keep`); empty if the text is not TOML at all.
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

/// A valid setting of a site manifest that this version does not support yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The line, from 1.
    pub line: usize,
    /// The dotted key.
    pub key: String,
    /// What will not happen.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.message)
    }
}

/// A site manifest that can't be used. It is displayed as one line per problem, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", one_line_each(.problems))]
pub struct ConfigError {
    /// All problems, by line; never empty.
    pub problems: Vec<Problem>,
}

fn one_line_each(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

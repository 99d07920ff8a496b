//! `[check]`: how serious each finding about the export is.
//!
//! Pure. This module only names the checks and their default levels; it must not depend on what a check looks for.

use std::collections::BTreeMap;

use super::pattern::Forbidden;
use super::section::{Expect, FromSection, Section, expect, which};
use super::values::{glob, globs};

/// The effect of a check's findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing is published.
    Error,
    /// They are reported; publishing continues.
    Warn,
    /// The check does not run.
    Off,
}

/// Every check that has a level: its key and its default level.
pub const CHECKS: [(&str, Level); 29] = [
    ("anchors", Level::Warn),
    ("builds", Level::Error),
    ("canonical", Level::Warn),
    ("case", Level::Error),
    ("clash", Level::Error),
    ("csp", Level::Error),
    ("depth", Level::Error),
    ("empty", Level::Error),
    ("encodings", Level::Error),
    ("headers", Level::Error),
    ("hreflang", Level::Warn),
    ("immutable", Level::Error),
    ("index", Level::Warn),
    ("indexing", Level::Warn),
    ("links", Level::Error),
    ("local", Level::Warn),
    ("metadata", Level::Warn),
    ("moved", Level::Warn),
    ("next", Level::Warn),
    ("not-found", Level::Warn),
    ("pictures", Level::Warn),
    ("redirects", Level::Error),
    ("secrets", Level::Error),
    ("shadowed", Level::Warn),
    ("size", Level::Warn),
    ("source-maps", Level::Warn),
    ("stray", Level::Warn),
    ("utf8", Level::Error),
    ("well-known", Level::Error),
];

pub(super) const LEVEL: Expect = expect(r#""error", "warn" or "off""#, r#""warn""#);
pub(super) const LEVELS: [(&str, Level); 3] = [("error", Level::Error), ("warn", Level::Warn), ("off", Level::Off)];

/// `[check]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// How serious the findings of each check are.
    pub levels: Levels,
    /// Patterns that no file of the export may contain.
    pub forbid: Vec<String>,
    /// Globs of files whose findings are ignored.
    pub allow: Vec<String>,
    /// Globs of addresses of the host that are not served by this site.
    pub elsewhere: Vec<String>,
    /// How findings that the live release also has are treated.
    pub known: KnownFindings,
}

/// How findings that the live release also has are treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KnownFindings {
    /// They are warnings, and their number is reported.
    #[default]
    Warn,
    /// They are treated like any other finding.
    Error,
}

/// The levels of all checks: those that were set, and the defaults for the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    set: BTreeMap<&'static str, Level>,
}

impl Levels {
    /// Sets the level of a check.
    #[must_use]
    pub fn with(mut self, check: &'static str, level: Level) -> Self {
        self.set.insert(check, level);
        self
    }

    /// The level of a check, as set or by default. A check that has no level in the site manifest, such as `forbid`,
    /// reports errors.
    #[must_use]
    pub fn of(&self, check: &str) -> Level {
        let default = || CHECKS.iter().find(|(name, _)| *name == check).map(|(_, level)| *level);
        let set = self.set.get(check).copied();
        set.or_else(default).unwrap_or(Level::Error)
    }
}

impl FromSection for Check {
    fn from_section(section: &Section<'_>) -> Self {
        let patterns = expect(
            "a list of patterns: texts, networks, and regular expressions between slashes",
            r#"["internal.example.com", "10.0.0.0/8"]"#,
        );
        let levels = CHECKS.iter().filter_map(|(name, _)| {
            let level = section.read_word(name, LEVEL, &LEVELS, "is no level")?;
            Some((*name, level))
        });
        Self {
            levels: Levels { set: levels.collect() },
            forbid: section
                .read_list("forbid", patterns, |text| {
                    let parsed = Forbidden::new(&[text]).map(|_| text.to_owned());
                    parsed.or_else(|error| which(error.to_string()))
                })
                .unwrap_or_default(),
            allow: globs(section, "allow").unwrap_or_default(),
            elsewhere: section.read_list("elsewhere", ELSEWHERE, glob).unwrap_or_default(),
            known: section
                .read_word("known", KNOWN, &KNOWN_WORDS, "is neither of the two")
                .unwrap_or_default(),
        }
    }
}

const ELSEWHERE: Expect = expect(
    "a list of globs over addresses of the host",
    r#"["/blog/**", "/api/**"]"#,
);

const KNOWN: Expect = expect(r#""warn" or "error""#, r#""error""#);
const KNOWN_WORDS: [(&str, KnownFindings); 2] = [("warn", KnownFindings::Warn), ("error", KnownFindings::Error)];

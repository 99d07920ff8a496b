//! What the survey searches the texts of an export for, on behalf of `secrets` and `forbid`. Pure.

use super::{Forbidden, Levels, secrets};
use crate::survey::{Hit, Search};

/// The searches of all checks together, so that each text is read once.
pub struct Searches<'a> {
    secrets: bool,
    forbidden: &'a Forbidden,
}

impl<'a> Searches<'a> {
    /// Those that these levels and patterns ask for.
    #[must_use]
    pub fn new(levels: &Levels, forbidden: &'a Forbidden) -> Self {
        Self {
            secrets: levels.runs(secrets::NAME),
            forbidden,
        }
    }
}

impl Search for Searches<'_> {
    fn wants(&self, path: &str) -> bool {
        self.secrets && secrets::is_named_like_one(path)
    }

    fn hits(&self, path: &str, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        if self.secrets {
            secrets::search(path, bytes, &mut hits);
        }
        self.forbidden.search(bytes, &mut hits);
        hits
    }

    fn name(&self) -> String {
        let patterns: Vec<&str> = self.forbidden.patterns().collect();
        format!("{} {patterns:?}", self.secrets)
    }
}

//! The searches that the survey runs in the texts of an export for `secrets`, `empty`, `source-maps` and `forbid`.
//! Pure.

use super::{empty, forbid, secrets, source_maps};
use crate::config::{Forbidden, Level, Levels};
use crate::site::survey::{Hit, TextSearch};

/// The searches of all checks together, so that each text is read once.
pub struct Searches<'a> {
    secrets: bool,
    empty: bool,
    maps: bool,
    forbidden: &'a Forbidden,
}

impl<'a> Searches<'a> {
    /// Creates the searches that these levels and patterns need.
    #[must_use]
    pub fn new(levels: &Levels, forbidden: &'a Forbidden) -> Self {
        Self {
            secrets: levels.of(secrets::NAME) != Level::Off,
            empty: levels.of(empty::NAME) != Level::Off,
            maps: levels.of(source_maps::NAME) != Level::Off,
            forbidden,
        }
    }
}

impl TextSearch for Searches<'_> {
    fn wants(&self, path: &str, size: u64) -> bool {
        self.secrets && secrets::is_named_like_one(path) || self.empty && empty::may_be_pointer(size)
    }

    fn hits(&self, path: &str, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        if self.secrets {
            secrets::search(path, bytes, &mut hits);
        }
        if self.empty {
            empty::search(bytes, &mut hits);
        }
        if self.maps {
            source_maps::search(path, bytes, &mut hits);
        }
        forbid::search(self.forbidden, bytes, &mut hits);
        hits
    }

    fn name(&self) -> String {
        let patterns: Vec<&str> = self.forbidden.patterns().collect();
        format!("{} {} {} {patterns:?}", self.secrets, self.empty, self.maps)
    }
}

//! `[budget]`: how large the site and its pages may be.
//!
//! Pure. This module only holds the limits; it must not depend on how anything is measured.

use super::Level;
use super::check::{LEVEL, LEVELS};
use super::section::{Expect, FromSection, Refusal, Section, expect, text, which, whole};
use super::shape::Shape;
use super::values::parse_size;

/// `[budget]`: limits in bytes. `None`: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What a page makes a browser load at first, as it is sent.
    pub first_load: Option<u64>,
    /// The scripts among that.
    pub scripts: Option<u64>,
    /// All files of the site, without their encodings.
    pub total: Option<u64>,
    /// The largest file, without its encodings.
    pub file: Option<u64>,
    /// The effect of exceeding a limit.
    pub level: Level,
}

impl Budget {
    /// Whether anything has to be measured.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let limits = [self.first_load, self.scripts, self.total, self.file];
        self.level != Level::Off && limits.iter().any(Option::is_some)
    }
}

fn size_shape() -> Shape {
    Shape::Either(vec![Shape::Text, Shape::Whole(0..=i128::from(u64::MAX))])
}

const SIZE: Expect = expect(
    "a whole number of bytes, or one with a space and B, kB, MB, GB, KiB, MiB or GiB behind it",
    r#""200 kB""#,
);

impl FromSection for Budget {
    fn from_section(section: &Section<'_>) -> Self {
        let size = |key| {
            section.read(key, SIZE, size_shape(), |value| match text(value) {
                Ok(text) => parse_size(text).or_else(which),
                Err(Refusal::Type) if value.as_integer().is_some() => whole(value, 0..=i128::from(u64::MAX)),
                Err(refusal) => Err(refusal),
            })
        };
        Self {
            first_load: size("first-load"),
            scripts: size("scripts"),
            total: size("total"),
            file: size("file"),
            level: section
                .read_word("level", LEVEL, &LEVELS, "is no level")
                .unwrap_or(Level::Warn),
        }
    }
}

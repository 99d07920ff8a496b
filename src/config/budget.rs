//! `[budget]`: how large the site and its pages may be.
//!
//! Pure. This module only holds the limits; it must not depend on how anything is measured.

use toml::de::DeValue;

use super::Level;
use super::check::{LEVEL, LEVELS};
use super::section::{Expect, FromSection, Refusal, Section, expect, text, which, whole};
use super::shape::Shape;
use super::values::{parse_size, percent};

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
    /// By how much all files, without their encodings, may be more than those of the live release.
    pub growth: Option<Growth>,
    /// The effect of exceeding a limit.
    pub level: Level,
}

/// By how much a site may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By this many bytes.
    Bytes(u64),
    /// By this share of the live release, in percent.
    Percent(u8),
}

impl Budget {
    /// Whether anything of the site itself has to be measured.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let limits = [self.first_load, self.scripts, self.total, self.file];
        self.level != Level::Off && limits.iter().any(Option::is_some)
    }
}

fn bytes(value: &DeValue<'_>) -> Result<u64, Refusal> {
    match text(value) {
        Ok(text) => parse_size(text).or_else(which),
        Err(Refusal::Type) if value.as_integer().is_some() => whole(value, 0..=i128::from(u64::MAX)),
        Err(refusal) => Err(refusal),
    }
}

fn size_shape() -> Shape {
    Shape::Either(vec![Shape::Text, Shape::Whole(0..=i128::from(u64::MAX))])
}

const SIZE: Expect = expect(
    "a whole number of bytes, or one with a space and B, kB, MB, GB, KiB, MiB or GiB behind it",
    r#""200 kB""#,
);

const GROWTH: Expect = expect(
    "a size, as for the other limits, or a whole percentage from \"0%\" to \"100%\"",
    r#""10%""#,
);

impl FromSection for Budget {
    fn from_section(section: &Section<'_>) -> Self {
        let size = |key| section.read(key, SIZE, size_shape(), bytes);
        let growth = section.read("growth", GROWTH, size_shape(), |value| match text(value) {
            Ok(text) if text.ends_with('%') => percent(text).map(Growth::Percent),
            _ => bytes(value).map(Growth::Bytes),
        });
        Self {
            first_load: size("first-load"),
            scripts: size("scripts"),
            total: size("total"),
            file: size("file"),
            growth,
            level: section
                .read_word("level", LEVEL, &LEVELS, "is no level")
                .unwrap_or(Level::Warn),
        }
    }
}

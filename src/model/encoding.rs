//! Encodings: the compressed files that are stored next to a file.
//!
//! Pure. This module determines which encodings a file gets and how they are named; `encode` produces them. The text
//! that this module writes enters a tree's digest, so it must never depend on the version of a library.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;

/// Version of the bytes that we produce at a given level. Raised by hand when those bytes improve, so that sites are
/// sent again on purpose and never because a library was upgraded.
pub const MAKER: u32 = 1;

/// A content coding that nginx serves from a file next to the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// `br`, RFC 7932.
    Brotli,
    /// `gzip`, RFC 1952.
    Gzip,
}

impl Coding {
    /// Every coding, in the order that manifests use.
    pub const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// The file extension, without a dot, by which nginx finds the encoding.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    /// The name of the file that contains this encoding of `name`.
    #[must_use]
    pub fn beside(self, name: &str) -> String {
        format!("{name}.{}", self.extension())
    }

    /// The name of the original if `name` is the name of a file in this encoding.
    #[must_use]
    pub fn original(self, name: &str) -> Option<&str> {
        name.strip_suffix(self.extension())?.strip_suffix('.')
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        })
    }
}

/// The origin of an encoding's bytes. Its text is part of the manifest and of the stored object's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipe {
    /// We compress at this level. The result is kept only if it is smaller than the original.
    Made {
        /// Brotli 1 to 11, gzip 1 to 9.
        level: u8,
        /// The value of [`MAKER`] when the recipe was made.
        maker: u32,
    },
    /// The export included the bytes; the recipe has the start of their digest.
    Given {
        /// The first 8 bytes of the digest of the encoded bytes.
        digest: [u8; 8],
    },
}

impl Recipe {
    /// Returns the recipe for compressing at a level.
    #[must_use]
    pub const fn made(level: u8) -> Self {
        Self::Made { level, maker: MAKER }
    }

    /// Returns the recipe for encoded bytes that the export included.
    #[must_use]
    pub fn given(encoded: Digest) -> Self {
        let mut digest = [0; 8];
        digest.copy_from_slice(&encoded.as_bytes()[..8]);
        Self::Given { digest }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made { level, maker } => write!(f, "{level}v{maker}"),
            Self::Given { digest } => write!(f, "x{:016x}", u64::from_be_bytes(*digest)),
        }
    }
}

/// The text is not a recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an encoding's recipe: {0:?}")]
pub struct NotARecipe(pub String);

impl FromStr for Recipe {
    type Err = NotARecipe;

    fn from_str(text: &str) -> Result<Self, NotARecipe> {
        let parsed = if let Some(hex) = text.strip_prefix('x') {
            u64::from_str_radix(hex, 16).ok().map(|n| Self::Given {
                digest: n.to_be_bytes(),
            })
        } else {
            text.split_once('v').and_then(|(level, maker)| {
                Some(Self::Made {
                    level: level.parse().ok()?,
                    maker: maker.parse().ok()?,
                })
            })
        };
        // A recipe has exactly one spelling because its text is part of an object's name.
        parsed
            .filter(|recipe| recipe.to_string() == text)
            .ok_or_else(|| NotARecipe(text.chars().take(40).collect()))
    }
}

/// The encodings that a file gets, with their recipes.
pub type Encodings = ByCoding<Recipe>;

/// A value for each coding that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByCoding<T> {
    /// Brotli's, if any.
    pub br: Option<T>,
    /// gzip's, if any.
    pub gz: Option<T>,
}

impl<T> Default for ByCoding<T> {
    fn default() -> Self {
        Self { br: None, gz: None }
    }
}

impl<T: Copy> ByCoding<T> {
    /// The value of a coding.
    #[must_use]
    pub const fn get(self, coding: Coding) -> Option<T> {
        match coding {
            Coding::Brotli => self.br,
            Coding::Gzip => self.gz,
        }
    }

    /// Sets the value of a coding.
    pub fn set(&mut self, coding: Coding, value: Option<T>) {
        match coding {
            Coding::Brotli => self.br = value,
            Coding::Gzip => self.gz = value,
        }
    }

    /// The codings that have a value, and these.
    pub fn iter(self) -> impl Iterator<Item = (Coding, T)> {
        Coding::ALL
            .into_iter()
            .filter_map(move |coding| Some((coding, self.get(coding)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_read_back_and_have_one_spelling() {
        for recipe in [Recipe::made(11), Recipe::given(Digest::of(b"x"))] {
            assert_eq!(recipe.to_string().parse(), Ok(recipe));
        }
        for text in [
            "",
            "v",
            "11",
            "011v1",
            "11v01",
            "x12",
            "xABCDEFABCDEFABCD",
            "999v1",
            "+1v1",
        ] {
            assert!(text.parse::<Recipe>().is_err(), "{text:?}");
        }
    }
}

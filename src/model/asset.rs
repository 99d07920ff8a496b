//! One file of the export, as every stage after the scan sees it. Pure.

use super::digest::Digest;
use super::encoding::{ByCoding, Coding};
use super::path::SitePath;

/// A file of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its path in the site.
    pub path: SitePath,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The encodings that the export included, each verified to decode to exactly these bytes.
    pub given: GivenEncodings,
}

/// Encoded bytes of a file, included in the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Digest of the encoded bytes.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
}

/// The encodings of a file that the export included. Usually there are none. The value then takes one machine word,
/// which matters because a site has hundreds of thousands of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GivenEncodings(Option<Box<ByCoding<Given>>>);

impl GivenEncodings {
    /// The given encoding for a coding.
    #[must_use]
    pub fn get(&self, coding: Coding) -> Option<Given> {
        self.0.as_deref()?.get(coding)
    }

    /// Sets the given encoding for a coding.
    pub fn set(&mut self, coding: Coding, given: Given) {
        self.0.get_or_insert_default().set(coding, Some(given));
    }
}

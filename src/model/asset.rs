//! One file of the export, as all stages after the scan know it. Pure.

use super::digest::Digest;
use super::encoding::Coding;
use super::path::SitePath;

/// A file of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Where it stands in the site.
    pub path: SitePath,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The encodings that the export brought along, each known to decode to exactly these bytes.
    pub given: GivenEncodings,
}

/// The encoded bytes of a file that the export brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Digest of the encoded bytes.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
}

/// Which encodings of a file the export brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GivenEncodings {
    /// Brotli.
    pub br: Option<Given>,
    /// gzip.
    pub gz: Option<Given>,
}

impl GivenEncodings {
    /// The given encoding of one coding.
    #[must_use]
    pub const fn get(self, coding: Coding) -> Option<Given> {
        match coding {
            Coding::Brotli => self.br,
            Coding::Gzip => self.gz,
        }
    }

    /// Sets the given encoding of one coding.
    pub fn set(&mut self, coding: Coding, given: Given) {
        match coding {
            Coding::Brotli => self.br = Some(given),
            Coding::Gzip => self.gz = Some(given),
        }
    }
}

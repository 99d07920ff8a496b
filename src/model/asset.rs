//! One file of the export, as all stages after the scan know it. Pure.

use super::digest::Digest;
use super::encoding::Coding;
use super::path::SitePath;

/// A file of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Where it is in the site.
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

/// Which encodings of a file the export brought along. Mostly none: then it takes one word, of which a site has hundreds
/// of thousands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GivenEncodings(Option<Box<Both>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Both {
    br: Option<Given>,
    gz: Option<Given>,
}

impl GivenEncodings {
    /// The given encoding of one coding.
    #[must_use]
    pub fn get(&self, coding: Coding) -> Option<Given> {
        let both = self.0.as_deref()?;
        match coding {
            Coding::Brotli => both.br,
            Coding::Gzip => both.gz,
        }
    }

    /// Sets the given encoding of one coding.
    pub fn set(&mut self, coding: Coding, given: Given) {
        let both = self.0.get_or_insert_default();
        match coding {
            Coding::Brotli => both.br = Some(given),
            Coding::Gzip => both.gz = Some(given),
        }
    }
}

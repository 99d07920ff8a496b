//! The bytes of the finished site: those of the export, rewritten when they are asked for.
//!
//! Reads the export through its [`Source`]. Nothing is kept: a site of any size takes no more memory than its longest
//! page, and what is sent was made from bytes whose digest was just compared with the scan's.

use std::sync::Arc;

use super::rewrite::{RewritePlan, Rewriter};
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::path::SitePath;
use crate::site::source::{Source, SourceError, in_pieces, unchanged};

/// Where the bytes of a file of the site come from, where that isn't the file of its own path, or not as it is.
#[derive(Debug, Clone)]
pub struct ByteOrigin {
    /// The file of the export.
    pub path: SitePath,
    /// The digest of its bytes there.
    pub digest: Digest,
    /// Their length there.
    pub size: u64,
    /// What is done with them; none: nothing.
    pub change: Option<RewritePlan>,
}

/// The finished site.
pub struct RewritingSource {
    export: Arc<dyn Source>,
    rewriter: Arc<Rewriter>,
    /// Sorted by the path in the site.
    origins: Vec<(SitePath, ByteOrigin)>,
}

impl RewritingSource {
    /// The site whose files are the export's, but for those that have an origin.
    pub fn new(export: Arc<dyn Source>, rewriter: Arc<Rewriter>, mut origins: Vec<(SitePath, ByteOrigin)>) -> Self {
        origins.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            export,
            rewriter,
            origins,
        }
    }

    fn origin(&self, path: &SitePath) -> Option<&ByteOrigin> {
        // Of several with one path the last one counts, as it does in the manifest.
        let end = self.origins.partition_point(|(known, _)| known <= path);
        let (known, origin) = self.origins[..end].last()?;
        (known == path).then_some(origin)
    }

    fn rewritten(&self, origin: &ByteOrigin, change: &RewritePlan) -> Result<Vec<u8>, SourceError> {
        let bytes = self.export.read(&origin.path, origin.digest, origin.size)?;
        Ok(self.rewriter.rewrite(&bytes, change).unwrap_or(bytes))
    }
}

impl Source for RewritingSource {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let Some(origin) = self.origin(path) else {
            return self.export.read(path, digest, size);
        };
        let Some(change) = &origin.change else {
            return self.export.read(&origin.path, digest, size);
        };
        unchanged(self.rewritten(origin, change)?, path, digest, size)
    }

    fn read_pieces(
        &self,
        path: &SitePath,
        digest: Digest,
        size: u64,
        piece: usize,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        match self.origin(path) {
            None => self.export.read_pieces(path, digest, size, piece, take),
            Some(ByteOrigin { path, change: None, .. }) => self.export.read_pieces(path, digest, size, piece, take),
            Some(_) => {
                in_pieces(&self.read(path, digest, size)?, piece, take);
                Ok(())
            }
        }
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        let path = self.origin(path).map_or(path, |origin| &origin.path);
        self.export.read_given(path, coding)
    }
}

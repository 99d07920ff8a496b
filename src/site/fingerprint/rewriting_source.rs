//! The source of the finished site's bytes: those of the export, rewritten on request.
//!
//! It reads the export through its [`Source`], and must not keep what it reads. So a site of any size needs no more
//! memory than its longest page, and every result is made from bytes whose digest was just compared with the scan's.

use std::sync::Arc;

use super::rewrite::{RewritePlan, Rewriter};
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::path::SitePath;
use crate::site::source::{Source, SourceError, in_pieces, unchanged};

/// The origin of a file's bytes, for a file of the site that differs from the export's file at the same path.
#[derive(Debug, Clone)]
pub struct ByteOrigin {
    /// The file of the export.
    pub path: SitePath,
    /// The digest of the file in the export.
    pub digest: Digest,
    /// The size of the file in the export, in bytes.
    pub size: u64,
    /// How the bytes are rewritten; `None` if they stay as they are.
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
    /// Creates the source of a site whose files are the export's, except those that have an origin.
    pub fn new(export: Arc<dyn Source>, rewriter: Arc<Rewriter>, mut origins: Vec<(SitePath, ByteOrigin)>) -> Self {
        origins.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            export,
            rewriter,
            origins,
        }
    }

    fn origin(&self, path: &SitePath) -> Option<&ByteOrigin> {
        // If several origins have the same path, the last one counts, as in the manifest.
        let end = self.origins.partition_point(|(known, _)| known <= path);
        let (known, origin) = self.origins[..end].last()?;
        (known == path).then_some(origin)
    }
}

impl Source for RewritingSource {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let Some(origin) = self.origin(path) else {
            return self.export.read(path, digest, size);
        };
        let bytes = self.export.read(&origin.path, origin.digest, origin.size)?;
        match &origin.change {
            None => Ok(bytes),
            Some(change) => unchanged(
                self.rewriter.rewrite(&bytes, change).unwrap_or(bytes),
                path,
                digest,
                size,
            ),
        }
    }

    fn read_pieces(
        &self,
        path: &SitePath,
        digest: Digest,
        size: u64,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        let origin = self.origin(path);
        if origin.is_some_and(|origin| origin.change.is_some()) {
            in_pieces(&self.read(path, digest, size)?, take);
            return Ok(());
        }
        let path = origin.map_or(path, |origin| &origin.path);
        self.export.read_pieces(path, digest, size, take)
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        let path = self.origin(path).map_or(path, |origin| &origin.path);
        self.export.read_given(path, coding)
    }
}

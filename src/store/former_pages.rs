//! Reads pages of the live release, or of one before it, that the new site does not have, to find out where they moved.
//!
//! This costs what changed: only pages that are gone are read from the host, and only new ones and a few others from the
//! export. Pages beyond the [`Limits`] are left out, and so is one that is not what its digest says. This module must
//! only read.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::host::panics;
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::manifest::{ChangeKind, Changes, Site, is_page};
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::next::prose::{self, Prose};
use crate::site::anchors::{self, GoneAnchor};
use crate::site::moved::{Former, Gone, NewSite, Suggestion};
use crate::site::similar::{self, Features, Page};
use crate::site::source::{Source, SourceError};
use crate::store::former_releases::FormerReleases;
use crate::store::session::Session;
use crate::store::{Error, open};

/// The most that is read of a release or of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of pages.
    pub pages: usize,
    /// Bytes of all pages together.
    pub bytes: u64,
}

impl Limits {
    /// For findings of a publish, which has to be quick.
    pub const FINDINGS: Self = Self {
        pages: 200,
        bytes: 32 << 20,
    };

    /// For a command that was asked for nothing else.
    pub const COMMAND: Self = Self {
        pages: 10_000,
        bytes: 1 << 30,
    };
}

/// A larger page is not read.
const LARGEST: u64 = 4 << 20;

/// How many pages are read from the host together, and how many bytes.
const BATCH: Limits = Limits {
    pages: 64,
    bytes: 16 << 20,
};

/// The pages that visitors can open now, or could open before, at the paths that a publish changes.
#[derive(Clone, Copy)]
pub struct FormerPages<'a> {
    /// The connection to the host.
    pub session: &'a Session,
    /// Where the content of the new site comes from.
    pub source: &'a Arc<dyn Source>,
    /// What a publish changes.
    pub changes: &'a Changes,
    /// The files of the live release at the paths that change.
    pub files: &'a HashMap<SitePath, Option<File>>,
    /// Releases before the live one.
    pub former: &'a FormerReleases,
    /// The most that is read.
    pub limits: Limits,
}

impl FormerPages<'_> {
    /// Returns the likely new address of each page and redirect that is gone, in their order.
    ///
    /// # Errors
    /// [`Error`] if the connection is lost, or if a file of the export changed.
    pub async fn suggestions(self, new: NewSite<'_>, gone: &[Gone]) -> Result<Vec<Option<Suggestion>>, Error> {
        let pages = gone.iter().filter_map(|gone| match &gone.former {
            Former::Page(path) => Some((gone.address.clone(), path.clone())),
            Former::Redirect(_) => None,
        });
        let mut old = Vec::new();
        for (address, prose) in self.read_live(pages.collect()).await? {
            let features = Features::of(&prose);
            old.push(Page { address, features });
        }
        let mut likely = HashMap::new();
        if !old.is_empty() {
            let candidates = new.candidates(self.changes, &self.former.releases, gone);
            let named = candidates.likely.into_iter().map(|page| (page.address, page.path));
            let all = named.chain(candidates.others.into_iter().map(|path| (String::new(), path)));
            let read = self.read_new(new.site, all.collect()).await?;
            // The others have no address, because they are not suggested.
            let (pages, others): (Vec<_>, Vec<_>) = read.into_iter().partition(|(address, _)| !address.is_empty());
            let pages = pages.into_iter().map(|(address, prose)| Page {
                features: Features::of(&prose),
                address,
            });
            let pages: Vec<Page> = pages.collect();
            let others: Vec<Features> = others.iter().map(|(_, prose)| Features::of(prose)).collect();
            for (old, found) in old.iter().zip(similar::suggest(&old, &pages, &others)) {
                if let Some(found) = found {
                    let to = pages[found.page].address.clone();
                    likely.insert(old.address.clone(), (to, found.score));
                }
            }
        }
        Ok(new.suggestions(gone, &likely))
    }

    /// Returns the headings that are gone from pages that stay, and the number of changed pages that were not read.
    ///
    /// # Errors
    /// [`Error`] if the connection is lost, or if a file of the export changed.
    pub async fn gone_anchors(self, new: NewSite<'_>) -> Result<(Vec<GoneAnchor>, usize), Error> {
        let changed = self
            .changes
            .list
            .iter()
            .filter(|change| change.change == ChangeKind::Changed);
        let changed = changed.filter(|change| is_page(&change.path));
        let pages: Vec<_> = changed
            .filter_map(|change| Some((new.address(&change.path)?, change.path.clone())))
            .collect();
        let all = pages.len();
        let old = self.read_live(pages.clone()).await?;
        let mut now: HashMap<String, Prose> = self.read_new(new.site, pages).await?.into_iter().collect();
        let (mut gone, mut compared) = (Vec::new(), 0);
        for (address, old) in old {
            if let Some(now) = now.remove(&address) {
                compared += 1;
                gone.extend(anchors::gone(&address, &old, &now));
            }
        }
        Ok((gone, all - compared))
    }

    /// Reads pages from the host.
    async fn read_live(self, pages: Vec<(String, SitePath)>) -> Result<Vec<(String, Prose)>, Error> {
        let file = |path: &SitePath| {
            let live = self.files.get(path).and_then(Option::as_ref);
            live.or_else(|| self.former.pages.get(path)?.as_ref())
        };
        let wanted = within(self.limits, pages, |path| Some(file(path)?.size));
        let mut read = Vec::new();
        let mut rest = wanted.as_slice();
        while let Some((first, _)) = rest.split_first() {
            let size = |path: &SitePath| file(path).map_or(0, |file| file.size);
            let mut bytes = size(&first.1);
            let follow = rest.iter().skip(1).take(BATCH.pages - 1).take_while(|(_, path)| {
                bytes += size(path);
                bytes <= BATCH.bytes
            });
            let (batch, after) = rest.split_at(1 + follow.count());
            rest = after;
            let digests = batch.iter().filter_map(|(_, path)| Some(file(path)?.digest));
            let objects: Vec<String> = digests.clone().map(layout::object).collect();
            let contents = open::read_files(self.session, &objects).await?;
            for (((address, _), digest), content) in batch.iter().zip(digests).zip(contents) {
                let content = content.filter(|content| Digest::of(content) == digest);
                let text = content.and_then(|content| String::from_utf8(content).ok());
                read.extend(text.map(|text| (address.clone(), prose::read(&text))));
            }
        }
        Ok(read)
    }

    /// Reads pages of the new site, on all cores.
    async fn read_new(self, site: &Site, pages: Vec<(String, SitePath)>) -> Result<Vec<(String, Prose)>, Error> {
        let wanted = within(self.limits, pages, |path| Some(site.file(path)?.size));
        let wanted = wanted.into_iter().filter_map(|(address, path)| {
            let file = site.file(&path)?;
            Some((address, path, file.digest, file.size))
        });
        let wanted: Vec<_> = wanted.collect();
        let source = Arc::clone(self.source);
        let reading = tokio::task::spawn_blocking(move || {
            let read = wanted.into_par_iter().map(|(address, path, digest, size)| {
                let text = String::from_utf8(source.read(&path, digest, size)?).ok();
                Ok(text.map(|text| (address, prose::read(&text))))
            });
            read.collect::<Result<Vec<_>, SourceError>>()
        });
        let read = reading.await.map_err(|error| SourceError::Worker(panics::said(error)));
        Ok(read??.into_iter().flatten().collect())
    }
}

/// The first pages that may be read together.
fn within(
    limits: Limits,
    pages: Vec<(String, SitePath)>,
    size: impl Fn(&SitePath) -> Option<u64>,
) -> Vec<(String, SitePath)> {
    let mut left = limits.bytes;
    let pages = pages.into_iter().filter(|(_, path)| match size(path) {
        Some(size) if size <= LARGEST.min(left) => {
            left -= size;
            true
        }
        _ => false,
    });
    pages.take(limits.pages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_the_limits_allow() {
        let pages: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|name| (name.to_owned(), SitePath::new(name).unwrap()))
            .to_vec();
        let size = |path: &SitePath| match path.as_str() {
            "a" => Some(LARGEST + 1),
            "d" => None,
            _ => Some(10),
        };
        let read = |pages_at_most, bytes| {
            let limits = Limits {
                pages: pages_at_most,
                bytes,
            };
            let read = within(limits, pages.clone(), size).into_iter();
            read.map(|(name, _)| name).collect::<String>()
        };
        assert_eq!(read(9, 1 << 40), "bce");
        assert_eq!(read(2, 1 << 40), "bc");
        assert_eq!(read(9, 29), "bc");
        assert_eq!(read(9, 0), "");
    }
}

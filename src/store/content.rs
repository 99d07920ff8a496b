//! The bytes that a store keeps of a file: its own, and those of each encoding; and the folders of the pool. Pure.

use std::collections::BTreeSet;

use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::layout;
use crate::model::path::SitePath;
use crate::model::tree::File;

/// The bytes that should be at a place: a file's own, or an encoding of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// Digest of the file's own bytes.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
    /// The encoding; `None` for the file's own bytes.
    pub encoded: Option<(Coding, Recipe)>,
}

impl Content {
    /// Returns the content of a file's own bytes, then of its encodings.
    pub fn of_file(file: &File) -> impl Iterator<Item = Self> + use<> {
        let (digest, size) = (file.digest, file.size);
        std::iter::once(None)
            .chain(file.encodings.iter().map(Some))
            .map(move |encoded| Self { digest, size, encoded })
    }

    /// Returns the content of the file's own bytes.
    #[must_use]
    pub fn unencoded(self) -> Self {
        Self { encoded: None, ..self }
    }

    /// Whether this is an encoding that came with the export, so that it can't be made again.
    pub fn is_given(&self) -> bool {
        matches!(self.encoded, Some((_, Recipe::Given { .. })))
    }

    /// Returns the path of the object that contains these bytes.
    pub fn object(&self) -> String {
        match self.encoded {
            Some((coding, recipe)) => layout::encoded_object(self.digest, coding, recipe),
            None => layout::object(self.digest),
        }
    }

    /// Returns the name of these bytes next to a file that is called `name`.
    pub fn beside(&self, name: &str) -> String {
        match self.encoded {
            Some((coding, _)) => coding.beside(name),
            None => name.to_owned(),
        }
    }
}

/// Returns the pool folders that contain the given public paths, parents before children, as paths below the docroot.
pub(crate) fn pool_folders<'p>(paths: impl IntoIterator<Item = &'p SitePath>) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| !folder.is_root()) {
            folders.insert(layout::pool(folder.as_str()));
            above = folder.parent();
        }
    }
    folders
}

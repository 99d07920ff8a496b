//! The files of a release as the live check knows them. Pure.

use std::collections::HashMap;

use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::tree::File;

/// The files of a release, by path.
pub trait Files: Send + Sync {
    /// The file at a path of the site.
    fn file(&self, path: &str) -> Option<&File>;
}

impl Files for Site {
    fn file(&self, path: &str) -> Option<&File> {
        self.file(&SitePath::new(path).ok()?)
    }
}

impl<S: std::hash::BuildHasher + Send + Sync> Files for HashMap<SitePath, File, S> {
    fn file(&self, path: &str) -> Option<&File> {
        self.get(path)
    }
}

/// The release before: as the new one, but for what changed.
pub struct Former<'a> {
    /// The new release.
    pub site: &'a dyn Files,
    /// What was at the paths that changed; none where nothing was.
    pub changed: &'a HashMap<SitePath, Option<File>>,
}

impl Files for Former<'_> {
    fn file(&self, path: &str) -> Option<&File> {
        match self.changed.get(path) {
            Some(former) => former.as_ref(),
            None => self.site.file(path),
        }
    }
}

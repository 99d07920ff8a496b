//! Access to the files of a release for the live check. Pure.

use std::collections::HashMap;

use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::tree::File;

/// The files of a release, by path.
pub trait Files: Send + Sync {
    /// Returns the file at a path of the site.
    fn file(&self, path: &str) -> Option<&File>;
}

impl Files for Site {
    fn file(&self, path: &str) -> Option<&File> {
        self.file(&SitePath::new(path).ok()?)
    }
}

/// The previous release, expressed as the new release plus what changed.
pub struct Former<'a> {
    /// The new release.
    pub site: &'a dyn Files,
    /// The previous files at the paths that changed. `None` if there was no file.
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

//! Which file of the export a path of the site leads to. Pure: it must not access the file system.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::model::asset::Asset;
use crate::model::encoding::Coding;
use crate::next::page::pages_at;
use crate::next::url::{decoded, encoded};
use crate::rules::Redirects;

/// The paths of an export, for lookups.
pub struct Paths<'a> {
    files: HashMap<&'a str, usize>,
    /// By [`folded`] path, for links that work on a more tolerant file system. Built on first use, because most sites
    /// have no such link.
    folded: OnceLock<HashMap<String, usize>>,
    assets: &'a [Asset],
    moved: Option<MovedAddresses<'a>>,
}

/// The addresses of a site that redirect.
#[derive(Debug, Clone, Copy)]
pub struct MovedAddresses<'a> {
    /// The rules.
    pub redirects: &'a Redirects,
    /// The base path of the site, which the addresses of the rules begin with.
    pub base_path: &'a str,
}

impl MovedAddresses<'_> {
    fn has(&self, path: &str) -> bool {
        self.redirects
            .is_moved(&format!("{}/{}", self.base_path, encoded(path)))
    }
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lookup {
    /// To this file, given by its index among the assets.
    File(usize),
    /// To nothing, but this file exists with a different spelling: in another case, with a percent sign that a URL must
    /// escape, or with other code points for the same letters.
    Otherwise(usize),
    /// To nothing.
    Nothing,
    /// To no file, but something is answered: an encoding that the export contains, which is also served under its own
    /// name, or a redirect.
    Answered,
}

impl<'a> Paths<'a> {
    /// Collects the paths of an export.
    #[must_use]
    pub fn new(assets: &'a [Asset]) -> Self {
        let paths = assets.iter().enumerate();
        Self {
            files: paths.map(|(index, asset)| (asset.path.as_str(), index)).collect(),
            folded: OnceLock::new(),
            assets,
            moved: None,
        }
    }

    /// Adds the addresses that redirect.
    #[must_use]
    pub fn with_moved(self, moved: Option<MovedAddresses<'a>>) -> Self {
        Self { moved, ..self }
    }

    /// Returns the file with exactly this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<usize> {
        self.files.get(path).copied()
    }

    /// Returns the page at a path, as the vhost finds it: `usage.html` or `usage/index.html`.
    #[must_use]
    pub fn page(&self, path: &str) -> Option<usize> {
        let path = path.trim_end_matches('/');
        pages_at(path).into_iter().find_map(|path| self.file(&path))
    }

    /// Returns the file that a visitor of a path gets.
    #[must_use]
    pub fn look_up(&self, path: &str) -> Lookup {
        if let Some(index) = self.file(path).or_else(|| self.page(path)) {
            return Lookup::File(index);
        }
        if self.is_encoding(path) {
            return Lookup::Answered;
        }
        if self.moved.is_some_and(|moved| moved.has(path)) {
            return Lookup::Answered;
        }
        let folded = folded(path.trim_end_matches('/'));
        let otherwise = std::iter::once(folded.clone())
            .chain(pages_at(&folded))
            .find_map(|path| self.folded().get(&path).copied());
        otherwise.map_or(Lookup::Nothing, Lookup::Otherwise)
    }

    fn folded(&self) -> &HashMap<String, usize> {
        self.folded.get_or_init(|| {
            let mut known = HashMap::new();
            for (index, asset) in self.assets.iter().enumerate() {
                let path = asset.path.as_str();
                let read = Some(path).filter(|path| path.contains('%')).and_then(decoded);
                if let Some(read) = read {
                    known.entry(folded(&read)).or_insert(index);
                }
                known.insert(folded(path), index);
            }
            known
        })
    }

    fn is_encoding(&self, path: &str) -> bool {
        Coding::ALL.into_iter().any(|coding| {
            let original = coding.original(path).and_then(|original| self.file(original));
            let asset = original.and_then(|index| self.assets.get(index));
            asset.is_some_and(|asset| asset.given.get(coding).is_some())
        })
    }

    /// Returns the path of a file, given its index.
    #[must_use]
    pub fn path(&self, index: usize) -> &'a str {
        self.assets.get(index).map_or("", |asset| asset.path.as_str())
    }
}

/// A question about the paths. Its path is one of the site, not of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct PathQuestion {
    /// Whether the question is what a visitor of the path gets, and not whether exactly this file exists.
    pub(super) is_visit: bool,
    pub(super) path: Arc<str>,
}

impl Paths<'_> {
    /// Returns the answer to a question.
    pub(super) fn answer(&self, question: &PathQuestion) -> Lookup {
        if question.is_visit {
            self.look_up(&question.path)
        } else {
            self.file(&question.path).map_or(Lookup::Nothing, Lookup::File)
        }
    }
}

/// Paths that record the questions that come up while one file is read.
pub(super) struct AskedPaths<'a> {
    paths: &'a Paths<'a>,
    /// The paths that were asked for as files, and those that were asked for as visits. `None` if they are not needed.
    kept: Option<RefCell<[HashSet<Arc<str>>; 2]>>,
}

impl<'a> AskedPaths<'a> {
    pub(super) fn new(paths: &'a Paths<'a>, keep: bool) -> Self {
        let kept = keep.then(RefCell::default);
        Self { paths, kept }
    }

    /// As [`Paths::file`].
    pub(super) fn file(&self, path: &str) -> Option<usize> {
        self.keep(path, false);
        self.paths.file(path)
    }

    /// As [`Paths::look_up`].
    pub(super) fn look_up(&self, path: &str) -> Lookup {
        self.keep(path, true);
        self.paths.look_up(path)
    }

    /// Returns the path of a file that was an answer, given its index.
    pub(super) fn path(&self, index: usize) -> &'a str {
        self.paths.path(index)
    }

    fn keep(&self, path: &str, is_visit: bool) {
        if let Some(kept) = &self.kept {
            let set = &mut kept.borrow_mut()[usize::from(is_visit)];
            // Most questions are repeated many times.
            if !set.contains(path) {
                set.insert(path.into());
            }
        }
    }

    /// Returns the recorded questions.
    pub(super) fn questions(self) -> Vec<PathQuestion> {
        let kept = self.kept.map(RefCell::into_inner).unwrap_or_default();
        let questions = kept.into_iter().zip([false, true]).flat_map(|(paths, is_visit)| {
            let paths = paths.into_iter();
            paths.map(move |path| PathQuestion { is_visit, path })
        });
        questions.collect()
    }
}

/// Returns a path as it is seen by a file system that ignores differences of case and of Unicode form.
fn folded(path: &str) -> String {
    let composed = icu_normalizer::ComposingNormalizerBorrowed::new_nfc().normalize(path);
    composed.to_lowercase()
}

//! Which file of the export a path of the site leads to. Pure.

use std::collections::HashMap;

use crate::model::asset::Asset;

/// The paths of an export, for looking up.
pub struct Paths<'a> {
    files: HashMap<&'a str, usize>,
    /// By the path in lower case, for links that a case-blind file system let pass.
    folded: HashMap<String, usize>,
    assets: &'a [Asset],
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// To this file, by its place among the assets.
    File(usize),
    /// To nothing, but there is this file, whose name differs in case alone.
    Otherwise(usize),
    /// To nothing.
    Nothing,
}

impl<'a> Paths<'a> {
    /// The paths of an export.
    #[must_use]
    pub fn new(assets: &'a [Asset]) -> Self {
        let paths = || {
            assets
                .iter()
                .enumerate()
                .map(|(index, asset)| (asset.path.as_str(), index))
        };
        Self {
            files: paths().collect(),
            folded: paths().map(|(path, index)| (path.to_lowercase(), index)).collect(),
            assets,
        }
    }

    /// The file of exactly this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<usize> {
        self.files.get(path).copied()
    }

    /// The page at a path, as the vhost finds it: `usage.html` or `usage/index.html`.
    #[must_use]
    pub fn page(&self, path: &str) -> Option<usize> {
        let path = path.trim_end_matches('/');
        candidates(path).into_iter().find_map(|path| self.file(&path))
    }

    /// The file that a visitor of a path gets.
    #[must_use]
    pub fn look_up(&self, path: &str) -> Found {
        if let Some(index) = self.file(path).or_else(|| self.page(path)) {
            return Found::File(index);
        }
        let folded = path.trim_end_matches('/').to_lowercase();
        let otherwise = std::iter::once(folded.clone())
            .chain(candidates(&folded))
            .find_map(|path| self.folded.get(&path).copied());
        otherwise.map_or(Found::Nothing, Found::Otherwise)
    }

    /// The path of a file.
    #[must_use]
    pub fn path(&self, index: usize) -> &'a str {
        self.assets.get(index).map_or("", |asset| asset.path.as_str())
    }
}

fn candidates(path: &str) -> Vec<String> {
    if path.is_empty() {
        vec!["index.html".to_owned()]
    } else {
        vec![format!("{path}.html"), format!("{path}/index.html")]
    }
}

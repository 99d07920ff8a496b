//! Builds the Merkle manifest of a site from its files, and compares two manifests.
//!
//! Pure. The manifest describes a release completely: two exports with the same root digest are the same site. The
//! manifest must never depend on when, where or from which folder it was made.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use crate::model::cache::Classes;
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Encodings, Recipe};
use crate::model::path::{MAX_DEPTH, SitePath};
use crate::model::redirect::{self, Redirect};
use crate::model::tree::{Entry, File, Tree};

/// A file as input of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its public path.
    pub path: SitePath,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The encodings that it gets.
    pub encodings: Encodings,
    /// Its media type.
    pub media_type: Cow<'static, str>,
}

/// A site: every folder with its tree, and the digest that names the complete site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The digest of the top folder's tree.
    pub root: Digest,
    /// Every folder by path, the top folder included.
    pub folders: BTreeMap<SitePath, Folder>,
    /// Number of public paths.
    pub files: u64,
    /// Bytes of all files, unencoded.
    pub bytes: u64,
    /// For each tree, the path of one folder that has it.
    by_digest: HashMap<Digest, SitePath>,
}

/// One folder of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The entries of the folder, shared with the plan that builds it.
    pub tree: Arc<Tree>,
    /// The digest of `tree`.
    pub digest: Digest,
}

impl Site {
    /// Builds the manifest of a site. The order of the files does not matter. Paths must be unique.
    #[must_use]
    pub fn new(files: impl IntoIterator<Item = Input>, classes: &Classes) -> Self {
        Self::with_redirects(files, &BTreeMap::new(), classes)
    }

    /// Builds the manifest of a site with redirects, by decoded address. Redirects don't count as files. An address
    /// that no release can have is left out; the caller has checked that there is none.
    #[must_use]
    pub fn with_redirects(
        files: impl IntoIterator<Item = Input>,
        redirects: &BTreeMap<String, Redirect>,
        classes: &Classes,
    ) -> Self {
        let mut trees: HashMap<SitePath, Tree> = HashMap::new();
        trees.insert(SitePath::root(), Tree::default());
        let (mut count, mut bytes) = (0, 0);
        for input in files {
            count += 1;
            bytes += input.size;
            let file = File {
                digest: input.digest,
                size: input.size,
                cache: classes.classify(input.path.as_str()),
                encodings: input.encodings,
                media_type: input.media_type,
            };
            insert(&mut trees, &input.path, Entry::File(file));
        }
        for (address, redirect) in redirects {
            if let Some(path) = redirect::path_of(address) {
                insert(&mut trees, &path, Entry::Redirect(redirect.clone()));
            }
        }
        let mut trees: BTreeMap<SitePath, Tree> = trees.into_iter().collect();
        drop_encodings_whose_names_are_taken(&mut trees);
        let folders = with_digests(trees);
        let root = folders
            .get(&SitePath::root())
            .map_or_else(|| Tree::default().digest(), |top: &Folder| top.digest);
        Self {
            root,
            by_digest: by_digest(&folders),
            folders,
            files: count,
            bytes,
        }
    }

    /// Builds the site that a root digest names from known trees. Folders whose trees are not known are left out, with
    /// everything below them; the [`Coverage`] reports that. Returns `None` if the site has more than `most` folders,
    /// or more files than any real site.
    #[must_use]
    pub fn of_trees<'t>(
        root: Digest,
        most: usize,
        known: &dyn Fn(Digest) -> Option<&'t Tree>,
    ) -> Option<(Self, Coverage)> {
        let mut folders = BTreeMap::new();
        let mut shared: HashMap<Digest, Arc<Tree>> = HashMap::new();
        let mut todo = vec![(SitePath::root(), root)];
        let (mut count, mut bytes, mut extent) = (0, 0_u64, Coverage::Whole);
        while let Some((path, digest)) = todo.pop() {
            if let (false, Some(tree)) = (shared.contains_key(&digest), known(digest)) {
                shared.insert(digest, Arc::new(tree.clone()));
            }
            let Some(tree) = shared.get(&digest).cloned() else {
                extent = Coverage::Part;
                continue;
            };
            for (_, file) in tree.files() {
                count += 1;
                bytes = bytes.saturating_add(file.size);
            }
            todo.extend(tree.folders().map(|(name, child)| (path.child(name), child)));
            folders.insert(path, Folder { tree, digest });
            if folders.len() + todo.len() > most || count > MOST_FILES as u64 {
                return None;
            }
        }
        let site = Self {
            root,
            by_digest: by_digest(&folders),
            folders,
            files: count,
            bytes,
        };
        Some((site, extent))
    }

    /// The tree with this digest, if a folder of the site has it.
    #[must_use]
    pub fn tree(&self, digest: Digest) -> Option<&Tree> {
        self.by_digest
            .get(&digest)
            .and_then(|path| self.folders.get(path))
            .map(|folder| &*folder.tree)
    }

    /// The file at a public path.
    #[must_use]
    pub fn file(&self, path: &SitePath) -> Option<&File> {
        self.entry(path)?.file()
    }

    /// The redirect at a path of the release.
    #[must_use]
    pub fn redirect(&self, path: &SitePath) -> Option<&Redirect> {
        self.entry(path)?.redirect()
    }

    fn entry(&self, path: &SitePath) -> Option<&Entry> {
        self.folders.get(&path.parent()?)?.tree.entries.get(path.name())
    }

    /// Every redirect with the address that it is for.
    pub fn redirects(&self) -> impl Iterator<Item = (String, &Redirect)> {
        self.folders.iter().flat_map(|(path, folder)| {
            let redirects = folder.tree.redirects();
            redirects.filter_map(|(name, redirect)| Some((redirect::address_of(path.child(name).as_str())?, redirect)))
        })
    }

    /// Every file with its public path.
    pub fn all_files(&self) -> impl Iterator<Item = (SitePath, &File)> {
        self.folders
            .iter()
            .flat_map(|(path, folder)| folder.tree.files().map(|(name, file)| (path.child(name), file)))
    }
}

/// Whether all trees of a site are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All trees are known.
    Whole,
    /// Some trees are not known.
    Part,
}

/// Computes the digest of each folder and adds it to the parent folder, from the deepest level up. The folders of a
/// level are processed on all cores.
fn with_digests(trees: BTreeMap<SitePath, Tree>) -> BTreeMap<SitePath, Folder> {
    let mut levels: Vec<Vec<(SitePath, Tree)>> = Vec::new();
    for (path, tree) in trees {
        let names = path.as_str().split('/').count();
        let depth = if path.is_root() { 0 } else { names };
        if levels.len() <= depth {
            levels.resize_with(depth + 1, Vec::new);
        }
        levels[depth].push((path, tree));
    }
    let mut folders = BTreeMap::new();
    let mut below: HashMap<SitePath, Vec<(Box<str>, Entry)>> = HashMap::new();
    for level in levels.into_iter().rev() {
        let level = level.into_iter().map(|(path, tree)| {
            let named = below.remove(&path).unwrap_or_default();
            (path, tree, named)
        });
        let level: Vec<_> = level.collect();
        let done = level.into_par_iter().map(|(path, mut tree, named)| {
            if !named.is_empty() {
                tree.entries.extend(named);
            }
            tree.entries.shrink();
            let digest = tree.digest();
            let tree = Arc::new(tree);
            (path, Folder { tree, digest })
        });
        for (path, folder) in done.collect::<Vec<_>>() {
            if let Some(parent) = path.parent() {
                let named = (path.name().into(), Entry::Folder(folder.digest));
                below.entry(parent).or_default().push(named);
            }
            folders.insert(path, folder);
        }
    }
    folders
}

fn by_digest(folders: &BTreeMap<SitePath, Folder>) -> HashMap<Digest, SitePath> {
    let folders = folders.iter();
    folders.map(|(path, folder)| (folder.digest, path.clone())).collect()
}

fn insert(trees: &mut HashMap<SitePath, Tree>, path: &SitePath, entry: Entry) {
    let (folder, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
    if let Some(tree) = trees.get_mut(folder) {
        tree.entries.insert(name.into(), entry);
        return;
    }
    let mut tree = Tree::default();
    tree.entries.insert(name.into(), entry);
    let folder = path.parent().unwrap_or_default();
    // Create the parent folders, too: a folder may contain nothing but folders.
    let mut above = folder.parent();
    trees.insert(folder, tree);
    while let Some(path) = above.filter(|path| !trees.contains_key(path)) {
        above = path.parent();
        trees.insert(path, Tree::default());
    }
}

/// Drops encodings whose names the export uses. An encoding is stored next to its file as `name.br`; if the export
/// contains something with that name, the file does without the encoding.
fn drop_encodings_whose_names_are_taken(trees: &mut BTreeMap<SitePath, Tree>) {
    let encoded = |name: &str| {
        Coding::ALL
            .into_iter()
            .find_map(|coding| Some((coding.original(name)?.to_owned(), coding)))
    };
    let mut taken: Vec<(SitePath, String, Coding)> = Vec::new();
    for (path, tree) in trees.iter() {
        let of_folder = encoded(path.name()).zip(path.parent());
        taken.extend(of_folder.map(|((name, coding), parent)| (parent, name, coding)));
        let of_files = tree.files().filter_map(|(name, _)| encoded(name));
        taken.extend(of_files.map(|(name, coding)| (path.clone(), name, coding)));
    }
    for (folder, name, coding) in taken {
        if let Some(Entry::File(file)) = trees.get_mut(&folder).and_then(|tree| tree.entries.get_mut(&name)) {
            file.encodings.set(coding, None);
        }
    }
}

/// Limit on the number of folders, above that of any real site. A few trees can refer to each other so that they
/// describe a practically endless site.
pub const MOST_FOLDERS: usize = 1_000_000;
/// Like [`MOST_FOLDERS`], for files.
pub const MOST_FILES: usize = 4_000_000;

/// How a public path changed between two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the later release has it.
    Added,
    /// Both releases have it, with different content.
    Changed,
    /// Only the earlier release has it.
    Removed,
}

impl ChangeKind {
    /// How a value changed; `None` if it did not.
    fn of<T: PartialEq>(before: Option<T>, after: Option<T>) -> Option<Self> {
        match (before, after) {
            (before, after) if before == after => None,
            (None, _) => Some(Self::Added),
            (Some(_), None) => Some(Self::Removed),
            (Some(_), Some(_)) => Some(Self::Changed),
        }
    }
}

/// One public path that changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The public path.
    pub path: SitePath,
    /// How it changed.
    pub change: ChangeKind,
    /// Unencoded length in bytes: of the file in the later release, or in the earlier one if the file was removed.
    pub bytes: u64,
    /// Encodings that either release's export included, which are public under their own names.
    #[serde(skip)]
    pub brought: Vec<Coding>,
}

impl Change {
    /// The path itself, and the paths of the encodings that the export included.
    pub fn public_paths(&self) -> impl Iterator<Item = SitePath> {
        let brought = self.brought.iter();
        let beside = brought.filter_map(|coding| SitePath::new(&coding.beside(self.path.as_str())).ok());
        std::iter::once(self.path.clone()).chain(beside)
    }
}

/// A redirect that changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RedirectChange {
    /// The moved address.
    pub address: String,
    /// How it changed.
    pub change: ChangeKind,
    /// The redirect that the earlier release has.
    #[serde(skip)]
    pub former: Option<Redirect>,
}

/// The differences between two releases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The changes, sorted by path.
    pub list: Vec<Change>,
    /// The redirects that changed, sorted by address.
    pub redirects: Vec<RedirectChange>,
}

impl Changes {
    /// Every path whose public answer changed: files, encodings that the export included, and entries of redirects.
    pub fn public_paths(&self) -> impl Iterator<Item = SitePath> {
        let files = self.list.iter().flat_map(Change::public_paths);
        let moved = self.redirects.iter();
        files.chain(moved.filter_map(|moved| redirect::path_of(&moved.address)))
    }

    /// The number of paths that changed in this way.
    #[must_use]
    pub fn count(&self, kind: ChangeKind) -> u64 {
        self.list.iter().filter(|change| change.change == kind).count() as u64
    }
}

/// Compares two trees and everything below them, and descends only if digests differ. `None` is the empty site.
///
/// # Errors
/// The digests of trees that the caller must provide first. The set is empty if the trees have more folders or names
/// than any real site.
pub fn diff<'a>(
    from: Option<Digest>,
    to: Option<Digest>,
    known: &dyn Fn(Digest) -> Option<&'a Tree>,
) -> Result<Changes, BTreeSet<Digest>> {
    let empty = Tree::default();
    let mut comparison = Comparison {
        known,
        empty: &empty,
        changes: Changes::default(),
        unknown: BTreeSet::new(),
        folders: 0,
        names: 0,
    };
    comparison.folder(&SitePath::root(), from, to, 0);
    if comparison.is_endless() {
        return Err(BTreeSet::new());
    }
    if comparison.unknown.is_empty() {
        comparison.changes.list.sort_by(|a, b| a.path.cmp(&b.path));
        comparison.changes.redirects.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(comparison.changes)
    } else {
        Err(comparison.unknown)
    }
}

struct Comparison<'a, 'k> {
    known: &'k dyn Fn(Digest) -> Option<&'a Tree>,
    empty: &'k Tree,
    changes: Changes,
    unknown: BTreeSet<Digest>,
    folders: usize,
    names: usize,
}

impl<'a: 'k, 'k> Comparison<'a, 'k> {
    /// Whether the comparison has seen more folders or names than two real sites have.
    fn is_endless(&self) -> bool {
        self.folders > MOST_FOLDERS || self.names > 2 * (MOST_FILES + MOST_FOLDERS)
    }

    fn tree(&mut self, digest: Option<Digest>) -> Option<&'k Tree> {
        let Some(digest) = digest else { return Some(self.empty) };
        let tree = (self.known)(digest);
        if tree.is_none() {
            self.unknown.insert(digest);
        }
        tree
    }

    fn redirect(&mut self, path: &SitePath, from: Option<&Redirect>, to: Option<&Redirect>) {
        if let Some(change) = ChangeKind::of(from, to)
            && let Some(address) = redirect::address_of(path.as_str())
        {
            let former = from.cloned();
            self.changes.redirects.push(RedirectChange {
                address,
                change,
                former,
            });
        }
    }

    fn folder(&mut self, path: &SitePath, from: Option<Digest>, to: Option<Digest>, depth: usize) {
        // Deeper folders can be neither published nor served, so only another program can have created them.
        if from == to || depth > MAX_DEPTH || self.is_endless() {
            return;
        }
        self.folders += 1;
        let (from, to) = (self.tree(from), self.tree(to));
        let (Some(from), Some(to)) = (from, to) else { return };
        // Both releases count: each may have as many names as a site has.
        self.names += from.entries.len() + to.entries.len();
        let names: BTreeSet<&str> = from
            .entries
            .keys()
            .chain(to.entries.keys())
            .map(|name| &**name)
            .collect();
        for name in names {
            let (old, new) = (from.entries.get(name), to.entries.get(name));
            if old == new {
                continue;
            }
            let at = path.child(name);
            let folder = |entry: Option<&Entry>| entry.and_then(Entry::folder);
            self.folder(&at, folder(old), folder(new), depth + 1);
            self.redirect(&at, old.and_then(Entry::redirect), new.and_then(Entry::redirect));
            let (old, new) = (old.and_then(Entry::file), new.and_then(Entry::file));
            let digest = |file: &File| file.digest;
            let Some(change) = ChangeKind::of(old.map(digest), new.map(digest)) else {
                continue;
            };
            self.changes.list.push(Change {
                path: at,
                change,
                bytes: new.or(old).map_or(0, |file| file.size),
                brought: brought(&old.into_iter().chain(new)),
            });
        }
    }
}

/// The codings for which the export included the encoded bytes of at least one of these files.
fn brought<'a>(files: &(impl Iterator<Item = &'a File> + Clone)) -> Vec<Coding> {
    let is_brought = |coding: &Coding| {
        let mut recipes = files.clone().filter_map(|file| file.encodings.get(*coding));
        recipes.any(|recipe| matches!(recipe, Recipe::Given { .. }))
    };
    Coding::ALL.into_iter().filter(is_brought).collect()
}

/// Whether a path counts as a page.
#[must_use]
pub fn is_page(path: &SitePath) -> bool {
    path.name().ends_with(".html")
}

#[cfg(test)]
mod tests;

//! Decides what the host lacks for a site to be live: first the questions to ask, then the plan as a value.
//!
//! Pure. [`questions`] asks as much as can be asked together, so that the number of round trips depends on how deep a
//! change is and never on how large the site is. [`Plan::new`] then says what to make, in which order. A plan is shown
//! or carried out; it must never ask again.

mod expected;
mod shared;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use self::expected::{Recall, expected_content, expected_questions};
pub use self::shared::SharedRun;

use crate::host::Attr;
use crate::model::cache::{CacheClass, pooled};
use crate::model::digest::Digest;
use crate::model::encoding::Encodings;
use crate::model::entries::Entries;
use crate::model::layout;
use crate::model::manifest::{self, Changes, Folder, Site};
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::tree::{Entry, File, Tree};
use crate::site::check::known::{Findings, Reference};
use crate::store::content::Content;

/// How many folders, from the top down, are asked for together before it is known whether anything above them changed.
pub const GUESSED_FOLDERS: usize = 192;

/// If the changed folders whose previous manifests are not known have more files than this, the plan waits for these
/// manifests instead of asking for each file, some 40 bytes on the line for each of its objects.
const GUESSED_FILES: usize = 256;

/// If at least this many entries of a folder are unchanged, their part of the manifest is copied on the host.
const WIDE: usize = 16;

/// A question to the host. Each takes one round trip unless noted otherwise, and any number go in one flight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostQuestion {
    /// Which tree does the live release have at this path?
    Live(SitePath),
    /// Does this tree exist? If it does, it is complete with everything below it.
    Tree(Digest),
    /// What does the manifest of this tree say? (Two round trips: the file is opened, then read.)
    Manifest(Digest),
    /// Is there an object of this name, and what are its size and time?
    Object(String),
    /// Does the pool have this public path, and what are its size and time?
    Pool(String),
    /// What is the digest of the pool's file under this public path? (The complete file is read.)
    PoolBytes(String),
    /// What does a piece of a release's findings say?
    Findings(ReleaseId, u8),
}

/// Distinguishes one file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectStamp {
    /// In bytes.
    pub size: u64,
    /// When its content changed, by the host's clock.
    pub mtime: i64,
}

/// The answers of a host. A missing entry is a question that was not asked.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// The live release.
    pub current: Option<ReleaseId>,
    /// Trees of the live release by path; `None` if it has no such folder.
    pub live: HashMap<SitePath, Option<Digest>>,
    /// Which trees exist.
    pub trees: HashMap<Digest, bool>,
    /// Manifests; `None` for one that is missing or damaged.
    pub manifests: HashMap<Digest, Option<Tree>>,
    /// Objects by name below the docroot.
    pub objects: HashMap<String, Option<ObjectStamp>>,
    /// Files of the pool by public path.
    pub pool: HashMap<String, Option<ObjectStamp>>,
    /// Digests of the pool files that were read, by public path; `None` for one that can't be read.
    pub pool_bytes: HashMap<String, Option<Digest>>,
    /// Attributes of objects and of their folders, by path.
    pub owners: Vec<(String, Attr)>,
    /// Objects that exist but must be replaced: damaged, or with as many hard links as the file system allows.
    pub unlinkable: HashSet<String>,
    /// Pieces of the findings of releases; `None` for one that doesn't exist.
    pub findings: HashMap<(ReleaseId, u8), Option<String>>,
}

impl HostFacts {
    /// The manifest of a tree; `None` if it is not known, missing or damaged.
    pub fn manifest(&self, digest: Digest) -> Option<&Tree> {
        self.manifests.get(&digest)?.as_ref()
    }

    /// The manifest of a tree: `None` if it was not asked for; empty if it is missing or damaged.
    fn manifest_or_nothing(&self, digest: Digest) -> Option<&Tree> {
        self.manifests
            .get(&digest)
            .map(|tree| tree.as_ref().unwrap_or(&NOTHING))
    }

    /// The findings of the live release, with which those of a site are compared.
    pub fn live_findings(&self) -> Reference {
        let Some(release) = &self.current else {
            return Reference::Nothing;
        };
        let piece = |piece| self.findings.get(&(release.clone(), piece)).cloned().flatten();
        let text: String = (0..layout::FINDINGS_PIECES).map_while(piece).collect();
        Reference::Release(Findings::read(&text))
    }
}

/// Returns the open questions about the findings of the live release, if that is known.
pub fn findings_questions(facts: &HostFacts) -> BTreeSet<HostQuestion> {
    let Some(release) = &facts.current else {
        return BTreeSet::new();
    };
    let pieces = (0..layout::FINDINGS_PIECES).map(|piece| (release.clone(), piece));
    let unknown = pieces.filter(|piece| !facts.findings.contains_key(piece));
    unknown
        .map(|(release, piece)| HostQuestion::Findings(release, piece))
        .collect()
}

/// A folder that differs from the live one at the same path.
struct ChangedFolder<'a> {
    path: &'a SitePath,
    folder: &'a Folder,
    /// The live tree at this path, if there is one.
    former: Option<Digest>,
}

/// Walks from the top to every folder known to differ. Questions that must be answered to know more are added to
/// `asked`.
fn changed_folders<'a>(
    site: &'a Site,
    facts: &HostFacts,
    asked: &mut BTreeSet<HostQuestion>,
) -> Vec<ChangedFolder<'a>> {
    let mut changed = Vec::new();
    let mut todo = vec![SitePath::root()];
    while let Some(path) = todo.pop() {
        let Some((path, folder)) = site.folders.get_key_value(&path) else {
            continue;
        };
        let Some(former) = live_tree(path, facts) else {
            asked.insert(HostQuestion::Live(path.clone()));
            continue;
        };
        if former == Some(folder.digest) {
            continue;
        }
        changed.push(ChangedFolder { path, folder, former });
        todo.extend(folder.tree.folders().map(|(name, _)| path.child(name)));
    }
    changed
}

/// The live tree at a path: `None` if that isn't known yet, `Some(None)` if there's no such folder.
fn live_tree(path: &SitePath, facts: &HostFacts) -> Option<Option<Digest>> {
    if facts.current.is_none() {
        return Some(None);
    }
    if let Some(known) = facts.live.get(path) {
        return Some(*known);
    }
    let above = live_tree(&path.parent()?, facts)?;
    let Some(above) = above else { return Some(None) };
    // If its manifest is damaged, the folder itself must be asked for.
    let tree = facts.manifest(above)?;
    Some(tree.entries.get(path.name()).and_then(Entry::folder))
}

/// Replaces a manifest that is missing, and that of a folder that the live release doesn't have.
static NOTHING: Tree = Tree {
    entries: Entries::new(),
};

/// The live manifest of a changed folder: `None` if it isn't known yet; empty if there is none or it is damaged.
fn former_tree<'a>(changed: &ChangedFolder<'_>, facts: &'a HostFacts) -> Option<&'a Tree> {
    match changed.former {
        None => Some(&NOTHING),
        Some(digest) => facts.manifest_or_nothing(digest),
    }
}

/// The live manifest of a changed folder whose files can be linked: `None` if it isn't known yet; empty if the folder
/// itself is missing, or contains what can't be linked any more.
fn linkable_tree<'a>(changed: &ChangedFolder<'_>, facts: &'a HostFacts) -> Option<&'a Tree> {
    let gone = changed.former.is_some_and(|digest| {
        facts.trees.get(&digest) == Some(&false) || facts.unlinkable.contains(&layout::tree(digest))
    });
    if gone {
        Some(&NOTHING)
    } else {
        former_tree(changed, facts)
    }
}

/// Returns everything worth asking now that hasn't been asked. Empty if the plan can be made.
pub fn questions(site: &Site, facts: &HostFacts) -> BTreeSet<HostQuestion> {
    let mut asked = BTreeSet::new();
    if facts.current.is_some() && facts.live.is_empty() {
        return opening_questions(site);
    }
    let changed = changed_folders(site, facts, &mut asked);
    keep_guesses_few(&mut asked, &changed, facts);
    let unknown = changed.iter().filter(|folder| former_tree(folder, facts).is_none());
    let few = unknown.map(|folder| folder.folder.tree.files().count()).sum::<usize>() <= GUESSED_FILES;
    for folder in &changed {
        let former = former_tree(folder, facts);
        if let (None, Some(digest)) = (former, folder.former) {
            asked.insert(HostQuestion::Manifest(digest));
            asked.insert(HostQuestion::Tree(digest));
        }
        if !facts.trees.contains_key(&folder.folder.digest) {
            asked.insert(HostQuestion::Tree(folder.folder.digest));
        }
        if facts.trees.get(&folder.folder.digest) != Some(&true) {
            let linkable = linkable_tree(folder, facts);
            for (name, file) in folder.folder.tree.files() {
                let differs = linkable.map(|tree| !same_file(tree, name, file));
                if differs.unwrap_or(few) {
                    asked.extend(object_questions(file, facts));
                }
            }
        }
        for (name, file) in folder.folder.tree.files() {
            let path = folder.path.child(name);
            let new = former.map_or(few, |tree| !same_file(tree, name, file));
            if !new || !pooled(path.as_str(), file.cache) {
                continue;
            }
            if facts.pool.contains_key(path.as_str()) {
                if is_doubtful(path.as_str(), file, facts) && !facts.pool_bytes.contains_key(path.as_str()) {
                    asked.insert(HostQuestion::PoolBytes(path.as_str().to_owned()));
                }
            } else {
                asked.insert(HostQuestion::Pool(path.as_str().to_owned()));
                // A tree that exists may have been made for another path, so the pool's file is linked from the
                // objects.
                asked.extend(object_questions(file, facts));
            }
        }
    }
    // Removed files are counted with the manifests of the previous trees.
    if asked.iter().all(|question| !matches!(question, HostQuestion::Live(_)))
        && let Some(former) = live_tree(&SitePath::root(), facts)
        && let Err(unknown) = changes(site, former, facts)
    {
        asked.extend(unknown.into_iter().map(HostQuestion::Manifest));
    }
    asked
}

/// Returns the questions to ask before anything is known: which trees the live release has near its top.
pub fn opening_questions(site: &Site) -> BTreeSet<HostQuestion> {
    let mut paths: Vec<&SitePath> = site.folders.keys().collect();
    // The sort is stable, so the top folder stays first.
    paths.sort_by_key(|path| path.as_str().matches('/').count());
    paths.truncate(GUESSED_FOLDERS);
    paths.into_iter().cloned().map(HostQuestion::Live).collect()
}

/// Returns trees of the live release whose manifests will be worth copying from, as far as that is known: at most
/// `most`, and none if it isn't known yet what is live.
pub fn bases(site: &Site, facts: &HostFacts, most: usize) -> Vec<Digest> {
    let changed = changed_folders(site, facts, &mut BTreeSet::new());
    let wide = changed.iter().filter_map(|folder| {
        let tree = former_tree(folder, facts)?;
        let least = tree.entries.len().min(folder.folder.tree.entries.len());
        folder.former.filter(|_| least >= WIDE)
    });
    let wide: BTreeSet<Digest> = wide.take(most).collect();
    wide.into_iter().collect()
}

/// Drops the questions about the children of a wide folder whose manifest will be read. It lists them all, and asking
/// for each would cost more.
fn keep_guesses_few(asked: &mut BTreeSet<HostQuestion>, changed: &[ChangedFolder<'_>], facts: &HostFacts) {
    let manifest_is_coming: HashSet<&SitePath> = changed
        .iter()
        .filter(|folder| {
            folder
                .former
                .is_some_and(|digest| !facts.manifests.contains_key(&digest))
        })
        .filter(|folder| folder.folder.tree.folders().count() > GUESSED_FOLDERS)
        .map(|folder| folder.path)
        .collect();
    asked.retain(|question| match question {
        HostQuestion::Live(path) => !path.parent().is_some_and(|parent| manifest_is_coming.contains(&parent)),
        _ => true,
    });
}

fn same_file(tree: &Tree, name: &str, file: &File) -> bool {
    matches!(tree.entries.get(name), Some(Entry::File(former)) if former == file)
}

/// Whether the pool has a file of an immutable path that may or may not be this one: it has the same size, and is not
/// known to be the object itself. The pool's files are hard links of objects, so they have the same times, and no two
/// releases assign the same time.
fn is_doubtful(path: &str, file: &File, facts: &HostFacts) -> bool {
    let Some(pooled) = facts.pool.get(path).copied().flatten() else {
        return false;
    };
    let object = facts.objects.get(&layout::object(file.digest)).copied().flatten();
    file.cache == CacheClass::Immutable && pooled.size == file.size && object != Some(pooled)
}

/// Whether the live release has a file of this name with other encodings.
fn has_other_encodings(former: &Tree, name: &str, file: &File) -> bool {
    matches!(former.entries.get(name), Some(Entry::File(former)) if former.encodings != file.encodings)
}

/// The questions about a file's objects that were not asked.
fn object_questions(file: &File, facts: &HostFacts) -> impl Iterator<Item = HostQuestion> {
    let names = Content::of_file(file).map(|content| content.object());
    names
        .filter(|name| !facts.objects.contains_key(name))
        .map(HostQuestion::Object)
}

/// Returns what a publish would change for visitors.
fn changes(site: &Site, former: Option<Digest>, facts: &HostFacts) -> Result<Changes, BTreeSet<Digest>> {
    let known = |digest| site.tree(digest).or_else(|| facts.manifest_or_nothing(digest));
    manifest::diff(former, Some(site.root), &known)
}

/// Like [`changes`], and also returns whether all manifests of the previous tree that this takes could be read. It is
/// unknown which files a damaged one listed.
fn changes_and_whether_known(site: &Site, former: Option<Digest>, facts: &HostFacts) -> (Changes, bool) {
    let known = |digest| site.tree(digest).or_else(|| facts.manifest(digest));
    match manifest::diff(former, Some(site.root), &known) {
        Ok(changes) => (changes, true),
        Err(_) => (changes(site, former, facts).unwrap_or_default(), false),
    }
}

/// All files of a site as changes, for when nothing was live before.
pub(crate) fn all_as_changes(site: &Site) -> Changes {
    changes(site, None, &HostFacts::default()).unwrap_or_default()
}

/// Returns the files that were at the paths that change; `None` for a path that had none.
pub fn former_files(changes: &Changes, facts: &HostFacts) -> HashMap<SitePath, Option<File>> {
    let former = |path: &SitePath| {
        let folder = live_tree(&path.parent()?, facts)??;
        facts.manifest(folder)?.entries.get(path.name())?.file().cloned()
    };
    let changed = changes.list.iter().map(|change| &change.path);
    changed.map(|path| (path.clone(), former(path))).collect()
}

/// One folder level that must be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTree {
    /// Its digest.
    pub digest: Digest,
    /// What it contains.
    pub tree: Arc<Tree>,
    /// The live tree that has the entries in `unchanged`, to link them from by name.
    pub former: Option<Digest>,
    /// Names whose entries are the same in the previous tree.
    pub unchanged: BTreeSet<Box<str>>,
    /// What the manifest shares with that of the previous tree, if it is worth copying.
    pub shared: Vec<SharedRun>,
}

/// A file whose content, or an encoding of it, must be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Digest of its content, unencoded.
    pub digest: Digest,
    /// In bytes, unencoded.
    pub size: u64,
    /// A path of the export that has this content.
    pub path: SitePath,
    /// Whether the unencoded content must be sent.
    pub identity: bool,
    /// Which encodings must be made and sent.
    pub encodings: Encodings,
}

impl Wanted {
    /// A file of which nothing must be sent yet.
    pub fn nothing_of(file: &File, path: SitePath) -> Self {
        Self {
            digest: file.digest,
            size: file.size,
            path,
            identity: false,
            encodings: Encodings::default(),
        }
    }

    /// Adds content of the file that must be sent.
    pub fn add(&mut self, content: Content) {
        match content.encoded {
            Some((coding, recipe)) => self.encodings.set(coding, Some(recipe)),
            None => self.identity = true,
        }
    }

    /// The content that must be sent.
    pub fn contents(&self) -> impl Iterator<Item = Content> + use<> {
        let (digest, size) = (self.digest, self.size);
        let identity = self.identity.then_some(None);
        let encoded = identity.into_iter().chain(self.encodings.iter().map(Some));
        encoded.map(move |encoded| Content { digest, size, encoded })
    }
}

/// A public path to add to the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolFile {
    /// The public path.
    pub path: SitePath,
    /// The file.
    pub file: File,
    /// Whether the pool has a file under this path, which this one replaces.
    pub replaces: bool,
}

/// Everything that makes a site live, in the order in which it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The release that is live now.
    pub previous: Option<ReleaseId>,
    /// The digest of the site.
    pub root: Digest,
    /// Whether this site is already live.
    pub live_already: bool,
    /// What changes for visitors.
    pub changes: Changes,
    /// Whether [`Self::changes`] is complete. It is not if manifests of the live release could not be read.
    pub changes_known: bool,
    /// Files to send.
    pub wanted: Vec<Wanted>,
    /// Objects that the host has, so that they need not be sent.
    pub present: HashSet<String>,
    /// Objects that exist and must be replaced, and trees from which nothing may be linked.
    pub unlinkable: HashSet<String>,
    /// Folder levels to build, children before parents.
    pub trees: Vec<NewTree>,
    /// The folders that spell the answers of new redirects.
    pub answers: BTreeSet<String>,
    /// Trees that exist and that the new ones rely on.
    pub relied_trees: BTreeSet<Digest>,
    /// Additions to the pool.
    pub pool: Vec<PoolFile>,
    /// Paths of the pool that exist and are relied on.
    pub relied_pool: BTreeSet<String>,
    /// Immutable paths under which visitors have been served different content, which they may keep for a year.
    pub conflicts: Vec<SitePath>,
}

/// Wanted files by digest. A file with encodings that the export has next to one path is kept apart, by that path.
type WantedFiles = BTreeMap<(Digest, Option<SitePath>), Wanted>;

impl Plan {
    /// Makes the plan from a site and all answers of the host.
    ///
    /// # Errors
    /// Returns the questions that are still open.
    pub fn new(site: &Site, facts: &HostFacts) -> Result<Self, BTreeSet<HostQuestion>> {
        let open = questions(site, facts);
        if !open.is_empty() {
            return Err(open);
        }
        let changed = changed_folders(site, facts, &mut BTreeSet::new());
        let former_root = live_tree(&SitePath::root(), facts).flatten();
        let (changes, changes_known) = changes_and_whether_known(site, former_root, facts);
        let mut plan = Self {
            previous: facts.current.clone(),
            root: site.root,
            live_already: former_root == Some(site.root),
            changes,
            // A live release that leads to no tree is not the same as no live release.
            changes_known: changes_known && (former_root.is_some() || facts.current.is_none()),
            wanted: Vec::new(),
            present: HashSet::new(),
            unlinkable: facts.unlinkable.clone(),
            trees: Vec::new(),
            answers: BTreeSet::new(),
            relied_trees: BTreeSet::new(),
            pool: Vec::new(),
            relied_pool: BTreeSet::new(),
            conflicts: Vec::new(),
        };
        let mut wanted = BTreeMap::new();
        let mut built = HashSet::new();
        // Deeper folders sort after the folders that contain them, so in reverse order children come before their
        // parents.
        let mut changed = changed;
        changed.sort_by(|a, b| b.path.cmp(a.path));
        for folder in &changed {
            let former = former_tree(folder, facts).unwrap_or(&NOTHING);
            plan.add_to_pool(folder, former, facts, &mut wanted);
            if facts.trees.get(&folder.folder.digest) == Some(&true) {
                plan.relied_trees.insert(folder.folder.digest);
            } else if built.insert(folder.folder.digest) {
                let linkable = linkable_tree(folder, facts).unwrap_or(&NOTHING);
                plan.build_tree(folder, linkable, facts, &mut wanted);
            }
        }
        plan.relied_trees.retain(|digest| !built.contains(digest));
        plan.wanted = wanted.into_values().collect();
        Ok(plan)
    }

    /// Leaves the pool as it is. Visitors of the live site are never given content of a channel.
    pub fn leave_pool(&mut self) {
        self.pool.clear();
        self.relied_pool.clear();
    }

    fn build_tree(&mut self, changed: &ChangedFolder<'_>, former: &Tree, facts: &HostFacts, wanted: &mut WantedFiles) {
        let tree = &changed.folder.tree;
        let mut unchanged = BTreeSet::new();
        for (name, entry) in &tree.entries {
            if former.entries.get(name) == Some(entry) && changed.former.is_some() {
                unchanged.insert(name.clone());
                continue;
            }
            match entry {
                Entry::File(file) => self.want(file, changed.path.child(name), facts, wanted),
                Entry::Redirect(redirect) => {
                    self.answers.insert(layout::moved(redirect));
                }
                Entry::Folder(_) => {}
            }
        }
        if !unchanged.is_empty() {
            self.relied_trees.extend(changed.former);
        }
        let shared = if unchanged.len() >= WIDE {
            shared::runs(&former.render(), &tree.render())
        } else {
            Vec::new()
        };
        self.trees.push(NewTree {
            digest: changed.folder.digest,
            tree: Arc::clone(tree),
            former: changed.former,
            unchanged,
            shared,
        });
    }

    fn add_to_pool(&mut self, changed: &ChangedFolder<'_>, former: &Tree, facts: &HostFacts, wanted: &mut WantedFiles) {
        for (name, file) in changed.folder.tree.files() {
            let path = changed.path.child(name);
            if !pooled(path.as_str(), file.cache) || same_file(former, name, file) {
                continue;
            }
            // The pool has the file of the last release that had this path. If that is the live one, and it has
            // different content there, the pool's file differs, too, whatever its size.
            let pooled = facts.pool.get(path.as_str()).copied().flatten();
            let was_other =
                matches!(former.entries.get(name), Some(Entry::File(former)) if former.digest != file.digest);
            let is_this = match facts.pool_bytes.get(path.as_str()) {
                Some(read) => *read == Some(file.digest),
                None => pooled.is_some_and(|pooled| pooled.size == file.size),
            };
            if file.cache == CacheClass::Immutable && (was_other || (pooled.is_some() && !is_this)) {
                self.conflicts.push(path.clone());
            }
            if is_this && !was_other && !has_other_encodings(former, name, file) {
                self.relied_pool.insert(path.as_str().to_owned());
            } else {
                self.want(file, path.clone(), facts, wanted);
                self.pool.push(PoolFile {
                    path,
                    file: file.clone(),
                    replaces: pooled.is_some(),
                });
            }
        }
    }

    /// Notes what must be sent of a file. An object with another size than the file does not have the file's content.
    fn want(&mut self, file: &File, path: SitePath, facts: &HostFacts, wanted: &mut WantedFiles) {
        let lacking: Vec<Content> = Content::of_file(file)
            .filter(|content| !self.has_object(content, facts))
            .collect();
        if lacking.is_empty() {
            return;
        }
        // Encodings that the export brought are next to this very path. Those that this tool makes can be made from any
        // copy.
        let at = lacking.iter().any(Content::is_given).then(|| path.clone());
        let same_file = wanted.range((file.digest, None)..);
        let mut same_file = same_file.take_while(|((digest, _), _)| *digest == file.digest);
        let is_sent = same_file.any(|(_, wanted)| wanted.identity);
        let entry = wanted.entry((file.digest, at));
        let entry = entry.or_insert_with(|| Wanted::nothing_of(file, path));
        for content in lacking {
            if content.encoded.is_some() || !is_sent {
                entry.add(content);
            }
        }
    }

    /// Whether the host has an object that new trees can link. Notes one that must be replaced.
    fn has_object(&mut self, content: &Content, facts: &HostFacts) -> bool {
        let name = content.object();
        let found = facts.objects.get(&name).copied().flatten().map(|stamp| stamp.size);
        if content.encoded.is_none() && found.is_some_and(|found| found != content.size) {
            self.unlinkable.insert(name.clone());
        }
        let usable = found.is_some() && !self.unlinkable.contains(&name);
        if usable {
            self.present.insert(name);
        }
        usable
    }

    /// Names of the objects that `wanted` stands for. An encoding that turns out not to be worth it is not made.
    pub fn wanted_names(&self) -> impl Iterator<Item = String> {
        let contents = self.wanted.iter().flat_map(Wanted::contents);
        contents.map(|content| content.object())
    }
}

#[cfg(test)]
mod tests;

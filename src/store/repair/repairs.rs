//! Turns faults into what must be made and where it goes.
//!
//! Pure, except for the names that it takes in the staging directory. A fault of something that the site does not have
//! must be left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::path_of;
use crate::host::{Kind, Op};
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Encodings, Recipe};
use crate::model::layout;
use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::tree::{Entry, Tree};
use crate::store::plan::Wanted;
use crate::store::staging::StagingDir;
use crate::store::sync::StagedObjects;
use crate::store::verify::{Content, CopyPlace, LinkFlaw, StoreFault, StoreFlaw, Verified};

/// Everything that can be repaired of what was found.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// Files: where, what content, and whether a folder is in that place.
    files: Vec<(CopyPlace, Content, bool)>,
    /// Symlinks: where, what text, and whether a folder is in that place.
    links: Vec<(String, String, bool)>,
    /// Manifests to write.
    pub manifests: Vec<(Digest, Tree)>,
    /// Folder levels to build, children before parents once ordered.
    trees: Vec<Digest>,
    /// Folder levels of `trees` whose place is taken by something that visitors get nothing through.
    taken: HashSet<Digest>,
    /// Names to remove.
    extras: Vec<String>,
    /// The release whose document must be written.
    pub document: Option<ReleaseId>,
    /// Whether that document gets a signature.
    pub signed: bool,
    /// The site's trees of the folder levels to build.
    built: HashMap<Digest, Tree>,
}

/// One repair that is put in place under the lock.
#[derive(Debug, Clone)]
pub(super) struct Put {
    /// Name in the staging directory; `None` if something is only removed.
    from: Option<String>,
    /// Path below the docroot.
    pub to: String,
    /// What is there now is first moved to this name in the staging directory.
    aside: Option<String>,
    /// The source path must lead through this tree, which must be in place before this repair.
    guard: Option<Digest>,
    /// Whether this is a file that visitors are served or an object, rather than a link, a folder, a manifest or a
    /// document.
    pub file: bool,
}

impl Put {
    /// The renames. The last one completes the repair.
    pub fn ops(&self, staging_dir: &StagingDir) -> Vec<Op> {
        let aside = self.aside.iter().map(|name| Op::Rename {
            from: self.to.clone(),
            to: staging_dir.path_holding(name),
        });
        let put = self.from.iter().map(|name| {
            let from = staging_dir.path_holding(name);
            Op::Rename {
                from: match self.guard {
                    Some(tree) => layout::guarded_by_tree(tree, &from),
                    None => from,
                },
                to: self.to.clone(),
            }
        });
        aside.chain(put).collect()
    }
}

impl Repairs {
    /// Collects what can be repaired from a site for the faults of a release, as far as its content is available.
    pub fn new(site: &Site, found: &Verified, at_hand: &dyn Fn(&Content) -> bool) -> Self {
        let known: HashSet<Digest> = site.all_files().map(|(_, file)| file.digest).collect();
        // What is behind a symlink in the pool is not part of the pool.
        let astray: HashSet<&str> = found.faults.iter().filter_map(leads_astray).collect();
        let is_astray = |path: &str| path.match_indices('/').any(|(at, _)| astray.contains(&path[..at]));
        let mut repairs = Self::default();
        let mut manifests = BTreeSet::new();
        for fault in &found.faults {
            match fault {
                StoreFault::File { place, content, flaw } => {
                    let at = place.store_path(content);
                    let makeable = !is_astray(&at) && known.contains(&content.digest) && at_hand(content);
                    if makeable && *flaw != StoreFlaw::Kind(Kind::Other) {
                        repairs.files.push((place.clone(), *content, flaw.is_folder()));
                    }
                }
                StoreFault::Link { tree, path, to, flaw } => {
                    let at = format!("{}/{}", layout::tree(*tree), path.name());
                    repairs.link(at, layout::tree_link(*to), flaw);
                }
                StoreFault::Release { release, flaw } => {
                    if found.root == Some(site.root) {
                        repairs.link(layout::release(release), layout::release_link(site.root), flaw);
                    }
                }
                StoreFault::Document { release, .. } => {
                    if found.root == Some(site.root) {
                        repairs.document = Some(release.clone());
                    }
                }
                StoreFault::Manifest { digest, .. } => {
                    manifests.insert(*digest);
                }
                StoreFault::Tree { digest, flaw, .. } => match flaw {
                    StoreFlaw::Missing => repairs.trees.push(*digest),
                    // Visitors get nothing through it as it is, so they do not see less while another takes its place.
                    StoreFlaw::Kind(Kind::File | Kind::Other) => {
                        repairs.taken.insert(*digest);
                        repairs.trees.push(*digest);
                    }
                    StoreFlaw::Mode(mode) if mode & 0o001 == 0 => {
                        repairs.taken.insert(*digest);
                        repairs.trees.push(*digest);
                    }
                    _ => {}
                },
                StoreFault::Stray { path, .. } if !is_astray(path) => repairs.extras.push(path.clone()),
                StoreFault::Extra { tree, name, .. } => repairs.extras.push(format!("{}/{name}", layout::tree(*tree))),
                // Renames can't change modes and owners of folders. What is behind a symlink is not part of the pool.
                StoreFault::StoreFolder { .. } | StoreFault::Stray { .. } => {}
            }
        }
        repairs.trees.retain(|digest| {
            let tree = site.tree(*digest);
            tree.is_some_and(|tree| {
                tree.files()
                    .flat_map(|(_, file)| Content::of_file(file))
                    .all(|c| at_hand(&c))
            })
        });
        for digest in repairs.trees.clone() {
            repairs
                .built
                .extend(site.tree(digest).map(|tree| (digest, tree.clone())));
        }
        // A folder level that will be built completely needs no repaired files.
        let built = &repairs.built;
        repairs
            .files
            .retain(|(place, ..)| !matches!(place, CopyPlace::Tree { tree, .. } if built.contains_key(tree)));
        repairs.manifests = manifests
            .into_iter()
            .filter_map(|digest| Some((digest, site.tree(digest)?.clone())))
            .collect();
        repairs
    }

    fn link(&mut self, at: String, text: String, flaw: &LinkFlaw) {
        self.links.push((at, text, flaw.is_folder()));
    }

    /// Whether nothing can be repaired.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.links.is_empty()
            && self.manifests.is_empty()
            && self.trees.is_empty()
            && self.extras.is_empty()
            && self.document.is_none()
    }

    /// Folder levels below those to build that are not built themselves.
    pub fn trees_below(&self, site: &Site) -> Vec<Digest> {
        let mut below = BTreeSet::new();
        let mut todo = self.trees.clone();
        while let Some(digest) = todo.pop() {
            for (_, child) in site.tree(digest).into_iter().flat_map(Tree::folders) {
                if !self.built.contains_key(&child) && below.insert(child) {
                    todo.push(child);
                }
            }
        }
        below.into_iter().collect()
    }

    /// Adds folder levels to build.
    pub fn build(&mut self, digests: impl Iterator<Item = Digest>) {
        self.trees.extend(digests);
    }

    /// Orders the folder levels to build, children before parents.
    pub fn order_trees(&mut self, site: &Site) {
        let wanted: HashSet<Digest> = self.trees.drain(..).collect();
        let mut placed = HashSet::new();
        // In reverse order, a folder comes after everything inside it.
        for folder in site.folders.values().rev() {
            if wanted.contains(&folder.digest) && placed.insert(folder.digest) {
                self.trees.push(folder.digest);
                self.built.insert(folder.digest, Tree::clone(&folder.tree));
            }
        }
    }

    /// Content that must be sent: that of damaged places, and all files of folder levels that are built.
    fn contents(&self) -> BTreeSet<Content> {
        let places = self.files.iter().map(|(_, content, _)| *content);
        let built = self.trees.iter().filter_map(|digest| self.built.get(digest));
        let files = built.flat_map(|tree| tree.files().flat_map(|(_, file)| Content::of_file(file)));
        places.chain(files).collect()
    }

    /// What to read, encode and send.
    pub fn wanted(&self, site: &Site) -> Vec<Wanted> {
        let paths = path_of(site);
        // The export brought these encodings, each next to at least one of the paths.
        let mut brought: HashMap<(Digest, Coding, Recipe), SitePath> = HashMap::new();
        for (path, file) in site.all_files() {
            let given = |(_, recipe): &(Coding, Recipe)| matches!(recipe, Recipe::Given { .. });
            for (coding, recipe) in file.encodings.iter().filter(given) {
                brought
                    .entry((file.digest, coding, recipe))
                    .or_insert_with(|| path.clone());
            }
        }
        let mut wanted: BTreeMap<(Digest, Option<SitePath>), Wanted> = BTreeMap::new();
        for content in self.contents() {
            let (at, path) = match content.encoded {
                Some((coding, recipe @ Recipe::Given { .. })) => match brought.get(&(content.digest, coding, recipe)) {
                    Some(path) => (Some(path.clone()), path.clone()),
                    None => continue,
                },
                _ => match paths.get(&content.digest) {
                    Some(path) => (None, path.clone()),
                    None => continue,
                },
            };
            let entry = wanted.entry((content.digest, at)).or_insert(Wanted {
                digest: content.digest,
                size: content.size,
                path,
                identity: false,
                encodings: Encodings::default(),
            });
            match content.encoded {
                Some((coding, recipe)) => entry.encodings.set(coding, Some(recipe)),
                None => entry.identity = true,
            }
        }
        wanted.into_values().collect()
    }

    /// Public paths of the pool that are repaired.
    pub fn pool_paths(&self) -> impl Iterator<Item = &SitePath> {
        self.files.iter().filter_map(|(place, ..)| match place {
            CopyPlace::Pool { path } => Some(path),
            CopyPlace::Tree { .. } | CopyPlace::Object => None,
        })
    }

    /// Returns the operations that prepare everything in the staging directory, and the repairs to put in place, in
    /// this order: objects and files, folder levels from the deepest up, symlinks to them, manifests, the document with
    /// its signature, and last what is removed.
    ///
    /// `temps` are the temporary files of the manifests, the document and its signature, in this order.
    pub fn stage(
        &self,
        staged_objects: &StagedObjects,
        temps: &[String],
        staging_dir: &mut StagingDir,
    ) -> (Vec<Op>, Vec<Put>) {
        let mut staging = Staging {
            ops: Vec::new(),
            puts: Vec::new(),
            count: 0,
        };
        for (place, content, folder) in &self.files {
            let to = place.store_path(content);
            match staged_objects.temp(&content.object()) {
                Some(temp) => {
                    let link = |at| Op::Link {
                        from: staging_dir.path(temp),
                        to: at,
                    };
                    staging.put(staging_dir, to, *folder, true, link);
                }
                // An encoding that is not worth it is not made, so what is in its place should not exist.
                None if content.encoded.is_some() => staging.take_away(to),
                None => {}
            }
        }
        let mut before = None;
        for digest in &self.trees {
            let Some(tree) = self.built.get(digest) else { continue };
            let name = staging.tree(tree, staged_objects, staging_dir);
            staging.push_tree(*digest, name, self.taken.contains(digest), before);
            before = Some(*digest);
        }
        for (at, text, folder) in &self.links {
            let text = text.clone();
            staging.put(staging_dir, at.clone(), *folder, false, |at| Op::Symlink { text, at });
        }
        let manifests = self.manifests.iter().map(|(digest, _)| layout::manifest(*digest));
        let document = self.document.iter().map(layout::release_document);
        let signature = self.document.iter().filter(|_| self.signed);
        let signature = signature.map(layout::release_signature);
        for (temp, to) in temps.iter().zip(manifests.chain(document).chain(signature)) {
            let link = |at| Op::Link {
                from: staging_dir.path(temp),
                to: at,
            };
            staging.put(staging_dir, to, false, false, link);
        }
        for extra in &self.extras {
            staging.take_away(extra.clone());
        }
        (staging.ops, staging.puts)
    }
}

/// The path of something that should be a folder of the pool and is not. What is behind it is elsewhere.
fn leads_astray(fault: &StoreFault) -> Option<&str> {
    match fault {
        StoreFault::StoreFolder {
            path,
            flaw: StoreFlaw::Kind(_),
        } => Some(path),
        _ => None,
    }
}

struct Staging {
    ops: Vec<Op>,
    puts: Vec<Put>,
    count: usize,
}

impl Staging {
    fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn put(&mut self, staging_dir: &StagingDir, to: String, folder: bool, file: bool, make: impl FnOnce(String) -> Op) {
        let number = self.next();
        let name = format!("m/{number}");
        self.ops.push(make(staging_dir.path(&name)));
        self.puts.push(Put {
            from: Some(name),
            to,
            aside: folder.then(|| format!("trash/{number}")),
            guard: None,
            file,
        });
    }

    fn take_away(&mut self, at: String) {
        let number = self.next();
        self.puts.push(Put {
            from: None,
            to: at,
            aside: Some(format!("trash/{number}")),
            guard: None,
            file: false,
        });
    }

    /// Builds a folder level in the staging directory. Returns its name there.
    fn tree(&mut self, tree: &Tree, staged_objects: &StagedObjects, staging_dir: &mut StagingDir) -> String {
        let name = format!("t/{}", self.next());
        let make = staging_dir.folder(&name);
        self.ops.push(make);
        let at = staging_dir.path(&name);
        for (entry_name, entry) in &tree.entries {
            let to = format!("{at}/{entry_name}");
            match entry {
                Entry::Folder(digest) => self.ops.push(Op::Symlink {
                    text: layout::tree_link(*digest),
                    at: to,
                }),
                Entry::Redirect(redirect) => self.ops.push(Op::Symlink {
                    text: layout::moved_link(redirect),
                    at: to,
                }),
                Entry::File(file) => {
                    for content in Content::of_file(file) {
                        if let Some(temp) = staged_objects.temp(&content.object()) {
                            self.ops.push(Op::Link {
                                from: staging_dir.path(temp),
                                to: content.beside(&to),
                            });
                        }
                    }
                }
            }
        }
        name
    }

    fn push_tree(&mut self, digest: Digest, name: String, taken: bool, guard: Option<Digest>) {
        let number = self.next();
        self.puts.push(Put {
            from: Some(name),
            to: layout::tree(digest),
            aside: taken.then(|| format!("trash/{number}")),
            guard,
            file: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::cache::Classes;
    use crate::model::manifest::Input;
    use crate::store::verify::Depth;

    /// A site of this many files, each with an encoding that the export brought, in folders of ten.
    fn site(files: u32) -> Site {
        let inputs = (0..files).map(|number| Input {
            path: SitePath::new(&format!("{}/{number}.html", number / 10)).unwrap(),
            digest: Digest::of(&number.to_be_bytes()),
            size: 1000,
            media_type: "text/html".into(),
            encodings: Encodings {
                br: Some(Recipe::given(Digest::of(&(!number).to_be_bytes()))),
                gz: None,
            },
        });
        Site::new(inputs, &Classes::new("_assets"))
    }

    #[test]
    fn every_damage_of_a_large_site_is_repaired_in_proportion_to_their_number() {
        let site = site(60_000);
        let mut faults = Vec::new();
        for (path, file) in site.all_files() {
            faults.extend(Content::of_file(file).map(|content| StoreFault::File {
                place: CopyPlace::Pool { path: path.clone() },
                content,
                flaw: StoreFlaw::Missing,
            }));
        }
        for folder in site.folders.values() {
            faults.push(StoreFault::Tree {
                digest: folder.digest,
                path: SitePath::root(),
                flaw: StoreFlaw::Missing,
            });
        }
        faults.extend((0..20_000).map(|number| StoreFault::StoreFolder {
            path: format!("immutable/other/{number}"),
            flaw: StoreFlaw::Kind(Kind::Symlink),
        }));
        let found = Verified {
            release: "a".parse().unwrap(),
            depth: Depth::Deep,
            root: Some(site.root),
            checked: 0,
            faults,
        };
        let began = Instant::now();
        let mut repairs = Repairs::new(&site, &found, &|_| true);
        repairs.order_trees(&site);
        let wanted = repairs.wanted(&site);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let encodings = wanted.iter().filter(|wanted| wanted.encodings.br.is_some()).count();
        let files = wanted.iter().filter(|wanted| wanted.identity).count();
        assert_eq!((encodings, files), (60_000, 60_000));
        for wanted in &wanted {
            assert_eq!(site.file(&wanted.path).unwrap().digest, wanted.digest);
        }
    }
}

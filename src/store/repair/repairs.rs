//! Turns faults into repairs: what good content goes where.
//!
//! Pure. A fault of something that the site does not have must be left alone.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::host::{Kind, Op};
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::model::tree::{Entry, Tree};
use crate::store::content::Content;
use crate::store::plan::Wanted;
use crate::store::staging::StagingDir;
use crate::store::sync::{StagedObjects, make_answer_folders};
use crate::store::verify::{CopyPlace, StoreFault, StoreFlaw, Verified};

/// What should be at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Good {
    /// A file or an encoding: in a folder level, among the objects or in the pool.
    Content(Content),
    /// A folder that spells the answer of a redirect, or one that leads to such folders. If a folder is in its place,
    /// these names inside it are kept.
    Answer(Option<Vec<String>>),
    /// A folder level. It may be put in place only after everything below it.
    Tree(Digest),
    /// A symlink with this text.
    Link(String),
    /// A manifest, a document or a signature.
    Text(String),
    /// Nothing.
    Nothing,
}

impl Good {
    /// The order in which repairs are put in place. What leads to other things comes after them.
    fn rank(&self) -> u8 {
        match self {
            Self::Content(_) | Self::Answer(_) => 0,
            Self::Tree(_) => 1,
            Self::Link(_) => 2,
            Self::Text(_) => 3,
            Self::Nothing => 4,
        }
    }
}

/// One repair.
#[derive(Debug, Clone)]
struct Repair {
    /// Path below the docroot.
    to: String,
    good: Good,
    /// Whether something is there that a rename does not replace. It is moved aside first.
    blocked: bool,
}

/// Everything that can be repaired of what was found.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    list: Vec<Repair>,
    /// The release whose document must be written.
    pub document: Option<ReleaseId>,
}

/// The folder levels that a release lacks, and whether something is in the place of each that visitors get nothing
/// through. They do not see less while another takes that place.
pub(super) type LackingTrees = HashMap<Digest, bool>;

/// Returns the folder levels that were found to be lacking.
pub(super) fn lacking_trees(found: &Verified) -> LackingTrees {
    let lacking = found.faults.iter().filter_map(|fault| match fault {
        StoreFault::Tree { digest, flaw, .. } => match flaw {
            StoreFlaw::Missing => Some((*digest, false)),
            StoreFlaw::Kind(Kind::File | Kind::Other) => Some((*digest, true)),
            StoreFlaw::Mode(mode) if mode & 0o001 == 0 => Some((*digest, true)),
            _ => None,
        },
        _ => None,
    });
    lacking.collect()
}

impl Repairs {
    /// Collects what can be repaired from a site for the faults of a release, as far as its content is available.
    pub fn new(site: &Site, found: &Verified, lacking: &LackingTrees, at_hand: &dyn Fn(&Content) -> bool) -> Self {
        let known: HashSet<Digest> = site.all_files().map(|(_, file)| file.digest).collect();
        // What is behind a symlink in the pool is not part of the pool.
        let astray: HashSet<&str> = found.faults.iter().filter_map(leads_astray).collect();
        let is_astray = |path: &str| path.match_indices('/').any(|(at, _)| astray.contains(&path[..at]));
        let redirects = site.folders.values().flat_map(|folder| folder.tree.redirects());
        let answers: Vec<String> = redirects.map(|(_, redirect)| layout::moved(redirect)).collect();
        let answers: BTreeSet<&str> = layout::with_parents(&answers).collect();
        let mut repairs = Self::default();
        let built = repairs.build(site, lacking, at_hand);
        let mut manifests = HashSet::new();
        for fault in &found.faults {
            match fault {
                // A folder level that is built completely needs no repaired files.
                StoreFault::File {
                    place: CopyPlace::Tree { tree, .. },
                    ..
                } if built.contains(tree) => {}
                StoreFault::File { place, content, flaw } => {
                    let to = place.store_path(content);
                    let makeable = !is_astray(&to) && known.contains(&content.digest) && at_hand(content);
                    if makeable && *flaw != StoreFlaw::Kind(Kind::Other) {
                        repairs.add(to, Good::Content(*content), flaw.is_folder());
                    }
                }
                StoreFault::Link { tree, path, to, flaw } => {
                    let at = format!("{}/{}", layout::tree(*tree), path.name());
                    repairs.link(at, to.clone(), flaw);
                }
                StoreFault::Answer { redirect, flaw, .. } => {
                    repairs.answer(layout::moved(redirect), flaw, &answers);
                }
                StoreFault::StoreFolder { path, flaw } if answers.contains(&**path) => {
                    repairs.answer(path.clone(), flaw, &answers);
                }
                StoreFault::Release { release, flaw } if found.root == Some(site.root) => {
                    repairs.link(layout::release(release), layout::release_link(site.root), flaw);
                }
                StoreFault::Document { release, .. } if found.root == Some(site.root) => {
                    repairs.document = Some(release.clone());
                }
                StoreFault::Manifest { digest, .. } => {
                    if let Some(tree) = site.tree(*digest).filter(|_| manifests.insert(*digest)) {
                        repairs.add_text(layout::manifest(*digest), tree.render());
                    }
                }
                StoreFault::Stray { path, .. } if !is_astray(path) => repairs.add(path.clone(), Good::Nothing, true),
                StoreFault::Extra { tree, name, .. } => {
                    repairs.add(format!("{}/{name}", layout::tree(*tree)), Good::Nothing, true);
                }
                // Renames can't change modes and owners of folders.
                StoreFault::StoreFolder { .. }
                | StoreFault::Stray { .. }
                | StoreFault::Tree { .. }
                | StoreFault::Release { .. }
                | StoreFault::Document { .. } => {}
            }
        }
        repairs
    }

    /// Adds the folder levels that can be built, each after everything below it. Returns their digests.
    fn build(&mut self, site: &Site, lacking: &LackingTrees, at_hand: &dyn Fn(&Content) -> bool) -> HashSet<Digest> {
        let mut built = HashSet::new();
        // In reverse order, a folder comes after everything inside it.
        for folder in site.folders.values().rev() {
            let Some(taken) = lacking.get(&folder.digest) else {
                continue;
            };
            let mut below = folder.tree.folders();
            let is_complete = below.all(|(_, child)| !lacking.contains_key(&child) || built.contains(&child));
            if is_complete && contents(&folder.tree).all(|content| at_hand(&content)) && built.insert(folder.digest) {
                let answers = folder.tree.redirects().map(|(_, redirect)| layout::moved(redirect));
                answers.for_each(|answer| self.add(answer, Good::Answer(None), false));
                self.add(layout::tree(folder.digest), Good::Tree(folder.digest), *taken);
            }
        }
        built
    }

    fn add(&mut self, to: String, good: Good, blocked: bool) {
        self.list.push(Repair { to, good, blocked });
    }

    /// Adds a folder that spells an answer, or that leads to answers. What is moved aside takes those inside it along.
    fn answer(&mut self, at: String, flaw: &StoreFlaw, answers: &BTreeSet<&str>) {
        // Renames can't change modes and owners of folders. One that visitors get nothing through is made again.
        if matches!(flaw, StoreFlaw::Writable(_) | StoreFlaw::Owner(_)) {
            return;
        }
        let start = format!("{at}/");
        let kept = matches!(flaw, StoreFlaw::Mode(_)).then(Vec::new);
        self.add(at, Good::Answer(kept), *flaw != StoreFlaw::Missing);
        if *flaw != StoreFlaw::Missing {
            let inside = answers.range(&*start..).take_while(|answer| answer.starts_with(&start));
            inside.for_each(|answer| self.add((*answer).to_owned(), Good::Answer(None), false));
        }
    }

    /// The folders of answers that are moved aside, each with the names inside it that are to be kept: other releases
    /// have answers there.
    pub fn moved_aside(&mut self) -> impl Iterator<Item = (&str, &mut Vec<String>)> {
        self.list.iter_mut().filter_map(|repair| match &mut repair.good {
            Good::Answer(Some(kept)) => Some((&*repair.to, kept)),
            _ => None,
        })
    }

    fn link(&mut self, at: String, text: String, flaw: &StoreFlaw) {
        self.add(at, Good::Link(text), flaw.is_folder());
    }

    /// Adds a document to write.
    pub fn add_text(&mut self, to: String, text: String) {
        self.add(to, Good::Text(text), false);
    }

    /// Whether nothing can be repaired.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.document.is_none()
    }

    /// What to read, encode and send: the content of damaged places, and all files of folder levels that are built.
    pub fn wanted(&self, site: &Site) -> Vec<Wanted> {
        let mut needed: HashMap<Digest, HashSet<Content>> = HashMap::new();
        let mut need = |content: Content| {
            needed.entry(content.digest).or_default().insert(content);
        };
        for repair in &self.list {
            match &repair.good {
                Good::Content(content) => need(*content),
                Good::Tree(digest) => site.tree(*digest).into_iter().flat_map(contents).for_each(&mut need),
                Good::Answer(_) | Good::Link(_) | Good::Text(_) | Good::Nothing => {}
            }
        }
        let mut wanted = Vec::new();
        for (path, file) in site.all_files() {
            let Some(needed) = needed.get_mut(&file.digest) else {
                continue;
            };
            // An encoding that the export brought is next to a path that has it. Others are made of any copy.
            let brought: HashSet<Content> = Content::of_file(file).collect();
            let here: Vec<Content> = needed
                .extract_if(|content| !content.is_given() || brought.contains(content))
                .collect();
            if here.is_empty() {
                continue;
            }
            let mut one = Wanted::nothing_of(file, path);
            for content in here {
                one.add(content);
            }
            wanted.push(one);
        }
        wanted
    }

    /// Returns the texts to write, in the order in which [`Self::stage`] expects their temporary files.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.list.iter().filter_map(|repair| match &repair.good {
            Good::Text(text) => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }

    /// Public paths of the pool that are repaired.
    pub fn pool_paths(&self) -> Vec<SitePath> {
        let files = self
            .list
            .iter()
            .filter(|repair| matches!(repair.good, Good::Content(_)));
        let paths = files.filter_map(|repair| repair.to.strip_prefix(layout::POOL)?.strip_prefix('/'));
        paths.filter_map(|path| SitePath::new(path).ok()).collect()
    }

    /// Returns the operations that prepare everything in the staging directory, and for each repair the renames that
    /// put it in place, the last of which completes it. `temps` are the temporary files of [`Self::texts`].
    pub fn stage(
        &mut self,
        site: &Site,
        staged_objects: &StagedObjects,
        temps: Vec<String>,
        staging_dir: &mut StagingDir,
    ) -> (Vec<Op>, Vec<Vec<Op>>) {
        let mut ops = vec![staging_dir.folder("m")];
        let mut puts = Vec::new();
        let mut temps = temps.into_iter();
        // The source of a folder level leads through the one that must be in place before it.
        let mut before = None;
        self.list.sort_by_key(|repair| repair.good.rank());
        for (number, Repair { to, good, blocked }) in self.list.iter().enumerate() {
            let name = format!("m/{number}");
            let at = staging_dir.path(&name);
            let linked = |temp: &str, to: String| Op::link(staging_dir.path(temp), to);
            let mut from = staging_dir.path_holding(&name);
            let made = ops.len();
            match good {
                Good::Content(content) => match staged_objects.temp(&content.object()) {
                    Some(temp) => ops.push(linked(temp, at)),
                    // An encoding that is not worth it is not made, so what is in its place should not exist.
                    None if content.encoded.is_some() => {}
                    None => continue,
                },
                Good::Tree(digest) => {
                    ops.push(Op::MakeFolder(at.clone()));
                    for (name, entry) in site.tree(*digest).iter().flat_map(|tree| &tree.entries) {
                        let to = format!("{at}/{name}");
                        match entry {
                            Entry::Folder(below) => ops.push(Op::symlink(layout::tree_link(*below), to)),
                            Entry::Redirect(redirect) => ops.push(Op::symlink(layout::moved_link(redirect), to)),
                            Entry::File(file) => ops.extend(Content::of_file(file).filter_map(|content| {
                                let temp = staged_objects.temp(&content.object())?;
                                Some(linked(temp, content.beside(&to)))
                            })),
                        }
                    }
                    if let Some(before) = before.replace(*digest) {
                        from = layout::guarded_by_tree(before, &from);
                    }
                }
                Good::Link(text) => ops.push(Op::symlink(text.clone(), at)),
                Good::Text(_) => match temps.next() {
                    Some(temp) => ops.push(linked(&temp, at)),
                    None => continue,
                },
                Good::Answer(_) | Good::Nothing => {}
            }
            let is_made = ops.len() > made;
            let trash = staging_dir.path_holding(&format!("trash/{number}"));
            let put = match good {
                Good::Answer(kept) => {
                    let mut put = make_answer_folders(&BTreeSet::from([to.clone()]), staging_dir);
                    let kept = kept.iter().flatten();
                    put.extend(kept.map(|name| Op::rename(format!("{trash}/{name}"), format!("{to}/{name}"))));
                    put
                }
                _ => is_made.then(|| Op::rename(from, to.clone())).into_iter().collect(),
            };
            let is_answer = matches!(good, Good::Answer(_));
            let aside = (*blocked || !is_made && !is_answer).then(|| Op::rename(to.clone(), trash));
            puts.push(aside.into_iter().chain(put).collect());
        }
        (ops, puts)
    }
}

/// The content of every file of a folder level.
fn contents(tree: &Tree) -> impl Iterator<Item = Content> {
    tree.files().flat_map(|(_, file)| Content::of_file(file))
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::cache::Classes;
    use crate::model::encoding::{Encodings, Recipe};
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
        let repairs = Repairs::new(&site, &found, &lacking_trees(&found), &|_| true);
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

//! Verifies that a release on the host is intact, as it was published.
//!
//! The walk starts at the release's symlink and relies only on digests. This module must never see a plan or the
//! export, because it would then compare a publish with its own input. It must never change anything: it sends only
//! operations that read. The number of round trips follows the depth of the site rather than its size, because the
//! folders of a level are checked together.

mod copies;
mod deep;
mod fault;
mod others;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

pub use fault::{CopyPlace, DocumentFlaw, StoreFault, StoreFlaw};

use self::copies::Demand;
use self::deep::FileToRead;
use crate::host::{Answer, Answers, Attr, HostError, Kind, Op};
use crate::model::cache::pooled;
use crate::model::digest::Digest;
use crate::model::event::{Event, Running, Stage};
use crate::model::layout;
use crate::model::manifest::{MOST_FILES, MOST_FOLDERS};
use crate::model::path::{MAX_DEPTH, SitePath, check_name};
use crate::model::redirect::Redirect;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::model::tree::{Entry, File, Tree};
use crate::store::content::Content;
use crate::store::flight::{Flight, Read};
use crate::store::session::Session;
use crate::store::{Error, StoreError, open};

/// How thorough a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names, kinds, lengths, modes and owners.
    Shallow,
    /// In addition, every byte is read and every encoding decoded.
    Deep,
}

/// Result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The release.
    pub release: ReleaseId,
    /// How thoroughly it was checked.
    pub depth: Depth,
    /// The tree of its top folder; `None` if neither the symlink nor the document names one.
    pub root: Option<Digest>,
    /// Number of public paths that were checked. Encodings are not counted.
    pub checked: u64,
    /// What is wrong; empty for an intact release.
    pub faults: Vec<StoreFault>,
}

impl Verified {
    /// Returns what is wrong, for reports: the path, and one line.
    pub fn problems(&self) -> Vec<(String, String)> {
        let faults = self.faults.iter();
        faults.map(|fault| (fault.path(), fault.problem())).collect()
    }
}

/// At most this many operations go in one flight, and this many flights are sent at the same time.
const AT_ONCE: usize = 2000;
const FLIGHTS_AT_ONCE: usize = 4;
/// At most this many folders are listed in one flight, because answers may be long.
const LISTS_AT_ONCE: usize = 128;

/// The permission bits that others need on a file, and on a folder, that a web server serves.
const READABLE: u32 = 0o004;
const PASSABLE: u32 = 0o005;
/// The permission bits that nothing in a store may have: write permission for the group and for others.
const WRITABLE: u32 = 0o022;

/// Checks whether a release is intact.
///
/// # Errors
/// [`Error`] if the host can't be asked. What is wrong with the release is not an error but a fault.
pub async fn verify(session: &Session, release: &ReleaseId, depth: Depth) -> Result<Verified, Error> {
    let _running = Running::begin(session.observer(), Stage::Verify);
    let mut walk = Walk::new(session);
    let root = walk.enter(release).await?;
    if let Some(root) = root {
        walk.descend(root).await?;
    }
    walk.look_at_answers().await?;
    walk.look_at_copies().await?;
    if depth == Depth::Deep {
        let readings = std::mem::take(&mut walk.readings);
        session.observer().notice(Event::StageMeasured {
            stage: Stage::Verify,
            items: walk.checked + readings.len() as u64,
            bytes: readings.iter().fold(0, |sum, reading| sum.saturating_add(reading.size)),
        });
        let found = deep::read_back(session, readings, session.observer()).await?;
        walk.faults.extend(found);
    }
    let faults = others::without(session, walk.faults).await?;
    Ok(Verified {
        release: release.clone(),
        depth,
        root,
        checked: walk.checked,
        faults,
    })
}

/// A folder of the site: its path, and the tree that it should be.
#[derive(Debug, Clone)]
struct Spot {
    path: SitePath,
    digest: Digest,
}

/// What is known of a tree that was checked.
struct TreeState {
    /// What it should contain; `None` if no intact manifest proves that.
    tree: Option<Tree>,
    /// The trees below it.
    below: Vec<(Box<str>, Digest)>,
}

/// A tree as the host lists it.
struct TreeListing {
    spot: Spot,
    folder: Option<Attr>,
    names: Option<BTreeMap<String, Attr>>,
    manifest: Result<Tree, StoreFlaw>,
}

struct Walk<'a> {
    session: &'a Session,
    faults: Vec<StoreFault>,
    checked: u64,
    /// The user number of the store's owner.
    owner: Option<u32>,
    trees: HashMap<Digest, TreeState>,
    /// The content that should be among the objects.
    objects: BTreeMap<Content, Demand>,
    /// Whether the pool should have the release's files. It has none of a channel's.
    has_pool: bool,
    pool: BTreeMap<SitePath, File>,
    /// The redirects, each with the path of one of its entries.
    answers: BTreeMap<Redirect, SitePath>,
    readings: Vec<FileToRead>,
}

/// Sends any number of operations in flights of bounded size.
async fn flights(session: &Session, ops: Vec<Op>, at_once: usize) -> Result<Answers, HostError> {
    let parts: Vec<Vec<Op>> = ops.chunks(at_once).map(<[Op]>::to_vec).collect();
    let answers: Vec<Answers> = stream::iter(parts)
        .map(|part| session.flight(part))
        .buffered(FLIGHTS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(answers.into_iter().flatten().collect())
}

impl<'a> Walk<'a> {
    fn new(session: &'a Session) -> Self {
        Self {
            session,
            faults: Vec::new(),
            checked: 0,
            owner: None,
            trees: HashMap::new(),
            objects: BTreeMap::new(),
            has_pool: true,
            pool: BTreeMap::new(),
            answers: BTreeMap::new(),
            readings: Vec::new(),
        }
    }

    /// Checks the folders that spell the answers of redirects, and those that lead to them.
    async fn look_at_answers(&mut self) -> Result<(), Error> {
        let answers = std::mem::take(&mut self.answers);
        let spelled: BTreeMap<String, (Redirect, SitePath)> = answers
            .into_iter()
            .map(|(redirect, path)| (layout::moved(&redirect), (redirect, path)))
            .collect();
        // In this order a folder comes before what is inside it.
        let folders: BTreeSet<String> = layout::with_parents(spelled.keys()).map(str::to_owned).collect();
        let ops = folders.iter().cloned().map(Op::Lstat).collect();
        let found = flights(self.session, ops, AT_ONCE).await?;
        for (folder, answer) in folders.into_iter().zip(found) {
            let Some(flaw) = self.folder_flaw(answer.attr()) else {
                continue;
            };
            match spelled.get(&folder) {
                Some((redirect, path)) => self.faults.push(StoreFault::Answer {
                    path: path.clone(),
                    redirect: redirect.clone(),
                    flaw,
                }),
                // What is missing with it is the answer.
                None if flaw == StoreFlaw::Missing => {}
                None => self.faults.push(StoreFault::StoreFolder { path: folder, flaw }),
            }
        }
        Ok(())
    }

    /// Checks the store's folders, the release's symlink and its document. Returns the tree to walk.
    async fn enter(&mut self, release: &ReleaseId) -> Result<Option<Digest>, Error> {
        let folders = [layout::TREES, layout::RELEASES, layout::POOL];
        let (link, document) = (layout::release(release), layout::release_document(release));
        let mut flight = Flight::default();
        let folder_tickets = folders.map(|folder| flight.lstat(folder));
        let link_itself = flight.lstat(link.clone());
        let link = flight.read_link(link);
        let document_file = flight.lstat(document.clone());
        let current = flight.read_link(layout::CURRENT);
        let answers = self.session.send(flight).await?;
        self.owner = answers.to(folder_tickets[0]).attr().map(|attr| attr.uid);
        for (folder, ticket) in folders.into_iter().zip(folder_tickets) {
            self.store_folder(folder.to_owned(), answers.to(ticket).attr());
        }
        let current = answers.to(current).text().and_then(|text| open::read_current(&text));
        let is_live = current.as_ref() == Some(release);
        let text = answers.to(link).text();
        let linked = text.as_deref().and_then(root_of_link);
        let read = if answers.to(document_file).attr().is_some() {
            let bytes = open::read_files(self.session, &[document]).await?.pop().flatten();
            bytes
                .and_then(|bytes| serde_json::from_slice::<ReleaseDocument>(&bytes).ok())
                .filter(|document| document.id == *release)
                .map(|document| {
                    self.has_pool = is_live || document.channel.is_none();
                    document.root
                })
                .ok_or(DocumentFlaw::Damaged)
        } else {
            Err(DocumentFlaw::Missing)
        };
        if linked.is_none() {
            let flaw = match (text, answers.to(link_itself).attr()) {
                (Some(text), _) => StoreFlaw::Elsewhere(text),
                (None, Some(attr)) => StoreFlaw::Kind(attr.kind),
                (None, None) => StoreFlaw::Missing,
            };
            self.faults.push(StoreFault::Release {
                release: release.clone(),
                flaw,
            });
        }
        let (root, flaw) = match (linked, read) {
            (Some(root), Ok(named)) if root != named => (Some(root), Some(DocumentFlaw::OtherRoot(named))),
            (linked, Ok(named)) => (linked.or(Some(named)), None),
            (linked, Err(flaw)) => (linked, Some(flaw)),
        };
        self.faults.extend(flaw.map(|flaw| StoreFault::Document {
            release: release.clone(),
            flaw,
        }));
        Ok(root)
    }

    fn store_folder(&mut self, path: String, attr: Option<Attr>) {
        if let Some(flaw) = self.folder_flaw(attr) {
            self.faults.push(StoreFault::StoreFolder { path, flaw });
        }
    }

    fn folder_flaw(&self, attr: Option<Attr>) -> Option<StoreFlaw> {
        self.flaw(attr, Kind::Folder, PASSABLE, None)
    }

    /// Returns what is wrong with something that should be there, as far as its metadata shows it.
    fn flaw(&self, attr: Option<Attr>, kind: Kind, mode: u32, size: Option<u64>) -> Option<StoreFlaw> {
        let Some(attr) = attr else {
            return Some(StoreFlaw::Missing);
        };
        if attr.kind != kind {
            return Some(StoreFlaw::Kind(attr.kind));
        }
        if attr.mode & mode != mode {
            return Some(StoreFlaw::Mode(attr.mode));
        }
        if attr.mode & WRITABLE != 0 {
            return Some(StoreFlaw::Writable(attr.mode));
        }
        if self.owner.is_some_and(|owner| owner != attr.uid) {
            return Some(StoreFlaw::Owner(attr.uid));
        }
        match size {
            Some(wanted) if wanted != attr.size => Some(StoreFlaw::Size {
                found: attr.size,
                wanted,
            }),
            _ => None,
        }
    }

    /// Walks a tree and everything below it, one level at a time.
    async fn descend(&mut self, root: Digest) -> Result<(), Error> {
        let path = SitePath::root();
        let mut level = vec![Spot { path, digest: root }];
        let mut depth = 0;
        while !level.is_empty() {
            let mut seen = HashSet::new();
            let new = level.iter().filter(|spot| !self.trees.contains_key(&spot.digest));
            let new: Vec<Spot> = new.filter(|spot| seen.insert(spot.digest)).cloned().collect();
            let listed = self.list(new).await?;
            self.compare(listed).await?;
            let mut next = Vec::new();
            let mut count = 0;
            for spot in level {
                let Some(known) = self.trees.get(&spot.digest) else {
                    continue;
                };
                // Without an intact manifest a tree may lead back to itself, so it is followed from one place only.
                let proved = known.tree.is_some();
                if proved || seen.remove(&spot.digest) {
                    next.extend(known.below.iter().map(|(name, digest)| Spot {
                        path: spot.path.child(name),
                        digest: *digest,
                    }));
                }
                for (name, file) in known.tree.iter().flat_map(Tree::files) {
                    count += 1;
                    if self.checked + count > MOST_FILES as u64 {
                        return Err(StoreError::endless(self.session.host_name(), root).into());
                    }
                    let path = spot.path.child(name);
                    if self.has_pool && pooled(path.as_str(), file.cache) {
                        self.pool.insert(path, file.clone());
                    }
                }
            }
            depth += 1;
            if next.len() > MOST_FOLDERS || depth > MAX_DEPTH && !next.is_empty() {
                return Err(StoreError::endless(self.session.host_name(), root).into());
            }
            self.checked += count;
            self.session.observer().progressed(Stage::Verify, count, 0);
            level = next;
        }
        Ok(())
    }

    /// Reads the folders of some trees, and their manifests.
    async fn list(&self, spots: Vec<Spot>) -> Result<Vec<TreeListing>, Error> {
        let ops = |op: fn(String) -> Op| spots.iter().map(move |spot| op(layout::tree(spot.digest))).collect();
        let manifests: Vec<String> = spots.iter().map(|spot| layout::manifest(spot.digest)).collect();
        let manifest_attrs = manifests.iter().cloned().map(Op::Lstat).collect();
        let (folders, lists, attrs, trees) = tokio::try_join!(
            async { Ok::<_, Error>(flights(self.session, ops(Op::Lstat), AT_ONCE).await?) },
            async { Ok(flights(self.session, ops(Op::List), LISTS_AT_ONCE).await?) },
            async { Ok(flights(self.session, manifest_attrs, AT_ONCE).await?) },
            async {
                // Each manifest is parsed as it arrives, because the bytes of a complete level are too many.
                let mut trees = Vec::new();
                for (some, spots) in manifests
                    .chunks(open::OPEN_AT_ONCE)
                    .zip(spots.chunks(open::OPEN_AT_ONCE))
                {
                    for (bytes, spot) in open::read_files(self.session, some).await?.into_iter().zip(spots) {
                        self.session.hold(bytes.as_ref().map_or(0, Vec::len))?;
                        trees.push(match bytes {
                            Some(bytes) => open::read_manifest(spot.digest, bytes).ok_or(StoreFlaw::Bytes),
                            None => Err(StoreFlaw::Unreadable),
                        });
                    }
                }
                Ok(trees)
            },
        )?;
        let looked = spots.iter().zip(folders).zip(lists).zip(attrs).zip(trees);
        Ok(looked
            .map(|((((spot, folder), list), attr), tree)| {
                let manifest = match self.flaw(attr.attr(), Kind::File, 0, None) {
                    Some(flaw) => Err(flaw),
                    None => tree,
                };
                let names = match list {
                    Ok(Answer::Names(names)) => Some(names.into_iter().collect()),
                    _ => None,
                };
                TreeListing {
                    spot: spot.clone(),
                    folder: folder.attr(),
                    names,
                    manifest,
                }
            })
            .collect())
    }

    /// Compares trees with their manifests. Their symlinks are read here, all together.
    async fn compare(&mut self, listed: Vec<TreeListing>) -> Result<(), Error> {
        let links: Vec<String> = listed
            .iter()
            .flat_map(|tree| {
                let names = tree.names.iter().flatten();
                let links = names.filter(|(_, attr)| attr.kind == Kind::Symlink);
                links.map(|(name, _)| format!("{}/{name}", layout::tree(tree.spot.digest)))
            })
            .collect();
        let ops = links.iter().cloned().map(Op::ReadLink).collect();
        let answers = flights(self.session, ops, AT_ONCE).await?;
        let texts: HashMap<String, String> = links
            .into_iter()
            .zip(answers)
            .filter_map(|(path, answer)| Some((path, answer.text()?)))
            .collect();
        for tree in listed {
            self.compare_tree(tree, &texts);
        }
        Ok(())
    }

    fn compare_tree(&mut self, listing: TreeListing, texts: &HashMap<String, String>) {
        let TreeListing {
            spot,
            folder,
            names,
            manifest,
        } = listing;
        let Spot { path, digest } = spot.clone();
        let unlisted = || folder.and(names.is_none().then_some(StoreFlaw::Unreadable));
        if let Some(flaw) = self.folder_flaw(folder).or_else(unlisted) {
            let path = path.clone();
            self.faults.push(StoreFault::Tree { digest, path, flaw });
        }
        let text = |name: &str| texts.get(&format!("{}/{name}", layout::tree(digest)));
        let tree = match manifest {
            Ok(tree) => tree,
            Err(flaw) => {
                self.faults.push(StoreFault::Manifest { digest, path, flaw });
                // What it should contain is not known, but its symlinks can still be followed.
                let links = names.iter().flatten().filter(|(name, _)| check_name(name).is_ok());
                let below = links.filter_map(|(name, _)| {
                    let to = text(name)?.strip_prefix("../")?.parse().ok()?;
                    Some((name.as_str().into(), to))
                });
                let below = below.collect();
                self.trees.insert(digest, TreeState { tree: None, below });
                return;
            }
        };
        if let Some(names) = &names {
            self.compare_names(&spot, &tree, names, &text);
        } else {
            for (_, file) in tree.files() {
                for content in Content::of_file(file) {
                    self.objects.entry(content).or_default();
                }
            }
        }
        let below = tree.folders().map(|(name, to)| (name.into(), to)).collect();
        self.trees.insert(
            digest,
            TreeState {
                tree: Some(tree),
                below,
            },
        );
    }

    fn compare_names<'t>(
        &mut self,
        spot: &Spot,
        entries: &Tree,
        names: &BTreeMap<String, Attr>,
        text: &impl Fn(&str) -> Option<&'t String>,
    ) {
        let (folder, tree) = (&spot.path, spot.digest);
        let mut expected: BTreeSet<String> = BTreeSet::new();
        for (name, entry) in &entries.entries {
            let path = folder.child(name);
            expected.insert(name.to_string());
            let to = match entry {
                Entry::Folder(to) => layout::tree_link(*to),
                Entry::Redirect(redirect) => {
                    self.answers.entry(redirect.clone()).or_insert_with(|| path.clone());
                    layout::moved_link(redirect)
                }
                Entry::File(file) => {
                    for content in Content::of_file(file) {
                        let name = content.beside(name);
                        let place = CopyPlace::Tree {
                            tree,
                            path: path.clone(),
                        };
                        let attr = names.get(&name).copied();
                        expected.insert(name);
                        self.entry(place, content, attr);
                    }
                    continue;
                }
            };
            let flaw = match (names.get(&**name), text(name)) {
                (None, _) => StoreFlaw::Missing,
                (Some(attr), None) => StoreFlaw::Kind(attr.kind),
                (Some(_), Some(text)) if *text == to => continue,
                (Some(_), Some(text)) => StoreFlaw::Elsewhere(text.clone()),
            };
            self.faults.push(StoreFault::Link { tree, path, to, flaw });
        }
        let extra = names.keys().filter(|name| !expected.contains(*name));
        self.faults.extend(extra.map(|name| StoreFault::Extra {
            tree,
            folder: folder.clone(),
            name: name.clone(),
        }));
    }
}

fn root_of_link(text: &str) -> Option<Digest> {
    let root: Digest = text.rsplit('/').next()?.parse().ok()?;
    (text == layout::release_link(root)).then_some(root)
}

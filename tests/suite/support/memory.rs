//! A host in memory: a file system as OpenSSH's server presents it. It is cheap to copy, so that a test can start from
//! any state thousands of times, and a test sets its clock.
//!
//! Nodes are inodes: hard links, open files that move with their folder, `..` after a symlink, and a rename onto
//! another link of the same file work as on a disk. `memory` (the module of the suite) compares it with a local folder,
//! operation for operation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use syntax_publish::host::{
    Answer, Answers, Attr, Connect, Handle, Host, HostError, Kind, Op, Refusal, RefusalKind, Space, Time,
};

use super::intercept::looks_at_lock;

/// The maximum number of symlinks that are followed in one path, as in Linux.
const MOST_LINKS: usize = 40;

/// The number of a node, for as long as the disk exists.
pub type Inode = usize;

const DOCROOT: Inode = 1;

/// The complete content of a host at one moment.
#[derive(Clone)]
pub struct Disk {
    nodes: Vec<Arc<Node>>,
    open: BTreeMap<Handle, Inode>,
    handles: u64,
    now: Time,
    /// A hash of the content without times: the sum of a hash for each name and each content.
    sum: u64,
    /// The effects of each operation, in order, or `None` if no journal is kept.
    journal: Option<Vec<Vec<Effect>>>,
}

/// One effect of an operation on a disk. Each effect may be lost separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A folder gains or loses a name.
    Named {
        folder: Inode,
        name: String,
        there: Option<Inode>,
    },
    /// Bytes are written to a file.
    Written {
        inode: Inode,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// Everything written to a file is on the disk, and so is its time.
    Synced { inode: Inode, mtime: Time },
}

#[derive(Clone)]
struct Node {
    /// Derived from where and as what the node was made: the same in each run of the same operations, in any order.
    id: u64,
    what: What,
    mode: u32,
    mtime: Time,
}

#[derive(Clone)]
enum What {
    Folder {
        names: BTreeMap<String, Inode>,
        above: Inode,
    },
    File(Vec<u8>),
    Symlink(String),
}

/// The reason for a failure, with the names of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errno {
    NoEntry,
    NotAFolder,
    Loop,
    Exists,
    NotEmpty,
    IsAFolder,
    Invalid,
    NotPermitted,
    BadHandle,
}

impl Errno {
    fn kind(self) -> RefusalKind {
        match self {
            Self::NoEntry | Self::NotAFolder | Self::Loop => RefusalKind::NotFound,
            Self::NotPermitted => RefusalKind::Denied,
            Self::Exists | Self::NotEmpty | Self::IsAFolder | Self::Invalid | Self::BadHandle => RefusalKind::Failed,
        }
    }
}

/// Where a path leads: the folder, the last name in it, and what is there.
struct Place {
    folder: Inode,
    name: String,
    there: Option<Inode>,
}

impl Disk {
    /// A docroot that does not exist yet, in a folder that does.
    pub fn new(now: Time) -> Disk {
        let above = Node {
            id: 0,
            what: What::Folder {
                names: BTreeMap::new(),
                above: 0,
            },
            mode: 0o755,
            mtime: now,
        };
        Disk {
            // The docroot's number is reserved before the docroot exists.
            nodes: vec![Arc::new(above.clone()), Arc::new(above)],
            open: BTreeMap::new(),
            handles: 0,
            now,
            sum: 0,
            journal: None,
        }
    }

    /// Starts to record the effects of operations.
    pub fn keep_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// The effects of operations since then, without operations that changed nothing.
    pub fn take_journal(&mut self) -> Vec<Vec<Effect>> {
        let journal = self.journal.take().unwrap_or_default();
        journal.into_iter().filter(|effects| !effects.is_empty()).collect()
    }

    fn note(&mut self, effect: impl FnOnce() -> Effect) {
        if let Some(effects) = self.journal.as_mut().and_then(|journal| journal.last_mut()) {
            effects.push(effect());
        }
    }

    /// The disk with only some effects of the operations up to `end`.
    pub fn with_effects<'e>(&self, end: &Disk, effects: impl IntoIterator<Item = &'e Effect>) -> Disk {
        let mut disk = self.clone();
        disk.open.clear();
        disk.now = end.now;
        for node in end.nodes.iter().skip(self.nodes.len()) {
            let mut node = Node::clone(node);
            match &mut node.what {
                What::Folder { names, .. } => names.clear(),
                What::File(bytes) => bytes.clear(),
                What::Symlink(_) => {}
            }
            node.mtime = end.now;
            disk.nodes.push(Arc::new(node));
        }
        for effect in effects {
            disk.apply(effect);
        }
        disk
    }

    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Named { folder, name, there } => {
                if let What::Folder { names, .. } = &mut Arc::make_mut(&mut self.nodes[*folder]).what {
                    match there {
                        Some(inode) => names.insert(name.clone(), *inode),
                        None => names.remove(name),
                    };
                }
                if let Some(What::Folder { above, .. }) =
                    there.map(|inode| &mut Arc::make_mut(&mut self.nodes[inode]).what)
                {
                    *above = *folder;
                }
            }
            Effect::Written { inode, offset, bytes } => {
                if let What::File(content) = &mut Arc::make_mut(&mut self.nodes[*inode]).what {
                    put_bytes(content, *offset, bytes);
                }
            }
            Effect::Synced { inode, mtime } => Arc::make_mut(&mut self.nodes[*inode]).mtime = *mtime,
        }
    }

    /// Creates everything in a local folder, including hard links and times of files.
    pub fn make_in(&self, docroot: &Path) {
        let mut made: BTreeMap<Inode, PathBuf> = BTreeMap::new();
        let mut todo = vec![(docroot.to_owned(), DOCROOT)];
        while let Some((at, inode)) = todo.pop() {
            match &self.nodes[inode].what {
                What::Folder { names, .. } => {
                    fs::create_dir(&at).expect("a folder");
                    todo.extend(names.iter().map(|(name, inode)| (at.join(name), *inode)));
                }
                _ if made.contains_key(&inode) => fs::hard_link(&made[&inode], &at).expect("a hard link"),
                What::Symlink(text) => symlink(text, &at).expect("a symlink"),
                What::File(bytes) => {
                    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(self.nodes[inode].mtime).unwrap_or(0));
                    let file = fs::File::create(&at).expect("a file");
                    file.write_all_at(bytes, 0).expect("to write a file");
                    file.set_modified(time).expect("a file's time");
                }
            }
            made.entry(inode).or_insert(at);
        }
    }

    /// A hash of the content without times.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Whether something exists, following symlinks.
    pub fn exists(&self, path: &str) -> bool {
        self.there(path, true).is_ok()
    }

    /// The names in a folder, following symlinks to it. Empty if there is no such folder.
    pub fn list(&self, path: &str) -> Vec<String> {
        let names = self.there(path, true).and_then(|inode| self.names(inode));
        names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
    }

    /// The content of a file, following symlinks.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        match &self.nodes[self.there(path, true).ok()?].what {
            What::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Advances the host's clock.
    pub fn pass(&mut self, seconds: Time) {
        self.now += seconds;
    }

    /// Makes the folders and symlinks under a path as old as the epoch.
    pub fn age(&mut self, path: &str) {
        let Some(found) = self.find(path, false).ok().and_then(|place| place.there) else {
            return;
        };
        let mut todo = vec![found];
        while let Some(inode) = todo.pop() {
            // Files in a staging directory are links of objects, and web servers use their times.
            if !matches!(self.nodes[inode].what, What::File(_)) {
                Arc::make_mut(&mut self.nodes[inode]).mtime = 0;
            }
            if let What::Folder { names, .. } = &self.nodes[inode].what {
                todo.extend(names.values().copied());
            }
        }
    }

    /// Sets the time of a single node.
    pub fn touch(&mut self, path: &str, mtime: Time) {
        if let Some(inode) = self.find(path, false).ok().and_then(|place| place.there) {
            Arc::make_mut(&mut self.nodes[inode]).mtime = mtime;
        }
    }

    pub fn now(&self) -> Time {
        self.now
    }

    /// A line for everything in the docroot, by path, without following links. `tell` formats the content.
    pub fn told(&self, tell: impl Fn(&[u8]) -> String) -> BTreeMap<String, String> {
        let mut lines = BTreeMap::new();
        let mut todo = vec![(String::new(), DOCROOT)];
        while let Some((path, inode)) = todo.pop() {
            if let What::Folder { names, .. } = &self.nodes[inode].what {
                for (name, inode) in names {
                    let at = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}/{name}")
                    };
                    let line = match &self.nodes[*inode].what {
                        What::Folder { .. } => {
                            todo.push((at.clone(), *inode));
                            "folder".to_owned()
                        }
                        What::File(bytes) => tell(bytes),
                        What::Symlink(text) => format!("-> {text}"),
                    };
                    lines.insert(at, line);
                }
            }
        }
        lines
    }

    /// Whether both paths lead to one inode.
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        let of = |path: &str| self.find(path, false).ok().and_then(|place| place.there);
        of(one).is_some() && of(one) == of(other)
    }

    /// The text of a symlink.
    pub fn text(&self, path: &str) -> Option<String> {
        let inode = self.find(path, false).ok()?.there?;
        match &self.nodes[inode].what {
            What::Symlink(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Executes one operation according to the contract of a host.
    pub fn execute(&mut self, op: &Op) -> Result<Answer, Refusal> {
        if let Some(journal) = &mut self.journal {
            journal.push(Vec::new());
        }
        self.attempt(op).map_err(|errno| Refusal {
            kind: errno.kind(),
            op: op.to_string(),
            message: format!("{errno:?}"),
        })
    }

    /// Like [`Self::execute`] for a write of which only the first half arrives.
    pub fn execute_half(&mut self, op: &Op) {
        if let Some(op) = half(op) {
            let _ = self.execute(&op);
        }
    }

    #[allow(clippy::too_many_lines, reason = "a case an operation")]
    fn attempt(&mut self, op: &Op) -> Result<Answer, Errno> {
        match op {
            Op::Lstat(path) => Ok(Answer::Attr(self.attr(self.there(path, false)?))),
            Op::Stat(path) => Ok(Answer::Attr(self.attr(self.there(path, true)?))),
            Op::ReadLink(path) => match &self.nodes[self.there(path, false)?].what {
                What::Symlink(text) => Ok(Answer::Text(text.clone())),
                _ => Err(Errno::Invalid),
            },
            Op::Resolve(path) => {
                let place = self.find(path, true)?;
                let inode = place.there.ok_or(Errno::NoEntry)?;
                // A file may have several names. This is the requested one.
                Ok(Answer::Text(match &self.nodes[inode].what {
                    What::Folder { .. } => self.absolute(inode),
                    _ => format!("{}/{}", self.absolute(place.folder), place.name),
                }))
            }
            Op::List(path) => {
                let inode = self.there(path, true)?;
                let names = self.names(inode)?;
                let listed = names.iter().map(|(name, inode)| (name.clone(), self.attr(*inode)));
                Ok(Answer::Names(listed.collect()))
            }
            Op::Space(path) => {
                self.there(path, true)?;
                Ok(Answer::Space(Space {
                    bytes: 1 << 40,
                    files: Some(1 << 20),
                    read_only: false,
                }))
            }
            Op::MakeFolder(path) => {
                let place = self.free(path)?;
                let above = place.folder;
                let node = Node {
                    id: 0,
                    what: What::Folder {
                        names: BTreeMap::new(),
                        above,
                    },
                    mode: 0o755,
                    mtime: self.now,
                };
                if path.is_empty() {
                    self.nodes[DOCROOT] = Arc::new(node);
                    self.put(&place, DOCROOT)
                } else {
                    self.add(&place, node).map(|_| Answer::Done)
                }
            }
            Op::Symlink { text, at } => {
                let place = self.free(at)?;
                let node = Node {
                    id: 0,
                    what: What::Symlink(text.clone()),
                    mode: 0o777,
                    mtime: self.now,
                };
                self.add(&place, node).map(|_| Answer::Done)
            }
            Op::Link { from, to } => {
                let inode = self.there(from, false)?;
                let place = self.find(to, false)?;
                if place.there.is_some() {
                    return Err(Errno::Exists);
                }
                if self.is_folder(inode) {
                    return Err(Errno::NotPermitted);
                }
                self.put(&place, inode)
            }
            Op::Rename { from, to } => self.rename(from, to),
            Op::RemoveFile(path) => {
                let place = self.find(path, false)?;
                if self.is_folder(place.there.ok_or(Errno::NoEntry)?) {
                    return Err(Errno::IsAFolder);
                }
                self.take(&place)
            }
            Op::RemoveFolder(path) => {
                let place = self.find(path, false)?;
                if !self.names(place.there.ok_or(Errno::NoEntry)?)?.is_empty() {
                    return Err(Errno::NotEmpty);
                }
                self.take(&place)
            }
            Op::Create(path) => {
                let place = self.free(path)?;
                let node = Node {
                    id: 0,
                    what: What::File(Vec::new()),
                    mode: 0o644,
                    mtime: self.now,
                };
                let inode = self.add(&place, node)?;
                Ok(self.keep(inode))
            }
            Op::Open(path) => {
                let inode = self.there(path, true)?;
                if self.is_folder(inode) {
                    return Err(Errno::IsAFolder);
                }
                Ok(self.keep(inode))
            }
            Op::Read { handle, offset, length } => {
                let inode = *self.open.get(handle).ok_or(Errno::BadHandle)?;
                let What::File(bytes) = &self.nodes[inode].what else {
                    return Err(Errno::Invalid);
                };
                let from = usize::try_from(*offset).unwrap_or(usize::MAX).min(bytes.len());
                let to = from.saturating_add(*length as usize).min(bytes.len());
                Ok(Answer::Bytes(bytes[from..to].to_vec()))
            }
            Op::Write { handle, offset, bytes } => self.write(*handle, *offset, bytes),
            Op::Copy {
                from,
                offset,
                length,
                to,
                at,
            } => {
                let inode = *self.open.get(from).ok_or(Errno::BadHandle)?;
                let What::File(bytes) = &self.nodes[inode].what else {
                    return Err(Errno::Invalid);
                };
                let begin = usize::try_from(*offset).map_err(|_| Errno::Invalid)?;
                let end = begin.saturating_add(usize::try_from(*length).unwrap_or(usize::MAX));
                let bytes = bytes.get(begin..end).ok_or(Errno::Invalid)?.to_vec();
                self.write(*to, *at, &bytes)
            }
            Op::Finish { handle, mtime } => {
                let inode = self.open.remove(handle).ok_or(Errno::BadHandle)?;
                let node = Arc::make_mut(&mut self.nodes[inode]);
                (node.mode, node.mtime) = (0o644, *mtime);
                self.note(|| Effect::Synced { inode, mtime: *mtime });
                Ok(Answer::Done)
            }
            Op::Close(handle) => self.open.remove(handle).map(|_| Answer::Done).ok_or(Errno::BadHandle),
        }
    }

    /// `rename(2)`.
    fn rename(&mut self, from: &str, to: &str) -> Result<Answer, Errno> {
        let (source, goal) = (self.find(from, false)?, self.find(to, false)?);
        let moved = source.there.ok_or(Errno::NoEntry)?;
        if self.is_folder(moved) && self.is_within(goal.folder, moved) {
            return Err(Errno::Invalid);
        }
        if let Some(replaced) = goal.there {
            if replaced == moved {
                return Ok(Answer::Done);
            }
            match (self.is_folder(moved), self.is_folder(replaced)) {
                // A folder can't be replaced by something inside it either.
                (_, true) if self.is_within(source.folder, replaced) => return Err(Errno::NotEmpty),
                (true, false) => return Err(Errno::NotAFolder),
                (false, true) => return Err(Errno::IsAFolder),
                (true, true) if !self.names(replaced)?.is_empty() => return Err(Errno::NotEmpty),
                _ => {}
            }
        }
        self.take(&source)?;
        self.put(&goal, moved)?;
        if let What::Folder { above, .. } = &mut Arc::make_mut(&mut self.nodes[moved]).what {
            *above = goal.folder;
        }
        Ok(Answer::Done)
    }

    fn is_within(&self, mut inode: Inode, folder: Inode) -> bool {
        loop {
            if inode == folder {
                return true;
            }
            match &self.nodes[inode].what {
                What::Folder { above, .. } if *above != inode => inode = *above,
                _ => return false,
            }
        }
    }

    fn is_folder(&self, inode: Inode) -> bool {
        matches!(self.nodes[inode].what, What::Folder { .. })
    }

    fn names(&self, inode: Inode) -> Result<&BTreeMap<String, Inode>, Errno> {
        match &self.nodes[inode].what {
            What::Folder { names, .. } => Ok(names),
            _ => Err(Errno::NotAFolder),
        }
    }

    fn attr(&self, inode: Inode) -> Attr {
        let node = &self.nodes[inode];
        let (kind, size) = match &node.what {
            What::Folder { .. } => (Kind::Folder, 4096),
            What::File(bytes) => (Kind::File, bytes.len()),
            What::Symlink(text) => (Kind::Symlink, text.len()),
        };
        Attr {
            kind,
            size: size as u64,
            mtime: node.mtime,
            mode: node.mode,
            uid: 1000,
        }
    }

    /// The path of a folder below the docroot.
    pub fn path_of(&self, folder: Inode) -> String {
        let path = self.absolute(folder);
        path.trim_start_matches("/docroot").trim_start_matches('/').to_owned()
    }

    fn absolute(&self, mut folder: Inode) -> String {
        let mut path = String::new();
        while folder != 0 {
            let What::Folder { above, .. } = &self.nodes[folder].what else {
                break;
            };
            let name = self
                .names(*above)
                .ok()
                .and_then(|names| names.iter().find(|(_, there)| **there == folder))
                .map_or("?", |(name, _)| name.as_str());
            path = format!("/{name}{path}");
            folder = *above;
        }
        path
    }

    fn there(&self, path: &str, follow: bool) -> Result<Inode, Errno> {
        self.find(path, follow)?.there.ok_or(Errno::NoEntry)
    }

    /// A place where nothing exists.
    fn free(&self, path: &str) -> Result<Place, Errno> {
        let place = self.find(path, false)?;
        if place.there.is_some() {
            return Err(Errno::Exists);
        }
        Ok(place)
    }

    /// Walks a path. Symlinks before its end are always followed, and one at the end is followed if `follow` is set.
    fn find(&self, path: &str, follow: bool) -> Result<Place, Errno> {
        let mut todo: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).rev().collect();
        todo.push("docroot");
        let mut at: Inode = 0;
        let mut links = 0;
        while let Some(name) = todo.pop() {
            let names = self.names(at)?;
            let last = todo.is_empty();
            if name == "." || name == ".." {
                if let (What::Folder { above, .. }, "..") = (&self.nodes[at].what, name) {
                    at = *above;
                }
                if last {
                    return Ok(Place {
                        folder: at,
                        name: name.to_owned(),
                        there: Some(at),
                    });
                }
                continue;
            }
            let there = names.get(name).copied();
            match there.map(|inode| &self.nodes[inode].what) {
                Some(What::Symlink(text)) if follow || !last => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::Loop);
                    }
                    if text.starts_with('/') {
                        at = 0;
                    }
                    todo.extend(text.split('/').filter(|part| !part.is_empty()).rev());
                }
                _ if last => {
                    return Ok(Place {
                        folder: at,
                        name: name.to_owned(),
                        there,
                    });
                }
                _ => {
                    at = there.ok_or(Errno::NoEntry)?;
                    self.names(at)?;
                }
            }
        }
        Err(Errno::NoEntry)
    }

    fn add(&mut self, place: &Place, mut node: Node) -> Result<Inode, Errno> {
        let what = match &node.what {
            What::Folder { .. } => "a folder",
            What::File(_) => "a file",
            What::Symlink(text) => text,
        };
        node.id = hash((self.nodes[place.folder].id, &place.name, what));
        self.nodes.push(Arc::new(node));
        let inode = self.nodes.len() - 1;
        self.put(place, inode).map(|_| inode)
    }

    fn put(&mut self, place: &Place, inode: Inode) -> Result<Answer, Errno> {
        if let Some(replaced) = self.names(place.folder)?.get(&place.name).copied() {
            self.sum ^= self.name_hash(place, replaced);
        }
        self.sum ^= self.name_hash(place, inode);
        self.note(|| Effect::Named {
            folder: place.folder,
            name: place.name.clone(),
            there: Some(inode),
        });
        self.change(place.folder, |names| {
            names.insert(place.name.clone(), inode);
        })
    }

    fn take(&mut self, place: &Place) -> Result<Answer, Errno> {
        if let Some(there) = place.there {
            self.sum ^= self.name_hash(place, there);
        }
        self.note(|| Effect::Named {
            folder: place.folder,
            name: place.name.clone(),
            there: None,
        });
        self.change(place.folder, |names| {
            names.remove(&place.name);
        })
    }

    fn name_hash(&self, place: &Place, inode: Inode) -> u64 {
        hash((self.nodes[place.folder].id, &place.name, self.nodes[inode].id))
    }

    fn change(&mut self, folder: Inode, change: impl FnOnce(&mut BTreeMap<String, Inode>)) -> Result<Answer, Errno> {
        let now = self.now;
        let node = Arc::make_mut(&mut self.nodes[folder]);
        let What::Folder { names, .. } = &mut node.what else {
            return Err(Errno::NotAFolder);
        };
        change(names);
        node.mtime = now;
        Ok(Answer::Done)
    }

    fn write(&mut self, handle: Handle, offset: u64, bytes: &[u8]) -> Result<Answer, Errno> {
        let inode = *self.open.get(&handle).ok_or(Errno::BadHandle)?;
        let now = self.now;
        let node = Arc::make_mut(&mut self.nodes[inode]);
        let id = node.id;
        let What::File(content) = &mut node.what else {
            return Err(Errno::Invalid);
        };
        let from = usize::try_from(offset).map_err(|_| Errno::Invalid)?;
        let end = from + bytes.len();
        let changed = from.min(content.len()) / BLOCK..end.div_ceil(BLOCK);
        self.sum ^= sum_of_blocks(id, content, changed.clone());
        put_bytes(content, from, bytes);
        self.sum ^= sum_of_blocks(id, content, changed);
        node.mtime = now;
        self.note(|| Effect::Written {
            inode,
            offset: from,
            bytes: bytes.to_vec(),
        });
        Ok(Answer::Done)
    }

    fn keep(&mut self, inode: Inode) -> Answer {
        self.handles += 1;
        self.open.insert(Handle(self.handles), inode);
        Answer::Opened(Handle(self.handles))
    }
}

/// Writes into a file, which grows if it has to.
fn put_bytes(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    // Faster than `resize` without optimisation.
    content.extend_from_slice(&vec![0; end.saturating_sub(content.len())]);
    content[offset..end].copy_from_slice(bytes);
}

/// The content of a file is hashed in blocks of this size, so that a write costs what it writes and not what is there.
const BLOCK: usize = 16 * 1024;

/// The sum of a hash for each of some blocks of a file.
fn sum_of_blocks(id: u64, content: &[u8], blocks: Range<usize>) -> u64 {
    let there = content.chunks(BLOCK).enumerate();
    there
        .skip(blocks.start)
        .take(blocks.len())
        .fold(0, |sum, (number, block)| {
            sum ^ hash((id, number, blake3::hash(block).as_bytes()))
        })
}

/// A hash that is the same in every run.
pub fn hash(thing: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// A write of the first half of another write.
pub fn half(op: &Op) -> Option<Op> {
    match op {
        Op::Write { handle, offset, bytes } => Some(Op::Write {
            handle: *handle,
            offset: *offset,
            bytes: bytes[..bytes.len() / 2].to_vec(),
        }),
        Op::Copy {
            from,
            offset,
            length,
            to,
            at,
        } => Some(Op::Copy {
            from: *from,
            offset: *offset,
            length: length / 2,
            to: *to,
            at: *at,
        }),
        _ => None,
    }
}

/// A disk that several connections share.
#[derive(Clone)]
pub struct Memory {
    disk: Arc<Mutex<Disk>>,
    flights: Arc<AtomicUsize>,
}

/// No test needs this many flights from one state. More of them mean an endless loop.
const MOST_FLIGHTS: usize = 5000;

impl Memory {
    pub fn new(disk: Disk) -> Memory {
        Memory {
            disk: Arc::new(Mutex::new(disk)),
            flights: Arc::default(),
        }
    }

    pub fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the disk with another one.
    pub fn replace(&self, disk: Disk) {
        *self.disk() = disk;
        self.flights.store(0, Ordering::SeqCst);
    }

    pub fn snapshot(&self) -> Disk {
        self.disk().clone()
    }

    /// The content of the docroot, one line for each entry, for messages.
    pub fn listing(&self) -> String {
        let lines = self.disk().told(|bytes| format!("{} bytes", bytes.len()));
        lines.iter().fold(String::new(), |mut text, (path, what)| {
            let _ = writeln!(text, "{path} {what}");
            text
        })
    }
}

impl Host for Memory {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        if self.flights.fetch_add(1, Ordering::SeqCst) > MOST_FLIGHTS {
            let lines: Vec<String> = ops.iter().map(Op::to_string).collect();
            let listing = self.listing();
            panic!("it goes round in circles, with\n{}\n\n{listing}", lines.join("\n"));
        }
        // A client that watches a lock waits between its reads. Tests don't wait, so the host's clock advances instead.
        if looks_at_lock(&ops) {
            self.disk().pass(1);
        }
        let answers = ops.iter().map(|op| self.disk().execute(op)).collect();
        Box::pin(std::future::ready(Ok(answers)))
    }

    fn copies(&self) -> bool {
        true
    }
}

impl Connect for Memory {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Host>) })
    }

    fn connect_more(&self, _files: usize) -> BoxStream<'_, Box<dyn Host>> {
        stream::iter([self, self].map(|more| Box::new(more.clone()) as Box<dyn Host>)).boxed()
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

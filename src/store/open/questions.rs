//! Sends the questions of the plan to the host and reads the answers.
//!
//! As many go in one flight as memory allows. This module must not decide what to ask.

use std::collections::{BTreeSet, HashSet};

use super::reading::{OPEN_AT_ONCE, read_files, read_opened, read_to_ends};
use crate::host::{Answer, Attr, Handle, Kind, MAX_READ, Op, Reply};
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::tree::Tree;
use crate::store::StoreError;
use crate::store::flight::Read;
use crate::store::plan::{HostFacts, HostQuestion, ObjectStamp};
use crate::store::session::Session;

/// Manifests shorter than this, in bytes, are not kept open, because there would be little to copy.
const WORTH_KEEPING: usize = 2048;

/// How many questions go in one flight. Each takes an operation, an answer and usually a refusal in memory while it is
/// under way, and the first publish of a large site has hundreds of thousands.
pub(crate) const ASKED_AT_ONCE: usize = 8192;

/// Manifests that are open on the host, to be read.
pub type Opened = Vec<(Digest, Handle)>;

/// Parses the manifest of a tree; `None` if the bytes do not have this digest or are not in canonical form.
pub(crate) fn read_manifest(digest: Digest, bytes: Vec<u8>) -> Option<Tree> {
    if Digest::of(&bytes) != digest {
        return None;
    }
    Tree::parse(&String::from_utf8(bytes).ok()?).ok()
}

/// Questions under way, in the order of their operations.
#[derive(Default)]
pub struct PendingQuestions {
    plain: Vec<HostQuestion>,
    manifests: Vec<Digest>,
    /// Public paths of pool files to read. They are rare, so they take separate flights.
    pool_bytes: Vec<String>,
    /// Folders of the requested objects. In a folder that belongs to another user, an object can't be given its name.
    folders: BTreeSet<String>,
}

impl PendingQuestions {
    /// Prepares the operations for some questions. Manifests take a second flight, which [`Self::read`] sends.
    pub fn new(questions: impl IntoIterator<Item = HostQuestion>) -> Self {
        let mut asking = Self::default();
        for question in questions {
            match question {
                HostQuestion::Manifest(digest) => asking.manifests.push(digest),
                HostQuestion::PoolBytes(path) => asking.pool_bytes.push(path),
                question => {
                    if let HostQuestion::Object(name) = &question
                        && let Some((folder, _)) = name.rsplit_once('/')
                        && !asking.folders.contains(folder)
                    {
                        asking.folders.insert(folder.to_owned());
                    }
                    asking.plain.push(question);
                }
            }
        }
        asking
    }

    /// The operations of the first flight.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        let opening = self.manifests.iter().take(OPEN_AT_ONCE);
        let opening = opening.map(|digest| Op::Open(layout::manifest(*digest)));
        let folders = self.folders.iter().cloned().map(Op::Lstat);
        let plain = self.plain.iter().filter_map(|question| {
            Some(match question {
                HostQuestion::Live(path) if path.is_root() => Op::Resolve(layout::CURRENT.to_owned()),
                HostQuestion::Live(path) => Op::ReadLink(layout::current(path)),
                HostQuestion::Tree(digest) => Op::Lstat(layout::tree(*digest)),
                HostQuestion::Object(name) => Op::Lstat(name.clone()),
                HostQuestion::Pool(path) => Op::Lstat(layout::pool(path)),
                HostQuestion::Findings(release, piece) => Op::ReadLink(layout::release_findings(release, *piece)),
                HostQuestion::Manifest(_) | HostQuestion::PoolBytes(_) => return None,
            })
        });
        plain.chain(folders).chain(opening).collect()
    }

    /// Reads the answers to [`Self::ops`], and the manifests that it opened.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost.
    pub async fn read(mut self, session: &Session, answers: &[Reply], facts: &mut HostFacts) -> Result<(), StoreError> {
        let opened = self.note(answers, facts);
        let handles: Vec<Handle> = opened.iter().map(|(_, handle)| *handle).collect();
        let contents = read_opened(session, &handles).await?;
        for ((digest, _), bytes) in opened.into_iter().zip(contents) {
            note_manifest(session, facts, digest, bytes)?;
        }
        self.read_the_rest(session, facts).await
    }

    /// Takes the answers to [`Self::ops`]. Returns the manifests that were opened and are still to be read.
    pub(super) fn note(&mut self, answers: &[Reply], facts: &mut HostFacts) -> Opened {
        let (answers, others) = answers.split_at(self.plain.len());
        for (question, answer) in std::mem::take(&mut self.plain).into_iter().zip(answers) {
            match question {
                HostQuestion::Live(path) => {
                    let tree = answer
                        .text()
                        .and_then(|text| text.rsplit('/').next().and_then(|name| name.parse().ok()));
                    facts.live.insert(path, tree);
                }
                HostQuestion::Tree(digest) => {
                    facts
                        .trees
                        .insert(digest, answer.attr().is_some_and(|attr| attr.kind == Kind::Folder));
                }
                HostQuestion::Object(name) => {
                    let attr = answer.attr().filter(|attr| attr.kind == Kind::File);
                    if let Some(attr) = attr {
                        facts.owners.push((name.clone(), attr));
                    }
                    facts.objects.insert(name, attr.map(stamp));
                }
                HostQuestion::Pool(path) => {
                    let attr = answer.attr().filter(|attr| attr.kind == Kind::File);
                    facts.pool.insert(path, attr.map(stamp));
                }
                HostQuestion::Findings(release, piece) => {
                    facts.findings.insert((release, piece), answer.text());
                }
                HostQuestion::Manifest(_) | HostQuestion::PoolBytes(_) => {}
            }
        }
        let (folders, manifests) = others.split_at(self.folders.len());
        for (folder, answer) in self.folders.iter().zip(folders) {
            if let Some(attr) = answer.attr() {
                facts.owners.push((folder.clone(), attr));
            }
        }
        let mut opened = Vec::new();
        for (digest, answer) in self.manifests.iter().zip(manifests) {
            match answer.opened() {
                Some(handle) => opened.push((*digest, handle)),
                None => {
                    facts.manifests.insert(*digest, None);
                }
            }
        }
        opened
    }

    /// Reads pool files, and the manifests that were too many to open together.
    pub(super) async fn read_the_rest(&self, session: &Session, facts: &mut HostFacts) -> Result<(), StoreError> {
        for path in &self.pool_bytes {
            let contents = read_files(session, &[layout::pool(path)]).await?.pop().flatten();
            facts
                .pool_bytes
                .insert(path.clone(), contents.map(|bytes| Digest::of(&bytes)));
        }
        let rest = self.manifests.get(OPEN_AT_ONCE..).unwrap_or_default();
        for more in rest.chunks(OPEN_AT_ONCE) {
            let paths: Vec<String> = more.iter().copied().map(layout::manifest).collect();
            for (digest, bytes) in more.iter().zip(read_files(session, &paths).await?) {
                note_manifest(session, facts, *digest, bytes)?;
            }
        }
        Ok(())
    }
}

fn stamp(attr: Attr) -> ObjectStamp {
    ObjectStamp {
        size: attr.size,
        mtime: attr.mtime,
    }
}

fn note_manifest(
    session: &Session,
    facts: &mut HostFacts,
    digest: Digest,
    bytes: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    session.hold(bytes.as_ref().map_or(0, Vec::len))?;
    let tree = bytes.and_then(|bytes| read_manifest(digest, bytes));
    facts.manifests.insert(digest, tree);
    Ok(())
}

/// Asks some questions and adds the answers to `facts`.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn ask(
    session: &Session,
    facts: &mut HostFacts,
    questions: &BTreeSet<HostQuestion>,
) -> Result<(), StoreError> {
    let mut pending = questions.iter().cloned().peekable();
    while pending.peek().is_some() {
        let asking = PendingQuestions::new(pending.by_ref().take(ASKED_AT_ONCE));
        let answers = session.flight(asking.ops()).await?;
        asking.read(session, &answers, facts).await?;
    }
    Ok(())
}

/// Asks questions until none is left. `next` returns the questions that follow from what is known.
///
/// Manifests that are open, those in `opened` first, are read in the same flight that asks what can be asked without
/// them. A manifest that is long enough to copy from stays open if `kept` has room for it; the number in `kept` is its
/// maximum length.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn answer(
    session: &Session,
    facts: &mut HostFacts,
    mut opened: Opened,
    mut kept: Option<(&mut Opened, usize)>,
    next: impl Fn(&HostFacts) -> BTreeSet<HostQuestion>,
) -> Result<(), StoreError> {
    let mut pending = BTreeSet::new().into_iter();
    loop {
        if pending.len() == 0 {
            let mut questions = next(facts);
            questions.retain(|question| {
                !opened
                    .iter()
                    .any(|(digest, _)| *question == HostQuestion::Manifest(*digest))
            });
            if questions.is_empty() && opened.is_empty() {
                return Ok(());
            }
            pending = questions.into_iter();
        }
        let mut asking = PendingQuestions::new(pending.by_ref().take(ASKED_AT_ONCE));
        let mut ops = asking.ops();
        let asked = ops.len();
        ops.extend(opened.iter().map(|(_, handle)| Op::Read {
            handle: *handle,
            offset: 0,
            length: MAX_READ,
        }));
        let answers = session.flight(ops).await?;
        let reading = std::mem::replace(&mut opened, asking.note(&answers[..asked], facts));
        for ((digest, handle), answer) in reading.into_iter().zip(&answers[asked..]) {
            let bytes = match answer {
                Ok(Answer::Bytes(bytes)) if bytes.len() < MAX_READ as usize => Some(bytes.clone()),
                // The manifest of a wide folder is longer than one answer.
                _ => read_to_ends(session, &[handle]).await?.pop().flatten(),
            };
            let length = bytes.as_ref().map_or(0, Vec::len);
            match &mut kept {
                Some((kept, most)) if kept.len() < *most && length >= WORTH_KEEPING => kept.push((digest, handle)),
                _ => session.send_later([Op::Close(handle)]),
            }
            note_manifest(session, facts, digest, bytes)?;
        }
        asking.read_the_rest(session, facts).await?;
    }
}

/// Loads the manifests of trees, and of all trees below them, level by level, unless `facts` has them already.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn load_trees(session: &Session, facts: &mut HostFacts, roots: &[Digest]) -> Result<(), StoreError> {
    let mut seen: HashSet<Digest> = roots.iter().copied().collect();
    let mut level: Vec<Digest> = roots.to_vec();
    while !level.is_empty() {
        let unknown = level.iter().filter(|digest| !facts.manifests.contains_key(digest));
        ask(session, facts, &unknown.copied().map(HostQuestion::Manifest).collect()).await?;
        let loaded = level.iter().filter_map(|digest| facts.manifest(*digest));
        let below: Vec<Digest> = loaded
            .flat_map(|tree| tree.folders().map(|(_, digest)| digest))
            .collect();
        level = below.into_iter().filter(|digest| seen.insert(*digest)).collect();
    }
    Ok(())
}

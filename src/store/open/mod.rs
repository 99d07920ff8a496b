//! Entering a store: is it one, is it ours, which version, what is live.
//!
//! Reads, and makes an empty store where there's none. It must never take a folder that holds anything else for a
//! store, and never delete.

mod holders;
mod questions;
mod reading;

use std::collections::BTreeSet;

pub use self::holders::{Holder, holders};
pub(crate) use self::questions::read_manifest;
use self::questions::{ASKED_AT_ONCE, PendingQuestions};
pub use self::questions::{Opened, answer, ask, load_trees};
pub(crate) use self::reading::OPEN_AT_ONCE;
pub use self::reading::{documents, read_files, releases, roots, why_unread};
use crate::host::{Answer, Answers, Attr, Kind, Op, Refusal, RefusalKind, Time};
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::path::SitePath;
use crate::model::release::{Generation, Hold, ReleaseId};
use crate::store::StoreError;
use crate::store::pending_purges::Delivery;
use crate::store::plan::{HostFacts, HostQuestion};
use crate::store::refusal::explain;
use crate::store::session::{Read, Session};
use crate::store::staging::StagingDir;

/// What a store says of itself on entering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreState {
    /// Whether there is a store at all.
    pub exists: bool,
    /// The live release.
    pub current: Option<ReleaseId>,
    /// Since when it is live, by the host's clock.
    pub since: Option<Time>,
    /// Why publishing is on hold, if it is.
    pub hold: Option<Hold>,
    /// The last run that changed anything.
    pub generation: Option<Generation>,
    /// When what nothing refers to was last deleted, by the host's clock.
    pub swept: Option<Time>,
    /// What is known of its way to visitors.
    pub delivery: Delivery,
    /// The release that the live one replaced, where that need not be read from its document.
    pub former: Option<ReleaseId>,
    /// The host's clock; 0 where nothing was made to read it from.
    pub now: Time,
    /// The number of the user who publishes, where a workshop was set up.
    pub uid: Option<u32>,
}

/// The first flight: what the store is, with room for more operations behind it.
struct FirstFlight {
    ops: Vec<Op>,
    own: usize,
    staging_dir: usize,
}

const HEAD: usize = 9;

fn first_flight(staging_dir: Option<Vec<Op>>, mark: Option<String>) -> FirstFlight {
    let mut ops = vec![
        Op::Lstat(String::new()),
        Op::ReadLink(layout::FORMAT.to_owned()),
        Op::ReadLink(layout::CURRENT.to_owned()),
        Op::Lstat(layout::CURRENT.to_owned()),
        Op::ReadLink(layout::HOLD.to_owned()),
        Op::ReadLink(layout::GENERATION.to_owned()),
        Op::Lstat(layout::SWEPT.to_owned()),
        Op::ReadLink(layout::DELIVERY.to_owned()),
        Op::ReadLink(layout::FORMER.to_owned()),
    ];
    ops.extend(layout::FOLDERS.iter().map(|folder| Op::Lstat((*folder).to_owned())));
    let workshop_at = ops.len();
    ops.extend(staging_dir.into_iter().flatten());
    ops.extend(mark.map(Op::Lstat));
    FirstFlight {
        own: ops.len(),
        staging_dir: workshop_at,
        ops,
    }
}

/// What a run does in the flight with which it enters a store, behind setting up its workshop.
#[derive(Default)]
pub struct OpenOptions<'a> {
    /// What is asked; of very many, the first.
    pub questions: BTreeSet<HostQuestion>,
    /// So many temporary files are opened.
    pub temps: usize,
    /// Manifests of these trees are opened, to copy from.
    pub bases: Vec<Digest>,
    /// The first that follow are staged in the workshop, then comes [`StagingDir::acquire`], then what a holder of the lock
    /// does. Made again where the store had to be made first.
    pub lock: Option<&'a (dyn Fn(&mut StagingDir) -> LockOps + Sync)>,
}

/// Operations of a run that takes the lock as it enters.
#[derive(Default)]
pub struct LockOps {
    /// What is made in the workshop before.
    pub staged: Vec<Op>,
    /// What the holder of the lock does and asks first.
    pub held: Vec<Op>,
}

/// What came of entering a store.
pub struct Entered {
    /// What the store says of itself.
    pub store_state: StoreState,
    /// Manifests that were asked for and are open, to be read.
    pub opened: Opened,
    /// The answers to [`StagingDir::acquire`] and to [`LockOps::held`].
    pub locking: Answers,
}

/// Enters the store with a workshop, making the store first where there's none, and does more in the same flight.
///
/// Where the lock was taken along the way, the workshop knows of it, also after an error.
///
/// # Errors
/// [`StoreError`].
pub async fn open_store(
    session: &Session,
    staging_dir: &mut StagingDir,
    along: &OpenOptions<'_>,
    facts: &mut HostFacts,
) -> Result<Entered, StoreError> {
    for made in [false, true] {
        session.note_run(staging_dir.run());
        let set_up = staging_dir.set_up(session.owner());
        let mark = layout::preparing(staging_dir.run());
        let mut first = first_flight(Some(set_up), Some(mark));
        let open = staging_dir.open_temps(along.temps);
        let opened_at = first.own;
        first.ops.extend(open);
        let asked_at = first.ops.len();
        let mut asking = PendingQuestions::new(along.questions.iter().take(ASKED_AT_ONCE).cloned());
        first.ops.extend(asking.ops());
        let bases_at = first.ops.len();
        let bases = along.bases.iter().copied();
        first.ops.extend(bases.map(|tree| Op::Open(layout::manifest(tree))));
        let locking = along.lock.map(|lock| lock(staging_dir)).unwrap_or_default();
        let staged_at = first.ops.len();
        first.ops.extend(locking.staged);
        let lock_at = first.ops.len();
        if along.lock.is_some() {
            first.ops.push(staging_dir.acquire());
        }
        first.ops.extend(locking.held);
        let mut answers = session.flight(first.ops).await?;
        let locking = answers.split_off(lock_at.min(answers.len()));
        staging_dir.took_lock(locking.first());
        if !made && (needs_making(session, &answers).await? || lacks_folders(&answers)) {
            if staging_dir.is_holding() {
                crate::store::staging::leave(session, staging_dir).await;
            }
            make(session).await?;
            *staging_dir = StagingDir::new(crate::store::run_id::run_id());
            continue;
        }
        let mut store_state = read_entrance(session, &answers).await?;
        check_made(session, &answers[first.staging_dir..first.own]).await?;
        check_made(session, &answers[staged_at..]).await?;
        if let Some(own) = answers.get(first.own - 1).and_then(Read::attr) {
            check_docroot(session, &answers, own.uid).await?;
            store_state.now = own.mtime;
            store_state.uid = Some(own.uid);
            check_folders(session, &answers, own.uid)?;
        }
        staging_dir.keep_opened(&answers[opened_at..asked_at]);
        session.note_live(store_state.current.clone());
        facts.current.clone_from(&store_state.current);
        let opened = asking.note(&answers[asked_at..bases_at], facts);
        staging_dir.keep_bases(opened_of(&along.bases, &answers[bases_at..staged_at]));
        asking.read_the_rest(session, facts).await?;
        return Ok(Entered {
            store_state,
            opened,
            locking,
        });
    }
    Err(StoreError::Refused {
        host: session.host_name(),
        what: "the store could not be made".to_owned(),
    })
}

/// The files that were opened, each with what it was opened for.
fn opened_of(wanted: &[Digest], answers: &[Result<Answer, Refusal>]) -> Opened {
    let answers = wanted.iter().zip(answers);
    let opened = answers.filter_map(|(digest, answer)| match answer {
        Ok(Answer::Opened(handle)) => Some((*digest, *handle)),
        _ => None,
    });
    opened.collect()
}

/// What was found where a store is, or is to be, before anything was written there.
#[derive(Debug, Clone, Default)]
pub struct StoreSnapshot {
    /// What the store says of itself.
    pub store_state: StoreState,
    /// What is known of the live release: its root, and the folders that were asked for.
    pub facts: HostFacts,
}

/// Looks at a store, or at the place of one, without changing anything: as [`read_state`], and whether the docroot and the folders
/// of the store in it are what they should be, for a symlink in the place of one would lead elsewhere. What is not there yet
/// is fine. Also asks which trees the live release has at some paths. One flight, where there is a store.
///
/// # Errors
/// [`StoreError`].
pub async fn inspect(
    session: &Session,
    folders: impl IntoIterator<Item = SitePath>,
) -> Result<StoreSnapshot, StoreError> {
    let mut ops = first_flight(None, None).ops;
    let own = ops.len();
    ops.push(Op::Stat(String::new()));
    let questions: BTreeSet<HostQuestion> = folders
        .into_iter()
        .chain([SitePath::root()])
        .map(HostQuestion::Live)
        .collect();
    let mut asking = PendingQuestions::new(questions.into_iter().take(ASKED_AT_ONCE));
    ops.extend(asking.ops());
    let answers = session.flight(ops).await?;
    let folders = &answers[HEAD..HEAD + layout::FOLDERS.len()];
    // A docroot without a store is looked at by the run that makes one.
    if let Some(attr) = answers[own].attr()
        && folders.iter().any(Read::done)
    {
        writable_by_others(session, "the docroot", attr, 0o002)?;
    }
    for (folder, answer) in layout::FOLDERS.iter().zip(folders) {
        let Some(attr) = answer.attr() else { continue };
        match attr.kind {
            Kind::Folder => writable_by_others(session, folder, attr, 0o022)?,
            Kind::Symlink => {
                return Err(StoreError::NotAFolder {
                    host: session.host_name(),
                    path: (*folder).to_owned(),
                });
            }
            // Leads nowhere, and is told below with all that is in the docroot, or on entering.
            Kind::File | Kind::Other => {}
        }
    }
    let store_state = seen_from_outside(session, &answers).await?;
    let mut facts = HostFacts {
        current: store_state.current.clone(),
        ..HostFacts::default()
    };
    if store_state.current.is_some() {
        asking.note(&answers[own + 1..], &mut facts);
    }
    Ok(StoreSnapshot { store_state, facts })
}

fn writable_by_others(session: &Session, path: &str, attr: Attr, others: u32) -> Result<(), StoreError> {
    if attr.mode & others == 0 {
        return Ok(());
    }
    Err(StoreError::WritableByOthers {
        host: session.host_name(),
        path: path.to_owned(),
        mode: attr.mode,
    })
}

/// Looks at a store without changing anything. A store that isn't there is an empty one.
///
/// # Errors
/// [`StoreError`].
pub async fn read_state(session: &Session) -> Result<StoreState, StoreError> {
    let answers = session.flight(first_flight(None, None).ops).await?;
    seen_from_outside(session, &answers).await
}

/// Whether there is a folder at the docroot.
///
/// # Errors
/// [`StoreError`] where the connection is lost.
pub async fn has_folder(session: &Session) -> Result<bool, StoreError> {
    let answers = session.flight(vec![Op::Stat(String::new())]).await?;
    Ok(answers.first().is_some_and(Read::done))
}

/// What the answers to [`first_flight`] without a workshop say.
async fn seen_from_outside(session: &Session, answers: &Answers) -> Result<StoreState, StoreError> {
    if answers.first().is_none_or(crate::store::staging::is_gone) || needs_making(session, answers).await? {
        session.note_live(None);
        return Ok(StoreState::default());
    }
    let store_state = read_entrance(session, answers).await?;
    session.note_live(store_state.current.clone());
    Ok(store_state)
}

/// Whether there is no store yet, in a docroot that is missing, empty, or holds the beginnings of one.
async fn needs_making(session: &Session, answers: &Answers) -> Result<bool, StoreError> {
    let host = session.host_name();
    let docroot = answers.first().and_then(Read::attr);
    match docroot {
        Some(attr) if attr.kind != Kind::Folder => {
            // A symlink to a folder is somebody's choice; a file is a mistake.
            let follow = session.flight(vec![Op::Stat(String::new())]).await?;
            if follow
                .first()
                .and_then(Read::attr)
                .is_none_or(|attr| attr.kind != Kind::Folder)
            {
                return Err(StoreError::NotAFolder {
                    host,
                    path: "the docroot".to_owned(),
                });
            }
        }
        Some(_) => {}
        None => return Ok(true),
    }
    if answers.get(1).and_then(Read::text).is_some() {
        return Ok(false);
    }
    let listed = session.flight(vec![Op::List(String::new())]).await?;
    let names = match listed.into_iter().next() {
        Some(Ok(Answer::Names(names))) => names,
        Some(Err(refusal)) => return Err(explain(session, &refusal).await),
        _ => Vec::new(),
    };
    // Somebody else made it between the two questions. Making it again changes nothing, and then it is looked at again.
    let is_mark = |(name, attr): &(String, Attr)| name == layout::FORMAT && attr.kind == Kind::Symlink;
    if names.iter().any(is_mark) {
        return Ok(true);
    }
    let ours = |name: &str| layout::FOLDERS.contains(&name);
    let mut foreign: Vec<String> = names
        .into_iter()
        .filter(|(name, attr)| !(ours(name) && attr.kind == Kind::Folder))
        .map(|(name, _)| crate::model::path::printable(&name))
        .collect();
    foreign.sort_unstable();
    if foreign.is_empty() {
        Ok(true)
    } else if foreign.iter().all(|name| layout::NAMES.contains(&name.as_str())) {
        Err(StoreError::Damaged {
            host,
            path: layout::FORMAT.to_owned(),
            detail: "it is missing, and what else is there looks like a release store".to_owned(),
        })
    } else {
        Err(StoreError::NotAStore { host, names: foreign })
    }
}

/// Whether a folder that every store has is missing: without it nothing could be put in its place.
fn lacks_folders(answers: &Answers) -> bool {
    let folders = answers.iter().skip(HEAD).take(layout::FOLDERS.len());
    folders.into_iter().any(crate::store::staging::is_gone)
}

/// Makes an empty store. Its mark comes last, so half a store is no store, and making it again completes it.
async fn make(session: &Session) -> Result<(), StoreError> {
    let mut ops = vec![Op::MakeFolder(String::new())];
    ops.extend(
        layout::FOLDERS
            .iter()
            .map(|folder| Op::MakeFolder((*folder).to_owned())),
    );
    ops.extend((0..=u8::MAX).map(|first| Op::MakeFolder(layout::object_folder(first))));
    let folders = ops.len();
    ops.extend((0..=u8::MAX).map(|first| Op::Lstat(layout::object_folder(first))));
    ops.extend(layout::FOLDERS.iter().map(|folder| Op::Lstat((*folder).to_owned())));
    let answers = session.flight(ops).await?;
    if answers[folders..].iter().any(|answer| !answer.done()) {
        let refusal = answers
            .iter()
            .find_map(|answer| answer.refusal().filter(|r| r.kind != RefusalKind::Failed));
        return Err(match refusal {
            Some(refusal) if refusal.kind == RefusalKind::NotFound => StoreError::NoParent {
                host: session.host_name(),
            },
            Some(refusal) => explain(session, refusal).await,
            None => match answers.iter().find_map(Read::refusal) {
                Some(refusal) => explain(session, refusal).await,
                None => StoreError::NoParent {
                    host: session.host_name(),
                },
            },
        });
    }
    let mark = Op::Symlink {
        text: layout::format_text(),
        at: layout::FORMAT.to_owned(),
    };
    session.flight(vec![mark]).await?;
    Ok(())
}

async fn read_entrance(session: &Session, answers: &Answers) -> Result<StoreState, StoreError> {
    // What can't be read is not what isn't there: on a store that says nothing of a hold, publishing would go on.
    let refusals = [1, 2, 4, 5, 7]
        .into_iter()
        .filter_map(|index| answers.get(index)?.refusal());
    for refusal in refusals {
        if refusal.kind != RefusalKind::NotFound {
            return Err(explain(session, refusal).await);
        }
    }
    let host = session.host_name();
    let text = |index: usize| answers.get(index).and_then(Read::text);
    let damaged = |path: &str, detail: String| StoreError::Damaged {
        host: host.clone(),
        path: path.to_owned(),
        detail,
    };
    let format = text(1).unwrap_or_default();
    if format != layout::format_text() {
        return Err(StoreError::NewerFormat {
            host,
            found: crate::model::path::printable(&format),
        });
    }
    let current = match text(2) {
        Some(text) => Some(read_current(&text).ok_or_else(|| {
            damaged(
                layout::CURRENT,
                format!("it points to {:?}", crate::model::path::printable(&text)),
            )
        })?),
        None => None,
    };
    let hold = text(4).map(|text| Hold::read(&text));
    // A generation that does not read is as good as none: the next run writes a new one.
    let generation = text(5).and_then(|text| text.parse().ok());
    let since = answers.get(3).and_then(Read::attr).map(|attr| attr.mtime);
    let swept = answers.get(6).and_then(Read::attr).map(|attr| attr.mtime);
    let delivery = text(7).map(|text| Delivery::read(&text)).unwrap_or_default();
    let former = text(8).and_then(|text| layout::read_former(&text, current.as_ref()?));
    Ok(StoreState {
        exists: true,
        delivery,
        former,
        swept,
        current,
        since,
        hold,
        generation,
        now: 0,
        uid: None,
    })
}

/// The release that the text of `current` names.
#[must_use]
pub fn read_current(text: &str) -> Option<ReleaseId> {
    text.trim_end_matches('/')
        .strip_prefix(layout::RELEASES)?
        .strip_prefix('/')?
        .parse()
        .ok()
}

async fn check_made(session: &Session, answers: &[Result<Answer, Refusal>]) -> Result<(), StoreError> {
    match answers.iter().find_map(Read::refusal) {
        Some(refusal) => Err(explain(session, refusal).await),
        None => Ok(()),
    }
}

/// Anyone who may write to the docroot can put anything in place of what is in it. One that belongs to another user, such as
/// root, may be open to a group: that is how its owner lets us in.
async fn check_docroot(session: &Session, answers: &Answers, ours: u32) -> Result<(), StoreError> {
    let mut docroot = answers.first().and_then(Read::attr);
    if docroot.is_some_and(|attr| attr.kind == Kind::Symlink) {
        docroot = session
            .flight(vec![Op::Stat(String::new())])
            .await?
            .first()
            .and_then(Read::attr);
    }
    let Some(attr) = docroot else { return Ok(()) };
    let others = if attr.uid == ours { 0o022 } else { 0o002 };
    writable_by_others(session, "the docroot", attr, others)
}

fn check_folders(session: &Session, answers: &Answers, ours: u32) -> Result<(), StoreError> {
    for (index, folder) in layout::FOLDERS.iter().enumerate() {
        let Some(attr) = answers.get(HEAD + index).and_then(Read::attr) else {
            continue;
        };
        if attr.kind != Kind::Folder {
            return Err(StoreError::NotAFolder {
                host: session.host_name(),
                path: (*folder).to_owned(),
            });
        }
        check_owner(session, folder, attr, ours)?;
    }
    Ok(())
}

/// Only the user who publishes may own or write what a release is made of.
///
/// # Errors
/// [`StoreError::ForeignOwner`], [`StoreError::WritableByOthers`].
pub fn check_owner(session: &Session, path: &str, attr: Attr, ours: u32) -> Result<(), StoreError> {
    let (host, path) = (session.host_name(), path.to_owned());
    if attr.uid != ours {
        return Err(StoreError::ForeignOwner {
            host,
            path,
            uid: attr.uid,
            ours,
        });
    }
    if attr.kind != Kind::Symlink && attr.mode & 0o022 != 0 {
        return Err(StoreError::WritableByOthers {
            host,
            path,
            mode: attr.mode,
        });
    }
    Ok(())
}

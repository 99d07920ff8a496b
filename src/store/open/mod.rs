//! Enters a store: checks that it is a store, that it belongs to the publishing account, and that its format is known,
//! and reads what is live.
//!
//! Reads, sets up the run's staging directory, and makes an empty store if there is none. It must never take a folder
//! that contains anything else for a store, and must never delete.

mod holders;
mod questions;
mod reading;

use std::collections::BTreeSet;

pub use self::holders::{Holder, holders};
pub(crate) use self::questions::read_manifest;
use self::questions::{ASKED_AT_ONCE, PendingQuestions};
pub use self::questions::{Opened, answer, ask, load_trees};
pub(crate) use self::reading::OPEN_AT_ONCE;
pub(crate) use self::reading::list;
pub use self::reading::{document, documents, read_files, releases, root, roots, why_unread};
use crate::host::{Answers, Attr, Kind, Op, RefusalKind, Reply, Time};
use crate::model::channel::Slot;
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::path::{SitePath, printable};
use crate::model::release::{Generation, Hold, ReleaseId};
use crate::store::flight::{Flight, Landed, Read, Ticket, Tickets};
use crate::store::pending_purges::Delivery;
use crate::store::plan::{HostFacts, HostQuestion};
use crate::store::refusal::{all_done, done_or_gone, explain};
use crate::store::session::Session;
use crate::store::staging::StagingDir;
use crate::store::{StoreError, StorePath};

/// The state of a store, as read on entering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreState {
    /// Whether there is a store at all.
    pub exists: bool,
    /// The live release.
    pub current: Option<ReleaseId>,
    /// Since when it has been live, by the host's clock.
    pub since: Option<Time>,
    /// Why publishing is on hold, if it is.
    pub hold: Option<Hold>,
    /// The last run that changed anything.
    pub generation: Option<Generation>,
    /// When that was, by the host's clock.
    pub changed: Option<Time>,
    /// When prune last deleted what nothing refers to, by the host's clock.
    pub swept: Option<Time>,
    /// What is known about the delivery to visitors.
    pub delivery: Delivery,
    /// The release that the live one replaced, if `former` names it, so that the live release's document need not be
    /// read.
    pub former: Option<ReleaseId>,
    /// The host's clock; 0 if nothing was made to read it from.
    pub now: Time,
    /// The uid of the publishing account, if a staging directory was set up.
    pub uid: Option<u32>,
}

/// What every run reads of a store first.
struct Head {
    docroot: Ticket<Attr>,
    format: Ticket<String>,
    current: Ticket<String>,
    current_link: Ticket<Attr>,
    hold: Ticket<String>,
    generation: Ticket<String>,
    generation_link: Ticket<Attr>,
    swept: Ticket<Attr>,
    delivery: Ticket<String>,
    former: Ticket<String>,
    /// One ticket for each of [`layout::FOLDERS`].
    folders: Tickets,
}

impl Head {
    fn add_to(flight: &mut Flight) -> Self {
        Self {
            docroot: flight.lstat(""),
            format: flight.read_link(layout::FORMAT),
            current: flight.read_link(layout::CURRENT),
            current_link: flight.lstat(layout::CURRENT),
            hold: flight.read_link(layout::HOLD),
            generation: flight.read_link(layout::GENERATION),
            generation_link: flight.lstat(layout::GENERATION),
            swept: flight.lstat(layout::SWEPT),
            delivery: flight.read_link(layout::DELIVERY),
            former: flight.read_link(layout::FORMER),
            folders: flight.extend(layout::FOLDERS.iter().map(|folder| Op::Lstat((*folder).to_owned()))),
        }
    }
}

/// What a run does in the flight that enters a store, after setting up its staging directory.
#[derive(Default)]
pub struct OpenOptions<'a> {
    /// The questions to ask. If there are very many, only the first are asked.
    pub questions: BTreeSet<HostQuestion>,
    /// How many temporary files to open.
    pub temps: usize,
    /// Trees whose manifests are opened, to copy from.
    pub bases: Vec<Digest>,
    /// Returns the operations of a run that takes the lock in this flight: [`LockOps::staged`], then
    /// [`StagingDir::acquire`], then [`LockOps::held`]. Called again if the store had to be made first.
    pub lock: Option<&'a (dyn Fn(&mut StagingDir) -> LockOps + Sync)>,
}

/// Operations of a run that takes the lock as it enters.
#[derive(Default)]
pub struct LockOps {
    /// What is made in the staging directory before the lock is taken.
    pub staged: Vec<Op>,
    /// What the holder of the lock does and reads first.
    pub held: Vec<Op>,
}

/// The result of entering a store.
pub struct Entered {
    /// The state of the store.
    pub store_state: StoreState,
    /// Manifests that were requested and are open, to be read.
    pub opened: Opened,
    /// The answers to [`StagingDir::acquire`] and to [`LockOps::held`].
    pub locking: Answers,
}

/// Enters the store with a staging directory, makes the store first if there is none, and does what `along` says in the
/// same flight.
///
/// If this takes the lock, `staging_dir` records it, even if an error is returned.
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
        let mut flight = Flight::default();
        let head = Head::add_to(&mut flight);
        let set_up = flight.extend(staging_dir.set_up(session.owner()));
        let own = flight.lstat(layout::preparing(staging_dir.run()));
        let temps = flight.extend(staging_dir.open_temps(along.temps));
        let mut asking = PendingQuestions::new(along.questions.iter().take(ASKED_AT_ONCE).cloned());
        let asked = flight.extend(asking.ops());
        let bases = along.bases.iter().copied();
        let bases = flight.extend(bases.map(|tree| Op::Open(layout::manifest(tree))));
        let locking = along.lock.map(|lock| lock(staging_dir)).unwrap_or_default();
        let staged = flight.extend(locking.staged);
        let acquire = along.lock.map(|_| staging_dir.acquire());
        let locking = flight.extend(acquire.into_iter().chain(locking.held));
        let answers = session.send(flight).await?;
        let locking = answers.all(&locking).to_vec();
        staging_dir.took_lock(locking.first());
        if !made {
            let is_new = needs_making(session, &head, &answers).await?;
            if is_new || lacks_folders(&head, &answers) {
                // A store that lacks a folder, for example one of before redirects, has this staging directory already.
                if staging_dir.is_holding() || !is_new {
                    // The flight may have made the file to sync last, too.
                    staging_dir.litter_file("last");
                    crate::store::staging::leave(session, staging_dir).await;
                }
                make(session).await?;
                *staging_dir = staging_dir.renewed(crate::store::run_id::run_id());
                continue;
            }
        }
        let mut store_state = read_entrance(session, &head, &answers).await?;
        let made = answers
            .all(&set_up)
            .iter()
            .chain(answers.to(own).reply())
            .chain(answers.all(&staged));
        all_done(session, made).await?;
        if let Some(own) = answers.to(own).attr() {
            check_docroot(session, &head, &answers, own.uid).await?;
            store_state.now = own.mtime;
            store_state.uid = Some(own.uid);
            check_folders(session, &head, &answers, Some(own.uid))?;
        }
        staging_dir.keep_opened(answers.all(&temps));
        session.note_live(store_state.current.clone());
        facts.current.clone_from(&store_state.current);
        let opened = asking.note(answers.all(&asked), facts);
        staging_dir.keep_bases(opened_of(&along.bases, answers.all(&bases)));
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
        opening: false,
    })
}

/// Enters the store with a staging directory, as [`open_store`] does, and does nothing else.
///
/// # Errors
/// [`StoreError`].
pub async fn enter(session: &Session, staging_dir: &mut StagingDir) -> Result<StoreState, StoreError> {
    let entered = open_store(session, staging_dir, &OpenOptions::default(), &mut HostFacts::default()).await?;
    Ok(entered.store_state)
}

/// The files that were opened, each with the digest that it was opened for.
fn opened_of(wanted: &[Digest], answers: &[Reply]) -> Opened {
    let answers = wanted.iter().zip(answers);
    answers
        .filter_map(|(digest, answer)| Some((*digest, answer.opened()?)))
        .collect()
}

/// What was found where a store is, or is to be, before this run wrote anything there.
#[derive(Debug, Clone, Default)]
pub struct StoreSnapshot {
    /// The state of the store.
    pub store_state: StoreState,
    /// What is known of the live release: its root, and the folders that were requested.
    pub facts: HostFacts,
}

/// Inspects a store, or the place of one, without changing anything.
///
/// Reads the same as [`read_state`], and checks that the docroot and the folders of the store in it are what they
/// should be, because a symlink in place of one would lead elsewhere. What does not exist yet is fine. Also asks which
/// trees the live release has at some paths. This is one flight if there is a store and the docroot is not a symlink.
///
/// # Errors
/// [`StoreError`].
pub async fn inspect(
    session: &Session,
    folders: impl IntoIterator<Item = SitePath>,
) -> Result<StoreSnapshot, StoreError> {
    let mut flight = Flight::default();
    let head = Head::add_to(&mut flight);
    let docroot = flight.stat("");
    let questions: BTreeSet<HostQuestion> = folders
        .into_iter()
        .chain([SitePath::root()])
        .map(HostQuestion::Live)
        .collect();
    let mut asking = PendingQuestions::new(questions.into_iter().take(ASKED_AT_ONCE));
    let asked = flight.extend(asking.ops());
    let answers = session.send(flight).await?;
    let folders = answers.all(&head.folders);
    // A docroot without a store is checked by the run that makes one.
    if let Some(attr) = answers.to(docroot).attr()
        && folders.iter().any(Read::done)
    {
        writable_by_others(session, StorePath::Docroot, attr, 0o002)?;
    }
    check_folders(session, &head, &answers, None)?;
    let store_state = seen_from_outside(session, &head, &answers).await?;
    let mut facts = HostFacts {
        current: store_state.current.clone(),
        ..HostFacts::default()
    };
    if store_state.current.is_some() {
        asking.note(answers.all(&asked), &mut facts);
    }
    Ok(StoreSnapshot { store_state, facts })
}

fn writable_by_others(session: &Session, path: StorePath, attr: Attr, others: u32) -> Result<(), StoreError> {
    if attr.mode & others == 0 {
        return Ok(());
    }
    Err(StoreError::WritableByOthers {
        host: session.host_name(),
        path,
        mode: attr.mode,
    })
}

/// Reads the state of a store without changing anything. A store that doesn't exist counts as empty.
///
/// # Errors
/// [`StoreError`].
pub async fn read_state(session: &Session) -> Result<StoreState, StoreError> {
    let mut flight = Flight::default();
    let head = Head::add_to(&mut flight);
    let answers = session.send(flight).await?;
    seen_from_outside(session, &head, &answers).await
}

/// Whether there is a folder at the docroot.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn has_folder(session: &Session) -> Result<bool, StoreError> {
    Ok(session.ask(Op::Stat(String::new())).await?.done())
}

/// The state of the store, from the answers to a run that has no staging directory.
async fn seen_from_outside(session: &Session, head: &Head, answers: &Landed) -> Result<StoreState, StoreError> {
    let docroot = answers.to(head.docroot);
    if docroot.reply().is_none_or(Read::is_gone) || needs_making(session, head, answers).await? {
        session.note_live(None);
        return Ok(StoreState::default());
    }
    let store_state = read_entrance(session, head, answers).await?;
    session.note_live(store_state.current.clone());
    Ok(store_state)
}

/// Whether there is no store yet, in a docroot that is missing, empty, or contains the beginnings of one.
async fn needs_making(session: &Session, head: &Head, answers: &Landed) -> Result<bool, StoreError> {
    let host = session.host_name();
    match answers.to(head.docroot).attr() {
        Some(attr) if attr.kind != Kind::Folder => {
            // A symlink to a folder is a deliberate choice; a file is a mistake.
            let follow = session.ask(Op::Stat(String::new())).await?.attr();
            if follow.is_none_or(|attr| attr.kind != Kind::Folder) {
                return Err(StoreError::NotAFolder {
                    host,
                    path: StorePath::Docroot,
                });
            }
        }
        Some(_) => {}
        None => return Ok(true),
    }
    if answers.to(head.format).text().is_some() {
        return Ok(false);
    }
    let listed = session.ask(Op::List(String::new())).await?;
    all_done(session, [&listed]).await?;
    let names = listed.names().unwrap_or_default();
    // Another run made the store between the two flights. Making it again changes nothing, and then it is read again.
    let is_mark = |(name, attr): &(String, Attr)| name == layout::FORMAT && attr.kind == Kind::Symlink;
    if names.iter().any(is_mark) {
        return Ok(true);
    }
    let ours = |name: &str| layout::FOLDERS.contains(&name);
    let mut foreign: Vec<String> = names
        .iter()
        .filter(|(name, attr)| !(ours(name) && attr.kind == Kind::Folder))
        .map(|(name, _)| printable(name))
        .collect();
    foreign.sort_unstable();
    if foreign.is_empty() {
        Ok(true)
    } else if foreign.iter().all(|name| layout::NAMES.contains(&name.as_str())) {
        let detail = "it is missing, and what else is there looks like a release store";
        Err(StoreError::damaged(host, layout::FORMAT, detail))
    } else {
        Err(StoreError::NotAStore { host, names: foreign })
    }
}

/// Whether a folder that every store has is missing. Nothing could be renamed into it.
fn lacks_folders(head: &Head, answers: &Landed) -> bool {
    answers.all(&head.folders).iter().any(Read::is_gone)
}

/// Makes an empty store. Its mark comes last, so a store that is half made does not count as one, and making it again
/// completes it.
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
        let telling = answers
            .iter()
            .filter_map(Read::refusal)
            .find(|refusal| refusal.kind != RefusalKind::Failed);
        return Err(match telling.or(answers.iter().find_map(Read::refusal)) {
            Some(refusal) if refusal.kind != RefusalKind::NotFound => explain(session, refusal).await,
            _ => StoreError::NoParent {
                host: session.host_name(),
            },
        });
    }
    let mark = Op::symlink(layout::format_text(), layout::FORMAT);
    session.flight(vec![mark]).await?;
    Ok(())
}

async fn read_entrance(session: &Session, head: &Head, answers: &Landed) -> Result<StoreState, StoreError> {
    // What can't be read may exist. If an unreadable hold counted as none, publishing would go on.
    let needed = [head.format, head.current, head.hold, head.generation, head.delivery];
    done_or_gone(
        session,
        needed.into_iter().filter_map(|ticket| answers.to(ticket).reply()),
    )
    .await?;
    let host = session.host_name();
    let format = answers.to(head.format).text().unwrap_or_default();
    if format != layout::format_text() {
        return Err(StoreError::NewerFormat {
            host,
            found: printable(&format),
        });
    }
    let current = match answers.to(head.current).text() {
        Some(text) => Some(read_current(&text).ok_or_else(|| {
            StoreError::damaged(host, layout::CURRENT, format!("it points to {:?}", printable(&text)))
        })?),
        None => None,
    };
    let hold = answers.to(head.hold).text().map(|text| Hold::read(&text));
    // A generation that can't be parsed counts as none, because the next run writes a new one.
    let generation = answers.to(head.generation).text().and_then(|text| text.parse().ok());
    let since = answers.to(head.current_link).attr().map(|attr| attr.mtime);
    let changed = answers.to(head.generation_link).attr().map(|attr| attr.mtime);
    let swept = answers.to(head.swept).attr().map(|attr| attr.mtime);
    let delivery = Delivery::read(answers.to(head.delivery).text());
    let former = answers.to(head.former).text();
    let former = former.and_then(|text| layout::read_former(&text, current.as_ref()?));
    Ok(StoreState {
        exists: true,
        delivery,
        former,
        changed,
        swept,
        current,
        since,
        hold,
        generation,
        now: 0,
        uid: None,
    })
}

/// The release that the text of `current` names; `None` if it names none.
pub fn read_current(text: &str) -> Option<ReleaseId> {
    layout::read_slot(&Slot::Live, text)
}

/// Checks who may write to the docroot, because those users can replace anything in it. A docroot that belongs to
/// another user, such as root, may be writable by a group: that is how its owner gives the publishing account access.
async fn check_docroot(session: &Session, head: &Head, answers: &Landed, ours: u32) -> Result<(), StoreError> {
    let mut docroot = answers.to(head.docroot).attr();
    if docroot.is_some_and(|attr| attr.kind == Kind::Symlink) {
        docroot = session.ask(Op::Stat(String::new())).await?.attr();
    }
    let Some(attr) = docroot else { return Ok(()) };
    let others = if attr.uid == ours { 0o022 } else { 0o002 };
    writable_by_others(session, StorePath::Docroot, attr, others)
}

/// Checks the folders of the store. The user number of the publishing account is known only once it has made something.
fn check_folders(session: &Session, head: &Head, answers: &Landed, ours: Option<u32>) -> Result<(), StoreError> {
    for (folder, answer) in layout::FOLDERS.iter().zip(answers.all(&head.folders)) {
        let Some(attr) = answer.attr() else { continue };
        match attr.kind {
            Kind::Folder => check_owner(session, folder, attr, ours)?,
            // A file leads nowhere. It is reported with everything that is in the docroot, or on entering.
            Kind::File | Kind::Other if ours.is_none() => {}
            _ => {
                return Err(StoreError::NotAFolder {
                    host: session.host_name(),
                    path: StorePath::below(*folder),
                });
            }
        }
    }
    Ok(())
}

/// Checks that only the publishing account owns what a release is made of, and that only it may write there.
///
/// # Errors
/// [`StoreError::ForeignOwner`], [`StoreError::WritableByOthers`].
pub fn check_owner(session: &Session, path: &str, attr: Attr, ours: Option<u32>) -> Result<(), StoreError> {
    match ours {
        Some(ours) if attr.uid != ours => Err(StoreError::ForeignOwner {
            host: session.host_name(),
            path: path.to_owned(),
            uid: attr.uid,
            ours,
        }),
        _ => writable_by_others(session, StorePath::below(path), attr, 0o022),
    }
}

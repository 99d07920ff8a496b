//! Reads what is on the host: releases, the chain from each to the previous one, and what differs between two.
//!
//! Only reads.

use std::collections::HashSet;

use crate::host::{Kind, Op, Time};
use crate::model::layout;
use crate::model::manifest::{self, Changes};
use crate::model::path::printable;
use crate::model::release::{Hold, Owner, ReleaseDocument, ReleaseId, RunId};
use crate::store::flight::Read;
use crate::store::pending_purges::Delivery;
use crate::store::plan::{HostFacts, HostQuestion};
use crate::store::refusal::done_or_gone;
use crate::store::session::Session;
use crate::store::staging::read_owner;
use crate::store::{Error, StoreError, open};

/// One release of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its ID.
    pub id: ReleaseId,
    /// Whether it is live.
    pub current: bool,
    /// Its document; `None` if that is missing or damaged.
    pub document: Option<ReleaseDocument>,
}

/// Every release of the store, newest first.
///
/// # Errors
/// [`Error`].
pub async fn list(session: &Session) -> Result<Vec<Listed>, Error> {
    let store_state = open::read_state(session).await?;
    let ids = if store_state.exists {
        open::releases(session).await?
    } else {
        Vec::new()
    };
    let documents = open::documents(session, &ids).await?;
    let listed = ids.into_iter().zip(documents).map(|(id, document)| {
        let current = store_state.current.as_ref() == Some(&id);
        Listed { id, current, document }
    });
    Ok(listed.collect())
}

/// Returns the release whose ID has a unique prefix.
///
/// # Errors
/// [`Error::NoSuchRelease`], [`Error::AmbiguousRelease`].
pub async fn resolve(session: &Session, wanted: &str) -> Result<ReleaseId, Error> {
    let there = open::releases(session).await?;
    if let Some(exact) = there.iter().find(|id| id.as_str() == wanted) {
        return Ok(exact.clone());
    }
    let mut candidates: Vec<ReleaseId> = there
        .iter()
        .filter(|id| !wanted.is_empty() && id.as_str().starts_with(wanted))
        .cloned()
        .collect();
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        0 => Err(Error::NoSuchRelease {
            wanted: printable(wanted),
            there,
        }),
        _ => Err(Error::AmbiguousRelease {
            wanted: wanted.to_owned(),
            candidates,
        }),
    }
}

/// Returns the release that many steps before another, along the releases that each replaced. Pruned releases don't
/// count.
///
/// # Errors
/// [`Error::NoFormerRelease`].
pub async fn steps_back(session: &Session, from: &ReleaseId, steps: u32) -> Result<ReleaseId, Error> {
    let there: HashSet<ReleaseId> = open::releases(session).await?.into_iter().collect();
    let mut at = from.clone();
    let mut seen = HashSet::from([from.clone()]);
    for step in 0..steps {
        let too_few = || Error::NoFormerRelease {
            from: from.clone(),
            wanted: steps,
            there: step,
        };
        loop {
            let document = open::document(session, &at).await?;
            let Some(previous) = document.and_then(|document| document.previous) else {
                return Err(too_few());
            };
            // A circular history was written by another program.
            if !seen.insert(previous.clone()) {
                return Err(too_few());
            }
            at = previous;
            if there.contains(&at) {
                break;
            }
        }
    }
    Ok(at)
}

/// Returns what differs between two releases.
///
/// # Errors
/// [`Error`].
pub async fn diff(session: &Session, from: &ReleaseId, to: &ReleaseId) -> Result<Changes, Error> {
    let roots = open::roots(session, &[from.clone(), to.clone()]).await?;
    let [Some(from_root), Some(to_root)] = roots[..] else {
        let is_later = roots.first().is_some_and(Option::is_some);
        return Err(Error::no_release(if is_later { to } else { from }));
    };
    let mut facts = HostFacts::default();
    loop {
        let known = |digest| facts.manifest(digest);
        match manifest::diff(Some(from_root), Some(to_root), &known) {
            Ok(changes) => return Ok(changes),
            Err(unknown) => {
                let before = facts.manifests.values().flatten().count();
                let path = unknown
                    .first()
                    .copied()
                    .map_or(layout::MANIFESTS.to_owned(), layout::manifest);
                let questions = unknown.into_iter().map(HostQuestion::Manifest).collect();
                open::ask(session, &mut facts, &questions).await?;
                if facts.manifests.values().flatten().count() == before {
                    return Err(StoreError::damaged(
                        session.host_name(),
                        path,
                        "the manifest is missing or does not read",
                    )
                    .into());
                }
            }
        }
    }
}

/// What is live, and what the store contains.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// The live release.
    pub release: Option<ReleaseId>,
    /// Since when, by the host's clock, in seconds since 1970.
    pub since: Option<Time>,
    /// Its document.
    pub document: Option<ReleaseDocument>,
    /// How many releases there are.
    pub releases: u64,
    /// Bytes of all objects.
    pub bytes_stored: u64,
    /// Why publishing is on hold.
    pub hold: Option<Hold>,
    /// The lock, if it is held.
    pub lock: Option<Lock>,
    /// Files of the pool.
    pub pool: u64,
    /// What the last probe of the live site found, and what a CDN still has to purge; `None` if neither is known.
    pub delivery: Option<Delivery>,
}

/// A lock that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The run that holds it, or the stray name that blocks it.
    pub name: String,
    /// The owner of that run, if it can be read.
    pub owner: Option<Owner>,
}

/// Reads what is live, and what the store contains.
///
/// # Errors
/// [`Error`].
pub async fn status(session: &Session) -> Result<Status, Error> {
    let store_state = open::read_state(session).await?;
    let mut status = Status {
        release: store_state.current.clone(),
        since: store_state.since,
        hold: store_state.hold,
        delivery: Some(store_state.delivery).filter(|known| *known != Delivery::default()),
        ..Status::default()
    };
    if !store_state.exists {
        return Ok(status);
    }
    status.releases = open::releases(session).await?.len() as u64;
    if let Some(live) = &store_state.current {
        status.document = open::document(session, live).await?;
    }
    let folders = (0..=u8::MAX).map(layout::object_folder);
    for (_, attr) in list_folders(session, folders.collect()).await? {
        if attr.kind == Kind::File {
            status.bytes_stored = status.bytes_stored.saturating_add(attr.size);
        }
    }
    let (pool, _) = files_below(session, layout::POOL).await?;
    let encoded = |path: &str| path.ends_with(".br") || path.ends_with(".gz");
    status.pool = pool.iter().filter(|path| !encoded(path)).count() as u64;
    let names = session.ask(Op::List(layout::LOCK.to_owned())).await?;
    if let Some((name, _)) = names.names().and_then(<[_]>::first) {
        let owner = match name.parse::<RunId>() {
            Ok(run) => read_owner(session, &run).await?,
            Err(_) => None,
        };
        status.lock = Some(Lock {
            name: printable(name),
            owner,
        });
    }
    Ok(status)
}

/// Returns everything in some folders, with paths below the docroot. A missing folder counts as empty.
///
/// # Errors
/// [`Error`] if the connection is lost, or if the host refuses to list a folder: a refused list is not an empty one.
pub(crate) async fn list_folders(
    session: &Session,
    folders: Vec<String>,
) -> Result<Vec<(String, crate::host::Attr)>, Error> {
    let answers = session.flight(folders.iter().cloned().map(Op::List).collect()).await?;
    done_or_gone(session, &answers).await?;
    let listed = folders.iter().zip(&answers).flat_map(|(folder, answer)| {
        let names = answer.names().unwrap_or_default();
        names
            .iter()
            .map(move |(name, attr)| (format!("{folder}/{name}"), *attr))
    });
    Ok(listed.collect())
}

/// Returns every file below a folder, with paths below the docroot, and every folder, parents before children. Symlinks
/// are not followed and count as files.
///
/// # Errors
/// [`Error`] if the connection is lost, or if the host refuses to list a folder.
pub(crate) async fn files_below(session: &Session, folder: &str) -> Result<(Vec<String>, Vec<String>), Error> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let mut todo = vec![folder.to_owned()];
    while !todo.is_empty() {
        let found = list_folders(session, std::mem::take(&mut todo)).await?;
        for (path, attr) in found {
            if attr.kind == Kind::Folder {
                folders.push(path.clone());
                todo.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok((files, folders))
}

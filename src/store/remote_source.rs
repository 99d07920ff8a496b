//! A release that is read back from the host: its manifest, and the content of its files when they are asked for. Only
//! reads.
//!
//! Content is compared with its digest before it is believed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle as Runtime;

use crate::host::{Answer, Host, MAX_READ, Op};
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::layout;
use crate::model::manifest::{Coverage, MOST_FOLDERS, Site};
use crate::model::path::SitePath;
use crate::site::source::{Source, SourceError, in_pieces, unchanged};
use crate::store::flight::Read;
use crate::store::plan::HostFacts;
use crate::store::session::Session;
use crate::store::{Error, StoreError, open};

/// How many bytes of content are kept in memory. A file of more than a sixteenth of this is not kept.
const KEPT: usize = 64 << 20;

/// How much longer than its file an encoding may be, in bytes.
const SLACK: u64 = 1 << 20;

/// How many pieces of a file are asked for at the same time.
const AT_ONCE: u64 = 64;

/// Reads the manifest of a site whose top folder has this tree.
///
/// # Errors
/// [`StoreError`] if a manifest is missing or damaged, or if the connection is lost.
pub async fn site(session: &Session, root: Digest) -> Result<Site, StoreError> {
    let (site, extent) = readable_part(session, root).await?;
    if extent == Coverage::Whole {
        return Ok(site);
    }
    let detail = "it is missing or does not read, or one below it";
    Err(StoreError::damaged(session.host_name(), layout::manifest(root), detail))
}

/// Reads the manifest of a site, without folders whose manifests are missing or damaged.
///
/// # Errors
/// [`StoreError`] if the site is larger than any, or if the connection is lost.
pub async fn readable_part(session: &Session, root: Digest) -> Result<(Site, Coverage), StoreError> {
    let mut facts = HostFacts::default();
    open::load_trees(session, &mut facts, &[root]).await?;
    let read = Site::of_trees(root, MOST_FOLDERS, &|digest| facts.manifest(digest));
    read.ok_or_else(|| StoreError::endless(session.host_name(), root))
}

/// The content of a site that is on a host. It must be used on a thread that may block.
pub struct RemoteSource {
    session: Arc<Session>,
    site: Site,
    runtime: Runtime,
    kept: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    /// Whether a lost connection is made again, one reader at a time. `None`: a run that has begun something on the host
    /// has to do that itself.
    again: Option<tokio::sync::Mutex<()>>,
}

impl RemoteSource {
    /// The content of this site. Must be called by a task.
    pub fn new(session: Arc<Session>, site: Site) -> Self {
        Self {
            session,
            site,
            runtime: Runtime::current(),
            kept: Mutex::default(),
            again: None,
        }
    }

    /// Makes a connection again that was lost between two reads. Only for a session that does nothing else.
    #[must_use]
    pub fn reconnecting(mut self) -> Self {
        self.again = Some(tokio::sync::Mutex::default());
        self
    }

    async fn read_again(&self, name: &str, most: u64) -> Result<Vec<u8>, Error> {
        let host = self.session.host().await?;
        match (read(&self.session, &*host, name, most).await, &self.again) {
            (Err(Error::Store(StoreError::Host(error))), Some(again)) if error.is_loss() => {
                let _alone = again.lock().await;
                let there = self.session.connected();
                let host = match there.filter(|there| !Arc::ptr_eq(there, &host)) {
                    Some(newer) => newer,
                    None => self.session.connect_again().await?,
                };
                read(&self.session, &*host, name, most).await
            }
            (read, _) => read,
        }
    }

    /// Returns an object, which has at most so many bytes.
    fn object(&self, path: &SitePath, name: &str, most: u64) -> Result<Arc<Vec<u8>>, SourceError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept().get(name) {
            return Ok(Arc::clone(bytes));
        }
        let read = self.runtime.block_on(self.read_again(name, most));
        let bytes = read.map(Arc::new).map_err(|error| SourceError::Unreadable {
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        if bytes.len() > KEPT / 16 {
            return Ok(bytes);
        }
        let mut kept = kept();
        if kept.values().map(|bytes| bytes.len()).sum::<usize>() + bytes.len() > KEPT {
            kept.clear();
        }
        kept.insert(name.to_owned(), Arc::clone(&bytes));
        Ok(bytes)
    }
}

/// Reads a file of the store, which has at most so many bytes. All over one connection, because a handle means another
/// file on the next.
async fn read(session: &Session, host: &dyn Host, path: &str, most: u64) -> Result<Vec<u8>, Error> {
    let opened = host.flight(vec![Op::Open(path.to_owned())]).await?;
    let Some(handle) = opened.first().opened() else {
        return Err(StoreError::damaged(session.host_name(), path, "it is missing or can't be read").into());
    };
    let mut bytes = Vec::new();
    let is_complete = loop {
        let before = bytes.len() as u64;
        let pieces = (most.saturating_sub(before) / u64::from(MAX_READ) + 1).min(AT_ONCE);
        let pieces = (0..pieces).map(|piece| Op::Read {
            handle,
            offset: before + piece * u64::from(MAX_READ),
            length: MAX_READ,
        });
        let answers = host.flight(pieces.collect()).await?;
        for answer in &answers {
            if let Ok(Answer::Bytes(piece)) = answer {
                bytes.extend_from_slice(piece);
            }
        }
        if bytes.len() as u64 > most {
            break false;
        }
        if (bytes.len() as u64) < before + answers.len() as u64 * u64::from(MAX_READ) {
            break answers.iter().all(Read::done);
        }
    };
    host.flight(vec![Op::Close(handle)]).await?;
    if !is_complete {
        return Err(
            StoreError::damaged(session.host_name(), path, "it is too long, or can't be read to its end").into(),
        );
    }
    Ok(bytes)
}

impl Source for RemoteSource {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let bytes = self.object(path, &layout::object(digest), size)?;
        unchanged(bytes.to_vec(), path, digest, size)
    }

    fn read_pieces(
        &self,
        path: &SitePath,
        digest: Digest,
        size: u64,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        let bytes = self.object(path, &layout::object(digest), size)?;
        if bytes.len() as u64 != size || Digest::of(&bytes) != digest {
            return Err(SourceError::Changed(path.clone()));
        }
        in_pieces(&bytes, take);
        Ok(())
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        let file = self.site.file(path);
        let named = file.and_then(|file| Some((file, file.encodings.get(coding)?)));
        let (file, recipe) = named.ok_or_else(|| SourceError::Changed(path.clone()))?;
        let name = layout::encoded_object(file.digest, coding, recipe);
        let bytes = self.object(path, &name, file.size.saturating_add(SLACK))?;
        Ok(bytes.to_vec())
    }
}

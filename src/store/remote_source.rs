//! A release that is read back from the host: its manifest, and the content of its files when they are asked for. Only
//! reads.
//!
//! Content is compared with its digest before it is believed. That of a large file is passed on while it is read, and
//! compared at its end.

use std::collections::HashMap;
use std::io::{self, Cursor, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle as Runtime;

use crate::host::{Answer, Handle, Host, MAX_READ, Op};
use crate::model::digest::Digest;
use crate::model::encoding::Coding;
use crate::model::layout;
use crate::model::manifest::{Coverage, MOST_FOLDERS, Site};
use crate::model::path::SitePath;
use crate::site::source::{Source, SourceError, in_pieces, unchanged, unchanged_pieces_of};
use crate::store::flight::Read;
use crate::store::plan::HostFacts;
use crate::store::session::Session;
use crate::store::{Error, StoreError, open};

/// How many bytes of content are kept in memory. A file of more than a sixteenth of this is not kept.
const KEPT: usize = 64 << 20;

/// How much longer than its file an encoding may be, in bytes.
const SLACK: u64 = 1 << 20;

/// How many pieces of a file are asked for at the same time.
const AT_ONCE: u64 = 16;

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

    /// Returns an object, which has at most so many bytes.
    fn object(&self, path: &SitePath, name: &str, most: u64) -> Result<Arc<Vec<u8>>, SourceError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept().get(name) {
            return Ok(Arc::clone(bytes));
        }
        let mut bytes = Vec::new();
        self.with_file(name, most, |file| file.read_to_end(&mut bytes))
            .map_err(SourceError::unreadable(path))?;
        let bytes = Arc::new(bytes);
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

    /// Opens a file of the store, which has at most so many bytes, for as long as `work` reads it.
    fn with_file<T>(&self, name: &str, most: u64, work: impl FnOnce(&mut RemoteFile<'_>) -> T) -> T {
        let mut file = RemoteFile {
            source: self,
            name,
            most,
            host: None,
            handle: None,
            at: 0,
            is_complete: false,
            ahead: Cursor::default(),
        };
        let done = work(&mut file);
        if let (Some(host), Some(handle)) = (file.host, file.handle) {
            // If the connection is lost, the host closes the file.
            let _ = self.runtime.block_on(host.flight(vec![Op::Close(handle)]));
        }
        done
    }
}

/// A file of the store that is being read.
struct RemoteFile<'a> {
    source: &'a RemoteSource,
    name: &'a str,
    /// The most bytes that it may have.
    most: u64,
    /// The connection over which it is open. The handle means another file on the next one.
    host: Option<Arc<dyn Host>>,
    handle: Option<Handle>,
    /// How many bytes the host has sent, and whether that is all.
    at: u64,
    is_complete: bool,
    /// The last of them.
    ahead: Cursor<Vec<u8>>,
}

impl RemoteFile<'_> {
    /// Returns the next bytes; none at the end.
    async fn fetch(&mut self) -> Result<Vec<u8>, Error> {
        let fetched = self.fetch_once().await;
        let Some(again) = &self.source.again else {
            return fetched;
        };
        match fetched {
            Err(Error::Store(StoreError::Host(error))) if error.is_loss() => {
                let session = &self.source.session;
                let _alone = again.lock().await;
                self.handle = None;
                let lost = self.host.take();
                let is_lost = |there: &Arc<dyn Host>| lost.as_ref().is_none_or(|lost| Arc::ptr_eq(there, lost));
                // Another reader may have made it already.
                if session.connected().as_ref().is_none_or(is_lost) {
                    session.connect_again().await?;
                }
                self.fetch_once().await
            }
            fetched => fetched,
        }
    }

    async fn fetch_once(&mut self) -> Result<Vec<u8>, Error> {
        let damaged = |detail| StoreError::damaged(self.source.session.host_name(), self.name, detail);
        let host = match &self.host {
            Some(host) => Arc::clone(host),
            None => Arc::clone(self.host.insert(self.source.session.host().await?)),
        };
        if self.handle.is_none() {
            let opened = host.flight(vec![Op::Open(self.name.to_owned())]).await?;
            self.handle = opened.first().opened();
        }
        let handle = self.handle.ok_or_else(|| damaged("it is missing or can't be read"))?;
        let pieces = (self.most.saturating_sub(self.at) / u64::from(MAX_READ) + 1).min(AT_ONCE);
        let ops = (0..pieces).map(|piece| Op::Read {
            handle,
            offset: self.at + piece * u64::from(MAX_READ),
            length: MAX_READ,
        });
        let answers = host.flight(ops.collect()).await?;
        let mut bytes = Vec::new();
        for answer in &answers {
            if let Ok(Answer::Bytes(piece)) = answer {
                bytes.extend_from_slice(piece);
            }
        }
        self.at += bytes.len() as u64;
        self.is_complete = (bytes.len() as u64) < pieces * u64::from(MAX_READ);
        if self.at > self.most || (self.is_complete && !answers.iter().all(Read::done)) {
            return Err(damaged("it is too long, or can't be read to its end").into());
        }
        Ok(bytes)
    }
}

impl io::Read for RemoteFile<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.ahead.read(bytes)?;
        if read > 0 || bytes.is_empty() || self.is_complete {
            return Ok(read);
        }
        let runtime = self.source.runtime.clone();
        self.ahead = Cursor::new(runtime.block_on(self.fetch()).map_err(io::Error::other)?);
        self.ahead.read(bytes)
    }
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
        let name = layout::object(digest);
        if size > KEPT as u64 / 16 {
            return self.with_file(&name, size, |file| unchanged_pieces_of(file, path, digest, size, take));
        }
        in_pieces(&self.read(path, digest, size)?, take);
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

//! Reads files and makes encodings for answers, on threads apart from those that handle requests.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::poll_fn;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::Preview;
use super::body::{self, Body};
use super::encodings::level;
use super::snapshot::{Resource, Snapshot};
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::path::SitePath;
use crate::site::encode::encode_file;
use crate::site::source::SourceError;

/// A longer file is sent while it is read, and is never held in memory as a whole.
const LARGE: u64 = 4 << 20;

/// The number of pieces of a large file that may wait for the client.
const AHEAD: usize = 2;

/// A part of the body of an answer: text between ranges of a file, or a range of the file.
pub enum BodyPart {
    Text(String),
    Part(Range<u64>),
}

impl Preview {
    /// Returns an encoding of a file: the one in the export if `recipe` names it, or one made at a fast level. `None`
    /// if a made encoding is no smaller than the file.
    pub(super) async fn encoding(
        &self,
        site: &Arc<Snapshot>,
        found: &Resource,
        coding: Coding,
        recipe: Recipe,
    ) -> Result<Option<Bytes>, SourceError> {
        let key = (found.file.digest, coding, recipe);
        let make = async || {
            let (site, found) = (Arc::clone(site), found.clone());
            self.aside(move || make(&site, &found, coding, recipe)).await
        };
        self.encodings.get(key, make).await
    }

    /// Returns an encoding of content that is not a file of the site.
    pub(super) async fn encoding_of(
        &self,
        bytes: &Bytes,
        path: &SitePath,
        coding: Coding,
    ) -> Result<Option<Bytes>, SourceError> {
        let key = (Digest::of(bytes), coding, Recipe::made(level(coding)));
        let make = async || {
            let (bytes, path) = (bytes.clone(), path.clone());
            self.aside(move || encoded(&path, coding, &bytes)).await
        };
        self.encodings.get(key, make).await
    }

    /// Returns a body that consists of these sections of a file.
    pub(super) async fn sections(
        &self,
        site: &Arc<Snapshot>,
        found: &Resource,
        sections: Vec<BodyPart>,
    ) -> Result<Body, SourceError> {
        let (site, found) = (Arc::clone(site), found.clone());
        if found.file.size > LARGE {
            return Ok(self.stream(site, found, sections).await);
        }
        let bytes = self
            .aside(move || site.source.read(&found.path, found.file.digest, found.file.size))
            .await?;
        Ok(body::whole(joined(&Bytes::from(bytes), &sections)))
    }

    /// Returns a body that is read while it is sent. An error after the first bytes ends the connection, so that the
    /// client notices that the answer is incomplete.
    async fn stream(&self, site: Arc<Snapshot>, found: Resource, sections: Vec<BodyPart>) -> Body {
        let permit = Arc::clone(&self.streams).acquire_owned().await;
        let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            for section in sections {
                let sent = match section {
                    BodyPart::Text(text) => sender.blocking_send(Ok(Bytes::from(text))).is_ok(),
                    BodyPart::Part(part) => send_part(&site, &found, &part, &sender),
                };
                if !sent {
                    return;
                }
            }
        });
        body::streamed(poll_fn(move |context| {
            receiver.poll_recv(context).map(|piece| Some(piece?.map(Frame::data)))
        }))
    }

    /// Runs blocking work on a separate thread, a few pieces of work at a time.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let ended = |detail: String| SourceError::Worker(detail);
        let permit = Arc::clone(&self.work).acquire_owned().await;
        let permit = permit.map_err(|error| ended(error.to_string()))?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        work.await.map_err(|error| ended(crate::host::panics::said(error)))?
    }
}

/// Concatenates sections of `bytes`.
pub(super) fn joined(bytes: &Bytes, sections: &[BodyPart]) -> Bytes {
    if let [BodyPart::Part(part)] = sections {
        return bytes.slice_ref(slice(bytes, part));
    }
    let mut whole = Vec::new();
    for section in sections {
        match section {
            BodyPart::Text(text) => whole.extend_from_slice(text.as_bytes()),
            BodyPart::Part(part) => whole.extend_from_slice(slice(bytes, part)),
        }
    }
    Bytes::from(whole)
}

fn slice<'b>(bytes: &'b [u8], part: &Range<u64>) -> &'b [u8] {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(part.start)..at(part.end)).unwrap_or_default()
}

/// Sends a range of a large file. Returns whether the client still takes more.
fn send_part(site: &Snapshot, found: &Resource, part: &Range<u64>, sender: &mpsc::Sender<io::Result<Bytes>>) -> bool {
    let (mut at, mut is_heard) = (0_u64, true);
    let mut take = |piece: Vec<u8>| {
        let begins = at;
        at += piece.len() as u64;
        let wanted = part.start.saturating_sub(begins)..part.end.saturating_sub(begins);
        let wanted = slice(&piece, &wanted);
        if !wanted.is_empty() {
            is_heard = sender.blocking_send(Ok(Bytes::copy_from_slice(wanted))).is_ok();
        }
        is_heard && at < part.end
    };
    let (digest, size) = (found.file.digest, found.file.size);
    match site.source.read_pieces(&found.path, digest, size, &mut take) {
        Ok(()) => is_heard,
        Err(error) => {
            let _ = sender.blocking_send(Err(io::Error::other(error)));
            false
        }
    }
}

fn make(site: &Snapshot, found: &Resource, coding: Coding, recipe: Recipe) -> Result<Option<Bytes>, SourceError> {
    let path = &found.path;
    // If the export no longer has this encoding, or has different content in it, the encoding is made like any other.
    if let Recipe::Given { .. } = recipe
        && let Ok(given) = site.source.read_given(path, coding)
        && Recipe::given(Digest::of(&given)) == recipe
    {
        return Ok(Some(Bytes::from(given)));
    }
    let bytes = site.source.read(path, found.file.digest, found.file.size)?;
    encoded(path, coding, &bytes)
}

fn encoded(path: &SitePath, coding: Coding, bytes: &[u8]) -> Result<Option<Bytes>, SourceError> {
    Ok(encode_file(path, coding, level(coding), bytes)?.map(Bytes::from))
}

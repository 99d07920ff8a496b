//! The bytes of files and their encodings, read and made beside the requests.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::poll_fn;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::Preview;
use super::body::{self, Body};
use super::encodings::{EncodingKey, level};
use super::snapshot::{Resource, Snapshot};
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::path::SitePath;
use crate::site::encode::{Verified, encode};
use crate::site::source::SourceError;

/// A longer file is sent while it is read, and never held as a whole.
const LARGE: u64 = 4 << 20;

/// How much of a large file is read at once, and how many such pieces wait for the client.
const PIECE: usize = 256 << 10;
const AHEAD: usize = 2;

/// A part of an answer: text between parts of a file, or a part of the file.
pub enum BodyPart {
    Text(String),
    Part(Range<u64>),
}

impl Preview {
    /// A file's encoding, as small as can be had at once; none where it is no smaller than the file.
    pub(super) async fn encoding(
        &self,
        site: &Arc<Snapshot>,
        found: &Resource,
        coding: Coding,
        recipe: Recipe,
    ) -> Result<Option<Bytes>, SourceError> {
        let key = EncodingKey {
            digest: found.file.digest,
            coding,
            recipe,
        };
        let make = async || {
            let (site, found) = (Arc::clone(site), found.clone());
            self.aside(move || make(&site, &found, coding, recipe)).await
        };
        self.encodings.get(key, make).await
    }

    /// An encoding of bytes that are in no file of the site.
    pub(super) async fn encoding_of(
        &self,
        bytes: &Bytes,
        path: &SitePath,
        coding: Coding,
    ) -> Result<Option<Bytes>, SourceError> {
        let key = EncodingKey {
            digest: Digest::of(bytes),
            coding,
            recipe: Recipe::made(level(coding)),
        };
        let make = async || {
            let (bytes, path) = (bytes.clone(), path.clone());
            self.aside(move || encoded(&path, coding, &bytes)).await
        };
        self.encodings.get(key, make).await
    }

    /// The body of an answer that consists of these sections of a file.
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
        Ok(body::of(joined(&Bytes::from(bytes), &sections)))
    }

    /// A body that is read while it is sent. What goes wrong after its beginning ends the connection: the client has to
    /// know that it has not got all.
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

    /// Does what keeps a thread busy on a thread of its own, few at once.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let ended = |detail: String| SourceError::Worker { detail };
        let permit = Arc::clone(&self.work).acquire_owned().await;
        let permit = permit.map_err(|error| ended(error.to_string()))?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        work.await.map_err(|error| ended(crate::host::panics::said(error)))?
    }
}

/// Sections of bytes, one behind the other.
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

/// Sends a part of a large file. Whether there is anybody left to send more to.
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
    match site.source.read_pieces(&found.path, digest, size, PIECE, &mut take) {
        Ok(()) => is_heard,
        Err(error) => {
            let _ = sender.blocking_send(Err(io::Error::other(error)));
            false
        }
    }
}

fn make(site: &Snapshot, found: &Resource, coding: Coding, recipe: Recipe) -> Result<Option<Bytes>, SourceError> {
    let path = &found.path;
    // One that the export brought along and has no more, or has another by now, is made like the others.
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
    let made = encode(coding, level(coding), bytes).map_err(|error| SourceError::Encoder {
        path: path.clone(),
        coding,
        detail: error.to_string(),
    })?;
    Ok(made.map(Verified::into_bytes).map(Bytes::from))
}

//! Reads documents, manifests and links of a store. It must not change anything.

use crate::host::{Answer, Attr, Handle, Kind, MAX_READ, Op, Refusal};
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::store::StoreError;
use crate::store::flight::Read;
use crate::store::refusal::done_or_gone;
use crate::store::session::Session;

/// How many files are open on the host at the same time. `sftp-server` stops at the limit of its process, often 1024.
pub(crate) const OPEN_AT_ONCE: usize = 256;

/// The maximum size of a document or manifest in bytes, which is that of a folder of 400,000 files.
const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

/// The maximum size of all files that are read together, in bytes.
const MAX_TOGETHER: u64 = 4 * MAX_DOCUMENT;

/// How many files of more than one piece are read at the same time.
const LONG_AT_ONCE: usize = 8;

/// Reads open files to their ends, together, and closes them. `None` for one that can't be read or is too large.
pub(super) async fn read_opened(session: &Session, handles: &[Handle]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let contents = read_to_ends(session, handles).await?;
    session.send_later(handles.iter().copied().map(Op::Close));
    Ok(contents)
}

/// Like [`read_opened`], but leaves the files open.
pub(super) async fn read_to_ends(session: &Session, handles: &[Handle]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let mut contents: Vec<Option<Vec<u8>>> = vec![Some(Vec::new()); handles.len()];
    let mut open: Vec<usize> = (0..handles.len()).collect();
    // The first flight reads one piece of each file, which is all that most files have.
    let mut pieces: u64 = 1;
    while !open.is_empty() {
        let mut ops = Vec::new();
        // Long files take turns, so that few pieces are in memory at the same time.
        let later = open.split_off(open.len().min(if pieces == 1 { open.len() } else { LONG_AT_ONCE }));
        for &index in &open {
            let from = contents[index].as_ref().map_or(0, Vec::len) as u64;
            ops.extend((0..pieces).map(|piece| Op::Read {
                handle: handles[index],
                offset: from + piece * u64::from(MAX_READ),
                length: MAX_READ,
            }));
        }
        let answers = session.flight(ops).await?;
        let mut unfinished = Vec::new();
        for (&index, answers) in open.iter().zip(answers.chunks(usize::try_from(pieces).unwrap_or(1))) {
            let mut ended = false;
            for answer in answers {
                match (answer, &mut contents[index]) {
                    (Ok(Answer::Bytes(bytes)), Some(content)) if !ended => {
                        content.extend_from_slice(bytes);
                        ended = bytes.len() < MAX_READ as usize;
                    }
                    _ if ended => {}
                    (_, content) => {
                        *content = None;
                        ended = true;
                    }
                }
            }
            let length = |content: &Vec<u8>| content.len() as u64;
            let together: u64 = contents.iter().flatten().map(length).sum();
            let own = contents[index].as_ref().map_or(0, length);
            let too_large = own > MAX_DOCUMENT || together > MAX_TOGETHER;
            if too_large {
                contents[index] = None;
            }
            if !ended && !too_large {
                unfinished.push(index);
            }
        }
        open = unfinished;
        open.extend(later);
        pieces = 16;
    }
    Ok(contents)
}

/// Reads small files completely, few enough to be open at the same time. `None` for one that is missing, can't be read
/// or is too large.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn read_files(session: &Session, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let answers = session.flight(paths.iter().cloned().map(Op::Open).collect()).await?;
    let handles: Vec<Option<Handle>> = answers.iter().map(Read::opened).collect();
    let opened: Vec<Handle> = handles.iter().flatten().copied().collect();
    let mut contents = read_opened(session, &opened).await?.into_iter();
    Ok(handles
        .into_iter()
        .map(|handle| handle.and_then(|_| contents.next().flatten()))
        .collect())
}

/// Lists a folder; one that does not exist is empty.
///
/// # Errors
/// [`StoreError`], also if the host refuses to list it: a refused list is not an empty one.
pub(crate) async fn list(session: &Session, folder: &str) -> Result<Vec<(String, Attr)>, StoreError> {
    let reply = session.ask(Op::List(folder.to_owned())).await?;
    done_or_gone(session, [&reply]).await?;
    Ok(reply.names().unwrap_or_default().to_vec())
}

/// Returns every release that the store lists, newest first.
///
/// # Errors
/// [`StoreError`], also if the host refuses to list the releases: a refused list is not an empty one.
pub async fn releases(session: &Session) -> Result<Vec<ReleaseId>, StoreError> {
    let names = list(session, layout::RELEASES).await?.into_iter();
    let links = names.filter(|(_, attr)| attr.kind == Kind::Symlink);
    let mut ids: Vec<ReleaseId> = links.filter_map(|(name, _)| name.parse().ok()).collect();
    ids.sort_unstable();
    ids.reverse();
    Ok(ids)
}

/// The documents of some releases; `None` for one that is missing or damaged.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn documents(session: &Session, ids: &[ReleaseId]) -> Result<Vec<Option<ReleaseDocument>>, StoreError> {
    let paths: Vec<String> = ids.iter().map(layout::release_document).collect();
    let mut documents = Vec::new();
    for some in paths.chunks(OPEN_AT_ONCE) {
        for bytes in read_files(session, some).await? {
            session.hold(bytes.as_ref().map_or(0, Vec::len))?;
            documents.push(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()));
        }
    }
    Ok(documents)
}

/// The document of a release; `None` if it is missing or damaged.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn document(session: &Session, id: &ReleaseId) -> Result<Option<ReleaseDocument>, StoreError> {
    Ok(documents(session, std::slice::from_ref(id)).await?.pop().flatten())
}

/// Why the host refuses to read a file that exists; `None` if it does not refuse, or if there is no such file.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn why_unread(session: &Session, path: &str) -> Result<Option<Refusal>, StoreError> {
    let reply = session.ask(Op::Open(path.to_owned())).await?;
    let Some(handle) = reply.opened() else {
        return Ok(reply.unexpected_refusal().cloned());
    };
    let read = Op::Read {
        handle,
        offset: 0,
        length: 1,
    };
    let answers = session.flight(vec![read, Op::Close(handle)]).await?;
    Ok(answers.first().refusal().cloned())
}

/// The root digest that a release points to; `None` if it can't be parsed.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn root(session: &Session, id: &ReleaseId) -> Result<Option<Digest>, StoreError> {
    Ok(roots(session, std::slice::from_ref(id)).await?.pop().flatten())
}

/// The root digests that some releases point to; `None` for one that can't be parsed.
///
/// # Errors
/// [`StoreError`] if the connection is lost.
pub async fn roots(session: &Session, ids: &[ReleaseId]) -> Result<Vec<Option<Digest>>, StoreError> {
    let ops = ids.iter().map(|id| Op::ReadLink(layout::release(id))).collect();
    let answers = session.flight(ops).await?;
    let root = |text: String| text.strip_prefix("../trees/").and_then(|name| name.parse().ok());
    Ok(answers.iter().map(|answer| answer.text().and_then(root)).collect())
}

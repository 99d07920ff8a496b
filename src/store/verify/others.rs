//! Excludes faults of pool files that belong to another release. This module must only read.
//!
//! With `immutable = "warn"` a path in the pool can get different content, and a rollback does not restore the former
//! content. Visitors miss nothing, because nginx serves the live release's own file first. So such a file is not a
//! fault as long as it is exactly what a release of the store has under that path.

use std::collections::BTreeSet;

use super::deep::{self, FileToRead};
use super::fault::{CopyPlace, StoreFault, StoreFlaw};
use crate::host::{Kind, Op};
use crate::model::event::Silent;
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::store::content::Content;
use crate::store::flight::Read;
use crate::store::session::Session;
use crate::store::{Error, open};

/// Returns the faults without those of pool files that are intact files of another release.
pub(super) async fn without(session: &Session, mut faults: Vec<StoreFault>) -> Result<Vec<StoreFault>, Error> {
    let doubtful: BTreeSet<SitePath> = faults.iter().filter_map(pool_path).cloned().collect();
    if doubtful.is_empty() {
        return Ok(faults);
    }
    for (path, holders) in open::holders(session, &doubtful).await? {
        let mut tried = BTreeSet::new();
        for holder in holders {
            if tried.insert(holder.file.digest) && is_intact(session, &path, &holder.file).await? {
                faults.retain(|fault| pool_path(fault) != Some(&path) || !is_content_of(fault, &holder.file));
                break;
            }
        }
    }
    Ok(faults)
}

/// Returns the path of a pool file that does not have the content that it should have.
fn pool_path(fault: &StoreFault) -> Option<&SitePath> {
    match fault {
        StoreFault::File {
            place: CopyPlace::Pool { path },
            flaw: StoreFlaw::Size { .. } | StoreFlaw::Bytes,
            ..
        } => Some(path),
        _ => None,
    }
}

/// Whether a fault is about content that a file has: its own bytes, or an encoding that was published with it. Another
/// encoding next to the file is not from that release, and nginx would serve it.
fn is_content_of(fault: &StoreFault, file: &File) -> bool {
    match fault {
        StoreFault::File { content, .. } => content
            .encoded
            .is_none_or(|(coding, _)| file.encodings.get(coding).is_some()),
        _ => false,
    }
}

/// Whether the pool has exactly this file at a path. Its encodings may be missing; those that exist must be intact.
async fn is_intact(session: &Session, path: &SitePath, file: &File) -> Result<bool, Error> {
    let place = CopyPlace::Pool { path: path.clone() };
    let contents: Vec<Content> = Content::of_file(file).collect();
    let ops = contents.iter().map(|content| Op::Lstat(place.store_path(content)));
    let answers = session.flight(ops.collect()).await?;
    let mut readings = Vec::new();
    for (content, answer) in contents.into_iter().zip(&answers) {
        let attr = answer.attr().filter(|attr| attr.kind == Kind::File);
        match (attr, content.encoded) {
            (Some(attr), None) if attr.size != content.size => return Ok(false),
            (Some(attr), _) => readings.push(FileToRead {
                place: place.clone(),
                content,
                size: attr.size,
            }),
            (None, None) => return Ok(false),
            (None, Some(_)) => {}
        }
    }
    Ok(deep::read_back(session, readings, &Silent).await?.is_empty())
}

//! Files of the pool that are another release's. Only reads.
//!
//! With `immutable = "warn"` a path of the pool can get other bytes, and a rollback does not take them back. Visitors miss
//! nothing: the live release's own file comes first. So such a file is no fault as long as it is exactly what a release of
//! the store has under that name.

use std::collections::BTreeSet;

use super::deep::{self, FileToRead};
use super::fault::{Content, CopyPlace, StoreFault, StoreFlaw};
use crate::host::{Kind, Op};
use crate::model::event::Silent;
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::store::Error;
use crate::store::flight::Read;
use crate::store::open;
use crate::store::session::Session;

/// The faults without those of pool files that are, intact, another release's.
pub(super) async fn without(session: &Session, mut faults: Vec<StoreFault>) -> Result<Vec<StoreFault>, Error> {
    let doubtful: BTreeSet<SitePath> = faults.iter().filter_map(pool_path).cloned().collect();
    if doubtful.is_empty() {
        return Ok(faults);
    }
    for (path, holders) in open::holders(session, &doubtful).await? {
        let mut tried = BTreeSet::new();
        for holder in holders {
            if tried.insert(holder.file.digest) && is_intact(session, &path, &holder.file).await? {
                faults.retain(|fault| pool_path(fault) != Some(&path));
                break;
            }
        }
    }
    Ok(faults)
}

/// The path of a file of the pool that has other bytes than it should have.
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

/// Whether the pool has exactly this file at a path, and beside it no encoding but its own.
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

//! Finds out why a host refused an operation. SFTP does not report a reason, so the host is asked about its disk.

use futures_util::future::BoxFuture;

use crate::host::{Answer, Op, Refusal, RefusalKind, Reply};
use crate::model::path::printable;
use crate::store::StoreError;
use crate::store::flight::Read;
use crate::store::session::Session;

/// Returns the error that explains a refusal.
pub async fn explain(session: &Session, refusal: &Refusal) -> StoreError {
    let host = session.host_name();
    let what = printable(&refusal.to_string());
    if refusal.kind == RefusalKind::Denied {
        return StoreError::NotWritable { host, what };
    }
    let space = match session.ask(Op::Space(String::new())).await {
        Ok(space) => space,
        Err(error) => return StoreError::Host(error),
    };
    match space {
        Ok(Answer::Space(space)) if space.read_only => StoreError::NotWritable {
            host,
            what: "its disk is mounted read-only".to_owned(),
        },
        Ok(Answer::Space(space)) if space.bytes < 64 * 1024 || space.files == Some(0) => StoreError::DiskFull {
            host,
            bytes: space.bytes,
            files: space.files,
        },
        _ => StoreError::Refused {
            host,
            what,
            opening: refusal.is_of_opening(),
        },
    }
}

/// Checks that the host refused nothing.
///
/// # Errors
/// [`StoreError`] that explains the first refusal.
pub fn all_done<'a>(
    session: &'a Session,
    replies: impl IntoIterator<Item = &'a Reply>,
) -> BoxFuture<'a, Result<(), StoreError>> {
    Box::pin(none_refused(session, replies.into_iter().find_map(Read::refusal)))
}

/// Checks that the host refused nothing but names that do not exist.
///
/// # Errors
/// [`StoreError`] that explains the first other refusal.
pub fn done_or_gone<'a>(
    session: &'a Session,
    replies: impl IntoIterator<Item = &'a Reply>,
) -> BoxFuture<'a, Result<(), StoreError>> {
    Box::pin(none_refused(
        session,
        replies.into_iter().find_map(Read::unexpected_refusal),
    ))
}

async fn none_refused(session: &Session, refusal: Option<&Refusal>) -> Result<(), StoreError> {
    match refusal {
        Some(refusal) => Err(explain(session, refusal).await),
        None => Ok(()),
    }
}

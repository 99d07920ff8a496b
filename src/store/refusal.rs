//! Finds out why a host refused an operation. SFTP does not report a reason, so the host is asked about its disk.

use crate::host::{Answer, Op, Refusal, RefusalKind};
use crate::model::path::printable;
use crate::store::StoreError;
use crate::store::session::Session;

/// Returns the error that explains a refusal.
pub async fn explain(session: &Session, refusal: &Refusal) -> StoreError {
    let host = session.host_name();
    let what = printable(&refusal.to_string());
    if refusal.kind == RefusalKind::Denied {
        return StoreError::NotWritable { host, what };
    }
    let space = match session.flight(vec![Op::Space(String::new())]).await {
        Ok(answers) => answers.into_iter().next(),
        Err(error) => return StoreError::Host(error),
    };
    match space {
        Some(Ok(Answer::Space(space))) if space.read_only => StoreError::NotWritable {
            host,
            what: "its disk is mounted read-only".to_owned(),
        },
        Some(Ok(Answer::Space(space))) if space.bytes < 64 * 1024 || space.files == Some(0) => StoreError::DiskFull {
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

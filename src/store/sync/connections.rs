//! The connections over which batches of small files are sent.
//!
//! An SFTP server has a process for each connection, which executes one request after another and waits for the disk
//! after each file. So if there are many files, some more connections are opened while the first one already sends. A
//! batch is sent over one connection from its first flight to its last, because open files belong to a connection. This
//! module must not send anything itself, and must not fail if no further connection can be made.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, Fuse};

use crate::host::{Answers, Host, HostError, Op};
use crate::store::session::Session;

/// Batches that are on their way over one connection at the same time.
const BATCHES_EACH: usize = 8;

/// The session's own connection, or an additional one.
pub(super) struct Connection<'a> {
    session: &'a Session,
    additional: Option<Box<dyn Host>>,
}

impl<'a> Connection<'a> {
    /// The session's own.
    pub(super) const fn own(session: &'a Session) -> Self {
        Self {
            session,
            additional: None,
        }
    }

    pub(super) const fn session(&self) -> &'a Session {
        self.session
    }

    pub(super) async fn flight(&self, ops: Vec<Op>) -> Result<Answers, HostError> {
        match &self.additional {
            Some(host) => self.session.flight_over(&**host, ops).await,
            None => self.session.flight(ops).await,
        }
    }
}

/// The connections of a run. Each batch that is on its way has a clone of its connection.
pub(super) struct Connections<'a> {
    session: &'a Session,
    opening: Fuse<BoxStream<'a, Box<dyn Host>>>,
    connected: Vec<Arc<Connection<'a>>>,
}

impl<'a> Connections<'a> {
    /// Starts with the session's own connection. More are opened if there are many files to send.
    pub(super) fn new(session: &'a Session, files: usize) -> Self {
        Self {
            session,
            opening: session.connect_more(files).fuse(),
            connected: vec![Arc::new(Connection::own(session))],
        }
    }

    pub(super) fn count(&self) -> usize {
        self.connected.len()
    }

    /// Whether more connections may still be opened.
    pub(super) fn may_grow(&self) -> bool {
        !self.opening.is_done()
    }

    /// Waits until the next connection is open, or until it is known that there will be none.
    pub(super) async fn grow(&mut self) {
        if let Some(host) = self.opening.next().await {
            self.connected.push(Arc::new(Connection {
                session: self.session,
                additional: Some(host),
            }));
        }
    }

    /// Returns the connection with the fewest batches on their way. `None` if each has enough.
    pub(super) fn free(&self) -> Option<Arc<Connection<'a>>> {
        let least = self
            .connected
            .iter()
            .min_by_key(|connection| Arc::strong_count(connection))?;
        // One is held here.
        (Arc::strong_count(least) <= BATCHES_EACH).then(|| Arc::clone(least))
    }
}

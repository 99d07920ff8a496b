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
#[derive(Clone)]
pub(super) struct Connection<'a> {
    session: &'a Session,
    additional: Option<Arc<dyn Host>>,
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
            Some(host) => self.session.flight_over(host, ops).await,
            None => self.session.flight(ops).await,
        }
    }
}

/// The connections, and how many batches each of them has on its way.
pub(super) struct Connections<'a> {
    session: &'a Session,
    opening: Fuse<BoxStream<'a, Box<dyn Host>>>,
    connected: Vec<(Connection<'a>, usize)>,
}

impl<'a> Connections<'a> {
    /// Starts with the session's own connection. More are opened if there are many files to send.
    pub(super) fn new(session: &'a Session, files: usize) -> Self {
        Self {
            session,
            opening: session.connect_more(files).fuse(),
            connected: vec![(Connection::own(session), 0)],
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
            let connection = Connection {
                session: self.session,
                additional: Some(Arc::from(host)),
            };
            self.connected.push((connection, 0));
        }
    }

    /// Returns the number of the connection that has the fewest batches on their way. `None` if each has enough.
    pub(super) fn free(&self) -> Option<usize> {
        let numbered = self.connected.iter().enumerate();
        let (number, (_, busy)) = numbered.min_by_key(|(_, (_, busy))| *busy)?;
        (*busy < BATCHES_EACH).then_some(number)
    }

    /// Takes this connection for a batch.
    pub(super) fn take(&mut self, number: usize) -> Connection<'a> {
        let Some((connection, busy)) = self.connected.get_mut(number) else {
            return Connection::own(self.session);
        };
        *busy += 1;
        connection.clone()
    }

    /// Notes that a batch of this connection has arrived.
    pub(super) fn give_back(&mut self, number: usize) {
        if let Some((_, busy)) = self.connected.get_mut(number) {
            *busy = busy.saturating_sub(1);
        }
    }
}

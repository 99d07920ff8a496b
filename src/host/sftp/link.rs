//! One SFTP connection: numbered requests out, answers back to whoever asked.
//!
//! Requests leave in the order of the calls of [`Link::send`], which never wait; how much may be on its way is the
//! caller's to bound. Whatever ends the connection ends every pending answer with it, at once: none may stay open.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::wire::{self, Malformed, Reply, Request};

/// Many small requests go out in one write.
const BATCH: usize = 64 * 1024;

/// The near end of a connection. Dropping it closes the pipes.
pub(super) struct Link {
    state: Arc<Mutex<State>>,
    pump: JoinHandle<()>,
}

struct State {
    last: u32,
    waiting: HashMap<u32, oneshot::Sender<Reply>>,
    /// None once the connection is gone.
    out: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Why it is gone.
    end: Option<String>,
}

/// The answer to one request; none will come where the connection ended.
pub(super) type Pending = oneshot::Receiver<Reply>;

impl Link {
    /// Greets the server. The extensions that it names come when it has answered.
    pub(super) fn open<W, R>(to: W, from: R) -> (Self, oneshot::Receiver<Vec<String>>)
    where
        W: AsyncWrite + Send + Unpin + 'static,
        R: AsyncRead + Send + Unpin + 'static,
    {
        let (out, queue) = mpsc::unbounded_channel();
        let _ = out.send(wire::greeting());
        let state = Arc::new(Mutex::new(State {
            last: 0,
            waiting: HashMap::new(),
            out: Some(out),
            end: None,
        }));
        let (greeted, hello) = oneshot::channel();
        let ending = Ending(Arc::clone(&state));
        let pump = tokio::spawn(async move {
            // Whichever side fails first takes the other with it: half a connection is none.
            let end = tokio::select! {
                end = receive(from, greeted, &ending.0) => end,
                end = send(to, queue) => end,
            };
            ending
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .close(&end.to_string());
        });
        (Self { state, pump }, hello)
    }

    /// Queues a request.
    pub(super) fn send(&self, request: &Request) -> Pending {
        let (tell, told) = oneshot::channel();
        let mut state = self.lock();
        // Numbers come round after four billion; one that still waits is not given twice.
        let id = loop {
            state.last = state.last.wrapping_add(1);
            if !state.waiting.contains_key(&state.last) {
                break state.last;
            }
        };
        // Under the lock: the order of numbers is the order in the queue.
        let sent = state
            .out
            .as_ref()
            .is_some_and(|out| out.send(request.encode(id)).is_ok());
        if sent {
            state.waiting.insert(id, tell);
        }
        told
    }

    /// Gives the connection up.
    pub(super) fn close(&self, why: &str) {
        self.lock().close(why);
        self.pump.abort();
    }

    /// Why the connection is gone, once it is.
    pub(super) fn end(&self) -> Option<String> {
        self.lock().end.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl State {
    fn close(&mut self, why: &str) {
        self.end.get_or_insert_with(|| why.to_owned());
        self.out = None;
        // Dropping the senders wakes whoever waits.
        self.waiting.clear();
    }
}

/// Closes the connection however the pump ends, be it by being stopped.
struct Ending(Arc<Mutex<State>>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .close("the connection was closed");
    }
}

async fn send<W: AsyncWrite + Unpin>(mut to: W, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) -> io::Error {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let Some(packet) = queue.recv().await else {
            return io::Error::other("the connection was closed");
        };
        batch.extend(packet);
        while batch.len() < BATCH {
            let Ok(packet) = queue.try_recv() else { break };
            batch.extend(packet);
        }
        let written = async {
            to.write_all(&batch).await?;
            to.flush().await
        };
        if let Err(error) = written.await {
            return error;
        }
        batch.clear();
    }
}

async fn receive<R: AsyncRead + Unpin>(
    from: R,
    greeted: oneshot::Sender<Vec<String>>,
    state: &Mutex<State>,
) -> io::Error {
    let mut from = BufReader::with_capacity(BATCH, from);
    let received = async {
        let extensions = wire::extensions(&packet(&mut from).await?).map_err(io::Error::other)?;
        let _ = greeted.send(extensions);
        loop {
            let (id, reply) = wire::reply(&packet(&mut from).await?).map_err(io::Error::other)?;
            let asked = state.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&id);
            // A reply that nobody asked for; whoever asked and went away stays in the list.
            let asked = asked.ok_or_else(|| io::Error::other(Malformed))?;
            let _ = asked.send(reply);
        }
    };
    let result: io::Result<std::convert::Infallible> = received.await;
    match result {
        Ok(never) => match never {},
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            io::Error::other("the host closed the connection")
        }
        Err(error) => error,
    }
}

/// One packet without its length.
async fn packet<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await? as usize;
    // A greeting of a shell begins with four letters, which are a number in the billions.
    if !(5..=wire::LONGEST).contains(&length) {
        return Err(io::Error::other(Malformed));
    }
    let mut packet = vec![0; length];
    from.read_exact(&mut packet).await?;
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(bytes: &'static [u8]) -> (Link, oneshot::Receiver<Vec<String>>) {
        Link::open(tokio::io::sink(), bytes)
    }

    const HELLO: &[u8] = &[0, 0, 0, 5, 2, 0, 0, 0, 3];

    #[tokio::test]
    async fn a_shells_greeting_is_no_sftp() {
        let (link, hello) = served(b"Welcome to this machine!\n");
        assert!(hello.await.is_err());
        assert_eq!(link.end().as_deref(), Some("what came is no SFTP of version 3"));
    }

    #[tokio::test]
    async fn whatever_waits_ends_with_the_connection_and_so_does_what_comes_later() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (from, to) = tokio::io::split(ours);
        let (link, _hello) = Link::open(to, from);
        let pending: Vec<_> = (0..1000).map(|_| link.send(&Request::Limits)).collect();
        drop(theirs);
        for answer in pending {
            assert!(answer.await.is_err());
        }
        assert!(link.send(&Request::Limits).await.is_err());
        assert!(link.end().is_some());
    }

    #[tokio::test]
    async fn an_answer_to_nothing_ends_the_connection() {
        let mut bytes = HELLO.to_vec();
        bytes.extend([0, 0, 0, 9, 101, 0, 0, 0, 77, 0, 0, 0, 0]);
        let (link, hello) = served(bytes.leak());
        assert!(hello.await.is_ok());
        while link.end().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(link.send(&Request::Limits).await.is_err());
    }
}

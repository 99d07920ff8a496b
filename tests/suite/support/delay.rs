//! A TCP link with a round trip time, in user space, which simulates a publish over a real distance.
//!
//! [`DelayProxy`] listens on a free port of 127.0.0.1 and forwards to another port there. Bytes that arrive at time *t*
//! leave at *t* + RTT/2, in order, however many others are on the line: the delay is that of a line, not of a queue. A
//! connection is dialled one and a half round trips after it was accepted, and its first bytes wait for one round trip,
//! as with a handshake over the line. A connection therefore costs as much time as over a real line.
//!
//! The line can be made narrow ([`DelayProxy::set_rate`]) and cut after an exact number of bytes
//! ([`DelayProxy::cut_after_up`]). It can also fall silent ([`DelayProxy::blackhole`]), optionally after an exact
//! number of bytes ([`DelayProxy::silence_after_up`]), until [`DelayProxy::lift`] is called.
//!
//! It simulates no loss and no slow start, and its buffers are unlimited: a sender never notices that the line is full,
//! it only gets its answers later.
//!
//! This file uses only std, `rustix` and threads, so that a benchmark can include it with `#[path]`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most that is read at a time. At a limited rate, a smaller piece keeps the flow even.
const PIECE: usize = 64 * 1024;
const PIECE_AT_A_RATE: usize = 4 * 1024;

/// How long a blocked write waits before it checks whether the line was cut.
const WRITE_PATIENCE: Duration = Duration::from_millis(20);

/// A running proxy. Dropping it resets its connections and frees its port.
pub struct DelayProxy {
    /// The port to connect to, on 127.0.0.1.
    pub port: u16,
    line: Arc<Line>,
}

/// The direction in which bytes travel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the client that connected to the proxy.
    Up,
    /// From the server that the proxy connected to.
    Down,
}

/// The state that all connections of a proxy share.
struct Line {
    one_way: Duration,
    /// Bytes per second in each direction; 0 for no limit.
    rate: AtomicU64,
    up: Direction,
    down: Direction,
    state: Mutex<State>,
    changed: Condvar,
    /// Set when the proxy is dropped.
    closed: AtomicBool,
}

/// One direction of the line.
#[derive(Default)]
struct Direction {
    forwarded: AtomicU64,
    /// When the last byte that was accepted so far will have been sent, at the current rate.
    free_at: Mutex<Option<Instant>>,
    pieces: Mutex<Vec<u64>>,
}

impl Direction {
    fn pieces(&self) -> Vec<u64> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a piece that is about to be forwarded.
    fn forward(&self, len: usize) {
        let end = self.forwarded.fetch_add(len as u64, Ordering::SeqCst) + len as u64;
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    }
}

#[derive(Default)]
struct State {
    cut: Option<Cut>,
    has_cut: bool,
    silent: bool,
    refusing: bool,
    connections: Vec<Arc<Connection>>,
}

/// A cut that has not happened yet.
#[derive(Clone, Copy)]
struct Cut {
    way: Way,
    bytes_left: u64,
    /// Whether later connections fail in the same way.
    for_good: bool,
    /// Whether nothing is closed: existing connections receive nothing more.
    silent: bool,
}

/// The two sockets of a forwarded connection. The server's socket is missing until it is dialled.
struct Connection {
    client: TcpStream,
    server: Mutex<Option<Arc<TcpStream>>>,
    dead: AtomicBool,
    /// Whether the bytes of this connection wait until the line is lifted.
    silent: AtomicBool,
    /// How many of the two directions have come to an orderly end.
    ended: AtomicUsize,
}

/// What a reader passes to the writer across the line.
enum Item {
    Bytes(Vec<u8>),
    /// The sender will send no more. The other direction stays open.
    End,
    /// The sender's connection broke.
    Broken,
}

impl DelayProxy {
    /// Forwards a free port to `target_port`, with a round trip time of `rtt`.
    pub fn start(target_port: u16, rtt: Duration) -> DelayProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port to listen on");
        let port = listener.local_addr().expect("the address of a listener").port();
        let line = Arc::new(Line {
            one_way: rtt / 2,
            rate: AtomicU64::new(0),
            up: Direction::default(),
            down: Direction::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&line);
        thread::spawn(move || accept(&accepting, &listener, target_port));
        DelayProxy { port, line }
    }

    /// Bytes that came from clients and were forwarded, over all connections.
    pub fn bytes_up(&self) -> u64 {
        self.line.up.forwarded.load(Ordering::SeqCst)
    }

    /// Bytes that came from the server and were forwarded, over all connections.
    pub fn bytes_down(&self) -> u64 {
        self.line.down.forwarded.load(Ordering::SeqCst)
    }

    /// Resets every connection once `bytes` more have been forwarded from clients, counted from this call. Not one byte
    /// more gets through. Later connections work, so that a second run can continue where the first one stopped.
    pub fn cut_after_up(&self, bytes: u64) {
        self.plan_cut(Cut {
            way: Way::Up,
            bytes_left: bytes,
            for_good: false,
            silent: false,
        });
    }

    /// Stops forwarding on all existing connections, in both directions, once `bytes` more have been forwarded from
    /// clients. Nothing is closed, and later connections work.
    pub fn silence_after_up(&self, bytes: u64) {
        self.plan_cut(Cut {
            way: Way::Up,
            bytes_left: bytes,
            for_good: false,
            silent: true,
        });
    }

    /// Like [`DelayProxy::silence_after_up`], but later connections are accepted and receive nothing.
    pub fn silence_for_good_after_up(&self, bytes: u64) {
        self.plan_cut(Cut {
            way: Way::Up,
            bytes_left: bytes,
            for_good: true,
            silent: true,
        });
    }

    /// Ends all silence. Bytes that waited are forwarded, even those of clients that have disconnected meanwhile.
    pub fn lift(&self) {
        let mut state = self.line.state();
        state.silent = false;
        for connection in &state.connections {
            connection.silent.store(false, Ordering::SeqCst);
        }
        drop(state);
        self.line.changed.notify_all();
    }

    /// Waits until every connection has ended on both sides.
    pub fn wait_for_end(&self) {
        while !self.line.state().connections.is_empty() {
            thread::yield_now();
        }
    }

    /// Like [`DelayProxy::cut_after_up`], but counts bytes forwarded from the server.
    pub fn cut_after_down(&self, bytes: u64) {
        self.plan_cut(Cut {
            way: Way::Down,
            bytes_left: bytes,
            for_good: false,
            silent: false,
        });
    }

    /// Like [`DelayProxy::cut_after_down`], but the line stays down.
    pub fn cut_for_good_after_down(&self, bytes: u64) {
        self.plan_cut(Cut {
            way: Way::Down,
            bytes_left: bytes,
            for_good: true,
            silent: false,
        });
    }

    /// The ends of the pieces that came from clients, in bytes since the start. A piece is what a client wrote in one
    /// call, or what the network made of it.
    pub fn pieces_up(&self) -> Vec<u64> {
        self.line.up.pieces()
    }

    /// Like [`DelayProxy::pieces_up`], for pieces that came from the server.
    pub fn pieces_down(&self) -> Vec<u64> {
        self.line.down.pieces()
    }

    /// Like [`DelayProxy::cut_after_up`], but the line stays down: later connections are reset.
    pub fn cut_for_good_after_up(&self, bytes: u64) {
        self.plan_cut(Cut {
            way: Way::Up,
            bytes_left: bytes,
            for_good: true,
            silent: false,
        });
    }

    /// Whether a planned cut has happened. Without it, a test of a cut proves nothing.
    pub fn has_cut(&self) -> bool {
        self.line.state().has_cut
    }

    /// Stops forwarding, in both directions, and closes nothing: only a timeout can detect this. New connections are
    /// accepted (a listening socket does that on its own) and receive nothing.
    pub fn blackhole(&self) {
        self.line.state().silent = true;
        self.line.changed.notify_all();
    }

    /// Limits each direction, over all connections, to `bytes_per_second`; 0 removes the limit.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.line.rate.store(bytes_per_second, Ordering::SeqCst);
    }

    fn plan_cut(&self, cut: Cut) {
        let mut state = self.line.state();
        state.cut = Some(cut);
        state.cut_if_due();
        drop(state);
        self.line.changed.notify_all();
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.line.closed.store(true, Ordering::SeqCst);
        let mut state = self.line.state();
        for connection in state.connections.drain(..) {
            connection.kill();
        }
        drop(state);
        self.line.changed.notify_all();
        // The listener blocks in `accept`. One last connection lets it see that the proxy is closed.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    /// When a piece of `len` bytes that was read just now will have crossed the line.
    fn due(&self, way: Way, len: usize) -> Instant {
        let now = Instant::now();
        let rate = self.rate.load(Ordering::SeqCst);
        let mut free_at = self
            .direction(way)
            .free_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Without a limit, nothing queues. What was queued before the limit was removed keeps its place, because
        // writers work in order.
        let sent = if rate == 0 {
            *free_at = None;
            now
        } else {
            let start = free_at.map_or(now, |free| free.max(now));
            let nanos = u128::try_from(len).unwrap_or(u128::MAX).saturating_mul(1_000_000_000) / u128::from(rate);
            let sent = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            *free_at = Some(sent);
            sent
        };
        sent + self.one_way
    }

    /// Waits until `due`. Returns false if the connection died or the line was closed before.
    ///
    /// While the line or the connection is silent, this waits past `due`, until the silence is lifted.
    fn wait_until(&self, due: Instant, connection: &Connection) -> bool {
        let mut state = self.state();
        loop {
            if connection.is_dead() || self.closed.load(Ordering::SeqCst) {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            state = if state.silent || connection.silent.load(Ordering::SeqCst) {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else if left.is_zero() {
                return true;
            } else {
                self.changed
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            };
        }
    }

    /// How many of `wanted` bytes may still be forwarded in this direction.
    fn allow(&self, way: Way, wanted: usize) -> usize {
        let mut state = self.state();
        match &mut state.cut {
            Some(cut) if way == cut.way => {
                let allowed = wanted.min(usize::try_from(cut.bytes_left).unwrap_or(usize::MAX));
                cut.bytes_left -= allowed as u64;
                allowed
            }
            _ => wanted,
        }
    }

    fn kill(&self, connection: &Connection) {
        connection.kill();
        self.state().forget_the_dead();
        self.changed.notify_all();
    }
}

impl State {
    /// Cuts if a cut is planned and none of its bytes are left.
    fn cut_if_due(&mut self) {
        if let Some(cut) = self.cut
            && cut.bytes_left == 0
        {
            self.cut = None;
            self.has_cut = true;
            if cut.silent {
                self.silent |= cut.for_good;
                for connection in &self.connections {
                    connection.silent.store(true, Ordering::SeqCst);
                }
                return;
            }
            self.refusing |= cut.for_good;
            for connection in self.connections.drain(..) {
                connection.kill();
            }
        }
    }

    fn forget_the_dead(&mut self) {
        self.connections.retain(|connection| !connection.is_dead());
    }
}

impl Connection {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Makes both sockets answer with a reset once the threads that use them have finished, and wakes those threads.
    /// Only the reading half is shut down, because shutting down the writing half would send an orderly end first.
    fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        for socket in [Some(&self.client), server.as_deref()].into_iter().flatten() {
            let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
            let _ = socket.shutdown(Shutdown::Read);
        }
    }
}

fn accept(line: &Arc<Line>, listener: &TcpListener, target_port: u16) {
    for client in listener.incoming() {
        if line.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let connection = Arc::new(Connection {
            client,
            server: Mutex::default(),
            dead: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
        });
        let mut state = line.state();
        if state.refusing {
            connection.kill();
            continue;
        }
        state.connections.push(Arc::clone(&connection));
        drop(state);
        let line = Arc::clone(line);
        thread::spawn(move || connect(&line, &connection, target_port));
    }
}

/// Simulates the handshake, then dials the server and starts the four halves of the connection.
fn connect(line: &Arc<Line>, connection: &Arc<Connection>, target_port: u16) {
    let accepted = Instant::now();
    if !line.wait_until(accepted + line.one_way * 2, connection) {
        return;
    }
    // The client's first bytes leave before the server is dialled, and arrive just after that.
    let (up, from_client) = mpsc::channel();
    {
        let (line, connection) = (Arc::clone(line), Arc::clone(connection));
        thread::spawn(move || read(&line, Way::Up, &connection.client, &up));
    }
    if !line.wait_until(accepted + line.one_way * 3, connection) {
        return;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target_port));
    let Ok(server) = TcpStream::connect(address) else {
        line.kill(connection);
        return;
    };
    let server = Arc::new(server);
    for socket in [&connection.client, &*server] {
        // The proxy must not add Nagle's delay to that of the line.
        let _ = socket.set_nodelay(true);
        let _ = socket.set_write_timeout(Some(WRITE_PATIENCE));
    }
    *connection.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&server));
    if connection.is_dead() {
        // The cut came while dialling and did not see this socket.
        connection.kill();
        return;
    }
    let (down, from_server) = mpsc::channel();
    {
        let (line, server) = (Arc::clone(line), Arc::clone(&server));
        thread::spawn(move || read(&line, Way::Down, &server, &down));
    }
    {
        let (line, connection) = (Arc::clone(line), Arc::clone(connection));
        thread::spawn(move || {
            write(&line, Way::Down, &connection, &connection.client, &from_server);
        });
    }
    write(line, Way::Up, connection, &server, &from_client);
}

/// Reads one socket and stamps every piece with the time at which it is due at the other end.
fn read(line: &Line, way: Way, mut socket: &TcpStream, out: &Sender<(Instant, Item)>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let most = if line.rate.load(Ordering::SeqCst) == 0 {
            PIECE
        } else {
            PIECE_AT_A_RATE
        };
        let item = match socket.read(&mut buffer[..most]) {
            Ok(0) => Item::End,
            Ok(len) => Item::Bytes(buffer[..len].to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => Item::Broken,
        };
        let len = if let Item::Bytes(bytes) = &item { bytes.len() } else { 0 };
        let is_last = len == 0;
        if out.send((line.due(way, len), item)).is_err() || is_last {
            return;
        }
    }
}

/// Writes to one socket what crosses the line, each piece when it is due.
fn write(line: &Line, way: Way, connection: &Connection, socket: &TcpStream, pieces: &Receiver<(Instant, Item)>) {
    for (due, item) in pieces {
        if !line.wait_until(due, connection) {
            return;
        }
        match item {
            Item::Bytes(bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let allowed = line.allow(way, rest.len());
                    // Counted before the write, because a receiver of the bytes may read the count.
                    line.direction(way).forward(allowed);
                    if !write_all(connection, socket, &rest[..allowed]) {
                        line.kill(connection);
                        return;
                    }
                    rest = &rest[allowed..];
                    let mut state = line.state();
                    state.cut_if_due();
                    drop(state);
                    if connection.is_dead() {
                        line.changed.notify_all();
                        return;
                    }
                    // The rest comes after a silence began, and waits until it ends.
                    if !rest.is_empty() && !line.wait_until(due, connection) {
                        return;
                    }
                }
            }
            Item::End => {
                let _ = socket.shutdown(Shutdown::Write);
                if connection.ended.fetch_add(1, Ordering::SeqCst) == 1 {
                    connection.dead.store(true, Ordering::SeqCst);
                    line.state().forget_the_dead();
                }
                return;
            }
            Item::Broken => {
                line.kill(connection);
                return;
            }
        }
    }
}

/// Like `Write::write_all`, but gives up if the connection is cut while the receiver is full.
fn write_all(connection: &Connection, mut socket: &TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if connection.is_dead() {
            return false;
        }
        match socket.write(bytes) {
            Ok(0) => return false,
            Ok(len) => bytes = &bytes[len..],
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
                ) => {}
            Err(_) => return false,
        }
    }
    true
}

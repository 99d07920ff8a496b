//! The preview: a server on this machine that answers as the printed vhost would.
//!
//! It serves a [`Snapshot`], a finished site as one value. Another can be put in its place at any moment; a request goes by
//! the one that it met. What an address gets is decided in [`crate::rules`], which the vhost is printed from: this module
//! speaks HTTP, reads the files and makes encodings, fast rather than small, when somebody asks for one.
//!
//! Pages that a browser opens get one script element more, by which they learn of changes (`hub`), unless that is switched
//! off. Every other request gets the bytes of the site.
//!
//! It must never answer who asks for another host's name, wait for a client without end, or write anything. Addresses below
//! [`OWN`] are its own and no part of the site.

mod affected;
mod answer;
mod api;
mod body;
mod bytes;
mod encodings;
mod guard;
mod hub;
mod normalized_page;
mod own;
pub mod port;
mod sizes;
mod snapshot;
mod snippet;
mod target_api;
pub mod watch;
mod write_timeout;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch as latest};
use tokio::task::JoinSet;

pub use self::affected::Gist;
use self::encodings::Encodings;
pub use self::guard::HostNames;
use self::hub::Hub;
pub use self::hub::{News, Trouble};
pub use self::snapshot::Snapshot;
pub use self::target_api::TargetApi;
use self::write_timeout::WriteTimeout;
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};

/// What addresses of the preview's own begin with.
pub const OWN: &str = "/__syntax/";

/// How long a client may take for the head of a request, or keep a connection without one.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long a client may take no byte of an answer.
const READER_PATIENCE: Duration = Duration::from_secs(30);

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 400;

/// Headers and bytes of the head of a request.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 64 << 10;

/// Bytes of encodings that are kept.
const KEPT_ENCODINGS: usize = 64 << 20;

/// Files that are read or encoded at once.
const MAX_WORK: usize = 8;

/// Large files that are on their way at once.
const MAX_STREAMS: usize = 64;

/// Whether pages learn of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveReload {
    /// Pages that a browser opens get the script that sees to it.
    Yes,
    /// Every answer is as the vhost would give it.
    No,
}

/// What a preview serves, shared by all its connections.
pub struct Preview {
    site: latest::Sender<Option<Arc<Snapshot>>>,
    names: HostNames,
    live: LiveReload,
    desk: Option<Arc<dyn TargetApi>>,
    /// One question to a target at a time.
    at_desk: tokio::sync::Mutex<()>,
    hub: Arc<Hub>,
    /// Encoded sizes that somebody asked for.
    lengths: tokio::sync::Mutex<HashMap<(Digest, Coding, Recipe), Option<u64>>>,
    encodings: Encodings,
    work: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Preview {
    /// A preview that has no site yet, for who asks by one of these names. Without a desk nothing can be asked of a target.
    #[must_use]
    pub fn new(names: HostNames, live: LiveReload, desk: Option<Arc<dyn TargetApi>>) -> Self {
        Self {
            site: latest::Sender::new(None),
            names,
            live,
            desk,
            at_desk: tokio::sync::Mutex::default(),
            hub: Arc::new(Hub::new()),
            lengths: tokio::sync::Mutex::default(),
            encodings: Encodings::new(KEPT_ENCODINGS),
            work: Arc::new(Semaphore::new(MAX_WORK)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }

    /// Puts a site in the place of the one before. Requests that are under way end with what they began with; open pages
    /// that the change concerns are brought up to date. What changed.
    pub fn show(&self, snapshot: &Arc<Snapshot>) -> Gist {
        let before = self.site.send_replace(Some(Arc::clone(snapshot)));
        self.hub.shown(before.as_deref(), snapshot)
    }

    /// Tells open pages what happened.
    pub fn tell(&self, news: News) {
        self.hub.tell(news);
    }

    /// How many open pages wait for changes.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.hub.clients()
    }

    /// Reports every change of their number.
    #[must_use]
    pub fn clients_told(&self) -> latest::Receiver<usize> {
        self.hub.clients_told()
    }

    /// The site that is served now.
    #[must_use]
    pub fn site(&self) -> Option<Arc<Snapshot>> {
        self.site.borrow().clone()
    }
}

/// Serves until the future is dropped, which ends every connection.
pub async fn serve(listener: TcpListener, preview: Arc<Preview>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let preview = Arc::clone(&preview);
                connections.spawn(async move {
                    connection(stream, preview).await;
                    drop(permit);
                });
            }
            // No file descriptor is free, or the client is gone already: neither is a reason to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, preview: Arc<Preview>) {
    // A small answer goes out at once, whatever becomes of what was sent before.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(WriteTimeout::new(stream, READER_PATIENCE));
    let service = service_fn(move |request| {
        let preview = Arc::clone(&preview);
        async move { preview.respond(request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, service);
    // A client that hung up, sent no HTTP or took too long has had the answer that there was for it.
    let _ = served.await;
}

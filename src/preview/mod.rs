//! The preview: a server on this machine that answers as the generated vhost would.
//!
//! It serves a [`Snapshot`], a prepared site as one value. The snapshot can be replaced at any time; a request uses the
//! snapshot that was current when the request arrived. [`crate::rules`] decides what an address gets, and the vhost is
//! generated from the same rules. This module speaks HTTP, reads files, and makes encodings on request, optimized for
//! speed and not for size.
//!
//! Pages that a browser opens get one additional script element, which reports changes to them (`hub`), unless live
//! reload is switched off. All other requests get the content of the site unchanged.
//!
//! It must never answer requests for another host's name, wait for a client forever, or write anything. Addresses below
//! [`OWN`] belong to the preview and are not part of the site.

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
use self::encodings::{EncodingKey, Encodings};
pub use self::guard::HostNames;
use self::hub::Hub;
pub use self::hub::{News, Trouble};
pub use self::snapshot::Snapshot;
pub use self::target_api::TargetApi;
use self::write_timeout::WriteTimeout;

/// The prefix of the preview's own addresses.
pub const OWN: &str = "/__syntax/";

/// How long a client may take to send the head of a request, or keep an idle connection open.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long a client may go without accepting any byte of an answer.
const READER_PATIENCE: Duration = Duration::from_secs(30);

/// Maximum number of concurrent connections; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 400;

/// Maximum number of headers, and maximum size in bytes of the head of a request.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 64 << 10;

/// Maximum size in bytes of the cached encodings.
const KEPT_ENCODINGS: usize = 64 << 20;

/// Maximum number of files that are read or encoded concurrently.
const MAX_WORK: usize = 8;

/// Maximum number of large files that are sent concurrently.
const MAX_STREAMS: usize = 64;

/// Whether open pages are notified of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveReload {
    /// Pages that a browser opens get the script that keeps them up to date.
    Yes,
    /// Every answer is the one that the vhost would give.
    No,
}

/// The state of a preview, shared by all its connections.
pub struct Preview {
    site: latest::Sender<Option<Arc<Snapshot>>>,
    names: HostNames,
    live: LiveReload,
    desk: Option<Arc<dyn TargetApi>>,
    /// Held during a query to the target, so that there is only one at a time.
    at_desk: tokio::sync::Mutex<()>,
    hub: Arc<Hub>,
    /// Encoded sizes that have been requested.
    lengths: tokio::sync::Mutex<HashMap<EncodingKey, Option<u64>>>,
    encodings: Encodings,
    work: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Preview {
    /// Creates a preview without a site, which answers to these host names. Without a `desk` the preview cannot query a
    /// target.
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

    /// Replaces the served site and returns a summary of the change. Requests in progress finish with the site that
    /// they started with. Open pages that the change affects are brought up to date.
    pub fn show(&self, snapshot: &Arc<Snapshot>) -> Gist {
        let before = self.site.send_replace(Some(Arc::clone(snapshot)));
        self.hub.shown(before.as_deref(), snapshot)
    }

    /// Reports an event to open pages.
    pub fn tell(&self, news: News) {
        self.hub.tell(news);
    }

    /// Returns the number of open pages that wait for changes.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.hub.clients()
    }

    /// Returns a receiver for changes of that number.
    #[must_use]
    pub fn clients_told(&self) -> latest::Receiver<usize> {
        self.hub.clients_told()
    }

    /// Returns the served site.
    #[must_use]
    pub fn site(&self) -> Option<Arc<Snapshot>> {
        self.site.borrow().clone()
    }
}

/// Serves until the future is dropped. Dropping it closes every connection.
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
            // No file descriptor is free, or the client has already gone. Neither is a reason to stop.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, preview: Arc<Preview>) {
    // Send small answers immediately, without waiting for earlier data to be acknowledged.
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
    // There is nothing left to send to a client that hung up, sent no valid HTTP or took too long.
    let _ = served.await;
}

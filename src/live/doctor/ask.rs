//! Collects what the checks judge: the site as visitors reach it, the origin and its addresses, the SSH access, the
//! store.
//!
//! Touches the network, and the host through [`Session`]. Each request has its own timeout and none waits for one that
//! it does not need, so half of what is examined may be down. The only thing that this module creates on the host is an
//! empty staging directory, which it removes again. It must never make a store, take a lock, or touch what is live.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::access::Shell;
use super::origin::Ports;
use super::site::{FrontPage, Replies};
use super::store::StoreFacts;
use super::{DoctorContext, ServedAt, Url};
use crate::host::{HostError, Kind, Why, opens_shell};
use crate::live::http::{Connection, ConnectionFacts, Endpoint, Request, Response, Trust, connect};
use crate::model::layout;
use crate::model::release::RunId;
use crate::next::url::encoded;
use crate::rules::marker;
use crate::store::StoreError;
use crate::store::flight::Flight;
use crate::store::open;
use crate::store::session::Session;
use crate::store::staging::{StagingDir, read_owner};

/// Time limit for connecting to a web server, and for each of its responses.
const WEB: Duration = Duration::from_millis(2_500);

/// Time limit for ssh until SFTP answers.
const SSH: Duration = Duration::from_secs(6);

/// Time limit for everything that is read from the store.
const STORE: Duration = Duration::from_millis(2_500);

/// What was seen of the origin.
#[derive(Debug, Default)]
pub(super) struct OriginSeen {
    pub(super) ports: Ports,
    /// The connection that carried the requests, or why there was none.
    pub(super) connection: Option<Result<ConnectionFacts, String>>,
    pub(super) replies: Replies,
}

/// What was seen of the store, and of the files that visitors should get.
#[derive(Debug, Default)]
pub(super) struct StoreSeen {
    pub(super) store: StoreFacts,
    pub(super) tree: Option<String>,
    pub(super) front: Option<FrontPage>,
    /// The path in the site of a file of the build.
    pub(super) asset: Option<String>,
}

/// Resolves the origin's host through the system's resolver, as ssh does.
pub(super) async fn addresses(host: &str) -> Result<Vec<IpAddr>, String> {
    let looked = timeout(WEB, tokio::net::lookup_host((host, 0)));
    match looked.await {
        Err(_) => Err("it did not resolve in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            found.sort();
            found.dedup();
            Ok(found)
        }
    }
}

/// Maximum numbers of bytes to read: of the front page, whose length is compared, and of every other response.
const LARGEST_PAGE: usize = 8 << 20;
const MOST: usize = 1 << 20;

/// Requests the site's front page as a visitor would.
pub(super) async fn public(url: &Url, base_path: &str, addresses: &[IpAddr]) -> Result<Response, String> {
    let mut last = "its name does not resolve".to_owned();
    for address in addresses.iter().take(2) {
        let place = url.place(Some(address.to_string()));
        let asked = async {
            let connection = connect(&place, Trust::Note, WEB).await?;
            connection.send(&get(&front(base_path), &[]), LARGEST_PAGE).await
        };
        match timeout(WEB, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("{address} did not answer in time"),
        }
    }
    Err(last)
}

/// Requests a file at the public address twice, each time with a query that was never requested before, and returns the
/// second response. `None` if there is none.
pub(super) async fn with_queries(
    url: &Url,
    base_path: &str,
    asset: &str,
    addresses: &[IpAddr],
    end: Instant,
) -> Option<Response> {
    let place = url.place(Some(addresses.first()?.to_string()));
    let connection = timeout_at(end, connect(&place, Trust::Note, WEB)).await.ok()?.ok()?;
    let target = format!("{base_path}/{}", encoded(asset));
    let mark = crate::store::run_id::run_id();
    let mut last = None;
    for number in [1, 2] {
        let target = format!("{target}?doctor={mark}-{number}");
        last = Some(ask(&connection, &get(&target, &[]), end).await.ok()?);
    }
    last
}

fn front(base_path: &str) -> String {
    format!("{base_path}/")
}

fn get(target: &str, headers: &[(&'static str, &str)]) -> Request {
    Request {
        method: "GET",
        target: target.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        body: Vec::new(),
    }
}

async fn knock(host: &str, port: u16) -> Result<(), String> {
    match timeout(WEB, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer: a firewall drops it, or the host is down".to_owned()),
    }
}

/// Sends a request. If there is no response, the error is the reason as text.
async fn ask(connection: &Connection, request: &Request, end: Instant) -> Result<Response, String> {
    ask_within(connection, request, MOST, end).await
}

async fn ask_within(connection: &Connection, request: &Request, most: usize, end: Instant) -> Result<Response, String> {
    match timeout_at(end.min(Instant::now() + WEB), connection.send(request, most)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// Sends all requests that share a connection: first the front page, then all others concurrently.
async fn questions(
    connection: &Connection,
    base_path: &str,
    asset: impl Future<Output = Option<String>>,
    end: Instant,
) -> Replies {
    let front = front(base_path);
    let page = ask_within(connection, &get(&front, &[]), LARGEST_PAGE, end).await;
    // The form of the front page's address that the site prefers.
    let front = match &page {
        Ok(answer) if answer.status == 308 => answer.header("location").unwrap_or(&front).to_owned(),
        _ => front,
    };
    let page = match page {
        Ok(answer) if answer.status == 308 => ask_within(connection, &get(&front, &[]), LARGEST_PAGE, end).await,
        page => page,
    };
    let etag = page
        .as_ref()
        .ok()
        .and_then(|page| page.header("etag"))
        .map(str::to_owned);
    let below = |path: &str| format!("{base_path}/{path}");
    // A name that no export has.
    let none = format!("{:016x}", u64::from(std::process::id()) ^ 0x5bd1_e995_9d1b_54a5);
    let (marked, brotli, gzip, missing, missing_asset, dot) = (
        get(&format!("{base_path}{}", marker::ADDRESS), &[]),
        get(&front, &[("accept-encoding", "br")]),
        get(&front, &[("accept-encoding", "gzip")]),
        get(&below(&none), &[]),
        get(&below(&format!("_next/static/{none}.js")), &[]),
        get(&below(".env"), &[]),
    );
    let kept = async {
        let etag = etag?;
        Some(ask(connection, &get(&front, &[("if-none-match", &etag)]), end).await)
    };
    let of_asset = async {
        let path = asset.await?;
        Some(ask(connection, &get(&below(&path), &[]), end).await)
    };
    let replies = tokio::join!(
        ask(connection, &marked, end),
        ask(connection, &brotli, end),
        ask(connection, &gzip, end),
        ask(connection, &missing, end),
        ask(connection, &missing_asset, end),
        ask(connection, &dot, end),
        kept,
        of_asset,
    );
    Replies {
        marker: Some(replies.0),
        page: Some(page),
        brotli: Some(replies.1),
        gzip: Some(replies.2),
        missing: Some(replies.3),
        missing_asset: Some(replies.4),
        dot: Some(replies.5),
        kept: replies.6,
        asset: replies.7,
        plain: None,
    }
}

/// Examines the origin under the site's name. `asset` resolves to a file of the build when the store has been read.
pub(super) async fn origin(
    url: &Url,
    origin: &ServedAt,
    base_path: &str,
    asset: impl Future<Output = Option<String>>,
    end: Instant,
) -> OriginSeen {
    let mut seen = OriginSeen::default();
    let place = Endpoint {
        name: url.host.clone(),
        port: url.port,
        tls: origin.tls,
        at: Some((origin.host.clone(), origin.port)),
    };
    let usual = url.port == if url.tls { 443 } else { 80 };
    let has_plain = url.tls && usual && origin.is_targets;
    let knocks = async {
        tokio::join!(
            async {
                if origin.tls {
                    Some((origin.port, knock(&origin.host, origin.port).await))
                } else {
                    None
                }
            },
            async {
                if !origin.tls {
                    Some((origin.port, knock(&origin.host, origin.port).await))
                } else if has_plain {
                    Some((80, knock(&origin.host, 80).await))
                } else {
                    None
                }
            },
        )
    };
    let plain = async {
        if !has_plain {
            return None;
        }
        let place = Endpoint {
            port: 80,
            tls: false,
            at: Some((origin.host.clone(), 80)),
            ..place.clone()
        };
        let connection = match connect(&place, Trust::Note, WEB).await {
            Ok(connection) => connection,
            Err(error) => return Some(Err(error.to_string())),
        };
        Some(ask(&connection, &get("/", &[]), end).await)
    };
    let questions = async {
        let connection = match connect(&place, Trust::Note, WEB).await {
            Ok(connection) => connection,
            Err(error) => return (Some(Err(error.to_string())), Replies::default()),
        };
        let facts = connection.facts().clone();
        let asset = async { timeout_at(end, asset).await.ok().flatten() };
        (Some(Ok(facts)), questions(&connection, base_path, asset, end).await)
    };
    let ((https, http), plain, (connection, replies)) = tokio::join!(knocks, plain, questions);
    seen.ports = Ports { https, http };
    seen.connection = connection;
    seen.replies = Replies { plain, ..replies };
    seen
}

/// Whether SFTP answers.
pub(super) async fn try_lock(session: &Session) -> Result<(), HostError> {
    match timeout(SSH, session.host()).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(HostError::Unreachable {
            host: session.host_name(),
            detail: format!("it did not answer within {} s", SSH.as_secs()),
            why: Why::Unknown,
        }),
    }
}

/// Whether the host runs a command for the key.
pub(super) async fn shell(patient: &DoctorContext) -> Shell {
    let Some(address) = &patient.ssh else {
        return Shell::Unknown("the target is a folder of this machine".to_owned());
    };
    match timeout(SSH, opens_shell(address)).await {
        Ok(Some(true)) => Shell::Given,
        Ok(Some(false)) => Shell::Refused,
        Ok(None) => Shell::Unknown("ssh could not ask for one".to_owned()),
        Err(_) => Shell::Unknown("the host did not answer in time".to_owned()),
    }
}

/// Reads the store through its session, which must be connected.
pub(super) async fn store(patient: &DoctorContext) -> StoreSeen {
    let mut seen = StoreSeen::default();
    seen.store.keep = patient.keep;
    // If reading takes too long, what was read until then is still judged.
    let _ = timeout(STORE, read_store(&patient.session, patient.above.as_ref(), &mut seen)).await;
    seen
}

async fn read_store(session: &Session, above: Option<&Session>, seen: &mut StoreSeen) -> Result<(), StoreError> {
    let mut flight = Flight::default();
    let (docroot, space, lock) = (flight.stat(""), flight.space(""), flight.list(layout::LOCK));
    let folders = layout::FOLDERS.map(|folder| (folder, flight.lstat(folder)));
    let link = flight.lstat(layout::CURRENT);
    let answers = session.send(flight).await?;
    let store = &mut seen.store;
    store.docroot = answers.attr(docroot);
    store.space = answers.space(space).or(store.space);
    for (name, _) in answers.names(lock).unwrap_or_default() {
        let owner = match name.parse::<RunId>() {
            Ok(run) => read_owner(session, &run).await?,
            Err(_) => None,
        };
        store.lock.push((name.clone(), owner));
    }
    match open::read_state(session).await {
        Ok(store_state) => {
            store.exists = store_state.exists;
            store.hold = store_state.hold;
            store.swept = store_state.swept;
            store.current = store_state.current;
        }
        Err(error) => {
            store.exists = matches!(error, StoreError::NewerFormat { .. } | StoreError::Damaged { .. });
            store.fault = Some(error);
        }
    }
    if !store.exists {
        // Check whether the store could be created. SFTP can't read anything below a missing folder, so this needs the
        // session of the folder above.
        if let (None, None, Some(above)) = (store.docroot, &store.fault, above) {
            let mut flight = Flight::default();
            let (folder, space) = (flight.stat(""), flight.space(""));
            let answers = above.send(flight).await?;
            if answers.attr(folder).is_none() {
                let host = session.host_name();
                store.fault = Some(StoreError::NoParent { host });
            }
            store.space = answers.space(space).or(store.space);
        }
        return Ok(());
    }
    store.folders = folders
        .into_iter()
        .map(|(name, ticket)| (name.to_owned(), answers.attr(ticket)))
        .collect();
    store.link = answers.attr(link);
    try_out(session, store).await?;
    store.releases = open::releases(session).await?.len() as u64;
    if let Some(live) = store.current.clone() {
        let live = std::slice::from_ref(&live);
        store.document = open::documents(session, live).await?.into_iter().flatten().next();
        let root = open::roots(session, live).await?.into_iter().flatten().next();
        seen.tree = root.map(|root| root.to_string());
    }
    served(session, seen).await
}

/// Makes an empty staging directory and removes it again. This shows whether anything can be created in the store,
/// which account owns it, and what time the host's clock shows.
async fn try_out(session: &Session, store: &mut StoreFacts) -> Result<(), StoreError> {
    let mut staging_dir = StagingDir::new(crate::store::run_id::run_id());
    session.note_run(staging_dir.run());
    let mut flight = Flight::default();
    let set_up = flight.extend(staging_dir.set_up(session.owner()));
    let own = flight.lstat(layout::preparing(staging_dir.run()));
    flight.extend(staging_dir.leave());
    let asked = now();
    let answers = session.send(flight).await?;
    session.forget_run(staging_dir.run());
    store.now = i64::midpoint(asked, now());
    store.made = Some(match (answers.all(&set_up).first(), answers.attr(own)) {
        (_, Some(made)) => Ok(made),
        (Some(Err(refusal)), None) => Err(crate::model::path::printable(&refusal.message)),
        _ => Err("it was not made".to_owned()),
    });
    Ok(())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Reads what visitors should get of the live release.
async fn served(session: &Session, seen: &mut StoreSeen) -> Result<(), StoreError> {
    let live = |path: &str| format!("{}/{path}", layout::CURRENT);
    let mut flight = Flight::default();
    let current = flight.stat(layout::CURRENT);
    let [page, brotli, gzip] = ["index.html", "index.html.br", "index.html.gz"].map(|name| flight.stat(live(name)));
    let assets = ["chunks", "css"].map(|folder| (folder, flight.list(live(&format!("_next/static/{folder}")))));
    let answers = session.send(flight).await?;
    seen.store.is_whole = answers.attr(current).is_some_and(|attr| attr.kind == Kind::Folder);
    seen.front = answers.attr(page).map(|page| FrontPage {
        size: page.size,
        mtime: page.mtime,
        brotli: answers.attr(brotli).map(|file| file.size),
        gzip: answers.attr(gzip).map(|file| file.size),
    });
    for (folder, ticket) in assets {
        let names = answers.names(ticket).unwrap_or_default();
        let is_asset = |name: &&(String, crate::host::Attr)| {
            name.1.kind == Kind::File && [".js", ".css"].iter().any(|end| name.0.ends_with(end))
        };
        if let Some((name, _)) = names.iter().find(is_asset) {
            seen.asset = Some(format!("_next/static/{folder}/{name}"));
            break;
        }
    }
    Ok(())
}

impl Url {
    /// The endpoint of this URL, or, if a host is given, of that host under this URL's name.
    fn place(&self, at: Option<String>) -> Endpoint {
        Endpoint {
            name: self.host.clone(),
            port: self.port,
            tls: self.tls,
            at: at.map(|host| (host, self.port)),
        }
    }
}

/// Parses the address of a resolver. The port is 53 if none is given.
#[must_use]
pub fn resolver(text: &str) -> Option<SocketAddr> {
    text.parse()
        .ok()
        .or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53)))
}

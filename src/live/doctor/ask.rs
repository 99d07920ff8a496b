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

use super::origin::PortSeen;
use super::resolve::resolve;
use super::site::{Asked, FrontPage, Replies};
use super::store::StoreFacts;
use super::{DoctorContext, ServedAt, Url};
use crate::host::{HostError, HostErrorKind, Kind, opens_shell};
use crate::live::http::{Connection, ConnectionFacts, Endpoint, Request, Response, Trust, connect};
use crate::live::{AliasFault, visitor};
use crate::model::layout;
use crate::model::release::RunId;
use crate::next::url::encoded;
use crate::rules::marker;
use crate::store::flight::Flight;
use crate::store::session::Session;
use crate::store::staging::{StagingDir, read_owner};
use crate::store::{StoreError, open};

/// Time limit for connecting to a web server, and for each of its responses.
const WEB: Duration = Duration::from_millis(2_500);

/// Time limit for ssh until SFTP answers.
const SSH: Duration = Duration::from_secs(6);

/// Time limit for everything that is read from the store.
const STORE: Duration = Duration::from_millis(2_500);

/// What was seen of the origin.
#[derive(Debug)]
pub(super) struct OriginSeen {
    /// The addresses of the host, or why they are unknown.
    pub(super) addresses: Result<Vec<IpAddr>, String>,
    /// The HTTPS port and the HTTP port.
    pub(super) ports: [PortSeen; 2],
    /// The connection that carried the requests, or why there was none.
    pub(super) connection: Result<ConnectionFacts, String>,
    pub(super) replies: Replies,
}

/// Resolves the origin's host through the system's resolver, as ssh does.
async fn addresses(host: &str) -> Result<Vec<IpAddr>, String> {
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

/// Maximum number of bytes to read of a response.
const MOST: usize = 8 << 20;

/// Requests the site's front page as a visitor would.
pub(super) async fn public(url: &Url, base_path: &str, addresses: &[IpAddr]) -> Result<Response, String> {
    let mut last = "its name does not resolve".to_owned();
    for address in addresses.iter().take(2) {
        let asked = async {
            let connection = connect(&url.at(*address), Trust::Note, WEB).await?;
            connection.send(&Request::get(front(base_path), &[]), MOST).await
        };
        match timeout(WEB, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("{address} did not answer in time"),
        }
    }
    Err(last)
}

/// Requests a page under another name of the site. It should lead to the same address of the site; `None` if it does.
pub(super) async fn alias(url: &Url, name: &str, base_path: &str, resolver: Option<SocketAddr>) -> Option<AliasFault> {
    let address = match resolve(name, resolver).await {
        Ok(dns) => *dns.addresses.first()?,
        Err(why) => return Some(AliasFault::NoAnswer(why)),
    };
    // An address below the root, because a name may lead every address to the front page.
    let target = format!("{base_path}/404");
    let place = url.at(address).named(name);
    visitor::alias(&place, &target, &url.place.url(""), Instant::now() + WEB).await
}

/// Requests a file at the public address twice, each time with a query that was never requested before, and returns the
/// second response. `None` if there is none.
pub(super) async fn with_queries(
    url: &Url,
    address: IpAddr,
    base_path: &str,
    asset: &str,
    end: Instant,
) -> Option<Response> {
    let connection = timeout_at(end, connect(&url.at(address), Trust::Note, WEB))
        .await
        .ok()?
        .ok()?;
    let path = format!("{base_path}/{}", encoded(asset));
    let mark = crate::store::run_id::run_id();
    let mut last = None;
    for number in [1, 2] {
        let target = format!("{path}?doctor={mark}-{number}");
        last = Some(ask(&connection, target, &[], end).await.ok()?);
    }
    last
}

fn front(base_path: &str) -> String {
    format!("{base_path}/")
}

async fn knock(host: &str, port: Option<u16>) -> PortSeen {
    let port = port?;
    let seen = match timeout(WEB, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer: a firewall drops it, or the host is down".to_owned()),
    };
    Some((port, seen))
}

/// Sends a request. If there is no response, the error is the reason as text.
async fn ask(
    connection: &Connection,
    target: String,
    headers: &[(&'static str, &str)],
    end: Instant,
) -> Result<Response, String> {
    let request = Request::get(target, headers);
    match timeout_at(end.min(Instant::now() + WEB), connection.send(&request, MOST)).await {
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
    let ask =
        async |target: String, headers: &[(&'static str, &str)]| Some(ask(connection, target, headers, end).await);
    let mut front = front(base_path);
    let mut page = ask(front.clone(), &[]).await;
    // The form of the front page's address that the site prefers.
    if let Some(Ok(answer)) = &page
        && answer.status == 308
        && let Some(preferred) = answer.header("location")
    {
        preferred.clone_into(&mut front);
        page = ask(front.clone(), &[]).await;
    }
    let below = |path: &str| format!("{base_path}/{path}");
    // A name that no export has.
    let none = format!("{:016x}", u64::from(std::process::id()) ^ 0x5bd1_e995_9d1b_54a5);
    let kept = async {
        let etag = page.as_ref()?.as_ref().ok()?.header("etag")?;
        ask(front.clone(), &[("if-none-match", etag)]).await
    };
    let (missing_page, missing_file) = (below(&none), below(&format!("_next/static/{none}.js")));
    let of_asset = async {
        let target = below(&asset.await?);
        Some((ask(target.clone(), &[]).await, target))
    };
    let (marker, brotli, gzip, missing, missing_asset, dot, kept, asset) = tokio::join!(
        ask(format!("{base_path}{}", marker::ADDRESS), &[]),
        ask(front.clone(), &[("accept-encoding", "br")]),
        ask(front.clone(), &[("accept-encoding", "gzip")]),
        ask(missing_page.clone(), &[]),
        ask(missing_file.clone(), &[]),
        ask(below(".env"), &[]),
        kept,
        of_asset,
    );
    let (asset, asset_target) = asset.unwrap_or_default();
    Replies {
        marker,
        page,
        brotli,
        gzip,
        kept,
        asset,
        missing,
        missing_asset,
        dot,
        plain: None,
        asked: Asked {
            front,
            asset: asset_target,
            missing: missing_page,
            missing_asset: missing_file,
        },
    }
}

/// Examines the origin under the site's name. `asset` resolves to a file of the build when the store has been read.
pub(super) async fn origin(
    site: &Endpoint,
    origin: &ServedAt,
    base_path: &str,
    asset: impl Future<Output = Option<String>>,
    end: Instant,
) -> OriginSeen {
    let place = site.behind(&origin.place);
    let (host, port) = (&origin.place.name, origin.place.port);
    let has_plain = site.tls && site.port == 443 && origin.is_targets;
    let (https, http) = if place.tls {
        (Some(port), has_plain.then_some(80))
    } else {
        (None, Some(port))
    };
    let plain = async {
        if !has_plain {
            return None;
        }
        Some(match connect(&place.plain(), Trust::Note, WEB).await {
            Ok(connection) => ask(&connection, "/".to_owned(), &[], end).await,
            Err(error) => Err(error.to_string()),
        })
    };
    let questions = async {
        let connection = match connect(&place, Trust::Note, WEB).await {
            Ok(connection) => connection,
            Err(error) => return (Err(error.to_string()), Replies::default()),
        };
        let asset = async { timeout_at(end, asset).await.ok().flatten() };
        let replies = questions(&connection, base_path, asset, end).await;
        (Ok(connection.facts().clone()), replies)
    };
    let (addresses, https, http, plain, (connection, replies)) =
        tokio::join!(addresses(host), knock(host, https), knock(host, http), plain, questions);
    OriginSeen {
        addresses,
        ports: [https, http],
        connection,
        replies: Replies { plain, ..replies },
    }
}

/// Whether SFTP answers.
pub(super) async fn reach_sftp(session: &Session) -> Result<(), HostError> {
    let Ok(connected) = timeout(SSH, session.host()).await else {
        let detail = format!("it did not answer within {} s", SSH.as_secs());
        return Err(HostError::new(HostErrorKind::Unreachable, session.host_name(), detail));
    };
    connected.map(drop)
}

/// Whether the host runs a command for the key, or why that could not be found out.
pub(super) async fn shell(context: &DoctorContext) -> Result<bool, String> {
    let Some(address) = &context.ssh else {
        return Err("the target is a folder of this machine".to_owned());
    };
    let opened = timeout(SSH, opens_shell(address)).await;
    let opened = opened.map_err(|_| "the host did not answer in time".to_owned())?;
    opened.ok_or_else(|| "ssh could not ask for one".to_owned())
}

/// Reads the store through its session, which must be connected.
pub(super) async fn store(context: &DoctorContext) -> StoreFacts {
    let mut seen = StoreFacts {
        keep: context.keep,
        ..StoreFacts::default()
    };
    // If reading takes too long, what was read until then is still judged.
    let _ = timeout(STORE, read_store(&context.session, context.above.as_ref(), &mut seen)).await;
    seen
}

async fn read_store(session: &Session, above: Option<&Session>, store: &mut StoreFacts) -> Result<(), StoreError> {
    let mut flight = Flight::default();
    let (docroot, space, lock) = (flight.stat(""), flight.space(""), flight.list(layout::LOCK));
    let folders = layout::FOLDERS.map(|folder| (folder, flight.lstat(folder)));
    let link = flight.lstat(layout::CURRENT);
    let answers = session.send(flight).await?;
    store.docroot = answers.to(docroot).attr();
    store.space = answers.to(space).space().or(store.space);
    for (name, _) in answers.to(lock).names().unwrap_or_default() {
        let owner = match name.parse::<RunId>() {
            Ok(run) => read_owner(session, &run).await?,
            Err(_) => None,
        };
        store.lock.push((name.clone(), owner));
    }
    match open::read_state(session).await {
        Ok(state) => store.state = state,
        Err(error) => {
            store.state.exists = matches!(error, StoreError::NewerFormat { .. } | StoreError::Damaged { .. });
            store.fault = Some(error);
        }
    }
    if !store.state.exists {
        // Check whether the store could be created. SFTP can't read anything below a missing folder, so this needs the
        // session of the folder above.
        if let (None, None, Some(above)) = (store.docroot, &store.fault, above) {
            let mut flight = Flight::default();
            let (folder, space) = (flight.stat(""), flight.space(""));
            let answers = above.send(flight).await?;
            if answers.to(folder).attr().is_none() {
                let host = session.host_name();
                store.fault = Some(StoreError::NoParent { host });
            }
            store.space = answers.to(space).space().or(store.space);
        }
        return Ok(());
    }
    store.folders = folders.map(|(name, ticket)| (name, answers.to(ticket).attr())).to_vec();
    store.link = answers.to(link).attr();
    try_out(session, store).await?;
    store.releases = open::releases(session).await?.len() as u64;
    if let Some(live) = &store.state.current {
        store.document = open::document(session, live).await?;
        let root = open::root(session, live).await?;
        store.tree = root.map(|root| root.to_string());
    }
    served(session, store).await
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
    store.made = Some(match (answers.all(&set_up).first(), answers.to(own).attr()) {
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
async fn served(session: &Session, seen: &mut StoreFacts) -> Result<(), StoreError> {
    let live = |path: &str| format!("{}/{path}", layout::CURRENT);
    let mut flight = Flight::default();
    let current = flight.stat(layout::CURRENT);
    let [page, brotli, gzip] = ["index.html", "index.html.br", "index.html.gz"].map(|name| flight.stat(live(name)));
    let assets = ["chunks", "css"].map(|folder| (folder, flight.list(live(&format!("_next/static/{folder}")))));
    let answers = session.send(flight).await?;
    seen.is_whole = answers.to(current).attr().is_some_and(|attr| attr.kind == Kind::Folder);
    seen.front = answers.to(page).attr().map(|page| FrontPage {
        size: page.size,
        mtime: page.mtime,
        brotli: answers.to(brotli).attr().map(|file| file.size),
        gzip: answers.to(gzip).attr().map(|file| file.size),
    });
    for (folder, ticket) in assets {
        let names = answers.to(ticket).names().unwrap_or_default();
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
    /// The endpoint of this URL at one of its addresses.
    fn at(&self, address: IpAddr) -> Endpoint {
        Endpoint {
            at: Some((address.to_string(), self.place.port)),
            ..self.place.clone()
        }
    }
}

/// Parses the address of a resolver. The port is 53 if none is given.
pub fn resolver(text: &str) -> Option<SocketAddr> {
    text.parse()
        .ok()
        .or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53)))
}

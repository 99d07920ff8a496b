//! Follows the path of a visitor and the path of a publish, and checks each step.
//!
//! `ask` and `resolve` send all requests concurrently, each with its own timeout. Everything else here is a function of
//! what was seen. One fault causes one alarm: a check that is not possible because of another fault is reported as not
//! made. Nothing here may change what is live or make a store.

mod access;
mod ask;
mod edge;
mod finding;
mod name;
mod origin;
mod resolve;
mod site;
mod store;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

pub use access::Pinned;
pub use ask::resolver;
pub use finding::{CheckResult, DoctorCheck};

use crate::host::SftpAddress;
use crate::rules::Rules;
use crate::store::session::Session;
use finding::none_asked;
use name::ExpectedName;

/// The checks along a visitor's path, in order.
pub const VISITORS: [&str; 18] = [
    "name",
    "address",
    "cdn",
    "public",
    "https-port",
    "http-port",
    "certificate",
    "expiry",
    "http2",
    "vhost",
    "rules",
    "brotli",
    "gzip",
    "headers",
    "cache",
    "missing",
    "dot-files",
    "redirect",
];

/// The checks along a publish's path, in order.
pub const PUBLISHERS: [&str; 16] = [
    "ssh",
    "host-key",
    "key",
    "shell",
    "sftp",
    "docroot",
    "format",
    "owner",
    "permissions",
    "space",
    "inodes",
    "clock",
    "lock",
    "hold",
    "release",
    "retention",
];

/// Time limit for the requests. The complete command, with everything before them, ends within ten seconds. Responses
/// that are missing by then are not waited for.
const END: Duration = Duration::from_millis(8_500);

/// The address that visitors use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The URL as in the site manifest, without a trailing slash.
    pub text: String,
    /// The host. An IPv6 address has no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the scheme is https.
    pub tls: bool,
}

/// The origin: where the site is served, regardless of what is in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAt {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether requests to it use TLS.
    pub tls: bool,
    /// Whether it is the host that publishes go to, with the site's usual ports.
    pub is_targets: bool,
}

/// What to examine.
pub struct DoctorContext {
    /// The address that visitors use.
    pub url: Option<Url>,
    /// The origin.
    pub origin: Option<ServedAt>,
    /// The rules that determine the expected responses.
    pub rules: Rules,
    /// For how many seconds browsers should use only HTTPS. `None` if the vhost does not send that header.
    pub hsts: Option<u64>,
    /// The session of the store.
    pub session: Session,
    /// A session of the folder that contains the docroot, if that folder must exist before the first publish.
    pub above: Option<Session>,
    /// The SSH address of the host. `None` if the target is a folder on this machine.
    pub ssh: Option<SftpAddress>,
    /// Number of releases to keep.
    pub keep: u64,
    /// The DNS resolver to use. `None` for the system's.
    pub resolver: Option<SocketAddr>,
}

/// Makes all checks. The results are in the order of [`VISITORS`] and [`PUBLISHERS`].
pub async fn examine(patient: &DoctorContext) -> Vec<DoctorCheck> {
    let end = Instant::now() + END;
    // The store determines which file of the build to request.
    let (tell, told) = watch::channel(None);
    let publishing = publisher(patient, tell);
    let visiting = visitor(patient, told, end);
    let ((mut found, store), visit) = tokio::join!(publishing, visiting);
    let mut all = judged(patient, &visit, &store);
    all.append(&mut found);
    all
}

/// What was seen along a visitor's path.
#[derive(Default)]
struct EdgeVisit {
    dns: Option<Result<name::Dns, String>>,
    public: Option<Result<crate::live::http::Response, String>>,
    /// The second of two responses for the same file with different queries, if a CDN is in front.
    queried: Option<crate::live::http::Response>,
    addresses: Option<Result<Vec<IpAddr>, String>>,
    origin: ask::OriginSeen,
}

async fn visitor(
    patient: &DoctorContext,
    mut told: watch::Receiver<Option<Option<String>>>,
    end: Instant,
) -> EdgeVisit {
    let Some(url) = &patient.url else {
        return EdgeVisit::default();
    };
    let base_path = &patient.rules.base_path;
    let mut told_too = told.clone();
    let front = async {
        let dns = match url.host.parse::<IpAddr>() {
            Ok(address) => Ok(name::Dns {
                aliases: Vec::new(),
                addresses: vec![address],
            }),
            Err(_) => resolve::resolve(&url.host, patient.resolver).await,
        };
        let public = match &dns {
            Ok(dns) => Some(ask::public(url, base_path, &dns.addresses).await),
            Err(_) => None,
        };
        let queried = match (&dns, &public) {
            (Ok(dns), Some(Ok(answer))) if edge::is_from_cdn(answer) => {
                let asset = told_too
                    .wait_for(Option::is_some)
                    .await
                    .ok()
                    .and_then(|asset| asset.clone().flatten());
                match asset {
                    Some(asset) => ask::with_queries(url, base_path, &asset, &dns.addresses, end).await,
                    None => None,
                }
            }
            _ => None,
        };
        (dns, public, queried)
    };
    let asset = async move {
        let asset = told.wait_for(Option::is_some).await.ok()?;
        asset.clone().flatten()
    };
    let behind = async {
        match &patient.origin {
            None => (None, ask::OriginSeen::default()),
            Some(origin) => {
                let (addresses, seen) = tokio::join!(
                    ask::addresses(&origin.host),
                    ask::origin(url, origin, base_path, asset, end)
                );
                (Some(addresses), seen)
            }
        }
    };
    let ((dns, public, queried), (addresses, origin)) = tokio::join!(front, behind);
    EdgeVisit {
        dns: Some(dns),
        public,
        queried,
        addresses,
        origin,
    }
}

async fn publisher(
    patient: &DoctorContext,
    tell: watch::Sender<Option<Option<String>>>,
) -> (Vec<DoctorCheck>, ask::StoreSeen) {
    let entering = async {
        let entered = ask::try_lock(&patient.session).await;
        let seen = match &entered {
            Ok(()) => ask::store(patient).await,
            Err(_) => ask::StoreSeen::default(),
        };
        // The receiver may have given up already.
        let _ = tell.send(Some(seen.asset.clone()));
        (entered, seen)
    };
    let ((entered, seen), shell) = tokio::join!(entering, ask::shell(patient));
    let mut found = match &patient.ssh {
        Some(ssh) => {
            let pinned = if ssh.host_key.is_some() {
                Pinned::Yes
            } else {
                Pinned::No
            };
            access::access_checks(&ssh.host, &entered, &shell, pinned)
        }
        None => none_asked(&access::CHECKS, "the target is a folder of this machine"),
    };
    found.extend(match &entered {
        Ok(()) => store::store_checks(&seen.store),
        Err(error) if patient.ssh.is_none() => {
            let mut found = none_asked(&store::CHECKS, "see `docroot`");
            found[0] = finding::wrong(
                "docroot",
                error.to_string(),
                "correct `docroot` of the target, or see who may enter it",
            );
            found
        }
        Err(_) => none_asked(&store::CHECKS, "there is no SFTP connection"),
    });
    (found, seen)
}

/// The results of the checks along a visitor's path.
fn judged(patient: &DoctorContext, visit: &EdgeVisit, store: &ask::StoreSeen) -> Vec<DoctorCheck> {
    let Some(url) = &patient.url else {
        return none_asked(&VISITORS, "[site] has no `url`");
    };
    let cdn_answers = matches!(&visit.public, Some(Ok(answer)) if edge::is_from_cdn(answer));
    let unknown = Err("it was not checked".to_owned());
    let dns = visit.dns.as_ref().unwrap_or(&unknown);
    let expected = match (&patient.origin, &visit.addresses) {
        (Some(origin), Some(addresses)) => Some(ExpectedName {
            host: &origin.host,
            addresses,
        }),
        _ => None,
    };
    let mut found = match url.host.parse::<IpAddr>() {
        Ok(address) => vec![
            finding::fine("name", format!("{address} is an address")),
            finding::not_asked("address", "the site's URL names an address itself"),
        ],
        Err(_) => name::name_checks(&url.host, dns, expected, cdn_answers),
    };
    let leads_elsewhere = found
        .iter()
        .any(|finding| finding.check == "address" && finding.state == CheckResult::Wrong);
    let ports = &visit.origin.ports;
    let is_down = [&ports.https, &ports.http]
        .iter()
        .any(|port| matches!(port, Some((_, Err(_)))));
    found.extend(match &visit.public {
        // The site does not answer, and another check already reports the cause.
        Some(Err(_)) if leads_elsewhere => none_asked(&["cdn", "public"], "see `address`"),
        Some(Err(_)) if is_down => none_asked(&["cdn", "public"], "see `https-port` and `http-port`"),
        Some(public) => edge::edge_checks(public, visit.queried.as_ref(), &url.text),
        None => none_asked(&["cdn", "public"], "the name does not resolve"),
    });
    let Some(origin) = &patient.origin else {
        let why = "no origin is known for this target: set `origin` in [verify]";
        found.extend(none_asked(&VISITORS[4..], why));
        return found;
    };
    found.extend(origin::ports(&origin.host, &visit.origin.ports));
    found.extend(match &visit.origin.connection {
        Some(connection) if origin.tls && matches!(visit.origin.ports.https, Some((_, Ok(())))) => {
            origin::tls(&url.host, connection, cdn_answers)
        }
        _ if !origin.tls => none_asked(&VISITORS[6..9], "the origin is requested over HTTP"),
        _ => none_asked(&VISITORS[6..9], "see `https-port`"),
    });
    let modified = visit.origin.replies.page.as_ref().and_then(|page| {
        let said = page.as_ref().ok()?.header("last-modified")?;
        let time = httpdate::parse_http_date(said).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
    });
    found.extend(site::site_checks(
        &visit.origin.replies,
        site::SiteFacts {
            url: &url.text,
            tls: origin.tls,
            hsts: patient.hsts.filter(|_| origin.tls),
            tree: store.tree.as_deref(),
            front: store.front,
            modified,
        },
    ));
    found
}

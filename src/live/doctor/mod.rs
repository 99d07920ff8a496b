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

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use ask::resolver;
pub use finding::{CheckResult, DoctorCheck};
pub use site::Printed;

use crate::host::SftpAddress;
use crate::live::AliasFault;
use crate::live::http::{Endpoint, Response};
use crate::store::session::Session;
use finding::{Outcome, fine, none_asked, not_asked, wrong};
use name::ExpectedName;
use store::StoreFacts;

/// The checks along a visitor's path, in order.
pub const VISITORS: [&str; 19] = [
    "name",
    "address",
    "cdn",
    "public",
    "aliases",
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
    /// The server that it names.
    pub place: Endpoint,
}

/// The origin: where the site is served, regardless of what is in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAt {
    /// The server, by its own name.
    pub place: Endpoint,
    /// Whether it is the host that publishes go to, with the site's usual ports.
    pub is_targets: bool,
}

/// What to examine.
pub struct DoctorContext {
    /// The address that visitors use.
    pub url: Option<Url>,
    /// Other host names of the site, which lead to it.
    pub aliases: Vec<String>,
    /// The origin.
    pub origin: Option<ServedAt>,
    /// The base path of the site.
    pub base_path: String,
    /// What the vhost should have been printed with.
    pub printed: Printed,
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
pub async fn examine(context: &DoctorContext) -> Vec<DoctorCheck> {
    let end = Instant::now() + END;
    // The store determines which file of the build to request.
    let (tell, told) = oneshot::channel();
    let asset = told.map(|asset| asset.ok().flatten()).shared();
    let publishing = publisher(context, tell);
    let visiting = visitor(context, asset, end);
    let ((published, store), visit) = tokio::join!(publishing, visiting);
    let visited = visitor_checks(context, visit.as_ref(), &store);
    let outcomes = visited.into_iter().chain(published);
    let checks = VISITORS.iter().chain(&PUBLISHERS);
    checks
        .zip(outcomes)
        .map(|(check, outcome)| outcome.named(check))
        .collect()
}

/// What was seen along a visitor's path.
struct EdgeVisit<'a> {
    url: &'a Url,
    dns: Result<name::Dns, String>,
    /// `None` if the name does not resolve.
    public: Option<Result<Response, String>>,
    /// The second of two responses for the same file with different queries, if a CDN is in front.
    queried: Option<Response>,
    /// What each other name of the site does, if it does not lead to the site.
    aliases: Vec<Option<AliasFault>>,
    /// The origin, if one is known.
    origin: Option<(&'a ServedAt, ask::OriginSeen)>,
}

async fn visitor(
    context: &DoctorContext,
    asset: impl Future<Output = Option<String>> + Clone,
    end: Instant,
) -> Option<EdgeVisit<'_>> {
    let url = context.url.as_ref()?;
    let base_path = &context.base_path;
    let front = async {
        let dns = match url.place.name.parse::<IpAddr>() {
            Ok(address) => Ok(name::Dns {
                aliases: Vec::new(),
                addresses: vec![address],
            }),
            Err(_) => resolve::resolve(&url.place.name, context.resolver).await,
        };
        let Ok(known) = &dns else {
            return (dns, None, None);
        };
        let public = ask::public(url, base_path, &known.addresses).await;
        let queried = match (&public, known.addresses.first()) {
            (Ok(answer), Some(address)) if edge::is_from_cdn(answer) => match asset.clone().await {
                Some(asset) => ask::with_queries(url, *address, base_path, &asset, end).await,
                None => None,
            },
            _ => None,
        };
        (dns, Some(public), queried)
    };
    let behind = async {
        let origin = context.origin.as_ref()?;
        let seen = ask::origin(&url.place, origin, base_path, asset.clone(), end).await;
        Some((origin, seen))
    };
    let names = context.aliases.iter();
    let aliases = futures_util::future::join_all(names.map(|name| ask::alias(url, name, base_path, context.resolver)));
    let ((dns, public, queried), origin, aliases) = tokio::join!(front, behind, aliases);
    Some(EdgeVisit {
        url,
        dns,
        public,
        queried,
        aliases,
        origin,
    })
}

async fn publisher(context: &DoctorContext, tell: oneshot::Sender<Option<String>>) -> (Vec<Outcome>, StoreFacts) {
    let entering = async {
        let entered = ask::reach_sftp(&context.session).await;
        let seen = match &entered {
            Ok(()) => ask::store(context).await,
            Err(_) => StoreFacts::default(),
        };
        // The receiver may have given up already.
        let _ = tell.send(seen.asset.clone());
        (entered, seen)
    };
    let ((entered, seen), shell) = tokio::join!(entering, ask::shell(context));
    let access = match &context.ssh {
        Some(ssh) => access::access_checks(&ssh.host, &entered, &shell, ssh.host_key.is_some()),
        None => none_asked("the target is a folder of this machine"),
    };
    let store = match &entered {
        Ok(()) => store::store_checks(&seen),
        Err(error) if context.ssh.is_none() => {
            let mut all = none_asked("see `docroot`");
            all[0] = wrong(
                error.to_string(),
                "correct `docroot` of the target, or see who may enter it",
            );
            all
        }
        Err(_) => none_asked("there is no SFTP connection"),
    };
    (access.into_iter().chain(store).collect(), seen)
}

/// Checks whether the other names of the site lead to it.
fn aliases(context: &DoctorContext, visit: &EdgeVisit<'_>) -> Outcome {
    if context.aliases.is_empty() {
        return not_asked("[site] has no `aliases`");
    }
    if !matches!(visit.public, Some(Ok(_))) {
        return not_asked("the site itself does not answer");
    }
    let certificate = visit
        .origin
        .as_ref()
        .and_then(|(_, seen)| seen.connection.as_ref().ok());
    let is_bad = certificate.is_some_and(|facts| facts.certificate.as_ref().is_some_and(|known| known.fault.is_some()));
    let faults: Vec<(&String, &AliasFault)> = context
        .aliases
        .iter()
        .zip(&visit.aliases)
        .filter_map(|(name, fault)| Some((name, fault.as_ref()?)))
        .collect();
    match faults.first() {
        None => fine(format!("to the site: {}", context.aliases.join(", "))),
        Some((_, AliasFault::Certificate(_))) if is_bad => not_asked("see `certificate`"),
        Some((_, first)) => {
            let said: Vec<String> = faults
                .iter()
                .map(|(name, fault)| format!("{name}: {}", fault.message()))
                .collect();
            wrong(said.join("; "), first.fix())
        }
    }
}

/// The results of the checks along a visitor's path.
fn visitor_checks(context: &DoctorContext, visit: Option<&EdgeVisit<'_>>, store: &StoreFacts) -> Vec<Outcome> {
    let Some(visit) = visit else {
        return none_asked::<{ VISITORS.len() }>("[site] has no `url`").into();
    };
    let host = &visit.url.place.name;
    let cdn_answers = matches!(&visit.public, Some(Ok(answer)) if edge::is_from_cdn(answer));
    let expected = visit.origin.as_ref().map(|(origin, seen)| ExpectedName {
        host: &origin.place.name,
        addresses: &seen.addresses,
    });
    let name = match host.parse::<IpAddr>() {
        Ok(address) => [
            fine(format!("{address} is an address")),
            not_asked("the site's URL names an address itself"),
        ],
        Err(_) => name::name_checks(host, &visit.dns, expected, cdn_answers),
    };
    let is_down = visit
        .origin
        .iter()
        .flat_map(|(_, seen)| &seen.ports)
        .any(|port| matches!(port, Some((_, Err(_)))));
    let public = match &visit.public {
        // The site does not answer, and another check already reports the cause.
        Some(Err(_)) if name[1].is_wrong() => none_asked("see `address`"),
        Some(Err(_)) if is_down => none_asked("see `https-port` and `http-port`"),
        Some(public) => edge::edge_checks(
            public,
            visit.queried.as_ref(),
            &visit.url.text,
            context.printed.has_password,
        ),
        None => none_asked("the name does not resolve"),
    };
    let front = name.into_iter().chain(public).chain([aliases(context, visit)]);
    let Some((origin, seen)) = &visit.origin else {
        let why = "no origin is known for this target: set `origin` in [verify]";
        return front.chain(none_asked::<{ VISITORS.len() - 5 }>(why)).collect();
    };
    let has_tls = origin.place.tls;
    let tls = match &seen.connection {
        connection if matches!(seen.ports[0], Some((_, Ok(())))) => origin::tls(host, connection, cdn_answers),
        _ if !has_tls => none_asked("the origin is requested over HTTP"),
        _ => none_asked("see `https-port`"),
    };
    let modified = seen.replies.page.as_ref().and_then(|page| {
        let said = page.as_ref().ok()?.header("last-modified")?;
        let time = httpdate::parse_http_date(said).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
    });
    let known = site::SiteFacts {
        url: &visit.url.text,
        tls: has_tls,
        printed: &context.printed,
        tree: store.tree.as_deref(),
        front: store.front,
        modified,
    };
    front
        .chain(origin::ports(&origin.place.name, &seen.ports))
        .chain(tls)
        .chain(site::site_checks(&seen.replies, known))
        .collect()
}

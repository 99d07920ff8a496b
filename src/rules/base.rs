//! The base path: what is below it, and which addresses outside it also belong to the site. Pure.
//!
//! The base path is removed once, before anything else is decided, and no later rule depends on it. The same is true of
//! an `assetPrefix` that is a path, which precedes only the client's files.

use super::PageForm;
use crate::next::url::CLIENT;

/// A rule about the base path. Rules are tried in the order of [`rules`]; a path that matches none is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseRule {
    /// The base path with a trailing slash redirects to the one without.
    SlashLeadsToBare,
    /// The base path without a trailing slash redirects to the one with.
    BareLeadsToSlash,
    /// The base path itself is the front page.
    Front,
    /// The base path followed by `.txt` is the payload of the front page: the router requests the payload of a page at
    /// the page's address plus `.txt`, and the front page is no exception.
    FrontPayload,
    /// Everything below the base path.
    Below,
    /// Files that are requested from a host rather than from a site, see [`OF_THE_HOST`].
    OfTheHost,
}

/// Names that crawlers, certificate authorities and browsers request from the host, whichever base path its site has. A
/// name that ends with a slash is a folder. Nothing else could answer them, because the site has the host to itself.
pub const OF_THE_HOST: [&str; 3] = [".well-known/", "robots.txt", "favicon.ico"];

/// The payload of the front page, as a path of the export.
pub const FRONT_PAYLOAD: &str = "/index.txt";

/// The rules of a site that has a base path, in order.
#[must_use]
pub const fn rules(form: PageForm) -> &'static [BaseRule] {
    use BaseRule::{BareLeadsToSlash, Below, Front, FrontPayload, OfTheHost, SlashLeadsToBare};
    match form {
        PageForm::Flat => &[SlashLeadsToBare, Front, FrontPayload, Below, OfTheHost],
        PageForm::Folder => &[BareLeadsToSlash, Below, OfTheHost],
    }
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// To this path of the export, with a leading slash.
    Inside(Vec<u8>),
    /// To another spelling of the front page's address.
    Moved(Vec<u8>),
    /// Nowhere.
    Outside,
}

/// Removes the asset prefix from the address of a client file. This comes before the base path.
#[must_use]
pub fn behind_asset_prefix(prefix: &str, path: &[u8]) -> Option<Arrival> {
    let rest = path.strip_prefix(prefix.as_bytes()).filter(|_| !prefix.is_empty())?;
    rest.starts_with(CLIENT.as_bytes())
        .then(|| Arrival::Inside(rest.to_vec()))
}

/// Removes the base path.
#[must_use]
pub fn take_off(base: &str, form: PageForm, path: &[u8]) -> Arrival {
    if base.is_empty() {
        return Arrival::Inside(path.to_vec());
    }
    let arrival = rules(form).iter().find_map(|rule| apply(*rule, base.as_bytes(), path));
    arrival.unwrap_or(Arrival::Outside)
}

fn apply(rule: BaseRule, base: &[u8], path: &[u8]) -> Option<Arrival> {
    let rest = path.strip_prefix(base);
    let inside = |path: &[u8]| Some(Arrival::Inside(path.to_vec()));
    match (rule, rest) {
        (BaseRule::SlashLeadsToBare, Some(b"/")) => Some(Arrival::Moved(base.to_vec())),
        (BaseRule::BareLeadsToSlash, Some(b"")) => Some(Arrival::Moved([base, b"/"].concat())),
        (BaseRule::Front, Some(b"")) => inside(b"/"),
        (BaseRule::FrontPayload, Some(b".txt")) => inside(FRONT_PAYLOAD.as_bytes()),
        (BaseRule::Below, Some(rest @ [b'/', ..])) => inside(rest),
        (BaseRule::OfTheHost, _) if is_of_the_host(path) => inside(path),
        _ => None,
    }
}

fn is_of_the_host(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    OF_THE_HOST.iter().any(|name| match name.strip_suffix('/') {
        Some(_) => path.len() > name.len() && path.starts_with(name.as_bytes()),
        None => path == name.as_bytes(),
    })
}

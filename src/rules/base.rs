//! The base path: what lies below it, and what of the host beside it is the site's, too. Pure.
//!
//! It is taken off once, before anything else is decided, and nothing below knows of it. So is an `assetPrefix` that is a
//! path, which stands before the client's files alone.

use super::PageForm;
use crate::next::url::CLIENT;

/// One rule about the base path. They are tried in the order of [`rules`]; what fits none lies outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseRule {
    /// The base path with a slash leads to the one without.
    SlashLeadsToBare,
    /// The base path without a slash leads to the one with.
    BareLeadsToSlash,
    /// The base path itself is the front page.
    Front,
    /// The base path and `.txt` is the front page's payload: the router asks for the payload of a page by its address and
    /// `.txt`, and the front page is no exception.
    FrontPayload,
    /// What lies below the base path.
    Below,
    /// What the world asks a host for and not a site, see [`OF_THE_HOST`].
    OfTheHost,
}

/// What crawlers, certificate authorities and browsers ask the host for by name, whatever path its site has; a folder
/// where it ends with a slash. No one else could answer them, since the site has the host to itself.
pub const OF_THE_HOST: [&str; 3] = [".well-known/", "robots.txt", "favicon.ico"];

/// The front page's payload, as the export has it.
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

/// Where an address arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// At this path of the export, with a slash at its front.
    Inside(Vec<u8>),
    /// At another spelling of the front page's address.
    Moved(Vec<u8>),
    /// Nowhere.
    Outside,
}

/// Takes the asset prefix off, where the address is that of a file of the client behind it. This comes before the base path.
#[must_use]
pub fn behind_asset_prefix(prefix: &str, path: &[u8]) -> Option<Arrival> {
    let rest = path.strip_prefix(prefix.as_bytes()).filter(|_| !prefix.is_empty())?;
    rest.starts_with(CLIENT.as_bytes())
        .then(|| Arrival::Inside(rest.to_vec()))
}

/// Takes the base path off.
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

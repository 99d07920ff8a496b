//! Where the URLs of a file lead. Pure: it must not read files, and must not judge.

use serde::{Deserialize, Serialize};

use super::paths::Lookup;
use super::{Context, UrlFault};
use crate::config::is_loopback;
use crate::next::url::{SiteUrl, Target};

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LeadsTo {
    /// To this file, given by its index among the assets.
    File(usize),
    /// To another host.
    Host(String),
    /// To the reader's own machine, which has this name in it.
    Local(String),
    /// To nothing that the site has.
    Missing,
    /// Nowhere: it is not a complete URL.
    Incomplete,
    /// To something that is not part of the site.
    Elsewhere,
}

/// An address that a page or a file for crawlers names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The line that contains it, from 1.
    pub line: u32,
    /// The address as it is in the file; empty if it leads to a file.
    pub url: String,
    /// Where it leads.
    pub leads: LeadsTo,
}

impl Named {
    /// Notes an address.
    pub(super) fn new(url: &str, line: u32, leads: LeadsTo) -> Self {
        let is_file = matches!(leads, LeadsTo::File(_));
        Self {
            line,
            // There may be one for each page, and only wrong ones are shown.
            url: if is_file { String::new() } else { url.to_owned() },
            leads,
        }
    }

    pub(super) fn place(&self) -> Option<usize> {
        match self.leads {
            LeadsTo::File(file) => Some(file),
            _ => None,
        }
    }

    pub(super) fn put(&mut self, place: &mut dyn FnMut(usize) -> Option<usize>) -> Option<()> {
        if let LeadsTo::File(file) = &mut self.leads {
            *file = place(*file)?;
        }
        Some(())
    }
}

/// Whether a host is the reader's own machine.
fn is_local(host: &str) -> bool {
    is_loopback(host) || host.ends_with(".localhost") || host == "0.0.0.0"
}

/// Returns the file that a URL leads to, and the URL's parts. `None` if the URL does not belong to the site.
pub(super) fn resolve(address: &str, url: &str, context: &Context<'_>) -> Result<Option<(usize, SiteUrl)>, UrlFault> {
    match resolve_own(address, url, context) {
        Err(UrlFault::Missing | UrlFault::Spelled { .. } | UrlFault::OutsideBasePath { .. })
            if is_elsewhere(address, url, context) =>
        {
            Ok(None)
        }
        resolved => resolved,
    }
}

/// Returns where a URL leads.
pub(super) fn lead(address: &str, url: &str, context: &Context<'_>) -> LeadsTo {
    match resolve(address, url, context) {
        Ok(Some((file, _))) => LeadsTo::File(file),
        Ok(None) => match context.resolver.resolve(address, url) {
            Target::Host(host) => LeadsTo::Host(host),
            _ => LeadsTo::Elsewhere,
        },
        Err(UrlFault::Local { host }) => LeadsTo::Local(host),
        Err(UrlFault::Missing | UrlFault::Spelled { .. } | UrlFault::OutsideBasePath { .. }) => LeadsTo::Missing,
        Err(UrlFault::Malformed) => LeadsTo::Incomplete,
    }
}

/// Whether something else on the host serves this address.
fn is_elsewhere(address: &str, url: &str, context: &Context<'_>) -> bool {
    let Some(elsewhere) = context.elsewhere else {
        return false;
    };
    match context.beside.resolve(address, url) {
        Target::Site(meant) => elsewhere.is_match(meant.path.trim_end_matches('/')),
        _ => false,
    }
}

fn resolve_own(address: &str, url: &str, context: &Context<'_>) -> Result<Option<(usize, SiteUrl)>, UrlFault> {
    match context.resolver.resolve(address, url) {
        Target::Site(site) => match context.paths.look_up(&site.path) {
            Lookup::File(index) => Ok(Some((index, site))),
            Lookup::Otherwise(index) => Err(UrlFault::Spelled {
                right: context.resolver.page_address(context.paths.path(index)),
            }),
            Lookup::Nothing => Err(UrlFault::Missing),
            Lookup::Answered => Ok(None),
        },
        Target::Outside => match context.beside.resolve(address, url) {
            Target::Site(meant) => match context.paths.look_up(&meant.path) {
                // The host's own first page is not part of the site, whose first page is at the base path.
                Lookup::File(index) if !meant.path.is_empty() => Err(UrlFault::OutsideBasePath {
                    right: context.resolver.page_address(context.paths.path(index)),
                }),
                _ => Ok(None),
            },
            _ => Ok(None),
        },
        Target::Host(host) if is_local(&host) => Err(UrlFault::Local { host }),
        Target::Malformed => Err(UrlFault::Malformed),
        Target::Host(_) | Target::Nothing => Ok(None),
    }
}

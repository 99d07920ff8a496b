//! The URL of a site, an origin or an API.
//!
//! Pure. It is as strict as its users need: the host goes into a vhost's `server_name` and into request headers, so it
//! is plain ASCII. A URL must never contain credentials, a query or a fragment, and this module must not resolve names
//! or send requests.

use core::net::IpAddr;
use std::fmt;

use url::{ParseError, Url};

use super::section::{Refusal, owned_if};

/// An http or https URL, displayed as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebUrl {
    text: String,
    url: Url,
}

const BAD_HOST: &str = "has a host that is not a plain ASCII name or address";
const BAD_PORT: &str = "has a port outside 1 to 65535";

impl WebUrl {
    /// Parses an absolute http(s) URL.
    ///
    /// # Errors
    /// The reason, as the end of a sentence about the URL: "has no host".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
        if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            return Err("is neither http nor https");
        }
        if rest.contains(['?', '#']) {
            return Err("has a query or a fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("holds credentials");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.is_empty() {
            return Err("has no host");
        }
        if !is_host(host) {
            return Err(BAD_HOST);
        }
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::InvalidPort => BAD_PORT,
            _ => BAD_HOST,
        })?;
        if port == Some("") || url.port() == Some(0) {
            return Err(BAD_PORT);
        }
        if !path.bytes().all(is_path_byte) {
            return Err("has a path with characters that must be percent-encoded");
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host in lower case, without a port; an IPv6 address with its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether the scheme is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether nothing on the network path can read what is sent to it: the URL is https, or the traffic never leaves
    /// this machine.
    #[must_use]
    pub fn keeps_secrets(&self) -> bool {
        self.is_https() || is_loopback(self.host())
    }
}

/// Validates a host name as a URL has it. `below`: what comes before it, with its dot.
pub(super) fn host_name(text: &str, below: &str) -> Result<String, Refusal> {
    let name = format!("{below}{text}");
    let is_host = WebUrl::parse(&format!("https://{name}")).is_ok_and(|url| url.host() == name);
    let reason = "is not a host name in lower case, without scheme, port and path";
    owned_if(is_host, text, reason)
}

/// Whether a host, with or without the brackets of an IPv6 address, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = plain.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}

impl fmt::Display for WebUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return is_ipv6_like(address);
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

/// Whether `address` has the characters and colons of an IPv6 address. A name with a port has only one colon.
pub(super) fn is_ipv6_like(address: &str) -> bool {
    address.matches(':').count() >= 2
        && address
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.')
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte)
}

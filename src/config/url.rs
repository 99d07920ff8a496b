//! The URL of a site, an origin or an API.
//!
//! Pure. It is as strict as its users need: the host goes into a vhost's `server_name` and into request headers, so it
//! is plain ASCII. A URL must never contain credentials, a query or a fragment, and this module must not resolve names
//! or send requests.

use core::net::IpAddr;
use std::fmt;

/// An http or https URL, displayed as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebUrl {
    text: String,
    host: String,
    is_https: bool,
}

impl WebUrl {
    /// Parses an absolute http(s) URL.
    ///
    /// # Errors
    /// The reason, as the end of a sentence about the URL: "has no host".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("is neither http nor https"),
        };
        if rest.contains(['?', '#']) {
            return Err("has a query or a fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("holds credentials");
        }
        let (host, port) = split_port(authority);
        if host.is_empty() {
            return Err("has no host");
        }
        if !is_host(host) {
            return Err("has a host that is not a plain ASCII name or address");
        }
        if port.is_some_and(|port| !is_port(port)) {
            return Err("has a port outside 1 to 65535");
        }
        if !path.bytes().all(is_path_byte) {
            return Err("has a path with characters that must be percent-encoded");
        }
        Ok(Self {
            text: text.to_owned(),
            host: host.to_ascii_lowercase(),
            is_https,
        })
    }

    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host in lower case, without a port; an IPv6 address with its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the scheme is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether nothing on the network path can read what is sent to it: the URL is https, or the traffic never leaves
    /// this machine.
    #[must_use]
    pub fn keeps_secrets(&self) -> bool {
        self.is_https || is_loopback(&self.host)
    }
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

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_brackets = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_brackets..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_brackets + colon);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
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

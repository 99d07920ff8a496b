//! HTTP client: one connection to a chosen address, many requests in flight on it.
//!
//! Touches the network. A connection may go to a different address than the one that the name resolves to: this is how
//! an origin behind a CDN is requested under the site's own name. The client follows no redirects, keeps no cookies,
//! uses no proxy and does not decode bodies, so callers see exactly what the server sent. It must never send a secret
//! to a server whose certificate was not found valid. A connection that only notes certificate faults ([`Trust::Note`])
//! may therefore carry only requests without secrets.

mod client;
mod tls;

use std::net::SocketAddr;

pub use client::{Connection, connect, send_once};
pub use tls::Certificate;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name that the request carries and that the certificate must be for. An IPv6 address has no brackets.
    pub name: String,
    /// The port in the URL.
    pub port: u16,
    /// Whether the server speaks TLS.
    pub tls: bool,
    /// The host and port to connect to, instead of those of the URL.
    pub at: Option<(String, u16)>,
}

impl Endpoint {
    /// Returns the host and port to connect to.
    pub fn address(&self) -> (&str, u16) {
        self.at
            .as_ref()
            .map_or((self.name.as_str(), self.port), |(host, port)| (host, *port))
    }

    /// The name, with the port unless it is the default port: the value of `Host`.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            bracketed(&self.name)
        } else {
            format!("{}:{}", bracketed(&self.name), self.port)
        }
    }

    /// The endpoint of this site at an origin. The request has the port of the site's URL only if both use the same
    /// scheme.
    #[must_use]
    pub fn behind(&self, origin: &Self) -> Self {
        let usual = if origin.tls { 443 } else { 80 };
        Self {
            name: self.name.clone(),
            port: if origin.tls == self.tls { self.port } else { usual },
            tls: origin.tls,
            at: Some((origin.name.clone(), origin.port)),
        }
    }

    /// The same server under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// The same server without TLS, on the default port.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self {
            name: self.name.clone(),
            port: 80,
            tls: false,
            at: self.at.as_ref().map(|(host, _)| (host.clone(), 80)),
        }
    }

    /// Whether the connection is safe from eavesdropping and tampering, because it uses TLS or stays on this machine.
    pub fn is_private(&self) -> bool {
        self.tls || crate::config::is_loopback(self.address().0)
    }

    /// The URL of a target.
    pub fn url(&self, target: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{target}", self.authority())
    }

    /// Returns the endpoint of a URL, and the URL's path and query. `None` if the URL has no host or no known port.
    pub fn of(url: &url::Url) -> Option<(Self, String)> {
        let name = url.host_str()?;
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let place = Self {
            name: name.to_owned(),
            port: url.port_or_known_default()?,
            tls: url.scheme() == "https",
            at: None,
        };
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        Some((place, format!("{}{query}", url.path())))
    }
}

/// The host as written in a URL: an IPv6 address gets brackets.
pub fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// What to do about a certificate that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Refuse the connection.
    Require,
    /// Note the fault and go on. Only for requests that contain no secret and whose responses are judged.
    Note,
}

/// The HTTP version that was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What is known about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// The address that was connected to.
    pub peer: SocketAddr,
    /// The HTTP version that was negotiated.
    pub protocol: Protocol,
    /// The server's certificate. `None` without TLS, or if the certificate can't be parsed.
    pub certificate: Option<Certificate>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query, as sent.
    pub target: String,
    /// Headers in addition to `Host` and `User-Agent`.
    pub headers: Vec<(&'static str, String)>,
    /// The body. Empty means none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn get(target: String, headers: &[(&'static str, &str)]) -> Self {
        Self {
            method: "GET",
            target,
            headers: headers
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// A request with JSON as its body.
    pub fn post(target: String, json: String) -> Self {
        Self {
            method: "POST",
            target,
            headers: vec![("content-type", "application/json".to_owned())],
            body: json.into_bytes(),
        }
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers in the order in which they were received, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body as sent, without decoding.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the value of the first header with a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the values of all headers with a name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let headers = self.headers.iter();
        headers.filter_map(move |(known, value)| known.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The name does not resolve.
    #[error("the name {name} does not resolve: {detail}")]
    NoSuchName {
        /// The name.
        name: String,
        /// The error of the operating system.
        detail: String,
    },
    /// The address does not accept connections.
    #[error("can't connect to {address}: {detail}")]
    NoConnection {
        /// The address.
        address: String,
        /// The error of the operating system.
        detail: String,
    },
    /// The TLS handshake failed, or the certificate is not valid although it has to be.
    #[error("no TLS connection with {address}: {detail}")]
    Tls {
        /// The address.
        address: String,
        /// What went wrong.
        detail: String,
    },
    /// The connection broke, or the server sent something other than HTTP.
    #[error("{address} did not answer properly: {detail}")]
    Broken {
        /// The address.
        address: String,
        /// What went wrong.
        detail: String,
    },
    /// The server took too long.
    #[error("{address} did not answer in time")]
    TimedOut {
        /// The address.
        address: String,
    },
    /// The response is longer than the limit.
    #[error("the answer of {address} is longer than {limit} bytes")]
    TooLong {
        /// The address.
        address: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request contains a value that can't be sent.
    #[error("not a request that can be sent: {detail}")]
    BadRequest {
        /// The invalid value.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_a_url_has_its_usual_port_and_leaves_it_out_again() {
        let url = |text: &str| url::Url::parse(text).unwrap();
        let (place, target) = Endpoint::of(&url("https://docs.example.com/a?b=c")).unwrap();
        assert_eq!((place.port, place.tls, target.as_str()), (443, true, "/a?b=c"));
        assert_eq!(place.url("/x"), "https://docs.example.com/x");
        let (place, _) = Endpoint::of(&url("http://[::1]:8080/")).unwrap();
        assert_eq!(place.authority(), "[::1]:8080");
        assert_eq!(place.address(), ("::1", 8080));
    }
}

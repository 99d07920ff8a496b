//! Asks web servers: one connection to an address of our choosing, many requests in flight on it.
//!
//! Touches the network. A connection may go to another address than the one that the name stands for: that is how an
//! origin behind a CDN is asked under the site's own name. It follows no redirect, keeps no cookie, asks no proxy and
//! undoes no encoding: what comes back is what the server said. It must never send a secret to a server whose certificate
//! was not found in order, so that a connection which only notes what is wrong ([`Trust::Note`]) is for questions alone.

mod client;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

pub use client::{Connection, connect, send_once};
pub use tls::Certificate;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name that the request carries, and that the certificate must be for; an IPv6 address without brackets.
    pub name: String,
    /// The port that the URL has.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The host and port to connect to in place of the name's own.
    pub at: Option<(String, u16)>,
}

impl Endpoint {
    /// The host and port to connect to.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        self.at
            .as_ref()
            .map_or((self.name.as_str(), self.port), |(host, port)| (host, *port))
    }

    /// The name with its port where that is not the usual one: the value of `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            bracketed(&self.name)
        } else {
            format!("{}:{}", bracketed(&self.name), self.port)
        }
    }

    /// Whether no one on the way can read or change what is sent: it speaks TLS, or is on this machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.tls || crate::config::is_loopback(self.address().0)
    }

    /// The URL of a target.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{target}", self.authority())
    }

    /// The place of a URL, and its path.
    #[must_use]
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

/// A host as it is in a URL.
#[must_use]
pub fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// What to do about a certificate that is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// No connection.
    Require,
    /// Note what is wrong and go on: for questions whose answers are judged, and that hold no secret.
    Note,
}

/// The version of HTTP that was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What is known of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// Where it led.
    pub peer: SocketAddr,
    /// What was agreed on.
    pub protocol: Protocol,
    /// The server's certificate, over TLS.
    pub certificate: Option<Certificate>,
    /// How long it took until a request could be sent.
    pub took: Duration,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The method; empty is GET.
    pub method: &'static str,
    /// Path and query, as they are sent.
    pub target: String,
    /// Headers beside `Host` and `User-Agent`.
    pub headers: Vec<(&'static str, String)>,
    /// The body; an empty one is none.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, their names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent, encoded or not.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of a name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// No answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The name does not resolve.
    #[error("the name {name} does not resolve: {detail}")]
    NoSuchName {
        /// The name.
        name: String,
        /// What the system said.
        detail: String,
    },
    /// No one accepts connections there.
    #[error("can't connect to {address}: {detail}")]
    NoConnection {
        /// Where.
        address: String,
        /// What the system said.
        detail: String,
    },
    /// The TLS handshake failed, or the certificate is not in order where it must be.
    #[error("no TLS connection with {address}: {detail}")]
    Tls {
        /// Where.
        address: String,
        /// What went wrong.
        detail: String,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("{address} did not answer properly: {detail}")]
    Broken {
        /// Where.
        address: String,
        /// What went wrong.
        detail: String,
    },
    /// It took too long.
    #[error("{address} did not answer in time")]
    TimedOut {
        /// Where.
        address: String,
    },
    /// The answer is longer than anybody would read.
    #[error("the answer of {address} is longer than {limit} bytes")]
    TooLong {
        /// Where.
        address: String,
        /// The limit.
        limit: usize,
    },
    /// A value that no request can carry.
    #[error("not a request that can be sent: {detail}")]
    BadRequest {
        /// Which value.
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

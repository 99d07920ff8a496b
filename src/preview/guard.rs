//! Access control: the host names that the preview answers to, and the pages that may use the preview's own addresses.
//! Pure.
//!
//! A page on the web that knows the port can point its own host name at this machine (DNS rebinding), and could then
//! read the site as if it were its own. The `Host` header gives it away, because the browser sends the name that it was
//! given. So the preview answers only to names that another site cannot have.

use core::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName, ORIGIN};

/// The header that shows how the page that sent the request relates to this server.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host names that the preview answers to, on any port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames {
    asked: String,
    is_open: bool,
}

impl HostNames {
    /// `localhost`, `127.0.0.1`, `[::1]` and `host`. If `host` is not a loopback address, every IP address is accepted as well: a name
    /// can be pointed elsewhere, an address cannot.
    #[must_use]
    pub fn with(host: &str) -> Self {
        let address: Option<IpAddr> = bare(host).parse().ok();
        Self {
            asked: host.to_ascii_lowercase(),
            is_open: !address.is_some_and(|address| address.is_loopback()),
        }
    }

    /// Whether a host name, with or without a port, is accepted.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        if matches!(&*name, "localhost" | "127.0.0.1" | "[::1]") {
            return true;
        }
        bare(&self.asked) == bare(&name) || self.is_open && bare(&name).parse::<IpAddr>().is_ok()
    }
}

/// Strips the brackets of an IPv6 address in a URL.
pub(super) fn bare(host: &str) -> &str {
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.unwrap_or(host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// What is wrong with the host of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHost {
    /// The request names no host, or several.
    Malformed,
    /// The request names a different host.
    Foreign,
}

/// Checks the host of a request. `authority` is the authority of the request target, if that is an absolute URL.
pub fn check_host(
    names: &HostNames,
    headers: &HeaderMap,
    authority: Option<&str>,
    is_old: bool,
) -> Result<(), BadHost> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        // HTTP/1.0 has no `Host` header, and no current browser uses HTTP/1.0.
        (None, _) if is_old => None,
        (Some(host), None) => Some(host.to_str().map_err(|_| BadHost::Malformed)?),
        _ => return Err(BadHost::Malformed),
    };
    let is_ours = |host: Option<&str>| host.is_none_or(|host| names.has(host));
    if is_ours(host) && is_ours(authority) {
        Ok(())
    } else {
        Err(BadHost::Foreign)
    }
}

/// Whether the request comes from a page of another origin.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(FETCH_SITE) {
        return !matches!(site, "same-origin" | "none");
    }
    match (text(ORIGIN), text(HOST)) {
        (None, _) => false,
        (Some(origin), Some(host)) => origin != format!("http://{host}"),
        (Some(_), None) => true,
    }
}

/// Whether the request comes from a page of this server, as shown by headers that a page of another origin cannot
/// forge.
pub fn is_of_this_server(headers: &HeaderMap) -> bool {
    if is_foreign(headers) {
        return false;
    }
    let is_same = headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin");
    is_same || headers.contains_key(ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_names_that_no_one_else_can_have_are_answered() {
        let local = HostNames::with("127.0.0.1");
        for name in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:4400",
            "[::1]",
            "[::1]:80",
            "localhost:",
        ] {
            assert!(local.has(name), "{name}");
        }
        for name in [
            "evil.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil.com:4400",
            "192.168.0.7",
            "127.0.0.1:80:80",
            "localhost:8x",
            "::1",
            "",
        ] {
            assert!(!local.has(name), "{name}");
        }
        let open = HostNames::with("0.0.0.0");
        assert!(open.has("192.168.0.7:4400") && open.has("[fe80::1]:4400") && !open.has("evil.com"));
        let named = HostNames::with("Studio.lan");
        assert!(named.has("studio.lan:4400") && !named.has("other.lan"));
        let other = HostNames::with("127.0.0.2");
        assert!(other.has("127.0.0.2:1") && !other.has("192.168.0.7"));
    }

    #[test]
    fn a_request_names_one_host_and_that_is_ours() {
        let names = HostNames::with("127.0.0.1");
        let check = |list: &[(HeaderName, &'static str)], authority, is_old| {
            check_host(&names, &headers(list), authority, is_old)
        };
        assert_eq!(check(&[(HOST, "localhost")], None, false), Ok(()));
        assert_eq!(check(&[], None, true), Ok(()));
        assert_eq!(check(&[], None, false), Err(BadHost::Malformed));
        assert_eq!(
            check(&[(HOST, "localhost"), (HOST, "localhost")], None, false),
            Err(BadHost::Malformed)
        );
        assert_eq!(check(&[(HOST, "evil.com")], None, true), Err(BadHost::Foreign));
        assert_eq!(
            check(&[(HOST, "localhost")], Some("evil.com"), false),
            Err(BadHost::Foreign)
        );
    }

    #[test]
    fn only_a_page_of_this_server_asks_what_costs() {
        let is = |list: &[(HeaderName, &'static str)]| is_of_this_server(&headers(list));
        assert!(is(&[(FETCH_SITE, "same-origin")]));
        assert!(is(&[(HOST, "localhost:1"), (ORIGIN, "http://localhost:1")]));
        assert!(!is(&[(HOST, "localhost:1")]));
        assert!(!is(&[(FETCH_SITE, "none")]));
        assert!(!is(&[(FETCH_SITE, "same-site")]));
        assert!(!is(&[(HOST, "localhost:1"), (ORIGIN, "http://evil.com")]));
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        assert!(!is_foreign(&headers(&[(HOST, "localhost:1")])));
        assert!(!is_foreign(&headers(&[(FETCH_SITE, "none")])));
        assert!(is_foreign(&headers(&[(FETCH_SITE, "cross-site")])));
        assert!(is_foreign(&headers(&[(FETCH_SITE, "same-site")])));
        assert!(is_foreign(&headers(&[
            (HOST, "localhost:1"),
            (ORIGIN, "http://localhost:2")
        ])));
        assert!(!is_foreign(&headers(&[
            (HOST, "localhost:1"),
            (ORIGIN, "http://localhost:1")
        ])));
        assert!(is_foreign(&headers(&[(HOST, "localhost:1"), (ORIGIN, "null")])));
    }
}

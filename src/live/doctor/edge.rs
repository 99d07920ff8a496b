//! Checks the site's public address, and the CDN in front of it, if any. Pure.

use core::net::IpAddr;

use super::finding::{Outcome, fine, not_asked, wrong};
use crate::live::cdn::{cause, is_challenge, is_edge_error};
use crate::live::http::Response;

/// Cloudflare's networks, as listed at <https://www.cloudflare.com/ips/>.
const CLOUDFLARE: [(&str, u32); 22] = [
    ("173.245.48.0", 20),
    ("103.21.244.0", 22),
    ("103.22.200.0", 22),
    ("103.31.4.0", 22),
    ("141.101.64.0", 18),
    ("108.162.192.0", 18),
    ("190.93.240.0", 20),
    ("188.114.96.0", 20),
    ("197.234.240.0", 22),
    ("198.41.128.0", 17),
    ("162.158.0.0", 15),
    ("104.16.0.0", 13),
    ("104.24.0.0", 14),
    ("172.64.0.0", 13),
    ("131.0.72.0", 22),
    ("2400:cb00::", 32),
    ("2606:4700::", 32),
    ("2803:f800::", 32),
    ("2405:b500::", 32),
    ("2405:8100::", 32),
    ("2a06:98c0::", 29),
    ("2c0f:f248::", 32),
];

/// Whether an address belongs to Cloudflare's edge.
pub(super) fn is_cloudflare(address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    CLOUDFLARE.iter().any(|(network, length)| {
        network.parse().is_ok_and(|network: IpAddr| {
            network.is_ipv4() == address.is_ipv4() && (bits(network) ^ bits(address)).leading_zeros() >= *length
        })
    })
}

/// Whether a response came from Cloudflare's edge.
pub(super) fn is_from_cdn(answer: &Response) -> bool {
    answer.header("cf-ray").is_some() || answer.header("server") == Some("cloudflare")
}

/// What to do about a status that means that the CDN got no answer from the origin.
fn fix(status: u16) -> &'static str {
    match status {
        520 => {
            "see nginx's error log at that time; a firewall that resets connections, or headers of more than 128 KB, do it too"
        }
        521 => "start nginx, and let Cloudflare's addresses (https://www.cloudflare.com/ips/) through the firewall",
        522 => {
            "set the A and AAAA records in Cloudflare to the target's host, and let Cloudflare's addresses through its firewall; `address` and `https-port` say whether the host itself answers"
        }
        523 => "correct the A and AAAA records in Cloudflare: their address can't be reached",
        524 => "see what keeps nginx: a static site answers at once, so it is another server, or the disk",
        525 => {
            "give nginx a certificate for this name on port 443, or set the SSL mode to what the host can do; `certificate` says what it shows"
        }
        526 => {
            "renew the certificate, or install a Cloudflare origin certificate: in Full (strict) mode it must be valid; `certificate` says what is wrong"
        }
        527 => "switch Railgun off: it is no longer there",
        _ => "correct the origin's name in Cloudflare's DNS; the page of the error names a code 1xxx",
    }
}

/// Whether a CDN answers from its cache although the query was never requested before, which means that it ignores the
/// query.
fn ignores_queries(answer: &Response) -> bool {
    let is_old = answer.header("age").and_then(|age| age.parse::<u64>().ok()) > Some(0);
    let is_hit = answer
        .header("cf-cache-status")
        .is_some_and(|status| status.eq_ignore_ascii_case("hit"));
    answer.status == 200 && (is_old || is_hit)
}

/// Checks `cdn` and `public`. `queried` is the response for an address whose query was never requested before.
/// `has_password` says whether visitors need a password.
pub(super) fn edge_checks(
    answer: &Result<Response, String>,
    queried: Option<&Response>,
    url: &str,
    has_password: bool,
) -> [Outcome; 2] {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => {
            return [
                not_asked("nothing answers at the site's address"),
                wrong(
                    format!("visitors get no answer: {why}"),
                    "see `address`, and whether a server listens there (`https-port`, `certificate`)",
                ),
            ];
        }
    };
    if !is_from_cdn(answer) {
        let by = answer.header("server").unwrap_or("a server that doesn't say its name");
        let cdn = fine(format!("none: visitors reach {by} directly"));
        return [cdn, public(answer, has_password)];
    }
    let status = answer.status;
    if is_edge_error(status) {
        return [
            wrong(format!("Cloudflare answers {status}: {}", cause(status)), fix(status)),
            not_asked("the CDN got no answer from the origin"),
        ];
    }
    if (300..400).contains(&status)
        && answer
            .header("location")
            .is_some_and(|to| to.trim_end_matches('/') == url)
    {
        return [
            wrong(
                "Cloudflare redirects the front page to itself in a loop: in SSL mode Flexible it requests the origin over HTTP, which redirects to HTTPS",
                "set SSL/TLS > Overview to Full (strict)",
            ),
            not_asked("the CDN redirects in a loop"),
        ];
    }
    if queried.is_some_and(ignores_queries) {
        return [
            wrong(
                "Cloudflare ignores the query of an address: after a publish visitors get the previous pictures, because only `?v=…` distinguishes them",
                "set Caching > Configuration > Caching Level to Standard, and let no Cache Rule leave the query string out of the cache key",
            ),
            public(answer, has_password),
        ];
    }
    [fine("Cloudflare is in front"), public(answer, has_password)]
}

fn public(answer: &Response, has_password: bool) -> Outcome {
    match answer.status {
        401 if has_password => fine("the front page asks for a password (401)"),
        200 => fine("the front page answers 200"),
        // The redirect adds or removes the trailing slash.
        status @ (301 | 302 | 307 | 308) => fine(format!(
            "the front page answers {status}, to {}",
            answer.header("location").unwrap_or("nowhere")
        )),
        403 if is_challenge(answer) => wrong(
            "Cloudflare challenges visitors",
            "see Security > Settings in Cloudflare: a challenge for everyone keeps search engines and agents out, too",
        ),
        status => wrong(
            format!("the front page answers {status}"),
            "publish (`syntax-publish`), and see what `vhost` and `release` say",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::CheckResult;
    use super::*;

    fn of(status: u16, headers: &[(&str, &str)]) -> [Outcome; 2] {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let answer = Response {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        };
        edge_checks(&Ok(answer), None, "https://x", false)
    }

    #[test]
    fn a_cdn_that_ignores_queries_is_found() {
        let response = |headers: &[(&str, &str)]| Response {
            status: 200,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let judged = |queried: &[(&str, &str)]| {
            let front = Ok(response(&[("cf-ray", "1")]));
            edge_checks(&front, Some(&response(queried)), "https://x", false)[0].state
        };
        assert_eq!(judged(&[("cf-cache-status", "HIT")]), CheckResult::Wrong);
        assert_eq!(judged(&[("age", "3")]), CheckResult::Wrong);
        for fresh in [
            &[("cf-cache-status", "MISS")],
            &[("age", "0")],
            &[("cf-cache-status", "DYNAMIC")],
        ] {
            assert_eq!(judged(fresh), CheckResult::Fine);
        }
    }

    #[test]
    fn addresses_of_the_edge_are_known() {
        for (address, expected) in [
            ("104.16.0.1", true),
            ("104.23.255.255", true),
            ("104.28.0.0", false),
            ("172.71.255.255", true),
            ("172.72.0.0", false),
            ("192.0.2.7", false),
            ("2606:4700::1", true),
            ("2a06:98c7::1", true),
            ("2a06:98c8::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_cloudflare(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn every_error_of_the_edge_has_its_own_cause_and_fix() {
        let mut seen = std::collections::BTreeSet::new();
        for status in [520, 521, 522, 523, 524, 525, 526, 527, 530] {
            let found = of(status, &[("cf-ray", "1-FRA")]);
            assert_eq!(
                (found[0].state, found[1].state),
                (CheckResult::Wrong, CheckResult::NotAsked)
            );
            assert!(found[0].detail.contains(&status.to_string()));
            assert!(seen.insert((found[0].detail.clone(), found[0].fix.clone())));
        }
        // The same number from an origin server is not a Cloudflare error.
        assert_eq!(of(522, &[("server", "nginx")])[0].state, CheckResult::Fine);
    }

    #[test]
    fn a_circle_of_redirects_names_the_mode() {
        let found = of(308, &[("cf-ray", "1"), ("location", "https://x/")]);
        assert!(found[0].fix.as_ref().unwrap().contains("Full (strict)"));
    }
}

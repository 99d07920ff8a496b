//! Checks where the site's name leads. Pure.

use core::net::IpAddr;

use super::edge;
use super::finding::{Outcome, fine, not_asked, wrong};

/// What a name resolves to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// The chain of names that it is an alias of (CNAME), in order.
    pub aliases: Vec<String>,
    /// Its addresses (A and AAAA).
    pub addresses: Vec<IpAddr>,
}

/// Where the name should lead.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedName<'a> {
    /// The name of the target's host.
    pub host: &'a str,
    /// The addresses of the host, or why they are unknown.
    pub addresses: &'a Result<Vec<IpAddr>, String>,
}

/// Checks `name` and `address`.
pub(super) fn name_checks(
    name: &str,
    dns: &Result<Dns, String>,
    expected: Option<ExpectedName<'_>>,
    cdn_answers: bool,
) -> [Outcome; 2] {
    let dns = match dns {
        Ok(dns) => dns,
        Err(why) => {
            return [
                wrong(
                    format!("{name} does not resolve: {why}"),
                    format!(
                        "add an A record for {name} (and AAAA for IPv6) where its zone is kept, and correct `url` if the name is another"
                    ),
                ),
                not_asked("the name does not resolve"),
            ];
        }
    };
    let mut detail = name.to_owned();
    for alias in &dns.aliases {
        detail = format!("{detail}, an alias of {alias}");
    }
    detail = format!("{detail}: {}", list(&dns.addresses));
    [fine(detail), address(name, dns, expected, cdn_answers)]
}

fn address(name: &str, dns: &Dns, expected: Option<ExpectedName<'_>>, cdn_answers: bool) -> Outcome {
    let at_edge = |address: &IpAddr| edge::is_cloudflare(*address);
    if cdn_answers || dns.addresses.iter().all(at_edge) {
        return fine("leads to the CDN, which requests the origin");
    }
    let Some(expected) = expected else {
        return not_asked("no origin is known for this target: set `origin` in [verify]");
    };
    let host = expected.host;
    let known = match expected.addresses {
        Ok(known) => known,
        Err(why) => return not_asked(&format!("the address of {host} is not known here: {why}")),
    };
    let strangers: Vec<IpAddr> = dns
        .addresses
        .iter()
        .filter(|address| !known.contains(address) && !at_edge(address))
        .copied()
        .collect();
    if strangers.is_empty() {
        return fine(format!("leads to the target's host, {host}"));
    }
    let some = if strangers.len() == dns.addresses.len() {
        "visitors"
    } else {
        "some visitors"
    };
    wrong(
        format!(
            "{} is not {host} ({}), nor Cloudflare's: {some} reach another machine, and behind a CDN it answers 522",
            list(&strangers),
            list(known)
        ),
        format!(
            "change the record of {name} to {}, or publish to the machine that it names",
            list(known)
        ),
    )
}

pub(super) fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::finding::CheckResult;
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn address_of(seen: &[&str], known: &[&str], cdn: bool) -> Outcome {
        let dns = Ok(Dns {
            aliases: vec!["x.example.net".to_owned()],
            addresses: addresses(seen),
        });
        let known = Ok(addresses(known));
        let expected = ExpectedName {
            host: "box",
            addresses: &known,
        };
        let [_, address] = name_checks("docs.example.com", &dns, Some(expected), cdn);
        address
    }

    #[test]
    fn a_name_leads_to_the_host_or_the_cdn_or_is_wrong() {
        assert_eq!(
            address_of(&["192.0.2.7"], &["192.0.2.7", "2001:db8::7"], false).state,
            CheckResult::Fine
        );
        assert_eq!(
            address_of(&["104.16.1.1", "2606:4700::1"], &["192.0.2.7"], false).state,
            CheckResult::Fine
        );
        assert_eq!(
            address_of(&["198.51.100.1"], &["192.0.2.7"], true).state,
            CheckResult::Fine
        );
        let all = address_of(&["198.51.100.1"], &["192.0.2.7"], false);
        assert!(
            all.detail.contains("198.51.100.1 is not box (192.0.2.7)") && all.detail.contains(" visitors reach"),
            "{all:?}"
        );
        let stale = address_of(&["192.0.2.7", "2001:db8::9"], &["192.0.2.7"], false);
        assert!(
            stale.detail.starts_with("2001:db8::9 is not box") && stale.detail.contains("some visitors"),
            "{stale:?}"
        );
    }

    #[test]
    fn a_name_without_an_address_is_one_alarm() {
        let found = name_checks("docs.example.com", &Err("no such name".to_owned()), None, false);
        let states = found.map(|finding| finding.state);
        assert_eq!(states, [CheckResult::Wrong, CheckResult::NotAsked]);
    }
}

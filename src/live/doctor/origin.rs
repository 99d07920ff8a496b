//! Checks whether the origin can be reached, and its TLS. Pure.

use super::finding::{Outcome, fine, none_asked, not_asked, wrong};
use crate::live::http::{Certificate, ConnectionFacts, Protocol};

/// Number of days before the end of a certificate from which its renewal is late. Let's Encrypt clients renew when 30
/// days are left.
const LATE: i64 = 14;

/// The number of a port and whether it accepts connections, or why not. `None` if the port is not checked.
pub type PortSeen = Option<(u16, Result<(), String>)>;

/// Checks `https-port` and `http-port`.
pub(super) fn ports(host: &str, ports: &[PortSeen; 2]) -> [Outcome; 2] {
    ports.each_ref().map(|port| match port {
        None => not_asked("the site's URL does not use it"),
        Some((number, Ok(()))) => fine(format!("{host} accepts on port {number}")),
        Some((number, Err(why))) => wrong(
            format!("{host} does not accept on port {number}: {why}"),
            "start nginx (`systemctl status nginx`), see that the vhost is in sites-enabled, and let the port through the firewall",
        ),
    })
}

/// Checks `certificate`, `expiry` and `http2`.
pub(super) fn tls(name: &str, connection: &Result<ConnectionFacts, String>, is_behind_cdn: bool) -> [Outcome; 3] {
    let facts = match connection {
        Ok(facts) => facts,
        Err(why) => {
            let [_, expiry, http2] = none_asked("there is no TLS connection with the origin");
            let certificate = wrong(
                format!("no TLS connection with the origin: {why}"),
                "see `ssl_certificate` of the vhost, and `nginx -t`; certbot puts the files where the printed vhost expects them",
            );
            return [certificate, expiry, http2];
        }
    };
    let Some(certificate) = &facts.certificate else {
        return none_asked("the site's URL is http");
    };
    let http2 = match facts.protocol {
        Protocol::Http2 => fine("agreed on (ALPN h2)"),
        Protocol::Http1 => wrong(
            "the origin speaks HTTP/1.1 only: a browser loads a page's files six at a time",
            "print the vhost for the host's nginx (`syntax-publish nginx`, with `nginx-version` of the target set): it then has `http2` in the place where that version wants it",
        ),
    };
    [chain(name, certificate, is_behind_cdn), expiry(certificate), http2]
}

fn chain(name: &str, certificate: &Certificate, is_behind_cdn: bool) -> Outcome {
    match &certificate.fault {
        // The `expiry` check reports this.
        Some(_) if certificate.days_left < 0 => not_asked("it has expired"),
        Some(fault) => wrong(
            format!("{fault} (signed by {})", certificate.issuer),
            format!(
                "get one for {name}, with its full chain: `certbot --nginx -d {name}` or a DNS challenge; `ssl_certificate` must name fullchain.pem"
            ),
        ),
        None if certificate.for_cdn && !is_behind_cdn => wrong(
            "it is a Cloudflare origin certificate, which no browser accepts, and visitors reach this host directly",
            "let the name lead to Cloudflare (proxied), or get a certificate that browsers accept",
        ),
        None if certificate.for_cdn => fine("a Cloudflare origin certificate, which Full (strict) accepts"),
        None => fine(format!("for {name}, signed by {}", certificate.issuer)),
    }
}

fn expiry(certificate: &Certificate) -> Outcome {
    let days = certificate.days_left;
    let fix = "renew it: `certbot renew`, and see why its timer did not (`systemctl list-timers certbot`)";
    if days < 0 {
        wrong(format!("the certificate expired {} days ago", -days), fix)
    } else if days < LATE {
        wrong(format!("the certificate expires in {days} days"), fix)
    } else {
        fine(format!("{days} days left"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::CheckResult;
    use super::*;

    fn certificate(days_left: i64, fault: Option<&str>, for_cdn: bool) -> Certificate {
        Certificate {
            days_left,
            issuer: "CN=x".to_owned(),
            fault: fault.map(str::to_owned),
            for_cdn,
        }
    }

    #[test]
    fn certificate_that_expired_is_one_alarm() {
        let certificate = certificate(-3, Some("the certificate has expired"), false);
        assert_eq!(chain("x", &certificate, false).state, CheckResult::NotAsked);
        let found = expiry(&certificate);
        assert_eq!(
            (found.state, &*found.detail),
            (CheckResult::Wrong, "the certificate expired 3 days ago")
        );
    }

    #[test]
    fn certificate_for_origins_is_right_behind_the_cdn_alone() {
        let certificate = certificate(4000, None, true);
        assert_eq!(chain("x", &certificate, true).state, CheckResult::Fine);
        assert_eq!(chain("x", &certificate, false).state, CheckResult::Wrong);
    }

    #[test]
    fn certificate_is_late_two_weeks_before_its_end() {
        assert_eq!(expiry(&certificate(14, None, false)).state, CheckResult::Fine);
        assert_eq!(expiry(&certificate(13, None, false)).state, CheckResult::Wrong);
    }
}

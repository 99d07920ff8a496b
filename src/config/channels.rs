//! `[channels]`: previews beside the live site, and who sees them.
//!
//! Pure. This module validates values and must not act on them.

use std::time::Duration;

use super::pattern::Network;
use super::section::{FromSection, Section, expect, owned_if, which};
use super::target::{BASIC_AUTH, basic_auth};
use super::url::{WebUrl, host_name};
use super::values::parse_duration;
use crate::model::channel::ChannelName;

/// `[channels]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    /// How long a channel stays after its last publish.
    pub expire: Duration,
    /// The host name below which each channel has one of its own; `None` if the vhost shows no channels.
    pub domain: Option<String>,
    /// The file on the host with the names and passwords that visitors of channels need; `None` if they need none.
    pub basic_auth: Option<String>,
    /// The addresses that may visit channels, in nginx's form; empty for any.
    pub allow: Vec<String>,
}

impl FromSection for Channels {
    fn from_section(section: &Section<'_>) -> Self {
        let expire = expect("a number with one of d, h, m, s", r#""14d""#);
        let domain = expect("a host name", r#""preview.docs.example.com""#);
        let allow = expect("a list of addresses and networks", r#"["192.0.2.7", "2001:db8::/32"]"#);
        Self {
            expire: section
                .read_text("expire", expire, |text| parse_duration(text).or_else(which))
                .unwrap_or(Duration::from_hours(14 * 24)),
            // It can have further labels in front of it.
            domain: section.read_text("domain", domain, |text| host_name(text, "x.")),
            basic_auth: section.read_text("basic-auth", BASIC_AUTH, basic_auth),
            allow: section
                .read_list("allow", allow, |text| {
                    owned_if(
                        is_network(text),
                        text,
                        "is neither an IP address nor a network like 192.0.2.0/24",
                    )
                })
                .unwrap_or_default(),
        }
    }
}

impl Channels {
    /// The URL of a channel's site, without a slash at the end, given that of the live site; `None` if the channels have
    /// no domain.
    #[must_use]
    pub fn url(&self, name: &ChannelName, site: Option<&WebUrl>) -> Option<String> {
        let domain = self.domain.as_ref()?;
        let site = site.map(WebUrl::url);
        let scheme = site.map_or("https", url::Url::scheme);
        let port = site.and_then(url::Url::port).map(|port| format!(":{port}"));
        let path = site.map_or("", url::Url::path).trim_end_matches('/');
        Some(format!("{scheme}://{name}.{domain}{}{path}", port.unwrap_or_default()))
    }
}

fn is_network(text: &str) -> bool {
    matches!(Network::new(text), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_networks_are_what_nginx_can_be_given() {
        for domain in ["preview.docs.example.com", "localhost", "xn--bcher-kva.example"] {
            assert!(host_name(domain, "x.").is_ok(), "{domain}");
        }
        for other in [
            "",
            "Preview.example.com",
            "a b",
            "a/b",
            "a:80",
            ".a",
            "a;b",
            "*.example.com",
        ] {
            assert!(host_name(other, "x.").is_err(), "{other}");
        }
        for network in ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "::1"] {
            assert!(is_network(network), "{network}");
        }
        for other in [
            "",
            "all",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/+1",
            "192.0.2",
            "1;deny",
            "::/129",
        ] {
            assert!(!is_network(other), "{other}");
        }
    }

    #[test]
    fn a_channel_has_a_host_name_of_its_own() {
        let channels = |domain: Option<&str>| Channels {
            expire: Duration::ZERO,
            domain: domain.map(str::to_owned),
            basic_auth: None,
            allow: Vec::new(),
        };
        let name = "pr-12".parse().unwrap();
        let site = WebUrl::parse("http://docs.example.com:8080/handbook").unwrap();
        let url = channels(Some("preview.example.com")).url(&name, Some(&site));
        assert_eq!(url.as_deref(), Some("http://pr-12.preview.example.com:8080/handbook"));
        assert_eq!(channels(None).url(&name, Some(&site)), None);
    }
}

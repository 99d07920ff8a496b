//! The server of the channels: previews, each under a host name of its own. Pure.
//!
//! It answers by the same locations as the site. Which channel a request is for comes from its host name alone, by an
//! expression that matches names of channels and nothing else, so that no request leaves the folder of the channels. It
//! must never let a search engine list a preview.

use std::fmt::Write as _;

use super::{Access, Site, Vhost, VhostError, values};
use crate::model::channel::PATTERN;
use crate::model::layout;

/// The previews of a vhost, and who is to see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The host name below which each channel has one of its own.
    pub domain: String,
    /// The file on the host with the names and passwords that visitors need; `None` if they need none.
    pub basic_auth: Option<String>,
    /// The addresses and networks that may visit; empty for any.
    pub allow: Vec<String>,
}

impl Site<'_> {
    /// The server of the channels, with the one that leads to it from port 80.
    ///
    /// # Errors
    /// As those of [`super::render`].
    pub(super) fn channel_servers(&self, channels: &Channels) -> Result<String, VhostError> {
        let domain = values::server_name(&channels.domain)?;
        if let Some(path) = channels.basic_auth.as_ref().filter(|path| !values::is_file(path)) {
            return Err(VhostError::BasicAuth(path.clone()));
        }
        let vhost = Vhost {
            access: Access {
                noindex: true,
                basic_auth: channels.basic_auth.clone(),
            },
            ..self.vhost.clone()
        };
        let channel = self.variable("channel");
        let captured = channel.trim_start_matches('$');
        let site = Site {
            certificate: domain.clone(),
            root: format!("{}/{}/{channel}", self.docroot, layout::CHANNELS),
            vhost: &vhost,
            ..self.clone()
        };
        let mut text = format!(
            "\n# Previews: {domain} has a host name for each channel. Its names need a record in the DNS, *.{domain}"
        );
        if vhost.tls {
            let _ = writeln!(
                text,
                ",\n# and a certificate, which for all names of a domain takes DNS-01:\n\
                 #     certbot certonly --manual --preferred-challenges dns -d '*.{domain}' --cert-name {domain}"
            );
        } else {
            text += ".\n";
        }
        let names = format!("\"~^(?<{captured}>{PATTERN})[.]{}\\z\"", values::pattern(&domain));
        if site.has_plain_server() {
            text += &site.plain_server(&names, &format!("{channel}.{domain}"));
        }
        text += &site.server(&names, &[channels.allowed(), ROBOTS.to_owned()].join("\n"));
        Ok(text)
    }
}

/// Asks robots to stay away: a page that they may not read is not listed by its content either.
const ROBOTS: &str = "if ($uri = /robots.txt) {\n    return 200 \"User-agent: *\\nDisallow: /\\n\";\n}\n";

impl Channels {
    /// The directives for who may visit.
    fn allowed(&self) -> String {
        if self.allow.is_empty() {
            return String::new();
        }
        format!("allow {};\ndeny all;\n", self.allow.join(";\nallow "))
    }
}

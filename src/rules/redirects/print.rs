//! Redirects as other servers read them. Pure.

use std::fmt::Write as _;

use super::{RedirectRule, Redirects};
use crate::model::redirect::{Redirect, Status};
use crate::next::url;

/// The redirects in the syntax of [`super::FILE`]: the entries of a release by decoded address, then the patterns.
#[must_use]
pub fn as_file(entries: &[(String, &Redirect)], redirects: &Redirects) -> String {
    let mut text = String::new();
    for (address, to) in entries {
        let _ = writeln!(text, "{} {} {}", url::encoded(address), to.location(), to.status());
    }
    for rule in redirects.patterns() {
        let _ = writeln!(text, "{} {} {}", rule.written, rule.target(), rule.status());
    }
    text
}

/// The redirects as the lines of an nginx `map`, with the directives that use it as comments. Patterns are comments,
/// too.
#[must_use]
pub fn as_map(entries: &[(String, &Redirect)], redirects: &Redirects) -> String {
    let mut text = String::from(
        "# In the http block:\n\
         #     map $uri $moved { include .syntax-publish/redirects.map; }\n\
         # In the server block:\n",
    );
    for status in Status::ALL {
        let _ = writeln!(text, "#     if ($moved ~ \"^{status} (.+)\") {{ return {status} $1; }}");
    }
    for (address, to) in entries {
        // An address in a map is a plain text, and a value is not.
        let address = address.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(
            text,
            "\"{address}\" \"{} {}\";",
            to.status(),
            to.location().replace('$', "%24")
        );
    }
    // `$uri` is decoded, so a part of it in a `Location` could add a header.
    for rule in redirects.patterns() {
        let (from, to, status) = (&rule.written, rule.target(), rule.status());
        let _ = writeln!(text, "# not in a map: {from} {to} {status}");
    }
    text
}

impl RedirectRule {
    /// The target as it is written, percent-encoded.
    fn target(&self) -> String {
        let names: Vec<String> = self.from.names().into_iter().map(|name| format!(":{name}")).collect();
        let name = |wanted: &str| {
            names
                .iter()
                .find(|name| name[1..] == *wanted)
                .map_or("", String::as_str)
        };
        self.to.filled(&name)
    }
}

//! What every answer carries: the headers of the vhost and of the site's own rules, and the question for a password.
//! Pure.
//!
//! The site's own headers depend on the address that the visitor asked for. nginx changes `$uri` on its way to a file, so
//! the address is kept in a variable before anything changes it: a `map` without `volatile` is evaluated once for each
//! request. A header is a `map` of that address, in which an empty value means no header. A second header line of one
//! name is a second `map`.
//!
//! Names and values were checked when they were read ([`crate::rules::custom_headers`]), so what is left to do is to
//! escape quotes and backslashes. nginx knows no escape for `$`, so a variable stands for it.

use std::fmt::Write as _;

use super::{Site, VhostError};
use crate::rules::custom_headers::{Choice, HeaderLine};
use crate::rules::headers;

/// The longest word that nginx reads is a little longer.
const LONGEST_WORD: usize = 4000;

/// So many header lines need no remark.
const FEW_LINES: usize = 10;

/// Prints headers as `add_header` directives.
pub(super) fn added<'a>(headers: impl Iterator<Item = (&'a str, impl AsRef<str>)>) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        let value = value.as_ref();
        let is_word = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        let quote = if is_word { "" } else { "\"" };
        let _ = writeln!(text, "add_header {name} {quote}{value}{quote} always;");
    }
    text
}

impl Site<'_> {
    /// The headers that answers have where no rule of the site changes them.
    fn defaults(&self) -> Vec<(&'static str, String)> {
        let fixed = headers::SECURITY.map(|(name, value)| (name, value.to_owned()));
        let hsts = self.vhost.hsts.filter(|_| self.vhost.tls);
        let hsts = hsts.map(|seconds| (headers::HSTS, format!("max-age={seconds}")));
        fixed.into_iter().chain(hsts).collect()
    }

    /// What nginx may say of many variables.
    pub(super) fn hash_remark(&self) -> &'static str {
        if self.vhost.rules.headers.lines(&[]).len() <= FEW_LINES {
            return "";
        }
        "#\n\
         # For many headers of a site nginx may warn `could not build optimal variables_hash`. It works all the same; to end\n\
         # the warning, put this line into the http block of nginx.conf:\n\
         #     variables_hash_bucket_size 128;\n"
    }

    /// The maps of the site's own headers.
    pub(super) fn custom_maps(&self) -> Result<String, VhostError> {
        let defaults = self.defaults();
        let defaults: Vec<(&str, &str)> = defaults.iter().map(|(name, value)| (*name, &**value)).collect();
        let lines = self.vhost.rules.headers.lines(&defaults);
        if lines.is_empty() {
            return Ok(String::new());
        }
        let mut text = String::new();
        let has_dollar = |line: &HeaderLine<'_>| line.choices.iter().any(|choice| choice.value.contains('$'));
        if lines.iter().any(has_dollar) {
            let _ = write!(
                text,
                "\n# A dollar sign, which nginx has no other way to write.\ngeo {} {{\n    default \"$\";\n}}\n",
                self.variable("dollar"),
            );
        }
        let _ = write!(
            text,
            "\n# Headers of the site's own (`_headers`), by the address that was asked for.\n\
             map $uri {asked} {{\n    default $uri;\n}}\n",
            asked = self.variable("asked"),
        );
        for (number, line) in (1..).zip(&lines) {
            let _ = writeln!(
                text,
                "map {} {} {{\n    default {};",
                self.variable("asked"),
                self.variable(&numbered(number)),
                self.quoted(line.default),
            );
            for choice in &line.choices {
                let key = key(choice);
                if key.len() > LONGEST_WORD {
                    return Err(VhostError::Headers {
                        address: choice.rule.written.clone(),
                        file: choice.rule.place.file.clone(),
                        line: choice.rule.place.line,
                        name: line.name.to_owned(),
                    });
                }
                let _ = writeln!(text, "    \"{key}\" {};", self.quoted(choice.value));
            }
            text += "}\n";
        }
        Ok(text)
    }

    /// A value as a word of nginx's. It must be printable ASCII.
    fn quoted(&self, value: &str) -> String {
        let dollar = format!("${{{}}}", self.variable("dollar").trim_start_matches('$'));
        let mut text = String::from("\"");
        for c in value.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '$' => text += &dollar,
                _ => text.push(c),
            }
        }
        text + "\""
    }

    /// The headers, and what is needed to know their values.
    pub(super) fn headers(&self) -> String {
        let mut text = format!(
            "# All headers are here and none in a location, which would drop the others.\n\
             server_tokens off;\n\
             expires off;\n\
             add_header Cache-Control {cache} always;\n",
            cache = self.variable("cache"),
        );
        let defaults = self.defaults();
        let of_default: Vec<(&str, &str)> = defaults.iter().map(|(name, value)| (*name, &**value)).collect();
        let lines = self.vhost.rules.headers.lines(&of_default);
        let is_changed = |name: &str| lines.iter().any(|line| line.name == name);
        text += &added(of_default.into_iter().filter(|(name, _)| !is_changed(name)));
        for (number, line) in (1..).zip(&lines) {
            let variable = self.variable(&numbered(number));
            let _ = writeln!(text, "add_header {} {variable} always;", line.name);
        }
        if self.vhost.access.noindex {
            text += &added(std::iter::once(headers::NOINDEX));
        }
        if !lines.is_empty() {
            let _ = write!(
                text,
                "# Evaluated here, before the address changes on its way to a file.\nset {} {};\n",
                self.variable("first"),
                self.variable("asked"),
            );
        }
        if self.vhost.rules.deployment_id.is_some() {
            let _ = write!(
                text,
                "\n# Next.js's client loads the document at each click unless this names its own deployment. The live release\n\
                 # has a file for the one that it is of.\n\
                 set {deployment} \"\";\n\
                 if (-f $document_root/{marks}/{claimed}{ending}) {{\n    \
                     set {deployment} {claimed};\n\
                 }}\n\
                 add_header {header} {deployment} always;\n",
                deployment = self.variable("dpl"),
                claimed = self.variable("claim"),
                marks = headers::DEPLOYMENT_MARKS,
                ending = headers::DEPLOYMENT_ENDING,
                header = headers::DEPLOYMENT,
            );
        }
        text
    }

    /// The question for a name and a password.
    pub(super) fn password(&self) -> String {
        self.vhost.access.basic_auth.as_ref().map_or_else(String::new, |path| {
            format!(
                "\n# Files need a name and a password (`basic-auth` of the target). Redirects and the marker don't.\n\
                 auth_basic \"{}\";\n\
                 auth_basic_user_file {path};\n",
                self.name
            )
        })
    }
}

/// The name of a header line's variable, after the prefix.
fn numbered(number: usize) -> String {
    format!("h{number}")
}

/// The addresses of a choice, as the key of a map.
fn key(choice: &Choice<'_>) -> String {
    let mut text = String::from("~(?s)^");
    for (path, except) in &choice.unless {
        text += "(?!";
        for except in except {
            let _ = write!(text, "(?!{})", except.regex());
        }
        let _ = write!(text, "{})", path.regex());
    }
    text + &choice.path.regex()
}

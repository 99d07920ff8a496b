//! `[[headers]]`, and a `_headers` file next to the site manifest.
//!
//! Pure. A mistake in the site manifest is an error of the site manifest. A line of the file that can't be followed is a
//! finding of the check `headers`, like one of the export's own file.

use super::section::{Refusal, Section, expect, text};
use crate::rules::custom_headers::{self, HeaderRule};
use crate::rules::redirects::{BadLine, Place};

/// The name of the site manifest, as the place of a rule.
const SITE_MANIFEST: &str = "site-manifest.toml";

/// Headers that the configuration adds to those of the export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// The rules, in the order in which they apply.
    pub rules: Vec<HeaderRule>,
    /// Lines that can't be followed.
    pub bad: Vec<BadLine>,
}

impl Headers {
    /// Adds the text of a `_headers` file next to the site manifest. Its rules apply before those of the site manifest,
    /// which therefore can remove what they set.
    pub fn add_file(&mut self, text: &str) {
        let (rules, bad) = custom_headers::parse(custom_headers::FILE, text);
        self.rules.splice(0..0, rules);
        self.bad.extend(bad);
    }
}

pub(super) fn of_section(top: &Section<'_>) -> Headers {
    let rules = top.tables("headers").into_iter().filter_map(|section| {
        let rule = rule(&section);
        section.close();
        rule
    });
    Headers {
        rules: rules.collect(),
        bad: Vec::new(),
    }
}

fn rule(section: &Section<'_>) -> Option<HeaderRule> {
    let address = expect("an address that starts with `/`, as in `_headers`", r#""/docs/*""#);
    let value = expect("the value of a header, or false to remove it", r#""noindex""#);
    if !section.has("for") {
        section.missing("for", address);
    }
    if !section.has("values") {
        let table = expect("a table of headers", r#"{ X-Robots-Tag = "noindex" }"#);
        section.missing("values", table);
    }
    let place = Place {
        file: SITE_MANIFEST.to_owned(),
        line: section.line(),
    };
    let mut rule = section.read_text("for", address, |text| {
        HeaderRule::new(place, text).map_err(Refusal::Which)
    });
    if let Some(values) = section.open("values") {
        values.each(value, |name, value| {
            let Some(rule) = &mut rule else { return Ok(()) };
            let result = match value.as_bool() {
                Some(false) => rule.remove(name),
                _ => rule.set(name, text(value)?),
            };
            result.map_err(Refusal::Which)
        });
    }
    rule.filter(|rule| !rule.is_empty())
}

//! `[[redirects]]`, and a `_redirects` file next to the site manifest.
//!
//! Pure. A mistake in the site manifest is an error of the site manifest. A line of the file that can't be followed is a
//! finding of the check `redirects`, like one of the export's own file.

use super::section::{Refusal, Section, expect, whole};
use crate::model::redirect::Status;
use crate::rules::redirects::{self, BadLine, Place, RedirectRule};

/// The name of the site manifest, as the place of a rule.
const SITE_MANIFEST: &str = "site-manifest.toml";

/// Redirects that the configuration adds to those of the export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    /// The rules, in the order in which they apply.
    pub rules: Vec<RedirectRule>,
    /// Lines that can't be followed.
    pub bad: Vec<BadLine>,
}

impl Redirects {
    /// Adds the text of a `_redirects` file next to the site manifest. Its rules apply before those of the site
    /// manifest.
    pub fn add_file(&mut self, text: &str) {
        let (rules, bad) = redirects::parse(redirects::FILE, text);
        self.rules.splice(0..0, rules);
        self.bad.extend(bad);
    }
}

pub(super) fn of_section(top: &Section<'_>) -> Redirects {
    let rules = top.tables("redirects").into_iter().filter_map(|section| {
        let rule = rule(&section);
        section.close();
        rule
    });
    Redirects {
        rules: rules.collect(),
        bad: Vec::new(),
    }
}

fn rule(section: &Section<'_>) -> Option<RedirectRule> {
    let address = expect("an address that starts with `/`", r#""/old/page""#);
    let target = expect(
        "an address that starts with `/`, or an http or https URL",
        r#""/new/page""#,
    );
    let code = expect("301, 302, 307 or 308", "308");
    let own = |value: &str| Ok(value.to_owned());
    for (key, expect) in [("from", address), ("to", target)] {
        if !section.has(key) {
            section.missing(key, expect);
        }
    }
    let from = section.read_text("from", address, own);
    let to = section.read_text("to", target, own);
    let status = section.read("status", code, |value| {
        let number = whole::<u16>(value, 0..=999)?;
        Status::from_code(&number.to_string()).ok_or(Refusal::Type)
    });
    if section.has("status") && status.is_none() {
        return None;
    }
    let place = Place {
        file: SITE_MANIFEST.to_owned(),
        line: section.line(),
    };
    let status = status.unwrap_or(redirects::DEFAULT_STATUS);
    match RedirectRule::new(place, &from?, &to?, status) {
        Ok(rule) => Some(rule),
        Err(reason) => {
            section.problem(
                "from",
                format!("this redirect {reason}"),
                "see `_redirects` in the reference".to_owned(),
            );
            None
        }
    }
}

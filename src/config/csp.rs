//! `[csp]`: the content security policy of the site.
//!
//! Pure. This module validates values; [`crate::rules::csp`] knows what a policy means.

use std::cell::Cell;

use super::section::{Expect, FromSection, Refusal, Section, expect, owned_if};
use crate::model::glob::PathGlob;
use crate::rules::csp::{DIRECTIVES, Policy, REPORT_ONLY, is_hash, refused};
use crate::rules::custom_headers::HeaderRule;
use crate::rules::lines::Place;

/// What a policy does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CspMode {
    /// There is none.
    #[default]
    Off,
    /// Browsers report what it would block.
    ReportOnly,
    /// Browsers block what it does not allow.
    Enforce,
}

/// `[csp]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Csp {
    /// What the policy does.
    pub mode: CspMode,
    /// Globs of pages that get no policy.
    pub exclude: Vec<PathGlob>,
    /// Where browsers send their reports, if the policy only reports.
    pub report_uri: Option<String>,
    /// The policy.
    pub policy: Policy,
}

const MODE: Expect = expect(r#""off", "report-only" or "enforce""#, r#""enforce""#);
const MODES: [(&str, CspMode); 3] = [
    ("off", CspMode::Off),
    ("report-only", CspMode::ReportOnly),
    ("enforce", CspMode::Enforce),
];
const PAGES: Expect = expect("a list of globs over paths of the export", r#"["storybook/**"]"#);
const REPORTS: Expect = expect(
    "the address that takes the reports",
    r#""https://reports.example.com/csp""#,
);
const SOURCES: Expect = expect("a list of sources", r#"["'self'", "https://api.example.com"]"#);

impl Csp {
    /// Whether a page gets no policy.
    #[must_use]
    pub fn is_excluded(&self, path: &str) -> bool {
        self.exclude.iter().any(|glob| glob.is_match(path.as_bytes()))
    }

    /// The header of a policy that only reports; `None` in another mode.
    ///
    /// # Errors
    /// Why it can't be a header, as a sentence without a subject.
    pub fn reporting(&self) -> Result<Option<HeaderRule>, String> {
        if self.mode != CspMode::ReportOnly {
            return Ok(None);
        }
        let mut rule = HeaderRule::new(Place::new("site-manifest.toml", 1), "/*")?;
        rule.set(REPORT_ONLY, &self.policy.of_header(self.report_uri.as_deref()))?;
        Ok(Some(rule))
    }
}

impl FromSection for Csp {
    fn from_section(section: &Section<'_>) -> Self {
        let csp = Self {
            mode: section
                .read_word("mode", MODE, &MODES, "is no mode")
                .unwrap_or_default(),
            exclude: section
                .read_list("exclude", PAGES, |text| {
                    PathGlob::new(text).map_err(|bad| Refusal::Which(bad.to_string()))
                })
                .unwrap_or_default(),
            report_uri: section.read_text("report-uri", REPORTS, |text| {
                let is_url = ["https://", "http://", "/"].iter().any(|start| text.starts_with(start));
                let is_plain = text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';'));
                owned_if(is_url && is_plain, text, "is not an address")
            }),
            policy: section.read_table("directives"),
        };
        if let Err(reason) = csp.reporting() {
            let hint = "allow fewer sources, or wider ones such as `https:`".to_owned();
            section.problem("mode", format!("the policy of [csp] {reason}"), hint);
        }
        csp
    }
}

impl FromSection for Policy {
    fn from_section(section: &Section<'_>) -> Self {
        let mut policy = Self::default();
        for (directive, _) in DIRECTIVES {
            let is_empty = Cell::new(true);
            let sources = section.read_list(directive, SOURCES, |text| {
                is_empty.set(false);
                refused(text).map(|()| text.to_owned()).map_err(Refusal::Which)
            });
            let Some(sources) = sources else { continue };
            if is_empty.get() {
                let hint = "write [\"'none'\"] to allow nothing, or leave the key out".to_owned();
                section.problem(directive, format!("\"{directive}\" in [csp.directives] is empty"), hint);
            }
            let is_inline = sources.iter().any(|source| source == "'unsafe-inline'");
            if is_inline && sources.iter().any(|source| is_hash(source)) {
                let message = format!("\"{directive}\" in [csp.directives] has 'unsafe-inline' and a hash");
                let hint = "browsers ignore 'unsafe-inline' beside a hash: leave out one of them".to_owned();
                section.problem(directive, message, hint);
            }
            policy.set(directive, sources);
        }
        section.refuse_keys(
            &["frame-ancestors", "report-to", "sandbox"],
            "a page can't state it: set it in a header, with [[headers]]",
        );
        section.refuse_keys(&["report-uri"], "it stands in [csp], beside the mode");
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn directives_replace_their_defaults() {
        let text =
            "[csp]\nmode = \"enforce\"\n[csp.directives]\nconnect-src = [\"'self'\", \"https://api.example.com\"]\n";
        let csp = parse(text).unwrap().config.csp;
        assert_eq!(csp.mode, CspMode::Enforce);
        let policy = csp.policy.of_page(std::iter::empty());
        assert!(
            policy.contains("; connect-src 'self' https://api.example.com;"),
            "{policy}"
        );
        assert_eq!(parse("").unwrap().config.csp, Csp::default());
    }

    #[test]
    fn what_no_policy_of_a_page_can_have_is_refused_with_its_line() {
        let text = "[csp]\nmode = \"on\"\n[csp.directives]\nscript-src = [\"self\", \"'nonce-x'\"]\nframe-ancestors = []\n\
                    report-uri = \"x\"\nscript-source = []\n";
        insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
        "mode" in [csp] is the string "on", which is no mode, line 2: it must be "off", "report-only" or "enforce", such as mode = "enforce"
        "script-src" in [csp.directives] holds the string "self", which needs quotes: "'self'", line 4: it must be a list of sources, such as script-src = ["'self'", "https://api.example.com"]
        "script-src" in [csp.directives] holds the string "'nonce-x'", which is a nonce, which a static page can't have, line 4: it must be a list of sources, such as script-src = ["'self'", "https://api.example.com"]
        "frame-ancestors" does not belong in [csp.directives], line 5: a page can't state it: set it in a header, with [[headers]]
        "report-uri" does not belong in [csp.directives], line 6: it stands in [csp], beside the mode
        unknown key "script-source" in [csp.directives], line 7: did you mean "script-src"?
        "#);
    }

    #[test]
    fn lists_that_mean_something_else_to_a_browser_and_headers_that_can_not_be_are_refused() {
        let hash = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        let many: Vec<String> = (0..200)
            .map(|number| format!("\"https://{number}.example.com\""))
            .collect();
        let text = format!(
            "[csp]\nmode = \"report-only\"\n[csp.directives]\nobject-src = []\nscript-src = [\"'unsafe-inline'\", \"{hash}\"]\n\
             img-src = [{}]\n",
            many.join(", ")
        );
        insta::assert_snapshot!(parse(&text).unwrap_err(), @r#"
        the policy of [csp] gives Content-Security-Policy-Report-Only a value of more than 4000 bytes, which nginx can't read, line 2: allow fewer sources, or wider ones such as `https:`
        "object-src" in [csp.directives] is empty, line 4: write ["'none'"] to allow nothing, or leave the key out
        "script-src" in [csp.directives] has 'unsafe-inline' and a hash, line 5: browsers ignore 'unsafe-inline' beside a hash: leave out one of them
        "#);
    }
}

//! From what was found, before and after, to what it means for the release. Pure.

use super::finding::{Finding, Side};
use super::question::{Question, Subject};
use crate::model::severity::Severity;

/// What the answers mean for the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Visitors get it.
    Fine,
    /// Visitors don't get it, and it is not the release's fault.
    Stays,
}

/// What was found of the release before, by the same questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// What was wrong.
    pub findings: Vec<Finding>,
    /// Files that the release before did not have: of those there was nothing to be found.
    pub added: Vec<Question>,
}

/// What is the new release's fault: what fails at the origin and did not fail in the same way before. Where a file is new,
/// a fault of the same kind anywhere excuses it.
#[must_use]
pub fn regressions<'f>(after: &'f [Finding], before: &Baseline) -> Vec<&'f Finding> {
    // Where no one answered before, no one can say what was right.
    if before.findings.iter().any(|finding| finding.flaw.code() == "no-answer") {
        return Vec::new();
    }
    let is_new = |finding: &&Finding| {
        let code = kind(finding);
        let mut same = before.findings.iter().filter(|known| kind(known) == code);
        if finding
            .question
            .as_ref()
            .is_some_and(|question| before.added.contains(question))
        {
            return same.next().is_none();
        }
        !same.any(|known| known.question == finding.question)
    };
    let origin = after.iter().filter(|finding| finding.side == Side::Origin);
    origin
        .filter(|finding| finding.flaw.is_of_the_release())
        .filter(is_new)
        .collect()
}

/// The kind of a fault, where previous bytes and others are one: before, there were no previous ones to be known.
fn kind(finding: &Finding) -> &'static str {
    match finding.flaw.code() {
        "former-bytes" | "rewritten" => "bytes",
        "page-for-missing" => "status",
        code => code,
    }
}

/// What findings mean for a release that was not found at fault.
#[must_use]
pub fn verdict(findings: &[Finding]) -> Verdict {
    let mut findings = findings.iter();
    if findings.any(|finding| finding.severity() == Severity::Error) {
        Verdict::Stays
    } else {
        Verdict::Fine
    }
}

/// Whether asking again a moment later may end otherwise: an edge that still has the release before.
#[must_use]
pub fn may_pass(finding: &Finding) -> bool {
    let removed = finding
        .question
        .as_ref()
        .is_some_and(|question| matches!(question.subject, Subject::Removed(_)));
    finding.side == Side::Public && (kind(finding) == "bytes" || removed)
}

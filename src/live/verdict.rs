//! Decides what the findings before and after the swap mean for the release. Pure.

use super::finding::{Finding, Side};
use super::question::Question;
use crate::model::severity::Severity;

/// The findings for the previous release, from the same questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// What was wrong.
    pub findings: Vec<Finding>,
    /// Questions about files that the previous release did not have. The baseline contains no findings for them.
    pub added: Vec<Question>,
}

/// Returns the findings that the new release is at fault for: failures at the origin that did not occur in the same
/// form before. A failure of a new file is excused if any failure of the same kind occurred before.
pub fn regressions<'f>(after: &'f [Finding], before: &Baseline) -> Vec<&'f Finding> {
    // If the site did not answer before, it is unknown what was right.
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

/// The kind of a fault, for comparison with the baseline. Content of the previous release and any other wrong content
/// are one kind, because the baseline has no earlier release to compare with and so can't tell them apart.
fn kind(finding: &Finding) -> &'static str {
    match finding.flaw.code() {
        "former-bytes" | "rewritten" => "bytes",
        "page-for-missing" => "status",
        code => code,
    }
}

/// Whether visitors get the release: there is no error, whether or not the release is at fault.
pub fn is_fine<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> bool {
    let mut findings = findings.into_iter();
    findings.all(|finding| finding.severity() != Severity::Error)
}

/// Whether the finding may disappear if the question is repeated a moment later, because a CDN edge still has the
/// previous release.
pub fn may_pass(finding: &Finding) -> bool {
    finding.side == Side::Public && (kind(finding) == "bytes" || finding.is_removed())
}

//! The result of a check, one line each. Pure.

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(into = "Option<bool>")]
pub enum CheckResult {
    /// Everything is right.
    Fine,
    /// Something is wrong.
    Wrong,
    /// The check was not possible, or there is nothing to check. This is not a second alarm, because the cause has its
    /// own line.
    NotAsked,
}

impl From<CheckResult> for Option<bool> {
    /// Whether everything is right; `None` if the check was not made.
    fn from(state: CheckResult) -> Self {
        match state {
            CheckResult::Fine => Some(true),
            CheckResult::Wrong => Some(false),
            CheckResult::NotAsked => None,
        }
    }
}

/// One check and its result. `--json` prints it, so fields may be added but must never be renamed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DoctorCheck {
    /// The name of the check, one of [`super::VISITORS`] or [`super::PUBLISHERS`].
    pub check: &'static str,
    /// The outcome.
    #[serde(rename = "ok")]
    pub state: CheckResult,
    /// What was seen.
    pub detail: String,
    /// What to do about it, if something is wrong.
    pub fix: Option<String>,
}

/// Returns the result of a check that found everything right.
pub(super) fn fine(check: &'static str, detail: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        check,
        state: CheckResult::Fine,
        detail: detail.into(),
        fix: None,
    }
}

/// Returns the result of a check that found something wrong.
pub(super) fn wrong(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        check,
        state: CheckResult::Wrong,
        detail: detail.into(),
        fix: Some(fix.into()),
    }
}

/// Returns the result of a check that was not made.
pub(super) fn not_asked(check: &'static str, why: &str) -> DoctorCheck {
    DoctorCheck {
        check,
        state: CheckResult::NotAsked,
        detail: format!("not checked: {why}"),
        fix: None,
    }
}

/// Returns the results of checks none of which was made.
pub(super) fn none_asked(checks: &[&'static str], why: &str) -> Vec<DoctorCheck> {
    checks.iter().map(|check| not_asked(check, why)).collect()
}

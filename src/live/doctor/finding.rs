//! What is found, one line a check. Pure.

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// It is as it should be.
    Fine,
    /// It is not.
    Wrong,
    /// It could not be asked, or there is nothing to ask. That is no second alarm: what is in the way has its own line.
    NotAsked,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorCheck {
    /// Its name, one of [`super::VISITORS`] or [`super::PUBLISHERS`].
    pub check: &'static str,
    /// How it ended.
    pub state: CheckResult,
    /// What was seen.
    pub detail: String,
    /// What to do about it, where something is wrong.
    pub fix: Option<String>,
}

/// It is as it should be.
pub(super) fn fine(check: &'static str, detail: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        check,
        state: CheckResult::Fine,
        detail: detail.into(),
        fix: None,
    }
}

/// It is not.
pub(super) fn wrong(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        check,
        state: CheckResult::Wrong,
        detail: detail.into(),
        fix: Some(fix.into()),
    }
}

/// It could not be asked.
pub(super) fn not_asked(check: &'static str, why: &str) -> DoctorCheck {
    DoctorCheck {
        check,
        state: CheckResult::NotAsked,
        detail: format!("not checked: {why}"),
        fix: None,
    }
}

/// None of these could be asked.
pub(super) fn none_asked(checks: &[&'static str], why: &str) -> Vec<DoctorCheck> {
    checks.iter().map(|check| not_asked(check, why)).collect()
}

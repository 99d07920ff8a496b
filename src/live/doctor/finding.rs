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

/// What a check found. Which check it was follows from its place in the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: CheckResult,
    pub(super) detail: String,
    pub(super) fix: Option<String>,
}

impl Outcome {
    pub(super) fn is_wrong(&self) -> bool {
        self.state == CheckResult::Wrong
    }

    /// The result, with the name of the check.
    pub(super) fn named(self, check: &'static str) -> DoctorCheck {
        let Self { state, detail, fix } = self;
        DoctorCheck {
            check,
            state,
            detail,
            fix,
        }
    }
}

/// Everything is right.
pub(super) fn fine(detail: impl Into<String>) -> Outcome {
    Outcome {
        state: CheckResult::Fine,
        detail: detail.into(),
        fix: None,
    }
}

/// Something is wrong.
pub(super) fn wrong(detail: impl Into<String>, fix: impl Into<String>) -> Outcome {
    Outcome {
        state: CheckResult::Wrong,
        detail: detail.into(),
        fix: Some(fix.into()),
    }
}

/// The check was not made.
pub(super) fn not_asked(why: &str) -> Outcome {
    Outcome {
        state: CheckResult::NotAsked,
        detail: format!("not checked: {why}"),
        fix: None,
    }
}

/// None of the checks was made.
pub(super) fn none_asked<const CHECKS: usize>(why: &str) -> [Outcome; CHECKS] {
    core::array::from_fn(|_| not_asked(why))
}

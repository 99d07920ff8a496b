//! How serious a finding is, whether it comes from a check of the export or of the live site. Pure.

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// In the export: the export is not published. On the live site: visitors get something other than what was
    /// published.
    Error,
    /// The finding is reported and does not stop anything.
    Warning,
}

impl Severity {
    /// The name, as in all output: `error` or `warning`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

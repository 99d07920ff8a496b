//! How serious a finding is, whether it comes from a check of the export or of the live site. Pure.

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// In the export: the export is not published. On the live site: visitors get something other than what was
    /// published.
    Error,
    /// The finding is reported and does not stop anything.
    Warning,
}

//! How serious a finding is, of a check of the export or of the live site. Pure.

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Of the export: it is not published. Of the live site: visitors get something other than what was published.
    Error,
    /// It is reported, and stops nothing.
    Warning,
}

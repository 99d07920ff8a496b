//! Errors of turning an export into a site.

use crate::model::severity::Severity;
use crate::site::check::Problem;
use crate::site::scan::ScanError;
use crate::site::source::SourceError;

/// Why an export can't be turned into a site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The export could not be read, or contains something that can't be published.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A check found something that must not go live.
    #[error("the checks found {} in the export", errors(.0))]
    Check(Vec<Problem>),
    /// A file of the export changed or can't be encoded.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A pattern of the site manifest can't be used. Patterns of a parsed site manifest can.
    #[error("can't use the patterns of the site manifest: {0}")]
    Patterns(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SiteError {
    /// The error for a pattern of the site manifest that does not compile.
    pub fn patterns(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Patterns(Box::new(error))
    }
}

fn errors(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    match errors.count() {
        1 => "an error".to_owned(),
        count => format!("{count} errors"),
    }
}

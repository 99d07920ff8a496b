//! `immutable`: no immutable path gets other bytes than readers have of it. Pure.
//!
//! What readers have is known on the host alone, so the paths come out of the plan, not out of the export.

use super::{Level, Problem, Severity};
use crate::model::path::SitePath;

/// The check's name in the site manifest.
pub const NAME: &str = "immutable";

/// The problems that such paths are.
#[must_use]
pub fn problems<'p>(paths: impl Iterator<Item = &'p SitePath>, level: Level) -> Vec<Problem> {
    let severity = match level {
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Off => return Vec::new(),
    };
    let problem = |path: &SitePath| Problem {
        path: path.clone(),
        line: None,
        severity,
        check: NAME,
        message:
            "a release that readers may have open has other bytes under this name, and browsers keep them for a year"
                .to_owned(),
        hint: "build again from a clean folder, so that the name follows the bytes; or give the file another name"
            .to_owned(),
    };
    paths.map(problem).collect()
}

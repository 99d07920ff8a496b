//! `headers`: every line of `_headers` can be followed. Pure.
//!
//! A line that can't be followed is an error, because whoever wrote it relies on it: on a policy for frames, or on a page
//! that search engines leave out. The rules come from the export and from the site manifest, so this check uses what was
//! read of both, not the survey.

use super::finding::Problem;
use crate::config::Level;
use crate::model::path::SitePath;
use crate::model::severity::Severity;
use crate::rules::redirects::BadLine;

/// The check's name in the site manifest.
pub const NAME: &str = "headers";

/// Returns the problems of header rules.
#[must_use]
pub fn problems(bad: &[BadLine], level: Level) -> Vec<Problem> {
    let severity = match level {
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Off => return Vec::new(),
    };
    let problem = |line: &BadLine| Problem {
        path: SitePath::new(&line.place.file).unwrap_or_default(),
        line: Some(line.place.line),
        severity,
        check: NAME,
        message: format!("this line {}", line.reason),
        hint: "change or remove the line; the reference says what `_headers` may contain (Headers)".to_owned(),
        fault: None,
        // A line that is not followed was never followed, whatever is live.
        always: severity == Severity::Error,
        known: None,
    };
    bad.iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::custom_headers::{FILE, parse};

    fn found(level: Level) -> Vec<String> {
        let (_, bad) = parse(FILE, "/*\n  X-Robots-Tag: noindex\n  ETag: a\n/a\n");
        let line = |problem: &Problem| {
            let Problem {
                path, line, message, ..
            } = problem;
            format!("{:?} {path}:{} {message}", problem.severity, line.unwrap())
        };
        problems(&bad, level).iter().map(line).collect()
    }

    #[test]
    fn each_line_that_is_not_followed_is_named() {
        let messages = [
            "_headers:3 this line sets ETag, which follows from the file that is sent",
            "_headers:4 this line has no headers below it; each address needs its own",
        ];
        assert_eq!(found(Level::Error), messages.map(|message| format!("Error {message}")));
        assert_eq!(found(Level::Warn), messages.map(|message| format!("Warning {message}")));
        assert_eq!(found(Level::Off), Vec::<String>::new());
    }
}

//! `headers`: every line of `_headers` can be followed. Pure.
//!
//! A line that can't be followed is an error, because its author relies on it: on a policy for frames, or on a page
//! that search engines leave out. The rules come from the export and from the site manifest, so this check uses what was
//! read of both, not the survey.

use super::finding::{Problem, RawFinding};
use crate::config::Level;
use crate::rules::lines::BadLine;

/// The check's name in the site manifest.
pub const NAME: &str = "headers";

/// Returns the problems of header rules.
#[must_use]
pub fn problems(bad: &[BadLine], level: Level) -> Vec<Problem> {
    let hint = "change or remove the line; the reference says what `_headers` may contain (Headers)";
    let finding = |line: &BadLine| RawFinding::of_line(&line.place, format!("this line {}", line.reason), hint);
    let findings = bad.iter().map(finding);
    findings
        .filter_map(|finding| finding.never_followed(level).problem(NAME, level))
        .collect()
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

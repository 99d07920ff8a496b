//! Formats the problems of an export: by file, with each fix once.
//!
//! Takes data and returns text. Files with errors come first and long lists are cut, so that what blocks a publish is
//! always visible.

use std::fmt::Write as _;

use syntax_publish::model::path::printable;
use syntax_publish::model::severity::Severity;
use syntax_publish::rules::lines::Place;
use syntax_publish::rules::redirects::{DEFAULT_STATUS, Redirects};
use syntax_publish::site::check::budget::{Spending, size};
use syntax_publish::site::check::{Known, Problem};
use syntax_publish::site::pipeline::{Inspected, Unread};

use super::format::{count, table};

/// Maximum number of files shown without `-v`.
const FILES: usize = 20;

/// Maximum number of problems of one kind shown for a file without `-v`.
const ALIKE: usize = 5;

/// Formats what was found in an export: everything, or of each list the first few.
pub fn inspected(found: &Inspected, is_whole: bool) -> String {
    let mut text = listed(&found.problems, is_whole, "");
    let known = found.problems.iter().filter(|problem| problem.known.is_some()).count();
    let _ = match known {
        _ if found.problems.is_empty() => writeln!(text, "no problems found"),
        0 => writeln!(text, "{}", totals(&found.problems)),
        known => writeln!(text, "{}, {known} of them known", totals(&found.problems)),
    };
    text += &budget(&found.budget);
    if is_whole {
        let strings = count(found.unclassified, "string");
        let _ = writeln!(
            text,
            "{strings} in payloads may or may not be URLs of the site; they stay unchanged"
        );
        for Unread { path, reason } in &found.unread {
            let _ = writeln!(text, "left unchanged, at least in part: {path}: {}", printable(reason));
        }
    }
    text
}

/// Formats what the limits of the budget are compared with. Empty if there are none.
fn budget(spent: &[Spending]) -> String {
    let rows = spent.iter().map(|spending| {
        let (bytes, limit) = (size(spending.bytes), size(spending.limit));
        vec![
            spending.key.to_owned(),
            bytes,
            format!("of {limit}"),
            printable(spending.name()),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("budget:\n{}", table(&rows, &[1, 2]))
}

/// Says which status lines of `_redirects` without one get, because that is another one elsewhere. Returns `None` if
/// there are no such lines.
pub fn without_status(redirects: &Redirects) -> Option<String> {
    let mut rules = redirects.rules().iter().filter(|rule| !rule.has_status);
    let Place { file, line } = &rules.next()?.place;
    let (what, code) = (count(1 + rules.count() as u64, "redirect"), DEFAULT_STATUS.code());
    Some(format!(
        "{what} without a status, first {file}:{line}: taken as {code} (permanent), as Netlify does; Cloudflare Pages \
         takes 302, so write the status if they come from there"
    ))
}

/// Returns the number of problems of a severity.
pub fn number(problems: &[Problem], severity: Severity) -> u64 {
    problems.iter().filter(|problem| problem.severity == severity).count() as u64
}

/// Formats the numbers of problems: "2 errors, 1 warning".
pub fn totals(problems: &[Problem]) -> String {
    let (errors, warnings) = (number(problems, Severity::Error), number(problems, Severity::Warning));
    format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
}

/// The word for how serious a problem is, or that it is known.
pub fn level(problem: &Problem) -> &'static str {
    match problem.known {
        Some(_) => "known",
        None => problem.severity.name(),
    }
}

/// Formats problems by file.
pub fn listed(problems: &[Problem], is_whole: bool, indent: &str) -> String {
    let mut files: Vec<(&str, Vec<&Problem>)> = Vec::new();
    for problem in problems {
        match files.last_mut() {
            Some((path, of_file)) if *path == problem.path => of_file.push(problem),
            _ => files.push((&problem.path, vec![problem])),
        }
    }
    let has_error = |of_file: &[&Problem]| of_file.iter().any(|problem| problem.severity == Severity::Error);
    files.sort_by_key(|(_, of_file)| !has_error(of_file));
    let shown = files.len().min(if is_whole { usize::MAX } else { FILES });
    let mut text = String::new();
    for (path, of_file) in &files[..shown] {
        let _ = writeln!(text, "{indent}{}", name(path));
        of_one_file(of_file, is_whole, indent, &mut text);
    }
    if files.len() > shown {
        let more = count((files.len() - shown) as u64, "other file");
        let _ = writeln!(text, "{indent}and {more} (all with -v)");
    }
    text
}

/// Formats the problems of one file. Those with the same hint are together, with the hint below them.
fn of_one_file(problems: &[&Problem], is_whole: bool, indent: &str, text: &mut String) {
    let mut groups: Vec<(&str, &str, Vec<&Problem>)> = Vec::new();
    for problem in problems {
        let known = groups
            .iter_mut()
            .find(|(check, hint, _)| (*check, *hint) == (problem.check, problem.hint.as_str()));
        match known {
            Some((_, _, alike)) => alike.push(problem),
            None => groups.push((problem.check, &problem.hint, vec![problem])),
        }
    }
    let most = if is_whole { usize::MAX } else { ALIKE };
    let shown = |alike: &[&Problem]| alike.len().min(most);
    // The column of line numbers exists only if there is a line number.
    let has_lines = problems.iter().any(|problem| problem.line.is_some());
    let row = |problem: &&Problem| {
        let line = problem.line.map_or_else(String::new, |line| line.to_string());
        let mut row: Vec<String> = has_lines.then_some(line).into_iter().collect();
        row.extend([level(problem), problem.check].map(str::to_owned));
        row.push(printable(&problem.message));
        row
    };
    let all_shown = groups.iter().flat_map(|(_, _, alike)| &alike[..shown(alike)]);
    let right: &[usize] = if has_lines { &[0] } else { &[] };
    let rows = table(&all_shown.map(row).collect::<Vec<_>>(), right);
    let mut rows = rows.lines();
    for (_, hint, alike) in &groups {
        let shown = shown(alike);
        for row in rows.by_ref().take(shown) {
            let _ = writeln!(text, "{indent}  {row}");
        }
        if alike.len() > shown {
            let more = alike.len() - shown;
            let _ = writeln!(text, "{indent}  and {more} more like these (all with -v)");
        }
        let _ = writeln!(text, "{indent}    fix: {}", printable(hint));
    }
}

/// Summarizes the known problems in one line. Returns `None` if there are none.
pub fn known<'p>(problems: impl Iterator<Item = &'p Problem>) -> Option<String> {
    let all: Vec<&Known> = problems.filter_map(|problem| problem.known.as_ref()).collect();
    if all.is_empty() {
        return None;
    }
    let since = all.iter().filter_map(|known| match known {
        Known::Since(release) => Some(release),
        Known::Accepted => None,
    });
    let text = match since.min() {
        Some(release) => format!("the live release has them too, the first since {release}"),
        None => "nothing was live before, or the live site is this one".to_owned(),
    };
    Some(format!("{}: {text}", count(all.len() as u64, "known finding")))
}

/// Formats a problem in one line: where, what, and what to do.
pub fn line(problem: &Problem) -> String {
    let (message, hint) = (printable(&problem.message), printable(&problem.hint));
    format!("{}: {message} ({}): {hint}", place(problem), problem.check)
}

/// Formats where a problem is: the file, with the line if it is known.
pub fn place(problem: &Problem) -> String {
    let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
    format!("{}{line}", name(&problem.path))
}

/// The name of a file for messages.
pub fn name(path: &str) -> &str {
    if path.is_empty() { "the export" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str, line: Option<u32>, severity: Severity, message: &str, hint: &str) -> Problem {
        Problem {
            path: path.to_owned(),
            line,
            severity,
            check: "links",
            message: message.to_owned(),
            hint: hint.to_owned(),
            fault: None,
            always: false,
            known: None,
        }
    }

    #[test]
    fn problems_stand_below_their_file_with_each_fix_once() {
        let problems = [
            problem("a.html", Some(3), Severity::Warning, "one", "do this"),
            problem("b.html", Some(9), Severity::Error, "two", "do this"),
            problem("b.html", Some(10), Severity::Error, "three", "do that"),
            problem("b.html", Some(120), Severity::Warning, "four", "do this"),
            problem("c.html", None, Severity::Error, "five", "do this"),
        ];
        let text = listed(&problems, false, "");
        let expected = "\
b.html
    9  error    links  two
  120  warning  links  four
    fix: do this
   10  error    links  three
    fix: do that
c.html
  error  links  five
    fix: do this
a.html
  3  warning  links  one
    fix: do this
";
        assert_eq!(text, expected);
    }

    #[test]
    fn long_lists_are_cut_short_unless_all_is_asked_for() {
        let mut problems: Vec<Problem> = (0..30)
            .map(|file| problem(&format!("{file:02}.html"), Some(1), Severity::Warning, "x", "y"))
            .collect();
        problems.extend((1..9).map(|line| problem("z.html", Some(line), Severity::Error, "x", "y")));
        let short = listed(&problems, false, "  ");
        assert!(short.starts_with("  z.html\n"), "errors come first: {short}");
        assert!(short.contains("    and 3 more like these (all with -v)\n"), "{short}");
        assert!(short.ends_with("  and 11 other files (all with -v)\n"), "{short}");
        let whole = listed(&problems, true, "");
        assert_eq!(whole.matches(".html\n").count(), 31);
        assert_eq!(whole.matches("error").count(), 8);
    }
}

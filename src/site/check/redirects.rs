//! `redirects`: every redirect rule can be followed, and leads to something. Pure.
//!
//! A line that can't be followed is an error, because its author relies on it. What works but is odd is a warning
//! at most. The rules come from the export and from the site manifest, so this check uses the table that was made of
//! both, not the survey.

use super::finding::{Problem, RawFinding};
use crate::config::Level;
use crate::rules::lines::BadLine;
use crate::rules::redirects::{MOST, Remark, Table};
use crate::site::similar::last;

/// The check's name in the site manifest.
pub const NAME: &str = "redirects";

/// Returns the problems of redirect rules. `addresses` are those of the site.
#[must_use]
pub fn problems(bad: &[BadLine], table: &Table, addresses: &[String], level: Level) -> Vec<Problem> {
    let bad = bad.iter().map(|line| {
        let hint = "change or remove the line; the reference says what `_redirects` may contain (Redirects)";
        RawFinding::of_line(&line.place, format!("this redirect {}", line.reason), hint).never_followed(level)
    });
    let odd = table.remarks.iter().map(|(place, remark)| {
        let (is_followed, message, hint) = words(remark, addresses);
        let finding = RawFinding::of_line(place, format!("this redirect {message}"), hint);
        if is_followed {
            finding.light()
        } else {
            finding.never_followed(level)
        }
    });
    bad.chain(odd)
        .filter_map(|finding| finding.problem(NAME, level))
        .collect()
}

/// Whether the rule is followed all the same, what is odd about it, and what to do.
fn words(remark: &Remark, addresses: &[String]) -> (bool, String, String) {
    let warning = |message: String, hint: &str| (true, message, hint.to_owned());
    let error = |message: &str, hint: &str| (false, message.to_owned(), hint.to_owned());
    match remark {
        Remark::Later(first) => warning(
            format!("never applies: line {} of {} comes first", first.line, first.file),
            "remove it, or put it before the other",
        ),
        Remark::File => warning(
            "never applies: the site has a file at its address".to_owned(),
            "remove the redirect, or the file",
        ),
        Remark::Build => warning(
            "never applies: at the addresses of the build's own files no redirect is looked for".to_owned(),
            "remove it; a tab that asks for a file of an earlier build gets it for the time of `skew`",
        ),
        Remark::Flattened(between) => warning(
            format!("leads to {between}, which redirects, too; visitors are led to the end of the chain at once"),
            "write the last address as its target",
        ),
        Remark::Missing(target) => {
            let hint = nearest(target, addresses).map_or_else(
                || "correct its target, or add the page".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            (true, format!("leads to {target}, where the site has nothing"), hint)
        }
        Remark::Loop => error("leads back to its own address", "remove one redirect of the circle"),
        Remark::Name => error(
            "has an address that can't be the name of a file",
            "a segment has at most 251 bytes and does not end with `=`, and a path has at most 34 folders",
        ),
        Remark::Outside => error(
            "has an address outside the site's base path, where the vhost answers nothing",
            "begin the address with the base path, as visitors see it",
        ),
        Remark::TooMany => (
            false,
            format!("adds more addresses than a release can have ({MOST})"),
            "write a pattern for them whose target has no placeholder, or fewer rules".to_owned(),
        ),
    }
}

/// The address of the site that ends like another one: usually the page was only moved.
fn nearest<'a>(target: &str, addresses: &'a [String]) -> Option<&'a String> {
    let wanted = Some(last(target)).filter(|name| !name.is_empty())?;
    let mut alike = addresses.iter().filter(|address| last(address) == wanted);
    let first = alike.next()?;
    alike.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Redirects;
    use crate::rules::redirects::{FILE, parse};

    fn found(text: &str, level: Level) -> Vec<String> {
        let (rules, bad) = parse(FILE, text);
        let addresses = ["/", "/new/usage", "/new/a", "/old/a"].map(str::to_owned);
        let table = Redirects::new(rules).table("", &addresses, &|address| addresses.iter().any(|is| is == address));
        let problems = problems(&bad, &table, &addresses, level);
        let line = |problem: &Problem| format!("{} {} | {}", problem.line.unwrap(), problem.message, problem.hint);
        problems.iter().map(line).collect()
    }

    #[test]
    fn each_odd_rule_is_named_with_its_line() {
        let text = "/a\n/b /usage\n/b /new/a\n/old/a /new/a\n/c /d\n/d /c\n/e /nothing\n/f= /new/a\n";
        insta::assert_snapshot!(found(text, Level::Error).join("\n"), @r"
        1 this redirect has no target | change or remove the line; the reference says what `_redirects` may contain (Redirects)
        2 this redirect leads to /usage, where the site has nothing | did you mean /new/usage?
        3 this redirect never applies: line 2 of _redirects comes first | remove it, or put it before the other
        4 this redirect never applies: the site has a file at its address | remove the redirect, or the file
        5 this redirect leads back to its own address | remove one redirect of the circle
        6 this redirect leads back to its own address | remove one redirect of the circle
        7 this redirect leads to /nothing, where the site has nothing | correct its target, or add the page
        8 this redirect has an address that can't be the name of a file | a segment has at most 251 bytes and does not end with `=`, and a path has at most 34 folders
        ");
    }

    #[test]
    fn nothing_is_reported_if_the_check_is_off() {
        assert_eq!(found("/a\n/c /c\n", Level::Off), Vec::<String>::new());
    }
}

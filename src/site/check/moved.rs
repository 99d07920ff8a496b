//! `moved`: no address that visitors can open now, or could open before, is a 404. Pure.
//!
//! Only the host has a record of what is live, so what is gone comes from the plan ([`crate::site::moved`]).

use super::finding::{Known, Problem, RawFinding};
use crate::config::Level;
use crate::rules::redirects::FILE;
use crate::site::moved::{Former, Gone, Suggestion};

/// The check's name in the site manifest.
pub const NAME: &str = "moved";

/// Returns the problems for addresses that are gone, each with its suggestion. One that is a 404 already is a warning at
/// most, because nothing makes it worse.
#[must_use]
pub fn problems(gone: &[Gone], suggestions: &[Option<Suggestion>], level: Level) -> Vec<Problem> {
    let pairs = gone.iter().zip(suggestions);
    let finding = |(gone, suggestion): (&Gone, &Option<Suggestion>)| {
        let address = &gone.address;
        let before = |when: &str| {
            (
                ["could be opened", "led to"],
                format!("before {when}, and is a 404 now"),
            )
        };
        let ([opened, led], when) = match &gone.known {
            None => (["can be opened", "leads to"], "now, and would be a 404".to_owned()),
            Some(Known::Since(release)) => before(&format!("release {release}")),
            Some(Known::Accepted) => before("a rollback"),
        };
        let (path, message, fix) = match &gone.former {
            Former::Page(path) => (
                path.to_string(),
                format!("{address} {opened} {when}"),
                format!("add a redirect for it to {FILE}; if it is meant to go, name {path} in `allow` of [check]"),
            ),
            Former::Redirect(redirect) => (
                FILE.to_owned(),
                format!("{address} {led} {} {when}", redirect.location()),
                format!("keep the redirect in {FILE}, with a target that is there"),
            ),
        };
        let hint = suggestion.as_ref().map_or(fix, |likely| {
            format!(
                "add the line `{}` to {FILE}: that page is {}% alike (`syntax-publish redirects suggest --write`)",
                likely.rule(),
                likely.score
            )
        });
        let finding = RawFinding::new(path, message, hint).always();
        match &gone.known {
            None => finding.problem(NAME, level),
            known => Some(Problem {
                known: known.clone(),
                ..finding.light().problem(NAME, level)?
            }),
        }
    };
    pairs.filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::path::SitePath;
    use crate::model::redirect::{Redirect, Status};
    use crate::model::severity::Severity;

    #[test]
    fn each_address_is_named_with_the_line_that_helps() {
        let redirect = Redirect::new(Status::Found, "/c").unwrap();
        let since = Known::Since("20261123-184501-a1b2c3".parse().unwrap());
        let gone = [
            ("/a", Former::Page(SitePath::new("a.html").unwrap()), None),
            ("/b", Former::Page(SitePath::new("b.html").unwrap()), None),
            ("/x", Former::Redirect(redirect.clone()), None),
            ("/c", Former::Page(SitePath::new("c.html").unwrap()), Some(since)),
            ("/y", Former::Redirect(redirect), Some(Known::Accepted)),
        ];
        let gone = gone.map(|(address, former, known)| Gone {
            address: address.to_owned(),
            former,
            known,
        });
        let suggestion = Suggestion {
            from: "/a".to_owned(),
            to: "/d".to_owned(),
            score: 90,
            status: 301,
        };
        let problems = |level| problems(&gone, &[Some(suggestion.clone()), None, None, None, None], level);
        let told = problems(Level::Error);
        let levels = told.iter().map(|found| (found.severity, found.known.is_some()));
        let (error, known) = ((Severity::Error, false), (Severity::Warning, true));
        assert_eq!(levels.collect::<Vec<_>>(), [error, error, error, known, known]);
        assert!(told.iter().all(|found| found.always));
        let told: Vec<String> = told
            .iter()
            .map(|found| format!("{}: {} | {}", found.path, found.message, found.hint))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        a.html: /a can be opened now, and would be a 404 | add the line `/a /d 301` to _redirects: that page is 90% alike (`syntax-publish redirects suggest --write`)
        b.html: /b can be opened now, and would be a 404 | add a redirect for it to _redirects; if it is meant to go, name b.html in `allow` of [check]
        _redirects: /x leads to /c now, and would be a 404 | keep the redirect in _redirects, with a target that is there
        c.html: /c could be opened before release 20261123-184501-a1b2c3, and is a 404 now | add a redirect for it to _redirects; if it is meant to go, name c.html in `allow` of [check]
        _redirects: /y led to /c before a rollback, and is a 404 now | keep the redirect in _redirects, with a target that is there
        ");
        assert_eq!(problems(Level::Off), []);
    }
}

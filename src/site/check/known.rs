//! Known findings, which the live release has too. Pure.
//!
//! A publish is refused only for what it makes worse. So the findings of a release are stored next to its document, in
//! short form: a few characters for each finding. Two findings are the same if their check, file and message are the
//! same. If one message covers many files, the number of files does not matter. If there are more findings than fit,
//! only their number per check is kept; later findings are known as long as there are not more of them.
//!
//! Some findings are judged by every publish, whatever is live, and are marked with [`Problem::always`]: secrets, files
//! of two builds, and files that the host could not serve.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::finding::{Known, Problem};
use crate::model::digest::Digest;
use crate::model::release::ReleaseId;
use crate::model::severity::Severity;

/// Checks whose findings are never known.
pub(super) const ALWAYS: [&str; 5] = ["builds", "clash", "depth", "encodings", "secrets"];

/// The size limit of a release's findings, in bytes.
pub const MOST: usize = 4000;

/// The number of characters in the key of a finding.
const LENGTH: usize = 5;

/// The key of a finding.
type Key = [u8; LENGTH];

/// Returns the key of a finding, made of its check, path and message.
fn key(check: &str, path: Option<&str>, message: &str) -> Key {
    const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    let text = format!("{check}\n{}\n{message}", path.map_or_else(String::new, steady));
    let digest = Digest::of(text.as_bytes());
    let mut bytes = digest.as_bytes().iter();
    [(); LENGTH].map(|()| DIGITS[usize::from(bytes.next().copied().unwrap_or_default() % 64)])
}

/// Returns a path without the part that each build renames: below `_next/` only the folder and the extension count.
pub(super) fn steady(path: &str) -> String {
    let Some(below) = path.strip_prefix("_next/") else {
        return path.to_owned();
    };
    let folder = below.split('/').next().unwrap_or_default();
    let ending = below.rsplit('.').next().unwrap_or_default();
    format!("_next/{folder}/*.{ending}")
}

impl Problem {
    /// Returns the problem's own key, and the key that it shares with the same problem in other files.
    fn keys(&self) -> (Key, Key) {
        let fault = key(self.check, None, self.fault.as_ref().unwrap_or(&self.message));
        match self.fault {
            Some(_) => (fault, fault),
            None => (key(self.check, Some(&self.path), &self.message), fault),
        }
    }
}

/// The findings of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The keys, each with the first release that had the finding; `None` if that is not recorded.
    keys: BTreeMap<Key, Option<ReleaseId>>,
    /// The number of findings that did not fit, by check.
    more: BTreeMap<String, u64>,
}

impl Findings {
    /// Returns the findings of a release that goes live with these problems. A known problem keeps its first release.
    #[must_use]
    pub fn of(problems: &[Problem], release: &ReleaseId) -> Self {
        let mut findings = Self::default();
        // Errors first, because only errors stop a publish. Known problems may be errors that became warnings.
        let mut kept: Vec<&Problem> = problems.iter().filter(|problem| !problem.always).collect();
        kept.sort_by_key(|problem| problem.severity != Severity::Error && problem.known.is_none());
        // The rest is room for the counts and for the release in front of each part.
        let mut room = MOST * 3 / 4;
        let mut named: Vec<&ReleaseId> = Vec::new();
        for problem in kept {
            let since = match &problem.known {
                Some(Known::Since(since)) => since,
                _ => release,
            };
            let is_named = named.contains(&since);
            let needed = LENGTH + if is_named { 0 } else { since.as_str().len() + 2 };
            if needed > room {
                *findings.more.entry(problem.check.to_owned()).or_default() += 1;
                continue;
            }
            room -= needed;
            if !is_named {
                named.push(since);
            }
            findings.keys.insert(problem.keys().0, Some(since.clone()));
        }
        findings
    }

    /// Returns the findings of a baseline file.
    #[must_use]
    pub fn of_baseline(baseline: &FindingsBaseline) -> Self {
        let entries = baseline.findings.iter();
        let keys = entries.map(|entry| (key(&entry.check, entry.path.as_deref(), &entry.message), None));
        Self {
            keys: keys.collect(),
            more: BTreeMap::new(),
        }
    }

    /// Formats the findings as text: `<release>:<keys>` for each first release, and `<check>+<number>` for findings
    /// that did not fit.
    #[must_use]
    pub fn text(&self) -> String {
        let mut since: BTreeMap<&ReleaseId, String> = BTreeMap::new();
        for (key, release) in &self.keys {
            if let Some(release) = release {
                let keys = since.entry(release).or_default();
                keys.extend(key.iter().map(|byte| char::from(*byte)));
            }
        }
        let mut text = String::new();
        for (release, keys) in since {
            let _ = write!(text, "{release}:{keys} ");
        }
        for (check, number) in &self.more {
            let _ = write!(text, "{check}+{number} ");
        }
        text.trim_end().to_owned()
    }

    /// Splits the text into pieces of at most `length` bytes.
    #[must_use]
    pub fn pieces(&self, length: usize) -> Vec<String> {
        let text = self.text();
        let pieces = text.as_bytes().chunks(length);
        pieces
            .map(|piece| String::from_utf8_lossy(piece).into_owned())
            .collect()
    }

    /// Parses the text. Malformed parts are skipped: the worst result is that a publish is refused.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut findings = Self::default();
        for part in text.split(' ') {
            if let Some((release, keys)) = part.split_once(':') {
                let Ok(release) = release.parse::<ReleaseId>() else {
                    continue;
                };
                for key in keys.as_bytes().chunks_exact(LENGTH) {
                    let key: Key = key.try_into().unwrap_or_default();
                    findings.keys.insert(key, Some(release.clone()));
                }
            } else if let Some((check, number)) = part.split_once('+')
                && let Ok(number) = number.parse()
            {
                findings.more.insert(check.to_owned(), number);
            }
        }
        findings
    }

    fn since(&self, problem: &Problem) -> Option<Known> {
        let (own, fault) = problem.keys();
        let since = self.keys.get(&own).or_else(|| self.keys.get(&fault))?;
        Some(since.clone().map_or(Known::Accepted, Known::Since))
    }
}

/// The findings that new findings are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Nothing is live, so nothing can be made worse.
    Nothing,
    /// The findings of a release or of a baseline file.
    Release(Findings),
}

/// Marks the problems that are known. A known error becomes a warning.
pub fn mark(problems: &mut [Problem], live: &Reference) {
    let mut more: BTreeMap<&str, u64> = BTreeMap::new();
    for problem in problems.iter_mut().filter(|problem| !problem.always) {
        problem.known = match live {
            Reference::Nothing => Some(Known::Accepted),
            Reference::Release(findings) => findings.since(problem),
        };
        if problem.known.is_none() {
            *more.entry(problem.check).or_default() += 1;
        }
    }
    if let Reference::Release(findings) = live {
        // It is not recorded which findings did not fit. As long as there are not more of them, none counts as new.
        let fit = |check: &str| more.get(check) <= findings.more.get(check) && findings.more.contains_key(check);
        for problem in problems
            .iter_mut()
            .filter(|problem| !problem.always && problem.known.is_none())
        {
            if fit(problem.check) {
                problem.known = Some(Known::Accepted);
            }
        }
    }
    for problem in problems.iter_mut().filter(|problem| problem.known.is_some()) {
        problem.severity = Severity::Warning;
    }
}

/// The findings of an export, as a file in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsBaseline {
    /// The format version of this file.
    pub format: u32,
    /// The known findings.
    pub findings: Vec<KnownFinding>,
}

/// A known finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownFinding {
    /// The check.
    pub check: String,
    /// The file; `None` if the same finding is in many files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The message of the finding.
    pub message: String,
}

impl FindingsBaseline {
    /// Creates a baseline of these problems.
    #[must_use]
    pub fn of(problems: &[Problem]) -> Self {
        let entries = problems
            .iter()
            .filter(|problem| !problem.always)
            .map(|problem| KnownFinding {
                check: problem.check.to_owned(),
                path: problem.fault.is_none().then(|| problem.path.clone()),
                message: problem.fault.as_ref().unwrap_or(&problem.message).clone(),
            });
        let mut findings: Vec<KnownFinding> = entries.collect();
        findings.sort();
        findings.dedup();
        Self { format: 1, findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str, message: &str) -> Problem {
        Problem {
            path: path.to_owned(),
            line: Some(7),
            severity: Severity::Error,
            check: "links",
            message: message.to_owned(),
            hint: String::new(),
            fault: None,
            always: false,
            known: None,
        }
    }

    fn release(number: u32) -> ReleaseId {
        format!("20261123-18450{number}-a1b2c3").parse().unwrap()
    }

    /// Findings as the next publish reads them.
    fn kept(problems: &[Problem], at: u32) -> Reference {
        let text = Findings::of(problems, &release(at)).text();
        assert!(text.len() <= MOST, "{}", text.len());
        Reference::Release(Findings::read(&text))
    }

    #[test]
    fn a_finding_is_known_since_the_first_release_that_had_it() {
        let mut first = vec![problem("a.html", "one"), problem("b.html", "two")];
        mark(&mut first, &Reference::Nothing);
        assert!(first.iter().all(|p| p.severity == Severity::Warning));
        let live = kept(&first, 1);
        let mut second = vec![problem("a.html", "one"), problem("b.html", "three")];
        second[0].line = Some(99);
        mark(&mut second, &live);
        assert_eq!(second[0].known, Some(Known::Since(release(1))));
        assert_eq!(
            (second[1].known.clone(), second[1].severity),
            (None, Severity::Error),
            "one that is new"
        );
        let live = kept(&second, 2);
        let mut third = second.clone();
        mark(&mut third, &live);
        let since: Vec<_> = third.iter().map(|p| p.known.clone()).collect();
        assert_eq!(since, [1, 2].map(|at| Some(Known::Since(release(at)))));
    }

    #[test]
    fn what_is_judged_each_time_is_never_known() {
        let mut problems = vec![problem("a.html", "a secret")];
        problems[0].always = true;
        let live = kept(&problems, 1);
        for live in [live, Reference::Nothing] {
            mark(&mut problems, &live);
            assert_eq!(
                (problems[0].known.clone(), problems[0].severity),
                (None, Severity::Error)
            );
        }
    }

    #[test]
    fn the_number_of_files_does_not_matter() {
        let shared = |others: u32| Problem {
            fault: Some("menu".to_owned()),
            ..problem("a.html", &format!("menu; the same in {others} other files"))
        };
        let live = kept(&[shared(49)], 1);
        // One page more, one page fewer, and so few pages that each is reported separately.
        for mut now in [shared(50), shared(3), problem("z.html", "menu")] {
            mark(std::slice::from_mut(&mut now), &live);
            assert!(now.known.is_some(), "{now:?}");
        }
        let mut other = problem("z.html", "another");
        mark(std::slice::from_mut(&mut other), &live);
        assert_eq!(other.known, None);
    }

    #[test]
    fn names_that_follow_the_build_do_not_matter() {
        let live = kept(&[problem("_next/static/chunks/0123.js", "forbidden")], 1);
        let mut again = problem("_next/static/chunks/4567.js", "forbidden");
        mark(std::slice::from_mut(&mut again), &live);
        assert!(again.known.is_some());
    }

    #[test]
    fn of_more_than_fit_their_number_is_known() {
        let many =
            |number: u32| -> Vec<Problem> { (0..number).map(|at| problem(&format!("{at}.html"), "gone")).collect() };
        let live = kept(&many(3000), 1);
        let mut same = many(3000);
        mark(&mut same, &live);
        assert!(same.iter().all(|p| p.known.is_some()));
        let mut worse = many(3001);
        mark(&mut worse, &live);
        assert!(worse.iter().any(|p| p.known.is_none()));
        let mut better = many(400);
        mark(&mut better, &live);
        assert!(better.iter().all(|p| p.known.is_some()));
    }

    #[test]
    fn the_text_is_written_as_it_always_was() {
        let mut problems = vec![problem("a.html", "one"), problem("b.html", "two")];
        mark(&mut problems[..1], &kept(&[problem("a.html", "one")], 1));
        let mut findings = Findings::of(&problems, &release(2));
        findings.more.insert("links".to_owned(), 12);
        let golden = include_str!("../../../tests/golden/findings-1.txt").trim_end();
        assert_eq!(findings.text(), golden);
        assert_eq!(Findings::read(golden), findings);
    }

    #[test]
    fn a_text_that_was_damaged_knows_less_and_never_more() {
        for text in [
            "",
            "x",
            "20261123-184501-a1b2c3:abcd",
            "links+x",
            ":::",
            "a+b+c",
            "Ä:abcde",
        ] {
            assert_eq!(Findings::read(text), Findings::default(), "{text}");
        }
    }

    #[test]
    fn a_baseline_knows_what_it_was_made_of() {
        let mut problems = vec![problem("a.html", "one"), problem("b.html", "two")];
        problems[1].fault = Some("two".to_owned());
        let text = serde_json::to_string(&FindingsBaseline::of(&problems)).unwrap();
        let live = Reference::Release(Findings::of_baseline(&serde_json::from_str(&text).unwrap()));
        problems.push(problem("a.html", "three"));
        mark(&mut problems, &live);
        let known: Vec<bool> = problems.iter().map(|p| p.known.is_some()).collect();
        assert_eq!(known, [true, true, false]);
    }
}

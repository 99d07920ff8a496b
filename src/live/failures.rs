//! Summarizes failed requests in one sentence: how many failed, and for which addresses. Pure.

use std::collections::BTreeSet;

use super::finding::{Finding, Flaw};
use super::question::Subject;
use crate::model::path::{SitePath, printable};
use crate::model::severity::Severity;

/// Maximum number of addresses that are named.
const NAMED: usize = 3;

/// Returns a summary such as "6 of 108 requests failed, all for /prices (new page)". `total` is the number of requests
/// that were sent, if known. `remark` returns what is special about a file.
pub fn failures<'f>(
    findings: impl Iterator<Item = &'f Finding>,
    total: Option<usize>,
    remark: &dyn Fn(&SitePath) -> Option<&'static str>,
) -> String {
    let mut parts: Vec<String> = Vec::new();
    let (mut requests, mut places) = (BTreeSet::new(), Vec::new());
    for finding in findings.filter(|finding| finding.severity() == Severity::Error) {
        // An unanswered request represents all unanswered requests.
        let question = finding
            .question
            .as_ref()
            .filter(|_| !matches!(finding.flaw, Flaw::NoAnswer(_)));
        let Some(question) = question else {
            let part = format!("{}: {}", finding.side, finding.message());
            if !parts.contains(&part) {
                parts.push(part);
            }
            continue;
        };
        requests.insert((finding.side, question));
        let place = match &question.subject {
            Subject::File(path) | Subject::Removed(path) => {
                let remark = remark(path).map_or_else(String::new, |remark| format!(" ({remark})"));
                format!("{}{remark}", printable(&question.target))
            }
            Subject::Deployment(_) => format!("{}, for its deployment", printable(&question.target)),
            Subject::NoPage => "a page that does not exist".to_owned(),
            Subject::NoAsset => "a file that does not exist".to_owned(),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if !requests.is_empty() {
        let number = requests.len();
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        let requests = if total.unwrap_or(number) == 1 {
            "request"
        } else {
            "requests"
        };
        parts.push(format!("{number}{of} {requests} failed, {}", listed(&places)));
    }
    parts.join("; ")
}

fn listed(places: &[String]) -> String {
    match places {
        [] => String::new(),
        [one] => format!("all for {one}"),
        [first @ .., last] if places.len() <= NAMED => format!("for {} and {last}", first.join(", ")),
        _ => {
            let (named, rest) = places.split_at(NAMED - 1);
            format!("for {} and {} more", named.join(", "), rest.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{Accept, Question, Side};

    fn finding(target: &str, accept: Accept) -> Finding {
        let path = SitePath::new(target.trim_start_matches('/')).unwrap();
        Finding {
            side: Side::Origin,
            question: Some(Question {
                target: target.to_owned(),
                subject: Subject::File(path),
                accept,
                head: false,
            }),
            flaw: Flaw::Status { want: 200, got: 404 },
            cached: None,
            by_cdn: false,
            repeat: String::new(),
        }
    }

    #[test]
    fn requests_are_counted_and_addresses_named_once() {
        let of = |list: &[Finding], total| failures(list.iter(), total, &|_| None);
        let one = [
            finding("/prices", Accept::Plain),
            finding("/prices", Accept::Plain),
            finding("/prices", Accept::Gzip),
        ];
        assert_eq!(of(&one, Some(108)), "2 of 108 requests failed, all for /prices");
        assert_eq!(
            failures(one.iter(), Some(108), &|_| Some("new page")),
            "2 of 108 requests failed, all for /prices (new page)"
        );
        assert_eq!(of(&one[..1], None), "1 request failed, all for /prices");
        let many: Vec<Finding> = ["/a", "/b", "/c", "/d"]
            .map(|target| finding(target, Accept::Plain))
            .into_iter()
            .collect();
        assert_eq!(of(&many[..2], None), "2 requests failed, for /a and /b");
        assert_eq!(of(&many, Some(9)), "4 of 9 requests failed, for /a, /b and 2 more");
    }

    #[test]
    fn what_is_wrong_with_the_connection_is_said_as_it_is() {
        let broken = Finding {
            question: None,
            flaw: Flaw::NoAnswer("192.0.2.7:443 does not answer".to_owned()),
            side: Side::Public,
            ..finding("/a", Accept::Plain)
        };
        let said = failures([broken.clone(), broken].iter(), Some(0), &|_| None);
        assert_eq!(said, "public: 192.0.2.7:443 does not answer");
    }
}

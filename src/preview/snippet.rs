//! The script element that the preview adds to a page that a browser opens. With it the page learns of changes. Pure.
//!
//! The element is added to the answer and never to a file. Every other request for the page (a script's `fetch`,
//! `curl`, a test that compares) gets the content that would be published. A page whose content security policy would
//! block the script is not changed either.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderName};

use super::OWN;
use crate::model::digest::Digest;
use crate::next::document;

/// The header in which a browser states what a request is for.
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a browser requests the answer in order to open it as a page. Browsers omit `Sec-Fetch-Dest` if the preview
/// is reached over plain HTTP at a network address. In that case the `Accept` header decides.
pub fn is_opened(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(FETCH_DEST) {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        None => text(ACCEPT).is_some_and(|types| types.contains("text/html")),
    }
}

/// Returns the script element of a page that is served from `file` of `site`.
#[must_use]
pub fn element(file: &str, site: Option<Digest>) -> String {
    let site = site.map(|root| root.to_string()).unwrap_or_default();
    let file = escaped(file);
    format!("<script src=\"{OWN}client.js\" data-file=\"{file}\" data-site=\"{site}\" defer></script>")
}

/// Adds the element before the end of the page's body. Returns `None` if a policy of the page forbids the script.
#[must_use]
pub fn inject(page: &str, file: &str, site: Digest) -> Option<String> {
    let document = document::read(page);
    if !document.policies.iter().all(|policy| allows(policy)) {
        return None;
    }
    let (before, after) = page.split_at_checked(document.body_end)?;
    Some([before, &element(file, Some(site)), after].concat())
}

/// Whether a content security policy lets a page of this server run the script, and lets the script contact this
/// server.
pub fn allows(policy: &str) -> bool {
    // One header or element may contain several policies, and all of them have to allow it.
    policy.split(',').all(|policy| {
        let directives = || {
            policy
                .split(';')
                .map(|directive| directive.split_ascii_whitespace().collect::<Vec<_>>())
        };
        let sources = |names: &[&str]| {
            let named = |name: &&str| {
                let mut found =
                    directives().filter(|words| words.first().is_some_and(|word| word.eq_ignore_ascii_case(name)));
                found.next()
            };
            names.iter().find_map(named)
        };
        let has_own = |names: &[&str]| {
            sources(names).is_none_or(|words| {
                let is_own = |word: &&str| matches!(*word, "*" | "http:") || word.eq_ignore_ascii_case("'self'");
                let trusts_scripts_alone = words.iter().any(|word| word.eq_ignore_ascii_case("'strict-dynamic'"));
                words.iter().skip(1).any(is_own) && !(trusts_scripts_alone && names.contains(&"script-src"))
            })
        };
        has_own(&["script-src-elem", "script-src", "default-src"]) && has_own(&["connect-src", "default-src"])
    })
}

fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_the_element_at_the_end_of_its_body_and_nothing_else() {
        let page = "<!DOCTYPE html><html><body><p>ä</p></body></html>";
        let root = Digest::of(b"site");
        let with = inject(page, "docs/a\"&b.html", root).unwrap();
        let element = element("docs/a\"&b.html", Some(root));
        assert_eq!(with.replace(&element, ""), page);
        assert!(with.ends_with("defer></script></body></html>"), "{with}");
        assert!(element.contains("data-file=\"docs/a&quot;&amp;b.html\""), "{element}");
        assert_eq!(inject("", "a", root).unwrap(), super::element("a", Some(root)));
    }

    #[test]
    fn a_page_whose_policy_forbids_it_stays_as_it_is() {
        let has = |policy: &str| {
            let page = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
            inject(&page, "a.html", Digest::of(b"")).is_some()
        };
        for allowing in [
            "img-src 'none'",
            "default-src 'self'",
            "script-src 'SELF' 'unsafe-inline'; connect-src 'self'",
            "default-src 'none'; script-src 'self'; connect-src *",
            "script-src-elem 'self'; script-src 'none'",
        ] {
            assert!(has(allowing), "{allowing}");
        }
        for forbidding in [
            "default-src 'none'",
            "default-src 'none'; script-src 'self'",
            "script-src 'nonce-abc'",
            "script-src 'sha256-abc' https://cdn.example.com",
            "script-src 'self' 'nonce-abc' 'strict-dynamic'",
            "connect-src https://api.example.com",
            "default-src 'self', script-src 'none'",
        ] {
            assert!(!has(forbidding), "{forbidding}");
        }
    }

    #[test]
    fn only_what_a_browser_opens_is_a_page() {
        let is = |name: HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            is_opened(&headers)
        };
        assert!(is(FETCH_DEST, "document") && is(FETCH_DEST, "iframe"));
        assert!(!is(FETCH_DEST, "empty") && !is(FETCH_DEST, "script"));
        assert!(is(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8") && !is(ACCEPT, "*/*"));
        assert!(!is_opened(&HeaderMap::new()));
    }
}

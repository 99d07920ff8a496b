//! The hashes of inline scripts in a page's own content security policy. Pure.
//!
//! A page may allow its inline scripts by their hashes, in a `<meta>`. If a script was changed, its old hash is
//! replaced with the new one, which has the same length. This module must never allow a script that the page did not
//! allow.
//!
//! `integrity` and policies are attributes, so their authors may spell `+`, `/` and `=` as character references.

use std::ops::Range;

use data_encoding::BASE64;
use memchr::memmem;
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

use super::html::{self, InlineScript};
use super::tokens::{self, Token};
use super::{Edits, Reference};

/// The hash algorithms that policies and `integrity` support, with their names.
const ALGORITHMS: [(&str, &Algorithm); 3] = [("sha256", &SHA256), ("sha384", &SHA384), ("sha512", &SHA512)];

/// The hashes of some bytes, spelled as in a policy or an `integrity`.
#[must_use]
pub fn hashes(bytes: &[u8]) -> [String; 3] {
    ALGORITHMS.map(|algorithm| spelled(algorithm, bytes))
}

/// The hash of a script's text, spelled as in a policy without its quotes.
#[must_use]
pub fn hash(text: &str) -> String {
    spelled(ALGORITHMS[0], text.as_bytes())
}

fn spelled((name, algorithm): (&str, &'static Algorithm), bytes: &[u8]) -> String {
    format!("{name}-{}", BASE64.encode(digest(algorithm, bytes).as_ref()))
}

/// Returns the page with the current hashes of its scripts, or `None` if it contains none of their previous hashes or
/// the number of scripts changed. `before` is the page as it was.
#[must_use]
pub fn renewed(before: &str, after: &str) -> Option<String> {
    if !names_hashes(before) {
        return None;
    }
    let ranges = |page: &str| -> Vec<Range<usize>> { scripts(page).into_iter().map(|script| script.range).collect() };
    let (was, is) = (ranges(before), ranges(after));
    let mut edits = Edits::default();
    let mut changed = Vec::new();
    for (old, new) in was.iter().zip(&is) {
        let (old, new) = (before.get(old.clone())?, after.get(new.clone())?);
        if old == new {
            continue;
        }
        for (from, to) in hashes(old.as_bytes()).iter().zip(hashes(new.as_bytes())) {
            for at in memmem::find_iter(after.as_bytes(), from.as_bytes()) {
                // A hash in a script's text is the script's own content, and it affects that script's own hash.
                if !is.iter().any(|script| script.contains(&at)) {
                    edits.replace(at..at + from.len(), to.clone());
                }
            }
            changed.push((from.clone(), to));
        }
    }
    if was.len() != is.len() {
        return None;
    }
    let new = (!edits.is_empty()).then(|| edits.apply(after));
    unescaped(new.as_deref().unwrap_or(after), &changed).or(new)
}

/// Whether a page contains any hashes. Few pages do, so few have to be parsed.
fn names_hashes(page: &str) -> bool {
    ALGORITHMS
        .iter()
        .any(|(name, _)| memmem::find(page.as_bytes(), name.as_bytes()).is_some())
}

/// Replaces hashes in attributes that spell them with character references. `None` if there are none.
#[must_use]
pub fn unescaped(page: &str, changed: &[(String, String)]) -> Option<String> {
    if changed.is_empty() || !names_hashes(page) {
        return None;
    }
    let mut edits = Edits::default();
    tokens::read(page, &mut |token: Token<'_>, range: Range<usize>| {
        if let Token::AttributeValue { value } = token
            && let Some(raw) = page.get(range.clone())
            && raw.as_bytes() != value
        {
            let value = String::from_utf8_lossy(value);
            let new = changed
                .iter()
                .fold(value.to_string(), |value, (from, to)| value.replace(from, to));
            let quote = range.start.checked_sub(1).and_then(|at| page.as_bytes().get(at));
            if new != value && matches!(quote, Some(b'"' | b'\'')) {
                edits.replace(range, html::escaped(&new));
            }
        }
    });
    (!edits.is_empty()).then(|| edits.apply(page))
}

/// The inline scripts of a page.
#[must_use]
pub fn scripts(page: &str) -> Vec<InlineScript> {
    html::walk(page, 0, &mut |_: Reference<'_>| None).scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(policy: &str, script: &str) -> String {
        format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src {policy}\"><script>{script}</script>\
             <script>let known = \"sha256-x\"</script>"
        )
    }

    #[test]
    fn hash_of_a_changed_script_follows_it() {
        for algorithm in 0..3 {
            let (old, new) = (&hashes(b"old()")[algorithm], &hashes(b"new()")[algorithm]);
            let before = page(&format!("&#x27;{old}&#x27;"), "old()");
            let after = page(&format!("&#x27;{old}&#x27;"), "new()");
            let expected = page(&format!("&#x27;{new}&#x27;"), "new()");
            assert_eq!(renewed(&before, &after).as_deref(), Some(expected.as_str()));
        }
    }

    #[test]
    fn hash_with_character_references_follows_too() {
        let spell = |hash: &str| {
            hash.replace('-', "&#x2d;")
                .replace('+', "&#43;")
                .replace('/', "&sol;")
                .replace('=', "&#x3D;")
        };
        for (old, new) in hashes(b"old()").iter().zip(hashes(b"new()")) {
            let policy = |hash: &str| format!("&apos;{}&apos; &apos;self&apos;", spell(hash));
            let (before, after) = (page(&policy(old), "old()"), page(&policy(old), "new()"));
            let expected = page(&format!("&#x27;{new}&#x27; &#x27;self&#x27;"), "new()");
            assert_eq!(renewed(&before, &after), Some(expected));
            let loaded = |hash: &str| format!("<script src=\"/a.js\" integrity=\"{hash}\"></script>");
            let changed = [(old.clone(), new.clone())];
            assert_eq!(unescaped(&loaded(&spell(old)), &changed), Some(loaded(&new)));
            assert_eq!(
                unescaped(&loaded(old), &changed),
                None,
                "other code replaces what has no references"
            );
            let other = format!("<p title=\"sha256 &amp; {}\">{}</p>", &old[..20], spell(old));
            assert_eq!(unescaped(&other, &changed), None);
        }
    }

    #[test]
    fn a_script_that_was_not_allowed_stays_so() {
        let other = &hashes(b"other()")[0];
        let (before, after) = (page(other, "old()"), page(other, "new()"));
        assert_eq!(renewed(&before, &after), None);
        assert_eq!(renewed(&page(other, "x"), &page(other, "x")), None);
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        // The example in the W3C recommendation "Subresource Integrity".
        assert_eq!(
            hashes(b"alert('Hello, world.');")[1],
            "sha384-H8BRh8j48O9oYatfu5AZzq6A9RINhZO5H16dQZngK7T62em8MUt1FLm52t+eX6xO"
        );
    }

    #[test]
    fn the_hash_of_a_script_is_that_of_the_standard() {
        // The example of the W3C recommendation "Content Security Policy Level 3".
        assert_eq!(
            hash("alert('Hello, world.');"),
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
        );
    }
}

//! The hashes of inline scripts in a page's own content security policy. Pure.
//!
//! A page may allow its inline scripts by their hashes, in a `<meta>`. Where a script was changed, the hash that it had
//! gives way to the one that it has: both are equally long. It must never allow a script that the page did not allow.

use std::ops::Range;

use data_encoding::BASE64;
use memchr::memmem;
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

use super::{Edits, Reference, Visit, html};

/// The algorithms of a policy and of `integrity`, by their names there.
const ALGORITHMS: [(&str, &Algorithm); 3] = [("sha256", &SHA256), ("sha384", &SHA384), ("sha512", &SHA512)];

/// The hashes of some bytes, as a policy or an `integrity` names them.
#[must_use]
pub fn hashes(bytes: &[u8]) -> [String; 3] {
    ALGORITHMS.map(|(name, algorithm)| format!("{name}-{}", BASE64.encode(digest(algorithm, bytes).as_ref())))
}

/// The page with the hashes of its scripts as they are now; `None` where it names none of those that they had. `before`
/// is the page as it was.
#[must_use]
pub fn renewed(before: &str, after: &str) -> Option<String> {
    let names_hashes = ALGORITHMS
        .iter()
        .any(|(name, _)| memmem::find(before.as_bytes(), format!("{name}-").as_bytes()).is_some());
    if !names_hashes {
        return None;
    }
    let (was, is) = (scripts(before), scripts(after));
    let mut edits = Edits::default();
    for (old, new) in was.iter().zip(&is) {
        let (old, new) = (before.get(old.clone())?, after.get(new.clone())?);
        if old == new {
            continue;
        }
        for (from, to) in hashes(old.as_bytes()).iter().zip(hashes(new.as_bytes())) {
            for at in memmem::find_iter(after.as_bytes(), from.as_bytes()) {
                // What a script says of a hash is its own business, and has a hash itself.
                if !is.iter().any(|script| script.contains(&at)) {
                    edits.replace(at..at + from.len(), to.clone());
                }
            }
        }
    }
    (was.len() == is.len() && !edits.is_empty()).then(|| edits.apply(after))
}

fn scripts(page: &str) -> Vec<Range<usize>> {
    struct Nothing;
    impl Visit for Nothing {
        fn url(&mut self, _: Reference<'_>) -> Option<String> {
            None
        }
    }
    let scripts = html::walk(page, 0, &mut Nothing).scripts;
    scripts.into_iter().map(|script| script.range).collect()
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
    fn a_script_that_was_not_allowed_stays_so() {
        let other = &hashes(b"other()")[0];
        let (before, after) = (page(other, "old()"), page(other, "new()"));
        assert_eq!(renewed(&before, &after), None);
        assert_eq!(renewed(&page(other, "x"), &page(other, "x")), None);
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        // The example of the recommendation "Subresource Integrity".
        assert_eq!(
            hashes(b"alert('Hello, world.');")[1],
            "sha384-H8BRh8j48O9oYatfu5AZzq6A9RINhZO5H16dQZngK7T62em8MUt1FLm52t+eX6xO"
        );
    }
}

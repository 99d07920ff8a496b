//! The URLs in a `srcset`, split as a browser splits them. Pure.

use std::ops::Range;

/// The byte ranges of the URLs, in order. Follows "parse a srcset attribute" in the HTML standard: a comma ends a
/// candidate only after white space or at the end of its URL, and not inside the parentheses of a descriptor.
#[must_use]
pub fn urls(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        while at < bytes.len() && (bytes[at].is_ascii_whitespace() || bytes[at] == b',') {
            at += 1;
        }
        if at == bytes.len() {
            return found;
        }
        let start = at;
        while at < bytes.len() && !bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        let url = text[start..at].trim_end_matches(',');
        if !url.is_empty() {
            found.push(start..start + url.len());
        }
        if start + url.len() < at {
            continue;
        }
        let mut depth = 0_usize;
        while at < bytes.len() && (depth > 0 || bytes[at] != b',') {
            match bytes[at] {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        urls(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn candidates_are_split_as_browsers_do() {
        assert_eq!(split("/a.png 1x, /b.png 2x"), ["/a.png", "/b.png"]);
        assert_eq!(
            split("/a.png,/b.png 2x"),
            ["/a.png,/b.png"],
            "a comma inside belongs to the URL"
        );
        assert_eq!(split("/a.png, /b.png"), ["/a.png", "/b.png"]);
        assert_eq!(split(" \n,, /a,1.png 640w (x, y) ,\t/ä.png"), ["/a,1.png", "/ä.png"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split(",,,"), [""; 0]);
    }
}

//! The addresses that a rule is for. Pure.
//!
//! A pattern is compared with the decoded address that the visitor asked for. A slash at the end of either counts for
//! nothing, as in redirects. [`AddressPattern::regex`] and [`AddressPattern::matches`] must accept the same addresses:
//! nginx uses the one and the preview the other.

use crate::model::path::is_unprintable;
use crate::rules::address;
use crate::rules::lines::is_name;

/// The longest pattern in bytes. One byte becomes up to four in nginx's configuration, where a word has at most 4096.
const LONGEST: usize = 500;

/// A set of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    tokens: Vec<Token>,
    /// The names of the placeholders, and `splat` if there is a `*`.
    names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Exactly these bytes.
    Text(Vec<u8>),
    /// One segment.
    Segment,
    /// Anything, also slashes and nothing.
    Anything,
    /// Nothing, or a slash and anything.
    Below,
}

impl AddressPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without a subject.
    pub fn parse(written: &str) -> Result<Self, String> {
        if written.contains("://") {
            return Err("names a host, and a vhost answers for one: write the path alone".to_owned());
        }
        let Some(path) = written.strip_prefix('/') else {
            return Err("has an address that does not start with `/`".to_owned());
        };
        if written.contains(['?', '#']) {
            return Err("has a `?` or `#` in its address, and headers here depend on the path alone".to_owned());
        }
        if written.contains(char::is_whitespace) {
            return Err("has a space in its address: write it as %20".to_owned());
        }
        if written.len() > LONGEST {
            return Err(format!("has an address of more than {LONGEST} bytes"));
        }
        if written.matches('*').count() > 1 {
            return Err("has more than one `*` in its address".to_owned());
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut pattern = Self {
            tokens: Vec::new(),
            names: Vec::new(),
        };
        let mut segments = path.split('/').filter(|_| !path.is_empty()).peekable();
        while let Some(segment) = segments.next() {
            pattern.segment(segment, segments.peek().is_none())?;
        }
        if written.contains('*') {
            pattern.names.push("splat".to_owned());
        }
        Ok(pattern)
    }

    fn segment(&mut self, segment: &str, is_last: bool) -> Result<(), String> {
        if segment == "*" && is_last {
            self.tokens.push(Token::Below);
            return Ok(());
        }
        self.text(b"/");
        if let Some(name) = segment.strip_prefix(':').filter(|name| is_name(name)) {
            self.names.push(name.to_owned());
            self.tokens.push(Token::Segment);
            return Ok(());
        }
        let starts_name = |pair: &[u8]| matches!(pair, [b':', next] if next.is_ascii_alphabetic());
        if segment.as_bytes().windows(2).any(starts_name) {
            return Err("has a placeholder that is not a whole segment (write a `:` of the address as %3A)".to_owned());
        }
        match segment.split_once('*') {
            None => {
                let plain = plain(segment)?;
                if matches!(&*plain, b"" | b"." | b"..") {
                    return Err("has an empty, `.` or `..` segment in its address".to_owned());
                }
                self.text(&plain);
            }
            Some((before, after)) => {
                self.text(&plain(before)?);
                self.tokens.push(Token::Anything);
                self.text(&plain(after)?);
            }
        }
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) {
        match self.tokens.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Token::Text(text)) => text.extend_from_slice(bytes),
            _ => self.tokens.push(Token::Text(bytes.to_vec())),
        }
    }

    /// The names that stand for a part of the address.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the rule is for this decoded address, which is empty if the visitor sent none.
    #[must_use]
    pub fn matches(&self, asked: &[u8]) -> bool {
        asked.starts_with(b"/") && accepts(&self.tokens, asked.strip_suffix(b"/").unwrap_or(asked))
    }

    /// What follows `^` in a regular expression for what [`Self::matches`] accepts. It uses only syntax that PCRE,
    /// nginx's library, has with `(?s)`. It has no quote, no `$`, and no backslash but in `\xNN` and `\z`.
    #[must_use]
    pub fn regex(&self) -> String {
        match &*self.tokens {
            [] => return "/\\z".to_owned(),
            [Token::Below] => return "/.*\\z".to_owned(),
            _ => {}
        }
        let mut text = String::new();
        for token in &self.tokens {
            match token {
                Token::Text(bytes) => text.extend(bytes.iter().map(|byte| regex_of(*byte))),
                Token::Segment => text += "[^/]+",
                Token::Anything => text += ".*",
                Token::Below => text += "(?:/.*)?",
            }
        }
        match self.tokens.last() {
            Some(Token::Anything | Token::Below) => text + "\\z",
            _ => text + "/?\\z",
        }
    }

    /// Whether an address may match both patterns. May say so of two that have none in common.
    pub(super) fn may_overlap(&self, other: &Self) -> bool {
        match (&*self.tokens, &*other.tokens) {
            ([], _) => other.matches(b"/"),
            (_, []) => self.matches(b"/"),
            ([Token::Text(address)], _) => other.matches(address),
            (_, [Token::Text(address)]) => self.matches(address),
            ([Token::Text(ours), after @ ..], [Token::Text(theirs), others_after @ ..]) => {
                if ours.len() <= theirs.len() {
                    may_continue(ours, after, theirs)
                } else {
                    may_continue(theirs, others_after, ours)
                }
            }
            _ => true,
        }
    }
}

/// Whether an address that starts with `longer` may match `shorter` and then `after`.
fn may_continue(shorter: &[u8], after: &[Token], longer: &[u8]) -> bool {
    match longer.strip_prefix(shorter) {
        None => false,
        Some([]) => true,
        Some(rest) => after.first() != Some(&Token::Below) || rest.starts_with(b"/"),
    }
}

fn accepts(tokens: &[Token], rest: &[u8]) -> bool {
    match tokens {
        [] => rest.is_empty(),
        [Token::Text(text), after @ ..] => rest.strip_prefix(&**text).is_some_and(|rest| accepts(after, rest)),
        [Token::Segment, after @ ..] => {
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            end > 0 && accepts(after, &rest[end..])
        }
        [Token::Anything, after @ ..] => (0..=rest.len()).any(|at| accepts(after, &rest[at..])),
        // Always the last token.
        [Token::Below, ..] => rest.is_empty() || rest.starts_with(b"/"),
    }
}

/// A part of a pattern as nginx sees that part of an address: decoded.
fn plain(text: &str) -> Result<Vec<u8>, String> {
    let Ok(plain) = address::decoded(text.as_bytes()) else {
        return Err("has a `%` in its address that encodes no character (write a `%` itself as %25)".to_owned());
    };
    let is_harmless = |text: &str| !text.chars().any(is_unprintable);
    if !std::str::from_utf8(&plain).is_ok_and(is_harmless) {
        return Err("has an address that is not UTF-8, or a control character in it".to_owned());
    }
    if plain.contains(&b'/') {
        return Err("has an encoded slash in its address".to_owned());
    }
    Ok(plain)
}

/// A regular expression for one byte.
fn regex_of(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"/-_~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("\\x{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(written: &str) -> AddressPattern {
        AddressPattern::parse(written).unwrap()
    }

    #[test]
    fn patterns_match_what_the_visitor_asked_for() {
        for (written, yes, no) in [
            ("/", &["/"][..], &["/a", ""][..]),
            ("/*", &["/", "/a", "/a/b/"], &[""]),
            ("/a/b", &["/a/b", "/a/b/"], &["/a", "/a/b/c", "/A/b"]),
            ("/a/b/", &["/a/b", "/a/b/"], &["/a/b.html"]),
            ("/docs/*", &["/docs", "/docs/", "/docs/a/b"], &["/docs-old", "/"]),
            (
                "/:lang/docs",
                &["/en/docs", "/de/docs/"],
                &["/docs", "/en/x/docs", "//docs"],
            ),
            ("/:lang/*", &["/en", "/en/a/b"], &["/"]),
            ("/*.pdf", &["/a.pdf", "/a/b.pdf", "/.pdf"], &["/a.pdfx", "/pdf"]),
            ("/img/*/big", &["/img/a/big", "/img/a/b/big/"], &["/img/big"]),
            ("/a%20b/gr%C3%B6%c3%9fe", &["/a b/größe"], &["/a%20b/größe"]),
            ("/größe", &["/größe"], &["/grosse"]),
            ("/a.b", &["/a.b"], &["/axb"]),
            ("/a%3Ab", &["/a:b"], &["/a"]),
        ] {
            let pattern = pattern(written);
            for address in yes {
                assert!(pattern.matches(address.as_bytes()), "{written} {address}");
            }
            for address in no {
                assert!(!pattern.matches(address.as_bytes()), "{written} {address}");
            }
        }
    }

    #[test]
    fn what_no_address_can_be_is_refused() {
        for (written, reason) in [
            ("https://example.com/*", "names a host"),
            ("docs", "does not start with `/`"),
            ("/a?b", "`?` or `#`"),
            ("/a b", "space"),
            ("/a//b", "empty"),
            ("/a/../b", "`..`"),
            ("/a%2Fb", "encoded slash"),
            ("/a%00", "encodes no character"),
            ("/a%0Ab", "control"),
            ("/a%ff", "UTF-8"),
            ("/100%", "%25"),
            ("/*/a/*", "more than one `*`"),
            ("/a:b", "not a whole segment"),
            ("/:a.html", "not a whole segment"),
            (&format!("/{}", "a".repeat(LONGEST)), "more than 500 bytes"),
        ] {
            let error = AddressPattern::parse(written).unwrap_err();
            assert!(error.contains(reason), "{written}: {error}");
        }
    }

    #[test]
    fn disjoint_patterns_are_told_apart() {
        for (one, other) in [
            ("/a", "/b"),
            ("/a/*", "/b/*"),
            ("/docs/*", "/docs-old/*"),
            ("/a", "/a/:b"),
            ("/", "/:a"),
        ] {
            assert!(!pattern(one).may_overlap(&pattern(other)), "{one} {other}");
            assert!(!pattern(other).may_overlap(&pattern(one)), "{one} {other}");
        }
    }

    fn any_pattern() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            "[ab.]{1,2}",
            Just(":x".to_owned()),
            Just("*".to_owned()),
            "[ab]?[*][ab.]?"
        ];
        let path = proptest::collection::vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")));
        path.prop_filter("a pattern", |written| AddressPattern::parse(written).is_ok())
    }

    proptest! {
        #[test]
        fn the_expression_accepts_what_the_pattern_matches(
            written in any_pattern(),
            asked in "(/[ab.]{1,2}){0,4}/?",
        ) {
            let pattern = pattern(&written);
            let regex = format!("(?s)^{}", pattern.regex().replace("\\z", "$"));
            let regex = regex_lite::Regex::new(&regex).unwrap();
            prop_assert_eq!(pattern.matches(asked.as_bytes()), regex.is_match(&asked), "{} {}", regex, asked);
        }

        #[test]
        fn patterns_with_a_common_address_overlap(
            one in any_pattern(),
            other in any_pattern(),
            asked in "(/[ab.]{1,2}){0,4}/?",
        ) {
            let (one, other) = (pattern(&one), pattern(&other));
            if one.matches(asked.as_bytes()) && other.matches(asked.as_bytes()) {
                prop_assert!(one.may_overlap(&other) && other.may_overlap(&one));
            }
        }

        #[test]
        fn an_expression_has_nothing_that_nginx_would_read(written in "/\\PC{0,20}") {
            if let Ok(pattern) = AddressPattern::parse(&written) {
                let regex = pattern.regex();
                prop_assert!(regex.bytes().all(|b| b.is_ascii_graphic() && !b"\"'$;{}#".contains(&b)), "{}", regex);
            }
        }
    }
}

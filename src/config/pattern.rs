//! The patterns of `forbid`: their syntax, and where they match in a text. Pure.
//!
//! A pattern is a regular expression between slashes, an address or a network, or otherwise plain text. Plain text also
//! matches the spellings that HTML and JSON use for the characters that they escape.

use core::net::IpAddr;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// Why a text is not a valid pattern. The message is the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// The patterns of `forbid`.
#[derive(Debug, Clone, Default)]
pub struct Forbidden {
    patterns: Vec<(String, Pattern)>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Text(Regex),
    Network(Network),
}

impl Forbidden {
    /// Parses the patterns of a site manifest.
    ///
    /// # Errors
    /// [`PatternError`] for the first invalid pattern.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, PatternError> {
        let read = patterns.iter().map(|pattern| {
            let pattern = pattern.as_ref();
            Ok((pattern.to_owned(), Pattern::new(pattern)?))
        });
        Ok(Self {
            patterns: read.collect::<Result<_, _>>()?,
        })
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|(pattern, _)| pattern.as_str())
    }

    /// Searches a text. Yields each pattern with its matches: their offsets and bytes.
    pub fn matches<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, Vec<(usize, &'a [u8])>)> {
        self.patterns.iter().map(|(name, pattern)| {
            let found = match pattern {
                Pattern::Text(regex) => regex
                    .find_iter(bytes)
                    .filter(|found| !found.is_empty())
                    .map(|found| (found.start(), found.as_bytes()))
                    .collect(),
                Pattern::Network(network) => network.addresses_in(bytes),
            };
            (name.as_str(), found)
        })
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.trim().is_empty() {
            return Err(PatternError("would match everywhere".to_owned()));
        }
        if let Some(inner) = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            return Self::regex(inner);
        }
        if let Some(network) = Network::new(pattern)? {
            return Ok(Self::Network(network));
        }
        let flags = if is_host(pattern) { "(?i)" } else { "" };
        Self::build(&format!("{flags}{}", in_all_spellings(pattern)))
    }

    fn regex(inner: &str) -> Result<Self, PatternError> {
        let regex = Self::build(inner)?;
        match &regex {
            Self::Text(regex) if regex.is_match(b"") => Err(PatternError("would match everywhere".to_owned())),
            _ => Ok(regex),
        }
    }

    fn build(regex: &str) -> Result<Self, PatternError> {
        let built = RegexBuilder::new(regex).size_limit(1 << 20).build();
        built.map(Self::Text).map_err(|error| {
            // The parser marks the position below the pattern; its last line contains the reason.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            PatternError(format!("is no regular expression: {reason}"))
        })
    }
}

/// Whether a text can be a host name, for which case is ignored.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let text = text.trim_start_matches('.');
    text.contains('.') && text.split('.').all(is_label)
}

/// A regular expression for a text as written, and as HTML and JSON escape it.
fn in_all_spellings(text: &str) -> String {
    let mut regex = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '&' => regex.push_str(r"(?:&(?:amp;|#38;|#x26;)?|\\u0026)"),
            '<' => regex.push_str(r"(?:<|&lt;|\\u003[cC])"),
            '>' => regex.push_str(r"(?:>|&gt;|\\u003[eE])"),
            '"' => regex.push_str(r#"(?:\\*"|&quot;|&#34;|\\u0022)"#),
            '\'' => regex.push_str("(?:'|&#x27;|&#39;|&apos;)"),
            '\\' => regex.push_str(r"\\+"),
            '/' => regex.push_str(r"\\?/"),
            c => {
                let _ = write!(regex, "{}", regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
    }
    regex
}

/// A range of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Parses `10.0.0.0/16`, `fd00::/8`, or a single address; `None` if the text does not start with an address.
    pub(super) fn new(text: &str) -> Result<Option<Self>, PatternError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(None);
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => Some(most),
            // The number may have no sign.
            Some(bits) if !bits.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most),
        };
        match bits {
            Some(bits) => Ok(Some(Self { address, bits })),
            None => Err(PatternError(format!("is no network: its prefix has 0 to {most} bits"))),
        }
    }

    fn holds(self, address: IpAddr) -> bool {
        // The number of equal leading bits, counted by XOR.
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }

    /// Finds the addresses of this network in a text.
    fn addresses_in(self, bytes: &[u8]) -> Vec<(usize, &[u8])> {
        let runs = match (self.address, &*RUNS) {
            (IpAddr::V4(_), Some((v4, _))) => v4,
            (IpAddr::V6(_), Some((_, v6))) => v6,
            (_, None) => return Vec::new(),
        };
        let found = runs.find_iter(bytes).filter(|run| {
            let text = std::str::from_utf8(run.as_bytes()).unwrap_or_default();
            let is_one = text.parse().is_ok_and(|address| self.holds(address));
            is_one && stands_alone(bytes, run.start(), run.end())
        });
        found.map(|run| (run.start(), run.as_bytes())).collect()
    }
}

/// Candidates for addresses, by their characters: the longest possible runs of them.
static RUNS: LazyLock<Option<(Regex, Regex)>> = LazyLock::new(|| {
    let v4 = Regex::new(r"(?-u)[0-9]{1,3}(?:\.[0-9]{1,3}){3}").ok()?;
    let v6 = Regex::new(r"(?-u)[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f]{0,4}:)+[0-9A-Fa-f]{0,4}").ok()?;
    Some((v4, v6))
});

/// Whether a match is an address, and not a part of a longer number, of a name, or of the path data of an SVG.
fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = &bytes[..start];
    let part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b':');
    let glued_before = before.last().is_some_and(part_of_word) && !ends_with_escape(before);
    let after = &bytes[end..];
    let glued_after = match after {
        [b'.', next, ..] => next.is_ascii_alphanumeric(),
        [next, ..] => next.is_ascii_alphanumeric() || *next == b'_',
        [] => false,
    };
    !glued_before && !glued_after && !is_in_drawing(before)
}

/// Whether a position is inside the path data of an SVG, `M10.5.5.5`, which starts after a quote.
fn is_in_drawing(before: &[u8]) -> bool {
    const LOOK: usize = 4096;
    let near = &before[before.len().saturating_sub(LOOK)..];
    let is_path = |byte: &u8| byte.is_ascii_digit() || b"MmLlHhVvCcSsQqTtAaZze ,.-+\t\n\r".contains(byte);
    match near.iter().rposition(|byte| matches!(byte, b'"' | b'\'' | b'`')) {
        Some(quote) => {
            let path = &near[quote + 1..];
            matches!(path.first(), Some(b'M' | b'm')) && path.iter().all(is_path)
        }
        None => near.len() == LOOK && near.iter().all(is_path),
    }
}

/// Whether a text ends with an escape sequence of JavaScript or JSON, `\n` or `\u000a`, after which a word can start.
pub(crate) fn ends_with_escape(text: &[u8]) -> bool {
    if let [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] = text {
        return true;
    }
    let tail = &text[text.len().saturating_sub(6)..];
    tail.len() == 6 && tail.starts_with(b"\\u") && tail[2..].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &[&str], text: &str) -> Vec<String> {
        let forbidden = Forbidden::new(patterns).unwrap();
        let mut matched: Vec<String> = Vec::new();
        for (_, text) in forbidden.matches(text.as_bytes()).flat_map(|(_, found)| found) {
            let text = String::from_utf8_lossy(text).into_owned();
            if !matched.contains(&text) {
                matched.push(text);
            }
        }
        matched
    }

    #[test]
    fn texts_are_found_as_they_are_and_names_of_hosts_in_any_case() {
        assert_eq!(
            found(&["Project Heron"], "of Project Heron, project heron"),
            ["Project Heron"]
        );
        assert_eq!(
            found(&["db.internal"], "https://DB.internal/ dbXinternal"),
            ["DB.internal"]
        );
        assert_eq!(
            found(&[".internal.example.com"], "x.Internal.example.com"),
            [".Internal.example.com"]
        );
        assert_eq!(found(&["a+b (c)"], "a+b (c) aab c"), ["a+b (c)"]);
    }

    #[test]
    fn texts_are_found_as_html_and_json_spell_them() {
        let html = "Söhne &amp; &lt;Co&gt; &#x27;x&#x27;";
        assert_eq!(found(&["Söhne & <Co> 'x'"], html), [html]);
        assert_eq!(
            found(&["\"a\"/<b>"], r#"\"a\"\/\u003cb\u003e"#),
            [r#"\"a\"\/\u003cb\u003e"#]
        );
    }

    #[test]
    fn regular_expressions_stand_between_slashes() {
        assert_eq!(found(&["/srv-[0-9]+/"], "srv-12 srv-x srv-3"), ["srv-12", "srv-3"]);
        assert_eq!(found(&["/(?i)heron/"], "HERON"), ["HERON"]);
    }

    #[test]
    fn addresses_of_a_network_are_found_wherever_they_stand_alone() {
        let text = "http://10.0.3.4:80/ 10.1.0.1 \"10.0.0.0/24\" (10.0.255.255). \\n10.0.1.1 x=10.0.2.2, 10.0.5.5.";
        assert_eq!(
            found(&["10.0.0.0/16"], text),
            [
                "10.0.3.4",
                "10.0.0.0",
                "10.0.255.255",
                "10.0.1.1",
                "10.0.2.2",
                "10.0.5.5"
            ]
        );
        assert_eq!(found(&["10.0.0.1"], "10.0.0.1 10.0.0.10 110.0.0.1"), ["10.0.0.1"]);
        assert_eq!(
            found(
                &["fd00::/8"],
                "http://[fd12:3456::1]/ fe80::1 \"fdab:0:0:0:0:0:0:1\" fc00::1"
            ),
            ["fd12:3456::1", "fdab:0:0:0:0:0:0:1"]
        );
        assert_eq!(found(&["0.0.0.0/0"], "255.1.2.3"), ["255.1.2.3"]);
    }

    #[test]
    fn numbers_that_only_look_like_addresses_are_left_in_peace() {
        let text = "v10.0.0.1 1.10.0.0.1 10.0.0.1.2 10.0.0.1a 10.0.0.256 10.00.0.1 d=\"M10.0.0.1\" d=\"M1 10.0.0.1\" 10.0.0 \
                    a_10.0.0.1 -10.0.0.1";
        assert_eq!(found(&["10.0.0.0/8"], text), [""; 0]);
        assert_eq!(
            found(&["::/0"], "a::before 12:30:45 std::fmt x:y:z 00:1A:2B:3C:4D:5E"),
            [""; 0]
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        for (pattern, reason) in [
            ("", "everywhere"),
            (" ", "everywhere"),
            ("//", "everywhere"),
            ("/x*/", "everywhere"),
            ("/(/", "unclosed group"),
            ("/(?:x{1000}){1000}/", "size limit"),
            ("10.0.0.0/33", "0 to 32 bits"),
            ("fd00::/x", "0 to 128 bits"),
        ] {
            let error = Forbidden::new(&[pattern]).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains('\n'), "{pattern}: {error}");
        }
    }
}

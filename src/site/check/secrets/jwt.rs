//! JSON Web Tokens, as opposed to samples and tokens that are public by design. Pure.

use std::sync::LazyLock;

use data_encoding::{BASE64URL_NOPAD, Encoding};
use serde_json::Value;

/// The longest lifetime, in seconds, of a token that is harmless: it has expired before a reader can use it.
const SHORT: u64 = 24 * 60 * 60;

/// Values in the sample tokens that every library shows.
const SAMPLES: &[&str] = &["1234567890", "John Doe", "Jane Doe", "joe", "example"];

/// The longest first part of a token, in bytes. Web servers accept no longer header.
const LONGEST: usize = 16 << 10;

/// The places of a text where a token may start. Each part of the text is examined once, however many places are
/// tested.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The end of the last run of token characters that was examined.
    end: usize,
}

impl Tokens {
    /// Whether a token may start at a place. Places must be passed in order. Within one run of token characters only
    /// the first place with no word character before it can start a token: later ones are inside its header, and the
    /// text after the run is the same for them.
    pub(super) fn may_start_at(&mut self, bytes: &[u8], start: usize) -> bool {
        if start < self.end {
            return false;
        }
        let is_glued = bytes[..start].last().is_some_and(|byte| super::is_word(*byte));
        if is_glued && !crate::config::ends_with_escape(&bytes[..start]) {
            return false;
        }
        let run = bytes[start..].iter().position(|byte| !is_of_token(*byte));
        self.end = start + run.unwrap_or(bytes.len() - start);
        self.end - start <= LONGEST && bytes[self.end..].starts_with(b".eyJ")
    }
}

const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether a token grants access: it is well-formed, is not a sample or public by design, and lives longer than a day.
pub(super) fn is_worth_telling(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| *byte == b'.').map(decode);
    let (Some(Some(header)), Some(Some(claims))) = (parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(Value::Object(header)), Ok(Value::Object(claims))) = (
        serde_json::from_slice::<Value>(&header),
        serde_json::from_slice::<Value>(&claims),
    ) else {
        return false;
    };
    let texts = || claims.values().filter_map(Value::as_str);
    let is_sample = texts().any(|text| SAMPLES.iter().any(|sample| text.contains(sample)));
    // A hosted database gives this key to browsers.
    let is_public = claims.get("role").and_then(Value::as_str) == Some("anon");
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let is_short = match (time("iat").or_else(|| time("nbf")), time("exp")) {
        (Some(from), Some(to)) => to.saturating_sub(from) <= SHORT,
        _ => false,
    };
    header.contains_key("alg") && !is_sample && !is_public && !is_short
}

/// Base64 with the alphabet of URLs, without padding. Bits after the last byte are ignored.
static BASE64: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut base64 = BASE64URL_NOPAD.specification();
    base64.check_trailing_bits = false;
    base64.encoding().ok()
});

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // A single character after the last group has too few bits for a byte.
    let length = text.len() - usize::from(text.len() % 4 == 1);
    BASE64.as_ref()?.decode(&text[..length]).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn encode(text: &str) -> String {
        BASE64URL_NOPAD.encode(text.as_bytes())
    }

    /// Returns a token with these claims.
    pub(in super::super) fn token(claims: &str) -> String {
        let header = encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        format!("{header}.{}.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk", encode(claims))
    }

    #[test]
    fn tokens_that_open_something_are_distinguished_from_others() {
        for text in ["eyJhIjogMX0", "eyJhIjogMX1"] {
            assert_eq!(decode(text.as_bytes()).unwrap(), b"{\"a\": 1}", "{text}");
        }
        assert_eq!(decode(b"eyJhIjogMSB9-").unwrap(), b"{\"a\": 1 }");
        for claims in [
            r#"{"role":"service_role","iss":"db","iat":1700000000,"exp":2000000000}"#,
            r#"{"sub":"8f1c2a","scope":"deploy"}"#,
        ] {
            assert!(is_worth_telling(token(claims).as_bytes()), "{claims}");
        }
        for claims in [
            r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#,
            r#"{"iss":"https://auth.example.com/","sub":"8f1c2a"}"#,
            r#"{"role":"anon","iss":"db","iat":1700000000,"exp":2000000000}"#,
            r#"{"sub":"8f1c2a","iat":1700000000,"exp":1700003600}"#,
            "no json",
            "[1]",
        ] {
            assert!(!is_worth_telling(token(claims).as_bytes()), "{claims}");
        }
    }
}

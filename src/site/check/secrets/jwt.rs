//! JSON Web Tokens, as opposed to samples and tokens that are public by design. Pure.

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

/// Decodes base64 with the alphabet of URLs, without padding.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut have) = (0_u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from((bits >> have) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn encode(text: &str) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = String::new();
        for chunk in text.as_bytes().chunks(3) {
            let word = chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..=chunk.len() {
                out.push(char::from(alphabet[(word >> (18 - 6 * place)) as usize & 63]));
            }
        }
        out
    }

    /// Returns a token with these claims.
    pub(in super::super) fn token(claims: &str) -> String {
        let header = encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        format!("{header}.{}.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk", encode(claims))
    }

    #[test]
    fn tokens_that_open_something_are_distinguished_from_others() {
        assert_eq!(decode(encode("{\"a\":1}").as_bytes()).unwrap(), b"{\"a\":1}");
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

//! Private keys in the PEM format, as opposed to samples that only show the format. Pure.

use memchr::memmem::find;

use super::entropy;

/// The least number of characters between the header of a key and its end.
const LEAST: usize = 64;

/// The largest size of a key in bytes, including all markup around its lines.
const MOST: usize = 32 * 1024;

/// The least entropy of random base64 of that length, in bits per character.
const ENTROPY: f64 = 4.5;

const DASHES: &[u8] = b"-----";
const BEGIN: &[u8] = b"-----BEGIN";

/// Words in samples. Shorter words occur by chance in a text as long as a key.
const MADE_UP: &[&str] = &["example", "placeholder", "redacted", "yourkey"];

/// Returns the key whose header starts at a place, up to its end line. It may be in markup, or in JSON with escaped
/// line ends. Markup that a highlighter puts around its lines is ignored.
pub(super) fn key_at(bytes: &[u8], start: usize) -> Option<&[u8]> {
    let near = bytes.get(start..bytes.len().min(start + MOST))?;
    // No key contains the header of another key, so each byte is examined for one header only.
    let next = find(near.get(DASHES.len()..)?, BEGIN).map_or(near.len(), |at| at + DASHES.len());
    let near = &near[..next];
    let header = DASHES.len() + find(near.get(DASHES.len()..)?, DASHES)? + DASHES.len();
    let end = header + find(near.get(header..)?, b"-----END")?;
    let body = body(&near[header..end]);
    let text = String::from_utf8_lossy(&body).to_ascii_lowercase();
    let is_made_up = MADE_UP.iter().any(|word| text.contains(word));
    let is_key = body.len() >= LEAST && entropy(&body) >= ENTROPY && !is_made_up;
    is_key.then(|| &near[..end])
}

/// Returns the base64 characters of a text, without tags and escapes.
fn body(text: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        // The text after an unclosed tag or entity is not part of a key.
        let skipped = match byte {
            b'<' => text[at..].iter().position(|byte| *byte == b'>'),
            b'&' => text[at..].iter().position(|byte| *byte == b';'),
            b'\\' if text[at + 1..].starts_with(b"u003c") => find(&text[at..], b"u003e").map(|end| end + 4),
            b'\\' if text[at + 1..].starts_with(b"u") => Some(5),
            b'\\' => Some(1),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=') => {
                body.push(*byte);
                Some(0)
            }
            _ => Some(0),
        };
        let Some(skipped) = skipped else { break };
        at += skipped + 1;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns text that looks like the base64 of a key, and is the same on every machine.
    pub(super) fn base64(length: usize) -> String {
        let mut state = 7_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(state >> 26) as usize])
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn keys_are_found_in_every_spelling() {
        let lines = [base64(64), base64(96)[32..].to_owned()];
        for (before, between, after) in [
            ("\n", "\n", "\n"),
            ("\\n", "\\n", "\\n"),
            (
                "</span>\n<span class=\"line\">",
                "</span>\n<span class=\"line\">",
                "</span>\n<span>",
            ),
            ("\\u003c/b\\u003e", "\\u003cb class=\\\"line of code\\\"\\u003e", "\\n"),
            ("&#10;", "&#10;", "&#10;"),
        ] {
            let text = format!(
                "-----BEGIN PRIVATE KEY-----{before}{}{after}-----END",
                lines.join(between)
            );
            assert!(key_at(text.as_bytes(), 0).is_some(), "{text}");
        }
    }

    #[test]
    fn what_only_shows_the_form_of_a_key_is_left_in_peace() {
        for body in [
            "\n...\n".to_owned(),
            format!("\n{}\n", base64(32)),
            format!("\n{}\n", "MIIEvQ".repeat(40)),
            format!("\n{}YOURKEY{}\n", base64(40), base64(40)),
            format!("\n<span class=\"{}\">...</span>\n", base64(200)),
        ] {
            let text = format!("-----BEGIN PRIVATE KEY-----{body}-----END");
            assert!(key_at(text.as_bytes(), 0).is_none(), "{text}");
        }
    }
}

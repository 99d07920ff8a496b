//! The public key that a host must present.
//!
//! Pure. The text ends up in a known-hosts line that decides which host is trusted, so it is parsed completely: exactly
//! one key, of a known type, whose bytes contain the same type and are complete. This module must never pass the text
//! on as it was written.

use std::fmt;

/// The accepted types, each with the number of fields in its wire format.
const TYPES: [(&str, usize); 7] = [
    ("ssh-ed25519", 2),
    ("ecdsa-sha2-nistp256", 3),
    ("ecdsa-sha2-nistp384", 3),
    ("ecdsa-sha2-nistp521", 3),
    ("ssh-rsa", 3),
    ("sk-ssh-ed25519@openssh.com", 3),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 4),
];

/// One public host key, without its comment; displayed as `TYPE BASE64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostKey {
    algorithm: &'static str,
    base64: String,
}

impl HostKey {
    /// Parses `TYPE BASE64` and drops a comment after it.
    ///
    /// # Errors
    /// The reason, as the end of a sentence about the key: "begins with an unknown key type".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(char::is_control) {
            return Err("holds a line break or another control character");
        }
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (Some(algorithm), Some(base64)) = (words.next(), words.next()) else {
            return Err("is not a type and a key");
        };
        let Some((algorithm, fields)) = TYPES.into_iter().find(|(name, _)| *name == algorithm) else {
            return Err("begins with an unknown key type");
        };
        if words.any(|word| word.starts_with("AAAA") || TYPES.iter().any(|(name, _)| *name == word)) {
            return Err("holds a second key");
        }
        let Some(bytes) = decode(base64) else {
            return Err("is not valid base64 after the type");
        };
        let Some(found) = wire_fields(&bytes) else {
            return Err("is cut short or has bytes left over");
        };
        if found.first() != Some(&algorithm.as_bytes()) {
            return Err("names another type than its bytes do");
        }
        let is_whole = found.len() == fields && found.iter().all(|field| !field.is_empty());
        if !is_whole || (algorithm == "ssh-ed25519" && found[1].len() != 32) {
            return Err("is cut short or has bytes left over");
        }
        Ok(Self {
            algorithm,
            base64: base64.to_owned(),
        })
    }

    /// The key type, such as `ssh-ed25519`. It determines which host key algorithms to request.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.algorithm, self.base64)
    }
}

/// Decodes strict base64: the standard alphabet, full padding, no stray bits.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if digits.is_empty() || !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

/// Splits a key into its length-prefixed fields; `None` if the last field does not end where the bytes end.
fn wire_fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        fields.push(field);
        bytes = rest;
    }
    Some(fields)
}

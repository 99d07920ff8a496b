//! The public key that a host must present.
//!
//! Pure. The text ends up in a known-hosts line that decides which host is trusted, so it is parsed completely: exactly
//! one key, of a known type, whose bytes contain the same type and are complete. This module must never pass the text
//! on as it was written.

use std::fmt;

use data_encoding::BASE64;

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
pub struct HostKey(String);

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
        // The decoder also accepts two padded texts in a row.
        let decoded = BASE64.decode(base64.as_bytes()).ok();
        let Some(bytes) = decoded.filter(|bytes| BASE64.encode(bytes) == base64) else {
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
        Ok(Self(format!("{algorithm} {base64}")))
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
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

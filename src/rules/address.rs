//! The target of a request as nginx reads it. Pure.
//!
//! Percent-encoding is decoded first, so `%2f` becomes a slash. Then `//` is merged to `/`, and `.` and `..` are
//! resolved. The result is used to look up a file. It is never used in a redirect: a `Location` is made of the
//! visitor's own spelling, and only of one that [`Address::spelled`] accepts as harmless.

/// The characters that a spelling in a `Location` may have in addition to ASCII letters, digits and percent-encoding.
pub const HARMLESS: &str = "._~!$&'()*+,;=:@|^[]-";

/// Prefixes that no segment of such a spelling may have: an encoded slash or backslash, which some browsers might
/// decode.
pub const DISGUISES: [&str; 2] = ["%2f", "%5c"];

/// Error for a request target that can't be read: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address leads above the top, or holds what is no percent-encoding, a NUL or a control character")]
pub struct BadAddress;

/// A parsed request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The decoded path, with dot segments resolved and repeated slashes merged. It need not be UTF-8.
    pub path: Vec<u8>,
    /// The target as it was sent.
    raw: Vec<u8>,
    /// The part after the question mark.
    query: Vec<u8>,
}

impl Address {
    /// Parses the path and query of a request, as they were sent.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn parse(target: &[u8]) -> Result<Self, BadAddress> {
        let is_control = |byte: &u8| *byte < b' ' || *byte == 0x7f;
        if target.first() != Some(&b'/') || target.iter().any(is_control) {
            return Err(BadAddress);
        }
        let whole = until(target, |byte| byte == b'#');
        let path = until(whole, |byte| byte == b'?');
        Ok(Self {
            path: plain(path)?,
            raw: target.to_vec(),
            query: whole.get(path.len() + 1..).unwrap_or_default().to_vec(),
        })
    }

    /// The path as the visitor spelled it, without its trailing slash. `None` unless every segment is non-empty,
    /// contains only [`HARMLESS`] characters and percent-encoding, and starts with none of [`DISGUISES`].
    #[must_use]
    pub fn spelled(&self) -> Option<&[u8]> {
        let path = until(&self.raw, |byte| byte == b'?');
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let mut segments = path.split(|byte| *byte == b'/');
        // The part before the first slash.
        let starts = segments.next().is_some_and(<[u8]>::is_empty);
        let mut count = 0;
        let harmless = segments.all(|segment| {
            count += 1;
            is_harmless(segment)
        });
        (starts && harmless && count > 0).then_some(path)
    }

    /// The query after the question mark, as it was sent.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        &self.query
    }

    /// The value of a query parameter as nginx finds it: the first of that name, in any case, not decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.query.split(|byte| *byte == b'&').find_map(|part| {
            let (found, value) = part.split_at_checked(name.len())?;
            let value = value.strip_prefix(b"=")?;
            found.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    /// Appends the query of this address to another path.
    #[must_use]
    pub fn with_query(&self, path: &[u8]) -> Vec<u8> {
        let mut target = path.to_vec();
        if !self.query.is_empty() {
            target.push(b'?');
            target.extend_from_slice(&self.query);
        }
        target
    }
}

fn until(bytes: &[u8], ends: impl Fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().position(|byte| ends(*byte)).unwrap_or(bytes.len());
    &bytes[..end]
}

fn is_harmless(segment: &[u8]) -> bool {
    let disguised = |start: &&str| {
        let start = start.as_bytes();
        segment.len() >= start.len() && segment[..start.len()].eq_ignore_ascii_case(start)
    };
    if segment.is_empty() || DISGUISES.iter().any(disguised) {
        return false;
    }
    let mut rest = segment;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (byte, tail) if byte.is_ascii_alphanumeric() || HARMLESS.as_bytes().contains(byte) => tail,
            _ => return false,
        };
    }
    true
}

/// The decoded path, with dot segments resolved and repeated slashes merged.
fn plain(path: &[u8]) -> Result<Vec<u8>, BadAddress> {
    let decoded = decoded(path)?;
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut all = decoded.split(|byte| *byte == b'/').peekable();
    let mut is_folder = false;
    while let Some(segment) = all.next() {
        is_folder = match segment {
            b"" | b"." => true,
            b".." => {
                segments.pop().ok_or(BadAddress)?;
                true
            }
            name => {
                segments.push(name);
                all.peek().is_some()
            }
        };
    }
    let mut path = vec![b'/'];
    path.extend_from_slice(&segments.join(&b'/'));
    if is_folder && !segments.is_empty() {
        path.push(b'/');
    }
    Ok(path)
}

/// Decodes percent-encoding, once.
pub(super) fn decoded(path: &[u8]) -> Result<Vec<u8>, BadAddress> {
    let digit = |byte: Option<&u8>| {
        let digit = char::from(*byte?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(BadAddress);
                };
                match high * 16 + low {
                    0 => return Err(BadAddress),
                    byte => byte,
                }
            }
            byte => *byte,
        });
    }
    Ok(decoded)
}

//! Parts of a file, as nginx reads `Range` and `If-Range`. Pure.
//!
//! Only unencoded files have parts: for a stored encoding, nginx does not announce range support and sends the complete
//! file.

use std::ops::Range;

/// The outcome of a `Range` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// The complete file: 200.
    Whole,
    /// These byte ranges, in the order in which they were requested: 206. Never empty.
    Some(Vec<Range<u64>>),
    /// No part of the file: 416.
    None,
}

/// Whether `Range` applies, given `If-Range`. `modified` is the file's time; `time` is the value of `If-Range` parsed
/// as a time.
#[must_use]
pub fn counts(if_range: &[u8], etag: &str, modified: u64, time: Option<u64>) -> bool {
    if if_range.len() >= 2 && if_range.ends_with(b"\"") {
        if_range == etag.as_bytes()
    } else {
        time == Some(modified)
    }
}

/// Parses the value of `Range` for a file of `length` bytes.
#[must_use]
pub fn parse(value: &[u8], length: u64) -> Parts {
    let unit = b"bytes=";
    let Some((start, list)) = value.split_at_checked(unit.len()) else {
        return Parts::Whole;
    };
    if !start.eq_ignore_ascii_case(unit) || list.is_empty() {
        return Parts::Whole;
    }
    let mut parts = Vec::new();
    let mut size: u64 = 0;
    for spec in list.split(|byte| *byte == b',') {
        let Some(Range { start, end }) = spec_of(spec, length) else {
            return Parts::None;
        };
        if start < end {
            let Some(sum) = size.checked_add(end - start) else {
                return Parts::None;
            };
            size = sum;
            parts.push(start..end);
        } else if start == 0 {
            return Parts::Whole;
        }
    }
    if parts.is_empty() {
        Parts::None
    } else if size > length {
        // Overlapping parts would make the answer longer than the file.
        Parts::Whole
    } else {
        Parts::Some(parts)
    }
}

/// Parses one of `0-9`, `9-` and `-9`. Spaces may surround the numbers, but must not follow the dash of the last form.
/// The range may be empty.
fn spec_of(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if spaceless(first).is_empty() {
        let is_spaced = last.starts_with(b" ");
        let wanted = number(spaceless(last)).filter(|_| !is_spaced)?;
        return Some(length.saturating_sub(wanted)..length);
    }
    let first = number(spaceless(first))?;
    let last = spaceless(last);
    if last.is_empty() {
        return Some(first..length);
    }
    Some(first..number(last)?.saturating_add(1).min(length))
}

fn spaceless(text: &[u8]) -> &[u8] {
    let begin = text.iter().position(|byte| *byte != b' ').unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(begin, |last| last + 1);
    &text[begin..end]
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    u64::try_from(number).ok()
}

/// The boundary of a multipart answer, with the same length as nginx's, so that content lengths agree.
pub const BOUNDARY: &str = "00000000000000000001";

/// The header of one part of a multipart answer.
#[must_use]
pub fn part_header(content_type: &str, part: &Range<u64>, length: u64) -> String {
    format!(
        "\r\n--{BOUNDARY}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
        content_range(part, length)
    )
}

/// The text after the last part of a multipart answer.
#[must_use]
pub fn closing() -> String {
    format!("\r\n--{BOUNDARY}--\r\n")
}

/// The value of `Content-Range` for a part.
#[must_use]
pub fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

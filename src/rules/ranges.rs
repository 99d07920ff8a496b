//! Parts of a file, as nginx reads `Range` and `If-Range`. Pure.
//!
//! Only files as they are have parts: nginx announces none for an encoding beside a file, and sends it whole.

use std::ops::Range;

/// What a `Range` leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// The whole file: 200.
    Whole,
    /// These bytes, in the order in which they were asked for: 206. Never empty.
    Some(Vec<Range<u64>>),
    /// None of the file: 416.
    None,
}

/// Whether `Range` counts, given `If-Range`. `modified` is the file's time, `time` what the header says, read as one.
#[must_use]
pub fn counts(if_range: &[u8], etag: &str, modified: u64, time: Option<u64>) -> bool {
    if if_range.len() >= 2 && if_range.ends_with(b"\"") {
        if_range == etag.as_bytes()
    } else {
        time == Some(modified)
    }
}

/// Reads the value of `Range` for a file of so many bytes.
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
        // Parts that overlap would make the answer longer than the file.
        Parts::Whole
    } else {
        Parts::Some(parts)
    }
}

/// One of `0-9`, `9-` and `-9`, with spaces around its numbers, but none behind the dash of the last form; the range may
/// be empty.
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

/// The boundary of an answer of several parts: as long as nginx's, so that lengths agree.
pub const BOUNDARY: &str = "00000000000000000001";

/// What stands before each part of several.
#[must_use]
pub fn part_header(content_type: &str, part: &Range<u64>, length: u64) -> String {
    format!(
        "\r\n--{BOUNDARY}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
        content_range(part, length)
    )
}

/// What stands behind the last part of several.
#[must_use]
pub fn closing() -> String {
    format!("\r\n--{BOUNDARY}--\r\n")
}

/// The value of `Content-Range` for a part.
#[must_use]
pub fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

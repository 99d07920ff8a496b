//! Decides whether a request accepts an encoding, as nginx's static encoding modules read `Accept-Encoding`. Pure.
//!
//! Neither module reads the header as the HTTP standard defines it. Each one looks for the name of its own encoding and
//! for a weight of zero after it. They ignore which of two encodings has the greater weight, they ignore `*`, and they
//! ignore a refusal of the unencoded file.

use crate::model::encoding::Coding;

/// Whether an encoding may be sent in answer to this `Accept-Encoding`. `is_old`: the request is HTTP/1.0, which gets
/// no gzip.
#[must_use]
pub fn accepts(coding: Coding, accepted: &[u8], is_old: bool) -> bool {
    match coding {
        Coding::Brotli => takes_brotli(accepted),
        Coding::Gzip => !is_old && takes_gzip(accepted),
    }
}

/// Index of the next occurrence of `name`, ignoring case.
fn find(text: &[u8], name: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let at = rest
        .windows(name.len())
        .position(|part| part.eq_ignore_ascii_case(name))?;
    Some(from + at)
}

fn takes_brotli(accepted: &[u8]) -> bool {
    let at = |index: usize| accepted.get(index).copied().unwrap_or(0);
    let mut from = 0;
    while let Some(begin) = find(accepted, b"br", from) {
        from = begin + 2;
        let before = if begin == 0 { b' ' } else { at(begin - 1) };
        let after = if from >= accepted.len() { b' ' } else { at(from) };
        if matches!(before, b',' | b' ') && matches!(after, b',' | b' ' | b';') {
            return !is_brotli_refused(accepted.get(from..).unwrap_or_default());
        }
    }
    false
}

/// Whether the text starts with `;q=0`, `;q=0.`, `;q=0.0` and so on. At most three decimals count.
fn is_brotli_refused(rest: &[u8]) -> bool {
    let mut rest = rest;
    for part in *b";q=0" {
        match after_spaces(rest).and_then(<[u8]>::split_first) {
            Some((first, tail)) if *first == part => rest = tail,
            _ => return false,
        }
    }
    let Some((b'.', digits)) = rest.split_first() else {
        return true;
    };
    let mut digits = digits.iter().take(3).take_while(|digit| digit.is_ascii_digit());
    digits.all(|digit| *digit == b'0')
}

fn takes_gzip(accepted: &[u8]) -> bool {
    if accepted.starts_with(b"gzip,") {
        return true;
    }
    let mut from = 0;
    let rest = loop {
        let Some(begin) = find(accepted, b"gzip", from) else {
            return false;
        };
        from = begin + 4;
        if begin == 0 || matches!(accepted[begin - 1], b',' | b' ') {
            break &accepted[from..];
        }
    };
    let Some(rest) = after_spaces(rest) else { return true };
    match rest.split_first() {
        Some((b',', _)) => true,
        Some((b';', rest)) => {
            let Some(rest) = after_spaces(rest) else { return true };
            let quantity = rest.strip_prefix(b"q").or_else(|| rest.strip_prefix(b"Q"));
            quantity.is_some_and(|rest| rest.len() >= 2 && rest[0] == b'=' && is_weighty(&rest[1..]))
        }
        _ => false,
    }
}

/// The text after leading spaces; `None` if nothing follows them.
fn after_spaces(text: &[u8]) -> Option<&[u8]> {
    let begin = text.iter().position(|byte| *byte != b' ')?;
    text.get(begin..)
}

/// Whether a weight is valid and above zero: 0.001 to 1.000, with at most three decimals.
fn is_weighty(weight: &[u8]) -> bool {
    let weight = weight
        .split(|byte| matches!(byte, b',' | b' '))
        .next()
        .unwrap_or_default();
    let (whole, digits) = match weight {
        [whole @ (b'0' | b'1')] => return *whole == b'1',
        [whole @ (b'0' | b'1'), b'.', digits @ ..] => (*whole, digits),
        _ => return false,
    };
    let sum: u32 = digits.iter().map(|digit| u32::from(digit.wrapping_sub(b'0'))).sum();
    let is_number = digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit);
    is_number && if whole == b'1' { sum == 0 } else { sum > 0 }
}

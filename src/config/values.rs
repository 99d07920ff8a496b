//! Small values of the site manifest: durations, percentages, globs, names.
//!
//! Pure. Each parser accepts one spelling and refuses every other: it must never round, clamp or guess.

use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::section::{Expect, Refusal, Section, expect, owned_if, which};

/// The longest accepted duration: 100 years.
const LONGEST: Duration = Duration::from_hours(36_500 * 24);

const GLOBS: Expect = expect("a list of globs over paths of the export", r#"["drafts/**", "*.map"]"#);

/// Parses a share in whole percent, from `0%` to `100%`.
pub(super) fn percent(text: &str) -> Result<u8, Refusal> {
    let Some(number) = text.strip_suffix('%') else {
        return which("has no percent sign");
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return which("is not a whole number of percent");
    }
    match number.parse() {
        Ok(percent @ 0..=100) => Ok(percent),
        _ => which("is more than 100%"),
    }
}

/// Parses a duration: a whole number followed by `d`, `h`, `m` or `s`; or `0`.
///
/// # Errors
/// The reason, as the end of a sentence about the text: "has no unit".
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not one number with a unit");
    }
    let seconds_each = match &text[digits.len()..] {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        "" if digits == "0" => 1,
        "" => return Err("has no unit"),
        _ => return Err("has an unknown unit"),
    };
    times(digits, seconds_each)
        .map(Duration::from_secs)
        .filter(|duration| *duration <= LONGEST)
        .ok_or("is longer than 36500d")
}

/// Parses a size in bytes: a whole number, a space and a unit, whose prefix counts in thousands or, with an `i`, in
/// 1024.
pub(super) fn parse_size(text: &str) -> Result<u64, &'static str> {
    let (digits, unit) = text.split_once(' ').ok_or("has no unit behind a space")?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a whole number with a unit");
    }
    let bytes_each: u64 = match unit {
        "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("has an unknown unit"),
    };
    times(digits, bytes_each).ok_or("is too large")
}

/// The product of a whole number and its unit, if it is not too large.
fn times(digits: &str, unit: u64) -> Option<u64> {
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Compiles globs of the site manifest. All of them have the same syntax: `*` and `?` do not match `/`, `**` does, and
/// a leading `/` is ignored. Match them against paths without a leading `/`.
///
/// # Errors
/// An invalid glob. Those of a parsed [`SiteConfig`](super::SiteConfig) are valid.
pub fn compile_globs<S: AsRef<str>>(globs: &[S]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let glob = glob.as_ref();
        let relative = glob.strip_prefix('/').unwrap_or(glob);
        set.add(GlobBuilder::new(relative).literal_separator(true).build()?);
    }
    set.build()
}

/// Validates one glob by compiling it.
pub(super) fn glob(text: &str) -> Result<String, Refusal> {
    if text.trim_start_matches('/').is_empty() {
        return which("matches nothing");
    }
    let compiled = compile_globs(&[text]).map(|_| text.to_owned());
    compiled.or_else(|error| which(format!("is not a glob: {}", error.kind())))
}

pub(super) fn globs(section: &Section<'_>, key: &'static str) -> Option<Vec<String>> {
    section.read_list(key, GLOBS, glob)
}

/// Validates a local path: not empty and without NUL.
pub(super) fn local_path(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return which("is empty");
    }
    argument(text)
}

/// Validates an argument of a program: without NUL.
pub(super) fn argument(text: &str) -> Result<String, Refusal> {
    owned_if(!text.contains('\0'), text, "holds a NUL")
}

/// Whether `name` consists of lower-case letters, digits and `others`, and starts with a letter or digit.
pub(super) fn is_name(name: &str, others: &[u8]) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().next().is_some_and(is_first) && name.bytes().all(|byte| is_first(byte) || others.contains(&byte))
}

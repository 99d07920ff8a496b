//! Conditional requests as nginx evaluates them with `etag on` and its default, `if_modified_since exact`. Pure.
//!
//! Times are whole seconds since 1970. A header that can't be parsed as a time is `Some(None)`.

/// The validators of the file that would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators<'a> {
    /// Its strong `ETag`, including the quotes.
    pub etag: &'a str,
    /// Its `Last-Modified`.
    pub modified: u64,
}

/// A header that contains a time: `None` if it is absent, `Some(None)` if it can't be parsed.
pub type Time = Option<Option<u64>>;

/// The conditions of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// `If-Match`.
    pub matches: Option<&'a [u8]>,
    /// `If-None-Match`.
    pub none_matches: Option<&'a [u8]>,
    /// `If-Modified-Since`.
    pub modified_since: Time,
    /// `If-Unmodified-Since`.
    pub unmodified_since: Time,
}

/// The outcome of the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionResult {
    /// The file is sent.
    Send,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the conditions of a request whose answer would be 200.
#[must_use]
pub fn evaluate(conditions: Conditions<'_>, file: Validators<'_>) -> ConditionResult {
    if let Some(since) = conditions.unmodified_since
        && since.is_none_or(|since| since < file.modified)
    {
        return ConditionResult::Failed;
    }
    if let Some(list) = conditions.matches
        && !is_listed(list, file.etag, false)
    {
        return ConditionResult::Failed;
    }
    if conditions.modified_since.is_none() && conditions.none_matches.is_none() {
        return ConditionResult::Send;
    }
    // nginx compares times for equality: an older file that was restored counts as modified. If both headers are
    // present, both must match.
    let is_modified = conditions
        .modified_since
        .is_some_and(|since| since != Some(file.modified));
    let is_other = conditions
        .none_matches
        .is_some_and(|list| !is_listed(list, file.etag, true));
    if is_modified || is_other {
        ConditionResult::Send
    } else {
        ConditionResult::NotModified
    }
}

/// Whether a list of `ETag`s contains this one; `*` matches every `ETag`. `weak`: ignore a leading `W/`.
fn is_listed(list: &[u8], etag: &str, weak: bool) -> bool {
    if list == b"*" {
        return true;
    }
    list.split(|byte| *byte == b',').any(|listed| {
        let listed = listed.trim_ascii();
        let listed = if weak {
            listed.strip_prefix(b"W/").unwrap_or(listed)
        } else {
            listed
        };
        listed == etag.as_bytes()
    })
}

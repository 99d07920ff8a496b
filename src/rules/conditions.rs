//! Conditional requests, as nginx has them: its `etag on`, and `if_modified_since exact`, its default. Pure.
//!
//! Times are whole seconds since 1970. A header that can't be read as a time is given as none.

/// What is known of the file that would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators<'a> {
    /// Its `ETag`, strong, in its quotes.
    pub etag: &'a str,
    /// Its `Last-Modified`.
    pub modified: u64,
}

/// A header with a time: there or not, and what it says, if it can be read.
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

/// What the conditions lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionResult {
    /// The answer is sent.
    Send,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Judges the conditions of a request whose answer would be 200.
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
    // Exactly: an older file that came back is another one. Where both are given, both must hold.
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

/// Whether a list of `ETag`s has this one; `*` has each. `weak`: whether `W/` in front of one is overlooked.
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

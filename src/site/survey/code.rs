//! What the survey notes of a script, or of data that scripts read: the files that it names. Pure.
//!
//! It must not parse a script. Anything in a string or a comment that looks like the address of a picture or similar
//! file counts. A false match does little harm: the file merely keeps its address.

use super::{Context, Facts};
use crate::next::url::Target;
use crate::rules::fingerprint;

/// Characters that end an address in the text of a script.
const ENDS: &[u8] = b"\"'`\\<>(){}[],;|*^=";

pub(super) fn survey_code(bytes: &[u8], context: &Context<'_>) -> Facts {
    let is_end = |byte: &u8| ENDS.contains(byte) || byte.is_ascii_whitespace() || byte.is_ascii_control();
    let mut kept: Vec<usize> = bytes
        .split(is_end)
        .filter_map(|word| file(std::str::from_utf8(word).ok()?, context))
        .collect();
    kept.sort_unstable();
    kept.dedup();
    Facts {
        kept,
        ..Facts::default()
    }
}

fn file(word: &str, context: &Context<'_>) -> Option<usize> {
    let path = word.split(['?', '#']).next()?;
    if !fingerprint::is_picked(path) {
        return None;
    }
    // A path without a leading slash may be appended to the base path.
    let top = format!("{}/", context.resolver.base_path());
    match context.resolver.resolve(&top, path) {
        Target::Site(url) => context.paths.file(&url.path),
        Target::Outside => context.paths.file(path.trim_start_matches('/')),
        _ => None,
    }
}

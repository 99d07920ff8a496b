//! `depth`: no file is deeper than the web server follows symlinks. Pure.
//!
//! The scan already refuses such paths; this check covers files that a later stage adds.

use super::finding::{Material, RawFinding};
use crate::model::path::MAX_DEPTH;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let assets = material.assets;
    let deep = assets.iter().filter_map(|asset| {
        let depth = asset.path.as_str().matches('/').count();
        (depth > MAX_DEPTH).then(|| {
            RawFinding::new(
                asset.path.clone(),
                format!("is {depth} folders deep; the web server finds files up to {MAX_DEPTH} deep"),
                "move it up; each folder is a symlink in the store, and systems follow at most 40",
            )
        })
    });
    deep.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::found;

    #[test]
    fn files_beyond_the_limit_are_found_and_those_at_it_are_not() {
        let at = format!("{}x", "d/".repeat(MAX_DEPTH));
        let beyond = format!("d/{at}");
        assert_eq!(found(find, &[&at, &beyond]), [beyond.as_str()]);
    }
}

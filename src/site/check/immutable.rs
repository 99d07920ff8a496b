//! `immutable`: no immutable path gets content that differs from what readers have cached. Pure.
//!
//! Only the host has a record of the earlier content, so the paths come from the plan, not from the export.

use super::finding::{Problem, RawFinding};
use crate::config::Level;
use crate::model::digest::Digest;
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;

/// The check's name in the site manifest.
pub const NAME: &str = "immutable";

/// How many digits of a digest a message shows, enough to distinguish two files.
const DIGITS: usize = 12;

/// An immutable path that would get different content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The path.
    pub path: SitePath,
    /// The content in this build.
    pub new: Content,
    /// The earlier content that readers have; `None` if no release that is still on the host has it.
    pub old: Option<Earlier>,
}

/// The identity of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The digest of the bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub size: u64,
}

/// A release that has different content at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The release.
    pub release: ReleaseId,
    /// The commit it was built from, if that is known.
    pub commit: Option<String>,
    /// The content in that release.
    pub bytes: Content,
}

/// Returns the problems for these conflicts.
#[must_use]
pub fn problems(conflicts: &[Conflict], level: Level) -> Vec<Problem> {
    let hint = "give the file a name that changes with its content, or move it out of the folders that browsers keep; \
                if the bundler named it and the same source gave both, delete the cache of the build (`.next`) and \
                change something in the file. To publish it as it is, name it in `allow` of [check]: readers of the \
                earlier release then keep its bytes";
    let finding = |conflict: &Conflict| RawFinding::new(conflict.path.clone(), message(conflict), hint).always();
    conflicts
        .iter()
        .filter_map(|conflict| finding(conflict).problem(NAME, level))
        .collect()
}

fn message(conflict: &Conflict) -> String {
    let new = shown(conflict.new);
    let kept = "browsers keep what they have under this name for a year";
    let Some(old) = &conflict.old else {
        return format!("an earlier release wrote other bytes under this name than this build ({new}): {kept}");
    };
    let commit = old.commit.as_ref().map_or_else(String::new, |commit| {
        format!(" (commit {})", super::finding::shortened(commit))
    });
    format!(
        "release {}{commit} wrote {} under this name, and this build writes {new}: {kept}",
        old.release,
        shown(old.bytes)
    )
}

fn shown(bytes: Content) -> String {
    format!("{} ({} bytes)", bytes.digest.short(DIGITS), bytes.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_which_build_wrote_which_bytes() {
        let bytes = |text: &str| Content {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
        };
        let mut conflict = Conflict {
            path: SitePath::new("_next/static/chunks/a.js").unwrap(),
            new: bytes("new"),
            old: Some(Earlier {
                release: "20261123-184502-a1b2c3".parse().unwrap(),
                commit: Some("0f3c".to_owned()),
                bytes: bytes("older"),
            }),
        };
        let message = |conflict: &Conflict| problems(std::slice::from_ref(conflict), Level::Warn).remove(0).message;
        let told = message(&conflict);
        let (new, old) = (Digest::of(b"new").short(12), Digest::of(b"older").short(12));
        for part in [
            "release 20261123-184502-a1b2c3 (commit 0f3c)".to_owned(),
            format!("{old} (5 bytes)"),
            format!("this build writes {new} (3 bytes)"),
        ] {
            assert!(told.contains(&part), "{told}");
        }
        conflict.old = None;
        assert!(message(&conflict).contains(&format!("({new} (3 bytes))")));
        assert!(problems(&[conflict], Level::Off).is_empty());
    }
}

//! `well-known`: a publish does not remove all files of `.well-known/`. Pure.
//!
//! Upload tools often leave out names that begin with a dot by default. Without these files apps lose their links, and
//! certificates lose their proofs. Only the host has a record of the earlier files, so this check uses the plan.

use super::finding::{Problem, RawFinding};
use crate::config::Level;
use crate::model::path::SitePath;

/// The check's name in the site manifest.
pub const NAME: &str = "well-known";

/// The folder, with its closing slash.
const FOLDER: &str = ".well-known/";

/// Returns the problem if a publish removes the complete folder. `removed` are the paths that the publish removes;
/// `is_left` says whether the new site has a file in the folder.
#[must_use]
pub fn problem<'a>(removed: impl Iterator<Item = &'a SitePath>, is_left: bool, level: Level) -> Option<Problem> {
    let lost: Vec<&SitePath> = removed.filter(|path| holds(path)).collect();
    let first = (*lost.first().filter(|_| !is_left)?).clone();
    let count = match lost.len() {
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    };
    let finding = RawFinding::new(
        first,
        format!("{FOLDER} is gone with {count} that the live release has"),
        "the upload of the build may have left out names that begin with a dot (actions/upload-artifact: \
         `include-hidden-files: true`); if it is meant, publish with --allow-removals",
    );
    finding.always().problem(NAME, level)
}

/// Whether a path is inside the folder.
#[must_use]
pub fn holds(path: &SitePath) -> bool {
    path.as_str().starts_with(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::severity::Severity;

    #[test]
    fn the_loss_of_the_folder_is_found_and_that_of_one_file_is_not() {
        let lost = [".well-known/security.txt", "a.html"].map(|path| SitePath::new(path).unwrap());
        let found = problem(lost.iter(), false, Level::Error).unwrap();
        assert_eq!(
            (found.path.as_str(), found.severity),
            (".well-known/security.txt", Severity::Error)
        );
        assert_eq!(problem(lost.iter(), true, Level::Error), None);
        assert_eq!(problem(lost.iter(), false, Level::Off), None);
        assert_eq!(problem(lost[1..].iter(), false, Level::Error), None);
    }
}

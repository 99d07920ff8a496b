//! `size`: no file is so large that readers wait for it in vain. Pure.
//!
//! A browser reads a complete page before anything can be clicked, and the payload of a page before a link to it opens:
//! phones give up after a few megabytes. Any other large file is most likely an unprocessed picture or video that was
//! published by mistake.

use super::finding::{Material, RawFinding};
use crate::site::survey::FileKind;

const MIB: u64 = 1 << 20;

/// The size limit of a page or payload.
const PAGE: u64 = 5 * MIB;

/// The size limit of any other file.
const FILE: u64 = 25 * MIB;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let found = material.files().filter_map(|file| {
        let (what, limit, hint) = match file.kind {
            FileKind::Page => ("page", PAGE, "split the page, or load its large parts on request"),
            FileKind::Payload(_) | FileKind::Data(_) => (
                "payload",
                PAGE,
                "pass less data from server to client components, or split the page",
            ),
            _ => (
                "file",
                FILE,
                "make it smaller, or offer it as a download elsewhere; if it is meant to be here, name it in `allow`",
            ),
        };
        (file.asset.size > limit).then(|| {
            let size = file.asset.size / MIB;
            RawFinding::new(
                file.asset.path.clone(),
                format!("this {what} has {size} MiB, more than {} MiB", limit / MIB),
                hint,
            )
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    #[test]
    fn files_beyond_the_limit_of_their_kind_are_found() {
        let mut export = Export::of_paths(&["a.html", "a.txt", "b.html", "c.png", "d.png"]);
        for (asset, size) in export.assets.iter_mut().zip([PAGE + 1, 7 * MIB, PAGE, FILE, 30 * MIB]) {
            asset.size = size;
        }
        assert_eq!(
            export.finds(find),
            [
                "a.html: this page has 5 MiB, more than 5 MiB",
                "a.txt: this payload has 7 MiB, more than 5 MiB",
                "d.png: this file has 30 MiB, more than 25 MiB",
            ]
        );
    }
}

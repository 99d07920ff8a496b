//! `clash`: no file or folder of the export is where this tool puts an encoding of a file or a copy. Pure.
//!
//! The encodings of `a.html` are `a.html.br` and `a.html.gz`, next to it. A folder of that name leaves no room for
//! them. A file of that name would be served as the encoding; the scan treats it as one, so none should remain.
//!
//! Browsers cache all files below the folder of the copies for a year, so a file there must be named after its content,
//! as a copy is.

use super::finding::{Material, RawFinding, each_path, holds};
use crate::model::asset::Asset;
use crate::model::encoding::Coding;
use crate::model::path::SitePath;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut found = Vec::new();
    each_path(material.assets, |path, is_folder| {
        found.extend(clash(material.assets, path, is_folder));
    });
    found.extend(among_copies(material));
    found
}

fn clash(assets: &[Asset], taken: &str, is_folder: bool) -> Option<RawFinding> {
    let (original, coding) = Coding::ALL
        .into_iter()
        .find_map(|coding| Some((coding.original(taken)?, coding)))?;
    let what = if is_folder { "folder" } else { "file" };
    holds(assets, original).then_some(())?;
    Some(RawFinding::new(
        SitePath::new(taken).ok()?,
        format!("this {what} has the name of the {coding} encoding of {original}"),
        format!("rename the {what}, or leave it out with `exclude`"),
    ))
}

fn among_copies(material: Material<'_>) -> impl Iterator<Item = RawFinding> {
    let folder = material.copies;
    let is_stranger = move |asset: &&Asset| asset.path.is_below(folder) && !is_copy(asset.path.name());
    let strangers = material.assets.iter().filter(is_stranger);
    strangers.map(move |asset| {
        RawFinding::new(
            asset.path.clone(),
            format!("browsers would keep this file for a year: {folder}/ is where copies named after their bytes go"),
            "rename the folder, or give the copies another with `prefix` in [fingerprint]".to_owned(),
        )
    })
}

/// Whether a name is that of a copy: `name.<16 hex digits>.ext`.
fn is_copy(name: &str) -> bool {
    let hex = |part: &str| part.len() == 16 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    name.rsplit('.').nth(1).is_some_and(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::found;

    #[test]
    fn a_folder_where_an_encoding_goes_is_found() {
        assert_eq!(found(find, &["a.html", "a.html.br/x"]), ["a.html.br"]);
        assert_eq!(found(find, &["d/a.js", "d/a.js.gz/x/y"]), ["d/a.js.gz"]);
    }

    #[test]
    fn a_file_where_an_encoding_goes_is_found() {
        assert_eq!(found(find, &["a.html", "a.html.gz"]), ["a.html.gz"]);
    }

    #[test]
    fn a_file_among_the_copies_must_be_named_as_one() {
        let copies = [
            "_assets/a.0123456789abcdef.png",
            "_assets/b/logo.png",
            "_assets.html",
            "x/_assets/a.png",
        ];
        assert_eq!(found(find, &copies), ["_assets/b/logo.png"]);
    }

    #[test]
    fn other_compressed_files_are_left_in_peace() {
        assert!(
            found(
                find,
                &[
                    "a.html",
                    "b.html.gz",
                    "a.html.zst/x",
                    "a.br",
                    "sitemap.xml.gz",
                    "x.br/a"
                ]
            )
            .is_empty()
        );
    }
}

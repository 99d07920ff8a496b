//! `clash`: nothing stands where an encoding of a file goes. Pure.
//!
//! The encodings of `a.html` are `a.html.br` and `a.html.gz`, beside it. A folder of that name leaves no room for
//! them. A file of that name would be served as the encoding; the scan takes it for one, so none should be left.

use super::{Finding, Material, first_below, holds};
use crate::model::encoding::Coding;
use crate::model::path::SitePath;

pub(super) fn find(material: Material<'_>) -> Vec<Finding> {
    let assets = material.assets;
    let clashes = assets.iter().flat_map(|asset| {
        Coding::ALL.into_iter().filter_map(move |coding| {
            let taken = coding.beside(asset.path.as_str());
            let what = if first_below(assets, &format!("{taken}/")).is_some() {
                "folder"
            } else if holds(assets, &taken) {
                "file"
            } else {
                return None;
            };
            Some(Finding::new(
                SitePath::new(&taken).ok()?,
                format!("this {what} stands where the {coding} encoding of {} goes", asset.path),
                format!("rename the {what}, or leave it out with `exclude`"),
            ))
        })
    });
    clashes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::found;

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

//! `index`: the site has a first page. Pure.
//!
//! If it has none, the wrong folder was usually exported. It may be intended, for example if the site consists of `/en`
//! and `/de` alone, so it is only a warning as long as there is any page.

use super::finding::{Material, RawFinding, holds};
use crate::model::path::SitePath;

const PAGE: &str = "index.html";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let assets = material.assets;
    if holds(assets, PAGE) {
        return Vec::new();
    }
    if !assets.iter().any(|asset| asset.path.name().ends_with(".html")) {
        return vec![
            RawFinding::new(
                SitePath::root(),
                "there is no page: no file of the export ends in .html",
                "see whether `export` names the folder that `next build` wrote (mostly `out`), and the build ended well",
            )
            .heavy()
            .always(),
        ];
    }
    vec![RawFinding::new(
        SitePath::root().child(PAGE),
        "there is no index.html at the top: the address of the site itself is answered with 404",
        "see whether `export` names the folder that `next build` wrote (mostly `out`), and the build ended well",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::found;

    #[test]
    fn a_folder_without_any_page_is_an_error() {
        let findings = find(crate::site::check::tests::Export::of_paths(&["a.js"]).material());
        assert_eq!(findings[0].severity, Some(crate::model::severity::Severity::Error));
    }

    #[test]
    fn a_site_without_a_first_page_is_found() {
        assert_eq!(found(find, &["docs/index.html", "out/index.html"]), ["index.html"]);
        assert!(found(find, &["index.html"]).is_empty());
    }
}

//! `index`: the site has a first page. Pure.

use super::{Finding, Material, holds};
use crate::model::path::SitePath;

const PAGE: &str = "index.html";

pub(super) fn find(material: Material<'_>) -> Vec<Finding> {
    let assets = material.assets;
    if holds(assets, PAGE) {
        return Vec::new();
    }
    vec![Finding::new(
        SitePath::root().child(PAGE),
        "there is no index.html at the top: whoever asks for the site itself gets an error",
        "see whether `export` names the folder that `next build` wrote (mostly `out`), and the build ended well",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::found;

    #[test]
    fn a_site_without_a_first_page_is_found() {
        assert_eq!(found(find, &["docs/index.html", "out/index.html"]), ["index.html"]);
        assert!(found(find, &["index.html"]).is_empty());
    }
}

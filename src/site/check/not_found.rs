//! `not-found`: the site has a `404.html`, which the vhost names in `error_page`. Pure.
//!
//! Without it nginx answers with its own error page, so this is a warning.

use super::finding::{Material, RawFinding, holds};
use crate::model::path::SitePath;

const PAGE: &str = "404.html";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let assets = material.assets;
    if holds(assets, PAGE) {
        return Vec::new();
    }
    let hint = if holds(assets, "404/index.html") {
        "the export has 404/index.html instead; copy it to 404.html after the build"
    } else {
        "add app/not-found.tsx (or pages/404.tsx) to the site; `next build` writes 404.html from it"
    };
    vec![RawFinding::new(
        SitePath::root().child(PAGE),
        "there is no 404.html: a wrong address shows the web server's own error page",
        hint,
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::found;

    #[test]
    fn a_site_without_an_error_page_is_found() {
        assert_eq!(found(find, &["index.html"]), ["404.html"]);
        assert_eq!(found(find, &["404/index.html", "docs/404.html"]), ["404.html"]);
        assert!(found(find, &["404.html"]).is_empty());
    }
}

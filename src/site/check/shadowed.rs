//! `shadowed`: no two files answer for one page. Pure.
//!
//! The web server tries `docs.html` before `docs/index.html`, so `/docs` never shows the second. This happens if
//! `public/docs/index.html` collides with a page of the same name. `404.html` and `404/index.html` are the only such
//! pair that Next.js writes itself.

use super::finding::{Material, RawFinding, holds};

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let assets = material.assets;
    let shadowed = assets.iter().filter_map(|asset| {
        let folder = asset.path.as_str().strip_suffix("/index.html")?;
        if folder == "404" {
            return None;
        }
        let page = format!("{folder}.html");
        holds(assets, &page).then(|| {
            RawFinding::new(
                asset.path.clone(),
                format!("/{folder} shows {page}, so this page is never shown"),
                format!("keep one of the two; a file of `public/` may have the address of a page: look for {folder}"),
            )
        })
    });
    shadowed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::found;

    #[test]
    fn a_page_that_another_one_hides_is_found() {
        assert_eq!(found(find, &["docs.html", "docs/index.html"]), ["docs/index.html"]);
    }

    #[test]
    fn pages_with_folders_are_left_in_peace() {
        assert!(
            found(
                find,
                &[
                    "docs.html",
                    "docs/a.html",
                    "a/index.html",
                    "index.html",
                    "404/index.html"
                ]
            )
            .is_empty()
        );
        assert!(found(find, &["404.html", "404/index.html"]).is_empty());
    }
}

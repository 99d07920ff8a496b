//! `next`: the folder looks like a static export of Next.js. Pure.
//!
//! Only a warning: a plain folder of HTML can be published just as well. Sites of another generator, and those that the
//! site manifest calls `static`, are not checked.

use super::finding::{Material, RawFinding, first_below, holds};
use crate::model::asset::Asset;
use crate::model::generator::Generator;
use crate::model::path::SitePath;

const STATIC: &str = "_next/static/";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let assets = material.assets;
    let is_expected = match material.survey.generator {
        Generator::Next => true,
        Generator::Static => !material.is_named,
        Generator::Docusaurus | Generator::Astro | Generator::VitePress => false,
    };
    if !is_expected || first_below(assets, STATIC).is_some() {
        return Vec::new();
    }
    let (message, hint) = if holds(assets, "BUILD_ID") && first_below(assets, "server/").is_some() {
        (
            "this is Next's build folder (BUILD_ID, server/), not an export".to_owned(),
            "set `output: 'export'` in next.config and publish the folder it then writes (mostly `out`)".to_owned(),
        )
    } else if let Some(folder) = folder_of_an_export(assets) {
        (
            format!("there is no {STATIC} at the top, but one in {folder}/"),
            format!("if that folder is the export, let `export` end in /{folder}"),
        )
    } else {
        (
            format!("there is no {STATIC}: this does not look like a static export of Next.js"),
            "see whether `export` names the folder that `next build` wrote; for another site, name its `generator` in [site]"
                .to_owned(),
        )
    };
    vec![RawFinding::new(SitePath::root(), message, hint)]
}

/// Returns a folder that contains a `_next/static/` of its own.
fn folder_of_an_export(assets: &[Asset]) -> Option<&str> {
    let inner = format!("/{STATIC}");
    assets.iter().find_map(|asset| {
        let path = asset.path.as_str();
        path.find(&inner).map(|end| &path[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::{Export, found};

    fn message(paths: &[&str]) -> String {
        find(Export::of_paths(paths).material()).remove(0).message
    }

    #[test]
    fn a_folder_that_is_no_export_is_found_and_said_what_it_is() {
        assert!(message(&["index.html"]).contains("does not look like"));
        assert!(message(&["BUILD_ID", "server/app/index.html", "static/a.js"]).contains("build folder"));
        assert!(message(&["out/_next/static/a.js", "out/index.html"]).contains("one in out/"));
    }

    #[test]
    fn an_export_is_left_in_peace() {
        assert!(found(find, &["_next/static/chunks/a.js"]).is_empty());
        assert!(
            !found(find, &["_next/static"]).is_empty(),
            "a file of that name is no folder"
        );
        assert!(found(find, &["_astro/a.js", "index.html"]).is_empty());
        let export = Export::of_paths(&["index.html"]);
        let named = Material {
            is_named: true,
            ..export.material()
        };
        assert!(find(named).is_empty(), "the site manifest calls it static");
    }
}

//! `source-maps`: no source map of the client's code is published. Pure.
//!
//! A source map holds the sources as they were written, with their comments. Next.js makes none unless
//! `productionBrowserSourceMaps` asks for them, and whoever asks for them mostly sends them elsewhere. Only a warning,
//! since publishing them may be meant.

use super::{Finding, Material};

/// The endings of source maps of what browsers run.
const ENDINGS: &[&str] = &[".js.map", ".mjs.map", ".cjs.map", ".css.map"];

pub(super) fn find(material: Material<'_>) -> Vec<Finding> {
    let is_map = |path: &str| ENDINGS.iter().any(|ending| path.ends_with(ending));
    let mut maps = material.files().filter(|file| is_map(file.asset.path.as_str()));
    let Some(first) = maps.next() else {
        return Vec::new();
    };
    // They come in one for each chunk, and one switch makes them all.
    let message = match maps.count() {
        0 => "this source map shows the site's sources to everybody".to_owned(),
        others => format!("this source map and {others} others show the site's sources to everybody"),
    };
    vec![Finding::new(
        first.asset.path.clone(),
        message,
        "switch `productionBrowserSourceMaps` off, or leave them out with `exclude = [\"**/*.map\"]`",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::found;

    #[test]
    fn source_maps_are_found_together() {
        let paths = [
            "_next/static/chunks/a.js.map",
            "_next/static/chunks/b.css.map",
            "a.html",
        ];
        assert_eq!(found(find, &paths), ["_next/static/chunks/a.js.map"]);
    }

    #[test]
    fn other_maps_are_left_in_peace() {
        assert!(found(find, &["sites.map", "docs/js/map.html", "a.js", "map.js"]).is_empty());
    }
}

//! `source-maps`: no source map of the client's code is published. Pure.
//!
//! A source map holds the sources as they were written, with their comments. Next.js makes none unless
//! `productionBrowserSourceMaps` asks for them, and whoever asks for them mostly sends them elsewhere. Only a warning,
//! since publishing them may be meant.

use serde::Deserialize;

use super::{Finding, Material};
use crate::survey::Hit;

/// The check's name in the site manifest.
pub(super) const NAME: &str = "source-maps";

/// The endings of source maps of what browsers run.
const ENDINGS: &[&str] = &[".js.map", ".mjs.map", ".cjs.map", ".css.map"];

/// What stands in the names of sources that everybody has: those of Next.js, and what its bundler puts in front.
const NEXT: &[&str] = &["node_modules/next/", "[turbopack]/", "/webpack/"];

pub(super) fn find(material: Material<'_>) -> Vec<Finding> {
    let mut maps = material
        .files()
        .filter(|file| material.hits(*file, NAME).next().is_some());
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

/// Notes a source map that shows more than sources of Next.js, which exports one of those by itself.
pub(super) fn search(path: &str, bytes: &[u8], hits: &mut Vec<Hit>) {
    if ENDINGS.iter().any(|ending| path.ends_with(ending)) && !is_of_next(bytes) {
        hits.push(Hit {
            check: NAME.into(),
            line: None,
            rule: String::new(),
            shown: String::new(),
        });
    }
}

#[derive(Deserialize)]
struct Map {
    #[serde(default)]
    sources: Vec<Option<String>>,
    #[serde(default)]
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    map: Map,
}

impl Map {
    /// The sources, and those of its sections.
    fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.sources.iter().flatten().map(String::as_str).collect();
        all.extend(self.sections.iter().flat_map(|section| section.map.all()));
        all
    }
}

fn is_of_next(bytes: &[u8]) -> bool {
    let is_one = |source: &&str| NEXT.iter().any(|part| source.contains(part));
    serde_json::from_slice::<Map>(bytes).is_ok_and(|map| {
        let sources = map.all();
        !sources.is_empty() && sources.iter().all(is_one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{Export, found};

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
    fn a_map_of_nothing_but_next_is_left_in_peace() {
        let map = |source: &str| {
            format!(
                r#"{{"version":3,"sources":[],"sections":[{{"offset":{{"line":0,"column":0}},"map":{{"version":3,"sources":["{source}"],"names":[],"mappings":"AAAA"}}}}]}}"#
            )
        };
        let polyfill = map("turbopack:///[project]/node_modules/next/dist/build/polyfills/polyfill-nomodule.js");
        let export = Export::new(&[("_next/static/chunks/a.js.map", polyfill.as_str())]);
        assert_eq!(export.finds(find), [""; 0]);
        let own = map("turbopack:///[project]/app/page.tsx");
        let export = Export::new(&[
            ("_next/static/chunks/a.js.map", polyfill.as_str()),
            ("_next/static/chunks/b.js.map", &own),
        ]);
        assert_eq!(
            export.finds(find),
            ["_next/static/chunks/b.js.map: this source map shows the site's sources to everybody"]
        );
    }

    #[test]
    fn other_maps_are_left_in_peace() {
        assert!(found(find, &["sites.map", "docs/js/map.html", "a.js", "map.js"]).is_empty());
    }
}

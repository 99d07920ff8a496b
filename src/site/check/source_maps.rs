//! `source-maps`: no source map of the client's code is published. Pure.
//!
//! A source map contains the original sources with their comments. Next.js writes none unless
//! `productionBrowserSourceMaps` is set, and sites that set it usually upload the maps elsewhere. Only a warning,
//! because publishing them may be intended.

use serde::Deserialize;

use super::finding::{Material, RawFinding};
use crate::site::survey::Hit;

/// The check's name in the site manifest.
pub(super) const NAME: &str = "source-maps";

/// File name endings of source maps of code and styles that browsers load.
const ENDINGS: &[&str] = &[".js.map", ".mjs.map", ".cjs.map", ".css.map"];

/// Parts of the names of public sources: those of Next.js, and the prefixes that its bundlers add.
const NEXT: &[&str] = &["node_modules/next/", "[turbopack]/", "/webpack/"];

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let maps = material
        .files()
        .filter(|file| material.hits(*file, NAME).next().is_some())
        .map(|file| &file.asset.path);
    let (of_next, others): (Vec<_>, Vec<_>) = maps.partition(|path| path.as_str().starts_with("_next/"));
    let (of_workers, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|path| is_of_worker(path.name()));
    // Each kind has either many maps or none, because one switch turns them all on.
    [
        (of_next, "switch `productionBrowserSourceMaps` off, or leave"),
        (
            of_workers,
            "set `sourcemap: false` where the service worker is made, or leave",
        ),
        (others, "leave"),
    ]
    .into_iter()
    .filter_map(|(maps, switch)| {
        let (first, others) = maps.split_first()?;
        let message = match others.len() {
            0 => "this source map shows the site's sources to everyone".to_owned(),
            others => format!("this source map and {others} others show the site's sources to everyone"),
        };
        let hint = format!("{switch} them out with `exclude = [\"**/*.map\"]`");
        Some(RawFinding::new((*first).clone(), message, hint))
    })
    .collect()
}

/// Whether the map has the name of a service worker of Workbox, Serwist or next-pwa.
fn is_of_worker(name: &str) -> bool {
    ["workbox-", "sw.", "swe-worker-", "service-worker.", "worker-"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// Adds a hit for a source map with more than sources of Next.js, which exports one such map by itself.
pub(super) fn search(path: &str, bytes: &[u8], hits: &mut Vec<Hit>) {
    if ENDINGS.iter().any(|ending| path.ends_with(ending)) && !is_of_next(bytes) {
        hits.push(Hit::of_file(NAME, ""));
    }
}

#[derive(Deserialize)]
struct Map {
    #[serde(default)]
    sources: Vec<Option<String>>,
    #[serde(default)]
    sections: Vec<MapSection>,
}

#[derive(Deserialize)]
struct MapSection {
    map: Map,
}

impl Map {
    /// Returns the sources, including those of the sections.
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
    use crate::site::check::tests::{Export, found};

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
    fn each_kind_of_source_map_is_told_where_it_is_switched_off() {
        let (chunk, worker, own) = ("_next/static/chunks/a.js.map", "workbox-4754cb34.js.map", "js/x.js.map");
        let export = Export::new(&[(chunk, ""), (worker, ""), ("sw.js.map", ""), (own, "")]);
        let hints: Vec<_> = find(export.material())
            .into_iter()
            .map(|finding| {
                (
                    finding.path.clone(),
                    finding.hint.split(',').next().unwrap_or("").to_owned(),
                )
            })
            .collect();
        let expected = [
            (chunk, "switch `productionBrowserSourceMaps` off"),
            ("sw.js.map", "set `sourcemap: false` where the service worker is made"),
            (own, "leave them out with `exclude = [\"**/*.map\"]`"),
        ];
        assert_eq!(hints, expected.map(|(path, hint)| (path.to_owned(), hint.to_owned())));
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
            ["_next/static/chunks/b.js.map: this source map shows the site's sources to everyone"]
        );
    }

    #[test]
    fn other_maps_are_left_in_peace() {
        assert!(found(find, &["sites.map", "docs/js/map.html", "a.js", "map.js"]).is_empty());
    }
}

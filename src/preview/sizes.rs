//! What the dashboard shows about files: the kind of a file, the page it belongs to, and the files that a page makes a
//! browser fetch. Pure.

use std::collections::BTreeSet;

use crate::next::page::owners;
use crate::next::url::{Resolver, Target};
use crate::next::{Reference, css, html};

/// A selection of files of the site.
#[derive(Debug, serde::Deserialize)]
pub struct PathSet {
    /// Their paths.
    pub paths: Vec<String>,
}

/// A page of the site.
#[derive(Debug, serde::Deserialize)]
pub struct Page {
    /// Its path.
    pub path: String,
}

/// Returns the kind of a file, in one word.
pub fn kind(path: &str, media_type: &str, is_file: &dyn Fn(&str) -> bool) -> &'static str {
    match media_type {
        "text/html" => "page",
        _ if page_of(path, is_file).is_some() => "payload",
        "text/css" => "style",
        "text/javascript" | "application/javascript" | "application/wasm" => "script",
        _ if media_type.starts_with("image/") => "picture",
        _ if media_type.starts_with("font/") => "font",
        _ if media_type.starts_with("video/") || media_type.starts_with("audio/") => "media",
        _ => "other",
    }
}

/// Returns the page that a payload or data file belongs to.
pub fn page_of(path: &str, is_file: &dyn Fn(&str) -> bool) -> Option<String> {
    owners(path).into_iter().find(|page| is_file(page))
}

/// Returns the paths of the files of the site that a page makes a browser fetch. For a picture in several sizes it
/// returns all of them. It does not cover what scripts fetch.
pub fn named(path: &str, text: &str, resolver: &Resolver, is_file: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let address = resolver.page_address(path);
    let mut files = BTreeSet::new();
    let mut visit = |reference: Reference<'_>| {
        if reference.position.is_fetched()
            && let Target::Site(url) = resolver.resolve(&address, reference.url)
            && is_file(&url.path)
        {
            files.insert(url.path);
        }
        None
    };
    if path.ends_with(".css") {
        // If the style sheet cannot be parsed to its end, the URLs before the error still count.
        let _ = css::rewrite(text, 0, &mut visit);
    } else {
        html::walk(text, 0, &mut visit);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_type_and_its_page_say() {
        let is_file = |path: &str| path == "docs/a.html";
        let kind = |path: &str, media_type: &str| kind(path, media_type, &is_file);
        assert_eq!(kind("docs/a.html", "text/html"), "page");
        assert_eq!(kind("docs/a.txt", "text/plain"), "payload");
        assert_eq!(kind("docs/a/__next.x.txt", "text/plain"), "payload");
        assert_eq!(kind("robots.txt", "text/plain"), "other");
        assert_eq!(kind("a.svg", "image/svg+xml"), "picture");
    }

    #[test]
    fn a_page_names_what_a_browser_fetches_and_not_where_links_lead() {
        let text = "<script src=/v1/a.js></script><a href=/v1/b.html>b</a><img src=c.png srcset='/v1/d.png 2x'><img src=/v1/gone.png>\
                    <img src=https://example.com/e.png>";
        let is_file = |path: &str| path != "gone.png";
        let files = named("docs/a.html", text, &Resolver::new(None, "/v1"), &is_file);
        assert_eq!(files.into_iter().collect::<Vec<_>>(), ["a.js", "d.png", "docs/c.png"]);
    }
}

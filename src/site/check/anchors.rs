//! `anchors`: a link to a place in a page leads to a place that exists. Pure.
//!
//! Otherwise the browser shows the top of the page. Only a warning, because scripts can create places that are in no
//! file. A link of an error page to itself is not checked: error pages often reuse a layout with less in it, so that a
//! "skip to content" link leads nowhere, which does no harm there.

use super::finding::{Material, RawFinding, is_reached_by_links, shortened};
use super::repeats::Repeats;
use crate::next::url::Resolver;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut repeats = Repeats::new();
    for file in material.files() {
        for fragment in &file.facts.fragments {
            let (Some(page), Some(target)) = (
                material.assets.get(fragment.page),
                material.survey.facts.get(fragment.page),
            ) else {
                continue;
            };
            if page.path == file.asset.path && !is_reached_by_links(file.asset.path.as_str()) {
                continue;
            }
            // The anchors of a page that was not read are not known.
            let is_known = target.router.is_some() || !target.anchors.is_empty();
            if is_known && target.anchors.binary_search(&fragment.name).is_err() {
                repeats.add((&page.path, fragment.name.as_str()), &file.asset.path, fragment.line);
            }
        }
    }
    let resolver = Resolver::new(None, &material.survey.base_path);
    repeats.findings(|(page, name)| {
        let (address, name) = (resolver.page_address(page.as_str()), shortened(name));
        (
            format!("the link to {address}#{name} leads to the top: the page has no such place"),
            format!("correct the part after `#`, or give the heading in {page} that id"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    #[test]
    fn a_place_that_is_not_there_is_found() {
        let export = Export::new(&[
            (
                "index.html",
                "<a href='#nowhere'>\n<a href='/a#b'><a href='/a.html?x#c'>",
            ),
            ("a.html", "<h2 id='b'>"),
        ]);
        assert_eq!(
            export.finds(find),
            [
                "index.html:2: the link to /a#c leads to the top: the page has no such place",
                "index.html:1: the link to /#nowhere leads to the top: the page has no such place",
            ]
        );
    }

    #[test]
    fn places_that_are_there_and_other_fragments_are_left_in_peace() {
        let page = "<a href='#b'><a href='/a#gr%C3%B6%C3%9Fe'><a href='#'><a href='#top'><a href='#TOP'><a href='#:~:text=x'>\
                    <a href='#b:~:text=x'><a href='#/route'><a href='#!route'><a href='/x.pdf#page=2'>\
                    <a href='https://example.com/#x'><a href='/gone#x'><a name='b'></a>";
        let export = Export::new(&[("index.html", page), ("a.html", "<p id='größe'>"), ("x.pdf", "")]);
        assert_eq!(export.finds(find), [""; 0]);
    }

    #[test]
    fn a_link_of_an_error_page_to_itself_is_left_in_peace() {
        let export = Export::new(&[("404.html", "<a href='#main'><a href='/#x'>"), ("index.html", "<p>")]);
        assert_eq!(
            export.finds(find),
            ["404.html:1: the link to /#x leads to the top: the page has no such place"]
        );
    }

    #[test]
    fn page_that_cannot_be_read_is_not_judged() {
        let export = Export::new(&[("index.html", &b"<a href='/a#b'>"[..]), ("a.html", b"\xff<p id=b>")]);
        assert_eq!(export.finds(find), [""; 0]);
    }
}

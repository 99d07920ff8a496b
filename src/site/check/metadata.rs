//! `metadata`: each page has a title of its own. Pure.
//!
//! The title and the description are what a search engine shows of a page. Pages with the same title can't be told apart
//! there. Only pages that Next.js made and that are listed at all count. Titles may repeat in other languages and in other
//! versions of the same page. A site whose pages mostly have one description, or none, has decided so; only where most
//! have their own, the others were forgotten.

use std::collections::BTreeMap;

use super::finding::{File, Material, RawFinding, first_names, is_reached_by_links, shortened};
use super::repeats::Repeats;
use crate::model::path::SitePath;
use crate::next::page::Router;
use crate::site::survey::{Head, LeadsTo};

/// How many files a message names.
const NAMED: usize = 2;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let pages: Vec<(File<'_>, &Head)> = material.files().filter_map(listed).collect();
    let mut findings = titles(&pages);
    findings.extend(descriptions(&pages));
    findings
}

/// Returns the page, if search engines list it under its own address.
fn listed(file: File<'_>) -> Option<(File<'_>, &Head)> {
    let head = file.facts.head.as_deref()?;
    let is_elsewhere = head
        .canonical
        .as_ref()
        .is_some_and(|canonical| canonical.leads != LeadsTo::File(file.index));
    let is_listed = head.noindex.is_none()
        && !head.is_redirect
        && !is_elsewhere
        && matches!(file.facts.router, Some(Router::App | Router::Pages))
        && is_reached_by_links(file.asset.path.as_str());
    is_listed.then_some((file, head))
}

fn titles(pages: &[(File<'_>, &Head)]) -> Vec<RawFinding> {
    let mut missing = Repeats::new();
    let mut same: BTreeMap<(&str, &str), BTreeMap<String, &SitePath>> = BTreeMap::new();
    for (file, head) in pages {
        let path = &file.asset.path;
        if head.title.is_empty() {
            missing.add((), path, None);
        } else {
            let pages = same.entry((&head.language, &head.title)).or_default();
            pages.entry(without_version(path.as_str())).or_insert(path);
        }
    }
    let mut findings = missing.findings(|()| {
        (
            "this page has no title".to_owned(),
            "give it one: `title` in its `metadata`, or in that of the layout".to_owned(),
        )
    });
    for ((_, title), pages) in same.iter().filter(|(_, pages)| pages.len() > 1) {
        let paths: Vec<&SitePath> = pages.values().copied().collect();
        if let Some((first, others)) = paths.split_first() {
            let fault = format!("other pages have the title \"{}\", too", shortened(title));
            let message = format!("{fault}: {}", first_names(others, NAMED));
            let hint = "give each page a title of its own, so that they differ in search results and in tabs";
            findings.push(RawFinding::new((*first).clone(), message, hint).of_many(fault));
        }
    }
    findings
}

fn descriptions(pages: &[(File<'_>, &Head)]) -> Vec<RawFinding> {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, head) in pages {
        *uses.entry(&head.description).or_default() += 1;
    }
    let is_own = |head: &Head| !head.description.is_empty() && uses.get(head.description.as_str()) == Some(&1);
    let own = pages.iter().filter(|(_, head)| is_own(head)).count();
    if own * 2 <= pages.len() {
        return Vec::new();
    }
    let mut others = Repeats::new();
    for (file, head) in pages.iter().filter(|(_, head)| !is_own(head)) {
        others.add(head.description.as_str(), &file.asset.path, None);
    }
    others.findings(|description| {
        let message = if description.is_empty() {
            "this page has no description, and most others have one".to_owned()
        } else {
            let shown = shortened(description);
            format!("the description \"{shown}\" is also that of other pages, and most have one of their own")
        };
        (message, "give it one: `description` in its `metadata`".to_owned())
    })
}

/// Returns a path without the parts that say which version of a documentation it belongs to: `v2`, `1.4`, `latest`.
fn without_version(path: &str) -> String {
    let is_version = |part: &&str| {
        let number = part.strip_prefix('v').unwrap_or(part);
        let is_number = number.starts_with(|first: char| first.is_ascii_digit())
            && number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b".x".contains(&byte));
        is_number || ["canary", "current", "latest", "next", "stable"].contains(part)
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !is_version(part)).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    /// Finds what is wrong with pages that Next.js made, given their paths and markup.
    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let made = |markup: &str| format!("{markup}<script>self.__next_f.push([1,\"0:{{}}\\n\"])</script>");
        let pages: Vec<(&str, String)> = pages.iter().map(|(path, markup)| (*path, made(markup))).collect();
        Export::new(&pages).finds(find)
    }

    #[test]
    fn pages_without_a_title_and_with_the_same_title_are_found() {
        let drawing = "<svg><title>Logo</title></svg>";
        assert_eq!(
            found(&[
                ("a.html", "<title>Docs</title>"),
                ("b.html", drawing),
                ("c.html", "<title>\n Docs </title><svg><title>Logo</title></svg>"),
                ("d.html", "<svg/><title>Fees &amp; more</title>"),
                ("e.html", "<title>Docs</title>"),
                ("f.html", "<title>Docs</title>"),
            ]),
            [
                "b.html: this page has no title",
                "a.html: other pages have the title \"Docs\", too: c.html, e.html and 1 more",
            ]
        );
    }

    #[test]
    fn titles_that_may_repeat_are_left_in_peace() {
        let title = "<title>API</title>";
        let de = format!("<html lang=de>{title}");
        let hidden = format!("<meta name=robots content=noindex>{title}");
        let moved = format!("<meta http-equiv=refresh content='0;url=/a'>{title}");
        let copy = format!("<link rel=canonical href='https://docs.example.com/a'>{title}");
        assert_eq!(
            found(&[
                ("a.html", title),
                ("v1/a.html", title),
                ("2.4.x/a.html", title),
                ("latest/a.html", title),
                ("404.html", title),
                ("de/a.html", &de),
                ("search.html", &hidden),
                ("old.html", &moved),
                ("copy.html", &copy),
            ]),
            [""; 0]
        );
        let foreign = Export::new(&[("googleabc.html", "google-site-verification: googleabc.html")]);
        assert_eq!(foreign.finds(find), [""; 0]);
    }

    #[test]
    fn descriptions_are_missed_only_where_most_pages_have_their_own() {
        let page = |title: &str, description: &str| {
            format!("<title>{title}</title><meta name=description content='{description}'>")
        };
        let texts = [
            page("A", "about a"),
            page("B", "about b"),
            page("C", "about c"),
            page("D", ""),
        ];
        let paths = ["a.html", "b.html", "c.html", "d.html"];
        let pages: Vec<(&str, &str)> = paths.into_iter().zip(texts.iter().map(String::as_str)).collect();
        assert_eq!(
            found(&pages),
            ["d.html: this page has no description, and most others have one"]
        );
        let texts = [
            page("A", "about a"),
            page("B", "the docs"),
            page("C", "the docs"),
            page("D", "about d"),
        ];
        let pages: Vec<(&str, &str)> = paths.into_iter().zip(texts.iter().map(String::as_str)).collect();
        assert_eq!(found(&pages), [""; 0]);
    }
}

//! `canonical`: addresses for search engines name pages of this site. Pure.
//!
//! These are canonical links, `og:url`, sitemaps, and the sitemaps that `robots.txt` names. Search engines list a page
//! under its canonical address, so a wrong one takes the page out of their results. Those of a site without `url` in
//! the site manifest can't be judged. A canonical link to a page that is not there is a finding of `links`, and one to
//! the reader's own machine one of `local`.

use std::collections::BTreeMap;

use super::finding::{File, Material, RawFinding, is_reached_by_links, shortened};
use super::repeats::Repeats;
use crate::site::survey::{Crawl, LeadsTo, Named};

/// The limits of a sitemap, by <https://www.sitemaps.org/protocol.html>.
const MOST_ENTRIES: u64 = 50_000;
const MOST_BYTES: u64 = 50 << 20;

/// From this many pages on, a canonical link to the first page is not meant for each of them: `alternates` of the root
/// layout, which all pages inherit.
const INHERITED: usize = 3;

const FIRST_PAGE: &str = "index.html";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut findings = of_pages(material);
    findings.extend(inherited(material));
    for file in material.files() {
        if let Some(crawl) = &file.facts.crawl {
            findings.extend(of_crawl(material, file, crawl));
        }
    }
    findings
}

/// Finds pages whose addresses are on another host.
fn of_pages(material: Material<'_>) -> Vec<RawFinding> {
    let Some(own) = material.host else {
        return Vec::new();
    };
    let mut hosts = Repeats::new();
    let pages = material
        .files()
        .filter(|file| is_reached_by_links(file.asset.path.as_str()));
    for (file, head) in pages.filter_map(|file| Some((file, file.facts.head.as_ref()?))) {
        for (what, named) in [("the canonical link", &head.canonical), ("`og:url`", &head.shared_as)] {
            if let Some(Named {
                leads: LeadsTo::Host(host),
                line,
                ..
            }) = named
            {
                hosts.add((what, host.as_str()), &file.asset.path, *line);
            }
        }
    }
    hosts.findings(|(what, host)| {
        (
            format!("{what} leads to {host}, and the site is at {own}"),
            format!("correct `metadataBase`, or `url` in [site]: search engines list {host} instead of this page"),
        )
    })
}

/// Finds canonical links to the first page that pages inherited.
fn inherited(material: Material<'_>) -> Option<RawFinding> {
    let first = material.files().find(|file| file.asset.path.as_str() == FIRST_PAGE)?;
    let title = &first.facts.head.as_ref()?.title;
    let mut wrong = material.files().filter_map(|file| {
        let head = file.facts.head.as_ref()?;
        let canonical = head.canonical.as_ref()?;
        let is_wrong = canonical.leads == LeadsTo::File(first.index)
            && file.index != first.index
            && head.title != *title
            && head.noindex.is_none()
            && is_reached_by_links(file.asset.path.as_str());
        is_wrong.then_some((file.asset, canonical.line))
    });
    let (asset, line) = wrong.next()?;
    let others = wrong.count();
    if others + 1 < INHERITED {
        return None;
    }
    let fault = "the canonical link is that of the first page".to_owned();
    let message = format!("{fault}; the same in {others} other files");
    let hint = "give each page its own `alternates.canonical`, and take it out of the root layout: search engines leave \
                out a page whose canonical link leads to another";
    let finding = RawFinding::new(asset.path.clone(), message, hint).at(line);
    Some(finding.of_many(fault))
}

fn of_crawl(material: Material<'_>, file: File<'_>, crawl: &Crawl) -> Vec<RawFinding> {
    let path = &file.asset.path;
    if let Some((line, reason)) = &crawl.broken {
        let message = format!("this sitemap is not XML, so no search engine reads it: {reason}");
        let hint = "correct what writes it; in an address, `&` has to be `&amp;`";
        return vec![RawFinding::new(path.clone(), message, hint).at(*line)];
    }
    // Nothing reads a `robots.txt` below the top of a host.
    if !crawl.is_sitemap && !material.survey.base_path.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if crawl.entries > MOST_ENTRIES || file.asset.size > MOST_BYTES {
        let message = format!(
            "this sitemap has {} entries and {} MiB: search engines read one of up to {MOST_ENTRIES} and {} MiB",
            crawl.entries,
            file.asset.size >> 20,
            MOST_BYTES >> 20
        );
        findings.push(RawFinding::new(
            path.clone(),
            message,
            "split it: `generateSitemaps` of Next.js does",
        ));
    }
    // One finding for each way to be wrong: if one address is wrong, most are.
    let mut kinds: BTreeMap<(String, &str), (&Named, usize)> = BTreeMap::new();
    for named in &crawl.others {
        if let Some(kind) = fault(material, named) {
            kinds.entry(kind).or_insert((named, 0)).1 += 1;
        }
    }
    for ((fault, hint), (first, count)) in kinds {
        let more = match count - 1 {
            0 => String::new(),
            1 => ", and one more like it".to_owned(),
            more => format!(", and {more} more like it"),
        };
        let message = format!("{} {fault}{more}", shortened(&first.url));
        let finding = RawFinding::new(path.clone(), message, hint).at(first.line);
        findings.push(finding.of_many(format!("addresses in {path}: {fault}")));
    }
    findings
}

/// What is wrong with an address in a file for crawlers, and what to do.
fn fault(material: Material<'_>, named: &Named) -> Option<(String, &'static str)> {
    const CORRECT: &str = "correct the address that the file is made with, or `url` in [site]";
    Some(match &named.leads {
        LeadsTo::Local(_) => ("leads to the reader's own machine".to_owned(), CORRECT),
        LeadsTo::Host(host) => {
            let own = material.host?;
            (format!("leads to {host}, and the site is at {own}"), CORRECT)
        }
        LeadsTo::Missing => (
            "does not exist".to_owned(),
            "take it out, or correct its spelling: search engines report each address that is a 404",
        ),
        LeadsTo::Incomplete => (
            "is not a complete URL, which it has to be here".to_owned(),
            "write it with `https://` and the host",
        ),
        LeadsTo::File(_) | LeadsTo::Elsewhere => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    #[test]
    fn canonical_links_and_shared_addresses_on_another_host_are_found() {
        let page = "<head>\n<link rel=canonical href='https://old.example.com/a'>\n\
                    <meta property='og:url' content='https://preview.example.net/a'>";
        let export = Export::new(&[("a.html", page), ("404.html", page)]);
        assert_eq!(
            export.finds(find),
            [
                "a.html:3: `og:url` leads to preview.example.net, and the site is at docs.example.com",
                "a.html:2: the canonical link leads to old.example.com, and the site is at docs.example.com",
            ]
        );
        let mut unknown = export.material();
        unknown.host = None;
        assert_eq!(find(unknown), [], "without an address of the site");
    }

    #[test]
    fn addresses_of_the_site_are_left_in_peace() {
        let page = "<link rel=canonical href='https://docs.example.com/a'><link rel=canonical href='https://x.example'>\
                    <meta property=og:url content='/a'><link rel=alternate href='https://blog.example.com/feed'>";
        let sitemap = "<?xml version='1.0'?><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
                       <url><loc>\nhttps://docs.example.com/a\n</loc></url>\
                       <url><loc>http://docs.example.com/<!-- -->blog/b?x=1&amp;y=2</loc></url></urlset>";
        let robots = "Sitemap: https://docs.example.com/sitemap.xml\nDisallow: /nowhere";
        let feed = "<rss><channel><link>https://other.example.com</link></channel>";
        let export = Export::new(&[
            ("a.html", page),
            ("sitemap.xml", sitemap),
            ("robots.txt", robots),
            ("feed.xml", feed),
        ]);
        assert_eq!(export.finds(find), [""; 0]);
    }

    #[test]
    fn canonical_link_that_pages_inherited_from_the_first_is_found() {
        let page = |title: &str| format!("<title>{title}</title>\n<link rel=canonical href='/'>");
        let texts = ["First", "A", "B", "C", "First"].map(page);
        let paths = ["index.html", "a.html", "b.html", "c.html", "en.html"];
        let files: Vec<(&str, &String)> = paths.into_iter().zip(&texts).collect();
        assert_eq!(
            Export::new(&files).finds(find),
            ["a.html:2: the canonical link is that of the first page; the same in 2 other files"]
        );
        assert_eq!(Export::new(&files[..3]).finds(find), [""; 0], "two may be meant");
    }

    #[test]
    fn wrong_addresses_of_a_sitemap_are_found_once_for_each_way_to_be_wrong() {
        let entry = |url: &str| format!("<url><loc>{url}</loc></url>\n");
        let entries = [
            "https://docs.example.com/a",
            "https://docs.example.com/gone",
            "https://docs.example.com/gone/too",
            "http://localhost:3000/a",
            "https://www.example.com/a",
            "/a",
        ];
        let sitemap = format!("<urlset>\n{}</urlset>", entries.map(entry).concat());
        let robots = "User-agent: *\nSitemap: https://docs.example.com/sitemap-0.xml\n";
        let files = [
            ("a.html", ""),
            ("sitemap.xml", sitemap.as_str()),
            ("robots.txt", robots),
        ];
        assert_eq!(
            Export::new(&files).finds(find),
            [
                "robots.txt:2: https://docs.example.com/sitemap-0.xml does not exist",
                "sitemap.xml:3: https://docs.example.com/gone does not exist, and one more like it",
                "sitemap.xml:7: /a is not a complete URL, which it has to be here",
                "sitemap.xml:5: http://localhost:3000/a leads to the reader's own machine",
                "sitemap.xml:6: https://www.example.com/a leads to www.example.com, and the site is at docs.example.com",
            ]
        );
    }

    #[test]
    fn sitemap_that_search_engines_do_not_read_is_found() {
        let broken = "<urlset>\n<url><loc>https://docs.example.com/?a=1&b=2</loc></url></urlset>";
        let found = Export::new(&[("sitemap.xml", broken)]).finds(find);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("sitemap.xml:2: this sitemap is not XML, so no search engine reads it: "),
            "{found:?}"
        );
        let many = |count: usize| {
            let entries = "<url><loc>https://docs.example.com/a</loc></url>".repeat(count);
            let sitemap = format!("<urlset>{entries}</urlset>");
            Export::new(&[("a.html", ""), ("sitemap.xml", sitemap.as_str())]).finds(find)
        };
        assert_eq!(many(50_000), [""; 0]);
        assert_eq!(
            many(50_001),
            [
                "sitemap.xml: this sitemap has 50001 entries and 2 MiB: search engines read one of up to 50000 and 50 MiB"
            ]
        );
    }

    #[test]
    fn robots_below_a_base_path_is_read_by_nothing() {
        let page = "<script src='/docs/_next/static/a.js'></script>";
        let export = Export::new(&[
            ("index.html", page),
            ("_next/static/a.js", "1"),
            ("robots.txt", "Sitemap: https://docs.example.com/docs/gone.xml"),
        ]);
        assert_eq!(export.survey.base_path, "/docs");
        assert_eq!(export.finds(find), [""; 0]);
    }
}

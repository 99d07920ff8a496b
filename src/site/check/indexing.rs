//! `indexing`: the site does not keep search engines out. Pure.
//!
//! A build for a test site has `Disallow: /` or `noindex`, and must not end up on the real one. Single pages with
//! `noindex` are meant, unless a sitemap lists them too. For a target that search engines are to leave out, the caller
//! turns this check off.

use super::finding::{File, Material, Problem, RawFinding, first_names, is_reached_by_links};
use crate::config::Level;
use crate::model::path::SitePath;
use crate::rules::{CustomHeaders, Rules, file_address};

/// The check's name in the site manifest.
pub const NAME: &str = "indexing";

/// The header by which a page asks search engines for something.
const ROBOTS: &str = "X-Robots-Tag";

const HINT: &str = "build without it for the site that is to be found; one that is not is better kept out by `noindex` in \
                    its target";

/// How many files a message names.
const NAMED: usize = 2;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut findings = Vec::new();
    // Nothing reads a `robots.txt` below the top of a host.
    if material.survey.base_path.is_empty() {
        let closed = material.files().filter_map(|file| {
            let line = file.facts.crawl.as_ref()?.closed?;
            let message = "no search engine may read any page of this site";
            Some(RawFinding::new(file.asset.path.clone(), message, HINT).at(line))
        });
        findings.extend(closed);
    }
    findings.extend(hidden(material));
    findings.extend(listed(material));
    findings
}

/// The pages that visitors may look for.
fn pages(material: Material<'_>) -> impl Iterator<Item = (File<'_>, Option<u32>)> {
    let pages = material.files().filter_map(|file| {
        let head = file.facts.head.as_ref()?;
        (!head.is_redirect).then_some((file, head.noindex))
    });
    pages.filter(|(file, _)| is_reached_by_links(file.asset.path.as_str()))
}

/// Finds out whether all pages, or the first page, ask not to be listed.
fn hidden(material: Material<'_>) -> Option<RawFinding> {
    let all = pages(material).count();
    let hidden: Vec<(&str, Option<u32>)> = pages(material)
        .filter(|(_, line)| line.is_some())
        .map(|(file, line)| (file.asset.path.as_str(), line))
        .collect();
    of_hidden(&hidden, all, "this page asks search engines to leave it out")
}

/// Finds out whether the site's own headers keep all pages, or the first page, out of search engines. `paths` must be sorted.
#[must_use]
pub fn by_headers(rules: &Rules, paths: &[&str], level: Level) -> Option<Problem> {
    if level == Level::Off || rules.headers.rules().is_empty() {
        return None;
    }
    let is_file = |path: &str| paths.binary_search(&path).is_ok();
    let pages = paths
        .iter()
        .filter(|path| path.ends_with(".html") && is_reached_by_links(path));
    let pages: Vec<&str> = pages.copied().collect();
    let is_hidden = |path: &&&str| {
        let address = file_address::preferred(rules, path, &is_file);
        address.is_some_and(|address| asks_to_leave_out(&rules.headers, &address))
    };
    let hidden: Vec<(&str, Option<u32>)> = pages.iter().filter(is_hidden).map(|path| (*path, None)).collect();
    let fault = "a header of the site's own asks search engines to leave this page out";
    of_hidden(&hidden, pages.len(), fault)?.problem(NAME, level)
}

/// Whether the site's own headers ask all search engines to leave an address out.
fn asks_to_leave_out(headers: &CustomHeaders, address: &str) -> bool {
    let changed = headers.at(address.as_bytes());
    let robots = changed.iter().filter(|header| header.name.eq_ignore_ascii_case(ROBOTS));
    let mut wishes = robots
        .flat_map(|header| &header.values)
        .flat_map(|value| value.split(','));
    // A wish with a name in front, `googlebot: noindex`, is for that one alone.
    wishes.any(|wish| {
        ["noindex", "none"]
            .iter()
            .any(|word| wish.trim().eq_ignore_ascii_case(word))
    })
}

/// The finding about pages that ask not to be listed, of `all` that there are.
fn of_hidden(hidden: &[(&str, Option<u32>)], all: usize, fault: &str) -> Option<RawFinding> {
    let front = hidden.iter().find(|(path, _)| *path == "index.html");
    let (path, line) = *front.or_else(|| hidden.first().filter(|_| hidden.len() == all && all > 1))?;
    let message = match hidden.len() {
        1 => fault.to_owned(),
        count if count == all => format!("{fault}, as do all pages of the site"),
        2 => format!("{fault}, as does one other page"),
        count => format!("{fault}, as do {} other pages", count - 1),
    };
    Some(RawFinding::new(path, message, HINT).at(line).of_many(fault))
}

/// Finds pages that a sitemap lists and that ask not to be listed.
fn listed(material: Material<'_>) -> Vec<RawFinding> {
    let found = material.files().filter_map(|file| {
        let crawl = file.facts.crawl.as_ref().filter(|crawl| crawl.is_sitemap)?;
        let asks = |index: &&usize| {
            let facts = material.survey.facts.get(**index);
            facts.and_then(|facts| facts.head.as_ref()?.noindex).is_some()
        };
        let pages = crawl.files.iter().filter(asks);
        let pages: Vec<&SitePath> = pages
            .filter_map(|index| Some(&material.assets.get(*index)?.path))
            .collect();
        if pages.is_empty() {
            return None;
        }
        let fault = "this sitemap lists pages that ask search engines to leave them out".to_owned();
        let message = format!("{fault}: {}", first_names(&pages, NAMED));
        let hint = "take them out of the sitemap, or `noindex` out of the pages";
        Some(RawFinding::new(file.asset.path.clone(), message, hint).of_many(fault))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::next::client::Client;
    use crate::rules::custom_headers::parse;
    use crate::site::check::tests::Export;

    #[test]
    fn headers_that_hide_the_first_page_or_all_of_them_are_found() {
        let found = |paths: &[&str], text: &str| {
            let config = config::parse("").unwrap().config;
            let rules = crate::site::pipeline::rules(&config, Client::default(), paths.iter().copied());
            let rules = Rules {
                headers: CustomHeaders::new(parse("_headers", text).0),
                ..rules
            };
            by_headers(&rules, paths, Level::Warn).map(|problem| (problem.path, problem.message))
        };
        let site = ["404.html", "a.html", "index.html"];
        let fault = "a header of the site's own asks search engines to leave this page out";
        let all = "/*\n  X-Robots-Tag: noindex, nofollow\n";
        let told = |path: &str, message: String| Some((path.to_owned(), message));
        assert_eq!(
            found(&site, all),
            told("index.html", format!("{fault}, as do all pages of the site"))
        );
        assert_eq!(
            found(&site, "/\n  x-robots-tag: None\n"),
            told("index.html", fault.to_owned())
        );
        let below = ["a.html", "b.html"];
        assert_eq!(
            found(&below, all),
            told("a.html", format!("{fault}, as do all pages of the site"))
        );
        // Single pages are meant, and one search engine is not all of them.
        assert_eq!(found(&site, "/a\n  X-Robots-Tag: noindex\n"), None);
        assert_eq!(found(&site, "/*\n  X-Robots-Tag: googlebot: noindex\n"), None);
        assert_eq!(
            found(&site, "/*\n  X-Robots-Tag: noindex\n/*\n  ! X-Robots-Tag\n"),
            None
        );
        assert_eq!(found(&site, ""), None);
    }

    const HIDDEN: &str = "<head>\n<meta name=robots content='NoIndex, nofollow'>";

    fn robots(text: &str) -> Vec<String> {
        Export::new(&[("robots.txt", text)]).finds(find)
    }

    #[test]
    fn a_site_that_is_closed_to_search_engines_is_found() {
        let found = ["robots.txt:3: no search engine may read any page of this site"];
        assert_eq!(robots("# all\nUser-agent: *\nDisallow: / # not yet\n"), found);
        assert_eq!(robots("user-agent: a\r\nUSER-AGENT: *\r\nDisallow:/\r\n"), found);
        assert_eq!(
            robots("User-agent: *\nSitemap: https://docs.example.com/\nDisallow: /*"),
            found
        );
    }

    #[test]
    fn robots_that_forbids_some_is_left_in_peace() {
        for text in [
            "",
            "User-agent: *\nDisallow:",
            "User-agent: *\nDisallow: /private/\nAllow: /",
            "User-agent: *\nDisallow: /\nAllow: /docs/",
            "User-agent: GPTBot\nDisallow: /",
            "User-agent: *\nDisallow: /x\nUser-agent: GPTBot\nDisallow: /",
            "Disallow: /",
        ] {
            assert_eq!(robots(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn pages_that_all_ask_not_to_be_listed_are_found_once() {
        let message = "this page asks search engines to leave it out";
        let all = Export::new(&[("a.html", HIDDEN), ("index.html", HIDDEN), ("z.html", HIDDEN)]);
        assert_eq!(
            all.finds(find),
            [format!("index.html:2: {message}, as do all pages of the site")]
        );
        let none = Export::new(&[("de/a.html", HIDDEN), ("de/b.html", HIDDEN)]);
        assert_eq!(
            none.finds(find),
            [format!("de/a.html:2: {message}, as do all pages of the site")]
        );
        let first = Export::new(&[("a.html", ""), ("b.html", HIDDEN), ("index.html", HIDDEN)]);
        assert_eq!(
            first.finds(find),
            [format!("index.html:2: {message}, as does one other page")]
        );
    }

    #[test]
    fn single_pages_and_error_pages_may_ask_not_to_be_listed() {
        let redirect = format!("{HIDDEN}<meta http-equiv=refresh content='1;url=/a'>");
        let export = Export::new(&[
            ("404.html", HIDDEN),
            ("_not-found.html", HIDDEN),
            (
                "index.html",
                "<meta name=robots content='index, follow, max-snippet:-1'>",
            ),
            ("search.html", HIDDEN),
            ("old.html", &redirect),
        ]);
        assert_eq!(export.finds(find), [""; 0]);
    }

    #[test]
    fn sitemap_with_pages_that_ask_not_to_be_listed_is_found() {
        let sitemap = "<urlset><url><loc>https://docs.example.com/a</loc></url>\
                       <url><loc>https://docs.example.com/</loc></url></urlset>";
        let export = Export::new(&[("a.html", HIDDEN), ("index.html", ""), ("sitemap.xml", sitemap)]);
        assert_eq!(
            export.finds(find),
            ["sitemap.xml: this sitemap lists pages that ask search engines to leave them out: a.html"]
        );
    }
}

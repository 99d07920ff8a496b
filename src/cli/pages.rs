//! Groups changes the way people see them: pages by their URL, together with all files that belong to them, and
//! everything else.
//!
//! Takes data and returns text. A Next.js page is an HTML file and up to a dozen payload files. If one page was edited,
//! the output has to show one page.

use std::collections::BTreeMap;

use syntax_publish::model::cache::pooled;
use syntax_publish::model::manifest::{Change, ChangeKind, Changes, is_page};
use syntax_publish::model::path::SitePath;
use syntax_publish::next::page::owners;
use syntax_publish::rules::{PageForm, Rules};

use super::format::count;

/// Changes, grouped by what they mean to people.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Grouped {
    /// Pages, by URL.
    pub pages: Vec<Item>,
    /// Files that people add to the site: pictures, documents, feeds.
    pub files: Vec<Item>,
    /// Redirects of moved pages, by URL.
    pub redirects: Vec<Item>,
    /// Number of build files that were added, changed and removed: scripts, style sheets, the search index.
    pub assets: [u64; 3],
}

/// A page or a file, and how it changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub change: ChangeKind,
    pub url: String,
    /// The title of a page, if it is known.
    pub title: Option<String>,
}

/// The kinds of changes, in the order in which they are counted.
pub const KINDS: [ChangeKind; 3] = [ChangeKind::Added, ChangeKind::Changed, ChangeKind::Removed];

/// The word for a kind of change.
pub fn mark(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

/// Returns the URL of a file, without scheme and host. The URL of a page has no `.html`.
pub fn url(rules: &Rules, path: &str) -> String {
    let base = &rules.base_path;
    let Some(stem) = path.strip_suffix(".html") else {
        return format!("{base}/{path}");
    };
    let folder = match stem {
        "index" => Some(""),
        stem => stem.strip_suffix("/index"),
    };
    match (folder, rules.form) {
        (Some(""), PageForm::Flat) if !base.is_empty() => base.clone(),
        (Some(""), _) => format!("{base}/"),
        (Some(folder), _) => format!("{base}/{folder}/"),
        (None, _) => format!("{base}/{stem}"),
    }
}

impl Grouped {
    /// Adds the titles of pages, which are by path.
    pub fn with_titles(mut self, titles: &BTreeMap<SitePath, String>, rules: &Rules) -> Self {
        let by_url: BTreeMap<String, &String> = titles
            .iter()
            .map(|(path, title)| (url(rules, path.as_str()), title))
            .collect();
        for page in &mut self.pages {
            page.title = by_url.get(&page.url).map(|title| (*title).clone());
        }
        self
    }
}

/// Groups changes. `is_file` tells whether the site has a file, now or before.
pub fn grouped(changes: &Changes, rules: &Rules, is_file: &dyn Fn(&str) -> bool) -> Grouped {
    let mut pages: BTreeMap<String, ChangeKind> = BTreeMap::new();
    let mut grouped = Grouped::default();
    let listed: BTreeMap<&str, ChangeKind> = changes
        .list
        .iter()
        .map(|change| (change.path.as_str(), change.change))
        .collect();
    for Change { path, change, .. } in &changes.list {
        let text = path.as_str();
        if is_page(path) {
            pages.insert(text.to_owned(), *change);
        } else if let Some(page) = page_of(text, &|page| listed.contains_key(page) || is_file(page)) {
            // A page also counts as changed if only its payload changed. The change of the page's own file takes
            // precedence.
            pages
                .entry(page.clone())
                .or_insert_with(|| listed.get(page.as_str()).copied().unwrap_or(ChangeKind::Changed));
        } else if is_asset(path, rules) {
            grouped.assets[*change as usize] += 1;
        } else {
            grouped.files.push(Item {
                change: *change,
                url: url(rules, text),
                title: None,
            });
        }
    }
    let moved = changes.redirects.iter();
    grouped.redirects = moved
        .map(|moved| Item {
            change: moved.change,
            url: format!("{}{}", rules.base_path, moved.address),
            title: None,
        })
        .collect();
    grouped.pages = pages
        .into_iter()
        .map(|(path, change)| Item {
            change,
            url: url(rules, &path),
            title: None,
        })
        .collect();
    grouped
}

/// Returns the page that a payload or data file belongs to.
fn page_of(path: &str, is_there: &dyn Fn(&str) -> bool) -> Option<String> {
    let owners = owners(path);
    let there = owners.iter().find(|page| is_there(page));
    // Only Next.js gives segments such names, so the file belongs to a page even if that page is unknown.
    let is_segment = path.rsplit('/').next().is_some_and(|name| name.starts_with("__next."));
    there.or_else(|| owners.first().filter(|_| is_segment)).cloned()
}

fn is_asset(path: &SitePath, rules: &Rules) -> bool {
    let text = path.as_str();
    pooled(text, rules.classes.classify(text))
        || ["_next/", "pagefind/", "_pagefind/"]
            .iter()
            .any(|folder| text.starts_with(folder))
}

impl Grouped {
    /// Returns the totals, such as "1 page changed, 2 other files added", or `None` if nothing changed.
    pub fn totals(&self) -> Option<String> {
        let of = |items: &[Item]| KINDS.map(|kind| items.iter().filter(|item| item.change == kind).count() as u64);
        let groups = [
            ("page", of(&self.pages)),
            ("other file", of(&self.files)),
            ("redirect", of(&self.redirects)),
            ("build asset", self.assets),
        ];
        let parts: Vec<String> = groups
            .iter()
            .flat_map(|(thing, numbers)| {
                let counted = KINDS.into_iter().zip(numbers).filter(|(_, number)| **number > 0);
                counted.map(move |(kind, number)| format!("{} {}", count(*number, thing), mark(kind)))
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Returns pages, files and redirects in the order in which they are listed.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.pages.iter().chain(&self.files).chain(&self.redirects)
    }
}

#[cfg(test)]
mod tests {
    use syntax_publish::config;
    use syntax_publish::next::client::Client;
    use syntax_publish::site::pipeline;

    use super::*;

    fn rules(paths: &[&str], base: &str) -> Rules {
        let config = config::parse("").unwrap().config;
        let rules = pipeline::rules(&config, Client::default(), paths.iter().copied());
        Rules {
            base_path: base.to_owned(),
            ..rules
        }
    }

    fn changes(list: &[(&str, ChangeKind)]) -> Changes {
        let list = list.iter().map(|(path, change)| Change {
            path: SitePath::new(path).unwrap(),
            change: *change,
            bytes: 1,
            brought: Vec::new(),
        });
        Changes {
            list: list.collect(),
            redirects: Vec::new(),
        }
    }

    #[test]
    fn a_page_with_its_payloads_is_one_change() {
        use ChangeKind::{Added, Changed, Removed};
        let list = changes(&[
            ("_next/static/chunks/a.js", Added),
            ("docs/guides.html", Changed),
            ("docs/guides.txt", Changed),
            ("docs/guides/__next._tree.txt", Changed),
            ("docs/guides/__next.docs.guides.txt", Added),
            ("new.html", Added),
            ("new.txt", Added),
            ("old.html", Removed),
            ("old/__next._head.txt", Removed),
            ("only-payload.txt", Changed),
            ("robots.txt", Changed),
        ]);
        let there = |path: &str| path == "only-payload.html";
        let grouped = grouped(&list, &rules(&["a.html"], ""), &there);
        let listed: Vec<(ChangeKind, &str)> = grouped.items().map(|item| (item.change, item.url.as_str())).collect();
        assert_eq!(
            listed,
            [
                (Changed, "/docs/guides"),
                (Added, "/new"),
                (Removed, "/old"),
                (Changed, "/only-payload"),
                (Changed, "/robots.txt"),
            ]
        );
        assert_eq!(
            grouped.totals().as_deref(),
            Some("1 page added, 2 pages changed, 1 page removed, 1 other file changed, 1 build asset added")
        );
        assert_eq!(Grouped::default().totals(), None);
    }

    #[test]
    fn urls_are_those_that_visitors_use() {
        let flat = rules(&["a.html"], "");
        for (path, expected) in [
            ("index.html", "/"),
            ("docs/guides.html", "/docs/guides"),
            ("docs/index.html", "/docs/"),
            ("größe.html", "/größe"),
            ("a/b.png", "/a/b.png"),
        ] {
            assert_eq!(url(&flat, path), expected);
        }
        let below = rules(&["a.html"], "/handbook");
        assert_eq!(url(&below, "index.html"), "/handbook");
        assert_eq!(url(&below, "a.html"), "/handbook/a");
        let folders = rules(&["a/index.html"], "/handbook");
        assert_eq!(url(&folders, "index.html"), "/handbook/");
        assert_eq!(url(&folders, "a/index.html"), "/handbook/a/");
    }
}

//! Decides how a change of the site affects the pages that are open in browsers. Pure.
//!
//! A browser reports what it loaded: the file of the document, the current address, and every file that the page
//! requested. So this module does not have to guess what scripts fetch, and a picture that was never loaded affects no
//! page. A page is compared with the site that its document came from, however many sites have been served since.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::normalized_page::{self, NormalizedPage};
use super::sizes::page_of;
use crate::model::digest::Digest;
use crate::model::manifest::{self, Site};
use crate::model::path::SitePath;
use crate::rules::{Address, Outcome, Rules};

/// The old and the new digest of a path; `None` if there is no such file.
pub type PageChange = (Option<Digest>, Option<Digest>);

/// The changes between two sites, by path.
pub type Changes = BTreeMap<String, PageChange>;

/// A short description of a change, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gist {
    /// How many files were added, changed or removed.
    pub files: usize,
    /// One of the changed files: a page, if there is one.
    pub first: Option<String>,
}

impl Gist {
    fn of(changes: &Changes) -> Self {
        let mut paths = changes.keys();
        let page = paths.clone().find(|path| path.ends_with(".html"));
        Self {
            files: changes.len(),
            first: page.or_else(|| paths.next()).cloned(),
        }
    }
}

/// Maximum number of changed paths in the history.
const REMEMBERED: usize = 200_000;

/// The changes from one site to the next, as far back as they are kept.
#[derive(Debug, Default)]
pub struct History {
    steps: VecDeque<(Digest, Changes)>,
    last: Option<Digest>,
}

impl History {
    /// Records that a site replaced another, and returns a summary of the change.
    pub fn step(&mut self, before: Option<&Site>, after: &Site) -> Gist {
        self.last = Some(after.root);
        let Some(before) = before.filter(|before| before.root != after.root) else {
            return Gist::default();
        };
        let changes = changes(before, after);
        let gist = Gist::of(&changes);
        self.steps.push_back((before.root, changes));
        let mut kept: usize = self.steps.iter().map(|(_, changes)| changes.len()).sum();
        while kept > REMEMBERED && self.steps.len() > 1 {
            kept -= self.steps.pop_front().map_or(0, |(_, changes)| changes.len());
        }
        gist
    }

    /// Returns what changed since a site was last served, or `None` if the history does not go back that far.
    #[must_use]
    pub fn since(&self, root: Digest) -> Option<Changes> {
        if self.last == Some(root) {
            return Some(Changes::new());
        }
        let from = self.steps.iter().rposition(|(before, _)| *before == root)?;
        let mut whole = Changes::new();
        for (_, changes) in self.steps.range(from..) {
            for (path, (old, new)) in changes {
                whole.entry(path.clone()).or_insert((*old, *new)).1 = *new;
            }
        }
        whole.retain(|_, (old, new)| old != new);
        Some(whole)
    }
}

/// Returns the differences between two sites. Descends only into trees that differ.
fn changes(before: &Site, after: &Site) -> Changes {
    let known = |digest| before.tree(digest).or_else(|| after.tree(digest));
    // All trees of both sites are available, so nothing has to be fetched.
    let listed = manifest::diff(Some(before.root), Some(after.root), &known).unwrap_or_default();
    let digest = |site: &Site, path: &SitePath| site.file(path).map(|file| file.digest);
    let changed = listed.list.into_iter().map(|change| {
        let both = (digest(before, &change.path), digest(after, &change.path));
        (change.path.to_string(), both)
    });
    changed.collect()
}

/// A page that is open in a browser.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct OpenPage {
    /// The site that its document came from.
    pub site: String,
    /// The file of the document.
    pub file: String,
    /// The path and query at which the page was loaded, and those that it shows now.
    pub loaded: String,
    /// See `loaded`.
    pub address: String,
    /// The addresses that the page requested.
    pub used: Vec<String>,
}

/// What an open page has to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum PageAction {
    /// Nothing that the page shows has changed.
    Nothing,
    /// The page has to swap style sheets.
    Restyle {
        /// Pairs of a URL in the page and its replacement.
        styles: Vec<(String, String)>,
    },
    /// The page has to be loaded again.
    Reload,
}

/// The input of a verdict.
pub struct Evidence<'a> {
    /// The rules that the preview serves by.
    pub rules: &'a Rules,
    /// Whether the site has a file.
    pub is_file: &'a dyn Fn(&str) -> bool,
    /// What changed since the site that the document came from.
    pub changes: &'a Changes,
    /// Normalized file versions, by digest.
    pub blinds: &'a HashMap<Digest, Option<NormalizedPage>>,
}

/// Returns the changed files of the page, with their new digests. They have to be normalized before [`action_for`] can
/// decide.
pub fn questions(open: &OpenPage, evidence: &Evidence<'_>) -> Vec<(String, Digest)> {
    let own = own_files(open, evidence).unwrap_or_default();
    let news = own.into_iter().filter_map(|path| {
        let (_, new) = evidence.changes.get(&path)?;
        Some((path, (*new)?))
    });
    news.collect()
}

/// Decides what an open page has to do about the changes.
#[must_use]
pub fn action_for(open: &OpenPage, evidence: &Evidence<'_>) -> PageAction {
    let Some(own) = own_files(open, evidence) else {
        return PageAction::Reload;
    };
    let mut styles: Vec<(String, String)> = Vec::new();
    for path in &own {
        let Some((old, new)) = evidence.changes.get(path) else {
            continue;
        };
        let seen = |digest: &Option<Digest>| evidence.blinds.get(&(*digest)?)?.as_ref();
        let pairs = seen(old)
            .zip(seen(new))
            .and_then(|(old, new)| normalized_page::restyled(old, new));
        let Some(pairs) = pairs else {
            return PageAction::Reload;
        };
        for pair in pairs {
            if !styles.contains(&pair) {
                styles.push(pair);
            }
        }
    }
    for (address, path) in used(open, evidence) {
        // The page's own files were compared above, and files that were fetched for other pages are not on screen.
        let is_of_a_page = path.ends_with(".html") || page_of(&path, evidence.is_file).is_some();
        let Some((Some(_), Some(new))) = evidence.changes.get(&path).filter(|_| !is_of_a_page) else {
            continue;
        };
        if !path.ends_with(".css") {
            return PageAction::Reload;
        }
        styles.push((address.clone(), format!("{address}?v={}", new.short(12))));
    }
    if styles.is_empty() {
        PageAction::Nothing
    } else {
        PageAction::Restyle { styles }
    }
}

/// Returns the files of the page on screen: the file of its document or, after a client-side navigation, the payloads
/// that were fetched for it. `None` if the address leads to something else now.
fn own_files(open: &OpenPage, evidence: &Evidence<'_>) -> Option<BTreeSet<String>> {
    let page = file_at(&open.address, evidence);
    if open.address == open.loaded {
        let own = page.filter(|path| *path == open.file)?;
        return Some(BTreeSet::from([own]));
    }
    let Some(page) = page else {
        return Some(BTreeSet::new());
    };
    let payloads: BTreeSet<String> = used(open, evidence)
        .map(|(_, path)| path)
        .filter(|path| page_of(path, evidence.is_file).as_deref() == Some(&page))
        .collect();
    Some(if payloads.is_empty() {
        BTreeSet::from([page])
    } else {
        payloads
    })
}

/// Returns what a page requested, as pairs of the address without its query and the file. A file counts if it exists
/// now or did before the change.
fn used<'a>(open: &'a OpenPage, evidence: &'a Evidence<'_>) -> impl Iterator<Item = (String, String)> + 'a {
    let was_or_is = |path: &str| (evidence.is_file)(path) || evidence.changes.contains_key(path);
    open.used.iter().filter_map(move |address| {
        let bare = address.split(['?', '#']).next().unwrap_or_default();
        match evidence
            .rules
            .resolve(&Address::parse(bare.as_bytes()).ok()?, &was_or_is)
        {
            Outcome::File { path, .. } => Some((bare.to_owned(), path)),
            _ => None,
        }
    })
}

/// Returns the file at the address of a page. `None` if the address leads elsewhere.
fn file_at(address: &str, evidence: &Evidence<'_>) -> Option<String> {
    let address = Address::parse(address.as_bytes()).ok()?;
    match evidence.rules.resolve(&address, evidence.is_file) {
        Outcome::File { path, .. } => Some(path),
        Outcome::NotFound => Some(evidence.rules.not_found_page(&address, evidence.is_file)),
        Outcome::Moved(_) | Outcome::Language | Outcome::Entry(_) | Outcome::Pattern(_) | Outcome::Marker => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cache::Classes;
    use crate::model::encoding::Encodings;
    use crate::model::manifest::Input;
    use crate::next::client::Client;

    /// A site made of paths and texts.
    struct World {
        files: BTreeMap<String, String>,
        site: Site,
    }

    fn world(files: &[(&str, &str)]) -> World {
        let inputs = files.iter().map(|(path, text)| Input {
            path: SitePath::new(path).unwrap(),
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            media_type: crate::model::media::media_type(path).into(),
            encodings: Encodings::default(),
        });
        World {
            site: Site::new(inputs, &Classes::new("_assets")),
            files: files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        }
    }

    fn judged(before: &World, after: &World, open: &OpenPage) -> PageAction {
        let mut history = History::default();
        history.step(None, &before.site);
        history.step(Some(&before.site), &after.site);
        let all = || before.files.iter().chain(&after.files);
        let blinds = all()
            .map(|(path, text)| (Digest::of(text.as_bytes()), normalized_page::normalize(path, text)))
            .collect();
        let config = crate::config::parse("").unwrap().config;
        let rules = crate::site::pipeline::rules(&config, Client::default(), after.files.keys().map(String::as_str));
        action_for(
            open,
            &Evidence {
                rules: &rules,
                is_file: &|path| after.files.contains_key(path),
                changes: &history.since(open.site.parse().unwrap()).unwrap(),
                blinds: &blinds,
            },
        )
    }

    fn open(world: &World, file: &str, address: &str, used: &[&str]) -> OpenPage {
        OpenPage {
            site: world.site.root.to_string(),
            file: file.to_owned(),
            loaded: address.to_owned(),
            address: address.to_owned(),
            used: used.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    const BEFORE: &[(&str, &str)] = &[
        ("404.html", "<p>none"),
        ("a.html", "<link rel=stylesheet href=/_assets/s.1.css><p>a"),
        ("a.txt", "0:\"a\"\n"),
        ("b.html", "<p>b"),
        ("b.txt", "0:\"b\"\n"),
        ("_assets/s.1.css", "p{}"),
        ("plain.css", "p{}"),
        ("app.js", "1"),
        ("logo.png", "1"),
        ("index.html", "<p>front"),
    ];

    fn with(changed: &[(&str, Option<&str>)]) -> World {
        let mut files: BTreeMap<&str, &str> = BEFORE.iter().copied().collect();
        for (path, text) in changed {
            match text {
                Some(text) => drop(files.insert(path, text)),
                None => drop(files.remove(path)),
            }
        }
        world(&files.into_iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_page_reloads_when_it_or_what_it_shows_changed_and_not_when_another_did() {
        let before = world(BEFORE);
        let a = open(
            &before,
            "a.html",
            "/a",
            &["/_assets/s.1.css", "/app.js?x=1", "/logo.png", "/b.txt?_rsc=1"],
        );
        for (changed, wanted) in [
            (("a.html", Some("<p>other")), PageAction::Reload),
            (("a.html", None), PageAction::Reload),
            (("app.js", Some("2")), PageAction::Reload),
            (("logo.png", Some("2")), PageAction::Reload),
            (("b.html", Some("<p>other")), PageAction::Nothing),
            (("b.txt", Some("0:\"other\"\n")), PageAction::Nothing),
            (("plain.css", Some("q{}")), PageAction::Nothing),
            (("logo.png", None), PageAction::Nothing),
            (("new.html", Some("new")), PageAction::Nothing),
            (("index.html", Some("<p>other")), PageAction::Nothing),
        ] {
            assert_eq!(judged(&before, &with(&[changed]), &a), wanted, "{changed:?}");
        }
    }

    #[test]
    fn a_style_sheet_is_swapped_under_its_own_name_and_under_another() {
        let before = world(BEFORE);
        let a = open(&before, "a.html", "/a", &["/_assets/s.1.css", "/plain.css"]);
        let renamed = with(&[
            ("a.html", Some("<link rel=stylesheet href=/_assets/s.2.css><p>a")),
            ("_assets/s.1.css", None),
            ("_assets/s.2.css", Some("q{}")),
        ]);
        let swap = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            judged(&before, &renamed, &a),
            PageAction::Restyle {
                styles: vec![swap("/_assets/s.1.css", "/_assets/s.2.css")]
            }
        );
        let same = format!("/plain.css?v={}", Digest::of(b"q{}").short(12));
        assert_eq!(
            judged(&before, &with(&[("plain.css", Some("q{}"))]), &a),
            PageAction::Restyle {
                styles: vec![swap("/plain.css", &same)]
            }
        );
        let and_more = with(&[
            ("a.html", Some("<link rel=stylesheet href=/_assets/s.2.css><p>more")),
            ("_assets/s.2.css", Some("q{}")),
        ]);
        assert_eq!(judged(&before, &and_more, &a), PageAction::Reload);
    }

    #[test]
    fn after_a_click_the_payload_that_came_counts_and_the_document_does_not() {
        let before = world(BEFORE);
        let mut soft = open(&before, "a.html", "/a", &["/b.txt?_rsc=1"]);
        soft.address = "/b".to_owned();
        assert_eq!(
            judged(&before, &with(&[("b.txt", Some("0:\"other\"\n"))]), &soft),
            PageAction::Reload
        );
        assert_eq!(
            judged(&before, &with(&[("a.html", Some("<p>other"))]), &soft),
            PageAction::Nothing
        );
        soft.used.clear();
        assert_eq!(
            judged(&before, &with(&[("b.html", Some("<p>other"))]), &soft),
            PageAction::Reload
        );
    }

    #[test]
    fn an_address_that_leads_elsewhere_now_is_loaded_again() {
        let before = world(BEFORE);
        let missing = open(&before, "404.html", "/new", &[]);
        assert_eq!(
            judged(&before, &with(&[("b.html", Some("x"))]), &missing),
            PageAction::Nothing
        );
        assert_eq!(
            judged(&before, &with(&[("new.html", Some("x"))]), &missing),
            PageAction::Reload
        );
        assert_eq!(
            judged(&before, &with(&[("404.html", Some("x"))]), &missing),
            PageAction::Reload
        );
    }

    #[test]
    fn changes_add_up_and_what_came_back_did_not_change() {
        let (one, two) = (world(BEFORE), with(&[("a.html", Some("2")), ("b.html", Some("2"))]));
        let three = with(&[("b.html", Some("3")), ("c.html", Some("3"))]);
        let mut history = History::default();
        history.step(None, &one.site);
        history.step(Some(&one.site), &two.site);
        history.step(Some(&two.site), &three.site);
        let since = |world: &World| {
            history
                .since(world.site.root)
                .map(|changes| changes.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(since(&one).unwrap(), ["b.html", "c.html"]);
        assert_eq!(since(&two).unwrap(), ["a.html", "b.html", "c.html"]);
        assert_eq!(since(&three).unwrap(), Vec::<String>::new());
        assert_eq!(since(&with(&[("a.html", Some("never shown"))])), None);
    }
}

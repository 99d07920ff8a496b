//! Addresses that visitors can open now, or could open before, and that a new site does not answer, and redirects for
//! them. Pure.
//!
//! An address counts as answered if the new site has a file or a redirect for it. A redirect of the release that leads to
//! nothing is left to the check `redirects`; a pattern is followed here, because that check can't know the addresses
//! that it is for. This module must not read pages: [`super::similar`] compares them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::check::{Known, is_reached_by_links};
use crate::config::Level;
use crate::model::manifest::{ChangeKind, Changes, Site, is_page};
use crate::model::path::SitePath;
use crate::model::redirect::{self, Redirect, Status};
use crate::next::url::{decoded, encoded};
use crate::rules::lines::Place;
use crate::rules::redirects::{DEFAULT_STATUS, FILE, LONGEST_CHAIN, RedirectRule};
use crate::rules::{Address, Outcome, Rules, file_address};

/// How many pages that stay are read to find out what all pages have in common.
const OTHERS: usize = 12;

/// How the check `moved` is done for a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedCheck {
    /// The level of the check.
    pub level: Level,
    /// How the new site answers.
    pub rules: Rules,
}

impl MovedCheck {
    /// A new site with the rules of this check.
    #[must_use]
    pub const fn of<'a>(&'a self, site: &'a Site) -> NewSite<'a> {
        NewSite {
            rules: &self.rules,
            site,
        }
    }
}

/// A site that is to go live.
#[derive(Debug, Clone, Copy)]
pub struct NewSite<'a> {
    /// How it answers.
    pub rules: &'a Rules,
    /// Its files and redirects.
    pub site: &'a Site,
}

/// A release that was live before the live one, compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerRelease {
    /// The release that replaced it, if one did.
    pub known: Known,
    /// What the live release changes.
    pub changes: Changes,
}

/// An address that visitors can open now, or could open before, and that would be a 404.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The address, percent-encoded, with the base path.
    pub address: String,
    /// What visitors get now, or got before.
    pub former: Former,
    /// Set if it is a 404 already: since which release, if one took it away.
    pub known: Option<Known>,
}

/// What visitors get at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Former {
    /// The page at this path of the release.
    Page(SitePath),
    /// A redirect.
    Redirect(Redirect),
}

/// A page of the new site that another one may have become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its address.
    pub address: String,
    /// Its path in the site.
    pub path: SitePath,
}

/// The pages of the new site to compare with those that are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Pages that a release before did not have, and then those that are named like one that is gone.
    pub likely: Vec<Candidate>,
    /// Some other pages, which show what all pages have in common.
    pub others: Vec<SitePath>,
}

/// A redirect that would answer an address that is gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Suggestion {
    /// The address that is gone.
    pub from: String,
    /// The likely new address.
    pub to: String,
    /// How much the two pages are alike, from 0 to 100.
    pub score: u8,
    /// The status of the redirect.
    pub status: u16,
}

impl Suggestion {
    /// The line for `_redirects`, without the end of the line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}  # {}% alike", self.rule(), self.score)
    }

    /// The rule of the line.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("{} {} {}", self.from, self.to, self.status)
    }

    /// Whether the line means this redirect and nothing else. A `:` or `*` in an address would make it a pattern.
    fn is_plain(&self) -> bool {
        let status = Status::from_code(&self.status.to_string());
        let has_name = decoded(&self.from).is_some_and(|from| redirect::path_of(bare(&from)).is_some());
        let rule = RedirectRule::new(Place::new(FILE, 1), &self.from, &self.to, status);
        has_name && rule.is_ok_and(|rule| !rule.is_pattern() && rule.answer(bare(&self.from)).is_some())
    }
}

impl NewSite<'_> {
    /// The addresses that these changes take away from visitors, and those that the live release took away from visitors
    /// of `former` releases, sorted. Only pages and redirects count: visitors have no bookmarks of other files.
    #[must_use]
    pub fn gone(self, changes: &Changes, former: &[FormerRelease]) -> Vec<Gone> {
        let former = former.iter().map(|former| (&former.changes, Some(&former.known)));
        let all = std::iter::once((changes, None)).chain(former);
        let mut gone: Vec<Gone> = all.flat_map(|(changes, known)| self.gone_by(changes, known)).collect();
        // The sort is stable, so what visitors can open now comes first, and then the newest release.
        gone.sort_by(|a, b| bare(&a.address).cmp(bare(&b.address)));
        gone.dedup_by(|a, b| bare(&a.address) == bare(&b.address));
        gone
    }

    fn gone_by(self, changes: &Changes, known: Option<&Known>) -> Vec<Gone> {
        let removed = changes
            .list
            .iter()
            .filter(|change| change.change == ChangeKind::Removed);
        // The check `index` names a front page that is gone.
        let is_inner = |path: &SitePath| is_page(path) && path.as_str() != "index.html";
        let pages = removed.filter(|change| is_inner(&change.path) && is_reached_by_links(change.path.as_str()));
        let pages = pages.filter_map(|change| {
            let path = change.path.as_str();
            let is_pooled = self.rules.classes.is_pooled(path.as_bytes());
            Some(Gone {
                address: file_address::preferred(self.rules, path, &|other| other == path).filter(|_| !is_pooled)?,
                former: Former::Page(change.path.clone()),
                known: known.cloned(),
            })
        });
        let redirects = changes.redirects.iter().filter_map(|redirect| {
            let address = match redirect.address.as_str() {
                "/" if !self.rules.base_path.is_empty() => self.rules.base_path.clone(),
                below => format!("{}{}", self.rules.base_path, encoded(below)),
            };
            let former = redirect.former.clone()?;
            (redirect.change == ChangeKind::Removed).then_some(Gone {
                address,
                former: Former::Redirect(former),
                known: known.cloned(),
            })
        });
        let mut gone: Vec<Gone> = pages.chain(redirects).collect();
        gone.retain(|gone| !self.is_answered(&gone.address));
        gone
    }

    /// Whether visitors who open an address or a `Location` get something other than a 404 in the end.
    fn is_answered(self, location: &str) -> bool {
        let is_there = |path: &str| {
            let path = SitePath::new(path);
            path.is_ok_and(|path| self.site.file(&path).is_some() || self.site.redirect(&path).is_some())
        };
        let mut location = location.to_owned();
        for _ in 0..LONGEST_CHAIN {
            if !location.starts_with('/') {
                return true;
            }
            let Ok(address) = Address::parse(location.as_bytes()) else {
                return false;
            };
            location = match self.rules.resolve(&address, &is_there) {
                Outcome::NotFound => return false,
                Outcome::File { .. } | Outcome::Language | Outcome::Entry(_) | Outcome::Marker => return true,
                Outcome::Moved(to) => String::from_utf8_lossy(&to).into_owned(),
                Outcome::Pattern(redirect) => redirect.location().to_owned(),
            };
        }
        false
    }

    /// The address of a file of the site.
    #[must_use]
    pub fn address(self, path: &SitePath) -> Option<String> {
        let is_file = |path: &str| SitePath::new(path).is_ok_and(|path| self.site.file(&path).is_some());
        file_address::preferred(self.rules, path.as_str(), &is_file)
    }

    /// The pages to compare with those that are gone. Only new pages, pages of the same name and a few others, so that
    /// this costs what changed.
    #[must_use]
    pub fn candidates(self, changes: &Changes, former: &[FormerRelease], gone: &[Gone]) -> Candidates {
        let candidate = |path: &SitePath| {
            Some(Candidate {
                address: self.address(path)?,
                path: path.clone(),
            })
        };
        let is_shown = |path: &SitePath| is_page(path) && is_reached_by_links(path.as_str());
        let all = std::iter::once(changes).chain(former.iter().map(|former| &former.changes));
        let added = all
            .flat_map(|changes| &changes.list)
            .filter(|change| change.change == ChangeKind::Added);
        let added = added.map(|change| &change.path);
        // What an earlier publish added may be gone again.
        let added = added.filter(|path| is_shown(path) && self.site.file(path).is_some());
        let added: BTreeSet<&SitePath> = added.collect();
        let likely: Vec<Candidate> = added.into_iter().filter_map(candidate).collect();
        let is_added: HashSet<&SitePath> = likely.iter().map(|page| &page.path).collect();
        let names = gone.iter().filter_map(|gone| match &gone.former {
            Former::Page(path) => Some(page_name(path)),
            Former::Redirect(_) => None,
        });
        let names: HashSet<&str> = names.collect();
        let pages = self.site.all_files().map(|(path, _)| path);
        let staying = pages.filter(|path| is_shown(path) && !is_added.contains(path));
        let (named, others): (Vec<SitePath>, Vec<SitePath>) = staying.partition(|path| names.contains(page_name(path)));
        let named: Vec<Candidate> = named.iter().filter_map(candidate).collect();
        let step = others.len().div_ceil(OTHERS).max(1);
        let others = others.into_iter().step_by(step);
        Candidates {
            likely: likely.into_iter().chain(named).collect(),
            others: others.collect(),
        }
    }

    /// The redirects for addresses that are gone, in their order; `None` for one that nothing is known for. `likely`
    /// has the new address and the score of each page that has one, by its old address.
    #[must_use]
    pub fn suggestions(self, gone: &[Gone], likely: &HashMap<String, (String, u8)>) -> Vec<Option<Suggestion>> {
        let suggestion = |gone: &Gone| {
            let status = match &gone.former {
                Former::Page(_) => DEFAULT_STATUS,
                Former::Redirect(redirect) => redirect.status(),
            };
            let (to, score) = match &gone.former {
                Former::Page(_) => likely.get(&gone.address).cloned()?,
                // It leads to a page that is gone, too, or to where it always led.
                Former::Redirect(redirect) => match likely.get(redirect.location()) {
                    Some(moved) => moved.clone(),
                    None if self.is_answered(redirect.location()) => (redirect.location().to_owned(), 100),
                    None => return None,
                },
            };
            let suggestion = Suggestion {
                from: gone.address.clone(),
                to,
                score,
                status: status.code(),
            };
            suggestion.is_plain().then_some(suggestion)
        };
        gone.iter().map(suggestion).collect()
    }
}

/// The name of a page: `usage` of `docs/usage.html` and of `docs/usage/index.html`.
fn page_name(path: &SitePath) -> &str {
    let stem = path.as_str().strip_suffix(".html").unwrap_or(path.as_str());
    let stem = stem.strip_suffix("/index").unwrap_or(stem);
    stem.rsplit('/').next().unwrap_or_default()
}

/// An address without the slash at its end.
fn bare(address: &str) -> &str {
    address
        .strip_suffix('/')
        .filter(|bare| !bare.is_empty())
        .unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::cache::Classes;
    use crate::model::digest::Digest;
    use crate::model::encoding::Encodings;
    use crate::model::manifest::{Input, diff};
    use crate::rules::redirects::parse;
    use crate::rules::{OwnTypes, PageForm, Redirects};

    fn rules(base: &str, form: PageForm, redirects: &str) -> Rules {
        Rules {
            form,
            base_path: base.to_owned(),
            asset_prefix: String::new(),
            classes: Classes::new("_assets"),
            deployment_id: None,
            types: OwnTypes::default(),
            languages: Vec::new(),
            one_address: false,
            headers: crate::rules::CustomHeaders::default(),
            redirects: Redirects::new(parse(FILE, redirects).0),
        }
    }

    /// A site of these files, with redirects from decoded addresses.
    fn site(paths: &[&str], redirects: &[(&str, &str)]) -> Site {
        let files = paths.iter().map(|path| Input {
            path: SitePath::new(path).unwrap(),
            digest: Digest::of(path.as_bytes()),
            size: 1,
            media_type: "text/html".into(),
            encodings: Encodings { br: None, gz: None },
        });
        let redirects: BTreeMap<String, Redirect> = redirects
            .iter()
            .map(|(from, to)| ((*from).to_owned(), Redirect::new(Status::Found, to).unwrap()))
            .collect();
        Site::with_redirects(files, &redirects, &Classes::new("_assets"))
    }

    fn changes(live: &Site, new: &Site) -> Changes {
        let known = |digest| live.tree(digest).or_else(|| new.tree(digest));
        diff(Some(live.root), Some(new.root), &known).unwrap()
    }

    fn gone(rules: &Rules, live: &Site, new: &Site) -> Vec<String> {
        let gone = NewSite { rules, site: new }.gone(&changes(live, new), &[]);
        gone.into_iter().map(|gone| gone.address).collect()
    }

    #[test]
    fn only_pages_that_visitors_can_open_are_gone() {
        let live = site(
            &[
                "index.html",
                "old/a b.html",
                "old/a b.txt",
                "old/logo.png",
                "old/index.html",
                "404.html",
                "_not-found.html",
                ".hidden/a.html",
                "_assets/a.0123456789abcdef.html",
            ],
            &[],
        );
        let new = site(&["index.html"], &[]);
        assert_eq!(
            gone(&rules("", PageForm::Flat, ""), &live, &new),
            ["/old/", "/old/a%20b"]
        );
        assert_eq!(
            gone(&rules("/base", PageForm::Flat, ""), &live, &new),
            ["/base/old/", "/base/old/a%20b"]
        );
    }

    #[test]
    fn an_address_with_another_file_or_a_redirect_is_not_gone() {
        let live = site(&["index.html", "a.html", "b.html", "c.html", "d/e.html"], &[]);
        let new = site(&["index.html", "a/index.html", "new/e.html"], &[("/b", "/a/")]);
        for (redirects, left) in [
            ("", &["/c", "/d/e"][..]),
            ("/d/* /new/:splat", &["/c"]),
            ("/* https://example.com/:splat", &[]),
            // A pattern that leads nowhere does not help.
            ("/d/* /nothing/:splat", &["/c", "/d/e"]),
            ("/c/* /c/x/:splat", &["/c", "/d/e"]),
        ] {
            assert_eq!(
                gone(&rules("", PageForm::Folder, redirects), &live, &new),
                left,
                "{redirects}"
            );
        }
    }

    #[test]
    fn a_redirect_that_visitors_follow_now_counts_too() {
        let live = site(&["a.html"], &[("/x", "/a"), ("/y", "/a"), ("/z", "/a")]);
        let new = site(&["b.html", "z.html"], &[("/y", "/b")]);
        let rules = rules("/base", PageForm::Flat, "");
        assert_eq!(gone(&rules, &live, &new), ["/base/a", "/base/x"]);
    }

    #[test]
    fn what_former_releases_had_is_gone_since_the_newest_of_them() {
        let live = site(&["index.html", "a.html", "between/d.html", "kept.html"], &[]);
        let releases = [
            site(&["index.html", "a.html", "b/index.html", "back.html"], &[]),
            site(&["index.html", "a.html", "b.html", "c.html"], &[("/x", "/a")]),
        ];
        let new = site(&["index.html", "back.html", "kept.html", "new/d.html"], &[]);
        let known = [2, 1].map(|number| Known::Since(crate::model::release::ReleaseId::new(number, "aa")));
        let former: Vec<FormerRelease> = std::iter::zip(&releases, known.clone())
            .map(|(release, known)| FormerRelease {
                known,
                changes: changes(release, &live),
            })
            .collect();
        let rules = rules("", PageForm::Flat, "");
        let new = NewSite {
            rules: &rules,
            site: &new,
        };
        let changes = changes(&live, new.site);
        let gone = new.gone(&changes, &former);
        let found: Vec<_> = gone
            .iter()
            .map(|gone| (gone.address.as_str(), gone.known.clone()))
            .collect();
        let [first, second] = known.map(Some);
        assert_eq!(
            found,
            [
                ("/a", None),
                ("/b/", first),
                ("/between/d", None),
                ("/c", second.clone()),
                ("/x", second)
            ]
        );
        // A page that came and went is no new address.
        let candidates = new.candidates(&changes, &former, &gone).likely;
        let candidates: Vec<&str> = candidates.iter().map(|page| page.address.as_str()).collect();
        assert_eq!(candidates, ["/back", "/kept", "/new/d"]);
    }

    #[test]
    fn candidates_are_new_pages_and_pages_of_the_same_name() {
        let live = site(&["v1/usage.html", "v2/usage.html", "b.html", "c.html"], &[]);
        let new = site(&["v2/usage.html", "b.html", "new.html", "404.html", "new.txt"], &[]);
        let rules = rules("", PageForm::Flat, "");
        let new = NewSite {
            rules: &rules,
            site: &new,
        };
        let changes = changes(&live, new.site);
        let found = new.candidates(&changes, &[], &new.gone(&changes, &[]));
        let likely: Vec<&str> = found.likely.iter().map(|page| page.address.as_str()).collect();
        assert_eq!(likely, ["/new", "/v2/usage"]);
        let others: Vec<&str> = found.others.iter().map(SitePath::as_str).collect();
        assert_eq!(others, ["b.html"]);
    }

    #[test]
    fn a_suggestion_is_a_line_that_can_be_followed() {
        let live = site(
            &["a.html", ":b.html", "c.html"],
            &[("/x", "/a"), ("/y", "/d"), ("/z", "/c")],
        );
        let new = site(&["d.html"], &[]);
        let rules = rules("", PageForm::Flat, "");
        let new = NewSite {
            rules: &rules,
            site: &new,
        };
        let gone = new.gone(&changes(&live, new.site), &[]);
        let likely = ["/a", "/:b"].map(|from| (from.to_owned(), ("/d".to_owned(), 90)));
        let suggestions = new.suggestions(&gone, &HashMap::from(likely));
        let lines: Vec<String> = suggestions.iter().flatten().map(Suggestion::line).collect();
        assert_eq!(
            lines,
            [
                "/a /d 301  # 90% alike",
                "/x /d 302  # 90% alike",
                "/y /d 302  # 100% alike"
            ]
        );
        let (rules, bad) = parse(FILE, &lines.join("\n"));
        assert_eq!((rules.len(), bad), (3, Vec::new()));
    }
}

//! Tests the plan against a store in memory: for any two sites, its questions end soon and what it makes is complete.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::model::cache::Classes;
use crate::model::encoding::Recipe;
use crate::model::manifest::{ChangeKind, Input};
use crate::model::redirect::{Redirect, Status};

/// What a store has after some sites were published to it.
#[derive(Default)]
struct Memory {
    current: Option<(ReleaseId, Site)>,
    trees: BTreeMap<Digest, Tree>,
    objects: BTreeMap<String, u64>,
    pool: BTreeMap<String, u64>,
    answers: HashSet<String>,
}

/// All files of this store have the same time.
fn stamp(size: u64) -> ObjectStamp {
    ObjectStamp { size, mtime: 0 }
}

impl Memory {
    fn answer(&self, question: &HostQuestion, facts: &mut HostFacts) {
        match question {
            HostQuestion::Live(path) => {
                let site = self.current.as_ref().map(|(_, site)| site);
                let tree = site.and_then(|site| site.folders.get(path)).map(|folder| folder.digest);
                facts.live.insert(path.clone(), tree);
            }
            HostQuestion::Tree(digest) => {
                facts.trees.insert(*digest, self.trees.contains_key(digest));
            }
            HostQuestion::Manifest(digest) => {
                facts.manifests.insert(*digest, self.trees.get(digest).cloned());
            }
            HostQuestion::Object(name) => {
                facts
                    .objects
                    .insert(name.clone(), self.objects.get(name).copied().map(stamp));
            }
            HostQuestion::Pool(path) => {
                facts.pool.insert(path.clone(), self.pool.get(path).copied().map(stamp));
            }
            HostQuestion::PoolBytes(path) => {
                facts.pool_bytes.insert(path.clone(), None);
            }
            HostQuestion::Findings(release, piece) => {
                facts.findings.insert((release.clone(), *piece), None);
            }
        }
    }

    /// Asks as a publish would, in rounds, until no question is left.
    fn plan(&self, site: &Site) -> (Plan, usize, usize) {
        let mut facts = HostFacts {
            current: self.current.as_ref().map(|(id, _)| id.clone()),
            ..HostFacts::default()
        };
        let (mut rounds, mut asked) = (0, 0);
        let mut questions = opening_questions(site);
        loop {
            asked += questions.len();
            for question in &questions {
                self.answer(question, &mut facts);
            }
            questions = super::questions(site, &facts);
            if questions.is_empty() {
                return (Plan::new(site, &facts).unwrap(), rounds + 1, asked);
            }
            rounds += 1;
            assert!(rounds < 100, "the questions don't end: {questions:?}");
        }
    }

    /// Carries out a plan, and checks that each step has what it needs.
    fn carry_out(&mut self, plan: &Plan, site: &Site, number: u64) {
        let sent: HashSet<String> = plan.wanted_names().collect();
        let has = |objects: &BTreeMap<String, u64>, name: &str| sent.contains(name) || objects.contains_key(name);
        for tree in &plan.trees {
            for (name, entry) in &tree.tree.entries {
                if tree.unchanged.contains(name) {
                    let former = &self.trees[&tree.former.unwrap()];
                    assert_eq!(former.entries.get(name), Some(entry));
                } else {
                    match entry {
                        Entry::Folder(child) => assert!(self.trees.contains_key(child), "a parent before its child"),
                        Entry::Redirect(redirect) => {
                            assert!(plan.answers.contains(&layout::moved(redirect)));
                        }
                        Entry::File(file) => {
                            for name in Content::of_file(file).map(|content| content.object()) {
                                assert!(has(&self.objects, &name), "{name} is neither sent nor there");
                            }
                        }
                    }
                }
            }
            self.trees.insert(tree.digest, Tree::clone(&tree.tree));
        }
        self.answers.extend(plan.answers.iter().cloned());
        for wanted in &plan.wanted {
            let identity = layout::object(wanted.digest);
            assert_eq!(
                wanted.identity,
                !self.objects.contains_key(&identity),
                "sent although it is there"
            );
            self.objects.insert(identity, wanted.size);
            for (coding, recipe) in wanted.encodings.iter() {
                self.objects
                    .insert(layout::encoded_object(wanted.digest, coding, recipe), 1);
            }
        }
        for file in &plan.pool {
            assert!(
                has(&self.objects, &layout::object(file.file.digest))
                    || self.objects.contains_key(&layout::object(file.file.digest))
            );
            self.pool.insert(file.path.as_str().to_owned(), 1);
        }
        for digest in &plan.relied_trees {
            assert!(self.trees.contains_key(digest));
        }
        self.current = Some((ReleaseId::new(i64::try_from(number).unwrap(), "aaaaaa"), site.clone()));
    }

    /// Checks that every folder of the site is there, with everything in it, and that the pool has every file that it
    /// must have.
    fn is_whole(&self, site: &Site) {
        for (path, folder) in &site.folders {
            assert_eq!(self.trees.get(&folder.digest), Some(&*folder.tree), "{path:?}");
        }
        for (address, redirect) in site.redirects() {
            assert!(self.answers.contains(&layout::moved(redirect)), "{address}");
        }
        for (path, file) in site.all_files() {
            assert!(self.objects.contains_key(&layout::object(file.digest)));
            if pooled(path.as_str(), file.cache) {
                assert!(self.pool.contains_key(path.as_str()), "{path:?} is not in the pool");
            }
        }
    }
}

/// A site with these files. Some of them are redirects.
fn site(files: &BTreeMap<String, u8>) -> Site {
    let is_redirect = |(path, content): &(&String, &u8)| path.ends_with("y.txt") && *content % 2 == 1;
    let redirects = files.iter().filter(is_redirect).map(|(path, content)| {
        let redirect = Redirect::new(Status::Permanent, &format!("/to/{content}")).unwrap();
        (format!("/{path}"), redirect)
    });
    let redirects = redirects.collect();
    let files = files
        .iter()
        .filter(|entry| !is_redirect(entry))
        .map(|(path, content)| Input {
            path: SitePath::new(path).unwrap(),
            digest: Digest::of(&[*content]),
            size: 1,
            media_type: "text/html".into(),
            encodings: Encodings {
                br: (content % 2 == 0).then(|| Recipe::made(11)),
                gz: None,
            },
        });
    Site::with_redirects(files, &redirects, &Classes::new("copies"))
}

/// Sites with few names and little variety of content, so that folders repeat, move and come back.
fn files() -> impl Strategy<Value = BTreeMap<String, u8>> {
    let folder = prop::sample::select(vec![
        "",
        "a/",
        "b/",
        "a/b/",
        "a/b/c/",
        "copies/",
        "_next/static/chunks/",
        "_next/static/id/",
    ]);
    let name = prop::sample::select(vec!["x.html", "y.txt", "z.js"]);
    let path = (folder, name).prop_map(|(folder, name)| format!("{folder}{name}"));
    prop::collection::btree_map(path, 0..6u8, 1..14)
}

proptest! {
    #[test]
    fn any_history_of_sites_leaves_each_release_intact(history in prop::collection::vec(files(), 1..6)) {
        let mut memory = Memory::default();
        for (number, files) in history.iter().enumerate() {
            let site = site(files);
            let (plan, rounds, _) = memory.plan(&site);
            prop_assert!(rounds <= 7, "{rounds} rounds for a depth of four");
            let before = memory.current.as_ref().map(|(_, site)| site.clone());
            prop_assert_eq!(plan.live_already, before.as_ref().is_some_and(|before| before.root == site.root));
            let expected = expected_changes(before.as_ref(), &site);
            let listed = plan.changes.list.iter().map(|c| (c.path.as_str().to_owned(), c.change)).collect::<BTreeMap<_, _>>();
            prop_assert_eq!(listed, expected);
            memory.carry_out(&plan, &site, number as u64);
            memory.is_whole(&site);
            let (again, _, _) = memory.plan(&site);
            prop_assert!(again.live_already && again.wanted.is_empty() && again.trees.is_empty() && again.pool.is_empty());
        }
    }
}

fn expected_changes(before: Option<&Site>, after: &Site) -> BTreeMap<String, ChangeKind> {
    let list = |site: &Site| -> BTreeMap<String, Digest> {
        site.all_files()
            .map(|(path, file)| (path.as_str().to_owned(), file.digest))
            .collect()
    };
    let (old, new) = (before.map(list).unwrap_or_default(), list(after));
    let mut changes = BTreeMap::new();
    for (path, digest) in &new {
        match old.get(path) {
            None => changes.insert(path.clone(), ChangeKind::Added),
            Some(before) if before != digest => changes.insert(path.clone(), ChangeKind::Changed),
            Some(_) => None,
        };
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        changes.insert(path.clone(), ChangeKind::Removed);
    }
    changes
}

/// A documentation site of many pages, in the layout of Next.js 16.
fn large(sections: u32, pages: u32, edited: Option<(u32, u32)>) -> Site {
    let mut files = Vec::new();
    for section in 0..sections {
        for page in 0..pages {
            let content = format!("{section} {page} {}", edited == Some((section, page)));
            let at = format!("docs/s{section}/p{page}");
            for path in [
                format!("{at}.html"),
                format!("{at}.txt"),
                format!("{at}/__next._full.txt"),
            ] {
                files.push(Input {
                    path: SitePath::new(&path).unwrap(),
                    digest: Digest::of(format!("{path} {content}").as_bytes()),
                    size: 1000,
                    media_type: "text/html".into(),
                    encodings: Encodings {
                        br: Some(Recipe::made(11)),
                        gz: Some(Recipe::made(9)),
                    },
                });
            }
        }
    }
    Site::new(files, &Classes::new("copies"))
}

fn cost_of_an_edit(sections: u32, pages: u32) -> (usize, usize) {
    let mut memory = Memory::default();
    let before = large(sections, pages, None);
    let (plan, _, _) = memory.plan(&before);
    memory.carry_out(&plan, &before, 1);
    let after = large(sections, pages, Some((sections / 2, pages / 2)));
    let (plan, rounds, asked) = memory.plan(&after);
    assert_eq!(plan.changes.list.len(), 3);
    assert_eq!(plan.trees.len(), 4, "the page's folder, its section, docs and the top");
    assert_eq!(plan.wanted.len(), 3);
    memory.carry_out(&plan, &after, 2);
    memory.is_whole(&after);
    (rounds, asked)
}

#[test]
fn an_edit_asks_as_much_in_a_large_site_as_in_a_small_one() {
    let (small_rounds, small) = cost_of_an_edit(10, 100);
    let (large_rounds, large) = cost_of_an_edit(100, 100);
    assert!(
        large_rounds <= small_rounds + 1,
        "{small_rounds} and {large_rounds} rounds"
    );
    assert!(large <= small + 150, "{small} and {large} questions");
}

#[test]
fn an_object_of_another_size_is_sent_again() {
    let mut memory = Memory::default();
    let files = BTreeMap::from([("index.html".to_owned(), 1)]);
    let site = site(&files);
    let object = layout::object(Digest::of(&[1]));
    memory.objects.insert(object.clone(), 99);
    let (plan, _, _) = memory.plan(&site);
    assert!(plan.unlinkable.contains(&object));
    assert_eq!(plan.wanted_names().collect::<Vec<_>>(), [object]);
}

#[test]
fn what_arrived_before_is_not_sent_again() {
    let mut memory = Memory::default();
    let files = BTreeMap::from([("index.html".to_owned(), 1), ("404.html".to_owned(), 3)]);
    memory.objects.insert(layout::object(Digest::of(&[1])), 1);
    let (plan, _, _) = memory.plan(&site(&files));
    assert_eq!(
        plan.wanted_names().collect::<Vec<_>>(),
        [layout::object(Digest::of(&[3]))]
    );
}

//! Compares prune with a mark and sweep over what was published, for random histories of publishes, rollbacks, prunes
//! and deaths at random points. Also tests how a docroot grows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use syntax_publish::host::Connect;
use syntax_publish::model::layout;

use crate::support::bench::{
    Command, Content, Encode, How, content, faults_of_live, live, names, read_disk, run, seen, site,
};
use crate::support::faulty::{Fault, Faulty, points};
use crate::support::memory::{Disk, Memory};
use crate::support::report::say;

const SKEW: i64 = 3600;

#[derive(Debug, Clone)]
enum Event {
    /// These pages and chunks, by number.
    Publish(Vec<(usize, u8)>),
    Rollback(u32),
    Prune(usize),
    /// The next publish dies at a point, given as a fraction of all its points.
    Death(Vec<(usize, u8)>, u16),
    DeathOfPrune(u16),
    Pass(i64),
}

const PATHS: [&str; 9] = [
    "a.html",
    "docs/b.html",
    "docs/deep/c.html",
    "_next/static/x.js",
    "_next/static/y.js",
    "z/b.html",
    ".moved/=",
    ".moved/old=",
    ".moved/old/deep=",
];

/// Where the versions of a redirect lead. The folder of the first answer contains that of the second.
const LOCATIONS: [&str; 3] = ["/new", "/new=/part", "/new/part"];

fn site_of(choice: &[(usize, u8)]) -> Content {
    let mut site = content([("index.html", "home ")]);
    for (path, version) in choice {
        // The content of an immutable name never changes.
        if PATHS[*path].starts_with(".moved/") {
            let location = LOCATIONS[usize::from(*version)].as_bytes();
            site.insert(PATHS[*path].to_owned(), location.to_vec());
            continue;
        }
        let version = if PATHS[*path].starts_with("_next") { 0 } else { *version };
        site.extend(content([(PATHS[*path], format!("{path} {version} ").as_str())]));
    }
    site
}

fn event() -> impl Strategy<Value = Event> {
    let choice = || prop::collection::vec((0..PATHS.len(), 0..3u8), 0..6);
    prop_oneof![
        5 => choice().prop_map(Event::Publish),
        2 => (1..3u32).prop_map(Event::Rollback),
        3 => (1..4usize).prop_map(Event::Prune),
        2 => (choice(), any::<u16>()).prop_map(|(site, share)| Event::Death(site, share)),
        2 => any::<u16>().prop_map(Event::DeathOfPrune),
        3 => (1..SKEW).prop_map(Event::Pass),
    ]
}

/// What was published, and when each release was last live.
#[derive(Default)]
struct Model {
    made: BTreeMap<String, Content>,
    last_live: BTreeMap<String, i64>,
    /// When a rollback replaced a release.
    left: BTreeMap<String, i64>,
    live: Option<String>,
}

struct Bench {
    memory: Memory,
    model: Model,
    kept: usize,
}

const HOW: How = How {
    encode: Encode::Nothing,
    answer: Duration::from_secs(60),
    wait: None,
    skew: Duration::from_secs(SKEW as u64),
    expire: Duration::from_hours(14 * 24),
};

impl Bench {
    fn new() -> Bench {
        Bench {
            memory: Memory::new(Disk::new(1_750_000_000)),
            model: Model::default(),
            kept: 0,
        }
    }

    fn connector(&self) -> Box<dyn Connect> {
        Box::new(self.memory.clone())
    }

    fn now(&self) -> i64 {
        self.memory.disk().now()
    }

    /// Records what is live now, and that the previous release was live until now.
    async fn note_live(&mut self, site: Option<&Content>) {
        let now = self.now();
        if let Some(before) = &self.model.live {
            self.model.last_live.insert(before.clone(), now);
        }
        let is_live = live(self.connector()).await.map(|id| id.to_string());
        if let (Some(id), Some(site)) = (&is_live, site) {
            self.model.made.entry(id.clone()).or_insert_with(|| site.clone());
        }
        if let Some(id) = &is_live {
            self.model.last_live.insert(id.clone(), now);
        }
        self.model.live = is_live;
    }

    /// Runs the command, which dies at the point at this fraction of all its points.
    async fn die(&self, command: &Command, share: u16) {
        let rehearsal = Memory::new(self.memory.snapshot());
        let faulty = Faulty::new(Arc::new(rehearsal), None);
        let _ = run(Box::new(faulty.clone()), command, HOW).await;
        let points = points(&faulty.record(), Fault::Dead);
        let point = points[usize::from(share) * points.len() / (usize::from(u16::MAX) + 1)];
        let faulty = Faulty::new(Arc::new(self.memory.clone()), Some((point, Fault::Dead)));
        let _ = run(Box::new(faulty), command, HOW).await;
        for folder in ["work", "lock"] {
            self.memory.disk().age(folder);
        }
    }

    async fn step(&mut self, event: &Event) {
        match event {
            Event::Publish(choice) => {
                let site = site_of(choice);
                let done = run(self.connector(), &Command::Publish(site.clone()), HOW).await;
                done.expect("a publish");
                self.note_live(Some(&site)).await;
            }
            Event::Rollback(steps) => {
                // There may be no release to return to.
                let before = self.model.live.clone();
                let _ = run(self.connector(), &Command::Rollback(*steps), HOW).await;
                self.note_live(None).await;
                if let Some(before) = before.filter(|before| self.model.live.as_ref() != Some(before)) {
                    self.model.left.insert(before, self.now());
                }
            }
            Event::Prune(keep) => {
                run(self.connector(), &Command::Prune(*keep), HOW)
                    .await
                    .expect("a prune");
                self.kept = *keep;
                self.note_live(None).await;
                self.compare();
            }
            Event::Death(choice, share) => {
                let site = site_of(choice);
                self.die(&Command::Publish(site.clone()), *share).await;
                self.note_live(Some(&site)).await;
            }
            Event::DeathOfPrune(share) => {
                self.die(&Command::Prune(2), *share).await;
                self.note_live(None).await;
            }
            Event::Pass(seconds) => {
                self.memory.disk().pass(*seconds);
                self.note_live(None).await;
            }
        }
        let live = seen(&self.memory).await.site;
        if let Some(id) = &self.model.live {
            assert_eq!(&live, &self.model.made[id], "visitors get what was published");
            assert_eq!(faults_of_live(self.connector()).await, []);
        }
    }

    /// Compares what a prune left with what a mark and sweep leaves.
    fn compare(&self) {
        let disk = self.memory.snapshot();
        let listed: BTreeSet<String> = disk
            .list("releases")
            .into_iter()
            .filter(|name| !name.ends_with(".json") && !name.ends_with(".left"))
            .collect();
        let (mut trees, mut objects, mut pool) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut answers = BTreeSet::new();
        for id in &listed {
            let content = self.model.made.get(id).cloned();
            // A run may die after its release was in place and before it was live. Such a release is listed too, and is
            // read from the disk.
            let content = content.unwrap_or_else(|| read_disk(&disk, &format!("releases/{id}")));
            let site = site(&content, Encode::Nothing);
            trees.extend(site.folders.values().map(|folder| folder.digest.to_string()));
            objects.extend(site.all_files().map(|(_, file)| layout::object(file.digest)));
            pool.extend(pooled(&content));
            for folder in site.folders.values() {
                let of_level = folder.tree.redirects().map(|(_, redirect)| layout::moved(redirect));
                answers.extend(of_level.flat_map(|answer| {
                    let above = answer.match_indices('/').skip(1).map(|(at, _)| answer[..at].to_owned());
                    above.chain([answer.clone()]).collect::<Vec<_>>()
                }));
            }
        }
        let newest: Vec<&String> = listed.iter().rev().collect();
        // In addition: the live release, the one that it replaced, and those that a rollback replaced a short time ago.
        let left = self.model.left.values().filter(|left| **left > self.now() - SKEW);
        let most = self.kept + 2 + left.count();
        assert!(newest.len() <= most, "{newest:?} are kept, of {}", self.kept);
        assert!(self.model.live.is_none() || newest.contains(&self.model.live.as_ref().expect("a release")));
        let there = |folder: &str| -> BTreeSet<String> { disk.list(folder).into_iter().collect() };
        assert_eq!(there("trees"), trees);
        let found: BTreeSet<String> = there("objects")
            .iter()
            .flat_map(|folder| {
                disk.list(&format!("objects/{folder}"))
                    .into_iter()
                    .map(move |name| format!("objects/{folder}/{name}"))
            })
            .collect();
        assert_eq!(found, objects);
        let told = disk.told(|_| "file".to_owned());
        let found: BTreeSet<String> = told.into_keys().filter(|path| path.starts_with("moved/")).collect();
        assert_eq!(found, answers);
        for path in &pool {
            assert!(
                disk.exists(&format!("immutable/{path}")),
                "a kept release lacks {path} in the pool"
            );
        }
        // A reader who had a page open within the window finds every file that the page may request.
        for (id, last) in &self.model.last_live {
            if *last > self.now() - SKEW {
                for path in pooled(&self.model.made[id]) {
                    assert!(disk.exists(&format!("immutable/{path}")), "readers of {id} lack {path}");
                }
            }
        }
        assert_eq!((disk.list("stale"), disk.list("lock")), (vec![], vec![]));
    }
}

fn pooled(content: &Content) -> Vec<String> {
    content
        .keys()
        .filter(|path| path.starts_with("_next/static/"))
        .cloned()
        .collect()
}

fn follow(events: &[Event]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut bench = Bench::new();
        for event in events {
            bench.step(event).await;
        }
        // After a long time, only what is kept is left. A release that is live through a rollback is not the newest,
        // and publishing its site makes no release, so both would be kept. Therefore another site goes live first.
        bench.step(&Event::Publish(vec![(0, 1)])).await;
        bench.step(&Event::Publish(vec![(0, 0)])).await;
        bench.memory.disk().pass(3 * SKEW);
        bench.step(&Event::Prune(1)).await;
        let left = names(&bench.memory).await;
        let clean = Memory::new(Disk::new(1_750_000_000));
        for choice in [(0, 1), (0, 0)] {
            run(Box::new(clean.clone()), &Command::Publish(site_of(&[choice])), HOW)
                .await
                .expect("a publish");
        }
        run(Box::new(clean.clone()), &Command::Prune(1), HOW)
            .await
            .expect("a prune");
        assert_eq!(left, names(&clean).await);
    });
}

/// A history that once seemed to show that prune left too much: after it, the live release is older than the newest
/// one.
#[test]
fn prune_keeps_the_newest_release_beside_the_one_that_a_rollback_made_live() {
    let history = [
        Event::Publish(vec![]),
        Event::Death(vec![(0, 0)], 38333),
        Event::Publish(vec![]),
        Event::Rollback(1),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut bench = Bench::new();
        for event in &history {
            bench.step(event).await;
        }
        let releases = |bench: &Bench| -> Vec<String> {
            let names = bench.memory.disk().list("releases").into_iter();
            names
                .filter(|name| !name.ends_with(".json") && !name.ends_with(".left"))
                .collect()
        };
        let before = releases(&bench);
        let live = bench.model.live.clone().expect("a live release");
        let newest = before.last().expect("a newest release").clone();
        assert!(live < newest, "{live} is live of {before:?}");
        // The site is live already, so no release is made.
        bench.step(&Event::Publish(vec![(0, 0)])).await;
        assert_eq!(
            (releases(&bench), bench.model.live.clone()),
            (before, Some(live.clone()))
        );
        bench.memory.disk().pass(3 * SKEW);
        bench.step(&Event::Prune(1)).await;
        // The release that the live one replaced is kept as well.
        let left = releases(&bench);
        assert_eq!(left[1..], [live, newest]);
        assert_eq!(left.len(), 3);
    });
    follow(&history);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn prune_leaves_what_a_mark_and_sweep_leaves(events in prop::collection::vec(event(), 1..14)) {
        follow(&events);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "takes minutes"]
    fn prune_leaves_what_a_mark_and_sweep_leaves_in_the_long_run(events in prop::collection::vec(event(), 1..40)) {
        follow(&events);
    }
}

/// Publishes some one-page edits. The names in the docroot, and the bytes of objects and manifests, must grow by the same
/// amount in both halves.
fn grow(edits: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let memory = Memory::new(Disk::new(1_750_000_000));
    let mut site = content([("index.html", "home "), ("_next/static/x.js", "x ")]);
    for number in 0..20 {
        site.insert(
            format!("docs/{}/{number}.html", number % 4),
            format!("page {number}").into_bytes(),
        );
    }
    let mut sizes = Vec::new();
    for edit in 0..=edits {
        let text = format!("edit {edit:06} ").repeat(100);
        site.insert(format!("docs/{}/{}.html", edit % 4, edit % 20), text.into_bytes());
        let publish = Command::Publish(site.clone());
        runtime
            .block_on(run(Box::new(memory.clone()), &publish, HOW))
            .expect("a publish");
        memory.replace(memory.snapshot());
        let told = memory.disk().told(|bytes| bytes.len().to_string());
        let stored = told
            .iter()
            .filter(|(path, _)| path.starts_with("objects/") || path.starts_with("manifests/"));
        let bytes: u64 = stored.filter_map(|(_, size)| size.parse::<u64>().ok()).sum();
        sizes.push((told.len() as u64, bytes));
    }
    let (first, half, last) = (sizes[0], sizes[edits / 2], sizes[edits]);
    say(&format!(
        "growth over {edits} edits of one page: {} names and {} bytes at first, {} and {} half-way, {} and {} at last: {} names and {} bytes an edit",
        first.0,
        first.1,
        half.0,
        half.1,
        last.0,
        last.1,
        (last.0 - first.0) / edits as u64,
        (last.1 - first.1) / edits as u64,
    ));
    // The second half costs as much as the first: the cost depends on the edits, not on what is there.
    for (first, second) in [(half.0 - first.0, last.0 - half.0), (half.1 - first.1, last.1 - half.1)] {
        assert!(second.abs_diff(first) * 10 < first, "{first}, then {second}");
    }
}

#[test]
fn a_docroot_grows_with_the_edits() {
    grow(60);
}

#[test]
#[ignore = "takes a minute"]
fn a_docroot_grows_with_a_thousand_edits() {
    grow(1000);
}

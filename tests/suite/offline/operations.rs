//! Exactly which operations a publish sends to a host, flight by flight.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use regex_lite::Regex;
use syntax_publish::config;
use syntax_publish::host::Op;
use syntax_publish::model::channel::Slot;
use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::Coding;
use syntax_publish::model::event::Silent;
use syntax_publish::model::manifest::Site;
use syntax_publish::model::path::SitePath;
use syntax_publish::model::release::Owner;
use syntax_publish::site::pipeline::{LocalSite, Prepared};
use syntax_publish::site::scan;
use syntax_publish::site::source::{Source, SourceError};
use syntax_publish::store::open;
use syntax_publish::store::open::StoreSnapshot;
use syntax_publish::store::plan;
use syntax_publish::store::prune::{self, list_meanwhile};
use syntax_publish::store::publish::{Job, Options, Published, make_ahead, publish};
use syntax_publish::store::remote_cache::RemoteCache;
use syntax_publish::store::rollback::{self, Destination, RolledBack};
use syntax_publish::store::session::Session;
use tempfile::TempDir;

use crate::support::command::write;
use crate::support::intercept::Intercept;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// An export and a store, and the sites that were published so far.
struct Bench {
    folder: TempDir,
    sites: Vec<Site>,
    /// Whether hints about the host are cached.
    keeps: bool,
    /// Whether the host is inspected while the site is prepared, as the command does.
    looks: bool,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            folder: tempfile::tempdir().unwrap(),
            sites: Vec::new(),
            keeps: false,
            looks: false,
        }
    }

    fn export(&self) -> PathBuf {
        self.folder.path().join("export")
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        write(&self.export().join(path), text);
    }

    fn prepare(&self) -> Prepared {
        let config = config::parse("[encode]\nbrotli = 4\ngzip = 4\n").unwrap().config;
        LocalSite::new(&config, &self.export(), None, &Silent)
            .prepare()
            .unwrap()
    }

    fn recorder(&self) -> Intercept {
        Intercept::folder(self.folder.path().join("docroot"))
    }

    fn session(recorder: &Intercept) -> Session {
        let owner = Owner {
            who: "test@here".to_owned(),
            what: "publish".to_owned(),
            since: 0,
            yields: false,
        };
        Session::new(Box::new(recorder.clone()), owner)
    }

    /// Publishes the export, and returns the flights that this took.
    fn publish(&mut self) -> (Published, Vec<Vec<Op>>) {
        self.publish_from(None)
    }

    /// Publishes the export, optionally with an earlier snapshot of the store.
    fn publish_from(&mut self, ground: Option<StoreSnapshot>) -> (Published, Vec<Vec<Op>>) {
        let prepared = self.prepare();
        let recorder = self.recorder();
        let session = Self::session(&recorder);
        let look = || {
            let near = scan::top_folders(&self.export(), plan::GUESSED_FOLDERS);
            runtime().block_on(open::inspect(&session, near)).unwrap()
        };
        let options = Options {
            seen: self
                .keeps
                .then(|| Arc::new(RemoteCache::load(&self.folder.path().join("cache"), "the host"))),
            store_snapshot: ground.or_else(|| self.looks.then(look)),
            ..Options::new("test")
        };
        let publishing = publish(&session, Job::new(&prepared.source, &prepared.site, &options));
        let published = runtime().block_on(publishing).unwrap();
        self.sites.push(prepared.site);
        (published, recorder.flights())
    }

    /// Rolls back one release, and returns the flights that this took.
    fn roll_back(&self) -> (RolledBack, Vec<Vec<Op>>) {
        let recorder = self.recorder();
        let session = Self::session(&recorder);
        let options = rollback::Options::default();
        let rolling = rollback::rollback(&session, &Destination::Steps(1), &options);
        let rolled_back = runtime().block_on(rolling).unwrap();
        (rolled_back, recorder.flights())
    }

    /// Flights as text, with stable names for what differs from run to run.
    fn told(&self, flights: &[Vec<Op>]) -> String {
        let names = self.names();
        let mut text = String::new();
        let mut releases = Vec::new();
        for (number, flight) in flights.iter().enumerate() {
            let _ = writeln!(text, "flight {}", number + 1);
            let lines = flight.iter().map(|op| told(op, &names, &mut releases)).collect();
            for line in shortened(lines) {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// A name for each digest of a site: its path, with a `'` for each site after the first.
    fn names(&self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for (number, site) in self.sites.iter().enumerate() {
            let marks = "'".repeat(number);
            for (path, folder) in &site.folders {
                let name = format!("{{{path}/{marks}}}");
                names.entry(folder.digest.to_string()).or_insert(name);
            }
            for (path, file) in site.all_files() {
                let name = format!("{{{path}{marks}}}");
                names.entry(file.digest.to_string()).or_insert(name);
            }
        }
        names
    }
}

/// One operation as text, with stable names for what differs from run to run.
fn told(op: &Op, names: &BTreeMap<String, String>, releases: &mut Vec<String>) -> String {
    let mut line = match op {
        // The lengths of encodings depend on the encoder.
        Op::Write { .. } => "write".to_owned(),
        op => op.to_string(),
    };
    if line.ends_with(' ') {
        line += "(the docroot)";
    }
    for (digest, name) in names {
        line = line.replace(digest, name);
    }
    let release = Regex::new("[0-9]{8}-[0-9]{6}-[0-9a-z]{6}").unwrap();
    while let Some(found) = release.find(&line) {
        let id = found.as_str().to_owned();
        if !releases.contains(&id) {
            releases.push(id.clone());
        }
        let at = releases.iter().position(|known| *known == id).unwrap();
        line = line.replace(&id, &format!("RELEASE{}", at + 1));
    }
    for (pattern, name) in [
        ("\\b[0-9a-f]{16}\\b", "RUN"),
        ("\\b[0-9]{10}\\b", "CLOCK"),
        ("objects/[0-9a-f]{2}/", "objects/…/"),
    ] {
        line = Regex::new(pattern).unwrap().replace_all(&line, name).into_owned();
    }
    line
}

/// Collapses lines that count up or down to the first and the last.
fn shortened(lines: Vec<String>) -> Vec<String> {
    let counting = |line: &str| -> Option<(String, u32)> {
        let at = line.rfind(|c: char| !c.is_ascii_digit())? + 1;
        Some((line[..at].to_owned(), line[at..].parse().ok()?))
    };
    let mut short: Vec<String> = Vec::new();
    let mut last: Option<(String, u32)> = None;
    for line in lines {
        let next = counting(&line);
        let goes_on = match (&last, &next) {
            (Some((stem, number)), Some((next, at))) => stem == next && number.abs_diff(*at) == 1,
            _ => false,
        };
        let repeats = short
            .last()
            .is_some_and(|known| known.split(" × ").next() == Some(&line));
        if let (true, Some(known), Some((_, number))) = (goes_on, short.last_mut(), &next) {
            let first = known.split(" … ").next().unwrap_or_default().to_owned();
            *known = format!("{first} … {number}");
        } else if let (true, Some(known)) = (repeats, short.last_mut()) {
            let times = known.split(" × ").nth(1).map_or(1, |times| times.parse().unwrap_or(1));
            *known = format!("{line} × {}", times + 1);
        } else {
            short.push(line);
        }
        last = next;
    }
    short
}

/// The payload of some flights, in bytes.
fn payload(flights: &[Vec<Op>]) -> usize {
    flights.iter().flatten().map(Op::payload).sum()
}

fn page(title: &str) -> String {
    format!("<!DOCTYPE html><title>{title}</title>\n") + &format!("<p>All about {title}.</p>\n").repeat(40)
}

/// A site of a few pages, up to two folders deep, and a chunk.
fn small_site() -> Bench {
    let bench = Bench::new();
    for path in ["index", "404", "docs", "docs/a", "docs/b", "about/us"] {
        bench.write(&format!("{path}.html"), page(path));
    }
    bench.write("_next/static/chunks/x.js", "void 0;");
    bench
}

/// Resolves `..` in a path lexically, as in `trees/<digest>/../../`.
fn resolved(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Fails unless every change that others can see is a single rename, made from inside the lock once the run holds it.
#[track_caller]
fn assert_fenced(flights: &[Vec<Op>]) {
    let mut run = None;
    let mut holding = false;
    let mut left = false;
    for op in flights.iter().flatten() {
        let line = op.to_string();
        match op {
            Op::MakeFolder(at) | Op::Symlink { at, .. } | Op::Create(at) => {
                run = run.or_else(|| at.strip_prefix("work/").map(str::to_owned));
                let run = run.as_deref().expect("the workshop comes first");
                let workshops = [format!("work/{run}"), format!("lock/{run}/")];
                assert!(workshops.iter().any(|workshop| at.starts_with(workshop)), "{line}");
            }
            Op::Link { to, .. } => {
                let into = ["work/", "lock/", "objects/", "manifests/"];
                assert!(into.iter().any(|folder| to.starts_with(folder)), "{line}");
            }
            Op::Rename { from, to } => {
                let run = run.as_deref().expect("the workshop comes first");
                let from = resolved(from);
                assert!(!left, "after letting go: {line}");
                if holding {
                    assert!(
                        from == format!("lock/{run}") || from.starts_with(&format!("lock/{run}/")),
                        "{line}"
                    );
                    left = *to == format!("stale/{run}");
                } else {
                    assert_eq!(from, format!("work/{run}"), "{line}");
                    holding = to == "lock";
                    assert!(holding || *to == format!("stale/{run}.w"), "{line}");
                }
            }
            Op::RemoveFile(at) | Op::RemoveFolder(at) => {
                assert!(at.starts_with("stale/"), "{line}");
            }
            _ => {}
        }
    }
}

/// A site whose second publish has cached hints about the host.
fn seen_site() -> Bench {
    let mut bench = small_site();
    bench.keeps = true;
    bench.publish();
    bench
}

#[test]
fn a_host_that_was_seen_before_is_asked_everything_at_once() {
    let mut bench = seen_site();
    bench.write("docs/a.html", page("another"));
    let (published, flights) = bench.publish();
    assert_eq!(published.changes.list.len(), 1);
    assert_eq!(flights.len(), 3, "{}", bench.told(&flights));
    assert_fenced(&flights);
    let (published, flights) = bench.publish();
    assert!(!published.swapped);
    assert_eq!(flights.len(), 2, "{}", bench.told(&flights));
    // New folders and removed ones need no more flights.
    bench.write("docs/new/page.html", page("new"));
    std::fs::remove_dir_all(bench.export().join("about")).unwrap();
    let (published, flights) = bench.publish();
    assert_eq!(published.changes.list.len(), 2);
    assert_eq!(flights.len(), 3, "{}", bench.told(&flights));
}

#[test]
fn a_look_beside_the_scan_leaves_little_to_be_asked() {
    let mut bench = small_site();
    bench.looks = true;
    bench.publish();
    let (published, flights) = bench.publish();
    assert!(!published.swapped);
    assert_eq!(flights.len(), 1, "{}", bench.told(&flights));
    // Without cached hints about the host, manifests are opened and read first. The depth of the change does not
    // matter, as long as there are few folders near the top.
    for path in ["index.html", "docs/a.html", "docs/b/c/d.html"] {
        bench.write(path, page(path));
        bench.publish();
        bench.write(path, page("another"));
        let (published, flights) = bench.publish();
        assert_eq!(published.changes.list.len(), 1);
        assert_eq!(flights.len(), 5, "{path}: {}", bench.told(&flights));
        assert_fenced(&flights[1..]);
    }
    // With cached hints.
    bench.keeps = true;
    bench.publish();
    bench.write("docs/b/c/d.html", page("a third"));
    let (_, flights) = bench.publish();
    assert_eq!(flights.len(), 4, "{}", bench.told(&flights));
    let (published, flights) = bench.publish();
    assert_eq!((published.swapped, flights.len()), (false, 1));
}

#[test]
fn whether_to_prune_is_asked_before_the_swap_and_only_if_there_is_one() {
    let mut bench = seen_site();
    bench.looks = true;
    let publish = |bench: &Bench| {
        let prepared = bench.prepare();
        let recorder = bench.recorder();
        let session = Bench::session(&recorder);
        let near = scan::top_folders(&bench.export(), plan::GUESSED_FOLDERS);
        let options = Options {
            store_snapshot: Some(runtime().block_on(open::inspect(&session, near)).unwrap()),
            ..Options::new("test")
        };
        let job = Job::new(&prepared.source, &prepared.site, &options);
        let (published, is_due) = runtime().block_on(async {
            let (published, listing) = list_meanwhile(&session, Box::pin(publish(&session, job))).await;
            let published = published.unwrap();
            if !published.swapped {
                return (published, false);
            }
            let keeps_one = prune::Options {
                keep: 1,
                skew: Duration::ZERO,
                expire: Duration::MAX,
                dry_run: false,
                yields: false,
            };
            let listing = listing.listing().await.unwrap();
            let is_due = listing.makes_due(&keeps_one, &Slot::Live, &published);
            (published, is_due)
        });
        (
            published.swapped,
            is_due,
            session.counts().round_trips(),
            recorder.flights(),
        )
    };
    let (swapped, is_due, round_trips, flights) = publish(&bench);
    assert_eq!(
        (swapped, is_due, round_trips, flights.len()),
        (false, false, 1, 1),
        "{}",
        bench.told(&flights)
    );
    bench.write("docs/a.html", page("another"));
    let (swapped, is_due, round_trips, flights) = publish(&bench);
    assert!(swapped && is_due, "the release before is one too many");
    let place = |wanted: &dyn Fn(&Op) -> bool| flights.iter().position(|flight| flight.iter().any(wanted));
    let listed = place(&|op| *op == Op::List("releases".to_owned())).unwrap();
    let swap = place(&|op| matches!(op, Op::Rename { to, .. } if to == "current")).unwrap();
    assert!(listed < swap && swap + 1 == flights.len(), "{}", bench.told(&flights));
    assert_eq!(
        usize::try_from(round_trips).unwrap() + 1,
        flights.len(),
        "the listing is no round trip"
    );
}

/// A source that reports what was read, and can be closed.
struct Reported {
    inner: Arc<dyn Source>,
    read: Mutex<Option<mpsc::Sender<String>>>,
}

impl Source for Reported {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let bytes = self.inner.read(path, digest, size)?;
        let sender = self.read.lock().unwrap();
        let closed = || SourceError::Worker("it is closed".to_owned());
        sender.as_ref().ok_or_else(closed)?.send(path.to_string()).unwrap();
        Ok(bytes)
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        self.inner.read_given(path, coding)
    }
}

#[test]
fn what_a_machine_expects_to_send_is_encoded_before_the_host_is_asked() {
    let mut bench = seen_site();
    let (cache, target) = (bench.folder.path().join("cache"), "the host");
    let seen = |target: &str| RemoteCache::load(&cache, target);
    bench.write("docs/a.html", page("another"));
    let prepared = bench.prepare();
    let (sender, read) = mpsc::channel();
    let reported = Arc::new(Reported {
        inner: Arc::clone(&prepared.source),
        read: Mutex::new(Some(sender)),
    });
    let source: Arc<dyn Source> = Arc::clone(&reported) as _;
    let runtime = runtime();
    let _entered = runtime.enter();
    let ahead = make_ahead(&source, &prepared.site, &seen(target)).expect("something to send");
    assert_eq!(read.recv().unwrap(), "docs/a.html");
    *reported.read.lock().unwrap() = None;
    let options = Options {
        seen: Some(Arc::new(seen(target))),
        ahead: Some(ahead),
        ..Options::new("test")
    };
    let session = Bench::session(&bench.recorder());
    let job = Job::new(&source, &prepared.site, &options);
    let published = runtime.block_on(publish(&session, job)).unwrap();
    assert_eq!(published.sent.encoded, 2, "brotli and gzip");
    bench.sites.push(prepared.site);
    // Nothing changed, and another host about which nothing is known.
    let prepared = bench.prepare();
    assert!(make_ahead(&prepared.source, &prepared.site, &seen(target)).is_none());
    assert!(make_ahead(&prepared.source, &prepared.site, &seen("another")).is_none());
    // The host has what it had before, although that was made once more.
    bench.write("docs/a.html", page("docs/a"));
    let prepared = bench.prepare();
    let ahead = make_ahead(&prepared.source, &prepared.site, &seen(target));
    assert!(ahead.is_some());
    let options = Options { ahead, ..options };
    let job = Job::new(&prepared.source, &prepared.site, &options);
    let published = runtime.block_on(publish(&session, job)).unwrap();
    assert_eq!((published.swapped, published.sent.objects), (true, 0));
}

/// Fails if the content of a manifest on the host does not match the digest in its name. Returns the longest length.
fn longest_manifest(bench: &Bench) -> usize {
    let folder = bench.folder.path().join("docroot/manifests");
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let lengths = files.filter(|file| file.file_type().is_file()).map(|file| {
        let bytes = std::fs::read(file.path()).unwrap();
        let name = file.file_name().to_str().unwrap();
        assert!(name.contains(&Digest::of(&bytes).to_string()), "{name}");
        bytes.len()
    });
    lengths.max().unwrap()
}

#[test]
fn what_a_wide_folders_manifest_has_of_the_previous_one_is_copied_there() {
    let mut bench = small_site();
    bench.looks = true;
    for number in 0..200 {
        bench.write(&format!("blog/{number:03}.html"), number.to_string());
    }
    let (_, flights) = bench.publish();
    assert!(!flights.iter().flatten().any(|op| matches!(op, Op::Copy { .. })));
    let whole = longest_manifest(&bench);
    // First the previous manifest is read from the host, then it is cached. Copying takes no additional flights.
    for (keeps, count) in [(false, 5), (true, 5), (true, 4)] {
        bench.keeps = keeps;
        bench.write("blog/111.html", format!("another, {count} {keeps}"));
        let (_, flights) = bench.publish();
        assert_eq!(flights.len(), count, "{}", bench.told(&flights));
        let copied = flights.iter().flatten().map(|op| match op {
            Op::Copy { length, .. } => usize::try_from(*length).unwrap(),
            _ => 0,
        });
        assert!(copied.sum::<usize>() > whole * 9 / 10, "{}", bench.told(&flights));
        assert!(payload(&flights) < whole / 4, "{}", payload(&flights));
        assert!(longest_manifest(&bench) >= whole);
        assert_fenced(&flights[1..]);
    }
}

#[test]
fn the_objects_of_few_files_are_asked_for_before_it_is_known_which_of_them_changed() {
    for (files, count) in [(100, 5), (300, 6)] {
        let mut bench = small_site();
        bench.looks = true;
        for number in 0..files {
            bench.write(&format!("blog/{number:03}.html"), number.to_string());
            bench.write(&format!("_next/static/chunks/{number:03}.js"), number.to_string());
        }
        bench.publish();
        bench.write("blog/000.html", "another");
        let (_, flights) = bench.publish();
        assert_eq!(flights.len(), count, "a page of {files}: {}", bench.told(&flights));
        // What is added to the pool takes one flight more.
        bench.write("_next/static/chunks/another.js", "void 0;");
        let (_, flights) = bench.publish();
        assert_eq!(flights.len(), count + 1, "a chunk of {files}: {}", bench.told(&flights));
    }
}

#[test]
fn a_look_that_is_out_of_date_is_repeated() {
    let mut bench = small_site();
    bench.publish();
    let session = Bench::session(&bench.recorder());
    let near = scan::top_folders(&bench.export(), plan::GUESSED_FOLDERS);
    let ground = runtime().block_on(open::inspect(&session, near)).unwrap();
    bench.write("docs/b.html", page("by somebody else"));
    let (others, _) = bench.publish();
    bench.write("docs/a.html", page("another"));
    let (published, flights) = bench.publish_from(Some(ground));
    assert_eq!(published.previous, Some(others.release));
    assert_eq!(
        published.changes.list.len(),
        1,
        "against what is live, not what was seen"
    );
    assert_fenced(&flights);
}

#[test]
fn a_rollback_takes_three_flights() {
    let mut bench = small_site();
    let (first, _) = bench.publish();
    bench.write("docs/a.html", page("another"));
    let (second, _) = bench.publish();
    let (rolled_back, flights) = bench.roll_back();
    assert_eq!(
        (rolled_back.release, rolled_back.previous),
        (first.release, second.release)
    );
    assert_eq!(flights.len(), 3, "{}", bench.told(&flights));
    assert_fenced(&flights[1..]);
}

#[test]
fn a_rollback_past_a_release_that_was_pruned_goes_on_to_the_one_before() {
    let mut bench = small_site();
    let (first, _) = bench.publish();
    bench.write("docs/a.html", page("another"));
    let (second, _) = bench.publish();
    bench.write("docs/a.html", page("a third"));
    bench.publish();
    std::fs::remove_file(bench.folder.path().join(format!("docroot/releases/{}", second.release))).unwrap();
    let (rolled_back, _) = bench.roll_back();
    assert_eq!(rolled_back.release, first.release);
}

#[test]
fn what_was_seen_before_is_believed_only_if_it_is_still_so() {
    let mut bench = seen_site();
    bench.keeps = false;
    bench.write("docs/b.html", page("by somebody else"));
    let (others, _) = bench.publish();
    bench.keeps = true;
    bench.write("docs/a.html", page("another"));
    let (published, flights) = bench.publish();
    assert_eq!(published.previous, Some(others.release));
    let changed: Vec<&str> = published
        .changes
        .list
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(changed, ["docs/a.html"], "against what is live, not what was seen");
    assert_fenced(&flights);
    // What the wrong guess led to is cached now.
    bench.write("docs/a.html", page("a third"));
    assert_eq!(bench.publish().1.len(), 3);
}

#[test]
fn a_tree_that_was_seen_and_is_gone_costs_another_attempt_and_no_more() {
    let mut bench = seen_site();
    let docs = bench.sites[0]
        .tree(bench.sites[0].root)
        .unwrap()
        .entries
        .get("docs")
        .unwrap()
        .clone();
    let syntax_publish::model::tree::Entry::Folder(docs) = docs else {
        panic!("docs is a folder")
    };
    std::fs::remove_dir_all(bench.folder.path().join(format!("docroot/trees/{docs}"))).unwrap();
    bench.write("docs/a.html", page("another"));
    let (published, _) = bench.publish();
    assert!(published.swapped);
    let live = bench.folder.path().join("docroot/current/docs/b.html");
    assert_eq!(std::fs::read_to_string(live).unwrap(), page("docs/b"));
}

/// A site of 300 folders with ten pages each: 9,300 names of objects, and more manifests than are opened at a time.
fn large_site() -> Bench {
    let bench = Bench::new();
    bench.write("index.html", page("home"));
    bench.write("404.html", page("nothing"));
    for folder in 0..300 {
        for number in 0..10 {
            bench.write(
                &format!("{folder}/{number}.html"),
                page(&format!("{folder} and {number}")),
            );
        }
    }
    bench
}

#[test]
fn no_flight_asks_everything_of_a_large_site() {
    let mut bench = large_site();
    let questions = |flights: &[Vec<Op>]| -> Vec<usize> {
        let asked = |flight: &Vec<Op>| flight.iter().filter(|op| matches!(op, Op::Lstat(_))).count();
        flights.iter().map(asked).collect()
    };
    let (_, flights) = bench.publish();
    let first = questions(&flights);
    assert!(first.iter().sum::<usize>() > 9000, "{first:?}");
    assert!(first.iter().all(|asked| *asked < 8600), "{first:?}");
    // Every folder changed. What one flight requested is not requested again by the next one.
    for folder in 0..300 {
        bench.write(&format!("{folder}/0.html"), page(&format!("{folder} anew")));
    }
    let (published, flights) = bench.publish();
    assert_eq!(published.changes.list.len(), 300);
    let mut opened: Vec<String> = Vec::new();
    for op in flights.iter().flatten() {
        if let Op::Open(path) = op {
            opened.push(path.clone());
        }
    }
    let all = opened.len();
    opened.sort_unstable();
    opened.dedup();
    assert_eq!((all, opened.len()), (301, 301));
    let (published, _) = bench.publish();
    assert!(!published.swapped);
}

#[test]
fn unchanged_publish_asks_and_leaves() {
    let mut bench = small_site();
    bench.publish();
    let (published, flights) = bench.publish();
    assert!(!published.swapped);
    assert!(flights.len() <= 2, "{} flights", flights.len());
    assert_eq!(payload(&flights), 0);
    assert_fenced(&flights);
    insta::assert_snapshot!(bench.told(&flights), @r#"
    flight 1
      lstat (the docroot)
      readlink format
      readlink current
      lstat current
      readlink hold
      readlink generation
      lstat generation
      lstat swept
      readlink delivery
      readlink former
      lstat objects
      lstat trees
      lstat manifests
      lstat releases
      lstat immutable
      lstat moved
      lstat channels
      lstat work
      lstat stale
      lstat lock
      mkdir work/RUN
      mkdir work/RUN/RUN
      symlink work/RUN/RUN/owner -> {"who":"test@here","what":"publish","since":0}
      mkdir work/RUN/RUN/f
      mkdir work/RUN/RUN/t
      mkdir work/RUN/RUN/p
      mkdir work/RUN/RUN/trash
      lstat work/RUN
      create work/RUN/RUN/f/0 … 31
      resolve current
      readlink current/_next
      readlink current/_next/static
      readlink current/_next/static/chunks
      readlink current/about
      readlink current/docs
    flight 2
      close × 32
      rename work/RUN stale/RUN.w
      remove stale/RUN.w/RUN/f/31 … 0
      rmdir stale/RUN.w/RUN/trash
      rmdir stale/RUN.w/RUN/p
      rmdir stale/RUN.w/RUN/t
      rmdir stale/RUN.w/RUN/f
      remove stale/RUN.w/RUN/owner
      rmdir stale/RUN.w/RUN
      rmdir stale/RUN.w
    "#);
}

#[test]
#[allow(clippy::too_many_lines, reason = "most of them are the record")]
fn edit_of_one_page_takes_few_flights_and_touches_its_folders_alone() {
    let mut bench = small_site();
    bench.publish();
    bench.write("docs/a.html", page("something else"));
    let (published, flights) = bench.publish();
    assert!(published.swapped);
    assert!(flights.len() <= 6, "{} flights", flights.len());
    assert_fenced(&flights);
    insta::assert_snapshot!(bench.told(&flights), @r#"
    flight 1
      lstat (the docroot)
      readlink format
      readlink current
      lstat current
      readlink hold
      readlink generation
      lstat generation
      lstat swept
      readlink delivery
      readlink former
      lstat objects
      lstat trees
      lstat manifests
      lstat releases
      lstat immutable
      lstat moved
      lstat channels
      lstat work
      lstat stale
      lstat lock
      mkdir work/RUN
      mkdir work/RUN/RUN
      symlink work/RUN/RUN/owner -> {"who":"test@here","what":"publish","since":0}
      mkdir work/RUN/RUN/f
      mkdir work/RUN/RUN/t
      mkdir work/RUN/RUN/p
      mkdir work/RUN/RUN/trash
      lstat work/RUN
      create work/RUN/RUN/f/0 … 31
      resolve current
      readlink current/_next
      readlink current/_next/static
      readlink current/_next/static/chunks
      readlink current/about
      readlink current/docs
    flight 2
      lstat trees/{/}
      lstat trees/{/'}
      lstat trees/{docs/'}
      lstat trees/{docs/}
      lstat objects/…/{404.html}
      lstat objects/…/{404.html}.br4v1
      lstat objects/…/{404.html}.gz4v1
      lstat objects/…/{docs.html}
      lstat objects/…/{docs.html}.br4v1
      lstat objects/…/{docs.html}.gz4v1
      lstat objects/…/{docs/a.html'}
      lstat objects/…/{docs/a.html'}.br4v1
      lstat objects/…/{docs/a.html'}.gz4v1
      lstat objects/…/{docs/b.html}
      lstat objects/…/{docs/b.html}.br4v1
      lstat objects/…/{docs/b.html}.gz4v1
      lstat objects/…/{index.html}
      lstat objects/…/{index.html}.br4v1
      lstat objects/…/{index.html}.gz4v1
      lstat objects/0a
      lstat objects/1a
      lstat objects/a1
      lstat objects/cb
      lstat objects/fa
      open manifests/{/}
      open manifests/{docs/}
    flight 3
      lstat trees/{/}
      lstat trees/{docs/}
      read 131072 × 2
    flight 4
      write
      finish
      write
      finish
      write
      finish
      write
      finish
      write
      finish
      write
      finish
      mkdir work/RUN/RUN/t/0
      link work/RUN/RUN/f/29 work/RUN/RUN/t/0/a.html
      link work/RUN/RUN/f/31 work/RUN/RUN/t/0/a.html.br
      link work/RUN/RUN/f/30 work/RUN/RUN/t/0/a.html.gz
      link trees/{docs/}/b.html work/RUN/RUN/t/0/b.html
      link trees/{docs/}/b.html.br work/RUN/RUN/t/0/b.html.br
      link trees/{docs/}/b.html.gz work/RUN/RUN/t/0/b.html.gz
      mkdir work/RUN/RUN/t/1
      link trees/{/}/404.html work/RUN/RUN/t/1/404.html
      link trees/{/}/404.html.br work/RUN/RUN/t/1/404.html.br
      link trees/{/}/404.html.gz work/RUN/RUN/t/1/404.html.gz
      link trees/{/}/_next work/RUN/RUN/t/1/_next
      link trees/{/}/about work/RUN/RUN/t/1/about
      symlink work/RUN/RUN/t/1/docs -> ../{docs/'}
      link trees/{/}/docs.html work/RUN/RUN/t/1/docs.html
      link trees/{/}/docs.html.br work/RUN/RUN/t/1/docs.html.br
      link trees/{/}/docs.html.gz work/RUN/RUN/t/1/docs.html.gz
      link trees/{/}/index.html work/RUN/RUN/t/1/index.html
      link trees/{/}/index.html.br work/RUN/RUN/t/1/index.html.br
      link trees/{/}/index.html.gz work/RUN/RUN/t/1/index.html.gz
      symlink work/RUN/RUN/rel -> ../trees/{/'}
      symlink work/RUN/RUN/cur -> releases/RELEASE1
      symlink work/RUN/RUN/gen -> CLOCK.CLOCK-RUN
      symlink work/RUN/RUN/former -> RELEASE1 RELEASE2
      rename work/RUN lock
      readlink generation
      rename lock/RUN/gen generation
      rename lock/RUN/f/26 releases/RELEASE1.json
      readlink current
      readlink hold
      readlink delivery
      lstat trees/{/}
      lstat trees/{docs/}
      create lock/RUN/last
      close × 2
    flight 5
      link lock/RUN/f/29 objects/…/{docs/a.html'}
      link lock/RUN/f/31 objects/…/{docs/a.html'}.br4v1
      link lock/RUN/f/30 objects/…/{docs/a.html'}.gz4v1
      link lock/RUN/f/28 manifests/{docs/'}
      link lock/RUN/f/27 manifests/{/'}
      rename lock/RUN/former former
      rename lock/RUN/t/0 trees/{docs/'}
      rename trees/{docs/'}/../../lock/RUN/t/1 trees/{/'}
      rename trees/{/'}/../../lock/RUN/rel releases/RELEASE1
      rename releases/RELEASE1/../../lock/RUN/cur current
      close × 26
      rename lock/RUN stale/RUN
      finish
      remove stale/RUN/last
      remove stale/RUN/former
      remove stale/RUN/cur
      remove stale/RUN/rel
      remove stale/RUN/f/31 … 27
      remove stale/RUN/f/25 … 0
      rmdir stale/RUN/trash
      rmdir stale/RUN/p
      rmdir stale/RUN/t
      rmdir stale/RUN/f
      remove stale/RUN/owner
      rmdir stale/RUN
    "#);
}

#[test]
fn first_publish_and_one_with_new_chunks_are_fenced_too() {
    let mut bench = small_site();
    let (_, flights) = bench.publish();
    // The flights that create the store come first. No other run is active before the store is marked as one.
    let format = |flight: &Vec<Op>| {
        flight
            .iter()
            .any(|op| op.to_string().ends_with("syntax-publish-store-1"))
    };
    let made = flights.iter().position(format).expect("a store is made");
    assert_fenced(&flights[made + 1..]);
    bench.write("_next/static/chunks/y.js", "void 1;");
    let (_, flights) = bench.publish();
    assert_fenced(&flights);
}

/// The cost of editing one page on a site with `others` other pages, whose paths are made by `path`: flights,
/// operations and payload.
fn edit_among(others: usize, path: impl Fn(usize) -> String) -> (usize, usize, usize) {
    let mut bench = small_site();
    for number in 0..others {
        bench.write(&path(number), format!("<p>{number}</p>"));
    }
    bench.publish();
    bench.write("docs/a.html", page("something else"));
    let (published, flights) = bench.publish();
    assert!(published.swapped);
    (flights.len(), flights.iter().map(Vec::len).sum(), payload(&flights))
}

#[test]
fn cost_of_an_edit_does_not_depend_on_the_pages_elsewhere() {
    let elsewhere = |number: usize| format!("other/{}/{number}.html", number % 7);
    let (few_flights, few_ops, few) = edit_among(50, elsewhere);
    let (many_flights, many_ops, many) = edit_among(500, elsewhere);
    assert_eq!(few_flights, many_flights);
    assert_eq!(few_ops, many_ops);
    // The release document contains the site's number of files and bytes.
    assert!(many.abs_diff(few) < 8, "{few} bytes, {many} bytes");
}

#[test]
fn edit_in_a_wide_folder_costs_a_few_bytes_for_each_of_its_entries() {
    let beside = |number: usize| format!("docs/page-{number:03}.html");
    let (few_flights, _, few) = edit_among(50, beside);
    let (many_flights, _, many) = edit_among(500, beside);
    // Which of many files changed is found out first.
    assert_eq!((few_flights, many_flights), (5, 6));
    assert!((many - few) / 450 < 150, "{few} bytes, {many} bytes");
}

#[test]
fn what_a_large_site_needs_built_goes_in_flights_that_memory_bears() {
    let mut bench = small_site();
    bench.publish();
    for folder in 0..30 {
        bench.write(&format!("{folder}/index.html"), format!("folder {folder}"));
        for file in 0..600 {
            bench.write(&format!("{folder}/{file}.txt"), "the same everywhere");
        }
    }
    let (published, flights) = bench.publish();
    assert_fenced(&flights);
    let links = |flight: &Vec<Op>| flight.iter().filter(|op| matches!(op, Op::Link { .. })).count();
    let built: Vec<usize> = flights.iter().map(links).filter(|links| *links > 600).collect();
    // A flight ends after the folder that fills it.
    assert_eq!(built, [16_828, 1_214]);
    let takes_the_lock = |flight: &&Vec<Op>| {
        flight
            .iter()
            .any(|op| matches!(op, Op::Rename { to, .. } if to == "lock"))
    };
    let locking: Vec<usize> = flights.iter().filter(takes_the_lock).map(links).collect();
    assert_eq!(locking, [1_214], "the last of them takes the lock");
    assert_eq!(published.changes.list.len(), 18_030);
}

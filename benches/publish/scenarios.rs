//! The measurements, one function per scenario.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use globset::GlobSet;
use syntax_publish::config::Forbidden;
use syntax_publish::model::event::Silent;
use syntax_publish::site::check::{self, Material, Searches};
use syntax_publish::site::scan::{ScanOptions, scan};
use syntax_publish::site::source::Export;
use syntax_publish::site::survey;

use crate::discard::discard;
use crate::measure::{self, Row, Spread, Table, Watch, command, timed};
use crate::ours::{Levels, Ours, Publish, Way, lossy};
use crate::peer::{Moved, cores};
use crate::site::{self, Size};

/// How much to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A thousand pages, few rounds.
    Quick,
    /// Also ten thousand pages, and enough rounds for a median.
    Full,
}

/// The size of the large file of the memory scenario.
const LARGE_MEBIBYTES: u64 = 2048;

/// The sites that the scenarios share, each made when first needed.
pub struct Bench {
    extent: Extent,
    sites: BTreeMap<usize, Prepared>,
}

/// A site that has been published once, over the near line.
pub struct Prepared {
    pub ours: Ours,
    pub levels: Levels,
    first: Publish,
}

impl Prepared {
    fn new(pages: usize, levels: Levels) -> Prepared {
        say(&format!("{pages} pages: writing them, first publish"));
        let mut ours = Ours::new(Size { pages }, levels);
        let home = ours.new_home();
        let first = ours.publish(Way::Near, &home, Watch::Memory);
        Prepared { ours, levels, first }
    }
}

impl Bench {
    pub fn new(extent: Extent) -> Bench {
        Bench {
            extent,
            sites: BTreeMap::new(),
        }
    }

    fn prepared(&mut self, pages: usize) -> &mut Prepared {
        // A thousand pages at the default levels; more than that would take minutes.
        let levels = if pages > 1000 { Levels::QUICK } else { Levels::BEST };
        self.prepared_at(pages, levels)
    }

    /// Returns a site that was published with these levels, or with those of an earlier scenario.
    pub fn prepared_at(&mut self, pages: usize, levels: Levels) -> &mut Prepared {
        self.sites.entry(pages).or_insert_with(|| Prepared::new(pages, levels))
    }

    /// The size of the largest site of this run.
    fn largest(&self) -> usize {
        match self.extent {
            Extent::Quick => 1000,
            Extent::Full => 10_000,
        }
    }

    /// Reads every byte of the live release back, over the far line and the near one.
    pub fn verify(&mut self, table: &mut Table) {
        let (rounds, sizes) = match self.extent {
            Extent::Quick => (3, vec![1000]),
            Extent::Full => (3, vec![1000, 10_000]),
        };
        for pages in sizes {
            let site = self.prepared(pages);
            let mut near = Row::new("verify --deep, next door");
            let mut far = Row::new("verify --deep, RTT 50 ms");
            let mut files = 0;
            for round in 0..rounds {
                say(&format!("{pages} pages, read back: {} of {rounds}", round + 1));
                let next_door;
                (next_door, files) = site.ours.verify(Way::Near);
                let (away, _) = site.ours.verify(Way::Far);
                far.against.push(away.ran.seconds / next_door.ran.seconds);
                near.add(&next_door);
                far.add(&away);
            }
            (near.sent, near.received) = (Spread::default(), Spread::default());
            table.group(&format!(
                "a release of {} pages read back: {files} files and encodings, each hashed or decoded",
                thousands(pages)
            ));
            table.push(&near);
            table.push(&far);
        }
    }

    /// Finds and hashes every file of an export.
    pub fn scan(&mut self, table: &mut Table) {
        let pages = self.largest();
        let export = self.prepared(pages).ours.export.clone();
        let has_b3sum = command("b3sum", ["--version"]).output().is_ok();
        let caches = tempfile::tempdir().expect("a temporary folder");
        let scan_with = |cache: &Path| {
            let exclude = GlobSet::empty();
            let options = ScanOptions {
                exclude: &exclude,
                cache: Some(cache),
                now: SystemTime::now(),
            };
            timed(|| scan(&export, &options, &Silent).expect("an export that can be scanned"))
        };
        let mut cold = Row::new("scan, no digest cache");
        let mut warm = Row::new("scan, digest cache warm");
        let mut b3sum = Row::new(format!("b3sum, {} cores", cores()));
        for round in 0..5 {
            say(&format!("scan of {pages} pages, {} of 5", round + 1));
            let cache = caches.path().join(round.to_string());
            let (first, scanned) = scan_with(&cache);
            assert_eq!(scanned.remembered, 0, "the cache was cold");
            let (again, scanned) = scan_with(&cache);
            assert_eq!(scanned.remembered, scanned.assets.len() as u64, "the cache was warm");
            cold.time.push(first);
            warm.time.push(again);
            warm.against.push(again / first);
            if has_b3sum {
                let line = format!(
                    "find . -type f -print0 | xargs -0 -n 256 -P {} b3sum --num-threads 1 > /dev/null",
                    cores()
                );
                let mut shell = command("sh", ["-c", &line]);
                shell.current_dir(&export);
                let seconds = measure::run(shell, Watch::Time).seconds;
                b3sum.time.push(seconds);
                b3sum.against.push(seconds / first);
            }
        }
        table.group(&format!("scan of {} pages, all in the page cache", thousands(pages)));
        table.push(&cold);
        table.push(&warm);
        if has_b3sum {
            table.push(&b3sum);
        } else {
            say("b3sum is missing: scan stands alone");
        }
    }

    /// Computes everything that can be known of an export without a host: its digests, its texts and its problems.
    pub fn check(&mut self, table: &mut Table) {
        let pages = self.largest();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let export = folder.path().join("export");
        say(&format!("{pages} pages: writing them"));
        site::write(&export, Size { pages });
        let source = Export::new(&export);
        let forbidden = Forbidden::new(&["10.0.0.0/8", "internal.example.com"]).expect("patterns");
        let levels = syntax_publish::config::Levels::default();
        let options = survey::Options {
            origin: Some("https://bench.example"),
            base_path: None,
            search: Some(&Searches::new(&levels, &forbidden)),
            cache: None,
            elsewhere: None,
            redirects: None,
            generator: None,
            for_policy: false,
        };
        let nothing = GlobSet::empty();
        let mut scanned = Row::new("scan, no digest cache");
        let mut surveyed = Row::new("survey: every text read once");
        let mut kept = Row::new("survey, keeping the facts");
        let mut unchanged = Row::new("survey of the same files, facts remembered");
        let mut recalled = Row::new("survey after a rebuild, facts remembered");
        let mut checked = Row::new("all checks");
        let mut all = Row::new("together");
        for round in 0..5 {
            say(&format!("check of {pages} pages, {} of 5", round + 1));
            let exclude = GlobSet::empty();
            let of_scan = ScanOptions {
                exclude: &exclude,
                cache: None,
                now: SystemTime::now(),
            };
            let (first, found) = timed(|| scan(&export, &of_scan, &Silent).expect("an export that can be scanned"));
            let (second, survey) = timed(|| {
                survey::survey(&found.assets, &source, &options, &Silent).expect("an export that can be read")
            });
            let csp = syntax_publish::config::Csp::default();
            let material = Material {
                assets: &found.assets,
                survey: &survey,
                allowed: &nothing,
                copies: "_assets",
                host: None,
                is_named: false,
                csp: &csp,
            };
            let (third, problems) = timed(|| check::check(material, &levels));
            assert_eq!(problems, [], "the synthetic site is in order");
            scanned.time.push(first);
            surveyed.time.push(second);
            checked.time.push(third);
            all.time.push(first + second + third);
        }
        for round in 0..5 {
            say(&format!("facts of {pages} pages, {} of 5", round + 1));
            let cache = folder.path().join(format!("facts-{round}"));
            let copy = folder.path().join(format!("copy-{round}"));
            site::write(&copy, Size { pages });
            kept.time.push(survey_again(&cache, &copy, &options).0);
            unchanged.time.push(survey_again(&cache, &copy, &options).0);
            site::rebuild(&copy, "another-build-id-21-x");
            let (time, remembered, files) = survey_again(&cache, &copy, &options);
            // Two groups are not remembered. The client's own files are not surveyed. The second copy of each page's
            // payload has the same facts as the first.
            assert!(
                remembered + 200 + pages as u64 > files as u64,
                "{remembered} of {files} were remembered"
            );
            recalled.time.push(time);
            discard(&copy);
        }
        table.group(&format!("check of {} pages, {} cores", thousands(pages), cores()));
        for row in [&scanned, &surveyed, &checked, &all, &kept, &unchanged, &recalled] {
            table.push(row);
        }
    }

    /// Measures the memory of the largest publishes.
    pub fn memory(&mut self, table: &mut Table) {
        let pages = self.largest();
        let site = self.prepared(pages);
        table.group("peak memory of syntax-publish, its ssh not counted; on loopback");
        let mut first = Row::new(format!(
            "cold publish of {} pages; {}",
            thousands(pages),
            site.levels.name()
        ));
        first.add(&site.first);
        site::edit(&site.ours.export, 77, 1_000_000);
        let home = site.ours.new_home();
        let mut edited = Row::new(format!("one page edited of {}", thousands(pages)));
        edited.add(&site.ours.publish(Way::Near, &home, Watch::Memory));
        let mut rows = vec![first, edited];
        if self.extent == Extent::Full {
            rows.extend(large_file());
        }
        for mut row in rows {
            (row.sent, row.received) = (Spread::default(), Spread::default());
            table.push(&row);
        }
    }
}

/// Loads the cache of facts, surveys the export and saves the cache. Returns the seconds, how many files were recalled,
/// and how many files there are.
fn survey_again(cache: &Path, export: &Path, options: &survey::Options<'_>) -> (f64, u64, usize) {
    let exclude = GlobSet::empty();
    let of_scan = ScanOptions {
        exclude: &exclude,
        cache: None,
        now: SystemTime::now(),
    };
    let found = scan(export, &of_scan, &Silent).expect("an export that can be scanned");
    let source = Export::new(export);
    let (time, remembered) = timed(|| {
        let mut cache = survey::Cache::load(cache, export);
        let options = survey::Options {
            cache: Some(&cache),
            ..*options
        };
        let survey = survey::survey(&found.assets, &source, &options, &Silent).expect("an export that can be read");
        let remembered = survey.remembered;
        if cache.learn(&found.assets, survey, &[]) {
            cache.write().expect("room for the cache");
        }
        remembered
    });
    (time, remembered, found.assets.len())
}

/// Measures a site with one file of two gigabytes.
fn large_file() -> Option<Row> {
    say("a file of 2 GiB");
    let mut ours = Ours::new(
        Size {
            pages: site::PAGES_A_SECTION,
        },
        Levels::BEST,
    );
    // Three times the file: the file itself, its published copy, and a margin.
    let needed = (3 * LARGE_MEBIBYTES) << 20;
    let disk = rustix::fs::statvfs(&ours.export).expect("a file system");
    if disk.f_bavail * disk.f_frsize < needed {
        say("too little room on the disk: left out");
        return None;
    }
    site::write_noise(&ours.export.join("film.mp4"), LARGE_MEBIBYTES);
    let home = ours.new_home();
    let mut row = Row::new("cold publish of 100 pages and a film of 2 GiB");
    row.add(&ours.publish(Way::Near, &home, Watch::Memory));
    Some(row)
}

impl Row {
    pub(crate) fn add(&mut self, publish: &Publish) {
        self.time.push(publish.ran.seconds);
        self.round_trips.push(publish.round_trips);
        self.sent.push(publish.sent);
        self.received.push(publish.received);
        if let Some(peak) = publish.ran.peak {
            self.memory.push(lossy(peak));
        }
    }

    pub(crate) fn moved(&mut self, moved: &Moved) {
        self.time.push(moved.seconds);
        self.sent.push(moved.sent);
        self.received.push(moved.received);
    }
}

pub fn thousands(count: usize) -> String {
    if count < 1000 {
        count.to_string()
    } else {
        format!("{},{:03}", count / 1000, count % 1000)
    }
}

/// Prints progress to stderr; only the table goes to stdout.
pub fn say(what: &str) {
    eprintln!("{what} …");
}

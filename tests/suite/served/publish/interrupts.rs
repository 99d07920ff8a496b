//! Runs that are interrupted, killed or cut off. Visitors see one complete release, and the next publish works.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::odd::noise;
use super::{FAST, Kind, PAGE, World, differing, files_below, store, text};
use crate::support::command::{Ran, Running, Signal, small_export, write};
use crate::support::delay::DelayProxy;
use crate::support::files::make_old;
use crate::support::sshd::Jail;

/// The size of what an edit sends. Large enough that sending takes a while, and incompressible so that the number of
/// bytes on the line is known.
const LARGE: usize = 300_000;

/// Until this many bytes before the end, nothing has been sent that makes a release live.
const NEAR_THE_END: u64 = 5000;

/// What a run that finds the lock taken prints on stderr.
const WAITED: &str = "another run holds the lock";

type Files = BTreeMap<String, Vec<u8>>;

/// A small site that is live, with an edit that isn't, and a line to the host.
struct Edited {
    world: World,
    first: String,
    old: Files,
    new: Files,
    live: BTreeMap<String, String>,
}

impl Edited {
    fn new() -> Edited {
        let world = World::empty(Kind::Sftp(Jail::Plain));
        small_export(&world.export());
        world.project.write(
            format!("export/{PAGE}"),
            "<!DOCTYPE html><html><head><title>Stop orders</title></head><body></body></html>\n".repeat(40),
        );
        let first = world.publish();
        let old = files_below(&world.export());
        let live = world.live();
        world.edit(PAGE, "Now");
        world.project.write("export/report.bin", noise(LARGE, "report"));
        world.project.write("export/_next/static/chunks/fresh.js", "void 0;");
        let new = files_below(&world.export());
        Edited {
            world,
            first,
            old,
            new,
            live,
        }
    }

    /// The line that the next runs use.
    fn line(&self, rtt: Duration) -> DelayProxy {
        let proxy = DelayProxy::start(self.world.sshd().port, rtt);
        self.world
            .project
            .write_manifest(&self.world.manifest(proxy.port, "", FAST));
        proxy
    }

    /// The total number of bytes that a publish of the edit sends.
    fn bytes_of_a_publish() -> u64 {
        let edited = Edited::new();
        let proxy = edited.line(Duration::ZERO);
        edited.world.publish();
        proxy.bytes_up()
    }

    /// Fails unless visitors see either the old or the new release, complete. Returns whether it is the new one.
    #[track_caller]
    fn is_new_live(&self) -> bool {
        let live = self.world.live_files();
        if live == self.old {
            assert_eq!(self.world.live(), self.live, "the old release, with other times");
            return false;
        }
        assert!(
            live == self.new,
            "neither: {:?} differ from the old, {:?} from the new",
            differing(&live, &self.old),
            differing(&live, &self.new)
        );
        true
    }

    /// Publishes over a good line, and checks everything.
    #[track_caller]
    fn finish(&self) -> Ran {
        self.world.set("", FAST);
        let ran = self.world.run(&["publish"]).expect_code(0);
        self.world.assert_live(&self.new);
        self.world.set("keep = 1\nskew = \"0\"", FAST);
        // A young staging directory may belong to a live run, and is not swept.
        make_old(&self.world.docroot().join("work"));
        self.world.ask(&["prune"]);
        store::assert_swept(self.world.docroot());
        self.world.assert_live(&self.new);
        ran
    }
}

/// Runs a test at several points of a publish, in parallel, because the runs mostly wait.
fn at_points(total: u64, points: &[(u64, u64)], test: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        let test = &test;
        let runs: Vec<_> = points
            .iter()
            .map(|(percent, before)| (total * percent / 100).saturating_sub(*before))
            .map(|bytes| (bytes, scope.spawn(move || test(bytes))))
            .collect();
        for (bytes, run) in runs {
            assert!(run.join().is_ok(), "failed after {bytes} of {total} bytes; see above");
        }
    });
}

/// Waits until so many bytes have crossed the line or the run has ended. Returns whether the run is still running.
fn wait_for_bytes(run: &mut Running, proxy: &DelayProxy, bytes: u64) -> bool {
    let deadline = Instant::now() + Duration::from_mins(1);
    while proxy.bytes_up() < bytes && run.is_running() {
        assert!(Instant::now() < deadline, "only {} bytes came", proxy.bytes_up());
        thread::sleep(Duration::from_millis(2));
    }
    run.is_running()
}

/// Each point is a percentage of the bytes, and a number of bytes to subtract: while the run connects, reads, sends,
/// and in the last flights.
const POINTS: [(u64, u64); 7] = [(1, 0), (3, 0), (10, 0), (50, 0), (90, 0), (100, 1500), (100, 700)];

/// Interrupts a publish at several points, over a line of `rate` bytes per second.
fn interrupt(rate: u64) {
    let total = Edited::bytes_of_a_publish();
    let asked = AtomicUsize::new(0);
    at_points(total, &POINTS, |bytes| {
        let edited = Edited::new();
        let proxy = edited.line(Duration::from_millis(200));
        proxy.set_rate(rate);
        let mut run = edited.world.start(&["publish"]);
        let running = wait_for_bytes(&mut run, &proxy, bytes);
        let told = Instant::now();
        if running {
            run.signal(Signal::INT);
        }
        let ran = run.wait();
        let took = told.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?} after the signal\n{ran}");
        if ran.code == 0 && bytes > total - NEAR_THE_END {
            // Two runs differ by some bytes. This one had ended before the signal came.
            edited.finish();
            return;
        }
        let ran = ran.expect_code(130);
        assert_eq!(ran.signal, None, "it ended by itself");
        let live = &ran.json()["error"]["live"];
        let is_new = edited.is_new_live();
        if bytes < total - NEAR_THE_END {
            assert!(!is_new, "nothing was sent that could have made it live\n{ran}");
        }
        if !live.is_null() {
            assert_eq!(text(live) != edited.first, is_new, "{ran}");
        }
        let next = edited.finish();
        // A run that could still find out what is live has also removed its staging directory.
        if !live.is_null() {
            assert!(!next.stderr.contains(WAITED), "the next publish had to wait\n{next}");
        }
        if !live.is_null() {
            asked.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Not at each point: a run can't find out while it connects, and a busy machine may leave it no time.
    assert!(rate > 0 || asked.into_inner() > 0, "no run could ask what is live");
}

#[test]
fn interrupted_publish_ends_soon_and_blocks_no_other_run() {
    interrupt(0);
}

#[test]
fn interrupted_publish_ends_soon_on_a_slow_line_too() {
    interrupt(200_000);
}

#[test]
fn killed_publish_leaves_one_intact_release_and_the_next_takes_over() {
    let total = Edited::bytes_of_a_publish();
    at_points(total, &POINTS, |bytes| {
        let edited = Edited::new();
        let proxy = edited.line(Duration::from_millis(200));
        let mut run = edited.world.start(&["publish"]);
        wait_for_bytes(&mut run, &proxy, bytes);
        let ran = run.kill();
        assert!(ran.signal == Some(9) || bytes > total - NEAR_THE_END, "{ran}");
        let is_new = edited.is_new_live();
        if bytes < total - NEAR_THE_END {
            assert!(!is_new, "nothing was sent that could have made it live\n{ran}");
        }
        edited.finish();
    });
}

#[test]
fn publish_goes_on_after_the_connection_was_cut() {
    let total = Edited::bytes_of_a_publish();
    let points = [
        (1, 0),
        (3, 0),
        (5, 0),
        (20, 0),
        (70, 0),
        (99, 0),
        (100, 2500),
        (100, 900),
        (100, 200),
    ];
    at_points(total, &points, |bytes| {
        let edited = Edited::new();
        let proxy = edited.line(Duration::from_millis(20));
        proxy.cut_after_up(bytes);
        let ran = edited.world.run(&["publish"]);
        // Two runs differ by some bytes, so the last cut may come too late.
        assert!(proxy.has_cut() || bytes > total - NEAR_THE_END, "{ran}");
        let is_new = edited.is_new_live();
        match ran.code {
            0 => {
                assert!(is_new, "{ran}");
                let published = ran.json();
                assert_eq!(published["swapped"], json!(true));
                assert_eq!(published["previous"], json!(edited.first));
            }
            // The connection was cut while it was being established, so the run never had one.
            5 => assert!(!is_new && !text(&ran.json()["error"]["message"]).is_empty(), "{ran}"),
            _ => panic!("{ran}"),
        }
        edited.world.set("", FAST);
        edited.world.assert_whole();
        let next = edited.finish();
        assert_eq!(next.json()["swapped"], json!(!is_new), "{next}");
        assert!(!next.stderr.contains(WAITED), "the next publish had to wait\n{next}");
    });
}

#[test]
fn publish_says_what_is_live_when_the_line_stays_down() {
    let total = Edited::bytes_of_a_publish();
    let points = [(2, 0), (30, 0), (97, 0), (100, 1500), (100, 200)];
    at_points(total, &points, |bytes| {
        let edited = Edited::new();
        let proxy = edited.line(Duration::from_millis(20));
        proxy.cut_for_good_after_up(bytes);
        let ran = edited.world.run(&["publish"]);
        assert!(proxy.has_cut() || bytes > total - NEAR_THE_END, "{ran}");
        let is_new = edited.is_new_live();
        match ran.code {
            0 => assert!(is_new, "{ran}"),
            5 => assert!(!is_new, "{ran}"),
            8 => assert_eq!(ran.json()["error"]["live"], json!(null), "{ran}"),
            _ => panic!("{ran}"),
        }
        edited.finish();
    });
}

#[test]
fn rollback_says_what_is_live_after_the_connection_was_cut() {
    let total = {
        let edited = Edited::new();
        edited.world.publish();
        let proxy = edited.line(Duration::ZERO);
        edited.world.ask(&["rollback"]);
        proxy.bytes_up()
    };
    let points = [(60, 0), (80, 0), (90, 0), (95, 0), (100, 500), (100, 300), (100, 150)];
    at_points(total, &points, |bytes| {
        let edited = Edited::new();
        let second = edited.world.publish();
        let proxy = edited.line(Duration::from_millis(20));
        proxy.cut_after_up(bytes);
        let ran = edited.world.run(&["rollback"]);
        assert!(proxy.has_cut() || bytes > total - 600, "{ran}");
        let is_new = edited.is_new_live();
        match ran.code {
            0 => assert!(!is_new, "it claims to have rolled back\n{ran}"),
            5 => {
                assert!(is_new, "it claims to have failed\n{ran}");
                let live = &ran.json()["error"]["live"];
                assert!(live.is_null() || text(live) == second, "{ran}");
            }
            _ => panic!("{ran}"),
        }
        edited.finish();
    });
}

#[test]
fn of_two_publishers_one_goes_live_and_the_other_says_so() {
    thread::scope(|scope| {
        for kind in Kind::all() {
            scope.spawn(move || {
                let world = World::empty(kind);
                small_export(&world.export());
                let other = crate::support::command::Project::new();
                small_export(&other.dir.join("export"));
                world.publish();
                std::fs::copy(
                    world.project.dir.join("site-manifest.toml"),
                    other.dir.join("site-manifest.toml"),
                )
                .unwrap();
                for (round, wait) in [&[][..], &[], &["--wait", "1m"], &[]].into_iter().enumerate() {
                    for (number, project) in [&world.project, &other].into_iter().enumerate() {
                        let page = format!("round {round} of {number}");
                        write(&project.dir.join("export/docs/a.html"), page.repeat(100));
                    }
                    let args = [&["publish", "--json"], wait].concat();
                    let runs = [&world.project, &other].map(|project| project.spawn(&args));
                    let [ours, theirs] = runs.map(Running::wait);
                    let candidates = [&world.project, &other].map(|project| files_below(&project.dir.join("export")));
                    let live = world.live_files();
                    let at = candidates.iter().position(|candidate| *candidate == live);
                    let at = at.expect("one of the two is live, whole");
                    let codes = [ours.code, theirs.code];
                    assert_eq!(codes[at], 0, "what is live failed\n{ours}\n{theirs}");
                    let allowed = if wait.is_empty() { &[0, 4][..] } else { &[0] };
                    assert!(codes.iter().all(|code| allowed.contains(code)), "{ours}\n{theirs}");
                    let winner = [&ours, &theirs][at].json();
                    assert_eq!(world.ask(&["status"])["release"], winner["release"]);
                    world.assert_whole();
                }
            });
        }
    });
}

#[test]
fn interrupt_while_old_releases_are_pruned_loses_nothing_of_the_result() {
    let edited = Edited::new();
    let proxy = DelayProxy::start(edited.world.sshd().port, Duration::from_millis(200));
    let manifest = edited.world.manifest(proxy.port, "keep = 1\nskew = \"0\"", FAST);
    edited.world.project.write_manifest(&manifest);
    let mut run = edited.world.start(&["publish"]);
    run.wait_for_stdout("\"swapped\"");
    run.signal(Signal::INT);
    let ran = run.wait().expect_code(130);
    assert_eq!(
        ran.json()["swapped"],
        true,
        "one JSON value, of a release that is live\n{ran}"
    );
    assert!(ran.stderr.contains("after the release went live"), "{ran}");
    assert!(edited.is_new_live());
    edited.finish();
}

//! Clocks that are hours apart: the publishing machine and the host disagree about the time. Releases, holds, locks and
//! the window of the pool use only the host's clock, so the results stay the same.
//!
//! The command runs under libfaketime; the host stamps everything that the command does there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syntax_publish::host::Time;
use walkdir::WalkDir;

use crate::support::command::{Project, Ran, Running, small_export, write};
use crate::support::files::make_old;
use crate::support::sshd::{Jail, Sshd, give_to, is_root};

/// Five and a half hours ahead, and behind.
const SKEWS: [&str; 2] = ["+19800s", "-19800s"];

/// The greatest difference in seconds between times of one run, on a slow machine.
const NEAR: Time = 120;

/// The library that gives a process another time; `None` if it is not installed.
fn faketime() -> Option<PathBuf> {
    let found = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = found.into_iter().find(|library| library.exists());
    if found.is_none() {
        // Written directly to stderr, because the test runner captures the output of a passing test.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: libfaketime is missing: tests/run installs it"
        );
    }
    found
}

/// A site on a server, published from machines with other clocks.
struct World {
    project: Project,
    sshd: Sshd,
    library: PathBuf,
}

impl World {
    fn new() -> Option<World> {
        let library = faketime()?;
        let sshd = Sshd::start(Jail::Plain);
        let project = Project::new();
        small_export(&project.dir.join("out"));
        project.write_manifest(&format!(
            "[publish]\ntarget = \"box\"\nskew = \"1h\"\n[encode]\nbrotli = 1\ngzip = 1\n\
             [targets.box]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nidentity = \"{}\"\n\
             host-key = \"{}\"\ndocroot = \"{}\"\n",
            sshd.port,
            sshd.user,
            sshd.identity.display(),
            sshd.host_key,
            sshd.remote_docroot,
        ));
        Some(World { project, sshd, library })
    }

    fn spawn_at(&self, skew: &str, args: &[&str]) -> Running {
        let library = self.library.display().to_string();
        let env = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME", skew),
            // A wrong clock still runs at the normal speed.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        self.project.spawn_env(args, &env)
    }

    fn run_at(&self, skew: &str, args: &[&str]) -> Ran {
        self.spawn_at(skew, args).wait()
    }

    fn edit(&self, text: &str) {
        write(&self.project.dir.join("out/docs/a.html"), text);
    }

    fn pool_has(&self, name: &str) -> bool {
        let pool = self.sshd.docroot.join("immutable");
        WalkDir::new(pool)
            .into_iter()
            .flatten()
            .any(|entry| entry.file_name().to_str() == Some(name))
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    Time::try_from(since.as_secs()).expect("a time")
}

/// Converts a time as in `--json` to seconds since 1970.
fn seconds(value: &serde_json::Value) -> Time {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    text.parse::<jiff::Timestamp>().expect("a time").as_second()
}

fn mtime(path: &Path) -> Time {
    fs::symlink_metadata(path).expect("a path").mtime()
}

#[test]
fn the_command_believes_the_other_clock() {
    let Some(world) = World::new() else { return };
    world.run_at("+0s", &["publish"]).expect_code(0);
    for (skew, way) in SKEWS.iter().zip(["behind", "ahead of"]) {
        let findings = world.run_at(skew, &["doctor", "--json"]).json();
        let clock = findings
            .as_array()
            .expect("findings")
            .iter()
            .find(|f| f["check"] == "clock");
        let detail = clock.expect("a finding")["detail"].to_string();
        assert!(detail.contains(way) && detail.contains(" s "), "{detail}");
    }
}

#[test]
fn releases_are_dated_by_the_host_and_sort_in_their_order() {
    let Some(world) = World::new() else { return };
    let mut made = Vec::new();
    for (number, skew) in [SKEWS[0], SKEWS[1], "+0s", SKEWS[0]].iter().enumerate() {
        world.edit(&format!("edit {number}"));
        let published = world.run_at(skew, &["publish", "--json"]).expect_code(0).json();
        made.push(published["release"].as_str().expect("a release").to_owned());
    }
    assert!(made.is_sorted(), "{made:?}");
    let releases = world.project.run(&["releases", "--json"]).expect_code(0).json();
    for release in releases.as_array().expect("releases") {
        assert!((seconds(&release["created"]) - now()).abs() < NEAR, "{release}");
    }
    for skew in SKEWS {
        let status = world.run_at(skew, &["status", "--json"]).expect_code(0).json();
        let swapped = mtime(&world.sshd.docroot.join("current"));
        assert!((seconds(&status["since"]) - swapped).abs() < NEAR, "{status}");
        world.run_at(skew, &["verify", "--deep"]).expect_code(0);
    }
}

#[test]
fn a_rollback_from_another_clock_goes_back_to_what_was_live() {
    let Some(world) = World::new() else { return };
    for skew in SKEWS {
        world.edit(&format!("before {skew}"));
        let first = world.run_at(skew, &["publish", "--json"]).expect_code(0).json();
        world.edit(&format!("after {skew}"));
        world.run_at("+0s", &["publish"]).expect_code(0);
        let back = world.run_at(skew, &["rollback", "--json"]).expect_code(0).json();
        assert_eq!(back["release"], first["release"]);
        world.run_at(skew, &["verify", "--deep"]).expect_code(0);
    }
}

#[test]
fn a_lock_is_as_old_as_the_host_says() {
    let Some(world) = World::new() else { return };
    world.project.run(&["publish"]).expect_code(0);
    for (number, skew) in SKEWS.iter().enumerate() {
        let holder = world.sshd.docroot.join(format!("lock/00000000000000a{number}"));
        world.edit(&format!("edit {number}"));
        fs::create_dir_all(&holder).expect("a lock");
        if is_root() {
            give_to(&holder, &world.sshd.user);
        }
        // A living holder shows itself by new names in the lock.
        let mut run = world.spawn_at(skew, &["publish"]);
        let mut beats = 0;
        while run.is_running() {
            fs::create_dir(holder.join(format!("beat{beats}"))).expect("the lock was robbed");
            beats += 1;
            thread::sleep(Duration::from_millis(300));
        }
        run.wait().expect_code(4);
        make_old(&world.sshd.docroot.join("lock"));
        world.run_at(skew, &["publish"]).expect_code(0);
        assert!(!holder.exists(), "a dead holder's lock was not taken");
    }
}

#[test]
fn what_was_replaced_stays_reachable_for_the_window_by_the_hosts_clock() {
    let Some(world) = World::new() else { return };
    let chunk = |name: &str| world.project.dir.join("out/_next/static/chunks").join(name);
    for (number, skew) in SKEWS.iter().enumerate() {
        let name = format!("only-once-{number}.js");
        write(&chunk(&name), format!("once({number});"));
        world.run_at(skew, &["publish"]).expect_code(0);
        fs::remove_file(chunk(&name)).expect("a chunk");
        world.edit(&format!("edit {number}"));
        world.run_at(skew, &["publish"]).expect_code(0);
        // By the clock here, hours have passed, or the time has not come yet.
        for prunes_at in [SKEWS[0], SKEWS[1], "+0s"] {
            world.run_at(prunes_at, &["prune"]).expect_code(0);
            assert!(world.pool_has(&name), "a prune at {prunes_at} took {name} away");
        }
    }
}

#[test]
fn a_hold_is_dated_by_the_host_and_stops_every_clock() {
    let Some(world) = World::new() else { return };
    world.project.run(&["publish"]).expect_code(0);
    world.edit("edited");
    for (holds, publishes) in [(SKEWS[0], SKEWS[1]), (SKEWS[1], SKEWS[0])] {
        world.run_at(holds, &["hold", "for a test"]).expect_code(0);
        let status = world.run_at(publishes, &["status", "--json"]).expect_code(0).json();
        assert!(status["held"].to_string().contains("for a test"), "{status}");
        world.run_at(publishes, &["publish"]).expect_code(4);
        let hold = fs::read_link(world.sshd.docroot.join("hold")).expect("a hold");
        let hold: serde_json::Value = serde_json::from_str(hold.to_str().expect("text")).expect("a document");
        assert!((hold["since"].as_i64().expect("a time") - now()).abs() < NEAR, "{hold}");
        world.run_at(publishes, &["resume"]).expect_code(0);
    }
    world.run_at(SKEWS[1], &["publish"]).expect_code(0);
}

//! Files that change while the export is read. Each test stops the run in the middle of a large file, so that the test
//! does not depend on the speed of the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::World;
use crate::support::command::{Ran, Running, Signal, visitor_state};

/// Large enough that the test catches a run while it reads such a file; takes no room on the disk.
const LARGE: u64 = 192 << 20;

fn sparse(path: &Path, size: u64) {
    File::create(path).and_then(|file| file.set_len(size)).unwrap();
}

/// Stops a run while it has a file open.
fn stop_while_reading(run: &mut Running, path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let open = PathBuf::from(format!("/proc/{}/fd", run.pid()));
    let reads = || {
        let Ok(entries) = fs::read_dir(&open) else {
            return false;
        };
        entries
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == path))
    };
    while !reads() {
        assert!(run.is_running(), "it ended before it read {}", path.display());
        assert!(Instant::now() < deadline, "it never read {}", path.display());
        thread::sleep(Duration::from_millis(1));
    }
    run.signal(Signal::STOP);
    assert!(reads(), "it read {} faster than it was stopped", path.display());
}

/// Publishes and makes a change while the run reads the first large file.
fn publish_while(world: &World, change: impl FnOnce()) -> Ran {
    let before = visitor_state(&world.docroot.join("current"));
    let mut run = world.project.spawn(&["publish", "--quiet"]);
    stop_while_reading(&mut run, &world.out("a.bin"));
    change();
    run.signal(Signal::CONT);
    let ran = run.wait();
    assert_eq!(visitor_state(&world.docroot.join("current")), before);
    ran
}

#[test]
fn a_file_that_grows_in_the_middle_of_the_reading_ends_the_publish() {
    let world = World::local();
    sparse(&world.out("a.bin"), LARGE);
    let ran = publish_while(&world, || {
        let file = File::options().append(true).open(world.out("a.bin")).unwrap();
        file.set_len(LARGE + 1).unwrap();
    });
    insta::assert_snapshot!(world.shown(&ran), @r"
    exit 1
    --- stdout

    --- stderr
    error: a.bin changed while it was read
    target: local (target/docroot)
    live: [release]
    hint: let the build end before publishing, and try again
    ");
}

#[test]
fn a_file_that_is_cut_short_in_the_middle_of_the_reading_ends_the_publish() {
    let world = World::local();
    sparse(&world.out("a.bin"), LARGE);
    let ran = publish_while(&world, || {
        let file = File::options().write(true).open(world.out("a.bin")).unwrap();
        file.set_len(10).unwrap();
    });
    insta::assert_snapshot!(world.shown(&ran), @r"
    exit 1
    --- stdout

    --- stderr
    error: a.bin changed while it was read
    target: local (target/docroot)
    live: [release]
    hint: let the build end before publishing, and try again
    ");
}

#[test]
fn a_file_that_vanishes_before_it_is_read_ends_the_publish() {
    let world = World::local();
    sparse(&world.out("a.bin"), LARGE);
    sparse(&world.out("b.bin"), 64 << 20);
    let ran = publish_while(&world, || fs::remove_file(world.out("b.bin")).unwrap());
    insta::assert_snapshot!(world.shown(&ran), @r"
    exit 1
    --- stdout

    --- stderr
    error: b.bin was deleted while the export was read
    target: local (target/docroot)
    live: [release]
    hint: let the build end before publishing, and try again
    ");
}

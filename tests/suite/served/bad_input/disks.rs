//! Disks that fail, and servers with tight limits: out of inodes, read-only or full in the middle of a publish, slow;
//! one session per connection, few open files. Over SFTP and in a folder. Visitors still get the same content, byte for
//! byte. Once there is room again the next publish succeeds, and prune leaves nothing of the failed one.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use syntax_publish::host::{Answer, Answers, Connect, Host, HostError, Local, LocalConnector, Op, SftpConnector};

use super::World;
use super::served::Unmount;
use crate::proofs::crashes::scenario::{base, edited};
use crate::served::contract::address;
use crate::support::bench::{self, How, faults_of_live, seen};
use crate::support::command::{Running, Signal, write};
use crate::support::files::make_old;
use crate::support::sshd::{Jail, Sshd, give_to, root_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A live release on its own small disk.
struct Small {
    world: World,
    _disk: Unmount,
}

fn mount(args: &[&str]) -> bool {
    Command::new("mount")
        .args(args)
        .status()
        .is_ok_and(|status| status.success())
}

impl Small {
    /// On a local target and on a served one; empty if this machine does not allow mounts.
    fn all() -> Vec<Small> {
        if !root_for("a small file system") {
            return Vec::new();
        }
        let worlds = [World::empty(), World::empty_served(Jail::Plain)];
        worlds.into_iter().filter_map(Small::on).collect()
    }

    fn on(world: World) -> Option<Small> {
        fs::create_dir_all(&world.docroot).expect("a docroot");
        let at = world.docroot.display().to_string();
        if !mount(&["-t", "tmpfs", "-o", "size=96m,mode=755", "tmpfs", &at]) {
            skipped("does not let a file system be mounted");
            return None;
        }
        let disk = Unmount(at);
        if let Some(sshd) = &world.sshd {
            give_to(&world.docroot, &sshd.user);
        }
        world.project.run(&["publish"]).expect_code(0);
        Some(Small { world, _disk: disk })
    }

    fn remount(&self, option: &str) {
        let at = self.world.docroot.display().to_string();
        assert!(
            mount(&["-o", &format!("remount,{option}"), &at]),
            "remount with {option}"
        );
    }

    /// Begins a publish of something large, and stops it once it has begun to prepare on the host.
    fn stopped_publish(&self) -> Running {
        write(&self.world.out("noise.bin"), noise(24 << 20));
        self.world.edit("edited while the disk fails");
        let mut run = self.world.project.spawn(&["publish"]);
        let until = Instant::now() + PATIENCE;
        while is_empty(&self.world.docroot.join("work")) {
            assert!(
                Instant::now() < until && run.is_running(),
                "it never began: {}",
                run.stderr()
            );
            thread::sleep(Duration::from_millis(1));
        }
        run.signal(Signal::STOP);
        run
    }
}

/// Checks that with room again the next publish succeeds, and that nothing is left of the failed one.
fn recovers(world: &World) {
    world.project.run(&["publish"]).expect_code(0);
    world.project.run(&["verify", "--deep"]).expect_code(0);
    for folder in ["work", "lock"] {
        make_old(&world.docroot.join(folder));
    }
    world.project.run(&["prune"]).expect_code(0);
    for folder in ["work", "lock", "stale"] {
        assert!(is_empty(&world.docroot.join(folder)), "something is left in {folder}");
    }
    let again = world.project.run(&["prune", "--json"]).expect_code(0).json();
    for what in ["releases", "trees", "objects", "bytes"] {
        assert_eq!(again[what], 0, "{again}");
    }
    world.project.run(&["verify", "--deep"]).expect_code(0);
}

/// Mounts the docroot over itself read-only, in a single step, because a server has requests in progress.
fn read_only_over(docroot: &Path) -> [Unmount; 2] {
    let (at, aside) = (docroot.display().to_string(), docroot.with_file_name("aside"));
    fs::create_dir(&aside).expect("a folder");
    let aside = aside.display().to_string();
    assert!(mount(&["--bind", &at, &aside]) && mount(&["-o", "remount,ro,bind", &aside]));
    let aside_again = Unmount(aside.clone());
    assert!(mount(&["--bind", &aside, &at]), "a mount that is read-only");
    [Unmount(at), aside_again]
}

/// Reports a skipped test directly to stderr, because the test runner captures the output of a passing test.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: this machine {why}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Bytes that no encoder can shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56).to_le_bytes()[0]
    })
    .take(length)
    .collect()
}

fn many_pages(world: &World) {
    for page in 0..300 {
        write(
            &world.out(&format!("many/{page}.html")),
            format!("<!doctype html><p>Page {page}, of many"),
        );
    }
}

#[test]
fn a_disk_without_inodes_says_so_and_a_retry_goes_on() {
    for small in Small::all() {
        let world = &small.world;
        let disk = rustix::fs::statvfs(&world.docroot).expect("a file system");
        many_pages(world);
        small.remount(&format!("nr_inodes={}", disk.f_files - disk.f_ffree + 60));
        let shown = world.fails(5, &["publish"]);
        assert!(
            shown.contains("is full") && shown.contains("no room for another file"),
            "{shown}"
        );
        assert!(shown.contains("hint: make room on the host"), "{shown}");
        small.remount("nr_inodes=100000");
        recovers(world);
    }
}

#[test]
fn where_there_is_no_earlier_release_a_full_disk_is_no_reason_to_prune() {
    for small in Small::all() {
        let world = &small.world;
        let first = "hint: make room on the host, or publish to a larger disk";
        let prune = "hint: make room on the host; `syntax-publish prune` deletes old releases";
        write(&world.out("noise.bin"), noise(120 << 20));
        let full = || world.project.run(&["publish"]).expect_code(5).stderr;
        let said = full();
        assert!(said.contains(prune), "{said}");
        for entry in fs::read_dir(&world.docroot).expect("a docroot") {
            let path = entry.expect("an entry").path();
            let removed = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
            removed.expect("an empty docroot");
        }
        let said = full();
        assert!(said.contains(first) && !said.contains("prune"), "{said}");
        let json = world.project.run(&["publish", "--json"]).expect_code(5).json();
        assert_eq!(json["error"]["hint"], first.trim_start_matches("hint: "));
    }
}

#[test]
fn a_disk_that_fills_up_under_a_publish_says_so_and_a_retry_goes_on() {
    for small in Small::all() {
        let world = &small.world;
        let before = world.visible();
        let run = small.stopped_publish();
        let filler = world.docroot.join("stale/filler");
        // Ends with an error once the disk is full.
        let _ = fs::write(&filler, vec![7; 96 << 20]);
        run.signal(Signal::CONT);
        let shown = world.shown(&run.wait().expect_code(5));
        assert!(shown.contains("is full: 0 bytes free"), "{shown}");
        assert_eq!(world.visible(), before, "the live site changed");
        fs::remove_file(filler).expect("to make room");
        recovers(world);
    }
}

#[test]
fn a_disk_that_becomes_read_only_under_a_publish_says_so_and_a_retry_goes_on() {
    for small in Small::all() {
        let world = &small.world;
        let before = world.visible();
        let run = small.stopped_publish();
        // The kernel does the same after a disk fault: open files stay open, and no name can change any more.
        let read_only = read_only_over(&world.docroot);
        run.signal(Signal::CONT);
        let shown = world.shown(&run.wait().expect_code(5));
        assert!(shown.contains("read-only"), "{shown}");
        assert_eq!(world.visible(), before, "the live site changed");
        drop(read_only);
        recovers(world);
    }
}

#[test]
fn one_session_a_connection_is_enough() {
    let world = World::on(Sshd::start_with(Jail::Plain, "MaxSessions 1\n"));
    many_pages(&world);
    world.project.run(&["publish"]).expect_code(0);
    world.edit("edited");
    world.project.run(&["publish"]).expect_code(0);
    world.project.run(&["rollback"]).expect_code(0);
    world.project.run(&["verify", "--deep"]).expect_code(0);
    world.project.run(&["prune"]).expect_code(0);
}

#[test]
fn a_server_that_opens_too_few_files_says_so_and_a_retry_goes_on() {
    if !has_prlimit() {
        return;
    }
    let world = World::served(Jail::Plain);
    many_pages(&world);
    world.sshd().limit_open_files(128);
    let shown = world.fails(5, &["publish"]);
    assert!(shown.contains("refused: create "), "{shown}");
    assert!(
        shown.contains("hint: let the server have 1024 files open at once"),
        "{shown}"
    );
    world.sshd().limit_open_files(1024);
    recovers(&world);
}

#[test]
fn a_server_that_opens_1024_files_is_enough_for_any_site() {
    if !has_prlimit() {
        return;
    }
    let world = World::empty_served(Jail::Plain);
    world.sshd().limit_open_files(1024);
    for page in 0..1500 {
        write(
            &world.out(&format!("many/{page}.html")),
            format!("<p>Page {page}, of many"),
        );
    }
    world.project.run(&["publish"]).expect_code(0);
    world.project.run(&["verify", "--deep"]).expect_code(0);
}

fn has_prlimit() -> bool {
    let there = Command::new("prlimit").arg("--version").output().is_ok();
    if !there {
        skipped("has no prlimit");
    }
    there
}

/// A folder on a disk that delays each operation.
struct Slow<C>(Arc<C>);

struct SlowHost(Box<dyn Host>);

const EACH: Duration = Duration::from_millis(3);

impl<C: Connect> Connect for Slow<C> {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(SlowHost(self.0.connect().await?)) as Box<dyn Host>) })
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

impl Host for SlowHost {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        Box::pin(async move {
            tokio::time::sleep(EACH * u32::try_from(ops.len()).unwrap_or(u32::MAX)).await;
            self.0.flight(ops).await
        })
    }
}

#[tokio::test]
async fn a_slow_disk_makes_a_publish_slow_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let docroot = folder.path().join("docroot");
    let local = Arc::new(LocalConnector {
        docroot: docroot.clone(),
    });
    let slow = || Box::new(Slow(Arc::clone(&local)));
    let run = async |command: bench::Command| {
        let done = bench::run(slow(), &command, How::default()).await;
        done.expect("a command on a slow disk");
    };
    run(bench::Command::Publish(base())).await;
    run(bench::Command::Publish(edited())).await;
    run(bench::Command::Rollback(1)).await;
    run(bench::Command::Prune(1)).await;
    let host = Local::open(&docroot).expect("a docroot");
    assert_eq!(seen(&host).await.site.get("docs/a.html"), base().get("docs/a.html"));
    assert_eq!(faults_of_live(slow()).await, []);
}

/// Refuses a copy whose last part could not be written, which OpenSSH reports as a success.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_for_which_the_disk_has_no_room_is_refused() {
    if !root_for("a small file system") {
        return;
    }
    let sshd = Sshd::start(Jail::Plain);
    fs::create_dir_all(&sshd.docroot).expect("a docroot");
    let at = sshd.docroot.display().to_string();
    if !mount(&["-t", "tmpfs", "-o", "size=96k,mode=755", "tmpfs", &at]) {
        return skipped("does not let a file system be mounted");
    }
    let _disk = Unmount(at);
    give_to(&sshd.docroot, &sshd.user);
    let connector = SftpConnector::new(address(&sshd)).expect("an address");
    let host = connector.connect().await.expect("a connection");
    fs::write(sshd.docroot.join("from"), noise(60_000)).expect("room for a file");
    let ops = vec![Op::Open("from".to_owned()), Op::Create("to".to_owned())];
    let opened = host.flight(ops).await.expect("a connection");
    let [Ok(Answer::Opened(from)), Ok(Answer::Opened(to))] = opened[..] else {
        panic!("{opened:?}");
    };
    let copy = Op::Copy {
        from,
        offset: 0,
        length: 60_000,
        to,
        at: 0,
    };
    let copied = host.flight(vec![copy]).await.expect("a connection");
    assert!(copied[0].is_err(), "{copied:?}");
}

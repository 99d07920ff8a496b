//! Lines that break: a publish over a real SSH server whose line is cut at every distinct place, falls silent, is slow
//! or far away; servers and clients that are killed, terminated, or stopped until another run has taken over.
//!
//! The connection is encrypted, so the only visible structure is where each packet ended. The long run cuts at each of
//! these places, and a byte before and after, in both directions; each test run cuts at every 41st of them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use syntax_publish::host::{Connect, SftpAddress, SftpConnector};

use crate::proofs::crashes::ground::Ground;
use crate::proofs::crashes::points::{Course, course, host, judge};
use crate::proofs::crashes::scenario::{self, Scenario};
use crate::served::crashes_served::Served;
use crate::support::bench::{Command, Encode, How, faults_of_live, run, seen};
use crate::support::command::{Project, Running, Signal, small_export};
use crate::support::delay::DelayProxy;
use crate::support::report::say;
use crate::support::sshd::{Jail, Sshd};

/// The direction, the byte and the kind of a cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Up(u64),
    Down(u64),
    UpForGood(u64),
    DownForGood(u64),
}

fn over(proxy: &DelayProxy, ground: &Served) -> Box<SftpConnector> {
    let sshd = &ground.sshd;
    let address = SftpAddress {
        host: "127.0.0.1".to_owned(),
        port: Some(proxy.port),
        user: Some(sshd.user.clone()),
        identity: Some(sshd.identity.clone()),
        host_key: Some(sshd.host_key.clone()),
        docroot: ground.docroot.display().to_string(),
        ..SftpAddress::default()
    };
    Box::new(SftpConnector::new(address).expect("an address"))
}

fn on_a_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// Runs a scenario's command over a line, and checks everything afterwards. Returns whether the new release is live.
fn run_over(
    proxy: &DelayProxy,
    ground: &Served,
    scenario: &Scenario,
    course: &Course,
    how: How,
) -> Result<bool, String> {
    on_a_thread(async {
        let done = run(over(proxy, ground), &scenario.command, how).await;
        // The checks below expect the server to be done with the pending requests of a broken connection.
        let host = host(ground).await;
        let is_new = judge(&seen(&*host).await, course)?;
        let uncertain = matches!(done, Err(syntax_publish::store::Error::Uncertain { .. }));
        if done.is_ok() && !is_new {
            return Err("it reports success, and the old release is live".to_owned());
        }
        if let (Err(error), true, false) = (&done, is_new, uncertain) {
            return Err(format!(
                "it reports that it failed, and the new release is live: {error}"
            ));
        }
        let whole = faults_of_live(ground.connector()).await;
        if !whole.is_empty() {
            return Err(format!("verify finds {whole:?}"));
        }
        ground.age();
        let again = run(
            ground.connector(),
            &Command::Publish(scenario.next.clone()),
            How::default(),
        )
        .await;
        again.map_err(|error| format!("the next publish: {error}"))?;
        let whole = faults_of_live(ground.connector()).await;
        if !whole.is_empty() {
            return Err(format!("after the next publish, verify finds {whole:?}"));
        }
        Ok(is_new)
    })
}

/// Runs a command over several lines, and returns the one that carried the fewest bytes: the number of packets, and
/// therefore of bytes, depends on how busy the machine is.
fn shortest_rehearsal(run: impl Fn(&DelayProxy) -> Result<bool, String>, port: u16) -> DelayProxy {
    let rehearsals = (0..4).map(|_| {
        let proxy = DelayProxy::start(port, Duration::ZERO);
        assert_eq!(run(&proxy), Ok(true));
        proxy
    });
    let shortest = rehearsals.min_by_key(|proxy| proxy.bytes_up() + proxy.bytes_down());
    shortest.expect("a rehearsal")
}

fn cut_everywhere(stride: usize) {
    let sshd = Arc::new(Sshd::start(Jail::Plain));
    let scenario = scenario::publish_that_adds_to_the_pool();
    let ground = Served::new(&sshd);
    let (course, saved) = on_a_thread(course(&ground, &scenario));
    ground.restore(saved.as_ref());
    let run_over = |proxy: &DelayProxy, ground: &Served| run_over(proxy, ground, &scenario, &course, How::default());
    let proxy = shortest_rehearsal(
        |proxy| {
            ground.restore(saved.as_ref());
            run_over(proxy, &ground)
        },
        sshd.port,
    );
    let around = |pieces: Vec<u64>| -> Vec<u64> {
        let mut places: Vec<u64> = pieces.into_iter().flat_map(|end| [end - 1, end, end + 1]).collect();
        places.sort_unstable();
        places.dedup();
        places
    };
    let (up, down) = (around(proxy.pieces_up()), around(proxy.pieces_down()));
    let both = up.iter().flat_map(|bytes| [Cut::Up(*bytes), Cut::UpForGood(*bytes)]);
    let back = down
        .iter()
        .flat_map(|bytes| [Cut::Down(*bytes), Cut::DownForGood(*bytes)]);
    let all: Vec<Cut> = both.chain(back).collect();
    let chosen: Vec<Cut> = all.iter().copied().step_by(stride).collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new((0, 0, 0, Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let ground = Served::new(&sshd);
                while let Some(cut) = chosen.get(next.fetch_add(1, Ordering::SeqCst)) {
                    ground.restore(saved.as_ref());
                    let proxy = DelayProxy::start(sshd.port, Duration::ZERO);
                    match *cut {
                        Cut::Up(bytes) => proxy.cut_after_up(bytes),
                        Cut::Down(bytes) => proxy.cut_after_down(bytes),
                        Cut::UpForGood(bytes) => proxy.cut_for_good_after_up(bytes),
                        Cut::DownForGood(bytes) => proxy.cut_for_good_after_down(bytes),
                    }
                    let went = run_over(&proxy, &ground).and_then(|is_new| {
                        let (place, passed) = match *cut {
                            Cut::Up(bytes) | Cut::UpForGood(bytes) => (bytes, proxy.bytes_up()),
                            Cut::Down(bytes) | Cut::DownForGood(bytes) => (bytes, proxy.bytes_down()),
                        };
                        if proxy.has_cut() || passed < place {
                            Ok(is_new)
                        } else {
                            Err(format!("nothing was cut, and {passed} bytes passed"))
                        }
                    });
                    let mut tally = tally.lock().expect("a tally");
                    tally.0 += usize::from(proxy.has_cut());
                    match went {
                        Ok(false) => tally.1 += 1,
                        Ok(true) => tally.2 += 1,
                        Err(wrong) => tally.3.push(format!("{cut:?}: {wrong}")),
                    }
                }
            });
        }
    });
    let (happened, old, new, wrong) = tally.into_inner().expect("a tally");
    say(&format!(
        "cuts: {} of {} places ({} bytes up in {} pieces, {} down in {}); {happened} cuts happened; then the old release was live {old} times, the new one {new} times",
        chosen.len(),
        all.len(),
        up.last().unwrap_or(&0),
        up.len() / 3,
        down.last().unwrap_or(&0),
        down.len() / 3,
    ));
    assert!(wrong.is_empty(), "{} are wrong: {}", wrong.len(), wrong.join("\n"));
    assert!(happened * 2 > chosen.len(), "cuts that happen");
    assert!(old > 0 && new > 0);
}

#[test]
fn a_line_cut_at_every_41st_place_tears_nothing() {
    cut_everywhere(41);
}

#[test]
#[ignore = "takes many minutes"]
fn a_line_cut_at_any_place_tears_nothing() {
    cut_everywhere(1);
}

/// A run that waits only a second, instead of minutes, for a silent line.
const PATIENT: How = How {
    encode: Encode::Brotli,
    answer: Duration::from_secs(1),
    wait: None,
    skew: Duration::ZERO,
    expire: Duration::from_hours(14 * 24),
};

/// How often a run is made again that ends before it reaches the place where its line would fall silent: what is sent
/// together, and so compresses better, differs from run to run.
const TRIES: usize = 4;

/// The bytes that a client sends before it can make its first request.
fn handshake(ground: &Served) -> u64 {
    let proxy = DelayProxy::start(ground.sshd.port, Duration::ZERO);
    let connected = on_a_thread(over(&proxy, ground).connect());
    drop(connected.expect("a connection"));
    proxy.bytes_up()
}

/// Makes the line fall silent at places after the handshake, and restores it when all is done: data that the old
/// connection still carried must no longer change anything.
fn silence_everywhere(scenario: &Scenario, stride: usize) {
    let sshd = Arc::new(Sshd::start(Jail::Plain));
    let ground = Served::new(&sshd);
    let (course, saved) = on_a_thread(course(&ground, scenario));
    ground.restore(saved.as_ref());
    let handshake = handshake(&ground);
    let proxy = shortest_rehearsal(
        |proxy| {
            ground.restore(saved.as_ref());
            run_over(proxy, &ground, scenario, &course, How::default())
        },
        sshd.port,
    );
    let mut places = proxy.pieces_up();
    places.retain(|end| *end >= handshake);
    // A run that sends fewer packets never reaches the end.
    places.pop();
    let all = places.len();
    let chosen: Vec<u64> = places.into_iter().step_by(stride).collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new((0, 0, 0, Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let ground = Served::new(&sshd);
                while let Some(bytes) = chosen.get(next.fetch_add(1, Ordering::SeqCst)) {
                    for _ in 0..TRIES {
                        ground.restore(saved.as_ref());
                        let proxy = DelayProxy::start(sshd.port, Duration::ZERO);
                        proxy.silence_after_up(*bytes);
                        let went = run_over(&proxy, &ground, scenario, &course, PATIENT);
                        proxy.lift();
                        proxy.wait_for_end();
                        let went = went.and_then(|is_new| {
                            let site = on_a_thread(async { seen(&*host(&ground).await).await.site });
                            let faults = on_a_thread(faults_of_live(ground.connector()));
                            if site != course.next || !faults.is_empty() {
                                return Err(format!("what came late changed something: {faults:?}"));
                            }
                            Ok(is_new)
                        });
                        let mut tally = tally.lock().expect("a tally");
                        tally.0 += usize::from(proxy.has_cut());
                        match went {
                            Ok(false) => tally.1 += 1,
                            Ok(true) => tally.2 += 1,
                            Err(wrong) => tally.3.push(format!("silent after {bytes} bytes: {wrong}")),
                        }
                        if proxy.has_cut() {
                            break;
                        }
                    }
                }
            });
        }
    });
    let (happened, old, new, wrong) = tally.into_inner().expect("a tally");
    say(&format!(
        "silence, {}: {} of {all} places; {happened} happened; then the old release was live {old} times, the new one {new} times",
        scenario.name,
        chosen.len(),
    ));
    assert!(wrong.is_empty(), "{} are wrong: {}", wrong.len(), wrong.join("\n"));
    assert!(happened * 10 >= chosen.len() * 8, "silences that happen");
}

#[test]
fn a_publish_over_a_line_that_falls_silent_tears_nothing() {
    silence_everywhere(&scenario::publish_that_adds_to_the_pool(), 5);
}

#[test]
fn a_rollback_over_a_line_that_falls_silent_tears_nothing() {
    silence_everywhere(&scenario::rollback(), 2);
}

#[test]
#[ignore = "takes minutes"]
fn a_line_that_falls_silent_at_any_place_tears_nothing() {
    silence_everywhere(&scenario::publish_that_adds_to_the_pool(), 1);
    silence_everywhere(&scenario::rollback(), 1);
}

#[test]
#[ignore = "waits minutes for lines that never say anything"]
fn a_line_that_stays_silent_is_given_up() {
    let sshd = Arc::new(Sshd::start(Jail::Plain));
    for scenario in [scenario::publish_that_adds_to_the_pool(), scenario::rollback()] {
        let ground = Served::new(&sshd);
        let (course, saved) = on_a_thread(course(&ground, &scenario));
        ground.restore(saved.as_ref());
        let proxy = DelayProxy::start(sshd.port, Duration::ZERO);
        let went = run_over(&proxy, &ground, &scenario, &course, How::default());
        assert_eq!(went, Ok(true));
        let handshake = handshake(&ground);
        let asked = proxy.bytes_up() - handshake;
        // Not at the very end, which a run with fewer packets does not reach.
        for place in [handshake + asked / 2, handshake + asked * 4 / 5] {
            ground.restore(saved.as_ref());
            let proxy = DelayProxy::start(sshd.port, Duration::ZERO);
            proxy.silence_for_good_after_up(place);
            let began = Instant::now();
            let went = run_over(&proxy, &ground, &scenario, &course, PATIENT);
            assert!(went.is_ok() && proxy.has_cut(), "{}: {went:?}", scenario.name);
            say(&format!(
                "silence for good, {}: given up after {:?}",
                scenario.name,
                began.elapsed()
            ));
        }
    }
}

/// A publish over a line that `worsen` degrades.
fn over_a_line(rtt: Duration, worsen: impl Fn(&DelayProxy)) -> Result<bool, String> {
    let sshd = Arc::new(Sshd::start(Jail::Plain));
    let scenario = scenario::publish_that_adds_to_the_pool();
    let ground = Served::new(&sshd);
    let (course, saved) = on_a_thread(course(&ground, &scenario));
    ground.restore(saved.as_ref());
    let proxy = DelayProxy::start(sshd.port, rtt);
    worsen(&proxy);
    run_over(&proxy, &ground, &scenario, &course, How::default())
}

#[test]
fn a_line_of_a_second_is_waited_for() {
    assert_eq!(over_a_line(Duration::from_secs(1), |_| {}), Ok(true));
}

#[test]
fn a_line_of_ten_thousand_bytes_a_second_will_do() {
    assert_eq!(over_a_line(Duration::ZERO, |proxy| proxy.set_rate(10_000)), Ok(true));
}

/// A project that publishes to a server over its own line.
fn project_over(proxy: &DelayProxy, sshd: &Sshd, text: &str) -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write(
        "out/docs/a.html",
        format!("<!DOCTYPE html><title>{text}</title>").repeat(30),
    );
    project.write_manifest(&format!(
        "[publish]\ntarget = \"box\"\n[encode]\nbrotli = 1\ngzip = 1\n[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n\
         [targets.box]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nport = {}\nuser = {:?}\nidentity = {:?}\nhost-key = {:?}\ndocroot = {:?}\n",
        proxy.port,
        sshd.user,
        sshd.identity.display().to_string(),
        sshd.host_key,
        sshd.remote_docroot
    ));
    project
}

fn live_page(sshd: &Sshd) -> String {
    std::fs::read_to_string(sshd.docroot.join("current/docs/a.html")).expect("the live page")
}

/// Waits until a run holds the lock; returns false if it ends before.
fn wait_for_lock(run: &mut Running, sshd: &Sshd) -> bool {
    loop {
        if std::fs::read_dir(sshd.docroot.join("lock")).is_ok_and(|mut names| names.next().is_some()) {
            return true;
        }
        if !run.is_running() {
            return false;
        }
        thread::yield_now();
    }
}

#[test]
fn a_client_stopped_until_another_took_over_changes_nothing_when_it_wakes() {
    let sshd = Sshd::start(Jail::Plain);
    // Slow enough that the lock is held for a while: there are two flights between taking it and the swap.
    let (near, far) = (
        DelayProxy::start(sshd.port, Duration::ZERO),
        DelayProxy::start(sshd.port, Duration::from_millis(600)),
    );
    project_over(&near, &sshd, "first").run(&["publish"]).expect_code(0);
    let (stopped, other) = (
        project_over(&far, &sshd, "stopped"),
        project_over(&near, &sshd, "other"),
    );
    let mut run = stopped.spawn(&["publish"]);
    assert!(
        wait_for_lock(&mut run, &sshd),
        "it never held the lock: {}",
        run.stderr()
    );
    run.signal(Signal::STOP);
    let began = Instant::now();
    // The other run waits until the lock is stale by the host's clock, and takes it.
    other.run(&["publish", "--wait", "2m"]).expect_code(0);
    assert!(live_page(&sshd).contains("other"));
    run.signal(Signal::CONT);
    let woken = run.wait();
    assert!([4, 5, 1].contains(&woken.code), "{woken}");
    assert!(live_page(&sshd).contains("other"), "{woken}");
    other.run(&["verify", "--deep"]).expect_code(0);
    say(&format!(
        "cuts: taken over from a stopped client after {:?}",
        began.elapsed()
    ));
}

#[test]
fn a_publish_ends_complete_whenever_client_or_server_is_killed() {
    let mut sshd = Sshd::start(Jail::Plain);
    let near = DelayProxy::start(sshd.port, Duration::ZERO);
    project_over(&near, &sshd, "first").run(&["publish"]).expect_code(0);
    let mut sizes = 0;
    for round in 0..12 {
        let text = format!("round {round}");
        let line = DelayProxy::start(sshd.port, Duration::from_millis(20));
        let project = project_over(&line, &sshd, &text);
        let before = live_page(&sshd);
        let mut run = project.spawn(&["publish"]);
        // A complete publish sends some twenty thousand bytes. Each round stops it at a later place.
        while run.is_running() && line.bytes_up() < 4000 + 1500 * round {
            thread::yield_now();
        }
        sizes = sizes.max(line.bytes_up());
        match round % 4 {
            0 => drop(run.kill()),
            1 => {
                if run.is_running() {
                    run.signal(Signal::TERM);
                }
                let ran = run.wait();
                assert!([0, 143].contains(&ran.code), "{ran}");
            }
            2 => {
                sshd.kill_sessions();
                let ran = run.wait();
                assert!([0, 5, 8].contains(&ran.code), "{ran}");
            }
            _ => {
                sshd.kill();
                let ran = run.wait();
                assert!([0, 5, 8].contains(&ran.code), "{ran}");
                sshd.restart();
            }
        }
        let after = live_page(&sshd);
        assert!(after == before || after.contains(&text), "round {round}");
        let next = project_over(&near, &sshd, &format!("after {round}"));
        next.run(&["publish", "--wait", "2m"]).expect_code(0);
        assert!(live_page(&sshd).contains(&format!("after {round}")));
        next.run(&["verify", "--deep"]).expect_code(0);
    }
    say(&format!(
        "cuts: 12 rounds of killed, ended and broken publishes, up to byte {sizes}"
    ));
}

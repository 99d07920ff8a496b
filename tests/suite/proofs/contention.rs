//! Locks that the host refuses although no run holds them, and many runs that want one lock at the same time.

use std::sync::Arc;
use std::time::Duration;

use syntax_publish::host::{Connect as _, LocalConnector, Op, RefusalKind};
use syntax_publish::store::Error;
use syntax_publish::store::LockError;
use syntax_publish::store::StoreError;
use syntax_publish::store::session::Pace;
use syntax_publish::store::staging::LEASE;

use crate::proofs::crashes::scenario::{base, edited, grown};
use crate::support::bench::{self, Command, Content, How, content, redirects, run};
use crate::support::faulty::{Fault, Faulty, Point};
use crate::support::intercept::Intercept;
use crate::support::memory::{Disk, Memory};
use crate::support::report::say;

#[tokio::test]
async fn a_lock_that_is_refused_although_it_is_free_is_explained() {
    let memory = Memory::new(Disk::new(1_000_000));
    for site in [base(), edited()] {
        run(Box::new(memory.clone()), &Command::Publish(site), How::default())
            .await
            .expect("a publish");
    }
    let disk = memory.snapshot();
    let commands = [
        Command::Publish(base()),
        Command::Hold,
        Command::Rollback(1),
        Command::Prune(1),
    ];
    for kind in [RefusalKind::Denied, RefusalKind::Failed] {
        for command in &commands {
            for wait in [None, Some(Duration::from_secs(3600))] {
                memory.replace(disk.clone());
                let takes_lock = |op: &Op| matches!(op, Op::Rename { to, .. } if to == "lock");
                let lockless = Intercept::new(memory.clone()).refuse(kind, takes_lock);
                let how = How { wait, ..How::default() };
                let refused = run(Box::new(lockless.clone()), command, how).await;
                let error = refused.expect_err("a host that gives no lock");
                let is_told = match kind {
                    RefusalKind::Denied => matches!(error, Error::Store(StoreError::NotWritable { .. })),
                    _ => matches!(error, Error::Store(StoreError::Refused { .. })),
                };
                assert!(is_told && error.to_string().contains("lock"), "{command:?}: {error}");
                let operations = lockless.ops().len();
                assert!(operations < 400, "{command:?}: {operations} operations");
                let left = memory.disk().list("work").len();
                assert!(left <= 1, "{command:?} leaves {left} workshops");
            }
        }
    }
}

/// A different site for each publisher and round. Each has a redirect of its own, and all contend for one address.
fn by(number: usize, round: usize) -> Content {
    let text = format!("by {number} in {round} ");
    let mut site = base();
    site.extend(content([("docs/a.html", text.as_str())]));
    let (own, here) = (format!("/by/{number}"), format!("/docs/a#{number}.{round}"));
    site.extend(redirects([("/old/changes", here.as_str()), (own.as_str(), "/docs/a")]));
    site
}

/// Runs publishers at the same time, repeatedly. Returns how many went live, and how many failed because another run
/// was faster.
fn race(publishers: usize, rounds: usize, wait: Option<Duration>) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let docroot = folder.path().join("site");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let (mut live, mut late) = (0, 0);
    runtime.expect("a runtime").block_on(async {
        for round in 0..rounds {
            let running: Vec<_> = (0..publishers)
                .map(|number| {
                    let docroot = docroot.clone();
                    tokio::spawn(async move {
                        let how = How { wait, ..How::default() };
                        let pace = Pace {
                            look: Duration::from_millis(3),
                            ..Pace::default()
                        };
                        let connector = Box::new(LocalConnector { docroot });
                        let session = bench::session(connector, "publish", how).at_pace(pace);
                        bench::publish_over(&session, &by(number, round), how).await
                    })
                })
                .collect();
            for one in running {
                match one.await.expect("a publisher") {
                    Ok(_) => live += 1,
                    Err(error) => {
                        let was_late = matches!(
                            error,
                            Error::Taken(LockError::Busy { .. } | LockError::Fenced)
                                | Error::ConcurrentPublish { .. }
                                | Error::Contention { .. }
                        );
                        assert!(was_late, "{error}");
                        late += 1;
                    }
                }
            }
            let connector = || {
                Box::new(LocalConnector {
                    docroot: docroot.clone(),
                })
            };
            let faults = bench::faults_of_live(connector()).await;
            assert!(faults.is_empty(), "{faults:?}");
        }
    });
    (live, late)
}

#[test]
fn twenty_publishers_in_five_rounds_go_live_or_report_that_another_was_faster() {
    let (live, late) = race(20, 5, None);
    say(&format!(
        "contention: {live} went live, {late} were told that another was quicker"
    ));
    assert!(live >= 5);
}

#[test]
#[ignore = "takes a minute"]
fn twenty_publishers_in_fifty_rounds_go_live_or_report_that_another_was_faster() {
    let (live, _) = race(20, 50, None);
    assert!(live >= 50);
}

#[test]
fn twenty_publishers_that_wait_all_go_live() {
    let (live, late) = race(20, 2, Some(Duration::from_secs(600)));
    assert_eq!((live, late), (40, 0));
}

/// Kills a command as soon as it has the lock.
async fn die_holding(memory: &Memory, command: &Command) {
    let before = memory.snapshot();
    let rehearsal = Faulty::new(Arc::new(memory.clone()), None);
    run(Box::new(rehearsal.clone()), command, How::default())
        .await
        .expect("a publish");
    memory.replace(before);
    let takes_lock = |op: &Op| matches!(op, Op::Rename { to, .. } if to == "lock");
    let flights = rehearsal.record();
    let flight = flights
        .iter()
        .position(|ops| ops.iter().any(takes_lock))
        .expect("a lock");
    let done = 1 + flights[flight].iter().position(takes_lock).expect("a lock");
    let dying = Faulty::new(Arc::new(memory.clone()), Some((Point { flight, done }, Fault::Dead)));
    assert!(run(Box::new(dying), command, How::default()).await.is_err());
    assert_eq!(memory.disk().list("lock").len(), 1);
}

#[tokio::test]
async fn a_publish_does_not_wait_for_one_to_a_channel() {
    let memory = Memory::new(Disk::new(1_000_000));
    let publish = |site| Command::Publish(site);
    run(Box::new(memory.clone()), &publish(base()), How::default())
        .await
        .expect("a publish");
    let before = memory.snapshot();
    die_holding(&memory, &Command::PublishToChannel(grown())).await;
    let died = memory.disk().now();
    run(Box::new(memory.clone()), &publish(edited()), How::default())
        .await
        .expect("a publish");
    assert_eq!(bench::faults_of_live(Box::new(memory.clone())).await, []);
    assert!(memory.disk().list("channels").is_empty());
    // A run that changes the live site is waited for.
    let soon = memory.disk().now() - died;
    memory.replace(before);
    die_holding(&memory, &publish(edited())).await;
    let died = memory.disk().now();
    run(Box::new(memory.clone()), &publish(grown()), How::default())
        .await
        .expect("a publish");
    let late = memory.disk().now() - died;
    assert!(soon < LEASE && late >= LEASE, "{soon} s, and {late} s");
}

#[test]
fn publishers_of_channels_and_of_the_live_site_all_succeed() {
    let folder = tempfile::tempdir().expect("a folder");
    let docroot = folder.path().join("site");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let how = How {
            wait: Some(Duration::from_secs(600)),
            ..How::default()
        };
        let connector = || {
            Box::new(LocalConnector {
                docroot: docroot.clone(),
            })
        };
        run(connector(), &Command::Publish(base()), how)
            .await
            .expect("a publish");
        let running: Vec<_> = (0..8)
            .map(|number| {
                let connector = connector();
                let command = match number % 2 {
                    0 => Command::Publish(by(number, 0)),
                    _ => Command::PublishToChannel(by(number, 0)),
                };
                tokio::spawn(async move { run(connector, &command, how).await.map(drop) })
            })
            .collect();
        for one in running {
            one.await.expect("a publisher").expect("a publish");
        }
        assert_eq!(bench::faults_of_live(connector()).await, []);
        let seen = bench::seen(&*connector().connect().await.expect("a connection")).await;
        let shown = (0..8).filter(|number| number % 2 == 1).map(|number| by(number, 0));
        let preview: Content = seen
            .preview
            .into_iter()
            .filter(|(path, _)| !path.ends_with(".br"))
            .collect();
        assert!(shown.into_iter().any(|site| site == preview), "{:?}", preview.keys());
    });
}

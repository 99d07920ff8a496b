//! Locks that the host refuses although no run holds them, and many runs that want one lock at the same time.

use std::time::Duration;

use syntax_publish::host::{LocalConnector, Op, RefusalKind};
use syntax_publish::store::Error;
use syntax_publish::store::LockError;
use syntax_publish::store::StoreError;
use syntax_publish::store::session::Pace;

use crate::proofs::crashes::scenario::{base, edited};
use crate::support::bench::{self, Command, Content, How, content, run};
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

/// A different site for each publisher and round.
fn by(number: usize, round: usize) -> Content {
    let text = format!("by {number} in {round} ");
    let mut site = base();
    site.extend(content([("docs/a.html", text.as_str())]));
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

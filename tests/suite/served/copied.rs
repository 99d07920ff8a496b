//! Manifests that are copied on the host, and hosts that cannot copy, or that advertise copying and refuse it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use syntax_publish::host::{Answers, Connect, Host, HostError, Local, Op, Refusal, RefusalKind, SftpConnector};

use crate::proofs::crashes::scenario::{wide, wide_edited};
use crate::served::contract::address;
use crate::support::bench::{Command, How, faults_of_live, run, seen};
use crate::support::sshd::{Jail, Offer, Sshd};

/// A folder that advertises copying and refuses it.
#[derive(Clone)]
struct Boastful {
    docroot: PathBuf,
    refused: Arc<AtomicUsize>,
}

struct BoastfulHost {
    local: Local,
    of: Boastful,
}

impl Connect for Boastful {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async {
            Ok(Box::new(BoastfulHost {
                local: Local::open(&self.docroot)?,
                of: self.clone(),
            }) as Box<dyn Host>)
        })
    }

    fn name(&self) -> String {
        "the host".to_owned()
    }
}

impl Host for BoastfulHost {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        Box::pin(async move {
            let mut answers = Answers::new();
            for op in ops {
                if matches!(op, Op::Copy { .. }) {
                    self.of.refused.fetch_add(1, Ordering::SeqCst);
                    answers.push(Err(Refusal {
                        kind: RefusalKind::Failed,
                        op: op.to_string(),
                        message: "Failure".to_owned(),
                    }));
                } else {
                    answers.extend(self.local.flight(vec![op]).await?);
                }
            }
            Ok(answers)
        })
    }

    fn name(&self) -> String {
        "the host".to_owned()
    }

    fn copies(&self) -> bool {
        true
    }
}

async fn publish_both(connector: impl Fn() -> Box<dyn Connect>) {
    for command in [
        Command::Publish(wide()),
        Command::PublishHavingSeen(wide_edited(), wide()),
    ] {
        run(connector(), &command, How::default()).await.unwrap();
        assert_eq!(faults_of_live(connector()).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_refuses_to_copy_gets_the_complete_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let host = Boastful {
        docroot: folder.path().join("docroot"),
        refused: Arc::default(),
    };
    publish_both(|| Box::new(host.clone())).await;
    assert!(host.refused.load(Ordering::SeqCst) > 0);
    let live = seen(&Local::open(&host.docroot).unwrap()).await.site;
    assert!(wide_edited().iter().all(|(path, bytes)| live.get(path) == Some(bytes)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_copy_or_not() {
    for deny in [&[][..], &["copy-data"]] {
        let sshd = Sshd::offering(
            Jail::Plain,
            Offer {
                deny,
                ..Offer::default()
            },
        );
        let address = address(&sshd);
        let host = SftpConnector::new(address.clone()).unwrap().connect().await.unwrap();
        assert_eq!(host.copies(), deny.is_empty());
        publish_both(|| Box::new(SftpConnector::new(address.clone()).unwrap())).await;
    }
}

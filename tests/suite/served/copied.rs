//! Manifests that are copied on the host, and hosts that cannot copy, or that advertise copying and refuse it.

use syntax_publish::host::{Connect, Local, Op, RefusalKind, SftpConnector};

use crate::proofs::crashes::scenario::{wide, wide_edited};
use crate::served::contract::address;
use crate::support::bench::{Command, How, faults_of_live, run, seen};
use crate::support::intercept::Intercept;
use crate::support::sshd::{Jail, Offer, Sshd};

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
    let docroot = folder.path().join("docroot");
    let is_copy = |op: &Op| matches!(op, Op::Copy { .. });
    // It says that it can copy, as a folder of this machine does.
    let host = Intercept::folder(&docroot).refuse(RefusalKind::Failed, is_copy);
    publish_both(|| Box::new(host.clone())).await;
    assert!(host.ops().iter().any(is_copy));
    let live = seen(&Local::open(&docroot).unwrap()).await.site;
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

//! Every crash point again, over SFTP: the same tests as `crashes` runs on a folder, on a real SSH server.
//!
//! The wrapper simulates a broken connection, and the next point continues over the same connection, so that few points
//! cost a handshake. `cuts` breaks real connections.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, process};

use futures_util::future::BoxFuture;
use syntax_publish::host::{Answers, Connect, Host, HostError, Op, SftpAddress, SftpConnector};
use tempfile::TempDir;

use crate::proofs::crashes::ground::Ground;
use crate::proofs::crashes::points::Reach;
use crate::proofs::crashes::scenario::{self, Scenario};
use crate::proofs::crashes::{all, each_kind, survives};
use crate::served::contract::address;
use crate::support::faulty::{DEATHS, FAULTS, Fault};
use crate::support::files::{copy, make_old};
use crate::support::intercept::{Impatience, Intercept};
use crate::support::sshd::{Jail, Sshd};

/// A docroot on a server. Each ground has its own docroot.
pub struct Served {
    pub sshd: Arc<Sshd>,
    pub docroot: PathBuf,
    address: SftpAddress,
    connection: tokio::runtime::Runtime,
    host: Mutex<(Arc<dyn Host>, usize)>,
}

/// The number of points that share a connection. A run that dies leaves files open at the server, which only the end of
/// the connection closes, and a server opens no more than a few thousand.
const SHARED: usize = 32;

/// A connection that is used again in place of each new one.
#[derive(Clone)]
struct Reused(Arc<dyn Host>);

static GROUNDS: AtomicUsize = AtomicUsize::new(0);

impl Served {
    pub fn new(sshd: &Arc<Sshd>) -> Served {
        let number = GROUNDS.fetch_add(1, Ordering::SeqCst);
        let name = format!("site-{}-{number}", process::id());
        let address = SftpAddress {
            docroot: sshd.root.join(&name).display().to_string(),
            ..address(sshd)
        };
        // The connection outlives the runtime of each point.
        let connection = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let host = Mutex::new((connect(&connection, &address), 0));
        Served {
            sshd: Arc::clone(sshd),
            docroot: sshd.root.join(name),
            address,
            connection,
            host,
        }
    }

    fn host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.host.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Counts a point, and reconnects after [`SHARED`] points.
    fn one_more(&self) {
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.1 += 1;
        if host.1 > SHARED {
            let _inside = self.connection.enter();
            *host = (connect(&self.connection, &self.address), 0);
        }
    }
}

fn connect(connection: &tokio::runtime::Runtime, address: &SftpAddress) -> Arc<dyn Host> {
    let connector = SftpConnector::new(address.clone()).expect("an address");
    Arc::from(connection.block_on(connector.connect()).expect("a connection"))
}

impl Connect for Reused {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Host>) })
    }

    fn name(&self) -> String {
        "127.0.0.1".to_owned()
    }
}

impl Host for Reused {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        self.0.flight(ops)
    }

    fn copies(&self) -> bool {
        self.0.copies()
    }
}

impl Ground for Served {
    type Saved = TempDir;

    fn connector(&self) -> Box<dyn Connect> {
        let (docroot, impatience) = (self.docroot.clone(), Impatience::default());
        Box::new(Intercept::new(Reused(self.host())).watch(move |ops| impatience.note(ops, &docroot)))
    }

    fn save(&self) -> TempDir {
        let kept = tempfile::tempdir_in(&self.sshd.root).expect("a folder");
        copy(&self.docroot, &kept.path().join("docroot"));
        kept
    }

    fn restore(&self, saved: Option<&TempDir>) {
        self.one_more();
        if self.docroot.exists() {
            fs::remove_dir_all(&self.docroot).expect("to remove a docroot");
        }
        if let Some(saved) = saved {
            copy(&saved.path().join("docroot"), &self.docroot);
        }
    }

    fn age(&self) {
        for folder in ["work", "lock"] {
            make_old(&self.docroot.join(folder));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.docroot);
    }
}

fn survives_over_sftp(scenario: &Scenario, faults: &[(Fault, Reach)]) {
    let sshd = Arc::new(Sshd::start(Jail::Plain));
    survives("over SFTP", &|| Served::new(&sshd), scenario, faults);
}

macro_rules! each {
    ($module:ident, $faults:expr, $(#[$long:meta])? $($command:ident,)*) => {
        mod $module {
            use super::*;

            each!(@ $faults, [$(#[$long])?] $($command,)*);
        }
    };
    (@ $faults:expr, $long:tt $($command:ident,)*) => {
        $(each!(! $faults, $long $command);)*
    };
    (! $faults:expr, [$(#[$long:meta])?] $command:ident) => {
        #[test]
        $(#[$long])?
        fn $command() {
            survives_over_sftp(&scenario::$command(), &$faults);
        }
    };
}

each! {
    no_death_tears_the_site_over_sftp_during, each_kind(&DEATHS),
    publish_that_adds_to_the_pool, rollback, hold,
}

each! {
    no_death_tears_the_site_over_sftp_in_the_long_run_during, all(&DEATHS),
    #[ignore = "takes minutes"]
    first_publish, publish_of_an_edit, publish_of_an_edit_in_a_wide_folder, publish_of_an_edit_to_what_was_seen,
    publish_that_adds_to_the_pool, publish_sent_in_batches, publish_with_prune, rollback, hold, resume, prune,
}

each! {
    no_fault_tears_the_site_over_sftp_during, all(&FAULTS),
    #[ignore = "takes minutes"]
    first_publish, publish_of_an_edit, publish_of_an_edit_in_a_wide_folder, publish_of_an_edit_to_what_was_seen,
    publish_that_adds_to_the_pool, publish_sent_in_batches, publish_with_prune,
    rollback, hold, resume, prune,
}

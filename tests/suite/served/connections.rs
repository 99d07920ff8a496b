//! Over how many SFTP sessions a publish sends, and what happens when one of them can't be opened or breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use syntax_publish::host::{Answers, Connect, Host, HostError, HostErrorKind, Op, SftpConnector};

use crate::served::contract::address;
use crate::support::bench::{Command, Content, Encode, How, faults_of_live, run, seen};
use crate::support::sshd::{Jail, Sshd};

/// What becomes of the additional connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Work,
    /// They break in place of their second flight.
    Break,
}

/// Connects to a server, and counts the flights of additional connections.
#[derive(Clone)]
struct Connector {
    inner: Arc<SftpConnector>,
    fate: Fate,
    /// How many flights were sent over each additional connection, in the order in which they were opened.
    flights: Arc<[AtomicUsize; 8]>,
    opened: Arc<AtomicUsize>,
}

struct Additional {
    inner: Box<dyn Host>,
    connector: Connector,
    number: usize,
}

impl Connector {
    fn new(sshd: &Sshd, fate: Fate) -> Connector {
        Connector {
            inner: Arc::new(SftpConnector::new(address(sshd)).unwrap()),
            fate,
            flights: Arc::default(),
            opened: Arc::default(),
        }
    }

    /// The flights of each additional connection.
    fn flights(&self) -> Vec<usize> {
        let flights = self.flights.iter().map(|sent| sent.load(Ordering::SeqCst));
        flights.take(self.opened.load(Ordering::SeqCst)).collect()
    }
}

impl Connect for Connector {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        self.inner.connect()
    }

    fn connect_more(&self, files: usize) -> BoxStream<'_, Box<dyn Host>> {
        let counted = |inner| {
            let connector = self.clone();
            let number = self.opened.fetch_add(1, Ordering::SeqCst);
            Box::new(Additional {
                inner,
                connector,
                number,
            }) as Box<dyn Host>
        };
        self.inner.connect_more(files).map(counted).boxed()
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

impl Host for Additional {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        let before = self.connector.flights[self.number].fetch_add(1, Ordering::SeqCst);
        if self.connector.fate == Fate::Break && before == 1 {
            let host = self.connector.name();
            return Box::pin(async { Err(HostError::new(HostErrorKind::Lost, host, "the test broke it")) });
        }
        self.inner.flight(ops)
    }
}

/// A site of so many small files, each with content of its own.
fn site(files: usize) -> Content {
    let pages = ["index", "404"].map(|name| (format!("{name}.html"), format!("<!DOCTYPE html><title>{name}</title>")));
    let files = (0..files).map(|number| (format!("files/{number}.bin"), format!("file {number}")));
    let site = pages.into_iter().chain(files);
    site.map(|(path, text)| (path, text.into_bytes())).collect()
}

/// Publishes to a new server, and asserts that the site there is what was published. Returns how many connections
/// the server accepted for it.
async fn publish(sshd: &Sshd, files: usize, connector: &Connector) -> usize {
    let accepted = || sshd.log().matches("Accepted publickey").count();
    let how = How {
        encode: Encode::Nothing,
        ..How::default()
    };
    let before = accepted();
    run(Box::new(connector.clone()), &Command::Publish(site(files)), how)
        .await
        .unwrap();
    let connections = accepted() - before;
    let check = SftpConnector::new(address(sshd)).unwrap();
    assert_eq!(seen(&*check.connect().await.unwrap()).await.site, site(files));
    assert_eq!(faults_of_live(Box::new(check)).await, []);
    connections
}

/// Long enough that the others are open before everything is sent.
const MANY: usize = 2500;

#[tokio::test(flavor = "multi_thread")]
async fn many_files_are_sent_over_four_sessions_of_two_connections_and_few_over_one() {
    let sshd = Sshd::start(Jail::Plain);
    let connector = Connector::new(&sshd, Fate::Work);
    assert_eq!(publish(&sshd, MANY, &connector).await, 2);
    let flights = connector.flights();
    assert_eq!(flights.len(), 3, "{flights:?}");
    assert!(flights.iter().all(|sent| *sent >= 3), "{flights:?}");
    let sshd = Sshd::start(Jail::Plain);
    let connector = Connector::new(&sshd, Fate::Work);
    assert_eq!(publish(&sshd, 500, &connector).await, 1);
    assert!(connector.flights().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_one_session_a_connection_gets_no_third_connection() {
    let sshd = Sshd::start_with(Jail::Plain, "MaxSessions 1");
    let connector = Connector::new(&sshd, Fate::Work);
    assert_eq!(publish(&sshd, MANY, &connector).await, 2);
    assert_eq!(connector.flights().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_breaks_costs_one_attempt_and_the_next_uses_one() {
    let sshd = Sshd::start(Jail::Plain);
    let connector = Connector::new(&sshd, Fate::Break);
    // The first, the additional one, and the one of the next attempt.
    assert_eq!(publish(&sshd, MANY, &connector).await, 3);
    assert!(connector.flights().contains(&2), "{:?}", connector.flights());
}

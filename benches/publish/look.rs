//! Measures the cost of the live probes in a publish: one page edited over a line with a delay, with and without
//! probes.

use std::fs;
use std::path::PathBuf;

use crate::measure::{Row, Table, Watch};
use crate::ours::{Levels, Ours, RTT, Way};
use crate::site::{self, Size};
use crate::support::delay::DelayProxy;
use crate::support::nginx::Nginx;
use crate::support::tls::Authority;

/// A site that a real nginx serves over TLS and HTTP/2, behind the same delay as its SSH.
struct Served {
    ours: Ours,
    _nginx: Nginx,
    _way: DelayProxy,
    url: String,
}

impl Served {
    fn new(pages: usize) -> Served {
        let authority = Authority::new();
        let mut ours = Ours::new(Size { pages }, Levels::QUICK);
        ours.serve("https://localhost", false);
        let signed = authority.signs("localhost", "20200101000000Z", "20490101000000Z");
        let nginx = Nginx::start(&signed.put_into(&ours.vhost(), "localhost"));
        let way = DelayProxy::start(nginx.address().port(), RTT);
        let url = format!("https://localhost:{}", way.port);
        let trusted: PathBuf = ours.export.with_file_name("ca.pem");
        fs::copy(authority.file(), &trusted).expect("a file to copy");
        ours.trust(trusted);
        Served {
            ours,
            _nginx: nginx,
            _way: way,
            url,
        }
    }
}

/// Publishes an edited page without probes, and then with probes of the origin and the public address, both over the
/// same line.
pub fn look(pages: usize, rounds: usize, table: &mut Table) {
    let mut served = Served::new(pages);
    let home = served.ours.new_home();
    let mut without = Row::new("nobody looks at the live site");
    let mut with = Row::new("origin and public address are asked");
    for round in 0..=rounds {
        for looks in [false, true] {
            let revision = 2 * round + usize::from(looks);
            site::edit(&served.ours.export, (revision * 37 + 11) % pages, revision);
            served.ours.serve(&served.url, looks);
            let publish = served.ours.publish(Way::Far, &home, Watch::Time);
            // The first publish fills caches and sends the site, so it does not count.
            if round > 0 {
                let row = if looks { &mut with } else { &mut without };
                row.add(&publish);
            }
        }
    }
    table.group(&format!(
        "one page edited of {pages}, RTT 50 ms to SSH and to the site, TLS and HTTP/2"
    ));
    table.push(&without);
    table.push(&with);
}

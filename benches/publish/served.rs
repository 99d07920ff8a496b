//! Measures what the layout of the store and the rules of the printed vhost cost visitors. nginx, which follows
//! `current` into a tree of links, is compared with the same files in a plain folder, under the same vhost and under a
//! plain one.

use std::fs;
use std::process::Command;

use crate::measure::{self, Row, Table, Watch, command};
use crate::ours::{Levels, Ours, Way};
use crate::scenarios::{Extent, say};
use crate::site::Size;
use crate::support::nginx::{LISTEN, Nginx};

/// The number of requests that the printed times refer to.
const REQUESTS: f64 = 100_000.0;

const CONNECTIONS: usize = 32;

/// The servers that get the same requests.
const SIDES: usize = 4;

const PAGE: &str = "/docs/section-000/page-00005";

/// Sends each request to all servers in turns.
pub fn served(extent: Extent, table: &mut Table) {
    if Command::new("wrk").arg("-v").output().is_err() {
        say("wrk is missing: serving is left out");
        return;
    }
    let (rounds, seconds) = match extent {
        Extent::Quick => (1, 1),
        Extent::Full => (7, 5),
    };
    say("a site for nginx to serve");
    let mut ours = Ours::new(Size { pages: 200 }, Levels::QUICK);
    let home = ours.new_home();
    ours.publish(Way::Near, &home, Watch::Time);
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The printed vhost expects a docroot with a `current`; here `current` is a folder.
    let plain = folder.path().join("plain");
    let docroot = ours.docroot();
    let mut copy = command("cp", ["-rLp"]);
    copy.args([docroot.join("current/."), plain.join("current")]);
    fs::create_dir_all(plain.join("current")).expect("a plain folder");
    measure::run(copy, Watch::Time);
    let printed = ours.vhost_with(&["--without-tls"]);
    let (docroot, plain) = (docroot.to_str().expect("a path"), plain.to_str().expect("a path"));
    let servers = [
        Nginx::start(&printed),
        Nginx::start(&printed.replace(docroot, plain)),
        // A variant with a file cache, which may miss a swap for one second. The printed vhost turns this cache off.
        Nginx::start(&printed.replace(
            "open_file_cache off;",
            "open_file_cache max=10000 inactive=20s; open_file_cache_valid 1s;",
        )),
        Nginx::start(&format!(
            "server {{
    listen {LISTEN};
    root {plain}/current;
    gzip_static on;
    brotli_static on;
    charset utf-8;
    location / {{ try_files $uri $uri.html $uri/index.html =404; }}
}}"
        )),
    ];
    let chunk = fs::read_dir(ours.export.join("_next/static/chunks"))
        .expect("chunks")
        .map(|entry| entry.expect("a chunk").file_name().into_string().expect("a name"))
        .min()
        .expect("a chunk");
    let chunk = format!("/_next/static/chunks/{chunk}");
    let asked = [
        ("a page, as it is", PAGE, "identity"),
        ("a page, brotli", PAGE, "br"),
        ("a page, gzip", PAGE, "gzip"),
        ("a chunk, as it is", &chunk, "identity"),
        ("a chunk, brotli", &chunk, "br"),
    ];
    table.group(&format!(
        "100,000 requests over {CONNECTIONS} connections, of one process of nginx; what a release does is the share of a plain folder's requests a second"
    ));
    for (name, path, accept) in asked {
        let mut rows = [
            "a release, by the printed vhost",
            "a plain folder, by the printed vhost",
            "a release, with an open_file_cache of a second",
            "a plain folder, by a plain vhost",
        ]
        .map(|side| Row::new(format!("{name}: {side}")));
        let mut processor = rows
            .each_ref()
            .map(|row| Row::new(format!("{}, processor time", row.what)));
        for round in 0..rounds {
            say(&format!("{name}: {} of {rounds}", round + 1));
            let mut took = [(0.0, 0.0); SIDES];
            for turn in 0..SIDES {
                let side = (round + turn) % SIDES;
                took[side] = load(&servers[side], path, accept, seconds);
            }
            for ((row, processor), (wall, spent)) in rows.iter_mut().zip(&mut processor).zip(took) {
                row.time.push(wall);
                row.against.push(wall / took[0].0);
                processor.time.push(spent);
                processor.against.push(spent / took[0].1);
            }
        }
        for row in rows.iter().chain(&processor) {
            table.push(row);
        }
    }
}

/// Returns what [`REQUESTS`] take: elapsed seconds and seconds of CPU time.
fn load(server: &Nginx, path: &str, accept: &str, seconds: u64) -> (f64, f64) {
    let mut wrk = command("wrk", ["-t1"]);
    wrk.args([format!("-c{CONNECTIONS}"), format!("-d{seconds}s")])
        .args(["-H", "Host: bench.example", "-H", &format!("Accept-Encoding: {accept}")])
        .arg(format!("http://{}{path}", server.address()));
    let before = processor_time(server.id());
    let text = measure::run(wrk, Watch::Time).stdout;
    let spent = processor_time(server.id()) - before;
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{path}: {text}"
    );
    let number = |line: &str| line.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    let told = |what: &str| text.lines().find(|line| line.contains(what)).and_then(number);
    let told = |what: &str| told(what).unwrap_or_else(|| panic!("wrk told no number: {text}"));
    (REQUESTS / told("Requests/sec:"), spent * REQUESTS / told("requests in"))
}

/// Returns the CPU time that a process has used, in seconds. The kernel counts in hundredths of a second.
fn processor_time(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The process name before this point is in parentheses and may contain any character.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

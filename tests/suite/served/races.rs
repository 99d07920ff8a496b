//! Concurrency: publishers against each other, against a manual rollback, and swaps while visitors read the site.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use syntax_publish::host::LocalConnector;

use crate::support::bench::{self, Content, Encode, How};
use crate::support::command::{Project, Running, small_export};
use crate::support::nginx::Nginx;
use crate::support::report::say;

const QUICK: &str = "[encode]\nbrotli = 1\ngzip = 1\n[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n";

/// `count` projects, each with its own version of a page, all published to one docroot.
fn rivals(docroot: &Path, count: usize) -> Vec<Project> {
    (0..count)
        .map(|number| {
            let project = Project::new();
            small_export(&project.dir.join("out"));
            project.write(
                "out/docs/a.html",
                format!("<!DOCTYPE html><title>by {number}</title>").repeat(20),
            );
            project.write_manifest(&format!(
                "[publish]\ntarget = \"here\"\n{QUICK}[targets.here]\nkind = \"local\"\ndocroot = {:?}\n",
                docroot.display().to_string()
            ));
            project
        })
        .collect()
}

fn live_page(docroot: &Path) -> String {
    fs::read_to_string(docroot.join("current/docs/a.html")).expect("the live page")
}

/// Starts all projects at the same time, and waits for all. Returns how many went live.
fn race(docroot: &Path, rivals: &[Project]) -> usize {
    let running: Vec<Running> = rivals.iter().map(|project| project.spawn(&["publish"])).collect();
    let ran: Vec<_> = running.into_iter().map(Running::wait).collect();
    for one in &ran {
        assert!([0, 4].contains(&one.code), "{one}");
    }
    let page = live_page(docroot);
    let winners: Vec<usize> = (0..rivals.len()).filter(|number| ran[*number].code == 0).collect();
    assert!(
        winners.iter().any(|number| page.contains(&format!("by {number}<"))),
        "{winners:?} say that they are live: {page}"
    );
    rivals[0].run(&["verify", "--deep"]).expect_code(0);
    winners.len()
}

#[test]
fn of_many_publishers_each_goes_live_or_says_that_another_did() {
    for count in [2, 5, 20] {
        let folder = tempfile::tempdir().expect("a folder");
        let docroot = folder.path().join("site");
        let rivals = rivals(&docroot, count);
        rivals[0].run(&["publish"]).expect_code(0);
        let winners = race(&docroot, &rivals);
        say(&format!(
            "races: {count} publishers at once: {winners} done, {} told that another was there",
            count - winners
        ));
        let locked = fs::read_dir(docroot.join("lock")).expect("the lock").count();
        assert_eq!(locked, 0, "the lock is free");
    }
}

#[test]
fn of_many_publishers_to_a_docroot_that_does_not_exist_yet_one_makes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let docroot = folder.path().join("site");
    let rivals = rivals(&docroot, 5);
    race(&docroot, &rivals);
}

#[test]
fn a_rollback_by_hand_under_a_publish_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let docroot = folder.path().join("site");
    let rivals = rivals(&docroot, 3);
    let mut releases = Vec::new();
    for project in &rivals[..2] {
        project.run(&["publish"]).expect_code(0);
        releases.push(fs::read_link(docroot.join("current")).expect("current"));
    }
    let ended = AtomicBool::new(false);
    let by_hand = thread::scope(|scope| {
        let moving = scope.spawn(|| {
            let mut moved = 0;
            while !ended.load(Ordering::SeqCst) {
                let to = &releases[moved % 2];
                let link = Command::new("ln")
                    .arg("-sfn")
                    .arg(to)
                    .arg(docroot.join("current"))
                    .status();
                assert!(link.expect("ln").success());
                live_page(&docroot);
                moved += 1;
            }
            moved
        });
        for round in 0..6 {
            rivals[2].write("out/docs/b.html", format!("round {round}"));
            let ran = rivals[2].run(&["publish"]);
            assert!([0, 4].contains(&ran.code), "{ran}");
        }
        ended.store(true, Ordering::SeqCst);
        moving.join().expect("the hand")
    });
    say(&format!(
        "races: {by_hand} moves of current by hand under six publishes"
    ));
    let ran = rivals[2].run(&["publish"]).expect_code(0);
    assert!(live_page(&docroot).contains("by 2<"), "{ran}");
    rivals[0].run(&["verify", "--deep"]).expect_code(0);
}

/// A site whose pages contain its mark, and refer to an asset that only this site has.
fn marked(mark: &str) -> Content {
    let asset = format!("_next/static/chunks/{mark}.js");
    let mut site = Content::new();
    for (page, lines) in [("index.html", 3), ("docs/large.html", 9000)] {
        let mut text = format!("<!--mark:{mark}--><script src=\"/{asset}\"></script>");
        for line in 0..lines {
            let _ = write!(text, "<p>{mark} {line}</p>");
        }
        site.insert(page.to_owned(), text.into_bytes());
    }
    site.insert("404.html".to_owned(), b"not found".to_vec());
    site.insert(asset, format!("/*mark:{mark}*/").repeat(40).into_bytes());
    site
}

/// A visitor on one connection, who reads pages and the assets that they refer to.
pub struct Visitor {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Visitor {
    pub fn new(server: SocketAddr, host: &str) -> Visitor {
        let stream = TcpStream::connect(server).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a timeout");
        Visitor {
            stream: BufReader::new(stream),
            host: host.to_owned(),
        }
    }

    pub fn get(&mut self, path: &str, encoding: &str) -> (u16, BTreeMap<String, String>, Vec<u8>) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: {encoding}\r\n\r\n",
            self.host
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("a request");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or_else(|| panic!("{path}: no length: {headers:?}"))];
        self.stream.read_exact(&mut body).expect("a body");
        (status, headers, body)
    }

    /// Reads a page and its asset. Both must be complete, of one release, and present. Returns the release's mark.
    fn visit(&mut self, page: &str, encoding: &str, sites: &BTreeMap<String, Content>) -> String {
        let read = |visitor: &mut Visitor, path: &str| {
            let (status, headers, body) = visitor.get(path, encoding);
            assert_eq!(status, 200, "{path}");
            let body = match headers.get("content-encoding").map(String::as_str) {
                Some("br") => {
                    let mut plain = Vec::new();
                    brotli::Decompressor::new(&body[..], 4096)
                        .read_to_end(&mut plain)
                        .expect("brotli");
                    plain
                }
                None => body,
                Some(other) => panic!("{path} is {other}"),
            };
            String::from_utf8(body).expect("text")
        };
        let text = read(self, page);
        let mark = text
            .split("mark:")
            .nth(1)
            .and_then(|rest| rest.split("--").next())
            .expect("a mark")
            .to_owned();
        let file = if page == "/" {
            "index.html".to_owned()
        } else {
            format!("{}.html", &page[1..])
        };
        assert!(sites[&mark][&file] == text.as_bytes(), "{page} of {mark} is torn");
        let asset = text
            .split("src=\"/")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("an asset");
        let script = read(self, &format!("/{asset}"));
        assert!(sites[&mark][asset] == script.as_bytes(), "{asset} of {mark} is torn");
        mark
    }
}

/// Swaps two releases while visitors read them, until both the swaps and the requests are done.
fn swap_under_load(swaps: usize, requests: u64) {
    let project = Project::new();
    let docroot = project.dir.join("site");
    project.write_manifest(&format!(
        "[site]\nname = \"demo\"\nurl = \"https://demo.test\"\n[publish]\ntarget = \"here\"\n{QUICK}[targets.here]\nkind = \"local\"\ndocroot = {:?}\n",
        docroot.display().to_string()
    ));
    let sites: BTreeMap<String, Content> = ["one", "two"]
        .map(|mark| (mark.to_owned(), marked(mark)))
        .into_iter()
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let connector = || {
        Box::new(LocalConnector {
            docroot: docroot.clone(),
        })
    };
    let how = How {
        encode: Encode::Brotli,
        ..How::default()
    };
    let mut releases = Vec::new();
    for site in sites.values() {
        let publish = bench::Command::Publish(site.clone());
        let published = bench::run(connector(), &publish, how);
        releases.push(runtime.block_on(published).expect("a publish").expect("a release"));
    }
    small_export(&project.dir.join("out"));
    let nginx = Nginx::of(&project, &[]);
    let (asked, seen, ended) = (
        AtomicU64::new(0),
        [AtomicU64::new(0), AtomicU64::new(0)],
        AtomicBool::new(false),
    );
    let done = thread::scope(|scope| {
        for number in 0..6 {
            let (sites, asked, seen, ended) = (&sites, &asked, &seen, &ended);
            let server = nginx.address();
            scope.spawn(move || {
                let mut visitor = Visitor::new(server, "demo.test");
                let (page, encoding) =
                    [("/", "identity"), ("/docs/large", "br"), ("/docs/large", "identity")][number % 3];
                let mut visits = 0;
                while !ended.load(Ordering::SeqCst) || asked.load(Ordering::SeqCst) < requests {
                    // nginx closes a connection after a thousand requests.
                    if visits % 450 == 449 {
                        visitor = Visitor::new(server, "demo.test");
                    }
                    visits += 1;
                    let mark = visitor.visit(page, encoding, sites);
                    seen[usize::from(mark == "two")].fetch_add(1, Ordering::SeqCst);
                    asked.fetch_add(2, Ordering::SeqCst);
                }
            });
        }
        let mut done = 0;
        while done < swaps {
            // Visitors send new requests between any two swaps.
            let before = asked.load(Ordering::SeqCst);
            bench_rollback(&runtime, connector(), releases[done % 2].as_str());
            done += 1;
            while asked.load(Ordering::SeqCst) < before + 6 {
                thread::yield_now();
            }
        }
        ended.store(true, Ordering::SeqCst);
        done
    });
    let [one, two] = seen.map(AtomicU64::into_inner);
    say(&format!(
        "races: {done} swaps under {} requests over six connections, {one} pages of one release and {two} of the other; no error, none torn",
        asked.into_inner()
    ));
    assert!(one > 0 && two > 0);
}

fn bench_rollback(runtime: &tokio::runtime::Runtime, connector: Box<LocalConnector>, release: &str) {
    let session = bench::session(connector, "rollback", How::default());
    let to = syntax_publish::store::rollback::Destination::Release(release.to_owned());
    let options = syntax_publish::store::rollback::Options::default();
    let done = syntax_publish::store::rollback::rollback(&session, &to, &options);
    runtime.block_on(done).expect("a rollback");
}

#[test]
fn visitors_of_twenty_swaps_see_one_release_or_the_other() {
    swap_under_load(20, 2000);
}

#[test]
#[ignore = "takes minutes"]
fn visitors_of_a_thousand_swaps_see_one_release_or_the_other() {
    swap_under_load(1000, 1_000_000);
}

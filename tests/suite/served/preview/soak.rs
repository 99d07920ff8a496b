//! Hours of work in minutes: random edits, clients that come and go, and the resources that the preview keeps
//! meanwhile.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::changes::wait_until;
use super::{get, preview};
use crate::support::command::{Project, Signal, write};
use crate::support::http::Request;

/// The duration, unless `SOAK_SECONDS` sets another one.
const SECONDS: u64 = 240;

const PAGES: u64 = 200;

/// What the last third of the samples may use beyond the first third: a percentage and a constant. What the preview
/// keeps on purpose (changes, encodings) has limits that a run never reaches. An allocator keeps freed memory.
const SHARE: u64 = 15;
const MEBIBYTES: u64 = 12;
const FILES: u64 = 4;

/// The `SplitMix64` generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn page(number: u64, text: &str) -> String {
    let filler = "<p>and so on and on</p>".repeat(100);
    format!(
        "<!doctype html><title>{number}</title><script src=\"/_next/static/chunks/x.js\"></script>\
         <body><h1>{text}</h1><a href=\"/p/{}\">next</a>{filler}</body>",
        (number + 1) % PAGES
    )
}

fn file(out: &Path, number: u64) -> PathBuf {
    out.join(format!("p/{number}.html"))
}

fn make(out: &Path, text: &str) {
    for number in 0..PAGES {
        write(&file(out, number), page(number, text));
    }
    write(&out.join("_next/static/chunks/x.js"), "x()");
    write(&out.join("sheet.css"), "p{}");
    for name in ["index.html", "404.html"] {
        write(&out.join(name), page(0, text));
    }
}

/// Does one of the things that people and builds do to an export.
fn disturb(project: &Project, random: &mut Random, round: u64) {
    let out = project.dir.join("out");
    let text = format!("round {round}");
    let number = random.below(PAGES);
    match random.below(20) {
        0 => {
            // As `next build` does it: removes everything and writes it again.
            fs::remove_dir_all(&out).expect("an export to be removed");
            make(&out, &text);
        }
        1 => {
            let (made, old) = (project.dir.join("made"), project.dir.join("old"));
            make(&made, &text);
            fs::rename(&out, &old).expect("an export to be moved");
            fs::rename(&made, &out).expect("another in its place");
            fs::remove_dir_all(&old).expect("the old one to be removed");
        }
        2 => {
            let _ = fs::remove_file(file(&out, number));
        }
        3 => write(&out.join("sheet.css"), format!("p{{order:{round}}}")),
        4 => {
            for number in 0..PAGES / 4 {
                write(&file(&out, number), page(number, &text));
            }
        }
        5 => {
            let folder = out.join(format!("extra/{number}/deep"));
            write(&folder.join("page.html"), page(number, &text));
            if random.below(2) == 0 {
                let _ = fs::remove_dir_all(out.join("extra"));
            }
        }
        6..=10 => {
            let beside = out.join(".saved");
            write(&beside, page(number, &text));
            fs::rename(&beside, file(&out, number)).expect("a save");
        }
        _ => write(&file(&out, number), page(number, &text)),
    }
}

/// Clients that connect, request, listen, and disconnect without notice.
fn visit(server: SocketAddr, random: &mut Random, listening: &mut Vec<TcpStream>) {
    let number = random.below(PAGES);
    match random.below(6) {
        0 => {
            let mut stream = TcpStream::connect(server).expect("the preview accepts");
            let asked = stream.write_all(b"GET /__syntax/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            asked.expect("a question");
            let _ = stream.read(&mut [0; 64]);
            listening.push(stream);
            if listening.len() > 8 {
                let leaves = usize::try_from(random.below(8)).expect("a small number");
                listening.swap_remove(leaves);
            }
        }
        1 => {
            // This client does not wait for the answer.
            let mut stream = TcpStream::connect(server).expect("the preview accepts");
            let _ = stream.write_all(format!("GET /p/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        }
        2 => {
            let mut stream = TcpStream::connect(server).expect("the preview accepts");
            let _ = stream.write_all(b"GET /p/1 HT");
        }
        coding => {
            let accepted = ["br", "gzip", "identity"][usize::try_from(coding - 3).expect("a small number")];
            let request = Request::get(format!("/p/{number}")).header("Accept-Encoding", accepted);
            let status = request.send(server).status;
            assert!([200, 404, 503].contains(&status), "{status}");
        }
    }
}

/// The resources that a process uses: KiB of memory, and open files.
fn held(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").count();
    (memory.expect("a size"), files as u64)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
#[ignore = "minutes of random edits: `just soak-preview`"]
fn hours_of_edits_leave_memory_and_open_files_as_they_were() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let seed = std::env::var("SOAK_SEED").map_or(1, |text| text.parse().expect("a number"));
    let project = Project::new();
    let out = project.dir.join("out");
    make(&out, "at first");
    project.write_manifest("[check]\nnext = \"off\"\n");
    let (watch, server) = preview(&project, &[]);
    let mut random = Random(seed);
    let (mut listening, mut samples) = (Vec::new(), Vec::new());
    let (began, mut sampled, mut round) = (Instant::now(), Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        round += 1;
        disturb(&project, &mut random, round);
        for _ in 0..3 {
            visit(server, &mut random, &mut listening);
        }
        sleep(Duration::from_millis(random.below(120)));
        // The first tenth is not sampled, because caches still fill up.
        if sampled.elapsed() >= Duration::from_millis(500) && began.elapsed().as_secs() * 10 >= seconds {
            sampled = Instant::now();
            samples.push(held(watch.pid()));
        }
    }
    let third = samples.len() / 3;
    assert!(third >= 5, "too short to tell: {} samples", samples.len());
    let of = |samples: &[(u64, u64)]| {
        let memory = median(samples.iter().map(|sample| sample.0).collect());
        let files = median(samples.iter().map(|sample| sample.1).collect());
        (memory, files)
    };
    let (early, late) = (of(&samples[..third]), of(&samples[samples.len() - third..]));
    println!("{round} rounds in {seconds} s: {early:?} KiB and files early, {late:?} late");
    let allowed = early.0 + early.0 * SHARE / 100 + MEBIBYTES * 1024;
    assert!(late.0 <= allowed, "memory grew from {} to {} KiB", early.0, late.0);
    assert!(
        late.1 <= early.1 + FILES,
        "open files grew from {} to {}",
        early.1,
        late.1
    );

    // The preview still shows the current state.
    make(&out, "at last");
    wait_until("the last state", || {
        let last = |number: u64| String::from_utf8_lossy(&get(server, &format!("/p/{number}")).body).into_owned();
        (0..PAGES).all(|number| last(number).contains("at last"))
    });
    watch.signal(Signal::INT);
    assert_eq!(watch.wait().code, 130);
}

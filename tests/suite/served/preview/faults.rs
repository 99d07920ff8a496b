//! Faults that must not harm the preview, and its messages when it can't continue.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{address, get, preview, start};
use crate::support::command::{Project, Running, Signal, small_export};
use crate::support::http::Request;

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[publish]\ntarget = \"local\"\n");
    project
}

/// Sends bytes and returns what comes back until the server ends the connection.
fn say(server: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    // The server may end the connection before everything is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn requests_for_another_host_are_refused() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    for host in ["evil.com", "evil.com:80", "127.0.0.1.evil.com", "192.168.0.1", ""] {
        let answer = Request::get("/docs/a").header("Host", host).send(server);
        assert_eq!(answer.status, 421, "{host:?}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("localhost"), "{text}");
    }
    assert_eq!(get(server, "http://evil.com/docs/a").status, 421);
    for host in ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:80"] {
        assert_eq!(
            Request::get("/docs/a").header("Host", host).send(server).status,
            200,
            "{host}"
        );
    }
    let none = say(server, b"GET /docs/a HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&none), "400", "{none}");
    let old = say(server, b"GET /docs/a HTTP/1.0\r\n\r\n");
    assert_eq!(status(&old), "200", "{old}");
}

#[test]
fn pages_of_other_sites_may_not_read_what_is_the_previews_own() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    let own = || Request::get("/__syntax/status");
    let answer = own().send(server);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&status["ready"], &status["files"]), (&true.into(), &12.into()));
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.com"),
        ("Origin", "http://localhost:1"),
        ("Origin", "null"),
    ] {
        assert_eq!(own().header(name, value).send(server).status, 403, "{name}: {value}");
    }
    assert_eq!(own().header("Sec-Fetch-Site", "same-origin").send(server).status, 200);
    assert_eq!(get(server, "/__syntax/none").status, 404);
    assert_eq!(Request::new("POST", "/__syntax/status").send(server).status, 405);
}

#[test]
fn what_is_no_request_ends_its_own_connection_and_no_other() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    let host = "Host: localhost\r\n";
    let flood: String = "X-Flood: x\r\n".repeat(500);
    let long = "x".repeat(200_000);
    for (request, wanted) in [
        (format!("GET /docs/a HTTP/1.1\r\n{host}{flood}\r\n"), &["431"][..]),
        (format!("GET /docs/a HTTP/1.1\r\n{host}X: {long}\r\n\r\n"), &["431"]),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), &["414", "431"]),
        ("GET\r\n\r\n".to_owned(), &["400"]),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), &["400", "none"]),
        (format!("GET /<x> HTTP/1.1\r\n{host}\r\n"), &["400"]),
        (format!("GET /docs/a HTTP/2.0\r\n{host}\r\n"), &["400"]),
        (format!("GET /docs/a HTTP/1.1\r\n{host} folded: x\r\n\r\n"), &["400"]),
        (format!("GET /docs/a HTTP/1.1\r\n{host}Bad Name: x\r\n\r\n"), &["400"]),
        (
            format!("POST /docs/a HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
            &["400", "none"],
        ),
        (
            format!("POST /docs/a HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n"),
            &["400", "none"],
        ),
        (
            format!("POST /docs/a HTTP/1.1\r\n{host}Transfer-Encoding: x\r\n\r\n"),
            &["400", "none"],
        ),
        (
            format!("POST /docs/a HTTP/1.1\r\n{host}Content-Length: 9999999\r\n\r\n"),
            &["413"],
        ),
    ] {
        let answer = say(server, request.as_bytes());
        assert!(
            wanted.contains(&status(&answer)),
            "{:.60} -> {answer:.200}",
            request.escape_debug()
        );
        assert_eq!(get(server, "/docs/a").status, 200);
    }
}

#[test]
fn a_request_with_two_lengths_is_one_request() {
    let project = project();
    let (_watch, server) = preview(&project, &[]);
    // By `Content-Length`, the second request is the end of the body. By the chunks, the body ends before it.
    let smuggled = "POST /docs/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = say(server, smuggled.as_bytes());
    assert_eq!(status(&answer), "405");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[test]
fn clients_that_hang_keep_no_other_waiting() {
    let project = project();
    fs::write(project.dir.join("out/large.bin"), vec![7; 20 << 20]).unwrap();
    let (watch, server) = preview(&project, &[]);
    let mut hanging = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(server).unwrap();
        let begun: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nHost: local",
            // This client requests a large file and reads none of it.
            _ => b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        stream.write_all(begun).unwrap();
        hanging.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(get(server, "/docs/a").status, 200);
    }
    // Hanging clients don't keep the preview from ending either.
    watch.signal(Signal::INT);
    assert_eq!(watch.wait().code, 130);
    drop(hanging);
}

#[test]
fn a_large_file_comes_complete_and_in_parts() {
    let project = project();
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    fs::write(project.dir.join("out/large.bin"), &bytes).unwrap();
    let (_watch, server) = preview(&project, &[]);
    assert!(get(server, "/large.bin").body == bytes);
    for (range, wanted) in [
        ("bytes=5000000-5000009", 5_000_000..5_000_010),
        ("bytes=-7", 8_999_993..9_000_000),
    ] {
        let answer = Request::get("/large.bin").header("Range", range).send(server);
        assert_eq!(answer.status, 206);
        assert!(answer.body == bytes[wanted], "{range}");
    }
}

/// The number of open files of a process that are at least this long.
fn open_files(pid: u32, length: u64) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let lengths = files.map(|file| fs::metadata(file.unwrap().path()).map_or(0, |file| file.len()));
    lengths.filter(|found| *found >= length).count()
}

#[test]
fn a_large_file_is_never_in_memory_as_a_whole() {
    const LENGTH: u64 = 300 << 20;
    let project = project();
    let large = fs::File::create(project.dir.join("out/large.bin")).unwrap();
    large.set_len(LENGTH).unwrap();
    let (watch, server) = preview(&project, &[]);
    // The preview keeps a copy of the export in a file without a name.
    let begun = Instant::now();
    while open_files(watch.pid(), LENGTH) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "there is no copy");
        thread::sleep(Duration::from_millis(20));
    }
    let answer = Request::get("/large.bin").header("Range", "bytes=-7").send(server);
    assert_eq!((answer.status, answer.body), (206, vec![0; 7]));
    let most = watch.peak_memory();
    assert!(most > 0 && most < (LENGTH >> 20) / 2, "{most} MiB");
}

#[test]
fn its_address_and_what_is_wrong_are_printed() {
    let project = project();
    fs::write(project.dir.join("out/bad.html"), "<a href=\"/gone\">gone</a>").unwrap();
    let mut watch = project.spawn(&["watch", "--port", "0"]);
    watch.wait_for_stdout("ready: ");
    watch.wait_for_stderr("/gone");
    watch.signal(Signal::INT);
    let ran = watch.wait();
    insta::assert_snapshot!(project.redact(&ran.to_string()), @r"
    exit 130
    --- stdout
    http://127.0.0.1:[port]/  (Ctrl-C ends it)
    ready: http://127.0.0.1:[port]/  (13 files in [time])

    --- stderr
    error: bad.html:1: broken link: /gone does not exist (links): correct the link or add the page
    ");
}

#[test]
fn a_missing_export_is_waited_for() {
    let project = Project::new();
    project.write_manifest("");
    let mut watch = start(&project, &[]);
    let server = address(&watch);
    watch.wait_for_stdout("\"waiting\"");
    let early = get(server, "/");
    assert_eq!((early.status, early.header("retry-after")), (503, Some("1")));
    small_export(&project.dir.join("out"));
    watch.wait_for_stdout("\"ready\"");
    assert_eq!(get(server, "/").status, 200);
}

#[test]
fn an_export_that_could_not_be_published_is_shown_with_what_is_wrong() {
    let project = project();
    fs::write(project.dir.join("out/bad.html"), "<a href=\"/gone\">gone</a>").unwrap();
    let (watch, server) = preview(&project, &[]);
    assert_eq!(get(server, "/bad").status, 200);
    let printed = watch.stdout();
    let ready = printed.lines().find(|line| line.contains("\"ready\"")).unwrap();
    let ready: serde_json::Value = serde_json::from_str(ready).unwrap();
    let findings = ready["problems"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["check"] == "links" && finding["severity"] == "error"),
        "{ready}"
    );
}

#[test]
fn a_port_that_is_taken_is_passed_or_named_with_who_has_it() {
    let project = project();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = project.run(&["watch", "--port", &port.to_string()]).expect_code(1);
    assert!(ran.stderr.contains(&format!("port {port} is taken by ")), "{ran}");
    assert!(ran.stderr.contains(&format!("process {}", std::process::id())), "{ran}");
    assert!(ran.stderr.contains("use --port "), "{ran}");
    let ran = project
        .run(&["watch", "--port", &port.to_string(), "--json"])
        .expect_code(1);
    assert_eq!(ran.json()["error"]["code"], "port-taken");

    let first = watch_anywhere(&project);
    let second = watch_anywhere(&project);
    assert_ne!(address(&first), address(&second));
    let ran = project.run(&["watch", "--host", "192.0.2.1"]).expect_code(1);
    assert!(ran.stderr.contains("can't listen on 192.0.2.1"), "{ran}");
}

#[test]
fn a_port_is_a_number_from_1_to_65535() {
    let project = project();
    for port in ["65536", "-1", "http"] {
        let ran = project.run(&["watch", &format!("--port={port}")]).expect_code(2);
        assert!(ran.stderr.contains("write a port from 1 to 65535"), "{ran}");
    }
    let help = project.run(&["help", "watch"]).expect_code(0).stdout;
    assert!(help.contains("1 to 65535"), "{help}");
    if TcpListener::bind("127.0.0.1:65535").is_err() {
        println!("skipped: port 65535 is taken");
        return;
    }
    let mut watch = project.spawn(&["watch", "--json", "--port", "65535"]);
    watch.wait_for_stdout("\"ready\"");
    assert_eq!(address(&watch).port(), 65535);
}

/// A preview on the first free port.
fn watch_anywhere(project: &Project) -> Running {
    let mut watch = project.spawn(&["watch", "--json"]);
    watch.wait_for_stdout("\"listening\"");
    watch
}

#[test]
fn an_address_of_the_network_is_served_with_a_warning() {
    let project = project();
    let (watch, server) = preview(&project, &["--host", "0.0.0.0"]);
    assert!(
        watch.stderr().contains("warning: anyone who can reach port "),
        "{}",
        watch.stderr()
    );
    let local = SocketAddr::from(([127, 0, 0, 1], server.port()));
    assert_eq!(Request::get("/").header("Host", "192.168.0.1").send(local).status, 200);
    assert_eq!(Request::get("/").header("Host", "evil.com").send(local).status, 421);
}

#[test]
fn a_signal_ends_it_at_once_and_quietly() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let project = project();
        let (watch, server) = preview(&project, &[]);
        let mut kept = TcpStream::connect(server).unwrap();
        kept.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let began = Instant::now();
        watch.signal(signal);
        let ran = watch.wait();
        println!("ended in {:?}", began.elapsed());
        assert_eq!(ran.code, code);
        assert_eq!(ran.stderr, "");
        assert!(TcpStream::connect(server).is_err(), "nobody listens any more");
    }
}

#[test]
fn a_build_gets_its_turn_although_its_sources_change_without_end() {
    let project = project();
    let source = project.write("app/page.txt", "0");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut watch = project.spawn(&[
            "watch",
            "--port",
            "0",
            "--json",
            "--",
            "sh",
            "-c",
            "echo x >> ../builds",
        ]);
        watch.wait_for_stdout("\"ready\"");
        scope.spawn(|| {
            let mut change = 0;
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                change += 1;
                fs::write(&source, change.to_string()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let builds = || fs::read_to_string(project.dir.join("../builds")).map_or(0, |text| text.lines().count());
        let before = builds();
        let deadline = Instant::now() + Duration::from_secs(30);
        while builds() < before + 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(
            builds() >= before + 2,
            "{} builds in 30 seconds of changes",
            builds() - before
        );
    });
}

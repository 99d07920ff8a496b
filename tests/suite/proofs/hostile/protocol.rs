//! Servers that deliberately speak SFTP wrongly. The connection must fail or the operation must be refused, in time,
//! with a message that is safe for a terminal.
//!
//! The server is a thread of the test. A script in place of `ssh` carries its bytes.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use syntax_publish::host::{Answer, Connect, HostError, HostErrorKind, Op, Refusal, SftpAddress, SftpConnector};
use syntax_publish::model::release::Owner;
use syntax_publish::store::session::{Pace, Session};
use tempfile::TempDir;

use crate::support::command::open_tempdir;

/// A request as received: its type and its ID. The rest is discarded.
struct Request {
    kind: u8,
    id: u32,
}

const INIT: u8 = 1;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const LSTAT: u8 = 7;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const READLINK: u8 = 19;

/// Returns the bytes to send for a request, or `None` to end the connection.
type Server = fn(&Request, &mut u32) -> Option<Vec<u8>>;

fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn packet(kind: u8, rest: &[u8]) -> Vec<u8> {
    text(&[&[kind][..], rest].concat())
}

fn answer(kind: u8, id: u32, rest: &[u8]) -> Vec<u8> {
    packet(kind, &[&id.to_be_bytes()[..], rest].concat())
}

fn status(id: u32, code: u32, words: &str) -> Vec<u8> {
    let rest = [&code.to_be_bytes()[..], &text(words.as_bytes()), &text(b"en")].concat();
    answer(101, id, &rest)
}

/// The version packet of a server that supports everything the host layer needs.
fn version() -> Vec<u8> {
    let mut rest = 3_u32.to_be_bytes().to_vec();
    for (name, number) in [
        ("posix-rename@openssh.com", "1"),
        ("hardlink@openssh.com", "1"),
        ("fsync@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
    ] {
        rest.extend(text(name.as_bytes()));
        rest.extend(text(number.as_bytes()));
    }
    packet(2, &rest)
}

/// One entry of a listing, as a regular file.
fn name(name: &[u8]) -> Vec<u8> {
    // Flags: size, owner, permissions.
    let attrs = [0x7_u32, 0, 5, 1000, 1000, 0o100_644].map(u32::to_be_bytes).concat();
    [text(name), text(b"-rw-r--r--"), attrs].concat()
}

fn names(id: u32, list: &[&[u8]]) -> Vec<u8> {
    let count = u32::try_from(list.len()).unwrap().to_be_bytes();
    let all: Vec<u8> = list.iter().flat_map(|one| name(one)).collect();
    answer(104, id, &[&count[..], &all].concat())
}

/// The answers of a correct server. A test replaces some of them.
fn usual(request: &Request) -> Vec<u8> {
    match request.kind {
        INIT => version(),
        OPEN | OPENDIR => answer(102, request.id, &text(b"h")),
        CLOSE => status(request.id, 0, "ok"),
        _ => status(request.id, 2, "no such file"),
    }
}

/// A server that sets its count to this ends the connection.
const LAST: u32 = u32::MAX;

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut body).ok()?;
    let id = body
        .get(1..5)
        .map_or(0, |id| u32::from_be_bytes(id.try_into().unwrap()));
    Some(Request { kind: body[0], id })
}

fn serve(mut stream: TcpStream, server: Server) {
    let mut count = 0;
    while let Some(request) = read_request(&mut stream) {
        let Some(bytes) = server(&request, &mut count) else {
            break;
        };
        if stream.write_all(&bytes).is_err() || count == LAST {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// A connector to such a server.
fn reach(server: Server) -> (TempDir, SftpConnector) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, server));
        }
    });
    by_ssh(&format!(
        "#!/usr/bin/env bash\nexec 3<>/dev/tcp/127.0.0.1/{port} 4<&0\ncat <&4 >&3 & carries=$!\n\
         cat <&3\nkill $carries 2>/dev/null\n"
    ))
}

/// A connector that starts this script in place of `ssh`.
fn by_ssh(script: &str) -> (TempDir, SftpConnector) {
    let folder = open_tempdir();
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let address = SftpAddress {
        host: "hostile".to_owned(),
        docroot: "/site".to_owned(),
        ssh: Some(ssh),
        ..SftpAddress::default()
    };
    (folder, SftpConnector::new(address).unwrap())
}

/// Runs one operation on such a server. A read opens the file first.
async fn ask(server: Server, op: Op) -> Result<Result<Answer, Refusal>, HostError> {
    let (_folder, connector) = reach(server);
    let host = connector.connect().await?;
    let op = match op {
        Op::Read { offset, length, .. } => {
            let opened = host.flight(vec![Op::Open("x".to_owned())]).await?.remove(0);
            let Ok(Answer::Opened(handle)) = opened else {
                return Ok(opened);
            };
            Op::Read { handle, offset, length }
        }
        op => op,
    };
    Ok(host.flight(vec![op]).await?.remove(0))
}

/// The outcome of an operation, as one line.
async fn end(server: Server, op: Op) -> String {
    let ended = tokio::time::timeout(Duration::from_mins(1), ask(server, op)).await;
    let text = match ended.expect("an end") {
        Ok(Ok(Answer::Names(names))) => format!("{} names", names.len()),
        Ok(Ok(Answer::Bytes(bytes))) => format!("{} bytes", bytes.len()),
        Ok(Ok(other)) => format!("{other:?}"),
        Ok(Err(refusal)) => format!("refused: {}", refusal.message),
        Err(error) => format!("failed: {error}"),
    };
    assert!(!text.chars().any(char::is_control), "{text:?}");
    text
}

fn lstat() -> Op {
    Op::Lstat("x".to_owned())
}

fn list() -> Op {
    Op::List("x".to_owned())
}

fn read() -> Op {
    Op::Read {
        handle: syntax_publish::host::Handle(0),
        offset: 0,
        length: 1000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_order_is_understood() {
    let server: Server = |request, count| {
        *count += 1;
        Some(match request.kind {
            READDIR if *count < 5 => names(request.id, &[b".", b"..", b"a", b"b"]),
            READ if *count < 4 => answer(103, request.id, &text(b"hello")),
            READDIR | READ => status(request.id, 1, "end"),
            _ => usual(request),
        })
    };
    assert_eq!(end(server, lstat()).await, "refused: no such file");
    assert!(end(server, list()).await.ends_with(" names"));
    assert!(end(server, read()).await.ends_with(" bytes"));
}

/// Wrong answers to the initial packet.
const GREETINGS: [(&str, Server); 8] = [
    ("nothing", |_, _| None),
    ("a shell's", |_, _| {
        Some(b"Welcome to \x1b[31mDebian\x1b[0m!\r\n$ ".to_vec())
    }),
    ("no length", |_, _| Some(vec![0, 0, 0, 0])),
    ("the largest length", |_, _| Some(vec![0xff; 64])),
    ("another version", |_, _| Some(packet(2, &6_u32.to_be_bytes()))),
    ("a cut one", |_, count| {
        *count = LAST;
        Some(version()[..20].to_vec())
    }),
    ("an extension without an end", |_, _| {
        Some(packet(
            2,
            &[&3_u32.to_be_bytes()[..], &[0xff, 0xff, 0xff, 0xff], b"posix"].concat(),
        ))
    }),
    ("an answer to nothing", |_, _| Some(status(7, 0, "ok"))),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_greeting_is_no_connection() {
    for (what, server) in GREETINGS {
        let (_folder, connector) = reach(server);
        let connected = tokio::time::timeout(Duration::from_secs(90), connector.connect()).await;
        match connected.unwrap_or_else(|_| panic!("{what}: no end")) {
            Ok(_) => panic!("{what}: taken for a server"),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.chars().any(char::is_control), "{what}: {text:?}");
                println!("{what}: {text}");
            }
        }
    }
}

/// A wrong answer, the operation that it answers, and the expected outcome.
type Bad = (&'static str, Server, fn() -> Op, &'static str);

const ANSWERS: [Bad; 19] = [
    (
        "another id",
        |r, _| {
            Some(if r.kind == LSTAT {
                status(r.id + 1, 2, "x")
            } else {
                usual(r)
            })
        },
        lstat,
        "failed",
    ),
    (
        "the largest id",
        |r, _| {
            Some(if r.kind == LSTAT {
                status(u32::MAX, 2, "x")
            } else {
                usual(r)
            })
        },
        lstat,
        "failed",
    ),
    (
        "the same answer twice",
        |r, _| {
            Some(if r.kind == LSTAT {
                [status(r.id, 2, "x"), status(r.id, 2, "x")].concat()
            } else {
                usual(r)
            })
        },
        lstat,
        "",
    ),
    (
        "an unknown type",
        |r, _| {
            Some(if r.kind == LSTAT {
                answer(222, r.id, b"x")
            } else {
                usual(r)
            })
        },
        lstat,
        "failed",
    ),
    (
        "a type that does not fit",
        |r, _| {
            Some(if r.kind == LSTAT {
                answer(103, r.id, &text(b"x"))
            } else {
                usual(r)
            })
        },
        lstat,
        "failed",
    ),
    (
        "the largest length",
        |r, _| Some(if r.kind == LSTAT { vec![0xff; 64] } else { usual(r) }),
        lstat,
        "failed",
    ),
    (
        "no length at all",
        |r, _| Some(if r.kind == LSTAT { vec![0; 64] } else { usual(r) }),
        lstat,
        "failed",
    ),
    (
        "a cut answer",
        |r, count| {
            if r.kind == LSTAT {
                *count = LAST;
                return Some(status(r.id, 2, "xxxxxxx")[..9].to_vec());
            }
            Some(usual(r))
        },
        lstat,
        "failed",
    ),
    (
        "attributes that are cut",
        |r, _| {
            Some(if r.kind == LSTAT {
                answer(105, r.id, &[0, 0, 0, 0xf, 1])
            } else {
                usual(r)
            })
        },
        lstat,
        "failed",
    ),
    (
        "attributes without an end",
        |r, _| {
            Some(if r.kind == LSTAT {
                answer(105, r.id, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
            } else {
                usual(r)
            })
        },
        lstat,
        "",
    ),
    (
        "attributes of nothing",
        |r, _| {
            Some(if r.kind == LSTAT {
                answer(105, r.id, &[0, 0, 0, 0])
            } else {
                usual(r)
            })
        },
        lstat,
        "refused",
    ),
    (
        "orders to the terminal",
        |r, _| {
            Some(if r.kind == LSTAT {
                status(r.id, 4, "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nlive: all is well")
            } else {
                usual(r)
            })
        },
        lstat,
        "refused: \\u{1b}]0;owned",
    ),
    (
        "more names than there are",
        |r, _| {
            Some(if r.kind == READDIR {
                answer(104, r.id, &[0xff, 0xff, 0xff, 0xff])
            } else {
                usual(r)
            })
        },
        list,
        "failed",
    ),
    (
        "a name with a slash",
        |r, c| {
            *c += 1;
            Some(if r.kind == READDIR {
                names(r.id, &[b"../../etc/passwd"])
            } else {
                usual(r)
            })
        },
        list,
        "refused: the host lists an impossible name",
    ),
    (
        "a name with a NUL",
        |r, _| {
            Some(if r.kind == READDIR {
                names(r.id, &[b"a\0b"])
            } else {
                usual(r)
            })
        },
        list,
        "",
    ),
    (
        "a name without an end",
        |r, _| {
            Some(if r.kind == READDIR {
                names(r.id, &[&[b'n'; 200_000]])
            } else {
                usual(r)
            })
        },
        list,
        "refused: the host lists an impossible name",
    ),
    (
        "more bytes than were asked for",
        |r, _| {
            Some(if r.kind == READ {
                answer(103, r.id, &text(&[b'x'; 150_000]))
            } else {
                usual(r)
            })
        },
        read,
        "",
    ),
    (
        "a target without an end",
        |r, _| {
            Some(if r.kind == READLINK {
                names(r.id, &[&[b'n'; 100_000]])
            } else {
                usual(r)
            })
        },
        || Op::ReadLink("x".to_owned()),
        "refused: the symlink's text is longer than any can be",
    ),
    (
        "two targets of a link",
        |r, _| {
            Some(if r.kind == READLINK {
                names(r.id, &[b"a", b"b"])
            } else {
                usual(r)
            })
        },
        || Op::ReadLink("x".to_owned()),
        "",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_answer_ends_the_operation_or_the_connection() {
    for (what, server, op, expected) in ANSWERS {
        let ended = end(server, op()).await;
        println!("{what}: {ended}");
        assert!(ended.starts_with(expected), "{what}: {ended}");
        // Whatever the server sent, no more is passed on than was requested.
        let bytes = ended.strip_suffix(" bytes").and_then(|bytes| bytes.parse::<u32>().ok());
        assert!(bytes.is_none_or(|bytes| bytes <= 1000), "{what}: {ended}");
    }
}

fn owner() -> Owner {
    Owner {
        who: "test@here".to_owned(),
        what: "test".to_owned(),
        since: 0,
        yields: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_on_their_way_before_the_server_has_said_anything() {
    let waits: Server = |request, _| {
        Some(match request.kind {
            INIT => Vec::new(),
            LSTAT => [version(), status(request.id, 2, "no such file")].concat(),
            _ => usual(request),
        })
    };
    let (_folder, connector) = reach(waits);
    let session = Session::new(Box::new(connector), owner());
    let refused = session.flight(vec![lstat()]).await.unwrap().remove(0).unwrap_err();
    assert_eq!(refused.message, "no such file");
    assert_eq!(session.counts().round_trips(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_that_takes_nothing_and_ends_is_no_connection() {
    for script in [
        "exit 1",
        "exec <&-; echo no; exit 1",
        "exec <&-; cat /dev/null; exit 255",
    ] {
        let (_folder, connector) = by_ssh(&format!("#!/bin/sh\n{script}\n"));
        // Whether the first packet is written before ssh ends differs from time to time.
        for _ in 0..50 {
            let connected = tokio::time::timeout(Duration::from_secs(30), connector.connect()).await;
            assert!(connected.expect("an end").is_err(), "{script}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_changes_anything_is_sent_to_a_server_that_can_not_be_used() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let lacks_everything: Server = |request, _| {
        Some(if request.kind == INIT {
            packet(2, &3_u32.to_be_bytes())
        } else {
            SENT.fetch_add(1, Ordering::SeqCst);
            usual(request)
        })
    };
    for (op, most) in [(Op::MakeFolder("x".to_owned()), 0), (list(), 0), (lstat(), 1)] {
        let (_folder, connector) = reach(lacks_everything);
        let session = Session::new(Box::new(connector), owner());
        SENT.store(0, Ordering::SeqCst);
        let error = session.flight(vec![op.clone()]).await.unwrap_err();
        assert_eq!(error.kind, HostErrorKind::MissingExtension, "{op}: {error}");
        drop(session);
        assert!(SENT.load(Ordering::SeqCst) <= most, "{op}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flight_that_is_not_answered_is_given_up_even_if_others_are_answered() {
    let silent: Server = |r, _| Some(if r.kind == LSTAT { Vec::new() } else { usual(r) });
    let (_folder, connector) = reach(silent);
    let pace = Pace {
        answer: Duration::from_millis(500),
        ..Pace::default()
    };
    let session = Session::new(Box::new(connector), owner()).at_pace(pace);
    session.host().await.unwrap();
    let others = async {
        loop {
            session.flight(vec![Op::ReadLink("x".to_owned())]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let given_up = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::select! {
            ended = session.flight(vec![lstat()]) => ended,
            () = others => unreachable!(),
        }
    });
    let lost = given_up.await.expect("an end").unwrap_err();
    assert!(lost.to_string().contains("no answer within"), "{lost}");
}

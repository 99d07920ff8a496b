//! Exports that no real build produces.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::command::{Project, Ran, Running, docroot_state, small_export, visitor_state, write};

fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[site]\nname = \"demo\"\n[encode]\nbrotli = 1\ngzip = 1\n");
    project.run(&["publish"]).expect_code(0);
    project
}

/// Fails if the output contains a terminal control sequence, on either stream.
#[track_caller]
pub fn assert_harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let order = text.chars().find(|c| {
            c.is_control() && !matches!(c, '\n' | '\t')
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(order, None, "{ran:?}");
    }
}

/// The expected outcome of publishing an export.
enum End {
    /// The export is refused with this message, and nothing changed.
    Refused(&'static str),
    /// The export is published, and this path is served with this content.
    Served(&'static str, &'static str),
}

type Odd = (&'static str, fn(&Path), End);

const EXPORTS: [Odd; 21] = [
    (
        "newline in a name",
        |out| write(&out.join("a\nb.txt"), "x"),
        End::Refused(r"a\u{a}b.txt: the name holds a control character"),
    ),
    (
        "escape in a name",
        |out| write(&out.join("\u{1b}]0;owned\u{7}.txt"), "x"),
        End::Refused(r"\u{1b}]0;owned\u{7}.txt: the name holds a control character"),
    ),
    (
        "C1 control in a name",
        |out| write(&out.join("\u{9b}2J.txt"), "x"),
        End::Refused(r"\u{9b}2J.txt: the name holds a control character"),
    ),
    (
        "text that runs backwards",
        |out| write(&out.join("\u{202e}txt.exe"), "x"),
        End::Refused(r"\u{202e}txt.exe: the name holds a control character"),
    ),
    (
        "quotes",
        |out| write(&out.join("it's \"so\".txt"), "quoted"),
        End::Served("it's \"so\".txt", "quoted"),
    ),
    (
        "backslash",
        |out| write(&out.join("a\\b.txt"), "back"),
        End::Served("a\\b.txt", "back"),
    ),
    (
        "backslash and dots",
        |out| write(&out.join("a\\..\\..\\x.txt"), "dots"),
        End::Served("a\\..\\..\\x.txt", "dots"),
    ),
    (
        "leading dash",
        |out| write(&out.join("-rf.txt"), "dash"),
        End::Served("-rf.txt", "dash"),
    ),
    (
        "a device of Windows",
        |out| write(&out.join("con.txt"), "con"),
        End::Served("con.txt", "con"),
    ),
    (
        "percent and what it stands for",
        |out| write(&out.join("%2e%2e%2fx.txt"), "percent"),
        End::Served("%2e%2e%2fx.txt", "percent"),
    ),
    (
        "blanks at both ends",
        |out| write(&out.join(" x "), "blanks"),
        End::Served(" x ", "blanks"),
    ),
    (
        "a name of 252 bytes",
        |out| write(&out.join("n".repeat(252)), "long"),
        End::Served("", ""),
    ),
    (
        "a name of 255 bytes",
        |out| write(&out.join("n".repeat(255)), "long"),
        End::Refused("255 bytes long; at most 252"),
    ),
    (
        "a link out of it",
        |out| symlink("/etc/passwd", out.join("p.txt")).unwrap(),
        End::Refused("p.txt: it is a symlink out of the export"),
    ),
    (
        "a link up and out",
        |out| symlink("../site-manifest.toml", out.join("m.txt")).unwrap(),
        End::Refused("m.txt: it is a symlink out of the export"),
    ),
    (
        "a link to itself",
        |out| symlink("loop", out.join("loop")).unwrap(),
        End::Refused("loop: it is a symlink to itself"),
    ),
    (
        "a link to the folder around it",
        |out| symlink(".", out.join("docs/again")).unwrap(),
        End::Refused("docs/again: it is a symlink to itself or to a folder around it"),
    ),
    (
        "two links that are each other's",
        |out| {
            symlink("two", out.join("one")).unwrap();
            symlink("one", out.join("two")).unwrap();
        },
        End::Refused("one: it is a symlink to itself"),
    ),
    (
        "a pipe",
        |out| assert!(Command::new("mkfifo").arg(out.join("pipe")).status().unwrap().success()),
        End::Refused("pipe: it is a named pipe, not a file"),
    ),
    (
        "a terabyte of nothing",
        |out| File::create(out.join("huge.bin")).unwrap().set_len(1 << 40).unwrap(),
        End::Refused("huge.bin: it has 1099511627776 bytes"),
    ),
    (
        "two hundred folders deep",
        |out| write(&out.join(format!("{}x.txt", "d/".repeat(200))), "deep"),
        End::Refused("folders deep; nginx follows at most 40 symlinks"),
    ),
];

#[test]
fn every_odd_export_is_published_right_or_refused_by_name() {
    for (what, make, end) in EXPORTS {
        let project = project();
        let (out, docroot) = (project.dir.join("out"), project.dir.join("target/docroot"));
        let before = docroot_state(&docroot);
        let visible = visitor_state(&docroot.join("current"));
        make(&out);
        for args in [
            &["check"][..],
            &["publish"],
            &["publish", "--json"],
            &["plan", "--verbose"],
        ] {
            assert_harmless(&project.run(args));
        }
        let ran = project.run(&["publish"]);
        match end {
            End::Refused(words) => {
                assert_eq!(ran.code, 3, "{what}: {ran}");
                assert!(ran.stderr.contains(words), "{what}: {ran}");
                assert_eq!(visitor_state(&docroot.join("current")), visible, "{what}");
                let left: Vec<String> = docroot_state(&docroot)
                    .into_keys()
                    .filter(|path| !before.contains_key(path))
                    .collect();
                assert_eq!(left, Vec::<String>::new(), "{what}");
            }
            End::Served(path, bytes) => {
                assert_eq!(ran.code, 0, "{what}: {ran}");
                if !path.is_empty() {
                    let read = fs::read_to_string(docroot.join("current").join(path));
                    let read = read.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(read, bytes, "{what}");
                }
                project.run(&["verify", "--deep"]).expect_code(0);
            }
        }
    }
}

#[test]
fn a_hard_link_to_a_secret_is_a_secret_to_the_checks() {
    let project = project();
    let secret = project.write("elsewhere/key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACBoNRotOcSprKvbbTPtZJcnc7mQrYSeKwuIn/2D5hYGbAAAAJhw1wAAcNcA\n-----END OPENSSH PRIVATE KEY-----\n");
    fs::hard_link(secret, project.dir.join("out/notes.txt")).unwrap();
    let ran = project.run(&["publish"]).expect_code(3);
    assert!(ran.stderr.contains("notes.txt"), "{ran}");
}

/// Runs a command with its data segment limited to `bytes`.
fn with_memory(project: &Project, bytes: u64, args: &[&str]) -> Ran {
    let inner = project.command();
    let mut command = Command::new("bash");
    command.args([
        "-c",
        "ulimit -d \"$1\" && shift && exec \"$@\"",
        "bash",
        &(bytes >> 10).to_string(),
    ]);
    command
        .arg(inner.get_program())
        .args(args)
        .current_dir(&project.dir)
        .env_clear();
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    Running::start(command).wait()
}

/// Enough for a runtime, the stacks of its threads and the buffers of all stages.
const MEMORY: u64 = 700 << 20;

#[test]
fn a_limit_of_memory_is_felt() {
    let project = project();
    assert_ne!(with_memory(&project, 8 << 20, &["publish"]).code, 0);
}

#[test]
fn a_page_that_encodes_to_nothing_and_decodes_to_much_takes_little_memory() {
    let project = project();
    let mut page = b"<!DOCTYPE html><title>x</title><p>".to_vec();
    page.resize(48 << 20, b' ');
    write(&project.dir.join("out/bomb.html"), page);
    with_memory(&project, MEMORY, &["publish"]).expect_code(0);
}

#[test]
fn a_hundred_thousand_empty_files_are_published() {
    let project = project();
    let many = project.dir.join("out/many");
    for folder in 0..100 {
        let folder = many.join(folder.to_string());
        fs::create_dir_all(&folder).unwrap();
        for file in 0..1000 {
            File::create(folder.join(format!("{file}.txt"))).unwrap();
        }
    }
    let ran = with_memory(&project, MEMORY, &["publish", "--json"]).expect_code(0);
    assert_eq!(ran.json()["files"], 100_012, "{ran}");
    assert_eq!(ran.json()["objects_sent"], 1);
}

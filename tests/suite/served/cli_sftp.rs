//! The command line over SFTP: the same commands, and refusals that only a host can make.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::command::{Project, Running, Signal, docroot_state, small_export};
use crate::support::delay::DelayProxy;
use crate::support::http::Request;
use crate::support::sshd::{Jail, Sshd};

/// A project with a small export and this server as its target.
fn project(sshd: &Sshd, host_key: &str) -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(&format!(
        "[publish]\ntarget = \"web\"\n[targets.web]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nuser = \"{}\"\nport = {}\n\
         identity = \"{}\"\nhost-key = \"{host_key}\"\ndocroot = \"{}\"\n",
        sshd.user,
        sshd.port,
        sshd.identity.display(),
        sshd.remote_docroot,
    ));
    project
}

#[test]
fn site_is_planned_published_and_rolled_back() {
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd, &sshd.host_key);
    let plan = project.run(&["plan", "--json"]).expect_code(0).json();
    assert_eq!((&plan["added"], sshd.docroot.exists()), (&12.into(), false));
    let first = project.run(&["--json"]).expect_code(0).json();
    let second = project.run(&["--force", "--json"]).expect_code(0).json();
    assert_eq!(second["previous"], first["release"]);
    assert!(sshd.docroot.join("current/docs/a.html").is_file());
    let rolled_back = project.run(&["rollback", "--json"]).expect_code(0).json();
    assert_eq!(rolled_back["release"], first["release"]);
    let status = project.run(&["status"]).expect_code(0);
    assert!(
        status
            .stdout
            .contains(&format!("127.0.0.1:{}/current", sshd.remote_docroot)),
        "{status}"
    );
}

#[test]
fn host_that_shows_another_key_is_refused_with_advice() {
    let sshd = Sshd::start(Jail::Plain);
    let (_, other) = sshd.new_key("other");
    let key = other.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let project = project(&sshd, &key);
    let ran = project.run(&["publish", "--json"]).expect_code(5);
    assert_eq!(ran.json()["error"]["code"], "host-key", "{ran}");
    assert!(ran.stderr.contains("\nlive: unchanged\nhint: "), "{ran}");
}

#[test]
fn host_that_does_not_listen_is_unreachable() {
    let mut sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd, &sshd.host_key);
    sshd.kill();
    let ran = project.run(&["status", "--json"]).expect_code(5);
    assert_eq!(ran.json()["error"]["code"], "unreachable", "{ran}");
}

#[test]
fn interrupted_publish_shows_what_is_live_and_leaves_no_lock() {
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd, &sshd.host_key);
    let live = project.run(&["--json"]).expect_code(0).json();
    for number in 0..4 {
        let text: String = (0..3_000_000_u64)
            .map(|n| char::from(b'a' + u8::try_from(n.wrapping_mul(n + number) % 25).expect("a letter")))
            .collect();
        project.write(format!("out/big{number}.html"), text);
    }
    let mut running = project.spawn(&["publish", "--verbose"]);
    running.wait_for_stderr("stage: comparing");
    let asked = std::time::Instant::now();
    running.signal(Signal::TERM);
    let ran = running.wait().expect_code(143);
    assert!(asked.elapsed().as_secs_f64() < 1.5, "{:?}", asked.elapsed());
    let told = format!("live: {}\n", live["release"].as_str().expect("a release"));
    assert!(ran.stderr.contains(&told), "{ran}");
    for folder in ["lock", "work"] {
        let folder = sshd.docroot.join(folder);
        assert_eq!(
            std::fs::read_dir(&folder).expect("a folder").count(),
            0,
            "{}",
            folder.display()
        );
    }
}

/// Puts a program before the system's `ssh`, which it runs, and returns the `PATH` for that. It notes whether ssh was
/// told to compress.
fn noting_compression(project: &Project) -> String {
    let ssh = project.write(
        "bin/ssh",
        "#!/bin/sh\nfor word; do case $word in Compression=*) echo \"$word\" > \"$HOME/said\" ;; esac; done\n\
         PATH=${PATH#*:} exec ssh \"$@\"\n",
    );
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("a program");
    let path = std::env::var("PATH").expect("PATH");
    format!("{}:{path}", ssh.parent().expect("a folder").display())
}

/// Makes a release, and returns what ssh was told about compression and what was printed about it.
fn compression_of_a_publish(project: &Project, path: &str) -> (String, Option<String>) {
    let ran = project.run_env(&["publish", "--force", "--verbose"], &[("PATH", path)]);
    let ran = ran.expect_code(0);
    let note = ran.stderr.lines().find(|line| line.contains("SSH compression"));
    let told = fs::read_to_string(project.home.join("said")).expect("what ssh was told");
    (told.trim().to_owned(), note.map(str::to_owned))
}

#[test]
fn line_to_a_near_host_is_compressed_until_its_round_trip_is_known() {
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd, &sshd.host_key);
    let path = noting_compression(&project);
    let (told, note) = compression_of_a_publish(&project, &path);
    let unknown = "note: SSH compression is on: no round trip was measured yet";
    assert_eq!((&*told, note.as_deref()), ("Compression=yes", Some(unknown)));
    // On a busy machine, no answer of a whole run may be fast enough. The next run measures again.
    let later = (0..20).map(|_| compression_of_a_publish(&project, &path));
    let later: Vec<_> = later.take_while(|(told, _)| told != "Compression=no").collect();
    assert!(later.len() < 20, "{later:?}");
    // A choice of the target is final, whatever was measured.
    let manifest = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("a site manifest");
    for (choice, told) in [("true", "Compression=yes"), ("false", "Compression=no")] {
        project.write_manifest(&format!("{manifest}compression = {choice}\n"));
        assert_eq!(compression_of_a_publish(&project, &path), (told.to_owned(), None));
    }
}

#[test]
fn line_to_a_far_host_stays_compressed() {
    let sshd = Sshd::start(Jail::Plain);
    let far = DelayProxy::start(sshd.port, Duration::from_millis(20));
    let project = project(&sshd, &sshd.host_key);
    let manifest = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("a site manifest");
    let (near, far) = (format!("port = {}\n", sshd.port), format!("port = {}\n", far.port));
    project.write_manifest(&manifest.replace(&near, &far));
    let path = noting_compression(&project);
    compression_of_a_publish(&project, &path);
    let (told, note) = compression_of_a_publish(&project, &path);
    assert_eq!(told, "Compression=yes");
    let note = note.expect("why the line is compressed");
    assert!(note.contains("SSH compression is on: a round trip took "), "{note}");
}

/// Waits for the address that `serve` prints.
fn address_of(served: &mut Running) -> SocketAddr {
    served.wait_for_stdout("(Ctrl-C ends it)");
    let said = served.stdout();
    let (_, rest) = said.split_once("http://").expect("an address");
    rest.split('/').next().expect("an address").parse().expect("an address")
}

#[test]
fn a_release_is_served_from_the_host_although_the_export_is_gone() {
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd, &sshd.host_key);
    let large: Vec<u8> = (0..9_000_000_u32)
        .flat_map(|number| (number % 251).to_le_bytes())
        .take(9_000_000)
        .collect();
    project.write("out/files/large.bin", &large);
    let first = project.run(&["--json"]).expect_code(0).json();
    let id = first["release"].as_str().unwrap();
    let page = fs::read(sshd.docroot.join(format!("releases/{id}/docs/a.html"))).unwrap();
    project.write("out/docs/a.html", "<!doctype html><title>A</title>edited");
    project.run(&["publish", "--channel", "pr-12"]).expect_code(0);
    project.write("out/docs/a.html", "<!doctype html><title>A</title>newer");
    project.run(&["publish"]).expect_code(0);
    fs::remove_dir_all(project.dir.join("out")).unwrap();
    let before = docroot_state(&sshd.docroot);
    for (args, shown) in [
        (vec!["serve"], b"<!doctype html><title>A</title>newer".to_vec()),
        (
            vec!["serve", "--channel", "pr-12"],
            b"<!doctype html><title>A</title>edited".to_vec(),
        ),
        (vec!["serve", id], page),
    ] {
        let mut served = project.spawn(&args);
        let address = address_of(&mut served);
        let answer = Request::get("/docs/a").send(address);
        assert_eq!((answer.status, &answer.body), (200, &shown), "{args:?}");
        let encoded = Request::get("/docs/a").header("Accept-Encoding", "br").send(address);
        assert_eq!(encoded.status, 200, "{args:?}");
        assert_eq!(Request::get("/docs/nothing").send(address).status, 404, "{args:?}");
        assert!(Request::get("/files/large.bin").send(address).body == large, "{args:?}");
        served.signal(Signal::INT);
        let ended = served.wait().expect_code(130);
        assert_eq!(ended.stderr, "", "Ctrl-C is the normal end");
    }
    assert_eq!(docroot_state(&sshd.docroot), before);
    project.run(&["serve", "nothing"]).expect_code(1);
}

#[test]
fn a_large_file_is_passed_on_while_it_is_read_also_over_a_new_connection() {
    const LENGTH: usize = 200 << 20;
    let sshd = Sshd::start(Jail::Plain);
    let project = project(&sshd, &sshd.host_key);
    let manifest = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("a site manifest");
    project.write_manifest(&format!("{manifest}compression = false\n"));
    let large = fs::File::create(project.dir.join("out/large.bin")).expect("a file");
    large.set_len(LENGTH as u64).expect("a length");
    project.run(&["publish"]).expect_code(0);
    let mut served = project.spawn(&["serve"]);
    let mut stream = TcpStream::connect(address_of(&mut served)).expect("the server accepts");
    stream
        .write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("a request");
    let mut answer = vec![0; 1 << 20];
    stream.read_exact(&mut answer).expect("its beginning");
    // The client takes no more for now, so the server can't have read everything.
    sshd.kill_sessions();
    let mut piece = vec![0; 1 << 20];
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    let mut length = answer.len() - head;
    loop {
        let read = stream.read(&mut piece).expect("more of the answer");
        if read == 0 {
            break;
        }
        assert!(piece[..read].iter().all(|byte| *byte == 0));
        length += read;
    }
    assert_eq!(length, LENGTH);
    let most = served.peak_memory();
    assert!(most > 0 && most < (LENGTH as u64 >> 20) / 2, "{most} MiB");
    served.signal(Signal::INT);
    served.wait().expect_code(130);
}

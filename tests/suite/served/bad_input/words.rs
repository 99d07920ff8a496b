//! Invalid command line arguments.

use std::io::Read as _;
use std::process::Stdio;

use super::World;

#[test]
fn an_address_to_listen_on_that_is_none_is_refused() {
    let world = World::local();
    insta::assert_snapshot!(world.refuses(2, &["nginx", "--listen", "here; root /"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: `here; root /` is nothing to listen on: PORT or ADDRESS:PORT, as in 127.0.0.1:[port] or [::1]:8080
    live: unchanged; no target was contacted
    hint: write --listen 127.0.0.1:[port], or leave it out
    ");
}

#[test]
fn a_missing_reason_and_a_count_that_goes_nowhere_are_refused() {
    let world = World::local();
    insta::assert_snapshot!(world.refuses(2, &["hold"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: the following required arguments were not provided:
      <REASON>

    Usage: syntax-publish hold <REASON>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.refuses(2, &["rollback", "--steps", "0"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: invalid value '0' for '--steps <N>': write a whole number of 1 or more

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.refuses(2, &["rollbak"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: unrecognized subcommand 'rollbak'

      tip: a similar subcommand exists: 'rollback'

    Usage: syntax-publish [COMMAND] [OPTIONS]

    For more information, try '--help'.
    ");
}

#[test]
fn a_docroot_that_is_the_root_itself_is_refused() {
    let world = World::local();
    let target = "[publish]\ntarget = \"box\"\n[targets.box]\nkind = \"sftp\"\nhost = \"box\"\ndocroot = \"/\"\n";
    world.project.write_manifest(target);
    insta::assert_snapshot!(world.refuses(2, &["publish"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      "docroot" in [targets.box] is the string "/", which is the root itself, line 6: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
    live: unchanged; no target was contacted
    hint: fix the lines named above
    "#);
}

#[test]
fn steps_beyond_the_first_release_are_refused() {
    let world = World::local();
    insta::assert_snapshot!(world.fails(1, &["rollback", "--steps", "3"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: there is no release before [release]
    target: local (target/docroot)
    live: [release]
    hint: `syntax-publish releases` lists the releases there are
    ");
    insta::assert_snapshot!(world.fails(1, &["diff"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: there is no release before [release]
    target: local (target/docroot)
    live: [release]
    hint: `syntax-publish releases` lists the releases there are
    ");
    insta::assert_snapshot!(world.fails(1, &["diff", "", "zzz"]), @r#"
    exit 1
    --- stdout

    --- stderr
    error: there's no release "zzz"
    target: local (target/docroot)
    live: [release]
    hint: the newest is [release]; `syntax-publish releases` lists them all
    "#);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let world = World::local();
    world.edit("edited");
    for args in [
        &["releases"] as &[&str],
        &["plan", "--json"],
        &["nginx"],
        &["--help"],
        &["publish"],
    ] {
        // A pipe without a reader: the read end is closed before anything is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = world
            .project
            .command()
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        assert!(!said.contains("panic"), "{args:?}: {said}");
        assert!(status.code().is_some_and(|code| code < 2), "{args:?}: {status} {said}");
    }
    let published = std::fs::read(world.docroot.join("current/docs/a.html")).unwrap();
    assert_eq!(published, b"edited");
}

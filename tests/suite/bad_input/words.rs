//! What the command line can't take.

use std::io::Read as _;
use std::process::Stdio;

use super::World;

#[test]
fn an_address_to_listen_on_that_is_none_is_refused() {
    let world = World::local();
    insta::assert_snapshot!(world.refuses(2, &["nginx", "--listen", "here; root /"]), @"");
}

#[test]
fn a_missing_reason_and_a_count_that_goes_nowhere_are_refused() {
    let world = World::local();
    insta::assert_snapshot!(world.refuses(2, &["hold"]), @"");
    insta::assert_snapshot!(world.refuses(2, &["rollback", "--steps", "0"]), @"");
    insta::assert_snapshot!(world.refuses(2, &["rollbak"]), @"");
}

#[test]
fn a_docroot_that_is_the_root_itself_is_refused() {
    let world = World::local();
    let target = "[publish]\ntarget = \"box\"\n[targets.box]\nkind = \"sftp\"\nhost = \"box\"\ndocroot = \"/\"\n";
    world.project.write_manifest(target);
    insta::assert_snapshot!(world.refuses(2, &["publish"]), @"");
}

#[test]
fn steps_beyond_the_first_release_are_refused() {
    let world = World::local();
    insta::assert_snapshot!(world.fails(1, &["rollback", "--steps", "3"]), @"");
    insta::assert_snapshot!(world.fails(1, &["diff"]), @"");
    insta::assert_snapshot!(world.fails(1, &["diff", "", "zzz"]), @"");
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
        // A pipe that nobody reads: its other end is closed before anything is written.
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

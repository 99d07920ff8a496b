//! Invalid command line arguments.

use std::io::Read as _;
use std::process::Stdio;

use super::{World, check_words};

/// What the command line does not accept.
const USAGE: &[(&[&str], &str)] = &[
    (
        &["publish", "--forse"],
        r"
            error: unexpected argument '--forse' found

              tip: a similar argument exists: '--force'

            Usage: syntax-publish publish --force

            For more information, try '--help'.",
    ),
    (
        &["publish", "--wait", "soon"],
        r"
            error: invalid value 'soon' for '--wait <DURATION>': it is not one number with a unit: write it as [time], 10m or [time]

            For more information, try '--help'.",
    ),
    (
        &["build"],
        r"
            error: the following required arguments were not provided:
              --out <DIR>

            Usage: syntax-publish build --out <DIR>

            For more information, try '--help'.",
    ),
    (
        &["nginx", "--nginx-version", "new"],
        r"
            error: invalid value 'new' for '--nginx-version <X>': `new` is no nginx version: write it as 1.28 or 1.28.0

            For more information, try '--help'.",
    ),
    (
        &["nginx", "--listen", "here; root /"],
        r"
            error: `here; root /` is nothing to listen on: PORT or ADDRESS:PORT, as in 127.0.0.1:[port] or [::1]:8080
            live: unchanged; no target was contacted
            hint: write --listen 127.0.0.1:[port], or leave it out",
    ),
    (
        &["hold"],
        r"
            error: the following required arguments were not provided:
              <REASON>

            Usage: syntax-publish hold <REASON>

            For more information, try '--help'.",
    ),
    (
        &["rollback", "--steps", "0"],
        r"
            error: invalid value '0' for '--steps <N>': write a whole number of 1 or more

            For more information, try '--help'.",
    ),
    (
        &["rollbak"],
        r"
            error: unrecognized subcommand 'rollbak'

              tip: a similar subcommand exists: 'rollback'

            Usage: syntax-publish [COMMAND] [OPTIONS]

            For more information, try '--help'.",
    ),
];

/// Releases that do not exist, in a store with one release.
const RELEASES: &[(&[&str], &str)] = &[
    (
        &["rollback", "--steps", "3"],
        r"
            error: there is no release before [release]
            target: local (target/docroot)
            live: [release]
            hint: `syntax-publish releases` lists the releases there are",
    ),
    (
        &["diff"],
        r"
            error: there is no release before [release]
            target: local (target/docroot)
            live: [release]
            hint: `syntax-publish releases` lists the releases there are",
    ),
    (
        &["diff", "", "zzz"],
        r#"
            error: there's no release "zzz"
            target: local (target/docroot)
            live: [release]
            hint: the newest is [release]; `syntax-publish releases` lists them all"#,
    ),
    (
        &["rollback"],
        r"
            error: there is no release before [release]
            target: local (target/docroot)
            live: [release]
            hint: `syntax-publish releases` lists the releases there are",
    ),
    (
        &["rollback", "--to", "nope"],
        r#"
            error: there's no release "nope"
            target: local (target/docroot)
            live: [release]
            hint: the newest is [release]; `syntax-publish releases` lists them all"#,
    ),
    (
        &["diff", "nope"],
        r#"
            error: there's no release "nope"
            target: local (target/docroot)
            live: [release]
            hint: the newest is [release]; `syntax-publish releases` lists them all"#,
    ),
    (
        &["verify", "nope"],
        r#"
            error: there's no release "nope"
            target: local (target/docroot)
            live: [release]
            hint: the newest is [release]; `syntax-publish releases` lists them all"#,
    ),
];

#[test]
fn what_the_command_line_does_not_accept_is_named_with_the_usage() {
    check_words(&World::local(), World::refuses, 2, USAGE);
}

#[test]
fn releases_that_do_not_exist_are_named() {
    let world = World::local();
    check_words(&world, World::refuses, 1, RELEASES);
    world.edit("edited");
    world.project.run(&["publish"]).expect_code(0);
    let ambiguous = r#"
            error: "20" is ambiguous; it matches:
              [release]
              [release]
            target: local (target/docroot)
            live: [release]
            hint: give more of the id"#;
    check_words(&world, World::refuses, 1, &[(&["rollback", "--to", "20"], ambiguous)]);
}

#[test]
fn a_reader_that_goes_away_causes_no_panic() {
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

//! The command line on a local target: what each command prints, whole, and the code it ends with.

use std::fs;

use regex_lite::Regex;
use serde_json::Value;

use crate::support::command::{Project, Ran, Running, Signal, docroot_state, small_export, write};

/// A project with a small export and a target of its own.
fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[site]\nname = \"demo\"\n");
    project
}

fn shown(project: &Project, ran: &Ran) -> String {
    let text = project.redact(&ran.to_string());
    let who = Regex::new(r"[0-9a-z]+@[0-9A-Za-z.-]+").expect("a pattern");
    who.replace_all(&text, "[who]").into_owned()
}

fn run(project: &Project, args: &[&str]) -> String {
    shown(project, &project.run(args))
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn release(ran: Ran) -> String {
    ran.expect_code(0).json()["release"]
        .as_str()
        .expect("a release")
        .to_owned()
}

/// Publishes twice, with a page more the second time. Returns both releases.
fn two_releases(project: &Project) -> [String; 2] {
    let first = release(project.run(&["--json"]));
    write(&project.dir.join("out/docs/new.html"), "<!DOCTYPE html><p>new</p>");
    [first, release(project.run(&["--json"]))]
}

#[test]
fn first_publish_says_where_it_is_how_to_look_at_it_and_what_is_next() {
    insta::assert_snapshot!(run(&project(), &[]), @r"
    exit 0
    --- stdout
    published [release] to local: 12 files
    sent 17 objects, 4.0 KiB, in [time]
    live: target/docroot/current
    look at it: npx serve --symlinks target/docroot/current, then http://localhost:[port]
    next: `syntax-publish nginx` prints the vhost that serves it

    --- stderr
    ");
}

#[test]
fn publish_of_an_unchanged_site_says_so() {
    let project = project();
    project.run(&["publish"]).expect_code(0);
    insta::assert_snapshot!(run(&project, &[]), @r"
    exit 0
    --- stdout
    nothing changed: [release] is live on local already (12 files)
    live: target/docroot/current

    --- stderr
    ");
}

#[test]
fn publish_of_a_change_says_what_changed_and_how_to_undo_it() {
    let project = project();
    project.run(&["publish"]).expect_code(0);
    write(&project.dir.join("out/robots.txt"), "User-Agent: *\n");
    write(&project.dir.join("out/docs/new.html"), "<!DOCTYPE html><p>new</p>");
    insta::assert_snapshot!(run(&project, &["plan"]), @r"
    exit 0
    --- stdout
    added    25 B  docs/new.html
    changed  14 B  robots.txt
    1 added (25 B), 1 changed (14 B), 0 removed
    11 files unchanged; at most 2 objects to send to local, 39 B before encoding

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["publish", "--message", "new guide"]), @r"
    exit 0
    --- stdout
    published [release] to local: 1 added, 1 changed, 0 removed, 11 unchanged
    sent 2 objects, 39 B, in [time]
    live: target/docroot/current
    look at it: npx serve --symlinks target/docroot/current, then http://localhost:[port]
    undo: syntax-publish rollback

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["diff"]), @r"
    exit 0
    --- stdout
    from [release] to [release]:
    added    25 B  docs/new.html
    changed  14 B  robots.txt
    1 added (25 B), 1 changed (14 B), 0 removed

    --- stderr
    ");
}

#[test]
fn rollback_says_what_is_live_again_and_holds_publishing_if_asked() {
    let project = project();
    two_releases(&project);
    insta::assert_snapshot!(run(&project, &["rollback", "--hold", "broken search"]), @r"
    exit 0
    --- stdout
    [release] is live again on local, in place of [release]
    live: target/docroot/current
    on hold: nothing is published until `syntax-publish resume`
    undo: syntax-publish rollback --to [release]

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["publish"]), @r"
    exit 4
    --- stdout

    --- stderr
    error: publishing is on hold since [time], by [who]: broken search
    target: local (target/docroot)
    live: [release]
    hint: when the reason is gone: `syntax-publish resume`
    ");
    insta::assert_snapshot!(run(&project, &["status"]), @r"
    exit 0
    --- stdout
    live     [release]
    where    target/docroot/current
    since    [time]
    site     12 files, 2.2 KiB
    by       [who]
    store    2 releases, 4.1 KiB stored, 5 files in the pool
    on hold  broken search (by [who], since [time])

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["resume"]), @r"
    exit 0
    --- stdout
    publishing to local goes on; it was on hold for: broken search

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["resume"]), @r"
    exit 0
    --- stdout
    publishing to local was not on hold

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["releases"]), @r"
    exit 0
    --- stdout
       release                 created               files     size  commit  message
       [release]  [time]     13  2.3 KiB
    *  [release]  [time]     12  2.2 KiB
    * is live

    --- stderr
    ");
}

#[test]
fn commands_that_only_ask_leave_no_trace() {
    let project = project();
    for command in ["plan", "status", "releases", "check", "nginx"] {
        project.run(&[command]).expect_code(0);
        assert!(!project.dir.join("target").exists(), "{command}");
    }
    project.run(&["--dry-run"]).expect_code(0);
    assert!(!project.dir.join("target").exists());
}

#[test]
fn plan_of_an_empty_target_adds_everything() {
    let json = project().run(&["plan", "--json"]).expect_code(0).json();
    assert_eq!(
        (&json["added"], &json["files"], &json["release"]),
        (&12.into(), &12.into(), &Value::Null)
    );
    assert_eq!(json["changes"].as_array().expect("changes").len(), 12);
    assert_eq!(json["changes"][0]["change"], "added");
}

#[test]
fn json_of_each_command_has_its_shape() {
    let project = project();
    let publish = [
        "added",
        "bytes_sent",
        "changed",
        "encoded",
        "files",
        "objects_sent",
        "previous",
        "release",
        "removed",
        "round_trips",
        "seconds",
        "swapped",
        "unchanged",
    ];
    let json = |args: &[&str]| project.run(&[args, &["--json"]].concat()).expect_code(0).json();
    let sorted = |value: &Value| {
        let mut keys: Vec<String> = keys(value).into_iter().map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let first = json(&[]);
    assert_eq!(sorted(&first), publish);
    assert_eq!((&first["swapped"], &first["previous"]), (&true.into(), &Value::Null));
    let again = json(&["publish"]);
    assert_eq!(
        (&again["swapped"], &again["release"]),
        (&false.into(), &first["release"])
    );
    let forced = json(&["--force", "--commit", "abc", "--message", "again"]);
    assert_eq!(
        (&forced["swapped"], &forced["previous"]),
        (&true.into(), &first["release"])
    );

    let status = json(&["status"]);
    let keys = [
        "bytes_stored",
        "commit",
        "delivery",
        "held",
        "lock",
        "message",
        "pool",
        "release",
        "releases",
        "since",
    ];
    assert_eq!(sorted(&status), keys);
    assert_eq!(
        (&status["commit"], &status["message"], &status["releases"]),
        (&"abc".into(), &"again".into(), &2.into())
    );

    let releases = json(&["releases"]);
    let keys = [
        "bytes", "channel", "commit", "created", "current", "files", "id", "root",
    ];
    assert_eq!(sorted(&releases[0]), keys);
    assert_eq!(
        (&releases[0]["id"], &releases[0]["current"]),
        (&forced["release"], &true.into())
    );

    let diff = json(&["diff"]);
    assert_eq!(sorted(&diff), ["changes", "from", "to"]);
    assert_eq!((&diff["from"], &diff["to"]), (&first["release"], &forced["release"]));

    let rollback = json(&["rollback"]);
    assert_eq!(sorted(&rollback), ["previous", "release"]);
    assert_eq!(rollback["release"], first["release"]);

    assert_eq!(
        sorted(&json(&["prune", "--dry-run"])),
        ["bytes", "objects", "releases", "trees"]
    );
    assert_eq!(sorted(&json(&["check"])), ["ok", "problems", "unclassified", "unread"]);
    assert_eq!(sorted(&json(&["build", "--out", "dist"])), ["bytes", "files", "root"]);
    assert_eq!(sorted(&json(&["hold", "why"])), ["held"]);
    assert_eq!(sorted(&json(&["resume"])), ["held"]);
    assert_eq!(sorted(&json(&["nginx"])), ["nginx"]);
}

#[test]
fn timings_tell_of_each_stage_what_it_asked_of_the_host() {
    let project = project();
    let json = project.run(&["--timings", "--json"]).expect_code(0).json();
    let stages = json["timings"].as_array().expect("a list");
    let of = |name: &str| {
        let stage = stages.iter().find(|stage| stage["stage"] == name);
        stage.unwrap_or_else(|| panic!("no {name} in {stages:?}"))
    };
    for name in [
        "connect",
        "scan",
        "check",
        "fingerprint",
        "manifest",
        "plan",
        "encode",
        "swap",
    ] {
        assert!(of(name)["seconds"].as_f64() >= Some(0.0));
    }
    assert!(of("plan")["round_trips"].as_u64() >= Some(1));
    assert_eq!(of("scan")["operations"], 0);
    let sum: u64 = stages.iter().filter_map(|stage| stage["round_trips"].as_u64()).sum();
    assert_eq!(
        Some(sum),
        json["round_trips"].as_u64(),
        "stages with a host don't overlap"
    );
    let text = project.run(&["publish", "--force", "--timings"]).expect_code(0).stdout;
    assert!(
        text.contains("stage") && text.contains("round trips") && text.contains("swap"),
        "{text}"
    );
}

#[test]
fn options_may_stand_before_and_after_the_command() {
    let project = project();
    assert_eq!(
        project.run(&["--json", "status"]).expect_code(0).json()["release"],
        Value::Null
    );
    assert_eq!(
        project.run(&["status", "--json"]).expect_code(0).json()["release"],
        Value::Null
    );
    let refused = project.run(&["--dry-run", "prune"]).expect_code(2);
    assert!(
        refused.stderr.contains("put --dry-run after the name of the command"),
        "{refused}"
    );
}

#[test]
fn site_manifest_is_found_in_a_parent_folder() {
    let project = project();
    fs::create_dir_all(project.dir.join("app/docs")).expect("folders");
    let ran = project
        .command()
        .arg("check")
        .current_dir(project.dir.join("app/docs"))
        .output()
        .expect("a run");
    assert_eq!(ran.status.code(), Some(0));
}

#[test]
fn site_manifest_of_another_user_is_used_only_where_it_is_named() {
    if !crate::support::sshd::is_root() {
        crate::support::report::say("skipped, as it takes root to give a file away: a site manifest of another user");
        return;
    }
    let project = Project::new();
    let ran_at = project.dir.join("ran");
    let manifest = format!("[watch]\ncommand = [\"touch\", \"{}\"]\n", ran_at.display());
    let manifest = project.write("shared/site-manifest.toml", manifest);
    small_export(&project.dir.join("shared/mine/out"));
    let shared = project.dir.join("shared");
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).expect("chmod");
    std::os::unix::fs::chown(&manifest, Some(65_534), None).expect("chown");
    let run = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = project.command();
        command
            .current_dir(shared.join("mine"))
            .args(args)
            .envs(environment.iter().copied());
        Running::start(command).wait()
    };
    for args in [&["watch"][..], &["check"], &["status"]] {
        let ran = run(args, &[]).expect_code(2);
        assert!(ran.stderr.contains("belongs to another user (uid 65534)"), "{ran}");
        assert!(ran.stderr.contains("--site "), "{ran}");
    }
    assert_eq!(
        run(&["check", "--json"], &[]).json()["error"]["code"],
        "foreign-site-manifest"
    );
    assert!(!ran_at.exists());
    // A link of ours to it is no better, nor is a folder of his with a file of ours.
    std::os::unix::fs::symlink(&manifest, shared.join("mine/site-manifest.toml")).expect("a symlink");
    run(&["check"], &[]).expect_code(2);
    std::fs::remove_file(shared.join("mine/site-manifest.toml")).expect("a symlink");
    std::os::unix::fs::chown(&manifest, Some(0), None).expect("chown");
    std::os::unix::fs::chown(&shared, Some(65_534), None).expect("chown");
    run(&["check"], &[]).expect_code(2);
    // Named, or that of whoever called sudo, it counts.
    let named = manifest.to_str().expect("a path");
    let ran = run(&["status", "--site", named], &[]);
    assert!(!ran.stderr.contains("another user"), "{ran}");
    let ran = run(&["status"], &[("SUDO_UID", "65534")]);
    assert!(!ran.stderr.contains("another user"), "{ran}");
}

#[test]
fn missing_site_manifest_is_told() {
    insta::assert_snapshot!(run(&Project::new(), &["publish"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: there is no site-manifest.toml in [project] or a folder above it
    live: as it was: no target was touched
    hint: go to the site's folder, name the file with --site FILE, or let `syntax-publish init` write one
    ");
}

#[test]
fn mistakes_in_the_site_manifest_are_told_with_their_lines() {
    let project = project();
    project.write_manifest("[site]\nnam = \"demo\"\n\n[publish]\nkeep = 0\n");
    insta::assert_snapshot!(run(&project, &["check"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      unknown key "nam" in [site], line 2: did you mean "name"?
      "keep" in [publish] is the number 0, which is too small, line 5: it must be a whole number from 1 to 1000000, such as keep = 10
    live: as it was: no target was touched
    hint: correct the lines named above
    "#);
    let ran = project.run(&["check", "--json"]).expect_code(2);
    assert_eq!(keys(&ran.json()["error"]), ["code", "hint", "live", "message"]);
}

#[test]
fn unknown_target_and_unknown_option_are_usage() {
    let project = project();
    insta::assert_snapshot!(run(&project, &["--target", "nope"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the site manifest has no target "nope"
    live: as it was: no target was touched
    hint: use --target with one of: local; or add a table [targets.NAME] to the site manifest
    "#);
    insta::assert_snapshot!(run(&project, &["--dryrun"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: unexpected argument '--dryrun' found

      tip: a similar argument exists: '--dry-run'

    Usage: syntax-publish [COMMAND] [OPTIONS]

    For more information, try '--help'.
    ");
    let ran = project.run(&["--dryrun", "--json"]).expect_code(2);
    assert_eq!(ran.json()["error"]["code"], "usage");
}

#[test]
fn failing_checks_stop_a_publish_and_name_what_is_live() {
    let project = project();
    let live = release(project.run(&["--json"]));
    let before = docroot_state(&project.dir.join("target/docroot"));
    fs::remove_file(project.dir.join("out/404.html")).expect("removed");
    write(&project.dir.join("out/Robots.txt"), "x");
    insta::assert_snapshot!(run(&project, &["publish"]), @r#"
    exit 3
    --- stdout

    --- stderr
    error: the checks found 2 errors in the export
      404.html
        error  not-found  there is no 404.html: a wrong address shows the web server's own error page
          cure: add app/not-found.tsx (or pages/404.tsx) to the site; `next build` writes 404.html from it
      robots.txt
        error  case  differs from Robots.txt only in case
          cure: rename one of the two: file systems that ignore case keep only one of them
    target: local (target/docroot)
    live: [release]
    hint: correct what is named above, or set the check's level to "warn" in [check] of the site manifest
    "#);
    let ran = project.run(&["publish", "--json"]).expect_code(3);
    assert_eq!(
        (&ran.json()["error"]["code"], &ran.json()["error"]["live"]),
        (&"check".into(), &live.into())
    );
    assert_eq!(docroot_state(&project.dir.join("target/docroot")), before);
    insta::assert_snapshot!(run(&project, &["check"]), @r"
    exit 3
    --- stdout
    404.html
      error  not-found  there is no 404.html: a wrong address shows the web server's own error page
        cure: add app/not-found.tsx (or pages/404.tsx) to the site; `next build` writes 404.html from it
    robots.txt
      error  case  differs from Robots.txt only in case
        cure: rename one of the two: file systems that ignore case keep only one of them
    2 errors, 0 warnings

    --- stderr
    ");
}

#[test]
fn export_that_is_not_there_is_told() {
    let project = Project::new();
    project.write_manifest("");
    insta::assert_snapshot!(run(&project, &[]), @r"
    exit 3
    --- stdout

    --- stderr
    error: there is no folder [project]/out
    target: local (target/docroot)
    live: nothing yet
    hint: build the site first, or correct `export` in the site manifest
    ");
}

#[test]
fn docroot_of_somebody_else_is_not_touched() {
    let project = project();
    project.write("target/docroot/index.html", "mine");
    insta::assert_snapshot!(run(&project, &[]), @r"
    exit 5
    --- stdout

    --- stderr
    error: the docroot on [project]/target/docroot holds things that are not a release store: index.html
    target: local (target/docroot)
    live: as it was
    hint: give the target a docroot of its own, empty or missing; nothing in this one was touched
    ");
}

#[test]
fn build_writes_a_plain_folder_and_refuses_foreign_ones() {
    let project = project();
    insta::assert_snapshot!(run(&project, &["build", "--out", "dist"]), @r"
    exit 0
    --- stdout
    built dist: 12 files, 2.2 KiB

    --- stderr
    ");
    assert!(project.dir.join("dist/docs/a.html.br").is_file());
    project.run(&["build", "--out", "dist"]).expect_code(0);
    project.write("dist/notes.txt", "mine");
    insta::assert_snapshot!(run(&project, &["build", "--out", "dist"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: dist holds what no earlier build wrote: notes.txt
    live: as it was: no target was touched
    hint: give --out a folder that is missing or empty, or move that file away; nothing was deleted
    ");
}

#[test]
fn rollback_without_a_former_release_and_to_an_unknown_one_are_told() {
    let project = project();
    insta::assert_snapshot!(run(&project, &["rollback"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: nothing has been published to [project]/target/docroot yet
    target: local (target/docroot)
    live: nothing yet
    hint: publish first: `syntax-publish publish`
    ");
    project.run(&["publish"]).expect_code(0);
    insta::assert_snapshot!(run(&project, &["rollback"]), @r"
    exit 1
    --- stdout

    --- stderr
    error: there's no former release to go back to
    target: local (target/docroot)
    live: [release]
    hint: name a release that is there: `syntax-publish releases` lists them
    ");
    insta::assert_snapshot!(run(&project, &["rollback", "--to", "1999"]), @r#"
    exit 1
    --- stdout

    --- stderr
    error: there's no release "1999"
    target: local (target/docroot)
    live: [release]
    hint: the newest is [release]; `syntax-publish releases` lists them all
    "#);
}

#[test]
fn quiet_publish_says_nothing_and_still_fails_aloud() {
    let project = project();
    let ran = project.run(&["--quiet"]).expect_code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = project.run(&["--quiet", "rollback"]).expect_code(1);
    assert!(ran.stderr.starts_with("error: "), "{ran}");
}

#[test]
fn commit_is_taken_from_the_option_then_from_the_ci_service() {
    let project = project();
    let env = [("GITHUB_SHA", "aaa"), ("CI_COMMIT_SHA", "bbb")];
    let commit = |args: &[&str], env: &[(&str, &str)]| {
        project.run_env(args, env).expect_code(0);
        project.run(&["status", "--json"]).expect_code(0).json()["commit"].clone()
    };
    assert_eq!(commit(&["--force", "--commit", "ccc"], &env), "ccc");
    assert_eq!(commit(&["--force"], &env), "aaa");
    assert_eq!(commit(&["--force"], &env[1..]), "bbb");
    assert_eq!(commit(&["--force"], &[]), Value::Null);
}

#[test]
fn interrupted_publish_ends_soon_and_leaves_no_lock() {
    let project = project();
    let noise: String = (0..6_000_000_u64)
        .map(|n| char::from(b'a' + (n.wrapping_mul(n) % 25) as u8))
        .collect();
    for number in 0..6 {
        project.write(format!("out/big{number}.html"), format!("{number}{noise}"));
    }
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut running = project.spawn(&["publish", "--verbose"]);
        running.wait_for_stderr("stage: comparing");
        let asked = std::time::Instant::now();
        running.signal(signal);
        let ran = running.wait().expect_code(code);
        assert!(asked.elapsed().as_secs_f64() < 1.5, "{:?}", asked.elapsed());
        assert_eq!(ran.signal, None);
        assert!(ran.stderr.contains("live: nothing yet"), "{ran}");
    }
    for folder in ["lock", "work", "releases"] {
        let folder = project.dir.join("target/docroot").join(folder);
        assert_eq!(
            fs::read_dir(&folder).expect("a folder").count(),
            0,
            "{}",
            folder.display()
        );
    }
}

#[test]
fn texts_for_packagers_are_whole() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = project.run(&["completions", shell]).expect_code(0);
        assert!(
            ran.stdout.contains("syntax-publish") && ran.stdout.contains("rollback"),
            "{shell}"
        );
    }
    let man = project.run(&["man"]).expect_code(0).stdout;
    assert!(
        man.contains(".TH syntax-publish 1") && man.contains("rollback"),
        "{man}"
    );
}

#[test]
fn reader_that_goes_away_is_no_error_on_the_screen() {
    let project = project();
    let mut child = project
        .command()
        .arg("man")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a run");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn folders_within_each_other_are_refused_and_nothing_is_written() {
    for (manifest, args, message) in [
        (
            "",
            &["build", "--out", "out/built"][..],
            "the folder to be written out/built lies within the export out",
        ),
        (
            "",
            &["build", "--out", "target/docroot/built"],
            "the folder to be written target/docroot/built lies within the docroot",
        ),
        (
            "docroot = \"out/docroot\"",
            &["publish"],
            "the docroot out/docroot lies within the export out",
        ),
        (
            "docroot = \"out/docroot\"",
            &["plan"],
            "the docroot out/docroot lies within the export out",
        ),
        (
            "docroot = \"link/docroot\"",
            &["publish"],
            "the docroot link/docroot lies within the export out",
        ),
        (
            "docroot = \".\"",
            &["publish"],
            "the export out lies within the docroot",
        ),
    ] {
        let project = project();
        std::os::unix::fs::symlink("out", project.dir.join("link")).unwrap();
        if !manifest.is_empty() {
            project.write_manifest(&format!(
                "[site]\nname = \"demo\"\n[targets.local]\nkind = \"local\"\n{manifest}\n"
            ));
        }
        let before = docroot_state(&project.dir);
        let ran = project.run(args).expect_code(2);
        assert!(ran.to_string().contains(message), "{args:?} {manifest}:\n{ran}");
        assert_eq!(docroot_state(&project.dir), before, "{args:?} {manifest}");
    }
}

//! The command line on a local target: the complete output of each command, and its exit code.

use std::fs;

use regex_lite::Regex;
use serde_json::Value;

use crate::support::command::{Project, Ran, Running, Signal, docroot_state, small_export, visitor_state, write};

/// A project with a small export and its own target.
fn project() -> Project {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[site]\nname = \"demo\"\n");
    project
}

fn shown(project: &Project, ran: &Ran) -> String {
    let text = project.redact(&ran.to_string());
    let who = Regex::new(r"[0-9A-Za-z._-]+@[0-9A-Za-z.-]+").expect("a pattern");
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

/// Publishes twice, with an additional page the second time. Returns both releases.
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
    published demo to local: 3 pages, 2 other files, 5 build assets
    release: [release], uploaded 4.1 KiB in [time]
    live: target/docroot/current
    preview: syntax-publish watch --open
    next: `syntax-publish nginx` prints the vhost that serves it

    --- stderr
    publishing demo to local (target/docroot)
    ");
}

#[test]
fn publish_of_an_unchanged_site_says_so() {
    let project = project();
    project.run(&["publish"]).expect_code(0);
    insta::assert_snapshot!(run(&project, &[]), @r"
    exit 0
    --- stdout
    nothing to publish: demo [release] is already live on local
    live: target/docroot/current

    --- stderr
    publishing demo to local (target/docroot)
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
    added    /docs/new
    changed  /robots.txt
    1 page added, 1 other file changed
    to upload to local: at most 39 B before compression

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["publish", "--message", "new guide"]), @r"
    exit 0
    --- stdout
    published demo to local: 1 page added, 1 other file changed
      added    /docs/new
      changed  /robots.txt
    release: [release], uploaded 39 B in [time]
    live: target/docroot/current
    preview: syntax-publish watch --open
    undo: syntax-publish rollback

    --- stderr
    publishing demo to local (target/docroot)
    ");
    insta::assert_snapshot!(run(&project, &["diff"]), @r"
    exit 0
    --- stdout
    from [release] to [release]:
    added    /docs/new
    changed  /robots.txt
    1 page added, 1 other file changed

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
    rolled back local to [release] (was [release])
    live: target/docroot/current
    on hold: publishing is blocked until `syntax-publish resume`
    undo: syntax-publish rollback --to [release]

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["publish"]), @r"
    exit 4
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: publishing is on hold since [time], by [who]: broken search
    target: local (target/docroot)
    live: [release]
    hint: when the reason is gone: `syntax-publish resume`
    ");
    insta::assert_snapshot!(run(&project, &["status"]), @r"
    exit 0
    --- stdout
    live       [release]
    where      target/docroot/current
    since      [time]
    site       12 files, 2.2 KiB
    published  by [who]
    store      2 releases, 4.1 KiB stored, 5 files in the pool
    on hold    broken search
               by [who], since [time]

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["resume"]), @r#"
    exit 0
    --- stdout
    publishing to local resumed (was on hold: "broken search")

    --- stderr
    "#);
    insta::assert_snapshot!(run(&project, &["resume"]), @r"
    exit 0
    --- stdout
    publishing to local was not on hold

    --- stderr
    ");
    insta::assert_snapshot!(run(&project, &["releases"]), @r"
    exit 0
    --- stdout
       release                 published                  files     size  commit  message
       [release]  [time]     13  2.3 KiB
    *  [release]  [time]     12  2.2 KiB
    * live

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
    let with_next = [&publish[..5], &["next"], &publish[5..]].concat();
    assert_eq!(sorted(&first), with_next, "nothing serves it yet");
    assert_eq!((&first["swapped"], &first["previous"]), (&true.into(), &Value::Null));
    let again = json(&["publish"]);
    assert_eq!(sorted(&again), publish);
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
        "files",
        "held",
        "lock",
        "message",
        "place",
        "pool",
        "release",
        "releases",
        "since",
        "target",
        "vhost",
        "who",
    ];
    assert_eq!(sorted(&status), keys);
    assert_eq!(
        (&status["commit"], &status["message"], &status["releases"]),
        (&"abc".into(), &"again".into(), &2.into())
    );

    let releases = json(&["releases"]);
    let keys = [
        "bytes", "channel", "commit", "created", "current", "files", "id", "message", "root",
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
        ["bytes", "channels", "objects", "releases", "trees"]
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
    // A symlink of ours to the other user's file is refused, too, and so is a file of ours in the other user's folder.
    std::os::unix::fs::symlink(&manifest, shared.join("mine/site-manifest.toml")).expect("a symlink");
    run(&["check"], &[]).expect_code(2);
    std::fs::remove_file(shared.join("mine/site-manifest.toml")).expect("a symlink");
    std::os::unix::fs::chown(&manifest, Some(0), None).expect("chown");
    std::os::unix::fs::chown(&shared, Some(65_534), None).expect("chown");
    run(&["check"], &[]).expect_code(2);
    // The file is accepted if it is named with `--site`, or if it belongs to the user who called sudo.
    let named = manifest.to_str().expect("a path");
    let ran = run(&["status", "--site", named], &[]);
    assert!(!ran.stderr.contains("another user"), "{ran}");
    let ran = run(&["status"], &[("SUDO_UID", "65534")]);
    assert!(!ran.stderr.contains("another user"), "{ran}");
}

#[test]
fn missing_site_manifest_is_reported() {
    insta::assert_snapshot!(run(&Project::new(), &["publish"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: there is no site-manifest.toml in [project] or a folder above it
    live: unchanged; no target was contacted
    hint: go to the site's folder, name the file with --site FILE, or let `syntax-publish init` write one
    ");
}

#[test]
fn mistakes_in_the_site_manifest_are_reported_with_their_lines() {
    let project = project();
    project.write_manifest("[site]\nnam = \"demo\"\n\n[publish]\nkeep = 0\n");
    insta::assert_snapshot!(run(&project, &["check"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      unknown key "nam" in [site], line 2: did you mean "name"?
      "keep" in [publish] is the number 0, which is too small, line 5: it must be a whole number from 1 to 1000000, such as keep = 10
    live: unchanged; no target was contacted
    hint: fix the lines named above
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
    live: unchanged; no target was contacted
    hint: use --target with one of: local; or add [targets.NAME] to the site manifest
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
    let current = project.dir.join("target/docroot/current");
    let before = visitor_state(&current);
    fs::remove_file(project.dir.join("out/404.html")).expect("removed");
    write(&project.dir.join("out/Robots.txt"), "x");
    insta::assert_snapshot!(run(&project, &["publish"]), @r#"
    exit 3
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: the checks found an error in the export
      robots.txt
        error  case  differs from Robots.txt only in case
          fix: rename one of the two: file systems that ignore case keep only one of them
      404.html
        warning  not-found  there is no 404.html: a wrong address shows the web server's own error page
          fix: add app/not-found.tsx (or pages/404.tsx) to the site; `next build` writes 404.html from it
    target: local (target/docroot)
    live: [release]
    hint: fix what is named above, or set the check's level to "warn" in [check] of the site manifest
    "#);
    let ran = project.run(&["publish", "--json"]).expect_code(3);
    assert_eq!(
        (&ran.json()["error"]["code"], &ran.json()["error"]["live"]),
        (&"check".into(), &live.into())
    );
    assert_eq!(visitor_state(&current), before);
    insta::assert_snapshot!(run(&project, &["check"]), @r"
    exit 3
    --- stdout
    robots.txt
      error  case  differs from Robots.txt only in case
        fix: rename one of the two: file systems that ignore case keep only one of them
    404.html
      warning  not-found  there is no 404.html: a wrong address shows the web server's own error page
        fix: add app/not-found.tsx (or pages/404.tsx) to the site; `next build` writes 404.html from it
    1 error, 1 warning

    --- stderr
    ");
}

#[test]
fn missing_export_is_reported() {
    let project = Project::new();
    project.write_manifest("");
    insta::assert_snapshot!(run(&project, &[]), @r"
    exit 3
    --- stdout

    --- stderr
    publishing site to local (target/docroot)
    error: there is no folder [project]/out
    target: local (target/docroot)
    live: nothing yet
    hint: build the site first, or correct `export` in the site manifest
    ");
}

#[test]
fn docroot_with_other_files_is_not_touched() {
    let project = project();
    project.write("target/docroot/index.html", "mine");
    insta::assert_snapshot!(run(&project, &[]), @r"
    exit 5
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: the docroot on [project]/target/docroot is not empty and not a release store; it contains: index.html
    target: local (target/docroot)
    live: unchanged
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
    live: unchanged; no target was contacted
    hint: give --out a folder that is missing or empty, or move that file away; nothing was deleted
    ");
}

#[test]
fn rollback_without_an_earlier_release_and_to_an_unknown_one_are_reported() {
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
    error: there is no release before [release]
    target: local (target/docroot)
    live: [release]
    hint: `syntax-publish releases` lists the releases there are
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
fn texts_for_packagers_are_complete() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = project.run(&["completions", shell]).expect_code(0);
        assert!(
            ran.stdout.contains("syntax-publish") && ran.stdout.contains("COMPLETE"),
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
fn reader_that_goes_away_causes_no_error_message() {
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

#[test]
fn releases_that_rollback_and_diff_cant_use_are_refused_with_the_reason() {
    let project = project();
    let [first, second] = two_releases(&project);
    let refused = |args: &[&str], code: i32| project.run(args).expect_code(code).stderr;
    let said = refused(&["rollback", "--to", &second], 1);
    assert!(said.contains(&format!("error: {second} is already live\n")), "{said}");
    let said = refused(&["rollback", "--steps", "50"], 1);
    assert!(
        said.contains(&format!("error: there is only 1 release before {second}, not 50\n")),
        "{said}"
    );
    project.run(&["rollback"]).expect_code(0);
    let said = refused(&["diff"], 1);
    assert!(
        said.contains(&format!("error: there is no release before {first}\n")),
        "{said}"
    );
    let said = refused(&["verify", &first[..2]], 1);
    let matches = format!(
        "error: \"{}\" is ambiguous; it matches:\n  {second}\n  {first}\n",
        &first[..2]
    );
    assert!(said.contains(&matches), "{said}");
}

#[test]
fn docroot_that_cant_be_made_is_an_error_of_status_too() {
    let project = project();
    let missing = project.dir.join("gone/docroot");
    project.write_manifest(&format!(
        "[targets.local]\nkind = \"local\"\ndocroot = \"{}\"\n",
        missing.display()
    ));
    let ran = project.run(&["status", "--json"]).expect_code(5);
    assert_eq!(ran.json()["error"]["code"], "no-parent");
    fs::create_dir(project.dir.join("gone")).unwrap();
    assert_eq!(
        project.run(&["status", "--json"]).expect_code(0).json()["release"],
        Value::Null
    );
}

#[test]
fn words_of_other_tools_lead_to_the_right_command() {
    let project = project();
    for (word, command) in [
        ("deploy", "publish"),
        ("push", "publish"),
        ("list", "releases"),
        ("logs", "releases"),
        ("undo", "rollback"),
    ] {
        let said = project.run(&[word]).expect_code(2).stderr;
        assert!(said.contains(&format!("'{command}'")), "{word}: {said}");
    }
}

#[test]
fn short_options_are_those_of_other_tools() {
    let project = project();
    let planned = project.run(&["-n", "-t", "local", "--json"]).expect_code(0).json();
    assert_eq!(planned["release"], Value::Null);
    project.run(&["publish", "-m", "First"]).expect_code(0);
    let listed = project.run(&["releases", "--json"]).expect_code(0).json();
    assert_eq!(listed[0]["message"], "First");
    project.run(&["prune", "-n"]).expect_code(0);
}

#[test]
fn help_of_a_command_is_there_as_a_command_too() {
    let project = project();
    let help = |args: &[&str]| project.run(args).expect_code(0).stdout;
    assert_eq!(help(&["help", "plan"]), help(&["plan", "--help"]));
    assert_eq!(help(&["help"]), help(&["--help"]));
}

#[test]
fn every_command_has_a_manual_page_with_its_options_and_examples() {
    let project = project();
    let page = project.run(&["man"]).expect_code(0).stdout;
    project.run(&["man", "--out", "man1"]).expect_code(0);
    let name = Regex::new(r"syntax\\-publish\\-([a-z]+)\(1\)").expect("a pattern");
    let named: Vec<String> = name.captures_iter(&page).map(|found| found[1].to_owned()).collect();
    assert!(named.len() >= 18, "{named:?}");
    for command in &named {
        let page = fs::read_to_string(project.dir.join(format!("man1/syntax-publish-{command}.1"))).expect(command);
        assert!(page.contains(&format!("syntax\\-publish\\-{command}")), "{page}");
        if command != "help" {
            assert!(page.contains(".SH EXAMPLES\n.nf\n"), "{page}");
            assert_eq!(page, project.run(&["man", command]).expect_code(0).stdout);
        }
    }
    let page = fs::read_to_string(project.dir.join("man1/syntax-publish-rollback.1")).unwrap();
    assert!(page.contains("\\-\\-steps") && page.contains("\\-\\-target"), "{page}");
    let examples = page.split(".SH EXAMPLES").nth(1).unwrap();
    assert!(
        examples
            .lines()
            .filter(|line| line.starts_with("  syntax\\-publish rollback"))
            .count()
            == 3,
        "{page}"
    );
    let ran = project.run(&["man", "deploy"]).expect_code(2);
    assert!(ran.stderr.contains("there is no command \"deploy\""), "{ran}");
}

#[test]
fn vhost_follows_the_target_and_says_what_it_had_to_assume() {
    let project = project();
    let manifest = |target: &str, url: &str| {
        project.write_manifest(&format!(
            "[site]\nname = \"demo\"\nurl = \"{url}\"\n[publish]\ntarget = \"box\"\n[targets.box]\nkind = \"sftp\"\n\
             host = \"docs.example.com\"\ndocroot = \"/site\"\n{target}\n[nginx]\nhsts = \"5m\"\nipv6 = false\n"
        ));
        project.run(&["nginx"]).expect_code(0)
    };
    let ran = manifest("", "https://docs.example.com");
    assert!(
        ran.stdout.contains("root /site/current;") && ran.stdout.contains("http2 on;"),
        "{ran}"
    );
    assert!(
        ran.stderr
            .contains("warning: `root` is /site/current, the docroot as SFTP sees it"),
        "{ran}"
    );
    assert!(
        ran.stderr.contains("warning: printed for nginx 1.28.0 or later"),
        "{ran}"
    );
    let known = "nginx-root = \"/srv/syntax/site\"\nnginx-version = \"1.22\"";
    let ran = manifest(known, "https://docs.example.com");
    assert_eq!(ran.stderr, "");
    for line in [
        "root /srv/syntax/site/current;",
        "listen 443 ssl http2;",
        "add_header Strict-Transport-Security \"max-age=300\" always;",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {ran}");
    }
    assert!(!ran.stdout.contains("[::]"), "{ran}");
    let ran = manifest(known, "https://docs.example.com:8443");
    assert!(
        ran.stdout.contains("listen 8443 ssl http2;") && !ran.stdout.contains("listen 80;"),
        "{ran}"
    );
    let ran = manifest(known, "http://docs.example.com");
    assert!(
        ran.stdout.contains("listen 80;") && !ran.stdout.contains("ssl"),
        "{ran}"
    );
}

#[test]
fn the_shell_completes_commands_options_targets_and_releases() {
    let project = project();
    project.write_manifest(
        "[site]\nname = \"demo\"\n[targets.local]\nkind = \"local\"\ndocroot = \"target/docroot\"\n\
         [targets.staging]\nkind = \"local\"\ndocroot = \"staging\"\n",
    );
    let [first, second] = two_releases(&project);
    let script = project.run(&["completions", "bash"]).expect_code(0).stdout;
    let script = project.write("complete.bash", script);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_syntax-publish"))
        .parent()
        .expect("a folder");
    let complete = |line: &str| -> Vec<String> {
        // Does what bash itself does when the user presses Tab.
        let text = format!(
            "PATH={}:$PATH; source {}; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({line}); \
             [ \"${{COMP_LINE: -1}}\" = ' ' ] && COMP_WORDS+=(''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9; \
             f=$(complete -p syntax-publish | sed 's/.*-F \\([^ ]*\\).*/\\1/'); compopt() {{ :; }}; \
             $f syntax-publish \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            binary.display(),
            script.display()
        );
        let mut bash = std::process::Command::new("bash");
        bash.args(["--norc", "-c", &text]).current_dir(&project.dir);
        bash.env("HOME", &project.home);
        let output = bash.output().expect("bash");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    };
    assert_eq!(complete("syntax-publish roll"), ["rollback"]);
    assert!(complete("syntax-publish rollback --s").contains(&"--steps".to_owned()));
    assert_eq!(complete("syntax-publish plan --target "), ["local", "staging"]);
    assert_eq!(
        complete("syntax-publish rollback --to "),
        [second.clone(), first.clone()]
    );
    assert_eq!(complete("syntax-publish verify 2"), [second, first]);
}

#[test]
fn a_hold_needs_a_reason_that_fits_in_a_line() {
    let project = project();
    two_releases(&project);
    let long = "x".repeat(501);
    for reason in ["", "  \t ", long.as_str()] {
        for args in [vec!["hold", reason], vec!["rollback", "--hold", reason]] {
            project.run(&args).expect_code(2);
        }
    }
    project.run(&["publish"]).expect_code(0);
    // The longest text that is allowed, made of characters that take the most room.
    let fits = "\u{1f512}".repeat(500);
    project.run(&["hold", &fits]).expect_code(0);
    let held = project.run(&["status", "--json"]).expect_code(0).json();
    assert!(held.to_string().contains(&fits), "{held}");
    project.run(&["publish"]).expect_code(4);
}

#[test]
fn a_plan_shows_its_timings_too() {
    let project = project();
    for args in [
        vec!["plan", "--timings", "--json"],
        vec!["publish", "--dry-run", "--timings", "--json"],
        vec!["--dry-run", "--timings", "--json"],
    ] {
        let plan = project.run(&args).expect_code(0).json();
        let stages = plan["timings"].as_array().expect("a list");
        assert!(stages.iter().any(|stage| stage["stage"] == "scan"), "{plan}");
    }
    let text = project.run(&["plan", "--timings"]).expect_code(0).stdout;
    assert!(text.contains("round trips"), "{text}");
    let ran = project.run(&["--timings", "plan"]).expect_code(2);
    assert!(
        ran.stderr.contains("put --timings after the name of the command"),
        "{ran}"
    );
}

#[test]
fn a_user_without_a_name_in_the_environment_is_named_all_the_same() {
    let project = project();
    project.run(&["publish"]).expect_code(0);
    let said = std::process::Command::new("id").arg("-un").output().expect("a user");
    let user = String::from_utf8(said.stdout).expect("a name");
    let by = format!("published  by {}@", user.trim());
    let status = project.run(&["status"]).expect_code(0).stdout;
    assert!(status.contains(&by), "{status}");
}

#[test]
fn times_in_messages_are_local_for_people_and_utc_in_json() {
    let project = project();
    project.run(&["publish"]).expect_code(0);
    project.run(&["hold", "moving"]).expect_code(0);
    // By name if this machine has the file of that zone.
    let named = std::path::Path::new("/usr/share/zoneinfo/Asia/Kathmandu").exists();
    let zone = if named { "Asia/Kathmandu" } else { "<+0545>-05:45" };
    let in_nepal = |args: &[&str]| {
        let ran = project.command().args(args).env("TZ", zone).output();
        let ran = ran.expect("a run");
        [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).expect("a text"))
    };
    let [_, said] = in_nepal(&["publish"]);
    assert!(said.contains("+05:45, by ") && !said.contains("Z, by"), "{said}");
    let [json, said] = in_nepal(&["publish", "--json"]);
    assert!(said.contains("+05:45, by "), "{said}");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let message = json["error"]["message"].as_str().expect("a message");
    assert!(message.contains("Z, by "), "{message}");
    let [doctor, _] = in_nepal(&["doctor"]);
    assert!(doctor.contains("+05:45 by "), "{doctor}");
}

//! Channels: a preview leaves the live site as it is, byte for byte, and promoting it makes exactly it the live site.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use syntax_publish::host::Op;
use syntax_publish::store::Error;

use crate::support::bench::{Command, Content, How, content, faults_of_live, live, read_disk, run};
use crate::support::command::{Project, Ran, docroot_state};
use crate::support::intercept::Intercept;
use crate::support::memory::{Disk, Memory};

const DAY: i64 = 24 * 60 * 60;

/// A site of a few folders, whose page `docs/a.html` shows `text`.
fn site(text: &str) -> Content {
    content([
        ("index.html", "home "),
        ("docs/a.html", text),
        ("docs/b.html", "about b "),
        ("guide/c.html", "about c "),
        ("_next/static/chunks/x.js", "x; "),
    ])
}

async fn does(memory: &Memory, command: Command) {
    let done = run(Box::new(memory.clone()), &command, How::default()).await;
    done.unwrap_or_else(|error| panic!("{command:?}: {error}"));
}

fn shown(memory: &Memory, top: &str) -> Content {
    read_disk(&memory.disk(), top)
}

/// The IDs of the releases in the store.
fn releases(memory: &Memory) -> Vec<String> {
    let names = memory.disk().list("releases");
    names.into_iter().filter(|name| !name.contains('.')).collect()
}

#[tokio::test]
async fn a_preview_of_one_edited_page_sends_one_page_and_leaves_the_live_site_alone() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    does(&memory, Command::Publish(site("one "))).await;
    let is_live = |path: &&String| path.starts_with("current") || path.starts_with("immutable") || *path == "former";
    let told = |memory: &Memory| -> BTreeMap<String, String> {
        let told = memory.disk().told(|bytes| format!("{bytes:?}"));
        told.into_iter().filter(|(path, _)| is_live(&path)).collect()
    };
    let before = (told(&memory), shown(&memory, "current"));
    let mut preview = site("two ");
    preview.extend(content([("_next/static/chunks/y.js", "y; ")]));
    let watched = Intercept::new(memory.clone());
    let publish = Command::PublishToChannel(preview.clone());
    run(Box::new(watched.clone()), &publish, How::default()).await.unwrap();
    assert_eq!((told(&memory), shown(&memory, "current")), before);
    assert_eq!(
        shown(&memory, "channels/pr-12")
            .into_iter()
            .filter(|(path, _)| !path.ends_with(".br"))
            .collect::<Content>(),
        preview
    );
    let ops = watched.ops();
    let objects = ops.iter().filter(|op| {
        let (Op::Link { to, .. } | Op::Rename { to, .. }) = op else {
            return false;
        };
        to.starts_with("objects/") && !to.contains('.')
    });
    assert_eq!(objects.count(), 2, "{ops:?}");
    assert!(
        !ops.iter()
            .any(|op| matches!(op, Op::Rename { to, .. } if to.starts_with("immutable") || to == "current"))
    );
}

#[tokio::test]
async fn a_hold_and_another_publish_do_not_stop_a_preview() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    does(&memory, Command::Publish(site("one "))).await;
    does(&memory, Command::Hold).await;
    does(&memory, Command::PublishToChannel(site("two "))).await;
    // A hold is about what is live.
    let promote = run(Box::new(memory.clone()), &Command::Promote, How::default()).await;
    assert!(matches!(promote, Err(Error::OnHold { .. })), "{promote:?}");
    does(&memory, Command::Resume).await;
    does(&memory, Command::Promote).await;
    assert_eq!(shown(&memory, "current"), shown(&memory, "channels/pr-12"));
    assert_eq!(faults_of_live(Box::new(memory.clone())).await, []);
}

#[tokio::test]
async fn promoting_sends_no_content_and_fills_the_pool_and_can_be_rolled_back() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    does(&memory, Command::Publish(site("one "))).await;
    let before = shown(&memory, "current");
    let mut preview = site("two ");
    preview.extend(content([("_next/static/chunks/y.js", "y; ")]));
    does(&memory, Command::PublishToChannel(preview)).await;
    assert!(!memory.disk().exists("immutable/_next/static/chunks/y.js"));
    let watched = Intercept::new(memory.clone());
    run(Box::new(watched.clone()), &Command::Promote, How::default())
        .await
        .unwrap();
    let is_object = |op: &Op| matches!(op, Op::Link { to, .. } | Op::Rename { to, .. } if to.starts_with("objects/") || to.starts_with("trees/"));
    let made: Vec<Op> = watched.ops().into_iter().filter(is_object).collect();
    assert_eq!(made, []);
    assert_eq!(shown(&memory, "current"), shown(&memory, "channels/pr-12"));
    assert!(memory.disk().exists("immutable/_next/static/chunks/y.js"));
    does(&memory, Command::Rollback(1)).await;
    assert_eq!(shown(&memory, "current"), before);
}

#[tokio::test]
async fn a_promotion_that_would_undo_a_release_is_refused() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    does(&memory, Command::Publish(site("one "))).await;
    does(&memory, Command::PublishToChannel(site("two "))).await;
    let base = live(Box::new(memory.clone())).await;
    does(&memory, Command::Publish(site("three "))).await;
    let now = live(Box::new(memory.clone())).await;
    let refused = run(Box::new(memory.clone()), &Command::Promote, How::default()).await;
    let Err(Error::LiveMoved {
        base: was, live: is, ..
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((was, is), (base, now.clone()));
    assert_eq!(live(Box::new(memory.clone())).await, now);
    // What was pruned can't be compared with, so it is not named.
    does(&memory, Command::Publish(site("four "))).await;
    does(&memory, Command::Prune(1)).await;
    let refused = run(Box::new(memory.clone()), &Command::Promote, How::default()).await;
    assert!(
        matches!(refused, Err(Error::LiveMoved { base: None, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn prune_keeps_what_channels_show_and_what_they_no_longer_show_goes() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    does(&memory, Command::Publish(site("one "))).await;
    does(&memory, Command::PublishToChannel(site("two "))).await;
    does(&memory, Command::PublishToChannel(site("three "))).await;
    assert_eq!(releases(&memory).len(), 3);
    for text in ["four ", "five ", "six "] {
        does(&memory, Command::Publish(site(text))).await;
    }
    let preview = shown(&memory, "channels/pr-12");
    does(&memory, Command::Prune(2)).await;
    // Two of the live site, although the channel's is newer than one that went, and the one that the channel shows.
    assert_eq!(releases(&memory).len(), 3);
    assert_eq!(shown(&memory, "channels/pr-12"), preview);
    let expired = How {
        expire: Duration::from_secs(3 * DAY.unsigned_abs()),
        ..How::default()
    };
    memory.disk().pass(2 * DAY);
    run(Box::new(memory.clone()), &Command::Prune(2), expired)
        .await
        .unwrap();
    assert_eq!(shown(&memory, "channels/pr-12"), preview);
    memory.disk().pass(2 * DAY);
    run(Box::new(memory.clone()), &Command::Prune(2), expired)
        .await
        .unwrap();
    assert!(memory.disk().list("channels").is_empty());
    assert_eq!(releases(&memory).len(), 2);
    assert_eq!(faults_of_live(Box::new(memory.clone())).await, []);
}

#[tokio::test]
async fn a_rollback_never_leads_to_a_preview() {
    let memory = Memory::new(Disk::new(1_750_000_000));
    does(&memory, Command::Publish(site("one "))).await;
    does(&memory, Command::Publish(site("two "))).await;
    does(&memory, Command::PublishToChannel(site("three "))).await;
    does(&memory, Command::Rollback(1)).await;
    assert_eq!(shown(&memory, "current")["docs/a.html"], site("one ")["docs/a.html"]);
}

// --- The command.

const MANIFEST: &str = r#"
[site]
name = "docs"
url = "https://docs.example.com"
export = "out"

[channels]
domain = "preview.docs.example.com"
"#;

fn project() -> Project {
    let project = Project::new();
    project.write_manifest(MANIFEST);
    write_page(&project, "one");
    project
}

fn write_page(project: &Project, text: &str) {
    project.write(
        "out/index.html",
        "<!doctype html><title>Home</title><a href=/guide>Guide</a>",
    );
    project.write("out/404.html", "<!doctype html><title>Missing</title>");
    project.write(
        "out/guide.html",
        format!("<!doctype html><title>Guide</title><p>{text}"),
    );
}

fn json(ran: Ran) -> Value {
    ran.expect_code(0).json()
}

fn docroot(project: &Project) -> PathBuf {
    project.dir.join("target/docroot")
}

/// Where the live site leads, and what is in the pool.
fn what_visitors_reach(project: &Project) -> (PathBuf, BTreeMap<String, String>) {
    let docroot = docroot(project);
    let live = fs::read_link(docroot.join("current")).unwrap();
    (live, docroot_state(&docroot.join("immutable")))
}

#[test]
fn a_preview_is_published_listed_promoted_and_removed() {
    let project = project();
    json(project.run(&["publish", "--json"]));
    let before = what_visitors_reach(&project);
    write_page(&project, "two");
    let published = project.run(&["publish", "--channel", "pr-12"]).expect_code(0);
    for line in [
        "  changed  /guide",
        "preview: https://pr-12.preview.docs.example.com/",
        "promote: syntax-publish promote pr-12 --release ",
    ] {
        assert!(
            published.stderr.contains(line) || published.stdout.contains(line),
            "{line}: {published:?}"
        );
    }
    assert_eq!(what_visitors_reach(&project), before);
    let again = json(project.run(&["publish", "--channel", "pr-12", "--commit", "abc123", "--json"]));
    assert_eq!(again["channel"], "pr-12");
    assert_eq!(again["url"], "https://pr-12.preview.docs.example.com");
    assert_eq!(
        (again["changed"].as_u64(), again["bytes_sent"].as_u64()),
        (Some(1), Some(0))
    );
    let listed = json(project.run(&["channels", "--json"]));
    assert_eq!(listed[0]["name"], "pr-12");
    assert_eq!(listed[0]["commit"], "abc123");
    assert_eq!(listed[0]["release"], again["release"]);
    let releases = json(project.run(&["releases", "--json"]));
    let of_channel = releases
        .as_array()
        .unwrap()
        .iter()
        .filter(|release| release["channel"] == "pr-12");
    assert!(of_channel.clone().count() >= 1);
    let back = project.run(&["rollback", "--to", again["release"].as_str().unwrap(), "--json"]);
    assert_eq!(back.expect_code(1).json()["error"]["code"], "of-channel");
    let first = published
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("promote: "))
        .unwrap();
    let first = first.split(' ').next_back().unwrap();
    let moved = project
        .run(&["promote", "pr-12", "--release", first, "--json"])
        .expect_code(4);
    assert_eq!(moved.json()["error"]["code"], "channel-moved");
    let shown = again["release"].as_str().unwrap();
    let promoted = json(project.run(&["promote", "pr-12", "--release", shown, "--json"]));
    assert_ne!(promoted["release"], again["release"]);
    let page = fs::read_to_string(docroot(&project).join("current/guide.html")).unwrap();
    assert!(page.contains("two"), "{page}");
    let releases = json(project.run(&["releases", "--json"]));
    let live = releases
        .as_array()
        .unwrap()
        .iter()
        .find(|release| release["current"] == true)
        .unwrap();
    assert_eq!((&live["commit"], &live["channel"]), (&"abc123".into(), &Value::Null));
    // The same site again: the findings of the preview are known.
    assert_eq!(json(project.run(&["publish", "--json"]))["swapped"], false);
    assert_eq!(
        json(project.run(&["channels", "remove", "pr-12", "--json"]))["removed"],
        "pr-12"
    );
    assert_eq!(json(project.run(&["channels", "--json"])).as_array().unwrap().len(), 0);
    let gone = project.run(&["channels", "remove", "pr-12", "--json"]).expect_code(1);
    assert_eq!(gone.json()["error"]["code"], "no-such-channel");
}

#[test]
fn names_that_are_no_labels_of_a_host_name_are_refused() {
    let project = project();
    json(project.run(&["publish", "--json"]));
    let before = docroot_state(&docroot(&project));
    let long = "a".repeat(64);
    for name in ["PR-12", "pr_12", "-a", "a-", "a.b", "../x", "a/b", "", &long] {
        project.run(&["publish", &format!("--channel={name}")]).expect_code(2);
        project.run(&["promote", "--", name]).expect_code(2);
    }
    assert_eq!(docroot_state(&docroot(&project)), before);
}

#[test]
fn forcing_a_promotion_undoes_what_went_live_since() {
    let project = project();
    json(project.run(&["publish", "--json"]));
    write_page(&project, "two");
    json(project.run(&["publish", "--channel", "pr-12", "--json"]));
    write_page(&project, "three");
    json(project.run(&["publish", "--json"]));
    let refused = project.run(&["promote", "pr-12", "--json"]).expect_code(4);
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "live-moved");
    assert!(
        error["hint"].as_str().unwrap().contains("syntax-publish diff "),
        "{error}"
    );
    json(project.run(&["promote", "pr-12", "--force", "--json"]));
    let page = fs::read_to_string(docroot(&project).join("current/guide.html")).unwrap();
    assert!(page.contains("two"), "{page}");
}

#[test]
fn a_store_of_before_channels_gets_their_folder() {
    let project = project();
    json(project.run(&["publish", "--json"]));
    let folder = docroot(&project).join("channels");
    fs::remove_dir(&folder).unwrap();
    assert_eq!(json(project.run(&["channels", "--json"])).as_array().unwrap().len(), 0);
    json(project.run(&["prune", "--json"]));
    fs::remove_dir(&folder).ok();
    json(project.run(&["publish", "--channel", "a", "--json"]));
    assert!(Path::new(&folder.join("a")).exists());
}

#[test]
fn a_promotion_that_removes_most_pages_takes_permission() {
    let project = project();
    for number in 0..20 {
        project.write(format!("out/p{number}.html"), "<!doctype html><title>Page</title>");
    }
    json(project.run(&["publish", "--json"]));
    for number in 0..20 {
        fs::remove_file(project.dir.join(format!("out/p{number}.html"))).unwrap();
    }
    json(project.run(&["publish", "--channel", "pr-12", "--json"]));
    let refused = project.run(&["promote", "pr-12", "--json"]).expect_code(3);
    assert_eq!(refused.json()["error"]["code"], "removes-too-much");
    json(project.run(&["promote", "pr-12", "--allow-removals", "--json"]));
    // A second time there is nothing to promote, and nothing that it would undo.
    assert_eq!(json(project.run(&["promote", "pr-12", "--json"]))["swapped"], false);
}

#[test]
fn what_is_no_channel_in_their_folder_stops_nothing() {
    let project = project();
    json(project.run(&["publish", "--channel", "pr-12", "--json"]));
    let folder = docroot(&project).join("channels");
    fs::create_dir(folder.join("old")).unwrap();
    fs::write(folder.join("notes"), "x").unwrap();
    std::os::unix::fs::symlink("../elsewhere", folder.join("stray")).unwrap();
    assert_eq!(json(project.run(&["channels", "--json"])).as_array().unwrap().len(), 1);
    json(project.run(&["prune", "--json"]));
    json(project.run(&["channels", "remove", "pr-12", "--json"]));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
}

#[test]
fn a_document_that_is_not_about_what_the_channel_shows_is_not_believed() {
    let project = project();
    json(project.run(&["publish", "--json"]));
    write_page(&project, "two");
    let shown = json(project.run(&["publish", "--channel", "pr-12", "--json"]));
    write_page(&project, "three");
    let other = json(project.run(&["publish", "--channel", "other", "--json"]));
    let document =
        |published: &Value| docroot(&project).join(format!("releases/{}.json", published["release"].as_str().unwrap()));
    let (right, wrong) = (document(&shown), fs::read_to_string(document(&other)).unwrap());
    let kept = fs::read_to_string(&right).unwrap();
    let root = |text: &str| {
        serde_json::from_str::<Value>(text).unwrap()["root"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for forged in [
        kept.replace(&root(&kept), &root(&wrong)),
        kept.replace("\"pr-12\"", "\"other\""),
    ] {
        fs::write(&right, forged).unwrap();
        let refused = project.run(&["promote", "pr-12", "--json"]).expect_code(5);
        assert_eq!(refused.json()["error"]["code"], "damaged");
    }
    fs::write(&right, kept).unwrap();
    json(project.run(&["promote", "pr-12", "--json"]));
}

//! Notifications about a publish. Nothing may depend on them.

use super::Site;
use crate::support::command::Running;
use crate::support::nginx::Nginx;
use crate::support::server::{Reply, Server};

fn events(hook: &Server) -> Vec<String> {
    let told = hook.received();
    let event = |received: &crate::support::server::Received| received.json()["event"].as_str().unwrap().to_owned();
    told.iter().map(event).collect()
}

/// A site, and the server that it notifies of every event.
fn notifying() -> (Site, Server) {
    let mut site = Site::new();
    let hook = Server::start(|_| Reply::new(200, ""));
    site.tables = format!("[notify]\nurl = \"http://{}/hook\"\n", hook.address);
    site.write();
    (site, hook)
}

#[test]
fn publish_rollback_hold_and_failure_are_notified() {
    let (site, hook) = notifying();
    let first = site.run(&["publish", "--commit", "abc123"]).expect_code(0).json();
    site.edit("Edited.");
    site.run(&["publish"]).expect_code(0);
    site.run(&["rollback"]).expect_code(0);
    site.run(&["hold", "moving"]).expect_code(0);
    site.run(&["publish"]).expect_code(4);
    site.run(&["resume"]).expect_code(0);
    assert_eq!(
        events(&hook),
        ["published", "published", "rolled-back", "held", "failed", "resumed"]
    );
    let told = hook.received()[0].json();
    assert_eq!(
        (&told["release"], &told["commit"]),
        (&first["release"], &"abc123".into()),
        "{told}"
    );
    assert_eq!(
        (&told["site"], &told["target"], &told["added"]),
        (&"docs".into(), &"local".into(), &12.into())
    );
    let failed = hook.received()[4].json();
    assert!(failed["error"].as_str().unwrap().contains("moving"), "{failed}");
    // The second publish changes nothing, so there is nothing to report.
    site.run(&["publish"]).expect_code(0);
    site.run(&["publish"]).expect_code(0);
    assert_eq!(events(&hook).iter().filter(|event| *event == "published").count(), 3);
}

#[test]
fn a_panic_is_notified_and_reported_with_what_is_live() {
    let (site, hook) = notifying();
    let live = site.run(&["publish"]).expect_code(0).json();
    site.edit("Edited.");
    // 32 GiB of addresses are enough for a few stacks of 1 GiB, but not for those of the threads that hash.
    let starved = site.project.command();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -v 33554432; exec \"$@\"", "sh"])
        .arg(starved.get_program())
        .args(["publish", "--json"])
        .current_dir(&site.project.dir)
        .env_clear()
        .envs(starved.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .envs([
            ("RUST_MIN_STACK", "1073741824"),
            ("TOKIO_WORKER_THREADS", "1"),
            ("RAYON_NUM_THREADS", "64"),
        ]);
    let ran = Running::start(command).wait().expect_code(1);
    let error = &ran.json()["error"];
    assert_eq!(
        (&error["code"], &error["live"]),
        (&"panic".into(), &live["release"]),
        "{ran}"
    );
    assert!(ran.stderr.contains("error: syntax-publish panicked: "), "{ran}");
    assert_eq!(events(&hook), ["published", "failed"]);
    site.run(&["publish"]).expect_code(0);
}

#[test]
fn release_that_was_rolled_back_is_reported_as_such() {
    let mut site = Site::new();
    let first = site.run(&["publish"]).expect_code(0).json();
    let nailed = super::vhost(&site.project).replace(
        "/current;",
        &format!("/releases/{};", first["release"].as_str().unwrap()),
    );
    site.origin = Nginx::start(&nailed);
    let hook = Server::start(|_| Reply::new(200, ""));
    site.tables = format!(
        "[notify]\nurl = \"http://{}/\"\nevents = [\"taken-back\"]\n",
        hook.address
    );
    site.write();
    site.edit("Edited.");
    site.run(&["publish"]).expect_code(6);
    assert_eq!(events(&hook), ["taken-back"]);
}

#[test]
fn template_makes_what_a_chat_wants_of_it() {
    let mut site = Site::new();
    let hook = Server::start(|_| Reply::new(200, ""));
    site.tables = "[notify]\nurl-env = \"CHAT\"\ntemplate = '{\"text\": {text}, \"link\": {url}}'\n".to_owned();
    site.write();
    let url = format!("http://{}/services/T0/s3cret?thread=1", hook.address);
    let ran = site.project.run_env(&["publish"], &[("CHAT", &url)]).expect_code(0);
    assert!(!format!("{ran}").contains("s3cret"), "{ran}");
    let told = hook.received();
    assert_eq!(told[0].target, "/services/T0/s3cret?thread=1");
    let body = told[0].json();
    assert!(body["text"].as_str().unwrap().starts_with("docs: published "), "{body}");
}

#[test]
fn notification_that_fails_fails_no_publish() {
    let mut site = Site::new();
    let hook = Server::start(|_| Reply::new(500, ""));
    for (address, said) in [
        (hook.address.to_string(), "answers 500"),
        ("127.0.0.1:1".to_owned(), "can't connect"),
    ] {
        site.tables = format!("[notify]\nurl = \"http://{address}/s3cret\"\n");
        site.write();
        site.edit(said);
        let ran = site.run(&["publish"]).expect_code(0);
        assert!(
            ran.stderr.contains("notification") && ran.stderr.contains(said),
            "{ran}"
        );
        assert!(!ran.stderr.contains("s3cret"), "{ran}");
    }
}

#[test]
fn address_that_is_a_secret_is_asked_by_https_alone() {
    let mut site = Site::new();
    site.tables = "[notify]\nurl-env = \"CHAT_HOOK\"\n".to_owned();
    site.write();
    let secret = "http://chat.invalid/hook/s3cret";
    let ran = site
        .project
        .run_env(&["hold", "moving"], &[("CHAT_HOOK", secret)])
        .expect_code(0);
    assert!(ran.stderr.contains("has to be https"), "{ran}");
    assert!(
        ran.stderr.contains("chat.invalid") && !ran.stderr.contains("s3cret"),
        "{ran}"
    );
}

#[test]
fn fault_that_stays_is_reported_once_and_never_as_a_publish() {
    let mut site = Site::new();
    let hook = Server::start(|_| Reply::new(200, ""));
    site.tables = format!("[notify]\nurl = \"http://{}/\"\n", hook.address);
    site.write();
    site.run(&["publish"]).expect_code(0);
    let well = site.asked_at.replace("127.0.0.1:1".parse().unwrap());
    site.write();
    for _ in 0..3 {
        site.run(&["publish"]).expect_code(7);
    }
    assert_eq!(events(&hook), ["published", "failed"]);
    let failed = hook.received()[1].json();
    assert!(
        failed["text"].as_str().unwrap().contains("origin: can't connect"),
        "{failed}"
    );
    // After a publish without a fault, the next fault is reported again.
    let broken = std::mem::replace(&mut site.asked_at, well);
    site.write();
    site.run(&["publish"]).expect_code(0);
    site.asked_at = broken;
    site.write();
    site.run(&["publish"]).expect_code(7);
    assert_eq!(events(&hook), ["published", "failed", "failed"]);
}

#[test]
fn release_is_reported_before_old_ones_are_pruned() {
    let mut site = Site::new();
    let releases = site.project.dir.join("target/docroot/releases");
    let there = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&there);
    let count = move || {
        let names = std::fs::read_dir(&releases).unwrap().flatten();
        names.filter(|name| name.path().is_symlink()).count()
    };
    let counting = count.clone();
    let hook = Server::start(move |_| {
        seen.lock().unwrap().push(counting());
        Reply::new(200, "")
    });
    site.tables = format!("[publish]\nkeep = 1\n[notify]\nurl = \"http://{}/\"\n", hook.address);
    site.write();
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited.");
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited again.");
    site.run(&["publish"]).expect_code(0);
    assert_eq!(*there.lock().unwrap(), [1, 2, 3]);
    assert_eq!(count(), 2, "the live one and the one that it replaced");
}

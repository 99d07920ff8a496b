//! Each command against each kind of target, with the committed export.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use super::{FAST, Kind, PAGE, World, files_below, store, text};

/// Runs a test on a target of every kind, in parallel.
pub fn everywhere(test: impl Fn(World) + Sync) {
    std::thread::scope(|scope| {
        let test = &test;
        let runs: Vec<_> = Kind::all()
            .into_iter()
            .map(|kind| (kind, scope.spawn(move || test(World::new(kind)))))
            .collect();
        for (kind, run) in runs {
            assert!(run.join().is_ok(), "failed for {kind:?}; see above");
        }
    });
}

#[test]
fn first_publish_makes_the_export_live() {
    everywhere(|world| {
        let export = files_below(&world.export());
        let count = export.len();
        let published = world.ask(&["publish", "--commit", "c0ffee", "--message", "the first"]);
        for (name, value) in [
            ("previous", json!(null)),
            ("swapped", json!(true)),
            ("files", json!(count)),
            ("added", json!(count)),
            ("changed", json!(0)),
            ("removed", json!(0)),
            ("unchanged", json!(0)),
        ] {
            assert_eq!(published[name], value, "{name} in {published:#}");
        }
        world.assert_live(&export);
        store::assert_swept(world.docroot());
        let id = text(&published["release"]);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'-'),
            "{id}"
        );
        // The store contains exactly what was sent.
        let objects = files_below(&world.docroot().join("objects"));
        assert_eq!(published["objects_sent"], objects.len());
        let bytes: usize = objects.values().map(Vec::len).sum();
        assert_eq!(published["bytes_sent"], bytes);

        let status = world.ask(&["status"]);
        for (name, value) in [
            ("release", json!(id)),
            ("commit", json!("c0ffee")),
            ("message", json!("the first")),
            ("releases", json!(1)),
            ("bytes_stored", json!(bytes)),
            ("held", json!(null)),
            ("lock", json!(null)),
        ] {
            assert_eq!(status[name], value, "{name} in {status:#}");
        }
    });
}

#[test]
fn unchanged_export_makes_no_release() {
    everywhere(|world| {
        let first = world.publish();
        let live = world.live();
        let releases = world.ask(&["releases"]);
        let again = world.ask(&["publish"]);
        let count = files_below(&world.export()).len();
        for (name, value) in [
            ("release", json!(first)),
            ("swapped", json!(false)),
            ("files", json!(count)),
            ("added", json!(0)),
            ("changed", json!(0)),
            ("removed", json!(0)),
            ("unchanged", json!(count)),
            ("objects_sent", json!(0)),
            ("bytes_sent", json!(0)),
            ("encoded", json!(0)),
        ] {
            assert_eq!(again[name], value, "{name} in {again:#}");
        }
        assert_eq!(world.live(), live);
        assert_eq!(world.ask(&["releases"]), releases);
        store::assert_swept(world.docroot());
    });
}

#[test]
fn edited_page_is_all_that_is_sent() {
    everywhere(|world| {
        let first = world.publish();
        world.edit(PAGE, "Now");
        let export = files_below(&world.export());
        let (count, size) = (export.len(), export[PAGE].len());
        let change = json!([{"path": PAGE, "change": "changed", "bytes": size}]);
        let counts = [
            ("previous", json!(first)),
            ("files", json!(count)),
            ("added", json!(0)),
            ("changed", json!(1)),
            ("removed", json!(0)),
            ("unchanged", json!(count - 1)),
            ("objects_sent", json!(3)),
            ("encoded", json!(2)),
        ];

        let before = world.live();
        for args in [&["plan"][..], &["publish", "--dry-run"]] {
            let plan = world.ask(args);
            for (name, value) in &counts {
                assert_eq!(plan[name], *value, "{name} in {plan:#}");
            }
            assert_eq!(plan["release"], json!(null));
            assert_eq!(plan["swapped"], json!(false));
            assert_eq!(plan["changes"], change);
            assert_eq!(world.live(), before);
        }

        let published = world.ask(&["publish"]);
        for (name, value) in &counts {
            assert_eq!(published[name], *value, "{name} in {published:#}");
        }
        assert_eq!(published["swapped"], json!(true));
        let second = text(&published["release"]);
        let page = world.docroot().join("current").join(PAGE);
        let sent: u64 = ["", ".br", ".gz"]
            .map(|end| fs::metadata(format!("{}{end}", page.display())).unwrap().len())
            .iter()
            .sum();
        assert_eq!(published["bytes_sent"], sent);
        world.assert_live(&export);

        let diff = world.ask(&["diff"]);
        assert_eq!(diff, json!({"from": first, "to": second, "changes": change}));
        let back = world.ask(&["diff", &second, &first]);
        assert_eq!(back["changes"], change);
        let releases = world.ask(&["releases"]);
        let listed: Vec<_> = releases
            .as_array()
            .unwrap()
            .iter()
            .map(|release| (text(&release["id"]), release["current"].as_bool().unwrap()))
            .collect();
        assert_eq!(listed, [(second.clone(), true), (first, false)]);
        assert_eq!(world.ask(&["status"])["release"], json!(second));
    });
}

#[test]
fn added_and_removed_files_are_counted_by_their_paths() {
    everywhere(|world| {
        // A page links to the file that is removed here.
        world.set("", &format!("{FAST}[check]\nlinks = \"off\"\n"));
        world.publish();
        let export = world.export();
        fs::remove_file(export.join("papers/fee-schedule.pdf")).unwrap();
        fs::remove_dir(export.join("papers")).unwrap();
        fs::create_dir_all(export.join("new/deep")).unwrap();
        fs::copy(export.join(PAGE), export.join("new/deep/page.html")).unwrap();
        let published = world.ask(&["publish"]);
        assert_eq!(published["added"], json!(1));
        assert_eq!(published["removed"], json!(1));
        assert_eq!(published["changed"], json!(0));
        // The host already has the same content, with its encodings.
        assert_eq!(published["objects_sent"], json!(0));
        world.assert_live(&files_below(&export));
        let diff = world.ask(&["diff"]);
        let paths: Vec<_> = diff["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| (text(&change["path"]), text(&change["change"])))
            .collect();
        let expected = [("new/deep/page.html", "added"), ("papers/fee-schedule.pdf", "removed")];
        assert_eq!(
            paths,
            expected.map(|(path, change)| (path.to_owned(), change.to_owned()))
        );
    });
}

#[test]
fn rollback_brings_back_the_very_files() {
    everywhere(|world| {
        let mut releases = Vec::new();
        let mut lives = Vec::new();
        for word in ["One", "Two", "Six"] {
            world.edit(PAGE, word);
            releases.push(world.publish());
            lives.push(world.live());
        }
        let rolled = world.ask(&["rollback"]);
        assert_eq!(rolled, json!({"release": releases[1], "previous": releases[2]}));
        assert_eq!(world.live(), lives[1]);
        let left = world.docroot().join(format!("releases/{}.left", releases[2]));
        let left = fs::symlink_metadata(left).expect("a record that it was left");
        let live = fs::symlink_metadata(world.docroot().join("current")).expect("what is live");
        assert!(left.is_symlink() && left.mtime().abs_diff(live.mtime()) <= 2);
        assert_eq!(world.ask(&["status"])["release"], json!(releases[1]));

        let forward = world.ask(&["rollback", "--to", &releases[2]]);
        assert_eq!(forward, json!({"release": releases[2], "previous": releases[1]}));
        assert_eq!(world.live(), lives[2]);

        let far = world.ask(&["rollback", "--steps", "2"]);
        assert_eq!(far, json!({"release": releases[0], "previous": releases[2]}));
        assert_eq!(world.live(), lives[0]);

        let none = world.run(&["rollback"]).expect_code(1).json();
        assert_eq!(none["error"]["live"], json!(releases[0]));
        assert_eq!(world.live(), lives[0]);
        world.assert_whole();
        store::assert_idle(world.docroot());
    });
}

#[test]
fn nothing_is_published_while_it_is_on_hold() {
    everywhere(|world| {
        let first = world.publish();
        let live = world.live();
        world.edit(PAGE, "Bad");
        let bad = world.publish();
        world.ask(&["rollback", "--hold", "the search is broken"]);
        assert_eq!(world.live(), live);

        let refused = world.run(&["publish"]).expect_code(4);
        let error = &refused.json()["error"];
        assert!(text(&error["message"]).contains("the search is broken"), "{refused}");
        assert!(refused.stderr.contains("the search is broken"), "{refused}");
        assert_eq!(error["live"], json!(first));
        assert_eq!(world.live(), live);
        assert_eq!(world.ask(&["status"])["held"]["reason"], json!("the search is broken"));
        store::assert_idle(world.docroot());

        world.ask(&["resume"]);
        assert_eq!(world.ask(&["status"])["held"], json!(null));
        let published = world.ask(&["publish"]);
        assert_eq!(published["swapped"], json!(true));
        assert_ne!(published["release"], json!(bad));
        assert_eq!(published["objects_sent"], json!(0));
        world.assert_live(&files_below(&world.export()));

        world.ask(&["hold", "moving"]);
        world.run(&["publish"]).expect_code(4);
        world.ask(&["resume"]);
        assert_eq!(world.ask(&["publish"])["swapped"], json!(false));
    });
}

#[test]
fn every_release_verifies_quickly_and_deeply() {
    everywhere(|world| {
        let count = files_below(&world.export()).len() as u64;
        let first = world.publish();
        world.edit(PAGE, "Now");
        let second = world.publish();
        for (args, release) in [
            (&["verify"][..], &second),
            (&["verify", "--deep"], &second),
            (&["verify", &first], &first),
            (&["verify", &first, "--deep"], &first),
        ] {
            let verified = world.ask(args);
            assert_eq!(verified["release"], json!(release), "{args:?}");
            assert_eq!(verified["ok"], json!(true), "{args:?}");
            assert!(verified["checked"].as_u64().unwrap() >= count, "{verified:#}");
        }
    });
}

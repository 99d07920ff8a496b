//! The finished export, published and served: a stable build ID, and fingerprints of pictures.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::served::{get, serve};
use super::{FINISHED, Kind, PAGE, World, copy, files_below, text};
use crate::support::export::{build_id, rebuild, replaced};
use crate::support::http::{Request, Response};
use crate::support::nginx::Nginx;

/// A page and the payloads that contain the same text.
const FILES_OF_A_PAGE: usize = 4;

fn world() -> World {
    let world = World::new(Kind::Local);
    world.set("", FINISHED);
    world
}

/// Replaces a word of a page in all files that contain it, without changing its length.
fn edit_everywhere(export: &Path, old: &str, new: &str) -> usize {
    assert_eq!(old.len(), new.len());
    let mut touched = 0;
    for (path, bytes) in files_below(export) {
        let edited = replaced(&bytes, old.as_bytes(), new.as_bytes());
        if edited != bytes {
            fs::write(export.join(path), edited).unwrap();
            touched += 1;
        }
    }
    touched
}

#[test]
fn build_of_the_same_source_publishes_nothing() {
    let world = world();
    let first = world.publish();
    let touched = rebuild(&world.export(), "0123456789-_abcdefABC");
    assert!(touched > 100, "{touched} files name the id");
    let again = world.ask(&["publish"]);
    assert_eq!(
        (again["swapped"].clone(), again["release"].clone()),
        (json!(false), json!(first))
    );
    assert_eq!(again["changed"], json!(0));
}

#[test]
fn build_with_one_edited_page_changes_that_page_alone() {
    let world = world();
    world.publish();
    rebuild(&world.export(), "0123456789-_abcdefABC");
    let touched = edit_everywhere(&world.export(), "Where to begin", "Where to start");
    assert_eq!(touched, FILES_OF_A_PAGE);
    let published = world.ask(&["publish"]);
    assert_eq!(published["changed"], json!(FILES_OF_A_PAGE));
    assert_eq!(
        (published["added"].clone(), published["removed"].clone()),
        (json!(0), json!(0))
    );
}

/// Two builds of one source, made for this run. Skipped if there are none.
#[test]
fn two_real_builds_are_one_site() {
    for name in ["SYNTAX_PUBLISH_BUILT_EXPORT", "SYNTAX_PUBLISH_BUILT_PAGES"] {
        let before = format!("{name}_BEFORE");
        let (Some(one), Some(two)) = (std::env::var_os(name), std::env::var_os(&before)) else {
            let skipped = format!("{before} is not set, tests/run sets it: a test is left out\n");
            std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
            continue;
        };
        let [one, two] = [Path::new(&one), Path::new(&two)];
        assert_ne!(build_id(one), build_id(two), "two builds have two ids");
        let root = |export: &Path| {
            let world = World::empty(Kind::Local);
            world.set("", FINISHED);
            copy(export, &world.export());
            let out = world.project.dir.join("finished");
            text(&world.ask(&["build", "--out", out.to_str().unwrap()])["root"])
        };
        assert_eq!(root(one), root(two), "{name}");
    }
}

const IMMUTABLE: Option<&str> = Some("public, max-age=31536000, immutable");

/// What a visitor gets for an address with a query.
fn visit(nginx: &Nginx, target: &str) -> Response {
    Request::get(target).send(nginx.address())
}

/// The addresses with a fingerprint in a page.
fn fingerprinted(page: &[u8]) -> BTreeSet<String> {
    let urls = Regex::new(r#"/[^"' ,)\\]+[?]v=[0-9a-f]{16}"#).unwrap();
    let page = std::str::from_utf8(page).unwrap();
    urls.find_iter(page).map(|url| url.as_str().to_owned()).collect()
}

#[test]
fn pictures_are_kept_for_good_with_their_fingerprint_and_revalidated_without() {
    let world = world();
    world.publish();
    let nginx = serve(&world);
    let page = get(nginx.address(), "docs/guides/embedding", &[]).body;
    let urls = fingerprinted(&page);
    assert!(
        urls.iter().any(|url| url.starts_with("/images/chart-2x.png")),
        "{urls:?}"
    );
    for url in urls {
        let (own, _) = url.split_once('?').unwrap();
        let (copy, first) = (visit(&nginx, &url), visit(&nginx, own));
        assert_eq!((copy.status, copy.header("cache-control")), (200, IMMUTABLE), "{url}");
        assert_eq!(
            (first.status, first.header("cache-control")),
            (200, Some("no-cache")),
            "{own}"
        );
        assert!(
            copy.body == first.body && copy.body == fs::read(world.export().join(&own[1..])).unwrap(),
            "{own}"
        );
        // An address that a site's own code derives from it.
        let derived = visit(&nginx, &format!("{url}&w=640"));
        assert!(derived.body == copy.body, "{url}");
    }
}

/// A reader whose tab was opened before a picture changed still gets the old picture.
#[test]
fn page_of_a_replaced_release_gets_the_pictures_it_was_made_for() {
    let world = world();
    world.publish();
    let nginx = serve(&world);
    let picture = world.export().join("images/chart-2x.png");
    let shown = || {
        let urls = fingerprinted(&get(nginx.address(), "docs/guides/embedding", &[]).body);
        urls.into_iter()
            .find(|url| url.starts_with("/images/chart-2x.png"))
            .unwrap()
    };
    let (first, old) = (shown(), fs::read(&picture).unwrap());
    let new = [&old[..], &[0]].concat();
    fs::write(&picture, &new).unwrap();
    world.publish();
    let second = shown();
    assert_ne!(first, second);
    let all_right = || {
        for (url, bytes) in [(&first, &old), (&second, &new)] {
            let answer = visit(&nginx, url);
            assert_eq!(
                (answer.status, answer.header("cache-control")),
                (200, IMMUTABLE),
                "{url}"
            );
            assert!(answer.body == *bytes, "{url}");
        }
    };
    all_right();
    world.ask(&["rollback"]);
    all_right();
    assert_eq!(shown(), first);
}

#[test]
fn text_of_every_page_is_that_of_the_export() {
    let world = world();
    world.publish();
    let scripts = Regex::new("(?s)<script.*?</script>|<style.*?</style>").unwrap();
    let tags = Regex::new("(?s)<[^>]*>").unwrap();
    let live = files_below(&world.current());
    let mut pages = 0;
    for (path, bytes) in files_below(&world.export()) {
        if !path.ends_with(".html") {
            continue;
        }
        let words = |bytes: &[u8]| {
            tags.replace_all(&scripts.replace_all(std::str::from_utf8(bytes).unwrap(), ""), "|")
                .into_owned()
        };
        assert_eq!(words(&live[&path]), words(&bytes), "{path}");
        pages += 1;
    }
    assert!(pages > 12);
    // A path in a code sample is not rewritten.
    let sample = String::from_utf8(live["docs/guides/embedding.html"].clone()).unwrap();
    assert!(sample.contains(">/images/chart.png<") && sample.contains(" /images/chart-2x.png?v="));
}

/// The first finding that stops a publish; there may be warnings about other things.
fn error_of(failed: &Value) -> &Value {
    let problems = failed["error"]["problems"].as_array().unwrap();
    problems.iter().find(|problem| problem["severity"] == "error").unwrap()
}

#[test]
fn immutable_path_with_other_bytes_stops_a_publish() {
    let world = world();
    let chunk = world.export().join("_next/static/chunks/planted.js");
    fs::write(&chunk, "one").unwrap();
    let first = world.publish();
    let before = world.live();
    // At first the path is live, and the new content has the same length. Later the path is only in the pool.
    fs::write(&chunk, "two").unwrap();
    let failed = world.run(&["publish"]).expect_code(3).json();
    let problem = error_of(&failed);
    assert_eq!(
        (problem["check"].clone(), problem["path"].clone()),
        (json!("immutable"), json!("_next/static/chunks/planted.js"))
    );
    let message = text(&problem["message"]);
    assert!(message.contains(&format!("release {first} ")), "{message}");
    assert_eq!(world.live(), before);
    let planned = world.run(&["plan"]).expect_code(3);
    assert!(planned.stderr.contains("planted.js"), "{}", planned.stderr);

    fs::remove_file(&chunk).unwrap();
    world.publish();
    fs::write(&chunk, "two").unwrap();
    world.run(&["publish"]).expect_code(3);
    fs::write(&chunk, "one").unwrap();
    assert_eq!(
        world.ask(&["publish"])["swapped"],
        json!(true),
        "the bytes that readers have are fine"
    );
    assert_ne!(world.ask(&["status"])["release"], json!(first));

    fs::write(&chunk, "two").unwrap();
    world.set("", &format!("{FINISHED}[check]\nimmutable = \"warn\"\n"));
    let warned = world.run(&["publish"]).expect_code(0);
    assert!(warned.stderr.contains("planted.js"), "{}", warned.stderr);
    let nginx = serve(&world);
    assert_eq!(get(nginx.address(), "_next/static/chunks/planted.js", &[]).body, b"two");
}

#[test]
fn files_under_fixed_names_beside_chunks_may_change() {
    let world = world();
    let chunks = world.export().join("_next/static/chunks");
    for path in ["nextra-data-en-US.json", "planted.js.map"] {
        fs::write(chunks.join(path), r#"{"sources":["one"]}"#).unwrap();
        world.publish();
        fs::write(chunks.join(path), r#"{"sources":["two"]}"#).unwrap();
        assert_eq!(world.ask(&["publish"])["swapped"], json!(true), "{path}");
        world.assert_whole();
    }
}

#[test]
fn path_that_is_allowed_gets_other_bytes() {
    let world = world();
    let chunk = world.export().join("_next/static/chunks/planted.js");
    fs::write(&chunk, "one").unwrap();
    world.publish();
    fs::write(&chunk, "two").unwrap();
    let refused = world.run(&["publish"]).expect_code(3).json();
    assert!(text(&error_of(&refused)["hint"]).contains("`allow` of [check]"));
    world.set("", &format!("{FINISHED}[check]\nallow = [\"**/planted.js\"]\n"));
    assert_eq!(world.ask(&["publish"])["swapped"], json!(true));
}

#[test]
fn releases_are_intact_where_the_pool_has_what_another_one_named_alike() {
    let world = world();
    world.set("", &format!("{FINISHED}[check]\nimmutable = \"warn\"\n"));
    let chunk = world.export().join("_next/static/chunks/planted.js");
    let script = |words: &str| format!("console.log({words:?});\n").repeat(60);
    fs::write(&chunk, script("one")).unwrap();
    let first = world.publish();
    // First content of the same length as the first, and then longer content.
    for other in ["two", "three"] {
        fs::write(&chunk, script(other)).unwrap();
        let second = world.publish();
        world.ask(&["rollback", "--to", &first]);
        for release in [&first, &second] {
            for deep in [&[][..], &["--deep"]] {
                let verified = world.ask(&[&["verify", release], deep].concat());
                assert_eq!(verified["problems"], json!([]), "{release} {deep:?}");
            }
        }
    }
    let pooled = world.docroot().join("immutable/_next/static/chunks/planted.js");
    let damaged = pooled.with_extension("damaged");
    fs::write(&damaged, "nobody's").unwrap();
    fs::rename(&damaged, &pooled).unwrap();
    let verified = world.run(&["verify", &first]).expect_code(1).json();
    assert_eq!(
        verified["problems"][0]["path"],
        json!("immutable/_next/static/chunks/planted.js")
    );
}

/// nginx derives its `ETag` from time and size. If a page is replaced within a second by one of the same length, nginx
/// would confirm the old page to its readers. A file that is simply overwritten shows this.
#[test]
fn changed_page_is_never_confirmed_as_the_old_one() {
    let world = world();
    world.publish();
    let nginx = serve(&world);
    let naive = world.current().join("naive.txt");
    let time = fs::File::open(world.current().join(PAGE))
        .unwrap()
        .metadata()
        .unwrap()
        .modified()
        .unwrap();
    let put = |text: &str| {
        fs::write(&naive, text).unwrap();
        fs::File::options()
            .write(true)
            .open(&naive)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    put("old");
    let etag = get(nginx.address(), "naive.txt", &[])
        .header("etag")
        .unwrap()
        .to_owned();
    put("new");
    let confirmed = get(nginx.address(), "naive.txt", &[("If-None-Match", &etag)]);
    assert_eq!(confirmed.status, 304, "the hazard is there");
    fs::remove_file(&naive).unwrap();

    let etag = get(nginx.address(), PAGE, &[]).header("etag").unwrap().to_owned();
    let mut etags = vec![etag];
    for word in ["Now", "Not", "New"] {
        world.edit(PAGE, word);
        world.publish();
        for etag in &etags {
            let answer = get(nginx.address(), PAGE, &[("If-None-Match", etag)]);
            assert_eq!(answer.status, 200);
            assert!(String::from_utf8(answer.body).unwrap().contains(word));
        }
        let new = get(nginx.address(), PAGE, &[]).header("etag").unwrap().to_owned();
        assert!(!etags.contains(&new));
        etags.push(new);
    }
}

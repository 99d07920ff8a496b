//! What visitors get: a real nginx with the vhost that the command prints, over what it published.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use super::{FAST, Kind, PAGE, World, copy, files_below, store};
use crate::support::http::{Request, Response};
use crate::support::nginx::Nginx;
use crate::support::sshd::Jail;

/// The content type of each extension in the exports.
const TYPES: &[(&str, &str)] = &[
    ("bin", "application/octet-stream"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("webmanifest", "application/manifest+json"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

/// Extensions of files that are compressed already.
const DENSE: [&str; 4] = ["bin", "pdf", "png", "woff2"];

const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// Serves a world with the vhost that it prints.
pub fn serve(world: &World) -> Nginx {
    let docroot = world.docroot().to_str().unwrap();
    Nginx::of(&world.project, &["--docroot", docroot])
}

/// The address that a visitor requests for a file.
pub fn address(path: &str) -> String {
    let page = match path {
        "index.html" => "",
        path => path.strip_suffix(".html").unwrap_or(path),
    };
    let mut address = String::from("/");
    for byte in page.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            address.push(char::from(byte));
        } else {
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address
}

pub fn get(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = headers
        .iter()
        .fold(Request::get(address(path)), |request, (name, value)| {
            request.header(name, value)
        });
    request.send(server)
}

/// The `ETag` of every file, unencoded.
fn etags(nginx: &Nginx, export: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    export
        .keys()
        .map(|path| {
            let answer = get(nginx.address(), path, &[]);
            (path.clone(), answer.header("etag").unwrap().to_owned())
        })
        .collect()
}

/// Requests every file of an export in every form, and compares the answers with the content.
#[track_caller]
pub fn assert_served(world: &World, nginx: &Nginx, export: &BTreeMap<String, Vec<u8>>) {
    let server = nginx.address();
    let current = world.docroot().join("current");
    for (path, bytes) in export {
        let extension = path.rsplit('.').next().unwrap();
        let content_type = TYPES.iter().find(|(known, _)| *known == extension);
        let content_type = content_type
            .unwrap_or_else(|| panic!("the type of {path} is not in the table"))
            .1;
        let kept = ["chunks", "media", "css"]
            .iter()
            .any(|folder| path.starts_with(&format!("_next/static/{folder}/")));
        let mut seen = Vec::new();
        for (accepted, ending) in [("identity", ""), ("gzip", "gz"), ("br", "br")] {
            let what = format!("{path} as {accepted}");
            let answer = get(server, path, &[("Accept-Encoding", accepted)]);
            assert_eq!(answer.status, 200, "{what}");
            assert_eq!(answer.header("content-type"), Some(content_type), "{what}");
            let control = if kept { FOR_GOOD } else { "no-cache" };
            assert_eq!(answer.header("cache-control"), Some(control), "{what}");
            let encoded = !ending.is_empty() && current.join(format!("{path}.{ending}")).is_file();
            if !ending.is_empty() && DENSE.contains(&extension) {
                assert!(!encoded, "{what} is not worth an encoding");
            } else if !ending.is_empty() && extension != "ico" && bytes.len() > 1024 {
                assert!(encoded, "{what} has no encoding");
            }
            assert_eq!(answer.header("content-encoding"), encoded.then_some(accepted), "{what}");
            let body = if encoded {
                assert!(answer.body.len() < bytes.len(), "{what} is no smaller");
                store::decoded(accepted, &answer.body)
            } else {
                answer.body.clone()
            };
            assert!(body == *bytes, "{what} has other bytes");
            let etag = answer
                .header("etag")
                .unwrap_or_else(|| panic!("{what} has no ETag"))
                .to_owned();
            let again = get(server, path, &[("Accept-Encoding", accepted), ("If-None-Match", &etag)]);
            assert_eq!(again.status, 304, "{what} with its ETag");
            if encoded || ending.is_empty() {
                assert!(!seen.contains(&etag), "{what} shares an ETag with another form");
                seen.push(etag);
            }
        }
    }
    let missing = get(server, "no/such/page", &[]);
    assert_eq!(missing.status, 404);
    assert!(missing.body == export["404.html"], "the page of the 404");
    assert_eq!(missing.header("cache-control"), Some("no-store"));
    assert_eq!(nginx.log().matches("[error]").count(), 0, "{}", nginx.log());
}

/// A world that visitors reach. The host is set up like a real one if this machine supports it.
fn published() -> World {
    let jail = if crate::support::sshd::is_root() {
        Jail::Chroot
    } else {
        Jail::Plain
    };
    let world = World::new(Kind::Sftp(jail));
    world.publish();
    world
}

#[test]
fn every_file_is_served_as_what_it_is() {
    let world = published();
    assert_served(&world, &serve(&world), &files_below(&world.export()));
}

#[test]
fn every_file_is_served_from_a_local_target_with_the_default_levels() {
    let world = World::new(Kind::Local);
    world.set("", "[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n");
    world.publish();
    assert_served(&world, &serve(&world), &files_below(&world.export()));
}

#[test]
fn only_what_changed_gets_another_etag() {
    let world = published();
    let nginx = serve(&world);
    let old = files_below(&world.export());
    let before = etags(&nginx, &old);
    world.edit(PAGE, "Now");
    world.publish();
    let new = files_below(&world.export());
    let after = etags(&nginx, &new);
    for (path, etag) in &before {
        assert_eq!(after[path] == *etag, path != PAGE, "{path}");
        let confirmed = get(nginx.address(), path, &[("If-None-Match", etag)]).status;
        assert_eq!(confirmed, if path == PAGE { 200 } else { 304 }, "{path}");
    }
    for accepted in ["gzip", "br"] {
        let answer = get(nginx.address(), PAGE, &[("Accept-Encoding", accepted)]);
        assert!(store::decoded(accepted, &answer.body) == new[PAGE]);
    }

    world.ask(&["rollback"]);
    assert_eq!(etags(&nginx, &old), before, "the ETags of before");
    let answer = get(nginx.address(), PAGE, &[("If-None-Match", &after[PAGE])]);
    assert_eq!(answer.status, 200, "a reader of the newer page");
    assert!(answer.body == old[PAGE]);
}

#[test]
fn chunks_of_other_releases_are_served_to_open_tabs() {
    let world = published();
    let nginx = serve(&world);
    let chunks = world.export().join("_next/static/chunks");
    let script = "console.log(\"old\");\n".repeat(80);
    fs::write(chunks.join("old.js"), &script).unwrap();
    world.publish();
    fs::remove_file(chunks.join("old.js")).unwrap();
    fs::write(chunks.join("new.js"), "console.log(\"new\")").unwrap();
    world.publish();

    let assert_chunks = |when: &str| {
        for (name, bytes) in [("old.js", script.as_str()), ("new.js", "console.log(\"new\")")] {
            let path = format!("_next/static/chunks/{name}");
            let answer = get(nginx.address(), &path, &[]);
            assert_eq!(answer.status, 200, "{name} {when}");
            assert_eq!(answer.body, bytes.as_bytes(), "{name} {when}");
            assert_eq!(answer.header("cache-control"), Some(FOR_GOOD), "{name} {when}");
            assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        }
        for accepted in ["gzip", "br"] {
            let answer = get(
                nginx.address(),
                "_next/static/chunks/old.js",
                &[("Accept-Encoding", accepted)],
            );
            assert_eq!(answer.header("content-encoding"), Some(accepted), "{when}");
            assert_eq!(store::decoded(accepted, &answer.body), script.as_bytes());
        }
    };
    assert_chunks("after a publish that drops one");
    world.ask(&["rollback"]);
    assert_chunks("after a rollback");
    world.ask(&["rollback"]);
    assert_chunks("after a rollback to before both");
    world.set("keep = 1\nskew = \"1h\"", FAST);
    world.ask(&["prune"]);
    assert_chunks("after a prune within the skew window");
}

#[test]
fn export_of_this_run_is_served_completely() {
    let Some(built) = std::env::var_os("SYNTAX_PUBLISH_BUILT_EXPORT") else {
        let skipped = "SYNTAX_PUBLISH_BUILT_EXPORT is not set, tests/run sets it: a test is left out";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{skipped}");
        // Written directly to stderr, because the test runner swallows what a passing test prints.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {skipped}\n").as_bytes());
        return;
    };
    if !Jail::Chroot.usable() {
        return;
    }
    let world = World::empty(Kind::Sftp(Jail::Chroot));
    copy(built.as_ref(), &world.export());
    let export = files_below(&world.export());
    assert!(
        export.values().any(|bytes| bytes.len() > 5_000_000),
        "the large download is missing"
    );
    world.publish();
    world.assert_live(&export);
    assert_served(&world, &serve(&world), &export);
}

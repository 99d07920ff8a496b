//! Symlinks: nginx follows those of the store. Those that an attacker with the publishing key plants lead nowhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

use syntax_publish::rules::nginx::{PageForm, Vhost, render};
use walkdir::WalkDir;

use super::Docroot;
use crate::support::http::Request;
use crate::support::nginx::Nginx;
use crate::support::sshd::is_root;

/// User IDs of the publishing account and of the web server.
const PUBLISHER: u32 = 65_533;
const SERVER: u32 = 65_534;

const CHUNK: &str = "_next/static/chunks/0123456789abcdef.js";
const PLANTED: &str = "_next/static/chunks/fedcba9876543210.js";

#[test]
fn link_leads_to_what_its_owner_has_and_to_nothing_else() {
    let docroot = Docroot::new()
        .with(&["index.html", "404.html", "docs.html", "docs/deep/page.html"])
        .pooled(CHUNK, b"a former chunk");
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), Permissions::from_mode(0o755)).unwrap();
    let (secret, own) = (outside.path().join("secret"), outside.path().join("own"));
    fs::write(&secret, "everybody may read it").unwrap();
    fs::write(&own, "the publisher's own").unwrap();
    let tree = docroot.path().join("trees/0");
    let pool = docroot.path().join("immutable");
    let passwd = if is_root() {
        secret.as_path()
    } else {
        "/etc/passwd".as_ref()
    };
    symlink(passwd, tree.join("planted.txt")).unwrap();
    symlink(passwd.parent().unwrap(), tree.join("etc")).unwrap();
    symlink("planted.txt", tree.join("by-another.txt")).unwrap();
    symlink(passwd, tree.join("docs.html.gz")).unwrap();
    symlink(passwd, pool.join(PLANTED)).unwrap();
    symlink(&own, tree.join("own.txt")).unwrap();
    fs::set_permissions(docroot.path(), Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        // As on a host: the account owns the docroot, but neither root's files nor the server process.
        for entry in WalkDir::new(docroot.path()) {
            lchown(entry.unwrap().path(), Some(PUBLISHER), Some(PUBLISHER)).unwrap();
        }
        chown(&own, Some(PUBLISHER), None).unwrap();
    }
    let vhost = Vhost {
        // The brotli module can't be used together with `disable_symlinks`.
        brotli: false,
        ..docroot.vhost(PageForm::Flat)
    };
    let nginx = Nginx::start_as(&render(&vhost).unwrap(), SERVER);
    let name = passwd.file_name().unwrap().to_str().unwrap();
    for (target, status, body) in [
        ("/".to_owned(), 200, Some("index.html")),
        ("/docs".to_owned(), 200, Some("docs.html")),
        ("/docs/deep/page".to_owned(), 200, Some("docs/deep/page.html")),
        (format!("/{CHUNK}"), 200, Some("a former chunk")),
        ("/own.txt".to_owned(), 200, Some("the publisher's own")),
        ("/planted.txt".to_owned(), 404, None),
        (format!("/etc/{name}"), 404, None),
        ("/by-another.txt".to_owned(), 404, None),
        (format!("/{PLANTED}"), 404, None),
    ] {
        let answer = Request::get(&target).send(nginx.address());
        assert_eq!(answer.status, status, "{target}: {}", nginx.log());
        if let Some(body) = body {
            assert_eq!(String::from_utf8_lossy(&answer.body), body, "{target}");
        }
    }
    // A planted link is not served as an encoding either.
    let answer = Request::get("/docs")
        .header("Accept-Encoding", "gzip")
        .send(nginx.address());
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(String::from_utf8_lossy(&answer.body), "docs.html");
}

//! Tests of the oracle itself: it finds nothing if nothing differs, and it finds each kind of damage that a rewriter
//! could do.

use std::fs;
use std::path::Path;

use super::oracle::{Case, differences};
use crate::support::command::write;

const ID: &str = "Ab1-D2eF3gH4iJ5kL6mN7";
const NEW: &str = "0123456789abcdefghijk";
const DIGEST: &str = "0123456789abcdef";

/// A page with the judged constructs, as in an export.
const PAGE: &str = r#"<!DOCTYPE html><!--Ab1_D2eF3gH4iJ5kL6mN7--><html><head><meta http-equiv="Content-Security-Policy" content="script-src 'self' 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"/><meta property="og:image" content="https://harbour.example/img/a.png"/><script src="/x.js" integrity="sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="></script></head><body><img src="/img/a.png" srcset="/img/a.png 1x, /img/b.png 2x" alt="a"/><div style="background:url(/img/a.png)">text /img/a.png</div><a href="/guide">x</a><script>abc</script><script>self.__next_f.push([1,"1:T16,\u003cimg src=\"/img/a.png\">0:[\"$\",\"img\",null,{\"src\":\"/img/a.png\"}]\n2:[\"$\",\"$L3\",null,{\"src\":\"/img/b.png\",\"children\":[\"$\",\"img\",null,{\"src\":\"/img/a.png\"}]}]\n"])</script></body></html>"#;

/// An export of a page with its pictures, script and styles, and its finished site with another build ID.
fn pair(folder: &Path) {
    for (name, id) in [("before", ID), ("after", NEW)] {
        let at = folder.join(name);
        write(
            &at.join("index.html"),
            PAGE.replace(ID, id).replace(&ID.replace('-', "_"), id),
        );
        write(&at.join("img/a.png"), "a");
        write(&at.join("img/b.png"), "b");
        write(&at.join("x.js"), "abc");
        write(&at.join("y.css"), "a{background:url(img/b.png)}");
        write(
            &at.join(format!("_next/static/{id}/_buildManifest.js")),
            format!("\"{id}\""),
        );
    }
}

fn judge(folder: &Path) -> Vec<String> {
    differences(&Case {
        before: &folder.join("before"),
        after: &folder.join("after"),
        origin: Some("https://harbour.example"),
        base_path: "",
    })
}

/// Writes a copy of a picture with this content, and returns its URL.
fn copied(folder: &Path, name: &str, bytes: &str) -> String {
    let digest = &blake3::hash(bytes.as_bytes()).to_hex()[..16];
    let (stem, extension) = name.rsplit_once('.').unwrap();
    write(
        &folder.join(format!("after/_assets/{stem}.{digest}.{extension}")),
        bytes,
    );
    format!("/{name}?v={digest}")
}

#[test]
fn other_build_id_and_fingerprints_of_the_same_bytes_are_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    pair(folder.path());
    assert_eq!(judge(folder.path()), Vec::<String>::new());
    let page = folder.path().join("after/index.html");
    let picture = copied(folder.path(), "img/a.png", "a");
    let text = fs::read_to_string(&page).unwrap();
    let text = text
        .replace(
            "img src=\"/img/a.png\" srcset=\"/img/a.png 1x",
            &format!("img src=\"{picture}\" srcset=\"{picture} 1x"),
        )
        .replace("url(/img/a.png)", &format!("url({picture})"))
        .replace(
            "img\\\",null,{\\\"src\\\":\\\"/img/a.png",
            &format!("img\\\",null,{{\\\"src\\\":\\\"{picture}"),
        );
    fs::write(&page, text).unwrap();
    assert_eq!(judge(folder.path()), Vec::<String>::new());
}

#[test]
fn each_kind_of_damage_is_found() {
    let picture = format!("/img/a.png?v={DIGEST}");
    let own = format!("/img/a.png?v={}", &blake3::hash(b"a").to_hex()[..16]);
    let damages: Vec<(&str, &str, String)> = vec![
        (
            "card loses its host",
            "https://harbour.example/img/a.png",
            "/img/a.png".into(),
        ),
        ("a text changes", "text /img/a.png", format!("text {picture}")),
        (
            "a picture is another",
            "<img src=\"/img/a.png\"",
            "<img src=\"/img/b.png\"".into(),
        ),
        (
            "a picture leads nowhere",
            "<img src=\"/img/a.png\"",
            "<img src=\"/img/c.png\"".into(),
        ),
        (
            "a version has no copy",
            "<img src=\"/img/a.png\"",
            format!("<img src=\"{picture}\""),
        ),
        ("a candidate is another", "/img/b.png 2x", "/img/a.png 2x".into()),
        ("a size is another", "/img/b.png 2x", "/img/b.png 3x".into()),
        ("a style is another", "url(/img/a.png)", "url(/img/b.png)".into()),
        ("an attribute goes", " alt=\"a\"", String::new()),
        ("an element goes", "<a href=\"/guide\">x</a>", "x".into()),
        (
            "the old id stays",
            "<script>self",
            format!("<!--{}--><script>self", ID.replace('-', "_")),
        ),
        (
            "a policy forbids a script",
            "<script>abc</script>",
            "<script>abd</script>".into(),
        ),
        ("a policy says something else", "'self'", "'none'".into()),
        ("integrity does not fit", "sha256-ungW", "sha256-unGW".into()),
        ("a length is another", "1:T16,", "1:T17,".into()),
        (
            "markup in the payload is another",
            "img src=\\\"/img/a.png",
            "img src=\\\"/img/b.png".into(),
        ),
        (
            "the payload has an address without the version that the page has",
            "<img src=\"/img/a.png\" srcset=\"/img/a.png 1x",
            format!("<img src=\"{own}\" srcset=\"{own} 1x"),
        ),
        (
            "a component of the client is given another address",
            "$L3\\\",null,{\\\"src\\\":\\\"/img/b.png\\\"",
            format!("$L3\\\",null,{{\\\"src\\\":\\\"{picture}\\\""),
        ),
        ("a row goes", "2:[", "3:[".into()),
    ];
    for (what, old, new) in damages {
        let folder = tempfile::tempdir().unwrap();
        pair(folder.path());
        let page = folder.path().join("after/index.html");
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains(old), "{what}: {old} is nowhere");
        copied(folder.path(), "img/a.png", "a");
        fs::write(&page, text.replacen(old, &new, 1)).unwrap();
        assert_ne!(judge(folder.path()), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn damage_to_files_is_found() {
    let damages: [(&str, &str, &str); 6] = [
        ("a file goes", "img/b.png", ""),
        ("a picture's bytes", "img/b.png", "c"),
        ("a script's bytes", "x.js", "abd"),
        ("the address of a style", "y.css", "a{background:url(img/a.png)}"),
        ("a file comes", "new.txt", "new"),
        (
            "a copy under the name of other bytes",
            "_assets/img/a.0123456789abcdef.png",
            "a",
        ),
    ];
    for (what, name, bytes) in damages {
        let folder = tempfile::tempdir().unwrap();
        pair(folder.path());
        let at = folder.path().join("after").join(name);
        if bytes.is_empty() {
            fs::remove_file(at).unwrap();
        } else {
            write(&at, bytes);
        }
        assert_ne!(judge(folder.path()), Vec::<String>::new(), "{what}");
    }
}

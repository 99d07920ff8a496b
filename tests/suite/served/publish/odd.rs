//! Files that are large, empty, oddly named, or come with their own encodings.

use std::fs;
use std::io::Write as _;

use serde_json::json;

use super::served::{address, assert_served, serve};
use super::{Kind, World, copy, files_below};
use crate::support::command::small_export;
use crate::support::http::Request;
use crate::support::sshd::Jail;

/// A world with a small export, over SFTP, in a chroot if this machine supports it.
fn small_world() -> World {
    let jail = if crate::support::sshd::is_root() {
        Jail::Chroot
    } else {
        Jail::Plain
    };
    let world = World::empty(Kind::Sftp(jail));
    small_export(&world.export());
    world
}

/// Incompressible bytes, the same in every run.
pub fn noise(length: usize, seed: &str) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[test]
fn large_and_empty_files_arrive_as_they_are() {
    let world = small_world();
    world.project.write("export/video.bin", noise(20 << 20, "video"));
    world.project.write("export/empty.txt", "");
    world.project.write("export/blank.html", "");
    let export = files_below(&world.export());
    let published = world.ask(&["publish"]);
    assert!(published["bytes_sent"].as_u64().unwrap() > 20 << 20);
    world.assert_live(&export);
    let nginx = serve(&world);
    assert_served(&world, &nginx, &export);
    let part = Request::get("/video.bin")
        .header("Range", "bytes=20971500-")
        .send(nginx.address());
    assert_eq!(part.status, 206);
    assert!(part.body == export["video.bin"][20_971_500..]);
    assert_eq!(world.ask(&["publish"])["swapped"], json!(false));
}

#[test]
fn names_of_every_kind_are_published_and_served() {
    let world = small_world();
    for name in [
        "a page with blanks.html",
        "it's \"quoted\".txt",
        "$HOME.txt",
        "$(reboot).txt",
        "`reboot`.txt",
        "-rf.txt",
        "*?[a].txt",
        "100%.html",
        "%2e%2e.txt",
        "a+b&c=d;e,f.txt",
        "#hash?query.txt",
        "{braces}|pipe~.txt",
        "back\\slash.txt",
        "日本語/ページ.html",
        "Ünïcödé/naïve – “quoted”.txt",
        "many.dots.in.it.txt",
    ] {
        let path = format!("export/odd/{name}");
        world.project.write(path, format!("This is {name}. ").repeat(100));
    }
    let export = files_below(&world.export());
    world.publish();
    world.assert_live(&export);
    assert_served(&world, &serve(&world), &export);
}

#[test]
fn encodings_that_the_export_brings_are_served_as_they_are() {
    let world = small_world();
    let script = "export const answer = () => 42;\n".repeat(200);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    gzip.write_all(script.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut brotli = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 2,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut script.as_bytes(), &mut brotli, &params).unwrap();
    for name in ["both", "one"] {
        world.project.write(format!("export/{name}.js"), &script);
        world.project.write(format!("export/{name}.js.gz"), &gzip);
    }
    world.project.write("export/both.js.br", &brotli);
    world
        .project
        .write("export/one.txt", "no encodings of its own\n".repeat(99));

    let mut export = files_below(&world.export());
    export.retain(|path, _| !path.ends_with(".js.gz") && !path.ends_with(".js.br"));
    let published = world.ask(&["publish"]);
    assert_eq!(published["files"], json!(export.len()));
    world.assert_live(&export);
    let nginx = serve(&world);
    assert_served(&world, &nginx, &export);
    let body = |path: &str, accepted: &str| {
        let request = Request::get(address(path)).header("Accept-Encoding", accepted);
        request.send(nginx.address()).body
    };
    assert!(body("both.js", "br") == brotli, "the export's own");
    assert!(body("both.js", "gzip") == gzip, "the export's own");
    assert!(body("one.js", "gzip") == gzip, "the export's own");
    assert!(body("one.js", "br") != brotli, "made when publishing");

    // Other encodings of an unchanged file make another release, and only the encodings are sent.
    fs::remove_file(world.export().join("both.js.br")).unwrap();
    let published = world.ask(&["publish"]);
    assert_eq!(published["swapped"], json!(true));
    assert!(body("both.js", "br") != brotli);
    world.assert_live(&export);
}

#[test]
fn export_is_published_from_a_folder_with_blanks_and_quotes() {
    let world = World::empty(Kind::Local);
    let base = world.project.dir.join("a folder's \"own\" $name");
    let export = base.join("out put");
    small_export(&export);
    let docroot = base.join("doc root");
    let manifest = format!(
        "[site]\nexport = 'out put'\n[publish]\ntarget = \"t\"\n[targets.t]\nkind = \"local\"\ndocroot = '''{}'''\n",
        docroot.display()
    );
    fs::write(base.join("site-manifest.toml"), manifest).unwrap();
    let site = base.join("site-manifest.toml");
    world.ask(&["publish", "--site", site.to_str().unwrap()]);
    let copied = world.project.dir.join("copied");
    copy(&export, &copied);
    super::store::assert_swept(&docroot);
    assert!(files_below(&copied).contains_key("docs/a.html"));
}

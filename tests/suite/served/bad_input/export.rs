//! Faults of the export.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Case, World, check, check_each};
use crate::support::command::write;

/// What there is in place of an export, one after the other.
const FOLDER: &[Case] = &[
    Case {
        what: "no export",
        breaks: |world| fs::rename(world.out(""), world.project.dir.join("away")).unwrap(),
        args: &["publish"],
        code: 3,
        says: r"
            publishing demo to local (target/docroot)
            error: there is no folder [project]/out
            target: local (target/docroot)
            live: [release]
            hint: build the site first, or correct `export` in the site manifest",
    },
    Case {
        what: "an export that is a file",
        breaks: |world| fs::write(world.project.dir.join("out"), "").unwrap(),
        args: &["publish"],
        code: 3,
        says: r"
            publishing demo to local (target/docroot)
            error: [project]/out is not a folder
            target: local (target/docroot)
            live: [release]
            hint: let `export` name the folder that the build wrote (mostly `out`)",
    },
    Case {
        what: "an empty export",
        breaks: |world| {
            fs::remove_file(world.project.dir.join("out")).unwrap();
            fs::create_dir(world.project.dir.join("out")).unwrap();
        },
        args: &["publish"],
        code: 3,
        says: r"
            publishing demo to local (target/docroot)
            error: the folder [project]/out holds no files to publish (0 dot files and 0 excluded files were left out)
            target: local (target/docroot)
            live: [release]
            hint: see whether the build ended well, and what `exclude` leaves out",
    },
];

/// Faults of an export.
const PAGES: &[Case] = &[
    Case {
        what: "a site without its first page",
        breaks: |world| {
            fs::remove_file(world.out("index.html")).unwrap();
            fs::remove_file(world.out("404.html")).unwrap();
        },
        args: &["publish"],
        code: 3,
        says: r#"
            publishing demo to local (target/docroot)
            error: the checks found an error in the export
              docs/a.html
                1  error  links  broken link: / does not exist
                  fix: correct the link or add the page
              404.html
                warning  not-found  there is no 404.html: a wrong address shows the web server's own error page
                  fix: add app/not-found.tsx (or pages/404.tsx) to the site; `next build` writes 404.html from it
              index.html
                warning  index  there is no index.html at the top: the address of the site itself is answered with 404
                  fix: see whether `export` names the folder that `next build` wrote (mostly `out`), and the build ended well
            target: local (target/docroot)
            live: [release]
            hint: fix what is named above, or set the check's level to "warn" in [check] of the site manifest"#,
    },
    Case {
        what: "names that differ only in case",
        breaks: |world| write(&world.out("docs/A.html"), "x"),
        args: &["publish"],
        code: 3,
        says: r#"
            publishing demo to local (target/docroot)
            error: the checks found an error in the export
              docs/a.html
                error  case  differs from docs/A.html only in case
                  fix: rename one of the two: file systems that ignore case keep only one of them
            target: local (target/docroot)
            live: [release]
            hint: fix what is named above, or set the check's level to "warn" in [check] of the site manifest"#,
    },
];

#[test]
fn an_export_that_is_missing_or_empty_or_a_file_is_not_published() {
    check(&World::local(), World::fails, FOLDER);
}

#[test]
fn an_export_with_a_fault_is_not_published() {
    check_each(World::local, World::fails, PAGES);
}

#[test]
fn names_and_links_that_cannot_be_published_are_all_named() {
    let world = World::local();
    fs::write(world.out("bell\u{7}.html"), "x").unwrap();
    fs::write(
        world.out("").join(std::ffi::OsStr::from_bytes(b"gr\xf6\xdfe.html")),
        "x",
    )
    .unwrap();
    symlink("/etc/hostname", world.out("leaves")).unwrap();
    symlink("nowhere", world.out("dangles")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(world.out("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    write(&world.out(&format!("{}/x.html", vec!["d"; 40].join("/"))), "x");
    fs::write(world.out("index.html.gz"), "not gzip").unwrap();
    insta::assert_snapshot!(world.fails(3, &["publish"]), @r"
    exit 3
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: the export can't be published as it is:
      bell\u{7}.html: the name holds a control character, which logs, terminals and manifests can't carry safely (rename it)
      d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d: the path is 37 folders deep; nginx follows at most 40 symlinks, so at most 36 can be served (move it up)
      dangles: it is a symlink to nowhere, which is not there (delete the link, or build what it leads to)
      gr��e.html: its name is not UTF-8 (rename it; addresses on the web are UTF-8)
      index.html.gz: the web server would send it as index.html, but it is not a complete gzip stream (delete it or compress the file again; the publish makes its own encodings)
      leaves: it is a symlink out of the export, to /etc/hostname (copy what it leads to into the export)
      pipe: it is a named pipe, not a file (delete it; only files can be published)
    target: local (target/docroot)
    live: [release]
    hint: correct the files named above, or leave them out with `exclude`
    ");
}

#[test]
fn a_file_that_grows_while_it_is_read_is_noticed() {
    let world = World::local();
    let path = world.out("growing.bin");
    fs::write(&path, vec![7; 64 << 20]).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (done, path) = (Arc::clone(&done), path.clone());
        move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
            }
        }
    });
    let shown = world.fails(1, &["publish"]);
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    insta::assert_snapshot!(shown, @r"
    exit 1
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: growing.bin changed while it was read
    target: local (target/docroot)
    live: [release]
    hint: let the build end before publishing, and try again
    ");
}

#[test]
fn a_publish_that_removes_many_pages_needs_the_option_for_it() {
    let world = World::empty();
    for page in 0..12 {
        write(&world.out(&format!("docs/page{page}.html")), format!("page {page}"));
    }
    world.project.run(&["publish"]).expect_code(0);
    for page in 0..8 {
        fs::remove_file(world.out(&format!("docs/page{page}.html"))).unwrap();
    }
    insta::assert_snapshot!(world.fails(3, &["publish"]), @r"
    exit 3
    --- stdout

    --- stderr
    publishing demo to local (target/docroot)
    error: this would remove 8 of 15 live pages, more than 30 %
    target: local (target/docroot)
    live: [release]
    hint: see what would go with `syntax-publish plan`; if it is meant, publish with --allow-removals
    ");
    world.project.run(&["publish", "--allow-removals"]).expect_code(0);
}

//! Pages that are redirects in the other release, at the moment of a swap. nginx looks for the page and for its redirect
//! one after the other, and each look may see another release.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use syntax_publish::rules::nginx::{PageForm, render};
use syntax_publish::rules::{Redirects, redirects};

use super::{Docroot, Served};
use crate::support::nginx::Nginx;

/// The addresses that are pages in one release and redirects in the other, with the files of the pages.
const PAGES: [(&str, &str); 5] = [
    ("/", "index.html"),
    ("/a/usage", "a/usage.html"),
    ("/b", "b.html"),
    ("/feed", "feed"),
    ("/c", "c/index.html"),
];

/// Writes a file of a release that a test makes by hand.
fn write(release: &Path, path: &str, what: impl FnOnce(&Path)) {
    let file = release.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    what(&file);
}

/// A docroot with the releases `pages`, `moved` and `going`. The last has redirects, and in addition its pages are pipes:
/// nginx finds a pipe and can't open it, like a page that goes away in between.
fn docroot() -> Docroot {
    let docroot = Docroot::new();
    let answer = docroot.path().join("moved/308/same/new=");
    fs::create_dir_all(&answer).unwrap();
    for name in ["pages", "moved", "going"] {
        let release = docroot.path().join("releases").join(name);
        for missing in ["404.html", "de/404.html"] {
            write(&release, missing, |file| fs::write(file, missing).unwrap());
        }
        for (address, file) in PAGES {
            match name {
                "pages" => write(&release, file, |at| fs::write(at, file).unwrap()),
                _ => write(&release, &format!(".moved{address}="), |at| {
                    symlink(&answer, at).unwrap();
                }),
            }
            if name == "going" {
                write(&release, file, pipe);
            }
        }
        if name == "going" {
            write(&release, "gone.html", pipe);
            write(&release, "de/gone.html", pipe);
        }
    }
    docroot
}

fn pipe(at: &Path) {
    assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
}

/// Serves the release `first` up to the first look for a redirect, and `then` from this look on.
fn torn(docroot: &Docroot, form: PageForm, base: &'static str, [first, then]: [&str; 2]) -> Served {
    let mut vhost = docroot.vhost(form);
    vhost.rules.base_path = base.into();
    vhost.rules.one_address = form == PageForm::Folder;
    let pattern = format!("{base}/b/* https://elsewhere.example/:splat\n{base}/d/* https://elsewhere.example/:splat\n");
    let (rules, bad) = redirects::parse("_redirects", &pattern);
    assert_eq!(bad, []);
    vhost.rules.redirects = Redirects::new(rules);
    let releases = docroot.path().join("releases").display().to_string();
    let live = docroot.path().join("current").display().to_string();
    let printed = render(&vhost).unwrap();
    let (root, of_redirects) = (format!("root {live};"), format!("root \"{live}/.moved"));
    for part in [&root, &of_redirects] {
        assert_eq!(printed.matches(part.as_str()).count(), 1, "{part}");
    }
    let printed = printed
        .replace(&root, &format!("root {releases}/$live;"))
        .replace(&of_redirects, &format!("root \"{releases}/{then}/.moved"));
    let map = format!("map $sp_localhost_moved $live {{ volatile; default {then}; \"\" {first}; }}");
    let nginx = Nginx::start(&format!("{map}\n{printed}"));
    Served { nginx, base, form }
}

/// Each form of the addresses, and with a base path.
const SITES: [(PageForm, &str); 4] = [
    (PageForm::Flat, ""),
    (PageForm::Flat, "/handbook"),
    (PageForm::Folder, ""),
    (PageForm::Folder, "/handbook"),
];

/// The status, with where it leads or the body.
fn answer(site: &Served, target: &str) -> String {
    let answer = site.get(target);
    let text = match answer.header("location") {
        Some(location) => location.to_owned(),
        None => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    format!("{} {text}", answer.status)
}

#[test]
fn page_that_is_there_after_the_look_for_its_redirect_is_served() {
    let docroot = docroot();
    for (form, base) in SITES {
        let site = torn(&docroot, form, base, ["moved", "pages"]);
        for (target, wanted) in [
            ("/", "200 index.html"),
            ("/a/usage", "200 a/usage.html"),
            ("/a/usage?q=%20", "200 a/usage.html"),
            ("/a/usage/?q=1", "308 BASE/a/usage?q=1"),
            ("/b", "200 b.html"),
            ("/feed", "200 feed"),
            ("/c/", "200 c/index.html"),
            ("/c?q=1", "308 BASE/c/?q=1"),
            // The page comes before the pattern, and the pattern before the page for missing files.
            ("/b/c", "301 https://elsewhere.example/c"),
            ("/d", "301 https://elsewhere.example/"),
            ("/none", "404 404.html"),
            ("/de/none", "404 de/404.html"),
        ] {
            let wanted = wanted.replace("BASE", base);
            assert_eq!(answer(&site, target), wanted, "GET {target} below {base:?}, {form:?}");
        }
        let feed = site.get("/feed");
        assert_eq!(feed.header("content-type"), Some("application/xml"));
        assert_eq!(feed.all("cache-control"), ["no-cache"]);
        assert_eq!(site.nginx.log().matches("[error]").count(), 0, "{}", site.nginx.log());
    }
}

#[test]
fn page_that_is_gone_when_it_is_opened_is_the_redirect() {
    let docroot = docroot();
    for (form, base) in SITES {
        let site = torn(&docroot, form, base, ["going", "going"]);
        for target in ["/", "/a/usage", "/b", "/feed", "/c/"] {
            assert_eq!(
                answer(&site, target),
                "308 /new",
                "GET {target} below {base:?}, {form:?}"
            );
        }
        assert_eq!(answer(&site, "/a/usage?q=1"), "308 /new?q=1");
        // Neither a file nor a redirect, however often it is looked up.
        for target in ["/gone", "/gone.html", "/none"] {
            let missing = site.get(target);
            assert_eq!(
                (missing.status, missing.body.as_slice()),
                (404, &b"404.html"[..]),
                "{target}"
            );
            assert_eq!(missing.all("cache-control"), ["no-store"]);
            assert_eq!(missing.header("content-type"), Some("text/html; charset=utf-8"));
        }
    }
}

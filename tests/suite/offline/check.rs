//! The checks end to end: no fixture raises a false alarm, and a fault that is planted into one is found, with its file
//! and line, by `check` and by `publish`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::command::{Project, write};

/// Real exports; tests use those that exist.
const FIXTURES: [&str; 4] = ["export", "pages/export", "nextra/export", "based/export"];

/// No content of a fixture may match these patterns.
const MANIFEST: &str = "[site]\nurl = \"https://syntax.kraite.com\"\n[check]\n\
                        known = \"error\"\n\
                        forbid = [\"10.77.0.0/16\", \"db.internal.example.com\", \"/srv-[0-9]{3}/\"]\n\
                        [encode]\nbrotli = 1\ngzip = 1\n";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("an entry of a fixture");
        let target = to.join(entry.path().strip_prefix(from).expect("an entry below it"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).expect("a new folder");
        } else {
            fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}

/// A project with a copy of a fixture.
fn project(name: &str) -> Project {
    let project = Project::new();
    copy(&fixture(name), &project.dir.join("out"));
    project.write_manifest(MANIFEST);
    project
}

#[test]
fn no_fixture_raises_an_alarm() {
    let there: Vec<&str> = FIXTURES
        .into_iter()
        .filter(|name| fixture(name).join("index.html").is_file())
        .collect();
    assert!(there.contains(&"export"));
    for name in there {
        let checked = project(name).run(&["check", "--json"]).expect_code(0).json();
        assert_eq!(checked["problems"], Value::Array(Vec::new()), "{name}");
        assert_eq!(checked["ok"], true, "{name}");
        assert_eq!(checked["unread"], Value::Array(Vec::new()), "{name}");
    }
}

/// A planted fault and the expected finding.
struct Fault {
    what: &'static str,
    /// Plants it into an export; returns its place.
    plant: fn(&Path) -> Place,
    check: &'static str,
    /// Whether it stops a publish.
    severity: &'static str,
}

/// The file and the line of a fault.
struct Place(String, Option<u32>);

/// Puts markup on a separate line at the end of a page.
fn into_page(out: &Path, path: &str, markup: &[u8]) -> Place {
    let mut page = fs::read(out.join(path)).expect("a page");
    let end = page
        .windows(7)
        .rposition(|window| window == b"</body>")
        .expect("the end of a page");
    page.splice(end..end, [b"\n", markup].concat());
    fs::write(out.join(path), &page).expect("a page");
    let lines = page[..=end].split(|byte| *byte == b'\n').count() - 1;
    Place(path.to_owned(), Some(u32::try_from(lines + 1).expect("a line")))
}

/// Puts text on a separate line at the end of a file.
fn into_file(out: &Path, path: &str, text: &str) -> Place {
    let mut file = fs::read_to_string(out.join(path)).expect("a text");
    file.push('\n');
    file.push_str(text);
    fs::write(out.join(path), &file).expect("a text");
    let lines = file[..file.len() - text.len()].matches('\n').count();
    Place(path.to_owned(), Some(u32::try_from(lines + 1).expect("a line")))
}

fn new_file(out: &Path, path: &str, text: &str) -> Place {
    write(&out.join(path), text);
    Place(path.to_owned(), None)
}

/// The first file of the client's code with this ending.
fn chunk(out: &Path, ending: &str) -> String {
    let mut files: Vec<String> = walkdir::WalkDir::new(out.join("_next/static"))
        .into_iter()
        .map(|entry| entry.expect("an entry").into_path())
        .map(|path| {
            path.strip_prefix(out)
                .expect("below it")
                .to_str()
                .expect("a name")
                .to_owned()
        })
        .filter(|path| path.ends_with(ending))
        .collect();
    files.sort();
    files.into_iter().next().expect("such a chunk")
}

/// A token that belongs to no account, assembled so that secret scanners do not report this file as a leak.
fn token() -> String {
    format!("ghp_{}", "mQ7vRk2ZtW9bXc4LhNs8YpGd3JfVeUa6TxKo")
}

const FAULTS: &[Fault] = &[
    Fault {
        what: "a link to a page that is not there",
        plant: |out| into_page(out, "docs.html", b"<p>x</p>\n<a href=\"/docs/gone\">x</a>").below(1),
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a picture in another case",
        plant: |out| into_page(out, "docs.html", b"<img src=\"/images/LOGO.png\" alt=\"\">"),
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a candidate of a picture that is not there",
        plant: |out| {
            into_page(
                out,
                "fees.html",
                b"<img srcset=\"/images/logo.png 1x, /images/gone.png 2x\" alt=\"\">",
            )
        },
        check: "links",
        severity: "error",
    },
    Fault {
        what: "an absolute link to the site that leads nowhere",
        plant: |out| {
            into_page(
                out,
                "docs.html",
                b"<link rel=\"canonical\" href=\"https://syntax.kraite.com/gone\">",
            )
        },
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a link with encoded characters that no file name has",
        plant: |out| into_page(out, "docs.html", b"<a href=\"/docs/gr%F6%DFe\">x</a>"),
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a font that is not there",
        plant: |out| into_file(out, &chunk(out, ".css"), "@font-face{src:url(/fonts/gone.woff2)}"),
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a page without its payload",
        plant: |out| {
            fs::remove_file(out.join("docs.txt")).expect("a payload");
            Place("docs.html".to_owned(), None)
        },
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a link to a place that a page does not have",
        plant: |out| into_page(out, "docs.html", b"<a href=\"/fees#gone\">x</a>"),
        check: "anchors",
        severity: "warning",
    },
    Fault {
        what: "a picture on the reader's own machine",
        plant: |out| {
            into_page(
                out,
                "docs.html",
                b"<img src=\"http://localhost:3000/images/logo.png\" alt=\"\">",
            )
        },
        check: "local",
        severity: "warning",
    },
    Fault {
        what: "the folder of another build",
        plant: |out| new_file(out, "_next/static/another-build/_buildManifest.js", "x"),
        check: "builds",
        severity: "error",
    },
    Fault {
        what: "a payload of another build",
        plant: |out| new_file(out, "fees.txt", "0:{\"b\":\"another-build\"}\n"),
        check: "builds",
        severity: "error",
    },
    Fault {
        what: "a page that is not UTF-8",
        plant: |out| into_page(out, "docs.html", b"<p>Gr\xf6\xdfe</p>"),
        check: "utf8",
        severity: "error",
    },
    Fault {
        what: "two names that differ in case",
        plant: |out| {
            new_file(out, "images/LOGO.png", "x");
            Place("images/logo.png".to_owned(), None)
        },
        check: "case",
        severity: "error",
    },
    Fault {
        what: "a folder where an encoding goes",
        plant: |out| {
            new_file(out, "docs.html.br/x.txt", "x");
            Place("docs.html.br".to_owned(), None)
        },
        check: "clash",
        severity: "error",
    },
    Fault {
        what: "a page that another one hides",
        plant: |out| new_file(out, "docs/index.html", "<p>x</p>"),
        check: "shadowed",
        severity: "warning",
    },
    Fault {
        what: "a token in the text of a page",
        plant: |out| into_page(out, "docs.html", format!("<code>{}</code>", token()).as_bytes()),
        check: "secrets",
        severity: "error",
    },
    Fault {
        what: "a token in the client's code",
        plant: |out| into_file(out, &chunk(out, ".js"), &format!("const x={:?}", token())),
        check: "secrets",
        severity: "error",
    },
    Fault {
        what: "a file of environment variables",
        plant: |out| new_file(out, "production.env", "DATABASE_URL=x"),
        check: "secrets",
        severity: "error",
    },
    Fault {
        what: "a private key",
        plant: |out| new_file(out, "keys/server.key", "x"),
        check: "secrets",
        severity: "error",
    },
    Fault {
        what: "a source map",
        plant: |out| new_file(out, "_next/static/chunks/a.js.map", "{\"sourcesContent\":[\"x\"]}"),
        check: "source-maps",
        severity: "warning",
    },
    Fault {
        what: "a private address in a URL",
        plant: |out| into_page(out, "docs.html", b"<a href=\"http://10.77.3.4:8080/\">x</a>"),
        check: "forbid",
        severity: "error",
    },
    Fault {
        what: "the name of an internal host in a text",
        plant: |out| into_page(out, "docs.html", b"<p>ask DB.internal.example.com</p>"),
        check: "forbid",
        severity: "error",
    },
    Fault {
        what: "what a regular expression forbids, in the client's code",
        plant: |out| into_file(out, &chunk(out, ".js"), "// srv-117"),
        check: "forbid",
        severity: "error",
    },
    Fault {
        what: "a file of another host",
        plant: |out| new_file(out, "vercel.json", "{}"),
        check: "stray",
        severity: "warning",
    },
    Fault {
        what: "a redirect that can't be followed",
        plant: |out| Place(new_file(out, "_redirects", "/a /b 200").0, Some(1)),
        check: "redirects",
        severity: "error",
    },
    Fault {
        what: "a redirect that leads nowhere",
        plant: |out| Place(new_file(out, "_redirects", "/a /b").0, Some(1)),
        check: "redirects",
        severity: "warning",
    },
    Fault {
        what: "a header that can't be set",
        plant: |out| Place(new_file(out, "_headers", "/*\n  Cache-Control: no-cache\n").0, Some(2)),
        check: "headers",
        severity: "error",
    },
    Fault {
        what: "a part of a payload in a folder, as some versions write it on Windows",
        plant: |out| new_file(out, "docs/__next.docs/__PAGE__.txt", "0:{}\n"),
        check: "links",
        severity: "error",
    },
    Fault {
        what: "a pointer of Git LFS in place of a picture",
        plant: |out| {
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 51200\n";
            new_file(out, "images/large.png", pointer)
        },
        check: "empty",
        severity: "error",
    },
    Fault {
        what: "a page of six megabytes",
        plant: |out| {
            into_page(out, "docs.html", &vec![b' '; 6 << 20]);
            Place("docs.html".to_owned(), None)
        },
        check: "size",
        severity: "warning",
    },
    Fault {
        what: "a canonical link to another host",
        plant: |out| {
            let link = b"<link rel=\"canonical\" href=\"https://old.example.com/docs\">";
            into_page(out, "docs.html", link)
        },
        check: "canonical",
        severity: "warning",
    },
    Fault {
        what: "a sitemap that is not XML",
        plant: |out| {
            let sitemap = "<urlset>\n<url><loc>https://syntax.kraite.com/docs?a&b</loc></url></urlset>";
            Place(new_file(out, "sitemap-0.xml", sitemap).0, Some(2))
        },
        check: "canonical",
        severity: "warning",
    },
    Fault {
        what: "a language that search engines do not know",
        plant: |out| {
            into_page(
                out,
                "docs.html",
                b"<link rel=\"alternate\" hreflang=\"en-UK\" href=\"/docs\">",
            )
        },
        check: "hreflang",
        severity: "warning",
    },
    Fault {
        what: "a site that is closed to search engines",
        plant: |out| Place(new_file(out, "robots.txt", CLOSED).0, Some(2)),
        check: "indexing",
        severity: "warning",
    },
    Fault {
        what: "two pages with the same title",
        plant: |out| {
            let page = fs::read_to_string(out.join("docs.html")).expect("a page");
            let other = page.replace("<title>Overview |", "<title>Fees |");
            assert_ne!(page, other);
            new_file(out, "docs.html", &other)
        },
        check: "metadata",
        severity: "warning",
    },
    Fault {
        what: "a picture that is far larger than it is shown",
        plant: |out| {
            let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x0f\xa0\0\0\x0b\xb8".to_vec();
            picture.resize(900_000, 0);
            fs::write(out.join("images/huge.png"), picture).expect("a picture");
            let shown = b"<img src=\"/images/huge.png\" width=\"120\" height=\"90\" alt=\"\">";
            into_page(out, "docs.html", shown);
            Place("images/huge.png".to_owned(), None)
        },
        check: "pictures",
        severity: "warning",
    },
];

/// A `robots.txt` that keeps search engines out.
const CLOSED: &str = "User-agent: *\nDisallow: /\n";

impl Place {
    /// Returns the place `lines` lines further down.
    fn below(self, lines: u32) -> Place {
        Place(self.0, self.1.map(|line| line + lines))
    }
}

#[test]
fn a_planted_fault_is_found_with_its_file_and_line_and_stops_a_publish_if_it_is_an_error() {
    for fault in FAULTS {
        let project = project("export");
        let Place(path, line) = (fault.plant)(&project.dir.join("out"));
        let code = if fault.severity == "error" { 3 } else { 0 };
        let checked = project.run(&["check", "--json"]).expect_code(code).json();
        let problems = checked["problems"].as_array().expect("a list");
        assert_eq!(problems.len(), 1, "{}: {problems:#?}", fault.what);
        let problem = &problems[0];
        let found = [&problem["check"], &problem["severity"], &problem["path"]];
        assert_eq!(found, [fault.check, fault.severity, &path], "{}", fault.what);
        assert_eq!(
            problem["line"].as_u64(),
            line.map(u64::from),
            "{}: {problem}",
            fault.what
        );
        for text in ["message", "hint"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        if code == 3 {
            let refused = project.run(&["publish", "--json"]).expect_code(3).json();
            assert_eq!(refused["error"]["code"], "check", "{}", fault.what);
            assert_eq!(refused["error"]["problems"][0]["check"], fault.check, "{}", fault.what);
            assert!(!project.dir.join("target/docroot/current").exists(), "{}", fault.what);
        }
    }
}

#[test]
fn every_check_of_texts_has_a_planted_fault() {
    let planted: Vec<&str> = FAULTS.iter().map(|fault| fault.check).collect();
    // The checks that look only at names and sizes, those of an export without its first pages, and that of a policy have
    // tests of their own.
    let elsewhere = ["csp", "depth", "index", "next", "not-found"];
    for check in syntax_publish::site::check::names() {
        assert!(planted.contains(&check) || elsewhere.contains(&check), "{check}");
    }
}

#[test]
fn an_encoding_of_other_bytes_is_found_and_stops_a_publish() {
    let project = project("export");
    new_file(&project.dir.join("out"), "docs.html.gz", "x");
    let checked = project.run(&["check", "--json"]).expect_code(3).json();
    assert_eq!(checked["error"]["code"], "export");
    assert!(
        checked["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("docs.html.gz")
    );
    project.run(&["publish"]).expect_code(3);
}

#[test]
fn a_link_to_a_compressed_file_beside_the_file_itself_is_not_missing() {
    let project = project("export");
    let out = project.dir.join("out");
    let (archive, packed) = ("an archive ".repeat(300), {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all("an archive ".repeat(300).as_bytes()).unwrap();
        gzip.finish().unwrap()
    });
    fs::write(out.join("x.tar"), archive).unwrap();
    fs::write(out.join("x.tar.gz"), packed).unwrap();
    into_page(
        &out,
        "docs.html",
        b"<a href=/x.tar.gz>all of it</a><a href=/x.tar.br>not there</a>",
    );
    let ran = project.run(&["check"]).expect_code(3);
    assert!(!ran.stdout.contains("/x.tar.gz"), "{ran}");
    assert!(ran.stdout.contains("/x.tar.br"), "{ran}");
}

#[test]
fn a_secret_is_never_shown() {
    let project = project("export");
    into_page(
        &project.dir.join("out"),
        "docs.html",
        format!("<code>{}</code>", token()).as_bytes(),
    );
    for args in [
        &["check"][..],
        &["check", "-v"],
        &["check", "--json"],
        &["publish"],
        &["publish", "--json"],
    ] {
        let ran = project.run(args).expect_code(3);
        let shown = ran.to_string();
        assert!(shown.contains("ghp_…") && shown.contains("40 characters"), "{shown}");
        assert!(!shown.contains(&token()[4..8]), "{shown}");
    }
}

#[test]
fn problems_are_listed_by_file_with_their_fixes() {
    let project = project("export");
    let out = project.dir.join("out");
    for path in ["docs.html", "fees.html"] {
        let page = fs::read_to_string(out.join(path)).expect("a page");
        // One line, so that the line numbers in the list do not depend on the fixture.
        let page = page.replace('\n', " ");
        write(&out.join(path), page);
    }
    into_page(&out, "docs.html", b"<a href=\"/gone\">x</a><a href=\"/Fees\">x</a>");
    into_page(&out, "fees.html", b"<a href=\"/docs#gone\">x</a>");
    let ran = project.run(&["check"]).expect_code(3);
    insta::assert_snapshot!(project.redact(&ran.stdout), @r"
    docs.html
      2  error  links  broken link: /gone does not exist
        fix: correct the link or add the page
      2  error  links  the link /Fees does not exist in this spelling: the site has /fees
        fix: write /fees: web servers distinguish upper and lower case
    fees.html
      2  warning  anchors  the link to /docs#gone leads to the top: the page has no such place
        fix: correct the part after `#`, or give the heading in docs.html that id
    2 errors, 1 warning
    ");
    let ran = project.run(&["publish"]).expect_code(3);
    insta::assert_snapshot!(project.redact(&ran.stderr), @r#"
    publishing site to local (target/docroot)
    error: the checks found 2 errors in the export
      docs.html
        2  error  links  broken link: /gone does not exist
          fix: correct the link or add the page
        2  error  links  the link /Fees does not exist in this spelling: the site has /fees
          fix: write /fees: web servers distinguish upper and lower case
      fees.html
        2  warning  anchors  the link to /docs#gone leads to the top: the page has no such place
          fix: correct the part after `#`, or give the heading in docs.html that id
    target: local (target/docroot)
    live: nothing yet
    hint: fix what is named above, or set the check's level to "warn" in [check] of the site manifest
    "#);
}

#[test]
fn a_secret_is_to_be_revoked_in_the_last_line_and_no_level_is_offered() {
    for also in [false, true] {
        let project = project("export");
        let out = project.dir.join("out");
        into_page(&out, "docs.html", format!("<code>{}</code>", token()).as_bytes());
        if also {
            into_page(&out, "fees.html", b"<a href=\"/gone\">x</a>");
        }
        let ran = project.run(&["publish", "--json"]).expect_code(3);
        let json = ran.json();
        let hint = json["error"]["hint"].as_str().expect("a hint");
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert_eq!(last, format!("hint: {hint}"));
        assert!(hint.contains("Then REVOKE THE SECRET where it was issued"), "{hint}");
        assert!(
            !ran.stderr.contains("\"warn\"") && !ran.stderr.contains("level"),
            "{ran}"
        );
        let fixes = json["error"]["problems"].as_array().expect("problems");
        let fix = fixes.iter().find(|problem| problem["check"] == "secrets");
        let fix = fix.and_then(|problem| problem["hint"].as_str()).expect("a fix");
        assert!(ran.stderr.contains(&format!("fix: {fix}")), "{ran}");
        assert!(fix.ends_with("then REVOKE IT where it was issued"), "{fix}");
    }
}

#[test]
fn findings_in_allowed_files_and_of_checks_that_are_off_do_not_count() {
    let project = project("export");
    let out = project.dir.join("out");
    into_page(&out, "docs.html", format!("<code>{}</code>", token()).as_bytes());
    into_page(&out, "fees.html", b"<a href=\"/gone\">x</a>");
    project.write_manifest("[check]\nallow = [\"docs.*\"]\nlinks = \"warn\"\n");
    let checked = project.run(&["check", "--json"]).expect_code(0).json();
    assert_eq!(checked["problems"].as_array().expect("a list").len(), 1, "{checked}");
    project.write_manifest("[check]\nsecrets = \"off\"\nlinks = \"off\"\n");
    let checked = project.run(&["check", "--json"]).expect_code(0).json();
    assert_eq!(checked["problems"], Value::Array(Vec::new()));
}

#[test]
fn a_target_that_search_engines_leave_out_expects_a_site_that_is_closed_to_them() {
    let project = project("export");
    new_file(&project.dir.join("out"), "robots.txt", CLOSED);
    let target = |access: &str| format!("{MANIFEST}[targets.test]\nkind = \"local\"\ndocroot = \"test\"\n{access}\n");
    let found = |access: &str| {
        project.write_manifest(&target(access));
        let checked = project.run(&["check", "--json", "-t", "test"]).expect_code(0).json();
        checked["problems"].as_array().expect("a list").len()
    };
    assert_eq!(found(""), 1);
    assert_eq!(found("noindex = true"), 0);
    assert_eq!(found("basic-auth = \"/etc/nginx/users\""), 0);
}

/// Returns the values of an attribute in the tags of a page that match a pattern.
fn attributes(page: &str, tag: &str, attribute: &str) -> Vec<String> {
    let tags = regex_lite::Regex::new(&format!("<{tag}[^>]*>")).expect("a pattern");
    let value = regex_lite::Regex::new(&format!(" {attribute}=\"([^\"]*)\"")).expect("a pattern");
    let tags = tags
        .find_iter(page)
        .map(|tag| tag.as_str())
        .filter(|tag| !tag.to_lowercase().contains("nomodule"));
    tags.filter_map(|tag| Some(value.captures(tag)?[1].to_owned()))
        .collect()
}

#[test]
fn first_load_has_the_bytes_that_browsers_are_sent() {
    for name in FIXTURES {
        let project = project(name);
        project.write_manifest(&format!(
            "{MANIFEST}[budget]\nfirst-load = \"1 kB\"\nscripts = \"1 kB\"\n"
        ));
        let checked = project.run(&["check", "--json"]).expect_code(0).json();
        project.run(&["publish"]).expect_code(0);
        let live = project.dir.join("target/docroot/current");
        let sent = |path: &str| {
            let size = |path: String| fs::metadata(live.join(path)).ok().map(|file| file.len());
            size(format!("{path}.br"))
                .or_else(|| size(path.to_owned()))
                .unwrap_or_else(|| panic!("{name}: no {path}"))
        };
        let mut largest = (0, String::new());
        let mut most_scripts = 0;
        let pages = walkdir::WalkDir::new(project.dir.join("out"))
            .into_iter()
            .map(|entry| entry.expect("an entry"));
        for page in pages.filter(|page| page.path().extension().is_some_and(|ending| ending == "html")) {
            let page = page
                .path()
                .strip_prefix(project.dir.join("out"))
                .expect("a path")
                .to_str()
                .expect("UTF-8");
            let text = fs::read_to_string(live.join(page)).expect("a page");
            let below = |url: String| {
                let path = url.split('?').next()?.strip_prefix('/')?;
                let path = path.strip_prefix("handbook/").unwrap_or(path);
                let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
                Some(path.into_owned())
            };
            let files = |tag, attribute| attributes(&text, tag, attribute).into_iter().filter_map(below);
            let mut scripts: Vec<String> = files("script", "src")
                .chain(files("link rel=\"preload\" as=\"script\"", "href"))
                .collect();
            let mut styles: Vec<String> = files("link rel=\"(?:stylesheet|preload)\"[^>]*\\.css", "href").collect();
            for files in [&mut scripts, &mut styles] {
                files.sort();
                files.dedup();
            }
            let scripts: u64 = scripts.iter().map(|path| sent(path)).sum();
            let styles: u64 = styles.iter().map(|path| sent(path)).sum();
            largest = largest.max((sent(page) + scripts + styles, page.to_owned()));
            most_scripts = most_scripts.max(scripts);
        }
        let budget = &checked["budget"];
        assert!(most_scripts > 10_000, "{name}");
        assert_eq!(budget[0]["key"], "first-load");
        assert_eq!(
            (budget[0]["bytes"].as_u64(), budget[0]["path"].as_str()),
            (Some(largest.0), Some(&*largest.1)),
            "{name}"
        );
        assert_eq!(budget[1]["bytes"].as_u64(), Some(most_scripts), "{name}");
        let found = checked["problems"].as_array().expect("a list");
        assert!(
            !found.is_empty() && found.iter().all(|problem| problem["check"] == "budget"),
            "{found:?}"
        );
    }
}

#[test]
fn budget_that_is_exceeded_stops_a_publish_only_if_its_level_says_so() {
    let project = project("export");
    let budget = |text: &str| project.write_manifest(&format!("{MANIFEST}[budget]\n{text}\n"));
    budget("total = \"100 MB\"");
    let ran = project.run(&["check"]).expect_code(0);
    assert!(
        ran.stdout.contains("no problems found") && ran.stdout.contains("of 100.0 MB  the site"),
        "{ran}"
    );
    budget("file = \"10 kB\"");
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    let ran = project.run(&["publish", "--json"]).expect_code(0);
    assert!(ran.stderr.contains("`file` in [budget]"), "{ran}");
    for value in [planned, ran.json()] {
        assert_eq!(value["budget"][0]["key"], "file", "{value}");
        assert_eq!(value["budget"][0]["limit"], 10_000, "{value}");
    }
    budget("file = \"10 kB\"\nlevel = \"error\"");
    project.run(&["check"]).expect_code(3);
    let refused = project.run(&["publish", "--force", "--json"]).expect_code(3).json();
    assert_eq!(refused["error"]["problems"][0]["check"], "budget");
    budget("file = \"10 kB\"\nlevel = \"off\"");
    let checked = project.run(&["check", "--json"]).expect_code(0).json();
    assert_eq!(
        (&checked["budget"], &checked["problems"]),
        (&Value::Null, &Value::Array(Vec::new()))
    );
}

#[test]
fn growth_is_judged_against_the_live_release_wherever_that_is_known() {
    let project = project("export");
    let budget = |text: &str| project.write_manifest(&format!("{MANIFEST}[budget]\n{text}\n"));
    budget("growth = \"10 kB\"\nlevel = \"error\"");
    // There is nothing to compare with.
    let first = project.run(&["publish", "--json"]).expect_code(0).json();
    assert_eq!(first["budget"], Value::Null, "{first}");
    project.write("out/big.png", "x".repeat(25_000));
    let what = "the site has grown by 25.0 kB";
    let of = |value: &Value, most: u64| {
        let growth = &value["budget"][0];
        assert_eq!(
            (&growth["key"], &growth["bytes"]),
            (&"growth".into(), &25_000.into()),
            "{value}"
        );
        assert_eq!(growth["limit"], most, "{value}");
    };
    let checked = project
        .run(&["check", "--against", "local", "--json"])
        .expect_code(3)
        .json();
    of(&checked, 10_000);
    let planned = project.run(&["plan", "--json"]).expect_code(3).json();
    of(&planned, 10_000);
    let refused = project.run(&["publish"]).expect_code(3);
    assert!(
        refused.stderr.contains(what) && refused.stderr.contains("big.png (added, 25.0 kB)"),
        "{refused}"
    );
    // There it has nothing to compare with.
    let alone = project.run(&["check", "--json"]).expect_code(0).json();
    assert_eq!(alone["budget"], Value::Null);
    // A preview only warns, and its promotion is refused.
    let preview = project.run(&["publish", "--channel", "a", "--json"]).expect_code(0);
    assert!(preview.stderr.contains(what), "{preview}");
    of(&preview.json(), 10_000);
    let refused = project.run(&["promote", "a"]).expect_code(3);
    assert!(refused.stderr.contains(what), "{refused}");
    budget("growth = \"10 kB\"\nlevel = \"off\"");
    let planned = project.run(&["plan", "--json"]).expect_code(0).json();
    assert_eq!(planned["budget"], Value::Null);
    budget("growth = \"0%\"");
    let published = project.run(&["publish", "--json"]).expect_code(0);
    assert!(published.stderr.contains(what), "{published}");
    of(&published.json(), 0);
    // What was published is what the next one is compared with.
    project.write("out/index.html", "<!DOCTYPE html><title>Small</title>");
    let smaller = project.run(&["plan", "--json"]).json();
    assert_eq!(smaller["budget"][0]["bytes"], 0, "{smaller}");
    let mut found = smaller["problems"].as_array().into_iter().flatten();
    assert!(found.all(|problem| problem["check"] != "budget"), "{smaller}");
}

#[test]
fn base_path_of_a_site_with_an_absolute_asset_prefix_is_found() {
    let project = Project::new();
    let head = "<script src=\"https://someone.github.io/handbook/_next/static/chunks/a.js\" async=\"\"></script>\
                <link rel=\"icon\" href=\"/handbook/favicon.ico\"/>";
    for (name, link) in [
        ("index", "/handbook/guide"),
        ("guide", "/handbook"),
        ("404", "/handbook/"),
    ] {
        let page = format!("<!DOCTYPE html><html><head>{head}</head><body><a href=\"{link}\">x</a></body></html>");
        project.write(format!("out/{name}.html"), page);
    }
    project.write("out/favicon.ico", "icon");
    project.write("out/_next/static/chunks/a.js", "console.log(1)");
    project.write_manifest("");
    let checked = project.run(&["check", "--json"]).expect_code(0).json();
    assert_eq!(checked["problems"], Value::Array(Vec::new()));
    let vhost = project.run(&["nginx"]).expect_code(0).stdout;
    assert!(vhost.contains("error_page 404 /handbook/404.html;"), "{vhost}");
}

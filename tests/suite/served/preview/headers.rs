//! Headers of the site's own: nginx and the preview send the same, from an export that is published by the tool.

use std::net::SocketAddr;

use super::{World, world};
use crate::support::command::{Project, open_tempdir, small_export, write};
use crate::support::http::Request;

/// The headers of an answer that say something about the site, sorted by name.
fn headers(server: SocketAddr, method: &str, target: &str, sent: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut request = Request::new(method, target);
    for (name, value) in sent {
        request = request.header(name, value);
    }
    let answer = request.send(server);
    let differs = [
        "date",
        "server",
        "connection",
        "etag",
        "last-modified",
        "content-length",
        "content-type",
    ];
    let mut headers = vec![("status".to_owned(), answer.status.to_string())];
    headers.extend(
        answer
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value)),
    );
    headers.retain(|(name, _)| !differs.contains(&&**name));
    // The order of two headers of one name counts.
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    headers
}

fn assert_same(world: &World, method: &str, target: &str, sent: &[(&str, &str)]) {
    let [nginx, preview] = [world.nginx(), world.preview].map(|server| headers(server, method, target, sent));
    assert_eq!(preview, nginx, "{method} {target}");
}

fn values(world: &World, target: &str, name: &str) -> Vec<String> {
    let of_name = |(known, value): (String, String)| (known == name).then_some(value);
    headers(world.nginx(), "GET", target, &[])
        .into_iter()
        .filter_map(of_name)
        .collect()
}

const HEADERS: &str = "\
# everything
/*
  X-All: yes
  Permissions-Policy: camera=()
  Link: </a.css>; rel=preload

/docs/*
  X-Robots-Tag: noindex
  Link: </b.css>; rel=preload
  Link: </a.css>; rel=preload
  ! Permissions-Policy
/docs/a
  X-Frame-Options: DENY
  X-Odd: a \"quoted\" \\ $uri ${x}; {}
/:any/none
  ! X-Frame-Options
  Content-Security-Policy: frame-ancestors https://*.example.org
/*.js
  Access-Control-Allow-Origin: *
/404.html
  X-Error: page
";

#[test]
fn both_servers_send_what_the_rules_say() {
    for base in ["", "/handbook"] {
        let export = open_tempdir();
        small_export(export.path());
        let rules: String = HEADERS
            .lines()
            .map(|line| match line.strip_prefix('/') {
                Some("*") | None => format!("{line}\n"),
                Some(path) => format!("{base}/{path}\n"),
            })
            .collect();
        write(&export.path().join("_headers"), &rules);
        write(
            &export.path().join("_redirects"),
            format!("{base}/docs/old {base}/docs/a\n"),
        );
        let more = format!(
            "[next]\nbase-path = \"{base}\"\n[[headers]]\nfor = \"{base}/docs/a\"\nvalues = {{ X-All = false, X-Own = \"yes\" }}\n"
        );
        let world = world(export.path(), &more);
        let targets = [
            "/",
            "",
            "/docs/a",
            "/docs/a/",
            "/docs/a.html",
            "/docs/a?x=1",
            "/docs/old",
            "/docs",
            "/docs/none",
            "/other",
            "/404.html",
            "/404",
            "/_next/static/chunks/x.js",
            "/_next/static/chunks/none.js",
            "/docs/%61",
            "/docs/../docs/a",
            "/%00",
            "/_headers",
            "/.well-known/syntax-publish",
            "/docs//a",
        ];
        let targets = targets.map(|target| format!("{base}{target}"));
        for target in targets
            .iter()
            .map(|target| if target.is_empty() { "/" } else { target })
        {
            for method in ["GET", "HEAD", "POST"] {
                assert_same(&world, method, target, &[]);
            }
            assert_same(&world, "GET", target, &[("Accept-Encoding", "br")]);
            assert_same(&world, "GET", target, &[("Range", "bytes=0-1")]);
            if !target.ends_with("/syntax-publish") {
                assert_same(&world, "GET", target, &[("If-Match", "\"none\"")]);
            }
            assert_same(
                &world,
                "GET",
                target,
                &[("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT")],
            );
        }
        let page = format!("{base}/docs/a");
        let one = |name: &str| values(&world, &page, name).join(" | ");
        assert_eq!(one("x-frame-options"), "DENY");
        assert_eq!(one("x-odd"), "a \"quoted\" \\ $uri ${x}; {}");
        assert_eq!(one("link"), "</a.css>; rel=preload | </b.css>; rel=preload");
        assert_eq!(
            (one("permissions-policy"), one("x-all")),
            (String::new(), String::new())
        );
        assert_eq!(
            (one("x-own"), one("referrer-policy")),
            ("yes".into(), "strict-origin-when-cross-origin".into())
        );
        let missing = format!("{base}/docs/none");
        assert_eq!(values(&world, &missing, "x-frame-options"), [""; 0]);
        assert_eq!(values(&world, &missing, "status"), ["404"]);
        assert_eq!(
            values(&world, &format!("{base}/_headers"), "status"),
            ["404"],
            "a setting is not published"
        );
    }
}

#[test]
fn a_page_whose_own_header_forbids_the_script_of_the_preview_stays_as_it_is() {
    let export = open_tempdir();
    small_export(export.path());
    write(
        &export.path().join("_headers"),
        "/docs/*\n  Content-Security-Policy: script-src https://cdn.example.com\n",
    );
    let world = world(export.path(), "");
    let opened = |target: &str| {
        let request = Request::get(target).header("Sec-Fetch-Dest", "document");
        String::from_utf8(request.send(world.preview).body).unwrap()
    };
    assert!(opened("/").contains("/__syntax/client.js"));
    assert!(!opened("/docs/a").contains("/__syntax/client.js"));
}

#[test]
fn a_file_beside_the_site_manifest_counts_and_a_bad_line_stops_the_publish() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(
        "[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\nnoindex = true\nbasic-auth = \"/etc/nginx/a\"\n",
    );
    write(&project.dir.join("_headers"), "/docs/*\n  X-Robots-Tag: noindex\n");
    let vhost = project.run(&["nginx", "--without-tls"]).expect_code(0).stdout;
    assert!(vhost.contains("^/docs(?:/.*)?\\z\" \"noindex\";"), "{vhost}");
    assert!(vhost.contains("add_header X-Robots-Tag noindex always;"), "{vhost}");
    assert!(vhost.contains("auth_basic_user_file /etc/nginx/a;"), "{vhost}");
    project.run(&["publish"]).expect_code(0);
    write(
        &project.dir.join("_headers"),
        "/docs/*\n  X-Robots-Tag: noindex\n  Cache-Control: no-cache\n",
    );
    write(&project.dir.join("out/_headers"), "/a\n");
    let ran = project.run(&["publish"]).expect_code(3);
    for line in [
        "this line has no headers below it; each address needs its own",
        "this line sets Cache-Control, but the vhost decides for each file how long it may be kept",
    ] {
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
    project.write_manifest("[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n[check]\nheaders = \"warn\"\n");
    project.run(&["publish"]).expect_code(0);
}

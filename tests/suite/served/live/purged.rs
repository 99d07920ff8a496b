//! The CDN: what it caches, what is purged, and how it changes answers. Uses a fake of Cloudflare, see `support::cdn`.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{Site, codes, seen};
use crate::support::cdn::{Mischief, TOKEN};
use crate::support::http::Request;
use crate::support::server::Reply;

/// All URLs that were purged, in order.
fn urls(purged: &[Value]) -> Vec<String> {
    let files = purged
        .iter()
        .flat_map(|body| body["files"].as_array().cloned().unwrap_or_default());
    files.map(|url| url.as_str().unwrap().to_owned()).collect()
}

#[test]
fn stale_edge_is_reported_and_the_release_stays() {
    let site = Site::behind_cdn(false);
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited.");
    let ran = site.run(&["publish"]).expect_code(7);
    assert_eq!(codes(&ran), ["former-bytes"], "{ran}");
    assert!(ran.stderr.contains("cf-cache-status HIT, age 77"), "{ran}");
    assert!(ran.stderr.contains("zone and token-env in [cloudflare]"), "{ran}");
    assert!(
        seen(site.origin.address()).contains("Edited."),
        "the release is live on the host"
    );
    let status = site.run(&["status"]).expect_code(0).json();
    assert_eq!(
        (&status["delivery"]["origin"], &status["delivery"]["public"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn exactly_what_changed_is_purged_in_each_of_its_forms() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    let before = site.cdn().purged().len();
    site.edit("Edited.");
    let ran = site.run(&["publish"]).expect_code(0);
    let at = format!("http://localhost:{}", site.cdn().edge.address.port());
    assert_eq!(
        urls(&site.cdn().purged()[before..]),
        ["/docs/a", "/docs/a.html", "/docs/a/"].map(|path| format!("{at}{path}"))
    );
    assert_eq!(ran.json()["delivery"]["purged"][0]["urls"], 3, "{ran}");
    assert!(seen(site.cdn().edge.address).contains("Edited."));
    // What is live already is not purged again.
    let before = site.cdn().purged().len();
    site.run(&["publish"]).expect_code(0);
    assert_eq!(site.cdn().purged().len(), before);
}

#[test]
fn a_compressed_file_that_the_export_brought_is_purged_by_its_own_name() {
    let site = Site::behind_cdn(true);
    let bring = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(text.repeat(300).as_bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        site.project.write("out/x.tar", text.repeat(300));
        site.project.write("out/x.tar.gz", &packed);
        packed
    };
    bring("an archive ");
    site.run(&["publish"]).expect_code(0);
    let before = site.cdn().purged().len();
    let packed = bring("another archive ");
    site.run(&["publish"]).expect_code(0);
    let at = format!("http://localhost:{}", site.cdn().edge.address.port());
    assert_eq!(
        urls(&site.cdn().purged()[before..]),
        ["/x.tar", "/x.tar.gz"].map(|path| format!("{at}{path}"))
    );
    let answer = Request::get("/x.tar.gz").send(site.origin.address());
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.body, packed);
}

#[test]
fn copies_under_other_names_are_purged_with_requests_of_their_own() {
    let site = Site::behind_cdn(true);
    let port = site.cdn().edge.address.port();
    let names = ["www.localhost", "localhost.example.org"];
    site.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"http://localhost:{port}\"\naliases = {names:?}\n[verify]\norigin = \"http://{}\"\n\
         public = true\n{}",
        site.origin.address(),
        site.tables
    ));
    // The second name is of a zone that the token can't purge.
    site.cdn().has_not(names[1]);
    site.run(&["publish"]).expect_code(0);
    // A copy from when the name had a server that answered for the site.
    let copy = || {
        let host = format!("www.localhost:{port}");
        let answer = Request::get("/docs/a").header("Host", &host);
        String::from_utf8_lossy(&answer.send(site.cdn().edge.address).body).into_owned()
    };
    assert!(copy().contains("A page about a."));
    let before = site.cdn().purged().len();
    site.edit("Edited.");
    let ran = site.run(&["publish"]).expect_code(0);
    let purged = &site.cdn().purged()[before..];
    assert_eq!(purged.len(), 2, "one for each name that the zone has: {purged:?}");
    for (purged, name) in purged.iter().zip(["localhost", names[0]]) {
        let forms = ["/docs/a", "/docs/a.html", "/docs/a/"].map(|path| format!("http://{name}:{port}{path}"));
        assert_eq!(urls(std::slice::from_ref(purged)), forms);
    }
    assert!(copy().contains("Edited."));
    let told = &ran.json()["delivery"]["purged"][0];
    assert_eq!((&told["urls"], &told["error"]), (&6.into(), &Value::Null), "{ran}");
    let said = "6 URLs; it refuses those of localhost.example.org, which may be of another zone";
    assert_eq!(told["what"], said);
    assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], false);
}

#[test]
fn urls_of_other_names_keep_to_the_number_of_a_request() {
    let site = Site::behind_cdn(true);
    site.cdn().takes_at_most(30);
    let port = site.cdn().edge.address.port();
    site.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"http://localhost:{port}\"\naliases = [\"www.localhost\"]\n[verify]\norigin = \"http://{}\"\n\
         public = true\n{}",
        site.origin.address(),
        site.tables
    ));
    let page = std::fs::read_to_string(site.project.dir.join("out/docs/a.html")).unwrap();
    for number in 0..40 {
        site.project.write(format!("out/docs/p{number}.html"), &page);
    }
    site.run(&["publish"]).expect_code(0);
    let purged = site.cdn().purged();
    let of = |name: &str| urls(&purged).iter().filter(|url| url.starts_with(name)).count();
    let (own, other) = (of("http://localhost:"), of("http://www.localhost:"));
    assert!(own > 120 && own == other, "{own}, {other}");
    assert!(purged.iter().all(|body| body["files"].as_array().unwrap().len() <= 30));
}

#[test]
fn rollback_purges_and_looks_too() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited.");
    site.run(&["publish"]).expect_code(0);
    let ran = site.run(&["rollback"]).expect_code(0);
    assert_eq!(ran.json()["delivery"]["ok"], true, "{ran}");
    assert!(seen(site.cdn().edge.address).contains("A page about a."));
}

#[test]
fn a_rollback_that_purges_everything_purges_redirects_too() {
    let site = Site::behind_cdn(true);
    site.project.write("out/_redirects", "/old /docs/a 301\n");
    let first = site.run(&["publish"]).expect_code(0).json();
    // The edge may have files of the first release, of which nothing is known once it is gone.
    for text in ["Edited.", "Edited again."] {
        site.edit(text);
        site.cdn().refuses_once(Reply::new(403, "{}"));
        site.run(&["publish"]).expect_code(7);
    }
    let releases = site.project.dir.join("target/docroot/releases");
    let first = first["release"].as_str().unwrap();
    for entry in std::fs::read_dir(releases).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with(first) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let before = site.cdn().purged().len();
    site.run(&["rollback"]).expect_code(0);
    let purged = urls(&site.cdn().purged()[before..]).join("\n");
    assert!(purged.contains("/docs/a\n") && purged.contains("/old"), "{purged}");
}

#[test]
fn purge_that_failed_is_pending_until_the_next_publish() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited.");
    let refusal =
        json!({"success": false, "errors": [{"code": 10000, "message": "Authentication error"}], "result": null});
    site.cdn().refuses_once(Reply::new(403, refusal.to_string()));
    let ran = site.run(&["publish"]).expect_code(7);
    assert!(
        ran.stderr
            .contains("Cloudflare refuses: Authentication error (code 10000)"),
        "{ran}"
    );
    assert!(ran.stderr.contains("Cache Purge"), "{ran}");
    assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], true);
    // Another page changes, and the first one is still purged.
    let page = std::fs::read_to_string(site.project.dir.join("out/index.html")).unwrap();
    site.project
        .write("out/index.html", page.replace("The first page.", "Another first page."));
    let before = site.cdn().purged().len();
    site.run(&["publish"]).expect_code(0);
    let purged = urls(&site.cdn().purged()[before..]).join("\n");
    assert!(
        purged.contains("/docs/a\n") && purged.contains("/index.html"),
        "{purged}"
    );
    assert!(seen(site.cdn().edge.address).contains("Edited."));
    assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], false);
}

#[test]
fn purge_of_a_run_that_died_after_its_swap_is_made_later() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    let asked = site.cdn().api.received().len();
    // Requests a wait that is longer than the test runs.
    site.cdn()
        .refuses_once(Reply::new(429, "{}").header("retry-after", "20"));
    site.edit("Edited.");
    let running = site.project.spawn_env(&["publish"], &[("CF_TOKEN", TOKEN)]);
    site.cdn().api.wait_for(asked + 1);
    running.kill();
    assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], true);
    let ran = site.run(&["publish"]).expect_code(0);
    assert_eq!(ran.json()["swapped"], false, "nothing changed since: {ran}");
    assert!(seen(site.cdn().edge.address).contains("Edited."));
}

#[test]
fn busy_api_is_asked_again_when_it_says() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited.");
    site.cdn()
        .refuses_once(Reply::new(429, "{}").header("retry-after", "1"));
    site.cdn().refuses_once(Reply::new(502, "<html>"));
    let ran = site.run(&["publish"]).expect_code(0);
    assert_eq!(ran.json()["delivery"]["purged"][0]["requests"], 3, "{ran}");
}

#[test]
fn purge_is_pending_if_the_api_wants_an_endless_wait() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    for (text, wait) in [("Edited.", "18446744073709551615"), ("Again.", "99999999999999999999")] {
        site.edit(text);
        site.cdn()
            .refuses_once(Reply::new(429, "{}").header("retry-after", wait));
        let ran = site.run(&["publish"]).expect_code(7);
        assert!(ran.stderr.contains("Cloudflare had no time for it"), "{ran}");
        assert_eq!(ran.json()["swapped"], true, "{ran}");
        assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], true);
    }
    site.run(&["publish"]).expect_code(0);
    assert!(seen(site.cdn().edge.address).contains("Again."));
    assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], false);
}

#[test]
fn batches_keep_to_what_the_api_takes() {
    let site = Site::behind_cdn(true);
    let page = std::fs::read_to_string(site.project.dir.join("out/docs/a.html")).unwrap();
    for number in 0..50 {
        site.project.write(format!("out/more/{number}.html"), &page);
    }
    for (most, largest) in [(100, 100), (30, 30)] {
        site.cdn().takes_at_most(most);
        let before = site.cdn().purged().len();
        site.run(&["--force"]).expect_code(0);
        for number in 0..50 {
            site.project.write(
                format!("out/more/{number}.html"),
                page.replace("about", &format!("about {most}")),
            );
        }
        site.run(&["publish"]).expect_code(0);
        let purged = site.cdn().purged()[before..].to_vec();
        let sizes: Vec<usize> = purged
            .iter()
            .map(|body| body["files"].as_array().unwrap().len())
            .collect();
        assert_eq!(sizes.iter().max(), Some(&largest), "{sizes:?}");
        assert!(sizes.iter().sum::<usize>() >= 150, "{sizes:?}");
    }
}

#[test]
fn what_is_purged_can_be_configured() {
    let mut site = Site::behind_cdn(true);
    let own = site.tables.clone();
    for (scope, key) in [
        ("everything", "purge_everything"),
        ("prefix", "prefixes"),
        ("host", "hosts"),
        ("tag", "tags"),
    ] {
        site.tables = format!("{own}purge = \"{scope}\"\n");
        site.write();
        site.edit(scope);
        site.run(&["publish"]).expect_code(0);
        let last = site.cdn().purged().pop().unwrap();
        assert!(last.get(key).is_some(), "{scope}: {last}");
    }
    site.tables = format!("{own}purge = false\n");
    site.write();
    let before = site.cdn().purged().len();
    site.edit("No purge.");
    site.run(&["publish"]).expect_code(7);
    assert_eq!(site.cdn().purged().len(), before);
}

#[test]
fn missing_token_is_named_and_fails_no_publish() {
    let site = Site::behind_cdn(true);
    let ran = site.project.run(&["publish", "--json"]).expect_code(0);
    assert!(
        ran.stderr
            .contains("CF_TOKEN, which holds the token for Cloudflare, is not set"),
        "{ran}"
    );
}

#[test]
fn what_the_cdn_does_to_answers_is_named_with_the_setting() {
    let site = Site::behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    for (mischief, code, setting) in [
        (Mischief::BrowserTtl, "cache", "Browser Cache TTL"),
        (Mischief::RocketLoader, "rewritten", "Rocket Loader"),
        (
            Mischief::Status(522),
            "edge-error",
            "compare the DNS record's address with the host's own",
        ),
        (
            Mischief::Status(526),
            "edge-error",
            "give the origin a certificate for this name",
        ),
    ] {
        site.cdn().is_to(mischief);
        let ran = site.run(&["verify", "--live"]).expect_code(1);
        assert_eq!(codes(&ran), [code], "{ran}");
        assert!(ran.stderr.contains(setting), "{mischief:?}: {ran}");
        site.edit(&format!("{mischief:?}"));
        let ran = site.run(&["publish"]).expect_code(7);
        assert_eq!(ran.json()["swapped"], true, "{ran}");
    }
}

#[test]
fn other_cdns_get_a_post() {
    let mut site = Site::behind_cdn(false);
    let hook = crate::support::server::Server::start(|_| Reply::new(204, ""));
    site.tables = format!(
        "[purge]\nurl = \"http://{}/purge\"\ntoken-env = \"CF_TOKEN\"\n",
        hook.address
    );
    site.write();
    site.run(&["publish"]).expect_code(0);
    let told = hook.received();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].method.as_str(), told[0].target.as_str()), ("POST", "/purge"));
    assert_eq!(
        told[0].header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    let body = told[0].json();
    assert_eq!(body["site"], "docs");
    assert!(body["urls"].as_array().unwrap().len() > 12, "{body}");
    // If the hook is down, only the purge fails.
    site.tables = "[purge]\nurl = \"http://127.0.0.1:1/purge\"\n".to_owned();
    site.write();
    site.edit("Edited.");
    let ran = site.run(&["publish"]).expect_code(7);
    assert!(
        ran.stderr.contains("the purge hook at 127.0.0.1:1 can't be reached"),
        "{ran}"
    );
}

#[test]
fn release_that_is_taken_back_leaves_nothing_at_the_edge() {
    let fails = "autoindex off;\nlocation = /broken { if (-f $document_root/broken.html) { return 500; } return 404; }";
    let site = Site::changed(|vhost| vhost.replace("autoindex off;", fails)).put_behind_cdn(true);
    site.run(&["publish"]).expect_code(0);
    for end in ["html", "txt"] {
        let bytes = std::fs::read(site.project.dir.join(format!("out/docs/a.{end}"))).unwrap();
        site.project.write(format!("out/broken.{end}"), bytes);
    }
    site.edit("Nobody keeps this.");
    let before = site.cdn().purged().len();
    site.run(&["publish"]).expect_code(6);
    let purged = urls(&site.cdn().purged()[before..]).join("\n");
    assert!(purged.contains("/docs/a\n") && purged.contains("/broken"), "{purged}");
    assert!(seen(site.cdn().edge.address).contains("A page about a."));
    assert_eq!(site.run(&["status"]).expect_code(0).json()["delivery"]["owed"], false);
}

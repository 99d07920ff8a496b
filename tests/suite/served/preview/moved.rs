//! Redirects of moved pages: nginx and the preview answer the same, and as the rules say.

use std::net::SocketAddr;

use super::{World, world};
use crate::support::command::{open_tempdir, small_export, write};
use crate::support::http::Request;

/// A status and where it leads.
fn answer(server: SocketAddr, target: &str) -> String {
    let answer = Request::get(target).send(server);
    match answer.header("location") {
        Some(location) => format!("{} {location}", answer.status),
        None => answer.status.to_string(),
    }
}

fn assert_answers(world: &World, table: &[(&str, &str)]) {
    for (target, wanted) in table {
        assert_eq!(answer(world.nginx(), target), *wanted, "nginx: GET {target}");
        assert_eq!(answer(world.preview, target), *wanted, "preview: GET {target}");
    }
}

const REDIRECTS: &str = "\
# moved in May
/old/page        /docs/a              308
/old/page/deep   /docs/a#top          301
/shop            https://shop.example/start  302
/guide/*         /docs/:splat         307
/legacy/*        /?from=legacy
/_next/data/*    https://people.example/:splat?data
/by/:who/*       https://people.example/:who/:splat?all=1
/caf%C3%A9       /docs/a
/docs/a          /never
";

#[test]
fn each_moved_address_leads_where_its_rule_says() {
    let export = open_tempdir();
    small_export(export.path());
    write(&export.path().join("_redirects"), REDIRECTS);
    let more = "[[redirects]]\nfrom = \"/from/manifest\"\nto = \"/docs/a\"\nstatus = 302\n";
    let world = world(export.path(), more);
    assert_answers(
        &world,
        &[
            ("/old/page", "308 /docs/a"),
            ("/old/page/", "308 /docs/a"),
            ("/old//page", "404"),
            ("/old/page?tab=1&x=%20", "308 /docs/a?tab=1&x=%20"),
            ("/old/page/deep", "301 /docs/a#top"),
            ("/old/page/deep?q", "301 /docs/a?q#top"),
            ("/old/page/none", "404"),
            ("/old", "404"),
            ("/old/page.html", "404"),
            ("/shop", "302 https://shop.example/start"),
            ("/shop?a=b", "302 https://shop.example/start?a=b"),
            // A splat: what the site has is an entry of the release, anything else a pattern.
            ("/guide/a", "307 /docs/a"),
            ("/guide/a?x", "307 /docs/a?x"),
            ("/guide/nothing/here", "307 /docs/nothing/here"),
            ("/legacy", "301 /?from=legacy"),
            ("/legacy/a/b?x=1", "301 /?from=legacy"),
            ("/by/ann/a%20b/c?x=1", "301 https://people.example/ann/a%20b/c?all=1"),
            ("/by/ann", "301 https://people.example/ann/?all=1"),
            ("/by//ann", "404"),
            // What the client asks for is no page: a pattern would lead its parts elsewhere.
            ("/legacy/a/b.txt?_rsc=1x2y3", "404"),
            ("/legacy/a/b.txt?q=1&_RSC=x", "404"),
            ("/legacy/a/b?_rsc=", "301 /?from=legacy"),
            ("/legacy/a/b?a_rsc=1", "301 /?from=legacy"),
            ("/guide/a?_rsc=1", "307 /docs/a?_rsc=1"),
            ("/_next/data/build/legacy/a.json", "404"),
            ("/caf%c3%a9", "301 /docs/a"),
            ("/caf%C3%A9/", "301 /docs/a"),
            ("/from/manifest", "302 /docs/a"),
            // A file comes first.
            ("/docs/a", "200"),
            ("/docs/a/", "308 /docs/a"),
            ("/", "200"),
            // Neither the setting nor the entries are public.
            ("/_redirects", "404"),
            ("/.moved/old/page=", "404"),
            ("/.moved/", "404"),
            // Nothing that a visitor sends chooses the host or adds a header.
            ("/guide//evil.example/", "404"),
            ("/guide/%2fevil.example", "404"),
            ("/guide/a%0d%0aSet-Cookie:x", "307 /docs/a%0d%0aSet-Cookie:x"),
            ("/nowhere", "404"),
        ],
    );
    for server in [world.nginx(), world.preview] {
        let moved = Request::get("/old/page").send(server);
        let cache = moved.header("cache-control").map(str::to_owned);
        assert_eq!(cache.as_deref(), Some("no-cache"), "{:?}", moved.headers);
        assert_eq!(moved.header("x-frame-options"), Some("SAMEORIGIN"));
        let posted = Request::new("HEAD", "/old/page").send(server);
        assert_eq!(posted.status, 308);
    }
}

#[test]
fn redirects_are_swapped_and_rolled_back_with_their_release() {
    let export = open_tempdir();
    small_export(export.path());
    write(&export.path().join("_redirects"), "/first /docs/a 308\n/both /docs/a\n");
    let world = world(export.path(), "");
    let nginx = |target: &str| answer(world.nginx(), target);
    assert_eq!(nginx("/first"), "308 /docs/a");
    write(&export.path().join("_redirects"), "/second /docs/a 308\n/both / 302\n");
    world.project.run(&["publish"]).expect_code(0);
    let after = ["/first", "/second", "/both"].map(nginx);
    assert_eq!(after, ["404", "308 /docs/a", "302 /"]);
    world.project.run(&["verify", "--deep"]).expect_code(0);
    world.project.run(&["rollback"]).expect_code(0);
    let back = ["/first", "/second", "/both"].map(nginx);
    assert_eq!(back, ["308 /docs/a", "404", "301 /docs/a"]);
    // The same release again: nothing to send.
    let again = world
        .project
        .run(&["publish", "--json", "--force"])
        .expect_code(0)
        .json();
    assert_eq!(again["objects_sent"], 0);
    assert_eq!(nginx("/second"), "308 /docs/a");
}

#[test]
fn a_base_path_and_pages_in_folders_have_redirects_too() {
    let export = open_tempdir();
    small_export(export.path());
    let docs = export.path().join("docs");
    std::fs::create_dir(docs.join("b")).unwrap();
    std::fs::rename(docs.join("a.html"), docs.join("b/index.html")).unwrap();
    let redirects = "/handbook/old /handbook/docs/b\n/handbook/g/* /handbook/docs/:splat 308\n";
    write(&export.path().join("_redirects"), redirects);
    let world = world(export.path(), "[next]\nbase-path = \"/handbook\"\n");
    assert_answers(
        &world,
        &[
            ("/handbook/old", "301 /handbook/docs/b/"),
            ("/handbook/old/?q=1", "301 /handbook/docs/b/?q=1"),
            ("/handbook/g/b", "308 /handbook/docs/b/"),
            ("/handbook/g/c", "308 /handbook/docs/c"),
            ("/old", "404"),
            ("/handbook/handbook/old", "404"),
        ],
    );
}

#[test]
fn a_line_that_cannot_be_followed_stops_the_publish_and_is_named() {
    let export = open_tempdir();
    small_export(export.path());
    write(
        &export.path().join("_redirects"),
        "/a /docs/a\n/app/* /index.html 200\n",
    );
    let project = crate::support::command::Project::new();
    project.write_manifest(&format!(
        "[site]\nexport = {:?}\n[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n",
        export.path().display().to_string()
    ));
    let ran = project.run(&["publish"]).expect_code(3);
    let line =
        "2  error  redirects  this redirect is a rewrite (200), which needs a server that does more than serve files";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
}

#[test]
fn page_has_one_address_and_error_pages_have_none() {
    let export = open_tempdir();
    small_export(export.path());
    let page = std::fs::read(export.path().join("docs/a.html")).unwrap();
    for path in ["docs/b/index.html", "raw", "raw.html", "_not-found.html"] {
        write(&export.path().join(path), &page);
    }
    let table = [
        ("/docs/a", "200"),
        ("/docs/a.html", "308 /docs/a"),
        ("/docs/a.html?q=1", "308 /docs/a?q=1"),
        ("/docs/a%2ehtml", "200"),
        ("/index.html", "308 /"),
        ("/docs/b/", "200"),
        ("/docs/b/index.html", "308 /docs/b/"),
        ("/raw.html", "200"),
        ("/none.html", "404"),
        ("/none/index.html", "404"),
        ("/404", "404"),
        ("/404.html", "404"),
        ("/_not-found", "404"),
        ("/_not-found.html", "404"),
        ("/docs/a.txt", "200"),
    ];
    assert_answers(&world(export.path(), "[nginx]\none-address = true\n"), &table);
    let before = table.map(|(target, _)| (target, if target.starts_with("/none") { "404" } else { "200" }));
    assert_answers(&world(export.path(), ""), &before);
}

#[test]
fn languages_have_their_own_page_for_missing_files_and_a_front_page_leads_to_them() {
    let export = open_tempdir();
    small_export(export.path());
    std::fs::remove_file(export.path().join("index.html")).unwrap();
    let page = |text: &str| format!("<!DOCTYPE html><title>{text}</title>");
    for (path, text) in [
        ("de.html", "deutsch"),
        ("en.html", "english"),
        ("de/404.html", "nicht gefunden"),
        ("fr/404/index.html", "introuvable"),
    ] {
        write(&export.path().join(path), page(text));
    }
    let world = world(export.path(), "");
    for server in [world.nginx(), world.preview] {
        let body = |target: &str| {
            let answer = Request::get(target).send(server);
            (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
        };
        assert_eq!(body("/de/none"), (404, page("nicht gefunden")));
        assert_eq!(body("/fr/none/at/all"), (404, page("introuvable")));
        assert!(body("/it/none").1.contains("This page does not exist."));
        let front = |accepted: &str| {
            let answer = Request::get("/?q").header("Accept-Language", accepted).send(server);
            format!("{} {}", answer.status, answer.header("location").unwrap_or_default())
        };
        for (accepted, wanted) in [
            ("de-CH,de;q=0.9,en;q=0.8", "302 /de?q"),
            ("fr, en;q=0.5", "302 /en?q"),
            ("it", "302 /en?q"),
            ("deutsch", "302 /en?q"),
        ] {
            assert_eq!(front(accepted), wanted, "{accepted}");
        }
        assert_eq!(answer(server, "/"), "302 /en");
    }
}

/// A file like that of a documentation site that comes from Netlify. Each line says what becomes of it.
fn real_file() -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/redirects/_redirects");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn each_line_of_a_real_file_works_or_is_refused_with_a_reason() {
    let text = real_file();
    let (rules, bad) = syntax_publish::rules::redirects::parse("_redirects", &text);
    let lines = || (1u32..).zip(text.lines());
    let refused: Vec<(u32, &str)> = bad.iter().map(|line| (line.place.line, &*line.reason)).collect();
    let reasons = lines().filter_map(|(number, line)| Some((number, line.split_once("  #! ")?.1)));
    assert_eq!(refused, reasons.collect::<Vec<_>>());
    let answers = lines().filter_map(|(_, line)| line.split_once("  #> ")?.1.split_once(" => "));
    let answers: Vec<(&str, &str)> = answers.collect();
    assert_eq!(rules.len(), answers.len());

    let export = open_tempdir();
    small_export(export.path());
    let page = std::fs::read(export.path().join("docs/a.html")).unwrap();
    let targets = answers
        .iter()
        .filter_map(|(_, answer)| answer.split_once(' ')?.1.split(['?', '#']).next());
    for target in targets.filter(|target| target.starts_with('/') && *target != "/docs/not/there") {
        let name = if target.ends_with(".xml") {
            target[1..].to_owned()
        } else {
            format!("{}.html", &target[1..])
        };
        write(&export.path().join(name), &page);
    }
    write(&export.path().join("_redirects"), &text);
    assert_answers(&world(export.path(), ""), &answers);
}

#[test]
fn other_names_lead_to_the_same_address_of_the_site() {
    let project = crate::support::command::Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest(
        "[site]\nurl = \"http://docs.example.com\"\naliases = [\"www.docs.example.com\", \"docs.example.org\"]\n\
         [targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n",
    );
    project.run(&["publish"]).expect_code(0);
    let docroot = project.dir.join("docroot").display().to_string();
    let nginx = crate::support::nginx::Nginx::of(&project, &["--docroot", &docroot]);
    let asked = |name: &str, target: &str| {
        let answer = Request::get(target).header("Host", name).send(nginx.address());
        (answer.status, answer.header("location").map(str::to_owned))
    };
    assert_eq!(asked("docs.example.com", "/docs/a"), (200, None));
    for alias in ["www.docs.example.com", "docs.example.org"] {
        let to = "http://docs.example.com/docs/a?q=%20x".to_owned();
        assert_eq!(asked(alias, "/docs/a?q=%20x"), (308, Some(to)), "{alias}");
    }
    let refused = "[site]\naliases = [\"https://www.example.com\"]\n";
    project.write_manifest(refused);
    assert!(
        project
            .run(&["check"])
            .expect_code(2)
            .stderr
            .contains("is not a host name in lower case")
    );
}

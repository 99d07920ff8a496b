//! A vhost that is older than the release needs, and other names of the site: what only nginx's configuration has.

use std::fs;

use serde_json::Value;
use syntax_publish::rules::marker::RULES;

use super::{Site, codes, vhost};
use crate::support::command::{Project, Ran, small_export};
use crate::support::http::Request;
use crate::support::nginx::{LISTEN, Nginx};

/// A vhost that says that it was printed by rules of this number, as one of an earlier version does.
fn of_rules(vhost: &str, number: u32) -> String {
    let begin = vhost.find(&format!("\"rules {RULES}")).expect("a marker");
    let end = begin + vhost[begin..].find("\";").expect("its end");
    let tree = vhost[begin..end].split("\\n").nth(1).expect("the tree");
    format!("{}\"rules {number}\\n{tree}\\n{}", &vhost[..begin], &vhost[end..])
}

/// Runs `publish` and `status`, which both must succeed. Returns what they say of the vhost, which must be the same.
#[track_caller]
fn seen_by_both(site: &Site) -> (Value, Ran) {
    let published = site.run(&["publish"]).expect_code(0);
    let status = site.run(&["status"]).expect_code(0).json();
    assert_eq!(published.json()["vhost"], status["vhost"], "{published}");
    (status["vhost"].clone(), published)
}

fn with_rules(project: &Project) {
    project.write("out/_redirects", "/old /docs/a\n/shop/* https://shop.example.org/\n");
    project.write("out/_headers", "/docs/*\n  X-Own: yes\n");
}

#[test]
fn vhost_of_older_rules_is_a_warning_only_if_the_site_needs_newer_ones() {
    let site = Site::changed(|vhost| of_rules(&vhost, RULES - 1));
    let (vhost, published) = seen_by_both(&site);
    assert_eq!(vhost["state"], "current", "nothing of the site needs the newer rules");
    assert!(!published.stderr.contains("vhost"), "{published}");
    let told = site.project.run(&["status"]).expect_code(0).stdout;
    assert!(told.contains("\nvhost      current\n"), "{told}");

    with_rules(&site.project);
    let (vhost, published) = seen_by_both(&site);
    assert_eq!(vhost["state"], "older");
    let lacking = format!(
        "older than this site needs ({}; now {RULES}): redirects of moved pages are 404s; it lacks 1 redirect \
         (_redirects, line 2); it lacks 1 rule of headers",
        RULES - 1
    );
    assert!(
        published.stderr.contains(&format!("warning: the vhost is {lacking}\n")),
        "{published}"
    );
    assert!(
        published
            .stderr
            .contains("hint: print it with `syntax-publish nginx`, put it in place"),
        "{published}"
    );
    assert_eq!(published.json()["delivery"]["ok"], true, "{published}");
    let told = site.project.run(&["status"]).expect_code(0).stdout;
    assert!(told.contains(&format!("\nvhost      {lacking}\n")), "{told}");
    // What it says is true.
    let asked = |target: &str| {
        Request::get(target)
            .header("Host", "localhost")
            .send(site.origin.address())
    };
    assert_eq!(asked("/docs/a").header("x-own"), None);

    let site = Site {
        origin: Nginx::start(&super::vhost(&site.project)),
        ..site
    };
    site.write();
    site.edit("Edited.");
    let (vhost, published) = seen_by_both(&site);
    assert_eq!(vhost["state"], "current", "{published}");
}

#[test]
fn vhost_that_lacks_something_is_a_warning_on_github() {
    let site = Site::new();
    site.run(&["publish"]).expect_code(0);
    with_rules(&site.project);
    let summary = site.project.dir.join("summary.md");
    let actions = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
    ];
    let ran = site.project.run_env(&["publish", "-q"], &actions).expect_code(0);
    let said = "the vhost was printed from other settings than the site has now";
    assert!(
        ran.stderr.contains(&format!("::warning title=syntax-publish::{said}")),
        "{ran}"
    );
    assert!(!ran.stderr.contains("warning: the vhost"), "{ran}");
    let summary = fs::read_to_string(summary).unwrap();
    assert!(
        summary.contains("#### The vhost\n") && summary.contains(said),
        "{summary}"
    );
}

#[test]
fn vhost_from_before_a_rule_was_written_is_a_warning() {
    let site = Site::new();
    assert_eq!(seen_by_both(&site).0["state"], "current");
    with_rules(&site.project);
    let (vhost, published) = seen_by_both(&site);
    assert_eq!(vhost["state"], "other-settings");
    assert!(
        published.stderr.contains(
            "the vhost was printed from other settings than the site has now, and may lack 1 redirect (_redirects, line \
             2), 1 rule of headers"
        ),
        "{published}"
    );
    let site = Site {
        origin: Nginx::start(&super::vhost(&site.project)),
        ..site
    };
    site.write();
    assert_eq!(seen_by_both(&site).0["state"], "current");
    // Without the export the settings can't be compared, and that is no reason for an alarm.
    fs::rename(site.project.dir.join("out"), site.project.dir.join("elsewhere")).unwrap();
    assert_eq!(site.run(&["status"]).expect_code(0).json()["vhost"]["state"], "current");
}

#[test]
fn vhost_of_ones_own_is_a_warning_only_for_a_site_with_rules() {
    let mark = "location = /.well-known/syntax-publish {";
    let site = Site::changed(|vhost| {
        assert!(vhost.contains(mark), "{vhost}");
        vhost.replace(mark, "location = /not-asked {")
    });
    let (vhost, published) = seen_by_both(&site);
    assert_eq!((&vhost["state"], &vhost["problem"]), (&"unknown".into(), &Value::Null));
    assert!(!published.stderr.contains("vhost"), "{published}");
    let told = site.project.run(&["status"]).expect_code(0).stdout;
    assert!(!told.contains("vhost"), "{told}");
    with_rules(&site.project);
    let (vhost, published) = seen_by_both(&site);
    assert_eq!(vhost["state"], "unknown");
    assert!(
        published
            .stderr
            .contains("warning: the vhost does not say what it was printed from"),
        "{published}"
    );
}

#[test]
fn origin_that_does_not_answer_is_a_line_of_status_and_nothing_else() {
    let mut site = Site::new();
    site.run(&["publish"]).expect_code(0);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    site.asked_at = Some(closed);
    site.write();
    let status = site.run(&["status"]).expect_code(0).json();
    assert_eq!(status["vhost"]["state"], "not-asked", "{status}");
    let told = site.project.run(&["status"]).expect_code(0).stdout;
    assert!(
        told.contains(&format!("\nvhost      not asked: can't connect to {closed}")),
        "{told}"
    );
    // Nor does one that accepts and never answers keep `status` waiting.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    site.asked_at = Some(silent.local_addr().unwrap());
    site.write();
    let status = site.run(&["status"]).expect_code(0).json();
    let said = status["vhost"]["problem"].as_str().unwrap();
    assert!(said.ends_with("did not answer in time"), "{said}");
    // A target without an origin has none to ask.
    site.project
        .write_manifest("[site]\nname = \"docs\"\nurl = \"http://localhost\"\n");
    assert_eq!(site.run(&["status"]).expect_code(0).json()["vhost"], Value::Null);
}

#[test]
fn rules_of_the_vhost_alone_are_noted_where_nothing_is_asked() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write_manifest("[site]\nname = \"docs\"\nurl = \"http://localhost\"\n");
    let note = "note: answered by the vhost alone, not by the release: 1 redirect (_redirects, line 2), 1 rule of headers; \
                after a change of them print it with `syntax-publish nginx`";
    for command in ["check", "plan"] {
        let ran = project.run(&[command]).expect_code(0);
        assert!(!ran.stderr.contains("the vhost"), "{ran}");
    }
    with_rules(&project);
    for command in [&["check"][..], &["plan"], &["publish"]] {
        let ran = project.run(command).expect_code(0);
        assert_eq!(ran.stderr.matches(note).count(), 1, "{ran}");
        let quiet = project.run(&[command, &["-q"]].concat()).expect_code(0);
        assert!(!quiet.stderr.contains("the vhost"), "{quiet}");
    }
    let again = project.run(&["publish"]).expect_code(0);
    assert!(!again.stderr.contains("the vhost"), "said once: {again}");
    let verbose = project.run(&["publish", "-v"]).expect_code(0);
    assert!(verbose.stderr.contains(note), "{verbose}");
}

/// A published site that is asked at its origin, with two other names.
fn with_aliases() -> (Project, Nginx) {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    let manifest = |origin: &str| {
        format!(
            "[site]\nname = \"docs\"\nurl = \"http://docs.example.com\"\naliases = [\"www.docs.example.com\", \"docs.example.org\"]\n{origin}"
        )
    };
    project.write_manifest(&manifest(""));
    let origin = Nginx::start(&vhost(&project));
    project.write_manifest(&manifest(&format!(
        "[verify]\norigin = \"http://{}\"\n",
        origin.address()
    )));
    (project, origin)
}

#[test]
fn another_name_that_does_not_lead_to_the_site_is_a_warning() {
    let (project, origin) = with_aliases();
    let ran = project.run(&["publish", "--json"]).expect_code(0);
    assert_eq!(codes(&ran), Vec::<String>::new(), "{ran}");

    let printed = vhost(&project).replace(LISTEN, &origin.address().to_string());
    let address = origin.address();
    drop(origin);
    let without = {
        let begin = printed.find("# Other names of the site.").expect("a server for them");
        let end = begin + printed[begin..].find("\n}\n").expect("its end") + 3;
        format!("{}{}", &printed[..begin], &printed[end..])
    };
    let front = printed.replace(
        "return 308 http://docs.example.com$request_uri;",
        "return 301 http://docs.example.com/;",
    );
    assert_ne!(front, printed);
    for (what, vhost, said) in [
        ("no server for it", without, "answers 200 with its own copy instead of"),
        (
            "its front page",
            front,
            "leads to http://docs.example.com/ and not to the same address",
        ),
    ] {
        let _origin = Nginx::at(address, &vhost);
        project.write(
            "out/docs/b.html",
            format!("<!DOCTYPE html><title>{what}</title><p>{what}</p>"),
        );
        let ran = project.run(&["publish", "--json"]).expect_code(0);
        assert_eq!(codes(&ran), ["alias"], "{ran}");
        let value = ran.json();
        assert_eq!(
            (&value["swapped"], &value["delivery"]["ok"]),
            (&true.into(), &true.into()),
            "{ran}"
        );
        assert!(
            ran.stderr
                .contains(&format!("warning: origin www.docs.example.com/docs/b: {said}")),
            "{ran}"
        );
        let more = "(and 1 more: docs.example.org/docs/b)";
        assert!(ran.stderr.contains(more), "{ran}");
        assert!(ran.stderr.contains("hint: print the vhost again"), "{ran}");
        let ran = project.run(&["verify", "--live", "--json"]).expect_code(0);
        assert_eq!(codes(&ran), ["alias"], "{ran}");
    }
}

#[test]
fn other_names_are_asked_at_the_public_url_as_visitors_do() {
    // The public URL names an address, and the other name is one that every machine has.
    let site = Site::behind_cdn(false);
    let edge = site.cdn().edge.address;
    let manifest = format!(
        "[site]\nname = \"docs\"\nurl = \"http://{edge}\"\naliases = [\"localhost\"]\n[verify]\norigin = \"http://{}\"\n\
         public = true\n",
        site.origin.address()
    );
    site.project.write_manifest(&manifest);
    let ran = site.project.run(&["publish", "--json"]).expect_code(0);
    let value = ran.json();
    let problems = value["delivery"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{ran}");
    assert_eq!(
        (&problems[0]["side"], &problems[0]["code"]),
        (&"public".into(), &"alias".into()),
        "{ran}"
    );
    let asked = site.cdn().edge.received();
    let names = asked
        .iter()
        .filter(|received| received.header("host") == Some(&format!("localhost:{}", edge.port())));
    assert_eq!(names.count(), 1, "one address of the name is asked");
}

#[test]
fn vhost_is_asked_through_the_public_url_if_the_origin_is_not_asked() {
    let site = Site::changed(|vhost| of_rules(&vhost, RULES - 1)).put_behind_cdn(false);
    site.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"http://{}\"\n[verify]\norigin = false\npublic = true\n",
        site.cdn().edge.address
    ));
    with_rules(&site.project);
    let ran = site.project.run(&["publish", "--json"]).expect_code(0);
    assert_eq!(ran.json()["vhost"]["state"], "older", "{ran}");
}

//! Findings that the live release has too. A publish is refused only for what it makes worse, and `plan`, `publish` and
//! `check` report the same findings for an export.

use std::fs;

use serde_json::{Value, json};

use crate::support::command::{Project, Ran};

const LINKS: &str = "<a href=\"/gone-01\">one</a><a href=\"/gone-02\">two</a>";

/// A project with three pages, the first of which has dead links.
fn project(manifest: &str) -> Project {
    let project = Project::new();
    project.write_manifest(&format!(
        "[check]\nnext = \"off\"\n{manifest}\n[encode]\nbrotli = false\ngzip = 1\n"
    ));
    page(&project, "index", LINKS);
    page(&project, "docs", "");
    page(&project, "404", "");
    project
}

fn page(project: &Project, name: &str, body: &str) {
    let text = format!("<!DOCTYPE html><html><head><title>{name}</title></head><body>\n{body}</body></html>");
    project.write(format!("out/{name}.html"), text);
}

fn json(ran: Ran, code: i32) -> Value {
    ran.expect_code(code).json()
}

/// The address (or the message) and `known` of each problem.
fn told(problems: &Value) -> Vec<(String, bool)> {
    let problems = problems.as_array().expect("problems").iter();
    let one = |problem: &Value| {
        let message = problem["message"].as_str().expect("a message");
        let address = message.split(' ').find(|word| word.starts_with('/'));
        (address.unwrap_or(message).to_owned(), problem["known"] == json!(true))
    };
    let mut told: Vec<_> = problems.map(one).collect();
    told.sort();
    told
}

fn known(addresses: &[&str]) -> Vec<(String, bool)> {
    addresses.iter().map(|address| ((*address).to_owned(), true)).collect()
}

#[test]
fn first_publish_goes_through_and_the_next_new_finding_stops() {
    let project = project("");
    // Without a host, each finding is an error.
    let checked = json(project.run(&["check", "--json"]), 3);
    assert_eq!(
        told(&checked["problems"]),
        [("/gone-01".to_owned(), false), ("/gone-02".to_owned(), false)]
    );
    let planned = json(project.run(&["plan", "--json"]), 0);
    assert_eq!(told(&planned["problems"]), known(&["/gone-01", "/gone-02"]));
    let first = project.run(&["publish", "--json"]).expect_code(0);
    assert!(first.stderr.contains("2 known findings"), "{}", first.stderr);
    let first = first.json();
    assert_eq!(told(&first["problems"]), known(&["/gone-01", "/gone-02"]));

    // The link is on another line, the page has other text, and one link is gone.
    page(&project, "index", "more\n\n<a href=\"/gone-02\">two</a>");
    let second = json(project.run(&["publish", "--json"]), 0);
    assert_eq!(told(&second["problems"]), known(&["/gone-02"]));
    assert_eq!(second["problems"][0]["since"], first["release"]);

    page(&project, "docs", "<a href=\"/gone-03\">three</a>");
    for command in ["plan", "publish"] {
        let refused = project.run(&[command, "--json"]).expect_code(3);
        assert!(refused.stderr.contains("/gone-03"), "{}", refused.stderr);
        let refused = refused.json();
        let problems = &refused["error"]["problems"];
        assert_eq!(
            told(problems),
            [("/gone-02".to_owned(), true), ("/gone-03".to_owned(), false)],
            "{command}"
        );
        let severities: Vec<_> = problems.as_array().unwrap().iter().map(|p| &p["severity"]).collect();
        assert!(severities.contains(&&json!("error")) && severities.contains(&&json!("warning")));
        // The plan is still part of the output.
        if command == "plan" {
            assert_eq!((&refused["changed"], &refused["release"]), (&json!(1), &Value::Null));
        }
    }
    assert_eq!(
        json(project.run(&["status", "--json"]), 0)["release"],
        second["release"]
    );

    // `since` does not change.
    page(&project, "docs", "fine");
    let third = json(project.run(&["publish", "--json"]), 0);
    assert_eq!(third["problems"][0]["since"], first["release"]);
    // After a rollback, findings are compared with the release that is live then.
    json(
        project.run(&["rollback", "--to", first["release"].as_str().unwrap(), "--json"]),
        0,
    );
    page(&project, "index", LINKS);
    let back = json(project.run(&["plan", "--json"]), 0);
    assert_eq!(told(&back["problems"]), known(&["/gone-01", "/gone-02"]));
}

#[test]
fn what_is_never_known_stops_each_publish() {
    let project = project("");
    let token = format!("ghp_{}", "mQ7vRk2ZtW9bXc4LhNs8YpGd3JfVeUa6TxKo");
    for body in [
        format!("<pre>{token}</pre>"),
        "<script src=\"/_next/static/chunks/gone.js\"></script>".to_owned(),
    ] {
        page(&project, "docs", &body);
        for command in ["check", "plan", "publish"] {
            let refused = json(project.run(&[command, "--json"]), 3);
            let problems = match command {
                "check" => &refused["problems"],
                _ => &refused["error"]["problems"],
            };
            let of_docs: Vec<_> = problems
                .as_array()
                .unwrap()
                .iter()
                .filter(|p| p["path"] == "docs.html")
                .collect();
            assert_eq!(of_docs.len(), 1, "{refused}");
            assert_eq!(
                (&of_docs[0]["severity"], &of_docs[0]["known"]),
                (&json!("error"), &json!(false))
            );
        }
    }
    assert!(!project.dir.join("target/docroot/current").exists());
}

#[test]
fn known_findings_can_count_like_any_other() {
    let project = project("known = \"error\"");
    for command in ["check", "plan", "publish"] {
        json(project.run(&[command, "--json"]), 3);
    }
}

#[test]
fn check_compares_with_a_target_and_with_a_file() {
    let project = project("");
    json(project.run(&["publish", "--json"]), 0);
    let against = json(project.run(&["check", "--against", "local", "--json"]), 0);
    assert_eq!(told(&against["problems"]), known(&["/gone-01", "/gone-02"]));
    let written = json(project.run(&["check", "--write-baseline", "known.json", "--json"]), 0);
    assert_eq!(told(&written["problems"]), known(&["/gone-01", "/gone-02"]));
    let file = fs::read_to_string(project.dir.join("known.json")).unwrap();
    assert!(file.contains("/gone-01") && file.contains("index.html"), "{file}");
    json(project.run(&["check", "--baseline", "known.json", "--json"]), 0);

    page(&project, "docs", "<a href=\"/gone-03\">three</a>");
    for with in [["--against", "local"], ["--baseline", "known.json"]] {
        let worse = json(project.run(&[&["check", "--json"], &with[..]].concat()), 3);
        let told = told(&worse["problems"]);
        assert_eq!(told.iter().filter(|(_, known)| !known).count(), 1, "{told:?}");
        assert_eq!(told[2], ("/gone-03".to_owned(), false));
    }
    let text = project
        .run(&["check", "--baseline", "known.json"])
        .expect_code(3)
        .stdout;
    assert!(text.contains("1 error, 2 warnings, 2 of them known"), "{text}");
    project.run(&["check", "--baseline", "nowhere.json"]).expect_code(2);
    project.write("broken.json", "[]");
    project.run(&["check", "--baseline", "broken.json"]).expect_code(2);
}

#[test]
fn site_without_first_page_and_error_page_is_published_with_warnings() {
    let project = Project::new();
    project.write_manifest("[check]\nnext = \"off\"\n");
    page(&project, "en", "<a href=\"/en\">here</a>");
    let published = json(project.run(&["publish", "--json"]), 0);
    let checks: Vec<_> = published["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["check"])
        .collect();
    assert_eq!(checks, [&json!("not-found"), &json!("index")]);
    fs::remove_file(project.dir.join("out/en.html")).unwrap();
    project.write("out/a.txt", "no page");
    json(project.run(&["publish", "--json"]), 3);
}

#[test]
fn loss_of_a_well_known_folder_stops() {
    let project = project("");
    let security = project.write("out/.well-known/security.txt", "Contact: mailto:a@example.com\n");
    let other = project.write("out/.well-known/other.txt", "x\n");
    json(project.run(&["publish", "--json"]), 0);
    fs::remove_file(&other).unwrap();
    json(project.run(&["publish", "--json"]), 0);
    fs::remove_file(&security).unwrap();
    for command in ["plan", "publish"] {
        let refused = json(project.run(&[command, "--json"]), 3);
        let problems = refused["error"]["problems"].as_array().unwrap();
        assert!(
            problems
                .iter()
                .any(|p| p["check"] == "well-known" && p["severity"] == "error"),
            "{refused}"
        );
    }
    json(project.run(&["publish", "--allow-removals", "--json"]), 0);
}

#[test]
fn plan_is_refused_for_removals_as_a_publish_is() {
    let project = project("");
    for number in 0..20 {
        page(&project, &format!("page-{number}"), "");
    }
    json(project.run(&["publish", "--json"]), 0);
    for number in 0..20 {
        fs::remove_file(project.dir.join(format!("out/page-{number}.html"))).unwrap();
    }
    for command in ["plan", "publish"] {
        let refused = json(project.run(&[command, "--json"]), 3);
        assert_eq!(refused["error"]["code"], json!("removes-too-much"), "{command}");
    }
    let allowed = json(project.run(&["publish", "--dry-run", "--allow-removals", "--json"]), 0);
    assert_eq!(allowed["removed"], json!(20));
}

#[test]
fn findings_beyond_their_room_are_known_by_their_number() {
    let project = project("");
    let links = |count: u32| -> String {
        let links = (0..count).map(|number| format!("<a href=\"/lost-{number}\">x</a>\n"));
        links.collect()
    };
    page(&project, "index", &links(1500));
    json(project.run(&["publish", "--json"]), 0);
    page(&project, "docs", "changed");
    let again = json(project.run(&["publish", "--json"]), 0);
    assert_eq!(again["swapped"], json!(true));
    let releases = project.dir.join("target/docroot/releases");
    let longest = fs::read_dir(&releases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".findings."))
        .map(|path| fs::read_link(path).unwrap().as_os_str().len())
        .max();
    assert!(longest.is_some_and(|length| length <= 1000), "{longest:?}");
    page(&project, "index", &links(1501));
    json(project.run(&["publish", "--json"]), 3);
    // Prune deletes the findings of a release together with the release.
    page(&project, "index", "");
    json(project.run(&["publish", "--json"]), 0);
    // The release before the live one is kept, with its findings.
    page(&project, "docs", "changed again");
    json(project.run(&["publish", "--json"]), 0);
    let manifest = fs::read_to_string(project.dir.join("site-manifest.toml")).unwrap();
    project.write_manifest(&format!("[publish]\nkeep = 1\nskew = \"0\"\n{manifest}"));
    json(project.run(&["prune", "--json"]), 0);
    let left = fs::read_dir(&releases).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(left.iter().all(|name| !name.contains(".findings.")), "{left:?}");
}

#[test]
fn known_findings_cost_no_round_trip() {
    let round_trips = |body: &str| {
        let project = project("");
        page(&project, "index", body);
        let publish = || {
            let published = json(project.run(&["publish", "--json"]), 0);
            published["round_trips"].as_u64().expect("a number")
        };
        let first = publish();
        page(&project, "docs", "edited");
        let edited = publish();
        (first, edited, publish())
    };
    let with_findings = round_trips(LINKS);
    assert_eq!(with_findings, round_trips(""));
    assert!(with_findings.1 > 0);
}

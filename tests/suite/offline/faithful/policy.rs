//! Pages with a content security policy, read by a browser's parser: nothing but the policy is new, and it allows every
//! script that a browser runs.

use std::fs;

use ring::digest::{SHA256, digest};

use super::dom::{Item, items};
use super::{
    GENERATORS, ORIGIN, Project, expect_none, files_below, finished, fixtures, generator, project, set_export, versions,
};

/// The policy of a page, and the page without it. `None` if the page does not begin its head with one.
fn taken_out(mut page: Vec<Item>) -> Option<(String, Vec<Item>)> {
    let head = page
        .iter()
        .position(|item| matches!(item, Item::Open { name, .. } if name == "head"))?;
    // `<meta charset>`, its end, the policy, its end.
    let added: Vec<Item> = page.drain(head + 1..head + 5).collect();
    let policy = match &added[..] {
        [
            Item::Open { attributes: first, .. },
            _,
            Item::Open { name, attributes },
            _,
        ] if first[..] == [("charset".to_owned(), "utf-8".to_owned())] && name == "meta" => attributes,
        _ => return None,
    };
    let get = |name: &str| {
        policy
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    (get("http-equiv")? == "Content-Security-Policy").then_some((get("content")?, page))
}

/// The texts of the scripts that a browser runs.
fn scripts(page: &[Item]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, item) in page.iter().enumerate() {
        let Item::Open { name, attributes } = item else {
            continue;
        };
        let get = |name: &str| {
            attributes
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let is_data = get("type").is_some_and(|kind| kind.ends_with("json"));
        if name == "script"
            && get("src").is_none()
            && !is_data
            && let Some(Item::Text(text)) = page.get(at + 1)
        {
            found.push(text.clone());
        }
    }
    found
}

/// Compares each page with the same page under a policy.
fn differences(plain: &std::path::Path, with: &std::path::Path) -> Vec<String> {
    let (plain, with) = (files_below(plain), files_below(with));
    let mut found = Vec::new();
    let is_of_site = |path: &str| ![".gz", ".br"].iter().any(|end| path.ends_with(end)) && !path.starts_with(".syntax");
    for (path, bytes) in plain.iter().filter(|(path, _)| is_of_site(path)) {
        let Some(new) = with.get(path) else {
            found.push(format!("{path} is gone"));
            continue;
        };
        if !path.ends_with(".html") {
            if bytes != new {
                found.push(format!("{path} changed"));
            }
            continue;
        }
        let new = items(std::str::from_utf8(new).unwrap());
        match taken_out(new) {
            None => found.push(format!("{path} has no policy")),
            Some((policy, page)) => {
                if page != items(std::str::from_utf8(bytes).unwrap()) {
                    found.push(format!("{path} is another page"));
                }
                let is_blocked = |text: &String| {
                    let hash = data_encoding::BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref());
                    !policy.contains(&format!("'sha256-{hash}'"))
                };
                let blocked = scripts(&page).into_iter().filter(is_blocked);
                found
                    .extend(blocked.map(|text| format!("{path} blocks {}", text.chars().take(60).collect::<String>())));
            }
        }
    }
    found
}

#[test]
fn a_policy_allows_every_script_and_changes_nothing_else() {
    let of_fixtures = ["export", "pages/export", "based/export", "nextra/export"];
    let mut sites: Vec<(String, std::path::PathBuf)> = of_fixtures
        .iter()
        .map(|name| ((*name).to_owned(), fixtures().join(name)))
        .collect();
    let versions: Vec<_> = versions().chain(GENERATORS.map(generator)).collect();
    sites.extend(
        versions
            .iter()
            .map(|version| (version.name.to_owned(), version.build("first"))),
    );
    let mut found = Vec::new();
    for (name, export) in sites {
        let mut made = Vec::new();
        for mode in ["off", "enforce"] {
            let project = Project::new();
            project.write_manifest(&format!(
                "[site]\nurl = \"{ORIGIN}\"\nexport = \"export\"\n[encode]\nbrotli = false\ngzip = false\n\
                 [check]\nallow = [\"**\"]\n[csp]\nmode = \"{mode}\"\n"
            ));
            set_export(&project, &export);
            let to = project.dir.join(mode);
            fs::rename(finished(&project), &to).unwrap();
            made.push((project, to));
        }
        found.push((name, differences(&made[0].1, &made[1].1)));
    }
    expect_none(&found);
}

/// A page with code that a policy blocks.
const PAGE: &str = "<!doctype html><html><head><title>a</title></head><body><p onclick=\"a()\">a</p></body></html>";

#[test]
fn code_that_a_policy_blocks_stops_a_publish_unless_it_only_reports() {
    let set_mode = |project: &Project, mode: &str| {
        let manifest = project.dir.join("site-manifest.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(
            &manifest,
            text + &format!("[csp]\nmode = \"{mode}\"\nreport-uri = \"/reports\"\n"),
        )
        .unwrap();
    };
    let project = || {
        let project = project("");
        for file in ["index.html", "404.html"] {
            crate::support::command::write(&project.dir.join("export").join(file), PAGE);
        }
        project.run(&["publish"]).expect_code(0);
        project
    };
    // A finding of a policy that only reports is not known when it is enforced.
    let enforced = project();
    set_mode(&enforced, "report-only");
    enforced.run(&["publish", "--force"]).expect_code(0);
    let manifest = enforced.dir.join("site-manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("report-only", "enforce")).unwrap();
    let refused = enforced.run(&["publish", "--json"]).expect_code(3).json();
    let problems = refused["error"]["problems"].as_array().unwrap();
    let problem = problems.iter().find(|problem| problem["check"] == "csp").unwrap();
    assert!(problem["message"].as_str().unwrap().contains("`onclick`"), "{problem}");
    let reported = project();
    set_mode(&reported, "report-only");
    let ran = reported.run(&["check"]).expect_code(0);
    assert!(ran.stdout.contains("[csp] blocks the code in `onclick`"), "{ran}");
    reported.run(&["publish"]).expect_code(0);
    let live = fs::read_to_string(reported.dir.join("docroot/current/index.html")).unwrap();
    assert_eq!(live, PAGE, "a policy that only reports is a header");
    let vhost = reported.run(&["nginx"]).expect_code(0).stdout;
    assert!(vhost.contains("Content-Security-Policy-Report-Only"), "{vhost}");
    assert!(
        vhost.contains("'unsafe-inline'; style-src") && vhost.contains("report-uri /reports"),
        "{vhost}"
    );
}

//! Live probes of the origin: what is correct, what was wrong before, and what leads to a rollback.

use std::fs;

use super::{Site, codes, seen};
use crate::support::command::{Project, small_export};
use crate::support::export::copy;
use crate::support::http::Request;
use crate::support::nginx::Nginx;
use crate::support::server::{Reply, Server};
use crate::support::sshd::{Jail, Sshd};

#[test]
fn good_release_is_checked_and_status_shows_it() {
    let site = Site::new();
    let first = site.run(&["publish"]).expect_code(0).json();
    assert_eq!(first["delivery"]["ok"], true, "{first}");
    assert!(
        first["delivery"]["origin"]["answered"].as_u64().unwrap() > 10,
        "{first}"
    );
    assert_eq!(
        first["delivery"]["public"]["ok"],
        serde_json::Value::Null,
        "a local target asks nobody else"
    );
    site.edit("Edited.");
    let second = site.run(&["publish"]).expect_code(0).json();
    assert_eq!(second["delivery"]["problems"], serde_json::json!([]), "{second}");
    let status = site.run(&["status"]).expect_code(0).json();
    assert_eq!(status["delivery"]["origin"], true, "{status}");
    assert_eq!(status["delivery"]["release"], second["release"]);
    let told = site.project.run(&["status"]).expect_code(0).stdout;
    assert!(told.contains("verified by the origin ("), "{told}");
}

#[test]
fn vhost_of_another_folder_leads_to_a_rollback_by_itself() {
    let site = Site::new();
    let first = site.run(&["publish"]).expect_code(0).json();
    let release = first["release"].as_str().unwrap();
    // The vhost is pinned to the release that was live at that time.
    let nailed = super::vhost(&site.project).replace("/current;", &format!("/releases/{release};"));
    let site = Site {
        origin: Nginx::start(&nailed),
        ..site
    };
    site.write();
    site.edit("Nobody ever sees this.");
    let ran = site.run(&["publish"]).expect_code(6);
    let error = &ran.json()["error"];
    assert_eq!(
        (&error["code"], &error["live"]),
        (&"taken-back".into(), &first["release"]),
        "{ran}"
    );
    assert!(codes(&ran).contains(&"former-bytes".to_owned()), "{ran}");
    assert!(ran.stderr.contains("repeat: curl -sS"), "{ran}");
    let status = site.run(&["status"]).expect_code(0).json();
    assert_eq!(status["release"], first["release"]);
    let page = fs::read_to_string(site.project.dir.join("target/docroot/current/docs/a.html")).unwrap();
    assert!(page.contains("A page about a."), "the live page is the one before");
}

#[test]
fn site_behind_a_password_is_not_asked_for_what_it_hides() {
    let password = "auth_basic staging;\nauth_basic_user_file /etc/nginx/staging.htpasswd;";
    let mut site = Site::changed(|vhost| vhost.replace("autoindex off;", &format!("autoindex off;\n{password}")));
    let target = "[targets.local]\nkind = \"local\"\ndocroot = \"target/docroot\"\n";
    target.clone_into(&mut site.tables);
    site.write();
    // The first release may be one that nothing serves yet.
    let first = site.run(&["publish"]).expect_code(0).json();
    assert_ne!(
        first["delivery"]["problems"],
        serde_json::json!([]),
        "every answer is a 401"
    );
    site.tables = format!("{target}basic-auth = \"/etc/nginx/staging.htpasswd\"\n");
    site.write();
    site.edit("Behind a password.");
    let ran = site.run(&["publish"]).expect_code(0).json();
    assert_eq!(ran["delivery"], serde_json::Value::Null, "{ran}");
}

#[test]
fn new_page_that_the_server_fails_on_leads_to_a_rollback() {
    let site = Site::changed(|vhost| {
        vhost.replace(
            "autoindex off;",
            "autoindex off;\nlocation = /broken { if (-f $document_root/broken.html) { return 500; } return 404; }",
        )
    });
    let first = site.run(&["publish"]).expect_code(0).json();
    for end in ["html", "txt"] {
        let bytes = fs::read(site.project.dir.join(format!("out/docs/a.{end}"))).unwrap();
        site.project.write(format!("out/broken.{end}"), bytes);
    }
    let ran = site.run(&["publish"]).expect_code(6);
    assert_eq!(ran.json()["error"]["live"], first["release"], "{ran}");
    assert_eq!(codes(&ran), ["status"]);
}

#[test]
fn fault_that_was_there_before_is_reported_and_the_release_stays() {
    let site = Site::changed(|vhost| {
        let kept = vhost.lines().filter(|line| !line.contains("add_header Cache-Control"));
        kept.collect::<Vec<_>>().join("\n")
    });
    // There is no baseline yet.
    let first = site.run(&["publish"]).expect_code(7);
    assert_eq!(codes(&first), ["cache"], "{first}");
    site.edit("Edited.");
    let second = site.run(&["publish"]).expect_code(7);
    let hints: Vec<&str> = second
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("hint: "))
        .collect();
    let (last, others) = hints.split_last().expect("hints");
    assert!(last.starts_with("then check again with `"), "{second}");
    assert!(
        !others.is_empty() && !others.iter().any(|hint| last.contains(hint)),
        "{second}"
    );
    let value = second.json();
    assert_eq!(
        (&value["swapped"], &value["error"]["code"]),
        (&true.into(), &"not-delivered".into()),
        "{second}"
    );
    assert!(seen(site.origin.address()).contains("Edited."));
    // Unchanged files are requested too.
    site.run(&["publish"]).expect_code(7);
    let status = site.run(&["status"]).expect_code(0).json();
    assert_eq!(status["delivery"]["origin"], false, "{status}");
    let looked = site.run(&["verify", "--live"]).expect_code(1).json();
    assert_eq!(looked["ok"], false);
}

#[test]
fn first_release_that_nothing_serves_yet_is_no_failure_and_says_what_is_next() {
    let mut site = Site::new();
    // A port that nothing listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    site.asked_at = Some(free);
    site.write();
    let ran = site.project.run(&["publish"]).expect_code(0);
    assert!(ran.stdout.contains("\nnothing serves this site yet: origin: "), "{ran}");
    assert!(
        ran.stdout
            .ends_with("\nnext: `syntax-publish nginx` prints the vhost that serves it\n"),
        "{ran}"
    );
    assert!(!ran.stderr.contains("error"), "{ran}");
    // From now on, a server that does not answer is a fault.
    site.edit("Edited.");
    let ran = site.project.run(&["publish"]).expect_code(7);
    assert!(
        ran.stderr
            .contains("it stays live and was not rolled back: the cause is not in the release"),
        "{ran}"
    );

    let other = Site::new();
    let ran = other.run(&["publish"]).expect_code(0);
    assert_eq!(ran.json().get("next"), None, "it is served: {ran}");
}

#[test]
fn another_site_of_the_host_that_answers_with_the_same_files_does_not_serve_a_first_release() {
    let other = Site::of(
        &|export| {
            small_export(export);
            for page in ["index", "404", "docs/a"] {
                let page = export.join(format!("{page}.html"));
                let text = fs::read_to_string(&page).unwrap();
                fs::write(page, text.replace("<main>", "<main>The other site.")).unwrap();
            }
        },
        |vhost| vhost,
    );
    other.run(&["publish"]).expect_code(0);
    let mut site = Site::new();
    site.asked_at = Some(other.origin.address());
    site.write();
    let ran = site.project.run(&["publish"]).expect_code(0);
    assert!(ran.stdout.contains("\nnothing serves this site yet: "), "{ran}");
}

#[test]
fn what_failed_is_counted_by_request_and_named_by_page() {
    let site = Site::changed(|vhost| {
        vhost.replace(
            "autoindex off;",
            "autoindex off;\nlocation = /broken { if (-f $document_root/broken.html) { return 500; } return 404; }",
        )
    });
    site.run(&["publish"]).expect_code(0);
    for end in ["html", "txt"] {
        let bytes = fs::read(site.project.dir.join(format!("out/docs/a.{end}"))).unwrap();
        site.project.write(format!("out/broken.{end}"), bytes);
    }
    let ran = site.project.run(&["publish"]).expect_code(6);
    let said = "failed at the origin and was rolled back, so ";
    assert!(
        ran.stderr.contains(said) && ran.stderr.contains(" requests failed, all for /broken\n"),
        "{ran}"
    );
    // The failed requests are counted for a release that stays live, too.
    let site =
        Site::changed(|vhost| vhost.replace("autoindex off;", "autoindex off;\nlocation = /docs/a { return 500; }"));
    let ran = site.project.run(&["publish"]).expect_code(7);
    assert!(ran.stdout.contains("not verified: "), "{ran}");
    assert!(
        ran.stdout.contains(" requests failed, all for /docs/a (new page)\n"),
        "{ran}"
    );
    assert!(
        ran.stderr
            .contains("it stays live and was not rolled back: it is the first release"),
        "{ran}"
    );
}

#[test]
fn release_that_visitors_dont_get_is_marked_in_its_job() {
    let site = Site::changed(|vhost| {
        let kept = vhost.lines().filter(|line| !line.contains("add_header Cache-Control"));
        kept.collect::<Vec<_>>().join("\n")
    });
    let summary = site.project.dir.join("summary");
    let env = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
    ];
    let ran = site.project.run_env(&["publish", "--json"], &env).expect_code(7);
    assert!(ran.stderr.contains("::error title=syntax-publish::"), "{ran}");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("Published to"), "{summary}");
    assert!(summary.contains("#### Not verified"), "{summary}");
}

#[test]
fn each_fault_of_a_vhost_is_named() {
    type Change = fn(String) -> String;
    let faults: [(&str, i32, Change); 5] = [
        ("encoding", 0, |vhost| vhost.replace("brotli_static on;", "")),
        ("type", 7, |vhost| vhost.replace("text/plain ", "application/x-other ")),
        ("page-for-missing", 7, |vhost| {
            vhost
                .replace(
                    "try_files /current$uri /immutable$uri =404",
                    "try_files /current$uri /current/index.html",
                )
                .replace("error_page 404 /404.html;", "error_page 404 =200 /404.html;")
        }),
        ("status", 7, |vhost| vhost.replace("$uri.html", "$uri.htm")),
        ("etag", 0, |vhost| vhost.replace("etag on;", "etag off;")),
    ];
    for (code, exit, change) in faults {
        let site = Site::changed(change);
        let ran = site.run(&["publish"]).expect_code(exit);
        assert!(codes(&ran).contains(&code.to_owned()), "{code}: {ran}");
        assert!(ran.stderr.contains("\nhint: "), "{code}: {ran}");
    }
}

#[test]
fn deployment_that_the_server_does_not_name_is_reported_and_the_release_stays() {
    let version = crate::offline::faithful::version("16.4-deployment");
    let site = |build: &str, change: fn(String) -> String| {
        let build = version.build(build);
        Site::of(&|out| copy(&build, out), change)
    };
    let right = site("first", |vhost| vhost);
    assert_eq!(codes(&right.run(&["publish"]).expect_code(0)), [""; 0]);
    let out = right.project.dir.join("out");
    fs::remove_dir_all(&out).unwrap();
    copy(&version.build("edited"), &out);
    assert_eq!(codes(&right.run(&["publish"]).expect_code(0)), [""; 0]);
    assert_eq!(codes(&right.run(&["rollback"]).expect_code(0)), [""; 0]);

    let wrong = site("first", |vhost| {
        vhost.replace("add_header x-nextjs-deployment-id", "add_header x-other")
    });
    let ran = wrong.run(&["publish"]).expect_code(7);
    assert_eq!(codes(&ran), ["deployment"], "{ran}");
    assert!(ran.stderr.contains("each click loads the whole page"), "{ran}");
    let problem = &ran.json()["delivery"]["problems"][0];
    assert!(
        problem["repeat"].as_str().unwrap().contains("-H 'x-deployment-id: "),
        "{ran}"
    );
    let ran = wrong.run(&["verify", "--live"]).expect_code(1);
    assert_eq!(codes(&ran), ["deployment"], "{ran}");
}

#[test]
fn live_release_can_be_verified_at_any_time() {
    let site = Site::new();
    site.run(&["verify", "--live"]).expect_code(1);
    let first = site.run(&["publish"]).expect_code(0).json();
    site.edit("Edited.");
    site.run(&["publish"]).expect_code(0);
    let looked = site.run(&["verify", "--live"]).expect_code(0).json();
    assert_eq!(
        (&looked["ok"], &looked["problems"]),
        (&true.into(), &serde_json::json!([]))
    );
    // Another release is not what visitors get.
    let former = first["release"].as_str().unwrap();
    let looked = site.run(&["verify", former, "--live"]).expect_code(1);
    assert!(codes(&looked).contains(&"bytes".to_owned()), "{looked}");
}

#[test]
fn site_without_a_url_has_nothing_to_check() {
    let project = Project::new();
    project.write_manifest("");
    let ran = project.run(&["verify", "--live"]).expect_code(2);
    assert!(ran.stderr.contains("add `url` to [site]"), "{ran}");
}

#[test]
fn sftp_target_is_asked_by_default_and_a_silent_origin_is_said_once() {
    let sshd = Sshd::start(Jail::Plain);
    let project = Project::new();
    small_export(&project.dir.join("out"));
    let manifest = |url: &str, verify: &str| {
        project.write_manifest(&format!(
            "[site]\nname = \"docs\"\nurl = \"{url}\"\n[publish]\ntarget = \"web\"\n[verify]\n{verify}\n\
             [targets.web]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nuser = \"{}\"\nport = {}\nidentity = \"{}\"\n\
             host-key = \"{}\"\ndocroot = \"{}\"\n",
            sshd.user,
            sshd.port,
            sshd.identity.display(),
            sshd.host_key,
            sshd.remote_docroot,
        ));
    };
    manifest("http://localhost", "");
    let docroot = sshd.docroot.display().to_string();
    let nginx = Nginx::of(&project, &["--docroot", &docroot]);
    let url = format!("http://localhost:{}", nginx.address().port());
    manifest(&url, "");
    let first = project.run(&["--json"]).expect_code(0).json();
    assert_eq!(first["delivery"]["origin"]["ok"], true, "{first}");
    assert_eq!(first["delivery"]["public"]["ok"], true, "{first}");
    assert_eq!(
        first["delivery"]["origin"]["address"],
        format!("127.0.0.1:{}", nginx.address().port())
    );
    drop(nginx);
    manifest(&url, "public = false");
    let ran = project.run(&["--force", "--json"]).expect_code(0);
    assert_eq!(ran.stderr.matches("the origin is not checked").count(), 1, "{ran}");
    // If the configuration names an origin, no answer is a fault, but not one of the release.
    manifest(&url, &format!("public = false\norigin = \"{url}\""));
    let ran = project.run(&["--force", "--json"]).expect_code(7);
    assert_eq!(codes(&ran), ["no-answer"], "{ran}");
}

#[test]
fn fault_that_is_seen_once_only_is_no_fault() {
    let mut site = Site::new();
    let behind = site.origin.address();
    let hiccups = std::sync::atomic::AtomicU32::new(1);
    let origin = Server::start(move |received| {
        let host = received.header("host").unwrap().to_owned();
        let accept = received.header("accept-encoding").unwrap().to_owned();
        let request = Request::get(&received.target).header("Host", &host);
        let answer = request.header("Accept-Encoding", &accept).send(behind);
        let is_edited = accept == "identity" && String::from_utf8_lossy(&answer.body).contains("Edited.");
        let mut reply = Reply::new(answer.status, answer.body);
        let own = ["connection", "content-length", "transfer-encoding"];
        reply.headers = answer.headers;
        reply
            .headers
            .retain(|(name, _)| !own.contains(&name.to_lowercase().as_str()));
        if is_edited && hiccups.swap(0, std::sync::atomic::Ordering::SeqCst) > 0 {
            return Reply::new(502, "busy");
        }
        reply
    });
    site.asked_at = Some(origin.address);
    site.write();
    site.run(&["publish"]).expect_code(0);
    site.edit("Edited.");
    let ran = site.run(&["publish"]).expect_code(0);
    assert_eq!(ran.json()["swapped"], true, "{ran}");
    assert!(seen(site.origin.address()).contains("Edited."));
}

#[test]
fn changed_form_of_the_pages_is_served_by_the_vhost_of_before() {
    let site = Site::new();
    site.run(&["publish"]).expect_code(0);
    // The export is built with `trailingSlash` now, and the vhost was not printed again.
    for (from, to) in [("docs/a.html", "docs/a/index.html"), ("docs/a.txt", "docs/a/index.txt")] {
        let out = site.project.dir.join("out");
        fs::create_dir_all(out.join("docs/a")).unwrap();
        fs::rename(out.join(from), out.join(to)).unwrap();
    }
    site.run(&["publish", "--allow-removals"]).expect_code(0);
}

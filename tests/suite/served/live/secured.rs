//! TLS with the test's own certificates, and HTTP/2.

use std::net::{Ipv4Addr, TcpListener};

use super::{Site, codes};
use crate::support::nginx::{LISTEN, Nginx};
use crate::support::report::say;
use crate::support::tls::Authority;

const PAST: &str = "20200101000000Z";
const FUTURE: &str = "20490101000000Z";

/// A site over TLS with a certificate for this name, valid until this day.
fn site(authority: &Authority, name: &str, until: &str, change: impl Fn(String) -> String) -> Site {
    let site = Site::new();
    site.project
        .write_manifest("[site]\nname = \"docs\"\nurl = \"https://localhost\"\n");
    let args = ["nginx", "--listen", LISTEN, "--nginx-version", "1.22"];
    let vhost = site.project.run(&args).expect_code(0).stdout;
    let signed = authority.signs(name, PAST, until);
    let origin = Nginx::start(&change(signed.put_into(&vhost, "localhost")));
    let address = origin.address();
    site.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"https://localhost:{}\"\n[verify]\norigin = \"https://{address}\"\npublic = true\ntimeout = \"2m\"\n",
        address.port(),
    ));
    Site { origin, ..site }
}

fn run(site: &Site, authority: &Authority, args: &[&str]) -> crate::support::command::Ran {
    let args = [args, &["--json"]].concat();
    site.project.run_env(&args, &[("SSL_CERT_FILE", &authority.file())])
}

#[test]
fn site_over_tls_and_http2_is_fine() {
    let authority = Authority::new();
    let site = site(&authority, "localhost", FUTURE, |vhost| vhost);
    let ran = run(&site, &authority, &["publish"]).expect_code(0);
    let delivery = &ran.json()["delivery"];
    assert_eq!(delivery["problems"], serde_json::json!([]), "{ran}");
    for side in ["origin", "public"] {
        assert_eq!(delivery[side]["ok"], true, "{ran}");
        assert!(delivery[side]["certificate_days"].as_i64().unwrap() > 1000, "{ran}");
    }
}

#[test]
fn certificate_that_browsers_refuse_is_named_and_the_site_is_asked_all_the_same() {
    let authority = Authority::new();
    for (name, until, said) in [
        ("localhost", "20200201000000Z", "the certificate has expired"),
        ("example.com", FUTURE, "the certificate is for another name"),
    ] {
        let site = site(&authority, name, until, |vhost| vhost);
        let ran = run(&site, &authority, &["publish"]).expect_code(7);
        assert_eq!(codes(&ran), ["certificate"], "{ran}");
        assert!(ran.stderr.contains(said), "{ran}");
        assert!(
            ran.json()["delivery"]["origin"]["answered"].as_u64().unwrap() > 10,
            "{ran}"
        );
    }
    // A certificate that was signed by an unknown CA.
    let site = site(&authority, "localhost", FUTURE, |vhost| vhost);
    let other = Authority::named("Another Authority");
    let ran = run(&site, &other, &["publish"]).expect_code(7);
    assert!(ran.stderr.contains("not signed by a CA that browsers trust"), "{ran}");
}

#[test]
fn server_without_http2_is_a_warning() {
    let authority = Authority::new();
    let site = site(&authority, "localhost", FUTURE, |vhost| {
        vhost.replace(" ssl http2;", " ssl;")
    });
    let ran = run(&site, &authority, &["publish"]).expect_code(0);
    assert_eq!(codes(&ran), ["http2"], "{ran}");
}

#[test]
fn certificate_without_another_name_of_the_site_is_a_warning() {
    let authority = Authority::new();
    for (name, code, exit) in [("localhost", "alias", 0), ("example.com", "certificate", 7)] {
        let site = Site::new();
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        site.project.write_manifest(&format!(
            "[site]\nname = \"docs\"\nurl = \"https://localhost:{}\"\naliases = [\"127.0.0.1\"]\n[verify]\n\
             origin = \"https://{address}\"\npublic = true\n",
            address.port(),
        ));
        let listen = address.to_string();
        let args = ["nginx", "--listen", &listen, "--nginx-version", "1.22"];
        let vhost = site.project.run(&args).expect_code(0).stdout;
        let signed = authority.signs(name, PAST, FUTURE);
        let _origin = Nginx::at(address, &signed.put_into(&vhost, "localhost"));
        let ran = run(&site, &authority, &["publish"]).expect_code(exit);
        // A certificate that is bad for the site itself is one alarm.
        assert_eq!(codes(&ran), [code], "{ran}");
        assert!(ran.stderr.contains("the certificate is for another name"), "{ran}");
    }
}

#[test]
fn certificate_that_only_claims_to_be_the_cdns_is_not_trusted() {
    let authority = Authority::named("CloudFlare Origin SSL Certificate Authority");
    let site = site(&authority, "localhost", FUTURE, |vhost| vhost);
    // Browsers trust other CAs.
    let ran = run(&site, &Authority::new(), &["publish"]).expect_code(7);
    let value = ran.json();
    let problems = value["delivery"]["problems"].as_array().unwrap();
    let sides: Vec<&str> = problems
        .iter()
        .map(|problem| problem["side"].as_str().unwrap())
        .collect();
    assert_eq!(sides, ["origin", "public"], "{ran}");
}

#[test]
fn an_intercepted_connection_causes_no_rollback() {
    let authority = Authority::new();
    let site = site(&authority, "localhost", FUTURE, |vhost| vhost);
    let first = run(&site, &authority, &["publish"]).expect_code(0).json();
    // This server always serves the release that was live before.
    let (docroot, stale) = (
        site.project.dir.join("target/docroot"),
        site.project.dir.join("target/stale"),
    );
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&docroot, &stale])
        .status();
    assert!(copied.unwrap().success());
    let args = ["nginx", "--listen", LISTEN, "--nginx-version", "1.22"];
    let vhost = site.project.run(&args).expect_code(0).stdout;
    let vhost = vhost.replace(docroot.to_str().unwrap(), stale.to_str().unwrap());
    let signed = authority.signs("localhost", PAST, FUTURE);
    let between = Nginx::start(&signed.put_into(&vhost, "localhost"));
    site.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"https://localhost:{}\"\n[verify]\norigin = \"https://{}\"\npublic = false\n",
        site.origin.address().port(),
        between.address(),
    ));
    // Its certificate is valid, so its answers count.
    site.edit("Edited.");
    run(&site, &authority, &["publish"]).expect_code(6);
    let status = run(&site, &authority, &["status"]).expect_code(0).json();
    assert_eq!(status["release"], first["release"]);
    // A client that trusts another CA considers the certificate invalid.
    let ran = run(&site, &Authority::named("Another"), &["publish"]).expect_code(7);
    assert_eq!(codes(&ran), ["certificate", "former-bytes"], "{ran}");
    let status = run(&site, &authority, &["status"]).expect_code(0).json();
    assert_eq!(status["release"], ran.json()["release"]);
    assert_ne!(status["release"], first["release"]);
}

#[test]
fn more_answers_than_a_connection_carries_come_over_the_next() {
    let authority = Authority::new();
    let site = site(&authority, "localhost", FUTURE, |vhost| {
        vhost.replace("autoindex off;", "autoindex off;\nkeepalive_requests 20;")
    });
    let page = std::fs::read_to_string(site.project.dir.join("out/docs/a.html")).unwrap();
    let payload = std::fs::read(site.project.dir.join("out/docs/a.txt")).unwrap();
    for number in 0..120 {
        site.project.write(format!("out/many/{number}.html"), &page);
        site.project.write(format!("out/many/{number}.txt"), &payload);
    }
    let ran = run(&site, &authority, &["publish"]).expect_code(0);
    let origin = &ran.json()["delivery"]["origin"];
    assert!(origin["answered"].as_u64().unwrap() > 240, "{ran}");
    assert_eq!(origin["unanswered"], 0, "{ran}");
}

/// A loopback address on which a site can use the usual ports. The test is skipped if it may not listen on them.
const USUAL: Ipv4Addr = Ipv4Addr::new(127, 80, 44, 3);

#[test]
fn plain_http_that_does_not_lead_to_https_is_a_finding() {
    if TcpListener::bind((USUAL, 443)).is_err() {
        say("ports 80 and 443 may not be listened at here: whether plain HTTP leads to HTTPS was not asked");
        return;
    }
    let authority = Authority::new();
    let site = Site::new();
    let args = ["nginx", "--listen", LISTEN, "--nginx-version", "1.22"];
    site.project
        .write_manifest("[site]\nname = \"docs\"\nurl = \"https://localhost\"\n");
    let vhost = site.project.run(&args).expect_code(0).stdout;
    let signed = authority.signs("localhost", PAST, FUTURE);
    let vhost = signed
        .put_into(&vhost, "localhost")
        .replace(LISTEN, &format!("{USUAL}:443"));
    site.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"https://localhost\"\n[verify]\norigin = \"https://{USUAL}\"\n"
    ));
    run(&site, &authority, &["publish", "--quiet"]);
    for (answer, found) in [
        ("return 301 https://$host$request_uri;", &[] as &[&str]),
        ("return 200 welcome;", &["redirect"]),
        ("return 301 http://$host/elsewhere;", &["redirect"]),
    ] {
        let plain = format!("server {{ listen {USUAL}:80; {answer} }}\n");
        let nginx = Nginx::at((USUAL, 443).into(), &(plain + &vhost));
        let ran = run(&site, &authority, &["verify", "--live"]).expect_code(0);
        assert_eq!(codes(&ran), found, "{ran}");
        drop(nginx);
    }
}

/// The peak memory of a process in MiB, sampled until it ends.
fn most_memory(mut running: crate::support::command::Running) -> (u64, crate::support::command::Ran) {
    let mut most = 0;
    while running.is_running() {
        most = most.max(running.peak_memory());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    (most, running.wait())
}

#[test]
fn server_that_answers_everything_at_length_takes_little_memory() {
    let authority = Authority::new();
    let plain = site(&authority, "localhost", FUTURE, |vhost| vhost);
    for number in 0..100 {
        let page = std::fs::read_to_string(plain.project.dir.join("out/docs/a.html")).unwrap();
        plain.project.write(format!("out/more/{number}.html"), page);
    }
    plain.project.write("long/long.html", "x".repeat(12 << 20));
    let signed = authority.signs("localhost", PAST, FUTURE);
    let vhost = format!(
        "server {{\n listen {LISTEN} ssl http2;\n server_name localhost;\n gzip off;\n ssl_certificate {};\n \
         ssl_certificate_key {};\n location / {{ root {}; try_files /long.html =404; }}\n}}\n",
        signed.chain.display(),
        signed.key.display(),
        plain.project.dir.join("long").display()
    );
    let origin = Nginx::start(&vhost);
    plain.project.write_manifest(&format!(
        "[site]\nname = \"docs\"\nurl = \"https://localhost:{0}\"\n[verify]\norigin = \"https://{1}\"\npublic = true\n",
        origin.address().port(),
        origin.address(),
    ));
    let mut command = plain.project.command();
    command
        .args(["publish", "--json"])
        .env("SSL_CERT_FILE", authority.file());
    let (most, ran) = most_memory(crate::support::command::Running::start(command));
    // A first release that is not served yet is not a failure.
    let ran = ran.expect_code(0);
    assert!(codes(&ran).contains(&"bytes".to_owned()), "{ran}");
    assert!(
        ran.json()["delivery"]["public"]["answered"].as_u64().unwrap() > 100,
        "{ran}"
    );
    say(&format!(
        "asking a server that answers at length took {most} MiB at most"
    ));
    assert!(most < 150, "{most} MiB");
}

//! The doctor, on its own host with one fault at a time: it must name that fault, with a fix, and no other.

mod dns;
mod world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};

use syntax_publish::rules::marker::RULES;

use crate::support::nginx::Nginx;
use crate::support::sshd::{OTHER_USER, Offer, Sftp, give_to, root_for};
use world::{NAME, VhostFault, World, free_address, without_block};

/// Whether this machine can act as a complete host: the usual ports and a chroot need root.
fn can_host() -> bool {
    root_for("a host with the usual ports")
}

#[test]
fn nothing_is_wrong_with_a_host_that_is_as_it_should_be() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    world.has_alias();
    world.serve(|vhost| vhost);
    world.dns.alias(NAME, "box.test");
    world.dns.set("box.test", &[&world.address.to_string()]);
    let found = world.examine();
    assert_eq!(found.wrong(), BTreeSet::new(), "{found}");
    assert_eq!(found.not_asked(), BTreeSet::new(), "{found}");
    assert_eq!(found.checks.len(), 35, "{found}");
    let name = found.line("name")["detail"].as_str().unwrap();
    assert_eq!(name, format!("{NAME}, an alias of box.test: {}", world.address));
    // The doctor leaves nothing behind.
    for folder in ["work", "lock"] {
        assert_eq!(
            fs::read_dir(world.sshd.docroot.join(folder)).unwrap().count(),
            0,
            "{folder}"
        );
    }
    let text = world
        .project
        .run(&["doctor", "--resolver", &world.dns.address.to_string()]);
    assert!(text.stdout.starts_with("visitors\n  ok     name"), "{text}");
}

#[test]
fn faults_of_the_name_are_found() {
    if !can_host() {
        return;
    }
    let world = World::healthy();
    let (own, other) = (world.address.to_string(), free_address().to_string());
    let is_not = format!("{other} is not {own}");
    // What the DNS answers, the check that finds it, and words of what that check says.
    let faults: [(&str, Option<&[&str]>, &str, &str); 4] = [
        ("no name", None, "name", "there is no such name"),
        ("no address", Some(&[]), "name", "it has no address"),
        ("another machine", Some(&[&other]), "address", &is_not),
        (
            "a stale AAAA",
            Some(&[&own, "fd00::7"]),
            "address",
            "some visitors reach another machine",
        ),
    ];
    for (what, addresses, check, words) in faults {
        match addresses {
            Some(addresses) => world.dns.set(NAME, addresses),
            None => world.dns.forget(NAME),
        }
        let found = world.examine();
        found.assert(what, &[check], words);
        if what == "another machine" {
            found.is_fixed_by("address", &own);
        }
    }
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let found = world.examine_as(
        &world.certificates.path().join("ca.pem"),
        &silent.local_addr().unwrap().to_string(),
    );
    found.assert("a resolver that says nothing", &["name"], "does not resolve");
    assert_eq!(
        found.line("vhost")["ok"],
        true,
        "the rest is asked all the same\n{found}"
    );
}

#[test]
fn errors_of_the_edge_are_named_with_their_cause() {
    if !can_host() {
        return;
    }
    let world = World::healthy();
    // nginx plays the answers of Cloudflare's edge, which is not available to a test.
    let statuses = [520, 521, 522, 523, 524, 525, 526, 530];
    let mut servers = String::new();
    let good = world.certificates.path().join("good");
    let edges: Vec<_> = statuses.iter().map(|_| free_address()).collect();
    let circle = free_address();
    let mut server = |address, answer: &str| {
        let _ = write!(
            servers,
            "server {{ listen {address}:443 ssl; ssl_certificate {0}/fullchain.pem; ssl_certificate_key {0}/privkey.pem;\n\
             add_header CF-RAY 1-FRA always; {answer} }}\n",
            good.display(),
        );
    };
    for (status, edge) in statuses.iter().zip(&edges) {
        server(*edge, &format!("return {status} down;"));
    }
    server(circle, &format!("return 308 https://{NAME}/;"));
    let _nginx = Nginx::at(SocketAddr::from((circle, 443)), &servers);
    for (status, edge) in statuses.iter().zip(&edges) {
        world.dns.set(NAME, &[&edge.to_string()]);
        world.examine().assert(
            "an error of the edge",
            &["cdn"],
            &format!("Cloudflare answers {status}: "),
        );
    }
    world.dns.set(NAME, &[&circle.to_string()]);
    let found = world.examine();
    found.assert("SSL mode Flexible", &["cdn"], "Flexible");
    assert!(found.line("cdn")["fix"].as_str().unwrap().contains("Full (strict)"));
}

#[test]
fn faults_of_ports_and_certificates_are_found() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    world.nginx = None;
    let found = world.examine();
    found.assert(
        "nginx is down",
        &["https-port", "http-port"],
        "does not accept on port 443",
    );

    let vhost = world.vhost(&[]);
    let first = vhost.find("\nserver {").unwrap();
    let second = first + 1 + vhost[first + 1..].find("\nserver {").unwrap();
    world.serve_this(&format!("{}{}", &vhost[..first], &vhost[second..]));
    world
        .examine()
        .assert("port 80 is closed", &["http-port"], "does not accept on port 80");

    for (which, check, words) in [
        ("other", "certificate", "for another name"),
        ("late", "expiry", "expires in 4 days"),
    ] {
        let vhost = world.certificate(&vhost, which);
        world.serve_this(&vhost);
        world.examine().assert(which, &[check], words);
    }
    world.serve_this(&vhost);
    let stranger = world.certificates.path().join("stranger.pem");
    let found = world.examine_as(&stranger, &world.dns.address.to_string());
    found.assert(
        "an authority that nobody trusts",
        &["certificate"],
        "not signed by a CA that browsers trust",
    );

    world.serve(|vhost| vhost.replace("ssl http2", "ssl"));
    world.examine().assert("no HTTP/2", &["http2"], "HTTP/1.1 only");
}

#[test]
fn other_names_that_do_not_lead_to_the_site_are_found() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    assert!(world.examine().not_asked().contains("aliases"));
    let own = world.address.to_string();
    world.has_alias();
    // The vhost was printed before there was another name.
    let vhost = world.vhost(&[]);
    let begin = vhost.find("# Other names of the site.").unwrap();
    let end = begin + vhost[begin..].find("\n}\n").unwrap() + 3;
    world.serve_this(&format!("{}{}", &vhost[..begin], &vhost[end..]));
    world.examine().assert(
        "no server for it",
        &["aliases"],
        "www.docs.test: answers 200 with its own copy instead of leading to the site",
    );
    world.serve_this(&vhost);
    assert_eq!(world.examine().detail("aliases"), "to the site: www.docs.test");
    world.dns.forget("www.docs.test");
    let found = world.examine();
    found.assert(
        "no name",
        &["aliases"],
        "www.docs.test: can't be reached: there is no such name",
    );
    found.is_fixed_by("aliases", "DNS record");
    world.dns.set("www.docs.test", &[&own]);
    // One fault is one alarm.
    world.serve_this(&world.certificate(&vhost, "other"));
    world
        .examine()
        .assert("a certificate for another name", &["certificate"], "for another name");
    world.nginx = None;
    let found = world.examine();
    found.assert(
        "nginx is down",
        &["https-port", "http-port"],
        "does not accept on port 443",
    );
}

#[test]
fn a_site_that_leaves_its_addresses_open_gets_advice_and_no_fault() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    let advice = "`one-address = true` in [nginx]";
    let found = world.examine();
    assert_eq!(found.wrong(), BTreeSet::new(), "{found}");
    assert!(found.detail("rules").contains(advice), "{found}");
    for says in ["false", "true"] {
        world.manifest(|text| text + &format!("[nginx]\none-address = {says}\n"));
        world.serve(|vhost| vhost);
        let found = world.examine();
        assert_eq!(found.wrong(), BTreeSet::new(), "{found}");
        assert!(!found.detail("rules").contains(advice), "{found}");
    }
}

#[test]
fn faults_of_the_vhost_are_found() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    let docroot = world.sshd.docroot.clone();
    // A store of another site, and a store of the same site.
    let other = world.sshd.root.join("other");
    let manifest = |docroot: &std::path::Path, more: &str| {
        format!(
            "[encode]\nbrotli = 5\n[targets.local]\nkind = \"local\"\ndocroot = \"{}\"\n{more}",
            docroot.display()
        )
    };
    let same = world.sshd.root.join("same");
    world.project.write("same.toml", manifest(&same, ""));
    world.project.run(&["--site", "same.toml"]).expect_code(0);
    world.project.write(
        "other.toml",
        manifest(&other, "[publish]\nexclude = [\"robots.txt\"]\n"),
    );
    world.project.run(&["--site", "other.toml"]).expect_code(0);
    // Makes the store look as if it had been published earlier: the files of a store record the time, in seconds.
    let page = fs::File::options()
        .write(true)
        .open(same.join("current/index.html"))
        .unwrap();
    page.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000))
        .unwrap();
    let root = docroot.to_str().unwrap().to_owned();
    let lead_to = |to: &std::path::Path| {
        let to = to.to_str().unwrap().to_owned();
        let root = root.clone();
        move |vhost: String| vhost.replace(&root, &to)
    };
    world.serve(lead_to(&other));
    world
        .examine()
        .assert("another store", &["vhost"], "its docroot is that of another store");
    world.serve(lead_to(&same));
    world
        .examine()
        .assert("another store of the same site", &["vhost"], "from another store");
    world.serve(lead_to(std::path::Path::new("/nowhere")));
    let found = world.examine();
    assert!(found.wrong().contains("vhost"), "{found}");

    let bare = format!(
        "server {{ listen {0}:443 ssl http2; ssl_certificate {1}/fullchain.pem; ssl_certificate_key {1}/privkey.pem;\n\
         return 200 hello; }}\nserver {{ listen {0}:80; return 308 https://{NAME}$request_uri; }}\n",
        world.address,
        world.certificates.path().join("good").display()
    );
    world.serve_this(&bare);
    world
        .examine()
        .assert("another site", &["vhost"], "another vhost answers for this name");

    let (now, older) = (RULES, RULES - 1);
    world.serve(|vhost| vhost.replace(&format!("\"rules {now}"), &format!("\"rules {older}")));
    let said = format!("printed by an older version ({older}; now {now})");
    world.examine().assert("an older vhost", &["rules"], &said);
    world.serve(|vhost| without_block(&vhost, "location = /.well-known/syntax-publish"));
    world.examine().assert(
        "a vhost without a number",
        &["rules"],
        "it does not say which release it serves",
    );
}

#[test]
fn headers_of_the_sites_own_and_a_password_are_expected_where_they_are_set() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    let headers = "/*\n  X-Frame-Options: DENY\n  X-Robots-Tag: noarchive\n/\n  ! Referrer-Policy\n";
    world.project.write("_headers", headers);
    let found = world.examine();
    assert!(
        found.wrong().contains("headers"),
        "the vhost was not printed again: {found}"
    );
    world.serve(|vhost| vhost);
    let found = world.examine();
    assert_eq!(found.wrong(), BTreeSet::new(), "{found}");

    let passwords = world.sshd.root.join("passwords");
    fs::write(&passwords, "reader:{PLAIN}let-me-in\n").unwrap();
    world.manifest(|text| format!("{text}noindex = true\nbasic-auth = \"{}\"\n", passwords.display()));
    let found = world.examine();
    assert!(found.wrong().contains("rules"), "anyone can read the pages: {found}");
    world.serve(|vhost| vhost);
    let found = world.examine();
    assert_eq!(found.wrong(), BTreeSet::new(), "{found}");
    assert_eq!(
        found.not_asked(),
        BTreeSet::from(["aliases", "brotli", "gzip", "missing", "dot-files"]),
        "{found}"
    );
}

#[test]
fn faults_of_what_the_vhost_answers_are_found() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    let docroot = world.sshd.docroot.clone();
    let without_brotli = world.vhost(&["--without-brotli"]);
    world.serve_this(&without_brotli);
    world.examine().assert(
        "no brotli",
        &["brotli"],
        "a browser that accepts br gets the page uncompressed",
    );
    world.finds_in_vhost(&[
        VhostFault {
            what: "no gzip",
            change: |vhost| vhost.replace("gzip_static on;", "gzip_static off;"),
            check: "gzip",
            words: "a browser that accepts gzip gets the page uncompressed",
        },
        VhostFault {
            what: "compressed again",
            change: |vhost| {
                let dynamic = vhost.replace("gzip_static on;", "gzip_static off; gzip_min_length 1; gzip_types *;");
                dynamic.replace("gzip off;", "gzip on;")
            },
            check: "gzip",
            words: "compressed for each request",
        },
        VhostFault {
            what: "a header less",
            change: |vhost| {
                let is_kept = |line: &&str| !line.contains("add_header X-Frame-Options");
                vhost.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
            },
            check: "headers",
            words: "a page has no X-Frame-Options",
        },
        VhostFault {
            what: "pages that are kept",
            change: |vhost| vhost.replace("expires off;", "expires 1h;"),
            check: "cache",
            words: "browsers may show an old page",
        },
        VhostFault {
            what: "errors that are kept",
            change: |vhost| vhost.replace("\"~^[45]\" \"no-store\";", ""),
            check: "cache",
            words: "may cache an error",
        },
        VhostFault {
            what: "no redirect",
            change: |vhost| vhost.replace("return 308 https://docs.test$request_uri;", "return 200 hello;"),
            check: "redirect",
            words: "HTTP answers 200",
        },
        VhostFault {
            what: "a redirect elsewhere",
            change: |vhost| {
                let own = "return 308 https://docs.test$request_uri;";
                vhost.replace(own, "return 308 https://elsewhere.test/;")
            },
            check: "redirect",
            words: "to https://elsewhere.test/",
        },
    ]);
    world.serve(|vhost| vhost.replace("=404", "/index.html"));
    world.examine().includes("missing", "answers 200");

    // A file that a publish would never send, and a vhost that does not hide it.
    let tree = docroot.join("current").canonicalize().unwrap();
    fs::write(tree.join(".env"), "SECRET=1").unwrap();
    world.serve(|vhost| without_block(&vhost, "location ~ \"(?:^/[.]"));
    world.examine().assert("dot files", &["dot-files"], "answers 200");
}

#[test]
fn faults_of_the_way_in_are_found() {
    if !can_host() {
        return;
    }
    let mut world = World::healthy();
    let (identity, public) = world.sshd.new_key("other");
    let other = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let host_key = world.sshd.host_key.clone();
    world.manifest(|text| text.replace(&host_key, &other));
    world
        .examine()
        .assert("another host key", &["host-key"], "shows another key");
    let empty = world.project.write("known", "");
    world.manifest(|text| {
        text.replace(
            &format!("host-key = \"{host_key}\""),
            &format!("known-hosts = \"{}\"", empty.display()),
        )
    });
    world
        .examine()
        .assert("an unknown host key", &["host-key"], "is not known");
    let own = world.sshd.identity.display().to_string();
    world.manifest(|text| text.replace(&own, &identity.display().to_string()));
    let found = world.examine();
    found.assert("a key that is refused", &["key"], "Permission denied");
    assert_eq!(found.line("host-key")["ok"], true, "{found}");
    assert!(
        found
            .not_asked()
            .is_superset(&BTreeSet::from(["sftp", "docroot", "vhost"])),
        "{found}"
    );

    world.manifest(|text| text);
    world.sshd.kill();
    let found = world.examine();
    found.assert("sshd is down", &["ssh"], "can't reach");
    assert_eq!(
        found.line("public")["ok"],
        true,
        "half of it is told all the same\n{found}"
    );
}

#[test]
fn servers_that_offer_too_little_or_too_much_are_found() {
    if !can_host() {
        return;
    }
    let mut world = World::bare(Offer {
        deny: &["hardlink@openssh.com"],
        ..Offer::default()
    });
    let serve = |world: &mut World| {
        let vhost = world.vhost(&[]);
        world.serve_this(&vhost);
    };
    serve(&mut world);
    world.examine().includes("sftp", "lacks hardlink");
    let world = World::bare(Offer {
        sftp: Sftp::Missing,
        ..Offer::default()
    });
    world.examine().includes("sftp", "does not serve SFTP");

    // An account with a shell and all of root's permissions.
    let world = World::bare(Offer {
        extra_config: "ForceCommand none\nChrootDirectory none\nPermitRootLogin yes\nAllowUsers root",
        ..Offer::default()
    });
    let user = world.sshd.user.clone();
    let (remote, docroot) = (
        world.sshd.remote_docroot.clone(),
        world.sshd.docroot.display().to_string(),
    );
    world.manifest(|text| {
        text.replace(&format!("user = \"{user}\""), "user = \"root\"")
            .replace(&remote, &docroot)
    });
    let found = world.examine();
    assert!(found.line("shell")["ok"] == false, "{found}");
    found.is_fixed_by("shell", "ForceCommand internal-sftp");
}

/// The lock of a run that has died.
const RUN: &str = "lock/00112233445566778899aabbccddeeff";

fn set_mode(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.at(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn faults_of_the_store_are_found() {
    if !can_host() {
        return;
    }
    let world = World::healthy();
    // How the store is broken, how it is repaired, the check that finds it, and words of what that check says.
    type Step = fn(&World);
    let faults: [(&str, Step, Step, &str, &str); 6] = [
        (
            "others may write",
            |world| set_mode(world, "trees", 0o775),
            |world| set_mode(world, "trees", 0o755),
            "permissions",
            "others may write in trees",
        ),
        (
            "nginx may not read",
            |world| set_mode(world, "trees", 0o750),
            |world| set_mode(world, "trees", 0o755),
            "permissions",
            "nginx can't read trees",
        ),
        (
            "a folder of another user",
            |world| give_to(&world.at("releases"), OTHER_USER),
            |world| give_to(&world.at("releases"), &world.sshd.user),
            "owner",
            "releases belongs to uid",
        ),
        (
            "not allowed to write",
            |world| give_to(&world.at("work"), "root"),
            |world| give_to(&world.at("work"), &world.sshd.user),
            "owner",
            "may not write in the store",
        ),
        (
            "a jammed lock",
            |world| fs::write(world.at("lock/notes.txt"), "").unwrap(),
            |world| fs::remove_file(world.at("lock/notes.txt")).unwrap(),
            "lock",
            "lock/ holds \"notes.txt\"",
        ),
        (
            "a run of long ago",
            |world| {
                let owner = r#"{"who":"ci@box","what":"publish","since":1700000000}"#;
                fs::create_dir(world.at(RUN)).unwrap();
                symlink(owner, world.at(RUN).join("owner")).unwrap();
            },
            |world| fs::remove_dir_all(world.at(RUN)).unwrap(),
            "lock",
            "publish of ci@box",
        ),
    ];
    for (what, breaks, repairs, check, words) in faults {
        breaks(&world);
        world.examine().assert(what, &[check], words);
        repairs(&world);
    }

    world.project.run(&["hold", "search is broken"]).expect_code(0);
    world.examine().assert("a hold", &["hold"], "search is broken");
    world.project.run(&["resume"]).expect_code(0);

    for _ in 0..2 {
        world.project.run(&["--force"]).expect_code(0);
    }
    world.manifest(|text| text.replace("[publish]\n", "[publish]\nkeep = 1\n"));
    world.examine().assert(
        "releases that are never pruned",
        &["retention"],
        "nothing has been pruned for days",
    );
    world.manifest(|text| text);
    assert_eq!(world.examine().wrong(), BTreeSet::new());
}

#[test]
fn damage_to_the_store_is_found() {
    if !can_host() {
        return;
    }
    let world = World::healthy();
    // A symlink of the store, where it leads instead, the check that finds it, and words of what that check says.
    for (link, to, check, words) in [
        (
            "current",
            "releases/20200101-000000-abcdef",
            "release",
            "which is not there",
        ),
        ("current", "/etc", "release", "current is damaged"),
        ("format", "syntax-publish-store-99", "format", "does not know"),
    ] {
        let at = world.at(link);
        let good = fs::read_link(&at).unwrap();
        fs::remove_file(&at).unwrap();
        symlink(to, &at).unwrap();
        world.examine().includes(check, words);
        fs::remove_file(&at).unwrap();
        symlink(good, &at).unwrap();
        // nginx follows a symlink only if the account owns it.
        give_to(&at, &world.sshd.user);
    }

    fs::rename(world.at("stale"), world.at("../stale")).unwrap();
    world
        .examine()
        .assert("a folder is missing", &["format"], "its folder stale is missing");
    fs::rename(world.at("../stale"), world.at("stale")).unwrap();

    assert_eq!(world.examine().wrong(), BTreeSet::new());
}

#[test]
fn docroots_that_no_publish_can_use_are_found() {
    if !can_host() {
        return;
    }
    let world = World::bare(Offer::default());
    world.examine().includes("release", "nothing has been published yet");
    fs::create_dir(&world.sshd.docroot).unwrap();
    give_to(&world.sshd.docroot, &world.sshd.user);
    fs::write(world.sshd.docroot.join("index.html"), "").unwrap();
    world
        .examine()
        .includes("docroot", "holds files that are not of a store: index.html");
    let remote = world.sshd.remote_docroot.clone();
    world.manifest(|text| text.replace(&remote, "/missing/site"));
    world.examine().includes("docroot", "neither does the folder above it");
}

#[test]
fn target_on_this_machine_is_looked_at_as_far_as_it_goes() {
    let project = crate::support::command::Project::new();
    crate::support::command::small_export(&project.dir.join("out"));
    project.write_manifest("[site]\nname = \"demo\"\n[encode]\nbrotli = 5\n");
    project.run(&["--json"]).expect_code(0);
    let found = project.run(&["doctor", "--json"]).expect_code(0).json();
    let of = |name: &str| {
        found
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["check"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&of("name")["ok"], &of("release")["ok"]),
        (&serde_json::Value::Null, &true.into())
    );
    assert_eq!(
        of("ssh")["detail"],
        "not checked: the target is a folder of this machine"
    );
    let said = project.run(&["doctor"]).expect_code(0).stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        matches!(lines[..], [visitors, publishing, "no problems found"]
            if visitors == "visitors: not checked: a local target has no web server"
                && publishing.starts_with("publishing: ok (") && publishing.ends_with(" checks)")),
        "{said}"
    );
}

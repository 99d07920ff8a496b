use super::*;

fn vhost() -> Vhost {
    Vhost {
        server_name: "docs.example.com".into(),
        docroot: "/srv/site".into(),
        listen: None,
        tls: true,
        brotli: true,
        version: Version::default(),
        form: PageForm::Flat,
        base_path: String::new(),
        classes: Classes::new("_assets"),
        deployment_id: None,
        extra_types: BTreeMap::new(),
    }
}

fn lines(vhost: &Vhost) -> Vec<String> {
    let text = render(vhost).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

fn count(vhost: &Vhost, part: &str) -> usize {
    render(vhost).unwrap().matches(part).count()
}

#[test]
fn value_that_could_end_its_directive_is_refused() {
    for bad in ["a;b", "a b", "a{", "a}", "a\nb", "a\"", "a'", "$uri", "a\\", "a#"] {
        for break_out in [
            Vhost {
                server_name: bad.into(),
                ..vhost()
            },
            Vhost {
                docroot: format!("/{bad}"),
                ..vhost()
            },
            Vhost {
                listen: Some(bad.into()),
                ..vhost()
            },
            Vhost {
                base_path: format!("/{bad}"),
                ..vhost()
            },
            Vhost {
                classes: Classes::new(bad),
                ..vhost()
            },
            Vhost {
                deployment_id: Some(bad.into()),
                ..vhost()
            },
            Vhost {
                extra_types: [(bad.into(), "a/b".into())].into(),
                ..vhost()
            },
            Vhost {
                extra_types: [("x".into(), format!("a/{bad}"))].into(),
                ..vhost()
            },
        ] {
            let error = render(&break_out).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}

#[test]
fn tls_listens_on_the_usual_ports_and_redirects_from_http() {
    let text = lines(&vhost());
    for wanted in [
        "listen 443 ssl;",
        "listen [::]:443 ssl;",
        "http2 on;",
        "listen 80;",
        "listen [::]:80;",
        "ssl_certificate /etc/letsencrypt/live/docs.example.com/fullchain.pem;",
        "ssl_certificate_key /etc/letsencrypt/live/docs.example.com/privkey.pem;",
        "return 308 https://docs.example.com$request_uri;",
    ] {
        assert_eq!(text.iter().filter(|line| *line == wanted).count(), 1, "{wanted}");
    }
    assert_eq!(count(&vhost(), "Strict-Transport-Security"), 1, "not over plain HTTP");
}

#[test]
fn old_nginx_gets_http2_with_listen() {
    let old = Vhost {
        version: Version::new(1, 22, 0),
        ..vhost()
    };
    let text = lines(&old);
    assert!(text.contains(&"listen 443 ssl http2;".to_owned()));
    assert!(text.contains(&"listen [::]:443 ssl http2;".to_owned()));
    assert_eq!(count(&old, "http2 on"), 0);
}

#[test]
fn given_address_is_the_only_one() {
    for tls in [true, false] {
        let given = Vhost {
            listen: Some("127.0.0.1:8080".into()),
            tls,
            ..vhost()
        };
        assert_eq!(count(&given, "    listen "), 1);
        assert_eq!(count(&given, "server {\n"), 1);
    }
}

#[test]
fn without_tls_nothing_speaks_of_it() {
    let plain = Vhost { tls: false, ..vhost() };
    for word in ["ssl", "443", "http2", "letsencrypt", "Strict-Transport", "https://docs"] {
        assert_eq!(count(&plain, word), 0, "{word}");
    }
    assert_eq!(count(&plain, "listen 80;"), 1);
}

#[test]
fn without_brotli_nothing_speaks_of_it() {
    assert_eq!(
        count(
            &Vhost {
                brotli: false,
                ..vhost()
            },
            "brotli"
        ),
        0
    );
}

#[test]
fn every_immutable_and_pooled_folder_is_printed() {
    for prefix in ["_assets", "files.v2"] {
        let classes = Classes::new(prefix);
        let vhost = Vhost {
            classes: classes.clone(),
            ..vhost()
        };
        let text = render(&vhost).unwrap();
        let group = |opening: &str| {
            let line = text.lines().find(|line| line.contains(opening)).unwrap();
            let (_, rest) = line.split_once(opening).unwrap();
            let (group, _) = rest.split_once(')').unwrap();
            group.split('|').map(str::to_owned).collect::<Vec<_>>()
        };
        let written = |folder: &str| folder.trim_end_matches('/').replace('.', "[.]");
        let immutable: Vec<_> = classes.immutable_folders().map(written).collect();
        assert_eq!(group("304):/(?:"), immutable);
        let pooled: Vec<_> = classes.pooled_folders().map(written).collect();
        assert_eq!(group("location ~ \"^/(?:"), pooled);
        assert!(immutable.contains(&written(prefix)) && pooled.contains(&written(prefix)));
    }
}

#[test]
fn without_a_base_path_nothing_is_rewritten() {
    for form in [PageForm::Flat, PageForm::Folder] {
        let vhost = Vhost { form, ..vhost() };
        assert_eq!(count(&vhost, "rewrite"), 0);
        assert_eq!(count(&vhost, "error_page 404 /404.html;"), 1);
    }
}

#[test]
fn deployment_id_is_sent_once_and_only_where_there_is_one() {
    let named = Vhost {
        deployment_id: Some("dpl_1".into()),
        ..vhost()
    };
    assert_eq!(
        count(&named, "add_header x-nextjs-deployment-id \"dpl_1\" always;\n"),
        1
    );
    assert_eq!(count(&named, "deployment-id"), 1);
    assert_eq!(count(&vhost(), "deployment-id"), 0);
}

#[test]
fn what_an_older_nginx_wants_is_said_where_it_would_fail() {
    let text = lines(&vhost());
    let at = text.iter().position(|line| line == "http2 on;").unwrap();
    assert!(text[at - 1].starts_with("# ") && text[at - 1].contains("--nginx-version"));
}

#[test]
fn no_location_adds_a_header_and_nothing_is_global() {
    for form in [PageForm::Flat, PageForm::Folder] {
        let vhost = Vhost { form, ..vhost() };
        assert_eq!(count(&vhost, "\n        add_header"), 0);
        assert_eq!(count(&vhost, "default_server"), 0);
        let text = render(&vhost).unwrap();
        for line in text.lines().filter(|line| !line.starts_with(['#', ' ', '}'])) {
            let global = line.is_empty() || line == "server {" || line.starts_with("map $");
            assert!(global && !line.starts_with("map $sp_"), "{line}");
        }
        assert!(text.contains("$sp_docs_example_com_cache"));
    }
}

#[test]
fn types_of_the_export_are_added_and_the_table_wins() {
    let extra = Vhost {
        extra_types: [
            ("ODP".into(), "application/x-slides".into()),
            ("txt".into(), "text/x-other".into()),
            ("note".into(), "text/x-note".into()),
        ]
        .into(),
        ..vhost()
    };
    let text = render(&extra).unwrap();
    assert!(text.contains("        application/x-slides odp;\n"));
    assert!(text.contains("        text/plain log txt;\n"));
    assert!(!text.contains("text/x-other"));
    let charset = text.lines().find(|line| line.contains("charset_types")).unwrap();
    assert!(charset.contains(" text/x-note") && !charset.contains("text/html"));
}

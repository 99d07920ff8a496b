use super::*;
use crate::model::cache::{CacheClass, Classes, pooled};
use crate::model::generator::Generator;
use crate::model::redirect::Status;
use crate::rules::custom_headers::{FILE, parse};
use crate::rules::{CustomHeaders, OwnTypes};

fn vhost() -> Vhost {
    Vhost {
        server_name: "docs.example.com".into(),
        aliases: Vec::new(),
        docroot: "/srv/site".into(),
        listen: None,
        port: None,
        ipv6: true,
        hsts: Some(31_536_000),
        include: None,
        access: Access::default(),
        channels: None,
        tls: true,
        brotli: true,
        version: Version::default(),
        rules: rules(),
    }
}

fn rules() -> Rules {
    Rules {
        form: PageForm::Flat,
        base_path: String::new(),
        classes: Classes::new("_assets"),
        asset_prefix: String::new(),
        deployment_id: None,
        types: OwnTypes::default(),
        redirects: crate::rules::Redirects::default(),
        headers: CustomHeaders::default(),
        one_address: false,
        languages: Vec::new(),
    }
}

fn with(rules: Rules) -> Vhost {
    Vhost { rules, ..vhost() }
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
            with(Rules {
                asset_prefix: format!("/{bad}"),
                ..rules()
            }),
            with(Rules {
                base_path: format!("/{bad}"),
                ..rules()
            }),
            with(Rules {
                classes: Classes::new(bad),
                ..rules()
            }),
            with(Rules {
                deployment_id: Some(bad.into()),
                ..rules()
            }),
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
fn immutable_and_pooled_files_are_those_of_the_classes() {
    let vhost = with(Rules {
        classes: Classes::new("files.v2"),
        ..rules()
    });
    let text = render(&vhost).unwrap();
    let expression = |opening: &str| {
        let line = text.lines().find(|line| line.contains(opening)).unwrap();
        let (_, rest) = line.split_once(opening).unwrap();
        let pattern = rest.split_once('"').unwrap().0.replace("\\z", "$");
        regex_lite::Regex::new(&format!("(?s)^/{}", pattern.trim_start_matches('/'))).unwrap()
    };
    let (immutable, of_pool) = (expression("304):/"), expression("location ~ \"(?s)^/"));
    let classes = Classes::new("files.v2");
    for path in [
        "_next/static/chunks/a.js",
        "_next/static/chunks/app/b.mjs",
        "_next/static/chunks/a.js.map",
        "_next/static/chunks/nextra-data-en-US.json",
        "_next/static/chunks/a.jsx",
        "_next/static/chunks",
        "_next/static/css/a.css",
        "_next/static/css/a.css.map",
        "_next/static/media/a.0123abcd.json",
        "_next/static/id/_buildManifest.js",
        "pagefind/filter/en_1.pf_filter",
        "pagefind/pagefind.en_39eb99c436.pf_meta",
        "_pagefind/fragment/en_1.pf_fragment",
        "pagefind/pagefind-entry.json",
        "docs/pagefind/index/en_1.pf_index",
        "files.v2/a.txt",
        "files-v2/a.txt",
        "index.html",
    ] {
        let class = classes.classify(path);
        let uri = format!("/{path}");
        assert_eq!(immutable.is_match(&uri), class == CacheClass::Immutable, "{path}");
        assert_eq!(of_pool.is_match(&uri), pooled(path, class), "{path}");
    }
}

#[test]
fn without_a_base_path_nothing_is_rewritten() {
    for form in [PageForm::Flat, PageForm::Folder] {
        let vhost = with(Rules { form, ..rules() });
        assert_eq!(
            count(&vhost, "rewrite"),
            count(&vhost, "rewrite ^ $sp_docs_example_com_copy last;")
                + count(&vhost, "rewrite ^ $sp_docs_example_com_sought last;")
        );
        assert_eq!(count(&vhost, "error_page 404 /404.html;"), 1);
    }
}

#[test]
fn deployment_is_looked_for_only_where_there_is_one() {
    let named = with(Rules {
        deployment_id: Some("dpl_1".into()),
        ..rules()
    });
    assert_eq!(count(&named, "add_header x-nextjs-deployment-id $sp_"), 1);
    assert_eq!(
        count(&named, "dpl_1"),
        0,
        "what changes with each release is not in the vhost"
    );
    assert_eq!(count(&vhost(), "deployment"), 0);
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
        let vhost = with(Rules { form, ..rules() });
        assert_eq!(count(&vhost, "\n        add_header"), 0);
        assert_eq!(count(&vhost, "default_server"), 0);
        let text = render(&vhost).unwrap();
        for line in text.lines().filter(|line| !line.starts_with(['#', ' ', '}'])) {
            let global = line.is_empty()
                || line == "server {"
                || line.starts_with("map $")
                || line.starts_with("map \"$arg_v:$uri\" $")
                || line.starts_with("map \"$sp_docs_example_com_path $");
            // What a map defines is the site's own.
            let defines = line.strip_suffix(" {").and_then(|map| map.rsplit(' ').next());
            let is_own = defines.is_none_or(|name| name == "server" || name.starts_with("$sp_docs_example_com_"));
            assert!(global && is_own, "{line}");
        }
        assert!(text.contains("$sp_docs_example_com_cache"));
    }
}

#[test]
fn types_of_the_site_manifest_are_added_and_win() {
    let mut types = OwnTypes::default();
    for (glob, media_type) in [
        ("**/*.ODP", "application/x-slides"),
        ("**/*.md", "text/x-note"),
        ("api/*", "application/json"),
        ("feeds/**/*.xml", "text/x-feed"),
    ] {
        types.add(glob, media_type).unwrap();
    }
    let text = render(&with(Rules { types, ..rules() })).unwrap();
    assert!(text.contains("        application/x-slides odp;\n"));
    assert!(text.contains("        text/x-note md;\n"), "{text}");
    assert!(
        text.contains("    location ~ \"^/(?:api/[^/]*)\\z\" {\n        default_type application/json;\n"),
        "{text}"
    );
    let feeds = "types {\n            text/x-feed xml;\n            text/html html;\n        }\n";
    assert!(text.contains(feeds), "{text}");
    let charset = text.lines().find(|line| line.contains("charset_types")).unwrap();
    assert!(charset.contains(" text/x-note") && charset.contains(" text/x-feed") && !charset.contains("text/html"));
}

/// The vhost does exactly what the rules define: the preview relies on the rules alone.
#[test]
fn nothing_is_printed_that_is_no_rule_and_every_rule_is_printed() {
    for (form, base_path, asset_prefix) in [
        (PageForm::Flat, "", ""),
        (PageForm::Flat, "/handbook", "/blog-static"),
        (PageForm::Folder, "", "/blog-static"),
        (PageForm::Folder, "/handbook", ""),
    ] {
        let vhost = Vhost {
            tls: false,
            listen: Some("8080".into()),
            rules: Rules {
                form,
                base_path: base_path.into(),
                asset_prefix: asset_prefix.into(),
                deployment_id: Some("dpl_1".into()),
                ..rules()
            },
            ..vhost()
        };
        let lines = lines(&vhost);
        let starting = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();

        let mut added: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("add_header "))
            .collect();
        added.retain(|line| !line.contains(" $sp_"));
        let said: Vec<String> = crate::rules::headers::SECURITY
            .into_iter()
            .map(|(name, value)| format!("{name} {value} always;"))
            .collect();
        assert_eq!(added.join("\n").replace('"', ""), said.join("\n"), "headers");

        // One location per place, one for the steps after files, one each for the originals of copies, the error page
        // and redirects, one per type without an extension.
        let places: Vec<_> = crate::rules::pages::rules(form, false).collect();
        // These have locations of their own, and this site has no languages.
        let elsewhere = [crate::rules::pages::Step::Redirect, crate::rules::pages::Step::Language];
        let behind = |rule: &crate::rules::pages::Rule| {
            let files = |step: &crate::rules::pages::Step| matches!(step, crate::rules::pages::Step::File(_));
            rule.steps
                .iter()
                .skip_while(|step| !files(step))
                .any(|step| !files(step) && !elsewhere.contains(step))
        };
        let named = media::NAMED.iter().map(|(_, media_type)| *media_type);
        let types: BTreeSet<_> = named.chain([media::IMAGE]).collect();
        let wanted = places.len() + places.iter().filter(|rule| behind(rule)).count() + 3 + types.len();
        assert_eq!(starting("location "), wanted, "locations");

        let takes = crate::rules::base::rules(form);
        let leads = usize::from(!base_path.is_empty());
        let rewrites = if base_path.is_empty() { 0 } else { takes.len() - 1 } + usize::from(!asset_prefix.is_empty());
        let steps = places.iter().flat_map(|rule| rule.steps);
        let copies = steps.filter(|step| **step == crate::rules::pages::Step::Copy).count();
        let second_looks = starting("rewrite ^ $sp_docs_example_com_sought last;");
        assert_eq!(second_looks, 1);
        assert_eq!(starting("rewrite "), rewrites + copies + second_looks, "rewrites");
        let spelled = places.iter().flat_map(|rule| rule.steps);
        let leading = spelled.filter(|step| matches!(step, crate::rules::pages::Step::Lead { .. }));
        assert_eq!(starting("return 308 "), leading.count() + leads + 1, "redirects");
        for status in Status::ALL {
            assert_eq!(starting(&format!("return {status} $1;")), 1, "moved pages");
        }
        let steps = places.iter().flat_map(|rule| rule.steps);
        let second_chances = steps.filter(|step| **step == crate::rules::pages::Step::Pool).count();
        assert_eq!(starting("error_page 404 = @pool;"), second_chances, "second chances");
        // Where a page is looked for, what is gone when it is opened may be a redirect.
        let looks = |line: &&String| line.starts_with("try_files $uri") || line.starts_with("try_files ${uri}");
        let falls_back = |line: &&String| [" @moved;", " @other;", " @bare;"].iter().any(|to| line.ends_with(to));
        let pages = lines.iter().filter(looks).filter(falls_back).count();
        assert!(pages > types.len());
        assert_eq!(starting("error_page 404 = @moved;"), pages, "second chances of pages");
        assert_eq!(starting("recursive_error_pages on;"), pages + second_chances);
        assert_eq!(starting("error_page "), 1 + pages + second_chances);

        let encodings = lines.iter().filter(|line| line.ends_with("_static on;")).count();
        assert_eq!(encodings, CODINGS.len(), "encodings");

        let types = vhost.rules.types();
        let printed: usize = lines
            .iter()
            .skip_while(|line| *line != "types {")
            .skip(1)
            .take_while(|line| *line != "}")
            .map(|line| line.split_whitespace().count() - 1)
            .sum();
        assert_eq!(printed, types.len(), "types");
    }
}

#[test]
fn the_number_of_the_rules_is_raised_with_what_is_printed() {
    // Comments do not affect visitors.
    let mut text = String::new();
    for (form, base_path) in [(PageForm::Flat, ""), (PageForm::Folder, "/handbook")] {
        let vhost = with(Rules {
            form,
            base_path: base_path.into(),
            ..rules()
        });
        let kept = lines(&vhost)
            .into_iter()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        text.extend(kept.map(|line| line + "\n"));
    }
    let printed = (
        crate::rules::marker::RULES,
        crate::model::digest::Digest::of(text.as_bytes()).short(16),
    );
    // If the digest differs: raise the number, add what an older vhost does not do to `marker::CHANGES`, and write both
    // here.
    assert_eq!(printed, (7, "10b77c8a5f2db359".to_owned()));
}

#[test]
fn the_port_of_the_url_is_the_one_to_listen_on() {
    let with_port = Vhost {
        port: Some(8443),
        ..vhost()
    };
    let lines = lines(&with_port);
    assert!(lines.contains(&"listen 8443 ssl;".to_owned()) && lines.contains(&"listen [::]:8443 ssl;".to_owned()));
    assert_eq!(count(&with_port, "listen 80;"), 0, "the usual port is another site's");
}

#[test]
fn ipv6_and_hsts_can_be_turned_off() {
    assert_eq!(count(&vhost(), "listen [::]:"), 2);
    assert_eq!(
        count(&vhost(), "Strict-Transport-Security \"max-age=31536000\" always;"),
        1
    );
    let less = Vhost {
        ipv6: false,
        hsts: None,
        ..vhost()
    };
    assert_eq!(count(&less, "listen [::]:"), 0);
    assert_eq!(count(&less, "listen 443 ssl;"), 1);
    assert_eq!(count(&less, "Strict-Transport-Security"), 0);
    let shorter = Vhost {
        hsts: Some(300),
        ..vhost()
    };
    assert_eq!(count(&shorter, "max-age=300"), 1);
}

#[test]
fn lines_of_ones_own_are_included_at_the_end_of_the_server() {
    let own = Vhost {
        include: Some("/etc/nginx/docs.d/*.conf".to_owned()),
        ..vhost()
    };
    let text = render(&own).unwrap();
    assert!(text.ends_with("    include /etc/nginx/docs.d/*.conf;\n}\n"), "{text}");
    assert_eq!(count(&vhost(), "include "), 0);
    for bad in ["x.conf", "/a;b", "/a b"] {
        let bad = Vhost {
            include: Some(bad.to_owned()),
            ..vhost()
        };
        assert!(matches!(render(&bad), Err(VhostError::Include(_))));
    }
}

#[test]
fn what_has_to_be_done_first_is_at_the_top() {
    let first = "certbot certonly --webroot -w /var/www/html -d docs.example.com";
    assert_eq!(count(&vhost(), first), 1);
    let plain = Vhost { tls: false, ..vhost() };
    assert_eq!(count(&plain, "certbot"), 0);
    assert_eq!(count(&vhost(), "server_names_hash_bucket_size"), 0);
    let long = Vhost {
        server_name: format!("{}.example.com", "a".repeat(40)),
        ..vhost()
    };
    assert_eq!(count(&long, "server_names_hash_bucket_size 128;"), 1);
}

fn with_headers(text: &str) -> Vhost {
    let (headers, bad) = parse(FILE, text);
    assert_eq!(bad, []);
    with(Rules {
        headers: CustomHeaders::new(headers),
        ..rules()
    })
}

#[test]
fn headers_of_the_site_are_maps_of_the_requested_address() {
    let vhost = with_headers(
        "/embed/*\n  ! X-Frame-Options\n  Content-Security-Policy: frame-ancestors *\n\
         /*\n  X-Robots-Tag: noindex\n  X-Odd: \"a\\b\" $uri; {}\n/:page/a.b\n  X-Robots-Tag: none\n",
    );
    let text = render(&vhost).unwrap();
    let (maps, server) = text.rsplit_once("\nserver {").unwrap();
    let maps = maps
        .split("\n\n")
        .filter(|map| map.contains("_dollar") || map.contains("_asked"));
    insta::assert_snapshot!(maps.collect::<Vec<_>>().join("\n\n"), @r#"
    # A dollar sign, which nginx has no other way to write.
    geo $sp_docs_example_com_dollar {
        default "$";
    }

    # Headers of the site's own (`_headers`), by the address that was asked for.
    map $uri $sp_docs_example_com_asked {
        default $uri;
    }
    map $sp_docs_example_com_asked $sp_docs_example_com_h1 {
        default "frame-ancestors 'self'";
        "~(?s)^/embed(?:/.*)?\z" "frame-ancestors *";
    }
    map $sp_docs_example_com_asked $sp_docs_example_com_h2 {
        default "SAMEORIGIN";
        "~(?s)^/embed(?:/.*)?\z" "";
    }
    map $sp_docs_example_com_asked $sp_docs_example_com_h3 {
        default "";
        "~(?s)^/.*\z" "noindex";
    }
    map $sp_docs_example_com_asked $sp_docs_example_com_h4 {
        default "";
        "~(?s)^/[^/]+/a\x2Eb/?\z" "none";
    }
    map $sp_docs_example_com_asked $sp_docs_example_com_h5 {
        default "";
        "~(?s)^/.*\z" "\"a\\b\" ${sp_docs_example_com_dollar}uri; {}";
    }
    "#);
    let sent: Vec<&str> = server
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("add_header ") || line.contains("_first"))
        .collect();
    insta::assert_snapshot!(sent.join("\n"), @r#"
    add_header Cache-Control $sp_docs_example_com_cache always;
    add_header X-Content-Type-Options nosniff always;
    add_header Referrer-Policy strict-origin-when-cross-origin always;
    add_header Strict-Transport-Security "max-age=31536000" always;
    add_header Content-Security-Policy $sp_docs_example_com_h1 always;
    add_header X-Frame-Options $sp_docs_example_com_h2 always;
    add_header X-Robots-Tag $sp_docs_example_com_h3 always;
    add_header X-Robots-Tag $sp_docs_example_com_h4 always;
    add_header X-Odd $sp_docs_example_com_h5 always;
    set $sp_docs_example_com_first $sp_docs_example_com_asked;
    "#);
}

#[test]
fn the_variables_of_headers_have_names_that_fit_nginx() {
    let long = Vhost {
        server_name: format!("{}.example.com", "a".repeat(60)),
        ..with_headers("/a\n  X-A: $b\n")
    };
    let text = render(&long).unwrap();
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for end in ["_dollar", "_asked", "_first", "_h1"] {
        let name = names.clone().find(|name| name.ends_with(end)).unwrap();
        assert!(name.len() <= 46, "{name}");
    }
}

#[test]
fn a_vhost_says_that_it_was_printed_with_other_headers() {
    let settings = |vhost: &Vhost| crate::rules::marker::settings(&vhost.rules);
    let one = settings(&with_headers("/a\n  X-A: b\n"));
    assert_ne!(one, settings(&vhost()));
    assert_ne!(one, settings(&with_headers("/a\n  X-A: c\n")));
    assert_ne!(one, settings(&with_headers("/a\n  ! X-A\n")));
    assert_eq!(one, settings(&with_headers("# comment\n/a\n\tX-A : b\n")));
}

#[test]
fn without_header_rules_nothing_speaks_of_them() {
    for part in ["_asked", "geo $", "X-Robots-Tag", "auth_basic"] {
        assert_eq!(count(&vhost(), part), 0, "{part}");
    }
    assert_eq!(
        count(&with_headers("/a\n  X-A: b\n"), "geo $"),
        0,
        "no value has a dollar sign"
    );
}

#[test]
fn rules_that_nginx_could_not_read_are_refused() {
    let replaced = |path: &str, count: usize| -> String {
        let rules: Vec<String> = (0..count)
            .map(|number| format!("{path}\n  ! X-A\n  X-A: {number}\n"))
            .collect();
        rules.concat()
    };
    let path = format!("/:{}/*", "a".repeat(90));
    assert!(render(&with_headers(&replaced(&path, 40))).is_ok());
    let long = format!("/*{}", "%C3%A9".repeat(80));
    let error = render(&with_headers(&replaced(&long, 9))).unwrap_err();
    assert!(
        matches!(&error, VhostError::Headers { line: 1, name, .. } if name == "X-A"),
        "{error}"
    );
}

#[test]
fn a_staging_site_is_hidden_and_needs_a_password() {
    let staging = Vhost {
        access: Access {
            noindex: true,
            basic_auth: Some("/etc/nginx/staging.htpasswd".to_owned()),
        },
        ..vhost()
    };
    assert_eq!(count(&staging, "\n    add_header X-Robots-Tag noindex always;\n"), 1);
    assert_eq!(count(&staging, "\n    auth_basic \"docs.example.com\";\n"), 1);
    assert_eq!(
        count(&staging, "\n    auth_basic_user_file /etc/nginx/staging.htpasswd;\n"),
        1
    );
    for bad in ["staging.htpasswd", "/etc/a;b", "/a b", "off"] {
        let bad = Vhost {
            access: Access {
                basic_auth: Some(bad.to_owned()),
                ..Access::default()
            },
            ..vhost()
        };
        assert!(matches!(render(&bad), Err(VhostError::BasicAuth(_))));
    }
}

#[test]
fn the_vhost_names_what_made_the_site() {
    for (generator, what) in [
        (Generator::Next, "a static export of Next.js"),
        (Generator::Docusaurus, "a site of Docusaurus"),
        (Generator::Static, "a static site"),
    ] {
        let mut vhost = vhost();
        vhost.rules.classes = Classes::new("_assets").with(generator, &[]);
        let text = render(&vhost).unwrap();
        assert!(
            text.starts_with(&format!("# docs.example.com: {what}, published by")),
            "{text}"
        );
    }
}

//! Tests of the site manifest, one behavior each. The error texts are what users read.

use std::fmt::Write as _;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::model::glob::PathGlob;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn config(text: &str) -> SiteConfig {
    match parse(text) {
        Ok(parsed) => parsed.config,
        Err(error) => panic!("{text}\n{error}"),
    }
}

fn errors(text: &str) -> String {
    match parse(text) {
        Ok(_) => format!("taken: {text}"),
        Err(error) => error.to_string(),
    }
}

fn warnings(text: &str) -> String {
    let parsed = parse(text).unwrap();
    let lines: Vec<String> = parsed.warnings.iter().map(Warning::to_string).collect();
    lines.join("\n")
}

/// The errors of all texts, one after another.
fn errors_of_each<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let mut all = String::new();
    for text in texts {
        writeln!(all, "{}", errors(text.as_ref())).unwrap();
    }
    all
}

fn sftp_with(line: &str) -> String {
    let mut text = String::from("[targets.x]\nkind = \"sftp\"\n");
    for (key, value) in [("host", "\"h\""), ("docroot", "\"/site\"")] {
        if !line.starts_with(key) || line.starts_with("host-key") {
            writeln!(text, "{key} = {value}").unwrap();
        }
    }
    text + line
}

fn sftp(config: &SiteConfig, name: &str) -> SftpTarget {
    match &config.targets[name].kind {
        TargetKind::Sftp(sftp) => sftp.clone(),
        TargetKind::Local { .. } => panic!("{name} is local"),
    }
}

#[test]
fn the_manifest_of_this_repository_parses_without_warnings() {
    let parsed = parse(include_str!("../../site-manifest.toml")).unwrap();
    assert_eq!(parsed.warnings, []);
    let config = parsed.config;
    assert_eq!(config.server_name(), "syntax.kraite.com");
    assert_eq!(config.site.export, "fixtures/export");
    assert_eq!(config.publish, parse("").unwrap().config.publish);
    assert_eq!(config.targets["local"].kind, Target::embedded().kind);
    assert_eq!(
        sftp(&config, "pheme"),
        SftpTarget {
            host: "pheme".to_owned(),
            user: Some("syntax-publish".to_owned()),
            port: Some(22),
            identity: Some("~/.ssh/id_ed25519_kraite".to_owned()),
            known_hosts: Some("~/.ssh/known_hosts".to_owned()),
            host_key: None,
            docroot: "/site".to_owned(),
            compression: Compression::Auto,
        }
    );
}

#[test]
fn compression_is_a_choice_of_three() {
    let read = |line: &str| sftp(&config(&sftp_with(line)), "x").compression;
    assert_eq!(read(""), Compression::Auto);
    assert_eq!(read("compression = \"auto\""), Compression::Auto);
    assert_eq!(read("compression = true"), Compression::On);
    assert_eq!(read("compression = false"), Compression::Off);
    assert_snapshot!(errors_of_each(["\"on\"", "\"true\"", "1"].map(|value| sftp_with(&format!("compression = {value}")))), @r#"
        "compression" in [targets.x] is the string "on", which is not a choice, line 5: it must be "auto", true or false, such as compression = "auto"
        "compression" in [targets.x] is the string "true", which is not a choice, line 5: it must be "auto", true or false, such as compression = "auto"
        "compression" in [targets.x] is the number 1, line 5: it must be "auto", true or false, such as compression = "auto"
        "#);
}

#[test]
fn only_a_host_known_to_be_near_is_not_sent_compressed() {
    let auto = |micros| Compression::Auto.is_on(Some(Duration::from_micros(micros)));
    assert!(Compression::Auto.is_on(None));
    assert!(!auto(0) && !auto(4_999) && auto(5_000) && auto(150_000));
    for round_trip in [None, Some(Duration::ZERO), Some(Duration::from_secs(1))] {
        assert!(Compression::On.is_on(round_trip) && !Compression::Off.is_on(round_trip));
    }
}

#[test]
fn an_empty_manifest_has_every_default() {
    let parsed = parse("").unwrap();
    assert_eq!(parsed.warnings, []);
    let config = parsed.config;
    assert_eq!(config.server_name(), "site");
    assert_eq!(config.site.export, "out");
    assert_eq!(config.publish.target, "local");
    assert_eq!(config.publish.keep.get(), 10);
    assert_eq!(config.publish.skew, Duration::from_hours(7 * 24));
    assert_eq!(config.publish.max_removed, 30);
    assert_eq!(config.publish.exclude, [""; 0]);
    assert_eq!(config.targets.len(), 1);
    assert_eq!(config.targets["local"], Target::embedded());
    assert_eq!(config.encode.brotli, Some(11));
    assert_eq!(config.encode.gzip, Some(9));
    assert_eq!(config.fingerprint.include, None);
    assert_eq!(config.fingerprint.prefix, "_assets");
    assert!(config.next.stable_build_id);
    assert_eq!(config.verify.origin, Origin::OfTarget);
    assert_eq!(config.verify.timeout, Duration::from_secs(30));
    for (name, level) in CHECKS {
        assert_eq!(config.check.levels.of(name), level);
    }
}

#[test]
fn every_value_that_is_written_is_taken() {
    let config = config(
        r#"
        [site]
        name = "docs.v2"
        url = "HTTPS://Docs.Example.COM:8443/guide/"
        export = "/srv/out"
        [publish]
        target = "edge-1"
        keep = 0x20
        skew = "36h"
        max-removed = "0%"
        exclude = ["drafts/**", "/*.map"]
        [targets]
        edge-1 = { kind = "sftp", host = "h", docroot = "/a/b" }
        [encode]
        brotli = false
        gzip = 1
        [check]
        links = "off"
        anchors = "error"
        forbid = ["TODO"]
        allow = ["old/**"]
        [fingerprint]
        include = []
        [next]
        base-path = "/guide"
        stable-build-id = false
        [verify]
        origin = false
        public = false
        timeout = "5s"
        [cloudflare]
        zone = "example.com"
        token-env = "CF_TOKEN"
        purge = true
        api = "http://127.0.0.1:9/client/v4"
        [watch]
        command = ["npm", "run", "build"]
        paths = ["app"]
        port = 4000
        [sign]
        key = "k"
        allowed-signers = "s"
        require = true
        "#,
    );
    assert_eq!(config.server_name(), "docs.example.com");
    assert!(config.site.url.as_ref().is_some_and(WebUrl::is_https));
    assert_eq!(config.publish.keep.get(), 32);
    assert_eq!(config.publish.skew, Duration::from_hours(36));
    assert!(config.targets.contains_key("edge-1") && config.targets.contains_key("local"));
    assert_eq!((config.encode.brotli, config.encode.gzip), (None, Some(1)));
    assert_eq!(config.check.levels.of("links"), Level::Off);
    assert_eq!(config.check.levels.of("anchors"), Level::Error);
    assert_eq!(config.fingerprint.include, Some(Vec::new()));
    assert_eq!(config.next.base_path.as_deref(), Some("/guide"));
    assert_eq!(config.verify.origin, Origin::Off);
    assert_eq!(config.watch.command, ["npm", "run", "build"]);
    assert!(config.sign.require);
}

#[test]
fn a_local_target_of_ones_own_replaces_the_embedded_one() {
    let config = config("[targets.local]\nkind = \"local\"\ndocroot = \"www\"");
    let docroot = "www".to_owned();
    assert_eq!(config.targets["local"].kind, TargetKind::Local { docroot });
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_snapshot!(errors_of_each([
        "[site]\nname = \"a\"\n\n[publish]\n\n\nkeeep = 3",
        "[publish]\nmax_removed = \"1%\"",
        "[publish]\ncolour = \"red\"",
        "[targets.local]\nkind = \"local\"\ndocroot = \"a\"\ndocrot = \"b\"",
        "[targets.x]\nkind = \"sftp\"\nhost = \"h\"\ndocroot = \"/s\"\nknown_hosts = \"b\"",
        "[check]\nlink = \"off\"",
        "[fingerprint]\nincludes = []",
        "publish.\"a\\u001b[31m\" = 1",
    ]), @r#"
        unknown key "keeep" in [publish], line 7: did you mean "keep"?
        unknown key "max_removed" in [publish], line 2: did you mean "max-removed"?
        unknown key "colour" in [publish], line 2: known here: "exclude", "keep", "max-removed", "skew", "target"
        unknown key "docrot" in [targets.local], line 4: did you mean "docroot"?
        unknown key "known_hosts" in [targets.x], line 5: did you mean "known-hosts"?
        unknown key "link" in [check], line 2: did you mean "links"?
        unknown key "includes" in [fingerprint], line 2: did you mean "include"?
        unknown key "a\u{1b}[31m" in [publish], line 1: known here: "exclude", "keep", "max-removed", "skew", "target"
        "#);
}

#[test]
fn an_unknown_table_names_the_nearest_known_one() {
    assert_snapshot!(errors_of_each([
        "[publsh]\nkeep = 3",
        "[[redirect]]\nfrom = \"/\"",
        "[qqqqqqqq]",
        "name = \"x\"",
        "\"\\u0007\".x = 1",
    ]), @r#"
        unknown table [publsh], line 1: did you mean [publish]?
        unknown table [redirect], line 1: did you mean [redirects]?
        unknown table [qqqqqqqq], line 1: known here: [assets], [budget], [channels], [check], [cloudflare], [csp], [dictionary], [encode], [fingerprint], [headers], [indexnow], [next], [nginx], [notify], [publish], [purge], [redirects], [sign], [site], [sitemap], [targets], [types], [verify], [watch]
        unknown key "name" at the top level, line 1: known here: [assets], [budget], [channels], [check], [cloudflare], [csp], [dictionary], [encode], [fingerprint], [headers], [indexnow], [next], [nginx], [notify], [publish], [purge], [redirects], [sign], [site], [sitemap], [targets], [types], [verify], [watch]
        unknown table ["\u{7}"], line 1: known here: [assets], [budget], [channels], [check], [cloudflare], [csp], [dictionary], [encode], [fingerprint], [headers], [indexnow], [next], [nginx], [notify], [publish], [purge], [redirects], [sign], [site], [sitemap], [targets], [types], [verify], [watch]
        "#);
}

#[test]
fn a_value_of_the_wrong_type_says_what_was_found_and_what_is_allowed() {
    assert_snapshot!(errors_of_each([
        "[publish]\nkeep = \"ten\"",
        "[publish]\nkeep = 1.5",
        "[publish]\nskew = 7",
        "[publish]\nexclude = \"drafts\"",
        "[publish]\nexclude = [\"a\",\n  1]",
        "[site]\nname = [\"a\"]",
        "[site]\nexport = 1979-05-27",
        "[next]\nstable-build-id = \"yes\"",
        "site = 3",
        "[[site]]\nname = \"a\"",
        "[targets]\nlocal = \"a\"",
        "redirects = 1",
        "notify = []",
        "targets = true",
    ]), @r#"
        "keep" in [publish] is the string "ten", line 2: it must be a whole number from 1 to 1000000, such as keep = 10
        "keep" in [publish] is a number with a fraction, line 2: it must be a whole number from 1 to 1000000, such as keep = 10
        "skew" in [publish] is the number 7, line 2: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        "exclude" in [publish] is the string "drafts", line 2: it must be a list of globs over paths of the export, such as exclude = ["drafts/**", "*.map"]
        "exclude" in [publish] holds the number 1, line 3: it must be a list of globs over paths of the export, such as exclude = ["drafts/**", "*.map"]
        "name" in [site] is a list, line 2: it must be a name of lower-case letters, digits, `.`, `_` and `-`, a letter or digit first, such as name = "docs"
        "export" in [site] is a date or time, line 2: it must be the folder that `next build` writes, such as export = "out"
        "stable-build-id" in [next] is the string "yes", line 2: it must be true or false, such as stable-build-id = true
        "site" at the top level is the number 3, line 1: it must be a table: begin it with [site]
        "site" at the top level is a list, line 1: it must be a table: begin it with [site]
        "local" in [targets] is the string "a", line 2: it must be a table: begin it with [targets.local]
        "redirects" at the top level is the number 1, line 1: it must be a list of tables: begin each with [[redirects]]
        "notify" at the top level is a list, line 1: it must be a table: begin it with [notify]
        "targets" at the top level is true, line 1: it must be a table: begin it with [targets]
        "#);
}

#[test]
fn a_value_out_of_range_says_what_was_found_and_what_is_allowed() {
    assert_snapshot!(errors_of_each([
        "[publish]\nkeep = 0",
        "[publish]\nkeep = -1",
        "[publish]\nkeep = 1_000_001",
        "[publish]\nskew = \"7\"",
        "[publish]\nskew = \"7 days\"",
        "[publish]\nskew = \"-7d\"",
        "[publish]\nskew = \"99999999999999999999d\"",
        "[publish]\nskew = \"36501d\"",
        "[publish]\nmax-removed = \"101%\"",
        "[publish]\nmax-removed = \"30\"",
        "[publish]\nmax-removed = \"+3%\"",
        "[publish]\nexclude = [\"a{\"]",
        "[publish]\nexclude = [\"\"]",
        "[encode]\nbrotli = 0",
        "[encode]\nbrotli = 12",
        "[encode]\nbrotli = true",
        "[encode]\ngzip = 10",
        "[encode]\ngzip = 0",
        "[check]\nlinks = \"fatal\"",
        "[check]\nforbid = [\"\"]",
        "[check]\nforbid = [\"/(/\", \"10.0.0.0/33\"]",
        "[verify]\ntimeout = \"0\"",
        "[verify]\norigin = true",
        "[fingerprint]\nprefix = \"a/b\"",
        "[next]\nbase-path = \"docs\"",
        "[next]\nbase-path = \"/docs/\"",
        "[watch]\nport = 65536",
        "[site]\nname = \"Docs\"",
        "[site]\nname = \".docs\"",
        "[site]\nexport = \"\"",
        "[site]\nexport = \"a\\u0000\"",
    ]), @r#"
        "keep" in [publish] is the number 0, which is too small, line 2: it must be a whole number from 1 to 1000000, such as keep = 10
        "keep" in [publish] is the number -1, which is too small, line 2: it must be a whole number from 1 to 1000000, such as keep = 10
        "keep" in [publish] is the number 1000001, which is too large, line 2: it must be a whole number from 1 to 1000000, such as keep = 10
        "skew" in [publish] is the string "7", which has no unit, line 2: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        "skew" in [publish] is the string "7 days", which has an unknown unit, line 2: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        "skew" in [publish] is the string "-7d", which is not one number with a unit, line 2: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        "skew" in [publish] is the string "99999999999999999999d", which is longer than 36500d, line 2: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        "skew" in [publish] is the string "36501d", which is longer than 36500d, line 2: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        "max-removed" in [publish] is the string "101%", which is more than 100%, line 2: it must be a whole percentage from "0%" to "100%", such as max-removed = "30%"
        "max-removed" in [publish] is the string "30", which has no percent sign, line 2: it must be a whole percentage from "0%" to "100%", such as max-removed = "30%"
        "max-removed" in [publish] is the string "+3%", which is not a whole number of percent, line 2: it must be a whole percentage from "0%" to "100%", such as max-removed = "30%"
        "exclude" in [publish] holds the string "a{", which is not a glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?), line 2: it must be a list of globs over paths of the export, such as exclude = ["drafts/**", "*.map"]
        "exclude" in [publish] holds the string "", which matches nothing, line 2: it must be a list of globs over paths of the export, such as exclude = ["drafts/**", "*.map"]
        "brotli" in [encode] is the number 0, which is too small, line 2: it must be a level from 1 to 11, or false, such as brotli = 11
        "brotli" in [encode] is the number 12, which is too large, line 2: it must be a level from 1 to 11, or false, such as brotli = 11
        "brotli" in [encode] is true, line 2: it must be a level from 1 to 11, or false, such as brotli = 11
        "gzip" in [encode] is the number 10, which is too large, line 2: it must be a level from 1 to 9, or false, such as gzip = 9
        "gzip" in [encode] is the number 0, which is too small, line 2: it must be a level from 1 to 9, or false, such as gzip = 9
        "links" in [check] is the string "fatal", which is no level, line 2: it must be "error", "warn" or "off", such as links = "warn"
        "forbid" in [check] holds the string "", which would match everywhere, line 2: it must be a list of patterns: texts, networks, and regular expressions between slashes, such as forbid = ["internal.example.com", "10.0.0.0/8"]
        "forbid" in [check] holds the string "/(/", which is no regular expression: unclosed group, line 2: it must be a list of patterns: texts, networks, and regular expressions between slashes, such as forbid = ["internal.example.com", "10.0.0.0/8"]
        "forbid" in [check] holds the string "10.0.0.0/33", which is no network: its prefix has 0 to 32 bits, line 2: it must be a list of patterns: texts, networks, and regular expressions between slashes, such as forbid = ["internal.example.com", "10.0.0.0/8"]
        "timeout" in [verify] is the string "0", which is zero, line 2: it must be a duration longer than nothing, such as timeout = "30s"
        "origin" in [verify] is true, line 2: it must be an http or https URL, or false, such as origin = "http://192.0.2.7"
        "prefix" in [fingerprint] is the string "a/b", which holds other characters, line 2: it must be the name of one folder, of letters, digits, `.`, `_` and `-`, such as prefix = "_assets"
        "base-path" in [next] is the string "docs", which does not begin with `/`, line 2: it must be empty, or a path that begins with `/`, such as base-path = "/docs"
        "base-path" in [next] is the string "/docs/", which has an empty, `.` or `..` segment, line 2: it must be empty, or a path that begins with `/`, such as base-path = "/docs"
        "port" in [watch] is the number 65536, which is too large, line 2: it must be a whole number from 1 to 65535, such as port = 4000
        "name" in [site] is the string "Docs", which can't be a name, line 2: it must be a name of lower-case letters, digits, `.`, `_` and `-`, a letter or digit first, such as name = "docs"
        "name" in [site] is the string ".docs", which can't be a name, line 2: it must be a name of lower-case letters, digits, `.`, `_` and `-`, a letter or digit first, such as name = "docs"
        "export" in [site] is the string "", which is empty, line 2: it must be the folder that `next build` writes, such as export = "out"
        "export" in [site] is the string "a\0", which holds a NUL, line 2: it must be the folder that `next build` writes, such as export = "out"
        "#);
}

#[test]
fn a_token_in_place_of_its_variable_is_not_repeated() {
    let text = errors("[cloudflare]\ntoken-env = \"s3cr3t-token\"");
    assert!(!text.contains("s3cr3t"), "{text}");
    assert_snapshot!(text, @r#""token-env" in [cloudflare] is a value that is no variable name of upper-case letters, digits and `_`, line 2: it must be the name of the environment variable that holds the token, never the token itself, such as token-env = "CLOUDFLARE_API_TOKEN""#);
}

#[test]
fn a_url_that_no_site_can_have_is_refused() {
    let urls = [
        "syntax.kraite.com",
        "ftp://a",
        "https://",
        "https:///path",
        "https://user:pw@a.b",
        "https://a.b/?q",
        "https://a.b/#f",
        "https://a b",
        "https://a.b;x",
        "https://münchen.de",
        "https://a..b",
        "https://a:0",
        "https://a:70000",
        "https://[x]",
        "https://a/b c",
    ];
    assert_snapshot!(errors_of_each(urls.map(|url| format!("[site]\nurl = \"{url}\""))), @r#"
        "url" in [site] is the string "syntax.kraite.com", which has no scheme, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "ftp://a", which is neither http nor https, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://", which has no host, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https:///path", which has no host, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is a value that is not such a URL, or holds credentials, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a.b/?q", which has a query or a fragment, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a.b/#f", which has a query or a fragment, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a b", which has a host that is not a plain ASCII name or address, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a.b;x", which has a host that is not a plain ASCII name or address, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://münchen.de", which has a host that is not a plain ASCII name or address, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a..b", which has a host that is not a plain ASCII name or address, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a:0", which has a port outside 1 to 65535, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a:70000", which has a port outside 1 to 65535, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://[x]", which has a host that is not a plain ASCII name or address, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "url" in [site] is the string "https://a/b c", which has a path with characters that must be percent-encoded, line 2: it must be an http or https URL without credentials, query and fragment, such as url = "https://www.example.com"
        "#);
}

#[test]
fn a_url_may_have_a_port_a_path_or_an_address() {
    for (url, host) in [
        ("http://localhost:3000", "localhost"),
        ("https://A.example/docs/", "a.example"),
        ("https://192.0.2.1", "192.0.2.1"),
        ("https://[2001:DB8::1]:8443", "[2001:db8::1]"),
    ] {
        assert_eq!(config(&format!("[site]\nurl = \"{url}\"")).server_name(), host);
    }
}

#[test]
fn what_ssh_could_read_as_something_else_is_refused() {
    assert_snapshot!(errors_of_each([
        r#"host = "-oProxyCommand=x""#,
        r#"host = "a b""#,
        r#"host = "root@a""#,
        r#"host = "a;b""#,
        r#"host = """#,
        r#"host = "a:22""#,
        r#"host = "[a]""#,
        r#"host = "::1]""#,
        r#"host = "%h""#,
        r#"host = "a\nb""#,
        r#"user = "-l""#,
        r#"user = "a b""#,
        r#"user = "a@b""#,
        r#"user = "${USER}""#,
        "port = 0",
        "port = 65536",
        r#"port = "22""#,
        r#"identity = "~/%d/key""#,
        r#"identity = "${HOME}/key""#,
        r#"identity = "a\nb""#,
        r#"identity = "a\u0000""#,
        r#"identity = """#,
        r#"known-hosts = "a\rb""#,
        r#"known-hosts = "a%i""#,
        r#"known-hosts = "a\u007f""#,
    ].map(sftp_with)), @r#"
        "host" in [targets.x] is the string "-oProxyCommand=x", which begins with `-`, as an option of ssh does, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "a b", which holds characters that no host name has, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "root@a", which holds characters that no host name has, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "a;b", which holds characters that no host name has, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "", which is empty, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "a:22", which has colons or brackets without being an IPv6 address (a port has its own key), line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "[a]", which has colons or brackets without being an IPv6 address (a port has its own key), line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "::1]", which has colons or brackets without being an IPv6 address (a port has its own key), line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "%h", which holds a `%`, which ssh would expand, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "host" in [targets.x] is the string "a\nb", which holds a line break or another control character, line 4: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        "user" in [targets.x] is the string "-l", which begins with `-`, as an option of ssh does, line 5: it must be a user name of letters, digits, `.`, `_` and `-`, such as user = "deploy"
        "user" in [targets.x] is the string "a b", which holds other characters, line 5: it must be a user name of letters, digits, `.`, `_` and `-`, such as user = "deploy"
        "user" in [targets.x] is the string "a@b", which holds other characters, line 5: it must be a user name of letters, digits, `.`, `_` and `-`, such as user = "deploy"
        "user" in [targets.x] is the string "${USER}", which holds a `${`, which ssh would expand, line 5: it must be a user name of letters, digits, `.`, `_` and `-`, such as user = "deploy"
        "port" in [targets.x] is the number 0, which is too small, line 5: it must be a whole number from 1 to 65535, such as port = 22
        "port" in [targets.x] is the number 65536, which is too large, line 5: it must be a whole number from 1 to 65535, such as port = 22
        "port" in [targets.x] is the string "22", line 5: it must be a whole number from 1 to 65535, such as port = 22
        "identity" in [targets.x] is the string "~/%d/key", which holds a `%`, which ssh would expand, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
        "identity" in [targets.x] is the string "${HOME}/key", which holds a `${`, which ssh would expand, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
        "identity" in [targets.x] is the string "a\nb", which holds a line break or another control character, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
        "identity" in [targets.x] is the string "a\0", which holds a line break or another control character, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
        "identity" in [targets.x] is the string "", which is empty, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
        "known-hosts" in [targets.x] is the string "a\rb", which holds a line break or another control character, line 5: it must be a known-hosts file, such as known-hosts = "~/.ssh/known_hosts"
        "known-hosts" in [targets.x] is the string "a%i", which holds a `%`, which ssh would expand, line 5: it must be a known-hosts file, such as known-hosts = "~/.ssh/known_hosts"
        "known-hosts" in [targets.x] is the string "a\u{7f}", which holds a line break or another control character, line 5: it must be a known-hosts file, such as known-hosts = "~/.ssh/known_hosts"
        "#);
}

#[test]
fn a_docroot_on_a_host_is_absolute_and_plain() {
    assert_snapshot!(errors_of_each([
        r#"docroot = "site""#,
        r#"docroot = "/""#,
        r#"docroot = """#,
        r#"docroot = "/a/../b""#,
        r#"docroot = "/a/./b""#,
        r#"docroot = "/a//b""#,
        r#"docroot = "/a/""#,
        r#"docroot = "/a\tb""#,
        r#"docroot = "/a%b""#,
    ].map(sftp_with)), @r#"
        "docroot" in [targets.x] is the string "site", which is not absolute, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/", which is the root itself, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "", which is empty, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/a/../b", which has a `.` or `..` segment, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/a/./b", which has a `.` or `..` segment, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/a//b", which has an empty segment, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/a/", which has an empty segment, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/a\tb", which holds a line break or another control character, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "docroot" in [targets.x] is the string "/a%b", which holds a `%`, which ssh would expand, line 4: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "#);
}

#[test]
fn names_and_addresses_of_hosts_are_taken() {
    for (written, taken) in [
        ("pheme", "pheme"),
        ("web_1.example.com", "web_1.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ] {
        let config = config(&sftp_with(&format!("host = \"{written}\"")));
        assert_eq!(sftp(&config, "x").host, taken);
    }
}

#[test]
fn a_target_has_a_kind_and_what_the_kind_needs() {
    assert_snapshot!(errors_of_each([
        "[targets.a]\nhost = \"h\"",
        "[targets.a]\nkind = \"ftp\"\nhost = \"h\"",
        "[targets.a]\nkind = \"sftp\"",
        "[targets.a]\nkind = \"local\"",
        "[targets.a]\nkind = \"local\"\ndocroot = \"\"",
        "[targets.a]\nkind = \"local\"\ndocroot = \"a\\u0000\"",
        "[targets.a]\nkind = \"local\"\ndocroot = \"a\"\nhost = \"h\"",
        "[targets.A]\nkind = \"local\"\ndocroot = \"a\"",
        "[targets._a]\nkind = \"local\"\ndocroot = \"a\"",
        "[targets.\"a b\"]\nkind = \"local\"\ndocroot = \"a\"",
    ]), @r#"
        [targets.a] has no "kind", line 1: add "local" or "sftp", such as kind = "sftp"
        "kind" in [targets.a] is the string "ftp", which is not a kind of target, line 2: it must be "local" or "sftp", such as kind = "sftp"
        [targets.a] has no "docroot", line 1: add an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        [targets.a] has no "host", line 1: add a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        [targets.a] has no "docroot", line 1: add the folder to publish into, such as docroot = "target/docroot"
        "docroot" in [targets.a] is the string "", which is empty, line 3: it must be the folder to publish into, such as docroot = "target/docroot"
        "docroot" in [targets.a] is the string "a\0", which holds a NUL, line 3: it must be the folder to publish into, such as docroot = "target/docroot"
        "host" does not belong in [targets.a], line 4: it is for targets of kind = "sftp"
        the target name "A" can't be used, line 1: begin with a lower-case letter or a digit, and go on with those, `_` and `-`
        the target name "_a" can't be used, line 1: begin with a lower-case letter or a digit, and go on with those, `_` and `-`
        the target name "a b" can't be used, line 1: begin with a lower-case letter or a digit, and go on with those, `_` and `-`
        "#);
}

#[test]
fn a_default_target_that_is_not_there_lists_those_that_are() {
    let targets = "[targets.pheme]\nkind = \"sftp\"\nhost = \"h\"\ndocroot = \"/s\"";
    assert_snapshot!(errors_of_each([
        format!("[publish]\ntarget = \"pheem\"\n{targets}"),
        format!("[publish]\ntarget = \"live\"\n{targets}"),
    ]), @r#"
        "target" in [publish] is "pheem", which names no target, line 2: did you mean "pheme"? known here: "local", "pheme"
        "target" in [publish] is "live", which names no target, line 2: known here: "local", "pheme"
        "#);
}

#[test]
fn a_broken_default_target_is_not_called_missing_too() {
    assert_snapshot!(
        errors("[publish]\ntarget = \"a\"\n[targets.a]\nkind = \"sftp\"\nhost = \"h\""),
        @r#"[targets.a] has no "docroot", line 3: add an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site""#
    );
}

#[test]
fn a_host_key_loses_its_comment() {
    let text = format!("host-key = \"{ED25519} root@pheme of the shop\"");
    let key = sftp(&config(&sftp_with(&text)), "x").host_key.unwrap();
    assert_eq!(key.to_string(), ED25519);
}

#[test]
fn every_known_type_of_host_key_is_taken() {
    for (algorithm, fields) in [
        ("ssh-ed25519", 2),
        ("ecdsa-sha2-nistp256", 3),
        ("ecdsa-sha2-nistp384", 3),
        ("ecdsa-sha2-nistp521", 3),
        ("ssh-rsa", 3),
        ("sk-ssh-ed25519@openssh.com", 3),
        ("sk-ecdsa-sha2-nistp256@openssh.com", 4),
    ] {
        let text = key(algorithm, algorithm, fields);
        assert_eq!(HostKey::parse(&text).map(|key| key.to_string()), Ok(text));
    }
}

#[test]
fn anything_but_one_complete_host_key_is_refused() {
    let (base64, ed25519) = (&ED25519[12..], ED25519);
    let cases = [
        String::new(),
        "ssh-ed25519".to_owned(),
        base64.to_owned(),
        format!("ssh-dss {base64}"),
        format!("@cert-authority * {ed25519}"),
        format!("pheme {ed25519}"),
        format!("ssh-rsa {base64}"),
        format!("{ed25519} {ed25519}"),
        format!("{ed25519} note {base64}"),
        format!("{ed25519}\\npheme {ed25519}"),
        format!("{ed25519}\\u0000"),
        format!("ssh-ed25519 {}", &base64[..64]),
        format!("ssh-ed25519 {}", &base64[..63]),
        format!("{ed25519}AAAA"),
        format!("ssh-ed25519 {}=", &base64[..67]),
        "ssh-ed25519 AAAA...".to_owned(),
        "ssh-ed25519 ====".to_owned(),
        "ssh-ed25519 AA==AA==".to_owned(),
        key("ssh-ed25519", "ssh-ed25519", 3),
        key("ssh-ed25519", "ssh-rsa", 3),
    ];
    assert_snapshot!(
        errors_of_each(cases.map(|key| sftp_with(&format!("host-key = \"{key}\"")))),
        @r#"
        "host-key" in [targets.x] is the string "", which is not a type and a key, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519", which is not a type and a key, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ…", which is not a type and a key, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-dss AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERIT…", which begins with an unknown key type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "@cert-authority * ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAg…", which begins with an unknown key type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "pheme ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCw…", which begins with an unknown key type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERIT…", which names another type than its bytes do, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which holds a second key, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which holds a second key, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which holds a line break or another control character, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which holds a line break or another control character, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which is cut short or has bytes left over, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which is not valid base64 after the type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which is cut short or has bytes left over, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q…", which is cut short or has bytes left over, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAA...", which is not valid base64 after the type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 ====", which is not valid base64 after the type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AA==AA==", which is not valid base64 after the type, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcH…", which is cut short or has bytes left over, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "host-key" in [targets.x] is the string "ssh-ed25519 AAAAB3NzaC1yc2EAAAAgBwcHBwcHBwcHBwcHBwcHBwcHBwcH…", which names another type than its bytes do, line 5: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
        "#
    );
}

/// A key named `name`, with `fields` fields, whose bytes contain the type `inner`.
fn key(name: &str, inner: &str, fields: usize) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for field in 0..fields {
        let field = if field == 0 { inner.as_bytes() } else { &[7; 32] };
        bytes.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        bytes.extend(field);
    }
    let mut text = format!("{name} ");
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for digit in 0..4 {
            let index = usize::try_from(word >> (18 - 6 * digit) & 63).unwrap();
            text.push(if digit <= chunk.len() {
                DIGITS[index].into()
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn every_problem_is_reported_by_line() {
    assert_snapshot!(errors("\
[targets.a]
kind = \"sftp\"
host = \"-x\"
nope = 1

[publish]
keep = 0
skew = \"x\"

[site]
nam = \"a\"
"), @r#"
        [targets.a] has no "docroot", line 1: add an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
        "host" in [targets.a] is the string "-x", which begins with `-`, as an option of ssh does, line 3: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
        unknown key "nope" in [targets.a], line 4: known here: "basic-auth", "compression", "docroot", "host", "host-key", "identity", "kind", "known-hosts", "nginx-root", "nginx-version", "noindex", "port", "user"
        "keep" in [publish] is the number 0, which is too small, line 7: it must be a whole number from 1 to 1000000, such as keep = 10
        "skew" in [publish] is the string "x", which is not one number with a unit, line 8: it must be a number with one of d, h, m, s; or "0", such as skew = "7d"
        unknown key "nam" in [site], line 11: did you mean "name"?
        "#);
}

#[test]
fn text_that_is_not_toml_names_line_and_column() {
    assert_snapshot!(errors_of_each([
        "[site]\nname = \"a",
        "[site\nname = \"a\"",
        "[site]\nname = docs",
        "[site]\nname \"docs\"",
        "[site]\nname = \"a\"\nname = \"b\"",
        "[site]\n[site]",
        "[site]\nname = \"ä\" x",
        "keep = 1\u{0}",
    ]), @r#"
        this is not TOML, line 2, column 10: invalid basic string, expected `"`
        this is not TOML, line 1, column 6: unclosed table, expected `]`
        this is not TOML, line 2, column 8: string values must be quoted, expected literal string
        this is not TOML, line 2, column 6: key with no value, expected `=`
        this is not TOML, line 3, column 1: duplicate key
        this is not TOML, line 2, column 2: duplicate key
        this is not TOML, line 2, column 12: unexpected key or value, expected newline, `#`
        this is not TOML, line 1, column 8: string values must be quoted, expected literal string
        "#);
}

#[test]
fn a_token_goes_nowhere_in_the_clear() {
    let hook = |url: &str, token: &str| parse(&format!("[purge]\nurl = \"{url}\"\n{token}"));
    let token = "token-env = \"T\"\n";
    for url in [
        "http://cdn.example.com/purge",
        "http://192.0.2.7",
        "http://localhost.example.com",
        "http://[2001:db8::1]/",
    ] {
        let error = hook(url, token).unwrap_err().to_string();
        assert!(
            error.contains("without encryption") && error.contains("line 2"),
            "{error}"
        );
        assert!(hook(url, "").is_ok(), "{url}: nothing secret is sent");
        let api = parse(&format!("[cloudflare]\nzone = \"z\"\napi = \"{url}\"\n"));
        assert!(api.unwrap_err().to_string().contains("without encryption"), "{url}");
    }
    for url in [
        "https://cdn.example.com/purge",
        "http://127.0.0.1:8080/",
        "http://LOCALHOST:1/",
        "http://[::1]/",
    ] {
        assert!(hook(url, token).is_ok(), "{url}");
    }
}

#[test]
fn a_problem_has_its_parts() {
    let error = parse("\n  [publish]\n  keep = 'é'\n").unwrap_err();
    assert_eq!(
        error.problems,
        [Problem {
            line: 3,
            column: 10,
            key: "publish.keep".to_owned(),
            message: "\"keep\" in [publish] is the string \"é\"".to_owned(),
            hint: "it must be a whole number from 1 to 1000000, such as keep = 10".to_owned(),
        }]
    );
}

#[test]
fn long_and_hostile_values_are_shown_short_and_escaped() {
    let text = errors(&format!("[site]\nname = \"\\u001b[31m{}\"", "x".repeat(500)));
    assert!(text.contains("\\u{1b}[31m") && !text.contains('\u{1b}'));
    assert!(text.len() < 300, "{text}");
}

#[test]
fn a_feature_that_is_not_there_yet_gives_one_warning_a_table() {
    assert_snapshot!(warnings("\
[dictionary]
enabled = true

[check]
immutable = \"warn\"
encodings = \"error\"

[indexnow]
page = \"2 MB\"

[sitemap]
anything = [\"goes\"]
"), @r#"
        line 1: [dictionary] is not supported by this version yet: ignored
        line 6: "encodings" in [check] is not supported by this version yet: ignored
        line 8: [indexnow] is not supported by this version yet: ignored
        line 11: [sitemap] is not supported by this version yet: ignored
        "#);
}

#[test]
fn signatures_can_be_required_only_where_some_count() {
    assert_snapshot!(errors("[sign]\nkey = \"k\"\nrequire = true"), @r#""require" in [sign] is true, and nothing says whose signatures are accepted, line 3: add the file that lists them, such as allowed-signers = ".allowed-signers""#);
}

#[test]
fn every_row_of_not_yet_is_a_known_key_that_warns_and_nothing_more() {
    for row in NOT_YET {
        let text = match *row {
            check if check.starts_with("check.") => format!("{row} = \"warn\""),
            _ => format!("[{row}]"),
        };
        let parsed = parse(&text).unwrap();
        assert_eq!(parsed.warnings.len(), 1, "{text}");
        assert_eq!(parsed.warnings[0].key, *row);
    }
}

#[test]
fn durations_have_one_number_and_one_unit() {
    for (text, seconds) in [
        ("0", 0),
        ("0d", 0),
        ("45s", 45),
        ("30m", 1_800),
        ("36h", 129_600),
        ("7d", 604_800),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
    }
    for text in ["", "d", "1", "00", "1d12h", "1.5h", " 1h", "1h ", "+1h", "1D", "٣d"] {
        assert!(parse_duration(text).is_err(), "{text:?}");
    }
}

#[test]
fn sizes_have_one_number_and_one_unit() {
    let limit =
        |value: &str| parse(&format!("[budget]\nfirst-load = {value}")).map(|parsed| parsed.config.budget.first_load);
    for (text, bytes) in [
        ("0", 0),
        ("200_000", 200_000),
        ("\"0 B\"", 0),
        ("\"200 kB\"", 200_000),
        ("\"2 MB\"", 2_000_000),
        ("\"1 GB\"", 1_000_000_000),
        ("\"3 KiB\"", 3072),
        ("\"1 MiB\"", 1_048_576),
        ("\"1 GiB\"", 1_073_741_824),
    ] {
        assert_eq!(limit(text), Ok(Some(bytes)), "{text}");
    }
    for text in [
        "",
        "200",
        "200kB",
        "200 KB",
        "200 kb",
        "1.5 MB",
        "+1 B",
        " 1 B",
        "1  B",
        "99999999999 GB",
    ] {
        assert!(limit(&format!("\"{text}\"")).is_err(), "{text}");
    }
    assert!(limit("-1").is_err() && limit("1.5").is_err() && limit("true").is_err());
}

#[test]
fn a_budget_counts_if_it_has_a_limit_and_is_not_off() {
    let is_set = |text: &str| parse(&format!("[budget]\n{text}")).unwrap().config.budget.is_set();
    assert!(!is_set("") && !is_set("level = \"error\"") && !is_set("total = 1\nlevel = \"off\""));
    for key in ["first-load", "scripts", "total", "file"] {
        assert!(is_set(&format!("{key} = 1")), "{key}");
    }
}

#[test]
fn a_star_stops_at_a_slash_and_a_leading_slash_changes_nothing() {
    let set = compile_globs(&["/*.map", "drafts/**"]).unwrap();
    assert!(set.is_match("a.map") && set.is_match("drafts/x/y.html"));
    assert!(!set.is_match("js/a.map") && !set.is_match("old/drafts/x"));
}

#[test]
fn deep_nesting_is_refused_or_read_but_never_fatal() {
    for text in [
        format!("x{} = 1", ".x".repeat(50_000)),
        format!("[x{}]", ".x".repeat(50_000)),
        format!("x = {}", "[".repeat(50_000)),
        format!("x = {}", "{x=".repeat(50_000)),
        format!("[publish]\nexclude = [\"{}\"]", "{".repeat(5_000)),
    ] {
        assert!(parse(&text).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_that_looks_like_a_manifest_panics(
        text in r#"(\[{1,2}(site|publish|targets\.[a-z]|check|encode|redirects)\]{1,2}\n|(kind|host|docroot|host-key|keep|skew|exclude|links|url|brotli) = ("[ -~é\\]{0,12}"|-?[0-9]{1,20}|\[("[*{}\[\]a/]{0,6}",?){0,3}\]|true|\{\})\n){0,12}"#
    ) {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.problems.is_empty());
            prop_assert!(error.problems.is_sorted_by_key(|problem| problem.line));
            prop_assert_eq!(error.to_string().lines().count(), error.problems.len());
        }
    }

    #[test]
    fn no_host_key_panics(text in r"(ssh-(ed25519|rsa) )?[A-Za-z0-9+/=]{0,80}( [a-zA-Z ]{0,9})?") {
        let _ = HostKey::parse(&text);
    }
}

#[test]
fn types_are_read_and_what_is_wrong_with_one_is_said() {
    let types = config("[types]\n\"api/**\" = \"application/json\"\n\"**/*.odp\" = \"application/x-slides\"\n").types;
    assert_eq!(types.of_path("api/a/b").unwrap().media_type, "application/json");
    assert_eq!(types.by_extension()["odp"], "application/x-slides");
    assert_snapshot!(errors_of_each([
        "[types]\n\"a/*\" = 1",
        "[types]\n\"a/*\" = \"text\"",
        "[types]\n\"**/*.html\" = \"text/plain\"",
        "types = []",
    ]), @r#"
    "a/*" in [types] is the number 1, line 2: it must be a media type behind a glob over paths of the export, such as "a/*" = "application/json"
    "a/*" in [types] is the string "text", which is not a media type, line 2: it must be a media type behind a glob over paths of the export, such as "a/*" = "application/json"
    "**/*.html" in [types] is the string "text/plain", which is for .html files, whose type Next.js depends on, line 2: it must be a media type behind a glob over paths of the export, such as "**/*.html" = "application/json"
    "types" at the top level is a list, line 1: it must be a table: begin it with [types]
    "#);
}

#[test]
fn the_generator_is_one_that_is_known() {
    assert_eq!(config("").site.generator, None);
    for (name, generator) in Generator::ALL {
        assert_eq!(
            config(&format!("[site]\ngenerator = \"{name}\"")).site.generator,
            Some(generator)
        );
    }
    assert_snapshot!(errors_of_each(["[site]\ngenerator = \"hugo\"", "[site]\ngenerator = true"]), @r#"
    "generator" in [site] is the string "hugo", which is no generator that is known here, line 2: it must be "next", "docusaurus", "astro", "vitepress" or "static", such as generator = "docusaurus"
    "generator" in [site] is true, line 2: it must be "next", "docusaurus", "astro", "vitepress" or "static", such as generator = "docusaurus"
    "#);
}

#[test]
fn globs_of_immutable_files_are_ones_that_nginx_can_have_and_never_of_pages() {
    let globs = config("[assets]\nimmutable = [\"/static/**/*.js\", \"img/*.v?.png\"]")
        .assets
        .immutable;
    let globs: Vec<&str> = globs.iter().map(PathGlob::text).collect();
    assert_eq!(globs, ["static/**/*.js", "img/*.v?.png"]);
    assert_snapshot!(errors_of_each([
        "[assets]\nimmutable = \"a.js\"",
        "[assets]\nimmutable = [\"\"]",
        "[assets]\nimmutable = [\"**\"]",
        "[assets]\nimmutable = [\"static/*\"]",
        "[assets]\nimmutable = [\"*.{js,css}\"]",
        "[assets]\nimmutable = [\"a[.js\"]",
        "[assets]\nimmutable = [\"a\\\".js\"]",
        "[assets]\nimmutable = [\"**/*.HTML\"]",
        "[assets]\nimutable = [\"a.js\"]",
    ]), @r#"
    "immutable" in [assets] is the string "a.js", line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "", which does not end with an extension, line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "**", which does not end with an extension, line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "static/*", which does not end with an extension, line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "*.{js,css}", which ends with a pattern behind a dot: give each extension a line of its own, line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "a[.js", which is not a glob: unclosed character class; missing ']', line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "a\".js", which has a character that nginx could misread: '"', line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    "immutable" in [assets] holds the string "**/*.HTML", which is of pages, which keep their names, line 2: it must be a list of globs of files whose names change with their content, such as immutable = ["static/js/*.js"]
    unknown key "imutable" in [assets], line 2: did you mean "immutable"?
    "#);
}

#[test]
fn addresses_that_something_else_answers_are_globs() {
    let check = config("[check]\nelsewhere = [\"/blog/**\", \"api/*\"]").check;
    assert_eq!(check.elsewhere, ["/blog/**", "api/*"]);
    assert_snapshot!(errors_of_each(["[check]\nelsewhere = \"/blog\"", "[check]\nelsewhere = [\"a[\"]"]), @r#"
    "elsewhere" in [check] is the string "/blog", line 2: it must be a list of globs over addresses of the host, such as elsewhere = ["/blog/**", "/api/**"]
    "elsewhere" in [check] holds the string "a[", which is not a glob: unclosed character class; missing ']', line 2: it must be a list of globs over addresses of the host, such as elsewhere = ["/blog/**", "/api/**"]
    "#);
}

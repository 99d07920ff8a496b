//! Faults of the site manifest.

use std::fs;

use super::{Case, World, check};

const OPTIONS: &str = "[targets.box]\nkind = \"sftp\"\nhost = \"-oProxyCommand=x\"\nuser = \"a%h\"\nidentity = \"${HOME}/k\"\nhost-key = \"ssh-ed25519 AAAA\\nssh-rsa BBBB\"\ndocroot = \"site\"\n";

/// Each names what is wrong, its line and what would be right.
const CASES: &[Case] = &[
    Case {
        what: "a mistyped key",
        breaks: |world| {
            world
                .project
                .write_manifest("[site]\nname = \"demo\"\n\n[publish]\nkeeep = 3\n");
        },
        args: &["publish"],
        code: 2,
        says: r#"
            error: site-manifest.toml can't be used:
              unknown key "keeep" in [publish], line 5: did you mean "keep"?
            live: unchanged; no target was contacted
            hint: fix the lines named above"#,
    },
    Case {
        what: "an unknown table and a wrong type",
        breaks: |world| world.project.write_manifest("[sites]\n\n[publish]\nkeep = \"many\"\n"),
        args: &["plan"],
        code: 2,
        says: r#"
            error: site-manifest.toml can't be used:
              unknown table [sites], line 1: did you mean [site]?
              "keep" in [publish] is the string "many", line 4: it must be a whole number from 1 to 1000000, such as keep = 10
            live: unchanged; no target was contacted
            hint: fix the lines named above"#,
    },
    Case {
        what: "text that is not TOML",
        breaks: |world| world.project.write_manifest("[publish\nkeep = 3\n"),
        args: &["status"],
        code: 2,
        says: r"
            error: site-manifest.toml can't be used:
              this is not TOML, line 1, column 9: unclosed table, expected `]`
            live: unchanged; no target was contacted
            hint: fix the lines named above",
    },
    Case {
        what: "a target that does not exist",
        breaks: |world| world.project.write_manifest("[site]\nname = \"demo\"\n"),
        args: &["publish", "--target", "pheme"],
        code: 2,
        says: r#"
            error: the site manifest has no target "pheme"
            live: unchanged; no target was contacted
            hint: use --target with one of: local; or add [targets.NAME] to the site manifest"#,
    },
    Case {
        what: "values that could become an option or a command",
        breaks: |world| world.project.write_manifest(OPTIONS),
        args: &["publish"],
        code: 2,
        says: r#"
            error: site-manifest.toml can't be used:
              "host" in [targets.box] is the string "-oProxyCommand=x", which begins with `-`, as an option of ssh does, line 3: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
              "user" in [targets.box] is the string "a%h", which holds a `%`, which ssh would expand, line 4: it must be a user name of letters, digits, `.`, `_` and `-`, such as user = "deploy"
              "identity" in [targets.box] is the string "${HOME}/k", which holds a `${`, which ssh would expand, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
              "host-key" in [targets.box] is the string "ssh-ed25519 AAAA\nssh-rsa BBBB", which holds a line break or another control character, line 6: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
              "docroot" in [targets.box] is the string "site", which is not absolute, line 7: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
            live: unchanged; no target was contacted
            hint: fix the lines named above"#,
    },
    Case {
        what: "a docroot that is the root itself",
        breaks: |world| {
            world.project.write_manifest(
                "[publish]\ntarget = \"box\"\n[targets.box]\nkind = \"sftp\"\nhost = \"box\"\ndocroot = \"/\"\n",
            );
        },
        args: &["publish"],
        code: 2,
        says: r#"
            error: site-manifest.toml can't be used:
              "docroot" in [targets.box] is the string "/", which is the root itself, line 6: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
            live: unchanged; no target was contacted
            hint: fix the lines named above"#,
    },
    Case {
        what: "a site manifest that is named and missing",
        breaks: |_| {},
        args: &["publish", "--site", "elsewhere.toml"],
        code: 2,
        says: r"
            error: can't read elsewhere.toml: No such file or directory (os error 2)
            live: unchanged; no target was contacted
            hint: name a file that you may read with --site FILE",
    },
    Case {
        what: "no site manifest",
        breaks: |world| fs::remove_file(world.project.dir.join("site-manifest.toml")).unwrap(),
        args: &["publish"],
        code: 2,
        says: r"
            error: there is no site-manifest.toml in [project] or a folder above it
            live: unchanged; no target was contacted
            hint: go to the site's folder, name the file with --site FILE, or let `syntax-publish init` write one",
    },
];

#[test]
fn faults_of_the_site_manifest_are_named_with_their_lines() {
    check(&World::local(), World::refuses, CASES);
}

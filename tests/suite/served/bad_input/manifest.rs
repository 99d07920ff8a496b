//! Faults of the site manifest and of the command line.

use super::World;

fn with(text: &str, args: &[&str]) -> String {
    let world = World::local();
    world.project.write_manifest(text);
    world.fails(2, args)
}

#[test]
fn a_mistyped_key_names_its_line_and_the_nearest_known_one() {
    insta::assert_snapshot!(with("[site]\nname = \"demo\"\n\n[publish]\nkeeep = 3\n", &["publish"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      unknown key "keeep" in [publish], line 5: did you mean "keep"?
    live: unchanged; no target was contacted
    hint: fix the lines named above
    "#);
}

#[test]
fn an_unknown_table_and_a_wrong_type_are_named_together() {
    insta::assert_snapshot!(with("[sites]\n\n[publish]\nkeep = \"many\"\n", &["plan"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      unknown table [sites], line 1: did you mean [site]?
      "keep" in [publish] is the string "many", line 4: it must be a whole number from 1 to 1000000, such as keep = 10
    live: unchanged; no target was contacted
    hint: fix the lines named above
    "#);
}

#[test]
fn text_that_is_no_toml_names_line_and_column() {
    insta::assert_snapshot!(with("[publish\nkeep = 3\n", &["status"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      this is not TOML, line 1, column 9: unclosed table, expected `]`
    live: unchanged; no target was contacted
    hint: fix the lines named above
    ");
}

#[test]
fn a_target_that_is_not_there_names_those_that_are() {
    insta::assert_snapshot!(with("[site]\nname = \"demo\"\n", &["publish", "--target", "pheme"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the site manifest has no target "pheme"
    live: unchanged; no target was contacted
    hint: use --target with one of: local; or add [targets.NAME] to the site manifest
    "#);
}

#[test]
fn a_value_that_could_become_an_option_or_a_command_is_refused() {
    let target = "[targets.box]\nkind = \"sftp\"\nhost = \"-oProxyCommand=x\"\nuser = \"a%h\"\nidentity = \"${HOME}/k\"\nhost-key = \"ssh-ed25519 AAAA\\nssh-rsa BBBB\"\ndocroot = \"site\"\n";
    insta::assert_snapshot!(with(target, &["publish"]), @r#"
    exit 2
    --- stdout

    --- stderr
    error: site-manifest.toml can't be used:
      "host" in [targets.box] is the string "-oProxyCommand=x", which begins with `-`, as an option of ssh does, line 3: it must be a host name, an address or an alias of the ssh configuration, such as host = "www.example.com"
      "user" in [targets.box] is the string "a%h", which holds a `%`, which ssh would expand, line 4: it must be a user name of letters, digits, `.`, `_` and `-`, such as user = "deploy"
      "identity" in [targets.box] is the string "${HOME}/k", which holds a `${`, which ssh would expand, line 5: it must be the file of a private key, such as identity = "~/.ssh/id_ed25519"
      "host-key" in [targets.box] is the string "ssh-ed25519 AAAA\nssh-rsa BBBB", which holds a line break or another control character, line 6: it must be exactly one public key, its type and its base64, such as host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"
      "docroot" in [targets.box] is the string "site", which is not absolute, line 7: it must be an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end, such as docroot = "/site"
    live: unchanged; no target was contacted
    hint: fix the lines named above
    "#);
}

#[test]
fn no_site_manifest_says_where_it_was_looked_for() {
    let world = World::local();
    std::fs::remove_file(world.project.dir.join("site-manifest.toml")).unwrap();
    insta::assert_snapshot!(world.fails(2, &["publish"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: there is no site-manifest.toml in [project] or a folder above it
    live: unchanged; no target was contacted
    hint: go to the site's folder, name the file with --site FILE, or let `syntax-publish init` write one
    ");
}

#[test]
fn a_site_manifest_that_is_named_and_missing_is_named_back() {
    let world = World::local();
    insta::assert_snapshot!(world.fails(2, &["publish", "--site", "elsewhere.toml"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: can't read elsewhere.toml: No such file or directory (os error 2)
    live: unchanged; no target was contacted
    hint: name a file that you may read with --site FILE
    ");
}

#[test]
fn what_the_command_line_does_not_know_is_said_with_the_usage() {
    let world = World::local();
    insta::assert_snapshot!(world.fails(2, &["publish", "--forse"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: unexpected argument '--forse' found

      tip: a similar argument exists: '--force'

    Usage: syntax-publish publish --force

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.fails(2, &["publish", "--wait", "soon"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: invalid value 'soon' for '--wait <DURATION>': it is not one number with a unit: write it as [time], 10m or [time]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.fails(2, &["build"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: the following required arguments were not provided:
      --out <DIR>

    Usage: syntax-publish build --out <DIR>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.fails(2, &["nginx", "--nginx-version", "new"]), @r"
    exit 2
    --- stdout

    --- stderr
    error: invalid value 'new' for '--nginx-version <X>': `new` is no nginx version: write it as 1.28 or 1.28.0

    For more information, try '--help'.
    ");
}

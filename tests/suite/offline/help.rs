//! The complete text of `--help`, which is a promise to users. It must not list a command that does not work yet.

use crate::support::command::Project;

/// The help of a command, without the parts that all commands share.
fn help(command: &[&str]) -> String {
    let project = Project::new();
    let of = |command: &[&str]| {
        let ran = project.run(&[command, &["--help"]].concat()).expect_code(0);
        assert_eq!(ran.stderr, "");
        ran.stdout
    };
    let text = of(command);
    if command.is_empty() {
        return text;
    }
    let main = of(&[]);
    let part = |heading: &str| {
        let begin = main.find(heading).expect(heading);
        let length = main[begin..].find("\n\n").expect("an end");
        main[begin..begin + length].to_owned()
    };
    let everywhere = part("Global options:");
    assert!(text.contains(&everywhere), "{text}");
    text.replace(&everywhere, "[global options]")
        .replace(&part("Options of publish:"), "[options of publish]")
}

#[test]
fn what_does_not_work_yet_is_not_listed() {
    let text = help(&[]);
    for word in ["--live", "budget"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn help_lists_every_command_with_examples() {
    insta::assert_snapshot!(help(&[]), @r"
    Publishes a Next.js static export to a plain nginx host over SFTP: atomic releases, uploads only
    what changed, rolls back in a second. Without a command it publishes

    Usage: syntax-publish [COMMAND] [OPTIONS]

    Commands:
      publish      Publish the site (the default)
      plan         Show what a publish would add, change and remove
      check        Check the export locally
      redirects    Suggest redirects for pages that moved
      build        Write the built site to a plain folder, for any web server
      watch        Serve the built site exactly as the host would, and reload on changes
      serve        Serve a published release on this machine, as the host does
      rollback     Roll back to an earlier release
      promote      Make what a channel shows the live site
      channels     List the channels on the target, or remove one
      hold         Stop publishing to the target
      resume       Allow publishing again
      releases     List the releases on the target, newest first
      status       Show what is live, since when and from which commit
      diff         List the pages and files that differ between two releases
      verify       Check that a release on the target is intact
      prune        Delete old releases, and files that no release uses any more
      doctor       Diagnose the visitor's path and the publishing path
      init         Write a site-manifest.toml for the site in this folder
      nginx        Print the nginx vhost for this site and target
      schema       Print the JSON Schema of site-manifest.toml, for editors
      completions  Print the completion script for a shell
      man          Print a manual page
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Options of publish:
      -n, --dry-run          Stop after the plan, and change nothing
          --channel <NAME>   Publish a preview with this name, and leave the live site as it is
          --commit <ID>      The commit the export was built from [default: $GITHUB_SHA, $CI_COMMIT_SHA,
                             or git's HEAD]
      -m, --message <TEXT>   A message to keep with the release
          --wait <DURATION>  How long to wait for another publish to end, such as 90s or 10m
          --allow-removals   Publish even if it removes more pages than `max-removed` allows
          --force            Make a new release even if nothing changed, and repair what is damaged
          --timings          Show how long each stage took, and its requests to the host

    Global options:
          --site <FILE>    The site manifest [default: site-manifest.toml here or in a parent folder]
      -t, --target <NAME>  The target to use [default: `target` in [publish] of the site manifest]
          --json           Print one JSON value on stdout, and everything else on stderr
      -q, --quiet          Print no progress, no notes and no summary
      -v, --verbose        Print more: every file, every stage

    Examples:
      syntax-publish                          publish the site to its default target
      syntax-publish --dry-run                only show what that would change
      syntax-publish --target staging         publish it to another target
      syntax-publish rollback                 go back to what was live before
    ");
}

#[test]
fn help_of_publish() {
    insta::assert_snapshot!(help(&["publish"]), @r#"
    Publish the site (the default)

    Usage: syntax-publish publish [OPTIONS]

    Options:
      -h, --help  Print help

    [options of publish]

    [global options]

    Examples:
      syntax-publish publish --target staging --message "New guide"
      syntax-publish publish --wait 10m       in CI: wait for a publish that is already running
    "#);
}

#[test]
fn help_of_plan() {
    insta::assert_snapshot!(help(&["plan"]), @r"
    Show what a publish would add, change and remove

    Usage: syntax-publish plan [OPTIONS]

    Options:
          --timings  Show how long each stage took, and its requests to the host
      -h, --help     Print help

    [global options]

    Example:
      syntax-publish plan --target staging
    ");
}

#[test]
fn help_of_check() {
    insta::assert_snapshot!(help(&["check"]), @r#"
    Check the export locally

    Usage: syntax-publish check [OPTIONS]

    Options:
          --against <TARGET>       Compare with what is live on this target: a finding that it has too
                                   is known, and a warning
          --baseline <FILE>        Compare with the findings in this file, which --write-baseline wrote
          --write-baseline <FILE>  Write the findings to this file, so that from now on only others are
                                   errors
      -h, --help                   Print help

    [global options]

    Examples:
      syntax-publish check --json                  in CI: exit code 3 if there is an error
      syntax-publish check --against staging       what the live release has too is a warning
      syntax-publish check --baseline known.json   what that file names is a warning
    "#);
}

#[test]
fn help_of_redirects() {
    insta::assert_snapshot!(help(&["redirects"]), @r"
    Suggest redirects for pages that moved

    Usage: syntax-publish redirects [OPTIONS] <ACTION>

    Arguments:
      <ACTION>  `suggest` finds the likely new addresses of pages that would be a 404

    Options:
          --write    Append the lines to the `_redirects` next to the site manifest
          --anchors  List headings that are gone from pages that stay, each with the nearest one now
      -h, --help     Print help

    [global options]

    Examples:
      syntax-publish redirects suggest             print lines for `_redirects`
      syntax-publish redirects suggest --write     add them to the file
      syntax-publish redirects suggest --anchors   what links to headings no longer reach
    ");
}

#[test]
fn help_of_build() {
    insta::assert_snapshot!(help(&["build"]), @r"
    Write the built site to a plain folder, for any web server

    Usage: syntax-publish build [OPTIONS] --out <DIR>

    Options:
          --out <DIR>  The folder: missing, empty, or an earlier build, which it replaces
      -h, --help       Print help

    [global options]

    Example:
      syntax-publish build --out dist
    ");
}

#[test]
fn help_of_watch() {
    insta::assert_snapshot!(help(&["watch"]), @r"
    Serve the built site exactly as the host would, and reload on changes

    Usage: syntax-publish watch [OPTIONS] [-- <COMMAND>...]

    Arguments:
      [COMMAND]...  The site's build command, run when its sources change [default: `command` in
                    [watch]]

    Options:
          --port <N>     The port to listen on, 1 to 65535 [default: `port` in [watch], or the first
                         free one from 4400 on]
          --host <ADDR>  The address to listen on; anyone who can reach it can read the site [default:
                         127.0.0.1]
          --open         Open the site in the browser
          --no-reload    Serve pages exactly as they are published; they don't reload then
          --poll         Look for changes twice a second, for network folders that don't report them
      -h, --help         Print help

    [global options]

    Examples:
      syntax-publish watch --open
      syntax-publish watch -- npm run build   build it now, and again when its sources change
    ");
}

#[test]
fn help_of_rollback() {
    insta::assert_snapshot!(help(&["rollback"]), @r#"
    Roll back to an earlier release

    Usage: syntax-publish rollback [OPTIONS]

    Options:
          --to <RELEASE>   The release to roll back to, or the start of its id
          --steps <N>      How many releases to roll back [default: 1]
          --hold <REASON>  Also stop publishing, for this reason
      -h, --help           Print help

    [global options]

    Examples:
      syntax-publish rollback
      syntax-publish rollback --to 20260914   the release whose id starts with this
      syntax-publish rollback --hold "broken search"
    "#);
}

#[test]
fn help_of_hold() {
    insta::assert_snapshot!(help(&["hold"]), @r#"
    Stop publishing to the target

    Usage: syntax-publish hold [OPTIONS] <REASON>

    Arguments:
      <REASON>  The reason, which every publish shows until `resume`

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish hold "moving to a new host"
    "#);
}

#[test]
fn help_of_resume() {
    insta::assert_snapshot!(help(&["resume"]), @r"
    Allow publishing again

    Usage: syntax-publish resume [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish resume --target staging
    ");
}

#[test]
fn help_of_releases() {
    insta::assert_snapshot!(help(&["releases"]), @r#"
    List the releases on the target, newest first

    Usage: syntax-publish releases [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish releases
    "#);
}

#[test]
fn help_of_status() {
    insta::assert_snapshot!(help(&["status"]), @r"
    Show what is live, since when and from which commit

    Usage: syntax-publish status [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish status --target staging --json
    ");
}

#[test]
fn help_of_diff() {
    insta::assert_snapshot!(help(&["diff"]), @r"
    List the pages and files that differ between two releases

    Usage: syntax-publish diff [OPTIONS] [A] [B]

    Arguments:
      [A]  The earlier release, or the start of its id [default: the one before B]
      [B]  The later release [default: the live one]

    Options:
      -h, --help  Print help

    [global options]

    Examples:
      syntax-publish diff                     what the live release changed
      syntax-publish diff 20260914 20260921   what changed between these two
    ");
}

#[test]
fn help_of_verify() {
    insta::assert_snapshot!(help(&["verify"]), @r"
    Check that a release on the target is intact

    Usage: syntax-publish verify [OPTIONS] [RELEASE]

    Arguments:
      [RELEASE]  The release, or the start of its id [default: the live one]

    Options:
          --deep       Read every byte back, and decode every encoding
          --signature  Also check its signature against `allowed-signers` in [sign]; implies --deep
          --repair     Repair what is damaged, from the export and from other copies on the target;
                       implies --deep
          --live       Check the live site instead: the origin and the public URL
      -h, --help       Print help

    [global options]

    Examples:
      syntax-publish verify
      syntax-publish verify 20260914 --deep
      syntax-publish verify --signature       also check who signed it
      syntax-publish verify --repair          and repair what is damaged
      syntax-publish verify --live            check what visitors get
    ");
}

#[test]
fn help_of_doctor() {
    insta::assert_snapshot!(help(&["doctor"]), @"
    Diagnose the visitor's path and the publishing path

    Usage: syntax-publish doctor [OPTIONS]

    Options:
          --resolver <ADDR>  The DNS resolver to use [default: the system's]
      -h, --help             Print help

    [global options]

    Examples:
      syntax-publish doctor --target staging
      syntax-publish doctor --resolver 1.1.1.1    use this DNS resolver
    ");
}

#[test]
fn help_of_init() {
    insta::assert_snapshot!(help(&["init"]), @"
    Write a site-manifest.toml for the site in this folder

    Usage: syntax-publish init [OPTIONS]

    Options:
      -y, --yes   No questions: use what was found, and defaults for the rest
      -h, --help  Print help

    [global options]

    Examples:
      syntax-publish init
      syntax-publish init --yes               no questions: use what was found
    ");
}

#[test]
fn help_of_prune() {
    insta::assert_snapshot!(help(&["prune"]), @r"
    Delete old releases, and files that no release uses any more

    Usage: syntax-publish prune [OPTIONS]

    Options:
      -n, --dry-run  Only show what would be deleted
      -h, --help     Print help

    [global options]

    Example:
      syntax-publish prune --dry-run
    ");
}

#[test]
fn help_of_nginx() {
    insta::assert_snapshot!(help(&["nginx"]), @r"
    Print the nginx vhost for this site and target

    Usage: syntax-publish nginx [OPTIONS]

    Options:
          --listen <ADDR:PORT>  Where to listen, such as 127.0.0.1:8080 [default: the port of `url`]
          --without-tls         Without TLS
          --without-brotli      For an nginx without the brotli module
          --nginx-version <X>   The version of nginx on the host, as `nginx -v` prints it [default: the
                                target's `nginx-version`, or 1.28]
          --docroot <PATH>      The docroot as nginx sees it [default: the target's `nginx-root`, or its
                                docroot]
      -h, --help                Print help

    [global options]

    Examples:
      syntax-publish nginx > docs.example.com.conf
      syntax-publish nginx --listen 127.0.0.1:8080 --without-tls --without-brotli
    ");
}

#[test]
fn help_of_schema() {
    insta::assert_snapshot!(help(&["schema"]), @r"
    Print the JSON Schema of site-manifest.toml, for editors

    Usage: syntax-publish schema [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish schema > site-manifest.schema.json
    ");
}

#[test]
fn help_of_completions() {
    insta::assert_snapshot!(help(&["completions"]), @r"
    Print the completion script for a shell

    Usage: syntax-publish completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help  Print help

    [global options]

    Examples:
      syntax-publish completions bash > /etc/bash_completion.d/syntax-publish
      syntax-publish completions zsh > ~/.zfunc/_syntax-publish
    ");
}

#[test]
fn help_of_man() {
    insta::assert_snapshot!(help(&["man"]), @r"
    Print a manual page

    Usage: syntax-publish man [OPTIONS] [COMMAND]

    Arguments:
      [COMMAND]  The command whose page to print [default: the page of syntax-publish itself]

    Options:
          --out <DIR>  Write the pages of all commands to this folder
      -h, --help       Print help

    [global options]

    Examples:
      syntax-publish man > syntax-publish.1
      syntax-publish man publish | man -l -   read the page of a command
      syntax-publish man --out ~/.local/share/man/man1
    ");
}

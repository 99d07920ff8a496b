//! The text of `--help`: what is promised, whole. A command that does not work yet must not be there.

use crate::support::command::Project;

/// The help of a command, with the parts that all commands share left out.
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
    for word in ["--live", "channel", "promote"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn version_is_one_line() {
    let ran = Project::new().run(&["--version"]).expect_code(0);
    assert_eq!(ran.stdout, concat!("syntax-publish ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn help_lists_every_command_with_examples() {
    insta::assert_snapshot!(help(&[]), @r#"
    Publishes a Next.js static export to a plain nginx host: atomic releases, only what changed travels,
    and one symlink to go back. With no command it publishes

    Usage: syntax-publish [COMMAND] [OPTIONS]

    Commands:
      publish      Publish the site (the default)
      plan         Show what a publish would add, change and remove
      check        Check the export, without a host
      build        Write the finished site to a plain folder, for any web server
      watch        Serve the finished site on this machine, as the host would, and anew when it changes
      rollback     Make a former release live again
      hold         Stop publishing to the target
      resume       Let publishing to the target go on
      releases     List the releases on the target, newest first
      status       Tell what is live, since when and from which commit
      diff         List the files that differ between two releases
      verify       Check that a release on the target is whole
      prune        Delete releases beyond the retention, then what nothing refers to
      doctor       Follow the way of a visitor and of a publish, and say what is wrong with either
      init         Write a site-manifest.toml for the site in this folder
      nginx        Print the nginx vhost for this site and target
      completions  Print the completions of a shell
      man          Print the manual page

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Options of publish:
          --dry-run          Stop after the plan, and change nothing
          --commit <ID>      The commit the export was built from [default: $GITHUB_SHA, $CI_COMMIT_SHA,
                             or git's HEAD]
          --message <TEXT>   A text to keep with the release
          --wait <DURATION>  How long to wait for another publish to end, as in 90s or 10m
          --allow-removals   Publish even if more pages vanish than `max-removed` allows
          --force            Make a new release even if nothing changed; mend what is damaged
          --timings          Tell what each stage took, and what it asked of the host

    Global options:
          --site <FILE>    The site manifest [default: site-manifest.toml here or in a parent folder]
          --target <NAME>  The target of the site manifest to work with [default: its `publish.target`]
          --json           Print one JSON value on stdout, and everything else on stderr
      -q, --quiet          Print no progress, no notes and no summary
      -v, --verbose        Tell of every stage on stderr

    Examples:
      syntax-publish                          publish the site to its default target
      syntax-publish --dry-run                only show what that would change
      syntax-publish --target pheme           publish it to another target
      syntax-publish rollback                 go back to what was live before
    "#);
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
      syntax-publish publish --target pheme --message "New guide"
      syntax-publish publish --wait 10m       in CI: let a publish that is under way end first
    "#);
}

#[test]
fn help_of_plan() {
    insta::assert_snapshot!(help(&["plan"]), @r#"
    Show what a publish would add, change and remove

    Usage: syntax-publish plan [OPTIONS]

    Options:
          --timings  Tell what each stage took, and what it asked of the host
      -h, --help     Print help

    [global options]

    Example:
      syntax-publish plan --target pheme
    "#);
}

#[test]
fn help_of_check() {
    insta::assert_snapshot!(help(&["check"]), @r#"
    Check the export, without a host

    Usage: syntax-publish check [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish check --json             in CI: exit code 3 if there is an error
    "#);
}

#[test]
fn help_of_build() {
    insta::assert_snapshot!(help(&["build"]), @r#"
    Write the finished site to a plain folder, for any web server

    Usage: syntax-publish build [OPTIONS] --out <DIR>

    Options:
          --out <DIR>  The folder: missing, empty, or an earlier build, which it replaces
      -h, --help       Print help

    [global options]

    Example:
      syntax-publish build --out dist
    "#);
}

#[test]
fn help_of_watch() {
    insta::assert_snapshot!(help(&["watch"]), @r#"
    Serve the finished site on this machine, as the host would, and anew when it changes

    Usage: syntax-publish watch [OPTIONS] [-- <COMMAND>...]

    Arguments:
      [COMMAND]...  The site's own build, run when its sources change [default: `command` in [watch]]

    Options:
          --port <N>     The port to listen on [default: `port` in [watch], or the first free one from
                         4400 on]
          --host <ADDR>  The address to listen on: whoever reaches it can read the site [default:
                         127.0.0.1]
          --open         Open the site in the browser
          --no-reload    Leave pages exactly as they are published: they then learn of no change
          --poll         Look for changes every half second instead of being told, for folders of a
                         network
      -h, --help         Print help

    [global options]

    Examples:
      syntax-publish watch --open
      syntax-publish watch -- npm run build   build it, and again when its sources change
    "#);
}

#[test]
fn help_of_rollback() {
    insta::assert_snapshot!(help(&["rollback"]), @r#"
    Make a former release live again

    Usage: syntax-publish rollback [OPTIONS]

    Options:
          --to <RELEASE>   The release to go back to, or the beginning of its id
          --steps <N>      How many releases to go back [default: 1]
          --hold <REASON>  Also stop publishing, for this reason
      -h, --help           Print help

    [global options]

    Examples:
      syntax-publish rollback
      syntax-publish rollback --to 20260914   the release whose id begins so
      syntax-publish rollback --hold "broken search"
    "#);
}

#[test]
fn help_of_hold() {
    insta::assert_snapshot!(help(&["hold"]), @r#"
    Stop publishing to the target

    Usage: syntax-publish hold [OPTIONS] <REASON>

    Arguments:
      <REASON>  Why: every publish shows it, until `resume`

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish hold "moving to a new host"
    "#);
}

#[test]
fn help_of_resume() {
    insta::assert_snapshot!(help(&["resume"]), @r#"
    Let publishing to the target go on

    Usage: syntax-publish resume [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish resume --target pheme
    "#);
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
    insta::assert_snapshot!(help(&["status"]), @r#"
    Tell what is live, since when and from which commit

    Usage: syntax-publish status [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish status --target pheme --json
    "#);
}

#[test]
fn help_of_diff() {
    insta::assert_snapshot!(help(&["diff"]), @r#"
    List the files that differ between two releases

    Usage: syntax-publish diff [OPTIONS] [A] [B]

    Arguments:
      [A]  The earlier release, or the beginning of its id [default: the one before B]
      [B]  The later release [default: the live one]

    Options:
      -h, --help  Print help

    [global options]

    Examples:
      syntax-publish diff                     what the live release changed
      syntax-publish diff 20260914 20260921   what changed between these two
    "#);
}

#[test]
fn help_of_verify() {
    insta::assert_snapshot!(help(&["verify"]), @r#"
    Check that a release on the target is whole

    Usage: syntax-publish verify [OPTIONS] [RELEASE]

    Arguments:
      [RELEASE]  The release, or the beginning of its id [default: the live one]

    Options:
          --deep       Read every byte back, and decode every encoding
          --signature  Also check who signed it, by `allowed-signers` in [sign]; implies --deep
          --repair     Mend what is damaged, from the export and from other copies on the target;
                       implies --deep
          --live       Ask the live site instead: the origin, and the public URL
      -h, --help       Print help

    [global options]

    Examples:
      syntax-publish verify
      syntax-publish verify 20260914 --deep
      syntax-publish verify --signature       also that somebody signed it whose signature counts
      syntax-publish verify --repair          and mend what is damaged
      syntax-publish verify --live            whether visitors get what is live
    "#);
}

#[test]
fn help_of_doctor() {
    insta::assert_snapshot!(help(&["doctor"]), @"
    Follow the way of a visitor and of a publish, and say what is wrong with either

    Usage: syntax-publish doctor [OPTIONS]

    Options:
          --resolver <ADDR>  The DNS resolver to ask [default: the system's]
      -h, --help             Print help

    [global options]

    Examples:
      syntax-publish doctor --target pheme
      syntax-publish doctor --resolver 1.1.1.1    ask this resolver, and not the network's own
    ");
}

#[test]
fn help_of_init() {
    insta::assert_snapshot!(help(&["init"]), @"
    Write a site-manifest.toml for the site in this folder

    Usage: syntax-publish init [OPTIONS]

    Options:
      -y, --yes   Ask nothing: take what was found, and defaults for the rest
      -h, --help  Print help

    [global options]

    Examples:
      syntax-publish init
      syntax-publish init --yes               ask nothing, and take what was found
    ");
}

#[test]
fn help_of_prune() {
    insta::assert_snapshot!(help(&["prune"]), @r#"
    Delete releases beyond the retention, then what nothing refers to

    Usage: syntax-publish prune [OPTIONS]

    Options:
          --dry-run  Only say what would be deleted
      -h, --help     Print help

    [global options]

    Example:
      syntax-publish prune --dry-run
    "#);
}

#[test]
fn help_of_nginx() {
    insta::assert_snapshot!(help(&["nginx"]), @r#"
    Print the nginx vhost for this site and target

    Usage: syntax-publish nginx [OPTIONS]

    Options:
          --listen <ADDR:PORT>  Where to listen, as in 127.0.0.1:8080 [default: the usual ports]
          --without-tls         Without TLS
          --without-brotli      For an nginx without the brotli module
          --nginx-version <X>   The version of nginx to print for [default: 1.28.0]
          --docroot <PATH>      The docroot as nginx sees it [default: the target's]
      -h, --help                Print help

    [global options]

    Examples:
      syntax-publish nginx --target pheme > syntax.conf
      syntax-publish nginx --listen 127.0.0.1:8080 --without-tls --without-brotli
    "#);
}

#[test]
fn help_of_completions() {
    insta::assert_snapshot!(help(&["completions"]), @r#"
    Print the completions of a shell

    Usage: syntax-publish completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish completions bash > /etc/bash_completion.d/syntax-publish
    "#);
}

#[test]
fn help_of_man() {
    insta::assert_snapshot!(help(&["man"]), @r#"
    Print the manual page

    Usage: syntax-publish man [OPTIONS]

    Options:
      -h, --help  Print help

    [global options]

    Example:
      syntax-publish man > syntax-publish.1
    "#);
}

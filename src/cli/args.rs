//! Commands and options, and the text of `--help`.
//!
//! What stands here is promised to users and scripts: names are added and never changed. A command that does not work
//! yet is not here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use syntax_publish::config::parse_duration;
use syntax_publish::model::channel::{ChannelName, NotAChannel};
use syntax_publish::model::path::printable;
use syntax_publish::rules::nginx::Version;

use super::format::quoted;

/// Publishes a Next.js static export to a plain nginx host over SFTP: atomic releases, uploads only what changed, rolls
/// back in a second. Without a command it publishes.
#[derive(Debug, Parser)]
#[command(
    name = "syntax-publish",
    version = env!("SYNTAX_PUBLISH_VERSION"), // from build.rs
    max_term_width = 100,
    override_usage = "syntax-publish [COMMAND] [OPTIONS]",
    after_help = "\
Examples:
  syntax-publish                          publish the site to its default target
  syntax-publish --dry-run                only show what that would change
  syntax-publish --target staging         publish it to another target
  syntax-publish rollback                 go back to what was live before"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub publish: Publish,

    #[command(flatten)]
    pub global: Global,
}

/// Options that every command has.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The site manifest [default: site-manifest.toml here or in a parent folder]
    #[arg(long, global = true, value_name = "FILE", display_order = 100)]
    pub site: Option<PathBuf>,

    /// The target to use [default: `target` in [publish] of the site manifest]
    #[arg(long, short, global = true, value_name = "NAME", display_order = 101)]
    pub target: Option<String>,

    #[command(flatten)]
    pub screen: Screen,
}

/// What a command prints.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Screen {
    /// Print one JSON value on stdout, and everything else on stderr
    #[arg(long, global = true, display_order = 102)]
    pub json: bool,

    /// Print no progress, no notes and no summary
    #[arg(long, short, global = true, display_order = 103)]
    pub quiet: bool,

    /// Print more: every file, every stage
    #[arg(short, long, global = true, conflicts_with = "quiet", display_order = 104)]
    pub verbose: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish the site (the default)
    #[command(after_help = "\
Examples:
  syntax-publish publish --target staging --message \"New guide\"
  syntax-publish publish --wait 10m       in CI: wait for a publish that is already running")]
    Publish(Publish),

    /// Show what a publish would add, change and remove
    #[command(after_help = "\
Example:
  syntax-publish plan --target staging")]
    Plan {
        /// Show how long each stage took, and its requests to the host
        #[arg(long)]
        timings: bool,
    },

    /// Check the export locally
    #[command(after_help = "\
Examples:
  syntax-publish check --json                  in CI: exit code 3 if there is an error
  syntax-publish check --against staging       what the live release has too is a warning
  syntax-publish check --baseline known.json   what that file names is a warning")]
    Check(Check),

    /// Suggest redirects for pages that moved
    #[command(after_help = "\
Examples:
  syntax-publish redirects suggest             print lines for `_redirects`
  syntax-publish redirects suggest --write     add them to the file
  syntax-publish redirects suggest --anchors   what links to headings no longer reach")]
    Redirects(Redirects),

    /// Write the built site to a plain folder, for any web server
    #[command(after_help = "\
Example:
  syntax-publish build --out dist")]
    Build {
        /// The folder: missing, empty, or an earlier build, which it replaces
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },

    /// Serve the built site exactly as the host would, and reload on changes
    #[command(after_help = "\
Examples:
  syntax-publish watch --open
  syntax-publish watch -- npm run build   build it now, and again when its sources change")]
    Watch(Watch),

    /// Serve a published release on this machine, as the host does
    #[command(after_help = "\
Examples:
  syntax-publish serve --open                  the live release
  syntax-publish serve 20260914 --target box   an earlier one
  syntax-publish serve --channel pr-12         a preview")]
    Serve(Serve),

    /// Roll back to an earlier release
    #[command(after_help = "\
Examples:
  syntax-publish rollback
  syntax-publish rollback --to 20260914   the release whose id starts with this
  syntax-publish rollback --hold \"broken search\"")]
    Rollback(Rollback),

    /// Make what a channel shows the live site
    #[command(after_help = "\
Examples:
  syntax-publish promote pr-12
  syntax-publish promote pr-12 --force    although another release went live since")]
    Promote(Promote),

    /// List the channels on the target, or remove one
    #[command(after_help = "\
Examples:
  syntax-publish channels
  syntax-publish channels remove pr-12")]
    Channels {
        #[command(subcommand)]
        action: Option<ChannelsAction>,
    },

    /// Stop publishing to the target
    #[command(after_help = "\
Example:
  syntax-publish hold \"moving to a new host\"")]
    Hold {
        /// The reason, which every publish shows until `resume`
        #[arg(value_parser = reason)]
        reason: String,
    },

    /// Allow publishing again
    #[command(after_help = "\
Example:
  syntax-publish resume --target staging")]
    Resume,

    /// List the releases on the target, newest first
    #[command(after_help = "\
Example:
  syntax-publish releases")]
    Releases,

    /// Show what is live, since when and from which commit
    #[command(after_help = "\
Example:
  syntax-publish status --target staging --json")]
    Status,

    /// List the pages and files that differ between two releases
    #[command(after_help = "\
Examples:
  syntax-publish diff                     what the live release changed
  syntax-publish diff 20260914 20260921   what changed between these two")]
    Diff {
        /// The earlier release, or the start of its id [default: the one before B]
        #[arg(value_name = "A")]
        from: Option<String>,
        /// The later release [default: the live one]
        #[arg(value_name = "B")]
        to: Option<String>,
    },

    /// Check that a release on the target is intact
    #[command(after_help = "\
Examples:
  syntax-publish verify
  syntax-publish verify 20260914 --deep
  syntax-publish verify --signature       also check who signed it
  syntax-publish verify --repair          and repair what is damaged
  syntax-publish verify --live            check what visitors get")]
    Verify(Verify),

    /// Delete old releases, and files that no release uses any more
    #[command(after_help = "\
Example:
  syntax-publish prune --dry-run")]
    Prune {
        /// Only show what would be deleted
        #[arg(long, short = 'n')]
        dry_run: bool,
    },

    /// Diagnose the visitor's path and the publishing path
    #[command(after_help = "\
Examples:
  syntax-publish doctor --target staging
  syntax-publish doctor --resolver 1.1.1.1    use this DNS resolver")]
    Doctor {
        /// The DNS resolver to use [default: the system's]
        #[arg(long, value_name = "ADDR", value_parser = resolver)]
        resolver: Option<std::net::SocketAddr>,
    },

    /// Write a site-manifest.toml for the site in this folder
    #[command(after_help = "\
Examples:
  syntax-publish init
  syntax-publish init --yes               no questions: use what was found")]
    Init {
        /// No questions: use what was found, and defaults for the rest
        #[arg(long, short)]
        yes: bool,
    },

    /// Print the nginx vhost for this site and target
    #[command(after_help = "\
Examples:
  syntax-publish nginx > docs.example.com.conf
  syntax-publish nginx --listen 127.0.0.1:8080 --without-tls --without-brotli")]
    Nginx(Nginx),

    /// Print the JSON Schema of site-manifest.toml, for editors
    #[command(after_help = "\
Example:
  syntax-publish schema > site-manifest.schema.json")]
    Schema,

    /// Print the completion script for a shell
    #[command(after_help = "\
Examples:
  syntax-publish completions bash > /etc/bash_completion.d/syntax-publish
  syntax-publish completions zsh > ~/.zfunc/_syntax-publish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Print a manual page
    #[command(after_help = "\
Examples:
  syntax-publish man > syntax-publish.1
  syntax-publish man publish | man -l -   read the page of a command
  syntax-publish man --out ~/.local/share/man/man1")]
    Man {
        /// The command whose page to print [default: the page of syntax-publish itself]
        #[arg(value_name = "COMMAND")]
        of: Option<String>,

        /// Write the pages of all commands to this folder
        #[arg(long, value_name = "DIR", conflicts_with = "of")]
        out: Option<PathBuf>,
    },
}

/// The default is looked up where the site manifest is known.
const COMMIT: &str = "The commit the export was built from [default: $GITHUB_SHA, $CI_COMMIT_SHA, or git's HEAD]";

#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Options of publish")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Publish {
    /// Stop after the plan, and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Publish a preview with this name, and leave the live site as it is
    #[arg(long, value_name = "NAME", value_parser = channel)]
    pub channel: Option<ChannelName>,

    /// The commit the export was built from
    #[arg(long, value_name = "ID", help = COMMIT)]
    pub commit: Option<String>,

    /// A message to keep with the release
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,

    /// How long to wait for another publish to end, such as 90s or 10m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,

    /// Publish even if it removes more pages than `max-removed` allows
    #[arg(long)]
    pub allow_removals: bool,

    /// Make a new release even if nothing changed, and repair what is damaged
    #[arg(long)]
    pub force: bool,

    /// Show how long each stage took, and its requests to the host
    #[arg(long)]
    pub timings: bool,
}

#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The port to listen on, 1 to 65535 [default: `port` in [watch], or the first free one from 4400 on]
    #[arg(long, value_name = "N", value_parser = port)]
    pub port: Option<u16>,

    /// The address to listen on; anyone who can reach it can read the site
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub host: String,

    /// Open the site in the browser
    #[arg(long)]
    pub open: bool,

    /// Serve pages exactly as they are published; they don't reload then
    #[arg(long)]
    pub no_reload: bool,

    /// Look for changes twice a second, for network folders that don't report them
    #[arg(long)]
    pub poll: bool,

    /// The site's build command, run when its sources change [default: `command` in [watch]]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The release, or the start of its id [default: the live one]
    #[arg(value_name = "RELEASE", conflicts_with = "channel")]
    pub release: Option<String>,

    /// Serve what this channel shows
    #[arg(long, value_name = "NAME", value_parser = channel)]
    pub channel: Option<ChannelName>,

    /// The port to listen on, 1 to 65535 [default: the first free one from 4400 on]
    #[arg(long, value_name = "N", value_parser = port)]
    pub port: Option<u16>,

    /// The address to listen on; anyone who can reach it can read the site
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub host: String,

    /// Open the site in the browser
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, clap::Args)]
pub struct Promote {
    /// The channel
    #[arg(value_name = "CHANNEL", value_parser = channel)]
    pub channel: ChannelName,

    /// The release that the channel has to show, or the start of its id [default: any]
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,

    /// Promote it even if another release went live since it was published, which undoes that release
    #[arg(long)]
    pub force: bool,

    /// Promote it even if that removes more pages than `max-removed` allows
    #[arg(long)]
    pub allow_removals: bool,
}

#[derive(Debug, Subcommand)]
pub enum ChannelsAction {
    /// Remove a channel
    Remove {
        /// The channel
        #[arg(value_name = "CHANNEL", value_parser = channel)]
        channel: ChannelName,
    },
}

fn channel(text: &str) -> Result<ChannelName, String> {
    text.parse().map_err(|reason: NotAChannel| reason.to_string())
}

#[derive(Debug, Default, clap::Args)]
pub struct Check {
    /// Compare with what is live on this target: a finding that it has too is known, and a warning
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["baseline", "write_baseline"])]
    pub against: Option<String>,

    /// Compare with the findings in this file, which --write-baseline wrote
    #[arg(long, value_name = "FILE", conflicts_with = "write_baseline")]
    pub baseline: Option<PathBuf>,

    /// Write the findings to this file, so that from now on only others are errors
    #[arg(long, value_name = "FILE")]
    pub write_baseline: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Redirects {
    /// `suggest` finds the likely new addresses of pages that would be a 404
    #[arg(value_enum, hide_possible_values = true)]
    pub action: RedirectsAction,

    /// Append the lines to the `_redirects` next to the site manifest
    #[arg(long, conflicts_with = "anchors")]
    pub write: bool,

    /// List headings that are gone from pages that stay, each with the nearest one now
    #[arg(long)]
    pub anchors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RedirectsAction {
    Suggest,
}

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Verify {
    /// The release, or the start of its id [default: the live one]
    pub release: Option<String>,

    /// Read every byte back, and decode every encoding
    #[arg(long)]
    pub deep: bool,

    /// Also check its signature against `allowed-signers` in [sign]; implies --deep
    #[arg(long)]
    pub signature: bool,

    /// Repair what is damaged, from the export and from other copies on the target; implies --deep
    #[arg(long)]
    pub repair: bool,

    /// Check the live site instead: the origin and the public URL
    #[arg(long, conflicts_with_all = ["deep", "signature", "repair"])]
    pub live: bool,
}

#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// The release to roll back to, or the start of its id
    #[arg(long, value_name = "RELEASE", conflicts_with = "steps")]
    pub to: Option<String>,

    /// How many releases to roll back
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = steps)]
    pub steps: u32,

    /// Also stop publishing, for this reason
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub hold: Option<String>,
}

/// The default is looked up in the target.
const NGINX_VERSION: &str = "The version of nginx on the host, as `nginx -v` prints it [default: the target's \
                             `nginx-version`, or 1.28]";

#[derive(Debug, clap::Args)]
pub struct Nginx {
    /// Where to listen, such as 127.0.0.1:8080 [default: the port of `url`]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,

    /// Without TLS
    #[arg(long)]
    pub without_tls: bool,

    /// For an nginx without the brotli module
    #[arg(long)]
    pub without_brotli: bool,

    /// The version of nginx to print for
    #[arg(long = "nginx-version", value_name = "X", help = NGINX_VERSION)]
    pub version: Option<Version>,

    /// The docroot as nginx sees it [default: the target's `nginx-root`, or its docroot]
    #[arg(long, value_name = "PATH")]
    pub docroot: Option<String>,
}

fn resolver(text: &str) -> Result<std::net::SocketAddr, String> {
    syntax_publish::live::doctor::resolver(text)
        .ok_or_else(|| "write an address, such as 1.1.1.1 or [::1]:5353".to_owned())
}

/// A port; 0 stands for any free one.
fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "write a port from 1 to 65535".to_owned())
}

fn steps(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "write a whole number of 1 or more".to_owned())
}

/// It is kept in a symlink, and shown in one line by every publish.
const LONGEST_REASON: usize = 500;

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("write why: every publish shows it".to_owned()),
        1..=LONGEST_REASON => Ok(text.to_owned()),
        long => Err(format!("write at most {LONGEST_REASON} characters; these are {long}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|reason| format!("it {reason}: write it as 90s, 10m or 1h"))
}

impl Args {
    /// What is wrong with an option of publish that stands before the name of a command.
    pub fn misplaced(&self) -> Option<String> {
        if self.command.is_none() || self.publish == Publish::default() {
            return None;
        }
        let publish = &self.publish;
        let given = [
            ("--dry-run", publish.dry_run),
            ("--commit", publish.commit.is_some()),
            ("--message", publish.message.is_some()),
            ("--wait", publish.wait.is_some()),
            ("--allow-removals", publish.allow_removals),
            ("--force", publish.force),
            ("--timings", publish.timings),
        ];
        let name = given.into_iter().find_map(|(name, given)| given.then_some(name))?;
        Some(format!("put {name} after the name of the command it is for"))
    }
}

/// A command of this tool with the options that choose the site and the target, as they were given.
pub fn again(global: &Global, command: &str) -> String {
    let mut line = format!("syntax-publish {command}");
    let site = global.site.as_ref().map(|file| file.to_string_lossy().into_owned());
    for (name, value) in [("--site", site), ("--target", global.target.clone())] {
        line.extend(value.map(|value| format!(" {name} {}", quoted(&printable(&value)))));
    }
    line
}

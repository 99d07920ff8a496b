//! Shell completions. The shell runs this tool for each word, so that names of targets and releases are completed too.
//!
//! Must never print anything but candidates. If anything fails, there are no candidates.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use syntax_publish::store::releases;
use syntax_publish::store::session::Session;

use super::args::{Args, Global};
use super::connect;
use super::failure::Failure;
use super::screen::Screen;
use super::site::{self, Workplace};

/// The environment variable that names the shell.
const VARIABLE: &str = "COMPLETE";

/// Maximum time that a host may take to list its releases.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers a shell that requests completions. Returns whether this was such a request.
pub fn answered(words: &[OsString]) -> bool {
    let here = std::env::current_dir().ok();
    let answered = CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(words.iter().cloned(), here.as_deref());
    answered.unwrap_or(true)
}

/// Returns the command line, with completers for targets and releases.
fn command() -> clap::Command {
    let mut command = Args::command().mut_arg("target", |target| target.add(ArgValueCompleter::new(targets)));
    for (name, argument) in [
        ("diff", "from"),
        ("diff", "to"),
        ("verify", "release"),
        ("rollback", "to"),
    ] {
        let completed = |argument: clap::Arg| argument.add(ArgValueCompleter::new(releases));
        command = command.mut_subcommand(name, |command| command.mut_arg(argument, completed));
    }
    command
}

/// Returns the script that makes a shell request completions.
pub fn script(shell: clap_complete::Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let name = "syntax-publish";
    shells
        .completer(&shell.to_string())
        .ok_or(std::io::ErrorKind::Unsupported.into())
        .and_then(|completer| completer.write_registration(VARIABLE, name, name, name, &mut script))
        .map_err(|source| Failure::Output { source })?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

fn workplace() -> Option<Workplace> {
    Workplace::open(&Global::default(), &Screen::silent()).ok()
}

/// Returns those names that begin with what was typed.
fn beginning_with(typed: &OsStr, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names = names.into_iter().filter(|name| name.starts_with(&*typed));
    names.map(CompletionCandidate::new).collect()
}

/// Completes the targets of the site manifest.
pub fn targets(typed: &OsStr) -> Vec<CompletionCandidate> {
    let targets = workplace().map(|workplace| workplace.config.targets.into_keys());
    beginning_with(typed, targets.into_iter().flatten())
}

/// Completes the releases of the default target, newest first.
pub fn releases(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(typed, listed().unwrap_or_default())
}

fn listed() -> Option<Vec<String>> {
    let workplace = workplace()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let session = Session::new(connect::connector(&workplace).ok()?, site::owner("complete"));
        let listed = tokio::time::timeout(PATIENCE, releases::list(&session)).await;
        let listed = listed.ok()?.ok()?;
        Some(listed.into_iter().map(|listed| listed.id.to_string()).collect())
    })
}

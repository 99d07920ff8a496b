//! The command line: arguments in, text or JSON out.
//!
//! Only the command line reads the environment and the terminal, and prints. It decides what is reported and how, and
//! must not decide what is done: every command is a call to the library and a report of the result. Text from a file or
//! a host must never be printed before it is made safe for a terminal.

mod actions;
mod args;
mod bug;
mod changes;
mod commands;
mod complete;
mod connect;
mod failure;
mod format;
mod generated_text;
mod hints;
mod json;
mod keys;
mod live;
mod pages;
mod problems;
mod progress;
mod report;
mod screen;
mod site;
mod status;
mod stop;
mod timings;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};

pub use args::Args;
use args::Command;
use commands::Run;
pub use complete::answered as answered_a_shell;
use failure::Failure;

/// Reads the arguments. Help, the version and wrong usage are handled here.
///
/// # Errors
/// The exit code, after help, the version or the error was printed.
pub fn parse(words: Vec<OsString>) -> Result<Args, u8> {
    let json = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    let parsed = Args::try_parse_from(words);
    parsed
        .and_then(|args| match args.misplaced() {
            None => Ok(args),
            Some(message) => Err(Args::command().error(clap::error::ErrorKind::ArgumentConflict, message)),
        })
        .map_err(|error| report::usage(&suggesting(error), json))
}

/// Suggests the right command for a name that another tool uses.
fn suggesting(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word.clone(),
        _ => return error,
    };
    let command = match word.as_str() {
        "deploy" | "push" | "upload" | "release" | "sync" => "publish",
        "list" | "ls" | "log" | "logs" | "history" => "releases",
        "undo" | "revert" | "back" => "rollback",
        "serve" | "dev" | "preview" | "start" => "watch",
        "lint" | "test" => "check",
        "new" | "setup" | "config" => "init",
        "pause" | "stop" | "freeze" => "hold",
        "unhold" | "continue" => "resume",
        "clean" | "gc" => "prune",
        _ => return error,
    };
    let suggested = ContextValue::Strings(vec![command.to_owned()]);
    error.insert(ContextKind::SuggestedSubcommand, suggested);
    error
}

/// Reports that the async runtime could not be started.
pub fn cannot_start(args: &Args, source: std::io::Error) -> u8 {
    let what = "start the threads it works with".to_owned();
    let failure = Failure::Io { what, source };
    report::failure(&args.global.screen, &failure, None)
}

/// Runs the command. Returns the exit code.
pub async fn run(args: Args) -> u8 {
    let screen = args.global.screen.clone();
    let run = Run::new(args.global, screen.clone());
    let command = args.command.unwrap_or(Command::Publish(args.publish));
    // A signal is the normal end of a preview.
    let is_endless = matches!(command, Command::Serve(_) | Command::Watch(_));
    let (asked, bug) = (stop::asked(is_endless), bug::caught(&screen));
    let outcome = tokio::select! {
        outcome = run.command(command) => outcome,
        number = asked => stop::end(&run, number, is_endless).await,
        message = bug => {
            stop::leave(&run).await;
            let failure = Failure::Bug { message };
            run.notify_failure(&failure).await;
            Err(failure)
        }
    };
    run.finish();
    run.remember();
    let failure = match outcome {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    run.look_once_more(&failure).await;
    run.tell_of(&failure);
    report::failure(&screen, &failure, run.told().as_ref())
}

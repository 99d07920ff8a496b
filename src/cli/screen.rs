//! The two output streams of the command: results on stdout, everything else on stderr.
//!
//! All output goes through this module, which must not let control characters through, wherever the text came from: a
//! file name, a host's banner, a release message. In JSON they are escaped in the JSON way. Commands for CI runners are
//! not let through either, except those passed to [`command`]. GitHub reads `::error::` at the start of a line and
//! `##[error]` anywhere in it, Azure reads `##vso[…]`, and `TeamCity` reads `##teamcity[…]`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use syntax_publish::model::path::{is_unprintable, printable_text};

pub use super::args::Screen;
use super::failure::Failure;
use super::format::with_local_times;

impl Screen {
    /// The screen of work in the background, which prints nothing.
    pub fn silent() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    /// Prints a requested result, as JSON or as text.
    pub fn result(&self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if !self.json {
            return Self::text(&text());
        }
        let json = serde_json::to_string_pretty(value).map_err(|error| Failure::Output { source: error.into() })?;
        Self::text(&escaped(&json))
    }

    /// Prints the summary of a finished command. Prints nothing with `--quiet`.
    pub fn summary(&self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.quiet && !self.json {
            return Ok(());
        }
        self.result(value, text)
    }

    /// Prints one of a series of events: a line of JSON, or a line of text.
    pub fn event(&self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if !self.json {
            return Self::text(&text());
        }
        let json = serde_json::to_string(value).map_err(|error| Failure::Output { source: error.into() })?;
        Self::text(&escaped(&json))
    }

    fn text(text: &str) -> Result<(), Failure> {
        let text = fit(text);
        let mut out = anstream::stdout().lock();
        let is_ended = text.is_empty() || text.ends_with('\n');
        let end = if is_ended { "" } else { "\n" };
        write!(out, "{text}{end}")
            .and_then(|()| out.flush())
            .map_err(|source| Failure::Output { source })
    }

    /// Prints a note for people. Prints nothing with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say("note", text);
        }
    }

    /// Prints a warning for people. Prints nothing with `--quiet`.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            say("warning", text);
        }
    }
}

/// Prints a line of a certain kind on stderr.
pub fn say(kind: &str, text: &str) {
    let color = match kind {
        "error" => anstyle::AnsiColor::Red,
        "warning" => anstyle::AnsiColor::Yellow,
        _ => anstyle::AnsiColor::Cyan,
    };
    let style = color.on_default().effects(anstyle::Effects::BOLD);
    let text = fit(&with_local_times(text));
    write_to_stderr(&format!("{style}{kind}:{style:#} {text}"));
}

/// Escapes characters in JSON that a terminal or a CI runner could take for a command. The JSON serializer itself
/// escapes only characters below U+0020.
fn escaped(json: &str) -> String {
    // The marks can only occur in strings.
    let json = MARKS.iter().fold(json.to_owned(), |json, mark| {
        json.replace(mark, &format!("\\u0023{}", &mark[1..]))
    });
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c != '\n' && is_unprintable(c) {
            // All unprintable characters are below U+10000.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Prints lines on stderr, without a prefix.
pub fn plainly(text: &str) {
    write_to_stderr(&fit(text));
}

/// Prints a command for a CI runner on stderr. Text from other sources must already be escaped as the runner requires.
pub fn command(text: &str) {
    write_to_stderr(&printable_text(text));
}

/// Writes a line in a single write, so that lines of different threads do not mix. Errors are ignored, because there is
/// no other place to report them.
fn write_to_stderr(line: &str) {
    let _ = anstream::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Marks after which a CI runner takes the rest of a line for a command.
const MARKS: [&str; 3] = ["##[", "##vso[", "##teamcity["];

/// Makes text safe for a terminal and for the log of a CI runner: escapes what either would take for a command.
fn fit(text: &str) -> String {
    let text = printable_text(text);
    let text = MARKS.iter().fold(text, |text, mark| {
        text.replace(mark, &format!("\\u{{23}}{}", &mark[1..]))
    });
    let is_command = |line: &str| line.trim_start().starts_with("::");
    if !text.lines().any(is_command) {
        return text;
    }
    let line = |line: &str| {
        if is_command(line) {
            line.replacen(':', "\\u{3a}", 1)
        } else {
            line.to_owned()
        }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Whether stderr shows progress bars: it is a terminal that can move its cursor, and not the log of a CI service.
pub fn shows_bars() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::IsTerminal::is_terminal(&io::stderr()) && !dumb && !set("CI")
}

/// Whether results go to a terminal, and therefore to a person.
pub fn shows_results() -> bool {
    io::IsTerminal::is_terminal(&io::stdout())
}

/// The width in columns of the terminal that shows results.
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// The width in columns of the terminal on stderr, or 80 if it is unknown.
pub fn columns_of_bars() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    size.filter(|size| size.ws_col > 0)
        .map_or(80, |size| usize::from(size.ws_col))
}

/// Whether stderr shows colors.
pub fn shows_colors() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_command_of_a_runner() {
        for (text, shown) in [
            ("::error file=a::b", "\\u{3a}:error file=a::b"),
            ("a\n  ::stop-commands::x\nb ::c", "a\n  \\u{3a}:stop-commands::x\nb ::c"),
            ("a ##[set-output name=x;]y", "a \\u{23}#[set-output name=x;]y"),
            ("####[x]", "##\\u{23}#[x]"),
            (
                "##vso[task.setvariable variable=x]y",
                "\\u{23}#vso[task.setvariable variable=x]y",
            ),
            ("## [a] a::b\n", "## [a] a::b\n"),
        ] {
            assert_eq!(fit(text), shown);
        }
    }

    #[test]
    fn json_holds_no_command_of_a_runner_and_says_the_same() {
        let value = serde_json::json!({"path": "##[group]\u{202e}::x", "##vso[a]": 1});
        let json = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!json.contains("##"), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }
}

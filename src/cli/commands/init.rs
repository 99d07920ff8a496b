//! The command `init`, which writes a site manifest. It must never replace an existing file.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use syntax_publish::config::scaffold::{self, Choice, DOCROOT, NGINX_ROOT, Project, Surroundings, TargetChoice};
use syntax_publish::model::path::printable;

use super::Run;
use crate::cli::args::again;
use crate::cli::failure::Failure;
use crate::cli::format::{shown, table};
use crate::cli::json;
use crate::cli::site::{self, NAME};

impl Run {
    pub(super) async fn init(&self, yes: bool) -> Result<u8, Failure> {
        let file = self.global.site.clone().unwrap_or_else(|| PathBuf::from(NAME));
        // Checked first, so that the user does not answer questions in vain. The check that counts is made when the
        // file is written.
        if file.symlink_metadata().is_ok() {
            return Err(Failure::Exists { file });
        }
        let folder = site::folder_of(&file)?;
        let surroundings = Surroundings {
            home: site::home(),
            remote: site::remote(&folder),
        };
        let asks =
            !yes && !self.screen.json && !self.screen.quiet && io::stdin().is_terminal() && io::stderr().is_terminal();
        // The user may take time to type, and a signal must still end the run.
        let decided = tokio::task::spawn_blocking(move || {
            let found = scaffold::inspect(&folder, &surroundings);
            let choice = if asks { ask(&found)? } else { found.suggested() };
            Ok::<_, io::Error>((found, choice))
        });
        let decided = decided.await.map_err(io::Error::from).flatten();
        let (found, choice) = decided.map_err(|source| {
            let what = "ask for what the site manifest is to say".to_owned();
            Failure::Io { what, source }
        })?;
        let text = scaffold::manifest(&found, &choice).map_err(|mistakes| Failure::Config {
            file: file.clone(),
            mistakes,
        })?;
        write(&file, &text)?;
        let value = json::Init {
            file: shown(&file),
            name: choice.name.clone(),
            url: choice.url.clone(),
            export: choice.export.clone(),
            target: match choice.destination {
                TargetChoice::Local => "local".to_owned(),
                TargetChoice::Host { .. } => "production".to_owned(),
            },
            notes: found.notes(&choice),
        };
        let next = match (found.export(), &found.build) {
            (None, Some(build)) => build.value.join(" "),
            _ => again(&self.global, "plan"),
        };
        self.screen.summary(&value, || written(&value, &found, &next))?;
        Ok(0)
    }
}

/// Writes a new file completely or not at all. A file that was created in the meantime is not changed.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::File::create_new(file).and_then(|mut new| {
        new.write_all(text.as_bytes()).inspect_err(|_| {
            // An incomplete file would block the next attempt.
            let _ = std::fs::remove_file(file);
        })
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Failure::Exists { file: file.to_owned() },
        _ => Failure::cannot_write(file, source),
    })
}

fn written(value: &json::Init, found: &Project, next: &str) -> String {
    let name = found.name.as_ref().filter(|name| name.value == value.name);
    let url = found.url.as_ref().filter(|url| value.url.as_ref() == Some(&url.value));
    let no_url = "none yet: visitors' address goes into `url`";
    let rows = [
        ("name", &*value.name, name.map(|name| &name.from)),
        ("url", value.url.as_deref().unwrap_or(no_url), url.map(|url| &url.from)),
        ("export", &value.export, found.config_file()),
        ("target", &value.target, None),
    ];
    let rows = rows.map(|(key, value, from)| {
        let from = from.map_or_else(String::new, |from| format!("from {}", printable(from)));
        vec![key.to_owned(), printable(value), from]
    });
    let mut text = format!("wrote {}\n{}", value.file, table(&rows, &[]));
    text.extend(value.notes.iter().map(|note| format!("note: {}\n", printable(note))));
    text + "next: " + next + "\n"
}

/// Asks the user for what can't be found out. Each question has a default answer, which an empty line accepts.
fn ask(found: &Project) -> io::Result<Choice> {
    let mut choice = found.suggested();
    choice.name = question("Name of the site", &choice.name, ("site", "name"))?;
    let url = choice.url.clone().unwrap_or_default();
    let url = question(
        "Address that visitors use, as https://docs.example.com",
        &url,
        ("site", "url"),
    )?;
    choice.url = (!url.is_empty()).then_some(url);
    choice.export = question(
        &format!("Folder that `{}` writes", found.command()),
        &choice.export,
        ("site", "export"),
    )?;
    let aliases: Vec<&str> = found.aliases.iter().take(8).map(|alias| &*alias.name).collect();
    let known = match &*aliases.join(", ") {
        "" => String::new(),
        names => format!(", such as {}", printable(names)),
    };
    let own = found.own_host(&choice).map_or("local", |alias| &alias.name);
    let of_target = |key| ("targets.x", key);
    let text = format!("Publish to: a host{known}; or `local`, a folder here");
    let host = question(&text, own, of_target("host"))?;
    if host != "local" {
        let user = question("Account on it; empty for ssh's default", "", of_target("user"))?;
        let docroot = question("Docroot on it, as SFTP sees it", DOCROOT, of_target("docroot"))?;
        // In the setup that the documentation describes, the account is in a chroot.
        let outside = if docroot == DOCROOT { NGINX_ROOT } else { &docroot };
        let nginx_root = question("The same folder as nginx sees it", outside, of_target("nginx-root"))?;
        choice.destination = TargetChoice::Host {
            host,
            user: (!user.is_empty()).then_some(user),
            docroot,
            nginx_root,
        };
    }
    Ok(choice)
}

/// Checks an answer. The error is what the parser reports. An empty answer leaves out a key that has no default.
fn check_answer((table, key): (&str, &str), answer: &str) -> Result<(), String> {
    if answer.is_empty() && ["url", "user"].contains(&key) {
        return Ok(());
    }
    scaffold::check_value(table, key, answer).map_err(|error| {
        let problems = error.problems.iter();
        let problems = problems.map(|problem| format!("{}: {}", problem.message, problem.hint));
        problems.collect::<Vec<_>>().join("; ")
    })
}

/// Repeats a question until the answer is a valid value for a key of the site manifest.
fn question(text: &str, default: &str, key: (&str, &str)) -> io::Result<String> {
    let mut err = anstream::stderr();
    loop {
        let shown = match default {
            "" => String::new(),
            default => format!(" [{}]", printable(default)),
        };
        write!(err, "{text}{shown}: ")?;
        err.flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer = match line.trim() {
            "" => default,
            answer => answer,
        };
        match check_answer(key, answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(reason) => writeln!(err, "  {}", printable(&reason))?,
        }
    }
}

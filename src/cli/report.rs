//! Formats results and failures.
//!
//! Takes data and returns text. Only the functions that report how the command failed print: [`failure`], [`say`] and
//! [`usage`].

use std::error::Error as _;
use std::fmt::Write as _;

use syntax_publish::live::deliver::DeliverError;
use syntax_publish::model::path::printable;
use syntax_publish::model::release::{ReleaseId, timestamp};
use syntax_publish::site::SiteError;
use syntax_publish::site::check::Problem;
use syntax_publish::store;
use syntax_publish::store::StoreError;
use syntax_publish::store::pending_purges::Delivery;
use syntax_publish::store::releases::{Listed, Status};
use syntax_publish::store::session::Live;

use super::args::Global;
use super::failure::Failure;
use super::format::{ago, bytes, count, local, shortened, table};
use super::screen::{self, Screen};
use super::{json, live, problems};

/// Formats a time in the local time zone and, on a terminal, how long ago that was: "2026-11-29 07:20:11+00:00 (3 min
/// ago)".
pub fn when(seconds: i64) -> String {
    let text = local(timestamp(seconds));
    if screen::shows_results() {
        format!("{text} ({})", ago(seconds))
    } else {
        text
    }
}

/// Formats a time of a document for a column: on a terminal how long ago that was, otherwise the local time.
fn created(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) if screen::shows_results() => ago(at.as_second()),
        Ok(at) => when(at.as_second()),
        Err(_) => printable(text),
    }
}

/// Formats the releases of a target.
pub fn releases(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "nothing has been published yet\n".to_owned();
    }
    let mut rows = vec![
        ["", "release", "published", "files", "size", "commit", "message"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(listed.iter().map(|listed| {
        let mark = if listed.current { "*" } else { "" };
        let document = listed.document.as_ref();
        let text = |text: Option<&String>| printable(text.map_or("", String::as_str));
        vec![
            mark.to_owned(),
            listed.id.to_string(),
            document.map_or_else(|| "record damaged".to_owned(), |document| created(&document.created)),
            document.map_or_else(String::new, |document| document.files.to_string()),
            document.map_or_else(String::new, |document| bytes(document.bytes)),
            short(&text(document.and_then(|document| document.commit.as_ref()))),
            text(document.and_then(|document| document.message.as_ref())),
        ]
    }));
    let table = table(&rows, &[3, 4]);
    match screen::columns() {
        // Messages may be long, and each release has to fit on one line.
        Some(columns) => {
            table
                .lines()
                .map(|line| shortened(line, columns) + "\n")
                .collect::<String>()
                + "* live\n"
        }
        None => table + "* live\n",
    }
}

fn short(commit: &str) -> String {
    commit.chars().take(8).collect()
}

/// Formats what is live on a target.
pub fn status(status: &Status, place: &str) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    match &status.release {
        Some(release) => rows.push(("live", release.to_string())),
        None => rows.push(("live", "nothing yet".to_owned())),
    }
    rows.push(("where", place.to_owned()));
    if let Some(since) = status.since.filter(|_| status.release.is_some()) {
        rows.push(("since", when(since)));
    }
    if let Some(document) = &status.document {
        let files = format!("{}, {}", count(document.files, "file"), bytes(document.bytes));
        rows.push(("site", files));
        rows.extend(document.commit.iter().map(|commit| ("commit", printable(commit))));
        rows.extend(document.message.iter().map(|message| ("message", printable(message))));
        rows.push(("published", format!("by {}", printable(&document.who))));
    }
    let stored = format!(
        "{}, {} stored, {} in the pool",
        count(status.releases, "release"),
        bytes(status.bytes_stored),
        count(status.pool, "file")
    );
    rows.push(("store", stored));
    if let Some(known) = &status.delivery {
        rows.push(("visitors", delivery(known, status.release.as_ref())));
        if known.is_owing() {
            rows.push(("owed", "a CDN was not purged yet; the next publish does it".to_owned()));
        }
    }
    if let Some(hold) = &status.hold {
        rows.push(("on hold", printable(&hold.reason)));
        rows.push(("", format!("by {}, since {}", printable(&hold.who), when(hold.since))));
    }
    if let Some(lock) = &status.lock {
        let held = match &lock.owner {
            Some(owner) => format!(
                "{} of {}, since {}",
                printable(&owner.what),
                printable(&owner.who),
                when(owner.since)
            ),
            None => lock.name.clone(),
        };
        rows.push(("lock", held));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    table(&rows, &[])
}

/// Formats the result of the last check of the live site.
fn delivery(known: &Delivery, release: Option<&ReleaseId>) -> String {
    let Some(looked) = known.release.as_ref().filter(|looked| Some(*looked) == release) else {
        return "not verified since it went live".to_owned();
    };
    let sides = [("the origin", known.origin), ("the public URL", known.public)];
    let asked: Vec<&str> = sides
        .iter()
        .filter(|side| side.1.is_some())
        .map(|side| side.0)
        .collect();
    if asked.is_empty() {
        return format!("not verified: {looked} could not be checked");
    }
    let (at, asked) = (when(known.at), asked.join(" and "));
    match &known.first {
        None => format!("verified by {asked} ({at})"),
        Some(first) => {
            let problems = count(known.problems, "problem");
            format!("not verified: {problems} at {asked} ({at}); {}", printable(first))
        }
    }
}

/// Formats whether a release is intact.
pub fn verified(verified: &json::Verify) -> String {
    let mut text = String::new();
    for mended in verified.mended.iter().flatten() {
        let _ = writeln!(text, "repaired: {}: {}", mended.path, mended.problem);
    }
    for broken in &verified.problems {
        let _ = writeln!(text, "{}: {}", broken.path, broken.problem);
    }
    let checked = count(verified.checked, "file");
    let _ = if verified.ok {
        let signed = verified.signature.as_ref();
        let signed = signed.map_or_else(String::new, |by| format!(", signed by {} with {}", by.signer, by.key));
        writeln!(text, "{} is intact ({checked} checked{signed})", verified.release)
    } else {
        let found = count(verified.problems.len() as u64, "problem");
        writeln!(text, "{} is damaged: {found} ({checked} checked)", verified.release)
    };
    text
}

/// What the report of a failure says in addition to the failure itself.
pub struct FailureContext {
    pub global: Global,
    /// The target, as shown to the user.
    pub target: String,
    /// Whether the run had a session with the target.
    pub asked: bool,
    pub live: Live,
}

impl FailureContext {
    /// Returns the live release, if it is known.
    pub fn release(&self) -> Option<&ReleaseId> {
        match &self.live {
            Live::Release(release) => Some(release),
            Live::Nothing | Live::Unknown => None,
        }
    }
}

/// Formats what is live after a failure.
pub fn live_now(failure: &Failure, told: Option<&FailureContext>) -> String {
    let Some(told) = told.filter(|told| told.asked) else {
        return "unchanged; no target was contacted".to_owned();
    };
    if matches!(failure, Failure::Store(store::Error::Uncertain { .. })) {
        return "either the previous release or the new one; it is complete in both cases".to_owned();
    }
    match (&told.live, failure) {
        (Live::Release(release), _) => release.to_string(),
        (Live::Nothing, _) => "nothing yet".to_owned(),
        (Live::Unknown, Failure::Signal { .. }) => "not known".to_owned(),
        (Live::Unknown, _) => "unchanged".to_owned(),
    }
}

/// Formats a failure with its causes, each of them once.
pub fn message(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    printable_lines(&text)
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Reports a failure on stderr and, with `--json`, also on stdout. Returns the exit code.
pub fn failure(screen: &Screen, failure: &Failure, told: Option<&FailureContext>) -> u8 {
    if failure.is_closed_pipe() {
        return failure.exit_code();
    }
    if screen.json {
        let error = body(failure, told);
        // Even if stdout can't be written, the failure is still reported on stderr.
        let _ = screen.result(&json::Failed { error }, String::new);
    }
    say(screen, failure, told)
}

/// Returns a failure as `--json` reports it.
pub fn body(failure: &Failure, told: Option<&FailureContext>) -> json::FailedBody {
    json::FailedBody {
        code: failure.code().to_owned(),
        message: message(failure),
        hint: hint(failure, told),
        live: told.and_then(FailureContext::release).cloned(),
        problems: found(failure).to_vec(),
        answers: answers(failure).iter().map(live::Answer::from).collect(),
    }
}

/// Returns the findings of the checks, if they are the failure.
fn found(failure: &Failure) -> &[Problem] {
    match failure {
        Failure::Site(SiteError::Check { problems }) => problems,
        _ => &[],
    }
}

/// Returns the findings at the live site, if they are the failure.
fn answers(failure: &Failure) -> &[syntax_publish::live::Finding] {
    match failure {
        Failure::Delivery(DeliverError::RolledBack { findings, .. } | DeliverError::CannotGoBack { findings, .. }) => {
            findings
        }
        _ => &[],
    }
}

/// Reports a failure on stderr. Returns the exit code.
pub fn say(screen: &Screen, failure: &Failure, told: Option<&FailureContext>) -> u8 {
    live::tell(&answers(failure).iter().collect::<Vec<_>>(), screen.quiet);
    let mut message = message(failure);
    let found = found(failure);
    if !found.is_empty() {
        let extent = problems::Detail::of(screen);
        message = format!("{message}\n{}", problems::listed(found, extent, "  ").trim_end());
    }
    screen::say("error", &message);
    if let Some(told) = told.filter(|told| told.asked) {
        screen::say("target", &told.target);
    }
    screen::say("live", &live_now(failure, told));
    screen::say("hint", &hint(failure, told));
    failure.exit_code()
}

/// Returns what to do after a failure.
pub fn hint(failure: &Failure, told: Option<&FailureContext>) -> String {
    let is_full = matches!(
        failure,
        Failure::Store(store::Error::Store(StoreError::DiskFull { .. }))
    );
    if is_full && told.is_some_and(|told| told.live == Live::Nothing) {
        // There is no earlier release to delete.
        return "make room on the host, or publish to a larger disk".to_owned();
    }
    super::hints::hint(failure, told.map_or(&Global::NONE, |told| &told.global))
}

/// Prints help, the version, or a usage error. Returns the exit code.
pub fn usage(error: &clap::Error, json: bool) -> u8 {
    if !error.use_stderr() {
        // There is no other place to report that the help can't be printed.
        let _ = error.print();
        return 0;
    }
    if json {
        let rendered = error.render().to_string();
        let mut lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let body = json::FailedBody {
            code: "usage".to_owned(),
            message: first.strip_prefix("error: ").unwrap_or(first).to_owned(),
            hint: "see `syntax-publish --help`".to_owned(),
            ..json::FailedBody::default()
        };
        let screen = Screen {
            json,
            quiet: false,
            verbose: false,
        };
        let _ = screen.result(&json::Failed { error: body }, String::new);
    }
    let _ = error.print();
    2
}

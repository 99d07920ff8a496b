//! Formats results and failures.
//!
//! Takes data and returns text. Only the functions that report how the command failed print: [`failure`], [`say`] and
//! [`usage`].

use std::fmt::Write as _;

use syntax_publish::live::Finding;
use syntax_publish::live::deliver::DeliverError;
use syntax_publish::model::causes::with_causes;
use syntax_publish::model::path::printable;
use syntax_publish::model::release::{Owner, ReleaseId, timestamp};
use syntax_publish::site::SiteError;
use syntax_publish::site::check::Problem;
use syntax_publish::store::pending_purges::Delivery;
use syntax_publish::store::releases::{Listed, Status};
use syntax_publish::store::session::Live;
use syntax_publish::store::{self, StoreError};

use super::args::Global;
use super::failure::Failure;
use super::format::{ago, bytes, count, local, shortened, table};
use super::screen::{self, Screen};
use super::{hints, json, live, problems};

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
    let heads = ["", "release", "published", "files", "size", "commit", "message"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(listed.iter().map(|listed| {
        let mark = if listed.current { "*" } else { "" };
        let mut row = vec![mark.to_owned(), listed.id.to_string()];
        let text = |text: &Option<String>| printable(text.as_deref().unwrap_or_default());
        match &listed.document {
            None => row.push("record damaged".to_owned()),
            Some(document) => row.extend([
                created(&document.created),
                document.files.to_string(),
                bytes(document.bytes),
                // The start of a commit is enough to recognize it.
                text(&document.commit).chars().take(8).collect(),
                match &document.channel {
                    None => text(&document.message),
                    Some(channel) => format!("[{}] {}", printable(channel), text(&document.message)),
                },
            ]),
        }
        row
    }));
    let table = table(&rows, &[3, 4]);
    // Messages may be long, and each release has to fit on one line.
    let columns = screen::columns().unwrap_or(usize::MAX);
    let lines = table.lines().map(|line| shortened(line, columns) + "\n");
    lines.collect::<String>() + "* live\n"
}

/// Formats what is live on a target, and whether the vhost fits it, if that was asked.
pub fn status(status: &Status, place: &str, vhost: Option<&live::Vhost>) -> String {
    let release = status.release.as_ref();
    let live = release.map_or_else(|| "nothing yet".to_owned(), ToString::to_string);
    let mut rows: Vec<(&str, String)> = vec![("live", live), ("where", place.to_owned())];
    if let Some(since) = status.since.filter(|_| release.is_some()) {
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
        rows.push(("visitors", delivery(known, release)));
        if known.is_owing() {
            rows.push(("owed", "a CDN was not purged yet; the next publish does it".to_owned()));
        }
    }
    if let Some(vhost) = vhost {
        rows.extend(self::vhost(vhost));
    }
    if let Some(hold) = &status.hold {
        rows.push(("on hold", printable(&hold.reason)));
        rows.push(("", format!("by {}, since {}", printable(&hold.who), when(hold.since))));
    }
    if let Some(lock) = &status.lock {
        let held = |owner: &Owner| {
            let (what, who) = (printable(&owner.what), printable(&owner.who));
            format!("{what} of {who}, since {}", when(owner.since))
        };
        rows.push(("lock", lock.owner.as_ref().map_or_else(|| lock.name.clone(), held)));
    }
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    table(&rows.collect::<Vec<_>>(), &[])
}

/// Formats how the vhost fits the site. One that was written by hand, and that the site needs nothing of, has no line.
fn vhost(vhost: &live::Vhost) -> Vec<(&'static str, String)> {
    let said = match (vhost.state, &vhost.problem) {
        ("not-asked", Some(reason)) => format!("not asked: {}", printable(reason)),
        (_, Some(problem)) => {
            let said = ["is ", "was "].iter().find_map(|verb| problem.strip_prefix(verb));
            printable(said.unwrap_or(problem))
        }
        ("current", None) => "current".to_owned(),
        _ => return Vec::new(),
    };
    let fix = vhost.fix.iter().map(|fix| ("", fix.clone()));
    [("vhost", said)].into_iter().chain(fix).collect()
}

/// Formats the result of the last check of the live site.
fn delivery(known: &Delivery, release: Option<&ReleaseId>) -> String {
    let Some(looked) = known.release.as_ref().filter(|looked| Some(*looked) == release) else {
        return "not verified since it went live".to_owned();
    };
    let sides = [("the origin", known.origin), ("the public URL", known.public)];
    let asked = sides.into_iter().filter_map(|(name, result)| result.map(|_| name));
    let asked: Vec<&str> = asked.collect();
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
    for repaired in verified.mended.iter().flatten() {
        let _ = writeln!(text, "repaired: {}: {}", repaired.path, repaired.problem);
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
    /// What is live on the target. `None` if the run had no session with it.
    pub live: Option<Live>,
}

impl FailureContext {
    /// Returns the live release, if it is known.
    pub fn release(&self) -> Option<&ReleaseId> {
        match &self.live {
            Some(Live::Release(release)) => Some(release),
            Some(Live::Nothing | Live::Unknown) | None => None,
        }
    }
}

/// Formats what is live after a failure.
pub fn live_now(failure: &Failure, told: Option<&FailureContext>) -> String {
    // A run that can't go on can't say what it knew.
    if let (None, Failure::Bug { .. }) = (told, failure) {
        return "not known".to_owned();
    }
    let Some(live) = told.and_then(|told| told.live.as_ref()) else {
        return "unchanged; no target was contacted".to_owned();
    };
    if matches!(failure, Failure::Store(store::Error::Uncertain { .. })) {
        return "either the previous release or the new one; it is complete in both cases".to_owned();
    }
    match (live, failure) {
        (Live::Release(release), _) => release.to_string(),
        (Live::Nothing, _) => "nothing yet".to_owned(),
        (Live::Unknown, Failure::Signal { .. } | Failure::Bug { .. }) => "not known".to_owned(),
        (Live::Unknown, _) => "unchanged".to_owned(),
    }
}

/// Formats a failure with its causes, each of them once.
pub fn message(failure: &Failure) -> String {
    let text = with_causes(failure);
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
pub fn found(failure: &Failure) -> &[Problem] {
    match failure {
        Failure::Site(SiteError::Check(problems)) => problems,
        _ => &[],
    }
}

/// Returns the findings at the live site, if they are the failure.
fn answers(failure: &Failure) -> &[Finding] {
    match failure {
        Failure::Delivery(DeliverError::RolledBack { findings, .. } | DeliverError::CannotGoBack { findings, .. }) => {
            findings
        }
        _ => &[],
    }
}

/// Reports a failure on stderr. Returns the exit code.
pub fn say(screen: &Screen, failure: &Failure, told: Option<&FailureContext>) -> u8 {
    live::tell(answers(failure), screen.quiet);
    let mut message = message(failure);
    let found = found(failure);
    if !found.is_empty() {
        let listed = problems::listed(found, screen.verbose, "  ");
        message = format!("{message}\n{}", listed.trim_end());
    }
    screen::say("error", &message);
    if let Some(told) = told.filter(|told| told.live.is_some()) {
        screen::say("target", &told.target);
    }
    screen::say("live", &live_now(failure, told));
    screen::say("hint", &hint(failure, told));
    failure.exit_code()
}

/// Returns what to do after a failure.
pub fn hint(failure: &Failure, told: Option<&FailureContext>) -> String {
    let has_nothing = told.is_some_and(|told| told.live == Some(Live::Nothing));
    if let Failure::Store(store::Error::Store(StoreError::DiskFull { .. })) = failure
        && has_nothing
    {
        // There is no earlier release to delete.
        return "make room on the host, or publish to a larger disk".to_owned();
    }
    let none = Global::default();
    hints::hint(failure, told.map_or(&none, |told| &told.global))
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
            ..Screen::silent()
        };
        let _ = screen.result(&json::Failed { error: body }, String::new);
    }
    let _ = error.print();
    2
}

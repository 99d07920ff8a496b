//! What changes for visitors, as a table, and the words at the end of a publish.

use std::fmt::Write as _;
use std::time::Duration;

use syntax_publish::config::TargetKind;
use syntax_publish::manifest::{Change, ChangeKind, Changes};
use syntax_publish::publish::Published;

use super::args::Global;
use super::json;
use super::report::{bytes, count, seconds, table};
use super::site::{Workplace, again, quoted, shown};

/// A table of changes with their totals.
pub fn listed(changes: &Changes) -> String {
    first_listed(changes, usize::MAX)
}

/// The same with so many lines of the table at most.
fn first_listed(changes: &Changes, most: usize) -> String {
    if changes.list.is_empty() {
        return "no changes\n".to_owned();
    }
    let row = |change: &Change| {
        vec![
            mark(change.change).to_owned(),
            bytes(change.bytes),
            change.path.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = changes.list.iter().take(most).map(row).collect();
    let more = match changes.list.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("{}{more}{}\n", table(&rows, &[1]), totals(changes))
}

fn mark(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

/// The totals of some changes: "2 added (1.0 KiB), 1 changed (20 B), 0 removed".
fn totals(changes: &Changes) -> String {
    let of = |kind: ChangeKind| {
        let sum: u64 = changes
            .list
            .iter()
            .filter(|change| change.change == kind)
            .map(|change| change.bytes)
            .sum();
        match changes.count(kind) {
            0 => format!("0 {}", mark(kind)),
            number => format!("{number} {} ({})", mark(kind), bytes(sum)),
        }
    };
    [ChangeKind::Added, ChangeKind::Changed, ChangeKind::Removed]
        .map(of)
        .join(", ")
}

/// What a publish would do.
pub fn plan(plan: &json::Publish, changes: &Changes, workplace: &Workplace) -> String {
    short_plan(plan, changes, workplace, usize::MAX)
}

/// The same with so many changes at most.
pub fn short_plan(plan: &json::Publish, changes: &Changes, workplace: &Workplace, most: usize) -> String {
    let mut text = first_listed(changes, most);
    let unchanged = count(plan.unchanged, "file");
    let _ = match plan.objects_sent {
        0 => writeln!(
            text,
            "{unchanged} unchanged; {} has every file already",
            workplace.target_name
        ),
        objects => writeln!(
            text,
            "{unchanged} unchanged; at most {} to send to {}, {} before encoding",
            count(objects, "object"),
            workplace.target_name,
            bytes(plan.bytes_sent)
        ),
    };
    text
}

/// What a publish did, in five lines at most.
pub fn published(published: &Published, took: Duration, workplace: &Workplace, global: &Global) -> String {
    let target = &workplace.target_name;
    let release = &published.release;
    if !published.swapped {
        let files = count(published.files, "file");
        return format!(
            "nothing changed: {release} is live on {target} already ({files})\nlive: {}\n",
            live(workplace)
        );
    }
    let counts = json::Publish::counting(&published.changes, published.files);
    let first = published.previous.is_none();
    let mut text = if first {
        format!("published {release} to {target}: {}\n", count(published.files, "file"))
    } else {
        format!(
            "published {release} to {target}: {} added, {} changed, {} removed, {} unchanged\n",
            counts.added, counts.changed, counts.removed, counts.unchanged
        )
    };
    let (objects, sent) = (count(published.sent.objects, "object"), bytes(published.sent.bytes));
    let _ = writeln!(text, "sent {objects}, {sent}, in {}", seconds(took));
    let _ = writeln!(text, "live: {}", live(workplace));
    if let Some(look) = look(workplace) {
        let _ = writeln!(text, "look at it: {look}");
    }
    let _ = if first {
        writeln!(
            text,
            "next: `{}` prints the vhost that serves it",
            again(global, "nginx")
        )
    } else {
        writeln!(text, "undo: {}", again(global, "rollback"))
    };
    text
}

/// Where the live site is.
pub fn live(workplace: &Workplace) -> String {
    let place = format!("{}/current", workplace.place());
    match (&workplace.target.kind, &workplace.config.site.url) {
        (TargetKind::Sftp(_), Some(url)) => format!("{} ({place})", url.as_str()),
        _ => place,
    }
}

/// How to see a local target in a browser: with a server that finds pages by their names without `.html`, and follows
/// the symlinks between folders.
fn look(workplace: &Workplace) -> Option<String> {
    let TargetKind::Local { docroot } = &workplace.target.kind else {
        return None;
    };
    let current = workplace.path(docroot).ok()?.join("current");
    let folder = quoted(&shown(&current));
    Some(format!("npx serve --symlinks {folder}, then http://localhost:3000"))
}

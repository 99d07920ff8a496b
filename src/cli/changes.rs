//! Formats what changes for visitors, and the lines at the end of a publish.
//!
//! Pages are named by their URLs, and each is counted together with everything that belongs to it. Files, payloads and
//! objects are only shown with `-v`. Must not print anything: it takes data and returns text.

use std::fmt::Write as _;
use std::time::Duration;

use syntax_publish::config::TargetKind;
use syntax_publish::model::manifest::{Change, ChangeKind, Changes};
use syntax_publish::store::prune::Pruned;
use syntax_publish::store::publish::Published;

use super::args::Global;
use super::args::again;
use super::format::{bytes, count, seconds, table};
use super::json;
use super::pages::{Grouped, Item, mark};
use super::site::Workplace;

/// Maximum number of pages and files that a publish lists. `plan`, `diff` and `-v` list all.
const LISTED: usize = 6;

/// Formats the pages and files that changed, with their totals. With `files`, lists every file with its size.
pub fn listed(changes: &Changes, grouped: &Grouped, files: bool) -> String {
    first_listed(changes, grouped, files, usize::MAX)
}

/// Like [`listed`], with at most `most` lines in the list.
fn first_listed(changes: &Changes, grouped: &Grouped, files: bool, most: usize) -> String {
    let Some(total) = grouped.totals() else {
        return "no changes\n".to_owned();
    };
    if files {
        return format!("{}{}\n", every_file(changes, most), totals(changes));
    }
    format!("{}{total}\n", items(grouped, most, ""))
}

/// Formats the pages and files that changed, by URL, at most `most` of them.
fn items(grouped: &Grouped, most: usize, indent: &str) -> String {
    let all = grouped.items().count();
    let row = |item: &Item| vec![format!("{indent}{}", mark(item.change)), item.url.clone()];
    let rows: Vec<Vec<String>> = grouped.items().take(most).map(row).collect();
    let more = match all.saturating_sub(most) {
        0 => String::new(),
        more => format!("{indent}and {more} more\n"),
    };
    table(&rows, &[]) + &more
}

/// Formats the files of the site that changed, at most `most` of them.
fn every_file(changes: &Changes, most: usize) -> String {
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
    table(&rows, &[1]) + &more
}

/// Formats totals: "2 files added (1.0 KiB), 1 changed (20 B), 0 removed".
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
    let all = [ChangeKind::Added, ChangeKind::Changed, ChangeKind::Removed]
        .map(of)
        .join(", ");
    format!("files: {all}")
}

/// Formats what a publish would do. With `files`, lists every file.
pub fn plan(plan: &json::Publish, changes: &Changes, grouped: &Grouped, workplace: &Workplace, files: bool) -> String {
    let text = first_listed(changes, grouped, files, usize::MAX);
    text + &upload(plan, workplace, files)
}

/// Like [`plan`], with at most `most` changes.
pub fn short_plan(
    plan: &json::Publish,
    changes: &Changes,
    grouped: &Grouped,
    workplace: &Workplace,
    most: usize,
) -> String {
    first_listed(changes, grouped, false, most) + &upload(plan, workplace, false)
}

fn upload(plan: &json::Publish, workplace: &Workplace, files: bool) -> String {
    let target = &workplace.target_name;
    let mut text = match plan.objects_sent {
        0 => format!("nothing to upload: {target} already has every file\n"),
        _ => format!(
            "to upload to {target}: at most {} before compression\n",
            bytes(plan.bytes_sent)
        ),
    };
    if files {
        let _ = writeln!(
            text,
            "{} unchanged, {} to upload",
            count(plan.unchanged, "file"),
            count(plan.objects_sent, "object")
        );
    }
    text
}

/// Returns the site's name for messages, with the site manifest if it is not in the current folder.
pub fn site(workplace: &Workplace) -> String {
    let name = &workplace.config.site.name;
    match workplace.elsewhere() {
        None => name.clone(),
        Some(file) => format!("{name} ({file})"),
    }
}

/// Returns the first line of a publish, which is printed before any work is done.
pub fn begun(what: &str, workplace: &Workplace) -> String {
    let (site, target, place) = (site(workplace), &workplace.target_name, workplace.place());
    format!("{what} {site} to {target} ({place})")
}

/// Formats what a publish did, in a few lines.
pub fn published(
    published: &Published,
    grouped: &Grouped,
    took: Duration,
    workplace: &Workplace,
    global: &Global,
) -> String {
    let (site, target) = (site(workplace), &workplace.target_name);
    let release = &published.release;
    if !published.swapped {
        return format!(
            "nothing to publish: {site} {release} is already live on {target}\nlive: {}\n",
            live(workplace)
        );
    }
    let first = published.previous.is_none();
    let totals = grouped.totals();
    let totals = match &totals {
        Some(totals) if first => totals.replace(" added", ""),
        Some(totals) => totals.clone(),
        None => "no changes".to_owned(),
    };
    let mut text = format!("published {site} to {target}: {totals}\n");
    if global.verbose {
        text += &every_file(&published.changes, usize::MAX);
    } else if !first {
        text += &items(grouped, LISTED, "  ");
    }
    let objects = if global.verbose {
        format!(" in {}", count(published.sent.objects, "object"))
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "release: {release}, uploaded {}{objects} in {}",
        bytes(published.sent.bytes),
        seconds(took)
    );
    let _ = writeln!(text, "live: {}", live(workplace));
    if matches!(workplace.target.kind, TargetKind::Local { .. }) {
        let _ = writeln!(text, "preview: {}", again(global, "watch --open"));
    }
    if !first {
        let _ = writeln!(text, "undo: {}", again(global, "rollback"));
    }
    text
}

/// Returns where the live site is.
pub fn live(workplace: &Workplace) -> String {
    let place = format!("{}/current", workplace.place());
    match (&workplace.target.kind, &workplace.config.site.url) {
        (TargetKind::Sftp(_), Some(url)) => format!("{} ({place})", url.as_str()),
        _ => place,
    }
}

/// Formats what a publish pruned. `None` if no release was pruned.
pub fn pruned(pruned: Pruned) -> Option<String> {
    let releases = (pruned.releases > 0).then(|| count(pruned.releases, "old release"))?;
    Some(format!("pruned {releases}, {}", bytes(pruned.bytes)))
}

//! Formats what changes for visitors, and the lines at the end of a publish.
//!
//! Pages are named by their URLs, and each is counted together with everything that belongs to it. Files, payloads and
//! objects are only shown with `-v`. Must not print anything: it takes data and returns text.

use std::fmt::Write as _;
use std::time::Duration;

use syntax_publish::config::TargetKind;
use syntax_publish::model::manifest::{Change, ChangeKind};
use syntax_publish::store::prune::Pruned;
use syntax_publish::store::publish::Published;

use super::args::{Global, again};
use super::format::{bytes, count, seconds, table};
use super::json;
use super::pages::{Grouped, Item, KINDS, mark};
use super::site::Workplace;

/// Maximum number of pages and files that a publish lists. `plan`, `diff` and `-v` list all.
const LISTED: usize = 6;

/// Formats the pages and files that changed, at most `most` of them, with their totals. With `files`, lists files with
/// their sizes.
pub fn listed(changes: &[Change], grouped: &Grouped, files: bool, most: usize) -> String {
    match grouped.totals() {
        None => "no changes\n".to_owned(),
        Some(_) if files => format!("{}{}\n", every_file(changes, most), totals(changes)),
        Some(total) => format!("{}{total}\n", items(grouped, most, "")),
    }
}

/// Formats the pages and files that changed, by URL, at most `most` of them.
fn items(grouped: &Grouped, most: usize, indent: &str) -> String {
    let row = |item: &Item| vec![format!("{indent}{}", mark(item.change)), item.url.clone()];
    first_rows(grouped.items().map(row).collect(), &[], most, indent)
}

/// Formats the files of the site that changed, at most `most` of them.
fn every_file(changes: &[Change], most: usize) -> String {
    let row = |change: &Change| {
        let (mark, path) = (mark(change.change).to_owned(), change.path.to_string());
        vec![mark, bytes(change.bytes), path]
    };
    first_rows(changes.iter().map(row).collect(), &[1], most, "")
}

/// Formats a table, at most `most` rows of it. Columns listed in `right` are aligned to the right.
fn first_rows(mut rows: Vec<Vec<String>>, right: &[usize], most: usize, indent: &str) -> String {
    let more = match rows.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("{indent}and {more} more\n"),
    };
    rows.truncate(most);
    table(&rows, right) + &more
}

/// Formats totals: "2 files added (1.0 KiB), 1 changed (20 B), 0 removed".
fn totals(changes: &[Change]) -> String {
    let of = |kind: ChangeKind| {
        let sizes = changes.iter().filter(|change| change.change == kind);
        let sizes: Vec<u64> = sizes.map(|change| change.bytes).collect();
        match sizes.len() {
            0 => format!("0 {}", mark(kind)),
            number => format!("{number} {} ({})", mark(kind), bytes(sizes.iter().sum())),
        }
    };
    format!("files: {}", KINDS.map(of).join(", "))
}

/// Formats what a publish would do, with at most `most` changes. With `files`, lists files.
pub fn plan(plan: &json::Publish, grouped: &Grouped, workplace: &Workplace, files: bool, most: usize) -> String {
    let target = &workplace.target_name;
    let mut text = listed(plan.changes.as_deref().unwrap_or_default(), grouped, files, most);
    let size = bytes(plan.bytes_sent);
    let _ = match plan.objects_sent {
        0 => writeln!(text, "nothing to upload: {target} already has every file"),
        _ => writeln!(text, "to upload to {target}: at most {size} before compression"),
    };
    if files {
        let (unchanged, objects) = (count(plan.unchanged, "file"), count(plan.objects_sent, "object"));
        let _ = writeln!(text, "{unchanged} unchanged, {objects} to upload");
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

/// Formats what a publish to a channel did, in a few lines. The changes are those from the live release.
pub fn published_to_channel(
    published: &Published,
    grouped: &Grouped,
    took: Duration,
    workplace: &Workplace,
    global: &Global,
) -> String {
    let (site, target) = (site(workplace), &workplace.target_name);
    let totals = grouped.totals().unwrap_or_else(|| "no changes".to_owned());
    let mut text = format!("published a preview of {site} to {target}, compared with what is live: {totals}\n");
    text += &changed_and_sent(published, grouped, took, global);
    text
}

/// Formats what a publish changed, unless it was the first, and what it sent.
fn changed_and_sent(published: &Published, grouped: &Grouped, took: Duration, global: &Global) -> String {
    let changed = if global.screen.verbose {
        every_file(&published.changes.list, usize::MAX)
    } else if published.previous.is_some() {
        items(grouped, LISTED, "  ")
    } else {
        String::new()
    };
    let (size, objects) = (bytes(published.sent.bytes), count(published.sent.objects, "object"));
    let objects = if global.screen.verbose {
        format!(" in {objects}")
    } else {
        String::new()
    };
    let (release, took) = (&published.release, seconds(took));
    format!("{changed}release: {release}, uploaded {size}{objects} in {took}\n")
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
    text += &changed_and_sent(published, grouped, took, global);
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

//! Data that a host returns and this tool reads: manifests, release documents, and the texts of symlinks.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::Value;
use syntax_publish::model::digest::Digest;
use syntax_publish::model::layout;
use syntax_publish::model::path::check_name;
use syntax_publish::model::release::{Generation, Hold, Owner, ReleaseDocument, ReleaseId, RunId};
use syntax_publish::model::tree::{Entry, Tree};
use syntax_publish::store::open::read_current;

fn number(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn holds(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// A manifest that can be read has only this one form, and none of its names leads outside.
pub fn manifest(text: &str) -> Result<u64, String> {
    let tree = match Tree::parse(text) {
        Ok(tree) => tree,
        Err(error) => {
            return Ok(number(
                error.to_string().split_whitespace().next_back().map(str::to_owned),
            ));
        }
    };
    holds(
        tree.render() == text,
        "a manifest that would be written otherwise is read",
    )?;
    holds(
        tree.digest() == Digest::of(text.as_bytes()),
        "its digest is not that of its text",
    )?;
    for (name, entry) in &tree.entries {
        holds(check_name(name).is_ok(), "a name that is none is read")?;
        let path = match entry {
            Entry::File(file) => layout::object(file.digest),
            Entry::Folder(digest) => layout::tree(*digest),
            Entry::Redirect(redirect) => layout::moved(redirect),
        };
        holds(!path.contains(".."), "an entry leads up")?;
    }
    let encoded = tree
        .files()
        .filter(|(_, file)| file.encodings.iter().next().is_some())
        .count();
    Ok(number((
        tree.files().count().min(3),
        tree.folders().count().min(3),
        encoded.min(3),
    )))
}

/// Whether everything in `before` is also in `after`.
fn survives(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, value)| match after.get(key) {
            Some(after) => value == after,
            // For an optional field, absent and null mean the same.
            None => value.is_null(),
        }),
        _ => before == after,
    }
}

/// A document that can be read loses nothing when it is written again, and names nothing outside the store.
pub fn document(text: &str) -> Result<u64, String> {
    let document: ReleaseDocument = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => return Ok(number(error.classify() as u8)),
    };
    let again = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    let (before, after) = (serde_json::from_str(text), serde_json::from_str::<Value>(&again));
    if let (Ok(before), Ok(after)) = (before, after) {
        holds(survives(&before, &after), "something of it is lost")?;
    }
    let read: ReleaseDocument = serde_json::from_str(&again).map_err(|error| format!("not read again: {error}"))?;
    holds(read == document, "it is another one when read again")?;
    for id in std::iter::once(&document.id).chain(&document.previous) {
        inside(&layout::release(id))?;
        inside(&layout::release_signature(id))?;
    }
    Ok(number((
        document.previous.is_some(),
        document.commit.is_some(),
        document.more.len().min(3),
    )))
}

fn inside(path: &str) -> Result<(), String> {
    let strange = |segment: &str| matches!(segment, "" | "." | "..");
    holds(
        path.matches('/').count() == 1 && !path.split('/').any(strange),
        "a path that leads elsewhere",
    )
}

/// The texts of symlinks and the names of files: however they are parsed, writing and reading them again gives the same
/// value.
pub fn record(text: &str) -> Result<u64, String> {
    let generation: Option<Generation> = text.parse().ok();
    if let Some(generation) = &generation {
        let again = generation.to_string().parse().ok();
        holds(
            again.as_ref() == Some(generation),
            "a generation is another one when read again",
        )?;
        // The next run counts on from here.
        holds(
            generation.clock.checked_add(1 << 32).is_some(),
            "a clock without a next second",
        )?;
        let next = ReleaseId::new(generation.made + 1, "abcdef");
        holds(next.as_str() > "1970", "a release before time")?;
    }
    let current = read_current(text);
    if let Some(id) = &current {
        inside(&layout::release(id))?;
    }
    let run: Option<RunId> = text.parse().ok();
    if let Some(run) = &run {
        inside(&layout::workshop_stale(run))?;
        inside(&layout::workshop_holding(run))?;
    }
    let hold = Hold::read(text);
    holds(
        hold.who == "somebody" || serde_json::from_str::<Hold>(text).is_ok(),
        "a hold of somebody else",
    )?;
    let owner: Option<Owner> = serde_json::from_str(text).ok();
    let object = layout::is_object(text);
    holds(!object || !text.contains(".."), "an object that leads up")?;
    Ok(number((
        generation.is_some(),
        current.is_some(),
        run.is_some(),
        hold.since == 0,
        owner.is_some(),
        object,
    )))
}

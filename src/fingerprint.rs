//! The fingerprint stage: from the export's files to the site's.
//!
//! A stable build id takes the place of the random one, and what pages show gets a second name that follows its bytes,
//! so that it can be cached for good. Every file keeps its first name. Reads the export through a [`Source`] and keeps
//! none of what it reads: the bytes of a rewritten file are made again when they are sent (`finished.rs`), and are the
//! same, or the file changed. It must never touch text, nor script, nor a file that can't be read exactly.

mod finished;
mod names;
mod rewrite;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use globset::GlobSet;
use memchr::memmem;
use rayon::prelude::*;

use self::finished::{Finished, Origin};
pub use self::names::{NEVER, is_picked};
use self::rewrite::{Change, Rewriter};
use crate::event::{Event, Note, Observer, Stage};
use crate::model::asset::{Asset, GivenEncodings};
use crate::model::digest::Digest;
use crate::model::path::SitePath;
use crate::next::build_id;
use crate::next::url::Resolver;
use crate::source::{Source, SourceError};
use crate::survey::{Kind, Rewritten, Survey};

/// What is to be done.
pub struct Options<'a> {
    /// Whether the build id is replaced by one that follows the client's code.
    pub stable_build_id: bool,
    /// Which files get a fingerprint; none: those that [`is_picked`] names.
    pub include: Option<&'a GlobSet>,
    /// Which files get none, whatever `include` says.
    pub exclude: &'a GlobSet,
    /// The folder of the copies.
    pub prefix: &'a str,
    /// The address of the site.
    pub origin: Option<&'a str>,
}

/// The files of the site.
pub struct Site {
    /// Every file under its public path, sorted.
    pub assets: Vec<Asset>,
    /// Where their bytes come from.
    pub source: Arc<dyn Source>,
    /// What became of each file of the export, for the cache of facts.
    pub rewritten: Vec<Option<Rewritten>>,
}

/// Gives the files of an export their names and bytes in the site. `assets` are sorted by path.
///
/// # Errors
/// [`SourceError`] where a file can't be read, or changed since the scan.
pub fn fingerprint(
    assets: &[Asset],
    survey: &Survey,
    export: Arc<dyn Source>,
    options: &Options<'_>,
    observer: &dyn Observer,
) -> Result<Site, SourceError> {
    let resolver = Resolver::new(options.origin, &survey.base_path);
    let rename = if options.stable_build_id {
        renaming(assets, survey, &*export, observer)?
    } else {
        None
    };
    let mut rewriter = Rewriter::new(resolver, rename);
    let copies = names::name(assets, survey, &*export, options, &mut rewriter)?;
    observer.notice(Event::StageMeasured {
        stage: Stage::Fingerprint,
        items: assets.len() as u64,
        bytes: assets.iter().map(|asset| asset.size).sum(),
    });
    let rewriter = Arc::new(rewriter);

    let changed: Result<Vec<Option<Outcome>>, SourceError> = (0..assets.len())
        .into_par_iter()
        .map(|index| {
            let digested = outcome(assets, index, survey, &*export, &rewriter);
            observer.notice(Event::Progressed {
                stage: Stage::Fingerprint,
                items: 1,
                bytes: assets[index].size,
            });
            digested
        })
        .collect();
    let changed = changed?;

    // Nearly all files of most sites; were one too many for it, it would grow to twice the room.
    let mut origins: Vec<(SitePath, Origin)> = Vec::with_capacity(assets.len() + copies.len());
    let mut finished = Vec::with_capacity(assets.len() + copies.len());
    let rewritten = changed
        .iter()
        .map(|outcome| Some(outcome.as_ref()?.rewritten))
        .collect();
    for (asset, changed) in assets.iter().zip(changed) {
        let path = rewriter
            .renamed(asset.path.as_str())
            .and_then(|path| SitePath::new(&path).ok());
        let path = path.unwrap_or_else(|| asset.path.clone());
        let new = changed.and_then(|outcome| Some((outcome.change, outcome.rewritten.result?)));
        let (change, digest, size) = match new {
            Some((change, (digest, size))) => (Some(change), Digest::from_bytes(digest), size),
            None => (None, asset.digest, asset.size),
        };
        finished.push(entry(&mut origins, asset, path, change, digest, size));
    }
    for copy in copies {
        if let Some(asset) = assets.get(copy.of) {
            finished.push(entry(
                &mut origins,
                asset,
                copy.path,
                copy.change,
                copy.digest,
                copy.size,
            ));
        }
    }
    finished.sort_by(|a, b| a.path.cmp(&b.path));
    origins.shrink_to_fit();
    Ok(Site {
        assets: finished,
        source: Arc::new(Finished::new(export, rewriter, origins)),
        rewritten,
    })
}

/// The site's file for a file of the export, and where its bytes come from.
fn entry(
    origins: &mut Vec<(SitePath, Origin)>,
    asset: &Asset,
    path: SitePath,
    change: Option<Change>,
    digest: Digest,
    size: u64,
) -> Asset {
    // An encoding that the export brought along is that of its own bytes.
    let given = if change.is_none() {
        asset.given.clone()
    } else {
        GivenEncodings::default()
    };
    if path != asset.path || change.is_some() {
        let origin = Origin {
            path: asset.path.clone(),
            digest: asset.digest,
            size: asset.size,
            change,
        };
        origins.push((path.clone(), origin));
    }
    Asset {
        path,
        digest,
        size,
        given,
    }
}

/// The old build id and the new; none where there is none, or where it can't be replaced everywhere.
fn renaming(
    assets: &[Asset],
    survey: &Survey,
    export: &dyn Source,
    observer: &dyn Observer,
) -> Result<Option<(String, String)>, SourceError> {
    let ids = survey.build_ids(assets);
    let mut ids = ids.into_iter();
    let (Some(old), None) = (ids.next(), ids.next()) else {
        // None at all, or those of several builds, of which a check tells.
        return Ok(None);
    };
    let new = build_id::stable(assets.iter().map(|asset| (asset.path.as_str(), asset.digest)), &old);
    for (asset, facts) in assets.iter().zip(&survey.facts) {
        let Some(unclear) = &facts.unclear else { continue };
        let bytes = export.read(&asset.path, asset.digest, asset.size)?;
        let named = [old.clone(), build_id::in_comment(&old)];
        if !old.is_empty() && named.iter().any(|id| memmem::find(&bytes, id.as_bytes()).is_some()) {
            observer.notice(Event::Noted(Note::BuildIdKept {
                path: asset.path.clone(),
                reason: unclear.to_string(),
            }));
            return Ok(None);
        }
    }
    Ok((old != new).then_some((old, new)))
}

/// What becomes of a file that can be rewritten.
struct Outcome {
    change: Change,
    rewritten: Rewritten,
}

/// What becomes of a file; `None`: it stays as it is, whatever it holds.
fn outcome(
    assets: &[Asset],
    index: usize,
    survey: &Survey,
    export: &dyn Source,
    rewriter: &Rewriter,
) -> Result<Option<Outcome>, SourceError> {
    let (Some(asset), Some(kind), Some(facts)) = (assets.get(index), survey.kinds.get(index), survey.facts.get(index))
    else {
        return Ok(None);
    };
    if facts.unclear.is_some() || facts.not_utf8.is_some() {
        return Ok(None);
    }
    let (page, language) = match kind {
        Kind::Page => (index, rewrite::Language::Page),
        Kind::Payload(page) => (*page, rewrite::Language::Payload),
        Kind::Data(page) => (*page, rewrite::Language::Data),
        _ => return Ok(None),
    };
    let allowed = rewriter.allowed(survey.facts.get(page).map_or(&[], |facts| &facts.used));
    if allowed.is_empty() && rewriter.rename().is_none() {
        return Ok(None);
    }
    let change = Change {
        language,
        base: assets.get(page).unwrap_or(asset).path.clone(),
        allowed,
    };
    let key = rewriter.key(&change);
    let known = survey
        .learned
        .as_ref()
        .and_then(|learned| learned.rewritten(index, &key));
    if let Some(rewritten) = known {
        return Ok(Some(Outcome { change, rewritten }));
    }
    let bytes = export.read(&asset.path, asset.digest, asset.size)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Ok(None);
    };
    let new = rewriter.rewrite(text, &change);
    let result = new
        .as_ref()
        .map(|new| (*Digest::of(new.as_bytes()).as_bytes(), new.len() as u64));
    let text = new.as_deref().unwrap_or(text);
    let has_id = rewriter
        .rename()
        .is_some_and(|(old, _)| text.contains(old.as_str()) || text.contains(&build_id::in_comment(old)));
    let rewritten = Rewritten {
        key: *key.as_bytes(),
        has_id,
        result,
    };
    Ok(Some(Outcome { change, rewritten }))
}

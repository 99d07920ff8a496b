//! The fingerprint stage, which turns the files of the export into those of the site.
//!
//! It replaces the random build ID with a stable one, in all bytes of all files. In pages, the URLs of files that a
//! page shows get the hash of the content as a query, and a copy of each such file that can be cached for good has this
//! hash in its name. Every file keeps its own address. The stage reads the export through a [`Source`] and keeps
//! nothing that it reads: the bytes of a rewritten file are made again when they are sent (`rewriting_source.rs`). They
//! are then the same, unless the file changed. This stage must never change anything that a browser, a crawler or a
//! service worker could notice. If that can't be proved, a file stays as it is.

mod names;
mod rewrite;
mod rewriting_source;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use globset::GlobSet;
use rayon::prelude::*;

pub use self::names::NEVER;
use self::rewrite::{Language, PagePolicy, RewritePlan, Rewriter};
use self::rewriting_source::{ByteOrigin, RewritingSource};
use crate::config::Csp;
use crate::model::asset::{Asset, GivenEncodings};
use crate::model::cache::Classes;
use crate::model::digest::Digest;
use crate::model::event::{Event, Note, Observer, Stage};
use crate::model::path::SitePath;
use crate::next::build_id::{self, Mention, Renaming};
use crate::next::policy;
use crate::next::url::Resolver;
use crate::rules::headers;
use crate::site::source::{Source, SourceError};
use crate::site::survey::{FileKind, MAX_TEXT, Rewritten, Survey};

/// The options of the fingerprint stage.
pub struct Options<'a> {
    /// Whether to replace the build ID with one that is derived from the client's code.
    pub stable_build_id: bool,
    /// The files that get a fingerprint; `None` for those that [`crate::rules::fingerprint::is_picked`] selects.
    pub include: Option<&'a GlobSet>,
    /// The files that get no fingerprint, even if `include` matches.
    pub exclude: &'a GlobSet,
    /// The cache classes of the site's files, and the folder of the copies.
    pub classes: &'a Classes,
    /// The address of the site.
    pub origin: Option<&'a str>,
    /// The content security policy that pages state; `None` if they state none.
    pub csp: Option<&'a Csp>,
}

/// The files of the site.
pub struct Site {
    /// Every file under its public path, sorted.
    pub assets: Vec<Asset>,
    /// The source of their bytes.
    pub source: Arc<dyn Source>,
    /// The result of the rewrite of each file of the export, for the cache of facts.
    pub rewritten: Vec<Option<Rewritten>>,
    /// How the build ID is replaced, if it is.
    pub renaming: Option<Renaming>,
}

/// Turns the files of an export into the files of the site. `assets` are sorted by path.
///
/// # Errors
/// [`SourceError`] if a file can't be read, or changed since the scan.
pub fn fingerprint(
    assets: &[Asset],
    survey: &Survey,
    export: Arc<dyn Source>,
    options: &Options<'_>,
    observer: &dyn Observer,
) -> Result<Site, SourceError> {
    let resolver = Resolver::new(options.origin, &survey.base_path).with_asset_prefix(&survey.asset_prefix);
    let surveyed = SurveyedExport {
        assets,
        survey,
        source: &*export,
    };
    let renaming = if options.stable_build_id {
        surveyed.renaming(observer)?
    } else {
        None
    };
    let build_id = renaming.as_ref().map(Renaming::to).or(survey.build_id.as_deref());
    let policy = options.csp.map(|csp| PagePolicy {
        policy: csp.policy.clone(),
        shared: survey.shared_scripts(build_id.unwrap_or_default()).unwrap_or_default(),
    });
    let mut rewriter = Rewriter::new(resolver, renaming, policy);
    surveyed.set_proofs(&mut rewriter)?;
    let copies = names::name(assets, survey, options, &mut rewriter);
    observer.measured(
        Stage::Fingerprint,
        assets.len() as u64,
        assets.iter().map(|asset| asset.size).sum(),
    );
    let rewriter = Arc::new(rewriter);

    let changed: Result<Vec<Option<RewriteOutcome>>, SourceError> = (0..assets.len())
        .into_par_iter()
        .map(|index| {
            let digested = surveyed.outcome(index, &rewriter, options.csp);
            observer.progressed(Stage::Fingerprint, 1, assets[index].size);
            digested
        })
        .collect();
    let changed = changed?;

    // Room for every file, because most sites rewrite nearly all of them. A vector that is one entry too small would
    // double its memory.
    let mut finished = Finished {
        assets: Vec::with_capacity(assets.len() + copies.len()),
        origins: Vec::with_capacity(assets.len() + copies.len()),
    };
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
        finished.add(asset, path, new);
    }
    for copy in copies {
        if let Some(asset) = assets.get(copy.of) {
            finished.add(asset, copy.path, None);
        }
    }
    if let Some((path, asset)) = deployment_mark(assets, survey) {
        finished.add(asset, path, None);
    }
    finished.assets.sort_by(|a, b| a.path.cmp(&b.path));
    finished.origins.shrink_to_fit();
    Ok(Site {
        assets: finished.assets,
        renaming: rewriter.renaming.clone(),
        source: Arc::new(RewritingSource::new(export, rewriter, finished.origins)),
        rewritten,
    })
}

/// Returns the file whose name states the deployment of the release, which the server looks for. It is a second name of
/// the smallest file, because only the name counts.
fn deployment_mark<'a>(assets: &'a [Asset], survey: &Survey) -> Option<(SitePath, &'a Asset)> {
    let path = headers::deployment_mark(survey.client.deployment_id.as_deref()?)?;
    if assets.iter().any(|asset| asset.path.as_str() == path) {
        return None;
    }
    let smallest = assets.iter().min_by_key(|asset| (asset.size, &asset.path))?;
    Some((SitePath::new(&path).ok()?, smallest))
}

/// The files of the site, and the origins of those bytes that are not the export's at the same path.
struct Finished {
    assets: Vec<Asset>,
    origins: Vec<(SitePath, ByteOrigin)>,
}

impl Finished {
    /// Adds a file of the export under its path in the site. `new`: how its bytes change, and their digest and number
    /// then.
    fn add(&mut self, asset: &Asset, path: SitePath, new: Option<(RewritePlan, (Digest, u64))>) {
        let is_changed = new.is_some();
        let (change, (digest, size)) = new.map_or((None, (asset.digest, asset.size)), |(plan, new)| (Some(plan), new));
        if path != asset.path || is_changed {
            let origin = ByteOrigin {
                path: asset.path.clone(),
                digest: asset.digest,
                size: asset.size,
                change,
            };
            self.origins.push((path.clone(), origin));
        }
        // An encoding in the export belongs to the unchanged bytes only.
        let given = if is_changed {
            GivenEncodings::default()
        } else {
            asset.given.clone()
        };
        self.assets.push(Asset {
            path,
            digest,
            size,
            given,
        });
    }
}

/// Returns the first file that keeps the build ID from being replaced, and the reason.
#[must_use]
pub fn obstacle<'a>(assets: &'a [Asset], survey: &Survey) -> Option<(&'a SitePath, &'static str)> {
    let id = survey.build_id.as_deref()?;
    let is_random = build_id::is_random(id);
    let folder = format!("/{id}/");
    let proof_of = |asset: &'a Asset| PROOFS.iter().find_map(|end| asset.path.as_str().strip_suffix(end));
    let proved: HashSet<&str> = assets.iter().filter_map(proof_of).collect();
    assets.iter().zip(&survey.facts).find_map(|(asset, facts)| {
        let path = asset.path.as_str();
        let reason = match facts.mention {
            Mention::None if is_random || !path.replace(&folder, "/").contains(id) => return None,
            Mention::None => "its name holds the id",
            _ if asset.size > MAX_TEXT => "it holds the id and is too large to be changed",
            Mention::Elsewhere if !is_random => {
                "it holds the id as a text; with a constant `generateBuildId`, only pages that changed would be published"
            }
            _ if proved.contains(path) => "it holds the id, and a file beside it proves its bytes",
            _ => return None,
        };
        Some((&asset.path, reason))
    })
}

/// The endings of files that prove the bytes of another file. The rest of the name is that of the other file.
const PROOFS: &[&str] = &[
    ".asc", ".md5", ".minisig", ".sha1", ".sha256", ".sha384", ".sha512", ".sig",
];

/// Returns a rewrite plan without parsing the file.
fn unread(asset: &Asset) -> RewritePlan {
    RewritePlan {
        language: Language::Unread,
        base: asset.path.clone(),
        allowed: Arc::default(),
        has_policy: false,
    }
}

/// The result for a file that can be rewritten.
struct RewriteOutcome {
    change: RewritePlan,
    rewritten: Rewritten,
}

/// An export, the facts about it, and its bytes.
#[derive(Clone, Copy)]
struct SurveyedExport<'a> {
    assets: &'a [Asset],
    survey: &'a Survey,
    source: &'a dyn Source,
}

impl SurveyedExport<'_> {
    fn read(self, asset: &Asset) -> Result<Vec<u8>, SourceError> {
        self.source.read(&asset.path, asset.digest, asset.size)
    }

    /// Returns the change of the build ID; `None` if there is no build ID, or if it can't be replaced everywhere.
    fn renaming(self, observer: &dyn Observer) -> Result<Option<Renaming>, SourceError> {
        let Some(old) = &self.survey.build_id else {
            return Ok(None);
        };
        if self.survey.build_ids(self.assets).len() > 1 {
            // Files of several builds. A check reports them.
            return Ok(None);
        }
        if let Some((path, reason)) = obstacle(self.assets, self.survey) {
            observer.notice(Event::Noted(Note::BuildIdKept {
                path: path.clone(),
                reason: reason.to_owned(),
            }));
            return Ok(None);
        }
        let mut code = Vec::new();
        for (asset, facts) in self.assets.iter().zip(&self.survey.facts) {
            if build_id::is_code(asset.path.as_str()) {
                let digest = match facts.mention {
                    Mention::None => asset.digest,
                    _ => build_id::digest_without(&self.read(asset)?, old),
                };
                code.push((asset.path.as_str(), digest));
            }
        }
        Ok(Renaming::new(old, &build_id::stable(code.into_iter(), old)))
    }

    /// Computes the hashes of the scripts and style sheets that the build ID changes, before and after the change:
    /// `integrity` may contain them in any text. A script that contains the hash of another changes with it, so this
    /// repeats until nothing changes.
    fn set_proofs(self, rewriter: &mut Rewriter) -> Result<(), SourceError> {
        if rewriter.renaming.is_none() {
            return Ok(());
        }
        let mut proved = Vec::new();
        for (asset, facts) in self.assets.iter().zip(&self.survey.facts) {
            let path = asset.path.as_str();
            let is_loaded = [".js", ".mjs", ".css"].iter().any(|end| path.ends_with(end));
            if is_loaded && facts.mention != Mention::None {
                proved.push((asset, self.read(asset)?));
            }
        }
        for _ in 0..proved.len() {
            let proofs: Vec<(String, String)> = proved
                .iter()
                .filter_map(|(asset, old)| Some((old, rewriter.rewrite(old, &unread(asset))?)))
                .flat_map(|(old, new)| policy::hashes(old).into_iter().zip(policy::hashes(&new)))
                .collect();
            if proofs == rewriter.proofs {
                break;
            }
            rewriter.proofs = proofs;
        }
        Ok(())
    }

    /// Returns the result for a file; `None` if it stays as it is.
    fn outcome(
        self,
        index: usize,
        rewriter: &Rewriter,
        csp: Option<&Csp>,
    ) -> Result<Option<RewriteOutcome>, SourceError> {
        let Self { assets, survey, .. } = self;
        let (Some(asset), Some(kind), Some(facts)) =
            (assets.get(index), survey.kinds.get(index), survey.facts.get(index))
        else {
            return Ok(None);
        };
        // A payload file may use the same fingerprints as its page.
        let with_fingerprints = |page: usize, language| {
            Some(RewritePlan {
                language,
                base: assets.get(page)?.path.clone(),
                allowed: rewriter.allowed(&survey.facts.get(page)?.used),
                has_policy: false,
            })
        };
        let is_read = facts.unclear.is_none() && facts.not_utf8.is_none();
        let mut change = match kind {
            FileKind::Page if is_read => with_fingerprints(index, Language::Page),
            FileKind::Payload(page) if is_read => with_fingerprints(*page, Language::Payload),
            _ => None,
        }
        .unwrap_or_else(|| unread(asset));
        let has_id = facts.mention != Mention::None;
        let may_have_proofs = !rewriter.proofs.is_empty() && kind.is_of_browsers() && asset.size <= MAX_TEXT;
        let has_policy = *kind == FileKind::Page
            && asset.size <= MAX_TEXT
            && csp.is_some_and(|csp| !csp.is_excluded(asset.path.as_str()));
        if change.allowed.is_empty() {
            if !(has_policy || may_have_proofs || has_id && rewriter.renaming.is_some()) {
                return Ok(None);
            }
            change = unread(asset);
            // The policy of the page may have to change, even if its payload can't be parsed.
            if *kind == FileKind::Page {
                change.language = Language::Page;
            }
        }
        change.has_policy = has_policy;
        let key = rewriter.key(&change);
        let learned = survey.learned.as_ref();
        if let Some(rewritten) = learned.and_then(|learned| learned.rewritten(index, &key)) {
            return Ok(Some(RewriteOutcome { change, rewritten }));
        }
        let new = rewriter.rewrite(&self.read(asset)?, &change);
        let rewritten = Rewritten {
            key,
            has_id: has_id && rewriter.renaming.is_none(),
            result: new.map(|new| (Digest::of(&new), new.len() as u64)),
        };
        Ok(Some(RewriteOutcome { change, rewritten }))
    }
}

//! Compares a site with the live release for `growth` of `[budget]`: by how many bytes it has grown, and which files make
//! most of that. Pure.
//!
//! Both sites are counted as the manifests count: bytes of all files without their encodings. A build gives what changed another
//! name, so a file is compared with the one of the live release that it most likely replaces.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::Problem;
use super::check::budget::{Growing, GrownFile, Spending, growth_problem};
use crate::config::{Budget, Growth, Level};
use crate::model::cache::CacheClass;
use crate::model::manifest::{Changes, Site};
use crate::model::path::SitePath;
use crate::model::tree::File;

/// How many files a finding names.
const NAMED: usize = 5;

/// The least length of a part of a name that can be a hash.
const HASH: usize = 8;

/// The limit of a site manifest, and what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowthCheck {
    limit: Growth,
    level: Level,
    /// The folder of the copies, which are the same files under other names.
    copies: String,
}

/// A comparison with the live release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// What the limit is compared with.
    pub spending: Spending,
    /// The finding, if the limit is exceeded.
    pub problem: Option<Problem>,
}

impl GrowthCheck {
    /// The check that a site manifest asks for. `copies` is the folder of the copies.
    #[must_use]
    pub fn new(budget: &Budget, copies: &str) -> Option<Self> {
        let limit = budget.growth.filter(|_| budget.level != Level::Off)?;
        Some(Self {
            limit,
            level: budget.level,
            copies: copies.to_owned(),
        })
    }

    /// The same check of a preview, which visitors of the live site don't get: it only warns.
    #[must_use]
    pub fn of_preview(self) -> Self {
        let level = match self.level {
            Level::Error => Level::Warn,
            level => level,
        };
        Self { level, ..self }
    }

    /// Compares a site with the live release, from which it has these changes. `former` has the files of the live release
    /// at their paths.
    #[must_use]
    pub fn grown(&self, site: &Site, changes: &Changes, former: &HashMap<SitePath, Option<File>>) -> Grown {
        let is_own = |path: &SitePath| !path.is_below(&self.copies);
        let files = site.all_files().filter(|(path, _)| is_own(path));
        let now: u64 = files.map(|(_, file)| file.size).sum();
        let paths = changes.list.iter().map(|change| &change.path);
        let changed = paths.filter(|path| is_own(path)).map(|path| {
            let before = former.get(path).and_then(Option::as_ref);
            (path, before, site.file(path))
        });
        let changed: Vec<Changed<'_>> = changed.collect();
        let gone: u64 = changed.iter().map(|(_, before, _)| bytes(*before)).sum();
        let come: u64 = changed.iter().map(|(_, _, after)| bytes(*after)).sum();
        let before = now.saturating_sub(come).saturating_add(gone);
        let limit = match self.limit {
            Growth::Bytes(bytes) => bytes,
            Growth::Percent(percent) => share(before, percent),
        };
        let grown = now.saturating_sub(before);
        let growing = Growing {
            before,
            now,
            limit,
            largest: largest(&changed),
        };
        Grown {
            spending: Spending {
                key: "growth",
                path: None,
                bytes: grown,
                limit,
                excesses: Vec::new(),
            },
            problem: growth_problem(&growing, self.level),
        }
    }
}

/// A path that changed, the file that the live release has there, and the new one.
type Changed<'a> = (&'a SitePath, Option<&'a File>, Option<&'a File>);

fn bytes(file: Option<&File>) -> u64 {
    file.map_or(0, |file| file.size)
}

fn share(of: u64, percent: u8) -> u64 {
    u64::try_from(u128::from(of) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// The files that have grown most, the first one most of all.
fn largest(changed: &[Changed<'_>]) -> Vec<GrownFile> {
    let mut parts = Vec::new();
    let mut gone: BTreeMap<String, BTreeSet<(u64, &str)>> = BTreeMap::new();
    let mut come: Vec<(&SitePath, &File)> = Vec::new();
    for (path, before, after) in changed {
        match (before, after) {
            (Some(before), Some(after)) => parts.push(GrownFile {
                path: (*path).clone(),
                before: Some(before.size),
                grown: after.size.saturating_sub(before.size),
            }),
            (Some(before), None) if before.cache == CacheClass::Immutable => {
                gone.entry(nameless(path))
                    .or_default()
                    .insert((before.size, path.as_str()));
            }
            (None, Some(after)) => come.push((path, after)),
            _ => {}
        }
    }
    // Where names are nothing but hashes, sizes are what is left to tell chunks apart. The largest chooses first.
    come.sort_by(|a, b| b.1.size.cmp(&a.1.size).then_with(|| a.0.cmp(b.0)));
    for (path, file) in come {
        let mut before = None;
        if file.cache == CacheClass::Immutable
            && let Some(gone) = gone.get_mut(&nameless(path))
            && let Some(nearest) = nearest(gone, file.size)
        {
            gone.remove(&nearest);
            before = Some(nearest.0);
        }
        parts.push(GrownFile {
            path: path.clone(),
            before,
            grown: file.size.saturating_sub(before.unwrap_or_default()),
        });
    }
    parts.retain(|part| part.grown > 0);
    parts.sort_by(|a, b| b.grown.cmp(&a.grown).then_with(|| a.path.cmp(&b.path)));
    parts.truncate(NAMED);
    parts
}

/// The entry whose size is nearest.
fn nearest<'a>(sizes: &BTreeSet<(u64, &'a str)>, size: u64) -> Option<(u64, &'a str)> {
    let above = sizes.range((size, "")..).next();
    let below = sizes.range(..(size, "")).next_back();
    let found = [above, below].into_iter().flatten();
    found.min_by_key(|(other, _)| other.abs_diff(size)).copied()
}

/// A path without the parts that are hashes of the content.
fn nameless(path: &SitePath) -> String {
    let is_hash = |part: &str| {
        let bytes = part.as_bytes();
        bytes.len() >= HASH && bytes.iter().all(u8::is_ascii_alphanumeric) && bytes.iter().any(u8::is_ascii_digit)
    };
    let parts = path.as_str().split_inclusive(['/', '.', '-']);
    let kept = parts.map(|part| {
        let name = part.trim_end_matches(['/', '.', '-']);
        if is_hash(name) { &part[name.len()..] } else { part }
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cache::Classes;
    use crate::model::digest::Digest;
    use crate::model::encoding::Encodings;
    use crate::model::manifest::{Input, diff};

    fn site(files: &[(&str, u64)]) -> Site {
        let files = files.iter().map(|(path, size)| Input {
            path: SitePath::new(path).unwrap(),
            digest: Digest::of(format!("{path} {size}").as_bytes()),
            size: *size,
            encodings: Encodings::default(),
            media_type: "text/plain".into(),
        });
        Site::new(files, &Classes::new("_assets"))
    }

    fn grown(growth: Growth, before: &[(&str, u64)], now: &[(&str, u64)]) -> Grown {
        let (live, site) = (site(before), site(now));
        let both = |digest| live.tree(digest).or_else(|| site.tree(digest));
        let changes = diff(Some(live.root), Some(site.root), &both).unwrap();
        let former = changes.list.iter();
        let former = former.map(|change| (change.path.clone(), live.file(&change.path).cloned()));
        let check = GrowthCheck {
            limit: growth,
            level: Level::Error,
            copies: "_assets".to_owned(),
        };
        check.grown(&site, &changes, &former.collect())
    }

    #[test]
    fn what_grew_most_is_named_with_what_it_was_before() {
        let before = [
            ("index.html", 1000),
            ("old.pdf", 50_000),
            ("_next/static/chunks/0123456789abcdef.js", 300_000),
            ("_next/static/chunks/fedcba9876543210.js", 20_000),
            ("_next/static/chunks/app/page-00112233aabbccdd.js", 5000),
        ];
        let now = [
            ("index.html", 1500),
            ("hero.png", 90_000),
            ("_assets/hero.0123456789abcdef.png", 90_000),
            ("_next/static/chunks/1111222233334444.js", 420_000),
            ("_next/static/chunks/5555666677778888.js", 20_000),
            ("_next/static/chunks/app/page-99887766aabbccdd.js", 4000),
        ];
        let found = grown(Growth::Bytes(100_000), &before, &now);
        assert_eq!((found.spending.bytes, found.spending.limit), (159_500, 100_000));
        let problem = found.problem.unwrap();
        assert_eq!(
            problem.message,
            "the site has grown by 159.5 kB, from 376.0 kB to 535.5 kB: 59.5 kB more than `growth` in [budget] allows"
        );
        assert_eq!(
            problem.hint,
            "most of it: _next/static/chunks/1111222233334444.js (120.0 kB more than the 300.0 kB before), hero.png (added, \
             90.0 kB), index.html (500 B more than the 1.0 kB before); make them smaller, or raise the limit"
        );
        assert!(problem.always, "it is new with each publish");
    }

    #[test]
    fn five_files_are_named_at_most() {
        let now: Vec<(String, u64)> = (1..=7).map(|n| (format!("{n}.png"), 1000 * n)).collect();
        let now: Vec<(&str, u64)> = now.iter().map(|(path, size)| (&**path, *size)).collect();
        let hint = grown(Growth::Bytes(0), &[], &now).problem.unwrap().hint;
        assert_eq!(hint.matches("added").count(), NAMED);
        assert!(hint.contains("most of it: 7.png (added, 7.0 kB), 6.png"), "{hint}");
    }

    #[test]
    fn a_limit_that_is_just_reached_is_kept_and_a_smaller_site_has_not_grown() {
        let live = [("a.png", 1000)];
        for (limit, now, exceeds) in [
            (Growth::Percent(10), 1100, false),
            (Growth::Percent(10), 1101, true),
            (Growth::Bytes(100), 1100, false),
            (Growth::Bytes(100), 1101, true),
            (Growth::Percent(0), 1000, false),
            (Growth::Percent(0), 1001, true),
            (Growth::Bytes(0), 900, false),
        ] {
            let found = grown(limit, &live, &[("a.png", now)]);
            assert_eq!(found.problem.is_some(), exceeds, "{limit:?} {now}");
            assert_eq!(found.spending.bytes, now.saturating_sub(1000));
        }
    }

    #[test]
    fn a_preview_only_warns_and_a_level_can_turn_it_off() {
        let budget = |level| Budget {
            first_load: None,
            scripts: None,
            total: None,
            file: None,
            growth: Some(Growth::Bytes(0)),
            level,
        };
        assert_eq!(GrowthCheck::new(&budget(Level::Off), "_assets"), None);
        let check = GrowthCheck::new(&budget(Level::Error), "_assets").unwrap();
        assert_eq!(check.of_preview().level, Level::Warn);
    }
}

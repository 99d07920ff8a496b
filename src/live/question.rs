//! Chooses which questions to put to the live site. Pure.
//!
//! The questions cover every changed page, every other changed file, both up to a limit, and a sample of the rest. The
//! number of questions is bounded because a first publish may have a hundred thousand files. What the limit leaves out
//! is counted.

use std::collections::{BTreeSet, HashSet};

use super::files::Files;
use crate::model::manifest::{Change, ChangeKind, Changes, is_page};
use crate::model::path::SitePath;
use crate::model::tree::File;
use crate::next::url::decoded;
use crate::rules::headers::deployment_of;
use crate::rules::{Rules, file_address};

/// The encodings that a visitor accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Accept {
    /// No encoding.
    Plain,
    /// Only gzip.
    Gzip,
    /// Only Brotli.
    Brotli,
    /// What browsers send.
    Browser,
}

impl Accept {
    /// The value of `Accept-Encoding`.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Browser => "gzip, deflate, br",
        }
    }
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A file of the site.
    File(SitePath),
    /// A file that the previous release had and this one does not.
    Removed(SitePath),
    /// A page that never existed.
    NoPage,
    /// A file that never existed, in the folder whose files may be cached forever.
    NoAsset,
    /// A page, requested as by a Next.js client of this deployment.
    Deployment(String),
}

/// A question to the live site: one request, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Path and query, as sent.
    pub target: String,
    /// What the question is about.
    pub subject: Subject,
    /// The encodings that the visitor accepts.
    pub accept: Accept,
    /// Whether to request the headers only, because the body is too long.
    pub head: bool,
}

impl Question {
    /// The deployment that the client claims to be of.
    pub fn deployment(&self) -> Option<&str> {
        match &self.subject {
            Subject::Deployment(id) => Some(id),
            _ => None,
        }
    }
}

/// The questions, and what was left out of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions {
    /// The questions, in the order in which they are sent.
    pub list: Vec<Question>,
    /// Number of changed files that the questions cover.
    pub changed: usize,
    /// Number of changed files that were left out because there are too many.
    pub left_out: usize,
}

/// Up to this many changed files, each is requested in each of its encodings. If there are more, each is requested
/// once, with the encodings that browsers accept.
const IN_EACH_ENCODING: usize = 40;
/// Maximum numbers of changed pages, other changed files, and removed files that are requested.
const MOST_PAGES: usize = 2000;
const MOST_OTHERS: usize = 400;
const MOST_REMOVED: usize = 40;
/// Maximum number of sample files, one of each kind and class. The front page and the deepest page are added
/// regardless.
const MOST_SAMPLES: usize = 16;
/// Size in bytes above which a file is requested without its body, which then is not compared.
pub(super) const LONGEST: u64 = 2 << 20;
/// Size in bytes above which a file other than the front page is not used as a sample.
const LONGEST_SAMPLE: u64 = 1 << 20;

/// Returns the questions to put to a site after these changes. `files` and `all` are all files of the site. `mark` is
/// used to make addresses that were never requested before.
pub fn questions<'a>(
    rules: &Rules,
    files: &dyn Files,
    all: impl Iterator<Item = (SitePath, &'a File)>,
    changes: &Changes,
    mark: &str,
) -> Questions {
    let is_file = |path: &str| files.file(path).is_some();
    let (removed, there): (Vec<&Change>, Vec<&Change>) = changes
        .list
        .iter()
        .partition(|change| change.change == ChangeKind::Removed);
    let wanted = there.len();
    let (pages, others): (Vec<&Change>, Vec<&Change>) = there.into_iter().partition(|change| is_page(&change.path));
    let chosen: Vec<&Change> = spread(pages, MOST_PAGES).chain(spread(others, MOST_OTHERS)).collect();
    let in_each = chosen.len() <= IN_EACH_ENCODING;
    let mut asked = BTreeSet::new();
    let mut list = Vec::new();
    let mut add = |path: &SitePath, file: &File, in_each: bool| {
        if asked.insert(path.clone())
            && let Some(target) = file_address::preferred(rules, path.as_str(), &is_file)
        {
            let subject = Subject::File(path.clone());
            list.extend(forms(file, in_each).iter().map(|accept| Question {
                accept: *accept,
                head: file.size > LONGEST,
                ..question(target.clone(), subject.clone())
            }));
        }
    };
    let mut changed = 0;
    for change in &chosen {
        if let Some(file) = files.file(change.path.as_str()) {
            add(&change.path, file, in_each);
            changed += 1;
        }
    }
    let samples = samples(all);
    for (path, file) in &samples.files {
        add(path, file, true);
    }
    let page = samples.files.iter().find(|(path, _)| is_page(path));
    if let (Some(deployment), Some((page, _))) = (samples.deployment, page)
        && let Some(target) = file_address::preferred(rules, page.as_str(), &is_file)
    {
        list.push(Question {
            head: true,
            ..question(target, Subject::Deployment(deployment))
        });
    }
    // An old vhost answers 404 at a moved address, and this one redirects. `doctor` tells about the vhost.
    let moved: HashSet<&str> = changes.redirects.iter().map(|moved| &*moved.address).collect();
    let is_moved = |target: &str| {
        let inner = target.strip_prefix(&rules.base_path).unwrap_or(target);
        moved.contains(&*decoded(inner).unwrap_or_default()) || rules.redirects.is_moved(target)
    };
    // Files in the pool are meant to stay reachable after they left the release.
    let is_pooled = |path: &str| crate::model::cache::pooled(path, rules.classes.classify(path));
    let gone = removed.into_iter().filter(|change| !is_pooled(change.path.as_str()));
    list.extend(gone.take(MOST_REMOVED).filter_map(|change| {
        let own = change.path.as_str();
        let target = file_address::preferred(rules, own, &|path| path == own || is_file(path))?;
        let target = Some(target).filter(|target| !is_moved(target.trim_end_matches('/')))?;
        Some(question(target, Subject::Removed(change.path.clone())))
    }));
    // Two addresses that no site has.
    let base = &rules.base_path;
    let chunk = format!("{base}/_next/static/chunks/no-such-chunk-{mark}.js");
    list.push(question(format!("{base}/no-such-page-{mark}"), Subject::NoPage));
    list.push(question(chunk, Subject::NoAsset));
    Questions {
        list,
        changed,
        left_out: wanted.saturating_sub(chosen.len()),
    }
}

/// A question as a browser puts it.
fn question(target: String, subject: Subject) -> Question {
    Question {
        target,
        subject,
        accept: Accept::Browser,
        head: false,
    }
}

/// Picks up to `most` items, spread evenly over the list.
fn spread<T>(list: Vec<T>, most: usize) -> impl Iterator<Item = T> {
    let length = list.len();
    let kept = move |at: usize| length <= most || (at * most) / length != ((at + 1) * most) / length;
    list.into_iter()
        .enumerate()
        .filter_map(move |(at, one)| kept(at).then_some(one))
}

/// The encodings in which to request a file.
fn forms(file: &File, in_each: bool) -> &'static [Accept] {
    match (in_each, file.encodings.br.is_some(), file.encodings.gz.is_some()) {
        (false, ..) => &[Accept::Browser],
        (true, true, true) => &[Accept::Brotli, Accept::Gzip, Accept::Plain],
        (true, true, false) => &[Accept::Brotli, Accept::Plain],
        (true, false, true) => &[Accept::Gzip, Accept::Plain],
        (true, false, false) => &[Accept::Plain],
    }
}

/// What is requested regardless of the changes.
struct Samples<'a> {
    /// The front page, the deepest page, and one file of each kind and class.
    files: Vec<(SitePath, &'a File)>,
    /// The deployment that the release belongs to.
    deployment: Option<String>,
}

fn samples<'a>(all: impl Iterator<Item = (SitePath, &'a File)>) -> Samples<'a> {
    let mut deployment = None;
    let mut kinds = BTreeSet::new();
    let mut chosen: Vec<(SitePath, &File)> = Vec::new();
    let mut deepest: Option<(usize, SitePath, &File)> = None;
    for (path, file) in all {
        if let Some(id) = deployment_of(path.as_str()) {
            deployment = Some(id.to_owned());
            continue;
        }
        if path.as_str() == "index.html" {
            chosen.insert(0, (path, file));
            continue;
        }
        if file.size > LONGEST_SAMPLE {
            continue;
        }
        if is_page(&path) {
            let depth = path.as_str().matches('/').count();
            if deepest.as_ref().is_none_or(|(known, ..)| depth > *known) {
                deepest = Some((depth, path, file));
            }
            continue;
        }
        let kind = (file.cache, file.media_type.clone());
        if chosen.len() < MOST_SAMPLES && kinds.insert(kind) {
            chosen.push((path, file));
        }
    }
    chosen.extend(deepest.map(|(_, path, file)| (path, file)));
    Samples {
        files: chosen,
        deployment,
    }
}

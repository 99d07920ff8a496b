//! How much two pages are alike, and which page of a site is most like one that is gone. Pure.
//!
//! Compared are the words of the title, the headings, and every run of four words of the text, each as a hash. What many
//! pages have in common counts little: a run of words counts by one divided by the number of pages that have it. So a
//! menu or an imprint makes no two pages alike. This module must not read pages, and it never looks at how they look.

use std::collections::{BTreeSet, HashMap};

use crate::model::digest::Digest;
use crate::next::prose::{Heading, Prose};

/// Below this score, from 0 to 100, nothing is suggested.
pub const LEAST: u8 = 50;

/// The number of words in a run.
const RUN: usize = 4;

/// The most runs of a page that are kept. Of a longer page, those with the lowest hashes are kept, which is a sample:
/// the same runs are kept of every page.
const MOST_RUNS: usize = 4096;

/// A page with fewer words says too little about itself. Its address has to speak for a suggestion, too.
const FEWEST_WORDS: usize = 8;

/// A page that is part of another one has at least this many runs.
const SMALLEST_PART: usize = 24;

/// The weight of what one page alone has.
const WHOLE: u64 = 1 << 20;

/// Up to this many pages are all compared with each page that is gone. Of more, only those that share something rare.
const COMPARED: usize = 64;

/// How much the parts of a page count, in thousandths: its text, its title, its headings.
const SHARES: [u64; 3] = [700, 150, 150];

/// What counts, in thousandths, if the text of one page is part of the other's: that it is, and how much that is of both.
const AS_PART: [u64; 2] = [600, 400];

/// Below this score, from 0 to 100, no heading is named as the nearest one.
const LEAST_OF_HEADING: u8 = 60;

/// What is compared of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// The digest of the text; `None` if there is no text.
    text: Option<Digest>,
    words: usize,
    /// Hashes of its text, its title and its headings, each sorted and without repeats.
    parts: [Vec<u64>; 3],
    /// Of the hashes of its text, all that are not larger than this are known.
    known_to: u64,
}

impl Features {
    /// The features of a page.
    #[must_use]
    pub fn of(prose: &Prose) -> Self {
        let words = words(&prose.text);
        let title = self::words(&prose.title);
        let title = title.iter().map(|word| hash("title", std::slice::from_ref(word)));
        let headings = prose.headings.iter().map(|heading| self::words(&heading.text));
        let headings = headings.filter(|words| !words.is_empty());
        let runs = words.windows(RUN.min(words.len()).max(1));
        let mut text = sorted(runs.map(|run| hash("", run)));
        let known_to = match text.get(MOST_RUNS) {
            Some(_) => text[MOST_RUNS - 1],
            None => u64::MAX,
        };
        text.truncate(MOST_RUNS);
        Self {
            text: (!words.is_empty()).then(|| Digest::of(words.join(" ").as_bytes())),
            words: words.len(),
            parts: [
                text,
                sorted(title),
                sorted(headings.map(|words| hash("heading", &words))),
            ],
            known_to,
        }
    }
}

/// A page and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The address that visitors use.
    pub address: String,
    /// What is compared of it.
    pub features: Features,
}

/// A page that is like another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likely {
    /// The index of the page.
    pub page: usize,
    /// How much the two are alike: at least [`LEAST`], and 100 only for the same text.
    pub score: u8,
}

/// Returns for each page of `gone` the page of `new` that is most like it, if one is. `others` are pages that are not
/// suggested: they show what many pages have in common.
#[must_use]
pub fn suggest(gone: &[Page], new: &[Page], others: &[Features]) -> Vec<Option<Likely>> {
    let weights = Weights::of(gone, new, others);
    let index = (new.len() > COMPARED).then(|| Index::of(new));
    let best = |old: &Page| {
        let candidates = match &index {
            Some(index) => index.candidates(old, &weights),
            None => (0..new.len()).collect(),
        };
        let scored = candidates.into_iter().filter_map(|page| {
            let other = &new[page];
            let score = weights.score(&old.features, &other.features);
            let is_named_alike = last(&old.address) == last(&other.address);
            let is_enough = score >= LEAST && (is_named_alike || old.features.words >= FEWEST_WORDS);
            is_enough.then(|| (score, shared_ending(&old.address, &other.address), page))
        });
        let best = scored.max_by_key(|(score, ending, page)| (*score, *ending, std::cmp::Reverse(*page)));
        best.map(|(score, _, page)| Likely { page, score })
    };
    gone.iter().map(best).collect()
}

/// How many pages have a feature, if more than one has it.
struct Weights(HashMap<u64, u64>);

impl Weights {
    fn of(gone: &[Page], new: &[Page], others: &[Features]) -> Self {
        let mut weights = Self(HashMap::new());
        weights.count(gone.iter().map(|page| &page.features));
        weights.count(new.iter().map(|page| &page.features).chain(others));
        weights
    }

    /// Counts the features of one build.
    fn count<'f>(&mut self, pages: impl Iterator<Item = &'f Features>) {
        let mut all: Vec<u64> = pages.flat_map(|page| page.parts.iter().flatten().copied()).collect();
        all.sort_unstable();
        for same in all.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
            let pages = self.0.entry(same[0]).or_default();
            *pages = (*pages).max(same.len() as u64);
        }
    }

    fn of_feature(&self, feature: u64) -> u64 {
        WHOLE / self.0.get(&feature).copied().unwrap_or(1)
    }

    /// How much two pages are alike, from 0 to 100.
    fn score(&self, old: &Features, new: &Features) -> u8 {
        if old.text.is_some() && old.text == new.text {
            return 100;
        }
        let (mut sum, mut shares, mut text) = (0, 0, 0);
        let known_to = [old.known_to.min(new.known_to), u64::MAX, u64::MAX];
        for (part, share) in SHARES.into_iter().enumerate() {
            let (a, b) = (&old.parts[part], &new.parts[part]);
            if a.is_empty() && b.is_empty() {
                continue;
            }
            let common = self.common(a, b, known_to[part]);
            let mut alike = common.of_all();
            if part == 0 && a.len().min(b.len()) >= SMALLEST_PART {
                alike = alike.max((common.of_smaller() * AS_PART[0] + alike * AS_PART[1]) / 1000);
            }
            if part == 0 {
                text = alike;
            }
            sum += alike * share;
            shares += share;
        }
        if shares == 0 {
            return 0;
        }
        // A page with another title and the same text has only been renamed. Only the same text is 100.
        u8::try_from(text.max(sum / shares) / 10).unwrap_or(100).min(99)
    }

    fn common(&self, a: &[u64], b: &[u64], known_to: u64) -> Common {
        let mut common = Common::default();
        let known = |list: &[u64]| list.partition_point(|feature| *feature <= known_to);
        let (mut a, mut b) = (a[..known(a)].iter().peekable(), b[..known(b)].iter().peekable());
        loop {
            let (first, second) = (a.peek().copied(), b.peek().copied());
            let Some(lowest) = first.into_iter().chain(second).min() else {
                return common;
            };
            let weight = self.of_feature(*lowest);
            let (is_first, is_second) = (first == Some(lowest), second == Some(lowest));
            common.first += if is_first { weight } else { 0 };
            common.second += if is_second { weight } else { 0 };
            common.both += if is_first && is_second { weight } else { 0 };
            if is_first {
                a.next();
            }
            if is_second {
                b.next();
            }
        }
    }
}

/// The weight of the features of two pages.
#[derive(Default)]
struct Common {
    first: u64,
    second: u64,
    both: u64,
}

impl Common {
    /// The share, in thousandths, that both pages have of all features.
    fn of_all(&self) -> u64 {
        self.both * 1000 / (self.first + self.second - self.both).max(1)
    }

    /// The share, in thousandths, that both pages have of the features of the page with less.
    fn of_smaller(&self) -> u64 {
        self.both * 1000 / self.first.min(self.second).max(1)
    }
}

/// Finds pages that share something with another one.
struct Index<'p> {
    /// Each feature with a page that has it, sorted.
    features: Vec<(u64, usize)>,
    by_text: HashMap<Digest, usize>,
    by_name: HashMap<&'p str, Vec<usize>>,
}

impl<'p> Index<'p> {
    fn of(new: &'p [Page]) -> Self {
        let (mut features, mut by_name) = (Vec::new(), HashMap::<_, Vec<usize>>::new());
        for (at, page) in new.iter().enumerate() {
            features.extend(page.features.parts.iter().flatten().map(|feature| (*feature, at)));
            by_name.entry(last(&page.address)).or_default().push(at);
        }
        features.sort_unstable();
        // Of pages with the same text, the first counts.
        let texts = new.iter().enumerate().rev();
        let by_text = texts.filter_map(|(at, page)| Some((page.features.text?, at)));
        Self {
            features,
            by_text: by_text.collect(),
            by_name,
        }
    }

    /// The pages that share most with this one, and those that have the same text or name.
    fn candidates(&self, old: &Page, weights: &Weights) -> BTreeSet<usize> {
        let mut shared: HashMap<usize, u64> = HashMap::new();
        for feature in old.features.parts.iter().flatten() {
            let start = self.features.partition_point(|(other, _)| other < feature);
            let same = self.features[start..].iter().take_while(|(other, _)| other == feature);
            // What more pages than this share says nothing.
            let same: Vec<usize> = same.map(|(_, page)| *page).take(COMPARED + 1).collect();
            for page in same.iter().filter(|_| same.len() <= COMPARED) {
                *shared.entry(*page).or_default() += weights.of_feature(*feature);
            }
        }
        let mut most: Vec<(u64, usize)> = shared.into_iter().map(|(page, weight)| (weight, page)).collect();
        most.sort_unstable_by_key(|(weight, page)| (std::cmp::Reverse(*weight), *page));
        let most = most.into_iter().take(COMPARED / 4).map(|(_, page)| page);
        let same_text = old.features.text.and_then(|text| self.by_text.get(&text).copied());
        let same_name = self.by_name.get(last(&old.address)).into_iter().flatten();
        most.chain(same_text).chain(same_name.take(COMPARED).copied()).collect()
    }
}

/// Returns the id of the heading that is most like one that is gone, and how much the two are alike, from 0 to 100.
#[must_use]
pub fn nearest<'h>(gone: &Heading, now: &'h [Heading]) -> Option<(&'h str, u8)> {
    let scored = now.iter().rev().filter_map(|heading| {
        let id = heading.id.as_deref()?;
        let by_id = pairs_in_common(gone.id.as_deref().unwrap_or_default(), id);
        let score = by_id.max(pairs_in_common(&gone.text, &heading.text));
        (score >= LEAST_OF_HEADING).then_some((id, score))
    });
    // Of equals, the last one here is the first on the page.
    scored.max_by_key(|(_, score)| *score)
}

/// The share of the pairs of letters that two short texts have in common, from 0 to 100.
fn pairs_in_common(a: &str, b: &str) -> u8 {
    let pairs = |text: &str| {
        let letters: Vec<char> = words(text).concat().chars().collect();
        let mut pairs: Vec<(char, char)> = letters.windows(2).map(|pair| (pair[0], pair[1])).collect();
        pairs.sort_unstable();
        (letters, pairs)
    };
    let ((a, pairs_a), (b, pairs_b)) = (pairs(a), pairs(b));
    if a == b && !a.is_empty() {
        return 100;
    }
    let mut left = pairs_b.clone();
    let common = pairs_a.iter().filter(|pair| {
        let at = left.binary_search(pair);
        at.map(|at| left.remove(at)).is_ok()
    });
    let common = common.count() * 200;
    let share = common / (pairs_a.len() + pairs_b.len()).max(1);
    u8::try_from(share).unwrap_or(100).min(99)
}

/// The last segment of an address.
pub(super) fn last(address: &str) -> &str {
    address.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// The number of segments at the end that two addresses share.
fn shared_ending(a: &str, b: &str) -> usize {
    let (a, b) = (a.trim_matches('/').rsplit('/'), b.trim_matches('/').rsplit('/'));
    a.zip(b).take_while(|(a, b)| a == b).count()
}

/// The words of a text in lower case. A character of a script that is written without spaces is a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        let mut word = String::new();
        for c in run.chars() {
            if is_without_spaces(c) {
                words.extend([std::mem::take(&mut word), c.to_string()]);
            } else {
                word.extend(c.to_lowercase());
            }
        }
        words.push(word);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a character is of Thai, Lao, Burmese, Khmer, Chinese or Japanese.
const fn is_without_spaces(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn sorted(hashes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut hashes: Vec<u64> = hashes.collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// A hash of some words: FNV-1a, and the last step of splitmix64, which spreads it over all 64 bits.
fn hash(kind: &str, words: &[String]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for word in std::iter::once(kind).chain(words.iter().map(String::as_str)) {
        for byte in word.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;

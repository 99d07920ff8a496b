//! `secrets`: no secret is in a file that everyone can read. Pure.
//!
//! The rules are taken from a published set, see [`rules`]. A documentation site shows sample tokens, so a text that
//! looks made up is ignored: it is too regular for a random text, or contains a word that is not random. A secret that
//! may be public by design is a warning at most. The secret itself must never leave this module: a finding shows only
//! its first characters and its length.

mod jwt;
mod names;
mod pem;
mod rules;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::finding::{Material, RawFinding};
use super::repeats::Repeats;
use crate::site::survey::{Hit, Lines};
use rules::{RULES, Rule, Shape};

pub(super) const NAME: &str = "secrets";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut repeats = Repeats::new();
    let mut light = Repeats::new();
    for file in material.files() {
        for hit in material.hits(file, NAME) {
            let may_be_public = RULES.iter().any(|rule| rule.id == hit.rule && rule.may_be_public());
            let kind = if may_be_public { &mut light } else { &mut repeats };
            kind.add((hit.rule.as_str(), hit.shown.as_str()), &file.asset.path, hit.line);
        }
    }
    let mut findings = repeats.findings(words);
    findings.extend(light.findings(words).into_iter().map(RawFinding::light));
    findings
}

fn words((id, shown): &(&str, &str)) -> (String, String) {
    if let Some(what) = names::what(id) {
        return (
            format!("its name is that of {what} ({id})"),
            "remove it from `public/` and build again; then REVOKE WHAT IS IN IT where it was issued".to_owned(),
        );
    }
    let what = RULES
        .iter()
        .find(|rule| rule.id == *id)
        .map_or("a secret", |rule| rule.what);
    (
        format!("contains {what}: {shown} ({id})"),
        "if it is a sample, name the file in `allow`; if not, remove it and build again, then REVOKE IT where it was issued"
            .to_owned(),
    )
}

/// Whether a file has the name of a secret, so that it must be read whatever its content.
pub(super) fn is_named_like_one(path: &str) -> bool {
    names::rule_of(path).is_some()
}

/// How many bytes at the start of a file are searched for a zero byte, which shows that the file is not a text.
const LOOK: usize = 1024;

/// Finds secrets in the bytes of a file.
pub(super) fn search(path: &str, bytes: &[u8], hits: &mut Vec<Hit>) {
    let named = names::rule_of(path).filter(|id| !names::is_harmless(id, bytes));
    hits.extend(named.map(|id| Hit::of_file(NAME, id)));
    if bytes[..bytes.len().min(LOOK)].contains(&0) {
        return;
    }
    let Some(patterns) = &*PATTERNS else {
        return;
    };
    let mut told: HashSet<(&str, &[u8])> = HashSet::new();
    let mut lines = Lines::new(bytes);
    let mut jwt = jwt::Tokens::default();
    for literal in patterns.literals.find_iter(bytes) {
        let Some((rule, pattern)) = patterns.rules.get(literal.as_bytes()) else {
            continue;
        };
        if rule.shape == Shape::Jwt && !jwt.may_start_at(bytes, literal.start()) {
            continue;
        }
        let Some((start, secret)) = secret_at(rule, pattern, path, bytes, literal.range()) else {
            continue;
        };
        if told.insert((rule.id, secret)) {
            hits.push(Hit {
                check: NAME.into(),
                line: Some(lines.at(start)),
                rule: rule.id.to_owned(),
                shown: masked(secret),
            });
        }
    }
}

/// Returns the secret that a rule finds around a literal, and its start.
fn secret_at<'t>(
    rule: &Rule,
    pattern: &Regex,
    path: &str,
    bytes: &'t [u8],
    literal: Range<usize>,
) -> Option<(usize, &'t [u8])> {
    let start = literal.start.checked_sub(rule.before)?;
    let found = pattern.captures(&bytes[start..])?;
    let secret = found.get(1).or_else(|| found.get(0))?;
    let (start, end) = (start + secret.start(), start + secret.end());
    let text = &bytes[start..end];
    let drawn = text.strip_prefix(&bytes[literal]).unwrap_or(text);
    let stands_alone = || {
        let glued_before = bytes[..start].last().is_some_and(|byte| is_word(*byte))
            && !crate::config::ends_with_escape(&bytes[..start]);
        let glued_after = bytes.get(end).is_some_and(|byte| is_word(*byte));
        !glued_before && !glued_after
    };
    let has = |kind: fn(&u8) -> bool| text.iter().any(kind);
    let fits = match rule.shape {
        Shape::PrivateKey => return pem::key_at(bytes, start).map(|key| (start, key)),
        Shape::Jwt => return (stands_alone() && jwt::is_worth_telling(text)).then_some((start, text)),
        Shape::Token => true,
        Shape::Mixed => has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit),
        Shape::BrowserKey => !path.ends_with(".js") && !bytes[..start].ends_with(b"key="),
    };
    let is_one = fits && stands_alone() && entropy(text) >= rule.entropy && !is_made_up(drawn);
    is_one.then_some((start, text))
}

/// One pattern for all literals, and the rule of each literal with its pattern. Searching a file for the literals is
/// fast, and the other patterns are tried only at the literals that were found.
struct Patterns {
    literals: Regex,
    rules: HashMap<&'static [u8], (&'static Rule, Regex)>,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let (mut literals, mut rules) = (Vec::new(), HashMap::new());
    for rule in RULES {
        let own: Vec<String> = rule.literals.split('|').map(regex::escape).collect();
        let pattern = format!("^(?s-u:{}(?:{}){})", rule.lead, own.join("|"), rule.rest);
        let pattern = Regex::new(&pattern).ok()?;
        for literal in rule.literals.split('|') {
            rules.insert(literal.as_bytes(), (rule, pattern.clone()));
        }
        literals.extend(own);
    }
    // The first alternative that matches is taken, so the longest must come first.
    literals.sort_unstable_by_key(|literal| std::cmp::Reverse(literal.len()));
    let literals = Regex::new(&format!("(?-u){}", literals.join("|"))).ok()?;
    Some(Patterns { literals, rules })
});

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns how irregular a text is: its Shannon entropy, in bits per byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let all: u32 = counts.iter().sum();
    let share = |count: &u32| f64::from(*count) / f64::from(all);
    let used = counts.iter().filter(|count| **count > 0);
    -used.map(share).map(|share| share * share.log2()).sum::<f64>()
}

/// Texts that are in samples, and in hardly any secret.
const MADE_UP: &[&str] = &[
    "00000",
    "12345",
    "aaaaa",
    "abcde",
    "dummy",
    "example",
    "fake",
    "placeholder",
    "redacted",
    "sample",
    "secret",
    "token",
    "xxxx",
    "your",
];

/// Values that services publish as examples in their own documentation: they look like secrets but grant no access.
/// Each is the part after the prefix that all tokens of its kind share.
const PUBLISHED: &[&str] = &[
    // GitHub, for all its kinds of tokens.
    "16C7e42F292c6912E7710c838347Ae178B4a",
    // Google Maps and Google Cloud.
    "SyClzfrOzB818x55FASHvX4JuGQciR9lv7q",
    "SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
    // SendGrid.
    "ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr",
    // Slack.
    "17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy",
    // Stripe.
    "4eC39HqLyjWDarjtT1zdp7dc",
    "BQokikJOvBiI2HlWgH4olfQ2",
    "tR3PYbcVNZZ796tH88S4VQ2u",
];

fn is_made_up(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let lower = text.to_ascii_lowercase();
    MADE_UP.iter().any(|word| lower.contains(word)) || PUBLISHED.iter().any(|sample| text.contains(sample))
}

/// Returns the first four characters of a secret and its length.
fn masked(secret: &[u8]) -> String {
    let text = String::from_utf8_lossy(secret);
    let first: String = text.chars().take(4).collect();
    format!("{first}… ({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests;

//! The address at which a vhost reports which rules it was printed by and which tree it serves. Pure.
//!
//! nginx resolves `current` to a tree of the store, whose name is its digest. So one small answer proves that the vhost
//! serves this store and this release, and no extra file is needed in the store. It must not reveal anything else: no
//! path of the host, no release, no commit. The digest covers only content that visitors can get anyway.
//!
//! [`Fit`] compares that answer with what a site needs. It must never call a vhost old that was written by hand.

use std::fmt::Write as _;

use super::Rules;
use crate::model::digest::Digest;

/// The address, below the root of the host.
pub const ADDRESS: &str = "/.well-known/syntax-publish";

/// The number of the rules that are printed. Every change of the vhost that a user could notice raises it and adds a
/// line to `CHANGES`. A test of the vhost enforces this.
pub const RULES: u32 = 7;

/// What each number introduced, worded as what a vhost of an older number does not do.
const CHANGES: [(u32, &str); 6] = [
    (
        2,
        "it does not say which release it serves, so it can't be seen whether it serves this store",
    ),
    (
        3,
        "a chunk of the replaced release that is requested at the moment of a swap may be a 404 once",
    ),
    (
        4,
        "browsers keep source maps and search indexes below `_next/static/chunks` for a year although they change, and a \
         filtered search in an open tab may fail after a publish; some files without an extension have no type",
    ),
    (
        5,
        "pictures and other files with a fingerprint in their address (`?v=…`) are revalidated on each visit, and pages of \
         a previous release get the live release's pictures",
    ),
    (
        6,
        "without brotli, a symlink that was planted in the store serves any file that nginx may read; with a `deploymentId`, each \
         click loads the whole page after a publish",
    ),
    (REDIRECTS, "redirects of moved pages are 404s"),
];

/// The first number with redirects. No vhost of an earlier one has anything of [`carried`].
const REDIRECTS: u32 = 7;

/// The parsed answer of a vhost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The number of the rules that the vhost was printed by.
    pub rules: u32,
    /// The digest of the tree that it serves; empty if `current` does not lead to a tree.
    pub tree: String,
    /// What it was printed from, see [`settings`]. Vhosts of rules before 7 don't say.
    pub settings: Option<String>,
}

/// The text that the vhost answers with.
#[must_use]
pub fn text(tree: &str, settings: &str) -> String {
    format!("rules {RULES}\ntree {tree}\nsettings {settings}\n")
}

/// A digest of everything about a site that the vhost is printed from. What differs from release to release without a
/// new vhost, such as the redirects of single addresses, is not part of it.
#[must_use]
pub fn settings(rules: &Rules) -> String {
    let Rules {
        form,
        base_path,
        asset_prefix,
        classes,
        deployment_id,
        types,
        languages,
        one_address,
        redirects,
        headers,
    } = rules;
    let mut text = format!(
        "{form:?} {base_path} {asset_prefix} {} {} {one_address} {}\n",
        classes.copies(),
        deployment_id.is_some(),
        languages.join(","),
    );
    if let Some(generator) = classes.generator() {
        let _ = writeln!(text, "generator {generator}");
    }
    for glob in classes.own() {
        let _ = writeln!(text, "immutable {}", glob.text());
    }
    for (extension, media_type) in types.by_extension() {
        let _ = writeln!(text, "type {extension} {media_type}");
    }
    for own in types.by_path() {
        let _ = writeln!(text, "type {} {}", own.glob.text(), own.media_type);
    }
    for rule in redirects.patterns() {
        let (path, query, fragment) = rule.target_of_groups();
        let _ = writeln!(
            text,
            "redirect {} {} {path}{query}{fragment}",
            rule.regex(),
            rule.status()
        );
    }
    for rule in headers.rules() {
        text += &rule.text();
    }
    Digest::of(text.as_bytes()).short(16)
}

impl Marker {
    /// Parses the answer of a vhost; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rules, rest) = text.strip_prefix("rules ")?.split_once('\n')?;
        let (tree, rest) = rest.strip_prefix("tree ")?.split_once('\n')?;
        let settings = rest
            .strip_prefix("settings ")
            .map(|settings| settings.trim_end_matches('\n').to_owned());
        if !tree.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self {
            rules: rules.parse().ok()?,
            tree: tree.to_owned(),
            settings,
        })
    }
}

/// What a vhost that was printed by rules of this number does not do. 1 means the rules from before they had numbers.
#[must_use]
pub fn missing(rules: u32) -> Vec<&'static str> {
    let newer = CHANGES.iter().filter(|(number, _)| *number > rules);
    newer.map(|(_, what)| *what).collect()
}

/// The rules of a site that its vhost alone has: a release that goes live changes none of them. Each kind with its number.
#[must_use]
pub fn rules_of_vhost(rules: &Rules) -> Vec<String> {
    let counted = |number: usize, thing: &str| {
        let plural = if number == 1 { "" } else { "s" };
        (number > 0).then(|| format!("{number} {thing}{plural}"))
    };
    let mut all = Vec::new();
    let mut patterns = rules.redirects.patterns().filter(|rule| !rule.is_known_in_advance());
    if let Some(first) = patterns.next() {
        let (number, place) = (1 + patterns.count(), &first.place);
        let first = if number == 1 { "" } else { "the first: " };
        let redirects = counted(number, "redirect").unwrap_or_default();
        all.push(format!("{redirects} ({first}{}, line {})", place.file, place.line));
    }
    all.extend(counted(rules.headers.rules().len(), "rule").map(|rules| format!("{rules} of headers")));
    let types = rules.types.by_extension().len() + rules.types.by_path().len();
    all.extend(counted(types, "media type").map(|types| format!("{types} of your own")));
    all
}

/// All that the vhost alone has of what is set up for a site.
fn carried(rules: &Rules) -> Vec<String> {
    let mut all = rules_of_vhost(rules);
    if !rules.languages.is_empty() {
        all.push("the way from the front page to a visitor's language".to_owned());
    }
    if rules.one_address {
        all.push("one address for each page".to_owned());
    }
    if let Some(generator) = rules.classes.generator() {
        all.push(format!("what browsers keep for good of {generator}"));
    }
    if !rules.classes.own().is_empty() {
        all.push("`immutable` of [assets]".to_owned());
    }
    all
}

/// How the vhost that answers fits what a site needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Everything of the site works.
    Current,
    /// It was printed by rules of this lower number. It has all else that is listed here.
    Older(u32, Vec<String>),
    /// It was printed by these rules, for other settings of the site. What of these settings the site has.
    OtherSettings(Vec<String>),
    /// It is not a printed one, or from before they had numbers. What the site has that only a printed one carries.
    Unknown(Vec<String>),
}

impl Fit {
    /// Compares the answer of a vhost with a site. `is_whole` says whether the rules are all of the site's. Otherwise the
    /// export was not read, and the settings can't be compared.
    #[must_use]
    pub fn of(marker: Option<&Marker>, rules: &Rules, is_whole: bool) -> Self {
        let has_redirects = !rules.redirects.rules().is_empty();
        let Some(marker) = marker else {
            let single = has_redirects.then(|| "redirects of moved pages".to_owned());
            return Self::Unknown(single.into_iter().chain(carried(rules)).collect());
        };
        let is_other = is_whole && marker.settings.as_ref().is_some_and(|known| *known != settings(rules));
        if marker.rules == RULES && is_other {
            return Self::OtherSettings(carried(rules));
        }
        let newer = CHANGES.iter().filter(|(number, _)| *number > marker.rules);
        let needed = newer.filter(|(number, _)| *number != REDIRECTS || has_redirects);
        let mut lacking: Vec<String> = needed.map(|(_, what)| (*what).to_owned()).collect();
        if marker.rules < REDIRECTS {
            lacking.extend(carried(rules).into_iter().map(|what| format!("it lacks {what}")));
        }
        if lacking.is_empty() {
            // By a later version, too: it may compute the digest in another way.
            return Self::Current;
        }
        Self::Older(marker.rules, lacking)
    }

    /// A short name, for scripts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Older(..) => "older",
            Self::OtherSettings(_) => "other-settings",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What is wrong with the vhost for this site, as a sentence without its subject.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Older(number, lacking) => Some(format!(
                "is older than this site needs ({number}; now {RULES}): {}",
                lacking.join("; ")
            )),
            Self::OtherSettings(has) if has.is_empty() => Some(
                "was printed from other settings than the site has now: patterns of redirects, headers, types, languages \
                 or the form of its pages"
                    .to_owned(),
            ),
            Self::OtherSettings(has) => Some(format!(
                "was printed from other settings than the site has now, and may lack {}",
                has.join(", ")
            )),
            Self::Unknown(has) if !has.is_empty() => Some(format!(
                "does not say what it was printed from, and this site has what only the printed one carries: {}",
                has.join(", ")
            )),
            Self::Current | Self::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::rules;
    use crate::rules::{CustomHeaders, OwnTypes, PageForm, Redirects, custom_headers, redirects};

    fn marker(number: u32, settings: Option<&str>) -> Marker {
        Marker {
            rules: number,
            tree: String::new(),
            settings: settings.map(str::to_owned),
        }
    }

    /// A site with these files of rules.
    fn site(moved: &str, headers: &str) -> Rules {
        Rules {
            redirects: Redirects::new(redirects::parse("_redirects", moved).0),
            headers: CustomHeaders::new(custom_headers::parse("_headers", headers).0),
            types: OwnTypes::default(),
            ..rules(PageForm::Flat, "")
        }
    }

    #[test]
    fn a_vhost_is_older_only_than_a_site_that_needs_more() {
        let (plain, single) = (site("", ""), site("/a /b\n", ""));
        let of = |number, rules: &Rules| Fit::of(Some(&marker(number, None)), rules, true);
        assert_eq!(
            of(REDIRECTS - 1, &plain),
            Fit::Current,
            "it needs nothing of the newer rules"
        );
        assert_eq!(
            of(REDIRECTS - 1, &single).problem().unwrap(),
            format!("is older than this site needs (6; now {RULES}): redirects of moved pages are 404s")
        );
        let headers = of(REDIRECTS - 1, &site("", "/a\n  X-A: b\n"));
        assert!(
            headers.problem().unwrap().ends_with("it lacks 1 rule of headers"),
            "{headers:?}"
        );
        assert!(matches!(of(REDIRECTS - 2, &plain), Fit::Older(5, lacking) if lacking.len() == 1));
        assert_eq!(of(RULES + 1, &single), Fit::Current, "a later version prints all of it");
    }

    #[test]
    fn a_vhost_of_other_settings_is_seen_if_the_settings_are_known() {
        let now = site("/a/* /b\n/c /d\n/e/* /f\n/g/* /h/:splat\n", "");
        let same = settings(&now);
        assert_eq!(Fit::of(Some(&marker(RULES, Some(&same))), &now, true), Fit::Current);
        let other = Fit::of(Some(&marker(RULES, Some("ab12"))), &now, true);
        // The release itself has the redirects of the second rule, and those of the last that lead to a file.
        assert_eq!(
            other,
            Fit::OtherSettings(vec!["2 redirects (the first: _redirects, line 1)".to_owned()])
        );
        assert_eq!(Fit::of(Some(&marker(RULES, Some("ab12"))), &now, false), Fit::Current);
        let none = Fit::of(Some(&marker(RULES, Some("ab12"))), &site("", ""), true);
        assert!(none.problem().unwrap().contains("the form of its pages"));
    }

    #[test]
    fn a_vhost_of_ones_own_is_a_problem_only_for_a_site_with_rules() {
        assert_eq!(Fit::of(None, &site("", ""), true).problem(), None);
        let of = |moved, headers| Fit::of(None, &site(moved, headers), true).problem().unwrap();
        assert!(of("/a /b\n", "").ends_with("only the printed one carries: redirects of moved pages"));
        assert!(of("", "/a\n  X-A: b\n").ends_with(": 1 rule of headers"));
    }

    #[test]
    fn all_that_only_the_vhost_carries_is_named() {
        let mut all = site("/a/* https://example.org/\n", "/a\n  X-A: b\n/b\n  X-A: c\n");
        all.one_address = true;
        all.languages = vec!["de".to_owned()];
        all.types.add("*.x", "text/plain").unwrap();
        assert_eq!(
            carried(&all),
            [
                "1 redirect (_redirects, line 1)",
                "2 rules of headers",
                "1 media type of your own",
                "the way from the front page to a visitor's language",
                "one address for each page",
            ]
        );
        assert_eq!(carried(&site("", "")), Vec::<String>::new());
    }

    #[test]
    fn marker_is_read_as_it_is_written_and_nothing_else_is_one() {
        let marker = Marker::parse(&text("9f31", "ab12")).unwrap();
        assert_eq!((marker.rules, marker.tree.as_str()), (RULES, "9f31"));
        assert_eq!(marker.settings.as_deref(), Some("ab12"));
        assert_eq!(Marker::parse(&text("", "ab12")).unwrap().tree, "");
        assert_eq!(Marker::parse("rules 6\ntree 9f31\n").unwrap().settings, None);
        for other in [
            "",
            "<!DOCTYPE html>",
            "rules x\ntree a\n",
            "rules 2\n",
            "rules 2\ntree /srv\n",
        ] {
            assert_eq!(Marker::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn older_rules_lack_something_and_these_nothing() {
        assert!((1..RULES).all(|number| !missing(number).is_empty()));
        assert_eq!(missing(RULES), Vec::<&str>::new());
    }
}

//! From an address to a file: the locations of the vhost. Pure.
//!
//! [`crate::rules::pages`] and [`crate::rules::base`] define the behavior, rule by rule; this module turns each rule
//! into directives. All locations use paths of the export. If the site has a base path, it is removed in one place
//! before nginx chooses a location, so no location depends on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Site, values};
use crate::model::media;
use crate::model::redirect::{self, END, Status};
use crate::next::url::CLIENT;
use crate::rules::base::{self, BaseRule};
use crate::rules::languages::NOT_FOUND_ENDS;
use crate::rules::pages::{self, ERROR_NAMES, INDEX_END, Name, PAGE_END, Rule, RulePaths, Step, WELL_KNOWN};
use crate::rules::{NOT_FOUND_PAGE, PageForm, marker};

impl Site<'_> {
    /// The locations, and the directives that run before nginx chooses one.
    pub(super) fn pages(&self) -> String {
        let mut text = format!(
            "absolute_redirect off;\n\
             error_page 404 {base}/{NOT_FOUND_PAGE};\n\
             set {moved} \"\";\n\
             {without_prefix}{without_base}",
            base = self.base,
            moved = self.variable("moved"),
            without_prefix = self.without_asset_prefix(),
            without_base = self.without_base(),
        );
        let rules = pages::rules(self.vhost.rules.form, self.vhost.rules.one_address);
        for rule in rules {
            text.push('\n');
            text += self.remark(rule.place);
            text += &self.rule(rule);
        }
        text + &self.not_found() + &self.moved()
    }

    /// The location of the redirects of moved pages: by the entry of the release, or else by the first pattern.
    ///
    /// nginx looks for the page and for its redirect one after the other, each by `current`. If `current` moves in
    /// between, a page of the one release that is a redirect of the other is in neither. So what has no redirect is looked
    /// up once more from the start, before a pattern or the page for missing files answers.
    fn moved(&self) -> String {
        let moved = self.variable("moved");
        let mut text = format!(
            "root \"{root}/{folder}${{{source}}}{END}\";\n\
             if (-d $document_root) {{\n    \
                 set {moved} \"{moved}{answer}\";\n\
             }}\n\
             if ({moved} = \"\") {{\n    \
                 set {moved} 2;\n    \
                 rewrite ^ {sought} last;\n\
             }}\n",
            root = self.root,
            folder = redirect::FOLDER,
            source = self.variable("from").trim_start_matches('$'),
            answer = self.variable("answer"),
            sought = self.variable("sought"),
        );
        if self.vhost.rules.redirects.patterns().next().is_some() {
            let pattern = self.variable("match");
            let _ = write!(text, "if ({moved} = 2) {{\n    set {moved} {pattern};\n}}\n");
        }
        for status in Status::ALL {
            let _ = write!(
                text,
                "if ({moved} ~ \"^2?{status}(.+)\\z\") {{\n    \
                     return {status} $1;\n\
                 }}\n",
            );
        }
        text += "return 404;\n";
        format!(
            "\n# Moved pages. The release has an entry for each address, and the folder that the entry leads to spells the answer.\n\
             # An address without one is looked up a second time: `current` may have moved since the look for the page.\n{}",
            location(MOVED, &text)
        )
    }

    /// The location that leads to the front page of the visitor's language.
    fn language(&self) -> String {
        let slash = match self.vhost.rules.form {
            PageForm::Flat => "",
            PageForm::Folder => "/",
        };
        let lead = format!(
            "return 302 {}/{}{slash}$is_args$args;\n",
            self.base,
            self.variable("lang")
        );
        location(LANGUAGE, &lead)
    }

    /// The location of the page for missing files. An address in the folder of a language gets that of the language.
    fn not_found(&self) -> String {
        let missing = self.variable("lost");
        let pages = NOT_FOUND_ENDS.map(|end| format!("{missing}{end}"));
        let internal = if self.vhost.rules.one_address {
            "internal;\n"
        } else {
            ""
        };
        let text = format!("{internal}try_files {} /{NOT_FOUND_PAGE} =404;\n", pages.join(" "));
        location(&format!("= /{NOT_FOUND_PAGE}"), &text)
    }

    /// Removes the asset prefix from the addresses of the client's files.
    fn without_asset_prefix(&self) -> String {
        if self.asset_prefix.is_empty() {
            return String::new();
        }
        format!(
            "\n\
             # Pages ask for the client's files behind {prefix} (`assetPrefix`).\n\
             rewrite \"(?s)^{pattern}({CLIENT}.*)\\z\" $1 break;\n",
            prefix = self.asset_prefix,
            pattern = values::pattern(self.asset_prefix),
        )
    }

    /// Removes the base path, and refuses everything outside it.
    ///
    /// This is a `rewrite` and not a variable for `try_files`. At server level it runs once per request and never for a
    /// named location, so a page whose path starts like the base path keeps its own. Types, encodings and the cache
    /// class all follow `$uri`. The only internal redirect, to the 404 page, passes through here again, and therefore
    /// its target is given as an address with the base path.
    fn without_base(&self) -> String {
        if self.base.is_empty() {
            return String::new();
        }
        let base = self.base;
        let mut text = format!(
            "\n\
             # All addresses begin with {base}. It is taken off here, once, before a location is chosen: what\n\
             # follows speaks of paths as the export has them.\n"
        );
        for rule in base::rules(self.vhost.rules.form) {
            text += &self.base_rule(*rule);
        }
        text + "return 404;\n"
    }

    fn base_rule(&self, rule: BaseRule) -> String {
        let base = self.base;
        let pattern = values::pattern(base);
        let leads = |from: &str, to: &str| {
            format!(
                "if ($uri = {base}{from}) {{\n    \
                     return 308 {base}{to}$is_args$args;\n\
                 }}\n"
            )
        };
        match rule {
            BaseRule::SlashLeadsToBare => leads("/", ""),
            BaseRule::BareLeadsToSlash => leads("", "/"),
            BaseRule::Front => format!("rewrite \"^{pattern}\\z\" / break;\n"),
            BaseRule::FrontPayload => {
                format!("rewrite \"^{pattern}[.]txt\\z\" {} break;\n", base::FRONT_PAYLOAD)
            }
            BaseRule::Below => format!("rewrite \"(?s)^{pattern}(/.*)\\z\" $1 break;\n"),
            BaseRule::OfTheHost => {
                let names = base::OF_THE_HOST.map(|name| {
                    let below = if name.ends_with('/') { ".+" } else { "" };
                    format!("{}{below}", values::pattern(name))
                });
                format!(
                    "# What the world asks a host for and not a site. Nothing else is served outside {base}.\n\
                     rewrite \"(?s)^(/(?:{}))\\z\" $1 break;\n",
                    names.join("|")
                )
            }
        }
    }

    /// The explanation of the rule for a place, as comments of the vhost.
    fn remark(&self, place: RulePaths) -> &'static str {
        match (place, self.vhost.rules.form) {
            (RulePaths::Marker, _) => {
                "# By which rules this was printed, and which tree `current` leads to: `doctor` compares. Nothing else is shown.\n"
            }
            (RulePaths::Dot, _) => "# No dot files, except what /.well-known/ is for.\n",
            (RulePaths::Pooled, _) => {
                "# An open tab of a former release still asks for its chunks. The live release's own file wins. `try_files`\n\
                 # looks, and the file is opened afterwards: where `current` moves in between, what only the former release\n\
                 # has is missing then, too.\n"
            }
            (RulePaths::Slash, PageForm::Flat) => {
                "# Pages are files, X.html for /X. /X/ goes there, or is the index.html that a folder brought along.\n\
                 # That a page exists is asked of the disk, by the decoded path; where to go is said in the visitor's.\n"
            }
            (RulePaths::Slash, PageForm::Folder) => {
                "# Pages are folders, X/index.html for /X/. /X goes there, or is an X.html that came along.\n\
                 # That a page exists is asked of the disk, by the decoded path; where to go is said in the visitor's.\n"
            }
            (RulePaths::Any, _) => {
                "# `?v=` with the hash of a file's bytes leads to a copy that never changes, here or in the pool. Where there\n\
                 # is none, it counts for nothing.\n"
            }
            (RulePaths::Error, _) => "# The error page is for answers with 404 alone.\n",
            (RulePaths::IndexFile, _) => {
                "# A page has one address: the paths of its file lead there, unless the address is that of another file.\n"
            }
            (RulePaths::Front | RulePaths::PageFile, _) => "",
        }
    }

    /// Prints a rule as a location, plus another location for the steps after its files. nginx runs `return` before it
    /// tries any file, so later decisions go into a location that `try_files` falls back to.
    fn rule(&self, rule: Rule) -> String {
        let (mut first, rest) = self.look_up(rule.steps, next(rule));
        let pattern = match rule.place {
            RulePaths::Marker => format!("= {}", marker::ADDRESS),
            RulePaths::Front => "= /".to_owned(),
            RulePaths::Dot => {
                let well_known = WELL_KNOWN.trim_start_matches('.');
                format!("~ \"(?:^/[.](?!{well_known})|[^/]/[.])\"")
            }
            RulePaths::Pooled => format!("~ \"(?s)^/{}\"", self.pooled),
            RulePaths::Error => {
                "internal;\n".clone_into(&mut first);
                format!(
                    "~ \"^/(?:{})(?:[.]html|/(?:index[.]html)?)?\\z\"",
                    ERROR_NAMES.join("|")
                )
            }
            RulePaths::IndexFile => format!("~ \"(?s)^(?<sp_page>.*){}\\z\"", values::pattern(INDEX_END)),
            RulePaths::PageFile => format!("~ \"(?s)^(?<sp_page>.*[^/]){}\\z\"", values::pattern(PAGE_END)),
            RulePaths::Slash => "~ \"(?s)^(?<sp_page>/.+)/\\z\"".to_owned(),
            RulePaths::Any => "/".to_owned(),
        };
        if let [Step::Own { unless }] = rule.steps {
            return self.own_address(&pattern, unless);
        }
        let (again, root) = match rest {
            [Step::Pool, ..] => (second_chance(next(rule)), format!("root {}/immutable;\n", self.docroot)),
            _ => (String::new(), String::new()),
        };
        let mut text = location(&pattern, &format!("{first}{again}"));
        match rest {
            [] | [Step::Redirect] => {}
            [Step::Language, ..] => text += &self.language(),
            [Step::Pool, originals @ ..] => {
                let second = format!("{root}try_files $uri {ORIGINAL};\n");
                text += &location(next(rule), &second);
                text += &location(ORIGINAL, &self.block(originals, "=404").0);
            }
            // Of the steps after the first files, only the last can be a file, so a third location is never needed.
            rest => text += &location(next(rule), &format!("{root}{}", self.block(rest, "=404").0)),
        }
        if let (RulePaths::Any, [Step::Copy, steps @ ..]) = (rule.place, rule.steps) {
            let lookup = self.look_up(steps, next(rule)).0;
            if self.vhost.rules.one_address {
                text += &location(PLAIN, &lookup);
            }
            text += &self.own_types(&lookup);
            // Only files with an extension have copies, so these locations need no `Step::Copy`.
            text += &named_types(&lookup);
        }
        text
    }

    /// The location that leads from the path of a page's file to the page. What is not led is looked up like any other
    /// path, in a location of its own: an `if` that is taken without `return` would lose `try_files`.
    fn own_address(&self, pattern: &str, unless: &[&str]) -> String {
        let own = self.variable("own");
        let mut text = second_chance(PLAIN);
        let taken = unless.iter().map(|ending| format!("-f $document_root$sp_page{ending}"));
        for condition in taken.chain([format!("{own} = \"\"")]) {
            let _ = write!(text, "if ({condition}) {{\n    return 404;\n}}\n");
        }
        let _ = write!(
            text,
            "if (-f $document_root$uri) {{\n    return 308 {own}$is_args$args;\n}}\nreturn 404;\n"
        );
        location(pattern, &text)
    }

    /// The locations for files whose type the site manifest sets by path. They have no copies.
    fn own_types(&self, lookup: &str) -> String {
        let mut text = String::new();
        for own in self.vhost.rules.types.by_path() {
            if text.is_empty() {
                text += "\n# [types] of the site manifest.\n";
            }
            let media_type = &own.media_type;
            let types = match own.glob.extension() {
                // The served file may be a page with the same name plus `.html`.
                Some(extension) => format!("types {{\n    {media_type} {extension};\n    text/html html;\n}}\n"),
                None => format!("default_type {media_type};\n"),
            };
            let pattern = own.glob.regex();
            text += &location(&format!("~ \"^/{pattern}\\z\""), &format!("{types}{lookup}"));
        }
        text
    }

    /// A file as `try_files` and `-f` name it. The pattern of [`RulePaths::Slash`] sets `$sp_page`.
    fn file(&self, name: Name) -> String {
        let original = self.variable("plain");
        match name {
            Name::Itself => "$uri".to_owned(),
            Name::Page => "$uri.html".to_owned(),
            Name::Index => "${uri}index.html".to_owned(),
            Name::IndexBelow => "$uri/index.html".to_owned(),
            Name::BarePage => "$sp_page.html".to_owned(),
            Name::Original => original,
            Name::OriginalPage => format!("{original}.html"),
            Name::OriginalIndex => format!("{original}/index.html"),
        }
    }

    /// Like [`Self::block`], for the location in which an address is looked up first. `try_files` changes `$uri`, and the
    /// redirects need the address as it was.
    fn look_up<'s>(&self, steps: &'s [Step], next: &str) -> (String, &'s [Step]) {
        let (text, rest) = self.block(steps, next);
        if steps.contains(&Step::Redirect) {
            return (format!("set {} $uri;\n{text}", self.variable("sought")), rest);
        }
        (text, rest)
    }

    /// The directives for the steps up to the first one that must wait for the files before it, and the remaining
    /// steps. `next` is the location for the remaining steps.
    fn block<'s>(&self, steps: &'s [Step], next: &str) -> (String, &'s [Step]) {
        let path = self.variable("path");
        let mut text = String::new();
        let mut files = Vec::new();
        let mut rest = steps;
        while let [step, tail @ ..] = rest {
            match step {
                Step::File(name) => files.push(self.file(*name)),
                Step::Marker => {
                    let said =
                        marker::text(&self.variable("tree"), &marker::settings(&self.vhost.rules)).replace('\n', "\\n");
                    return (format!("default_type text/plain;\nreturn 200 \"{said}\";\n"), tail);
                }
                Step::Language if self.vhost.rules.languages.is_empty() => {}
                _ if !files.is_empty() => break,
                // Printed by `Self::own_address`.
                Step::Own { .. } => {}
                Step::Pool | Step::Redirect | Step::Language => break,
                Step::Copy => {
                    let copy = self.variable("copy");
                    let _ = write!(text, "if ({copy}) {{\n    rewrite ^ {copy} last;\n}}\n");
                }
                Step::Spelled => {
                    let _ = write!(text, "if ({path} = \"\") {{\n    return 404;\n}}\n");
                }
                Step::Lead { there, to } => {
                    let _ = write!(
                        text,
                        "if (-f $document_root{there}) {{\n    \
                             return 308 {path}{to}$is_args$args;\n\
                         }}\n",
                        there = self.file(*there),
                    );
                }
            }
            rest = tail;
        }
        let last = match rest {
            [] => "=404",
            [Step::Redirect] => MOVED,
            [Step::Language, ..] => LANGUAGE,
            _ => next,
        };
        if files.is_empty() && rest.is_empty() {
            text += "return 404;\n";
        } else {
            if files.is_empty() {
                // Never a file: it is the folder of the redirects, or nothing.
                files.push(format!("/{}", redirect::FOLDER));
            } else if steps.contains(&Step::Redirect) {
                text += &second_chance(MOVED);
            }
            let _ = writeln!(text, "try_files {} {last};", files.join(" "));
        }
        (text, rest)
    }
}

/// The name of the location for the steps of a rule after its files.
fn next(rule: Rule) -> &'static str {
    match rule.place {
        RulePaths::Pooled => "@pool",
        RulePaths::Slash => "@bare",
        _ => "@other",
    }
}

/// The location that leads to the front page of a language.
const LANGUAGE: &str = "@language";

/// The location of a path that is looked up as it is.
const PLAIN: &str = "@plain";

/// The location of the redirects of moved pages.
const MOVED: &str = "@moved";

/// The location of the original files of copies.
const ORIGINAL: &str = "@original";

/// Leads a 404 to a location, such as that of a file that was there at the look and is gone when it is opened. By
/// default nginx handles no further error after one that led to a location, and errors there must lead to the 404 page.
fn second_chance(location: &str) -> String {
    format!("error_page 404 = {location};\nrecursive_error_pages on;\n")
}

fn location(pattern: &str, directives: &str) -> String {
    format!("location {pattern} {{\n{}}}\n", super::indented(directives))
}

/// The locations for files that have a type without an extension. A page of that name is still found: its `.html`
/// extension determines the type before the default does.
fn named_types(lookup: &str) -> String {
    let mut by_type: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let images = format!("(?:{}){}(?:/[^/.]+)?", media::IMAGES.join("|"), media::MARK);
    by_type.insert(media::IMAGE, vec![images]);
    for (end, media_type) in media::NAMED {
        by_type.entry(media_type).or_default().push(values::pattern(end));
    }
    let mut text = String::from("\n# Files without an extension.\n");
    for (media_type, ends) in by_type {
        let pattern = format!("~ \"/(?:{})\\z\"", ends.join("|"));
        text += &location(&pattern, &format!("default_type {media_type};\n{lookup}"));
    }
    text
}

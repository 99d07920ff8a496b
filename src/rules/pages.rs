//! From a path to a file: the rules that decide, and the steps of each. Pure.
//!
//! Paths are those of the export with a leading slash; the base path is already removed.

use super::{Address, PageForm, Rules, fingerprint, marker, redirects};
use crate::model::media;
use crate::model::redirect::{self, Redirect};
use crate::next::url::CLIENT;

/// Which paths a rule is for. The first of the [`rules`] whose place contains the path decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePaths {
    /// Only the address of the [`marker`].
    Marker,
    /// Only `/`.
    Front,
    /// A segment starts with a dot, except [`WELL_KNOWN`] as the first segment.
    Dot,
    /// A file that the pool may have.
    Pooled,
    /// One of the addresses of the error page, and of Next.js's own page for missing files.
    Error,
    /// The path ends with `/index.html`.
    IndexFile,
    /// The path ends with `.html`.
    PageFile,
    /// The path ends with a slash.
    Slash,
    /// Any other path.
    Any,
}

/// One step of a rule. Steps are run in order; if none of them answers, the result is 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reports by which rules the vhost was printed, and which tree it serves.
    Marker,
    /// Serves a file, if it exists.
    File(Name),
    /// Continues with the path of the copy that the query's fingerprint names, if the query has one. The rule for that
    /// path finds out whether the copy exists.
    Copy,
    /// Serves the file of a previous release, if the pool has one. This step is also reached if a file existed when
    /// nginx looked for it but not when nginx opened it, because of a swap in between.
    Pool,
    /// Ends with 404 if the visitor's spelling must not be repeated, see [`Address::spelled`].
    Spelled,
    /// Redirects to the other spelling of the address, if a file exists.
    Lead {
        /// The file that must exist.
        there: Name,
        /// What follows the address without a slash at its end.
        to: &'static str,
    },
    /// Redirects the path of a page's file to the page's own address: the path without `index.html` or `.html`. The own
    /// address is another file's if the path without `/index.html` or `.html` is a file with one of these endings.
    Own {
        /// The endings.
        unless: &'static [&'static str],
    },
    /// Redirects to the front page of the visitor's language, if the site has front pages only by language.
    Language,
    /// Redirects a moved page: by the entry that the release has for the address, or else by the first pattern. Patterns
    /// are for pages alone, not for what Next.js's client asks for.
    Redirect,
}

/// A file, named after the requested path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// The path itself.
    Itself,
    /// The path followed by `.html`.
    Page,
    /// The path, which ends with a slash, followed by `index.html`.
    Index,
    /// The path followed by `/index.html`.
    IndexBelow,
    /// The path without its trailing slash, followed by `.html`.
    BarePage,
    /// The path of the original file, if the path is that of a copy.
    Original,
    /// The original's path followed by `.html`.
    OriginalPage,
    /// The original's path followed by `/index.html`.
    OriginalIndex,
}

/// A rule: which paths it is for, and what is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The paths.
    pub place: RulePaths,
    /// The steps, in order.
    pub steps: &'static [Step],
}

/// The only folder starting with a dot whose files are served.
pub const WELL_KNOWN: &str = ".well-known/";

/// The rules, in order. `one_address` says whether a page has one address alone; otherwise the path of its file is one,
/// too.
///
/// In the flat form, `/usage` is `usage.html`. `/usage/` redirects to it, or is an `index.html` that a folder of the
/// export contains; if a page and a folder have the same name, the page wins. In the folder form, `/usage/` is
/// `usage/index.html`, and `/usage` redirects to it or is a `usage.html` that the export contains.
pub fn rules(form: PageForm, one_address: bool) -> impl Iterator<Item = Rule> {
    use Step::{File, Spelled};
    let (slash, any): (&[Step], &[Step]) = match form {
        PageForm::Flat => (
            &[Spelled, TO_BARE, File(Name::Index), Step::Redirect],
            &[
                Step::Copy,
                File(Name::Itself),
                File(Name::Page),
                Spelled,
                TO_SLASH,
                Step::Redirect,
            ],
        ),
        PageForm::Folder => (
            &[File(Name::Index), Spelled, TO_BARE, Step::Redirect],
            &[
                Step::Copy,
                File(Name::Itself),
                Spelled,
                TO_SLASH,
                File(Name::Page),
                Step::Redirect,
            ],
        ),
    };
    let (of_index, of_page): (&[Step], &[Step]) = match form {
        PageForm::Flat => (&[Step::Own { unless: &[".html"] }], &[Step::Own { unless: &[""] }]),
        PageForm::Folder => (
            &[Step::Own { unless: &[] }],
            &[Step::Own {
                unless: &["", "/index.html"],
            }],
        ),
    };
    let all: [(RulePaths, &[Step]); 9] = [
        (RulePaths::Marker, &[Step::Marker]),
        (RulePaths::Front, &[File(Name::Index), Step::Language, Step::Redirect]),
        (RulePaths::Dot, &[]),
        (
            RulePaths::Pooled,
            // If a copy is neither here nor in the pool, its address was derived from another one or is too old.
            &[
                File(Name::Itself),
                Step::Pool,
                File(Name::Original),
                File(Name::OriginalPage),
                File(Name::OriginalIndex),
            ],
        ),
        (RulePaths::Error, &[]),
        (RulePaths::IndexFile, of_index),
        (RulePaths::PageFile, of_page),
        (RulePaths::Slash, slash),
        (RulePaths::Any, any),
    ];
    let is_of_one_address = |place| matches!(place, RulePaths::Error | RulePaths::IndexFile | RulePaths::PageFile);
    all.into_iter()
        .filter(move |(place, _)| one_address || !is_of_one_address(*place))
        .map(|(place, steps)| Rule { place, steps })
}

/// The endings of the paths that [`RulePaths::Error`] is for, which start with a slash and one of these names.
pub const ERROR_NAMES: [&str; 2] = ["404", "_not-found"];

/// The ends of the paths that [`RulePaths::IndexFile`] and [`RulePaths::PageFile`] are for.
pub const INDEX_END: &str = "/index.html";
/// See [`INDEX_END`].
pub const PAGE_END: &str = ".html";

const TO_BARE: Step = Step::Lead {
    there: Name::BarePage,
    to: "",
};

const TO_SLASH: Step = Step::Lead {
    there: Name::IndexBelow,
    to: "/",
};

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A file of the site.
    File {
        /// Its path in the site, without a leading slash.
        path: String,
        /// Its type if its extension determines none.
        default_type: &'static str,
    },
    /// A redirect to the other spelling of the address: 308.
    Moved(Vec<u8>),
    /// A redirect to the front page of the visitor's language, see [`Rules::front_of`]: 302.
    Language,
    /// The redirect that the release has at this path.
    Entry(String),
    /// The redirect of a pattern.
    Pattern(Redirect),
    /// The text of the [`marker`].
    Marker,
    /// The site's page for missing files: 404.
    NotFound,
}

/// Resolves a path.
pub(super) fn resolve(rules: &Rules, path: &[u8], address: &Address, is_file: &dyn Fn(&str) -> bool) -> Outcome {
    let mut of_form = self::rules(rules.form, rules.one_address);
    let Some(mut rule) = of_form.find(|rule| has(rule.place, path, rules)) else {
        return Outcome::NotFound;
    };
    if let [Step::Own { unless }] = rule.steps {
        if let Some(own) = own_address(path, unless, address, is_file) {
            return Outcome::Moved(address.with_query(own));
        }
        let Some(any) = of_form.last() else {
            return Outcome::NotFound;
        };
        rule = any;
    }
    let found = |name: Name| file_of(name, path, rules).filter(|path| is_file(path));
    for step in rule.steps {
        match step {
            Step::Marker => return Outcome::Marker,
            Step::File(name) => {
                if let Some(file) = found(*name) {
                    let default_type = default_type(rule.place, path);
                    return Outcome::File {
                        path: file,
                        default_type,
                    };
                }
            }
            // A file whose type is set by its path has no copies.
            Step::Copy if rules.own_type(as_file(path)).is_some() => {}
            Step::Copy => {
                if let Some(copy) = copy_of(path, address, rules) {
                    return resolve(rules, &copy, address, is_file);
                }
            }
            // Only the host has the files of previous releases, and a page's own address was handled above.
            Step::Pool | Step::Own { .. } => {}
            Step::Spelled => {
                if address.spelled().is_none() {
                    return Outcome::NotFound;
                }
            }
            Step::Lead { there, to } => {
                if let (Some(_), Some(spelled)) = (found(*there), address.spelled()) {
                    let to = [spelled, to.as_bytes()].concat();
                    return Outcome::Moved(address.with_query(&to));
                }
            }
            Step::Language if rules.languages.is_empty() => {}
            Step::Language => return Outcome::Language,
            Step::Redirect => {
                let entry = as_address(path).and_then(redirect::path_of);
                if let Some(entry) = entry.filter(|entry| is_file(entry.as_str())) {
                    return Outcome::Entry(entry.as_str().to_owned());
                }
                let spelled = if path == b"/" {
                    Some(&b""[..])
                } else {
                    address.spelled()
                };
                // The parts of a page would lead elsewhere than the page. Next.js's client loads the page if it gets none.
                let of_client = path.starts_with(CLIENT.as_bytes())
                    || address
                        .parameter(redirects::OF_PAYLOADS)
                        .is_some_and(|value| !value.is_empty());
                let spelled = spelled
                    .filter(|_| !of_client)
                    .and_then(|spelled| std::str::from_utf8(spelled).ok());
                if let Some(redirect) = spelled.and_then(|spelled| rules.redirects.by_pattern(spelled)) {
                    return Outcome::Pattern(redirect);
                }
            }
        }
    }
    Outcome::NotFound
}

/// Whether a place contains a path.
fn has(place: RulePaths, path: &[u8], rules: &Rules) -> bool {
    match place {
        RulePaths::Marker => path == marker::ADDRESS.as_bytes(),
        RulePaths::Front => path == b"/",
        RulePaths::Dot => is_dotted(path),
        RulePaths::Pooled => rules.classes.is_pooled(path.strip_prefix(b"/").unwrap_or(path)),
        RulePaths::Error => is_error(path),
        RulePaths::IndexFile => path.ends_with(INDEX_END.as_bytes()),
        RulePaths::PageFile => path.ends_with(PAGE_END.as_bytes()) && !path.ends_with(b"/.html"),
        RulePaths::Slash => path.ends_with(b"/"),
        RulePaths::Any => true,
    }
}

fn is_error(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    ERROR_NAMES.iter().any(|name| {
        let rest = path.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| matches!(rest, b"" | b".html" | b"/" | b"/index.html"))
    })
}

/// The visitor's spelling of a page's own address, given that of its file. `None` if the own address does not lead to
/// the file.
fn own_address<'a>(
    path: &[u8],
    unless: &[&str],
    address: &'a Address,
    is_file: &dyn Fn(&str) -> bool,
) -> Option<&'a [u8]> {
    let path = as_file(path);
    let bare = path
        .strip_suffix(&INDEX_END[1..])
        .or_else(|| path.strip_suffix(PAGE_END))?;
    let page = bare.strip_suffix('/').unwrap_or(bare);
    let is_taken = |ending: &&str| is_file(&format!("{page}{ending}"));
    if !is_file(path) || unless.iter().any(is_taken) {
        return None;
    }
    let spelled = address.spelled()?;
    spelled
        .strip_suffix(&INDEX_END.as_bytes()[1..])
        .or_else(|| spelled.strip_suffix(PAGE_END.as_bytes()))
}

fn is_dotted(path: &[u8]) -> bool {
    let below = path.strip_prefix(b"/").unwrap_or(path);
    let rest = below.strip_prefix(WELL_KNOWN.as_bytes()).unwrap_or(below);
    rest.split(|byte| *byte == b'/')
        .any(|segment| segment.starts_with(b"."))
}

/// The path of the copy that the query's fingerprint names, with a leading slash.
fn copy_of(path: &[u8], address: &Address, rules: &Rules) -> Option<Vec<u8>> {
    let path = std::str::from_utf8(path).ok()?.strip_prefix('/')?;
    let folder = rules.classes.copies().trim_end_matches('/');
    let copy = fingerprint::copy_of(folder, path, fingerprint::of_address(address)?)?;
    Some(format!("/{copy}").into_bytes())
}

/// The path of a file in the site; `None` if no file can have it.
fn file_of(name: Name, path: &[u8], rules: &Rules) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?.strip_prefix('/')?;
    let original = || {
        let copy = path.strip_prefix(rules.classes.copies())?;
        fingerprint::original_of(copy).map(|(path, _)| path)
    };
    let file = match name {
        Name::Itself => path.to_owned(),
        Name::Page => format!("{path}.html"),
        Name::Index => format!("{path}index.html"),
        Name::IndexBelow => format!("{path}/index.html"),
        Name::BarePage => format!("{}.html", path.strip_suffix('/')?),
        Name::Original => original()?,
        Name::OriginalPage => format!("{}.html", original()?),
        Name::OriginalIndex => format!("{}/index.html", original()?),
    };
    Some(file)
}

/// The type of a file whose extension determines none. Only in [`RulePaths::Any`] does the file name decide it.
fn default_type(place: RulePaths, path: &[u8]) -> &'static str {
    let name = std::str::from_utf8(path).ok().filter(|_| place == RulePaths::Any);
    name.and_then(media::by_name).unwrap_or(media::UNKNOWN)
}

/// The address of a path, without a slash at its end; `None` if it is not UTF-8.
fn as_address(path: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(path).ok()?;
    Some(text.strip_suffix('/').filter(|bare| !bare.is_empty()).unwrap_or(text))
}

/// A path as the export has it; empty if it is not UTF-8, because no file of the export has such a path.
fn as_file(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default().trim_start_matches('/')
}

//! From a path to a file: the places that decide, and what each does in turn. Pure.
//!
//! Paths are those of the export with a slash at their front, the base path taken off.

use super::{Address, PageForm, Rules, fingerprint, marker};
use crate::model::media;

/// Which paths a rule is for. Of the rules of [`rules`], the first whose place has a path decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePaths {
    /// The [`marker`]'s address alone.
    Marker,
    /// `/` alone.
    Front,
    /// A segment begins with a dot; not where the first one is [`WELL_KNOWN`] and no other does.
    Dot,
    /// A file that the pool may have.
    Pooled,
    /// Ends with a slash.
    Slash,
    /// Any other.
    Any,
}

/// What a rule does, one after the other. What comes to its end is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Says by which rules this was printed, and which tree is served.
    Marker,
    /// Serves a file, where there is one.
    File(Name),
    /// Goes on with the path of the copy that the query's fingerprint names, where it has one. Whether there is such a
    /// copy shows there.
    Copy,
    /// Serves the file of a previous release, where the pool has one. It comes after a file that was there when it was
    /// looked for and is not when it is opened, too: a swap lies in between.
    Pool,
    /// Ends where the visitor's spelling must not be repeated, see [`Address::spelled`]: not found.
    Spelled,
    /// Leads to the other spelling of the address, where there is a file.
    Lead {
        /// The file.
        there: Name,
        /// The end of the address to go to.
        to: Ending,
    },
}

/// A file, named after the path that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// The path itself.
    Itself,
    /// The path and `.html`.
    Page,
    /// The path, which ends with a slash, and `index.html`.
    Index,
    /// The path, `/` and `index.html`.
    IndexBelow,
    /// The path without its slash, and `.html`.
    BarePage,
    /// The path of the file that a copy was made of, where the path is a copy's.
    Original,
    /// The same and `.html`.
    OriginalPage,
    /// The same, `/` and `index.html`.
    OriginalIndex,
}

/// How an address ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Without a slash.
    Bare,
    /// With one.
    Slash,
}

impl Ending {
    /// What stands behind the bare address.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Slash => "/",
        }
    }
}

/// What to do with the paths of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Which paths.
    pub place: RulePaths,
    /// What is done.
    pub steps: &'static [Step],
}

/// The folder of dot files that everybody may have.
pub const WELL_KNOWN: &str = ".well-known/";

/// The rules of a form of pages, in order.
///
/// Flat, `/usage` is `usage.html`, and `/usage/` goes there or is the index.html that a folder brought along; of a page
/// and a folder of one name the page wins. In folders, `/usage/` is `usage/index.html`, and `/usage` goes there or is a
/// `usage.html` that came along.
#[must_use]
pub const fn rules(form: PageForm) -> [Rule; 6] {
    use Step::{File, Spelled};
    let (slash, any): (&[Step], &[Step]) = match form {
        PageForm::Flat => (
            &[Spelled, TO_BARE, File(Name::Index)],
            &[Step::Copy, File(Name::Itself), File(Name::Page), Spelled, TO_SLASH],
        ),
        PageForm::Folder => (
            &[File(Name::Index), Spelled, TO_BARE],
            &[Step::Copy, File(Name::Itself), Spelled, TO_SLASH, File(Name::Page)],
        ),
    };
    [
        Rule {
            place: RulePaths::Marker,
            steps: &[Step::Marker],
        },
        Rule {
            place: RulePaths::Front,
            steps: &[File(Name::Index)],
        },
        Rule {
            place: RulePaths::Dot,
            steps: &[],
        },
        Rule {
            place: RulePaths::Pooled,
            // A copy that is neither here nor in the pool: the address was derived from another, or is too old.
            steps: &[
                File(Name::Itself),
                Step::Pool,
                File(Name::Original),
                File(Name::OriginalPage),
                File(Name::OriginalIndex),
            ],
        },
        Rule {
            place: RulePaths::Slash,
            steps: slash,
        },
        Rule {
            place: RulePaths::Any,
            steps: any,
        },
    ]
}

const TO_BARE: Step = Step::Lead {
    there: Name::BarePage,
    to: Ending::Bare,
};

const TO_SLASH: Step = Step::Lead {
    there: Name::IndexBelow,
    to: Ending::Slash,
};

/// What a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A file of the site.
    File {
        /// Its path in the site, without a slash at its front.
        path: String,
        /// Its type where its extension has none.
        default_type: &'static str,
    },
    /// Another address: 308.
    Moved(Vec<u8>),
    /// What [`marker`] says.
    Marker,
    /// The site's page for what it does not have: 404.
    NotFound,
}

/// What a path gets.
pub(super) fn resolve(rules: &Rules, path: &[u8], address: &Address, is_file: &dyn Fn(&str) -> bool) -> Outcome {
    let of_form = self::rules(rules.form);
    let Some(rule) = of_form.iter().find(|rule| has(rule.place, path, rules)) else {
        return Outcome::NotFound;
    };
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
            // A file of a type of its own has no copies.
            Step::Copy if rules.own_type(as_file(path)).is_some() => {}
            Step::Copy => {
                if let Some(copy) = copy_of(path, address, rules) {
                    return resolve(rules, &copy, address, is_file);
                }
            }
            // Previous releases are on the host alone.
            Step::Pool => {}
            Step::Spelled => {
                if address.spelled().is_none() {
                    return Outcome::NotFound;
                }
            }
            Step::Lead { there, to } => {
                if let (Some(_), Some(spelled)) = (found(*there), address.spelled()) {
                    let to = [spelled, to.text().as_bytes()].concat();
                    return Outcome::Moved(address.with_query(&to));
                }
            }
        }
    }
    Outcome::NotFound
}

/// Whether a place has a path.
fn has(place: RulePaths, path: &[u8], rules: &Rules) -> bool {
    match place {
        RulePaths::Marker => path == marker::ADDRESS.as_bytes(),
        RulePaths::Front => path == b"/",
        RulePaths::Dot => is_dotted(path),
        RulePaths::Pooled => {
            let path = path.strip_prefix(b"/").unwrap_or(path);
            rules.classes.pooled().any(|pattern| pattern.has(path))
        }
        RulePaths::Slash => path.ends_with(b"/"),
        RulePaths::Any => true,
    }
}

fn is_dotted(path: &[u8]) -> bool {
    let below = path.strip_prefix(b"/").unwrap_or(path);
    let rest = below.strip_prefix(WELL_KNOWN.as_bytes()).unwrap_or(below);
    rest.split(|byte| *byte == b'/')
        .any(|segment| segment.starts_with(b"."))
}

/// The path of the copy that a query's fingerprint names, with a slash at its front.
fn copy_of(path: &[u8], address: &Address, rules: &Rules) -> Option<Vec<u8>> {
    let path = std::str::from_utf8(path).ok()?.strip_prefix('/')?;
    let folder = rules.classes.copies().trim_end_matches('/');
    let copy = fingerprint::copy_of(folder, path, fingerprint::in_query(address.query())?)?;
    Some(format!("/{copy}").into_bytes())
}

/// The path of a file in the site; none where no file can have it.
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

/// The type of a file whose extension has none: by its name, where names count.
fn default_type(place: RulePaths, path: &[u8]) -> &'static str {
    let named = match place {
        RulePaths::Any => std::str::from_utf8(path).ok().and_then(media::by_name),
        RulePaths::Marker | RulePaths::Front | RulePaths::Dot | RulePaths::Pooled | RulePaths::Slash => None,
    };
    named.unwrap_or(media::UNKNOWN)
}

/// A path as the export has it; empty where it is no text, which no file is called.
fn as_file(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default().trim_start_matches('/')
}

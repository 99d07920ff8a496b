//! A redirect of a release: which status and which `Location` the visitor of a moved page gets. Pure.
//!
//! nginx can read one text from the file system, the path that its root resolves to. So the store spells an answer as a
//! path of empty folders below [`layout::MOVED`], and a release has a symlink to it under the moved page's address.
//! This module is the only one that translates between the two, and no [`Redirect`] exists that can't be spelled: what
//! a kernel would change on the way (`.`, `..`, an empty segment) is refused when it is made. It must never decide
//! which address redirects where.
//!
//! [`layout::MOVED`]: super::layout::MOVED

use std::fmt;

use super::path::{MAX_NAME, SitePath};

/// The folder of a release that contains its redirects.
pub const FOLDER: &str = ".moved";

/// Ends the name of each redirect in [`FOLDER`], and of each answer. No segment of a moved address ends with it, so a
/// redirect of `/a` and the redirects below `/a/` are different names.
pub const END: char = '=';

/// The longest `Location`, in bytes. A path of a file system may have 4,096.
const LONGEST: usize = 2_000;

/// The status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// 301.
    MovedPermanently,
    /// 302.
    Found,
    /// 307.
    Temporary,
    /// 308.
    Permanent,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MovedPermanently, Self::Found, Self::Temporary, Self::Permanent];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }

    /// The status with this number, if it is a redirect that a release can have.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code().to_string() == code)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())
    }
}

/// Where the `Location` leads, as the first folder of its spelling.
pub const PLACES: [(&str, &str); 3] = [("same", ""), ("https", "https:/"), ("http", "http:/")];

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redirect {
    status: Status,
    location: Box<str>,
}

/// Why a `Location` can't be part of a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// It is neither a path nor an http or https URL.
    #[error("is neither a path that starts with one `/` nor an http or https URL")]
    Kind,
    /// It has a character that is not part of a URL.
    #[error("has {0:?}, which must be percent-encoded in a URL")]
    Character(char),
    /// A segment is empty, `.` or `..`.
    #[error("has an empty, `.` or `..` segment")]
    Segment,
    /// A segment is longer than a name may be.
    #[error("has a segment of more than {} bytes, the longest name of a file system", MAX_NAME)]
    LongSegment,
    /// All of it is too long.
    #[error("is longer than {LONGEST} bytes")]
    Long,
}

impl Redirect {
    /// Makes a redirect. `location` is sent as it is, so it must be percent-encoded. A URL without a path gets `/`.
    ///
    /// # Errors
    /// [`BadLocation`] if the text can't be a `Location`, or can't be spelled as folders.
    pub fn new(status: Status, location: &str) -> Result<Self, BadLocation> {
        let after_scheme = location
            .strip_prefix("https://")
            .or_else(|| location.strip_prefix("http://"));
        let is_path = location.starts_with('/');
        if !is_path && after_scheme.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return Err(BadLocation::Kind);
        }
        if let Some(other) = location.chars().find(|c| !is_of_url(*c)) {
            return Err(BadLocation::Character(other));
        }
        let location = match after_scheme {
            Some(rest) if !rest.contains('/') => match rest.find(['?', '#']) {
                // The path of `https://host?query` is `/`.
                Some(at) => {
                    let (start, end) = location.split_at(location.len() - rest.len() + at);
                    format!("{start}/{end}")
                }
                None => format!("{location}/"),
            },
            _ => location.to_owned(),
        };
        if location.len() > LONGEST {
            return Err(BadLocation::Long);
        }
        let path = match location.split_once("//") {
            Some((_, rest)) if !is_path => rest,
            _ => &location[1..],
        };
        // Only the last segment may be empty: a slash at the end.
        let mut segments = path
            .strip_suffix('/')
            .unwrap_or(path)
            .split('/')
            .filter(|_| !path.is_empty());
        if segments.clone().any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(BadLocation::Segment);
        }
        if segments.any(|segment| segment.len() > MAX_NAME) {
            return Err(BadLocation::LongSegment);
        }
        Ok(Self {
            status,
            location: location.into(),
        })
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The `Location`, without the visitor's query.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The `Location` for a visitor with this query, without its question mark. The query of the visitor is passed on
    /// unless the location has one.
    #[must_use]
    pub fn location_with_query(&self, query: &[u8]) -> Vec<u8> {
        let (before, fragment) = match self.location.find('#') {
            Some(at) => self.location.split_at(at),
            None => (&*self.location, ""),
        };
        if query.is_empty() || before.contains('?') {
            return self.location.as_bytes().to_vec();
        }
        [before.as_bytes(), b"?", query, fragment.as_bytes()].concat()
    }

    /// The folder that spells the answer, relative to that of all answers.
    #[must_use]
    pub fn spelling(&self) -> String {
        let (place, rest) = PLACES
            .iter()
            .rev()
            .find_map(|(place, start)| Some((place, self.location.strip_prefix(start)?)))
            .unwrap_or((&PLACES[0].0, &self.location));
        format!("{}/{place}{rest}{END}", self.status)
    }

    /// The redirect that a folder spells, relative to that of all answers; `None` if it spells none.
    #[must_use]
    pub fn spelled(path: &str) -> Option<Self> {
        let (status, rest) = path.strip_suffix(END)?.split_once('/')?;
        let (place, rest) = rest.split_at(rest.find('/')?);
        let (_, start) = PLACES.iter().find(|(name, _)| *name == place)?;
        let redirect = Self::new(Status::from_code(status)?, &format!("{start}{rest}")).ok()?;
        (redirect.spelling() == path).then_some(redirect)
    }
}

/// Whether a URL may have this character. A space or a quote would end the header or the line of a manifest.
fn is_of_url(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

/// The path of the redirect for a moved address in a release; `None` if no release can have it. `address` is decoded,
/// starts with a slash and has none at the end, except for the front page.
#[must_use]
pub fn path_of(address: &str) -> Option<SitePath> {
    let inner = address.strip_prefix('/')?;
    if inner.split('/').any(|segment| segment.ends_with(END)) {
        return None;
    }
    SitePath::new(&format!("{FOLDER}/{inner}{END}")).ok()
}

/// The moved address of the redirect at a path of a release; `None` if there can be no redirect.
#[must_use]
pub fn address_of(path: &str) -> Option<String> {
    let inner = path.strip_prefix(FOLDER)?.strip_suffix(END)?;
    inner.starts_with('/').then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permanent(location: &str) -> Result<Redirect, BadLocation> {
        Redirect::new(Status::Permanent, location)
    }

    #[test]
    fn each_location_has_one_spelling() {
        for (location, spelling) in [
            ("/", "308/same/="),
            ("/new/page", "308/same/new/page="),
            ("/new/page/", "308/same/new/page/="),
            ("/new=", "308/same/new=="),
            ("/new?tab=1#top", "308/same/new?tab=1#top="),
            ("https://docs.example.com", "308/https/docs.example.com/="),
            ("https://docs.example.com?a", "308/https/docs.example.com/?a="),
            ("http://docs.example.com/a", "308/http/docs.example.com/a="),
        ] {
            let redirect = permanent(location).unwrap();
            assert_eq!(redirect.spelling(), spelling);
            assert_eq!(Redirect::spelled(spelling), Some(redirect), "{spelling}");
        }
        for other in [
            "",
            "308",
            "308/same",
            "308/same/a",
            "303/same/a=",
            "308/ftp/a=",
            "308/same/a/../b=",
        ] {
            assert_eq!(Redirect::spelled(other), None, "{other}");
        }
    }

    #[test]
    fn what_folders_cannot_spell_is_refused() {
        for (location, error) in [
            ("", BadLocation::Kind),
            ("page", BadLocation::Kind),
            ("javascript:alert(1)", BadLocation::Kind),
            ("https://", BadLocation::Kind),
            ("https:///a", BadLocation::Kind),
            ("//evil.example", BadLocation::Segment),
            ("/a//b", BadLocation::Segment),
            ("/a/../b", BadLocation::Segment),
            ("https://h/a//b", BadLocation::Segment),
            ("/a b", BadLocation::Character(' ')),
            ("/a\r\nSet-Cookie: a", BadLocation::Character('\r')),
            ("/a\\b", BadLocation::Character('\\')),
            ("/ä", BadLocation::Character('ä')),
        ] {
            assert_eq!(permanent(location), Err(error), "{location:?}");
        }
        assert_eq!(
            permanent(&format!("/{}", "a".repeat(MAX_NAME + 1))),
            Err(BadLocation::LongSegment)
        );
        assert_eq!(permanent(&"/abc".repeat(600)), Err(BadLocation::Long));
    }

    #[test]
    fn the_query_of_the_visitor_is_passed_on_unless_there_is_one() {
        for (location, with_query) in [
            ("/new", "/new?q=1"),
            ("/new#part", "/new?q=1#part"),
            ("/new?a=1", "/new?a=1"),
        ] {
            let redirect = permanent(location).unwrap();
            assert_eq!(redirect.location_with_query(b"q=1"), with_query.as_bytes());
            assert_eq!(redirect.location_with_query(b""), location.as_bytes());
        }
    }

    #[test]
    fn addresses_have_names_of_their_own() {
        for (address, path) in [
            ("/", ".moved/="),
            ("/a", ".moved/a="),
            ("/a/b.html", ".moved/a/b.html="),
        ] {
            assert_eq!(path_of(address).unwrap().as_str(), path);
            assert_eq!(address_of(path).unwrap(), address);
        }
        for other in ["a", "/a=/b", "/a="] {
            assert_eq!(path_of(other), None, "{other}");
        }
        assert_eq!(address_of("a/b="), None);
        assert_eq!(address_of(".moved/b"), None);
    }

    proptest! {
        #[test]
        fn every_redirect_is_read_back_from_its_spelling(location in "(/|https://h)(/?[a-z.=?#%&]{0,4}){0,4}") {
            if let Ok(redirect) = permanent(&location) {
                prop_assert_eq!(Redirect::spelled(&redirect.spelling()), Some(redirect));
            }
        }
    }
}

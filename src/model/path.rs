//! Paths of the site: relative, with `/` between segments, as a visitor requests them.
//!
//! Pure. A [`SitePath`] can't leave the folder it is joined to, and can't carry control characters to a terminal, a
//! manifest or a web server's configuration.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The maximum depth of a path. nginx follows at most 40 symlinks in one path; `current`, the release and each folder
/// level are one each.
pub const MAX_DEPTH: usize = 36;

/// The maximum length of one segment in bytes, with room left for the `.br` or `.gz` of its encodings.
pub const MAX_NAME: usize = 255 - 3;

/// A path inside the site: no leading or trailing slash, no `.` or `..`, no control characters. The empty path is the
/// site's top folder. Clones share the text, because a site has tens of thousands of paths and every stage uses them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SitePath(Arc<str>);

/// Why a text can't be a path of the site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// A segment is empty, `.` or `..`.
    #[error("a segment of the path is empty, `.` or `..`")]
    Segment,
    /// A character below U+0020, U+007F to U+009F, or one that changes the direction of text.
    #[error("the name holds a control character, which logs, terminals and manifests can't carry safely")]
    Control,
    /// A segment is longer than file systems allow once `.br` is appended.
    #[error("a name in the path is {0} bytes long; at most {MAX_NAME} can be served with its encodings")]
    TooLong(usize),
    /// The path has more levels than nginx follows symlinks.
    #[error("the path is {0} folders deep; nginx follows at most 40 symlinks, so at most {MAX_DEPTH} can be served")]
    TooDeep(usize),
}

impl SitePath {
    /// The site's top folder.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks a path.
    ///
    /// # Errors
    /// [`BadPath`] if the text can't be a path of the site.
    pub fn new(text: &str) -> Result<Self, BadPath> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        let mut depth = 0;
        for segment in text.split('/') {
            check_name(segment)?;
            depth += 1;
        }
        if depth - 1 > MAX_DEPTH {
            return Err(BadPath::TooDeep(depth - 1));
        }
        Ok(Self(text.into()))
    }

    /// The path as text, without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a shared pointer, so that a caller can keep it without copying it.
    #[must_use]
    pub const fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// Whether this is the top folder.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that contains it, or `None` for the top folder.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.rsplit_once('/') {
            Some((parent, _)) => Self(parent.into()),
            None => Self::root(),
        })
    }

    /// Whether it is in a folder, or in one below that.
    #[must_use]
    pub fn is_below(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The last segment; empty for the top folder.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// This path with one more segment. The name must have passed [`check_name`], which is true of every name in a
    /// tree.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.is_root() {
            Self(name.into())
        } else {
            Self(format!("{}/{name}", self.0).into())
        }
    }
}

impl From<SitePath> for String {
    fn from(path: SitePath) -> Self {
        path.0.as_ref().to_owned()
    }
}

/// Checks one segment of a path.
///
/// # Errors
/// [`BadPath`] if the text can't be a segment.
pub fn check_name(name: &str) -> Result<(), BadPath> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(BadPath::Segment);
    }
    if name.chars().any(is_unprintable) {
        return Err(BadPath::Control);
    }
    if name.len() > MAX_NAME {
        return Err(BadPath::TooLong(name.len()));
    }
    Ok(())
}

/// Whether a character is a control character or a mark that makes one name look like another.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Text from outside (a file's name, a host's banner) with every unprintable character escaped, for messages.
#[must_use]
pub fn printable(text: &str) -> String {
    escaped(text, |c| !is_unprintable(c))
}

/// Like [`printable`], but for text of several lines: line ends and tabs are kept.
#[must_use]
pub fn printable_text(text: &str) -> String {
    escaped(text, |c| c == '\n' || c == '\t' || !is_unprintable(c))
}

fn escaped(text: &str, keeps: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if keeps(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_unicode());
        }
    }
    safe
}

/// Lets a map with paths as keys be searched by text. Both types hash and compare alike.
impl Borrow<str> for SitePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl serde::Serialize for SitePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_leave_the_folder_or_a_line_are_refused() {
        for text in [
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a\nb",
            "a\u{7f}",
            "x\u{202e}y",
            "\0",
        ] {
            assert!(SitePath::new(text).is_err(), "{text:?}");
        }
        for text in ["a", "docs/größe.html", "a b/$(x)[y]!.txt", ".well-known/x", "..a/b.."] {
            assert!(SitePath::new(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn depth_and_length_end_where_the_server_does() {
        let deep = vec!["d"; MAX_DEPTH + 1].join("/");
        assert!(SitePath::new(&deep).is_ok());
        assert_eq!(
            SitePath::new(&format!("{deep}/x")),
            Err(BadPath::TooDeep(MAX_DEPTH + 1))
        );
        assert!(SitePath::new(&"x".repeat(MAX_NAME)).is_ok());
        assert!(SitePath::new(&"x".repeat(MAX_NAME + 1)).is_err());
    }

    #[test]
    fn parents_and_children_are_inverse() {
        let path = SitePath::root().child("docs").child("a.html");
        assert_eq!(path.as_str(), "docs/a.html");
        assert_eq!(path.parent().map(|p| p.as_str().to_owned()), Some("docs".to_owned()));
        assert_eq!(path.parent().and_then(|p| p.parent()), Some(SitePath::root()));
        assert_eq!(SitePath::root().parent(), None);
    }

    #[test]
    fn messages_carry_no_control_characters() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}"), "a\\u{1b}[31mb\\u{202e}");
    }
}

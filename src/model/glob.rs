//! A glob of the site manifest that the vhost can contain, too. Pure.
//!
//! It must be valid for both readers: the preview matches paths with it, and nginx gets the regular expression that it
//! stands for. A glob that nginx could read as something else is refused.

use globset::{GlobBuilder, GlobMatcher};

/// A glob over paths of the export: `*` and `?` do not match `/`, `**` does, and a leading `/` is ignored.
#[derive(Debug, Clone)]
pub struct PathGlob {
    matcher: GlobMatcher,
    extension: Option<String>,
}

/// Why a text is not such a glob. The message is the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    /// It does not compile.
    #[error("is not a glob: {0}")]
    Syntax(String),
    /// A character that can't be in the vhost.
    #[error("has a character that nginx could misread: {0:?}")]
    Character(char),
    /// It ends with a pattern after a dot.
    #[error("ends with a pattern behind a dot: give each extension a line of its own")]
    Extension,
}

impl PathGlob {
    /// Compiles a glob.
    ///
    /// # Errors
    /// [`BadGlob`].
    pub fn new(glob: &str) -> Result<Self, BadGlob> {
        let is_odd = |c: &char| c.is_control() || matches!(c, '"' | '\\' | '\'');
        if let Some(odd) = glob.chars().find(is_odd) {
            return Err(BadGlob::Character(odd));
        }
        let relative = glob.trim_start_matches('/');
        let compiled = GlobBuilder::new(relative).literal_separator(true).build();
        let compiled = compiled.map_err(|error| BadGlob::Syntax(error.kind().to_string()))?;
        let last = relative.rsplit('/').next().unwrap_or(relative);
        let extension = last
            .rsplit_once('.')
            .map(|(_, extension)| extension.to_ascii_lowercase());
        let is_plain = |extension: &String| {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            !extension.is_empty() && extension.bytes().all(is_fit)
        };
        if extension.as_ref().is_some_and(|extension| !is_plain(extension)) {
            return Err(BadGlob::Extension);
        }
        Ok(Self {
            matcher: compiled.compile_matcher(),
            extension,
        })
    }

    /// The glob, without a leading slash.
    #[must_use]
    pub fn text(&self) -> &str {
        self.matcher.glob().glob()
    }

    /// The extension that it ends with, in lower case.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// Whether a path, without a leading slash, matches.
    #[must_use]
    pub fn is_match(&self, path: &[u8]) -> bool {
        std::str::from_utf8(path).is_ok_and(|path| self.matcher.is_match(path))
    }

    /// The glob as a part of a regular expression for paths. It uses only syntax that PCRE, nginx's library, supports
    /// too.
    #[must_use]
    pub fn regex(&self) -> String {
        let regex = self.matcher.glob().regex();
        let regex = regex.strip_prefix("(?-u)").unwrap_or(regex);
        let regex = regex.strip_prefix('^').unwrap_or(regex);
        format!("(?:{})", regex.strip_suffix('$').unwrap_or(regex))
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.matcher.glob() == other.matcher.glob()
    }
}

impl Eq for PathGlob {}

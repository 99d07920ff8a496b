//! The media type that a file is served with. Pure.
//!
//! The extension in lower case decides. The path decides only if the extension has no type or if the site manifest
//! assigns one: [`OwnTypes`]. This type can differ from the one in the manifest, which also has types for extensions
//! that the vhost does not list.

use std::borrow::Cow;
use std::collections::BTreeMap;

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::Rules;
use crate::model::media;

/// The charset of all text types.
pub const CHARSET: &str = "utf-8";

/// Extensions whose type the Next.js client or a browser depends on. No site manifest can change them.
const FIXED: [&str; 6] = ["css", "htm", "html", "js", "mjs", "txt"];

/// The types that a site manifest assigns to files: `[types]`.
///
/// A glob `**/*.x` assigns a type to an extension, everywhere. Any other glob applies to files outside the pool. If it
/// ends with an extension, it decides the type. If it does not, it only gives a type to files whose extension has none,
/// so that pages stay pages.
#[derive(Debug, Clone, Default)]
pub struct OwnTypes {
    by_extension: BTreeMap<String, String>,
    /// Longest glob first: if several match, the longest one counts.
    by_path: Vec<ByPath>,
}

/// A type for files that a glob matches.
#[derive(Debug, Clone)]
pub struct ByPath {
    matcher: GlobMatcher,
    /// The extension that the glob ends with.
    pub extension: Option<String>,
    /// The type, in lower case.
    pub media_type: String,
}

/// Why an entry of `[types]` is invalid. The message is the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadType {
    /// The glob does not compile.
    #[error("is not a glob: {0}")]
    Glob(String),
    /// A character that can't be in the vhost.
    #[error("has a character that nginx could misread: {0:?}")]
    Character(char),
    /// It ends with a pattern after a dot.
    #[error("ends with a pattern behind a dot: give each extension a line of its own")]
    Extension,
    /// An extension whose type is fixed.
    #[error("is for .{0} files, whose type Next.js depends on")]
    Fixed(String),
    /// Not a media type.
    #[error("is not a media type")]
    MediaType,
}

impl OwnTypes {
    /// Assigns a type to the files that a glob matches.
    ///
    /// # Errors
    /// [`BadType`].
    pub fn add(&mut self, glob: &str, media_type: &str) -> Result<(), BadType> {
        let is_odd = |c: &char| c.is_control() || matches!(c, '"' | '\\' | '\'');
        if let Some(odd) = glob.chars().find(is_odd) {
            return Err(BadType::Character(odd));
        }
        if !is_media_type(media_type) {
            return Err(BadType::MediaType);
        }
        let media_type = media_type.to_ascii_lowercase();
        let relative = glob.trim_start_matches('/');
        let refused = |error: globset::Error| BadType::Glob(error.kind().to_string());
        let compiled = GlobBuilder::new(relative)
            .literal_separator(true)
            .build()
            .map_err(refused)?;
        let last = relative.rsplit('/').next().unwrap_or(relative);
        let extension = last
            .rsplit_once('.')
            .map(|(_, extension)| extension.to_ascii_lowercase());
        if let Some(extension) = &extension {
            if extension.is_empty()
                || !extension
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(BadType::Extension);
            }
            if FIXED.contains(&&**extension) {
                return Err(BadType::Fixed(extension.clone()));
            }
        }
        match extension {
            Some(extension) if relative.eq_ignore_ascii_case(&format!("**/*.{extension}")) => {
                self.by_extension.insert(extension, media_type);
            }
            extension => {
                self.by_path.push(ByPath {
                    matcher: compiled.compile_matcher(),
                    extension,
                    media_type,
                });
                self.by_path
                    .sort_by_key(|own| (std::cmp::Reverse(own.glob().glob().len()), own.glob().glob().to_owned()));
            }
        }
        Ok(())
    }

    /// The types by extension.
    #[must_use]
    pub const fn by_extension(&self) -> &BTreeMap<String, String> {
        &self.by_extension
    }

    /// The types by path; the first match counts.
    #[must_use]
    pub fn by_path(&self) -> &[ByPath] {
        &self.by_path
    }

    /// The entry that applies to a path outside the pool.
    #[must_use]
    pub fn of_path(&self, path: &str) -> Option<&ByPath> {
        self.by_path.iter().find(|own| own.matcher.is_match(path))
    }
}

impl ByPath {
    /// The glob.
    #[must_use]
    pub fn glob(&self) -> &Glob {
        self.matcher.glob()
    }
}

impl PartialEq for OwnTypes {
    fn eq(&self, other: &Self) -> bool {
        let of_paths = |own: &Self| -> Vec<(Glob, String)> {
            let each = own.by_path.iter();
            each.map(|own| (own.glob().clone(), own.media_type.clone())).collect()
        };
        self.by_extension == other.by_extension && of_paths(self) == of_paths(other)
    }
}

impl Eq for OwnTypes {}

/// Whether a text is a media type without parameters.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let token = |s: &str| {
        let harmless = |b: u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
        !s.is_empty() && s.bytes().all(harmless)
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

impl Rules {
    /// Every extension that has a type, from the built-in table and the site manifest. Extensions whose type is unknown
    /// are not listed.
    #[must_use]
    pub fn types(&self) -> BTreeMap<String, String> {
        let mut types: BTreeMap<String, String> = media::table()
            .map(|(extension, media_type)| (extension.to_owned(), media_type.to_owned()))
            .collect();
        types.extend(self.types.by_extension.clone());
        types.retain(|_, media_type| media_type != media::UNKNOWN);
        types
    }

    /// The type of a file, without its charset.
    #[must_use]
    pub fn type_of<'a>(&'a self, path: &str, default_type: &'a str) -> &'a str {
        let own = self.own_type(path);
        if let Some(own) = own.filter(|own| own.extension.is_some()) {
            return &own.media_type;
        }
        let default_type = own.map_or(default_type, |own| &own.media_type);
        let Some(extension) = media::extension(path) else {
            return default_type;
        };
        let of_manifest = self.types.by_extension.get(&extension).map(String::as_str);
        of_manifest
            .or_else(|| media::by_extension(&extension))
            .filter(|media_type| *media_type != media::UNKNOWN)
            .unwrap_or(default_type)
    }

    /// The site manifest's entry for a path. Files of the pool have none: their type depends only on the extension.
    #[must_use]
    pub fn own_type(&self, path: &str) -> Option<&ByPath> {
        let is_pooled = || self.classes.pooled().any(|pattern| pattern.has(path.as_bytes()));
        self.types.of_path(path).filter(|_| !is_pooled())
    }

    /// The type that the manifest records for a file: that of the vhost, or else one known for its extension.
    #[must_use]
    pub fn type_in_manifest(&self, path: &str) -> Cow<'static, str> {
        match self.type_of(path, media::UNKNOWN) {
            media::UNKNOWN => media::media_type(path).into(),
            known => media::known(known).map_or_else(|| known.to_owned().into(), Cow::Borrowed),
        }
    }
}

/// The value of `Content-Type`.
#[must_use]
pub fn content_type(media_type: &str) -> String {
    if media::is_text(media_type) {
        format!("{media_type}; charset={CHARSET}")
    } else {
        media_type.to_owned()
    }
}

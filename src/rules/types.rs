//! The media type that a file is served with. Pure.
//!
//! The extension in lower case decides. The path decides only if the extension has no type or if the site manifest
//! assigns one: [`OwnTypes`]. This type can differ from the one in the manifest, which also has types for extensions
//! that the vhost does not list.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Rules;
use crate::model::glob::{BadGlob, PathGlob};
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnTypes {
    by_extension: BTreeMap<String, String>,
    /// Longest glob first: if several match, the longest one counts.
    by_path: Vec<ByPath>,
}

/// A type for files that a glob matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByPath {
    /// The glob. If it ends with an extension, the type is that of this extension.
    pub glob: PathGlob,
    /// The type, in lower case.
    pub media_type: String,
}

/// Why an entry of `[types]` is invalid. The message is the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadType {
    /// The glob is invalid.
    #[error(transparent)]
    Glob(#[from] BadGlob),
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
        let glob = PathGlob::new(glob)?;
        if !is_media_type(media_type) {
            return Err(BadType::MediaType);
        }
        let media_type = media_type.to_ascii_lowercase();
        if let Some(extension) = glob.extension() {
            if FIXED.contains(&extension) {
                return Err(BadType::Fixed(extension.to_owned()));
            }
            if glob.text().eq_ignore_ascii_case(&format!("**/*.{extension}")) {
                self.by_extension.insert(extension.to_owned(), media_type);
                return Ok(());
            }
        }
        self.by_path.push(ByPath { glob, media_type });
        self.by_path
            .sort_by_key(|own| (std::cmp::Reverse(own.glob.text().len()), own.glob.text().to_owned()));
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
        self.by_path.iter().find(|own| own.glob.is_match(path.as_bytes()))
    }
}

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
        if let Some(own) = own.filter(|own| own.glob.extension().is_some()) {
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
        self.types
            .of_path(path)
            .filter(|_| !self.classes.is_pooled(path.as_bytes()))
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

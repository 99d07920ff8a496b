//! The type that a file is announced as. Pure.
//!
//! By its extension in lower case, and by nothing else unless the extension has none. It is not always the type of the
//! manifest, which also knows extensions that the vhost does not list.

use std::collections::BTreeMap;

use super::Rules;
use crate::model::media;

/// The charset of every type that is text.
pub const CHARSET: &str = "utf-8";

impl Rules {
    /// Every extension that has a type, with it: the table's and the export's own. What is of no known type is not
    /// listed, whichever extension it has.
    #[must_use]
    pub fn types(&self) -> BTreeMap<String, String> {
        let extra = self.extra_types.iter();
        let mut types: BTreeMap<String, String> = extra
            .map(|(extension, media_type)| (extension.to_ascii_lowercase(), media_type.to_ascii_lowercase()))
            .collect();
        types.extend(media::table().map(|(extension, media_type)| (extension.to_owned(), media_type.to_owned())));
        types.retain(|_, media_type| media_type != media::UNKNOWN);
        types
    }

    /// The type of a file, without its charset.
    #[must_use]
    pub fn type_of<'a>(&'a self, path: &str, default_type: &'a str) -> &'a str {
        let Some(extension) = media::extension(path) else {
            return default_type;
        };
        let known = media::by_extension(&extension).or_else(|| {
            let mut extra = self.extra_types.iter();
            let own = extra.find(|(own, _)| own.eq_ignore_ascii_case(&extension));
            own.map(|(_, media_type)| media_type.as_str())
        });
        known
            .filter(|media_type| *media_type != media::UNKNOWN)
            .unwrap_or(default_type)
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

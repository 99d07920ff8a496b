//! Reads and rewrites what Next.js writes into an export, without touching any other byte.
//!
//! Pure. Each file here handles one language (JSON, CSS, HTML, the flight payload) and has no access to the site. It
//! finds each URL or build id, passes it to a [`TextVisitor`], and returns the [`Edits`] that put the visitor's
//! replacements into the text. A visitor that replaces nothing collects facts, so the checks and the rewriting always
//! see the same things.
//!
//! This module must never search for a string and replace it: a page that shows a path, or happens to contain the build
//! id, keeps it. It must never guess either: a text that can't be read exactly is an [`Unclear`], and its file stays as
//! it is.

pub mod build_id;
pub mod client;
pub mod css;
pub mod data;
pub mod document;
pub mod edit;
pub mod flight;
pub mod html;
pub mod inline_scripts;
mod json;
pub mod page;
pub mod policy;
pub mod prose;
pub mod push;
pub mod render_key;
pub mod srcset;
mod tokens;
pub mod url;

pub use edit::Edits;
use serde::{Deserialize, Serialize};

/// What a browser does with the URL at a place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Position {
    /// A visitor follows it: `<a href>`, `<form action>`, a canonical link.
    Link,
    /// An image: `src`, `srcset`, `poster`, `<use href>`, a preload of one.
    Image,
    /// Audio, video, subtitles.
    Media,
    /// A page or document embedded in this one: `iframe`, `embed`, `object`.
    Frame,
    /// A script.
    Script,
    /// A style sheet, referenced from a page.
    Style,
    /// Any other file that is fetched ahead.
    Preload,
    /// The icon of the site.
    Icon,
    /// Content that other sites show for a page: `og:image` and similar.
    Card,
    /// The web manifest.
    WebManifest,
    /// `url()` in a style sheet.
    CssUrl,
    /// `@import` in a style sheet.
    CssImport,
    /// A string that looks like a path, in a place that does not reveal its use. Never rewritten.
    Unknown,
}

impl Position {
    /// Whether a browser or a crawler fetches a URL in this position without a visitor's action.
    #[must_use]
    pub const fn is_fetched(self) -> bool {
        !matches!(self, Self::Link | Self::Frame | Self::WebManifest | Self::Unknown)
    }

    /// Whether a URL in this position may get a fingerprint. It may if it becomes the attribute of an element and a
    /// browser does nothing but fetch it. Other URLs are kept: visitors share links, crawlers store a card's image, and
    /// a style sheet is the same for all pages.
    #[must_use]
    pub const fn takes_fingerprint(self) -> bool {
        self.is_fetched() && !matches!(self, Self::Card | Self::CssUrl | Self::CssImport)
    }
}

/// A URL and its place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The URL, with the escapes of the surrounding language removed.
    pub url: &'a str,
    /// What the URL is used for.
    pub position: Position,
    /// Byte offset of the URL in the file, or of the piece of the file that contains it.
    pub at: usize,
}

/// A start tag of a page.
pub struct Tag<'a> {
    /// Its name, in lower case.
    pub name: &'a str,
    /// Returns the value of an attribute, if it is one of those that are read at all.
    pub get: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Byte offset in the file of the value of its first attribute that is read; 0 if there is none.
    pub at: usize,
}

/// Receives what a parser finds in a file, and returns replacements.
pub trait TextVisitor {
    /// Visits a URL. Returns its replacement, or `None` to keep it.
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let _ = reference;
        None
    }

    /// Visits the build id in a place where Next.js's client reads it. Returns its replacement, or `None` to keep it.
    fn build_id(&mut self, id: &str) -> Option<String> {
        let _ = id;
        None
    }

    /// Visits a comment before the first tag of a page, which may be the build id as [`build_id::in_comment`] spells
    /// it. Returns its replacement, or `None` to keep it.
    fn build_comment(&mut self, text: &str) -> Option<String> {
        let _ = text;
        None
    }

    /// Visits an anchor that a link can point to: an `id`, or the `name` of an `<a>`.
    fn anchor(&mut self, name: &str) {
        let _ = name;
    }

    /// Visits a start tag of a page, before the URLs in it.
    fn tag(&mut self, tag: &Tag<'_>) {
        let _ = tag;
    }

    /// Visits a part of a page's title.
    fn title(&mut self, text: &str) {
        let _ = text;
    }

    /// Reports a part of the file that can't be rewritten safely. That part stays as it is, but the rest of the file
    /// may still change.
    fn unclear(&mut self, what: &Unclear) {
        let _ = what;
    }
}

/// A closure is a visitor that looks at URLs alone.
impl<F: FnMut(Reference<'_>) -> Option<String>> TextVisitor for F {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        self(reference)
    }
}

/// Why a text can't be read exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Unclear {
    /// Invalid JSON.
    #[error("its JSON ends or breaks at byte {at}")]
    Json {
        /// Byte offset of the error.
        at: usize,
    },
    /// A payload that does not follow the row format.
    #[error("its payload has no row at byte {at}")]
    Row {
        /// Byte offset in the payload.
        at: usize,
    },
    /// A payload that contains binary data and not only text.
    #[error("its payload holds binary data")]
    Binary,
    /// A payload whose parts are found by byte offsets.
    #[error("its payload is read by byte offsets (`{key}`)")]
    Offsets {
        /// The key whose value is an offset.
        key: String,
    },
    /// A payload file that starts with a marker of Next.js.
    #[error("its payload starts with `{mark}`")]
    Marked {
        /// The marker.
        mark: char,
    },
    /// A script that contains the payload in an unknown form.
    #[error("a script carries its payload in an unknown form at byte {at}")]
    Push {
        /// Byte offset at which the script starts, or the argument in it that can't be read.
        at: usize,
    },
    /// A script whose bytes would change if it were written again.
    #[error("a script of its payload would not come out the same at byte {at}")]
    NotExact {
        /// Byte offset of the argument in the script that contains the piece.
        at: usize,
    },
    /// A style sheet whose blocks are nested too deeply.
    #[error("its style sheet nests deeper than {limit} levels")]
    TooDeep {
        /// The maximum number of levels.
        limit: usize,
    },
    /// A text of the payload that is used in more than one way, such as markup and plain text.
    #[error("a text of its payload is used as markup and as text")]
    SharedText,
    /// An attribute whose escapes would change if they were written again.
    #[error("an attribute's escapes would not come out the same at byte {at}")]
    Attribute {
        /// Byte offset at which its value starts.
        at: usize,
    },
}

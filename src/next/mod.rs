//! What Next.js writes into an export, read and rewritten without touching any other byte.
//!
//! Pure. Each file here knows one language (JSON, CSS, HTML, the flight payload) and nothing of a site: it finds where a
//! URL or a build id stands, asks a [`TextVisitor`] what shall stand there instead, and gives the [`Edits`] that make it so.
//! Asking with a visitor that answers nothing is how facts are collected, so what is checked and what is rewritten can't
//! differ.
//!
//! It must never search for a string and replace it: a page that shows a path, or happens to name the build id, keeps
//! it. And it must never guess: what can't be read exactly is an [`Unclear`], and its file stays as it is.

pub mod build_id;
pub mod client;
pub mod css;
pub mod data;
pub mod document;
pub mod edit;
pub mod flight;
pub mod html;
mod json;
pub mod page;
pub mod policy;
pub mod push;
pub mod render_key;
pub mod srcset;
pub mod url;

pub use edit::Edits;
use serde::{Deserialize, Serialize};

/// Where a URL stands, by what a browser does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Position {
    /// A reader follows it: `<a href>`, `<form action>`, a canonical link.
    Link,
    /// A picture: `src`, `srcset`, `poster`, `<use href>`, a preload of one.
    Image,
    /// Sound, film, subtitles.
    Media,
    /// A page or document in this one: `iframe`, `embed`, `object`.
    Frame,
    /// A script.
    Script,
    /// A stylesheet, from a page.
    Style,
    /// Anything that is fetched ahead.
    Preload,
    /// The picture of the site.
    Icon,
    /// What others show of a page: `og:image` and its like.
    Card,
    /// The web manifest.
    WebManifest,
    /// `url()` of a stylesheet.
    CssUrl,
    /// `@import` of a stylesheet.
    CssImport,
    /// A string that looks like a path, in a place that says nothing of its use. Never rewritten.
    Unknown,
}

impl Position {
    /// Whether a browser or a crawler fetches what stands here by itself.
    #[must_use]
    pub const fn is_fetched(self) -> bool {
        !matches!(self, Self::Link | Self::Frame | Self::WebManifest | Self::Unknown)
    }

    /// Whether a URL here may get a fingerprint: it becomes the attribute of an element, and a browser does nothing with
    /// it but fetch it. Others keep what they were given: readers share a link, crawlers store a card's picture, and a
    /// style sheet is the same for all pages.
    #[must_use]
    pub const fn takes_fingerprint(self) -> bool {
        self.is_fetched() && !matches!(self, Self::Card | Self::CssUrl | Self::CssImport)
    }
}

/// A URL at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The URL, with the escapes of the language it is in taken away.
    pub url: &'a str,
    /// What it is for.
    pub position: Position,
    /// Byte offset in the file, or of the piece of the file that holds it.
    pub at: usize,
}

/// Is told what a file holds, and says what shall stand there instead.
pub trait TextVisitor {
    /// A URL; `Some`: this one instead.
    fn url(&mut self, reference: Reference<'_>) -> Option<String>;

    /// The build id, where Next.js's client reads it; `Some`: this one instead.
    fn build_id(&mut self, id: &str) -> Option<String> {
        let _ = id;
        None
    }

    /// A comment before the first tag of a page, which may be the build id as [`build_id::in_comment`] spells it; `Some`:
    /// this text instead.
    fn build_comment(&mut self, text: &str) -> Option<String> {
        let _ = text;
        None
    }

    /// A place that a link can lead to: an `id`, or the `name` of an `<a>`.
    fn anchor(&mut self, name: &str) {
        let _ = name;
    }

    /// Something that can't be rewritten safely and stays as it is, although the rest of the file does not.
    fn unclear(&mut self, what: &Unclear) {
        let _ = what;
    }
}

/// Why something can't be read exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Unclear {
    /// JSON that is none.
    #[error("its JSON ends or breaks at byte {at}")]
    Json {
        /// Where.
        at: usize,
    },
    /// A payload that does not follow the row format.
    #[error("its payload has no row at byte {at}")]
    Row {
        /// Where, in the payload.
        at: usize,
    },
    /// A payload that carries bytes instead of text.
    #[error("its payload holds binary data")]
    Binary,
    /// A payload whose parts are found by their offset.
    #[error("its payload is read by byte offsets (`{key}`)")]
    Offsets {
        /// The key that holds one.
        key: String,
    },
    /// A payload file that starts with a mark of Next.js's own.
    #[error("its payload starts with `{mark}`")]
    Marked {
        /// The mark.
        mark: char,
    },
    /// A script that carries the payload in another form.
    #[error("a script carries its payload in an unknown form at byte {at}")]
    Push {
        /// Where the script starts.
        at: usize,
    },
    /// Writing what was read again does not give the same bytes.
    #[error("a script of its payload would not come out the same at byte {at}")]
    NotExact {
        /// Where the script starts.
        at: usize,
    },
    /// Blocks within blocks within blocks.
    #[error("its style sheet nests deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A text of the payload that is both markup and text.
    #[error("a text of its payload is used as markup and as text")]
    SharedText,
    /// An attribute whose escapes would not come out the same.
    #[error("an attribute's escapes would not come out the same at byte {at}")]
    Attribute {
        /// Where its value starts.
        at: usize,
    },
}

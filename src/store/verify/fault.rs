//! What can be wrong with a release on the host, as values that a repair can act on.
//!
//! Pure. A fault names the place where something should be, and what is there instead. The cause is not known.

use crate::host::Kind;
use crate::model::digest::Digest;
use crate::model::layout;
use crate::model::path::{SitePath, printable};
use crate::model::redirect::{self, Redirect};
use crate::model::release::ReleaseId;
use crate::store::content::Content;

/// Where a copy of some content should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CopyPlace {
    /// In a folder level.
    Tree {
        /// The folder level.
        tree: Digest,
        /// The file's public path; one of them if several folders are identical.
        path: SitePath,
    },
    /// Among the objects, from which later releases link.
    Object,
    /// In the pool.
    Pool {
        /// The public path.
        path: SitePath,
    },
}

impl CopyPlace {
    /// Returns the path relative to the docroot.
    pub fn store_path(&self, content: &Content) -> String {
        match self {
            Self::Tree { tree, path } => content.beside(&format!("{}/{}", layout::tree(*tree), path.name())),
            Self::Object => content.object(),
            Self::Pool { path } => content.beside(&layout::pool(path.as_str())),
        }
    }
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreFlaw {
    /// Nothing is there.
    Missing,
    /// Something of another kind is there.
    Kind(Kind),
    /// The web server may not read it. The value is the permission bits.
    Mode(u32),
    /// Others may write it. The value is the permission bits.
    Writable(u32),
    /// It belongs to another user than the store. The value is that user's number.
    Owner(u32),
    /// It has another length.
    Size {
        /// The length that it has.
        found: u64,
        /// The length that it should have.
        wanted: u64,
    },
    /// The length is right and the content is different. An encoding decodes to something else, or does not decode.
    Bytes,
    /// It is a symlink that leads elsewhere. The value is its text.
    Elsewhere(String),
    /// The host could not read it.
    Unreadable,
}

impl StoreFlaw {
    /// Whether a folder is there, onto which no file or symlink can be renamed.
    pub fn is_folder(&self) -> bool {
        *self == Self::Kind(Kind::Folder)
    }

    fn text(&self, encoded: bool) -> String {
        match self {
            Self::Missing => "is missing".to_owned(),
            Self::Elsewhere(text) => format!("leads to {:?}", printable(text)),
            Self::Kind(kind) => format!("is {}", kind_text(*kind)),
            Self::Mode(mode) => format!("can't be read by the web server (mode {mode:04o})"),
            Self::Writable(mode) => format!("may be written by others (mode {mode:04o})"),
            Self::Owner(uid) => format!("belongs to uid {uid}, not to the store's owner"),
            Self::Size { found, wanted } => format!("has {found} bytes instead of {wanted}"),
            Self::Bytes if encoded => "does not decode to its file".to_owned(),
            Self::Bytes => "has other bytes than were published".to_owned(),
            Self::Unreadable => "can't be read".to_owned(),
        }
    }
}

/// What is wrong with a symlink.
fn link_text(flaw: &StoreFlaw) -> String {
    match flaw {
        StoreFlaw::Kind(kind) => format!("is {} instead of a symlink", kind_text(*kind)),
        flaw => flaw.text(false),
    }
}

fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Folder => "a folder",
        Kind::Symlink => "a symlink",
        Kind::Other => "neither a file nor a folder",
    }
}

/// What is wrong with a release's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentFlaw {
    /// There is no document.
    Missing,
    /// It can't be parsed, or it belongs to another release.
    Damaged,
    /// It names another root than the release's symlink does.
    OtherRoot(Digest),
}

/// One thing that is not as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreFault {
    /// The release's document.
    Document {
        /// The release.
        release: ReleaseId,
        /// What is wrong.
        flaw: DocumentFlaw,
    },
    /// The release's own symlink, to the tree of its top folder.
    Release {
        /// The release.
        release: ReleaseId,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// A folder of the store, or of the pool, that the web server must pass through.
    StoreFolder {
        /// Path relative to the docroot.
        path: String,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// A folder level.
    Tree {
        /// Its digest.
        digest: Digest,
        /// A public path of it.
        path: SitePath,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// The manifest of a folder level: without it the next publish sends the folder again.
    Manifest {
        /// The folder level.
        digest: Digest,
        /// A public path of it.
        path: SitePath,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// The symlink from one folder level to the next, or that of a redirect.
    Link {
        /// The folder level that should contain it.
        tree: Digest,
        /// The public path of the folder that it leads to, or the path of the redirect.
        path: SitePath,
        /// The text that it should have.
        to: String,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// The folder that spells the answer of a redirect.
    Answer {
        /// The path of the redirect; one of them if several have this answer.
        path: SitePath,
        /// The redirect.
        redirect: Redirect,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// A file, or an encoding of one.
    File {
        /// Where it should be.
        place: CopyPlace,
        /// What should be there.
        content: Content,
        /// What is wrong.
        flaw: StoreFlaw,
    },
    /// Something in the pool that no publish puts there.
    Stray {
        /// Path relative to the docroot.
        path: String,
        /// What is wrong with it.
        flaw: StoreFlaw,
    },
    /// A name that was never published.
    Extra {
        /// The folder level that contains it.
        tree: Digest,
        /// A public path of that folder.
        folder: SitePath,
        /// The name.
        name: String,
    },
}

impl StoreFault {
    /// Returns the public path that visitors would request, or if there is none, the path relative to the docroot.
    pub fn path(&self) -> String {
        match self {
            Self::Document { release, .. } => layout::release_document(release),
            Self::Release { release, .. } => layout::release(release),
            Self::StoreFolder { path, .. } => path.clone(),
            Self::Stray { path, .. } => printable(path),
            Self::Tree { digest, .. } => layout::tree(*digest),
            Self::Manifest { digest, .. } => layout::manifest(*digest),
            Self::Link { path, .. } | Self::Answer { path, .. } => {
                redirect::address_of(path.as_str()).unwrap_or_else(|| path.to_string())
            }
            Self::File {
                place: CopyPlace::Tree { path, .. },
                content,
                ..
            } => content.beside(path.as_str()),
            Self::File { place, content, .. } => place.store_path(content),
            Self::Extra { folder, name, .. } if folder.is_root() => printable(name),
            Self::Extra { folder, name, .. } => format!("{folder}/{}", printable(name)),
        }
    }

    /// Returns what is wrong, in one line.
    pub fn problem(&self) -> String {
        match self {
            Self::Document { flaw, .. } => match flaw {
                DocumentFlaw::Missing => "the release's document is missing".to_owned(),
                DocumentFlaw::Damaged => "the release's document is damaged".to_owned(),
                DocumentFlaw::OtherRoot(root) => {
                    format!("the release's document names another site ({})", root.short(12))
                }
            },
            Self::Release { flaw, .. } => format!("the release's symlink {}", link_text(flaw)),
            Self::StoreFolder { flaw, .. } => format!("the folder {}", flaw.text(false)),
            Self::Tree { path, flaw, .. } => format!("the folder level of {path:?} {}", flaw.text(false)),
            Self::Manifest { path, flaw, .. } => format!("the manifest of {path:?} {}", flaw.text(false)),
            Self::Link { path, flaw, .. } if redirect::address_of(path.as_str()).is_some() => {
                format!("the symlink of the redirect {}", link_text(flaw))
            }
            Self::Link { flaw, .. } => format!("the symlink to the folder {}", link_text(flaw)),
            Self::Answer { flaw, .. } => format!("the folder that spells the redirect's answer {}", flaw.text(false)),
            Self::File { place, content, flaw } => {
                let what = match (content.encoded, place) {
                    (Some((coding, _)), _) => format!("the {coding} encoding"),
                    (None, CopyPlace::Tree { .. }) => "the file".to_owned(),
                    (None, CopyPlace::Object) => "the object".to_owned(),
                    (None, CopyPlace::Pool { .. }) => "the pool's copy".to_owned(),
                };
                format!("{what} {}", flaw.text(content.encoded.is_some()))
            }
            Self::Stray {
                flaw: StoreFlaw::Kind(kind),
                ..
            } => format!("is {} in the pool, which holds published files alone", kind_text(*kind)),
            Self::Stray { flaw, .. } => format!("is no file of this release, and {}", flaw.text(false)),
            Self::Extra { .. } => "was never published and is served".to_owned(),
        }
    }
}

//! The layout of a store below a docroot. This is the only module that spells the store's names.
//!
//! Pure. All paths are relative to the docroot, with `/` between segments. `docs/store-format.md` describes them.

use super::channel::{ChannelName, Slot};
use super::digest::Digest;
use super::encoding::{Coding, Recipe};
use super::path::SitePath;
use super::redirect::Redirect;
use super::release::{ReleaseId, RunId};

/// The version of the store's layout.
pub const VERSION: u32 = 1;

/// A symlink whose text marks this folder as a store and gives its layout version.
pub const FORMAT: &str = "format";
/// The symlink to a release that nginx serves.
pub const CURRENT: &str = "current";
/// A symlink whose text names the last run that changed anything, and the store's clock.
pub const GENERATION: &str = "generation";
/// A symlink whose text is the reason why publishing is on hold. Absent if publishing is not on hold.
pub const HOLD: &str = "hold";
/// A symlink whose time is when prune last deleted unreferenced content.
pub const SWEPT: &str = "swept";
/// A symlink whose text is what is known about the delivery of the live release to visitors.
pub const DELIVERY: &str = "delivery";
/// A symlink whose text names a release and the one that it replaced. If the first of them is live, a rollback need not
/// read its document.
pub const FORMER: &str = "former";

/// The folder that contains the one staging directory whose run may change the store.
pub const LOCK: &str = "lock";
/// Staging directories that are being prepared.
pub const WORK: &str = "work";
/// Staging directories that are finished or were taken from their runs. Their contents are to be deleted.
pub const STALE: &str = "stale";
/// Files by digest.
pub const OBJECTS: &str = "objects";
/// Folder levels by digest.
pub const TREES: &str = "trees";
/// Manifests of trees by digest.
pub const MANIFESTS: &str = "manifests";
/// Releases: symlinks to root trees, and the releases' documents.
pub const RELEASES: &str = "releases";
/// The pool: files that are immutable by name, from any release that visitors may still have open.
pub const POOL: &str = "immutable";
/// Folders whose paths spell the answers of redirects. They contain nothing but such folders.
pub const MOVED: &str = "moved";
/// Previews: for each channel a symlink to its release.
pub const CHANNELS: &str = "channels";

/// Every folder of a store directly below the docroot. The fan-out folders inside [`OBJECTS`] are not listed.
pub const FOLDERS: [&str; 10] = [
    OBJECTS, TREES, MANIFESTS, RELEASES, POOL, MOVED, CHANNELS, WORK, STALE, LOCK,
];

/// Everything else that may be in a docroot, in addition to [`FOLDERS`].
pub const NAMES: [&str; 7] = [FORMAT, CURRENT, GENERATION, HOLD, SWEPT, DELIVERY, FORMER];

/// The text of [`FORMAT`].
#[must_use]
pub fn format_text() -> String {
    format!("syntax-publish-store-{VERSION}")
}

/// The folder of objects whose digests start with the same byte.
#[must_use]
pub fn object_folder(first: u8) -> String {
    format!("{OBJECTS}/{first:02x}")
}

/// The object with a file's bytes.
#[must_use]
pub fn object(digest: Digest) -> String {
    format!("{OBJECTS}/{:02x}/{digest}", digest.as_bytes()[0])
}

/// The object with a file's bytes in an encoding, named after the digest of the decoded bytes.
#[must_use]
pub fn encoded_object(digest: Digest, coding: Coding, recipe: Recipe) -> String {
    format!("{}.{}{recipe}", object(digest), coding.extension())
}

/// Whether a path is one that [`object`] or [`encoded_object`] returns.
#[must_use]
pub fn is_object(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else {
        return false;
    };
    let (digest, encoding) = name.split_once('.').unwrap_or((name, ""));
    let recipe = Coding::ALL
        .into_iter()
        .find_map(|coding| encoding.strip_prefix(coding.extension()));
    let known = match (encoding.is_empty(), recipe) {
        (true, _) => !name.contains('.'),
        (false, Some(recipe)) => recipe.parse::<Recipe>().is_ok(),
        (false, None) => false,
    };
    known
        && digest
            .parse::<Digest>()
            .is_ok_and(|digest| folder == object_folder(digest.as_bytes()[0]))
}

/// The tree of a folder level.
#[must_use]
pub fn tree(digest: Digest) -> String {
    format!("{TREES}/{digest}")
}

/// The text of a symlink to a tree, from inside another tree.
#[must_use]
pub fn tree_link(digest: Digest) -> String {
    format!("../{digest}")
}

/// The folder that spells a redirect's answer.
#[must_use]
pub fn moved(redirect: &Redirect) -> String {
    format!("{MOVED}/{}", redirect.spelling())
}

/// These paths, and all folders above them.
pub fn with_parents<'p>(paths: impl IntoIterator<Item = &'p String>) -> impl Iterator<Item = &'p str> {
    paths.into_iter().flat_map(|path| {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end])
    })
}

/// The text of a redirect's symlink, from inside a tree.
#[must_use]
pub fn moved_link(redirect: &Redirect) -> String {
    format!("../../{}", moved(redirect))
}

/// A tree's manifest.
#[must_use]
pub fn manifest(digest: Digest) -> String {
    format!("{MANIFESTS}/{digest}")
}

/// The symlink of a release.
#[must_use]
pub fn release(id: &ReleaseId) -> String {
    format!("{RELEASES}/{id}")
}

/// The symlink of a channel.
#[must_use]
pub fn channel(name: &ChannelName) -> String {
    format!("{CHANNELS}/{name}")
}

/// The symlink that a publish moves.
#[must_use]
pub fn slot(slot: &Slot) -> String {
    match slot {
        Slot::Live => CURRENT.to_owned(),
        Slot::Channel(name) => channel(name),
    }
}

/// The text of a slot's symlink.
#[must_use]
pub fn slot_text(slot: &Slot, id: &ReleaseId) -> String {
    match slot {
        Slot::Live => release(id),
        Slot::Channel(_) => format!("../{}", release(id)),
    }
}

/// The release that the text of a slot's symlink names; `None` if it names none.
#[must_use]
pub fn read_slot(slot: &Slot, text: &str) -> Option<ReleaseId> {
    let text = match slot {
        Slot::Live => text,
        Slot::Channel(_) => text.strip_prefix("../")?,
    };
    let id = text.trim_end_matches('/').strip_prefix(RELEASES)?.strip_prefix('/')?;
    id.parse().ok()
}

/// The text of a release's symlink.
#[must_use]
pub fn release_link(root: Digest) -> String {
    format!("../{TREES}/{root}")
}

/// A release's document.
#[must_use]
pub fn release_document(id: &ReleaseId) -> String {
    format!("{RELEASES}/{id}.json")
}

/// The signature of a release's document, if the document was signed.
#[must_use]
pub fn release_signature(id: &ReleaseId) -> String {
    format!("{RELEASES}/{id}{SIGNATURE}")
}

/// The suffix after a release's id in the name of its signature.
pub const SIGNATURE: &str = ".json.sig";

/// A symlink whose time is when a rollback left a release, because visitors may still have that release open.
#[must_use]
pub fn release_left(id: &ReleaseId) -> String {
    format!("{RELEASES}/{id}.left")
}

/// A symlink whose text is one piece of a release's findings. Pieces are numbered from 0.
#[must_use]
pub fn release_findings(id: &ReleaseId, piece: u8) -> String {
    format!("{RELEASES}/{id}{FINDINGS}{piece}")
}

/// The text between a release's id and the piece number in the name of a piece of its findings.
pub const FINDINGS: &str = ".findings.";

/// The maximum number of pieces. Each has at most [`FINDINGS_PIECE`] bytes, because a symlink on XFS takes 1023.
pub const FINDINGS_PIECES: u8 = 4;
/// The maximum size of a piece in bytes; see [`FINDINGS_PIECES`].
pub const FINDINGS_PIECE: usize = 1000;

/// The text of [`FORMER`].
#[must_use]
pub fn former_text(live: &ReleaseId, former: &ReleaseId) -> String {
    format!("{live} {former}")
}

/// The release that `live` replaced, from the text of [`FORMER`]. `None` if the text is about another release or can't
/// be parsed.
#[must_use]
pub fn read_former(text: &str, live: &ReleaseId) -> Option<ReleaseId> {
    let (of, former) = text.split_once(' ')?;
    (of == live.as_str()).then(|| former.parse().ok())?
}

/// A path in the live release.
#[must_use]
pub fn current(path: &SitePath) -> String {
    if path.is_root() {
        CURRENT.to_owned()
    } else {
        format!("{CURRENT}/{path}")
    }
}

/// The pool's copy of a public path.
#[must_use]
pub fn pool(path: &str) -> String {
    format!("{POOL}/{path}")
}

/// A run's outer folder while it prepares. A rename turns the complete folder into `lock/`.
#[must_use]
pub fn preparing(run: &RunId) -> String {
    format!("{WORK}/{run}")
}

/// A run's staging directory while it prepares.
#[must_use]
pub fn workshop_preparing(run: &RunId) -> String {
    format!("{WORK}/{run}/{run}")
}

/// A run's staging directory while it holds the lock.
#[must_use]
pub fn workshop_holding(run: &RunId) -> String {
    format!("{LOCK}/{run}")
}

/// Where a run's staging directory goes when the run is finished or its lock was stolen.
#[must_use]
pub fn workshop_stale(run: &RunId) -> String {
    format!("{STALE}/{run}")
}

/// Where the outer folder of a run that never took the lock goes.
#[must_use]
pub fn preparing_stale(run: &RunId) -> String {
    format!("{STALE}/{run}.w")
}

/// A path that resolves to `path`, but only if the tree exists. Guards a rename.
#[must_use]
pub fn guarded_by_tree(digest: Digest, path: &str) -> String {
    format!("{TREES}/{digest}/../../{path}")
}

/// A path that resolves to `path`, but only if the release and its root tree exist.
///
/// `..` after a symlink is the parent of the symlink's target, so the path back up starts in `trees/`.
#[must_use]
pub fn guarded_by_release(id: &ReleaseId, path: &str) -> String {
    format!("{RELEASES}/{id}/../../{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_distinguished_from_whatever_else_lies_beside_them() {
        let digest = Digest::of(b"x");
        assert!(is_object(&object(digest)));
        for recipe in [Recipe::made(11), Recipe::given(digest)] {
            for coding in Coding::ALL {
                assert!(is_object(&encoded_object(digest, coding, recipe)));
            }
        }
        let other = object(digest).replace(&object_folder(digest.as_bytes()[0]), "objects/zz");
        let dotted = format!("{}.", object(digest));
        let kept = format!("{}.txt", object(digest));
        for path in ["objects/00/notes.txt", "thesis.odt", &other, &dotted, &kept] {
            assert!(!is_object(path), "{path}");
        }
    }
}

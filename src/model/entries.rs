//! The entries of a folder, by name. Pure.
//!
//! Works like a map but is one sorted list. Most folders of an export contain only a few files, there are as many
//! folders as pages, and the nodes of a tree map would take ten times the memory. Inserting in order of name costs
//! nothing extra.

use std::borrow::Cow;

use super::cache::CacheClass;
use super::digest::Digest;
use super::encoding::Encodings;
use super::redirect::Redirect;

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Digest of the unencoded bytes.
    pub digest: Digest,
    /// Length in bytes, unencoded.
    pub size: u64,
    /// How long browsers may cache it.
    pub cache: CacheClass,
    /// The encodings that are stored next to it.
    pub encodings: Encodings,
    /// Its media type, without parameters.
    pub media_type: Cow<'static, str>,
}

/// What a name in a tree refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file: a hard link to an object.
    File(File),
    /// A folder: a symlink to another tree.
    Folder(Digest),
    /// A redirect: a symlink to the folder that spells its answer.
    Redirect(Redirect),
}

impl Entry {
    /// The file, if it is one.
    #[must_use]
    pub const fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Folder(_) | Self::Redirect(_) => None,
        }
    }

    /// The digest of the folder, if it is one.
    #[must_use]
    pub const fn folder(&self) -> Option<Digest> {
        match self {
            Self::Folder(digest) => Some(*digest),
            Self::File(_) | Self::Redirect(_) => None,
        }
    }

    /// The redirect, if it is one.
    #[must_use]
    pub const fn redirect(&self) -> Option<&Redirect> {
        match self {
            Self::Redirect(redirect) => Some(redirect),
            Self::File(_) | Self::Folder(_) => None,
        }
    }
}

/// The entries of a folder: names in byte order, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries(Vec<(Box<str>, Entry)>);

impl Entries {
    /// Returns the entries of an empty folder.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        match self.0.last() {
            Some((last, _)) if **last < *name => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| (**known).cmp(name)),
        }
    }

    /// The entry with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.place(name).ok().map(|at| &self.0[at].1)
    }

    /// The entry with this name, mutable.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.place(name).ok().map(|at| &mut self.0[at].1)
    }

    /// Inserts an entry, replacing any entry with the same name. Inserting names in order costs nothing extra; use
    /// [`Self::extend`] for many names in any other order.
    pub fn insert(&mut self, name: Box<str>, entry: Entry) {
        match self.place(&name) {
            Ok(at) => self.0[at].1 = entry,
            Err(at) => self.0.insert(at, (name, entry)),
        }
    }

    /// The entries, by name.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Box<str>, &Entry)> + ExactSizeIterator {
        self.0.iter().map(|(name, entry)| (name, entry))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Box<str>> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the folder is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Releases memory that no entry uses.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// Takes entries in any order. If several have the same name, the last one wins.
impl Extend<(Box<str>, Entry)> for Entries {
    fn extend<T: IntoIterator<Item = (Box<str>, Entry)>>(&mut self, more: T) {
        self.0.extend(more);
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
    }
}

impl FromIterator<(Box<str>, Entry)> for Entries {
    fn from_iter<T: IntoIterator<Item = (Box<str>, Entry)>>(entries: T) -> Self {
        let mut all = Self::new();
        all.extend(entries);
        all
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = (&'a Box<str>, &'a Entry);
    type IntoIter =
        std::iter::Map<std::slice::Iter<'a, (Box<str>, Entry)>, fn(&'a (Box<str>, Entry)) -> (&'a Box<str>, &'a Entry)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, entry)| (name, entry))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::digest::Digest;

    fn entry(number: u8) -> Entry {
        Entry::Folder(Digest::of(&[number]))
    }

    proptest! {
        #[test]
        fn it_is_what_a_map_would_be(
            one_by_one in proptest::collection::vec(("[a-d]{0,2}", any::<u8>()), 0..20),
            at_once in proptest::collection::vec(("[a-d]{0,2}", any::<u8>()), 0..20),
        ) {
            let mut map = BTreeMap::new();
            let mut entries = Entries::new();
            for (name, number) in one_by_one {
                map.insert(Box::from(&*name), entry(number));
                entries.insert(name.into(), entry(number));
            }
            let more = at_once.into_iter().map(|(name, number)| (Box::from(name), entry(number)));
            map.extend(more.clone());
            entries.extend(more);
            prop_assert!(entries.iter().eq(map.iter()));
            prop_assert_eq!(entries.len(), map.len());
            for name in ["", "a", "ab", "dd", "e"] {
                prop_assert_eq!(entries.get(name), map.get(name));
            }
        }
    }
}

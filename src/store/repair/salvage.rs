//! Salvages what a host still has of a damaged release: intact content, from any copy of it that is left.
//!
//! An object, the folders of every release on the host, the pool, and encodings of the same file may each contain what
//! another has lost. A copy is used only after its digest was checked. What was found is kept in an anonymous temporary
//! file, so memory use stays small. This module must change nothing on the host.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use crate::model::cache::pooled;
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::layout;
use crate::model::manifest::Site;
use crate::model::path::SitePath;
use crate::model::tree::{self, Tree};
use crate::site::decode;
use crate::site::source::{Source, SourceError};
use crate::store::content::Content;
use crate::store::plan::{HostFacts, Wanted};
use crate::store::session::Session;
use crate::store::{Error, open};

/// Size of the largest file to salvage. Larger files are repaired from the export alone, because a copy is checked in
/// memory as one piece.
const LARGEST: u64 = 32 << 20;

/// Limits of one batch: the number of copies that are read, and the number of bytes at which the batch ends.
const COPIES_AT_ONCE: usize = 32;
const BYTES_AT_ONCE: u64 = LARGEST;

/// Intact content that was found: files' own bytes, and encodings that came with the export and can't be made again.
pub(super) struct Salvage {
    spool: File,
    length: u64,
    kept: HashMap<Content, (u64, u64)>,
    files: HashMap<SitePath, tree::File>,
}

/// A place where a copy may be, and the encoding of that copy.
type Spare = (String, Option<Coding>);

/// Content to look for, and the copies that may have it.
struct Search {
    content: Content,
    copies: Vec<Spare>,
}

/// Loads every tree that the releases of a store lead to, as far as their manifests are intact.
pub(super) async fn trees(session: &Session, root: Digest) -> Result<HostFacts, Error> {
    let releases = open::releases(session).await?;
    let mut roots: Vec<Digest> = open::roots(session, &releases).await?.into_iter().flatten().collect();
    roots.insert(0, root);
    let mut facts = HostFacts::default();
    open::load_trees(session, &mut facts, &roots).await?;
    Ok(facts)
}

impl Salvage {
    /// Searches all copies on the host for the wanted content.
    pub(super) async fn gather(
        session: &Session,
        site: &Site,
        facts: &HostFacts,
        wanted: &[Wanted],
    ) -> Result<Self, Error> {
        let mut salvage = Self {
            spool: tempfile::tempfile().map_err(|source| Error::Io {
                what: "make a temporary file".to_owned(),
                source,
            })?,
            length: 0,
            kept: HashMap::new(),
            files: site.all_files().map(|(path, file)| (path, file.clone())).collect(),
        };
        let mut searches = searches(site, facts, wanted);
        while !searches.is_empty() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while let Some(search) = searches.pop() {
                bytes += search.content.size;
                batch.push(search);
                if batch.len() == COPIES_AT_ONCE || bytes >= BYTES_AT_ONCE {
                    break;
                }
            }
            searches.extend(salvage.try_one_copy_each(session, batch).await?);
        }
        Ok(salvage)
    }

    /// Reads the next copy of each; returns the searches that are still open. A search that has no copies left is
    /// dropped.
    async fn try_one_copy_each(&mut self, session: &Session, mut batch: Vec<Search>) -> Result<Vec<Search>, Error> {
        let copies: Vec<Option<Spare>> = batch.iter_mut().map(|search| search.copies.pop()).collect();
        let paths: Vec<String> = copies.iter().flatten().map(|(path, _)| path.clone()).collect();
        let mut contents = open::read_files(session, &paths).await?.into_iter();
        let mut open = Vec::new();
        for (search, copy) in batch.into_iter().zip(copies) {
            let Some((_, coding)) = copy else { continue };
            let bytes = contents.next().flatten();
            match bytes.and_then(|bytes| good(&search.content, coding, bytes)) {
                Some(bytes) => self.keep(search.content, &bytes)?,
                None => open.push(search),
            }
        }
        Ok(open)
    }

    fn keep(&mut self, content: Content, bytes: &[u8]) -> Result<(), Error> {
        self.spool.write_all(bytes).map_err(|source| Error::Io {
            what: "write a temporary file".to_owned(),
            source,
        })?;
        self.kept.insert(content, (self.length, bytes.len() as u64));
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Whether this content can be made from what was found.
    pub(super) fn has(&self, content: &Content) -> bool {
        self.kept.contains_key(&content.unencoded()) && (!content.is_given() || self.kept.contains_key(content))
    }

    fn bytes(&self, path: &SitePath, content: Option<Content>) -> Result<Vec<u8>, SourceError> {
        let found = content.and_then(|content| self.kept.get(&content));
        let Some((offset, length)) = found else {
            return Err(SourceError::Changed(path.clone()));
        };
        let mut bytes = vec![0; usize::try_from(*length).unwrap_or(0)];
        let read = self.spool.read_exact_at(&mut bytes, *offset);
        read.map_err(|source| SourceError::Unreadable {
            path: path.clone(),
            source,
        })?;
        Ok(bytes)
    }
}

/// Lists what must be found for the wanted objects: each file's own bytes, and the encodings that can't be made again.
fn searches(site: &Site, facts: &HostFacts, wanted: &[Wanted]) -> Vec<Search> {
    let mut sought: BTreeSet<Content> = BTreeSet::new();
    for wanted in wanted.iter().filter(|wanted| wanted.size <= LARGEST) {
        sought.extend(wanted.contents().filter(Content::is_given));
        sought.extend(wanted.contents().map(Content::unencoded));
    }
    let digests: HashSet<Digest> = sought.iter().map(|content| content.digest).collect();
    let places = places(site, facts, &digests);
    let searches = sought.into_iter().map(|content| {
        let given = content.encoded.map(|(coding, _)| coding);
        let copies = places.get(&content.digest).into_iter().flatten();
        let fits = |(_, coding): &&Spare| given.is_none() || *coding == given;
        let mut copies: Vec<Spare> = copies.filter(fits).cloned().collect();
        // Copies are taken from the end of the list, so those that need no decoding are tried first.
        copies.sort_by_key(|(path, coding)| (coding.is_none(), path.starts_with(layout::OBJECTS)));
        Search { content, copies }
    });
    searches.collect()
}

/// Lists every place that should contain one of these files or an encoding of one.
fn places(site: &Site, facts: &HostFacts, digests: &HashSet<Digest>) -> HashMap<Digest, HashSet<Spare>> {
    let mut places: HashMap<Digest, HashSet<Spare>> = HashMap::new();
    for (tree, known) in &facts.manifests {
        for (name, file) in known.iter().flat_map(Tree::files) {
            if !digests.contains(&file.digest) {
                continue;
            }
            let found = places.entry(file.digest).or_default();
            for content in Content::of_file(file) {
                let coding = content.encoded.map(|(coding, _)| coding);
                let path = content.beside(&format!("{}/{name}", layout::tree(*tree)));
                found.insert((path, coding));
                found.insert((content.object(), coding));
            }
        }
    }
    for (public, file) in site.all_files() {
        if digests.contains(&file.digest) && pooled(public.as_str(), file.cache) {
            let found = places.entry(file.digest).or_default();
            found.extend(Content::of_file(file).map(|content| {
                let path = content.beside(&layout::pool(public.as_str()));
                (path, content.encoded.map(|(coding, _)| coding))
            }));
        }
    }
    places
}

/// Returns the content that is searched for, if this copy has it.
fn good(sought: &Content, coding: Option<Coding>, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let Some(coding) = coding else {
        return (Digest::of(&bytes) == sought.digest).then_some(bytes);
    };
    let decoded = decode::decode(coding, &bytes[..], sought.size).ok()?;
    if Digest::of(&decoded) != sought.digest {
        return None;
    }
    match sought.encoded {
        None => Some(decoded),
        Some((_, recipe)) => (Recipe::given(Digest::of(&bytes)) == recipe).then_some(bytes),
    }
}

impl Source for Salvage {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let encoded = None;
        self.bytes(path, Some(Content { digest, size, encoded }))
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        let file = self.files.get(path);
        let mut contents = file.into_iter().flat_map(Content::of_file);
        let given = contents.find(|content| content.encoded.is_some_and(|(own, _)| own == coding));
        self.bytes(path, given)
    }
}

//! Remembers what was last seen live on a target, so that the next publish can ask for everything in one flight.
//!
//! Touches one file in the cache folder. The cache is a guess and is never trusted: the flight that asks what follows
//! from the guess also asks the host which tree is live, and a manifest counts only if its content has the digest that
//! names it. A file that is missing, damaged or of another format counts as empty, and costs only round trips. Nothing
//! but the first questions may come from this cache.
//!
//! The file grows by what each publish adds, and is rewritten once most of it is of previous releases. Every record is
//! its kind, a digest, the length of its content as a little-endian `u32`, and its content.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::model::digest::Digest;
use crate::model::manifest::Site;
use crate::model::release::ReleaseId;
use crate::model::tree::Tree;
use crate::site::cache_file;
use crate::store::open;
use crate::store::plan::Recall;

/// The first line of the file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish seen 2\n";
/// A manifest: its digest and its content.
const TREE: u8 = b't';
/// What is live: the digest of the release's root, and the release's ID.
const LIVE: u8 = b'l';
/// How many manifests may be in the file beyond twice those of the site.
const SPARE: usize = 1024;

/// What was last seen on a target.
#[derive(Debug)]
pub struct RemoteCache {
    file: PathBuf,
    live: Option<(ReleaseId, Digest)>,
    /// Where the content of each manifest is in the file: its offset and its length.
    trees: HashMap<Digest, (u64, u32)>,
    /// How many bytes of the file could be parsed; all of them, unless its end is damaged.
    understood: u64,
}

impl RemoteCache {
    /// Reads which manifests there are, and what was live. `target` distinguishes this target from all others.
    pub fn load(folder: &Path, target: &str) -> Self {
        let mut seen = Self {
            file: cache_file::file_of(folder, Path::new(target), "seen"),
            live: None,
            trees: HashMap::new(),
            understood: 0,
        };
        // Everything from the first record that can't be read is ignored.
        let _ = seen.read();
        seen
    }

    /// The file of this cache.
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn read(&mut self) -> Option<()> {
        let file = cache_file::open_file(&self.file).ok()?;
        let length = file.metadata().ok()?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut header = [0; HEADER.len()];
        reader.read_exact(&mut header).ok()?;
        if header != HEADER {
            return None;
        }
        self.understood = HEADER.len() as u64;
        loop {
            let (mut kind, mut digest, mut size) = ([0], [0; 32], [0; 4]);
            for part in [&mut kind[..], &mut digest, &mut size] {
                reader.read_exact(part).ok()?;
            }
            let (digest, size) = (Digest::from_bytes(digest), u32::from_le_bytes(size));
            let offset = self.understood + 1 + 32 + 4;
            let end = offset + u64::from(size);
            match kind[0] {
                _ if end > length => return None,
                TREE => {
                    reader.seek_relative(size.into()).ok()?;
                    self.trees.insert(digest, (offset, size));
                }
                LIVE => {
                    let mut id = String::new();
                    reader.by_ref().take(size.into()).read_to_string(&mut id).ok()?;
                    self.live = Some((id.parse().ok()?, digest));
                }
                _ => return None,
            }
            self.understood = end;
        }
    }

    /// Remembers what is live now, for the next publish.
    ///
    /// # Errors
    /// What the system reports. What was remembered before is still used then.
    pub fn learn(&self, release: &ReleaseId, site: &Site) -> io::Result<()> {
        if self.live() == Some((release, site.root)) {
            return Ok(());
        }
        let mut named: HashSet<Digest> = self.trees.keys().copied().collect();
        let new = site.folders.values().filter(|folder| named.insert(folder.digest));
        let new: Vec<&Tree> = new.map(|folder| &*folder.tree).collect();
        let grown = self.trees.len() + new.len();
        let append = OpenOptions::new().read(true).append(true).open(&self.file);
        if let Ok(mut file) = append
            && self.understood > 0
            && grown <= 2 * site.folders.len() + SPARE
            && file.metadata()?.len() == self.understood
        {
            return write(&mut file, new.into_iter(), release, site.root);
        }
        let mut once = HashSet::new();
        let all = site.folders.values().filter(|folder| once.insert(folder.digest));
        cache_file::write_by(&self.file, |file| {
            file.write_all(HEADER)?;
            write(file, all.map(|folder| &*folder.tree), release, site.root)
        })
    }
}

impl Recall for RemoteCache {
    fn live(&self) -> Option<(&ReleaseId, Digest)> {
        self.live.as_ref().map(|(release, root)| (release, *root))
    }

    fn tree(&self, digest: Digest) -> Option<Tree> {
        let (offset, length) = *self.trees.get(&digest)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let file = File::open(&self.file).ok()?;
        file.read_exact_at(&mut bytes, offset).ok()?;
        open::read_manifest(digest, bytes)
    }
}

/// Writes some manifests, and then what is live.
fn write<'a>(
    file: &mut File,
    trees: impl Iterator<Item = &'a Tree>,
    release: &ReleaseId,
    root: Digest,
) -> io::Result<()> {
    let mut file = io::BufWriter::with_capacity(1 << 16, file);
    let mut add = |kind, digest: Digest, content: &str| {
        file.write_all(&[kind])?;
        file.write_all(digest.as_bytes())?;
        file.write_all(&u32::try_from(content.len()).map_err(io::Error::other)?.to_le_bytes())?;
        file.write_all(content.as_bytes())
    };
    for tree in trees {
        let text = tree.render();
        add(TREE, Digest::of(text.as_bytes()), &text)?;
    }
    add(LIVE, root, &release.to_string())?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cache::Classes;
    use crate::model::encoding::Encodings;
    use crate::model::manifest::Input;
    use crate::model::path::SitePath;

    fn site(files: &[(&str, &str)]) -> Site {
        let inputs = files.iter().map(|(path, text)| Input {
            path: SitePath::new(path).unwrap(),
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            media_type: "text/html".into(),
            encodings: Encodings::default(),
        });
        Site::new(inputs, &Classes::new("_assets"))
    }

    fn release(number: i64) -> ReleaseId {
        ReleaseId::new(number, "aa")
    }

    fn knows_all_of(seen: &RemoteCache, site: &Site) -> bool {
        site.folders
            .values()
            .all(|folder| seen.tree(folder.digest).as_ref() == Some(&*folder.tree))
    }

    #[test]
    fn what_was_learned_is_there_the_next_time_and_only_what_is_new_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let load = || RemoteCache::load(folder.path(), "a target");
        assert!(load().live().is_none());
        let first = site(&[("index.html", "1"), ("a/b/c.html", "2"), ("d/b/c.html", "2")]);
        load().learn(&release(1), &first).unwrap();
        assert_eq!(load().live(), Some((&release(1), first.root)));
        assert!(knows_all_of(&load(), &first));
        let size = || std::fs::metadata(load().file()).unwrap().len();
        let before = size();
        load().learn(&release(1), &first).unwrap();
        assert_eq!(size(), before, "nothing new");
        let second = site(&[("index.html", "3"), ("a/b/c.html", "2"), ("d/b/c.html", "2")]);
        load().learn(&release(2), &second).unwrap();
        assert!(size() - before < before, "one manifest of four");
        let seen = load();
        assert_eq!(seen.live(), Some((&release(2), second.root)));
        assert!(knows_all_of(&seen, &first) && knows_all_of(&seen, &second));
        assert!(RemoteCache::load(folder.path(), "another").live().is_none());
    }

    #[test]
    fn manifests_of_previous_releases_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let load = || RemoteCache::load(folder.path(), "a target");
        for number in 0..3 * i64::try_from(SPARE).unwrap() {
            let site = site(&[("index.html", &number.to_string())]);
            load().learn(&release(number), &site).unwrap();
            assert!(load().trees.len() <= SPARE + 4);
            assert!(knows_all_of(&load(), &site));
        }
    }

    #[test]
    fn no_damage_is_believed_and_the_next_time_repairs_it() {
        let folder = tempfile::tempdir().unwrap();
        let load = || RemoteCache::load(folder.path(), "a target");
        let first = site(&[("index.html", "1"), ("a/b.html", "2")]);
        load().learn(&release(1), &first).unwrap();
        let file = load().file().to_owned();
        let whole = std::fs::read(&file).unwrap();
        let second = site(&[("index.html", "3"), ("a/b.html", "2")]);
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 0x21;
            for damaged in [&altered[..], &whole[..at]] {
                std::fs::write(&file, damaged).unwrap();
                let seen = load();
                for digest in seen.trees.keys() {
                    let tree = seen.tree(*digest);
                    assert!(tree.is_none_or(|tree| tree.digest() == *digest), "byte {at}");
                }
                seen.learn(&release(2), &second).unwrap();
                assert_eq!(load().live(), Some((&release(2), second.root)), "byte {at}");
            }
        }
    }
}

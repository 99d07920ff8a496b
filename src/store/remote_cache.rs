//! Remembers what was last seen live on a target, so that the next publish can ask for everything in one flight.
//!
//! Touches one file in the cache folder. The cache is a guess and is never trusted: the flight that asks what follows
//! from the guess also asks the host which tree is live, and a manifest counts only if its content has the digest that
//! names it. A file that is missing, damaged or of another format counts as empty, and costs only round trips. Nothing
//! but the first questions may come from this cache.
//!
//! The file grows by what each publish adds, and is rewritten once most of it is of previous releases.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::model::digest::Digest;
use crate::model::manifest::Site;
use crate::model::release::ReleaseId;
use crate::model::tree::Tree;
use crate::site::cache_file;
use crate::store::open;
use crate::store::plan::Recall;

/// The first line of the file.
const HEADER: &[u8] = b"syntax-publish seen 1\n";
/// Begins a manifest: its digest, its length in bytes as a little-endian `u32`, and its content follow.
const TREE: u8 = b't';
/// Begins what is live: the length of the release's ID as one byte, the ID, and the digest of the release's root
/// follow.
const LIVE: u8 = b'l';
/// How many manifests may be in the file beyond twice those of the site.
const SPARE: usize = 1024;

/// What was last seen on a target.
pub struct RemoteCache {
    file: PathBuf,
    live: Option<(ReleaseId, Digest)>,
    trees: HashMap<Digest, Span>,
    /// How many bytes of the file could be parsed; all of them, unless its end is damaged.
    understood: u64,
}

/// Where the bytes of a manifest are in the file.
#[derive(Clone, Copy)]
struct Span {
    offset: u64,
    length: u32,
}

impl RemoteCache {
    /// Reads which manifests there are, and what was live. `target` distinguishes this target from all others.
    #[must_use]
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
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn read(&mut self) -> io::Result<()> {
        let file = cache_file::open_file(&self.file)?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut header = [0; HEADER.len()];
        reader.read_exact(&mut header)?;
        if header != HEADER {
            return Ok(());
        }
        self.understood = HEADER.len() as u64;
        while let Some(kind) = reader.fill_buf()?.first().copied() {
            reader.consume(1);
            self.understood = match kind {
                TREE => self.read_tree(&mut reader, length)?,
                LIVE => self.read_live(&mut reader)?,
                _ => return Ok(()),
            };
        }
        Ok(())
    }

    /// Records where a manifest is, and skips it. Returns where it ends.
    fn read_tree(&mut self, reader: &mut BufReader<File>, length: u64) -> io::Result<u64> {
        let mut head = [0; 36];
        reader.read_exact(&mut head)?;
        let (digest, size) = head.split_at(32);
        let size = u32::from_le_bytes(size.try_into().unwrap_or_default());
        let offset = self.understood + 1 + head.len() as u64;
        let end = offset + u64::from(size);
        if end > length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reader.seek_relative(i64::from(size))?;
        let place = Span { offset, length: size };
        self.trees.insert(digest_of(digest), place);
        Ok(end)
    }

    fn read_live(&mut self, reader: &mut BufReader<File>) -> io::Result<u64> {
        let mut size = [0];
        reader.read_exact(&mut size)?;
        let mut id = vec![0; usize::from(size[0])];
        reader.read_exact(&mut id)?;
        let mut root = [0; 32];
        reader.read_exact(&mut root)?;
        let end = self.understood + 2 + id.len() as u64 + root.len() as u64;
        let release = String::from_utf8(id).ok().and_then(|id| id.parse().ok());
        self.live = release.map(|release| (release, digest_of(&root)));
        Ok(end)
    }

    /// Remembers what is live now, for the next publish.
    ///
    /// # Errors
    /// What the system reports. What was remembered before is still used then.
    pub fn learn(self, release: &ReleaseId, site: &Site) -> io::Result<()> {
        if self.live() == Some((release, site.root)) {
            return Ok(());
        }
        let mut named: HashSet<Digest> = self.trees.keys().copied().collect();
        let new = site.folders.values().filter(|folder| named.insert(folder.digest));
        let new: Vec<&Tree> = new.map(|folder| &*folder.tree).collect();
        let grown = self.trees.len() + new.len();
        let append = OpenOptions::new().read(true).write(true).open(&self.file);
        if let Ok(mut file) = append
            && self.understood > 0
            && grown <= 2 * site.folders.len() + SPARE
            && file.metadata()?.len() == self.understood
        {
            file.seek(SeekFrom::End(0))?;
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
        let place = self.trees.get(&digest)?;
        let mut bytes = vec![0; usize::try_from(place.length).ok()?];
        File::open(&self.file)
            .ok()?
            .read_exact_at(&mut bytes, place.offset)
            .ok()?;
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
    for tree in trees {
        let text = tree.render();
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        file.write_all(&[TREE])?;
        file.write_all(Digest::of(text.as_bytes()).as_bytes())?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(text.as_bytes())?;
    }
    let id = release.to_string();
    let length = u8::try_from(id.len()).map_err(io::Error::other)?;
    file.write_all(&[LIVE, length])?;
    file.write_all(id.as_bytes())?;
    file.write_all(root.as_bytes())?;
    file.flush()
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(bytes.try_into().unwrap_or_default())
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

//! The invariants of a store in every state, whatever has died and whatever is still in progress.

use std::collections::{BTreeMap, HashMap};

use syntax_publish::model::digest::Digest;
use syntax_publish::model::layout;
use syntax_publish::model::tree::Entry;

use crate::support::bench::{Content, Encode, read_disk, site};
use crate::support::memory::Disk;

/// All sites that are published, and the folder levels that they consist of.
pub struct Known {
    sites: Vec<Content>,
    levels: HashMap<String, BTreeMap<String, Entry>>,
}

impl Known {
    pub fn new(sites: Vec<Content>) -> Known {
        let mut levels = HashMap::new();
        for content in &sites {
            for folder in site(content, Encode::Nothing).folders.values() {
                let entries = folder.tree.entries.iter();
                let entries = entries.map(|(name, entry)| (name.to_string(), entry.clone()));
                levels.insert(folder.digest.to_string(), entries.collect());
            }
        }
        Known { sites, levels }
    }

    /// Checks a state of the store. If the host refused to name a manifest, its run finds that out only after its swap,
    /// and repairs it. So pass `strictly` only if nothing was refused.
    pub fn check(&self, disk: &Disk, strictly: bool) -> Result<(), String> {
        for tree in disk.list("trees") {
            self.check_level(disk, &tree)?;
        }
        for name in disk.list("releases") {
            if let Some(text) = disk.text(&format!("releases/{name}"))
                && !name.ends_with(".left")
            {
                if !disk.exists(&format!("releases/{name}")) {
                    return Err(format!("{name} is listed, and {text} is not there"));
                }
                if strictly {
                    self.check_manifests(disk, text.trim_start_matches("../trees/"), &name)?;
                }
            }
        }
        for name in disk.list("channels") {
            let preview = read_disk(disk, &format!("channels/{name}"));
            if !self.sites.contains(&preview) {
                return Err(format!("the channel {name} shows a mixture: {:?}", preview.keys()));
            }
        }
        for folder in disk.list("objects") {
            for object in disk.list(&format!("objects/{folder}")) {
                let bytes = disk.bytes(&format!("objects/{folder}/{object}")).unwrap_or_default();
                if Digest::of(bytes).to_string() != object {
                    return Err(format!("the object {object} has other bytes"));
                }
            }
        }
        self.check_live(disk)
    }

    /// An existing tree is intact, with everything below it.
    fn check_level(&self, disk: &Disk, tree: &str) -> Result<(), String> {
        let Some(entries) = self.levels.get(tree) else {
            return Err(format!("a tree that nobody made: {tree}"));
        };
        let names: Vec<&String> = entries.keys().collect();
        let there = disk.list(&format!("trees/{tree}"));
        if there.iter().collect::<Vec<_>>() != names {
            return Err(format!("the tree {tree} holds {there:?} in place of {names:?}"));
        }
        for (name, entry) in entries {
            let path = format!("trees/{tree}/{name}");
            let right = match entry {
                Entry::File(file) => disk.bytes(&path).is_some_and(|bytes| Digest::of(bytes) == file.digest),
                Entry::Folder(digest) => {
                    disk.text(&path) == Some(format!("../{digest}")) && disk.exists(&format!("trees/{digest}"))
                }
                Entry::Redirect(redirect) => {
                    disk.text(&path) == Some(layout::moved_link(redirect)) && disk.exists(&layout::moved(redirect))
                }
            };
            if !right {
                return Err(format!("the tree {tree} is not whole at {name}"));
            }
        }
        Ok(())
    }

    fn check_manifests(&self, disk: &Disk, tree: &str, release: &str) -> Result<(), String> {
        let bytes = disk.bytes(&format!("manifests/{tree}"));
        if bytes.is_none_or(|bytes| Digest::of(bytes).to_string() != tree) {
            return Err(format!("{release} lacks the manifest {tree}"));
        }
        for entry in self.levels[tree].values() {
            if let Entry::Folder(digest) = entry {
                self.check_manifests(disk, &digest.to_string(), release)?;
            }
        }
        Ok(())
    }

    /// Visitors get one complete site with its redirects, and the pool contains what it needs of it.
    fn check_live(&self, disk: &Disk) -> Result<(), String> {
        let live = read_disk(disk, "current");
        if !self.sites.contains(&live) {
            let current = disk.text("current");
            return Err(format!("visitors get a mixture by {current:?}: {:?}", live.keys()));
        }
        for (path, bytes) in live.iter().filter(|(path, _)| path.starts_with("_next/static/")) {
            if disk.bytes(&format!("immutable/{path}")) != Some(bytes.as_slice()) {
                return Err(format!("the pool lacks {path} of the live release"));
            }
        }
        Ok(())
    }
}

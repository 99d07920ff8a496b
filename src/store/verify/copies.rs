//! Checks copies of content: what folders, objects and the pool should contain, as far as metadata shows it.
//!
//! This module must only read. Nothing records whether an encoding should exist, because one that would not be smaller
//! than its file was never made. So the copies of an encoding are compared with each other: if one exists, all must.

use std::collections::{BTreeSet, HashSet};

use super::deep::FileToRead;
use super::fault::{CopyPlace, StoreFault, StoreFlaw};
use super::{AT_ONCE, LISTS_AT_ONCE, READABLE, Walk, flights};
use crate::host::{Answer, Attr, Kind, Op};
use crate::model::layout;
use crate::model::path::MAX_DEPTH;
use crate::store::Error;
use crate::store::content::{Content, pool_folders};
use crate::store::flight::Read;

/// Which folders use an object.
#[derive(Default)]
pub(super) struct Demand {
    /// Whether a folder has it.
    had: bool,
    /// Folders that lack it, which is right for an encoding that was never made.
    lacking: Vec<CopyPlace>,
}

impl Walk<'_> {
    /// Notes what a folder has under the name of some content.
    pub(super) fn entry(&mut self, place: CopyPlace, content: Content, attr: Option<Attr>) {
        let demand = self.objects.entry(content).or_default();
        if attr.is_none() && content.encoded.is_some() {
            demand.lacking.push(place);
        } else {
            demand.had |= attr.is_some();
            self.look_at_copy(place, content, attr);
        }
    }

    /// Judges one copy of some content by its metadata, and marks it for reading.
    fn look_at_copy(&mut self, place: CopyPlace, content: Content, attr: Option<Attr>) {
        let size = content.encoded.is_none().then_some(content.size);
        match (self.flaw(attr, Kind::File, READABLE, size), attr) {
            (Some(flaw), _) => self.faults.push(StoreFault::File { place, content, flaw }),
            (None, Some(Attr { size, .. })) => self.readings.push(FileToRead { place, content, size }),
            (None, None) => {}
        }
    }

    /// Checks the objects that the walk named, and the pool.
    pub(super) async fn look_at_copies(&mut self) -> Result<(), Error> {
        let objects = std::mem::take(&mut self.objects);
        let pool = std::mem::take(&mut self.pool);
        let folders = pool_folders(pool.keys());
        let pool: Vec<(CopyPlace, Content)> = pool
            .into_iter()
            .flat_map(|(path, file)| {
                let place = CopyPlace::Pool { path };
                Content::of_file(&file).map(move |content| (place.clone(), content))
            })
            .collect();
        let known: HashSet<String> = pool.iter().map(|(place, content)| place.store_path(content)).collect();
        let paths = objects.keys().map(Content::object);
        let paths = paths.chain(pool.iter().map(|(place, content)| place.store_path(content)));
        let ops = paths.chain(folders.iter().cloned()).map(Op::Lstat).collect();
        let mut answers = flights(self.session, ops, AT_ONCE).await?.into_iter();
        let mut attr = || answers.next().and_then(|answer| answer.attr());
        for (content, demand) in objects {
            let attr = attr();
            // An encoding that would not be smaller was never made. Whether this one was made shows in its other
            // copies.
            let there = attr.is_some_and(|attr| attr.kind == Kind::File);
            let made = content.encoded.is_none() || content.is_given() || demand.had || there;
            if !made {
                continue;
            }
            self.faults
                .extend(demand.lacking.into_iter().map(|place| StoreFault::File {
                    place,
                    content,
                    flaw: StoreFlaw::Missing,
                }));
            self.look_at_copy(CopyPlace::Object, content, attr);
        }
        for (place, content) in pool {
            let attr = attr();
            // A file without its encodings is fine: the encoding may have been introduced later.
            if attr.is_some() || content.encoded.is_none() {
                self.look_at_copy(place, content, attr);
            }
        }
        for folder in &folders {
            let attr = attr();
            // A missing folder shows in its files.
            if attr.is_some() {
                self.store_folder(folder.clone(), attr);
            }
        }
        self.look_for_strays(&known, &folders).await
    }

    /// Searches the pool for what no publish puts there: a user who may write to the pool can plant a symlink to any
    /// file of the host. Files of other releases are not strays, and unreferenced files are left to prune.
    async fn look_for_strays(&mut self, known: &HashSet<String>, judged: &BTreeSet<String>) -> Result<(), Error> {
        let pool = layout::POOL.to_owned();
        let at = flights(self.session, vec![Op::Lstat(pool.clone())], AT_ONCE).await?;
        // A symlink is not followed, because it leads to something else.
        let is_folder = at.first().attr().is_some_and(|attr| attr.kind == Kind::Folder);
        let mut level = if is_folder { vec![pool] } else { Vec::new() };
        let mut depth = 0;
        while !level.is_empty() {
            let ops = level.iter().cloned().map(Op::List).collect();
            let answers = flights(self.session, ops, LISTS_AT_ONCE).await?;
            let mut below = Vec::new();
            for (folder, answer) in level.iter().zip(answers) {
                let Ok(Answer::Names(names)) = answer else { continue };
                for (name, attr) in names {
                    let path = format!("{folder}/{name}");
                    let is_folder = attr.kind == Kind::Folder;
                    let is_judged = known.contains(&path) || judged.contains(&path);
                    let kind = if is_folder { Kind::Folder } else { Kind::File };
                    if let Some(flaw) = self.flaw(Some(attr), kind, 0, None).filter(|_| !is_judged) {
                        self.faults.push(StoreFault::Stray { path, flaw });
                    } else if is_folder {
                        below.push(path);
                    }
                }
            }
            depth += 1;
            if depth > MAX_DEPTH {
                let flaw = StoreFlaw::Kind(Kind::Folder);
                self.faults.extend(below.drain(..).map(|path| StoreFault::Stray {
                    path,
                    flaw: flaw.clone(),
                }));
            }
            level = below;
        }
        Ok(())
    }
}

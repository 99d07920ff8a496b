//! Variant builds of an export, made from a copy: one page's text edited, another build ID, or other chunk names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syntax_publish::next::build_id::in_comment;
use tempfile::TempDir;

use crate::support::command::write;
use crate::support::export::files_below;

/// Extensions of files that contain build IDs, chunk names or page text.
const TEXTS: [&str; 5] = ["css", "html", "js", "json", "txt"];

/// The length of the shortest hash at the end of a chunk's name, over all bundlers.
const TOKEN: usize = 12;

/// A copy of an export that can be changed.
pub struct Copy {
    pub path: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    _folder: TempDir,
}

/// A change of one page's text in all files that contain it.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The page's HTML file.
    pub page: String,
    pub from: String,
    pub to: String,
    /// The files that changed.
    pub files: BTreeSet<String>,
}

impl Copy {
    pub fn of(export: &Path) -> Copy {
        let folder = tempfile::tempdir().unwrap();
        let copy = Copy {
            path: folder.path().join("export"),
            files: files_below(export),
            _folder: folder,
        };
        copy.write();
        copy
    }

    fn write(&self) {
        for (path, bytes) in &self.files {
            write(&self.path.join(path), bytes);
        }
    }

    fn texts(&self) -> impl Iterator<Item = (&String, &[u8])> {
        self.files
            .iter()
            .filter(|(path, _)| is_text(path))
            .map(|(path, bytes)| (path, bytes.as_slice()))
    }

    /// Changes a word of a paragraph that no other page and no code contains. The length of the word stays the same, so
    /// that every length in a payload does, too.
    pub fn edit(&mut self) -> Edit {
        let edit = self.find_edit().expect("a paragraph that one page alone has");
        self.replace_all(&BTreeMap::from([(edit.from.clone(), edit.to.clone())]));
        edit
    }

    fn find_edit(&self) -> Option<Edit> {
        let pages = self.files.iter().filter(|(path, _)| path.ends_with(".html"));
        // The deepest page comes first: no other page shares its folder and its files.
        let mut pages: Vec<_> = pages.collect();
        pages.sort_by_key(|(path, _)| (std::cmp::Reverse(path.matches('/').count()), *path));
        for (page, html) in pages {
            let html = String::from_utf8_lossy(html);
            for part in html.split("<p").skip(1).filter(|part| part.starts_with(['>', ' '])) {
                let text = part.split_once('>').map_or("", |(_, text)| text);
                let from = text.split('<').next().unwrap_or_default();
                let plain = |c: char| c.is_ascii_alphanumeric() || " ,.:;".contains(c);
                let Some(to) = reworded(from).filter(|_| from.len() >= 20 && from.chars().all(plain)) else {
                    continue;
                };
                let files: BTreeSet<String> = self
                    .texts()
                    .filter(|(_, bytes)| holds(bytes, from))
                    .map(|(path, _)| path.clone())
                    .collect();
                let is_code = |path: &String| path.ends_with(".js") || path.ends_with(".css");
                let pages = files.iter().filter(|path| path.ends_with(".html")).count();
                if pages == 1 && files.len() > 1 && !files.iter().any(is_code) {
                    return Some(Edit {
                        page: page.clone(),
                        from: from.to_owned(),
                        to,
                        files,
                    });
                }
            }
        }
        None
    }

    /// Gives the export another build ID, as a rebuild does. `turn` selects the ID.
    pub fn rebuild(&mut self, turn: usize) {
        let id = self
            .files
            .keys()
            .find_map(|path| path.strip_prefix("_next/static/")?.strip_suffix("/_buildManifest.js"))
            .expect("the build's own folder")
            .to_owned();
        let other = other_name(&id, turn, id.len().min(21));
        let commented = (in_comment(&id), in_comment(&other));
        self.replace_all(&BTreeMap::from([(id, other), commented]));
    }

    /// Gives every chunk of code and styles another name, as another compiler would. All of them change, because a
    /// chunk that names others then has different content. `turn` selects the names.
    pub fn rename_chunks(&mut self, turn: usize) {
        let names = self.files.keys().filter_map(|path| {
            let name = path
                .strip_prefix("_next/static/chunks/")
                .or_else(|| path.strip_prefix("_next/static/css/"))?;
            let stem = name.strip_suffix(".js").or_else(|| name.strip_suffix(".css"))?;
            let at = stem.len().checked_sub(TOKEN)?;
            let token = stem.get(at..).filter(|token| !token.contains('/'))?;
            Some((token.to_owned(), other_name(token, turn, TOKEN)))
        });
        let names: BTreeMap<String, String> = names.collect();
        assert!(!names.is_empty(), "the export has chunks");
        self.replace_all(&names);
    }

    /// Replaces texts in every file and every file name.
    fn replace_all(&mut self, names: &BTreeMap<String, String>) {
        let replaced = |text: &str| {
            names
                .iter()
                .filter(|(from, _)| text.contains(from.as_str()))
                .fold(None, |text_now: Option<String>, (from, to)| {
                    Some(text_now.as_deref().unwrap_or(text).replace(from, to))
                })
        };
        self.files = std::mem::take(&mut self.files)
            .into_iter()
            .map(|(path, bytes)| {
                let bytes = match std::str::from_utf8(&bytes)
                    .ok()
                    .filter(|_| is_text(&path))
                    .and_then(replaced)
                {
                    Some(changed) => changed.into_bytes(),
                    None => bytes,
                };
                (replaced(&path).unwrap_or(path), bytes)
            })
            .collect();
        fs::remove_dir_all(&self.path).unwrap();
        self.write();
    }
}

fn is_text(path: &str) -> bool {
    TEXTS.iter().any(|ending| path.rsplit('.').next() == Some(ending))
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Spells one word of the text backwards.
fn reworded(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| word.len() >= 4)
        .find_map(|word| {
            let backwards: String = word.chars().rev().collect();
            (backwards != word).then(|| text.replacen(word, &backwards, 1))
        })
}

/// Another name of the same kind.
fn other_name(name: &str, turn: usize, length: usize) -> String {
    let digest = blake3::hash(format!("{name} {turn}").as_bytes()).to_hex();
    digest[..length].to_owned()
}

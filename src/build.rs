//! The finished site as a plain folder: every file, its encodings beside it, for a web server that has no store.
//!
//! Writes below the folder it is given and nowhere else. The folder appears whole or not at all: it grows under another
//! name beside its place, and takes the place by a rename. It must never delete or replace a file that it did not make:
//! a folder is refused unless it is empty, or holds an earlier build and nothing else.
//!
//! The mark is `.syntax-publish/`, which also holds the manifest of each folder by digest. It begins with a dot, so a
//! scan leaves it out and the vhost we print does not serve it; and a folder of documents keeps them apart from the
//! site's own names, of which any might be taken.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::encode::encode;
use crate::error::Error;
use crate::event::{Event, Observer, Stage};
use crate::manifest::Site;
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::path::{SitePath, printable};
use crate::model::tree::{File, Tree};
use crate::source::{Source, SourceError};

/// The folder of documents, which marks a build as ours.
pub const DOCUMENTS: &str = ".syntax-publish";

/// The document that names the site by its root digest.
const ROOT: &str = "root";

/// A build that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Public paths.
    pub files: u64,
    /// Bytes of all files, unencoded.
    pub bytes: u64,
    /// The digest of the site.
    pub root: Digest,
}

/// The folder can't be used for a build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It holds something that no build wrote.
    #[error("{} holds what no earlier build wrote: {name}", .folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The first such thing that was found, fit to be printed.
        name: String,
    },
    /// There is something else at its path.
    #[error("{} is not a folder", .folder.display())]
    NotAFolder {
        /// The path.
        folder: PathBuf,
    },
    /// It has no name that a folder beside it could be named after.
    #[error("{} can't be replaced by a build", .folder.display())]
    NoName {
        /// The path.
        folder: PathBuf,
    },
    /// A file of this machine can't be written.
    #[error("can't {what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the export can't be read or encoded.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Source(error) => Self::Source(error),
            error => Self::Build(error),
        }
    }
}

/// Writes the site to the folder `out`.
///
/// # Errors
/// [`BuildError`]; then `out` is as it was.
pub fn build(site: &Site, source: &dyn Source, out: &Path, observer: &dyn Observer) -> Result<Built, BuildError> {
    let replaces = judge(out)?;
    let growing = beside(out, "new")?;
    // What an earlier run left half-done under this process's name.
    remove(&growing)?;
    let files: Vec<(SitePath, &File)> = site.all_files().collect();
    observer.notice(Event::StageBegan {
        stage: Stage::Encode,
        items: Some(site.files),
        bytes: Some(site.bytes),
    });
    let written =
        write_all(site, source, &files, &growing, observer).and_then(|()| take_place(&growing, out, replaces));
    observer.notice(Event::StageEnded { stage: Stage::Encode });
    if written.is_err() {
        let _ = fs::remove_dir_all(&growing);
    }
    written.map(|()| Built {
        files: site.files,
        bytes: site.bytes,
        root: site.root,
    })
}

/// Whether the folder may be taken, and if there is one to replace.
fn judge(out: &Path) -> Result<bool, BuildError> {
    let folder = || out.to_owned();
    match fs::metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("look at", out)(error)),
        Ok(metadata) if !metadata.is_dir() => return Err(BuildError::NotAFolder { folder: folder() }),
        Ok(_) => {}
    }
    let mut names = fs::read_dir(out).map_err(failed("read", out))?;
    if names.next().is_none() {
        return Ok(true);
    }
    let ours = names_of(out).unwrap_or_default();
    match first_foreign(out, &SitePath::root(), &ours).map_err(failed("read", out))? {
        None => Ok(true),
        Some(name) => Err(BuildError::Foreign { folder: folder(), name }),
    }
}

/// Every path that an earlier build wrote, by its own documents; none where they don't read.
fn names_of(out: &Path) -> Option<HashSet<String>> {
    let documents = out.join(DOCUMENTS);
    let root: Digest = fs::read_to_string(documents.join(ROOT)).ok()?.trim_end().parse().ok()?;
    let mut names = HashSet::from([DOCUMENTS.to_owned(), format!("{DOCUMENTS}/{ROOT}")]);
    let mut todo = vec![(SitePath::root(), root)];
    while let Some((path, digest)) = todo.pop() {
        let tree = Tree::parse(&fs::read_to_string(documents.join(digest.to_string())).ok()?).ok()?;
        names.insert(format!("{DOCUMENTS}/{digest}"));
        names.insert(path.to_string());
        for (name, file) in tree.files() {
            let at = path.child(name).to_string();
            names.extend(file.encodings.iter().map(|(coding, _)| coding.beside(&at)));
            names.insert(at);
        }
        todo.extend(tree.folders().map(|(name, digest)| (path.child(name), digest)));
    }
    Some(names)
}

/// Something in the folder that is not among the names.
fn first_foreign(out: &Path, below: &SitePath, ours: &HashSet<String>) -> io::Result<Option<String>> {
    for entry in fs::read_dir(out.join(below.as_str()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = below.child(&name);
        if !ours.contains(path.as_str()) {
            return Ok(Some(printable(path.as_str())));
        }
        if entry.file_type()?.is_dir()
            && let Some(foreign) = first_foreign(out, &path, ours)?
        {
            return Ok(Some(foreign));
        }
    }
    Ok(None)
}

/// A name in the same folder, so that a rename stays on one file system.
fn beside(out: &Path, what: &str) -> Result<PathBuf, BuildError> {
    let resolved = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    let name = resolved
        .file_name()
        .ok_or_else(|| BuildError::NoName { folder: out.to_owned() })?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{what}.{}", std::process::id()));
    Ok(resolved.with_file_name(hidden))
}

fn write_all(
    site: &Site,
    source: &dyn Source,
    files: &[(SitePath, &File)],
    growing: &Path,
    observer: &dyn Observer,
) -> Result<(), BuildError> {
    for path in site.folders.keys() {
        let folder = growing.join(path.as_str());
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    }
    files.par_iter().try_for_each(|(path, file)| {
        write_file(source, path, file, growing)?;
        observer.notice(Event::Progressed {
            stage: Stage::Encode,
            items: 1,
            bytes: file.size,
        });
        Ok::<(), BuildError>(())
    })?;
    let documents = growing.join(DOCUMENTS);
    fs::create_dir_all(&documents).map_err(failed("make", &documents))?;
    for folder in site.folders.values() {
        write(
            &documents.join(folder.digest.to_string()),
            folder.tree.render().as_bytes(),
        )?;
    }
    write(&documents.join(ROOT), format!("{}\n", site.root).as_bytes())
}

fn write_file(source: &dyn Source, path: &SitePath, file: &File, growing: &Path) -> Result<(), BuildError> {
    let bytes = source.read(path, file.digest, file.size)?;
    for (coding, recipe) in file.encodings.iter() {
        if let Some(encoded) = encoded(source, path, &bytes, coding, recipe)? {
            write(&growing.join(coding.beside(path.as_str())), &encoded)?;
        }
    }
    write(&growing.join(path.as_str()), &bytes)
}

/// The bytes of an encoding; none where it would not be smaller.
fn encoded(
    source: &dyn Source,
    path: &SitePath,
    bytes: &[u8],
    coding: Coding,
    recipe: Recipe,
) -> Result<Option<Vec<u8>>, BuildError> {
    match recipe {
        Recipe::Given { .. } => {
            let given = source.read_given(path, coding)?;
            if Recipe::given(Digest::of(&given)) == recipe {
                Ok(Some(given))
            } else {
                Err(SourceError::Changed { path: path.clone() }.into())
            }
        }
        Recipe::Made { level, .. } => match encode(coding, level, bytes) {
            Ok(made) => Ok(made.map(crate::encode::Verified::into_bytes)),
            Err(error) => Err(SourceError::Encoder {
                path: path.clone(),
                coding,
                detail: error.to_string(),
            }
            .into()),
        },
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(failed("write", path))
}

/// Puts the finished folder where it belongs. A former build steps aside first, and comes back if that fails.
fn take_place(growing: &Path, out: &Path, replaces: bool) -> Result<(), BuildError> {
    let place = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    if !replaces {
        return fs::rename(growing, &place).map_err(failed("make", &place));
    }
    let former = beside(out, "old")?;
    remove(&former)?;
    fs::rename(&place, &former).map_err(failed("move away", &place))?;
    if let Err(error) = fs::rename(growing, &place) {
        let _ = fs::rename(&former, &place);
        return Err(failed("make", &place)(error));
    }
    remove(&former)
}

fn remove(folder: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn failed<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> BuildError + 'a {
    move |source| BuildError::Io {
        what: format!("{verb} {}", path.display()),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::event::Silent;
    use crate::pipeline::prepare;

    fn built(out: &Path) -> Result<Built, BuildError> {
        let export = tempfile::tempdir().unwrap();
        for (name, text) in [("index.html", "x".repeat(2000)), ("404.html", "gone".to_owned())] {
            fs::write(export.path().join(name), text).unwrap();
        }
        let site = prepare(&parse("").unwrap().config, export.path(), None, &Silent).unwrap();
        build(&site.site, &*site.source, out, &Silent)
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_build_holds_files_encodings_and_manifests_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        assert_eq!(built(&out).unwrap().files, 2);
        let all = [
            ".syntax-publish",
            "404.html",
            "index.html",
            "index.html.br",
            "index.html.gz",
        ];
        assert_eq!(names(&out), all);
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn an_earlier_build_and_an_empty_folder_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let first = built(folder.path()).unwrap();
        assert_eq!(built(folder.path()).unwrap(), first);
    }

    #[test]
    fn a_file_that_was_put_into_an_earlier_build_is_not_deleted() {
        let folder = tempfile::tempdir().unwrap();
        built(folder.path()).unwrap();
        let note = folder.path().join("notes.txt");
        fs::write(&note, "x").unwrap();
        let refused = built(folder.path());
        assert!(matches!(refused, Err(BuildError::Foreign { name, .. }) if name == "notes.txt"));
        assert!(note.exists());
    }

    #[test]
    fn a_folder_with_other_files_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "x").unwrap();
        assert!(matches!(built(folder.path()), Err(BuildError::Foreign { .. })));
        assert_eq!(names(folder.path()), ["precious"]);
        let file = folder.path().join("precious");
        assert!(matches!(built(&file), Err(BuildError::NotAFolder { .. })));
    }
}

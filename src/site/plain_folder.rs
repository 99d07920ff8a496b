//! Writes the finished site to a plain folder: every file with its encodings next to it, for a web server that has no
//! store.
//!
//! Writes only below the given folder. The folder appears complete or not at all: it is written under a temporary name
//! in the same parent folder, and then renamed. This module must never delete or replace a file that it did not write:
//! a folder is refused unless it is empty, or contains an earlier build and nothing else.
//!
//! The marker of a build is the folder `.syntax-publish/`. It also contains the documents of the build: the root
//! digest, the manifest of each folder, named by its digest, and the redirects for other servers. Its name begins with a dot, so a scan leaves it out
//! and the vhost that this program prints does not serve it. The documents are in a separate folder because the site
//! could use any other name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::model::event::{Observer, Running, Stage};
use crate::model::manifest::Site;
use crate::model::path::{SitePath, printable};
use crate::model::redirect::{self, Redirect};
use crate::model::tree::{Entry, File, Tree};
use crate::rules::redirects::{self, Redirects};
use crate::site::encode::encode_file;
use crate::site::source::{Source, SourceError};

/// The folder of documents, which marks a folder as a build of this program.
pub const DOCUMENTS: &str = ".syntax-publish";

/// The document that contains the site's root digest.
const ROOT: &str = "root";

/// The documents that contain the redirects: in the syntax of [`redirects::FILE`], and as an nginx map.
const REDIRECTS: [&str; 2] = [redirects::FILE, "redirects.map"];

/// Upper limit for a manifest, in bytes: enough for a folder of 400,000 files.
const LARGEST_DOCUMENT: u64 = 64 << 20;

/// A finished build. `--json` prints it, so fields may be added but must never be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Built {
    /// Public paths.
    pub files: u64,
    /// Bytes of all files, unencoded.
    pub bytes: u64,
    /// The digest of the site.
    pub root: Digest,
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder contains something that no build wrote.
    #[error("{} holds what no earlier build wrote: {name}", .folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The first such thing that was found, in printable form.
        name: String,
    },
    /// The path is taken by something that is not a folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The path has no name, so a temporary folder can't be named after it.
    #[error("{} can't be replaced by a build", .0.display())]
    NoName(PathBuf),
    /// A file or folder on this machine can't be read or written.
    #[error("can't {what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// What the system reported.
        source: io::Error,
    },
    /// A file of the export can't be read or encoded.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Writes the site to the folder `out`.
///
/// # Errors
/// [`BuildError`]. `out` then has its previous content, unless only the removal of the previous build failed.
pub fn build(
    site: &Site,
    redirects: &Redirects,
    source: &dyn Source,
    out: &Path,
    observer: &dyn Observer,
) -> Result<Built, BuildError> {
    clear_leftovers(out)?;
    let replaces = check_out(out)?;
    let growing = beside(out, "new")?;
    // Remove what an earlier run with the same process ID left behind.
    remove(&growing)?;
    let running = Running::begin_measured(observer, Stage::Encode, Some(site.files), Some(site.bytes));
    let written = write_all(site, source, &growing, observer)
        .and_then(|()| write_redirects(site, redirects, &growing))
        .and_then(|()| take_place(&growing, out, replaces));
    running.end();
    if written.is_err() {
        let _ = fs::remove_dir_all(&growing);
    }
    written.map(|()| Built {
        files: site.files,
        bytes: site.bytes,
        root: site.root,
    })
}

/// Checks that the folder may be used. Returns whether there is one to replace.
fn check_out(out: &Path) -> Result<bool, BuildError> {
    let folder = || out.to_owned();
    match fs::metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("look at", out)(error)),
        Ok(metadata) if !metadata.is_dir() => return Err(BuildError::NotAFolder(folder())),
        Ok(_) => {}
    }
    let mut names = fs::read_dir(out).map_err(failed("read", out))?;
    if names.next().is_none() {
        return Ok(true);
    }
    match first_foreign(out).map_err(failed("read", out))? {
        None => Ok(true),
        Some(name) => Err(BuildError::Foreign { folder: folder(), name }),
    }
}

/// Returns something in a folder that the earlier build did not write, according to that build's own documents.
///
/// Walks the files on disk, not the tree that the documents describe: documents can form a cycle, or describe folders
/// without end.
fn first_foreign(out: &Path) -> io::Result<Option<String>> {
    let documents = SitePath::root().child(DOCUMENTS);
    let Some(root) = root_of(out) else {
        let first = fs::read_dir(out)?.next().transpose()?;
        return Ok(first.map(|entry| printable(&entry.file_name().to_string_lossy())));
    };
    let mut todo = vec![(SitePath::root(), root)];
    while let Some((path, tree)) = todo.pop() {
        for entry in fs::read_dir(out.join(path.as_str()))? {
            let entry = entry?;
            let at = path.child(&entry.file_name().to_string_lossy());
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && at == documents {
                if let Some(foreign) = foreign_document(out)? {
                    return Ok(Some(foreign));
                }
                continue;
            }
            let below = match written(&tree, &entry.file_name(), is_folder) {
                Some(Written::File) => continue,
                Some(Written::Folder(digest)) => tree_of(out, digest),
                None => None,
            };
            match below {
                Some(below) => todo.push((at, below)),
                None => return Ok(Some(printable(at.as_str()))),
            }
        }
    }
    Ok(None)
}

/// Returns something among the documents that is not a document of a build.
fn foreign_document(out: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(out.join(DOCUMENTS))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let digest = name.parse::<Digest>().ok();
        if name != ROOT && !REDIRECTS.contains(&&*name) && digest.and_then(|digest| tree_of(out, digest)).is_none() {
            return Ok(Some(printable(&format!("{DOCUMENTS}/{name}"))));
        }
    }
    Ok(None)
}

/// The manifest of the top folder.
fn root_of(out: &Path) -> Option<Tree> {
    tree_of(out, document(out, ROOT)?.trim_end().parse().ok()?)
}

/// The manifest with this digest. `None` if its content is different.
fn tree_of(out: &Path, digest: Digest) -> Option<Tree> {
    let text = document(out, &digest.to_string())?;
    let is_it = Digest::of(text.as_bytes()) == digest;
    is_it.then(|| Tree::parse(&text).ok()).flatten()
}

fn document(out: &Path, name: &str) -> Option<String> {
    let file = out.join(DOCUMENTS).join(name);
    // Reading a pipe would never end.
    let is_file = fs::symlink_metadata(&file).is_ok_and(|about| about.is_file() && about.len() <= LARGEST_DOCUMENT);
    is_file.then(|| fs::read_to_string(&file).ok()).flatten()
}

/// What a build wrote under one name.
enum Written {
    File,
    Folder(Digest),
}

/// Returns what a build with this manifest wrote under a name in the folder. `None` if it wrote nothing there.
fn written(tree: &Tree, name: &OsStr, is_folder: bool) -> Option<Written> {
    let name = name.to_str()?;
    let entry = |name: &str| tree.entries.get(name);
    match entry(name) {
        Some(Entry::Folder(digest)) => return is_folder.then_some(Written::Folder(*digest)),
        Some(Entry::File(_)) => return (!is_folder).then_some(Written::File),
        Some(Entry::Redirect(_)) | None => {}
    }
    let is_encoding = |coding: Coding| {
        let original = coding.original(name).and_then(entry);
        matches!(original, Some(Entry::File(file)) if file.encodings.get(coding).is_some())
    };
    (!is_folder && Coding::ALL.into_iter().any(is_encoding)).then_some(Written::File)
}

/// Returns a path in the same parent folder, so that a rename stays on one file system.
fn beside(out: &Path, what: &str) -> Result<PathBuf, BuildError> {
    let (place, mut hidden) = hidden(out)?;
    hidden.push(format!("{what}.{}", std::process::id()));
    Ok(place.with_file_name(hidden))
}

/// Returns the resolved path of the folder, and the prefix of the temporary names that builds use next to it.
fn hidden(out: &Path) -> Result<(PathBuf, OsString), BuildError> {
    let resolved = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    let name = resolved.file_name().ok_or_else(|| BuildError::NoName(out.to_owned()))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    Ok((resolved, hidden))
}

/// Removes what killed builds to this folder left behind. If one of them had moved the previous build away without
/// putting its own in place, the previous build is moved back.
fn clear_leftovers(out: &Path) -> Result<(), BuildError> {
    let (place, hidden) = hidden(out)?;
    let Some(folder) = place.parent() else { return Ok(()) };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let rest = name.as_encoded_bytes().strip_prefix(hidden.as_encoded_bytes());
        let rest = rest.and_then(|rest| std::str::from_utf8(rest).ok());
        let Some((what, process)) = rest.and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        let is_dead = process.parse().is_ok_and(|process: i32| !is_alive(process));
        let is_ours = entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.path().join(DOCUMENTS).is_dir();
        if !is_dead || !is_ours || !matches!(what, "new" | "old") {
            continue;
        }
        if what == "old" && fs::symlink_metadata(&place).is_err() {
            fs::rename(entry.path(), &place).map_err(failed("move back", &entry.path()))?;
        } else {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn is_alive(process: i32) -> bool {
    let known = Pid::from_raw(process).filter(|pid| pid.as_raw_nonzero().get() > 0);
    known.is_none_or(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

fn write_all(site: &Site, source: &dyn Source, growing: &Path, observer: &dyn Observer) -> Result<(), BuildError> {
    // Make the folder of documents first: it is how leftovers of a killed run are recognized.
    let documents = growing.join(DOCUMENTS);
    fs::create_dir_all(&documents).map_err(failed("make", &documents))?;
    // Redirects are not files.
    let is_folder = |path: &&SitePath| path.as_str().split('/').next() != Some(redirect::FOLDER);
    for path in site.folders.keys().filter(is_folder) {
        let folder = growing.join(path.as_str());
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    }
    let files: Vec<(SitePath, &File)> = site.all_files().collect();
    files.par_iter().try_for_each(|(path, file)| {
        write_file(source, path, file, growing)?;
        observer.progressed(Stage::Encode, 1, file.size);
        Ok::<(), BuildError>(())
    })?;
    for folder in site.folders.values() {
        write(
            &documents.join(folder.digest.to_string()),
            folder.tree.render().as_bytes(),
        )?;
    }
    write(&documents.join(ROOT), format!("{}\n", site.root).as_bytes())
}

/// Writes the redirects as documents, if there are any.
fn write_redirects(site: &Site, redirects: &Redirects, growing: &Path) -> Result<(), BuildError> {
    let entries: Vec<(String, &Redirect)> = site.redirects().collect();
    if entries.is_empty() && redirects.rules().is_empty() {
        return Ok(());
    }
    let [list, map] = REDIRECTS.map(|name| growing.join(DOCUMENTS).join(name));
    write(&list, redirects::as_file(&entries, redirects).as_bytes())?;
    write(&map, redirects::as_map(&entries, redirects).as_bytes())
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

/// The bytes of an encoding. `None` if one that is made would not be smaller than the file.
fn encoded(
    source: &dyn Source,
    path: &SitePath,
    bytes: &[u8],
    coding: Coding,
    recipe: Recipe,
) -> Result<Option<Vec<u8>>, SourceError> {
    match recipe {
        Recipe::Given { .. } => {
            let given = source.read_given(path, coding)?;
            if Recipe::given(Digest::of(&given)) == recipe {
                Ok(Some(given))
            } else {
                Err(SourceError::Changed(path.clone()))
            }
        }
        Recipe::Made { level, .. } => encode_file(path, coding, level, bytes),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(failed("write", path))
}

/// Moves the finished folder to its final path. A previous build is moved away first, and back again if that fails.
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
    use crate::model::event::Silent;
    use crate::site::pipeline::LocalSite;

    fn built(out: &Path) -> Result<Built, BuildError> {
        let export = tempfile::tempdir().unwrap();
        for (name, text) in [("index.html", "x".repeat(2000)), ("404.html", "gone".to_owned())] {
            fs::write(export.path().join(name), text).unwrap();
        }
        let site = LocalSite::new(&parse("").unwrap().config, export.path(), None, &Silent)
            .prepare()
            .unwrap();
        build(&site.site, &site.rules.redirects, &*site.source, out, &Silent)
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
    fn redirects_are_written_for_other_servers_and_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let export = folder.path().join("export");
        fs::create_dir(&export).unwrap();
        for (name, text) in [
            ("index.html", "home"),
            ("new.html", "new"),
            (
                "_redirects",
                "/old /new 308\n/a\"b /\n/legacy/:x/* https://h.example/:x/:splat?q#f 302\n",
            ),
        ] {
            fs::write(export.join(name), text).unwrap();
        }
        let config = parse("").unwrap().config;
        let site = LocalSite::new(&config, &export, None, &Silent).prepare().unwrap();
        let out = folder.path().join("out");
        for _ in 0..2 {
            build(&site.site, &site.rules.redirects, &*site.source, &out, &Silent).unwrap();
        }
        assert_eq!(names(&out), [".syntax-publish", "index.html", "new.html"]);
        let document = |name: &str| fs::read_to_string(out.join(DOCUMENTS).join(name)).unwrap();
        insta::assert_snapshot!(document("_redirects"), @r"
        /a%22b / 301
        /old /new 308
        /legacy/:x/* https://h.example/:x/:splat?q#f 302
        ");
        insta::assert_snapshot!(document("redirects.map"), @r#"
        # In the http block:
        #     map $uri $moved { include .syntax-publish/redirects.map; }
        # In the server block:
        #     if ($moved ~ "^301 (.+)") { return 301 $1; }
        #     if ($moved ~ "^302 (.+)") { return 302 $1; }
        #     if ($moved ~ "^307 (.+)") { return 307 $1; }
        #     if ($moved ~ "^308 (.+)") { return 308 $1; }
        "/a\"b" "301 /";
        "/old" "308 /new";
        # not in a map: /legacy/:x/* https://h.example/:x/:splat?q#f 302
        "#);
    }

    #[test]
    fn an_earlier_build_and_an_empty_folder_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let first = built(folder.path()).unwrap();
        assert_eq!(built(folder.path()).unwrap(), first);
    }

    #[test]
    fn what_killed_builds_left_is_cleared_and_a_build_that_was_moved_away_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        built(&out).unwrap();
        let ended = {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            child.wait().unwrap();
            child.id()
        };
        let leftover = |what: &str, process: u32| folder.path().join(format!(".out.{what}.{process}"));
        // A run killed while it wrote, one killed between the two renames, a run that is still writing (process 1), and
        // folders that only have similar names.
        fs::create_dir_all(leftover("new", ended).join(DOCUMENTS)).unwrap();
        fs::create_dir_all(leftover("new", 1).join(DOCUMENTS)).unwrap();
        fs::create_dir_all(leftover("new", ended).with_extension("notes")).unwrap();
        fs::create_dir_all(leftover("kept", ended).join(DOCUMENTS)).unwrap();
        fs::rename(&out, leftover("old", ended)).unwrap();
        clear_leftovers(&out).unwrap();
        assert!(out.join("index.html").exists(), "the build before is back");
        built(&out).unwrap();
        let left = [
            format!(".out.kept.{ended}"),
            ".out.new.1".to_owned(),
            ".out.new.notes".to_owned(),
            "out".to_owned(),
        ];
        assert_eq!(names(folder.path()), left);
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

    /// Writes a document under this digest, which its content need not match. `folders` are the names and digests of
    /// its folders.
    fn document(out: &Path, digest: Digest, folders: &[(&str, Digest)]) {
        let mut text = format!("{}\n", crate::model::tree::HEADER);
        for (name, digest) in folders {
            text.extend(["folder ", &digest.to_string(), " ", name, "\n"]);
        }
        fs::write(out.join(DOCUMENTS).join(digest.to_string()), text).unwrap();
    }

    #[test]
    fn documents_that_form_a_circle_or_never_end_are_no_build() {
        let folder = tempfile::tempdir().unwrap();
        let documents = folder.path().join(DOCUMENTS);
        fs::create_dir(&documents).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        document(folder.path(), one, &[("a", two), ("b", two)]);
        document(folder.path(), two, &[("a", one), ("b", one)]);
        fs::write(documents.join(ROOT), format!("{one}\n")).unwrap();
        assert!(matches!(built(folder.path()), Err(BuildError::Foreign { .. })));
        // Correct digests can't form a cycle, but a few documents can describe a huge tree: two folders at each of 60
        // levels.
        fs::remove_dir_all(&documents).unwrap();
        fs::create_dir(&documents).unwrap();
        let mut below = Tree::default();
        for _ in 0..60 {
            let text = below.render();
            let digest = Digest::of(text.as_bytes());
            fs::write(documents.join(digest.to_string()), text).unwrap();
            below = Tree::default();
            below
                .entries
                .extend(["a", "b"].map(|name| (name.into(), Entry::Folder(digest))));
        }
        let text = below.render();
        let digest = Digest::of(text.as_bytes());
        fs::write(documents.join(digest.to_string()), text).unwrap();
        fs::write(documents.join(ROOT), format!("{digest}\n")).unwrap();
        assert_eq!(built(folder.path()).unwrap().files, 2);
    }

    #[test]
    fn what_was_put_among_the_documents_or_in_the_place_of_a_file_is_not_deleted() {
        let notes = [
            format!("{DOCUMENTS}/notes"),
            format!("{DOCUMENTS}/{}", Digest::of(b"x")),
        ];
        for what in [&*notes[0], &*notes[1], "404.html"] {
            let folder = tempfile::tempdir().unwrap();
            built(folder.path()).unwrap();
            let at = folder.path().join(what);
            if at.exists() {
                fs::remove_file(&at).unwrap();
                fs::create_dir(&at).unwrap();
            } else {
                fs::write(&at, "kept").unwrap();
            }
            let refused = built(folder.path());
            assert!(
                matches!(&refused, Err(BuildError::Foreign { name, .. }) if name == what),
                "{refused:?}"
            );
            assert!(at.exists());
        }
    }

    #[test]
    fn a_folder_with_other_files_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "x").unwrap();
        assert!(matches!(built(folder.path()), Err(BuildError::Foreign { .. })));
        assert_eq!(names(folder.path()), ["precious"]);
        let file = folder.path().join("precious");
        assert!(matches!(built(&file), Err(BuildError::NotAFolder(_))));
    }
}

//! Checks a store on the disk without the library: everything that `docs/store-format.md` promises for an intact store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything that is reachable from some releases.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Reached {
    pub trees: BTreeSet<String>,
    /// Names of objects, including encodings.
    pub objects: BTreeSet<String>,
    /// Public paths of files in pooled folders, including encodings.
    pub pooled: BTreeSet<String>,
}

/// One line of a manifest.
enum Line {
    File {
        digest: String,
        size: u64,
        br: String,
        gz: String,
    },
    Folder(String),
}

/// Fails unless every release is intact, and `current` is one of them.
#[track_caller]
pub fn assert_whole(docroot: &Path) -> Reached {
    let current = fs::read_link(docroot.join("current")).expect("a live release");
    assert!(current.starts_with("releases"), "{}", current.display());
    let releases = releases(docroot);
    let name = current.file_name().unwrap().to_str().unwrap();
    assert!(releases.contains_key(name), "{name} is live, there are {releases:?}");
    let mut reached = Reached::default();
    for (id, root) in &releases {
        assert!(
            docroot.join("releases").join(format!("{id}.json")).is_file(),
            "{id} has no document"
        );
        walk(docroot, root, "", &mut reached);
    }
    let mut live = Reached::default();
    walk(docroot, &releases[name], "", &mut live);
    for path in &live.pooled {
        // Not always the same inode: content that a dead run left in the pool is used as it is.
        let bytes = |folder: &str| fs::read(docroot.join(folder).join(path)).ok();
        assert!(bytes("immutable") == bytes("current"), "{path} of the pool");
    }
    reached
}

/// Fails unless the store contains only what its releases reach, and nothing is left of any run.
#[track_caller]
pub fn assert_swept(docroot: &Path) {
    let reached = assert_whole(docroot);
    assert_eq!(names(&docroot.join("trees")), reached.trees, "trees");
    assert_eq!(names(&docroot.join("manifests")), reached.trees, "manifests");
    let objects: BTreeSet<String> = names(&docroot.join("objects"))
        .iter()
        .flat_map(|folder| names(&docroot.join("objects").join(folder)))
        .collect();
    assert_eq!(objects, reached.objects, "objects");
    let pool: BTreeSet<String> = super::files_below(&docroot.join("immutable")).into_keys().collect();
    assert_eq!(pool, reached.pooled, "the pool");
    let releases = releases(docroot);
    let documents = names(&docroot.join("releases"));
    for name in documents {
        let id = name.split('.').next().unwrap();
        assert!(releases.contains_key(id), "{name} is of no release");
    }
    assert_idle(docroot);
}

/// Fails unless nothing is left of any run.
#[track_caller]
pub fn assert_idle(docroot: &Path) {
    for folder in ["work", "lock", "stale"] {
        assert_eq!(names(&docroot.join(folder)), BTreeSet::new(), "{folder}/");
    }
}

/// The releases, from ID to root tree.
pub fn releases(docroot: &Path) -> BTreeMap<String, String> {
    let folder = docroot.join("releases");
    names(&folder)
        .into_iter()
        .filter(|name| !name.contains('.'))
        .map(|id| {
            let link = fs::read_link(folder.join(&id)).expect("a symlink");
            let root = link.strip_prefix("../trees").expect("a link to a tree");
            let root = root.to_str().unwrap().to_owned();
            (id, root)
        })
        .collect()
}

#[track_caller]
fn walk(docroot: &Path, digest: &str, path: &str, reached: &mut Reached) {
    reached.trees.insert(digest.to_owned());
    let tree = docroot.join("trees").join(digest);
    let mut expected = BTreeSet::new();
    for (name, line) in manifest(docroot, digest) {
        let public = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}/{name}")
        };
        match line {
            Line::Folder(child) => {
                let link = fs::read_link(tree.join(&name)).unwrap_or_else(|error| panic!("{public}: {error}"));
                assert_eq!(link.to_str(), Some(&*format!("../{child}")), "{public}");
                expected.insert(name);
                walk(docroot, &child, &public, reached);
            }
            Line::File { digest, size, br, gz } => {
                let bytes = fs::read(tree.join(&name)).unwrap_or_else(|error| panic!("{public}: {error}"));
                assert_eq!(bytes.len() as u64, size, "{public}");
                assert_eq!(blake3::hash(&bytes).to_hex().as_str(), digest, "{public}");
                let mut names = vec![(name.clone(), digest.clone(), public.clone())];
                for (coding, recipe) in [("br", br), ("gz", gz)] {
                    let object = format!("{digest}.{coding}{recipe}");
                    // An encoding that would not be smaller is left out.
                    if recipe != "-" && object_path(docroot, &object).exists() {
                        let encoded = fs::read(tree.join(format!("{name}.{coding}"))).unwrap();
                        assert!(decoded(coding, &encoded) == bytes, "{public}.{coding}");
                        names.push((format!("{name}.{coding}"), object, format!("{public}.{coding}")));
                    }
                }
                for (name, object, public) in names {
                    let same = inode(&tree.join(&name)) == inode(&object_path(docroot, &object));
                    assert!(same, "{public} is not its object");
                    if public.starts_with("_next/static/") || public.starts_with("_assets/") {
                        reached.pooled.insert(public);
                    }
                    reached.objects.insert(object);
                    expected.insert(name);
                }
            }
        }
    }
    assert_eq!(names(&tree), expected, "what stands in the tree of {path:?}");
}

fn manifest(docroot: &Path, digest: &str) -> Vec<(String, Line)> {
    let text = fs::read_to_string(docroot.join("manifests").join(digest))
        .unwrap_or_else(|error| panic!("manifest {digest}: {error}"));
    assert_eq!(blake3::hash(text.as_bytes()).to_hex().as_str(), digest);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("syntax-publish tree 1"));
    let line = |line: &str| {
        let (kind, rest) = line.split_once(' ').unwrap();
        if kind == "folder" {
            let (digest, name) = rest.split_once(' ').unwrap();
            return (name.to_owned(), Line::Folder(digest.to_owned()));
        }
        let fields: Vec<&str> = rest.splitn(7, ' ').collect();
        let file = Line::File {
            digest: fields[0].to_owned(),
            size: fields[1].parse().unwrap(),
            br: fields[3].to_owned(),
            gz: fields[4].to_owned(),
        };
        (fields[6].to_owned(), file)
    };
    lines.map(line).collect()
}

fn object_path(docroot: &Path, object: &str) -> std::path::PathBuf {
    docroot.join("objects").join(&object[..2]).join(object)
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .ino()
}

/// The names in a folder.
pub fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Decodes an encoding.
pub fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "br" => {
            brotli::BrotliDecompress(&mut &bytes[..], &mut out).expect("brotli");
        }
        "gz" | "gzip" => {
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
        }
        other => panic!("an unknown coding: {other}"),
    }
    out
}

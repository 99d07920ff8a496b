//! A release on the host that is verified as intact or as damaged, and repaired. Verifying must not make it worse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use syntax_publish::config::{Encode, Level};
use syntax_publish::host::{Connect, Op, SftpAddress, SftpConnector};
use syntax_publish::model::cache::{CacheClass, Classes};
use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::{Coding, Encodings, Recipe};
use syntax_publish::model::manifest::{Input, Site};
use syntax_publish::model::media::media_type;
use syntax_publish::model::path::SitePath;
use syntax_publish::model::release::{Owner, ReleaseId};
use syntax_publish::model::tree::{Entry, File, Tree};
use syntax_publish::site::encode::{self, encodings_for};
use syntax_publish::site::source::{Export, Source};
use syntax_publish::store::Error;
use syntax_publish::store::publish::{Job, Options, Published, Refusals, publish};
use syntax_publish::store::repair::{Repair, Repaired};
use syntax_publish::store::rollback::{self, Destination, rollback};
use syntax_publish::store::session::Session;
use syntax_publish::store::signing::Signing;
use syntax_publish::store::verify::{Depth, StoreFault, Verified, verify};
use tempfile::TempDir;
use walkdir::WalkDir;

use crate::support::command::{open_tempdir, small_export, visitor_state, write};
use crate::support::intercept::Intercept;

/// An export and the store that it is published to.
pub struct Place {
    base: TempDir,
    /// A docroot that is not reached as a local folder.
    served: Option<Served>,
}

struct Served {
    docroot: PathBuf,
    address: SftpAddress,
}

const TOOL: &str = "syntax-publish test";

impl Place {
    fn empty() -> Self {
        let place = Self {
            base: open_tempdir(),
            served: None,
        };
        fs::create_dir(place.export()).unwrap();
        place
    }

    /// A small site with every kind of file that is treated differently.
    pub fn with_site() -> Self {
        let place = Self::empty();
        small_export(&place.export());
        for page in ["deep/er/page.html", "twin/a/same.html", "twin/b/same.html"] {
            place.write(page, page_text(page.rsplit('/').next().unwrap()));
        }
        place.write(
            "_next/static/chunks/long.js",
            "const a = 'matching engine';\n".repeat(200),
        );
        place.write("empty.txt", "");
        let script = "export const given = 'as it came';\n".repeat(100);
        let given = encode::encode(Coding::Brotli, 4, script.as_bytes()).unwrap().unwrap();
        place.write("given.js", &script);
        place.write("given.js.br", &given);
        place
    }

    pub fn export(&self) -> PathBuf {
        self.base.path().join("export")
    }

    pub fn docroot(&self) -> PathBuf {
        match &self.served {
            Some(served) => served.docroot.clone(),
            None => self.base.path().join("docroot"),
        }
    }

    /// The same export, with a docroot on an SSH server.
    pub fn over_sftp(mut self, docroot: &Path, address: SftpAddress) -> Self {
        let docroot = docroot.to_owned();
        self.served = Some(Served { docroot, address });
        self
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(&self.export().join(path), bytes);
    }

    /// A copy of the store and the export, including hard links and times.
    pub fn copy(&self) -> Self {
        let copy = Self {
            base: open_tempdir(),
            served: None,
        };
        for folder in [self.export(), self.docroot()] {
            let copied = Command::new("cp").arg("-a").arg(folder).arg(copy.base.path()).status();
            assert!(copied.unwrap().success());
        }
        copy
    }

    pub fn watched(&self) -> Intercept {
        Intercept::folder(self.docroot())
    }

    pub fn session(&self) -> Session {
        match &self.served {
            Some(served) => session(SftpConnector::new(served.address.clone()).unwrap()),
            None => session(self.watched()),
        }
    }

    pub fn source(&self) -> Arc<dyn Source> {
        Arc::new(Export::new(&self.export()))
    }

    pub fn site(&self) -> Site {
        let export = self.export();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for entry in WalkDir::new(&export) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let path = entry.path().strip_prefix(&export).unwrap().to_str().unwrap().to_owned();
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
        let brought: Vec<String> = files.keys().filter(|path| path.ends_with("js.br")).cloned().collect();
        let levels = Encode {
            brotli: Some(4),
            gzip: Some(4),
        };
        let inputs = files
            .iter()
            .filter(|(path, _)| !brought.contains(path))
            .map(|(path, bytes)| {
                let mut encodings = encodings_for(media_type(path), bytes.len() as u64, levels);
                if let Some(given) = files.get(&format!("{path}.br")) {
                    encodings.set(Coding::Brotli, Some(Recipe::given(Digest::of(given))));
                }
                Input {
                    path: SitePath::new(path).unwrap(),
                    digest: Digest::of(bytes),
                    size: bytes.len() as u64,
                    media_type: media_type(path).into(),
                    encodings,
                }
            });
        Site::new(inputs, &Classes::new("_assets"))
    }

    async fn try_publish(&self, force: bool) -> Result<Published, Error> {
        let (source, site, options) = (self.source(), self.site(), publishing(force));
        publish(&self.session(), Job::new(&source, &site, &options)).await
    }

    pub async fn publish(&self) -> Published {
        self.try_publish(false).await.unwrap()
    }

    pub async fn verify(&self, release: &ReleaseId, depth: Depth) -> Verified {
        verify(&self.session(), release, depth).await.unwrap()
    }

    pub async fn repair(&self, verified: &Verified) -> Repaired {
        let repaired = self.try_repair(&self.session(), verified).await;
        repaired.unwrap()
    }

    async fn try_repair(&self, session: &Session, verified: &Verified) -> Result<Repaired, Error> {
        let repair = Repair {
            session,
            wait: None,
            tool: TOOL,
            signing: &Signing::default(),
        };
        repair.from_export(verified, &self.site(), &self.source()).await
    }

    pub async fn assert_whole(&self, release: &ReleaseId) {
        let verified = self.verify(release, Depth::Deep).await;
        assert_eq!(lines(&verified.faults), Vec::<String>::new());
        assert_eq!(verified.checked, self.files_of(release));
    }

    fn files_of(&self, release: &ReleaseId) -> u64 {
        let document = fs::read_to_string(self.docroot().join(format!("releases/{release}.json"))).unwrap();
        serde_json::from_str::<serde_json::Value>(&document).unwrap()["files"]
            .as_u64()
            .unwrap()
    }

    /// What visitors are served, following links.
    pub fn served(&self) -> BTreeMap<String, String> {
        visitor_state(&self.docroot().join("current"))
    }

    // --- Locations in the store.

    /// The tree that contains a public path.
    fn tree(&self, folder: &str) -> PathBuf {
        fs::canonicalize(self.docroot().join("current").join(folder)).unwrap()
    }

    pub fn live(&self, path: &str) -> PathBuf {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.tree(folder).join(name)
    }

    fn manifest(&self, folder: &str) -> PathBuf {
        self.docroot()
            .join("manifests")
            .join(self.tree(folder).file_name().unwrap())
    }

    pub fn object(&self, path: &str) -> PathBuf {
        let digest = Digest::of(&fs::read(self.export().join(path)).unwrap()).to_string();
        self.docroot().join("objects").join(&digest[..2]).join(digest)
    }

    fn encoded_object(&self, path: &str, ending: &str) -> PathBuf {
        self.object(path).with_extension(ending)
    }

    fn pool(&self, path: &str) -> PathBuf {
        self.docroot().join("immutable").join(path)
    }

    fn release(&self) -> PathBuf {
        self.docroot()
            .join(fs::read_link(self.docroot().join("current")).unwrap())
    }

    fn document(&self) -> PathBuf {
        self.release().with_extension("json")
    }
}

/// The options with which the tests publish.
pub fn publishing(force: bool) -> Options {
    Options {
        refusals: Refusals {
            immutable: Level::Warn,
            ..Refusals::default()
        },
        force,
        ..Options::new(TOOL)
    }
}

pub fn session(connect: impl Connect + 'static) -> Session {
    let owner = Owner {
        who: "somebody@somewhere".to_owned(),
        what: "test".to_owned(),
        since: 0,
        yields: false,
    };
    Session::new(Box::new(connect), owner)
}

fn page_text(title: &str) -> String {
    format!(
        "<!DOCTYPE html><title>{title}</title>{}",
        "<p>An order book.</p>\n".repeat(60)
    )
}

pub fn noise(length: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes());
    blocks.take(length).collect()
}

pub fn lines(faults: &[StoreFault]) -> Vec<String> {
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.path(), fault.problem()))
        .collect()
}

/// Replaces the content at a path without changing other links of the old file.
fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    let beside = path.with_file_name(".new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, path).unwrap();
}

fn flip(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    bytes
}

/// Changes the text of a symlink, or replaces anything else except a folder with a symlink.
fn relink(path: &Path, text: &str) {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir()) {
        fs::remove_file(path).unwrap();
    }
    symlink(text, path).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// One way to damage a store.
pub struct Damage {
    /// A description of the damage.
    pub what: &'static str,
    /// The depth of verification that finds it.
    pub depth: Depth,
    /// A part of the line that reports it.
    pub named: &'static str,
    pub harm: fn(&Place),
}

const fn shallow(what: &'static str, named: &'static str, harm: fn(&Place)) -> Damage {
    Damage {
        what,
        depth: Depth::Shallow,
        named,
        harm,
    }
}

const fn deep(what: &'static str, named: &'static str, harm: fn(&Place)) -> Damage {
    Damage {
        what,
        depth: Depth::Deep,
        named,
        harm,
    }
}

pub const FILES: &[Damage] = &[
    shallow("file gone", "docs/a.html: the file is missing", |place| {
        fs::remove_file(place.live("docs/a.html")).unwrap();
    }),
    shallow(
        "file cut short",
        "docs/a.html: the file has 7 bytes instead of",
        |place| {
            replace(&place.live("docs/a.html"), "cut off");
        },
    ),
    shallow(
        "file cut short for all who share it",
        ": the object has 7 bytes",
        |place| {
            fs::write(place.live("docs/a.html"), "cut off").unwrap();
        },
    ),
    deep(
        "other bytes in a file",
        "docs/a.html: the file has other bytes",
        |place| {
            let path = place.live("docs/a.html");
            replace(&path, flip(&path));
        },
    ),
    deep(
        "other bytes for all who share them",
        "docs/a.html: the file has other bytes",
        |place| {
            let path = place.live("docs/a.html");
            fs::write(&path, flip(&path)).unwrap();
        },
    ),
    deep(
        "other bytes in a large file",
        "large.bin: the file has other bytes",
        |place| {
            let path = place.live("large.bin");
            replace(&path, flip(&path));
        },
    ),
    shallow(
        "file closed to the web server",
        "docs/a.html: the file can't be read by the web server (mode 0600)",
        |place| {
            chmod(&place.live("docs/a.html"), 0o600);
        },
    ),
    shallow(
        "file that others may write",
        "docs/a.html: the file may be written by others (mode 0666)",
        |place| {
            chmod(&place.live("docs/a.html"), 0o666);
        },
    ),
    shallow("symlink for a file", "docs/a.html: the file is a symlink", |place| {
        relink(&place.live("docs/a.html"), "a.txt");
    }),
    shallow("folder for a file", "docs/a.html: the file is a folder", |place| {
        let path = place.live("docs/a.html");
        fs::remove_file(&path).unwrap();
        write(&path.join("inside/it"), "x");
    }),
    shallow(
        "file gone in two folders that are one",
        "same.html: the file is missing",
        |place| {
            fs::remove_file(place.live("twin/b/same.html")).unwrap();
        },
    ),
    shallow("encoding gone", "docs/a.html.br: the br encoding is missing", |place| {
        fs::remove_file(place.live("docs/a.html.br")).unwrap();
    }),
    deep(
        "encoding damaged",
        "docs/a.html.gz: the gzip encoding does not decode to its file",
        |place| {
            let path = place.live("docs/a.html.gz");
            replace(&path, flip(&path));
        },
    ),
    deep(
        "encoding of another page",
        "docs/a.html.br: the br encoding does not decode to its file",
        |place| {
            let other = fs::read(place.live("deep/er/page.html.br")).unwrap();
            replace(&place.live("docs/a.html.br"), other);
        },
    ),
    deep(
        "given encoding made anew",
        "given.js.br: the br encoding does not decode",
        |place| {
            let bytes = fs::read(place.live("given.js")).unwrap();
            let other = encode::encode(Coding::Brotli, 11, &bytes).unwrap().unwrap();
            replace(&place.live("given.js.br"), &other);
        },
    ),
    shallow(
        "given encoding gone everywhere",
        "given.js.br: the br encoding is missing",
        |place| {
            let folder = place.object("given.js").parent().unwrap().to_owned();
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.to_str().unwrap().contains(".brx") {
                    fs::remove_file(path).unwrap();
                }
            }
            fs::remove_file(place.live("given.js.br")).unwrap();
        },
    ),
    shallow(
        "name that was never published",
        "docs/planted.html: was never published",
        |place| {
            fs::write(place.tree("docs").join("planted.html"), "x").unwrap();
        },
    ),
    shallow(
        "folder that was never published",
        "docs/planted: was never published",
        |place| {
            write(&place.tree("docs").join("planted/a/b.html"), "x");
        },
    ),
    shallow(
        "encoding that was never published",
        "robots.txt.gz: was never published",
        |place| {
            fs::write(place.live("robots.txt.gz"), "x").unwrap();
        },
    ),
];

pub const STORE: &[Damage] = &[
    shallow("object gone", ": the object is missing", |place| {
        fs::remove_file(place.object("docs/a.html")).unwrap();
    }),
    shallow("object cut short", ": the object has 3 bytes instead of", |place| {
        replace(&place.object("docs/a.html"), "cut");
    }),
    deep("other bytes in an object", ": the object has other bytes", |place| {
        let path = place.object("docs/a.html");
        replace(&path, flip(&path));
    }),
    shallow("encoded object gone", ".br4v1: the br encoding is missing", |place| {
        fs::remove_file(place.encoded_object("docs/a.html", "br4v1")).unwrap();
    }),
    deep(
        "encoded object damaged",
        ".gz4v1: the gzip encoding does not decode",
        |place| {
            let path = place.encoded_object("docs/a.html", "gz4v1");
            replace(&path, flip(&path));
        },
    ),
    shallow("folder for an object", ": the object is a folder", |place| {
        let path = place.object("docs/a.html");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }),
    shallow(
        "object that others may write",
        ": the object may be written by others (mode 0646)",
        |place| {
            let path = place.object("docs/a.html");
            let bytes = fs::read(&path).unwrap();
            replace(&path, bytes);
            chmod(&path, 0o646);
        },
    ),
    shallow("manifest gone", "the manifest of /docs is missing", |place| {
        fs::remove_file(place.manifest("docs")).unwrap();
    }),
    shallow("manifest damaged", "the manifest of / has other bytes", |place| {
        let path = place.manifest("");
        fs::write(&path, flip(&path)).unwrap();
    }),
    shallow("every manifest gone", "the manifest of /deep/er is missing", |place| {
        for entry in fs::read_dir(place.docroot().join("manifests")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }),
    shallow(
        "folder link gone",
        "docs: the symlink to the folder is missing",
        |place| {
            fs::remove_file(place.tree("").join("docs")).unwrap();
        },
    ),
    shallow(
        "folder link elsewhere",
        "docs: the symlink to the folder leads to",
        |place| {
            let other = format!("../{}", place.tree("deep").file_name().unwrap().to_str().unwrap());
            relink(&place.tree("").join("docs"), &other);
        },
    ),
    shallow(
        "folder for a folder link",
        "docs: the symlink to the folder is a folder",
        |place| {
            let path = place.tree("").join("docs");
            fs::remove_file(&path).unwrap();
            write(&path.join("a.html"), "x");
        },
    ),
    shallow(
        "folder level gone",
        "the folder level of /deep/er is missing",
        |place| {
            fs::remove_dir_all(place.tree("deep/er")).unwrap();
        },
    ),
    shallow(
        "folder level gone with its manifest and all below",
        "the folder level of /deep is missing",
        |place| {
            fs::remove_file(place.manifest("deep")).unwrap();
            fs::remove_file(place.manifest("deep/er")).unwrap();
            let (deep, deeper) = (place.tree("deep"), place.tree("deep/er"));
            fs::remove_dir_all(deep).unwrap();
            fs::remove_dir_all(deeper).unwrap();
        },
    ),
    shallow("top folder gone", "the folder level of / is missing", |place| {
        fs::remove_dir_all(place.tree("")).unwrap();
    }),
    shallow(
        "folder level closed",
        "the folder level of /docs can't be read by the web server (mode 0700)",
        |place| {
            chmod(&place.tree("docs"), 0o700);
        },
    ),
    shallow(
        "file for a folder level",
        "the folder level of /docs is a file",
        |place| {
            let path = place.tree("docs");
            fs::remove_dir_all(&path).unwrap();
            fs::write(&path, "x").unwrap();
        },
    ),
    shallow(
        "pool's file gone",
        "immutable/_next/static/chunks/x.js: the pool's copy is missing",
        |place| {
            fs::remove_file(place.pool("_next/static/chunks/x.js")).unwrap();
        },
    ),
    shallow(
        "pool's file cut short",
        "immutable/_next/static/chunks/x.js: the pool's copy has 1 bytes",
        |place| {
            replace(&place.pool("_next/static/chunks/x.js"), "x");
        },
    ),
    deep(
        "pool's encoding damaged",
        "chunks/long.js.br: the br encoding does not decode",
        |place| {
            let path = place.pool("_next/static/chunks/long.js.br");
            replace(&path, flip(&path));
        },
    ),
    shallow(
        "pool gone",
        "_next/static/chunks/long.js: the pool's copy is missing",
        |place| {
            fs::remove_dir_all(place.pool("_next")).unwrap();
        },
    ),
    shallow(
        "symlink planted in the pool",
        "immutable/_next/static/planted.txt: is a symlink in the pool",
        |place| {
            symlink("/etc/passwd", place.pool("_next/static/planted.txt")).unwrap();
        },
    ),
    shallow(
        "symlink to a folder planted in the pool",
        "immutable/_next/static/chunks/planted: is a symlink in the pool",
        |place| {
            symlink("/etc", place.pool("_next/static/chunks/planted")).unwrap();
        },
    ),
    shallow("release's symlink gone", "the release's symlink is missing", |place| {
        fs::remove_file(place.release()).unwrap();
    }),
    shallow(
        "release's symlink elsewhere",
        "the release's symlink leads to \"../trees\"",
        |place| {
            relink(&place.release(), "../trees");
        },
    ),
    shallow("document gone", ".json: the release's document is missing", |place| {
        fs::remove_file(place.document()).unwrap();
    }),
    shallow(
        "document damaged",
        ".json: the release's document is damaged",
        |place| {
            fs::write(place.document(), "{").unwrap();
        },
    ),
    shallow(
        "document of another site",
        ".json: the release's document names another site",
        |place| {
            let root = Digest::of(b"another").to_string();
            let text = fs::read_to_string(place.document()).unwrap();
            let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
            document["root"] = root.into();
            fs::write(place.document(), document.to_string()).unwrap();
        },
    ),
];

fn without_time(line: &str) -> String {
    line.split(' ')
        .filter(|word| !word.contains('.'))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Damages a healthy store, verifies it, repairs it, and verifies everything again.
async fn check(healthy: &Place, release: &ReleaseId, damage: &Damage) {
    let place = healthy.copy();
    let what = damage.what;
    let before = place.served();
    (damage.harm)(&place);

    let verified = place.verify(release, Depth::Shallow).await;
    if damage.depth == Depth::Deep {
        assert_eq!(
            lines(&verified.faults),
            Vec::<String>::new(),
            "{what}: seen without reading"
        );
    }
    let verified = place.verify(release, damage.depth).await;
    let found = lines(&verified.faults);
    assert!(
        found.iter().any(|line| line.contains(damage.named)),
        "{what}: {found:#?}"
    );

    let repaired = place.repair(&verified).await;
    assert_eq!(
        lines(&repaired.left.faults),
        Vec::<String>::new(),
        "{what}: left after {found:#?}"
    );
    place.assert_whole(release).await;
    let touched: BTreeSet<String> = found
        .iter()
        .map(|line| line.split(": ").next().unwrap().to_owned())
        .collect();
    let rebuilt = found.iter().any(|line| line.contains("the folder level of"));
    let after = place.served();
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>(),
        "{what}"
    );
    for (path, line) in &before {
        let same_bytes_only = rebuilt
            || touched.contains(path)
            || touched
                .iter()
                .any(|t| path.starts_with("twin/") && t.starts_with("twin/"));
        if same_bytes_only {
            assert_eq!(without_time(line), without_time(&after[path]), "{what}: {path}");
        } else {
            assert_eq!(*line, after[path], "{what}: {path}");
        }
    }
    for folder in ["lock", "work", "stale"] {
        let left: Vec<_> = fs::read_dir(place.docroot().join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{what}: {folder} is left with {left:?}");
    }
}

async fn check_all(healthy: Place, damages: &[Damage]) {
    let published = healthy.publish().await;
    healthy.assert_whole(&published.release).await;
    for damage in damages {
        check(&healthy, &published.release, damage).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_of_visitors_are_named_and_repaired() {
    let healthy = Place::with_site();
    // Larger than what is sent and read in one piece.
    healthy.write("large.bin", noise(5 << 20));
    check_all(healthy, FILES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_the_store_itself_is_named_and_repaired() {
    check_all(Place::with_site(), STORE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_an_intact_release_only_reads() {
    let place = Place::with_site();
    let release = place.publish().await.release;
    for depth in [Depth::Shallow, Depth::Deep] {
        let watched = place.watched();
        let verified = verify(&session(watched.clone()), &release, depth).await.unwrap();
        assert_eq!(lines(&verified.faults), Vec::<String>::new());
        assert_eq!(verified.checked, place.site().files);
        assert_eq!(verified.root, Some(place.site().root));
        let ops = watched.ops();
        let reads = |op: &&Op| {
            matches!(
                op,
                Op::Lstat(_) | Op::List(_) | Op::ReadLink(_) | Op::Open(_) | Op::Read { .. } | Op::Close(_)
            )
        };
        assert_eq!(ops.iter().filter(reads).count(), ops.len());
        let opened = ops.iter().filter(|op| matches!(op, Op::Open(_))).count();
        let closed = ops.iter().filter(|op| matches!(op, Op::Close(_))).count();
        assert_eq!(opened, closed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flights_of_a_look_follow_the_depth_of_a_site_and_not_its_size() {
    let mut counts = Vec::new();
    for pages in [3, 120] {
        let place = Place::empty();
        for page in 0..pages {
            place.write(&format!("docs/p{page}/page.html"), format!("page {page}"));
        }
        let release = place.publish().await.release;
        let watched = place.watched();
        verify(&session(watched.clone()), &release, Depth::Shallow)
            .await
            .unwrap();
        counts.push(watched.flights().len());
    }
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_edited_page_leaves_an_intact_release_and_sends_one_page() {
    let place = Place::with_site();
    let first = place.publish().await;
    place.write("docs/a.html", page_text("edited"));
    let second = place.publish().await;
    assert!(second.swapped);
    assert_eq!(second.previous, Some(first.release.clone()));
    assert_eq!(second.sent.objects, 3, "the page, br and gzip");
    assert_eq!(second.changes.list.len(), 1);
    place.assert_whole(&second.release).await;
    place.assert_whole(&first.release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_the_same_site_again_makes_no_release_and_leaves_nothing_behind() {
    let place = Place::with_site();
    let first = place.publish().await;
    let again = place.publish().await;
    assert!(!again.swapped);
    assert_eq!(again.release, first.release);
    assert_eq!(again.sent.objects, 0);
    for folder in ["lock", "work", "stale"] {
        assert_eq!(
            fs::read_dir(place.docroot().join(folder)).unwrap().count(),
            0,
            "{folder}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_releases_are_intact_after_a_rollback() {
    let place = Place::with_site();
    let first = place.publish().await.release;
    let before = place.served();
    place.write("docs/a.html", page_text("edited"));
    place.write("docs/new/b.html", page_text("b"));
    let second = place.publish().await.release;
    let back = rollback(&place.session(), &Destination::Steps(1), &rollback::Options::default())
        .await
        .unwrap();
    assert_eq!((back.release, back.previous), (first.clone(), second.clone()));
    assert_eq!(place.served(), before);
    place.assert_whole(&first).await;
    place.assert_whole(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_the_wrong_size_is_sent_again_when_it_is_needed() {
    let place = Place::with_site();
    place.publish().await;
    let object = place.object("docs/a.html");
    replace(&object, "cut off by a full disk");
    fs::copy(
        place.export().join("docs/a.html"),
        place.export().join("docs/copy.html"),
    )
    .unwrap();
    let second = place.publish().await;
    assert_eq!(second.sent.objects, 1, "its encodings are there");
    assert_eq!(
        fs::read(&object).unwrap(),
        fs::read(place.export().join("docs/a.html")).unwrap()
    );
    place.assert_whole(&second.release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_the_wrong_size_is_sent_again_among_many() {
    let place = Place::with_site();
    place.publish().await;
    replace(&place.object("docs/a.html"), "cut off");
    fs::copy(
        place.export().join("docs/a.html"),
        place.export().join("docs/copy.html"),
    )
    .unwrap();
    for page in 0..150 {
        place.write(&format!("many/{page}.html"), format!("page {page}"));
    }
    let second = place.publish().await;
    assert_eq!(second.sent.objects, 151);
    place.assert_whole(&second.release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_takes_the_bytes_of_the_latest_release_with_their_encodings_alone() {
    let place = Place::empty();
    let path = "_next/static/build/_buildManifest.js";
    place.write("index.html", "home");
    place.write(path, "self.__BUILD_MANIFEST = {};\n".repeat(50));
    place.publish().await;
    assert!(place.pool(&format!("{path}.br")).exists());
    place.write(path, "short");
    let second = place.publish().await.release;
    assert_eq!(fs::read(place.pool(path)).unwrap(), b"short");
    assert!(
        !place.pool(&format!("{path}.br")).exists(),
        "an encoding of other bytes stayed"
    );
    place.assert_whole(&second).await;
    assert_eq!(fs::read_dir(place.docroot().join("stale")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_planted_next_to_another_release_s_file_in_the_pool_is_a_fault() {
    let place = Place::empty();
    let path = "_next/static/build/_buildManifest.js";
    place.write("index.html", "home");
    place.write(path, "self.__BUILD_MANIFEST = {};\n".repeat(50));
    let first = place.publish().await.release;
    place.write(path, "short");
    place.publish().await;
    place.assert_whole(&first).await;
    fs::write(place.pool(&format!("{path}.br")), "planted").unwrap();
    let verified = verify(&place.session(), &first, Depth::Deep).await.unwrap();
    let faults = lines(&verified.faults);
    assert!(
        faults.iter().any(|fault| fault.contains("_buildManifest.js.br")),
        "{faults:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_folders_than_a_server_opens_files_are_published_and_changed() {
    let place = Place::empty();
    for page in 0..700 {
        place.write(&format!("docs/{page}/index.html"), format!("page {page}"));
    }
    let to = session(place.watched().watch(few_open_files()));
    publish(&to, Job::new(&place.source(), &place.site(), &publishing(false)))
        .await
        .unwrap();
    for page in 0..700 {
        place.write(&format!("docs/{page}/index.html"), format!("page {page}, edited"));
    }
    fs::remove_dir_all(place.export().join("docs/699")).unwrap();
    let second = publish(&to, Job::new(&place.source(), &place.site(), &publishing(false)))
        .await
        .unwrap();
    assert_eq!(second.changes.list.len(), 700);
    place.assert_whole(&second.release).await;
}

/// Fails if far more files are open than needed: `sftp-server` allows about 1,000 by default.
fn few_open_files() -> impl Fn(&[Op]) + Send + Sync {
    let open = Mutex::new(0_i32);
    move |ops| {
        let mut open = open.lock().unwrap();
        for op in ops {
            *open += match op {
                Op::Create(_) | Op::Open(_) => 1,
                Op::Close(_) | Op::Finish { .. } => -1,
                _ => 0,
            };
            assert!(*open < 640, "{} files are open", *open);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn same_bytes_with_and_without_a_given_encoding_are_both_published() {
    let place = Place::with_site();
    fs::copy(place.export().join("given.js"), place.export().join("again.js")).unwrap();
    let release = place.publish().await.release;
    place.assert_whole(&release).await;
    assert!(place.live("again.js.br").exists() && place.live("given.js.br").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_publish_of_the_live_site_makes_a_release_and_repairs_it() {
    let place = Place::with_site();
    let first = place.publish().await;
    let before = place.served();
    let page = place.live("docs/a.html");
    replace(&page, flip(&page));
    let forced = place.try_publish(true).await.unwrap();
    assert!(forced.swapped);
    assert_ne!(forced.release, first.release);
    assert_eq!(forced.sent.objects, 1);
    let after = place.served();
    assert_ne!(
        before["docs/a.html"], after["docs/a.html"],
        "a new file has a new time, so readers ask again"
    );
    assert_eq!(
        without_time(&before["docs/a.html"]),
        without_time(&after["docs/a.html"])
    );
    place.assert_whole(&first.release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_publish_of_an_intact_site_sends_nothing() {
    let place = Place::with_site();
    place.publish().await;
    let before = place.served();
    let forced = place.try_publish(true).await.unwrap();
    assert_eq!((forced.swapped, forced.sent.objects), (true, 0));
    assert_eq!(place.served(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_publish_of_another_site_repairs_what_it_took_over() {
    let place = Place::with_site();
    place.publish().await;
    let (page, object) = (place.live("deep/er/page.html"), place.object("deep/er/page.html"));
    fs::write(&object, flip(&page)).unwrap();
    place.write("docs/a.html", page_text("edited"));
    let forced = place.try_publish(true).await.unwrap();
    assert!(forced.swapped);
    place.assert_whole(&forced.release).await;
    assert_eq!(
        fs::read(&page).unwrap(),
        fs::read(place.export().join("deep/er/page.html")).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_site_does_not_have_is_left_alone_and_named() {
    let place = Place::with_site();
    let first = place.publish().await.release;
    let page = place.live("docs/a.html");
    place.write("docs/a.html", page_text("edited"));
    place.publish().await;
    fs::write(&page, flip(&page)).unwrap();
    let verified = place.verify(&first, Depth::Deep).await;
    let repaired = place.repair(&verified).await;
    assert_eq!(lines(&repaired.left.faults), lines(&verified.faults));
    assert_eq!((repaired.count, repaired.sent.objects), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn repairing_stops_when_another_release_goes_live() {
    let place = Place::with_site();
    let release = place.publish().await.release;
    let page = place.live("docs/a.html");
    replace(&page, "damaged");
    let verified = place.verify(&release, Depth::Shallow).await;
    let current = place.docroot().join("current");
    let watched = place.watched().watch(move |ops| {
        if ops.iter().any(|op| matches!(op, Op::Rename { to, .. } if to == "lock")) {
            relink(&current, "releases/20990101-000000-abcdef");
        }
    });
    let stopped = place.try_repair(&session(watched), &verified).await;
    assert!(matches!(stopped, Err(Error::ConcurrentPublish { .. })), "{stopped:?}");
    assert_eq!(fs::read(&page).unwrap(), b"damaged");
    assert_eq!(fs::read_dir(place.docroot().join("lock")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_trees_that_claim_to_have_millions_of_files_are_not_followed() {
    let place = Place::with_site();
    let release = place.publish().await.release;
    let docroot = place.docroot();
    let put = |tree: &Tree| {
        let text = tree.render();
        let digest = Digest::of(text.as_bytes());
        write(&docroot.join(format!("manifests/{digest}")), text);
        fs::create_dir_all(docroot.join(format!("trees/{digest}"))).unwrap();
        digest
    };
    let mut tree = Tree::default();
    for number in 100..300 {
        let file = File {
            digest: Digest::of(b"x"),
            size: 1,
            cache: CacheClass::Revalidate,
            encodings: Encodings::default(),
            media_type: "text/plain".into(),
        };
        tree.entries.insert(format!("{number}.txt").into(), Entry::File(file));
    }
    let mut digest = put(&tree);
    for _ in 0..16 {
        let mut above = Tree::default();
        for name in ["a", "b"] {
            above.entries.insert(name.into(), Entry::Folder(digest));
        }
        digest = put(&above);
    }
    relink(&place.release(), &format!("../trees/{digest}"));
    for depth in [Depth::Shallow, Depth::Deep] {
        let refused = verify(&place.session(), &release, depth).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("more folders or files than any web server"), "{text}");
    }
}

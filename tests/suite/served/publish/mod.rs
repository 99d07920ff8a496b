//! Complete publishes on real hosts: the command, OpenSSH, nginx, and what is on the disk afterwards.

mod commands;
mod finished;
mod interrupts;
mod odd;
mod pruned;
mod served;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::command::{Project, Ran, Running, open_tempdir, visitor_state};
use crate::support::export::{copy, files_below};
use crate::support::sshd::{Jail, Sshd};

/// The page that the tests edit, three folders deep.
const PAGE: &str = "docs/guides/orders/stop.html";

/// Fast compression levels, and files left as they are in the export. Most tests are about the store, and compare the
/// store with the export. Changes that the tool makes to an export are tested in `finished`.
const FAST: &str = "[encode]\nbrotli = 4\ngzip = 4\n[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n";

/// Fast compression levels, and defaults for everything else.
const FINISHED: &str = "[encode]\nbrotli = 4\ngzip = 4\n";

/// The kinds of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Local,
    Sftp(Jail),
}

impl Kind {
    /// Every kind that this machine supports.
    fn all() -> Vec<Kind> {
        let sftp = Jail::all_usable().into_iter().map(Kind::Sftp);
        [Kind::Local].into_iter().chain(sftp).collect()
    }
}

/// A project with an export, and the host that it is published to.
struct World {
    project: Project,
    host: Host,
}

enum Host {
    Local {
        docroot: PathBuf,
        _folder: tempfile::TempDir,
    },
    Sftp(Sshd),
}

impl World {
    /// The committed export and an empty host.
    fn new(kind: Kind) -> World {
        let world = World::empty(kind);
        copy(&committed_export(), &world.export());
        world
    }

    /// An empty host, and no export yet.
    fn empty(kind: Kind) -> World {
        let host = match kind {
            Kind::Local => {
                let folder = open_tempdir();
                Host::Local {
                    docroot: folder.path().canonicalize().unwrap().join("site"),
                    _folder: folder,
                }
            }
            Kind::Sftp(jail) => Host::Sftp(Sshd::start(jail)),
        };
        let world = World {
            project: Project::new(),
            host,
        };
        world.set("", FAST);
        world
    }

    /// Writes the site manifest, with additional lines in `[publish]` and additional tables at the end.
    fn set(&self, publish: &str, tables: &str) {
        let port = match &self.host {
            Host::Local { .. } => 0,
            Host::Sftp(sshd) => sshd.port,
        };
        self.project.write_manifest(&self.manifest(port, publish, tables));
    }

    /// A site manifest for this host, reached through a port.
    fn manifest(&self, port: u16, publish: &str, tables: &str) -> String {
        let target = match &self.host {
            Host::Local { docroot, .. } => format!("kind = \"local\"\ndocroot = \"{}\"\n", docroot.display()),
            Host::Sftp(sshd) => format!(
                "kind = \"sftp\"\nhost = \"127.0.0.1\"\nuser = \"{}\"\nport = {port}\n\
                 identity = \"{}\"\nhost-key = \"{}\"\ndocroot = \"{}\"\n",
                sshd.user,
                sshd.identity.display(),
                sshd.host_key,
                sshd.remote_docroot,
            ),
        };
        format!(
            "[site]\nname = \"demo\"\nurl = \"https://localhost\"\nexport = \"export\"\n\
             [publish]\ntarget = \"here\"\n{publish}\n[targets.here]\n{target}\n\
             [verify]\norigin = false\npublic = false\n{tables}"
        )
    }

    fn export(&self) -> PathBuf {
        self.project.dir.join("export")
    }

    /// The docroot on the disk.
    fn docroot(&self) -> &Path {
        match &self.host {
            Host::Local { docroot, .. } => docroot,
            Host::Sftp(sshd) => &sshd.docroot,
        }
    }

    fn sshd(&self) -> &Sshd {
        match &self.host {
            Host::Local { .. } => panic!("a local target has no server"),
            Host::Sftp(sshd) => sshd,
        }
    }

    /// Runs a command with `--json` until it ends.
    fn run(&self, args: &[&str]) -> Ran {
        self.project.run(&[args, &["--json"]].concat())
    }

    /// Starts a command with `--json`.
    fn start(&self, args: &[&str]) -> Running {
        self.project.spawn(&[args, &["--json"]].concat())
    }

    /// The JSON output of a command that must succeed.
    #[track_caller]
    fn ask(&self, args: &[&str]) -> Value {
        self.run(args).expect_code(0).json()
    }

    /// Publishes and returns the release.
    #[track_caller]
    fn publish(&self) -> String {
        text(&self.ask(&["publish"])["release"])
    }

    /// Overwrites the end of a page's title with `word`. The page keeps its length.
    fn edit(&self, page: &str, word: &str) {
        let path = self.export().join(page);
        let html = fs::read_to_string(&path).unwrap();
        let at = html.find("</title>").expect("a title") - word.len();
        let edited = format!("{}{word}{}", &html[..at], &html[at + word.len()..]);
        assert_ne!(edited, html, "the word is there already");
        fs::write(path, edited).unwrap();
    }

    /// The folder that is live now, resolved, so that a swap while it is read makes no difference.
    fn current(&self) -> PathBuf {
        let current = self.docroot().join("current");
        current.canonicalize().expect("a live release")
    }

    /// Everything that visitors see, including times.
    fn live(&self) -> BTreeMap<String, String> {
        visitor_state(&self.current())
    }

    /// The content of every public file, without encodings.
    fn live_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = files_below(&self.current());
        let encoded: Vec<String> = files
            .keys()
            .filter(|path| {
                let stem = path.strip_suffix(".br").or_else(|| path.strip_suffix(".gz"));
                stem.is_some_and(|stem| files.contains_key(stem))
            })
            .cloned()
            .collect();
        files.retain(|path, _| !encoded.contains(path));
        files
    }

    /// Fails unless the live site is this export, and the store is intact according to `verify` and to [`store`].
    #[track_caller]
    fn assert_live(&self, export: &BTreeMap<String, Vec<u8>>) {
        assert!(
            self.live_files() == *export,
            "the live site is another: {:?}",
            differing(&self.live_files(), export)
        );
        self.assert_whole();
    }

    #[track_caller]
    fn assert_whole(&self) {
        store::assert_whole(self.docroot());
        let verified = self.ask(&["verify", "--deep"]);
        assert_eq!(verified["ok"], true, "{verified:#}");
        assert_eq!(verified["problems"], serde_json::json!([]));
    }

    /// The IDs of the releases, newest first.
    #[track_caller]
    fn releases(&self) -> Vec<String> {
        let releases = self.ask(&["releases"]);
        releases
            .as_array()
            .unwrap()
            .iter()
            .map(|release| text(&release["id"]))
            .collect()
    }
}

/// The export that is committed to the repository.
fn committed_export() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/export")
}

/// Paths that only one of the maps has, or that differ.
fn differing(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let all = a.keys().chain(b.keys());
    let mut paths: Vec<String> = all.filter(|path| a.get(*path) != b.get(*path)).cloned().collect();
    paths.dedup();
    paths.truncate(20);
    paths
}

/// The text of a JSON string.
#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a string, not {value}"))
        .to_owned()
}

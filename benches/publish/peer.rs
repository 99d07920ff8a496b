//! The usual alternatives: a site that is encoded beforehand, and a host with a shell; rsync, tar and a symlink that is
//! moved on the host. The programs that speak SFTP are in `tool.rs`.
//!
//! The peer gets its best case. Its files keep their times, so that rsync compares only times and sizes; ssh
//! compresses; nothing is synced to the disk at the end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::discard::discard;
use crate::measure::{self, Watch, command};
use crate::ours::{Levels, RTT, lossy};
use crate::site::{self, Size};
use crate::support::command::open_tempdir;
use crate::support::delay::DelayProxy;
use crate::support::sshd::{Jail, Sshd, is_root};
use tempfile::TempDir;

/// The size of the largest site that every tool is measured on.
pub const ALL_TOOLS: usize = 10_000;

/// A site with its encodings next to it, and a host with a shell.
///
/// The host has releases, the first of which is live, and one folder that is served in place. All tools that write in
/// place share that folder: what an edit replaced is restored before the next tool runs.
pub struct Peer {
    /// The seconds that encoding the site took.
    pub encoding: f64,
    /// The number of files of the site, including encodings.
    pub files: usize,
    pub tree: PathBuf,
    pub user: String,
    size: Size,
    levels: Levels,
    sshd: Sshd,
    far: DelayProxy,
    releases: usize,
    /// The paths of the last edit, relative to both trees; `before` is the tree with their previous content.
    edited: Vec<PathBuf>,
    before: PathBuf,
    _folder: TempDir,
}

/// The measurements of one transfer.
pub struct Moved {
    pub seconds: f64,
    pub sent: f64,
    pub received: f64,
}

impl Peer {
    /// Writes the site, encodes all of it and puts it on the host, over the near line.
    pub fn new(size: Size, levels: Levels) -> Peer {
        let user = if is_root() { "root" } else { "" };
        // In sshd_config the first value wins, and `none` means no forced command. The AllowUsers lines add up.
        let allowed = if user.is_empty() {
            String::new()
        } else {
            format!("AllowUsers {user}\nPermitRootLogin prohibit-password\n")
        };
        let sshd = Sshd::start_with(Jail::Plain, &format!("ForceCommand none\n{allowed}"));
        let folder = open_tempdir();
        let tree = folder.path().join("site");
        site::write(&tree, size);
        let encoding = encode_all(&tree, levels);
        let peer = Peer {
            encoding,
            files: count_files(&tree),
            tree,
            size,
            levels,
            far: DelayProxy::start(sshd.port, RTT),
            user: if user.is_empty() {
                sshd.user.clone()
            } else {
                user.to_owned()
            },
            sshd,
            releases: 0,
            edited: Vec::new(),
            before: folder.path().join("before"),
            _folder: folder,
        };
        let root = peer.root();
        fs::create_dir_all(root.join("releases")).expect("a folder on the host");
        // The result of a first run of any of the tools: the same files with the same times. The files of a release are
        // never written to.
        for folder in ["releases/0", "in-place"] {
            // Above ALL_TOOLS only rsync takes part. It never writes into an existing file, so the files can be hard
            // links.
            let how = if size.pages > ALL_TOOLS { "-al" } else { "-a" };
            let mut copy = command("cp", [how, "--"]);
            copy.arg(&peer.tree).arg(root.join(folder));
            measure::run(copy, Watch::Time);
        }
        symlink("releases/0", root.join("current")).expect("a link on the host");
        peer
    }

    /// Writes a page again, with its encodings, and keeps the previous files.
    pub fn edit(&mut self, number: usize, revision: usize) {
        if self.before.exists() {
            fs::remove_dir_all(&self.before).expect("a folder to remove");
        }
        let copy = self.before.with_file_name("scratch");
        // A page is a function of its number and revision. This copy only shows which files the page has.
        let paths = site::edit_in_sections(&copy, number, revision, self.size.a_section());
        fs::remove_dir_all(copy).expect("a folder to remove");
        let with_encodings = paths
            .iter()
            .flat_map(|path| ["", ".br", ".gz"].map(|end| PathBuf::from(format!("{path}{end}"))));
        self.edited = with_encodings.filter(|path| self.tree.join(path).exists()).collect();
        for path in &self.edited {
            copy_with_times(&self.tree.join(path), &self.before.join(path));
        }
        // These files may have other hard links, so they are removed and created again.
        for path in &self.edited {
            fs::remove_file(self.tree.join(path)).expect("a file to remove");
        }
        for path in site::edit_in_sections(&self.tree, number, revision, self.size.a_section()) {
            for (program, args) in encoders(self.levels) {
                let mut encode = command(program, args);
                encode.args(["-f", "-k"]).arg(self.tree.join(&path));
                measure::run(encode, Watch::Time);
            }
        }
    }

    /// Panics unless the edited files on the host are the same as the local ones.
    pub fn check(&self, folder: &str) {
        let there = self.root().join(folder);
        for path in &self.edited {
            let files = [&self.tree, &there].map(|tree| fs::read(tree.join(path)).expect("a file of the site"));
            assert!(
                files[0] == files[1],
                "{} of {folder} is what was edited",
                path.display()
            );
        }
    }

    /// Restores the folder that is served in place to its state before the edit.
    pub fn put_back(&self) {
        for path in &self.edited {
            copy_with_times(&self.before.join(path), &self.root().join("in-place").join(path));
        }
    }

    /// Applies the edit to the folder that is served in place, for the next edit.
    pub fn put_forward(&self) {
        for path in &self.edited {
            copy_with_times(&self.tree.join(path), &self.root().join("in-place").join(path));
        }
    }

    /// Makes a new release next to the last one, with hard links to it, and then swaps: two connections.
    pub fn release(&mut self) -> Moved {
        let link = format!("--link-dest=../{}", self.releases);
        self.releases += 1;
        let folder = format!("releases/{}", self.releases);
        let port = self.far.port;
        let sync = self.far(self.rsync(port, &folder, &[&link]));
        let swap = self.far(self.ssh(port, &self.swap(&self.releases.to_string())));
        let now = fs::read_link(self.root().join("current")).expect("the current release");
        assert_eq!(now, Path::new(&folder), "the release is live");
        self.check("current");
        Moved {
            seconds: sync.seconds + swap.seconds,
            sent: sync.sent + swap.sent,
            received: sync.received + swap.received,
        }
    }

    /// Sends the complete site through a pipe into a new release and swaps, in one connection.
    pub fn tar(&self) -> Moved {
        let root = self.root();
        let unpack = format!(
            "mkdir {root}/releases/tar && tar -xf - -C {root}/releases/tar && {}",
            self.swap("tar"),
            root = root.display(),
        );
        let mut shell = command("sh", ["-c", "tar -cf - -C \"$0\" . | \"$@\""]);
        let ssh = self.ssh(self.far.port, &unpack);
        shell.arg(&self.tree).arg(ssh.get_program()).args(ssh.get_args());
        let moved = self.far(shell);
        self.check("current");
        measure::run(
            self.ssh(self.sshd.port, &self.swap(&self.releases.to_string())),
            Watch::Time,
        );
        discard(&root.join("releases/tar"));
        moved
    }

    /// Sends the site into the folder that is being served: visitors see a mixture, and there is no rollback.
    pub fn in_place(&self) -> Moved {
        self.far(self.rsync(self.far.port, "in-place", &["--delete"]))
    }

    /// Opens a connection that does nothing.
    pub fn connect(&self) -> Moved {
        self.far(self.ssh(self.far.port, "true"))
    }

    /// Returns the port of the far line.
    pub fn port(&self) -> u16 {
        self.far.port
    }

    /// Returns the private key of the account.
    pub fn identity(&self) -> &Path {
        &self.sshd.identity
    }

    /// Returns the folder on the host that is served in place.
    pub fn served(&self) -> PathBuf {
        self.root().join("in-place")
    }

    /// Measures a program that uses the far line.
    pub fn far(&self, command: Command) -> Moved {
        let before = (self.far.bytes_up(), self.far.bytes_down());
        let ran = measure::run(command, Watch::Time);
        Moved {
            seconds: ran.seconds,
            sent: lossy(self.far.bytes_up() - before.0),
            received: lossy(self.far.bytes_down() - before.1),
        }
    }

    fn root(&self) -> PathBuf {
        self.sshd.root.join("peer")
    }

    fn swap(&self, release: &str) -> String {
        let root = self.root();
        let root = root.display();
        format!("ln -sfn releases/{release} {root}/next && mv -T {root}/next {root}/current")
    }

    fn rsync(&self, port: u16, folder: &str, more: &[&str]) -> Command {
        let mut rsync = command("rsync", ["-a"]);
        rsync
            .args(more)
            .args(["-e", &format!("ssh {}", self.ssh_options(port).join(" "))])
            .arg(format!("{}/", self.tree.display()))
            .arg(format!("{}@127.0.0.1:{}/{folder}/", self.user, self.root().display()));
        rsync
    }

    fn ssh(&self, port: u16, line: &str) -> Command {
        let mut ssh = command("ssh", self.ssh_options(port));
        ssh.args(["-l", &self.user, "--", "127.0.0.1", line]);
        ssh
    }

    /// Returns the options for ssh. No file of the user's is read, and the host's key is looked up under the host's own
    /// port.
    pub fn ssh_options(&self, port: u16) -> Vec<String> {
        let options = [
            format!("HostKeyAlias=[127.0.0.1]:{}", self.sshd.port),
            format!("UserKnownHostsFile={}", self.sshd.known_hosts.display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
            "Compression=yes".to_owned(),
        ];
        let mut line = vec!["-F".to_owned(), "/dev/null".to_owned()];
        line.extend(["-i".to_owned(), self.sshd.identity.display().to_string()]);
        line.extend(["-o".to_owned(), format!("Port={port}")]);
        line.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        line
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        discard(&self.tree);
        discard(&self.root());
    }
}

fn copy_with_times(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a file in a folder")).expect("a folder");
    let mut copy = command("cp", ["-a", "--remove-destination", "--"]);
    copy.arg(from).arg(to);
    assert!(copy.status().expect("cp").success(), "{} can be copied", from.display());
}

fn count_files(tree: &Path) -> usize {
    let entries = walkdir::WalkDir::new(tree).into_iter();
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_type().is_file()))
        .count()
}

/// Returns the encoders with their levels; brotli also with the window size that decoders have memory for.
pub fn encoders(levels: Levels) -> [(&'static str, Vec<String>); 2] {
    let brotli = [
        "-q".to_owned(),
        levels.brotli.to_string(),
        "-w".to_owned(),
        "22".to_owned(),
    ];
    // gzip skips a file with two hard links unless it is forced.
    let gzip = ["-f".to_owned(), format!("-{}", levels.gzip)];
    [("brotli", brotli.to_vec()), ("gzip", gzip.to_vec())]
}

/// Runs an encoder over all files of a site that are worth encoding, on all cores. Returns the seconds.
pub fn encode(tree: &Path, program: &str, args: &[String]) -> f64 {
    let line = format!(
        "find . -type f -size +511c ! -name '*.br' ! -name '*.gz' -print0 | xargs -0 -n 64 -P {} {program} {}",
        cores(),
        args.join(" "),
    );
    let mut shell = command("sh", ["-c", &line]);
    shell.current_dir(tree);
    measure::run(shell, Watch::Time).seconds
}

fn encode_all(tree: &Path, levels: Levels) -> f64 {
    let encoders = encoders(levels).into_iter();
    encoders
        .map(|(program, mut args)| {
            args.push("-k".to_owned());
            encode(tree, program, &args)
        })
        .sum()
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

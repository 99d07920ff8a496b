//! What people use instead: a site encoded beforehand, rsync over ssh to a host with a shell, and a symlink moved there.
//!
//! The peer is given its best case. Its files keep their times, so that rsync looks at nothing but times and sizes; ssh
//! compresses; nothing is synced to the disk at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{self, Watch, command};
use crate::ours::{Levels, RTT, lossy};
use crate::site::{self, Size};
use crate::support::command::open_tempdir;
use crate::support::delay::DelayProxy;
use crate::support::sshd::{Jail, Sshd, is_root};
use tempfile::TempDir;

/// A site with its encodings beside it, and a host with a shell.
pub struct Peer {
    /// How long it took to encode the site.
    pub encoding: f64,
    tree: PathBuf,
    levels: Levels,
    sshd: Sshd,
    far: DelayProxy,
    user: String,
    releases: usize,
    _folder: TempDir,
}

/// One way there and back.
pub struct Moved {
    pub seconds: f64,
    pub sent: f64,
    pub received: f64,
}

impl Peer {
    /// Writes the site, encodes all of it, and puts it on the host, over the near way.
    pub fn new(size: Size, levels: Levels) -> Peer {
        let user = if is_root() { "root" } else { "" };
        // The first value wins: none means no forced command. The users add up.
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
            tree,
            levels,
            far: DelayProxy::start(sshd.port, RTT),
            user: if user.is_empty() {
                sshd.user.clone()
            } else {
                user.to_owned()
            },
            sshd,
            releases: 0,
            _folder: folder,
        };
        let root = peer.root();
        for folder in ["releases", "in-place"] {
            fs::create_dir_all(root.join(folder)).expect("a folder on the host");
        }
        let near = peer.sshd.port;
        measure::run(peer.rsync(near, "releases/0", &[]), Watch::Time);
        measure::run(peer.rsync(near, "in-place", &[]), Watch::Time);
        measure::run(peer.ssh(near, &peer.swap(0)), Watch::Time);
        peer
    }

    /// Writes a page anew, with its encodings.
    pub fn edit(&self, number: usize, revision: usize) {
        for path in site::edit(&self.tree, number, revision) {
            for (program, args) in encoders(self.levels) {
                let mut encode = command(program, args);
                encode.args(["-f", "-k"]).arg(self.tree.join(&path));
                measure::run(encode, Watch::Time);
            }
        }
    }

    /// A new release beside the last one, linked to it, and then the swap: two connections.
    pub fn release(&mut self) -> Moved {
        let link = format!("--link-dest=../{}", self.releases);
        self.releases += 1;
        let folder = format!("releases/{}", self.releases);
        let port = self.far.port;
        let sync = self.far(self.rsync(port, &folder, &[&link]));
        let swap = self.far(self.ssh(port, &self.swap(self.releases)));
        let now = fs::read_link(self.root().join("current")).expect("the current release");
        assert_eq!(now, Path::new(&folder), "the release is live");
        Moved {
            seconds: sync.seconds + swap.seconds,
            sent: sync.sent + swap.sent,
            received: sync.received + swap.received,
        }
    }

    /// The same into the folder that is being served: visitors see a mixture, and there is no way back.
    pub fn in_place(&self) -> Moved {
        self.far(self.rsync(self.far.port, "in-place", &["--delete"]))
    }

    /// A connection that does nothing.
    pub fn connect(&self) -> Moved {
        self.far(self.ssh(self.far.port, "true"))
    }

    fn far(&self, command: Command) -> Moved {
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

    fn swap(&self, release: usize) -> String {
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

    /// No file of the user's is read; the host's key is known by the name that its own port gave it.
    fn ssh_options(&self, port: u16) -> Vec<String> {
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
        line.extend(["-p".to_owned(), port.to_string()]);
        line.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        line
    }
}

/// The encoders with their levels, and the window that readers of brotli have memory for.
pub fn encoders(levels: Levels) -> [(&'static str, Vec<String>); 2] {
    let brotli = [
        "-q".to_owned(),
        levels.brotli.to_string(),
        "-w".to_owned(),
        "22".to_owned(),
    ];
    // gzip leaves a file with two names alone unless it is forced.
    let gzip = ["-f".to_owned(), format!("-{}", levels.gzip)];
    [("brotli", brotli.to_vec()), ("gzip", gzip.to_vec())]
}

/// Runs an encoder over all files of a site that are worth it, on all cores. Returns the seconds.
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

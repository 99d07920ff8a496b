//! The programs that a user would choose instead, each with its best flags. docs/benchmarks.md explains the choice of
//! flags.

use std::fs;
use std::process::Command;

use crate::measure::command;
use crate::peer::{Moved, Peer};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Release,
    InPlace,
    Rclone,
    Lftp,
    Sftp,
    Tar,
}

pub const TOOLS: [Tool; 6] = [
    Tool::Release,
    Tool::InPlace,
    Tool::Rclone,
    Tool::Lftp,
    Tool::Sftp,
    Tool::Tar,
];

impl Tool {
    /// Returns its name in a plot.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Release => "rsync --link-dest",
            Tool::InPlace => "rsync in place",
            Tool::Rclone => "rclone sync",
            Tool::Lftp => "lftp mirror -R",
            Tool::Sftp => "sftp -b",
            Tool::Tar => "tar over ssh",
        }
    }

    /// Describes it in a line of the table.
    pub fn what(self) -> &'static str {
        match self {
            Tool::Release => "rsync --link-dest, then mv -T over ssh",
            Tool::InPlace => "rsync in place (not atomic)",
            Tool::Rclone => "rclone sync over SFTP (not atomic)",
            Tool::Lftp => "lftp mirror -R over SFTP (not atomic)",
            Tool::Sftp => "sftp -b, put -R of everything (not atomic)",
            Tool::Tar => "tar over ssh of everything, then mv -T",
        }
    }

    pub fn installed(self) -> bool {
        let program = match self {
            Tool::Release | Tool::InPlace => "rsync",
            Tool::Rclone => "rclone",
            Tool::Lftp => "lftp",
            Tool::Tar => "tar",
            // sftp has no option that does nothing and exits with success, but it is enough that the program can be
            // started.
            Tool::Sftp => "sftp",
        };
        Command::new(program).arg("--version").output().is_ok()
    }

    /// Returns whether its time grows with the size of the site: with each file, or with the round trips of each
    /// folder.
    pub fn grows(self) -> bool {
        !matches!(self, Tool::Release | Tool::InPlace)
    }

    /// Brings the edited files to the host.
    pub fn run(self, peer: &mut Peer) -> Moved {
        let moved = match self {
            Tool::Release => return peer.release(),
            Tool::Tar => return peer.tar(),
            Tool::InPlace => peer.in_place(),
            Tool::Rclone => peer.far(rclone(peer)),
            Tool::Lftp => peer.far(lftp(peer)),
            Tool::Sftp => peer.far(sftp(peer)),
        };
        peer.check("in-place");
        peer.put_back();
        moved
    }
}

/// Runs rclone, which compares times and sizes, as rsync does. It does not probe the shell's features and hashes
/// nothing on the host.
fn rclone(peer: &Peer) -> Command {
    let mut rclone = command("rclone", ["sync", "--config", "/dev/null", "--checkers", "32"]);
    rclone
        .args([
            "--transfers",
            "16",
            "--sftp-concurrency",
            "64",
            "--sftp-shell-type",
            "none",
        ])
        .args(["--sftp-disable-hashcheck", "--sftp-host", "127.0.0.1", "--sftp-user"])
        .arg(&peer.user)
        .args(["--sftp-port", &peer.port().to_string(), "--sftp-key-file"])
        .arg(peer.identity())
        .arg(&peer.tree)
        .arg(format!(":sftp:{}", peer.served().display()));
    rclone
}

/// Runs lftp with eight files and folders in parallel, more packets in flight than by default, and the same ssh as the
/// others.
fn lftp(peer: &Peer) -> Command {
    // lftp itself adds -p with the port, and -l with the user.
    let ssh = peer.ssh_options(peer.port()).join(" ");
    command(
        "lftp",
        [
            "--norc".to_owned(),
            "-c".to_owned(),
            format!(
                "set sftp:connect-program \"ssh -a -x {ssh}\"; set sftp:max-packets-in-flight 64; \
                 set cmd:fail-exit yes; set net:max-retries 1; set mirror:parallel-directories yes; \
                 open -u {user}, sftp://127.0.0.1:{port}; mirror -R --delete --parallel=8 --no-perms {tree}/ {to}/",
                user = peer.user,
                port = peer.port(),
                tree = peer.tree.display(),
                to = peer.served().display(),
            ),
        ],
    )
}

/// Runs an sftp batch. A batch cannot tell what has changed, so it puts everything.
fn sftp(peer: &Peer) -> Command {
    let batch = peer.tree.with_file_name("batch");
    let lines = format!(
        "lcd {}\ncd {}\nput -pR *\n",
        peer.tree.display(),
        peer.served().display()
    );
    fs::write(&batch, lines).expect("a batch to be written");
    let mut sftp = command("sftp", peer.ssh_options(peer.port()));
    sftp.args(["-q", "-R", "256", "-b"])
        .arg(batch)
        .arg(format!("{}@127.0.0.1", peer.user));
    sftp
}

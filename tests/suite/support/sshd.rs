//! A real OpenSSH server on a free port of 127.0.0.1 that speaks SFTP and nothing else, like the host that the project
//! expects: one without a shell.
//!
//! As root, it serves the system user `syntax-publish-test`, which `tests/run` creates. Otherwise it serves the user
//! who runs the tests, who can't be put into a chroot: check [`Jail::usable`] first, or use [`Jail::all_usable`].
//!
//! Observed behavior of `internal-sftp -P` in OpenSSH 9.2: names are those of `sftp-server -Q requests` (`hardlink`,
//! without `@openssh.com`; unknown names are silently ignored). A denied *extension* is no longer advertised. A denied
//! request of the protocol itself (`symlink`) answers "permission denied" when it is used.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::command::open_tempdir_in;

/// The user that the server serves when root runs the tests.
pub const USER: &str = "syntax-publish-test";

/// Another user, for files that do not belong to [`USER`].
pub const OTHER_USER: &str = "syntax-publish-other";

/// A user with a shell, whose key has too many privileges.
pub const SHELL_USER: &str = "syntax-publish-shell";

const SSHD: &str = "/usr/sbin/sshd";

/// How long the server may take to listen, or its processes to end.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);

/// How much of the disk a session sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jail {
    /// All of it.
    Plain,
    /// A folder that belongs to root. A folder in it belongs to the user and contains the docroots.
    Chroot,
}

/// A running server. Dropping it ends all its processes and removes its folders.
pub struct Sshd {
    pub port: u16,
    pub user: String,
    /// The private key that opens the server.
    pub identity: PathBuf,
    /// `ssh-ed25519 AAAA…`, without a comment.
    pub host_key: String,
    /// Contains the server's key under `[127.0.0.1]:port`.
    pub known_hosts: PathBuf,
    /// The folder on disk that belongs to the user and contains docroots.
    pub root: PathBuf,
    /// A docroot on disk. It does not exist yet, but its parent does.
    pub docroot: PathBuf,
    /// The same docroot as SFTP sees it.
    pub remote_docroot: String,
    /// What a session sees as `/`. It belongs to root.
    pub jail: Option<PathBuf>,
    base: TempDir,
    listener: Option<Child>,
}

/// What a server offers, if that is not simply everything.
#[derive(Clone, Copy, Default)]
pub struct Offer<'a> {
    /// Lines for the beginning of `sshd_config`. The first value of a keyword wins, but values of some keywords, such
    /// as `AllowUsers`, add up.
    pub extra_config: &'a str,
    /// Requests to deny, as an extension (`hardlink@openssh.com`) or by name (`symlink`).
    pub deny: &'a [&'a str],
    /// The umask of the sessions (`0077`).
    pub umask: Option<&'a str>,
    pub sftp: Sftp,
    /// The part of `sshd_config` about the account, as docs/host-setup.md prints it. It replaces the usual
    /// configuration.
    pub account: Option<&'a str>,
    /// Another user than [`USER`], if root runs the tests.
    pub user: Option<&'a str>,
    /// A library that the server and its sessions load first. A restart drops it.
    pub preload: Option<&'a Path>,
}

/// Whether the server has an SFTP subsystem.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Sftp {
    #[default]
    Offered,
    Missing,
}

impl Jail {
    /// Whether this machine supports it. If not, a message is printed, see [`root_for`].
    pub fn usable(self) -> bool {
        self == Jail::Plain || root_for("a chroot")
    }

    /// Every kind that this machine supports.
    pub fn all_usable() -> Vec<Jail> {
        [Jail::Plain, Jail::Chroot]
            .into_iter()
            .filter(|jail| jail.usable())
            .collect()
    }
}

impl Sshd {
    /// A server with everything that OpenSSH offers.
    pub fn start(jail: Jail) -> Sshd {
        Sshd::offering(jail, Offer::default())
    }

    /// A server with these lines at the beginning of its configuration.
    pub fn start_with(jail: Jail, extra_config: &str) -> Sshd {
        Sshd::offering(
            jail,
            Offer {
                extra_config,
                ..Offer::default()
            },
        )
    }

    /// A server without these extensions: `&["hardlink@openssh.com"]`.
    pub fn start_denying(jail: Jail, deny: &[&str]) -> Sshd {
        Sshd::offering(
            jail,
            Offer {
                deny,
                ..Offer::default()
            },
        )
    }

    /// A server whose sessions have this umask: `"0077"`.
    pub fn start_with_umask(jail: Jail, umask: &str) -> Sshd {
        Sshd::offering(
            jail,
            Offer {
                umask: Some(umask),
                ..Offer::default()
            },
        )
    }

    /// A server that accepts the user's login, but has no SFTP.
    pub fn start_without_sftp(jail: Jail) -> Sshd {
        Sshd::offering(
            jail,
            Offer {
                sftp: Sftp::Missing,
                ..Offer::default()
            },
        )
    }

    /// A server with this offer.
    pub fn offering(jail: Jail, offer: Offer<'_>) -> Sshd {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: tests/run installs it");
        let base = open_tempdir_in(&parent_for(jail));
        let base_path = base.path().canonicalize().expect("the path of a new folder");
        let user = if is_root() {
            offer.user.unwrap_or(USER).to_owned()
        } else {
            output("id", &["-un"])
        };

        let (jail_dir, root) = match jail {
            Jail::Plain => (None, base_path.join("srv")),
            Jail::Chroot => (Some(base_path.join("jail")), base_path.join("jail/srv")),
        };
        fs::create_dir_all(&root).expect("the folder of docroots");
        if let Some(jail_dir) = &jail_dir {
            // Set explicitly, because the umask may differ: sshd refuses a jail that others may write to.
            fs::set_permissions(jail_dir, fs::Permissions::from_mode(0o755)).expect("chmod of the jail");
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("chmod of the folder");
        if is_root() {
            give_to(&root, &user);
        }
        let docroot = root.join("site");
        let remote_docroot = match &jail_dir {
            None => docroot.display().to_string(),
            Some(jail_dir) => {
                format!(
                    "/{}",
                    docroot.strip_prefix(jail_dir).expect("a docroot in the jail").display()
                )
            }
        };

        let host_key = keygen(&base_path.join("host_key"));
        let identity = base_path.join("identity");
        let authorized = keygen(&identity);
        let mut sshd = Sshd {
            port: 0,
            user,
            identity,
            host_key,
            known_hosts: base_path.join("known_hosts"),
            root,
            docroot,
            remote_docroot,
            jail: jail_dir,
            base,
            listener: None,
        };
        sshd.authorize(&authorized);
        sshd.listen(&offer);
        sshd
    }

    /// Limits the number of open files of later sessions, including sshd's own. The usual limit is 1024.
    pub fn limit_open_files(&self, most: u32) {
        let listener = self.listener.as_ref().expect("a server that runs").id();
        let limited = Command::new("prlimit")
            .args([format!("--pid={listener}"), format!("--nofile={most}:")])
            .status();
        assert!(limited.expect("prlimit").success(), "prlimit of sshd");
    }

    /// The log of the server since its first start.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Accepts another key as well, with a line in `authorized_keys`.
    pub fn authorize(&self, public_key: &str) {
        let path = self.path("authorized_keys");
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .expect("authorized_keys");
        writeln!(file, "{public_key}").expect("authorized_keys to be written");
        // The server reads the file as the user.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod of authorized_keys");
    }

    /// Makes a new key pair, which the server does not accept. Returns the path of the private key, and the public key.
    pub fn new_key(&self, name: &str) -> (PathBuf, String) {
        let path = self.path(name);
        let public = keygen(&path);
        (path, public)
    }

    /// Kills every session (SIGKILL), and nothing else: connections break, but the server still listens.
    pub fn kill_sessions(&self) {
        let Some(listener) = &self.listener else {
            return;
        };
        kill_below(listener.id());
    }

    /// Kills the server with all its sessions (SIGKILL). From then on, the port refuses connections.
    pub fn kill(&mut self) {
        let Some(mut listener) = self.listener.take() else {
            return;
        };
        // The server is stopped first, so that it starts no session while the others are killed.
        send(listener.id(), Signal::STOP);
        kill_below(listener.id());
        let _ = listener.kill();
        let _ = listener.wait();
    }

    /// Starts a killed server again, on the same port with the same keys and configuration.
    pub fn restart(&mut self) {
        self.kill();
        assert!(
            self.try_listen(None),
            "port {} was taken meanwhile:\n{}",
            self.port,
            self.log()
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// Picks ports until the server gets one, because another process may take a port first.
    fn listen(&mut self, offer: &Offer<'_>) {
        for _ in 0..20 {
            self.port = free_port();
            fs::write(self.path("sshd_config"), self.config(offer)).expect("sshd_config to be written");
            let known = format!("[127.0.0.1]:{} {}\n", self.port, self.host_key);
            fs::write(&self.known_hosts, known).expect("known_hosts to be written");
            if self.try_listen(offer.preload) {
                return;
            }
        }
        panic!("no port for sshd:\n{}", self.log());
    }

    /// Starts the server and waits until it listens. Returns false if its port is taken.
    fn try_listen(&mut self, preload: Option<&Path>) -> bool {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("the log");
        let before = self.log().len();
        let mut listener = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(self.path("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .envs(preload.map(|library| ("LD_PRELOAD", library)))
            .spawn()
            .expect("sshd to start");
        let deadline = Instant::now() + PATIENCE;
        // This log line is the server's own. A connection might reach another server instead.
        let listening = format!("Server listening on 127.0.0.1 port {}.", self.port);
        loop {
            let log = self.log();
            if log[before..].contains(&listening) {
                self.listener = Some(listener);
                return true;
            }
            if listener.try_wait().expect("sshd to wait for").is_some() {
                let log = self.log();
                assert!(
                    log[before..].contains("Address already in use"),
                    "sshd did not start:\n{log}"
                );
                return false;
            }
            assert!(Instant::now() < deadline, "sshd does not listen:\n{log}");
            thread::sleep(POLL);
        }
    }

    fn config(&self, offer: &Offer<'_>) -> String {
        let umask = offer.umask.map_or(String::new(), |umask| format!(" -u {umask}"));
        let names: Vec<&str> = offer
            .deny
            .iter()
            .map(|name| name.split('@').next().unwrap_or(name))
            .collect();
        let deny = if names.is_empty() {
            String::new()
        } else {
            format!(" -P {}", names.join(","))
        };
        let serves = match offer.sftp {
            Sftp::Offered => {
                format!("Subsystem sftp internal-sftp\nForceCommand internal-sftp{umask}{deny}")
            }
            Sftp::Missing => "ForceCommand /bin/false".to_owned(),
        };
        if let Some(account) = offer.account {
            return self.plain_config(account);
        }
        let chroot = self
            .jail
            .as_ref()
            .map(|jail| format!("ChrootDirectory {}", jail.display()));
        format!(
            "{extra}
Port {port}
ListenAddress 127.0.0.1
HostKey {base}/host_key
PidFile none
LogLevel VERBOSE
AuthorizedKeysFile {base}/authorized_keys
# The folder lies in a temporary one that everybody may write to.
StrictModes no
UsePAM no
UseDNS no
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers {user}
DisableForwarding yes
PermitTTY no
PermitTunnel no
PermitUserEnvironment no
PermitUserRC no
PrintMotd no
PrintLastLog no
{startups}
MaxSessions 100
{serves}
{chroot}
",
            extra = offer.extra_config,
            // Many tests connect at the same time. Of this keyword, the last value wins.
            startups = if offer.extra_config.contains("MaxStartups") {
                ""
            } else {
                "MaxStartups 100:30:200"
            },
            port = self.port,
            base = self.base.path().display(),
            user = self.user,
            chroot = chroot.unwrap_or_default(),
        )
    }
}

impl Sshd {
    /// The configuration of a distribution, plus the part about the account with this server's user and paths filled
    /// in.
    fn plain_config(&self, account: &str) -> String {
        let base = self.base.path().display();
        let jail = self
            .jail
            .as_ref()
            .map_or_else(String::new, |jail| jail.display().to_string());
        let account = account
            .replace("Match User syntax-publish", &format!("Match User {}", self.user))
            .replace("/etc/ssh/authorized_keys/%u", &format!("{base}/authorized_keys"))
            .replace("/srv/syntax", &jail);
        format!(
            "Port {port}
ListenAddress 127.0.0.1
HostKey {base}/host_key
PidFile none
LogLevel VERBOSE
AuthorizedKeysFile {base}/authorized_keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers {user}
PrintMotd no
PrintLastLog no
Subsystem sftp /usr/lib/openssh/sftp-server
{account}
",
            port = self.port,
            user = self.user,
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the tests run as root, which `what` needs. If not, prints a message on stderr. On CI this is a failure,
/// because a test that never runs proves nothing.
pub fn root_for(what: &str) -> bool {
    if !is_root() {
        let skipped = format!("{what} needs root: a test is left out");
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{skipped}, and CI must not"
        );
        // Written directly to stderr, because the test runner swallows what a passing test prints.
        let _ = writeln!(std::io::stderr(), "skipped: {skipped}");
    }
    is_root()
}

/// Gives a file or a folder (without its content) to a user of this machine. Needs root.
pub fn give_to(path: &Path, user: &str) {
    let id = |which: &str| {
        output("id", &[which, user])
            .parse()
            .unwrap_or_else(|_| panic!("there is no user {user}: tests/run creates it"))
    };
    std::os::unix::fs::lchown(path, Some(id("-u")), Some(id("-g")))
        .unwrap_or_else(|error| panic!("chown {user} {}: {error}", path.display()));
}

/// Makes an ed25519 key pair without a passphrase at `path` and returns the public key.
pub fn keygen(path: &Path) -> String {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .expect("ssh-keygen to run");
    assert!(status.success(), "ssh-keygen failed");
    let public = fs::read_to_string(path.with_extension("pub")).expect("the public key");
    public.trim().to_owned()
}

/// The parent folder for a server's folder. Each folder above a jail must belong to root and be writable only for root,
/// so the usual temporary folder may not be suitable.
fn parent_for(jail: Jail) -> PathBuf {
    let temp = std::env::temp_dir().canonicalize().expect("the temporary folder");
    let is_roots =
        |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0 && folder.mode() & 0o022 == 0);
    if jail == Jail::Plain || temp.ancestors().all(is_roots) {
        return temp;
    }
    let folder = PathBuf::from("/var/lib/syntax-publish-test");
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            panic!("{}: {error}", folder.display())
        }
        _ => {}
    }
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended already.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Kills all descendants of a process, which have their own process groups, and waits until they are gone.
fn kill_below(ancestor: u32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let below = descendants(ancestor);
        if below.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "sessions that don't die: {below:?}");
        for pid in below {
            send(pid, Signal::KILL);
        }
        thread::sleep(POLL);
    }
}

/// The living descendants of a process, each before its own children.
fn descendants(ancestor: u32) -> Vec<u32> {
    let processes: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, living_parent(pid)?)))
        .collect();
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(processes.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        next += 1;
    }
    family.split_off(1)
}

/// The parent of a living process. A zombie counts as gone.
fn living_parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in brackets and may contain anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

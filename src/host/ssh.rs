//! Starts the system's `ssh` as the way to a host, and understands what it says when it fails.
//!
//! `ssh` knows the user's configuration, agents, jumps and known hosts, so none of that is done here. What it is told on
//! the command line wins over any configuration file, and leaves nothing to a shell: nothing here may run a command on
//! this machine, or on the host any but the `echo` that shows whether there's a shell, forward anything, ask anybody, or accept a host key that isn't known already.
//! OpenSSH 8.7 or newer is needed: earlier ones don't know two of the options.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::{HostError, Why, key};
use crate::model::path::printable;

/// How to reach a host, and which of its folders is the docroot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SftpAddress {
    /// A name, an address, or an alias of the user's ssh configuration.
    pub host: String,
    /// Who to log in as, where ssh's configuration shall not decide.
    pub user: Option<String>,
    /// The port, likewise.
    pub port: Option<u16>,
    /// The private key; then no other key of an agent is offered.
    pub identity: Option<PathBuf>,
    /// The file of known hosts, in place of the user's.
    pub known_hosts: Option<PathBuf>,
    /// The only key that the host may show, as `TYPE BASE64`. No file of known hosts is read then.
    pub host_key: Option<String>,
    /// The docroot as SFTP sees it: absolute.
    pub docroot: String,
    /// Whether what goes over the line is left uncompressed.
    pub uncompressed: bool,
    /// The program; `ssh` on the PATH where there's none.
    pub ssh: Option<PathBuf>,
}

/// What can't be said to ssh safely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSshAddress {
    /// The host's name.
    #[error("the host {0:?} is no name, address or alias that can be given to ssh")]
    Host(String),
    /// The user's name.
    #[error("the user {0:?} can't be given to ssh")]
    User(String),
    /// The port.
    #[error("there is no port 0")]
    Port,
    /// A file's path.
    #[error("the path {0:?} can't be given to ssh, which would expand or split it")]
    Path(PathBuf),
    /// The pinned key.
    #[error("the host key must be `TYPE BASE64`, as in a line of a `.pub` file, and is {0:?}")]
    HostKey(String),
    /// The docroot.
    #[error("the docroot {0:?} must be absolute, without `..` and control characters")]
    Docroot(String),
}

/// Said on every command line. Where a user's configuration says otherwise, this wins.
const OPTIONS: [&str; 21] = [
    // No one is there to answer, and no one may be.
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    // A link that swallows everything would hang forever.
    "ConnectTimeout=20",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    // What would break the subsystem or its pipes.
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
    "ForkAfterAuthentication=no",
    "StdinNull=no",
    // What would reach further than SFTP.
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    // A shared connection would outlive us, or be another one than was asked for.
    "ControlMaster=no",
    "ControlPath=none",
    "ControlPersist=no",
    // The lines that tell why it failed; those of a lost connection come at this level only.
    "LogLevel=INFO",
];

/// The arguments for ssh, without the program. `pinned` is the file that holds the pinned key, where there is one.
///
/// # Errors
/// [`BadSshAddress`] where a value would mean something else to ssh than was meant.
pub fn command_line(address: &SftpAddress, pinned: Option<&Path>) -> Result<Vec<OsString>, BadSshAddress> {
    check(address)?;
    let mut line = vec![OsString::from("-s")];
    let mut option = |name: &str, value: &OsStr| {
        let mut text = OsString::from(name);
        text.push("=");
        text.push(value);
        line.extend([OsString::from("-o"), text]);
    };
    option("Compression", if address.uncompressed { "no" } else { "yes" }.as_ref());
    for (name, value) in OPTIONS.iter().filter_map(|o| o.split_once('=')) {
        option(name, value.as_ref());
    }
    if let (Some(key), Some(file)) = (&address.host_key, pinned) {
        check_path(file)?;
        option("HostKeyAlias", alias(address).as_ref());
        option("HostKeyAlgorithms", algorithms(key).as_ref());
        option("UserKnownHostsFile", &quoted(file));
        option("GlobalKnownHostsFile", "/dev/null".as_ref());
        // Two more ways in which a configuration could vouch for another key.
        option("KnownHostsCommand", "none".as_ref());
        option("VerifyHostKeyDNS", "no".as_ref());
        option("CheckHostIP", "no".as_ref());
    } else if let Some(file) = &address.known_hosts {
        option("UserKnownHostsFile", &quoted(file));
    }
    if let Some(identity) = &address.identity {
        option("IdentitiesOnly", "yes".as_ref());
        line.extend([OsString::from("-i"), identity.into()]);
    }
    if let Some(user) = &address.user {
        line.extend(["-l".into(), user.into()]);
    }
    if let Some(port) = address.port {
        line.extend(["-p".into(), port.to_string().into()]);
    }
    line.extend(["--".into(), OsString::from(&address.host), "sftp".into()]);
    Ok(line)
}

/// How long ssh may take to read its configuration: a `Match exec` of the user's may do anything.
const TO_READ: Duration = Duration::from_secs(5);

/// The name or address that an alias stands for in the user's configuration; the host's own name where ssh doesn't tell.
pub async fn real_name(address: &SftpAddress) -> String {
    let own = || address.host.clone();
    if check(address).is_err() {
        return own();
    }
    let mut command = Command::new(address.ssh.as_deref().unwrap_or(Path::new("ssh")));
    command
        .args(["-G", "--", &address.host])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let Ok(Ok(output)) = timeout(TO_READ, command.output()).await else {
        return own();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let name = text.lines().find_map(|line| line.strip_prefix("hostname "));
    name.map_or_else(own, |name| name.trim().to_owned())
}

fn check(address: &SftpAddress) -> Result<(), BadSshAddress> {
    let word = |text: &str, also: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    if !word(&address.host, ".-_:+") {
        return Err(BadSshAddress::Host(address.host.clone()));
    }
    if let Some(user) = address.user.as_ref().filter(|user| !word(user, ".-_@+")) {
        return Err(BadSshAddress::User(user.clone()));
    }
    if address.port == Some(0) {
        return Err(BadSshAddress::Port);
    }
    address
        .identity
        .iter()
        .chain(&address.known_hosts)
        .try_for_each(|path| check_path(path))?;
    if let Some(key) = &address.host_key {
        let well_formed = key
            .split_once(' ')
            .is_some_and(|(kind, base64)| word(kind, "-.@") && word(base64, "+/="));
        if !well_formed {
            return Err(BadSshAddress::HostKey(key.clone()));
        }
    }
    let docroot = &address.docroot;
    if !docroot.starts_with('/') || docroot.split('/').any(|s| s == "..") || docroot.chars().any(char::is_control) {
        return Err(BadSshAddress::Docroot(docroot.clone()));
    }
    Ok(())
}

/// ssh expands `%`, `${…}` and `~`, splits at quotes, and knows a file called `none`.
fn check_path(path: &Path) -> Result<(), BadSshAddress> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let evil = bytes.is_empty()
        || bytes == b"none"
        || bytes.starts_with(b"~")
        || bytes.starts_with(b"-")
        || bytes
            .iter()
            .any(|&b| b < b' ' || b == 127 || matches!(b, b'%' | b'"' | b'\\'))
        || bytes.windows(2).any(|pair| pair == b"${");
    if evil {
        Err(BadSshAddress::Path(path.to_owned()))
    } else {
        Ok(())
    }
}

/// A path with spaces would be several files.
fn quoted(path: &Path) -> OsString {
    let mut text = OsString::from("\"");
    text.push(path);
    text.push("\"");
    text
}

/// The name under which the pinned key is looked up: the host's, so that ssh's messages name it.
fn alias(address: &SftpAddress) -> String {
    address.host.to_ascii_lowercase()
}

/// How a key of this type may sign. Without this ssh may settle on another key of the host, which isn't pinned.
fn algorithms(host_key: &str) -> &str {
    match host_key.split(' ').next().unwrap_or_default() {
        "ssh-rsa" => "rsa-sha2-512,rsa-sha2-256",
        other => other,
    }
}

/// A running ssh. Dropping it ends the process: in order where that works at once, else by force.
pub(super) struct Ssh {
    words: Words,
    /// The exit code of the process, once it has ended.
    ended: watch::Receiver<Option<i32>>,
    /// Goes as soon as the host has shown its key: should we be killed later, nothing is left behind.
    pinned: Option<NamedTempFile>,
    /// Dropped, it tells the process's keeper that no one needs it any more.
    _leave: oneshot::Sender<()>,
}

/// How long ssh may take to end by itself once its stdin is closed.
const GRACE: Duration = Duration::from_secs(2);

impl Ssh {
    /// Starts it. The pipes come separately: anyone who drops the first of them ends the connection.
    ///
    /// # Errors
    /// [`HostError::Unreachable`] where there's no such program, or no room for the file of the pinned key.
    pub(super) fn start(address: &SftpAddress) -> Result<(Self, ChildStdin, ChildStdout), HostError> {
        let cannot = |detail: String| HostError::Unreachable {
            host: address.host.clone(),
            detail,
            why: Why::Unknown,
        };
        let pinned = match &address.host_key {
            Some(key) => {
                Some(pin(address, key).map_err(|e| cannot(format!("can't keep the host key in a file: {e}")))?)
            }
            None => None,
        };
        let line =
            command_line(address, pinned.as_ref().map(NamedTempFile::path)).map_err(|e| cannot(e.to_string()))?;
        let program = address.ssh.as_deref().unwrap_or(Path::new("ssh"));
        let mut child = Command::new(program)
            .args(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt from the keyboard is for us: we may still have a lock to give back over this connection.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| cannot(format!("can't start {}: {e}", program.display())))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(cannot("ssh has no pipes".to_owned()));
        };
        let (leave, left) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        tokio::spawn(keep(child, left, end));
        Ok((
            Self {
                words: Words::hear(stderr),
                ended,
                pinned,
                _leave: leave,
            },
            stdin,
            stdout,
        ))
    }

    /// The host has answered, so its key was the right one. Later exchanges of keys are held to that same key.
    pub(super) fn answered(&mut self) {
        self.pinned = None;
    }

    /// All that ssh said, once it has said it; what there is, where it doesn't end.
    pub(super) async fn last_words(&self) -> String {
        self.words.last().await
    }
}

impl Ssh {
    /// Why no SFTP came about; `text` is what came in its place.
    pub(super) async fn why_no_sftp(&self, address: &SftpAddress, text: Option<String>) -> HostError {
        let said = self.last_words().await;
        let mut ended = self.ended.clone();
        let code = match timeout(GRACE, ended.wait_for(Option::is_some)).await {
            Ok(Ok(code)) => *code,
            _ => None,
        };
        let error = failure(address, &said, &Instead { text, code });
        match error {
            HostError::KeyRefused { host, detail, .. } => why_no_key(address, host, detail).await,
            error => error,
        }
    }
}

/// Finds out on this machine why no key opened the host: tries the key that is named, or looks whether ssh had any to offer.
async fn why_no_key(address: &SftpAddress, host: String, detail: String) -> HostError {
    let why = match &address.identity {
        Some(identity) => key::fault(identity).await,
        None => (!offers_a_key(address).await).then_some(Why::NoKeyOffered),
    };
    let Some(why) = why else {
        return HostError::KeyRefused {
            host,
            detail,
            why: Why::Unknown,
        };
    };
    let detail = match &address.identity {
        Some(identity) => format!("{}: {}", printable(&identity.display().to_string()), why.of_key()),
        None => "ssh found none to offer".to_owned(),
    };
    HostError::KeyRefused { host, detail, why }
}

/// Whether ssh has a key to offer to the host, by what it says when it is told to say more.
async fn offers_a_key(address: &SftpAddress) -> bool {
    let pinned = match &address.host_key {
        Some(key) => pin(address, key).ok(),
        None => None,
    };
    let Ok(line) = command_line(address, pinned.as_ref().map(NamedTempFile::path)) else {
        return true;
    };
    // The first value of an option counts.
    let mut command = Command::new(address.ssh.as_deref().unwrap_or(Path::new("ssh")));
    let ran = command
        .args(["-o", "LogLevel=DEBUG1"])
        .args(line)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output();
    match timeout(SHELL, ran).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).contains("Offering public key"),
        _ => true,
    }
}

/// What only a shell makes of [`ECHO`].
const ECHOED: &str = "syntax-publish-42";
const ECHO: &str = "echo syntax-publish-$((6*7))";

/// How long to wait for a shell.
const SHELL: Duration = Duration::from_secs(20);

/// Whether the key opens a shell on the host: a harmless command is run, if it can be. None where that can't be found out.
pub async fn opens_shell(address: &SftpAddress) -> Option<bool> {
    let pinned = match &address.host_key {
        Some(key) => Some(pin(address, key).ok()?),
        None => None,
    };
    let mut line = command_line(address, pinned.as_ref().map(NamedTempFile::path)).ok()?;
    // In the place of the subsystem: `-s` at the front, its name at the end.
    line.remove(0);
    line.pop();
    line.push(ECHO.into());
    let running = Command::new(address.ssh.as_deref().unwrap_or(Path::new("ssh")))
        .args(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output();
    let output = timeout(SHELL, running).await.ok()?.ok()?;
    if String::from_utf8_lossy(&output.stdout)
        .lines()
        .any(|line| line.trim() == ECHOED)
    {
        return Some(true);
    }
    // 255 is ssh's own: it never got there.
    (output.status.code() != Some(255)).then_some(false)
}

/// The pinned key as a file of known hosts that only we can read and write.
fn pin(address: &SftpAddress, key: &str) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("syntax-publish-host-key-").tempfile()?;
    writeln!(file, "{} {key}", alias(address))?;
    file.flush()?;
    Ok(file)
}

/// Waits for the process, so that no zombie stays, and sees to it that it ends.
async fn keep(mut child: Child, left: oneshot::Receiver<()>, end: watch::Sender<Option<i32>>) {
    tokio::select! {
        status = child.wait() => {
            let _ = end.send(status.ok().and_then(|status| status.code()));
        }
        _ = left => {
            if timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

/// What ssh prints on stderr: the last lines of it.
#[derive(Clone)]
struct Words {
    lines: Arc<Mutex<Lines>>,
    ended: watch::Receiver<bool>,
}

#[derive(Default)]
struct Lines {
    whole: VecDeque<String>,
    started: Vec<u8>,
}

const MOST_LINES: usize = 64;
const LONGEST_LINE: usize = 512;

impl Words {
    fn hear(mut stderr: ChildStderr) -> Self {
        let lines = Arc::<Mutex<Lines>>::default();
        let (end, ended) = watch::channel(false);
        let heard = Arc::clone(&lines);
        tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut piece).await {
                heard.lock().unwrap_or_else(PoisonError::into_inner).add(&piece[..n]);
            }
            heard.lock().unwrap_or_else(PoisonError::into_inner).add(b"\n");
            let _ = end.send(true);
        });
        Self { lines, ended }
    }

    async fn last(&self) -> String {
        // A jump's ssh may hold the pipe open after ours is gone.
        let mut ended = self.ended.clone();
        let _ = timeout(GRACE, ended.wait_for(|ended| *ended)).await;
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

impl Lines {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = printable(String::from_utf8_lossy(&self.started).trim());
                self.started.clear();
                if line.is_empty() {
                    continue;
                }
                if self.whole.len() == MOST_LINES {
                    self.whole.pop_front();
                }
                self.whole.push_back(line);
            } else if self.started.len() < LONGEST_LINE {
                self.started.push(byte);
            }
        }
    }

    fn text(&self) -> String {
        self.whole.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }
}

/// What there was in place of SFTP.
#[derive(Default)]
struct Instead {
    /// The first line of text that came.
    text: Option<String>,
    /// The exit code of ssh: of what ran on the host, or 255 for its own.
    code: Option<i32>,
}

/// ssh's own exit code.
const OWN: i32 = 255;

/// Why no SFTP came about, from what ssh said and what came.
fn failure(address: &SftpAddress, said: &str, instead: &Instead) -> HostError {
    let host = address.host.clone();
    let line = |marks: &[&str]| said.lines().rfind(|line| marks.iter().any(|mark| line.contains(mark)));
    let unreachable = |line: &str, why: Why| HostError::Unreachable {
        host: host.clone(),
        detail: line.to_owned(),
        why,
    };
    // What follows may be the words of a jump host's ssh, about that host.
    if let Some(closed) = line(&["UNKNOWN port 65535"]) {
        let of_jump = said
            .lines()
            .find(|line| !OF_A_PROXY.iter().any(|mark| line.contains(mark)));
        let detail = format!(
            "its jump host or proxy gave no way to it: {}",
            of_jump.unwrap_or(closed)
        );
        return unreachable(&detail, Why::Jump);
    }
    if let Some(line) = line(&["No user exists for uid"]) {
        return unreachable(line, Why::NoUser);
    }
    if line(&["REMOTE HOST IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY"]).is_some() {
        let shown = said.split_whitespace().find(|word| word.starts_with("SHA256:"));
        let detail = shown.map_or_else(
            || "ssh refuses it".to_owned(),
            |shown| format!("it shows {}", shown.trim_end_matches('.')),
        );
        return HostError::HostKey {
            host,
            changed: true,
            detail,
        };
    }
    if let Some(line) = line(&["no matching host key type"]).filter(|_| address.host_key.is_some()) {
        return HostError::HostKey {
            host,
            changed: true,
            detail: line.to_owned(),
        };
    }
    if let Some(line) = line(&["host key is known for"]).or_else(|| line(&["Host key verification failed"])) {
        return HostError::HostKey {
            host,
            changed: false,
            detail: line.to_owned(),
        };
    }
    if let Some(refused) = line(&["Permission denied (", "Too many authentication failures"]) {
        return HostError::KeyRefused {
            host,
            detail: refused.to_owned(),
            why: Why::Unknown,
        };
    }
    let no_sftp = |detail: &str, why: Why| HostError::NoSftp {
        host: host.clone(),
        detail: detail.to_owned(),
        why,
    };
    if let Some(text) = &instead.text {
        let text: String = text.chars().take(LONGEST_SHOWN).collect();
        let detail = format!("text comes before SFTP begins: {:?}", printable(&text));
        return no_sftp(&detail, Why::Text);
    }
    if let Some(line) = line(&["subsystem request failed"]) {
        return no_sftp(line, Why::Unknown);
    }
    if let Some((line, why)) = NOT_REACHED.iter().find_map(|(mark, why)| Some((line(&[*mark])?, why))) {
        return unreachable(line, why.clone());
    }
    // The key was taken, and then the session ended: mostly a chroot that sshd does not accept.
    if let Some(line) = line(&["client_loop:", "roken pipe"]) {
        return no_sftp(line, Why::Unknown);
    }
    if let Some(code) = instead.code.filter(|code| *code != OWN) {
        let detail = format!("what the host runs in place of SFTP ended with exit code {code}");
        return no_sftp(&detail, Why::Ended);
    }
    let last = said.lines().last();
    no_sftp(last.unwrap_or("the connection ended before SFTP began"), Why::Unknown)
}

/// The longest text of a host that is shown.
const LONGEST_SHOWN: usize = 80;

/// What ssh says of itself where the way through a proxy ended.
const OF_A_PROXY: [&str; 4] = [
    "UNKNOWN port 65535",
    "kex_exchange_identification",
    "banner exchange",
    "Warning: Permanently added",
];

/// What ssh says where it did not come as far as the key, and what that means; the first that is found counts.
const NOT_REACHED: [(&str, Why); 15] = [
    ("Could not resolve hostname", Why::NoAddress),
    ("Connection refused", Why::NobodyListens),
    ("onnection timed out", Why::Unknown),
    ("Operation timed out", Why::Unknown),
    ("Timeout, server", Why::Unknown),
    ("No route to host", Why::Unknown),
    ("Network is unreachable", Why::Unknown),
    ("onfiguration option", Why::Unknown),
    ("Unable to negotiate", Why::Unknown),
    ("Not allowed at this time", Why::Dropped),
    ("Exceeded MaxStartups", Why::Dropped),
    ("kex_exchange_identification", Why::Dropped),
    ("anner exchange", Why::Dropped),
    ("onnection reset", Why::Dropped),
    ("Connection closed by", Why::Dropped),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SftpAddress {
        SftpAddress {
            host: "Pheme".to_owned(),
            docroot: "/site".to_owned(),
            ..SftpAddress::default()
        }
    }

    fn line(address: &SftpAddress) -> String {
        let line = command_line(address, Some(Path::new("/tmp/a pin"))).expect("an address");
        line.iter()
            .map(|arg| arg.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn no_line_asks_or_forwards_anything() {
        let line = line(&address());
        for option in OPTIONS {
            assert!(line.contains(&format!("-o {option} ")), "{option}");
        }
        assert!(line.starts_with("-s -o Compression=yes -o "), "{line}");
        assert!(line.ends_with("-o LogLevel=INFO -- Pheme sftp"), "{line}");
    }

    #[test]
    fn a_line_may_be_left_uncompressed() {
        let line = line(&SftpAddress {
            uncompressed: true,
            ..address()
        });
        assert!(line.starts_with("-s -o Compression=no -o "), "{line}");
    }

    #[test]
    fn what_is_given_is_said_once_and_before_the_dashes() {
        let line = line(&SftpAddress {
            user: Some("deploy".to_owned()),
            port: Some(2222),
            identity: Some("/home/me/a key".into()),
            known_hosts: Some("/home/me/known hosts".into()),
            ..address()
        });
        assert!(
            line.ends_with(
                "-o UserKnownHostsFile=\"/home/me/known hosts\" -o IdentitiesOnly=yes \
                 -i /home/me/a key -l deploy -p 2222 -- Pheme sftp"
            ),
            "{line}"
        );
    }

    #[test]
    fn a_pinned_key_alone_decides() {
        let line = line(&SftpAddress {
            known_hosts: Some("/home/me/.ssh/known_hosts".into()),
            host_key: Some("ssh-rsa AAAAB3Nz+/=".to_owned()),
            ..address()
        });
        assert!(
            line.ends_with(
                "-o HostKeyAlias=pheme -o HostKeyAlgorithms=rsa-sha2-512,rsa-sha2-256 \
                 -o UserKnownHostsFile=\"/tmp/a pin\" -o GlobalKnownHostsFile=/dev/null \
                 -o KnownHostsCommand=none -o VerifyHostKeyDNS=no -o CheckHostIP=no -- Pheme sftp"
            ),
            "{line}"
        );
    }

    #[test]
    fn what_ssh_would_expand_split_or_take_for_an_option_is_refused() {
        let refused = |change: fn(&mut SftpAddress, &str), values: &[&str]| {
            for value in values {
                let mut address = address();
                change(&mut address, value);
                assert!(command_line(&address, None).is_err(), "{value:?}");
            }
        };
        refused(
            |a, v| v.clone_into(&mut a.host),
            &[
                "",
                "-oProxyCommand=x",
                "a b",
                "a\nb",
                "%h",
                "${HOME}",
                "u@h",
                "ssh://h",
                "a;b",
                "`x`",
            ],
        );
        refused(
            |a, v| a.user = Some(v.to_owned()),
            &["", "-l", "a b", "a\n", "$USER", "%u", "a;b"],
        );
        refused(
            |a, v| a.identity = Some(v.into()),
            &[
                "",
                "~/.ssh/id",
                "/a/%d",
                "/a/${HOME}",
                "/a\nb",
                "/a\"b",
                "/a\\b",
                "none",
                "-x",
            ],
        );
        refused(
            |a, v| a.known_hosts = Some(v.into()),
            &["", "~/x", "/a/%d", "/a\n*", "none"],
        );
        refused(
            |a, v| a.host_key = Some(v.to_owned()),
            &[
                "",
                "ssh-ed25519",
                "ssh-ed25519 AAAA comment",
                "ssh-ed25519 AA\n* ssh-rsa AA",
                "-x AAAA",
                "* AAAA",
                "a,b AA",
            ],
        );
        refused(|a, v| v.clone_into(&mut a.docroot), &["", "site", "/a/../b", "/a\nb"]);
        let mut port = address();
        port.port = Some(0);
        assert_eq!(command_line(&port, None), Err(BadSshAddress::Port));
    }

    #[test]
    fn failures_are_told_apart_by_what_ssh_says() {
        let of = |said: &str| failure(&address(), said, &Instead::default());
        assert!(matches!(
            of("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nis\nSHA256:abc.\nHost key verification failed."),
            HostError::HostKey { changed: true, detail, .. } if detail == "it shows SHA256:abc"
        ));
        assert!(matches!(
            of("No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed."),
            HostError::HostKey { changed: false, detail, .. } if detail.starts_with("No ED25519")
        ));
        assert!(matches!(
            of("a@b: Permission denied (publickey)."),
            HostError::KeyRefused { .. }
        ));
        assert!(matches!(
            of("subsystem request failed on channel 0"),
            HostError::NoSftp { .. }
        ));
        assert!(matches!(
            of("ssh: connect to host x port 22: Connection refused"),
            HostError::Unreachable { .. }
        ));
        assert!(matches!(of(""), HostError::NoSftp { detail, .. } if detail.contains("ended before SFTP")));
    }

    #[test]
    fn what_ssh_says_is_bounded_and_printable() {
        let mut lines = Lines::default();
        for n in 0..1000 {
            lines.add(format!("{n}\u{1b}[31m{}\r\n", "x".repeat(10_000)).as_bytes());
        }
        let text = lines.text();
        assert!(text.len() <= MOST_LINES * (LONGEST_LINE + 16), "{}", text.len());
        assert!(text.starts_with("936\\u{1b}[31m"));
        assert!(!text.contains('\r'));
    }
}

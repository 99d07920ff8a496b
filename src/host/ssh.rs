//! Starts the system's `ssh` to connect to a host, and interprets its error messages.
//!
//! `ssh` handles the user's configuration, agents, jump hosts and known hosts, so this module does none of that. The
//! options that it passes on the command line override every configuration file, and no shell parses them. It must
//! never run a command on this machine; run a command on the host, except the `echo` that shows whether there is a
//! shell; forward anything; prompt the user; or accept a host key that is not known already.
//!
//! It requires OpenSSH 8.7 or newer: older versions lack two of the options.

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

use super::{HostError, HostErrorKind, Why, key};
use crate::model::path::printable;

/// The address of a host, how to connect to it, and which of its folders is the docroot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SftpAddress {
    /// A name, an address, or an alias of the user's ssh configuration.
    pub host: String,
    /// The user to log in as; `None` to let ssh's configuration decide.
    pub user: Option<String>,
    /// The port; `None` to let ssh's configuration decide.
    pub port: Option<u16>,
    /// The private key. If it is given, ssh offers no other key of an agent.
    pub identity: Option<PathBuf>,
    /// A known-hosts file to use instead of the user's.
    pub known_hosts: Option<PathBuf>,
    /// The only key that the host may present, as `TYPE BASE64`. If it is given, no known-hosts file is read.
    pub host_key: Option<String>,
    /// The docroot as SFTP sees it: absolute.
    pub docroot: String,
    /// Whether to disable SSH compression.
    pub uncompressed: bool,
    /// Whether the connection is shared; `None` if it is not.
    pub sharing: Option<Sharing>,
    /// The program; `None` for `ssh` on the `PATH`.
    pub ssh: Option<PathBuf>,
}

/// How a connection is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sharing {
    /// Makes the connection, and lets others use it through a socket at this path.
    Offer(PathBuf),
    /// Uses the connection behind this socket, and never makes one.
    Use(PathBuf),
}

/// A value that can't be passed to ssh safely.
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

/// Options that every command line contains. They override the user's configuration.
const OPTIONS: [&str; 21] = [
    // Never prompt, and never accept a host key interactively: the tool must work unattended.
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    // A link that drops all packets would hang forever.
    "ConnectTimeout=20",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    // Settings that would break the subsystem or its pipes.
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
    "ForkAfterAuthentication=no",
    "StdinNull=no",
    // Settings that would reach further than SFTP.
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    // A connection that other programs share would outlive this process, or would be a different one than was requested.
    "ControlMaster=no",
    "ControlPath=none",
    "ControlPersist=no",
    // The lines that explain a failure; those about a lost connection are only printed at this level.
    "LogLevel=INFO",
];

/// The arguments for ssh, without the program. `pinned` is the file that contains the pinned key, if there is one.
///
/// # Errors
/// [`BadSshAddress`] if ssh would interpret a value differently than intended.
pub fn command_line(address: &SftpAddress, pinned: Option<&Path>) -> Result<Vec<OsString>, BadSshAddress> {
    check(address)?;
    let mut line = vec![OsString::from("-s")];
    let mut option = |name: &str, value: &OsStr| {
        let mut text = OsString::from(name);
        text.push("=");
        text.push(value);
        line.extend([OsString::from("-o"), text]);
    };
    if let Some(sharing) = &address.sharing {
        // ssh uses the first value of an option, so these override those of `OPTIONS`.
        let (Sharing::Offer(socket) | Sharing::Use(socket)) = sharing;
        let offers = matches!(sharing, Sharing::Offer(_));
        check_path(socket)?;
        option("ControlMaster", if offers { "yes" } else { "no" }.as_ref());
        option("ControlPath", &quoted(socket));
        if !offers {
            // ssh would make a connection of its own if the shared one has no room for another session.
            option("ProxyCommand", "false".as_ref());
        }
    }
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
        // Other settings through which a configuration could accept a different key.
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

/// The program, without arguments and without input. It ends when it is no longer needed. Ctrl-C must reach only this
/// process, which may still have to release a lock over a connection.
fn program(address: &SftpAddress) -> Command {
    let mut command = Command::new(address.ssh.as_deref().unwrap_or(Path::new("ssh")));
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}

/// How long ssh may take to read its configuration: a `Match exec` of the user can take any time.
const TO_READ: Duration = Duration::from_secs(5);

/// The name or address that an alias stands for in the user's configuration; the given host if ssh does not report one.
pub async fn real_name(address: &SftpAddress) -> String {
    let own = || address.host.clone();
    if check(address).is_err() {
        return own();
    }
    let ran = program(address).args(["-G", "--", &address.host]).output();
    let Ok(Ok(output)) = timeout(TO_READ, ran).await else {
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

/// Refuses paths that ssh would interpret: it expands `%`, `${…}` and `~`, splits at quotes, and treats `none` as no
/// file.
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

/// Quotes a path, because ssh would read one with spaces as several files.
fn quoted(path: &Path) -> OsString {
    let mut text = OsString::from("\"");
    text.push(path);
    text.push("\"");
    text
}

/// The name under which ssh looks up the pinned key: the host's, so that ssh's messages contain it.
fn alias(address: &SftpAddress) -> String {
    address.host.to_ascii_lowercase()
}

/// The signature algorithms for a key of this type. Without this option ssh could negotiate another key of the host,
/// which isn't pinned.
fn algorithms(host_key: &str) -> &str {
    match host_key.split(' ').next().unwrap_or_default() {
        "ssh-rsa" => "rsa-sha2-512,rsa-sha2-256",
        other => other,
    }
}

/// A running ssh. Dropping it ends the process: gracefully if it exits within [`GRACE`], otherwise by killing it.
pub(super) struct Ssh {
    words: Words,
    /// The exit code of the process, once it has ended.
    ended: watch::Receiver<Option<i32>>,
    /// Deleted as soon as the host has presented its key, so that nothing is left behind if this process is killed
    /// later.
    pinned: Option<NamedTempFile>,
    /// Dropping it notifies the task that owns the process that the connection is no longer needed.
    _leave: oneshot::Sender<()>,
}

/// How long ssh may take to exit after its stdin is closed.
const GRACE: Duration = Duration::from_secs(2);

impl Ssh {
    /// Starts ssh. The pipes are returned separately; dropping the first one, stdin, ends the connection.
    ///
    /// # Errors
    /// [`HostErrorKind::Unreachable`] if the program does not exist, or if the file for the pinned key can't be written.
    pub(super) fn start(address: &SftpAddress) -> Result<(Self, ChildStdin, ChildStdout), HostError> {
        let cannot = |detail: String| HostError::new(HostErrorKind::Unreachable, &address.host, detail);
        let pinned = pin(address).map_err(|e| cannot(format!("can't keep the host key in a file: {e}")))?;
        let line =
            command_line(address, pinned.as_ref().map(NamedTempFile::path)).map_err(|e| cannot(e.to_string()))?;
        let mut command = program(address);
        command
            .args(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| {
            let program = command.as_std().get_program();
            cannot(format!("can't start {}: {e}", Path::new(program).display()))
        })?;
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

    /// Deletes the file of the pinned key. The host has answered, so its key was right, and ssh checks later key
    /// exchanges against that same key.
    pub(super) fn answered(&mut self) {
        self.pinned = None;
    }

    /// Everything that ssh printed, once it has ended its output; after [`GRACE`], what has arrived so far.
    pub(super) async fn last_words(&self) -> String {
        self.words.last().await
    }

    /// Why SFTP could not be started; `text` is what arrived in its place.
    pub(super) async fn why_no_sftp(&self, address: &SftpAddress, text: Option<String>) -> HostError {
        let said = self.last_words().await;
        let mut ended = self.ended.clone();
        let code = match timeout(GRACE, ended.wait_for(Option::is_some)).await {
            Ok(Ok(code)) => *code,
            _ => None,
        };
        let error = failure(address, &said, &Instead { text, code });
        match error.kind {
            HostErrorKind::KeyRefused => why_no_key(address, error).await,
            _ => error,
        }
    }
}

/// Finds out on this machine why the host accepted no key: tests the configured key, or checks whether ssh had one to
/// offer.
async fn why_no_key(address: &SftpAddress, error: HostError) -> HostError {
    let why = match &address.identity {
        Some(identity) => key::fault(identity).await,
        None => (!offers_a_key(address).await).then_some(Why::NoKeyOffered),
    };
    let detail = match (&why, &address.identity) {
        (None, _) => error.detail,
        (Some(why), Some(identity)) => format!("{}: {}", printable(&identity.display().to_string()), why.of_key()),
        (Some(_), None) => "ssh found none to offer".to_owned(),
    };
    let why = why.unwrap_or(Why::Unknown);
    HostError { detail, why, ..error }
}

/// Whether ssh has a key to offer to the host, according to its debug output.
async fn offers_a_key(address: &SftpAddress) -> bool {
    let pinned = pin(address).ok().flatten();
    let Ok(line) = command_line(address, pinned.as_ref().map(NamedTempFile::path)) else {
        return true;
    };
    // ssh uses the first value of an option, so this one overrides the `LogLevel` in the line.
    let ran = program(address).args(["-o", "LogLevel=DEBUG1"]).args(line).output();
    match timeout(SHELL, ran).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).contains("Offering public key"),
        _ => true,
    }
}

/// The output of [`ECHO`], which only a shell produces.
const ECHOED: &str = "syntax-publish-42";
const ECHO: &str = "echo syntax-publish-$((6*7))";

/// How long to wait for a shell.
const SHELL: Duration = Duration::from_secs(20);

/// Whether the key opens a shell on the host: tries to run a harmless command. `None` if that can't be determined.
pub async fn opens_shell(address: &SftpAddress) -> Option<bool> {
    let pinned = pin(address).ok()?;
    let mut line = command_line(address, pinned.as_ref().map(NamedTempFile::path)).ok()?;
    // Replaces the subsystem, `-s` at the start and its name at the end, by a command.
    line.remove(0);
    line.pop();
    line.push(ECHO.into());
    let running = program(address).args(line).output();
    let output = timeout(SHELL, running).await.ok()?.ok()?;
    if String::from_utf8_lossy(&output.stdout)
        .lines()
        .any(|line| line.trim() == ECHOED)
    {
        return Some(true);
    }
    // 255 is ssh's own exit code: it never reached a shell.
    (output.status.code() != Some(255)).then_some(false)
}

/// Writes the pinned key, if there is one, to a known-hosts file that only the current user can access.
fn pin(address: &SftpAddress) -> std::io::Result<Option<NamedTempFile>> {
    let Some(key) = &address.host_key else {
        return Ok(None);
    };
    let mut file = tempfile::Builder::new().prefix("syntax-publish-host-key-").tempfile()?;
    writeln!(file, "{} {key}", alias(address))?;
    file.flush()?;
    Ok(Some(file))
}

/// Waits for the process, so that it does not become a zombie, and kills it if it does not end after the connection is
/// dropped.
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

/// The last lines that ssh printed to stderr.
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
        // The ssh of a jump host can keep the pipe open after the main ssh has ended.
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

/// What happened instead of SFTP.
#[derive(Default)]
struct Instead {
    /// The first line of text that arrived.
    text: Option<String>,
    /// The exit code of ssh: that of the command on the host, or 255 for ssh's own errors.
    code: Option<i32>,
}

/// The exit code for ssh's own errors.
const OWN: i32 = 255;

/// Determines why SFTP could not be started, from the output of ssh and what arrived instead.
fn failure(address: &SftpAddress, said: &str, instead: &Instead) -> HostError {
    let line = |marks: &[&str]| said.lines().rfind(|line| marks.iter().any(|mark| line.contains(mark)));
    let because = |kind: HostErrorKind, detail: &str, why: Why| HostError {
        why,
        ..HostError::new(kind, &address.host, detail)
    };
    let unreachable = |line: &str, why: Why| because(HostErrorKind::Unreachable, line, why);
    let host_key = |kind: HostErrorKind, line: &str| because(kind, line, Why::Unknown);
    // The connection through a proxy was closed. The other lines may be from the ssh of a jump host, about that host.
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
        return host_key(HostErrorKind::OtherHostKey, &detail);
    }
    if let Some(line) = line(&["no matching host key type"]).filter(|_| address.host_key.is_some()) {
        return host_key(HostErrorKind::OtherHostKey, line);
    }
    if let Some(line) = line(&["host key is known for"]).or_else(|| line(&["Host key verification failed"])) {
        return host_key(HostErrorKind::UnknownHostKey, line);
    }
    if let Some(refused) = line(&["Permission denied (", "Too many authentication failures"]) {
        return because(HostErrorKind::KeyRefused, refused, Why::Unknown);
    }
    let no_sftp = |detail: &str, why: Why| because(HostErrorKind::NoSftp, detail, why);
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
    // The host accepted the key, and then the session ended: usually because sshd refuses the chroot.
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

/// The maximum number of characters shown of a text from the host.
const LONGEST_SHOWN: usize = 80;

/// What ssh itself prints when the connection through a proxy has ended.
const OF_A_PROXY: [&str; 4] = [
    "UNKNOWN port 65535",
    "kex_exchange_identification",
    "banner exchange",
    "Warning: Permanently added",
];

/// What ssh prints if the connection failed before authentication, and the cause of each; the first match counts.
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
    fn a_shared_connection_is_offered_or_used_and_never_both() {
        let sharing = |sharing| SftpAddress {
            sharing: Some(sharing),
            ..address()
        };
        // ssh uses the first value of an option.
        let offer = line(&sharing(Sharing::Offer("/tmp/a b/s".into())));
        let begin = "-s -o ControlMaster=yes -o ControlPath=\"/tmp/a b/s\" -o Compression=yes ";
        assert!(offer.starts_with(begin), "{offer}");
        let uses = line(&sharing(Sharing::Use("/tmp/s".into())));
        let begin = "-s -o ControlMaster=no -o ControlPath=\"/tmp/s\" -o ProxyCommand=false -o Compression=yes ";
        assert!(uses.starts_with(begin), "{uses}");
        assert!(command_line(&sharing(Sharing::Use("/tmp/%h".into())), None).is_err());
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
            HostError { kind: HostErrorKind::OtherHostKey, detail, .. } if detail == "it shows SHA256:abc"
        ));
        assert!(matches!(
            of("No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed."),
            HostError { kind: HostErrorKind::UnknownHostKey, detail, .. } if detail.starts_with("No ED25519")
        ));
        assert_eq!(
            of("a@b: Permission denied (publickey).").kind,
            HostErrorKind::KeyRefused
        );
        assert_eq!(of("subsystem request failed on channel 0").kind, HostErrorKind::NoSftp);
        assert_eq!(
            of("ssh: connect to host x port 22: Connection refused").kind,
            HostErrorKind::Unreachable
        );
        assert!(
            matches!(of(""), HostError { kind: HostErrorKind::NoSftp, detail, .. } if detail.contains("ended before SFTP"))
        );
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

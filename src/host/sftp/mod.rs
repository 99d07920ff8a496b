//! A host reached over SFTP.
//!
//! The system's `ssh` provides the connection ([`ssh`](super::ssh)), and the crate `openssh-sftp-client` implements the
//! protocol. Only this module uses that crate. It must never execute anything on the host that isn't in the flight, and
//! it must never retry, because it can't know whether an unanswered request was executed.
//!
//! The crate queues a request when its future is first polled. So all operations are polled once, in order, before any
//! answer is awaited.

mod bounded;
mod gathered;
mod hello;
mod more;

use std::fmt;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::{BoxFuture, join, maybe_done, try_join_all};
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{FutureExt as _, StreamExt, TryStreamExt};
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::file::File;
use openssh_sftp_client::metadata::{FileType, MetaData, MetaDataBuilder, Permissions};
use openssh_sftp_client::{Error, Sftp as Client, SftpOptions, UnixTimeStamp};
use tokio::io::{AsyncSeek as _, BufReader};
use tokio::time::timeout;

use self::bounded::{Beginning, Bounded};
use self::gathered::{Gate, Gathered};
use self::hello::Extensions;
use super::op::{Answer, Attr, Handle, Kind, NOT_OPEN, Op, OpenFiles, Refusal, RefusalKind, Reply, Space, Time};
use super::ssh::{self, BadSshAddress, SftpAddress, Ssh};
use super::{Answers, Connect, Connected, EarlyAnswers, Host, HostError, HostErrorKind, Why};
use crate::model::path::printable;

/// The most that may be in flight: enough to fill a line with a latency of some hundred milliseconds, few enough for
/// memory.
const MOST_OPS: usize = 4096;
const MOST_BYTES: usize = 8 << 20;

/// After [`MOST_OPS`] operations are in flight, wait until there is room for this many more, and send those together.
const REFILL: usize = MOST_OPS / 4;

/// The size of one request of a write: what the client sends to a server that reports no limits. If it were larger, the
/// client would send the rest later, after requests that depend on it.
const CHUNK: usize = 20 * 1024;

/// How many requests read a folder concurrently.
const READERS: usize = 8;

/// Limits for one connection. A server must not be able to fill the memory with an endless folder, or with endless
/// names and symlink texts. So the total number of names is limited, and so are the total bytes of names and symlink
/// texts.
const MOST_NAMES: usize = 5_000_000;
const MOST_TEXT: usize = 256 << 20;
const LONGEST_NAME: usize = 255;
const LONGEST_TEXT: usize = 4096;

/// The maximum length of a server's message that is passed on.
const LONGEST_MESSAGE: usize = 300;

/// ssh gives up earlier; this limit is for a jump host or a server that does not answer at all.
const CONNECT: Duration = Duration::from_mins(1);

/// Opens connections to one address.
#[derive(Debug, Clone)]
pub struct SftpConnector {
    address: SftpAddress,
}

impl SftpConnector {
    /// Creates a connector for an address that can be passed to ssh.
    ///
    /// # Errors
    /// [`BadSshAddress`] if it can't.
    pub fn new(address: SftpAddress) -> Result<Self, BadSshAddress> {
        ssh::command_line(&address, None)?;
        Ok(Self { address })
    }
}

impl Connect for SftpConnector {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(self.connect_asking(Vec::new()).await?.0) })
    }

    fn connect_asking(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Connected, HostError>> {
        Box::pin(async {
            let (sftp, early) = Sftp::open_asking(&self.address, ops).await?;
            Ok((Box::new(sftp) as Box<dyn Host>, early))
        })
    }

    fn connect_more(&self, files: usize) -> BoxStream<'_, Box<dyn Host>> {
        more::sessions(&self.address, files)
    }

    fn name(&self) -> String {
        self.address.host.clone()
    }
}

/// A docroot reached over SFTP.
pub struct Sftp(Arc<Line>);

/// The connection of a docroot, which ends when no flight needs it any more.
struct Line {
    session: Arc<Session>,
    gate: Arc<Gate>,
    ssh: Ssh,
}

struct Session {
    host: String,
    docroot: String,
    client: Client,
    /// What the server supports, once it has answered.
    extensions: OnceLock<Extensions>,
    open: OpenFiles<File>,
    budget: Budget,
}

/// The names and texts received from the server over one connection.
#[derive(Default)]
struct Budget {
    names: AtomicUsize,
    text: AtomicUsize,
}

impl Budget {
    fn take_in(&self, names: usize, bytes: usize) -> Result<(), OpFailure> {
        let names = names.saturating_add(self.names.fetch_add(names, Ordering::Relaxed));
        let bytes = bytes.saturating_add(self.text.fetch_add(bytes, Ordering::Relaxed));
        if names > MOST_NAMES || bytes > MOST_TEXT {
            return Err(OpFailure::Broken(
                "the server lists more than any store holds".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Sftp {
    /// Connects, and checks that the server supports what a store needs. The first operations are on their way before
    /// the server has answered anything, see [`Connect::connect_asking`].
    async fn open_asking(address: &SftpAddress, ops: Vec<Op>) -> Result<(Self, Option<EarlyAnswers>), HostError> {
        let (ssh, stdin, stdout) = Ssh::start(address)?;
        // By default the client delays each request by half a millisecond.
        let options = SftpOptions::new().flush_interval(Duration::ZERO);
        let gate = Arc::new(Gate::default());
        let beginning = Beginning::default();
        let mut server = BufReader::new(Bounded::new(stdout, beginning.clone()));
        let (to, from, begin) = hello::streams(Gathered::new(stdin, &gate));
        // A separate task, because the client may panic if the server disconnects, and that must not end this task.
        let mut creating = tokio::spawn(async move { Client::new(to, from, options).await });
        let mut reading =
            Box::pin(async move { Ok::<_, std::io::Error>((Extensions::read(&mut server).await?, server)) });
        let mut read = None;
        // Creating the client does not depend on the server, but may not end if ssh does not take the first packet.
        let created = async {
            loop {
                tokio::select! {
                    client = &mut creating => break Some(client),
                    greeting = &mut reading, if read.is_none() => {
                        let has_failed = greeting.is_err();
                        read = Some(greeting);
                        if has_failed {
                            break None;
                        }
                    }
                }
            }
        };
        let created = timeout(CONNECT, created).await;
        let is_in_time = created.is_ok();
        let Ok(Some(Ok(Ok(client)))) = created else {
            creating.abort();
            // What came in the place of SFTP may not have been read yet.
            if read.is_none() && is_in_time {
                let _ = timeout(CONNECT, reading).await;
            }
            return Err(ssh.why_no_sftp(address, beginning.text()).await);
        };
        let session = Session {
            host: address.host.clone(),
            docroot: address.docroot.trim_end_matches('/').to_owned(),
            client,
            extensions: OnceLock::new(),
            open: OpenFiles::default(),
            budget: Budget::default(),
        };
        let mut line = Line {
            session: Arc::new(session),
            gate,
            ssh,
        };
        let early = (!ops.is_empty()).then(|| flight(Arc::clone(&line.session), Arc::clone(&line.gate), ops));
        let mut early = early.map(|early| Box::pin(maybe_done(early)));
        if let Some(early) = &mut early {
            // The first poll sends the operations.
            let _ = futures_util::poll!(early.as_mut());
        }
        let greeting = async {
            match read {
                Some(read) => read,
                None => reading.await,
            }
        };
        let (extensions, server) = match timeout(CONNECT, greeting).await {
            Ok(Ok(greeting)) => greeting,
            Ok(Err(_)) => return Err(line.ssh.why_no_sftp(address, beginning.text()).await),
            Err(_) => {
                let detail = format!("no answer within {} seconds", CONNECT.as_secs());
                return Err(HostError::new(HostErrorKind::Unreachable, &address.host, detail));
            }
        };
        line.ssh.answered();
        let missing = NEEDED.iter().find(|name| !extensions.has(name));
        if let Some(missing) = missing {
            return Err(HostError {
                why: why_missing(&extensions),
                ..HostError::new(HostErrorKind::MissingExtension, &address.host, *missing)
            });
        }
        let _ = line.session.extensions.set(extensions);
        // The client reads the rest. If it has stopped, the first flight reports that.
        let _ = begin.send(server);
        let line = Arc::new(line);
        let early = early.map(|mut early| {
            let line = Arc::clone(&line);
            let answers = async move {
                early.as_mut().await;
                match early.as_mut().take_output() {
                    Some(Ok(answers)) => Ok(answers),
                    Some(Err(why)) => Err(line.lost(&why).await),
                    None => Err(line.lost("it broke off").await),
                }
            };
            answers.boxed()
        });
        Ok((Self(line), early))
    }
}

impl Line {
    /// The error for a lost connection, with the last line that ssh printed.
    async fn lost(&self, why: &str) -> HostError {
        let said = self.ssh.last_words().await;
        let detail = match said.lines().last() {
            Some(line) => format!("{why}; ssh said: {line}"),
            None => why.to_owned(),
        };
        HostError::new(HostErrorKind::Lost, &self.session.host, detail)
    }
}

/// The extensions without which a host can't have a store.
const NEEDED: [&str; 3] = ["posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com"];

/// OpenSSH's server has supported all needed extensions since 6.5, and does not advertise those that it is configured
/// to deny.
fn why_missing(extensions: &Extensions) -> Why {
    let is_openssh = ["statvfs@openssh.com", "expand-path@openssh.com"]
        .iter()
        .any(|name| extensions.has(name));
    match (is_openssh, NEEDED.iter().any(|name| extensions.has(name))) {
        (false, _) => Why::Unknown,
        (true, false) => Why::ReadOnly,
        (true, true) => Why::Denies,
    }
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sftp({}:{})", self.0.session.host, self.0.session.docroot)
    }
}

type Running = Pin<Box<dyn Future<Output = (usize, usize, String, Outcome)> + Send>>;

impl Host for Sftp {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        Box::pin(async move {
            let line = &self.0;
            match flight(Arc::clone(&line.session), Arc::clone(&line.gate), ops).await {
                Ok(answers) => Ok(answers),
                Err(why) => Err(line.lost(&why).await),
            }
        })
    }

    fn copies(&self) -> bool {
        self.0.session.has("copy-data")
    }
}

/// Executes a flight. The error says why the connection is lost.
async fn flight(session: Arc<Session>, gate: Arc<Gate>, ops: Vec<Op>) -> Result<Answers, String> {
    let mut answers: Vec<Option<Reply>> = ops.iter().map(|_| None).collect();
    let mut under_way: FuturesUnordered<Running> = FuturesUnordered::new();
    let mut bytes = 0;
    let mut ops = ops.into_iter().enumerate().peekable();
    let mut most = MOST_OPS;
    let mut together = None;
    loop {
        let room = under_way.len() < most;
        let fits = |bytes: usize, op: &Op| bytes == 0 || bytes + op.payload() <= MOST_BYTES;
        let ended = if let Some((number, op)) = ops.next_if(|(_, op)| room && fits(bytes, op)) {
            let payload = op.payload();
            bytes += payload;
            let line = op.to_string();
            let session = Arc::clone(&session);
            let mut running: Running = Box::pin(async move { (number, payload, line, session.execute(op).await) });
            together.get_or_insert_with(|| gate.hold());
            most = MOST_OPS;
            // The first poll sends the operation.
            match futures_util::poll!(running.as_mut()) {
                Poll::Ready(ended) => ended,
                Poll::Pending => {
                    under_way.push(running);
                    continue;
                }
            }
        } else {
            together = None;
            if under_way.len() >= MOST_OPS {
                most = MOST_OPS - REFILL;
            }
            match under_way.next().await {
                Some(ended) => ended,
                None => break,
            }
        };
        let (number, payload, op, outcome) = ended;
        bytes -= payload;
        answers[number] = Some(match outcome {
            Ok(answer) => Ok(answer),
            Err(OpFailure::Refused(kind, message)) => Err(Refusal { kind, op, message }),
            Err(OpFailure::Broken(why)) => return Err(why),
        });
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Why an operation failed.
enum OpFailure {
    Refused(RefusalKind, String),
    /// The connection is lost or unusable.
    Broken(String),
}

type Outcome = Result<Answer, OpFailure>;

impl From<Error> for OpFailure {
    fn from(error: Error) -> Self {
        match error {
            Error::SftpError(kind, message) => Self::Refused(refusal_kind(kind), short(message.get().0)),
            Error::IOError(error) => Self::Broken(short(&error.to_string())),
            // Any other error of the client is internal to it.
            _ => Self::Broken("it broke off".to_owned()),
        }
    }
}

/// Distinguishes only what version 3 of the protocol distinguishes.
fn refusal_kind(kind: SftpErrorKind) -> RefusalKind {
    match kind {
        SftpErrorKind::NoSuchFile => RefusalKind::NotFound,
        SftpErrorKind::PermDenied => RefusalKind::Denied,
        _ => RefusalKind::Failed,
    }
}

fn refused(message: &str) -> OpFailure {
    OpFailure::Refused(RefusalKind::Failed, message.to_owned())
}

fn short(text: &str) -> String {
    printable(text).chars().take(LONGEST_MESSAGE).collect()
}

impl Session {
    /// Whether the server supports an extension.
    fn has(&self, extension: &str) -> bool {
        self.extensions.get().is_some_and(|all| all.has(extension))
    }

    /// Prepends the docroot. Paths are not joined: an operation's path must never replace the docroot, and the host
    /// must resolve `..`.
    fn at(&self, path: &str) -> String {
        if path.is_empty() {
            self.docroot.clone()
        } else {
            format!("{}/{path}", self.docroot)
        }
    }

    /// Executes an operation. The first poll sends all of its requests that don't depend on an answer.
    async fn execute(&self, op: Op) -> Outcome {
        let mut fs = self.client.fs();
        let done = |()| Answer::Done;
        match op {
            Op::Lstat(path) => attr(&fs.symlink_metadata(self.at(&path)).await?),
            Op::Stat(path) => attr(&fs.metadata(self.at(&path)).await?),
            Op::ReadLink(path) => self.text(fs.read_link(self.at(&path)).await?),
            Op::Resolve(path) => {
                // The server would also resolve a path whose last segment is missing.
                let mut there = self.client.fs();
                let at = self.at(&path);
                let (resolved, there) = join(fs.canonicalize(&at), there.metadata(&at)).await;
                there?;
                self.text(resolved?)
            }
            Op::List(path) => self.list(&path).await,
            Op::Space(path) => self.space(&path).await,
            Op::MakeFolder(path) => self.make_folder(&path).await,
            Op::Symlink { text, at } => Ok(fs.symlink(text, self.at(&at)).await.map(done)?),
            Op::Link { from, to } => Ok(fs.hard_link(self.at(&from), self.at(&to)).await.map(done)?),
            Op::Rename { from, to } => Ok(fs.rename(self.at(&from), self.at(&to)).await.map(done)?),
            Op::RemoveFile(path) => Ok(fs.remove_file(self.at(&path)).await.map(done)?),
            Op::RemoveFolder(path) => Ok(fs.remove_dir(self.at(&path)).await.map(done)?),
            Op::Create(path) => {
                let mut options = self.client.options();
                // The client only queries the length of a file if the file is also open for reading.
                options.read(true).write(true).create_new(true);
                let file = options.open(self.at(&path)).await?;
                Ok(Answer::Opened(self.open.keep(file)))
            }
            Op::Open(path) => {
                let file = self.client.options().read(true).open(self.at(&path)).await?;
                Ok(Answer::Opened(self.open.keep(file)))
            }
            Op::Read { handle, offset, length } => read(self.file(handle)?, offset, length).await,
            Op::Write { handle, offset, bytes } => write(&self.file(handle)?, offset, &bytes).await,
            Op::Copy {
                from,
                offset,
                length,
                to,
                at,
            } => copy((self.file(from)?, offset), length, (self.file(to)?, at)).await,
            Op::Finish { handle, mtime } => finish(self.take(handle)?, mtime).await,
            Op::Close(handle) => Ok(self.take(handle)?.close().await.map(done)?),
        }
    }

    /// Returns another view of an open file, with its own offset.
    fn file(&self, handle: Handle) -> Result<File, OpFailure> {
        self.open.get(handle).ok_or_else(|| refused(NOT_OPEN))
    }

    fn take(&self, handle: Handle) -> Result<File, OpFailure> {
        self.open.take(handle).ok_or_else(|| refused(NOT_OPEN))
    }

    async fn make_folder(&self, path: &str) -> Outcome {
        let at = self.at(path);
        let mode = Permissions::from(0o755);
        let (mut fs, mut fs_mode) = (self.client.fs(), self.client.fs());
        // The umask reduces the mode given to the call, so the mode is set afterwards, in the same flight. If something
        // already existed, the first request fails, and `/.` keeps the second one from changing a file.
        let through = format!("{at}/.");
        let made = async { fs.create_dir(&at).await };
        let set = async { fs_mode.set_permissions(&through, mode).await };
        let (made, set) = join(made, set).await;
        made?;
        set?;
        Ok(Answer::Done)
    }

    async fn list(&self, path: &str) -> Outcome {
        let folder = self.client.fs().open_dir(self.at(path)).await?;
        // A server sends about a hundred names per answer, so several requests are sent concurrently.
        let readers = (0..READERS).map(|_| Box::pin(folder.clone().read_dir()));
        let mut entries = futures_util::stream::select_all(readers);
        let mut names = Vec::new();
        while let Some(entry) = entries.try_next().await? {
            let Some(name) = entry.filename().to_str() else {
                return Err(refused("a name in the folder is not UTF-8"));
            };
            if name == "." || name == ".." {
                continue;
            }
            // A name must be a single segment, whatever the host sends.
            if name.is_empty() || name.len() > LONGEST_NAME || name.contains(['/', '\0']) {
                return Err(refused(&format!("the host lists an impossible name: {}", short(name))));
            }
            self.budget.take_in(1, name.len())?;
            names.push((name.to_owned(), attr_of(&entry.metadata())?));
        }
        Ok(Answer::Names(names))
    }

    fn text(&self, path: std::path::PathBuf) -> Outcome {
        let text = path.into_os_string().into_string();
        let text = text.map_err(|_| refused("the symlink's text is not UTF-8"))?;
        if text.len() > LONGEST_TEXT {
            return Err(refused("the symlink's text is longer than any can be"));
        }
        self.budget.take_in(0, text.len())?;
        Ok(Answer::Text(text))
    }

    async fn space(&self, path: &str) -> Outcome {
        if !self.has("statvfs@openssh.com") {
            return Err(refused("the server does not report how much room there is"));
        }
        let stat = self.client.fs().statvfs(self.at(path)).await?;
        Ok(Answer::Space(Space {
            bytes: stat.bavail.saturating_mul(stat.frsize),
            files: (stat.files > 0).then_some(stat.favail),
            read_only: stat.flag & READ_ONLY != 0,
        }))
    }
}

/// The bit of `statvfs@openssh.com` for a file system that is mounted read-only.
const READ_ONLY: u64 = 1;

fn attr(metadata: &MetaData) -> Outcome {
    attr_of(metadata).map(Answer::Attr)
}

fn attr_of(metadata: &MetaData) -> Result<Attr, OpFailure> {
    let kind = metadata
        .file_type()
        .ok_or_else(|| refused("the host does not say what it is"))?;
    let kind = |is: fn(&FileType) -> bool| is(&kind);
    let seconds = |time: UnixTimeStamp| Time::try_from(time.as_duration().as_secs()).unwrap_or(Time::MAX);
    Ok(Attr {
        kind: if kind(FileType::is_file) {
            Kind::File
        } else if kind(FileType::is_dir) {
            Kind::Folder
        } else if kind(FileType::is_symlink) {
            Kind::Symlink
        } else {
            Kind::Other
        },
        size: metadata.len().unwrap_or(0),
        mtime: metadata.modified().map_or(0, seconds),
        mode: metadata.permissions().map_or(0, |mode| mode.as_raw().bits()),
        uid: metadata.uid().unwrap_or(u32::MAX),
    })
}

fn seek(file: &mut File, offset: u64) -> Result<(), OpFailure> {
    // This only records the offset: every request contains its own.
    Pin::new(file)
        .start_seek(std::io::SeekFrom::Start(offset))
        .map_err(|error| refused(&error.to_string()))
}

/// Reads in a loop, because a server may return less than was requested at any time.
async fn read(mut file: File, offset: u64, length: u32) -> Outcome {
    let mut bytes = Vec::new();
    while bytes.len() < length as usize {
        let filled = bytes.len();
        seek(&mut file, offset + filled as u64)?;
        let wanted = length - u32::try_from(filled).unwrap_or(length);
        match file.read(wanted, bytes::BytesMut::new()).await? {
            Some(piece) if !piece.is_empty() => bytes.extend_from_slice(&piece),
            _ => break,
        }
    }
    // The server must not return more, either.
    bytes.truncate(length as usize);
    Ok(Answer::Bytes(bytes))
}

/// Writes all chunks concurrently.
async fn write(file: &File, offset: u64, bytes: &[u8]) -> Outcome {
    let chunks = bytes.chunks(CHUNK).enumerate().map(|(number, chunk)| {
        let mut file = file.clone();
        async move {
            let mut chunk = chunk;
            let mut at = offset + (number * CHUNK) as u64;
            while !chunk.is_empty() {
                seek(&mut file, at)?;
                let written = file.write(chunk).await?;
                at += written as u64;
                chunk = &chunk[written..];
            }
            Ok::<(), OpFailure>(())
        }
    });
    try_join_all(chunks).await?;
    Ok(Answer::Done)
}

/// Copies with `copy-data` of OpenSSH 9.0 and later. The server may report success although the source ended too early
/// or the last part could not be read or written. In that case the file is shorter than it should be, so its length is
/// checked.
async fn copy((mut from, offset): (File, u64), length: u64, (mut to, at): (File, u64)) -> Outcome {
    let mut written = to.clone();
    seek(&mut from, offset)?;
    seek(&mut to, at)?;
    let wanted = NonZeroU64::new(length).ok_or_else(|| refused("nothing to copy"))?;
    let (copied, there) = join(from.copy_to(&mut to, wanted), written.metadata()).await;
    copied?;
    match there?.len() {
        Some(there) if at.checked_add(length).is_some_and(|end| end <= there) => Ok(Answer::Done),
        _ => Err(refused("not all of it was copied")),
    }
}

/// Sets mode and time and waits for the disk, with two concurrent requests. The close follows when the last view of the
/// file is dropped. It is not awaited, because after a successful sync there is nothing left to lose.
async fn finish(file: File, mtime: Time) -> Outcome {
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(mtime).unwrap_or(0));
    let time = UnixTimeStamp::new(time).map_err(|_| refused("a time that SFTP can't say"))?;
    let metadata = MetaDataBuilder::new()
        .permissions(Permissions::from(0o644))
        .time(time, time)
        .create();
    let (mut to_set, mut to_sync) = (file.clone(), file);
    let (set, synced) = join(to_set.set_metadata(metadata), to_sync.sync_all()).await;
    set?;
    synced?;
    Ok(Answer::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_have_one_budget_for_a_connection() {
        let budget = Budget::default();
        for _ in 0..10 {
            assert!(budget.take_in(MOST_NAMES / 10, MOST_TEXT / 10).is_ok());
        }
        assert!(matches!(budget.take_in(MOST_NAMES / 10, 0), Err(OpFailure::Broken(_))));
        let budget = Budget::default();
        assert!(budget.take_in(1, MOST_TEXT).is_ok());
        assert!(matches!(budget.take_in(0, LONGEST_TEXT), Err(OpFailure::Broken(_))));
    }
}

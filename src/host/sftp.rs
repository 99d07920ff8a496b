//! A host reached over SFTP.
//!
//! The system's `ssh` carries the connection ([`ssh`](super::ssh)). SFTP itself is spoken here, not by a crate: a flight
//! needs its requests queued by plain calls, in order, with closing a file among them while its writes are still on their
//! way (the crates send a close only when all else is answered: a round trip more in every flight that ends a file), and a
//! name that isn't UTF-8 or a host that lies must be a refusal, not the end of the connection or of the process.
//!
//! It must never do on the host what isn't in the flight, and never retry: whether an unanswered request was executed is
//! not known.

mod link;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use self::link::{Link, Pending};
use self::wire::{Attrs, Reply, Request};
use super::op::{Answer, Attr, Handle, Kind, Op, Refusal, RefusalKind, Space, Time};
use super::ssh::{self, BadAddress, SftpAddress, Ssh};
use super::{Answers, Connect, Host, HostError};
use crate::model::path::printable;

/// What may be on its way at once: enough to fill a line of some hundred milliseconds, little enough for memory.
const MOST_OPS: usize = 4096;
const MOST_BYTES: usize = 8 << 20;

/// Folders are read by several requests at once, for a server gives a hundred names at a time.
const FIRST_READS: usize = 4;
const MOST_READS: usize = 64;

/// A server that never ends a folder shall not fill the memory.
const MOST_NAMES: usize = 5_000_000;

/// Longest message of a server that is passed on.
const LONGEST_MESSAGE: usize = 300;

/// ssh gives up earlier; this is for a jump or a server that says nothing at all.
const CONNECT: Duration = Duration::from_secs(60);

/// Makes connections to one address.
#[derive(Debug, Clone)]
pub struct SftpConnector {
    address: SftpAddress,
}

impl SftpConnector {
    /// A connector to an address that can be given to ssh.
    ///
    /// # Errors
    /// [`BadAddress`] where it can't.
    pub fn new(address: SftpAddress) -> Result<Self, BadAddress> {
        ssh::command_line(&address, None)?;
        Ok(Self { address })
    }
}

impl Connect for SftpConnector {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(Sftp::open(&self.address).await?) as Box<dyn Host>) })
    }

    fn name(&self) -> String {
        self.address.host.clone()
    }
}

/// A docroot over SFTP.
pub struct Sftp {
    session: Arc<Session>,
    ssh: Ssh,
}

struct Session {
    host: String,
    docroot: String,
    link: Link,
    open: Mutex<Open>,
    most_read: usize,
    most_write: usize,
    tells_space: bool,
}

#[derive(Default)]
struct Open {
    last: u64,
    files: HashMap<Handle, Arc<[u8]>>,
}

impl Sftp {
    /// Connects, and makes the docroot if its parent exists.
    ///
    /// # Errors
    /// As [`HostError`] has them.
    pub async fn open(address: &SftpAddress) -> Result<Self, HostError> {
        let (ssh, stdin, stdout) = Ssh::start(address)?;
        let (link, hello) = Link::open(stdin, stdout);
        let docroot = address.docroot.trim_end_matches('/');
        // Asked before the server has greeted: a round trip less. It answers in order, and what it doesn't know it refuses.
        let limits = link.send(&Request::Limits);
        let is_there = link.send(&Request::Stat {
            path: &format!("{docroot}/"),
        });
        let greeted = timeout(CONNECT, async {
            Some((hello.await.ok()?, limits.await.ok()?, is_there.await.ok()?))
        });
        let (extensions, limits, is_there) = match greeted.await {
            Ok(Some(greeted)) => greeted,
            Ok(None) => {
                let end = link.end().unwrap_or_default();
                return Err(ssh::failure(address, &ssh.last_words().await, &end));
            }
            Err(_) => {
                return Err(HostError::Unreachable {
                    host: address.host.clone(),
                    detail: format!("no answer within {} seconds", CONNECT.as_secs()),
                });
            }
        };
        let has = |name: &str| extensions.iter().any(|extension| extension == name);
        if let Some(missing) = [wire::RENAME, wire::LINK, wire::SYNC]
            .into_iter()
            .find(|name| !has(name))
        {
            return Err(HostError::MissingExtension {
                host: address.host.clone(),
                extension: missing.to_owned(),
            });
        }
        let (most_read, most_write) = match limits {
            Reply::Extended(payload) => wire::limits(&payload).unwrap_or((wire::CAUTIOUS, wire::CAUTIOUS)),
            _ => (wire::CAUTIOUS, wire::CAUTIOUS),
        };
        let session = Session {
            host: address.host.clone(),
            docroot: docroot.to_owned(),
            link,
            open: Mutex::default(),
            most_read,
            most_write,
            tells_space: has(wire::SPACE),
        };
        let sftp = Self {
            session: Arc::new(session),
            ssh,
        };
        sftp.enter(is_there).await?;
        Ok(sftp)
    }

    /// Makes sure that the docroot is a folder.
    async fn enter(&self, is_there: Reply) -> Result<(), HostError> {
        let cannot = |detail: String| HostError::Folder {
            folder: format!("{}:{}", self.session.host, self.session.docroot),
            detail,
        };
        match attr(is_there) {
            Ok(Attr { kind: Kind::Folder, .. }) => Ok(()),
            Ok(_) => Err(cannot("it is not a folder".to_owned())),
            Err(Fault::Refused(RefusalKind::NotFound, _)) => {
                let made = self.flight(vec![Op::MakeFolder(String::new())]).await?.pop();
                match made {
                    Some(Err(refusal)) => Err(cannot(refusal.message)),
                    _ => Ok(()),
                }
            }
            Err(Fault::Refused(_, message)) => Err(cannot(message)),
            Err(Fault::Broken(detail)) => Err(self.lost(Some(detail)).await),
        }
    }

    /// The end of the connection, with what ssh said of it.
    async fn lost(&self, why: Option<String>) -> HostError {
        if let Some(why) = &why {
            self.session.link.close(why);
        }
        let end = why.or_else(|| self.session.link.end()).unwrap_or_default();
        let said = self.ssh.last_words().await;
        let detail = match said.lines().last() {
            Some(line) => format!("{end}; ssh said: {line}"),
            None => end,
        };
        HostError::Lost {
            host: self.session.host.clone(),
            detail,
        }
    }
}

impl Host for Sftp {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        Box::pin(async move {
            let mut answers: Vec<Option<Result<Answer, Refusal>>> = ops.iter().map(|_| None).collect();
            let mut under_way = FuturesUnordered::new();
            let mut bytes = 0;
            let mut ops = ops.into_iter().enumerate().peekable();
            loop {
                // Starting an operation queues its requests: what has started in order is sent in order.
                while let Some((number, op)) = ops.next_if(|(_, op)| {
                    under_way.is_empty() || (under_way.len() < MOST_OPS && bytes + op.payload() <= MOST_BYTES)
                }) {
                    let payload = op.payload();
                    bytes += payload;
                    let line = Line::of(&op);
                    let answer = self.session.start(op);
                    under_way.push(async move { (number, payload, line, answer.await) });
                }
                let Some((number, payload, line, answer)) = under_way.next().await else {
                    break;
                };
                bytes -= payload;
                answers[number] = Some(match answer {
                    Ok(answer) => Ok(answer),
                    Err(Fault::Refused(kind, message)) => Err(Refusal {
                        kind,
                        op: line.0,
                        message,
                    }),
                    Err(Fault::Broken(why)) => return Err(self.lost(Some(why).filter(|why| !why.is_empty())).await),
                });
            }
            Ok(answers.into_iter().flatten().collect())
        })
    }

    fn name(&self) -> String {
        self.session.host.clone()
    }
}

/// An operation's record line, should it be refused.
struct Line(String);

impl Line {
    fn of(op: &Op) -> Self {
        Self(op.to_string())
    }
}

/// Why an operation has no answer.
enum Fault {
    Refused(RefusalKind, String),
    /// The connection is gone, or is no use any more. Empty where the link knows why.
    Broken(String),
}

type Outcome = Result<Answer, Fault>;

impl Session {
    /// Queues an operation's requests before it returns, all that can be known by then.
    fn start(self: &Arc<Self>, op: Op) -> BoxFuture<'static, Outcome> {
        match op {
            Op::Lstat(path) => self.one(&Request::Lstat { path: &self.at(&path) }, |r| attr(r).map(Answer::Attr)),
            Op::Stat(path) => self.one(&Request::Stat { path: &self.at(&path) }, |r| attr(r).map(Answer::Attr)),
            Op::ReadLink(path) => self.one(&Request::ReadLink { path: &self.at(&path) }, link_text),
            Op::List(path) => self.list(&path),
            Op::Space(path) => self.space(&path),
            Op::MakeFolder(path) => {
                let path = self.at(&path);
                let made = self.link.send(&Request::MakeFolder {
                    path: &path,
                    mode: 0o755,
                });
                // The mode given to the call is cut by the umask. `/.`, or a file in the folder's place would get it.
                let set = self.link.send(&Request::SetMode {
                    path: &format!("{path}/."),
                    mode: 0o755,
                });
                all([made, set])
            }
            Op::Symlink { text, at } => self.one(
                &Request::Symlink {
                    text: &text,
                    at: &self.at(&at),
                },
                done,
            ),
            Op::Link { from, to } => self.one(
                &Request::Link {
                    from: &self.at(&from),
                    to: &self.at(&to),
                },
                done,
            ),
            Op::Rename { from, to } => self.one(
                &Request::Rename {
                    from: &self.at(&from),
                    to: &self.at(&to),
                },
                done,
            ),
            Op::RemoveFile(path) => self.one(&Request::RemoveFile { path: &self.at(&path) }, done),
            Op::RemoveFolder(path) => self.one(&Request::RemoveFolder { path: &self.at(&path) }, done),
            Op::Create(path) => {
                let opened = self.link.send(&Request::OpenNew {
                    path: &self.at(&path),
                    mode: 0o644,
                });
                let session = Arc::clone(self);
                Box::pin(async move { Ok(Answer::Opened(session.keep(handle(opened).await?))) })
            }
            Op::Open(path) => self.open_to_read(&path),
            Op::Read { handle, offset, length } => self.with(handle, |file| self.read(&file, offset, length)),
            Op::Write { handle, offset, bytes } => self.with(handle, |file| self.write(&file, offset, &bytes)),
            Op::Finish { handle, mtime } => self.finish(handle, mtime),
            Op::Close(handle) => match self.take(handle) {
                Some(file) => all([self.link.send(&Request::Close { handle: &file })]),
                None => no_such_file(),
            },
        }
    }

    /// Not joined: an operation's path must never replace the docroot, and `..` is the host's to resolve.
    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.docroot)
    }

    fn one(&self, request: &Request, read: fn(Reply) -> Outcome) -> BoxFuture<'static, Outcome> {
        let sent = self.link.send(request);
        Box::pin(async move { read(reply(sent).await?) })
    }

    fn space(&self, path: &str) -> BoxFuture<'static, Outcome> {
        if !self.tells_space {
            return refused(format!("the server lacks the extension {}", wire::SPACE));
        }
        self.one(&Request::Space { path: &self.at(path) }, |reply| match reply {
            Reply::Extended(payload) => {
                let (bytes, files) = wire::space(&payload).map_err(|e| Fault::Broken(e.to_string()))?;
                Ok(Answer::Space(Space { bytes, files }))
            }
            other => Err(fault(other)),
        })
    }

    /// The system would open a folder too, and fail at the first read only.
    fn open_to_read(self: &Arc<Self>, path: &str) -> BoxFuture<'static, Outcome> {
        let path = self.at(path);
        let opened = self.link.send(&Request::OpenToRead { path: &path });
        let what = self.link.send(&Request::Stat { path: &path });
        let session = Arc::clone(self);
        Box::pin(async move {
            let file = handle(opened).await?;
            if attr(reply(what).await?).is_ok_and(|attr| attr.kind == Kind::Folder) {
                drop(session.link.send(&Request::Close { handle: &file }));
                return Err(Fault::Refused(RefusalKind::Failed, "it is a folder".to_owned()));
            }
            Ok(Answer::Opened(session.keep(file)))
        })
    }

    fn read(self: &Arc<Self>, file: &Arc<[u8]>, offset: u64, length: u32) -> BoxFuture<'static, Outcome> {
        let piece = u32::try_from(self.most_read).unwrap_or(u32::MAX);
        let starts = (0..length).step_by(self.most_read);
        let pieces: Vec<_> = starts
            .map(|start| {
                let from = offset.saturating_add(start.into());
                let length = piece.min(length - start);
                (
                    from,
                    length,
                    self.link.send(&Request::Read {
                        handle: file,
                        offset: from,
                        length,
                    }),
                )
            })
            .collect();
        let (session, file) = (Arc::clone(self), Arc::clone(file));
        Box::pin(async move {
            let mut bytes = Vec::new();
            for (from, length, mut sent) in pieces {
                let wanted = bytes.len() + length as usize;
                loop {
                    match reply(sent).await? {
                        Reply::Status { code: wire::END, .. } => return Ok(Answer::Bytes(bytes)),
                        Reply::Data(data) if !data.is_empty() && bytes.len() + data.len() <= wanted => {
                            bytes.extend(data)
                        }
                        Reply::Data(_) => return Err(Fault::Broken("the server reads other than asked".to_owned())),
                        other => return Err(fault(other)),
                    }
                    // A server may give less than it was asked for: the rest is asked for again.
                    let missing = u32::try_from(wanted - bytes.len()).unwrap_or(0);
                    if missing == 0 {
                        break;
                    }
                    let offset = from + u64::from(length - missing);
                    sent = session.link.send(&Request::Read {
                        handle: &file,
                        offset,
                        length: missing,
                    });
                }
            }
            Ok(Answer::Bytes(bytes))
        })
    }

    fn write(&self, file: &[u8], offset: u64, bytes: &[u8]) -> BoxFuture<'static, Outcome> {
        let pieces = (0u64..).step_by(self.most_write).zip(bytes.chunks(self.most_write));
        all(pieces.map(|(start, bytes)| {
            let offset = offset.saturating_add(start);
            self.link.send(&Request::Write {
                handle: file,
                offset,
                bytes,
            })
        }))
    }

    fn finish(&self, handle: Handle, mtime: Time) -> BoxFuture<'static, Outcome> {
        // SFTP's times have 32 bits, and end in 2106. Another time than was asked for would be a lie.
        let Ok(time) = u32::try_from(mtime) else {
            return refused(format!("SFTP has no words for the time {mtime}"));
        };
        let Some(file) = self.take(handle) else {
            return no_such_file();
        };
        // After the writes, which would move the time; closed whatever the others answer.
        all([
            Request::SetModeAndTime {
                handle: &file,
                mode: 0o644,
                time,
            },
            Request::Sync { handle: &file },
            Request::Close { handle: &file },
        ]
        .map(|request| self.link.send(&request)))
    }

    fn list(self: &Arc<Self>, path: &str) -> BoxFuture<'static, Outcome> {
        let opened = self.link.send(&Request::OpenFolder { path: &self.at(path) });
        let session = Arc::clone(self);
        Box::pin(async move {
            let folder = handle(opened).await?;
            let names = session.names(&folder).await;
            // Nothing was written through it: how it closes says nothing.
            drop(session.link.send(&Request::Close { handle: &folder }));
            names.map(Answer::Names)
        })
    }

    async fn names(&self, folder: &[u8]) -> Result<Vec<(String, Attr)>, Fault> {
        let mut names = Vec::new();
        let mut reads = FIRST_READS;
        loop {
            let sent: Vec<_> = (0..reads)
                .map(|_| self.link.send(&Request::ReadFolder { handle: folder }))
                .collect();
            for sent in sent {
                match reply(sent).await? {
                    Reply::Status { code: wire::END, .. } => return Ok(names),
                    // Without names it would never end.
                    Reply::Names(more) if !more.is_empty() => {
                        for (name, attrs) in more {
                            if !matches!(name.as_slice(), b"." | b"..") {
                                names.push((entry_name(name)?, known(attrs)?));
                            }
                        }
                    }
                    other => return Err(fault(other)),
                }
                if names.len() > MOST_NAMES {
                    return Err(failed("the folder holds more names than a store has"));
                }
            }
            reads = (reads * 2).min(MOST_READS);
        }
    }

    fn with(
        &self,
        handle: Handle,
        work: impl FnOnce(Arc<[u8]>) -> BoxFuture<'static, Outcome>,
    ) -> BoxFuture<'static, Outcome> {
        let file = self.lock().files.get(&handle).cloned();
        file.map_or_else(no_such_file, work)
    }

    fn keep(&self, file: Arc<[u8]>) -> Handle {
        let mut open = self.lock();
        open.last += 1;
        let handle = Handle(open.last);
        open.files.insert(handle, file);
        handle
    }

    fn take(&self, handle: Handle) -> Option<Arc<[u8]>> {
        self.lock().files.remove(&handle)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn reply(sent: Pending) -> Result<Reply, Fault> {
    sent.await.map_err(|_| Fault::Broken(String::new()))
}

async fn handle(sent: Pending) -> Result<Arc<[u8]>, Fault> {
    match reply(sent).await? {
        Reply::Handle(handle) => Ok(handle.into()),
        other => Err(fault(other)),
    }
}

/// Done when all are; the first failure counts, but is told only when nothing is under way any more.
fn all(sent: impl IntoIterator<Item = Pending>) -> BoxFuture<'static, Outcome> {
    let sent: Vec<Pending> = sent.into_iter().collect();
    Box::pin(async move {
        let mut outcome = Ok(Answer::Done);
        for answer in join_all(sent.into_iter().map(reply)).await {
            let answer = answer.and_then(done);
            if outcome.is_ok() {
                outcome = answer;
            }
        }
        outcome
    })
}

fn done(reply: Reply) -> Outcome {
    match reply {
        Reply::Status { code: wire::OK, .. } => Ok(Answer::Done),
        other => Err(fault(other)),
    }
}

fn attr(reply: Reply) -> Result<Attr, Fault> {
    match reply {
        Reply::Attrs(attrs) => known(attrs),
        other => Err(fault(other)),
    }
}

fn link_text(reply: Reply) -> Outcome {
    match reply {
        Reply::Names(mut names) if names.len() == 1 => {
            let text = names.pop().unwrap_or_default().0;
            let text = String::from_utf8(text).map_err(|_| failed("the symlink's text is not UTF-8"))?;
            Ok(Answer::Text(text))
        }
        other => Err(fault(other)),
    }
}

/// A name that the host says is in a folder. It will be put into paths, so it must be one name.
fn entry_name(name: Vec<u8>) -> Result<String, Fault> {
    let evil = name.is_empty() || name.contains(&b'/') || name.contains(&0);
    let shown = |name: &[u8]| {
        printable(&String::from_utf8_lossy(name))
            .chars()
            .take(LONGEST_MESSAGE)
            .collect::<String>()
    };
    if evil {
        return Err(failed(&format!(
            "the folder holds what can't be a name: {}",
            shown(&name)
        )));
    }
    String::from_utf8(name).map_err(|e| failed(&format!("a name in the folder is not UTF-8: {}", shown(e.as_bytes()))))
}

fn known(attrs: Attrs) -> Result<Attr, Fault> {
    let silent = || failed("the server does not say what it is");
    let mode = attrs.mode.ok_or_else(silent)?;
    Ok(Attr {
        kind: match mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Symlink,
            _ => Kind::Other,
        },
        size: attrs.size.ok_or_else(silent)?,
        mtime: attrs.mtime.ok_or_else(silent)?.into(),
        mode: mode & 0o7777,
        uid: attrs.uid.ok_or_else(silent)?,
    })
}

/// A reply that isn't the answer: a refusal, or nonsense.
fn fault(reply: Reply) -> Fault {
    let Reply::Status { code, message } = reply else {
        return Fault::Broken("the server answers another question than was asked".to_owned());
    };
    let kind = match code {
        wire::OK | wire::END => {
            return Fault::Broken("the server answers nothing where something was asked".to_owned());
        }
        wire::NO_SUCH_FILE => RefusalKind::NotFound,
        wire::PERMISSION_DENIED => RefusalKind::Denied,
        _ => RefusalKind::Failed,
    };
    let message = if message.is_empty() {
        format!("status {code}")
    } else {
        message
    };
    Fault::Refused(kind, printable(&message).chars().take(LONGEST_MESSAGE).collect())
}

fn failed(message: &str) -> Fault {
    Fault::Refused(RefusalKind::Failed, message.to_owned())
}

fn refused(message: String) -> BoxFuture<'static, Outcome> {
    Box::pin(async move { Err(Fault::Refused(RefusalKind::Failed, message)) })
}

fn no_such_file() -> BoxFuture<'static, Outcome> {
    refused("no such open file".to_owned())
}

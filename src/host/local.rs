//! A host that is a folder on this machine.
//!
//! It has the same store as over SFTP, for the local target and for trying things out. It implements the contract of
//! [`Host`](super::Host) with system calls. It must never touch anything that an operation does not name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::BoxFuture;

use super::op::{Answer, Attr, Handle, Kind, NOT_OPEN, Op, OpenFiles, Refusal, RefusalKind, Reply, Space, Time};
use super::{Answers, Connect, Host, HostError, HostErrorKind, panics};

/// A docroot in the local file system.
#[derive(Debug, Clone)]
pub struct Local {
    state: Arc<LocalState>,
}

#[derive(Debug)]
struct LocalState {
    root: PathBuf,
    open: OpenFiles<Arc<File>>,
}

impl Local {
    /// Opens the folder `docroot`. If it does not exist, every operation answers that nothing is there: the first
    /// publish creates the store, and commands that only read leave no trace.
    ///
    /// # Errors
    /// [`HostErrorKind::Folder`] if the path is not a folder, or if the system refuses access.
    pub fn open(docroot: &Path) -> Result<Self, HostError> {
        let cannot = |detail: String| HostError::new(HostErrorKind::Folder, docroot.display().to_string(), detail);
        match fs::metadata(docroot) {
            Ok(metadata) if !metadata.is_dir() => return Err(cannot("it is not a folder".to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error.to_string())),
            Ok(_) | Err(_) => {}
        }
        Ok(Self {
            state: Arc::new(LocalState {
                root: docroot.to_owned(),
                open: OpenFiles::default(),
            }),
        })
    }
}

/// Opens one folder on this machine.
#[derive(Debug, Clone)]
pub struct LocalConnector {
    /// The docroot.
    pub docroot: PathBuf,
}

impl Connect for LocalConnector {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(Local::open(&self.docroot)?) as Box<dyn Host>) })
    }

    fn name(&self) -> String {
        self.docroot.display().to_string()
    }
}

impl Host for Local {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            let folder = state.root.display().to_string();
            tokio::task::spawn_blocking(move || ops.into_iter().map(|op| state.execute(op)).collect())
                .await
                .map_err(|error| HostError::new(HostErrorKind::Panicked, folder, panics::said(error)))
        })
    }

    fn copies(&self) -> bool {
        true
    }
}

impl LocalState {
    fn execute(&self, op: Op) -> Reply {
        let line = op.to_string();
        self.attempt(op).map_err(|error| Refusal {
            kind: refusal_kind(&error),
            op: line,
            message: plain(&error),
        })
    }

    fn attempt(&self, op: Op) -> io::Result<Answer> {
        // Not `join`: an operation's path must never replace the root, and the system must resolve `..`.
        let at = |path: &str| {
            let mut full = self.root.clone().into_os_string();
            full.push("/");
            full.push(path);
            PathBuf::from(full)
        };
        match op {
            Op::Lstat(path) => fs::symlink_metadata(at(&path)).map(|m| Answer::Attr(attr(&m))),
            Op::Stat(path) => fs::metadata(at(&path)).map(|m| Answer::Attr(attr(&m))),
            Op::Resolve(path) => text(fs::canonicalize(at(&path))?, "the path is not UTF-8"),
            Op::ReadLink(path) => text(fs::read_link(at(&path))?, "the symlink's text is not UTF-8"),
            Op::List(path) => list(&at(&path)).map(Answer::Names),
            Op::Space(path) => space(&at(&path)).map(Answer::Space),
            Op::MakeFolder(path) => make_folder(&at(&path)),
            Op::Symlink { text, at: place } => done(std::os::unix::fs::symlink(text, at(&place))),
            Op::Link { from, to } => done(fs::hard_link(at(&from), at(&to))),
            Op::Rename { from, to } => done(fs::rename(at(&from), at(&to))),
            Op::RemoveFile(path) => done(fs::remove_file(at(&path))),
            Op::RemoveFolder(path) => done(fs::remove_dir(at(&path))),
            Op::Create(path) => {
                // As over SFTP, the file can be read back.
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o644)
                    .open(at(&path))?;
                Ok(Answer::Opened(self.open.keep(Arc::new(file))))
            }
            Op::Open(path) => {
                let file = File::open(at(&path))?;
                if file.metadata()?.is_dir() {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory));
                }
                Ok(Answer::Opened(self.open.keep(Arc::new(file))))
            }
            Op::Read { handle, offset, length } => read(&*self.file(handle)?, offset, length as usize),
            Op::Write { handle, offset, bytes } => done(self.file(handle)?.write_all_at(&bytes, offset)),
            Op::Copy {
                from,
                offset,
                length,
                to,
                at,
            } => copy(&*self.file(from)?, offset, length, &*self.file(to)?, at),
            Op::Finish { handle, mtime } => {
                let file = self.take(handle)?;
                file.set_permissions(fs::Permissions::from_mode(0o644))?;
                file.set_modified(UNIX_EPOCH + Duration::from_secs(u64::try_from(mtime).unwrap_or(0)))?;
                done(file.sync_all())
            }
            Op::Close(handle) => done(self.take(handle).map(drop)),
        }
    }

    fn file(&self, handle: Handle) -> io::Result<Arc<File>> {
        self.open.get(handle).ok_or_else(no_such_handle)
    }

    fn take(&self, handle: Handle) -> io::Result<Arc<File>> {
        self.open.take(handle).ok_or_else(no_such_handle)
    }
}

fn no_such_handle() -> io::Error {
    io::Error::other(NOT_OPEN)
}

fn text(path: PathBuf, unless: &str) -> io::Result<Answer> {
    let text = path.into_os_string().into_string();
    text.map(Answer::Text).map_err(|_| io::Error::other(unless))
}

fn done(result: io::Result<()>) -> io::Result<Answer> {
    result.map(|()| Answer::Done)
}

fn make_folder(path: &Path) -> io::Result<Answer> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    // The umask reduces the mode given to the call.
    done(fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
}

fn list(path: &Path) -> io::Result<Vec<(String, Attr)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| io::Error::other("a name in the folder is not UTF-8"))?;
        match fs::symlink_metadata(entry.path()) {
            Ok(metadata) => names.push((name, attr(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // removed between the two calls
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// The system's error message without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        files: (stat.f_files > 0).then_some(stat.f_favail),
        read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

fn read(file: &File, offset: u64, length: usize) -> io::Result<Answer> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(Answer::Bytes(bytes))
}

/// How many bytes a copy reads at a time.
const COPIED: u64 = 1 << 20;

fn copy(from: &File, offset: u64, length: u64, to: &File, at: u64) -> io::Result<Answer> {
    let mut done = 0;
    while done < length {
        let mut piece = vec![0; usize::try_from((length - done).min(COPIED)).unwrap_or(0)];
        from.read_exact_at(&mut piece, offset + done)?;
        to.write_all_at(&piece, at + done)?;
        done += piece.len() as u64;
    }
    Ok(Answer::Done)
}

fn attr(metadata: &fs::Metadata) -> Attr {
    let kind = metadata.file_type();
    Attr {
        kind: if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Symlink
        } else {
            Kind::Other
        },
        size: metadata.len(),
        mtime: metadata.mtime() as Time,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
    }
}

/// Distinguishes no more than SFTP does, so that callers can't rely on more.
fn refusal_kind(error: &io::Error) -> RefusalKind {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return RefusalKind::NotFound;
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => RefusalKind::NotFound,
        io::ErrorKind::PermissionDenied => RefusalKind::Denied,
        _ => RefusalKind::Failed,
    }
}

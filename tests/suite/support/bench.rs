//! Sites in memory, the commands that change a store, and the content of a store, all through the library. For tests
//! that run thousands of times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex_lite::Regex;
use syntax_publish::config::Level;
use syntax_publish::host::{Answer, Connect, Handle, Host, Kind, MAX_READ, Op};
use syntax_publish::model::cache::Classes;
use syntax_publish::model::channel::{ChannelName, Slot};
use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::{Coding, Encodings, Recipe};
use syntax_publish::model::layout;
use syntax_publish::model::manifest::{Input, Site};
use syntax_publish::model::path::SitePath;
use syntax_publish::model::redirect::{self, Redirect, Status};
use syntax_publish::model::release::{Owner, ReleaseId};
use syntax_publish::site::source::{Source, SourceError};
use syntax_publish::store::Error;
use syntax_publish::store::open;
use syntax_publish::store::promote;
use syntax_publish::store::prune;
use syntax_publish::store::publish;
use syntax_publish::store::remote_cache::RemoteCache;
use syntax_publish::store::remote_source::RemoteSource;
use syntax_publish::store::rollback;
use syntax_publish::store::rollback::Destination;
use syntax_publish::store::session::{Pace, Session};
use syntax_publish::store::verify::{Depth, verify};

use super::memory::Disk;

/// A site, from public path to content. A path below `.moved/` that ends with `=` is a redirect (308), and its content is
/// the `Location`.
pub type Content = BTreeMap<String, Vec<u8>>;

/// A site of text pages.
pub fn content<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Content {
    let text = |(path, text): (&str, &str)| (path.to_owned(), text.repeat(64).into_bytes());
    files.into_iter().map(text).collect()
}

/// Redirects, from moved address to `Location`.
pub fn redirects<'a>(moved: impl IntoIterator<Item = (&'a str, &'a str)>) -> Content {
    let entry = |(address, location): (&str, &str)| {
        let path = redirect::path_of(address).expect("an address that a release can have");
        (path.to_string(), location.as_bytes().to_vec())
    };
    moved.into_iter().map(entry).collect()
}

/// Whether the entry at a path of a site is a redirect.
fn is_redirect(path: &str) -> bool {
    redirect::address_of(path).is_some()
}

/// The `Location` of a redirect, by its symlink's text and whether that leads to a folder. For anything but what a
/// publish makes of a [`Content`], a description that is no `Location`.
fn location(text: &str, has_folder: bool) -> Vec<u8> {
    let inner = text.strip_prefix("../../moved/308/same");
    match inner.and_then(|inner| inner.strip_suffix('=')) {
        Some(location) if has_folder => location.as_bytes().to_vec(),
        _ => format!("{text:?} (leads to a folder: {has_folder})").into_bytes(),
    }
}

/// A source that reads from a site in memory.
pub struct InMemory(pub Content);

impl Source for InMemory {
    fn read(&self, path: &SitePath, _: Digest, _: u64) -> Result<Vec<u8>, SourceError> {
        let bytes = self.0.get(path.as_str()).cloned();
        bytes.ok_or_else(|| SourceError::Changed(path.clone()))
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        self.read(
            &SitePath::new(&coding.beside(path.as_str())).expect("a path"),
            Digest::of(b""),
            0,
        )
    }
}

/// How each text of a site is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encode {
    Nothing,
    Brotli,
}

pub fn site(content: &Content, encode: Encode) -> Site {
    let (moved, files): (Vec<_>, Vec<_>) = content.iter().partition(|(path, _)| is_redirect(path));
    let moved = moved.into_iter().map(|(path, bytes)| {
        let location = std::str::from_utf8(bytes).expect("a location");
        let redirect = Redirect::new(Status::Permanent, location).expect("a location");
        (redirect::address_of(path).expect("an address"), redirect)
    });
    let files = files.into_iter().map(|(path, bytes)| Input {
        path: SitePath::new(path).expect("a path of a site"),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        media_type: "text/html".into(),
        encodings: Encodings {
            br: (encode == Encode::Brotli && !path.ends_with(".bin")).then_some(Recipe::made(1)),
            gz: None,
        },
    });
    Site::with_redirects(files, &moved.collect(), &Classes::new("_assets"))
}

/// A command of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Publish(Content),
    /// Publishes the first site from a machine that has cached the second one as seen on the target.
    PublishHavingSeen(Content, Content),
    /// Publishes and then prunes, as the command line does.
    PublishAndPrune(Content),
    /// Publishes the site to a channel.
    PublishToChannel(Content),
    /// Makes what the channel shows the live site.
    Promote,
    RemoveChannel,
    Rollback(u32),
    Hold,
    Resume,
    Prune(usize),
}

/// How commands are run.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub encode: Encode,
    /// Without an answer for this long, the connection is lost.
    pub answer: Duration,
    /// How long a publish waits for other runs, or `None` to not wait.
    pub wait: Option<Duration>,
    /// For a prune: how long replaced immutable files stay in the pool.
    pub skew: Duration,
    /// For a prune: how long a channel stays.
    pub expire: Duration,
}

impl Default for How {
    fn default() -> How {
        How {
            encode: Encode::Brotli,
            answer: Duration::from_secs(60),
            wait: None,
            skew: Duration::ZERO,
            expire: Duration::from_hours(14 * 24),
        }
    }
}

/// The channel of [`Command::PublishToChannel`].
pub fn channel() -> ChannelName {
    "pr-12".parse().expect("a name")
}

pub fn session(connector: Box<dyn Connect>, what: &str, how: How) -> Session {
    let owner = Owner {
        who: "test@here".to_owned(),
        what: what.to_owned(),
        since: 0,
        yields: false,
    };
    let pace = Pace {
        answer: how.answer,
        look: Duration::ZERO,
        again: Duration::ZERO,
        after_robbery: Duration::ZERO,
    };
    Session::new(connector, owner).at_pace(pace)
}

/// Runs a command. Returns the release that it made live, if any.
pub async fn run(connector: Box<dyn Connect>, command: &Command, how: How) -> Result<Option<ReleaseId>, Error> {
    match command {
        Command::Publish(content) => publish_over(&session(connector, "publish", how), content, how).await,
        Command::PublishToChannel(content) => {
            let options = publish::Options {
                slot: Slot::Channel(channel()),
                ..options(how)
            };
            publish_site(&session(connector, "publish", how), content, options, how).await
        }
        Command::Promote => {
            let session = session(connector, "promote", how);
            let live = open::inspect(&session, []).await?;
            let promotion = promote::read(&session, &channel(), None).await?;
            Box::pin(promotion.refuse_if_live_moved(&session, &channel(), &live)).await?;
            let options = promotion.publishing(live, options(how));
            let session = Arc::new(session);
            let source: Arc<dyn Source> = Arc::new(RemoteSource::new(Arc::clone(&session), promotion.site.clone()));
            let job = publish::Job::new(&source, &promotion.site, &options);
            Ok(Some(publish::publish(&session, job).await?.release))
        }
        Command::RemoveChannel => {
            let session = session(connector, "channels", how);
            rollback::remove_channel(&session, &channel()).await?;
            Ok(None)
        }
        Command::PublishHavingSeen(content, before) => {
            let caches = tempfile::tempdir().expect("a folder");
            let target = "a target".to_owned();
            // The ID only means that something was live. The manifests are what matters.
            let was_seen =
                RemoteCache::load(caches.path(), &target).learn(&ReleaseId::new(0, "aa"), &site(before, how.encode));
            was_seen.expect("a cache");
            let options = publish::Options {
                seen: Some(Arc::new(RemoteCache::load(caches.path(), &target))),
                ..options(how)
            };
            publish_site(&session(connector, "publish", how), content, options, how).await
        }
        Command::PublishAndPrune(content) => {
            let session = session(connector, "publish", how);
            let release = publish_over(&session, content, how).await?;
            prune_to(&session, 1, how).await?;
            Ok(release)
        }
        Command::Rollback(steps) => {
            let session = session(connector, "rollback", how);
            let options = rollback::Options {
                wait: how.wait,
                ..rollback::Options::default()
            };
            let done = rollback::rollback(&session, &Destination::Steps(*steps), &options).await?;
            Ok(Some(done.release))
        }
        Command::Hold => {
            rollback::hold(&session(connector, "hold", how), "for a test").await?;
            Ok(None)
        }
        Command::Resume => {
            rollback::resume(&session(connector, "resume", how)).await?;
            Ok(None)
        }
        Command::Prune(keep) => {
            prune_to(&session(connector, "prune", how), *keep, how).await?;
            Ok(None)
        }
    }
}

/// Options of a publish that has no earlier information about the store.
pub fn options(how: How) -> publish::Options {
    publish::Options {
        wait: how.wait,
        refusals: publish::Refusals {
            immutable: Level::Warn,
            ..publish::Refusals::default()
        },
        ..publish::Options::new("test")
    }
}

/// Publishes over the caller's session.
pub async fn publish_over(session: &Session, content: &Content, how: How) -> Result<Option<ReleaseId>, Error> {
    publish_site(session, content, options(how), how).await
}

async fn publish_site(
    session: &Session,
    content: &Content,
    options: publish::Options,
    how: How,
) -> Result<Option<ReleaseId>, Error> {
    let source: Arc<dyn Source> = Arc::new(InMemory(content.clone()));
    let site = site(content, how.encode);
    // As the command does.
    let ground = open::inspect(session, site.folders.keys().cloned()).await?;
    let options = publish::Options {
        store_snapshot: Some(ground),
        ..options
    };
    let published = publish::publish(session, publish::Job::new(&source, &site, &options)).await?;
    Ok(Some(published.release))
}

async fn prune_to(session: &Session, keep: usize, how: How) -> Result<prune::Pruned, Error> {
    let options = prune::Options {
        keep,
        skew: how.skew,
        expire: how.expire,
        yields: false,
        dry_run: false,
    };
    prune::prune(session, &options).await
}

/// Everything that visitors can get: the live site and the pool, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    pub site: Content,
    pub pool: Content,
    /// What the channel shows.
    pub preview: Content,
}

/// Reads everything that visitors can get, following symlinks, as the web server does.
pub async fn seen(host: &dyn Host) -> Seen {
    Seen {
        site: read_below(host, "current").await,
        pool: read_below(host, "immutable").await,
        preview: read_below(host, &layout::channel(&channel())).await,
    }
}

/// Reads what visitors get of a release on a disk in memory, like [`seen`].
pub fn read_disk(disk: &Disk, top: &str) -> Content {
    let mut content = Content::new();
    let mut todo = vec![String::new()];
    while let Some(prefix) = todo.pop() {
        for name in disk.list(&format!("{top}/{prefix}")) {
            let path = format!("{prefix}{name}");
            let at = format!("{top}/{path}");
            let bytes = match disk.text(&at) {
                Some(text) if is_redirect(&path) => {
                    Some(location(&text, disk.exists(&at) && disk.bytes(&at).is_none()))
                }
                _ => disk.bytes(&at).map(<[u8]>::to_vec),
            };
            match bytes {
                Some(bytes) => drop(content.insert(path, bytes)),
                None => todo.push(format!("{path}/")),
            }
        }
    }
    content
}

async fn fly(host: &dyn Host, ops: Vec<Op>) -> Vec<Answer> {
    let answers = host.flight(ops).await.expect("a connection");
    answers.into_iter().map(|answer| answer.expect("an answer")).collect()
}

async fn read_below(host: &dyn Host, top: &str) -> Content {
    let there = host
        .flight(vec![Op::Lstat(top.to_owned())])
        .await
        .expect("a connection");
    if there[0].is_err() {
        return Content::new();
    }
    let mut folders = vec![top.to_owned()];
    let mut files = Vec::new();
    let mut moved = Vec::new();
    while !folders.is_empty() {
        let answers = fly(host, folders.iter().cloned().map(Op::List).collect()).await;
        let mut below = Vec::new();
        for (folder, answer) in folders.iter().zip(answers) {
            let Answer::Names(names) = answer else {
                panic!("{answer:?}")
            };
            for (name, attr) in names {
                let path = format!("{folder}/{name}");
                // Symlinks in a release lead only to folders.
                if attr.kind == Kind::File {
                    files.push(path);
                } else if is_redirect(&path[top.len() + 1..]) {
                    moved.push(path);
                } else {
                    below.push(path);
                }
            }
        }
        folders = below;
    }
    files.sort();
    let handles: Vec<Handle> = fly(host, files.iter().cloned().map(Op::Open).collect())
        .await
        .into_iter()
        .map(|answer| match answer {
            Answer::Opened(handle) => handle,
            other => panic!("{other:?}"),
        })
        .collect();
    let mut content = Content::new();
    for (path, handle) in files.iter().zip(&handles) {
        let mut bytes = Vec::new();
        loop {
            let read = Op::Read {
                handle: *handle,
                offset: bytes.len() as u64,
                length: MAX_READ,
            };
            let Some(Answer::Bytes(piece)) = fly(host, vec![read]).await.pop() else {
                panic!("{path} does not read");
            };
            let last = piece.len() < MAX_READ as usize;
            bytes.extend(piece);
            if last {
                break;
            }
        }
        content.insert(path[top.len() + 1..].to_owned(), bytes);
    }
    fly(host, handles.into_iter().map(Op::Close).collect()).await;
    for path in moved {
        let ops = vec![Op::ReadLink(path.clone()), Op::Stat(path.clone())];
        let answers = host.flight(ops).await.expect("a connection");
        let [Ok(Answer::Text(text)), folder] = &answers[..] else {
            panic!("{path} is no redirect: {answers:?}")
        };
        let has_folder = matches!(folder, Ok(Answer::Attr(attr)) if attr.kind == Kind::Folder);
        content.insert(path[top.len() + 1..].to_owned(), location(text, has_folder));
    }
    content
}

/// Every name in the docroot, without following links, and with one name for all releases. The hint that only saves a
/// rollback some work is left out, because it depends on which releases came and went.
pub async fn names(host: &dyn Host) -> Vec<String> {
    let mut folders = vec![String::new()];
    let mut names = Vec::new();
    while !folders.is_empty() {
        let answers = host
            .flight(folders.iter().cloned().map(Op::List).collect())
            .await
            .expect("a connection");
        let mut below = Vec::new();
        for (folder, answer) in folders.iter().zip(answers) {
            let Ok(Answer::Names(found)) = answer else { continue };
            for (name, attr) in found {
                let path = if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                };
                if attr.kind == Kind::Folder {
                    below.push(path.clone());
                }
                if path != layout::FORMER {
                    names.push(path);
                }
            }
        }
        folders = below;
    }
    let release = Regex::new("[0-9]{8}-[0-9]{6}-[0-9a-z]{6}").expect("a pattern");
    let mut names: Vec<String> = names
        .iter()
        .map(|name| release.replace_all(name, "RELEASE").into_owned())
        .collect();
    names.sort();
    names
}

/// The release that is live.
pub async fn live(connector: Box<dyn Connect>) -> Option<ReleaseId> {
    let session = session(connector, "look", How::default());
    open::read_state(&session).await.expect("a store").current
}

/// Reads every byte of the live release back. Returns its faults.
pub async fn faults_of_live(connector: Box<dyn Connect>) -> Vec<(String, String)> {
    let session = session(connector, "verify", How::default());
    let Some(release) = open::read_state(&session).await.expect("a store").current else {
        return Vec::new();
    };
    let verified = verify(&session, &release, Depth::Deep).await.expect("a release");
    verified.problems()
}

//! Watching: prepares the site, shows it in the preview, and does so again when the export changes; runs the site's own
//! build when its sources do.
//!
//! What is shown is always a whole site. One that can't be prepared, or looks as if a build were still writing it, leaves
//! the one before in its place, whose bytes are kept for that. It tells what happened and prints nothing.

mod changes;
mod command;
mod kept;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::sleep_until;

use self::changes::{Changed, Changes};
pub use self::changes::{Manner, WatchError};
use self::command::{Build, News};
use self::kept::Kept;
use crate::config::SiteConfig;
use crate::error::Error;
use crate::event::Observer;
use crate::model::asset::Asset;
use crate::model::path::SitePath;
use crate::pipeline::{self, Memory};
use crate::preview::{self, Preview, Snapshot};
use crate::scan::ScanError;
use crate::serving::NOT_FOUND_PAGE;
use crate::source::SourceError;

/// How long it must have been quiet before a change is looked at, and how long that may be put off.
const QUIET: Duration = Duration::from_millis(40);
const AT_MOST: Duration = Duration::from_millis(400);

/// The same for an export that seems to be half there, and for one that is written to while the build runs.
const QUIET_UNSETTLED: Duration = Duration::from_secs(1);

/// How long until an export that changed while it was read is read again, and how often before it is said.
const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 50;

/// What is to be watched.
#[derive(Debug, Clone)]
pub struct Options {
    /// The site manifest.
    pub config: SiteConfig,
    /// The folder of the site manifest, where the build runs.
    pub folder: PathBuf,
    /// The folder of the export.
    pub export: PathBuf,
    /// Where digests are kept from run to run.
    pub cache: Option<PathBuf>,
    /// How changes are noticed.
    pub manner: Manner,
    /// The site's own build: a program and its arguments. Empty: none.
    pub command: Vec<String>,
    /// What starts it when it changes. Empty: those of [`USUAL`] that `folder` has; if it has none, all in it. Never the
    /// export, names that begin with a dot, and `node_modules`.
    pub paths: Vec<PathBuf>,
}

/// Where the sources of a site lie. A build writes to the folder around them, which must not start the next one.
pub const USUAL: [&str; 8] = [
    "app",
    "components",
    "content",
    "lib",
    "pages",
    "public",
    "src",
    "styles",
];

/// Something that happened while watching.
pub enum Happening {
    /// There is no export: it is waited for.
    Waiting {
        /// Its folder.
        export: PathBuf,
    },
    /// A site is shown.
    Shown {
        /// The site.
        site: Arc<Snapshot>,
        /// How long it took to prepare.
        took: Duration,
    },
    /// The site could not be prepared. What was shown is shown still.
    Failed {
        /// Why.
        error: Error,
    },
    /// The site's own build began.
    BuildBegan,
    /// It printed a line.
    BuildPrinted {
        /// The line, as it came.
        line: String,
    },
    /// It ended, well or not.
    BuildEnded {
        /// How.
        status: ExitStatus,
        /// How long it took.
        took: Duration,
    },
    /// It could not be run.
    BuildFailed {
        /// What the system said.
        error: std::io::Error,
    },
    /// Changes are not noticed any more.
    Blind {
        /// Why.
        error: WatchError,
    },
}

/// Someone who is told.
pub trait Listener: Observer {
    /// Takes notice.
    fn happened(&self, happening: Happening);
}

/// Watches until the future is dropped.
///
/// # Errors
/// [`WatchError`] where nothing can be watched from the start.
pub async fn watch(options: Options, preview: Arc<Preview>, listener: Arc<dyn Listener>) -> Result<(), WatchError> {
    let export = vec![options.export.clone()];
    let (export, export_changed) = Changes::of(export, |_| false, options.manner)?;
    let sources = match options.command.as_slice() {
        [] => None,
        _ => Some(Changes::of(sources(&options), ignores(&options), options.manner)?),
    };
    let (sources, sources_changed) = match sources {
        Some((sources, changed)) => (Some(sources), Some(changed)),
        None => (None, None),
    };
    let mut watching = Watching {
        options: Arc::new(options),
        preview,
        listener,
        kept: Arc::default(),
        memory: Memory::default(),
        export,
        sources,
        build: None,
        due: Some(Instant::now()),
        since: None,
        building_due: None,
        is_waiting: false,
        unsettled: false,
        tries: 0,
    };
    watching.run(export_changed, sources_changed).await;
    Ok(())
}

/// What starts the build.
fn sources(options: &Options) -> Vec<PathBuf> {
    if !options.paths.is_empty() {
        return options.paths.clone();
    }
    let usual = USUAL.iter().map(|name| options.folder.join(name));
    let there: Vec<PathBuf> = usual.filter(|path| path.is_dir()).collect();
    if there.is_empty() {
        vec![options.folder.clone()]
    } else {
        there
    }
}

/// What does not start the build, although it lies below what does.
fn ignores(options: &Options) -> impl Fn(&Path) -> bool + Send + 'static {
    let (export, roots) = (options.export.clone(), sources(options));
    move |path| {
        let below = roots.iter().find_map(|root| path.strip_prefix(root).ok());
        let hidden = below.is_some_and(|below| {
            below.components().any(|part| {
                let name = part.as_os_str().to_string_lossy();
                name.starts_with('.') || name == "node_modules"
            })
        });
        hidden || path.starts_with(&export)
    }
}

struct Watching {
    options: Arc<Options>,
    preview: Arc<Preview>,
    listener: Arc<dyn Listener>,
    kept: Arc<Kept>,
    memory: Memory,
    export: Changes,
    sources: Option<Changes>,
    build: Option<Build>,
    /// When the export is to be looked at, and since when that is put off.
    due: Option<Instant>,
    since: Option<Instant>,
    /// When the build is to be started.
    building_due: Option<Instant>,
    /// Whether it was told that there is no export.
    is_waiting: bool,
    /// How often in a row the export changed while it was read.
    tries: u32,
    /// Whether the export seemed to be half there when it was looked at last.
    unsettled: bool,
}

impl Watching {
    async fn run(&mut self, mut export: Changed, mut sources: Option<Changed>) {
        if sources.is_some() {
            self.building_due = Some(Instant::now());
        }
        loop {
            let now = Instant::now();
            let wait = |due: Option<Instant>| due.unwrap_or(now + Duration::from_hours(24)).into();
            tokio::select! {
                biased;
                Some(()) = export.recv() => self.export_changed(),
                Some(()) = next(&mut sources) => self.building_due = Some(Instant::now() + QUIET),
                news = news_of(&mut self.build) => match news {
                    News::Line(line) => self.listener.happened(Happening::BuildPrinted { line }),
                    News::Ended(status) => self.build_ended(status),
                },
                () = sleep_until(wait(self.due)), if self.due.is_some() => {
                    (self.due, self.since) = (None, None);
                    self.look().await;
                }
                () = sleep_until(wait(self.building_due)), if self.building_due.is_some() && self.build.is_none() => {
                    self.building_due = None;
                    self.start_build();
                }
            }
        }
    }

    fn export_changed(&mut self) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        self.due = Some(if self.build.is_some() || self.unsettled {
            now + QUIET_UNSETTLED
        } else {
            (now + QUIET).min(since + AT_MOST)
        });
        Self::followed(&self.listener, self.export.follow());
    }

    fn followed(listener: &Arc<dyn Listener>, followed: Result<(), WatchError>) {
        if let Err(error) = followed {
            listener.happened(Happening::Blind { error });
        }
    }

    fn start_build(&mut self) {
        if let Some(sources) = &mut self.sources {
            Self::followed(&self.listener, sources.follow());
        }
        match Build::start(&self.options.command, &self.options.folder) {
            Ok(build) => {
                self.listener.happened(Happening::BuildBegan);
                self.build = Some(build);
            }
            Err(error) => self.listener.happened(Happening::BuildFailed { error }),
        }
    }

    fn build_ended(&mut self, status: std::io::Result<ExitStatus>) {
        let Some(mut build) = self.build.take() else { return };
        while let Some(line) = build.last_line() {
            self.listener.happened(Happening::BuildPrinted { line });
        }
        let took = build.began.elapsed();
        match status {
            Ok(status) => {
                let is_good = status.success();
                self.listener.happened(Happening::BuildEnded { status, took });
                // What a build that failed has left is not looked at: the site before stays.
                self.due = is_good.then(Instant::now);
                self.unsettled = false;
            }
            Err(error) => self.listener.happened(Happening::BuildFailed { error }),
        }
    }

    /// Looks at the export, and shows it if it is whole.
    async fn look(&mut self) {
        Self::followed(&self.listener, self.export.follow());
        let began = Instant::now();
        let (prepared, memory) = self.prepare().await;
        self.memory = memory;
        let tries = self.tries + 1;
        self.tries = 0;
        match prepared {
            Ok((site, assets)) => {
                let is_half = !self.unsettled && self.is_half(&site);
                if is_half {
                    self.unsettled = true;
                    self.due = Some(Instant::now() + QUIET_UNSETTLED);
                    return;
                }
                self.unsettled = false;
                self.is_waiting = false;
                let is_new = self.preview.site().is_none_or(|shown| !shown.is_same(&site));
                if is_new {
                    self.preview.show(&site);
                    let took = began.elapsed();
                    self.listener.happened(Happening::Shown { site, took });
                } else {
                    self.preview.tell(preview::News::AsShown);
                }
                let (kept, export) = (Arc::clone(&self.kept), self.options.export.clone());
                let turn = kept.turn();
                tokio::task::spawn_blocking(move || kept.keep(turn, &assets, &export));
            }
            // A build takes it away before it makes it anew.
            Err(error) if is_missing(&error) && self.preview.site().is_some() && !self.unsettled => {
                self.unsettled = true;
                self.due = Some(Instant::now() + QUIET_UNSETTLED);
            }
            Err(error) if is_missing(&error) => {
                if !self.is_waiting {
                    let export = self.options.export.clone();
                    self.listener.happened(Happening::Waiting { export });
                }
                self.is_waiting = true;
            }
            // It is being written to: there will be an end to that.
            Err(error) if is_written_to(&error) && tries < TRIES => {
                self.tries = tries;
                self.due = Some(Instant::now() + AGAIN);
            }
            Err(error) => self.listener.happened(Happening::Failed { error }),
        }
    }

    /// Whether a build seems to be still writing, or taking away, what there is: pages that every export has are gone, or
    /// most of the files, or it is made of two builds.
    fn is_half(&self, site: &Snapshot) -> bool {
        let Some(shown) = self.preview.site() else {
            return !has(site, "index.html") || !has(site, NOT_FOUND_PAGE);
        };
        let lost = |path: &str| has(&shown, path) && !has(site, path);
        let builds = |site: &Snapshot| site.problems.iter().any(|problem| problem.check == "builds");
        lost("index.html")
            || lost(NOT_FOUND_PAGE)
            || site.site.files < shown.site.files / 2
            || builds(site) && !builds(&shown)
    }

    async fn prepare(&mut self) -> (Result<(Arc<Snapshot>, Vec<Asset>), Error>, Memory) {
        let (options, preview) = (Arc::clone(&self.options), Arc::clone(&self.preview));
        let (listener, source) = (Arc::clone(&self.listener), self.kept.source(&self.options.export));
        let mut memory = std::mem::take(&mut self.memory);
        let prepared = tokio::task::spawn_blocking(move || {
            let cache: Option<&Path> = options.cache.as_deref();
            let prepared = pipeline::preview(&options.config, &options.export, cache, source, &mut memory, &*listener);
            let snapshot = prepared.map(|(prepared, assets)| {
                let before = preview.site();
                (Arc::new(Snapshot::new(prepared, now(), before.as_deref())), assets)
            });
            (snapshot, memory)
        });
        prepared.await.unwrap_or_else(|error| {
            let detail = error.to_string();
            (Err(Error::Source(SourceError::Worker { detail })), Memory::default())
        })
    }
}

/// The next change, where there is something to wait for.
async fn next(changed: &mut Option<Changed>) -> Option<()> {
    match changed {
        Some(changed) => changed.recv().await,
        None => None,
    }
}

async fn news_of(build: &mut Option<Build>) -> News {
    match build {
        Some(build) => build.next().await,
        None => std::future::pending().await,
    }
}

fn has(site: &Snapshot, path: &str) -> bool {
    SitePath::new(path).is_ok_and(|path| site.site.file(&path).is_some())
}

/// Whether there is no export, or nothing in it yet.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Scan(ScanError::Missing { .. } | ScanError::Empty { .. }))
}

/// Whether the export changed while it was read.
fn is_written_to(error: &Error) -> bool {
    matches!(
        error,
        Error::Source(SourceError::Changed { .. } | SourceError::Unreadable { .. })
            | Error::Scan(ScanError::Changed { .. } | ScanError::Vanished { .. })
    )
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

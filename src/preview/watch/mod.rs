//! Watching: prepares the site, shows it in the preview, and does so again when the export changes; runs the site's own
//! build when its sources do.
//!
//! What is shown is always a whole site. One that can't be prepared, or looks as if a build were still writing it, leaves
//! the one before in its place, whose bytes are kept for that. It shows what happened and prints nothing.

mod byte_cache;
mod changes;
mod command;
mod half;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::sleep_until;

use self::byte_cache::ByteCache;
use self::changes::{Changed, Changes, Where};
pub use self::changes::{Manner, WatchError};
use self::command::{Build, BuildNews, Ended};
pub use self::half::Half;
use crate::config::SiteConfig;
use crate::host::panics;
use crate::model::event::Observer;
use crate::preview::{self, Gist, Preview, Snapshot};
use crate::site::SiteError;
use crate::site::pipeline::{self, Memory, ScanScope};
use crate::site::scan::{Scan, ScanError};
use crate::site::source::SourceError;

/// How long it must have been quiet before a change is looked at, and how long that may be put off.
const QUIET: Duration = Duration::from_millis(40);
const AT_MOST: Duration = Duration::from_millis(400);

/// The same for an export that seems to be half there, and for one that is written to while the build runs.
const QUIET_UNSETTLED: Duration = Duration::from_secs(1);

/// How long an export that seems to be half there is left alone after the last change before it is shown as it is: where a
/// whole one is shown meanwhile, while a build of ours runs that may go on, and where there is nothing to be seen yet.
const HALF_THERE: Duration = Duration::from_secs(10);
const HALF_BUILT: Duration = Duration::from_mins(1);
const HALF_AT_FIRST: Duration = Duration::from_secs(1);

/// How long after the last look at a few files the whole export is looked at: whatever the system did not report is seen
/// then.
const WHOLE_AFTER: Duration = Duration::from_secs(2);

/// A site of so many bytes is kept before anything is reported of it.
const KEPT_AT_ONCE: u64 = 16 << 20;

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
pub enum WatchEvent {
    /// There is no export: it is waited for.
    Waiting {
        /// Its folder.
        export: PathBuf,
    },
    /// A site is shown.
    Shown {
        /// The site.
        site: Arc<Snapshot>,
        /// What changed since the one before.
        changed: Gist,
        /// How long it took to prepare.
        took: Duration,
    },
    /// The site was to be prepared again, and is the same as before.
    Unchanged {
        /// How long it took to see that.
        took: Duration,
    },
    /// The export seems to be half there. What was shown is shown still, until it is complete or nothing comes any more.
    Unsettled {
        /// What speaks for it.
        half: Half,
    },
    /// The site could not be prepared. What was shown is shown still.
    Failed {
        /// Why.
        error: SiteError,
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
    fn happened(&self, happening: WatchEvent);
}

/// Watches until the future is dropped. Whenever `asked` is notified the build is run, or where there is none, the export is
/// looked at.
///
/// # Errors
/// [`WatchError`] where nothing can be watched from the start.
pub async fn watch(
    options: Options,
    preview: Arc<Preview>,
    listener: Arc<dyn Listener>,
    asked: Arc<Notify>,
) -> Result<(), WatchError> {
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
        places: Where::Anywhere,
        whole_due: None,
        building_due: None,
        building_since: None,
        is_waiting: false,
        doubt: Doubt::default(),
        is_asked: false,
        tries: 0,
    };
    watching.run(export_changed, sources_changed, &asked).await;
    Ok(())
}

/// Until when a change at `now` puts a look or a build off, where others have put it off `since`.
fn put_off(since: &mut Option<Instant>, now: Instant) -> Instant {
    (now + QUIET).min(*since.get_or_insert(now) + AT_MOST)
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

/// What speaks against it that the export is complete.
#[derive(Default)]
struct Doubt {
    /// Whether it seemed to be half there, or was gone, when it was looked at last.
    is_unsettled: bool,
    /// Since when it has seemed half there and nothing has changed.
    since: Option<Instant>,
    /// Whether that was told.
    is_told: bool,
    /// Whether our build has ended well since, so that it is complete.
    is_built: bool,
}

struct Watching {
    options: Arc<Options>,
    preview: Arc<Preview>,
    listener: Arc<dyn Listener>,
    kept: Arc<ByteCache>,
    memory: Memory,
    export: Changes,
    sources: Option<Changes>,
    build: Option<Build>,
    /// When the export is to be looked at, and since when that is put off.
    due: Option<Instant>,
    since: Option<Instant>,
    /// Where it may have changed since it was looked at.
    places: Where,
    /// When the whole of it is to be looked at, since the last look was at a few files.
    whole_due: Option<Instant>,
    /// When the build is to be started, and since when that is put off.
    building_due: Option<Instant>,
    building_since: Option<Instant>,
    /// Whether it was told that there is no export.
    is_waiting: bool,
    /// How often in a row the export changed while it was read.
    tries: u32,
    doubt: Doubt,
    /// Whether word of the next look is waited for, whatever it is.
    is_asked: bool,
}

impl Watching {
    async fn run(&mut self, mut export: Changed, mut sources: Option<Changed>, asked: &Notify) {
        if sources.is_some() {
            self.building_due = Some(Instant::now());
        }
        loop {
            let now = Instant::now();
            let wait = |due: Option<Instant>| due.unwrap_or(now + Duration::from_hours(24)).into();
            // Whatever floods, the others get their turn, too.
            tokio::select! {
                Some(()) = export.recv() => self.export_changed(),
                () = asked.notified() => self.asked(),
                Some(()) = next(&mut sources) => {
                    self.building_due = Some(put_off(&mut self.building_since, Instant::now()));
                }
                news = news_of(&mut self.build) => match news {
                    BuildNews::Line(line) => self.listener.happened(WatchEvent::BuildPrinted { line }),
                    BuildNews::Ended(ended) => self.build_ended(ended),
                },
                () = sleep_until(wait(self.due)), if self.due.is_some() => {
                    // A change that came meanwhile puts it off, for as long as that may be.
                    if export.try_recv().is_ok() {
                        self.export_changed();
                    }
                    if self.due.is_none_or(|due| due <= Instant::now()) {
                        (self.due, self.since) = (None, None);
                        self.look().await;
                    }
                }
                () = sleep_until(wait(self.whole_due)), if self.whole_due.is_some() && self.due.is_none() => {
                    self.places = Where::Anywhere;
                    self.look().await;
                }
                () = sleep_until(wait(self.building_due)), if self.building_due.is_some() && self.build.is_none() => {
                    (self.building_due, self.building_since) = (None, None);
                    self.start_build();
                }
            }
        }
    }

    fn asked(&mut self) {
        self.is_asked = true;
        let due = if self.sources.is_some() {
            &mut self.building_due
        } else {
            &mut self.due
        };
        *due = Some(Instant::now());
    }

    fn export_changed(&mut self) {
        let now = Instant::now();
        self.doubt.since = None;
        let put_off = put_off(&mut self.since, now);
        self.due = Some(if self.build.is_some() || self.doubt.is_unsettled {
            now + QUIET_UNSETTLED
        } else {
            put_off
        });
        Self::followed(&self.listener, self.export.follow());
    }

    fn followed(listener: &Arc<dyn Listener>, followed: Result<(), WatchError>) {
        if let Err(error) = followed {
            listener.happened(WatchEvent::Blind { error });
        }
    }

    fn start_build(&mut self) {
        if let Some(sources) = &mut self.sources {
            Self::followed(&self.listener, sources.follow());
        }
        match Build::start(&self.options.command, &self.options.folder) {
            Ok(build) => {
                self.listener.happened(WatchEvent::BuildBegan);
                self.build = Some(build);
            }
            Err(error) => self.listener.happened(WatchEvent::BuildFailed { error }),
        }
    }

    fn build_ended(&mut self, ended: std::io::Result<Ended>) {
        self.build = None;
        match ended {
            Ok(Ended { status, took }) => {
                let is_good = status.success();
                self.listener.happened(WatchEvent::BuildEnded { status, took });
                // What a build that failed has left is not looked at: the site before stays.
                self.due = is_good.then(Instant::now);
                (self.doubt.is_unsettled, self.doubt.is_built) = (false, is_good);
            }
            Err(error) => self.listener.happened(WatchEvent::BuildFailed { error }),
        }
    }

    /// Looks at the export, and shows it if it is complete.
    async fn look(&mut self) {
        // Asked first: what is watched again may have changed before.
        self.places.and(self.export.places());
        Self::followed(&self.listener, self.export.follow());
        let began = Instant::now();
        let changed = match &self.places {
            Where::At(paths) => Some(paths.iter().cloned().collect()),
            Where::Nowhere | Where::Anywhere => None,
        };
        self.whole_due = changed.is_some().then(|| Instant::now() + WHOLE_AFTER);
        let is_quick = changed.is_some();
        let (prepared, memory) = self.prepare(changed).await;
        self.memory = memory;
        if prepared.is_ok() {
            self.places = Where::Nowhere;
        }
        let tries = self.tries + 1;
        self.tries = 0;
        match prepared {
            Ok((site, scan)) => {
                if self.waits_for_the_rest(&site) {
                    return;
                }
                self.shown_or_same(site, scan, began, is_quick).await;
            }
            // A build takes it away before it makes it again.
            Err(error) if is_missing(&error) && self.preview.site().is_some() && !self.doubt.is_unsettled => {
                self.doubt.is_unsettled = true;
                self.due = Some(Instant::now() + QUIET_UNSETTLED);
            }
            Err(error) if is_missing(&error) => {
                if !self.is_waiting {
                    let export = self.options.export.clone();
                    self.listener.happened(WatchEvent::Waiting { export });
                }
                self.is_waiting = true;
            }
            // It is being written to: there will be an end to that.
            Err(error) if is_written_to(&error) && tries < TRIES => {
                self.tries = tries;
                self.due = Some(Instant::now() + AGAIN);
            }
            Err(error) => {
                self.is_asked = true;
                self.listener.happened(WatchEvent::Failed { error });
            }
        }
    }

    /// Shows a site that was prepared, unless it is the one that is shown.
    async fn shown_or_same(&mut self, site: Arc<Snapshot>, scan: Arc<Scan>, began: Instant, is_quick: bool) {
        let is_awaited = self.is_asked || self.is_waiting || self.doubt.is_told;
        (self.is_asked, self.is_waiting) = (false, false);
        (self.doubt.is_unsettled, self.doubt.is_told) = (false, false);
        let is_new = self.preview.site().is_none_or(|shown| !shown.is_same(&site));
        let changed = is_new.then(|| self.preview.show(&site));
        let took = began.elapsed();
        let (kept, export, turn) = (Arc::clone(&self.kept), self.options.export.clone(), self.kept.turn());
        // Where it is little it is kept before anything is told, so that it stays up whatever happens next.
        let is_little = is_quick || site.site.bytes <= KEPT_AT_ONCE;
        let keeping = tokio::task::spawn_blocking(move || kept.keep(turn, &scan.assets, &export));
        if is_little {
            // What is not kept is read from the export.
            let _ = keeping.await;
        }
        if let Some(changed) = changed {
            self.listener.happened(WatchEvent::Shown { site, changed, took });
            return;
        }
        self.preview.tell(preview::News::AsShown);
        if is_awaited {
            self.listener.happened(WatchEvent::Unchanged { took });
        }
    }

    /// Whether what there is seems to be half of a site that is still being written, or taken away.
    fn waits_for_the_rest(&mut self, site: &Snapshot) -> bool {
        let shown = self.preview.site();
        let is_built = std::mem::take(&mut self.doubt.is_built);
        let half = half::looks_half(shown.as_deref(), site).filter(|_| !is_built);
        let Some(half) = half else {
            self.doubt.since = None;
            return false;
        };
        let now = Instant::now();
        let patience = match (&self.build, shown) {
            (Some(_), Some(_)) => HALF_BUILT,
            (None, Some(_)) => HALF_THERE,
            (_, None) => HALF_AT_FIRST,
        };
        if now.duration_since(*self.doubt.since.get_or_insert(now)) >= patience {
            self.doubt.since = None;
            return false;
        }
        // Mostly the rest is there a moment later.
        if std::mem::replace(&mut self.doubt.is_unsettled, true) && !std::mem::replace(&mut self.doubt.is_told, true) {
            self.listener.happened(WatchEvent::Unsettled { half });
        }
        self.due = Some(now + QUIET_UNSETTLED);
        true
    }

    /// Prepares the site; where `changed` is given, nothing else has changed as far as is known.
    async fn prepare(
        &mut self,
        changed: Option<Vec<PathBuf>>,
    ) -> (Result<(Arc<Snapshot>, Arc<Scan>), SiteError>, Memory) {
        let (options, preview) = (Arc::clone(&self.options), Arc::clone(&self.preview));
        let (listener, source) = (Arc::clone(&self.listener), self.kept.source(&self.options.export));
        let mut memory = std::mem::take(&mut self.memory);
        let prepared = tokio::task::spawn_blocking(move || {
            let cache: Option<&Path> = options.cache.as_deref();
            let extent = changed.as_deref().map_or(ScanScope::Whole, ScanScope::Changed);
            let (config, export) = (&options.config, &options.export);
            let prepared = pipeline::preview(config, export, extent, cache, source, &mut memory, &*listener);
            let snapshot = prepared.map(|(prepared, scan)| {
                let before = preview.site();
                (Arc::new(Snapshot::new(prepared, now(), before.as_deref())), scan)
            });
            (snapshot, memory)
        });
        prepared.await.unwrap_or_else(|error| {
            let detail = panics::said(error);
            (
                Err(SiteError::Source(SourceError::Worker { detail })),
                Memory::default(),
            )
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

async fn news_of(build: &mut Option<Build>) -> BuildNews {
    match build {
        Some(build) => build.next().await,
        None => std::future::pending().await,
    }
}

/// Whether there is no export, or nothing in it yet.
fn is_missing(error: &SiteError) -> bool {
    matches!(
        error,
        SiteError::Scan(ScanError::Missing { .. } | ScanError::Empty { .. })
    )
}

/// Whether the export changed while it was read.
fn is_written_to(error: &SiteError) -> bool {
    matches!(
        error,
        SiteError::Source(SourceError::Changed { .. } | SourceError::Unreadable { .. })
            | SiteError::Scan(ScanError::Changed { .. } | ScanError::Vanished { .. })
    )
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_without_end_put_nothing_off_for_ever() {
        let began = Instant::now();
        let mut since = None;
        let mut due = began;
        for flood in 0..200 {
            due = put_off(&mut since, began + Duration::from_millis(10) * flood);
        }
        assert_eq!(due, began + AT_MOST);
        let later = began + Duration::from_secs(60);
        assert_eq!(put_off(&mut None, later), later + QUIET);
    }
}

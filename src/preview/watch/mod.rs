//! Watch mode: prepares the site, serves it in the preview, and repeats this when the export changes. Runs the site's
//! own build when its sources change.
//!
//! The preview always serves a complete site. If a site cannot be prepared, or a build still seems to be writing it,
//! the previous site stays; its content is cached for that purpose. This module reports events and must not print
//! anything.

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
use crate::site::pipeline::{LocalSite, Memory};
use crate::site::scan::{Scan, ScanError};
use crate::site::source::SourceError;

/// How long there must be no change before the export is looked at, and for how long further changes may delay this.
const QUIET: Duration = Duration::from_millis(40);
const AT_MOST: Duration = Duration::from_millis(400);

/// The same for an export that seems incomplete, and for one that changes while the build runs.
const QUIET_UNSETTLED: Duration = Duration::from_secs(1);

/// How long an export that seems incomplete is left alone after its last change before it is served anyway: while a
/// complete site is served, while our build is still running, and while there is nothing to serve.
const HALF_THERE: Duration = Duration::from_secs(10);
const HALF_BUILT: Duration = Duration::from_mins(1);
const HALF_AT_FIRST: Duration = Duration::from_secs(1);

/// How long after a look at a few files the whole export is looked at. That look finds changes which the system did not
/// report.
const WHOLE_AFTER: Duration = Duration::from_secs(2);

/// A site of up to this many bytes is cached before it is reported.
const KEPT_AT_ONCE: u64 = 16 << 20;

/// The delay before an export that changed while it was read is read again, and the number of attempts before the error
/// is reported.
const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 50;

/// The options of watch mode.
#[derive(Debug, Clone)]
pub struct Options {
    /// The site manifest.
    pub config: SiteConfig,
    /// The files that the site manifest is read from: itself, and the files of rules next to it.
    pub settings: Vec<PathBuf>,
    /// The folder of the site manifest, where the build runs.
    pub folder: PathBuf,
    /// The folder of the export.
    pub export: PathBuf,
    /// The folder of the digest cache, which is kept from run to run.
    pub cache: Option<PathBuf>,
    /// How changes are noticed.
    pub manner: Manner,
    /// The site's own build: a program and its arguments. Empty if there is none.
    pub command: Vec<String>,
    /// The paths whose changes start the build. If empty: those of [`USUAL`] that `folder` has, or everything in
    /// `folder` if it has none of them. The export, names that begin with a dot, and `node_modules` never start it.
    pub paths: Vec<PathBuf>,
}

/// The usual source folders of a site. A build writes to the folder around them, and that must not start the next
/// build.
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

/// An event in watch mode.
pub enum WatchEvent {
    /// There is no export in this folder yet.
    Waiting(PathBuf),
    /// A new site is served.
    Shown {
        /// The site.
        site: Arc<Snapshot>,
        /// What changed since the previous site.
        changed: Gist,
        /// How long it took to prepare.
        took: Duration,
    },
    /// The site was prepared again, in this time, and is the same as before.
    Unchanged(Duration),
    /// The export seems incomplete. The previous site stays until the export is complete or has not changed for a
    /// while.
    Unsettled(Half),
    /// The site could not be prepared. The previous site stays.
    Failed(SiteError),
    /// The site's own build started.
    BuildBegan,
    /// The build printed this line.
    BuildPrinted(String),
    /// The build ended, successfully or not.
    BuildEnded {
        /// Its exit status.
        status: ExitStatus,
        /// How long it took.
        took: Duration,
    },
    /// The build could not be run.
    BuildFailed(std::io::Error),
    /// Changes are no longer noticed.
    Blind(WatchError),
}

/// Receives the events of watch mode.
pub trait Listener: Observer {
    /// Handles an event.
    fn happened(&self, happening: WatchEvent);

    /// Reads the site manifest again. `None` if it can't be used, which is reported.
    fn read_settings(&self) -> Option<SiteConfig>;
}

/// Watches until the future is dropped. A notification of `asked` runs the build or, if there is none, looks at the
/// export.
///
/// # Errors
/// [`WatchError`] if nothing can be watched from the start.
pub async fn watch(
    options: Options,
    preview: Arc<Preview>,
    listener: Arc<dyn Listener>,
    asked: Arc<Notify>,
) -> Result<(), WatchError> {
    let export = vec![options.export.clone()];
    let (export, export_changed) = Changes::of(export, |_| false, options.manner)?;
    let (settings, settings_changed) = Changes::of(options.settings.clone(), |_| false, options.manner)?;
    let (sources, sources_changed) = if options.command.is_empty() {
        (None, None)
    } else {
        let (sources, changed) = Changes::of(sources(&options), ignores(&options), options.manner)?;
        (Some(sources), Some(changed))
    };
    let mut watching = Watching {
        options: Arc::new(options),
        preview,
        listener,
        kept: Arc::default(),
        memory: Memory::default(),
        export,
        settings,
        is_reread: false,
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
    watching
        .run(export_changed, settings_changed, sources_changed, &asked)
        .await;
    Ok(())
}

/// Returns the time until which a change at `now` delays a look or a build. `since` is the time of the first change
/// that delayed it.
fn put_off(since: &mut Option<Instant>, now: Instant) -> Instant {
    (now + QUIET).min(*since.get_or_insert(now) + AT_MOST)
}

/// Returns the paths whose changes start the build.
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

/// Returns a filter for paths that never start the build, although they are below paths that do.
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

/// Reasons to doubt that the export is complete.
#[derive(Default)]
struct Doubt {
    /// Whether the export seemed incomplete, or was missing, at the last look.
    is_unsettled: bool,
    /// The time from which the export has seemed incomplete without further changes.
    since: Option<Instant>,
    /// Whether this was reported.
    is_told: bool,
    /// Whether our build has succeeded since, which means that the export is complete.
    is_built: bool,
}

struct Watching {
    options: Arc<Options>,
    preview: Arc<Preview>,
    listener: Arc<dyn Listener>,
    kept: Arc<ByteCache>,
    memory: Memory,
    export: Changes,
    settings: Changes,
    /// Whether the site manifest is to be read again before the next look.
    is_reread: bool,
    sources: Option<Changes>,
    build: Option<Build>,
    /// The time of the next look at the export, and the time of the first change that delayed it.
    due: Option<Instant>,
    since: Option<Instant>,
    /// Where the export may have changed since the last look.
    places: Where,
    /// The time of the next look at the whole export, if the last look was only at a few files.
    whole_due: Option<Instant>,
    /// The time of the next build, and the time of the first change that delayed it.
    building_due: Option<Instant>,
    building_since: Option<Instant>,
    /// Whether a missing export was reported.
    is_waiting: bool,
    /// How many times in a row the export changed while it was read.
    tries: u32,
    doubt: Doubt,
    /// Whether the result of the next look has to be reported even if nothing changed.
    is_asked: bool,
}

impl Watching {
    async fn run(&mut self, mut export: Changed, mut settings: Changed, mut sources: Option<Changed>, asked: &Notify) {
        if sources.is_some() {
            self.building_due = Some(Instant::now());
        }
        loop {
            let now = Instant::now();
            let wait = |due: Option<Instant>| due.unwrap_or(now + Duration::from_hours(24)).into();
            // `select!` chooses at random among the events that are ready, so a flood of one kind does not block the
            // others.
            tokio::select! {
                Some(()) = export.recv() => self.export_changed(),
                Some(()) = settings.recv() => {
                    self.is_reread = true;
                    self.due = Some(put_off(&mut self.since, Instant::now()));
                }
                () = asked.notified() => self.asked(),
                Some(()) = next(&mut sources) => {
                    self.building_due = Some(put_off(&mut self.building_since, Instant::now()));
                }
                news = news_of(&mut self.build) => match news {
                    BuildNews::Line(line) => self.listener.happened(WatchEvent::BuildPrinted(line)),
                    BuildNews::Ended(ended) => self.build_ended(ended),
                },
                () = sleep_until(wait(self.due)), if self.due.is_some() => {
                    // A change that arrived in the meantime delays the look, up to the limit.
                    if export.try_recv().is_ok() {
                        self.export_changed();
                    }
                    if self.due.is_none_or(|due| due <= Instant::now()) {
                        (self.due, self.since) = (None, None);
                        self.read_export().await;
                    }
                }
                () = sleep_until(wait(self.whole_due)), if self.whole_due.is_some() && self.due.is_none() => {
                    self.places = Where::Anywhere;
                    self.read_export().await;
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
            listener.happened(WatchEvent::Blind(error));
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
            Err(error) => self.listener.happened(WatchEvent::BuildFailed(error)),
        }
    }

    fn build_ended(&mut self, ended: std::io::Result<Ended>) {
        self.build = None;
        match ended {
            Ok(Ended { status, took }) => {
                let is_good = status.success();
                self.listener.happened(WatchEvent::BuildEnded { status, took });
                // The output of a failed build is ignored, and the previous site stays. If there is none yet, the export
                // that lies there was not looked at before this build ended.
                self.due = (is_good || self.preview.site().is_none()).then(Instant::now);
                (self.doubt.is_unsettled, self.doubt.is_built) = (false, is_good);
            }
            Err(error) => self.listener.happened(WatchEvent::BuildFailed(error)),
        }
    }

    /// Looks at the export, and serves it if it is complete.
    async fn read_export(&mut self) {
        // Read the places before `follow`: a folder that `follow` watches again may have changed earlier, and `follow`
        // resets the flag for this.
        self.places.and(self.export.places());
        Self::followed(&self.listener, self.export.follow());
        if self.is_reread && !self.read_settings() {
            // As with an export that can't be prepared, the previous site stays until the next change.
            (self.places, self.whole_due) = (Where::Anywhere, None);
            return;
        }
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
            // A build removes the export before it writes a new one.
            Err(error) if is_missing(&error) && self.preview.site().is_some() && !self.doubt.is_unsettled => {
                self.doubt.is_unsettled = true;
                self.due = Some(Instant::now() + QUIET_UNSETTLED);
            }
            Err(error) if is_missing(&error) => {
                if !self.is_waiting {
                    let export = self.options.export.clone();
                    self.listener.happened(WatchEvent::Waiting(export));
                }
                self.is_waiting = true;
            }
            // The export is still being written to, so try again later.
            Err(error) if is_written_to(&error) && tries < TRIES => {
                self.tries = tries;
                self.due = Some(Instant::now() + AGAIN);
            }
            Err(error) => {
                self.is_asked = true;
                self.listener.happened(WatchEvent::Failed(error));
            }
        }
    }

    /// Reads the site manifest again. Returns whether it can be used.
    fn read_settings(&mut self) -> bool {
        Self::followed(&self.listener, self.settings.follow());
        let read = self.listener.read_settings();
        self.is_reread = read.is_none();
        let Some(config) = read else {
            // The next site shows that the trouble is over, even if it is the same as before.
            self.is_asked = true;
            return false;
        };
        if self.options.config != config {
            Arc::make_mut(&mut self.options).config = config;
            // What is remembered of the export may depend on the site manifest.
            self.memory = Memory::default();
            self.places = Where::Anywhere;
        }
        true
    }

    /// Serves a prepared site, unless it is the same as the served one.
    async fn shown_or_same(&mut self, site: Arc<Snapshot>, scan: Arc<Scan>, began: Instant, is_quick: bool) {
        let is_awaited = self.is_asked || self.is_waiting || self.doubt.is_told;
        (self.is_asked, self.is_waiting) = (false, false);
        (self.doubt.is_unsettled, self.doubt.is_told) = (false, false);
        let is_new = self.preview.site().is_none_or(|shown| !shown.is_same(&site));
        let changed = is_new.then(|| self.preview.show(&site));
        let took = began.elapsed();
        let (kept, export, turn) = (Arc::clone(&self.kept), self.options.export.clone(), self.kept.turn());
        // A small site is cached before it is reported, so that it stays up whatever happens to the export next.
        let is_little = is_quick || site.site.bytes <= KEPT_AT_ONCE;
        let keeping = tokio::task::spawn_blocking(move || kept.keep(turn, &scan.assets, &export));
        if is_little {
            // An error does no harm: content that is not cached is read from the export.
            let _ = keeping.await;
        }
        if let Some(changed) = changed {
            self.listener.happened(WatchEvent::Shown { site, changed, took });
            return;
        }
        self.preview.tell(preview::News::AsShown);
        if is_awaited {
            self.listener.happened(WatchEvent::Unchanged(took));
        }
    }

    /// Whether to wait, because the site seems to be only a part of one that a build is still writing or removing.
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
        // Usually the rest arrives a moment later, so only the second look in a row is reported.
        if std::mem::replace(&mut self.doubt.is_unsettled, true) && !std::mem::replace(&mut self.doubt.is_told, true) {
            self.listener.happened(WatchEvent::Unsettled(half));
        }
        self.due = Some(now + QUIET_UNSETTLED);
        true
    }

    /// Prepares the site. If `changed` is given, nothing else has changed as far as is known.
    async fn prepare(
        &mut self,
        changed: Option<Vec<PathBuf>>,
    ) -> (Result<(Arc<Snapshot>, Arc<Scan>), SiteError>, Memory) {
        let (options, preview) = (Arc::clone(&self.options), Arc::clone(&self.preview));
        let (listener, source) = (Arc::clone(&self.listener), self.kept.source(&self.options.export));
        let mut memory = std::mem::take(&mut self.memory);
        let prepared = tokio::task::spawn_blocking(move || {
            let cache: Option<&Path> = options.cache.as_deref();
            let site = LocalSite::new(&options.config, &options.export, cache, &*listener);
            let prepared = site.preview(changed.as_deref(), source, &mut memory);
            let snapshot = prepared.map(|(prepared, scan)| {
                let before = preview.site();
                (Arc::new(Snapshot::new(prepared, now(), before.as_deref())), scan)
            });
            (snapshot, memory)
        });
        prepared.await.unwrap_or_else(|error| {
            let detail = panics::said(error);
            (Err(SiteError::Source(SourceError::Worker(detail))), Memory::default())
        })
    }
}

/// Returns the next change, or `None` if there is nothing to watch.
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

/// Whether the export is missing or empty.
fn is_missing(error: &SiteError) -> bool {
    matches!(error, SiteError::Scan(ScanError::Missing(_) | ScanError::Empty { .. }))
}

/// Whether the export changed while it was read.
fn is_written_to(error: &SiteError) -> bool {
    matches!(
        error,
        SiteError::Source(SourceError::Changed(_) | SourceError::Unreadable { .. })
            | SiteError::Scan(ScanError::Changed(_) | ScanError::Vanished(_))
    )
}

/// Returns the current time in seconds since 1970.
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

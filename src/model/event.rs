//! Events, which are facts in the past tense, and the observers that receive them.
//!
//! Pure. Stages notify an [`Observer`]: a terminal, a log or a test. An event carries values, not sentences. The
//! observer decides how a fact is worded and whether it is shown at all. Nothing in this module may influence the
//! course of a publish.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::model::path::SitePath;
use crate::model::release::ReleaseId;

/// A stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Connecting to the host. May run at the same time as stages that don't use the host.
    Connect,
    /// Reading the export.
    Scan,
    /// Checking the export for problems.
    Check,
    /// Giving files names that follow their content.
    Fingerprint,
    /// Building the tree of digests.
    Manifest,
    /// Comparing with the contents of the host.
    Plan,
    /// Compressing files.
    Encode,
    /// Sending files to the host.
    Sync,
    /// Making the release live.
    Swap,
    /// Probing the live site.
    Verify,
    /// Deleting what is no longer kept.
    Prune,
}

impl Stage {
    /// Whether the stage uses the host. Stages that don't may run at the same time as those that do.
    #[must_use]
    pub const fn asks_the_host(self) -> bool {
        !matches!(self, Self::Scan | Self::Check | Self::Fingerprint | Self::Manifest)
    }
}

/// As in JSON.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stage began, with the amount of work if it is known already.
    StageBegan {
        /// The stage.
        stage: Stage,
        /// Number of items to process.
        items: Option<u64>,
        /// Number of bytes to process.
        bytes: Option<u64>,
    },
    /// A running stage determined the amount of work.
    StageMeasured {
        /// The stage.
        stage: Stage,
        /// Number of items to process, including those already done.
        items: u64,
        /// Number of bytes to process, including those already done.
        bytes: u64,
    },
    /// Part of the work was done. Counts what was added since the previous event.
    Progressed {
        /// The stage.
        stage: Stage,
        /// Items done since then.
        items: u64,
        /// Bytes done since then.
        bytes: u64,
    },
    /// A stage ended, successfully or not. A failure is reported by the stage's error.
    StageEnded(Stage),
    /// A release went live.
    Swapped(ReleaseId),
    /// A remark that users should see and that does not stop anything.
    Noted(Note),
}

/// A remark: nothing failed, but the result may not be what the user intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A symlink in the export was followed because its target is inside the export.
    SymlinkFollowed {
        /// The link.
        path: SitePath,
        /// Its target, relative to the export.
        target: PathBuf,
    },
    /// So many files were left out because their name, or the name of a folder above them, starts with a dot.
    DotFilesLeftOut(u64),
    /// The cache of file facts could not be written, so the next run reads every file again.
    CacheNotWritten {
        /// The file that could not be written.
        file: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// The build id could not be replaced everywhere, so it was not replaced at all.
    BuildIdKept {
        /// The first file that prevents it.
        path: SitePath,
        /// Why.
        reason: String,
    },
    /// Another run holds the lock. This run watches the lock.
    LockAwaited,
    /// The store changed in this way while the publish was being prepared, so the publish is planned again.
    Replanned(String),
    /// The connection was lost and has been restored.
    Reconnected,
    /// The server dropped the connection before authentication, or nothing accepted it. The connection is retried.
    ConnectingAgain {
        /// The outcome of the first attempt.
        reason: String,
        /// The maximum number of retries.
        times: u32,
    },
    /// The origin can't be reached from here, for this reason, so only the public address is probed.
    OriginNotAsked(String),
    /// A CDN could not be purged. The next publish purges it.
    NotPurged {
        /// Why.
        reason: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// The findings of the live check could not be stored on the host, for this reason.
    OutcomeNotKept(String),
}

/// Receives events. Called from several threads concurrently and in the middle of the work, so it must not block for
/// long.
pub trait Observer: Send + Sync {
    /// Handles an event.
    fn notice(&self, event: Event);

    /// Handles the amount of work of a stage.
    fn measured(&self, stage: Stage, items: u64, bytes: u64) {
        self.notice(Event::StageMeasured { stage, items, bytes });
    }

    /// Handles that this much more work of a stage is done.
    fn progressed(&self, stage: Stage, items: u64, bytes: u64) {
        self.notice(Event::Progressed { stage, items, bytes });
    }

    /// Handles a remark.
    fn note(&self, note: Note) {
        self.notice(Event::Noted(note));
    }
}

/// A stage in progress. The stage ends when this value is dropped, for whatever reason.
#[must_use = "the stage ends at once"]
pub struct Running<'a> {
    observer: &'a dyn Observer,
    stage: Stage,
}

impl<'a> Running<'a> {
    /// Begins a stage whose amount of work is not known.
    pub fn begin(observer: &'a dyn Observer, stage: Stage) -> Self {
        Self::begin_measured(observer, stage, None, None)
    }

    /// Begins a stage, with the amount of work if it is known already.
    pub fn begin_measured(observer: &'a dyn Observer, stage: Stage, items: Option<u64>, bytes: Option<u64>) -> Self {
        observer.notice(Event::StageBegan { stage, items, bytes });
        Self { observer, stage }
    }

    /// Ends the stage here.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.observer.notice(Event::StageEnded(self.stage));
    }
}

/// Observer that ignores every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn notice(&self, _: Event) {}
}

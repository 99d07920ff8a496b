//! What happened, as facts in the past tense, and who listens.
//!
//! Pure. Stages tell an [`Observer`]; a terminal, a log or a test listens. An event carries values and no sentences:
//! how a fact is worded, or whether it is shown at all, is the listener's business. Nothing here may decide the
//! course of a publish.

use std::path::PathBuf;

use crate::model::path::SitePath;
use crate::model::release::ReleaseId;

/// A stage of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reaching the host; beside the stages that need none.
    Connect,
    /// Reading the export.
    Scan,
    /// Looking for faults in it.
    Check,
    /// Giving files names that follow their content.
    Fingerprint,
    /// Building the tree of digests.
    Manifest,
    /// Comparing with what the host has.
    Plan,
    /// Compressing.
    Encode,
    /// Sending.
    Sync,
    /// Making the release the live one.
    Swap,
    /// Asking the live site.
    Verify,
    /// Deleting what is no longer kept.
    Prune,
}

impl Stage {
    /// Whether it asks the host for anything. The others may run beside those that do.
    #[must_use]
    pub const fn asks_the_host(self) -> bool {
        !matches!(self, Self::Scan | Self::Check | Self::Fingerprint | Self::Manifest)
    }

    /// The stage in one word, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Scan => "scan",
            Self::Check => "check",
            Self::Fingerprint => "fingerprint",
            Self::Manifest => "manifest",
            Self::Plan => "plan",
            Self::Encode => "encode",
            Self::Sync => "sync",
            Self::Swap => "swap",
            Self::Verify => "verify",
            Self::Prune => "prune",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stage began; how much there is to do, where that is known already.
    StageBegan {
        /// Which.
        stage: Stage,
        /// Things to do.
        items: Option<u64>,
        /// Bytes to work through.
        bytes: Option<u64>,
    },
    /// A running stage found out how much there is to do.
    StageMeasured {
        /// Which.
        stage: Stage,
        /// Things to do, those done already included.
        items: u64,
        /// Bytes to work through, those done already included.
        bytes: u64,
    },
    /// A part of the work was done: what came on top of what was told before.
    Progressed {
        /// Which.
        stage: Stage,
        /// Things done since.
        items: u64,
        /// Bytes done since.
        bytes: u64,
    },
    /// A stage ended, well or not; what went wrong is its error.
    StageEnded {
        /// Which.
        stage: Stage,
    },
    /// A release went live.
    Swapped {
        /// Which.
        release: ReleaseId,
    },
    /// Something that people should know about and that stops nothing.
    Noted(Note),
}

/// A remark: nothing failed, but the result may not be what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A symlink of the export was followed, since it stays inside.
    SymlinkFollowed {
        /// The link.
        path: SitePath,
        /// Where it leads, relative to the export.
        target: PathBuf,
    },
    /// Files whose name, or a folder of theirs, starts with a dot were left out.
    DotFilesLeftOut {
        /// How many.
        count: u64,
    },
    /// What this run learned of the files could not be kept; the next one reads every file again.
    CacheNotWritten {
        /// The file that was to hold it.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The build id could not be replaced everywhere, so it stays everywhere.
    BuildIdKept {
        /// The first file that is in the way.
        path: SitePath,
        /// Why.
        reason: String,
    },
    /// The lock is another's; it is being watched.
    LockAwaited,
    /// The store had changed while the publish was prepared, so it is planned again.
    Replanned {
        /// What was found.
        reason: String,
    },
    /// The connection was lost and has been made again.
    Reconnected,
    /// The server dropped the connection before authentication, or no one listened; it is tried again.
    ConnectingAgain {
        /// What the first try came to.
        reason: String,
        /// How often it is tried again, at most.
        times: u32,
    },
    /// The origin can't be reached from here, so only the public address is asked.
    OriginNotAsked {
        /// Why.
        reason: String,
    },
    /// A CDN was not told what to forget; the next publish tells it.
    NotPurged {
        /// Why.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// What was found at the live site could not be kept on the host.
    OutcomeNotKept {
        /// Why.
        reason: String,
    },
}

/// Someone who is told. Called from several threads at once and in the middle of the work: must not block for long.
pub trait Observer: Send + Sync {
    /// Takes notice of an event.
    fn notice(&self, event: Event);
}

/// A stage that is under way. It ends when this is dropped, however that comes about.
#[must_use = "the stage ends at once"]
pub struct Running<'a> {
    observer: &'a dyn Observer,
    stage: Stage,
}

impl<'a> Running<'a> {
    /// Begins a stage of which no one knows how much there is to do.
    pub fn begin(observer: &'a dyn Observer, stage: Stage) -> Self {
        Self::begin_measured(observer, stage, None, None)
    }

    /// Begins a stage; how much there is to do, where that is known already.
    pub fn begin_measured(observer: &'a dyn Observer, stage: Stage, items: Option<u64>, bytes: Option<u64>) -> Self {
        observer.notice(Event::StageBegan { stage, items, bytes });
        Self { observer, stage }
    }

    /// Ends it here.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.observer.notice(Event::StageEnded { stage: self.stage });
    }
}

/// No one listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn notice(&self, _: Event) {}
}

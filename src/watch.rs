//! Watching: prepares the site, shows it in the preview, and goes on as the export changes.
//!
//! Reads the export. What is shown is always a whole site: one that can't be prepared leaves the one before in its place.
//! It tells what happened and prints nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::SiteConfig;
use crate::error::Error;
use crate::event::Observer;
use crate::pipeline;
use crate::preview::{Preview, Snapshot};
use crate::scan::ScanError;
use crate::source::SourceError;

/// How long to wait before looking again for an export that is not there.
const AGAIN: Duration = Duration::from_millis(300);

/// What is to be watched.
#[derive(Debug, Clone)]
pub struct Options {
    /// The site manifest.
    pub config: SiteConfig,
    /// The folder of the export.
    pub export: PathBuf,
    /// Where digests are kept from run to run.
    pub cache: Option<PathBuf>,
}

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
}

/// Someone who is told.
pub trait Listener: Observer {
    /// Takes notice.
    fn happened(&self, happening: Happening);
}

/// Watches until the future is dropped.
pub async fn watch(options: Options, preview: Arc<Preview>, listener: Arc<dyn Listener>) {
    let mut is_told = false;
    loop {
        let began = Instant::now();
        match prepare(&options, &preview, &listener).await {
            Ok(site) => {
                preview.show(Arc::clone(&site));
                let took = began.elapsed();
                listener.happened(Happening::Shown { site, took });
                return std::future::pending().await;
            }
            Err(error) if is_missing(&error) => {
                if !is_told {
                    let export = options.export.clone();
                    listener.happened(Happening::Waiting { export });
                }
                is_told = true;
            }
            Err(error) => listener.happened(Happening::Failed { error }),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether there is no export, or nothing in it yet.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Scan(ScanError::Missing { .. } | ScanError::Empty { .. }))
}

async fn prepare(
    options: &Options,
    preview: &Arc<Preview>,
    listener: &Arc<dyn Listener>,
) -> Result<Arc<Snapshot>, Error> {
    let (options, preview, listener) = (options.clone(), Arc::clone(preview), Arc::clone(listener));
    let prepared = tokio::task::spawn_blocking(move || {
        let cache: Option<&Path> = options.cache.as_deref();
        let prepared = pipeline::preview(&options.config, &options.export, cache, &*listener)?;
        let before = preview.site();
        Ok(Arc::new(Snapshot::new(prepared, now(), before.as_deref())))
    });
    prepared.await.map_err(|error| {
        let detail = error.to_string();
        Error::Source(SourceError::Worker { detail })
    })?
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

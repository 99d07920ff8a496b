//! State that is pushed to browsers: which site is served, what is wrong with it, and the progress of a build.
//!
//! The state is a single value, and only the newest matters: a browser that is slow or connects late misses nothing.
//! [`super::affected`] decides what a change means for a page, when the page requests it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::unfold;
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::watch;

use super::affected::{Changes, Gist, History};
use super::body::{self, Body};
use super::normalized_page::NormalizedPage;
use super::snapshot::Snapshot;
use crate::model::digest::Digest;
use crate::model::severity::Severity;
use crate::site::check::Problem;

/// The longest pause between two messages to a browser; it shows that the connection still works.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Maximum number of findings shown in a page. The dashboard shows all of them.
const SHOWN: usize = 20;

/// Maximum number of build output lines and of measured times that are kept.
const LINES: usize = 200;
const TIMES: usize = 100;

/// Maximum number of cached normalized file versions.
const SEEN: usize = 4096;

/// The two activities that can fail and are timed: the site's own build, and the preparation of a site from its export.
const BUILD: &str = "build";
const SITE: &str = "site";

/// Something that went wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// An event about the served site, reported by the code that watches the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The site's own build started.
    BuildBegan,
    /// The build printed a line.
    BuildPrinted(String),
    /// The build ended, successfully or not.
    BuildEnded {
        /// How long it took.
        took: Duration,
        /// What went wrong, if the build failed.
        trouble: Option<Trouble>,
    },
    /// The time it took to prepare the site that is now served.
    Prepared(Duration),
    /// The export matches the served site, whatever was wrong with the export before.
    AsShown,
    /// The export could not be prepared; the previous site is still served.
    Failed(Trouble),
}

/// Something that went wrong, with the last lines of the build output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct TroubleReport {
    what: &'static str,
    #[serde(flatten)]
    trouble: Trouble,
    output: Vec<String>,
}

/// The state that is sent to browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct HubState {
    /// The digest of the site, if there is one.
    site: Option<Digest>,
    building: bool,
    trouble: Option<TroubleReport>,
    errors: usize,
    warnings: usize,
    /// The first findings, errors before warnings.
    findings: Vec<Problem>,
}

/// How long a build or a preparation took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timed {
    /// `build` or `site`.
    what: &'static str,
    /// When it ended, in milliseconds since 1970.
    at: u64,
    seconds: f64,
    ok: bool,
}

/// The current state for browsers, and the history behind it.
pub struct Hub {
    state: watch::Sender<Arc<HubState>>,
    clients: watch::Sender<usize>,
    past: Mutex<Past>,
}

#[derive(Default)]
struct Past {
    history: History,
    output: VecDeque<String>,
    times: VecDeque<Timed>,
    blinds: HashMap<Digest, Option<NormalizedPage>>,
    seen: VecDeque<Digest>,
}

impl Hub {
    pub fn new() -> Self {
        Self {
            state: watch::Sender::new(Arc::default()),
            clients: watch::Sender::new(0),
            past: Mutex::default(),
        }
    }

    /// Reports that a site replaced another. The new site must already be the served one. Returns a summary of the
    /// change.
    pub fn shown(&self, before: Option<&Snapshot>, after: &Snapshot) -> Gist {
        let gist = self.past().history.step(before.map(|before| &before.site), &after.site);
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        let (errors, warnings): (Vec<_>, Vec<_>) = after.problems.iter().partition(is_error);
        let findings = errors.iter().chain(&warnings).take(SHOWN);
        let findings = findings.map(|problem| (*problem).clone()).collect();
        self.change(|state| {
            state.site = Some(after.site.root);
            state.trouble.take_if(|wrong| wrong.what == SITE);
            (state.errors, state.warnings, state.findings) = (errors.len(), warnings.len(), findings);
        });
        gist
    }

    /// Applies an event to the state.
    pub fn tell(&self, news: News) {
        match news {
            News::BuildBegan => {
                self.past().output.clear();
                self.change(|state| state.building = true);
            }
            News::BuildPrinted(line) => {
                let mut past = self.past();
                past.output.push_back(line);
                if past.output.len() > LINES {
                    past.output.pop_front();
                }
            }
            News::BuildEnded { took, trouble } => {
                self.timed(BUILD, took, trouble.is_none());
                let output: Vec<String> = self.past().output.iter().cloned().collect();
                self.change(|state| {
                    state.building = false;
                    state.trouble.take_if(|wrong| wrong.what == BUILD);
                    if let Some(trouble) = trouble {
                        let what = BUILD;
                        state.trouble = Some(TroubleReport { what, trouble, output });
                    }
                });
            }
            News::AsShown => self.change(|state| {
                state.trouble.take_if(|wrong| wrong.what == SITE);
            }),
            News::Prepared(took) => self.timed(SITE, took, true),
            News::Failed(trouble) => self.change(|state| {
                let (what, output) = (SITE, Vec::new());
                state.trouble = Some(TroubleReport { what, trouble, output });
            }),
        }
    }

    /// Returns the number of connected browsers.
    pub fn clients(&self) -> usize {
        *self.clients.borrow()
    }

    /// Returns a receiver for changes of that number.
    pub fn clients_told(&self) -> watch::Receiver<usize> {
        self.clients.subscribe()
    }

    /// Returns the measured times, newest first.
    pub fn times(&self) -> Vec<Timed> {
        self.past().times.iter().rev().cloned().collect()
    }

    /// Returns what changed since a site was last served.
    pub fn since(&self, root: Digest) -> Option<Changes> {
        self.past().history.since(root)
    }

    /// Caches the normalized form of a file version; `None` if it has none.
    pub fn saw(&self, digest: Digest, blind: Option<NormalizedPage>) {
        let mut past = self.past();
        if past.blinds.insert(digest, blind).is_none() {
            past.seen.push_back(digest);
        }
        if past.seen.len() > SEEN
            && let Some(oldest) = past.seen.pop_front()
        {
            past.blinds.remove(&oldest);
        }
    }

    /// Whether the cache has this file version.
    pub fn has_seen(&self, digest: Digest) -> bool {
        self.past().blinds.contains_key(&digest)
    }

    /// Returns the normalized forms of file versions, as far as they are cached.
    pub fn seen(&self, digests: impl Iterator<Item = Digest>) -> HashMap<Digest, Option<NormalizedPage>> {
        let past = self.past();
        digests
            .filter_map(|digest| Some((digest, past.blinds.get(&digest)?.clone())))
            .collect()
    }

    /// Returns a body without an end: it sends the state as an event, immediately and after every change.
    pub fn events(&self) -> Body {
        let listening = self.listen();
        body::streamed(unfold(listening, |mut listening| async move {
            let text = listening.next().await?;
            Some((Ok(Frame::data(text.into())), listening))
        }))
    }

    fn listen(&self) -> Subscriber {
        self.clients.send_modify(|clients| *clients += 1);
        Subscriber {
            clients: self.clients.clone(),
            state: self.state.subscribe(),
            is_new: true,
        }
    }

    fn change(&self, change: impl FnOnce(&mut HubState)) {
        self.state.send_if_modified(|state| {
            let mut new = HubState::clone(state);
            change(&mut new);
            let is_other = new != **state;
            if is_other {
                *state = Arc::new(new);
            }
            is_other
        });
    }

    fn timed(&self, what: &'static str, took: Duration, ok: bool) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut past = self.past();
        past.times.push_back(Timed {
            what,
            at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            seconds: took.as_secs_f64(),
            ok,
        });
        if past.times.len() > TIMES {
            past.times.pop_front();
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connected browser.
struct Subscriber {
    clients: watch::Sender<usize>,
    state: watch::Receiver<Arc<HubState>>,
    is_new: bool,
}

impl Subscriber {
    /// Returns the next message, or `None` after the preview has ended.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_new) {
            match tokio::time::timeout(HEARTBEAT, self.state.changed()).await {
                Err(_) => return Some(":\n\n".to_owned()),
                Ok(changed) => changed.ok()?,
            }
        }
        let state = Arc::clone(&self.state.borrow_and_update());
        let json = serde_json::to_string(&*state).unwrap_or_default();
        Some(format!("event: state\ndata: {json}\n\n"))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.clients.send_modify(|clients| *clients -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(message: &str) -> Trouble {
        Trouble {
            message: message.to_owned(),
            hint: "mend it".to_owned(),
        }
    }

    fn ended(trouble: Option<Trouble>) -> News {
        let took = Duration::from_millis(1500);
        News::BuildEnded { took, trouble }
    }

    #[test]
    fn a_failed_build_is_reported_with_its_output_and_a_good_one_takes_that_back() {
        let hub = Hub::new();
        let state = || Arc::clone(&hub.state.borrow());
        hub.tell(News::BuildBegan);
        assert!(state().building);
        for number in 0..=LINES {
            hub.tell(News::BuildPrinted(format!("line {number}")));
        }
        hub.tell(ended(Some(trouble("it broke"))));
        let wrong = state().trouble.clone().unwrap();
        assert_eq!(
            (wrong.what, &*wrong.trouble.message, wrong.output.len()),
            ("build", "it broke", LINES)
        );
        assert_eq!(wrong.output[0], "line 1");
        hub.tell(News::BuildBegan);
        assert!(state().trouble.is_some(), "it is not fixed yet");
        hub.tell(ended(None));
        assert_eq!(*state(), HubState::default());
        let times: Vec<_> = hub
            .times()
            .iter()
            .map(|time| (time.what, time.seconds, time.ok))
            .collect();
        assert_eq!(times, [("build", 1.5, true), ("build", 1.5, false)]);
    }

    #[test]
    fn who_listens_gets_the_newest_state_at_once_and_only_what_is_new_after_that() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let hub = Hub::new();
            hub.tell(News::Failed(trouble("one")));
            let mut listening = hub.listen();
            assert_eq!(hub.clients(), 1);
            assert!(listening.next().await.unwrap().contains("\"message\":\"one\""));
            hub.tell(News::Failed(trouble("two")));
            hub.tell(News::Failed(trouble("three")));
            assert!(listening.next().await.unwrap().contains("\"message\":\"three\""));
            drop(listening);
            assert_eq!(hub.clients(), 0);
        });
    }

    #[test]
    fn versions_that_were_seen_longest_ago_are_forgotten() {
        let hub = Hub::new();
        let digest = |number: usize| Digest::of(&number.to_le_bytes());
        for number in 0..=SEEN {
            hub.saw(digest(number), None);
        }
        assert!(!hub.has_seen(digest(0)) && hub.has_seen(digest(1)) && hub.has_seen(digest(SEEN)));
    }
}

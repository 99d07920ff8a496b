//! What browsers are told while they wait: which site is shown, what is wrong with it, how a build fares.
//!
//! It is one value, of which only the newest counts: who was slow, or comes later, misses nothing. What that means for a
//! page is for [`super::affected`] to say, when the page asks.

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

/// How long a waiting browser hears nothing at most: it then knows that it is still heard.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Findings that a page shows; the dashboard has them all.
const SHOWN: usize = 20;

/// Lines of a build that are kept, and times of builds.
const LINES: usize = 200;
const TIMES: usize = 100;

/// Versions of files that are kept seen without their style sheets.
const SEEN: usize = 4096;

/// What can go wrong, or take time: the site's own build, and making a site of its export.
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

/// Something that happened to the site that is shown. Anyone who watches the export tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The site's own build began.
    BuildBegan,
    /// It printed a line.
    BuildPrinted(String),
    /// It ended, well or not.
    BuildEnded {
        /// How long it took.
        took: Duration,
        /// What is wrong, if it did not end well.
        trouble: Option<Trouble>,
    },
    /// The site that was put in place took so long to prepare.
    Prepared {
        /// How long.
        took: Duration,
    },
    /// The export is as it is shown, whatever was wrong with it before.
    AsShown,
    /// The export could not be made into a site; the one before is shown still.
    Failed(Trouble),
}

/// A finding of the checks, as browsers get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownFinding {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    severity: &'static str,
    check: &'static str,
    message: String,
    hint: String,
}

impl From<&Problem> for ShownFinding {
    fn from(problem: &Problem) -> Self {
        Self {
            path: problem.path.to_string(),
            line: problem.line,
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            check: problem.check,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// Something that went wrong, with the last lines of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct TroubleReport {
    what: &'static str,
    #[serde(flatten)]
    trouble: Trouble,
    output: Vec<String>,
}

/// What browsers are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct HubState {
    /// The digest of the site, if there is one.
    site: Option<String>,
    building: bool,
    trouble: Option<TroubleReport>,
    errors: usize,
    warnings: usize,
    /// The first findings, errors before warnings.
    findings: Vec<ShownFinding>,
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

/// What browsers are told, and what was.
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

    /// Tells that a site took the place of another. It must be the one that is served by now.
    pub fn shown(&self, before: Option<&Snapshot>, after: &Snapshot) -> Gist {
        let gist = self.past().history.step(before.map(|before| &before.site), &after.site);
        let errors = || {
            after
                .problems
                .iter()
                .filter(|problem| problem.severity == Severity::Error)
        };
        let warnings = || {
            after
                .problems
                .iter()
                .filter(|problem| problem.severity == Severity::Warning)
        };
        let findings: Vec<ShownFinding> = errors().chain(warnings()).take(SHOWN).map(ShownFinding::from).collect();
        let (errors, warnings) = (errors().count(), warnings().count());
        self.change(|state| {
            state.site = Some(after.site.root.to_string());
            state.trouble = state.trouble.take().filter(|wrong| wrong.what == BUILD);
            (state.errors, state.warnings, state.findings) = (errors, warnings, findings);
        });
        gist
    }

    /// Takes notice.
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
                    match trouble {
                        Some(trouble) => {
                            let what = BUILD;
                            state.trouble = Some(TroubleReport { what, trouble, output });
                        }
                        None => state.trouble = state.trouble.take().filter(|wrong| wrong.what != BUILD),
                    }
                });
            }
            News::AsShown => self.change(|state| {
                state.trouble = state.trouble.take().filter(|wrong| wrong.what == BUILD);
            }),
            News::Prepared { took } => self.timed(SITE, took, true),
            News::Failed(trouble) => self.change(|state| {
                let (what, output) = (SITE, Vec::new());
                state.trouble = Some(TroubleReport { what, trouble, output });
            }),
        }
    }

    /// How many browsers wait.
    pub fn clients(&self) -> usize {
        *self.clients.borrow()
    }

    /// Reports every change of their number.
    pub fn clients_told(&self) -> watch::Receiver<usize> {
        self.clients.subscribe()
    }

    /// How long things took, the newest first.
    pub fn times(&self) -> Vec<Timed> {
        self.past().times.iter().rev().cloned().collect()
    }

    /// What changed since a site was shown last.
    pub fn since(&self, root: Digest) -> Option<Changes> {
        self.past().history.since(root)
    }

    /// Keeps how a version of a file is seen without its style sheets.
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

    /// Whether that is kept.
    pub fn has_seen(&self, digest: Digest) -> bool {
        self.past().blinds.contains_key(&digest)
    }

    /// How versions of files are seen, as far as that is kept.
    pub fn seen(&self, digests: impl Iterator<Item = Digest>) -> HashMap<Digest, Option<NormalizedPage>> {
        let past = self.past();
        digests
            .filter_map(|digest| Some((digest, past.blinds.get(&digest)?.clone())))
            .collect()
    }

    /// The body of an answer that has no end: the state as an event, now and whenever it changes.
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

/// A browser that waits.
struct Subscriber {
    clients: watch::Sender<usize>,
    state: watch::Receiver<Arc<HubState>>,
    is_new: bool,
}

impl Subscriber {
    /// The next thing to send; none where the preview ended.
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

//! Reports what happens in a preview, on the terminal, as JSON and to open pages.

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use syntax_publish::model::event::{Event, Observer};
use syntax_publish::model::path::printable;
use syntax_publish::model::severity::Severity;
use syntax_publish::preview::watch::{Half, Listener, WatchEvent};
use syntax_publish::preview::{Gist, News, Preview, Snapshot, Trouble};
use syntax_publish::rules::PageForm;
use syntax_publish::site::check::Problem;

use super::super::Run;
use crate::cli::args::Global;
use crate::cli::failure::Failure;
use crate::cli::format::shown;
use crate::cli::format::{count, seconds};
use crate::cli::progress::{self, Progress};
use crate::cli::screen::{self, Screen};
use crate::cli::status::{Obstacle, PreviewStatus, brief};
use crate::cli::{hints, json, problems};

/// Maximum number of findings of the checks that a preview reports at a time. `check` lists all.
const SHOWN_FINDINGS: usize = 10;

/// Reports events on the terminal, as JSON, and to open pages.
pub struct WatchOutput {
    global: Global,
    screen: Screen,
    progress: Arc<Progress>,
    preview: Arc<Preview>,
    origin: String,
    /// Whether to open the browser when there is a site to show.
    opens: AtomicBool,
    /// The contents of the status line. `None` if there is no such line.
    status: Option<Mutex<PreviewStatus>>,
    /// The findings of the checks in the previous site.
    found: Mutex<Vec<Problem>>,
}

impl Observer for WatchOutput {
    fn notice(&self, event: Event) {
        match event {
            Event::StageBegan { stage, .. } => self.status(|status| status.stage = Some(progress::name(stage))),
            Event::StageEnded { .. } => self.status(|status| status.stage = None),
            _ => {}
        }
        // Later preparations are over before the user could read a line about them.
        let is_first = self.preview.site().is_none() && !self.screen.json;
        if is_first || matches!(event, Event::Noted(_)) {
            self.progress.notice(event);
        }
    }
}

impl Listener for WatchOutput {
    fn happened(&self, happening: WatchEvent) {
        self.progress.finish();
        if let Some(news) = Self::news(&happening) {
            self.preview.tell(news);
        }
        self.note(&happening);
        match happening {
            WatchEvent::Waiting { export } => {
                let export = shown(&export);
                self.print(
                    &json::Watched {
                        event: "waiting",
                        export: Some(export.clone()),
                        ..json::Watched::default()
                    },
                    || format!("waiting for an export in {export}"),
                );
            }
            WatchEvent::Shown { site, changed, took } => self.shown(&site, &changed, took),
            WatchEvent::Unchanged { took } => self.print(
                &json::Watched {
                    seconds: Some(took.as_secs_f64()),
                    ..of("unchanged")
                },
                || format!("nothing changed  ({})", brief(took)),
            ),
            WatchEvent::Unsettled { half } => {
                let reason = half_there(&half);
                let value = json::Watched {
                    reason: Some(reason.clone()),
                    ..of("unsettled")
                };
                self.print(&value, || {
                    format!("export looks incomplete ({reason}); waiting, still showing the previous one")
                });
            }
            WatchEvent::Failed { error } => self.failed_with(&Failure::from(error)),
            WatchEvent::Blind { error } => self.failed_with(&Failure::from(error)),
            WatchEvent::BuildBegan => self.print(&of("building"), || "building".to_owned()),
            WatchEvent::BuildPrinted { line } => self.printed(&line),
            WatchEvent::BuildEnded { status, took } if status.success() => {
                let value = json::Watched {
                    seconds: Some(took.as_secs_f64()),
                    ..of("built")
                };
                self.print(&value, || format!("built in {}", seconds(took)));
            }
            WatchEvent::BuildEnded { status, took } => self.failed("build", broken(status, took), BUILD_HINT),
            WatchEvent::BuildFailed { error } => self.failed("build", unstarted(&error), UNSTARTED_HINT),
        }
    }
}

/// Describes why an export seems incomplete.
fn half_there(half: &Half) -> String {
    match half {
        Half::Without { page } => format!("{page} is missing"),
        Half::Fewer { before, now } => format!("{now} of {}", count(*before, "file")),
        Half::Mixed => "it has files of two builds".to_owned(),
        Half::Names { url, count: 1 } => format!("pages name {}, which is not there", printable(url)),
        Half::Names { url, count } => {
            let more = *count - 1;
            format!("pages name {} and {more} more, which are not there", printable(url))
        }
    }
}

/// The hint after a build that failed.
const BUILD_HINT: &str = "fix what it names; the previous site stays up";

const UNSTARTED_HINT: &str = "see `command` in [watch]";

fn broken(status: ExitStatus, took: Duration) -> String {
    format!("the build ended with {status} after {}", seconds(took))
}

fn unstarted(error: &io::Error) -> String {
    format!("can't run the build: {error}")
}

/// Formats a line that the build printed, without its colors, because they would break off in the middle of the colors
/// of this tool.
fn plain(line: &str) -> String {
    printable(&anstream::adapter::strip_str(line).to_string())
}

/// Returns an event without any fields.
fn of(event: &'static str) -> json::Watched {
    json::Watched {
        event,
        ..json::Watched::default()
    }
}

impl WatchOutput {
    /// Reports on a preview at this origin. If `opens` is set, opens the browser when there is a site to show.
    pub fn new(run: &Run, preview: Arc<Preview>, origin: String, opens: bool) -> Self {
        let has_status = !run.screen.json && run.progress.has_bars();
        let teller = Self {
            global: run.global.clone(),
            screen: run.screen.clone(),
            progress: Arc::clone(&run.progress),
            preview,
            origin,
            opens: AtomicBool::new(opens),
            status: has_status.then(Mutex::default),
            found: Mutex::default(),
        };
        teller.status(|_| {});
        teller
    }

    /// Whether there is a status line.
    pub fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// Changes the contents of the status line, and draws it.
    pub fn status(&self, change: impl FnOnce(&mut PreviewStatus)) {
        let Some(status) = &self.status else { return };
        let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut status);
        status.clients = self.preview.clients();
        let line = status.line(Instant::now(), screen::shows_colors(), screen::columns_of_bars());
        drop(status);
        self.progress.pin(line);
    }

    /// Opens the front page in the browser.
    pub fn open(&self) {
        match self.preview.site() {
            Some(site) => self.open_at(front(&self.origin, &site)),
            None => self.open_at(format!("{}/", self.origin)),
        }
    }

    /// Prints a line of a certain kind.
    pub fn say(&self, kind: &str, text: &str) {
        self.progress.say(kind, text);
    }

    /// Updates the status line after an event.
    fn note(&self, happening: &WatchEvent) {
        self.status(|status| match happening {
            WatchEvent::Waiting { .. } => status.trouble = Some(Obstacle::Waiting),
            WatchEvent::Unsettled { .. } => status.trouble = Some(Obstacle::Unsettled),
            WatchEvent::Shown { site, took, .. } => {
                let number = |severity| {
                    site.problems
                        .iter()
                        .filter(|problem| problem.severity == severity)
                        .count()
                };
                status.files = Some(site.site.files);
                status.prepared = Some((Instant::now(), *took));
                (status.errors, status.warnings) = (number(Severity::Error), number(Severity::Warning));
                status.trouble = status.trouble.filter(|trouble| *trouble == Obstacle::Build);
            }
            WatchEvent::Unchanged { .. } => {
                status.trouble = status.trouble.filter(|trouble| *trouble == Obstacle::Build);
            }
            WatchEvent::Failed { .. } | WatchEvent::Blind { .. } => status.trouble = Some(Obstacle::Site),
            WatchEvent::BuildBegan => status.building = Some(Instant::now()),
            WatchEvent::BuildPrinted { .. } => {}
            WatchEvent::BuildEnded { status: ended, .. } => {
                status.building = None;
                status.trouble = match status.trouble {
                    _ if !ended.success() => Some(Obstacle::Build),
                    Some(Obstacle::Build) => None,
                    other => other,
                };
            }
            WatchEvent::BuildFailed { .. } => (status.building, status.trouble) = (None, Some(Obstacle::Build)),
        });
    }

    fn shown(&self, site: &Snapshot, changed: &Gist, took: Duration) {
        let url = front(&self.origin, site);
        let is_first = changed.first.is_none();
        self.print(
            &json::Watched {
                url: Some(url.clone()),
                files: Some(site.site.files),
                changed: (!is_first).then_some(changed.files),
                root: Some(site.site.root),
                seconds: Some(took.as_secs_f64()),
                problems: Some(site.problems.clone()),
                ..of("ready")
            },
            || match &changed.first {
                None => format!("ready: {url}  ({} in {})", count(site.site.files, "file"), brief(took)),
                Some(first) => {
                    let more = match changed.files - 1 {
                        0 => String::new(),
                        more => format!(" and {}", count(more as u64, "more file")),
                    };
                    format!("rebuilt: {}{more}  ({})", printable(first), brief(took))
                }
            },
        );
        self.name(site);
        if self.opens.swap(false, Ordering::Relaxed) {
            self.open_at(url);
        }
    }

    /// Returns what to send to open pages about an event.
    fn news(happening: &WatchEvent) -> Option<News> {
        let trouble = |message: String, hint: &str| Trouble {
            message,
            hint: hint.to_owned(),
        };
        Some(match happening {
            WatchEvent::Waiting { .. } | WatchEvent::Unchanged { .. } | WatchEvent::Unsettled { .. } => return None,
            WatchEvent::Shown { took, .. } => News::Prepared { took: *took },
            WatchEvent::Failed { error } => News::Failed(trouble(error.to_string(), &hints::of_site(error))),
            WatchEvent::Blind { error } => News::Failed(trouble(error.to_string(), &hints::of_watch(error))),
            WatchEvent::BuildBegan => News::BuildBegan,
            WatchEvent::BuildPrinted { line } => News::BuildPrinted(plain(line)),
            WatchEvent::BuildEnded { status, took } => News::BuildEnded {
                took: *took,
                trouble: (!status.success()).then(|| trouble(broken(*status, *took), BUILD_HINT)),
            },
            WatchEvent::BuildFailed { error } => News::BuildEnded {
                took: Duration::ZERO,
                trouble: Some(trouble(unstarted(error), UNSTARTED_HINT)),
            },
        })
    }

    fn print(&self, value: &json::Watched, text: impl FnOnce() -> String) {
        // If the reader of the output has exited, the preview goes on, because the browser may still be open.
        let _ = self.progress.aside(|| self.screen.event(value, text));
    }

    fn failed_with(&self, failure: &Failure) {
        self.failed(failure.code(), failure.to_string(), &hints::hint(failure, &self.global));
    }

    fn failed(&self, code: &str, message: String, hint: &str) {
        let text = format!("failed: {message}\n  {hint}");
        let value = json::Watched {
            error: Some(json::FailedBody {
                code: code.to_owned(),
                message,
                hint: hint.to_owned(),
                ..json::FailedBody::default()
            }),
            ..of("failed")
        };
        self.print(&value, || text);
    }

    fn printed(&self, line: &str) {
        let line = plain(line);
        if self.screen.json {
            let value = json::Watched {
                line: Some(line),
                ..of("output")
            };
            self.print(&value, String::new);
        } else {
            self.progress.say("build", &line);
        }
    }

    /// Reports the findings of the checks that are new.
    fn name(&self, site: &Snapshot) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *found, site.problems.clone());
        drop(found);
        // Both lists are sorted.
        let is_in = |all: &[Problem], problem: &Problem| all.binary_search(problem).is_ok();
        let new: Vec<&Problem> = site
            .problems
            .iter()
            .filter(|problem| !is_in(&before, problem))
            .collect();
        let fixed = before.iter().filter(|problem| !is_in(&site.problems, problem)).count();
        if fixed > 0 {
            self.say("fixed", &count(fixed as u64, "finding"));
        }
        for problem in new.iter().take(SHOWN_FINDINGS) {
            self.say(problem.severity.name(), &problems::line(problem));
        }
        if let Some(more) = new.len().checked_sub(SHOWN_FINDINGS).filter(|more| *more > 0) {
            let check = crate::cli::args::again(&self.global, "check");
            self.say("note", &format!("and {more} more: `{check}` lists them all"));
        }
    }

    fn open_at(&self, url: String) {
        let progress = Arc::clone(&self.progress);
        // A browser may be slow to start, and some stay in the foreground.
        std::thread::spawn(move || {
            if let Err(reason) = open_browser(&url) {
                progress.say("note", &format!("can't open a browser: {reason}; open {url} yourself"));
            }
        });
    }
}

/// Opens a URL in the browser, and waits to see whether that succeeded.
fn open_browser(url: &str) -> Result<(), String> {
    let quiet = || std::process::Stdio::null();
    let opened = std::process::Command::new("xdg-open")
        .arg(url)
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .status();
    match opened {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("xdg-open ended with {status}")),
        // Other systems have no `xdg-open`.
        Err(_) => opener::open_browser(url).map_err(|error| error.to_string()),
    }
}

/// Returns the URL of the front page.
fn front(origin: &str, site: &Snapshot) -> String {
    let slash = match (site.rules.form, &*site.rules.base_path) {
        (_, "") | (PageForm::Folder, _) => "/",
        (PageForm::Flat, _) => "",
    };
    format!("{origin}{}{slash}", site.rules.base_path)
}

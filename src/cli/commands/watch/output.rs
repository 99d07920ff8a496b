//! Reports what happens in a preview, on the terminal, as JSON and to open pages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use syntax_publish::config::SiteConfig;
use syntax_publish::model::event::{Event, Observer};
use syntax_publish::model::path::printable;
use syntax_publish::model::severity::Severity;
use syntax_publish::preview::watch::{Half, Listener, WatchEvent};
use syntax_publish::preview::{Gist, News, Preview, Snapshot, Trouble};
use syntax_publish::rules::PageForm;
use syntax_publish::site::check::Problem;

use super::super::Run;
use crate::cli::args::{Global, again};
use crate::cli::failure::Failure;
use crate::cli::format::{count, seconds, shown};
use crate::cli::json::{FailedBody, Watched};
use crate::cli::progress::{self, Progress};
use crate::cli::screen::{self, Screen};
use crate::cli::site::Workplace;
use crate::cli::status::{Obstacle, PreviewStatus, brief};
use crate::cli::{hints, problems};

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
            Event::StageEnded(_) => self.status(|status| status.stage = None),
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
        match happening {
            WatchEvent::Waiting(export) => {
                self.status(|status| status.trouble = Some(Obstacle::Waiting));
                let export = shown(&export);
                let text = format!("waiting for an export in {export}");
                self.print(&Watched::Waiting { export }, text);
            }
            WatchEvent::Shown { site, changed, took } => self.shown(&site, &changed, took),
            WatchEvent::Unchanged(took) => {
                self.status(PreviewStatus::forget_trouble_of_export);
                let seconds = took.as_secs_f64();
                self.print(
                    &Watched::Unchanged { seconds },
                    format!("nothing changed  ({})", brief(took)),
                );
            }
            WatchEvent::Unsettled(half) => {
                self.status(|status| status.trouble = Some(Obstacle::Unsettled));
                let reason = half_there(&half);
                let text = format!("export looks incomplete ({reason}); waiting, still showing the previous one");
                self.print(&Watched::Unsettled { reason }, text);
            }
            WatchEvent::Failed(error) => self.failed(&error.into()),
            WatchEvent::Blind(error) => self.failed(&error.into()),
            WatchEvent::BuildBegan => {
                self.preview.tell(News::BuildBegan);
                self.status(|status| status.building = Some(Instant::now()));
                self.print(&Watched::Building, "building".to_owned());
            }
            WatchEvent::BuildPrinted(line) => {
                // Without its colors, because they would break off in the middle of the colors of this tool.
                let line = printable(&anstream::adapter::strip_str(&line).to_string());
                self.preview.tell(News::BuildPrinted(line.clone()));
                if self.screen.json {
                    self.print(&Watched::Output { line }, String::new());
                } else {
                    self.say("build", &line);
                }
            }
            WatchEvent::BuildEnded { status, took } if status.success() => {
                self.preview.tell(News::BuildEnded { took, trouble: None });
                self.status(|status| {
                    status.building = None;
                    status.trouble = status.trouble.filter(|trouble| *trouble != Obstacle::Build);
                });
                let text = format!("built in {}", seconds(took));
                let seconds = took.as_secs_f64();
                self.print(&Watched::Built { seconds }, text);
            }
            WatchEvent::BuildEnded { status, took } => {
                let message = format!("the build ended with {status} after {}", seconds(took));
                self.build_failed(took, message, "fix what it names; the previous site stays up");
            }
            WatchEvent::BuildFailed(error) => {
                let message = format!("can't run the build: {error}");
                self.build_failed(Duration::ZERO, message, "see `command` in [watch]");
            }
        }
    }

    fn read_settings(&self) -> Option<SiteConfig> {
        let read = self.progress.aside(|| Workplace::open(&self.global, &self.screen));
        match read {
            Ok(workplace) => Some(workplace.config),
            Err(failure) => {
                self.progress.finish();
                self.failed(&failure);
                None
            }
        }
    }
}

/// Describes why an export seems incomplete.
fn half_there(half: &Half) -> String {
    match half {
        Half::Without(page) => format!("{page} is missing"),
        Half::Fewer { before, now } => format!("{now} of {}", count(*before, "file")),
        Half::Mixed => "it has files of two builds".to_owned(),
        Half::Names { url, count: 1 } => format!("pages name {}, which is not there", printable(url)),
        Half::Names { url, count } => {
            let more = *count - 1;
            format!("pages name {} and {more} more, which are not there", printable(url))
        }
    }
}

impl WatchOutput {
    /// Reports on a preview at this origin. If `opens` is set, opens the browser when there is a site to show.
    pub fn new(run: &Run, preview: Arc<Preview>, origin: String, opens: bool) -> Self {
        let has_status = !run.screen.json && run.progress.has_bars();
        let output = Self {
            global: run.global.clone(),
            screen: run.screen.clone(),
            progress: Arc::clone(&run.progress),
            preview,
            origin,
            opens: AtomicBool::new(opens),
            status: has_status.then(Mutex::default),
            found: Mutex::default(),
        };
        output.status(|_| {});
        output
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
        let url = self.preview.site().map(|site| front(&self.origin, &site));
        self.open_at(url.unwrap_or_else(|| format!("{}/", self.origin)));
    }

    /// Prints a line of a certain kind.
    pub fn say(&self, kind: &str, text: &str) {
        self.progress.say(kind, text);
    }

    fn shown(&self, site: &Snapshot, changed: &Gist, took: Duration) {
        self.preview.tell(News::Prepared(took));
        self.status(|status| {
            status.files = Some(site.site.files);
            status.prepared = Some((Instant::now(), took));
            status.errors = problems::number(&site.problems, Severity::Error);
            status.warnings = problems::number(&site.problems, Severity::Warning);
            status.forget_trouble_of_export();
        });
        let (url, files) = (front(&self.origin, site), site.site.files);
        let text = match &changed.first {
            None => format!("ready: {url}  ({} in {})", count(files, "file"), brief(took)),
            Some(first) => {
                let more = match changed.files - 1 {
                    0 => String::new(),
                    more => format!(" and {}", count(more as u64, "more file")),
                };
                format!("rebuilt: {}{more}  ({})", printable(first), brief(took))
            }
        };
        let value = Watched::Ready {
            url: url.clone(),
            files,
            changed: changed.first.is_some().then_some(changed.files),
            root: site.site.root,
            seconds: took.as_secs_f64(),
            problems: site.problems.clone(),
        };
        self.print(&value, text);
        self.report_findings(site);
        if self.opens.swap(false, Ordering::Relaxed) {
            self.open_at(url);
        }
    }

    fn print(&self, value: &Watched, text: String) {
        // If the reader of the output has exited, the preview goes on, because the browser may still be open.
        let _ = self.progress.aside(|| self.screen.event(value, || text));
    }

    /// Reports that the export can't be shown.
    fn failed(&self, failure: &Failure) {
        let trouble = Trouble {
            message: failure.to_string(),
            hint: hints::hint(failure, &self.global),
        };
        self.preview.tell(News::Failed(trouble.clone()));
        self.status(|status| status.trouble = Some(Obstacle::Site));
        self.print_failure(failure.code(), trouble);
    }

    /// Reports that the site's own build failed.
    fn build_failed(&self, took: Duration, message: String, hint: &str) {
        let hint = hint.to_owned();
        let trouble = Trouble { message, hint };
        self.preview.tell(News::BuildEnded {
            took,
            trouble: Some(trouble.clone()),
        });
        self.status(|status| (status.building, status.trouble) = (None, Some(Obstacle::Build)));
        self.print_failure("build", trouble);
    }

    fn print_failure(&self, code: &str, Trouble { message, hint }: Trouble) {
        let text = format!("failed: {message}\n  {hint}");
        let error = FailedBody {
            code: code.to_owned(),
            message,
            hint,
            ..FailedBody::default()
        };
        self.print(&Watched::Failed { error }, text);
    }

    /// Reports the findings of the checks that are new.
    fn report_findings(&self, site: &Snapshot) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *found, site.problems.clone());
        drop(found);
        // Both lists are sorted.
        let is_in = |all: &[Problem], problem: &Problem| all.binary_search(problem).is_ok();
        let new = site.problems.iter().filter(|problem| !is_in(&before, problem));
        let new: Vec<&Problem> = new.collect();
        let fixed = before.iter().filter(|problem| !is_in(&site.problems, problem)).count();
        if fixed > 0 {
            self.say("fixed", &count(fixed as u64, "finding"));
        }
        for problem in new.iter().take(SHOWN_FINDINGS) {
            self.say(problem.severity.name(), &problems::line(problem));
        }
        if new.len() > SHOWN_FINDINGS {
            let (more, check) = (new.len() - SHOWN_FINDINGS, again(&self.global, "check"));
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
pub(in crate::cli::commands) fn open_browser(url: &str) -> Result<(), String> {
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

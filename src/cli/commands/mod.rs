//! One function per command: it opens what it needs, calls the library, and prints the result.

mod ask;
mod change;
mod channels;
mod deliver;
mod doctor;
mod init;
mod redirects;
mod serve;
mod target_client;
mod verify;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use syntax_publish::config::schema;
use syntax_publish::host::panics;
use syntax_publish::model::event::{Running, Stage};
use syntax_publish::model::severity::Severity;
use syntax_publish::rules::Rules;
use syntax_publish::site::SiteError;
use syntax_publish::site::check::{Problem, moved};
use syntax_publish::site::pipeline::{LocalSite, Prepared};
use syntax_publish::site::scan::{self, ScanError};
use syntax_publish::site::source::SourceError;
use syntax_publish::store::open::{self, StoreSnapshot};
use syntax_publish::store::plan;
use syntax_publish::store::publish::make_ahead;
use syntax_publish::store::remote_cache::RemoteCache;
use syntax_publish::store::session::{Live, Session};
use syntax_publish::store::sync::MadeAhead;

use super::actions::Actions;
use super::args::{ChannelsAction, Command, Global, Publish, RedirectsAction, again};
use super::failure::Failure;
use super::format::{count, shown};
use super::progress::Progress;
use super::screen::Screen;
use super::site::{self, Workplace};
use super::{complete, connect, generated_text, json, problems, report};

/// Maximum number of warnings of the checks that a publish reports. `check` lists all.
const SHOWN_WARNINGS: usize = 10;

/// Maximum time to find out which release is live after a local failure.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// When to report findings that stop every publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judge {
    /// As soon as they are found.
    AtOnce,
    /// Together with the plan.
    WithThePlan,
}

/// What this machine knows of a target before it answers.
struct Remembered {
    /// What was seen there before.
    seen: Option<Arc<RemoteCache>>,
    /// What a publish is expected to send.
    ahead: Option<MadeAhead>,
}

/// What was seen on a target before.
fn seen_on(workplace: &Workplace) -> Option<Arc<RemoteCache>> {
    let folder = site::cache()?;
    Some(Arc::new(RemoteCache::load(&folder, &workplace.identity())))
}

/// One run of the command.
pub struct Run {
    global: Global,
    screen: Screen,
    progress: Arc<Progress>,
    actions: Option<Actions>,
    began: Instant,
    workplace: OnceLock<Workplace>,
    session: OnceLock<Arc<Session>>,
    /// The command, if its failure is notified.
    telling: OnceLock<&'static str>,
    /// Whether the result was printed. What is printed later is not part of the result.
    has_reported: AtomicBool,
}

impl Run {
    /// Creates a run with these options.
    pub fn new(global: Global, screen: Screen) -> Self {
        Self {
            progress: Arc::new(Progress::new(&screen)),
            actions: Actions::here(&screen),
            global,
            screen,
            began: Instant::now(),
            workplace: OnceLock::new(),
            session: OnceLock::new(),
            telling: OnceLock::new(),
            has_reported: AtomicBool::new(false),
        }
    }

    /// Notes that the result was printed and all notifications were sent.
    fn note_reported(&self) {
        self.has_reported.store(true, Ordering::SeqCst);
    }

    /// Whether the result was printed.
    pub fn has_reported(&self) -> bool {
        self.has_reported.load(Ordering::SeqCst)
    }

    /// Runs a command. Returns the exit code.
    pub async fn command(&self, command: Command) -> Result<u8, Failure> {
        match command {
            Command::Publish(options) if options.dry_run => self.plan("publish", &options).await,
            Command::Publish(options) => match options.channel.clone() {
                Some(name) => Box::pin(self.publish_to_channel(&name, options)).await,
                None => {
                    self.telling_of_failure("publish", Box::pin(self.publish(options)))
                        .await
                }
            },
            Command::Plan { timings } => {
                let options = Publish {
                    timings,
                    ..Publish::default()
                };
                self.plan("plan", &options).await
            }
            Command::Check(options) => self.check(options).await,
            Command::Redirects(options) => match options.action {
                RedirectsAction::Suggest => self.suggest_redirects(options).await,
            },
            Command::Build { out } => self.build(out).await,
            Command::Watch(options) => self.watch(options).await,
            Command::Serve(options) => self.serve(options).await,
            Command::Rollback(options) => {
                self.telling_of_failure("rollback", Box::pin(self.rollback(options)))
                    .await
            }
            Command::Promote(options) => {
                self.telling_of_failure("promote", Box::pin(self.promote(options)))
                    .await
            }
            Command::Channels { action: None } => self.channels().await,
            Command::Channels {
                action: Some(ChannelsAction::Remove { channel }),
            } => self.remove_channel(&channel).await,
            Command::Hold { reason } => self.hold(&reason).await,
            Command::Resume => self.resume().await,
            Command::Releases => self.releases().await,
            Command::Status => self.status().await,
            Command::Diff { from, to } => self.diff(from, to).await,
            Command::Verify(options) if options.live => self.verify_live(options.release).await,
            Command::Verify(options) => self.verify(options).await,
            Command::Prune { dry_run } => self.prune(dry_run).await,
            Command::Doctor { resolver } => Box::pin(self.doctor(resolver)).await,
            Command::Init { yes } => self.init(yes).await,
            Command::Nginx(options) => self.nginx(options).await,
            Command::Schema => {
                self.screen.result(&schema::value(), schema::text)?;
                Ok(0)
            }
            Command::Completions { shell } => self.print("completions", complete::script(shell)?),
            Command::Man { of: _, out: Some(out) } => {
                let pages = generated_text::write_man_pages(&out)?;
                let text = || format!("wrote {} to {}\n", count(pages, "page"), shown(&out));
                self.screen.summary(&json::text("man", &out.to_string_lossy()), text)?;
                Ok(0)
            }
            Command::Man { of, out: None } => self.print("man", generated_text::man(of.as_deref())?),
        }
    }

    /// Prints a text that a command made, under the name of the command in JSON.
    fn print(&self, command: &str, text: String) -> Result<u8, Failure> {
        self.screen.result(&json::text(command, &text), || text)?;
        Ok(0)
    }

    /// Returns the session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        self.session.get().map(Arc::as_ref)
    }

    /// Removes the progress bars.
    pub fn finish(&self) {
        self.progress.end();
    }

    /// Remembers what the next run needs before it connects.
    pub fn remember(&self) {
        if let (Some(workplace), Some(session)) = (self.workplace.get(), self.session()) {
            connect::remember_round_trip(workplace, session);
        }
    }

    /// Returns what is known about the target, for the report of a failure. `None` if the site manifest was not read.
    pub fn told(&self) -> Option<report::FailureContext> {
        let workplace = self.workplace.get()?;
        Some(report::FailureContext {
            global: self.global.clone(),
            target: format!("{} ({})", workplace.target_name, workplace.place()),
            live: self.session().map(Session::live),
        })
    }

    /// Finds out which release is live after a local failure, if that is not known yet.
    pub async fn look_once_more(&self, failure: &Failure) {
        let ours = matches!(failure.exit_code(), 1 | 3);
        if let Some(session) = self.session().filter(|session| ours && session.live() == Live::Unknown) {
            // An error here is not reported, because the first failure is the one that counts.
            let _ = tokio::time::timeout(LAST_LOOK, open::read_state(session)).await;
        }
    }

    /// Reports a failure to GitHub Actions, if the run is part of a workflow there.
    pub fn tell_of(&self, failure: &Failure) {
        let Some(actions) = &self.actions else {
            return;
        };
        let problems = report::found(failure);
        if let Some(workplace) = self.workplace.get() {
            actions.annotate(problems, workplace);
        }
        let told = self.told();
        let hint = report::hint(failure, told.as_ref());
        actions.failed(failure, problems, &report::live_now(failure, told.as_ref()), &hint);
    }

    /// Returns the site manifest, which is read only once.
    fn workplace(&self) -> Result<&Workplace, Failure> {
        if let Some(workplace) = self.workplace.get() {
            return Ok(workplace);
        }
        let workplace = Workplace::open(&self.global, &self.screen)?;
        Ok(self.workplace.get_or_init(|| workplace))
    }

    /// Returns the session with the target. It connects on first use.
    fn open(&self, what: &str) -> Result<(&Workplace, &Arc<Session>), Failure> {
        let workplace = self.workplace()?;
        if let Some(session) = self.session.get() {
            return Ok((workplace, session));
        }
        let session = Session::new(connect::connector(workplace)?, site::owner(what));
        let session = Arc::new(session.observed_by(Arc::clone(&self.progress) as _));
        self.progress.timings.count(session.counts());
        if self.screen.verbose
            && let Some(text) = connect::compression(workplace)
        {
            self.progress.say("note", &text);
        }
        Ok((workplace, self.session.get_or_init(|| session)))
    }

    /// Runs work that keeps a thread busy on a separate thread.
    async fn aside<T: Send + 'static, E: Into<Failure> + Send + 'static>(
        &self,
        work: impl FnOnce(&Progress) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure> {
        let progress = Arc::clone(&self.progress);
        let done = tokio::task::spawn_blocking(move || work(&progress)).await;
        let done = done.map_err(|error| {
            let detail = panics::said(error);
            Failure::from(SiteError::from(SourceError::Worker(detail)))
        })?;
        done.map_err(Into::into)
    }

    /// Runs one of the pipelines on the export of the site.
    async fn on_export<T: Send + 'static>(
        &self,
        workplace: &Workplace,
        pipeline: impl FnOnce(&LocalSite<'_>) -> Result<T, SiteError> + Send + 'static,
    ) -> Result<T, Failure> {
        let (config, export, cache) = (workplace.config.clone(), workplace.export()?, site::cache());
        self.aside(move |progress| pipeline(&LocalSite::new(&config, &export, cache.as_deref(), progress)))
            .await
    }

    /// Prepares the site from the export.
    async fn prepare(&self, workplace: &Workplace) -> Result<Prepared, Failure> {
        workplace.keep_apart(None)?;
        self.on_export(workplace, |site| site.prepare()).await
    }

    /// Prepares the site from the export, whatever the checks find, except for findings that `judge` stops at.
    async fn prepare_to_judge(&self, workplace: &Workplace, judge: Judge) -> Result<Prepared, Failure> {
        workplace.keep_apart(None)?;
        let pipeline = move |site: &LocalSite<'_>| {
            let prepared = site.prepare_to_judge()?;
            let mut problems = prepared.problems.iter();
            if judge == Judge::AtOnce && problems.any(|problem| site.stops_always(problem)) {
                return Err(SiteError::Check(prepared.problems));
            }
            Ok(prepared)
        };
        self.on_export(workplace, pipeline).await
    }

    /// Returns the rules for requests to the site, as the export determines them. `None` if there is no export.
    async fn rules_of_export(&self, workplace: &Workplace) -> Result<Option<Rules>, Failure> {
        match self.on_export(workplace, |site| site.served()).await {
            Err(Failure::Site(SiteError::Scan(ScanError::Missing(_)))) => Ok(None),
            rules => rules.map(Some),
        }
    }

    /// Prepares the site while the connection is made and the store is inspected. The folders near the top of the
    /// export are requested as well, on the assumption that they have not changed. What a publish is expected to send is
    /// encoded in the time that is left.
    async fn prepare_and_connect(
        &self,
        workplace: &Workplace,
        session: &Session,
        judge: Judge,
    ) -> Result<(Prepared, StoreSnapshot, Remembered), Failure> {
        let export = workplace.export()?;
        let connecting = async {
            let running = Running::begin(&*self.progress, Stage::Connect);
            let near = self.aside(move |_| Ok::<_, Failure>(scan::top_folders(&export, plan::GUESSED_FOLDERS)));
            let store_snapshot = async { Ok::<_, Failure>(open::inspect(session, near.await?).await?) }.await;
            running.end();
            store_snapshot
        };
        let preparing = async {
            let prepared = self.prepare_to_judge(workplace, judge).await?;
            let seen = seen_on(workplace);
            let ahead = seen.as_deref().filter(|_| judge == Judge::AtOnce);
            let ahead = ahead.and_then(|seen| make_ahead(&prepared.source, &prepared.site, seen));
            Ok::<_, Failure>((prepared, Remembered { seen, ahead }))
        };
        let ((prepared, remembered), store_snapshot) = futures_util::future::try_join(preparing, connecting).await?;
        Ok((prepared, store_snapshot, remembered))
    }

    /// Reports the new warnings one by one, and the known problems as a number.
    fn warn_of(&self, problems: &[Problem]) {
        let warn = |text: &str| self.progress.say("warning", text);
        let check = again(&self.global, "check");
        // `check` does not know what is live or was, so it does not list these.
        let is_moved = |problem: &Problem| problem.check == moved::NAME;
        let is_news = |problem: &&Problem| {
            (problem.known.is_none() || is_moved(problem)) && problem.severity == Severity::Warning
        };
        let mut news: Vec<&Problem> = problems.iter().filter(is_news).collect();
        news.sort_by_key(|problem| problem.known.is_some());
        for problem in news.iter().take(SHOWN_WARNINGS) {
            warn(&problems::line(problem));
        }
        if let Some(known) = problems::known(problems.iter().filter(|problem| !is_moved(problem))) {
            warn(&format!("{known} (`{check}` lists them)"));
        }
        let (moved, others): (Vec<_>, Vec<_>) = news
            .into_iter()
            .skip(SHOWN_WARNINGS)
            .partition(|problem| is_moved(problem));
        if !others.is_empty() {
            warn(&format!("and {} more: `{check}` lists them all", others.len()));
        }
        if !moved.is_empty() {
            let (more, suggest) = (moved.len(), again(&self.global, "redirects suggest"));
            warn(&format!("and {more} more without an answer: see `{suggest}`"));
        }
    }
}

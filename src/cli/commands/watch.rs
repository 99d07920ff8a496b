//! The command that stays: a preview of the site.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use syntax_publish::event::{Event, Observer};
use syntax_publish::model::path::printable;
use syntax_publish::preview::{self, Desk, Live, Names, News, Preview, Snapshot, Trouble, port};
use syntax_publish::serving::PageForm;
use syntax_publish::watch::{self, Happening, Listener, Manner};

use super::Run;
use super::desk::OfTarget;
use crate::cli::args::{Global, Watch};
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::report::{count, seconds};
use crate::cli::screen::Screen;
use crate::cli::site::{self, Workplace, shown};
use crate::cli::{hints, json, problems};

/// A preview names so many findings of the checks; `check` names all.
const SHOWN_FINDINGS: usize = 10;

impl Run {
    pub(super) async fn watch(&self, options: Watch) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let wanted = options.port.or(workplace.config.watch.port);
        let listening = port::listen(&options.host, wanted).await?;
        for (port, by) in &listening.passed {
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            self.screen.note(&format!("port {port} is taken{by}"));
        }
        let origin = origin(&options.host, listening.address);
        if !is_local(&options.host, listening.address) {
            let port = listening.address.port();
            self.screen.warn(&format!(
                "whoever reaches port {port} of this machine can read the site as it is now"
            ));
        }
        let url = format!("{origin}/");
        self.screen.event(
            &json::Watched {
                event: "listening",
                url: Some(url.clone()),
                ..json::Watched::default()
            },
            || format!("{url}  (Ctrl-C ends it)"),
        )?;
        let live = if options.no_reload { Live::No } else { Live::Yes };
        let desk: Arc<dyn Desk> = Arc::new(OfTarget::new(&self.global));
        let preview = Arc::new(Preview::new(Names::with(&options.host), live, Some(desk)));
        let teller = Arc::new(Teller {
            global: self.global.clone(),
            screen: self.screen.clone(),
            progress: Arc::clone(&self.progress),
            preview: Arc::clone(&preview),
            origin,
            opens: options.open,
            opened: OnceLock::new(),
        });
        let serving = preview::serve(listening.listener, Arc::clone(&preview));
        let watched = watched(workplace, options)?;
        tokio::select! {
            () = serving => Ok(0),
            ended = watch::watch(watched, preview, teller) => Ok(ended.map(|()| 0)?),
        }
    }
}

/// What is to be watched, by the site manifest and the options.
fn watched(workplace: &Workplace, options: Watch) -> Result<watch::Options, Failure> {
    let of_site = &workplace.config.watch;
    let paths: Result<Vec<_>, Failure> = of_site.paths.iter().map(|path| workplace.path(path)).collect();
    Ok(watch::Options {
        config: workplace.config.clone(),
        folder: workplace.base.clone(),
        export: absolute(workplace.export()?),
        cache: site::cache(),
        manner: if options.poll { Manner::Polled } else { Manner::Told },
        command: if options.command.is_empty() {
            of_site.command.clone()
        } else {
            options.command
        },
        paths: paths?.into_iter().map(absolute).collect(),
    })
}

/// A path as events name it: absolute, and with the links of the folders above it followed.
fn absolute(path: PathBuf) -> PathBuf {
    let named = path.file_name().map(ToOwned::to_owned);
    let above = path.parent().and_then(|above| above.canonicalize().ok());
    match (above, named) {
        (Some(above), Some(name)) => above.join(name),
        _ => std::path::absolute(&path).unwrap_or(path),
    }
}

/// Whether only this machine reaches an address.
fn is_local(host: &str, address: SocketAddr) -> bool {
    address.ip().is_loopback() || host == "localhost"
}

/// The beginning of every address of the preview.
fn origin(host: &str, address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        // No address that one could ask for.
        ip if ip.is_unspecified() => format!("http://localhost:{port}"),
        _ if host.parse::<IpAddr>().is_err() && !host.starts_with('[') => format!("http://{host}:{port}"),
        _ => format!("http://{address}"),
    }
}

/// Tells what happens, on the terminal or as JSON.
struct Teller {
    global: Global,
    screen: Screen,
    progress: Arc<Progress>,
    preview: Arc<Preview>,
    origin: String,
    opens: bool,
    opened: OnceLock<()>,
}

impl Observer for Teller {
    fn notice(&self, event: Event) {
        self.progress.notice(event);
    }
}

impl Listener for Teller {
    fn happened(&self, happening: Happening) {
        self.progress.finish();
        if let Some(news) = self.news(&happening) {
            self.preview.tell(news);
        }
        match happening {
            Happening::Waiting { export } => {
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
            Happening::Shown { site, took } => {
                let url = front(&self.origin, &site);
                let findings = || site.problems.iter().map(json::Finding::from).collect();
                self.print(
                    &json::Watched {
                        event: "ready",
                        url: Some(url.clone()),
                        files: Some(site.site.files),
                        root: Some(site.site.root.to_string()),
                        seconds: Some(took.as_secs_f64()),
                        problems: Some(findings()),
                        ..json::Watched::default()
                    },
                    || {
                        format!(
                            "ready: {url}  ({} in {})",
                            count(site.site.files, "file"),
                            seconds(took)
                        )
                    },
                );
                self.name(&site);
                if self.opens && self.opened.set(()).is_ok() {
                    self.open(&url);
                }
            }
            Happening::Failed { error } => self.failed_with(&Failure::from(error)),
            Happening::Blind { error } => self.failed_with(&Failure::from(error)),
            Happening::BuildBegan => self.print(&of("building"), || "building".to_owned()),
            Happening::BuildPrinted { line } => self.printed(&line),
            Happening::BuildEnded { status, took } if status.success() => {
                let value = json::Watched {
                    seconds: Some(took.as_secs_f64()),
                    ..of("built")
                };
                self.print(&value, || format!("built in {}", seconds(took)));
            }
            Happening::BuildEnded { status, took } => self.failed("build", broken(status, took), BUILD_HINT),
            Happening::BuildFailed { error } => self.failed("build", unstarted(&error), UNSTARTED_HINT),
        }
    }
}

/// What to do about a build that failed.
const BUILD_HINT: &str = "correct what it names; the site before stays up";

const UNSTARTED_HINT: &str = "see `command` in [watch]";

fn broken(status: ExitStatus, took: Duration) -> String {
    format!("the build ended with {status} after {}", seconds(took))
}

fn unstarted(error: &io::Error) -> String {
    format!("can't run the build: {error}")
}

/// A line of the build: its own colours would break off in the middle of ours.
fn plain(line: &str) -> String {
    printable(&anstream::adapter::strip_str(line).to_string())
}

/// An event without any field yet.
fn of(event: &'static str) -> json::Watched {
    json::Watched {
        event,
        ..json::Watched::default()
    }
}

impl Teller {
    /// What open pages are told of it.
    fn news(&self, happening: &Happening) -> Option<News> {
        let trouble = |message: String, hint: &str| Trouble {
            message,
            hint: hint.to_owned(),
        };
        Some(match happening {
            Happening::Waiting { .. } => return None,
            Happening::Shown { took, .. } => News::Prepared { took: *took },
            Happening::Failed { error } => {
                News::Failed(trouble(error.to_string(), &hints::of_library(error, &self.global)))
            }
            Happening::Blind { error } => News::Failed(trouble(error.to_string(), &hints::of_watch(error))),
            Happening::BuildBegan => News::BuildBegan,
            Happening::BuildPrinted { line } => News::BuildPrinted(plain(line)),
            Happening::BuildEnded { status, took } => News::BuildEnded {
                took: *took,
                trouble: (!status.success()).then(|| trouble(broken(*status, *took), BUILD_HINT)),
            },
            Happening::BuildFailed { error } => News::BuildEnded {
                took: Duration::ZERO,
                trouble: Some(trouble(unstarted(error), UNSTARTED_HINT)),
            },
        })
    }

    fn print(&self, value: &json::Watched, text: impl FnOnce() -> String) {
        // Whoever read the lines is gone, and the browser may be there still.
        let _ = self.screen.event(value, text);
    }

    fn failed_with(&self, failure: &Failure) {
        self.failed(failure.code(), failure.to_string(), &hints::hint(failure, &self.global));
    }

    fn failed(&self, code: &str, message: String, hint: &str) {
        let text = format!("failed: {message}\n  {hint}");
        let value = json::Watched {
            error: Some(json::FailedBody {
                answers: Vec::new(),
                code: code.to_owned(),
                message,
                hint: hint.to_owned(),
                live: None,
                problems: Vec::new(),
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

    fn name(&self, site: &Snapshot) {
        for problem in site.problems.iter().take(SHOWN_FINDINGS) {
            self.progress
                .say(json::severity(problem.severity), &problems::line(problem));
        }
        if let Some(more) = site.problems.len().checked_sub(SHOWN_FINDINGS).filter(|more| *more > 0) {
            let check = site::again(&self.global, "check");
            self.progress
                .say("note", &format!("and {more} more: `{check}` lists them all"));
        }
    }

    fn open(&self, url: &str) {
        let (url, progress) = (url.to_owned(), Arc::clone(&self.progress));
        // A browser may take its time, and some stay in the foreground.
        std::thread::spawn(move || {
            if let Err(error) = opener::open_browser(&url) {
                progress.say("note", &format!("can't open a browser: {error}"));
            }
        });
    }
}

/// The address of the front page.
fn front(origin: &str, site: &Snapshot) -> String {
    let slash = match (site.rules.form, &*site.rules.base_path) {
        (_, "") | (PageForm::Folder, _) => "/",
        (PageForm::Flat, _) => "",
    };
    format!("{origin}{}{slash}", site.rules.base_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_that_a_browser_can_ask_for() {
        let of = |host: &str, address: &str| origin(host, address.parse().unwrap());
        assert_eq!(of("127.0.0.1", "127.0.0.1:4400"), "http://127.0.0.1:4400");
        assert_eq!(of("::1", "[::1]:4400"), "http://[::1]:4400");
        assert_eq!(of("localhost", "127.0.0.1:4400"), "http://localhost:4400");
        assert_eq!(of("0.0.0.0", "0.0.0.0:4400"), "http://localhost:4400");
        assert!(is_local("localhost", "127.0.0.1:1".parse().unwrap()));
        assert!(!is_local("0.0.0.0", "0.0.0.0:1".parse().unwrap()));
    }
}

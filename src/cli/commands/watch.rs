//! The command that stays: a preview of the site.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use syntax_publish::event::{Event, Observer};
use syntax_publish::preview::{self, Names, Preview, Snapshot, port};
use syntax_publish::serving::PageForm;
use syntax_publish::watch::{self, Happening, Listener};

use super::Run;
use crate::cli::args::{Global, Watch};
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::report::{count, seconds};
use crate::cli::screen::Screen;
use crate::cli::site::{self, shown};
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
        let preview = Arc::new(Preview::new(Names::with(&options.host)));
        let teller = Arc::new(Teller {
            global: self.global.clone(),
            screen: self.screen.clone(),
            progress: Arc::clone(&self.progress),
            origin,
            opens: options.open,
            opened: OnceLock::new(),
        });
        let watched = watch::Options {
            config: workplace.config.clone(),
            export: workplace.export()?,
            cache: site::cache(),
        };
        tokio::join!(
            preview::serve(listening.listener, Arc::clone(&preview)),
            watch::watch(watched, preview, teller),
        );
        Ok(0)
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
                    || format!("ready: {url}  ({} in {})", count(site.site.files, "file"), seconds(took)),
                );
                self.name(&site);
                if self.opens && self.opened.set(()).is_ok() {
                    self.open(&url);
                }
            }
            Happening::Failed { error } => {
                let failure = Failure::from(error);
                let hint = hints::hint(&failure, &self.global);
                self.print(
                    &json::Watched {
                        event: "failed",
                        error: Some(json::FailedBody {
                            code: failure.code().to_owned(),
                            message: failure.to_string(),
                            hint: hint.clone(),
                            live: None,
                            problems: Vec::new(),
                        }),
                        ..json::Watched::default()
                    },
                    || format!("not shown: {failure}\n  {hint}"),
                );
            }
        }
    }
}

impl Teller {
    fn print(&self, value: &json::Watched, text: impl FnOnce() -> String) {
        // Whoever read the lines is gone, and the browser may be there still.
        let _ = self.screen.event(value, text);
    }

    fn name(&self, site: &Snapshot) {
        for problem in site.problems.iter().take(SHOWN_FINDINGS) {
            self.progress.say(json::severity(problem.severity), &problems::line(problem));
        }
        if let Some(more) = site.problems.len().checked_sub(SHOWN_FINDINGS).filter(|more| *more > 0) {
            let check = site::again(&self.global, "check");
            self.progress.say("note", &format!("and {more} more: `{check}` lists them all"));
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

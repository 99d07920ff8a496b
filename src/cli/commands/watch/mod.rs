//! The command `watch`: a preview of the site. It does not end by itself.

mod console;
mod output;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use syntax_publish::preview::watch::{self, Manner};
use syntax_publish::preview::{self, HostNames, LiveReload, Preview, TargetApi, port};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use self::console::Console;
use self::output::WatchOutput;
pub(super) use self::output::open_browser;
use super::Run;
use super::target_client::TargetClient;
use crate::cli::args::Watch;
use crate::cli::failure::Failure;
use crate::cli::format::{quoted, shown};
use crate::cli::json::Watched;
use crate::cli::site::{self, Workplace};

impl Run {
    pub(super) async fn watch(&self, options: Watch) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let wanted = options.port.or(workplace.config.watch.port);
        let (listener, origin) = self.listen(&options.host, wanted).await?;
        let url = format!("{origin}/");
        let text = format!("{url}  (Ctrl-C ends it)");
        self.screen.event(&Watched::Listening { url }, || text)?;
        let live = if options.no_reload {
            LiveReload::No
        } else {
            LiveReload::Yes
        };
        let target = Arc::new(TargetClient::new(&self.global));
        let for_pages: Arc<dyn TargetApi> = Arc::<TargetClient>::clone(&target);
        let preview = Arc::new(Preview::new(HostNames::with(&options.host), live, Some(for_pages)));
        let output = Arc::new(WatchOutput::new(self, Arc::clone(&preview), origin, options.open));
        let serving = preview::serve(listener, Arc::clone(&preview));
        let watched = watched(workplace, options)?;
        if !watched.command.is_empty() {
            let words: Vec<String> = watched.command.iter().map(|word| quoted(word)).collect();
            let (command, folder) = (words.join(" "), shown(&watched.folder));
            let text = format!("runs `{command}` in {folder}, now and when its sources change");
            // Printed through the progress, because the status line already exists.
            self.progress.say("note", &text);
        }
        let again = Arc::new(Notify::new());
        let console = Console {
            progress: Arc::clone(&self.progress),
            preview: Arc::clone(&preview),
            output: Arc::clone(&output),
            target,
            again: Arc::clone(&again),
        };
        tokio::select! {
            () = serving => Ok(0),
            ended = watch::watch(watched, preview, output, again) => Ok(ended.map(|()| 0)?),
            () = console.attend() => Ok(0),
        }
    }

    /// Listens, and says what should be known of that. Returns the socket, and the origin with which each URL begins.
    pub(super) async fn listen(&self, host: &str, wanted: Option<u16>) -> Result<(TcpListener, String), Failure> {
        let listening = port::listen(host, wanted).await?;
        for (port, by) in &listening.passed {
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            self.screen.note(&format!("port {port} is taken{by}"));
        }
        if !is_local(host, listening.address) {
            let port = listening.address.port();
            let text = format!("anyone who can reach port {port} of this machine can read the site");
            self.screen.warn(&text);
        }
        let origin = origin(host, listening.address);
        Ok((listening.listener, origin))
    }
}

/// Returns what to watch, from the site manifest and the options.
fn watched(workplace: &Workplace, options: Watch) -> Result<watch::Options, Failure> {
    let of_site = &workplace.config.watch;
    let paths: Result<Vec<_>, Failure> = of_site.paths.iter().map(|path| workplace.path(path)).collect();
    Ok(watch::Options {
        config: workplace.config.clone(),
        settings: workplace.settings().into_iter().map(absolute).collect(),
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

/// Returns a path as file events name it: absolute, and with symlinks in the folders above it resolved.
fn absolute(path: PathBuf) -> PathBuf {
    let named = path.file_name().map(ToOwned::to_owned);
    let above = path.parent().and_then(|above| above.canonicalize().ok());
    match (above, named) {
        (Some(above), Some(name)) => above.join(name),
        _ => std::path::absolute(&path).unwrap_or(path),
    }
}

/// Whether an address can only be reached from this machine.
fn is_local(host: &str, address: SocketAddr) -> bool {
    address.ip().is_loopback() || host == "localhost"
}

/// Returns the origin of the preview, with which each of its URLs begins.
fn origin(host: &str, address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        // A browser can't connect to an unspecified address.
        ip if ip.is_unspecified() => format!("http://localhost:{port}"),
        _ if host.parse::<IpAddr>().is_err() && !host.starts_with('[') => format!("http://{host}:{port}"),
        _ => format!("http://{address}"),
    }
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

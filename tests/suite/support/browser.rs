//! A real browser: Chromium, driven by `tests/browser/drive.mjs`, and its reports.
//!
//! The driver itself reports what is wrong (`problems`: a console message, a failed request, a picture that does not
//! decode). Tests state what they expect.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long one order may take. The driver has its own timeouts for each page.
const PATIENCE: Duration = Duration::from_mins(15);

/// Two browsers run at a time: one alone leaves up to a third of two cores idle, while it waits for pages to come to rest.
static TURNS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];

/// The number of browsers that were started.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A driver and its browser. Both end when dropped.
pub struct Browser {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    _home: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The result of a survey of a site.
#[derive(Debug, Deserialize)]
pub struct Survey {
    pub pages: Vec<Page>,
    pub missing: Missing,
    pub search: Option<Found>,
    /// How long the survey took.
    pub seconds: f64,
}

/// One page of a survey.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The file of the export.
    pub file: String,
    pub problems: Vec<String>,
    /// A picture of the page, if there is a problem.
    pub picture: Option<PathBuf>,
    pub status: Option<u16>,
    /// What a reader sees, or `None` if the page could not be inspected.
    pub seen: Option<Seen>,
    /// The requests of the first load.
    pub requests: Vec<Request>,
    pub links: Vec<Link>,
    pub presses: Vec<Press>,
    /// How long each part took.
    pub seconds: BTreeMap<String, f64>,
}

/// What a reader sees of a page.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Seen {
    pub path: String,
    pub title: String,
    pub heading: Option<String>,
    pub text: String,
    /// The text of each `<pre>` and `<code>`.
    pub code: Vec<String>,
    pub images: Vec<Image>,
    /// The fonts that were requested.
    pub fonts: Vec<Font>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Image {
    pub path: String,
    pub width: u32,
    pub height: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Font {
    pub font: String,
    pub status: String,
}

/// One request of a page.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Request {
    /// Path and query.
    pub path: String,
    pub method: String,
    /// The browser's name for the kind: `Document`, `Script`, `Fetch`, …
    pub kind: String,
    pub status: u16,
    /// Bytes over the wire, including headers.
    pub bytes: f64,
    pub from: Source,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The server sent it.
    Network,
    /// The server confirmed the cached answer.
    Validated,
    Disk,
    Memory,
}

/// A link that was followed, and the way back.
#[derive(Debug, Deserialize)]
pub struct Link {
    pub to: String,
    /// Whether the page kept its document all the way.
    pub soft: bool,
}

/// A button that was pressed.
#[derive(Debug, Deserialize)]
pub struct Press {
    pub button: String,
    /// The code and the styles that were requested.
    pub asked: Vec<String>,
}

/// An address that no page has.
#[derive(Debug, Deserialize)]
pub struct Missing {
    pub problems: Vec<String>,
    pub picture: Option<PathBuf>,
    pub status: Option<u16>,
    pub seen: Option<Seen>,
}

/// A search, and its first result.
#[derive(Debug, Deserialize)]
pub struct Found {
    #[serde(default)]
    pub problems: Vec<String>,
    pub picture: Option<PathBuf>,
    #[serde(default)]
    pub texts: Vec<String>,
    pub first: Option<Arrived>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Arrived {
    pub path: String,
    pub title: String,
    pub heading: Option<String>,
}

/// What a tab did, and its state afterwards.
#[derive(Debug, Deserialize)]
pub struct Tab {
    pub status: Option<u16>,
    pub went: Vec<Went>,
    pub presses: Vec<Press>,
    pub found: Option<Found>,
    pub seen: Option<Seen>,
    pub requests: Vec<Request>,
    pub problems: Vec<String>,
    pub picture: Option<PathBuf>,
}

/// A link that a tab followed.
#[derive(Debug, Deserialize)]
pub struct Went {
    pub to: String,
    /// Whether the tab had not requested any part of the page before the link was opened.
    #[serde(rename = "isNew")]
    pub is_new: bool,
    /// Whether the tab kept its document.
    pub soft: bool,
    pub seen: Seen,
}

/// What a returning visitor saw and loaded, page by page.
#[derive(Debug, Deserialize)]
pub struct Visit {
    pub pages: Vec<Visited>,
}

#[derive(Debug, Deserialize)]
pub struct Visited {
    pub path: String,
    pub seen: Seen,
    pub requests: Vec<Request>,
    pub problems: Vec<String>,
}

/// What a tour showed, clicking one element after the other.
#[derive(Debug, Deserialize)]
pub struct Tour {
    pub stops: Vec<Stop>,
    /// The number of documents that were loaded during the tour.
    pub documents: usize,
}

#[derive(Debug, Deserialize)]
pub struct Stop {
    pub path: String,
    pub title: String,
    pub text: String,
    pub images: Vec<Shown>,
    /// The background pictures.
    pub grounds: Vec<String>,
    /// The metadata for link previews.
    pub cards: Vec<String>,
    pub requests: Vec<Request>,
    pub problems: Vec<String>,
}

/// A picture as the page shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Shown {
    pub id: String,
    /// Path and query.
    pub url: String,
    pub width: u32,
    pub height: u32,
    pub decoded: bool,
}

/// What a service worker serves without its server.
#[derive(Debug, Deserialize)]
pub struct Offline {
    /// The state that the page reports.
    pub state: String,
    /// The state that the browser reports.
    pub worker: String,
    pub stops: Vec<Kept>,
}

#[derive(Debug, Deserialize)]
pub struct Kept {
    pub path: String,
    pub problem: Option<String>,
    pub images: Vec<Shown>,
}

/// What went wrong in a tab of the preview, and the origins that it requested.
#[derive(Debug, Deserialize)]
pub struct Told {
    pub problems: Vec<String>,
    pub origins: Vec<String>,
}

/// The results of axe-core.
#[derive(Debug, Deserialize)]
pub struct Axe {
    pub violations: Vec<String>,
    /// The number of rules that passed.
    pub passes: usize,
}

impl Browser {
    /// Waits for its turn, and starts the driver. `name` is that of the test, for its artifacts.
    pub fn start(name: &str) -> Browser {
        let turn = &TURNS[STARTED.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
        let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        assert!(
            scripts.join("node_modules/playwright-core").is_dir(),
            "the browser's driver is not installed: run tests/run, or npm ci in tests/browser"
        );
        let home = tempfile::tempdir().expect("a folder");
        let settings = json!({
            "chromium": chromium(),
            "artifacts": artifacts(name),
            "jobs": thread::available_parallelism().map_or(2, usize::from) + 1,
        });
        let mut child = Command::new("node")
            .arg(scripts.join("drive.mjs"))
            .arg(settings.to_string())
            .env("HOME", home.path())
            .env("XDG_CACHE_HOME", home.path().join(".cache"))
            .env("XDG_CONFIG_HOME", home.path().join(".config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed");
        let stdout = child.stdout.take().expect("a piped stdout");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Browser {
            orders: child.stdin.take(),
            child,
            answers,
            _home: home,
            _turn: turn,
        }
    }

    /// Inspects every page of a site. `order` is described in `survey.mjs`.
    pub fn survey(&mut self, order: Value) -> Survey {
        self.ask("survey", order)
    }

    /// Opens a tab that stays open.
    pub fn open(&mut self, tab: &str, url: &str) -> Tab {
        self.ask("open", json!({ "tab": tab, "url": url }))
    }

    /// Follows links of a tab to pages of `paths`; `turn` chooses among them.
    pub fn wander(&mut self, tab: &str, paths: &[String], clicks: usize, turn: usize) -> Tab {
        let order = json!({ "tab": tab, "paths": paths, "clicks": clicks, "turn": turn });
        self.ask("wander", order)
    }

    /// Presses every button of a tab.
    pub fn press(&mut self, tab: &str) -> Tab {
        self.ask("press", json!({ "tab": tab }))
    }

    /// Searches in a tab, and opens the first result.
    pub fn find(&mut self, tab: &str, word: &str) -> Tab {
        self.ask("find", json!({ "tab": tab, "word": word }))
    }

    /// Closes a tab.
    pub fn close(&mut self, tab: &str) {
        let () = self.ask("close", json!({ "tab": tab }));
    }

    /// Loads pages in a browser whose cache is in `profile`, and ends that browser.
    pub fn visit(&mut self, profile: &Path, base: &str, paths: &[String]) -> Visit {
        let order = json!({ "profile": profile, "base": base, "paths": paths });
        self.ask("visit", order)
    }

    /// Loads a page, and clicks the element of each selector.
    pub fn tour(&mut self, url: &str, clicks: &[&str]) -> Tour {
        self.ask("tour", json!({ "url": url, "clicks": clicks }))
    }

    /// Lets a page register its worker, and loads pages without a network.
    pub fn offline(&mut self, url: &str, paths: &[&str]) -> Offline {
        self.ask("offline", json!({ "url": url, "paths": paths }))
    }

    /// Opens a tab of the preview. Only the test's own calls interact with it.
    pub fn watch(&mut self, tab: &str, url: &str) {
        let () = self.ask("watch", json!({ "tab": tab, "url": url }));
    }

    /// Opens a tab of any server in which no link is in view before [`Self::prefetch`]. Calls for tabs of the preview
    /// work with it, too.
    pub fn load(&mut self, tab: &str, url: &str) {
        let () = self.ask("load", json!({ "tab": tab, "url": url }));
    }

    /// Brings the links of a tab of [`Self::load`] into view, and waits until nothing is asked for any more.
    pub fn prefetch(&mut self, tab: &str) {
        let () = self.ask("prefetch", json!({ "tab": tab }));
    }

    /// Closes a tab that was opened with [`Self::load`] or [`Self::watch`].
    pub fn leave(&mut self, tab: &str) {
        let () = self.ask("leave", json!({ "tab": tab }));
    }

    /// Runs an expression in a tab of the preview.
    pub fn evaluate(&mut self, tab: &str, script: &str) -> Value {
        self.ask("evaluate", json!({ "tab": tab, "script": script }))
    }

    /// Waits until an expression is true in a tab of the preview.
    pub fn until(&mut self, tab: &str, script: &str) {
        let () = self.ask("until", json!({ "tab": tab, "script": script }));
    }

    /// Presses a key in a tab of the preview.
    pub fn key(&mut self, tab: &str, key: &str) {
        let () = self.ask("key", json!({ "tab": tab, "key": key }));
    }

    /// Clicks the element of a selector in a tab of the preview.
    pub fn click(&mut self, tab: &str, selector: &str) {
        let () = self.ask("click", json!({ "tab": tab, "selector": selector }));
    }

    /// What went wrong in a tab of the preview, and the origins that it requested.
    pub fn told(&mut self, tab: &str) -> Told {
        self.ask("told", json!({ "tab": tab }))
    }

    /// Runs axe-core in a tab of the preview, or in a part of it.
    pub fn axe(&mut self, tab: &str, scheme: &str, within: &Value) -> Axe {
        self.ask("axe", json!({ "tab": tab, "scheme": scheme, "within": within }))
    }

    /// Takes a picture of a tab of the preview.
    pub fn picture(&mut self, tab: &str, scheme: &str, file: &Path) {
        let () = self.ask("picture", json!({ "tab": tab, "scheme": scheme, "file": file }));
    }

    fn ask<T: DeserializeOwned>(&mut self, what: &str, mut order: Value) -> T {
        order["do"] = what.into();
        let orders = self.orders.as_mut().expect("an open stdin");
        writeln!(orders, "{order}").expect("the driver listens");
        let answer = self.answers.recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|error| panic!("the driver never answered to {what}: {error}"));
        let mut answer: Value = serde_json::from_str(&answer).expect("a line of JSON");
        assert!(answer["error"].is_null(), "{what}: {}", answer["error"]);
        serde_json::from_value(answer["ok"].take()).unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing stdin ends the driver, which ends the browser.
        drop(self.orders.take());
        let deadline = Instant::now() + Duration::from_secs(30);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Request {
    /// Whether the server sent the complete answer.
    pub fn is_full(&self) -> bool {
        self.from == Source::Network && self.method == "GET" && self.status == 200
    }
}

/// The folder for a test's artifacts: pictures of what went wrong, and figures.
pub fn artifacts(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name);
    fs::create_dir_all(&folder).expect("the folder for pictures");
    folder
}

fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .expect("Chromium is installed")
}

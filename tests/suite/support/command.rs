//! Runs the built `syntax-publish` in its own project, with only the PATH and the TMPDIR of the caller's environment,
//! and shows the content of a folder before and after.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use regex_lite::Regex;
pub use rustix::process::Signal;
use tempfile::TempDir;
use walkdir::WalkDir;

/// How long a run may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_mins(2);

/// The interval for polling.
const POLL: Duration = Duration::from_millis(2);

/// A temporary folder that every user of the machine may enter, because the SSH server works in it as another user.
pub fn open_tempdir() -> TempDir {
    open_tempdir_in(&std::env::temp_dir())
}

/// Like [`open_tempdir`], in `parent`.
pub fn open_tempdir_in(parent: &Path) -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("syntax-publish-")
        .tempdir_in(parent)
        .expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod of a new folder");
    folder
}

/// A site's folder in which the command runs, with its own home. Both are removed when dropped.
pub struct Project {
    /// The working directory of the command, which contains `site-manifest.toml`.
    pub dir: PathBuf,
    /// HOME of the runs. Note that `ssh` reads the home of the *user*, not this one.
    pub home: PathBuf,
    base: TempDir,
}

/// A finished run.
#[derive(Debug)]
pub struct Ran {
    /// The exit code. If a signal ended the run, 128 + the signal's number, as in a shell.
    pub code: i32,
    /// The signal that ended the run, if the run did not handle it.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A run in the background. It is killed when dropped.
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

impl Project {
    pub fn new() -> Project {
        let base = open_tempdir();
        let root = base.path().canonicalize().expect("the path of a new folder");
        let (dir, home) = (root.join("project"), root.join("home"));
        fs::create_dir(&dir).expect("the project's folder");
        fs::create_dir(&home).expect("the project's home");
        Project { dir, home, base }
    }

    /// Writes a file of the project, and creates its parent folders. Returns the full path.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.join(path);
        write(&path, bytes);
        path
    }

    /// Writes `site-manifest.toml`.
    pub fn write_manifest(&self, text: &str) {
        self.write("site-manifest.toml", text);
    }

    /// Runs the command until it ends.
    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Ran {
        self.run_env(args, &[])
    }

    /// Runs the command until it ends, with these variables in addition to the clean environment.
    pub fn run_env<A: AsRef<OsStr>>(&self, args: &[A], env: &[(&str, &str)]) -> Ran {
        self.spawn_env(args, env).wait()
    }

    /// Starts the command in the background.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: &[A]) -> Running {
        self.spawn_env(args, &[])
    }

    /// Starts the command in the background, with these variables in addition to the clean environment.
    pub fn spawn_env<A: AsRef<OsStr>>(&self, args: &[A], env: &[(&str, &str)]) -> Running {
        let mut command = self.command();
        command.args(args).envs(env.iter().copied());
        Running::start(command)
    }

    /// The command in its clean environment, for a test that needs to set more than arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syntax-publish"));
        command.current_dir(&self.dir).env_clear();
        for kept in ["PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
            .env("HOME", &self.home)
            .env("XDG_CACHE_HOME", self.home.join(".cache"))
            .env("XDG_CONFIG_HOME", self.home.join(".config"))
            // A temporary folder inside a checkout must not pick up the HEAD of that checkout.
            .env("GIT_CEILING_DIRECTORIES", self.base.path())
            .stdin(Stdio::null());
        command
    }

    /// `text` without what differs from run to run, for snapshots: the paths of the project and the home, ports,
    /// release IDs, times and durations.
    pub fn redact(&self, text: &str) -> String {
        let text = text
            .replace(&self.dir.display().to_string(), "[project]")
            .replace(&self.home.display().to_string(), "[home]")
            .replace(&self.base.path().display().to_string(), "[base]");
        redact(&text)
    }
}

impl Ran {
    /// The one JSON value on stdout.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON value: {error}\n{self}"))
    }

    /// Fails, with all the output, unless the run ended with this exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ran {
        assert!(self.code == code, "exit code {code} expected\n{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "exit {}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl Running {
    /// Starts any command as a background run.
    pub fn start(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let stdout = Stream::read(child.stdout.take().expect("a piped stdout"));
        let stderr = Stream::read(child.stderr.take().expect("a piped stderr"));
        Running { child, stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command only, not to its children.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("a process to signal");
    }

    /// Waits until stderr contains `text`. Fails if the run ends first.
    pub fn wait_for_stderr(&mut self, text: &str) {
        self.stderr.wait_for(text);
    }

    /// Waits until stdout contains `text`. Fails if the run ends first.
    pub fn wait_for_stdout(&mut self, text: &str) {
        self.stdout.wait_for(text);
    }

    /// What the run has printed on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What the run has printed on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// The peak memory of the run so far, in MiB; 0 if it has ended.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) / 1024
    }

    /// Whether the run has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child to wait for").is_none()
    }

    /// Waits for the end. Kills the run and fails if it takes unreasonably long.
    pub fn wait(mut self) -> Ran {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!(
                    "still running after {PATIENCE:?}; stderr so far:\n{}",
                    self.stderr.so_far()
                );
            }
            thread::sleep(POLL);
        };
        self.ran(status)
    }

    /// Kills the run (SIGKILL) and returns what it printed.
    pub fn kill(mut self) -> Ran {
        let _ = self.child.kill();
        let status = self.child.wait().expect("a child to wait for");
        self.ran(status)
    }

    fn ran(&mut self, status: ExitStatus) -> Ran {
        let signal = status.signal();
        Ran {
            code: status.code().unwrap_or(128 + signal.unwrap_or(0)),
            signal,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a child has printed so far, read by a thread so that the child never blocks.
struct Stream {
    shared: Arc<(Mutex<Printed>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn read(mut source: impl Read + Send + 'static) -> Stream {
        let shared = Arc::new((Mutex::new(Printed::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let len = source.read(&mut buffer).unwrap_or(0);
                let mut printed = theirs.0.lock().unwrap_or_else(PoisonError::into_inner);
                printed.bytes.extend_from_slice(&buffer[..len]);
                printed.ended = len == 0;
                theirs.1.notify_all();
                if len == 0 {
                    return;
                }
            }
        });
        Stream {
            shared,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        let printed = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&printed.bytes).into_owned()
    }

    fn wait_for(&self, text: &str) {
        let waiting = |printed: &mut Printed| !printed.ended && !String::from_utf8_lossy(&printed.bytes).contains(text);
        let printed = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = self
            .shared
            .1
            .wait_timeout_while(printed, PATIENCE, waiting)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let printed = String::from_utf8_lossy(&printed.bytes);
        assert!(printed.contains(text), "never printed: {text}\n--- printed\n{printed}");
    }

    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader that does not panic");
        }
        self.so_far()
    }
}

/// `text` without ports, release IDs, times and durations.
pub fn redact(text: &str) -> String {
    [
        (r"\b[0-9]{8}-[0-9]{6}-[0-9a-z]+", "[release]"),
        (
            r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?(Z|UTC)|[+-][0-9]{2}:?[0-9]{2})?)?",
            "[time]",
        ),
        (r"\b[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?\b", "[time]"),
        (r"\b[0-9]+(\.[0-9]+)? ?(ns|µs|us|ms|s|sec|min|h|seconds?|minutes?|hours?)\b", "[time]"),
        (r#"("seconds": ?)[0-9]+(\.[0-9]+)?"#, "$1[time]"),
        (r"\b(127\.0\.0\.1|localhost|\[::1\]):[0-9]{2,5}\b", "$1:[port]"),
        (r"\b([Pp]ort:? )[0-9]{2,5}\b", "$1[port]"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (pattern, by)| {
        Regex::new(pattern).expect("a pattern").replace_all(&text, by).into_owned()
    })
}

/// Writes a file and creates its parent folders.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    }
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The state of everything in `folder`, without following links: a line for each entry, with `.` for the folder itself.
/// Empty if there is no such folder. Equal states are equal byte for byte, including modes and times.
pub fn docroot_state(folder: &Path) -> BTreeMap<String, String> {
    state(folder, false)
}

/// Everything that a web server sees in `folder`, following links. A release gives the same result in every store.
/// Empty if there is no such folder.
pub fn visitor_state(folder: &Path) -> BTreeMap<String, String> {
    state(folder, true)
}

fn state(folder: &Path, follow: bool) -> BTreeMap<String, String> {
    if fs::symlink_metadata(folder).is_err() {
        return BTreeMap::new();
    }
    WalkDir::new(folder)
        .follow_links(follow)
        .follow_root_links(follow)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap_or_else(|error| panic!("{error}"));
            let path = entry.path();
            let name = match path.strip_prefix(folder) {
                Ok(inside) if inside.as_os_str().is_empty() => ".".to_owned(),
                inside => inside.expect("a path inside the folder").to_string_lossy().into_owned(),
            };
            let metadata = entry.metadata().unwrap_or_else(|error| panic!("{error}"));
            let mode = metadata.mode() & 0o7777;
            let mtime = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
            let what = if metadata.is_symlink() {
                let target = fs::read_link(path).unwrap_or_else(|error| panic!("{name}: {error}"));
                format!("link -> {} mtime {mtime}", target.display())
            } else if metadata.is_dir() {
                // The folders of a release are new with each release. A visitor does not see their times.
                if follow {
                    format!("dir {mode:04o}")
                } else {
                    format!("dir {mode:04o} mtime {mtime}")
                }
            } else if metadata.is_file() {
                let bytes = fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
                let digest = blake3::hash(&bytes);
                format!("file {mode:04o} {} bytes mtime {mtime} {digest}", metadata.len())
            } else {
                format!("other {mode:04o} mtime {mtime}")
            };
            (name, what)
        })
        .collect()
}

/// The build ID of [`small_export`].
pub const SMALL_EXPORT_BUILD_ID: &str = "pX3vLm9Qe_TzKc7uR1aYb";

/// Writes a tiny export to `folder`, as Next's App Router makes it: two pages that link to each other, their payloads,
/// a chunk, the build's own folder, an image, robots.txt, a 404 page.
pub fn small_export(folder: &Path) {
    let id = SMALL_EXPORT_BUILD_ID;
    let page = |title: &str, link: &str, text: &str| {
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width\"/><title>{title}</title>\
             <link rel=\"stylesheet\" href=\"/_next/static/chunks/site.css\"/>\
             <script src=\"/_next/static/chunks/x.js\" async=\"\"></script></head>\
             <body><main><h1 id=\"top\">{title}</h1><p>{text}</p>\
             <a href=\"{link}\">{link}</a><img src=\"/images/dot.png\" alt=\"a dot\" width=\"1\" height=\"1\"/>\
             </main><script>(self.__next_f=self.__next_f||[]).push([0])</script>\
             <script>self.__next_f.push([1,\"0:{{\\\"P\\\":null,\\\"b\\\":\\\"{id}\\\",\\\"c\\\":[\\\"\\\"]}}\\n\"])</script>\
             </body></html>"
        )
    };
    let payload = format!("0:{{\"P\":null,\"b\":\"{id}\",\"c\":[\"\"]}}\n");
    let files: [(String, Vec<u8>); 12] = [
        ("index.html".into(), page("Home", "/docs/a", "The first page.").into()),
        ("index.txt".into(), payload.clone().into()),
        (
            "404.html".into(),
            page("Not found", "/", "This page does not exist.").into(),
        ),
        ("docs/a.html".into(), page("A", "/", "A page about a.").into()),
        ("docs/a.txt".into(), payload.into()),
        ("robots.txt".into(), "User-Agent: *\nAllow: /\n".into()),
        ("images/dot.png".into(), DOT_PNG.into()),
        (
            "_next/static/chunks/x.js".into(),
            "(()=>{\"use strict\";console.debug(\"x\")})();\n".into(),
        ),
        (
            "_next/static/chunks/site.css".into(),
            "main{max-width:60rem;margin:auto}\n".into(),
        ),
        (
            format!("_next/static/{id}/_buildManifest.js"),
            "self.__BUILD_MANIFEST={sortedPages:[\"/_app\"]},self.__BUILD_MANIFEST_CB&&self.__BUILD_MANIFEST_CB();"
                .into(),
        ),
        (
            format!("_next/static/{id}/_ssgManifest.js"),
            "self.__SSG_MANIFEST=new Set,self.__SSG_MANIFEST_CB&&self.__SSG_MANIFEST_CB();".into(),
        ),
        (
            format!("_next/static/{id}/_clientMiddlewareManifest.js"),
            "self.__MIDDLEWARE_MATCHERS=[],self.__MIDDLEWARE_MATCHERS_CB&&self.__MIDDLEWARE_MATCHERS_CB();".into(),
        ),
    ];
    for (path, bytes) in files {
        write(&folder.join(path), bytes);
    }
}

/// A black dot: the smallest greyscale PNG.
const DOT_PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\
\x00\x00\x00\nIDATx\xdac\x60\x00\x00\x00\x02\x00\x01\xe5'\xde\xfc\x00\x00\x00\x00IEND\xaeB\x60\x82";

//! The site's own build: a command of the user, started when the sources change.
//!
//! It runs in its own process group, which ends with it: no process that it started is left behind, even if this
//! process is killed. Its output is passed on line by line.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

/// How long the group may take to end after SIGTERM, before it gets SIGKILL.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Maximum number of output lines in the queue. When it is full, the build has to wait.
const LINES: usize = 256;

/// How long to wait for the last lines after the build has ended. A process that it left running may keep the output
/// open for any length of time.
const LAST_LINES: Duration = Duration::from_millis(250);

/// The size in bytes from which a line is split.
const LONGEST: usize = 4096;

/// A shell script that ends the process group of the build if this process dies first. It reads from a pipe that is
/// never written to, so the read returns only when this process is gone.
const GUARD: &str = "read -r _; kill -TERM \"-$1\"; sleep 1; kill -KILL \"-$1\"";

/// A running build.
pub struct Build {
    child: Child,
    /// `None` if there is no shell. In that case processes are left behind if this process is killed.
    guard: Option<Child>,
    group: Option<Pid>,
    lines: mpsc::Receiver<String>,
    began: Instant,
    ended: Option<Ended>,
}

/// How a build ended.
#[derive(Clone, Copy)]
pub struct Ended {
    pub status: ExitStatus,
    /// The time since it was started.
    pub took: Duration,
}

impl Build {
    /// Starts a program with its arguments in a folder.
    pub fn start(command: &[String], folder: &Path) -> io::Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // Both streams use one pipe, so that lines keep their order.
        let (reader, writer) = io::pipe()?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (sender, lines) = mpsc::channel(LINES);
        tokio::spawn(pass_on(pipe::Receiver::from_owned_fd(reader.into())?, sender));
        Ok(Self {
            guard: group.and_then(guard),
            child,
            group,
            lines,
            began: Instant::now(),
            ended: None,
        })
    }

    /// Waits for the next event. The end of the build is reported after all of its output. Cancellation safe: the
    /// future can be dropped, and the next call continues.
    pub async fn next(&mut self) -> BuildNews {
        let ended = if let Some(ended) = self.ended {
            ended
        } else {
            tokio::select! {
                // Check for the end first. If the build left a process running that prints all the time, there is
                // always one more line, and the end would never be noticed.
                biased;
                status = self.child.wait() => match status {
                    Ok(status) => *self.ended.insert(Ended { status, took: self.began.elapsed() }),
                    Err(error) => return BuildNews::Ended(Err(error)),
                },
                Some(line) = self.lines.recv() => return BuildNews::Line(line),
            }
        };
        let patience = self.began + ended.took + LAST_LINES;
        // The timeout polls for a line first, and a process that was left running may always have one.
        if Instant::now() >= patience {
            return BuildNews::Ended(Ok(ended));
        }
        match timeout_at(patience.into(), self.lines.recv()).await {
            Ok(Some(line)) => BuildNews::Line(line),
            Ok(None) | Err(_) => BuildNews::Ended(Ok(ended)),
        }
    }
}

/// An event of a build.
pub enum BuildNews {
    /// The build printed a line.
    Line(String),
    /// The build ended.
    Ended(io::Result<Ended>),
}

/// Starts the script that ends the group if this process dies.
fn guard(group: Pid) -> Option<Child> {
    let group = group.as_raw_nonzero().to_string();
    Command::new("sh")
        .args(["-c", GUARD, "sh", &group])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .ok()
}

impl Drop for Build {
    fn drop(&mut self) {
        // From here on, this process ends the group itself.
        if let Some(guard) = &mut self.guard {
            let _ = guard.start_kill();
        }
        // Processes that the build started may outlive it, so the group gets the signal even if the build has ended.
        let Some(group) = self.group else { return };
        if kill_process_group(group, Signal::TERM).is_err() {
            return;
        }
        let began = Instant::now();
        while began.elapsed() < LAST_WORDS {
            let _ = self.child.try_wait();
            if kill_process_group(group, Signal::CONT).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.try_wait();
    }
}

async fn pass_on(stream: impl AsyncRead + Unpin, sender: mpsc::Sender<String>) {
    let mut stream = BufReader::with_capacity(LONGEST, stream);
    loop {
        let mut line = Vec::new();
        // A longer line is split.
        match (&mut stream).take(LONGEST as u64).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if sender.send(line).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use tokio::time::timeout;

    use super::*;

    fn shell(script: &str) -> Build {
        let command = ["sh", "-c", script].map(str::to_owned);
        Build::start(&command, Path::new("/")).unwrap()
    }

    /// Blocks the only thread until the process has ended, so that no output is read in the meantime.
    fn wait_unseen(build: &Build) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(build.group.unwrap()), options).unwrap();
    }

    async fn lines_and_end(mut build: Build) -> (Vec<String>, Ended) {
        let mut lines = Vec::new();
        loop {
            match build.next().await {
                BuildNews::Line(line) => lines.push(line),
                BuildNews::Ended(ended) => return (lines, ended.unwrap()),
            }
        }
    }

    #[tokio::test]
    async fn all_that_a_build_prints_comes_before_its_end() {
        let build = shell("echo one; echo two; exit 3");
        wait_unseen(&build);
        let (lines, ended) = lines_and_end(build).await;
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(ended.status.code(), Some(3));
    }

    #[tokio::test]
    async fn what_a_build_leaves_running_does_not_hold_up_its_end() {
        let build = shell("sleep 1000 & echo one");
        let (lines, ended) = lines_and_end(build).await;
        assert_eq!(lines, ["one"]);
        assert!(ended.status.success());
    }

    #[tokio::test]
    async fn what_a_build_leaves_printing_does_not_hold_up_its_end() {
        let (_, ended) = lines_and_end(shell("yes &")).await;
        assert!(ended.status.success());
    }

    #[tokio::test]
    async fn end_is_seen_although_there_is_always_one_more_line() {
        let mut build = shell("exit 3");
        let (sender, lines) = mpsc::channel(LINES);
        build.lines = lines;
        tokio::spawn(async move { while sender.send(String::new()).await.is_ok() {} });
        let ended = timeout(Duration::from_secs(10), lines_and_end(build)).await;
        assert_eq!(ended.expect("its end is seen").1.status.code(), Some(3));
    }
}

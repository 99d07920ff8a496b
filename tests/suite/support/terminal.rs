//! A terminal to run the command in: a pseudo-terminal with a screen that can be read and keys that can be typed.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

/// The longest time to wait for something.
const PATIENCE: Duration = Duration::from_secs(30);

const ROWS: u16 = 30;
const COLUMNS: u16 = 110;

/// A command that runs in its own terminal. Both end when dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    /// Keeps the terminal open.
    _master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    /// The device file of the terminal.
    name: PathBuf,
    shown: Arc<(Mutex<Shown>, Condvar)>,
}

struct Shown {
    screen: vt100::Parser,
    raw: Vec<u8>,
    ended: bool,
}

impl Terminal {
    /// Starts a command with its environment in a terminal.
    pub fn start(command: &Command) -> Terminal {
        Self::sized(command, ROWS, COLUMNS)
    }

    /// Starts a command in a terminal with this number of rows and columns.
    pub fn sized(command: &Command, rows: u16, columns: u16) -> Terminal {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut inside = CommandBuilder::new(command.get_program());
        inside.args(command.get_args());
        inside.env_clear();
        inside.env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                inside.env(name, value);
            }
        }
        inside.cwd(command.get_current_dir().expect("a folder to run in"));
        let child = pair.slave.spawn_command(inside).expect("a command that starts");
        let mut reader = pair.master.try_clone_reader().expect("the screen's end");
        let writer = pair.master.take_writer().expect("the keyboard's end");
        let shown = Shown {
            screen: vt100::Parser::new(nonzero(rows), nonzero(columns), 1000),
            raw: Vec::new(),
            ended: false,
        };
        let shown = Arc::new((Mutex::new(shown), Condvar::new()));
        let theirs = Arc::clone(&shown);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = reader.read(&mut buffer).unwrap_or(0);
                let mut shown = theirs.0.lock().unwrap_or_else(PoisonError::into_inner);
                shown.screen.process(&buffer[..count]);
                shown.raw.extend_from_slice(&buffer[..count]);
                shown.ended = count == 0;
                theirs.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Terminal {
            child,
            name: pair.master.tty_name().expect("a terminal with a name"),
            _master: pair.master,
            writer,
            shown,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("a process")
    }

    /// Sends a signal to the command.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("a process to signal");
    }

    /// Types keys. The terminal handles control characters.
    pub fn type_keys(&mut self, keys: &str) {
        let typed = self.writer.write_all(keys.as_bytes());
        typed.and_then(|()| self.writer.flush()).expect("keys to be typed");
    }

    /// The content of the screen, without empty lines at its end.
    pub fn screen(&self) -> String {
        let shown = self.shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.screen.screen().contents().trim_end().to_owned()
    }

    /// The last line that is not empty.
    pub fn last_line(&self) -> String {
        self.screen().lines().last().unwrap_or_default().trim_end().to_owned()
    }

    /// All output, including control sequences for the cursor and colours.
    pub fn raw(&self) -> String {
        let shown = self.shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown.raw).into_owned()
    }

    /// Waits until a condition on the screen is true.
    #[track_caller]
    pub fn until(&self, what: &str, mut holds: impl FnMut(&str) -> bool) {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never: {what}\n--- screen\n{screen}");
            let shown = self.shown.0.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = self.shown.1.wait_timeout(shown, Duration::from_millis(20));
        }
    }

    /// Waits until all output of the command has arrived.
    #[track_caller]
    pub fn until_ended(&self) {
        self.until("the end of the output", |_| {
            self.shown.0.lock().unwrap_or_else(PoisonError::into_inner).ended
        });
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn until_shown(&self, text: &str) {
        self.until(text, |screen| screen.contains(text));
    }

    /// Waits until a text was sent, however the screen breaks it into lines.
    #[track_caller]
    pub fn until_sent(&self, text: &str) {
        self.until(text, |_| self.raw().contains(text));
    }

    /// Waits until the last line contains a text.
    #[track_caller]
    pub fn until_last(&self, text: &str) {
        self.until(&format!("{text}, in the last line"), |screen| {
            screen.lines().last().is_some_and(|last| last.contains(text))
        });
    }

    /// Whether the terminal edits lines and echoes input, as a shell expects.
    pub fn is_in_order(&self) -> bool {
        let mut options = File::options();
        let noctty = rustix::fs::OFlags::NOCTTY.bits();
        let options = options.read(true).custom_flags(noctty.cast_signed());
        let modes = options.open(&self.name).and_then(|file| Ok(tcgetattr(file)?));
        let modes = modes.expect("the modes of the terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Whether the command is stopped, as by Ctrl-Z.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    /// Waits for the end. Returns the exit code, or 128 plus the signal's number if a signal ended the command.
    pub fn wait(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                break status.exit_code();
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.screen());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn nonzero(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a screen with a size")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

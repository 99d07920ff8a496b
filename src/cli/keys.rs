//! Single key presses in the terminal, for a command that keeps running.
//!
//! While keys are read, the terminal's line editing and echo are off. Nothing else changes: Ctrl-C and Ctrl-Z work as
//! usual. This module must never touch a terminal that belongs to another job, because that would stop this one. It
//! must never leave the terminal changed either: dropping `Keys` restores its settings.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::sync::mpsc;

/// How often the thread checks whether keys are still wanted, and whether the terminal is this job's again.
const LOOK: Duration = Duration::from_millis(200);

/// Maximum number of keys in the queue; more are dropped.
const WAITING: usize = 16;

/// Input of at least this many characters at a time was pasted, and is not meant as keys.
const PASTED: usize = 4;

/// A key with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `r`
    Rebuild,
    /// `o`
    Open,
    /// `p`
    Plan,
    /// `q`
    Quit,
    /// `?` or `h`
    Help,
    /// Return. People press it to put space between events.
    Line,
}

/// The keys of the terminal on stdin.
pub struct Keys {
    /// The settings of the terminal before its keys were taken; `None` while they are not taken.
    before: Option<Termios>,
    is_taken: Arc<AtomicBool>,
    typed: mpsc::Receiver<Key>,
}

impl Keys {
    /// Takes the keys. Returns `None` if stdin is not a terminal.
    pub fn of_stdin() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let is_taken = Arc::new(AtomicBool::new(false));
        let (sender, typed) = mpsc::channel(WAITING);
        let theirs = Arc::clone(&is_taken);
        // The terminal is read on a thread, because a blocking read cannot be cancelled.
        thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || read(&theirs, &sender))
            .ok()?;
        let mut keys = Self {
            before: None,
            is_taken,
            typed,
        };
        keys.take();
        Some(keys)
    }

    /// Takes the keys, if they are not taken yet and the terminal belongs to this job.
    pub fn take(&mut self) {
        if self.before.is_some() || !is_ours() {
            return;
        }
        let Ok(before) = tcgetattr(io::stdin()) else { return };
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read returns the available input and never waits.
        keys.special_codes[SpecialCodeIndex::VMIN] = 0;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        if tcsetattr(io::stdin(), OptionalActions::Now, &keys).is_ok() {
            self.before = Some(before);
            self.is_taken.store(true, Ordering::SeqCst);
        }
    }

    /// Restores the settings of the terminal.
    pub fn give_back(&mut self) {
        self.is_taken.store(false, Ordering::SeqCst);
        if let Some(before) = self.before.take()
            && is_ours()
        {
            // An error means that the terminal is gone, and then there is nothing to restore.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }

    /// Waits for a key.
    pub async fn next(&mut self) -> Key {
        match self.typed.recv().await {
            Some(key) => key,
            // The terminal is gone.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Reads keys until the receiver is closed or the terminal is gone.
fn read(is_taken: &AtomicBool, sender: &mpsc::Sender<Key>) {
    let look = Timespec::try_from(LOOK).ok();
    while !sender.is_closed() {
        let stdin = io::stdin();
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, look.as_ref()) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        // Input that arrives while another job has the terminal belongs to that job.
        if !is_taken.load(Ordering::SeqCst) || !is_ours() {
            thread::sleep(LOOK);
            continue;
        }
        let mut bytes = [0; 256];
        match rustix::io::read(&stdin, &mut bytes) {
            // Another process read the input first, or the terminal hung up, which a signal reports.
            Ok(0) => thread::sleep(LOOK),
            Ok(count) => keys_of(&bytes[..count]).into_iter().for_each(|key| {
                let _ = sender.try_send(key);
            }),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

/// Whether this job is in the foreground of the terminal.
pub fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Returns the keys in input that arrived together. Cursor and function keys are skipped, because their bytes contain
/// letters.
fn keys_of(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut plain = 0;
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == ESCAPE {
            match rest.next() {
                Some(b'[') => while rest.next().is_some_and(|byte| !(0x40..=0x7e).contains(&byte)) {},
                Some(b'O') => drop(rest.next()),
                _ => {}
            }
            continue;
        }
        plain += 1;
        keys.extend(match byte.to_ascii_lowercase() {
            b'r' => Some(Key::Rebuild),
            b'o' => Some(Key::Open),
            b'p' => Some(Key::Plan),
            b'q' => Some(Key::Quit),
            b'?' | b'h' => Some(Key::Help),
            b'\r' | b'\n' => Some(Key::Line),
            _ => None,
        });
    }
    if plain >= PASTED { Vec::new() } else { keys }
}

const ESCAPE: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_keys_in_either_case_and_others_are_none() {
        assert_eq!(keys_of(b"r"), [Key::Rebuild]);
        assert_eq!(keys_of(b"O"), [Key::Open]);
        assert_eq!(keys_of(b"p?"), [Key::Plan, Key::Help]);
        assert_eq!(keys_of(b"q\r"), [Key::Quit, Key::Line]);
        assert_eq!(keys_of("xé\t".as_bytes()), []);
    }

    #[test]
    fn letters_within_the_bytes_of_other_keys_are_none() {
        // Up, F1, F5, Alt with a letter, a lone Escape.
        for bytes in [&b"\x1b[A"[..], b"\x1bOP", b"\x1b[15~", b"\x1bq", b"\x1b", b"\x1b[1;5R"] {
            assert_eq!(keys_of(bytes), [], "{}", bytes.escape_ascii());
        }
        assert_eq!(keys_of(b"\x1b[Aq"), [Key::Quit]);
    }

    #[test]
    fn what_was_pasted_is_no_key() {
        assert_eq!(keys_of(b"http://localhost"), []);
    }
}

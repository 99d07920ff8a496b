//! Single keys of the terminal, for a command that stays.
//!
//! The terminal's line editing and echo are switched off as long as keys are taken, and nothing else is: Ctrl-C and Ctrl-Z
//! do what they always do. It must never touch a terminal that belongs to another job, which would stop this one, and never
//! leave it other than it was found: what was changed is changed back when this is dropped.

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

/// How often is looked whether anybody still waits for keys, and whether they are ours again where they were not.
const LOOK: Duration = Duration::from_millis(200);

/// Keys that wait to be taken notice of; more are let go of.
const WAITING: usize = 16;

/// What arrives at once and is longer was pasted, and meant for someone else.
const PASTED: usize = 4;

/// A key that means something.
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
    /// Return: people set events apart with it.
    Line,
}

/// The keys of the terminal that is stdin.
pub struct Keys {
    /// How the terminal was before its keys were taken; none: they are not.
    before: Option<Termios>,
    is_taken: Arc<AtomicBool>,
    typed: mpsc::Receiver<Key>,
}

impl Keys {
    /// Takes the keys; none where stdin is no terminal.
    pub fn of_stdin() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let is_taken = Arc::new(AtomicBool::new(false));
        let (sender, typed) = mpsc::channel(WAITING);
        let theirs = Arc::clone(&is_taken);
        // A terminal is read by a thread: nothing that waits for it can be given up.
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

    /// Takes the keys if they are not taken and the terminal is this job's.
    pub fn take(&mut self) {
        if self.before.is_some() || !is_ours() {
            return;
        }
        let Ok(before) = tcgetattr(io::stdin()) else { return };
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read gives what there is, and never waits.
        keys.special_codes[SpecialCodeIndex::VMIN] = 0;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        if tcsetattr(io::stdin(), OptionalActions::Now, &keys).is_ok() {
            self.before = Some(before);
            self.is_taken.store(true, Ordering::SeqCst);
        }
    }

    /// Leaves the terminal as it was.
    pub fn give_back(&mut self) {
        self.is_taken.store(false, Ordering::SeqCst);
        if let Some(before) = self.before.take()
            && is_ours()
        {
            // A terminal that is gone needs nothing.
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

/// Reads keys until no one waits for them any more, or the terminal is gone.
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
        // What is typed while another job has the terminal is that one's.
        if !is_taken.load(Ordering::SeqCst) || !is_ours() {
            thread::sleep(LOOK);
            continue;
        }
        let mut bytes = [0; 256];
        match rustix::io::read(&stdin, &mut bytes) {
            // Somebody else was faster, or the terminal has hung up, which a signal reports.
            Ok(0) => thread::sleep(LOOK),
            Ok(count) => keys_of(&bytes[..count]).into_iter().for_each(|key| {
                let _ = sender.try_send(key);
            }),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

/// Whether this job is the one that the terminal listens to.
pub fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// The keys in what arrived at once: without cursor and function keys, which are several bytes that contain letters.
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

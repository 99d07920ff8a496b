//! Limits the packets of a server to plausible lengths.
//!
//! The client allocates a packet by the length that the packet claims, up to four gigabytes, and then waits for all of
//! it. OpenSSH sends no more than 256 KiB. The same is true of the number of names that an answer announces: allocating
//! four billion of them would abort the process. This module must never change or delay bytes; it counts them as they
//! pass.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// The maximum length of a packet, in bytes.
const LONGEST: u32 = 1 << 20;

/// A stream of packets, each preceded by its length.
pub(super) struct Bounded<R> {
    packets: R,
    framing: Framing,
    beginning: Beginning,
}

/// The first bytes of the stream, of whatever kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning(Arc<Mutex<Vec<u8>>>);

impl Beginning {
    fn add(&self, bytes: &[u8]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_KEPT.saturating_sub(known.len());
        known.extend(bytes.iter().take(room));
    }

    /// The text that arrived instead of a packet. A packet starts with the high byte of its length, which is zero.
    pub(super) fn text(&self) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.first().is_none_or(|first| *first == 0) {
            return None;
        }
        let text = String::from_utf8_lossy(&known);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        Some(line.unwrap_or_default().to_owned())
    }
}

/// How many of the first bytes are kept.
const MOST_KEPT: usize = 256;

/// The position of the stream within a packet.
#[derive(Debug, Default)]
struct Framing {
    /// The first bytes of the packet, as far as they have arrived: its length, type and ID, and a count if it has one.
    head: [u8; HEAD],
    come: usize,
    /// The number of bytes left in the packet after those.
    left: u32,
    /// Whether a valid packet has started.
    has_begun: bool,
}

const LENGTH: usize = 4;
const HEAD: usize = LENGTH + 1 + 4 + 4;

/// The type of an answer that is a list of names, and the minimum size of a name in bytes.
const NAMES: u8 = 104;
const SHORTEST_NAME: u32 = 12;

impl<R> Bounded<R> {
    pub(super) fn new(packets: R, beginning: Beginning) -> Self {
        Self {
            packets,
            framing: Framing::default(),
            beginning,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Bounded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.packets).poll_read(context, buffer))?;
        if !self.framing.has_begun {
            self.beginning.add(&buffer.filled()[before..]);
        }
        let passed = self.framing.pass(&buffer.filled()[before..]);
        Poll::Ready(passed)
    }
}

impl Framing {
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let passed = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= u32::try_from(passed).unwrap_or(self.left);
                bytes = &bytes[passed..];
                continue;
            }
            self.head[self.come] = *first;
            self.come += 1;
            bytes = rest;
            if self.come >= LENGTH {
                self.check_start()?;
            }
        }
        Ok(())
    }

    /// Checks the start of a packet, once all bytes that matter have arrived.
    fn check_start(&mut self) -> io::Result<()> {
        let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| self.head[at + byte]));
        let length = number(0);
        if length == 0 || length > LONGEST {
            return Err(invalid(format!("the server sends a packet of {length} bytes")));
        }
        let body = u32::try_from(HEAD - LENGTH).unwrap_or(u32::MAX);
        let needed = usize::try_from(length.min(body)).unwrap_or(0) + LENGTH;
        if self.come < needed {
            return Ok(());
        }
        let count = number(HEAD - 4);
        if needed == HEAD && self.head[LENGTH] == NAMES && count > (length - body) / SHORTEST_NAME {
            return Err(invalid(format!("the server announces {count} names in {length} bytes")));
        }
        self.come = 0;
        self.has_begun = true;
        self.left = length - length.min(body);
        Ok(())
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(lengths: &[u32]) -> Vec<u8> {
        let packet = |length: &u32| [&length.to_be_bytes()[..], &vec![7; usize::try_from(*length).unwrap()]].concat();
        lengths.iter().flat_map(packet).collect()
    }

    #[test]
    fn packets_pass_however_they_are_cut() {
        let stream = packets(&[1, 300, 5, LONGEST, 2]);
        for part in [1, 2, 3, 5, 7, 1000, stream.len()] {
            let mut framing = Framing::default();
            for piece in stream.chunks(part) {
                framing.pass(piece).unwrap();
            }
            assert_eq!((framing.come, framing.left), (0, 0), "{part}");
        }
    }

    #[tokio::test]
    async fn text_in_place_of_a_packet_is_kept() {
        use tokio::io::AsyncReadExt as _;
        for (stream, text) in [
            (b"\nWelcome, stranger\nsecond".to_vec(), Some("Welcome, stranger")),
            (packets(&[9]), None),
            (Vec::new(), None),
        ] {
            let beginning = Beginning::default();
            let mut bounded = Bounded::new(&stream[..], beginning.clone());
            let _ = bounded.read(&mut [0; 64]).await;
            assert_eq!(beginning.text().as_deref(), text);
        }
    }

    #[test]
    fn more_names_than_there_is_room_for_end_the_stream() {
        let names = |count: u32, length: u32| {
            let mut packet = packets(&[length]);
            packet[LENGTH] = NAMES;
            packet[HEAD - 4..HEAD].copy_from_slice(&count.to_be_bytes());
            packet
        };
        for part in [1, 5, 1000] {
            let pass = |stream: Vec<u8>| {
                let mut framing = Framing::default();
                stream.chunks(part).try_for_each(|piece| framing.pass(piece))
            };
            assert!(pass([names(2, 9 + 24), packets(&[3])].concat()).is_ok());
            assert!(pass(names(0, 9)).is_ok());
            assert!(pass(names(3, 9 + 24)).is_err());
            assert!(pass(names(u32::MAX, 9)).is_err());
        }
    }

    #[test]
    fn a_length_that_no_packet_has_ends_the_stream() {
        for length in [0, LONGEST + 1, u32::MAX] {
            for part in [1, 3, 64] {
                let stream = [packets(&[9]), length.to_be_bytes().to_vec()].concat();
                let mut framing = Framing::default();
                let passed: io::Result<()> = stream.chunks(part).try_for_each(|piece| framing.pass(piece));
                assert_eq!(passed.unwrap_err().kind(), io::ErrorKind::InvalidData, "{length}");
            }
        }
    }
}

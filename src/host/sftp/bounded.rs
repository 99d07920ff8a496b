//! What a server sends, as long as its packets have a length that packets have.
//!
//! The client makes room for a packet by the length that it claims, up to four gigabytes, and then waits for all of it.
//! OpenSSH sends no more than 256 KiB. Nothing is changed or held back here: bytes are counted as they pass.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// No packet is longer, in bytes.
const LONGEST: u32 = 1 << 20;

/// A stream of packets, each behind its length.
pub(super) struct Bounded<R> {
    packets: R,
    framing: Framing,
}

/// Where in a packet the stream is.
#[derive(Debug, Default)]
struct Framing {
    /// The length, as far as it has come.
    length: [u8; 4],
    come: usize,
    /// What is left of the packet.
    left: u32,
}

impl<R> Bounded<R> {
    pub(super) fn new(packets: R) -> Self {
        Self {
            packets,
            framing: Framing::default(),
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
            self.length[self.come] = *first;
            self.come += 1;
            bytes = rest;
            if self.come == self.length.len() {
                self.come = 0;
                self.left = u32::from_be_bytes(self.length);
                if self.left == 0 || self.left > LONGEST {
                    let text = format!("the server sends a packet of {} bytes", self.left);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        Ok(())
    }
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
